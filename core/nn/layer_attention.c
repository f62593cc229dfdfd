/* layer_attention.c - layers in which the steps of a sequence look at each other. Padding, by the value's lengths, is looked
 * at by none. */
#include "nn/layer.h"

static moon_status sequence(const moon_layer *layer) {
  return layer->in.ids || layer->in.dims != 2 ? moon_layer_refuse(layer, "[n, steps, d]") : moon_ok();
}

/* ---- position: adds a learned vector to each step ------------------------------------------------------------------------ */

static moon_status position_build(moon_layer *layer, moon_build *build) {
  MOON_TRY(sequence(layer));
  return moon_layer_param(layer, build, "weight", 2, layer->in.shape, MOON_INIT_NORMAL, false);
}

static moon_status position_forward(const moon_layer *layer, const moon_pass *pass, const moon_value *in, moon_value *out) {
  moon_var table;
  MOON_TRY(moon_layer_leaf(layer, pass, 0, &table));
  return moon_op_add(pass->tape, in->x, table, &out->x);
}

const moon_layer_kind moon_layer_position = {"position", position_build, position_forward, false};

/* ---- attention: of several heads, [n, steps, d] -> the same (Vaswani et al. 2017) ---------------------------------------- */
/* size: heads; flag: causal */

enum { QUERY, KEY, VALUE, OUT };

static moon_status heads_and_causal(moon_layer *layer) {
  MOON_TRY(sequence(layer));
  layer->size = 1;
  MOON_TRY(moon_spec_size(layer, "heads", false, 1, 256, &layer->size));
  MOON_TRY(moon_spec_flag(layer, "causal", &layer->flag));
  size_t d = layer->in.shape[1];
  return d % layer->size ? moon_layer_fail(layer, "of %zu heads cannot share out %zu numbers", layer->size, d) : moon_ok();
}

static moon_status attention_build(moon_layer *layer, moon_build *build) {
  static const char *const parts[] = {"query", "key", "value", "out"};
  MOON_TRY(heads_and_causal(layer));
  for (int i = QUERY; i <= OUT; i++) {
    moon_layer *part;
    json_t *spec = json_pack("{s:s, s:I}", "type", "dense", "units", (json_int_t)layer->in.shape[1]);
    MOON_TRY(moon_layer_part(layer, build, spec, parts[i], &layer->in, &part));
  }
  return moon_ok();
}

static moon_status attention_forward(const moon_layer *layer, const moon_pass *pass, const moon_value *in, moon_value *out) {
  moon_value q, k, v, seen = *in;
  const moon_attention how = {.heads = layer->size, .causal = layer->flag, .lengths = in->lengths};
  MOON_TRY(moon_layer_forward(layer->children[QUERY], pass, in, &q));
  MOON_TRY(moon_layer_forward(layer->children[KEY], pass, in, &k));
  MOON_TRY(moon_layer_forward(layer->children[VALUE], pass, in, &v));
  MOON_TRY(moon_op_attention(pass->tape, q.x, k.x, v.x, &how, &seen.x));
  return moon_layer_forward(layer->children[OUT], pass, &seen, out);
}

const moon_layer_kind moon_layer_attention = {"attention", attention_build, attention_forward, false};

/* ---- transformer: x + attention(norm(x)), then x + feed(norm(x)) --------------------------------------------------------- */
/* The norms stand before, which trains without a warm-up (Xiong et al. 2020). Dropout falls on both sums. */

enum { ATTENTION_NORM, ATTENTION, ATTENTION_DROPOUT, FEED_NORM, FEED_UP, FEED_DOWN, FEED_DROPOUT };

static moon_status transformer_build(moon_layer *layer, moon_build *build) {
  MOON_TRY(heads_and_causal(layer));
  size_t d = layer->in.shape[1], feed = 4 * d;
  MOON_TRY(moon_spec_size(layer, "feed", false, 1, 65536, &feed));
  MOON_TRY(moon_spec_number(layer, "dropout", false, 0, 0.99, &layer->rate));
  moon_layer *part;
  MOON_TRY(moon_layer_part(layer, build, json_pack("{s:s}", "type", "layer_norm"), "attention_norm", &layer->in, &part));
  json_t *spec = json_pack("{s:s, s:I, s:b}", "type", "attention", "heads", (json_int_t)layer->size, "causal", (int)layer->flag);
  MOON_TRY(moon_layer_part(layer, build, spec, "attention", &layer->in, &part));
  spec = json_pack("{s:s, s:f}", "type", "dropout", "rate", layer->rate);
  MOON_TRY(moon_layer_part(layer, build, spec, "attention_dropout", &layer->in, &part));
  MOON_TRY(moon_layer_part(layer, build, json_pack("{s:s}", "type", "layer_norm"), "feed_norm", &layer->in, &part));
  spec = json_pack("{s:s, s:I, s:s}", "type", "dense", "units", (json_int_t)feed, "activation", "gelu");
  MOON_TRY(moon_layer_part(layer, build, spec, "feed_up", &layer->in, &part));
  const moon_form wide = part->out;
  spec = json_pack("{s:s, s:I}", "type", "dense", "units", (json_int_t)d);
  MOON_TRY(moon_layer_part(layer, build, spec, "feed_down", &wide, &part));
  return moon_layer_part(layer, build, json_pack("{s:s, s:f}", "type", "dropout", "rate", layer->rate), "feed_dropout",
                         &layer->in, &part);
}

/* x plus what the children first..last make of it. */
static moon_status add_branch(const moon_layer *layer, const moon_pass *pass, int first, int last, moon_value *x) {
  moon_value branch = *x;
  for (int i = first; i <= last; i++) MOON_TRY(moon_layer_forward(layer->children[i], pass, &branch, &branch));
  return moon_op_add(pass->tape, x->x, branch.x, &x->x);
}

static moon_status transformer_forward(const moon_layer *layer, const moon_pass *pass, const moon_value *in, moon_value *out) {
  moon_value x = *in;
  MOON_TRY(add_branch(layer, pass, ATTENTION_NORM, ATTENTION_DROPOUT, &x));
  MOON_TRY(add_branch(layer, pass, FEED_NORM, FEED_DROPOUT, &x));
  *out = x;
  return moon_ok();
}

const moon_layer_kind moon_layer_transformer = {"transformer", transformer_build, transformer_forward, false};

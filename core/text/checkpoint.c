/* checkpoint.c - a checkpoint's files become an encoder: sizes from config.json, weights by their names, packed for products.
 *
 * Models of one kind differ in what they call things, so a kind is a row of names. A size is believed only as far as the weights bear it
 * out: each tensor's shape is checked before anything of that size is allocated. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nn/nn.h"
#include "text/encoder.h"

enum { MOST_LAYERS = 256, MOST_SIZE = 1 << 20 };
#define OUTSIDE SIZE_MAX

typedef struct kind {
  const char *type; /* model_type; also what names may begin with */
  const char *hidden, *layers, *heads, *feed, *activation; /* in config.json */
  const char *layer; /* in front of the rest, with a layer's number in between */
  const char *query, *key, *value, *out, *after_attention, *up, *down, *after_feed;
  bool types; /* there are token types */
} kind;

static const kind kinds[] = {
    {"bert", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act", "encoder.layer",
     "attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense", "attention.output.LayerNorm",
     "intermediate.dense", "output.dense", "output.LayerNorm", true},
    {"distilbert", "dim", "n_layers", "n_heads", "hidden_dim", "activation", "transformer.layer", "attention.q_lin", "attention.k_lin",
     "attention.v_lin", "attention.out_lin", "sa_layer_norm", "ffn.lin1", "ffn.lin2", "output_layer_norm", false},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* ---- config.json ------------------------------------------------------------------------------------------------------------- */

static moon_status find_kind(const json_t *config, const kind **out) {
  const char *type = json_string_value(json_object_get(config, "model_type"));
  if (!type) return moon_fail(MOON_EFORMAT, "config.json: model_type is missing");
  for (int i = 0; i < KINDS; i++)
    if (!strcmp(type, kinds[i].type)) return *out = &kinds[i], moon_ok();
  return moon_fail(MOON_EINVAL, "config.json: model_type is \"%.60s\"; bert and distilbert are known", type);
}

static moon_status read_size(const json_t *config, const char *key, size_t most, size_t *out) {
  const json_t *value = json_object_get(config, key);
  if (!json_is_integer(value)) return moon_fail(MOON_EFORMAT, "config.json: %s is missing, or not a whole number", key);
  json_int_t n = json_integer_value(value);
  if (n < 1 || (size_t)n > most) return moon_fail(MOON_EFORMAT, "config.json: %s is %lld, but 1 to %zu is possible", key, (long long)n, most);
  *out = (size_t)n;
  return moon_ok();
}

static moon_status read_activation(const json_t *config, const char *key, text_activation *out) {
  static const struct { const char *name; text_activation activation; } known[] = {
      {"gelu", TEXT_GELU}, {"gelu_new", TEXT_GELU_TANH}, {"gelu_pytorch_tanh", TEXT_GELU_TANH}, {"relu", TEXT_RELU}};
  const char *name = json_string_value(json_object_get(config, key));
  if (!name) return moon_fail(MOON_EFORMAT, "config.json: %s is missing", key);
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (!strcmp(name, known[i].name)) return *out = known[i].activation, moon_ok();
  return moon_fail(MOON_EINVAL, "config.json: %s is \"%.60s\"; gelu, gelu_new, gelu_pytorch_tanh and relu are known", key, name);
}

/* What would make it compute something else than we do. */
static moon_status check_variant(const json_t *config) {
  const char *places = json_string_value(json_object_get(config, "position_embedding_type"));
  if (places && strcmp(places, "absolute") != 0)
    return moon_fail(MOON_EINVAL, "config.json: position_embedding_type is \"%.60s\"; absolute is known", places);
  if (json_is_true(json_object_get(config, "is_decoder"))) return moon_fail(MOON_EINVAL, "config.json: it is a decoder, not an encoder");
  return moon_ok();
}

static moon_status read_config(moon_encoder *e, const json_t *config, const kind **of) {
  MOON_TRY(find_kind(config, of));
  MOON_TRY(check_variant(config));
  MOON_TRY(read_size(config, (*of)->hidden, MOST_SIZE, &e->hidden));
  MOON_TRY(read_size(config, (*of)->layers, MOST_LAYERS, &e->layer_count));
  MOON_TRY(read_size(config, (*of)->heads, MOST_SIZE, &e->heads));
  MOON_TRY(read_size(config, (*of)->feed, MOST_SIZE, &e->feed));
  MOON_TRY(read_size(config, "max_position_embeddings", MOST_SIZE, &e->positions));
  MOON_TRY(read_size(config, "vocab_size", MOON_NONE - 1, &e->vocab));
  MOON_TRY(read_activation(config, (*of)->activation, &e->activation));
  if (e->hidden % e->heads) return moon_fail(MOON_EFORMAT, "config.json: %s %zu cannot be shared out to %zu heads", (*of)->hidden, e->hidden, e->heads);
  const json_t *epsilon = json_object_get(config, "layer_norm_eps");
  double value = epsilon ? json_number_value(epsilon) : 1e-12;
  if (!(value > 0 && value < 1)) return moon_fail(MOON_EFORMAT, "config.json: layer_norm_eps is not between 0 and 1");
  e->epsilon = (float)value;
  return moon_ok();
}

/* ---- weights by name --------------------------------------------------------------------------------------------------------- */

typedef struct loader {
  moon_encoder *e;
  const kind *kind;
  const moon_safetensors *file;
  const json_t *config;
  bool prefix; /* "bert.embeddings..." */
} loader;

typedef struct tensor_name { char text[160]; } tensor_name;

/* Of a module of layer `layer`, or OUTSIDE of all. */
static tensor_name name_of(const loader *l, size_t layer, const char *module, const char *what) {
  tensor_name name;
  char number[24] = "";
  if (layer != OUTSIDE) snprintf(number, sizeof number, ".%zu.", layer);
  snprintf(name.text, sizeof name.text, "%.16s%s%.24s%s%.64s.%.16s", l->prefix ? l->kind->type : "", l->prefix ? "." : "",
           layer == OUTSIDE ? "" : l->kind->layer, number, module, what);
  return name;
}

static moon_status no_memory(const char *name) { return moon_fail(MOON_ENOMEM, "no memory for \"%s\"", name); }

/* into: [rows * columns], or with rows 0 a vector [columns]. */
static moon_status read_into(const loader *l, const char *name, size_t rows, size_t columns, float *into) {
  const size_t shape[] = {rows, columns}, n = (rows ? rows : 1) * columns;
  MOON_TRY(moon_safetensors_floats(l->file, name, rows ? 2 : 1, rows ? shape : shape + 1, into));
  for (size_t i = 0; i < n; i++)
    if (!isfinite(into[i])) return moon_fail(MOON_EFORMAT, "tensor \"%s\" has a number that is not finite", name);
  return moon_ok();
}

/* A fresh one, [rows, columns] or [columns]; only where the file has as many numbers. */
static moon_status read_new(const loader *l, const char *name, size_t rows, size_t columns, float **out) {
  const size_t shape[] = {rows, columns};
  MOON_TRY(moon_safetensors_floats(l->file, name, rows ? 2 : 1, rows ? shape : shape + 1, NULL));
  *out = moon_alloc_aligned((rows ? rows : 1) * columns * sizeof **out);
  return *out ? read_into(l, name, rows, columns, *out) : no_memory(name);
}

static moon_status read_norm(const loader *l, size_t layer, const char *module, text_norm *norm) {
  bool old = !moon_safetensors_has(l->file, name_of(l, layer, module, "weight").text) && moon_safetensors_has(l->file, name_of(l, layer, module, "gamma").text);
  MOON_TRY(read_new(l, name_of(l, layer, module, old ? "gamma" : "weight").text, 0, l->e->hidden, &norm->scale));
  return read_new(l, name_of(l, layer, module, old ? "beta" : "bias").text, 0, l->e->hidden, &norm->shift);
}

/* Linear modules of one input, which a product takes side by side: [n * out, in] as the file has them, then in panels. */
static moon_status read_linear(const loader *l, size_t layer, const char *const *modules, size_t n, size_t in, size_t out, text_linear *linear) {
  const size_t shape[] = {out, in}, columns = n * out, padded = moon_panel_round(MOON_F32, columns);
  tensor_name weight = name_of(l, layer, modules[0], "weight");
  MOON_TRY(moon_safetensors_floats(l->file, weight.text, 2, shape, NULL));
  float *rows = moon_alloc(columns * in * sizeof *rows);
  linear->in = in, linear->out = columns;
  linear->weight = moon_alloc_aligned(padded * in * sizeof(float));
  linear->bias = moon_alloc_aligned(padded * sizeof(float));
  moon_status status = rows && linear->weight && linear->bias ? moon_ok() : no_memory(weight.text);
  for (size_t i = 0; i < n && !status.code; i++) {
    status = read_into(l, name_of(l, layer, modules[i], "weight").text, out, in, rows + i * out * in);
    if (!status.code) status = read_into(l, name_of(l, layer, modules[i], "bias").text, 0, out, linear->bias + i * out);
  }
  if (!status.code) moon_pack(MOON_F32, true, in, columns, rows, linear->weight);
  moon_free(rows);
  return status;
}

static moon_status read_layer(const loader *l, size_t i, text_layer *layer) {
  const moon_encoder *e = l->e;
  const kind *k = l->kind;
  const char *const qkv[] = {k->query, k->key, k->value};
  MOON_TRY(read_linear(l, i, qkv, 3, e->hidden, e->hidden, &layer->qkv));
  MOON_TRY(read_linear(l, i, &k->out, 1, e->hidden, e->hidden, &layer->out));
  MOON_TRY(read_linear(l, i, &k->up, 1, e->hidden, e->feed, &layer->up));
  MOON_TRY(read_linear(l, i, &k->down, 1, e->feed, e->hidden, &layer->down));
  MOON_TRY(read_norm(l, i, k->after_attention, &layer->after_attention));
  return read_norm(l, i, k->after_feed, &layer->after_feed);
}

/* All tokens of a text are of the first type. */
static moon_status add_type(const loader *l) {
  size_t types = 0;
  float *rows = NULL;
  if (!l->kind->types) return moon_ok();
  MOON_TRY(read_size(l->config, "type_vocab_size", MOST_SIZE, &types));
  moon_status status = read_new(l, name_of(l, OUTSIDE, "embeddings.token_type_embeddings", "weight").text, types, l->e->hidden, &rows);
  for (size_t i = 0; !status.code && i < l->e->positions * l->e->hidden; i++) l->e->places[i] += rows[i % l->e->hidden];
  moon_free(rows);
  return status;
}

static moon_status read_weights(loader *l) {
  moon_encoder *e = l->e;
  l->prefix = true;
  l->prefix = moon_safetensors_has(l->file, name_of(l, OUTSIDE, "embeddings.word_embeddings", "weight").text);
  MOON_TRY(read_new(l, name_of(l, OUTSIDE, "embeddings.word_embeddings", "weight").text, e->vocab, e->hidden, &e->words));
  MOON_TRY(read_new(l, name_of(l, OUTSIDE, "embeddings.position_embeddings", "weight").text, e->positions, e->hidden, &e->places));
  MOON_TRY(add_type(l));
  MOON_TRY(read_norm(l, OUTSIDE, "embeddings.LayerNorm", &e->norm));
  e->layers = moon_calloc(e->layer_count, sizeof *e->layers);
  if (!e->layers) return moon_fail(MOON_ENOMEM, "no memory for %zu layers", e->layer_count);
  for (size_t i = 0; i < e->layer_count; i++) MOON_TRY(read_layer(l, i, &e->layers[i]));
  return moon_ok();
}

/* ---- the whole --------------------------------------------------------------------------------------------------------------- */

static moon_status read_model(moon_encoder *e, const moon_checkpoint *from) {
  json_error_t error;
  loader l = {.e = e};
  moon_safetensors *file = NULL;
  json_t *config = json_loadb(from->config.at, from->config.n, 0, &error);
  moon_status status = json_is_object(config) ? moon_ok() : moon_fail(MOON_EFORMAT, "config.json: %s", config ? "it is not an object" : error.text);
  if (!status.code) status = read_config(e, config, &l.kind);
  if (!status.code) status = moon_wrap(moon_safetensors_open(from->weights.at, from->weights.n, &file), "model.safetensors");
  l.file = file, l.config = config;
  if (!status.code) status = moon_wrap(read_weights(&l), "model.safetensors");
  moon_safetensors_close(file);
  json_decref(config);
  return status;
}

static moon_status read_tokenizer(moon_encoder *e, const moon_checkpoint *from) {
  moon_wordpiece_options how;
  MOON_TRY(moon_wordpiece_configure(from->tokenizer.at, from->tokenizer.n, &how));
  MOON_TRY(moon_wordpiece_new(from->vocab.at, from->vocab.n, &how, &e->wordpiece));
  size_t most = how.max_length && how.max_length < e->positions ? how.max_length : e->positions, asked = e->how.max_length;
  if (moon_wordpiece_size(e->wordpiece) > e->vocab)
    return moon_fail(MOON_EFORMAT, "vocab.txt: %zu tokens, but vocab_size in config.json is %zu", moon_wordpiece_size(e->wordpiece), e->vocab);
  if (asked > e->positions) return moon_fail(MOON_EINVAL, "a text of %zu tokens is longer than the checkpoint's %zu positions", asked, e->positions);
  if (most < 2 || asked == 1) return moon_fail(MOON_EINVAL, "a text has at least 2 tokens, [CLS] and [SEP]");
  if (!asked) e->how.max_length = most;
  return moon_ok();
}

moon_status moon_encoder_new(const moon_checkpoint *from, const moon_encoder_options *options, moon_encoder **out) {
  *out = NULL;
  moon_encoder *e = moon_calloc(1, sizeof *e);
  if (!e) return moon_fail(MOON_ENOMEM, "no memory for an encoder");
  e->how = *options;
  moon_status status = read_model(e, from);
  if (!status.code) status = read_tokenizer(e, from);
  if (status.code) moon_encoder_free(e);
  else *out = e;
  return status;
}

static void free_linear(text_linear *linear) {
  moon_free(linear->weight);
  moon_free(linear->bias);
}

static void free_norm(text_norm *norm) {
  moon_free(norm->scale);
  moon_free(norm->shift);
}

void moon_encoder_free(moon_encoder *e) {
  if (!e) return;
  for (size_t i = 0; e->layers && i < e->layer_count; i++) {
    text_layer *layer = &e->layers[i];
    free_linear(&layer->qkv), free_linear(&layer->out), free_linear(&layer->up), free_linear(&layer->down);
    free_norm(&layer->after_attention), free_norm(&layer->after_feed);
  }
  free_norm(&e->norm);
  moon_free(e->layers);
  moon_free(e->words);
  moon_free(e->places);
  moon_wordpiece_free(e->wordpiece);
  moon_free(e);
}

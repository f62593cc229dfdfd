/* layer_container.c - layers made of layers: one after the other, around a shortcut, side by side, by name. */
#include <stdio.h>
#include <string.h>

#include "nn/layer.h"

/* Children from the list "layers", called by their number or by the "names" beside, the first fed with `in`; chained: each with what the
 * one before gives, else all with the same. */
static moon_status build_children(moon_layer *layer, moon_build *build, bool chained) {
  const json_t *list = json_object_get(layer->spec, "layers");
  size_t n = json_array_size(list);
  if (!n) return moon_layer_fail(layer, "has no layers");
  if (layer->twin && layer->twin->child_count != n)
    return moon_layer_fail(layer, "has %zu layers, but shares the parameters of the %zu at %s", n, layer->twin->child_count,
                           layer->twin->where);
  moon_form in = layer->in;
  for (size_t i = 0; i < n; i++) {
    char key[24];
    moon_layer *child;
    const char *name = json_string_value(json_array_get(json_object_get(layer->spec, "names"), i));
    snprintf(key, sizeof key, "%zu", i);
    MOON_TRY(moon_layer_child(layer, build, json_array_get(list, i), name ? name : key, &in, &child));
    if (chained) in = child->out;
  }
  layer->out = layer->children[n - 1]->out;
  return moon_ok();
}

static moon_status chain(const moon_layer *layer, const moon_pass *pass, const moon_value *in, moon_value *out) {
  *out = *in;
  for (size_t i = 0; i < layer->child_count; i++) MOON_TRY(moon_layer_forward(layer->children[i], pass, out, out));
  return moon_ok();
}

/* ---- sequential ---------------------------------------------------------------------------------------------------------- */

static moon_status sequential_build(moon_layer *layer, moon_build *build) { return build_children(layer, build, true); }

const moon_layer_kind moon_layer_sequential = {"sequential", sequential_build, chain, true};

/* ---- residual: x + layers(x) (He et al. 2016) ---------------------------------------------------------------------------- */

static moon_status residual_build(moon_layer *layer, moon_build *build) {
  MOON_TRY(build_children(layer, build, true));
  if (!layer->in.ids && !layer->out.ids && moon_shape_equal(layer->in.dims, layer->in.shape, layer->out.dims, layer->out.shape))
    return moon_ok();
  return moon_layer_fail(layer, "adds what its layers make, %s, to what they took, %s: the shapes must agree",
                         moon_form_write(&layer->out).text, moon_form_write(&layer->in).text);
}

static moon_status residual_forward(const moon_layer *layer, const moon_pass *pass, const moon_value *in, moon_value *out) {
  moon_value branch;
  MOON_TRY(chain(layer, pass, in, &branch));
  return moon_op_add(pass->tape, in->x, branch.x, &out->x);
}

const moon_layer_kind moon_layer_residual = {"residual", residual_build, residual_forward, true};

/* ---- parallel: branches on one input, their results side by side (concat), added (sum), or weighed by the first (gate) ---- */
/* choice: a merge */

enum { CONCAT, SUM, GATE, MERGES, MOST_BRANCHES = 64 };
static const char *const merges[MERGES] = {"concat", "sum", "gate"};

/* Whether two branches may be merged: of one shape, but for the last dimension of a concat. */
static bool fits(const moon_form *a, const moon_form *b, int merge) {
  if (a->ids || b->ids || a->dims < 1 || a->dims != b->dims) return false;
  return moon_shape_equal(a->dims - (merge == CONCAT), a->shape, b->dims - (merge == CONCAT), b->shape);
}

/* A gate gives a number for each of the branches behind it, which are experts: rows of one width. */
static moon_status check_gate(const moon_layer *layer) {
  const moon_form *gate = &layer->children[0]->out;
  size_t experts = layer->child_count - 1;
  if (gate->ids || gate->dims != 1 || gate->shape[0] != experts || layer->children[experts]->out.dims != 1)
    return moon_layer_fail(layer, "its first branch must be a gate with a number for each of the %zu others, which give rows; it gives %s", experts,
                           moon_form_write(gate).text);
  return moon_ok();
}

static moon_status parallel_build(moon_layer *layer, moon_build *build) {
  MOON_TRY(moon_spec_choice(layer, "merge", merges, MERGES, &layer->choice));
  MOON_TRY(build_children(layer, build, false));
  if (layer->child_count > MOST_BRANCHES)
    return moon_layer_fail(layer, "has %zu branches; at most %d", layer->child_count, MOST_BRANCHES);
  size_t from = layer->choice == GATE && layer->child_count > 1 ? 1 : 0;
  if (layer->choice == GATE) MOON_TRY(check_gate(layer));
  const moon_form *first = &layer->children[from]->out;
  layer->out = *first;
  for (size_t i = from; i < layer->child_count; i++) {
    const moon_form *branch = &layer->children[i]->out;
    if (!fits(first, branch, layer->choice))
      return moon_layer_fail(layer, "cannot %s %s and %s (branch %zu)", merges[layer->choice], moon_form_write(first).text,
                             moon_form_write(branch).text, i);
    if (i && layer->choice == CONCAT) layer->out.shape[layer->out.dims - 1] += branch->shape[branch->dims - 1];
  }
  return moon_ok();
}

/* The experts' rows, each times its share by the softmax of the gate, added: [n, 1, k] by [n, k, d] (Jacobs et al. 1991). */
static moon_status weigh(const moon_layer *layer, moon_tape *tape, size_t rows, const moon_var *parts, moon_var *out) {
  size_t experts = layer->child_count - 1, d = layer->out.shape[0];
  moon_var share, all;
  MOON_TRY(moon_op_softmax(tape, parts[0], &share));
  MOON_TRY(moon_op_reshape(tape, share, 3, (size_t[]){rows, 1, experts}, &share));
  MOON_TRY(moon_op_stack(tape, parts + 1, experts, 1, &all));
  MOON_TRY(moon_op_bmm(tape, share, all, false, false, &all));
  return moon_op_reshape(tape, all, 2, (size_t[]){rows, d}, out);
}

static moon_status parallel_forward(const moon_layer *layer, const moon_pass *pass, const moon_value *in, moon_value *out) {
  moon_var parts[MOST_BRANCHES] = {{0}};
  for (size_t i = 0; i < layer->child_count; i++) {
    moon_value branch;
    MOON_TRY(moon_layer_forward(layer->children[i], pass, in, &branch));
    parts[i] = branch.x;
    if (!i) out->lengths = branch.lengths;
  }
  out->ids = NULL;
  out->x = parts[0];
  if (layer->choice == GATE) return weigh(layer, pass->tape, pass->rows, parts, &out->x);
  if (layer->child_count > 1 && layer->choice == CONCAT) return moon_op_concat(pass->tape, parts, layer->child_count, &out->x);
  for (size_t i = 1; i < layer->child_count; i++) MOON_TRY(moon_op_add(pass->tape, out->x, parts[i], &out->x));
  return moon_ok();
}

const moon_layer_kind moon_layer_parallel = {"parallel", parallel_build, parallel_forward, true, merges};

/* ---- heads: branches of one number each, by name: what a row is worth to each of several tasks, [n, heads] ---------------- */
/* times: see layer.h */

/* Names are parts of the paths of parameters and of metrics. */
static moon_status check_names(const moon_layer *layer, const json_t *names) {
  if (!json_is_array(names) || json_array_size(names) != json_array_size(json_object_get(layer->spec, "layers")))
    return moon_layer_fail(layer, "needs a name for each of its layers");
  for (size_t i = 0; i < json_array_size(names); i++) {
    const char *name = json_string_value(json_array_get(names, i));
    if (!name || !*name || strlen(name) > 40 || strchr(name, '.')) return moon_layer_fail(layer, "head %zu needs a name without a dot, of up to 40 bytes", i + 1);
    for (size_t k = 0; k < i; k++)
      if (!strcmp(name, json_string_value(json_array_get(names, k)))) return moon_layer_fail(layer, "has two heads '%s'", name);
  }
  return moon_ok();
}

static size_t head_at(const moon_layer *layer, const char *name, size_t n) {
  for (size_t i = 0; name && i < n; i++)
    if (!strcmp(layer->children[i]->key, name)) return i;
  return n;
}

/* "times": {"purchase":"cart"}; a head stands behind those that it is multiplied by, so there is no circle. */
static moon_status read_times(moon_layer *layer, moon_build *build) {
  const json_t *times = json_object_get(layer->spec, "times");
  const char *name;
  json_t *other;
  size_t *of = moon_build_take(build, layer->child_count * sizeof *of);
  if (!of) return moon_fail(MOON_ENOMEM, "no memory for a model's layers");
  for (size_t i = 0; i < layer->child_count; i++) of[i] = i;
  json_object_foreach((json_t *)(uintptr_t)times, name, other) { /* only read */
    size_t at = head_at(layer, name, layer->child_count);
    if (at == layer->child_count) return moon_layer_fail(layer, "times: there is no head '%.40s'", name);
    of[at] = head_at(layer, json_string_value(other), at);
    if (of[at] == at) return moon_layer_fail(layer, "times: the head '%s' is multiplied by one before it, not by '%.40s'", name, json_is_string(other) ? json_string_value(other) : "?");
  }
  layer->times = of;
  return moon_ok();
}

static moon_status heads_build(moon_layer *layer, moon_build *build) {
  MOON_TRY(check_names(layer, json_object_get(layer->spec, "names")));
  MOON_TRY(build_children(layer, build, false));
  if (layer->child_count > MOST_BRANCHES) return moon_layer_fail(layer, "has %zu heads; at most %d", layer->child_count, MOST_BRANCHES);
  for (size_t i = 0; i < layer->child_count; i++) {
    const moon_form *head = &layer->children[i]->out;
    if (head->ids || head->dims != 1 || head->shape[0] != 1)
      return moon_layer_fail(layer, "the head '%s' must give one number, it gives %s", layer->children[i]->key, moon_form_write(head).text);
  }
  layer->out = (moon_form){.dims = 1, .shape = {layer->child_count}};
  return read_times(layer, build);
}

/* The logit of the product of the probabilities whose logits a and b are (Ma et al. 2018: pCTCVR = pCTR pCVR). With s the softplus,
 *   1 / p - 1 = (1 + e^-a)(1 + e^-b) - 1 = e^-a (1 + e^(s(a) - b)), so the logit is a - s(s(a) - b):
 * nothing is rounded to 0 or 1 on the way. */
static moon_status multiply_logits(moon_tape *tape, moon_var a, moon_var b, moon_var *out) {
  moon_var s;
  MOON_TRY(moon_op_softplus(tape, a, &s));
  MOON_TRY(moon_op_sub(tape, s, b, &s));
  MOON_TRY(moon_op_softplus(tape, s, &s));
  return moon_op_sub(tape, a, s, out);
}

static moon_status heads_forward(const moon_layer *layer, const moon_pass *pass, const moon_value *in, moon_value *out) {
  moon_var parts[MOST_BRANCHES] = {{0}};
  for (size_t i = 0; i < layer->child_count; i++) {
    moon_value head;
    size_t times = layer->times[i];
    MOON_TRY(moon_layer_forward(layer->children[i], pass, in, &head));
    parts[i] = head.x;
    if (times != i) MOON_TRY(multiply_logits(pass->tape, parts[times], parts[i], &parts[i]));
  }
  *out = (moon_value){.x = parts[0]};
  return layer->child_count > 1 ? moon_op_concat(pass->tape, parts, layer->child_count, &out->x) : moon_ok();
}

const moon_layer_kind moon_layer_heads = {"heads", heads_build, heads_forward, true};

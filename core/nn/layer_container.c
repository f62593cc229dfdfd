/* layer_container.c - layers made of layers: one after the other, around a shortcut, side by side. */
#include <stdio.h>

#include "nn/layer.h"

/* Children from the list "layers", the first fed with `in`; chained: each with what the one before gives, else all with the
 * same. */
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
    snprintf(key, sizeof key, "%zu", i);
    MOON_TRY(moon_layer_child(layer, build, json_array_get(list, i), key, &in, &child));
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

/* ---- parallel: branches on one input, their results side by side (concat) or added (sum) --------------------------------- */
/* choice: a merge */

enum { CONCAT, SUM, MOST_BRANCHES = 64 };
static const char *const merges[] = {"concat", "sum"};

/* Whether two branches may be merged: of one shape, but for the last dimension of a concat. */
static bool fits(const moon_form *a, const moon_form *b, int merge) {
  if (a->ids || b->ids || a->dims < 1 || a->dims != b->dims) return false;
  return moon_shape_equal(a->dims - (merge == CONCAT), a->shape, b->dims - (merge == CONCAT), b->shape);
}

static moon_status parallel_build(moon_layer *layer, moon_build *build) {
  MOON_TRY(moon_spec_choice(layer, "merge", merges, 2, &layer->choice));
  MOON_TRY(build_children(layer, build, false));
  if (layer->child_count > MOST_BRANCHES)
    return moon_layer_fail(layer, "has %zu branches; at most %d", layer->child_count, MOST_BRANCHES);
  const moon_form *first = &layer->children[0]->out;
  layer->out = *first;
  for (size_t i = 0; i < layer->child_count; i++) {
    const moon_form *branch = &layer->children[i]->out;
    if (!fits(first, branch, layer->choice))
      return moon_layer_fail(layer, "cannot %s %s and %s (branch %zu)", merges[layer->choice], moon_form_write(first).text,
                             moon_form_write(branch).text, i);
    if (i && layer->choice == CONCAT) layer->out.shape[layer->out.dims - 1] += branch->shape[branch->dims - 1];
  }
  return moon_ok();
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
  if (layer->child_count > 1 && layer->choice == CONCAT) return moon_op_concat(pass->tape, parts, layer->child_count, &out->x);
  for (size_t i = 1; i < layer->child_count; i++) MOON_TRY(moon_op_add(pass->tape, out->x, parts[i], &out->x));
  return moon_ok();
}

const moon_layer_kind moon_layer_parallel = {"parallel", parallel_build, parallel_forward, true, merges};

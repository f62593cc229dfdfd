/* layer_interact.c - products of features with features: what a sum of weights cannot say. */
#include <stdio.h>

#include "nn/layer.h"

/* ---- fm: fields [n, f, d] -> the sum of the products of all pairs [n, d] (Rendle 2010) ----------------------------------- */

static moon_status fm_build(moon_layer *layer, moon_build *build) {
  (void)build;
  if (layer->in.ids || layer->in.dims != 2) return moon_layer_refuse(layer, "[n, fields, d]");
  layer->out.dims = 1, layer->out.shape[0] = layer->in.shape[1];
  return moon_ok();
}

static moon_status fm_forward(const moon_layer *layer, const moon_pass *pass, const moon_value *in, moon_value *out) {
  (void)layer;
  out->lengths = NULL;
  return moon_op_fm(pass->tape, in->x, &out->x);
}

const moon_layer_kind moon_layer_fm = {"fm", fm_build, fm_forward, false};

/* ---- cross: x <- x0 (x W + b) + x, a few times, x0 [n, d] what came in (DCN-v2, Wang et al. 2021) ------------------------ */
/* size: how many times */

static moon_status cross_build(moon_layer *layer, moon_build *build) {
  if (layer->in.ids || layer->in.dims != 1) return moon_layer_refuse(layer, "[n, d]");
  size_t d = layer->in.shape[0];
  layer->size = 1;
  MOON_TRY(moon_spec_size(layer, "layers", false, 1, 16, &layer->size));
  for (size_t i = 0; i < layer->size; i++) {
    char name[32];
    snprintf(name, sizeof name, "%zu.weight", i);
    MOON_TRY(moon_layer_param(layer, build, name, 2, (size_t[]){d, d}, MOON_INIT_GLOROT, false));
    snprintf(name, sizeof name, "%zu.bias", i);
    MOON_TRY(moon_layer_param(layer, build, name, 1, &d, MOON_INIT_ZEROS, false));
  }
  return moon_ok();
}

static moon_status cross_forward(const moon_layer *layer, const moon_pass *pass, const moon_value *in, moon_value *out) {
  moon_var x = in->x, w, b;
  for (size_t i = 0; i < layer->size; i++) {
    MOON_TRY(moon_layer_leaf(layer, pass, 2 * i, &w));
    MOON_TRY(moon_layer_leaf(layer, pass, 2 * i + 1, &b));
    MOON_TRY(moon_op_cross(pass->tape, in->x, x, w, b, &x));
  }
  out->x = x;
  return moon_ok();
}

const moon_layer_kind moon_layer_cross = {"cross", cross_build, cross_forward, false};

/* ---- dot: the product of what two branches make of a row, [n, d] and [n, d] -> [n, 1] ------------------------------------ */
/* flag: the first branch is of the user alone, and goes through once for a group; choice: so it is, and the second is of the item alone */

static moon_status dot_build(moon_layer *layer, moon_build *build) {
  const json_t *list = json_object_get(layer->spec, "layers"), *first = json_array_get(list, 0), *second = json_array_get(list, 1);
  moon_layer *a, *b;
  if (json_array_size(list) != 2) return moon_layer_fail(layer, "takes the product of two branches, not of %zu", json_array_size(list));
  layer->flag = moon_spec_is_of(build, first, MOON_OF_USER);
  layer->choice = layer->flag && moon_spec_is_of(build, second, MOON_OF_ITEM);
  bool before = moon_build_once(build, false);
  moon_build_once(build, before || layer->flag);
  moon_status status = moon_layer_child(layer, build, first, "0", &layer->in, &a);
  moon_build_once(build, before);
  if (status.code) return status;
  MOON_TRY(moon_layer_child(layer, build, second, "1", &layer->in, &b));
  if (a->out.ids || b->out.ids || a->out.dims != 1 || b->out.dims != 1 || a->out.shape[0] != b->out.shape[0])
    return moon_layer_fail(layer, "needs two rows of one width, not %s and %s", moon_form_write(&a->out).text, moon_form_write(&b->out).text);
  layer->out = (moon_form){.dims = 1, .shape = {1}};
  return moon_ok();
}

/* a [n / each, d] by b [n, d]: each row of a with the `each` rows of b that lie together. */
static moon_status multiply(const moon_pass *pass, size_t each, size_t d, moon_var a, moon_var b, moon_var *out) {
  size_t groups = pass->rows / each;
  moon_tape *tape = pass->tape;
  if (each == 1) {
    MOON_TRY(moon_op_mul(tape, a, b, &a));
    return moon_op_sum_along(tape, a, 1, true, out);
  }
  MOON_TRY(moon_op_reshape(tape, a, 3, (size_t[]){groups, d, 1}, &a));
  MOON_TRY(moon_op_reshape(tape, b, 3, (size_t[]){groups, each, d}, &b));
  MOON_TRY(moon_op_bmm(tape, b, a, false, false, &a));
  return moon_op_reshape(tape, a, 2, (size_t[]){pass->rows, 1}, out);
}

/* a [n, d] by b [n + k, d]: each row by its own, and by the k that are for all -> [n, 1 + k]. */
static moon_status multiply_own_first(const moon_pass *pass, moon_var a, moon_var b, moon_var *out) {
  moon_tape *tape = pass->tape;
  size_t n = moon_var_shape(tape, a)[0], all = moon_var_shape(tape, b)[0];
  moon_var own, parts[2];
  MOON_TRY(moon_op_slice(tape, b, 0, 0, n, &own));
  MOON_TRY(moon_op_mul(tape, a, own, &own));
  MOON_TRY(moon_op_sum_along(tape, own, 1, true, &parts[0]));
  MOON_TRY(moon_op_slice(tape, b, 0, n, all, &parts[1]));
  MOON_TRY(moon_op_bmm(tape, a, parts[1], false, true, &parts[1]));
  return moon_op_concat(tape, parts, 2, out);
}

static moon_status dot_forward(const moon_layer *layer, const moon_pass *pass, const moon_value *in, moon_value *out) {
  size_t each = layer->flag && pass->each > 1 ? pass->each : 1;
  moon_pass user = *pass, item = *pass;
  moon_value a, b;
  if (each > 1) user.rows /= each, user.inputs = pass->once, user.each = 1;
  if (pass->items) item.rows = pass->item_count, item.inputs = pass->items, item.each = 1, item.reads = NULL;
  MOON_TRY(moon_layer_forward(layer->children[0], &user, in, &a));
  MOON_TRY(moon_layer_forward(layer->children[1], &item, in, &b));
  *out = (moon_value){.lengths = NULL};
  if (pass->items && pass->own_first) return multiply_own_first(pass, a.x, b.x, &out->x);
  if (pass->items) return moon_op_bmm(pass->tape, a.x, b.x, false, true, &out->x);
  return multiply(pass, each, layer->children[0]->out.shape[0], a.x, b.x, &out->x);
}

const moon_layer_kind moon_layer_dot = {"dot", dot_build, dot_forward, true};

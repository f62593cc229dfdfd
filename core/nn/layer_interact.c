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

/* layer_norm.c - layers that bring numbers to mean 0 and deviation 1 and then to what they learn: x^ gamma + beta. */
#include "nn/layer.h"

/* epsilon; rate: the momentum */
static moon_status norm_build(moon_layer *layer, moon_build *build, double epsilon) {
  if (layer->in.ids || layer->in.dims < 1) return moon_layer_refuse(layer, "[n, ..., d]");
  size_t d = layer->in.shape[layer->in.dims - 1];
  layer->epsilon = epsilon;
  MOON_TRY(moon_spec_number(layer, "epsilon", false, 1e-12, 1, &layer->epsilon));
  MOON_TRY(moon_layer_param(layer, build, "gamma", 1, &d, MOON_INIT_ONES, false));
  return moon_layer_param(layer, build, "beta", 1, &d, MOON_INIT_ZEROS, false);
}

static moon_status affine(const moon_layer *layer, const moon_pass *pass, moon_var *gamma, moon_var *beta) {
  MOON_TRY(moon_layer_leaf(layer, pass, 0, gamma));
  return moon_layer_leaf(layer, pass, 1, beta);
}

/* ---- layer_norm: over the last dimension (Ba, Kiros & Hinton 2016) ------------------------------------------------------- */

static moon_status layer_norm_build(moon_layer *layer, moon_build *build) { return norm_build(layer, build, 1e-5); }

static moon_status layer_norm_forward(const moon_layer *layer, const moon_pass *pass, const moon_value *in, moon_value *out) {
  moon_var gamma, beta;
  MOON_TRY(affine(layer, pass, &gamma, &beta));
  return moon_op_layer_norm(pass->tape, in->x, gamma, beta, layer->epsilon, &out->x);
}

const moon_layer_kind moon_layer_layer_norm = {"layer_norm", layer_norm_build, layer_norm_forward, false};

/* ---- batch_norm: over the batch (Ioffe & Szegedy 2015) ------------------------------------------------------------------- */
/* The running statistics are saved with the parameters. Frozen, or on a single row, the layer uses them also in training. */

static moon_status batch_norm_build(moon_layer *layer, moon_build *build) {
  layer->rate = 0.1;
  MOON_TRY(norm_build(layer, build, 1e-3));
  MOON_TRY(moon_spec_number(layer, "momentum", false, 0, 1, &layer->rate));
  size_t d = layer->in.shape[layer->in.dims - 1];
  MOON_TRY(moon_layer_buffer(layer, build, "mean", d, 0));
  return moon_layer_buffer(layer, build, "variance", d, 1);
}

static moon_status batch_norm_forward(const moon_layer *layer, const moon_pass *pass, const moon_value *in, moon_value *out) {
  moon_var gamma, beta;
  MOON_TRY(affine(layer, pass, &gamma, &beta));
  bool learns = pass->training && !layer->frozen && pass->rows > 1;
  return moon_op_batch_norm(pass->tape, in->x, gamma, beta, layer->buffers[0], layer->buffers[1], layer->rate, layer->epsilon,
                            learns, &out->x);
}

const moon_layer_kind moon_layer_batch_norm = {"batch_norm", batch_norm_build, batch_norm_forward, false};

/* module_compile.c - a trained stack folded into plain dense layers for moon_infer.
 *
 * In use a batch_norm is x s + t for each column. Behind a linear dense layer it scales that one's columns; elsewhere it waits
 * and scales the rows of the next one's weight. Dropout is nothing; an activation is the dense layer's before it. Whatever
 * does not fold so is left to the tape. */
#include <math.h>
#include <string.h>

#include "nn/layer.h"

typedef struct fold {
  moon_dense **layers;
  size_t n, cap;
  float *scale, *shift; /* x s + t that waits for the next dense layer [width]; NULL: none waits */
  bool fits;
} fold;

static void drop_waiting(fold *f) {
  moon_free(f->scale);
  moon_free(f->shift);
  f->scale = f->shift = NULL;
}

static const float *floats(const moon_tensor *tensor) { return moon_tensor_data(tensor); }

/* ---- dense --------------------------------------------------------------------------------------------------------------- */

/* (x s + t) W + b = x (s W) + (t W + b), row by row. */
static void apply_waiting(fold *f, moon_dense *dense) {
  const size_t *shape = moon_tensor_shape(dense->weight->value);
  float *weight = moon_tensor_data(dense->weight->value), *bias = moon_tensor_data(dense->bias->value);
  for (size_t k = 0; k < shape[0] && f->scale; k++, weight += shape[1])
    for (size_t j = 0; j < shape[1]; j++) {
      bias[j] += f->shift[k] * weight[j];
      weight[j] *= f->scale[k];
    }
  drop_waiting(f);
}

static moon_status fold_dense(fold *f, const moon_layer *layer) {
  f->fits = layer->in.dims == 1 && layer->choice <= MOON_TANH;
  if (!f->fits) return moon_ok();
  const moon_tensor *weight = layer->params[0]->value;
  const size_t *shape = moon_tensor_shape(weight);
  moon_rng unused;
  moon_rng_seed(&unused, 0, 0);
  MOON_TRY(moon_grow(&f->layers, &f->cap, f->n + 1, sizeof *f->layers));
  moon_dense *dense;
  MOON_TRY(moon_dense_new(layer->params[0]->name, shape[0], shape[1], (moon_activation)layer->choice, &unused, &dense));
  f->layers[f->n++] = dense;
  memcpy(moon_tensor_data(dense->weight->value), floats(weight), moon_tensor_count(weight) * sizeof(float));
  if (layer->flag) memcpy(moon_tensor_data(dense->bias->value), floats(layer->params[1]->value), shape[1] * sizeof(float));
  apply_waiting(f, dense);
  return moon_ok();
}

static void fold_activation(fold *f, const moon_layer *layer) {
  moon_dense *before = f->n ? f->layers[f->n - 1] : NULL;
  if (layer->choice == MOON_LINEAR) return;
  f->fits = before && !f->scale && before->activation == MOON_LINEAR && layer->choice <= MOON_TANH;
  if (f->fits) before->activation = (moon_activation)layer->choice;
}

/* ---- batch_norm ---------------------------------------------------------------------------------------------------------- */

static void affine_of(const moon_layer *layer, size_t j, float *scale, float *shift) {
  double s = floats(layer->params[0]->value)[j] / sqrt(floats(layer->buffers[1])[j] + layer->epsilon);
  *scale = (float)s;
  *shift = (float)(floats(layer->params[1]->value)[j] - floats(layer->buffers[0])[j] * s);
}

static void scale_columns(moon_dense *dense, const moon_layer *norm) {
  const size_t *shape = moon_tensor_shape(dense->weight->value);
  float *weight = moon_tensor_data(dense->weight->value), *bias = moon_tensor_data(dense->bias->value);
  for (size_t j = 0; j < shape[1]; j++) {
    float scale, shift;
    affine_of(norm, j, &scale, &shift);
    for (size_t k = 0; k < shape[0]; k++) weight[k * shape[1] + j] *= scale;
    bias[j] = bias[j] * scale + shift;
  }
}

static moon_status fold_norm(fold *f, const moon_layer *layer) {
  size_t width = layer->in.shape[0];
  f->fits = layer->in.dims == 1;
  if (!f->fits) return moon_ok();
  if (f->n && !f->scale && f->layers[f->n - 1]->activation == MOON_LINEAR)
    return scale_columns(f->layers[f->n - 1], layer), moon_ok();
  bool is_first = !f->scale;
  if (is_first) {
    f->scale = moon_alloc(width * sizeof *f->scale);
    f->shift = moon_alloc(width * sizeof *f->shift);
    if (!f->scale || !f->shift) return moon_fail(MOON_ENOMEM, "no memory to compile a model");
  }
  for (size_t j = 0; j < width; j++) {
    float scale, shift;
    affine_of(layer, j, &scale, &shift);
    f->shift[j] = is_first ? shift : f->shift[j] * scale + shift;
    f->scale[j] = is_first ? scale : f->scale[j] * scale;
  }
  return moon_ok();
}

/* ---- the stack ----------------------------------------------------------------------------------------------------------- */

static moon_status fold_layer(fold *f, const moon_layer *layer) {
  const moon_layer_kind *kind = layer->kind;
  f->fits = !layer->input; /* a layer with an input of its own ends the flow */
  if (!f->fits || kind == &moon_layer_dropout || kind == &moon_layer_input) return moon_ok();
  if (kind == &moon_layer_dense) return fold_dense(f, layer);
  if (kind == &moon_layer_batch_norm) return fold_norm(f, layer);
  if (kind == &moon_layer_activation) return fold_activation(f, layer), moon_ok();
  f->fits = kind == &moon_layer_sequential;
  for (size_t i = 0; i < layer->child_count && f->fits; i++) MOON_TRY(fold_layer(f, layer->children[i]));
  return moon_ok();
}

moon_status moon_module_compile(const moon_module *module, moon_activation last, moon_infer **out) {
  fold f = {0};
  *out = NULL;
  moon_status status = module->dtype == MOON_F32 ? fold_layer(&f, module->root) : moon_ok();
  moon_activation *activation = f.n ? &f.layers[f.n - 1]->activation : NULL;
  if (f.fits && activation && !f.scale && (*activation == MOON_LINEAR || last == MOON_LINEAR)) {
    if (last != MOON_LINEAR) *activation = last;
    if (!status.code) status = moon_infer_new(f.layers, f.n, out);
  }
  for (size_t i = 0; i < f.n; i++) moon_dense_free(f.layers[i]);
  moon_free(f.layers);
  drop_waiting(&f);
  return status;
}

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
  moon_status why;      /* what does not fold, MOON_OK: nothing so far */
} fold;

static bool fits(const fold *f) {
  return !f->why.code;
}

static void drop_waiting(fold *f) {
  moon_free(f->scale);
  moon_free(f->shift);
  f->scale = f->shift = NULL;
}

static const float *floats(const moon_tensor *tensor) {
  return moon_tensor_data(tensor);
}

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

/* What does not fit into the stack. */
static moon_status outside(fold *f, const moon_layer *layer, const char *reason) {
  f->why = moon_layer_fail(layer, "does not compile: %s", reason);
  return moon_ok();
}

static const char only_four[] = "of the activations only linear, relu, sigmoid and tanh do",
                  only_rows[] = "it works on more than rows of numbers";

static moon_status fold_dense(fold *f, const moon_layer *layer) {
  if (layer->in.dims != 1) return outside(f, layer, only_rows);
  if (layer->choice > MOON_TANH) return outside(f, layer, only_four);
  const moon_tensor *weight = layer->params[0]->value;
  const size_t *shape = moon_tensor_shape(weight);
  MOON_TRY(moon_grow(&f->layers, &f->cap, f->n + 1, sizeof *f->layers));
  moon_dense *dense;
  MOON_TRY(moon_dense_new(layer->params[0]->name, shape[0], shape[1], (moon_activation)layer->choice, NULL, &dense));
  f->layers[f->n++] = dense;
  memcpy(moon_tensor_data(dense->weight->value), floats(weight), moon_tensor_count(weight) * sizeof(float));
  if (layer->flag) memcpy(moon_tensor_data(dense->bias->value), floats(layer->params[1]->value), shape[1] * sizeof(float));
  apply_waiting(f, dense);
  return moon_ok();
}

static moon_status fold_activation(fold *f, const moon_layer *layer) {
  moon_dense *before = f->n ? f->layers[f->n - 1] : NULL;
  if (layer->choice == MOON_LINEAR) return moon_ok();
  if (layer->choice > MOON_TANH) return outside(f, layer, only_four);
  if (!before || f->scale || before->activation != MOON_LINEAR)
    return outside(f, layer, "there is no linear dense layer before it");
  before->activation = (moon_activation)layer->choice;
  return moon_ok();
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
  if (layer->in.dims != 1) return outside(f, layer, only_rows);
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
  if (layer->input) return outside(f, layer, "it reads an input of its own");
  if (kind == &moon_layer_dropout || kind == &moon_layer_input) return moon_ok();
  if (kind == &moon_layer_dense) return fold_dense(f, layer);
  if (kind == &moon_layer_batch_norm) return fold_norm(f, layer);
  if (kind == &moon_layer_activation) return fold_activation(f, layer);
  if (kind != &moon_layer_sequential) return outside(f, layer, "only dense, activation, batch_norm and dropout do");
  for (size_t i = 0; i < layer->child_count && fits(f); i++) MOON_TRY(fold_layer(f, layer->children[i]));
  return moon_ok();
}

/* The whole stack, with `last` behind it. */
static moon_status fold_all(fold *f, const moon_module *module, moon_activation last) {
  const moon_layer *root = module->root;
  if (module->dtype != MOON_F32) return outside(f, root, "its numbers are f64, and only f32 do");
  MOON_TRY(fold_layer(f, root));
  if (!fits(f)) return moon_ok();
  if (!f->n) return outside(f, root, "there is no dense layer in it");
  if (f->scale) return outside(f, root, "it ends with a batch_norm behind an activation");
  moon_activation *activation = &f->layers[f->n - 1]->activation;
  if (*activation != MOON_LINEAR && last != MOON_LINEAR) return outside(f, root, "two activations stand at its end");
  if (last != MOON_LINEAR) *activation = last;
  return moon_ok();
}

moon_status moon_module_compile(const moon_module *module, moon_activation last, moon_infer **out, moon_status *why) {
  fold f = {.why = moon_ok()};
  *out = NULL;
  moon_status status = fold_all(&f, module, last);
  if (!status.code && fits(&f)) status = moon_infer_new(f.layers, f.n, out);
  if (why) *why = f.why;
  for (size_t i = 0; i < f.n; i++) moon_dense_free(f.layers[i]);
  moon_free(f.layers);
  drop_waiting(&f);
  return status;
}

/* dense.c - the dense layer: y = act(x W + b). */
#include <string.h>

#include "nn/nn.h"
#include "nn/param.h"

static const char *const activations[] = {"linear", "relu", "sigmoid", "tanh"};
enum { ACTIVATIONS = sizeof activations / sizeof *activations };

moon_status moon_activation_parse(const char *name, moon_activation *out) {
  for (int i = 0; i < ACTIVATIONS; i++) {
    if (strcmp(name, activations[i])) continue;
    *out = (moon_activation)i;
    return moon_ok();
  }
  const char *near = moon_nearest(name, activations, ACTIVATIONS);
  if (near) return moon_fail(MOON_EINVAL, "there is no activation \"%s\"; did you mean \"%s\"?", name, near);
  return moon_fail(MOON_EINVAL, "there is no activation \"%s\"; there are linear, relu, sigmoid and tanh", name);
}

const char *moon_activation_name(moon_activation activation) {
  return (unsigned)activation < ACTIVATIONS ? activations[activation] : "?";
}

moon_status moon_dense_new(const char *name, size_t in, size_t out_units, moon_activation activation, moon_rng *rng, moon_dense **out) {
  *out = NULL;
  if (!in || !out_units) return moon_fail(MOON_EINVAL, "dense \"%s\": %zu inputs to %zu units; both must be at least 1", name, in, out_units);
  if ((unsigned)activation >= ACTIVATIONS) return moon_fail(MOON_EINVAL, "dense \"%s\": activation %d does not exist", name, (int)activation);
  moon_dense *dense = moon_calloc(1, sizeof *dense);
  moon_buf key = {0};
  moon_status st = dense ? moon_ok() : moon_fail(MOON_ENOMEM, "dense \"%s\": no memory", name);
  if (!st.code) {
    dense->activation = activation;
    moon_buf_printf(&key, "%s.weight", name);
    if (key.failed) st = moon_fail(MOON_ENOMEM, "dense \"%s\": no memory", name);
  }
  if (!st.code) st = moon_param_new(key.data, MOON_F32, 2, (size_t[]){in, out_units}, false, &dense->weight);
  moon_buf_reset(&key);
  moon_buf_printf(&key, "%s.bias", name);
  if (!st.code && key.failed) st = moon_fail(MOON_ENOMEM, "dense \"%s\": no memory", name);
  if (!st.code) st = moon_param_new(key.data, MOON_F32, 1, &out_units, false, &dense->bias);
  moon_buf_free(&key);
  if (st.code) {
    moon_dense_free(dense);
    return st;
  }
  if (rng) moon_init_glorot(dense->weight, rng);
  *out = dense;
  return moon_ok();
}

void moon_dense_free(moon_dense *dense) {
  if (!dense) return;
  moon_param_free(dense->weight);
  moon_param_free(dense->bias);
  moon_free(dense);
}

moon_status moon_dense_forward(moon_tape *tape, moon_dense *dense, moon_var x, moon_var *y) {
  moon_var w, b;
  moon_status st = moon_tape_leaf(tape, dense->weight->value, moon_param_sink(dense->weight), &w);
  if (!st.code) st = moon_tape_leaf(tape, dense->bias->value, moon_param_sink(dense->bias), &b);
  if (!st.code) st = moon_op_dense(tape, x, w, b, dense->activation, y);
  return st.code ? moon_wrap(st, "layer of \"%s\"", dense->weight->name) : st;
}

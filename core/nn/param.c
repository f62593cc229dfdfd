/* param.c - trainable tensors: value, gradient, and for sparse ones the list of rows that hold a gradient.
 *
 * A sparse parameter has room for every row in its list from the start: noting a touched row cannot fail and allocates nothing. */
#include <math.h>
#include <string.h>

#include "nn/nn.h"
#include "nn/param.h"

moon_status moon_param_new(const char *name, moon_dtype dtype, int dims, const size_t *shape, bool sparse, moon_param **out) {
  *out = NULL;
  if (dtype != MOON_F32 && dtype != MOON_F64)
    return moon_fail(MOON_EINVAL, "parameter \"%s\": trainable tensors are f32 or f64, not %s", name, moon_dtype_name(dtype));
  if (sparse && (dims != 2 || shape[0] > MOON_NONE))
    return moon_fail(MOON_EINVAL, "parameter \"%s\": a sparse one is [rows, dim], not %s", name, moon_shape_write(dims, shape).text);
  moon_param *param = moon_calloc(1, sizeof *param);
  if (!param) return moon_fail(MOON_ENOMEM, "parameter \"%s\": no memory", name);
  param->sparse = sparse;
  moon_status st = moon_tensor_new(dtype, dims, shape, &param->value);
  if (!st.code) st = moon_tensor_new(dtype, dims, shape, &param->grad);
  if (!st.code && !(param->name = moon_strdup(name))) st = moon_fail(MOON_ENOMEM, "no memory");
  if (!st.code && sparse) {
    param->touched_cap = shape[0];
    param->touched = moon_alloc(shape[0] * sizeof *param->touched);
    param->is_touched = moon_calloc(shape[0], sizeof *param->is_touched);
    if (!param->touched || !param->is_touched) st = moon_fail(MOON_ENOMEM, "no memory for %zu rows", shape[0]);
  }
  if (st.code) {
    moon_param_free(param);
    return moon_wrap(st, "parameter \"%s\"", name);
  }
  *out = param;
  return moon_ok();
}

void moon_param_free(moon_param *param) {
  if (!param) return;
  moon_tensor_free(param->value);
  moon_tensor_free(param->grad);
  moon_free(param->name);
  moon_free(param->touched);
  moon_free(param->is_touched);
  moon_free(param);
}

void moon_param_touch(void *self, uint32_t row) {
  moon_param *param = self;
  if (param->is_touched[row]) return;
  param->is_touched[row] = 1;
  param->touched[param->touched_n++] = row;
}

void moon_param_zero_grad(moon_param *param) {
  if (!param->sparse) {
    moon_tensor_fill(param->grad, 0);
    return;
  }
  size_t dim = moon_tensor_shape(param->grad)[1];
  char *grad = moon_tensor_data(param->grad);
  size_t bytes = dim * moon_dtype_size(moon_tensor_dtype(param->grad));
  for (size_t i = 0; i < param->touched_n; i++) {
    uint32_t row = param->touched[i];
    memset(grad + row * bytes, 0, bytes);
    param->is_touched[row] = 0;
  }
  param->touched_n = 0;
}

/* ---- initial values --------------------------------------------------------------------------------------------------------- */

static void put(moon_param *param, size_t at, double value) {
  if (moon_tensor_dtype(param->value) == MOON_F32) ((float *)moon_tensor_data(param->value))[at] = (float)value;
  else ((double *)moon_tensor_data(param->value))[at] = value;
}

/* in and out of a weight [in, out]; a vector feeds one unit. */
static void fans(const moon_param *param, double *in, double *out) {
  const size_t *shape = moon_tensor_shape(param->value);
  int dims = moon_tensor_dims(param->value);
  *in = dims ? (double)shape[0] : 1;
  *out = dims > 1 ? (double)shape[dims - 1] : 1;
}

void moon_init_glorot(moon_param *param, moon_rng *rng) {
  double in, out;
  fans(param, &in, &out);
  double limit = in + out > 0 ? sqrt(6 / (in + out)) : 0;
  for (size_t i = 0; i < moon_tensor_count(param->value); i++) put(param, i, (2 * moon_rng_uniform(rng) - 1) * limit);
}

void moon_init_he(moon_param *param, moon_rng *rng) {
  double in, out;
  fans(param, &in, &out);
  moon_init_normal(param, rng, in > 0 ? sqrt(2 / in) : 0);
}

void moon_init_normal(moon_param *param, moon_rng *rng, double deviation) {
  for (size_t i = 0; i < moon_tensor_count(param->value); i++) put(param, i, moon_rng_normal(rng) * deviation);
}

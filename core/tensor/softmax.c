/* softmax.c - softmax and its logarithm over one dimension.
 *
 * The dimension is brought to the end, so that each distribution is one row; the largest element is taken away first, which
 * changes nothing of the answer and keeps exp from overflowing. A row of nothing but -inf has no distribution, and gives NaN. */
#include <math.h>

#include "tensor/kernel.h"

enum { LANES = 8 }; /* so that one comparison or sum does not wait for another */

MOON_INLINE float largest(size_t n, const float *x) {
  float lane[LANES];
  size_t i = 0;
  for (int l = 0; l < LANES; l++) lane[l] = x[0];
  for (; i + LANES <= n; i += LANES)
    for (int l = 0; l < LANES; l++) lane[l] = x[i + (size_t)l] > lane[l] ? x[i + (size_t)l] : lane[l];
  for (; i < n; i++) lane[0] = x[i] > lane[0] ? x[i] : lane[0];
  for (int l = 1; l < LANES; l++) lane[0] = lane[l] > lane[0] ? lane[l] : lane[0];
  return lane[0];
}

MOON_INLINE double total(size_t n, const float *x) {
  double lane[LANES] = {0};
  size_t i = 0;
  for (; i + LANES <= n; i += LANES)
    for (int l = 0; l < LANES; l++) lane[l] += (double)x[i + (size_t)l];
  for (; i < n; i++) lane[0] += (double)x[i];
  return ((lane[0] + lane[4]) + (lane[1] + lane[5])) + ((lane[2] + lane[6]) + (lane[3] + lane[7]));
}

/* `e` [n] takes the exponentials: x itself, or for logarithms a row beside, since x is still needed then. */
MOON_CLONES static void rows_f32(size_t rows, size_t n, bool logs, float *x, float *beside) {
  for (size_t r = 0; r < rows; r++, x += n) {
    float most = largest(n, x), *e = logs ? beside : x;
    MOON_IVDEP for (size_t i = 0; i < n; i++) e[i] = moon_expf(x[i] - most);
    double sum = total(n, e);
    float share = (float)(1 / sum), less = (float)log(sum);
    if (logs)
      for (size_t i = 0; i < n; i++) x[i] = x[i] - most - less;
    else
      for (size_t i = 0; i < n; i++) x[i] *= share;
  }
}

static void rows_f64(size_t rows, size_t n, bool logs, double *x) {
  for (size_t r = 0; r < rows; r++, x += n) {
    double most = x[0], sum = 0;
    for (size_t i = 1; i < n; i++) most = x[i] > most ? x[i] : most;
    for (size_t i = 0; i < n; i++) sum += exp(x[i] - most);
    for (size_t i = 0; i < n; i++) x[i] = logs ? x[i] - most - log(sum) : exp(x[i] - most) / sum;
  }
}

static moon_status run(moon_tensor *t, bool logs) {
  size_t n = t->shape[t->dims - 1];
  float *beside = NULL;
  if (!t->count) return moon_ok();
  if (t->dtype == MOON_F64) {
    rows_f64(t->count / n, n, logs, (double *)(void *)t->data);
    return moon_ok();
  }
  if (logs && !(beside = moon_alloc(n * sizeof *beside))) return moon_fail(MOON_ENOMEM, "no memory for a row of %zu", n);
  rows_f32(t->count / n, n, logs, (float *)(void *)t->data, beside);
  moon_free(beside);
  return moon_ok();
}

static moon_status softmax(const char *name, const moon_tensor *a, int dim, bool logs, moon_tensor **out) {
  *out = NULL;
  MOON_TRY(moon_check_dim(name, a, dim));
  int last = a->dims - 1;
  moon_tensor *turned = NULL, *rows = NULL, *back = NULL;
  moon_status st = moon_tensor_transpose(a, dim, last, &turned);
  if (!st.code) st = moon_tensor_cast(turned, moon_dtype_real(a->dtype), &rows);
  if (!st.code) st = run(rows, logs);
  if (!st.code && dim != last) {
    st = moon_tensor_transpose(rows, dim, last, &back);
    if (!st.code) st = moon_tensor_contiguous(back, out);
  } else if (!st.code) {
    *out = rows, rows = NULL;
  }
  moon_tensor_free(turned);
  moon_tensor_free(rows);
  moon_tensor_free(back);
  return st.code ? moon_wrap(st, "%s", name) : st;
}

moon_status moon_tensor_softmax(const moon_tensor *a, int dim, moon_tensor **out) {
  return softmax("softmax", a, dim, false, out);
}
moon_status moon_tensor_log_softmax(const moon_tensor *a, int dim, moon_tensor **out) {
  return softmax("log_softmax", a, dim, true, out);
}

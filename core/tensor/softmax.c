/* softmax.c - softmax and its logarithm over one dimension.
 *
 * The dimension is brought to the end, so that each distribution is one row; the largest element is taken away first, which changes
 * nothing of the answer and keeps exp from overflowing. A row of nothing but -inf has no distribution, and gives NaN. */
#include <math.h>

#include "tensor/kernel.h"

MOON_CLONES static void rows_f32(size_t rows, size_t n, bool logs, float *x) {
  for (size_t r = 0; r < rows; r++, x += n) {
    float most = x[0];
    double sum = 0;
    for (size_t i = 1; i < n; i++) most = x[i] > most ? x[i] : most;
    if (logs) {
      for (size_t i = 0; i < n; i++) sum += (double)moon_expf(x[i] - most);
      float less = (float)log(sum);
      for (size_t i = 0; i < n; i++) x[i] = x[i] - most - less;
    } else {
      for (size_t i = 0; i < n; i++) x[i] = moon_expf(x[i] - most);
      for (size_t i = 0; i < n; i++) sum += (double)x[i];
      float share = (float)(1 / sum);
      for (size_t i = 0; i < n; i++) x[i] *= share;
    }
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

static void run(moon_tensor *t, bool logs) {
  size_t n = t->shape[t->dims - 1];
  if (!t->count) return;
  if (t->dtype == MOON_F32) rows_f32(t->count / n, n, logs, (float *)(void *)t->data);
  else rows_f64(t->count / n, n, logs, (double *)(void *)t->data);
}

static moon_status softmax(const char *name, const moon_tensor *a, int dim, bool logs, moon_tensor **out) {
  *out = NULL;
  MOON_TRY(moon_check_dim(name, a, dim));
  int last = a->dims - 1;
  moon_tensor *turned = NULL, *rows = NULL, *back = NULL;
  moon_status st = moon_tensor_transpose(a, dim, last, &turned);
  if (!st.code) st = moon_tensor_cast(turned, moon_dtype_real(a->dtype), &rows);
  if (!st.code) run(rows, logs);
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

moon_status moon_tensor_softmax(const moon_tensor *a, int dim, moon_tensor **out) { return softmax("softmax", a, dim, false, out); }
moon_status moon_tensor_log_softmax(const moon_tensor *a, int dim, moon_tensor **out) { return softmax("log_softmax", a, dim, true, out); }

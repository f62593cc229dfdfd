/* index.c - picking elements by position, and adding rows to positions.
 *
 * Positions come from outside, so all of them are checked before anything is written. */
#ifndef T
#include <string.h>

#include "tensor/kernel.h"

#define MOON_EACH_DTYPE "tensor/index.c"
#include "tensor/each_dtype.h"

/* A row-major copy or alias of the index, every position of which is in [0, n). */
static moon_status open_index(const char *name, const moon_tensor *index, size_t n, moon_tensor **out) {
  *out = NULL;
  if (index->dtype != MOON_I64)
    return moon_fail(MOON_EINVAL, "%s: positions are i64, not %s", name, moon_dtype_name(index->dtype));
  MOON_TRY(moon_tensor_dense(index, MOON_I64, out));
  const int64_t *at = (const int64_t *)(const void *)(*out)->data;
  for (size_t i = 0; i < index->count; i++) {
    if (at[i] >= 0 && (uint64_t)at[i] < n) continue;
    moon_status st = moon_fail(MOON_EINVAL, "%s: position %lld is outside of a dimension of %zu", name, (long long)at[i], n);
    moon_tensor_free(*out);
    *out = NULL;
    return st;
  }
  return moon_ok();
}

/* ---- take and gather ------------------------------------------------------------------------------------------------------- */

typedef void pick_fn(moon_axis axis, size_t n, const char *x, const int64_t *at, char *y, size_t each);

/* x [outer, axis.n, inner], at [n] -> y [outer, n, inner] */
static void pick_slices(moon_axis axis, size_t n, const char *x, const int64_t *at, char *y, size_t each) {
  size_t run = axis.inner * each;
  for (size_t o = 0; o < axis.outer; o++, x += axis.n * run)
    for (size_t i = 0; i < n; i++, y += run) memcpy(y, x + (size_t)at[i] * run, run);
}

/* x [outer, axis.n, inner], at [outer, n, inner] -> y as at */
static void pick_elements(moon_axis axis, size_t n, const char *x, const int64_t *at, char *y, size_t each) {
  for (size_t o = 0; o < axis.outer; o++, x += axis.n * axis.inner * each)
    for (size_t i = 0; i < n; i++)
      for (size_t j = 0; j < axis.inner; j++, at++, y += each) memcpy(y, x + ((size_t)*at * axis.inner + j) * each, each);
}

static moon_status pick(const char *name, pick_fn *kernel, const moon_tensor *a, int dim, const moon_tensor *index, int dims,
                        const size_t *shape, moon_tensor **out) {
  moon_axis axis = moon_axis_of(a, dim);
  moon_tensor *at = NULL, *dense = NULL, *y = NULL;
  moon_status st = open_index(name, index, axis.n, &at);
  if (st.code == MOON_EINVAL) return st;
  if (!st.code) st = moon_tensor_dense(a, a->dtype, &dense);
  if (!st.code) st = moon_tensor_new_in(moon_tensor_account(a), a->dtype, dims, shape, &y);
  if (!st.code && y->count)
    kernel(axis, shape[dim], dense->data, (const int64_t *)(const void *)at->data, y->data, moon_dtype_size(a->dtype));
  moon_tensor_free(at);
  moon_tensor_free(dense);
  if (st.code) return moon_wrap(st, "%s", name);
  *out = y;
  return st;
}

moon_status moon_tensor_take(const moon_tensor *a, int dim, const moon_tensor *index, moon_tensor **out) {
  *out = NULL;
  MOON_TRY(moon_check_dim("take", a, dim));
  if (index->dims != 1) return moon_fail(MOON_EINVAL, "take: positions are one dimension, not %s", moon_shape_of(index).text);
  size_t shape[MOON_MAX_DIMS];
  for (int d = 0; d < a->dims; d++) shape[d] = d == dim ? index->count : a->shape[d];
  return pick("take", pick_slices, a, dim, index, a->dims, shape, out);
}

moon_status moon_tensor_gather(const moon_tensor *a, int dim, const moon_tensor *index, moon_tensor **out) {
  *out = NULL;
  MOON_TRY(moon_check_dim("gather", a, dim));
  bool agree = a->dims == index->dims;
  for (int d = 0; agree && d < a->dims; d++) agree = d == dim || a->shape[d] == index->shape[d];
  if (!agree)
    return moon_fail(MOON_EINVAL, "gather: %s against positions %s: all but dimension %d must agree", moon_shape_of(a).text,
                     moon_shape_of(index).text, dim);
  return pick("gather", pick_elements, a, dim, index, index->dims, index->shape, out);
}

/* ---- scatter_add ----------------------------------------------------------------------------------------------------------- */

static moon_status check_scatter(const moon_tensor *into, const moon_tensor *index, const moon_tensor *rows) {
  bool agree = into->dims > 0 && index->dims == 1 && rows->dims == into->dims && rows->shape[0] == index->shape[0];
  for (int d = 1; agree && d < into->dims; d++) agree = rows->shape[d] == into->shape[d];
  if (!agree)
    return moon_fail(MOON_EINVAL, "scatter_add: rows %s at positions %s do not go into %s", moon_shape_of(rows).text,
                     moon_shape_of(index).text, moon_shape_of(into).text);
  if (into->dtype != rows->dtype)
    return moon_fail(MOON_EINVAL, "scatter_add: %s rows do not go into %s", moon_dtype_name(rows->dtype),
                     moon_dtype_name(into->dtype));
  return moon_check_writable("scatter_add", into);
}

moon_status moon_tensor_scatter_add(moon_tensor *into, const moon_tensor *index, const moon_tensor *rows) {
  typedef void scatter_fn(size_t m, size_t width, const int64_t *at, const void *rows, void *into);
  static scatter_fn *const kernels[4] = {scatter_f32, scatter_f64, scatter_i64, scatter_u8};
  MOON_TRY(check_scatter(into, index, rows));
  moon_tensor *at = NULL, *from = NULL, *to = NULL;
  moon_status st = open_index("scatter_add", index, into->shape[0], &at);
  if (st.code == MOON_EINVAL) return st;
  if (!st.code)
    st = moon_tensor_overlap(rows, into) ? moon_tensor_contiguous(rows, &from) : moon_tensor_dense(rows, rows->dtype, &from);
  if (!st.code) st = moon_tensor_dense(into, into->dtype, &to);
  if (!st.code && from->count)
    kernels[into->dtype](at->count, from->count / at->count, (const int64_t *)(const void *)at->data, from->data, to->data);
  if (!st.code && to->data != into->data) st = moon_tensor_copy(to, into); /* no overlap, so nothing that could fail */
  moon_tensor_free(at);
  moon_tensor_free(from);
  moon_tensor_free(to);
  return st.code ? moon_wrap(st, "scatter_add") : st;
}

#else /* ---- kernels, for each T \
         --------------------------------------------------------------------------------------------------- */

MOON_CLONES static void K(scatter)(size_t m, size_t width, const int64_t *at, const void *in, void *out) {
  const T *row = in;
  for (size_t i = 0; i < m; i++, row += width) {
    T *restrict y = (T *)out + (size_t)at[i] * width;
#if REAL
    for (size_t j = 0; j < width; j++) y[j] += row[j];
#else
    for (size_t j = 0; j < width; j++) y[j] = (T)((WIDE)y[j] + (WIDE)row[j]);
#endif
  }
}
#endif

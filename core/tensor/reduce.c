/* reduce.c - sums, means, extremes and their positions, over one dimension or all.
 *
 * A row-major tensor is [outer, n, inner] around the dimension that goes. Where inner is 1 the elements of one result lie side by
 * side: eight lanes add up blocks, and the blocks are added pairwise, so that the error grows with log n. Otherwise neighbours
 * belong to neighbouring results, and strips of results grow together, in f64, one row after the other. */
#ifndef T
#include <math.h>
#include <string.h>

#include "tensor/kernel.h"

enum { LANES = 8, RACES = 64, BLOCK = 1024, STRIP = 512 };

#define MOON_EACH_DTYPE "tensor/reduce.c"
#include "tensor/each_dtype.h"

typedef void reduce_fn(moon_reduction op, moon_axis axis, const void *x, void *y);

static const struct {
  const char *name;
  reduce_fn *kernel[4]; /* by dtype */
  moon_dtype yields[4];
  bool of_nothing;      /* has an answer */
} table[MOON_REDUCTION_COUNT] = {
    [MOON_REDUCE_SUM] = {"sum", {sum_f32, sum_f64, sum_i64, sum_u8}, {MOON_F32, MOON_F64, MOON_I64, MOON_I64}, true},
    [MOON_REDUCE_MEAN] = {"mean", {sum_f32, sum_f64, NULL, NULL}, {MOON_F32, MOON_F64, MOON_F64, MOON_F64}, true},
    [MOON_REDUCE_MAX] = {"max", {best_f32, best_f64, best_i64, best_u8}, {MOON_F32, MOON_F64, MOON_I64, MOON_U8}, false},
    [MOON_REDUCE_MIN] = {"min", {best_f32, best_f64, best_i64, best_u8}, {MOON_F32, MOON_F64, MOON_I64, MOON_U8}, false},
    [MOON_REDUCE_ARGMAX] = {"argmax",
                            {where_f32, where_f64, where_i64, where_u8},
                            {MOON_I64, MOON_I64, MOON_I64, MOON_I64},
                            false},
    [MOON_REDUCE_ARGMIN] = {"argmin",
                            {where_f32, where_f64, where_i64, where_u8},
                            {MOON_I64, MOON_I64, MOON_I64, MOON_I64},
                            false},
};

const char *moon_reduction_name(moon_reduction op) { return (unsigned)op < MOON_REDUCTION_COUNT ? table[op].name : NULL; }

/* The result's shape: without `dim`, or with it as 1. */
static int reduced_shape(const moon_tensor *a, int dim, bool keep, size_t *shape) {
  int dims = 0;
  for (int d = 0; d < a->dims; d++) {
    if (dim != MOON_ALL_DIMS && d != dim) shape[dims++] = a->shape[d];
    else if (keep) shape[dims++] = 1;
  }
  return dims;
}

moon_status moon_tensor_reduce(moon_reduction op, const moon_tensor *a, int dim, bool keep, moon_tensor **out) {
  *out = NULL;
  const char *name = moon_reduction_name(op);
  if (!name) return moon_fail(MOON_EINVAL, "there is no reduction %d", (int)op);
  if (dim != MOON_ALL_DIMS) MOON_TRY(moon_check_dim(name, a, dim));
  moon_axis axis = dim == MOON_ALL_DIMS ? (moon_axis){1, a->count, 1} : moon_axis_of(a, dim);
  if (!axis.n && !table[op].of_nothing)
    return moon_fail(MOON_EINVAL, "%s: there is no %s of nothing: %s", name, name, moon_shape_of(a).text);
  moon_dtype as = table[op].kernel[a->dtype] ? a->dtype : MOON_F64;
  size_t shape[MOON_MAX_DIMS];
  int dims = reduced_shape(a, dim, keep, shape);
  moon_tensor *dense = NULL, *y = NULL;
  moon_status st = moon_tensor_dense(a, as, &dense);
  if (!st.code) st = moon_tensor_new_in(moon_tensor_account(a), table[op].yields[a->dtype], dims, shape, &y);
  if (!st.code && y->count) table[op].kernel[as](op, axis, dense->data, y->data);
  moon_tensor_free(dense);
  if (st.code) return moon_wrap(st, "%s", name);
  *out = y;
  return st;
}

#else /* ---- kernels, for each T \
         --------------------------------------------------------------------------------------------------- */

#if REAL
#define SUM_TYPE T
#else
#define SUM_TYPE int64_t
#endif

MOON_INLINE WIDE K(block_sum)(size_t n, const T *x) {
  WIDE lane[LANES] = {0};
  size_t i = 0;
  for (; i + LANES <= n; i += LANES)
    for (int l = 0; l < LANES; l++) lane[l] += (WIDE)x[i + (size_t)l];
  for (int l = 0; i < n; i++, l++) lane[l] += (WIDE)x[i];
  return ((lane[0] + lane[4]) + (lane[1] + lane[5])) + ((lane[2] + lane[6]) + (lane[3] + lane[7]));
}

/* Pairwise without recursion: after block b, as many pairs are complete as b has trailing ones. */
MOON_INLINE WIDE K(row_sum)(size_t n, const T *x) {
  WIDE part[64], total = 0;
  int depth = 0;
  for (size_t b = 0, at = 0; at < n; b++, at += BLOCK) {
    WIDE sum = K(block_sum)(n - at < BLOCK ? n - at : BLOCK, x + at);
    for (size_t pairs = b; pairs & 1; pairs >>= 1) sum += part[--depth];
    part[depth++] = sum;
  }
  while (depth) total += part[--depth];
  return total;
}

MOON_CLONES static void K(sum)(moon_reduction op, moon_axis axis, const void *in, void *out) {
  const T *x = in;
  SUM_TYPE *y = out;
  WIDE share = op == MOON_REDUCE_MEAN ? (WIDE)axis.n : 1;
  for (size_t o = 0; o < axis.outer; o++, x += axis.n * axis.inner, y += axis.inner) {
    if (axis.inner == 1) y[0] = (SUM_TYPE)(K(row_sum)(axis.n, x) / share);
    for (size_t from = 0; axis.inner > 1 && from < axis.inner; from += STRIP) {
      WIDE strip[STRIP] = {0};
      size_t width = axis.inner - from < STRIP ? axis.inner - from : STRIP;
      for (size_t j = 0; j < axis.n; j++)
        for (size_t i = 0; i < width; i++) strip[i] += (WIDE)x[j * axis.inner + from + i];
      for (size_t i = 0; i < width; i++) y[from + i] = (SUM_TYPE)(strip[i] / share);
    }
  }
}
#undef SUM_TYPE

/* Whether x takes the place of what was best so far. NaN beats every number, and the first NaN stays. */
MOON_INLINE bool K(beats)(bool max, T x, T best) {
#if REAL
  return (max ? x > best : x < best) || (x != x && best == best);
#else
  return max ? x > best : x < best;
#endif
}

/* Side by side, as columns, which the compiler turns into vectors. */
MOON_INLINE T K(row_best)(bool max, size_t n, const T *x) {
  T best[RACES];
  size_t i = 0;
  for (int l = 0; l < RACES; l++) best[l] = x[0];
  for (; i + RACES <= n; i += RACES)
    for (int l = 0; l < RACES; l++) best[l] = K(beats)(max, x[i + (size_t)l], best[l]) ? x[i + (size_t)l] : best[l];
  for (; i < n; i++) best[0] = K(beats)(max, x[i], best[0]) ? x[i] : best[0];
  for (int l = 1; l < RACES; l++) best[0] = K(beats)(max, best[l], best[0]) ? best[l] : best[0];
  return best[0];
}

MOON_INLINE void K(best_of)(bool max, moon_axis axis, const T *x, T *y) {
  for (size_t o = 0; o < axis.outer; o++, x += axis.n * axis.inner, y += axis.inner) {
    if (axis.inner == 1) {
      y[0] = K(row_best)(max, axis.n, x);
      continue;
    }
    memcpy(y, x, axis.inner * sizeof(T));
    for (size_t j = 1; j < axis.n; j++)
      for (size_t i = 0; i < axis.inner; i++) y[i] = K(beats)(max, x[j * axis.inner + i], y[i]) ? x[j * axis.inner + i] : y[i];
  }
}

MOON_CLONES static void K(best)(moon_reduction op, moon_axis axis, const void *x, void *y) {
  if (op == MOON_REDUCE_MAX) K(best_of)(true, axis, x, y);
  else K(best_of)(false, axis, x, y);
}

static void K(where)(moon_reduction op, moon_axis axis, const void *in, void *out) {
  const T *x = in;
  int64_t *y = out;
  bool max = op == MOON_REDUCE_ARGMAX;
  for (size_t o = 0; o < axis.outer; o++, x += axis.n * axis.inner)
    for (size_t i = 0; i < axis.inner; i++, y++) {
      T best = x[i];
      for (size_t j = 1; j < axis.n; j++)
        if (K(beats)(max, x[j * axis.inner + i], best)) best = x[j * axis.inner + i], *y = (int64_t)j;
    }
}
#endif

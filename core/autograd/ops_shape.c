/* ops_shape.c - ops that move elements and compute nothing: transpose, reshape, concat, slice. The way back moves gradients the
 * other way. All but transpose are copies of blocks. */
#ifndef REAL
#include <string.h>

#include "autograd/tape.h"

#define MOON_EACH_REAL "ops_shape.c"
#include "autograd/each_real.h"

/* ---- transpose -------------------------------------------------------------------------------------------------------------- */

static void transpose_back(moon_tape *tape, moon_node *node) {
  void *into = moon_node_grad(tape, node->in[0]);
  if (into) MOON_BY_DTYPE(node->dtype, add_transposed, node->shape[0], node->shape[1], node->grad, into);
}

static const moon_op transpose_op = {"transpose", transpose_back};

moon_status moon_op_transpose(moon_tape *tape, moon_var a, moon_var *out) {
  MOON_TRY(moon_node_check(tape, &transpose_op, 1, &a));
  moon_node input = *moon_node_at(tape, a), *node;
  if (input.dims != 2) return moon_fail(MOON_EINVAL, "transpose: %s is not [n, m]", moon_node_shape(tape, a).text);
  MOON_TRY(moon_node_push(tape, &transpose_op, 1, &a, 2, (size_t[]){input.shape[1], input.shape[0]}, &node, out));
  MOON_BY_DTYPE(node->dtype, transposed, input.shape[0], input.shape[1], input.value, node->value);
  return moon_node_done(tape, *out);
}

/* ---- reshape ---------------------------------------------------------------------------------------------------------------- */

static void reshape_back(moon_tape *tape, moon_node *node) {
  bool fresh;
  void *into = moon_node_grad_raw(tape, node->in[0], &fresh);
  if (into) MOON_BY_DTYPE(node->dtype, add_rows, 1, node->count, node->grad, node->count, fresh, into, node->count);
}

static const moon_op reshape_op = {"reshape", reshape_back};

moon_status moon_op_reshape(moon_tape *tape, moon_var a, int dims, const size_t *shape, moon_var *out) {
  MOON_TRY(moon_node_check(tape, &reshape_op, 1, &a));
  moon_node input = *moon_node_at(tape, a), *node;
  size_t count = 0;
  moon_status st = moon_shape_count(input.dtype, dims, shape, &count);
  if (st.code) return moon_wrap(st, "reshape");
  if (count != input.count)
    return moon_fail(MOON_EINVAL, "reshape: %s to %s: %zu elements against %zu", moon_node_shape(tape, a).text,
                     moon_shape_write(dims, shape).text, input.count, count);
  MOON_TRY(moon_node_push_leaf(tape, &reshape_op, input.dtype, dims, shape, input.value, &node, out)); /* the same memory */
  node->in[0] = a;
  node->needs_grad = moon_tape_wants(tape, input.needs_grad);
  return moon_node_done(tape, *out);
}

/* ---- concat ----------------------------------------------------------------------------------------------------------------- */

/* The parts of a concat, for the way back: more than a node has room for. */
typedef struct concat_parts {
  size_t n;
  moon_var part[];
} concat_parts;

static size_t last_dim(const moon_node *node) { return node->shape[node->dims - 1]; }
static size_t rows_of(const moon_node *node) {
  size_t rows = 1;
  for (int d = 0; d < node->dims - 1; d++) rows *= node->shape[d];
  return rows;
}

static void concat_back(moon_tape *tape, moon_node *node) {
  const concat_parts *parts = node->aux;
  size_t width = last_dim(node), at = 0, rows = rows_of(node), each = moon_dtype_size(node->dtype);
  for (size_t i = 0; i < parts->n; i++) {
    size_t own = last_dim(moon_node_at(tape, parts->part[i]));
    bool fresh;
    void *into = moon_node_grad_raw(tape, parts->part[i], &fresh);
    if (into) MOON_BY_DTYPE(node->dtype, add_rows, rows, own, (void *)((char *)node->grad + at * each), width, fresh, into, own);
    at += own;
  }
}

static const moon_op concat_op = {"concat", concat_back};

moon_status moon_op_concat(moon_tape *tape, const moon_var *parts, size_t n, moon_var *out) {
  if (!n) return moon_fail(MOON_EINVAL, "concat: no parts");
  MOON_TRY(moon_node_check(tape, &concat_op, n, parts));
  moon_node first = *moon_node_at(tape, parts[0]), *node;
  if (!first.dims) return moon_fail(MOON_EINVAL, "concat: a scalar has no last dimension");
  size_t shape[MOON_MAX_DIMS], width = 0;
  memcpy(shape, first.shape, sizeof shape);
  for (size_t i = 0; i < n; i++) {
    const moon_node *part = moon_node_at(tape, parts[i]);
    if (part->dims != first.dims || !moon_shape_equal(first.dims - 1, first.shape, part->dims - 1, part->shape))
      return moon_node_mismatch(tape, &concat_op, parts[0], parts[i], "only the last dimension may differ");
    if (last_dim(part) > SIZE_MAX - width) return moon_fail(MOON_EINVAL, "concat: the parts do not fit in memory");
    width += last_dim(part);
  }
  shape[first.dims - 1] = width;
  concat_parts *kept = moon_tape_take(tape, sizeof *kept + n * sizeof *parts);
  if (!kept) return moon_fail(MOON_ENOMEM, "concat: no memory for %zu parts", n);
  kept->n = n;
  memcpy(kept->part, parts, n * sizeof *parts);
  MOON_TRY(moon_node_push(tape, &concat_op, n, kept->part, first.dims, shape, &node, out));
  node->aux = kept;
  size_t at = 0, rows = rows_of(node), each = moon_dtype_size(node->dtype);
  for (size_t i = 0; i < n; i++) {
    const moon_node *part = moon_node_at(tape, kept->part[i]);
    size_t own = last_dim(part);
    for (size_t r = 0; own && r < rows; r++)
      memcpy((char *)node->value + (r * width + at) * each, (const char *)part->value + r * own * each, own * each);
    at += own;
  }
  return moon_node_done(tape, *out);
}

/* ---- slice ------------------------------------------------------------------------------------------------------------------ */

/* A slice of dimension d is, for each of `outer` indices before d, one run of elements. */
typedef struct slice_runs { size_t outer, run, stride, start; } slice_runs;

static void slice_back(moon_tape *tape, moon_node *node) {
  const slice_runs *s = node->aux;
  char *into = moon_node_grad(tape, node->in[0]);
  if (into) MOON_BY_DTYPE(node->dtype, add_rows, s->outer, s->run, node->grad, s->run, false,
                          (void *)(into + s->start * moon_dtype_size(node->dtype)), s->stride);
}

static const moon_op slice_op = {"slice", slice_back};

moon_status moon_op_slice(moon_tape *tape, moon_var a, int dim, size_t start, size_t stop, moon_var *out) {
  MOON_TRY(moon_node_check(tape, &slice_op, 1, &a));
  moon_node input = *moon_node_at(tape, a), *node;
  if (dim < 0 || dim >= input.dims) return moon_fail(MOON_EINVAL, "slice: %s has no dimension %d", moon_node_shape(tape, a).text, dim);
  if (start > stop || stop > input.shape[dim])
    return moon_fail(MOON_EINVAL, "slice: %zu..%zu is outside dimension %d of %s", start, stop, dim, moon_node_shape(tape, a).text);
  slice_runs *s = moon_tape_take(tape, sizeof *s);
  if (!s) return moon_fail(MOON_ENOMEM, "slice: no memory");
  size_t inner = 1, shape[MOON_MAX_DIMS];
  memcpy(shape, input.shape, sizeof shape);
  shape[dim] = stop - start;
  *s = (slice_runs){.outer = 1};
  for (int d = 0; d < dim; d++) s->outer *= input.shape[d];
  for (int d = dim + 1; d < input.dims; d++) inner *= input.shape[d];
  s->run = (stop - start) * inner, s->stride = input.shape[dim] * inner, s->start = start * inner;
  MOON_TRY(moon_node_push(tape, &slice_op, 1, &a, input.dims, shape, &node, out));
  node->aux = s;
  size_t each = moon_dtype_size(node->dtype);
  for (size_t o = 0; node->count && o < s->outer; o++)
    memcpy((char *)node->value + o * s->run * each, (const char *)input.value + (o * s->stride + s->start) * each, s->run * each);
  return moon_node_done(tape, *out);
}

#else /* ---- kernels, for each REAL ---------------------------------------------------------------------------------------------- */

/* y [m, n] = x [n, m] turned; in tiles, so that neither side walks across cache lines. */
static void K(transposed)(size_t n, size_t m, const REAL *restrict x, REAL *restrict y) {
  enum { TILE = 16 };
  for (size_t i0 = 0; i0 < n; i0 += TILE)
    for (size_t j0 = 0; j0 < m; j0 += TILE)
      for (size_t i = i0; i < n && i < i0 + TILE; i++)
        for (size_t j = j0; j < m && j < j0 + TILE; j++) y[j * n + i] = x[i * m + j];
}

static void K(add_transposed)(size_t n, size_t m, const REAL *restrict x, REAL *restrict into) {
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < m; j++) into[j * n + i] += x[i * m + j];
}

/* into's rows += x's rows; strides in elements. */
MOON_INLINE void K(add_rows_loop)(size_t rows, size_t width, const REAL *restrict x, size_t x_stride, REAL *restrict into,
                                  size_t into_stride, bool fresh) {
  for (size_t r = 0; r < rows; r++)
    for (size_t j = 0; j < width; j++) MOON_GAIN(fresh, into[r * into_stride + j], x[r * x_stride + j]);
}
static void K(add_rows)(size_t rows, size_t width, const REAL *restrict x, size_t x_stride, bool fresh, REAL *restrict into,
                        size_t into_stride) {
  MOON_BOTH(fresh, K(add_rows_loop), rows, width, x, x_stride, into, into_stride);
}
#endif

/* ops_rows.c - ops on rows: log_softmax and l2_normalise along the last dimension, select_rows along the first. */
#ifndef REAL
#include <string.h>

#include "autograd/real_math.h"
#include "autograd/tape.h"

static const double SHORTEST = 1e-12; /* as in PyTorch's normalize */

#define MOON_EACH_REAL "ops_rows.c"
#include "autograd/each_real.h"

static size_t width_of(const moon_node *node) { return node->dims ? node->shape[node->dims - 1] : 1; }
static size_t rows_of(const moon_node *node) { return node->count ? node->count / width_of(node) : 0; }

/* ---- log_softmax ------------------------------------------------------------------------------------------------------------ */

static void log_softmax_back(moon_tape *tape, moon_node *node) {
  void *into = moon_node_grad(tape, node->in[0]);
  if (into) MOON_BY_DTYPE(node->dtype, log_softmax_backward, rows_of(node), width_of(node), node->grad, node->value, into);
}

static const moon_op log_softmax_op = {"log_softmax", log_softmax_back};

moon_status moon_op_log_softmax(moon_tape *tape, moon_var a, moon_var *out) {
  MOON_TRY(moon_node_check(tape, &log_softmax_op, 1, &a));
  moon_node input = *moon_node_at(tape, a), *node;
  MOON_TRY(moon_node_push(tape, &log_softmax_op, 1, &a, input.dims, input.shape, &node, out));
  MOON_BY_DTYPE(node->dtype, log_softmax_forward, rows_of(node), width_of(node), input.value, node->value);
  return moon_node_done(tape, *out);
}

/* ---- l2_normalise ----------------------------------------------------------------------------------------------------------- */

static void l2_back(moon_tape *tape, moon_node *node) {
  void *into = moon_node_grad(tape, node->in[0]);
  if (into) MOON_BY_DTYPE(node->dtype, l2_backward, rows_of(node), width_of(node), node->grad, node->value, node->aux, into);
}

static const moon_op l2_op = {"l2_normalise", l2_back};

moon_status moon_op_l2_normalise(moon_tape *tape, moon_var a, moon_var *out) {
  MOON_TRY(moon_node_check(tape, &l2_op, 1, &a));
  moon_node input = *moon_node_at(tape, a), *node;
  void *inverse = moon_tape_take(tape, rows_of(&input) * moon_dtype_size(input.dtype)); /* [rows] 1 / |x| */
  if (!inverse) return moon_fail(MOON_ENOMEM, "l2_normalise: no memory");
  MOON_TRY(moon_node_push(tape, &l2_op, 1, &a, input.dims, input.shape, &node, out));
  node->aux = inverse;
  MOON_BY_DTYPE(node->dtype, l2_forward, rows_of(node), width_of(node), input.value, node->value, inverse);
  return moon_node_done(tape, *out);
}

/* ---- select_rows ------------------------------------------------------------------------------------------------------------ */

typedef struct selection { const uint32_t *ids; size_t n, width; } selection;

static void select_back(moon_tape *tape, moon_node *node) {
  const selection *s = node->aux;
  void *into = moon_node_grad(tape, node->in[0]);
  if (into) MOON_BY_DTYPE(node->dtype, add_selected, s->n, s->width, s->ids, node->grad, into);
}

static const moon_op select_op = {"select_rows", select_back};

moon_status moon_op_select_rows(moon_tape *tape, moon_var a, const uint32_t *ids, size_t n, moon_var *out) {
  MOON_TRY(moon_node_check(tape, &select_op, 1, &a));
  moon_node input = *moon_node_at(tape, a), *node;
  if (!input.dims) return moon_fail(MOON_EINVAL, "select_rows: a scalar has no rows");
  for (size_t i = 0; i < n; i++)
    if (ids[i] >= input.shape[0])
      return moon_fail(MOON_EINVAL, "select_rows: id %u at position %zu is out of range: the rows are %s", ids[i], i,
                       moon_node_shape(tape, a).text);
  selection *s = moon_tape_take(tape, sizeof *s);
  if (!s) return moon_fail(MOON_ENOMEM, "select_rows: no memory");
  *s = (selection){.ids = ids, .n = n, .width = 1};
  size_t shape[MOON_MAX_DIMS];
  memcpy(shape, input.shape, sizeof shape);
  shape[0] = n;
  for (int d = 1; d < input.dims; d++) s->width *= shape[d];
  MOON_TRY(moon_node_push(tape, &select_op, 1, &a, input.dims, shape, &node, out));
  node->aux = s;
  size_t bytes = s->width * moon_dtype_size(node->dtype);
  for (size_t i = 0; bytes && i < n; i++)
    memcpy((char *)node->value + i * bytes, (const char *)input.value + ids[i] * bytes, bytes);
  return moon_node_done(tape, *out);
}

#else /* ---- kernels, for each REAL ---------------------------------------------------------------------------------------------- */
#include "autograd/real_sums.h"

/* y = x - max - log(sum e^(x - max)) */
MOON_CLONES static void K(log_softmax_forward)(size_t rows, size_t width, const REAL *restrict x, REAL *restrict y) {
  for (size_t r = 0; r < rows; r++, x += width, y += width) {
    REAL top = K(row_max)(width, x, NULL), rest = M(log)(K(row_exp_sum)(width, x, NULL, top));
    for (size_t j = 0; j < width; j++) y[j] = x[j] - top - rest;
  }
}

/* dx = dy - softmax(x) sum(dy), and softmax(x) = e^y. */
MOON_CLONES static void K(log_softmax_backward)(size_t rows, size_t width, const REAL *restrict g, const REAL *restrict y,
                                                REAL *restrict into) {
  for (size_t r = 0; r < rows; r++, g += width, y += width, into += width) {
    REAL sum = K(row_sum)(width, g);
    for (size_t j = 0; j < width; j++) into[j] += g[j] - K(moon_exp)(y[j]) * sum;
  }
}

MOON_CLONES static void K(l2_forward)(size_t rows, size_t width, const REAL *restrict x, REAL *restrict y,
                                      REAL *restrict inverse) {
  for (size_t r = 0; r < rows; r++, x += width, y += width) {
    REAL length = M(sqrt)(K(row_dot)(width, x, x));
    inverse[r] = length < (REAL)SHORTEST ? 0 : 1 / length;
    for (size_t j = 0; j < width; j++) y[j] = x[j] * inverse[r];
  }
}

/* dx = (dy - y <dy, y>) / |x| */
MOON_CLONES static void K(l2_backward)(size_t rows, size_t width, const REAL *restrict g, const REAL *restrict y,
                                       const REAL *restrict inverse, REAL *restrict into) {
  for (size_t r = 0; r < rows; r++, g += width, y += width, into += width) {
    REAL along = K(row_dot)(width, g, y);
    for (size_t j = 0; j < width; j++) into[j] += (g[j] - y[j] * along) * inverse[r];
  }
}

static void K(add_selected)(size_t n, size_t width, const uint32_t *restrict ids, const REAL *restrict g, REAL *restrict into) {
  for (size_t i = 0; i < n; i++) {
    REAL *row = into + (size_t)ids[i] * width;
    for (size_t j = 0; j < width; j++) row[j] += g[i * width + j];
  }
}
#endif

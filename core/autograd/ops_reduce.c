/* ops_reduce.c - sum, mean and softmax. Sums run in double for both types: a mean over a large f32 batch keeps its digits, and the
 * order is fixed, so the answer is too. */
#ifndef REAL
#include "autograd/real_math.h"
#include "autograd/tape.h"

#define MOON_EACH_REAL "ops_reduce.c"
#include "autograd/each_real.h"

/* ---- sum and mean ----------------------------------------------------------------------------------------------------------- */

/* y = number * sum(a): number is 1 or 1 / count. */
static void total_back(moon_tape *tape, moon_node *node) {
  void *into = moon_node_grad(tape, node->in[0]);
  if (into) MOON_BY_DTYPE(node->dtype, total_backward, moon_node_at(tape, node->in[0])->count, node->number, node->grad, into);
}

static moon_status total(moon_tape *tape, const moon_op *op, bool mean, moon_var a, moon_var *out) {
  MOON_TRY(moon_node_check(tape, op, 1, &a));
  moon_node input = *moon_node_at(tape, a), *node;
  if (mean && !input.count) return moon_fail(MOON_EINVAL, "%s: %s has no elements", op->name, moon_node_shape(tape, a).text);
  MOON_TRY(moon_node_push(tape, op, 1, &a, 0, NULL, &node, out));
  node->number = mean ? 1 / (double)input.count : 1;
  MOON_BY_DTYPE(node->dtype, total_forward, input.count, node->number, input.value, node->value);
  return moon_node_done(tape, *out);
}

static const moon_op sum_op = {"sum", total_back}, mean_op = {"mean", total_back};
moon_status moon_op_sum(moon_tape *tape, moon_var a, moon_var *out) { return total(tape, &sum_op, false, a, out); }
moon_status moon_op_mean(moon_tape *tape, moon_var a, moon_var *out) { return total(tape, &mean_op, true, a, out); }

/* ---- softmax ---------------------------------------------------------------------------------------------------------------- */

static size_t width_of(const moon_node *node) { return node->dims ? node->shape[node->dims - 1] : 1; }

static void softmax_back(moon_tape *tape, moon_node *node) {
  bool fresh;
  void *into = moon_node_grad_raw(tape, node->in[0], &fresh);
  if (into && node->count)
    MOON_BY_DTYPE(node->dtype, softmax_backward, node->count / width_of(node), width_of(node), node->grad, node->value, fresh,
                  into);
}

static const moon_op softmax_op = {"softmax", softmax_back};

moon_status moon_op_softmax(moon_tape *tape, moon_var a, moon_var *out) {
  MOON_TRY(moon_node_check(tape, &softmax_op, 1, &a));
  moon_node input = *moon_node_at(tape, a), *node;
  MOON_TRY(moon_node_push(tape, &softmax_op, 1, &a, input.dims, input.shape, &node, out));
  if (node->count)
    MOON_BY_DTYPE(node->dtype, softmax_forward, node->count / width_of(node), width_of(node), input.value, node->value);
  return moon_node_done(tape, *out);
}

#else /* ---- kernels, for each REAL ---------------------------------------------------------------------------------------------- */

static void K(total_forward)(size_t n, double factor, const REAL *restrict x, REAL *restrict y) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += x[i];
  *y = (REAL)(sum * factor);
}

static void K(total_backward)(size_t n, double factor, const REAL *g, REAL *restrict into) {
  REAL each = (REAL)(*g * factor);
  for (size_t i = 0; i < n; i++) into[i] += each;
}

/* y = e^(x - max) / sum: the largest becomes e^0, so nothing overflows. */
static void K(softmax_forward)(size_t rows, size_t width, const REAL *restrict x, REAL *restrict y) {
  for (size_t r = 0; r < rows; r++, x += width, y += width) {
    REAL top = x[0];
    double sum = 0;
    for (size_t j = 1; j < width; j++) top = x[j] > top ? x[j] : top;
    for (size_t j = 0; j < width; j++) y[j] = K(moon_exp)(x[j] - top);
    for (size_t j = 0; j < width; j++) sum += y[j];
    REAL inverse = (REAL)(1 / sum);
    for (size_t j = 0; j < width; j++) y[j] *= inverse;
  }
}

/* dx = y (dy - <dy, y>) */
static void K(softmax_backward)(size_t rows, size_t width, const REAL *restrict g, const REAL *restrict y, bool fresh,
                                REAL *restrict into) {
  for (size_t r = 0; r < rows; r++, g += width, y += width, into += width) {
    double dot = 0;
    for (size_t j = 0; j < width; j++) dot += (double)g[j] * y[j];
    for (size_t j = 0; j < width; j++) MOON_GAIN(fresh, into[j], y[j] * (g[j] - (REAL)dot));
  }
}
#endif

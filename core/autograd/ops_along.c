/* ops_along.c - sum, mean and max over one dimension.
 *
 * Seen from the dimension a tensor is [outer, size, inner]: the result is [outer, inner]. Sums run in double in a fixed order, a block of
 * columns at a time, so that a long column keeps its digits and the loop over the block vectorises. */
#ifndef REAL
#include <string.h>

#include "autograd/tape.h"

enum { BLOCK = 64 };
typedef struct along { size_t outer, size, inner; } along;
/* What max keeps: where each result came from. */
typedef struct max_from { along shape; uint32_t at[]; } max_from;

#define MOON_EACH_REAL "ops_along.c"
#include "autograd/each_real.h"

static moon_status plan_along(const moon_tape *tape, const moon_op *op, moon_var a, int dim, bool keep, along *plan, int *dims,
                              size_t *shape) {
  MOON_TRY(moon_node_check(tape, op, 1, &a));
  const moon_node *input = moon_node_at(tape, a);
  if (dim < 0 || dim >= input->dims)
    return moon_fail(MOON_EINVAL, "%s: %s has no dimension %d", op->name, moon_node_shape(tape, a).text, dim);
  *plan = (along){1, input->shape[dim], 1};
  *dims = 0;
  for (int d = 0; d < input->dims; d++) {
    if (d < dim) plan->outer *= input->shape[d];
    if (d > dim) plan->inner *= input->shape[d];
    if (d != dim || keep) shape[(*dims)++] = d == dim ? 1 : input->shape[d];
  }
  return moon_ok();
}

static moon_status refuse_nothing(const moon_tape *tape, const moon_op *op, moon_var a, int dim, const along *plan) {
  if (plan->size || !plan->outer || !plan->inner) return moon_ok();
  return moon_fail(MOON_EINVAL, "%s: %s has no elements in dimension %d", op->name, moon_node_shape(tape, a).text, dim);
}

/* ---- sum and mean ----------------------------------------------------------------------------------------------------------- */

static void sum_back(moon_tape *tape, moon_node *node) {
  bool fresh;
  void *into = moon_node_grad_raw(tape, node->in[0], &fresh);
  if (into) MOON_BY_DTYPE(node->dtype, along_backward, *(const along *)node->aux, node->number, node->grad, fresh, into);
}

/* y = number * sum: 1 or 1 / size. */
static moon_status sum_along(moon_tape *tape, const moon_op *op, bool mean, moon_var a, int dim, bool keep, moon_var *out) {
  along plan;
  int dims = 0;
  size_t shape[MOON_MAX_DIMS];
  moon_node *node;
  MOON_TRY(plan_along(tape, op, a, dim, keep, &plan, &dims, shape));
  if (mean) MOON_TRY(refuse_nothing(tape, op, a, dim, &plan));
  along *kept = moon_node_wanted(tape, 1, &a) ? moon_tape_take(tape, sizeof *kept) : &plan;
  if (!kept) return moon_fail(MOON_ENOMEM, "%s: no memory", op->name);
  *kept = plan;
  MOON_TRY(moon_node_push(tape, op, 1, &a, dims, shape, &node, out));
  if (kept != &plan) node->aux = kept;
  node->number = mean && plan.size ? 1 / (double)plan.size : 1;
  MOON_BY_DTYPE(node->dtype, along_forward, plan, node->number, moon_node_at(tape, node->in[0])->value, node->value);
  return moon_node_done(tape, *out);
}

static const moon_op sum_op = {"sum_along", sum_back}, mean_op = {"mean_along", sum_back};
moon_status moon_op_sum_along(moon_tape *tape, moon_var a, int dim, bool keep, moon_var *out) {
  return sum_along(tape, &sum_op, false, a, dim, keep, out);
}
moon_status moon_op_mean_along(moon_tape *tape, moon_var a, int dim, bool keep, moon_var *out) {
  return sum_along(tape, &mean_op, true, a, dim, keep, out);
}

/* ---- max -------------------------------------------------------------------------------------------------------------------- */

static void max_back(moon_tape *tape, moon_node *node) {
  const max_from *from = node->aux;
  void *into = moon_node_grad(tape, node->in[0]);
  if (into) MOON_BY_DTYPE(node->dtype, max_backward, from->shape, from->at, node->grad, into);
}

static const moon_op max_op = {"max_along", max_back};

moon_status moon_op_max_along(moon_tape *tape, moon_var a, int dim, bool keep, moon_var *out) {
  along plan;
  int dims = 0;
  size_t shape[MOON_MAX_DIMS];
  moon_node *node;
  MOON_TRY(plan_along(tape, &max_op, a, dim, keep, &plan, &dims, shape));
  MOON_TRY(refuse_nothing(tape, &max_op, a, dim, &plan));
  if (plan.size > UINT32_MAX)
    return moon_fail(MOON_ELIMIT, "max_along: %s is too long in dimension %d", moon_node_shape(tape, a).text, dim);
  max_from *from = moon_tape_take(tape, sizeof *from + plan.outer * plan.inner * sizeof *from->at);
  if (!from) return moon_fail(MOON_ENOMEM, "max_along: no memory");
  from->shape = plan;
  MOON_TRY(moon_node_push(tape, &max_op, 1, &a, dims, shape, &node, out));
  node->aux = from;
  MOON_BY_DTYPE(node->dtype, max_forward, plan, moon_node_at(tape, node->in[0])->value, node->value, from->at);
  return moon_node_done(tape, *out);
}

#else /* ---- kernels, for each REAL ---------------------------------------------------------------------------------------------- */

/* A row that lies as it is summed: sums of their own, or the additions would wait for one another. */
MOON_INLINE double K(long_sum)(size_t n, const REAL *x) {
  double lane[8] = {0}, sum = 0;
  size_t j = 0;
  for (; j + 8 <= n; j += 8)
    for (size_t i = 0; i < 8; i++) lane[i] += x[j + i];
  for (; j < n; j++) sum += x[j];
  for (size_t i = 0; i < 8; i++) sum += lane[i];
  return sum;
}

MOON_CLONES static void K(along_forward)(along p, double factor, const REAL *restrict x, REAL *restrict y) {
  if (p.inner == 1) {
    for (size_t o = 0; o < p.outer; o++) y[o] = (REAL)(K(long_sum)(p.size, x + o * p.size) * factor);
    return;
  }
  for (size_t o = 0; o < p.outer; o++, x += p.size * p.inner, y += p.inner)
    for (size_t j0 = 0; j0 < p.inner; j0 += BLOCK) {
      size_t width = p.inner - j0 < BLOCK ? p.inner - j0 : BLOCK;
      double sum[BLOCK] = {0};
      for (size_t s = 0; s < p.size; s++)
        for (size_t j = 0; j < width; j++) sum[j] += x[s * p.inner + j0 + j];
      for (size_t j = 0; j < width; j++) y[j0 + j] = (REAL)(sum[j] * factor);
    }
}

MOON_INLINE void K(along_backward_loop)(along p, double factor, const REAL *restrict g, REAL *restrict into, bool fresh) {
  REAL share = (REAL)factor;
  if (p.inner == 1) { /* as below, along the row */
    for (size_t o = 0; o < p.outer; o++, into += p.size)
      for (size_t s = 0; s < p.size; s++) MOON_GAIN(fresh, into[s], share * g[o]);
    return;
  }
  for (size_t o = 0; o < p.outer; o++, g += p.inner)
    for (size_t s = 0; s < p.size; s++, into += p.inner)
      for (size_t j = 0; j < p.inner; j++) MOON_GAIN(fresh, into[j], share * g[j]);
}
MOON_CLONES static void K(along_backward)(along p, double factor, const REAL *restrict g, bool fresh, REAL *restrict into) {
  MOON_BOTH(fresh, K(along_backward_loop), p, factor, g, into);
}

/* The first of the largest; NaN is larger than all, so that it stays visible. */
static void K(max_forward)(along p, const REAL *restrict x, REAL *restrict y, uint32_t *restrict at) {
  for (size_t o = 0; o < p.outer; o++, x += p.size * p.inner, y += p.inner, at += p.inner) {
    for (size_t j = 0; j < p.inner; j++) y[j] = x[j], at[j] = 0;
    for (size_t s = 1; s < p.size; s++)
      for (size_t j = 0; j < p.inner; j++) {
        REAL fresh = x[s * p.inner + j];
        bool larger = fresh > y[j] || (fresh != fresh && y[j] == y[j]);
        y[j] = larger ? fresh : y[j];
        at[j] = larger ? (uint32_t)s : at[j];
      }
  }
}

static void K(max_backward)(along p, const uint32_t *restrict at, const REAL *restrict g, REAL *restrict into) {
  for (size_t o = 0; o < p.outer; o++, into += p.size * p.inner, g += p.inner, at += p.inner)
    for (size_t j = 0; j < p.inner; j++) into[at[j] * p.inner + j] += g[j];
}
#endif

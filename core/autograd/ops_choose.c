/* ops_choose.c - maximum, minimum and where: of two operands each element takes one, and so does its gradient.
 *
 * The choice is a byte an element, made in the forward run (maximum, minimum) or given (where). With the choice at hand all of them
 * are one op. An operand that is a plain number (masked_fill) is a constant of one element. */
#ifndef REAL
#include <string.h>

#include "autograd/strides.h"
#include "autograd/tape.h"

#define MOON_EACH_REAL "ops_choose.c"
#include "autograd/each_real.h"

typedef struct mask_view {
  const uint8_t *data; /* true: a */
  int dims;
  size_t shape[MOON_MAX_DIMS];
} mask_view;

/* Operands 0: a, 1: b, 2: the mask. */
static moon_walk plan_choice(const moon_node *a, const moon_node *b, const mask_view *mask, int dims, const size_t *shape) {
  return moon_walk_plan(
      dims, shape, 3,
      (moon_steps[]){moon_steps_broadcast(dims, shape, a->dims, a->shape), moon_steps_broadcast(dims, shape, b->dims, b->shape),
                     moon_steps_broadcast(dims, shape, mask->dims, mask->shape)});
}

static void choose_back(moon_tape *tape, moon_node *node) {
  void *into_a = moon_node_grad(tape, node->in[0]), *into_b = moon_node_grad(tape, node->in[1]);
  const mask_view *mask = node->aux;
  const moon_node *a = moon_node_at(tape, node->in[0]), *b = moon_node_at(tape, node->in[1]);
  moon_walk walk = plan_choice(a, b, mask, node->dims, node->shape);
  if (into_a) MOON_BY_DTYPE(node->dtype, choose_backward, &walk, 0, mask->data, node->grad, into_a);
  if (into_b) MOON_BY_DTYPE(node->dtype, choose_backward, &walk, 1, mask->data, node->grad, into_b);
}

/* A node of the broadcast shape with room for its mask. `given` NULL: as large as the node, still to be written. */
static moon_status push_choice(moon_tape *tape, const moon_op *op, moon_var a, moon_var b, const mask_view *given,
                               moon_node **node, moon_var *out) {
  moon_var in[2] = {a, b};
  int dims;
  size_t shape[MOON_MAX_DIMS], count;
  MOON_TRY(moon_node_check(tape, op, 2, in));
  const moon_node *na = moon_node_at(tape, a), *nb = moon_node_at(tape, b);
  if (!moon_shape_broadcast(na->dims, na->shape, nb->dims, nb->shape, &dims, shape))
    return moon_node_mismatch(tape, op, a, b, "the shapes do not broadcast");
  if (given && !moon_shape_broadcast(dims, shape, given->dims, given->shape, &dims, shape))
    return moon_fail(MOON_EINVAL, "%s: %s against a mask of %s: the shapes do not broadcast", op->name,
                     moon_node_shape(tape, a).text, moon_shape_write(given->dims, given->shape).text);
  moon_status st = moon_shape_count(na->dtype, dims, shape, &count);
  if (st.code) return moon_wrap(st, "%s", op->name);
  mask_view *mask = moon_tape_take(tape, sizeof *mask);
  uint8_t *fresh = given ? NULL : moon_tape_take(tape, count);
  if (!mask || (!given && !fresh)) return moon_fail(MOON_ENOMEM, "%s: no memory", op->name);
  if (given) *mask = *given;
  else *mask = (mask_view){.data = fresh, .dims = dims};
  if (!given) memcpy(mask->shape, shape, sizeof shape);
  MOON_TRY(moon_node_push(tape, op, 2, in, dims, shape, node, out));
  (*node)->aux = mask;
  return moon_ok();
}

static void choose(moon_tape *tape, const moon_node *node) {
  const moon_node *a = moon_node_at(tape, node->in[0]), *b = moon_node_at(tape, node->in[1]);
  const mask_view *mask = node->aux;
  if (!node->count) return;
  moon_walk walk = plan_choice(a, b, mask, node->dims, node->shape);
  MOON_BY_DTYPE(node->dtype, choose_forward, &walk, mask->data, a->value, b->value, node->value);
}

/* ---- maximum and minimum ---------------------------------------------------------------------------------------------------- */

static moon_status extreme(moon_tape *tape, const moon_op *op, bool largest, moon_var a, moon_var b, moon_var *out) {
  moon_node *node;
  MOON_TRY(push_choice(tape, op, a, b, NULL, &node, out));
  const moon_node *na = moon_node_at(tape, node->in[0]), *nb = moon_node_at(tape, node->in[1]);
  const mask_view *mask = node->aux;
  if (node->count) {
    moon_walk walk = plan_choice(na, nb, mask, node->dims, node->shape);
    MOON_BY_DTYPE(node->dtype, compare, &walk, largest, na->value, nb->value,
                  (uint8_t *)(uintptr_t)mask->data); /* push_choice's own */
  }
  choose(tape, node);
  return moon_node_done(tape, *out);
}

static const moon_op maximum_op = {"maximum", choose_back}, minimum_op = {"minimum", choose_back};
moon_status moon_op_maximum(moon_tape *tape, moon_var a, moon_var b, moon_var *out) {
  return extreme(tape, &maximum_op, true, a, b, out);
}
moon_status moon_op_minimum(moon_tape *tape, moon_var a, moon_var b, moon_var *out) {
  return extreme(tape, &minimum_op, false, a, b, out);
}

/* ---- where and masked_fill -------------------------------------------------------------------------------------------------- */

static moon_status view_mask(const moon_op *op, const uint8_t *data, int dims, const size_t *shape, mask_view *mask) {
  size_t count;
  moon_status st = moon_shape_count(MOON_U8, dims, shape, &count);
  if (st.code) return moon_wrap(st, "%s: the mask", op->name);
  if (!data && count)
    return moon_fail(MOON_EINVAL, "%s: a mask of %s without data", op->name, moon_shape_write(dims, shape).text);
  *mask = (mask_view){.data = data, .dims = dims};
  if (dims) memcpy(mask->shape, shape, (size_t)dims * sizeof *shape);
  return moon_ok();
}

static const moon_op where_op = {"where", choose_back}, masked_fill_op = {"masked_fill", choose_back};

moon_status moon_op_where(moon_tape *tape, const uint8_t *mask, int mask_dims, const size_t *mask_shape, moon_var a, moon_var b,
                          moon_var *out) {
  mask_view view;
  moon_node *node;
  MOON_TRY(view_mask(&where_op, mask, mask_dims, mask_shape, &view));
  MOON_TRY(push_choice(tape, &where_op, a, b, &view, &node, out));
  choose(tape, node);
  return moon_node_done(tape, *out);
}

moon_status moon_op_masked_fill(moon_tape *tape, moon_var a, const uint8_t *mask, int mask_dims, const size_t *mask_shape,
                                double value, moon_var *out) {
  mask_view view;
  moon_node *node;
  moon_var fill;
  MOON_TRY(moon_node_check(tape, &masked_fill_op, 1, &a));
  MOON_TRY(view_mask(&masked_fill_op, mask, mask_dims, mask_shape, &view));
  const moon_node *input = moon_node_at(tape, a);
  int dims;
  size_t shape[MOON_MAX_DIMS];
  if (!moon_shape_broadcast(input->dims, input->shape, view.dims, view.shape, &dims, shape) ||
      !moon_shape_equal(dims, shape, input->dims, input->shape))
    return moon_fail(MOON_EINVAL, "masked_fill: %s against a mask of %s: the mask does not broadcast to it",
                     moon_node_shape(tape, a).text, moon_shape_write(view.dims, view.shape).text);
  double *number = moon_tape_take(tape, sizeof *number);
  if (!number) return moon_fail(MOON_ENOMEM, "masked_fill: no memory");
  if (input->dtype == MOON_F32) *(float *)number = (float)value;
  else *number = value;
  MOON_TRY(moon_tape_constant(tape, input->dtype, 0, NULL, number, &fill));
  moon_status st = push_choice(tape, &masked_fill_op, fill, a, &view, &node, out);
  if (st.code) return moon_node_drop(tape, st);
  choose(tape, node);
  return moon_node_done(tape, *out);
}

#else /* ---- kernels, for each REAL ---------------------------------------------------------------------------------------------- */

/* mask = a wins. NaN wins on either side, so that it stays visible. */
MOON_CLONES static void K(compare)(const moon_walk *walk, bool largest, const REAL *a, const REAL *b, uint8_t *restrict mask) {
  size_t index[MOON_MAX_DIMS] = {0}, at[MOON_OPERANDS] = {0}, sa = walk->inner_step[0], sb = walk->inner_step[1];
  REAL sign = largest ? 1 : -1;
  do {
    const REAL *x = a + at[0], *y = b + at[1];
    if (sa == 1 && sb == 1) for (size_t i = 0; i < walk->inner; i++) mask[i] = (x[i] != x[i]) | (x[i] * sign >= y[i] * sign);
    else for (size_t i = 0; i < walk->inner; i++) mask[i] = (x[i * sa] != x[i * sa]) | (x[i * sa] * sign >= y[i * sb] * sign);
    mask += walk->inner;
  } while (moon_walk_next(walk, index, at));
}

MOON_CLONES static void K(choose_row)(size_t n, const uint8_t *mask, size_t sm, const REAL *a, size_t sa, const REAL *b,
                                      size_t sb, REAL *restrict y) {
  if (sm == 1 && sa == 1 && sb == 1) for (size_t i = 0; i < n; i++) y[i] = mask[i] ? a[i] : b[i];
  else for (size_t i = 0; i < n; i++) y[i] = mask[i * sm] ? a[i * sa] : b[i * sb];
}

static void K(choose_forward)(const moon_walk *walk, const uint8_t *mask, const REAL *a, const REAL *b, REAL *y) {
  size_t index[MOON_MAX_DIMS] = {0}, at[MOON_OPERANDS] = {0};
  const size_t *step = walk->inner_step;
  do {
    K(choose_row)(walk->inner, mask + at[2], step[2], a + at[0], step[0], b + at[1], step[1], y);
    y += walk->inner;
  } while (moon_walk_next(walk, index, at));
}

MOON_CLONES static void K(choose_back_row)(size_t n, uint8_t flip, const uint8_t *mask, size_t sm, const REAL *restrict g,
                                           REAL *restrict into, size_t step) {
  if (sm == 1 && step == 1) for (size_t i = 0; i < n; i++) into[i] += (mask[i] != 0) ^ flip ? g[i] : 0;
  else for (size_t i = 0; i < n; i++) into[i * step] += (mask[i * sm] != 0) ^ flip ? g[i] : 0;
}

/* The gradient of operand `which`: 0 has what the mask chose, 1 the rest. */
static void K(choose_backward)(const moon_walk *walk, int which, const uint8_t *mask, const REAL *g, REAL *into) {
  size_t index[MOON_MAX_DIMS] = {0}, at[MOON_OPERANDS] = {0}, step = walk->inner_step[which], sm = walk->inner_step[2];
  do {
    K(choose_back_row)(walk->inner, which == 1, mask + at[2], sm, g, into + at[which], step);
    g += walk->inner;
  } while (moon_walk_next(walk, index, at));
}
#endif

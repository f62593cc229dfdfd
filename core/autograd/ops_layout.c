/* ops_layout.c - permute, broadcast_to, stack and pad: one strided copy.
 *
 * Each op is a walk over a shape with a step for either side: permute reorders the source's steps, broadcast_to sets some to 0, stack and
 * pad write into a part of the result. The way back is the same walk with the sides exchanged, adding. */
#ifndef REAL
#include <string.h>

#include "autograd/strides.h"
#include "autograd/tape.h"

#define MOON_EACH_REAL "ops_layout.c"
#include "autograd/each_real.h"

/* One walk between an input and a window of the node. */
typedef struct move {
  moon_walk walk;    /* operand 0: the input, 1: the node */
  size_t start;      /* of the window, in elements of the node */
} move;

static move plan_move(int dims, const size_t *shape, moon_steps input, moon_steps node, size_t start) {
  return (move){.walk = moon_walk_plan(dims, shape, 2, (moon_steps[]){input, node}), .start = start};
}

static void move_forward(const moon_node *node, const move *m, const void *from) {
  MOON_BY_DTYPE(node->dtype, copy, &m->walk, from, node->value, m->start);
}

static void move_back(moon_tape *tape, const moon_node *node, const move *m, moon_var input) {
  size_t count = moon_node_at(tape, input)->count, moved = m->walk.inner;
  for (int d = 0; d < m->walk.dims; d++) moved *= m->walk.size[d];
  bool fresh = false; /* what is repeated gathers several gradients a number */
  void *into = moved == count ? moon_node_grad_raw(tape, input, &fresh) : moon_node_grad(tape, input);
  if (into && count) MOON_BY_DTYPE(node->dtype, add_back, &m->walk, node->grad, m->start, fresh, into);
}

static void single_back(moon_tape *tape, moon_node *node) { move_back(tape, node, node->aux, node->in[0]); }

/* A node of `shape` that one input fills by one move over `over`; what the move leaves out is 0. */
static moon_status push_move(moon_tape *tape, const moon_op *op, moon_var a, int dims, const size_t *shape, move m,
                             moon_var *out) {
  moon_node *node;
  move *kept = moon_node_wanted(tape, 1, &a) ? moon_tape_take(tape, sizeof *kept) : &m;
  if (!kept) return moon_fail(MOON_ENOMEM, "%s: no memory", op->name);
  *kept = m;
  MOON_TRY(moon_node_push(tape, op, 1, &a, dims, shape, &node, out));
  if (kept != &m) node->aux = kept;
  const moon_node *input = moon_node_at(tape, node->in[0]);
  if (node->count > input->count) memset(node->value, 0, node->count * moon_dtype_size(node->dtype));
  if (node->count && input->count) move_forward(node, &m, input->value);
  return moon_node_done(tape, *out);
}

/* ---- permute ---------------------------------------------------------------------------------------------------------------- */

static const moon_op permute_op = {"permute", single_back}, broadcast_op = {"broadcast_to", single_back},
                     pad_op = {"pad", single_back};

moon_status moon_op_permute(moon_tape *tape, moon_var a, const int *order, moon_var *out) {
  MOON_TRY(moon_node_check(tape, &permute_op, 1, &a));
  const moon_node *input = moon_node_at(tape, a);
  moon_steps dense = moon_steps_dense(input->dims, input->shape), steps = dense;
  size_t shape[MOON_MAX_DIMS];
  unsigned seen = 0;
  for (int d = 0; d < input->dims; d++) {
    if (order[d] < 0 || order[d] >= input->dims || seen & 1u << order[d])
      return moon_fail(MOON_EINVAL, "permute: %s: %d at position %d: each of 0..%d is needed once", moon_node_shape(tape, a).text,
                       order[d], d, input->dims - 1);
    seen |= 1u << order[d];
    shape[d] = input->shape[order[d]];
    steps.of[d] = dense.of[order[d]];
  }
  int dims = input->dims;
  return push_move(tape, &permute_op, a, dims, shape, plan_move(dims, shape, steps, moon_steps_dense(dims, shape), 0), out);
}

/* ---- broadcast_to ----------------------------------------------------------------------------------------------------------- */

moon_status moon_op_broadcast_to(moon_tape *tape, moon_var a, int dims, const size_t *shape, moon_var *out) {
  MOON_TRY(moon_node_check(tape, &broadcast_op, 1, &a));
  const moon_node *input = moon_node_at(tape, a);
  size_t count, both[MOON_MAX_DIMS];
  int both_dims;
  moon_status st = moon_shape_count(input->dtype, dims, shape, &count);
  if (st.code) return moon_wrap(st, "broadcast_to");
  if (!moon_shape_broadcast(input->dims, input->shape, dims, shape, &both_dims, both) ||
      !moon_shape_equal(both_dims, both, dims, shape))
    return moon_fail(MOON_EINVAL, "broadcast_to: %s against %s: the shapes do not broadcast", moon_node_shape(tape, a).text,
                     moon_shape_write(dims, shape).text);
  moon_steps steps = moon_steps_broadcast(dims, shape, input->dims, input->shape);
  return push_move(tape, &broadcast_op, a, dims, shape, plan_move(dims, shape, steps, moon_steps_dense(dims, shape), 0), out);
}

/* ---- pad -------------------------------------------------------------------------------------------------------------------- */

moon_status moon_op_pad(moon_tape *tape, moon_var a, const size_t *before, const size_t *after, moon_var *out) {
  MOON_TRY(moon_node_check(tape, &pad_op, 1, &a));
  const moon_node *input = moon_node_at(tape, a);
  size_t shape[MOON_MAX_DIMS], count, start = 0;
  int dims = input->dims;
  for (int d = 0; d < dims; d++) {
    if (before[d] > SIZE_MAX / 4 || after[d] > SIZE_MAX / 4)
      return moon_fail(MOON_EINVAL, "pad: %s by %zu and %zu in dimension %d does not fit in memory",
                       moon_node_shape(tape, a).text, before[d], after[d], d);
    shape[d] = before[d] + input->shape[d] + after[d];
  }
  moon_status st = moon_shape_count(input->dtype, dims, shape, &count);
  if (st.code) return moon_wrap(st, "pad");
  moon_steps steps = moon_steps_dense(dims, shape);
  for (int d = 0; d < dims; d++) start += before[d] * steps.of[d];
  return push_move(tape, &pad_op, a, dims, shape,
                   plan_move(dims, input->shape, moon_steps_dense(dims, input->shape), steps, start), out);
}

/* ---- stack ------------------------------------------------------------------------------------------------------------------ */

typedef struct stack_parts {
  move move; /* of the first part; the i-th lies i * apart further */
  size_t n, apart;
  moon_var part[];
} stack_parts;

static move stack_move(const stack_parts *parts, size_t i) {
  move m = parts->move;
  m.start = i * parts->apart;
  return m;
}

static void stack_back(moon_tape *tape, moon_node *node) {
  const stack_parts *parts = node->aux;
  for (size_t i = 0; i < parts->n; i++) {
    move m = stack_move(parts, i);
    move_back(tape, node, &m, parts->part[i]);
  }
}

static const moon_op stack_op = {"stack", stack_back};

moon_status moon_op_stack(moon_tape *tape, const moon_var *parts, size_t n, int dim, moon_var *out) {
  if (!n) return moon_fail(MOON_EINVAL, "stack: no parts");
  MOON_TRY(moon_node_check(tape, &stack_op, n, parts));
  const moon_node *first = moon_node_at(tape, parts[0]);
  int dims = first->dims;
  if (dim < 0 || dim > dims || dims == MOON_MAX_DIMS)
    return moon_fail(MOON_EINVAL, "stack: %s cannot get a dimension %d", moon_node_shape(tape, parts[0]).text, dim);
  for (size_t i = 1; i < n; i++)
    if (!moon_shape_equal(dims, first->shape, moon_node_at(tape, parts[i])->dims, moon_node_at(tape, parts[i])->shape))
      return moon_node_mismatch(tape, &stack_op, parts[0], parts[i], "the parts have one shape");
  size_t shape[MOON_MAX_DIMS];
  for (int d = 0, from = 0; d <= dims; d++) shape[d] = d == dim ? n : first->shape[from++];
  moon_steps whole = moon_steps_dense(dims + 1, shape), window = {{0}};
  for (int d = 0, to = 0; d <= dims; d++)
    if (d != dim) window.of[to++] = whole.of[d];
  stack_parts *kept = moon_tape_take(tape, sizeof *kept + n * sizeof *parts);
  if (!kept) return moon_fail(MOON_ENOMEM, "stack: no memory for %zu parts", n);
  kept->move = plan_move(dims, first->shape, moon_steps_dense(dims, first->shape), window, 0);
  kept->n = n, kept->apart = whole.of[dim];
  memcpy(kept->part, parts, n * sizeof *parts);
  moon_node *node;
  MOON_TRY(moon_node_push(tape, &stack_op, n, kept->part, dims + 1, shape, &node, out));
  node->aux = kept;
  for (size_t i = 0; node->count && i < n; i++) {
    move m = stack_move(kept, i);
    move_forward(node, &m, moon_node_at(tape, kept->part[i])->value);
  }
  return moon_node_done(tape, *out);
}

#else /* ---- kernels, for each REAL ---------------------------------------------------------------------------------------------- */

/* to[i, j] = from[i, j], or += : a block of two dimensions with any steps. In tiles, so that where one side walks along the rows and the
 * other along the columns neither leaves its cache lines. */
static void K(move_block)(bool add, bool fresh, size_t rows, size_t cols, const REAL *restrict from, size_t from_row,
                          size_t from_col,
                          REAL *restrict to, size_t to_row, size_t to_col) {
  enum { TILE = 16 };
  for (size_t i0 = 0; i0 < rows; i0 += TILE)
    for (size_t j0 = 0; j0 < cols; j0 += TILE)
      for (size_t i = i0; i < rows && i < i0 + TILE; i++)
        for (size_t j = j0; j < cols && j < j0 + TILE; j++) {
          REAL *place = to + i * to_row + j * to_col, value = from[i * from_row + j * from_col];
          if (add) MOON_GAIN(fresh, *place, value);
          else *place = value;
        }
}

/* The rows of the walk; where they are not runs on both sides, two dimensions at a time. Rows with step 1 vectorise. `back`: from the
 * node to the input, adding. */
static void K(move_all)(moon_walk walk, bool back, bool fresh, const REAL *restrict from, REAL *restrict to) {
  int source = back, target = !back; /* operands */
  size_t index[MOON_MAX_DIMS] = {0}, at[MOON_OPERANDS] = {0}, n = walk.inner, rows = 1;
  const size_t *step = walk.inner_step;
  bool runs = step[0] == 1 && step[1] == 1;
  size_t row_step[2] = {0};
  if (!runs && walk.dims) {
    walk.dims--;
    rows = walk.size[walk.dims];
    row_step[0] = walk.step[0][walk.dims], row_step[1] = walk.step[1][walk.dims];
  }
  do {
    const REAL *x = from + at[source];
    REAL *y = to + at[target];
    if (!runs) K(move_block)(back, fresh, rows, n, x, row_step[source], step[source], y, row_step[target], step[target]);
    else if (back) for (size_t i = 0; i < n; i++) MOON_GAIN(fresh, y[i], x[i]);
    else for (size_t i = 0; i < n; i++) y[i] = x[i];
  } while (moon_walk_next(&walk, index, at));
}

static void K(copy)(const moon_walk *walk, const REAL *x, REAL *y, size_t start) {
  K(move_all)(*walk, false, false, x, y + start);
}
static void K(add_back)(const moon_walk *walk, const REAL *g, size_t start, bool fresh, REAL *into) {
  K(move_all)(*walk, true, fresh, g + start, into);
}
#endif

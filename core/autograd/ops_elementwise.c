/* ops_elementwise.c - arithmetic of two tensors with broadcasting, and functions of one.
 *
 * Two operands are reduced to a plan: adjacent dimensions that both step alike are merged, so same shapes become one long row and
 * [n, m] + [m] becomes n rows; along a row an operand either moves (stride 1) or stands still (stride 0). The row loops are written
 * once and inlined for each op and stride, where the compiler can vectorise them. */
#ifndef REAL
#include <string.h>

#include "autograd/real_math.h"
#include "autograd/tape.h"

typedef enum binary_op { ADD, SUB, MUL, DIV } binary_op;
typedef enum unary_op { SCALE, RELU, SIGMOID, TANH, EXP, LOG } unary_op;

/* Rows of `inner` elements; dimension d < dims steps a by sa[d] and b by sb[d]. */
typedef struct row_plan {
  int dims;
  size_t size[MOON_MAX_DIMS];
  size_t sa[MOON_MAX_DIMS], sb[MOON_MAX_DIMS];
  size_t inner, step_a, step_b;
} row_plan;

static row_plan plan_rows(const moon_node *a, const moon_node *b, int dims, const size_t *shape) {
  size_t size[MOON_MAX_DIMS + 1], sa[MOON_MAX_DIMS + 1], sb[MOON_MAX_DIMS + 1], run_a = 1, run_b = 1;
  int n = 0; /* merged dimensions, innermost first */
  for (int d = dims - 1; d >= 0; d--) {
    int da = d - (dims - a->dims), db = d - (dims - b->dims);
    size_t size_a = da >= 0 ? a->shape[da] : 1, size_b = db >= 0 ? b->shape[db] : 1;
    size_t step_a = size_a == 1 ? 0 : run_a, step_b = size_b == 1 ? 0 : run_b;
    run_a *= size_a, run_b *= size_b;
    if (shape[d] == 1) continue;
    if (n && step_a == sa[n - 1] * size[n - 1] && step_b == sb[n - 1] * size[n - 1]) {
      size[n - 1] *= shape[d];
    } else {
      size[n] = shape[d], sa[n] = step_a, sb[n] = step_b;
      n++;
    }
  }
  row_plan plan = {.inner = 1};
  if (n) plan.inner = size[0], plan.step_a = sa[0], plan.step_b = sb[0];
  for (int d = n - 1; d > 0; d--, plan.dims++) plan.size[plan.dims] = size[d], plan.sa[plan.dims] = sa[d], plan.sb[plan.dims] = sb[d];
  return plan;
}

/* Steps to the next row; false after the last. */
static bool next_row(const row_plan *plan, size_t *index, size_t *a, size_t *b) {
  for (int d = plan->dims - 1; d >= 0; d--) {
    *a += plan->sa[d], *b += plan->sb[d];
    if (++index[d] < plan->size[d]) return true;
    *a -= plan->sa[d] * plan->size[d], *b -= plan->sb[d] * plan->size[d];
    index[d] = 0;
  }
  return false;
}

#define MOON_EACH_REAL "ops_elementwise.c"
#include "autograd/each_real.h"

/* ---- two operands ----------------------------------------------------------------------------------------------------------- */

/* A side that is repeated gathers several gradients a number, and starts from zeros. */
static void *side_grad(moon_tape *tape, const moon_node *node, int side, bool *fresh) {
  moon_var in = node->in[side];
  if (moon_node_at(tape, in)->count == node->count) return moon_node_grad_raw(tape, in, fresh);
  *fresh = false;
  return moon_node_grad(tape, in);
}

static void binary_back(moon_tape *tape, moon_node *node) {
  bool fresh_a, fresh_b;
  void *into_a = side_grad(tape, node, 0, &fresh_a), *into_b = side_grad(tape, node, 1, &fresh_b);
  if (!node->count) return;
  const moon_node *a = moon_node_at(tape, node->in[0]), *b = moon_node_at(tape, node->in[1]);
  row_plan plan = plan_rows(a, b, node->dims, node->shape);
  MOON_BY_DTYPE(node->dtype, binary_backward, (binary_op)node->number, &plan, node->grad, a->value, b->value, into_a, fresh_a,
                into_b, fresh_b);
}

static moon_status binary(moon_tape *tape, const moon_op *op, binary_op kind, moon_var a, moon_var b, moon_var *out) {
  moon_var in[2] = {a, b};
  MOON_TRY(moon_node_check(tape, op, 2, in));
  int dims;
  size_t shape[MOON_MAX_DIMS];
  const moon_node *na = moon_node_at(tape, a), *nb = moon_node_at(tape, b);
  if (!moon_shape_broadcast(na->dims, na->shape, nb->dims, nb->shape, &dims, shape))
    return moon_node_mismatch(tape, op, a, b, "the shapes do not broadcast");
  moon_node *node;
  MOON_TRY(moon_node_push(tape, op, 2, in, dims, shape, &node, out));
  node->number = kind;
  if (!node->count) return moon_ok();
  na = moon_node_at(tape, a), nb = moon_node_at(tape, b);
  row_plan plan = plan_rows(na, nb, dims, shape);
  MOON_BY_DTYPE(node->dtype, binary_forward, kind, &plan, na->value, nb->value, node->value);
  return moon_node_done(tape, *out);
}

static const moon_op add_op = {"add", binary_back}, sub_op = {"sub", binary_back}, mul_op = {"mul", binary_back},
                     div_op = {"div", binary_back};
moon_status moon_op_add(moon_tape *tape, moon_var a, moon_var b, moon_var *out) { return binary(tape, &add_op, ADD, a, b, out); }
moon_status moon_op_sub(moon_tape *tape, moon_var a, moon_var b, moon_var *out) { return binary(tape, &sub_op, SUB, a, b, out); }
moon_status moon_op_mul(moon_tape *tape, moon_var a, moon_var b, moon_var *out) { return binary(tape, &mul_op, MUL, a, b, out); }
moon_status moon_op_div(moon_tape *tape, moon_var a, moon_var b, moon_var *out) { return binary(tape, &div_op, DIV, a, b, out); }

/* ---- one operand ------------------------------------------------------------------------------------------------------------ */

static moon_status unary(moon_tape *tape, const moon_op *op, unary_op kind, double number, moon_var a, moon_var *out) {
  MOON_TRY(moon_node_check(tape, op, 1, &a));
  moon_node input = *moon_node_at(tape, a), *node;
  MOON_TRY(moon_node_push(tape, op, 1, &a, input.dims, input.shape, &node, out));
  node->number = number;
  MOON_BY_DTYPE(node->dtype, unary_forward, kind, number, node->count, input.value, node->value);
  return moon_node_done(tape, *out);
}

static void unary_back(moon_tape *tape, moon_node *node, unary_op kind) {
  bool fresh;
  void *into = moon_node_grad_raw(tape, node->in[0], &fresh);
  const void *x = moon_node_at(tape, node->in[0])->value;
  if (into) MOON_BY_DTYPE(node->dtype, unary_backward, kind, node->number, node->count, node->grad, x, node->value, fresh, into);
}

static void scale_back(moon_tape *tape, moon_node *node) { unary_back(tape, node, SCALE); }
static void relu_back(moon_tape *tape, moon_node *node) { unary_back(tape, node, RELU); }
static void sigmoid_back(moon_tape *tape, moon_node *node) { unary_back(tape, node, SIGMOID); }
static void tanh_back(moon_tape *tape, moon_node *node) { unary_back(tape, node, TANH); }
static void exp_back(moon_tape *tape, moon_node *node) { unary_back(tape, node, EXP); }
static void log_back(moon_tape *tape, moon_node *node) { unary_back(tape, node, LOG); }

static const moon_op scale_op = {"scale", scale_back}, relu_op = {"relu", relu_back}, sigmoid_op = {"sigmoid", sigmoid_back},
                     tanh_op = {"tanh", tanh_back}, exp_op = {"exp", exp_back}, log_op = {"log", log_back};
moon_status moon_op_scale(moon_tape *tape, moon_var a, double factor, moon_var *out) { return unary(tape, &scale_op, SCALE, factor, a, out); }
moon_status moon_op_relu(moon_tape *tape, moon_var a, moon_var *out) { return unary(tape, &relu_op, RELU, 0, a, out); }
moon_status moon_op_sigmoid(moon_tape *tape, moon_var a, moon_var *out) { return unary(tape, &sigmoid_op, SIGMOID, 0, a, out); }
moon_status moon_op_tanh(moon_tape *tape, moon_var a, moon_var *out) { return unary(tape, &tanh_op, TANH, 0, a, out); }
moon_status moon_op_exp(moon_tape *tape, moon_var a, moon_var *out) { return unary(tape, &exp_op, EXP, 0, a, out); }
moon_status moon_op_log(moon_tape *tape, moon_var a, moon_var *out) { return unary(tape, &log_op, LOG, 0, a, out); }

#else /* ---- kernels, for each REAL ---------------------------------------------------------------------------------------------- */

/* One row: sa and sb are 0 or 1 and constant in each inlined copy. */
MOON_INLINE void K(row_forward)(binary_op op, size_t n, const REAL *a, size_t sa, const REAL *b, size_t sb, REAL *restrict y) {
  switch (op) {
    case ADD: for (size_t i = 0; i < n; i++) y[i] = a[i * sa] + b[i * sb]; break;
    case SUB: for (size_t i = 0; i < n; i++) y[i] = a[i * sa] - b[i * sb]; break;
    case MUL: for (size_t i = 0; i < n; i++) y[i] = a[i * sa] * b[i * sb]; break;
    case DIV: for (size_t i = 0; i < n; i++) y[i] = a[i * sa] / b[i * sb]; break;
  }
}

/* d/da and d/db of one row. `a` and `b` may be the same tensor (x * x), so their gradients may be the same memory: two loops. */
MOON_INLINE void K(row_backward_a)(binary_op op, size_t n, const REAL *g, const REAL *b, size_t sb, REAL *into, size_t sa,
                             bool fresh) {
  REAL sum = 0;
  for (size_t i = 0; i < n; i++) {
    REAL d = op == MUL ? g[i] * b[i * sb] : op == DIV ? g[i] / b[i * sb] : g[i];
    if (sa) MOON_GAIN(fresh, into[i], d);
    else sum += d;
  }
  if (!sa) MOON_GAIN(fresh, *into, sum);
}
MOON_INLINE void K(row_backward_b)(binary_op op, size_t n, const REAL *g, const REAL *a, size_t sa, const REAL *b, REAL *into,
                             size_t sb, bool fresh) {
  REAL sum = 0;
  for (size_t i = 0; i < n; i++) {
    REAL y = b[i * sb];
    REAL d = op == MUL ? g[i] * a[i * sa] : op == DIV ? -g[i] * a[i * sa] / (y * y) : op == SUB ? -g[i] : g[i];
    if (sb) MOON_GAIN(fresh, into[i], d);
    else sum += d;
  }
  if (!sb) MOON_GAIN(fresh, *into, sum);
}

MOON_INLINE void K(any_forward)(binary_op op, const row_plan *p, const REAL *a, const REAL *b, REAL *y) {
  size_t index[MOON_MAX_DIMS] = {0}, at_a = 0, at_b = 0;
  do {
    if (p->step_a && p->step_b) K(row_forward)(op, p->inner, a + at_a, 1, b + at_b, 1, y);
    else if (p->step_a) K(row_forward)(op, p->inner, a + at_a, 1, b + at_b, 0, y);
    else K(row_forward)(op, p->inner, a + at_a, 0, b + at_b, p->step_b ? 1 : 0, y);
    y += p->inner;
  } while (next_row(p, index, &at_a, &at_b));
}

MOON_INLINE void K(any_backward)(binary_op op, const row_plan *p, const REAL *g, const REAL *a, const REAL *b, REAL *into_a,
                           bool fresh_a, REAL *into_b, bool fresh_b) {
  size_t index[MOON_MAX_DIMS] = {0}, at_a = 0, at_b = 0;
  do {
    size_t n = p->inner;
    if (into_a && p->step_a && p->step_b) MOON_BOTH(fresh_a, K(row_backward_a), op, n, g, b + at_b, 1, into_a + at_a, 1);
    else if (into_a && p->step_a) MOON_BOTH(fresh_a, K(row_backward_a), op, n, g, b + at_b, 0, into_a + at_a, 1);
    else if (into_a) MOON_BOTH(fresh_a, K(row_backward_a), op, n, g, b + at_b, p->step_b, into_a + at_a, 0);
    if (into_b && p->step_a && p->step_b) MOON_BOTH(fresh_b, K(row_backward_b), op, n, g, a + at_a, 1, b + at_b, into_b + at_b, 1);
    else if (into_b && p->step_b) MOON_BOTH(fresh_b, K(row_backward_b), op, n, g, a + at_a, 0, b + at_b, into_b + at_b, 1);
    else if (into_b) MOON_BOTH(fresh_b, K(row_backward_b), op, n, g, a + at_a, p->step_a, b + at_b, into_b + at_b, 0);
    g += n;
  } while (next_row(p, index, &at_a, &at_b));
}

MOON_CLONES static void K(binary_forward)(binary_op op, const row_plan *p, const REAL *a, const REAL *b, REAL *y) {
  switch (op) {
    case ADD: K(any_forward)(ADD, p, a, b, y); break;
    case SUB: K(any_forward)(SUB, p, a, b, y); break;
    case MUL: K(any_forward)(MUL, p, a, b, y); break;
    case DIV: K(any_forward)(DIV, p, a, b, y); break;
  }
}

MOON_CLONES static void K(binary_backward)(binary_op op, const row_plan *p, const REAL *g, const REAL *a, const REAL *b,
                                           REAL *into_a,
                               bool fresh_a, REAL *into_b, bool fresh_b) {
  switch (op) {
    case ADD: K(any_backward)(ADD, p, g, a, b, into_a, fresh_a, into_b, fresh_b); break;
    case SUB: K(any_backward)(SUB, p, g, a, b, into_a, fresh_a, into_b, fresh_b); break;
    case MUL: K(any_backward)(MUL, p, g, a, b, into_a, fresh_a, into_b, fresh_b); break;
    case DIV: K(any_backward)(DIV, p, g, a, b, into_a, fresh_a, into_b, fresh_b); break;
  }
}

MOON_CLONES static void K(unary_forward)(unary_op op, double number, size_t n, const REAL *restrict x, REAL *restrict y) {
  REAL factor = (REAL)number;
  switch (op) {
    case SCALE: for (size_t i = 0; i < n; i++) y[i] = x[i] * factor; break;
    case RELU: for (size_t i = 0; i < n; i++) y[i] = x[i] < 0 ? 0 : x[i]; break; /* NaN stays visible */
    case SIGMOID: for (size_t i = 0; i < n; i++) y[i] = K(moon_sigmoid)(x[i]); break;
    case TANH: for (size_t i = 0; i < n; i++) y[i] = K(moon_tanh)(x[i]); break;
    case EXP: for (size_t i = 0; i < n; i++) y[i] = K(moon_exp)(x[i]); break;
    case LOG: for (size_t i = 0; i < n; i++) y[i] = M(log)(x[i]); break;
  }
}

/* From the output where that is cheaper: s' = s(1 - s), tanh' = 1 - tanh^2, exp' = exp. */
MOON_INLINE void K(unary_backward_loop)(unary_op op, double number, size_t n, const REAL *restrict g, const REAL *restrict x,
                                        const REAL *restrict y, REAL *restrict into, bool fresh) {
  REAL factor = (REAL)number;
  switch (op) {
    case SCALE: for (size_t i = 0; i < n; i++) MOON_GAIN(fresh, into[i], g[i] * factor); break;
    case RELU: for (size_t i = 0; i < n; i++) MOON_GAIN(fresh, into[i], y[i] <= 0 ? 0 : g[i]); break;
    case SIGMOID: for (size_t i = 0; i < n; i++) MOON_GAIN(fresh, into[i], g[i] * y[i] * (1 - y[i])); break;
    case TANH: for (size_t i = 0; i < n; i++) MOON_GAIN(fresh, into[i], g[i] * (1 - y[i] * y[i])); break;
    case EXP: for (size_t i = 0; i < n; i++) MOON_GAIN(fresh, into[i], g[i] * y[i]); break;
    case LOG: for (size_t i = 0; i < n; i++) MOON_GAIN(fresh, into[i], g[i] / x[i]); break;
  }
}
MOON_CLONES static void K(unary_backward)(unary_op op, double number, size_t n, const REAL *restrict g, const REAL *restrict x,
                                          const REAL *restrict y, bool fresh, REAL *restrict into) {
  MOON_BOTH(fresh, K(unary_backward_loop), op, number, n, g, x, y, into);
}
#endif

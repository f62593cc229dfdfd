/* ops_pointwise.c - more functions of one: y = f(x) element by element, with up to two numbers.
 *
 * f and f' stand next to each other in the kernels. They are computed from x alone; only sqrt takes its own result. */
#ifndef REAL
#include "autograd/real_math.h"
#include "autograd/tape.h"

typedef enum point_op { NEG, ABS, SQRT, POW, CLIP, SOFTPLUS, LEAKY_RELU, GELU } point_op;
typedef struct point { point_op op; double p, q; } point;

#define MOON_EACH_REAL "ops_pointwise.c"
#include "autograd/each_real.h"

static void point_back(moon_tape *tape, moon_node *node) {
  bool fresh;
  void *into = moon_node_grad_raw(tape, node->in[0], &fresh);
  const void *x = moon_node_at(tape, node->in[0])->value;
  if (into)
    MOON_BY_DTYPE(node->dtype, point_backward, *(const point *)node->aux, node->count, node->grad, x, node->value, fresh, into);
}

static moon_status pointwise(moon_tape *tape, const moon_op *op, point f, moon_var a, moon_var *out) {
  MOON_TRY(moon_node_check(tape, op, 1, &a));
  moon_node input = *moon_node_at(tape, a), *node;
  point *kept = moon_node_wanted(tape, 1, &a) ? moon_tape_take(tape, sizeof *kept) : &f;
  if (!kept) return moon_fail(MOON_ENOMEM, "%s: no memory", op->name);
  *kept = f;
  MOON_TRY(moon_node_push(tape, op, 1, &a, input.dims, input.shape, &node, out));
  if (kept != &f) node->aux = kept;
  MOON_BY_DTYPE(node->dtype, point_forward, f, node->count, input.value, node->value);
  return moon_node_done(tape, *out);
}

static const moon_op neg_op = {"neg", point_back}, abs_op = {"abs", point_back}, sqrt_op = {"sqrt", point_back},
                     pow_op = {"pow", point_back}, clip_op = {"clip", point_back}, softplus_op = {"softplus", point_back},
                     leaky_relu_op = {"leaky_relu", point_back}, gelu_op = {"gelu", point_back};
moon_status moon_op_neg(moon_tape *tape, moon_var a, moon_var *out) {
  return pointwise(tape, &neg_op, (point){.op = NEG}, a, out);
}
moon_status moon_op_abs(moon_tape *tape, moon_var a, moon_var *out) {
  return pointwise(tape, &abs_op, (point){.op = ABS}, a, out);
}
moon_status moon_op_sqrt(moon_tape *tape, moon_var a, moon_var *out) {
  return pointwise(tape, &sqrt_op, (point){.op = SQRT}, a, out);
}
moon_status moon_op_pow(moon_tape *tape, moon_var a, double exponent, moon_var *out) {
  return pointwise(tape, &pow_op, (point){POW, exponent, 0}, a, out);
}
moon_status moon_op_clip(moon_tape *tape, moon_var a, double low, double high, moon_var *out) {
  if (!(low <= high)) return moon_fail(MOON_EINVAL, "clip: %g..%g is empty", low, high);
  return pointwise(tape, &clip_op, (point){CLIP, low, high}, a, out);
}
moon_status moon_op_softplus(moon_tape *tape, moon_var a, moon_var *out) {
  return pointwise(tape, &softplus_op, (point){.op = SOFTPLUS}, a, out);
}
moon_status moon_op_leaky_relu(moon_tape *tape, moon_var a, double slope, moon_var *out) {
  return pointwise(tape, &leaky_relu_op, (point){LEAKY_RELU, slope, 0}, a, out);
}
moon_status moon_op_gelu(moon_tape *tape, moon_var a, moon_var *out) {
  return pointwise(tape, &gelu_op, (point){.op = GELU}, a, out);
}

#else /* ---- kernels, for each REAL ---------------------------------------------------------------------------------------------- */

/* (1 + tanh u) / 2 = sigmoid(2u), so gelu is x sigmoid(v) with v = 2 sqrt(2/pi) (x + 0.044715 x^3), and the sigmoid vectorises. */
static inline REAL K(gelu_inner)(REAL x) { return (REAL)1.5957691216057308 * (x + (REAL)0.044715 * x * x * x); }
static inline REAL K(gelu_slope)(REAL x) {
  REAL s = K(moon_sigmoid)(K(gelu_inner)(x)), dv = (REAL)1.5957691216057308 * (1 + (REAL)0.134145 * x * x);
  return s + x * s * (1 - s) * dv;
}

/* p x^(p - 1); for p = 0 the slope is 0 also at x = 0, where x^-1 is not finite. */
static inline REAL K(pow_slope)(REAL p, REAL x) {
  return p == 0 ? 0 : p == 1 ? 1 : p == 2 ? 2 * x : p * M(pow)(x, p - 1);
}

/* NaN stays visible throughout: comparisons are written so that it takes the branch that passes it on. */
MOON_CLONES static void K(point_forward)(point f, size_t n, const REAL *restrict x, REAL *restrict y) {
  REAL p = (REAL)f.p, q = (REAL)f.q;
  switch (f.op) {
    case NEG: for (size_t i = 0; i < n; i++) y[i] = -x[i]; break;
    case ABS: for (size_t i = 0; i < n; i++) y[i] = M(fabs)(x[i]); break;
    case SQRT: for (size_t i = 0; i < n; i++) y[i] = M(sqrt)(x[i]); break;
    case POW:
      if (p == 2) for (size_t i = 0; i < n; i++) y[i] = x[i] * x[i];
      else for (size_t i = 0; i < n; i++) y[i] = M(pow)(x[i], p);
      break;
    case CLIP: for (size_t i = 0; i < n; i++) y[i] = x[i] < p ? p : x[i] > q ? q : x[i]; break;
    case SOFTPLUS: for (size_t i = 0; i < n; i++) y[i] = (x[i] < 0 ? 0 : x[i]) + K(moon_log1p)(K(moon_exp)(x[i] < 0 ? x[i] : -x[i])); break;
    case LEAKY_RELU: for (size_t i = 0; i < n; i++) y[i] = x[i] < 0 ? p * x[i] : x[i]; break;
    case GELU: for (size_t i = 0; i < n; i++) y[i] = x[i] * K(moon_sigmoid)(K(gelu_inner)(x[i])); break;
  }
}

MOON_INLINE void K(point_backward_loop)(point f, size_t n, const REAL *restrict g, const REAL *restrict x, const REAL *restrict y,
                                        REAL *restrict into, bool fresh) {
  REAL p = (REAL)f.p, q = (REAL)f.q;
  switch (f.op) {
    case NEG: for (size_t i = 0; i < n; i++) MOON_GAIN(fresh, into[i], -g[i]); break;
    case ABS: for (size_t i = 0; i < n; i++) MOON_GAIN(fresh, into[i], x[i] < 0 ? -g[i] : x[i] == 0 ? 0 : g[i]); break;
    case SQRT: for (size_t i = 0; i < n; i++) MOON_GAIN(fresh, into[i], g[i] / (2 * y[i])); break;
    case POW: for (size_t i = 0; i < n; i++) MOON_GAIN(fresh, into[i], g[i] * K(pow_slope)(p, x[i])); break;
    case CLIP: for (size_t i = 0; i < n; i++) MOON_GAIN(fresh, into[i], x[i] < p || x[i] > q ? 0 : g[i]); break;
    case SOFTPLUS: for (size_t i = 0; i < n; i++) MOON_GAIN(fresh, into[i], g[i] * K(moon_sigmoid)(x[i])); break;
    case LEAKY_RELU: for (size_t i = 0; i < n; i++) MOON_GAIN(fresh, into[i], x[i] < 0 ? p * g[i] : g[i]); break;
    case GELU: for (size_t i = 0; i < n; i++) MOON_GAIN(fresh, into[i], g[i] * K(gelu_slope)(x[i])); break;
  }
}
MOON_CLONES static void K(point_backward)(point f, size_t n, const REAL *restrict g, const REAL *restrict x,
                                          const REAL *restrict y, bool fresh, REAL *restrict into) {
  MOON_BOTH(fresh, K(point_backward_loop), f, n, g, x, y, into);
}
#endif

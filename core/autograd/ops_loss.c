/* ops_loss.c - losses: the mean over all elements of a prediction against a target, as one node.
 *
 * bce_logits   max(z, 0) - z t + log(1 + e^-|z|)        dz = sigmoid(z) - t        never overflows, exact far from 0
 * bce          -(t log p + (1 - t) log(1 - p))          dp = (p - t) / (p (1 - p)), 0 where p is clipped
 * mse          (p - t)^2                                dp = 2 (p - t)
 *
 * Targets get gradients too where they are not constants (distillation). */
#ifndef REAL
#include "autograd/real_math.h"
#include "autograd/tape.h"

typedef enum loss_kind { BCE_LOGITS, BCE, MSE } loss_kind;
static const double CLIP = 1e-7; /* Keras' epsilon */
enum { CHUNK = 16 };
#define INLINE static inline __attribute__((always_inline))

#define MOON_EACH_REAL "ops_loss.c"
#include "autograd/each_real.h"

static void loss_back(moon_tape *tape, moon_node *node) {
  void *into_p = moon_node_grad(tape, node->in[0]), *into_t = moon_node_grad(tape, node->in[1]);
  const moon_node *p = moon_node_at(tape, node->in[0]), *t = moon_node_at(tape, node->in[1]);
  loss_kind kind = (loss_kind)node->number;
  if (into_p) MOON_BY_DTYPE(node->dtype, loss_backward_p, kind, p->count, node->grad, p->value, t->value, into_p);
  if (into_t) MOON_BY_DTYPE(node->dtype, loss_backward_t, kind, p->count, node->grad, p->value, t->value, into_t);
}

/* The target has the prediction's shape, or is [n] where the prediction has n elements (logits [n, 1]). */
static moon_status loss(moon_tape *tape, const moon_op *op, loss_kind kind, moon_var prediction, moon_var target, moon_var *out) {
  moon_var in[2] = {prediction, target};
  MOON_TRY(moon_node_check(tape, op, 2, in));
  const moon_node *p = moon_node_at(tape, prediction), *t = moon_node_at(tape, target);
  if (!moon_shape_equal(p->dims, p->shape, t->dims, t->shape) && !(t->dims == 1 && t->count == p->count))
    return moon_node_mismatch(tape, op, prediction, target, "a target has the prediction's shape or is [n]");
  if (!p->count) return moon_fail(MOON_EINVAL, "%s: %s has no elements", op->name, moon_node_shape(tape, prediction).text);
  moon_node *node;
  MOON_TRY(moon_node_push(tape, op, 2, in, 0, NULL, &node, out));
  node->number = kind;
  p = moon_node_at(tape, prediction), t = moon_node_at(tape, target);
  MOON_BY_DTYPE(node->dtype, loss_forward, kind, p->count, p->value, t->value, node->value);
  return moon_node_done(tape, *out);
}

static const moon_op bce_logits_op = {"bce_logits", loss_back}, bce_op = {"bce", loss_back}, mse_op = {"mse", loss_back};

moon_status moon_op_bce_logits(moon_tape *tape, moon_var logits, moon_var target, moon_var *out) {
  return loss(tape, &bce_logits_op, BCE_LOGITS, logits, target, out);
}
moon_status moon_op_bce(moon_tape *tape, moon_var probability, moon_var target, moon_var *out) {
  return loss(tape, &bce_op, BCE, probability, target, out);
}
moon_status moon_op_mse(moon_tape *tape, moon_var prediction, moon_var target, moon_var *out) {
  return loss(tape, &mse_op, MSE, prediction, target, out);
}

#else /* ---- kernels, for each REAL ---------------------------------------------------------------------------------------------- */

/* 1 - 1e-7 is a float of its own (the spacing below 1 is 6e-8), so the clip works in both types. NaN stays. */
static REAL K(clipped)(REAL p) {
  const REAL low = (REAL)CLIP, high = (REAL)(1 - CLIP);
  return p < low ? low : p > high ? high : p;
}

/* The sum of up to CHUNK losses: first the terms, side by side, then their sum in double. */
INLINE double K(chunk_forward)(loss_kind kind, size_t n, const REAL *restrict p, const REAL *restrict t) {
  REAL term[CHUNK];
  double sum = 0;
  for (size_t i = 0; i < n; i++) {
    REAL z = p[i], q = K(clipped)(z), miss = z - t[i];
    switch (kind) {
      case BCE_LOGITS: term[i] = (z < 0 ? 0 : z) - z * t[i] + K(moon_log1p)(K(moon_exp)(z < 0 ? z : -z)); break;
      case BCE: term[i] = -(t[i] * M(log)(q) + (1 - t[i]) * M(log1p)(-q)); break;
      case MSE: term[i] = miss * miss; break;
    }
  }
  for (size_t i = 0; i < n; i++) sum += term[i];
  return sum;
}

INLINE double K(sum_forward)(loss_kind kind, size_t n, const REAL *p, const REAL *t) {
  double sum = 0;
  size_t i = 0;
  for (; i + CHUNK <= n; i += CHUNK) sum += K(chunk_forward)(kind, CHUNK, p + i, t + i);
  return sum + K(chunk_forward)(kind, n - i, p + i, t + i);
}

MOON_CLONES static void K(loss_forward)(loss_kind kind, size_t n, const REAL *p, const REAL *t, REAL *y) {
  double sum = 0;
  switch (kind) {
    case BCE_LOGITS: sum = K(sum_forward)(BCE_LOGITS, n, p, t); break;
    case BCE: sum = K(sum_forward)(BCE, n, p, t); break;
    case MSE: sum = K(sum_forward)(MSE, n, p, t); break;
  }
  *y = (REAL)(sum / (double)n);
}

MOON_CLONES static void K(loss_backward_p)(loss_kind kind, size_t n, const REAL *g, const REAL *restrict p, const REAL *restrict t,
                                           REAL *restrict into) {
  REAL each = (REAL)(*g / (double)n);
  switch (kind) {
    case BCE_LOGITS: for (size_t i = 0; i < n; i++) into[i] += each * (K(moon_sigmoid)(p[i]) - t[i]); break;
    case BCE:
      for (size_t i = 0; i < n; i++) {
        REAL q = K(clipped)(p[i]), d = each * (q - t[i]) / (q * (1 - q));
        into[i] += q < p[i] || q > p[i] ? 0 : d; /* NaN stays */
      }
      break;
    case MSE: for (size_t i = 0; i < n; i++) into[i] += each * 2 * (p[i] - t[i]); break;
  }
}

static void K(loss_backward_t)(loss_kind kind, size_t n, const REAL *g, const REAL *restrict p, const REAL *restrict t,
                               REAL *restrict into) {
  REAL each = (REAL)(*g / (double)n);
  for (size_t i = 0; i < n; i++) {
    REAL q = K(clipped)(p[i]);
    switch (kind) {
      case BCE_LOGITS: into[i] -= each * p[i]; break;
      case BCE: into[i] -= each * (M(log)(q) - M(log1p)(-q)); break;
      case MSE: into[i] -= each * 2 * (p[i] - t[i]); break;
    }
  }
}
#endif

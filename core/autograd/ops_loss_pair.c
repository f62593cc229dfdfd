/* ops_loss_pair.c - losses of two numbers a row, the mean over n of weight times loss.
 *
 * bce      (1 - t) z + (1 + (w+ - 1) t) log(1 + e^-z)      dz = (1 - t) - (1 + (w+ - 1) t) sigmoid(-z)       z logit, t target
 * bpr      log(1 + e^-(p - q))                             dp = -sigmoid(q - p) = -dq                         p positive, q negative
 * hinge    max(0, margin - (p - q))                        dp = -1 = -dq, inside the margin
 */
#ifndef REAL
#include "autograd/real_math.h"
#include "autograd/tape.h"

typedef enum pair_kind { BCE_WEIGHTED, BPR, HINGE } pair_kind;
typedef struct pair_loss {
  pair_kind kind;
  double number;       /* the positive weight, or the margin */
  const void *weights; /* [n], or NULL */
} pair_loss;

#define MOON_EACH_REAL "ops_loss_pair.c"
#include "autograd/each_real.h"

static void pair_back(moon_tape *tape, moon_node *node) {
  const pair_loss *kept = node->aux;
  const moon_node *a = moon_node_at(tape, node->in[0]), *b = moon_node_at(tape, node->in[1]);
  void *into_a = moon_node_grad(tape, node->in[0]),
       *into_b = kept->kind == BCE_WEIGHTED ? NULL : moon_node_grad(tape, node->in[1]);
  if (into_a) MOON_BY_DTYPE(node->dtype, pair_backward, kept, a->count, 1, node->grad, a->value, b->value, into_a);
  if (into_b) MOON_BY_DTYPE(node->dtype, pair_backward, kept, a->count, -1, node->grad, a->value, b->value, into_b);
}

static moon_status pair(moon_tape *tape, const moon_op *op, pair_loss loss, moon_var a, moon_var b, const moon_var *weights,
                        moon_var *out) {
  moon_var in[3] = {a, b, weights ? *weights : a};
  MOON_TRY(moon_node_check(tape, op, 3, in));
  const moon_node *na = moon_node_at(tape, a), *nb = moon_node_at(tape, b), *nw = weights ? moon_node_at(tape, *weights) : NULL;
  if (!moon_shape_equal(na->dims, na->shape, nb->dims, nb->shape) &&
      !(na->count == nb->count && (na->dims == 1 || nb->dims == 1)))
    return moon_node_mismatch(tape, op, a, b, "as many elements of one shape, or [n], are needed");
  if (nw && nw->count != na->count) return moon_node_mismatch(tape, op, a, *weights, "one weight a row is needed");
  if (!na->count) return moon_fail(MOON_EINVAL, "%s: %s has no elements", op->name, moon_node_shape(tape, a).text);
  loss.weights = nw ? nw->value : NULL;
  pair_loss *kept = moon_tape_take(tape, sizeof *kept);
  if (!kept) return moon_fail(MOON_ENOMEM, "%s: no memory", op->name);
  *kept = loss;
  moon_node *node;
  MOON_TRY(moon_node_push(tape, op, loss.kind == BCE_WEIGHTED ? 1 : 2, in, 0, NULL, &node, out));
  node->in[1] = b, node->aux = kept;
  na = moon_node_at(tape, a), nb = moon_node_at(tape, b);
  MOON_BY_DTYPE(node->dtype, pair_forward, kept, na->count, na->value, nb->value, node->value);
  return moon_node_done(tape, *out);
}

static const moon_op bce_op = {"bce_logits_weighted", pair_back}, bpr_op = {"bpr", pair_back}, hinge_op = {"hinge", pair_back};

moon_status moon_op_bce_logits_weighted(moon_tape *tape, moon_var logits, moon_var target, const moon_var *weights,
                                        double positive_weight, moon_var *out) {
  return pair(tape, &bce_op, (pair_loss){BCE_WEIGHTED, positive_weight, NULL}, logits, target, weights, out);
}
moon_status moon_op_bpr(moon_tape *tape, moon_var pos, moon_var neg, const moon_var *weights, moon_var *out) {
  return pair(tape, &bpr_op, (pair_loss){BPR, 0, NULL}, pos, neg, weights, out);
}
moon_status moon_op_hinge(moon_tape *tape, moon_var pos, moon_var neg, double margin, const moon_var *weights, moon_var *out) {
  return pair(tape, &hinge_op, (pair_loss){HINGE, margin, NULL}, pos, neg, weights, out);
}

#else /* ---- kernels, for each REAL ---------------------------------------------------------------------------------------------- */

/* log(1 + e^x) without overflow. */
static inline REAL K(pair_softplus)(REAL x) { return (x < 0 ? 0 : x) + K(moon_log1p)(K(moon_exp)(x < 0 ? x : -x)); }

static void K(pair_forward)(const pair_loss *loss, size_t n, const REAL *restrict a, const REAL *restrict b, REAL *restrict y) {
  const REAL *weights = loss->weights;
  REAL number = (REAL)loss->number;
  double sum = 0;
  for (size_t i = 0; i < n; i++) {
    REAL each = 0, short_by = number - (a[i] - b[i]);
    switch (loss->kind) {
      case BCE_WEIGHTED: each = (1 - b[i]) * a[i] + (1 + (number - 1) * b[i]) * K(pair_softplus)(-a[i]); break;
      case BPR: each = K(pair_softplus)(b[i] - a[i]); break;
      case HINGE: each = short_by <= 0 ? 0 : short_by; break; /* NaN stays */
    }
    sum += (double)each * (weights ? weights[i] : 1);
  }
  *y = (REAL)(sum / (double)n);
}

/* sign 1: into a; -1: into b, whose slope is the opposite. */
static void K(pair_backward)(const pair_loss *loss, size_t n, int sign, const REAL *g, const REAL *restrict a,
                             const REAL *restrict b, REAL *restrict into) {
  const REAL *weights = loss->weights;
  REAL share = (REAL)(*g * sign / (double)n), number = (REAL)loss->number;
  for (size_t i = 0; i < n; i++) {
    REAL slope = 0;
    switch (loss->kind) {
      case BCE_WEIGHTED: slope = (1 - b[i]) - (1 + (number - 1) * b[i]) * K(moon_sigmoid)(-a[i]); break;
      case BPR: slope = -K(moon_sigmoid)(b[i] - a[i]); break;
      case HINGE: slope = number - (a[i] - b[i]) <= 0 ? 0 : -1; break;
    }
    into[i] += share * slope * (weights ? weights[i] : 1);
  }
}
#endif

/* ops_matmul.c - matrix products, alone and fused with bias and activation.
 *
 * matmul   y = a b               da = dy b^T              db = a^T dy
 * dense    y = act(x w + b)      dz = dy act'(y)          dx = dz w^T, dw = x^T dz, db = column sums of dz
 *
 * A dense layer is one node: bias and activation are one pass over the product while it is warm. A layer of one unit, as at the end
 * of every ranker, is a dot product a row and skips BLAS. */
#ifndef REAL
#include "autograd/real_math.h"
#include "autograd/tape.h"

enum { LINEAR, RELU, SIGMOID, TANH, ACTIVATIONS };

#define MOON_EACH_REAL "ops_matmul.c"
#include "autograd/each_real.h"

static bool is_matrix(const moon_node *node) { return node->dims == 2; }

/* ---- matmul ----------------------------------------------------------------------------------------------------------------- */

static void matmul_back(moon_tape *tape, moon_node *node) {
  void *into_a = moon_node_grad(tape, node->in[0]), *into_b = moon_node_grad(tape, node->in[1]);
  const moon_node *a = moon_node_at(tape, node->in[0]), *b = moon_node_at(tape, node->in[1]);
  size_t n = a->shape[0], k = a->shape[1], m = b->shape[1];
  if (into_a) moon_gemm(node->dtype, false, true, n, k, m, node->grad, b->value, true, into_a);
  if (into_b) moon_gemm(node->dtype, true, false, k, m, n, a->value, node->grad, true, into_b);
}

static const moon_op matmul_op = {"matmul", matmul_back};

moon_status moon_op_matmul(moon_tape *tape, moon_var a, moon_var b, moon_var *out) {
  moon_var in[2] = {a, b};
  MOON_TRY(moon_node_check(tape, &matmul_op, 2, in));
  const moon_node *na = moon_node_at(tape, a), *nb = moon_node_at(tape, b);
  if (!is_matrix(na) || !is_matrix(nb) || na->shape[1] != nb->shape[0])
    return moon_node_mismatch(tape, &matmul_op, a, b, "[n, k] by [k, m] is needed");
  size_t n = na->shape[0], k = na->shape[1], m = nb->shape[1];
  if (!moon_gemm_fits(n, m, k)) return moon_node_mismatch(tape, &matmul_op, a, b, "too large for BLAS");
  moon_node *node;
  MOON_TRY(moon_node_push(tape, &matmul_op, 2, in, 2, (size_t[]){n, m}, &node, out));
  moon_gemm(node->dtype, false, false, n, m, k, moon_node_at(tape, a)->value, moon_node_at(tape, b)->value, false, node->value);
  return moon_node_done(tape, *out);
}

/* ---- dense ------------------------------------------------------------------------------------------------------------------ */

static void dense_back(moon_tape *tape, moon_node *node) {
  int activation = (int)node->number;
  const void *dz = node->grad; /* the node's own gradient stays as it is: it can be read after backward */
  if (activation != LINEAR) {
    void *fresh = moon_tape_take(tape, node->count * moon_dtype_size(node->dtype));
    if (!fresh) return;
    MOON_BY_DTYPE(node->dtype, activation_backward, activation, node->count, node->grad, node->value, fresh);
    dz = fresh;
  }
  void *into_x = moon_node_grad(tape, node->in[0]), *into_w = moon_node_grad(tape, node->in[1]), *into_b = moon_node_grad(tape, node->in[2]);
  const moon_node *x = moon_node_at(tape, node->in[0]), *w = moon_node_at(tape, node->in[1]);
  size_t n = x->shape[0], k = x->shape[1], m = w->shape[1];
  if (into_b) MOON_BY_DTYPE(node->dtype, column_sums, n, m, dz, into_b);
  if (m == 1) {
    if (into_w) MOON_BY_DTYPE(node->dtype, unit_backward_w, n, k, x->value, dz, into_w);
    if (into_x) MOON_BY_DTYPE(node->dtype, unit_backward_x, n, k, w->value, dz, into_x);
    return;
  }
  if (into_w) moon_gemm(node->dtype, true, false, k, m, n, x->value, dz, true, into_w);
  if (into_x) moon_gemm(node->dtype, false, true, n, k, m, dz, w->value, true, into_x);
}

static const moon_op dense_op = {"dense", dense_back};

moon_status moon_op_dense(moon_tape *tape, moon_var x, moon_var w, moon_var b, int activation, moon_var *out) {
  moon_var in[3] = {x, w, b};
  MOON_TRY(moon_node_check(tape, &dense_op, 3, in));
  if (activation < 0 || activation >= ACTIVATIONS) return moon_fail(MOON_EINVAL, "dense: activation %d does not exist", activation);
  const moon_node *nx = moon_node_at(tape, x), *nw = moon_node_at(tape, w), *nb = moon_node_at(tape, b);
  if (!is_matrix(nx) || !is_matrix(nw) || nx->shape[1] != nw->shape[0])
    return moon_node_mismatch(tape, &dense_op, x, w, "input [n, in] by weight [in, out] is needed");
  size_t n = nx->shape[0], k = nx->shape[1], m = nw->shape[1];
  if (nb->dims != 1 || nb->shape[0] != m) return moon_node_mismatch(tape, &dense_op, w, b, "weight [in, out] and bias [out] are needed");
  if (!moon_gemm_fits(n, m, k)) return moon_node_mismatch(tape, &dense_op, x, w, "too large for BLAS");
  moon_node *node;
  MOON_TRY(moon_node_push(tape, &dense_op, 3, in, 2, (size_t[]){n, m}, &node, out));
  node->number = activation;
  if (!node->count) return moon_ok();
  nx = moon_node_at(tape, x), nw = moon_node_at(tape, w), nb = moon_node_at(tape, b);
  if (m == 1) MOON_BY_DTYPE(node->dtype, unit_forward, n, k, nx->value, nw->value, node->value);
  else moon_gemm(node->dtype, false, false, n, m, k, nx->value, nw->value, false, node->value);
  MOON_BY_DTYPE(node->dtype, bias_activation, activation, n, m, nb->value, node->value);
  return moon_node_done(tape, *out);
}

#else /* ---- kernels, for each REAL ---------------------------------------------------------------------------------------------- */

/* y [n, m] += bias [m], then the activation, in one pass. */
MOON_CLONES static void K(bias_activation)(int activation, size_t n, size_t m, const REAL *restrict bias, REAL *restrict y) {
  for (size_t i = 0; i < n; i++, y += m) {
    switch (activation) {
      case RELU: for (size_t j = 0; j < m; j++) { REAL z = y[j] + bias[j]; y[j] = z < 0 ? 0 : z; } break;
      case SIGMOID: for (size_t j = 0; j < m; j++) y[j] = K(moon_sigmoid)(y[j] + bias[j]); break;
      case TANH: for (size_t j = 0; j < m; j++) y[j] = M(tanh)(y[j] + bias[j]); break;
      default: for (size_t j = 0; j < m; j++) y[j] += bias[j]; break;
    }
  }
}

/* dz = dy act'(z), from the output y. */
MOON_CLONES static void K(activation_backward)(int activation, size_t n, const REAL *restrict dy, const REAL *restrict y, REAL *restrict dz) {
  switch (activation) {
    case RELU: for (size_t i = 0; i < n; i++) dz[i] = y[i] <= 0 ? 0 : dy[i]; break;
    case SIGMOID: for (size_t i = 0; i < n; i++) dz[i] = dy[i] * y[i] * (1 - y[i]); break;
    case TANH: for (size_t i = 0; i < n; i++) dz[i] = dy[i] * (1 - y[i] * y[i]); break;
    default: for (size_t i = 0; i < n; i++) dz[i] = dy[i]; break;
  }
}

MOON_CLONES static void K(column_sums)(size_t n, size_t m, const REAL *restrict dz, REAL *restrict into) {
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < m; j++) into[j] += dz[i * m + j];
}

/* x [n, k] w [k, 1] -> y [n, 1]. Eight running sums, or the additions would wait for one another. */
MOON_CLONES static void K(unit_forward)(size_t n, size_t k, const REAL *restrict x, const REAL *restrict w, REAL *restrict y) {
  for (size_t i = 0; i < n; i++, x += k) {
    REAL sum[8] = {0}, rest = 0;
    size_t j = 0;
    for (; j + 8 <= k; j += 8)
      for (size_t lane = 0; lane < 8; lane++) sum[lane] += x[j + lane] * w[j + lane];
    for (; j < k; j++) rest += x[j] * w[j];
    y[i] = ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7])) + rest;
  }
}

/* The way back of one unit: into [k] += sum over rows of dz x; into [n, k] += dz w. */
MOON_CLONES static void K(unit_backward_w)(size_t n, size_t k, const REAL *restrict x, const REAL *restrict dz, REAL *restrict into) {
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < k; j++) into[j] += dz[i] * x[i * k + j];
}
MOON_CLONES static void K(unit_backward_x)(size_t n, size_t k, const REAL *restrict w, const REAL *restrict dz, REAL *restrict into) {
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < k; j++) into[i * k + j] += dz[i] * w[j];
}
#endif

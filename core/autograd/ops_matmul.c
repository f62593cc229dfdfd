/* ops_matmul.c - matrix products by BLAS.
 *
 * y = a b        da = dy b^T        db = a^T dy */
#include "autograd/tape.h"

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

/* ops_interact.c - feature interactions as one node each.
 *
 * fm      y = ((sum_f x)^2 - sum_f x^2) / 2       dx_f = dy (sum_f x - x_f)                       Rendle 2010
 * cross   y = x0 z + x,  z = x W + b              dx0 = dy z,  dz = dy x0,  dx = dz W^T + dy,     Wang et al. 2021 (DCN-v2)
 *                                                 dW = x^T dz,  db = column sums of dz
 */
#ifndef REAL
#include "autograd/tape.h"

#define MOON_EACH_REAL "ops_interact.c"
#include "autograd/each_real.h"

/* ---- fm --------------------------------------------------------------------------------------------------------------------- */

static void fm_back(moon_tape *tape, moon_node *node) {
  const moon_node *x = moon_node_at(tape, node->in[0]);
  void *into = moon_node_grad(tape, node->in[0]);
  if (into) MOON_BY_DTYPE(node->dtype, fm_backward, x->shape[0], x->shape[1], x->shape[2], node->grad, x->value, node->aux, into);
}

static const moon_op fm_op = {"fm", fm_back};

moon_status moon_op_fm(moon_tape *tape, moon_var x, moon_var *out) {
  MOON_TRY(moon_node_check(tape, &fm_op, 1, &x));
  moon_node input = *moon_node_at(tape, x), *node;
  if (input.dims != 3) return moon_fail(MOON_EINVAL, "fm: %s is not [n, f, d]", moon_node_shape(tape, x).text);
  size_t n = input.shape[0], f = input.shape[1], d = input.shape[2];
  void *sums = moon_tape_take(tape, n * d * moon_dtype_size(input.dtype)); /* [n, d] */
  if (!sums) return moon_fail(MOON_ENOMEM, "fm: no memory for %s", moon_node_shape(tape, x).text);
  MOON_TRY(moon_node_push(tape, &fm_op, 1, &x, 2, (size_t[]){n, d}, &node, out));
  node->aux = sums;
  MOON_BY_DTYPE(node->dtype, fm_forward, n, f, d, input.value, sums, node->value);
  return moon_node_done(tape, *out);
}

/* ---- cross ------------------------------------------------------------------------------------------------------------------ */

typedef struct crossing {
  moon_var x0, x, w, b;
  void *z, *dz; /* [n, d] */
} crossing;

static void cross_back(moon_tape *tape, moon_node *node) {
  const crossing *c = node->aux;
  size_t n = node->shape[0], d = node->shape[1];
  void *into_x0 = moon_node_grad(tape, c->x0), *into_x = moon_node_grad(tape, c->x), *into_w = moon_node_grad(tape, c->w),
       *into_b = moon_node_grad(tape, c->b);
  void *dz = c->dz;
  MOON_BY_DTYPE(node->dtype, multiply, node->count, node->grad, moon_node_at(tape, c->x0)->value, dz);
  if (into_x0) MOON_BY_DTYPE(node->dtype, add_multiplied, node->count, node->grad, c->z, into_x0);
  if (into_b) MOON_BY_DTYPE(node->dtype, add_columns, n, d, dz, into_b);
  if (into_w) moon_gemm(node->dtype, true, false, d, d, n, moon_node_at(tape, c->x)->value, dz, true, into_w);
  if (!into_x) return;
  moon_gemm(node->dtype, false, true, n, d, d, dz, moon_node_at(tape, c->w)->value, true, into_x);
  MOON_BY_DTYPE(node->dtype, add_columns, 1, node->count, node->grad, into_x);
}

static const moon_op cross_op = {"cross", cross_back};

moon_status moon_op_cross(moon_tape *tape, moon_var x0, moon_var x, moon_var w, moon_var b, moon_var *out) {
  moon_var in[4] = {x0, x, w, b};
  MOON_TRY(moon_node_check(tape, &cross_op, 4, in));
  const moon_node *n0 = moon_node_at(tape, x0), *nx = moon_node_at(tape, x), *nw = moon_node_at(tape, w),
                  *nb = moon_node_at(tape, b);
  if (nx->dims != 2 || !moon_shape_equal(2, nx->shape, n0->dims, n0->shape))
    return moon_node_mismatch(tape, &cross_op, x0, x, "x0 [n, d] and x [n, d] are needed");
  size_t n = nx->shape[0], d = nx->shape[1];
  if (!moon_shape_equal(2, (size_t[]){d, d}, nw->dims, nw->shape))
    return moon_node_mismatch(tape, &cross_op, x, w, "x [n, d] by weight [d, d] is needed");
  if (nb->dims != 1 || nb->shape[0] != d)
    return moon_node_mismatch(tape, &cross_op, w, b, "weight [d, d] and bias [d] are needed");
  if (!moon_gemm_fits(n, d, d)) return moon_node_mismatch(tape, &cross_op, x, w, "too large for BLAS");
  crossing *c = moon_tape_take(tape, sizeof *c);
  void *z = moon_tape_take(tape, nx->count * moon_dtype_size(nx->dtype)), *dz = NULL;
  bool keeps = moon_node_wanted(tape, 4, in);
  if (keeps) dz = moon_tape_take(tape, nx->count * moon_dtype_size(nx->dtype));
  if (!c || !z || (keeps && !dz)) return moon_fail(MOON_ENOMEM, "cross: no memory for %s", moon_node_shape(tape, x).text);
  *c = (crossing){x0, x, w, b, z, dz};
  moon_node *node;
  MOON_TRY(moon_node_push(tape, &cross_op, 4, in, 2, (size_t[]){n, d}, &node, out));
  node->aux = c;
  moon_gemm(node->dtype, false, false, n, d, d, moon_node_at(tape, x)->value, moon_node_at(tape, w)->value, false, z);
  MOON_BY_DTYPE(node->dtype, cross_forward, n, d, moon_node_at(tape, x0)->value, moon_node_at(tape, x)->value,
                moon_node_at(tape, b)->value, z, node->value);
  return moon_node_done(tape, *out);
}

#else /* ---- kernels, for each REAL ---------------------------------------------------------------------------------------------- */

/* x [n, f, d] -> sums [n, d], y [n, d]. */
MOON_CLONES static void K(fm_forward)(size_t n, size_t f, size_t d, const REAL *restrict x, REAL *restrict sums,
                                      REAL *restrict y) {
  for (size_t i = 0; i < n; i++, sums += d, y += d) {
    for (size_t j = 0; j < d; j++) sums[j] = y[j] = 0;
    for (size_t k = 0; k < f; k++, x += d)
      for (size_t j = 0; j < d; j++) sums[j] += x[j], y[j] += x[j] * x[j];
    for (size_t j = 0; j < d; j++) y[j] = (REAL)0.5 * (sums[j] * sums[j] - y[j]);
  }
}

MOON_CLONES static void K(fm_backward)(size_t n, size_t f, size_t d, const REAL *restrict g, const REAL *restrict x,
                                       const REAL *restrict sums, REAL *restrict into) {
  for (size_t i = 0; i < n; i++, sums += d, g += d)
    for (size_t k = 0; k < f; k++, x += d, into += d)
      for (size_t j = 0; j < d; j++) into[j] += g[j] * (sums[j] - x[j]);
}

MOON_CLONES static void K(cross_forward)(size_t n, size_t d, const REAL *x0, const REAL *x, const REAL *restrict b,
                                         REAL *restrict z, REAL *restrict y) {
  for (size_t i = 0; i < n; i++, x0 += d, x += d, z += d, y += d)
    for (size_t j = 0; j < d; j++) {
      z[j] += b[j];
      y[j] = x0[j] * z[j] + x[j];
    }
}

MOON_CLONES static void K(multiply)(size_t n, const REAL *restrict a, const REAL *restrict b, REAL *restrict y) {
  for (size_t i = 0; i < n; i++) y[i] = a[i] * b[i];
}
MOON_CLONES static void K(add_multiplied)(size_t n, const REAL *restrict a, const REAL *restrict b, REAL *restrict into) {
  for (size_t i = 0; i < n; i++) into[i] += a[i] * b[i];
}
/* into [d] += column sums of x [n, d] */
MOON_CLONES static void K(add_columns)(size_t n, size_t d, const REAL *restrict x, REAL *restrict into) {
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < d; j++) into[j] += x[i * d + j];
}
#endif

/* ops_attention.c - scaled dot-product attention (Vaswani et al. 2017) of [b, h] heads as one node.
 *
 *   s = q k^T scale        p = softmax(s over the keys that are seen)        y = p v
 *   dv = p^T dy            dp = dy v^T            ds = p (dp - <dp, p>) scale            dq = ds k            dk = ds^T q
 *
 * The scores become the probabilities in place and only those are kept, [b, h, tq, tk]; without a way back one matrix is reused for all
 * heads. ds needs one matrix. What a query cannot see has p = 0 and passes nothing; a query that sees nothing gives zeros. */
#ifndef REAL
#include <string.h>

#include "autograd/real_math.h"
#include "autograd/tape.h"

typedef struct heads {
  size_t b, h, tq, tk, d, dv;
  moon_attention how;
  void *p;  /* [b, h, tq, tk], or [tq, tk] without a way back */
  void *ds; /* [tq, tk], for the way back */
} heads;

#define MOON_EACH_REAL "ops_attention.c"
#include "autograd/each_real.h"

/* The i-th matrix of `size` elements. */
static char *matrix(const void *base, moon_dtype dtype, size_t i, size_t size) {
  return (char *)(uintptr_t)base + i * size * moon_dtype_size(dtype);
}

static void attention_back(moon_tape *tape, moon_node *node) {
  const heads *a = node->aux;
  moon_dtype dtype = node->dtype;
  char *into_q = moon_node_grad(tape, node->in[0]), *into_k = moon_node_grad(tape, node->in[1]),
       *into_v = moon_node_grad(tape, node->in[2]);
  const void *q = moon_node_at(tape, node->in[0])->value, *k = moon_node_at(tape, node->in[1])->value,
             *v = moon_node_at(tape, node->in[2])->value;
  void *ds = a->ds;
  for (size_t i = 0; i < a->b * a->h; i++) {
    const void *p = matrix(a->p, dtype, i, a->tq * a->tk), *dy = matrix(node->grad, dtype, i, a->tq * a->dv);
    if (into_v) moon_gemm(dtype, true, false, a->tk, a->dv, a->tq, p, dy, true, matrix(into_v, dtype, i, a->tk * a->dv));
    if (!into_q && !into_k) continue;
    moon_gemm(dtype, false, true, a->tq, a->tk, a->dv, dy, matrix(v, dtype, i, a->tk * a->dv), false, ds);
    MOON_BY_DTYPE(dtype, scores_backward, a->tq, a->tk, a->how.scale, p, ds);
    if (into_q)
      moon_gemm(dtype, false, false, a->tq, a->d, a->tk, ds, matrix(k, dtype, i, a->tk * a->d), true,
                matrix(into_q, dtype, i, a->tq * a->d));
    if (into_k)
      moon_gemm(dtype, true, false, a->tk, a->d, a->tq, ds, matrix(q, dtype, i, a->tq * a->d), true,
                matrix(into_k, dtype, i, a->tk * a->d));
  }
}

static const moon_op attention_op = {"attention", attention_back};

static moon_status check_heads(const moon_tape *tape, const moon_var in[3], const moon_attention *how, heads *a) {
  MOON_TRY(moon_node_check(tape, &attention_op, 3, in));
  const moon_node *q = moon_node_at(tape, in[0]), *k = moon_node_at(tape, in[1]), *v = moon_node_at(tape, in[2]);
  if (q->dims != 4 || k->dims != 4 || q->shape[0] != k->shape[0] || q->shape[1] != k->shape[1] || q->shape[3] != k->shape[3])
    return moon_node_mismatch(tape, &attention_op, in[0], in[1], "queries [b, h, tq, d] and keys [b, h, tk, d] are needed");
  if (v->dims != 4 || !moon_shape_equal(3, k->shape, 3, v->shape))
    return moon_node_mismatch(tape, &attention_op, in[1], in[2], "keys [b, h, tk, d] and values [b, h, tk, dv] are needed");
  *a = (heads){q->shape[0], q->shape[1], q->shape[2], k->shape[2], q->shape[3], v->shape[3], *how, NULL, NULL};
  if (how->causal && a->tq != a->tk)
    return moon_node_mismatch(tape, &attention_op, in[0], in[1], "causal attention needs as many queries as keys");
  for (size_t i = 0; how->lengths && i < a->b; i++)
    if (how->lengths[i] > a->tk)
      return moon_fail(MOON_EINVAL, "attention: length %u at position %zu is more than the keys of %s", how->lengths[i], i,
                       moon_node_shape(tape, in[1]).text);
  if (!moon_gemm_fits(a->tq, a->tk, a->d) || !moon_gemm_fits(a->dv, 0, 0))
    return moon_node_mismatch(tape, &attention_op, in[0], in[1], "too large for BLAS");
  if (how->scale == 0 && a->d) a->how.scale = 1 / __builtin_sqrt((double)a->d);
  return moon_ok();
}

moon_status moon_op_attention(moon_tape *tape, moon_var q, moon_var k, moon_var v, const moon_attention *how, moon_var *out) {
  moon_var in[3] = {q, k, v};
  heads found, *a = moon_tape_take(tape, sizeof *a);
  if (!a) return moon_fail(MOON_ENOMEM, "attention: no memory");
  MOON_TRY(check_heads(tape, in, how, &found));
  *a = found;
  moon_dtype dtype = moon_node_at(tape, q)->dtype;
  bool keeps = moon_node_wanted(tape, 3, in);
  size_t kept[4] = {keeps ? a->b : 1, keeps ? a->h : 1, a->tq, a->tk}, count;
  moon_status st = moon_shape_count(dtype, 4, kept, &count);
  if (st.code) return moon_wrap(st, "attention: the probabilities");
  if (keeps) a->ds = moon_tape_take(tape, a->tq * a->tk * moon_dtype_size(dtype));
  if (!(a->p = moon_tape_take(tape, count * moon_dtype_size(dtype))) || (keeps && !a->ds))
    return moon_fail(MOON_ENOMEM, "attention: no memory for probabilities of %s", moon_shape_write(4, kept).text);
  moon_node *node;
  MOON_TRY(moon_node_push(tape, &attention_op, 3, in, 4, (size_t[]){a->b, a->h, a->tq, a->dv}, &node, out));
  node->aux = a;
  const void *qs = moon_node_at(tape, q)->value, *ks = moon_node_at(tape, k)->value, *vs = moon_node_at(tape, v)->value;
  for (size_t i = 0; i < a->b * a->h; i++) {
    void *p = matrix(a->p, dtype, keeps ? i : 0, a->tq * a->tk);
    moon_gemm(dtype, false, true, a->tq, a->tk, a->d, matrix(qs, dtype, i, a->tq * a->d), matrix(ks, dtype, i, a->tk * a->d),
              false, p);
    MOON_BY_DTYPE(dtype, scores_forward, a, i / a->h, p);
    moon_gemm(dtype, false, false, a->tq, a->dv, a->tk, p, matrix(vs, dtype, i, a->tk * a->dv), false,
              matrix(node->value, dtype, i, a->tq * a->dv));
  }
  return moon_node_done(tape, *out);
}

#else /* ---- kernels, for each REAL ---------------------------------------------------------------------------------------------- */
#include "autograd/real_sums.h"

/* One row of scores to probabilities: the first `seen` keys, less those that the mask (NULL: none) hides. */
MOON_CLONES static void K(scores_row)(size_t seen, size_t tk, double factor, const uint8_t *mask, REAL *restrict p) {
  REAL scale = (REAL)factor;
  bool any = !mask && seen;
  for (size_t j = 0; mask && j < seen; j++) any |= mask[j] != 0;
  if (!any) seen = 0;
  if (mask) for (size_t j = 0; j < seen; j++) p[j] = mask[j] ? p[j] * scale : -(REAL)__builtin_inf();
  else for (size_t j = 0; j < seen; j++) p[j] *= scale;
  REAL top = K(row_max)(seen, p, NULL);
  for (size_t j = 0; j < seen; j++) p[j] = K(moon_exp)(p[j] - top);
  for (size_t j = seen; j < tk; j++) p[j] = 0;
  REAL inverse = seen ? 1 / K(row_sum)(seen, p) : 0;
  for (size_t j = 0; j < seen; j++) p[j] *= inverse;
}

static void K(scores_forward)(const heads *a, size_t batch, REAL *p) {
  size_t length = a->how.lengths ? a->how.lengths[batch] : a->tk;
  const uint8_t *mask = a->how.mask ? a->how.mask + batch * a->tk : NULL;
  for (size_t i = 0; i < a->tq; i++) {
    size_t seen = a->how.causal && i + 1 < length ? i + 1 : length;
    K(scores_row)(seen, a->tk, a->how.scale, mask, p + i * a->tk);
  }
}

/* ds [tq, tk] holds dp and becomes p (dp - <dp, p>) scale. */
MOON_CLONES static void K(scores_backward)(size_t tq, size_t tk, double factor, const REAL *restrict p, REAL *restrict ds) {
  REAL scale = (REAL)factor;
  for (size_t i = 0; i < tq; i++, p += tk, ds += tk) {
    REAL dot = K(row_dot)(tk, p, ds);
    for (size_t j = 0; j < tk; j++) ds[j] = scale * p[j] * (ds[j] - dot);
  }
}
#endif

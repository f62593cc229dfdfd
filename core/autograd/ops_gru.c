/* ops_gru.c - a gated recurrent unit (Cho et al. 2014) over a sequence, by PyTorch's equations, as one node.
 *
 *   r = s(x Wr + br + h Ur + cr)   z = s(x Wz + bz + h Uz + cz)   m = h Un + cn   n = tanh(x Wn + bn + r m)   h' = (1 - z) n + z h
 *
 * The inputs' part of the gates is one product for all steps; the states' part is one a step. States and gates are kept by time, so that
 * a step's [batch, ..] is contiguous: h [t + 1, batch, h], gates r | z | n | m [t, batch, 4h]. Back through time, with D the gradient
 * of h' from above and from the next step:
 *   dz' = D (h - n) z (1 - z)   dn' = D (1 - z) (1 - n^2)   dr' = dn' m r (1 - r)   dh = D z + [dr' | dz' | dn' r] U^T
 * The steps' gradients of the two pre-activations are collected, so that dW, dU and dx are one product each at the end. */
#ifndef REAL
#include <string.h>

#include "autograd/real_math.h"
#include "autograd/tape.h"

typedef struct gru {
  moon_var x, w, u, b, c;
  size_t batch, t, in, h;
  const uint32_t *lengths;
  void *state; /* [t + 1, batch, h] */
  void *gates; /* [t, batch, 4h]; one step's without a way back */
  void *x_gates; /* [batch, t, 3h]: x W, and on the way back its gradient */
  void *h_gates; /* [t, batch, 3h]: the gradient of h U + c; forward, one step's h U */
  void *carry;   /* [batch, h]: what the next step sends back */
  bool keeps;
} gru;

#define MOON_EACH_REAL "ops_gru.c"
#include "autograd/each_real.h"

/* base + i elements */
static void *part(const void *base, moon_dtype dtype, size_t i) { return (char *)(uintptr_t)base + i * moon_dtype_size(dtype); }

/* ---- the way back ------------------------------------------------------------------------------------------------------------ */

static void gru_back(moon_tape *tape, moon_node *node) {
  const gru *g = node->aux;
  moon_dtype dtype = node->dtype;
  size_t rows = g->batch * g->t, step = g->batch * 3 * g->h;
  void *dx_gates = g->x_gates, *dh_gates = g->h_gates, *carry = g->carry;
  void *into_x = moon_node_grad(tape, g->x), *into_w = moon_node_grad(tape, g->w), *into_u = moon_node_grad(tape, g->u),
       *into_b = moon_node_grad(tape, g->b), *into_c = moon_node_grad(tape, g->c);
  memset(carry, 0, g->batch * g->h * moon_dtype_size(dtype));
  const void *u = moon_node_at(tape, g->u)->value, *w = moon_node_at(tape, g->w)->value, *x = moon_node_at(tape, g->x)->value;
  for (size_t s = g->t; s-- > 0;) {
    void *dh = part(dh_gates, dtype, s * step);
    MOON_BY_DTYPE(dtype, step_backward, g, s, node->grad, dx_gates, dh, carry);
    if (s) moon_gemm(dtype, false, true, g->batch, g->h, 3 * g->h, dh, u, true, carry);
  }
  if (into_x) moon_gemm(dtype, false, true, rows, g->in, 3 * g->h, dx_gates, w, true, into_x);
  if (into_w) moon_gemm(dtype, true, false, g->in, 3 * g->h, rows, x, dx_gates, true, into_w);
  if (into_u) moon_gemm(dtype, true, false, g->h, 3 * g->h, rows, g->state, dh_gates, true, into_u);
  if (into_b) MOON_BY_DTYPE(dtype, add_columns, rows, 3 * g->h, dx_gates, into_b);
  if (into_c) MOON_BY_DTYPE(dtype, add_columns, rows, 3 * g->h, dh_gates, into_c);
}

static const moon_op gru_op = {"gru", gru_back};

/* ---- forward ----------------------------------------------------------------------------------------------------------------- */

static moon_status check_gru(const moon_tape *tape, const moon_var in[5], const uint32_t *lengths, gru *g) {
  MOON_TRY(moon_node_check(tape, &gru_op, 5, in));
  const moon_node *x = moon_node_at(tape, in[0]), *w = moon_node_at(tape, in[1]), *u = moon_node_at(tape, in[2]);
  if (x->dims != 3 || w->dims != 2 || w->shape[0] != x->shape[2])
    return moon_node_mismatch(tape, &gru_op, in[0], in[1], "x [n, t, in] by weight [in, 3h] is needed");
  if (u->dims != 2 || u->shape[0] > SIZE_MAX / 3 || u->shape[1] != 3 * u->shape[0] || u->shape[1] != w->shape[1])
    return moon_node_mismatch(tape, &gru_op, in[1], in[2], "weights [in, 3h] and [h, 3h] are needed");
  for (int i = 3; i < 5; i++) {
    const moon_node *bias = moon_node_at(tape, in[i]);
    if (bias->dims != 1 || bias->shape[0] != u->shape[1])
      return moon_node_mismatch(tape, &gru_op, in[2], in[i], "weight [h, 3h] and bias [3h] are needed");
  }
  *g = (gru){.x = in[0], .w = in[1], .u = in[2], .b = in[3], .c = in[4], .batch = x->shape[0], .t = x->shape[1], .in = x->shape[2],
             .h = u->shape[0], .lengths = lengths, .keeps = moon_node_wanted(tape, 5, in)};
  for (size_t i = 0; lengths && i < g->batch; i++)
    if (lengths[i] > g->t)
      return moon_fail(MOON_EINVAL, "gru: length %u at position %zu is more than the steps of %s", lengths[i], i,
                       moon_node_shape(tape, in[0]).text);
  if (!moon_gemm_fits(g->batch * g->t, 3 * g->h, g->in))
    return moon_node_mismatch(tape, &gru_op, in[0], in[1], "too large for BLAS");
  return moon_ok();
}

static moon_status take_gru(moon_tape *tape, moon_dtype dtype, gru *g) {
  size_t each = moon_dtype_size(dtype), steps = g->keeps && g->t ? g->t : 1, count;
  moon_status st = moon_shape_count(dtype, 3, (size_t[]){g->t + 1, g->batch, 4 * g->h}, &count);
  if (st.code) return moon_wrap(st, "gru: the gates");
  g->state = moon_tape_take(tape, (g->t + 1) * g->batch * g->h * each);
  g->gates = moon_tape_take(tape, steps * g->batch * 4 * g->h * each);
  g->x_gates = moon_tape_take(tape, g->batch * g->t * 3 * g->h * each);
  g->h_gates = moon_tape_take(tape, steps * g->batch * 3 * g->h * each);
  g->carry = moon_tape_take(tape, g->batch * g->h * each);
  if (g->state && g->gates && g->x_gates && g->h_gates && g->carry) return moon_ok();
  return moon_fail(MOON_ENOMEM, "gru: no memory for %zu steps of [%zu, %zu]", g->t, g->batch, g->h);
}

moon_status moon_op_gru(moon_tape *tape, moon_var x, moon_var w, moon_var u, moon_var b, moon_var c, const uint32_t *lengths,
                        moon_var *out) {
  moon_var in[5] = {x, w, u, b, c};
  gru plan, *g;
  MOON_TRY(check_gru(tape, in, lengths, &plan));
  if (!(g = moon_tape_take(tape, sizeof *g))) return moon_fail(MOON_ENOMEM, "gru: no memory");
  moon_dtype dtype = moon_node_at(tape, x)->dtype;
  MOON_TRY(take_gru(tape, dtype, &plan));
  *g = plan;
  moon_node *node;
  MOON_TRY(moon_node_push(tape, &gru_op, 5, in, 3, (size_t[]){g->batch, g->t, g->h}, &node, out));
  node->aux = g;
  if (!node->count) return moon_ok();
  memset(g->state, 0, g->batch * g->h * moon_dtype_size(dtype));
  moon_gemm(dtype, false, false, g->batch * g->t, 3 * g->h, g->in, moon_node_at(tape, x)->value, moon_node_at(tape, w)->value,
            false, g->x_gates);
  const void *uv = moon_node_at(tape, u)->value, *bv = moon_node_at(tape, b)->value, *cv = moon_node_at(tape, c)->value;
  for (size_t s = 0; s < g->t; s++) {
    moon_gemm(dtype, false, false, g->batch, 3 * g->h, g->h, part(g->state, dtype, s * g->batch * g->h), uv, false, g->h_gates);
    MOON_BY_DTYPE(dtype, step_forward, g, s, g->x_gates, g->h_gates, bv, cv, node->value);
  }
  return moon_node_done(tape, *out);
}

#else /* ---- kernels, for each REAL ---------------------------------------------------------------------------------------------- */

static inline bool K(is_over)(const gru *g, size_t i, size_t s) { return g->lengths && s >= g->lengths[i]; }

/* One row of one step: the gates kept, the new state, the output. */
MOON_CLONES static void K(row_forward)(size_t h, const REAL *restrict gx, const REAL *restrict gh, const REAL *restrict b,
                                       const REAL *restrict c, const REAL *restrict old, REAL *restrict gates,
                                       REAL *restrict fresh, REAL *restrict y) {
  REAL *r = gates, *z = gates + h, *n = gates + 2 * h, *m = gates + 3 * h;
  for (size_t j = 0; j < h; j++) r[j] = K(moon_sigmoid)(gx[j] + b[j] + gh[j] + c[j]);
  for (size_t j = 0; j < h; j++) z[j] = K(moon_sigmoid)(gx[h + j] + b[h + j] + gh[h + j] + c[h + j]);
  for (size_t j = 0; j < h; j++) {
    m[j] = gh[2 * h + j] + c[2 * h + j];
    n[j] = K(moon_tanh)(gx[2 * h + j] + b[2 * h + j] + r[j] * m[j]);
    fresh[j] = y[j] = (1 - z[j]) * n[j] + z[j] * old[j];
  }
}

/* Step s: x_gates [batch, t, 3h], h_gates [batch, 3h] -> state[s + 1], gates[s], y[:, s]. */
static void K(step_forward)(const gru *g, size_t s, const REAL *x_gates, const REAL *h_gates, const REAL *b, const REAL *c,
                            REAL *y) {
  size_t h = g->h;
  const REAL *old = (const REAL *)g->state + s * g->batch * h;
  REAL *fresh = (REAL *)g->state + (s + 1) * g->batch * h, *gates = (REAL *)g->gates + (g->keeps ? s : 0) * g->batch * 4 * h;
  for (size_t i = 0; i < g->batch; i++) {
    REAL *row = y + (i * g->t + s) * h;
    if (K(is_over)(g, i, s))
      for (size_t j = 0; j < h; j++) row[j] = fresh[i * h + j] = 0;
    else
      K(row_forward)
      (h, x_gates + (i * g->t + s) * 3 * h, h_gates + i * 3 * h, b, c, old + i * h, gates + i * 4 * h, fresh + i * h, row);
  }
}

/* One row of one step back; carry holds the later steps' part of D and becomes D z. */
MOON_CLONES static void K(row_backward)(size_t h, const REAL *restrict dy, const REAL *restrict gates, const REAL *restrict old,
                                        REAL *restrict dx, REAL *restrict dh, REAL *restrict carry) {
  const REAL *r = gates, *z = gates + h, *n = gates + 2 * h, *m = gates + 3 * h;
  for (size_t j = 0; j < h; j++) {
    REAL d = dy[j] + carry[j], dn = d * (1 - z[j]) * (1 - n[j] * n[j]);
    dx[j] = dh[j] = dn * m[j] * r[j] * (1 - r[j]);
    dx[h + j] = dh[h + j] = d * (old[j] - n[j]) * z[j] * (1 - z[j]);
    dx[2 * h + j] = dn;
    dh[2 * h + j] = dn * r[j];
    carry[j] = d * z[j];
  }
}

static void K(step_backward)(const gru *g, size_t s, const REAL *dy, REAL *dx_gates, REAL *dh, REAL *carry) {
  size_t h = g->h;
  const REAL *old = (const REAL *)g->state + s * g->batch * h, *gates = (const REAL *)g->gates + s * g->batch * 4 * h;
  for (size_t i = 0; i < g->batch; i++) {
    REAL *dx = dx_gates + (i * g->t + s) * 3 * h;
    if (K(is_over)(g, i, s))
      for (size_t j = 0; j < 3 * h; j++) dx[j] = dh[i * 3 * h + j] = 0; /* nothing comes from later either: carry is still 0 */
    else
      K(row_backward)(h, dy + (i * g->t + s) * h, gates + i * 4 * h, old + i * h, dx, dh + i * 3 * h, carry + i * h);
  }
}

MOON_CLONES static void K(add_columns)(size_t n, size_t d, const REAL *restrict x, REAL *restrict into) {
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < d; j++) into[j] += x[i * d + j];
}
#endif

/* ops_attention.c - scaled dot-product attention (Vaswani et al. 2017) of h heads as one node.
 *
 *   s = q k^T scale        p = softmax(s over the keys that are seen)        y = p v
 *   dv = p^T dy            dp = dy v^T            ds = p (dp - <dp, p>) scale            dq = ds k            dk = ds^T q
 *
 * The scores become the probabilities in place and only those are kept, [b, h, tq, tk]; without a way back one matrix is reused for all
 * heads. ds needs one matrix. What a query cannot see has p = 0 and passes nothing; a query that sees nothing gives zeros.
 *
 * A head is a part of a larger matrix and is used where it lies: the products take rows with a step, and a right side whose columns are
 * whole panels as it is. Queries go in tiles, and a tile meets the keys up to the last that one of its queries sees: causal attention
 * costs half. Rows of p and ds are padded to whole lanes, so that softmax has no tails. */
#ifndef REAL
#include <string.h>

#include "autograd/real_math.h"
#include "autograd/tape.h"

enum { TILE = 16 /* queries, or keys */, LANE = 16 };

typedef struct heads {
  size_t b, h, tq, tk, d, dv;
  moon_attention how;
  size_t row;    /* of p and ds: tk in whole lanes */
  char *p;       /* [b, h, tq, row], or [tq, row] without a way back */
  char *ds;      /* [tq, row], for the way back */
  char *left, *right; /* room for a matrix in panels: turned k or v; q, k, v or dy */
} heads;

/* One head's matrix [t, d] within q, k, v, y or a gradient of theirs. */
typedef struct head {
  char *at; /* NULL: not wanted */
  size_t row, t, d;
} head;

static head head_of(const heads *a, moon_dtype dtype, const void *base, size_t i, size_t t, size_t d) {
  size_t batch = i / a->h, number = i % a->h;
  size_t start = a->how.heads ? (batch * t * a->h + number) * d : i * t * d;
  return (head){base ? (char *)(uintptr_t)base + start * moon_dtype_size(dtype) : NULL, a->how.heads ? a->h * d : d, t, d};
}

#define MOON_EACH_REAL "ops_attention.c"
#include "autograd/each_real.h"

/* ---- products -------------------------------------------------------------------------------------------------------------- */

/* A right side: rows of a head as they lie, where they are whole panels, or packed. */
typedef struct right {
  const char *at;
  size_t step, panel;
} right;

static right rows_right(moon_dtype dtype, const head *m, char *room) {
  size_t width = moon_panel(dtype);
  if (m->d % width == 0) return (right){m->at, m->row, width};
  moon_pack_part(dtype, false, m->t, m->d, m->at, m->row, room);
  return (right){room, width, m->t * width};
}

static right turned_right(moon_dtype dtype, const head *m, char *room) {
  size_t width = moon_panel(dtype);
  moon_pack_part(dtype, true, m->d, m->t, m->at, m->row, room);
  return (right){room, width, m->d * width};
}

/* Keys that some query of i..i + TILE sees. */
static size_t keys_of_tile(const heads *a, size_t batch, size_t i) {
  size_t length = a->how.lengths ? a->how.lengths[batch] : a->tk;
  return a->how.causal && i + TILE < length ? i + TILE : length;
}

/* scores [tq, row] = left right, a row for each query; those of keys that its tile does not see are left alone. */
static void by_keys(const heads *a, moon_dtype dtype, size_t batch, const head *left, right keys, char *scores) {
  size_t each = moon_dtype_size(dtype);
  for (size_t i = 0; i < a->tq; i += TILE) {
    size_t rows = a->tq - i < TILE ? a->tq - i : TILE;
    moon_product p = {.rows = rows, .inner = left->d, .columns = keys_of_tile(a, batch, i), .a = left->at + i * left->row * each,
                      .a_row = left->row, .b = keys.at, .b_step = keys.step, .b_panel = keys.panel,
                      .c = scores + i * a->row * each, .c_row = a->row};
    moon_product_run(dtype, &p);
  }
}

/* into [tq, d] = or += scores right, the sum over the keys. */
static void over_keys(const heads *a, moon_dtype dtype, size_t batch, const char *scores, right keys, bool fresh, const head *into) {
  size_t each = moon_dtype_size(dtype);
  for (size_t i = 0; i < a->tq; i += TILE) {
    size_t rows = a->tq - i < TILE ? a->tq - i : TILE;
    moon_product p = {.rows = rows, .inner = keys_of_tile(a, batch, i), .columns = into->d, .a = scores + i * a->row * each,
                      .a_row = a->row, .b = keys.at, .b_step = keys.step, .b_panel = keys.panel, .add = !fresh,
                      .c = into->at + i * into->row * each, .c_row = into->row};
    moon_product_run(dtype, &p);
  }
}

/* into [tk, d] = or += scores^T right, the sum over the queries that see the key. */
static void over_queries(const heads *a, moon_dtype dtype, size_t batch, const char *scores, right queries, bool fresh,
                         const head *into) {
  size_t each = moon_dtype_size(dtype), seen = keys_of_tile(a, batch, a->tq);
  for (size_t j = 0; j < a->tk; j += TILE) {
    size_t rows = a->tk - j < TILE ? a->tk - j : TILE, first = a->how.causal ? j : 0;
    if (j >= seen) first = a->tq; /* padding, which nobody sees */
    moon_product p = {.rows = rows, .inner = a->tq - first, .columns = into->d, .a = scores + (first * a->row + j) * each,
                      .a_row = a->row, .a_turned = true, .b = queries.at + first * queries.step * each, .b_step = queries.step,
                      .b_panel = queries.panel, .add = !fresh, .c = into->at + j * into->row * each, .c_row = into->row};
    moon_product_run(dtype, &p);
  }
}

/* ---- the way back ---------------------------------------------------------------------------------------------------------- */

static void attention_back(moon_tape *tape, moon_node *node) {
  const heads *a = node->aux;
  moon_dtype dtype = node->dtype;
  bool fresh_q, fresh_k, fresh_v;
  /* One var may be two of these: the first to ask is the fresh one, and below the first to write. */
  void *grad_q = moon_node_grad_raw(tape, node->in[0], &fresh_q), *grad_k = moon_node_grad_raw(tape, node->in[1], &fresh_k),
       *grad_v = moon_node_grad_raw(tape, node->in[2], &fresh_v);
  const void *qs = moon_node_at(tape, node->in[0])->value, *ks = moon_node_at(tape, node->in[1])->value,
             *vs = moon_node_at(tape, node->in[2])->value;
  for (size_t i = 0; i < a->b * a->h; i++) {
    size_t batch = i / a->h;
    const char *p = a->p + i * a->tq * a->row * moon_dtype_size(dtype);
    head q = head_of(a, dtype, qs, i, a->tq, a->d), k = head_of(a, dtype, ks, i, a->tk, a->d),
         v = head_of(a, dtype, vs, i, a->tk, a->dv), dy = head_of(a, dtype, node->grad, i, a->tq, a->dv);
    head dq = head_of(a, dtype, grad_q, i, a->tq, a->d), dk = head_of(a, dtype, grad_k, i, a->tk, a->d),
         dv = head_of(a, dtype, grad_v, i, a->tk, a->dv);
    if (dq.at || dk.at) {
      by_keys(a, dtype, batch, &dy, turned_right(dtype, &v, a->left), a->ds);
      MOON_BY_DTYPE(dtype, scores_backward, a, batch, (const void *)p, (void *)a->ds);
    }
    if (dq.at) over_keys(a, dtype, batch, a->ds, rows_right(dtype, &k, a->right), fresh_q, &dq);
    if (dk.at) over_queries(a, dtype, batch, a->ds, rows_right(dtype, &q, a->right), fresh_k, &dk);
    if (dv.at) over_queries(a, dtype, batch, p, rows_right(dtype, &dy, a->right), fresh_v, &dv);
  }
}

static const moon_op attention_op = {"attention", attention_back};

/* ---- the way forward ------------------------------------------------------------------------------------------------------- */

/* With heads in rows q [b, tq, h d], k [b, tk, h d], v [b, tk, h dv]. */
static moon_status check_rows(const moon_tape *tape, const moon_var in[3], const moon_attention *how, heads *a) {
  const moon_node *q = moon_node_at(tape, in[0]), *k = moon_node_at(tape, in[1]), *v = moon_node_at(tape, in[2]);
  if (q->dims != 3 || k->dims != 3 || q->shape[0] != k->shape[0] || q->shape[2] != k->shape[2])
    return moon_node_mismatch(tape, &attention_op, in[0], in[1], "queries [b, tq, h d] and keys [b, tk, h d] are needed");
  if (v->dims != 3 || !moon_shape_equal(2, k->shape, 2, v->shape))
    return moon_node_mismatch(tape, &attention_op, in[1], in[2], "keys [b, tk, h d] and values [b, tk, h dv] are needed");
  if (q->shape[2] % how->heads || v->shape[2] % how->heads)
    return moon_fail(MOON_EINVAL, "attention: %zu heads cannot share out %s and %s", how->heads, moon_node_shape(tape, in[0]).text,
                     moon_node_shape(tape, in[2]).text);
  *a = (heads){.b = q->shape[0], .h = how->heads, .tq = q->shape[1], .tk = k->shape[1], .d = q->shape[2] / how->heads,
               .dv = v->shape[2] / how->heads, .how = *how};
  return moon_ok();
}

static moon_status check_heads(const moon_tape *tape, const moon_var in[3], const moon_attention *how, heads *a) {
  const moon_node *q = moon_node_at(tape, in[0]), *k = moon_node_at(tape, in[1]), *v = moon_node_at(tape, in[2]);
  if (q->dims != 4 || k->dims != 4 || q->shape[0] != k->shape[0] || q->shape[1] != k->shape[1] || q->shape[3] != k->shape[3])
    return moon_node_mismatch(tape, &attention_op, in[0], in[1], "queries [b, h, tq, d] and keys [b, h, tk, d] are needed");
  if (v->dims != 4 || !moon_shape_equal(3, k->shape, 3, v->shape))
    return moon_node_mismatch(tape, &attention_op, in[1], in[2], "keys [b, h, tk, d] and values [b, h, tk, dv] are needed");
  *a = (heads){.b = q->shape[0], .h = q->shape[1], .tq = q->shape[2], .tk = k->shape[2], .d = q->shape[3], .dv = v->shape[3],
               .how = *how};
  return moon_ok();
}

static moon_status check(const moon_tape *tape, const moon_var in[3], const moon_attention *how, heads *a) {
  MOON_TRY(moon_node_check(tape, &attention_op, 3, in));
  MOON_TRY(how->heads ? check_rows(tape, in, how, a) : check_heads(tape, in, how, a));
  if (how->causal && a->tq != a->tk)
    return moon_node_mismatch(tape, &attention_op, in[0], in[1], "causal attention needs as many queries as keys");
  for (size_t i = 0; how->lengths && i < a->b; i++)
    if (how->lengths[i] > a->tk)
      return moon_fail(MOON_EINVAL, "attention: length %u at position %zu is more than the keys of %s", how->lengths[i], i,
                       moon_node_shape(tape, in[1]).text);
  if (how->scale == 0 && a->d) a->how.scale = 1 / __builtin_sqrt((double)a->d);
  a->row = (a->tk + LANE - 1) / LANE * LANE;
  return moon_ok();
}

/* Probabilities and room for both ways. */
static moon_status take_memory(moon_tape *tape, moon_dtype dtype, bool keeps, heads *a) {
  if (!a->b || !a->h) return moon_ok();
  size_t kept[4] = {keeps ? a->b : 1, keeps ? a->h : 1, a->tq, a->row}, count, each = moon_dtype_size(dtype);
  moon_status st = moon_shape_count(dtype, 4, kept, &count);
  if (st.code) return moon_wrap(st, "attention: the probabilities");
  size_t widest = a->d > a->dv ? a->d : a->dv, longest = a->tq > a->tk ? a->tq : a->tk;
  a->p = moon_tape_take(tape, count * each);
  a->ds = keeps ? moon_tape_take(tape, a->tq * a->row * each) : NULL;
  a->left = moon_tape_take(tape, widest * moon_panel_round(dtype, a->tk) * each);
  a->right = moon_tape_take(tape, longest * moon_panel_round(dtype, widest) * each);
  if (a->p && a->left && a->right && (a->ds || !keeps)) return moon_ok();
  return moon_fail(MOON_ENOMEM, "attention: no memory for probabilities of %s", moon_shape_write(4, kept).text);
}

moon_status moon_op_attention(moon_tape *tape, moon_var q, moon_var k, moon_var v, const moon_attention *how, moon_var *out) {
  moon_var in[3] = {q, k, v};
  heads found, *a = moon_tape_take(tape, sizeof *a);
  if (!a) return moon_fail(MOON_ENOMEM, "attention: no memory");
  MOON_TRY(check(tape, in, how, &found));
  moon_dtype dtype = moon_node_at(tape, q)->dtype;
  bool keeps = moon_node_wanted(tape, 3, in);
  MOON_TRY(take_memory(tape, dtype, keeps, &found));
  *a = found;
  moon_node *node;
  size_t rows[3] = {a->b, a->tq, a->h * a->dv}, apart[4] = {a->b, a->h, a->tq, a->dv};
  MOON_TRY(moon_node_push(tape, &attention_op, 3, in, how->heads ? 3 : 4, how->heads ? rows : apart, &node, out));
  node->aux = a;
  const void *qs = moon_node_at(tape, q)->value, *ks = moon_node_at(tape, k)->value, *vs = moon_node_at(tape, v)->value;
  for (size_t i = 0; i < a->b * a->h; i++) {
    char *p = a->p + (keeps ? i * a->tq * a->row * moon_dtype_size(dtype) : 0);
    head one_q = head_of(a, dtype, qs, i, a->tq, a->d), one_k = head_of(a, dtype, ks, i, a->tk, a->d),
         one_v = head_of(a, dtype, vs, i, a->tk, a->dv), y = head_of(a, dtype, node->value, i, a->tq, a->dv);
    by_keys(a, dtype, i / a->h, &one_q, turned_right(dtype, &one_k, a->left), p);
    MOON_BY_DTYPE(dtype, scores_forward, a, i / a->h, (void *)p);
    over_keys(a, dtype, i / a->h, p, rows_right(dtype, &one_v, a->right), true, &y);
  }
  return moon_node_done(tape, *out);
}

#else /* ---- kernels, for each REAL ---------------------------------------------------------------------------------------------- */
#include "autograd/real_sums.h"

static size_t K(seen_by)(const heads *a, size_t batch, size_t i) {
  size_t length = a->how.lengths ? a->how.lengths[batch] : a->tk;
  return a->how.causal && i + 1 < length ? i + 1 : length;
}

/* One row of scores to probabilities: the first `seen` keys, less those that the mask (NULL: none) hides; what is not seen is minus
 * infinity on the way, and 0 in the end. */
MOON_INLINE void K(scores_row)(size_t seen, size_t row, REAL scale, const uint8_t *mask, REAL *restrict p) {
  const REAL none = -(REAL)__builtin_inf();
  size_t n = (seen + LANE - 1) / LANE * LANE;
  bool any = !mask && seen;
  for (size_t j = 0; mask && j < seen; j++) any |= mask[j] != 0;
  if (!any) n = 0;
  for (size_t j = 0; j < n; j++) p[j] *= scale;
  for (size_t j = 0; mask && j < n && j < seen; j++) p[j] = mask[j] ? p[j] : none;
  for (size_t j = seen; j < n; j++) p[j] = none;
  REAL top = K(row_max)(n, p, NULL);
  for (size_t j = 0; j < n; j++) p[j] = K(moon_exp)(p[j] - top);
  REAL inverse = n ? 1 / K(row_sum)(n, p) : 0;
  for (size_t j = 0; j < n; j++) p[j] *= inverse;
  for (size_t j = n; j < row; j++) p[j] = 0;
}

MOON_CLONES static void K(scores_forward)(const heads *a, size_t batch, REAL *restrict p) {
  const uint8_t *mask = a->how.mask ? a->how.mask + batch * a->tk : NULL;
  for (size_t i = 0; i < a->tq; i++, p += a->row) K(scores_row)(K(seen_by)(a, batch, i), a->row, (REAL)a->how.scale, mask, p);
}

/* ds [tq, row] holds dp and becomes p (dp - <dp, p>) scale; 0 where a key is not seen. */
MOON_CLONES static void K(scores_backward)(const heads *a, size_t batch, const REAL *restrict p, REAL *restrict ds) {
  REAL scale = (REAL)a->how.scale;
  for (size_t i = 0; i < a->tq; i++, p += a->row, ds += a->row) {
    size_t seen = K(seen_by)(a, batch, i), n = (seen + LANE - 1) / LANE * LANE;
    for (size_t j = seen; j < n; j++) ds[j] = 0;
    REAL dot = K(row_dot)(n, p, ds);
    for (size_t j = 0; j < n; j++) ds[j] = scale * p[j] * (ds[j] - dot);
    for (size_t j = n; j < a->row; j++) ds[j] = 0;
  }
}
#endif

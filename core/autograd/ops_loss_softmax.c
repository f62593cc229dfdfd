/* ops_loss_softmax.c - the losses that are a softmax over candidates: -log of the probability of the right one, the mean over n.
 *
 * cross_entropy     candidates are the columns of logits [n, c], the right one is named by a class
 * sampled_softmax   the positive and k sampled negatives, each less its log q     Bengio & Senecal 2008, Yi et al. 2019
 * info_nce          query_i key_j / temperature for all j of the batch, right is j = i; less log q of j   van den Oord et al. 2018
 *
 * With L = log sum e^s over a row's candidates the loss is L - s_right and ds_j = e^(s_j - L) - [j is right]. Only L [n] is kept, next to
 * the scores where they are the op's own (info_nce). */
#ifndef REAL
#include <string.h>

#include "autograd/real_math.h"
#include "autograd/tape.h"

/* What the three need for their way back. */
typedef struct softmax_loss {
  size_t n, k;
  const uint32_t *ids; /* cross_entropy: classes; info_nce: items, or NULL */
  uint32_t ignore;
  const void *weights;          /* [n] or NULL */
  const void *log_q, *log_q_neg; /* [n]; [n, k] or [k]; or NULL */
  bool neg_shared, log_q_shared;
  double share;   /* 1 / rows that count */
  double inverse; /* 1 / temperature */
  void *log_sum;  /* [n] */
  void *scores;   /* info_nce: [n, n] */
  void *ds;       /* info_nce: their gradients, for the way back */
} softmax_loss;

#define MOON_EACH_REAL "ops_loss_softmax.c"
#include "autograd/each_real.h"

/* An optional constant of the op: on the tape, of a's dtype, with n elements (or `other`). */
static moon_status read_constant(const moon_tape *tape, const moon_op *op, moon_var a, const moon_var *constant, const char *what,
                                 size_t n, size_t other, const void **values) {
  *values = NULL;
  if (!constant) return moon_ok();
  MOON_TRY(moon_node_check(tape, op, 2, (moon_var[]){a, *constant}));
  const moon_node *node = moon_node_at(tape, *constant);
  if (node->count != n && node->count != other)
    return moon_fail(MOON_EINVAL, "%s: %s against %s of %s: %zu are needed", op->name, moon_node_shape(tape, a).text, what,
                     moon_node_shape(tape, *constant).text, n);
  *values = node->value;
  return moon_ok();
}

/* A scalar node with its own copy of `loss` and room for log_sum. */
static moon_status push_loss(moon_tape *tape, const moon_op *op, const softmax_loss *loss, size_t n_in, const moon_var *in,
                             moon_node **node, moon_var *out) {
  softmax_loss *kept = moon_tape_take(tape, sizeof *kept);
  void *log_sum = moon_tape_take(tape, loss->n * moon_dtype_size(moon_node_at(tape, in[0])->dtype));
  if (!kept || !log_sum) return moon_fail(MOON_ENOMEM, "%s: no memory for %zu rows", op->name, loss->n);
  *kept = *loss;
  kept->log_sum = log_sum;
  MOON_TRY(moon_node_push(tape, op, n_in, in, 0, NULL, node, out));
  (*node)->aux = kept;
  return moon_ok();
}

/* ---- cross_entropy ---------------------------------------------------------------------------------------------------------- */

static void cross_entropy_back(moon_tape *tape, moon_node *node) {
  void *into = moon_node_grad(tape, node->in[0]);
  if (into)
    MOON_BY_DTYPE(node->dtype, cross_entropy_backward, node->aux, node->grad, moon_node_at(tape, node->in[0])->value, into);
}

static const moon_op cross_entropy_op = {"cross_entropy", cross_entropy_back};

moon_status moon_op_cross_entropy(moon_tape *tape, moon_var logits, const uint32_t *classes, uint32_t ignore,
                                  const moon_var *weights, moon_var *out) {
  MOON_TRY(moon_node_check(tape, &cross_entropy_op, 1, &logits));
  const moon_node *z = moon_node_at(tape, logits);
  if (z->dims != 2 || !z->shape[0])
    return moon_fail(MOON_EINVAL, "cross_entropy: %s is not [n, c] with a row", moon_node_shape(tape, logits).text);
  softmax_loss loss = {.n = z->shape[0], .k = z->shape[1], .ids = classes, .ignore = ignore};
  MOON_TRY(read_constant(tape, &cross_entropy_op, logits, weights, "weights", loss.n, loss.n, &loss.weights));
  size_t counted = 0;
  for (size_t i = 0; i < loss.n; i++) {
    bool counts = ignore == MOON_NONE || classes[i] != ignore;
    if (counts && classes[i] >= loss.k)
      return moon_fail(MOON_EINVAL, "cross_entropy: class %u at position %zu is out of range: the logits are %s", classes[i], i,
                       moon_node_shape(tape, logits).text);
    counted += counts;
  }
  loss.share = counted ? 1 / (double)counted : 0;
  moon_node *node;
  MOON_TRY(push_loss(tape, &cross_entropy_op, &loss, 1, &logits, &node, out));
  MOON_BY_DTYPE(node->dtype, cross_entropy_forward, node->aux, moon_node_at(tape, logits)->value, node->value);
  return moon_node_done(tape, *out);
}

/* ---- sampled_softmax -------------------------------------------------------------------------------------------------------- */

static void sampled_back(moon_tape *tape, moon_node *node) {
  void *into_pos = moon_node_grad(tape, node->in[0]), *into_neg = moon_node_grad(tape, node->in[1]);
  const void *pos = moon_node_at(tape, node->in[0])->value, *neg = moon_node_at(tape, node->in[1])->value;
  MOON_BY_DTYPE(node->dtype, sampled_backward, node->aux, node->grad, pos, neg, into_pos, into_neg);
}

static const moon_op sampled_op = {"sampled_softmax", sampled_back};

moon_status moon_op_sampled_softmax(moon_tape *tape, moon_var pos, moon_var neg, moon_log_q log_q, const moon_var *weights,
                                    moon_var *out) {
  moon_var in[2] = {pos, neg};
  MOON_TRY(moon_node_check(tape, &sampled_op, 2, in));
  const moon_node *p = moon_node_at(tape, pos), *q = moon_node_at(tape, neg);
  size_t n = p->count, k = q->dims ? q->shape[q->dims - 1] : 0;
  if (p->dims < 1 || !n || n != p->shape[0] || !(q->dims == 1 || (q->dims == 2 && q->shape[0] == n)))
    return moon_node_mismatch(tape, &sampled_op, pos, neg, "positives [n] and negatives [n, k] or [k] are needed");
  softmax_loss loss = {.n = n, .k = k, .neg_shared = q->dims == 1, .share = 1 / (double)n};
  MOON_TRY(read_constant(tape, &sampled_op, pos, weights, "weights", n, n, &loss.weights));
  MOON_TRY(read_constant(tape, &sampled_op, pos, log_q.pos, "log q", n, n, &loss.log_q));
  if (log_q.neg) {
    MOON_TRY(moon_node_check(tape, &sampled_op, 2, (moon_var[]){neg, *log_q.neg}));
    const moon_node *lq = moon_node_at(tape, *log_q.neg);
    loss.log_q_shared = lq->dims == 1;
    if (!(lq->dims == 1 && lq->count == k) && !moon_shape_equal(2, (size_t[]){n, k}, lq->dims, lq->shape))
      return moon_node_mismatch(tape, &sampled_op, neg, *log_q.neg, "log q of negatives is [n, k] or [k]");
    loss.log_q_neg = lq->value;
  }
  moon_node *node;
  MOON_TRY(push_loss(tape, &sampled_op, &loss, 2, in, &node, out));
  MOON_BY_DTYPE(node->dtype, sampled_forward, node->aux, moon_node_at(tape, pos)->value, moon_node_at(tape, neg)->value,
                node->value);
  return moon_node_done(tape, *out);
}

/* ---- info_nce --------------------------------------------------------------------------------------------------------------- */

/* query, key [n, d]; the scores become their gradients in a second matrix: the first stays for another backward. */
static void info_nce_back(moon_tape *tape, moon_node *node) {
  const softmax_loss *loss = node->aux;
  const moon_node *query = moon_node_at(tape, node->in[0]), *key = moon_node_at(tape, node->in[1]);
  size_t n = loss->n, d = query->shape[1];
  void *into_query = moon_node_grad(tape, node->in[0]), *into_key = moon_node_grad(tape, node->in[1]);
  void *ds = loss->ds;
  MOON_BY_DTYPE(node->dtype, in_batch_backward, loss, node->grad, ds);
  if (into_query) moon_gemm(node->dtype, false, false, n, d, n, ds, key->value, true, into_query);
  if (into_key) moon_gemm(node->dtype, true, false, n, d, n, ds, query->value, true, into_key);
}

static const moon_op info_nce_op = {"info_nce", info_nce_back};

moon_status moon_op_info_nce(moon_tape *tape, moon_var query, moon_var key, const moon_info_nce *how, moon_var *out) {
  moon_var in[2] = {query, key};
  MOON_TRY(moon_node_check(tape, &info_nce_op, 2, in));
  const moon_node *q = moon_node_at(tape, query), *k = moon_node_at(tape, key);
  if (q->dims != 2 || !q->shape[0] || !moon_shape_equal(2, q->shape, k->dims, k->shape))
    return moon_node_mismatch(tape, &info_nce_op, query, key, "queries [n, d] and keys [n, d] are needed");
  if (!(how->temperature > 0)) return moon_fail(MOON_EINVAL, "info_nce: a temperature of %g is not above 0", how->temperature);
  size_t n = q->shape[0], d = q->shape[1], count;
  if (!moon_gemm_fits(n, n, d)) return moon_node_mismatch(tape, &info_nce_op, query, key, "too large for BLAS");
  softmax_loss loss = {.n = n, .k = n, .ids = how->ids, .share = 1 / (double)n, .inverse = 1 / how->temperature};
  MOON_TRY(read_constant(tape, &info_nce_op, query, how->weights, "weights", n, n, &loss.weights));
  MOON_TRY(read_constant(tape, &info_nce_op, query, how->log_q, "log q", n, n, &loss.log_q));
  moon_status st = moon_shape_count(q->dtype, 2, (size_t[]){n, n}, &count);
  if (st.code) return moon_wrap(st, "info_nce: the scores");
  loss.scores = moon_tape_take(tape, count * moon_dtype_size(q->dtype));
  bool keeps = moon_node_wanted(tape, 2, in);
  if (keeps) loss.ds = moon_tape_take(tape, count * moon_dtype_size(q->dtype));
  if (!loss.scores || (keeps && !loss.ds)) return moon_fail(MOON_ENOMEM, "info_nce: no memory for scores of [%zu, %zu]", n, n);
  moon_node *node;
  MOON_TRY(push_loss(tape, &info_nce_op, &loss, 2, in, &node, out));
  moon_gemm(node->dtype, false, true, n, n, d, moon_node_at(tape, query)->value, moon_node_at(tape, key)->value, false,
            loss.scores);
  MOON_BY_DTYPE(node->dtype, in_batch_forward, node->aux, node->value);
  return moon_node_done(tape, *out);
}

#else /* ---- kernels, for each REAL ---------------------------------------------------------------------------------------------- */
#include "autograd/real_sums.h"

static inline REAL K(weight_of)(const softmax_loss *loss, size_t i) {
  return loss->weights ? ((const REAL *)loss->weights)[i] : 1;
}

/* log sum e^x of a row. */
MOON_CLONES static REAL K(row_log_sum)(size_t n, const REAL *x) {
  REAL top = K(row_max)(n, x, NULL);
  return top + M(log)(K(row_exp_sum)(n, x, NULL, top));
}

/* into += share e^(x - less - log_sum); less NULL: 0. */
MOON_CLONES static void K(add_softmax)(size_t n, REAL share, REAL log_sum, const REAL *x, const REAL *less, REAL *restrict into) {
  if (less) for (size_t j = 0; j < n; j++) into[j] += share * K(moon_exp)(x[j] - less[j] - log_sum);
  else for (size_t j = 0; j < n; j++) into[j] += share * K(moon_exp)(x[j] - log_sum);
}

/* ---- cross_entropy */

static bool K(counts)(const softmax_loss *loss, size_t i) { return loss->ignore == MOON_NONE || loss->ids[i] != loss->ignore; }

static void K(cross_entropy_forward)(const softmax_loss *loss, const REAL *z, REAL *y) {
  REAL *log_sum = loss->log_sum;
  double sum = 0;
  for (size_t i = 0; i < loss->n; i++, z += loss->k) {
    if (!K(counts)(loss, i)) continue;
    log_sum[i] = K(row_log_sum)(loss->k, z);
    sum += (double)K(weight_of)(loss, i) * (log_sum[i] - z[loss->ids[i]]);
  }
  *y = (REAL)(sum * loss->share);
}

static void K(cross_entropy_backward)(const softmax_loss *loss, const REAL *g, const REAL *z, REAL *into) {
  const REAL *log_sum = loss->log_sum;
  for (size_t i = 0; i < loss->n; i++, z += loss->k, into += loss->k) {
    if (!K(counts)(loss, i)) continue;
    REAL share = (REAL)(*g * loss->share) * K(weight_of)(loss, i);
    K(add_softmax)(loss->k, share, log_sum[i], z, NULL, into);
    into[loss->ids[i]] -= share;
  }
}

/* ---- sampled_softmax */

static inline REAL K(positive)(const softmax_loss *loss, const REAL *pos, size_t i) {
  return pos[i] - (loss->log_q ? ((const REAL *)loss->log_q)[i] : 0);
}
/* Row i of the negatives' log q, or NULL. */
static inline const REAL *K(negative_log_q)(const softmax_loss *loss, size_t i) {
  return loss->log_q_neg ? (const REAL *)loss->log_q_neg + (loss->log_q_shared ? 0 : i * loss->k) : NULL;
}

/* log(e^right + sum e^(x - less)) */
MOON_CLONES static REAL K(sampled_log_sum)(size_t n, REAL right, const REAL *x, const REAL *less) {
  REAL top = less ? K(row_max)(n, x, less) : K(row_max)(n, x, NULL);
  top = top > right ? top : right;
  REAL sum = less ? K(row_exp_sum)(n, x, less, top) : K(row_exp_sum)(n, x, NULL, top);
  return top + M(log)(sum + K(moon_exp)(right - top));
}

static void K(sampled_forward)(const softmax_loss *loss, const REAL *pos, const REAL *neg, REAL *y) {
  REAL *log_sum = loss->log_sum;
  double sum = 0;
  for (size_t i = 0; i < loss->n; i++) {
    REAL right = K(positive)(loss, pos, i);
    log_sum[i] = K(sampled_log_sum)(loss->k, right, neg + (loss->neg_shared ? 0 : i * loss->k), K(negative_log_q)(loss, i));
    sum += (double)K(weight_of)(loss, i) * (log_sum[i] - right);
  }
  *y = (REAL)(sum * loss->share);
}

static void K(sampled_backward)(const softmax_loss *loss, const REAL *g, const REAL *pos, const REAL *neg, REAL *into_pos,
                                REAL *into_neg) {
  const REAL *log_sum = loss->log_sum;
  for (size_t i = 0; i < loss->n; i++) {
    REAL share = (REAL)(*g * loss->share) * K(weight_of)(loss, i);
    size_t row = loss->neg_shared ? 0 : i * loss->k;
    if (into_pos) into_pos[i] += share * (K(moon_exp)(K(positive)(loss, pos, i) - log_sum[i]) - 1);
    if (into_neg) K(add_softmax)(loss->k, share, log_sum[i], neg + row, K(negative_log_q)(loss, i), into_neg + row);
  }
}

/* ---- info_nce: the products in loss->scores become scores; the same item elsewhere in the batch is no candidate */

static void K(in_batch_forward)(const softmax_loss *loss, REAL *y) {
  REAL *s = loss->scores, *log_sum = loss->log_sum;
  const REAL *log_q = loss->log_q;
  double sum = 0;
  for (size_t i = 0; i < loss->n; i++, s += loss->n) {
    for (size_t j = 0; j < loss->n; j++) s[j] = s[j] * (REAL)loss->inverse - (log_q ? log_q[j] : 0);
    for (size_t j = 0; loss->ids && j < loss->n; j++)
      if (j != i && loss->ids[j] == loss->ids[i]) s[j] = -(REAL)__builtin_inf();
    log_sum[i] = K(row_log_sum)(loss->n, s);
    sum += (double)K(weight_of)(loss, i) * (log_sum[i] - s[i]);
  }
  *y = (REAL)(sum * loss->share);
}

/* ds of the products. */
static void K(in_batch_backward)(const softmax_loss *loss, const REAL *g, REAL *ds) {
  const REAL *s = loss->scores, *log_sum = loss->log_sum;
  for (size_t i = 0; i < loss->n; i++, s += loss->n, ds += loss->n) {
    REAL share = (REAL)(*g * loss->share * loss->inverse) * K(weight_of)(loss, i);
    for (size_t j = 0; j < loss->n; j++) ds[j] = 0;
    K(add_softmax)(loss->n, share, log_sum[i], s, NULL, ds);
    ds[i] -= share;
  }
}
#endif

/* autograd.h - the door of core/autograd: reverse-mode differentiation on a tape.
 *
 * Every op appends a node with its value and a backward rule; moon_tape_backward walks the nodes from last to first. The tape owns an
 * arena: moon_tape_reset drops the nodes and keeps the memory, so a steady training step allocates nothing. Values are contiguous
 * f32 or f64 (f64 for gradient checks); both operands of an op have one dtype. Forward and backward of an op stand in one file (ops_*.c).
 * Shape errors name the op and both shapes. */
#ifndef MOON_AUTOGRAD_H
#define MOON_AUTOGRAD_H

#include "base/base.h"
#include "tensor/tensor.h"

typedef struct moon_tape moon_tape;
typedef struct moon_var { uint32_t id; } moon_var; /* a node of a tape; dead after moon_tape_reset */
struct moon_param;

moon_status moon_tape_new(moon_tape **out);
void moon_tape_free(moon_tape *tape);
void moon_tape_reset(moon_tape *tape);
size_t moon_tape_bytes(const moon_tape *tape); /* memory held, for tests that a steady step does not grow */
/* Counts what the tape takes from now on in the account, also on tapes nested in it: an op that would take more is MOON_ENOMEM.
 * Once, before the first node. */
void moon_tape_set_account(moon_tape *tape, moon_account *account);
/* Memory of the tape's own until reset, 64-byte aligned, not zeroed: for masks and ids that must outlive the call that makes them. NULL
 * where there is none. A backward rule cannot fail, so what it needs is taken on the way forward. */
void *moon_tape_take(moon_tape *tape, size_t bytes);

/* Leaves. A constant is borrowed until reset and gets no gradient; a leaf accumulates into `grad` (same shape, contiguous). */
moon_status moon_tape_constant(moon_tape *tape, moon_dtype dtype, int dims, const size_t *shape, const void *data, moon_var *out);
moon_status moon_tape_leaf(moon_tape *tape, const moon_tensor *value, moon_tensor *grad, moon_var *out);

const void *moon_var_data(const moon_tape *tape, moon_var v); /* contiguous, valid until reset */
const void *moon_var_grad(const moon_tape *tape, moon_var v); /* after backward; NULL where nothing flowed */
moon_dtype moon_var_dtype(const moon_tape *tape, moon_var v);
int moon_var_dims(const moon_tape *tape, moon_var v);
const size_t *moon_var_shape(const moon_tape *tape, moon_var v);
size_t moon_var_count(const moon_tape *tape, moon_var v);

/* d(loss)/d(leaf) is added into every leaf's grad. loss must have one element. MOON_ENOMEM comes before anything is added. */
moon_status moon_tape_backward(moon_tape *tape, moon_var loss);
/* While off, what flowed into a node is gone once it has flowed on, and its memory, which is still in the cache, serves the nodes before
 * it: a backward touches a few gradients' memory instead of all. moon_var_grad then answers for leaves only. On in a new tape; survives a
 * reset. */
void moon_tape_keep_grads(moon_tape *tape, bool on);
/* While on, a backward leaves the world outside the tape alone, so that tapes over the same parameters may run on many threads: what leaves and
 * tables would have got stays in the tape until moon_tape_deliver adds it to them. Tapes delivered in one order give the same sums whoever ran
 * them when. What ops borrow stays until then. Off in a new tape; survives a reset, which drops what was not delivered. */
void moon_tape_hold(moon_tape *tape, bool on);
void moon_tape_deliver(moon_tape *tape);

/* Elementwise, with broadcasting of either side (numpy's rule). */
moon_status moon_op_add(moon_tape *tape, moon_var a, moon_var b, moon_var *out);
moon_status moon_op_sub(moon_tape *tape, moon_var a, moon_var b, moon_var *out);
moon_status moon_op_mul(moon_tape *tape, moon_var a, moon_var b, moon_var *out);
moon_status moon_op_div(moon_tape *tape, moon_var a, moon_var b, moon_var *out);
moon_status moon_op_scale(moon_tape *tape, moon_var a, double factor, moon_var *out);
moon_status moon_op_relu(moon_tape *tape, moon_var a, moon_var *out);
moon_status moon_op_sigmoid(moon_tape *tape, moon_var a, moon_var *out);
moon_status moon_op_tanh(moon_tape *tape, moon_var a, moon_var *out);
moon_status moon_op_exp(moon_tape *tape, moon_var a, moon_var *out);
moon_status moon_op_log(moon_tape *tape, moon_var a, moon_var *out);
/* [n, k] x [k, m] -> [n, m], by BLAS. */
moon_status moon_op_matmul(moon_tape *tape, moon_var a, moon_var b, moon_var *out);
/* act(x [n, .., in] W [in, m] + b [m]) -> [n, .., m] as one node. */
moon_status moon_op_dense(moon_tape *tape, moon_var x, moon_var w, moon_var b, moon_activation activation, moon_var *out);
moon_status moon_op_transpose(moon_tape *tape, moon_var a, moon_var *out);                     /* [n, m] -> [m, n] */
moon_status moon_op_reshape(moon_tape *tape, moon_var a, int dims, const size_t *shape, moon_var *out);
moon_status moon_op_concat(moon_tape *tape, const moon_var *parts, size_t n, moon_var *out);   /* along the last dim */
moon_status moon_op_slice(moon_tape *tape, moon_var a, int dim, size_t start, size_t stop, moon_var *out);
moon_status moon_op_sum(moon_tape *tape, moon_var a, moon_var *out);                           /* -> scalar */
moon_status moon_op_mean(moon_tape *tape, moon_var a, moon_var *out);                          /* -> scalar */
moon_status moon_op_softmax(moon_tape *tape, moon_var a, moon_var *out);                       /* last dim */
/* Rows of table [rows, dim] -> [n, dim]. The gradient is scattered into the leaf's grad rows; touched rows are told to `touch`
 * (may be NULL) so that sparse optimisers know them. ids stay the caller's until backward. */
typedef void (*moon_touch_fn)(void *self, uint32_t row);
moon_status moon_op_gather(moon_tape *tape, const moon_tensor *table, moon_tensor *grad, const uint32_t *ids, size_t n,
                           moon_touch_fn touch, void *self, moon_var *out);
moon_status moon_op_gather_mean(moon_tape *tape, const moon_tensor *table, moon_tensor *grad, const uint32_t *ids, size_t n,
                                size_t length, moon_touch_fn touch, void *self, moon_var *out);
/* Losses, mean over n. target [n] or the shape of the prediction. */
moon_status moon_op_bce_logits(moon_tape *tape, moon_var logits, moon_var target, moon_var *out);
moon_status moon_op_bce(moon_tape *tape, moon_var probability, moon_var target,
                        moon_var *out); /* clipped to [1e-7, 1 - 1e-7] as Keras */
moon_status moon_op_mse(moon_tape *tape, moon_var prediction, moon_var target, moon_var *out);

/* Numeric gradient check in f64 (central differences): builds the graph through `build` for given leaves and compares. Answers
 * the largest relative error |a-b| / max(1, |a|, |b|) over all elements of all leaves. */
typedef moon_status (*moon_graph_fn)(moon_tape *tape, const moon_var *leaves, size_t n, void *self, moon_var *loss);
moon_status moon_gradcheck(moon_graph_fn build, void *self, moon_tensor *const *leaves, size_t n, double epsilon, double *worst);

/* ==== the rest of the vocabulary ================================================================================================
 *
 * Common to all below: inputs share one dtype; the result is a new node; masks and ids are plain memory that stays the caller's until
 * backward is over; a u8 mask is true where it is not 0; `dim` counts from the left. Errors are MOON_EINVAL with the op's name and
 * both shapes, or MOON_ENOMEM; the tape is then as before.
 *
 * Gradients accumulate: a leaf's `grad` keeps growing over backwards, batches and tapes until the caller zeroes it. So a batch that does
 * not fit is taken in parts, with each part's loss scaled by its share, and the optimiser steps once. */

/* ---- the tape's manners (checks.c, checkpoint.c, ops_custom.c) -------------------------------------------------------------- */

/* While off, ops made need no gradient and keep nothing for a way back; leaves still may. On in a new tape; survives a reset. */
void moon_tape_set_grad(moon_tape *tape, bool on);
/* While on, every op call looks at its value and backward at every gradient: the first that is not finite fails with MOON_EINVAL,
 * naming the op, the element, the node's position and the scopes around it. Costs a pass over all memory; off in a new tape. */
void moon_tape_set_checks(moon_tape *tape, bool on);
/* A stack of names for messages ("tower / layer 3 dense"): nodes made meanwhile remember it, and shapes that do not
 * fit say it. The text is copied; MOON_ENOMEM. A reset empties the stack; pop of an empty one does nothing. */
moon_status moon_tape_scope_push(moon_tape *tape, const char *name);
void moon_tape_scope_pop(moon_tape *tape);

/* Gradient checkpointing (Chen et al. 2016): fn builds a part of the graph from `inputs` on a nested tape, of which only the result is
 * kept; backward builds it again. Memory for time. fn must do the same both times: a random op takes its key from the caller, and
 * batch_norm leaves its running statistics alone the second time. fn may make leaves of its own (parameters), whose gradients sum
 * as ever. self and what it points at stay until backward. A failure of fn in backward is backward's answer. */
moon_status moon_op_checkpoint(moon_tape *tape, moon_graph_fn fn, void *self, const moon_var *inputs, size_t n, moon_var *out);

/* An op of the caller's. What its functions see of an input or of the output: */
typedef struct moon_operand {
  moon_dtype dtype;
  int dims;
  const size_t *shape;
  size_t count;
  const void *value; /* [count] */
  void *grad;        /* backward: an input's, to add into (NULL: not wanted), or the output's, to read; forward: NULL */
} moon_operand;
typedef struct moon_custom {
  const char *name; /* for messages; copied */
  moon_status (*forward)(void *self, const moon_operand *in, size_t n, const moon_operand *out,
                         void *value);                                                            /* writes [out->count] */
  moon_status (*backward)(void *self, const moon_operand *in, size_t n, const moon_operand *out); /* NULL: no gradient */
  void *self; /* stays until backward */
} moon_custom;
enum { MOON_CUSTOM_INPUTS = 8 };
/* 1 <= n <= 8 inputs. A failure of either function comes back as it is, after the op's name: forward's from this call, backward's from
 * moon_tape_backward, which stops there. */
moon_status moon_op_custom(moon_tape *tape, const moon_custom *op, const moon_var *in, size_t n, int dims, const size_t *shape,
                           moon_var *out);

/* ---- functions of one (ops_pointwise.c) -------------------------------------------------------------------------------------- */

moon_status moon_op_neg(moon_tape *tape, moon_var a, moon_var *out);
moon_status moon_op_abs(moon_tape *tape, moon_var a, moon_var *out);                     /* slope 0 at 0 */
moon_status moon_op_sqrt(moon_tape *tape, moon_var a, moon_var *out);                    /* slope infinite at 0 */
moon_status moon_op_pow(moon_tape *tape, moon_var a, double exponent, moon_var *out); /* NaN for a < 0 unless exponent is whole */
moon_status moon_op_clip(moon_tape *tape, moon_var a, double low, double high,
                         moon_var *out);                                                 /* slope 1 inside and on the edges */
moon_status moon_op_softplus(moon_tape *tape, moon_var a, moon_var *out);                /* log(1 + e^x), without overflow */
moon_status moon_op_leaky_relu(moon_tape *tape, moon_var a, double slope, moon_var *out); /* slope x below 0 */
/* x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2; Hendrycks & Gimpel 2016, the tanh form. */
moon_status moon_op_gelu(moon_tape *tape, moon_var a, moon_var *out);

/* ---- one of two (ops_choose.c), with broadcasting ----------------------------------------------------------------------------- */

moon_status moon_op_maximum(moon_tape *tape, moon_var a, moon_var b, moon_var *out); /* where equal, a has it and its gradient */
moon_status moon_op_minimum(moon_tape *tape, moon_var a, moon_var b, moon_var *out);
/* a where the mask is true, b elsewhere; the mask broadcasts like a third operand. */
moon_status moon_op_where(moon_tape *tape, const uint8_t *mask, int mask_dims, const size_t *mask_shape, moon_var a, moon_var b,
                          moon_var *out);
/* `value` where the mask is true, a elsewhere. The mask broadcasts to a's shape. */
moon_status moon_op_masked_fill(moon_tape *tape, moon_var a, const uint8_t *mask, int mask_dims, const size_t *mask_shape,
                                double value, moon_var *out);

/* ---- moving elements (ops_layout.c, ops_rows.c) -------------------------------------------------------------------------------- */

moon_status moon_op_permute(moon_tape *tape, moon_var a, const int *order,
                            moon_var *out); /* dimension d of out is order[d] of a */
moon_status moon_op_broadcast_to(moon_tape *tape, moon_var a, int dims, const size_t *shape, moon_var *out); /* numpy's rule */
moon_status moon_op_stack(moon_tape *tape, const moon_var *parts, size_t n, int dim,
                          moon_var *out); /* n like shapes, a new dimension */
moon_status moon_op_pad(moon_tape *tape, moon_var a, const size_t *before, const size_t *after,
                        moon_var *out); /* zeros, per dim */
/* a [rows, ...], ids [n] -> [n, ...]. Backward adds in the order of the ids. */
moon_status moon_op_select_rows(moon_tape *tape, moon_var a, const uint32_t *ids, size_t n, moon_var *out);

/* ---- over one dimension (ops_along.c), over the last (ops_rows.c) -------------------------------------------------------------- */

/* keep: the dimension stays with size 1, else it goes. mean and max of nothing are errors. */
moon_status moon_op_sum_along(moon_tape *tape, moon_var a, int dim, bool keep, moon_var *out);
moon_status moon_op_mean_along(moon_tape *tape, moon_var a, int dim, bool keep, moon_var *out);
moon_status moon_op_max_along(moon_tape *tape, moon_var a, int dim, bool keep, moon_var *out); /* gradient to the first maximal */
moon_status moon_op_log_softmax(moon_tape *tape, moon_var a, moon_var *out);
moon_status moon_op_l2_normalise(moon_tape *tape, moon_var a,
                                 moon_var *out); /* x / |x|; a row of |x| < 1e-12 gives zeros, no gradient */

/* ---- batched products (ops_bmm.c) ----------------------------------------------------------------------------------------------- */

/* a [.., n, k] b [.., k, m] -> [.., n, m]; the leading dimensions broadcast. ta: a is stored [.., k, n]; tb: b is stored [.., m, k]. */
moon_status moon_op_bmm(moon_tape *tape, moon_var a, moon_var b, bool ta, bool tb, moon_var *out);

/* ---- fused layers ----------------------------------------------------------------------------------------------------------------- */

/* (x - mean) / sqrt(var + epsilon) * gamma + beta over the last dimension; x [.., d], gamma, beta [d]. Ba, Kiros & Hinton 2016. */
moon_status moon_op_layer_norm(moon_tape *tape, moon_var x, moon_var gamma, moon_var beta, double epsilon, moon_var *out);
/* The same over all but the last dimension. Ioffe & Szegedy 2015. training: statistics of the batch (at least 2 rows), and
 * running = (1 - momentum) running + momentum batch, with the unbiased variance, as in PyTorch; else the running ones are used.
 * running_mean, running_var [d] of x's dtype, contiguous, the caller's. */
moon_status moon_op_batch_norm(moon_tape *tape, moon_var x, moon_var gamma, moon_var beta, moon_tensor *running_mean,
                               moon_tensor *running_var, double momentum, double epsilon, bool training, moon_var *out);
/* Each element is 0 with probability `rate`, else x / (1 - rate). 0 <= rate < 1. The mask is a function of the key, which is read and
 * not advanced: give each call a stream of its own (moon_rng_seed(&key, seed, step * layers + layer)). Not training: a itself.
 * Srivastava et al. 2014, inverted. */
moon_status moon_op_dropout(moon_tape *tape, moon_var a, double rate, const moon_rng *key, bool training, moon_var *out);

typedef struct moon_attention {
  size_t heads;            /* 0: q, k and v are [b, h, t, d]; else [b, t, heads d], as dense layers leave them */
  double scale;            /* 0: 1 / sqrt(d) */
  bool causal;             /* query i sees keys 0..i; needs as many queries as keys */
  const uint32_t *lengths; /* [b]: keys from there on are padding; NULL: none */
  const uint8_t *mask;     /* [b, tk]: false keys are not seen; NULL: all are */
} moon_attention;
/* softmax(q k^T scale, over the keys that are seen) v. q [b, h, tq, d], k [b, h, tk, d], v [b, h, tk, dv] -> [b, h, tq, dv]; with heads in
 * rows q [b, tq, h d], k [b, tk, h d], v [b, tk, h dv] -> [b, tq, h dv]. A query that sees no key gives zeros and no gradient.
 * Keeps the probabilities, nothing else. Vaswani et al. 2017. */
moon_status moon_op_attention(moon_tape *tape, moon_var q, moon_var k, moon_var v, const moon_attention *how, moon_var *out);

/* Factorisation machine's second order: x [n, f, d] -> [n, d], ((sum over f)^2 - sum over f of squares) / 2. Rendle 2010. */
moon_status moon_op_fm(moon_tape *tape, moon_var x, moon_var *out);
/* x0 (x W + b) + x, a cross layer of DCN-v2. x0, x [n, d], w [d, d], b [d]. Wang et al. 2021. */
moon_status moon_op_cross(moon_tape *tape, moon_var x0, moon_var x, moon_var w, moon_var b, moon_var *out);
/* A GRU from a zero state (Cho et al. 2014) by PyTorch's equations:
 *   r = s(x Wr + br + h Ur + cr)   z = s(x Wz + bz + h Uz + cz)   n = tanh(x Wn + bn + r (h Un + cn))   h' = (1 - z) n + z h
 * x [n, t, in], w [in, 3h], u [h, 3h], b [3h], c [3h], gates in columns r | z | n -> h [n, t, h]. lengths [n] (NULL: all t): steps from
 * there on are zeros and pass no gradient; select_rows of the reshaped result picks each row's last state. */
moon_status moon_op_gru(moon_tape *tape, moon_var x, moon_var w, moon_var u, moon_var b, moon_var c, const uint32_t *lengths,
                        moon_var *out);

/* ---- bags of embeddings (ops_bag.c) ----------------------------------------------------------------------------------------------- */

typedef enum moon_bag_mode { MOON_BAG_SUM, MOON_BAG_MEAN, MOON_BAG_MAX } moon_bag_mode;
typedef struct moon_bag {
  const uint32_t *ids;   /* bag i holds ids[offsets[i] .. offsets[i + 1]); id 0 counts for nothing, as in gather_mean */
  const size_t *offsets; /* [n + 1], not decreasing */
  size_t n;
  const void *weights; /* of the table's dtype, one per id, no gradient; NULL: all 1. mean divides by their sum; max takes none */
  moon_bag_mode mode;
} moon_bag;
/* Rows of table [rows, dim] -> [n, dim]; an empty bag gives zeros. All arrays stay until backward; touched rows are told as there. */
moon_status moon_op_embedding_bag(moon_tape *tape, const moon_tensor *table, moon_tensor *grad, const moon_bag *bag,
                                  moon_touch_fn touch, void *self, moon_var *out);

/* ---- losses (ops_loss_pair.c, ops_loss_softmax.c) -----------------------------------------------------------------------------------
 *
 * Each is the mean over n of a loss per row, times weights [n] (a constant: it gets no gradient; NULL: all 1). The mean divides by n,
 * not by the weights' sum. */

/* bce_logits with the positive part times positive_weight (1: none). Targets get no gradient. */
moon_status moon_op_bce_logits_weighted(moon_tape *tape, moon_var logits, moon_var target, const moon_var *weights,
                                        double positive_weight, moon_var *out);
/* -log sigmoid(pos - neg); Rendle et al. 2009. pos and neg have as many elements. */
moon_status moon_op_bpr(moon_tape *tape, moon_var pos, moon_var neg, const moon_var *weights, moon_var *out);
moon_status moon_op_hinge(moon_tape *tape, moon_var pos, moon_var neg, double margin, const moon_var *weights,
                          moon_var *out); /* max(0, margin - (pos - neg)) */
/* -log softmax(logits)[class]. logits [n, c], classes [n]. Rows of class `ignore` count neither in the sum nor in n (MOON_NONE: there
 * are none); where all are ignored the loss is 0. */
moon_status moon_op_cross_entropy(moon_tape *tape, moon_var logits, const uint32_t *classes, uint32_t ignore,
                                  const moon_var *weights, moon_var *out);

/* Softmax over one positive and k sampled negatives, each logit less the log of the probability with which its item was drawn
 * (Bengio & Senecal 2008; Yi et al. 2019). pos [n], neg [n, k] or [k] for all rows alike; log q likewise, NULL: no correction. */
typedef struct moon_log_q { const moon_var *pos, *neg; } moon_log_q; /* constants: [n]; [n, k] or [k] */
moon_status moon_op_sampled_softmax(moon_tape *tape, moon_var pos, moon_var neg, moon_log_q log_q, const moon_var *weights,
                                    moon_var *out);

typedef struct moon_info_nce {
  double temperature;    /* > 0 */
  const moon_var *log_q; /* [n] of the keys' items, taken off their logits; NULL: none */
  const uint32_t *ids;   /* [n] of the keys' items: the same item elsewhere in the batch is no negative; NULL: all are */
  const moon_var *weights;
} moon_info_nce;
/* In-batch softmax: -log softmax(query key^T / temperature) at [i, i]. query, key [n, d]. InfoNCE, van den Oord et al. 2018. */
moon_status moon_op_info_nce(moon_tape *tape, moon_var query, moon_var key, const moon_info_nce *how, moon_var *out);

#endif

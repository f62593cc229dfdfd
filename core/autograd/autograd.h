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

/* Leaves. A constant is borrowed until reset and gets no gradient; a leaf accumulates into `grad` (same shape, contiguous). */
moon_status moon_tape_constant(moon_tape *tape, moon_dtype dtype, int dims, const size_t *shape, const void *data, moon_var *out);
moon_status moon_tape_leaf(moon_tape *tape, const moon_tensor *value, moon_tensor *grad, moon_var *out);

const void *moon_var_data(const moon_tape *tape, moon_var v); /* contiguous, valid until reset */
const void *moon_var_grad(const moon_tape *tape, moon_var v); /* after backward; NULL where nothing flowed */
moon_dtype moon_var_dtype(const moon_tape *tape, moon_var v);
int moon_var_dims(const moon_tape *tape, moon_var v);
const size_t *moon_var_shape(const moon_tape *tape, moon_var v);
size_t moon_var_count(const moon_tape *tape, moon_var v);

/* d(loss)/d(leaf) is added into every leaf's grad. loss must have one element. */
moon_status moon_tape_backward(moon_tape *tape, moon_var loss);
/* While on, a backward leaves the world outside the tape alone, so that tapes over the same parameters may run on many threads: what leaves and
 * tables would have got stays in the tape until moon_tape_deliver adds it to them. Tapes delivered in one order give the same sums whoever ran
 * them when. Off in a new tape; survives a reset, which drops what was not delivered. */
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
/* act(x [n, in] W [in, m] + b [m]) as one node; activation as in nn.h's enum order: 0 linear, 1 relu, 2 sigmoid, 3 tanh. */
moon_status moon_op_dense(moon_tape *tape, moon_var x, moon_var w, moon_var b, int activation, moon_var *out);
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
moon_status moon_op_bce(moon_tape *tape, moon_var probability, moon_var target, moon_var *out); /* clipped to [1e-7, 1 - 1e-7] as Keras */
moon_status moon_op_mse(moon_tape *tape, moon_var prediction, moon_var target, moon_var *out);

/* Numeric gradient check in f64 (central differences): builds the graph through `build` for given leaves and compares. Answers
 * the largest relative error |a-b| / max(1, |a|, |b|) over all elements of all leaves. */
typedef moon_status (*moon_graph_fn)(moon_tape *tape, const moon_var *leaves, size_t n, void *self, moon_var *loss);
moon_status moon_gradcheck(moon_graph_fn build, void *self, moon_tensor *const *leaves, size_t n, double epsilon, double *worst);

#endif

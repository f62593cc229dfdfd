/* nn.h - the door of core/nn: parameters, layers, losses, optimisers, safetensors, compiled inference.
 *
 * A layer owns parameters and knows how to put its forward pass on a tape; the tape knows the way back. Whatever is here is plain C
 * over core/autograd; the recipe's `m.nn` words name these layers. */
#ifndef MOON_NN_H
#define MOON_NN_H

#include <jansson.h>

#include "autograd/autograd.h"
#include "base/base.h"
#include "tensor/tensor.h"

/* ---- parameters (param.c) ------------------------------------------------------------------------------------------------- */

/* A trainable tensor with its gradient. Sparse parameters (embedding tables, [rows, dim]) keep a list of the rows that the last
 * backward pass touched, so that an optimiser step costs what was used and not what exists. */
typedef struct moon_param {
  char *name;             /* "tower.0.weight"; unique within a model, the key in safetensors */
  moon_tensor *value;     /* owned */
  moon_tensor *grad;      /* owned, same shape, zero between steps */
  bool sparse, frozen;
  uint32_t *touched;      /* [touched_n] distinct rows */
  uint8_t *is_touched;    /* [rows] */
  size_t touched_n, touched_cap;
} moon_param;
moon_status moon_param_new(const char *name, moon_dtype dtype, int dims, const size_t *shape, bool sparse, moon_param **out);
void moon_param_free(moon_param *param);
void moon_param_zero_grad(moon_param *param); /* sparse: only touched rows */
/* Glorot & Bengio 2010: U(-sqrt(6/(in+out)), +...). shape [in, out]. */
void moon_init_glorot(moon_param *param, moon_rng *rng);
void moon_init_he(moon_param *param, moon_rng *rng);      /* He et al. 2015, normal, for relu */
void moon_init_normal(moon_param *param, moon_rng *rng, double deviation);

/* ---- layers (dense.c, embedding.c) ---------------------------------------------------------------------------------------- */

/* moon_activation is core/tensor's, which computes them. */
moon_status moon_activation_parse(const char *name, moon_activation *out); /* "linear" "relu" "sigmoid" "tanh"; names the nearest */
const char *moon_activation_name(moon_activation activation);

typedef struct moon_dense {
  moon_param *weight, *bias; /* [in, out], [out] */
  moon_activation activation;
} moon_dense;
/* Weight Glorot, or zero where rng is NULL; bias zero (Keras' defaults). Parameters are called NAME.weight and NAME.bias. */
moon_status moon_dense_new(const char *name, size_t in, size_t out_units, moon_activation activation, moon_rng *rng, moon_dense **out);
void moon_dense_free(moon_dense *dense);
/* x [n, in] -> y [n, out]. */
moon_status moon_dense_forward(moon_tape *tape, moon_dense *dense, moon_var x, moon_var *y);

typedef struct moon_embedding {
  moon_param *weight; /* [rows, dim], sparse; row 0 is "unknown" and starts at zero */
} moon_embedding;
moon_status moon_embedding_new(const char *name, size_t rows, size_t dim, moon_rng *rng, moon_embedding **out); /* N(0, 0.05) */
void moon_embedding_free(moon_embedding *embedding);
/* ids [n] -> [n, dim]. ids are read again in the backward pass: keep them until then. MOON_EINVAL for an id out of range. */
moon_status moon_embedding_forward(moon_tape *tape, moon_embedding *embedding, const uint32_t *ids, size_t n, moon_var *y);
/* ids [n, length], 0 = padding (skipped) -> the mean over each row's ids [n, dim]; zeros where a row is all padding. */
moon_status moon_embedding_mean(moon_tape *tape, moon_embedding *embedding, const uint32_t *ids, size_t n, size_t length, moon_var *y);

/* ---- optimisers (optim.c) ------------------------------------------------------------------------------------------------- */

/* One update of every parameter from its gradient, which is then zeroed. Made from a plan's JSON:
 *
 *   {"type": "adam", "lr": 0.001, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-7, "weight_decay": 0,
 *    "clip_norm": 1.0, "clip_value": 0.5, "groups": [{"params": "embedding.*", "lr": 0.01, "weight_decay": 1e-5}],
 *    "schedule": {"type": "cosine", "warmup": 100, "floor": 0.01}}
 *
 * With g the gradient, t the step, rate lr x the schedule's factor (defaults in brackets):
 *   sgd      w -= rate (g + decay w); with momentum [0] v = momentum v + g + decay w, w -= rate v, or with nesterov rate (g' + momentum v)
 *   adam     Kingma & Ba 2015, epsilon as Keras has it: w -= rate sqrt(1 - beta2^t) / (1 - beta1^t) m / (sqrt(v) + epsilon) [1e-7]
 *   adamw    the same, and w -= rate decay w beside it [0.01]: Loshchilov & Hutter 2019, decay scaled by the rate as in PyTorch
 *   adagrad  Duchi, Hazan & Singer 2011: s += g^2 from initial [0.1], w -= rate g / (sqrt(s) + epsilon)
 *   ftrl     FTRL-Proximal, McMahan et al. 2013: alpha = lr [0.1], beta [1], l1, l2 [0], squares from initial [0.1]; starts at the initial
 *            weights; no schedule, no weight_decay
 *
 * weight_decay goes into the gradient of sgd, adam and adagrad. It spares sparse parameters and vectors (biases, norms) unless a group says
 * otherwise; a group's "params" is a shell pattern over names, and the first that fits counts. clip_norm scales all gradients together,
 * clip_value then bounds each number. Schedules: "constant"; "linear" and "cosine" down to floor x lr over `steps` [the whole training];
 * "step" and "exponential": x factor [0.5] every `every` [1000] steps, at once or gradually; all after `warmup` [0] steps of a straight rise.
 *
 * Sparse parameters are updated lazily: only touched rows move. That is exact for sgd without momentum, adagrad and ftrl. Under momentum,
 * adam and adamw an untouched row neither moves nor loses momentum (as in TensorFlow's LazyAdam), and decay reaches touched rows only. */
typedef struct moon_optimizer moon_optimizer;
/* Takes all its memory here, for parameters that must outlive it. steps: of the whole training, for schedules. MOON_EINVAL names what is
 * out of range. */
moon_status moon_optimizer_new(const json_t *spec, moon_param *const *params, size_t n, uint64_t steps, moon_optimizer **out);
void moon_optimizer_free(moon_optimizer *optimizer);
/* Frozen parameters lose their gradient and stay. MOON_EINVAL where clip_norm meets a norm that is not finite; nothing has moved then. */
moon_status moon_optimizer_step(moon_optimizer *optimizer);
double moon_optimizer_lr(const moon_optimizer *optimizer); /* of the last step, without groups; before any, of the first */
uint64_t moon_optimizer_steps(const moon_optimizer *optimizer);
/* Its state as safetensors: "step" and "NAME/m" and the like; the metadata's "optimizer" says of which kind. Loading is all or nothing, and
 * refuses what is of another kind or of other parameters, naming what differs. Settings (lr and the like) are not state. */
moon_status moon_optimizer_save(const moon_optimizer *optimizer, moon_buf *safetensors);
moon_status moon_optimizer_load(moon_optimizer *optimizer, const char *bytes, size_t n);

/* ---- safetensors (safetensors.c): Hugging Face's format, f32/f64/i64/u8; header at most 100 MB, checked before use -------- */

typedef struct moon_named_tensor {
  const char *name;
  const moon_tensor *tensor;
} moon_named_tensor;
/* Deterministic bytes: header keys sorted, data 8-byte aligned. Tensors must be contiguous. */
moon_status moon_safetensors_write(const moon_named_tensor *tensors, size_t n, moon_buf *out);
/* With metadata, an object of strings (NULL: none). */
moon_status moon_safetensors_write_with(const json_t *metadata, const moon_named_tensor *tensors, size_t n, moon_buf *out);
typedef struct moon_safetensors moon_safetensors;
/* Parses and checks every offset against n; the views borrow `bytes`. */
moon_status moon_safetensors_open(const char *bytes, size_t n, moon_safetensors **out);
void moon_safetensors_close(moon_safetensors *file);
/* The i-th tensor by name, borrowed. MOON_ENOTFOUND after the last, MOON_EFORMAT where we have no such dtype. */
moon_status moon_safetensors_at(const moon_safetensors *file, size_t i, const char **name, moon_dtype *dtype, int *dims, const size_t **shape);
/* A text of the metadata, borrowed; NULL where there is none. */
const char *moon_safetensors_metadata(const moon_safetensors *file, const char *key);
/* Copies tensor `name` into `into`; dtype and shape must agree (the error gives both). MOON_ENOTFOUND where absent. */
moon_status moon_safetensors_read(const moon_safetensors *file, const char *name, moon_tensor *into);
bool moon_safetensors_has(const moon_safetensors *file, const char *name);
/* The same into plain memory, where the file has the tensor in F32, F64, F16 or BF16. The shape is checked before `into` is written;
 * with NULL it is all that happens. */
moon_status moon_safetensors_floats(const moon_safetensors *file, const char *name, int dims, const size_t *shape, float *into);

/* ---- compiled inference (infer.c, infer_quantise.c) ------------------------------------------------------------------------- */

/* A stack of dense layers compiled for serving: packed copies of the weights, fused bias + activation, no allocation per call; one
 * plan may be shared between threads, each with its own scratch. */
typedef struct moon_infer moon_infer;
moon_status moon_infer_new(moon_dense *const *layers, size_t n, moon_infer **out);
void moon_infer_free(moon_infer *infer);
size_t moon_infer_in(const moon_infer *infer);
size_t moon_infer_out(const moon_infer *infer);
size_t moon_infer_scratch(const moon_infer *infer, size_t rows); /* floats needed for `rows` rows */
/* x [rows, in] -> y [rows, out]; scratch: moon_infer_scratch floats, 64-byte aligned. */
void moon_infer_run(const moon_infer *infer, const float *x, size_t rows, float *scratch, float *y);

/* In which numbers a plan keeps its weights and multiplies.
 *   MOON_FULL  f32
 *   MOON_BF16  weights rounded to bf16, sums in f32: half the memory
 *   MOON_INT8  weights as -127..127 with a scale for each output, each row as 0..127 by its own range: a quarter of the memory, the
 *              same bits on every processor; a row with NaN or an infinity in it answers NaN */
typedef enum moon_precision { MOON_FULL, MOON_BF16, MOON_INT8 } moon_precision;
moon_status moon_precision_parse(const char *name, moon_precision *out); /* "f32" "bf16" "int8"; names the nearest */
const char *moon_precision_name(moon_precision precision);

typedef struct moon_infer_difference { double most, mean; } moon_infer_difference; /* of outputs, absolute; NaN where one is NaN */
/* A copy of an f32 plan in another precision. Where `difference` is not NULL, it says how far the two are apart on rows x [rows, in] that
 * are typical. MOON_EINVAL where the plan is not f32, a weight is not finite, or an int8 layer has more than MOON_INT8_INNER inputs. */
moon_status moon_infer_quantise(const moon_infer *infer, moon_precision precision, const float *x, size_t rows, moon_infer **out,
                                moon_infer_difference *difference);
moon_status moon_infer_compare(const moon_infer *a, const moon_infer *b, const float *x, size_t rows, moon_infer_difference *out);
moon_precision moon_infer_precision(const moon_infer *infer);
size_t moon_infer_bytes(const moon_infer *infer); /* of weights, biases and scales */

#endif

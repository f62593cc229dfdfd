/* tensor.h - dense tensors: typed memory with a shape and strides, views of it, and arithmetic on both.
 *
 * A tensor is up to six dimensions over a reference-counted, 64-byte aligned buffer, row-major, strides in elements:
 *
 *   moon_tensor *x, *top, *bias, *sum, *p;
 *   moon_status st = moon_tensor_from(MOON_F32, 2, (size_t[]){2, 3}, (float[]){1, 2, 3, 4, 5, 6}, &x);   // [2, 3]
 *
 * slice, transpose, reshape and broadcast make views: new handles of the same memory, which lives as long as its last handle.
 * Freeing a handle is always right and frees what nobody else holds.
 *
 *   st = moon_tensor_slice(x, 0, 0, 1, &top);                             // row 0 as [1, 3]; writing to it writes to x
 *
 * An operation reads tensors of any strides, so a view is as good an input as a copy, and stretches its operands as numpy does:
 * shapes are aligned to the right, and a size of 1 repeats. It gives a new tensor, which the caller frees:
 *
 *   st = moon_tensor_binary(MOON_OP_ADD, x, bias, &sum);                     // [2, 3] + [3] -> [2, 3]
 *   st = moon_tensor_softmax(sum, 1, &p);                                 // over dimension 1
 *
 * or, in the forms that end in _into, writes to one that is there, which may also be an input:
 *
 *   st = moon_tensor_unary_into(MOON_OP_RELU, sum, sum);
 *
 * Where the dtypes of two operands differ, integers next to a float become that float, f32 next to f64 becomes f64, and u8 next
 * to i64 becomes i64. Where an answer is not whole (div, pow, exp, mean, ...), integers become f64 first. Integer arithmetic
 * wraps around.
 *
 * An account bounds memory. A tensor made in an account is counted there until its buffer goes, and what an operation makes is
 * counted where its first accounted input is, temporary copies too:
 *
 *   moon_account *account;
 *   st = moon_account_new(64 << 20, &account);                            // 64 MiB
 *   st = moon_tensor_new_in(account, MOON_F32, 2, (size_t[]){1000, 1000}, &x);
 *
 * Every call that can fail answers a moon_status whose message names the operation and the shapes. On failure *out is NULL, what
 * is written in place is as it was, and nothing has leaked. Different threads may use different handles, of one buffer too as
 * long as nobody writes to it. The same inputs give the same bytes on every run. */
#ifndef MOONSHELF_TENSOR_H
#define MOONSHELF_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "moonshelf/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MOON_MAX_DIMS 6
#define MOON_ALL_DIMS (-1) /* as the dimension of a reduction: over everything */
typedef enum moon_dtype { MOON_F32, MOON_F64, MOON_I64, MOON_U8 } moon_dtype;
typedef struct moon_tensor moon_tensor;
typedef struct moon_account moon_account;

MOON_API size_t moon_dtype_size(moon_dtype dtype);
MOON_API const char *moon_dtype_name(moon_dtype dtype); /* "f32" ... */

/* ---- accounts: how much memory tensors may take ---------------------------------------------------------------------------- */

/* limit: bytes, 0: none. Freeing the handle is fine while tensors still count in it: the account goes with the last of them. All
 * of it is thread-safe. */
MOON_API moon_status moon_account_new(size_t limit, moon_account **out);
MOON_API void moon_account_free(moon_account *account);
MOON_API size_t moon_account_used(const moon_account *account); /* bytes of buffers, each rounded up to 64 */
MOON_API size_t moon_account_peak(const moon_account *account); /* the most that was ever used at once */
MOON_API size_t moon_account_limit(const moon_account *account);
/* what is over a new limit stays; only growth is refused */
MOON_API void moon_account_set_limit(moon_account *account, size_t limit);

/* ---- making, freeing, reading ---------------------------------------------------------------------------------------------- */

/* New tensor of zeros; the caller frees. dims 0..6 (0: a scalar). MOON_ENOMEM, MOON_EINVAL (too many dims, size overflow). */
MOON_API moon_status moon_tensor_new(moon_dtype dtype, int dims, const size_t *shape, moon_tensor **out);
/* The same, counted in `account` (NULL: in none). MOON_ENOMEM past its limit, naming what was asked, used and allowed. */
MOON_API moon_status moon_tensor_new_in(moon_account *account, moon_dtype dtype, int dims, const size_t *shape,
                                        moon_tensor **out);
/* New tensor with a copy of `data`, contiguous, of the dtype. */
MOON_API moon_status moon_tensor_from(moon_dtype dtype, int dims, const size_t *shape, const void *data, moon_tensor **out);
/* A view over memory that the caller keeps alive (ids, batches). */
MOON_API moon_status moon_tensor_borrow(moon_dtype dtype, int dims, const size_t *shape, void *data, moon_tensor **out);
MOON_API void moon_tensor_free(moon_tensor *tensor); /* drops this handle; memory goes with the last view */

MOON_API moon_dtype moon_tensor_dtype(const moon_tensor *tensor);
MOON_API int moon_tensor_dims(const moon_tensor *tensor);
MOON_API const size_t *moon_tensor_shape(const moon_tensor *tensor);      /* [dims], borrowed */
MOON_API const ptrdiff_t *moon_tensor_strides(const moon_tensor *tensor); /* [dims], elements, borrowed */
MOON_API size_t moon_tensor_count(const moon_tensor *tensor);             /* elements */
MOON_API void *moon_tensor_data(const moon_tensor *tensor);               /* first element */
MOON_API moon_account *moon_tensor_account(const moon_tensor *tensor);    /* where its buffer counts, or NULL; borrowed */
MOON_API bool moon_tensor_is_contiguous(const moon_tensor *tensor);
MOON_API double moon_tensor_get(const moon_tensor *tensor, const size_t *index); /* index [dims], in range */
MOON_API void moon_tensor_set(moon_tensor *tensor, const size_t *index, double value);
MOON_API void moon_tensor_fill(moon_tensor *tensor, double value);

/* ---- views: new handles of the same memory, which the caller frees --------------------------------------------------------- */

/* MOON_EINVAL names the op and the shape. */
MOON_API moon_status moon_tensor_slice(const moon_tensor *tensor, int dim, size_t start, size_t stop, moon_tensor **out);
/* What is at `index` of a dimension, without that dimension: of [n, m] and dim 0 a row [m]. */
MOON_API moon_status moon_tensor_select(const moon_tensor *tensor, int dim, size_t index, moon_tensor **out);
MOON_API moon_status moon_tensor_transpose(const moon_tensor *tensor, int dim_a, int dim_b, moon_tensor **out);
/* contiguous only */
MOON_API moon_status moon_tensor_reshape(const moon_tensor *tensor, int dims, const size_t *shape, moon_tensor **out);
MOON_API moon_status moon_tensor_broadcast(const moon_tensor *tensor, int dims, const size_t *shape, moon_tensor **out);

/* ---- copies and conversions ------------------------------------------------------------------------------------------------ */

MOON_API moon_status moon_tensor_contiguous(const moon_tensor *tensor, moon_tensor **out); /* a copy, row-major */
/* A copy of another dtype. Floats are cut towards zero for integers, NaN is 0, and what does not fit becomes the nearest that
 * does. */
MOON_API moon_status moon_tensor_cast(const moon_tensor *tensor, moon_dtype dtype, moon_tensor **out);
/* Writes `from`, stretched and converted, over `into`; the two may share memory. MOON_EINVAL where the shape does not stretch, or
 * where `into` is a broadcast view, whose elements are not its own. */
MOON_API moon_status moon_tensor_copy(const moon_tensor *from, moon_tensor *into);

/* ---- element by element ---------------------------------------------------------------------------------------------------- */

typedef enum moon_binary {
  MOON_OP_ADD, MOON_OP_SUB, MOON_OP_MUL, MOON_OP_DIV, MOON_OP_POW,
  MOON_OP_MAXIMUM, MOON_OP_MINIMUM,                                       /* NaN where either is */
  MOON_OP_LT, MOON_OP_LE, MOON_OP_GT, MOON_OP_GE, MOON_OP_EQ, MOON_OP_NE, /* a mask: u8 of 0 and 1; NaN equals nothing */
  MOON_BINARY_COUNT
} moon_binary;
typedef enum moon_unary {
  MOON_OP_NEG, MOON_OP_ABS, MOON_OP_RELU,                                   /* any dtype */
  MOON_OP_SQRT, MOON_OP_EXP, MOON_OP_LOG, MOON_OP_SIGMOID, MOON_OP_TANH,    /* floats; of integers f64 */
  MOON_UNARY_COUNT
} moon_unary;
MOON_API const char *moon_binary_name(moon_binary op); /* "add" ...; NULL where there is no such op */
MOON_API const char *moon_unary_name(moon_unary op);

/* a and b stretch to each other. In the _into forms `into` has the shape of the result and its dtype (MOON_EINVAL otherwise), and
 * may share memory with the inputs in any way. */
MOON_API moon_status moon_tensor_binary(moon_binary op, const moon_tensor *a, const moon_tensor *b, moon_tensor **out);
MOON_API moon_status moon_tensor_binary_into(moon_binary op, const moon_tensor *a, const moon_tensor *b, moon_tensor *into);
MOON_API moon_status moon_tensor_unary(moon_unary op, const moon_tensor *a, moon_tensor **out);
MOON_API moon_status moon_tensor_unary_into(moon_unary op, const moon_tensor *a, moon_tensor *into);
/* Each element not below `low` and not above `high`; NaN stays. MOON_EINVAL where low > high or one is NaN. */
MOON_API moon_status moon_tensor_clip(const moon_tensor *a, double low, double high, moon_tensor **out);
MOON_API moon_status moon_tensor_clip_into(const moon_tensor *a, double low, double high, moon_tensor *into);
/* mask (u8) ? a : b, all three stretched to each other. */
MOON_API moon_status moon_tensor_where(const moon_tensor *mask, const moon_tensor *a, const moon_tensor *b, moon_tensor **out);
MOON_API moon_status moon_tensor_where_into(const moon_tensor *mask, const moon_tensor *a, const moon_tensor *b,
                                            moon_tensor *into);
/* A copy of `a` with `value` where the mask (u8, stretches to a) is not 0. */
MOON_API moon_status moon_tensor_masked_fill(const moon_tensor *a, const moon_tensor *mask, double value, moon_tensor **out);

/* ---- reductions ------------------------------------------------------------------------------------------------------------ */

typedef enum moon_reduction {
  MOON_REDUCE_SUM,    /* floats keep their dtype and add up in f64, pairwise; integers give i64. 0 of nothing */
  MOON_REDUCE_MEAN,   /* f64 for integers. NaN of nothing */
  MOON_REDUCE_MAX,    /* NaN where one is among them. MOON_EINVAL of nothing, here and below */
  MOON_REDUCE_MIN,
  MOON_REDUCE_ARGMAX, /* i64, from 0: the first of equals, the first NaN where there is one */
  MOON_REDUCE_ARGMIN,
  MOON_REDUCTION_COUNT
} moon_reduction;
MOON_API const char *moon_reduction_name(moon_reduction op);
/* Over one dimension, which then is gone (keep: of size 1), or MOON_ALL_DIMS; argmax over all counts in row-major order. */
MOON_API moon_status moon_tensor_reduce(moon_reduction op, const moon_tensor *a, int dim, bool keep, moon_tensor **out);
/* exp(a) / sum(exp(a)) over one dimension, computed from a - max(a), so that large inputs do not overflow; and its logarithm. */
MOON_API moon_status moon_tensor_softmax(const moon_tensor *a, int dim, moon_tensor **out);
MOON_API moon_status moon_tensor_log_softmax(const moon_tensor *a, int dim, moon_tensor **out);
/* The k largest along the last dimension, largest first: values [..., k] and their positions, i64 [..., k]. Of equals the earlier
 * one comes first; NaN comes last. MOON_EINVAL where k is larger than the dimension. */
MOON_API moon_status moon_tensor_top_k(const moon_tensor *a, size_t k, moon_tensor **values, moon_tensor **indices);

/* ---- picking and joining. Positions are i64, from 0, and checked before anything is written -------------------------------- */

/* Slices `index` [n] of dimension `dim`: for dim 0 the rows index[0], index[1], ... */
MOON_API moon_status moon_tensor_take(const moon_tensor *a, int dim, const moon_tensor *index, moon_tensor **out);
/* out[i][j][k] = a[i][index[i][j][k]][k] for dim 1, and so on: index has a's shape but for `dim`, the result has index's. */
MOON_API moon_status moon_tensor_gather(const moon_tensor *a, int dim, const moon_tensor *index, moon_tensor **out);
/* into[index[i]] += rows[i], in order of i, so that the sum of floats is always the same. into [n, ...], index [m], rows [m,
 * ...]. */
MOON_API moon_status moon_tensor_scatter_add(moon_tensor *into, const moon_tensor *index, const moon_tensor *rows);
/* n >= 1 tensors of one dtype, one after the other along `dim`; the other sizes agree. stack gives them a new dimension. */
MOON_API moon_status moon_tensor_concat(const moon_tensor *const *parts, size_t n, int dim, moon_tensor **out);
MOON_API moon_status moon_tensor_stack(const moon_tensor *const *parts, size_t n, int dim, moon_tensor **out);
/* `value` around a: before[d] and after[d] elements more in dimension d. */
MOON_API moon_status moon_tensor_pad(const moon_tensor *a, const size_t *before, const size_t *after, double value,
                                     moon_tensor **out);

/* ---- products -------------------------------------------------------------------------------------------------------------- */

/* [..., n, k] x [..., k, m] -> [..., n, m], f32 or f64; leading dimensions stretch. A vector is a row on the left and a column on
 * the right, and its dimension is dropped from the result. */
MOON_API moon_status moon_tensor_matmul(const moon_tensor *a, const moon_tensor *b, moon_tensor **out);

/* ---- files: numpy's .npy --------------------------------------------------------------------------------------------------- */

/* Formats 1.0 and 2.0, C or Fortran order, little-endian; f4 f8 i8 u1 b1 as they are, other integers as i64. `limit`: the largest
 * file in bytes, 0: any. MOON_EFORMAT for anything that is not exactly such a file, MOON_ELIMIT, MOON_ENOMEM, MOON_EIO,
 * MOON_ENOTFOUND. */
MOON_API moon_status moon_tensor_load(const char *path, size_t limit, moon_account *account, moon_tensor **out);
MOON_API moon_status moon_tensor_save(const moon_tensor *tensor, const char *path); /* whole or not at all */

#ifdef __cplusplus
}
#endif
#endif

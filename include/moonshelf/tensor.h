/* tensor.h - dense tensors: typed memory with a shape and strides, and views of it.
 *
 * A tensor is up to six dimensions over a reference-counted, 64-byte aligned buffer. slice, transpose, reshape and broadcast give views
 * that share the buffer; contiguous copies. Row-major, strides in elements. */
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
typedef enum moon_dtype { MOON_F32, MOON_F64, MOON_I64, MOON_U8 } moon_dtype;
typedef struct moon_tensor moon_tensor;

MOON_API size_t moon_dtype_size(moon_dtype dtype);
MOON_API const char *moon_dtype_name(moon_dtype dtype); /* "f32" ... */

/* New tensor of zeros; the caller frees. dims 0..6 (0: a scalar). MOON_ENOMEM, MOON_EINVAL (too many dims, size overflow). */
MOON_API moon_status moon_tensor_new(moon_dtype dtype, int dims, const size_t *shape, moon_tensor **out);
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
MOON_API bool moon_tensor_is_contiguous(const moon_tensor *tensor);
MOON_API double moon_tensor_get(const moon_tensor *tensor, const size_t *index); /* index [dims], in range */
MOON_API void moon_tensor_set(moon_tensor *tensor, const size_t *index, double value);
MOON_API void moon_tensor_fill(moon_tensor *tensor, double value);

/* Views; each is a new handle that the caller frees. MOON_EINVAL names the op and the shape. */
MOON_API moon_status moon_tensor_slice(const moon_tensor *tensor, int dim, size_t start, size_t stop, moon_tensor **out);
MOON_API moon_status moon_tensor_transpose(const moon_tensor *tensor, int dim_a, int dim_b, moon_tensor **out);
MOON_API moon_status moon_tensor_reshape(const moon_tensor *tensor, int dims, const size_t *shape, moon_tensor **out); /* contiguous only */
MOON_API moon_status moon_tensor_broadcast(const moon_tensor *tensor, int dims, const size_t *shape, moon_tensor **out);
MOON_API moon_status moon_tensor_contiguous(const moon_tensor *tensor, moon_tensor **out); /* a copy, row-major */

#ifdef __cplusplus
}
#endif
#endif

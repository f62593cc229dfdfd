/* handle.h - the inside of a tensor; only core/tensor sees it. */
#ifndef MOON_TENSOR_HANDLE_H
#define MOON_TENSOR_HANDLE_H
#include <stdatomic.h>

#include "tensor/tensor.h"

/* The memory behind one or more tensors; the elements follow the header, 64-byte aligned. */
typedef struct moon_storage {
  atomic_size_t handles;
  moon_account *account; /* or NULL; held */
  size_t bytes;          /* that count there */
  uint64_t version;
} moon_storage;
enum { MOON_STORAGE_HEADER = 64 };

struct moon_tensor {
  moon_storage *storage; /* NULL: borrowed memory */
  char *data;
  moon_dtype dtype;
  int dims;
  size_t count;
  size_t shape[MOON_MAX_DIMS];
  ptrdiff_t strides[MOON_MAX_DIMS];
};

/* A handle of the shape with row-major strides over no memory yet. */
moon_status moon_tensor_handle(moon_dtype dtype, int dims, const size_t *shape, moon_tensor **out);
/* Another handle of the same memory and geometry, for a view to change. */
moon_status moon_tensor_alias(const moon_tensor *tensor, moon_tensor **out);

/* Steps `index` to the next element in row-major order and `offset` with it; false after the last. */
static inline bool moon_index_next(const moon_tensor *t, size_t *index, ptrdiff_t *offset) {
  for (int d = t->dims - 1; d >= 0; d--) {
    *offset += t->strides[d];
    if (++index[d] < t->shape[d]) return true;
    *offset -= t->strides[d] * (ptrdiff_t)t->shape[d];
    index[d] = 0;
  }
  return false;
}

#endif

/* tensor.c - the life of a tensor and access to its elements.
 *
 * A tensor is a small handle over a shared buffer. The buffer counts its handles (atomically: a view may be dropped on another
 * thread); the last one frees it. Reading and writing single elements goes through double, for tests and bindings; kernels take
 * the data pointer. */
#include <string.h>

#include "tensor/handle.h"

size_t moon_dtype_size(moon_dtype dtype) {
  static const size_t sizes[] = {4, 8, 8, 1};
  return (unsigned)dtype < 4 ? sizes[dtype] : 0;
}

const char *moon_dtype_name(moon_dtype dtype) {
  static const char *const names[] = {"f32", "f64", "i64", "u8"};
  return (unsigned)dtype < 4 ? names[dtype] : "?";
}

/* ---- life ------------------------------------------------------------------------------------------------------------------ */

moon_status moon_tensor_handle(moon_dtype dtype, int dims, const size_t *shape, moon_tensor **out) {
  *out = NULL;
  size_t count = 0;
  MOON_TRY(moon_shape_count(dtype, dims, shape, &count));
  moon_tensor *t = moon_calloc(1, sizeof *t);
  if (!t) return moon_fail(MOON_ENOMEM, "no memory for a tensor");
  t->dtype = dtype;
  t->dims = dims;
  t->count = count;
  ptrdiff_t step = 1;
  for (int d = dims - 1; d >= 0; d--) {
    t->shape[d] = shape[d];
    t->strides[d] = step;
    step *= shape[d] ? (ptrdiff_t)shape[d] : 1;
  }
  *out = t;
  return moon_ok();
}

moon_status moon_tensor_new(moon_dtype dtype, int dims, const size_t *shape, moon_tensor **out) {
  return moon_tensor_new_in(moon_account_here(), dtype, dims, shape, out);
}

/* A buffer of zeros for the handle, counted in the account. */
static moon_status give_storage(moon_tensor *t, moon_account *account) {
  size_t bytes = t->count * moon_dtype_size(t->dtype);
  bool fits = bytes <= (size_t)PTRDIFF_MAX - 2 * MOON_STORAGE_HEADER;
  if (fits) bytes = (bytes + 63) & ~(size_t)63;
  MOON_TRY(moon_account_charge(account, bytes));
  char *memory = fits ? moon_alloc_aligned(MOON_STORAGE_HEADER + bytes) : NULL;
  if (!memory) {
    moon_account_release(account, bytes);
    return moon_fail(MOON_ENOMEM, "%zu bytes asked", bytes);
  }
  t->storage = (moon_storage *)(void *)memory;
  atomic_init(&t->storage->handles, 1);
  t->storage->account = account;
  t->storage->bytes = bytes;
  t->data = memory + MOON_STORAGE_HEADER;
  return moon_ok();
}

moon_status moon_tensor_new_in(moon_account *account, moon_dtype dtype, int dims, const size_t *shape, moon_tensor **out) {
  moon_tensor *t = NULL;
  *out = NULL;
  MOON_TRY(moon_tensor_handle(dtype, dims, shape, &t));
  moon_status st = give_storage(t, account);
  if (st.code) {
    moon_free(t);
    return moon_fail(st.code, "no memory for a %s tensor of %s: %s", moon_dtype_name(dtype), moon_shape_write(dims, shape).text,
                     st.message);
  }
  *out = t;
  return moon_ok();
}

moon_status moon_tensor_from(moon_dtype dtype, int dims, const size_t *shape, const void *data, moon_tensor **out) {
  MOON_TRY(moon_tensor_new(dtype, dims, shape, out));
  size_t bytes = (*out)->count * moon_dtype_size(dtype);
  if (bytes) memcpy((*out)->data, data, bytes);
  return moon_ok();
}

moon_status moon_tensor_borrow(moon_dtype dtype, int dims, const size_t *shape, void *data, moon_tensor **out) {
  MOON_TRY(moon_tensor_handle(dtype, dims, shape, out));
  (*out)->data = data;
  return moon_ok();
}

moon_status moon_tensor_alias(const moon_tensor *tensor, moon_tensor **out) {
  *out = moon_alloc(sizeof **out);
  if (!*out) return moon_fail(MOON_ENOMEM, "no memory for a tensor");
  **out = *tensor;
  if (tensor->storage) atomic_fetch_add_explicit(&tensor->storage->handles, 1, memory_order_relaxed);
  return moon_ok();
}

void moon_tensor_free(moon_tensor *tensor) {
  if (!tensor) return;
  moon_storage *storage = tensor->storage;
  if (storage && atomic_fetch_sub_explicit(&storage->handles, 1, memory_order_acq_rel) == 1) {
    moon_account_release(storage->account, storage->bytes);
    moon_free(storage);
  }
  moon_free(tensor);
}

/* ---- reading the handle ---------------------------------------------------------------------------------------------------- */

moon_dtype moon_tensor_dtype(const moon_tensor *tensor) { return tensor->dtype; }
int moon_tensor_dims(const moon_tensor *tensor) { return tensor->dims; }
const size_t *moon_tensor_shape(const moon_tensor *tensor) { return tensor->shape; }
const ptrdiff_t *moon_tensor_strides(const moon_tensor *tensor) { return tensor->strides; }
size_t moon_tensor_count(const moon_tensor *tensor) { return tensor->count; }
void *moon_tensor_data(const moon_tensor *tensor) { return tensor->data; }
moon_account *moon_tensor_account(const moon_tensor *tensor) { return tensor->storage ? tensor->storage->account : NULL; }

uint64_t moon_tensor_version(const moon_tensor *tensor) { return tensor->storage ? tensor->storage->version : 0; }
void moon_tensor_touch(moon_tensor *tensor) {
  if (tensor->storage) tensor->storage->version++;
}

bool moon_tensor_is_contiguous(const moon_tensor *tensor) {
  if (!tensor->count) return true;
  ptrdiff_t step = 1;
  for (int d = tensor->dims - 1; d >= 0; d--) {
    if (tensor->shape[d] == 1) continue; /* never stepped over, so its stride says nothing */
    if (tensor->strides[d] != step) return false;
    step *= (ptrdiff_t)tensor->shape[d];
  }
  return true;
}

/* ---- elements -------------------------------------------------------------------------------------------------------------- */

static double load(moon_dtype dtype, const void *data, ptrdiff_t at) {
  switch (dtype) {
    case MOON_F32: return ((const float *)data)[at];
    case MOON_F64: return ((const double *)data)[at];
    case MOON_I64: return (double)((const int64_t *)data)[at];
    case MOON_U8: return ((const uint8_t *)data)[at];
  }
  return 0;
}

/* Integers saturate and take NaN as 0: a conversion out of range is undefined in C. */
static void store(moon_dtype dtype, void *data, ptrdiff_t at, double value) {
  switch (dtype) {
    case MOON_F32: ((float *)data)[at] = (float)value; break;
    case MOON_F64: ((double *)data)[at] = value; break;
    case MOON_I64:
      ((int64_t *)data)[at] = value != value ? 0 : value >= 0x1p63 ? INT64_MAX : value <= -0x1p63 ? INT64_MIN : (int64_t)value;
      break;
    case MOON_U8: ((uint8_t *)data)[at] = value != value ? 0 : value >= 255 ? 255 : value <= 0 ? 0 : (uint8_t)value; break;
  }
}

static ptrdiff_t offset_of(const moon_tensor *tensor, const size_t *index) {
  ptrdiff_t at = 0;
  for (int d = 0; d < tensor->dims; d++) at += tensor->strides[d] * (ptrdiff_t)index[d];
  return at;
}

double moon_tensor_get(const moon_tensor *tensor, const size_t *index) {
  return load(tensor->dtype, tensor->data, offset_of(tensor, index));
}

void moon_tensor_set(moon_tensor *tensor, const size_t *index, double value) {
  store(tensor->dtype, tensor->data, offset_of(tensor, index), value);
}

void moon_tensor_fill(moon_tensor *tensor, double value) {
  if (!tensor->count) return;
  if (value == 0 && moon_tensor_is_contiguous(tensor)) {
    memset(tensor->data, 0, tensor->count * moon_dtype_size(tensor->dtype));
    return;
  }
  size_t index[MOON_MAX_DIMS] = {0};
  ptrdiff_t at = 0;
  do store(tensor->dtype, tensor->data, at, value);
  while (moon_index_next(tensor, index, &at));
}

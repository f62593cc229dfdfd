/* views.c - other ways to look at the same memory.
 *
 * Each view is a new handle that differs in data pointer, shape or strides only; nothing is copied except by contiguous. A
 * broadcast dimension has stride 0. */
#include "tensor/handle.h"

static moon_shape_text shape_of(const moon_tensor *t) { return moon_shape_write(t->dims, t->shape); }

static size_t product(const moon_tensor *t) {
  size_t n = 1;
  for (int d = 0; d < t->dims; d++) n *= t->shape[d];
  return n;
}

moon_status moon_tensor_slice(const moon_tensor *tensor, int dim, size_t start, size_t stop, moon_tensor **out) {
  *out = NULL;
  if (dim < 0 || dim >= tensor->dims)
    return moon_fail(MOON_EINVAL, "slice: %s has no dimension %d", shape_of(tensor).text, dim);
  if (start > stop || stop > tensor->shape[dim])
    return moon_fail(MOON_EINVAL, "slice: %zu..%zu is outside dimension %d of %s", start, stop, dim, shape_of(tensor).text);
  MOON_TRY(moon_tensor_alias(tensor, out));
  moon_tensor *view = *out;
  view->shape[dim] = stop - start;
  view->count = product(view);
  if (view->count) view->data += (ptrdiff_t)start * view->strides[dim] * (ptrdiff_t)moon_dtype_size(view->dtype);
  return moon_ok();
}

moon_status moon_tensor_select(const moon_tensor *tensor, int dim, size_t index, moon_tensor **out) {
  *out = NULL;
  if (dim < 0 || dim >= tensor->dims || index >= tensor->shape[dim])
    return moon_fail(MOON_EINVAL, "select: %s has no position %zu in dimension %d", shape_of(tensor).text, index, dim);
  MOON_TRY(moon_tensor_slice(tensor, dim, index, index + 1, out));
  moon_tensor *view = *out;
  view->dims--;
  for (int d = dim; d < view->dims; d++) view->shape[d] = tensor->shape[d + 1], view->strides[d] = tensor->strides[d + 1];
  return moon_ok();
}

moon_status moon_tensor_transpose(const moon_tensor *tensor, int dim_a, int dim_b, moon_tensor **out) {
  *out = NULL;
  if (dim_a < 0 || dim_a >= tensor->dims || dim_b < 0 || dim_b >= tensor->dims)
    return moon_fail(MOON_EINVAL, "transpose: %s has no dimensions %d and %d", shape_of(tensor).text, dim_a, dim_b);
  MOON_TRY(moon_tensor_alias(tensor, out));
  moon_tensor *view = *out;
  view->shape[dim_a] = tensor->shape[dim_b], view->strides[dim_a] = tensor->strides[dim_b];
  view->shape[dim_b] = tensor->shape[dim_a], view->strides[dim_b] = tensor->strides[dim_a];
  return moon_ok();
}

moon_status moon_tensor_reshape(const moon_tensor *tensor, int dims, const size_t *shape, moon_tensor **out) {
  *out = NULL;
  if (!moon_tensor_is_contiguous(tensor))
    return moon_fail(MOON_EINVAL, "reshape: a view of %s is not contiguous; copy it first", shape_of(tensor).text);
  moon_tensor *view = NULL;
  moon_status st = moon_tensor_handle(tensor->dtype, dims, shape, &view);
  if (st.code) return moon_wrap(st, "reshape");
  if (view->count != tensor->count) {
    moon_tensor_free(view);
    return moon_fail(MOON_EINVAL, "reshape: %s has %zu elements, %s does not", shape_of(tensor).text, tensor->count,
                     moon_shape_write(dims, shape).text);
  }
  view->storage = tensor->storage;
  view->data = tensor->data;
  if (view->storage) atomic_fetch_add_explicit(&view->storage->handles, 1, memory_order_relaxed);
  *out = view;
  return moon_ok();
}

moon_status moon_tensor_broadcast(const moon_tensor *tensor, int dims, const size_t *shape, moon_tensor **out) {
  *out = NULL;
  size_t count = 0;
  moon_status st = moon_shape_count(tensor->dtype, dims, shape, &count);
  if (st.code) return moon_wrap(st, "broadcast");
  int lead = dims - tensor->dims;
  bool fits = lead >= 0;
  for (int d = 0; fits && d < tensor->dims; d++) fits = tensor->shape[d] == shape[lead + d] || tensor->shape[d] == 1;
  if (!fits)
    return moon_fail(MOON_EINVAL, "broadcast: %s does not stretch to %s", shape_of(tensor).text,
                     moon_shape_write(dims, shape).text);
  MOON_TRY(moon_tensor_alias(tensor, out));
  moon_tensor *view = *out;
  view->dims = dims;
  view->count = count;
  for (int d = 0; d < dims; d++) {
    bool own = d >= lead && tensor->shape[d - lead] == shape[d];
    view->shape[d] = shape[d];
    view->strides[d] = own ? tensor->strides[d - lead] : 0;
  }
  return moon_ok();
}

moon_status moon_tensor_contiguous(const moon_tensor *tensor, moon_tensor **out) {
  return moon_tensor_cast(tensor, tensor->dtype, out);
}

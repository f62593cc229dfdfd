/* shape.c - what can be said of shapes without any data: text, size, equality, broadcasting. */
#include <stdio.h>

#include "tensor/tensor.h"

moon_shape_text moon_shape_write(int dims, const size_t *shape) {
  moon_shape_text out;
  size_t at = 0;
  out.text[at++] = '[';
  for (int d = 0; d < dims && d < MOON_MAX_DIMS; d++)
    at += (size_t)snprintf(out.text + at, sizeof out.text - at, "%s%zu", d ? ", " : "", shape[d]);
  snprintf(out.text + at, sizeof out.text - at, "]");
  return out;
}

moon_status moon_shape_count(moon_dtype dtype, int dims, const size_t *shape, size_t *count) {
  if (dims < 0 || dims > MOON_MAX_DIMS)
    return moon_fail(MOON_EINVAL, "a tensor has 0 to %d dimensions, not %d", MOON_MAX_DIMS, dims);
  size_t each = moon_dtype_size(dtype), n = 1, limit;
  if (!each) return moon_fail(MOON_EINVAL, "dtype %d does not exist", (int)dtype);
  limit = (size_t)PTRDIFF_MAX / each;
  for (int d = 0; d < dims; d++) { /* a zero must not hide an overflow: strides are products of the other sizes */
    size_t size = shape[d] ? shape[d] : 1;
    if (size > limit / n) return moon_fail(MOON_EINVAL, "a %s tensor of %s does not fit in memory", moon_dtype_name(dtype),
                                           moon_shape_write(dims, shape).text);
    n *= size;
  }
  for (int d = 0; d < dims; d++)
    if (!shape[d]) n = 0;
  *count = n;
  return moon_ok();
}

bool moon_shape_equal(int a_dims, const size_t *a, int b_dims, const size_t *b) {
  if (a_dims != b_dims) return false;
  for (int d = 0; d < a_dims; d++)
    if (a[d] != b[d]) return false;
  return true;
}

bool moon_shape_broadcast(int a_dims, const size_t *a, int b_dims, const size_t *b, int *dims, size_t *out) {
  *dims = a_dims > b_dims ? a_dims : b_dims;
  for (int d = 0; d < *dims; d++) {
    int from_a = d - (*dims - a_dims), from_b = d - (*dims - b_dims);
    size_t size_a = from_a >= 0 ? a[from_a] : 1, size_b = from_b >= 0 ? b[from_b] : 1;
    if (size_a != size_b && size_a != 1 && size_b != 1) return false;
    out[d] = size_a == 1 ? size_b : size_a;
  }
  return true;
}

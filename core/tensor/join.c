/* join.c - putting tensors beside one another: concat, stack, pad.
 *
 * The result is made, and each part is copied into the slice of it that is its place; strides are left to moon_tensor_copy. */
#include "tensor/kernel.h"

/* Copies `part` to start.. along `dim` of y. */
static moon_status place(const moon_tensor *part, moon_tensor *y, int dim, size_t start) {
  moon_tensor *slot;
  MOON_TRY(moon_tensor_slice(y, dim, start, start + part->shape[dim], &slot));
  moon_status st = moon_tensor_copy(part, slot);
  moon_tensor_free(slot);
  return st;
}

static moon_account *account_of(const moon_tensor *const *parts, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (moon_tensor_account(parts[i])) return moon_tensor_account(parts[i]);
  return NULL;
}

/* What all parts must share: the dtype, and the shape but for `free_dim` (-1: all of it). */
static moon_status check_parts(const char *name, const moon_tensor *const *parts, size_t n, int free_dim) {
  if (!n) return moon_fail(MOON_EINVAL, "%s: there are no tensors to join", name);
  for (size_t i = 1; i < n; i++) {
    bool agree = parts[i]->dims == parts[0]->dims;
    for (int d = 0; agree && d < parts[0]->dims; d++) agree = d == free_dim || parts[i]->shape[d] == parts[0]->shape[d];
    if (!agree)
      return moon_fail(MOON_EINVAL, "%s: %s against %s (tensor %zu): the sizes do not agree", name, moon_shape_of(parts[0]).text,
                       moon_shape_of(parts[i]).text, i + 1);
    if (parts[i]->dtype != parts[0]->dtype)
      return moon_fail(MOON_EINVAL, "%s: %s against %s (tensor %zu): the dtypes differ; cast one", name,
                       moon_dtype_name(parts[0]->dtype), moon_dtype_name(parts[i]->dtype), i + 1);
  }
  return moon_ok();
}

moon_status moon_tensor_concat(const moon_tensor *const *parts, size_t n, int dim, moon_tensor **out) {
  *out = NULL;
  if (n) MOON_TRY(moon_check_dim("concat", parts[0], dim));
  MOON_TRY(check_parts("concat", parts, n, dim));
  size_t shape[MOON_MAX_DIMS], at = 0;
  for (int d = 0; d < parts[0]->dims; d++) shape[d] = parts[0]->shape[d];
  for (size_t i = 1; i < n; i++)
    if (__builtin_add_overflow(shape[dim], parts[i]->shape[dim], &shape[dim]))
      return moon_fail(MOON_EINVAL, "concat: the result does not fit in memory");
  moon_tensor *y;
  moon_status st = moon_tensor_new_in(account_of(parts, n), parts[0]->dtype, parts[0]->dims, shape, &y);
  for (size_t i = 0; i < n && !st.code; at += parts[i++]->shape[dim]) st = place(parts[i], y, dim, at);
  if (st.code) {
    moon_tensor_free(y);
    return moon_wrap(st, "concat");
  }
  *out = y;
  return st;
}

/* A view with a dimension of 1 at `dim`. */
static moon_status widen(const moon_tensor *t, int dim, moon_tensor **out) {
  MOON_TRY(moon_tensor_alias(t, out));
  moon_tensor *view = *out;
  for (int d = view->dims++; d > dim; d--) view->shape[d] = view->shape[d - 1], view->strides[d] = view->strides[d - 1];
  view->shape[dim] = 1;
  view->strides[dim] = 0;
  return moon_ok();
}

moon_status moon_tensor_stack(const moon_tensor *const *parts, size_t n, int dim, moon_tensor **out) {
  *out = NULL;
  MOON_TRY(check_parts("stack", parts, n, -1));
  int dims = parts[0]->dims + 1;
  if (dims > MOON_MAX_DIMS || dim < 0 || dim >= dims)
    return moon_fail(MOON_EINVAL, "stack: %s does not take a new dimension %d", moon_shape_of(parts[0]).text, dim);
  size_t shape[MOON_MAX_DIMS];
  for (int d = 0; d < dims; d++) shape[d] = d == dim ? n : parts[0]->shape[d < dim ? d : d - 1];
  moon_tensor *y;
  moon_status st = moon_tensor_new_in(account_of(parts, n), parts[0]->dtype, dims, shape, &y);
  for (size_t i = 0; i < n && !st.code; i++) {
    moon_tensor *wide;
    st = widen(parts[i], dim, &wide);
    if (!st.code) st = place(wide, y, dim, i);
    moon_tensor_free(wide);
  }
  if (st.code) {
    moon_tensor_free(y);
    return moon_wrap(st, "stack");
  }
  *out = y;
  return st;
}

moon_status moon_tensor_pad(const moon_tensor *a, const size_t *before, const size_t *after, double value, moon_tensor **out) {
  *out = NULL;
  size_t shape[MOON_MAX_DIMS];
  for (int d = 0; d < a->dims; d++)
    if (__builtin_add_overflow(a->shape[d], before[d], &shape[d]) || __builtin_add_overflow(shape[d], after[d], &shape[d]))
      return moon_fail(MOON_EINVAL, "pad: the result does not fit in memory");
  moon_tensor *y = NULL, *slot = NULL;
  moon_status st = moon_tensor_new_in(moon_tensor_account(a), a->dtype, a->dims, shape, &y);
  if (!st.code) {
    moon_tensor_fill(y, value);
    st = moon_tensor_alias(y, &slot);
  }
  for (int d = 0; d < a->dims && !st.code; d++) {
    moon_tensor *narrower;
    st = moon_tensor_slice(slot, d, before[d], before[d] + a->shape[d], &narrower);
    moon_tensor_free(slot);
    slot = narrower;
  }
  if (!st.code) st = moon_tensor_copy(a, slot);
  moon_tensor_free(slot);
  if (st.code) {
    moon_tensor_free(y);
    return moon_wrap(st, "pad");
  }
  *out = y;
  return st;
}

/* cursor.c - reading and writing tensors of any strides and dtype as tiles; with it copies and conversions. */
#include <string.h>

#include "tensor/kernel.h"

/* ---- conversion of rows. Integers saturate and take NaN as 0, as moon_tensor_set does: out of range is undefined in C. */

typedef void convert_fn(size_t n, const void *from, ptrdiff_t step_from, void *to, ptrdiff_t step_to);

MOON_INLINE int64_t to_i64(double x) { return x != x ? 0 : x >= 0x1p63 ? INT64_MAX : x <= -0x1p63 ? INT64_MIN : (int64_t)x; }
MOON_INLINE uint8_t to_u8(double x) { return x >= 255 ? 255 : x > 0 ? (uint8_t)x : 0; }
MOON_INLINE uint8_t i64_to_u8(int64_t x) { return x > 255 ? 255 : x < 0 ? 0 : (uint8_t)x; }

/* The loop over contiguous rows vectorises. */
#define CONVERT(NAME, FROM, TO, EXPRESSION)                                                                       \
  MOON_CLONES static void NAME(size_t n, const void *from, ptrdiff_t step_from, void *to, ptrdiff_t step_to) {    \
    const FROM *a = from;                                                                                         \
    TO *y = to;                                                                                                   \
    if (step_from == 1 && step_to == 1) {                                                                         \
      for (size_t i = 0; i < n; i++) {                                                                            \
        FROM x = a[i];                                                                                            \
        y[i] = EXPRESSION;                                                                                        \
      }                                                                                                           \
    } else {                                                                                                      \
      for (size_t i = 0; i < n; i++, a += step_from, y += step_to) {                                              \
        FROM x = *a;                                                                                              \
        *y = EXPRESSION;                                                                                          \
      }                                                                                                           \
    }                                                                                                             \
  }
CONVERT(f32_f32, float, float, x)
CONVERT(f32_f64, float, double, x)
CONVERT(f32_i64, float, int64_t, to_i64(x))
CONVERT(f32_u8, float, uint8_t, to_u8(x))
CONVERT(f64_f32, double, float, (float)x)
CONVERT(f64_f64, double, double, x)
CONVERT(f64_i64, double, int64_t, to_i64(x))
CONVERT(f64_u8, double, uint8_t, to_u8(x))
CONVERT(i64_f32, int64_t, float, (float)x)
CONVERT(i64_f64, int64_t, double, (double)x)
CONVERT(i64_i64, int64_t, int64_t, x)
CONVERT(i64_u8, int64_t, uint8_t, i64_to_u8(x))
CONVERT(u8_f32, uint8_t, float, x)
CONVERT(u8_f64, uint8_t, double, x)
CONVERT(u8_i64, uint8_t, int64_t, x)
CONVERT(u8_u8, uint8_t, uint8_t, x)

static convert_fn *const convert[4][4] = {{f32_f32, f32_f64, f32_i64, f32_u8},
                                          {f64_f32, f64_f64, f64_i64, f64_u8},
                                          {i64_f32, i64_f64, i64_i64, i64_u8},
                                          {u8_f32, u8_f64, u8_i64, u8_u8}};

/* ---- cursors --------------------------------------------------------------------------------------------------------------- */

void moon_cursor_open(moon_cursor *cursor, const moon_tensor *t, int dims, const size_t *shape, moon_dtype as) {
  *cursor = (moon_cursor){.data = t->data, .dtype = t->dtype, .as = as};
  int lead = dims - t->dims, n = 0;
  for (int d = 0; d < dims; d++) { /* outermost first; a dimension joins the one before it where it carries on its steps */
    if (shape[d] == 1) continue;
    ptrdiff_t step = d >= lead && t->shape[d - lead] != 1 ? t->strides[d - lead] : 0;
    if (n && cursor->strides[n - 1] == step * (ptrdiff_t)shape[d]) n--, cursor->shape[n] *= shape[d];
    else cursor->shape[n] = shape[d];
    cursor->strides[n++] = step;
  }
  if (!n) cursor->shape[n] = 1, cursor->strides[n++] = 0;
  cursor->dims = n;
  cursor->direct = n == 1 && (cursor->strides[0] == 1 || cursor->shape[0] == 1) && t->dtype == as;
  cursor->still = n == 1 && cursor->strides[0] == 0;
}

/* Moves n elements between the memory and a contiguous `tile`, row by row, and steps on. */
MOON_INLINE void move(moon_cursor *cursor, size_t n, char *tile, bool in) {
  int last = cursor->dims - 1;
  ptrdiff_t step = cursor->strides[last], bytes = (ptrdiff_t)moon_dtype_size(cursor->dtype);
  size_t each = moon_dtype_size(cursor->as);
  while (n) {
    size_t left = cursor->shape[last] - cursor->index[last], run = n < left ? n : left;
    if (in) convert[cursor->dtype][cursor->as](run, cursor->data, step, tile, 1);
    else convert[cursor->as][cursor->dtype](run, tile, 1, cursor->data, step);
    tile += run * each, n -= run;
    cursor->data += step * bytes * (ptrdiff_t)run;
    cursor->index[last] += run;
    for (int d = last; cursor->index[d] == cursor->shape[d] && d > 0; d--) {
      cursor->data += (cursor->strides[d - 1] - cursor->strides[d] * (ptrdiff_t)cursor->shape[d]) * bytes;
      cursor->index[d] = 0;
      cursor->index[d - 1]++;
    }
  }
}

const void *moon_cursor_read(moon_cursor *cursor, size_t n, void *tile) {
  if (cursor->direct) {
    const void *at = cursor->data;
    cursor->data += n * moon_dtype_size(cursor->dtype);
    return at;
  }
  if (cursor->still) {
    if (!cursor->filled) convert[cursor->dtype][cursor->as](MOON_TILE, cursor->data, 0, tile, 1);
    cursor->filled = true;
    return tile;
  }
  move(cursor, n, tile, true);
  return tile;
}

void *moon_cursor_target(const moon_cursor *cursor, void *tile) { return cursor->direct ? cursor->data : tile; }

void moon_cursor_write(moon_cursor *cursor, size_t n, const void *from) {
  if (cursor->direct) cursor->data += n * moon_dtype_size(cursor->dtype); /* it was written in place */
  else move(cursor, n, (char *)(uintptr_t)from, false);                   /* only read */
}

/* ---- copies ---------------------------------------------------------------------------------------------------------------- */

static void copy_all(const moon_tensor *from, moon_tensor *into) {
  moon_cursor reader, writer;
  _Alignas(64) char tile[MOON_TILE_BYTES];
  moon_cursor_open(&reader, from, into->dims, into->shape, into->dtype);
  moon_cursor_open(&writer, into, into->dims, into->shape, into->dtype);
  for (size_t left = into->count; left;) {
    size_t n = left < MOON_TILE ? left : MOON_TILE;
    const void *got = moon_cursor_read(&reader, n, tile);
    if (writer.direct) memcpy(writer.data, got, n * moon_dtype_size(into->dtype));
    moon_cursor_write(&writer, n, got);
    left -= n;
  }
}

moon_status moon_tensor_copy(const moon_tensor *from, moon_tensor *into) {
  int dims;
  size_t shape[MOON_MAX_DIMS];
  if (!moon_shape_broadcast(from->dims, from->shape, into->dims, into->shape, &dims, shape) ||
      !moon_shape_equal(dims, shape, into->dims, into->shape))
    return moon_fail(MOON_EINVAL, "copy: %s does not stretch to %s", moon_shape_of(from).text, moon_shape_of(into).text);
  MOON_TRY(moon_check_writable("copy", into));
  if (!into->count || from == into) return moon_ok();
  if (!moon_tensor_overlap(from, into)) {
    copy_all(from, into);
    return moon_ok();
  }
  moon_tensor *held;
  MOON_TRY(moon_tensor_contiguous(from, &held));
  copy_all(held, into);
  moon_tensor_free(held);
  return moon_ok();
}

moon_status moon_tensor_cast(const moon_tensor *tensor, moon_dtype dtype, moon_tensor **out) {
  MOON_TRY(moon_tensor_new_in(moon_tensor_account(tensor), dtype, tensor->dims, tensor->shape, out));
  if (tensor->count) copy_all(tensor, *out);
  return moon_ok();
}

moon_status moon_tensor_dense(const moon_tensor *t, moon_dtype dtype, moon_tensor **out) {
  if (t->dtype != dtype || !moon_tensor_is_contiguous(t)) return moon_tensor_cast(t, dtype, out);
  return moon_tensor_alias(t, out);
}

/* ---- small things ---------------------------------------------------------------------------------------------------------- */

moon_dtype moon_dtype_common(moon_dtype a, moon_dtype b) {
  if (a == b) return a;
  if (a == MOON_F64 || b == MOON_F64) return MOON_F64;
  if (a == MOON_F32 || b == MOON_F32) return MOON_F32;
  return MOON_I64;
}

/* The bytes from the first that `t` touches to after the last. */
static void extent(const moon_tensor *t, uintptr_t *low, uintptr_t *high) {
  uintptr_t each = moon_dtype_size(t->dtype);
  *low = (uintptr_t)t->data, *high = *low + each;
  for (int d = 0; d < t->dims; d++) *high += (uintptr_t)t->strides[d] * (t->shape[d] - 1) * each; /* no stride is negative */
}

bool moon_tensor_overlap(const moon_tensor *a, const moon_tensor *b) {
  uintptr_t a_low, a_high, b_low, b_high;
  if (!a->count || !b->count) return false;
  extent(a, &a_low, &a_high);
  extent(b, &b_low, &b_high);
  return a_low < b_high && b_low < a_high;
}

moon_status moon_check_writable(const char *name, const moon_tensor *into) {
  for (int d = 0; d < into->dims; d++)
    if (into->shape[d] > 1 && into->strides[d] == 0)
      return moon_fail(MOON_EINVAL, "%s: into a broadcast view of %s; its elements are not its own", name,
                       moon_shape_of(into).text);
  return moon_ok();
}

moon_axis moon_axis_of(const moon_tensor *t, int dim) {
  moon_axis axis = {1, t->shape[dim], 1};
  for (int d = 0; d < dim; d++) axis.outer *= t->shape[d];
  for (int d = dim + 1; d < t->dims; d++) axis.inner *= t->shape[d];
  return axis;
}

moon_status moon_check_dim(const char *name, const moon_tensor *t, int dim) {
  if (dim >= 0 && dim < t->dims) return moon_ok();
  return moon_fail(MOON_EINVAL, "%s: %s has no dimension %d", name, moon_shape_of(t).text, dim);
}

/* random.c - filling tensors with random numbers: drawn in row-major order into tiles, which a cursor writes to any strides. */
#include <math.h>

#include "tensor/kernel.h"

typedef struct draw {
  moon_rng *rng;
  double a, b;
  int64_t low;
  uint64_t range;
  bool single; /* the target is f32: what is rounded to it must stay below b */
} draw;
typedef void draw_fn(const draw *d, size_t n, void *tile);

static void fill(moon_tensor *t, moon_dtype as, draw_fn *next, const draw *d) {
  moon_cursor writer;
  _Alignas(64) char tile[MOON_TILE_BYTES];
  if (!t->count) return;
  moon_cursor_open(&writer, t, t->dims, t->shape, as);
  for (size_t left = t->count; left;) {
    size_t n = left < MOON_TILE ? left : MOON_TILE;
    void *at = moon_cursor_target(&writer, tile);
    next(d, n, at);
    moon_cursor_write(&writer, n, at);
    left -= n;
  }
}

static moon_status check(const char *name, const moon_tensor *t, bool any_dtype) {
  if (!any_dtype && !moon_dtype_is_real(t->dtype))
    return moon_fail(MOON_EINVAL, "%s: into f32 or f64, not %s", name, moon_dtype_name(t->dtype));
  return moon_check_writable(name, t);
}

static void draw_uniform(const draw *d, size_t n, void *tile) {
  double *y = tile;
  for (size_t i = 0; i < n; i++) {
    double x = d->a + (d->b - d->a) * moon_rng_uniform(d->rng);
    if (d->single ? (float)x >= (float)d->b : x >= d->b)
      x = d->single ? (double)nextafterf((float)d->b, (float)d->a) : nextafter(d->b, d->a);
    y[i] = x;
  }
}

moon_status moon_tensor_fill_uniform(moon_tensor *tensor, moon_rng *rng, double low, double high) {
  MOON_TRY(check("uniform", tensor, false));
  bool single = tensor->dtype == MOON_F32;
  if (!isfinite(high - low) ||
      (single ? (float)low >= (float)high || !isfinite((float)low) || !isfinite((float)high) : low >= high))
    return moon_fail(MOON_EINVAL, "uniform: there is nothing between %g and %g", low, high);
  draw d = {.rng = rng, .a = low, .b = high, .single = single};
  fill(tensor, MOON_F64, draw_uniform, &d);
  return moon_ok();
}

static void draw_normal(const draw *d, size_t n, void *tile) {
  double *y = tile;
  for (size_t i = 0; i < n; i++) y[i] = d->a + d->b * moon_rng_normal(d->rng);
}

moon_status moon_tensor_fill_normal(moon_tensor *tensor, moon_rng *rng, double mean, double deviation) {
  MOON_TRY(check("normal", tensor, false));
  if (!isfinite(mean) || !isfinite(deviation) || deviation < 0)
    return moon_fail(MOON_EINVAL, "normal: mean %g and deviation %g are not a distribution", mean, deviation);
  draw d = {.rng = rng, .a = mean, .b = deviation};
  fill(tensor, MOON_F64, draw_normal, &d);
  return moon_ok();
}

/* One of [0, range), unbiased: draws under the smallest 2^k - 1 that covers it until one fits. */
static uint64_t below(moon_rng *rng, uint64_t range) {
  if (range <= UINT32_MAX) return moon_rng_below(rng, (uint32_t)range);
  uint64_t mask = UINT64_MAX >> __builtin_clzll(range - 1), drawn;
  do drawn = moon_rng_u64(rng) & mask;
  while (drawn >= range);
  return drawn;
}

static void draw_integers(const draw *d, size_t n, void *tile) {
  int64_t *y = tile;
  for (size_t i = 0; i < n; i++) y[i] = (int64_t)((uint64_t)d->low + below(d->rng, d->range));
}

moon_status moon_tensor_fill_randint(moon_tensor *tensor, moon_rng *rng, int64_t low, int64_t high) {
  MOON_TRY(check("randint", tensor, true));
  if (low >= high)
    return moon_fail(MOON_EINVAL, "randint: there is no whole number from %lld to below %lld", (long long)low, (long long)high);
  draw d = {.rng = rng, .low = low, .range = (uint64_t)high - (uint64_t)low};
  fill(tensor, MOON_I64, draw_integers, &d);
  return moon_ok();
}

moon_status moon_tensor_fill_permutation(moon_tensor *tensor, moon_rng *rng) {
  if (tensor->dtype != MOON_I64 || tensor->dims != 1)
    return moon_fail(MOON_EINVAL, "permutation: into i64 [n], not %s %s", moon_dtype_name(tensor->dtype),
                     moon_shape_of(tensor).text);
  MOON_TRY(moon_check_writable("permutation", tensor));
  int64_t *at = (int64_t *)(void *)tensor->data;
  ptrdiff_t step = tensor->strides[0];
  for (size_t i = 0; i < tensor->count; i++) at[(ptrdiff_t)i * step] = (int64_t)i;
  for (size_t i = tensor->count; i > 1; i--) { /* Fisher-Yates */
    ptrdiff_t j = (ptrdiff_t)below(rng, i) * step, last = (ptrdiff_t)(i - 1) * step;
    int64_t held = at[last];
    at[last] = at[j];
    at[j] = held;
  }
  return moon_ok();
}

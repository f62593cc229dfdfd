/* tensor_random.h - tensors of random shape and strides, and plain index arithmetic over them, for the tests of tensor's operations. */
#ifndef TEST_TENSOR_RANDOM_H
#define TEST_TENSOR_RANDOM_H
#include "numeric.h"

typedef struct place { size_t at[MOON_MAX_DIMS]; } place; /* an index */

/* The i-th index of a shape in row-major order. */
static inline place place_of(size_t i, int dims, const size_t *shape) {
  place p = {{0}};
  for (int d = dims - 1; d >= 0; d--) p.at[d] = i % shape[d], i /= shape[d];
  return p;
}

/* The element that a stretched tensor has at index p of a shape of `dims`. */
static inline double stretched(const moon_tensor *t, place p, int dims) {
  place own = {{0}};
  for (int d = 0; d < moon_tensor_dims(t); d++)
    own.at[d] = moon_tensor_shape(t)[d] == 1 ? 0 : p.at[d + dims - moon_tensor_dims(t)];
  return moon_tensor_get(t, own.at);
}

static inline double nth(const moon_tensor *t, size_t i) {
  return moon_tensor_get(t, place_of(i, moon_tensor_dims(t), moon_tensor_shape(t)).at);
}

/* 0..6 dimensions of 0..5, mostly not 0. */
static inline int random_shape(moon_rng *rng, size_t *shape) {
  int dims = (int)moon_rng_below(rng, MOON_MAX_DIMS + 1);
  for (int d = 0; d < dims; d++) shape[d] = moon_rng_below(rng, 12) ? 1 + moon_rng_below(rng, dims > 4 ? 3 : 5) : 0;
  return dims;
}

static inline void fill_random(moon_rng *rng, moon_tensor *t, double low, double high) {
  for (size_t i = 0; i < moon_tensor_count(t); i++) {
    double value = low + (high - low) * moon_rng_uniform(rng);
    if (moon_tensor_dtype(t) == MOON_I64 || moon_tensor_dtype(t) == MOON_U8) value = floor(value);
    moon_tensor_set(t, place_of(i, moon_tensor_dims(t), moon_tensor_shape(t)).at, value);
  }
}

static inline moon_tensor *replaced(moon_tensor *old, moon_status st, moon_tensor *fresh) {
  OK(st);
  moon_tensor_free(old);
  return fresh;
}

/* A tensor of the shape whose memory is contiguous, cut out of something larger, turned round, or (spread) repeated. */
static inline moon_tensor *random_view(moon_rng *rng, moon_dtype dtype, int dims, const size_t *shape, bool spread, double low,
                                       double high) {
  size_t inner[MOON_MAX_DIMS], from[MOON_MAX_DIMS];
  int a = dims ? (int)moon_rng_below(rng, (uint32_t)dims) : 0, b = dims ? (int)moon_rng_below(rng, (uint32_t)dims) : 0;
  bool cut = moon_rng_below(rng, 2), turn = moon_rng_below(rng, 2);
  spread = spread && dims && !moon_rng_below(rng, 3) && shape[a];
  for (int d = 0; d < dims; d++) {
    size_t size = turn && d == a ? shape[b] : turn && d == b ? shape[a] : shape[d];
    from[d] = cut ? moon_rng_below(rng, 3) : 0;
    inner[d] = size + from[d] + (cut ? moon_rng_below(rng, 3) : 0);
  }
  if (spread)
    turn = false, memcpy(inner, shape, sizeof *inner * (size_t)dims), inner[a] = 1, memset(from, 0, sizeof from), cut = false;
  moon_tensor *t = NULL, *next = NULL;
  OK(moon_tensor_new(dtype, dims, inner, &t));
  fill_random(rng, t, low, high);
  for (int d = 0; cut && d < dims; d++) {
    size_t size = turn && d == a ? shape[b] : turn && d == b ? shape[a] : shape[d];
    moon_status st = moon_tensor_slice(t, d, from[d], from[d] + size, &next);
    t = replaced(t, st, next);
  }
  if (turn && dims) {
    moon_status st = moon_tensor_transpose(t, a, b, &next);
    t = replaced(t, st, next);
  }
  if (spread) {
    moon_status st = moon_tensor_broadcast(t, dims, shape, &next);
    t = replaced(t, st, next);
  }
  assert_true(moon_shape_equal(dims, shape, moon_tensor_dims(t), moon_tensor_shape(t)));
  return t;
}

/* Of the shape, but some of its sizes 1 and some of its leading dimensions left out: it stretches to the shape. */
static inline moon_tensor *random_operand(moon_rng *rng, moon_dtype dtype, int dims, const size_t *shape, double low,
                                          double high) {
  int drop = moon_rng_below(rng, 3) ? 0 : (int)moon_rng_below(rng, (uint32_t)dims + 1);
  size_t own[MOON_MAX_DIMS];
  for (int d = drop; d < dims; d++) own[d - drop] = moon_rng_below(rng, 4) ? shape[d] : 1;
  return random_view(rng, dtype, dims - drop, own, true, low, high);
}

static inline void assert_same_value(double got, double want, double tolerance, const char *what) {
  if (got != got && want != want) return;
  if (got == want || fabs(got - want) <= tolerance * (1 + fabs(want))) return;
  fail_msg("%s: %.17g, not %.17g", what, got, want);
}

#endif

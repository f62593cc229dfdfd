/* test_tensor_reduce.c - reductions, softmax and top_k equal plain loops over any view, and large sums are right. */
#include <stdlib.h>

#include "tensor_random.h"

static const moon_dtype dtypes[] = {MOON_F32, MOON_F64, MOON_I64, MOON_U8};

/* The index of the result p with j put in at `dim`; where the dimension was kept it is replaced. */
static place with(place p, int dims, int dim, size_t j, bool kept) {
  if (!kept)
    for (int d = dims - 1; d > dim; d--) p.at[d] = p.at[d - 1];
  p.at[dim] = j;
  return p;
}

static bool wins(moon_reduction op, double x, double best) {
  if (best != best) return false;
  return x != x || (op == MOON_REDUCE_MAX || op == MOON_REDUCE_ARGMAX ? x > best : x < best);
}

static double plain(moon_reduction op, const double *x, size_t n) {
  double sum = 0, best = n ? x[0] : 0;
  size_t at = 0;
  for (size_t i = 0; i < n; i++) {
    sum += x[i];
    if (i && wins(op, x[i], best)) best = x[i], at = i;
  }
  return op == MOON_REDUCE_SUM ? sum : op == MOON_REDUCE_MEAN ? sum / (double)n : op >= MOON_REDUCE_ARGMAX ? (double)at : best;
}

static void reductions_equal_plain_loops(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 1, 0);
  for (int round = 0; round < 3000; round++) {
    moon_reduction op = (moon_reduction)(round % MOON_REDUCTION_COUNT);
    moon_dtype dtype = dtypes[moon_rng_below(&rng, 4)];
    bool keep = moon_rng_below(&rng, 2), holes = moon_rng_below(&rng, 4) == 0 && dtype <= MOON_F64;
    size_t shape[MOON_MAX_DIMS];
    int dims = random_shape(&rng, shape), dim = dims ? (int)moon_rng_below(&rng, (uint32_t)dims) : 0;
    if (!dims) continue;
    moon_tensor *a = random_view(&rng, dtype, dims, shape, !holes, 0, 9), *y;
    if (holes && moon_tensor_count(a))
      moon_tensor_set(a, place_of(moon_rng_below(&rng, (uint32_t)moon_tensor_count(a)), dims, shape).at, NAN);
    moon_status st = moon_tensor_reduce(op, a, dim, keep, &y);
    if (!shape[dim] && op >= MOON_REDUCE_MAX) {
      assert_int_equal(st.code, MOON_EINVAL);
      assert_null(y);
    } else {
      OK(st);
      assert_int_equal(moon_tensor_dims(y), keep ? dims : dims - 1);
      for (size_t i = 0; i < moon_tensor_count(y); i++) {
        place p = place_of(i, moon_tensor_dims(y), moon_tensor_shape(y));
        double x[8];
        for (size_t j = 0; j < shape[dim]; j++) x[j] = moon_tensor_get(a, with(p, dims, dim, j, keep).at);
        assert_same_value(moon_tensor_get(y, p.at), plain(op, x, shape[dim]), 1e-6, moon_reduction_name(op));
      }
    }
    moon_tensor_free(a), moon_tensor_free(y);
  }
}

static void reductions_over_all_equal_plain_loops(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 2, 0);
  static double x[20000];
  for (int round = 0; round < 1200; round++) {
    moon_reduction op = (moon_reduction)(round % MOON_REDUCTION_COUNT);
    moon_dtype dtype = dtypes[moon_rng_below(&rng, 4)];
    size_t shape[MOON_MAX_DIMS] = {1 + moon_rng_below(&rng, 5000)};
    int dims = round % 2 ? random_shape(&rng, shape) : 1;
    moon_tensor *a = random_view(&rng, dtype, dims, shape, true, 0, 9), *y;
    size_t n = moon_tensor_count(a);
    for (size_t i = 0; i < n; i++) x[i] = nth(a, i);
    moon_status st = moon_tensor_reduce(op, a, MOON_ALL_DIMS, round % 3 == 0, &y);
    if (!n && op >= MOON_REDUCE_MAX) {
      assert_int_equal(st.code, MOON_EINVAL);
    } else {
      OK(st);
      assert_int_equal(moon_tensor_dims(y), round % 3 == 0 ? dims : 0);
      assert_same_value(nth(y, 0), plain(op, x, n), 1e-6, moon_reduction_name(op));
    }
    moon_tensor_free(a), moon_tensor_free(y);
  }
}

static void wide_columns_equal_rows(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 3, 0);
  for (int round = 0; round < 24; round++) {
    moon_reduction op = (moon_reduction)(round % MOON_REDUCTION_COUNT);
    moon_tensor *a = random_view(&rng, dtypes[round / 6], 2, (size_t[]){37, 1100}, false, 0, 200), *turned, *x, *y;
    OK(moon_tensor_transpose(a, 0, 1, &turned));
    OK(moon_tensor_reduce(op, a, 0, false, &x));
    OK(moon_tensor_reduce(op, turned, 1, false, &y));
    for (size_t i = 0; i < 1100; i++) assert_same_value(nth(x, i), nth(y, i), 1e-6, moon_reduction_name(op));
    moon_tensor_free(a), moon_tensor_free(turned), moon_tensor_free(x), moon_tensor_free(y);
  }
}

/* In f32 the sum of 10^7 times 0.1 would be off by several percent. */
static void the_mean_of_ten_million_is_right(void **state) {
  (void)state;
  moon_tensor *a, *y;
  OK(moon_tensor_new(MOON_F32, SHAPE(10000000), &a));
  moon_tensor_fill(a, 0.1);
  for (int turned = 0; turned < 2; turned++) { /* as one row, and as a column */
    moon_tensor *shaped;
    OK(moon_tensor_reshape(a, turned ? 2 : 1, turned ? (size_t[]){5000000, 2} : (size_t[]){10000000}, &shaped));
    OK(moon_tensor_reduce(MOON_REDUCE_MEAN, shaped, 0, false, &y));
    NEAR(nth(y, 0), (double)0.1f, 1e-9);
    moon_tensor_free(y), moon_tensor_free(shaped);
  }
  OK(moon_tensor_reduce(MOON_REDUCE_SUM, a, MOON_ALL_DIMS, false, &y));
  NEAR(nth(y, 0), 1e7 * (double)0.1f, 0.1);
  moon_tensor_free(a), moon_tensor_free(y);
}

static void sums_of_bytes_do_not_overflow(void **state) {
  (void)state;
  moon_tensor *a, *y;
  OK(moon_tensor_new(MOON_U8, SHAPE(1000), &a));
  moon_tensor_fill(a, 255);
  OK(moon_tensor_reduce(MOON_REDUCE_SUM, a, 0, false, &y));
  assert_int_equal(moon_tensor_dtype(y), MOON_I64);
  NEAR(nth(y, 0), 255000, 0);
  moon_tensor_free(a), moon_tensor_free(y);
  OK(moon_tensor_from(MOON_I64, SHAPE(2), (int64_t[]){INT64_MAX, 1}, &a));
  OK(moon_tensor_reduce(MOON_REDUCE_SUM, a, 0, false, &y));
  assert_true(*(int64_t *)moon_tensor_data(y) == INT64_MIN);
  moon_tensor_free(a), moon_tensor_free(y);
}

static void nothing_has_no_maximum(void **state) {
  (void)state;
  moon_tensor *a, *y;
  OK(moon_tensor_new(MOON_F32, SHAPE(2, 0, 3), &a));
  REFUSED(MOON_EINVAL, "max: there is no max of nothing: [2, 0, 3]", moon_tensor_reduce(MOON_REDUCE_MAX, a, 1, false, &y));
  REFUSED(MOON_EINVAL, "argmin", moon_tensor_reduce(MOON_REDUCE_ARGMIN, a, MOON_ALL_DIMS, false, &y));
  REFUSED(MOON_EINVAL, "sum: [2, 0, 3] has no dimension 3", moon_tensor_reduce(MOON_REDUCE_SUM, a, 3, false, &y));
  REFUSED(MOON_EINVAL, "no dimension -2", moon_tensor_reduce(MOON_REDUCE_SUM, a, -2, false, &y));
  OK(moon_tensor_reduce(MOON_REDUCE_MAX, a, 0, false, &y)); /* [0, 3]: no maximum is asked for */
  moon_tensor_free(y);
  OK(moon_tensor_reduce(MOON_REDUCE_SUM, a, 1, false, &y));
  NEAR(nth(y, 5), 0, 0);
  moon_tensor_free(a), moon_tensor_free(y);
}

/* ---- softmax */

static void softmax_equals_its_definition(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 4, 0);
  for (int round = 0; round < 600; round++) {
    moon_dtype dtype = dtypes[round % 3]; /* i64 too: as f64 */
    size_t shape[MOON_MAX_DIMS];
    int dims = random_shape(&rng, shape);
    if (!dims) continue;
    int dim = (int)moon_rng_below(&rng, (uint32_t)dims);
    double scale = round % 5 ? 3 : 300; /* exp(300) is no float */
    moon_tensor *a = random_view(&rng, dtype, dims, shape, true, -scale, scale), *p, *logs;
    OK(moon_tensor_softmax(a, dim, &p));
    OK(moon_tensor_log_softmax(a, dim, &logs));
    assert_true(moon_tensor_is_contiguous(p) && moon_shape_equal(dims, shape, moon_tensor_dims(p), moon_tensor_shape(p)));
    for (size_t i = 0; i < moon_tensor_count(a); i++) {
      place at = place_of(i, dims, shape);
      double sum = 0, x = moon_tensor_get(a, at.at);
      for (size_t j = 0; j < shape[dim]; j++) sum += exp(moon_tensor_get(a, with(at, dims, dim, j, true).at) - x);
      assert_same_value(nth(p, i), 1 / sum, 2e-6, "softmax");
      if (isfinite(sum)) assert_same_value(nth(logs, i), -log(sum), 2e-6, "log_softmax");
    }
    moon_tensor_free(a), moon_tensor_free(p), moon_tensor_free(logs);
  }
}

static void softmax_stands_infinities(void **state) {
  (void)state;
  moon_tensor *a, *p;
  OK(moon_tensor_from(MOON_F32, SHAPE(2, 3), (float[]){-INFINITY, 1, 1, -INFINITY, -INFINITY, -INFINITY}, &a));
  OK(moon_tensor_softmax(a, 1, &p));
  NEAR(nth(p, 0), 0, 0);
  NEAR(nth(p, 1), .5, 0);
  assert_true(isnan(nth(p, 3)));
  moon_tensor_free(p);
  REFUSED(MOON_EINVAL, "softmax: [2, 3] has no dimension 2", moon_tensor_softmax(a, 2, &p));
  REFUSED(MOON_EINVAL, "log_softmax: [2, 3] has no dimension -1", moon_tensor_log_softmax(a, -1, &p));
  moon_tensor_free(a);
}

/* ---- top_k */

typedef struct entry { double value; size_t at; } entry;

static int by_rank(const void *a, const void *b) {
  const entry *x = a, *y = b;
  if (isnan(x->value) != isnan(y->value)) return isnan(x->value) ? 1 : -1;
  if (x->value > y->value) return -1;
  if (x->value < y->value) return 1;
  return x->at < y->at ? -1 : 1;
}

static void top_k_is_the_head_of_a_sorted_row(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 5, 0);
  for (int round = 0; round < 1000; round++) {
    moon_dtype dtype = dtypes[round % 4];
    size_t n = moon_rng_below(&rng, 60), shape[2] = {1 + moon_rng_below(&rng, 3), n}, k = moon_rng_below(&rng, (uint32_t)n + 1);
    moon_tensor *a = random_view(&rng, dtype, 2, shape, false, 0, 20), *whole, *values, *indices;
    OK(moon_tensor_cast(a, MOON_I64, &whole)); /* ties */
    OK(moon_tensor_copy(whole, a));
    for (uint32_t i = 0; dtype <= MOON_F64 && n && i < moon_rng_below(&rng, 6); i++)
      moon_tensor_set(a, (size_t[]){0, moon_rng_below(&rng, (uint32_t)n)}, i % 3 ? NAN : -INFINITY);
    OK(moon_tensor_top_k(a, k, &values, &indices));
    for (size_t r = 0; r < shape[0]; r++) {
      entry row[64];
      for (size_t i = 0; i < n; i++) row[i] = (entry){moon_tensor_get(a, (size_t[]){r, i}), i};
      if (n) qsort(row, n, sizeof *row, by_rank);
      for (size_t i = 0; i < k; i++) {
        assert_same_value(moon_tensor_get(values, (size_t[]){r, i}), row[i].value, 0, "top_k");
        assert_int_equal((size_t)moon_tensor_get(indices, (size_t[]){r, i}), row[i].at);
      }
    }
    moon_tensor_free(a), moon_tensor_free(whole), moon_tensor_free(values), moon_tensor_free(indices);
  }
}

static void top_k_keeps_integers_that_no_float_holds(void **state) {
  (void)state;
  const int64_t big = INT64_C(1) << 60;
  moon_tensor *a, *values, *indices;
  OK(moon_tensor_from(MOON_I64, SHAPE(3), (int64_t[]){big, big + 2, big + 1}, &a));
  OK(moon_tensor_top_k(a, 2, &values, &indices));
  assert_true(((int64_t *)moon_tensor_data(values))[0] == big + 2 && ((int64_t *)moon_tensor_data(values))[1] == big + 1);
  moon_tensor_free(values), moon_tensor_free(indices);
  REFUSED(MOON_EINVAL, "top_k: k = 4 is more than the last dimension of [3]", moon_tensor_top_k(a, 4, &values, &indices));
  assert_true(!values && !indices);
  moon_tensor_free(a);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reductions_equal_plain_loops),
      cmocka_unit_test(reductions_over_all_equal_plain_loops),
      cmocka_unit_test(wide_columns_equal_rows),
      cmocka_unit_test(the_mean_of_ten_million_is_right),
      cmocka_unit_test(sums_of_bytes_do_not_overflow),
      cmocka_unit_test(nothing_has_no_maximum),
      cmocka_unit_test(softmax_equals_its_definition),
      cmocka_unit_test(softmax_stands_infinities),
      cmocka_unit_test(top_k_is_the_head_of_a_sorted_row),
      cmocka_unit_test(top_k_keeps_integers_that_no_float_holds),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

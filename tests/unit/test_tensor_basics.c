/* test_tensor_basics.c - a tensor's life, its elements, its errors, and the shared arithmetic. */
#include "numeric.h"

static const moon_dtype dtypes[] = {MOON_F32, MOON_F64, MOON_I64, MOON_U8};

static void new_tensors_are_aligned_zeros(void **state) {
  (void)state;
  for (int i = 0; i < 4; i++) {
    moon_tensor *t;
    OK(moon_tensor_new(dtypes[i], SHAPE(3, 5), &t));
    assert_int_equal((uintptr_t)moon_tensor_data(t) % 64, 0);
    assert_int_equal(moon_tensor_dtype(t), dtypes[i]);
    assert_int_equal(moon_tensor_dims(t), 2);
    assert_int_equal(moon_tensor_count(t), 15);
    assert_int_equal(moon_tensor_strides(t)[0], 5);
    assert_int_equal(moon_tensor_strides(t)[1], 1);
    for (size_t r = 0; r < 3; r++)
      for (size_t c = 0; c < 5; c++) NEAR(moon_tensor_get(t, (size_t[]){r, c}), 0, 0);
    moon_tensor_free(t);
  }
  moon_tensor_free(NULL);
}

static void scalars_and_empty_tensors_exist(void **state) {
  (void)state;
  moon_tensor *scalar, *empty;
  OK(moon_tensor_new(MOON_F64, 0, NULL, &scalar));
  assert_int_equal(moon_tensor_count(scalar), 1);
  moon_tensor_set(scalar, NULL, 7.5);
  NEAR(moon_tensor_get(scalar, NULL), 7.5, 0);
  OK(moon_tensor_new(MOON_F32, SHAPE(4, 0, 2), &empty));
  assert_int_equal(moon_tensor_count(empty), 0);
  assert_true(moon_tensor_is_contiguous(empty));
  moon_tensor_fill(empty, 3);
  moon_tensor_free(scalar);
  moon_tensor_free(empty);
}

static void every_dtype_keeps_what_it_can_hold(void **state) {
  (void)state;
  const double in[] = {0, 1, 200, 1e30, -1e30, NAN, -3, 255.9, 300};
  const double u8[] = {0, 1, 200, 255, 0, 0, 0, 255, 255};
  const double i64[] = {0, 1, 200, 0x1p63, -0x1p63, 0, -3, 255, 300};
  moon_tensor *t;
  for (int d = 0; d < 4; d++) {
    OK(moon_tensor_new(dtypes[d], SHAPE(9), &t));
    for (size_t i = 0; i < 9; i++) {
      moon_tensor_set(t, &i, in[i]);
      double got = moon_tensor_get(t, &i);
      double want = dtypes[d] == MOON_U8 ? u8[i] : dtypes[d] == MOON_I64 ? i64[i] : dtypes[d] == MOON_F32 ? (double)(float)in[i] : in[i];
      if (isnan(want)) assert_true(isnan(got));
      else NEAR(got, want, 0);
    }
    moon_tensor_fill(t, 2);
    NEAR(moon_tensor_get(t, (size_t[]){8}), 2, 0);
    moon_tensor_free(t);
  }
}

static void from_copies_and_borrow_shares(void **state) {
  (void)state;
  float data[4] = {1, 2, 3, 4};
  moon_tensor *copy, *loan;
  OK(moon_tensor_from(MOON_F32, SHAPE(2, 2), data, &copy));
  OK(moon_tensor_borrow(MOON_F32, SHAPE(4), data, &loan));
  data[3] = 9;
  NEAR(moon_tensor_get(copy, (size_t[]){1, 1}), 4, 0);
  NEAR(moon_tensor_get(loan, (size_t[]){3}), 9, 0);
  moon_tensor_free(copy);
  moon_tensor_free(loan);
  NEAR(data[0], 1, 0);
}

static void impossible_shapes_are_refused(void **state) {
  (void)state;
  moon_tensor *t = (moon_tensor *)state;
  size_t seven[7] = {1, 1, 1, 1, 1, 1, 1};
  REFUSED(MOON_EINVAL, "0 to 6 dimensions", moon_tensor_new(MOON_F32, 7, seven, &t));
  assert_null(t);
  REFUSED(MOON_EINVAL, "dimensions", moon_tensor_new(MOON_F32, -1, seven, &t));
  REFUSED(MOON_EINVAL, "does not fit", moon_tensor_new(MOON_F32, SHAPE(SIZE_MAX), &t));
  REFUSED(MOON_EINVAL, "does not fit", moon_tensor_new(MOON_F64, SHAPE((size_t)1 << 32, (size_t)1 << 30), &t));
  REFUSED(MOON_EINVAL, "does not fit", moon_tensor_new(MOON_U8, SHAPE(0, SIZE_MAX, 4), &t));
  REFUSED(MOON_EINVAL, "dtype", moon_tensor_new((moon_dtype)9, SHAPE(1), &t));
}

static void no_memory_is_an_answer(void **state) {
  (void)state;
  for (size_t n = 1; n <= 2; n++) {
    moon_tensor *t = (moon_tensor *)&n;
    moon_alloc_fail_at(n);
    moon_status st = moon_tensor_new(MOON_F32, SHAPE(2, 3), &t);
    moon_alloc_fail_at(0);
    assert_int_equal(st.code, MOON_ENOMEM);
    assert_null(t);
  }
}

static void broadcast_rule_is_numpys(void **state) {
  (void)state;
  int dims;
  size_t out[MOON_MAX_DIMS];
  assert_true(moon_shape_broadcast(SHAPE(2, 1, 4), SHAPE(3, 1), &dims, out));
  assert_true(moon_shape_equal(dims, out, SHAPE(2, 3, 4)));
  assert_true(moon_shape_broadcast(0, NULL, SHAPE(5), &dims, out));
  assert_true(moon_shape_equal(dims, out, SHAPE(5)));
  assert_true(moon_shape_broadcast(SHAPE(1, 0), SHAPE(3, 1), &dims, out));
  assert_true(moon_shape_equal(dims, out, SHAPE(3, 0)));
  assert_false(moon_shape_broadcast(SHAPE(2), SHAPE(3), &dims, out));
  assert_false(moon_shape_broadcast(SHAPE(0), SHAPE(3), &dims, out));
  assert_string_equal(moon_shape_write(SHAPE(2, 30)).text, "[2, 30]");
  assert_string_equal(moon_shape_write(0, NULL).text, "[]");
}

static void expf_is_within_two_ulp_everywhere(void **state) {
  (void)state;
  double worst = 0;
  for (float x = -87.2f; x < 88.7f; x += 0.0037f) {
    double exact = exp((double)x), ulp = (double)nextafterf((float)exact, INFINITY) - (double)(float)exact;
    double off = fabs((double)moon_expf(x) - exact) / ulp;
    if (off > worst) worst = off;
  }
  if (!(worst <= 2)) fail_msg("%g ulp", worst);
  assert_true(moon_expf(-88) == 0 && moon_expf(-INFINITY) == 0);
  assert_true(isinf(moon_expf(89)) && isinf(moon_expf(INFINITY)));
  assert_true(isnan(moon_expf(NAN)) && moon_expf(0) == 1);
  assert_true(moon_sigmoidf(-1000) == 0 && moon_sigmoidf(1000) == 1 && moon_sigmoidf(0) == 0.5f);
}

/* The plain loop that gemm must equal. */
static void gemm_equals_the_plain_loop(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 5, 0);
  for (int round = 0; round < 160; round++) {
    size_t m = moon_rng_below(&rng, 6), n = moon_rng_below(&rng, 6), k = moon_rng_below(&rng, 6);
    bool ta = round & 1, tb = round & 2, add = round & 4;
    moon_dtype dtype = round & 8 ? MOON_F64 : MOON_F32;
    moon_tensor *a = random_tensor(&rng, dtype, SHAPE(ta ? k : m, ta ? m : k), -1, 1);
    moon_tensor *b = random_tensor(&rng, dtype, SHAPE(tb ? n : k, tb ? k : n), -1, 1);
    moon_tensor *c = random_tensor(&rng, dtype, SHAPE(m, n), -1, 1), *was;
    OK(moon_tensor_contiguous(c, &was));
    moon_gemm(dtype, ta, tb, m, n, k, moon_tensor_data(a), moon_tensor_data(b), add, moon_tensor_data(c));
    for (size_t i = 0; i < m; i++)
      for (size_t j = 0; j < n; j++) {
        double sum = add ? moon_tensor_get(was, (size_t[]){i, j}) : 0;
        for (size_t l = 0; l < k; l++)
          sum += moon_tensor_get(a, ta ? (size_t[]){l, i} : (size_t[]){i, l}) * moon_tensor_get(b, tb ? (size_t[]){j, l} : (size_t[]){l, j});
        NEAR(moon_tensor_get(c, (size_t[]){i, j}), sum, 1e-5);
      }
    moon_tensor_free(a);
    moon_tensor_free(b);
    moon_tensor_free(c);
    moon_tensor_free(was);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(new_tensors_are_aligned_zeros),      cmocka_unit_test(scalars_and_empty_tensors_exist),
      cmocka_unit_test(every_dtype_keeps_what_it_can_hold), cmocka_unit_test(from_copies_and_borrow_shares),
      cmocka_unit_test(impossible_shapes_are_refused),      cmocka_unit_test(no_memory_is_an_answer),
      cmocka_unit_test(broadcast_rule_is_numpys),           cmocka_unit_test(expf_is_within_two_ulp_everywhere),
      cmocka_unit_test(gemm_equals_the_plain_loop),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

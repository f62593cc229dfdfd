/* test_tensor_elementwise.c - element by element, every operation is what plain index arithmetic says, whatever the shapes, strides and
 * dtypes, and wherever the result goes. */
#include "tensor_random.h"

enum { ROUNDS = 400 };
static const moon_dtype dtypes[] = {MOON_F32, MOON_F64, MOON_I64, MOON_U8};

static moon_dtype common(moon_dtype a, moon_dtype b) {
  if (a == b) return a;
  if (a == MOON_F64 || b == MOON_F64) return MOON_F64;
  return a == MOON_F32 || b == MOON_F32 ? MOON_F32 : MOON_I64;
}

static bool real(moon_dtype dtype) { return dtype == MOON_F32 || dtype == MOON_F64; }

static double plain_binary(moon_binary op, double x, double y, moon_dtype dtype) {
  double z = 0;
  switch (op) {
    case MOON_OP_ADD: z = x + y; break;
    case MOON_OP_SUB: z = x - y; break;
    case MOON_OP_MUL: z = x * y; break;
    case MOON_OP_DIV: return x / y;
    case MOON_OP_POW: return pow(x, y);
    case MOON_OP_MAXIMUM: return x > y ? x : y;
    case MOON_OP_MINIMUM: return x < y ? x : y;
    case MOON_OP_LT: return x < y;
    case MOON_OP_LE: return x <= y;
    case MOON_OP_GT: return x > y;
    case MOON_OP_GE: return x >= y;
    case MOON_OP_EQ: return x == y;
    case MOON_OP_NE: return x != y;
    case MOON_BINARY_COUNT: break;
  }
  return dtype == MOON_U8 ? (double)(uint8_t)(int)z : z;
}

static moon_dtype binary_dtype(moon_binary op, moon_dtype a, moon_dtype b) {
  if (op >= MOON_OP_LT) return MOON_U8;
  moon_dtype dtype = common(a, b);
  return (op == MOON_OP_DIV || op == MOON_OP_POW) && !real(dtype) ? MOON_F64 : dtype;
}

static void assert_binary(moon_binary op, const moon_tensor *a, const moon_tensor *b, const moon_tensor *y) {
  int dims = moon_tensor_dims(y);
  moon_dtype dtype = common(moon_tensor_dtype(a), moon_tensor_dtype(b));
  for (size_t i = 0; i < moon_tensor_count(y); i++) {
    place p = place_of(i, dims, moon_tensor_shape(y));
    assert_same_value(moon_tensor_get(y, p.at), plain_binary(op, stretched(a, p, dims), stretched(b, p, dims), dtype), 3e-6,
                      moon_binary_name(op));
  }
}

static void two_operands_equal_plain_arithmetic(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 1, 0);
  for (int round = 0; round < ROUNDS * MOON_BINARY_COUNT; round++) {
    moon_binary op = (moon_binary)(round % MOON_BINARY_COUNT);
    moon_dtype da = dtypes[moon_rng_below(&rng, 4)], db = moon_rng_below(&rng, 2) ? da : dtypes[moon_rng_below(&rng, 4)];
    size_t shape[MOON_MAX_DIMS];
    int dims = random_shape(&rng, shape);
    moon_tensor *a = random_operand(&rng, da, dims, shape, 0, 6), *b = random_operand(&rng, db, dims, shape, 0, 6), *y;
    OK(moon_tensor_binary(op, a, b, &y));
    assert_int_equal(moon_tensor_dtype(y), binary_dtype(op, da, db));
    assert_true(moon_tensor_is_contiguous(y));
    assert_binary(op, a, b, y);
    moon_tensor_free(a), moon_tensor_free(b), moon_tensor_free(y);
  }
}

/* Longer than many tiles, with an end that fills no vector. */
static void long_rows_equal_short_ones(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 2, 0);
  const size_t shapes[][2] = {{1, 5003}, {701, 7}, {7, 701}};
  for (size_t s = 0; s < 3; s++)
    for (int op = 0; op < MOON_BINARY_COUNT; op++)
      for (int turned = 0; turned < 4; turned++) {
        moon_dtype dtype = dtypes[(op + turned) % 4];
        size_t back[] = {shapes[s][1], shapes[s][0]}, row[] = {shapes[s][1]};
        moon_tensor *a = random_view(&rng, dtype, 2, shapes[s], false, 0, 6), *t = random_view(&rng, dtype, 2, back, false, 0, 6),
                    *b, *y;
        if (turned & 1) OK(moon_tensor_transpose(t, 0, 1, &b));
        else if (turned & 2) b = random_view(&rng, dtype, 1, row, true, 0, 6);
        else b = random_operand(&rng, dtype, 2, shapes[s], 0, 6);
        OK(moon_tensor_binary((moon_binary)op, a, b, &y));
        assert_binary((moon_binary)op, a, b, y);
        moon_tensor_free(a), moon_tensor_free(b), moon_tensor_free(t), moon_tensor_free(y);
      }
}

/* ---- one operand */

static double plain_unary(moon_unary op, double x, moon_dtype dtype) {
  switch (op) {
    case MOON_OP_NEG: return dtype == MOON_U8 ? (double)(uint8_t)-(int)x : -x;
    case MOON_OP_ABS: return fabs(x);
    case MOON_OP_RELU: return x > 0 ? x : 0;
    case MOON_OP_SQRT: return sqrt(x);
    case MOON_OP_EXP: return exp(x);
    case MOON_OP_LOG: return log(x);
    case MOON_OP_SIGMOID: return 1 / (1 + exp(-x));
    case MOON_OP_TANH: return tanh(x);
    case MOON_UNARY_COUNT: break;
  }
  return 0;
}

static void one_operand_equals_plain_functions(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 3, 0);
  for (int round = 0; round < ROUNDS * MOON_UNARY_COUNT; round++) {
    moon_unary op = (moon_unary)(round % MOON_UNARY_COUNT);
    moon_dtype dtype = dtypes[moon_rng_below(&rng, 4)], want = op >= MOON_OP_SQRT && !real(dtype) ? MOON_F64 : dtype;
    size_t shape[MOON_MAX_DIMS];
    int dims = random_shape(&rng, shape);
    moon_tensor *a = random_view(&rng, dtype, dims, shape, true,
                                 op == MOON_OP_LOG || op == MOON_OP_SQRT || dtype == MOON_U8 ? 0 : -5, 6),
                *y;
    OK(moon_tensor_unary(op, a, &y));
    assert_int_equal(moon_tensor_dtype(y), want);
    for (size_t i = 0; i < moon_tensor_count(y); i++)
      assert_same_value(nth(y, i), plain_unary(op, nth(a, i), dtype), 3e-6, moon_unary_name(op));
    moon_tensor_free(a), moon_tensor_free(y);
  }
}

/* The f32 functions of our own against libm, over all magnitudes. */
static void single_functions_are_accurate(void **state) {
  (void)state;
  enum { N = 40000 };
  moon_tensor *x, *y;
  OK(moon_tensor_new(MOON_F32, SHAPE(N), &x));
  for (size_t i = 0; i < N; i++) ((float *)moon_tensor_data(x))[i] = (i % 2 ? -1.f : 1.f) * exp2f((float)i / N * 40 - 30);
  static const moon_unary ops[] = {MOON_OP_TANH, MOON_OP_EXP, MOON_OP_SIGMOID};
  for (size_t o = 0; o < 3; o++) {
    OK(moon_tensor_unary(ops[o], x, &y));
    for (size_t i = 0; i < N; i++) {
      double got = nth(y, i), want = plain_unary(ops[o], nth(x, i), MOON_F64);
      if (want > 1e38 || fabs(want) < 1e-37) continue; /* at the ends of the range */
      if (fabs(got - want) > 4e-7 * fabs(want))
        fail_msg("%s(%g) = %.9g, not %.9g", moon_unary_name(ops[o]), nth(x, i), got, want);
    }
    moon_tensor_free(y);
  }
  moon_tensor_free(x);
}

static void nan_and_infinity_stay_visible(void **state) {
  (void)state;
  const float values[] = {NAN, INFINITY, -INFINITY, 1, -0.f};
  moon_tensor *a, *b, *y;
  OK(moon_tensor_from(MOON_F32, SHAPE(5), values, &a));
  OK(moon_tensor_from(MOON_F32, 0, NULL, (float[]){2}, &b));
  static const struct { moon_binary op; double want[5];
  } cases[] = {{MOON_OP_MAXIMUM, {NAN, INFINITY, 2, 2, 2}},
               {MOON_OP_MINIMUM, {NAN, 2, -INFINITY, 1, 0}},
               {MOON_OP_LT, {0, 0, 1, 1, 1}},
               {MOON_OP_GE, {0, 1, 0, 0, 0}},
               {MOON_OP_NE, {1, 1, 1, 1, 1}},
               {MOON_OP_DIV, {NAN, INFINITY, -INFINITY, .5, 0}}};
  for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
    OK(moon_tensor_binary(cases[c].op, a, b, &y));
    for (size_t i = 0; i < 5; i++) assert_same_value(nth(y, i), cases[c].want[i], 0, moon_binary_name(cases[c].op));
    moon_tensor_free(y);
    if (cases[c].op != MOON_OP_MAXIMUM && cases[c].op != MOON_OP_MINIMUM) continue;
    OK(moon_tensor_binary(cases[c].op, b, a, &y)); /* NaN on the other side */
    for (size_t i = 0; i < 5; i++) assert_same_value(nth(y, i), cases[c].want[i], 0, moon_binary_name(cases[c].op));
    moon_tensor_free(y);
  }
  OK(moon_tensor_unary(MOON_OP_RELU, a, &y));
  assert_true(isnan(nth(y, 0)) && nth(y, 1) == INFINITY && nth(y, 2) == 0);
  moon_tensor_free(y);
  OK(moon_tensor_clip(a, -1, 1, &y));
  assert_true(isnan(nth(y, 0)) && nth(y, 1) == 1 && nth(y, 2) == -1);
  moon_tensor_free(y), moon_tensor_free(a), moon_tensor_free(b);
}

static void integers_wrap_around(void **state) {
  (void)state;
  moon_tensor *a, *one, *y;
  OK(moon_tensor_from(MOON_I64, SHAPE(2), (int64_t[]){INT64_MAX, INT64_MIN}, &a));
  OK(moon_tensor_from(MOON_I64, SHAPE(2), (int64_t[]){1, -1}, &one));
  OK(moon_tensor_binary(MOON_OP_ADD, a, one, &y));
  assert_true(((int64_t *)moon_tensor_data(y))[0] == INT64_MIN && ((int64_t *)moon_tensor_data(y))[1] == INT64_MAX);
  OK(moon_tensor_binary_into(MOON_OP_MUL, a, one, y));
  assert_true(((int64_t *)moon_tensor_data(y))[0] == INT64_MAX && ((int64_t *)moon_tensor_data(y))[1] == INT64_MIN);
  OK(moon_tensor_unary_into(MOON_OP_ABS, a, y));
  assert_true(((int64_t *)moon_tensor_data(y))[1] == INT64_MIN);
  moon_tensor_free(a), moon_tensor_free(one), moon_tensor_free(y);
}

/* ---- in place */

/* Whatever of the inputs the result lies over, it is what a result of its own would be. */
static void results_may_lie_over_inputs(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 4, 0);
  for (int round = 0; round < 600; round++) {
    moon_dtype dtype = dtypes[round % 4];
    moon_binary op = (moon_binary)moon_rng_below(&rng, MOON_OP_DIV);
    size_t n = round % 3 ? 30 : 1300, shift = moon_rng_below(&rng, 4);
    moon_tensor *memory = random_view(&rng, dtype, 1, (size_t[]){n * 2}, false, 0, 9), *dense, *a, *b, *into, *want;
    OK(moon_tensor_contiguous(memory, &dense));
    OK(moon_tensor_slice(dense, 0, shift, shift + n, &a));
    OK(moon_tensor_slice(dense, 0, moon_rng_below(&rng, 3), n, &into)); /* the same, or shifted */
    size_t m = moon_tensor_count(into);
    moon_tensor *same;
    OK(moon_tensor_slice(a, 0, 0, m, &same));
    OK(moon_tensor_slice(dense, 0, 2, m + 2, &b));
    OK(moon_tensor_binary(op, same, b, &want));
    OK(moon_tensor_binary_into(op, same, b, into));
    for (size_t i = 0; i < m; i++) assert_same_value(nth(into, i), nth(want, i), 0, moon_binary_name(op));
    moon_tensor_free(memory), moon_tensor_free(dense), moon_tensor_free(a), moon_tensor_free(b), moon_tensor_free(into),
        moon_tensor_free(want);
    moon_tensor_free(same);
  }
}

static void a_matrix_added_to_its_own_transpose(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 5, 0);
  moon_tensor *a = random_view(&rng, MOON_F64, SHAPE(40, 40), false, -1, 1), *turned, *want;
  OK(moon_tensor_transpose(a, 0, 1, &turned));
  OK(moon_tensor_binary(MOON_OP_SUB, a, turned, &want));
  OK(moon_tensor_binary_into(MOON_OP_SUB, a, turned, a));
  for (size_t i = 0; i < 1600; i++) NEAR(nth(a, i), nth(want, i), 0);
  OK(moon_tensor_copy(turned, a)); /* and copied onto itself the other way round */
  for (size_t i = 0; i < 1600; i++) NEAR(nth(a, i), -nth(want, i), 0);
  moon_tensor_free(a), moon_tensor_free(turned), moon_tensor_free(want);
}

static void in_place_refuses_what_does_not_fit_and_changes_nothing(void **state) {
  (void)state;
  moon_tensor *a, *b, *half, *wide, *scalar;
  OK(moon_tensor_from(MOON_F32, SHAPE(2, 3), (float[]){1, 2, 3, 4, 5, 6}, &a));
  OK(moon_tensor_new(MOON_F32, SHAPE(4, 2, 3), &b));
  OK(moon_tensor_from(MOON_F64, SHAPE(3), (double[]){.5, .5, .5}, &half));
  OK(moon_tensor_new(MOON_F32, 0, NULL, &scalar));
  OK(moon_tensor_broadcast(scalar, SHAPE(2, 3), &wide));
  REFUSED(MOON_EINVAL, "add: the result is f32 [4, 2, 3], but is to go into f32 [2, 3]",
          moon_tensor_binary_into(MOON_OP_ADD, a, b, a));
  REFUSED(MOON_EINVAL, "mul: the result is f64 [2, 3], but is to go into f32 [2, 3]",
          moon_tensor_binary_into(MOON_OP_MUL, a, half, a));
  REFUSED(MOON_EINVAL, "lt: the result is u8", moon_tensor_binary_into(MOON_OP_LT, a, a, a));
  REFUSED(MOON_EINVAL, "add: into a broadcast view of [2, 3]", moon_tensor_binary_into(MOON_OP_ADD, a, a, wide));
  REFUSED(MOON_EINVAL, "copy: [4, 2, 3] does not stretch to [2, 3]", moon_tensor_copy(b, a));
  REFUSED(MOON_EINVAL, "copy: into a broadcast view", moon_tensor_copy(a, wide));
  for (size_t i = 0; i < 6; i++) NEAR(nth(a, i), (double)i + 1, 0);
  moon_tensor *narrow, *none;
  OK(moon_tensor_slice(a, 1, 0, 2, &narrow));
  REFUSED(MOON_EINVAL, "pow: [2, 3] against [2, 2]: the shapes do not stretch to each other",
          moon_tensor_binary(MOON_OP_POW, a, narrow, &none));
  assert_null(none);
  moon_tensor_free(a), moon_tensor_free(b), moon_tensor_free(half), moon_tensor_free(wide), moon_tensor_free(scalar),
      moon_tensor_free(narrow);
}

/* ---- conversions, where, clip */

static void casts_saturate(void **state) {
  (void)state;
  const double values[] = {-1e300, -300, -1.9, -0.5, 0, 0.99, 254.9, 255, 256, 1e19, INFINITY, -INFINITY, NAN, 1e15};
  const double as_u8[] = {0, 0, 0, 0, 0, 0, 254, 255, 255, 255, 255, 0, 0, 255};
  enum { N = sizeof values / sizeof *values };
  moon_tensor *a, *small, *large, *single, *back;
  OK(moon_tensor_from(MOON_F64, SHAPE(N), values, &a));
  OK(moon_tensor_cast(a, MOON_U8, &small));
  OK(moon_tensor_cast(a, MOON_I64, &large));
  OK(moon_tensor_cast(a, MOON_F32, &single));
  OK(moon_tensor_cast(single, MOON_U8, &back));
  for (size_t i = 0; i < N; i++) {
    int64_t want;
    moon_tensor *cell;
    OK(moon_tensor_borrow(MOON_I64, 0, NULL, &want, &cell));
    moon_tensor_set(cell, NULL, values[i]);
    assert_int_equal(((int64_t *)moon_tensor_data(large))[i], want);
    assert_int_equal(((uint8_t *)moon_tensor_data(small))[i], as_u8[i]);
    assert_int_equal(((uint8_t *)moon_tensor_data(back))[i], as_u8[i]);
    moon_tensor_free(cell);
  }
  moon_tensor_free(a), moon_tensor_free(small), moon_tensor_free(large), moon_tensor_free(single), moon_tensor_free(back);
}

static void copies_convert_and_stretch_any_view(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 6, 0);
  for (int round = 0; round < 800; round++) {
    moon_dtype from = dtypes[round % 4], to = dtypes[round / 4 % 4];
    size_t shape[MOON_MAX_DIMS];
    int dims = random_shape(&rng, shape);
    moon_tensor *a = random_operand(&rng, from, dims, shape, 0, 250), *y = random_view(&rng, to, dims, shape, false, 0, 5), *cast;
    OK(moon_tensor_copy(a, y));
    OK(moon_tensor_cast(a, to, &cast));
    assert_true(moon_tensor_is_contiguous(cast));
    for (size_t i = 0; i < moon_tensor_count(y); i++) {
      double x = stretched(a, place_of(i, dims, shape), dims);
      assert_same_value(nth(y, i), real(to) ? x : floor(x), 1e-6, "copy");
    }
    for (size_t i = 0; i < moon_tensor_count(cast); i++)
      assert_same_value(nth(cast, i), real(to) ? nth(a, i) : floor(nth(a, i)), 1e-6, "cast");
    moon_tensor_free(a), moon_tensor_free(y), moon_tensor_free(cast);
  }
}

static void where_chooses_and_masks_fill(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 7, 0);
  for (int round = 0; round < 800; round++) {
    moon_dtype da = dtypes[round % 4], db = round % 3 ? da : dtypes[moon_rng_below(&rng, 4)];
    size_t shape[MOON_MAX_DIMS];
    int dims = random_shape(&rng, shape);
    moon_tensor *mask = random_operand(&rng, MOON_U8, dims, shape, 0, 3), *a = random_operand(&rng, da, dims, shape, 0, 50),
                *b = random_operand(&rng, db, dims, shape, 0, 50), *whole = random_view(&rng, da, dims, shape, true, 0, 50), *y,
                *filled;
    OK(moon_tensor_where(mask, a, b, &y));
    OK(moon_tensor_masked_fill(whole, mask, 7, &filled));
    assert_int_equal(moon_tensor_dtype(y), common(da, db));
    assert_int_equal(moon_tensor_dtype(filled), da);
    for (size_t i = 0; i < moon_tensor_count(y); i++) {
      place p = place_of(i, moon_tensor_dims(y), moon_tensor_shape(y));
      int n = moon_tensor_dims(y);
      assert_same_value(moon_tensor_get(y, p.at), stretched(mask, p, n) ? stretched(a, p, n) : stretched(b, p, n), 1e-6, "where");
    }
    for (size_t i = 0; i < moon_tensor_count(filled); i++)
      assert_same_value(nth(filled, i), stretched(mask, place_of(i, dims, shape), dims) ? 7 : nth(whole, i), 0, "masked_fill");
    moon_tensor_free(mask), moon_tensor_free(a), moon_tensor_free(b), moon_tensor_free(whole), moon_tensor_free(y),
        moon_tensor_free(filled);
  }
  moon_tensor *a, *mask, *y;
  OK(moon_tensor_new(MOON_F32, SHAPE(3), &a));
  OK(moon_tensor_new(MOON_U8, SHAPE(2, 3), &mask));
  REFUSED(MOON_EINVAL, "where: a mask is u8, not f32", moon_tensor_where(a, a, a, &y));
  REFUSED(MOON_EINVAL, "masked_fill: the mask of [2, 3] does not stretch to [3]", moon_tensor_masked_fill(a, mask, 1, &y));
  moon_tensor_free(a), moon_tensor_free(mask);
}

static void clip_keeps_within_bounds_of_every_dtype(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 8, 0);
  for (int round = 0; round < 400; round++) {
    moon_dtype dtype = dtypes[round % 4];
    size_t shape[MOON_MAX_DIMS];
    int dims = random_shape(&rng, shape);
    moon_tensor *a = random_view(&rng, dtype, dims, shape, true, dtype == MOON_U8 ? 0 : -20, 20), *y;
    double low = -5 + floor(10 * moon_rng_uniform(&rng)), high = low + floor(10 * moon_rng_uniform(&rng));
    OK(moon_tensor_clip(a, low, high, &y));
    for (size_t i = 0; i < moon_tensor_count(y); i++) {
      double x = nth(a, i), least = dtype == MOON_U8 && low < 0 ? 0 : low, most = dtype == MOON_U8 && high < 0 ? 0 : high;
      assert_same_value(nth(y, i), x < least ? least : x > most ? most : x, 0, "clip");
    }
    moon_tensor_free(a), moon_tensor_free(y);
  }
  moon_tensor *a, *y;
  OK(moon_tensor_from(MOON_I64, SHAPE(2), (int64_t[]){INT64_MIN, INT64_MAX}, &a));
  OK(moon_tensor_clip(a, -INFINITY, INFINITY, &y));
  assert_memory_equal(moon_tensor_data(a), moon_tensor_data(y), 16);
  moon_tensor_free(y);
  REFUSED(MOON_EINVAL, "clip: 2 to 1 is not a range", moon_tensor_clip(a, 2, 1, &y));
  REFUSED(MOON_EINVAL, "clip: nan", moon_tensor_clip_into(a, NAN, 1, a));
  moon_tensor_free(a);
}

static void unknown_operations_are_refused(void **state) {
  (void)state;
  moon_tensor *a, *y;
  OK(moon_tensor_new(MOON_F32, SHAPE(3), &a));
  REFUSED(MOON_EINVAL, "no operation 99", moon_tensor_binary((moon_binary)99, a, a, &y));
  REFUSED(MOON_EINVAL, "no operation 99", moon_tensor_unary_into((moon_unary)99, a, a));
  assert_null(moon_binary_name(MOON_BINARY_COUNT));
  moon_tensor_free(a);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(two_operands_equal_plain_arithmetic),
      cmocka_unit_test(long_rows_equal_short_ones),
      cmocka_unit_test(one_operand_equals_plain_functions),
      cmocka_unit_test(single_functions_are_accurate),
      cmocka_unit_test(nan_and_infinity_stay_visible),
      cmocka_unit_test(integers_wrap_around),
      cmocka_unit_test(results_may_lie_over_inputs),
      cmocka_unit_test(a_matrix_added_to_its_own_transpose),
      cmocka_unit_test(in_place_refuses_what_does_not_fit_and_changes_nothing),
      cmocka_unit_test(casts_saturate),
      cmocka_unit_test(copies_convert_and_stretch_any_view),
      cmocka_unit_test(where_chooses_and_masks_fill),
      cmocka_unit_test(clip_keeps_within_bounds_of_every_dtype),
      cmocka_unit_test(unknown_operations_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_tensor_shuffle.c - take, gather, scatter_add, concat, stack, pad and matmul equal index arithmetic over any view. */
#include "tensor_random.h"

static const moon_dtype dtypes[] = {MOON_F32, MOON_F64, MOON_I64, MOON_U8};

static place put(place p, int dim, size_t value) {
  p.at[dim] = value;
  return p;
}

static moon_tensor *random_index(moon_rng *rng, int dims, const size_t *shape, size_t below) {
  moon_tensor *t = random_view(rng, MOON_I64, dims, shape, true, 0, (double)below);
  return t;
}

static void take_and_gather_pick_by_position(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 1, 0);
  for (int round = 0; round < 1500; round++) {
    size_t shape[MOON_MAX_DIMS], picked[MOON_MAX_DIMS];
    int dims = random_shape(&rng, shape);
    if (!dims) continue;
    int dim = (int)moon_rng_below(&rng, (uint32_t)dims);
    size_t m = shape[dim] ? moon_rng_below(&rng, 7) : 0;
    memcpy(picked, shape, sizeof picked);
    picked[dim] = m;
    moon_tensor *a = random_view(&rng, dtypes[round % 4], dims, shape, true, 0, 100), *y, *z;
    moon_tensor *flat = random_index(&rng, 1, &m, shape[dim]), *full = random_index(&rng, dims, picked, shape[dim]);
    OK(moon_tensor_take(a, dim, flat, &y));
    OK(moon_tensor_gather(a, dim, full, &z));
    assert_true(moon_shape_equal(dims, picked, moon_tensor_dims(y), moon_tensor_shape(y)));
    for (size_t i = 0; i < moon_tensor_count(y); i++) {
      place p = place_of(i, dims, picked);
      assert_same_value(nth(y, i), moon_tensor_get(a, put(p, dim, (size_t)moon_tensor_get(flat, &p.at[dim])).at), 0, "take");
      assert_same_value(nth(z, i), moon_tensor_get(a, put(p, dim, (size_t)moon_tensor_get(full, p.at)).at), 0, "gather");
    }
    moon_tensor_free(a), moon_tensor_free(y), moon_tensor_free(z), moon_tensor_free(flat), moon_tensor_free(full);
  }
}

static void scatter_add_adds_rows_in_order(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 2, 0);
  for (int round = 0; round < 600; round++) {
    size_t shape[MOON_MAX_DIMS], rows_shape[MOON_MAX_DIMS], m = moon_rng_below(&rng, 9);
    int dims = random_shape(&rng, shape);
    if (!dims || !shape[0]) continue;
    memcpy(rows_shape, shape, sizeof shape);
    rows_shape[0] = m;
    moon_dtype dtype = dtypes[round % 4];
    moon_tensor *into = random_view(&rng, dtype, dims, shape, false, 0, 9),
                *rows = random_view(&rng, dtype, dims, rows_shape, true, 0, 9), *at = random_index(&rng, 1, &m, shape[0]), *want;
    OK(moon_tensor_contiguous(into, &want));
    for (size_t i = 0; i < moon_tensor_count(rows); i++) {
      place p = place_of(i, dims, rows_shape), q = put(p, 0, (size_t)moon_tensor_get(at, p.at));
      moon_tensor_set(want, q.at, moon_tensor_get(want, q.at) + moon_tensor_get(rows, p.at));
    }
    OK(moon_tensor_scatter_add(into, at, rows));
    for (size_t i = 0; i < moon_tensor_count(into); i++) assert_same_value(nth(into, i), nth(want, i), 0, "scatter_add");
    moon_tensor_free(into), moon_tensor_free(rows), moon_tensor_free(at), moon_tensor_free(want);
  }
}

static void rows_may_be_scattered_over_themselves(void **state) {
  (void)state;
  moon_tensor *a, *at;
  OK(moon_tensor_from(MOON_F32, SHAPE(2, 2), (float[]){1, 2, 3, 4}, &a));
  OK(moon_tensor_from(MOON_I64, SHAPE(2), (int64_t[]){1, 0}, &at));
  OK(moon_tensor_scatter_add(a, at, a));
  for (size_t i = 0; i < 4; i++) NEAR(nth(a, i), i % 2 ? 6 : 4, 0);
  moon_tensor_free(a), moon_tensor_free(at);
}

static void positions_outside_are_refused_before_anything_is_written(void **state) {
  (void)state;
  moon_tensor *a, *y, *low, *high, *floats, *two;
  OK(moon_tensor_from(MOON_F32, SHAPE(2, 2), (float[]){1, 2, 3, 4}, &a));
  OK(moon_tensor_from(MOON_I64, SHAPE(2), (int64_t[]){0, -1}, &low));
  OK(moon_tensor_from(MOON_I64, SHAPE(2), (int64_t[]){0, 2}, &high));
  OK(moon_tensor_new(MOON_F32, SHAPE(2), &floats));
  OK(moon_tensor_new(MOON_I64, SHAPE(2, 3), &two));
  REFUSED(MOON_EINVAL, "take: position -1 is outside of a dimension of 2", moon_tensor_take(a, 0, low, &y));
  assert_null(y);
  REFUSED(MOON_EINVAL, "take: position 2 is outside", moon_tensor_take(a, 1, high, &y));
  REFUSED(MOON_EINVAL, "take: positions are i64, not f32", moon_tensor_take(a, 0, floats, &y));
  REFUSED(MOON_EINVAL, "take: positions are one dimension, not [2, 3]", moon_tensor_take(a, 0, two, &y));
  REFUSED(MOON_EINVAL, "gather: [2, 2] against positions [2, 3]: all but dimension 0 must agree",
          moon_tensor_gather(a, 0, two, &y));
  REFUSED(MOON_EINVAL, "scatter_add: position 2 is outside", moon_tensor_scatter_add(a, high, a));
  REFUSED(MOON_EINVAL, "scatter_add: rows [2] at positions [2] do not go into [2, 2]", moon_tensor_scatter_add(a, low, floats));
  for (size_t i = 0; i < 4; i++) NEAR(nth(a, i), (double)i + 1, 0);
  moon_tensor_free(a), moon_tensor_free(low), moon_tensor_free(high), moon_tensor_free(floats), moon_tensor_free(two);
}

/* ---- joining */

static void concat_and_stack_put_parts_side_by_side(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 3, 0);
  for (int round = 0; round < 600; round++) {
    size_t shape[MOON_MAX_DIMS], n = 1 + moon_rng_below(&rng, 4), total = 0;
    int dims = random_shape(&rng, shape);
    if (!dims || dims == MOON_MAX_DIMS) continue;
    int dim = (int)moon_rng_below(&rng, (uint32_t)dims);
    moon_tensor *parts[4], *same[4], *y, *z;
    for (size_t i = 0; i < n; i++) {
      size_t own[MOON_MAX_DIMS];
      memcpy(own, shape, sizeof own);
      own[dim] = moon_rng_below(&rng, 4);
      parts[i] = random_view(&rng, dtypes[round % 4], dims, own, true, 0, 100);
      same[i] = random_view(&rng, dtypes[round % 4], dims, shape, true, 0, 100);
    }
    OK(moon_tensor_concat((const moon_tensor *const *)parts, n, dim, &y));
    OK(moon_tensor_stack((const moon_tensor *const *)same, n, dim, &z));
    for (size_t i = 0; i < n; total += moon_tensor_shape(parts[i++])[dim]) {
      for (size_t j = 0; j < moon_tensor_count(parts[i]); j++) {
        place p = place_of(j, dims, moon_tensor_shape(parts[i]));
        assert_same_value(moon_tensor_get(y, put(p, dim, p.at[dim] + total).at), nth(parts[i], j), 0, "concat");
      }
      for (size_t j = 0; j < moon_tensor_count(same[i]); j++) {
        place p = place_of(j, dims, shape);
        for (int d = dims; d > dim; d--) p.at[d] = p.at[d - 1];
        assert_same_value(moon_tensor_get(z, put(p, dim, i).at), nth(same[i], j), 0, "stack");
      }
    }
    assert_int_equal(moon_tensor_shape(y)[dim], total);
    assert_int_equal(moon_tensor_shape(z)[dim], n);
    for (size_t i = 0; i < n; i++) moon_tensor_free(parts[i]), moon_tensor_free(same[i]);
    moon_tensor_free(y), moon_tensor_free(z);
  }
}

static void what_does_not_join_is_refused(void **state) {
  (void)state;
  moon_tensor *a, *b, *c, *y;
  OK(moon_tensor_new(MOON_F32, SHAPE(2, 3), &a));
  OK(moon_tensor_new(MOON_F32, SHAPE(2, 4), &b));
  OK(moon_tensor_new(MOON_F64, SHAPE(2, 3), &c));
  REFUSED(MOON_EINVAL, "concat: [2, 3] against [2, 4] (tensor 2)",
          moon_tensor_concat((const moon_tensor *const[]){a, b}, 2, 0, &y));
  REFUSED(MOON_EINVAL, "concat: f32 against f64 (tensor 2)", moon_tensor_concat((const moon_tensor *const[]){a, c}, 2, 0, &y));
  REFUSED(MOON_EINVAL, "concat: [2, 3] has no dimension 2", moon_tensor_concat((const moon_tensor *const[]){a, a}, 2, 2, &y));
  REFUSED(MOON_EINVAL, "concat: there are no tensors", moon_tensor_concat(NULL, 0, 0, &y));
  REFUSED(MOON_EINVAL, "stack: [2, 3] against [2, 4] (tensor 2)",
          moon_tensor_stack((const moon_tensor *const[]){a, b}, 2, 0, &y));
  REFUSED(MOON_EINVAL, "stack: [2, 3] does not take a new dimension 3",
          moon_tensor_stack((const moon_tensor *const[]){a}, 1, 3, &y));
  REFUSED(MOON_EINVAL, "pad: the result does not fit", moon_tensor_pad(a, (size_t[]){SIZE_MAX, 0}, (size_t[]){0, 0}, 0, &y));
  moon_tensor_free(a), moon_tensor_free(b), moon_tensor_free(c);
}

static void pad_surrounds(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 4, 0);
  for (int round = 0; round < 400; round++) {
    size_t shape[MOON_MAX_DIMS], before[MOON_MAX_DIMS], after[MOON_MAX_DIMS];
    int dims = random_shape(&rng, shape);
    if (dims > 4) continue;
    for (int d = 0; d < dims; d++) before[d] = moon_rng_below(&rng, 3), after[d] = moon_rng_below(&rng, 3);
    moon_tensor *a = random_view(&rng, dtypes[round % 4], dims, shape, true, 0, 100), *y;
    OK(moon_tensor_pad(a, before, after, 111, &y));
    for (size_t i = 0; i < moon_tensor_count(y); i++) {
      place p = place_of(i, dims, moon_tensor_shape(y)), q = p;
      bool inside = true;
      for (int d = 0; d < dims; d++) q.at[d] -= before[d], inside = inside && q.at[d] < shape[d];
      assert_same_value(nth(y, i), inside ? moon_tensor_get(a, q.at) : 111, 0, "pad");
    }
    moon_tensor_free(a), moon_tensor_free(y);
  }
}

/* ---- products */

static void products_equal_triple_loops(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 5, 0);
  for (int round = 0; round < 1500; round++) {
    moon_dtype dtype = dtypes[round % 2];
    size_t n = moon_rng_below(&rng, 6), k = moon_rng_below(&rng, 7), m = moon_rng_below(&rng, 6), batch[MOON_MAX_DIMS],
           a_shape[MOON_MAX_DIMS], b_shape[MOON_MAX_DIMS];
    int lead = (int)moon_rng_below(&rng, 5), a_lead = (int)moon_rng_below(&rng, (uint32_t)lead + 1),
        b_lead = moon_rng_below(&rng, 2) ? 0 : lead;
    if (a_lead < lead && b_lead < lead) a_lead = lead;
    for (int d = 0; d < lead; d++) batch[d] = 1 + moon_rng_below(&rng, 3);
    for (int d = 0; d < a_lead; d++) a_shape[d] = moon_rng_below(&rng, 4) ? batch[lead - a_lead + d] : 1;
    for (int d = 0; d < b_lead; d++) b_shape[d] = moon_rng_below(&rng, 3) ? batch[lead - b_lead + d] : 1;
    a_shape[a_lead] = n, a_shape[a_lead + 1] = k, b_shape[b_lead] = k, b_shape[b_lead + 1] = m;
    moon_tensor *a = random_view(&rng, dtype, a_lead + 2, a_shape, true, -1, 1);
    moon_tensor *b = random_view(&rng, round % 7 ? dtype : MOON_F64, b_lead + 2, b_shape, true, -1, 1), *y;
    OK(moon_tensor_matmul(a, b, &y));
    int dims = moon_tensor_dims(y);
    for (size_t i = 0; i < moon_tensor_count(y); i++) {
      place p = place_of(i, dims, moon_tensor_shape(y)), left = p, right = p;
      double sum = 0;
      for (size_t j = 0; j < k; j++) {
        left.at[dims - 1] = j, right.at[dims - 2] = j;
        place l = left, r = right; /* a dimension of 1 in n, k or m is never stretched */
        sum += stretched(a, l, dims) * stretched(b, r, dims);
      }
      assert_same_value(nth(y, i), sum, 1e-5, "matmul");
    }
    moon_tensor_free(a), moon_tensor_free(b), moon_tensor_free(y);
  }
}

static void vectors_are_rows_and_columns(void **state) {
  (void)state;
  moon_tensor *v, *m, *y;
  OK(moon_tensor_from(MOON_F32, SHAPE(2), (float[]){1, 2}, &v));
  OK(moon_tensor_from(MOON_F32, SHAPE(2, 2), (float[]){1, 2, 3, 4}, &m));
  OK(moon_tensor_matmul(v, m, &y));
  assert_true(moon_tensor_dims(y) == 1 && nth(y, 0) == 7 && nth(y, 1) == 10);
  moon_tensor_free(y);
  OK(moon_tensor_matmul(m, v, &y));
  assert_true(moon_tensor_dims(y) == 1 && nth(y, 0) == 5 && nth(y, 1) == 11);
  moon_tensor_free(y);
  OK(moon_tensor_matmul(v, v, &y));
  assert_true(moon_tensor_dims(y) == 0 && nth(y, 0) == 5);
  moon_tensor_free(y), moon_tensor_free(v), moon_tensor_free(m);
}

static void matrices_that_do_not_fit_are_named(void **state) {
  (void)state;
  moon_tensor *a, *b, *whole, *scalar, *y;
  OK(moon_tensor_new(MOON_F32, SHAPE(3, 2, 3), &a));
  OK(moon_tensor_new(MOON_F32, SHAPE(2, 3, 2), &b));
  OK(moon_tensor_new(MOON_I64, SHAPE(3, 2), &whole));
  OK(moon_tensor_new(MOON_F32, 0, NULL, &scalar));
  REFUSED(MOON_EINVAL, "matmul: [3, 2, 3] against [3, 2, 3]: the inner sizes 3 and 2 differ", moon_tensor_matmul(a, a, &y));
  REFUSED(MOON_EINVAL, "matmul: [3, 2, 3] against [2, 3, 2]: the leading dimensions", moon_tensor_matmul(a, b, &y));
  REFUSED(MOON_EINVAL, "matmul: f32 against i64", moon_tensor_matmul(a, whole, &y));
  REFUSED(MOON_EINVAL, "a scalar is not a matrix", moon_tensor_matmul(a, scalar, &y));
  assert_null(y);
  moon_tensor_free(a), moon_tensor_free(b), moon_tensor_free(whole), moon_tensor_free(scalar);
}

static void select_is_a_row_without_its_dimension(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 6, 0);
  moon_tensor *a = random_view(&rng, MOON_F32, SHAPE(3, 4, 2), false, 0, 1), *y;
  OK(moon_tensor_select(a, 1, 2, &y));
  assert_true(moon_shape_equal(SHAPE(3, 2), moon_tensor_dims(y), moon_tensor_shape(y)));
  for (size_t i = 0; i < 6; i++) NEAR(nth(y, i), moon_tensor_get(a, (size_t[]){i / 2, 2, i % 2}), 0);
  moon_tensor_free(y);
  REFUSED(MOON_EINVAL, "select: [3, 4, 2] has no position 4 in dimension 1", moon_tensor_select(a, 1, 4, &y));
  REFUSED(MOON_EINVAL, "select", moon_tensor_select(a, 3, 0, &y));
  moon_tensor_free(a);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(take_and_gather_pick_by_position),
      cmocka_unit_test(scatter_add_adds_rows_in_order),
      cmocka_unit_test(rows_may_be_scattered_over_themselves),
      cmocka_unit_test(positions_outside_are_refused_before_anything_is_written),
      cmocka_unit_test(concat_and_stack_put_parts_side_by_side),
      cmocka_unit_test(what_does_not_join_is_refused),
      cmocka_unit_test(pad_surrounds),
      cmocka_unit_test(products_equal_triple_loops),
      cmocka_unit_test(vectors_are_rows_and_columns),
      cmocka_unit_test(matrices_that_do_not_fit_are_named),
      cmocka_unit_test(select_is_a_row_without_its_dimension),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

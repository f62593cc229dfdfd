/* test_tensor_views.c - views share memory, keep it alive, and agree with a plain index computation. */
#include "numeric.h"

static moon_tensor *counting(int dims, const size_t *shape) {
  moon_tensor *t;
  OK(moon_tensor_new(MOON_I64, dims, shape, &t));
  for (size_t i = 0; i < moon_tensor_count(t); i++) ((int64_t *)moon_tensor_data(t))[i] = (int64_t)i;
  return t;
}

static void a_view_shares_and_outlives_its_tensor(void **state) {
  (void)state;
  moon_tensor *t = counting(SHAPE(4, 3)), *slice, *turned, *flat;
  OK(moon_tensor_slice(t, 0, 1, 3, &slice));
  OK(moon_tensor_transpose(slice, 0, 1, &turned));
  OK(moon_tensor_reshape(slice, SHAPE(6), &flat));
  moon_tensor_set(t, (size_t[]){2, 1}, 99);
  moon_tensor_free(t);
  NEAR(moon_tensor_get(slice, (size_t[]){1, 1}), 99, 0);
  moon_tensor_free(slice);
  NEAR(moon_tensor_get(turned, (size_t[]){1, 1}), 99, 0);
  NEAR(moon_tensor_get(flat, (size_t[]){4}), 99, 0);
  moon_tensor_free(turned);
  NEAR(moon_tensor_get(flat, (size_t[]){0}), 3, 0);
  moon_tensor_free(flat);
}

static void broadcast_repeats_without_copying(void **state) {
  (void)state;
  moon_tensor *t = counting(SHAPE(3, 1)), *wide, *scalar, *full;
  OK(moon_tensor_broadcast(t, SHAPE(2, 3, 4), &wide));
  assert_int_equal(moon_tensor_count(wide), 24);
  assert_false(moon_tensor_is_contiguous(wide));
  for (size_t i = 0; i < 24; i++) NEAR(moon_tensor_get(wide, (size_t[]){i / 12, i / 4 % 3, i % 4}), (double)(i / 4 % 3), 0);
  assert_ptr_equal(moon_tensor_data(wide), moon_tensor_data(t));
  OK(moon_tensor_new(MOON_F32, 0, NULL, &scalar));
  moon_tensor_set(scalar, NULL, 5);
  OK(moon_tensor_broadcast(scalar, SHAPE(2, 2), &full));
  NEAR(moon_tensor_get(full, (size_t[]){1, 1}), 5, 0);
  moon_tensor_free(t);
  moon_tensor_free(wide);
  moon_tensor_free(scalar);
  moon_tensor_free(full);
}

/* Any chain of slices and transposes reads what index arithmetic on the first tensor says, and so does its contiguous copy. */
static void chains_of_views_equal_index_arithmetic(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 11, 0);
  for (int round = 0; round < 200; round++) {
    moon_tensor *view = counting(SHAPE(1 + moon_rng_below(&rng, 4), 1 + moon_rng_below(&rng, 4), 1 + moon_rng_below(&rng, 4)));
    size_t from[3] = {0};                                          /* of each original dimension */
    ptrdiff_t step[3];
    int axis[3] = {0, 1, 2};                                       /* the original dimension of each of the view's */
    memcpy(step, moon_tensor_strides(view), sizeof step);
    for (int move = 0; move < 4; move++) {
      moon_tensor *next;
      int a = (int)moon_rng_below(&rng, 3), b = (int)moon_rng_below(&rng, 3);
      if (moon_rng_below(&rng, 2)) {
        OK(moon_tensor_transpose(view, a, b, &next));
        int kept = axis[a];
        axis[a] = axis[b], axis[b] = kept;
      } else {
        size_t size = moon_tensor_shape(view)[a], start = moon_rng_below(&rng, (uint32_t)size + 1);
        size_t stop = start + moon_rng_below(&rng, (uint32_t)(size - start) + 1);
        OK(moon_tensor_slice(view, a, start, stop, &next));
        from[axis[a]] += start;
      }
      moon_tensor_free(view);
      view = next;
    }
    moon_tensor *copy;
    OK(moon_tensor_contiguous(view, &copy));
    assert_true(moon_tensor_is_contiguous(copy));
    const size_t *s = moon_tensor_shape(view);
    size_t index[3], seen = 0;
    for (index[0] = 0; index[0] < s[0]; index[0]++)
      for (index[1] = 0; index[1] < s[1]; index[1]++)
        for (index[2] = 0; index[2] < s[2]; index[2]++, seen++) {
          double want = 0;
          for (int d = 0; d < 3; d++) want += (double)((ptrdiff_t)(from[axis[d]] + index[d]) * step[axis[d]]);
          NEAR(moon_tensor_get(view, index), want, 0);
          NEAR(moon_tensor_get(copy, index), want, 0);
        }
    assert_int_equal(seen, moon_tensor_count(view));
    moon_tensor_fill(view, -1);
    if (seen) NEAR(moon_tensor_get(view, (size_t[]){s[0] - 1, s[1] - 1, s[2] - 1}), -1, 0);
    moon_tensor_free(copy);
    moon_tensor_free(view);
  }
}

static void wrong_views_are_refused_by_name_and_shape(void **state) {
  (void)state;
  moon_tensor *t = counting(SHAPE(4, 3)), *turned, *out = t;
  OK(moon_tensor_transpose(t, 0, 1, &turned));
  REFUSED(MOON_EINVAL, "slice: 2..5 is outside dimension 0 of [4, 3]", moon_tensor_slice(t, 0, 2, 5, &out));
  assert_null(out);
  REFUSED(MOON_EINVAL, "slice", moon_tensor_slice(t, 0, 3, 2, &out));
  REFUSED(MOON_EINVAL, "slice: [4, 3] has no dimension 2", moon_tensor_slice(t, 2, 0, 1, &out));
  REFUSED(MOON_EINVAL, "slice", moon_tensor_slice(t, -1, 0, 1, &out));
  REFUSED(MOON_EINVAL, "transpose: [4, 3]", moon_tensor_transpose(t, 0, 2, &out));
  REFUSED(MOON_EINVAL, "reshape: [4, 3] has 12 elements, [5, 2] does not", moon_tensor_reshape(t, SHAPE(5, 2), &out));
  REFUSED(MOON_EINVAL, "reshape: a view of [3, 4] is not contiguous", moon_tensor_reshape(turned, SHAPE(12), &out));
  REFUSED(MOON_EINVAL, "reshape", moon_tensor_reshape(t, SHAPE(SIZE_MAX, 2), &out));
  REFUSED(MOON_EINVAL, "broadcast: [4, 3] does not stretch to [4, 6]", moon_tensor_broadcast(t, SHAPE(4, 6), &out));
  REFUSED(MOON_EINVAL, "broadcast", moon_tensor_broadcast(t, SHAPE(3), &out));
  for (size_t n = 1; n <= 2; n++) {
    moon_alloc_fail_at(n);
    moon_status st = n == 1 ? moon_tensor_slice(t, 0, 0, 1, &out) : moon_tensor_contiguous(t, &out);
    moon_alloc_fail_at(0);
    assert_int_equal(st.code, MOON_ENOMEM);
    assert_null(out);
  }
  moon_tensor_free(turned);
  moon_tensor_free(t);
}

static void views_share_the_version_of_their_memory(void **state) {
  (void)state;
  moon_tensor *t, *row, *copy, *borrowed;
  float numbers[2] = {1, 2};
  OK(moon_tensor_new(MOON_F32, 2, (size_t[]){2, 2}, &t));
  OK(moon_tensor_select(t, 0, 1, &row));
  OK(moon_tensor_cast(t, MOON_F32, &copy));
  OK(moon_tensor_borrow(MOON_F32, 1, (size_t[]){2}, numbers, &borrowed));
  uint64_t before = moon_tensor_version(t), other = moon_tensor_version(copy);
  moon_tensor_touch(row);
  assert_int_equal(moon_tensor_version(t), before + 1);
  assert_int_equal(moon_tensor_version(row), before + 1);
  assert_int_equal(moon_tensor_version(copy), other);
  moon_tensor_touch(borrowed);
  assert_int_equal(moon_tensor_version(borrowed), 0);
  moon_tensor_free(t), moon_tensor_free(row), moon_tensor_free(copy), moon_tensor_free(borrowed);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(views_share_the_version_of_their_memory),
      cmocka_unit_test(a_view_shares_and_outlives_its_tensor),
      cmocka_unit_test(broadcast_repeats_without_copying),
      cmocka_unit_test(chains_of_views_equal_index_arithmetic),
      cmocka_unit_test(wrong_views_are_refused_by_name_and_shape),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_tensor_memory.c - accounts count and bound; what fails leaves everything as it was; no failing allocation leaks. */
#include <pthread.h>

#include "tensor_random.h"

static void an_account_counts_buffers_until_their_last_view_goes(void **state) {
  (void)state;
  moon_account *account;
  moon_tensor *a, *view, *copy;
  OK(moon_account_new(0, &account));
  OK(moon_tensor_new_in(account, MOON_F32, SHAPE(10, 10), &a));
  assert_int_equal(moon_account_used(account), 448); /* 400 rounded up to 64 */
  assert_ptr_equal(moon_tensor_account(a), account);
  OK(moon_tensor_slice(a, 0, 0, 2, &view));
  assert_int_equal(moon_account_used(account), 448);
  OK(moon_tensor_contiguous(view, &copy));
  assert_int_equal(moon_account_used(account), 448 + 128);
  moon_tensor_free(copy);
  moon_tensor_free(a);
  assert_int_equal(moon_account_used(account), 448);
  moon_tensor_free(view);
  assert_int_equal(moon_account_used(account), 0);
  assert_int_equal(moon_account_peak(account), 448 + 128);
  moon_account_free(account);
}

static void a_full_account_refuses_and_says_why(void **state) {
  (void)state;
  moon_account *account;
  moon_tensor *a, *b;
  OK(moon_account_new(1000, &account));
  OK(moon_tensor_new_in(account, MOON_U8, SHAPE(640), &a));
  REFUSED(MOON_ENOMEM, "no memory for a f32 tensor of [10, 10]: 448 bytes asked, 640 of at most 1000 in use",
          moon_tensor_new_in(account, MOON_F32, SHAPE(10, 10), &b));
  assert_null(b);
  REFUSED(MOON_ENOMEM, "exp: no memory for a f64 tensor", moon_tensor_unary(MOON_OP_EXP, a, &b));
  assert_int_equal(moon_account_used(account), 640);
  assert_int_equal(moon_account_peak(account), 640);
  OK(moon_tensor_new_in(account, MOON_U8, SHAPE(320), &b));
  moon_tensor_free(b);
  moon_account_set_limit(account, 100);
  REFUSED(MOON_ENOMEM, "64 bytes asked, 640 of at most 100 in use", moon_tensor_new_in(account, MOON_U8, SHAPE(1), &b));
  moon_tensor_free(a);
  assert_int_equal(moon_account_limit(account), 100);
  moon_account_free(account);
}

static void tensors_may_outlive_the_handle_of_their_account(void **state) {
  (void)state;
  moon_account *account;
  moon_tensor *a, *b;
  OK(moon_account_new(1 << 20, &account));
  OK(moon_tensor_new_in(account, MOON_F32, SHAPE(10), &a));
  moon_account_free(account);
  OK(moon_tensor_unary(MOON_OP_EXP, a, &b));
  moon_tensor_free(a);
  moon_tensor_free(b); /* under ASan: no leak, no use after free */
}

static void results_count_where_their_inputs_do(void **state) {
  (void)state;
  moon_account *account;
  moon_tensor *a, *loose, *y;
  OK(moon_account_new(0, &account));
  OK(moon_tensor_new_in(account, MOON_F32, SHAPE(4), &a));
  OK(moon_tensor_new(MOON_F32, SHAPE(4), &loose));
  OK(moon_tensor_binary(MOON_OP_ADD, loose, a, &y));
  assert_ptr_equal(moon_tensor_account(y), account);
  moon_tensor_free(y);
  OK(moon_tensor_matmul(loose, a, &y));
  assert_ptr_equal(moon_tensor_account(y), account);
  moon_tensor_free(y);
  OK(moon_tensor_concat((const moon_tensor *const[]){loose, a}, 2, 0, &y));
  assert_ptr_equal(moon_tensor_account(y), account);
  moon_tensor_free(y), moon_tensor_free(a), moon_tensor_free(loose);
  moon_account_free(account);
}

/* ---- threads */

static void *churn(void *arg) {
  for (int i = 0; i < 2000; i++) {
    moon_tensor *t = NULL, *view = NULL;
    if (moon_tensor_new_in(arg, MOON_U8, SHAPE(64), &t).code) continue;
    if (!moon_tensor_slice(t, 0, 0, 3, &view).code) moon_tensor_free(t);
    moon_tensor_free(view);
  }
  return NULL;
}

static void threads_never_pass_the_limit(void **state) {
  (void)state;
  moon_account *account;
  pthread_t threads[4];
  OK(moon_account_new(128, &account)); /* room for two of the four */
  for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, churn, account), 0);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  assert_int_equal(moon_account_used(account), 0);
  assert_true(moon_account_peak(account) <= 128 && moon_account_peak(account) >= 64);
  moon_account_free(account);
}

/* ---- failing allocations */

typedef struct inputs { moon_tensor *a, *b, *turned, *index, *mask, *grid; moon_rng rng; } inputs;
typedef moon_status operation(inputs *in, moon_tensor **y, moon_tensor **z);

static moon_status do_binary(inputs *in, moon_tensor **y, moon_tensor **z) {
  (void)z;
  return moon_tensor_binary(MOON_OP_ADD, in->a, in->turned, y);
}
static moon_status do_overlap(inputs *in, moon_tensor **y, moon_tensor **z) {
  (void)y;
  (void)z;
  return moon_tensor_binary_into(MOON_OP_MUL, in->a, in->turned, in->a);
}
static moon_status do_copy(inputs *in, moon_tensor **y, moon_tensor **z) {
  (void)y;
  (void)z;
  return moon_tensor_copy(in->turned, in->a);
}
static moon_status do_cast(inputs *in, moon_tensor **y, moon_tensor **z) { (void)z; return moon_tensor_cast(in->a, MOON_I64, y); }
static moon_status do_fill(inputs *in, moon_tensor **y, moon_tensor **z) {
  (void)z;
  return moon_tensor_masked_fill(in->a, in->mask, 3, y);
}
static moon_status do_reduce(inputs *in, moon_tensor **y, moon_tensor **z) {
  (void)z;
  return moon_tensor_reduce(MOON_REDUCE_SUM, in->turned, 0, false, y);
}
static moon_status do_softmax(inputs *in, moon_tensor **y, moon_tensor **z) { (void)z; return moon_tensor_softmax(in->a, 0, y); }
static moon_status do_logs(inputs *in, moon_tensor **y, moon_tensor **z) { (void)z; return moon_tensor_log_softmax(in->a, 1, y); }
static moon_status do_top_k(inputs *in, moon_tensor **y, moon_tensor **z) { return moon_tensor_top_k(in->turned, 2, y, z); }
static moon_status do_take(inputs *in, moon_tensor **y, moon_tensor **z) {
  (void)z;
  return moon_tensor_take(in->turned, 1, in->index, y);
}
static moon_status do_gather(inputs *in, moon_tensor **y, moon_tensor **z) {
  (void)z;
  return moon_tensor_gather(in->turned, 0, in->grid, y);
}
static moon_status do_scatter(inputs *in, moon_tensor **y, moon_tensor **z) {
  (void)y;
  (void)z;
  return moon_tensor_scatter_add(in->turned, in->index, in->a);
}
static moon_status do_concat(inputs *in, moon_tensor **y, moon_tensor **z) {
  (void)z;
  return moon_tensor_concat((const moon_tensor *const[]){in->a, in->b}, 2, 1, y);
}
static moon_status do_stack(inputs *in, moon_tensor **y, moon_tensor **z) {
  (void)z;
  return moon_tensor_stack((const moon_tensor *const[]){in->a, in->b}, 2, 1, y);
}
static moon_status do_pad(inputs *in, moon_tensor **y, moon_tensor **z) {
  (void)z;
  return moon_tensor_pad(in->a, (size_t[]){1, 0}, (size_t[]){0, 2}, 1, y);
}
static moon_status do_matmul(inputs *in, moon_tensor **y, moon_tensor **z) {
  (void)z;
  return moon_tensor_matmul(in->turned, in->b, y);
}
static moon_status do_select(inputs *in, moon_tensor **y, moon_tensor **z) { (void)z; return moon_tensor_select(in->a, 0, 1, y); }
static moon_status do_npy(inputs *in, moon_tensor **y, moon_tensor **z) {
  (void)z;
  moon_buf buf = {0};
  moon_status st = moon_npy_write(in->turned, &buf);
  if (!st.code) st = moon_npy_read(buf.data, buf.n, moon_tensor_account(in->a), y);
  moon_buf_free(&buf);
  return st;
}
static moon_status do_print(inputs *in, moon_tensor **y, moon_tensor **z) {
  (void)y, (void)z;
  moon_buf buf = {0};
  moon_tensor_print(in->a, &buf);
  moon_status st = buf.failed ? moon_fail(MOON_ENOMEM, "text") : moon_ok();
  moon_buf_free(&buf);
  return st;
}

static operation *const operations[] = {do_binary, do_overlap, do_copy,   do_cast,   do_fill,    do_reduce, do_softmax,
                                        do_logs,   do_top_k,   do_take,   do_gather, do_scatter, do_concat, do_stack,
                                        do_pad,    do_matmul,  do_select, do_npy,    do_print};
enum { OPERATIONS = sizeof operations / sizeof *operations };

static void open_inputs(moon_account *account, inputs *in) {
  moon_rng_seed(&in->rng, 9, 0);
  OK(moon_tensor_new_in(account, MOON_F32, SHAPE(4, 4), &in->a));
  OK(moon_tensor_new_in(account, MOON_F32, SHAPE(4, 4), &in->b));
  OK(moon_tensor_new_in(account, MOON_I64, SHAPE(4), &in->index));
  OK(moon_tensor_new_in(account, MOON_U8, SHAPE(4), &in->mask));
  OK(moon_tensor_new_in(account, MOON_I64, SHAPE(4, 4), &in->grid));
  OK(moon_tensor_transpose(in->a, 0, 1, &in->turned));
  fill_random(&in->rng, in->a, 0, 1), fill_random(&in->rng, in->b, 0, 1);
}

static void close_inputs(inputs *in) {
  moon_tensor_free(in->a), moon_tensor_free(in->b), moon_tensor_free(in->turned);
  moon_tensor_free(in->index), moon_tensor_free(in->mask), moon_tensor_free(in->grid);
}

static void any_failing_allocation_leaves_all_as_it_was(void **state) {
  (void)state;
  for (int op = 0; op < OPERATIONS; op++) {
    moon_account *account;
    inputs in;
    float before[16];
    OK(moon_account_new(0, &account));
    open_inputs(account, &in);
    memcpy(before, moon_tensor_data(in.a), sizeof before);
    size_t used = moon_account_used(account), n = 0;
    for (moon_status st = {MOON_ENOMEM, ""}; st.code;) {
      moon_tensor *y = NULL, *z = NULL;
      assert_true(++n < 40);
      moon_alloc_fail_at(n);
      st = operations[op](&in, &y, &z);
      moon_alloc_fail_at(0);
      if (st.code) {
        assert_int_equal(st.code, MOON_ENOMEM);
        assert_true(!y && !z);
        assert_memory_equal(before, moon_tensor_data(in.a), sizeof before);
        assert_int_equal(moon_account_used(account), used);
      }
      moon_tensor_free(y), moon_tensor_free(z);
    }
    assert_true(n > 1);
    close_inputs(&in);
    assert_int_equal(moon_account_used(account), 0);
    moon_account_free(account);
  }
}

static void a_limit_that_is_hit_leaves_all_as_it_was(void **state) {
  (void)state;
  for (int op = 0; op < OPERATIONS; op++) {
    moon_account *account;
    inputs in;
    float before[16];
    OK(moon_account_new(0, &account));
    open_inputs(account, &in);
    memcpy(before, moon_tensor_data(in.a), sizeof before);
    size_t used = moon_account_used(account);
    for (size_t room = 0; room < 2048; room += 64) {
      moon_tensor *y = NULL, *z = NULL;
      moon_account_set_limit(account, used + room);
      moon_status st = operations[op](&in, &y, &z);
      if (!st.code) {
        moon_tensor_free(y), moon_tensor_free(z);
        assert_int_equal(moon_account_used(account), used);
        break;
      }
      assert_int_equal(st.code, MOON_ENOMEM);
      assert_true(!y && !z && room < 1984);
      assert_memory_equal(before, moon_tensor_data(in.a), sizeof before);
      assert_int_equal(moon_account_used(account), used);
    }
    close_inputs(&in);
    moon_account_free(account);
  }
}

/* ---- random fills */

static void fills_stay_in_their_range_and_repeat(void **state) {
  (void)state;
  for (int d = 0; d < 2; d++) {
    moon_dtype dtype = d ? MOON_F64 : MOON_F32;
    moon_rng a, b;
    moon_rng_seed(&a, 1, 2), moon_rng_seed(&b, 1, 2);
    moon_tensor *x, *y, *turned;
    OK(moon_tensor_new(dtype, SHAPE(100, 101), &x));
    OK(moon_tensor_new(dtype, SHAPE(101, 100), &y));
    OK(moon_tensor_transpose(y, 0, 1, &turned));
    OK(moon_tensor_fill_uniform(x, &a, -2, 3));
    OK(moon_tensor_fill_uniform(turned, &b, -2, 3));
    double sum = 0;
    for (size_t i = 0; i < 10100; i++) {
      double v = nth(x, i);
      assert_true(v >= -2 && v < 3);
      NEAR(v, nth(turned, i), 0); /* the same numbers, whatever the strides */
      sum += v;
    }
    NEAR(sum / 10100, .5, .06);
    OK(moon_tensor_fill_normal(x, &a, 10, 2));
    double mean = 0, square = 0;
    for (size_t i = 0; i < 10100; i++) mean += nth(x, i) / 10100, square += nth(x, i) * nth(x, i) / 10100;
    NEAR(mean, 10, .1);
    NEAR(sqrt(square - mean * mean), 2, .06);
    OK(moon_tensor_fill_uniform(x, &a, 1, nextafterf(1, 2))); /* one f32 lies in it */
    for (size_t i = 0; i < 10100; i++) assert_true(nth(x, i) >= 1 && nth(x, i) < (double)nextafterf(1, 2));
    moon_tensor_free(x), moon_tensor_free(y), moon_tensor_free(turned);
  }
}

static void whole_numbers_are_even_and_permutations_complete(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 3, 0);
  moon_tensor *x, *p;
  size_t seen[6] = {0};
  OK(moon_tensor_new(MOON_U8, SHAPE(6000), &x));
  OK(moon_tensor_fill_randint(x, &rng, 3, 9));
  for (size_t i = 0; i < 6000; i++) seen[(size_t)nth(x, i) - 3]++;
  for (size_t i = 0; i < 6; i++) NEAR((double)seen[i], 1000, 150);
  OK(moon_tensor_new(MOON_I64, SHAPE(1000), &p));
  OK(moon_tensor_fill_randint(p, &rng, INT64_MIN, INT64_MAX)); /* a range of 2^64 - 1 */
  OK(moon_tensor_fill_permutation(p, &rng));
  bool there[1000] = {false};
  size_t fixed = 0;
  for (size_t i = 0; i < 1000; i++) {
    size_t v = (size_t)nth(p, i);
    assert_true(v < 1000 && !there[v]);
    there[v] = true, fixed += v == i;
  }
  assert_true(fixed < 12);
  REFUSED(MOON_EINVAL, "randint: there is no whole number from 3 to below 3", moon_tensor_fill_randint(p, &rng, 3, 3));
  REFUSED(MOON_EINVAL, "uniform: into f32 or f64, not i64", moon_tensor_fill_uniform(p, &rng, 0, 1));
  REFUSED(MOON_EINVAL, "permutation: into i64 [n], not u8 [6000]", moon_tensor_fill_permutation(x, &rng));
  moon_tensor *f;
  OK(moon_tensor_new(MOON_F32, SHAPE(2), &f));
  REFUSED(MOON_EINVAL, "uniform: there is nothing between 1 and 1", moon_tensor_fill_uniform(f, &rng, 1, 1));
  REFUSED(MOON_EINVAL, "uniform", moon_tensor_fill_uniform(f, &rng, -INFINITY, 1));
  REFUSED(MOON_EINVAL, "normal", moon_tensor_fill_normal(f, &rng, 0, -1));
  moon_tensor_free(x), moon_tensor_free(p), moon_tensor_free(f);
}

/* ---- text */

static void assert_prints(const moon_tensor *t, const char *want) {
  moon_buf buf = {0};
  moon_tensor_print(t, &buf);
  assert_false(buf.failed);
  assert_string_equal(buf.data, want);
  moon_buf_free(&buf);
}

static void tensors_print_as_people_read_them(void **state) {
  (void)state;
  moon_tensor *a, *t;
  OK(moon_tensor_from(MOON_F32, SHAPE(2, 3), (float[]){1, 2.5, -3, 4, NAN, 60}, &a));
  assert_prints(a, "f32 [2, 3]\n[[  1, 2.5,  -3],\n [  4, nan,  60]]");
  OK(moon_tensor_transpose(a, 0, 1, &t));
  assert_prints(t, "f32 [3, 2]\n[[  1,   4],\n [2.5, nan],\n [ -3,  60]]");
  moon_tensor_free(a), moon_tensor_free(t);
  OK(moon_tensor_new(MOON_I64, 0, NULL, &a));
  assert_prints(a, "i64 []\n0");
  moon_tensor_free(a);
  OK(moon_tensor_new(MOON_U8, SHAPE(2, 0), &a));
  assert_prints(a, "u8 [2, 0]\n[]");
  moon_tensor_free(a);
  OK(moon_tensor_new(MOON_U8, SHAPE(1, 2, 1001), &a));
  assert_prints(a, "u8 [1, 2, 1001]\n[[[0, 0, 0, ..., 0, 0, 0],\n  [0, 0, 0, ..., 0, 0, 0]]]");
  moon_tensor_free(a);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_account_counts_buffers_until_their_last_view_goes),
      cmocka_unit_test(a_full_account_refuses_and_says_why),
      cmocka_unit_test(tensors_may_outlive_the_handle_of_their_account),
      cmocka_unit_test(results_count_where_their_inputs_do),
      cmocka_unit_test(threads_never_pass_the_limit),
      cmocka_unit_test(any_failing_allocation_leaves_all_as_it_was),
      cmocka_unit_test(a_limit_that_is_hit_leaves_all_as_it_was),
      cmocka_unit_test(fills_stay_in_their_range_and_repeat),
      cmocka_unit_test(whole_numbers_are_even_and_permutations_complete),
      cmocka_unit_test(tensors_print_as_people_read_them),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

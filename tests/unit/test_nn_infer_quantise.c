/* test_nn_infer_quantise.c - plans in bf16 and int8 stay within what their rounding allows, report it truly, and can be shared. */
#include <pthread.h>
#include <stdlib.h>

#include "nn/nn.h"
#include "numeric.h"

enum { MOST = 4 };
typedef struct stack {
  moon_dense *layers[MOST];
  size_t n;
  moon_infer *infer;
} stack;

static stack make_stack(size_t n, const size_t *widths, const moon_activation *activations, uint64_t seed) {
  moon_rng rng;
  moon_rng_seed(&rng, seed, 1);
  stack s = {.n = n};
  for (size_t i = 0; i < n; i++) {
    OK(moon_dense_new("layer", widths[i], widths[i + 1], activations[i], &rng, &s.layers[i]));
    moon_init_normal(s.layers[i]->bias, &rng, 0.3);
  }
  OK(moon_infer_new(s.layers, n, &s.infer));
  return s;
}

static void free_stack(stack *s) {
  for (size_t i = 0; i < s->n; i++) moon_dense_free(s->layers[i]);
  moon_infer_free(s->infer);
}

static float *random_rows(moon_rng *rng, size_t n) {
  float *x = malloc(n * sizeof *x + 1);
  for (size_t i = 0; i < n; i++) x[i] = (float)moon_rng_normal(rng);
  return x;
}

/* Fresh memory of exactly the stated size, so that the address sanitizer sees a read or write past it. */
static float *run(const moon_infer *infer, const float *x, size_t rows) {
  size_t room = (moon_infer_scratch(infer, rows) * sizeof(float) + 63) / 64 * 64;
  float *scratch = aligned_alloc(64, room ? room : 64), *y = malloc(rows * moon_infer_out(infer) * sizeof *y + 1);
  memset(scratch, 0xff, room);
  moon_infer_run(infer, x, rows, scratch, y);
  free(scratch);
  return y;
}

static double activate(moon_activation a, double z) {
  return a == MOON_RELU ? fmax(z, 0) : a == MOON_SIGMOID ? 1 / (1 + exp(-z)) : a == MOON_TANH ? tanh(z) : z;
}

/* One row through all layers in doubles, y [widest], and beside each number how far a plan may be from it. With weights off by at
 * most `dw` of a column's largest and inputs by at most half a 127th of their range (int8) besides what came in:
 *   |y^ - y| <= sum_k e_k (|w_k| + dw) + |x_k| dw,  and no activation spreads differences. */
static void bound(const stack *s, moon_precision precision, const float *row, double *y, double *error) {
  double x[160], e[160] = {0};
  for (size_t k = 0; k < moon_infer_in(s->infer); k++) x[k] = (double)row[k];
  for (size_t i = 0; i < s->n; i++) {
    const size_t *shape = moon_tensor_shape(s->layers[i]->weight->value);
    const float *w = moon_tensor_data(s->layers[i]->weight->value), *bias = moon_tensor_data(s->layers[i]->bias->value);
    double low = 0, high = 0;
    for (size_t k = 0; k < shape[0]; k++) low = fmin(low, x[k] - e[k]), high = fmax(high, x[k] + e[k]);
    double step = precision == MOON_INT8 ? (high - low) / 127 : 0;
    for (size_t j = 0; j < shape[1]; j++) {
      double most = 0;
      for (size_t k = 0; k < shape[0]; k++) most = fmax(most, fabs((double)w[k * shape[1] + j]));
      y[j] = (double)bias[j], error[j] = 1e-5;
      for (size_t k = 0; k < shape[0]; k++) {
        double value = (double)w[k * shape[1] + j], dw = precision == MOON_INT8 ? most / 254 : fabs(value) / 256;
        y[j] += x[k] * value;
        error[j] += (e[k] + step / 2) * (fabs(value) + dw) + fabs(x[k]) * dw;
      }
      y[j] = activate(s->layers[i]->activation, y[j]);
      error[j] *= 1.0001;
    }
    memcpy(x, y, shape[1] * sizeof *x), memcpy(e, error, shape[1] * sizeof *e);
  }
}

static void smaller_plans_stay_within_their_rounding(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 50, 0);
  double y[160], error[160], worst[3] = {0};
  for (size_t turn = 0; turn < 150; turn++) {
    size_t widths[MOST], rows = turn % 9 ? turn % 9 : 101;
    moon_activation a[MOST];
    for (size_t i = 0; i < MOST; i++) widths[i] = moon_rng_u32(&rng) % 150 + 1, a[i] = (moon_activation)(moon_rng_u32(&rng) % 4);
    if (turn % 3 == 0) widths[3] = 1;
    if (turn % 7 == 0) widths[1] = 1;
    stack s = make_stack(3, widths, a, turn);
    float *x = random_rows(&rng, rows * widths[0]);
    for (moon_precision p = MOON_FULL; p <= MOON_INT8; p++) {
      moon_infer *small;
      OK(moon_infer_quantise(s.infer, p, NULL, 0, &small, NULL));
      assert_int_equal(moon_infer_precision(small), p);
      assert_int_equal(moon_infer_in(small), widths[0]);
      assert_int_equal(moon_infer_out(small), widths[3]);
      float *got = run(small, x, rows);
      for (size_t r = 0; r < rows; r++) {
        bound(&s, p == MOON_FULL ? MOON_BF16 : p, x + r * widths[0], y, error);
        for (size_t j = 0; j < widths[3]; j++) {
          NEAR(got[r * widths[3] + j], y[j], p == MOON_FULL ? 1e-4 : error[j]);
          worst[p] = fmax(worst[p], fabs((double)got[r * widths[3] + j] - y[j]) / error[j]);
        }
      }
      free(got);
      moon_infer_free(small);
    }
    free(x);
    free_stack(&s);
  }
  assert_true(worst[MOON_BF16] > 0.05 && worst[MOON_INT8] > 0.05); /* the bound is not so wide that anything passes */
}

static void an_f32_copy_answers_the_same_bits(void **state) {
  (void)state;
  static const size_t widths[] = {37, 64, 33, 1};
  static const moon_activation a[] = {MOON_RELU, MOON_TANH, MOON_SIGMOID};
  stack s = make_stack(3, widths, a, 3);
  moon_rng rng;
  moon_rng_seed(&rng, 51, 0);
  float *x = random_rows(&rng, 100 * 37), *want = run(s.infer, x, 100);
  moon_infer *copy;
  moon_infer_difference d = {1, 1};
  OK(moon_infer_quantise(s.infer, MOON_FULL, x, 100, &copy, &d));
  float *got = run(copy, x, 100);
  assert_memory_equal(got, want, 100 * sizeof *got);
  assert_true(d.most == 0 && d.mean == 0);
  free(x), free(want), free(got);
  moon_infer_free(copy);
  free_stack(&s);
}

static void a_score_does_not_depend_on_its_neighbours(void **state) {
  (void)state;
  static const size_t widths[] = {37, 64, 33, 1};
  static const moon_activation a[] = {MOON_RELU, MOON_TANH, MOON_SIGMOID};
  stack s = make_stack(3, widths, a, 4);
  moon_rng rng;
  moon_rng_seed(&rng, 52, 0);
  float *x = random_rows(&rng, 200 * 37);
  for (moon_precision p = MOON_BF16; p <= MOON_INT8; p++) {
    moon_infer *small;
    OK(moon_infer_quantise(s.infer, p, NULL, 0, &small, NULL));
    float *all = run(small, x, 200);
    for (size_t n = 1; n < 60; n++) {
      float *some = run(small, x + 3 * 37, n);
      assert_memory_equal(some, all + 3, n * sizeof *some);
      free(some);
    }
    free(all);
    moon_infer_free(small);
  }
  free(x);
  free_stack(&s);
}

/* Sums of whole numbers, and single IEEE operations around them: one hash for all processors and compilers. */
static void int8_answers_the_same_bits_on_every_processor(void **state) {
  (void)state;
  static const size_t widths[] = {61, 64, 33, 5};
  static const moon_activation a[] = {MOON_RELU, MOON_TANH, MOON_SIGMOID};
  stack s = make_stack(3, widths, a, 5);
  moon_rng rng;
  moon_rng_seed(&rng, 53, 0);
  for (size_t i = 0; i < 3; i++) { /* weights and inputs without any libm in their making */
    float *w = moon_tensor_data(s.layers[i]->weight->value), *bias = moon_tensor_data(s.layers[i]->bias->value);
    for (size_t k = 0; k < widths[i] * widths[i + 1]; k++) w[k] = (float)((int32_t)(moon_rng_u32(&rng) >> 8) - (1 << 23)) * 0x1p-25f;
    for (size_t k = 0; k < widths[i + 1]; k++) bias[k] = (float)((int32_t)(moon_rng_u32(&rng) >> 8) - (1 << 23)) * 0x1p-24f;
  }
  float x[50 * 61];
  for (size_t i = 0; i < 50 * 61; i++) x[i] = (float)((int32_t)(moon_rng_u32(&rng) >> 8) - (1 << 23)) * 0x1p-22f;
  moon_infer *exact, *small;
  OK(moon_infer_new(s.layers, 3, &exact));
  OK(moon_infer_quantise(exact, MOON_INT8, NULL, 0, &small, NULL));
  float *y = run(small, x, 50);
  uint64_t hash = 14695981039346656037u;
  for (size_t i = 0; i < 250; i++) {
    uint32_t bits;
    memcpy(&bits, y + i, sizeof bits);
    hash = (hash ^ bits) * 1099511628211u;
  }
  assert_true(hash == 0xe9e7f160c953f9bbu);
  free(y);
  moon_infer_free(exact), moon_infer_free(small);
  free_stack(&s);
}

static void the_report_is_what_a_plain_count_gives(void **state) {
  (void)state;
  static const size_t widths[] = {20, 30, 3};
  static const moon_activation a[] = {MOON_RELU, MOON_SIGMOID};
  static const size_t counts[] = {0, 1, 255, 256, 257, 1000};
  stack s = make_stack(2, widths, a, 6);
  moon_rng rng;
  moon_rng_seed(&rng, 54, 0);
  float *x = random_rows(&rng, 1000 * 20);
  for (size_t c = 0; c < 6; c++) {
    size_t rows = counts[c];
    moon_infer *small;
    moon_infer_difference d;
    OK(moon_infer_quantise(s.infer, MOON_INT8, x, rows, &small, &d));
    float *before = run(s.infer, x, rows), *after = run(small, x, rows);
    double most = 0, sum = 0;
    for (size_t i = 0; i < rows * 3; i++) {
      double off = fabs((double)before[i] - (double)after[i]);
      most = fmax(most, off), sum += off;
    }
    assert_true(d.most == most && d.mean == (rows ? sum / (double)(rows * 3) : 0));
    assert_true(!rows || d.most > 0);
    free(before), free(after);
    moon_infer_free(small);
  }
  x[5] = NAN;
  moon_infer *small;
  moon_infer_difference d;
  OK(moon_infer_quantise(s.infer, MOON_INT8, x, 10, &small, &d));
  assert_true(isnan(d.most) && isnan(d.mean));
  moon_infer_free(small);
  free(x);
  free_stack(&s);
}

static void nan_and_infinity_reach_only_their_row(void **state) {
  (void)state;
  static const size_t widths[] = {5, 20, 2};
  static const moon_activation a[] = {MOON_RELU, MOON_SIGMOID};
  stack s = make_stack(2, widths, a, 7);
  float x[4 * 5] = {0};
  x[7] = NAN, x[12] = INFINITY;
  moon_infer *small;
  OK(moon_infer_quantise(s.infer, MOON_INT8, NULL, 0, &small, NULL));
  float *y = run(small, x, 4);
  for (size_t i = 0; i < 8; i++) assert_true(isnan(y[i]) == (i / 2 == 1 || i / 2 == 2));
  free(y);
  moon_infer_free(small);
  free_stack(&s);
}

static void plans_shrink_to_a_half_and_a_quarter(void **state) {
  (void)state;
  static const size_t widths[] = {256, 256, 128};
  static const moon_activation a[] = {MOON_RELU, MOON_RELU};
  stack s = make_stack(2, widths, a, 8);
  moon_infer *half, *quarter;
  OK(moon_infer_quantise(s.infer, MOON_BF16, NULL, 0, &half, NULL));
  OK(moon_infer_quantise(s.infer, MOON_INT8, NULL, 0, &quarter, NULL));
  size_t weights = 256 * 256 + 256 * 128, columns = 256 + 128;
  assert_int_equal(moon_infer_bytes(s.infer), 4 * (weights + columns));
  assert_int_equal(moon_infer_bytes(half), 2 * weights + 4 * columns);
  assert_int_equal(moon_infer_bytes(quarter), weights + 12 * columns);
  moon_infer_free(half), moon_infer_free(quarter);
  free_stack(&s);
}

static void what_cannot_be_quantised_is_refused(void **state) {
  (void)state;
  static const size_t widths[] = {3, 4, 1};
  static const moon_activation a[] = {MOON_RELU, MOON_LINEAR};
  stack s = make_stack(2, widths, a, 9);
  moon_infer *small, *again = (moon_infer *)&s;
  OK(moon_infer_quantise(s.infer, MOON_BF16, NULL, 0, &small, NULL));
  REFUSED(MOON_EINVAL, "quantise: the plan is bf16 already", moon_infer_quantise(small, MOON_INT8, NULL, 0, &again, NULL));
  assert_null(again);
  moon_infer_free(small);
  ((float *)moon_tensor_data(s.layers[1]->weight->value))[2] = INFINITY;
  moon_infer *bad;
  OK(moon_infer_new(s.layers, 2, &bad));
  REFUSED(MOON_EINVAL, "quantise: layer 1 has a weight that is not finite", moon_infer_quantise(bad, MOON_INT8, NULL, 0, &again, NULL));
  moon_infer_difference d;
  stack other = make_stack(1, widths, a, 9);
  REFUSED(MOON_EINVAL, "compare: plans 3 -> 1 and 3 -> 4", moon_infer_compare(s.infer, other.infer, NULL, 0, &d));
  free_stack(&other);
  moon_infer_free(bad);
  free_stack(&s);
  size_t long_widths[] = {MOON_INT8_INNER + 1, 1};
  stack wide = make_stack(1, long_widths, a, 9);
  REFUSED(MOON_EINVAL, "quantise: layer 0 has 131073 inputs", moon_infer_quantise(wide.infer, MOON_INT8, NULL, 0, &again, NULL));
  free_stack(&wide);
  moon_precision p;
  OK(moon_precision_parse("int8", &p));
  assert_int_equal(p, MOON_INT8);
  assert_string_equal(moon_precision_name(MOON_BF16), "bf16");
  REFUSED(MOON_EINVAL, "did you mean \"int8\"", moon_precision_parse("int9", &p));
}

static void failing_memory_leaves_nothing_behind(void **state) {
  (void)state;
  static const size_t widths[] = {8, 32, 1};
  static const moon_activation a[] = {MOON_RELU, MOON_SIGMOID};
  stack s = make_stack(2, widths, a, 10);
  float x[8 * 3] = {1};
  for (moon_precision p = MOON_FULL; p <= MOON_INT8; p++)
    for (size_t n = 1;; n++) {
      assert_true(n < 30);
      moon_infer *small = (moon_infer *)&n;
      moon_infer_difference d;
      moon_alloc_fail_at(n);
      moon_status st = moon_infer_quantise(s.infer, p, x, 3, &small, &d);
      moon_alloc_fail_at(0);
      if (!st.code) {
        assert_true(n > 5);
        moon_infer_free(small);
        break;
      }
      assert_int_equal(st.code, MOON_ENOMEM);
      assert_null(small);
    }
  free_stack(&s);
}

/* ---- threads --------------------------------------------------------------------------------------------------------------------- */

typedef struct job {
  const moon_infer *plan;
  const float *x, *want;
  bool agreed;
} job;

static void *work(void *argument) {
  job *j = argument;
  j->agreed = true;
  for (int turn = 0; turn < 20; turn++) {
    float *y = run(j->plan, j->x, 100);
    j->agreed = j->agreed && !memcmp(y, j->want, 100 * sizeof *y);
    free(y);
  }
  return NULL;
}

static void four_threads_share_a_plan(void **state) {
  (void)state;
  static const size_t widths[] = {37, 64, 33, 1};
  static const moon_activation a[] = {MOON_RELU, MOON_TANH, MOON_SIGMOID};
  stack s = make_stack(3, widths, a, 11);
  moon_rng rng;
  moon_rng_seed(&rng, 55, 0);
  float *x = random_rows(&rng, 100 * 37);
  for (moon_precision p = MOON_FULL; p <= MOON_INT8; p++) {
    moon_infer *plan;
    OK(moon_infer_quantise(s.infer, p, NULL, 0, &plan, NULL));
    float *want = run(plan, x, 100);
    pthread_t threads[4];
    job jobs[4];
    for (int i = 0; i < 4; i++) {
      jobs[i] = (job){plan, x, want, false};
      assert_int_equal(pthread_create(&threads[i], NULL, work, &jobs[i]), 0);
    }
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < 4; i++) assert_true(jobs[i].agreed);
    free(want);
    moon_infer_free(plan);
  }
  free(x);
  free_stack(&s);
}

static void a_run_allocates_nothing(void **state) {
  (void)state;
  static const size_t widths[] = {8, 32, 1};
  static const moon_activation a[] = {MOON_RELU, MOON_SIGMOID};
  stack s = make_stack(2, widths, a, 12);
  for (moon_precision p = MOON_BF16; p <= MOON_INT8; p++) {
    moon_infer *small;
    float x[8 * 9] = {0};
    OK(moon_infer_quantise(s.infer, p, NULL, 0, &small, NULL));
    moon_alloc_fail_at(1);
    free(run(small, x, 9));
    void *still_failing = moon_alloc(1); /* the first allocation since */
    moon_alloc_fail_at(0);
    assert_null(still_failing);
    assert_int_equal(moon_infer_scratch(small, 5000), moon_infer_scratch(small, 100000)); /* bounded by a tile */
    moon_infer_free(small);
  }
  free_stack(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(smaller_plans_stay_within_their_rounding),
      cmocka_unit_test(an_f32_copy_answers_the_same_bits),
      cmocka_unit_test(a_score_does_not_depend_on_its_neighbours),
      cmocka_unit_test(int8_answers_the_same_bits_on_every_processor),
      cmocka_unit_test(the_report_is_what_a_plain_count_gives),
      cmocka_unit_test(nan_and_infinity_reach_only_their_row),
      cmocka_unit_test(plans_shrink_to_a_half_and_a_quarter),
      cmocka_unit_test(what_cannot_be_quantised_is_refused),
      cmocka_unit_test(failing_memory_leaves_nothing_behind),
      cmocka_unit_test(four_threads_share_a_plan),
      cmocka_unit_test(a_run_allocates_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_nn_infer.c - compiled stacks answer what the tape answers, for every size that takes another path. */
#include <stdlib.h>

#include "nn/nn.h"
#include "numeric.h"

enum { MOST = 6 };
typedef struct stack {
  moon_dense *layers[MOST];
  size_t n;
  moon_infer *infer;
} stack;

static stack make_stack(size_t n, const size_t *widths, const moon_activation *activations) {
  moon_rng rng;
  moon_rng_seed(&rng, 21, widths[0]);
  stack s = {.n = n};
  for (size_t i = 0; i < n; i++) {
    OK(moon_dense_new("layer", widths[i], widths[i + 1], activations[i], &rng, &s.layers[i]));
    moon_init_normal(s.layers[i]->bias, &rng, 0.3);
  }
  OK(moon_infer_new(s.layers, n, &s.infer));
  assert_int_equal(moon_infer_in(s.infer), widths[0]);
  assert_int_equal(moon_infer_out(s.infer), widths[n]);
  return s;
}

static void free_stack(stack *s) {
  for (size_t i = 0; i < s->n; i++) moon_dense_free(s->layers[i]);
  moon_infer_free(s->infer);
}

/* Fresh memory of exactly the stated size each time, so that the address sanitizer sees a read or write past it. */
static float *run(const moon_infer *infer, const float *x, size_t rows) {
  size_t room = (moon_infer_scratch(infer, rows) * sizeof(float) + 63) / 64 * 64;
  float *scratch = aligned_alloc(64, room ? room : 64), *y = malloc(rows * moon_infer_out(infer) * sizeof *y + 1);
  for (size_t i = 0; i < rows * moon_infer_out(infer); i++) y[i] = NAN;
  memset(scratch, 0xff, room); /* NaN: whatever is read must have been written */
  moon_infer_run(infer, x, rows, scratch, y);
  free(scratch);
  return y;
}

static void check(const stack *s, size_t rows) {
  size_t in = moon_infer_in(s->infer), out = moon_infer_out(s->infer);
  moon_rng rng;
  moon_rng_seed(&rng, 22, rows);
  float *x = malloc(rows * in * sizeof *x + 1); /* malloc, not aligned: rows of a request start anywhere */
  for (size_t i = 0; i < rows * in; i++) x[i] = (float)(2 * moon_rng_uniform(&rng) - 1);
  float *y = run(s->infer, x, rows);
  moon_tape *tape;
  OK(moon_tape_new(&tape));
  moon_var v;
  OK(moon_tape_constant(tape, MOON_F32, SHAPE(rows, in), x, &v));
  for (size_t i = 0; i < s->n; i++) OK(moon_dense_forward(tape, s->layers[i], v, &v));
  const float *want = moon_var_data(tape, v);
  for (size_t i = 0; i < rows * out; i++) NEAR(y[i], want[i], 4e-6 * (1 + fabsf(want[i])));
  moon_tape_free(tape);
  free(x), free(y);
}

static void every_width_equals_the_tape(void **state) {
  (void)state;
  static const size_t rows[] = {0, 1, 2, 5, 6, 7, 64, 65};
  for (size_t width = 1; width <= 130; width++) {
    size_t widths[] = {131 - width, width, (width * 7) % 130 + 1};
    moon_activation a[] = {(moon_activation)(width % 4), (moon_activation)(width / 4 % 4)};
    stack s = make_stack(2, widths, a);
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) check(&s, rows[r]);
    free_stack(&s);
  }
}

static void every_activation_and_row_count_equals_the_tape(void **state) {
  (void)state;
  static const size_t shapes[][4] = {{64, 64, 32, 1}, {7, 1, 5, 3}, {1, 1, 1, 1}, {33, 17, 1, 16}};
  for (size_t i = 0; i < 4; i++)
    for (int a = 0; a < 4; a++) {
      moon_activation activations[] = {(moon_activation)a, (moon_activation)((a + 1) % 4), (moon_activation)((a + 2) % 4)};
      stack s = make_stack(3, shapes[i], activations);
      for (size_t rows = 0; rows <= 100; rows += rows < 70 ? 1 : 13) check(&s, rows);
      check(&s, 1000);
      free_stack(&s);
    }
}

static void a_score_does_not_depend_on_its_neighbours(void **state) {
  (void)state;
  static const size_t widths[] = {37, 64, 33, 1};
  static const moon_activation a[] = {MOON_RELU, MOON_TANH, MOON_SIGMOID};
  stack s = make_stack(3, widths, a);
  moon_rng rng;
  moon_rng_seed(&rng, 23, 0);
  float x[200 * 37];
  for (size_t i = 0; i < 200 * 37; i++) x[i] = (float)moon_rng_normal(&rng);
  float *all = run(s.infer, x, 200);
  for (size_t i = 0; i < 200; i++) {
    float *alone = run(s.infer, x + i * 37, 1);
    NEAR(all[i], alone[0], 0); /* bit for bit */
    free(alone);
  }
  for (size_t n = 2; n < 60; n++) {
    float *some = run(s.infer, x + 3 * 37, n);
    assert_memory_equal(some, all + 3, n * sizeof *some);
    free(some);
  }
  free(all);
  free_stack(&s);
}

static void a_plan_is_a_copy(void **state) {
  (void)state;
  static const size_t widths[] = {3, 2};
  static const moon_activation a[] = {MOON_LINEAR};
  stack s = make_stack(1, widths, a);
  const float x[3] = {1, 2, 3};
  float *before = run(s.infer, x, 1);
  moon_tensor_fill(s.layers[0]->weight->value, 9);
  moon_dense_free(s.layers[0]);
  s.n = 0;
  float *after = run(s.infer, x, 1);
  assert_memory_equal(before, after, 2 * sizeof *before);
  free(before), free(after);
  free_stack(&s);
}

static void nan_and_infinity_reach_the_score(void **state) {
  (void)state;
  static const size_t widths[] = {5, 20, 1};
  static const moon_activation a[] = {MOON_RELU, MOON_SIGMOID};
  stack s = make_stack(2, widths, a);
  float x[3 * 5] = {0};
  x[7] = NAN;
  float *y = run(s.infer, x, 3);
  assert_true(!isnan(y[0]) && isnan(y[1]) && !isnan(y[2]));
  free(y);
  free_stack(&s);
}

static void stacks_that_do_not_fit_are_refused(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 1, 0);
  moon_dense *layers[2], wide = {.activation = MOON_LINEAR};
  moon_infer *infer = NULL;
  OK(moon_dense_new("a", 3, 4, MOON_RELU, &rng, &layers[0]));
  OK(moon_dense_new("b", 5, 1, MOON_RELU, &rng, &layers[1]));
  REFUSED(MOON_EINVAL, "infer: no layers", moon_infer_new(layers, 0, &infer));
  REFUSED(MOON_EINVAL, "infer: \"a.weight\" [3, 4] does not feed \"b.weight\" [5, 1]", moon_infer_new(layers, 2, &infer));
  OK(moon_param_new("w", MOON_F64, SHAPE(3, 4), false, &wide.weight));
  OK(moon_param_new("b", MOON_F64, SHAPE(4), false, &wide.bias));
  REFUSED(MOON_EINVAL, "infer: \"w\" is f64", moon_infer_new((moon_dense *[]){&wide}, 1, &infer));
  assert_null(infer);
  moon_infer_free(NULL);
  moon_param_free(wide.weight), moon_param_free(wide.bias);
  for (size_t n = 1;; n++) {
    assert_true(n < 20);
    infer = (moon_infer *)&n;
    moon_alloc_fail_at(n);
    moon_status st = moon_infer_new((moon_dense *[]){layers[0]}, 1, &infer);
    moon_alloc_fail_at(0);
    if (!st.code) break;
    assert_int_equal(st.code, MOON_ENOMEM);
    assert_null(infer);
  }
  moon_infer_free(infer);
  moon_dense_free(layers[0]), moon_dense_free(layers[1]);
}

static void a_run_allocates_nothing(void **state) {
  (void)state;
  static const size_t widths[] = {8, 32, 1};
  static const moon_activation a[] = {MOON_RELU, MOON_SIGMOID};
  stack s = make_stack(2, widths, a);
  float x[8 * 9] = {0}, y[9];
  size_t room = (moon_infer_scratch(s.infer, 9) * sizeof(float) + 63) / 64 * 64;
  float *scratch = aligned_alloc(64, room);
  moon_alloc_fail_at(1);
  moon_infer_run(s.infer, x, 9, scratch, y);
  moon_alloc_fail_at(0);
  for (int i = 0; i < 9; i++) assert_true(y[i] > 0 && y[i] < 1);
  assert_true(moon_infer_scratch(s.infer, 1) <= moon_infer_scratch(s.infer, 100));
  assert_int_equal(moon_infer_scratch(s.infer, 5000), moon_infer_scratch(s.infer, 100000)); /* bounded by a tile */
  free(scratch);
  free_stack(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_width_equals_the_tape),
      cmocka_unit_test(every_activation_and_row_count_equals_the_tape),
      cmocka_unit_test(a_score_does_not_depend_on_its_neighbours),
      cmocka_unit_test(a_plan_is_a_copy),
      cmocka_unit_test(nan_and_infinity_reach_the_score),
      cmocka_unit_test(stacks_that_do_not_fit_are_refused),
      cmocka_unit_test(a_run_allocates_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

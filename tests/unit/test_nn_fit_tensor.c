/* test_nn_fit_tensor.c - training a module over tensors: it learns, it is the same twice, a steady step allocates nothing, and want of
 * memory is an answer. */
#include <math.h>

#include "nn/fit_tensor.h"
#include "numeric.h"

enum { ROWS = 61, WIDTH = 3 };

typedef struct world {
  float x[ROWS * WIDTH], y[ROWS];
  json_t *spec, *optimizer;
  moon_module *module;
  moon_rows input;
  size_t calls, stop_at;
  bool starve; /* from the second epoch on */
  double first, last;
} world;

static moon_status make(world *w) {
  moon_rng rng;
  moon_rng_seed(&rng, 1, 0);
  for (size_t i = 0; i < ROWS * WIDTH; i++) w->x[i] = (float)moon_rng_normal(&rng);
  for (size_t i = 0; i < ROWS; i++) w->y[i] = 2 * w->x[i * WIDTH] - w->x[i * WIDTH + 1] + 0.5f;
  w->spec = json_pack("{s:s, s:[{s:s, s:i, s:s}, {s:s, s:i}]}", "type", "sequential", "layers", "type", "dense", "units", 8,
                      "activation", "tanh", "type", "dense", "units", 1);
  w->optimizer = json_pack("{s:s, s:f}", "type", "adam", "lr", 0.02);
  w->input = (moon_rows){.numbers = w->x, .each = WIDTH};
  const moon_form form = {.name = "x", .dims = 1, .shape = {WIDTH}};
  return moon_module_new(w->spec, MOON_F32, &form, 1, &rng, &w->module);
}

static void drop(world *w) {
  moon_alloc_fail_at(0);
  moon_module_free(w->module);
  json_decref(w->spec);
  json_decref(w->optimizer);
}

static moon_status watch(void *self, const moon_epoch *epoch, bool *stop) {
  world *w = self;
  w->calls++;
  if (epoch->epoch == 1) w->first = epoch->train_loss;
  if (w->starve) moon_alloc_fail_at(1);
  w->last = epoch->train_loss;
  *stop = w->calls == w->stop_at;
  return moon_ok();
}

static moon_tensor_fit fit_of(world *w) {
  return (moon_tensor_fit){.module = w->module,
                           .inputs = &w->input,
                           .target = {.numbers = w->y, .each = 1},
                           .rows = ROWS,
                           .epochs = 60,
                           .batch = 10,
                           .validation = 0.1,
                           .loss = MOON_FIT_MSE,
                           .optimizer = w->optimizer,
                           .seed = 3,
                           .on_epoch = watch,
                           .self = w};
}

static void a_fit_learns_and_is_the_same_twice(void **state) {
  (void)state;
  world a = {.calls = 0}, b = {.calls = 0};
  OK(make(&a));
  OK(make(&b));
  moon_tensor_fit fit = fit_of(&a), again = fit_of(&b);
  OK(moon_tensor_fit_run(&fit));
  OK(moon_tensor_fit_run(&again));
  assert_int_equal(a.calls, 60);
  assert_true(a.last < a.first / 20 && a.last == b.last);
  float out[ROWS];
  OK(moon_tensor_predict(a.module, &a.input, ROWS, out));
  double error = 0;
  for (size_t i = 0; i < ROWS; i++) error += fabs(out[i] - a.y[i]) / ROWS;
  assert_true(error < 0.3);
  drop(&a);
  drop(&b);
}

static void a_steady_step_allocates_nothing(void **state) {
  (void)state;
  world w = {.starve = true};
  OK(make(&w));
  moon_tensor_fit fit = fit_of(&w);
  OK(moon_tensor_fit_run(&fit));
  assert_int_equal(w.calls, 60);
  drop(&w);
}

static void a_watcher_can_stop_it(void **state) {
  (void)state;
  world w = {.stop_at = 2};
  OK(make(&w));
  moon_tensor_fit fit = fit_of(&w);
  OK(moon_tensor_fit_run(&fit));
  assert_int_equal(w.calls, 2);
  drop(&w);
}

static void want_of_memory_is_an_answer(void **state) {
  (void)state;
  world w = {.stop_at = 1};
  OK(make(&w));
  moon_status st = moon_fail(MOON_ENOMEM, "not yet");
  for (size_t n = 1; st.code; n++) {
    moon_tensor_fit fit = fit_of(&w);
    w.calls = 0;
    moon_alloc_fail_at(n);
    st = moon_tensor_fit_run(&fit);
    moon_alloc_fail_at(0);
    assert_true(!st.code || st.code == MOON_ENOMEM);
    assert_true(n < 1000);
  }
  drop(&w);
}

static void what_does_not_fit_is_refused(void **state) {
  (void)state;
  world w = {.calls = 0};
  OK(make(&w));
  moon_tensor_fit fit = fit_of(&w);
  fit.target.each = 2;
  REFUSED(MOON_EINVAL, "the model answers [n, 1], the target has 2 numbers a row", moon_tensor_fit_run(&fit));
  fit = fit_of(&w), fit.validation = NAN;
  REFUSED(MOON_EINVAL, "validation is a share", moon_tensor_fit_run(&fit));
  fit = fit_of(&w), fit.batch = 0;
  REFUSED(MOON_EINVAL, "epochs and batch are at least 1", moon_tensor_fit_run(&fit));
  w.x[5] = INFINITY;
  fit = fit_of(&w);
  REFUSED(MOON_EINVAL, "the loss is not finite in epoch 1", moon_tensor_fit_run(&fit));
  assert_int_equal(w.calls, 0);
  drop(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_fit_learns_and_is_the_same_twice),
      cmocka_unit_test(a_steady_step_allocates_nothing),
      cmocka_unit_test(a_watcher_can_stop_it),
      cmocka_unit_test(want_of_memory_is_an_answer),
      cmocka_unit_test(what_does_not_fit_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

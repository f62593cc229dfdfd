/* test_nn_fit_tensor.c - training a module over tensors: it learns, it is the same twice, a steady step allocates nothing, and want of
 * memory is an answer. */
#include <math.h>

#include "nn/fit_tensor.h"
#include "numeric.h"

enum { ROWS = 61, WIDTH = 3, MANY = 1301 };

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
  REFUSED(MOON_EINVAL, "number 3 of row 2 of x is not finite", moon_tensor_fit_run(&fit));
  w.x[5] = 0, w.y[7] = NAN;
  REFUSED(MOON_EINVAL, "number 1 of row 8 of y is not finite", moon_tensor_fit_run(&fit));
  w.y[7] = 0;
  size_t n;
  moon_tensor_fill(moon_module_params(w.module, &n)[2]->value, INFINITY);
  REFUSED(MOON_EINVAL, "the loss is not finite in epoch 1, nor are the weights \"1.weight\": is the learning rate too high?", moon_tensor_fit_run(&fit));
  fit.threads = 65;
  REFUSED(MOON_EINVAL, "threads are at most 64, not 65", moon_tensor_fit_run(&fit));
  assert_int_equal(w.calls, 0);
  drop(&w);
}

/* ---- threads --------------------------------------------------------------------------------------------------------------- */

typedef struct crowd { /* numbers and ids, in batches that are cut: dropout, l2, a sparse table */
  float x[MANY * WIDTH], y[MANY];
  uint32_t ids[MANY];
  json_t *optimizer;
  moon_module *module;
  moon_rows inputs[2];
  moon_buf saved;
  double losses[3];
  size_t n;
  bool starve;
} crowd;

static moon_status note_loss(void *self, const moon_epoch *epoch, bool *stop) {
  crowd *c = self;
  (void)stop;
  if (c->starve) moon_alloc_fail_at(1);
  c->losses[c->n++] = epoch->train_loss + epoch->validation_loss;
  return moon_ok();
}

static moon_tensor_fit crowd_new(crowd *c, size_t threads) {
  static const char spec[] =
      "{\"type\":\"sequential\",\"layers\":[{\"type\":\"parallel\",\"layers\":[{\"type\":\"dense\",\"units\":8,\"activation\":\"tanh\",\"l2\":0.01},"
      "{\"type\":\"embedding\",\"dim\":4,\"input\":\"id\"}]},{\"type\":\"dropout\",\"rate\":0.3},{\"type\":\"dense\",\"units\":1}]}";
  const moon_form forms[2] = {{.name = "x", .dims = 1, .shape = {WIDTH}}, {.name = "id", .ids = 50}};
  moon_rng rng;
  moon_rng_seed(&rng, 1, 0);
  *c = (crowd){.inputs = {{.numbers = c->x, .each = WIDTH}, {.ids = c->ids, .each = 1}}};
  for (size_t i = 0; i < MANY * WIDTH; i++) c->x[i] = (float)moon_rng_normal(&rng);
  for (size_t i = 0; i < MANY; i++) c->ids[i] = (uint32_t)moon_rng_below(&rng, 50), c->y[i] = c->x[i * WIDTH] + (float)(c->ids[i] % 3);
  json_t *json = json_loads(spec, 0, NULL);
  OK(moon_module_new(json, MOON_F32, forms, 2, &rng, &c->module));
  json_decref(json);
  c->optimizer = json_pack("{s:s, s:f}", "type", "adam", "lr", 0.02);
  return (moon_tensor_fit){.module = c->module, .inputs = c->inputs, .target = {.numbers = c->y, .each = 1}, .rows = MANY, .epochs = 3,
                           .batch = 600, .validation = 0.5, .loss = MOON_FIT_MSE, .optimizer = c->optimizer, .seed = 3,
                           .on_epoch = note_loss, .self = c, .threads = threads};
}

static void crowd_free(crowd *c) {
  moon_alloc_fail_at(0);
  moon_module_free(c->module);
  json_decref(c->optimizer);
  moon_buf_free(&c->saved);
}

static void save_weights(crowd *c) {
  size_t n;
  moon_named_tensor named[16];
  moon_param *const *params = moon_module_params(c->module, &n);
  for (size_t i = 0; i < n; i++) named[i] = (moon_named_tensor){params[i]->name, params[i]->value};
  moon_buf_reset(&c->saved);
  OK(moon_safetensors_write(named, n, &c->saved));
}

static void threads_do_not_change_a_bit(void **state) {
  (void)state;
  static const size_t threads[] = {0, 1, 2, 3, 8, 64};
  crowd *first = moon_alloc(sizeof *first), *c = moon_alloc(sizeof *c);
  for (size_t i = 0; i < sizeof threads / sizeof *threads; i++) {
    crowd *now = i ? c : first;
    moon_tensor_fit fit = crowd_new(now, threads[i]);
    now->starve = i == 3; /* and a steady step allocates nothing, on any of them */
    OK(moon_tensor_fit_run(&fit));
    moon_alloc_fail_at(0);
    save_weights(now);
    assert_memory_equal(now->losses, first->losses, sizeof first->losses);
    assert_int_equal(now->saved.n, first->saved.n);
    assert_memory_equal(now->saved.data, first->saved.data, first->saved.n);
    assert_true(now->losses[2] < now->losses[0]);
    if (i) crowd_free(c);
  }
  crowd_free(first);
  moon_free(first);
  moon_free(c);
}

static void want_of_memory_on_many_threads_is_an_answer(void **state) {
  (void)state;
  crowd *c = moon_alloc(sizeof *c);
  moon_tensor_fit fit = crowd_new(c, 3);
  moon_status st = moon_fail(MOON_ENOMEM, "not yet");
  fit.epochs = 1, fit.patience = 1;
  for (size_t n = 1; st.code; n++) {
    c->n = 0;
    moon_alloc_fail_at(n);
    st = moon_tensor_fit_run(&fit);
    moon_alloc_fail_at(0);
    assert_true(!st.code || st.code == MOON_ENOMEM);
    assert_true(n < 1000);
  }
  crowd_free(c);
  moon_free(c);
}

/* ---- patience -------------------------------------------------------------------------------------------------------------- */

static void patience_stops_and_restores_the_best_weights(void **state) {
  (void)state;
  world w = {.calls = 0}, same = {.calls = 0};
  size_t best;
  OK(make(&w));
  OK(make(&same));
  for (size_t i = ROWS - 6; i < ROWS; i++) w.y[i] = same.y[i] = -w.y[i]; /* what is validated on comes to be forgotten */
  moon_tensor_fit fit = fit_of(&w);
  fit.patience = 3, fit.best_epoch = &best;
  OK(moon_tensor_fit_run(&fit));
  assert_true(best >= 1 && w.calls == best + 3);
  fit = fit_of(&same), fit.epochs = best;
  OK(moon_tensor_fit_run(&fit));
  float a[ROWS], b[ROWS];
  OK(moon_tensor_predict(w.module, &w.input, ROWS, a));
  OK(moon_tensor_predict(same.module, &same.input, ROWS, b));
  assert_memory_equal(a, b, sizeof a);
  fit = fit_of(&w), fit.patience = 1, fit.validation = 0;
  REFUSED(MOON_EINVAL, "there are no rows to validate on", moon_tensor_fit_run(&fit));
  drop(&w);
  drop(&same);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_fit_learns_and_is_the_same_twice),
      cmocka_unit_test(a_steady_step_allocates_nothing),
      cmocka_unit_test(a_watcher_can_stop_it),
      cmocka_unit_test(want_of_memory_is_an_answer),
      cmocka_unit_test(what_does_not_fit_is_refused),
      cmocka_unit_test(threads_do_not_change_a_bit),
      cmocka_unit_test(want_of_memory_on_many_threads_is_an_answer),
      cmocka_unit_test(patience_stops_and_restores_the_best_weights),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

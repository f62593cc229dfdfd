/* test_rank_fit.c - fitting learns, repeats itself to the bit, keeps the best weights, and stops at nonsense; scoring agrees with it. */
#include "rank/model.h"
#include "shoplet.h"

typedef struct setup {
  json_t *plan;
  char *folder;
  moon_dataset *d;
} setup;

static int up(void **state) {
  setup *s = calloc(1, sizeof *s);
  s->plan = shoplet_json();
  s->folder = shoplet_make(800);
  OK(shoplet_dataset(s->folder, s->plan, &s->d));
  *state = s;
  return 0;
}
static int down(void **state) {
  setup *s = *state;
  moon_dataset_free(s->d);
  json_decref(s->plan);
  shoplet_remove(s->folder);
  free(s);
  return 0;
}

static json_t *train_of(const setup *s) { return json_object_get(s->plan, "train"); }

static moon_model *fitted(const setup *s, uint64_t seed, moon_fit_report *report) {
  moon_model *model;
  json_object_set_new(train_of(s), "seed", json_integer((json_int_t)seed));
  OK(shoplet_model(s->plan, s->d, seed, &model));
  OK(moon_fit(model, s->d, train_of(s), NULL, report));
  return model;
}

static void assert_same_weights(const moon_model *a, const moon_model *b, bool same) {
  moon_buf x = {0}, y = {0};
  OK(moon_model_save(a, &x));
  OK(moon_model_save(b, &y));
  assert_int_equal(x.n, y.n);
  assert_int_equal(memcmp(x.data, y.data, x.n) == 0, same);
  moon_buf_free(&x);
  moon_buf_free(&y);
}

static void loss_goes_down_and_beats_the_base_rate(void **state) {
  setup *s = *state;
  moon_fit_report report;
  json_object_set_new(train_of(s), "epochs", json_integer(30));
  moon_model *model = fitted(s, 1, &report);
  assert_true(report.train_loss[29] < report.train_loss[0]);
  double positives = 0;
  for (size_t i = 0; i < s->d->part_n[0]; i++) positives += s->d->examples.label[i];
  double rate = positives / (double)s->d->part_n[0];
  assert_true(report.train_loss[29] < -rate * log(rate) - (1 - rate) * log(1 - rate) - 0.05);
  assert_int_equal(report.steps, 30 * ((s->d->part_n[0] + 15) / 16));
  moon_model_free(model);
}

static void same_seed_same_weights_other_seed_others(void **state) {
  setup *s = *state;
  moon_fit_report report;
  moon_model *a = fitted(s, 7, &report), *b = fitted(s, 7, &report), *c = fitted(s, 8, &report);
  assert_same_weights(a, b, true);
  assert_same_weights(a, c, false);
  moon_model_free(a);
  moon_model_free(b);
  moon_model_free(c);
}

static void patience_keeps_the_best_epoch(void **state) {
  setup *s = *state;
  moon_fit_report report, shorter;
  json_object_set_new(train_of(s), "epochs", json_integer(60));
  json_object_set_new(train_of(s), "patience", json_integer(2));
  json_object_set_new(json_object_get(train_of(s), "optimizer"), "lr", json_real(0.05)); /* overfits soon */
  moon_model *best = fitted(s, 3, &report);
  assert_true(report.epochs_run < 60);
  assert_int_equal(report.epochs_run, report.best_epoch + 2);
  for (size_t i = 0; i < report.epochs_run; i++) assert_true(report.valid_loss[report.best_epoch - 1] <= report.valid_loss[i]);
  json_object_set_new(train_of(s), "epochs", json_integer((json_int_t)report.best_epoch));
  json_object_set_new(train_of(s), "patience", json_integer(0));
  moon_model *plain = fitted(s, 3, &shorter);
  assert_same_weights(best, plain, true);
  moon_model_free(best);
  moon_model_free(plain);
}

static void numbers_that_are_not_finite_stop_the_fit(void **state) {
  setup *s = *state;
  moon_model *model;
  moon_fit_report report;
  s->d->inputs.dense[5 * s->d->plan->dense_slots] = NAN;
  OK(shoplet_model(s->plan, s->d, 1, &model));
  REFUSED(MOON_EINVAL, "epoch 1", moon_fit(model, s->d, train_of(s), NULL, &report));
  moon_model_free(model);
}

static void wrong_training_options_are_refused(void **state) {
  setup *s = *state;
  moon_model *model;
  moon_fit_report report;
  OK(shoplet_model(s->plan, s->d, 1, &model));
  json_object_set_new(train_of(s), "epochs", json_integer(0));
  REFUSED(MOON_EINVAL, "epochs", moon_fit(model, s->d, train_of(s), NULL, &report));
  json_object_set_new(train_of(s), "epochs", json_integer(1));
  json_object_set_new(train_of(s), "loss", json_string("hinge"));
  REFUSED(MOON_EINVAL, "hinge", moon_fit(model, s->d, train_of(s), NULL, &report));
  moon_model_free(model);
}

static bool cancel(void *self, const char *stage, double fraction, const char *note) {
  (void)stage, (void)fraction, (void)note;
  return --*(int *)self > 0;
}

static void progress_can_cancel(void **state) {
  setup *s = *state;
  moon_model *model;
  moon_fit_report report;
  int left = 2;
  const moon_progress progress = {cancel, &left};
  OK(shoplet_model(s->plan, s->d, 1, &model));
  REFUSED(MOON_ECANCELED, "interrupted", moon_fit(model, s->d, train_of(s), &(moon_fit_options){.progress = &progress}, &report));
  moon_model_free(model);
}

/* The compiled scorer against the tape that trained: one row at a time, so that tiles and shared bags are covered too. */
static void scores_agree_with_the_tape(void **state) {
  setup *s = *state;
  moon_fit_report report;
  moon_model *model = fitted(s, 1, &report);
  const moon_feature_plan *plan = s->d->plan;
  size_t n = s->d->examples.n;
  float *scores = calloc(n, sizeof *scores), dense[16];
  moon_arena arena = {0};
  moon_tape *tape;
  OK(moon_tape_new(&tape));
  OK(moon_model_score(model, &s->d->inputs, n, &arena, scores));
  for (size_t i = 0; i < n; i++) {
    moon_var out;
    for (size_t k = 0; k < plan->dense_slots; k++)
      dense[k] = (s->d->inputs.dense[i * plan->dense_slots + k] - ((float *)moon_tensor_data(model->mean))[k]) * ((float *)moon_tensor_data(model->scale))[k];
    moon_batch row = {1, dense, s->d->inputs.ids + i * plan->id_slots, s->d->inputs.bags + i * plan->bag_length};
    moon_tape_reset(tape);
    OK(moon_model_forward(model, tape, &row, &out));
    NEAR(scores[i], 1 / (1 + exp(-*(const float *)moon_var_data(tape, out))), 1e-5);
  }
  moon_tape_free(tape);
  moon_arena_free(&arena);
  free(scores);
  moon_model_free(model);
}

static void weights_of_another_model_are_refused_whole(void **state) {
  setup *s = *state;
  moon_model *a, *b;
  moon_buf bytes = {0}, before = {0}, after = {0};
  OK(shoplet_model(s->plan, s->d, 1, &a));
  json_t *layer = json_array_get(json_object_get(json_object_get(s->plan, "model"), "layers"), 0);
  json_object_set_new(layer, "units", json_integer(9));
  OK(shoplet_model(s->plan, s->d, 2, &b));
  OK(moon_model_save(b, &bytes));
  OK(moon_model_save(a, &before));
  moon_status status = moon_model_load(a, bytes.data, bytes.n);
  assert_int_not_equal(status.code, MOON_OK);
  assert_non_null(strstr(status.message, "dense.0"));
  OK(moon_model_save(a, &after));
  assert_memory_equal(before.data, after.data, before.n);
  moon_buf_free(&bytes);
  moon_buf_free(&before);
  moon_buf_free(&after);
  moon_model_free(a);
  moon_model_free(b);
}

static void broken_models_name_their_line(void **state) {
  setup *s = *state;
  moon_model *model;
  json_t *layer = json_array_get(json_object_get(json_object_get(s->plan, "model"), "layers"), 0);
  json_object_set_new(layer, "activation", json_string("rellu"));
  REFUSED(MOON_EINVAL, "r:12", shoplet_model(s->plan, s->d, 1, &model));
  json_object_set_new(layer, "activation", json_string("relu"));
  json_object_set_new(layer, "type", json_string("conv"));
  REFUSED(MOON_EINVAL, "conv", shoplet_model(s->plan, s->d, 1, &model));
  assert_null(model);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, up, down)
  const struct CMUnitTest tests[] = {
      CASE(loss_goes_down_and_beats_the_base_rate), CASE(same_seed_same_weights_other_seed_others), CASE(patience_keeps_the_best_epoch),
      CASE(numbers_that_are_not_finite_stop_the_fit), CASE(wrong_training_options_are_refused), CASE(progress_can_cancel),
      CASE(scores_agree_with_the_tape), CASE(weights_of_another_model_are_refused_whole), CASE(broken_models_name_their_line),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_rank_tasks.c - several tasks over the same examples: their loss is the weighted sum of each one's own, a head times another is the
 * product of probabilities, the score is what the plan says, and each is judged by its own label. */
#include "exhaust.h"
#include "rank/evaluate.h"
#include "rank/fit.h"
#include "shoplet.h"

/* A purchase within a day, and one within twenty seconds: the second is never without the first. */
static const char two_labels[] =
    "[{\"task\":\"day\",\"positive\":[\"purchase\"],\"of\":[\"view\"],\"within_us\":86400000000,\"where\":\"r:41\"},"
    "{\"task\":\"quick\",\"positive\":[\"purchase\"],\"of\":[\"view\"],\"within_us\":20000000,\"where\":\"r:42\"}]";
enum { DAY, QUICK, TASKS };

#define HEAD(units) "{\"type\":\"dense\",\"units\":" units ",\"activation\":\"sigmoid\",\"where\":\"r:13\"}"
#define LINEAR "{\"type\":\"dense\",\"units\":1,\"where\":\"r:13\"}"
#define TOWER "{\"type\":\"sequential\",\"layers\":[{\"type\":\"dense\",\"units\":4,\"activation\":\"relu\"}," HEAD("1") "]}"
#define BODY "{\"type\":\"dense\",\"units\":8,\"activation\":\"relu\",\"where\":\"r:12\"}"
#define HEADS(names, layers, more) "{\"type\":\"heads\",\"where\":\"r:11\",\"names\":" names ",\"layers\":[" layers "]" more "}"

static const char bottom[] = "[" BODY "," HEADS("[\"quick\",\"day\"]", TOWER "," HEAD("1"), "") "]";
static const char towers[] = "[" HEADS("[\"day\",\"quick\"]", TOWER "," TOWER, "") "]";
static const char esmm[] = "[" HEADS("[\"day\",\"quick\"]", TOWER "," TOWER, ",\"times\":{\"quick\":\"day\"}") "]";
static const char linear[] = "[" BODY "," HEADS("[\"day\",\"quick\"]", LINEAR "," LINEAR, "") "]";

typedef struct setup {
  json_t *plan;
  char *folder;
  moon_dataset *d;
} setup;

static json_t *json_of(const char *text) {
  json_error_t error;
  json_t *json = json_loads(text, 0, &error);
  if (!json) fail_msg("%s in %s", error.text, text);
  return json;
}
static json_t *train_of(const setup *s) { return json_object_get(s->plan, "train"); }
static void set_layers(const setup *s, const char *layers) { json_object_set_new(json_object_get(s->plan, "model"), "layers", json_of(layers)); }
static void set_score(const setup *s, const char *score) { json_object_set_new(json_object_get(s->plan, "model"), "score", json_of(score)); }
static void set_train(const setup *s, const char *key, const char *value) {
  json_t *json = json_loads(value, JSON_DECODE_ANY, NULL);
  assert_non_null(json);
  json_object_set_new(train_of(s), key, json);
}

static int up(void **state) {
  setup *s = calloc(1, sizeof *s);
  s->plan = shoplet_json();
  s->folder = shoplet_make(900);
  json_object_set_new(s->plan, "label", json_of(two_labels));
  set_layers(s, esmm);
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

/* All training examples in one batch, one step. */
static moon_model *step_once(const setup *s, const char *optimizer, double *loss) {
  moon_model *model;
  moon_fit_report report;
  set_train(s, "batch", "100000");
  set_train(s, "epochs", "1");
  set_train(s, "optimizer", optimizer);
  OK(shoplet_model(s->plan, s->d, 1, &model));
  OK(moon_fit(model, s->d, train_of(s), &(moon_fit_options){.threads = 1}, &report));
  assert_int_equal(report.steps, 1);
  if (loss) *loss = report.train_loss[0];
  return model;
}

static const char still[] = "{\"type\":\"sgd\",\"lr\":0.0}", moving[] = "{\"type\":\"sgd\",\"lr\":0.5}";

/* [examples.n, 2], by task. */
static float *heads_of(const setup *s, const moon_model *model, moon_arena *arena) {
  size_t n = s->d->examples.n, at[TASKS];
  float *heads = moon_arena_alloc(arena, n * TASKS * sizeof *heads), *out = moon_arena_alloc(arena, n * TASKS * sizeof *out);
  OK(moon_model_score_heads(model, &s->d->inputs, n, arena, heads));
  for (size_t t = 0; t < TASKS; t++) OK(moon_model_head(model, s->d->tasks[t], &at[t]));
  for (size_t i = 0; i < n; i++)
    for (size_t t = 0; t < TASKS; t++) out[i * TASKS + t] = heads[i * TASKS + at[t]];
  return out;
}

static void assert_same_weights(const moon_model *a, const moon_model *b, bool same) {
  moon_buf x = {0}, y = {0};
  OK(moon_model_save(a, &x));
  OK(moon_model_save(b, &y));
  assert_int_equal(x.n == y.n && memcmp(x.data, y.data, x.n) == 0, same);
  moon_buf_free(&x);
  moon_buf_free(&y);
}

/* ---- labels -------------------------------------------------------------------------------------------------------------------------- */

static void each_task_has_the_labels_that_it_has_alone(void **state) {
  setup *s = *state;
  assert_int_equal(s->d->examples.tasks, TASKS);
  json_t *labels = json_of(two_labels), *plan = shoplet_json();
  size_t differing = 0, n = s->d->examples.n;
  for (size_t t = 0; t < TASKS; t++) {
    moon_dataset *alone;
    assert_string_equal(s->d->tasks[t], t == DAY ? "day" : "quick");
    json_object_set(plan, "label", json_array_get(labels, t));
    OK(shoplet_dataset(s->folder, plan, &alone));
    assert_int_equal(alone->examples.n, n);
    assert_null(alone->tasks[0]);
    assert_memory_equal(alone->examples.event, s->d->examples.event, n * sizeof(uint32_t));
    assert_memory_equal(alone->examples.label, s->d->examples.label + t * n, n * sizeof(float));
    assert_memory_equal(alone->part, s->d->part, n);
    moon_dataset_free(alone);
  }
  for (size_t i = 0; i < n; i++) differing += s->d->examples.label[i] != s->d->examples.label[n + i];
  assert_true(differing > 10);
  json_decref(plan);
  json_decref(labels);
}

static void what_is_drawn_fails_at_every_task(void **state) {
  setup *s = *state;
  moon_dataset *more;
  json_object_set_new(json_array_get(json_object_get(s->plan, "label"), 0), "negatives", json_integer(2));
  OK(shoplet_dataset(s->folder, s->plan, &more));
  size_t n = more->examples.n, at = 0;
  assert_true(more->negatives > 0 && n == s->d->examples.n + more->negatives);
  for (size_t i = 0; i < s->d->examples.n; i++, at++) {
    bool success = s->d->part[i] == MOON_TRAIN && s->d->examples.label[i] > 0;
    for (size_t t = 0; t < TASKS; t++) assert_true(more->examples.label[t * n + at] == s->d->examples.label[t * s->d->examples.n + i]);
    for (int k = 0; k < 2 && success; k++, at++)
      for (size_t t = 0; t < TASKS; t++) assert_true(more->examples.label[t * n + at + 1] == 0);
  }
  assert_int_equal(at, n);
  moon_dataset_free(more);
}

/* ---- the loss ------------------------------------------------------------------------------------------------------------------------ */

static double plain_loss(const char *loss, double said, double happened) {
  if (!strcmp(loss, "mse")) return (said - happened) * (said - happened);
  return happened > 0 ? -log(said) : -log1p(-said);
}

static void the_loss_is_the_weighted_sum_of_the_tasks(void **state) {
  setup *s = *state;
  const struct {
    const char *layers, *loss;
  } cases[] = {{bottom, "bce"}, {towers, "bce"}, {esmm, "bce"}, {linear, "mse"}};
  set_train(s, "weights", "{\"quick\":0.5,\"day\":3}");
  for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
    moon_arena arena = {0};
    double told, sum = 0;
    set_layers(s, cases[c].layers);
    json_object_set_new(train_of(s), "loss", json_string(cases[c].loss));
    moon_model *model = step_once(s, still, &told);
    const float *said = heads_of(s, model, &arena);
    for (size_t i = 0; i < s->d->examples.n; i++) {
      if (s->d->part[i] != MOON_TRAIN) continue;
      sum += 3 * plain_loss(cases[c].loss, said[i * TASKS + DAY], s->d->examples.label[i]);
      sum += 0.5 * plain_loss(cases[c].loss, said[i * TASKS + QUICK], s->d->examples.label[s->d->examples.n + i]);
    }
    NEAR(told, sum / (double)s->d->part_n[MOON_TRAIN], 1e-5);
    moon_model_free(model);
    moon_arena_free(&arena);
  }
}

/* How far a step of both tasks moves each weight is the sum of how far those of each alone do. */
static void the_gradient_is_the_weighted_sum_of_the_tasks(void **state) {
  setup *s = *state;
  static const char *const models[] = {bottom, esmm};
  for (size_t m = 0; m < 2; m++) {
    set_layers(s, models[m]);
    moon_model *start = step_once(s, still, NULL), *moved[3];
    static const char *const weights[] = {"{\"day\":1,\"quick\":0}", "{\"day\":0,\"quick\":1}", "{\"day\":0.75,\"quick\":0.5}"};
    double most = 0;
    for (int w = 0; w < 3; w++) set_train(s, "weights", weights[w]), moved[w] = step_once(s, moving, NULL);
    for (size_t p = 0; p < start->param_count; p++) {
      const float *from = moon_tensor_data(start->params[p]->value), *to[3];
      for (int w = 0; w < 3; w++) to[w] = moon_tensor_data(moved[w]->params[p]->value);
      for (size_t i = 0; i < moon_tensor_count(start->params[p]->value); i++) {
        double by_hand = 0.75 * ((double)to[0][i] - from[i]) + 0.5 * ((double)to[1][i] - from[i]);
        NEAR((double)to[2][i] - from[i], by_hand, 1e-6);
        most = fmax(most, fabs(by_hand));
      }
    }
    assert_true(most > 1e-3);
    for (int w = 0; w < 3; w++) moon_model_free(moved[w]);
    moon_model_free(start);
  }
}

/* Against differences of the loss: also the product of heads has the gradient that it should. */
static void the_gradient_of_a_product_is_the_slope_of_its_loss(void **state) {
  setup *s = *state;
  set_train(s, "weights", "{\"day\":1,\"quick\":2}");
  moon_model *start = step_once(s, still, NULL), *moved = step_once(s, moving, NULL);
  for (size_t p = start->param_count - 8; p < start->param_count; p++) { /* of the towers */
    float *w = moon_tensor_data(start->params[p]->value), before = w[0];
    double gradient = (before - ((const float *)moon_tensor_data(moved->params[p]->value))[0]) / 0.5, loss[2];
    for (int side = 0; side < 2; side++) {
      moon_fit_report report;
      w[0] = before + (side ? 0.002f : -0.002f);
      set_train(s, "optimizer", still);
      OK(moon_fit(start, s->d, train_of(s), &(moon_fit_options){.threads = 1}, &report));
      loss[side] = report.train_loss[0];
    }
    w[0] = before;
    NEAR(gradient, (loss[1] - loss[0]) / 0.004, 1e-3);
  }
  moon_model_free(start);
  moon_model_free(moved);
}

/* ---- heads and scores ---------------------------------------------------------------------------------------------------------------- */

static void a_head_times_another_is_the_product_of_probabilities(void **state) {
  setup *s = *state;
  moon_arena arena = {0};
  moon_model *product = step_once(s, still, NULL);
  set_layers(s, towers);
  moon_model *plain = step_once(s, still, NULL);
  assert_same_weights(product, plain, true);
  const float *a = heads_of(s, product, &arena), *b = heads_of(s, plain, &arena);
  for (size_t i = 0; i < s->d->examples.n; i++) {
    assert_true(a[i * TASKS + DAY] == b[i * TASKS + DAY]);
    NEAR(a[i * TASKS + QUICK], (double)b[i * TASKS + DAY] * b[i * TASKS + QUICK], 1e-6);
    assert_true(a[i * TASKS + QUICK] <= a[i * TASKS + DAY]);
  }
  moon_model_free(product);
  moon_model_free(plain);
  moon_arena_free(&arena);
}

/* Biases far from 0: what a sigmoid would round to 0 or 1 has its logarithm all the same. */
static void a_product_of_the_nearly_certain_is_not_rounded(void **state) {
  setup *s = *state;
  static const float logits[] = {-60, -20, -3, 0, 3, 20, 60};
  set_layers(s, "[" HEADS("[\"day\",\"quick\"]", HEAD("1") "," HEAD("1"), ",\"times\":{\"quick\":\"day\"}") "]");
  set_train(s, "weights", "{\"day\":0,\"quick\":1}");
  moon_model *model = step_once(s, still, NULL);
  for (size_t i = 0; i < 49; i++) {
    double a = logits[i / 7], b = logits[i % 7], positive = log1p(exp(-a)) + log1p(exp(-b)), sum = 0;
    double negative = -log(-expm1(-positive)); /* of 1 - p, whose logarithm is -positive */
    moon_fit_report report;
    for (size_t p = 0; p < model->param_count; p++) moon_tensor_fill(model->params[p]->value, 0);
    moon_tensor_fill(model->params[model->param_count - 3]->value, a);
    moon_tensor_fill(model->params[model->param_count - 1]->value, b);
    OK(moon_fit(model, s->d, train_of(s), &(moon_fit_options){.threads = 1}, &report));
    for (size_t e = 0; e < s->d->examples.n; e++)
      if (s->d->part[e] == MOON_TRAIN) sum += s->d->examples.label[s->d->examples.n + e] > 0 ? positive : negative;
    sum /= (double)s->d->part_n[MOON_TRAIN];
    NEAR(report.train_loss[0], sum, 1e-4 * (1 + sum));
  }
  moon_model_free(model);
}

static void the_score_is_what_the_plan_says(void **state) {
  setup *s = *state;
  const struct {
    const char *score;
    double day, quick;
    bool probability;
  } cases[] = {{"{\"day\":1}", 1, 0, true},          {"{\"quick\":1.0}", 0, 1, true},      {"{\"day\":0.25,\"quick\":1}", 0.25, 1, false},
               {"{\"day\":-1,\"quick\":2}", -1, 2, false}, {"{\"day\":2}", 2, 0, false}};
  for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
    moon_arena arena = {0};
    set_score(s, cases[c].score);
    moon_model *model = step_once(s, still, NULL);
    size_t n = s->d->examples.n;
    float *got = moon_arena_alloc(&arena, n * sizeof *got);
    const float *heads = heads_of(s, model, &arena);
    OK(moon_model_score(model, &s->d->inputs, n, &arena, got));
    for (size_t i = 0; i < n; i++) NEAR(got[i], cases[c].day * heads[i * TASKS + DAY] + cases[c].quick * heads[i * TASKS + QUICK], 1e-6);
    assert_int_equal(moon_model_gives_probability(model), cases[c].probability);
    moon_model_free(model);
    moon_arena_free(&arena);
  }
}

/* A label alone is one task without a name. */
static void one_head_is_no_head(void **state) {
  setup *s = *state;
  moon_fit_report report;
  moon_model *model[2];
  float *scores[2];
  moon_arena arena = {0};
  for (int named = 0; named < 2; named++) {
    moon_dataset *d;
    json_t *labels = json_of(two_labels), *only = json_pack("[O]", json_array_get(labels, 0));
    json_object_set(s->plan, "label", named ? only : json_array_get(labels, 0));
    set_layers(s, named ? "[" BODY "," HEADS("[\"day\"]", HEAD("1"), "") "]" : "[" BODY "," HEAD("1") "]");
    OK(shoplet_dataset(s->folder, s->plan, &d));
    OK(shoplet_model(s->plan, d, 1, &model[named]));
    OK(moon_fit(model[named], d, train_of(s), NULL, &report));
    scores[named] = moon_arena_alloc(&arena, d->examples.n * sizeof(float));
    OK(moon_model_score(model[named], &d->inputs, d->examples.n, &arena, scores[named]));
    for (size_t i = 0; i < d->examples.n && named; i++) NEAR(scores[0][i], scores[1][i], 1e-6); /* compiled, and on the tape */
    moon_model_free(model[named]); /* before what it borrows of the data set */
    moon_dataset_free(d);
    json_decref(labels);
    json_decref(only);
  }
  moon_arena_free(&arena);
}

/* ---- evaluation ---------------------------------------------------------------------------------------------------------------------- */

static void each_head_is_judged_by_its_own_label(void **state) {
  setup *s = *state;
  moon_arena arena = {0};
  json_t *names = json_of("[\"auc\",\"logloss\",\"day.auc\",\"quick.auc\",\"quick.logloss\",\"quick.calibration\",\"recall@5\"]"), *report;
  set_score(s, "{\"day\":1,\"quick\":1}");
  moon_model *model = step_once(s, moving, NULL);
  size_t n = 0;
  float *score[3], *label[2];
  for (int i = 0; i < 3; i++) score[i] = moon_arena_alloc(&arena, s->d->examples.n * sizeof(float));
  for (int i = 0; i < 2; i++) label[i] = moon_arena_alloc(&arena, s->d->examples.n * sizeof(float));
  const float *heads = heads_of(s, model, &arena);
  for (size_t i = 0; i < s->d->examples.n; i++) {
    if (s->d->part[i] != s->d->judged) continue;
    for (size_t t = 0; t < TASKS; t++) score[t][n] = heads[i * TASKS + t], label[t][n] = s->d->examples.label[t * s->d->examples.n + i];
    score[2][n] = score[0][n] + score[1][n];
    n++;
  }
  OK(moon_evaluate(model, s->d, names, 1, NULL, &report));
  const json_t *got = json_object_get(report, "model");
  NEAR(json_number_value(json_object_get(got, "auc")), moon_auc(score[2], label[DAY], n), 1e-9);
  assert_true(json_is_null(json_object_get(got, "logloss"))); /* of a blend */
  NEAR(json_number_value(json_object_get(got, "day.auc")), moon_auc(score[DAY], label[DAY], n), 1e-9);
  NEAR(json_number_value(json_object_get(got, "quick.auc")), moon_auc(score[QUICK], label[QUICK], n), 1e-9);
  NEAR(json_number_value(json_object_get(got, "quick.logloss")), moon_logloss(score[QUICK], label[QUICK], n), 1e-6);
  NEAR(json_number_value(json_object_get(got, "quick.calibration")), moon_calibration(score[QUICK], label[QUICK], n, NULL), 1e-6);
  assert_true(json_is_number(json_object_get(got, "recall@5")));
  assert_int_equal(json_array_size(json_object_get(json_object_get(json_object_get(report, "intervals"), "model"), "quick.auc")), 2);
  assert_true(json_number_value(json_object_get(json_object_get(report, "positive_rates"), "day")) >
              json_number_value(json_object_get(json_object_get(report, "positive_rates"), "quick")));
  json_decref(report);
  json_decref(names);
  moon_model_free(model);
  moon_arena_free(&arena);
}

static void metrics_of_tasks_are_checked(void **state) {
  (void)state;
  static const char *const tasks[] = {"day", "quick"};
  static const char *const none[] = {NULL};
  const struct {
    const char *name, *why;
  } wrong[] = {{"quik.auc", "there is no task 'quik'; did you mean 'quick'?"},
               {"quick.recall@5", "write recall@5"},
               {"quick.acu", "did you mean 'auc'?"},
               {"quick.", "there is no metric ''"},
               {".auc", "there is no task ''"}};
  moon_metric out[MOON_MOST_METRICS];
  size_t n, k;
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    json_t *names = json_pack("[s]", wrong[i].name);
    REFUSED(MOON_EINVAL, wrong[i].why, moon_metrics_parse(names, tasks, 2, out, &n, &k));
    json_decref(names);
  }
  json_t *names = json_of("[\"auc\",\"quick.auc\"]");
  OK(moon_metrics_parse(names, tasks, 2, out, &n, &k));
  assert_true(out[0].of == 0 && out[1].of == 2 && out[1].kind == MOON_METRIC_AUC);
  REFUSED(MOON_EINVAL, "there is no task 'quick'", moon_metrics_parse(names, none, 1, out, &n, &k));
  json_decref(names);
}

/* ---- as ever ------------------------------------------------------------------------------------------------------------------------- */

static void threads_and_breaks_do_not_show(void **state) {
  setup *s = *state;
  moon_fit_report report;
  char path[64];
  snprintf(path, sizeof path, "%s/checkpoint", s->folder);
  set_train(s, "batch", "300");
  set_train(s, "epochs", "4");
  moon_model *plain, *other;
  OK(shoplet_model(s->plan, s->d, 1, &plain));
  OK(moon_fit(plain, s->d, train_of(s), &(moon_fit_options){.threads = 1}, &report));
  for (size_t threads = 2; threads <= 3; threads++) {
    OK(shoplet_model(s->plan, s->d, 1, &other));
    OK(moon_fit(other, s->d, train_of(s), &(moon_fit_options){.threads = threads}, &report));
    assert_same_weights(plain, other, true);
    moon_model_free(other);
  }
  moon_fit_options options = {.threads = 2, .checkpoint = path, .until = 2, .plan = s->plan};
  OK(shoplet_model(s->plan, s->d, 1, &other));
  OK(moon_fit(other, s->d, train_of(s), &options, &report));
  moon_model_free(other);
  options.resume = true, options.until = 0;
  OK(shoplet_model(s->plan, s->d, 1, &other));
  OK(moon_fit(other, s->d, train_of(s), &options, &report));
  assert_true(report.resumed);
  assert_same_weights(plain, other, true);
  s->d->examples.label[s->d->examples.n] = 1 - s->d->examples.label[s->d->examples.n]; /* the second task's first */
  REFUSED(MOON_EINVAL, "of another fit", moon_fit(other, s->d, train_of(s), &options, &report));
  moon_model_free(other);
  moon_model_free(plain);
}

static void a_bundle_scores_as_what_was_trained(void **state) {
  setup *s = *state;
  moon_arena arena = {0};
  moon_bundle *bundle;
  moon_similar *similar;
  char path[64];
  size_t n = s->d->examples.n;
  float *a = moon_arena_alloc(&arena, n * sizeof *a), *b = moon_arena_alloc(&arena, n * sizeof *b);
  set_score(s, "{\"day\":0.3,\"quick\":1}");
  moon_model *model = step_once(s, moving, NULL);
  json_t *metrics = json_object();
  snprintf(path, sizeof path, "%s/bundle", s->folder);
  OK(moon_similar_new(s->d->log, s->d->log->n, moon_catalogue_rows(s->d->catalogue), NULL, NULL, &similar));
  OK(moon_bundle_write(path, &(moon_recipe_source){.text = "return 1\n", .n = 9}, s->plan, s->d, model, similar, metrics));
  OK(moon_bundle_open(path, &bundle));
  OK(moon_model_score(model, &s->d->inputs, n, &arena, a));
  OK(moon_model_score(bundle->model, &s->d->inputs, n, &arena, b));
  assert_memory_equal(a, b, n * sizeof *a);
  moon_bundle_close(bundle);
  moon_similar_free(similar);
  json_decref(metrics);
  moon_model_free(model);
  moon_arena_free(&arena);
}

/* ---- what does not fit --------------------------------------------------------------------------------------------------------------- */

static moon_status try_layers(const setup *s, const char *layers) {
  moon_model *model = NULL;
  set_layers(s, layers);
  moon_status status = shoplet_model(s->plan, s->d, 1, &model);
  moon_model_free(model);
  return status;
}

static void heads_that_do_not_fit_are_refused_where_they_stand(void **state) {
  setup *s = *state;
  REFUSED(MOON_EINVAL, "r:11: heads: needs a name", try_layers(s, "[" HEADS("[\"day\"]", HEAD("1") "," HEAD("1"), "") "]"));
  REFUSED(MOON_EINVAL, "head 2 needs a name without a dot", try_layers(s, "[" HEADS("[\"day\",\"a.b\"]", HEAD("1") "," HEAD("1"), "") "]"));
  REFUSED(MOON_EINVAL, "two heads 'day'", try_layers(s, "[" HEADS("[\"day\",\"day\"]", HEAD("1") "," HEAD("1"), "") "]"));
  REFUSED(MOON_EINVAL, "the head 'quick' must give one number", try_layers(s, "[" HEADS("[\"day\",\"quick\"]", HEAD("1") "," HEAD("2"), "") "]"));
  REFUSED(MOON_EINVAL, "r:13: the heads must end", try_layers(s, "[" HEADS("[\"day\",\"quick\"]", HEAD("1") "," LINEAR, "") "]"));
  REFUSED(MOON_EINVAL, "times: there is no head 'x'", try_layers(s, "[" HEADS("[\"day\",\"quick\"]", HEAD("1") "," HEAD("1"), ",\"times\":{\"x\":\"day\"}") "]"));
  static const char *const circles[] = {"{\"day\":\"quick\"}", "{\"day\":\"day\"}", "{\"quick\":\"x\"}", "{\"quick\":3}"};
  for (size_t i = 0; i < 4; i++) {
    json_t *layers = json_pack("[{s:s, s:s, s:[s, s], s:o, s:o}]", "type", "heads", "where", "r:11", "names", "day", "quick", "layers", json_of("[" HEAD("1") "," HEAD("1") "]"),
                               "times", json_of(circles[i]));
    char *text = json_dumps(layers, 0);
    REFUSED(MOON_EINVAL, "is multiplied by one before it", try_layers(s, text));
    free(text);
    json_decref(layers);
  }
  set_score(s, "{\"qick\":1}");
  REFUSED(MOON_EINVAL, "score: the model has no head 'qick'; did you mean 'quick'?", try_layers(s, esmm));
  set_score(s, "{\"quick\":\"much\"}");
  REFUSED(MOON_EINVAL, "score: the weight of quick must be a number", try_layers(s, esmm));
  set_score(s, "{\"quick\":0}");
  REFUSED(MOON_EINVAL, "one that is not 0", try_layers(s, esmm));
}

static moon_status try_fit(const setup *s, const char *layers) {
  moon_model *model;
  moon_fit_report report;
  set_layers(s, layers);
  MOON_TRY(shoplet_model(s->plan, s->d, 1, &model));
  moon_status status = moon_fit(model, s->d, train_of(s), NULL, &report);
  moon_model_free(model);
  return status;
}

static void heads_labels_and_weights_have_to_agree(void **state) {
  setup *s = *state;
  REFUSED(MOON_EINVAL, "no head 'quick'; did you mean 'quik'?", try_fit(s, "[" HEADS("[\"day\",\"quik\"]", HEAD("1") "," HEAD("1"), "") "]"));
  REFUSED(MOON_EINVAL, "has no head for day", try_fit(s, "[" HEAD("1") "]"));
  REFUSED(MOON_EINVAL, "3 heads, and the recipe labels for 2 tasks", try_fit(s, "[" HEADS("[\"day\",\"quick\",\"x\"]", HEAD("1") "," HEAD("1") "," HEAD("1"), "") "]"));
  set_train(s, "weights", "{\"day\":\"1\"}");
  REFUSED(MOON_EINVAL, "weights: that of day must be a number", try_fit(s, esmm));
  set_train(s, "weights", "{\"day\":-1}");
  REFUSED(MOON_EINVAL, "weights: that of day must be a number", try_fit(s, esmm));
  set_train(s, "weights", "{\"day\":0,\"quick\":0}");
  REFUSED(MOON_EINVAL, "no task counts", try_fit(s, esmm));
  set_train(s, "weights", "{}");
  set_train(s, "loss", "\"softmax\"");
  REFUSED(MOON_EINVAL, "a loss that compares is of one task", try_fit(s, linear));
}

static void a_task_of_one_kind_or_of_other_examples_is_refused(void **state) {
  setup *s = *state;
  moon_dataset *d;
  json_t *label = json_array_get(json_object_get(s->plan, "label"), 1);
  json_object_set_new(label, "within_us", json_integer(1));
  REFUSED(MOON_EINVAL, "r:42: label quick: none of", shoplet_dataset(s->folder, s->plan, &d));
  json_object_set_new(label, "positive", json_pack("[s]", "view"));
  REFUSED(MOON_EINVAL, "r:42: label quick: each of", shoplet_dataset(s->folder, s->plan, &d));
  json_object_set_new(label, "of", json_pack("[s]", "purchase"));
  REFUSED(MOON_EINVAL, "r:42: label quick: its", shoplet_dataset(s->folder, s->plan, &d));
  json_object_set_new(label, "of", json_pack("[s]", "veiw"));
  REFUSED(MOON_ENOTFOUND, "r:42: label quick: of: no event is of the kind 'veiw'", shoplet_dataset(s->folder, s->plan, &d));
  json_object_del(label, "task");
  json_object_set_new(label, "of", json_pack("[s]", "view"));
  REFUSED(MOON_EINVAL, "label 2 of several has no name", shoplet_dataset(s->folder, s->plan, &d));
  json_object_set_new(s->plan, "label", json_array());
  REFUSED(MOON_EINVAL, "1 to 16 labels, not 0", shoplet_dataset(s->folder, s->plan, &d));
}

static moon_status all_of_it(void *self) {
  setup *s = self;
  moon_dataset *d;
  moon_model *model = NULL;
  moon_fit_report report;
  json_t *names = json_of("[\"quick.auc\",\"auc\"]"), *out = NULL;
  moon_status status = shoplet_dataset(s->folder, s->plan, &d);
  if (status.code) return json_decref(names), status;
  status = shoplet_model(s->plan, d, 1, &model);
  if (!status.code) status = moon_fit(model, d, train_of(s), &(moon_fit_options){.threads = 1}, &report);
  if (!status.code) status = moon_evaluate(model, d, names, 1, NULL, &out);
  json_decref(out);
  json_decref(names);
  moon_model_free(model);
  moon_dataset_free(d);
  return status;
}

static void failing_allocations_leave_nothing_behind(void **state) {
  setup *s = *state;
  set_score(s, "{\"day\":0.5,\"quick\":1}");
  set_train(s, "epochs", "1");
  set_train(s, "batch", "512");
  set_train(s, "ahead", "0");
  assert_true(exhaust(all_of_it, s) > 50);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, up, down)
  const struct CMUnitTest tests[] = {
      CASE(each_task_has_the_labels_that_it_has_alone), CASE(what_is_drawn_fails_at_every_task), CASE(the_loss_is_the_weighted_sum_of_the_tasks),
      CASE(the_gradient_is_the_weighted_sum_of_the_tasks), CASE(the_gradient_of_a_product_is_the_slope_of_its_loss),
      CASE(a_head_times_another_is_the_product_of_probabilities), CASE(a_product_of_the_nearly_certain_is_not_rounded),
      CASE(the_score_is_what_the_plan_says), CASE(one_head_is_no_head), CASE(each_head_is_judged_by_its_own_label),
      CASE(metrics_of_tasks_are_checked), CASE(threads_and_breaks_do_not_show), CASE(a_bundle_scores_as_what_was_trained),
      CASE(heads_that_do_not_fit_are_refused_where_they_stand), CASE(heads_labels_and_weights_have_to_agree),
      CASE(a_task_of_one_kind_or_of_other_examples_is_refused), CASE(failing_allocations_leave_nothing_behind),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_rank_model.c - models of more than dense layers over features: they learn, score as they trained, know their inputs by
 * name, and go through bundles' bytes whole. */
#include <pthread.h>

#include "exhaust.h"
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
  s->folder = shoplet_make(600);
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

static moon_status model_of(const setup *s, const char *layers, moon_model **out) {
  json_error_t error;
  json_t *list = json_loads(layers, 0, &error);
  if (!list) fail_msg("%s: %s", layers, error.text);
  json_object_set_new(json_object_get(s->plan, "model"), "layers", list);
  return shoplet_model(s->plan, s->d, 1, out);
}

/* What the layers see is 4 numbers, embeddings of 4, 4 and 2, and a history's mean of 4: 18. */
static const char deep[] =
    "[{\"type\":\"residual\",\"layers\":[{\"type\":\"dense\",\"units\":18,\"activation\":\"relu\"},{\"type\":\"dropout\","
    "\"rate\":0.2}]},"
    "{\"type\":\"batch_norm\"},{\"type\":\"cross\",\"layers\":2},{\"type\":\"dense\",\"units\":8,\"activation\":\"relu\"},{"
    "\"type\":\"batch_norm\"},"
    "{\"type\":\"dense\",\"units\":1,\"activation\":\"sigmoid\"}]";
static const char sequences[] =
    "[{\"type\":\"parallel\",\"layers\":[{\"type\":\"input\"},{\"type\":\"din\",\"input\":\"item\",\"history\":\"history\","
    "\"units\":6},"
    "{\"type\":\"sequential\",\"input\":\"history\",\"layers\":[{\"type\":\"position\"},{\"type\":\"transformer\",\"heads\":2,"
    "\"causal\":true},"
    "{\"type\":\"gru\",\"units\":3},{\"type\":\"pool\",\"mode\":\"last\"}]},"
    "{\"type\":\"embedding\",\"dim\":1,\"input\":\"item.id\"},{\"type\":\"embedding_bag\",\"dim\":2,\"input\":\"history.ids\"}]},"
    "{\"type\":\"dense\",\"units\":8,\"activation\":\"relu\"},{\"type\":\"dense\",\"units\":1},{\"type\":\"activation\","
    "\"activation\":\"sigmoid\"}]";
static const char stack[] =
    "[{\"type\":\"batch_norm\"},{\"type\":\"dense\",\"units\":8},{\"type\":\"batch_norm\"},{\"type\":\"activation\","
    "\"activation\":\"relu\"},"
    "{\"type\":\"dropout\",\"rate\":0.2},{\"type\":\"dense\",\"units\":1,\"activation\":\"sigmoid\"}]";

/* ---- a batch of examples ------------------------------------------------------------------------------------------------- */

typedef struct rows {
  moon_batch batch;
  float *target;
} rows;

static rows rows_of(const moon_model *model, const moon_dataset *d, size_t start, size_t n) {
  const moon_feature_plan *p = d->plan;
  rows r = {{.n = n,
             .dense = calloc(n * p->dense_slots, 4),
             .ids = calloc(n * p->id_slots, 4),
             .bags = calloc(n * p->bag_slots * p->bag_length, 4)},
            d->examples.label + start};
  const float *mean = moon_tensor_data(model->mean), *scale = moon_tensor_data(model->scale);
  for (size_t i = 0; i < n; i++) {
    size_t row = start + i;
    for (size_t k = 0; k < p->dense_slots; k++)
      r.batch.dense[i * p->dense_slots + k] = (d->inputs.dense[row * p->dense_slots + k] - mean[k]) * scale[k];
    for (size_t k = 0; k < p->id_slots; k++) r.batch.ids[k * n + i] = d->inputs.ids[row * p->id_slots + k];
    memcpy(r.batch.bags + i * p->bag_length, d->inputs.bags + row * p->bag_length, p->bag_length * 4); /* one history */
  }
  return r;
}

static void rows_free(rows *r) { free(r->batch.dense), free(r->batch.ids), free(r->batch.bags); }

/* Adam in its plainest form, also over embeddings, so that these tests know no optimiser. */
typedef struct adam {
  float *m, *v;
  double t;
} adam;

static void update(adam *a, moon_param *const *params, size_t count) {
  size_t at = 0;
  a->t++;
  double rate = 0.01 * sqrt(1 - pow(0.999, a->t)) / (1 - pow(0.9, a->t));
  for (size_t i = 0; i < count; i++) {
    float *w = moon_tensor_data(params[i]->value), *g = moon_tensor_data(params[i]->grad);
    for (size_t k = 0; k < moon_tensor_count(params[i]->value); k++, at++) {
      a->m[at] = 0.9f * a->m[at] + 0.1f * g[k];
      a->v[at] = 0.999f * a->v[at] + 0.001f * g[k] * g[k];
      w[k] -= (float)(rate * a->m[at] / (sqrt(a->v[at]) + 1e-7));
    }
    moon_param_zero_grad(params[i]);
  }
}

static double step(moon_model *model, moon_tape *tape, adam *optimizer, const rows *r) {
  moon_var y, target, loss;
  moon_tape_reset(tape);
  OK(moon_model_forward(model, tape, &r->batch, &y));
  OK(moon_tape_constant(tape, MOON_F32, 1, &r->batch.n, r->target, &target));
  OK(moon_op_bce_logits(tape, y, target, &loss));
  double value = *(const float *)moon_var_data(tape, loss);
  if (!optimizer) return value;
  OK(moon_tape_backward(tape, loss));
  update(optimizer, model->params, model->param_count);
  return value;
}

static double whole_loss(moon_model *model, moon_tape *tape, const moon_dataset *d) {
  rows r = rows_of(model, d, 0, d->examples.n);
  double loss = step(model, tape, NULL, &r);
  rows_free(&r);
  return loss;
}

/* `epochs` over all examples in their order; answers how far the loss fell. */
static double learn(moon_model *model, const moon_dataset *d, size_t epochs) {
  moon_tape *tape;
  size_t n = moon_model_params(model);
  adam a = {calloc(n, sizeof(float)), calloc(n, sizeof(float)), 0};
  OK(moon_tape_new(&tape));
  double before = whole_loss(model, tape, d);
  size_t count = 0;
  for (size_t epoch = 0; epoch < epochs; epoch++)
    for (size_t start = 0; start + 32 <= d->examples.n; start += 32) {
      rows r = rows_of(model, d, start, 32);
      r.batch.training = true, r.batch.seed = 3, r.batch.step = count++;
      step(model, tape, &a, &r);
      rows_free(&r);
    }
  double after = whole_loss(model, tape, d);
  moon_tape_free(tape);
  free(a.m), free(a.v);
  return before - after;
}

static void assert_scores_are_the_tapes(moon_model *model, const moon_dataset *d) {
  moon_tape *tape;
  moon_var y;
  moon_arena arena = {0};
  float *scores = calloc(d->examples.n, sizeof *scores);
  rows r = rows_of(model, d, 0, d->examples.n);
  OK(moon_tape_new(&tape));
  OK(moon_model_compile(model));
  OK(moon_model_score(model, &d->inputs, d->examples.n, &arena, scores));
  OK(moon_model_forward(model, tape, &r.batch, &y));
  for (size_t i = 0; i < d->examples.n; i++) NEAR(scores[i], 1 / (1 + exp(-((const float *)moon_var_data(tape, y))[i])), 1e-5);
  moon_tape_free(tape);
  moon_arena_free(&arena);
  rows_free(&r);
  free(scores);
}

static void deep_models_learn_and_score_as_they_trained(void **state) {
  setup *s = *state;
  const char *const models[] = {deep, sequences, stack};
  for (size_t i = 0; i < 3; i++) {
    moon_model *model;
    OK(model_of(s, models[i], &model));
    assert_true(model->sigmoid);
    double fell = learn(model, s->d, 12);
    if (!(fell > 0.05)) fail_msg("model %zu: the loss fell by %g", i, fell);
    assert_scores_are_the_tapes(model, s->d);
    assert_int_equal(model->infer != NULL, i == 2); /* the stack folds */
    moon_model_free(model);
  }
}

static void running_statistics_are_saved_and_loaded(void **state) {
  setup *s = *state;
  moon_model *a, *b;
  moon_buf bytes = {0}, again = {0};
  moon_arena arena = {0};
  float x[50], y[50];
  OK(model_of(s, deep, &a));
  OK(model_of(s, deep, &b));
  learn(a, s->d, 2);
  OK(moon_model_compile(a));
  OK(moon_model_save(a, &bytes));
  OK(moon_model_load(b, bytes.data, bytes.n));
  OK(moon_model_save(b, &again));
  assert_int_equal(bytes.n, again.n);
  assert_memory_equal(bytes.data, again.data, bytes.n);
  OK(moon_model_score(a, &s->d->inputs, 50, &arena, x));
  OK(moon_model_score(b, &s->d->inputs, 50, &arena, y));
  assert_memory_equal(x, y, sizeof x);
  moon_safetensors *file;
  moon_tensor *mean;
  OK(moon_safetensors_open(bytes.data, bytes.n, &file));
  OK(moon_tensor_new(MOON_F32, SHAPE(18), &mean));
  OK(moon_safetensors_read(file, "1.mean", mean));
  assert_true(((float *)moon_tensor_data(mean))[7] != 0);
  moon_tensor_free(mean);
  moon_safetensors_close(file);
  moon_buf_free(&bytes);
  moon_buf_free(&again);
  moon_arena_free(&arena);
  moon_model_free(a);
  moon_model_free(b);
}

/* ---- inputs -------------------------------------------------------------------------------------------------------------- */

/* One row through `layers`, a model of one number that shows an input, with its dense weights all 1. */
static double shown(const setup *s, const char *layers, size_t row) {
  moon_model *model;
  moon_tape *tape;
  moon_var y;
  OK(model_of(s, layers, &model));
  size_t n;
  moon_param *const *params = moon_module_params(model->module, &n);
  for (size_t i = 0; i < n; i++)
    if (strstr(params[i]->name, "weight")) moon_tensor_fill(params[i]->value, 1);
  for (size_t i = 0; i < s->d->plan->feature_count; i++) {
    if (!model->tables[i]) continue;
    float *table = moon_tensor_data(model->tables[i]->weight->value);
    for (size_t k = 0; k < moon_tensor_count(model->tables[i]->weight->value); k++)
      table[k] = (float)(k / moon_tensor_shape(model->tables[i]->weight->value)[1]);
  }
  rows r = rows_of(model, s->d, row, 1);
  OK(moon_tape_new(&tape));
  OK(moon_model_forward(model, tape, &r.batch, &y));
  double value = *(const float *)moon_var_data(tape, y);
  moon_tape_free(tape);
  rows_free(&r);
  moon_model_free(model);
  return value;
}

#define SHOW(input, more) \
  "[{\"type\":\"input\",\"input\":\"" input "\"}," more "{\"type\":\"dense\",\"units\":1,\"activation\":\"sigmoid\"}]"

static void inputs_are_what_their_names_say(void **state) {
  setup *s = *state;
  const moon_feature_plan *p = s->d->plan;
  size_t row = s->d->examples.n - 5;
  const uint32_t *ids = s->d->inputs.ids + row * p->id_slots, *bag = s->d->inputs.bags + row * p->bag_length;
  double numbers = 0;
  for (size_t k = 0; k < p->dense_slots; k++)
    numbers += s->d->inputs.dense[row * p->dense_slots + k]; /* not fitted: mean 0, scale 1 */
  size_t length = 0;
  double mean = 0;
  for (size_t k = 0; k < p->bag_length && bag[k]; k++) mean += bag[k], length++;
  assert_true(length > 1 && bag[0] != bag[length - 1]);
  mean /= (double)length;
  NEAR(shown(s, SHOW("numbers", ""), row), numbers, 1e-4);
  NEAR(shown(s, SHOW("user", ""), row), 4.0 * ids[0], 1e-4); /* every number of row r of a table is r */
  NEAR(shown(s, SHOW("item", ""), row), 4.0 * ids[1], 1e-4);
  NEAR(shown(s, SHOW("category", ""), row), 2.0 * ids[2], 1e-4);
  NEAR(shown(s, SHOW("history", "{\"type\":\"pool\",\"mode\":\"last\"},"), row), 4.0 * bag[0], 1e-4); /* the newest comes last */
  NEAR(shown(s, SHOW("history", "{\"type\":\"pool\"},"), row), 4 * mean, 1e-4);
  NEAR(shown(s, "[{\"type\":\"dense\",\"units\":1,\"activation\":\"sigmoid\"}]", row),
       numbers + 4.0 * ids[0] + 4.0 * ids[1] + 2.0 * ids[2] + 4 * mean, 1e-3);
  /* Tables of a layer's own: weights 1, so an id counts 1, and a history as many as it has. */
  NEAR(shown(s,
             "[{\"type\":\"embedding\",\"dim\":3,\"input\":\"item.id\"},{\"type\":\"dense\",\"units\":1,\"activation\":"
             "\"sigmoid\"}]",
             row),
       3, 1e-5);
  NEAR(shown(s,
             "[{\"type\":\"embedding_bag\",\"dim\":1,\"mode\":\"sum\",\"input\":\"history.ids\"},{\"type\":\"dense\",\"units\":1,"
             "\"activation\":\"sigmoid\"}]",
             row),
       (double)length, 1e-5);
}

static void fields_are_there_where_widths_agree(void **state) {
  setup *s = *state;
  moon_model *model;
  REFUSED(MOON_EINVAL, "there is no input \"fields\"", model_of(s, SHOW("fields", "{\"type\":\"fm\"},"), &model));
  moon_dataset_free(s->d);
  json_object_set_new(json_array_get(json_object_get(s->plan, "features"), 2), "dim", json_integer(4));
  OK(shoplet_dataset(s->folder, s->plan, &s->d));
  size_t row = s->d->examples.n - 5;
  const uint32_t *ids = s->d->inputs.ids + row * s->d->plan->id_slots;
  NEAR(shown(s, SHOW("fields", "{\"type\":\"flatten\"},"), row) - shown(s, SHOW("history", "{\"type\":\"pool\"},"), row),
       4.0 * (ids[0] + ids[1] + ids[2]), 1e-3);
  OK(model_of(s, SHOW("fields", "{\"type\":\"fm\"},"), &model));
  assert_scores_are_the_tapes(model, s->d);
  moon_model_free(model);
}

/* ---- errors, threads, memory --------------------------------------------------------------------------------------------- */

static void models_that_give_no_score_are_refused(void **state) {
  setup *s = *state;
  moon_model *model;
  REFUSED(MOON_EINVAL, "r:3: the model's last layer must have 1 unit and be sigmoid or linear, it gives [n, 2] and is linear",
          model_of(s, "[{\"type\":\"dense\",\"units\":2,\"activation\":\"sigmoid\",\"where\":\"r:3\"}]", &model));
  assert_null(model);
  REFUSED(MOON_EINVAL, "it gives [n, 1] and is relu",
          model_of(s, "[{\"type\":\"dense\",\"units\":1,\"activation\":\"relu\"}]", &model));
  REFUSED(MOON_EINVAL, "it gives [n, 18]", model_of(s, "[{\"type\":\"cross\"}]", &model));
  REFUSED(MOON_EINVAL, "has no layers", model_of(s, "[]", &model));
  REFUSED(MOON_EINVAL, "needs a \"type\"", model_of(s, "[7]", &model));
  REFUSED(MOON_EINVAL, "did you mean \"history\"?", model_of(s, SHOW("histroy", ""), &model));
  REFUSED(MOON_EINVAL, "r:9: gru: takes [n, steps, d], not [n, 18]",
          model_of(s, "[{\"type\":\"gru\",\"units\":2,\"where\":\"r:9\"}]", &model));
  OK(model_of(s, deep, &model));
  moon_model_free(model);
  json_t *kept = json_incref(json_object_get(s->plan, "model"));
  json_object_set_new(s->plan, "model", json_integer(3));
  REFUSED(MOON_EINVAL, "has no layers", shoplet_model(s->plan, s->d, 1, &model));
  json_object_set_new(s->plan, "model", kept);
  OK(model_of(s, deep, &model));
  REFUSED(MOON_EINVAL, "compiled", moon_model_score(model, &s->d->inputs, 1, &(moon_arena){0}, (float[1]){0}));
  moon_model_free(model);
}

typedef struct worker {
  const setup *setup;
  const moon_model *model;
  const float *want;
} worker;

static void *score_often(void *self) {
  const worker *w = self;
  moon_arena arena = {0};
  size_t n = w->setup->d->examples.n;
  float *scores = calloc(n, sizeof *scores);
  void *failed = NULL;
  for (int i = 0; i < 10; i++) {
    moon_arena_reset(&arena);
    if (moon_model_score(w->model, &w->setup->d->inputs, n, &arena, scores).code || memcmp(scores, w->want, n * sizeof *scores))
      failed = scores;
  }
  free(scores);
  moon_arena_free(&arena);
  return failed;
}

static void score_on_threads(const setup *s, const char *layers, moon_precision precision) {
  moon_model *model;
  moon_arena arena = {0};
  OK(model_of(s, layers, &model));
  OK(moon_model_compile(model));
  OK(moon_model_set_precision(model, precision));
  float *want = calloc(s->d->examples.n, sizeof *want);
  OK(moon_model_score(model, &s->d->inputs, s->d->examples.n, &arena, want));
  worker w = {s, model, want};
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, score_often, &w);
  for (int i = 0; i < 4; i++) {
    void *failed;
    pthread_join(threads[i], &failed);
    assert_null(failed);
  }
  free(want);
  moon_arena_free(&arena);
  moon_model_free(model);
}

static void threads_score_one_model_at_once(void **state) {
  score_on_threads(*state, sequences, MOON_FULL);
  score_on_threads(*state, stack, MOON_FULL);
  score_on_threads(*state, stack, MOON_BF16);
  score_on_threads(*state, stack, MOON_INT8);
}

/* ---- precision ----------------------------------------------------------------------------------------------------------- */

static double apart(const float *a, const float *b, size_t n) {
  double most = 0;
  for (size_t i = 0; i < n; i++) most = fmax(most, fabs((double)a[i] - (double)b[i]));
  return most;
}

static double part_of(const json_t *report, const char *name, const char *key) {
  return json_number_value(json_object_get(json_object_get(report, name), key));
}

static void a_precision_changes_scores_by_what_is_reported(void **state) {
  setup *s = *state;
  moon_model *model;
  moon_arena arena = {0};
  size_t n = s->d->examples.n;
  float *full = moon_arena_alloc(&arena, n * sizeof *full), *less = moon_arena_alloc(&arena, n * sizeof *less);
  OK(model_of(s, stack, &model));
  OK(moon_model_set_precision(model, MOON_INT8)); /* before it is compiled, and kept by compiling */
  OK(moon_model_compile(model));
  json_t *report;
  OK(moon_precision_report(model, s->d, &report));
  OK(moon_model_score(model, &s->d->inputs, n, &arena, less));
  OK(moon_model_set_precision(model, MOON_FULL));
  OK(moon_model_score(model, &s->d->inputs, n, &arena, full));
  double most = apart(full, less, n);
  assert_true(most > 0 && most < 0.1);
  float *judged[2] = {moon_arena_alloc(&arena, n * sizeof *full), moon_arena_alloc(&arena, n * sizeof *full)};
  float *label = moon_arena_alloc(&arena, n * sizeof *label);
  size_t m = 0;
  for (size_t i = 0; i < n; i++)
    if (s->d->part[i] == s->d->judged) judged[0][m] = full[i], judged[1][m] = less[i], label[m++] = s->d->examples.label[i];
  assert_string_equal(json_string_value(json_object_get(report, "name")), "int8");
  NEAR(part_of(report, "difference", "most"), apart(judged[0], judged[1], m), 1e-9);
  NEAR(part_of(report, "auc", "f32"), moon_auc(judged[0], label, m), 1e-12);
  NEAR(part_of(report, "auc", "int8"), moon_auc(judged[1], label, m), 1e-12);
  NEAR(part_of(report, "logloss", "f32"), moon_logloss(judged[0], label, m), 1e-12);
  NEAR(part_of(report, "logloss", "int8"), moon_logloss(judged[1], label, m), 1e-12);
  assert_true(part_of(report, "bytes", "int8") < part_of(report, "bytes", "f32"));
  json_decref(report);
  OK(moon_precision_report(model, s->d, &report));
  assert_null(report); /* f32 */
  moon_model_free(model);
  moon_arena_free(&arena);
}

static void what_does_not_compile_has_one_precision(void **state) {
  setup *s = *state;
  moon_model *model;
  moon_precision precision;
  OK(model_of(s, "[{\"type\":\"cross\",\"where\":\"r:9\"},{\"type\":\"dense\",\"units\":1,\"activation\":\"sigmoid\"}]", &model));
  OK(moon_model_compile(model));
  REFUSED(MOON_EINVAL, "r:9: cross: does not compile: only dense, activation, batch_norm and dropout do (precision \"int8\" is for what does)",
          moon_model_set_precision(model, MOON_INT8));
  OK(moon_model_compile(model)); /* as it was */
  OK(moon_model_set_precision(model, MOON_FULL));
  moon_model_free(model);
  json_t *train = json_pack("{s:s}", "precision", "int7");
  REFUSED(MOON_EINVAL, "did you mean \"int8\"?", moon_train_precision(train, &precision));
  json_object_set_new(train, "precision", json_integer(8));
  REFUSED(MOON_EINVAL, "precision must be", moon_train_precision(train, &precision));
  json_object_clear(train);
  OK(moon_train_precision(train, &precision));
  assert_int_equal(precision, MOON_FULL);
  json_decref(train);
}

static void a_summary_has_tables_and_layers(void **state) {
  setup *s = *state;
  moon_model *model;
  moon_buf text = {0};
  OK(model_of(s, deep, &model));
  OK(moon_model_summary(model, &text));
  assert_non_null(strstr(text.data, "embedding.1.item"));
  assert_non_null(strstr(text.data, "cross"));
  moon_buf_free(&text);
  moon_model_free(model);
}

static moon_status whole_life(void *self) {
  const setup *s = self;
  moon_model *model;
  moon_buf bytes = {0};
  moon_arena arena = {0};
  float scores[3];
  json_t *report = NULL;
  moon_status status = shoplet_model(s->plan, s->d, 1, &model);
  if (status.code) return status;
  status = moon_model_save(model, &bytes);
  if (!status.code) status = moon_model_load(model, bytes.data, bytes.n);
  if (!status.code) status = moon_model_set_precision(model, model->infer ? MOON_INT8 : MOON_FULL);
  if (!status.code) status = moon_model_score(model, &s->d->inputs, 3, &arena, scores);
  if (!status.code) status = moon_precision_report(model, s->d, &report);
  json_decref(report);
  moon_buf_free(&bytes);
  moon_arena_free(&arena);
  moon_model_free(model);
  return status;
}

static void no_memory_leaves_nothing_behind(void **state) {
  setup *s = *state;
  moon_model *model;
  OK(model_of(s, sequences, &model));
  moon_model_free(model);
  assert_true(exhaust(whole_life, s) > 100);
  OK(model_of(s, stack, &model)); /* which compiles, and has an int8 plan */
  moon_model_free(model);
  assert_true(exhaust(whole_life, s) > 100);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, up, down)
  const struct CMUnitTest tests[] = {
      CASE(deep_models_learn_and_score_as_they_trained),
      CASE(running_statistics_are_saved_and_loaded),
      CASE(inputs_are_what_their_names_say),
      CASE(fields_are_there_where_widths_agree),
      CASE(models_that_give_no_score_are_refused),
      CASE(threads_score_one_model_at_once),
      CASE(a_precision_changes_scores_by_what_is_reported),
      CASE(what_does_not_compile_has_one_precision),
      CASE(a_summary_has_tables_and_layers),
      CASE(no_memory_leaves_nothing_behind),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_rank_objectives.c - losses that compare: what they say is what a plain loop over scores says; threads, resuming and want of memory do not
 * show; negatives are such as were asked for. */
#include "rank/fit.h"
#include "shoplet.h"

enum { EACH = 3 };
typedef struct setup {
  json_t *plan;
  char *folder;
  moon_dataset *d;
} setup;

static json_t *train_of(const setup *s) { return json_object_get(s->plan, "train"); }

/* loss NULL: bce. negatives: of each success. */
static setup make(const char *loss, int negatives, const char *model) {
  setup s = {.plan = shoplet_json(), .folder = shoplet_make(900)};
  json_t *layers = json_loads(model, 0, NULL), *sampling = json_pack("{s:s, s:b}", "by", "uniform", "unseen", 1);
  assert_non_null(layers);
  json_object_set_new(json_object_get(s.plan, "model"), "layers", layers);
  json_object_set_new(json_object_get(s.plan, "label"), "negatives", json_integer(negatives));
  json_object_set_new(json_object_get(s.plan, "label"), "sampling", sampling);
  json_object_set_new(train_of(&s), "loss", json_string(loss));
  OK(shoplet_dataset(s.folder, s.plan, &s.d));
  return s;
}

static void drop(setup *s) {
  moon_dataset_free(s->d);
  json_decref(s->plan);
  shoplet_remove(s->folder);
}

/* A bilinear model of user and history by item; and one that sees everything, which is no product. */
static const char product[] =
    "[{\"type\":\"dot\",\"where\":\"r:12\",\"layers\":["
    "{\"type\":\"sequential\",\"layers\":[{\"type\":\"parallel\",\"layers\":[{\"type\":\"input\",\"input\":\"user\"},"
    "{\"type\":\"sequential\",\"input\":\"history\",\"layers\":[{\"type\":\"gru\",\"units\":4},{\"type\":\"pool\",\"mode\":\"last\"}]}]},"
    "{\"type\":\"dense\",\"units\":4}]},{\"type\":\"input\",\"input\":\"item\"}]}]";
static const char stack[] = "[{\"type\":\"dense\",\"units\":8,\"activation\":\"relu\",\"where\":\"r:12\"},{\"type\":\"dense\",\"units\":1}]";

static const struct {
  const char *loss, *model;
  int negatives;
} cases[] = {{"bpr", product, EACH}, {"bpr", stack, EACH}, {"softmax", product, EACH}, {"softmax", stack, EACH}, {"softmax", product, 0}};
enum { CASES = sizeof cases / sizeof *cases };

static void fit(const setup *s, const moon_fit_options *options, moon_model **model, moon_fit_report *report) {
  OK(shoplet_model(s->plan, s->d, 1, model));
  OK(moon_fit(*model, s->d, train_of(s), options, report));
}

static void assert_same_weights(const moon_model *a, const moon_model *b, bool same) {
  moon_buf x = {0}, y = {0};
  OK(moon_model_save(a, &x));
  OK(moon_model_save(b, &y));
  assert_int_equal(x.n == y.n && memcmp(x.data, y.data, x.n) == 0, same);
  moon_buf_free(&x);
  moon_buf_free(&y);
}

/* ---- against plain loops -------------------------------------------------------------------------------------------------------------- */

/* Of one success and what it is compared with: scores[0] is its own. */
static double plain_loss(const char *loss, const double *scores, size_t n) {
  double sum = 0;
  for (size_t k = 0; k < n; k++) sum += !strcmp(loss, "bpr") ? (k ? log1p(exp(scores[k] - scores[0])) / (double)(n - 1) : 0) : exp(scores[k] - scores[0]);
  return !strcmp(loss, "bpr") ? sum : log(sum);
}

/* The scores of a success's group; of every item: its row with each item's id in the place of its own. */
static size_t group_scores(const setup *s, const moon_model *model, size_t row, bool all, double *scores) {
  const moon_feature_plan *plan = s->d->plan;
  size_t n = all ? moon_model_items(model) : 1 + EACH, bags = plan->bag_slots * plan->bag_length;
  float got[64];
  moon_arena arena = {0};
  moon_inputs inputs;
  OK(moon_inputs_alloc(plan, &arena, n, &inputs));
  uint32_t own = s->d->inputs.ids[row * plan->id_slots + model->item_slot];
  assert_true(n <= 64 && own > 0);
  for (size_t k = 0; k < n; k++) {
    size_t from = all ? row : row + k;
    memcpy(inputs.dense + k * plan->dense_slots, s->d->inputs.dense + from * plan->dense_slots, plan->dense_slots * sizeof(float));
    memcpy(inputs.ids + k * plan->id_slots, s->d->inputs.ids + from * plan->id_slots, plan->id_slots * sizeof(uint32_t));
    memcpy(inputs.bags + k * bags, s->d->inputs.bags + from * bags, bags * sizeof(uint32_t));
    if (all) inputs.ids[k * plan->id_slots + model->item_slot] = (uint32_t)(1 + (own - 1 + k) % n); /* its own first */
  }
  OK(moon_model_score(model, &inputs, n, &arena, got));
  for (size_t k = 0; k < n; k++) scores[k] = got[k];
  moon_arena_free(&arena);
  return n;
}

static double mean_loss(const setup *s, const moon_model *model, const char *loss, moon_part part, bool all, size_t *count) {
  double sum = 0, scores[64];
  *count = 0;
  for (size_t i = 0; i < s->d->examples.n; i++) {
    if (s->d->part[i] != part || s->d->examples.label[i] == 0) continue;
    sum += plain_loss(loss, scores, group_scores(s, model, i, all, scores));
    ++*count;
  }
  return sum / (double)*count;
}

/* A step that goes nowhere leaves the loss of the first weights. */
static void losses_are_those_of_a_plain_loop(void **state) {
  (void)state;
  for (size_t c = 0; c < CASES; c++) {
    setup s = make(cases[c].loss, cases[c].negatives, cases[c].model);
    moon_model *model;
    moon_fit_report report;
    size_t n, validation;
    json_object_set_new(train_of(&s), "epochs", json_integer(1));
    json_object_set_new(train_of(&s), "batch", json_integer(70));
    json_object_set_new(train_of(&s), "optimizer", json_pack("{s:s, s:f}", "type", "sgd", "lr", 0.0));
    fit(&s, NULL, &model, &report);
    NEAR(report.train_loss[0], mean_loss(&s, model, cases[c].loss, MOON_TRAIN, !cases[c].negatives, &n), 2e-5);
    NEAR(report.valid_loss[0], mean_loss(&s, model, cases[c].loss, MOON_VALIDATION, !cases[c].negatives, &validation), 2e-5);
    assert_true(n > 100 && validation > 5);
    assert_int_equal(report.steps, (n + 69) / 70);
    moon_model_free(model);
    drop(&s);
  }
}

/* How likely items were to be drawn, by hand: as often as they are training examples; of a batch, as training successes. */
static void count_by_hand(const moon_dataset *d, bool batch, double *q) {
  double sum = 0;
  for (size_t i = 0; i < d->examples.n; i++) {
    bool success = d->examples.label[i] > 0;
    if (d->part[i] == MOON_TRAIN && (success || !batch)) q[d->examples.item[i]]++;
    if (success && d->part[i] != MOON_TEST) i += EACH; /* what was drawn for it */
  }
  for (size_t i = 0; i < 10; i++) sum += q[i] = q[i] > 0 ? q[i] : 1;
  for (size_t i = 0; i < 10; i++) q[i] /= sum;
}

/* log_q: what was drawn counts for 1 / (k q) in the sum of a softmax, q of what is not the success's own. */
static void log_q_is_what_a_count_by_hand_says(void **state) {
  (void)state;
  static const char *const by[] = {"uniform", "popularity", "batch"};
  for (size_t b = 0; b < 3; b++) {
    setup s = make("softmax", EACH, product);
    json_t *sampling = json_pack("{s:s, s:f}", "by", by[b], "power", 1.0);
    double q[64] = {0}, sum = 0, scores[64];
    size_t n = 0;
    moon_model *model;
    moon_fit_report report, plain;
    json_object_set_new(json_object_get(s.plan, "label"), "sampling", sampling);
    json_object_set_new(train_of(&s), "epochs", json_integer(1));
    json_object_set_new(train_of(&s), "batch", json_integer(70));
    json_object_set_new(train_of(&s), "optimizer", json_pack("{s:s, s:f}", "type", "sgd", "lr", 0.0));
    moon_dataset_free(s.d);
    OK(shoplet_dataset(s.folder, s.plan, &s.d));
    assert_null(s.d->drawn);
    fit(&s, NULL, &model, &plain);
    moon_model_free(model);
    json_object_set_new(train_of(&s), "log_q", json_true());
    moon_dataset_free(s.d);
    OK(shoplet_dataset(s.folder, s.plan, &s.d));
    count_by_hand(s.d, b == 2, q);
    for (size_t i = 0; i < 10 && b == 0; i++) q[i] = 0.1;
    fit(&s, NULL, &model, &report);
    for (size_t i = 0; i < s.d->examples.n; i++) {
      if (s.d->part[i] != MOON_TRAIN || s.d->examples.label[i] == 0) continue;
      double below = 1;
      group_scores(&s, model, i, false, scores);
      for (size_t k = 1; k <= EACH; k++)
        below += exp(scores[k] - scores[0]) * (1 - q[s.d->examples.item[i]]) / (EACH * q[s.d->examples.item[i + k]]);
      sum += log(below), n++;
    }
    NEAR(report.train_loss[0], sum / (double)n, 2e-5);
    assert_true(fabs(report.train_loss[0] - plain.train_loss[0]) > 0.1);
    moon_model_free(model);
    drop(&s);
  }
}

static void what_was_chosen_comes_to_score_above_what_was_not(void **state) {
  (void)state;
  for (size_t c = 0; c < CASES; c++) {
    setup s = make(cases[c].loss, cases[c].negatives, cases[c].model);
    moon_model *model;
    moon_fit_report report;
    json_object_set_new(train_of(&s), "epochs", json_integer(20));
    json_object_set_new(train_of(&s), "batch", json_integer(32));
    fit(&s, NULL, &model, &report);
    assert_true(report.train_loss[19] < report.train_loss[0] - 0.1);
    assert_true(report.valid_loss[19] < report.valid_loss[0]);
    moon_model_free(model);
    drop(&s);
  }
}

/* Each pair, or the whole comparison, as often as its success weighs: weighing all twice doubles the loss. */
static void weights_are_those_of_the_success(void **state) {
  (void)state;
  for (size_t c = 0; c < CASES; c++) {
    setup s = make(cases[c].loss, cases[c].negatives, cases[c].model);
    moon_column *time;
    moon_model *model;
    moon_fit_report plain, weighed;
    json_object_set_new(train_of(&s), "epochs", json_integer(1));
    json_object_set_new(train_of(&s), "optimizer", json_pack("{s:s, s:f}", "type", "sgd", "lr", 0.0));
    fit(&s, NULL, &model, &plain);
    moon_model_free(model);
    OK(moon_table_require(s.d->log->table, "time", &time));
    for (size_t i = 0; i < s.d->log->table->rows; i++) time->i64[i] = 2;
    json_object_set_new(train_of(&s), "weight", json_string("time"));
    fit(&s, NULL, &model, &weighed);
    NEAR(weighed.train_loss[0], 2 * plain.train_loss[0], 1e-4);
    moon_model_free(model);
    drop(&s);
  }
}

/* ---- what does not show --------------------------------------------------------------------------------------------------------------- */

static void threads_and_laying_ahead_do_not_show(void **state) {
  (void)state;
  for (size_t c = 0; c < CASES; c++) {
    setup s = make(cases[c].loss, cases[c].negatives, cases[c].model);
    moon_model *plain, *other;
    moon_fit_report report;
    json_object_set_new(train_of(&s), "batch", json_integer(cases[c].negatives ? 100 : 300)); /* of more than one shard */
    json_object_set_new(train_of(&s), "ahead", json_integer(0));
    fit(&s, &(moon_fit_options){.threads = 1}, &plain, &report);
    for (size_t threads = 2; threads <= 4; threads++) {
      json_object_set_new(train_of(&s), "ahead", json_integer((json_int_t)threads));
      fit(&s, &(moon_fit_options){.threads = threads}, &other, &report);
      assert_same_weights(plain, other, true);
      moon_model_free(other);
    }
    moon_model_free(plain);
    drop(&s);
  }
}

static moon_status break_off(void *self, uint32_t fn, const moon_fit_info *info, bool *stop) {
  (void)fn, (void)stop;
  return info->step == *(size_t *)self ? moon_fail(MOON_ESCRIPT, "broken off") : moon_ok();
}

static void a_resumed_fit_ends_as_if_never_broken_off(void **state) {
  (void)state;
  for (size_t c = 0; c < CASES; c++) {
    setup s = make(cases[c].loss, cases[c].negatives, cases[c].model);
    char *path = moon_path_join(s.folder, "fit.checkpoint");
    size_t at = SIZE_MAX;
    moon_model *whole, *model;
    moon_fit_report report, again;
    json_object_set_new(train_of(&s), "batch", json_integer(50));
    json_object_set_new(train_of(&s), "on_step", json_pack("{s:i, s:i}", "fn", 2, "every", 1));
    moon_fit_options options = {.functions = &(moon_fit_functions){&at, break_off}, .checkpoint = path, .checkpoint_every = 2, .resume = true, .plan = s.plan};
    fit(&s, &options, &whole, &report);
    moon_checkpoint_remove(path);
    for (at = 3; at < report.steps; at += 4) {
      size_t stop = at;
      OK(shoplet_model(s.plan, s.d, 1, &model));
      REFUSED(MOON_ESCRIPT, "broken off", moon_fit(model, s.d, train_of(&s), &options, &again));
      moon_model_free(model);
      at = SIZE_MAX;
      fit(&s, &options, &model, &again);
      assert_true(again.resumed);
      assert_same_weights(whole, model, true);
      assert_memory_equal(again.train_loss, report.train_loss, sizeof again.train_loss);
      moon_model_free(model);
      moon_checkpoint_remove(path);
      at = stop;
    }
    moon_model_free(whole);
    moon_free(path);
    drop(&s);
  }
}

static void no_memory_is_said_and_leaks_nothing(void **state) {
  (void)state;
  for (size_t c = 0; c < CASES; c++) {
    setup s = make(cases[c].loss, cases[c].negatives, cases[c].model);
    json_object_set_new(train_of(&s), "epochs", json_integer(1));
    json_object_set_new(train_of(&s), "ahead", json_integer(0));
    moon_status status = {.code = MOON_ENOMEM};
    for (size_t n = 1; status.code; n++) {
      moon_model *model;
      moon_fit_report report;
      OK(shoplet_model(s.plan, s.d, 1, &model));
      moon_alloc_fail_at(n);
      status = moon_fit(model, s.d, train_of(&s), &(moon_fit_options){.threads = 1}, &report);
      moon_alloc_fail_at(0);
      if (status.code) assert_int_equal(status.code, MOON_ENOMEM);
      moon_model_free(model);
    }
    drop(&s);
  }
}

/* A request's candidates have one user, and an example by itself has one too. */
static void rows_together_score_as_each_alone(void **state) {
  (void)state;
  setup s = make("softmax", 0, product);
  moon_model *model;
  moon_fit_report report;
  fit(&s, NULL, &model, &report);
  const moon_feature_plan *plan = s.d->plan;
  moon_arena arena = {0};
  float all[300], one;
  size_t bags = plan->bag_slots * plan->bag_length;
  OK(moon_model_score(model, &s.d->inputs, 300, &arena, all)); /* of many users */
  for (size_t i = 0; i < 300; i++) {
    moon_inputs row = {.dense = s.d->inputs.dense + i * plan->dense_slots, .ids = s.d->inputs.ids + i * plan->id_slots, .bags = s.d->inputs.bags + i * bags};
    OK(moon_model_score(model, &row, 1, &arena, &one));
    NEAR(one, all[i], 1e-5);
  }
  double scores[64]; /* of one user: every item */
  size_t n = group_scores(&s, model, 0, true, scores);
  for (size_t k = 0; k < n; k++) {
    uint32_t ids[16];
    memcpy(ids, s.d->inputs.ids, plan->id_slots * sizeof *ids);
    ids[model->item_slot] = (uint32_t)(1 + (ids[model->item_slot] - 1 + k) % n);
    moon_inputs row = {.dense = s.d->inputs.dense, .ids = ids, .bags = s.d->inputs.bags};
    OK(moon_model_score(model, &row, 1, &arena, &one));
    NEAR(one, scores[k], 1e-5);
  }
  moon_arena_free(&arena);
  moon_model_free(model);
  drop(&s);
}

/* ---- the data, and what is refused ------------------------------------------------------------------------------------------------------ */

static bool has_chosen(const moon_dataset *d, uint32_t user, uint32_t item) {
  for (size_t i = 0; i < d->examples.n; i++) {
    const moon_event *event = &d->log->events[d->examples.event[i]];
    if (d->part[i] == MOON_TRAIN && d->examples.label[i] > 0 && event->user == user && event->item == item) return true;
  }
  return false;
}

static void negatives_are_unseen_and_stand_behind_their_success(void **state) {
  (void)state;
  setup s = make("bpr", EACH, product);
  const moon_dataset *d = s.d;
  size_t drawn = 0, seen = 0;
  for (size_t i = 0; i < d->examples.n; i++) {
    bool success = d->examples.label[i] > 0 && d->part[i] != MOON_TEST;
    for (size_t k = 1; success && k <= EACH; k++, drawn++) {
      assert_int_equal(d->examples.event[i + k], d->examples.event[i]);
      assert_int_equal(d->part[i + k], d->part[i]);
      assert_true(d->examples.label[i + k] == 0);
      seen += has_chosen(d, d->log->events[d->examples.event[i]].user, d->examples.item[i + k]);
    }
  }
  assert_int_equal(drawn, d->negatives + d->validation_negatives);
  assert_true(d->negatives > 0 && d->validation_negatives > 0);
  assert_int_equal(seen, 0);
  drop(&s);
}

/* A part that is judged is as it was observed. */
static void what_is_judged_has_no_negatives(void **state) {
  (void)state;
  setup s = make("bpr", EACH, product);
  moon_dataset *d;
  json_object_set_new(train_of(&s), "split", json_pack("{s:s, s:[f, f, f]}", "by", "time", "parts", 0.8, 0.2, 0.0));
  OK(shoplet_dataset(s.folder, s.plan, &d));
  assert_int_equal(d->judged, MOON_VALIDATION);
  assert_int_equal(d->validation_negatives, 0);
  moon_dataset_free(d);
  drop(&s);
}

/* Scores are no probabilities: log loss and accuracy say nothing, AUC and ranks do. */
static void a_score_has_no_log_loss(void **state) {
  (void)state;
  setup s = make("bpr", EACH, product);
  moon_model *model;
  moon_fit_report report;
  json_t *got;
  fit(&s, NULL, &model, &report);
  OK(moon_evaluate(model, s.d, json_object_get(s.plan, "evaluate"), 1, NULL, &got));
  const json_t *metrics = json_object_get(got, "model");
  assert_true(json_is_null(json_object_get(metrics, "logloss")) && json_is_null(json_object_get(metrics, "accuracy")));
  assert_true(json_is_real(json_object_get(metrics, "auc")) && json_is_real(json_object_get(metrics, "ndcg@5")));
  json_decref(got);
  moon_model_free(model);
  drop(&s);
}

static void nonsense_is_refused(void **state) {
  (void)state;
  static const char sigmoid[] = "[{\"type\":\"dense\",\"units\":1,\"activation\":\"sigmoid\"}]";
  static const struct {
    const char *loss, *model, *message;
    int negatives;
  } wrong[] = {
      {"bpr", product, "the loss bpr needs what was not chosen: the label's negatives = N draws it", 0},
      {"bpr", sigmoid, "the loss bpr compares scores; the model's last layer must be linear", EACH},
      {"softmax", sigmoid, "the loss softmax compares scores", EACH},
      {"softmax", stack, "ends with m.nn.dot", 0},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    setup s = make(wrong[i].loss, wrong[i].negatives, wrong[i].model);
    moon_model *model;
    moon_fit_report report;
    OK(shoplet_model(s.plan, s.d, 1, &model));
    REFUSED(MOON_EINVAL, wrong[i].message, moon_fit(model, s.d, train_of(&s), NULL, &report));
    moon_model_free(model);
    drop(&s);
  }
  moon_loss loss;
  json_t *train = json_pack("{s:s}", "loss", "bpl");
  REFUSED(MOON_EINVAL, "there is no loss 'bpl'; there are bce, mse, bpr and softmax", moon_loss_parse(train, &loss));
  json_decref(train);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(losses_are_those_of_a_plain_loop),
      cmocka_unit_test(log_q_is_what_a_count_by_hand_says),
      cmocka_unit_test(what_was_chosen_comes_to_score_above_what_was_not),
      cmocka_unit_test(weights_are_those_of_the_success),
      cmocka_unit_test(threads_and_laying_ahead_do_not_show),
      cmocka_unit_test(a_resumed_fit_ends_as_if_never_broken_off),
      cmocka_unit_test(no_memory_is_said_and_leaks_nothing),
      cmocka_unit_test(rows_together_score_as_each_alone),
      cmocka_unit_test(negatives_are_unseen_and_stand_behind_their_success),
      cmocka_unit_test(what_is_judged_has_no_negatives),
      cmocka_unit_test(a_score_has_no_log_loss),
      cmocka_unit_test(nonsense_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

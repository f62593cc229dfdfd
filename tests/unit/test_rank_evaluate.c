/* test_rank_evaluate.c - estimates, their samples, slices and comparisons, on a shop of a few hundred events. */
#include "exhaust.h"
#include "rank/evaluate.h"
#include "shoplet.h"

static const char all_metrics[] =
    "[\"accuracy\",\"precision\",\"recall\",\"f1\",\"auc\",\"gauc\",\"logloss\",\"calibration\",\"recall@3\",\"ndcg@3\",\"hit@3\",\"mrr@3\","
    "\"map@3\",\"coverage\",\"gini@3\",\"novelty\",\"diversity\"]";

typedef struct setup {
  char *folder;
  json_t *plan, *names;
  moon_dataset *d;
  moon_model *model;
  moon_evaluation *e;
} setup;

static int up(void **state) {
  setup *s = calloc(1, sizeof *s);
  s->folder = shoplet_make(900);
  s->plan = shoplet_json();
  s->names = json_loads(all_metrics, 0, NULL);
  OK(shoplet_dataset(s->folder, s->plan, &s->d));
  OK(shoplet_model(s->plan, s->d, 1, &s->model));
  OK(moon_fit(s->model, s->d, json_object_get(s->plan, "train"), NULL, &(moon_fit_report){0}));
  OK(moon_evaluation_new(s->model, s->d, s->names, 1, NULL, &s->e));
  *state = s;
  return 0;
}

static int down(void **state) {
  setup *s = *state;
  moon_evaluation_free(s->e);
  moon_model_free(s->model);
  moon_dataset_free(s->d);
  json_decref(s->names);
  json_decref(s->plan);
  shoplet_remove(s->folder);
  free(s);
  return 0;
}

static const moon_slice whole = {.kind = MOON_SLICE_ALL};

static const moon_estimate *find(const moon_evaluation *e, const moon_estimates *estimates, int ranker, const char *name) {
  for (size_t m = 0; m < e->metric_n; m++)
    if (!strcmp(e->metrics[m].name, name)) return &estimates->of[ranker][m];
  fail_msg("no %s", name);
  return NULL;
}

/* Fractions added up over users are the metrics over all examples at once. */
static void estimates_are_the_plain_metrics(void **state) {
  setup *s = *state;
  const moon_judged *j = s->e->judged;
  moon_arena arena = {0};
  static moon_estimates got;
  OK(moon_estimate_slice(s->e, &whole, &arena, &got));
  static const struct {
    const char *name;
    double (*metric)(const float *, const float *, size_t);
  } plain[] = {{"accuracy", moon_accuracy}, {"precision", moon_precision_of}, {"recall", moon_recall_of}, {"f1", moon_f1}, {"auc", moon_auc}, {"logloss", moon_logloss}};
  for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
    double want = plain[i].metric(j->score[0], j->label, j->n), value = find(s->e, &got, MOON_BY_MODEL, plain[i].name)->value;
    if (isnan(want)) assert_true(isnan(value));
    else NEAR(value, want, 1e-12);
  }
  NEAR(find(s->e, &got, MOON_BY_MODEL, "gauc")->value, moon_grouped_auc(j->score[0], j->label, j->start, s->e->users), 1e-12);
  assert_true(isnan(find(s->e, &got, MOON_BY_POPULARITY, "accuracy")->value));
  static const char *const lists[] = {"recall@3", "ndcg@3", "hit@3", "mrr@3", "map@3", "coverage", "gini@3", "novelty", "diversity"};
  for (int ranker = 0; ranker < MOON_RANKERS; ranker++) /* every baseline has every ranking metric */
    for (size_t i = 0; i < 9; i++) assert_true(isfinite(find(s->e, &got, ranker, lists[i])->value));
  moon_arena_free(&arena);
}

/* The sampled AUC and fractions against those of examples written out as often as their users count. */
static void a_sample_is_its_users_repeated(void **state) {
  setup *s = *state;
  const moon_evaluation *e = s->e;
  const moon_judged *j = e->judged;
  moon_arena arena = {0};
  static moon_estimates got;
  OK(moon_estimate_slice(e, &whole, &arena, &got));
  OK(moon_resample(e, &got, &arena));
  const moon_estimate *auc = find(e, &got, 0, "auc"), *accuracy = find(e, &got, 0, "accuracy");
  assert_non_null(auc->sample);
  float *score = malloc(j->n * 9 * sizeof *score), *label = malloc(j->n * 9 * sizeof *label);
  double weights = 0;
  for (size_t b = 0; b < MOON_RESAMPLES; b += 37) {
    size_t n = 0;
    for (size_t u = 0; u < e->users; u++) {
      uint64_t bits = moon_mix64(e->user_key[u] + (b / 2 * 2 + 2) * 0x9e3779b97f4a7c15u);
      double draw = (double)(uint32_t)(b % 2 ? bits >> 32 : bits) * 0x1p-32, below = exp(-1), term = below;
      int count = 0; /* Poisson(1) by its distribution */
      while (draw >= below && count < 8) term /= ++count, below += term;
      weights += count;
      for (int c = 0; c < count; c++)
        for (size_t i = j->start[u]; i < j->start[u + 1]; i++) score[n] = j->score[0][i], label[n++] = j->label[i];
    }
    double want = moon_auc(score, label, n);
    if (isnan(want)) assert_true(isnan(auc->sample[b]));
    else NEAR(auc->sample[b], want, 1e-12);
    if (n) NEAR(accuracy->sample[b], moon_accuracy(score, label, n), 1e-12);
  }
  NEAR(weights / (28 * (double)e->users), 1, 0.2);
  free(score);
  free(label);
  moon_arena_free(&arena);
}

/* Half of a normal's 95 % interval is 1.96 standard errors of the mean. */
static void intervals_are_as_wide_as_theory_says(void **state) {
  (void)state;
  enum { USERS = 2000 };
  moon_evaluation e = {.users = USERS, .metric_n = 1};
  moon_arena arena = {0};
  static moon_estimates estimates;
  moon_estimate *one = &estimates.of[0][0];
  moon_rng rng;
  moon_rng_seed(&rng, 31, 0);
  e.user_key = moon_arena_alloc(&arena, USERS * sizeof *e.user_key);
  *one = (moon_estimate){.n = USERS, .part = moon_arena_alloc(&arena, USERS * sizeof *one->part), .user = moon_arena_alloc(&arena, USERS * sizeof *one->user)};
  for (uint32_t u = 0; u < USERS; u++) {
    e.user_key[u] = moon_rng_u64(&rng);
    one->user[u] = u;
    one->part[u] = (moon_fraction){moon_rng_normal(&rng), 1};
  }
  OK(moon_resample(&e, &estimates, &arena));
  double low, high;
  assert_true(moon_sample_interval(one->sample, &low, &high));
  NEAR((high - low) / 2, 1.96 / sqrt(USERS), 0.1 / sqrt(USERS) * 1.96);
  one->n = 1; /* of one user nothing is known about others */
  one->sample = NULL;
  OK(moon_resample(&e, &estimates, &arena));
  assert_false(moon_sample_interval(one->sample, &low, &high));
  moon_arena_free(&arena);
}

static void slices_hold_their_examples(void **state) {
  setup *s = *state;
  json_t *report, *slice;
  size_t i, categories = 0, examples = 0;
  OK(moon_evaluation_report(s->e, &report));
  json_array_foreach(json_object_get(report, "slices"), i, slice) {
    const char *name = json_string_value(json_object_get(slice, "name"));
    if (strncmp(name, "category = c", 12)) continue;
    categories++;
    examples += (size_t)json_integer_value(json_object_get(slice, "examples"));
    assert_true(json_is_number(json_object_get(json_object_get(slice, "model"), "accuracy")));
  }
  assert_int_equal(categories, 3);
  assert_int_equal(examples, s->d->part_n[MOON_TEST]); /* each item has one category */
  json_decref(report);
  const moon_evaluate_options by_product = {.slice = "product"}, wrong = {.slice = "catgory"}, number = {.slice = "price"};
  moon_evaluation *other;
  OK(moon_evaluation_new(s->model, s->d, s->names, 1, &by_product, &other));
  assert_string_equal(other->slices[2].name + strlen("product = "), moon_column_text(moon_table_column(s->d->catalogue->table, "product"), 0));
  moon_evaluation_free(other);
  REFUSED(MOON_EINVAL, "did you mean 'category'?", moon_evaluation_new(s->model, s->d, s->names, 1, &wrong, &other));
  REFUSED(MOON_EINVAL, "no column 'price' of texts", moon_evaluation_new(s->model, s->d, s->names, 1, &number, &other));
}

static void a_model_against_itself_differs_by_nothing(void **state) {
  setup *s = *state;
  json_t *out, *one;
  const char *name;
  OK(moon_evaluation_compare(s->e, s->e, &out));
  json_object_foreach(out, name, one) {
    if (!json_is_number(json_object_get(one, "p"))) continue;
    assert_true(json_number_value(json_object_get(one, "difference")) == 0);
    assert_true(json_number_value(json_object_get(one, "p")) == 1);
  }
  json_decref(out);
  moon_model *untrained;
  moon_evaluation *other;
  OK(shoplet_model(s->plan, s->d, 9, &untrained));
  OK(moon_model_compile(untrained));
  OK(moon_evaluation_new(untrained, s->d, s->names, 1, NULL, &other));
  OK(moon_evaluation_compare(s->e, other, &out));
  one = json_object_get(out, "logloss");
  assert_true(json_number_value(json_object_get(one, "difference")) < 0 && json_number_value(json_object_get(one, "p")) < 0.05);
  json_decref(out);
  other->examples_print++;
  REFUSED(MOON_EINVAL, "different examples", moon_evaluation_compare(s->e, other, &out));
  other->examples_print--, other->lists_print++;
  REFUSED(MOON_EINVAL, "different users", moon_evaluation_compare(s->e, other, &out));
  moon_evaluation_free(other);
  moon_model_free(untrained);
}

static void names_of_metrics_are_checked(void **state) {
  (void)state;
  moon_metric metrics[MOON_MOST_METRICS];
  size_t n, k;
  static const char *const wrong[] = {"ndcg", "auc@3", "recall@0", "recall@1001", "recall@", "recall@5x", "recall@-1", "recall@ 5", "", "@5", "hitt@20"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    json_t *names = json_pack("[s]", wrong[i]);
    REFUSED(MOON_EINVAL, "there is no metric", moon_metrics_parse(names, NULL, 0, metrics, &n, &k));
    json_decref(names);
  }
  json_t *names = json_pack("[s, s, s]", "recall", "recall@7", "gini");
  OK(moon_metrics_parse(names, NULL, 0, metrics, &n, &k));
  assert_int_equal(metrics[0].kind, MOON_METRIC_RECALL);
  assert_int_equal(metrics[1].kind, MOON_METRIC_RECALL_AT);
  assert_int_equal(metrics[2].k, 7);
  json_decref(names);
}

static moon_status measure_all(void *self) {
  setup *s = self;
  moon_evaluation *e;
  json_t *out = NULL;
  MOON_TRY(moon_evaluation_new(s->model, s->d, s->names, 1, NULL, &e));
  moon_status status = moon_evaluation_report(e, &out);
  json_decref(out);
  if (!status.code) status = moon_evaluation_compare(e, s->e, &out), json_decref(status.code ? NULL : out);
  moon_evaluation_free(e);
  return status;
}

static void failing_allocations_leave_nothing_behind(void **state) {
  (void)state;
  assert_true(exhaust(measure_all, *state) > 20);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, up, down)
  const struct CMUnitTest tests[] = {
      CASE(estimates_are_the_plain_metrics), CASE(a_sample_is_its_users_repeated), cmocka_unit_test(intervals_are_as_wide_as_theory_says),
      CASE(slices_hold_their_examples), CASE(a_model_against_itself_differs_by_nothing), cmocka_unit_test(names_of_metrics_are_checked),
      CASE(failing_allocations_leave_nothing_behind),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_feature_steps.c - numbers on their way: clipped, scaled and put in buckets as the plain definitions say, fitted to the training
 * part alone, and the same whether fitted in this process or read back. */
#include "feature_world.h"

/* One number of the items, x, through these steps. */
typedef struct road {
  moon_catalogue *catalogue;
  moon_feature_plan *plan;
  moon_vocab *vocab;
  moon_features *features;
  moon_state *state;
  moon_arena arena;
  moon_inputs in;
  size_t n;
} road;

/* values: [n]; NaN is an empty field. use: [n] the training part, NULL: all. */
static road *road_new(const char *steps, const double *values, const uint8_t *use, size_t n) {
  road *r = calloc(1, sizeof *r);
  moon_buf csv = {0}, plan = {0};
  moon_buf_puts(&csv, "item,x\n");
  for (size_t i = 0; i < n; i++) {
    moon_buf_printf(&csv, "i%zu,", i);
    if (!isnan(values[i])) moon_buf_printf(&csv, "%.17g", values[i]);
    moon_buf_puts(&csv, "\n");
  }
  const moon_read_column columns[] = {{"item", "item", "string"}, {"x", "x", "number"}};
  const moon_read_options options = {.delimiter = ',', .columns = columns, .column_count = 2};
  moon_read_report report;
  moon_table *table;
  OK(moon_csv_read_memory("items.csv", csv.data, csv.n, &options, &table, &report));
  OK(moon_catalogue_new(table, &r->catalogue));
  moon_buf_printf(&plan, "[{'op':'numeric','name':'x','column':'x','dim':3,'steps':%s}]", steps);
  r->plan = plan_of(plan.data, r->catalogue);
  OK(moon_state_new(r->plan, &r->state));
  OK(moon_vocab_new(&r->vocab));
  OK(moon_features_bind(r->plan, r->catalogue, &r->vocab, &r->features));
  OK(moon_inputs_alloc(r->plan, &r->arena, r->n = n + 1, &r->in));
  uint8_t *all = malloc(n + 1);
  memset(all, 1, n + 1);
  all[n] = 0; /* the item that nobody knows */
  if (use) memcpy(all, use, n);
  for (size_t i = 0; i <= n; i++)
    moon_features_compute_at(r->features, r->state, MOON_NONE, NULL, i < n ? (uint32_t)i : MOON_NONE, 0, NULL, &r->in, i);
  OK(moon_features_fit(r->features, &r->in, all, n + 1));
  free(all);
  moon_buf_free(&csv);
  moon_buf_free(&plan);
  return r;
}

static void road_free(road *r) {
  moon_arena_free(&r->arena);
  moon_features_free(r->features);
  moon_state_free(r->state);
  moon_vocab_free(r->vocab);
  moon_feature_plan_free(r->plan);
  moon_catalogue_free(r->catalogue);
  free(r);
}

/* What was fitted in place is what is computed afterwards, here and with the vocabulary written and read. */
static void check_again(const road *r) {
  json_t *json = moon_vocab_json(r->vocab);
  moon_vocab *vocab;
  moon_features *features;
  OK(moon_vocab_parse(json, &vocab));
  OK(moon_features_bind(r->plan, r->catalogue, &vocab, &features));
  bool id = r->plan->id_slots > 0;
  for (size_t i = 0; i < r->n; i++) {
    uint32_t item = i + 1 < r->n ? (uint32_t)i : MOON_NONE, ids[2];
    float dense[2];
    moon_inputs one = {.dense = dense, .ids = ids}, two = {.dense = dense + 1, .ids = ids + 1};
    moon_features_compute(r->features, r->state, MOON_NONE, NULL, &item, 1, 0, &one);
    moon_features_compute(features, r->state, MOON_NONE, NULL, &item, 1, 0, &two);
    if (id) assert_true(ids[0] == r->in.ids[i] && ids[1] == ids[0]);
    else assert_true(dense[0] == r->in.dense[i] && dense[1] == dense[0]);
  }
  moon_features_free(features);
  moon_vocab_free(vocab);
  json_decref(json);
}

static void steps_are_taken_in_their_order(void **nothing) {
  (void)nothing;
  const double values[] = {-5, 0, 2, 7, 100, NAN, 1e300};
  road *r = road_new("[{'op':'clip','bounds':[-1,50]},{'op':'log'},{'op':'clip','bounds':[0.5,2]}]", values, NULL, MANY(values));
  const double want[] = {0.5, 0.5, log(3), 2, 2, 0, 2, 0};
  for (size_t i = 0; i < MANY(want); i++) NEAR(r->in.dense[i], want[i], 1e-6);
  check_again(r);
  road_free(r);
}

static void edges_make_buckets_and_no_number_has_its_own(void **nothing) {
  (void)nothing;
  const double values[] = {-5, 0.99, 1, 2, 2.5, 99, NAN};
  road *r = road_new("[{'op':'bucketize','edges':[1,2,10]}]", values, NULL, MANY(values));
  const uint32_t want[] = {1, 1, 2, 3, 3, 4, 0, 0};
  assert_int_equal(r->plan->dense_slots, 0);
  assert_int_equal(moon_feature_rows(&r->plan->features[0], r->vocab), 5);
  for (size_t i = 0; i < MANY(want); i++) assert_int_equal(r->in.ids[i], want[i]);
  check_again(r);
  road_free(r);
}

/* The plain definitions over the values in use, as floats, which is what a cell holds. */
static void fitted_steps_follow_the_training_part_alone(void **nothing) {
  (void)nothing;
  enum { N = 403 };
  static double values[N];
  static uint8_t use[N];
  moon_rng rng;
  moon_rng_seed(&rng, 5, 5);
  for (int round = 0; round < 4; round++) {
    double mean = 0, square = 0, low = INFINITY, high = -INFINITY, n = 0;
    for (size_t i = 0; i < N; i++) {
      values[i] = moon_rng_below(&rng, 9) ? (float)(moon_rng_normal(&rng) * 30 + 10) : NAN;
      if (round == 1 && !isnan(values[i])) values[i] = floor(values[i] / 10);
      use[i] = moon_rng_below(&rng, 3) > 0;
      if (!use[i] && !isnan(values[i]) && i % 2) values[i] *= 100; /* what training must not see */
      if (!use[i] || isnan(values[i])) continue;
      mean += values[i], square += values[i] * values[i], n++;
      low = fmin(low, values[i]), high = fmax(high, values[i]);
    }
    mean /= n;
    road *standard = road_new("[{'op':'scale','by':'standard'}]", values, use, N);
    road *minmax = road_new("[{'op':'scale','by':'minmax'}]", values, use, N);
    road *quantile = road_new("[{'op':'scale','by':'quantile'}]", values, use, N);
    road *buckets = road_new("[{'op':'bucketize','buckets':7}]", values, use, N);
    size_t in_bucket[9] = {0};
    for (size_t i = 0; i < N; i++) {
      double x = values[i], below = 0, equal = 0;
      for (size_t j = 0; j < N; j++) below += use[j] && values[j] < x, equal += use[j] && values[j] == x;
      NEAR(standard->in.dense[i], isnan(x) ? 0 : (x - mean) / sqrt(square / n - mean * mean), 1e-3);
      NEAR(minmax->in.dense[i], isnan(x) ? 0 : fmin(fmax((x - low) / (high - low), 0), 1), 1e-5);
      NEAR(quantile->in.dense[i], isnan(x) ? 0 : (below + equal / 2) / n, 0.02);
      if (use[i]) in_bucket[buckets->in.ids[i]]++;
      assert_true((buckets->in.ids[i] == 0) == isnan(x) && buckets->in.ids[i] < 8);
    }
    for (size_t b = 1; b < 8 && round != 1; b++) assert_true(fabs((double)in_bucket[b] - n / 7) <= 2);
    road *all[] = {standard, minmax, quantile, buckets};
    for (size_t k = 0; k < MANY(all); k++) {
      check_again(all[k]);
      road_free(all[k]);
    }
  }
}

/* Fitted to nothing, or to one value: no number that is not finite. */
static void fitting_to_next_to_nothing_gives_finite_numbers(void **nothing) {
  (void)nothing;
  static const char *const ways[] = {"[{'op':'scale','by':'standard'}]", "[{'op':'scale','by':'minmax'}]",
                                     "[{'op':'scale','by':'quantile'}]", "[{'op':'bucketize','buckets':3}]"};
  const double values[] = {4, 4, NAN, 9};
  const uint8_t none[] = {0, 0, 1, 0}, one[] = {1, 1, 0, 0};
  for (size_t k = 0; k < MANY(ways); k++) {
    for (int which = 0; which < 2; which++) {
      road *r = road_new(ways[k], values, which ? one : none, 4);
      for (size_t i = 0; i < r->n && k < 3; i++) assert_true(isfinite(r->in.dense[i]));
      for (size_t i = 0; i < r->n && k == 3; i++) assert_true(r->in.ids[i] <= 3);
      check_again(r);
      road_free(r);
    }
  }
}

static void fitted_steps_build_on_each_other(void **nothing) {
  (void)nothing;
  const double values[] = {1, 2, 3, 4, 1000};
  road *r = road_new("[{'op':'scale','by':'minmax'},{'op':'log'},{'op':'scale','by':'standard'}]", values, NULL, 5);
  double want[5], mean = 0, square = 0;
  for (size_t i = 0; i < 5; i++) want[i] = log1p((values[i] - 1) / 999), mean += want[i] / 5;
  for (size_t i = 0; i < 5; i++) square += (want[i] - mean) * (want[i] - mean) / 5;
  for (size_t i = 0; i < 5; i++) NEAR(r->in.dense[i], (want[i] - mean) / sqrt(square), 1e-4);
  assert_int_equal(moon_feature_fitted(&r->plan->features[0]), 4);
  check_again(r);
  road_free(r);
}

/* Each window of a count has numbers of its own; a count without steps is its log, with them it is the count. */
static void each_window_of_a_count_is_fitted_by_itself(void **nothing) {
  (void)nothing;
  moon_catalogue *catalogue = world_catalogue();
  moon_feature_plan *plan = plan_of(
      "[{'op':'count','name':'c','entity':'item','kinds':[],'windows_us':[50,0],'steps':[{'op':'scale','by':'minmax'}]},"
      "{'op':'count','name':'raw','entity':'item','kinds':[],'windows_us':[50,0],'steps':[{'op':'clip','bounds':[0,1e9]}]}]",
      catalogue);
  moon_state *state;
  moon_vocab *vocab, *vocabs[2];
  moon_features *features;
  moon_arena arena = {0};
  moon_inputs in, again;
  enum { N = 200 };
  static naive all;
  uint8_t use[N];
  OK(moon_state_new(plan, &state));
  OK(moon_vocab_new(&vocab));
  vocabs[0] = vocab, vocabs[1] = NULL;
  OK(moon_features_bind(plan, catalogue, vocabs, &features));
  OK(moon_inputs_alloc(plan, &arena, N, &in));
  OK(moon_inputs_alloc(plan, &arena, 1, &again));
  memset(use, 1, N);
  moon_rng rng;
  moon_rng_seed(&rng, 6, 6);
  int64_t time = 10;
  uint32_t item = 0;
  for (size_t i = 0; i < N; i++) {
    moon_event e = world_event(&rng, &time);
    e.time = time, item = e.item;
    moon_features_compute_at(features, state, state_user(state, e.user), NULL, item, time, NULL, &in, i);
    for (size_t w = 0; w < 2; w++)
      assert_true(in.dense[i * 4 + 2 + w] == (float)naive_count(&all, false, item, 7, time, w ? 0 : 50));
    if (i + 1 < N) world_fold(state, &all, e);
  }
  OK(moon_features_fit(features, &in, use, N));
  for (size_t w = 0; w < 2; w++) {
    float low = INFINITY, high = 0;
    for (size_t i = 0; i < N; i++) low = fminf(low, in.dense[i * 4 + 2 + w]), high = fmaxf(high, in.dense[i * 4 + 2 + w]);
    for (size_t i = 0; i < N; i++) NEAR(in.dense[i * 4 + w], (in.dense[i * 4 + 2 + w] - low) / (high - low), 1e-6);
  }
  moon_features_compute_at(features, state, MOON_NONE, NULL, item, time, NULL, &again, 0);
  assert_memory_equal(again.dense, in.dense + (N - 1) * 4, 4 * sizeof(float));
  moon_arena_free(&arena);
  moon_features_free(features);
  moon_vocab_free(vocab);
  moon_state_free(state);
  moon_feature_plan_free(plan);
  moon_catalogue_free(catalogue);
}

static void wrong_steps_are_refused(void **nothing) {
  (void)nothing;
  static const struct { const char *text, *steps;
  } wrong[] = {
      {"steps must be a list", "{}"},
      {"r:1: there is no step 'clap'; did you mean 'clip'?", "[{'op':'clap'}]"},
      {"there is no step ''", "[7]"},
      {"bounds must be a list of 2 to 2 numbers, got 1", "[{'op':'clip','bounds':[1]}]"},
      {"bounds must be rising", "[{'op':'clip','bounds':[1,1]}]"},
      {"bounds must be rising", "[{'op':'clip','bounds':['a',1]}]"},
      {"there is no scale 'minmac'; did you mean 'minmax'?", "[{'op':'scale','by':'minmac'}]"},
      {"edges must be a list of 1 to 1000 numbers, got 0", "[{'op':'bucketize','edges':[]}]"},
      {"buckets must be from 2 to 1000, got 1", "[{'op':'bucketize','buckets':1}]"},
      {"bucketize must be the last step", "[{'op':'bucketize','buckets':3},{'op':'log'}]"},
  };
  moon_catalogue *catalogue = world_catalogue();
  for (size_t i = 0; i < MANY(wrong); i++) {
    moon_buf text = {0};
    moon_buf_printf(&text, "[{'op':'numeric','name':'x','column':'weight','where':'r:1','steps':%s}]", wrong[i].steps);
    json_t *json = json_of(text.data);
    moon_feature_plan *plan = NULL;
    REFUSED(MOON_EINVAL, wrong[i].text, moon_feature_plan_new(json, catalogue, &plan));
    json_decref(json);
    moon_buf_free(&text);
  }
  json_t *json = json_of("[{'op':'count','name':'c','entity':'item','windows_us':[1,2],'steps':[{'op':'bucketize','buckets':3}]}]");
  moon_feature_plan *plan = NULL;
  REFUSED(MOON_EINVAL, "bucketize takes one number, c gives 2", moon_feature_plan_new(json, catalogue, &plan));
  json_decref(json);
  moon_catalogue_free(catalogue);
}

static void vocabulary_with_a_wrong_count_of_numbers_is_refused(void **nothing) {
  (void)nothing;
  moon_catalogue *catalogue = world_catalogue();
  moon_feature_plan *plan = plan_of("[{'op':'numeric','name':'x','column':'weight','where':'r:1','steps':[{'op':'scale','by':'standard'}]}]", catalogue);
  json_t *json = json_of("[1.5]");
  moon_vocab *vocab = NULL, *none = NULL;
  moon_features *features = NULL;
  OK(moon_vocab_parse(json, &vocab));
  REFUSED(MOON_EFORMAT, "r:1: the vocabulary of x has 1 numbers where 2 are wanted", moon_features_bind(plan, catalogue, &vocab, &features));
  REFUSED(MOON_EINVAL, "r:1: x has neither a vocabulary", moon_features_bind(plan, catalogue, &none, &features));
  assert_null(features);
  json_decref(json);
  moon_vocab_free(vocab);
  moon_feature_plan_free(plan);
  moon_catalogue_free(catalogue);
}

static void plan_with_steps_survives_every_failing_allocation(void **nothing) {
  (void)nothing;
  moon_catalogue *catalogue = world_catalogue();
  json_t *json = json_of("[{'op':'numeric','name':'x','column':'weight','steps':[{'op':'clip','bounds':[0,1]},{'op':'bucketize','edges':[1,2]}]}]");
  moon_feature_plan *plan = NULL;
  for (size_t n = 1;; n++) {
    moon_alloc_fail_at(n);
    moon_status status = moon_feature_plan_new(json, catalogue, &plan);
    moon_alloc_fail_at(0);
    if (!status.code) break;
    assert_int_equal(status.code, MOON_ENOMEM);
  }
  moon_feature_plan_free(plan);
  json_decref(json);
  moon_catalogue_free(catalogue);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(steps_are_taken_in_their_order),
      cmocka_unit_test(edges_make_buckets_and_no_number_has_its_own),
      cmocka_unit_test(fitted_steps_follow_the_training_part_alone),
      cmocka_unit_test(fitting_to_next_to_nothing_gives_finite_numbers),
      cmocka_unit_test(fitted_steps_build_on_each_other),
      cmocka_unit_test(each_window_of_a_count_is_fitted_by_itself),
      cmocka_unit_test(wrong_steps_are_refused),
      cmocka_unit_test(vocabulary_with_a_wrong_count_of_numbers_is_refused),
      cmocka_unit_test(plan_with_steps_survives_every_failing_allocation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Three executors, one answer; and a difference of one bit is found wherever it is made. */
#include "shoplet.h"

typedef struct fixture {
  char *folder;
  json_t *plan;
  moon_dataset *d;
} fixture;

static int set_up(void **state) {
  fixture *f = calloc(1, sizeof *f);
  f->folder = shoplet_make(400);
  f->plan = shoplet_json();
  OK(shoplet_dataset(f->folder, f->plan, &f->d));
  *state = f;
  return 0;
}

static int tear_down(void **state) {
  fixture *f = *state;
  moon_dataset_free(f->d);
  json_decref(f->plan);
  shoplet_remove(f->folder);
  free(f);
  return 0;
}

static int64_t number(const json_t *report, const char *executor, const char *key) {
  return json_integer_value(json_object_get(json_object_get(report, executor), key));
}

static json_t *compare(const fixture *f, const moon_parity_options *options) {
  json_t *report;
  OK(moon_parity(f->plan, f->d, options, &report));
  return report;
}

static void no_bit_differs(void **state) {
  const fixture *f = *state;
  json_t *report = compare(f, &(moon_parity_options){.candidates = 7});
  assert_int_equal(number(report, "stream", "differing_bits"), 0);
  assert_int_equal(number(report, "request", "differing_bits"), 0);
  assert_true(json_is_true(json_object_get(json_object_get(report, "stream"), "state")));
  size_t each = f->d->plan->dense_slots + f->d->plan->id_slots + f->d->plan->bag_slots * f->d->plan->bag_length;
  assert_int_equal(number(report, "stream", "values"), each * f->d->examples.n);
  assert_int_equal(json_array_size(json_object_get(report, "mismatches")), 0);
  json_decref(report);
}

/* One bit of one number of one example. */
static void a_single_bit_is_found_and_named(void **state) {
  const fixture *f = *state;
  const moon_feature *price = &f->d->plan->features[3];
  size_t example = f->d->examples.n / 2;
  float *x = &f->d->inputs.dense[example * f->d->plan->dense_slots + price->slot];
  *(uint32_t *)(void *)x ^= 1;
  json_t *report = compare(f, &(moon_parity_options){.candidates = 3});
  *(uint32_t *)(void *)x ^= 1;
  assert_int_equal(number(report, "stream", "differing_bits"), 1);
  assert_int_equal(number(report, "request", "differing_bits"), 1);
  const json_t *miss = json_array_get(json_object_get(report, "mismatches"), 0);
  assert_string_equal(json_string_value(json_object_get(miss, "feature")), "log(price)");
  assert_string_equal(json_string_value(json_object_get(miss, "where")), "r:8");
  assert_int_equal(json_integer_value(json_object_get(miss, "example")), example);
  json_decref(report);
}

static moon_status hours_only(void *self, const moon_catalogue *catalogue, const moon_live_event *in, size_t n, moon_live_event *out) {
  (void)self, (void)catalogue;
  for (size_t i = 0; i < n; i++) out[i] = in[i], out[i].time -= in[i].time % (3600 * MOON_SECOND);
  return moon_ok();
}

static moon_status no_purchases(void *self, const moon_catalogue *catalogue, const moon_live_event *in, size_t n, moon_live_event *out) {
  (void)self, (void)catalogue;
  for (size_t i = 0; i < n; i++) {
    out[i] = in[i];
    if (!strcmp(in[i].kind, "purchase")) out[i].kind = "sale";
  }
  return moon_ok();
}

static void a_road_that_changes_events_is_seen(void **state) {
  const fixture *f = *state;
  json_t *report = compare(f, &(moon_parity_options){.road = hours_only});
  assert_true(number(report, "stream", "differing_bits") > 0);
  assert_true(json_is_false(json_object_get(json_object_get(report, "stream"), "state")));
  json_decref(report);
  report = compare(f, &(moon_parity_options){.road = no_purchases});
  const json_t *misses = json_object_get(report, "mismatches"), *miss;
  size_t i;
  assert_true(json_array_size(misses) > 0 && json_array_size(misses) <= 10);
  json_array_foreach(misses, i, miss) assert_string_equal(json_string_value(json_object_get(miss, "feature")), "rate");
  json_decref(report);
}

static moon_status broken(void *self, const moon_catalogue *catalogue, const moon_live_event *in, size_t n, moon_live_event *out) {
  (void)self, (void)catalogue, (void)in, (void)n, (void)out;
  return moon_fail(MOON_EINVAL, "the road is closed");
}

static void what_cannot_be_is_refused(void **state) {
  const fixture *f = *state;
  json_t *report;
  REFUSED(MOON_EINVAL, "closed", moon_parity(f->plan, f->d, &(moon_parity_options){.road = broken}, &report));
  REFUSED(MOON_EINVAL, "at most 500", moon_parity(f->plan, f->d, &(moon_parity_options){.candidates = 501}, &report));
  assert_null(report);
}

static void nothing_is_left_where_memory_ends(void **state) {
  const fixture *f = *state;
  for (long n = 1; n < 4000; n = n < 200 ? n + 1 : n * 5 / 4) {
    json_t *report = NULL;
    moon_alloc_fail_at(n);
    moon_status status = moon_parity(f->plan, f->d, &(moon_parity_options){.candidates = 2}, &report);
    moon_alloc_fail_at(0);
    if (!status.code) {
      json_decref(report);
      return;
    }
    assert_int_equal(status.code, MOON_ENOMEM);
  }
  fail_msg("it never came to an end");
}

/* ---- the log cut short ---- */

static json_t *look(const fixture *f, const moon_dataset *d, size_t cuts) {
  const moon_dataset_options options = {.data_dir = f->folder};
  json_t *findings;
  OK(moon_look_ahead(f->plan, d, &(moon_look_options){.dataset = &options, .cuts = cuts}, &findings));
  return findings;
}

static void an_honest_recipe_has_no_leak(void **state) {
  const fixture *f = *state;
  json_t *findings = look(f, f->d, 4);
  assert_int_equal(json_array_size(findings), 0);
  json_decref(findings);
  OK(moon_suspects(f->d, &findings));
  assert_int_equal(json_array_size(findings), 0);
  json_decref(findings);
}

/* As if the count had been made of the whole log. */
static void a_number_of_the_future_is_named_once(void **state) {
  const fixture *f = *state;
  const moon_feature *count = &f->d->plan->features[4];
  for (size_t i = 0; i < f->d->examples.n; i++) f->d->inputs.dense[i * f->d->plan->dense_slots + count->slot + 1] = 9.5f;
  json_t *findings = look(f, f->d, 3);
  assert_int_equal(json_array_size(findings), 1);
  const json_t *leak = json_array_get(findings, 0);
  assert_string_equal(json_string_value(json_object_get(leak, "level")), "error");
  assert_string_equal(json_string_value(json_object_get(leak, "place")), "r:9");
  assert_non_null(strstr(json_string_value(json_object_get(leak, "message")), "it is 9.5 with the whole log, and 0 with"));
  json_decref(findings);
}

static void a_feature_that_tells_the_label_is_suspect(void **state) {
  const fixture *f = *state;
  const moon_feature *price = &f->d->plan->features[3];
  for (size_t i = 0; i < f->d->examples.n; i++)
    f->d->inputs.dense[i * f->d->plan->dense_slots + price->slot] = 3 - f->d->examples.label[i] + 0.001f * (float)(i % 7);
  json_t *findings;
  OK(moon_suspects(f->d, &findings));
  assert_int_equal(json_array_size(findings), 1);
  assert_non_null(strstr(json_string_value(json_object_get(json_array_get(findings, 0), "message")), "log(price) alone has an AUC of 0.000"));
  json_decref(findings);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      TEST(no_bit_differs), TEST(a_single_bit_is_found_and_named), TEST(a_road_that_changes_events_is_seen), TEST(what_cannot_be_is_refused),
      TEST(nothing_is_left_where_memory_ends), TEST(an_honest_recipe_has_no_leak), TEST(a_number_of_the_future_is_named_once),
      TEST(a_feature_that_tells_the_label_is_suspect),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

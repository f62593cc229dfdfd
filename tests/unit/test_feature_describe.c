/* test_feature_describe.c - what a feature plan says of itself: types, shared counters, bytes as the store takes them. */
#include "exhaust.h"
#include "feature/state.h"
#include "feature_world.h"

static json_t *described(const char *text) {
  moon_catalogue *catalogue = world_catalogue();
  moon_feature_plan *plan = plan_of(text, catalogue);
  json_t *json;
  OK(moon_feature_plan_describe(plan, &json));
  moon_feature_plan_free(plan);
  moon_catalogue_free(catalogue);
  return json;
}

static const json_t *feature(const json_t *json, size_t i) { return json_array_get(json_object_get(json, "features"), i); }
static const char *text_of(const json_t *json, const char *key) { return json_string_value(json_object_get(json, key)); }
static json_int_t cost(const json_t *json, const char *key) { return json_integer_value(json_object_get(json_object_get(json, "cost"), key)); }
static double nanoseconds(const json_t *json) { return json_number_value(json_object_get(json_object_get(json, "cost"), "candidate_ns")); }

static void every_feature_has_its_type_and_place(void **state) {
  (void)state;
  static const char *const types[] = {"id", "id", "id", "number", "number", "number", "number", "number", "number", "bag", "bag"};
  json_t *json = described(world_plan);
  assert_int_equal(json_array_size(json_object_get(json, "features")), MANY(types));
  for (size_t i = 0; i < MANY(types); i++) {
    char where[16];
    snprintf(where, sizeof where, "r.lua:%zu", i + 1);
    assert_string_equal(text_of(feature(json, i), "type"), types[i]);
    assert_string_equal(text_of(feature(json, i), "where"), where);
    assert_true(json_number_value(json_object_get(feature(json, i), "ns")) > 0);
  }
  assert_string_equal(text_of(feature(json, 0), "text"), "id of N x 4");
  assert_string_equal(text_of(feature(json, 4), "text"), "number; log");
  assert_non_null(strstr(text_of(feature(json, 9), "text"), "bag of 5 of N x 4, the table of item"));
  assert_int_equal(json_integer_value(json_object_get(feature(json, 5), "slots")), 3);
  assert_int_equal(cost(json, "row_bytes"), 4 * (cost(json, "numbers") + 3 + 2 * 5));
  json_decref(json);
}

static void shared_counters_name_all_who_read_them(void **state) {
  (void)state;
  json_t *json = described(world_plan);
  const json_t *counters = json_object_get(json, "counters"), *views = json_array_get(counters, 0), *of = json_object_get(views, "features");
  assert_string_equal(json_string_value(json_array_get(of, 0)), "count(item,view)");
  assert_string_equal(json_string_value(json_array_get(of, 1)), "rate(item,purchase/view)");
  assert_int_equal(json_array_size(of), 2);
  assert_int_equal(json_integer_value(json_object_get(views, "bytes")), 20 + 4 * 2); /* 100 and 1000; all time is the total */
  assert_int_equal(json_integer_value(json_object_get(views, "event_bytes")), 8);
  json_decref(json);
}

static void bytes_of_an_item_are_those_of_the_store(void **state) {
  (void)state;
  static const char *const plans[] = {
      "[{'op':'count','name':'c','entity':'item','kinds':['view'],'windows_us':[0]}]",
      "[{'op':'count','name':'c','entity':'item','kinds':['view'],'windows_us':[100,1000,5000]}]",
      "[{'op':'recency','name':'l','entity':'item','kinds':['view']},{'op':'decay','name':'d','entity':'item','kinds':['view'],"
      "'half_life_us':100}]",
  };
  for (size_t i = 0; i < MANY(plans); i++) {
    moon_catalogue *catalogue = world_catalogue();
    moon_feature_plan *plan = plan_of(plans[i], catalogue);
    json_t *json;
    moon_state *store;
    OK(moon_feature_plan_describe(plan, &json));
    OK(moon_state_new(plan, &store));
    json_int_t said = cost(json, "item_bytes");
    assert_int_equal(said, store->item_side.stride);
    moon_state_free(store);
    json_decref(json);
    moon_feature_plan_free(plan);
    moon_catalogue_free(catalogue);
  }
}

static void more_windows_and_pairs_take_longer(void **state) {
  (void)state;
  static const char *const rising[] = {
      "[{'op':'numeric','name':'w','column':'weight'}]",
      "[{'op':'count','name':'c','entity':'item','kinds':['view'],'windows_us':[0]}]",
      "[{'op':'count','name':'c','entity':'item','kinds':['view'],'windows_us':[100]}]",
      "[{'op':'count','name':'c','entity':'user','by':'colour','kinds':['view'],'windows_us':[100]}]",
      "[{'op':'count','name':'c','entity':'item','kinds':['view'],'windows_us':[100,1000,5000]}]",
  };
  double last = 0;
  for (size_t i = 0; i < MANY(rising); i++) {
    json_t *json = described(rising[i]);
    if (nanoseconds(json) <= last) fail_msg("%s: %g ns", rising[i], nanoseconds(json));
    last = nanoseconds(json);
    json_decref(json);
  }
  json_t *pairs = described(rising[3]);
  assert_int_equal(cost(pairs, "pair_bytes"), 44 + 24); /* a key, a life and a place in the map; times, total and one window */
  json_decref(pairs);
}

static moon_status describe(void *plan) {
  json_t *json = NULL;
  moon_status status = moon_feature_plan_describe(plan, &json);
  assert_true((json == NULL) == (status.code != MOON_OK));
  json_decref(json);
  return status;
}

static void without_memory_it_says_so(void **state) {
  (void)state;
  moon_catalogue *catalogue = world_catalogue();
  moon_feature_plan *plan = plan_of(world_plan, catalogue);
  assert_true(exhaust(describe, plan) > 10);
  moon_feature_plan_free(plan);
  moon_catalogue_free(catalogue);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_feature_has_its_type_and_place),
      cmocka_unit_test(shared_counters_name_all_who_read_them),
      cmocka_unit_test(bytes_of_an_item_are_those_of_the_store),
      cmocka_unit_test(more_windows_and_pairs_take_longer),
      cmocka_unit_test(without_memory_it_says_so),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

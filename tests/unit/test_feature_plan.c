/* test_feature_plan.c - what a recipe's list of features becomes, and how a wrong one is refused. */
#include "feature_world.h"

static void features_get_slots_in_the_order_of_the_recipe(void **nothing) {
  (void)nothing;
  moon_catalogue *catalogue = world_catalogue();
  moon_feature_plan *plan = plan_of(world_plan, catalogue);
  static const char *const names[] = {"weight",
                                      "log(price)",
                                      "count(item,view,100us)",
                                      "count(item,view,1000us)",
                                      "count(item,view,all)",
                                      "count(user,any,100us)",
                                      "count(user,any,all)",
                                      "rate(item,purchase/view,1000us)",
                                      "rate(user,purchase/any,all)"};
  assert_int_equal(plan->dense_slots, MANY(names));
  for (size_t i = 0; i < MANY(names); i++) assert_string_equal(plan->dense_names[i], names[i]);
  assert_int_equal(plan->id_slots, 3);
  assert_int_equal(plan->bag_slots, 2);
  assert_int_equal(plan->bag_length, 5);
  static const size_t slots[] = {0, 1, 2, 0, 1, 2, 5, 7, 8, 0, 1};
  for (size_t i = 0; i < MANY(slots); i++) assert_int_equal(plan->features[i].slot, slots[i]);
  assert_true(plan->features[0].of_user);
  assert_false(plan->features[1].of_user);
  assert_string_equal(plan->features[2].column, "colour");
  assert_int_equal(plan->features[9].kind_count, 2);
  assert_int_equal(plan->features[10].kind_count, 0);
  assert_null(plan->features[10].kinds);
  moon_feature_plan_free(plan);
  moon_catalogue_free(catalogue);
}

static void features_that_count_the_same_share_a_counter_as_wide_as_the_widest(void **nothing) {
  (void)nothing;
  moon_catalogue *catalogue = world_catalogue();
  moon_feature_plan *plan = plan_of(
      "[{'op':'count','name':'a','entity':'item','kinds':['view','click'],'windows_us':[5,0,7]},"
      "{'op':'rate','name':'b','entity':'item','numerator':['click','view','click'],'denominator':[],'over_us':9,'prior':[1,20]},"
      "{'op':'count','name':'c','entity':'user','kinds':['view','click'],'windows_us':[0]},"
      "{'op':'count','name':'d','entity':'item','windows_us':[3]}]",
      catalogue);
  assert_int_equal(plan->counter_count, 3);
  assert_int_equal(plan->features[0].counter, 0);
  assert_int_equal(plan->features[1].counter, 0); /* the same set, written otherwise */
  assert_int_equal(plan->features[1].counter2, 1);
  assert_int_equal(plan->features[2].counter, 2); /* of the user */
  assert_int_equal(plan->features[3].counter, 1); /* no kinds: every kind */
  assert_int_equal(plan->counters[0].kind_count, 2);
  assert_string_equal(plan->counters[0].kinds[0], "click");
  assert_int_equal(plan->counters[0].max_window, 9);
  assert_int_equal(plan->counters[1].max_window, 9);
  assert_int_equal(plan->counters[2].max_window, 0);
  moon_feature_plan_free(plan);
  moon_catalogue_free(catalogue);
}

static void slot_names_tell_the_window_as_people_write_it(void **nothing) {
  (void)nothing;
  moon_catalogue *catalogue = world_catalogue();
  moon_feature_plan *plan = plan_of(
      "[{'op':'count','name':'n(x)','entity':'item','kinds':['view'],"
      "'windows_us':[604800000000,86400000000,3600000000,5400000000,90000000,1500000,0]}]",
      catalogue);
  static const char *const names[] = {"n(x,7d)", "n(x,1d)", "n(x,1h)", "n(x,90m)", "n(x,90s)", "n(x,1500000us)", "n(x,all)"};
  for (size_t i = 0; i < MANY(names); i++) assert_string_equal(plan->dense_names[i], names[i]);
  moon_feature_plan_free(plan);
  moon_catalogue_free(catalogue);
}

static void wrong_feature_is_refused_with_its_line_and_what_was_expected(void **nothing) {
  (void)nothing;
  static const struct { moon_code code; const char *text, *plan;
  } wrong[] = {
      {MOON_EINVAL, "at least one feature", "[]"},
      {MOON_EINVAL, "at least one feature", "{}"},
      {MOON_EINVAL, "recipe: there is no feature ''", "[7]"},
      {MOON_EINVAL, "r:1: there is no feature 'cuont'; did you mean 'count'?", "[{'op':'cuont','where':'r:1'}]"},
      {MOON_EINVAL, "r:2: a feature's name must be a text", "[{'op':'id','entity':'user','where':'r:2'}]"},
      {MOON_EINVAL, "entity must be \"user\" or \"item\", got 'itme'; did you mean 'item'?",
       "[{'op':'id','name':'x','entity':'itme'}]"},
      {MOON_EINVAL, "got 'nothing'", "[{'op':'count','name':'x','windows_us':[1]}]"},
      {MOON_EINVAL, "dim must be from 1 to 1024, got 0", "[{'op':'id','name':'x','entity':'user','dim':0}]"},
      {MOON_EINVAL, "dim must be from 1 to 1024, got 1025", "[{'op':'id','name':'x','entity':'user','dim':1025}]"},
      {MOON_EINVAL, "dim must be a whole number", "[{'op':'id','name':'x','entity':'user','dim':'16'}]"},
      {MOON_EINVAL, "min_count must be from 0", "[{'op':'id','name':'x','entity':'user','min_count':-1}]"},
      {MOON_EINVAL, "at least 2 buckets, got 1", "[{'op':'id','name':'x','entity':'user','hash':1}]"},
      {MOON_EINVAL, "hash must be from 0 to 2147483648", "[{'op':'id','name':'x','entity':'user','hash':4294967298}]"},
      {MOON_ENOTFOUND, "r:3: items.csv has no column 'color'; did you mean 'colour'?",
       "[{'op':'category','name':'x','column':'color','where':'r:3'}]"},
      {MOON_EINVAL, "column must be a text", "[{'op':'category','name':'x'}]"},
      {MOON_EINVAL, "column weight of items.csv holds numbers; x needs strings",
       "[{'op':'category','name':'x','column':'weight'}]"},
      {MOON_EINVAL, "column colour of items.csv holds strings; x needs numbers", "[{'op':'numeric','name':'x','column':'colour'}]"},
      {MOON_ENOTFOUND, "no column 'wieght'", "[{'op':'numeric','name':'x','column':'wieght'}]"},
      {MOON_EINVAL, "1 to 8 windows, got 0", "[{'op':'count','name':'x','entity':'item','kinds':[],'windows_us':[]}]"},
      {MOON_EINVAL, "1 to 8 windows, got 9",
       "[{'op':'count','name':'x','entity':'item','kinds':[],'windows_us':[1,2,3,4,5,6,7,8,9]}]"},
      {MOON_EINVAL, "a window must be from 0", "[{'op':'count','name':'x','entity':'item','kinds':[],'windows_us':[1,-1]}]"},
      {MOON_EINVAL, "a window must be a whole number",
       "[{'op':'count','name':'x','entity':'item','kinds':[],'windows_us':[1.5]}]"},
      {MOON_EINVAL, "kinds must be a list", "[{'op':'count','name':'x','entity':'item','kinds':'view','windows_us':[1]}]"},
      {MOON_EINVAL, "an event kind must be a text",
       "[{'op':'count','name':'x','entity':'item','kinds':['view',''],'windows_us':[1]}]"},
      {MOON_EINVAL, "over_us must be from 0",
       "[{'op':'rate','name':'x','entity':'item','numerator':['a'],'denominator':['b'],'over_us':-5}]"},
      {MOON_EINVAL, "prior must be two numbers", "[{'op':'rate','name':'x','entity':'item','prior':[1]}]"},
      {MOON_EINVAL, "prior must be two numbers", "[{'op':'rate','name':'x','entity':'item','prior':[1,0]}]"},
      {MOON_EINVAL, "prior must be two numbers", "[{'op':'rate','name':'x','entity':'item','prior':[-1,2]}]"},
      {MOON_EINVAL, "last must be from 1 to 1000", "[{'op':'history','name':'h','last':1001}]"},
      {MOON_EINVAL, "r:4: h shares the embeddings of the item's id",
       "[{'op':'id','name':'u','entity':'user'},{'op':'history','name':'h','where':'r:4'}]"},
  };
  moon_catalogue *catalogue = world_catalogue();
  for (size_t i = 0; i < MANY(wrong); i++) {
    json_t *json = json_of(wrong[i].plan);
    moon_feature_plan *plan = NULL;
    REFUSED(wrong[i].code, wrong[i].text, moon_feature_plan_new(json, catalogue, &plan));
    assert_null(plan);
    json_decref(json);
  }
  moon_catalogue_free(catalogue);
}

static void plan_survives_every_failing_allocation(void **nothing) {
  (void)nothing;
  moon_catalogue *catalogue = world_catalogue();
  json_t *json = json_of(world_plan);
  moon_feature_plan *plan = NULL;
  size_t n = 1;
  for (;; n++) {
    moon_alloc_fail_at(n);
    moon_status status = moon_feature_plan_new(json, catalogue, &plan);
    moon_alloc_fail_at(0);
    if (!status.code) break;
    assert_int_equal(status.code, MOON_ENOMEM);
    assert_null(plan);
  }
  assert_true(n > 20);
  moon_feature_plan_free(plan);
  json_decref(json);
  moon_catalogue_free(catalogue);
}

/* ---- vocabularies --------------------------------------------------------------------------------------------------------- */

static void vocabulary_numbers_from_one_and_keeps_zero_for_the_unknown(void **nothing) {
  (void)nothing;
  moon_vocab *vocab;
  OK(moon_vocab_new(&vocab));
  assert_int_equal(moon_vocab_size(vocab), 1);
  assert_int_equal(moon_vocab_find(vocab, "a", 1), 0);
  OK(moon_vocab_add(vocab, "a", 1));
  OK(moon_vocab_add(vocab, "bc", 2));
  OK(moon_vocab_add(vocab, "a", 1));
  assert_int_equal(moon_vocab_size(vocab), 3);
  assert_int_equal(moon_vocab_find(vocab, "a", 1), 1);
  assert_int_equal(moon_vocab_find(vocab, "bc", 2), 2);
  assert_int_equal(moon_vocab_find(vocab, "b", 1), 0);
  moon_vocab_free(vocab);
}

static void vocabulary_returns_from_json_with_the_same_ids(void **nothing) {
  (void)nothing;
  moon_vocab *vocab, *again;
  char text[16];
  OK(moon_vocab_new(&vocab));
  for (int i = 0; i < 500; i++)
    OK(moon_vocab_add(vocab, text, (size_t)snprintf(text, sizeof text, "t%d\xc3\xa9", i * 7919 % 500)));
  OK(moon_vocab_add(vocab, "", 0));
  json_t *json = moon_vocab_json(vocab);
  assert_int_equal(json_array_size(json), 501);
  OK(moon_vocab_parse(json, &again));
  assert_int_equal(moon_vocab_size(again), 502);
  for (size_t i = 0; i < 501; i++) {
    const char *t = json_string_value(json_array_get(json, i));
    assert_int_equal(moon_vocab_find(again, t, strlen(t)), i + 1);
    assert_int_equal(moon_vocab_find(vocab, t, strlen(t)), i + 1);
  }
  json_decref(json);
  moon_vocab_free(vocab);
  moon_vocab_free(again);
}

static void vocabulary_refuses_what_is_not_a_list_of_different_texts(void **nothing) {
  (void)nothing;
  static const struct { const char *text, *json;
  } wrong[] = {{"expected an array", "{}"},
               {"entry 2 is not a text", "['a',true]"},
               {"entry 2 is not a text", "[1.5,'a']"},
               {"entry 1 is not a text", "[null]"},
               {"'a' (entry 3) is there twice", "['a','b','a']"}};
  for (size_t i = 0; i < MANY(wrong); i++) {
    json_t *json = json_of(wrong[i].json);
    moon_vocab *vocab = NULL;
    REFUSED(MOON_EFORMAT, wrong[i].text, moon_vocab_parse(json, &vocab));
    assert_null(vocab);
    json_decref(json);
  }
  moon_vocab *vocab = NULL;
  REFUSED(MOON_EFORMAT, "expected an array", moon_vocab_parse(NULL, &vocab));
}

static void vocabulary_survives_every_failing_allocation(void **nothing) {
  (void)nothing;
  json_t *json = json_of("['a','b','c']");
  moon_vocab *vocab = NULL;
  size_t n = 1;
  for (;; n++) {
    moon_alloc_fail_at(n);
    moon_status status = moon_vocab_parse(json, &vocab);
    moon_alloc_fail_at(0);
    if (!status.code) break;
    assert_int_equal(status.code, MOON_ENOMEM);
    assert_null(vocab);
  }
  assert_true(n > 3);
  moon_vocab_free(vocab);
  json_decref(json);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(features_get_slots_in_the_order_of_the_recipe),
      cmocka_unit_test(features_that_count_the_same_share_a_counter_as_wide_as_the_widest),
      cmocka_unit_test(slot_names_tell_the_window_as_people_write_it),
      cmocka_unit_test(wrong_feature_is_refused_with_its_line_and_what_was_expected),
      cmocka_unit_test(plan_survives_every_failing_allocation),
      cmocka_unit_test(vocabulary_numbers_from_one_and_keeps_zero_for_the_unknown),
      cmocka_unit_test(vocabulary_returns_from_json_with_the_same_ids),
      cmocka_unit_test(vocabulary_refuses_what_is_not_a_list_of_different_texts),
      cmocka_unit_test(vocabulary_survives_every_failing_allocation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

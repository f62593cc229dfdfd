/* test_rank_check.c - what a recipe's plan says of itself, and its data of it: everything, each with its place, and no harm whatever the
 * plan. */
#include "exhaust.h"
#include "findings.h"
#include "shoplet.h"

static moon_status check(const char *folder, const json_t *plan, heard *out) {
  const moon_findings findings = {hear, out};
  const moon_dataset_options options = {.data_dir = folder};
  memset(out, 0, sizeof *out);
  return moon_recipe_check(plan, &options, &findings);
}

static void what_is_right_is_left_alone(void **state) {
  (void)state;
  char *folder = shoplet_make(200);
  json_t *plan = shoplet_json();
  heard h;
  OK(check(folder, plan, &h));
  HEARD(h, 0, 0, "");
  json_decref(plan);
  shoplet_remove(folder);
}

/* The plan with every first `from` turned into its `to`. */
static json_t *changed(const char *const (*changes)[2], size_t n) {
  char text[8192];
  snprintf(text, sizeof text, "%s", shoplet_plan);
  for (size_t i = 0; i < n; i++) {
    char *at = strstr(text, changes[i][0]), rest[8192];
    if (!at) fail_msg("no %s", changes[i][0]);
    snprintf(rest, sizeof rest, "%s", at + strlen(changes[i][0]));
    snprintf(at, sizeof text - (size_t)(at - text), "%s%s", changes[i][1], rest);
  }
  json_t *json = json_loads(text, 0, NULL);
  assert_non_null(json);
  return json;
}
#define CHANGED(...) changed((const char *const[][2]){__VA_ARGS__}, sizeof((const char *const[][2]){__VA_ARGS__}) / sizeof(char *[2]))

static void all_columns_that_are_missing_are_told_of(void **state) {
  (void)state;
  char *folder = shoplet_make(200);
  heard h;
  json_t *plan = CHANGED({"\"from\":\"user\"", "\"from\":\"usr\",\"where\":\"r:100\""}, {"\"from\":\"event\"", "\"from\":\"evnt\""},
                         {"\"from\":\"category\"", "\"from\":\"catgory\""}, {"\"from\":\"price\"", "\"from\":\"prise\""});
  OK(check(folder, plan, &h));
  HEARD(h, 4, 0, "r:100: events.csv has no column 'usr'; did you mean 'user'?", "r:1: events.csv has no column 'evnt'",
        "r:2: items.csv has no column 'catgory'; did you mean 'category'?", "r:2: items.csv has no column 'prise'");
  json_decref(plan);
  shoplet_remove(folder);
}

/* The words of a script are held against declared types without the data; it is not to be told twice. */
static void what_does_not_fit_as_declared_is_left_to_the_script(void **state) {
  (void)state;
  char *folder = shoplet_make(200);
  heard h;
  json_t *plan = CHANGED({"\"name\":\"category\",\"column\":\"category\"", "\"name\":\"category\",\"column\":\"price\""},
                         {"\"name\":\"log(price)\",\"column\":\"price\"", "\"name\":\"log(price)\",\"column\":\"category\""});
  OK(check(folder, plan, &h)); /* price is declared as a number, category is not declared */
  HEARD(h, 1, 0, "r:8: column category");
  json_decref(plan);
  shoplet_remove(folder);
}

static void all_features_that_do_not_fit_are_told_of(void **state) {
  (void)state;
  char *folder = shoplet_make(200);
  heard h;
  json_t *plan = CHANGED({"\"name\":\"category\",\"column\":\"category\"", "\"name\":\"category\",\"column\":\"price\""},
                         {"\"name\":\"log(price)\",\"column\":\"price\"", "\"name\":\"log(price)\",\"column\":\"category\""},
                         {"\"from\":\"price\",\"type\":\"number\"", "\"from\":\"price\""}, {"\"kinds\":[\"view\"]", "\"kinds\":[\"vew\"]"},
                         {"\"positive\":[\"purchase\"]", "\"positive\":[\"purchse\"]"});
  OK(check(folder, plan, &h));
  HEARD(h, 3, 1, "r:7: column price", "r:8: column category", "error: r:4: m.label: there is no event 'purchse'",
        "warning: r:9: count(item,view): there is no event 'vew' in events.csv; did you mean 'view'?");
  json_decref(plan);
  shoplet_remove(folder);
}

static void files_that_are_not_there_are_all_told_of(void **state) {
  (void)state;
  heard h;
  json_t *plan = shoplet_json();
  OK(check("/nowhere", plan, &h));
  HEARD(h, 2, 0, "r:1: ", "r:2: ");
  json_decref(plan);
}

/* Parts that had errors are not in the plan, and nobody may trip over that; nor over any other value. */
static void no_plan_whatever_does_harm(void **state) {
  (void)state;
  char *folder = shoplet_make(50);
  static const char *const parts[] = {"sources", "preprocess", "label", "features", "model", "train", "evaluate", "name", "where"};
  static const char *const values[] = {"5", "\"text\"", "[]", "{}", "[5]", "[{}]", "{\"events\":{}}", "{\"layers\":[{}]}", "null"};
  heard h;
  for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) {
    for (size_t v = 0; v <= sizeof values / sizeof *values; v++) {
      json_t *plan = shoplet_json(), *tree = NULL;
      json_object_del(plan, parts[p]);
      if (v < sizeof values / sizeof *values) json_object_set_new(plan, parts[p], json_loads(values[v], JSON_DECODE_ANY, NULL));
      moon_status status = check(folder, plan, &h);
      assert_true(status.code == MOON_OK);
      status = moon_recipe_describe(plan, &tree);
      assert_true((tree != NULL) == !status.code);
      json_decref(tree);
      json_decref(plan);
    }
  }
  shoplet_remove(folder);
}

static void the_tree_has_every_part(void **state) {
  (void)state;
  json_t *plan = shoplet_json(), *out;
  OK(moon_recipe_describe(plan, &out));
  char *text = json_dumps(out, JSON_SORT_KEYS);
  static const char *const says[] = {"recipe shoplet", "events: events.csv", "price: number", "drop_missing user, item, time",
                                     "label: purchase of view within 24 h", "log(price): number; log", "counters", "compiled for scoring",
                                     "table item: N x 4", "a request of 500 candidates"};
  for (size_t i = 0; i < sizeof says / sizeof *says; i++)
    if (!strstr(text, says[i])) fail_msg("no \"%s\" in %s", says[i], text);
  free(text);
  json_decref(out);
  json_decref(plan);
}

static void layers_that_do_not_fit_are_known_without_data(void **state) {
  (void)state;
  json_t *out = NULL, *plan = CHANGED({"{\"type\":\"dense\",\"units\":8,\"activation\":\"relu\"", "{\"type\":\"pool\",\"mode\":\"mean\""});
  REFUSED(MOON_EINVAL, "r:12: ", moon_recipe_describe(plan, &out));
  assert_null(out);
  json_decref(plan);
}

typedef struct job {
  const char *folder;
  json_t *plan;
} job;

static moon_status describe_job(void *self) {
  json_t *out = NULL;
  moon_status status = moon_recipe_describe(((job *)self)->plan, &out);
  json_decref(out);
  return status;
}

static moon_status check_job(void *self) {
  heard h;
  moon_status status = check(((job *)self)->folder, ((job *)self)->plan, &h);
  if (!status.code && h.errors) fail_msg("%s", h.text);
  return status;
}

static void without_memory_it_says_so(void **state) {
  (void)state;
  job j = {shoplet_make(20), shoplet_json()};
  assert_true(exhaust(describe_job, &j) > 100);
  assert_true(exhaust(check_job, &j) > 100);
  json_decref(j.plan);
  shoplet_remove((char *)j.folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_right_is_left_alone),
      cmocka_unit_test(all_columns_that_are_missing_are_told_of),
      cmocka_unit_test(what_does_not_fit_as_declared_is_left_to_the_script), cmocka_unit_test(all_features_that_do_not_fit_are_told_of),
      cmocka_unit_test(files_that_are_not_there_are_all_told_of),
      cmocka_unit_test(no_plan_whatever_does_harm),
      cmocka_unit_test(the_tree_has_every_part),
      cmocka_unit_test(layers_that_do_not_fit_are_known_without_data),
      cmocka_unit_test(without_memory_it_says_so),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_script_check.c - a host with findings: words' mistakes do not end a script, everything else does, and budgets hold. */
#include "findings.h"
#include "script/script.h"

static const char recipe[] =
    "return m.recipe 'r' { events = m.csv 'e.csv' { user = 'u', item = 'i', time = 't', event = 'e' },\n"
    " label = m.label { positive = 'buy', of = 'view', within = '1d' }, features = { m.id 'item', X },\n"
    " model = m.nn.sequential { m.nn.dense(1, 'sigmoid') } }\n";

/* Loads `source` and then the recipe. */
static moon_status load(const char *source, bool whole, heard *h, json_t **plan) {
  const moon_findings findings = {hear, h};
  const moon_host_options options = {.findings = &findings, .load_instructions = 2000000, .memory_limit = (size_t)32 << 20};
  moon_host *host;
  char text[4096];
  memset(h, 0, sizeof *h);
  snprintf(text, sizeof text, "local m = require 'moonshelf' %s\n%s", source, whole ? "" : recipe);
  OK(moon_host_open(&options, &host));
  moon_status status = moon_host_load_recipe_source(host, "r.lua", text, strlen(text), plan);
  moon_host_close(host);
  return status;
}

static void mistakes_are_told_and_the_rest_is_in_the_plan(void **state) {
  (void)state;
  json_t *plan;
  heard h;
  OK(load("local X = m.id 'usr'", false, &h, &plan));
  HEARD(h, 1, 0, "error: r.lua:1: m.id: there is no \"usr\"; did you mean 'user'?");
  assert_int_equal(json_array_size(json_object_get(plan, "features")), 1);
  assert_non_null(json_object_get(plan, "label"));
  json_decref(plan);
  OK(load("local X = m.id 'user' m.csv = 5 local a = m.foo.bar", false, &h, &plan));
  HEARD(h, 2, 0, "read-only", "there is no word 'm.foo'");
  json_decref(plan);
}

static void a_script_that_returns_a_stand_in_gives_no_plan_and_no_error_more(void **state) {
  (void)state;
  json_t *plan = NULL;
  heard h;
  OK(load("return m.recpe 'x' { }", true, &h, &plan));
  HEARD(h, 1, 0, "did you mean 'm.recipe'?");
  assert_null(plan);
  REFUSED(MOON_ESCRIPT, "it returned a table", load("local a = m.foo return {}", true, &h, &plan));
  REFUSED(MOON_ESCRIPT, "it returned a table", load("return setmetatable({}, { __name = 5 })", true, &h, &plan));
}

static void what_is_not_a_words_mistake_ends_the_script(void **state) {
  (void)state;
  json_t *plan = NULL;
  heard h;
  REFUSED(MOON_ESCRIPT, "r.lua:1: ", load("local x = m.foo local y = nil + 1", true, &h, &plan));
  HEARD(h, 1, 0, "m.foo");
  REFUSED(MOON_ESCRIPT, "mine", load("error 'mine'", true, &h, &plan));
  REFUSED(MOON_ESCRIPT, "unexpected symbol", load("x =", true, &h, &plan));
  assert_null(plan);
}

static void budgets_hold_while_checking(void **state) {
  (void)state;
  static const char *const scripts[] = {
      "while true do local x = m.foo end",
      "while true do pcall(m.id, 5) end",
      "for x in m.foo do end",
      "local x = m.foo while not (x < 1) do x = x() end",
      "local x = m.foo while true do m.drop_missing { x, x, x, 5 } end",
  };
  for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
    json_t *plan = NULL;
    heard h;
    REFUSED(MOON_ESCRIPT, "budget", load(scripts[i], true, &h, &plan));
  }
}

static void without_findings_the_first_mistake_is_the_error(void **state) {
  (void)state;
  moon_host *host;
  json_t *plan = NULL;
  static const char source[] = "local m = require 'moonshelf'\nlocal a = m.id 'usr'\nlocal b = m.foo\n";
  OK(moon_host_open(NULL, &host));
  REFUSED(MOON_ESCRIPT, "r.lua:2: m.id", moon_host_load_recipe_source(host, "r.lua", source, strlen(source), &plan));
  moon_host_close(host);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(mistakes_are_told_and_the_rest_is_in_the_plan),
      cmocka_unit_test(a_script_that_returns_a_stand_in_gives_no_plan_and_no_error_more),
      cmocka_unit_test(what_is_not_a_words_mistake_ends_the_script),
      cmocka_unit_test(budgets_hold_while_checking),
      cmocka_unit_test(without_findings_the_first_mistake_is_the_error),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_script_rows.c - m.filter and m.map over real tables: what a row shows, which types columns get, and how errors name row and file. */
#include <stdlib.h>

#include "numeric.h"
#include "script/script.h"

static const char events_csv[] =
    "user,item,event,rating:number,n:integer,time:time\n"
    "u1,i1,view,4.5,1,2026-10-01T00:00:00Z\n"
    "u2,i2,buy,,2,2026-10-02T00:00:00Z\n"
    ",i3,view,3,,2026-10-03T00:00:00Z\n"
    "u4,i4,bot,-1,4,\n";
enum { ROWS = 4 };

typedef struct fixture {
  moon_host *host;
  moon_row_functions functions;
  json_t *plan;
  moon_table *table;
} fixture;

static moon_table *read_events(void) {
  static const moon_read_column columns[] = {{"user", "user", NULL}, {"item", "item", NULL}, {"event", "event", NULL},
                                            {"rating", "rating", NULL}, {"n", "n", NULL}, {"time", "time", NULL}};
  moon_read_options options = {.delimiter = ',', .columns = columns, .column_count = 6};
  moon_read_report report;
  moon_table *table;
  OK(moon_csv_read_memory("events.csv", events_csv, sizeof events_csv - 1, &options, &table, &report));
  return table;
}

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);
  f->table = read_events();
  *state = f;
  return 0;
}

static void close_host(fixture *f) {
  json_decref(f->plan);
  moon_host_close(f->host);
  f->plan = NULL;
  f->host = NULL;
}

static int teardown(void **state) {
  fixture *f = *state;
  close_host(f);
  moon_table_free(f->table);
  free(f);
  return 0;
}

/* A host whose recipe has these rules; function n of the plan is the n-th that a rule carries. */
static void load_rules(fixture *f, const moon_host_options *options, const char *rules) {
  moon_buf text = {0};
  close_host(f);
  moon_buf_printf(&text,
                  "local m = require 'moonshelf'\n"
                  "return m.recipe 'r' { events = m.csv 'events.csv' { user = 'user', item = 'item', event = 'event', time = 'time', rating = 'rating', n = 'n' },\n"
                  "preprocess = { %s },\n"
                  "label = m.label { positive = 'buy', of = 'view', within = '1d' }, features = { m.id 'item' },\n"
                  "model = m.nn.sequential { m.nn.dense(1, 'sigmoid') } }\n",
                  rules);
  OK(moon_host_open(options, &f->host));
  OK(moon_host_load_recipe_source(f->host, "recipe.lua", text.data, text.n, &f->plan));
  f->functions = moon_host_row_functions(f->host);
  moon_buf_free(&text);
}

/* Runs the body as m.filter (or m.map) over the events. */
static moon_status filter(fixture *f, const char *body, uint8_t *keep) {
  char rules[1024];
  snprintf(rules, sizeof rules, "m.filter(function(row) %s end)", body);
  load_rules(f, NULL, rules);
  memset(keep, 1, f->table->rows);
  return f->functions.filter(f->functions.self, 1, f->table, keep);
}

static moon_status map(fixture *f, const char *name, const char *body) {
  char rules[1024];
  snprintf(rules, sizeof rules, "m.map '%s' (function(row) %s end)", name, body);
  load_rules(f, NULL, rules);
  return f->functions.map(f->functions.self, 1, f->table, name);
}

static void keeps(fixture *f, const char *body, const char *want) {
  uint8_t keep[ROWS];
  char got[ROWS + 1] = {0};
  moon_status st = filter(f, body, keep);
  if (st.code) fail_msg("%s\n-> %s", body, st.message);
  for (size_t i = 0; i < ROWS; i++) got[i] = (char)('0' + keep[i]);
  if (strcmp(got, want)) fail_msg("%s: keeps %s, not %s", body, got, want);
}

/* ---- filter */

static void filter_keeps_the_rows_that_it_is_told_to(void **state) {
  fixture *f = *state;
  keeps(f, "return row.event ~= 'bot'", "1110");
  keeps(f, "return row.user", "1101"); /* an empty cell is nil */
  keeps(f, "return row.rating and row.rating > 3", "1000");
  keeps(f, "return row.n == nil or row.n >= 2", "0111");
  keeps(f, "return row.time == nil", "0001");
  keeps(f, "return true", "1111");
  keeps(f, "", "0000");
}

static void a_row_shows_values_of_their_types(void **state) {
  fixture *f = *state;
  keeps(f,
        "if row.n ~= 1 then return end\n"
        "assert(row.user == 'u1' and row.rating == 4.5 and math.type(row.rating) == 'float' and math.type(row.n) == 'integer')\n"
        "assert(row.time == 1790812800 * 1000000 and math.type(row.time) == 'integer' and tostring(row) == 'row 1 of events.csv') return true",
        "1000");
}

static void rows_already_left_out_stay_out(void **state) {
  fixture *f = *state;
  uint8_t keep[ROWS] = {0, 1, 0, 1};
  load_rules(f, NULL, "m.filter(function() return true end)");
  OK(f->functions.filter(f->functions.self, 1, f->table, keep));
  assert_memory_equal(keep, ((uint8_t[]){0, 1, 0, 1}), ROWS);
}

static void random_filters_agree_with_a_plain_reading(void **state) {
  fixture *f = *state;
  moon_table *table;
  moon_column *a, *b;
  enum { N = 3000 };
  moon_rng rng;
  moon_rng_seed(&rng, 5, 0);
  OK(moon_table_new("numbers.csv", &table));
  OK(moon_table_add_column(table, "a", MOON_NUMBER, &a));
  OK(moon_table_add_column(table, "b", MOON_INTEGER, &b));
  a = &table->columns[0];
  for (size_t i = 0; i < N; i++) {
    OK(moon_rng_below(&rng, 5) ? moon_column_push_number(a, moon_rng_uniform(&rng)) : moon_column_push_null(a));
    OK(moon_column_push_integer(b, (int64_t)moon_rng_below(&rng, 10)));
  }
  table->rows = N;
  for (int round = 0; round < 20; round++) {
    double limit = moon_rng_uniform(&rng);
    int64_t modulus = 2 + moon_rng_below(&rng, 5);
    char rules[256];
    static uint8_t keep[N];
    memset(keep, 1, sizeof keep);
    snprintf(rules, sizeof rules, "m.filter(function(row) return (row.a or 1) < %.17g or row.b %% %d == 0 end)", limit, (int)modulus);
    load_rules(f, NULL, rules);
    OK(f->functions.filter(f->functions.self, 1, table, keep));
    for (size_t i = 0; i < N; i++) assert_int_equal(keep[i], (isnan(a->f64[i]) ? 1 : a->f64[i]) < limit || b->i64[i] % modulus == 0);
  }
  moon_table_free(table);
}

/* ---- map */

static void map_adds_a_column_of_the_first_values_type(void **state) {
  fixture *f = *state;
  OK(map(f, "half", "return row.n and row.n / 2"));
  moon_column *c = moon_table_column(f->table, "half");
  assert_int_equal(c->type, MOON_NUMBER);
  assert_int_equal(c->n, ROWS);
  assert_true(c->f64[0] == 0.5 && c->f64[1] == 1 && isnan(c->f64[2]) && c->f64[3] == 2);

  OK(map(f, "name", "return row.user and row.user .. '/' .. row.item"));
  c = moon_table_column(f->table, "name");
  assert_int_equal(c->type, MOON_STRING);
  assert_string_equal(moon_column_text(c, 0), "u1/i1");
  assert_null(moon_column_text(c, 2));

  OK(map(f, "late", "if row.n == 1 then return nil end return row.n == 4"));
  c = moon_table_column(f->table, "late");
  assert_int_equal(c->type, MOON_NUMBER);
  assert_true(isnan(c->f64[0]) && c->f64[1] == 0 && c->f64[3] == 1);

  OK(map(f, "nothing", ""));
  c = moon_table_column(f->table, "nothing");
  assert_int_equal(c->type, MOON_NUMBER);
  for (size_t i = 0; i < ROWS; i++) assert_true(moon_column_is_null(c, i));
}

static void map_replaces_a_column_and_may_read_the_old_one(void **state) {
  fixture *f = *state;
  size_t columns = f->table->column_count;
  OK(map(f, "event", "return row.event == 'bot' and 'robot' or row.event:upper()"));
  moon_column *c = moon_table_column(f->table, "event");
  assert_string_equal(moon_column_text(c, 0), "VIEW");
  assert_string_equal(moon_column_text(c, 3), "robot");
  OK(map(f, "user", "return #row.item"));
  c = moon_table_column(f->table, "user");
  assert_int_equal(c->type, MOON_NUMBER);
  assert_true(c->f64[0] == 2);
  OK(map(f, "time", "return row.time and row.time + 1"));
  c = moon_table_column(f->table, "time");
  assert_int_equal(c->type, MOON_TIME);
  assert_int_equal(c->i64[0], INT64_C(1790812800) * MOON_SECOND + 1);
  assert_int_equal(c->i64[3], MOON_NULL_INT);
  assert_int_equal(f->table->column_count, columns);
}

static void map_over_no_rows_makes_the_column(void **state) {
  fixture *f = *state;
  moon_table_keep(f->table, (uint8_t[ROWS]){0});
  OK(map(f, "x", "error('never called')"));
  assert_non_null(moon_table_column(f->table, "x"));
  assert_int_equal(f->table->rows, 0);
}

/* ---- errors */

static void errors_name_the_line_the_row_and_the_file(void **state) {
  static const char *const cases[][2] = {
      {"return row.rating > 3", "recipe.lua:3: attempt to compare number with nil (row 2 of events.csv)"},
      {"if row.n == 4 then error('that one') end return true", "recipe.lua:3: that one (row 4 of events.csv)"},
      {"return row.raing", "recipe.lua:3: events.csv has no column 'raing'; did you mean 'rating'? (row 1 of events.csv)"},
      {"return row[1]", "events.csv has no column '1'"},
      {"row.n = 5", "recipe.lua:3: a row is read-only ('n' cannot be set); m.map makes columns (row 1 of events.csv)"},
      {"return row.n and row.n < 4 or (function() while true do end end)()", "(row 3 of events.csv)"},
      {"kept = rawget(_G, 'kept') or row return kept == row", ""},
  };
  fixture *f = *state;
  uint8_t keep[ROWS];
  for (size_t i = 0; i + 1 < sizeof cases / sizeof *cases; i++) {
    moon_status st = filter(f, cases[i][0], keep);
    if (st.code != MOON_ESCRIPT || !strstr(st.message, cases[i][1])) fail_msg("%s\n-> %d \"%s\"", cases[i][0], st.code, st.message);
  }
  keeps(f, cases[6][0], "1111"); /* one row object serves all rows of a call */
}

static void a_map_that_fails_leaves_the_table_as_it_was(void **state) {
  static const char *const cases[][3] = {
      {"n", "return row.n == 2 and 'two' or 1", "the function of 'n' answered a string, and before that a number (row 2 of events.csv)"},
      {"n", "return row.n == 2 and 2 or 'one'", "recipe.lua:3: the function of 'n' answered a number, and before that a string (row 2 of events.csv)"},
      {"n", "return row", "the function of 'n' must answer a number, a string, a boolean or nil, got a userdata (row 1 of events.csv)"},
      {"fresh", "if row.n == 4 then return {} end return 1", "got a table (row 4 of events.csv)"},
      {"fresh", "error('no')", "recipe.lua:3: no (row 1 of events.csv)"},
  };
  fixture *f = *state;
  size_t columns = f->table->column_count;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    REFUSED(MOON_ESCRIPT, cases[i][2], map(f, cases[i][0], cases[i][1]));
    assert_int_equal(f->table->column_count, columns);
    moon_column *n = moon_table_column(f->table, "n");
    assert_true(n->type == MOON_INTEGER && n->i64[0] == 1 && n->i64[3] == 4);
  }
  REFUSED(MOON_EINVAL, "time", map(f, "time", "return 1e300"));
  assert_int_equal(moon_table_column(f->table, "time")->i64[0], INT64_C(1790812800) * MOON_SECOND);
}

static void a_kept_row_is_dead_afterwards(void **state) {
  fixture *f = *state;
  uint8_t keep[ROWS];
  memset(keep, 1, sizeof keep);
  load_rules(f, NULL, "m.filter(function(row) kept = row return true end), m.filter(function() return kept.n end)");
  OK(f->functions.filter(f->functions.self, 1, f->table, keep));
  REFUSED(MOON_ESCRIPT, "this row was kept after its function returned; copy its values instead", f->functions.filter(f->functions.self, 2, f->table, keep));
}

static void the_budget_is_for_a_thousand_rows(void **state) {
  fixture *f = *state;
  moon_table *table;
  moon_column *a;
  enum { N = 20000 };
  static uint8_t keep[N];
  OK(moon_table_new("many.csv", &table));
  OK(moon_table_add_column(table, "a", MOON_NUMBER, &a));
  for (size_t i = 0; i < N; i++) OK(moon_column_push_number(a, (double)i));
  table->rows = N;
  moon_host_options options = {.call_instructions = 200000};
  load_rules(f, &options, "m.filter(function(row) local x = row.a for i = 1, 30 do x = x + i end return x end), m.filter(function(row) while row.a == 1500 do end end)");
  OK(f->functions.filter(f->functions.self, 1, table, keep)); /* some 2 million instructions in all */
  REFUSED(MOON_ESCRIPT, "(row 1501 of many.csv)", f->functions.filter(f->functions.self, 2, table, keep));
  moon_table_free(table);
}

static void a_failed_allocation_leaves_the_table_whole(void **state) {
  fixture *f = *state;
  bool through = false;
  for (size_t n = 1; n < 400 && !through; n++) {
    load_rules(f, NULL, "m.map 'name' (function(row) return row.item .. row.event end)");
    moon_alloc_fail_at(n);
    moon_status st = f->functions.map(f->functions.self, 1, f->table, "name");
    moon_alloc_fail_at(0);
    through = !st.code;
    if (st.code) assert_null(moon_table_column(f->table, "name"));
    if (st.code) assert_int_equal(f->table->column_count, 6);
  }
  assert_true(through);
  assert_string_equal(moon_column_text(moon_table_column(f->table, "name"), 3), "i4bot");
}

/* ---- the whole road: a recipe's rules through core/data */

static void a_recipes_rules_run_in_order(void **state) {
  fixture *f = *state;
  load_rules(f, NULL,
             "m.drop_missing 'user', m.filter(function(row) return row.event ~= 'bot' end), m.map 'long' (function(row) return row.user .. row.item end),\n"
             "m.map 'long' (function(row) return row.long .. '!' end), m.dedupe 'long'");
  moon_rule_report reports[5];
  const moon_preprocess_options options = {.functions = &f->functions};
  OK(moon_preprocess(json_object_get(f->plan, "preprocess"), f->table, &options, reports));
  assert_int_equal(f->table->rows, 2);
  assert_string_equal(moon_column_text(moon_table_column(f->table, "long"), 1), "u2i2!");
  assert_true(reports[0].before == 4 && reports[0].after == 3 && reports[1].after == 2);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(filter_keeps_the_rows_that_it_is_told_to),
      TEST(a_row_shows_values_of_their_types),
      TEST(rows_already_left_out_stay_out),
      TEST(random_filters_agree_with_a_plain_reading),
      TEST(map_adds_a_column_of_the_first_values_type),
      TEST(map_replaces_a_column_and_may_read_the_old_one),
      TEST(map_over_no_rows_makes_the_column),
      TEST(errors_name_the_line_the_row_and_the_file),
      TEST(a_map_that_fails_leaves_the_table_as_it_was),
      TEST(a_kept_row_is_dead_afterwards),
      TEST(the_budget_is_for_a_thousand_rows),
      TEST(a_failed_allocation_leaves_the_table_whole),
      TEST(a_recipes_rules_run_in_order),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

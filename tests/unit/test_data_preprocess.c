/* A plan's rules over a table: each keeps what it says, in order, and says how much it kept. */
#include "unit/tables.h"

/* Functions as a script would give them: filter 1 keeps even values of n; map 2 doubles n into a column; 3 fails. */
static moon_status filter(void *self, uint32_t fn, const moon_table *table, uint8_t *keep) {
  ++*(int *)self;
  if (fn == 3) return moon_fail(MOON_ESCRIPT, "the function failed");
  assert_int_equal(fn, 1);
  const moon_column *n = moon_table_column(table, "n");
  for (size_t i = 0; i < table->rows; i++)
    if (fmod(moon_column_number(n, i), 2) != 0) keep[i] = 0;
  return moon_ok();
}
static moon_status map(void *self, uint32_t fn, moon_table *table, const char *name) {
  ++*(int *)self;
  if (fn == 3) return moon_fail(MOON_ESCRIPT, "the function failed");
  moon_column *out, *n;
  MOON_TRY(moon_table_add_column(table, name, MOON_NUMBER, &out));
  n = moon_table_column(table, "n");
  for (size_t i = 0; i < table->rows; i++) out->f64[i] = 2 * moon_column_number(n, i);
  return moon_ok();
}

static moon_status run(const char *rules, moon_table *table, moon_rule_report *reports) {
  int calls = 0;
  const moon_row_functions functions = {&calls, filter, map};
  const moon_preprocess_options options = {.functions = &functions};
  json_t *json = json_of(rules);
  moon_status status = moon_preprocess(json, table, &options, reports);
  json_decref(json);
  return status;
}

static void rules_apply_in_order_and_report(void **state) {
  (void)state;
  moon_table *table = table_of("user,n\na,1\nb,2\n,4\na,4\nb,2\nc,\n", "user,n:number");
  moon_rule_report reports[4];
  OK(
      run("[{'op':'drop_missing','columns':['user','n'],'where':'recipe.lua:3'},{'op':'filter','fn':1},{'op':'map','column':'m','"
          "fn':2},"
          "{'op':'dedupe','columns':['user','n'],'where':'recipe.lua:9'}]",
          table, reports));
  HOLDS(table, "b|2|4;a|4|8");
  static const struct {
    const char *rule;
    size_t before, after;
  } expected[] = {{"drop_missing (recipe.lua:3)", 6, 4}, {"filter", 4, 3}, {"map", 3, 3}, {"dedupe (recipe.lua:9)", 3, 2}};
  for (int i = 0; i < 4; i++) {
    assert_string_equal(reports[i].rule, expected[i].rule);
    assert_int_equal(reports[i].before, expected[i].before);
    assert_int_equal(reports[i].after, expected[i].after);
  }
  moon_table_free(table);
}

static void no_rules_and_no_rows_are_fine(void **state) {
  (void)state;
  moon_table *table = table_of("user,n\na,1\n", "user,n");
  OK(run("[]", table, NULL));
  HOLDS(table, "a|1");
  moon_table_free(table);
  table = table_of("user,n\n", "user,n");
  OK(run("[{'op':'drop_missing','columns':['user']},{'op':'dedupe','columns':['user']},{'op':'filter','fn':1}]", table, NULL));
  HOLDS(table, "");
  moon_table_free(table);
}

static void refusals_say_where(void **state) {
  (void)state;
  static const struct {
    const char *rules;
    moon_code code;
    const char *message;
  } cases[] = {{"[{'op':'drop_mising','columns':['n'],'where':'recipe.lua:6'}]", MOON_EINVAL,
                "recipe.lua:6: there is no preprocess rule 'drop_mising'; did you mean 'drop_missing'?"},
               {"[{'op':'zebra'}]", MOON_EINVAL, "recipe: there is no preprocess rule 'zebra'"},
               {"[{}]", MOON_EINVAL, "a preprocess rule has no op"},
               {"[5]", MOON_EINVAL, "a preprocess rule has no op"},
               {"[{'op':'drop_missing','columns':['usr'],'where':'recipe.lua:6'}]", MOON_ENOTFOUND,
                "recipe.lua:6: t.csv has no column 'usr'; did you mean 'user'?"},
               {"[{'op':'dedupe','columns':['user','x']}]", MOON_ENOTFOUND, "has no column 'x'"},
               {"[{'op':'dedupe','columns':[]}]", MOON_EINVAL, "a rule needs 1 to 64 columns, not 0"},
               {"[{'op':'dedupe'}]", MOON_EINVAL, "a rule needs 1 to 64 columns"},
               {"[{'op':'dedupe','columns':[7]}]", MOON_EINVAL, "column 1 of a rule is not a name"},
               {"[{'op':'map','fn':2}]", MOON_EINVAL, "map"},
               {"[{'op':'filter','fn':3,'where':'recipe.lua:7'}]", MOON_ESCRIPT, "the function failed"},
               {"[{'op':'map','column':'x','fn':3,'where':'recipe.lua:7'}]", MOON_ESCRIPT, "the function failed"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    moon_table *table = table_of("user,n\na,1\nb,2\n", "user,n");
    REFUSED(cases[i].code, cases[i].message, run(cases[i].rules, table, NULL));
    HOLDS(table, "a|1;b|2"); /* the failing rule changed nothing */
    moon_table_free(table);
  }
  moon_table *table = table_of("n\n1\n", "n");
  json_t *rules = json_of("[{'op':'filter','fn':1}]");
  REFUSED(MOON_EINVAL, "nobody runs the recipe's functions", moon_preprocess(rules, table, NULL, NULL));
  json_decref(rules);
  moon_table_free(table);
}

static void dedupe_agrees_with_comparing_all_pairs(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 41, 0);
  for (int round = 0; round < 100; round++) {
    moon_buf text = {0}, expected = {0}, got = {0};
    moon_buf_puts(&text, "s,n,t\n");
    size_t rows = moon_rng_below(&rng, 200), kept = 0;
    static char lines[200][40];
    moon_buf_puts(&expected, "");
    for (size_t i = 0; i < rows; i++) {
      char s[4] = "", n[8] = "";
      if (moon_rng_below(&rng, 5)) sprintf(s, "%c", 'a' + (int)moon_rng_below(&rng, 3));
      if (moon_rng_below(&rng, 5)) sprintf(n, "%u.5", moon_rng_below(&rng, 4));
      sprintf(lines[i], "%s|%s|%u", *s ? s : "-", *n ? n : "-", moon_rng_below(&rng, 3) * 1000000);
      moon_buf_printf(&text, "%s,%s,%d\n", s, n, atoi(strrchr(lines[i], '|') + 1) / 1000000);
      bool seen = false;
      for (size_t k = 0; k < i; k++) seen |= !strcmp(lines[k], lines[i]);
      if (!seen) moon_buf_printf(&expected, "%s%s", kept++ ? ";" : "", lines[i]);
    }
    moon_table *table = table_of(text.data, "s,n:number,t:time");
    OK(run("[{'op':'dedupe','columns':['s','n','t']}]", table, NULL));
    dump(table, &got);
    assert_string_equal(got.data, expected.data);
    moon_table_free(table);
    moon_buf_free(&text), moon_buf_free(&expected), moon_buf_free(&got);
  }
}

/* Whatever stands where in a rule, it is refused or it works, and the table is one afterwards. */
static void broken_rules_do_no_harm(void **state) {
  (void)state;
  static const char *const rules[] = {"{'op':'drop_missing','columns':['user']}",
                                      "{'op':'dedupe','columns':['user','n']}",
                                      "{'op':'fill','values':[{'column':'n','value':'mean'}]}",
                                      "{'op':'cast','types':[{'column':'n','type':'string'}]}",
                                      "{'op':'rename','names':[{'column':'n','to':'m'}]}",
                                      "{'op':'clip','column':'n','min':1,'max':2}",
                                      "{'op':'time_zone','zones':[{'column':'time','zone':'+01:00'}]}",
                                      "{'op':'sessionize','gap_us':5000000}",
                                      "{'op':'k_core','user':2,'item':1}",
                                      "{'op':'bots','over_us':5000000,'most':1}",
                                      "{'op':'join','on':'user','columns':['n'],'source':{'file':'none.csv'}}",
                                      "{'op':'map','column':'x','fn':7}",
                                      "{'op':'filter','fn':7}"};
  static const char *const values[] = {"null",
                                       "true",
                                       "-1",
                                       "0",
                                       "1e300",
                                       "9223372036854775807",
                                       "'n'",
                                       "'user'",
                                       "'time'",
                                       "''",
                                       "[]",
                                       "{}",
                                       "[[]]",
                                       "[{}]",
                                       "['n']",
                                       "['n',5]",
                                       "[{'column':5}]",
                                       "[{'column':'user','value':[],'type':{},'to':1,'zone':[]}]"};
  size_t worked = 0, refused = 0;
  for (size_t r = 0; r < sizeof rules / sizeof *rules; r++)
    for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
      json_t *keys = json_of(rules[r]);
      const char *key;
      json_t *unused;
      json_object_foreach(keys, key, unused) {
        moon_table *table = table_of("user,item,n,time\na,1,2.5,9\n,2,,2\na,1,9,\n", "user,item,n:number,time:time_s");
        json_t *rule = json_of(rules[r]), *wrapped;
        char value[200];
        snprintf(value, sizeof value, "[%s]", values[v]);
        wrapped = json_of(value);
        json_object_set(rule, key, json_array_get(wrapped, 0));
        json_t *list = json_pack("[o]", rule);
        moon_rule_report report;
        moon_buf text = {0};
        if (moon_preprocess(list, table, NULL, &report).code)
          refused++;
        else
          worked++;
        dump(table, &text); /* which looks at every cell and length */
        moon_buf_free(&text);
        json_decref(list);
        json_decref(wrapped);
        moon_table_free(table);
      }
      json_decref(keys);
    }
  if (worked < 10 || refused < 200) fail_msg("%zu worked, %zu were refused", worked, refused);
}

static moon_status run_all(void *self) {
  moon_alloc_fail_at(0);
  moon_table *table = table_of("user,n\na,1\nb,2\na,1\n", "user,n");
  json_t *rules = json_of("[{'op':'drop_missing','columns':['user']},{'op':'dedupe','columns':['user','n']}]");
  moon_alloc_fail_at((*(size_t *)self)++);
  moon_status status = moon_preprocess(rules, table, NULL, NULL);
  moon_alloc_fail_at(0);
  if (!status.code) HOLDS(table, "a|1;b|2");
  json_decref(rules);
  moon_table_free(table);
  return status;
}

static void rules_survive_no_memory(void **state) {
  (void)state;
  size_t n = 1;
  assert_true(exhaust(run_all, &n) >= 3);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(rules_apply_in_order_and_report),
                                     cmocka_unit_test(no_rules_and_no_rows_are_fine),
                                     cmocka_unit_test(refusals_say_where),
                                     cmocka_unit_test(dedupe_agrees_with_comparing_all_pairs),
                                     cmocka_unit_test(broken_rules_do_no_harm),
                                     cmocka_unit_test(rules_survive_no_memory)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}

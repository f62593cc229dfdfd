/* Rules that change what stands in a column. */
#include <time.h>

#include "unit/rules_run.h"

#define TABLE "name,price,count\na,1.5,4\n,,\nb,3,\n,10,1\n"
#define TYPES "name,price:number,count:integer"

/* ---- fill */

static void empty_cells_are_filled_and_no_others(void **state) {
  (void)state;
  becomes(
      TABLE, TYPES,
      "{'op':'fill','values':[{'column':'price','value':0.25},{'column':'name','value':'nobody'},{'column':'count','value':-7}]}",
      "a|1.5|4;nobody|0.25|-7;b|3|-7;nobody|10|1", "price = 0.25 in 1, name = 'nobody' in 2, count = -7 in 2");
  becomes(TABLE, TYPES, "{'op':'fill','values':[{'column':'name','value':'mean'}]}", "a|1.5|4;mean|-|-;b|3|-;mean|10|1",
          "name = 'mean' in 2");
  becomes("name,price\n", "name,price:number", "{'op':'fill','values':[{'column':'price','value':1}]}", "", "price = 1 in 0");
}

static void means_and_medians_are_of_what_is_there(void **state) {
  (void)state;
  becomes(TABLE, TYPES, "{'op':'fill','values':[{'column':'price','value':'median'},{'column':'count','value':'mean'}]}",
          "a|1.5|4;-|3|2;b|3|2;-|10|1", "price = 3 in 1, count = 2 in 2"); /* 2.5 as a whole number: to even */
  becomes("p\n4\n\n1\n2\n7\n", "p:number", "{'op':'fill','values':[{'column':'p','value':'median'}]}", "4;3;1;2;7", "p = 3 in 1");
  moon_rng rng;
  moon_rng_seed(&rng, 21, 0);
  for (int round = 0; round < 100; round++) {
    moon_buf text = {0};
    double values[60], sum = 0;
    size_t n = 0, rows = 1 + moon_rng_below(&rng, 60);
    moon_buf_puts(&text, "k,p\nx,\n");
    for (size_t i = 0; i < rows; i++) {
      if (i && moon_rng_below(&rng, 4) == 0) {
        moon_buf_puts(&text, "x,\n");
        continue;
      }
      values[n] = moon_rng_below(&rng, 30) - 10.0;
      sum += values[n];
      moon_buf_printf(&text, "x,%g\n", values[n++]);
    }
    moon_table *mean = table_of(text.data, "p:number"), *median = table_of(text.data, "p:number");
    OK(run_rule("{'op':'fill','values':[{'column':'p','value':'mean'}]}", NULL, mean, NULL));
    OK(run_rule("{'op':'fill','values':[{'column':'p','value':'median'}]}", NULL, median, NULL));
    NEAR(mean->columns[0].f64[0], sum / (double)n, 1e-12);
    double below = 0, above = 0, middle = median->columns[0].f64[0];
    for (size_t i = 0; i < n; i++) below += values[i] <= middle, above += values[i] >= middle;
    assert_true(below * 2 >= (double)n && above * 2 >= (double)n); /* what a median is */
    moon_table_free(mean);
    moon_table_free(median);
    moon_buf_free(&text);
  }
}

static void what_does_not_fill_is_refused(void **state) {
  (void)state;
  static const struct {
    const char *values, *message;
  } cases[] = {{"[{'column':'prise','value':1}]", "has no column 'prise'; did you mean 'price'?"},
               {"[{'column':'price','value':'maen'}]", "not 'maen'; did you mean mean"},
               {"[{'column':'price','value':'zebra'}]", "filled with a number, \"mean\" or \"median\", not 'zebra'"},
               {"[{'column':'price'}]", "filled with a number"},
               {"[{'column':'name','value':5}]", "column name holds strings: it is filled with a text"},
               {"[{'column':'count','value':0},{'column':'count','value':2}]", "named twice"},
               {"[{'column':'price','value':1},{'column':'count','value':0.5}]", "holds whole numbers; 0.5 is none"},
               {"[]", "needs 1 to 64 columns"},
               {"[{'value':1}]", "column 1 of a rule is not a name"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char rule[300];
    snprintf(rule, sizeof rule, "{'op':'fill','values':%s}", cases[i].values);
    moon_table *table = table_of(TABLE, TYPES);
    moon_status status = run_rule(rule, NULL, table, NULL);
    if (!status.code || !strstr(status.message, cases[i].message)) fail_msg("case %zu: %s", i, status.message);
    HOLDS(table, "a|1.5|4;-|-|-;b|3|-;-|10|1");
    moon_table_free(table);
  }
  refuses("k,p\nx,\n", "k,p:number", "{'op':'fill','values':[{'column':'p','value':'mean'}]}", MOON_EINVAL,
          "no value to take the mean of");
  refuses("k,p\nx,\n", "k,p:number", "{'op':'fill','values':[{'column':'p','value':'median'}]}", MOON_EINVAL,
          "no value to take the median of");
  refuses("k,p\nx,\n", "k,p:time", "{'op':'fill','values':[{'column':'p','value':1}]}", MOON_EINVAL,
          "column p holds times, not numbers");
}

/* ---- cast */

static void values_are_read_as_another_type(void **state) {
  (void)state;
  becomes("p\n1.5\n\"\"\n-2e3\nx\n", "p:string", "{'op':'cast','types':[{'column':'p','type':'number'}]}", "1.5;-;-2000;-",
          "p: 1 emptied, the first 'x'");
  becomes("p\n15\n2.0\n2.5\n", "p:string", "{'op':'cast','types':[{'column':'p','type':'integer'}]}", "15;2;-",
          "p: 1 emptied, the first '2.5'");
  becomes("p\n15\n2.5\n0.1\n", "p:number", "{'op':'cast','types':[{'column':'p','type':'integer'}]}", "15;-;-",
          "p: 2 emptied, the first '2.5'");
  becomes("p\n15\n-2\n", "p:integer", "{'op':'cast','types':[{'column':'p','type':'string'}]}", "15;-2", "");
  becomes("p\n15\n-2\n", "p:integer", "{'op':'cast','types':[{'column':'p','type':'number'}]}", "15;-2", "");
  becomes("p\n2026-11-24 10:00\n2026-11-24T10:00+01:00\nsoon\n", "p:string",
          "{'op':'cast','types':[{'column':'p','type':'time'}]}", "1795514400000000;1795510800000000;-",
          "p: 1 emptied, the first 'soon'");
  becomes("p\n5\n", "p:number", "{'op':'cast','types':[{'column':'p','type':'time_ms'}]}", "5000", "");
  becomes("p\n1795514400\n", "p:string", "{'op':'cast','types':[{'column':'p','type':'time'}]}", "1795514400000000", "");
  becomes("p\n1795514400\n", "p:time", "{'op':'cast','types':[{'column':'p','type':'string'}]}", "2026-11-24T10:00:00Z", "");
  becomes("p\n2\n", "p:time_s", "{'op':'cast','types':[{'column':'p','type':'integer'}]}", "2000000", "");
  becomes("p\n2\n", "p:time_s", "{'op':'cast','types':[{'column':'p','type':'time'}]}", "2000000", ""); /* it is one */
  becomes("a,b,c\n1,2,3\n", "a:string,b:string,c:string",
          "{'op':'cast','types':[{'column':'c','type':'number'},{'column':'a','type':'integer'}]}", "1|2|3", "");
}

/* To a text and back is the same number. */
static void a_cast_there_and_back_loses_nothing(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 22, 0);
  moon_table *table;
  moon_column *column;
  double values[500];
  OK(moon_table_new("t", &table));
  OK(moon_table_add_column(table, "p", MOON_NUMBER, &column));
  for (size_t i = 0; i < 500; i++) {
    values[i] = moon_rng_normal(&rng) * pow(10, moon_rng_below(&rng, 40) - 20.0);
    OK(moon_column_push_number(column, values[i]));
  }
  table->rows = 500;
  OK(run_rule("{'op':'cast','types':[{'column':'p','type':'string'}]},{'op':'cast','types':[{'column':'p','type':'number'}]}",
              NULL, table, (moon_rule_report[2]){0}));
  for (size_t i = 0; i < 500; i++) assert_true(moon_table_column(table, "p")->f64[i] == values[i]);
  moon_table_free(table);
}

static void a_cast_of_nothing_but_rubbish_is_refused(void **state) {
  (void)state;
  refuses("p,q\nx,1\ny,2\n", "p:string,q",
          "{'op':'cast','types':[{'column':'q','type':'string'},{'column':'p','type':'number'}]}", MOON_EFORMAT,
          "not one value of column p can be cast: the first is 'x'");
  refuses("p\n1\n", "p", "{'op':'cast','types':[{'column':'p','type':'nubmer'}]}", MOON_EINVAL,
          "there is no type 'nubmer'; did you mean 'number'?");
  refuses("p\n1\n", "p", "{'op':'cast','types':[{'column':'p'}]}", MOON_EINVAL, "there is no type");
  refuses("p\n1\n", "p", "{'op':'cast','types':[{'column':'q','type':'number'}]}", MOON_ENOTFOUND, "no column 'q'");
}

/* ---- rename */

static void names_change_all_at_once(void **state) {
  (void)state;
  moon_table *table = table_of("a,b,c\n1,2,3\n", "a,b,c");
  moon_rule_report report;
  OK(run_rule("{'op':'rename','names':[{'column':'a','to':'b'},{'column':'b','to':'a'},{'column':'c','to':'d'}]}", NULL, table,
              &report));
  assert_string_equal(table->columns[0].name, "b");
  assert_string_equal(table->columns[1].name, "a");
  assert_string_equal(table->columns[2].name, "d");
  assert_string_equal(report.why, "a is now b, b is now a, c is now d");
  HOLDS(table, "1|2|3");
  moon_table_free(table);
  static const char *const refused[] = {"[{'column':'a','to':'b'}]", "[{'column':'a','to':'x'},{'column':'b','to':'x'}]",
                                        "[{'column':'a'}]",          "[{'column':'a','to':''}]",
                                        "[{'column':'x','to':'y'}]", "[{'column':'a','to':'x'},{'column':'a','to':'y'}]"};
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    char rule[200];
    snprintf(rule, sizeof rule, "{'op':'rename','names':%s}", refused[i]);
    table = table_of("a,b\n1,2\n", "a,b");
    assert_true(run_rule(rule, NULL, table, NULL).code != MOON_OK);
    assert_string_equal(table->columns[0].name, "a");
    assert_string_equal(table->columns[1].name, "b");
    moon_table_free(table);
  }
}

/* ---- clip */

static void numbers_come_within_bounds(void **state) {
  (void)state;
  becomes(TABLE, TYPES, "{'op':'clip','column':'price','min':2,'max':9.5}", "a|2|4;-|-|-;b|3|-;-|9.5|1",
          "price: 1 raised, 1 lowered");
  becomes(TABLE, TYPES, "{'op':'clip','column':'count','min':1.5,'max':3.5}", "a|1.5|3;-|-|-;b|3|-;-|10|2",
          "count: 1 raised, 1 lowered");
  becomes(TABLE, TYPES, "{'op':'clip','column':'count','max':1e300}", "a|1.5|4;-|-|-;b|3|-;-|10|1", "count: 0 raised, 0 lowered");
  becomes(TABLE, TYPES, "{'op':'clip','column':'price','min':5}", "a|5|4;-|-|-;b|5|-;-|10|1", "price: 2 raised, 0 lowered");
  refuses(TABLE, TYPES, "{'op':'clip','column':'name','min':5}", MOON_EINVAL, "column name holds strings, not numbers");
  refuses(TABLE, TYPES, "{'op':'clip','column':'price','min':5,'max':4}", MOON_EINVAL, "min 5 is above max 4");
  refuses(TABLE, TYPES, "{'op':'clip','column':'count','min':0.2,'max':0.8}", MOON_EINVAL, "no whole number is from 0.2 to 0.8");
  refuses(TABLE, TYPES, "{'op':'clip','column':'price','min':'5'}", MOON_EINVAL, "min must be a number");
  refuses(TABLE, TYPES, "{'op':'clip','column':'pric','min':5}", MOON_ENOTFOUND, "did you mean 'price'?");
  refuses(TABLE, TYPES, "{'op':'clip','min':5}", MOON_EINVAL, "names no column");
}

/* ---- time zones */

static void local_times_become_utc(void **state) {
  (void)state;
  becomes("t,u\n2026-01-15T12:00,5\n2026-07-15T12:00,\n,5\n", "t:time,u:time_s",
          "{'op':'time_zone','zones':[{'column':'t','zone':'CET-1CEST,M3.5.0,M10.5.0/3'}]}",
          "1768474800000000|5000000;1784109600000000|-;-|5000000", "t from CET-1CEST,M3.5.0,M10.5.0/3");
  becomes("t,u\n3600,3600\n", "t:time_s,u:time_s",
          "{'op':'time_zone','zones':[{'column':'t','zone':'+01:00'},{'column':'u','zone':'-01:00'}]}", "0|7200000000",
          "t from +01:00, u from -01:00");
  refuses("t,u\n3600,x\n", "t:time_s,u",
          "{'op':'time_zone','zones':[{'column':'t','zone':'+01:00'},{'column':'u','zone':'-01:00'}]}", MOON_EINVAL,
          "column u does not hold times");
  refuses("t,u\n3600,5\n", "t:time_s,u:time_s",
          "{'op':'time_zone','zones':[{'column':'t','zone':'+01:00'},{'column':'u','zone':'here'}]}", MOON_ENOTFOUND,
          "'here' is no time zone");
  refuses("t\n3600\n", "t:time_s", "{'op':'time_zone','zones':[{'column':'t'}]}", MOON_EINVAL, "needs a zone");
}

/* ---- all of them */

static moon_status run_all(void *self) {
  static const char *const rules[] = {
      "{'op':'fill','values':[{'column':'name','value':'x'},{'column':'price','value':'median'}]}",
      "{'op':'cast','types':[{'column':'name','type':'string'},{'column':'price','type':'string'}]}",
      "{'op':'rename','names':[{'column':'name','to':'x'},{'column':'price','to':'y'}]}",
      "{'op':'clip','column':'price','min':5}", "{'op':'time_zone','zones':[{'column':'t','zone':'+01:00'}]}"};
  moon_status status = moon_ok();
  for (size_t i = 0; i < 5 && !status.code; i++) {
    moon_alloc_fail_at(0);
    moon_table *table = table_of("name,price,t\na,1,3600\n,,\n", "name,price:number,t:time_s");
    json_t *list = json_pack("[o]", json_of(rules[i]));
    moon_alloc_fail_at(*(size_t *)self);
    status = moon_preprocess(list, table, NULL, NULL);
    moon_alloc_fail_at(0);
    if (status.code) HOLDS(table, "a|1|3600000000;-|-|-");
    if (status.code) assert_string_equal(table->columns[0].name, "name");
    json_decref(list);
    moon_table_free(table);
  }
  ++*(size_t *)self;
  return status;
}

static void rules_survive_no_memory(void **state) {
  (void)state;
  size_t n = 1;
  assert_true(exhaust(run_all, &n) >= 8);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(empty_cells_are_filled_and_no_others),
      cmocka_unit_test(means_and_medians_are_of_what_is_there),
      cmocka_unit_test(what_does_not_fill_is_refused),
      cmocka_unit_test(values_are_read_as_another_type),
      cmocka_unit_test(a_cast_there_and_back_loses_nothing),
      cmocka_unit_test(a_cast_of_nothing_but_rubbish_is_refused),
      cmocka_unit_test(names_change_all_at_once),
      cmocka_unit_test(numbers_come_within_bounds),
      cmocka_unit_test(local_times_become_utc),
      cmocka_unit_test(rules_survive_no_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

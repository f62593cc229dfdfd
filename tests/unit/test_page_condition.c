/* test_page_condition.c - conditions on items: what each comparison means, nulls, and every way to write one wrong. */
#include "page_shop.h"

static moon_status parse_condition(const char *text, const moon_catalogue *catalogue, moon_condition **out) {
  json_t *json = parse(text);
  moon_status st = moon_condition_parse(json, catalogue, out);
  json_decref(json);
  return st;
}

/* "01000001": for rows 0..7 of the shop. */
static void assert_holds(const moon_catalogue *catalogue, const char *text, const char *expected) {
  moon_condition *condition = NULL;
  OK(parse_condition(text, catalogue, &condition));
  for (uint32_t row = 0; row < 8; row++)
    if (moon_condition_holds(condition, catalogue, row) != (expected[row] == '1')) fail_msg("%s: item %u, wanted %s", text, row, expected);
  moon_condition_free(condition);
}

static void comparisons_mean_what_they_say(void **state) {
  (void)state;
  moon_catalogue *c = shop_catalogue(); /* prices 10 12.5 7 199.99 89 30 3 5 */
  assert_holds(c, "[{'column':'price','op':'lt','value':10}]", "00100011");
  assert_holds(c, "[{'column':'price','op':'le','value':10}]", "10100011");
  assert_holds(c, "[{'column':'price','op':'gt','value':12.5}]", "00011100");
  assert_holds(c, "[{'column':'price','op':'ge','value':12.5}]", "01011100");
  assert_holds(c, "[{'column':'price','op':'eq','value':199.99}]", "00010000");
  assert_holds(c, "[{'column':'price','op':'ne','value':7}]", "11011111");
  assert_holds(c, "[{'column':'price','op':'in','value':[89,3,10,3]}]", "10001010");
  assert_holds(c, "[{'column':'brand','op':'eq','value':'Acme'}]", "11010000");
  assert_holds(c, "[{'column':'brand','op':'in','value':['Cato','Bodo','Nobody']}]", "00101110");
  assert_holds(c, "[{'column':'brand','op':'eq','value':'Nobody'}]", "00000000");
  assert_holds(c, "[{'column':'brand','op':'in','value':[]}]", "00000000");
  assert_holds(c, "[{'column':'new','op':'truthy'}]", "10010010");
  assert_holds(c, "[{'column':'added','op':'gt','value':1790000000000000}]", "11010010"); /* later than 2026-09-21 */
  assert_holds(c, "[{'column':'brand','op':'eq','value':'Acme'},{'column':'price','op':'lt','value':100}]", "11000000");
  moon_catalogue_free(c);
}

static void nothing_is_equal_to_nothing(void **state) {
  (void)state;
  moon_catalogue *c = shop_catalogue(); /* i7 has neither brand nor stock */
  assert_holds(c, "[{'column':'brand','op':'ne','value':'Acme'}]", "00101111");
  assert_holds(c, "[{'column':'brand','op':'ne','value':'Nobody'}]", "11111111");
  assert_holds(c, "[{'column':'brand','op':'truthy'}]", "11111110");
  assert_holds(c, "[{'column':'stock','op':'lt','value':1000}]", "11111110");
  assert_holds(c, "[{'column':'stock','op':'ge','value':-1000}]", "11111110");
  assert_holds(c, "[{'column':'stock','op':'ne','value':5}]", "00111111");
  moon_condition *condition = NULL;
  OK(parse_condition("[{'column':'price','op':'gt','value':0}]", c, &condition));
  assert_false(moon_condition_holds(condition, c, 4000)); /* a row that is not there */
  moon_condition_free(condition);
  OK(parse_condition("[{'column':'price','op':'ne','value':0}]", c, &condition));
  assert_true(moon_condition_holds(condition, c, 4000));
  moon_condition_free(condition);
  moon_catalogue_free(c);
}

static void texts_that_say_no_are_not_truthy(void **state) {
  (void)state;
  static const moon_read_column columns[] = {{"item", "item", "string"}, {"sale", "sale", "string"}};
  moon_catalogue *c = shop_catalogue_of("item,sale\na,yes\nb,0\nc,false\nd,FALSE\ne,no\nf,1\ng,\nh,nothing\n", columns, 2);
  assert_holds(c, "[{'column':'sale','op':'truthy'}]", "10000101");
  moon_catalogue_free(c);
}

static void a_part_of_a_text_is_had(void **state) {
  (void)state;
  static const moon_read_column columns[] = {{"item", "item", "string"}, {"regions", "regions", "string"}};
  moon_catalogue *c = shop_catalogue_of("item,regions\na,NL|BE\nb,BE\nc,\nd, NL | DE \ne,NLX|XNL\nf,||\ng,BE|NL|BE\nh,NL|BE\n", columns, 2);
  assert_holds(c, "[{'column':'regions','op':'has','value':'NL'}]", "10010011");
  assert_holds(c, "[{'column':'regions','op':'has','value':'BE'}]", "11000011");
  assert_holds(c, "[{'column':'regions','op':'has','value':'FR'}]", "00000000");
  assert_holds(c, "[{'column':'regions','op':'has','value':''}]", "00000000");
  assert_holds(c, "[{'column':'regions','op':'has','value':'BE'},{'column':'regions','op':'ne','value':'BE'}]", "10000011");
  moon_catalogue_free(c);
}

/* ---- what a request says */

static void assert_asked(const moon_catalogue *catalogue, const char *text, const char *value, const char *expected) {
  const moon_pair pairs[] = {{"other", "Bodo"}, {"x", "earlier"}, {"x", value}};
  const moon_request request = {.params = pairs, .param_n = value ? 3 : 1};
  moon_condition *condition = NULL;
  const moon_condition *asked = NULL;
  moon_arena arena = {0};
  OK(parse_condition(text, catalogue, &condition));
  OK(moon_condition_ask(condition, catalogue, &request, &arena, &asked));
  for (uint32_t row = 0; row < 8; row++)
    if (moon_condition_holds(asked, catalogue, row) != (expected[row] == '1')) fail_msg("%s of %s: item %u, wanted %s", text, value, row, expected);
  moon_arena_free(&arena);
  moon_condition_free(condition);
}

static void a_value_may_come_with_the_request(void **state) {
  (void)state;
  static const char nothing[] = "00000000";
  moon_catalogue *c = shop_catalogue(); /* prices 10 12.5 7 199.99 89 30 3 5 */
  assert_asked(c, "[{'column':'brand','op':'eq','param':'x'}]", "Acme", "11010000");
  assert_asked(c, "[{'column':'brand','op':'eq','param':'x'}]", "Nobody", nothing);
  assert_asked(c, "[{'column':'brand','op':'ne','param':'x'}]", "Acme", "00101111");
  assert_asked(c, "[{'column':'brand','op':'has','param':'x'}]", "Bodo", "00101000");
  assert_asked(c, "[{'column':'brand','op':'has','param':'x'}]", "Bod", nothing);
  assert_asked(c, "[{'column':'price','op':'lt','param':'x'}]", "10", "00100011");
  assert_asked(c, "[{'column':'price','op':'ge','param':'x'}]", "12.5", "01011100");
  assert_asked(c, "[{'column':'price','op':'eq','param':'x'}]", "199.99", "00010000");
  assert_asked(c, "[{'column':'price','op':'ne','param':'x'}]", "7", "11011111");
  assert_asked(c, "[{'column':'brand','op':'eq','param':'x'},{'column':'price','op':'gt','value':100}]", "Acme", "00010000");
  moon_catalogue_free(c);
}

static void what_the_request_lacks_is_equal_to_nothing_unless_told_otherwise(void **state) {
  (void)state;
  static const char nothing[] = "00000000", all[] = "11111111";
  moon_catalogue *c = shop_catalogue();
  for (int empty = 0; empty < 2; empty++) { /* ?x= is none either */
    const char *none = empty ? "" : NULL;
    assert_asked(c, "[{'column':'brand','op':'eq','param':'x'}]", none, nothing);
    assert_asked(c, "[{'column':'brand','op':'has','param':'x'}]", none, nothing);
    assert_asked(c, "[{'column':'brand','op':'ne','param':'x'}]", none, all);
    assert_asked(c, "[{'column':'price','op':'lt','param':'x'}]", none, nothing);
    assert_asked(c, "[{'column':'price','op':'ge','param':'x'}]", none, nothing);
    assert_asked(c, "[{'column':'price','op':'eq','param':'x'}]", none, nothing);
    assert_asked(c, "[{'column':'brand','op':'eq','param':'x','default':'Acme'}]", none, "11010000");
    assert_asked(c, "[{'column':'brand','op':'has','param':'x','default':'Bodo'}]", none, "00101000");
    assert_asked(c, "[{'column':'price','op':'le','param':'x','default':10}]", none, "10100011");
    assert_asked(c, "[{'column':'brand','op':'eq','param':'x','optional':true}]", none, all);
    assert_asked(c, "[{'column':'brand','op':'eq','param':'x','optional':true},{'column':'price','op':'lt','value':10}]", none, "00100011");
  }
  for (size_t i = 0; i < 5; i++) { /* what is no number compares with nothing, not even with its default */
    static const char *const odd[] = {"cheap", "nan", "1e999", "0x10", "10 "};
    assert_asked(c, "[{'column':'price','op':'lt','param':'x','default':1000}]", odd[i], nothing);
    assert_asked(c, "[{'column':'price','op':'gt','param':'x'}]", odd[i], nothing);
    assert_asked(c, "[{'column':'price','op':'eq','param':'x'}]", odd[i], nothing);
    assert_asked(c, "[{'column':'price','op':'ne','param':'x'}]", odd[i], all);
  }
  moon_catalogue_free(c);
}

static void wrong_conditions_say_what_is_wrong(void **state) {
  (void)state;
  static const struct {
    const char *json, *says;
    moon_code code;
  } wrong[] = {
      {"[{'column':'prise','op':'lt','value':1}]", "did you mean 'price'", MOON_ENOTFOUND},
      {"[{'column':'price','op':'less','value':1}]", "comparison 'less'", MOON_EINVAL},
      {"[{'column':'price','op':'truthfy'}]", "did you mean 'truthy'", MOON_EINVAL},
      {"[{'column':'brand','op':'lt','value':1}]", "holds strings", MOON_EINVAL},
      {"[{'column':'brand','op':'eq','value':1}]", "holds strings", MOON_EINVAL},
      {"[{'column':'price','op':'eq','value':'cheap'}]", "not 'cheap'", MOON_EINVAL},
      {"[{'column':'price','op':'eq'}]", "holds numbers", MOON_EINVAL},
      {"[{'column':'price','op':'lt','value':null}]", "holds numbers", MOON_EINVAL},
      {"[{'column':'price','op':'in','value':3}]", "list of values", MOON_EFORMAT},
      {"[{'column':'price','op':'in','value':[3,'x']}]", "holds numbers", MOON_EINVAL},
      {"[{'column':'brand','op':'in','value':['x',{}]}]", "holds strings", MOON_EINVAL},
      {"[{'column':'price','op':'has','value':1}]", "'has' looks for a part of a string", MOON_EINVAL},
      {"[{'column':'brand','op':'has','value':1}]", "holds strings", MOON_EINVAL},
      {"[{'column':'brand','op':'has'}]", "holds strings", MOON_EINVAL},
      {"[{'column':'brand','op':'in','param':'x'}]", "'in' takes nothing from the request", MOON_EINVAL},
      {"[{'column':'brand','op':'truthy','param':'x'}]", "'truthy' takes nothing", MOON_EINVAL},
      {"[{'column':'brand','op':'lt','param':'x'}]", "'lt' compares numbers", MOON_EINVAL},
      {"[{'column':'brand','op':'eq','param':7}]", "name of a parameter", MOON_EFORMAT},
      {"[{'column':'brand','op':'eq','param':''}]", "name of a parameter", MOON_EFORMAT},
      {"[{'column':'brand','op':'eq','param':'x','default':3}]", "holds strings", MOON_EINVAL},
      {"[{'column':'price','op':'eq','param':'x','default':'3'}]", "holds numbers", MOON_EINVAL},
      {"[{'column':'brand','op':'eq','param':'x','optional':1}]", "true or false", MOON_EFORMAT},
      {"[{'op':'lt','value':1}]", "no column", MOON_EFORMAT},
      {"[{'column':'price'}]", "no op", MOON_EFORMAT},
      {"[{'column':7,'op':[]}]", "no column", MOON_EFORMAT},
      {"[3]", "no column", MOON_EFORMAT},
      {"[null]", "no column", MOON_EFORMAT},
      {"[]", "at least one", MOON_EFORMAT},
      {"{}", "at least one", MOON_EFORMAT},
      {"'price'", "at least one", MOON_EFORMAT},
  };
  moon_catalogue *c = shop_catalogue();
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    moon_condition *condition = NULL;
    moon_status st = parse_condition(wrong[i].json, c, &condition);
    if (st.code != wrong[i].code || !strstr(st.message, wrong[i].says)) fail_msg("%s: %d %s", wrong[i].json, st.code, st.message);
    assert_null(condition);
  }
  moon_condition *condition = NULL;
  REFUSED(MOON_EFORMAT, "at least one", moon_condition_parse(NULL, c, &condition));
  moon_catalogue_free(c);
}

static void sets_of_any_size_agree_with_looking(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 21, 0);
  for (size_t round = 0; round < 100; round++) {
    moon_catalogue *c = random_catalogue(&rng, 60, 15);
    json_t *values = json_array();
    bool strings = moon_rng_below(&rng, 2), wanted[40] = {0};
    for (size_t n = moon_rng_below(&rng, 12); n > 0; n--) {
      uint32_t value = moon_rng_below(&rng, 20);
      char text[16];
      snprintf(text, sizeof text, "g%u", value);
      json_array_append_new(values, strings ? json_string(text) : json_integer(value));
      wanted[value] = true;
    }
    json_t *json = json_pack("[{s:s, s:s, s:o}]", "column", strings ? "group" : "size", "op", "in", "value", values);
    moon_condition *condition = NULL;
    OK(moon_condition_parse(json, c, &condition));
    const moon_table *t = c->table;
    for (uint32_t row = 0; row < 60; row++) {
      const char *text = moon_column_text(&t->columns[1], row);
      double number = strings ? (text ? atof(text + 1) : NAN) : t->columns[2].f64[row];
      assert_int_equal(moon_condition_holds(condition, c, row), number >= 0 && wanted[(int)number]);
    }
    moon_condition_free(condition);
    json_decref(json);
    moon_catalogue_free(c);
  }
}

static void failing_memory_leaks_nothing(void **state) {
  (void)state;
  moon_catalogue *c = shop_catalogue();
  json_t *json = parse("[{'column':'price','op':'lt','value':1},{'column':'brand','op':'in','value':['a','Acme']},"
                       "{'column':'brand','op':'has','param':'x','default':'Acme'},{'column':'price','op':'le','param':'y'}]");
  const moon_pair pairs[] = {{"x", "Bodo"}, {"y", "90"}};
  const moon_request request = {.params = pairs, .param_n = 2};
  for (size_t n = 1;; n++) {
    moon_condition *condition = NULL;
    moon_alloc_fail_at(n);
    moon_status st = moon_condition_parse(json, c, &condition);
    moon_alloc_fail_at(0);
    assert_true(st.code ? st.code == MOON_ENOMEM && !condition : condition != NULL);
    if (!st.code) { /* and then asking it */
      const moon_condition *asked;
      moon_arena arena = {0};
      moon_alloc_fail_at(1);
      REFUSED(MOON_ENOMEM, "no memory", moon_condition_ask(condition, c, &request, &arena, &asked));
      moon_alloc_fail_at(0);
    }
    moon_condition_free(condition);
    if (!st.code) {
      assert_true(n > 10);
      break;
    }
  }
  json_decref(json);
  moon_catalogue_free(c);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(comparisons_mean_what_they_say),     cmocka_unit_test(nothing_is_equal_to_nothing),
      cmocka_unit_test(a_part_of_a_text_is_had),            cmocka_unit_test(a_value_may_come_with_the_request),
      cmocka_unit_test(what_the_request_lacks_is_equal_to_nothing_unless_told_otherwise),
      cmocka_unit_test(texts_that_say_no_are_not_truthy),   cmocka_unit_test(wrong_conditions_say_what_is_wrong),
      cmocka_unit_test(sets_of_any_size_agree_with_looking), cmocka_unit_test(failing_memory_leaks_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

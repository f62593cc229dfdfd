/* JSON Lines: what is read and what is refused; and that one table is the same by whatever road it comes. */
#include "unit/tables.h"

static moon_status read_json(const char *text, size_t n, const char *words, size_t max_bad, size_t block, moon_table **out,
                             moon_read_report *report) {
  columns wanted;
  columns_of(words, &wanted);
  const moon_read_options options = {.columns = wanted.list, .column_count = wanted.n, .max_bad_rows = max_bad, .block = block};
  return moon_jsonl_read(&(moon_input){.name = "t.jsonl", .bytes = text, .n = n}, 1, &options, out, report);
}

static const size_t blocks[] = {1, 3, 17, 0};
enum { BLOCKS = sizeof blocks / sizeof *blocks };

static void lines_become_tables(void **state) {
  (void)state;
  static const struct {
    const char *text, *words, *expected;
  } cases[] = {
      {"{'a':1,'b':'x'}\n{'b':'y','a':2.5}", "a,b", "1|x;2.5|y"},
      {"\xef\xbb\xbf{'a':1}\r\n\r\n \t\n{'a':2}\r\n", "a", "1;2"},
      {"", "a", ""},
      {"\n\n", "a", ""},
      /* paths; a key that holds a dot counts first */
      {"{'user':{'id':'u1','geo':{'city':'Bonn'}}}\n{'user.id':'u2','user':{'id':'no'}}", "user=user.id,city=user.geo.city", "u1|Bonn;u2|-"},
      {"{'a.b':{'c':1},'a':{'b.c':2}}", "x=a.b.c", "2"},
      {"{'a':5}", "x=a", "5"},
      /* absent, null, empty; a column that appears half-way */
      {"{'a':1}\n{'a':null,'b':''}\n{'a':3,'b':'x'}", "a,b", "1|-;-|-;3|x"},
      {"{}\n{'a':1}", "a", "-;1"},
      /* texts of numbers and numbers of texts */
      {"{'user':17,'n':'12.5'}\n{'user':'x','n':3}", "user,n:number", "17|12.5;x|3"},
      {"{'user':9223372036854775807,'i':-9223372036854775807}", "user,i:integer", "9223372036854775807|-9223372036854775807"},
      {"{'s':1.25}\n{'s':0.1}\n{'s':1e300}", "s:string", "1.25;0.1;1e+300"},
      {"{'i':5.0}", "i:integer", "5"},
      /* booleans */
      {"{'s':true,'n':false,'i':true}", "s:string,n:number,i:integer", "true|0|1"},
      {"{'x':true}\n{'x':2}", "x", "1;2"},
      /* undeclared: numbers only where all are */
      {"{'x':1}\n{'x':'a'}\n{'x':true}", "x", "1;a;true"},
      {"{'x':'1'}\n{'x':'2'}", "x", "1;2"},
      /* times */
      {"{'time':1700000000.25}\n{'time':'2026-11-24T10:11:12Z'}", "time", "1700000000250000;1795515072000000"},
      {"{'time':1700000000000}", "time", "1700000000000000"},
      {"{'s':'\\u00e9\\ud83c\\udf81 \\'q\\''}", "s", "\xc3\xa9\xf0\x9f\x8e\x81 \"q\""}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    for (int b = 0; b < BLOCKS; b++) {
      char text[300];
      snprintf(text, sizeof text, "%s", cases[i].text);
      for (char *at = text; *at; at++)
        if (*at == '\'') *at = '"';
      moon_table *table = NULL;
      moon_read_report report;
      moon_buf got = {0};
      moon_status status = read_json(text, strlen(text), cases[i].words, 0, blocks[b], &table, &report);
      if (status.code) fail_msg("case %zu: %s", i, status.message);
      dump(table, &got);
      if (strcmp(got.data, cases[i].expected)) fail_msg("case %zu, block %zu: %s, not %s", i, blocks[b], got.data, cases[i].expected);
      assert_int_equal(report.bytes, strlen(text));
      moon_buf_free(&got);
      moon_table_free(table);
    }
}

static void lines_are_refused_with_a_reason(void **state) {
  (void)state;
  static const struct {
    const char *bad, *message;
    moon_reject reason;
  } cases[] = {{"{\"n\":1", "t.jsonl:2: the line does not parse", MOON_REJECT_JSON},
               {"{\"n\":1} {}", "the line does not parse", MOON_REJECT_JSON},
               {"{\"n\":1,\"n\":2}", "duplicate", MOON_REJECT_JSON},
               {"[1]", "is JSON, but no object", MOON_REJECT_JSON},
               {"7", "is JSON, but no object", MOON_REJECT_JSON},
               {"{\"n\":\"abc\"}", "column n: 'abc' is not a number", MOON_REJECT_NUMBER},
               {"{\"i\":1.5}", "column i: '1.5' is not a whole number", MOON_REJECT_NUMBER},
               {"{\"n\":[1]}", "column n: a list is not a single value", MOON_REJECT_TYPE},
               {"{\"s\":{}}", "column s: an object is not a single value", MOON_REJECT_TYPE},
               {"{\"n\":1e999}", "does not parse", MOON_REJECT_RANGE},
               {"{\"n\":\"1e999\"}", "'1e999' is not a number in range", MOON_REJECT_RANGE},
               {"{\"i\":9223372036854775808}", "too big integer", MOON_REJECT_RANGE},
               {"{\"i\":\"9223372036854775808\"}", "is not a whole number in range", MOON_REJECT_RANGE},
               {"{\"t\":\"soon\"}", "column t: 'soon' is not a time", MOON_REJECT_TIME},
               {"{\"t\":1e30}", "is not a time in range", MOON_REJECT_RANGE},
               {"{\"s\":\"\xff\"}", "UTF-8", MOON_REJECT_UTF8},
               {"{\"s\":\"a\\u0000b\"}", "zero byte", MOON_REJECT_UTF8}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char text[200];
    moon_table *table;
    moon_read_report report;
    snprintf(text, sizeof text, "{\"n\":1,\"i\":2,\"s\":\"x\",\"t\":5}\n%s\n{\"n\":3}\n", cases[i].bad);
    REFUSED(MOON_EFORMAT, cases[i].message, read_json(text, strlen(text), "n:number,i:integer,s:string,t:time", 0, 0, &table, NULL));
    OK(read_json(text, strlen(text), "n:number,i:integer,s:string,t:time", 1, 0, &table, &report));
    HOLDS(table, "1|2|x|5000000;3|-|-|-");
    assert_int_equal(report.bad_rows, 1);
    if (report.reasons[cases[i].reason] != 1) fail_msg("case %zu: not counted as %s", i, moon_reject_name(cases[i].reason));
    moon_table_free(table);
  }
}

static void a_key_that_no_line_has_is_a_mistake(void **state) {
  (void)state;
  moon_table *table;
  const char *text = "{\"user\":{\"id\":1},\"price\":2}\n{\"user\":{\"id\":2}}\n";
  REFUSED(MOON_ENOTFOUND, "t.jsonl has no column 'user.idd'; did you mean 'user.id'?", read_json(text, strlen(text), "u=user.idd", 0, 0, &table, NULL));
  REFUSED(MOON_ENOTFOUND, "no column 'gamma_ray'; the first row has user.id, price", read_json(text, strlen(text), "gamma_ray", 0, 0, &table, NULL));
}

/* What is a number in the first thousand lines is a number; later texts are rejected rows that say how to read them. */
static void a_late_text_in_numbers_is_a_rejected_row(void **state) {
  (void)state;
  moon_buf text = {0};
  moon_table *table;
  moon_read_report report;
  for (int i = 0; i < 20000; i++) moon_buf_printf(&text, "{\"x\":%d,\"pad\":\"%040d\"}\n", i, i);
  moon_buf_puts(&text, "{\"x\":\"late\",\"half\":1}\n{\"half\":2}\n");
  REFUSED(MOON_EFORMAT, "t.jsonl:20001: column x: 'late' is not a number; \"x:string\" would read texts",
          read_json(text.data, text.n, "x", 0, 0, &table, NULL));
  OK(read_json(text.data, text.n, "x,half:number", 1, 0, &table, &report));
  assert_int_equal(report.rows, 20001);
  assert_true(table->columns[1].f64[20000] == 2);
  moon_table_free(table);
  moon_buf_free(&text);
}

static moon_status read_some(void *self) {
  const char *text = self;
  moon_table *table;
  MOON_TRY(read_json(text, strlen(text), "a,b,n:number", 1, 0, &table, NULL));
  moon_alloc_fail_at(0);
  HOLDS(table, "5|x|1.5");
  moon_table_free(table);
  return moon_ok();
}

static void reading_survives_no_memory(void **state) {
  (void)state;
  assert_true(exhaust(read_some, "{\"a\":5,\"b\":\"x\",\"n\":1.5}\n{\"n\":\"bad\"}\n") > 8);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lines_become_tables), cmocka_unit_test(lines_are_refused_with_a_reason),
      cmocka_unit_test(a_key_that_no_line_has_is_a_mistake), cmocka_unit_test(a_late_text_in_numbers_is_a_rejected_row),
      cmocka_unit_test(reading_survives_no_memory)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}

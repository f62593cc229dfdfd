/* The CSV reader: what is read, from whatever bytes and in whatever pieces they come; what is refused, and in which words. */
#include "unit/tables.h"

#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#define BOM "\xef\xbb\xbf"
static const size_t blocks[] = {1, 2, 3, 5, 8, 17, 64, 0};
enum { BLOCKS = sizeof blocks / sizeof *blocks };

/* ---- what is read -------------------------------------------------------------------------------------------------------- */

static void texts_become_tables(void **state) {
  (void)state;
  static const struct {
    const char *text, *words, *expected;
  } cases[] = {
      /* line ends, the last line, blank lines, the mark of Excel */
      {"a,b\n1,x\n2,y\n", "a,b", "1|x;2|y"},
      {"a,b\r\n1,x\r\n2,y\r\n", "a,b", "1|x;2|y"},
      {"a,b\n1,x\n2,y", "a,b", "1|x;2|y"},
      {"a,b\r\n1,x\r\n2,y\r", "a,b", "1|x;2|y"},
      {BOM "a,b\n1,x\n", "a,b", "1|x"},
      {BOM "\"a\",b\n1,x\n", "a,b", "1|x"},
      {"\n\r\na,b\n\n1,x\n\r\n\n2,y\n\n", "a,b", "1|x;2|y"},
      {"a,b\n", "a,b", ""},
      {"a,b", "a,b", ""},
      /* only what is asked for, in the order asked for */
      {"a,b,c,d\n1,2,3,4\n", "d,b", "4|2"},
      {"a,b\n1,2\n", "z=b,y=a", "2|1"},
      {"a\n1\n\n3\n", "a", "1;-;3"}, /* in a single column an empty line is an empty field */
      /* quotes */
      {"a,b\n\"x\",\"y\"\n", "a,b", "x|y"},
      {"a,b\n\"x, y\",\"say \"\"hi\"\"\"\n", "a,b", "x, y|say \"hi\""},
      {"a,b\n\"line\nbreak\",\"c\r\nd\"\r\n", "a,b", "line\nbreak|c\r\nd"},
      {"a,b\n\"\"\"\",\"\"\"\"\"\"\n", "a,b", "\"|\"\""},
      {"a,b\nx\"y\",5\" pipe\n", "a,b", "x\"y\"|5\" pipe"}, /* not at the start: a plain character */
      {"\"a \"\"b\"\"\",c\n1,2\n", "q=c", "2"},
      {"\"a,b\",c\n1,2\n", "c", "2"},
      {"a,b\n\"x\",\"y\"", "a,b", "x|y"},
      {"a,b\n\"x\",\"y\"\r", "a,b", "x|y"},
      {"a,b\n\"1.5\",\"x\"\n", "a:number,b", "1.5|x"},
      /* empty is null, quoted or not */
      {"a,b,c\n,x,\n1,,3\n\"\",\"\",\"\"\n", "a,b,c", "-|x|-;1|-|3;-|-|-"},
      {"a,b\n , x \n", "a,b", " | x "},
      /* types: inferred, asked for, natural, the header's */
      {"n,s\n1,1\n2.5,x\n-3e2,y\n", "n,s", "1|1;2.5|x;-300|y"},
      {"n\n1\n2\n", "n:string", "1;2"},
      {"n\n1\n-9223372036854775807\n+5\n", "n:integer", "1;-9223372036854775807;5"},
      {"user,item,event,time\n7,8,1,5\n", "user,item,event,time", "7|8|1|5000000"},
      {"user_id:token,item_id:token,rating:float,timestamp:float\n1,2,3.5,874724710\n",
       "user=user_id,item=item_id,rating,time=timestamp", "1|2|3.5|874724710000000"},
      {"item_id:token,genres:token_seq,v:float_seq\n1,Drama Comedy,0.1 0.2\n", "item=item_id,genres,v", "1|Drama Comedy|0.1 0.2"},
      {"t:time_ms\n5\n", "time=t", "5000"},      /* a role's natural type keeps the header's unit */
      {"t:time_ms\n5\n", "time=t:time_us", "5"}, /* the recipe's word counts most */
      {"t:time_ms\n5\n", "t", "5000"},
      {"a:b,c:\n1,2\n", "x=a:b:number,y=c::number", "1|2"}, /* not a type: part of the name */
      {"price:number\n5\n", "p=price:string", "5"},
      /* times */
      {"t\n1700000000\n1700000001.25\n", "t:time", "1700000000000000;1700000001250000"},
      {"t\n1700000000000\n", "t:time", "1700000000000000"},
      {"t\n1700000000000000\n", "t:time", "1700000000000000"},
      {"t\n-5\n", "t:time_s", "-5000000"},
      {"t\n2026-11-24T10:11:12Z\n1795515073\n2026-11-24\n", "t:time", "1795515072000000;1795515073000000;1795478400000000"},
      /* UTF-8 */
      {"n\xc3\xa4me,b\n\xe2\x82\xac,\xf0\x9f\x8e\x81\n", "x=n\xc3\xa4me,b", "\xe2\x82\xac|\xf0\x9f\x8e\x81"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    for (int b = 0; b < BLOCKS; b++) {
      moon_table *table = NULL;
      moon_read_report report;
      moon_buf got = {0};
      moon_status status = read_text(cases[i].text, strlen(cases[i].text), cases[i].words, ',', 0, blocks[b], &table, &report);
      if (status.code) fail_msg("case %zu, block %zu: %s", i, blocks[b], status.message);
      dump(table, &got);
      if (strcmp(got.data, cases[i].expected))
        fail_msg("case %zu, block %zu: %s, not %s", i, blocks[b], got.data, cases[i].expected);
      assert_int_equal(report.rows, table->rows);
      assert_int_equal(report.bytes, strlen(cases[i].text));
      assert_int_equal(report.bad_rows, 0);
      assert_string_equal(table->name, "t.csv");
      moon_buf_free(&got);
      moon_table_free(table);
    }
  }
}

static void tabs_separate_where_asked(void **state) {
  (void)state;
  const char *text = "a\tb\n1,2\t\"x\ty\"\n";
  moon_table *table;
  OK(read_text(text, strlen(text), "a,b", '\t', 0, 0, &table, NULL));
  HOLDS(table, "1,2|x\ty");
  moon_table_free(table);
}

static void equal_texts_share_a_code(void **state) {
  (void)state;
  moon_table *table = table_of("a,n\nx,1\ny,2\nx,3\n,4\nx,5\n", "a");
  const moon_column *a = moon_table_column(table, "a");
  assert_int_equal(moon_dict_count(a->dict), 2);
  const uint32_t codes[] = {0, 1, 0, MOON_NONE, 0};
  assert_memory_equal(a->code, codes, sizeof codes);
  assert_int_equal(table->column_count, 1); /* n was not asked for and is not kept */
  moon_table_free(table);
}

/* A slip in a column of numbers is a slip; a column that is often no number is one of texts. */
static void types_are_inferred_from_nine_in_ten(void **state) {
  (void)state;
  for (int texts = 0; texts <= 4; texts++) {
    moon_buf text = {0};
    moon_buf_puts(&text, "id,v\n");
    for (int i = 0; i < 20; i++)
      moon_buf_printf(&text, "%d,%s\n", i, i % 5 == 0 && i / 5 < texts ? "abc" : i % 7 == 3 ? "" : "1.5");
    moon_table *table = NULL;
    moon_status status = read_text(text.data, text.n, "id,v", ',', 0, 0, &table, NULL);
    if (texts == 0)
      assert_int_equal(moon_table_column(table, "v")->type, MOON_NUMBER);
    else if (texts == 1)
      REFUSED(MOON_EFORMAT, "t.csv:2: column v: 'abc' is not a number; \"v:string\" would read texts", status);
    else
      assert_int_equal(moon_table_column(table, "v")->type, MOON_STRING);
    if (!status.code) moon_table_free(table);
    moon_buf_free(&text);
  }
}

static void inference_sees_only_the_first_rows_and_whole_records(void **state) {
  (void)state;
  moon_buf text = {0};
  moon_buf_puts(&text, "v\n");
  for (int i = 0; i < 1000; i++) moon_buf_printf(&text, "\"t\n%d\"\n", i);
  for (int i = 0; i < 30000; i++) moon_buf_printf(&text, "%d\n", i);
  moon_table *table;
  OK(read_text(text.data, text.n, "v", ',', 0, 1000, &table, NULL));
  assert_int_equal(table->columns[0].type, MOON_STRING);
  assert_int_equal(table->rows, 31000); /* what was looked at ahead is read once */
  assert_string_equal(moon_column_text(&table->columns[0], 0), "t\n0");
  moon_table_free(table);
  moon_buf_free(&text);
}

/* ---- what is refused ------------------------------------------------------------------------------------------------------ */

static void texts_are_refused(void **state) {
  (void)state;
  static const struct {
    const char *text, *words;
    moon_code code;
    const char *message;
  } cases[] = {
      {"", "a", MOON_EFORMAT, "t.csv is empty: a header"},
      {BOM, "a", MOON_EFORMAT, "t.csv is empty"},
      {"\n\r\n\n", "a", MOON_EFORMAT, "t.csv is empty"},
      {"\xff\xfe"
       "a,",
       "a", MOON_EFORMAT, "t.csv is UTF-16"},
      {"\xfe\xff,a", "a", MOON_EFORMAT, "t.csv is UTF-16"},
      {"price,b\n", "prize", MOON_ENOTFOUND, "t.csv has no column 'prize'; did you mean 'price'?"},
      {"alpha,beta\n", "gamma_ray", MOON_ENOTFOUND, "t.csv has no column 'gamma_ray'; its header has alpha, beta"},
      {"a,b,a\n", "a", MOON_EFORMAT, "t.csv: the header has 'a' twice, in columns 1 and 3"},
      {"a,a:number\n", "a", MOON_EFORMAT, "the header has 'a' twice"},
      {"\"a\"x,b\n", "b", MOON_EFORMAT, "t.csv:1: the header does not parse: a text follows a closing quote"},
      {"\n\n\"a,b\n1,2\n", "a", MOON_EFORMAT, "t.csv:3: a quote that opens in this row is never closed"},
      {"a\n1\n", "a:nubmer", MOON_EINVAL, "column a: there is no type 'nubmer'; did you mean 'number'?"},
      {"a\n1\n", "a,a", MOON_EINVAL, "two columns called a"},
      {"a,b\n1\n", "a", MOON_EFORMAT, "t.csv:2: 1 fields, the header has 2 (--max-bad-rows N"},
      {"a,b\n1,2\n1,2,3\n", "a", MOON_EFORMAT, "t.csv:3: 3 fields, the header has 2"},
      {"a,b\n1,2\n\"x\"y,2\n", "a", MOON_EFORMAT, "t.csv:3: a text follows a closing quote"},
      {"a,b\n\"x\"\r,2\n", "a", MOON_EFORMAT, "t.csv:2: a text follows a closing quote"},
      {"a,b\n1,\"x\n2,3\n", "a", MOON_EFORMAT, "t.csv:2: a quote that opens in this row is never closed"},
      {"a\n1\n1,5\n", "a:number", MOON_EFORMAT, "t.csv:3: 2 fields"},
      {"a,b\n1,2\nx,3\n", "a:number", MOON_EFORMAT, "t.csv:3: column a: 'x' is not a number (--max-bad-rows N leaves out"},
      {"p\n1.5\n", "price=p:integer", MOON_EFORMAT, "t.csv:2: column p: '1.5' is not a whole number"},
      {"t\nyesterday\n", "time=t", MOON_EFORMAT, "t.csv:2: column t: 'yesterday' is not a time"},
      {"t\n1700000000\n99999999999999\n", "t:time", MOON_EFORMAT,
       "t.csv:3: column t: '99999999999999' is not a time"}, /* seconds: beyond 64 bits */
      {"s\nok\n\xff\n", "s:string", MOON_EFORMAT, "t.csv:3: column s: the text is not UTF-8"},
      {"n\nnan\n", "n:number", MOON_EFORMAT, "'nan' is not a number"},
      {"n\ninf\n", "n:number", MOON_EFORMAT, "'inf' is not a number"},
      {"n\n1e999\n", "n:number", MOON_EFORMAT, "'1e999' is not a number"},
      {"n\n0x10\n", "n:number", MOON_EFORMAT, "'0x10' is not a number"},
      {"n\n1 \n", "n:number", MOON_EFORMAT, "'1 ' is not a number"},
      {"n\n9223372036854775808\n", "n:integer", MOON_EFORMAT, "is not a whole number"},
      {"n\n1234567890123456789012345678901234567890123456789\n", "n:integer", MOON_EFORMAT,
       "'1234567890123456789012345678901234567890...' is not"},
      {"n\n\x1b[31mred\n", "n:number", MOON_EFORMAT, "'?[31mred' is not a number"},
      /* lines are counted in quotes, in blank lines and in columns nobody asked for */
      {"a,b\n\"1\n\n2\",3\r\n\n\"x\r\ny\",bad\n", "b:number", MOON_EFORMAT, "t.csv:6: column b: 'bad'"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    for (int b = 0; b < BLOCKS; b++) {
      moon_table *table = (moon_table *)&state;
      moon_status status = read_text(cases[i].text, strlen(cases[i].text), cases[i].words, ',', 0, blocks[b], &table, NULL);
      if (status.code != cases[i].code || !strstr(status.message, cases[i].message))
        fail_msg("case %zu, block %zu: %s \"%s\", wanted \"%s\"", i, blocks[b], moon_code_name(status.code), status.message,
                 cases[i].message);
      assert_ptr_equal(table, &state); /* untouched */
    }
}

static void named_texts_mean_no_value(void **state) {
  (void)state;
  static const char *const missing[] = {"NA", "unknown"};
  static const char text[] = "a,b,c\nNA,1,x\nNAN,unknown,NA\nunknow,NA,NAx\n";
  columns wanted;
  columns_of("a b c", &wanted);
  const moon_read_options options = {.delimiter = ',', .columns = wanted.list, .column_count = wanted.n, .missing = missing, .missing_count = 2};
  moon_table *table = NULL;
  moon_buf out = {0};
  OK(moon_csv_read_memory("t.csv", text, sizeof text - 1, &options, &table, NULL));
  dump(table, &out);
  assert_string_equal(out.data, "-|1|x;NAN|-|-;unknow|-|NAx");
  assert_int_equal(moon_table_column(table, "b")->type, MOON_NUMBER); /* what is missing has no say in the type */
  moon_buf_free(&out);
  moon_table_free(table);
}

static void zero_bytes_are_refused(void **state) {
  (void)state;
  moon_table *table;
  REFUSED(MOON_EFORMAT, "holds a zero byte", read_text("s\na\0b\n", 6, "s:string", ',', 0, 0, &table, NULL));
  REFUSED(MOON_EFORMAT, "is not a number", read_text("s\n1\0\n", 5, "s:number", ',', 0, 0, &table, NULL));
  REFUSED(MOON_ENOTFOUND, "no column 's'", read_text("s\0\n1\n", 5, "s:number", ',', 0, 0, &table, NULL));
}

static void bad_rows_are_left_out_up_to_the_limit(void **state) {
  (void)state;
  const char *text = "id,n\na,1\nb\nc,x\nd,4\n\"e\"e,5\nf,\"6\ng,7\"\nh,8\n"; /* bad: lines 3, 4, 6 and 7 */
  for (size_t limit = 0; limit < 7; limit++) {
    moon_table *table = NULL;
    moon_read_report report;
    moon_status status = read_text(text, strlen(text), "id,n:number", ',', limit, 0, &table, &report);
    if (limit >= 4) {
      OK(status);
      HOLDS(table, "a|1;d|4;h|8");
      assert_int_equal(report.bad_rows, 4);
      assert_int_equal(report.rows, 3);
      moon_table_free(table);
    } else {
      assert_int_equal(report.bad_rows, limit + 1);
      assert_int_equal(status.code, MOON_EFORMAT);
      char expected[100];
      snprintf(expected, sizeof expected,
               limit ? "t.csv:3: 1 fields, the header has 2 (the first of more malformed rows than --max-bad-rows %zu"
                     : "t.csv:3: 1 fields, the header has 2 (--max-bad-rows N",
               limit);
      assert_memory_equal(status.message, expected, strlen(expected));
    }
    assert_string_equal(report.first_bad[0], "t.csv:3: 1 fields, the header has 2");
    if (limit >= 1) assert_string_equal(report.first_bad[1], "t.csv:4: column n: 'x' is not a number");
    if (limit >= 2) assert_string_equal(report.first_bad[2], "t.csv:6: a text follows a closing quote");
  }
}

static void a_quote_left_open_fails_whatever_the_limit(void **state) {
  (void)state;
  moon_buf text = {0};
  moon_table *table;
  moon_buf_puts(&text, "a,b\n1,2\n3,\"4\n");
  for (int i = 0; i < 1000; i++) moon_buf_puts(&text, "5,6\n");
  REFUSED(MOON_EFORMAT, "t.csv:3: a quote that opens in this row is never closed",
          read_text(text.data, text.n, "a", ',', SIZE_MAX, 0, &table, NULL));
  while (text.n < (18u << 20)) moon_buf_add(&text, "all this might be one cell\n", 27);
  REFUSED(MOON_ELIMIT, "t.csv:3: a row of over 16 MiB", read_text(text.data, text.n, "a", ',', SIZE_MAX, 0, &table, NULL));
  moon_buf_free(&text);
}

/* The unit of a time column comes from a row that counts. */
static void a_bad_row_decides_nothing(void **state) {
  (void)state;
  moon_table *table;
  const char *text = "t,n\n1700000000000,bad\n1700000000,1\n";
  OK(read_text(text, strlen(text), "t:time,n:number", ',', 1, 0, &table, NULL));
  HOLDS(table, "1700000000000000|1");
  moon_table_free(table);
}

static void huge_rows_and_wide_headers(void **state) {
  (void)state;
  moon_buf text = {0};
  moon_table *table;
  moon_buf_puts(&text, "a,b\n\"");
  for (int i = 0; i < 150000; i++) moon_buf_puts(&text, "0123\n\"\"");
  size_t held = text.n;
  moon_buf_puts(&text, "\",x\n");
  OK(read_text(text.data, text.n, "a,b", ',', 0, 0, &table, NULL));
  assert_int_equal(moon_dict_length(table->columns[0].dict, 0), 150000 * 6);
  assert_string_equal(moon_column_text(&table->columns[1], 0), "x");
  moon_table_free(table);
  text.n = held; /* a text of over 1 MiB is no value; where nobody asks for it, it does no harm */
  for (int i = 0; i < 30000; i++) moon_buf_puts(&text, "01234567");
  moon_buf_puts(&text, "\",x\n");
  OK(read_text(text.data, text.n, "b", ',', 0, 0, &table, NULL));
  HOLDS(table, "x");
  moon_table_free(table);
  REFUSED(MOON_EFORMAT, "t.csv:2: column a: a text of 1140000 bytes, over 1 MiB", read_text(text.data, text.n, "a", ',', 0, 0, &table, NULL));
  for (int width = 4095; width <= 4097; width++) {
    moon_buf_reset(&text);
    for (int row = 0; row < 2; row++)
      for (int i = 0; i < width; i++) moon_buf_printf(&text, "%s%d%c", row ? "" : "c", i, i == width - 1 ? '\n' : ',');
    moon_status status = read_text(text.data, text.n, "c4094", ',', 0, 0, &table, NULL);
    if (width > 4096) {
      REFUSED(MOON_EFORMAT, "t.csv:1: the header does not parse: there are over 4096 columns", status);
    } else {
      OK(status);
      HOLDS(table, "4094");
      moon_table_free(table);
    }
  }
  moon_buf_reset(&text);
  moon_buf_puts(&text, "a\n");
  for (int i = 0; i < 5000; i++) moon_buf_puts(&text, i % 3 ? "," : "\"q\",");
  moon_buf_puts(&text, "\n1\n");
  REFUSED(MOON_EFORMAT, "t.csv:2: 4096 fields and more, the header has 1",
          read_text(text.data, text.n, "a", ',', 0, 0, &table, NULL));
  OK(read_text(text.data, text.n, "a", ',', 1, 0, &table, NULL));
  HOLDS(table, "1");
  moon_table_free(table);
  moon_buf_free(&text);
}

/* ---- properties ----------------------------------------------------------------------------------------------------------- */

enum { MOST_ROWS = 12, MOST_WIDTH = 6, MOST_TEXT = 40 };
typedef struct grid {
  size_t rows, width;
  char text[MOST_ROWS][MOST_WIDTH][MOST_TEXT];
} grid;

static void random_grid(moon_rng *rng, grid *g) {
  static const char *const pieces[] = {
      "a", "b", "0", "7", "\"", "\"\"", ",", ";", "\n", "\r", "\r\n", " ", "\t", "\xc3\xa9", "\xf0\x9f\x8e\x81", "long piece"};
  g->rows = moon_rng_below(rng, MOST_ROWS + 1);
  g->width = 1 + moon_rng_below(rng, MOST_WIDTH);
  for (size_t r = 0; r < g->rows; r++)
    for (size_t c = 0; c < g->width; c++) {
      g->text[r][c][0] = 0;
      for (size_t n = moon_rng_below(rng, 8); n && strlen(g->text[r][c]) < MOST_TEXT - 12; n--)
        strcat(g->text[r][c], pieces[moon_rng_below(rng, sizeof pieces / sizeof *pieces)]);
    }
}

/* Quoted where RFC 4180 says so, and elsewhere as the dice fall. */
static void write_field(moon_rng *rng, moon_buf *out, const char *text, bool must) {
  if (!must && !strpbrk(text, ",\"\r\n") && moon_rng_below(rng, 3)) {
    moon_buf_puts(out, text);
    return;
  }
  moon_buf_puts(out, "\"");
  for (; *text; text++) {
    if (*text == '"') moon_buf_puts(out, "\"");
    moon_buf_add(out, text, 1);
  }
  moon_buf_puts(out, "\"");
}

static void write_grid(moon_rng *rng, const grid *g, moon_buf *out) {
  bool crlf = moon_rng_below(rng, 2), last = moon_rng_below(rng, 2);
  moon_buf_reset(out);
  if (moon_rng_below(rng, 3) == 0) moon_buf_puts(out, BOM);
  for (size_t r = 0; r <= g->rows; r++) {
    for (size_t c = 0; c < g->width; c++) {
      char name[24];
      snprintf(name, sizeof name, "c%zu", c);
      if (c) moon_buf_puts(out, ",");
      write_field(rng, out, r ? g->text[r - 1][c] : name, g->width == 1 && r && !*g->text[r - 1][c]);
    }
    if (r < g->rows || last) moon_buf_puts(out, crlf ? "\r\n" : "\n");
  }
}

static void what_is_written_reads_back_the_same(void **state) {
  (void)state;
  static grid g;
  moon_rng rng;
  moon_buf text = {0};
  moon_rng_seed(&rng, 17, 0);
  for (int round = 0; round < 4000; round++) {
    random_grid(&rng, &g);
    write_grid(&rng, &g, &text);
    char words[200] = "";
    for (size_t c = 0; c < g.width; c++) sprintf(words + strlen(words), "c%zu:string,", c);
    moon_table *table;
    size_t block = moon_rng_below(&rng, 40);
    moon_status status = read_text(text.data, text.n, words, ',', 0, block, &table, NULL);
    if (status.code) fail_msg("round %d, block %zu: %s in\n%s", round, block, status.message, text.data);
    assert_int_equal(table->rows, g.rows);
    for (size_t r = 0; r < g.rows; r++)
      for (size_t c = 0; c < g.width; c++) {
        const char *got = moon_column_text(&table->columns[c], r);
        if (strcmp(got ? got : "", g.text[r][c]))
          fail_msg("round %d, block %zu, cell %zu %zu: '%s' in\n%s", round, block, r, c, got ? got : "", text.data);
      }
    moon_table_free(table);
  }
  moon_buf_free(&text);
}

/* Whatever the bytes, the pieces in which they come do not matter: same table or same message. */
static void pieces_do_not_matter(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 23, 0);
  for (int round = 0; round < 4000; round++) {
    static const char alphabet[] = "ab1.,,\"\"\n\n\r\xc3\xa9";
    char text[200] = "a,b\n";
    size_t n = 4 + moon_rng_below(&rng, 150);
    for (size_t i = 4; i < n; i++) text[i] = alphabet[moon_rng_below(&rng, sizeof alphabet - 1)];
    moon_status first = moon_ok();
    moon_buf expected = {0}, got = {0};
    for (int b = 0; b < BLOCKS; b++) {
      moon_table *table = NULL;
      moon_status status = read_text(text, n, "a,b", ',', 3, blocks[b], &table, NULL);
      if (!status.code) dump(table, b ? &got : &expected);
      if (!status.code) moon_table_free(table);
      if (!b) first = status;
      if (first.code != status.code || strcmp(first.message, status.message))
        fail_msg("round %d: '%s' and '%s'", round, first.message, status.message);
      if (b && !status.code) assert_true(expected.n == got.n && !memcmp(expected.data, got.data, got.n));
    }
    moon_buf_free(&expected);
    moon_buf_free(&got);
  }
}

/* Rows wait in batches: wherever one ends, and whatever is left out of it, the table is what the rows say one by one, with codes in
 * the order of first sight among those that were kept. */
static void batches_do_not_matter(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 24, 0);
  for (int round = 0; round < 60; round++) {
    moon_buf text = {0}, expected = {0}, got = {0};
    moon_dict *seen;
    size_t bad = 0, kept = 0, rows = 100 + moon_rng_below(&rng, 300);
    OK(moon_dict_new(&seen));
    moon_buf_puts(&text, "u,n,t,s\n");
    for (size_t row = 1; row <= rows; row++) {
      unsigned way = moon_rng_below(&rng, 12), user = moon_rng_below(&rng, 60), same = moon_rng_below(&rng, 4);
      char name[40];
      uint32_t code;
      size_t n = (size_t)sprintf(name, way == 5 ? "\xc3\xa9-%u" : way == 6 ? "a user of the longer kind %u" : "u%u", user);
      if (way == 0) moon_buf_printf(&text, "bad%zu,x,1,\n", row);                 /* no number */
      else if (way == 1) moon_buf_printf(&text, "%s,1,1,\xff%zu\n", name, row);  /* no UTF-8, after a good text */
      else if (way == 2) moon_buf_printf(&text, "never%zu,1\n", row);             /* too few */
      if (way < 3) {
        bad++;
        continue;
      }
      const char *quoted = way == 3 ? "\"say \"\"%u\"\"\"" : way == 4 ? "" : "s%u";
      moon_buf_printf(&text, "%s,%zu.5,%zu,", name, row, row);
      moon_buf_printf(&text, quoted, same);
      moon_buf_puts(&text, "\n");
      OK(moon_dict_add(seen, name, n, &code));
      moon_buf_printf(&expected, "%s%u|%zu.5|%zu000000|", kept++ ? ";" : "", code, row, row);
      moon_buf_printf(&expected, way == 3 ? "say \"%u\"" : way == 4 ? "-" : "s%u", same);
    }
    for (int b = 0; b < BLOCKS; b++) {
      moon_table *table;
      moon_read_report report;
      OK(read_text(text.data, text.n, "u:string,n:number,t:time,s:string", ',', rows, blocks[b], &table, &report));
      assert_int_equal(report.bad_rows, bad);
      assert_int_equal(report.rows, kept);
      assert_int_equal(moon_dict_count(table->columns[0].dict), moon_dict_count(seen));
      moon_column *user = &table->columns[0];
      user->type = MOON_INTEGER; /* to see its codes */
      int64_t *codes = moon_alloc((kept + 1) * sizeof *codes);
      uint32_t *raw = user->code;
      for (size_t i = 0; i < kept; i++) codes[i] = raw[i];
      user->i64 = codes;
      dump(table, &got);
      assert_string_equal(got.data, expected.data);
      moon_free(raw);
      moon_table_free(table);
    }
    moon_dict_free(seen);
    moon_buf_free(&text);
    moon_buf_free(&expected);
    moon_buf_free(&got);
  }
}

/* ---- files ---------------------------------------------------------------------------------------------------------------- */

static char folder[] = "/tmp/moonshelf-csv-XXXXXX";
static char path[200];

static moon_status read_path(const char *words, moon_table **out, moon_read_report *report, const moon_progress *progress) {
  columns wanted;
  columns_of(words, &wanted);
  const moon_read_options options = {.columns = wanted.list, .column_count = wanted.n, .progress = progress};
  return moon_csv_read(&(moon_input){.path = path}, 1, &options, out, report);
}

static void put_file(const char *bytes, size_t n) { /* without the fsync of moon_file_write: there are thousands */
  FILE *file = fopen(path, "wb");
  assert_int_equal(fwrite(bytes, 1, n, file), n);
  fclose(file);
}

static void append_gz(const char *mode, const char *text) {
  gzFile file = gzopen(path, mode);
  assert_int_equal(gzwrite(file, text, (unsigned)strlen(text)), (int)strlen(text));
  gzclose(file);
}

static void packed_and_plain_files_are_the_same(void **state) {
  (void)state;
  moon_table *table;
  moon_read_report report;
  moon_buf text = {0};
  moon_buf_puts(&text, "id,n\n");
  for (int i = 0; i < 60000; i++) moon_buf_printf(&text, "i%d,%d\n", i % 777, i); /* over the buffer's size */
  for (int packed = 0; packed < 2; packed++) {
    if (packed)
      append_gz("wb", text.data);
    else
      OK(moon_file_write(path, text.data, text.n));
    OK(read_path("id,n", &table, &report, NULL));
    assert_int_equal(table->rows, 60000);
    assert_int_equal(report.bytes, text.n);
    assert_int_equal(moon_dict_count(table->columns[0].dict), 777);
    for (size_t i = 0; i < 60000; i++) assert_true(table->columns[1].f64[i] == (double)i);
    moon_table_free(table);
  }
  moon_buf_free(&text);
}

static void append_zst(const char *mode, const char *text, size_t n) {
  size_t room = ZSTD_compressBound(n);
  char *packed = malloc(room);
  FILE *file = fopen(path, mode);
  size_t got = ZSTD_compress(packed, room, text, n, 3);
  assert_int_equal(fwrite(packed, 1, got, file), got);
  fclose(file);
  free(packed);
}

static void frames_of_a_zst_follow_each_other(void **state) {
  (void)state;
  moon_table *table;
  append_zst("wb", "a,b\n1,", 6);
  append_zst("ab", "", 0);
  append_zst("ab", "x\n2,y\n", 6);
  OK(read_path("a,b", &table, NULL, NULL));
  HOLDS(table, "1|x;2|y");
  moon_table_free(table);
  put_file("\x50\x2a\x4d\x18\x02\0\0\0hi", 10); /* a frame to skip, as pzstd writes them */
  append_zst("ab", "a,b\n3,z\n", 8);
  OK(read_path("a,b", &table, NULL, NULL));
  HOLDS(table, "3|z");
  moon_table_free(table);
  append_zst("wb", "a,b\n1,x\n", 8);
  FILE *file = fopen(path, "ab");
  fputs("more,text\n", file);
  fclose(file);
  REFUSED(MOON_EFORMAT, "the compressed file is broken", read_path("a,b", &table, NULL, NULL));
}

static void broken_zst_is_never_taken_for_whole(void **state) {
  (void)state;
  moon_table *table = NULL;
  moon_buf text = {0}, packed = {0};
  moon_buf_puts(&text, "a,b\n");
  for (int i = 0; i < 40; i++) moon_buf_printf(&text, "%d,text %d\n", i, i * i * 7919);
  append_zst("wb", text.data, text.n);
  OK(moon_file_read(path, 0, &packed));
  for (size_t n = 4; n < packed.n; n++) {
    put_file(packed.data, n);
    REFUSED(MOON_EFORMAT, "the compressed file is truncated", read_path("a,b", &table, NULL, NULL));
  }
  moon_buf_free(&text), moon_buf_free(&packed);
}

static void what_follows_a_gz_is_zeros_or_an_error(void **state) {
  (void)state;
  moon_table *table;
  static const char *const tails[] = {"\0\0\0\0\0", "\0\0\0\0x", "a,b\n5"};
  for (size_t i = 0; i < 3; i++) {
    append_gz("wb", "a,b\n1,x\n");
    FILE *file = fopen(path, "ab");
    fwrite(tails[i], 1, 5, file);
    fclose(file);
    moon_status status = read_path("a,b", &table, NULL, NULL);
    if (i) {
      REFUSED(MOON_EFORMAT, "the compressed file is", status);
    } else {
      OK(status);
      moon_table_free(table);
    }
  }
}

static void members_of_a_gz_follow_each_other(void **state) {
  (void)state;
  moon_table *table;
  append_gz("wb", "a,b\n1,");
  append_gz("ab", "x\n2,y");
  append_gz("ab", "\n");
  OK(read_path("a,b", &table, NULL, NULL));
  HOLDS(table, "1|x;2|y");
  moon_table_free(table);
}

static void broken_gz_is_never_taken_for_whole(void **state) {
  (void)state;
  moon_table *table = NULL;
  moon_buf text = {0}, packed = {0};
  moon_buf_puts(&text, "a,b\n");
  for (int i = 0; i < 40; i++) moon_buf_printf(&text, "%d,text %d\n", i, i * i * 7919);
  append_gz("wb", text.data);
  OK(moon_file_read(path, 0, &packed));
  moon_buf whole = {0}, got = {0};
  OK(read_path("a,b", &table, NULL, NULL));
  dump(table, &whole);
  moon_table_free(table);
  for (size_t n = 0; n < packed.n; n++) {
    put_file(packed.data, n);
    moon_status status = read_path("a,b", &table, NULL, NULL);
    if (n == 0)
      REFUSED(MOON_EFORMAT, "is empty", status);
    else if (n == 1)
      REFUSED(MOON_ENOTFOUND, "has no column", status);
    else
      REFUSED(MOON_EFORMAT, "the compressed file is truncated", status);
  }
  for (size_t i = 0; i < packed.n * 8; i += 3) {
    packed.data[i / 8] ^= (char)(1 << i % 8);
    put_file(packed.data, packed.n);
    if (!read_path("a,b", &table, NULL, NULL).code) { /* the header has bits that do not matter */
      dump(table, &got);
      assert_string_equal(got.data, whole.data);
      moon_table_free(table);
    }
    packed.data[i / 8] ^= (char)(1 << i % 8);
  }
  moon_buf_free(&text), moon_buf_free(&packed), moon_buf_free(&whole), moon_buf_free(&got);
}

static void files_that_cannot_be_read_are_named(void **state) {
  (void)state;
  moon_table *table;
  char held[sizeof path];
  memcpy(held, path, sizeof path);
  strcpy(path, "/nowhere/events.csv");
  REFUSED(MOON_ENOTFOUND, "/nowhere/events.csv: there is no such file", read_path("a", &table, NULL, NULL));
  strcpy(path, folder);
  REFUSED(MOON_EIO, "directory", read_path("a", &table, NULL, NULL));
  memcpy(path, held, sizeof path);
}

typedef struct watcher {
  int calls, stop_at;
  double last;
} watcher;
static bool watch(void *self, const char *stage, double fraction, const char *note) {
  watcher *w = self;
  assert_string_equal(stage, "reading");
  assert_non_null(strstr(note, "rows"));
  assert_true(fraction >= w->last && fraction <= 1);
  w->last = fraction;
  return ++w->calls != w->stop_at;
}

static void progress_is_told_and_can_stop(void **state) {
  (void)state;
  moon_buf text = {0};
  moon_table *table;
  moon_buf_puts(&text, "a\n");
  for (int i = 0; i < 200000; i++) moon_buf_printf(&text, "%d\n", i);
  for (int packed = 0; packed < 2; packed++) {
    if (packed)
      append_gz("wb", text.data);
    else
      OK(moon_file_write(path, text.data, text.n));
    watcher w = {0};
    const moon_progress progress = {watch, &w};
    OK(read_path("a", &table, NULL, &progress));
    moon_table_free(table);
    assert_int_equal(w.calls, 3);
    assert_true(w.last > 0.8);
    w = (watcher){.stop_at = 2};
    REFUSED(MOON_ECANCELED, "interrupted while reading data", read_path("a", &table, NULL, &progress));
  }
  moon_buf_free(&text);
}

/* ---- sources -------------------------------------------------------------------------------------------------------------- */

static void sources_find_their_file_and_say_where(void **state) {
  (void)state;
  moon_table *table;
  char gz[300];
  snprintf(gz, sizeof gz, "%s/packed.csv.gz", folder);
  gzFile file = gzopen(gz, "wb");
  gzputs(file, "u\tp\n1\t2\n");
  gzclose(file);
  json_t *source = json_of(
      "{'file':'packed.csv','delimiter':'\\t','columns':[{'name':'user','from':'u'},{'name':'p','type':'integer'}],'where':'"
      "recipe.lua:3'}");
  OK(moon_source_read(source, &(moon_source_options){.data_dir = folder}, &table, NULL));
  HOLDS(table, "1|2");
  moon_table_free(table);
  REFUSED(MOON_ENOTFOUND, "recipe.lua:3: /nowhere/packed.csv: there is no such file",
          moon_source_read(source, &(moon_source_options){.data_dir = "/nowhere"}, &table, NULL));
  json_object_set_new(source, "file", json_string(gz)); /* an absolute name stands alone */
  OK(moon_source_read(source, &(moon_source_options){.data_dir = "/nowhere"}, &table, NULL));
  moon_table_free(table);
  json_decref(source);
  static const char *const broken[] = {"{}",
                                       "{'file':'x'}",
                                       "{'file':'x','columns':[]}",
                                       "{'file':'x','columns':[{'from':'a'}]}",
                                       "{'columns':[{'name':'a'}]}",
                                       "{'file':'x','columns':[5]}"};
  for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
    source = json_of(broken[i]);
    REFUSED(MOON_EINVAL, "recipe: ", moon_source_read(source, &(moon_source_options){.data_dir = folder}, &table, NULL));
    json_decref(source);
  }
}

static void put(const char *name, const char *text) {
  char full[300];
  snprintf(full, sizeof full, "%s/%s", folder, name);
  FILE *file = fopen(full, "wb");
  fputs(text, file);
  fclose(file);
}

static moon_status read_files(const char *file, const char *words, size_t max_bad, moon_table **out, moon_read_report *report) {
  json_t *source = json_of(words);
  json_object_set_new(source, "file", json_of(file));
  moon_status status = moon_source_read(source, &(moon_source_options){.data_dir = folder, .max_bad_rows = max_bad}, out, report);
  json_decref(source);
  return status;
}

static void several_files_make_one_table(void **state) {
  (void)state;
  moon_table *table;
  moon_read_report report;
  const char *columns = "{'columns':[{'name':'id'},{'name':'n'}]}";
  put("part-2.csv", "n,id\n3,c\n");
  put("part-10.csv", "id,n\na,1\nb,2\n");
  put("part-1.csv", "id,other,n\nd,,4\n");
  OK(read_files("['part-2.csv','part-10.csv']", columns, 0, &table, &report));
  HOLDS(table, "c|3;a|1;b|2"); /* each by its own header, in the order given */
  assert_int_equal(report.rows, 3);
  moon_table_free(table);
  OK(read_files("['part-*.csv']", columns, 0, &table, NULL));
  HOLDS(table, "d|4;a|1;b|2;c|3"); /* by the bytes of their names */
  moon_table_free(table);
  snprintf(path, sizeof path, "%s/part-1.csv.gz", folder); /* the twin of one that is there, and one that is not */
  append_gz("wb", "id,n\nx,9\n");
  snprintf(path, sizeof path, "%s/part-3.csv.zst", folder);
  append_zst("wb", "id,n\ne,5\n", 9);
  OK(read_files("['part-[13]*.csv','part-2.csv']", columns, 0, &table, NULL));
  HOLDS(table, "d|4;a|1;b|2;e|5;c|3");
  moon_table_free(table);
  snprintf(path, sizeof path, "%s/data", folder);

  REFUSED(MOON_ENOTFOUND, "recipe: no file matches", read_files("['log-*.csv']", columns, 0, &table, NULL));
  REFUSED(MOON_EINVAL, "part-2.csv is named twice", read_files("['part-2.csv','part-*.csv']", columns, 0, &table, NULL));
  put("part-4.csv", "id,n\nf,6\ng,bad\n");
  REFUSED(MOON_EFORMAT, "part-4.csv:3: column n: 'bad' is not a number", read_files("['part-*.csv']", columns, 0, &table, NULL));
  OK(read_files("['part-*.csv']", columns, 1, &table, &report));
  assert_int_equal(report.reasons[MOON_REJECT_NUMBER], 1);
  moon_table_free(table);
  put("part-5.csv", "id,m\nf,6\n");
  REFUSED(MOON_ENOTFOUND, "part-5.csv has no column 'n'", read_files("['part-*.csv']", columns, 1, &table, NULL));
  put("part-5.csv", "id,n:token\nf,6\n");
  REFUSED(MOON_EFORMAT, "part-5.csv: column n is a string here and a number in the files before",
          read_files("['part-*.csv']", columns, 1, &table, NULL));
  put("part-5.csv", "");
  REFUSED(MOON_EFORMAT, "part-5.csv is empty", read_files("['part-*.csv']", columns, 1, &table, NULL));
}

/* One file's clock counts seconds, the other's milliseconds. */
static void each_file_has_its_own_unit_of_time(void **state) {
  (void)state;
  moon_table *table;
  put("time-1.csv", "time\n1700000000\n");
  put("time-2.csv", "time\n1700000000000\n");
  OK(read_files("['time-?.csv']", "{'columns':[{'name':'time'}]}", 0, &table, NULL));
  HOLDS(table, "1700000000000000;1700000000000000");
  moon_table_free(table);
}

static moon_status read_some(void *self) {
  moon_table *table;
  MOON_TRY(moon_source_read(self, &(moon_source_options){.data_dir = folder}, &table, NULL));
  moon_alloc_fail_at(0);
  HOLDS(table, "1|x|1.5|5000000;2|y|-|6000000");
  moon_table_free(table);
  return moon_ok();
}

static void reading_survives_no_memory(void **state) {
  (void)state;
  snprintf(path, sizeof path, "%s/few.csv", folder);
  const char *text = "id,s,n:number,t\n1,x,1.5,5\n2,y,,6\n";
  OK(moon_file_write(path, text, strlen(text)));
  json_t *source = json_of("{'file':'few.csv','columns':[{'name':'id'},{'name':'s'},{'name':'n'},{'name':'time','from':'t'}]}");
  assert_true(exhaust(read_some, source) > 15);
  json_decref(source);
}

static int make_folder(void **state) {
  (void)state;
  if (!mkdtemp(folder)) return 1;
  snprintf(path, sizeof path, "%s/data", folder);
  return 0;
}
static int remove_folder(void **state) {
  (void)state;
  return (int)moon_dir_remove(folder).code;
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(texts_become_tables),
                                     cmocka_unit_test(tabs_separate_where_asked),
                                     cmocka_unit_test(equal_texts_share_a_code),
                                     cmocka_unit_test(types_are_inferred_from_nine_in_ten),
                                     cmocka_unit_test(inference_sees_only_the_first_rows_and_whole_records),
                                     cmocka_unit_test(texts_are_refused),
                                     cmocka_unit_test(named_texts_mean_no_value), cmocka_unit_test(zero_bytes_are_refused),
                                     cmocka_unit_test(bad_rows_are_left_out_up_to_the_limit),
                                     cmocka_unit_test(a_quote_left_open_fails_whatever_the_limit),
                                     cmocka_unit_test(a_bad_row_decides_nothing),
                                     cmocka_unit_test(huge_rows_and_wide_headers),
                                     cmocka_unit_test(what_is_written_reads_back_the_same),
                                     cmocka_unit_test(pieces_do_not_matter),
                                     cmocka_unit_test(batches_do_not_matter),
                                     cmocka_unit_test(packed_and_plain_files_are_the_same),
                                     cmocka_unit_test(members_of_a_gz_follow_each_other),
                                     cmocka_unit_test(frames_of_a_zst_follow_each_other),
                                     cmocka_unit_test(broken_zst_is_never_taken_for_whole),
                                     cmocka_unit_test(what_follows_a_gz_is_zeros_or_an_error),
                                     cmocka_unit_test(several_files_make_one_table),
                                     cmocka_unit_test(each_file_has_its_own_unit_of_time),
                                     cmocka_unit_test(broken_gz_is_never_taken_for_whole),
                                     cmocka_unit_test(files_that_cannot_be_read_are_named),
                                     cmocka_unit_test(progress_is_told_and_can_stop),
                                     cmocka_unit_test(sources_find_their_file_and_say_where),
                                     cmocka_unit_test(reading_survives_no_memory)};
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

/* One table, whatever road it comes by: CSV, gzip, zstd, JSON Lines, SQLite. And what databases refuse. */
#include "unit/tables.h"

#include <sqlite3.h>
#include <sys/stat.h>
#include <zlib.h>
#include <zstd.h>

static char folder[] = "/tmp/moonshelf-roads-XXXXXX";
static const char columns_json[] =
    "'columns':[{'name':'user','from':'u'},{'name':'time','from':'t','type':'time_s'},{'name':'n'},{'name':'i','type':'integer'},{'name':'s','type':'string'}]";

static const char *in_folder(const char *name) {
  static char path[300];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

static void put(const char *name, const void *bytes, size_t n) {
  FILE *file = fopen(in_folder(name), "wb");
  assert_int_equal(fwrite(bytes, 1, n, file), n);
  fclose(file);
}

static moon_status read_source(const char *words, moon_table **out, moon_read_report *report) {
  char text[700];
  snprintf(text, sizeof text, "{%s,%s}", words, columns_json);
  json_t *source = json_of(text);
  moon_status status = moon_source_read(source, &(moon_source_options){.data_dir = folder, .max_bad_rows = 3}, out, report);
  json_decref(source);
  return status;
}

static void run_sql(const char *name, const char *sql) {
  sqlite3 *db;
  remove(in_folder(name));
  assert_int_equal(sqlite3_open(in_folder(name), &db), SQLITE_OK);
  char *why = NULL;
  if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK) fail_msg("%s in %s", why, sql);
  sqlite3_close(db);
}

/* ---- the property ----------------------------------------------------------------------------------------------------------- */

typedef struct texts {
  moon_buf csv, jsonl, sql;
} texts;

/* A text as CSV, as JSON and as SQL has it. */
static void put_text(texts *t, const char *text) {
  moon_buf_puts(&t->csv, "\"");
  moon_buf_puts(&t->sql, "'");
  for (const char *at = text; *at; at++) {
    if (*at == '"') moon_buf_puts(&t->csv, "\"");
    if (*at == '\'') moon_buf_puts(&t->sql, "'");
    moon_buf_add(&t->csv, at, 1);
    moon_buf_add(&t->sql, at, 1);
  }
  moon_buf_puts(&t->csv, "\"");
  moon_buf_puts(&t->sql, "'");
  moon_json_string(&t->jsonl, text);
}

static void put_number(texts *t, const char *text) {
  moon_buf *all[] = {&t->csv, &t->jsonl, &t->sql};
  for (int i = 0; i < 3; i++) moon_buf_puts(all[i], text);
}

static void put_null(moon_rng *rng, texts *t, const char *key) { /* in JSON a null, or nothing at all */
  if (moon_rng_below(rng, 2)) moon_buf_printf(&t->jsonl, ",\"%s\":null", key);
  moon_buf_puts(&t->sql, "null");
}

static void put_cell(moon_rng *rng, texts *t, const char *key, const char *text, bool number) {
  moon_buf_puts(&t->csv, ",");
  moon_buf_puts(&t->sql, ",");
  if (!text) {
    put_null(rng, t, key);
    return;
  }
  moon_buf_printf(&t->jsonl, ",\"%s\":", key);
  if (number) put_number(t, text);
  else put_text(t, text);
}

static void write_rows(moon_rng *rng, size_t rows, texts *t) {
  static const char *const pieces[] = {"x", "\xc3\xa9", "\xf0\x9f\x8e\x81", "'", "\"", ",", "\n", "\\", "\t", " ", "0"};
  moon_buf_reset(&t->csv), moon_buf_reset(&t->jsonl), moon_buf_reset(&t->sql);
  moon_buf_puts(&t->csv, "k,u,t,n,i,s\n");
  moon_buf_puts(&t->sql, "create table e (k integer, u, t, n, i, s);\nbegin;\n");
  for (size_t row = 0; row < rows; row++) {
    char number[40], text[100] = "";
    moon_buf_printf(&t->csv, "%zu", row);
    moon_buf_printf(&t->jsonl, "{\"k\":%zu", row);
    moon_buf_printf(&t->sql, "insert into e values (%zu", row);
    snprintf(number, sizeof number, "%u", moon_rng_below(rng, 50)); /* ids that look like numbers, as number and as text */
    put_cell(rng, t, "u", number, moon_rng_below(rng, 2));
    snprintf(number, sizeof number, "%lld", 1700000000LL + (long long)moon_rng_below(rng, 1u << 30));
    put_cell(rng, t, "t", number, true);
    double value = (moon_rng_uniform(rng) - 0.5) * pow(10, (double)moon_rng_below(rng, 40) - 20);
    snprintf(number, sizeof number, "%.17g", value);
    put_cell(rng, t, "n", row && moon_rng_below(rng, 4) == 0 ? NULL : number, true);
    snprintf(number, sizeof number, "%lld", (long long)(moon_rng_u64(rng) >> (1 + moon_rng_below(rng, 60))) * (moon_rng_below(rng, 2) ? 1 : -1));
    put_cell(rng, t, "i", row && moon_rng_below(rng, 4) == 0 ? NULL : number, true);
    for (size_t n = moon_rng_below(rng, 8); n; n--) strcat(text, pieces[moon_rng_below(rng, sizeof pieces / sizeof *pieces)]);
    put_cell(rng, t, "s", row && moon_rng_below(rng, 4) == 0 ? NULL : text, false);
    moon_buf_puts(&t->csv, "\n"), moon_buf_puts(&t->jsonl, "}\n"), moon_buf_puts(&t->sql, ");\n");
  }
  moon_buf_puts(&t->sql, "commit;\n");
  assert_false(t->csv.failed || t->jsonl.failed || t->sql.failed);
}

static void write_files(const texts *t) {
  put("e.csv", t->csv.data, t->csv.n);
  put("e.jsonl", t->jsonl.data, t->jsonl.n);
  gzFile gz = gzopen(in_folder("packed"), "wb"); /* the name says nothing */
  assert_int_equal(gzwrite(gz, t->csv.data, (unsigned)t->csv.n), (int)t->csv.n);
  gzclose(gz);
  size_t room = ZSTD_compressBound(t->jsonl.n);
  char *packed = malloc(room);
  put("e.jsonl.gz", packed, ZSTD_compress(packed, room, t->jsonl.data, t->jsonl.n, 1)); /* nor does it lie */
  room = ZSTD_compressBound(t->csv.n);
  packed = realloc(packed, room);
  put("other.csv.zst", packed, ZSTD_compress(packed, room, t->csv.data, t->csv.n, 1));
  free(packed);
  run_sql("e.db", t->sql.data);
}

static void one_table_by_every_road(void **state) {
  (void)state;
  static const char *const roads[] = {"'file':'e.csv'", "'file':'packed'", "'file':'other.csv'", "'format':'jsonl','file':'e.jsonl'",
                                      "'format':'jsonl','file':'e.jsonl.gz'", "'format':'sqlite','file':'e.db','table':'e'",
                                      "'format':'sqlite','file':'e.db','query':'select * from e order by k;'"};
  moon_rng rng;
  texts t = {0};
  moon_rng_seed(&rng, 71, 0);
  for (int round = 0; round < 12; round++) {
    size_t rows = 1 + moon_rng_below(&rng, 1500);
    write_rows(&rng, rows, &t);
    write_files(&t);
    moon_buf expected = {0}, got = {0};
    for (size_t i = 0; i < sizeof roads / sizeof *roads; i++) {
      moon_table *table;
      moon_read_report report;
      OK(read_source(roads[i], &table, &report));
      assert_int_equal(report.rows, rows);
      assert_int_equal(report.bad_rows, 0);
      assert_int_equal(moon_table_column(table, "n")->type, MOON_NUMBER);
      dump(table, i ? &got : &expected);
      if (i && (expected.n != got.n || memcmp(expected.data, got.data, got.n))) fail_msg("round %d: %s differs", round, roads[i]);
      moon_table_free(table);
    }
    moon_buf_free(&expected), moon_buf_free(&got);
  }
  moon_buf_free(&t.csv), moon_buf_free(&t.jsonl), moon_buf_free(&t.sql);
}

/* ---- databases -------------------------------------------------------------------------------------------------------------- */

static void sqlite_values_are_checked_one_by_one(void **state) {
  (void)state;
  moon_table *table;
  moon_read_report report;
  run_sql("v.db", "create table \"odd \"\"name\" (u, t, n, i, s);"
                  "insert into \"odd \"\"name\" values (1, 5, 2.5, 7, 'x'), (2, 5, 'abc', 7, 'y'), (3, 5, 1, 1.5, 'z'), (4, 5, 1, 1, x'00ff'),"
                  "(5, '2026-11-24', 1e300, -9223372036854775807, 0.1)");
  OK(read_source("'format':'sqlite','file':'v.db','query':'select u,t,cast(n as real) as n,i,s from \\\"odd \\\"\\\"name\\\" where u <> 2'", &table, &report));
  HOLDS(table, "1|5000000|2.5|7|x;5|1795478400000000|1.0000000000000001e+300|-9223372036854775807|0.1");
  assert_int_equal(report.reasons[MOON_REJECT_NUMBER], 1);
  assert_int_equal(report.reasons[MOON_REJECT_TYPE], 1);
  assert_string_equal(report.first_bad[0], "v.db:2: column i: '1.5' is not a whole number");
  moon_table_free(table);
  OK(read_source("'format':'sqlite','file':'v.db','table':'odd \\\"name'", &table, &report));
  assert_int_equal(moon_table_column(table, "n")->type, MOON_STRING); /* not all are numbers, and nobody said they were */
  moon_table_free(table);
}

static void sqlite_says_what_is_wrong(void **state) {
  (void)state;
  static const struct {
    const char *words, *message;
    moon_code code;
  } cases[] = {
      {"'format':'sqlite','file':'none.db','table':'e'", "none.db: there is no such file", MOON_ENOTFOUND},
      {"'format':'sqlite','file':'text.db','table':'e'", "text.db: file is not a database", MOON_EINVAL},
      {"'format':'sqlite','file':'w.db','table':'f'", "w.db: no such table: f", MOON_EINVAL},
      {"'format':'sqlite','file':'w.db','table':'e'", "w.db has no column 'i'; did you mean 'ii'?", MOON_ENOTFOUND},
      {"'format':'sqlite','file':'w.db','query':'selct 1'", "syntax error", MOON_EINVAL},
      {"'format':'sqlite','file':'w.db','query':'select 1; select 2'", "must be one statement", MOON_EINVAL},
      {"'format':'sqlite','file':'w.db','query':' '", "must be one statement", MOON_EINVAL},
      {"'format':'sqlite','file':'w.db','query':'delete from e'", "one that only reads", MOON_EINVAL},
      {"'format':'sqlite','file':'w.db','query':'select u, u, t, n, ii as i, n as s from e'", "two columns called u", MOON_EFORMAT},
      {"'format':'sqlite','file':'w.db'", "a table or a query", MOON_EINVAL},
      {"'format':'xml','file':'w.db'", "there is no format 'xml'", MOON_EINVAL}};
  put("text.db", "this is a text and surely no database of any kind, whatever its name may say; it is long enough to be one, too.", 112);
  run_sql("w.db", "create table e (u, t, n, ii); insert into e values (1, 2, 3, 4)");
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    moon_table *table;
    REFUSED(cases[i].code, cases[i].message, read_source(cases[i].words, &table, NULL));
  }
}

static moon_status read_some(void *self) {
  moon_table *table;
  (void)self;
  columns wanted;
  columns_of("u,n", &wanted);
  const moon_read_options options = {.columns = wanted.list, .column_count = wanted.n};
  const moon_database database = {.database = in_folder("few.db"), .table = "e", .name = "few.db"};
  MOON_TRY(moon_sqlite_read(&database, &options, &table, NULL));
  moon_alloc_fail_at(0);
  HOLDS(table, "a|1.5;b|-");
  moon_table_free(table);
  return moon_ok();
}

static void sqlite_survives_no_memory(void **state) {
  (void)state;
  run_sql("few.db", "create table e (u, n); insert into e values ('a', 1.5), ('b', null)");
  assert_true(exhaust(read_some, NULL) > 8);
}

static int make_folder(void **state) {
  (void)state;
  return mkdtemp(folder) == NULL;
}
static int remove_folder(void **state) {
  (void)state;
  return (int)moon_dir_remove(folder).code;
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(one_table_by_every_road), cmocka_unit_test(sqlite_values_are_checked_one_by_one),
                                     cmocka_unit_test(sqlite_says_what_is_wrong), cmocka_unit_test(sqlite_survives_no_memory)};
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

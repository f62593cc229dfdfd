/* Any bytes as an SQLite database: a table or a message; and a table is sound. */
#include <sqlite3.h>

#include "data/data.h"
#include "fuzz/file.h"

enum { COLUMNS = 4, MOST_BAD = 5 };

static void check_table(const moon_table *table, const moon_read_report *report) {
  check(table->column_count == COLUMNS && table->rows == report->rows && report->bad_rows <= MOST_BAD);
  for (size_t c = 0; c < COLUMNS; c++) {
    const moon_column *column = &table->columns[c];
    check(column->n == table->rows);
    for (size_t row = 0; row < column->n; row++) {
      if (column->type == MOON_NUMBER) check(!__builtin_isinf(column->f64[row]));
      if (column->type != MOON_STRING || column->code[row] == MOON_NONE) continue;
      check(column->code[row] < moon_dict_count(column->dict));
      size_t n = moon_dict_length(column->dict, column->code[row]);
      check(n && moon_utf8_prefix(moon_column_text(column, row), n) == n);
    }
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const moon_read_column columns[COLUMNS] = {{"user", "u", NULL}, {"time", "t", NULL}, {"n", "n", "number"}, {"any", "x", NULL}};
  const moon_read_options options = {.columns = columns, .column_count = COLUMNS, .max_bad_rows = MOST_BAD};
  const moon_database query = {.database = moon_fuzz_file(data, size), .table = "e", .name = "f.db"};
  moon_table *table = NULL;
  moon_read_report report;
  moon_status status = moon_sqlite_read(&query, &options, &table, &report);
  check(status.code == MOON_OK || status.code == MOON_EFORMAT || status.code == MOON_EINVAL || status.code == MOON_EIO ||
        status.code == MOON_ENOTFOUND || status.code == MOON_ENOMEM); /* SQLite says so of lengths that cannot be */
  check(moon_utf8_prefix(status.message, strlen(status.message)) == strlen(status.message));
  if (!status.code) check_table(table, &report);
  moon_table_free(table);
  return 0;
}

/* A table of all kinds of values; one with an index, of more than a page; a view. */
size_t moon_fuzz_seed(size_t which, uint8_t *out, size_t cap) {
  static const char *const scripts[] = {
      "pragma page_size=512; create table e(u text, t integer, n real, x); insert into e values('a',1700000000,1.5,'text'),"
      "('b','2026-11-24T10:11:12Z','2',x'00ff'),(3,null,null,7),('\xc3\xa9',-5,1e300,'x')",
      "pragma page_size=512; create table e(u primary key, t, n, x) without rowid;"
      "with recursive c(i) as (select 1 union all select i+1 from c where i<40) insert into e select 'user '||i,i,i/3.0,hex(i) from c",
      "pragma page_size=512; create table r(u,t,n); insert into r values('a',1,2); create view e as select u,t,n,u||t as x from r"};
  sqlite3 *db;
  sqlite3_int64 n = 0;
  if (which >= sizeof scripts / sizeof *scripts) return 0;
  check(!sqlite3_open(":memory:", &db) && !sqlite3_exec(db, scripts[which], NULL, NULL, NULL));
  unsigned char *bytes = sqlite3_serialize(db, "main", &n, 0);
  check(bytes != NULL);
  size_t put = moon_fuzz_put(bytes, (size_t)n, out, cap);
  sqlite3_free(bytes);
  sqlite3_close(db);
  return put;
}

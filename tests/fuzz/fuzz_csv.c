/* Any bytes as a CSV file: a table or a message, the same in whatever pieces they come; and a table is sound. */
#include "data/data.h"
#include "fuzz/pack.h"

static const moon_read_column columns[] = {
    {"user", "u", NULL}, {"time", "t", NULL}, {"n", "n", "number"}, {"i", "i", "integer"}, {"any", "x", NULL}};

static moon_status read_in(const uint8_t *data, size_t size, size_t block, moon_table **table, moon_read_report *report) {
  const moon_read_options options = {.delimiter = ',', .columns = columns, .column_count = 5, .max_bad_rows = 5, .block = block};
  return moon_csv_read_memory("f.csv", (const char *)data, size, &options, table, report);
}

static void check_table(const moon_table *table, const moon_read_report *report) {
  check(table->column_count == 5 && table->rows == report->rows && report->bad_rows <= 5);
  for (size_t c = 0; c < 5; c++) {
    const moon_column *column = &table->columns[c];
    check(column->n == table->rows);
    for (size_t row = 0; row < column->n; row++) {
      if (column->type == MOON_STRING && column->code[row] != MOON_NONE) {
        check(column->code[row] < moon_dict_count(column->dict));
        size_t n = moon_dict_length(column->dict, column->code[row]);
        check(n && moon_utf8_prefix(moon_column_text(column, row), n) == n);
      }
      if (column->type == MOON_NUMBER) check(!__builtin_isinf(column->f64[row]));
    }
  }
}

static void check_equal(const moon_table *a, const moon_table *b) {
  check(a->rows == b->rows);
  for (size_t c = 0; c < 5; c++) {
    check(a->columns[c].type == b->columns[c].type);
    size_t each = a->columns[c].type == MOON_STRING ? 4 : 8;
    check(!a->rows || !memcmp(a->columns[c].raw, b->columns[c].raw, a->rows * each));
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  moon_table *whole = NULL, *pieces = NULL;
  moon_read_report report, other;
  moon_status a = read_in(data, size, 0, &whole, &report), b = read_in(data, size, 1 + size % 13, &pieces, &other);
  if (moon_fuzz_is_packed(data, size) && a.code) { /* what is said first of a broken one depends on the pieces */
    check(b.code != MOON_OK);
  } else {
    check(a.code == b.code && !strcmp(a.message, b.message));
    check(report.rows == other.rows && report.bad_rows == other.bad_rows &&
          !memcmp(report.first_bad, other.first_bad, sizeof report.first_bad));
  }
  check(a.code == MOON_OK || a.code == MOON_EFORMAT || a.code == MOON_ENOTFOUND);
  check(moon_utf8_prefix(a.message, strlen(a.message)) == strlen(a.message));
  if (!a.code) {
    check(report.bytes == other.bytes);
    check_table(whole, &report);
    check_equal(whole, pieces);
  }
  moon_table_free(whole);
  moon_table_free(pieces);
  return 0;
}

size_t moon_fuzz_seed(size_t which, uint8_t *out, size_t cap) {
  static const char *const seeds[] = {
      "u,t,n,i,x\n\xff,1,1,1,a\nb,1,1,1,\xc3\ne,99999999999999999999,1e999,9223372036854775808,\xed\xa0\x80\nf,-9e18,-0,-0,\"\"x\n",
      "u,t,n,i,x\n\"open,1,1,1,a\nb,1,1,1,c\n",
      "u,t,n,i,x\na,2026-11-24T10:11:12Z,1.5,7,text\nb,1700000000,-2e-3,-9,\n",
      "\xef\xbb\xbfx,\"u\",n,i,t\r\n\"say \"\"hi\"\"\r\n, there\",\"b\",\"0.1\",1,5\r\n\r\n5,c,,,\r\n",
      "u:token,t:float,n:float,i:token,x:token_seq,y\n1,874724710,3,4,Drama Comedy,z\n2,874724711,4,x,,\n3,,,,\xc3\xa9,",
      "u,t,n,i,x\n,,,,\n\"\",\"\",\"\",\"\",\"\"\na,-1,.5,+1,5.\n"};
  enum { SEEDS = sizeof seeds / sizeof *seeds };
  if (which == SEEDS) return moon_fuzz_gzip(seeds[0], strlen(seeds[0]), out, cap);
  if (which == SEEDS + 1) return moon_fuzz_zstd(seeds[0], strlen(seeds[0]), out, cap);
  return which < SEEDS ? moon_fuzz_put(seeds[which], strlen(seeds[which]), out, cap) : 0;
}

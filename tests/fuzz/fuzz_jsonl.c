/* Any bytes as JSON Lines: a table or a message, the same in whatever pieces they come; and a table is sound. */
#include "data/data.h"
#include "fuzz/pack.h"

enum { COLUMNS = 5, MOST_BAD = 5 };
static const moon_read_column columns[COLUMNS] = {
    {"user", "u.id", NULL}, {"time", "t", NULL}, {"n", "n", "number"}, {"i", "i", "integer"}, {"any", "x", NULL}};

static moon_status read_in(const uint8_t *data, size_t size, size_t block, moon_table **table, moon_read_report *report) {
  const moon_read_options options = {.columns = columns, .column_count = COLUMNS, .max_bad_rows = MOST_BAD, .block = block};
  const moon_input input = {.name = "f.jsonl", .bytes = (const char *)data, .n = size};
  return moon_jsonl_read(&input, 1, &options, table, report);
}

static void check_table(const moon_table *table, const moon_read_report *report) {
  size_t reasons = 0;
  for (int i = 0; i < MOON_REJECTS; i++) reasons += report->reasons[i];
  check(table->rows == report->rows && report->bad_rows <= MOST_BAD && reasons == report->bad_rows);
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
  moon_table *whole = NULL, *pieces = NULL;
  moon_read_report report, other;
  moon_status a = read_in(data, size, 0, &whole, &report), b = read_in(data, size, 1 + size % 13, &pieces, &other);
  if (moon_fuzz_is_packed(data, size) && a.code) { /* what is said first of a broken one depends on the pieces */
    check(b.code != MOON_OK);
  } else {
    check(a.code == b.code && !strcmp(a.message, b.message));
    check(report.rows == other.rows && report.bad_rows == other.bad_rows && !memcmp(report.reasons, other.reasons, sizeof report.reasons));
  }
  check(a.code == MOON_OK || a.code == MOON_EFORMAT || a.code == MOON_ENOTFOUND);
  check(moon_utf8_prefix(a.message, strlen(a.message)) == strlen(a.message));
  if (!a.code) {
    check_table(whole, &report);
    for (size_t c = 0; c < COLUMNS; c++) {
      size_t each = whole->columns[c].type == MOON_STRING ? 4 : 8;
      check(whole->columns[c].type == pieces->columns[c].type);
      check(!whole->rows || !memcmp(whole->columns[c].raw, pieces->columns[c].raw, whole->rows * each));
    }
  }
  moon_table_free(whole);
  moon_table_free(pieces);
  return 0;
}

size_t moon_fuzz_seed(size_t which, uint8_t *out, size_t cap) {
  static const char *const seeds[] = {
      "{\"u.id\":\"a\",\"t\":1}\n{\"u.id\":1,\"u\":{\"id\":2},\"late\":[{\"x\":{}}],\"x\":\"\\ud83c\"}\n{\"x\":\"\\q\"}\n{\"i\":9223372036854775808,\"n\":-0}\n",
      "{\"u\":{\"id\":\"a\"},\"t\":\"2026-11-24T10:11:12Z\",\"n\":1.5,\"i\":7,\"x\":\"text\"}\n{\"u.id\":5,\"t\":1700000000}\n",
      "\xef\xbb\xbf{\"x\":null,\"u\":{\"id\":true},\"t\":17e8,\"n\":\"2\",\"i\":\"3\"}\r\n\r\n{}\r\n{\"x\":false,\"n\":-0.1e-5}",
      "{\"u.id\":\"\\ud83c\\udf81\",\"t\":1,\"n\":[1],\"i\":2,\"x\":\"\xc3\xa9\\u0000\"}\n[1]\n5\n{\"t\":1e999,\"t\":2}\n"};
  enum { SEEDS = sizeof seeds / sizeof *seeds };
  if (which == SEEDS) return moon_fuzz_gzip(seeds[0], strlen(seeds[0]), out, cap);
  if (which == SEEDS + 1) return moon_fuzz_zstd(seeds[0], strlen(seeds[0]), out, cap);
  return which < SEEDS ? moon_fuzz_put(seeds[which], strlen(seeds[which]), out, cap) : 0;
}

/* tables.h - what the tests of core/data share: a table from a text, and a table as a text. */
#ifndef TEST_TABLES_H
#define TEST_TABLES_H
#include <jansson.h>
#include <stdlib.h>

#include "data/data.h"
#include "unit/exhaust.h"

enum { MOST_COLUMNS_HERE = 16 };
typedef struct columns {
  char text[400];
  moon_read_column list[MOST_COLUMNS_HERE];
  size_t n;
} columns;

/* "user, p=price:number": names in the table, where they differ the header's, types where given. */
static inline void columns_of(const char *words, columns *out) {
  out->n = 0;
  snprintf(out->text, sizeof out->text, "%s", words);
  char *save = NULL;
  for (char *word = strtok_r(out->text, ", ", &save); word; word = strtok_r(NULL, ", ", &save)) {
    assert_true(out->n < MOST_COLUMNS_HERE);
    moon_read_column *c = &out->list[out->n++];
    char *colon = strrchr(word, ':'), *equal;
    if (colon) *colon = 0;
    equal = strchr(word, '=');
    if (equal) *equal = 0;
    *c = (moon_read_column){word, equal ? equal + 1 : word, colon ? colon + 1 : NULL};
  }
}

static inline moon_status read_text(const char *text, size_t n, const char *words, char delimiter, size_t max_bad, size_t block,
                                    moon_table **out, moon_read_report *report) {
  columns wanted;
  columns_of(words, &wanted);
  const moon_read_options options = {
      .delimiter = delimiter, .columns = wanted.list, .column_count = wanted.n, .max_bad_rows = max_bad, .block = block};
  return moon_csv_read_memory("t.csv", text, n, &options, out, report);
}

static inline moon_table *table_of(const char *text, const char *words) {
  moon_table *table = NULL;
  OK(read_text(text, strlen(text), words, ',', 0, 0, &table, NULL));
  return table;
}

/* "a|1|-;b|2.5|3": rows, cells, and - for null. */
static inline void dump(const moon_table *table, moon_buf *out) {
  moon_buf_reset(out);
  moon_buf_puts(out, "");
  for (size_t row = 0; row < table->rows; row++)
    for (size_t c = 0; c < table->column_count; c++) {
      const moon_column *column = &table->columns[c];
      moon_buf_puts(out, c ? "|" : row ? ";" : "");
      assert_int_equal(column->n, table->rows);
      if (moon_column_is_null(column, row))
        moon_buf_puts(out, "-");
      else if (column->type == MOON_STRING)
        moon_buf_add(out, moon_column_text(column, row), moon_dict_length(column->dict, column->code[row]));
      else if (column->type == MOON_NUMBER)
        moon_buf_printf(out, "%.17g", column->f64[row]);
      else
        moon_buf_printf(out, "%lld", (long long)column->i64[row]);
    }
  assert_false(out->failed);
}

#define HOLDS(table, expected)                 \
  do {                                         \
    moon_buf dump_ = {0};                      \
    dump((table), &dump_);                     \
    assert_string_equal(dump_.data, expected); \
    moon_buf_free(&dump_);                     \
  } while (0)

static inline json_t *json_of(const char *text) { /* 'single' quotes for "double" */
  char copy[2000];
  snprintf(copy, sizeof copy, "%s", text);
  for (char *at = copy; *at; at++)
    if (*at == '\'') *at = '"';
  json_error_t error;
  json_t *json = json_loads(copy, 0, &error);
  if (!json) fail_msg("%s: %s", text, error.text);
  return json;
}

#endif

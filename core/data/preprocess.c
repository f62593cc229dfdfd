/* preprocess.c - a plan's rules over a table, in order; each says how many rows it left. */
#include <stdio.h>
#include <string.h>

#include "data/repeats.h"

enum { MOST_COLUMNS = 64 };

/* The columns a rule names; errors name the nearest. */
static moon_status rule_columns(const json_t *rule, const moon_table *table, moon_column **columns, size_t *n) {
  const json_t *list = json_object_get(rule, "columns");
  *n = json_array_size(list);
  if (!*n || *n > MOST_COLUMNS) return moon_fail(MOON_EINVAL, "a rule needs 1 to %d columns, not %zu", MOST_COLUMNS, *n);
  for (size_t i = 0; i < *n; i++) {
    const char *name = json_string_value(json_array_get(list, i));
    if (!name) return moon_fail(MOON_EINVAL, "column %zu of a rule is not a name", i + 1);
    MOON_TRY(moon_table_require(table, name, &columns[i]));
  }
  return moon_ok();
}

static moon_status drop_missing(const json_t *rule, moon_table *table, uint8_t *keep) {
  moon_column *columns[MOST_COLUMNS];
  size_t n;
  MOON_TRY(rule_columns(rule, table, columns, &n));
  for (size_t i = 0; i < n; i++)
    for (size_t row = 0; row < table->rows; row++)
      if (moon_column_is_null(columns[i], row)) keep[row] = 0;
  return moon_ok();
}

/* Keeps the first of rows with equal cells. */
static moon_status dedupe(const json_t *rule, moon_table *table, uint8_t *keep) {
  moon_column *columns[MOST_COLUMNS];
  size_t n;
  MOON_TRY(rule_columns(rule, table, columns, &n));
  return moon_rows_repeated(table, (const moon_column *const *)columns, n, NULL, keep);
}

static moon_status run_rule(const json_t *rule, moon_table *table, const moon_row_functions *functions, uint8_t *keep) {
  static const char *const known[] = {"drop_missing", "filter", "map", "dedupe"};
  const char *op = json_string_value(json_object_get(rule, "op"));
  uint32_t fn = (uint32_t)json_integer_value(json_object_get(rule, "fn"));
  if (!op) return moon_fail(MOON_EINVAL, "a preprocess rule has no op");
  if (!strcmp(op, known[0])) return drop_missing(rule, table, keep);
  if (!strcmp(op, known[3])) return dedupe(rule, table, keep);
  if (!strcmp(op, known[1])) {
    if (!functions || !functions->filter) return moon_fail(MOON_EINVAL, "filter: nobody runs the recipe's functions here");
    return functions->filter(functions->self, fn, table, keep);
  }
  if (!strcmp(op, known[2])) {
    const char *column = json_string_value(json_object_get(rule, "column"));
    if (!functions || !functions->map || !column) return moon_fail(MOON_EINVAL, "map: nobody runs the recipe's functions here");
    return functions->map(functions->self, fn, table, column);
  }
  const char *near = moon_nearest(op, known, 4);
  return moon_fail(MOON_EINVAL, "there is no preprocess rule '%s'%s%s%s", op, near ? "; did you mean '" : "", near ? near : "",
                   near ? "'?" : "");
}

moon_status moon_preprocess(const json_t *rules, moon_table *table, const moon_row_functions *functions,
                            moon_rule_report *reports) {
  uint8_t *keep = moon_alloc(table->rows);
  if (!keep) return moon_fail(MOON_ENOMEM, "no memory to mark %zu rows", table->rows);
  moon_status status = moon_ok();
  for (size_t i = 0; i < json_array_size(rules) && !status.code; i++) {
    const json_t *rule = json_array_get(rules, i);
    const char *op = json_string_value(json_object_get(rule, "op")), *where = json_string_value(json_object_get(rule, "where"));
    size_t before = table->rows;
    memset(keep, 1, before);
    status = run_rule(rule, table, functions, keep);
    if (status.code != MOON_ESCRIPT)
      status = moon_wrap(status, "%s", where ? where : "recipe"); /* a script's error has its own place */
    if (status.code) break;
    moon_table_keep(table, keep);
    if (!reports) continue;
    snprintf(reports[i].rule, sizeof reports[i].rule, "%s%s%s%s", op, where ? " (" : "", where ? where : "", where ? ")" : "");
    reports[i].before = before;
    reports[i].after = table->rows;
  }
  moon_free(keep);
  return status;
}

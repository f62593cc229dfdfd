/* rules_rows.c - rules that look at a row's own cells: drop_missing, dedupe. */
#include "data/repeats.h"
#include "data/rules.h"

moon_status moon_rule_drop_missing(moon_rule *rule) {
  moon_column *columns[MOON_RULE_COLUMNS];
  const json_t *list;
  size_t n, named = 0;
  MOON_TRY(moon_rule_columns(rule, "columns", &list, columns, &n));
  for (size_t i = 0; i < n; i++) {
    size_t empty = 0;
    for (size_t row = 0; row < rule->table->rows; row++)
      if (moon_column_is_null(columns[i], row)) rule->keep[row] = 0, empty++;
    if (empty) moon_rule_say(rule, "%s%zu without %s", named++ ? ", " : "", empty, columns[i]->name);
  }
  return moon_ok();
}

/* Keeps the first of rows with equal cells. */
moon_status moon_rule_dedupe(moon_rule *rule) {
  moon_column *columns[MOON_RULE_COLUMNS];
  const json_t *list;
  size_t n;
  MOON_TRY(moon_rule_columns(rule, "columns", &list, columns, &n));
  moon_rule_say(rule, "the same ");
  for (size_t i = 0; i < n; i++) moon_rule_say(rule, "%s%s", i ? ", " : "", columns[i]->name);
  return moon_rows_repeated(rule->table, (const moon_column *const *)columns, n, NULL, rule->keep);
}

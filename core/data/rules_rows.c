/* rules_rows.c - rules that look at a row's own cells: drop_missing, dedupe. */
#include <string.h>

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

static bool same_cells(moon_column *const *columns, size_t n, size_t a, size_t b) {
  for (size_t i = 0; i < n; i++) {
    const moon_column *c = columns[i];
    bool same = c->type == MOON_STRING ? c->code[a] == c->code[b] : !memcmp((char *)c->raw + a * 8, (char *)c->raw + b * 8, 8);
    if (!same) return false;
  }
  return true;
}

static uint64_t row_hash(moon_column *const *columns, size_t n, size_t row) {
  uint64_t hash = 0;
  for (size_t i = 0; i < n; i++) {
    uint64_t bits = 0;
    if (columns[i]->type == MOON_STRING)
      bits = columns[i]->code[row];
    else
      memcpy(&bits, (char *)columns[i]->raw + row * 8, 8);
    hash = moon_mix64(hash ^ moon_mix64(bits + i));
  }
  return hash;
}

/* Keeps the first of rows with equal cells. A map from hash to row; a rare collision of hashes probes on with the next hash. */
moon_status moon_rule_dedupe(moon_rule *rule) {
  moon_column *columns[MOON_RULE_COLUMNS];
  const json_t *list;
  size_t n;
  MOON_TRY(moon_rule_columns(rule, "columns", &list, columns, &n));
  moon_rule_say(rule, "the same ");
  for (size_t i = 0; i < n; i++) moon_rule_say(rule, "%s%s", i ? ", " : "", columns[i]->name);
  moon_map seen = {0};
  moon_status status = moon_ok();
  for (size_t row = 0; row < rule->table->rows && !status.code; row++) {
    uint64_t hash = row_hash(columns, n, row), other = 0;
    for (;; hash = moon_mix64(hash + 1)) {
      if (hash == UINT64_MAX) continue;
      if (!moon_map_get(&seen, hash, &other)) {
        status = moon_map_put(&seen, hash, row);
        break;
      }
      if (same_cells(columns, n, row, other)) {
        rule->keep[row] = 0;
        break;
      }
    }
  }
  moon_map_free(&seen);
  return status;
}

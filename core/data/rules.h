/* rules.h - what the files of rules share: a rule at work, and the rows of each user or item. Private to core/data. */
#ifndef MOON_DATA_RULES_H
#define MOON_DATA_RULES_H

#include "data/data.h"

enum { MOON_RULE_COLUMNS = 64 };

/* One rule over one table. A rule that fails has changed nothing. */
typedef struct moon_rule {
  const json_t *spec;
  moon_table *table;
  const moon_preprocess_options *options; /* never NULL */
  uint8_t *keep;                          /* [table->rows] all 1; the rule sets 0 where a row goes */
  char why[200];
  bool placed; /* its error names its place already */
} moon_rule;

/* Adds to `why`; what does not fit is cut. */
__attribute__((format(printf, 2, 3))) void moon_rule_say(moon_rule *rule, const char *format, ...);
/* The list of objects under `key`, 1 to MOON_RULE_COLUMNS of them, and the column that each names under "column". */
moon_status moon_rule_columns(const moon_rule *rule, const char *key, const json_t **list, moon_column **columns, size_t *n);

/* Rows by the code of a string column: those of code c are row[start[c]] .. row[start[c + 1] - 1]. */
typedef struct moon_groups {
  uint32_t *start, *row;
  size_t n; /* codes */
} moon_groups;
/* order: [column->n] the order within a group, NULL for the table's; wanted: [column->n] rows with 0 are in no group, nor are
 * nulls. */
moon_status moon_groups_new(const moon_column *column, const uint32_t *order, const uint8_t *wanted, moon_groups *out);
void moon_groups_free(moon_groups *groups);

/* rules_rows.c: which rows stay */
moon_status moon_rule_drop_missing(moon_rule *rule);
moon_status moon_rule_dedupe(moon_rule *rule);
/* rules_cells.c: what stands in a column */
moon_status moon_rule_fill(moon_rule *rule);
moon_status moon_rule_cast(moon_rule *rule);
moon_status moon_rule_rename(moon_rule *rule);
moon_status moon_rule_clip(moon_rule *rule);
moon_status moon_rule_time_zone(moon_rule *rule);
/* rules_users.c: by who did what, and when */
moon_status moon_rule_sessionize(moon_rule *rule);
moon_status moon_rule_k_core(moon_rule *rule);
moon_status moon_rule_bots(moon_rule *rule);
/* rules_join.c */
moon_status moon_rule_join(moon_rule *rule);

#endif

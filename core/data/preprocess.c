/* preprocess.c - a plan's rules over a table, in order; each says how many rows it left, which went first, and why. */
#include <stdio.h>
#include <string.h>

#include "data/rules.h"

/* ---- for the rules ---------------------------------------------------------------------------------------------------- */

void moon_rule_say(moon_rule *rule, const char *format, ...) {
  size_t n = strlen(rule->why);
  va_list args;
  va_start(args, format);
  vsnprintf(rule->why + n, sizeof rule->why - n, format, args);
  va_end(args);
}

moon_status moon_rule_columns(const moon_rule *rule, const char *key, const json_t **list, moon_column **columns, size_t *n) {
  *list = json_object_get(rule->spec, key);
  *n = json_array_size(*list);
  if (!*n || *n > MOON_RULE_COLUMNS)
    return moon_fail(MOON_EINVAL, "a rule needs 1 to %d columns, not %zu", MOON_RULE_COLUMNS, *n);
  for (size_t i = 0; i < *n; i++) {
    const json_t *entry = json_array_get(*list, i);
    const char *name = json_string_value(json_is_string(entry) ? entry : json_object_get(entry, "column"));
    if (!name) return moon_fail(MOON_EINVAL, "column %zu of a rule is not a name", i + 1);
    MOON_TRY(moon_table_require(rule->table, name, &columns[i]));
    for (size_t k = 0; k < i; k++)
      if (columns[k] == columns[i]) return moon_fail(MOON_EINVAL, "the column %s is named twice", name);
  }
  return moon_ok();
}

/* Counts, then places: a counting sort, so a group keeps the order that the rows come in. */
moon_status moon_groups_new(const moon_column *column, const uint32_t *order, const uint8_t *wanted, moon_groups *out) {
  size_t n = moon_dict_count(column->dict);
  *out = (moon_groups){moon_calloc(n + 2, sizeof *out->start), moon_alloc(column->n * sizeof *out->row), n};
  if (!out->start || !out->row) {
    moon_groups_free(out);
    return moon_fail(MOON_ENOMEM, "no memory to group %zu rows", column->n);
  }
  uint32_t *next = out->start + 1; /* while placing, next[c] is where the next of c goes; at the end that is start[c + 1] */
  for (size_t i = 0; i < column->n; i++)
    if (wanted[i] && column->code[i] != MOON_NONE) out->start[column->code[i] + 2]++;
  for (size_t c = 2; c < n + 2; c++) out->start[c] += out->start[c - 1];
  for (size_t i = 0; i < column->n; i++) {
    uint32_t row = order ? order[i] : (uint32_t)i;
    if (wanted[row] && column->code[row] != MOON_NONE) out->row[next[column->code[row]]++] = row;
  }
  return moon_ok();
}

void moon_groups_free(moon_groups *groups) {
  moon_free(groups->start);
  moon_free(groups->row);
  *groups = (moon_groups){0};
}

/* ---- one rule --------------------------------------------------------------------------------------------------------- */

static moon_status run_filter(moon_rule *rule) {
  const moon_row_functions *functions = rule->options->functions;
  uint32_t fn = (uint32_t)json_integer_value(json_object_get(rule->spec, "fn"));
  if (!functions || !functions->filter) return moon_fail(MOON_EINVAL, "filter: nobody runs the recipe's functions here");
  return functions->filter(functions->self, fn, rule->table, rule->keep);
}

static moon_status run_map(moon_rule *rule) {
  const moon_row_functions *functions = rule->options->functions;
  uint32_t fn = (uint32_t)json_integer_value(json_object_get(rule->spec, "fn"));
  const char *column = json_string_value(json_object_get(rule->spec, "column"));
  if (!functions || !functions->map || !column) return moon_fail(MOON_EINVAL, "map: nobody runs the recipe's functions here");
  moon_rule_say(rule, "%s by a function", column);
  return functions->map(functions->self, fn, rule->table, column);
}

static const struct {
  const char *op;
  moon_status (*run)(moon_rule *rule);
} known[] = {{"drop_missing", moon_rule_drop_missing},
             {"filter", run_filter},
             {"map", run_map},
             {"dedupe", moon_rule_dedupe},
             {"fill", moon_rule_fill},
             {"cast", moon_rule_cast},
             {"rename", moon_rule_rename},
             {"clip", moon_rule_clip},
             {"time_zone", moon_rule_time_zone},
             {"sessionize", moon_rule_sessionize},
             {"k_core", moon_rule_k_core},
             {"bots", moon_rule_bots},
             {"join", moon_rule_join}};
enum { KNOWN = sizeof known / sizeof *known };

static moon_status run_rule(moon_rule *rule) {
  const char *op = json_string_value(json_object_get(rule->spec, "op")), *names[KNOWN];
  if (!op) return moon_fail(MOON_EINVAL, "a preprocess rule has no op");
  for (size_t i = 0; i < KNOWN; i++) {
    names[i] = known[i].op;
    if (!strcmp(op, known[i].op)) return known[i].run(rule);
  }
  const char *near = moon_nearest(op, names, KNOWN);
  return moon_fail(MOON_EINVAL, "there is no preprocess rule '%s'%s%s%s", op, near ? "; did you mean '" : "", near ? near : "",
                   near ? "'?" : "");
}

/* ---- the report ------------------------------------------------------------------------------------------------------- */

/* A text of any length into a field: made fit for a terminal, cut between characters. */
static void put_text(char *out, size_t room, char *text) {
  moon_text_tidy(text);
  size_t n = strlen(text), cut = n < room ? n : moon_utf8_prefix(text, room - 4);
  memcpy(out, text, cut);
  memcpy(out + cut, n < room ? "" : "...", n < room ? 1 : 4);
}

/* "user=u1, item=i7, time=2026-11-24T10:00:00Z", and - for nothing. */
static moon_status sample_row(const moon_table *table, size_t row, char *out, size_t room) {
  moon_buf text = {0};
  char cell[32];
  for (size_t c = 0; c < table->column_count && text.n < room; c++) {
    const moon_column *column = &table->columns[c];
    moon_buf_printf(&text, "%s%s=", c ? ", " : "", column->name);
    if (moon_column_is_null(column, row)) {
      moon_buf_puts(&text, "-");
    } else if (column->type == MOON_STRING) {
      moon_buf_puts(&text, moon_column_text(column, row));
    } else if (column->type == MOON_TIME) {
      moon_time_format(column->i64[row], cell);
      moon_buf_puts(&text, cell);
    } else if (column->type == MOON_INTEGER) {
      moon_buf_printf(&text, "%lld", (long long)column->i64[row]);
    } else {
      moon_number_text(column->f64[row], 6, cell);
      moon_buf_puts(&text, cell);
    }
  }
  moon_buf_puts(&text, ""); /* a table without columns too has a text */
  bool failed = text.failed;
  if (!failed) put_text(out, room, text.data);
  moon_buf_free(&text);
  return failed ? moon_fail(MOON_ENOMEM, "no memory to show a row") : moon_ok();
}

static moon_status fill_report(moon_rule *rule, moon_rule_report *report) {
  const char *op = json_string_value(json_object_get(rule->spec, "op")),
             *where = json_string_value(json_object_get(rule->spec, "where"));
  snprintf(report->rule, sizeof report->rule, "%s%s%s%s", op, where ? " (" : "", where ? where : "", where ? ")" : "");
  put_text(report->why, sizeof report->why, rule->why);
  report->before = rule->table->rows, report->after = 0;
  size_t dropped = 0;
  for (size_t row = 0; row < rule->table->rows; row++) {
    report->after += rule->keep[row];
    if (rule->keep[row] || dropped == MOON_RULE_SAMPLES) continue;
    MOON_TRY(sample_row(rule->table, row, report->sample[dropped], sizeof report->sample[dropped]));
    dropped++;
  }
  return moon_ok();
}

moon_status moon_preprocess(const json_t *rules, moon_table *table, const moon_preprocess_options *options,
                            moon_rule_report *reports) {
  static const moon_preprocess_options none = {0};
  if (table->rows >= MOON_NONE) return moon_fail(MOON_ELIMIT, "%s: over 2^32 - 2 rows", table->name);
  uint8_t *keep = moon_alloc(table->rows);
  if (!keep) return moon_fail(MOON_ENOMEM, "no memory to mark %zu rows", table->rows);
  if (reports) memset(reports, 0, json_array_size(rules) * sizeof *reports);
  moon_status status = moon_ok();
  for (size_t i = 0; i < json_array_size(rules) && !status.code; i++) {
    moon_rule rule = {.spec = json_array_get(rules, i), .table = table, .options = options ? options : &none, .keep = keep};
    const char *where = json_string_value(json_object_get(rule.spec, "where"));
    memset(keep, 1, table->rows);
    status = run_rule(&rule);
    if (!status.code && reports) status = fill_report(&rule, &reports[i]);
    if (status.code != MOON_ESCRIPT && !rule.placed) /* a script's error has its own place */
      status = moon_wrap(status, "%s", where ? where : "recipe");
    if (!status.code) moon_table_keep(table, keep);
  }
  moon_free(keep);
  return status;
}

moon_status moon_items_read(const json_t *plan, const moon_preprocess_options *options, moon_table **out, moon_read_report *report) {
  const json_t *source = json_object_get(json_object_get(plan, "sources"), "items");
  *out = NULL;
  if (!source) return moon_ok();
  moon_table *table = NULL;
  MOON_TRY(moon_source_read(source, &options->source, &table, report));
  moon_status status = moon_preprocess(json_object_get(plan, "item_columns"), table, options, NULL);
  if (status.code)
    moon_table_free(table);
  else
    *out = table;
  return status;
}

/* rules_join.c - join: columns of another table, by an id that both have.
 *
 * Ids are codes of dictionaries on both sides, so each distinct id is looked up once, and a row's match is an array access. */
#include <string.h>

#include "data/rules.h"

/* match: [codes of `left`] the first row of `right` with the same text, MOON_NONE where there is none. */
static moon_status match_ids(moon_rule *rule, const moon_column *left, const moon_column *right, uint32_t **out) {
  size_t n = moon_dict_count(left->dict), known = moon_dict_count(right->dict), repeated = 0;
  uint32_t *match = moon_alloc(n * sizeof *match), *first = moon_alloc(known * sizeof *first);
  if (!match || !first) {
    moon_free(match);
    moon_free(first);
    return moon_fail(MOON_ENOMEM, "no memory to match %zu ids", n);
  }
  memset(first, 0xff, known * sizeof *first);
  for (size_t row = 0; row < right->n; row++) {
    uint32_t code = right->code[row];
    if (code == MOON_NONE) continue;
    if (first[code] == MOON_NONE)
      first[code] = (uint32_t)row;
    else
      repeated++;
  }
  for (uint32_t code = 0; code < n; code++) {
    uint32_t there = moon_dict_find(right->dict, moon_dict_text(left->dict, code), moon_dict_length(left->dict, code));
    match[code] = there == MOON_NONE ? MOON_NONE : first[there];
  }
  moon_free(first);
  if (repeated) moon_rule_say(rule, "%zu rows repeat a %s and were not looked at, ", repeated, right->name);
  *out = match;
  return moon_ok();
}

/* Strings keep their codes: the dictionary moves over as a copy. */
static moon_status copy_words(const moon_column *from, moon_column *to) {
  uint32_t code;
  for (uint32_t i = 0; i < moon_dict_count(from->dict); i++)
    MOON_TRY(moon_dict_add(to->dict, moon_dict_text(from->dict, i), moon_dict_length(from->dict, i), &code));
  return moon_ok();
}

static moon_status join_column(const moon_column *key, const uint32_t *match, const moon_column *from, moon_table *fresh) {
  moon_column *to;
  MOON_TRY(moon_table_add_column(fresh, from->name, from->type, &to));
  if (from->type == MOON_STRING) MOON_TRY(copy_words(from, to));
  for (size_t row = 0; row < key->n; row++) {
    uint32_t at = key->code[row] == MOON_NONE ? MOON_NONE : match[key->code[row]];
    if (at == MOON_NONE)
      MOON_TRY(moon_column_push_null(to));
    else if (from->type == MOON_STRING)
      MOON_TRY(moon_column_push_code(to, from->code[at]));
    else if (from->type == MOON_NUMBER)
      MOON_TRY(moon_column_push_number(to, from->f64[at]));
    else
      MOON_TRY(moon_column_push_integer(to, from->i64[at]));
  }
  return moon_ok();
}

/* The columns to add: those named, or all but the id. */
static moon_status join_columns(const moon_rule *rule, const moon_table *right, const moon_column *id, const moon_column *key,
                                const uint32_t *match, moon_table *fresh) {
  const json_t *names = json_object_get(rule->spec, "columns");
  size_t n = names ? json_array_size(names) : right->column_count;
  for (size_t i = 0; i < n; i++) {
    moon_column *from = names ? NULL : &right->columns[i];
    const char *name = names ? json_string_value(json_array_get(names, i)) : from->name;
    if (!name) return moon_fail(MOON_EINVAL, "column %zu of a join is not a name", i + 1);
    if (!from) MOON_TRY(moon_table_require(right, name, &from));
    if (from == id) continue;
    if (moon_table_column(rule->table, name))
      return moon_fail(MOON_EINVAL, "%s has a column '%s' already; give %s's another name", rule->table->name, name, right->name);
    MOON_TRY(join_column(key, match, from, fresh));
  }
  return fresh->column_count ? moon_ok() : moon_fail(MOON_EINVAL, "%s has no column to add", right->name);
}

static moon_status need_texts(const moon_table *table, const char *name, moon_column **out) {
  MOON_TRY(moon_table_require(table, name, out));
  if ((*out)->type == MOON_STRING) return moon_ok();
  return moon_fail(MOON_EINVAL, "%s: column %s must be a string to join by; read it as \"%s:string\"", table->name, name, name);
}

static void tell(moon_rule *rule, const moon_column *key, const uint32_t *match) {
  size_t alone = 0;
  const char *first = NULL;
  for (size_t row = 0; row < key->n; row++) {
    uint32_t code = key->code[row];
    if (code != MOON_NONE && match[code] != MOON_NONE) continue;
    if (!alone++) first = moon_column_text(key, row);
  }
  if (!alone)
    moon_rule_say(rule, "every row found its %s", key->name);
  else
    moon_rule_say(rule, "%zu rows found no %s, the first %s%.40s%s", alone, key->name, first ? "'" : "",
                  first ? first : "is empty", first ? "'" : "");
}

static moon_status join_with(moon_rule *rule, const moon_table *right) {
  const char *on = json_string_value(json_object_get(rule->spec, "on"));
  moon_column *key, *id;
  uint32_t *match = NULL;
  moon_table *fresh = NULL;
  if (!on) return moon_fail(MOON_EINVAL, "join names no column to go by");
  MOON_TRY(need_texts(rule->table, on, &key));
  MOON_TRY(need_texts(right, on, &id));
  MOON_TRY(match_ids(rule, key, id, &match));
  moon_status status = moon_table_new(rule->table->name, &fresh);
  if (!status.code) status = join_columns(rule, right, id, key, match, fresh);
  if (!status.code) tell(rule, key, match);
  if (!status.code) status = moon_table_adopt(rule->table, fresh);
  moon_table_free(fresh);
  moon_free(match);
  return status;
}

moon_status moon_rule_join(moon_rule *rule) {
  moon_read_report report = {0};
  moon_table *right = NULL;
  moon_status status = moon_source_read(json_object_get(rule->spec, "source"), &rule->options->source, &right, &report);
  rule->placed = status.code != 0; /* by the place of the table's word */
  if (!status.code && right->rows >= MOON_NONE) status = moon_fail(MOON_ELIMIT, "%s: over 2^32 - 2 rows", right->name);
  if (!status.code) status = join_with(rule, right);
  moon_table_free(right);
  return status;
}

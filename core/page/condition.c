/* condition.c - conditions on an item's columns, parsed once and checked per item without string work.
 *
 * eq, ne, in and has are one thing: a sorted set of values, of codes for a column of strings and of numbers for the others; ne turns
 * the answer round, and the set of has are the texts that have the part. A text that no item has gets no code, so it is in no set's
 * reach: nothing equals it. Where a value comes from the request, the condition as that request asks it is a copy with the value in
 * its place (condition_ask.c), so that there is one kind of condition for all who ask. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "page/condition.h"

static const char *const op_names[MOON_COMPARES] = {"lt", "le", "gt", "ge", "eq", "ne", "in", "has", "truthy"};

/* ---- parsing */

static moon_status parse_op(const json_t *json, moon_compare *op) {
  const char *name = json_string_value(json_object_get(json, "op"));
  if (!name) return moon_fail(MOON_EFORMAT, "a condition has no op");
  for (unsigned i = 0; i < MOON_COMPARES; i++) {
    if (strcmp(name, op_names[i])) continue;
    *op = (moon_compare)i;
    return moon_ok();
  }
  const char *near = moon_nearest(name, op_names, MOON_COMPARES);
  return moon_fail(MOON_EINVAL, "there is no comparison '%.60s'%s%s%s", name, near ? "; did you mean '" : "", near ? near : "",
                   near ? "'?" : "");
}

/* Of the texts those that are the value, or of has that have it as a part. */
static void add_text(moon_clause *term, const moon_dict *dict, const char *text, size_t n) {
  if (term->op != MOON_COMPARE_HAS) {
    uint32_t code = moon_dict_find(dict, text, n);
    if (code != MOON_NONE) term->codes[term->count++] = code;
    return;
  }
  for (uint32_t code = 0; code < moon_dict_count(dict); code++)
    if (moon_has_part(moon_dict_text(dict, code), text, n)) term->codes[term->count++] = code;
}

static moon_status add_value(moon_clause *term, const moon_column *column, const json_t *value) {
  const char *text = json_string_value(value);
  if (column->type == MOON_STRING) {
    if (!text) return moon_fail(MOON_EINVAL, "column '%.100s' holds strings; it is compared with a string", column->name);
    add_text(term, column->dict, text, json_string_length(value));
    return moon_ok();
  }
  double number = json_number_value(value);
  if (!json_is_number(value) || !isfinite(number))
    return moon_fail(MOON_EINVAL, "column '%.100s' holds numbers; it is compared with a number%s%.60s%s", column->name,
                     text ? ", not '" : "", text ? text : "", text ? "'" : "");
  term->numbers[term->count++] = number;
  return moon_ok();
}

static int by_number(const void *a, const void *b) {
  double x, y;
  memcpy(&x, a, sizeof x);
  memcpy(&y, b, sizeof y);
  return (x > y) - (x < y);
}

static int by_code(const void *a, const void *b) {
  uint32_t x, y;
  memcpy(&x, a, sizeof x);
  memcpy(&y, b, sizeof y);
  return (x > y) - (x < y);
}

/* value: NULL where a request is to give it; until then it is a number that nothing compares with, or no text. */
static moon_status parse_values(moon_clause *term, const moon_column *column, const json_t *value) {
  bool list = term->op == MOON_COMPARE_IN, strings = column->type == MOON_STRING;
  if (list && !json_is_array(value)) return moon_fail(MOON_EFORMAT, "column '%.100s': in wants a list of values", column->name);
  size_t n = list ? json_array_size(value) : 1;
  if (strings) term->codes = moon_calloc(term->op == MOON_COMPARE_HAS ? moon_dict_count(column->dict) : n, sizeof *term->codes);
  else term->numbers = moon_calloc(n, sizeof *term->numbers);
  if (!term->codes && !term->numbers) return moon_fail(MOON_ENOMEM, "no memory for a condition");
  if (!value && !strings) term->numbers[0] = NAN;
  for (size_t i = 0; i < n && value; i++) MOON_TRY(add_value(term, column, list ? json_array_get(value, i) : value));
  if (strings) qsort(term->codes, term->count, sizeof *term->codes, by_code);
  else qsort(term->numbers, term->count, sizeof *term->numbers, by_number);
  return moon_ok();
}

static moon_status check_op(const moon_clause *term, const moon_column *column) {
  bool strings = column->type == MOON_STRING;
  if (strings && term->op < MOON_COMPARE_EQ)
    return moon_fail(MOON_EINVAL, "column '%.100s' holds strings; '%s' compares numbers", column->name, op_names[term->op]);
  if (!strings && term->op == MOON_COMPARE_HAS)
    return moon_fail(MOON_EINVAL, "column '%.100s' holds numbers; 'has' looks for a part of a string", column->name);
  if (term->param && (term->op == MOON_COMPARE_IN || term->op == MOON_COMPARE_TRUTHY))
    return moon_fail(MOON_EINVAL, "column '%.100s': '%s' takes nothing from the request", column->name, op_names[term->op]);
  return moon_ok();
}

static moon_status parse_param(moon_clause *term, const json_t *json) {
  const json_t *param = json_object_get(json, "param"), *optional = json_object_get(json, "optional");
  if (!param) return moon_ok();
  if (!json_string_length(param)) return moon_fail(MOON_EFORMAT, "a condition's param must be the name of a parameter");
  if (optional && !json_is_boolean(optional)) return moon_fail(MOON_EFORMAT, "a condition's optional must be true or false");
  term->optional = json_is_true(optional);
  term->param = moon_strdup(json_string_value(param));
  return term->param ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory for a condition");
}

static moon_status parse_term(const json_t *json, const moon_catalogue *catalogue, moon_clause *out) {
  const char *name = json_string_value(json_object_get(json, "column"));
  moon_column *column;
  if (!name) return moon_fail(MOON_EFORMAT, "a condition has no column");
  MOON_TRY(parse_op(json, &out->op));
  MOON_TRY(moon_table_require(catalogue->table, name, &column));
  MOON_TRY(parse_param(out, json));
  MOON_TRY(check_op(out, column));
  out->column = (size_t)(column - catalogue->table->columns);
  if (out->op == MOON_COMPARE_TRUTHY) return moon_ok();
  const json_t *value = json_object_get(json, out->param ? "default" : "value");
  if (out->op == MOON_COMPARE_HAS && out->param) MOON_TRY(moon_parts_new(column->dict, &out->parts));
  if (json_is_null(value) || !value) value = out->param ? NULL : json_null();
  return parse_values(out, column, value);
}

moon_status moon_condition_parse(const json_t *json, const moon_catalogue *catalogue, moon_condition **out) {
  size_t n = json_array_size(json);
  if (!n) return moon_fail(MOON_EFORMAT, "conditions must be a list of at least one");
  moon_condition *condition = moon_calloc(1, sizeof *condition + n * sizeof *condition->terms);
  if (!condition) return moon_fail(MOON_ENOMEM, "no memory for a condition");
  condition->n = n;
  moon_status status = moon_ok();
  for (size_t i = 0; i < n && !status.code; i++) status = parse_term(json_array_get(json, i), catalogue, &condition->terms[i]);
  if (status.code) moon_condition_free(condition);
  else *out = condition;
  return status;
}

void moon_condition_free(moon_condition *condition) {
  if (!condition) return;
  for (size_t i = 0; i < condition->n; i++) {
    moon_free(condition->terms[i].numbers);
    moon_free(condition->terms[i].codes);
    moon_free(condition->terms[i].param);
    moon_parts_free(condition->terms[i].parts);
  }
  moon_free(condition);
}

/* ---- checking */

static bool truthy(const moon_column *column, size_t row) {
  if (moon_column_is_null(column, row)) return false;
  const char *text = moon_column_text(column, row);
  if (!text) return moon_column_number(column, row) != 0;
  return *text && strcmp(text, "0") && strcasecmp(text, "false") && strcasecmp(text, "no");
}

static bool among(const moon_clause *term, const moon_column *column, size_t row) {
  if (!term->count || moon_column_is_null(column, row)) return false;
  if (term->codes) return bsearch(&column->code[row], term->codes, term->count, sizeof *term->codes, by_code);
  double number = moon_column_number(column, row);
  return bsearch(&number, term->numbers, term->count, sizeof *term->numbers, by_number);
}

static bool term_holds(const moon_clause *term, const moon_column *column, uint32_t item) {
  if (item >= column->n) return term->op == MOON_COMPARE_NE; /* as a null */
  switch (term->op) {
    case MOON_COMPARE_LT: return moon_column_number(column, item) < term->numbers[0];
    case MOON_COMPARE_LE: return moon_column_number(column, item) <= term->numbers[0];
    case MOON_COMPARE_GT: return moon_column_number(column, item) > term->numbers[0];
    case MOON_COMPARE_GE: return moon_column_number(column, item) >= term->numbers[0];
    case MOON_COMPARE_NE: return !among(term, column, item);
    case MOON_COMPARE_TRUTHY: return truthy(column, item);
    default: return among(term, column, item);
  }
}

bool moon_condition_holds(const moon_condition *condition, const moon_catalogue *catalogue, uint32_t item) {
  for (size_t i = 0; i < condition->n; i++) {
    const moon_clause *term = &condition->terms[i];
    if (!term_holds(term, &catalogue->table->columns[term->column], item)) return false;
  }
  return true;
}

/* Clause by clause, so that each is a loop of its own. */
static void mask_term(const moon_clause *term, const moon_column *column, const uint32_t *items, size_t n, uint8_t *out) {
  bool one_code = (term->op == MOON_COMPARE_EQ || term->op == MOON_COMPARE_IN) && term->codes && term->count == 1;
  for (size_t i = 0; one_code && i < n; i++) out[i] &= items[i] < column->n && column->code[items[i]] == term->codes[0];
  for (size_t i = 0; !one_code && i < n; i++) out[i] &= term_holds(term, column, items[i]);
}

void moon_condition_mask(const moon_condition *condition, const moon_catalogue *catalogue, const uint32_t *items, size_t n, uint8_t *out) {
  for (size_t i = 0; i < condition->n; i++)
    mask_term(&condition->terms[i], &catalogue->table->columns[condition->terms[i].column], items, n, out);
}

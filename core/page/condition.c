/* condition.c - conditions on an item's columns, parsed once and checked per item without string work.
 *
 * eq, ne and in are one thing: a sorted set of values, of codes for a column of strings and of numbers for the others; ne turns
 * the answer round. A text that no item has gets no code, so it is in no set's reach: nothing equals it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "page/page.h"

typedef enum term_op { LT, LE, GT, GE, EQ, NE, IN, TRUTHY, TERM_OPS } term_op;
static const char *const op_names[TERM_OPS] = {"lt", "le", "gt", "ge", "eq", "ne", "in", "truthy"};

typedef struct clause {
  size_t column; /* index into the catalogue's table */
  term_op op;
  double *numbers; /* [count] sorted; one for lt, le, gt, ge */
  uint32_t *codes; /* [count] sorted */
  size_t count;
} clause;

struct moon_condition {
  size_t n;
  clause terms[];
};

/* ---- parsing */

static moon_status parse_op(const json_t *json, term_op *op) {
  const char *name = json_string_value(json_object_get(json, "op"));
  if (!name) return moon_fail(MOON_EFORMAT, "a condition has no op");
  for (unsigned i = 0; i < TERM_OPS; i++) {
    if (strcmp(name, op_names[i])) continue;
    *op = (term_op)i;
    return moon_ok();
  }
  const char *near = moon_nearest(name, op_names, TERM_OPS);
  return moon_fail(MOON_EINVAL, "there is no comparison '%.60s'%s%s%s", name, near ? "; did you mean '" : "", near ? near : "",
                   near ? "'?" : "");
}

static moon_status add_value(clause *term, const moon_column *column, const json_t *value) {
  const char *text = json_string_value(value);
  if (column->type == MOON_STRING) {
    if (!text) return moon_fail(MOON_EINVAL, "column '%.100s' holds strings; it is compared with a string", column->name);
    uint32_t code = moon_dict_find(column->dict, text, json_string_length(value));
    if (code != MOON_NONE) term->codes[term->count++] = code;
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

static moon_status parse_values(clause *term, const moon_column *column, const json_t *value, moon_arena *arena) {
  bool list = term->op == IN;
  if (list && !json_is_array(value)) return moon_fail(MOON_EFORMAT, "column '%.100s': in wants a list of values", column->name);
  size_t n = list ? json_array_size(value) : 1;
  if (column->type == MOON_STRING) term->codes = moon_arena_alloc(arena, n * sizeof *term->codes);
  else term->numbers = moon_arena_alloc(arena, n * sizeof *term->numbers);
  if (!term->codes && !term->numbers) return moon_fail(MOON_ENOMEM, "no memory for a condition");
  for (size_t i = 0; i < n; i++) MOON_TRY(add_value(term, column, list ? json_array_get(value, i) : value));
  if (term->codes) qsort(term->codes, term->count, sizeof *term->codes, by_code);
  else qsort(term->numbers, term->count, sizeof *term->numbers, by_number);
  return moon_ok();
}

static moon_status parse_term(const json_t *json, const moon_catalogue *catalogue, moon_arena *arena, clause *out) {
  const char *name = json_string_value(json_object_get(json, "column"));
  moon_column *column;
  if (!name) return moon_fail(MOON_EFORMAT, "a condition has no column");
  MOON_TRY(parse_op(json, &out->op));
  MOON_TRY(moon_table_require(catalogue->table, name, &column));
  out->column = (size_t)(column - catalogue->table->columns);
  if (out->op == TRUTHY) return moon_ok();
  if (column->type == MOON_STRING && out->op < EQ)
    return moon_fail(MOON_EINVAL, "column '%.100s' holds strings; '%s' compares numbers", name, op_names[out->op]);
  return parse_values(out, column, json_object_get(json, "value"), arena);
}

moon_status moon_condition_parse(const json_t *json, const moon_catalogue *catalogue, moon_arena *arena, moon_condition **out) {
  size_t n = json_array_size(json);
  if (!n) return moon_fail(MOON_EFORMAT, "conditions must be a list of at least one");
  moon_condition *condition = moon_arena_calloc(arena, sizeof *condition + n * sizeof *condition->terms);
  if (!condition) return moon_fail(MOON_ENOMEM, "no memory for a condition");
  condition->n = n;
  for (size_t i = 0; i < n; i++) MOON_TRY(parse_term(json_array_get(json, i), catalogue, arena, &condition->terms[i]));
  *out = condition;
  return moon_ok();
}

/* ---- checking */

static bool truthy(const moon_column *column, size_t row) {
  if (moon_column_is_null(column, row)) return false;
  const char *text = moon_column_text(column, row);
  if (!text) return moon_column_number(column, row) != 0;
  return *text && strcmp(text, "0") && strcasecmp(text, "false") && strcasecmp(text, "no");
}

static bool among(const clause *term, const moon_column *column, size_t row) {
  if (!term->count || moon_column_is_null(column, row)) return false;
  if (term->codes) return bsearch(&column->code[row], term->codes, term->count, sizeof *term->codes, by_code);
  double number = moon_column_number(column, row);
  return bsearch(&number, term->numbers, term->count, sizeof *term->numbers, by_number);
}

static bool term_holds(const clause *term, const moon_column *column, uint32_t item) {
  if (item >= column->n) return term->op == NE; /* as a null */
  switch (term->op) {
    case LT: return moon_column_number(column, item) < term->numbers[0];
    case LE: return moon_column_number(column, item) <= term->numbers[0];
    case GT: return moon_column_number(column, item) > term->numbers[0];
    case GE: return moon_column_number(column, item) >= term->numbers[0];
    case NE: return !among(term, column, item);
    case TRUTHY: return truthy(column, item);
    default: return among(term, column, item);
  }
}

bool moon_condition_holds(const moon_condition *condition, const moon_catalogue *catalogue, uint32_t item) {
  for (size_t i = 0; i < condition->n; i++) {
    const clause *term = &condition->terms[i];
    if (!term_holds(term, &catalogue->table->columns[term->column], item)) return false;
  }
  return true;
}

/* Clause by clause, so that each is a loop of its own. */
static void mask_term(const clause *term, const moon_column *column, const uint32_t *items, size_t n, uint8_t *out) {
  bool one_code = (term->op == EQ || term->op == IN) && term->codes && term->count == 1;
  for (size_t i = 0; one_code && i < n; i++) out[i] &= items[i] < column->n && column->code[items[i]] == term->codes[0];
  for (size_t i = 0; !one_code && i < n; i++) out[i] &= term_holds(term, column, items[i]);
}

void moon_condition_mask(const moon_condition *condition, const moon_catalogue *catalogue, const uint32_t *items, size_t n, uint8_t *out) {
  for (size_t i = 0; i < condition->n; i++)
    mask_term(&condition->terms[i], &catalogue->table->columns[condition->terms[i].column], items, n, out);
}

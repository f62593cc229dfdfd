/* op_read.c - a policy out of a plan: its fields, read into the operator's arguments by the operator's own table.
 *
 * Whatever a policy names (columns, items, kinds of value) is looked up here, once, so that a site that loads has nothing left to go
 * wrong but its own Lua. A script's call of an operator comes the same way, with masks in the place of conditions. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "page/op.h"
#include "page/site.h"

typedef struct reader {
  const moon_policy_source *source;
  const json_t *object;
  char *args;
} reader;

static moon_status no_memory(void) {
  return moon_fail(MOON_ENOMEM, "no memory for a policy");
}

/* The key of a field in a plan: that of a time says its unit. */
static const char *key_of(const moon_field *field, char room[64]) {
  if (field->kind != MOON_FIELD_SPAN) return field->name;
  snprintf(room, 64, "%.50s_us", field->name);
  return room;
}

static const json_t *value_of(const reader *r, const char *key) {
  const json_t *value = json_object_get(r->object, key);
  return json_is_null(value) ? NULL : value;
}

static void put(const reader *r, const moon_field *field, const void *value, size_t bytes) {
  memcpy(r->args + field->at, value, bytes);
}

/* ---- numbers */

static moon_status read_count(const reader *r, const moon_field *field) {
  size_t n;
  MOON_TRY(moon_plan_count(r->object, field->name, (size_t)field->low, (size_t)field->high, (size_t)field->fallback, &n));
  return put(r, field, &n, sizeof n), moon_ok();
}

static moon_status check_range(const char *name, double x, const moon_field *field) {
  if (x >= field->low && x <= field->high) return moon_ok();
  return moon_fail(MOON_EINVAL, "%s must be a number from %g to %g, not %g", name, field->low, field->high, x);
}

static moon_status read_number(const reader *r, const moon_field *field) {
  double x = field->fallback;
  if (value_of(r, field->name)) {
    MOON_TRY(moon_plan_number(r->object, field->name, 0, &x));
    MOON_TRY(check_range(field->name, x, field));
  }
  return put(r, field, &x, sizeof x), moon_ok();
}

static moon_status read_micros(const reader *r, const char *key, int64_t fallback, int64_t low, int64_t *out) {
  const json_t *value = value_of(r, key);
  *out = value ? json_integer_value(value) : fallback;
  if (value && !json_is_integer(value)) return moon_fail(MOON_EFORMAT, "%s must be a time in microseconds", key);
  return *out >= low || !value ? moon_ok() : moon_fail(MOON_EINVAL, "%s must be above 0", key);
}

static moon_status read_span(const reader *r, const moon_field *field) {
  char room[64];
  int64_t span;
  MOON_TRY(read_micros(r, key_of(field, room), (int64_t)field->fallback, 1, &span));
  return put(r, field, &span, sizeof span), moon_ok();
}

static moon_status read_numbers(const reader *r, const moon_field *field) {
  const json_t *list;
  moon_numbers out;
  MOON_TRY(moon_plan_list(r->source->memory, r->object, field->name, sizeof *out.at, &list, &out.at, &out.n));
  for (size_t i = 0; i < out.n; i++) {
    const json_t *value = json_array_get(list, i);
    out.at[i] = json_number_value(value);
    if (!json_is_number(value) || !isfinite(out.at[i]))
      return moon_fail(MOON_EFORMAT, "%s must be a list of numbers", field->name);
    MOON_TRY(check_range(field->name, out.at[i], field));
  }
  return put(r, field, &out, sizeof out), moon_ok();
}

/* ---- names */

static moon_status read_flag(const reader *r, const moon_field *field) {
  const json_t *value = value_of(r, field->name);
  bool flag = value ? json_is_true(value) : field->fallback != 0;
  if (value && !json_is_boolean(value)) return moon_fail(MOON_EFORMAT, "%s must be true or false", field->name);
  return put(r, field, &flag, sizeof flag), moon_ok();
}

static moon_status read_text(const reader *r, const moon_field *field, const char **out) {
  *out = field->text;
  return value_of(r, field->name) ? moon_plan_text(r->source->memory, r->object, field->name, NULL, out) : moon_ok();
}

static moon_status read_choice(const reader *r, const moon_field *field) {
  const char *name;
  unsigned i = 0, n = 0;
  MOON_TRY(read_text(r, field, &name));
  while (field->names[n]) n++;
  while (i < n && strcmp(field->names[i], name)) i++;
  return i < n ? put(r, field, &i, sizeof i), moon_ok() : moon_plan_unknown(field->name, name, field->names, n);
}

static const char *type_name(moon_type type) {
  return type == MOON_STRING ? "string" : type == MOON_TIME ? "time" : "number";
}

static moon_status find_column(const reader *r, const char *key, const char *name, const char *const *types,
                               const moon_column **out) {
  moon_column *column;
  MOON_TRY(moon_wrap(moon_table_require(r->source->bundle->catalogue->table, name, &column), "%s", key));
  *out = column;
  for (size_t i = 0; types && types[i]; i++)
    if (!strcmp(types[i], type_name(column->type))) return moon_ok();
  if (!types) return moon_ok();
  return moon_fail(MOON_EINVAL, "%s: '%.100s' is a column of %ss; one of %ss is wanted", key, name, type_name(column->type),
                   types[0]);
}

static moon_status read_column(const reader *r, const moon_field *field) {
  const moon_column *column = NULL;
  const char *name;
  MOON_TRY(read_text(r, field, &name));
  if (name) MOON_TRY(find_column(r, field->name, name, field->names, &column));
  return put(r, field, &column, sizeof column), moon_ok();
}

/* Without embeddings of items likeness by them would silently do nothing. */
bool moon_site_has_embedding(const moon_bundle *bundle) {
  const moon_feature_plan *plan = bundle->feature_plan;
  for (size_t i = 0; plan && bundle->model && i < plan->feature_count; i++)
    if (plan->features[i].op == MOON_FEATURE_ID && !plan->features[i].of_user) return true;
  return false;
}

static moon_status read_likeness(const reader *r, const moon_field *field) {
  const char *by;
  moon_column *column;
  MOON_TRY(read_text(r, field, &by));
  put(r, field, &by, sizeof by);
  if (!strcmp(by, "embedding"))
    return r->source->masks || moon_site_has_embedding(r->source->bundle)
               ? moon_ok()
               : moon_fail(MOON_EINVAL, "by = 'embedding' needs a model with m.id \"item\"; a column of strings works without");
  MOON_TRY(moon_table_require(r->source->bundle->catalogue->table, by, &column));
  if (column->type == MOON_STRING) return moon_ok();
  return moon_fail(MOON_EINVAL, "by = '%.100s' must be 'embedding' or a column of strings, not of numbers", by);
}

static moon_status read_texts(const reader *r, const moon_field *field, moon_texts *out) {
  const json_t *list;
  MOON_TRY(moon_plan_list(r->source->memory, r->object, field->name, sizeof *out->at, &list, &out->at, &out->n));
  for (size_t i = 0; i < out->n; i++) {
    const char *text = json_string_value(json_array_get(list, i));
    if (!text) return moon_fail(MOON_EFORMAT, "%s must be a list of texts", field->name);
    out->at[i] = moon_arena_strdup(r->source->memory, text);
    if (!out->at[i]) return no_memory();
  }
  return moon_ok();
}

static moon_status read_kinds(const reader *r, const moon_field *field) {
  moon_texts kinds;
  MOON_TRY(read_texts(r, field, &kinds));
  return put(r, field, &kinds, sizeof kinds), moon_ok();
}

/* ---- items */

static moon_status find_item(const reader *r, const char *key, const char *id, uint32_t *row) {
  const moon_dict *ids = r->source->bundle->catalogue->ids;
  *row = moon_dict_find(ids, id, strlen(id));
  if (*row != MOON_NONE) return moon_ok();
  size_t n = moon_dict_count(ids);
  const char **names = moon_alloc((n + 1) * sizeof *names);
  for (size_t i = 0; names && i < n; i++) names[i] = moon_dict_text(ids, (uint32_t)i);
  const char *near = names ? moon_nearest(id, names, n) : NULL;
  moon_free(names);
  return moon_fail(MOON_ENOTFOUND, "%s: there is no item '%.100s'%s%.100s%s", key, id, near ? "; did you mean '" : "",
                   near ? near : "", near ? "'?" : "");
}

static moon_status read_item(const reader *r, const moon_field *field) {
  uint32_t row = MOON_NONE;
  const char *id;
  MOON_TRY(read_text(r, field, &id));
  if (id) MOON_TRY(find_item(r, field->name, id, &row));
  return put(r, field, &row, sizeof row), moon_ok();
}

static int by_row(const void *a, const void *b) {
  const uint32_t *p = a, *q = b;
  return (*p > *q) - (*p < *q);
}

static moon_status read_items(const reader *r, const moon_field *field) {
  moon_texts ids;
  moon_rows rows;
  MOON_TRY(read_texts(r, field, &ids));
  rows.n = ids.n;
  rows.at = moon_arena_alloc(r->source->memory, (2 * ids.n + 1) * sizeof *rows.at);
  if (!rows.at) return no_memory();
  rows.sorted = rows.at + ids.n;
  for (size_t i = 0; i < ids.n; i++) MOON_TRY(find_item(r, field->name, ids.at[i], &rows.at[i]));
  if (ids.n) memcpy(rows.sorted, rows.at, ids.n * sizeof *rows.sorted);
  if (ids.n) qsort(rows.sorted, ids.n, sizeof *rows.sorted, by_row);
  for (size_t i = 1; i < ids.n; i++)
    if (rows.sorted[i] == rows.sorted[i - 1])
      return moon_fail(MOON_EINVAL, "%s names '%.100s' twice", field->name,
                       moon_catalogue_id(r->source->bundle->catalogue, rows.sorted[i]));
  return put(r, field, &rows, sizeof rows), moon_ok();
}

/* ---- conditions: those on the source are the slate's own, where the catalogue has no such column */

static moon_status source_bit(const json_t *value, uint32_t *bits) {
  const char *names[MOON_SOURCE_KINDS], *name = json_string_value(value);
  for (unsigned kind = 0; kind < MOON_SOURCE_KINDS; kind++) {
    names[kind] = moon_source_name((moon_source_kind)kind);
    if (name && !strcmp(name, names[kind])) return *bits |= UINT32_C(1) << kind, moon_ok();
  }
  return name ? moon_plan_unknown("source", name, names, MOON_SOURCE_KINDS)
              : moon_fail(MOON_EFORMAT, "a source is named by a text");
}

static moon_status read_sources(const json_t *term, uint32_t *sources) {
  const char *op = moon_text_in(term, "op");
  const json_t *value = json_object_get(term, "value");
  uint32_t bits = 0, all = (UINT32_C(1) << MOON_SOURCE_KINDS) - 1;
  if (!strcmp(op, "in"))
    for (size_t i = 0; i < json_array_size(value); i++) MOON_TRY(source_bit(json_array_get(value, i), &bits));
  else if (!strcmp(op, "eq") || !strcmp(op, "ne"))
    MOON_TRY(source_bit(value, &bits));
  else
    return moon_fail(MOON_EINVAL, "source is compared with names of sources");
  if (!strcmp(op, "ne")) bits = all & ~bits;
  *sources &= bits;
  return *sources ? moon_ok() : moon_fail(MOON_EINVAL, "no item is of all those sources");
}

struct moon_owned_condition {
  struct moon_owned_condition *next;
  moon_condition *condition;
};

void moon_policy_conditions_free(moon_policy_conditions *conditions) {
  for (struct moon_owned_condition *c = conditions->first; c; c = c->next) moon_condition_free(c->condition);
  conditions->first = NULL;
}

static moon_status own_condition(const reader *r, const json_t *json, moon_condition **out) {
  if (!r->source->conditions) return moon_fail(MOON_EINVAL, "a mask is wanted");
  struct moon_owned_condition *owned = moon_arena_calloc(r->source->memory, sizeof *owned);
  if (!owned) return no_memory();
  MOON_TRY(moon_condition_parse(json, r->source->bundle->catalogue, out));
  *owned = (struct moon_owned_condition){r->source->conditions->first, *out};
  r->source->conditions->first = owned;
  return moon_ok();
}

static moon_status read_terms(const reader *r, const json_t *terms, moon_match *out) {
  const json_t *term;
  size_t i;
  uint32_t sources = UINT32_MAX;
  json_t *rest = json_array();
  moon_status status = rest ? moon_ok() : no_memory();
  bool own = moon_table_column(r->source->bundle->catalogue->table, "source") != NULL;
  json_array_foreach(terms, i, term) {
    if (status.code) break;
    if (own || strcmp(moon_text_in(term, "column"), "source"))
      status = json_array_append(rest, (json_t *)term) ? no_memory() : moon_ok();
    else
      status = read_sources(term, &sources);
  }
  *out = (moon_match){.sources = sources == UINT32_MAX ? 0 : sources};
  moon_condition *condition = NULL;
  if (!status.code && (json_array_size(rest) || !out->sources)) status = own_condition(r, rest, &condition);
  out->when = condition;
  json_decref(rest);
  return status;
}

static moon_status read_match(const reader *r, const json_t *value, moon_match *out) {
  const json_t *mask = json_object_get(value, "mask");
  size_t i = json_is_integer(mask) ? (size_t)json_integer_value(mask) : SIZE_MAX;
  *out = (moon_match){0};
  if (r->source->masks && mask && i < r->source->mask_count) return out->mask = r->source->masks[i], moon_ok();
  return read_terms(r, value, out);
}

static moon_status read_when(const reader *r, const moon_field *field) {
  moon_match match = {0};
  if (field->required || value_of(r, field->name)) MOON_TRY(read_match(r, value_of(r, field->name), &match));
  return put(r, field, &match, sizeof match), moon_ok();
}

static moon_status read_pattern(const reader *r, const moon_field *field) {
  const json_t *list;
  moon_matches out;
  MOON_TRY(moon_plan_list(r->source->memory, r->object, field->name, sizeof *out.at, &list, &out.at, &out.n));
  if (!out.n || out.n > field->high) return moon_fail(MOON_EFORMAT, "%s must be a list of 1 to %g", field->name, field->high);
  for (size_t i = 0; i < out.n; i++) {
    const json_t *entry = json_array_get(list, i);
    const char *text = json_string_value(entry);
    if (text && strcmp(text, "any")) return moon_fail(MOON_EINVAL, "%s: a text must be 'any', not '%.60s'", field->name, text);
    if (!text) MOON_TRY(read_match(r, entry, &out.at[i]));
  }
  return put(r, field, &out, sizeof out), moon_ok();
}

/* ---- numbers by column */

static moon_status read_weight(const reader *r, const moon_field *field, const json_t *json, moon_weight *out) {
  static const char *const scores[MOON_SLATE_SCORES] = {"score", "model_score", "source_score"};
  static const char *const numbers[] = {"number", "time", NULL};
  const char *name;
  bool limits = field->kind == MOON_FIELD_LIMITS;
  MOON_TRY(moon_plan_text(r->source->memory, json, "column", NULL, &name));
  MOON_TRY(moon_plan_number(json, "n", NAN, &out->n));
  if (limits && !(out->n >= 1 && out->n <= 1e6 && out->n == floor(out->n)))
    return moon_fail(MOON_EINVAL, "%.100s: n must be a whole number from 1 to 1000000, not %g", name, out->n);
  for (unsigned i = 0; !limits && i < MOON_SLATE_SCORES; i++)
    if (!strcmp(name, scores[i])) return out->score = (moon_slate_score)i, moon_ok();
  return find_column(r, field->name, name, limits ? NULL : numbers, &out->column);
}

static moon_status read_weights(const reader *r, const moon_field *field) {
  const json_t *list;
  moon_weights out;
  MOON_TRY(moon_plan_list(r->source->memory, r->object, field->name, sizeof *out.at, &list, &out.at, &out.n));
  if (!out.n) return moon_fail(MOON_EFORMAT, "%s must be a list of at least one", field->name);
  for (size_t i = 0; i < out.n; i++) MOON_TRY(read_weight(r, field, json_array_get(list, i), &out.at[i]));
  return put(r, field, &out, sizeof out), moon_ok();
}

/* ---- a policy */

static moon_status read_field(const reader *r, const moon_field *field) {
  char room[64];
  const char *key = key_of(field, room), *text;
  if (field->required && !value_of(r, key)) return moon_fail(MOON_EFORMAT, "%s is missing", key);
  switch (field->kind) {
    case MOON_FIELD_COUNT:
      return read_count(r, field);
    case MOON_FIELD_NUMBER:
      return read_number(r, field);
    case MOON_FIELD_SPAN:
      return read_span(r, field);
    case MOON_FIELD_FLAG:
      return read_flag(r, field);
    case MOON_FIELD_CHOICE:
      return read_choice(r, field);
    case MOON_FIELD_COLUMN:
      return read_column(r, field);
    case MOON_FIELD_LIKENESS:
      return read_likeness(r, field);
    case MOON_FIELD_WHEN:
      return read_when(r, field);
    case MOON_FIELD_PATTERN:
      return read_pattern(r, field);
    case MOON_FIELD_ITEM:
      return read_item(r, field);
    case MOON_FIELD_ITEMS:
      return read_items(r, field);
    case MOON_FIELD_KINDS:
      return read_kinds(r, field);
    case MOON_FIELD_NUMBERS:
      return read_numbers(r, field);
    case MOON_FIELD_LIMITS:
    case MOON_FIELD_WEIGHTS:
      return read_weights(r, field);
    case MOON_FIELD_TEXT:
      MOON_TRY(read_text(r, field, &text));
      return put(r, field, &text, sizeof text), moon_ok();
    default:
      return moon_fail(MOON_EINVAL, "the field '%s' is of no kind", field->name);
  }
}

/* "reason (owner)", or what there is of the two. */
static moon_status read_reason(const reader *r, const char **out) {
  const char *owner, *reason;
  moon_arena *memory = r->source->memory;
  MOON_TRY(moon_plan_text(memory, r->object, "owner", "", &owner));
  MOON_TRY(moon_plan_text(memory, r->object, "reason", "", &reason));
  *out = *reason ? reason : *owner ? owner : NULL;
  if (!*reason || !*owner) return moon_ok();
  *out = moon_arena_printf(memory, "%s (%s)", reason, owner);
  return *out ? moon_ok() : no_memory();
}

static moon_status check_keys(const reader *r, const moon_operator *op) {
  enum { MOST = 40 };
  const char *names[MOST] = {"op", "label", "where", "owner", "reason", "starts_us", "ends_us"}, *key;
  char room[MOST][64];
  size_t n = 7;
  json_t *value;
  for (const moon_field *f = op->fields; f->name && n < MOST; f++, n++) names[n] = key_of(f, room[n]);
  json_object_foreach((json_t *)r->object, key, value) {
    size_t i = 0;
    while (i < n && strcmp(names[i], key)) i++;
    if (i == n) return moon_plan_unknown("field", key, names + 7, n - 7);
  }
  return moon_ok();
}

static moon_status read_args(const reader *r, moon_policy *out) {
  MOON_TRY(check_keys(r, out->op));
  MOON_TRY(read_reason(r, &out->text));
  MOON_TRY(read_micros(r, "starts_us", INT64_MIN, INT64_MIN, &out->starts));
  MOON_TRY(read_micros(r, "ends_us", INT64_MAX, INT64_MIN, &out->ends));
  for (const moon_field *f = out->op->fields; f->name; f++) MOON_TRY(read_field(r, f));
  return out->op->check ? out->op->check(r->args, r->source->bundle) : moon_ok();
}

static moon_status find_op(const char *name, const moon_operator **out) {
  size_t n;
  const moon_operator *const *all = moon_operators(&n);
  const char *names[64];
  *out = moon_operator_find(name);
  if (*out) return moon_ok();
  for (size_t i = 0; i < n && i < 64; i++) names[i] = all[i]->name;
  return moon_plan_unknown("policy", name, names, n < 64 ? n : 64);
}

moon_status moon_policy_read(const json_t *json, const moon_policy_source *source, moon_policy *out) {
  const char *op;
  reader r = {.source = source, .object = json};
  MOON_TRY(moon_plan_text(source->memory, json, "op", NULL, &op));
  MOON_TRY(find_op(op, &out->op));
  MOON_TRY(moon_plan_text(source->memory, json, "label", op, &out->label));
  r.args = moon_arena_calloc(source->memory, out->op->size + 1);
  if (!r.args) return no_memory();
  out->args = r.args;
  return moon_wrap(read_args(&r, out), "%.100s", out->label);
}

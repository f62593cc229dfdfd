/* lab.c - rows of a test become tables, tables become state, state becomes named features.
 *
 * A lab is bound anew for each question: it has a handful of items, and so neither an item nor a user that came since can be missed. */
#include "script/lab.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "feature/feature.h"

struct moon_lab {
  const json_t *recipe;
  bool listed; /* the items are those of the test, and no others */
  moon_catalogue *catalogue;
  moon_feature_plan *plan;
  moon_state *state;
};

static moon_status no_memory(void) {
  return moon_fail(MOON_ENOMEM, "no memory for a test");
}

static const char *text_in(const json_t *object, const char *key) {
  return json_string_value(json_object_get(object, key));
}

/* ---- rows ------------------------------------------------------------------------------------------------------------------- */

static bool mentions(const json_t *list, const char *text) {
  const json_t *entry;
  size_t i;
  json_array_foreach(list, i, entry) if (json_is_string(entry) && !strcmp(json_string_value(entry), text)) return true;
  return false;
}

static bool names(const json_t *feature, const char *key, const char *text) {
  const char *value = text_in(feature, key);
  return value && !strcmp(value, text);
}

/* What the features that read a column of the items want it to be: a few rows would not always tell. */
static const char *wanted_type(const json_t *features, const char *column) {
  const json_t *feature;
  size_t i;
  json_array_foreach(features, i, feature) {
    bool reads = names(feature, "column", column) && !names(feature, "op", "position");
    if (reads && names(feature, "op", "numeric")) return "number";
    if (reads && names(feature, "op", "age")) return "time";
    if (reads || names(feature, "by", column) || mentions(json_object_get(feature, "columns"), column)) return "string";
    const char *inner = wanted_type(json_object_get(feature, "inputs"), column); /* of a formula */
    if (inner) return inner;
  }
  return NULL;
}

static moon_status no_column(const moon_read_column *columns, size_t n, size_t row, const char *key) {
  const char **known = moon_alloc(n * sizeof *known), *near = NULL;
  for (size_t i = 0; known && i < n; i++) known[i] = columns[i].name;
  if (known) near = moon_nearest(key, known, n);
  moon_free(known);
  return moon_fail(MOON_EINVAL, "row %zu: there is no column '%.100s'%s%s%s", row, key, near ? "; did you mean '" : "",
                   near ? near : "", near ? "'?" : "");
}

/* A row as a line, with nulls for what it lacks. */
static moon_status write_row(json_t *row, size_t number, const moon_read_column *columns, size_t n, moon_buf *out) {
  const char *key;
  json_t *value;
  if (!json_is_object(row)) return moon_fail(MOON_EINVAL, "row %zu is not a table of columns", number);
  json_object_foreach(row, key, value) {
    size_t i = 0;
    while (i < n && strcmp(columns[i].name, key)) i++;
    if (i == n) return no_column(columns, n, number, key);
  }
  for (size_t i = 0; i < n; i++)
    if (!json_object_get(row, columns[i].name) && json_object_set_new(row, columns[i].name, json_null())) return no_memory();
  char *line = json_dumps(row, JSON_COMPACT);
  if (!line) return no_memory();
  moon_buf_puts(out, line);
  moon_buf_puts(out, "\n");
  free(line);
  return out->failed ? no_memory() : moon_ok();
}

static moon_status read_rows(const char *name, json_t *rows, const moon_read_column *columns, size_t n, const json_t *missing,
                             moon_table **out) {
  size_t count = json_array_size(missing);
  const char **texts = moon_calloc(count, sizeof *texts);
  moon_buf lines = {0};
  moon_read_report report = {0};
  moon_status status = texts ? moon_ok() : no_memory();
  for (size_t i = 0; i < count && !status.code; i++) texts[i] = json_string_value(json_array_get(missing, i));
  for (size_t i = 0; i < json_array_size(rows) && !status.code; i++)
    status = moon_wrap(write_row(json_array_get(rows, i), i + 1, columns, n, &lines), "%s", name);
  const moon_input input = {.bytes = lines.n ? lines.data : "", .n = lines.n, .name = name};
  const moon_read_options options = {
      .columns = columns, .column_count = n, .max_bad_rows = SIZE_MAX, .missing = texts, .missing_count = count};
  if (!status.code) status = moon_jsonl_read(&input, 1, &options, out, &report);
  if (!status.code && report.bad_rows) {
    moon_table_free(*out);
    *out = NULL;
    status = moon_fail(MOON_EFORMAT, "%s", report.first_bad[0]);
  }
  moon_buf_free(&lines);
  moon_free(texts);
  return status;
}

/* Rows by the names that a source of the recipe gives its columns. features: whose needs say a type where the source does not. */
static moon_status read_source(const char *name, json_t *rows, const json_t *source, const json_t *features, moon_table **out) {
  const json_t *list = json_object_get(source, "columns");
  size_t n = json_array_size(list);
  moon_read_column *columns = moon_calloc(n, sizeof *columns);
  if (!columns) return no_memory();
  for (size_t i = 0; i < n; i++) {
    const json_t *column = json_array_get(list, i);
    const char *called = text_in(column, "name"), *type = text_in(column, "type");
    columns[i] = (moon_read_column){called, called, type || !features ? type : wanted_type(features, called)};
  }
  moon_status status = read_rows(name, rows, columns, n, json_object_get(source, "missing"), out);
  moon_free(columns);
  return status;
}

/* ---- a lab's life ----------------------------------------------------------------------------------------------------------- */

static moon_status read_items(moon_lab *lab, json_t *items, const moon_preprocess_options *reach) {
  const json_t *source = json_object_get(json_object_get(lab->recipe, "sources"), "items");
  moon_table *table = NULL;
  lab->listed = items != NULL;
  if (items && !source) return moon_fail(MOON_EINVAL, "the recipe has no items = ..., so a test of it has none either");
  if (source) MOON_TRY(read_source("items", items, source, json_object_get(lab->recipe, "features"), &table));
  /* Columns that functions of the recipe make of the items. */
  moon_status status = table ? moon_preprocess(json_object_get(lab->recipe, "item_columns"), table, reach, NULL) : moon_ok();
  if (!status.code) return moon_catalogue_new(table, &lab->catalogue);
  moon_table_free(table);
  return status;
}

static moon_status build(moon_lab *lab, json_t *items, const moon_preprocess_options *reach) {
  MOON_TRY(read_items(lab, items, reach));
  MOON_TRY(moon_feature_plan_of(lab->recipe, lab->catalogue, &lab->plan));
  return moon_state_new(lab->plan, &lab->state);
}

moon_status moon_lab_new(const json_t *plan, json_t *items, const moon_preprocess_options *reach, moon_lab **out) {
  *out = NULL;
  moon_lab *lab = moon_calloc(1, sizeof *lab);
  if (!lab) return no_memory();
  lab->recipe = plan;
  moon_status status = build(lab, items, reach);
  if (status.code)
    moon_lab_free(lab);
  else
    *out = lab;
  return status;
}

void moon_lab_free(moon_lab *lab) {
  if (!lab) return;
  moon_state_free(lab->state);
  moon_feature_plan_free(lab->plan);
  moon_catalogue_free(lab->catalogue);
  moon_free(lab);
}

size_t moon_lab_work(const moon_lab *lab) {
  return (moon_catalogue_rows(lab->catalogue) + moon_state_users(lab->state) + 1) * lab->plan->feature_count;
}

/* ---- events ----------------------------------------------------------------------------------------------------------------- */

static moon_status no_item(const moon_lab *lab, const char *id) {
  size_t n = moon_catalogue_rows(lab->catalogue);
  const char **known = moon_alloc((n + 1) * sizeof *known), *near = NULL;
  for (uint32_t i = 0; known && i < n; i++) known[i] = moon_catalogue_id(lab->catalogue, i);
  if (known && n) near = moon_nearest(id, known, n);
  moon_free(known);
  return moon_fail(MOON_ENOTFOUND, "there is no item '%.100s' among the test's items%s%s%s", id, near ? "; did you mean '" : "",
                   near ? near : "", near ? "'?" : "");
}

/* The row of an item; where the test lists none, any id is one. */
static moon_status find_item(moon_lab *lab, const char *id, size_t n, uint32_t *row) {
  MOON_TRY(moon_catalogue_row(lab->catalogue, id, n, !lab->listed, row));
  return *row == MOON_NONE ? no_item(lab, id) : moon_ok();
}

static moon_status check_items(moon_lab *lab, const moon_table *events) {
  const moon_column *items = moon_table_column(events, "item");
  uint32_t row;
  for (size_t i = 0; items && items->type == MOON_STRING && i < events->rows; i++) {
    const char *id = moon_column_text(items, i);
    if (id) MOON_TRY(find_item(lab, id, strlen(id), &row));
  }
  return moon_ok();
}

static moon_status apply(moon_lab *lab, const moon_log *log) {
  for (size_t i = 0; i < log->n; i++) {
    const moon_event *e = &log->events[i];
    uint32_t user, kind;
    MOON_TRY(
        moon_state_user(lab->state, moon_dict_text(log->users, e->user), moon_dict_length(log->users, e->user), true, &user));
    MOON_TRY(
        moon_state_kind(lab->state, moon_dict_text(log->kinds, e->kind), moon_dict_length(log->kinds, e->kind), true, &kind));
    MOON_TRY(moon_state_apply(lab->state, user, e->item, kind, e->time));
  }
  return moon_ok();
}

/* Takes the table over. */
static moon_status fold_in(moon_lab *lab, moon_table *events) {
  moon_log *log = NULL;
  moon_status status = check_items(lab, events);
  if (status.code || !events->rows) {
    moon_table_free(events);
    return status;
  }
  MOON_TRY(moon_log_new(events, lab->catalogue, &log));
  status = apply(lab, log);
  moon_log_free(log);
  return status;
}

moon_status moon_lab_events(moon_lab *lab, json_t *rows) {
  static const moon_read_column columns[] = {
      {"user", "user", "string"}, {"item", "item", "string"}, {"event", "event", "string"}, {"time", "time", "time_us"}};
  moon_table *table = NULL;
  json_t *row;
  size_t i;
  json_array_foreach(rows, i, row) {
    bool plain = json_is_object(row) && !json_object_get(row, "event");
    if (plain && json_object_set_new(row, "event", json_string("event"))) return no_memory();
  }
  MOON_TRY(read_rows("events", rows, columns, sizeof columns / sizeof *columns, NULL, &table));
  return fold_in(lab, table);
}

moon_status moon_lab_log(moon_lab *lab, json_t *rows, const moon_preprocess_options *reach, size_t *kept) {
  const json_t *source = json_object_get(json_object_get(lab->recipe, "sources"), "events");
  moon_table *table = NULL;
  *kept = 0;
  MOON_TRY(read_source("events", rows, source, NULL, &table));
  moon_status status = moon_preprocess(json_object_get(lab->recipe, "preprocess"), table, reach, NULL);
  if (status.code) {
    moon_table_free(table);
    return status;
  }
  size_t left = table->rows;
  MOON_TRY(fold_in(lab, table));
  *kept = left;
  return moon_ok();
}

/* ---- what features know ------------------------------------------------------------------------------------------------------ */

/* The vocabularies of one question, and their texts by id. */
typedef struct known {
  moon_vocab **vocabs; /* [feature_count] */
  json_t **texts;      /* [feature_count] */
} known;

static moon_status add_column(const moon_lab *lab, const moon_feature *f, moon_vocab *vocab) {
  const moon_column *column = moon_table_column(lab->catalogue->table, f->column);
  for (size_t row = 0; row < column->n; row++) {
    const char *text = moon_column_text(column, row);
    if (text && f->op != MOON_FEATURE_TAGS) MOON_TRY(moon_vocab_add(vocab, text, strlen(text)));
    for (moon_pieces p = moon_pieces_of(f, text ? text : ""); f->op == MOON_FEATURE_TAGS && moon_pieces_next(&p);)
      MOON_TRY(moon_vocab_add(vocab, p.text, p.n));
  }
  return moon_ok();
}

static moon_status add_ids(const moon_lab *lab, bool of_user, moon_vocab *vocab) {
  size_t n = of_user ? moon_state_users(lab->state) : moon_catalogue_rows(lab->catalogue);
  for (uint32_t i = 0; i < n; i++) {
    const char *id = of_user ? moon_state_user_id(lab->state, i) : moon_catalogue_id(lab->catalogue, i);
    MOON_TRY(moon_vocab_add(vocab, id, strlen(id)));
  }
  return moon_ok();
}

static moon_status know(const moon_lab *lab, size_t f, known *k) {
  const moon_feature *feature = &lab->plan->features[f];
  if (!moon_feature_learns(feature)) return moon_ok();
  MOON_TRY(moon_vocab_new(&k->vocabs[f]));
  if (!feature->texts || feature->op == MOON_FEATURE_TFIDF) return moon_ok(); /* weights are fitted: it stays empty */
  MOON_TRY(feature->column ? add_column(lab, feature, k->vocabs[f]) : add_ids(lab, feature->of_user, k->vocabs[f]));
  k->texts[f] = moon_vocab_json(k->vocabs[f]);
  return k->texts[f] ? moon_ok() : no_memory();
}

static moon_status know_all(const moon_lab *lab, known *k) {
  size_t n = lab->plan->feature_count;
  k->vocabs = moon_calloc(n, sizeof *k->vocabs);
  k->texts = moon_calloc(n, sizeof *k->texts);
  if (!k->vocabs || !k->texts) return no_memory();
  for (size_t f = 0; f < n; f++) MOON_TRY(know(lab, f, k));
  return moon_ok();
}

static void forget(const moon_lab *lab, known *k) {
  for (size_t f = 0; f < lab->plan->feature_count; f++) {
    if (k->vocabs) moon_vocab_free(k->vocabs[f]);
    if (k->texts) json_decref(k->texts[f]);
  }
  moon_free(k->vocabs);
  moon_free(k->texts);
}

/* ---- cells become values ---------------------------------------------------------------------------------------------------- */

/* Takes the value over. A second feature of the same name is "name.2". */
static moon_status put(json_t *out, const char *name, json_t *value) {
  moon_buf numbered = {0};
  for (int i = 2; json_object_get(out, numbered.n ? numbered.data : name); i++) {
    moon_buf_reset(&numbered);
    moon_buf_printf(&numbered, "%s.%d", name, i);
    if (numbered.failed) break;
  }
  bool fine = !numbered.failed && value && !json_object_set_new(out, numbered.n ? numbered.data : name, value);
  if (numbered.failed) json_decref(value);
  moon_buf_free(&numbered);
  return fine ? moon_ok() : no_memory();
}

/* The shortest number that is the same float: 0.05 and not 0.0500000007. */
static json_t *number_json(float x) {
  if (!isfinite(x)) return json_null();
  int magnitude = x == 0 ? 0 : (int)floor(log10(fabs((double)x)));
  for (int digits = 6; digits < 9; digits++) {
    double scale = pow(10, digits - 1 - magnitude), rounded = round(x * scale) / scale;
    if ((float)rounded == x) return json_real(rounded);
  }
  return json_real(x);
}

/* An id of feature f: its text where there is one, else its number, as of a bucket; 0 is none but among buckets of numbers. */
static json_t *id_json(const moon_feature_plan *plan, const known *k, size_t f, uint32_t id) {
  if (!id && (k->texts[f] || plan->features[f].hash)) return json_null();
  if (k->texts[f]) return json_incref(json_array_get(k->texts[f], id - 1));
  return json_integer(id);
}

static moon_status put_id(const moon_feature_plan *plan, const known *k, size_t f, uint32_t id, json_t *out) {
  const moon_feature *feature = &plan->features[f];
  float unfitted;
  memcpy(&unfitted, &id, sizeof unfitted);
  if (moon_feature_fitted(feature)) return put(out, feature->name, number_json(unfitted));
  bool hour = feature->op == MOON_FEATURE_CLOCK && !strcmp(feature->name, "hour"); /* its buckets count from 1 */
  return put(out, feature->name, id_json(plan, k, f, hour ? id - 1 : id));
}

static moon_status put_bag(const moon_feature_plan *plan, const known *k, size_t f, const uint32_t *ids, json_t *out) {
  const moon_feature *feature = &plan->features[f];
  size_t from = feature->op == MOON_FEATURE_HISTORY && feature->shares != SIZE_MAX ? feature->shares : f;
  json_t *list = json_array();
  for (size_t i = 0; list && i < plan->bag_length && ids[i]; i++)
    if (json_array_append_new(list, id_json(plan, k, from, ids[i]))) {
      json_decref(list);
      return no_memory();
    }
  return put(out, feature->name, list);
}

static moon_status put_values(const moon_lab *lab, const known *k, const moon_inputs *in, json_t *out) {
  const moon_feature_plan *plan = lab->plan;
  for (size_t f = 0; f < plan->feature_count; f++) {
    const moon_feature *feature = &plan->features[f];
    if (feature->kind == MOON_KIND_ID) MOON_TRY(put_id(plan, k, f, in->ids[feature->slot], out));
    if (feature->kind == MOON_KIND_BAG) MOON_TRY(put_bag(plan, k, f, in->bags + feature->slot * plan->bag_length, out));
    for (size_t w = 0; feature->kind == MOON_KIND_NUMBER && feature->op != MOON_FEATURE_TFIDF && w < feature->width; w++)
      MOON_TRY(put(out, plan->dense_names[feature->slot + w], number_json(in->dense[feature->slot + w])));
  }
  return moon_ok();
}

/* ---- a question ------------------------------------------------------------------------------------------------------------- */

typedef struct question {
  const char *user_text;
  uint32_t user, item;
  int64_t at;
  float *positions; /* [position_count] */
} question;

static moon_status read_positions(const moon_lab *lab, const json_t *query, moon_arena *arena, question *q) {
  q->positions = moon_arena_alloc(arena, (lab->plan->position_count + 1) * sizeof *q->positions);
  if (!q->positions) return no_memory();
  for (size_t f = 0; f < lab->plan->feature_count; f++) {
    const moon_feature *feature = &lab->plan->features[f];
    if (feature->op != MOON_FEATURE_POSITION) continue;
    const json_t *value = json_object_get(query, feature->column);
    if (value && !json_is_number(value)) return moon_fail(MOON_EINVAL, "%s is a number of the event", feature->column);
    q->positions[feature->position] = value ? (float)json_number_value(value) : NAN;
  }
  return moon_ok();
}

static moon_status check_keys(const moon_lab *lab, const json_t *query) {
  const char *key;
  json_t *value;
  json_object_foreach((json_t *)query, key, value) {
    const char **allowed = moon_alloc((3 + lab->plan->feature_count) * sizeof *allowed);
    if (!allowed) return no_memory();
    allowed[0] = "user", allowed[1] = "item", allowed[2] = "at";
    size_t n = 3, i = 0;
    for (size_t f = 0; f < lab->plan->feature_count; f++)
      if (lab->plan->features[f].op == MOON_FEATURE_POSITION) allowed[n++] = lab->plan->features[f].column;
    while (i < n && strcmp(allowed[i], key)) i++;
    const char *near = moon_nearest(key, allowed, n);
    moon_free(allowed);
    if (i == n)
      return moon_fail(MOON_EINVAL, "unknown option '%.100s'%s%s%s", key, near ? "; did you mean '" : "", near ? near : "",
                       near ? "'?" : "");
  }
  return moon_ok();
}

static moon_status read_time(const moon_lab *lab, const json_t *at, question *q) {
  bool began = moon_state_events(lab->state) > 0;
  int64_t newest = moon_state_clock(lab->state);
  if (!at && !began) return moon_fail(MOON_EINVAL, "'at' is missing: there was no event yet that could say when now is");
  q->at = at ? json_integer_value(at) : newest;
  if (!began || q->at >= newest) return moon_ok();
  char asked[32], last[32];
  moon_time_format(q->at, asked);
  moon_time_format(newest, last);
  return moon_fail(MOON_EINVAL, "at %s is before the newest event (%s): ask first, then let it happen, as training does", asked,
                   last);
}

static moon_status read_query(moon_lab *lab, const json_t *query, moon_arena *arena, question *q) {
  const char *item = text_in(query, "item");
  q->user_text = text_in(query, "user");
  q->user = MOON_NONE;
  MOON_TRY(check_keys(lab, query));
  if (!item) return moon_fail(MOON_EINVAL, "'item' is missing");
  MOON_TRY(read_time(lab, json_object_get(query, "at"), q));
  MOON_TRY(read_positions(lab, query, arena, q));
  if (q->user_text) MOON_TRY(moon_state_user(lab->state, q->user_text, strlen(q->user_text), false, &q->user));
  return find_item(lab, item, strlen(item), &q->item);
}

static moon_status answer(const moon_lab *lab, const question *q, const known *k, moon_arena *arena, json_t *out) {
  moon_features *features = NULL;
  moon_inputs inputs;
  MOON_TRY(moon_inputs_alloc(lab->plan, arena, 1, &inputs));
  MOON_TRY(moon_features_bind(lab->plan, lab->catalogue, k->vocabs, &features));
  moon_features_compute_at(features, lab->state, q->user, q->user_text, q->item, q->at, q->positions, &inputs, 0);
  moon_features_free(features);
  return put_values(lab, k, &inputs, out);
}

moon_status moon_lab_features(moon_lab *lab, const json_t *query, json_t **out) {
  moon_arena arena = {0};
  known k = {0};
  question q;
  json_t *values = json_object();
  moon_status status = values ? read_query(lab, query, &arena, &q) : no_memory();
  if (!status.code) status = know_all(lab, &k);
  if (!status.code) status = answer(lab, &q, &k, &arena, values);
  forget(lab, &k);
  moon_arena_free(&arena);
  *out = status.code ? NULL : values;
  if (status.code) json_decref(values);
  return status;
}

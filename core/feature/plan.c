/* plan.c - a recipe's list of features, checked once and laid out in slots.
 *
 * Slots are given in the recipe's order: a dense slot for every number, an id slot for every embedding, a bag slot for every
 * history. Features that count the same kinds of events of the same entity share one counter, as wide as the widest window
 * asked of it. What goes into a formula is a feature without slots, behind all others. */
#include <math.h>
#include <string.h>

#include "feature/formula.h"
#include "feature/plan.h"
#include "feature/state.h"

/* ---- the kinds of features ------------------------------------------------------------------------------------------------ */

static moon_status read_embedding(moon_plan_builder *b, moon_feature *f) {
  int64_t dim, min_count, hash;
  MOON_TRY(moon_recipe_whole(b, "dim", 1, 1024, 16, &dim));
  MOON_TRY(moon_recipe_whole(b, "min_count", 0, UINT32_MAX, 1, &min_count));
  MOON_TRY(moon_recipe_whole(b, "hash", 0, INT64_C(1) << 31, 0, &hash));
  f->kind = MOON_KIND_ID;
  if (hash == 1) return moon_fail(MOON_EINVAL, "hash must be 0 (no hashing) or at least 2 buckets, got 1");
  f->dim = (size_t)dim, f->min_count = (uint32_t)min_count, f->hash = (uint32_t)hash;
  f->rows = f->hash, f->texts = !f->hash;
  return moon_ok();
}

static moon_status read_id(moon_plan_builder *b, moon_feature *f) {
  f->slot = b->plan->id_slots++;
  return read_embedding(b, f);
}

/* Columns of the items; "user" is the user. */
static moon_status read_cross(moon_plan_builder *b, moon_feature *f) {
  const json_t *list = json_object_get(b->object, "columns");
  size_t n = json_array_size(list);
  if (n < 2 || n > 8) return moon_fail(MOON_EINVAL, "columns must be a list of 2 to 8, got %zu", n);
  f->columns = moon_calloc(n, sizeof *f->columns);
  if (!f->columns) return moon_recipe_no_memory();
  for (size_t i = 0; i < n; i++) {
    const json_t *name = json_array_get(list, i);
    const char *text = json_string_value(name);
    if (text && !strcmp(text, "user"))
      f->of_user = true;
    else
      MOON_TRY(moon_recipe_string_column(b, name, f->name, &f->columns[f->column_count++]));
  }
  if (!f->column_count) return moon_fail(MOON_EINVAL, "columns must name a column of the items");
  MOON_TRY(read_id(b, f));
  return f->hash ? moon_ok() : moon_fail(MOON_EINVAL, "a cross needs hash buckets");
}

static moon_status copy_maybe(const moon_plan_builder *b, const char *key, char **out) {
  const json_t *value = json_object_get(b->object, key);
  return value ? moon_recipe_text(value, key, out) : moon_ok();
}

/* Vectors that a checkpoint makes of the items' texts. */
static moon_status read_checkpoint(moon_plan_builder *b, moon_feature *f) {
  int64_t most;
  const char *pooling = json_string_value(json_object_get(b->object, "pooling"));
  MOON_TRY(moon_recipe_text(json_object_get(b->object, "checkpoint"), "checkpoint", &f->file));
  MOON_TRY(moon_recipe_string_column(b, json_object_get(b->object, "text"), f->name, &f->text));
  MOON_TRY(moon_recipe_whole(b, "max_length", 0, UINT16_MAX, 0, &most));
  f->cls = pooling && !strcmp(pooling, "cls"), f->normalize = json_is_true(json_object_get(b->object, "normalize"));
  f->max_length = (size_t)most;
  return f->of_user ? moon_fail(MOON_EINVAL, "%s: only items have texts", f->name) : moon_ok();
}

static moon_status read_matrix(moon_plan_builder *b, moon_feature *f) {
  MOON_TRY(moon_recipe_text(json_object_get(b->object, "file"), "file", &f->file));
  MOON_TRY(moon_recipe_text(json_object_get(b->object, "ids"), "ids", &f->ids));
  return copy_maybe(b, "tensor", &f->tensor);
}

static moon_status read_file(moon_plan_builder *b, moon_feature *f) {
  const json_t *freeze = json_object_get(b->object, "freeze");
  MOON_TRY(moon_recipe_entity(b, &f->of_user));
  MOON_TRY(json_object_get(b->object, "checkpoint") ? read_checkpoint(b, f) : read_matrix(b, f));
  f->freeze = !freeze || json_is_true(freeze);
  MOON_TRY(read_id(b, f));
  return f->hash ? moon_fail(MOON_EINVAL, "vectors of a file are not hashed") : moon_ok();
}

/* Dense slots of its own, not by way of moon_recipe_number: there is nothing to step over. */
static moon_status read_tfidf(moon_plan_builder *b, moon_feature *f) {
  int64_t dim, min_count;
  MOON_TRY(moon_recipe_string_column(b, json_object_get(b->object, "column"), f->name, &f->column));
  MOON_TRY(copy_maybe(b, "separator", &f->separator));
  MOON_TRY(moon_recipe_whole(b, "dim", 1, 1024, 16, &dim));
  MOON_TRY(moon_recipe_whole(b, "min_count", 1, UINT32_MAX, 1, &min_count));
  f->width = (size_t)dim, f->min_count = (uint32_t)min_count, f->texts = true;
  f->slot = b->plan->dense_slots;
  for (size_t i = 0; i < f->width; i++) {
    moon_buf name = {0};
    moon_buf_printf(&name, "%s.%zu", f->name, i);
    MOON_TRY(moon_recipe_name_dense(b, &name));
  }
  return moon_ok();
}

/* The bag of an item's parts has a table of its own. */
static moon_status read_tags(moon_plan_builder *b, moon_feature *f) {
  int64_t most;
  MOON_TRY(moon_recipe_string_column(b, json_object_get(b->object, "column"), f->name, &f->column));
  MOON_TRY(copy_maybe(b, "separator", &f->separator));
  MOON_TRY(moon_recipe_whole(b, "max", 1, 256, 8, &most));
  MOON_TRY(read_embedding(b, f));
  f->kind = MOON_KIND_BAG, f->last = (size_t)most;
  if (f->last > b->plan->bag_length) b->plan->bag_length = f->last;
  f->slot = b->plan->bag_slots++;
  return moon_ok();
}

static moon_status read_numeric(moon_plan_builder *b, moon_feature *f) {
  MOON_TRY(moon_recipe_number_column(b, json_object_get(b->object, "column"), f->name, &f->column));
  return moon_recipe_number(b, f);
}

static moon_status read_relative(moon_plan_builder *b, moon_feature *f) {
  MOON_TRY(moon_recipe_string_column(b, json_object_get(b->object, "by"), f->name, &f->by));
  return read_numeric(b, f);
}

static moon_status read_age(moon_plan_builder *b, moon_feature *f) {
  moon_column *column;
  MOON_TRY(moon_recipe_text(json_object_get(b->object, "column"), "column", &f->column));
  MOON_TRY(moon_table_require(b->catalogue->table, f->column, &column));
  if (column->type == MOON_TIME) return moon_recipe_number(b, f);
  return moon_fail(MOON_EINVAL, "column %s of %s holds no times; %s needs times: name it \"%s:time\"", f->column,
                   b->catalogue->table->name, f->name, f->column);
}

static moon_status read_clock(moon_plan_builder *b, moon_feature *f) {
  static const char *const units[] = {"hour", "weekday"};
  const char *unit = json_string_value(json_object_get(b->object, "unit"));
  size_t at = moon_recipe_place(unit, units, 2);
  if (at == 2) return moon_recipe_unknown("clock", unit, units, 2);
  f->weekday = at == 1;
  const json_t *zone = json_object_get(b->object, "zone");
  if (zone && !json_is_string(zone)) return moon_fail(MOON_EINVAL, "zone must be a text");
  if (zone) MOON_TRY(moon_zone_parse(json_string_value(zone), &f->zone));
  MOON_TRY(moon_recipe_whole(b, "zone_us", -86400 * MOON_SECOND, 86400 * MOON_SECOND, 0, &f->span));
  return moon_recipe_number(b, f);
}

/* The column is the events', which are not known here. */
static moon_status read_position(moon_plan_builder *b, moon_feature *f) {
  const json_t *serving = json_object_get(b->object, "serving");
  MOON_TRY(moon_recipe_text(json_object_get(b->object, "column"), "column", &f->column));
  f->serving = serving ? json_number_value(serving) : 0;
  if (serving && (!json_is_number(serving) || !isfinite(f->serving))) return moon_fail(MOON_EINVAL, "serving must be a number");
  f->position = b->plan->position_count++;
  return moon_recipe_number(b, f);
}

static moon_status read_history(moon_plan_builder *b, moon_feature *f) {
  int64_t last;
  MOON_TRY(moon_recipe_whole(b, "last", 1, MOON_MOST_HISTORY, 50, &last));
  MOON_TRY(moon_recipe_kinds(b, "kinds", &f->kinds, &f->kind_count));
  f->last = (size_t)last, f->kind = MOON_KIND_BAG, f->shares = SIZE_MAX;
  if (json_object_get(b->object, "of"))
    MOON_TRY(moon_recipe_text(json_object_get(b->object, "of"), "of", &f->of));
  else if (!(f->of = moon_strdup("item")))
    return moon_recipe_no_memory();
  if (!strcmp(f->of, "gap")) {
    MOON_TRY(moon_recipe_whole(b, "dim", 1, 1024, 16, &last));
    f->dim = (size_t)last, f->rows = MOON_GAPS + 1;
  }
  if (f->last > b->plan->bag_length) b->plan->bag_length = f->last;
  f->slot = b->plan->bag_slots++;
  return moon_ok();
}

/* What the items' column holds says what it is: numbers, or texts with an embedding. */
static moon_status read_column(moon_plan_builder *b, moon_feature *f) {
  moon_column *column;
  const char *name = json_string_value(json_object_get(b->object, "column"));
  MOON_TRY(moon_table_require(b->catalogue->table, name ? name : "", &column));
  bool text = column->type == MOON_STRING && f->kind != MOON_KIND_INSIDE && !json_object_get(b->object, "steps");
  f->op = text ? MOON_FEATURE_CATEGORY : MOON_FEATURE_NUMERIC;
  if (!text) return read_numeric(b, f);
  MOON_TRY(moon_recipe_string_column(b, json_object_get(b->object, "column"), f->name, &f->column));
  return read_id(b, f);
}

static moon_status read_one(moon_plan_builder *b, moon_feature *f, const json_t *object, moon_feature_kind kind);

/* Its inputs become features behind all others, where room was made for them. */
static moon_status read_formula(moon_plan_builder *b, moon_feature *f) {
  const json_t *object = b->object, *list = json_object_get(object, "inputs");
  f->input_count = json_array_size(list);
  if (!f->input_count || f->input_count > MOON_FORMULA_INPUTS)
    return moon_fail(MOON_EINVAL, "inputs must be a list of 1 to %d numbers, got %zu", MOON_FORMULA_INPUTS, f->input_count);
  for (size_t i = 0; i < f->input_count; i++) {
    f->inputs[i] = b->plan->feature_count++;
    MOON_TRY(read_one(b, &b->plan->features[f->inputs[i]], json_array_get(list, i), MOON_KIND_INSIDE));
  }
  b->object = object;
  MOON_TRY(moon_formula_parse(json_object_get(object, "code"), f->input_count, &f->formula));
  return moon_recipe_number(b, f);
}

static bool is_number(moon_feature_op op) {
  return op >= MOON_FEATURE_NUMERIC && op <= MOON_FEATURE_POSITION;
}

static moon_status read_feature(moon_plan_builder *b, moon_feature *f) {
  static const char *const ops[] = {
      "id",   "embedding_file", "category",     "cross", "tags",  "tfidf",    "numeric", "relative", "count", "rate", "decay",
      "mean", "recency",        "cooccurrence", "age",   "clock", "position", "formula", "history",  "column"}; /* in moon_feature_op's order; a column is of two kinds */
  enum { OPS = sizeof ops / sizeof *ops };
  const char *op = json_string_value(json_object_get(b->object, "op"));
  size_t i = moon_recipe_place(op, ops, OPS);
  if (i == OPS) return moon_recipe_unknown("feature", op, ops, OPS);
  f->op = (moon_feature_op)i, f->width = 1;
  MOON_TRY(moon_recipe_text(json_object_get(b->object, "name"), "a feature's name", &f->name));
  if (i == OPS - 1) return read_column(b, f);
  if (f->kind == MOON_KIND_INSIDE && !is_number(f->op))
    return moon_fail(MOON_EINVAL, "%s cannot go into a formula: only numbers can", f->name);
  switch (f->op) {
    case MOON_FEATURE_ID:
      MOON_TRY(moon_recipe_entity(b, &f->of_user));
      return read_id(b, f);
    case MOON_FEATURE_CATEGORY:
      MOON_TRY(moon_recipe_string_column(b, json_object_get(b->object, "column"), f->name, &f->column));
      return read_id(b, f);
    case MOON_FEATURE_CROSS:
      return read_cross(b, f);
    case MOON_FEATURE_FILE:
      return read_file(b, f);
    case MOON_FEATURE_TAGS:
      return read_tags(b, f);
    case MOON_FEATURE_TFIDF:
      return read_tfidf(b, f);
    case MOON_FEATURE_NUMERIC:
      return read_numeric(b, f);
    case MOON_FEATURE_RELATIVE:
      return read_relative(b, f);
    case MOON_FEATURE_COUNT:
    case MOON_FEATURE_RATE:
    case MOON_FEATURE_DECAY:
    case MOON_FEATURE_MEAN:
    case MOON_FEATURE_RECENCY:
    case MOON_FEATURE_TOGETHER:
      return moon_recipe_past(b, f);
    case MOON_FEATURE_AGE:
      return read_age(b, f);
    case MOON_FEATURE_CLOCK:
      return read_clock(b, f);
    case MOON_FEATURE_POSITION:
      return read_position(b, f);
    case MOON_FEATURE_FORMULA:
      return read_formula(b, f);
    case MOON_FEATURE_HISTORY:
      return read_history(b, f);
  }
  return moon_ok();
}

/* An object of the recipe into the feature, with the line where it stands. */
static moon_status read_one(moon_plan_builder *b, moon_feature *f, const json_t *object, moon_feature_kind kind) {
  const char *where = json_string_value(json_object_get(object, "where"));
  b->object = object;
  f->kind = kind;
  f->where = moon_strdup(where ? where : "recipe");
  return f->where ? read_feature(b, f) : moon_recipe_no_memory();
}

/* The first feature whose table a history of `of` may share; SIZE_MAX: none. */
static size_t table_of(const moon_feature_plan *plan, const char *of) {
  for (size_t i = 0; i < plan->feature_count; i++) {
    const moon_feature *f = &plan->features[i];
    if (f->op == MOON_FEATURE_ID && !f->of_user && !strcmp(of, "item")) return i;
    if (f->op == MOON_FEATURE_CATEGORY && !strcmp(of, f->column)) return i;
  }
  return SIZE_MAX;
}

static moon_status share_tables(moon_feature_plan *plan) {
  for (size_t i = 0; i < plan->feature_count; i++) {
    moon_feature *f = &plan->features[i];
    if (f->op != MOON_FEATURE_HISTORY || f->dim) continue;
    f->shares = table_of(plan, f->of);
    if (f->shares != SIZE_MAX) continue;
    if (!strcmp(f->of, "item"))
      return moon_fail(MOON_EINVAL, "%s: %s shares the embeddings of the item's id: add that feature", f->where, f->name);
    return moon_fail(MOON_EINVAL, "%s: %s shares the embeddings of the category %s: add that feature", f->where, f->name, f->of);
  }
  return moon_ok();
}

static moon_status read_features(moon_plan_builder *b, const json_t *features) {
  for (size_t i = 0; i < json_array_size(features); i++) {
    moon_feature *f = &b->plan->features[i];
    moon_status status = read_one(b, f, json_array_get(features, i), MOON_KIND_NUMBER);
    if (status.code) return moon_wrap(status, "%s", f->where ? f->where : "recipe");
  }
  return share_tables(b->plan);
}

/* How many features the list makes, those that go into formulas among them. */
static size_t count_features(const json_t *features) {
  size_t n = json_array_size(features), more = 0;
  for (size_t i = 0; i < n; i++) more += json_array_size(json_object_get(json_array_get(features, i), "inputs"));
  return n + more;
}

moon_status moon_feature_plan_new(const json_t *features, const moon_catalogue *catalogue, moon_feature_plan **out) {
  size_t n = json_array_size(features);
  if (!n) return moon_fail(MOON_EINVAL, "features must be a list of at least one feature");
  moon_feature_plan *plan = moon_calloc(1, sizeof *plan);
  if (plan) plan->features = moon_calloc(count_features(features), sizeof *plan->features);
  if (!plan || !plan->features) {
    moon_free(plan);
    return moon_recipe_no_memory();
  }
  plan->feature_count = n;
  moon_plan_builder b = {.plan = plan, .catalogue = catalogue};
  moon_status status = read_features(&b, features);
  if (status.code)
    moon_feature_plan_free(plan);
  else
    *out = plan;
  return status;
}

moon_status moon_feature_plan_of(const json_t *recipe, const moon_catalogue *catalogue, moon_feature_plan **out) {
  const json_t *state = json_object_get(recipe, "state");
  const char *where = json_string_value(json_object_get(state, "where"));
  int64_t ttl;
  MOON_TRY(moon_wrap(moon_recipe_whole_of(json_object_get(state, "ttl_us"), "ttl", 0, INT64_MAX, 0, &ttl), "%s", where ? where : "recipe"));
  MOON_TRY(moon_feature_plan_new(json_object_get(recipe, "features"), catalogue, out));
  (*out)->ttl = ttl;
  return moon_ok();
}

static void feature_free(moon_feature *f) {
  moon_free(f->name);
  moon_free(f->where);
  moon_free(f->column);
  moon_free(f->by);
  moon_free(f->separator);
  moon_free(f->of);
  moon_free(f->file);
  moon_free(f->ids);
  moon_free(f->tensor);
  moon_free(f->text);
  moon_recipe_texts_free(f->columns, f->column_count);
  moon_recipe_texts_free(f->kinds, f->kind_count);
  for (size_t s = 0; s < f->step_count; s++) moon_free(f->steps[s].numbers);
  moon_free(f->steps);
  moon_formula_free(f->formula);
  moon_zone_free(f->zone);
}

void moon_feature_plan_free(moon_feature_plan *plan) {
  if (!plan) return;
  for (size_t i = 0; i < plan->feature_count; i++) feature_free(&plan->features[i]);
  for (size_t i = 0; i < plan->dense_slots; i++) moon_free(plan->dense_names[i]);
  moon_recipe_past_free(plan);
  moon_free(plan->features);
  moon_free(plan->dense_names);
  moon_free(plan);
}

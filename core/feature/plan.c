/* plan.c - a recipe's list of features, checked once and laid out in slots.
 *
 * Slots are given in the recipe's order: a dense slot for every number, an id slot for every embedding, a bag slot for every
 * history. Features that count the same kinds of events of the same entity share one counter, as wide as the widest window
 * asked of it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "feature/state.h"

enum { MOST_WINDOWS = sizeof(((moon_feature *)0)->windows) / sizeof(int64_t) };

typedef struct builder {
  moon_feature_plan *plan;
  const moon_catalogue *catalogue;
  const json_t *object; /* the feature being read */
  size_t counter_cap, group_cap, name_cap;
} builder;

/* ---- fields of a feature's object ------------------------------------------------------------------------------------------ */

static moon_status no_memory(void) {
  return moon_fail(MOON_ENOMEM, "no memory for a feature plan");
}

static moon_status copy_text(const json_t *value, const char *what, char **out) {
  const char *text = json_string_value(value);
  if (!text || !*text || strlen(text) != json_string_length(value)) return moon_fail(MOON_EINVAL, "%s must be a text", what);
  *out = moon_strdup(text);
  return *out ? moon_ok() : no_memory();
}

static moon_status whole(const json_t *value, const char *what, int64_t low, int64_t high, int64_t otherwise, int64_t *out) {
  *out = value ? json_integer_value(value) : otherwise;
  if (value && !json_is_integer(value)) return moon_fail(MOON_EINVAL, "%s must be a whole number", what);
  if (*out >= low && *out <= high) return moon_ok();
  return moon_fail(MOON_EINVAL, "%s must be from %lld to %lld, got %lld", what, (long long)low, (long long)high, (long long)*out);
}

static moon_status read_whole(const builder *b, const char *key, int64_t low, int64_t high, int64_t otherwise, int64_t *out) {
  return whole(json_object_get(b->object, key), key, low, high, otherwise, out);
}

static moon_status unknown(const char *what, const char *name, const char *const *known, size_t n) {
  const char *near = name ? moon_nearest(name, known, n) : NULL;
  return moon_fail(MOON_EINVAL, "there is no %s '%.60s'%s%s%s", what, name ? name : "", near ? "; did you mean '" : "",
                   near ? near : "", near ? "'?" : "");
}

/* The place of a name in a list; n where it is not there. */
static size_t place(const char *name, const char *const *known, size_t n) {
  size_t i = 0;
  while (i < n && (!name || strcmp(known[i], name))) i++;
  return i;
}

static moon_status read_entity(const builder *b, bool *of_user) {
  static const char *const known[] = {"user", "item"};
  const char *entity = json_string_value(json_object_get(b->object, "entity")),
             *near = entity ? moon_nearest(entity, known, 2) : NULL;
  *of_user = entity && !strcmp(entity, "user");
  if (*of_user || (entity && !strcmp(entity, "item"))) return moon_ok();
  return moon_fail(MOON_EINVAL, "entity must be \"user\" or \"item\", got '%.60s'%s%s%s", entity ? entity : "nothing",
                   near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static int by_text(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static void kinds_free(char **kinds, size_t n) {
  for (size_t i = 0; kinds && i < n; i++) moon_free(kinds[i]);
  moon_free(kinds);
}

/* A set of kinds, sorted, so that equal sets compare equal. Missing or empty: every kind, NULL. */
static moon_status read_kinds(const builder *b, const char *key, char ***out, size_t *count) {
  const json_t *list = json_object_get(b->object, key);
  size_t n = json_array_size(list), kept = 0;
  if (list && !json_is_array(list)) return moon_fail(MOON_EINVAL, "%s must be a list of event kinds", key);
  if (!n) return moon_ok();
  char **kinds = moon_calloc(n, sizeof *kinds);
  moon_status status = kinds ? moon_ok() : no_memory();
  for (size_t i = 0; i < n && !status.code; i++) status = copy_text(json_array_get(list, i), "an event kind", &kinds[i]);
  if (status.code) {
    kinds_free(kinds, n);
    return status;
  }
  qsort(kinds, n, sizeof *kinds, by_text);
  for (size_t i = 0; i < n; i++) {
    if (kept && !strcmp(kinds[kept - 1], kinds[i]))
      moon_free(kinds[i]);
    else
      kinds[kept++] = kinds[i];
  }
  *out = kinds;
  *count = kept;
  return moon_ok();
}

static moon_status read_windows(const builder *b, moon_feature *f) {
  const json_t *list = json_object_get(b->object, "windows_us");
  f->window_count = json_array_size(list);
  if (!f->window_count || f->window_count > MOST_WINDOWS)
    return moon_fail(MOON_EINVAL, "windows_us must be a list of 1 to %d windows, got %zu", MOST_WINDOWS, f->window_count);
  for (size_t i = 0; i < f->window_count; i++)
    MOON_TRY(whole(json_array_get(list, i), "a window", 0, INT64_MAX, 0, &f->windows[i]));
  return moon_ok();
}

static moon_status read_prior(const builder *b, double prior[2]) {
  const json_t *list = json_object_get(b->object, "prior");
  prior[0] = 1, prior[1] = 20;
  if (!list) return moon_ok();
  for (size_t i = 0; i < 2; i++)
    prior[i] = json_is_number(json_array_get(list, i)) ? json_number_value(json_array_get(list, i)) : NAN;
  if (json_array_size(list) == 2 && isfinite(prior[0]) && isfinite(prior[1]) && prior[0] >= 0 && prior[1] > 0) return moon_ok();
  return moon_fail(MOON_EINVAL, "prior must be two numbers [a, b] with a >= 0 and b > 0");
}

/* ---- counters and slots ---------------------------------------------------------------------------------------------------- */

/* Numbers for the values of a column in order of first sight: the dictionary's codes may have gaps and change when it is saved. */
static moon_status number_values(const moon_column *column, moon_group_spec *group) {
  size_t codes = moon_dict_count(column->dict);
  uint32_t *number = moon_alloc((codes ? codes : 1) * sizeof *number);
  group->value = moon_alloc((column->n ? column->n : 1) * sizeof *group->value);
  if (!number || !group->value) {
    moon_free(number);
    return no_memory();
  }
  memset(number, 0xff, codes * sizeof *number);
  group->items = column->n;
  for (size_t row = 0; row < column->n; row++) {
    uint32_t code = column->code[row];
    if (code != MOON_NONE && number[code] == MOON_NONE) number[code] = (uint32_t)group->values++;
    group->value[row] = code == MOON_NONE ? MOON_NONE : number[code];
  }
  moon_free(number);
  return moon_ok();
}

static void group_free(moon_group_spec *group) {
  moon_free(group->column);
  moon_free(group->value);
}

static moon_status fill_group(const builder *b, const char *by, moon_group_spec *group) {
  moon_column *column;
  if (!strcmp(by, "item")) return moon_ok();
  group->column = moon_strdup(by);
  if (!group->column) return no_memory();
  MOON_TRY(moon_table_require(b->catalogue->table, by, &column));
  if (column->type == MOON_STRING) return number_values(column, group);
  return moon_fail(MOON_EINVAL, "column %s of %s holds numbers; to count by it needs strings", by, b->catalogue->table->name);
}

/* The group that "by" names, made where it is new; SIZE_MAX without one. */
static moon_status share_group(builder *b, bool of_user, size_t *index) {
  moon_feature_plan *plan = b->plan;
  const json_t *value = json_object_get(b->object, "by");
  const char *by = json_string_value(value);
  moon_group_spec group = {.of_user = of_user};
  *index = SIZE_MAX;
  if (!value) return moon_ok();
  if (!by || !*by) return moon_fail(MOON_EINVAL, "by must be \"item\" or a column of the items");
  if (!of_user && !strcmp(by, "item"))
    return moon_fail(MOON_EINVAL, "by \"item\" is for the user; an item is counted by itself anyway");
  for (*index = 0; *index < plan->group_count; ++*index) {
    const moon_group_spec *known = &plan->groups[*index];
    if (known->of_user == of_user && !strcmp(known->column ? known->column : "item", by)) return moon_ok();
  }
  moon_status status = fill_group(b, by, &group);
  if (!status.code) status = moon_grow(&plan->groups, &b->group_cap, plan->group_count + 1, sizeof group);
  if (status.code)
    group_free(&group);
  else
    plan->groups[plan->group_count++] = group;
  return status;
}

static bool same_counter(const moon_counter_spec *a, const moon_counter_spec *b) {
  if (a->measure != b->measure || a->of_user != b->of_user || a->group != b->group || a->half_life != b->half_life ||
      a->kind_count != b->kind_count)
    return false;
  for (size_t i = 0; i < a->kind_count; i++)
    if (strcmp(a->kinds[i], b->kinds[i])) return false;
  return true;
}

/* The counter that measures this of the kinds under `key`, made or widened. */
static moon_status share_counter(builder *b, const char *key, moon_counter_spec spec, size_t *index) {
  moon_feature_plan *plan = b->plan;
  MOON_TRY(share_group(b, spec.of_user, &spec.group));
  MOON_TRY(read_kinds(b, key, &spec.kinds, &spec.kind_count));
  size_t i = 0;
  while (i < plan->counter_count && !same_counter(&plan->counters[i], &spec)) i++;
  *index = i;
  if (i < plan->counter_count) {
    if (plan->counters[i].max_window < spec.max_window) plan->counters[i].max_window = spec.max_window;
    kinds_free(spec.kinds, spec.kind_count);
    return moon_ok();
  }
  moon_status status = moon_grow(&plan->counters, &b->counter_cap, plan->counter_count + 1, sizeof spec);
  if (status.code)
    kinds_free(spec.kinds, spec.kind_count);
  else
    plan->counters[plan->counter_count++] = spec;
  return status;
}

static void window_text(int64_t window, char out[32]) {
  static const struct {
    int64_t seconds;
    char letter;
  } units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
  snprintf(out, 32, "all");
  if (!window) return;
  for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
    if (window % (units[i].seconds * MOON_SECOND)) continue;
    snprintf(out, 32, "%lld%c", (long long)(window / (units[i].seconds * MOON_SECOND)), units[i].letter);
    return;
  }
  snprintf(out, 32, "%lldus", (long long)window);
}

/* The next dense slot; takes over the name. */
static moon_status name_dense(builder *b, moon_buf *name) {
  moon_feature_plan *plan = b->plan;
  moon_status status =
      name->failed ? no_memory() : moon_grow(&plan->dense_names, &b->name_cap, plan->dense_slots + 1, sizeof(char *));
  if (status.code)
    moon_buf_free(name);
  else
    plan->dense_names[plan->dense_slots++] = name->data;
  return status;
}

/* "count(item,view)" and an hour: "count(item,view,1h)". */
static moon_status name_windowed(builder *b, const char *name, int64_t window) {
  char text[32];
  window_text(window, text);
  size_t n = strlen(name);
  bool closed = name[n - 1] == ')';
  moon_buf full = {0};
  moon_buf_add(&full, name, n - closed);
  moon_buf_printf(&full, ",%s%s", text, closed ? ")" : "");
  return name_dense(b, &full);
}

/* ---- the kinds of features ------------------------------------------------------------------------------------------------ */

static moon_status read_embedding(builder *b, moon_feature *f) {
  int64_t dim, min_count, hash;
  MOON_TRY(read_whole(b, "dim", 1, 1024, 16, &dim));
  MOON_TRY(read_whole(b, "min_count", 1, UINT32_MAX, 1, &min_count));
  MOON_TRY(read_whole(b, "hash", 0, INT64_C(1) << 31, 0, &hash));
  f->kind = MOON_KIND_ID;
  if (hash == 1) return moon_fail(MOON_EINVAL, "hash must be 0 (no hashing) or at least 2 buckets, got 1");
  f->dim = (size_t)dim, f->min_count = (uint32_t)min_count, f->hash = (uint32_t)hash;
  f->rows = f->hash, f->texts = !f->hash;
  return moon_ok();
}

static moon_status read_id(builder *b, moon_feature *f) {
  f->slot = b->plan->id_slots++;
  return read_embedding(b, f);
}

/* ---- the steps of a number ------------------------------------------------------------------------------------------------- */

enum { MOST_STEPS = 16, MOST_NUMBERS = 1000, QUANTILES = 101 };

/* Rising finite numbers under a step's key. */
static moon_status read_numbers(const json_t *step, const char *key, size_t least, size_t most, moon_step *out) {
  const json_t *list = json_object_get(step, key);
  out->n = json_array_size(list);
  if (out->n < least || out->n > most)
    return moon_fail(MOON_EINVAL, "%s must be a list of %zu to %zu numbers, got %zu", key, least, most, out->n);
  out->numbers = moon_alloc(out->n * sizeof *out->numbers);
  if (!out->numbers) return no_memory();
  for (size_t i = 0; i < out->n; i++) {
    const json_t *value = json_array_get(list, i);
    out->numbers[i] = json_is_number(value) ? json_number_value(value) : NAN;
    if (!isfinite(out->numbers[i]) || (i && out->numbers[i] <= out->numbers[i - 1]))
      return moon_fail(MOON_EINVAL, "%s must be rising numbers", key);
  }
  return moon_ok();
}

static moon_status read_scale(const json_t *step, moon_step *out) {
  static const char *const ways[] = {"standard", "minmax", "quantile"}; /* in moon_step_op's order */
  const char *by = json_string_value(json_object_get(step, "by"));
  size_t way = place(by, ways, 3);
  if (way == 3) return unknown("scale", by, ways, 3);
  *out = (moon_step){.op = (moon_step_op)(MOON_STEP_STANDARD + way), .fitted = true, .n = way == 2 ? QUANTILES : 2};
  return moon_ok();
}

static moon_status read_buckets(const json_t *step, moon_step *out) {
  int64_t buckets;
  out->op = MOON_STEP_BUCKETIZE;
  if (json_object_get(step, "edges")) return read_numbers(step, "edges", 1, MOST_NUMBERS, out);
  MOON_TRY(whole(json_object_get(step, "buckets"), "buckets", 2, MOST_NUMBERS, 0, &buckets));
  out->fitted = true, out->n = (size_t)buckets - 1;
  return moon_ok();
}

static moon_status read_step(const json_t *step, moon_step *out) {
  static const char *const ops[] = {"log", "clip", "scale", "bucketize"};
  const char *op = json_string_value(json_object_get(step, "op"));
  switch (place(op, ops, 4)) {
    case 0:
      out->op = MOON_STEP_LOG;
      return moon_ok();
    case 1:
      out->op = MOON_STEP_CLIP;
      return read_numbers(step, "bounds", 2, 2, out);
    case 2:
      return read_scale(step, out);
    case 3:
      return read_buckets(step, out);
  }
  return unknown("step", op, ops, 4);
}

/* A number of which the recipe says nothing else: what is counted or passes by its log, a clock's hand by itself. */
static moon_status step_alone(const moon_feature *f, moon_step *out) {
  if (f->op != MOON_FEATURE_CLOCK) return moon_ok(); /* zeros: a log */
  *out = (moon_step){.op = MOON_STEP_BUCKETIZE, .n = f->weekday ? 6 : 23};
  out->numbers = moon_alloc(out->n * sizeof *out->numbers);
  for (size_t i = 0; out->numbers && i < out->n; i++) out->numbers[i] = (double)(i + (f->weekday ? 2 : 1));
  return out->numbers ? moon_ok() : no_memory();
}

static bool is_plain(moon_feature_op op) {
  return op == MOON_FEATURE_NUMERIC || op == MOON_FEATURE_RATE || op == MOON_FEATURE_POSITION;
}

static moon_status read_steps(builder *b, moon_feature *f) {
  const json_t *list = json_object_get(b->object, "steps");
  size_t n = list ? json_array_size(list) : !is_plain(f->op);
  if ((list && !json_is_array(list)) || n > MOST_STEPS)
    return moon_fail(MOON_EINVAL, "steps must be a list of at most %d", MOST_STEPS);
  f->steps = moon_calloc(n, sizeof *f->steps);
  if (!f->steps) return no_memory();
  for (; f->step_count < n; f->step_count++) {
    moon_step *step = &f->steps[f->step_count];
    if (f->step_count && step[-1].op == MOON_STEP_BUCKETIZE) return moon_fail(MOON_EINVAL, "bucketize must be the last step");
    moon_status status = list ? read_step(json_array_get(list, f->step_count), step) : step_alone(f, step);
    if (!status.code) continue;
    moon_free(step->numbers);
    return status;
  }
  return moon_ok();
}

static moon_status read_string_column(const builder *b, const json_t *name, const char *needed_by, char **out) {
  moon_column *column;
  MOON_TRY(copy_text(name, "column", out));
  MOON_TRY(moon_table_require(b->catalogue->table, *out, &column));
  if (column->type == MOON_STRING) return moon_ok();
  return moon_fail(MOON_EINVAL, "column %s of %s holds numbers; %s needs strings", *out, b->catalogue->table->name, needed_by);
}

/* Columns of the items; "user" is the user. */
static moon_status read_cross(builder *b, moon_feature *f) {
  const json_t *list = json_object_get(b->object, "columns");
  size_t n = json_array_size(list);
  if (n < 2 || n > 8) return moon_fail(MOON_EINVAL, "columns must be a list of 2 to 8, got %zu", n);
  f->columns = moon_calloc(n, sizeof *f->columns);
  if (!f->columns) return no_memory();
  for (size_t i = 0; i < n; i++) {
    const json_t *name = json_array_get(list, i);
    const char *text = json_string_value(name);
    if (text && !strcmp(text, "user"))
      f->of_user = true;
    else
      MOON_TRY(read_string_column(b, name, f->name, &f->columns[f->column_count++]));
  }
  if (!f->column_count) return moon_fail(MOON_EINVAL, "columns must name a column of the items");
  MOON_TRY(read_id(b, f));
  return f->hash ? moon_ok() : moon_fail(MOON_EINVAL, "a cross needs hash buckets");
}

static moon_status copy_maybe(const builder *b, const char *key, char **out) {
  const json_t *value = json_object_get(b->object, key);
  return value ? copy_text(value, key, out) : moon_ok();
}

static moon_status read_file(builder *b, moon_feature *f) {
  const json_t *freeze = json_object_get(b->object, "freeze");
  MOON_TRY(read_entity(b, &f->of_user));
  MOON_TRY(copy_text(json_object_get(b->object, "file"), "file", &f->file));
  MOON_TRY(copy_text(json_object_get(b->object, "ids"), "ids", &f->ids));
  MOON_TRY(copy_maybe(b, "tensor", &f->tensor));
  f->freeze = !freeze || json_is_true(freeze);
  MOON_TRY(read_id(b, f));
  return f->hash ? moon_fail(MOON_EINVAL, "vectors of a file are not hashed") : moon_ok();
}

/* Dense slots of its own, not by way of read_number: there is nothing to step over. */
static moon_status read_tfidf(builder *b, moon_feature *f) {
  int64_t dim, min_count;
  MOON_TRY(read_string_column(b, json_object_get(b->object, "column"), f->name, &f->column));
  MOON_TRY(copy_maybe(b, "separator", &f->separator));
  MOON_TRY(read_whole(b, "dim", 1, 1024, 16, &dim));
  MOON_TRY(read_whole(b, "min_count", 1, UINT32_MAX, 1, &min_count));
  f->width = (size_t)dim, f->min_count = (uint32_t)min_count, f->texts = true;
  f->slot = b->plan->dense_slots;
  for (size_t i = 0; i < f->width; i++) {
    moon_buf name = {0};
    moon_buf_printf(&name, "%s.%zu", f->name, i);
    MOON_TRY(name_dense(b, &name));
  }
  return moon_ok();
}

/* The bag of an item's parts has a table of its own. */
static moon_status read_tags(builder *b, moon_feature *f) {
  int64_t most;
  MOON_TRY(read_string_column(b, json_object_get(b->object, "column"), f->name, &f->column));
  MOON_TRY(copy_maybe(b, "separator", &f->separator));
  MOON_TRY(read_whole(b, "max", 1, 256, 8, &most));
  MOON_TRY(read_embedding(b, f));
  f->kind = MOON_KIND_BAG, f->last = (size_t)most;
  if (f->last > b->plan->bag_length) b->plan->bag_length = f->last;
  f->slot = b->plan->bag_slots++;
  return moon_ok();
}

static moon_status read_number_column(builder *b, moon_feature *f) {
  moon_column *column;
  MOON_TRY(copy_text(json_object_get(b->object, "column"), "column", &f->column));
  MOON_TRY(moon_table_require(b->catalogue->table, f->column, &column));
  if (column->type != MOON_STRING) return moon_ok();
  return moon_fail(MOON_EINVAL, "column %s of %s holds strings; %s needs numbers", f->column, b->catalogue->table->name, f->name);
}

/* The slots of a number: dense ones, or where it ends in a bucket, an id. */
static moon_status read_number(builder *b, moon_feature *f) {
  int64_t dim;
  bool windowed = f->window_count > 0;
  f->width = windowed ? f->window_count : 1;
  MOON_TRY(read_steps(b, f));
  const moon_step *last = f->step_count ? &f->steps[f->step_count - 1] : NULL;
  if (last && last->op == MOON_STEP_BUCKETIZE) {
    if (f->width > 1) return moon_fail(MOON_EINVAL, "bucketize takes one number, %s gives %zu", f->name, f->width);
    MOON_TRY(read_whole(b, "dim", 1, 1024, 16, &dim));
    f->kind = MOON_KIND_ID, f->dim = (size_t)dim, f->rows = last->n + 2;
    f->slot = b->plan->id_slots++;
    return moon_ok();
  }
  f->slot = b->plan->dense_slots;
  for (size_t i = 0; i < f->width; i++) {
    moon_buf name = {0};
    if (windowed)
      MOON_TRY(name_windowed(b, f->name, f->windows[i]));
    else
      moon_buf_puts(&name, f->name);
    if (!windowed) MOON_TRY(name_dense(b, &name));
  }
  return moon_ok();
}

static moon_status read_count(builder *b, moon_feature *f) {
  MOON_TRY(read_entity(b, &f->of_user));
  MOON_TRY(read_windows(b, f));
  for (size_t i = 0; i < f->window_count; i++)
    MOON_TRY(share_counter(b, "kinds", (moon_counter_spec){.of_user = f->of_user, .max_window = f->windows[i]}, &f->counter));
  return read_number(b, f);
}

static moon_status read_rate(builder *b, moon_feature *f) {
  f->window_count = 1;
  MOON_TRY(read_entity(b, &f->of_user));
  MOON_TRY(read_whole(b, "over_us", 0, INT64_MAX, 0, &f->windows[0]));
  MOON_TRY(read_prior(b, f->prior));
  const moon_counter_spec spec = {.of_user = f->of_user, .max_window = f->windows[0]};
  MOON_TRY(share_counter(b, "numerator", spec, &f->counter));
  MOON_TRY(share_counter(b, "denominator", spec, &f->counter2));
  return read_number(b, f);
}

static moon_status read_decay(builder *b, moon_feature *f) {
  moon_counter_spec spec = {.measure = MOON_MEASURE_DECAY};
  MOON_TRY(read_entity(b, &f->of_user));
  MOON_TRY(read_whole(b, "half_life_us", 1, INT64_MAX, 0, &spec.half_life));
  spec.of_user = f->of_user;
  MOON_TRY(share_counter(b, "kinds", spec, &f->counter));
  return read_number(b, f);
}

static moon_status read_recency(builder *b, moon_feature *f) {
  MOON_TRY(read_entity(b, &f->of_user));
  MOON_TRY(read_whole(b, "never_us", 1, INT64_MAX, 365 * 86400 * MOON_SECOND, &f->span));
  MOON_TRY(share_counter(b, "kinds", (moon_counter_spec){.measure = MOON_MEASURE_LAST, .of_user = f->of_user}, &f->counter));
  return read_number(b, f);
}

static moon_status read_age(builder *b, moon_feature *f) {
  moon_column *column;
  MOON_TRY(copy_text(json_object_get(b->object, "column"), "column", &f->column));
  MOON_TRY(moon_table_require(b->catalogue->table, f->column, &column));
  if (column->type == MOON_TIME) return read_number(b, f);
  return moon_fail(MOON_EINVAL, "column %s of %s holds no times; %s needs times: name it \"%s:time\"", f->column,
                   b->catalogue->table->name, f->name, f->column);
}

static moon_status read_clock(builder *b, moon_feature *f) {
  static const char *const units[] = {"hour", "weekday"};
  const char *unit = json_string_value(json_object_get(b->object, "unit"));
  size_t at = place(unit, units, 2);
  if (at == 2) return unknown("clock", unit, units, 2);
  f->weekday = at == 1;
  MOON_TRY(read_whole(b, "zone_us", -86400 * MOON_SECOND, 86400 * MOON_SECOND, 0, &f->span));
  return read_number(b, f);
}

/* The column is the events', which are not known here. */
static moon_status read_position(builder *b, moon_feature *f) {
  const json_t *serving = json_object_get(b->object, "serving");
  MOON_TRY(copy_text(json_object_get(b->object, "column"), "column", &f->column));
  f->serving = serving ? json_number_value(serving) : 0;
  if (serving && (!json_is_number(serving) || !isfinite(f->serving))) return moon_fail(MOON_EINVAL, "serving must be a number");
  f->position = b->plan->position_count++;
  return read_number(b, f);
}

static moon_status read_history(builder *b, moon_feature *f) {
  int64_t last;
  MOON_TRY(read_whole(b, "last", 1, MOON_MOST_HISTORY, 50, &last));
  MOON_TRY(read_kinds(b, "kinds", &f->kinds, &f->kind_count));
  f->last = (size_t)last, f->kind = MOON_KIND_BAG, f->shares = SIZE_MAX;
  if (json_object_get(b->object, "of"))
    MOON_TRY(copy_text(json_object_get(b->object, "of"), "of", &f->of));
  else if (!(f->of = moon_strdup("item")))
    return no_memory();
  if (!strcmp(f->of, "gap")) {
    MOON_TRY(read_whole(b, "dim", 1, 1024, 16, &last));
    f->dim = (size_t)last, f->rows = MOON_GAPS + 1;
  }
  if (f->last > b->plan->bag_length) b->plan->bag_length = f->last;
  f->slot = b->plan->bag_slots++;
  return moon_ok();
}

static moon_status read_feature(builder *b, moon_feature *f) {
  static const char *const ops[] = {
      "id",   "embedding_file", "category", "cross", "tags",  "tfidf",    "numeric", "count",
      "rate", "decay",          "recency",  "age",   "clock", "position", "history"}; /* in moon_feature_op's order */
  enum { OPS = sizeof ops / sizeof *ops };
  const char *op = json_string_value(json_object_get(b->object, "op"));
  size_t i = place(op, ops, OPS);
  if (i == OPS) return unknown("feature", op, ops, OPS);
  f->op = (moon_feature_op)i, f->width = 1;
  MOON_TRY(copy_text(json_object_get(b->object, "name"), "a feature's name", &f->name));
  switch (f->op) {
    case MOON_FEATURE_ID:
      MOON_TRY(read_entity(b, &f->of_user));
      return read_id(b, f);
    case MOON_FEATURE_CATEGORY:
      MOON_TRY(read_string_column(b, json_object_get(b->object, "column"), f->name, &f->column));
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
      MOON_TRY(read_number_column(b, f));
      return read_number(b, f);
    case MOON_FEATURE_COUNT:
      return read_count(b, f);
    case MOON_FEATURE_RATE:
      return read_rate(b, f);
    case MOON_FEATURE_DECAY:
      return read_decay(b, f);
    case MOON_FEATURE_RECENCY:
      return read_recency(b, f);
    case MOON_FEATURE_AGE:
      return read_age(b, f);
    case MOON_FEATURE_CLOCK:
      return read_clock(b, f);
    case MOON_FEATURE_POSITION:
      return read_position(b, f);
    case MOON_FEATURE_HISTORY:
      return read_history(b, f);
  }
  return moon_ok();
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

static moon_status read_features(builder *b, const json_t *features) {
  for (size_t i = 0; i < b->plan->feature_count; i++) {
    moon_feature *f = &b->plan->features[i];
    b->object = json_array_get(features, i);
    const char *where = json_string_value(json_object_get(b->object, "where"));
    f->where = moon_strdup(where ? where : "recipe");
    if (!f->where) return no_memory();
    MOON_TRY(moon_wrap(read_feature(b, f), "%s", f->where));
  }
  return share_tables(b->plan);
}

moon_status moon_feature_plan_new(const json_t *features, const moon_catalogue *catalogue, moon_feature_plan **out) {
  size_t n = json_array_size(features);
  if (!n) return moon_fail(MOON_EINVAL, "features must be a list of at least one feature");
  moon_feature_plan *plan = moon_calloc(1, sizeof *plan);
  if (plan) plan->features = moon_calloc(n, sizeof *plan->features);
  if (!plan || !plan->features) {
    moon_free(plan);
    return no_memory();
  }
  plan->feature_count = n;
  builder b = {.plan = plan, .catalogue = catalogue};
  moon_status status = read_features(&b, features);
  if (status.code)
    moon_feature_plan_free(plan);
  else
    *out = plan;
  return status;
}

moon_status moon_feature_plan_set_state(moon_feature_plan *plan, const json_t *state) {
  const char *where = json_string_value(json_object_get(state, "where"));
  return moon_wrap(whole(json_object_get(state, "ttl_us"), "ttl", 0, INT64_MAX, 0, &plan->ttl), "%s", where ? where : "recipe");
}

void moon_feature_plan_free(moon_feature_plan *plan) {
  if (!plan) return;
  for (size_t i = 0; i < plan->feature_count; i++) {
    moon_feature *f = &plan->features[i];
    moon_free(f->name);
    moon_free(f->where);
    moon_free(f->column);
    moon_free(f->separator);
    moon_free(f->of);
    moon_free(f->file);
    moon_free(f->ids);
    moon_free(f->tensor);
    kinds_free(f->columns, f->column_count);
    kinds_free(f->kinds, f->kind_count);
    for (size_t s = 0; s < f->step_count; s++) moon_free(f->steps[s].numbers);
    moon_free(f->steps);
  }
  for (size_t i = 0; i < plan->counter_count; i++) kinds_free(plan->counters[i].kinds, plan->counters[i].kind_count);
  for (size_t i = 0; i < plan->group_count; i++) group_free(&plan->groups[i]);
  moon_free(plan->groups);
  for (size_t i = 0; i < plan->dense_slots; i++) moon_free(plan->dense_names[i]);
  moon_free(plan->features);
  moon_free(plan->counters);
  moon_free(plan->dense_names);
  moon_free(plan);
}

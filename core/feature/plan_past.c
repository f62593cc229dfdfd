/* plan_past.c - what features want to know of the past: counters, which features that ask the same share, and groups of items. */
#include <math.h>
#include <string.h>

#include "feature/plan.h"

static moon_status read_windows(const moon_plan_builder *b, moon_feature *f) {
  const json_t *list = json_object_get(b->object, "windows_us");
  f->window_count = json_array_size(list);
  if (!f->window_count || f->window_count > MOON_MOST_WINDOWS)
    return moon_fail(MOON_EINVAL, "windows_us must be a list of 1 to %d windows, got %zu", MOON_MOST_WINDOWS, f->window_count);
  for (size_t i = 0; i < f->window_count; i++)
    MOON_TRY(moon_recipe_whole_of(json_array_get(list, i), "a window", 0, INT64_MAX, 0, &f->windows[i]));
  return moon_ok();
}

static moon_status read_prior(const moon_plan_builder *b, double prior[2]) {
  const json_t *list = json_object_get(b->object, "prior");
  prior[0] = 1, prior[1] = 20;
  if (!list) return moon_ok();
  for (size_t i = 0; i < 2; i++)
    prior[i] = json_is_number(json_array_get(list, i)) ? json_number_value(json_array_get(list, i)) : NAN;
  if (json_array_size(list) == 2 && isfinite(prior[0]) && isfinite(prior[1]) && prior[0] >= 0 && prior[1] > 0) return moon_ok();
  return moon_fail(MOON_EINVAL, "prior must be two numbers [a, b] with a >= 0 and b > 0");
}

/* ---- groups and counters -------------------------------------------------------------------------------------------------- */

/* Numbers for the values of a column in order of first sight: the dictionary's codes may have gaps and change when it is saved. */
static moon_status number_values(const moon_column *column, moon_group_spec *group) {
  size_t codes = moon_dict_count(column->dict);
  uint32_t *number = moon_alloc((codes ? codes : 1) * sizeof *number);
  group->value = moon_alloc((column->n ? column->n : 1) * sizeof *group->value);
  if (!number || !group->value) {
    moon_free(number);
    return moon_recipe_no_memory();
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

static moon_status fill_group(const moon_plan_builder *b, const char *by, moon_group_spec *group) {
  moon_column *column;
  if (!strcmp(by, "item")) return moon_ok();
  group->column = moon_strdup(by);
  if (!group->column) return moon_recipe_no_memory();
  MOON_TRY(moon_table_require(b->catalogue->table, by, &column));
  if (column->type == MOON_STRING) return number_values(column, group);
  return moon_fail(MOON_EINVAL, "column %s of %s holds numbers; to count by it needs strings", by, b->catalogue->table->name);
}

/* The group that "by" names, made where it is new; SIZE_MAX without one. */
static moon_status share_group(moon_plan_builder *b, bool of_user, size_t *index) {
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

static bool same_kinds(char *const *a, size_t n, char *const *b, size_t m) {
  for (size_t i = 0; n == m && i < n; i++)
    if (strcmp(a[i], b[i])) return false;
  return n == m;
}

/* What is measured of items' numbers is measured of those that the catalogue has now. */
static moon_status copy_numbers(const moon_plan_builder *b, moon_counter_spec *spec) {
  moon_column *column;
  char *name = moon_strdup(spec->column);
  spec->column = name;
  if (!name) return moon_recipe_no_memory();
  MOON_TRY(moon_table_require(b->catalogue->table, name, &column));
  spec->value = moon_alloc((column->n ? column->n : 1) * sizeof *spec->value);
  if (!spec->value) return moon_recipe_no_memory();
  spec->items = column->n;
  for (size_t row = 0; row < column->n; row++) spec->value[row] = moon_column_number(column, row);
  return moon_ok();
}

static void counter_free(moon_counter_spec *spec) {
  moon_recipe_texts_free(spec->kinds, spec->kind_count);
  moon_free(spec->column);
  moon_free(spec->value);
}

static bool same_text(const char *a, const char *b) {
  return a && b ? !strcmp(a, b) : a == b;
}

static bool same_counter(const moon_counter_spec *a, const moon_counter_spec *b) {
  return a->measure == b->measure && a->of_user == b->of_user && a->group == b->group && a->half_life == b->half_life &&
         same_text(a->column, b->column) && same_kinds(a->kinds, a->kind_count, b->kinds, b->kind_count);
}

/* The counter that measures this of the kinds under `key`, made or widened; the spec's column is borrowed. */
static moon_status share_counter(moon_plan_builder *b, const char *key, moon_counter_spec spec, size_t *index) {
  moon_feature_plan *plan = b->plan;
  MOON_TRY(share_group(b, spec.of_user, &spec.group));
  MOON_TRY(moon_recipe_kinds(b, key, &spec.kinds, &spec.kind_count));
  size_t i = 0;
  while (i < plan->counter_count && !same_counter(&plan->counters[i], &spec)) i++;
  *index = i;
  if (i < plan->counter_count) {
    if (plan->counters[i].max_window < spec.max_window) plan->counters[i].max_window = spec.max_window;
    moon_recipe_texts_free(spec.kinds, spec.kind_count);
    return moon_ok();
  }
  moon_status status = spec.column ? copy_numbers(b, &spec) : moon_ok();
  if (!status.code) status = moon_grow(&plan->counters, &b->counter_cap, plan->counter_count + 1, sizeof spec);
  if (status.code)
    counter_free(&spec);
  else
    plan->counters[plan->counter_count++] = spec;
  return status;
}

/* ---- features ---------------------------------------------------------------------------------------------------------------- */

static moon_status read_count(moon_plan_builder *b, moon_feature *f) {
  MOON_TRY(moon_recipe_entity(b, &f->of_user));
  MOON_TRY(read_windows(b, f));
  for (size_t i = 0; i < f->window_count; i++)
    MOON_TRY(share_counter(b, "kinds", (moon_counter_spec){.of_user = f->of_user, .max_window = f->windows[i]}, &f->counter));
  return moon_recipe_number(b, f);
}

static moon_status read_rate(moon_plan_builder *b, moon_feature *f) {
  f->window_count = 1;
  MOON_TRY(moon_recipe_entity(b, &f->of_user));
  MOON_TRY(moon_recipe_whole(b, "over_us", 0, INT64_MAX, 0, &f->windows[0]));
  MOON_TRY(read_prior(b, f->prior));
  const moon_counter_spec spec = {.of_user = f->of_user, .max_window = f->windows[0]};
  MOON_TRY(share_counter(b, "numerator", spec, &f->counter));
  MOON_TRY(share_counter(b, "denominator", spec, &f->counter2));
  return moon_recipe_number(b, f);
}

static moon_status read_decay(moon_plan_builder *b, moon_feature *f) {
  moon_counter_spec spec = {.measure = MOON_MEASURE_DECAY};
  MOON_TRY(moon_recipe_entity(b, &f->of_user));
  MOON_TRY(moon_recipe_whole(b, "half_life_us", 1, INT64_MAX, 0, &spec.half_life));
  spec.of_user = f->of_user;
  MOON_TRY(share_counter(b, "kinds", spec, &f->counter));
  return moon_recipe_number(b, f);
}

static moon_status read_mean(moon_plan_builder *b, moon_feature *f) {
  moon_counter_spec spec = {.measure = MOON_MEASURE_MEAN};
  MOON_TRY(moon_recipe_entity(b, &f->of_user));
  MOON_TRY(moon_recipe_number_column(b, json_object_get(b->object, "column"), f->name, &f->column));
  MOON_TRY(moon_recipe_whole(b, "half_life_us", 0, INT64_MAX, 0, &spec.half_life));
  if (!f->of_user && !json_object_get(b->object, "by"))
    return moon_fail(MOON_EINVAL, "the %s of an item is the same in all its events; by says of which items the mean is", f->column);
  spec.of_user = f->of_user, spec.column = f->column;
  MOON_TRY(share_counter(b, "kinds", spec, &f->counter));
  return moon_recipe_number(b, f);
}

static moon_status read_recency(moon_plan_builder *b, moon_feature *f) {
  MOON_TRY(moon_recipe_entity(b, &f->of_user));
  MOON_TRY(moon_recipe_whole(b, "never_us", 1, INT64_MAX, 365 * 86400 * MOON_SECOND, &f->span));
  MOON_TRY(share_counter(b, "kinds", (moon_counter_spec){.measure = MOON_MEASURE_LAST, .of_user = f->of_user}, &f->counter));
  return moon_recipe_number(b, f);
}

static moon_status read_together(moon_plan_builder *b, moon_feature *f) {
  moon_feature_plan *plan = b->plan;
  moon_together_spec spec = {0};
  int64_t last, most;
  MOON_TRY(moon_recipe_whole(b, "last", 1, MOON_MOST_TOGETHER, 10, &last));
  MOON_TRY(moon_recipe_whole(b, "pairs", 1000, INT64_C(1) << 28, 1000000, &most));
  MOON_TRY(moon_recipe_kinds(b, "kinds", &spec.kinds, &spec.kind_count));
  spec.last = (size_t)last, spec.most = (size_t)most;
  for (f->together = 0; f->together < plan->together_count; f->together++) {
    const moon_together_spec *known = &plan->together[f->together];
    if (known->last == spec.last && known->most == spec.most && same_kinds(known->kinds, known->kind_count, spec.kinds, spec.kind_count))
      break;
  }
  moon_status status = moon_ok();
  bool fresh = f->together == plan->together_count;
  if (fresh) status = moon_grow(&plan->together, &b->together_cap, plan->together_count + 1, sizeof spec);
  if (fresh && !status.code)
    plan->together[plan->together_count++] = spec;
  else
    moon_recipe_texts_free(spec.kinds, spec.kind_count);
  return status.code ? status : moon_recipe_number(b, f);
}

moon_status moon_recipe_past(moon_plan_builder *b, moon_feature *f) {
  switch (f->op) {
    case MOON_FEATURE_COUNT:
      return read_count(b, f);
    case MOON_FEATURE_RATE:
      return read_rate(b, f);
    case MOON_FEATURE_DECAY:
      return read_decay(b, f);
    case MOON_FEATURE_MEAN:
      return read_mean(b, f);
    case MOON_FEATURE_TOGETHER:
      return read_together(b, f);
    default:
      return read_recency(b, f);
  }
}

void moon_recipe_past_free(moon_feature_plan *plan) {
  for (size_t i = 0; i < plan->counter_count; i++) counter_free(&plan->counters[i]);
  for (size_t i = 0; i < plan->group_count; i++) group_free(&plan->groups[i]);
  for (size_t i = 0; i < plan->together_count; i++) moon_recipe_texts_free(plan->together[i].kinds, plan->together[i].kind_count);
  moon_free(plan->together);
  moon_free(plan->counters);
  moon_free(plan->groups);
}

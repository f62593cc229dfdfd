/* plan_read.c - the fields of a feature's object: texts, whole numbers, kinds of events, columns of the items. */
#include <stdlib.h>
#include <string.h>

#include "feature/plan.h"

moon_status moon_recipe_no_memory(void) {
  return moon_fail(MOON_ENOMEM, "no memory for a feature plan");
}

moon_status moon_recipe_text(const json_t *value, const char *what, char **out) {
  const char *text = json_string_value(value);
  if (!text || !*text || strlen(text) != json_string_length(value)) return moon_fail(MOON_EINVAL, "%s must be a text", what);
  *out = moon_strdup(text);
  return *out ? moon_ok() : moon_recipe_no_memory();
}

moon_status moon_recipe_whole_of(const json_t *value, const char *what, int64_t low, int64_t high, int64_t otherwise, int64_t *out) {
  *out = value ? json_integer_value(value) : otherwise;
  if (value && !json_is_integer(value)) return moon_fail(MOON_EINVAL, "%s must be a whole number", what);
  if (*out >= low && *out <= high) return moon_ok();
  return moon_fail(MOON_EINVAL, "%s must be from %lld to %lld, got %lld", what, (long long)low, (long long)high, (long long)*out);
}

moon_status moon_recipe_whole(const moon_plan_builder *b, const char *key, int64_t low, int64_t high, int64_t otherwise, int64_t *out) {
  return moon_recipe_whole_of(json_object_get(b->object, key), key, low, high, otherwise, out);
}

moon_status moon_recipe_unknown(const char *what, const char *name, const char *const *known, size_t n) {
  const char *near = name ? moon_nearest(name, known, n) : NULL;
  return moon_fail(MOON_EINVAL, "there is no %s '%.60s'%s%s%s", what, name ? name : "", near ? "; did you mean '" : "",
                   near ? near : "", near ? "'?" : "");
}

size_t moon_recipe_place(const char *name, const char *const *known, size_t n) {
  size_t i = 0;
  while (i < n && (!name || strcmp(known[i], name))) i++;
  return i;
}

moon_status moon_recipe_entity(const moon_plan_builder *b, bool *of_user) {
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

void moon_recipe_texts_free(char **kinds, size_t n) {
  for (size_t i = 0; kinds && i < n; i++) moon_free(kinds[i]);
  moon_free(kinds);
}

moon_status moon_recipe_kinds(const moon_plan_builder *b, const char *key, char ***out, size_t *count) {
  const json_t *list = json_object_get(b->object, key);
  size_t n = json_array_size(list), kept = 0;
  if (list && !json_is_array(list)) return moon_fail(MOON_EINVAL, "%s must be a list of event kinds", key);
  if (!n) return moon_ok();
  char **kinds = moon_calloc(n, sizeof *kinds);
  moon_status status = kinds ? moon_ok() : moon_recipe_no_memory();
  for (size_t i = 0; i < n && !status.code; i++) status = moon_recipe_text(json_array_get(list, i), "an event kind", &kinds[i]);
  if (status.code) {
    moon_recipe_texts_free(kinds, n);
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

moon_status moon_recipe_string_column(const moon_plan_builder *b, const json_t *name, const char *needed_by, char **out) {
  moon_column *column;
  MOON_TRY(moon_recipe_text(name, "column", out));
  MOON_TRY(moon_table_require(b->catalogue->table, *out, &column));
  if (column->type == MOON_STRING) return moon_ok();
  return moon_fail(MOON_EINVAL, "column %s of %s holds numbers; %s needs strings", *out, b->catalogue->table->name, needed_by);
}

moon_status moon_recipe_number_column(const moon_plan_builder *b, const json_t *name, const char *needed_by, char **out) {
  moon_column *column;
  MOON_TRY(moon_recipe_text(name, "column", out));
  MOON_TRY(moon_table_require(b->catalogue->table, *out, &column));
  if (column->type != MOON_STRING) return moon_ok();
  return moon_fail(MOON_EINVAL, "column %s of %s holds strings; %s needs numbers", *out, b->catalogue->table->name, needed_by);
}

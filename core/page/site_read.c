/* site_read.c - fields of a plan's objects. A plan may come from anywhere, so each reader takes any JSON and says what it
 * wanted. */
#include <math.h>
#include <string.h>

#include "page/site.h"

static const json_t *field(const json_t *object, const char *key) {
  const json_t *value = json_object_get(object, key);
  return json_is_null(value) ? NULL : value;
}

const char *moon_plan_where(const json_t *object, const char *outer) {
  const char *where = json_string_value(json_object_get(object, "where"));
  return where ? where : outer;
}

moon_status moon_plan_unknown(const char *what, const char *name, const char *const *names, size_t count) {
  const char *near = moon_nearest(name, names, count);
  if (near) return moon_fail(MOON_ENOTFOUND, "there is no %s '%.100s'; did you mean '%s'?", what, name, near);
  char known[200] = "";
  size_t used = 0;
  for (size_t i = 0; i < count && used + strlen(names[i]) + 3 < sizeof known; i++) {
    if (used) memcpy(known + used, ", ", 2), used += 2;
    memcpy(known + used, names[i], strlen(names[i]) + 1);
    used += strlen(names[i]);
  }
  return moon_fail(MOON_ENOTFOUND, "there is no %s '%.100s'; there is %s", what, name, count ? known : "none");
}

moon_status moon_plan_text(moon_arena *memory, const json_t *object, const char *key, const char *fallback, const char **out) {
  const json_t *value = field(object, key);
  if (value && !json_is_string(value)) return moon_fail(MOON_EFORMAT, "%s must be a text", key);
  if (!value && !fallback) return moon_fail(MOON_EFORMAT, "%s is missing", key);
  *out = moon_arena_strdup(memory, value ? json_string_value(value) : fallback);
  return *out ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory for a site");
}

moon_status moon_plan_count(const json_t *object, const char *key, size_t low, size_t high, size_t fallback, size_t *out) {
  const json_t *value = field(object, key);
  json_int_t number = json_integer_value(value);
  *out = value ? (size_t)number : fallback;
  if (value && (!json_is_integer(value) || number < 0)) return moon_fail(MOON_EFORMAT, "%s must be a whole number", key);
  if (*out < low || *out > high)
    return moon_fail(MOON_EINVAL, "%s must be a whole number from %zu to %zu, not %zu", key, low, high, *out);
  return moon_ok();
}

moon_status moon_plan_number(const json_t *object, const char *key, double fallback, double *out) {
  const json_t *value = field(object, key);
  *out = value ? json_number_value(value) : fallback;
  if ((value && !json_is_number(value)) || !isfinite(*out)) return moon_fail(MOON_EFORMAT, "%s must be a number", key);
  return moon_ok();
}

moon_status moon_plan_list(moon_arena *memory, const json_t *object, const char *key, size_t each, const json_t **array, void *items,
                           size_t *n) {
  *array = field(object, key);
  if (*array && !json_is_array(*array)) return moon_fail(MOON_EFORMAT, "%s must be a list", key);
  size_t count = json_array_size(*array);
  void *room = moon_arena_calloc(memory, count * each);
  if (!room) return moon_fail(MOON_ENOMEM, "no memory for a site");
  memcpy(items, &room, sizeof room); /* items points at a pointer of the caller's type: copy it, do not pun it */
  *n = count;
  return moon_ok();
}

/* label.c - which events are examples, and whether they turned out well.
 *
 * "A purchase within a day of the view" is answered in one pass from the newest event to the oldest, remembering for each (user, item)
 * the next positive event. */
#include <string.h>

#include "data/data.h"

static moon_status kinds_of(const json_t *label, const char *key, const moon_log *log, uint8_t *is) {
  const json_t *list = json_object_get(label, key);
  const char *names[64];
  size_t known = moon_dict_count(log->kinds), n = known < 64 ? known : 64;
  for (size_t i = 0; i < n; i++) names[i] = moon_dict_text(log->kinds, (uint32_t)i);
  for (size_t i = 0; i < json_array_size(list); i++) {
    const char *kind = json_string_value(json_array_get(list, i));
    uint32_t code = kind ? moon_dict_find(log->kinds, kind, strlen(kind)) : MOON_NONE;
    if (code == MOON_NONE) {
      const char *near = kind ? moon_nearest(kind, names, n) : NULL;
      return moon_fail(MOON_ENOTFOUND, "label: %s: no event is of the kind '%s'%s%s%s", key, kind ? kind : "?", near ? "; did you mean '" : "",
                       near ? near : "", near ? "'?" : "");
    }
    is[code] = 1;
  }
  return json_array_size(list) ? moon_ok() : moon_fail(MOON_EINVAL, "label: %s names no kind of event", key);
}

static moon_status label_by_events(const json_t *label, const moon_log *log, moon_examples *out) {
  size_t kinds = moon_dict_count(log->kinds);
  uint8_t *positive = moon_calloc(kinds, 1), *of = moon_calloc(kinds, 1);
  int64_t within = json_integer_value(json_object_get(label, "within_us"));
  moon_map next = {0}; /* (user, item) -> time of the next positive event */
  moon_status status = positive && of ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory for labels");
  if (!status.code) status = kinds_of(label, "positive", log, positive);
  if (!status.code) status = kinds_of(label, "of", log, of);
  size_t count = 0;
  for (size_t i = log->n; i-- && !status.code;) {
    const moon_event *e = &log->events[i];
    uint64_t key = (uint64_t)e->user << 32 | e->item, then;
    if (positive[e->kind]) status = moon_map_put(&next, key, (uint64_t)e->time);
    if (!of[e->kind] || status.code) continue;
    out->event[count] = (uint32_t)i;
    out->label[count++] = positive[e->kind] || (moon_map_get(&next, key, &then) && (int64_t)then - e->time <= within);
  }
  out->n = count;
  for (size_t i = 0; i < count / 2; i++) { /* found from the newest to the oldest */
    size_t j = count - 1 - i;
    uint32_t event = out->event[i];
    float value = out->label[i];
    out->event[i] = out->event[j], out->label[i] = out->label[j];
    out->event[j] = event, out->label[j] = value;
  }
  moon_map_free(&next);
  moon_free(positive);
  moon_free(of);
  return status;
}

static moon_status label_by_column(const json_t *label, const moon_log *log, const char *name, moon_examples *out) {
  moon_column *column;
  MOON_TRY(moon_table_require(log->table, name, &column));
  if (column->type == MOON_STRING) return moon_fail(MOON_EINVAL, "label: column %s holds strings; at_least compares numbers", name);
  double least = json_number_value(json_object_get(label, "at_least"));
  for (size_t i = 0; i < log->n; i++) {
    if (moon_column_is_null(column, i)) continue;
    out->event[out->n] = (uint32_t)i;
    out->label[out->n++] = moon_column_number(column, i) >= least;
  }
  return moon_ok();
}

moon_status moon_label(const json_t *label, const moon_log *log, moon_examples *out) {
  const char *column = json_string_value(json_object_get(label, "column")), *where = json_string_value(json_object_get(label, "where"));
  *out = (moon_examples){.event = moon_alloc(log->n * sizeof *out->event), .label = moon_alloc(log->n * sizeof *out->label)};
  moon_status status = out->event && out->label ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory for %zu examples", log->n);
  if (!status.code) status = column ? label_by_column(label, log, column, out) : label_by_events(label, log, out);
  if (!status.code && !out->n) status = moon_fail(MOON_EINVAL, "label: not one of %zu events is an example", log->n);
  if (status.code) moon_examples_free(out);
  return moon_wrap(status, "%s", where ? where : "recipe");
}

void moon_examples_free(moon_examples *examples) {
  moon_free(examples->event);
  moon_free(examples->label);
  *examples = (moon_examples){0};
}

/* label.c - which events are examples, and whether they turned out well; for one task or several.
 *
 * "A purchase within a day of the view" is answered in one pass from the newest event to the oldest, remembering for each
 * (user, item) the next positive event. */
#include <string.h>

#include "data/data.h"

static moon_status examples_new(size_t n, moon_examples *out) {
  if (!n) return moon_fail(MOON_EINVAL, "not one event is an example");
  out->event = moon_alloc(n * sizeof *out->event);
  out->label = moon_alloc(n * sizeof *out->label);
  out->n = n, out->tasks = 1;
  return out->event && out->label ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory for %zu examples", n);
}

/* ---- by what follows ----------------------------------------------------------------------------------------------------- */

/* is: [kinds] set to 1 for those that the label names under `key`. */
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
      return moon_fail(MOON_ENOTFOUND, "%s: no event is of the kind '%s'%s%s%s", key, kind ? kind : "?",
                       near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    }
    is[code] = 1;
  }
  return json_array_size(list) ? moon_ok() : moon_fail(MOON_EINVAL, "%s names no kind of event", key);
}

static moon_status look_ahead(const moon_log *log, const uint8_t *positive, const uint8_t *of, uint64_t within,
                              moon_examples *out) {
  moon_map next = {0}; /* (user, item) -> time of the next positive event */
  moon_status status = moon_ok();
  size_t left = out->n;
  for (size_t i = log->n; i-- && !status.code;) {
    const moon_event *e = &log->events[i];
    uint64_t key = (uint64_t)e->user << 32 | e->item, then, now = (uint64_t)e->time;
    if (positive[e->kind]) status = moon_map_put(&next, key, now);
    if (!of[e->kind]) continue;
    out->event[--left] = (uint32_t)i;
    out->label[left] = moon_map_get(&next, key, &then) && then - now <= within; /* never negative, so exact without a sign */
  }
  moon_map_free(&next);
  return status;
}

static moon_status label_by_events(const json_t *label, const moon_log *log, moon_examples *out) {
  const json_t *within = json_object_get(label, "within_us");
  if (!json_is_integer(within) || json_integer_value(within) < 0) return moon_fail(MOON_EINVAL, "within must be a duration");
  size_t kinds = moon_dict_count(log->kinds), n = 0;
  uint8_t *positive = moon_calloc(kinds, 1), *of = moon_calloc(kinds, 1);
  moon_status status = positive && of ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory for %zu kinds of events", kinds);
  if (!status.code) status = kinds_of(label, "positive", log, positive);
  if (!status.code) status = kinds_of(label, "of", log, of);
  for (size_t i = 0; i < log->n && !status.code; i++) n += of[log->events[i].kind];
  if (!status.code) status = examples_new(n, out);
  if (!status.code) status = look_ahead(log, positive, of, (uint64_t)json_integer_value(within), out);
  moon_free(positive);
  moon_free(of);
  return status;
}

/* ---- by a column --------------------------------------------------------------------------------------------------------- */

static moon_status label_by_column(const json_t *label, const moon_log *log, const char *name, moon_examples *out) {
  const json_t *least = json_object_get(label, "at_least");
  moon_column *column;
  MOON_TRY(moon_table_require(log->table, name, &column));
  if (column->type == MOON_STRING) return moon_fail(MOON_EINVAL, "column %s holds strings; at_least compares numbers", name);
  if (!json_is_number(least)) return moon_fail(MOON_EINVAL, "at_least must be a number");
  size_t n = 0;
  for (size_t i = 0; i < log->n; i++) n += !moon_column_is_null(column, i);
  MOON_TRY(examples_new(n, out));
  n = 0;
  for (size_t i = 0; i < log->n; i++) {
    if (moon_column_is_null(column, i)) continue;
    out->event[n] = (uint32_t)i;
    out->label[n++] = moon_column_number(column, i) >= json_number_value(least);
  }
  return moon_ok();
}

/* ---- one task or several -------------------------------------------------------------------------------------------------- */

static moon_status label_task(const json_t *label, const moon_log *log, moon_examples *out) {
  const char *column = json_string_value(json_object_get(label, "column")), *task = json_string_value(json_object_get(label, "task")),
             *where = json_string_value(json_object_get(label, "where"));
  *out = (moon_examples){0};
  moon_status status;
  if (!log->n)
    status = moon_fail(MOON_EINVAL, "there are no events: %s has none, or none is left by preprocess", log->table->name);
  else
    status = column ? label_by_column(label, log, column, out) : label_by_events(label, log, out);
  if (status.code) moon_examples_free(out);
  return moon_wrap(status, "%s: label%s%s", where ? where : "recipe", task ? " " : "", task ? task : "");
}

size_t moon_label_count(const json_t *label) { return json_is_array(label) ? json_array_size(label) : 1; }

const json_t *moon_label_at(const json_t *label, size_t task) { return json_is_array(label) ? json_array_get(label, task) : label; }

/* A further task of the same examples; labels: [n]. */
static moon_status add_task(const json_t *label, const json_t *first, const moon_log *log, const moon_examples *examples, float *labels) {
  const char *where = json_string_value(json_object_get(label, "where")), *task = json_string_value(json_object_get(label, "task")),
             *other = json_string_value(json_object_get(first, "task"));
  moon_examples own;
  MOON_TRY(label_task(label, log, &own));
  bool same = own.n == examples->n && !memcmp(own.event, examples->event, own.n * sizeof *own.event);
  moon_status status = same ? moon_ok()
                            : moon_fail(MOON_EINVAL, "%s: label %s: its %zu examples are not the %zu of %s: tasks share their examples",
                                        where ? where : "recipe", task ? task : "?", own.n, examples->n, other ? other : "?");
  if (same) memcpy(labels, own.label, own.n * sizeof *labels);
  moon_examples_free(&own);
  return status;
}

moon_status moon_label(const json_t *label, const moon_log *log, moon_examples *out) {
  size_t tasks = moon_label_count(label);
  *out = (moon_examples){0};
  if (!tasks || tasks > MOON_MOST_TASKS) return moon_fail(MOON_EINVAL, "a recipe has 1 to %d labels, not %zu", MOON_MOST_TASKS, tasks);
  MOON_TRY(label_task(moon_label_at(label, 0), log, out));
  if (tasks == 1) return moon_ok();
  float *all = moon_alloc(tasks * out->n * sizeof *all);
  moon_status status = all ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory for %zu labels of %zu examples", tasks, out->n);
  if (all) memcpy(all, out->label, out->n * sizeof *all);
  moon_free(out->label);
  out->label = all, out->tasks = tasks;
  for (size_t t = 1; t < tasks && !status.code; t++)
    status = add_task(moon_label_at(label, t), moon_label_at(label, 0), log, out, all + t * out->n);
  if (status.code) moon_examples_free(out);
  return status;
}

void moon_examples_free(moon_examples *examples) {
  moon_free(examples->event);
  moon_free(examples->label);
  moon_free(examples->item);
  *examples = (moon_examples){0};
}

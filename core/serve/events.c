/* events.c - events are looked at twice: once to find everything that is wrong, and only if nothing is, once more to keep them.
 */
#include "serve/events.h"

#include <string.h>


#define DAY (86400 * MOON_SECOND)
#define EARLIEST (INT64_C(631152000) * MOON_SECOND) /* 1990: smaller numbers are seconds or milliseconds by mistake */

typedef struct check {
  const moon_catalogue *catalogue;
  int64_t now;
  size_t index; /* of the event being looked at */
  size_t count; /* problems so far */
  moon_buf *problems;
} check;

/* The value as JSON, cut where it is long. */
static void add_value(moon_buf *out, const json_t *value) {
  enum { LONG = 100 };
  char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
  size_t n = text ? strlen(text) : 0;
  if (!text) {
    out->failed = true;
  } else if (n <= LONG) {
    moon_buf_add(out, text, n);
  } else {
    size_t cut = 0;
    for (size_t step; (step = moon_utf8_length(text + cut, n - cut)) && cut + step <= LONG;) cut += step;
    memcpy(text + cut, "...", 4);
    moon_json_string(out, text);
  }
  free(text);
}

__attribute__((format(printf, 4, 5))) static void problem(check *c, const char *field, const json_t *value, const char *format,
                                                          ...) {
  va_list args;
  char message[400];
  va_start(args, format);
  vsnprintf(message, sizeof message, format, args);
  va_end(args);
  moon_buf_printf(c->problems, "%s{\"index\":%zu", c->count++ ? "," : "", c->index);
  if (field) {
    moon_buf_puts(c->problems, ",\"field\":");
    moon_json_string(c->problems, field);
  }
  if (value) {
    moon_buf_puts(c->problems, ",\"value\":");
    add_value(c->problems, value);
  }
  moon_buf_puts(c->problems, ",\"message\":");
  moon_json_string(c->problems, message);
  moon_buf_puts(c->problems, "}");
}

static const char *type_name(const json_t *value) {
  static const char *const names[] = {"an object",  "an array", "a string", "a whole number",
                                      "a fraction", "true",     "false",    "null"};
  return names[json_typeof(value)];
}

/* A string of 1 to max bytes, or a problem and NULL. */
static const char *text_field(check *c, const json_t *event, const char *field, size_t max, bool optional) {
  const json_t *value = json_object_get(event, field);
  if (!value && !optional) problem(c, field, NULL, "%s is missing", field);
  if (!value) return NULL;
  if (!json_is_string(value)) {
    problem(c, field, value, "%s must be a string, not %s", field, type_name(value));
    return NULL;
  }
  size_t n = json_string_length(value);
  if (n >= 1 && n <= max) return json_string_value(value);
  problem(c, field, value, "%s must have 1 to %zu bytes, not %zu", field, max, n);
  return NULL;
}

static int64_t time_field(check *c, const json_t *event) {
  const json_t *value = json_object_get(event, "time");
  int64_t time = c->now;
  if (!value) return time;
  if (json_is_string(value)) {
    moon_status status = moon_time_parse(json_string_value(value), json_string_length(value), &time);
    if (status.code) problem(c, "time", value, "%s", status.message);
    if (status.code) return c->now;
  } else if (json_is_integer(value)) {
    time = json_integer_value(value);
  } else {
    problem(c, "time", value, "time must be a string such as \"2026-11-24T10:11:12Z\" or whole microseconds since 1970, not %s",
            type_name(value));
    return c->now;
  }
  if (time < EARLIEST)
    problem(c, "time", value, "time lies before 1990; numbers are microseconds since 1970, not seconds or milliseconds");
  else if (time > c->now + DAY)
    problem(c, "time", value, "time lies more than a day in the future");
  return time;
}

static void check_names(check *c, const json_t *event) {
  static const char *const known[] = {"user", "item", "event", "time", "id"};
  enum { KNOWN = sizeof known / sizeof *known };
  const char *name;
  json_t *value;
  json_object_foreach((json_t *)event, name, value) {
    size_t i = 0;
    while (i < KNOWN && strcmp(known[i], name)) i++;
    if (i < KNOWN) continue;
    const char *near = moon_nearest(name, known, KNOWN);
    if (near)
      problem(c, name, value, "there is no such field; did you mean %s?", near);
    else
      problem(c, name, value, "there is no such field; an event has user, item, event, time and id");
  }
}

/* One event, checked; its texts still belong to the JSON. */
static moon_log_event read_event(check *c, const json_t *event) {
  moon_log_event out = {.item_row = MOON_NONE};
  if (!json_is_object(event)) {
    problem(c, NULL, event, "an event must be an object, not %s", type_name(event));
    return out;
  }
  check_names(c, event);
  out.user = text_field(c, event, "user", MOON_EVENT_ID_MAX, false);
  out.item = text_field(c, event, "item", MOON_EVENT_ID_MAX, false);
  out.kind = text_field(c, event, "event", MOON_EVENT_KIND_MAX, false);
  out.id = text_field(c, event, "id", MOON_EVENT_ID_MAX, true);
  out.time = time_field(c, event);
  if (out.item) out.item_row = moon_dict_find(c->catalogue->ids, out.item, strlen(out.item));
  if (out.item && out.item_row == MOON_NONE) problem(c, "item", json_object_get(event, "item"), "there is no such item");
  return out;
}

static moon_status keep_event(moon_event_batch *batch, moon_log_event event) {
  MOON_TRY(moon_grow(&batch->events, &batch->cap, batch->n + 1, sizeof *batch->events));
  event.user = moon_arena_strdup(&batch->texts, event.user);
  event.item = moon_arena_strdup(&batch->texts, event.item);
  event.kind = moon_arena_strdup(&batch->texts, event.kind);
  bool has_id = event.id != NULL;
  if (has_id) event.id = moon_arena_strdup(&batch->texts, event.id);
  if (!event.user || !event.item || !event.kind || (has_id && !event.id)) return moon_fail(MOON_ENOMEM, "no memory for events");
  batch->events[batch->n++] = event;
  return moon_ok();
}

static moon_status read_events(const json_t *list, check *c, moon_event_batch *batch) {
  size_t count = json_array_size(list);
  if (count > MOON_EVENTS_MAX)
    return moon_fail(MOON_ELIMIT, "%zu events are more than the %d of one request", count, MOON_EVENTS_MAX);
  moon_buf_puts(c->problems, "[");
  for (c->index = 0; c->index < count; c->index++) read_event(c, json_array_get(list, c->index));
  moon_buf_puts(c->problems, "]");
  if (c->problems->failed) return moon_fail(MOON_ENOMEM, "no memory for what is wrong with these events");
  if (c->count)
    return moon_fail(MOON_EINVAL, "%zu thing%s wrong with these events; none was accepted", c->count,
                     c->count == 1 ? " is" : "s are");
  size_t before = batch->n;
  moon_status status = moon_ok();
  for (c->index = 0; c->index < count && !status.code; c->index++)
    status = keep_event(batch, read_event(c, json_array_get(list, c->index)));
  if (status.code) batch->n = before;
  return status;
}

/* The list that a body holds, as a new reference; NULL where it has none of the three shapes. */
static json_t *list_of(json_t *root) {
  json_t *events = json_object_get(root, "events");
  if (json_is_array(root)) return json_incref(root);
  if (json_is_array(events) && json_object_size(root) == 1) return json_incref(events);
  return json_is_object(root) && !events ? json_pack("[O]", root) : NULL;
}

moon_status moon_events_parse(const char *body, size_t n, const moon_catalogue *catalogue, int64_t now, moon_event_batch *batch,
                              moon_buf *problems) {
  json_error_t error;
  json_t *root = json_loadb(body, n, JSON_REJECT_DUPLICATES, &error);
  if (!root) return moon_fail(MOON_EFORMAT, "the body is not JSON: line %d, column %d: %s", error.line, error.column, error.text);
  json_t *list = list_of(root);
  check c = {.catalogue = catalogue, .now = now, .problems = problems};
  moon_status status = list ? read_events(list, &c, batch)
                            : moon_fail(MOON_EFORMAT, "the body must be an event, an array of events, or {\"events\": [...]}");
  json_decref(list);
  json_decref(root);
  return status;
}

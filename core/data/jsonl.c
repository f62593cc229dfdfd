/* jsonl.c - JSON Lines into a table: one object a line, columns by paths of keys.
 *
 * Every value becomes the text that it would be in a CSV, so that one rule says what a number or a time is. A key that a line
 * does not have is a null; one that no line has is a mistake in the recipe. */
#include <stdio.h>
#include <string.h>

#include "data/intake.h"

enum { SAMPLE_BYTES = 1 << 17, LONGEST_LINE = 1 << 24, MOST_DEPTH = 4 };

/* ---- lines ------------------------------------------------------------------------------------------------------------------ */

typedef struct line {
  const char *text;
  size_t n, number;
} line;

/* The next line of the buffer without its end; false where no whole one is. */
static bool next_buffered(moon_stream *in, line *out) {
  if (in->at == in->n) return false;
  const char *from = in->data + in->at, *stop = memchr(from, '\n', in->n - in->at);
  if (!stop && !in->ended) return false;
  *out = (line){from, stop ? (size_t)(stop - from) : in->n - in->at, out->number + 1};
  in->at += out->n + (stop != NULL);
  return true;
}

static moon_status next_line(moon_stream *in, line *out, bool *more) {
  while (!(*more = next_buffered(in, out))) {
    if (in->ended) return moon_ok();
    if (in->n - in->at >= LONGEST_LINE) return moon_fail(MOON_ELIMIT, "%s:%zu: a line of over 16 MiB", in->name, out->number + 1);
    MOON_TRY(moon_stream_more(in));
  }
  return moon_ok();
}

static bool is_blank(const line *l) {
  for (size_t i = 0; i < l->n; i++)
    if (!memchr(" \t\r", l->text[i], 3)) return false;
  return true;
}

/* ---- objects ---------------------------------------------------------------------------------------------------------------- */

/* "user.id" is the key user.id where there is one, else id in what user is. */
static const json_t *find(const json_t *object, const char *path) {
  const json_t *value = json_object_get(object, path);
  for (const char *dot = strchr(path, '.'); dot && !value; dot = strchr(dot + 1, '.')) {
    const json_t *inner = json_object_getn(object, path, (size_t)(dot - path));
    if (json_is_object(inner)) value = find(inner, dot + 1);
  }
  return value;
}

/* Remembers the paths of the first object, to suggest one. */
static void keep_names(moon_intake *in, const json_t *object, const char *prefix, int depth) {
  const char *key;
  json_t *value;
  json_object_foreach((json_t *)object, key, value) {
    if (in->name_count == MOON_MOST_NAMES) return;
    const char *name = moon_arena_printf(&in->kept, "%s%s", prefix, key);
    if (!name) return;
    if (json_is_object(value) && depth < MOST_DEPTH) {
      const char *longer = moon_arena_printf(&in->kept, "%s.", name);
      if (longer) keep_names(in, value, longer, depth + 1);
    } else {
      in->names[in->name_count++] = name;
    }
  }
}

/* The line as an object; NULL and *why and *message where it is none. */
static json_t *parse(const line *l, moon_reject *why, moon_status *message) {
  json_error_t error;
  json_t *object = json_loadb(l->text, l->n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
  if (json_is_object(object)) return object;
  *why = MOON_REJECT_JSON;
  if (object) {
    *message = moon_fail(MOON_EFORMAT, "the line is JSON, but no object");
    json_decref(object);
    return NULL;
  }
  switch (json_error_code(&error)) {
    case json_error_out_of_memory:
      *message = moon_fail(MOON_ENOMEM, "no memory for a line of %zu bytes", l->n);
      return NULL;
    case json_error_invalid_utf8:
    case json_error_null_byte_in_key:
    case json_error_null_character:
      *why = MOON_REJECT_UTF8;
      *message = moon_fail(MOON_EFORMAT, "the line is not UTF-8, or holds a zero byte");
      return NULL;
    case json_error_numeric_overflow:
      *why = MOON_REJECT_RANGE;
      break;
    default:
      break;
  }
  *message = moon_fail(MOON_EFORMAT, "the line does not parse: %.120s", error.text);
  return NULL;
}

/* ---- values ----------------------------------------------------------------------------------------------------------------- */

/* A value as text; NULL: no memory. */
static const char *text_of(moon_intake *in, const json_t *value, moon_type type, size_t *n) {
  if (json_is_string(value)) {
    *n = json_string_length(value);
    return json_string_value(value);
  }
  if (json_is_boolean(value)) {
    const char *text = type == MOON_STRING ? (json_is_true(value) ? "true" : "false") : json_is_true(value) ? "1" : "0";
    *n = strlen(text);
    return text;
  }
  char *text = moon_arena_alloc(&in->arena, 32);
  if (text && json_is_integer(value))
    *n = (size_t)snprintf(text, 32, "%lld", (long long)json_integer_value(value));
  else if (text)
    *n = moon_value_text(json_real_value(value), text);
  return text;
}

static moon_status take_object(moon_intake *in, const json_t *object) {
  for (size_t i = 0; i < in->n; i++) {
    moon_target *t = &in->targets[i];
    const json_t *value = find(object, t->spec->from);
    moon_reject why = MOON_REJECT_TYPE;
    t->seen |= value != NULL;
    if (!value || json_is_null(value)) {
      moon_intake_null(in, i);
    } else if (json_is_object(value) || json_is_array(value)) {
      const char *what = json_is_array(value) ? "a list" : "an object";
      return moon_intake_reject_cell(in, why, i, what, strlen(what));
    } else if (!json_is_number(value) || !moon_intake_number(in, i, json_number_value(value))) {
      size_t n = 0;
      const char *text = text_of(in, value, t->type, &n);
      if (!text) return moon_fail(MOON_ENOMEM, "no memory for a value");
      if (!moon_intake_cell(in, i, text, n, &why)) return moon_intake_reject_cell(in, why, i, text, n);
    }
  }
  moon_intake_push(in);
  return moon_intake_flush(in); /* its texts are the object's */
}

static moon_status take_line(moon_intake *in, const line *l) {
  moon_reject why;
  moon_status message;
  in->line = l->number, in->row = l->text, in->row_n = l->n;
  if (is_blank(l)) return moon_ok();
  json_t *object = parse(l, &why, &message);
  if (!object) return message.code == MOON_ENOMEM ? message : moon_intake_reject(in, why, NULL, message);
  if (!in->name_count) keep_names(in, object, "", 0);
  moon_status status = take_object(in, object);
  json_decref(object);
  return status;
}

/* ---- types ------------------------------------------------------------------------------------------------------------------ */

typedef struct tally {
  size_t numbers, others;
} tally;

/* Columns that nobody gave a type: JSON says which values are numbers, so numbers where all of the first are, else texts. */
static moon_status infer_types(moon_intake *in, moon_stream *stream) {
  for (size_t i = 0; i < in->n; i++) MOON_TRY(moon_intake_type(in, i, NULL));
  if (in->table->column_count) return moon_ok();
  MOON_TRY(moon_stream_fill(stream, SAMPLE_BYTES));
  tally *seen = moon_calloc(in->n, sizeof *seen);
  if (!seen) return moon_fail(MOON_ENOMEM, "no memory to look ahead");
  size_t at = stream->at;
  moon_status status = moon_ok();
  line l = {0};
  while (l.number < MOON_SAMPLE_ROWS && next_buffered(stream, &l) && status.code != MOON_ENOMEM) {
    moon_reject why;
    json_t *object = parse(&l, &why, &status);
    for (size_t i = 0; i < in->n && object; i++) {
      const json_t *value = find(object, in->targets[i].spec->from);
      bool number = json_is_number(value) || json_is_boolean(value);
      seen[i].numbers += number;
      seen[i].others += value && !number && !json_is_null(value);
    }
    json_decref(object);
  }
  stream->at = at;
  for (size_t i = 0; i < in->n; i++) {
    moon_target *t = &in->targets[i];
    if (t->typed) continue;
    t->type = seen[i].numbers && !seen[i].others ? MOON_NUMBER : MOON_STRING;
    t->inferred = true;
  }
  moon_free(seen);
  return status.code == MOON_ENOMEM ? status : moon_ok();
}

static moon_status read_stream(moon_intake *in, moon_stream *stream) {
  MOON_TRY(infer_types(in, stream));
  MOON_TRY(moon_intake_columns(in));
  for (line l = {0};;) {
    bool more;
    MOON_TRY(next_line(stream, &l, &more));
    if (!more) return moon_ok();
    MOON_TRY(take_line(in, &l));
    MOON_TRY(moon_intake_step(in));
  }
}

moon_status moon_jsonl_read(const moon_input *inputs, size_t count, const moon_read_options *options, moon_table **out,
                            moon_read_report *report) {
  return moon_read_inputs(inputs, count, read_stream, options, out, report);
}

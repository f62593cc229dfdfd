/* intake.c - texts of cells become values, rows of cells become rows of a table or rejects. */
#include "data/intake.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "data/rejects.h"

enum { PROGRESS_ROWS = 65536, MOST_TEXT_WAITING = 1 << 16 };

moon_status moon_intake_open(moon_intake *in, const char *name, const moon_read_options *options, moon_read_report *report) {
  *in = (moon_intake){.n = options->column_count, .options = options, .report = report, .source = name};
  *report = (moon_read_report){0};
  in->targets = moon_calloc(in->n, sizeof *in->targets);
  moon_status status = in->targets ? moon_table_new(name, &in->table) : moon_fail(MOON_ENOMEM, "no memory to read %s", name);
  for (size_t i = 0; i < in->n && !status.code; i++) in->targets[i].spec = &options->columns[i];
  return status.code ? moon_intake_end(in, status, NULL) : status;
}

moon_status moon_intake_end(moon_intake *in, moon_status status, moon_table **out) {
  in->report->rows = in->table ? in->table->rows + in->waiting : 0; /* none waits unless it failed */
  if (status.code)
    moon_table_free(in->table);
  else
    *out = in->table;
  for (size_t i = 0; i < in->n && in->targets; i++) moon_free(in->targets[i].texts);
  moon_free(in->targets);
  moon_arena_free(&in->arena);
  moon_arena_free(&in->kept);
  return status;
}

/* ---- columns ---------------------------------------------------------------------------------------------------------------- */

static const moon_type_name type_names[] = {{"string", MOON_STRING, 0},
                                            {"number", MOON_NUMBER, 0},
                                            {"integer", MOON_INTEGER, 0},
                                            {"time", MOON_TIME, MOON_UNIT_AUTO},
                                            {"time_s", MOON_TIME, MOON_UNIT_S},
                                            {"time_ms", MOON_TIME, MOON_UNIT_MS},
                                            {"time_us", MOON_TIME, MOON_UNIT_US},
                                            /* RecBole's: */
                                            {"token", MOON_STRING, 0},
                                            {"token_seq", MOON_STRING, 0},
                                            {"float", MOON_NUMBER, 0},
                                            {"float_seq", MOON_STRING, 0}};
enum { TYPES = sizeof type_names / sizeof *type_names };

const moon_type_name *moon_type_find(const char *name, size_t n) {
  for (size_t i = 0; i < TYPES; i++)
    if (strlen(type_names[i].name) == n && !memcmp(type_names[i].name, name, n)) return &type_names[i];
  return NULL;
}

static moon_status no_such_type(const moon_intake *in, const moon_read_column *spec) {
  const char *names[TYPES];
  for (size_t i = 0; i < TYPES; i++) names[i] = type_names[i].name;
  const char *near = moon_nearest(spec->type, names, TYPES);
  return moon_fail(MOON_EINVAL, "%s: column %s: there is no type '%s'%s%s%s", in->source, spec->name, spec->type,
                   near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

moon_status moon_intake_type(moon_intake *in, size_t target, const moon_type_name *own) {
  static const moon_type_name text = {"string", MOON_STRING, 0}, time = {"time", MOON_TIME, MOON_UNIT_AUTO};
  moon_target *t = &in->targets[target];
  const moon_read_column *spec = t->spec;
  const moon_type_name *type = own;
  if (spec->type) {
    type = moon_type_find(spec->type, strlen(spec->type));
    if (!type) return no_such_type(in, spec);
  } else if (!strcmp(spec->name, "user") || !strcmp(spec->name, "item") || !strcmp(spec->name, "event")) {
    type = &text;
  } else if (!strcmp(spec->name, "time") && !(type && type->type == MOON_TIME)) {
    type = &time;
  }
  t->found = t->unit = type ? type->unit : MOON_UNIT_AUTO; /* each file has its own */
  if (!t->column) {
    if (type) t->type = type->type, t->typed = true;
  } else if (type && type->type != t->type) {
    static const char *const names[] = {"a string", "an integer", "a number", "a time"};
    return moon_fail(MOON_EFORMAT, "%s: column %s is %s here and %s in the files before; \"%s:TYPE\" in the recipe decides",
                     in->source, spec->from, names[type->type], names[t->type], spec->from);
  }
  return moon_ok();
}

static moon_status make_room(moon_intake *in) {
  for (size_t i = 0; i < in->n; i++) {
    moon_column *c = in->targets[i].column;
    size_t need = c->n + MOON_BATCH_ROWS;
    if (need > c->cap) MOON_TRY(moon_grow(&c->raw, &c->cap, need, c->type == MOON_STRING ? sizeof *c->code : sizeof *c->i64));
  }
  return moon_ok();
}

moon_status moon_intake_columns(moon_intake *in) {
  if (in->table->column_count) return moon_ok();
  for (size_t i = 0; i < in->n; i++)
    MOON_TRY(moon_table_add_column(in->table, in->targets[i].spec->name, in->targets[i].type, &in->targets[i].column));
  for (size_t i = 0; i < in->n; i++) {
    moon_target *t = &in->targets[i];
    t->column = &in->table->columns[i]; /* they stay where they are from now on */
    if (t->type == MOON_STRING && !(t->texts = moon_alloc(MOON_BATCH_ROWS * sizeof *t->texts)))
      return moon_fail(MOON_ENOMEM, "no memory to read %s", in->source);
  }
  return make_room(in);
}

moon_status moon_intake_missing(const moon_intake *in, const char *wanted, const char *has, const char *const *names,
                                size_t count) {
  const char *near = moon_nearest(wanted, names, count);
  for (size_t i = 0; i < in->n; i++)
    if (in->targets[i].spec->from == wanted) in->report->missing = i + 1;
  if (near) return moon_fail(MOON_ENOTFOUND, "%s has no column '%s'; did you mean '%s'?", in->source, wanted, near);
  char list[300] = "";
  for (size_t i = 0, used = 0; i < count && used < sizeof list; i++)
    used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", names[i]);
  return moon_fail(MOON_ENOTFOUND, "%s has no column '%s'; %s %s", in->source, wanted, has, *list ? list : "none");
}

/* ---- cells ------------------------------------------------------------------------------------------------------------------ */

bool moon_intake_is_named_missing(const moon_intake *in, const char *text, size_t n) {
  const moon_read_options *options = in->options;
  bool missing = false;
  for (size_t i = 0; i < options->missing_count && !missing; i++)
    missing = strlen(options->missing[i]) == n && !memcmp(options->missing[i], text, n);
  return missing;
}

void moon_intake_null(moon_intake *in, size_t target) {
  moon_target *t = &in->targets[target];
  size_t at = t->column->n + in->waiting;
  if (t->type == MOON_STRING) t->texts[in->waiting].at = NULL;
  else if (t->type == MOON_NUMBER) t->column->f64[at] = NAN;
  else t->column->i64[at] = MOON_NULL_INT;
}

bool moon_intake_number(moon_intake *in, size_t target, double value) {
  moon_column *column = in->targets[target].column;
  if (column->type != MOON_NUMBER || in->options->missing_count) return false;
  column->f64[column->n + in->waiting] = value;
  return true;
}

static bool understand_text(moon_text text, moon_text *out, moon_reject *why) {
  if (text.n > MOON_LONGEST_TEXT)
    *why = MOON_REJECT_LONG;
  else if (moon_utf8_prefix(text.at, text.n) != text.n)
    *why = MOON_REJECT_UTF8;
  else
    return *out = text, true;
  return false;
}

bool moon_intake_cell(moon_intake *in, size_t target, const char *text, size_t n, moon_reject *why) {
  moon_target *t = &in->targets[target];
  size_t at = t->column->n + in->waiting;
  bool fine = false;
  if (moon_intake_is_missing(in, text, n)) return moon_intake_null(in, target), true;
  switch (t->type) {
    case MOON_STRING:
      return understand_text((moon_text){text, n}, &t->texts[in->waiting], why);
    case MOON_NUMBER:
      fine = moon_value_number(text, n, &t->column->f64[at]);
      break;
    case MOON_INTEGER:
      fine = moon_value_integer(text, n, &t->column->i64[at]);
      break;
    case MOON_TIME:
      t->found = t->unit;
      fine = moon_value_time(text, n, &t->found, &t->column->i64[at]);
      break;
  }
  if (!fine)
    *why = moon_value_is_number(text, n, t->type == MOON_INTEGER) ? MOON_REJECT_RANGE
           : t->type == MOON_TIME                                 ? MOON_REJECT_TIME
                                                                  : MOON_REJECT_NUMBER;
  return fine;
}

void moon_intake_push(moon_intake *in) {
  for (size_t i = 0; i < in->n; i++) in->targets[i].unit = in->targets[i].found;
  in->waiting++;
}

moon_status moon_intake_flush(moon_intake *in) {
  for (size_t i = 0; i < in->n && in->waiting; i++) {
    moon_column *c = in->targets[i].column;
    if (c->type == MOON_STRING) MOON_TRY(moon_dict_add_many(c->dict, in->targets[i].texts, in->waiting, c->code + c->n));
  }
  for (size_t i = 0; i < in->n && in->waiting; i++) in->targets[i].column->n += in->waiting;
  in->table->rows += in->waiting;
  in->waiting = 0;
  if (in->arena.head) moon_arena_reset(&in->arena);
  return make_room(in);
}

/* ---- rejects ---------------------------------------------------------------------------------------------------------------- */

moon_status moon_intake_reject(moon_intake *in, moon_reject why, const moon_target *target, moon_status message) {
  moon_read_report *report = in->report;
  size_t allowed = in->options->max_bad_rows;
  if (in->options->rejects)
    moon_rejects_add(in->options->rejects, &(moon_rejected){in->source, in->line, target ? target->spec->from : NULL, why,
                                                            message.message, in->row, in->row_n});
  message = moon_wrap(message, "%s:%zu", in->source, in->line);
  if (report->bad_rows < 3) snprintf(report->first_bad[report->bad_rows], sizeof report->first_bad[0], "%.199s", message.message);
  report->reasons[why]++;
  if (++report->bad_rows <= allowed) return moon_ok();
  if (!allowed) return moon_fail(MOON_EFORMAT, "%s (--max-bad-rows N leaves out up to N such rows)", message.message);
  return moon_fail(MOON_EFORMAT, "%s (the first of more malformed rows than --max-bad-rows %zu allows)", report->first_bad[0],
                   allowed);
}

moon_status moon_intake_reject_cell(moon_intake *in, moon_reject why, size_t target, const char *text, size_t n) {
  static const char *const expected[] = {[MOON_INTEGER] = "a whole number", [MOON_NUMBER] = "a number", [MOON_TIME] = "a time"};
  const moon_target *t = &in->targets[target];
  const char *from = t->spec->from;
  char hint[100] = "";
  if (why == MOON_REJECT_UTF8)
    return moon_intake_reject(in, why, t,
                              moon_fail(MOON_EFORMAT, "column %s: the text is not UTF-8, or holds a zero byte", from));
  if (why == MOON_REJECT_LONG)
    return moon_intake_reject(in, why, t, moon_fail(MOON_EFORMAT, "column %s: a text of %zu bytes, over 1 MiB", from, n));
  if (why == MOON_REJECT_TYPE)
    return moon_intake_reject(in, why, t, moon_fail(MOON_EFORMAT, "column %s: %.*s is not a single value", from, (int)n, text));
  if (t->inferred) snprintf(hint, sizeof hint, "; \"%s:string\" would read texts", from);
  moon_status message = moon_fail(MOON_EFORMAT, "column %s: '%.*s%s' is not %s%s%s", from, (int)(n < 40 ? n : 40), text,
                                  n > 40 ? "..." : "", expected[t->type], why == MOON_REJECT_RANGE ? " in range" : "", hint);
  return moon_intake_reject(in, why, t, message);
}

/* ---- inputs ----------------------------------------------------------------------------------------------------------------- */

moon_status moon_intake_step(moon_intake *in) {
  if (in->waiting == MOON_BATCH_ROWS || in->arena.used_total > MOST_TEXT_WAITING) MOON_TRY(moon_intake_flush(in));
  if (++in->records % PROGRESS_ROWS) return moon_ok();
  char note[80];
  double fraction = in->stream && in->all > 0 ? ((double)in->before + (double)in->stream->packed) / (double)in->all : -1;
  snprintf(note, sizeof note, "%.40s: %zu rows", in->source, in->records);
  if (moon_progress_step(in->options->progress, "reading", fraction > 1 ? 1 : fraction, note)) return moon_ok();
  return moon_fail(MOON_ECANCELED, "interrupted while reading %s", in->source);
}

static int64_t size_of(const moon_input *input) {
  struct stat info;
  return input->path && !stat(input->path, &info) && S_ISREG(info.st_mode) ? info.st_size : 0;
}

static moon_status read_input(moon_intake *in, const moon_input *input, moon_read_stream *read) {
  moon_stream stream;
  MOON_TRY(moon_stream_open(&stream, input, in->options->block));
  in->stream = &stream;
  in->source = stream.name;
  moon_status status = moon_stream_begin(&stream);
  if (!status.code) status = read(in, &stream);
  in->report->bytes += stream.total;
  in->stream = NULL;
  moon_stream_close(&stream);
  return status;
}

/* A column that not one row had is a slip in the recipe and no column of nulls. */
static moon_status all_seen(const moon_intake *in) {
  for (size_t i = 0; i < in->n && in->table->rows; i++)
    if (!in->targets[i].seen)
      return moon_intake_missing(in, in->targets[i].spec->from, "the first row has", in->names, in->name_count);
  return moon_ok();
}

moon_status moon_read_inputs(const moon_input *inputs, size_t count, moon_read_stream *read, const moon_read_options *options,
                             moon_table **out, moon_read_report *report) {
  moon_read_report unwanted;
  moon_intake in;
  if (!count) return moon_fail(MOON_EINVAL, "there is no file to read");
  const char *name = inputs[0].name                 ? inputs[0].name
                     : strrchr(inputs[0].path, '/') ? strrchr(inputs[0].path, '/') + 1
                                                    : inputs[0].path;
  MOON_TRY(moon_intake_open(&in, name, options, report ? report : &unwanted));
  moon_status status = moon_ok();
  for (size_t i = 0; i < count; i++) in.all += size_of(&inputs[i]);
  for (size_t i = 0; i < count && !status.code; i++) {
    status = read_input(&in, &inputs[i], read);
    in.before += size_of(&inputs[i]);
  }
  if (!status.code) status = all_seen(&in);
  return moon_intake_end(&in, status, out);
}

/* csv.c - CSV and TSV into a table.
 *
 * The file streams through one buffer (zlib reads plain and gzipped files alike). A record is found whole in the buffer, cut into fields
 * in place, every wanted field is read, and only then the row is pushed: a bad row leaves no trace but a count and a sample. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "data/data.h"
#include "data/value.h"

enum { BLOCK = 1 << 18, LONGEST_RECORD = 1 << 24, MOST_FIELDS = 4096, SAMPLE_ROWS = 1000 };

typedef struct stream {
  const char *name;
  gzFile file;         /* or a piece of memory: */
  const char *memory;
  size_t memory_n;
  char *data;          /* [cap]; unread bytes are data[at, n) */
  size_t at, n, cap, total;
  bool ended;
  size_t line;         /* of the next record */
} stream;

typedef struct field {
  char *text;
  size_t n;
  bool quoted;
} field;

typedef struct target { /* a wanted column */
  size_t index;         /* its field in a record */
  moon_type type;
  bool typed;
  moon_time_unit unit;
  const moon_csv_column *spec;
} target;

typedef struct cell {
  bool null;
  int64_t integer;
  double number;
  field text;
} cell;

typedef struct reader {
  stream in;
  char delimiter;
  size_t width; /* fields of the header */
  field *fields;
  target *targets;
  cell *cells;
  size_t target_count;
  const moon_csv_options *options;
  moon_csv_report *report;
  moon_table *table;
} reader;

/* ---- bytes ------------------------------------------------------------------------------------------------------------- */

static moon_status refill(stream *in) {
  if (in->at) {
    memmove(in->data, in->data + in->at, in->n - in->at);
    in->n -= in->at;
    in->at = 0;
  }
  if (in->n >= LONGEST_RECORD) return moon_fail(MOON_ELIMIT, "%s:%zu: a record of over 16 MiB; is a quote missing?", in->name, in->line);
  MOON_TRY(moon_grow(&in->data, &in->cap, in->n + BLOCK, 1));
  size_t room = in->cap - in->n, got;
  if (in->file) {
    int count = gzread(in->file, in->data + in->n, (unsigned)room);
    int code = Z_OK;
    const char *why = gzerror(in->file, &code);
    if (count < 0 || (code != Z_OK && code != Z_STREAM_END))
      return moon_fail(MOON_EFORMAT, "%s: %s", in->name, code == Z_BUF_ERROR ? "the compressed file is truncated" : why);
    got = (size_t)count;
  } else {
    got = in->memory_n < room ? in->memory_n : room;
    if (got) memcpy(in->data + in->n, in->memory, got);
    in->memory += got;
    in->memory_n -= got;
  }
  if (!got) in->ended = true;
  in->n += got;
  in->total += got;
  return moon_ok();
}

/* The length of the record at `at` without its line end, or SIZE_MAX where the end is not in the buffer yet. *next: the bytes to skip;
 * *lines: line ends inside. Quotes open only at the start of a field, as RFC 4180 says. */
static size_t record_length(const stream *in, char delimiter, size_t *next, size_t *lines) {
  bool quoted = false, start = true;
  *lines = 0;
  for (size_t i = in->at; i < in->n; i++) {
    char c = in->data[i];
    if (quoted) {
      if (c == '"') {
        if (i + 1 == in->n && !in->ended) return SIZE_MAX;
        if (i + 1 < in->n && in->data[i + 1] == '"') i++;
        else quoted = false;
      } else if (c == '\n') {
        ++*lines;
      }
    } else if (c == '"' && start) {
      quoted = true;
      start = false;
    } else if (c == '\n') {
      size_t end = i - in->at;
      *next = end + 1;
      ++*lines;
      return end && in->data[i - 1] == '\r' ? end - 1 : end;
    } else {
      start = c == delimiter;
    }
  }
  if (!in->ended) return SIZE_MAX;
  size_t rest = in->n - in->at;
  *next = rest;
  return rest && in->data[in->n - 1] == '\r' ? rest - 1 : rest;
}

/* Answers the next record in *text and its length; *more is false at the end. */
static moon_status next_record(stream *in, char delimiter, char **text, size_t *length, size_t *line, bool *more) {
  for (;;) {
    size_t next = 0, lines = 0, n = record_length(in, delimiter, &next, &lines);
    if (n == SIZE_MAX) {
      MOON_TRY(refill(in));
      continue;
    }
    *more = next != 0;
    *text = in->data + in->at;
    *length = n;
    *line = in->line;
    in->at += next;
    in->line += lines;
    return moon_ok();
  }
}

/* Cuts a record into fields, in place. Answers their number, or SIZE_MAX for a text after a closing quote or a quote left open. */
static size_t split(char *text, size_t n, char delimiter, field *fields) {
  size_t count = 0;
  char *at = text, *end = text + n;
  for (;;) {
    if (count == MOST_FIELDS) return SIZE_MAX;
    field *f = &fields[count++];
    *f = (field){.text = at};
    if (at < end && *at == '"') {
      char *to = f->text = ++at;
      f->quoted = true;
      for (;; at++) {
        if (at == end) return SIZE_MAX;
        if (*at == '"' && !(at + 1 < end && at[1] == '"')) break;
        if (*at == '"') at++;
        *to++ = *at;
      }
      f->n = (size_t)(to - f->text);
      if (++at < end && *at != delimiter) return SIZE_MAX;
    } else {
      char *stop = memchr(at, delimiter, (size_t)(end - at));
      at = stop ? stop : end;
      f->n = (size_t)(at - f->text);
    }
    if (at == end) return count;
    at++;
  }
}

/* ---- header ------------------------------------------------------------------------------------------------------------ */

typedef struct type_name {
  const char *name;
  moon_type type;
  moon_time_unit unit;
} type_name;
static const type_name type_names[] = {
    {"string", MOON_STRING, 0},        {"token", MOON_STRING, 0},          {"token_seq", MOON_STRING, 0},
    {"number", MOON_NUMBER, 0},        {"float", MOON_NUMBER, 0},          {"integer", MOON_INTEGER, 0},
    {"time", MOON_TIME, MOON_UNIT_AUTO}, {"time_s", MOON_TIME, MOON_UNIT_S}, {"time_ms", MOON_TIME, MOON_UNIT_MS},
    {"time_us", MOON_TIME, MOON_UNIT_US}};
enum { TYPES = sizeof type_names / sizeof *type_names };

static const type_name *find_type(const char *name, size_t n) {
  for (size_t i = 0; i < TYPES; i++)
    if (strlen(type_names[i].name) == n && !memcmp(type_names[i].name, name, n)) return &type_names[i];
  return NULL;
}

static moon_status missing_column(const reader *r, const char *wanted) {
  const char *names[64];
  char copies[64][64];
  size_t n = r->width < 64 ? r->width : 64;
  for (size_t i = 0; i < n; i++) {
    snprintf(copies[i], sizeof copies[i], "%.*s", (int)(r->fields[i].n < 63 ? r->fields[i].n : 63), r->fields[i].text);
    names[i] = copies[i];
  }
  const char *near = moon_nearest(wanted, names, n);
  if (near) return moon_fail(MOON_ENOTFOUND, "%s has no column '%s'; did you mean '%s'?", r->in.name, wanted, near);
  char list[300] = "";
  for (size_t i = 0, used = 0; i < n && used < sizeof list; i++)
    used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", names[i]);
  return moon_fail(MOON_ENOTFOUND, "%s has no column '%s'; its header has %s", r->in.name, wanted, list);
}

/* Roles have natural types: ids stay texts even where they look like numbers. */
static void natural_type(target *t) {
  const char *name = t->spec->name;
  if (!strcmp(name, "user") || !strcmp(name, "item") || !strcmp(name, "event")) t->type = MOON_STRING, t->typed = true;
  if (!strcmp(name, "time")) t->type = MOON_TIME, t->typed = true;
}

static moon_status bind_target(reader *r, target *t, const type_name *const *header_types) {
  size_t wanted = strlen(t->spec->from);
  for (t->index = 0; t->index < r->width; t->index++)
    if (r->fields[t->index].n == wanted && !memcmp(r->fields[t->index].text, t->spec->from, wanted)) break;
  if (t->index == r->width) return missing_column(r, t->spec->from);
  const type_name *type = header_types[t->index];
  if (t->spec->type) {
    type = find_type(t->spec->type, strlen(t->spec->type));
    if (!type) {
      const char *names[TYPES];
      for (size_t i = 0; i < TYPES; i++) names[i] = type_names[i].name;
      const char *near = moon_nearest(t->spec->type, names, TYPES);
      return moon_fail(MOON_EINVAL, "%s: column %s: there is no type '%s'%s%s%s", r->in.name, t->spec->name, t->spec->type,
                       near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    }
  } else {
    natural_type(t);
  }
  if (!t->typed && type) t->type = type->type, t->unit = type->unit, t->typed = true;
  return moon_ok();
}

static moon_status read_header(reader *r) {
  char *text;
  size_t n, line;
  bool more;
  MOON_TRY(refill(&r->in));
  if (r->in.n >= 3 && !memcmp(r->in.data, "\xef\xbb\xbf", 3)) r->in.at = 3;
  do MOON_TRY(next_record(&r->in, r->delimiter, &text, &n, &line, &more));
  while (more && !n);
  if (!more) return moon_fail(MOON_EFORMAT, "%s is empty: a header with the names of the columns was expected", r->in.name);
  r->width = split(text, n, r->delimiter, r->fields);
  if (r->width == SIZE_MAX) return moon_fail(MOON_EFORMAT, "%s:%zu: the header does not parse: a quote is not closed", r->in.name, line);
  const type_name **types = moon_calloc(r->width, sizeof *types);
  if (!types) return moon_fail(MOON_ENOMEM, "no memory for a header");
  for (size_t i = 0; i < r->width; i++) { /* "price:float" is the column price */
    field *f = &r->fields[i];
    char *colon = memrchr(f->text, ':', f->n);
    if (!colon) continue;
    types[i] = find_type(colon + 1, (size_t)(f->text + f->n - colon - 1));
    if (types[i]) f->n = (size_t)(colon - f->text);
    else if (f->n > 10 && !memcmp(f->text + f->n - 10, ":float_seq", 10)) types[i] = find_type("string", 6), f->n -= 10;
  }
  moon_status status = moon_ok();
  for (size_t i = 0; i < r->target_count && !status.code; i++) status = bind_target(r, &r->targets[i], types);
  moon_free(types);
  return status;
}

/* Columns without a type: numbers where all of the first rows are, else strings. Looks ahead in a copy of the buffer. */
static moon_status infer_types(reader *r) {
  bool any = false;
  for (size_t i = 0; i < r->target_count; i++) any |= !r->targets[i].typed;
  if (!any) return moon_ok();
  if (r->in.n - r->in.at < BLOCK / 2 && !r->in.ended) MOON_TRY(refill(&r->in));
  stream peek = r->in;
  peek.ended = true;
  peek.cap = r->in.n - r->in.at;
  peek.data = moon_alloc(peek.cap);
  if (!peek.data) return moon_fail(MOON_ENOMEM, "no memory to look ahead");
  memcpy(peek.data, r->in.data + r->in.at, peek.cap);
  peek.n = peek.cap;
  peek.at = 0;
  bool *text = moon_calloc(r->target_count, sizeof *text), more = true;
  moon_status status = text ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory to look ahead");
  for (size_t row = 0; row < SAMPLE_ROWS && !status.code; row++) {
    char *record;
    size_t n, line;
    status = next_record(&peek, r->delimiter, &record, &n, &line, &more);
    bool cut = peek.at == peek.n && !r->in.ended; /* the last record may go on beyond the buffer */
    if (status.code || !more || cut) break;
    if (split(record, n, r->delimiter, r->fields) != r->width) continue;
    for (size_t i = 0; i < r->target_count; i++) {
      const field *f = &r->fields[r->targets[i].index];
      double ignored;
      if (f->n && !moon_value_number(f->text, f->n, &ignored)) text[i] = true;
    }
  }
  for (size_t i = 0; i < r->target_count && text; i++)
    if (!r->targets[i].typed) r->targets[i].type = text[i] ? MOON_STRING : MOON_NUMBER;
  moon_free(text);
  moon_free(peek.data);
  return status;
}

/* ---- rows -------------------------------------------------------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static moon_status bad_row(reader *r, size_t line, const char *format, ...) {
  char what[150];
  va_list args;
  va_start(args, format);
  vsnprintf(what, sizeof what, format, args);
  va_end(args);
  moon_csv_report *report = r->report;
  if (report->bad_rows < 3) snprintf(report->first_bad[report->bad_rows], sizeof report->first_bad[0], "%s:%zu: %s", r->in.name, line, what);
  if (++report->bad_rows <= r->options->max_bad_rows) return moon_ok();
  if (!r->options->max_bad_rows)
    return moon_fail(MOON_EFORMAT, "%s:%zu: %s (--max-bad-rows N leaves out up to N such rows)", r->in.name, line, what);
  return moon_fail(MOON_EFORMAT, "%s: over %zu malformed rows, the first at %s (--max-bad-rows)", r->in.name, r->options->max_bad_rows,
                   report->first_bad[0]);
}

static bool read_cell(target *t, const field *f, cell *out) {
  out->null = !f->n;
  out->text = *f;
  if (out->null) return true;
  switch (t->type) {
    case MOON_STRING: return moon_value_utf8(f->text, f->n);
    case MOON_NUMBER: return moon_value_number(f->text, f->n, &out->number);
    case MOON_INTEGER: return moon_value_integer(f->text, f->n, &out->integer);
    case MOON_TIME: return moon_value_time(f->text, f->n, &t->unit, &out->integer);
  }
  return false;
}

static const char *expected(moon_type type) {
  static const char *const texts[] = {"valid UTF-8 text", "a whole number", "a number", "a time"};
  return texts[type];
}

static moon_status push_row(reader *r) {
  for (size_t i = 0; i < r->target_count; i++) {
    moon_column *column = &r->table->columns[i];
    const cell *c = &r->cells[i];
    if (c->null) MOON_TRY(moon_column_push_null(column));
    else if (column->type == MOON_STRING) MOON_TRY(moon_column_push_string(column, c->text.text, c->text.n));
    else if (column->type == MOON_NUMBER) MOON_TRY(moon_column_push_number(column, c->number));
    else MOON_TRY(moon_column_push_integer(column, c->integer));
  }
  r->table->rows++;
  return moon_ok();
}

static moon_status read_record(reader *r, char *text, size_t n, size_t line) {
  size_t count = split(text, n, r->delimiter, r->fields);
  if (count == SIZE_MAX) return bad_row(r, line, "a quote is not closed, or a text follows a closing quote");
  if (count != r->width) return bad_row(r, line, "%zu fields, the header has %zu", count, r->width);
  for (size_t i = 0; i < r->target_count; i++) {
    target *t = &r->targets[i];
    const field *f = &r->fields[t->index];
    if (!read_cell(t, f, &r->cells[i])) {
      bool text_error = t->type == MOON_STRING;
      return bad_row(r, line, "column %s: %s%.*s%s is not %s", t->spec->from, text_error ? "the value" : "'",
                     text_error ? 0 : (int)(f->n < 40 ? f->n : 40), f->text, text_error ? "" : "'", expected(t->type));
    }
  }
  return push_row(r);
}

static moon_status read_rows(reader *r) {
  char *text, note[64];
  size_t n, line, rows = 0;
  bool more;
  for (;;) {
    MOON_TRY(next_record(&r->in, r->delimiter, &text, &n, &line, &more));
    if (!more) return moon_ok();
    if (!n && r->width > 1) continue; /* a blank line */
    MOON_TRY(read_record(r, text, n, line));
    if (++rows % 65536 == 0) {
      snprintf(note, sizeof note, "%s: %zu rows", r->in.name, rows);
      if (!moon_progress_step(r->options->progress, "reading", -1, note)) return moon_fail(MOON_ECANCELED, "reading %s was stopped", r->in.name);
    }
  }
}

static moon_status read_table(stream in, const moon_csv_options *options, moon_table **out, moon_csv_report *report) {
  moon_csv_report ignored;
  reader r = {.in = in, .delimiter = options->delimiter ? options->delimiter : ',', .options = options, .report = report ? report : &ignored,
              .target_count = options->column_count};
  *r.report = (moon_csv_report){0};
  moon_status status = moon_ok();
  r.in.line = 1;
  r.fields = moon_alloc(MOST_FIELDS * sizeof *r.fields);
  r.targets = moon_calloc(r.target_count, sizeof *r.targets);
  r.cells = moon_calloc(r.target_count, sizeof *r.cells);
  if (!r.fields || !r.targets || !r.cells) {
    status = moon_fail(MOON_ENOMEM, "no memory to read %s", in.name);
    goto done;
  }
  for (size_t i = 0; i < r.target_count; i++) r.targets[i].spec = &options->columns[i];
  MOON_GOTO(status, moon_table_new(in.name, &r.table), done);
  MOON_GOTO(status, read_header(&r), done);
  MOON_GOTO(status, infer_types(&r), done);
  for (size_t i = 0; i < r.target_count; i++) {
    moon_column *column;
    MOON_GOTO(status, moon_table_add_column(r.table, r.targets[i].spec->name, r.targets[i].type, &column), done);
  }
  status = read_rows(&r);
  r.report->rows = r.table->rows;
  r.report->bytes = r.in.total;
done:
  moon_free(r.in.data);
  moon_free(r.fields);
  moon_free(r.targets);
  moon_free(r.cells);
  if (status.code) moon_table_free(r.table);
  else *out = r.table;
  return status;
}

static const char *base_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

moon_status moon_csv_read(const char *path, const moon_csv_options *options, moon_table **out, moon_csv_report *report) {
  if (!moon_file_exists(path)) return moon_fail(MOON_ENOTFOUND, "%s: there is no such file", path);
  gzFile file = gzopen(path, "rbe");
  if (!file) return moon_fail(MOON_EIO, "%s: it could not be opened", path);
  gzbuffer(file, BLOCK);
  moon_status status = read_table((stream){.name = base_name(path), .file = file}, options, out, report);
  gzclose(file);
  return status;
}

moon_status moon_csv_read_memory(const char *name, const char *bytes, size_t n, const moon_csv_options *options, moon_table **out,
                                 moon_csv_report *report) {
  return read_table((stream){.name = name, .memory = bytes, .memory_n = n}, options, out, report);
}

/* csv.c - CSV and TSV into a table.
 *
 * The header says where the wanted columns are and, with the recipe, of what type. Then every record is read in two steps: all
 * wanted cells are understood, and only then pushed. So a bad row leaves no trace but a count and a sample. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "data/data.h"
#include "data/records.h"
#include "data/value.h"

enum { SAMPLE_BYTES = 1 << 17, SAMPLE_ROWS = 1000, PROGRESS_ROWS = 65536 };

typedef struct target { /* a wanted column */
  const moon_csv_column *spec;
  size_t index; /* its field in a record */
  moon_type type;
  bool typed, inferred;
  moon_time_unit unit;
  moon_column *column;
} target;

typedef struct cell {
  bool null;
  uint32_t code;       /* of a text that was seen before, else MOON_NONE */
  moon_field text;
  int64_t integer;
  double number;
  moon_time_unit unit; /* which an AUTO time was found to have */
} cell;

typedef struct reader {
  moon_records *in;
  size_t width; /* fields of the header */
  target *targets;
  cell *cells;
  size_t target_count;
  const moon_csv_options *options;
  moon_csv_report *report;
  moon_table *table;
  int64_t packed; /* bytes of the file; 0 where unknown */
} reader;

/* ---- header ------------------------------------------------------------------------------------------------------------ */

typedef struct type_name {
  const char *name;
  moon_type type;
  moon_time_unit unit;
} type_name;
static const type_name type_names[] = {
    {"string", MOON_STRING, 0},          {"number", MOON_NUMBER, 0},         {"integer", MOON_INTEGER, 0},
    {"time", MOON_TIME, MOON_UNIT_AUTO}, {"time_s", MOON_TIME, MOON_UNIT_S}, {"time_ms", MOON_TIME, MOON_UNIT_MS},
    {"time_us", MOON_TIME, MOON_UNIT_US},
    /* RecBole's: */
    {"token", MOON_STRING, 0},           {"token_seq", MOON_STRING, 0},      {"float", MOON_NUMBER, 0},
    {"float_seq", MOON_STRING, 0}};
enum { TYPES = sizeof type_names / sizeof *type_names };

static const type_name *find_type(const char *name, size_t n) {
  for (size_t i = 0; i < TYPES; i++)
    if (strlen(type_names[i].name) == n && !memcmp(type_names[i].name, name, n)) return &type_names[i];
  return NULL;
}

static moon_status no_such_type(const reader *r, const moon_csv_column *spec) {
  const char *names[TYPES];
  for (size_t i = 0; i < TYPES; i++) names[i] = type_names[i].name;
  const char *near = moon_nearest(spec->type, names, TYPES);
  return moon_fail(MOON_EINVAL, "%s: column %s: there is no type '%s'%s%s%s", r->in->name, spec->name, spec->type,
                   near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static moon_status no_such_column(const reader *r, const char *wanted) {
  const char *names[64];
  char copies[64][64];
  size_t n = r->width < 64 ? r->width : 64;
  for (size_t i = 0; i < n; i++) {
    const moon_field *f = &r->in->fields[i];
    snprintf(copies[i], sizeof copies[i], "%.*s", (int)(f->n < 63 ? f->n : 63), f->text);
    names[i] = copies[i];
  }
  const char *near = moon_nearest(wanted, names, n);
  if (near) return moon_fail(MOON_ENOTFOUND, "%s has no column '%s'; did you mean '%s'?", r->in->name, wanted, near);
  char list[300] = "";
  for (size_t i = 0, used = 0; i < n && used < sizeof list; i++)
    used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", names[i]);
  return moon_fail(MOON_ENOTFOUND, "%s has no column '%s'; its header has %s", r->in->name, wanted, list);
}

/* The column's place in the header. */
static moon_status find_column(const reader *r, target *t) {
  size_t n = strlen(t->spec->from), found = 0;
  for (size_t i = 0; i < r->width; i++) {
    const moon_field *f = &r->in->fields[i];
    if (f->n != n || memcmp(f->text, t->spec->from, n)) continue;
    if (found++)
      return moon_fail(MOON_EFORMAT, "%s: the header has '%s' twice, in columns %zu and %zu", r->in->name, t->spec->from,
                       t->index + 1, i + 1);
    t->index = i;
  }
  return found ? moon_ok() : no_such_column(r, t->spec->from);
}

/* The recipe's word counts most. Then roles have natural types: ids stay texts even where they look like numbers. Then the
 * header's. */
static moon_status choose_type(const reader *r, target *t, const type_name *in_header) {
  static const type_name text = {"string", MOON_STRING, 0}, time = {"time", MOON_TIME, MOON_UNIT_AUTO};
  const moon_csv_column *spec = t->spec;
  const type_name *type = in_header;
  if (spec->type) {
    type = find_type(spec->type, strlen(spec->type));
    if (!type) return no_such_type(r, spec);
  } else if (!strcmp(spec->name, "user") || !strcmp(spec->name, "item") || !strcmp(spec->name, "event")) {
    type = &text;
  } else if (!strcmp(spec->name, "time") && !(type && type->type == MOON_TIME)) {
    type = &time;
  }
  if (type) t->type = type->type, t->unit = type->unit, t->typed = true;
  return moon_ok();
}

static moon_status read_header(reader *r) {
  moon_records *in = r->in;
  bool more = true;
  MOON_TRY(moon_records_fill(in, 3));
  if (in->n >= 3 && !memcmp(in->data, "\xef\xbb\xbf", 3)) in->at = 3;
  if (in->n >= 2 && (!memcmp(in->data, "\xff\xfe", 2) || !memcmp(in->data, "\xfe\xff", 2)))
    return moon_fail(MOON_EFORMAT, "%s is UTF-16; it must be UTF-8", in->name);
  do MOON_TRY(moon_records_next(in, &more));
  while (more && in->count == 1 && !in->fields[0].n); /* blank lines */
  if (!more) return moon_fail(MOON_EFORMAT, "%s is empty: a header with the names of the columns was expected", in->name);
  if (in->fault)
    return moon_fail(MOON_EFORMAT, "%s:%zu: the header does not parse: %s", in->name, in->line,
                     in->fault == MOON_FAULT_TAIL ? "a text follows a closing quote" : "there are over 4096 columns");
  r->width = in->count;
  const type_name **types = moon_calloc(r->width, sizeof *types);
  if (!types) return moon_fail(MOON_ENOMEM, "no memory for a header");
  for (size_t i = 0; i < r->width; i++) { /* "price:float" is the column price */
    moon_field *f = &in->fields[i];
    moon_field_unquote(f);
    char *colon = memrchr(f->text, ':', f->n);
    if (colon) types[i] = find_type(colon + 1, (size_t)(f->text + f->n - colon - 1));
    if (types[i]) f->n = (size_t)(colon - f->text);
  }
  moon_status status = moon_ok();
  for (size_t i = 0; i < r->target_count && !status.code; i++) {
    status = find_column(r, &r->targets[i]);
    if (!status.code) status = choose_type(r, &r->targets[i], types[r->targets[i].index]);
  }
  moon_free(types);
  return status;
}

static bool is_missing(const moon_csv_options *options, const moon_field *f) {
  bool missing = !f->n;
  for (size_t i = 0; i < options->missing_count && !missing; i++)
    missing = strlen(options->missing[i]) == f->n && !memcmp(options->missing[i], f->text, f->n);
  return missing;
}

/* Columns that nobody gave a type: numbers where at least nine in ten of the first values are, so that a slip is reported as
 * one and does not turn the column into texts. */
static moon_status infer_types(reader *r) {
  bool any = false;
  for (size_t i = 0; i < r->target_count; i++) any |= !r->targets[i].typed;
  if (!any) return moon_ok();
  MOON_TRY(moon_records_fill(r->in, SAMPLE_BYTES));
  struct { size_t values, numbers; } *seen = moon_calloc(r->target_count, sizeof *seen);
  if (!seen) return moon_fail(MOON_ENOMEM, "no memory to look ahead");
  size_t at = r->in->at, line = r->in->next_line, rows = 0;
  for (; rows < SAMPLE_ROWS && moon_records_next_buffered(r->in); rows++) {
    if (r->in->fault || r->in->count != r->width) continue;
    for (size_t i = 0; i < r->target_count; i++) {
      const moon_field *f = &r->in->fields[r->targets[i].index];
      double ignored;
      seen[i].values += !is_missing(r->options, f);
      seen[i].numbers += moon_value_number(f->text, f->n, &ignored);
    }
  }
  r->in->at = at;
  r->in->next_line = line;
  bool too_long = !rows && !r->in->ended; /* a first row that fills the sample is no row of numbers */
  for (size_t i = 0; i < r->target_count; i++) {
    target *t = &r->targets[i];
    if (t->typed) continue;
    t->type = seen[i].numbers * 10 >= seen[i].values * 9 && !too_long ? MOON_NUMBER : MOON_STRING;
    t->inferred = true;
  }
  moon_free(seen);
  return moon_ok();
}

/* ---- rows -------------------------------------------------------------------------------------------------------------- */

/* Counts and samples a row that is left out, or fails where there are more of them than allowed. why: what is wrong with it. */
static moon_status bad_row(reader *r, moon_status why) {
  moon_csv_report *report = r->report;
  why = moon_wrap(why, "%s:%zu", r->in->name, r->in->line);
  if (report->bad_rows < 3) snprintf(report->first_bad[report->bad_rows], sizeof report->first_bad[0], "%.199s", why.message);
  size_t allowed = r->options->max_bad_rows;
  if (++report->bad_rows <= allowed) return moon_ok();
  if (!allowed) return moon_fail(MOON_EFORMAT, "%s (--max-bad-rows N leaves out up to N such rows)", why.message);
  return moon_fail(MOON_EFORMAT, "%s (the first of more malformed rows than --max-bad-rows %zu allows)", report->first_bad[0],
                   allowed);
}

static bool read_cell(const moon_csv_options *options, const target *t, moon_field *f, cell *out) {
  out->null = is_missing(options, f);
  if (out->null) return true;
  switch (t->type) {
    case MOON_STRING:
      moon_field_unquote(f);
      out->text = *f;
      out->code = moon_dict_find(t->column->dict, f->text, f->n);
      return out->code != MOON_NONE || moon_utf8_prefix(f->text, f->n) == f->n; /* what is in the dictionary was checked before */
    case MOON_NUMBER: return moon_value_number(f->text, f->n, &out->number);
    case MOON_INTEGER: return moon_value_integer(f->text, f->n, &out->integer);
    case MOON_TIME: out->unit = t->unit; return moon_value_time(f->text, f->n, &out->unit, &out->integer);
  }
  return false;
}

static moon_status bad_cell(const target *t, const moon_field *f) {
  static const char *const expected[] = {[MOON_INTEGER] = "a whole number", [MOON_NUMBER] = "a number", [MOON_TIME] = "a time"};
  if (t->type == MOON_STRING)
    return moon_fail(MOON_EFORMAT, "column %s: the text is not UTF-8, or holds a zero byte", t->spec->from);
  char hint[100] = "";
  if (t->inferred) snprintf(hint, sizeof hint, "; \"%s:string\" would read texts", t->spec->from);
  return moon_fail(MOON_EFORMAT, "column %s: '%.*s%s' is not %s%s", t->spec->from, (int)(f->n < 40 ? f->n : 40), f->text,
                   f->n > 40 ? "..." : "", expected[t->type], hint);
}

static moon_status push_row(reader *r) {
  for (size_t i = 0; i < r->target_count; i++) {
    target *t = &r->targets[i];
    cell *c = &r->cells[i];
    if (c->null) {
      MOON_TRY(moon_column_push_null(t->column));
    } else if (t->type == MOON_STRING) {
      if (c->code == MOON_NONE) MOON_TRY(moon_dict_add(t->column->dict, c->text.text, c->text.n, &c->code));
      MOON_TRY(moon_column_push_code(t->column, c->code));
    } else if (t->type == MOON_NUMBER) {
      MOON_TRY(moon_column_push_number(t->column, c->number));
    } else {
      if (t->type == MOON_TIME) t->unit = c->unit;
      MOON_TRY(moon_column_push_integer(t->column, c->integer));
    }
  }
  r->table->rows++;
  return moon_ok();
}

static moon_status read_record(reader *r) {
  moon_records *in = r->in;
  if (in->fault == MOON_FAULT_TAIL) return bad_row(r, moon_fail(MOON_EFORMAT, "a text follows a closing quote"));
  if (in->fault || in->count != r->width)
    return bad_row(
        r, moon_fail(MOON_EFORMAT, "%zu fields%s, the header has %zu", in->count, in->fault ? " and more" : "", r->width));
  for (size_t i = 0; i < r->target_count; i++) {
    const target *t = &r->targets[i];
    if (!read_cell(r->options, t, &in->fields[t->index], &r->cells[i])) return bad_row(r, bad_cell(t, &in->fields[t->index]));
  }
  return push_row(r);
}

static moon_status report_progress(const reader *r, size_t records) {
  char note[80];
  double fraction = r->packed > 0 && r->in->file ? (double)gzoffset(r->in->file) / (double)r->packed : -1;
  snprintf(note, sizeof note, "%.40s: %zu rows", r->in->name, records);
  if (moon_progress_step(r->options->progress, "reading", fraction > 1 ? 1 : fraction, note)) return moon_ok();
  return moon_fail(MOON_ECANCELED, "interrupted while reading %s", r->in->name);
}

static moon_status read_rows(reader *r) {
  for (size_t records = 1;; records++) {
    bool more;
    MOON_TRY(moon_records_next(r->in, &more));
    if (!more) return moon_ok();
    bool blank = r->width > 1 && r->in->count == 1 && !r->in->fields[0].n;
    if (!blank) MOON_TRY(read_record(r));
    if (records % PROGRESS_ROWS == 0) MOON_TRY(report_progress(r, records));
  }
}

static moon_status add_columns(reader *r) {
  for (size_t i = 0; i < r->target_count; i++)
    MOON_TRY(moon_table_add_column(r->table, r->targets[i].spec->name, r->targets[i].type, &r->targets[i].column));
  for (size_t i = 0; i < r->target_count; i++)
    r->targets[i].column = &r->table->columns[i]; /* they stay where they are from now on */
  return moon_ok();
}

static moon_status read_table(moon_records *in, int64_t packed, const moon_csv_options *options, moon_table **out,
                              moon_csv_report *report) {
  moon_csv_report unwanted;
  reader r = {.in = in,
              .target_count = options->column_count,
              .options = options,
              .report = report ? report : &unwanted,
              .packed = packed};
  *r.report = (moon_csv_report){0};
  r.targets = moon_calloc(r.target_count, sizeof *r.targets);
  r.cells = moon_calloc(r.target_count, sizeof *r.cells);
  moon_status status = r.targets && r.cells ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory to read %s", in->name);
  for (size_t i = 0; i < r.target_count && !status.code; i++) r.targets[i].spec = &options->columns[i];
  if (!status.code) status = moon_table_new(in->name, &r.table);
  if (!status.code) status = read_header(&r);
  if (!status.code) status = infer_types(&r);
  if (!status.code) status = add_columns(&r);
  if (!status.code) status = read_rows(&r);
  r.report->rows = r.table ? r.table->rows : 0;
  r.report->bytes = in->total;
  moon_free(r.targets);
  moon_free(r.cells);
  if (status.code) moon_table_free(r.table);
  else *out = r.table;
  return status;
}

moon_status moon_csv_read(const char *path, const moon_csv_options *options, moon_table **out, moon_csv_report *report) {
  moon_records in;
  struct stat info;
  MOON_TRY(moon_records_open(&in, path, options->delimiter ? options->delimiter : ',', options->block));
  moon_status status = read_table(&in, stat(path, &info) ? 0 : info.st_size, options, out, report);
  moon_records_close(&in);
  return status;
}

moon_status moon_csv_read_memory(const char *name, const char *bytes, size_t n, const moon_csv_options *options, moon_table **out,
                                 moon_csv_report *report) {
  moon_records in;
  MOON_TRY(moon_records_open_memory(&in, name, bytes, n, options->delimiter ? options->delimiter : ',', options->block));
  moon_status status = read_table(&in, 0, options, out, report);
  moon_records_close(&in);
  return status;
}

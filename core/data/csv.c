/* csv.c - CSV and TSV into a table: each file's own header says where the wanted columns are and, with the recipe, of what
 * type. */
#include <stdio.h>
#include <string.h>

#include "data/intake.h"
#include "data/records.h"

enum { SAMPLE_BYTES = 1 << 17 };

/* ---- header ------------------------------------------------------------------------------------------------------------ */

static moon_status no_such_column(const moon_intake *in, const moon_records *r, const char *wanted) {
  const char *names[MOON_MOST_NAMES];
  char copies[MOON_MOST_NAMES][64];
  size_t n = r->count < MOON_MOST_NAMES ? r->count : MOON_MOST_NAMES;
  for (size_t i = 0; i < n; i++) {
    const moon_field *f = &r->fields[i];
    snprintf(copies[i], sizeof copies[i], "%.*s", (int)(f->n < 63 ? f->n : 63), f->text);
    names[i] = copies[i];
  }
  return moon_intake_missing(in, wanted, "its header has", names, n);
}

/* The column's place in the header. */
static moon_status find_column(const moon_intake *in, const moon_records *r, moon_target *t) {
  size_t n = strlen(t->spec->from), found = 0;
  for (size_t i = 0; i < r->count; i++) {
    const moon_field *f = &r->fields[i];
    if (f->n != n || memcmp(f->text, t->spec->from, n)) continue;
    if (found++)
      return moon_fail(MOON_EFORMAT, "%s: the header has '%s' twice, in columns %zu and %zu", in->source, t->spec->from,
                       t->index + 1, i + 1);
    t->index = i;
  }
  t->seen = found;
  return found ? moon_ok() : no_such_column(in, r, t->spec->from);
}

/* A field's text without doubled quotes; in the arena where it had some. NULL: no memory. */
static const char *plain_text(moon_intake *in, moon_field *f) {
  if (!f->doubled) return f->text;
  char *copy = moon_arena_alloc(&in->arena, f->n);
  if (copy) f->n = moon_field_unquote(f, copy);
  f->doubled = false;
  return f->text = copy;
}

static moon_status read_header(moon_intake *in, moon_records *r) {
  bool more = true;
  do MOON_TRY(moon_records_next(r, &more));
  while (more && r->count == 1 && !r->fields[0].n); /* blank lines */
  if (!more) return moon_fail(MOON_EFORMAT, "%s is empty: a header with the names of the columns was expected", in->source);
  if (r->fault)
    return moon_fail(MOON_EFORMAT, "%s:%zu: the header does not parse: %s", in->source, r->line,
                     r->fault == MOON_FAULT_TAIL ? "a text follows a closing quote" : "there are over 4096 columns");
  const moon_type_name **types = moon_calloc(r->count, sizeof *types);
  moon_status status = types ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory for a header");
  for (size_t i = 0; i < r->count && !status.code; i++) { /* "price:float" is the column price */
    moon_field *f = &r->fields[i];
    const char *text = plain_text(in, f), *colon = text ? memrchr(text, ':', f->n) : NULL;
    if (!text) status = moon_fail(MOON_ENOMEM, "no memory for a header");
    if (colon) types[i] = moon_type_find(colon + 1, (size_t)(text + f->n - colon - 1));
    if (types[i]) f->n = (size_t)(colon - text);
  }
  for (size_t i = 0; i < in->n && !status.code; i++) {
    status = find_column(in, r, &in->targets[i]);
    if (!status.code) status = moon_intake_type(in, i, types[in->targets[i].index]);
  }
  moon_free(types);
  return status;
}

typedef struct tally {
  size_t values, numbers;
} tally;

static void count_values(const moon_intake *in, moon_records *r, size_t width, tally *seen) {
  moon_stream *stream = r->in;
  size_t at = stream->at, line = r->next_line, rows = 0;
  for (; rows < MOON_SAMPLE_ROWS && moon_records_next_buffered(r); rows++) {
    if (r->fault || r->count != width) continue;
    for (size_t i = 0; i < in->n; i++) {
      const moon_field *f = &r->fields[in->targets[i].index];
      double ignored;
      seen[i].values += !moon_intake_is_missing(in, f->text, f->n);
      seen[i].numbers += moon_value_number(f->text, f->n, &ignored);
    }
  }
  stream->at = at;
  r->next_line = line;
  if (!rows && !stream->ended) /* a first row that fills the sample is no row of numbers */
    for (size_t i = 0; i < in->n; i++) seen[i].values = 1;
}

/* Columns that nobody gave a type: numbers where at least nine in ten of the first values are, so that a slip is reported as
 * one and does not turn the column into texts. */
static moon_status infer_types(moon_intake *in, moon_records *r, size_t width) {
  bool any = false;
  for (size_t i = 0; i < in->n; i++) any |= !in->targets[i].typed;
  if (!any || in->table->column_count) return moon_ok();
  MOON_TRY(moon_stream_fill(r->in, SAMPLE_BYTES));
  tally *seen = moon_calloc(in->n, sizeof *seen);
  if (!seen) return moon_fail(MOON_ENOMEM, "no memory to look ahead");
  count_values(in, r, width, seen);
  for (size_t i = 0; i < in->n; i++) {
    moon_target *t = &in->targets[i];
    if (t->typed) continue;
    t->type = seen[i].numbers * 10 >= seen[i].values * 9 ? MOON_NUMBER : MOON_STRING;
    t->inferred = true;
  }
  moon_free(seen);
  return moon_ok();
}

/* ---- rows -------------------------------------------------------------------------------------------------------------- */

static moon_status read_record(moon_intake *in, moon_records *r, size_t width) {
  in->line = r->line, in->row = r->text, in->row_n = r->text_n;
  if (r->fault == MOON_FAULT_TAIL)
    return moon_intake_reject(in, MOON_REJECT_QUOTES, NULL, moon_fail(MOON_EFORMAT, "a text follows a closing quote"));
  if (r->fault || r->count != width)
    return moon_intake_reject(
        in, MOON_REJECT_FIELDS, NULL,
        moon_fail(MOON_EFORMAT, "%zu fields%s, the header has %zu", r->count, r->fault ? " and more" : "", width));
  for (size_t i = 0; i < in->n; i++) {
    moon_field *f = &r->fields[in->targets[i].index];
    moon_reject why;
    const char *text = in->targets[i].type == MOON_STRING ? plain_text(in, f) : f->text;
    if (!text) return moon_fail(MOON_ENOMEM, "no memory for a text of %zu bytes", f->n);
    if (!moon_intake_cell(in, i, text, f->n, &why)) return moon_intake_reject_cell(in, why, i, text, f->n);
  }
  moon_intake_push(in);
  return moon_ok();
}

static moon_status read_rows(moon_intake *in, moon_records *r, size_t width) {
  for (;;) {
    if (!moon_records_next_buffered(r)) {
      bool more;
      MOON_TRY(moon_intake_flush(in)); /* the texts that wait are about to move */
      MOON_TRY(moon_records_next(r, &more));
      if (!more) return moon_ok();
    }
    bool blank = width > 1 && r->count == 1 && !r->fields[0].n;
    if (!blank) MOON_TRY(read_record(in, r, width));
    MOON_TRY(moon_intake_step(in));
  }
}

static moon_status read_stream(moon_intake *in, moon_stream *stream) {
  moon_records r;
  MOON_TRY(moon_records_open(&r, stream, in->options->delimiter ? in->options->delimiter : ','));
  moon_status status = read_header(in, &r);
  size_t width = r.count;
  if (!status.code) status = infer_types(in, &r, width);
  if (!status.code) status = moon_intake_columns(in);
  if (!status.code) status = read_rows(in, &r, width);
  moon_records_close(&r);
  return status;
}

moon_status moon_csv_read(const moon_input *inputs, size_t count, const moon_read_options *options, moon_table **out,
                          moon_read_report *report) {
  return moon_read_inputs(inputs, count, read_stream, options, out, report);
}

moon_status moon_csv_read_memory(const char *name, const char *bytes, size_t n, const moon_read_options *options, moon_table **out,
                                 moon_read_report *report) {
  return moon_csv_read(&(moon_input){.name = name, .bytes = bytes, .n = n}, 1, options, out, report);
}

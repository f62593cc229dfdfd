/* intake.h - where rows from outside become rows of a table, whatever the format; private to core/data.
 *
 * A reader finds the wanted columns in its input, gives each cell of a row as a text, and pushes the row; or it rejects the row.
 * A row is understood as a whole before any of it is kept, so a rejected row leaves no trace but a count and a sample. Rows wait in
 * small batches until their texts are looked up, all of one column together, which is what makes that quick. */
#ifndef MOON_DATA_INTAKE_H
#define MOON_DATA_INTAKE_H

#include "data/stream.h"
#include "data/value.h"

enum { MOON_SAMPLE_ROWS = 1000, MOON_LONGEST_TEXT = 1 << 20, MOON_MOST_NAMES = 64, MOON_BATCH_ROWS = 128 };

typedef struct moon_target { /* a wanted column */
  const moon_read_column *spec;
  size_t index; /* the reader's: its place in a row */
  moon_type type;
  bool typed, inferred; /* somebody said the type; nobody did and the values decided */
  bool seen;            /* the input has it: by its header, or by a row of its own */
  moon_time_unit unit, found; /* of times; what an AUTO is with the row at hand */
  moon_column *column;        /* has room for a batch; numbers and times of rows that wait lie in it already */
  moon_text *texts;           /* [MOON_BATCH_ROWS] of rows that wait, where it is of texts; NULL at: a null */
} moon_target;

typedef struct moon_intake {
  moon_target *targets; /* [n] */
  size_t n;
  size_t waiting;   /* rows */
  moon_arena arena; /* of the rows that wait and the one at hand: texts that stand nowhere else */
  const moon_read_options *options;
  moon_read_report *report;
  moon_table *table;
  moon_arena kept;                    /* of the whole reading */
  const char *names[MOON_MOST_NAMES]; /* what the input's columns are called, as far as the reader kept it */
  size_t name_count;
  /* the row at hand, for messages and samples */
  const char *source; /* the file's name */
  size_t line;
  const char *row;
  size_t row_n;
  /* progress */
  size_t records;
  const moon_stream *stream; /* NULL: not a file */
  int64_t before, all;       /* bytes of the files before, of all; 0: unknown */
} moon_intake;

/* name: the table's. On failure there is nothing to end. */
moon_status moon_intake_open(moon_intake *in, const char *name, const moon_read_options *options, moon_read_report *report);
/* Ends it, with the table where status is a success; gives the status back. */
moon_status moon_intake_end(moon_intake *in, moon_status status, moon_table **out);

typedef struct moon_type_name {
  const char *name;
  moon_type type;
  moon_time_unit unit;
} moon_type_name;
const moon_type_name *moon_type_find(const char *name, size_t n); /* NULL where there is none */
/* The recipe's word counts most. Then roles have natural types: ids stay texts even where they look like numbers. Then `own`,
 * what the input says (NULL: nothing). Once there are columns their types stay, and an input that says otherwise is refused. */
moon_status moon_intake_type(moon_intake *in, size_t target, const moon_type_name *own);
/* Makes the columns, where there are none yet: all types are known now. */
moon_status moon_intake_columns(moon_intake *in);
/* MOON_ENOTFOUND that names the nearest of what there is, or all of it. has: "its header has". */
moon_status moon_intake_missing(const moon_intake *in, const char *wanted, const char *has, const char *const *names,
                                size_t count);

bool moon_intake_is_named_missing(const moon_intake *in, const char *text, size_t n);
static inline bool moon_intake_is_missing(const moon_intake *in, const char *text, size_t n) {
  return !n || (in->options->missing_count && moon_intake_is_named_missing(in, text, n));
}
/* Understands a cell; the text must live until the flush. False: *why. */
bool moon_intake_cell(moon_intake *in, size_t target, const char *text, size_t n, moon_reject *why);
/* The same for what is a number already; false where its text has to be looked at. */
bool moon_intake_number(moon_intake *in, size_t target, double value);
void moon_intake_null(moon_intake *in, size_t target);
/* The row is whole: it waits. */
void moon_intake_push(moon_intake *in);
/* Adds the rows that wait to the table, and empties the arena: call it before texts of theirs go, and at the end. */
moon_status moon_intake_flush(moon_intake *in);
/* Counts and samples the row at hand, which is left out; fails where there are more of them than allowed. target: NULL where it
 * is about the whole row. */
moon_status moon_intake_reject(moon_intake *in, moon_reject why, const moon_target *target, moon_status message);
moon_status moon_intake_reject_cell(moon_intake *in, moon_reject why, size_t target, const char *text, size_t n);
/* Call for each record read, kept or not; it flushes where enough waits. */
moon_status moon_intake_step(moon_intake *in);

/* One pass over the input of one reader: files, one after the other, into one table. */
typedef moon_status moon_read_stream(moon_intake *in, moon_stream *stream);
moon_status moon_read_inputs(const moon_input *inputs, size_t count, moon_read_stream *read, const moon_read_options *options,
                             moon_table **out, moon_read_report *report);

#endif

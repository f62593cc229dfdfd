/* records.h - a delimited file as records of fields; private to core/data. */
#ifndef MOON_DATA_RECORDS_H
#define MOON_DATA_RECORDS_H

#include "data/stream.h"

enum { MOON_MOST_FIELDS = 4096 };

typedef struct moon_field {
  const char *text; /* in the stream's buffer, without the quotes around it; valid until the next record */
  size_t n;
  bool doubled; /* holds "" where one quote is meant: see moon_field_unquote */
} moon_field;

typedef enum moon_fault { MOON_FAULT_NONE, MOON_FAULT_TAIL, MOON_FAULT_WIDTH } moon_fault;

typedef struct moon_records {
  moon_stream *in; /* borrowed */
  char delimiter;
  moon_field *fields; /* [MOON_MOST_FIELDS] of the record at hand */
  size_t count;
  moon_fault fault;      /* TAIL: a text follows a closing quote; WIDTH: too many fields */
  size_t line;           /* where the record begins, from 1 */
  const char *text;      /* the record as it stands in the file: text[0, text_n) */
  size_t text_n;
  size_t next_line;      /* private */
} moon_records;

moon_status moon_records_open(moon_records *records, moon_stream *in, char delimiter);
void moon_records_close(moon_records *records);
/* Answers the next record in `fields` and `count`; *more is false at the end. A blank line is one empty field. MOON_EFORMAT
 * where a quote is open at the end of the file, MOON_ELIMIT for a record over 16 MiB. */
moon_status moon_records_next(moon_records *records, bool *more);
/* The same from what is in the buffer; false where no whole record is. To look ahead, keep in->at and next_line and put them
 * back. */
bool moon_records_next_buffered(moon_records *records);
/* "" becomes ": the text in `to` [field->n], and its length. */
size_t moon_field_unquote(const moon_field *field, char *to);

#endif

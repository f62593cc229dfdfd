/* records.h - a delimited file as records of fields; private to core/data. */
#ifndef MOON_DATA_RECORDS_H
#define MOON_DATA_RECORDS_H

#include <zlib.h>

#include "base/base.h"

enum { MOON_MOST_FIELDS = 4096 };

typedef struct moon_field {
  char *text; /* in the reader's buffer, without the quotes around it; valid until the next record */
  size_t n;
  bool doubled; /* holds "" where one quote is meant: see moon_field_unquote */
} moon_field;

typedef enum moon_fault { MOON_FAULT_NONE, MOON_FAULT_TAIL, MOON_FAULT_WIDTH } moon_fault;

typedef struct moon_records {
  const char *name; /* for messages; borrowed */
  char delimiter;
  moon_field *fields; /* [MOON_MOST_FIELDS] of the record at hand */
  size_t count;
  moon_fault fault; /* TAIL: a text follows a closing quote; WIDTH: too many fields */
  size_t line;      /* where the record begins, from 1 */
  size_t total;     /* bytes so far, unpacked */
  /* the rest is private */
  gzFile file;        /* or a piece of memory: */
  const char *memory;
  size_t memory_n, block;
  char *data; /* unread are data[at, n); behind it line ends stop every scan */
  size_t at, n, cap, next_line;
  bool ended; /* nothing comes after data[n) */
} moon_records;

/* path: plain or gzipped. block: bytes read at a time, 0 for a good number. The name of messages is the path's last part. */
moon_status moon_records_open(moon_records *in, const char *path, char delimiter, size_t block);
moon_status moon_records_open_memory(moon_records *in, const char *name, const char *bytes, size_t n, char delimiter,
                                     size_t block);
void moon_records_close(moon_records *in);
/* Fewer than `bytes` unread bytes in the buffer afterwards: the file has no more. */
moon_status moon_records_fill(moon_records *in, size_t bytes);
/* Answers the next record in `fields` and `count`; *more is false at the end. A blank line is one empty field. MOON_EFORMAT
 * where a quote is open at the end of the file, MOON_ELIMIT for a record over 16 MiB. */
moon_status moon_records_next(moon_records *in, bool *more);
/* The same from what is in the buffer; false where no whole record is. To look ahead, keep `at` and `next_line` and put them
 * back. */
bool moon_records_next_buffered(moon_records *in);
/* "" becomes ", in place. */
void moon_field_unquote(moon_field *field);

#endif

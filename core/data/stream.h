/* stream.h - one source of bytes under all readers of text: a file or a piece of memory, plain, gzipped or by zstd, through one
 * buffer; private to core/data. */
#ifndef MOON_DATA_STREAM_H
#define MOON_DATA_STREAM_H

#include "data/data.h"

enum { MOON_STREAM_PAD = 16 };

typedef struct moon_unpacker moon_unpacker;
typedef struct moon_stream {
  const char *name; /* for messages; borrowed */
  char *data;       /* unread are data[at, n); MOON_STREAM_PAD line ends stand behind them and stop every scan */
  size_t at, n;
  size_t total;  /* bytes so far, unpacked */
  size_t packed; /* bytes so far, as they lie in the file */
  bool ended;    /* nothing comes after data[n) */
  /* the rest is private */
  int file; /* or a piece of memory: */
  const char *memory;
  size_t memory_n;
  size_t cap, block;
  moon_unpacker *unpacker;
} moon_stream;

/* What the file is packed by, its first bytes say, not its name. block: bytes read at a time, 0 for a good number. On failure
 * there is nothing to close. */
moon_status moon_stream_open(moon_stream *stream, const moon_input *input, size_t block);
void moon_stream_close(moon_stream *stream);
/* Reads once: as much as is unread already, at least, so that a long row is looked at again a logarithmic number of times. What
 * is unread moves to the front of the buffer. MOON_EFORMAT where a packed file is broken or ends too early. */
moon_status moon_stream_more(moon_stream *stream);
/* Fewer than `bytes` unread bytes in the buffer afterwards: the file has no more. */
moon_status moon_stream_fill(moon_stream *stream, size_t bytes);
/* At the start of a text: passes over a byte-order mark, refuses UTF-16. */
moon_status moon_stream_begin(moon_stream *stream);

#endif

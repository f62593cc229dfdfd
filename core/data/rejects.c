/* rejects.c - a file of what was left out: one JSON object a line, of bounded size, so that a broken terabyte makes no second
 * one. What fails while writing is kept for the end: rejects must not stop what they report on. */
#include "data/rejects.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { MOST_OF_A_ROW = 500, MOST_BYTES = 1 << 24 };

struct moon_rejects {
  FILE *file;
  char *path;
  moon_buf line;
  size_t bytes, unwritten;
  int failed; /* errno of the first write that did */
};

const char *moon_reject_name(moon_reject reason) {
  static const char *const names[] = {"fields", "quotes", "json", "type", "number", "range", "time", "utf8", "long"};
  return (unsigned)reason < MOON_REJECTS ? names[reason] : "?";
}

moon_status moon_rejects_open(const char *path, moon_rejects **out) {
  moon_rejects *r = moon_calloc(1, sizeof *r);
  if (r) r->path = moon_strdup(path);
  moon_status status = r && r->path ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory for a file of rejects");
  if (!status.code && !(r->file = fopen(path, "we")))
    status = moon_fail(MOON_EIO, "%s: cannot create: %s", path, strerror(errno));
  if (!status.code) {
    *out = r;
    return status;
  }
  if (r) moon_free(r->path);
  moon_free(r);
  return status;
}

static void write_line(moon_rejects *r) {
  if (r->line.failed)
    r->failed = ENOMEM;
  else if (!r->failed && fwrite(r->line.data, 1, r->line.n, r->file) != r->line.n)
    r->failed = errno;
  r->bytes += r->line.n;
}

void moon_rejects_add(moon_rejects *r, const moon_rejected *row) {
  if (r->bytes >= MOST_BYTES) {
    r->unwritten++;
    return;
  }
  size_t n = row->row_n < MOST_OF_A_ROW ? row->row_n : MOST_OF_A_ROW;
  while (n < row->row_n && n && ((unsigned char)row->row[n] & 0xc0) == 0x80) n--; /* no half a character */
  moon_buf *out = &r->line;
  moon_buf_reset(out);
  moon_buf_puts(out, "{\"file\":");
  moon_json_string(out, row->file);
  moon_buf_printf(out, ",\"line\":%zu,\"column\":", row->line);
  moon_json_string(out, row->column);
  moon_buf_printf(out, ",\"reason\":\"%s\",\"message\":", moon_reject_name(row->reason));
  moon_json_string(out, row->message);
  moon_buf_puts(out, ",\"row\":");
  moon_json_text(out, row->row, n);
  moon_buf_printf(out, ",\"bytes\":%zu}\n", row->row_n);
  write_line(r);
}

moon_status moon_rejects_close(moon_rejects *r) {
  if (!r) return moon_ok();
  if (r->unwritten) {
    moon_buf_reset(&r->line);
    moon_buf_printf(&r->line, "{\"unwritten\":%zu}\n", r->unwritten);
    write_line(r);
  }
  if (fclose(r->file) && !r->failed) r->failed = errno;
  moon_status status = r->failed ? moon_fail(MOON_EIO, "%s: cannot write: %s", r->path, strerror(r->failed)) : moon_ok();
  moon_buf_free(&r->line);
  moon_free(r->path);
  moon_free(r);
  return status;
}

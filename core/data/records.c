/* records.c - cutting a stream of bytes into records and fields, as RFC 4180 has them.
 *
 * The file streams through one buffer (zlib reads plain and gzipped files alike). A record is cut where it lies, in one pass and
 * without changing a byte, so that a record whose end has not been read yet is simply cut again when it has. */
#include "data/records.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

enum { BLOCK = 1 << 17, LONGEST_RECORD = 1 << 24, STEP = 16 };
typedef char sixteen __attribute__((vector_size(STEP)));
typedef uint64_t halves __attribute__((vector_size(STEP)));

static const char *base_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

static moon_status open_records(moon_records *in, const char *name, char delimiter, size_t block) {
  *in = (moon_records){.name = name, .delimiter = delimiter, .block = block ? block : BLOCK, .next_line = 1};
  in->fields = moon_alloc(MOON_MOST_FIELDS * sizeof *in->fields);
  return in->fields ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory to read %s", name);
}

moon_status moon_records_open(moon_records *in, const char *path, char delimiter, size_t block) {
  MOON_TRY(open_records(in, base_name(path), delimiter, block));
  errno = 0;
  in->file = gzopen(path, "rbe");
  int system = errno;
  if (!in->file) {
    moon_records_close(in);
    if (system == ENOENT) return moon_fail(MOON_ENOTFOUND, "%s: there is no such file", path);
    return moon_fail(system ? MOON_EIO : MOON_ENOMEM, "%s: %s", path, system ? strerror(system) : "no memory to open it");
  }
  gzbuffer(in->file, BLOCK / 2); /* reads of twice this size go straight to our buffer */
  return moon_ok();
}

moon_status moon_records_open_memory(moon_records *in, const char *name, const char *bytes, size_t n, char delimiter,
                                     size_t block) {
  MOON_TRY(open_records(in, name, delimiter, block));
  in->memory = bytes;
  in->memory_n = n;
  return moon_ok();
}

void moon_records_close(moon_records *in) {
  if (in->file) gzclose(in->file);
  in->file = NULL;
  moon_free(in->data);
  moon_free(in->fields);
  in->data = NULL;
  in->fields = NULL;
}

static moon_status read_file(moon_records *in, char *to, size_t room, size_t *got) {
  int code = Z_OK, count = gzread(in->file, to, (unsigned)room), system = errno;
  const char *why = gzerror(in->file, &code);
  *got = count > 0 ? (size_t)count : 0;
  if (count >= 0 && (code == Z_OK || code == Z_STREAM_END)) return moon_ok();
  if (code == Z_ERRNO) return moon_fail(MOON_EIO, "%s: %s", in->name, strerror(system));
  if (code == Z_MEM_ERROR) return moon_fail(MOON_ENOMEM, "%s: no memory to unpack it", in->name);
  return moon_fail(MOON_EFORMAT, "%s: the compressed file is %s", in->name, code == Z_BUF_ERROR ? "truncated" : why);
}

/* Reads once. As much as is unread already, at least, so that a long record is cut again a logarithmic number of times. */
static moon_status refill(moon_records *in) {
  if (in->at) {
    memmove(in->data, in->data + in->at, in->n - in->at);
    in->n -= in->at;
    in->at = 0;
  }
  size_t room = in->n > in->block ? in->n : in->block, got;
  MOON_TRY(moon_grow(&in->data, &in->cap, in->n + room + STEP, 1));
  if (in->file) {
    MOON_TRY(read_file(in, in->data + in->n, room, &got));
  } else {
    got = in->memory_n < room ? in->memory_n : room;
    if (got) memcpy(in->data + in->n, in->memory, got);
    in->memory += got;
    in->memory_n -= got;
  }
  in->ended = !got;
  in->n += got;
  in->total += got;
  memset(in->data + in->n, '\n', STEP);
  return moon_ok();
}

moon_status moon_records_fill(moon_records *in, size_t bytes) {
  while (!in->ended && in->n - in->at < bytes) MOON_TRY(refill(in));
  return moon_ok();
}

/* From behind an opening quote to behind the closing one; NULL where that has not been read. */
static char *quoted_field(const moon_records *in, char *at, moon_field *field, size_t *lines) {
  char *end = in->data + in->n, *quote;
  field->text = at;
  for (;; at = quote + 2) {
    quote = memchr(at, '"', (size_t)(end - at));
    if (!quote) return NULL; /* one at the very end closes, for now: what follows it decides when it has been read */
    if (quote[1] != '"') break;
    field->doubled = true;
  }
  field->n = (size_t)(quote - field->text);
  for (at = field->text; (at = memchr(at, '\n', (size_t)(quote - at))); at++) ++*lines;
  return quote + 1;
}

/* To the next delimiter or line end, sixteen bytes a step: most fields take one, whose branch the processor then foresees. */
static inline char *skip_to(char *at, sixteen delimiters) {
  const sixteen ends = '\n' - (sixteen){0};
  for (;; at += STEP) {
    sixteen bytes;
    memcpy(&bytes, at, STEP);
    halves found = (halves)((bytes == delimiters) | (bytes == ends)); /* each byte 0 or 0xff */
    if (found[0]) return at + __builtin_ctzll(le64toh(found[0])) / 8;
    if (found[1]) return at + 8 + __builtin_ctzll(le64toh(found[1])) / 8;
  }
}

/* Quotes open only at the start of a field. Answers where the record ends, or NULL where that has not been read. */
static char *cut(moon_records *in, size_t *lines) {
  const sixteen delimiters = in->delimiter - (sixteen){0};
  char *at = in->data + in->at;
  moon_field *field = in->fields;
  *lines = 1;
  in->fault = MOON_FAULT_NONE;
  for (;; at++, field++) {
    if (field == in->fields + MOON_MOST_FIELDS) in->fault = MOON_FAULT_WIDTH, field--; /* only the end matters now */
    field->doubled = false;
    if (*at == '"') {
      at = quoted_field(in, at + 1, field, lines);
      if (!at) return NULL;
      char *stop = skip_to(at, delimiters);
      if (stop > at && !(stop == at + 1 && *at == '\r' && *stop == '\n') && !in->fault) in->fault = MOON_FAULT_TAIL;
      at = stop;
    } else {
      field->text = at;
      at = skip_to(at, delimiters);
      field->n = (size_t)(at - field->text);
    }
    if (*at != '\n') continue;
    if (at == in->data + in->n && !in->ended) return NULL;
    if (field->text + field->n == at && field->n && at[-1] == '\r') field->n--;
    in->count = (size_t)(field - in->fields) + 1;
    return at;
  }
}

bool moon_records_next_buffered(moon_records *in) {
  size_t lines;
  char *stop = in->at < in->n ? cut(in, &lines) : NULL;
  if (!stop) return false;
  in->line = in->next_line;
  in->next_line += lines;
  in->at = (size_t)(stop - in->data) + (stop < in->data + in->n);
  return true;
}

moon_status moon_records_next(moon_records *in, bool *more) {
  while (!moon_records_next_buffered(in)) {
    size_t left = in->n - in->at;
    *more = left || !in->ended;
    if (!*more) return moon_ok();
    if (in->ended)
      return moon_fail(MOON_EFORMAT, "%s:%zu: a quote that opens in this row is never closed", in->name, in->next_line);
    if (left >= LONGEST_RECORD)
      return moon_fail(MOON_ELIMIT, "%s:%zu: a row of over 16 MiB; is a closing quote missing?", in->name, in->next_line);
    MOON_TRY(refill(in));
  }
  *more = true;
  return moon_ok();
}

void moon_field_unquote(moon_field *field) {
  if (!field->doubled) return;
  size_t n = 0;
  for (size_t i = 0; i < field->n; i++) {
    field->text[n++] = field->text[i];
    if (field->text[i] == '"') i++;
  }
  field->n = n;
  field->doubled = false;
}

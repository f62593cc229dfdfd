/* records.c - cutting a stream of bytes into records and fields, as RFC 4180 has them.
 *
 * A record is cut where it lies in the stream's buffer, in one pass and without changing a byte, so that a record whose end has
 * not been read yet is simply cut again when it has. */
#include "data/records.h"

#include <endian.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { LONGEST_RECORD = 1 << 24, STEP = MOON_STREAM_PAD };
typedef char sixteen __attribute__((vector_size(STEP)));
typedef uint64_t halves __attribute__((vector_size(STEP)));

moon_status moon_records_open(moon_records *r, moon_stream *in, char delimiter) {
  *r = (moon_records){.in = in, .delimiter = delimiter, .next_line = 1};
  r->fields = moon_alloc(MOON_MOST_FIELDS * sizeof *r->fields);
  return r->fields ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory to read %s", in->name);
}

void moon_records_close(moon_records *r) {
  moon_free(r->fields);
  r->fields = NULL;
}

/* From behind an opening quote to behind the closing one; NULL where that has not been read. */
static const char *quoted_field(const moon_stream *in, const char *at, moon_field *field, size_t *lines) {
  const char *end = in->data + in->n, *quote;
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

/* To the next delimiter or line end, sixteen bytes a step: most fields take one, whose branch the processor then foresees. Which
 * half of the sixteen it is nobody foresees, so that is no branch. */
static inline const char *skip_to(const char *at, sixteen delimiters) {
  const sixteen ends = '\n' - (sixteen){0};
  for (;; at += STEP) {
    sixteen bytes;
    memcpy(&bytes, at, STEP);
    sixteen stops = (bytes == delimiters) | (bytes == ends); /* each byte 0 or 0xff */
#ifdef __SSE2__
    unsigned found = (unsigned)_mm_movemask_epi8((__m128i)stops);
    if (found) return at + __builtin_ctz(found);
#else
    halves found = (halves)stops;
    if (found[0] | found[1]) return at + (found[0] ? 0 : 8) + __builtin_ctzll(le64toh(found[0] ? found[0] : found[1])) / 8;
#endif
  }
}

/* Quotes open only at the start of a field. Answers where the record ends, or NULL where that has not been read. */
static const char *cut(moon_records *r, size_t *lines) {
  const moon_stream *in = r->in;
  const sixteen delimiters = r->delimiter - (sixteen){0};
  const char *at = in->data + in->at, *end = in->data + in->n;
  moon_field *field = r->fields;
  *lines = 1;
  r->fault = MOON_FAULT_NONE;
  for (;; at++, field++) {
    if (field == r->fields + MOON_MOST_FIELDS) r->fault = MOON_FAULT_WIDTH, field--; /* only the end matters now */
    field->doubled = false;
    if (*at == '"') {
      at = quoted_field(in, at + 1, field, lines);
      if (!at) return NULL;
      const char *stop = skip_to(at, delimiters);
      if (stop > at && !(stop == at + 1 && *at == '\r' && *stop == '\n') && !r->fault) r->fault = MOON_FAULT_TAIL;
      at = stop;
    } else {
      field->text = at;
      at = skip_to(at, delimiters);
      field->n = (size_t)(at - field->text);
    }
    if (*at != '\n') continue;
    if (at == end && !in->ended) return NULL;
    if (field->text + field->n == at && field->n && at[-1] == '\r') field->n--;
    r->count = (size_t)(field - r->fields) + 1;
    return at;
  }
}

bool moon_records_next_buffered(moon_records *r) {
  moon_stream *in = r->in;
  size_t lines;
  const char *stop = in->at < in->n ? cut(r, &lines) : NULL;
  if (!stop) return false;
  r->line = r->next_line;
  r->next_line += lines;
  r->text = in->data + in->at;
  r->text_n = (size_t)(stop - r->text);
  in->at = (size_t)(stop - in->data) + (stop < in->data + in->n);
  return true;
}

moon_status moon_records_next(moon_records *r, bool *more) {
  moon_stream *in = r->in;
  while (!moon_records_next_buffered(r)) {
    size_t left = in->n - in->at;
    *more = left || !in->ended;
    if (!*more) return moon_ok();
    if (in->ended)
      return moon_fail(MOON_EFORMAT, "%s:%zu: a quote that opens in this row is never closed", in->name, r->next_line);
    if (left >= LONGEST_RECORD)
      return moon_fail(MOON_ELIMIT, "%s:%zu: a row of over 16 MiB; is a closing quote missing?", in->name, r->next_line);
    MOON_TRY(moon_stream_more(in));
  }
  *more = true;
  return moon_ok();
}

size_t moon_field_unquote(const moon_field *field, char *to) {
  size_t n = 0;
  for (size_t i = 0; i < field->n; i++) {
    to[n++] = field->text[i];
    if (field->text[i] == '"') i++;
  }
  return n;
}

/* buf.c - a growable byte buffer whose failures are checked once, at the end of a chain of appends. */
#include <stdio.h>
#include <string.h>

#include "base/base.h"

static bool reserve(moon_buf *buf, size_t more) {
  if (buf->failed || more > SIZE_MAX / 4 || moon_grow(&buf->data, &buf->cap, buf->n + more + 1, 1).code) {
    buf->failed = true;
    return false;
  }
  return true;
}

void moon_buf_add(moon_buf *buf, const void *bytes, size_t n) {
  if (!reserve(buf, n)) return;
  if (n) memcpy(buf->data + buf->n, bytes, n);
  buf->n += n;
  buf->data[buf->n] = 0;
}

void moon_buf_puts(moon_buf *buf, const char *text) { moon_buf_add(buf, text, strlen(text)); }

void moon_buf_printf(moon_buf *buf, const char *format, ...) {
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  int n = vsnprintf(NULL, 0, format, args);
  va_end(args);
  if (n >= 0 && reserve(buf, (size_t)n)) {
    vsnprintf(buf->data + buf->n, (size_t)n + 1, format, again);
    buf->n += (size_t)n;
  } else {
    buf->failed = true;
  }
  va_end(again);
}

void moon_buf_reset(moon_buf *buf) {
  buf->n = 0;
  buf->failed = false;
  if (buf->data) buf->data[0] = 0;
}

void moon_buf_free(moon_buf *buf) {
  moon_free(buf->data);
  *buf = (moon_buf){0};
}

/* bytes.h - little-endian numbers and texts in a buffer, and the checked way back. A read past the end latches `failed` and
 * answers zeros, so that a parser checks once per record. */
#ifndef MOON_DATA_BYTES_H
#define MOON_DATA_BYTES_H

#include <string.h>

#include "base/base.h"

static inline void moon_put_u32(moon_buf *out, uint32_t value) {
  unsigned char bytes[4] = {(unsigned char)value, (unsigned char)(value >> 8), (unsigned char)(value >> 16),
                            (unsigned char)(value >> 24)};
  moon_buf_add(out, bytes, 4);
}
static inline void moon_put_u64(moon_buf *out, uint64_t value) {
  moon_put_u32(out, (uint32_t)value);
  moon_put_u32(out, (uint32_t)(value >> 32));
}
static inline void moon_put_text(moon_buf *out, const char *text, size_t n) {
  moon_put_u32(out, (uint32_t)n);
  moon_buf_add(out, text, n);
}

typedef struct moon_bytes {
  const char *data;
  size_t n, at;
  bool failed;
} moon_bytes;

static inline size_t moon_bytes_left(const moon_bytes *in) { return in->n - in->at; }
static inline const char *moon_get_bytes(moon_bytes *in, size_t n) {
  if (in->failed || moon_bytes_left(in) < n) {
    in->failed = true;
    return NULL;
  }
  in->at += n;
  return in->data + in->at - n;
}
static inline uint32_t moon_get_u32(moon_bytes *in) {
  const unsigned char *b = (const unsigned char *)moon_get_bytes(in, 4);
  return b ? b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24 : 0;
}
static inline uint64_t moon_get_u64(moon_bytes *in) {
  uint64_t low = moon_get_u32(in);
  return low | (uint64_t)moon_get_u32(in) << 32;
}
static inline const char *moon_get_text(moon_bytes *in, size_t *n) { /* not zero-terminated */
  *n = moon_get_u32(in);
  return moon_get_bytes(in, *n);
}

#endif

/* pack.h - gzip and zstd files: seeds, and how to tell them. */
#ifndef TEST_FUZZ_PACK_H
#define TEST_FUZZ_PACK_H
#include <zlib.h>
#include <zstd.h>

#include "fuzz/fuzz.h"

static inline size_t moon_fuzz_gzip(const void *text, size_t n, uint8_t *out, size_t cap) {
  z_stream z = {.next_in = (Bytef *)(uintptr_t)text, .avail_in = (unsigned)n, .next_out = out, .avail_out = (unsigned)cap};
  check(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK && deflate(&z, Z_FINISH) == Z_STREAM_END);
  size_t much = z.total_out;
  deflateEnd(&z);
  return much;
}

static inline size_t moon_fuzz_zstd(const void *text, size_t n, uint8_t *out, size_t cap) {
  size_t much = ZSTD_compress(out, cap, text, n, 3);
  check(!ZSTD_isError(much));
  return much;
}

/* As moon_stream tells them. */
static inline bool moon_fuzz_is_packed(const uint8_t *data, size_t n) {
  if (n >= 2 && data[0] == 0x1f && data[1] == 0x8b) return true;
  return n >= 4 && (!memcmp(data, "\x28\xb5\x2f\xfd", 4) || (data[0] >> 4 == 5 && !memcmp(data + 1, "\x2a\x4d\x18", 3)));
}

#endif

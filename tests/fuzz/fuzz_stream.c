/* Any bytes as a file that may be packed: its text or a message, the same in whatever pieces it is asked for. */
#include "fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "data/stream.h"

enum { MOST_TEXT = 1 << 22 }; /* a few bytes can unpack to more than there is time for */

static void check(bool holds) {
  if (!holds) abort();
}

static moon_status unpack(const uint8_t *data, size_t size, size_t block, moon_buf *out) {
  moon_stream stream;
  const moon_input input = {.name = "f", .bytes = (const char *)data, .n = size};
  MOON_TRY(moon_stream_open(&stream, &input, block));
  moon_status status = moon_stream_begin(&stream);
  while (!status.code && !stream.ended && out->n < MOST_TEXT) {
    moon_buf_add(out, stream.data + stream.at, stream.n - stream.at);
    stream.at = stream.n;
    status = moon_stream_more(&stream);
    for (int i = 0; i < MOON_STREAM_PAD && !status.code; i++) check(stream.data[stream.n + (size_t)i] == '\n');
  }
  if (!status.code) check(stream.packed <= size && stream.total >= out->n);
  moon_stream_close(&stream);
  return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  moon_buf whole = {0}, pieces = {0};
  moon_status a = unpack(data, size, 0, &whole), b = unpack(data, size, 1 + size % 61, &pieces);
  check(a.code == MOON_OK || a.code == MOON_EFORMAT);
  if (whole.n < MOST_TEXT && pieces.n < MOST_TEXT) {
    check(a.code == b.code && !strcmp(a.message, b.message));
    if (!a.code) check(whole.n == pieces.n && (!whole.n || !memcmp(whole.data, pieces.data, whole.n)));
  }
  moon_buf_free(&whole);
  moon_buf_free(&pieces);
  return 0;
}

/* A text of some repetition: plain, as two gzip members and as two zstd frames. */
size_t moon_fuzz_seed(size_t which, uint8_t *out, size_t cap) {
  char text[400];
  size_t n = 0, at = 0;
  if (which > 2) return 0;
  for (int i = 0; n < sizeof text - 20; i++) n += (size_t)snprintf(text + n, 20, "%d,%d\n", i * 7919, i % 5);
  if (which == 0) {
    memcpy(out, text, n);
    return n;
  }
  for (int part = 0; part < 2; part++) {
    if (which == 2) {
      at += ZSTD_compress(out + at, cap - at, text, n, 3);
      continue;
    }
    z_stream z = {.next_in = (unsigned char *)text, .avail_in = (unsigned)n, .next_out = out + at, .avail_out = (unsigned)(cap - at)};
    check(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK && deflate(&z, Z_FINISH) == Z_STREAM_END);
    at += z.total_out;
    deflateEnd(&z);
  }
  return at;
}

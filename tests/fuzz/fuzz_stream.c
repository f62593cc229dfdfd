/* Any bytes as a file that may be packed: its text or a message, the same in whatever pieces it is asked for. */
#include <stdio.h>

#include "data/stream.h"
#include "fuzz/pack.h"

enum { MOST_TEXT = 1 << 22 }; /* a few bytes can unpack to more than there is time for */

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
    bool mark = strstr(a.message, "UTF-16") || strstr(b.message, "UTF-16"); /* is seen before what is broken behind it, or not */
    bool damaged = strstr(a.message, "compressed file is") && strstr(b.message, "compressed file is"); /* broken, or seen at its end: truncated */
    check(a.code == b.code && (mark || damaged || !strcmp(a.message, b.message)));
    if (!a.code) check(whole.n == pieces.n && (!whole.n || !memcmp(whole.data, pieces.data, whole.n)));
  }
  moon_buf_free(&whole);
  moon_buf_free(&pieces);
  return 0;
}

/* A text of some repetition: plain, as two gzip members and as two zstd frames; and a gzip file whose fault is seen only after its last
 * byte was taken. */
size_t moon_fuzz_seed(size_t which, uint8_t *out, size_t cap) {
  static const char late[] =
      "\037\213\010\000\000\000\000\000\000\003\035\320\271\001\000\041\014\003\301\374\152\041\260\344\277\377\306\016\021\221"
      "\054\203\261\035\373\172\055\007\037\162\174\016\077\172\147\037\377\034\325\165\342\363\315\315\233\105\047\342\166\231"
      "\341\176\273\162\117\336\256\301\306\355\304\330\355\246\141\362\066\215\362\224\140\010\140\104\020\064\050\265\057\067"
      "\065\013";
  char text[400];
  size_t n = 0;
  if (which == 3) return moon_fuzz_put(late, sizeof late - 1, out, cap);
  if (which > 3) return 0;
  for (int i = 0; n < sizeof text - 20; i++) n += (size_t)snprintf(text + n, 20, "%d,%d\n", i * 7919, i % 5);
  if (!which) return moon_fuzz_put(text, n, out, cap);
  size_t (*const pack)(const void *, size_t, uint8_t *, size_t) = which == 1 ? moon_fuzz_gzip : moon_fuzz_zstd;
  size_t first = pack(text, n, out, cap);
  return first + pack(text, n, out + first, cap - first);
}

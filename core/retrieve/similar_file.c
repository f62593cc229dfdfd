/* similar_file.c - an item-kNN as bytes, and the checked way back.
 *
 * Layout, little-endian: magic, version, items (u64), neighbours of all items (u64); per item their number (u32) and for each
 * its row (u32) and the bits of its score (f32). The writer's order - best first, equal scores by lower row - is part of the
 * format: the reader refuses any other, so what loads saves to the same bytes. */
#include <math.h>
#include <string.h>

#include "data/bytes.h"
#include "retrieve/similar.h"

#define MAGIC 0x4d49534eu /* "NSIM" */

moon_status moon_similar_save(const moon_similar *s, moon_buf *out) {
  moon_put_u32(out, MAGIC);
  moon_put_u32(out, 1);
  moon_put_u64(out, s->items);
  moon_put_u64(out, s->start[s->items]);
  for (size_t item = 0; item < s->items; item++) {
    moon_put_u32(out, (uint32_t)(s->start[item + 1] - s->start[item]));
    for (size_t i = s->start[item]; i < s->start[item + 1]; i++) {
      uint32_t bits;
      memcpy(&bits, &s->score[i], sizeof bits);
      moon_put_u32(out, s->item[i]);
      moon_put_u32(out, bits);
    }
  }
  return out->failed ? moon_fail(MOON_ENOMEM, "similar: no memory to save %zu items", s->items) : moon_ok();
}

/* One item's list, into [at, at + count) of s. */
static moon_status read_list(moon_bytes *in, moon_similar *s, size_t item, size_t at, size_t count) {
  for (size_t i = at; i < at + count; i++) {
    uint32_t row = moon_get_u32(in), bits = moon_get_u32(in);
    float score;
    memcpy(&score, &bits, sizeof score);
    if (row >= s->items || row == item)
      return moon_fail(MOON_EFORMAT, "similar: item %zu has row %u of %zu for a neighbour", item, row, s->items);
    if (!(score > 0 && score < INFINITY))
      return moon_fail(MOON_EFORMAT, "similar: item %zu has a neighbour with score %g", item, (double)score);
    if (i > at && !(s->score[i - 1] > score || (s->score[i - 1] == score && s->item[i - 1] < row)))
      return moon_fail(MOON_EFORMAT, "similar: the neighbours of item %zu are out of order", item);
    s->item[i] = row, s->score[i] = score;
  }
  return moon_ok();
}

static moon_status read_all(moon_bytes *in, moon_similar *s) {
  uint32_t magic = moon_get_u32(in), version = moon_get_u32(in);
  uint64_t items = moon_get_u64(in), pairs = moon_get_u64(in);
  if (in->failed || magic != MAGIC) return moon_fail(MOON_EFORMAT, "similar: not in this format");
  if (version != 1) return moon_fail(MOON_EFORMAT, "similar: version %u, and this reads version 1", version);
  /* An item takes 4 bytes and a neighbour 8: counts that do not add up to what is left are lies, found before they are
   * allocated. */
  size_t left = moon_bytes_left(in);
  if (items > left / 4 || pairs != (left - items * 4) / 8 || (left - items * 4) % 8)
    return moon_fail(MOON_EFORMAT, "similar: %llu items and %llu neighbours in %zu bytes", (unsigned long long)items,
                     (unsigned long long)pairs, left);
  s->items = items;
  s->start = moon_calloc(items + 1, sizeof *s->start);
  s->item = moon_alloc(pairs * sizeof *s->item);
  s->score = moon_alloc(pairs * sizeof *s->score);
  if (!s->start || !s->item || !s->score) return moon_fail(MOON_ENOMEM, "similar: no memory for %zu items", s->items);
  size_t at = 0;
  for (size_t item = 0; item < items; item++) {
    uint32_t count = moon_get_u32(in);
    if (count > pairs - at)
      return moon_fail(MOON_EFORMAT, "similar: item %zu has %u neighbours of %zu left", item, count, (size_t)pairs - at);
    MOON_TRY(read_list(in, s, item, at, count));
    s->start[item + 1] = at += count;
  }
  return at == pairs ? moon_ok() : moon_fail(MOON_EFORMAT, "similar: %zu neighbours, not %zu", at, (size_t)pairs);
}

moon_status moon_similar_load(const char *bytes, size_t n, moon_similar **out) {
  moon_bytes in = {bytes, n, 0, false};
  moon_similar *s = moon_calloc(1, sizeof *s);
  if (!s) return moon_fail(MOON_ENOMEM, "similar: no memory");
  moon_status status = read_all(&in, s);
  if (status.code) moon_similar_free(s);
  else *out = s;
  return status;
}

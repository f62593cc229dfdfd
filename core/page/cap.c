/* cap.c - at most so many items per value of a column: a count per value, in a hash table that lives as long as the request. */
#include <string.h>

#include "page/slate.h"

#define EMPTY UINT64_MAX /* no cell's key */

typedef struct tally { /* value -> how many of it were kept */
  uint64_t *key;
  uint32_t *count;
  size_t mask;
} tally;

static moon_status tally_new(moon_arena *arena, size_t values, tally *out) {
  size_t places = 16;
  while (places < 2 * values) places *= 2;
  out->key = moon_arena_alloc(arena, places * sizeof *out->key);
  out->count = moon_arena_calloc(arena, places * sizeof *out->count);
  if (!out->key || !out->count) return moon_fail(MOON_ENOMEM, "no memory to cap a slate of %zu items", values);
  memset(out->key, 0xff, places * sizeof *out->key);
  out->mask = places - 1;
  return moon_ok();
}

static uint32_t *tally_of(const tally *counts, uint64_t key) {
  size_t at = moon_mix64(key) & counts->mask;
  while (counts->key[at] != EMPTY && counts->key[at] != key) at = (at + 1) & counts->mask;
  counts->key[at] = key;
  return &counts->count[at];
}

moon_status moon_slate_cap(moon_slate *slate, const char *name, size_t limit, const char *policy) {
  moon_column *column;
  tally kept = {0};
  MOON_TRY(moon_table_require(slate->bundle->catalogue->table, name, &column));
  if (!limit) return moon_fail(MOON_EINVAL, "cap '%.100s': the limit must be 1 or more", name);
  MOON_TRY(tally_new(slate->arena, slate->n, &kept));
  size_t n = 0;
  for (size_t i = 0; i < slate->n; i++) {
    uint64_t key;
    uint32_t *count = moon_cell_key(column, slate->item[i], &key) ? tally_of(&kept, key) : NULL;
    if (count && *count >= limit) continue;
    if (count) ++*count;
    slate->order[n++] = (uint32_t)i;
  }
  if (n == slate->n) return moon_ok();
  moon_slate_arrange(slate, n);
  moon_slate_note_moves(slate, policy);
  return moon_ok();
}

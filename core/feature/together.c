/* together.c - which items go together: for pairs of items, how often one followed the other in somebody's last items.
 *
 * An event on an item that is not among the user's last N counts the item once, and once with each of those N. So the counts are of what
 * happened so far, and cosine (together / sqrt(n n)) is at hand at any moment. Pairs lie in one flat table, 12 bytes each, at most three
 * quarters full: 16 to 32 bytes a pair. There are at most so many; where one more is wanted the rarest go, which is a rule of counts
 * alone, so that equal pasts have equal tables. */
#include <stdlib.h>
#include <string.h>

#include "feature/state.h"

enum { LEAST_SLOTS = 64 };

static uint64_t hash_of(uint32_t a, uint32_t b) {
  return moon_mix64(a < b ? (uint64_t)a << 32 | b : (uint64_t)b << 32 | a);
}

/* Where the pair is, or the free slot where it would be. */
static moon_pair *find(const moon_together *t, uint32_t a, uint32_t b) {
  size_t at = hash_of(a, b) & (t->slots - 1);
  uint32_t low = a < b ? a : b, high = a < b ? b : a;
  while (t->pairs[at].count && (t->pairs[at].low != low || t->pairs[at].high != high)) at = (at + 1) & (t->slots - 1);
  return &t->pairs[at];
}

static uint32_t *seen_of(const moon_together *t, uint32_t item) { return moon_side_at(t->side, item, t->seen); }

/* ---- room ----------------------------------------------------------------------------------------------------------------- */

static moon_status grow(moon_together *t, size_t slots) {
  moon_together fresh = *t;
  fresh.pairs = moon_calloc(slots, sizeof *fresh.pairs);
  fresh.slots = slots;
  if (!fresh.pairs) return moon_fail(MOON_ENOMEM, "no memory for %zu pairs of items", slots);
  for (size_t i = 0; i < t->slots; i++)
    if (t->pairs[i].count) *find(&fresh, t->pairs[i].low, t->pairs[i].high) = t->pairs[i];
  moon_free(t->pairs);
  *t = fresh;
  return moon_ok();
}

static size_t slots_for(const moon_together *t, size_t more) {
  size_t need = t->n + more < t->most ? t->n + more : t->most, slots = t->slots ? t->slots : LEAST_SLOTS;
  while (need > slots - slots / 4) slots *= 2;
  return slots;
}

moon_status moon_together_room(moon_together *t, size_t more) {
  size_t slots = slots_for(t, more);
  return slots > t->slots ? grow(t, slots) : moon_ok();
}

size_t moon_together_growth(const moon_together *t) {
  return (slots_for(t, t->last) - t->slots) * sizeof *t->pairs;
}

/* ---- the rarest go -------------------------------------------------------------------------------------------------------- */

/* What stands behind a hole and would have stood in it moves up. */
static void take_out(moon_together *t, size_t hole) {
  size_t mask = t->slots - 1;
  for (size_t at = (hole + 1) & mask; t->pairs[at].count; at = (at + 1) & mask) {
    size_t home = hash_of(t->pairs[at].low, t->pairs[at].high) & mask;
    if (((at - home) & mask) < ((at - hole) & mask)) continue;
    t->pairs[hole] = t->pairs[at];
    hole = at;
  }
  t->pairs[hole] = (moon_pair){0};
  t->n--;
}

static size_t count_until(const moon_together *t, uint64_t most) {
  size_t n = 0;
  for (size_t i = 0; i < t->slots; i++) n += t->pairs[i].count && t->pairs[i].count <= most;
  return n;
}

/* All pairs seen once go; where that is less than an eighth of them all seen up to 2 times, 4 times, and so on. */
static void drop_rarest(moon_together *t) {
  uint64_t limit = 1;
  while (count_until(t, limit) < (t->n + 7) / 8) limit *= 2;
  for (size_t at = 0; at < t->slots; at++)
    while (t->pairs[at].count && t->pairs[at].count <= limit) take_out(t, at);
}

/* ---- counting ------------------------------------------------------------------------------------------------------------- */

static void add_pair(moon_together *t, uint32_t a, uint32_t b) {
  moon_pair *pair = find(t, a, b);
  if (!pair->count && t->n == t->most) {
    drop_rarest(t);
    pair = find(t, a, b);
  }
  if (!pair->count) {
    *pair = (moon_pair){.low = a < b ? a : b, .high = a < b ? b : a};
    t->n++;
  }
  if (pair->count < UINT32_MAX) pair->count++;
}

void moon_together_add(moon_together *t, uint32_t item, const moon_touch *const *others, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (others[i]->item == item) return;
  uint32_t *seen = seen_of(t, item);
  if (*seen < UINT32_MAX) ++*seen;
  for (size_t i = 0; i < n; i++) add_pair(t, item, others[i]->item);
}

/* ---- reading -------------------------------------------------------------------------------------------------------------- */

uint32_t moon_together_seen(const moon_together *t, uint32_t item) {
  return item < t->side->made ? *seen_of(t, item) : 0;
}

uint32_t moon_together_count(const moon_together *t, uint32_t a, uint32_t b) {
  return t->slots && a != b ? find(t, a, b)->count : 0;
}

void moon_together_fetch(const moon_together *t, uint32_t item, const uint32_t *others, size_t n) {
  if (item < t->side->made) __builtin_prefetch(seen_of(t, item));
  for (size_t i = 0; i < n && t->slots; i++) __builtin_prefetch(&t->pairs[hash_of(item, others[i]) & (t->slots - 1)]);
}

static int by_items(const void *a, const void *b) {
  const moon_pair *x = a, *y = b;
  if (x->low != y->low) return x->low < y->low ? -1 : 1;
  return (x->high > y->high) - (x->high < y->high);
}

moon_status moon_together_list(const moon_together *t, moon_pair **out) {
  moon_pair *list = moon_alloc((t->n ? t->n : 1) * sizeof *list);
  if (!list) return moon_fail(MOON_ENOMEM, "no memory to list %zu pairs of items", t->n);
  size_t n = 0;
  for (size_t i = 0; i < t->slots; i++)
    if (t->pairs[i].count) list[n++] = t->pairs[i];
  qsort(list, n, sizeof *list, by_items);
  *out = list;
  return moon_ok();
}

moon_status moon_together_put(moon_together *t, const moon_pair *pair) {
  MOON_TRY(moon_together_room(t, 1));
  *find(t, pair->low, pair->high) = *pair;
  t->n++;
  return moon_ok();
}

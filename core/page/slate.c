/* slate.c - the slate: arrays side by side, and the operators that sort, keep and boost.
 *
 * One idea: every operator ends in a permutation. It writes into slate->order which old position comes where, and
 * moon_slate_arrange moves all arrays alike; so no operator can invent an item, show one twice, or part an item from its scores
 * and history. All memory is taken when the slate is made, and operators that cannot fail need none. */
#include <math.h>
#include <string.h>

#include "page/slate.h"

const char *moon_source_name(moon_source_kind kind) {
  static const char *const names[MOON_SOURCE_KINDS] = {"popular", "trending", "similar", "recent", "nearest", "pinned"};
  return (unsigned)kind < MOON_SOURCE_KINDS ? names[kind] : "unknown";
}

/* ---- making and filling */

static moon_status no_memory(size_t cap) { return moon_fail(MOON_ENOMEM, "no memory for a slate of %zu items", cap); }

/* Fresh arrays, empty. */
static moon_status take_memory(moon_slate *slate, size_t cap) {
  enum { EACH = 2 * sizeof(uint64_t) + sizeof(moon_reason *) + 4 * sizeof(float) + 2 * sizeof(uint32_t) + 1 };
  size_t members = 16;
  while (cap < UINT32_MAX / 4 && members < 2 * cap) members *= 2;
  char *memory = cap < UINT32_MAX / 4 ? moon_arena_alloc(slate->arena, cap * EACH + members * sizeof(uint32_t)) : NULL;
  if (!memory) return no_memory(cap);
  slate->scratch = (uint64_t *)memory; /* the widest first, so that all are aligned */
  slate->reason = (moon_reason **)(slate->scratch + 2 * cap);
  slate->score = (float *)(slate->reason + cap);
  slate->model_score = slate->score + cap;
  slate->source_score = slate->model_score + cap;
  slate->propensity = slate->source_score + cap;
  slate->item = (uint32_t *)(slate->propensity + cap);
  slate->order = slate->item + cap;
  slate->members = slate->order + cap;
  slate->source = (uint8_t *)(slate->members + members);
  slate->member_mask = members - 1;
  memset(slate->members, 0xff, members * sizeof *slate->members);
  slate->member_count = 0;
  slate->cap = cap;
  return moon_ok();
}

moon_status moon_slate_new(const moon_bundle *bundle, moon_arena *arena, size_t cap, moon_slate **out) {
  moon_slate *slate = moon_arena_calloc(arena, sizeof *slate);
  if (!slate) return no_memory(cap);
  slate->explain = true;
  slate->arena = arena;
  slate->bundle = bundle;
  MOON_TRY(take_memory(slate, cap));
  *out = slate;
  return moon_ok();
}

/* True where the item is new to the slate; it is a member then. MOON_NONE marks an empty place and is no item. */
static bool join(moon_slate *slate, uint32_t item) {
  size_t at = moon_mix64(item) & slate->member_mask;
  while (slate->members[at] != MOON_NONE) {
    if (slate->members[at] == item) return false;
    at = (at + 1) & slate->member_mask;
  }
  slate->members[at] = item;
  slate->member_count++;
  return true;
}

void moon_slate_add(moon_slate *slate, uint32_t item, float score, moon_source_kind source) {
  if (slate->n == slate->cap || item == MOON_NONE || slate->member_count >= slate->member_mask || !join(slate, item)) return;
  size_t i = slate->n++;
  slate->item[i] = item;
  slate->score[i] = slate->source_score[i] = score;
  slate->model_score[i] = slate->propensity[i] = NAN;
  slate->source[i] = (uint8_t)source;
  slate->reason[i] = NULL;
}

moon_status moon_slate_bar(moon_slate *slate, const uint32_t *items, size_t n) {
  moon_barred *barred = moon_arena_alloc(slate->arena, sizeof *barred);
  if (!barred) return moon_fail(MOON_ENOMEM, "no memory to bar %zu items", n);
  *barred = (moon_barred){slate->barred, items, n};
  slate->barred = barred;
  return moon_ok();
}

bool moon_rows_have(const uint32_t *sorted, size_t n, uint32_t row) {
  while (n > 0) {
    size_t half = n / 2;
    if (sorted[half] == row) return true;
    if (sorted[half] < row) sorted += half + 1, n -= half + 1;
    else n = half;
  }
  return false;
}

bool moon_slate_bars(const moon_slate *slate, uint32_t item) {
  for (const moon_barred *b = slate->barred; b; b = b->next)
    if (moon_rows_have(b->items, b->n, item)) return true;
  return false;
}

moon_status moon_slate_room(moon_slate *slate, size_t cap) {
  if (cap <= slate->cap) return moon_ok();
  moon_slate old = *slate;
  if (cap < old.cap + old.cap / 8 + 8) cap = old.cap + old.cap / 8 + 8; /* one at a time would be quadratic */
  MOON_TRY(take_memory(slate, old.member_count > cap ? old.member_count : cap));
  for (size_t i = 0; i <= old.member_mask; i++)
    if (old.members[i] != MOON_NONE) join(slate, old.members[i]);
  if (!old.n) return moon_ok();
  memcpy(slate->item, old.item, old.n * sizeof *old.item);
  memcpy(slate->score, old.score, old.n * sizeof *old.score);
  memcpy(slate->model_score, old.model_score, old.n * sizeof *old.model_score);
  memcpy(slate->source_score, old.source_score, old.n * sizeof *old.source_score);
  memcpy(slate->propensity, old.propensity, old.n * sizeof *old.propensity);
  memcpy(slate->source, old.source, old.n);
  memcpy(slate->reason, old.reason, old.n * sizeof *old.reason);
  return moon_ok();
}

void moon_slate_take(moon_slate *to, const moon_slate *from, size_t i) {
  size_t at = to->n;
  moon_slate_add(to, from->item[i], from->score[i], (moon_source_kind)from->source[i]);
  if (to->n == at) return;
  to->model_score[at] = from->model_score[i];
  to->source_score[at] = from->source_score[i];
  to->propensity[at] = from->propensity[i];
  to->reason[at] = from->reason[i];
}

void moon_slate_note(moon_slate *slate, size_t position, const char *policy, const char *text, float factor, uint32_t from,
                     uint32_t to) {
  moon_reason *reason = slate->explain ? moon_arena_alloc(slate->arena, sizeof *reason) : NULL;
  if (!reason) return;
  *reason = (moon_reason){slate->reason[position], policy, text, factor, from, to};
  slate->reason[position] = reason;
}

/* ---- reading */

bool moon_cell_key(const moon_column *column, size_t row, uint64_t *key) {
  if (row >= column->n || moon_column_is_null(column, row)) return false;
  if (column->type == MOON_STRING) {
    *key = column->code[row];
  } else if (column->type == MOON_NUMBER) {
    double value = column->f64[row] + 0.0; /* -0 is 0; all ones would be a NaN, and that is a null */
    memcpy(key, &value, sizeof *key);
  } else {
    *key = (uint64_t)column->i64[row] ^ INT64_MAX; /* the null is what would become all ones */
  }
  return true;
}

/* ---- the permutation */

/* One array, by a constant element size so that each copy is one move. */
static void permute4(void *array, const uint32_t *order, size_t n, size_t old_n, uint64_t *scratch) {
  memcpy(scratch, array, old_n * 4);
  for (size_t i = 0; i < n; i++) memcpy((char *)array + i * 4, (char *)scratch + (size_t)order[i] * 4, 4);
}

void moon_slate_arrange(moon_slate *slate, size_t n) {
  size_t old_n = slate->n;
  const uint32_t *order = slate->order;
  if (old_n) {
    permute4(slate->item, order, n, old_n, slate->scratch);
    permute4(slate->score, order, n, old_n, slate->scratch);
    permute4(slate->model_score, order, n, old_n, slate->scratch);
    permute4(slate->source_score, order, n, old_n, slate->scratch);
    permute4(slate->propensity, order, n, old_n, slate->scratch);
    moon_reason **reasons = (moon_reason **)slate->scratch;
    memcpy(reasons, slate->reason, old_n * sizeof *reasons);
    for (size_t i = 0; i < n; i++) slate->reason[i] = reasons[order[i]];
    uint8_t *sources = (uint8_t *)slate->scratch;
    memcpy(sources, slate->source, old_n);
    for (size_t i = 0; i < n; i++) slate->source[i] = sources[order[i]];
  }
  slate->n = n;
}

/* What one policy moves twice in a row is one move. */
static bool extend_move(const moon_slate *slate, size_t i, const char *policy) {
  moon_reason *last = slate->reason[i];
  if (!last || last->policy != policy || last->factor != 0 || last->to != slate->order[i]) return false;
  last->to = (uint32_t)i;
  return true;
}

void moon_slate_note_moves(moon_slate *slate, const char *policy, const char *text) {
  for (size_t i = 0; slate->explain && i < slate->n; i++)
    if (slate->order[i] != i && !extend_move(slate, i, policy))
      moon_slate_note(slate, i, policy, text, 0, slate->order[i], (uint32_t)i);
}

void moon_slate_note_marked(moon_slate *slate, const uint8_t *mark, const char *policy, const char *text) {
  for (size_t i = 0; slate->explain && i < slate->n; i++)
    if (mark[slate->order[i]]) moon_slate_note(slate, i, policy, text, 0, slate->order[i], (uint32_t)i);
}

void moon_slate_relax(moon_slate *slate, size_t position, const char *policy, const char *text) {
  slate->relaxed++;
  if (position < slate->n) moon_slate_note(slate, position, policy, text, 0, (uint32_t)position, (uint32_t)position);
}

void moon_slate_follow(moon_slate *slate, size_t k, const uint8_t *picked) {
  for (size_t i = 0; i < slate->n; i++)
    if (!picked[i]) slate->order[k++] = (uint32_t)i;
}

void moon_slate_part(moon_slate *slate, const uint8_t *first) {
  size_t at = 0;
  for (size_t i = 0; i < slate->n; i++)
    if (first[i]) slate->order[at++] = (uint32_t)i;
  moon_slate_follow(slate, at, first);
}

/* ---- sorting */

/* Unsigned keys that ascend where scores descend: the usual flip of an IEEE number's bits, upside down. NaN comes last. */
static uint32_t descending_key(float score) {
  if (isnan(score)) return UINT32_MAX;
  score += 0.0f; /* -0 ties with 0 */
  uint32_t bits;
  memcpy(&bits, &score, sizeof bits);
  return bits >> 31 ? bits : ~(bits | 0x80000000u);
}

/* One pass of a radix sort by the byte at `shift`; stable. */
static void radix_pass(const uint64_t *from, uint64_t *to, size_t n, int shift) {
  size_t start[257] = {0};
  for (size_t i = 0; i < n; i++) start[(from[i] >> shift & 255) + 1]++;
  for (size_t b = 1; b < 256; b++) start[b] += start[b - 1];
  for (size_t i = 0; i < n; i++) to[start[from[i] >> shift & 255]++] = from[i];
}

/* slate->order: positions by score, best first, ties in their order. False where that is how they stand already. */
static bool order_by_score(moon_slate *slate) {
  size_t n = slate->n;
  uint64_t *keys = slate->scratch, *other = slate->scratch + slate->cap;
  bool sorted = true;
  for (size_t i = 0; i < n; i++) {
    keys[i] = (uint64_t)descending_key(slate->score[i]) << 32 | i;
    sorted = sorted && (i == 0 || keys[i - 1] < keys[i]);
  }
  if (!sorted) {
    for (int shift = 32; shift < 64; shift += 8) {
      radix_pass(keys, other, n, shift);
      uint64_t *swap = keys;
      keys = other, other = swap;
    }
  }
  for (size_t i = 0; i < n; i++) slate->order[i] = (uint32_t)keys[i];
  return !sorted;
}

void moon_slate_sort(moon_slate *slate, const char *policy) {
  if (!order_by_score(slate)) return;
  moon_slate_arrange(slate, slate->n);
  if (policy) moon_slate_note_moves(slate, policy, NULL);
}

/* ---- keep and boost */

void moon_slate_keep(moon_slate *slate, const uint8_t *keep) {
  size_t kept = 0;
  for (size_t i = 0; i < slate->n; i++)
    if (keep[i]) slate->order[kept++] = (uint32_t)i;
  if (kept < slate->n) moon_slate_arrange(slate, kept);
}

/* A factor above 1 is always for the better. */
static float scaled(float score, float factor) { return score < 0 ? score / factor : score * factor; }

void moon_slate_boost(moon_slate *slate, const uint8_t *mask, float factor, const char *policy, const char *text) {
  if (!(factor > 0)) return;
  for (size_t i = 0; i < slate->n; i++)
    if (mask[i]) slate->score[i] = scaled(slate->score[i], factor);
  if (order_by_score(slate)) moon_slate_arrange(slate, slate->n);
  for (size_t i = 0; slate->explain && i < slate->n; i++)
    if (mask[slate->order[i]]) moon_slate_note(slate, i, policy, text, factor, slate->order[i], (uint32_t)i);
}

void moon_slate_scale(moon_slate *slate, const float *factor, const char *policy, const char *text) {
  for (size_t i = 0; i < slate->n; i++) slate->score[i] = scaled(slate->score[i], factor[i]);
  if (order_by_score(slate)) moon_slate_arrange(slate, slate->n);
  for (size_t i = 0; slate->explain && i < slate->n; i++) {
    float by = factor[slate->order[i]];
    if (by != 1) moon_slate_note(slate, i, policy, text, by, slate->order[i], (uint32_t)i);
  }
}

/* op_place.c - who gets which places: pin, quota, ratio, pattern, mix.
 *
 * All but pin choose a set or a sequence for the first places and leave everything else as it stood. */
#include <math.h>
#include <string.h>

#include "page/op.h"
#include "page/slate.h"

/* ---- pin */

typedef struct pin_args {
  moon_rows items;
  size_t at; /* 0: not by number */
  uint32_t after, before;
  double top; /* 0: not by share */
  bool bring;
} pin_args;

static moon_status check_pin(void *memory, const moon_bundle *bundle) {
  const pin_args *args = memory;
  (void)bundle;
  if (!args->items.n) return moon_fail(MOON_EFORMAT, "items must be a list of at least one id");
  if ((args->at > 0) + (args->after != MOON_NONE) + (args->before != MOON_NONE) + (args->top > 0) != 1)
    return moon_fail(MOON_EINVAL, "one of at, after, before, top is wanted");
  for (size_t i = 0; i < args->items.n; i++)
    if (args->items.at[i] == args->after || args->items.at[i] == args->before)
      return moon_fail(MOON_EINVAL, "an item cannot be pinned beside itself");
  return moon_ok();
}

static size_t position_of(const moon_slate *slate, uint32_t item) {
  size_t i = 0;
  while (i < slate->n && slate->item[i] != item) i++;
  return i;
}

/* What is not among the candidates comes to the end of the slate, unless an earlier policy took it out. */
static moon_status bring(const pin_args *args, moon_slate *slate) {
  const moon_catalogue *catalogue = slate->bundle->catalogue;
  size_t missing = 0;
  for (size_t k = 0; k < args->items.n; k++) missing += position_of(slate, args->items.at[k]) == slate->n;
  if (!missing) return moon_ok();
  MOON_TRY(moon_slate_room(slate, slate->n + missing));
  for (size_t k = 0; k < args->items.n; k++) {
    uint32_t item = args->items.at[k];
    if (item < moon_catalogue_rows(catalogue) && !catalogue->hidden[item] && !moon_slate_bars(slate, item))
      moon_slate_add(slate, item, 0, MOON_SOURCE_PINNED);
  }
  return moon_ok();
}

/* slate->order: the others as they stand, with the pinned ones, in the order of their list, before the `at`th of them. */
static void insert(const moon_slate *slate, const uint8_t *pinned, const size_t *places, size_t count, size_t at) {
  size_t n = 0, others = 0;
  for (size_t i = 0; i <= slate->n; i++) {
    if (i < slate->n && pinned[i]) continue;
    if (others++ == at || (i == slate->n && others <= at))
      for (size_t k = 0; k < count; k++) slate->order[n++] = (uint32_t)places[k];
    if (i < slate->n) slate->order[n++] = (uint32_t)i;
  }
}

/* How many unpinned items stand before `position`. */
static size_t others_before(const uint8_t *pinned, size_t position) {
  size_t n = 0;
  for (size_t i = 0; i < position; i++) n += !pinned[i];
  return n;
}

/* In the first `k` places: those that are there stay where they are, those that are not come last in them. */
static void lift(const moon_slate *slate, const uint8_t *pinned, size_t count, size_t k, uint8_t *inside) {
  size_t room = count < k ? k - count : 0;
  for (size_t i = 0; i < slate->n; i++) {
    inside[i] = pinned[i] || room > 0;
    room -= !pinned[i] && room > 0;
  }
}

static moon_status pin(const moon_policy *policy, moon_slate *slate) {
  const pin_args *args = policy->args;
  uint32_t anchor = args->after != MOON_NONE ? args->after : args->before;
  if (anchor != MOON_NONE && position_of(slate, anchor) == slate->n) return moon_ok();
  if (args->bring) MOON_TRY(bring(args, slate));
  uint8_t *pinned = moon_arena_calloc(slate->arena, slate->n + 1), *inside = moon_arena_calloc(slate->arena, slate->n + 1);
  size_t *places = moon_slate_memory(slate, args->items.n * sizeof *places), count = 0, at = args->at - 1;
  if (!pinned || !inside || !places) return moon_policy_no_memory(policy);
  for (size_t k = 0; k < args->items.n; k++) {
    size_t place = position_of(slate, args->items.at[k]);
    if (place < slate->n) pinned[place] = 1, places[count++] = place;
  }
  if (!count) return moon_ok();
  if (args->top > 0) {
    lift(slate, pinned, count, (size_t)ceil(args->top * (double)slate->n), inside);
    moon_slate_part(slate, inside);
  } else {
    if (anchor != MOON_NONE) at = others_before(pinned, position_of(slate, anchor)) + (args->after != MOON_NONE);
    insert(slate, pinned, places, count, at);
  }
  moon_slate_arrange(slate, slate->n);
  moon_slate_note_marked(slate, pinned, policy->label, policy->text);
  return moon_ok();
}

static const moon_field pin_fields[] = {{"items", MOON_FIELD_ITEMS, offsetof(pin_args, items), .required = true},
                                        {"at", MOON_FIELD_COUNT, offsetof(pin_args, at), .high = 100000},
                                        {"after", MOON_FIELD_ITEM, offsetof(pin_args, after)},
                                        {"before", MOON_FIELD_ITEM, offsetof(pin_args, before)},
                                        {"top", MOON_FIELD_NUMBER, offsetof(pin_args, top), .low = 0, .high = 1},
                                        {"bring", MOON_FIELD_FLAG, offsetof(pin_args, bring)},
                                        {NULL}};
const moon_operator moon_op_pin = {"pin", pin_fields, sizeof(pin_args), 0, check_pin, pin};

/* ---- quota and ratio: of the first k places, so many, or such a share, for what matches */

enum { ANY_NUMBER = 1000000000 };
typedef struct quota_args {
  moon_match when;
  size_t at_least, at_most, first;
} quota_args;
typedef struct ratio_args {
  moon_match when;
  double at_least, at_most;
  size_t first;
} ratio_args;

/* Of those that `mask` says (or does not), the last `n` inside go out, and the first n others come in; answers how many could not. */
static size_t exchange(const moon_slate *slate, const uint8_t *mask, bool coming, size_t k, size_t n, uint8_t *inside) {
  size_t out = k, in = k;
  for (; n > 0; n--) {
    while (in < slate->n && (mask[in] != 0) != coming) in++;
    while (out > 0 && (mask[out - 1] != 0) == coming) out--;
    if (in == slate->n || !out) break;
    inside[in++] = 1;
    inside[--out] = 0;
  }
  return n;
}

static moon_status keep_quota(const moon_policy *policy, moon_slate *slate, const moon_match *when, size_t least, size_t most,
                              size_t k) {
  uint8_t *mask, *inside = moon_arena_calloc(slate->arena, slate->n + 1);
  size_t has = 0, short_of = 0;
  if (!inside) return moon_policy_no_memory(policy);
  MOON_TRY(moon_match_mask(when, slate, &mask));
  for (size_t i = 0; i < k; i++) inside[i] = 1, has += mask[i] != 0;
  if (has < least)
    short_of = exchange(slate, mask, true, k, least - has, inside);
  else if (has > most)
    short_of = exchange(slate, mask, false, k, has - most, inside);
  else
    return moon_ok();
  moon_policy_part(policy, slate, inside);
  if (short_of) moon_slate_relax(slate, k - 1, policy->label, "relaxed: there are too few to choose from");
  return moon_ok();
}

static moon_status check_quota(void *memory, const moon_bundle *bundle) {
  quota_args *args = memory;
  (void)bundle;
  if (args->at_most == ANY_NUMBER)
    args->at_most = args->first;
  else if (!args->at_least && args->at_most >= args->first)
    return moon_fail(MOON_EINVAL, "at_most (%zu) is no less than first (%zu)", args->at_most, args->first);
  if (args->at_least > args->at_most || args->at_least > args->first)
    return moon_fail(MOON_EINVAL, "at_least (%zu) must not be above %s (%zu)", args->at_least,
                     args->at_most < args->first ? "at_most" : "first", moon_least(args->at_most, args->first));
  return args->at_least || args->at_most < args->first ? moon_ok() : moon_fail(MOON_EINVAL, "at_least or at_most is wanted");
}

static moon_status quota(const moon_policy *policy, moon_slate *slate) {
  const quota_args *args = policy->args;
  size_t k = moon_least(args->first, slate->n);
  return keep_quota(policy, slate, &args->when, args->at_least, args->at_most, k);
}

static moon_status check_ratio(void *memory, const moon_bundle *bundle) {
  const ratio_args *args = memory;
  (void)bundle;
  if (args->at_least > args->at_most)
    return moon_fail(MOON_EINVAL, "at_least (%g) must not be above at_most (%g)", args->at_least, args->at_most);
  return args->at_least > 0 || args->at_most < 1 ? moon_ok() : moon_fail(MOON_EINVAL, "at_least or at_most is wanted");
}

static moon_status ratio(const moon_policy *policy, moon_slate *slate) {
  const ratio_args *args = policy->args;
  size_t k = moon_least(args->first, slate->n); /* 0.3 of 10 is 3, whatever floats make of it */
  size_t least = (size_t)ceil(args->at_least * (double)k - 1e-9), most = (size_t)floor(args->at_most * (double)k + 1e-9);
  return keep_quota(policy, slate, &args->when, least, most < least ? least : most, k);
}

static const moon_field quota_fields[] = {
    {"when", MOON_FIELD_WHEN, offsetof(quota_args, when), .required = true},
    {"at_least", MOON_FIELD_COUNT, offsetof(quota_args, at_least), .high = 100000},
    {"at_most", MOON_FIELD_COUNT, offsetof(quota_args, at_most), .high = ANY_NUMBER, .fallback = ANY_NUMBER},
    {"first", MOON_FIELD_COUNT, offsetof(quota_args, first), .required = true, .low = 1, .high = 100000},
    {NULL}};
static const moon_field ratio_fields[] = {
    {"when", MOON_FIELD_WHEN, offsetof(ratio_args, when), .required = true},
    {"at_least", MOON_FIELD_NUMBER, offsetof(ratio_args, at_least), .high = 1},
    {"at_most", MOON_FIELD_NUMBER, offsetof(ratio_args, at_most), .high = 1, .fallback = 1},
    {"first", MOON_FIELD_COUNT, offsetof(ratio_args, first), .required = true, .low = 1, .high = 100000},
    {NULL}};
const moon_operator moon_op_quota = {"quota", quota_fields, sizeof(quota_args), 0, check_quota, quota};
const moon_operator moon_op_ratio = {"ratio", ratio_fields, sizeof(ratio_args), 0, check_ratio, ratio};

/* ---- pattern: place by place, the best that matches its turn's conditions; where there is none, the best of all that are left */

typedef struct pattern_args {
  moon_matches pattern;
  size_t first;
} pattern_args;

static moon_status pattern(const moon_policy *policy, moon_slate *slate) {
  const pattern_args *args = policy->args;
  size_t m = args->pattern.n, n = slate->n, k = moon_least(args->first, n);
  uint8_t **mask = moon_slate_memory(slate, m * sizeof *mask), *picked = moon_arena_calloc(slate->arena, n + 1);
  uint8_t *missed = moon_arena_calloc(slate->arena, n + 1);
  size_t *next = moon_arena_calloc(slate->arena, (m + 1) * sizeof *next); /* where each turn goes on; the last is of any */
  if (!mask || !picked || !missed || !next) return moon_policy_no_memory(policy);
  for (size_t e = 0; e < m; e++) MOON_TRY(moon_match_mask(&args->pattern.at[e], slate, &mask[e]));
  for (size_t at = 0; at < k; at++) {
    size_t e = at % m;
    while (next[e] < n && (picked[next[e]] || !mask[e][next[e]])) next[e]++;
    missed[at] = next[e] == n;
    size_t turn = missed[at] ? m : e;
    while (picked[next[turn]]) next[turn]++;
    picked[next[turn]] = 1;
    slate->order[at] = (uint32_t)next[turn];
  }
  moon_policy_pick(policy, slate, k, picked);
  for (size_t at = 0; at < k; at++)
    if (missed[at]) moon_slate_relax(slate, at, policy->label, "relaxed: nothing of this kind is left");
  return moon_ok();
}

static const moon_field pattern_fields[] = {
    {"pattern", MOON_FIELD_PATTERN, offsetof(pattern_args, pattern), .required = true, .high = 100},
    {"first", MOON_FIELD_COUNT, offsetof(pattern_args, first), .low = 1, .high = 100000, .fallback = 100},
    {NULL}};
const moon_operator moon_op_pattern = {"pattern", pattern_fields, sizeof(pattern_args), 0, NULL, pattern};

/* ---- mix: bands of a number, each with its share of the places: the band that is furthest behind its share gives its best */

typedef struct mix_args {
  const moon_column *by;
  moon_numbers edges, shares;
  size_t first;
} mix_args;
enum { MOST_BANDS = 32 };

static moon_status check_mix(void *memory, const moon_bundle *bundle) {
  mix_args *args = memory;
  double sum = 0;
  (void)bundle;
  if (args->shares.n != args->edges.n + 1 || args->shares.n > MOST_BANDS)
    return moon_fail(MOON_EINVAL, "%zu edges make %zu bands, and there are %zu shares (at most %d)", args->edges.n,
                     args->edges.n + 1, args->shares.n, MOST_BANDS);
  for (size_t i = 1; i < args->edges.n; i++)
    if (!(args->edges.at[i] > args->edges.at[i - 1]))
      return moon_fail(MOON_EINVAL, "edges must rise: %g follows %g", args->edges.at[i], args->edges.at[i - 1]);
  for (size_t i = 0; i < args->shares.n; i++) {
    if (args->shares.at[i] < 0) return moon_fail(MOON_EINVAL, "a share must be 0 or more, not %g", args->shares.at[i]);
    sum += args->shares.at[i];
  }
  if (!(sum > 0)) return moon_fail(MOON_EINVAL, "shares must not all be 0");
  for (size_t i = 0; i < args->shares.n; i++) args->shares.at[i] /= sum;
  return moon_ok();
}

/* How many edges are not above it; what has no number is of a band beyond the last, which has no share. */
static uint8_t band_of(const mix_args *args, uint32_t item) {
  double x = moon_cell_number(args->by, item);
  size_t band = 0;
  while (band < args->edges.n && x >= args->edges.at[band]) band++;
  return (uint8_t)(isnan(x) ? args->shares.n : band);
}

/* The band whose turn it is: of those that have something left, the one that lacks the most of what it should have after `at` places; the
 * better item where two lack the same. */
static size_t next_band(const mix_args *args, const size_t *next, const size_t *had, size_t n, size_t at) {
  size_t best = SIZE_MAX;
  double most = 0;
  for (size_t b = 0; b <= args->shares.n; b++) {
    double share = b < args->shares.n ? args->shares.at[b] : 0,
           lacks = share > 0 ? share * (double)(at + 1) - (double)had[b] : -1e9;
    if (next[b] == n) continue;
    if (best == SIZE_MAX || lacks > most + 1e-9 || (lacks > most - 1e-9 && next[b] < next[best])) best = b, most = lacks;
  }
  return best;
}

static moon_status mix(const moon_policy *policy, moon_slate *slate) {
  const mix_args *args = policy->args;
  size_t n = slate->n, k = moon_least(args->first, n), next[MOST_BANDS + 1] = {0}, had[MOST_BANDS + 1] = {0};
  uint8_t *band = moon_slate_memory(slate, n + 1), *picked = moon_arena_calloc(slate->arena, n + 1);
  if (!band || !picked) return moon_policy_no_memory(policy);
  for (size_t i = 0; i < n; i++) band[i] = band_of(args, slate->item[i]);
  for (size_t at = 0; at < k; at++) {
    for (size_t b = 0; b <= args->shares.n; b++)
      while (next[b] < n && (picked[next[b]] || band[next[b]] != b)) next[b]++;
    size_t b = next_band(args, next, had, n, at);
    had[b]++;
    picked[next[b]] = 1;
    slate->order[at] = (uint32_t)next[b];
  }
  moon_policy_pick(policy, slate, k, picked);
  for (size_t b = 0; b < args->shares.n && k; b++)
    if ((double)had[b] + 1 < args->shares.at[b] * (double)k)
      moon_slate_relax(slate, k - 1, policy->label, "relaxed: a band has too few items");
  return moon_ok();
}

static const char *const number_types[] = {"number", NULL};
static const moon_field mix_fields[] = {
    {"by", MOON_FIELD_COLUMN, offsetof(mix_args, by), .required = true, .names = number_types},
    {"edges", MOON_FIELD_NUMBERS, offsetof(mix_args, edges), .required = true, .low = -1e12, .high = 1e12},
    {"shares", MOON_FIELD_NUMBERS, offsetof(mix_args, shares), .required = true, .low = 0, .high = 1e6},
    {"first", MOON_FIELD_COUNT, offsetof(mix_args, first), .required = true, .low = 1, .high = 100000},
    {NULL}};
const moon_operator moon_op_mix = {"mix", mix_fields, sizeof(mix_args), 0, check_mix, mix};

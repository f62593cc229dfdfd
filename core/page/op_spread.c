/* op_spread.c - what the first places are like as a whole: debunch and margin. */
#include <math.h>
#include <string.h>

#include "page/op.h"
#include "page/slate.h"

/* ---- debunch: no more than `most` of a value within any `window` places. The best that may come comes next; where none may, the best. */

typedef struct debunch_args {
  const moon_column *by;
  const char *split;
  size_t most, window, first;
} debunch_args;

typedef struct spread { /* the state of the last places */
  moon_groups groups;
  uint32_t *count; /* [groups.count] how often a value is in them */
  size_t most;
} spread;

static void count(const spread *s, size_t item, uint32_t by) {
  for (uint32_t v = s->groups.first[item]; v < s->groups.first[item + 1]; v++) s->count[s->groups.value[v]] += by;
}

static bool may_come(const spread *s, size_t item) {
  for (uint32_t v = s->groups.first[item]; v < s->groups.first[item + 1]; v++)
    if (s->count[s->groups.value[v]] >= s->most) return false;
  return true;
}

/* What is left is a list: next[i] follows item i - 1, next[0] is the first; n ends it. */
static moon_status debunch(const moon_policy *policy, moon_slate *slate) {
  const debunch_args *args = policy->args;
  size_t n = slate->n, k = moon_least(args->first, n);
  spread s = {.most = args->most};
  MOON_TRY(moon_slate_groups(slate, args->by, args->split, &s.groups));
  uint32_t *next = moon_slate_memory(slate, (n + 1) * sizeof *next);
  uint8_t *picked = moon_arena_calloc(slate->arena, n + 1), *forced = moon_arena_calloc(slate->arena, n + 1);
  s.count = moon_arena_calloc(slate->arena, (s.groups.count + 1) * sizeof *s.count);
  if (!next || !picked || !forced || !s.count) return moon_policy_no_memory(policy);
  for (size_t i = 0; i <= n; i++) next[i] = (uint32_t)i;
  for (size_t at = 0; at < k; at++) {
    uint32_t before = 0;
    if (at >= args->window) count(&s, slate->order[at - args->window], UINT32_MAX); /* one less */
    while (next[before] < n && !may_come(&s, next[before])) before = next[before] + 1;
    forced[at] = next[before] == n;
    if (forced[at]) before = 0;
    uint32_t item = next[before];
    next[before] = next[item + 1];
    picked[item] = 1;
    slate->order[at] = item;
    count(&s, item, 1);
  }
  moon_policy_pick(policy, slate, k, picked);
  for (size_t at = 0; at < k; at++)
    if (forced[at]) moon_slate_relax(slate, at, policy->label, "relaxed: nothing else is left");
  return moon_ok();
}

static moon_status check_debunch(void *memory, const moon_bundle *bundle) {
  const debunch_args *args = memory;
  (void)bundle;
  return args->most < args->window ? moon_ok()
                                   : moon_fail(MOON_EINVAL, "most (%zu) must be below window (%zu)", args->most, args->window);
}

static const moon_field debunch_fields[] = {
    {"by", MOON_FIELD_COLUMN, offsetof(debunch_args, by), .required = true},
    {"split", MOON_FIELD_TEXT, offsetof(debunch_args, split)},
    {"most", MOON_FIELD_COUNT, offsetof(debunch_args, most), .low = 1, .high = 1000, .fallback = 1},
    {"window", MOON_FIELD_COUNT, offsetof(debunch_args, window), .low = 2, .high = 1000, .fallback = 2},
    {"first", MOON_FIELD_COUNT, offsetof(debunch_args, first), .low = 1, .high = 100000, .fallback = 100},
    {NULL}};
const moon_operator moon_op_debunch = {"debunch",     debunch_fields, sizeof(debunch_args), offsetof(debunch_args, first),
                                       check_debunch, debunch};

/* ---- margin: the mean of a column over the first places, or the sum over the sum of another, is at least so much.
 *
 * Both say that a sum of parts is not below 0: an item's part is its margin less what is asked of it. Greedy swaps bring that about: the
 * item with the least part goes behind, and the best-placed item whose part is above 0 comes for it, else the one with the largest. That is
 * not the best set of items, but it is near it and one can follow it. */

typedef struct margin_args {
  const moon_column *of, *per;
  double at_least;
  size_t first;
} margin_args;

/* An item without a number has no part in it. */
static double part_of(const margin_args *args, uint32_t item) {
  double x = moon_cell_number(args->of, item), per = args->per ? moon_cell_number(args->per, item) : 1,
         part = x - args->at_least * per;
  return isfinite(part) ? part : 0;
}

/* Swaps until the sum is not below 0; false where it stays so. */
static bool swap_up(const double *part, size_t n, size_t k, uint8_t *inside) {
  double sum = 0;
  size_t positive = k; /* none before it is outside and above 0 */
  for (size_t i = 0; i < k; i++) sum += part[i];
  for (size_t swaps = 0; sum < -1e-9 && swaps < k; swaps++) {
    size_t out = SIZE_MAX, in;
    for (size_t i = 0; i < n; i++)
      if (inside[i] && (out == SIZE_MAX || part[i] <= part[out])) out = i; /* the last of equals */
    while (positive < n && (inside[positive] || !(part[positive] > 0))) positive++;
    in = positive;
    for (size_t i = k; positive == n && i < n; i++)
      if (!inside[i] && (in == n || part[i] > part[in])) in = i;
    if (out == SIZE_MAX || in == n || part[in] <= part[out]) return false;
    inside[out] = 0, inside[in] = 1;
    sum += part[in] - part[out];
  }
  return sum >= -1e-9;
}

static moon_status margin(const moon_policy *policy, moon_slate *slate) {
  const margin_args *args = policy->args;
  size_t n = slate->n, k = moon_least(args->first, n);
  double *part = moon_slate_memory(slate, n * sizeof *part);
  uint8_t *inside = moon_arena_calloc(slate->arena, n + 1);
  if (!part || !inside) return moon_policy_no_memory(policy);
  for (size_t i = 0; i < n; i++) part[i] = part_of(args, slate->item[i]);
  memset(inside, 1, k);
  bool reached = swap_up(part, n, k, inside);
  moon_policy_part(policy, slate, inside);
  if (!reached) moon_slate_relax(slate, k - 1, policy->label, "relaxed: there is not so much margin");
  return moon_ok();
}

static const char *const number_types[] = {"number", NULL};
static const moon_field margin_fields[] = {
    {"of", MOON_FIELD_COLUMN, offsetof(margin_args, of), .required = true, .names = number_types},
    {"per", MOON_FIELD_COLUMN, offsetof(margin_args, per), .names = number_types},
    {"at_least", MOON_FIELD_NUMBER, offsetof(margin_args, at_least), .required = true, .low = -1e12, .high = 1e12},
    {"first", MOON_FIELD_COUNT, offsetof(margin_args, first), .required = true, .low = 1, .high = 100000},
    {NULL}};
const moon_operator moon_op_margin = {"margin", margin_fields, sizeof(margin_args), offsetof(margin_args, first), NULL, margin};

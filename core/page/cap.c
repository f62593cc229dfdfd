/* cap.c - at most so many items per value of a column, in the slate or in its first places: a count per value. */
#include <string.h>

#include "page/op.h"
#include "page/slate.h"

typedef struct tally { /* of one limit */
  moon_groups groups;
  uint32_t *count; /* [groups.count] */
  size_t limit;
} tally;

static moon_status tally_new(const moon_slate *slate, const moon_weight *limit, const char *split, tally *out) {
  MOON_TRY(moon_slate_groups(slate, limit->column, split, &out->groups));
  out->limit = (size_t)limit->n;
  out->count = moon_arena_calloc(slate->arena, (out->groups.count + 1) * sizeof *out->count);
  return out->count ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory to cap a slate of %zu items", slate->n);
}

static bool is_full(const tally *t, size_t item) {
  for (uint32_t v = t->groups.first[item]; v < t->groups.first[item + 1]; v++)
    if (t->count[t->groups.value[v]] >= t->limit) return true;
  return false;
}

/* Takes the item where no limit is against it. */
static bool take(const tally *tallies, size_t n, size_t item) {
  for (size_t t = 0; t < n; t++)
    if (is_full(&tallies[t], item)) return false;
  for (size_t t = 0; t < n; t++)
    for (uint32_t v = tallies[t].groups.first[item]; v < tallies[t].groups.first[item + 1]; v++)
      tallies[t].count[tallies[t].groups.value[v]]++;
  return true;
}

/* Without a number of first places what is too much is dropped; with one it waits behind them, and where nothing else is left it moves up. */
static moon_status run(const moon_policy *policy, moon_slate *slate) {
  const moon_cap_args *args = policy->args;
  size_t taken = 0, k = args->first ? moon_least(args->first, slate->n) : slate->n, n = args->limits.n;
  tally *tallies = moon_slate_memory(slate, n * sizeof *tallies);
  uint8_t *in = moon_arena_calloc(slate->arena, slate->n + 1);
  if (!tallies || !in) return moon_policy_no_memory(policy);
  for (size_t t = 0; t < n; t++) MOON_TRY(tally_new(slate, &args->limits.at[t], args->split, &tallies[t]));
  for (size_t i = 0; i < slate->n && taken < k; i++)
    if (take(tallies, n, i)) in[i] = 1, taken++;
  if (!args->first && taken == slate->n) return moon_ok();
  moon_slate_part(slate, in);
  moon_slate_arrange(slate, args->first ? slate->n : taken);
  moon_slate_note_moves(slate, policy->label, policy->text);
  for (size_t i = taken; args->first && i < k; i++) moon_slate_relax(slate, i, policy->label, "relaxed: nothing else is left");
  return moon_ok();
}

bool moon_cap_allows(const moon_policy *cap, const moon_slate *shown, uint32_t item) {
  const moon_cap_args *args = cap->args;
  if (args->first || !moon_policy_due(cap, shown->request)) return true;
  for (size_t l = 0; l < args->limits.n; l++) {
    moon_groups groups;
    uint32_t items[1001]; /* a slot's most, and one */
    size_t n = moon_least(shown->n, 1000), same = 0;
    if (n) memcpy(items, shown->item, n * sizeof *items);
    items[n] = item;
    if (moon_groups_of(shown, items, n + 1, args->limits.at[l].column, args->split, &groups).code) return false;
    for (uint32_t own = groups.first[n]; own < groups.first[n + 1]; own++, same = 0) {
      for (uint32_t v = 0; v < groups.first[n]; v++) same += groups.value[v] == groups.value[own];
      if (same >= (size_t)args->limits.at[l].n) return false;
    }
  }
  return true;
}

static const moon_field fields[] = {{"limits", MOON_FIELD_LIMITS, offsetof(moon_cap_args, limits), .required = true},
                                    {"split", MOON_FIELD_TEXT, offsetof(moon_cap_args, split)},
                                    {"first", MOON_FIELD_COUNT, offsetof(moon_cap_args, first), .high = 100000},
                                    {NULL}};
const moon_operator moon_op_cap = {"cap", fields, sizeof(moon_cap_args), 0, NULL, run};

moon_status moon_slate_cap(moon_slate *slate, const char *name, size_t limit, const char *label) {
  moon_column *column;
  MOON_TRY(moon_table_require(slate->bundle->catalogue->table, name, &column));
  if (!limit) return moon_fail(MOON_EINVAL, "cap '%.100s': the limit must be 1 or more", name);
  moon_weight one = {.column = column, .n = (double)limit};
  moon_cap_args args = {.limits = {&one, 1}};
  moon_policy policy = {.op = &moon_op_cap, .label = label, .args = &args};
  return run(&policy, slate);
}

/* op_choose.c - which items stay: filter, exclude, frequency. */
#include <string.h>

#include "page/op.h"
#include "page/slate.h"

static moon_status filter(const moon_policy *policy, moon_slate *slate) {
  const moon_filter_args *args = policy->args;
  uint8_t *keep;
  MOON_TRY(moon_match_mask(&args->when, slate, &keep));
  moon_slate_keep(slate, keep);
  return moon_ok();
}

static const moon_field filter_fields[] = {{"when", MOON_FIELD_WHEN, offsetof(moon_filter_args, when), .required = true}, {NULL}};
const moon_operator moon_op_filter = {"filter", filter_fields, sizeof(moon_filter_args), 0, NULL, filter};

/* ---- exclude: by conditions, by id, by what the user did; one of them is enough */

typedef struct exclude_args {
  moon_match when;
  moon_rows items;
  moon_texts done;
  int64_t within; /* 0: ever */
} exclude_args;

static bool has_match(const moon_match *match) {
  return match->when || match->sources || match->mask;
}

static moon_status check_exclude(void *memory, const moon_bundle *bundle) {
  const exclude_args *args = memory;
  (void)bundle;
  if (args->within && !args->done.n) return moon_fail(MOON_EINVAL, "within goes with done");
  if (!has_match(&args->when) && !args->items.n && !args->done.n)
    return moon_fail(MOON_EINVAL, "one of when, items, done is wanted");
  return moon_ok();
}

static moon_status exclude_done(const moon_slate *slate, const exclude_args *args, uint8_t *out) {
  int64_t *touched = moon_slate_memory(slate, (slate->n + 1) * sizeof *touched);
  if (!touched) return moon_fail(MOON_ENOMEM, "no memory for a policy");
  MOON_TRY(moon_slate_touched(slate, &args->done, touched));
  for (size_t i = 0; i < slate->n; i++)
    out[i] |= touched[i] != INT64_MIN && (!args->within || slate->request->now - touched[i] < args->within);
  return moon_ok();
}

static moon_status exclude(const moon_policy *policy, moon_slate *slate) {
  const exclude_args *args = policy->args;
  uint8_t *out = moon_arena_calloc(slate->arena, slate->n + 1), *mask;
  if (!out) return moon_policy_no_memory(policy);
  if (has_match(&args->when)) {
    MOON_TRY(moon_match_mask(&args->when, slate, &mask));
    for (size_t i = 0; i < slate->n; i++) out[i] |= mask[i];
  }
  if (args->done.n) MOON_TRY(exclude_done(slate, args, out));
  if (args->items.n) MOON_TRY(moon_slate_bar(slate, args->items.sorted, args->items.n));
  for (size_t i = 0; i < slate->n; i++) out[i] |= moon_rows_have(args->items.sorted, args->items.n, slate->item[i]);
  for (size_t i = 0; i < slate->n; i++) out[i] = !out[i];
  moon_slate_keep(slate, out);
  return moon_ok();
}

static const moon_field exclude_fields[] = {{"when", MOON_FIELD_WHEN, offsetof(exclude_args, when)},
                                            {"items", MOON_FIELD_ITEMS, offsetof(exclude_args, items)},
                                            {"done", MOON_FIELD_KINDS, offsetof(exclude_args, done)},
                                            {"within", MOON_FIELD_SPAN, offsetof(exclude_args, within)},
                                            {NULL}};
const moon_operator moon_op_exclude = {"exclude", exclude_fields, sizeof(exclude_args), 0, check_exclude, exclude};

/* ---- frequency: an item was shown to the user often enough. The state has to count it, so the recipe says so. */

typedef struct frequency_args {
  const char *done;
  size_t most;
  int64_t within;
  size_t counter; /* of the plan */
} frequency_args;

static moon_status check_frequency(void *memory, const moon_bundle *bundle) {
  frequency_args *args = memory;
  args->counter =
      bundle->feature_plan ? moon_plan_counts(bundle->feature_plan, MOON_COUNTS_PAIRS, args->done, args->within) : SIZE_MAX;
  if (args->counter != SIZE_MAX) return moon_ok();
  return moon_fail(MOON_EINVAL,
                   "the bundle's recipe does not count '%.60s' by user and item in that time: add m.count(\"user\", \"%.60s\", "
                   "WITHIN, { by = \"item\" })",
                   args->done, args->done);
}

static moon_status frequency(const moon_policy *policy, moon_slate *slate) {
  const frequency_args *args = policy->args;
  uint32_t user = slate->request ? slate->request->user_row : MOON_NONE;
  if (!slate->state || user == MOON_NONE) return moon_ok();
  uint8_t *keep = moon_slate_memory(slate, slate->n);
  if (!keep) return moon_policy_no_memory(policy);
  for (size_t i = 0; i < slate->n; i++)
    keep[i] = moon_state_count(slate->state, args->counter, user, slate->item[i], slate->request->now, args->within) < args->most;
  moon_slate_keep(slate, keep);
  return moon_ok();
}

static const moon_field frequency_fields[] = {
    {"done", MOON_FIELD_TEXT, offsetof(frequency_args, done), .required = true},
    {"most", MOON_FIELD_COUNT, offsetof(frequency_args, most), .required = true, .low = 1, .high = 1e6},
    {"within", MOON_FIELD_SPAN, offsetof(frequency_args, within), .required = true},
    {NULL}};
const moon_operator moon_op_frequency = {"frequency", frequency_fields, sizeof(frequency_args), 0, check_frequency, frequency};

/* op_calibrate.c - a beginning whose mix of values is that of the user's past (Steck 2018).
 *
 * The first k are picked one by one, each time the item that leaves (1 - lambda) * sum of scores - lambda * KL(p || q) the largest: p is the
 * share of each value among what the user touched last, q that among the picks, q' = 0.99 q + 0.01 p so that nothing is missing. With m
 * picks KL = const - sum_c p_c log(0.99 Q_c / m + 0.01 p_c), so an item changes only the terms of its own values, and what they would
 * become is worked out once a pick and value. */
#include <math.h>
#include <string.h>

#include "page/op.h"
#include "page/slate.h"

typedef struct calibrate_args {
  const moon_column *by;
  const char *split;
  double lambda;
  size_t first, last;
  moon_texts done;
} calibrate_args;

typedef struct taste {
  moon_groups groups; /* of the slate's items, and then the past's */
  double *share;      /* [groups.count] p */
  double *picked;     /* [groups.count] Q */
  double *gain;       /* [groups.count] of a whole item of the value */
} taste;

/* The user's last items of those kinds, newest first, each once, behind the slate's in one array. */
static moon_status past_of(const moon_slate *slate, const calibrate_args *args, uint32_t *items, size_t *n) {
  const moon_touch *touches;
  size_t count = moon_state_touches(slate->state, slate->request->user_row, &touches), from = slate->n, at = from;
  uint32_t *codes = moon_slate_memory(slate, (args->done.n + 1) * sizeof *codes);
  if (!codes) return moon_fail(MOON_ENOMEM, "no memory for a policy");
  for (size_t k = 0; k < args->done.n; k++)
    MOON_TRY(moon_state_kind((moon_state *)slate->state, args->done.at[k], strlen(args->done.at[k]), false, &codes[k]));
  for (size_t i = count; i > 0 && at - from < args->last; i--) {
    bool wanted = !args->done.n;
    for (size_t k = 0; k < args->done.n; k++) wanted = wanted || codes[k] == touches[i - 1].kind;
    for (size_t j = from; wanted && j < at; j++) wanted = items[j] != touches[i - 1].item;
    if (wanted) items[at++] = touches[i - 1].item;
  }
  *n = at - from;
  return moon_ok();
}

static void add_item(const moon_groups *groups, size_t item, double weight, double *sums) {
  uint32_t first = groups->first[item], end = groups->first[item + 1];
  for (uint32_t v = first; v < end; v++) sums[groups->value[v]] += weight / (end - first);
}

static double term(const taste *t, uint32_t value, double more, double m) {
  double p = t->share[value];
  return p > 0 ? p * log(0.99 * (t->picked[value] + more) / m + 0.01 * p) : 0;
}

/* What the sum of terms gains by the item, as the m-th pick. */
static double gain_of(const taste *t, size_t item, double m) {
  uint32_t first = t->groups.first[item], end = t->groups.first[item + 1];
  if (end - first == 1) return t->gain[t->groups.value[first]];
  double gain = 0;
  for (uint32_t v = first; v < end; v++)
    gain += term(t, t->groups.value[v], 1.0 / (end - first), m) - term(t, t->groups.value[v], 0, m);
  return gain;
}

static void pick(const calibrate_args *args, moon_slate *slate, taste *t, const float *score, size_t k, uint8_t *picked) {
  for (size_t at = 0; at < k; at++) {
    size_t best = SIZE_MAX;
    double most = -INFINITY, m = (double)at + 1;
    for (uint32_t v = 0; v < t->groups.count; v++) t->gain[v] = term(t, v, 1, m) - term(t, v, 0, m);
    for (size_t i = 0; i < slate->n; i++) {
      if (picked[i]) continue;
      double worth = (1 - args->lambda) * score[i] + args->lambda * gain_of(t, i, m);
      if (best == SIZE_MAX || worth > most) most = worth, best = i;
    }
    picked[best] = 1;
    slate->order[at] = (uint32_t)best;
    add_item(&t->groups, best, 1, t->picked);
  }
}

/* Whoever has no past, or none with values, sees the slate as it stands. */
static moon_status calibrate(const moon_policy *policy, moon_slate *slate) {
  const calibrate_args *args = policy->args;
  size_t n = slate->n, k = moon_least(args->first, n), past = 0;
  taste t = {0};
  double sum = 0;
  if (!slate->state || !slate->request || slate->request->user_row == MOON_NONE) return moon_ok();
  uint32_t *items = moon_slate_memory(slate, (n + args->last) * sizeof *items);
  float *score = moon_slate_memory(slate, n * sizeof *score);
  uint8_t *picked = moon_arena_calloc(slate->arena, n + 1);
  if (!items || !score || !picked) return moon_policy_no_memory(policy);
  memcpy(items, slate->item, n * sizeof *items);
  MOON_TRY(past_of(slate, args, items, &past));
  MOON_TRY(moon_groups_of(slate, items, n + past, args->by, args->split, &t.groups));
  t.share = moon_arena_calloc(slate->arena, (3 * t.groups.count + 1) * sizeof *t.share);
  if (!t.share) return moon_policy_no_memory(policy);
  t.picked = t.share + t.groups.count, t.gain = t.picked + t.groups.count;
  for (size_t i = n; i < n + past; i++) add_item(&t.groups, i, 1, t.share);
  for (size_t v = 0; v < t.groups.count; v++) sum += t.share[v];
  for (size_t v = 0; v < t.groups.count && sum > 0; v++) t.share[v] /= sum;
  if (!(sum > 0)) return moon_ok();
  moon_slate_scaled(slate, score);
  pick(args, slate, &t, score, k, picked);
  moon_policy_pick(policy, slate, k, picked);
  return moon_ok();
}

static const char *const string_types[] = {"string", NULL};
static const moon_field fields[] = {
    {"by", MOON_FIELD_COLUMN, offsetof(calibrate_args, by), .required = true, .names = string_types},
    {"split", MOON_FIELD_TEXT, offsetof(calibrate_args, split)},
    {"lambda", MOON_FIELD_NUMBER, offsetof(calibrate_args, lambda), .high = 1, .fallback = 0.5},
    {"first", MOON_FIELD_COUNT, offsetof(calibrate_args, first), .low = 1, .high = 1000, .fallback = 20},
    {"last", MOON_FIELD_COUNT, offsetof(calibrate_args, last), .low = 1, .high = 1000, .fallback = 100},
    {"done", MOON_FIELD_KINDS, offsetof(calibrate_args, done)},
    {NULL}};
const moon_operator moon_op_calibrate = {"calibrate", fields,   sizeof(calibrate_args), offsetof(calibrate_args, first),
                                         NULL,        calibrate};

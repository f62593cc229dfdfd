/* op_score.c - what an item's score is: boost, freshness, clearance, suppress, blend, sort. All but the last two multiply, which divides a
 * score below 0, so that more is always better. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "page/op.h"
#include "page/slate.h"

static const char *const number_types[] = {"number", NULL}, *const time_types[] = {"time", NULL},
                         *const any_number[] = {"number", "time", NULL};

static int64_t now_of(const moon_slate *slate) {
  return slate->request ? slate->request->now : 0;
}

/* How long before now, in microseconds; NaN where nothing is known, 0 for what is yet to come. */
static double age(const moon_slate *slate, const moon_column *column, uint32_t item) {
  if (item >= column->n || moon_column_is_null(column, item)) return NAN;
  double past = (double)now_of(slate) - (double)column->i64[item];
  return past > 0 ? past : 0;
}

/* ---- boost */

static moon_status check_boost(void *memory, const moon_bundle *bundle) {
  const moon_boost_args *args = memory;
  float factor = (float)args->factor;
  (void)bundle;
  if (factor > 0 && !isinf(factor)) return moon_ok();
  return moon_fail(MOON_EINVAL, "factor must be a number above 0, not %g", args->factor);
}

static moon_status boost(const moon_policy *policy, moon_slate *slate) {
  const moon_boost_args *args = policy->args;
  uint8_t *mask;
  MOON_TRY(moon_match_mask(&args->when, slate, &mask));
  moon_slate_boost(slate, mask, (float)args->factor, policy->label, policy->text);
  return moon_ok();
}

static const moon_field boost_fields[] = {
    {"when", MOON_FIELD_WHEN, offsetof(moon_boost_args, when), .required = true},
    {"factor", MOON_FIELD_NUMBER, offsetof(moon_boost_args, factor), .required = true, .low = -INFINITY, .high = INFINITY},
    {NULL}};
const moon_operator moon_op_boost = {"boost", boost_fields, sizeof(moon_boost_args), 0, check_boost, boost};

/* ---- freshness: 1 + (factor - 1) * 2^(-age / half_life) */

typedef struct freshness_args {
  const moon_column *by;
  double factor;
  int64_t half_life;
} freshness_args;

static moon_status freshness(const moon_policy *policy, moon_slate *slate) {
  const freshness_args *args = policy->args;
  float *factor = moon_slate_memory(slate, slate->n * sizeof *factor);
  if (!factor) return moon_policy_no_memory(policy);
  for (size_t i = 0; i < slate->n; i++) {
    double old = age(slate, args->by, slate->item[i]);
    factor[i] = isnan(old) ? 1 : (float)(1 + (args->factor - 1) * exp2(-old / (double)args->half_life));
  }
  moon_slate_scale(slate, factor, policy->label, policy->text);
  return moon_ok();
}

static const moon_field freshness_fields[] = {
    {"by", MOON_FIELD_COLUMN, offsetof(freshness_args, by), .required = true, .names = time_types},
    {"factor", MOON_FIELD_NUMBER, offsetof(freshness_args, factor), .low = 0.001, .high = 1000, .fallback = 2},
    {"half_life", MOON_FIELD_SPAN, offsetof(freshness_args, half_life), .required = true},
    {NULL}};
const moon_operator moon_op_freshness = {"freshness", freshness_fields, sizeof(freshness_args), 0, NULL, freshness};

/* ---- clearance: factor^(how much there is of it * how long it has lain) */

typedef struct clearance_args {
  const moon_column *stock, *since;
  double over, full, factor;
  int64_t after, full_after;
} clearance_args;

static moon_status check_clearance(void *memory, const moon_bundle *bundle) {
  clearance_args *args = memory;
  (void)bundle;
  if (!args->stock && !args->since) return moon_fail(MOON_EINVAL, "a column is wanted: stock, since, or both");
  if (isnan(args->full)) args->full = args->over;
  if (!args->full_after) args->full_after = args->after;
  if (args->full < args->over) return moon_fail(MOON_EINVAL, "full must be at least over (%g), not %g", args->over, args->full);
  return args->full_after >= args->after ? moon_ok() : moon_fail(MOON_EINVAL, "full_after must be at least after");
}

/* 0 up to `from`, 1 from `to` on; a step where they are the same. */
static double ramp(double x, double from, double to) {
  if (!(x > from)) return 0;
  return x >= to ? 1 : (x - from) / (to - from);
}

static moon_status clearance(const moon_policy *policy, moon_slate *slate) {
  const clearance_args *args = policy->args;
  float *factor = moon_slate_memory(slate, slate->n * sizeof *factor);
  if (!factor) return moon_policy_no_memory(policy);
  for (size_t i = 0; i < slate->n; i++) {
    double much = args->stock ? ramp(moon_cell_number(args->stock, slate->item[i]), args->over, args->full) : 1;
    double lain = args->since ? ramp(age(slate, args->since, slate->item[i]), (double)args->after, (double)args->full_after) : 1;
    factor[i] = (float)pow(args->factor, much * lain);
  }
  moon_slate_scale(slate, factor, policy->label, policy->text);
  return moon_ok();
}

static const moon_field clearance_fields[] = {
    {"stock", MOON_FIELD_COLUMN, offsetof(clearance_args, stock), .names = number_types},
    {"over", MOON_FIELD_NUMBER, offsetof(clearance_args, over), .low = 0, .high = 1e12},
    {"full", MOON_FIELD_NUMBER, offsetof(clearance_args, full), .low = 0, .high = 1e12, .fallback = NAN},
    {"since", MOON_FIELD_COLUMN, offsetof(clearance_args, since), .names = time_types},
    {"after", MOON_FIELD_SPAN, offsetof(clearance_args, after)},
    {"full_after", MOON_FIELD_SPAN, offsetof(clearance_args, full_after)},
    {"factor", MOON_FIELD_NUMBER, offsetof(clearance_args, factor), .low = 1, .high = 1000, .fallback = 1.5},
    {NULL}};
const moon_operator moon_op_clearance = {"clearance", clearance_fields, sizeof(clearance_args), 0, check_clearance, clearance};

/* ---- suppress: what the user did with it weighs it down, less and less: 1 - (1 - factor) * 2^(-age / half_life) */

typedef struct suppress_args {
  moon_texts done;
  double factor;
  int64_t half_life;
} suppress_args;

static moon_status suppress(const moon_policy *policy, moon_slate *slate) {
  const suppress_args *args = policy->args;
  float *factor = moon_slate_memory(slate, slate->n * sizeof *factor);
  int64_t *touched = moon_slate_memory(slate, slate->n * sizeof *touched);
  if (!factor || !touched) return moon_policy_no_memory(policy);
  MOON_TRY(moon_slate_touched(slate, &args->done, touched));
  for (size_t i = 0; i < slate->n; i++) {
    double past = touched[i] == INT64_MIN ? NAN : (double)now_of(slate) - (double)touched[i];
    factor[i] = isnan(past) ? 1 : (float)(1 - (1 - args->factor) * exp2(-(past > 0 ? past : 0) / (double)args->half_life));
  }
  moon_slate_scale(slate, factor, policy->label, policy->text);
  return moon_ok();
}

static const moon_field suppress_fields[] = {
    {"done", MOON_FIELD_KINDS, offsetof(suppress_args, done), .required = true},
    {"factor", MOON_FIELD_NUMBER, offsetof(suppress_args, factor), .low = 0.001, .high = 1, .fallback = 0.1},
    {"half_life", MOON_FIELD_SPAN, offsetof(suppress_args, half_life), .fallback = 7 * 86400e6},
    {NULL}};
const moon_operator moon_op_suppress = {"suppress", suppress_fields, sizeof(suppress_args), 0, NULL, suppress};

/* ---- blend: a weighted sum of scores and columns, each brought to [0, 1] */

typedef struct blend_args {
  moon_weights weights;
  unsigned scale;
} blend_args;
enum { MIN_MAX, RANK };

static double weighed(const moon_slate *slate, const moon_weight *weight, size_t i) {
  const float *of[MOON_SLATE_SCORES] = {slate->score, slate->model_score, slate->source_score};
  return weight->column ? moon_cell_number(weight->column, slate->item[i]) : of[weight->score][i];
}

/* [0, 1] over the slate; what is not known is the least. */
static void min_max(double *x, size_t n) {
  double low = INFINITY, high = -INFINITY;
  for (size_t i = 0; i < n; i++) {
    if (isfinite(x[i]) && x[i] < low) low = x[i];
    if (isfinite(x[i]) && x[i] > high) high = x[i];
  }
  for (size_t i = 0; i < n; i++) {
    double y = high > low ? (x[i] - low) / (high - low) : 0;
    x[i] = y > 0 ? y < 1 ? y : 1 : 0;
  }
}

typedef struct ranked {
  double x;
  size_t at;
} ranked;

/* Rising, NaN first; ties by place. */
static int by_value(const void *a, const void *b) {
  const ranked *p = a, *q = b;
  if (isnan(p->x) != isnan(q->x)) return isnan(p->x) ? -1 : 1;
  if (p->x != q->x && !isnan(p->x)) return p->x < q->x ? -1 : 1;
  return (p->at > q->at) - (p->at < q->at);
}

/* How many are smaller, of all others. */
static void ranks(double *x, size_t n, ranked *room) {
  for (size_t i = 0; i < n; i++) room[i] = (ranked){x[i], i};
  qsort(room, n, sizeof *room, by_value);
  for (size_t i = 0, smaller = 0; i < n; i++) {
    if (i && !(room[i].x == room[i - 1].x) && !(isnan(room[i].x) && isnan(room[i - 1].x))) smaller = i;
    x[room[i].at] = n > 1 ? (double)smaller / (double)(n - 1) : 0;
  }
}

static moon_status blend(const moon_policy *policy, moon_slate *slate) {
  const blend_args *args = policy->args;
  size_t n = slate->n;
  double *x = moon_slate_memory(slate, n * sizeof *x), *sum = moon_arena_calloc(slate->arena, n * sizeof *sum);
  ranked *room = moon_slate_memory(slate, n * sizeof *room);
  if (!x || !sum || !room) return moon_policy_no_memory(policy);
  for (size_t w = 0; w < args->weights.n; w++) {
    for (size_t i = 0; i < n; i++) x[i] = weighed(slate, &args->weights.at[w], i);
    if (args->scale == RANK)
      ranks(x, n, room);
    else
      min_max(x, n);
    for (size_t i = 0; i < n; i++) sum[i] += args->weights.at[w].n * x[i];
  }
  for (size_t i = 0; i < n; i++) slate->score[i] = (float)sum[i];
  moon_slate_sort(slate, policy->label);
  return moon_ok();
}

static const char *const scales[] = {"minmax", "rank", NULL};
static const moon_field blend_fields[] = {
    {"weights", MOON_FIELD_WEIGHTS, offsetof(blend_args, weights), .required = true},
    {"scale", MOON_FIELD_CHOICE, offsetof(blend_args, scale), .text = "minmax", .names = scales},
    {NULL}};
const moon_operator moon_op_blend = {"blend", blend_fields, sizeof(blend_args), 0, NULL, blend};

/* ---- sort: by a column, or by the score again */

typedef struct sort_args {
  const moon_column *by;
  unsigned order;
} sort_args;
enum { FALLING, RISING };

static moon_status sort(const moon_policy *policy, moon_slate *slate) {
  const sort_args *args = policy->args;
  size_t n = slate->n;
  ranked *room = moon_slate_memory(slate, n * sizeof *room);
  if (!room) return moon_policy_no_memory(policy);
  for (size_t i = 0; i < n; i++) {
    double x = args->by ? moon_cell_number(args->by, slate->item[i]) : (double)slate->score[i];
    room[i] = (ranked){isnan(x) ? INFINITY : args->order == RISING ? x : -x, i};
  }
  qsort(room, n, sizeof *room, by_value);
  for (size_t i = 0; i < n; i++) slate->order[i] = (uint32_t)room[i].at;
  moon_slate_arrange(slate, n);
  moon_slate_note_moves(slate, policy->label, policy->text);
  return moon_ok();
}

static const char *const orders[] = {"falling", "rising", NULL};
static const moon_field sort_fields[] = {
    {"by", MOON_FIELD_COLUMN, offsetof(sort_args, by), .names = any_number},
    {"order", MOON_FIELD_CHOICE, offsetof(sort_args, order), .text = "falling", .names = orders},
    {NULL}};
const moon_operator moon_op_sort = {"sort", sort_fields, sizeof(sort_args), 0, NULL, sort};

/* evaluate_report.c - an evaluation as JSON: the metrics with their intervals, whole and by slice; and one beside another. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "rank/evaluate.h"

static json_t *number(double x) { return isfinite(x) ? json_real(x) : json_null(); }

static json_t *pair(double low, double high) { return json_pack("[f, f]", low, high); }

/* ---- model and baselines ---------------------------------------------------------------------------------------------------- */

/* Of a baseline only what it can have; of the model all that was asked for. */
static json_t *values(const moon_evaluation *e, const moon_estimates *estimates, int ranker) {
  json_t *out = json_object();
  for (size_t m = 0; m < e->metric_n; m++) {
    double value = estimates->of[ranker][m].value;
    if (ranker == MOON_BY_MODEL || !isnan(value)) json_object_set_new(out, e->metrics[m].name, number(value));
  }
  return out;
}

static json_t *intervals(const moon_evaluation *e, moon_estimates *estimates, int ranker) {
  json_t *out = json_object();
  double low, high;
  for (size_t m = 0; m < e->metric_n; m++)
    if (moon_sample_interval(estimates->of[ranker][m].sample, &low, &high)) json_object_set_new(out, e->metrics[m].name, pair(low, high));
  return out;
}

static void put_columns(const moon_evaluation *e, moon_estimates *estimates, json_t *out) {
  json_t *baselines = json_object(), *within = json_object();
  for (int ranker = 0; ranker < MOON_RANKERS; ranker++) {
    const char *name = moon_ranker_names[ranker];
    json_object_set_new(ranker == MOON_BY_MODEL ? out : baselines, name, values(e, estimates, ranker));
    json_object_set_new(within, name, intervals(e, estimates, ranker));
  }
  json_object_set_new(out, "baselines", baselines);
  json_object_set_new(out, "intervals", within);
}

/* Estimates are large: they lie in the arena with what they are made of. */
static moon_status estimate(const moon_evaluation *e, const moon_slice *slice, moon_arena *arena, moon_estimates **out) {
  moon_estimates *estimates = *out = moon_arena_alloc(arena, sizeof *estimates);
  if (!estimates) return moon_fail(MOON_ENOMEM, "no memory for the evaluation");
  MOON_TRY(moon_estimate_slice(e, slice, arena, estimates));
  return moon_resample(e, estimates, arena);
}

/* ---- slices, curves, calibration -------------------------------------------------------------------------------------------- */

static moon_status put_slice(const moon_evaluation *e, const moon_slice *slice, moon_arena *arena, json_t *out) {
  moon_estimates *estimates;
  moon_arena_reset(arena);
  MOON_TRY(estimate(e, slice, arena, &estimates));
  if (!estimates->examples) return moon_ok();
  json_t *one = json_pack("{s:s, s:I, s:I}", "name", slice->name, "examples", (json_int_t)estimates->examples, "users", (json_int_t)estimates->users);
  put_columns(e, estimates, one);
  json_array_append_new(out, one);
  return moon_ok();
}

static json_t *calibration(const moon_judged *j) {
  moon_calibration_bin bins[MOON_CALIBRATION_BINS];
  json_t *out = json_array();
  moon_calibration(j->score[MOON_BY_MODEL], j->label, j->n, bins);
  for (int b = 0; b < MOON_CALIBRATION_BINS; b++)
    json_array_append_new(out, json_pack("{s:I, s:o, s:o}", "examples", (json_int_t)bins[b].n, "score", bins[b].n ? number(bins[b].score) : json_null(),
                                         "rate", bins[b].n ? number(bins[b].rate) : json_null()));
  return out;
}

static json_t *curve(const moon_evaluation *e, moon_metric_kind kind, int ranker) {
  double at[MOON_CURVE_K];
  json_t *out = json_array();
  moon_curve(e, kind, ranker, at);
  for (int k = 0; k < MOON_CURVE_K; k++) json_array_append_new(out, number(at[k]));
  return out;
}

static json_t *by_k(const moon_evaluation *e) {
  static const char *const names[] = {"recall", "ndcg", "hit", "mrr", "map"}; /* in the order of the kinds */
  json_t *out = json_object();
  for (int i = 0; i < 5; i++) {
    json_t *one = json_object();
    for (int ranker = 0; ranker < MOON_RANKERS; ranker++)
      json_object_set_new(one, moon_ranker_names[ranker], curve(e, MOON_METRIC_RECALL_AT + (moon_metric_kind)i, ranker));
    json_object_set_new(out, names[i], one);
  }
  return out;
}

static moon_status put_all(const moon_evaluation *e, moon_arena *arena, json_t *out) {
  static const moon_slice whole = {.kind = MOON_SLICE_ALL};
  moon_estimates *estimates;
  json_t *slices = json_array();
  if (!slices || json_object_set_new(out, "slices", slices)) return moon_fail(MOON_ENOMEM, "no memory for the evaluation");
  MOON_TRY(estimate(e, &whole, arena, &estimates));
  json_object_set_new(out, "users", json_integer((json_int_t)estimates->users));
  put_columns(e, estimates, out);
  json_object_set_new(out, "calibration", e->judged->probability ? calibration(e->judged) : json_null());
  json_object_set_new(out, "by_k", by_k(e));
  for (size_t i = 0; i < e->slice_n; i++) MOON_TRY(put_slice(e, &e->slices[i], arena, slices));
  return moon_ok();
}

moon_status moon_evaluation_report(const moon_evaluation *e, json_t **out) {
  moon_arena arena = {0};
  json_t *report = json_deep_copy(e->about);
  moon_status status = report ? put_all(e, &arena, report) : moon_fail(MOON_ENOMEM, "no memory for the evaluation");
  moon_arena_free(&arena);
  if (status.code) json_decref(report), report = NULL;
  *out = report;
  return status;
}

/* ---- one beside another ----------------------------------------------------------------------------------------------------- */

static moon_status check_same(const moon_evaluation *one, const moon_evaluation *other) {
  if (one->judged->n != other->judged->n || one->examples_print != other->examples_print)
    return moon_fail(MOON_EINVAL, "the two are judged on different examples (%zu and %zu): their recipes clean, label or split the data differently",
                     one->judged->n, other->judged->n);
  if (one->lists.n != other->lists.n || one->lists_print != other->lists_print)
    return moon_fail(MOON_EINVAL, "the two rank for different users or other items (%zu and %zu users): their recipes see different pasts",
                     one->lists.n, other->lists.n);
  bool alike = one->metric_n == other->metric_n;
  for (size_t m = 0; m < one->metric_n && alike; m++) alike = !strcmp(one->metrics[m].name, other->metrics[m].name);
  return alike ? moon_ok() : moon_fail(MOON_EINVAL, "the two are evaluated by different metrics");
}

/* differences: [MOON_RESAMPLES], samples of one of which says nothing left out; both sides of 0 count what lies on it. */
static double p_value(const double *differences) {
  size_t below = 0, above = 0, n = 0;
  for (size_t b = 0; b < MOON_RESAMPLES; b++) {
    if (isnan(differences[b])) continue;
    below += differences[b] <= 0, above += differences[b] >= 0, n++;
  }
  double p = 2 * ((double)(below < above ? below : above) + 1) / ((double)n + 1);
  return p < 1 ? p : 1;
}

static json_t *difference(const moon_estimate *one, const moon_estimate *other) {
  json_t *out = json_pack("{s:o, s:o, s:o, s:n, s:n}", "this", number(one->value), "other", number(other->value), "difference",
                          number(one->value - other->value), "interval", "p");
  double apart[MOON_RESAMPLES], low, high;
  if (!one->sample || !other->sample) return out;
  for (size_t b = 0; b < MOON_RESAMPLES; b++) apart[b] = one->sample[b] - other->sample[b];
  if (!moon_sample_interval(apart, &low, &high)) return out;
  json_object_set_new(out, "interval", pair(low, high));
  json_object_set_new(out, "p", json_real(p_value(apart)));
  return out;
}

moon_status moon_evaluation_compare(const moon_evaluation *one, const moon_evaluation *other, json_t **out) {
  static const moon_slice whole = {.kind = MOON_SLICE_ALL};
  moon_arena arena = {0};
  moon_estimates *a, *b;
  *out = NULL;
  MOON_TRY(check_same(one, other));
  moon_status status = estimate(one, &whole, &arena, &a);
  if (!status.code) status = estimate(other, &whole, &arena, &b);
  if (!status.code && !(*out = json_object())) status = moon_fail(MOON_ENOMEM, "no memory for the comparison");
  for (size_t m = 0; m < one->metric_n && !status.code; m++)
    json_object_set_new(*out, one->metrics[m].name, difference(&a->of[MOON_BY_MODEL][m], &b->of[MOON_BY_MODEL][m]));
  moon_arena_free(&arena);
  return status;
}

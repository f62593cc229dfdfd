/* estimate.c - metrics of a slice of what was judged, each with what it is made of user by user.
 *
 * One shape for nearly all: a fraction whose parts add up over users, so that a sample of users is a weighted sum. Accuracy is right over
 * all, recall@k is the users' recalls over their number. Only AUC compares the examples of different users; it is kept as its examples in
 * order. Of calibration, coverage and Gini there is the value alone. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "rank/evaluate.h"

static moon_status no_memory(void) { return moon_fail(MOON_ENOMEM, "no memory for the evaluation"); }

/* ---- over examples ---------------------------------------------------------------------------------------------------------- */

static moon_status pick(const moon_evaluation *e, const moon_judged *all, const moon_slice *slice, moon_arena *arena, moon_judged *out) {
  *out = *all;
  if (slice->kind == MOON_SLICE_ALL) return moon_ok();
  out->label = moon_arena_alloc(arena, all->n * sizeof *out->label);
  out->start = moon_arena_alloc(arena, (e->users + 1) * sizeof *out->start);
  bool fine = out->label && out->start;
  for (int s = 0; s < MOON_SCORERS; s++) fine = (out->score[s] = moon_arena_alloc(arena, all->n * sizeof(float))) && fine;
  if (!fine) return no_memory();
  out->n = 0;
  for (uint32_t u = 0; u < e->users; u++) {
    out->start[u] = out->n;
    for (size_t i = all->start[u]; i < all->start[u + 1]; i++) {
      if (!moon_slice_has(e, slice, u, all->item[i])) continue;
      for (int s = 0; s < MOON_SCORERS; s++) out->score[s][out->n] = all->score[s][i];
      out->label[out->n++] = all->label[i];
    }
  }
  out->start[e->users] = out->n;
  return moon_ok();
}

static moon_status make_parts(size_t most, moon_arena *arena, moon_estimate *out) {
  out->part = moon_arena_alloc(arena, most * sizeof *out->part);
  out->user = moon_arena_alloc(arena, most * sizeof *out->user);
  return out->part && out->user ? moon_ok() : no_memory();
}

static void add_part(moon_estimate *out, uint32_t user, moon_fraction part) {
  if (part.under == 0) return;
  out->user[out->n] = user;
  out->part[out->n++] = part;
}

static void sum_parts(moon_estimate *out) {
  moon_fraction sum = {0, 0};
  for (size_t i = 0; i < out->n; i++) sum.over += out->part[i].over, sum.under += out->part[i].under;
  out->value = moon_fraction_value(sum);
}

static moon_status by_user(const moon_judged *j, size_t users, moon_metric_kind kind, int scorer, moon_arena *arena, moon_estimate *out) {
  MOON_TRY(make_parts(users, arena, out));
  for (uint32_t u = 0; u < users; u++) {
    size_t from = j->start[u], n = j->start[u + 1] - from;
    if (n) add_part(out, u, moon_fraction_of(kind, j->score[scorer] + from, j->label + from, n));
  }
  sum_parts(out);
  return moon_ok();
}

static int by_score(const void *a, const void *b) {
  const moon_ordered_example *x = a, *y = b;
  return (x->score > y->score) - (x->score < y->score);
}

static moon_status order(const moon_judged *j, size_t users, int scorer, moon_arena *arena, moon_estimate *out) {
  out->value = moon_auc(j->score[scorer], j->label, j->n);
  if (isnan(out->value)) return moon_ok();
  out->ordered = moon_arena_alloc(arena, j->n * sizeof *out->ordered);
  if (!out->ordered) return no_memory();
  for (uint32_t u = 0; u < users; u++)
    for (size_t i = j->start[u]; i < j->start[u + 1]; i++)
      out->ordered[out->n++] = (moon_ordered_example){u, j->score[scorer][i], j->label[i] > 0.5f};
  qsort(out->ordered, out->n, sizeof *out->ordered, by_score);
  return moon_ok();
}

/* ---- over lists ------------------------------------------------------------------------------------------------------------- */

static double list_metric(moon_metric_kind kind, const uint8_t *hit, size_t shown, size_t k, size_t relevant) {
  if (k > shown) k = shown;
  switch (kind) {
    case MOON_METRIC_RECALL_AT: return moon_recall_at(hit, shown, k, relevant);
    case MOON_METRIC_NDCG_AT: return moon_ndcg_at(hit, shown, k, relevant);
    case MOON_METRIC_HIT_AT: return moon_hit_at(hit, shown, k, relevant);
    case MOON_METRIC_MRR_AT: return moon_mrr_at(hit, shown, k, relevant);
    case MOON_METRIC_MAP_AT: return moon_map_at(hit, shown, k, relevant);
    default: return NAN;
  }
}

/* The hits of the i-th list within the slice, [depth]; answers how many are wanted there. */
static size_t hits_within(const moon_evaluation *e, const moon_slice *slice, size_t i, int ranker, uint8_t *hit) {
  const moon_lists *l = &e->lists;
  const uint32_t *items = l->items[ranker] + i * l->depth;
  size_t relevant = 0;
  for (size_t w = l->wanted_start[i]; w < l->wanted_start[i + 1]; w++) relevant += moon_slice_has(e, slice, l->user[i], l->wanted[w]);
  for (size_t p = 0; p < l->shown[i]; p++) hit[p] = l->hit[ranker][i * l->depth + p] && moon_slice_has(e, slice, l->user[i], items[p]);
  return relevant;
}

static moon_status by_hits(const moon_evaluation *e, const moon_slice *slice, const moon_metric *metric, int ranker, moon_arena *arena,
                           moon_estimate *out) {
  const moon_lists *l = &e->lists;
  uint8_t hit[MOON_MOST_K];
  MOON_TRY(make_parts(l->n, arena, out));
  for (size_t i = 0; i < l->n; i++) {
    size_t relevant = hits_within(e, slice, i, ranker, hit);
    if (relevant) add_part(out, l->user[i], (moon_fraction){list_metric(metric->kind, hit, l->shown[i], metric->k, relevant), 1});
  }
  sum_parts(out);
  return moon_ok();
}

static double list_content(const moon_evaluation *e, const moon_metric *metric, const uint32_t *items, size_t shown) {
  double information[MOON_MOST_K];
  uint32_t group[MOON_MOST_K];
  if (metric->kind == MOON_METRIC_DIVERSITY && !e->group) return NAN;
  for (size_t p = 0; p < shown && p < metric->k; p++)
    if (metric->kind == MOON_METRIC_DIVERSITY) group[p] = e->group[items[p]];
    else information[p] = e->information[items[p]];
  return metric->kind == MOON_METRIC_DIVERSITY ? moon_diversity_at(group, shown, metric->k) : moon_novelty_at(information, shown, metric->k);
}

static moon_status by_content(const moon_evaluation *e, const moon_metric *metric, int ranker, moon_arena *arena, moon_estimate *out) {
  const moon_lists *l = &e->lists;
  MOON_TRY(make_parts(l->n, arena, out));
  for (size_t i = 0; i < l->n; i++) {
    double value = list_content(e, metric, l->items[ranker] + i * l->depth, l->shown[i]);
    if (!isnan(value)) add_part(out, l->user[i], (moon_fraction){value, 1});
  }
  sum_parts(out);
  return moon_ok();
}

/* How often each item is recommended tells of how much of the catalogue is, and how evenly. */
static moon_status by_exposure(const moon_evaluation *e, const moon_metric *metric, int ranker, moon_estimate *out) {
  const moon_lists *l = &e->lists;
  if (!l->n) return moon_ok();
  uint32_t *count = moon_calloc(e->items, sizeof *count);
  if (!count) return no_memory();
  for (size_t i = 0; i < l->n; i++)
    for (size_t p = 0; p < l->shown[i] && p < metric->k; p++) count[l->items[ranker][i * l->depth + p]]++;
  size_t covered = 0;
  for (size_t item = 0; item < e->items; item++) covered += count[item] > 0;
  out->value = metric->kind == MOON_METRIC_GINI ? moon_gini(count, e->items) : (double)covered / (double)e->items;
  moon_free(count);
  return moon_ok();
}

/* ---- a slice ---------------------------------------------------------------------------------------------------------------- */

static moon_status estimate(const moon_evaluation *e, const moon_slice *slice, const moon_judged *j, const moon_metric *metric, int ranker,
                            moon_arena *arena, moon_estimate *out) {
  *out = (moon_estimate){.value = NAN};
  bool whole = slice->kind == MOON_SLICE_ALL;
  if (metric->kind >= MOON_METRIC_COVERAGE) return whole ? by_exposure(e, metric, ranker, out) : moon_ok();
  if (metric->kind >= MOON_METRIC_NOVELTY) return whole ? by_content(e, metric, ranker, arena, out) : moon_ok();
  if (metric->kind >= MOON_METRIC_RECALL_AT) return by_hits(e, slice, metric, ranker, arena, out);
  if (ranker >= MOON_SCORERS || (metric->kind < MOON_METRIC_AUC && (ranker != MOON_BY_MODEL || !j->probability))) return moon_ok();
  if (metric->kind == MOON_METRIC_AUC) return order(j, e->users, ranker, arena, out);
  if (metric->kind != MOON_METRIC_CALIBRATION) return by_user(j, e->users, metric->kind, ranker, arena, out);
  out->value = moon_calibration(j->score[ranker], j->label, j->n, NULL);
  return moon_ok();
}

moon_status moon_estimate_slice(const moon_evaluation *e, const moon_slice *slice, moon_arena *arena, moon_estimates *out) {
  moon_judged judged[1 + MOON_MOST_TASKS];
  const moon_lists *l = &e->lists;
  memset(out, 0, sizeof *out);
  for (size_t j = 0; j < e->judged_n; j++) MOON_TRY(pick(e, &e->judged[j], slice, arena, &judged[j]));
  out->examples = judged->n;
  for (size_t i = 0; i < l->n; i++) {
    bool wants = false;
    for (size_t w = l->wanted_start[i]; w < l->wanted_start[i + 1]; w++) wants = wants || moon_slice_has(e, slice, l->user[i], l->wanted[w]);
    out->users += wants;
  }
  for (int ranker = 0; ranker < MOON_RANKERS; ranker++)
    for (size_t m = 0; m < e->metric_n; m++) MOON_TRY(estimate(e, slice, &judged[e->metrics[m].of], &e->metrics[m], ranker, arena, &out->of[ranker][m]));
  return moon_ok();
}

void moon_curve(const moon_evaluation *e, moon_metric_kind kind, int ranker, double *out) {
  const moon_lists *l = &e->lists;
  for (size_t k = 1; k <= MOON_CURVE_K; k++) {
    double sum = 0;
    for (size_t i = 0; i < l->n; i++)
      sum += list_metric(kind, l->hit[ranker] + i * l->depth, l->shown[i], k, l->wanted_start[i + 1] - l->wanted_start[i]);
    out[k - 1] = l->n ? sum / (double)l->n : NAN;
  }
}

/* ranking.c - the model over a list of the caller's: as the page's ranking does it, in parts, so that a long list needs no more memory than a
 * short one. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/internal.h"

enum { PART = 1024, RANK_MOST = 1000000 };

static moon_status check_rank(const moon_rank_query *theirs, const float *scores, moon_rank_query *query) {
  MOON_TRY(moon_take_struct(theirs, "moon_rank_query", sizeof *query, sizeof *query, query));
  if (query->n > RANK_MOST) return moon_fail(MOON_EINVAL, "a moon_rank_query has up to %d items, not %zu", RANK_MOST, query->n);
  if (query->n) MOON_TRY(moon_check_given(query->items, "moon_rank_query.items"));
  if (query->n) MOON_TRY(moon_check_given(scores, "scores"));
  for (size_t i = 0; i < query->n; i++)
    if (!query->items[i]) return moon_fail(MOON_EINVAL, "moon_rank_query.items[%zu] is NULL", i);
  return moon_ok();
}

typedef struct part { /* the items of a part that the bundle has */
  size_t n;
  uint32_t row[PART], at[PART];
} part;

static moon_status score_part(moon_worker *w, const moon_rank_query *query, uint32_t user, int64_t now, part *p, float *scores) {
  const moon_bundle *bundle = moon_worker_bundle(w);
  moon_inputs inputs;
  if (!p->n) return moon_ok();
  moon_arena_reset(&w->scratch);
  float *known = moon_arena_alloc(&w->scratch, p->n * sizeof *known);
  if (!known) return moon_fail(MOON_ENOMEM, "no memory to rank %zu items", query->n);
  MOON_TRY(moon_inputs_alloc(bundle->feature_plan, &w->scratch, p->n, &inputs));
  moon_features_compute(bundle->features, bundle->state, user, query->user, p->row, p->n, now, &inputs);
  MOON_TRY(moon_model_score(bundle->model, &inputs, p->n, &w->scratch, known));
  for (size_t i = 0; i < p->n; i++) scores[p->at[i]] = known[i];
  return moon_ok();
}

static moon_status score(moon_worker *w, const moon_rank_query *query, float *scores) {
  const moon_bundle *bundle = moon_worker_bundle(w);
  int64_t now = query->now ? query->now : moon_state_clock(bundle->state);
  uint32_t user = MOON_NONE;
  part *p = moon_arena_alloc(&w->arena, sizeof *p);
  if (!p) return moon_fail(MOON_ENOMEM, "no memory to rank %zu items", query->n);
  if (query->user) MOON_TRY(moon_state_user(bundle->state, query->user, strlen(query->user), false, &user));
  for (size_t start = 0; start < query->n; start += PART) {
    size_t end = query->n - start < PART ? query->n : start + PART;
    p->n = 0;
    for (size_t i = start; i < end; i++) {
      uint32_t row = moon_dict_find(bundle->catalogue->ids, query->items[i], strlen(query->items[i]));
      scores[i] = NAN;
      if (row == MOON_NONE) continue;
      p->row[p->n] = row;
      p->at[p->n++] = (uint32_t)i;
    }
    MOON_TRY(score_part(w, query, user, now, p, scores));
  }
  return moon_ok();
}

typedef struct place {
  float score;
  uint32_t at;
} place;

static int better(const void *a, const void *b) {
  const place *x = a, *y = b;
  bool x_is = !isnan(x->score), y_is = !isnan(y->score);
  if (x_is != y_is) return x_is ? -1 : 1;
  if (x_is && x->score != y->score) return x->score > y->score ? -1 : 1;
  return x->at < y->at ? -1 : x->at > y->at;
}

static moon_status sort(moon_arena *arena, const float *scores, size_t n, uint32_t *order) {
  place *places = moon_arena_alloc(arena, (n + 1) * sizeof *places);
  if (!places) return moon_fail(MOON_ENOMEM, "no memory to rank %zu items", n);
  for (size_t i = 0; i < n; i++) places[i] = (place){scores[i], (uint32_t)i};
  qsort(places, n, sizeof *places, better);
  for (size_t i = 0; i < n; i++) order[i] = places[i].at;
  return moon_ok();
}

moon_status moon_worker_rank(moon_worker *w, const moon_rank_query *theirs, float *scores, uint32_t *order) {
  moon_rank_query query;
  MOON_TRY(moon_check_given(w, "worker"));
  MOON_TRY(check_rank(theirs, scores, &query));
  if (query.user && !*query.user) query.user = NULL;
  moon_worker_begin(w);
  const moon_state *state = moon_worker_state(w);
  moon_state_read_begin(state);
  moon_status status = score(w, &query, scores);
  moon_state_read_end(state);
  if (!status.code && order) status = sort(&w->arena, scores, query.n, order);
  if (status.code) return status;
  moon_worker_count_ranking(w, query.n);
  return status;
}

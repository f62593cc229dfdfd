/* charts.c - the popular and the trending list: one pass over the catalogue each time the state has moved on far enough, and a
 * copy for each request in between. */
#include <string.h>

#include "retrieve/best.h"
#include "retrieve/retrieve.h"

struct moon_charts {
  moon_candidates popular, trending;
  bool built;
  int64_t built_at;
  uint64_t events; /* in the state, when built */
};

static bool list_new(size_t keep, moon_candidates *list) {
  if (keep > SIZE_MAX / sizeof(float)) return false;
  list->item = moon_alloc(keep * sizeof *list->item);
  list->score = moon_alloc(keep * sizeof *list->score);
  list->cap = keep;
  return list->item && list->score;
}

static void list_free(moon_candidates *list) {
  moon_free(list->item);
  moon_free(list->score);
}

moon_status moon_charts_new(size_t keep, moon_charts **out) {
  if (!keep) return moon_fail(MOON_EINVAL, "charts: keep must be at least 1");
  moon_charts *charts = moon_calloc(1, sizeof *charts);
  if (!charts || !list_new(keep, &charts->popular) || !list_new(keep, &charts->trending)) {
    moon_charts_free(charts);
    return moon_fail(MOON_ENOMEM, "charts: no memory for lists of %zu items", keep);
  }
  *out = charts;
  return moon_ok();
}

void moon_charts_free(moon_charts *charts) {
  if (!charts) return;
  list_free(&charts->popular);
  list_free(&charts->trending);
  moon_free(charts);
}

static bool due(const moon_charts *charts, const moon_state *state, int64_t now, int64_t max_age) {
  if (!charts->built || max_age <= 0) return true;
  if (moon_state_events(state) == charts->events) return false;
  /* Unsigned, so that no difference overflows, and a clock that was set back wraps around to a great age. */
  return (uint64_t)now - (uint64_t)charts->built_at > (uint64_t)max_age;
}

moon_status moon_charts_refresh(moon_charts *charts, const moon_state *state, const moon_catalogue *catalogue, int64_t now,
                                int64_t max_age) {
  if (!due(charts, state, now, max_age)) return moon_ok();
  moon_best popular = {.row = charts->popular.item, .score = charts->popular.score, .cap = charts->popular.cap};
  moon_best trending = {.row = charts->trending.item, .score = charts->trending.score, .cap = charts->trending.cap};
  /* All scores fade alike, so the order does not depend on the moment; at the newest event it cannot be lost to underflow. */
  int64_t clock = moon_state_clock(state), moment = clock < now ? clock : now;
  size_t rows = moon_catalogue_rows(catalogue);
  for (uint32_t row = 0; row < rows; row++) {
    if (catalogue->hidden[row]) continue;
    uint64_t total = moon_state_item_total(state, row);
    moon_best_offer(&popular, row, (float)total);
    float trend = total ? (float)moon_state_item_trend(state, row, moment) : 0;
    if (trend > 0) moon_best_offer(&trending, row, trend);
  }
  moon_best_sort(&popular);
  moon_best_sort(&trending);
  charts->popular.n = popular.n, charts->trending.n = trending.n;
  charts->built = true, charts->built_at = now, charts->events = moon_state_events(state);
  return moon_ok();
}

static void copy(const moon_candidates *list, moon_candidates *out) {
  out->n = list->n < out->cap ? list->n : out->cap;
  if (!out->n) return; /* an empty list may have no arrays */
  memcpy(out->item, list->item, out->n * sizeof *out->item);
  memcpy(out->score, list->score, out->n * sizeof *out->score);
}

void moon_source_popular(const moon_charts *charts, moon_candidates *out) { copy(&charts->popular, out); }
void moon_source_trending(const moon_charts *charts, moon_candidates *out) { copy(&charts->trending, out); }

/* retrieve.h - the door of core/retrieve: where candidates come from.
 *
 * Every source writes (item row, score) pairs, best first, into the caller's arrays and answers how many. Hidden items never leave a
 * source. */
#ifndef MOON_RETRIEVE_H
#define MOON_RETRIEVE_H

#include "base/base.h"
#include "data/data.h"
#include "feature/feature.h"

/* Item-kNN over co-occurrence: cosine of the sets of users, sim(i,j) = |U_i n U_j| / sqrt(|U_i| |U_j|) with shrinkage (Sarwar 2001,
 * Deshpande & Karypis 2004). Pairs are counted within each user's last `window` distinct items. */
typedef struct moon_similar moon_similar;
typedef struct moon_similar_options {
  size_t neighbours; /* kept per item, 0: 100 */
  size_t window;     /* a user's items that pair up, 0: 100 */
  double shrink;     /* added to the denominator, 0: 10 */
} moon_similar_options;
/* Built from log->events[0, n). Deterministic: ties by lower row. */
moon_status moon_similar_new(const moon_log *log, size_t n, size_t items, const moon_similar_options *options,
                             const moon_progress *progress, moon_similar **out);
void moon_similar_free(moon_similar *similar);
/* Neighbours of one item, best first, borrowed. */
size_t moon_similar_of(const moon_similar *similar, uint32_t item, const uint32_t **items, const float **scores);
moon_status moon_similar_save(const moon_similar *similar, moon_buf *out);
moon_status moon_similar_load(const char *bytes, size_t n, moon_similar **out);

typedef struct moon_candidates { /* caller's arrays of capacity cap */
  uint32_t *item;
  float *score;
  size_t n, cap;
} moon_candidates;

/* Scores of a few recent items' neighbours added up, own items left out. scratch: a float per catalogue row, zero on entry and exit. */
moon_status moon_source_similar(const moon_similar *similar, const moon_catalogue *catalogue, const uint32_t *recent, size_t recent_n,
                                float *scratch, moon_candidates *out);

/* Popular (all-time) and trending (3-day half-life) lists: kept sorted, refreshed from the state when it moved on. */
typedef struct moon_charts moon_charts;
moon_status moon_charts_new(size_t keep, moon_charts **out); /* keep: list length, e.g. 1000 */
void moon_charts_free(moon_charts *charts);
/* Rebuilds where the state has new events and the last rebuild is older than `max_age` microseconds (0: always). */
moon_status moon_charts_refresh(moon_charts *charts, const moon_state *state, const moon_catalogue *catalogue, int64_t now, int64_t max_age);
void moon_source_popular(const moon_charts *charts, moon_candidates *out);
void moon_source_trending(const moon_charts *charts, moon_candidates *out);
/* The user's last items, newest first, each once, hidden left out. */
void moon_source_recent(const moon_state *state, const moon_catalogue *catalogue, uint32_t user, moon_candidates *out);
/* Indices of the k largest of scores [n], best first, ties by lower index. index: [k]; returns min(k, n). NaN sorts last. */
size_t moon_top_k(const float *scores, size_t n, size_t k, uint32_t *index);

#endif

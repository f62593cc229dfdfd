/* retrieve.h - the door of core/retrieve: where candidates come from.
 *
 * Every source writes (item row, score) pairs, best first, into the caller's arrays and answers how many. Hidden items never
 * leave a source. */
#ifndef MOON_RETRIEVE_H
#define MOON_RETRIEVE_H

#include "base/base.h"
#include "data/data.h"
#include "feature/feature.h"

/* ---- item-kNN (similar.c, similar_file.c) --------------------------------------------------------------------------------- */

/* Item-kNN over co-occurrence: cosine of the sets of users, sim(i,j) = |U_i n U_j| / (sqrt(|U_i| |U_j|) + shrink) (Sarwar
 * 2001, Deshpande & Karypis 2004). A user counts for an item that is among his last `window` distinct items, so U_i and the
 * pairs are of the same baskets and sim <= 1. */
typedef struct moon_similar moon_similar;
typedef struct moon_similar_options {
  size_t neighbours; /* kept per item, 0: 100 */
  size_t window;     /* a user's items that pair up, 0: 100 */
  double shrink;     /* added to the denominator, 0: 10; so that one shared user is not proof */
} moon_similar_options;
/* Built from log->events[0, n); nothing else of the log is read. options NULL: all defaults. Deterministic: ties by lower
 * row. Takes time like the sum of squares of the users' baskets, and memory of a few numbers an event and an item.
 * MOON_EINVAL where n > log->n, an event's item is not below `items`, or shrink is not a number >= 0; MOON_ECANCELED where
 * progress says so. */
moon_status moon_similar_new(const moon_log *log, size_t n, size_t items, const moon_similar_options *options,
                             const moon_progress *progress, moon_similar **out);
void moon_similar_free(moon_similar *similar);
/* Neighbours of one item, best first, borrowed; none for a row beyond the items it was built for, or where similar is NULL. */
size_t moon_similar_of(const moon_similar *similar, uint32_t item, const uint32_t **items, const float **scores);
/* Adds to sums [rows] what the neighbours of a few recent items (newest first) amount to: each item's scores weighted 0.9^rank.
 */
void moon_similar_sum(const moon_similar *similar, const uint32_t *recent, size_t recent_n, float *sums, size_t rows);
/* Appends deterministic bytes; what loads saves to the same bytes. Load: MOON_EFORMAT for anything that save does not write. */
moon_status moon_similar_save(const moon_similar *similar, moon_buf *out);
moon_status moon_similar_load(const char *bytes, size_t n, moon_similar **out);

/* ---- candidates of one user (sources.c) ----------------------------------------------------------------------------------- */

typedef struct moon_candidates { /* caller's arrays of capacity cap; a source overwrites what was there and sets n */
  uint32_t *item;
  float *score;
  size_t n, cap;
} moon_candidates;

/* Neighbours of a few recent items (newest first): each item's neighbour scores are weighted 0.9^rank and added up; the recent
 * items themselves are left out, ties go by lower row. scratch: a float per catalogue row, zero on entry and exit. Allocates
 * nothing. */
moon_status moon_source_similar(const moon_similar *similar, const moon_catalogue *catalogue, const uint32_t *recent,
                                size_t recent_n, float *scratch, moon_candidates *out);
/* The user's last items, newest first, each once, hidden left out; scores are 0.9^rank. Looks back MOON_RECENT_REACH events at
 * most. A user the state does not know, MOON_NONE too, has none. */
#define MOON_RECENT_REACH 512
void moon_source_recent(const moon_state *state, const moon_catalogue *catalogue, uint32_t user, moon_candidates *out);

/* ---- charts (charts.c) ---------------------------------------------------------------------------------------------------- */

/* Popular (all-time events) and trending (3-day half-life) lists: kept sorted, refreshed from the state when it moved on.
 * Hidden items are left out. The popular list ends with listed items that have no event yet, in catalogue order, so that a
 * fallback does not run dry; the trending list has only items with events. Ties go by lower row. */
typedef struct moon_charts moon_charts;
moon_status moon_charts_new(size_t keep, moon_charts **out); /* keep: list length, e.g. 1000; at least 1 */
void moon_charts_free(moon_charts *charts);
/* Rebuilds where the state has new events and the last rebuild is older than `max_age` microseconds; always where max_age is 0
 * or nothing was built yet. One pass over the catalogue. Trend scores are as of the newest event, or of `now` where that is
 * earlier. */
moon_status moon_charts_refresh(moon_charts *charts, const moon_state *state, const moon_catalogue *catalogue, int64_t now,
                                int64_t max_age);
void moon_source_popular(const moon_charts *charts, moon_candidates *out);
void moon_source_trending(const moon_charts *charts, moon_candidates *out);

/* ---- top-k (topk.c) ------------------------------------------------------------------------------------------------------- */

/* Indices of the k largest of scores [n], n < 2^32, best first, ties by lower index. index: [k]; returns min(k, n). NaN sorts
 * last. Allocates nothing; O(n) plus O(log k) for each score that beats the k-th best so far. */
size_t moon_top_k(const float *scores, size_t n, size_t k, uint32_t *index);

/* ---- filters (exact.c): sets of rows that may come out, a bit a row ------------------------------------------------------- */

/* Row r is bit r % 64 of word r / 64. Searches ask it before they keep a row, so that k rows come out where k pass. */
static inline size_t moon_bits_words(size_t rows) { return rows / 64 + (rows % 64 != 0); }
static inline void moon_bits_set(uint64_t *bits, size_t row) { bits[row / 64] |= UINT64_C(1) << row % 64; }
static inline bool moon_bits_has(const uint64_t *bits, size_t row) { return bits[row / 64] >> row % 64 & 1; }
size_t moon_bits_count(const uint64_t *bits, size_t rows);

/* ---- nearest vectors, all of them looked at (exact.c) --------------------------------------------------------------------- */

/* Vectors end to end, borrowed. With `scale` the score is scaled by it, so that 1 / norm makes it the cosine, but for the
 * query's norm, which changes no order; without, it is the inner product. */
typedef struct moon_vectors {
  const float *at;    /* [n, dim] */
  const float *scale; /* [n] or NULL */
  size_t n, dim;      /* n < 2^32 */
} moon_vectors;
float moon_dot(const float *a, const float *b, size_t dim);
/* 1 / |v|; 0 for a vector of zeros and for one that is not finite. */
float moon_vector_scale(const float *v, size_t dim);
/* The k best of the rows in `allowed` (bits; NULL: all), best first, ties by lower row: item, score [k]. Answers how many there
 * are. A score that is NaN is none. One pass over the memory of those rows; allocates nothing. */
size_t moon_exact_search(const moon_vectors *vectors, const float *query, size_t k, const uint64_t *allowed, uint32_t *item,
                         float *score);
/* The same for queries [count, dim] by matrix products over blocks that stay in the cache: item, score [count, k], found [count].
 * Sums may differ from moon_exact_search's in their last bits. MOON_ENOMEM; MOON_EINVAL where dim does not fit a product. */
moon_status moon_exact_search_many(const moon_vectors *vectors, const float *queries, size_t count, size_t k,
                                   const uint64_t *allowed, uint32_t *item, float *score, size_t *found);

#endif

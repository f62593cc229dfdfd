/* topk.c - the k best: a bounded heap, and top-k of an array of scores by skipping blocks that hold nothing better. */
#include <math.h>

#include "retrieve/best.h"
#include "retrieve/retrieve.h"

static inline float score_at(const moon_best *best, size_t i) { return best->score ? best->score[i] : best->dense[best->row[i]]; }

static inline void put(moon_best *best, size_t i, uint32_t row, float score) {
  best->row[i] = row;
  if (best->score) best->score[i] = score;
}

/* Whether the i-th kept comes after (row, score). */
static inline bool worse(const moon_best *best, size_t i, uint32_t row, float score) {
  float mine = score_at(best, i);
  return mine < score || (mine == score && best->row[i] > row);
}

static void rise(moon_best *best, uint32_t row, float score) {
  size_t hole = best->n++;
  for (size_t parent; hole; hole = parent) {
    parent = (hole - 1) / 2;
    if (worse(best, parent, row, score)) break;
    put(best, hole, best->row[parent], score_at(best, parent));
  }
  put(best, hole, row, score);
}

/* (row, score) takes the root's place in the heap of the first n. */
static void sink(moon_best *best, size_t n, uint32_t row, float score) {
  size_t hole = 0;
  for (size_t child; (child = 2 * hole + 1) < n; hole = child) {
    if (child + 1 < n && worse(best, child + 1, best->row[child], score_at(best, child))) child++;
    if (!worse(best, child, row, score)) break;
    put(best, hole, best->row[child], score_at(best, child));
  }
  put(best, hole, row, score);
}

void moon_best_offer(moon_best *best, uint32_t row, float score) {
  if (best->n < best->cap) rise(best, row, score);
  else if (best->cap && worse(best, 0, row, score)) sink(best, best->n, row, score);
}

void moon_best_sort(moon_best *best) {
  for (size_t last = best->n; last-- > 1;) { /* the worst of the first last + 1 goes behind the others */
    uint32_t row = best->row[last];
    float score = score_at(best, last);
    put(best, last, best->row[0], score_at(best, 0));
    sink(best, last, row, score);
  }
}

static bool any_above(const float *scores, size_t n, float least) {
  int any = 0;
  for (size_t i = 0; i < n; i++) any |= scores[i] > least; /* no branch: the compiler makes vectors of it */
  return any;
}

size_t moon_top_k(const float *scores, size_t n, size_t k, uint32_t *index) {
  enum { BLOCK = 128 };
  moon_best best = {.row = index, .dense = scores, .cap = k < n ? k : n};
  if (!best.cap) return 0;
  size_t at = 0;
  for (; at < n && best.n < best.cap; at++)
    if (!isnan(scores[at])) moon_best_offer(&best, (uint32_t)at, scores[at]);
  for (size_t end; at < n; at = end) { /* full: a later index has to be strictly better, and NaN never is */
    end = n - at < BLOCK ? n : at + BLOCK;
    if (!any_above(scores + at, end - at, scores[index[0]])) continue;
    for (size_t i = at; i < end; i++)
      if (scores[i] > scores[index[0]]) moon_best_offer(&best, (uint32_t)i, scores[i]);
  }
  moon_best_sort(&best);
  for (size_t i = 0; i < n && best.n < best.cap; i++)
    if (isnan(scores[i])) index[best.n++] = (uint32_t)i;
  return best.n;
}

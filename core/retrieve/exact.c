/* exact.c - nearest vectors by looking at every one: one pass over memory, and that is the time it takes.
 *
 * Rows go in blocks of 64, the rows of one word of the filter: a word without bits skips its block unread, one with few bits
 * reads only those rows. The scores of a block lie in the first cache; a block in which none beats the k-th best so far costs one
 * comparison of vectors, so that the heap is hardly ever touched. Many queries at once share each block of rows, and the block
 * is multiplied with all of them. */
#include <math.h>
#include <string.h>

#include "retrieve/best.h"
#include "retrieve/retrieve.h"
#include "tensor/tensor.h"

enum { BLOCK = 64, FEW = 12 };

size_t moon_bits_count(const uint64_t *bits, size_t rows) {
  size_t count = 0;
  for (size_t word = 0; word < rows / 64; word++) count += (size_t)__builtin_popcountll(bits[word]);
  if (rows % 64) count += (size_t)__builtin_popcountll(bits[rows / 64] << (64 - rows % 64));
  return count;
}

/* ---- dot products: eight rows at a time, or the additions would wait for one another. A row is summed in the same order alone and
 * among others, so that no filter changes a score. */

enum { LANES = 8 };
typedef float lanes __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
#define INLINE static inline __attribute__((always_inline))

#ifdef __clang__
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
typedef int32_t order __attribute__((vector_size(4 * LANES)));
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (order){__VA_ARGS__})
#endif

/* Neighbours of a and of b are added, into a; then neighbouring pairs, then fours. */
INLINE void fold1(lanes *a, const lanes *b) { *a = SHUFFLE(*a, *b, 0, 8, 2, 10, 4, 12, 6, 14) + SHUFFLE(*a, *b, 1, 9, 3, 11, 5, 13, 7, 15); }
INLINE void fold2(lanes *a, const lanes *b) { *a = SHUFFLE(*a, *b, 0, 1, 8, 9, 4, 5, 12, 13) + SHUFFLE(*a, *b, 2, 3, 10, 11, 6, 7, 14, 15); }
INLINE void fold4(lanes *a, const lanes *b) { *a = SHUFFLE(*a, *b, 0, 1, 2, 3, 8, 9, 10, 11) + SHUFFLE(*a, *b, 4, 5, 6, 7, 12, 13, 14, 15); }

/* The sum of each of eight vectors, into the first. */
INLINE void totals(lanes *s) {
#pragma GCC unroll 4
  for (int i = 0; i < LANES; i += 2) fold1(&s[i], &s[i + 1]);
  fold2(&s[0], &s[2]), fold2(&s[4], &s[6]);
  fold4(&s[0], &s[4]);
}

/* Scores of `n` rows, 1 or 8; n is constant in each inlined copy. */
INLINE void score_part(const float *rows, size_t n, size_t dim, const float *query, float *scores) {
  lanes sum[LANES];
  size_t i = 0;
#pragma GCC unroll 8
  for (size_t r = 0; r < LANES; r++) sum[r] = (lanes){0};
  for (; i + LANES <= dim; i += LANES) {
    lanes q = *(const lanes *)(query + i);
#pragma GCC unroll 8
    for (size_t r = 0; r < n; r++) sum[r] += *(const lanes *)(rows + r * dim + i) * q;
  }
  totals(sum);
  for (size_t r = 0; r < n; r++) scores[r] = sum[0][r];
  for (; i < dim; i++)
    for (size_t r = 0; r < n; r++) scores[r] += rows[r * dim + i] * query[i];
}

MOON_CLONES float moon_dot(const float *a, const float *b, size_t dim) {
  float score;
  score_part(a, 1, dim, b, &score);
  return score;
}

MOON_CLONES static void score_rows(const float *rows, size_t n, size_t dim, const float *query, float *scores) {
  size_t r = 0;
  for (; r + LANES <= n; r += LANES) score_part(rows + r * dim, LANES, dim, query, scores + r);
  for (; r < n; r++) score_part(rows + r * dim, 1, dim, query, scores + r);
}

float moon_vector_scale(const float *v, size_t dim) {
  double sum = 0;
  for (size_t i = 0; i < dim; i++) sum += (double)v[i] * v[i];
  return sum > 0 && isfinite(sum) ? (float)(1 / sqrt(sum)) : 0;
}

/* ---- keeping the best */

static bool any_above(const float *scores, size_t n, float least) {
  int any = 0;
  for (size_t i = 0; i < n; i++) any |= scores[i] > least;
  return any;
}

/* Offers those of a block's scores whose bit is set. */
static void offer(moon_best *best, size_t first, const float *scores, size_t n, uint64_t bits) {
  if (best->n == best->cap && !any_above(scores, n, best->score[0])) return; /* a later row has to be strictly better */
  for (; bits; bits &= bits - 1) {
    size_t i = (size_t)__builtin_ctzll(bits);
    if (!isnan(scores[i])) moon_best_offer(best, (uint32_t)(first + i), scores[i]);
  }
}

static uint64_t bits_of(const uint64_t *allowed, size_t first, size_t n) {
  uint64_t bits = allowed ? allowed[first / 64] : UINT64_MAX;
  return n < 64 ? bits & ((UINT64_C(1) << n) - 1) : bits;
}

static inline void rescale(const moon_vectors *v, size_t first, size_t n, float *scores) {
  for (size_t i = 0; v->scale && i < n; i++) scores[i] *= v->scale[first + i];
}

static void score_few(const moon_vectors *v, size_t first, uint64_t bits, const float *query, float *scores) {
  for (size_t i = 0; i < BLOCK; i++) scores[i] = -INFINITY;
  for (; bits; bits &= bits - 1) {
    size_t i = (size_t)__builtin_ctzll(bits);
    scores[i] = moon_dot(v->at + (first + i) * v->dim, query, v->dim) * (v->scale ? v->scale[first + i] : 1);
  }
}

size_t moon_exact_search(const moon_vectors *v, const float *query, size_t k, const uint64_t *allowed, uint32_t *item,
                         float *score) {
  moon_best best = {.row = item, .score = score, .cap = k};
  float scores[BLOCK];
  for (size_t first = 0; k && first < v->n; first += BLOCK) {
    size_t n = v->n - first < BLOCK ? v->n - first : BLOCK;
    uint64_t bits = bits_of(allowed, first, n);
    if (!bits) continue;
    if (__builtin_popcountll(bits) < FEW) score_few(v, first, bits, query, scores);
    else {
      score_rows(v->at + first * v->dim, n, v->dim, query, scores);
      rescale(v, first, n, scores);
    }
    offer(&best, first, scores, n, bits);
  }
  moon_best_sort(&best);
  return best.n;
}

/* ---- many queries */

enum { WIDE = 8 * BLOCK, TOGETHER = 32 }; /* 512 rows of 64 numbers are 128 KiB */

/* A block of rows for some queries: scores [count, WIDE]. */
static void search_block(const moon_vectors *v, size_t first, const float *queries, size_t count, const uint64_t *allowed,
                         float *scores, moon_best *best) {
  size_t n = v->n - first < WIDE ? v->n - first : WIDE;
  bool any = false;
  for (size_t at = 0; at < n && !any; at += BLOCK) any = bits_of(allowed, first + at, n - at);
  if (!any) return;
  moon_gemm(MOON_F32, false, true, count, n, v->dim, queries, v->at + first * v->dim, false, scores);
  for (size_t q = 0; q < count; q++) {
    float *mine = scores + q * n;
    rescale(v, first, n, mine);
    for (size_t at = 0; at < n; at += BLOCK) {
      size_t part = n - at < BLOCK ? n - at : BLOCK;
      offer(&best[q], first + at, mine + at, part, bits_of(allowed, first + at, part));
    }
  }
}

moon_status moon_exact_search_many(const moon_vectors *v, const float *queries, size_t count, size_t k, const uint64_t *allowed,
                                   uint32_t *item, float *score, size_t *found) {
  if (!moon_gemm_fits(TOGETHER, WIDE, v->dim)) return moon_fail(MOON_EINVAL, "vectors of %zu numbers are too long", v->dim);
  float *scores = moon_alloc_aligned(TOGETHER * WIDE * sizeof *scores);
  if (!scores) return moon_fail(MOON_ENOMEM, "no memory to search %zu vectors", v->n);
  for (size_t start = 0; start < count; start += TOGETHER) {
    size_t some = count - start < TOGETHER ? count - start : TOGETHER;
    moon_best best[TOGETHER];
    for (size_t q = 0; q < some; q++)
      best[q] = (moon_best){.row = item + (start + q) * k, .score = score + (start + q) * k, .cap = k};
    for (size_t first = 0; k && v->dim && first < v->n; first += WIDE)
      search_block(v, first, queries + start * v->dim, some, allowed, scores, best);
    for (size_t q = 0; q < some; q++) {
      moon_best_sort(&best[q]);
      found[start + q] = best[q].n;
    }
  }
  moon_free(scores);
  return moon_ok();
}

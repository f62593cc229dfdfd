/* metrics.c - how good scores and ranked lists are: pure functions over arrays.
 *
 * One rule for what has no answer: NaN in, or nothing to judge by, is NaN out. A model that diverged must not look like a
 * number. */
#include <math.h>
#include <string.h>

#include "rank/rank.h"

static bool positive(float label) { return label > 0.5f; }

double moon_accuracy(const float *score, const float *label, size_t n) {
  size_t right = 0;
  for (size_t i = 0; i < n; i++) {
    if (isnan(score[i]) || isnan(label[i])) return NAN;
    right += (score[i] >= 0.5f) == positive(label[i]);
  }
  return n ? (double)right / (double)n : NAN;
}

double moon_logloss(const float *score, const float *label, size_t n) {
  const double least = 1e-7;
  double sum = 0;
  for (size_t i = 0; i < n; i++) {
    if (isnan(score[i]) || isnan(label[i])) return NAN;
    double p = positive(label[i]) ? (double)score[i] : 1 - (double)score[i]; /* what was given to that which happened */
    sum -= log(p < least ? least : p > 1 - least ? 1 - least : p);
  }
  return n ? sum / (double)n : NAN;
}

/* ---- AUC: the chance that a positive is scored above a negative, by sorting both and merging ------------------------------- */

/* Bits that sort as unsigned numbers the way floats do; both zeros are one. */
static uint32_t sort_key(float score) {
  uint32_t bits;
  if (score == 0) score = 0;
  memcpy(&bits, &score, sizeof bits);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

/* Radix sort, a byte a pass; the four passes end where they began. spare: [n]. */
static void sort_keys(uint32_t *keys, uint32_t *spare, size_t n) {
  for (int shift = 0; shift < 32; shift += 8) {
    size_t start[257] = {0};
    for (size_t i = 0; i < n; i++) start[(keys[i] >> shift & 255) + 1]++;
    for (int b = 1; b < 256; b++) start[b] += start[b - 1];
    for (size_t i = 0; i < n; i++) spare[start[keys[i] >> shift & 255]++] = keys[i];
    uint32_t *other = keys;
    keys = spare, spare = other;
  }
}

/* Twice the pairs in which the positive is above, ties counting one: a whole number, so no order of summing matters. */
static uint64_t pairs_won(const uint32_t *up, size_t ups, const uint32_t *down, size_t downs) {
  uint64_t won = 0;
  size_t below = 0, not_above = 0;
  for (size_t i = 0; i < ups; i++) {
    while (below < downs && down[below] < up[i]) below++;
    while (not_above < downs && down[not_above] <= up[i]) not_above++;
    won += below + not_above;
  }
  return won;
}

double moon_auc(const float *score, const float *label, size_t n) {
  uint32_t *keys = n <= SIZE_MAX / 8 ? moon_alloc(n * 2 * sizeof *keys) : NULL;
  if (!keys) return NAN;
  size_t ups = 0, downs = 0; /* positives fill the keys from the front, negatives from the back */
  bool known = true;
  for (size_t i = 0; i < n && known; i++) {
    known = !isnan(score[i]) && !isnan(label[i]);
    keys[positive(label[i]) ? ups++ : n - 1 - downs++] = sort_key(score[i]);
  }
  double auc = NAN;
  if (known && ups && downs) {
    sort_keys(keys, keys + n, ups);
    sort_keys(keys + ups, keys + n, downs);
    auc = (double)pairs_won(keys, ups, keys + ups, downs) / (2.0 * (double)ups * (double)downs);
  }
  moon_free(keys);
  return auc;
}

/* ---- one ranked list ------------------------------------------------------------------------------------------------------ */

double moon_recall_at(const uint8_t *hit, size_t n, size_t k, size_t relevant) {
  size_t hits = 0;
  for (size_t i = 0; i < n && i < k; i++) hits += hit[i] != 0;
  return relevant ? (double)hits / (double)relevant : NAN;
}

double moon_ndcg_at(const uint8_t *hit, size_t n, size_t k, size_t relevant) {
  double gain = 0, ideal = 0;
  for (size_t i = 0; i < n && i < k; i++)
    if (hit[i]) gain += 1 / log2((double)i + 2);
  for (size_t i = 0; i < relevant && i < k; i++) ideal += 1 / log2((double)i + 2);
  return ideal > 0 ? gain / ideal : NAN;
}

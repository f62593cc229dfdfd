/* metrics.c - how good scores and ranked lists are: pure functions over arrays.
 *
 * One rule for what has no answer: NaN in, or nothing to judge by, is NaN out. A model that diverged must not look like a
 * number. */
#include <math.h>
#include <string.h>

#include "rank/evaluate.h"

static bool positive(float label) { return label > 0.5f; }

/* ---- fractions: both parts add up over groups of examples ------------------------------------------------------------------ */

double moon_fraction_value(moon_fraction f) { return f.under != 0 ? f.over / f.under : NAN; }

/* Negative log of what was given to that which happened. */
static double surprise(float score, bool happened) {
  const double least = 1e-7;
  double p = happened ? (double)score : 1 - (double)score;
  return -log(p < least ? least : p > 1 - least ? 1 - least : p);
}

moon_fraction moon_fraction_of(moon_metric_kind kind, const float *score, const float *label, size_t n) {
  size_t right = 0, both = 0, predicted = 0, positives = 0;
  double loss = 0;
  for (size_t i = 0; i < n; i++) {
    if (isnan(score[i]) || isnan(label[i])) return (moon_fraction){NAN, 1};
    bool yes = positive(label[i]), said = score[i] >= 0.5f;
    right += said == yes;
    both += said && yes;
    predicted += said;
    positives += yes;
    if (kind == MOON_METRIC_LOGLOSS) loss += surprise(score[i], yes);
  }
  switch (kind) {
    case MOON_METRIC_ACCURACY: return (moon_fraction){(double)right, (double)n};
    case MOON_METRIC_PRECISION: return (moon_fraction){(double)both, (double)predicted};
    case MOON_METRIC_RECALL: return (moon_fraction){(double)both, (double)positives};
    case MOON_METRIC_F1: return (moon_fraction){2 * (double)both, (double)(predicted + positives)};
    case MOON_METRIC_LOGLOSS: return (moon_fraction){loss, (double)n};
    case MOON_METRIC_GAUC: {
      double auc = moon_auc(score, label, n);
      return isnan(auc) ? (moon_fraction){0, 0} : (moon_fraction){auc * (double)n, (double)n};
    }
    default: return (moon_fraction){0, 0};
  }
}

static double fraction(moon_metric_kind kind, const float *score, const float *label, size_t n) {
  return moon_fraction_value(moon_fraction_of(kind, score, label, n));
}

double moon_accuracy(const float *score, const float *label, size_t n) { return fraction(MOON_METRIC_ACCURACY, score, label, n); }
double moon_precision_of(const float *score, const float *label, size_t n) { return fraction(MOON_METRIC_PRECISION, score, label, n); }
double moon_recall_of(const float *score, const float *label, size_t n) { return fraction(MOON_METRIC_RECALL, score, label, n); }
double moon_f1(const float *score, const float *label, size_t n) { return fraction(MOON_METRIC_F1, score, label, n); }
double moon_logloss(const float *score, const float *label, size_t n) { return fraction(MOON_METRIC_LOGLOSS, score, label, n); }

double moon_grouped_auc(const float *score, const float *label, const size_t *start, size_t groups) {
  moon_fraction sum = {0, 0};
  for (size_t g = 0; g < groups; g++) {
    moon_fraction one = moon_fraction_of(MOON_METRIC_GAUC, score + start[g], label + start[g], start[g + 1] - start[g]);
    sum.over += one.over, sum.under += one.under;
  }
  return moon_fraction_value(sum);
}

/* ---- calibration ---------------------------------------------------------------------------------------------------------- */

double moon_calibration(const float *score, const float *label, size_t n, moon_calibration_bin bins[MOON_CALIBRATION_BINS]) {
  moon_calibration_bin own[MOON_CALIBRATION_BINS];
  if (!bins) bins = own;
  memset(bins, 0, MOON_CALIBRATION_BINS * sizeof *bins);
  bool known = n > 0;
  for (size_t i = 0; i < n; i++) {
    if (isnan(score[i]) || isnan(label[i])) {
      known = false;
      continue;
    }
    double at = (double)score[i] * MOON_CALIBRATION_BINS;
    moon_calibration_bin *bin = &bins[at < 0 ? 0 : at >= MOON_CALIBRATION_BINS ? MOON_CALIBRATION_BINS - 1 : (int)at];
    bin->n++;
    bin->score += (double)score[i];
    bin->rate += positive(label[i]);
  }
  double error = 0;
  for (int b = 0; b < MOON_CALIBRATION_BINS; b++) {
    if (!bins[b].n) continue;
    error += fabs(bins[b].score - bins[b].rate);
    bins[b].score /= (double)bins[b].n, bins[b].rate /= (double)bins[b].n;
  }
  return known ? error / (double)n : NAN;
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

double moon_hit_at(const uint8_t *hit, size_t n, size_t k, size_t relevant) {
  bool any = false;
  for (size_t i = 0; i < n && i < k; i++) any = any || hit[i];
  return relevant ? any : NAN;
}

double moon_mrr_at(const uint8_t *hit, size_t n, size_t k, size_t relevant) {
  size_t first = 0;
  while (first < n && first < k && !hit[first]) first++;
  if (!relevant) return NAN;
  return first < n && first < k ? 1 / ((double)first + 1) : 0;
}

double moon_map_at(const uint8_t *hit, size_t n, size_t k, size_t relevant) {
  size_t hits = 0, most = k < relevant ? k : relevant;
  double sum = 0;
  for (size_t i = 0; i < n && i < k; i++)
    if (hit[i]) sum += (double)++hits / ((double)i + 1);
  return most ? sum / (double)most : NAN;
}

/* ---- what is recommended --------------------------------------------------------------------------------------------------- */

double moon_gini(const uint32_t *count, size_t n) {
  uint32_t *sorted = n <= SIZE_MAX / 8 ? moon_alloc(n * 2 * sizeof *sorted) : NULL;
  if (!sorted) return NAN;
  if (n) memcpy(sorted, count, n * sizeof *count);
  sort_keys(sorted, sorted + n, n);
  double sum = 0, weighted = 0;
  for (size_t i = 0; i < n; i++) {
    sum += (double)sorted[i];
    weighted += (2 * (double)i + 1 - (double)n) * (double)sorted[i];
  }
  moon_free(sorted);
  return sum > 0 ? weighted / ((double)n * sum) : NAN;
}

double moon_novelty_at(const double *information, size_t n, size_t k) {
  double sum = 0;
  if (k > n) k = n;
  for (size_t i = 0; i < k; i++) sum += information[i];
  return k ? sum / (double)k : NAN;
}

double moon_diversity_at(const uint32_t *group, size_t n, size_t k) {
  size_t differ = 0;
  if (k > n) k = n;
  for (size_t i = 1; i < k; i++)
    for (size_t j = 0; j < i; j++) differ += group[i] != group[j];
  return k > 1 ? 2 * (double)differ / ((double)k * ((double)k - 1)) : NAN;
}

/* resample.c - what the metrics would have been with other users: a bootstrap over users.
 *
 * In a sample each user counts a number of times drawn from Poisson(1), which is what drawing as many users as there are, with replacement,
 * comes to for many (Chamandy et al. 2012), and needs no list of who was drawn: a weight is a function of the user's key and the sample's
 * number. Samples are made by blocks, a lane each, so that one pass over users or examples serves all of a block. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "rank/evaluate.h"

enum { BLOCK = 40 }; /* lanes; divides MOON_RESAMPLES */
typedef float lanes[BLOCK];

/* Of 32 random bits: how many of the distribution's steps they pass, up to 8 (a millionth is beyond). */
static float poisson(uint32_t bits) {
  static const uint32_t step[] = {1580030169u, 3160060337u, 3950075422u, 4213413783u,
                                  4279248374u, 4292415292u, 4294609778u, 4294923276u};
  int count = 0;
  for (size_t i = 0; i < sizeof step / sizeof *step; i++) count += bits >= step[i];
  return (float)count;
}

/* Of the users who have a part in any estimate. */
static void draw(const moon_evaluation *e, const uint8_t *present, size_t block, lanes *weight) {
  for (size_t u = 0; u < e->users; u++)
    for (size_t b = 0; b < BLOCK && present[u]; b += 2) {
      uint64_t bits = moon_mix64(e->user_key[u] + (block * BLOCK + b + 2) * 0x9e3779b97f4a7c15u);
      weight[u][b] = poisson((uint32_t)bits), weight[u][b + 1] = poisson((uint32_t)(bits >> 32));
    }
}

static void sample_fraction(const moon_estimate *estimate, const lanes *weight, double *out) {
  double over[BLOCK] = {0}, under[BLOCK] = {0};
  for (size_t i = 0; i < estimate->n; i++) {
    const float *w = weight[estimate->user[i]];
    moon_fraction part = estimate->part[i];
    for (size_t b = 0; b < BLOCK; b++) over[b] += (double)w[b] * part.over, under[b] += (double)w[b] * part.under;
  }
  for (size_t b = 0; b < BLOCK; b++) out[b] = moon_fraction_value((moon_fraction){over[b], under[b]});
}

/* Pairs won by weighted positives over the weighted negatives below them, those of the same score by half. */
static void sample_auc(const moon_estimate *estimate, const lanes *weight, double *out) {
  double won[BLOCK] = {0}, ups[BLOCK] = {0}, downs[BLOCK] = {0}, up[BLOCK] = {0}, down[BLOCK] = {0};
  for (size_t i = 0; i < estimate->n; i++) {
    const moon_ordered_example *at = &estimate->ordered[i];
    const float *w = weight[at->user];
    double *side = at->positive ? up : down;
    for (size_t b = 0; b < BLOCK; b++) side[b] += (double)w[b];
    if (i + 1 < estimate->n && at[1].score == at->score) continue;
    for (size_t b = 0; b < BLOCK; b++) {
      won[b] += up[b] * (downs[b] + down[b] / 2);
      ups[b] += up[b], downs[b] += down[b];
      up[b] = down[b] = 0;
    }
  }
  for (size_t b = 0; b < BLOCK; b++) out[b] = ups[b] * downs[b] > 0 ? won[b] / (ups[b] * downs[b]) : NAN;
}

static uint32_t user_at(const moon_estimate *estimate, size_t i) { return estimate->part ? estimate->user[i] : estimate->ordered[i].user; }

/* Of one user alone nothing can be learned about others. */
static bool of_many(const moon_estimate *estimate) {
  for (size_t i = 1; i < estimate->n; i++)
    if (user_at(estimate, i) != user_at(estimate, 0)) return true;
  return false;
}

/* Room for the samples. */
static moon_status prepare(const moon_evaluation *e, moon_estimates *estimates, moon_arena *arena, uint8_t *present) {
  for (int ranker = 0; ranker < MOON_RANKERS; ranker++)
    for (size_t m = 0; m < e->metric_n; m++) {
      moon_estimate *one = &estimates->of[ranker][m];
      if (!of_many(one)) continue;
      for (size_t i = 0; i < one->n; i++) present[user_at(one, i)] = 1;
      one->sample = moon_arena_alloc(arena, MOON_RESAMPLES * sizeof *one->sample);
      if (!one->sample) return moon_fail(MOON_ENOMEM, "no memory for samples");
    }
  return moon_ok();
}

moon_status moon_resample(const moon_evaluation *e, moon_estimates *estimates, moon_arena *arena) {
  uint8_t *present = moon_calloc(e->users, 1);
  lanes *weight = moon_alloc(e->users * sizeof *weight);
  moon_status status = present && weight ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory for the weights of %zu users", e->users);
  if (!status.code) status = prepare(e, estimates, arena, present);
  for (size_t block = 0; block < MOON_RESAMPLES / BLOCK && !status.code; block++) {
    draw(e, present, block, weight);
    for (int ranker = 0; ranker < MOON_RANKERS; ranker++)
      for (size_t m = 0; m < e->metric_n; m++) {
        const moon_estimate *one = &estimates->of[ranker][m];
        if (!one->sample) continue;
        if (one->part) sample_fraction(one, weight, one->sample + block * BLOCK);
        else sample_auc(one, weight, one->sample + block * BLOCK);
      }
  }
  moon_free(present);
  moon_free(weight);
  return status;
}

/* Samples without an answer last. */
static int rising(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  if (isnan(x) || isnan(y)) return isnan(x) - isnan(y);
  return (x > y) - (x < y);
}

bool moon_sample_interval(double *sample, double *low, double *high) {
  if (!sample) return false;
  qsort(sample, MOON_RESAMPLES, sizeof *sample, rising);
  size_t n = MOON_RESAMPLES;
  while (n && isnan(sample[n - 1])) n--;
  if (n < MOON_RESAMPLES / 2) return false;
  *low = sample[(size_t)(0.025 * (double)(n - 1) + 0.5)];
  *high = sample[(size_t)(0.975 * (double)(n - 1) + 0.5)];
  return true;
}

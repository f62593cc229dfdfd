/* steps.c - what a number goes through between its source and the model: cut off, scaled, put in a bucket.
 *
 * Steps work in place on a column of cells, one after the other. What they work by is either in the recipe or fitted: learned once
 * from the training part and kept with the vocabularies. The numbers of all fitted steps lie in a row, in the order of the steps,
 * for each slot of the feature, so how many there are says how far the feature is fitted. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "feature/steps.h"

size_t moon_feature_fitted(const moon_feature *f) {
  size_t n = 0;
  for (size_t s = 0; s < f->step_count; s++) n += f->steps[s].fitted ? f->steps[s].n * f->width : 0;
  return n;
}

size_t moon_feature_rows(const moon_feature *f, const moon_vocab *vocab) {
  if (!f->dim) return 0;
  return f->texts ? moon_vocab_size(vocab) : f->rows;
}

/* ---- going through them --------------------------------------------------------------------------------------------------- */

/* How many of at[0, n) are below x, or also those that equal it. */
static size_t count_below(const double *at, size_t n, double x, bool equal) {
  size_t low = 0;
  while (low < n) {
    size_t middle = low + (n - low) / 2;
    if (at[middle] < x || (equal && at[middle] == x))
      low = middle + 1;
    else
      n = middle;
  }
  return low;
}

/* Between two knots in a straight line; in a run of equal knots its middle. */
static double quantile(const double *knots, size_t n, double x) {
  size_t below = count_below(knots, n, x, false), until = count_below(knots, n, x, true);
  double last = (double)(n - 1);
  if (until > below) return (double)(below + until - 1) / 2 / last;
  if (below == 0 || below == n) return below ? 1 : 0;
  return ((double)below - 1 + (x - knots[below - 1]) / (knots[below] - knots[below - 1])) / last;
}

static double stepped(const moon_step *step, const double *by, double x) {
  switch (step->op) {
    case MOON_STEP_LOG:
      return log1p(fmax(x, 0));
    case MOON_STEP_CLIP:
      return fmin(fmax(x, by[0]), by[1]);
    case MOON_STEP_STANDARD:
      return (x - by[0]) / by[1];
    case MOON_STEP_MINMAX:
      return by[1] > by[0] ? fmin(fmax((x - by[0]) / (by[1] - by[0]), 0), 1) : 0;
    case MOON_STEP_QUANTILE:
      return quantile(by, step->n, x);
    case MOON_STEP_BUCKETIZE:
      break;
  }
  return x;
}

static void bucketize(const moon_step *step, const double *by, const moon_cells *cells, size_t n) {
  for (size_t i = 0; i < n; i++) {
    float x;
    memcpy(&x, cells->at + i * cells->stride, sizeof x);
    uint32_t id = isnan(x) ? 0 : 1 + (uint32_t)count_below(by, step->n, x, true);
    memcpy(cells->at + i * cells->stride, &id, sizeof id);
  }
}

float moon_finite(double x) {
  return isnan(x) ? NAN : (float)fmin(fmax(x, -FLT_MAX), FLT_MAX);
}

/* No number stays none through all steps. */
static void run(const moon_step *step, const double *by, const moon_cells *cells, size_t n) {
  if (step->op == MOON_STEP_BUCKETIZE) {
    bucketize(step, by, cells, n);
    return;
  }
  float *at = (float *)cells->at;
  size_t stride = cells->stride / sizeof *at;
  if (step->op == MOON_STEP_LOG) { /* the one that most numbers take; 1 + x is exact enough but for small x, and faster */
    for (size_t i = 0; i < n; i++, at += stride)
      if (!isnan(*at)) *at = *at >= 0.5f ? logf(1 + *at) : log1pf(*at > 0 ? *at : 0);
    return;
  }
  for (size_t i = 0; i < n; i++, at += stride)
    if (!isnan(*at)) *at = moon_finite(stepped(step, by, *at));
}

static void clean(const moon_cells *cells, size_t n) {
  float *at = (float *)cells->at;
  size_t stride = cells->stride / sizeof *at;
  for (size_t i = 0; i < n; i++, at += stride)
    if (isnan(*at)) *at = 0;
}

moon_stage moon_steps_run(const moon_feature *f, moon_stage from, const double *fitted, size_t known, moon_cells cells,
                          size_t n) {
  moon_stage at = from;
  for (; at.step < f->step_count; at.step++) {
    const moon_step *step = &f->steps[at.step];
    size_t each = step->fitted ? step->n : 0;
    if (at.numbers + each * f->width > known) return at;
    for (size_t w = 0; w < f->width; w++) {
      const moon_cells slot = {cells.at + w * sizeof(float), cells.stride};
      run(step, each ? fitted + at.numbers + w * each : step->numbers, &slot, n);
    }
    at.numbers += each * f->width;
  }
  for (size_t w = 0; w < f->width && f->kind == MOON_KIND_NUMBER; w++)
    clean(&(moon_cells){cells.at + w * sizeof(float), cells.stride}, n);
  return at;
}

/* ---- fitting -------------------------------------------------------------------------------------------------------------- */

static int rising(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* The value at a share of a sorted list; 0 of an empty one. */
static double at_share(const double *sorted, size_t n, size_t part, size_t parts) {
  return n ? sorted[(size_t)((double)part / (double)parts * (double)(n - 1) + 0.5)] : 0;
}

static void moments(const double *values, size_t n, double out[2]) {
  double mean = 0, square = 0;
  for (size_t i = 0; i < n; i++) mean += values[i] / (double)n;
  for (size_t i = 0; i < n; i++) square += (values[i] - mean) * (values[i] - mean) / (double)n;
  out[0] = mean;
  out[1] = square > 0 ? sqrt(square) : 1;
}

moon_status moon_step_fit(const moon_step *step, double *values, size_t n, moon_vocab *vocab) {
  double pair[2];
  qsort(values, n, sizeof *values, rising);
  if (step->op == MOON_STEP_STANDARD) moments(values, n, pair);
  for (size_t i = 0; i < step->n; i++) {
    double number = step->op == MOON_STEP_STANDARD    ? pair[i]
                    : step->op == MOON_STEP_BUCKETIZE ? at_share(values, n, i + 1, step->n + 1)
                                                      : at_share(values, n, i, step->n - 1);
    MOON_TRY(moon_vocab_add_number(vocab, number));
  }
  return moon_ok();
}

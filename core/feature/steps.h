/* steps.h - numbers on their way; private to core/feature. */
#ifndef MOON_FEATURE_STEPS_H
#define MOON_FEATURE_STEPS_H

#include "feature/feature.h"

/* A column of cells of 4 bytes, `stride` bytes apart: numbers (float) until a step makes ids (uint32_t) of them. */
typedef struct moon_cells {
  char *at;
  size_t stride;
} moon_cells;

float moon_finite(double x); /* the nearest that a float holds; NaN stays */

typedef struct moon_stage { /* how far a feature's numbers are: steps done, fitted numbers used for them */
  size_t step, numbers;
} moon_stage;
/* Takes n rows of the feature's slots, which lie side by side from `cells` on, through its steps; stops before the first whose
 * numbers are not among the `known` fitted ones. NaN is no number; at the end it is 0. */
moon_stage moon_steps_run(const moon_feature *feature, moon_stage from, const double *fitted, size_t known,
                                      moon_cells cells, size_t n);
/* Fits one slot's step to n values (sorted in place) and adds its numbers to the vocabulary. */
moon_status moon_step_fit(const moon_step *step, double *values, size_t n, moon_vocab *vocab);

#endif

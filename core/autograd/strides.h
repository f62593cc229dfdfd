/* strides.h - walking up to three differently laid out operands in step; only core/autograd sees it.
 *
 * A plan has one step a dimension and operand: 0 where the operand is broadcast, its own stride elsewhere. Dimensions that all operands
 * cross alike are merged, so that plain copies become one long row. A kernel loops over rows of `inner` elements. */
#ifndef MOON_AUTOGRAD_STRIDES_H
#define MOON_AUTOGRAD_STRIDES_H
#include "tensor/tensor.h"

enum { MOON_OPERANDS = 3 };
typedef struct moon_steps { size_t of[MOON_MAX_DIMS]; } moon_steps; /* elements to the next index of each dimension */

typedef struct moon_walk {
  int dims; /* outside the row */
  size_t size[MOON_MAX_DIMS], step[MOON_OPERANDS][MOON_MAX_DIMS];
  size_t inner, inner_step[MOON_OPERANDS];
} moon_walk;

/* Row-major steps of a shape. */
moon_steps moon_steps_dense(int dims, const size_t *shape);
/* Steps of an operand of shape `own` seen as [shape]: 0 along what it repeats. The shapes broadcast. */
moon_steps moon_steps_broadcast(int dims, const size_t *shape, int own_dims, const size_t *own);
/* A plan for n operands over a shape without a 0. */
moon_walk moon_walk_plan(int dims, const size_t *shape, int n, const moon_steps *steps);

/* Moves `at` to the next row; false after the last. index and at start as zeros. */
static inline bool moon_walk_next(const moon_walk *walk, size_t *index, size_t *at) {
  for (int d = walk->dims - 1; d >= 0; d--) {
    for (int o = 0; o < MOON_OPERANDS; o++) at[o] += walk->step[o][d];
    if (++index[d] < walk->size[d]) return true;
    for (int o = 0; o < MOON_OPERANDS; o++) at[o] -= walk->step[o][d] * walk->size[d];
    index[d] = 0;
  }
  return false;
}

#endif

/* best.h - the few best of many scored rows, kept in the caller's arrays.
 *
 * One idea: a bounded heap with the worst of the kept at its root. A row that does not beat the root costs one comparison, so
 * a long stream is nearly as cheap as reading it. The order is total - higher score first, equal scores by lower row - and so
 * the outcome depends on what was offered, never on when. NaN has no place in that order: it must not be offered before
 * the heap is full, and is refused after. */
#ifndef MOON_RETRIEVE_BEST_H
#define MOON_RETRIEVE_BEST_H

#include "base/base.h"

typedef struct moon_best {
  uint32_t *row;      /* [cap] the kept, a heap until moon_best_sort */
  float *score;       /* [cap] their scores beside them; or NULL, and then ... */
  const float *dense; /* ... the score of row r is dense[r] */
  size_t n, cap;
} moon_best;

/* Each row at most once; a row given twice would be kept twice. */
void moon_best_offer(moon_best *best, uint32_t row, float score);
/* Heap to list, best first. Ends the offers. */
void moon_best_sort(moon_best *best);

#endif

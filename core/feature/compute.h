/* compute.h - features bound to a catalogue; private to core/feature. */
#ifndef MOON_FEATURE_COMPUTE_H
#define MOON_FEATURE_COMPUTE_H

#include "feature/state.h"
#include "feature/steps.h"

typedef union moon_cell {
  uint32_t id;
  float number;
} moon_cell;

struct moon_features {
  const moon_feature_plan *plan;
  moon_vocab **vocabs; /* [feature_count] */
  size_t *column;      /* [feature_count] of what is the same for an item at all times */
  const moon_column **times; /* [feature_count] of an age: the catalogue's column */
  size_t rows, columns;
  size_t item_id;   /* column of the item's id, SIZE_MAX: there is none */
  moon_cell *cells; /* [rows + 1, columns] */
};
/* The row of a text in the feature's embedding table. */
uint32_t moon_embedding_id(const moon_features *features, size_t f, const char *text, size_t n);
/* The bucket of a cross, of the item's part (0: none) and the user's. */
uint32_t moon_cross_id(const moon_feature *feature, uint32_t item_part, uint64_t user_part);

#endif

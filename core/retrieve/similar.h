/* similar.h - what an item-kNN is, for the files that build, store and read it: all neighbours end to end. */
#ifndef MOON_RETRIEVE_SIMILAR_H
#define MOON_RETRIEVE_SIMILAR_H

#include "retrieve/retrieve.h"

struct moon_similar {
  size_t items;
  size_t *start;  /* [items + 1] item i's neighbours are at [start[i], start[i + 1]) of ... */
  uint32_t *item; /* ... their rows, best first ... */
  float *score;   /* ... and scores, all > 0 */
  size_t item_cap, score_cap;
};

#endif

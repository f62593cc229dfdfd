/* op_explore.h - places that chance fills from the top: what op_explore.c and op_learn.c share. */
#ifndef MOON_PAGE_OP_EXPLORE_H
#define MOON_PAGE_OP_EXPLORE_H

#include "page/op.h"

typedef struct moon_draw {
  size_t pool, k, n; /* candidates, places, places that are filled */
  moon_rng rng;
  uint8_t *picked;  /* [slate->n] */
  uint32_t *chosen; /* [k] */
} moon_draw;
moon_status moon_draw_new(const moon_policy *policy, moon_slate *slate, size_t first, size_t among, moon_draw *out);
/* The next place is the item's. */
void moon_draw_take(moon_draw *draw, const moon_slate *slate, size_t item, double propensity);
/* Brings the slate into that order. */
void moon_draw_end(const moon_draw *draw, const moon_policy *policy, moon_slate *slate);

#endif

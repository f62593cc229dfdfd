/* solve.h - choosing for all slots at once. */
#ifndef MOON_PAGE_SOLVE_H
#define MOON_PAGE_SOLVE_H

#include "base/base.h"

/* A candidate is an item in a slot. Whatever bounds a page is a group of candidates, of which at most so many may be chosen and at least so many
 * are wanted: the places of a slot, a product that is there once, a cap on a brand, a floor of what is new, the quota of a source. */
typedef struct moon_choice {
  size_t n, group_count;
  const float *value;      /* [n] above 0: what a page gains by it */
  const uint32_t *first;   /* [n + 1] where a candidate's groups begin in `group` */
  const uint32_t *group;
  const uint32_t *most, *least; /* [group_count] */
  uint8_t *chosen;         /* [n] out */
  uint32_t *count;         /* [group_count] out: how many are chosen of it */
  size_t steps;            /* tries at most; each is deterministic */
  int64_t deadline;        /* by moon_monotonic; tries end there, too */
  bool late;               /* out: it was the clock that ended them */
} moon_choice;

/* No group gets more than its most. The sum of values, less 100 for each that a group lacks of its least, is made large: greedily, and then by forcing
 * in one candidate after the other for those that stand in its way, as long as that gains. MOON_ENOMEM: the arena is full. */
moon_status moon_choose(moon_choice *choice, moon_arena *arena);
/* What it made large. */
double moon_choice_worth(const moon_choice *choice);
/* The group that keeps a candidate out, MOON_NONE where none does. */
uint32_t moon_choice_blocker(const moon_choice *choice, size_t candidate);

#endif

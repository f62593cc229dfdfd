/* shared.h - how many users two items share, item by item: what item-kNN, EASE and their like are made of. */
#ifndef MOON_RETRIEVE_SHARED_H
#define MOON_RETRIEVE_SHARED_H

#include "retrieve/retrieve.h"

/* Lists of rows, end to end: list k is row[start[k], start[k + 1]). */
typedef struct moon_row_lists {
  size_t *start; /* one longer than it need be: see shared.c */
  uint32_t *row;
  size_t n;
} moon_row_lists;

typedef struct moon_shared {
  size_t items;
  moon_row_lists baskets; /* each user's last distinct items, newest first */
  moon_row_lists owners;  /* for each item the users whose basket holds it */
  uint32_t *count;        /* [items] baskets shared with the item at hand; zero between items */
  uint32_t *met;          /* [items + 1] items with a count */
} moon_shared;

/* Baskets of the last `window` items (0: 100) of events [n], which are of users and of items below `items`: MOON_EINVAL, else, names
 * the event. On failure nothing is left. */
moon_status moon_shared_new(const moon_event *events, size_t n, size_t items, size_t window, moon_shared *out);
void moon_shared_free(moon_shared *shared);
/* Counts what is in a basket with the item, itself among them: which items are met [returned], count[met[i]] how often. Whoever reads
 * a count puts it back to zero. */
size_t moon_shared_count(moon_shared *shared, uint32_t item);
static inline size_t moon_shared_owners(const moon_shared *shared, uint32_t item) {
  return shared->owners.start[item + 1] - shared->owners.start[item];
}

#endif

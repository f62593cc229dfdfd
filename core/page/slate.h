/* slate.h - what the operators of core/page share. */
#ifndef MOON_PAGE_SLATE_H
#define MOON_PAGE_SLATE_H

#include "page/page.h"

/* New position i gets old position slate->order[i], for i < n; what is not named leaves the slate. order: each old position at
 * most once. */
void moon_slate_arrange(moon_slate *slate, size_t n);
/* The rest of slate->order: behind its first k, what is not picked [n], as it stands. */
void moon_slate_follow(moon_slate *slate, size_t k, const uint8_t *picked);
/* slate->order: what is `first` [n], then the others, both as they stand. */
void moon_slate_part(moon_slate *slate, const uint8_t *first);
/* Notes on every item of [0, n) that slate->order moved, or that is marked [by old position]; call after moon_slate_arrange. */
void moon_slate_note_moves(moon_slate *slate, const char *policy, const char *text);
void moon_slate_note_marked(moon_slate *slate, const uint8_t *mark, const char *policy, const char *text);
/* A promise could not be kept in full; says so on the item at `position`, where there is one. */
void moon_slate_relax(moon_slate *slate, size_t position, const char *policy, const char *text);
/* Adds from's item i to the end of `to`, with its scores and history, unless it is there. */
void moon_slate_take(moon_slate *to, const moon_slate *from, size_t i);
/* From now on no pin brings these in: [n] rising, borrowed. */
typedef struct moon_barred {
  const struct moon_barred *next;
  const uint32_t *items;
  size_t n;
} moon_barred;
moon_status moon_slate_bar(moon_slate *slate, const uint32_t *items, size_t n);
bool moon_slate_bars(const moon_slate *slate, uint32_t item);
bool moon_rows_have(const uint32_t *sorted, size_t n, uint32_t row);
/* As moon_slate_boost, each item by a factor of its own [n], above 0; 1 leaves it. */
void moon_slate_scale(moon_slate *slate, const float *factor, const char *policy, const char *text);

/* One cell as 64 bits that are equal where values are equal; false for null. Never UINT64_MAX. */
bool moon_cell_key(const moon_column *column, size_t row, uint64_t *key);

#endif

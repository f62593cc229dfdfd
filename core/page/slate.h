/* slate.h - what the operators of core/page share. */
#ifndef MOON_PAGE_SLATE_H
#define MOON_PAGE_SLATE_H

#include "page/page.h"

/* New position i gets old position slate->order[i], for i < n; what is not named leaves the slate. order: each old position at
 * most once. */
void moon_slate_arrange(moon_slate *slate, size_t n);
/* Notes on every item of [0, n) that slate->order moved; call after moon_slate_arrange. */
void moon_slate_note_moves(moon_slate *slate, const char *policy);
/* Adds from's item i to the end of `to`, with its scores and history, unless it is there. */
void moon_slate_take(moon_slate *to, const moon_slate *from, size_t i);

/* One cell as 64 bits that are equal where values are equal; false for null. Never UINT64_MAX. */
bool moon_cell_key(const moon_column *column, size_t row, uint64_t *key);

#endif

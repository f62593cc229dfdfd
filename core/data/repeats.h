/* repeats.h - rows that say what an earlier row said; private to core/data. */
#ifndef MOON_DATA_REPEATS_H
#define MOON_DATA_REPEATS_H

#include "data/data.h"

/* Sets keep[row] to 0 where an earlier row has the same cells in these columns. look: [rows] rows with 0 are passed over, NULL:
 * none is. keep: [rows], otherwise untouched. */
moon_status moon_rows_repeated(const moon_table *table, const moon_column *const *columns, size_t n, const uint8_t *look,
                               uint8_t *keep);

/* Whether two rows have the same cells in these columns. */
bool moon_rows_same(const moon_column *const *columns, size_t n, size_t a, size_t b);

#endif

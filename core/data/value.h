/* value.h - the texts of cells as numbers and times, for core/data and for what compares with cells. */
#ifndef MOON_DATA_VALUE_H
#define MOON_DATA_VALUE_H

#include "base/base.h"

/* The whole text must be the value; no blanks, no "nan", no hexadecimal. */
bool moon_value_number(const char *text, size_t n, double *out);
bool moon_value_integer(const char *text, size_t n, int64_t *out);
/* Is it written like a number, be it too large for one? */
bool moon_value_is_number(const char *text, size_t n, bool whole);
/* A finite number as the shortest text of those that read back the same; answers its length. */
size_t moon_value_text(double value, char out[32]);

typedef enum moon_time_unit { MOON_UNIT_AUTO, MOON_UNIT_S, MOON_UNIT_MS, MOON_UNIT_US } moon_time_unit;
/* A number of *unit since 1970 (AUTO is decided by this value's magnitude and stored), or ISO 8601. */
bool moon_value_time(const char *text, size_t n, moon_time_unit *unit, int64_t *out);

#endif

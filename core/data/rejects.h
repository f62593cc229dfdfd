/* rejects.h - one rejected row, for the file of them; private to core/data. */
#ifndef MOON_DATA_REJECTS_H
#define MOON_DATA_REJECTS_H

#include "data/data.h"

typedef struct moon_rejected {
  const char *file;
  size_t line;
  const char *column; /* NULL: the whole row */
  moon_reject reason;
  const char *message;
  const char *row; /* as it came; only its beginning is kept */
  size_t row_n;
} moon_rejected;
void moon_rejects_add(moon_rejects *rejects, const moon_rejected *row);

#endif

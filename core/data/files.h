/* files.h - the files that a source names; private to core/data. */
#ifndef MOON_DATA_FILES_H
#define MOON_DATA_FILES_H

#include "data/data.h"

typedef struct moon_files {
  moon_input *list; /* path and name are owned */
  size_t n, cap;
} moon_files;

/* Adds what `name`, a file or a pattern, stands for. MOON_ENOTFOUND for a pattern without a match, MOON_EINVAL for a file that is
 * there already. */
moon_status moon_files_add(moon_files *files, const char *data_dir, const char *name);
void moon_files_free(moon_files *files);

#endif

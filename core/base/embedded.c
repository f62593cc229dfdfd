/* embedded.c - finding a file that was compiled in. */
#include "base/embedded.h"

#include <string.h>

const moon_embedded *moon_embedded_find(const char *name) {
  for (const moon_embedded *file = moon_embedded_files; file->name; file++)
    if (!strcmp(file->name, name)) return file;
  return NULL;
}

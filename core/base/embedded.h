/* embedded.h - files compiled into the library: lua/moonshelf/ and core/serve/storefront/, so that one binary is enough. */
#ifndef MOON_EMBEDDED_H
#define MOON_EMBEDDED_H
#include <stddef.h>

typedef struct moon_embedded {
  const char *name; /* "lua/moonshelf/init.lua" */
  const char *data; /* zero-terminated */
  size_t size;
} moon_embedded;
extern const moon_embedded moon_embedded_files[]; /* ends with a NULL name */
const moon_embedded *moon_embedded_find(const char *name); /* NULL where absent */

#endif

/* target.h - the address of a request, taken apart: path, and parameters by name. */
#ifndef MOON_SERVE_TARGET_H
#define MOON_SERVE_TARGET_H

#include "base/base.h"
#include "moonshelf/runtime.h"

enum { MOON_TARGET_PARAMS = 64 };

typedef struct moon_target { /* everything decoded, zero-terminated, valid UTF-8, in the arena */
  char *path;
  moon_pair *params; /* [param_n] in order of appearance */
  size_t param_n;
} moon_target;

/* "/v1/page/home?user=u%201&country=NL", or the same behind "http://host". In parameters + is a blank. MOON_EFORMAT says what
 * does not decode, MOON_ELIMIT that there are more than 64 parameters. */
moon_status moon_target_parse(const char *text, moon_arena *arena, moon_target *out);
/* Takes out the parameter `name`: *value stays NULL where it is absent. MOON_EINVAL where it is given twice. */
moon_status moon_target_take(moon_target *target, const char *name, const char **value);

#endif

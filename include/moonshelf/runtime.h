/* runtime.h - Moonshelf inside another program: a bundle and a site behind four calls.
 *
 *   moon_runtime *shop;
 *   moon_status st = moon_runtime_open("out/bundle", "site.lua", &shop);
 *   if (st.code) return report(st.message);
 *   moon_query query = {.surface = "home", .user = "u1"};
 *   const char *json;
 *   size_t n;
 *   st = moon_runtime_page(shop, &query, &json, &n);     // json is good until the next call
 *   moon_runtime_close(shop);
 *
 * A runtime holds its own Lua state, and one thread at a time may use it; open as many as there are threads. Only events may come from one
 * other thread while a page is made. Every failure is a
 * status: a script that breaks or does not come to an end costs its own effect on the page and nothing else. */
#ifndef MOONSHELF_RUNTIME_H
#define MOONSHELF_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "moonshelf/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct moon_runtime moon_runtime;

typedef struct moon_pair { const char *name, *value; } moon_pair;

typedef struct moon_query {
  const char *surface;        /* "home", "product", "cart" or any other surface of the site; NULL: "home" */
  const char *user;           /* id, or NULL for a new visitor; an unknown id is a new visitor too */
  const char *item;           /* the item that a product page shows, or NULL */
  const char *const *cart;    /* [cart_n] item ids */
  size_t cart_n;
  const moon_pair *params;    /* [param_n] what else came with the request; policies read it as ctx.params */
  size_t param_n;
  int64_t now;                /* microseconds since 1970 UTC; 0: the time of the newest event */
  uint64_t seed;              /* of everything random on the page */
  bool explain;               /* every item says why it is where it is */
} moon_query;

/* Opens a bundle (checked whole) and runs the site script in its sandbox. The caller closes. Errors: MOON_EIO, MOON_EFORMAT
 * (bundle), MOON_ESCRIPT (site, with file:line), MOON_ENOTFOUND (a column or source that the bundle does not have). */
MOON_API moon_status moon_runtime_open(const char *bundle, const char *site, moon_runtime **out);
MOON_API void moon_runtime_close(moon_runtime *runtime);
/* One page as JSON (the format of GET /v1/page, see README.md); *json [n] is zero-terminated, the runtime's, and valid until its
 * next call. MOON_ENOTFOUND: no such surface (names the nearest), or no such item on a product page. */
MOON_API moon_status moon_runtime_page(moon_runtime *runtime, const moon_query *query, const char **json, size_t *n);
/* The same as text for a terminal. */
MOON_API moon_status moon_runtime_page_text(moon_runtime *runtime, const moon_query *query, const char **text, size_t *n);
/* Folds an event into the state, so that the next page knows of it. New users and kinds of event are fine. time: microseconds, 0:
 * as new as the newest. MOON_ENOTFOUND for an item that the bundle does not have. The bundle on disk stays as it is. */
MOON_API moon_status moon_runtime_event(moon_runtime *runtime, const char *user, const char *item, const char *kind,
                                        int64_t time);

#ifdef __cplusplus
}
#endif
#endif

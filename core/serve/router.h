/* router.h - which handler answers a method and a path. */
#ifndef MOON_SERVE_ROUTER_H
#define MOON_SERVE_ROUTER_H

#include "base/base.h"
#include "serve/http.h"

typedef struct moon_exchange moon_exchange;

typedef struct moon_route {
  moon_http_method method; /* GET answers HEAD too */
  const char *path;        /* "/healthz", or "/v1/page/<surface>": whatever follows, at least one character */
  moon_status (*answer)(moon_exchange *exchange);
} moon_route;

/* *status: 200, 404 or 405. With 200 the answer is the route and *tail what stands for its <name> (in `path`), else NULL; with
 * 405 the answer is a route of that path, for Allow; with 404 the one with the nearest path, or NULL. */
const moon_route *moon_route_find(const moon_route *routes, size_t n, moon_http_method method, const char *path,
                                  const char **tail, int *status);

#endif

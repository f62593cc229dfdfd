/* router.c - a short table, searched from the top. */
#include "serve/router.h"

#include <stdio.h>
#include <string.h>

enum { MAX_ROUTES = 32, MAX_PATH = 64 };

static bool fits(const moon_route *route, const char *path, const char **tail) {
  size_t fixed = strcspn(route->path, "<");
  *tail = route->path[fixed] ? path + fixed : NULL;
  if (!*tail) return !strcmp(route->path, path);
  return !strncmp(route->path, path, fixed) && path[fixed];
}

/* "/v1/pages/home" means "/v1/page/<surface>": the path is compared whole and without its last part with what is fixed in a
 * route. */
static const moon_route *nearest(const moon_route *routes, size_t n, const char *path) {
  char fixed[MAX_ROUTES][MAX_PATH], given[MAX_PATH];
  const char *names[MAX_ROUTES];
  if (n > MAX_ROUTES) n = MAX_ROUTES;
  for (size_t i = 0; i < n; i++) {
    int length = (int)strcspn(routes[i].path, "<");
    snprintf(fixed[i], MAX_PATH, "%.*s", length > 1 && routes[i].path[length] ? length - 1 : length, routes[i].path);
    names[i] = fixed[i];
  }
  snprintf(given, sizeof given, "%s", path);
  const char *found = moon_nearest(given, names, n);
  char *last = strrchr(given, '/');
  if (!found && last && last != given) {
    *last = 0;
    found = moon_nearest(given, names, n);
  }
  for (size_t i = 0; i < n; i++)
    if (found == names[i]) return &routes[i];
  return NULL;
}

const moon_route *moon_route_find(const moon_route *routes, size_t n, moon_http_method method, const char *path,
                                  const char **tail, int *status) {
  const moon_route *other = NULL;
  if (method == MOON_HTTP_HEAD) method = MOON_HTTP_GET;
  for (size_t i = 0; i < n; i++) {
    if (!fits(&routes[i], path, tail)) continue;
    if (routes[i].method == method) {
      *status = 200;
      return &routes[i];
    }
    other = &routes[i];
  }
  *tail = NULL;
  *status = other ? 405 : 404;
  return other ? other : nearest(routes, n, path);
}

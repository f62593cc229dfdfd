/* test_serve_router.c - paths find their handlers, and near misses find their names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "serve/router.h"

static const moon_route routes[] = {
    {MOON_HTTP_GET, "/v1/page/<surface>", NULL}, {MOON_HTTP_POST, "/v1/events", NULL}, {MOON_HTTP_GET, "/v1/users", NULL},
    {MOON_HTTP_GET, "/healthz", NULL},           {MOON_HTTP_GET, "/", NULL},
};
enum { ROUTES = sizeof routes / sizeof *routes };

static void assert_route(moon_http_method method, const char *path, int status, const char *route, const char *tail) {
  int got;
  const char *rest;
  const moon_route *found = moon_route_find(routes, ROUTES, method, path, &rest, &got);
  if (got != status) fail_msg("%s: %d", path, got);
  if (route ? !found || strcmp(found->path, route) : found != NULL)
    fail_msg("%s: found %s, wanted %s", path, found ? found->path : "none", route ? route : "none");
  if (tail)
    assert_string_equal(rest, tail);
  else
    assert_null(rest);
}

static void paths_find_their_routes(void **state) {
  (void)state;
  assert_route(MOON_HTTP_GET, "/v1/page/home", 200, "/v1/page/<surface>", "home");
  assert_route(MOON_HTTP_GET, "/v1/page/a/b", 200, "/v1/page/<surface>", "a/b");
  assert_route(MOON_HTTP_HEAD, "/healthz", 200, "/healthz", NULL);
  assert_route(MOON_HTTP_GET, "/", 200, "/", NULL);
  assert_route(MOON_HTTP_POST, "/v1/events", 200, "/v1/events", NULL);
}

static void the_wrong_method_is_405(void **state) {
  (void)state;
  assert_route(MOON_HTTP_GET, "/v1/events", 405, "/v1/events", NULL);
  assert_route(MOON_HTTP_HEAD, "/v1/events", 405, "/v1/events", NULL);
  assert_route(MOON_HTTP_POST, "/healthz", 405, "/healthz", NULL);
  assert_route(MOON_HTTP_OTHER, "/v1/page/home", 405, "/v1/page/<surface>", NULL);
}

static void near_misses_are_named(void **state) {
  (void)state;
  assert_route(MOON_HTTP_GET, "/helthz", 404, "/healthz", NULL);
  assert_route(MOON_HTTP_GET, "/v1/event", 404, "/v1/events", NULL);
  assert_route(MOON_HTTP_GET, "/v1/pages/home", 404, "/v1/page/<surface>", NULL);
  assert_route(MOON_HTTP_GET, "/v1/page/", 404, "/v1/page/<surface>", NULL);
  assert_route(MOON_HTTP_GET, "/v1/page", 404, "/v1/page/<surface>", NULL);
  assert_route(MOON_HTTP_GET, "/something/else/entirely/and/much/longer/than/any/of/the/routes/there/are/in/this/table", 404,
               NULL, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(paths_find_their_routes),
      cmocka_unit_test(the_wrong_method_is_405),
      cmocka_unit_test(near_misses_are_named),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

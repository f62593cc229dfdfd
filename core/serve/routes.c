/* routes.c - from a whole request to an answer: take the target apart, find the route, call its handler, turn failures into JSON.
 */
#include <stdio.h>
#include <string.h>

#include "serve/internal.h"

static const moon_route routes[] = {
    {MOON_HTTP_GET, "/v1/page/<surface>", moon_route_page},
    {MOON_HTTP_POST, "/v1/events", moon_route_events},
    {MOON_HTTP_GET, "/v1/items/<id>", moon_route_item},
    {MOON_HTTP_GET, "/v1/users", moon_route_users},
    {MOON_HTTP_GET, "/healthz", moon_route_health},
    {MOON_HTTP_GET, "/readyz", moon_route_ready},
    {MOON_HTTP_GET, "/metrics", moon_route_metrics},
    {MOON_HTTP_GET, "/", moon_route_file},
    {MOON_HTTP_GET, "/app.js", moon_route_file},
    {MOON_HTTP_GET, "/style.css", moon_route_file},
};
enum { ROUTES = sizeof routes / sizeof *routes };
_Static_assert((int)ROUTES < (int)MOON_METRIC_ROUTES, "one label is for requests without a route");

void moon_routes_count(moon_server *server, const moon_route *route, int status) {
  server->metrics.requests[route ? route - routes : ROUTES][status]++;
}

size_t moon_routes_labels(const char *labels[MOON_METRIC_ROUTES]) {
  for (size_t i = 0; i < ROUTES; i++) labels[i] = routes[i].path;
  labels[ROUTES] = "none";
  return ROUTES + 1;
}

static int status_of(moon_code code) {
  switch (code) {
    case MOON_EINVAL:
    case MOON_EFORMAT:
      return 400;
    case MOON_ENOTFOUND:
      return 404;
    case MOON_ELIMIT:
      return 413;
    case MOON_ENOMEM:
      return 503;
    default:
      return 500;
  }
}

static const char *error_code(int status) {
  switch (status) {
    case 403:
      return "forbidden";
    case 404:
      return "not_found";
    case 405:
      return "method_not_allowed";
    case 408:
      return "timeout";
    case 413:
    case 414:
    case 431:
      return "too_large";
    case 422:
      return "invalid_events";
    case 500:
      return "internal";
    case 503:
      return "unavailable";
    default:
      return "bad_request";
  }
}

static moon_status no_route(moon_exchange *x, const moon_route *near, int status) {
  x->status = status;
  if (status == 404 && near) return moon_fail(MOON_ENOTFOUND, "there is no %.200s; did you mean %s?", x->target.path, near->path);
  if (status == 404) return moon_fail(MOON_ENOTFOUND, "there is no %.200s", x->target.path);
  bool get = near->method == MOON_HTTP_GET;
  x->headers = get ? "Cache-Control: no-store\r\nAllow: GET, HEAD\r\n" : "Cache-Control: no-store\r\nAllow: POST\r\n";
  return moon_fail(MOON_EINVAL, "%s wants %s, not %s", near->path, get ? "GET" : "POST", x->request->method_name);
}

static moon_status dispatch(moon_exchange *x) {
  int status;
  moon_status parsed = moon_target_parse(x->request->target, &x->server->arena, &x->target);
  if (parsed.code == MOON_ELIMIT) parsed.code = MOON_EINVAL;
  MOON_TRY(parsed);
  const moon_route *route = moon_route_find(routes, ROUTES, x->request->method, x->target.path, &x->tail, &status);
  if (status != 200) return no_route(x, route, status);
  x->connection->route = route;
  return route->answer(x);
}

void moon_routes_error(moon_buf *out, const char *code, const char *message) {
  moon_buf_puts(out, "{\"error\":{\"code\":");
  moon_json_string(out, code);
  moon_buf_puts(out, ",\"message\":");
  moon_json_string(out, message);
  moon_buf_puts(out, "}}\n");
}

static void answer_failure(moon_exchange *x, moon_status failure) {
  if (!x->status) x->status = status_of(failure.code);
  const moon_route *route = x->connection->route;
  if (x->status >= 500) moon_server_log_quietly(x->server, "error", "%s: %s", route ? route->path : "a request", failure.message);
  moon_buf_reset(x->body);
  moon_routes_error(x->body, error_code(x->status), failure.message);
}

void moon_routes_answer(moon_connection *c) {
  moon_server *server = c->server;
  moon_exchange x = {.server = server,
                     .connection = c,
                     .request = &c->http.request,
                     .body = &server->body,
                     .type = "application/json",
                     .headers = "Cache-Control: no-store\r\n"};
  c->route = NULL;
  moon_arena_reset(&server->arena);
  moon_buf_reset(&server->body);
  moon_status status = dispatch(&x);
  if (!status.code && x.later) return;
  if (!status.code && server->body.failed) status = moon_fail(MOON_ENOMEM, "there is no memory for this answer");
  if (status.code)
    answer_failure(&x, status);
  else if (!x.status)
    x.status = 200;
  moon_routes_count(server, c->route, x.status);
  moon_connection_answer(c, x.status, x.type, x.headers, &server->body);
}

void moon_routes_answer_fault(moon_connection *c) {
  moon_buf *body = &c->server->body;
  moon_buf_reset(body);
  moon_routes_error(body, error_code(c->http.fault), c->http.why);
  moon_routes_count(c->server, NULL, c->http.fault);
  moon_connection_answer(c, c->http.fault, "application/json", "Cache-Control: no-store\r\n", body);
}

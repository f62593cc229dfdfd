/* routes_events.c - POST /v1/events: checked here, answered by commit.c when they are on disk. */
#include <string.h>
#include <strings.h>

#include "serve/events.h"
#include "serve/internal.h"

enum { BACKLOG = 200000 }; /* events that may wait while the disk is slow */

/* A browser says in Origin whose page makes it post; only our own pages may. Programs send none. */
static bool foreign(const moon_http_request *request) {
  if (!request->origin) return false;
  const char *host = strstr(request->origin, "://");
  return !host || !request->host || strcasecmp(host + 3, request->host);
}

static moon_status list_problems(moon_exchange *x, const char *problems, const char *message) {
  x->status = 422;
  moon_buf_puts(x->body, "{\"error\":{\"code\":\"invalid_events\",\"message\":");
  moon_json_string(x->body, message);
  moon_buf_printf(x->body, ",\"problems\":%s}}\n", problems);
  return moon_ok();
}

/* New kinds enter the state's dictionary now: where it is full the sender must hear of it before anything is stored. */
static moon_status admit_kinds(moon_server *server, const moon_event_batch *batch, size_t first) {
  for (size_t i = first; i < batch->n; i++) MOON_TRY(moon_runtime_admit(server->runtime, batch->events[i].kind));
  return moon_ok();
}

moon_status moon_route_events(moon_exchange *x) {
  moon_server *server = x->server;
  moon_event_batch *batch = &server->filling->batch;
  size_t first = batch->n;
  if (foreign(x->request)) {
    x->status = 403;
    return moon_fail(MOON_EINVAL, "events of a page from %.100s are not taken", x->request->origin);
  }
  if (first > BACKLOG) {
    x->status = 503;
    x->headers = "Cache-Control: no-store\r\nRetry-After: 1\r\n";
    return moon_fail(MOON_ELIMIT, "too many events wait for the disk; try again soon");
  }
  moon_buf problems = {0};
  moon_status status = moon_events_parse(x->request->body, x->request->body_n, server->bundle->catalogue, moon_server_now(server),
                                         batch, &problems);
  if (status.code) server->metrics.events_refused++;
  if (status.code == MOON_EINVAL) status = list_problems(x, problems.data, status.message);
  moon_buf_free(&problems);
  if (status.code || x->status) return status;
  status = admit_kinds(server, batch, first);
  if (status.code) {
    batch->n = first;
    if (status.code == MOON_ELIMIT) x->status = 422;
    return status;
  }
  if (batch->n == first) {
    moon_buf_puts(x->body, "{\"accepted\":0}\n");
    return moon_ok();
  }
  x->later = true;
  return moon_commit_join(server, x->connection, first);
}

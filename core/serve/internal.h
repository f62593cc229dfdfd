/* internal.h - what the files of this room share: the server, its connections, one request being answered. */
#ifndef MOON_SERVE_INTERNAL_H
#define MOON_SERVE_INTERNAL_H

#include <uv.h>

#include "runtime/runtime.h"
#include "serve/http.h"
#include "serve/metrics.h"
#include "serve/router.h"
#include "serve/serve.h"
#include "serve/target.h"

/* ---- connections (connection.c) ------------------------------------------------------------------------------------------- */

typedef enum moon_connection_state {
  MOON_READING,   /* a request, or the wait for one */
  MOON_ANSWERING, /* a handler has it, perhaps until a commit is done */
  MOON_WRITING,   /* the peer takes the answer slowly */
  MOON_LINGERING, /* all is said; what still comes is thrown away, so that closing does not tear the answer out of the peer's
                     hands */
  MOON_CLOSED     /* waiting for libuv, or for a commit, to let go */
} moon_connection_state;

typedef struct moon_connection {
  uv_tcp_t tcp;
  uv_write_t write;
  uv_shutdown_t shutdown;
  moon_server *server;
  struct moon_connection *next, *prev; /* all of the server's */
  struct moon_connection *queued;      /* the next with input left over, see moon_server.turns */
  moon_connection_state state;
  moon_http http;
  moon_buf in;       /* bytes received and not yet read */
  size_t in_at;
  uint64_t deadline; /* loop time in ms; closed when it passes */
  size_t discarded;
  const moon_route *route; /* of the request being answered; NULL: none */
  bool in_turns, timing, held; /* waiting for its turn; its request has begun to arrive; a commit will answer it */
} moon_connection;

void moon_connection_accept(moon_server *server);
/* Sends an answer and goes on to the next request. `body` may be reused afterwards. */
void moon_connection_answer(moon_connection *c, int status, const char *type, const char *headers, const moon_buf *body);
void moon_connections_sweep(moon_server *server);     /* closes those past their deadline */
void moon_connections_drain(moon_server *server);     /* no next request: idle ones close */
void moon_connection_close(moon_connection *c);
/* The commit that held it is done: true where somebody still waits for the answer. */
bool moon_connection_release(moon_connection *c);

/* ---- events on their way to the disk (commit.c) --------------------------------------------------------------------------- */

typedef struct moon_waiter {
  moon_connection *connection;
  size_t first, count; /* its events in the batch */
} moon_waiter;

typedef struct moon_commit {
  moon_event_batch batch;
  moon_waiter *waiters;
  size_t waiter_n, waiter_cap;
  moon_status status;
} moon_commit;

/* The events of server->filling from `first` on are c's: it is answered when they are on disk. On failure they are taken out
 * again. */
moon_status moon_commit_join(moon_server *server, moon_connection *c, size_t first);

/* ---- another site in the place of the one that is served (reload.c) ------------------------------------------------------------ */

typedef struct moon_reload {
  uv_work_t work;
  bool running, again; /* again: the file is to be read once more, it was asked for meanwhile */
  bool from_file;      /* or the same script in a fresh Lua state */
  moon_status status;
} moon_reload;

/* Makes a site on another thread and takes it into use when it is whole; until then, and where it fails, pages come from the one there
 * is. A call while one is being made has another made after it. */
void moon_reload_begin(moon_server *server, bool from_file);

/* ---- the server (server.c) ------------------------------------------------------------------------------------------------ */

enum { MOON_QUIET_LINES = 64 };

struct moon_server {
  moon_server_options options;
  uv_loop_t loop;
  uv_tcp_t listener;
  uv_signal_t interrupt, terminate, broken_pipe, hangup;
  uv_timer_t tick;
  uv_idle_t turns; /* runs while connections are queued */
  uv_work_t work;
  bool loop_open, stopping, committing, log_failing;
  bool accept_owed; /* a connection is there and could not be taken; tried again at the next tick */
  uint64_t drain_until; /* loop time in ms */
  moon_connection *connections, *turn_first, *turn_last;
  size_t connection_count;
  moon_runtime *runtime;
  moon_worker *worker;
  const moon_bundle *bundle;
  moon_state *state;
  moon_reload reload;
  moon_commit *filling, *flying, commits[2];
  moon_metrics metrics;
  int64_t started, clock_base; /* monotonic; 0 or the data's newest time */
  struct {
    int64_t last;
    uint64_t held;
  } quiet[MOON_QUIET_LINES]; /* by hash of the line, see moon_server_log_quietly */
  moon_arena arena; /* of the request being answered */
  moon_buf body;    /* its answer */
  char date[40];
  int64_t date_second;
  char read_buffer[64 << 10];
};

int64_t moon_server_now(const moon_server *server); /* the one source of "now" */
const char *moon_server_date(moon_server *server);  /* of the wall clock, for the Date header */
void moon_server_finish(moon_server *server);       /* ends the loop where it is stopping and nothing is in flight */
/* For what may go wrong on every request: the same line is written once in ten seconds, with how often it was held back. */
__attribute__((format(printf, 3, 4))) void moon_server_log_quietly(moon_server *server, const char *level, const char *format,
                                                                   ...);

/* ---- routes (routes.c, routes_*.c) ---------------------------------------------------------------------------------------- */

struct moon_exchange { /* one request being answered, on its handler's stack */
  moon_server *server;
  moon_connection *connection;
  const moon_http_request *request;
  moon_target target;
  const char *tail;             /* what stands for the <name> of the route's path */
  int status;                   /* 200, or what the handler sets; a failure without one gets what its code means */
  const char *type, *headers;   /* application/json, and further header lines */
  moon_buf *body;
  bool later;                   /* a commit will answer */
};

void moon_routes_answer(moon_connection *c);             /* http.request, whole */
void moon_routes_error(moon_buf *out, const char *code, const char *message); /* {"error":{"code":..,"message":..}} */
void moon_routes_answer_fault(moon_connection *c);       /* http.fault */
void moon_routes_count(moon_server *server, const moon_route *route, int status);
size_t moon_routes_labels(const char *labels[MOON_METRIC_ROUTES]);

moon_status moon_route_page(moon_exchange *x);
moon_status moon_route_events(moon_exchange *x);
moon_status moon_route_item(moon_exchange *x);
moon_status moon_route_users(moon_exchange *x);
moon_status moon_route_health(moon_exchange *x);
moon_status moon_route_ready(moon_exchange *x);
moon_status moon_route_metrics(moon_exchange *x);
moon_status moon_route_file(moon_exchange *x); /* the storefront */

#endif

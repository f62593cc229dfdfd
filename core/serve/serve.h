/* serve.h - the door of core/serve: pages over HTTP, on one libuv loop.
 *
 * One thread makes pages, because a page takes a millisecond and the state then needs no lock. Only the disk is waited for
 * elsewhere: events are committed on libuv's thread pool, all that arrive during one commit in the next one, and are folded into
 * the state when they are on disk; then their senders get an answer. */
#ifndef MOON_SERVE_H
#define MOON_SERVE_H

#include "base/base.h"
#include "page/page.h"
#include "script/script.h"

typedef struct moon_server_options {
  const char *address;      /* NULL: 127.0.0.1 */
  int port;                 /* 0: the system chooses */
  const char *bundle_path;
  const char *site_path;
  const char *event_log;    /* SQLite file of accepted events, replayed at start; NULL: BUNDLE.events.db; "none": events live in
                               memory only */
  size_t max_body;          /* bytes, 0: 1 MiB */
  size_t max_connections;   /* 0: 1024; beyond it a connection is answered 503 */
  size_t request_seconds;   /* 0: 20; how long a request may take to arrive, and its answer to leave */
  size_t idle_seconds;      /* 0: 60; how long a connection may wait for its first or next request */
  size_t state_memory;      /* bytes that the state may grow to, 0: as it comes; see moon_state_limit */
  size_t script_millis;     /* 0: 50; how long the policies and gates of one page may take together, one of them a quarter of it */
  bool deterministic;       /* see moon_host_options */
  bool data_clock;          /* now is the time of the newest event plus the time since the start, so that old data looks alive */
  /* Called once listening, with the port; and per log line ("info", "warning" or "error", text). May be NULL. */
  void (*on_ready)(void *self, const char *address, int port); /* address as in a URL: [::1] */
  void (*on_log)(void *self, const char *level, const char *text);
  void *self;
} moon_server_options;
typedef struct moon_server moon_server;
/* Loads everything, replays the event log and binds. A busy port: MOON_EIO that says so. */
moon_status moon_server_open(const moon_server_options *options, moon_server **out);
/* Runs until SIGINT or SIGTERM, then finishes what is in flight; a second signal ends the process as if nobody had listened. SIGHUP
 * loads the site anew, beside the one that is served. A server runs once. */
moon_status moon_server_run(moon_server *server);
void moon_server_close(moon_server *server);

#endif

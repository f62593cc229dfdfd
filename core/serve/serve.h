/* serve.h - the door of core/serve: pages over HTTP, on one libuv loop. */
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
  const char *event_log;    /* SQLite file of accepted events, replayed at start; NULL: BUNDLE.events.db; "none": events live in memory only */
  size_t max_body;          /* bytes, 0: 1 MiB */
  /* Called once listening, with the port; and per log line ("level", text). May be NULL. */
  void (*on_ready)(void *self, const char *address, int port);
  void (*on_log)(void *self, const char *level, const char *text);
  void *self;
} moon_server_options;
typedef struct moon_server moon_server;
/* Loads everything, replays the event log and binds. A busy port: MOON_EIO that says so. */
moon_status moon_server_open(const moon_server_options *options, moon_server **out);
/* Runs until SIGINT/SIGTERM or moon_server_stop, then finishes what is in flight. */
moon_status moon_server_run(moon_server *server);
void moon_server_stop(moon_server *server); /* from any thread or signal */
void moon_server_close(moon_server *server);

#endif

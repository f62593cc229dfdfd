/* reload.c - a site is loaded beside the one that is served, and then takes its place.
 *
 * Reading, running and checking a script takes milliseconds, so that happens on libuv's thread pool, on a Lua state of its own; bundle
 * and state are only read. The loop's worker takes its new seat with the next page (core/runtime): pages are made whole within their
 * request, so none is in the middle of the old site. */
#include "serve/internal.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

/* What scripts and states of before have freed lies in pieces, which glibc keeps: a script that took much would be seen in the server's memory
 * for as long as it runs. */
static void give_back(void) {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

static void make(uv_work_t *work) {
  moon_server *server = work->data;
  moon_reload *reload = &server->reload;
  give_back();
  reload->status = reload->from_file ? moon_runtime_reload(server->runtime, NULL, server->options.site_path) : moon_runtime_lay(server->runtime);
}

static void report(moon_server *server) {
  moon_reload *reload = &server->reload;
  moon_metrics *metrics = &server->metrics;
  if (reload->status.code) {
    if (reload->from_file) metrics->site_reloads_failed++;
    moon_server_log_quietly(server, "error", "the site stays as it was: %s", reload->status.message);
    return;
  }
  if (!reload->from_file) {
    metrics->script_renewals++;
    return;
  }
  metrics->site_reloads++;
  moon_server_log_quietly(server, "info", "the site %s is loaded anew", server->options.site_path);
}

static void on_made(uv_work_t *work, int code) {
  moon_server *server = work->data;
  moon_reload *reload = &server->reload;
  reload->running = false;
  if (code) reload->status = moon_fail(MOON_ECANCELED, "%s", uv_strerror(code));
  report(server);
  bool again = reload->again;
  reload->again = false;
  if (again) moon_reload_begin(server, true);
  moon_server_finish(server);
}

void moon_reload_begin(moon_server *server, bool from_file) {
  moon_reload *reload = &server->reload;
  if (reload->running) {
    reload->again = reload->again || from_file;
    return;
  }
  if (server->stopping) return;
  reload->from_file = from_file;
  reload->work.data = server;
  reload->running = !uv_queue_work(&server->loop, &reload->work, make, on_made);
}

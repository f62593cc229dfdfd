/* cmd_serve.c - `moonshelf serve`: pages over HTTP until a signal. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "serve/serve.h"

static int run(int argc, char **argv);
const cli_command cli_serve = {
    "serve", "moonshelf serve SITE.lua --bundle BUNDLE [--port 8080] [--address 127.0.0.1]",
    "serve pages, events and a demo storefront over HTTP",
    "GET /v1/page/home?user=ID, /v1/page/product?user=&item=, /v1/page/cart?items=A,B, POST /v1/events, GET /healthz, /metrics,\n"
    "and a storefront at /. Accepted events are kept in BUNDLE.events.db and are there again after a restart. SIGTERM and Ctrl-C\n"
    "finish what is in flight; SIGHUP loads the site anew while pages are served.",
    1, run, true};

static void on_ready(void *self, const char *address, int port) {
  (void)self;
  printf("listening on http://%s:%d\n", address, port);
  fflush(stdout);
}

static void on_log(void *self, const char *level, const char *text) {
  (void)self;
  fprintf(stderr, "%s: %s\n", level, text);
}

static int run(int argc, char **argv) {
  moon_server_options server = {.on_ready = on_ready, .on_log = on_log};
  size_t port = 8080;
  const char *clock = "wall";
  const cli_option options[] = {
      {"bundle", CLI_STRING, &server.bundle_path, "DIR", "the bundle that `moonshelf train` wrote (required)"},
      {"port", CLI_COUNT, &port, "N", "8080; 0 lets the system choose"},
      {"address", CLI_STRING, &server.address, "IP", "127.0.0.1"},
      {"event-log", CLI_STRING, &server.event_log, "FILE",
       "where accepted events are kept (default BUNDLE.events.db; none: memory only)"},
      {"clock", CLI_STRING, &clock, "wall|data", "what \"now\" is; data: the newest event's time, running on (default wall)"},
      {"max-connections", CLI_COUNT, &server.max_connections, "N", "more than these are answered 503 (default 1024)"},
      {"max-body", CLI_COUNT, &server.max_body, "BYTES", "the largest request body (default 1048576)"},
      {"request-timeout", CLI_COUNT, &server.request_seconds, "S", "how long a request may take to arrive (default 20)"},
      {"state-memory", CLI_BYTES, &server.state_memory, "SIZE",
       "what is known of users and items grows to 512M, 2G, ..; then users seen long ago go (default: no limit)"},
      {"script-time", CLI_COUNT, &server.script_millis, "MS",
       "how long the policies and gates of one page may take together; one gets a quarter of it (default 50)"},
      {"deterministic", CLI_FLAG, &server.deterministic, NULL, "scripts see keys in order, the request's clock and no addresses"},
      {"idle-timeout", CLI_COUNT, &server.idle_seconds, "S", "how long a connection may wait between requests (default 60)"},
  };
  int code = cli_parse(&cli_serve, options, sizeof options / sizeof *options, argc, argv, &server.site_path);
  if (code >= 0) return code;
  if (!server.bundle_path) return cli_usage_error(&cli_serve, "--bundle is missing");
  if (port > 65535) return cli_usage_error(&cli_serve, "--port wants a number up to 65535, not %zu", port);
  if (strcmp(clock, "wall") && strcmp(clock, "data"))
    return cli_usage_error(&cli_serve, "--clock wants wall or data, not '%s'", clock);
  server.port = (int)port;
  server.data_clock = !strcmp(clock, "data");
  moon_server *running = NULL;
  moon_status status = moon_server_open(&server, &running);
  if (!status.code) status = moon_server_run(running);
  moon_server_close(running);
  return status.code ? cli_fail(status) : CLI_DONE;
}

/* server.c - from options to a running loop, and back down without losing anything. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "serve/internal.h"

enum { TICK_MS = 100, DRAIN_MS = 10000, LISTEN_BACKLOG = 512 };

/* ---- time and log --------------------------------------------------------------------------------------------------------- */

int64_t moon_server_now(const moon_server *server) {
  return server->options.data_clock ? server->clock_base + (moon_monotonic() - server->started) : moon_now();
}

const char *moon_server_date(moon_server *server) {
  static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  time_t second = (time_t)(moon_now() / MOON_SECOND);
  struct tm t;
  if (second != server->date_second && gmtime_r(&second, &t)) {
    server->date_second = second;
    snprintf(server->date, sizeof server->date, "%s, %02u %s %04u %02u:%02u:%02u GMT", days[t.tm_wday], (unsigned)t.tm_mday % 100,
             months[t.tm_mon], (unsigned)(t.tm_year + 1900) % 10000, (unsigned)t.tm_hour % 100, (unsigned)t.tm_min % 100,
             (unsigned)t.tm_sec % 100);
  }
  return server->date;
}

static void write_line(moon_server *server, const char *level, const char *text) {
  if (server->options.on_log) server->options.on_log(server->options.self, level, text);
}

__attribute__((format(printf, 3, 4))) static void write_log(moon_server *server, const char *level, const char *format, ...) {
  char text[700];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  write_line(server, level, text);
}

void moon_server_log_quietly(moon_server *server, const char *level, const char *format, ...) {
  char text[700];
  va_list args;
  va_start(args, format);
  int n = vsnprintf(text, sizeof text - 80, format, args);
  va_end(args);
  if (n < 0) return;
  size_t used = strlen(text), slot = moon_hash(text, used) % MOON_QUIET_LINES;
  int64_t now = moon_monotonic();
  if (server->quiet[slot].last && now - server->quiet[slot].last < 10 * MOON_SECOND) {
    server->quiet[slot].held++;
    return;
  }
  if (server->quiet[slot].held)
    snprintf(text + used, sizeof text - used, " (and %llu times before)", (unsigned long long)server->quiet[slot].held);
  server->quiet[slot].last = now;
  server->quiet[slot].held = 0;
  write_line(server, level, text);
}

/* ---- stopping ------------------------------------------------------------------------------------------------------------- */

static void close_handle(uv_handle_t *handle, void *server) {
  (void)server;
  if (!uv_is_closing(handle)) uv_close(handle, NULL);
}

void moon_server_finish(moon_server *server) {
  if (server->stopping && !server->connections && !server->committing && !server->reload.running) uv_walk(&server->loop, close_handle, server);
}

static void begin_stop(moon_server *server) {
  if (server->stopping) return;
  server->stopping = true;
  server->drain_until = uv_now(&server->loop) + DRAIN_MS;
  /* With nobody listening to them, a second signal does what signals do. */
  uv_signal_stop(&server->interrupt);
  uv_signal_stop(&server->terminate);
  close_handle((uv_handle_t *)&server->listener, NULL);
  moon_connections_drain(server);
  write_log(server, "info", "stopping; %zu connections open", server->connection_count);
  moon_server_finish(server);
}

static void on_signal(uv_signal_t *signal, int number) {
  if (number == SIGHUP) moon_reload_begin(signal->data, true);
  else if (number != SIGPIPE) begin_stop(signal->data);
}

static void on_tick(uv_timer_t *tick) {
  moon_server *server = tick->data;
  moon_connections_sweep(server);
  if (server->accept_owed && !server->stopping) {
    server->accept_owed = false;
    moon_connection_accept(server);
  }
  if (!server->stopping || uv_now(&server->loop) < server->drain_until) return;
  for (moon_connection *c = server->connections; c; c = c->next)
    if (c->state != MOON_CLOSED) moon_connection_close(c);
}

/* ---- opening -------------------------------------------------------------------------------------------------------------- */

static void on_connection(uv_stream_t *listener, int code) {
  moon_server *server = listener->data;
  if (code)
    moon_server_log_quietly(server, "error", "a connection could not be taken: %s", uv_strerror(code));
  else
    moon_connection_accept(server);
}

static moon_status open_loop(moon_server *server) {
  int code = uv_loop_init(&server->loop);
  if (code) return moon_fail(MOON_EIO, "no event loop: %s", uv_strerror(code));
  server->loop_open = true;
  uv_loop_t *loop = &server->loop;
  if (!code) code = uv_tcp_init(loop, &server->listener);
  if (!code) code = uv_signal_init(loop, &server->interrupt);
  if (!code) code = uv_signal_init(loop, &server->terminate);
  if (!code) code = uv_signal_init(loop, &server->broken_pipe);
  if (!code) code = uv_signal_init(loop, &server->hangup);
  if (!code) code = uv_timer_init(loop, &server->tick);
  if (!code) code = uv_idle_init(loop, &server->turns);
  if (code) return moon_fail(MOON_EIO, "no event loop: %s", uv_strerror(code));
  server->listener.data = server->interrupt.data = server->terminate.data = server->broken_pipe.data = server->hangup.data = server;
  server->tick.data = server->turns.data = server;
  return moon_ok();
}

static moon_status bind_failure(const moon_server *server, int code) {
  const char *address = server->options.address;
  int port = server->options.port;
  if (code == UV_EADDRINUSE)
    return moon_fail(MOON_EIO, "%s:%d is in use by another program; stop that one, or take another port (--port 0: a free one)",
                     address, port);
  if (code == UV_EACCES)
    return moon_fail(MOON_EIO, "%s:%d may not be used by this user; ports below 1024 are root's", address, port);
  if (code == UV_EADDRNOTAVAIL) return moon_fail(MOON_EIO, "%s is not an address of this machine", address);
  return moon_fail(MOON_EIO, "%s:%d: %s", address, port, uv_strerror(code));
}

/* Before the long work of loading, so that a busy port is found at once. */
static moon_status bind_port(moon_server *server) {
  struct sockaddr_storage address;
  const char *text = server->options.address;
  int port = server->options.port, length = sizeof address;
  if (port < 0 || port > 65535) return moon_fail(MOON_EINVAL, "port %d is not one of 0 to 65535", port);
  if (!strcmp(text, "localhost")) text = "127.0.0.1";
  if (uv_ip4_addr(text, port, (struct sockaddr_in *)&address) && uv_ip6_addr(text, port, (struct sockaddr_in6 *)&address))
    return moon_fail(MOON_EINVAL, "'%.100s' is not an IP address such as 127.0.0.1, 0.0.0.0 or ::1", text);
  int code = uv_tcp_bind(&server->listener, (struct sockaddr *)&address, 0);
  if (!code) code = uv_tcp_getsockname(&server->listener, (struct sockaddr *)&address, &length); /* tells what bind put off */
  return code ? bind_failure(server, code) : moon_ok();
}

static void print_line(void *self, const char *line, size_t n) {
  moon_server *server = self;
  write_log(server, "info", "script: %.*s", (int)(n < 500 ? n : 500), line);
}

static void report_state(moon_server *server) {
  size_t limit = server->options.state_memory, bytes = moon_state_memory_now(server->state).bytes;
  if (limit && bytes > limit)
    write_log(server, "warning", "the state has %zu MiB already, over the limit of %zu MiB; it does not grow further", bytes >> 20, limit >> 20);
}

static moon_status report_replay(moon_server *server, const char *path) {
  moon_counters n = {.size = sizeof n};
  MOON_TRY(moon_runtime_metrics(server->runtime, &n));
  if (n.replayed) write_log(server, "info", "%llu events of %s are back", (unsigned long long)n.replayed, path);
  if (n.covered)
    write_log(server, "info", "%llu events of %s are older than this new bundle, which has seen them", (unsigned long long)n.covered, path);
  if (n.unknown)
    write_log(server, "warning", "%llu events of %s are of items that this bundle does not have; they are left out", (unsigned long long)n.unknown, path);
  return moon_ok();
}

static moon_status load_runtime(moon_server *server) {
  const moon_server_options *o = &server->options;
  const char *log = o->event_log ? o->event_log : moon_arena_printf(&server->arena, "%s.events.db", o->bundle_path);
  if (!log) return moon_fail(MOON_ENOMEM, "no memory for a path");
  const moon_runtime_options options = {.size = sizeof options,
                                        .bundle = o->bundle_path,
                                        .site = o->site_path,
                                        .event_log = strcmp(log, "none") ? log : NULL,
                                        .state_memory = o->state_memory,
                                        .page_millis = o->script_millis,
                                        .deterministic = o->deterministic,
                                        .print = print_line,
                                        .print_self = server};
  MOON_TRY(moon_runtime_open(&options, &server->runtime));
  MOON_TRY(moon_worker_open(server->runtime, &server->worker));
  moon_worker_be_patient(server->worker);
  server->bundle = moon_worker_bundle(server->worker);
  server->state = moon_worker_state(server->worker);
  report_state(server);
  MOON_TRY(report_replay(server, log));
  server->clock_base = moon_state_clock(server->state);
  return moon_ok();
}

static moon_status open_all(moon_server *server) {
  if (!server->options.bundle_path || !server->options.site_path)
    return moon_fail(MOON_EINVAL, "a server needs a bundle and a site");
  server->started = moon_monotonic();
  MOON_TRY(open_loop(server));
  MOON_TRY(bind_port(server));
  MOON_TRY(load_runtime(server));
  server->started = moon_monotonic();
  int code = uv_listen((uv_stream_t *)&server->listener, LISTEN_BACKLOG, on_connection);
  return code ? bind_failure(server, code) : moon_ok();
}

static void fill(size_t *option, size_t fallback, size_t most) {
  if (!*option) *option = fallback;
  if (*option > most) *option = most;
}

static void fill_options(moon_server_options *o) {
  enum { DAY_SECONDS = 86400 };
  if (!o->address) o->address = "127.0.0.1";
  fill(&o->max_body, 1 << 20, 1 << 30);
  fill(&o->max_connections, 1024, 1 << 20);
  fill(&o->request_seconds, 20, DAY_SECONDS);
  fill(&o->idle_seconds, 60, DAY_SECONDS);
}

moon_status moon_server_open(const moon_server_options *options, moon_server **out) {
  moon_server *server = moon_calloc(1, sizeof *server);
  if (!server) return moon_fail(MOON_ENOMEM, "no memory for a server");
  server->options = *options;
  fill_options(&server->options);
  server->filling = &server->commits[0];
  server->flying = &server->commits[1];
  moon_status status = open_all(server);
  if (status.code)
    moon_server_close(server);
  else
    *out = server;
  return status;
}

/* ---- running -------------------------------------------------------------------------------------------------------------- */

static void say_ready(moon_server *server) {
  struct sockaddr_storage bound;
  int length = sizeof bound;
  char shown[64];
  const char *address = server->options.address;
  if (uv_tcp_getsockname(&server->listener, (struct sockaddr *)&bound, &length)) return;
  int port =
      ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port : ((struct sockaddr_in *)&bound)->sin_port);
  snprintf(shown, sizeof shown, strchr(address, ':') ? "[%s]" : "%s", address);
  write_log(server, "info", "bundle %s: %zu items, %zu users, %llu events", server->bundle->name,
                  moon_catalogue_rows(server->bundle->catalogue), moon_state_memory_now(server->state).users,
                  (unsigned long long)moon_state_events(server->state));
  if (server->options.on_ready) server->options.on_ready(server->options.self, shown, port);
}

moon_status moon_server_run(moon_server *server) {
  int code = uv_signal_start(&server->interrupt, on_signal, SIGINT);
  if (!code) code = uv_signal_start(&server->terminate, on_signal, SIGTERM);
  if (!code) code = uv_signal_start(&server->broken_pipe, on_signal, SIGPIPE); /* a peer that is gone shows as EPIPE instead */
  if (!code) code = uv_signal_start(&server->hangup, on_signal, SIGHUP);
  if (!code) code = uv_timer_start(&server->tick, on_tick, TICK_MS, TICK_MS);
  if (code) return moon_fail(MOON_EIO, "no signals or timers: %s", uv_strerror(code));
  say_ready(server);
  uv_run(&server->loop, UV_RUN_DEFAULT); /* until moon_server_finish has closed every handle */
  return moon_ok();
}

void moon_server_close(moon_server *server) {
  if (!server) return;
  if (server->loop_open) {
    uv_walk(&server->loop, close_handle, server);
    uv_run(&server->loop, UV_RUN_DEFAULT);
    uv_loop_close(&server->loop);
  }
  moon_worker_close(server->worker);
  moon_runtime_close(server->runtime);
  for (int i = 0; i < 2; i++) {
    moon_event_batch_free(&server->commits[i].batch);
    moon_free(server->commits[i].waiters);
  }
  moon_arena_free(&server->arena);
  moon_buf_free(&server->body);
  moon_free(server);
}

/* connection.c - bytes between libuv and http.c.
 *
 * A connection is in one state at a time and reads only in MOON_READING, so the answers of pipelined requests keep their order
 * and a client that does not read cannot make us buffer. Each turn of the loop answers at most one request a connection; what is
 * left of its input waits in a queue, so a long pipeline does not hold up the others. Every state has a deadline. */
#include <string.h>

#include "serve/internal.h"

enum { LINGER_MS = 1000, LINGER_BYTES = 8 << 20, KEEP = 64 << 10, TARGET_LIMIT = 8 << 10, HEAD_LIMIT = 16 << 10, OVERFLOW = 64 };

static uint64_t after_seconds(const moon_server *server, size_t seconds) {
  return uv_now(&server->loop) + seconds * 1000;
}

static void on_closed(uv_handle_t *handle) {
  moon_connection *c = handle->data;
  moon_server *server = c->server;
  if (c->prev)
    c->prev->next = c->next;
  else
    server->connections = c->next;
  if (c->next) c->next->prev = c->prev;
  server->connection_count--;
  moon_http_free(&c->http);
  moon_buf_free(&c->in);
  moon_free(c);
  moon_server_finish(server);
}

static void close_handle(moon_connection *c) {
  if (!c->held && !c->in_turns && !uv_is_closing((uv_handle_t *)&c->tcp)) uv_close((uv_handle_t *)&c->tcp, on_closed);
}

void moon_connection_close(moon_connection *c) {
  c->state = MOON_CLOSED;
  uv_read_stop((uv_stream_t *)&c->tcp);
  close_handle(c);
}

bool moon_connection_release(moon_connection *c) {
  c->held = false;
  if (c->state != MOON_CLOSED) return true;
  close_handle(c);
  return false;
}

/* ---- reading -------------------------------------------------------------------------------------------------------------- */

static void give_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *out) {
  (void)suggested;
  moon_server *server = ((moon_connection *)handle->data)->server;
  *out = uv_buf_init(server->read_buffer, sizeof server->read_buffer); /* emptied before the next read */
}

static void on_turns(uv_idle_t *idle);

static void wait_turn(moon_connection *c) {
  moon_server *server = c->server;
  uv_read_stop((uv_stream_t *)&c->tcp);
  c->in_turns = true;
  c->queued = NULL;
  if (server->turn_last)
    server->turn_last->queued = c;
  else
    server->turn_first = c;
  server->turn_last = c;
  uv_idle_start(&server->turns, on_turns);
}

/* 100 Continue: a few bytes, and whoever does not take even those gets no service. */
static void send_interim(moon_connection *c) {
  uv_buf_t out = uv_buf_init(c->http.out.data, (unsigned)c->http.out.n);
  int sent = c->http.out.n ? uv_try_write((uv_stream_t *)&c->tcp, &out, 1) : 0;
  if (sent != (int)c->http.out.n) moon_connection_close(c);
  moon_buf_reset(&c->http.out);
}

static void read_more(moon_connection *c);

/* Reads one request out of what has arrived. */
static void turn(moon_connection *c) {
  size_t used = 0;
  moon_http_step step = moon_http_read(&c->http, c->in.n ? c->in.data + c->in_at : "", c->in.n - c->in_at, &used);
  c->in_at += used;
  if (c->in_at == c->in.n) {
    c->in_at = 0;
    if (c->in.cap > KEEP)
      moon_buf_free(&c->in);
    else
      moon_buf_reset(&c->in);
  }
  if (c->http.started && !c->timing) {
    c->timing = true;
    c->deadline = after_seconds(c->server, c->server->options.request_seconds);
  }
  if (step == MOON_HTTP_MORE) {
    send_interim(c);
    if (c->state == MOON_READING) read_more(c);
    return;
  }
  c->state = MOON_ANSWERING;
  if (step == MOON_HTTP_READY)
    moon_routes_answer(c);
  else
    moon_routes_answer_fault(c);
  if (c->state == MOON_ANSWERING) uv_read_stop((uv_stream_t *)&c->tcp); /* until its commit is done */
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *bytes) {
  moon_connection *c = stream->data;
  if (n < 0) {
    moon_connection_close(c);
  } else if (c->state == MOON_LINGERING) {
    c->discarded += (size_t)n;
    if (c->discarded > LINGER_BYTES) moon_connection_close(c);
  } else if (n) {
    moon_buf_add(&c->in, bytes->base, (size_t)n);
    if (c->in.failed)
      moon_connection_close(c);
    else if (c->state == MOON_READING)
      turn(c);
  }
}

static void read_more(moon_connection *c) {
  int code = uv_read_start((uv_stream_t *)&c->tcp, give_buffer, on_read);
  if (code && code != UV_EALREADY) moon_connection_close(c);
}

/* One request of each connection that has input left over. */
static void on_turns(uv_idle_t *idle) {
  moon_server *server = idle->data;
  moon_connection *c = server->turn_first;
  server->turn_first = server->turn_last = NULL;
  while (c) {
    moon_connection *next = c->queued;
    c->in_turns = false;
    if (c->state == MOON_READING)
      turn(c);
    else if (c->state == MOON_CLOSED)
      close_handle(c);
    c = next;
  }
  if (!server->turn_first) uv_idle_stop(&server->turns);
}

/* ---- writing -------------------------------------------------------------------------------------------------------------- */

static void linger(moon_connection *c) {
  c->state = MOON_LINGERING;
  c->deadline = uv_now(&c->server->loop) + LINGER_MS;
  if (uv_shutdown(&c->shutdown, (uv_stream_t *)&c->tcp, NULL))
    moon_connection_close(c);
  else
    read_more(c);
}

static void after_answer(moon_connection *c) {
  moon_buf *out = &c->http.out;
  if (out->cap > KEEP)
    moon_buf_free(out);
  else
    moon_buf_reset(out);
  if (!c->http.keep_alive) {
    linger(c);
    return;
  }
  moon_http_next(&c->http);
  c->state = MOON_READING;
  c->timing = false;
  c->deadline = after_seconds(c->server, c->server->options.idle_seconds);
  if (c->in.n)
    wait_turn(c);
  else
    read_more(c);
}

static void on_written(uv_write_t *write, int code) {
  moon_connection *c = write->data;
  if (c->state == MOON_CLOSED) return;
  if (code)
    moon_connection_close(c);
  else
    after_answer(c);
}

/* What the socket did not take at once is copied behind the head and written when there is room. */
static void write_rest(moon_connection *c, size_t sent, const moon_buf *body, size_t body_n) {
  moon_buf *out = &c->http.out;
  size_t head_sent = sent < out->n ? sent : out->n, body_sent = sent - head_sent;
  moon_buf_add(out, body_n ? body->data + body_sent : "", body_n - body_sent);
  if (out->failed) {
    moon_connection_close(c);
    return;
  }
  uv_buf_t rest = uv_buf_init(out->data + head_sent, (unsigned)(out->n - head_sent));
  c->state = MOON_WRITING;
  c->deadline = after_seconds(c->server, c->server->options.request_seconds);
  uv_read_stop((uv_stream_t *)&c->tcp);
  c->write.data = c;
  if (uv_write(&c->write, (uv_stream_t *)&c->tcp, &rest, 1, on_written)) moon_connection_close(c);
}

void moon_connection_answer(moon_connection *c, int status, const char *type, const char *headers, const moon_buf *body) {
  if (c->server->stopping) c->http.keep_alive = false;
  moon_http_head(&c->http, status, type, headers, body->n, moon_server_date(c->server));
  size_t body_n = moon_http_has_body(&c->http, status) ? body->n : 0;
  if (c->http.out.failed) {
    moon_connection_close(c);
    return;
  }
  uv_buf_t parts[2] = {uv_buf_init(c->http.out.data, (unsigned)c->http.out.n), uv_buf_init(body->data, (unsigned)body_n)};
  int sent = uv_try_write((uv_stream_t *)&c->tcp, parts, body_n ? 2 : 1);
  if (sent == UV_EAGAIN) sent = 0;
  if (sent < 0)
    moon_connection_close(c);
  else if ((size_t)sent == c->http.out.n + body_n)
    after_answer(c);
  else
    write_rest(c, (size_t)sent, body, body_n);
}

/* ---- coming and going ----------------------------------------------------------------------------------------------------- */

static void refuse(moon_connection *c) {
  moon_buf *body = &c->server->body;
  c->server->metrics.connections_refused++;
  moon_buf_reset(body);
  moon_routes_error(body, "unavailable", "there are too many connections; try again soon");
  moon_connection_answer(c, 503, "application/json", "Cache-Control: no-store\r\nRetry-After: 1\r\n",
                         body); /* and closes: nothing said stay */
}

void moon_connection_accept(moon_server *server) {
  moon_http_limits limits = {.target = TARGET_LIMIT, .head = HEAD_LIMIT, .body = server->options.max_body};
  moon_connection *c = moon_calloc(1, sizeof *c);
  if (!c || moon_http_init(&c->http, &limits).code || uv_tcp_init(&server->loop, &c->tcp)) {
    if (c) moon_http_free(&c->http);
    moon_free(c);
    server->accept_owed = true; /* libuv offers no other connection before this one is taken */
    return;
  }
  c->server = server;
  c->tcp.data = c;
  c->next = server->connections;
  if (c->next) c->next->prev = c;
  server->connections = c;
  server->connection_count++;
  server->metrics.connections_accepted++;
  c->deadline = after_seconds(server, server->options.idle_seconds);
  if (uv_accept((uv_stream_t *)&server->listener, (uv_stream_t *)&c->tcp)) {
    moon_connection_close(c);
    return;
  }
  uv_tcp_nodelay(&c->tcp, 1);
  if (server->connection_count > server->options.max_connections + OVERFLOW)
    moon_connection_close(c);
  else if (server->connection_count > server->options.max_connections)
    refuse(c);
  else
    read_more(c);
}

static void expire(moon_connection *c) {
  if (c->state == MOON_READING && c->timing) {
    c->http.fault = 408;
    c->http.why = "the request did not arrive in time";
    c->http.keep_alive = false;
    c->state = MOON_ANSWERING;
    moon_routes_answer_fault(c);
  } else {
    moon_connection_close(c);
  }
}

void moon_connections_sweep(moon_server *server) {
  uint64_t now = uv_now(&server->loop);
  for (moon_connection *c = server->connections, *next; c; c = next) {
    next = c->next; /* closing takes effect in a later turn of the loop */
    if (c->state != MOON_CLOSED && c->state != MOON_ANSWERING && now >= c->deadline) expire(c);
  }
}

void moon_connections_drain(moon_server *server) {
  /* A moment of grace: a request may be in the socket's buffer already. */
  uint64_t soon = uv_now(&server->loop) + 100;
  for (moon_connection *c = server->connections; c; c = c->next)
    if (c->state == MOON_READING && !c->timing && c->deadline > soon) c->deadline = soon;
}

/* http.c - llhttp with limits, and only the headers that somebody reads.
 *
 * llhttp calls back with pieces of the target, of headers and of the body, cut wherever the network cut them. They are collected
 * in two buffers that live as long as the connection, so that a request allocates nothing once the buffers have grown. */
#include "serve/http.h"

#include <llhttp.h>
#include <string.h>
#include <strings.h>

enum header { HOST, ORIGIN, IF_NONE_MATCH, EXPECT, HEADERS, NOT_WANTED = HEADERS };
static const char *const header_names[HEADERS] = {"host", "origin", "if-none-match", "expect"};
enum { KEEP = 64 << 10, ABSENT = 0 }; /* a buffer larger than KEEP is given back; a value never starts at 0: the target does */

struct moon_http_parser {
  llhttp_t llhttp;
  moon_http_limits limits;
  size_t head_n; /* bytes given to llhttp before the body */
  size_t target_n;
  bool in_body, whole;
  char field[16]; /* the header's name, as far as a wanted one could reach */
  size_t field_n;
  enum header header;
  size_t value_at[HEADERS]; /* offset in `texts` */
  moon_buf texts;           /* the target, then values, each with a zero behind it */
  moon_buf body;
};

static int refuse(moon_http *http, int status, const char *why) {
  http->fault = status;
  http->why = why;
  return HPE_USER;
}

static int no_memory(moon_http *http) {
  return refuse(http, 503, "there is no memory for this request");
}

static int on_message_begin(llhttp_t *llhttp) {
  moon_http *http = llhttp->data;
  http->started = true;
  return 0;
}

static int on_url(llhttp_t *llhttp, const char *at, size_t n) {
  moon_http *http = llhttp->data;
  struct moon_http_parser *p = http->parser;
  p->target_n += n;
  if (p->target_n > p->limits.target) return refuse(http, 414, "the address of this request is too long");
  moon_buf_add(&p->texts, at, n);
  return p->texts.failed ? no_memory(http) : 0;
}

static int end_text(llhttp_t *llhttp) {
  moon_http *http = llhttp->data;
  moon_buf_add(&http->parser->texts, "", 1);
  return http->parser->texts.failed ? no_memory(http) : 0;
}

static int on_field(llhttp_t *llhttp, const char *at, size_t n) {
  moon_http *http = llhttp->data;
  struct moon_http_parser *p = http->parser;
  if (memchr(at, ' ', n))
    return refuse(http, 400, "the name of a header holds a blank"); /* llhttp is lenient here, proxies are not */
  for (size_t i = 0; i < n && p->field_n + i < sizeof p->field; i++) p->field[p->field_n + i] = at[i];
  p->field_n += n;
  return 0;
}

static int on_field_end(llhttp_t *llhttp) {
  moon_http *http = llhttp->data;
  struct moon_http_parser *p = http->parser;
  p->header = NOT_WANTED;
  for (enum header i = HOST; i < HEADERS && !p->in_body; i++) /* trailers say nothing that we would believe */
    if (p->field_n == strlen(header_names[i]) && !strncasecmp(p->field, header_names[i], p->field_n)) p->header = i;
  p->field_n = 0;
  if (p->header == HOST && p->value_at[HOST] != ABSENT) return refuse(http, 400, "there are two Host headers");
  if (p->header != NOT_WANTED) p->value_at[p->header] = p->texts.n;
  return 0;
}

static int on_value(llhttp_t *llhttp, const char *at, size_t n) {
  moon_http *http = llhttp->data;
  struct moon_http_parser *p = http->parser;
  if (memchr(at, '\r', n)) return refuse(http, 400, "a header holds a bare carriage return");
  if (p->header == NOT_WANTED) return 0;
  moon_buf_add(&p->texts, at, n);
  return p->texts.failed ? no_memory(http) : 0;
}

static int on_value_end(llhttp_t *llhttp) {
  struct moon_http_parser *p = ((moon_http *)llhttp->data)->parser;
  return p->header == NOT_WANTED ? 0 : end_text(llhttp);
}

static const char *value_of(const struct moon_http_parser *p, enum header header) {
  return p->value_at[header] == ABSENT ? NULL : p->texts.data + p->value_at[header];
}

static int on_headers_complete(llhttp_t *llhttp) {
  moon_http *http = llhttp->data;
  struct moon_http_parser *p = http->parser;
  const char *expect = value_of(p, EXPECT);
  bool has_body = (llhttp->flags & F_CHUNKED) || llhttp->content_length;
  p->in_body = true;
  llhttp->upgrade = 0; /* an offer that we do not take up: the request is answered as it stands */
  if (llhttp->http_major != 1) return refuse(http, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
  if (llhttp->http_minor && !value_of(p, HOST)) return refuse(http, 400, "the Host header is missing");
  if (!(llhttp->flags & F_CHUNKED) && llhttp->content_length > p->limits.body) return refuse(http, 413, "the body is too large");
  if (!expect || !llhttp->http_minor) return 0;
  if (strcasecmp(expect, "100-continue")) return refuse(http, 417, "only 100-continue may be expected");
  if (has_body) moon_buf_puts(&http->out, "HTTP/1.1 100 Continue\r\n\r\n");
  return http->out.failed ? no_memory(http) : 0;
}

static int on_body(llhttp_t *llhttp, const char *at, size_t n) {
  moon_http *http = llhttp->data;
  struct moon_http_parser *p = http->parser;
  if (n > p->limits.body - p->body.n) return refuse(http, 413, "the body is too large");
  moon_buf_add(&p->body, at, n);
  return p->body.failed ? no_memory(http) : 0;
}

static int on_message_complete(llhttp_t *llhttp) {
  moon_http *http = llhttp->data;
  http->parser->whole = true;
  http->keep_alive = llhttp_should_keep_alive(llhttp);
  return HPE_PAUSED; /* the next request waits until this one is answered */
}

static const llhttp_settings_t settings = {
    .on_message_begin = on_message_begin,
    .on_url = on_url,
    .on_url_complete = end_text,
    .on_header_field = on_field,
    .on_header_field_complete = on_field_end,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_end,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

moon_status moon_http_init(moon_http *http, const moon_http_limits *limits) {
  *http = (moon_http){.parser = moon_calloc(1, sizeof *http->parser)};
  if (!http->parser) return moon_fail(MOON_ENOMEM, "no memory for a connection");
  http->parser->limits = *limits;
  llhttp_init(&http->parser->llhttp, HTTP_REQUEST, &settings);
  http->parser->llhttp.data = http;
  return moon_ok();
}

void moon_http_free(moon_http *http) {
  if (http->parser) {
    moon_buf_free(&http->parser->texts);
    moon_buf_free(&http->parser->body);
  }
  moon_free(http->parser);
  moon_buf_free(&http->out);
  *http = (moon_http){0};
}

static void fill_request(moon_http *http) {
  const struct moon_http_parser *p = http->parser;
  unsigned method = p->llhttp.method;
  http->request = (moon_http_request){
      .method = method == HTTP_GET    ? MOON_HTTP_GET
                : method == HTTP_HEAD ? MOON_HTTP_HEAD
                : method == HTTP_POST ? MOON_HTTP_POST
                                      : MOON_HTTP_OTHER,
      .method_name = llhttp_method_name((llhttp_method_t)method),
      .target = p->texts.data,
      .host = value_of(p, HOST),
      .origin = value_of(p, ORIGIN),
      .if_none_match = value_of(p, IF_NONE_MATCH),
      .body = p->body.data ? p->body.data : "",
      .body_n = p->body.n,
  };
}

/* What llhttp did not like, as a status; our own callbacks have said theirs already. */
static void name_fault(moon_http *http, llhttp_errno_t error) {
  http->keep_alive = false;
  if (http->fault) return;
  const char *reason = llhttp_get_error_reason(&http->parser->llhttp);
  if (error == HPE_PAUSED_H2_UPGRADE || error == HPE_INVALID_VERSION)
    refuse(http, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
  else
    refuse(http, 400, reason && *reason ? reason : "this is not HTTP");
}

moon_http_step moon_http_read(moon_http *http, const char *bytes, size_t n, size_t *used) {
  struct moon_http_parser *p = http->parser;
  *used = 0;
  while (*used < n && !p->whole && !http->fault) {
    /* The head is never given more than its limit leaves, so the limit bites at the same byte however the bytes were cut. */
    size_t left = p->limits.head - p->head_n, give = n - *used;
    if (!p->in_body && give > left) give = left;
    if (!give) {
      refuse(http, 431, "the headers of this request are too long");
      break;
    }
    const char *from = bytes + *used;
    bool head = !p->in_body;
    llhttp_errno_t error = llhttp_execute(&p->llhttp, from, give);
    size_t took = error == HPE_OK ? give : (size_t)(llhttp_get_error_pos(&p->llhttp) - from);
    *used += took;
    if (head) p->head_n += took;
    if (error != HPE_OK && !p->whole) name_fault(http, error);
  }
  if (http->fault) {
    http->keep_alive = false;
    *used = n;
    return MOON_HTTP_BAD;
  }
  if (!p->whole) return MOON_HTTP_MORE;
  fill_request(http);
  return MOON_HTTP_READY;
}

static void forget(moon_buf *buf) {
  if (buf->cap > KEEP)
    moon_buf_free(buf);
  else
    moon_buf_reset(buf);
}

void moon_http_next(moon_http *http) {
  struct moon_http_parser *p = http->parser;
  if (p->whole) llhttp_resume(&p->llhttp);
  forget(&p->texts);
  forget(&p->body);
  memset(p->value_at, 0, sizeof p->value_at);
  p->head_n = p->target_n = p->field_n = 0;
  p->in_body = p->whole = http->started = false;
  http->request = (moon_http_request){0};
}

static const char *reason_of(int status) {
  static const struct {
    int status;
    const char *reason;
  } reasons[] = {{200, "OK"},
                 {304, "Not Modified"},
                 {400, "Bad Request"},
                 {403, "Forbidden"},
                 {404, "Not Found"},
                 {405, "Method Not Allowed"},
                 {408, "Request Timeout"},
                 {413, "Content Too Large"},
                 {414, "URI Too Long"},
                 {417, "Expectation Failed"},
                 {422, "Unprocessable Content"},
                 {431, "Request Header Fields Too Large"},
                 {500, "Internal Server Error"},
                 {503, "Service Unavailable"},
                 {505, "HTTP Version Not Supported"}};
  for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
    if (reasons[i].status == status) return reasons[i].reason;
  return "Unknown";
}

bool moon_http_has_body(const moon_http *http, int status) {
  return http->request.method != MOON_HTTP_HEAD && status != 304;
}

void moon_http_head(moon_http *http, int status, const char *type, const char *headers, size_t n, const char *date) {
  moon_buf *out = &http->out;
  moon_buf_printf(out, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nX-Content-Type-Options: nosniff\r\n", status,
                  reason_of(status), type, n);
  if (date) moon_buf_printf(out, "Date: %s\r\n", date);
  if (headers) moon_buf_puts(out, headers);
  if (!http->keep_alive)
    moon_buf_puts(out, "Connection: close\r\n");
  else if (!http->parser->llhttp.http_minor)
    moon_buf_puts(out, "Connection: keep-alive\r\n");
  moon_buf_puts(out, "\r\n");
}

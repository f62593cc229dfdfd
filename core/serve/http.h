/* http.h - HTTP/1.1 without sockets: bytes in, one request at a time out; then the head of its answer into a buffer.
 *
 *   for (;;) {
 *     step = moon_http_read(http, bytes, n, &used);      // goes on where the last call stopped
 *     READY: answer http->request, then moon_http_next(http) and read on from bytes + used
 *     MORE:  all bytes are used; send http->out (it may hold "100 Continue") and wait for more
 *     BAD:   answer with http->fault and http->why, and close
 *   }
 *
 * A request that has begun is read to its end before the next one is looked at, so answers leave in the order of their requests.
 * What is read does not depend on how the bytes were cut into pieces. */
#ifndef MOON_SERVE_HTTP_H
#define MOON_SERVE_HTTP_H

#include "base/base.h"

typedef enum moon_http_method { MOON_HTTP_GET, MOON_HTTP_HEAD, MOON_HTTP_POST, MOON_HTTP_OTHER } moon_http_method;

typedef struct moon_http_limits { /* bytes */
  size_t target; /* 414 beyond */
  size_t head;   /* request line and headers: 431 */
  size_t body;   /* 413 */
} moon_http_limits;

typedef struct moon_http_request { /* texts are zero-terminated without a zero inside, and valid until moon_http_next */
  moon_http_method method;
  const char *method_name;                    /* static */
  const char *target;                         /* as sent: "/v1/page/home?user=u1" */
  const char *host, *origin, *if_none_match;  /* headers; NULL where absent */
  const char *body;
  size_t body_n;
} moon_http_request;

typedef enum moon_http_step { MOON_HTTP_MORE, MOON_HTTP_READY, MOON_HTTP_BAD } moon_http_step;

typedef struct moon_http {
  moon_http_request request; /* READY */
  int fault;                 /* BAD: 400, 408 .. 505 */
  const char *why;           /* BAD: a sentence, static */
  bool started;              /* bytes of a request have arrived */
  bool keep_alive;           /* whether the connection outlives this answer; the caller may take it away */
  moon_buf out;              /* heads of answers, to be sent and reset by the caller */
  struct moon_http_parser *parser;
} moon_http;

moon_status moon_http_init(moon_http *http, const moon_http_limits *limits);
void moon_http_free(moon_http *http); /* a zeroed one is fine */
moon_http_step moon_http_read(moon_http *http, const char *bytes, size_t n, size_t *used);
void moon_http_next(moon_http *http);

/* Appends status line and headers of an answer with a body of n bytes to http->out. headers: further whole lines, or NULL; date:
 * an HTTP date, or NULL. */
void moon_http_head(moon_http *http, int status, const char *type, const char *headers, size_t n, const char *date);
/* Whether the body itself follows: not for HEAD and 304. */
bool moon_http_has_body(const moon_http *http, int status);

#endif

/* test_serve_http.c - HTTP without sockets: what is read does not depend on how bytes are cut, and no bytes at all break the reader. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "serve/http.h"

static const moon_http_limits limits = {.target = 64, .head = 400, .body = 200};

/* Reads bytes in the pieces that `cut` tells and writes down what came of them: a line a request, its answer's head, the fault. */
typedef struct reader {
  moon_http http;
  moon_buf heard; /* requests and faults */
  moon_buf sent;  /* what goes back */
  bool over;
} reader;

static void open_reader(reader *r) {
  *r = (reader){0};
  assert_int_equal(moon_http_init(&r->http, &limits).code, MOON_OK);
}

static void close_reader(reader *r) {
  moon_http_free(&r->http);
  moon_buf_free(&r->heard);
  moon_buf_free(&r->sent);
}

static void send_out(reader *r) {
  moon_buf_add(&r->sent, r->http.out.n ? r->http.out.data : "", r->http.out.n);
  moon_buf_reset(&r->http.out);
}

static void answer(reader *r, int status) {
  const char body[] = "{}";
  moon_http_head(&r->http, status, "application/json", "X-Test: yes\r\n", 2, NULL);
  send_out(r);
  if (moon_http_has_body(&r->http, status)) moon_buf_puts(&r->sent, body);
}

static void hear(reader *r, const char *bytes, size_t n) {
  for (size_t used; !r->over; bytes += used, n -= used) {
    moon_http_step step = moon_http_read(&r->http, bytes, n, &used);
    assert_true(used <= n);
    const moon_http_request *q = &r->http.request;
    if (step == MOON_HTTP_MORE) {
      assert_int_equal(used, n);
      send_out(r);
      return;
    }
    if (step == MOON_HTTP_BAD) {
      assert_true(r->http.fault >= 400 && *r->http.why);
      moon_buf_printf(&r->heard, "fault %d\n", r->http.fault);
      answer(r, r->http.fault);
      r->over = true;
    } else {
      assert_int_equal(strlen(q->target) ? 1 : 0, 1);
      moon_buf_printf(&r->heard, "%s %s host=%s tag=%s from=%s [%zu:", q->method_name, q->target, q->host ? q->host : "-",
                      q->if_none_match ? q->if_none_match : "-", q->origin ? q->origin : "-", q->body_n);
      moon_buf_add(&r->heard, q->body, q->body_n);
      moon_buf_printf(&r->heard, "] %s\n", r->http.keep_alive ? "stays" : "goes");
      answer(r, 200);
      r->over = !r->http.keep_alive;
      moon_http_next(&r->http);
    }
  }
}

static void assert_heard(const char *bytes, size_t n, const char *want) {
  reader r;
  open_reader(&r);
  hear(&r, bytes, n);
  if (strcmp(r.heard.data ? r.heard.data : "", want)) fail_msg("%s\n-> %s, wanted %s", bytes, r.heard.data, want);
  close_reader(&r);
}
#define HEARD(bytes, want) assert_heard(bytes, sizeof bytes - 1, want)

static void assert_sent(const char *bytes, const char *want) {
  reader r;
  open_reader(&r);
  hear(&r, bytes, strlen(bytes));
  if (!r.sent.data || !strstr(r.sent.data, want)) fail_msg("%s\n-> %s, wanted %s", bytes, r.sent.data, want);
  close_reader(&r);
}

#define HOST "Host: h\r\n"
static const char *const corpus[] = {
    "GET /v1/page/home?user=u1&x=%20 HTTP/1.1\r\nHost: shop\r\n\r\n",
    "GET / HTTP/1.1\r\nhOsT:shop:8080\r\nIf-None-Match: \"a, b\"\r\nOrigin: http://shop:8080\r\n\r\nHEAD /x HTTP/1.1\r\n" HOST
    "\r\n",
    "POST /v1/events HTTP/1.1\r\n" HOST "Content-Length: 11\r\n\r\n{\"a\":\"b\\n\"}GET /after HTTP/1.1\r\n" HOST "\r\n",
    "POST /e HTTP/1.1\r\n" HOST
    "Transfer-Encoding: chunked\r\n\r\n4\r\nwiki\r\n5;x=y\r\npedia\r\n0\r\nHost: trailer\r\n\r\nGET /2 HTTP/1.1\r\n" HOST "\r\n",
    "POST /e HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
    "GET /old HTTP/1.0\r\n\r\n",
    "GET /old HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /old2 HTTP/1.0\r\n\r\n",
    "\r\n\r\nGET /blank HTTP/1.1\r\n" HOST "\r\n",
    "GET /h2c HTTP/1.1\r\n" HOST
    "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAM\r\n\r\nGET /then HTTP/1.1\r\n" HOST "\r\n",
    "CONNECT host:443 HTTP/1.1\r\n" HOST "\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "GET /0123456789012345678901234567890123456789012345678901234567890123456789 HTTP/1.1\r\n" HOST "\r\n",
    "GET / HTTP/1.1\r\n" HOST "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "GET / HTTP/1.1\r\n" HOST "Empty:\r\nIf-None-Match:\r\nX:   \r\n\r\n",
    "POST / HTTP/1.1\r\n" HOST "Content-Length: 201\r\n\r\n",
    "NONSENSE\r\n\r\n",
    "GET / HTTP/1.1\r\n" HOST
    "A: "
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    "aaaaaaaa"
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    "aaaaaaaa"
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    "aaaaaaaa\r\n\r\n",
};
enum { CORPUS = sizeof corpus / sizeof *corpus };

/* ---- what is read */

static void requests_are_read_whole(void **state) {
  (void)state;
  HEARD("GET /v1/page/home?user=u1&x=%20 HTTP/1.1\r\nHost: shop\r\n\r\n",
        "GET /v1/page/home?user=u1&x=%20 host=shop tag=- from=- [0:] stays\n");
  HEARD("HEAD / HTTP/1.1\r\nhOsT:shop:8080\r\nIf-None-Match: \"a, b\"\r\nOrigin: http://x\r\n\r\n",
        "HEAD / host=shop:8080 tag=\"a, b\" from=http://x [0:] stays\n");
  HEARD("POST /e HTTP/1.1\r\n" HOST "Content-Length: 4\r\n\r\na\r\nb", "POST /e host=h tag=- from=- [4:a\r\nb] stays\n");
  HEARD("GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\nGET /2 HTTP/1.1\r\n" HOST "\r\n",
        "GET / host=h tag=- from=- [0:] goes\n");
  HEARD("GET /old HTTP/1.0\r\n\r\n", "GET /old host=- tag=- from=- [0:] goes\n");
  HEARD("GET /old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET /old host=- tag=- from=- [0:] stays\n");
  HEARD("GET / HTTP/1.1\r\n" HOST "If-None-Match:\r\nOrigin:  \r\n\r\n", "GET / host=h tag= from= [0:] stays\n");
  HEARD("DELETE / HTTP/1.1\r\n" HOST "\r\n", "DELETE / host=h tag=- from=- [0:] stays\n");
}

static void pipelined_requests_come_in_order(void **state) {
  (void)state;
  HEARD("GET /1 HTTP/1.1\r\n" HOST "\r\nPOST /2 HTTP/1.1\r\nHost: two\r\nContent-Length: 2\r\n\r\nabGET /3 HTTP/1.1\r\n" HOST
        "\r\n",
        "GET /1 host=h tag=- from=- [0:] stays\nPOST /2 host=two tag=- from=- [2:ab] stays\nGET /3 host=h tag=- from=- [0:] "
        "stays\n");
}

static void chunks_are_joined_and_trailers_not_believed(void **state) {
  (void)state;
  HEARD("POST /e HTTP/1.1\r\n" HOST
        "Transfer-Encoding: chunked\r\n\r\n4\r\nwiki\r\n5;x=y\r\npedia\r\n0\r\nHost: evil\r\nOrigin: evil\r\n\r\n",
        "POST /e host=h tag=- from=- [9:wikipedia] stays\n");
}

static void an_offered_upgrade_is_not_taken_up(void **state) {
  (void)state;
  HEARD("GET /a HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\nGET /b HTTP/1.1\r\n" HOST "\r\n",
        "GET /a host=h tag=- from=- [0:] stays\nGET /b host=h tag=- from=- [0:] stays\n");
  HEARD("POST /a HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nhi",
        "POST /a host=h tag=- from=- [2:hi] stays\n");
}

/* ---- what is refused */

static void ambiguous_framing_is_refused(void **state) {
  (void)state;
  HEARD("POST / HTTP/1.1\r\n" HOST
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n",
        "fault 400\n");
  HEARD("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n", "fault 400\n");
  HEARD("POST / HTTP/1.1\r\n" HOST "Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde", "fault 400\n");
  HEARD("POST / HTTP/1.1\r\n" HOST "Content-Length: +4\r\n\r\nabcd", "fault 400\n");
  HEARD("POST / HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999999\r\n\r\n", "fault 400\n");
  HEARD("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", "fault 400\n");
  HEARD("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nx\r\n\r\n", "fault 400\n");
  HEARD("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", "fault 400\n");
  HEARD("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "fault 400\n");
  HEARD("GET / HTTP/1.1\r\n\r\n", "fault 400\n");
  HEARD("GET / HTTP/1.1\r\n" HOST "X: a\rContent-Length: 5\r\n\r\n", "fault 400\n");
  HEARD("GET / HTTP/1.1\r\n" HOST "Content Length: 5\r\n\r\n", "fault 400\n");
  HEARD("GET / HTTP/1.1\r\n" HOST "Content-Length : 5\r\n\r\n", "fault 400\n");
  HEARD("GET /\0x HTTP/1.1\r\n" HOST "\r\n", "fault 400\n");
  HEARD("GET / HTTP/1.1\r\n" HOST "X: a\0b\r\n\r\n", "fault 400\n");
}

static void other_protocols_are_refused(void **state) {
  (void)state;
  HEARD("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "fault 505\n");
  HEARD("GET / HTTP/2.0\r\n" HOST "\r\n", "fault 505\n");
  HEARD("GET / HTTP/9.9\r\n" HOST "\r\n", "fault 505\n");
  HEARD("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "fault 400\n");
  HEARD("HTTP/1.1 200 OK\r\n\r\n", "fault 400\n");
}

static void limits_bite_at_their_byte(void **state) {
  (void)state;
  char bytes[1024], want[256];
  for (int extra = 0; extra <= 1; extra++) { /* the target: 64 bytes */
    int n = snprintf(bytes, sizeof bytes, "GET /%0*d HTTP/1.1\r\n" HOST "\r\n", 63 + extra, 0);
    snprintf(want, sizeof want, "GET /%063d host=h tag=- from=- [0:] stays\n", 0);
    assert_heard(bytes, (size_t)n, extra ? "fault 414\n" : want);
  }
  const int fixed = (int)strlen("GET / HTTP/1.1\r\n" HOST "X: \r\n\r\n"); /* the head: 400 bytes */
  for (int extra = 0; extra <= 1; extra++) {
    int n = snprintf(bytes, sizeof bytes, "GET / HTTP/1.1\r\n" HOST "X: %0*d\r\n\r\n", 400 - fixed + extra, 0);
    assert_int_equal(n, 400 + extra);
    assert_heard(bytes, (size_t)n, extra ? "fault 431\n" : "GET / host=h tag=- from=- [0:] stays\n");
  }
  for (int extra = 0; extra <= 1; extra++) { /* the body: 200 bytes, by length and in chunks */
    const char *fine = "POST / host=h tag=- from=- [200:";
    for (int chunked = 0; chunked <= 1; chunked++) {
      int n = chunked ? snprintf(bytes, sizeof bytes,
                                 "POST / HTTP/1.1\r\n" HOST
                                 "Transfer-Encoding: chunked\r\n\r\n64\r\n%0100d\r\n%x\r\n%0*d\r\n0\r\n\r\n",
                                 0, 100 + extra, 100 + extra, 0)
                      : snprintf(bytes, sizeof bytes, "POST / HTTP/1.1\r\n" HOST "Content-Length: %d\r\n\r\n%0*d", 200 + extra,
                                 200 + extra, 0);
      reader r;
      open_reader(&r);
      hear(&r, bytes, (size_t)n);
      assert_memory_equal(r.heard.data, extra ? "fault 413\n" : fine, extra ? 10 : strlen(fine));
      close_reader(&r);
    }
  }
}

static void endless_heads_end(void **state) {
  (void)state;
  static const char *const endless[] = {"\r\n", " ", "GET / HTTP/1.1\r\nX:", "a", "X: y\r\n"};
  for (size_t i = 0; i < sizeof endless / sizeof *endless; i++) {
    reader r;
    open_reader(&r);
    if (i == 3) hear(&r, "GET / HTTP/1.1\r\nX: ", 19);
    if (i == 4) hear(&r, "GET / HTTP/1.1\r\n", 16);
    for (int round = 0; round < 1000 && !r.over; round++) hear(&r, endless[i], strlen(endless[i]));
    assert_true(r.over);
    close_reader(&r);
  }
}

/* ---- answers */

static void answers_have_length_and_say_who_closes(void **state) {
  (void)state;
  assert_sent("GET / HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n");
  assert_sent("GET / HTTP/1.1\r\n" HOST "\r\n", "X-Test: yes\r\n\r\n{}");
  assert_sent("HEAD / HTTP/1.1\r\n" HOST "\r\nGET / HTTP/1.1\r\n" HOST "\r\n",
              "\r\n\r\nHTTP/1.1 200"); /* a head, and the next answer */
  assert_sent("GET / HTTP/1.0\r\n\r\n", "Connection: close\r\n");
  assert_sent("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "Connection: keep-alive\r\n");
  assert_sent("junk\r\n\r\n", "Connection: close\r\n");
  assert_sent("junk\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n");
}

static void expectation_is_met_before_the_body_comes(void **state) {
  (void)state;
  reader r;
  open_reader(&r);
  const char head[] = "POST / HTTP/1.1\r\n" HOST "Expect: 100-Continue\r\nContent-Length: 2\r\n\r\n";
  hear(&r, head, sizeof head - 1);
  assert_string_equal(r.sent.data, "HTTP/1.1 100 Continue\r\n\r\n");
  hear(&r, "ab", 2);
  assert_non_null(strstr(r.sent.data, "\r\n\r\nHTTP/1.1 200 OK\r\n"));
  close_reader(&r);
  assert_sent("POST / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 999\r\n\r\n",
              "HTTP/1.1 413"); /* and no Continue */
  HEARD("POST / HTTP/1.1\r\n" HOST "Expect: miracles\r\nContent-Length: 2\r\n\r\nab", "fault 417\n");
}

/* ---- pieces and broken bytes */

static void same(const reader *a, const reader *b, const char *what, size_t at) {
  const char *x = a->heard.data ? a->heard.data : "", *y = b->heard.data ? b->heard.data : "";
  if (a->heard.n != b->heard.n || memcmp(x, y, a->heard.n)) fail_msg("%s cut at %zu: %s instead of %s", what, at, y, x);
  if (a->sent.n != b->sent.n || (a->sent.n && memcmp(a->sent.data, b->sent.data, a->sent.n)))
    fail_msg("%s cut at %zu: other answers", what, at);
}

static void cutting_changes_nothing(void **state) {
  (void)state;
  for (size_t i = 0; i < CORPUS; i++) {
    size_t n = strlen(corpus[i]);
    reader whole, crumbs;
    open_reader(&whole);
    open_reader(&crumbs);
    hear(&whole, corpus[i], n);
    for (size_t at = 0; at < n; at++) hear(&crumbs, corpus[i] + at, 1);
    same(&whole, &crumbs, corpus[i], 1);
    close_reader(&crumbs);
    for (size_t at = 0; at <= n; at++) {
      reader cut;
      open_reader(&cut);
      hear(&cut, corpus[i], at);
      hear(&cut, corpus[i] + at, n - at);
      same(&whole, &cut, corpus[i], at);
      close_reader(&cut);
    }
    close_reader(&whole);
  }
}

/* Two of the corpus one after the other, with some bytes changed, inserted or taken out. */
static size_t mutate(moon_rng *rng, char *bytes, size_t cap) {
  static const char spice[] = "\r\n\0 :;,%0123456789abcdefGHPTUX/.\xff\x80\t\"";
  size_t n = (size_t)snprintf(bytes, cap, "%s%s", corpus[moon_rng_below(rng, CORPUS)], corpus[moon_rng_below(rng, CORPUS)]);
  for (uint32_t i = 0, changes = moon_rng_below(rng, 6); i < changes && n > 2; i++) {
    size_t at = moon_rng_below(rng, (uint32_t)n);
    char c = moon_rng_below(rng, 4) ? spice[moon_rng_below(rng, sizeof spice - 1)] : (char)moon_rng_u32(rng);
    uint32_t how = moon_rng_below(rng, 4);
    if (how == 0 && n + 1 < cap)
      memmove(bytes + at + 1, bytes + at, n++ - at), bytes[at] = c;
    else if (how == 1)
      memmove(bytes + at, bytes + at + 1, --n - at);
    else if (how == 2)
      n = at ? at : 1; /* cut off */
    else
      bytes[at] = c;
  }
  return n;
}

static void broken_bytes_are_refused_the_same_however_cut(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 7, 1);
  char bytes[4096];
  size_t requests = 0, faults = 0;
  for (int round = 0; round < 20000; round++) {
    size_t n = round % 10 ? mutate(&rng, bytes, sizeof bytes - 8) : moon_rng_below(&rng, 300);
    if (round % 10 == 0)
      for (size_t i = 0; i < n; i++) bytes[i] = (char)moon_rng_u32(&rng);
    reader whole, cut;
    open_reader(&whole);
    open_reader(&cut);
    hear(&whole, bytes, n);
    for (size_t at = 0, step; at < n; at += step) {
      step = 1 + moon_rng_below(&rng, moon_rng_below(&rng, 2) ? 3 : 60);
      if (step > n - at) step = n - at;
      hear(&cut, bytes + at, step);
    }
    same(&whole, &cut, "a mutant", (size_t)round);
    requests += whole.heard.n && memcmp(whole.heard.data, "fault", 5);
    faults += whole.http.fault != 0;
    close_reader(&whole);
    close_reader(&cut);
  }
  assert_true(requests > 4000 && faults > 4000); /* the mutants are neither all dead nor all well */
}

static void no_memory_is_a_fault_and_leaks_nothing(void **state) {
  (void)state;
  const char *bytes = corpus[2];
  bool done = false;
  for (size_t n = 1; n < 200 && !done; n++) {
    moon_http http;
    size_t used, at = 0, total = strlen(bytes), got = 0;
    moon_alloc_fail_at(n);
    moon_status status = moon_http_init(&http, &limits);
    if (!status.code) {
      moon_http_step step = MOON_HTTP_READY;
      while (at < total && (step = moon_http_read(&http, bytes + at, total - at, &used)) == MOON_HTTP_READY) {
        at += used, got++;
        moon_http_head(&http, 200, "text/plain", NULL, 0, NULL);
        moon_http_next(&http);
      }
      if (step == MOON_HTTP_BAD) assert_int_equal(http.fault, 503);
      done = got == 2 && !http.out.failed;
      moon_http_free(&http);
    }
    moon_alloc_fail_at(0);
  }
  assert_true(done);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(requests_are_read_whole),
      cmocka_unit_test(pipelined_requests_come_in_order),
      cmocka_unit_test(chunks_are_joined_and_trailers_not_believed),
      cmocka_unit_test(an_offered_upgrade_is_not_taken_up),
      cmocka_unit_test(ambiguous_framing_is_refused),
      cmocka_unit_test(other_protocols_are_refused),
      cmocka_unit_test(limits_bite_at_their_byte),
      cmocka_unit_test(endless_heads_end),
      cmocka_unit_test(answers_have_length_and_say_who_closes),
      cmocka_unit_test(expectation_is_met_before_the_body_comes),
      cmocka_unit_test(cutting_changes_nothing),
      cmocka_unit_test(broken_bytes_are_refused_the_same_however_cut),
      cmocka_unit_test(no_memory_is_a_fault_and_leaks_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

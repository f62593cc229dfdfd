/* test_serve_text.c - what goes out is JSON whatever came in, and the metrics are what Prometheus reads. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <jansson.h>

#include "serve/metrics.h"
#include "serve/text.h"

static void assert_json(const char *text, size_t n, const char *want) {
  moon_buf out = {0};
  moon_json_text(&out, text, n);
  assert_string_equal(out.data, want);
  moon_buf_free(&out);
}

static void texts_are_escaped(void **state) {
  (void)state;
  assert_json("", 0, "\"\"");
  assert_json("plain", 5, "\"plain\"");
  assert_json("a\"b\\c\n\t\r\b\f\x01\x1f\x7f", 13, "\"a\\\"b\\\\c\\n\\t\\r\\b\\f\\u0001\\u001f\x7f\"");
  assert_json("\xe2\x82\xac \xf0\x9f\x8c\x99", 8, "\"\xe2\x82\xac \xf0\x9f\x8c\x99\"");
  assert_json(
      "a\xff"
      "b\xe2\x82",
      5,
      "\"a\xef\xbf\xbd"
      "b\xef\xbf\xbd\xef\xbf\xbd\"");
  assert_json("\xc0\x80\xed\xa0\x80", 5, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
}

static void any_bytes_become_json_and_valid_ones_come_back(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 5, 1);
  for (int round = 0; round < 20000; round++) {
    char bytes[40];
    size_t n = moon_rng_below(&rng, sizeof bytes);
    bool ascii = round % 2;
    for (size_t i = 0; i < n; i++) bytes[i] = (char)(ascii ? 1 + moon_rng_below(&rng, 127) : moon_rng_below(&rng, 256));
    moon_buf out = {0};
    moon_json_text(&out, bytes, n);
    json_t *back = json_loadb(out.data, out.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    assert_non_null(back);
    if (moon_text_valid(bytes, n)) {
      assert_int_equal(json_string_length(back), n);
      assert_memory_equal(json_string_value(back), bytes, n);
    } else {
      assert_false(ascii);
    }
    json_decref(back);
    moon_buf_free(&out);
  }
}

static void numbers_come_back_the_same(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 6, 1);
  moon_buf out = {0};
  moon_json_number(&out, 12.34);
  moon_json_number(&out, NAN);
  moon_json_number(&out, -INFINITY);
  assert_string_equal(out.data, "12.34nullnull");
  for (int round = 0; round < 10000; round++) {
    uint64_t bits = moon_rng_u64(&rng);
    double value;
    memcpy(&value, &bits, sizeof value);
    if (!isfinite(value)) continue;
    moon_buf_reset(&out);
    moon_json_number(&out, value);
    assert_true(strtod(out.data, NULL) == value);
  }
  moon_buf_free(&out);
}

static void metrics_add_up(void **state) {
  (void)state;
  moon_metrics *m = calloc(1, sizeof *m);
  const char *routes[] = {"/v1/page/<surface>", "none"};
  moon_gauges gauges = {.connections = 2, .users = 60, .events = 4000, .uptime = 1.5};
  moon_buf out = {0};
  m->requests[0][200] = 7;
  m->requests[1][404] = 1;
  for (int i = 0; i <= 10; i++) moon_metrics_page(m, i * 1000);
  moon_metrics_page(m, 60 * 1000000);
  moon_metrics_text(m, routes, 2, &gauges, &out);
  static const char *const lines[] = {"moonshelf_http_requests_total{route=\"/v1/page/<surface>\",code=\"200\"} 7\n",
                                      "moonshelf_http_requests_total{route=\"none\",code=\"404\"} 1\n",
                                      "moonshelf_page_seconds_bucket{le=\"0.0005\"} 1\n",
                                      "moonshelf_page_seconds_bucket{le=\"0.005\"} 6\n", /* a bound belongs to its bucket */
                                      "moonshelf_page_seconds_bucket{le=\"2.5\"} 11\n",
                                      "moonshelf_page_seconds_bucket{le=\"+Inf\"} 12\n",
                                      "moonshelf_page_seconds_sum 60.055000\n",
                                      "moonshelf_page_seconds_count 12\n",
                                      "moonshelf_connections 2\n",
                                      "moonshelf_state_users 60\n",
                                      "moonshelf_state_events 4000\n",
                                      "# TYPE moonshelf_page_seconds histogram\n"};
  for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
    if (!strstr(out.data, lines[i])) fail_msg("%s is not in\n%s", lines[i], out.data);
  assert_null(strstr(out.data, "code=\"500\""));
  moon_buf_free(&out);
  free(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(texts_are_escaped),
      cmocka_unit_test(any_bytes_become_json_and_valid_ones_come_back),
      cmocka_unit_test(numbers_come_back_the_same),
      cmocka_unit_test(metrics_add_up),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

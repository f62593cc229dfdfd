/* test_serve_metrics.c - the metrics are what Prometheus reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "serve/metrics.h"

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
  const struct CMUnitTest tests[] = {cmocka_unit_test(metrics_add_up)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}

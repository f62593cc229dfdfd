/* metrics.h - what the server counts, in the text format of Prometheus. */
#ifndef MOON_SERVE_METRICS_H
#define MOON_SERVE_METRICS_H

#include "base/base.h"
#include "page/page.h"

enum { MOON_METRIC_ROUTES = 32, MOON_METRIC_BUCKETS = 12 };

typedef struct moon_metrics {
  uint64_t requests[MOON_METRIC_ROUTES][600]; /* by route (see moon_metrics_text) and status */
  uint64_t page_buckets[MOON_METRIC_BUCKETS + 1];
  double page_seconds;
  uint64_t pages, pages_degraded, policy_errors[MOON_SCRIPT_FAILURES];
  uint64_t site_reloads, site_reloads_failed, script_renewals;
  uint64_t events_accepted, events_duplicate, events_refused, commits, commits_failed;
  uint64_t connections_accepted, connections_refused;
} moon_metrics;

typedef struct moon_gauges { /* what is read at the moment of asking */
  size_t state_bytes;
  uint64_t users_dropped;
  size_t connections, users;
  uint64_t events;
  size_t script_bytes, script_tensor_bytes;
  double uptime;
} moon_gauges;

void moon_metrics_page(moon_metrics *metrics, int64_t micros);
/* routes: [n] the label of each index into `requests`. */
void moon_metrics_text(const moon_metrics *metrics, const char *const *routes, size_t n, const moon_gauges *gauges,
                       moon_buf *out);

#endif

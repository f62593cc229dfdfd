/* metrics.c - counters that only the loop's thread touches. */
#include "serve/metrics.h"

/* Seconds, rising; beyond the last there is +Inf. */
static const double bounds[MOON_METRIC_BUCKETS] = {0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075,
                                                        0.01,   0.025, 0.05,  0.1,   0.5,   2.5};

void moon_metrics_page(moon_metrics *metrics, int64_t micros) {
  double seconds = (double)micros / 1e6;
  size_t bucket = 0;
  while (bucket < MOON_METRIC_BUCKETS && seconds > bounds[bucket]) bucket++;
  metrics->page_buckets[bucket]++;
  metrics->page_seconds += seconds;
  metrics->pages++;
}

static void head(moon_buf *out, const char *name, const char *type, const char *help) {
  moon_buf_printf(out, "# HELP moonshelf_%s %s\n# TYPE moonshelf_%s %s\n", name, help, name, type);
}

static void counter(moon_buf *out, const char *name, uint64_t value, const char *help) {
  head(out, name, "counter", help);
  moon_buf_printf(out, "moonshelf_%s %llu\n", name, (unsigned long long)value);
}

static void gauge(moon_buf *out, const char *name, double value, const char *help) {
  head(out, name, "gauge", help);
  moon_buf_printf(out, "moonshelf_%s %.15g\n", name, value);
}

void moon_metrics_text(const moon_metrics *m, const char *const *routes, size_t n, const moon_gauges *gauges, moon_buf *out) {
  head(out, "http_requests_total", "counter", "Requests answered, by route and status.");
  for (size_t i = 0; i < n; i++)
    for (size_t status = 0; status < sizeof m->requests[0] / sizeof m->requests[0][0]; status++)
      if (m->requests[i][status])
        moon_buf_printf(out, "moonshelf_http_requests_total{route=\"%s\",code=\"%zu\"} %llu\n", routes[i], status,
                        (unsigned long long)m->requests[i][status]);
  head(out, "page_seconds", "histogram", "Time to make a page, without the network.");
  uint64_t sum = 0;
  for (size_t i = 0; i < MOON_METRIC_BUCKETS; i++) {
    sum += m->page_buckets[i];
    moon_buf_printf(out, "moonshelf_page_seconds_bucket{le=\"%g\"} %llu\n", bounds[i], (unsigned long long)sum);
  }
  moon_buf_printf(
      out,
      "moonshelf_page_seconds_bucket{le=\"+Inf\"} %llu\nmoonshelf_page_seconds_sum %.6f\nmoonshelf_page_seconds_count %llu\n",
      (unsigned long long)m->pages, m->page_seconds, (unsigned long long)m->pages);
  counter(out, "pages_degraded_total", m->pages_degraded, "Pages made without a policy that failed.");
  head(out, "policy_errors_total", "counter", "Policies and gates that failed: an error, or a limit of work or memory.");
  for (int kind = 0; kind < MOON_SCRIPT_FAILURES; kind++)
    moon_buf_printf(out, "moonshelf_policy_errors_total{kind=\"%s\"} %llu\n", moon_script_failure_name((moon_script_failure)kind),
                    (unsigned long long)m->policy_errors[kind]);
  counter(out, "site_reloads_total", m->site_reloads, "Sites taken into use by a reload.");
  counter(out, "site_reloads_failed_total", m->site_reloads_failed, "Reloads that left the site as it was.");
  counter(out, "script_renewals_total", m->script_renewals, "Lua states made anew after a policy passed a limit of memory.");
  counter(out, "events_accepted_total", m->events_accepted, "Events on disk and in the state, duplicates included.");
  counter(out, "events_duplicate_total", m->events_duplicate, "Events whose id had been accepted before.");
  counter(out, "events_refused_total", m->events_refused, "Requests to /v1/events with something wrong in them.");
  counter(out, "event_commits_total", m->commits, "Transactions of the event log.");
  counter(out, "event_commits_failed_total", m->commits_failed, "Transactions that the disk did not take.");
  counter(out, "connections_accepted_total", m->connections_accepted, "Connections taken.");
  counter(out, "connections_refused_total", m->connections_refused, "Connections beyond the limit.");
  gauge(out, "connections", (double)gauges->connections, "Connections open.");
  gauge(out, "state_users", (double)gauges->users, "Users that the state knows.");
  gauge(out, "state_bytes", (double)gauges->state_bytes, "Memory of the state.");
  gauge(out, "state_users_dropped", (double)gauges->users_dropped, "Users let go since the start: forgotten, or for want of memory.");
  gauge(out, "state_events", (double)gauges->events, "Events folded into the state, training included.");
  gauge(out, "script_bytes", (double)gauges->script_bytes, "Memory of the site's Lua state.");
  gauge(out, "script_tensor_bytes", (double)gauges->script_tensor_bytes, "Memory of the tensors that the site's script holds.");
  gauge(out, "uptime_seconds", gauges->uptime, "Since the start.");
}

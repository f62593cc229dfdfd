/* routes_admin.c - what looks into the server rather than at a page: health, metrics, users, single items. */
#include <stdlib.h>
#include <string.h>

#include "serve/internal.h"

moon_status moon_route_health(moon_exchange *x) {
  moon_server *server = x->server;
  moon_buf_puts(x->body, "{\"status\":\"ok\",\"bundle\":");
  moon_json_string(x->body, server->bundle->name);
  moon_buf_printf(
      x->body, ",\"version\":\"%s\",\"uptime_seconds\":%lld,\"items\":%zu,\"users\":%zu,\"events\":%llu,\"event_log\":\"%s\"}\n",
      MOON_VERSION, (long long)((moon_monotonic() - server->started) / MOON_SECOND),
      moon_catalogue_rows(server->bundle->catalogue), moon_state_memory_now(server->state).users,
      (unsigned long long)moon_state_events(server->state), server->log_failing ? "failing" : "ok");
  return moon_ok();
}

moon_status moon_route_ready(moon_exchange *x) {
  if (x->server->stopping) x->status = 503;
  moon_buf_printf(x->body, "{\"status\":\"%s\"}\n", x->server->stopping ? "stopping" : "ready");
  return moon_ok();
}

moon_status moon_route_metrics(moon_exchange *x) {
  moon_server *server = x->server;
  const char *labels[MOON_METRIC_ROUTES];
  size_t n = moon_routes_labels(labels);
  const moon_state_memory memory = moon_state_memory_now(server->state);
  moon_gauges gauges = {.connections = server->connection_count,
                        .users = memory.users,
                        .users_dropped = memory.users_dropped,
                        .state_bytes = memory.bytes,
                        .events = moon_state_events(server->state),
                        .script_bytes = moon_host_memory(moon_worker_host(server->worker)),
                        .script_tensor_bytes = moon_host_tensors(moon_worker_host(server->worker)),
                        .uptime = (double)(moon_monotonic() - server->started) / 1e6};
  x->type = "text/plain; version=0.0.4; charset=utf-8";
  moon_metrics_text(&server->metrics, labels, n, &gauges, x->body);
  return moon_ok();
}

/* Some known users, evenly spread over all of them: for a switcher, and for benchmarks. */
moon_status moon_route_users(moon_exchange *x) {
  enum { MOST = 1000 };
  const char *text = NULL;
  MOON_TRY(moon_target_take(&x->target, "limit", &text));
  char *end = NULL;
  long limit = text ? strtol(text, &end, 10) : 50;
  if (text && (end == text || *end || limit < 1 || limit > MOST))
    return moon_fail(MOON_EINVAL, "limit must be 1 to %d, not '%.40s'", MOST, text);
  const moon_state *state = x->server->state;
  size_t rows = moon_state_users(state), n = rows < (size_t)limit ? rows : (size_t)limit, shown = 0;
  moon_buf_puts(x->body, "{\"users\":[");
  for (size_t i = 0; i < n; i++) {
    const char *id = moon_state_user_id(state, (uint32_t)(i * rows / n));
    if (!id) continue; /* let go */
    if (shown++) moon_buf_puts(x->body, ",");
    moon_json_string(x->body, id);
  }
  moon_buf_printf(x->body, "],\"total\":%zu}\n", moon_state_memory_now(state).users);
  return moon_ok();
}

/* One item as the catalogue has it: {"id":..., column: value, ...}; columns without a value are left out. */
moon_status moon_route_item(moon_exchange *x) {
  const moon_catalogue *catalogue = x->server->bundle->catalogue;
  uint32_t row = moon_dict_find(catalogue->ids, x->tail, strlen(x->tail));
  if (row == MOON_NONE) return moon_fail(MOON_ENOTFOUND, "there is no item '%.200s'", x->tail);
  moon_buf_puts(x->body, "{\"id\":");
  moon_json_string(x->body, x->tail);
  for (size_t i = 0; i < catalogue->table->column_count; i++) {
    const moon_column *column = &catalogue->table->columns[i];
    if (!strcmp(column->name, "item") || !strcmp(column->name, "id") || moon_column_is_null(column, row)) continue;
    moon_buf_puts(x->body, ",");
    moon_json_string(x->body, column->name);
    moon_buf_puts(x->body, ":");
    moon_column_json(column, row, x->body);
  }
  moon_buf_puts(x->body, "}\n");
  return moon_ok();
}

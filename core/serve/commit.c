/* commit.c - group commit: one batch fills while the other is on its way to the disk.
 *
 * The first event after a quiet time is committed at once; what arrives during that commit makes up the next. So an event waits
 * for two syncs at the most, however many senders there are. The thread pool touches only the flying batch, the loop only the
 * filling one. */
#include "serve/internal.h"

static void work(uv_work_t *request) {
  moon_server *server = request->data;
  server->flying->status = moon_runtime_store(server->runtime, &server->flying->batch);
}

static void apply_batch(moon_server *server, const moon_event_batch *batch) {
  for (size_t i = 0; i < batch->n; i++) {
    if (batch->events[i].duplicate) continue;
    moon_status status = moon_runtime_fold(server->runtime, &batch->events[i]);
    if (status.code) moon_server_log_quietly(server, "error", "an event is on disk, but not in the state: %s", status.message);
  }
}

static void answer_waiter(moon_server *server, const moon_commit *commit, const moon_waiter *waiter) {
  size_t duplicates = 0;
  int status = commit->status.code ? 503 : 200;
  for (size_t i = 0; i < waiter->count; i++) duplicates += commit->batch.events[waiter->first + i].duplicate;
  if (status == 200) {
    server->metrics.events_accepted += waiter->count;
    server->metrics.events_duplicate += duplicates;
  }
  if (!moon_connection_release(waiter->connection)) return;
  moon_buf_reset(&server->body);
  if (status != 200)
    moon_routes_error(&server->body, "unavailable", "the events could not be stored; none was accepted, so send them again");
  else if (duplicates)
    moon_buf_printf(&server->body, "{\"accepted\":%zu,\"duplicates\":%zu}\n", waiter->count, duplicates);
  else
    moon_buf_printf(&server->body, "{\"accepted\":%zu}\n", waiter->count);
  moon_routes_count(server, waiter->connection->route, status);
  moon_connection_answer(waiter->connection, status, "application/json", "Cache-Control: no-store\r\n", &server->body);
}

static void take_off(moon_server *server);

static void landed(uv_work_t *request, int canceled) {
  (void)canceled; /* nobody cancels */
  moon_server *server = request->data;
  moon_commit *commit = server->flying;
  server->committing = false;
  server->log_failing = commit->status.code != MOON_OK;
  server->metrics.commits++;
  if (commit->status.code) {
    server->metrics.commits_failed++;
    moon_server_log_quietly(server, "error", "%s", commit->status.message);
  } else {
    apply_batch(server, &commit->batch);
  }
  for (size_t i = 0; i < commit->waiter_n; i++) answer_waiter(server, commit, &commit->waiters[i]);
  commit->waiter_n = 0;
  moon_event_batch_reset(&commit->batch);
  if (server->filling->waiter_n) take_off(server);
  moon_server_finish(server);
}

static void take_off(moon_server *server) {
  moon_commit *full = server->filling;
  server->filling = server->flying;
  server->flying = full;
  server->work.data = server;
  server->committing = true;
  uv_queue_work(&server->loop, &server->work, work, landed); /* fails only where there is no function to call */
}

moon_status moon_commit_join(moon_server *server, moon_connection *c, size_t first) {
  moon_commit *commit = server->filling;
  moon_status status = moon_grow(&commit->waiters, &commit->waiter_cap, commit->waiter_n + 1, sizeof *commit->waiters);
  if (status.code) {
    commit->batch.n = first;
    return status;
  }
  commit->waiters[commit->waiter_n++] = (moon_waiter){c, first, commit->batch.n - first};
  c->held = true;
  if (!server->committing) take_off(server);
  return moon_ok();
}

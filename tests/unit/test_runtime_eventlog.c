/* test_runtime_eventlog.c - the event log: what was committed comes back in order, once, and nothing else does. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/eventlog.h"

static char folder[64], path[96];

static int setup(void **state) {
  (void)state;
  strcpy(folder, "/tmp/moonshelf-log-XXXXXX");
  if (!mkdtemp(folder)) return 1;
  snprintf(path, sizeof path, "%s/events.db", folder);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  return moon_dir_remove(folder).code != MOON_OK;
}

static moon_eventlog *open_log(const char *bundle, int64_t newest) {
  moon_eventlog *log = NULL;
  moon_status status = moon_eventlog_open(path, bundle, newest, &log);
  if (status.code) fail_msg("%s", status.message);
  return log;
}

static void add(moon_event_batch *batch, const char *user, const char *item, int64_t time, const char *id) {
  assert_int_equal(moon_grow(&batch->events, &batch->cap, batch->n + 1, sizeof *batch->events).code, MOON_OK);
  batch->events[batch->n++] = (moon_log_event){.user = user, .item = item, .kind = "view", .id = id, .time = time};
}

static moon_status note(void *self, const moon_log_event *event) {
  moon_buf_printf(self, "%s %s %s %lld\n", event->user, event->item, event->kind, (long long)event->time);
  return moon_ok();
}

static void assert_replayed(moon_eventlog *log, const char *want, size_t want_skipped) {
  moon_buf seen = {0};
  size_t skipped;
  moon_buf_puts(&seen, "");
  moon_status status = moon_eventlog_replay(log, note, &seen, &skipped);
  if (status.code) fail_msg("%s", status.message);
  assert_string_equal(seen.data, want);
  assert_int_equal(skipped, want_skipped);
  moon_buf_free(&seen);
}

static void commit(moon_eventlog *log, moon_event_batch *batch) {
  moon_status status = moon_eventlog_commit(log, batch);
  if (status.code) fail_msg("%s", status.message);
}

static void events_come_back_in_the_order_of_acceptance(void **state) {
  (void)state;
  moon_eventlog *log = open_log("b1", 100);
  moon_event_batch batch = {0};
  add(&batch, "u1", "i1", 300, NULL);
  add(&batch, "u'; DROP TABLE events; --", "\xe2\x82\xac", 200, NULL); /* older, and text is only text */
  commit(log, &batch);
  moon_event_batch_reset(&batch);
  add(&batch, "u2", "i2", 50, NULL); /* older than the bundle's newest: still not in it */
  commit(log, &batch);
  const char *want = "u1 i1 view 300\nu'; DROP TABLE events; -- \xe2\x82\xac view 200\nu2 i2 view 50\n";
  assert_replayed(log, want, 0);
  moon_eventlog_close(log);
  log = open_log("b1", 100);
  assert_replayed(log, want, 0);
  moon_eventlog_close(log);
  moon_event_batch_free(&batch);
}

static void an_id_counts_once_for_ever(void **state) {
  (void)state;
  moon_eventlog *log = open_log("b1", 0);
  moon_event_batch batch = {0};
  add(&batch, "u1", "i1", 1, "a");
  add(&batch, "u2", "i2", 2, "a");
  add(&batch, "u3", "i3", 3, NULL);
  add(&batch, "u3", "i3", 3, NULL); /* without ids alike is not the same */
  commit(log, &batch);
  assert_true(!batch.events[0].duplicate && batch.events[1].duplicate && !batch.events[2].duplicate &&
              !batch.events[3].duplicate);
  moon_eventlog_close(log);
  log = open_log("b1", 0);
  moon_event_batch_reset(&batch);
  add(&batch, "u9", "i9", 9, "a");
  commit(log, &batch);
  assert_true(batch.events[0].duplicate);
  assert_replayed(log, "u1 i1 view 1\nu3 i3 view 3\nu3 i3 view 3\n", 0);
  moon_eventlog_close(log);
  moon_event_batch_free(&batch);
}

static void in_memory_only_ids_are_kept(void **state) {
  (void)state;
  moon_eventlog *log;
  moon_event_batch batch = {0};
  assert_int_equal(moon_eventlog_open(NULL, "b1", 0, &log).code, MOON_OK);
  add(&batch, "u1", "i1", 1, "a");
  add(&batch, "u1", "i1", 1, NULL);
  add(&batch, "u1", "i1", 1, "a");
  commit(log, &batch);
  assert_true(!batch.events[0].duplicate && !batch.events[1].duplicate && batch.events[2].duplicate);
  assert_replayed(log, "", 0);
  moon_eventlog_close(log);
  moon_event_batch_free(&batch);
}

static void a_later_bundle_has_seen_the_older_events(void **state) {
  (void)state;
  moon_eventlog *log = open_log("b1", 100);
  moon_event_batch batch = {0};
  add(&batch, "u1", "i1", 150, NULL);
  add(&batch, "u2", "i2", 250, NULL);
  commit(log, &batch);
  moon_eventlog_close(log);
  log = open_log("b2", 200); /* trained on data up to 200 */
  assert_replayed(log, "u2 i2 view 250\n", 1);
  moon_event_batch_reset(&batch);
  add(&batch, "u3", "i3", 180, NULL); /* a late one: it cannot be in the bundle */
  commit(log, &batch);
  moon_eventlog_close(log);
  log = open_log("b2", 200);
  assert_replayed(log, "u2 i2 view 250\nu3 i3 view 180\n", 1);
  moon_eventlog_close(log);
  log = open_log("b3", 300);
  assert_replayed(log, "", 3);
  moon_eventlog_close(log);
  moon_event_batch_free(&batch);
}

static moon_status stop_at_two(void *self, const moon_log_event *event) {
  (void)event;
  return ++*(int *)self == 2 ? moon_fail(MOON_ENOMEM, "enough") : moon_ok();
}

static void replay_stops_where_it_is_told(void **state) {
  (void)state;
  moon_eventlog *log = open_log("b1", 0);
  moon_event_batch batch = {0};
  size_t skipped;
  int calls = 0;
  for (int i = 0; i < 3; i++) add(&batch, "u", "i", i, NULL);
  commit(log, &batch);
  moon_status status = moon_eventlog_replay(log, stop_at_two, &calls, &skipped);
  assert_int_equal(status.code, MOON_ENOMEM);
  assert_string_equal(status.message, "enough");
  assert_int_equal(calls, 2);
  moon_eventlog_close(log);
  moon_event_batch_free(&batch);
}

/* As if the log had been closed and opened with the new bundle; and as if nothing had been, where the new bundle is not to be. */
static void a_log_turns_to_another_bundle_or_stays(void **state) {
  (void)state;
  moon_eventlog *log = open_log("b1", 100);
  moon_event_batch batch = {0};
  moon_buf seen = {0};
  size_t skipped;
  add(&batch, "u1", "i1", 150, NULL);
  add(&batch, "u2", "i2", 250, NULL);
  commit(log, &batch);
  int calls = 1; /* fails at the first event that is not in b2 */
  moon_status status = moon_eventlog_turn(log, "b2", 200, stop_at_two, &calls, &skipped);
  assert_int_equal(status.code, MOON_ENOMEM);
  assert_replayed(log, "u1 i1 view 150\nu2 i2 view 250\n", 0); /* still b1's */
  assert_int_equal(moon_eventlog_turn(log, "b2", 200, note, &seen, &skipped).code, MOON_OK);
  assert_string_equal(seen.data, "u2 i2 view 250\n");
  assert_int_equal(skipped, 1);
  moon_event_batch_reset(&batch);
  add(&batch, "u3", "i3", 120, NULL);
  commit(log, &batch);
  assert_replayed(log, "u2 i2 view 250\nu3 i3 view 120\n", 1);
  moon_eventlog_close(log);
  log = open_log("b2", 200);
  assert_replayed(log, "u2 i2 view 250\nu3 i3 view 120\n", 1);
  moon_eventlog_close(log);
  moon_event_batch_free(&batch);
  moon_buf_free(&seen);
}

/* Events in memory are gone with the state that they were folded into, and so may be sent again. */
static void a_log_in_memory_forgets_ids_with_its_bundle(void **state) {
  (void)state;
  moon_eventlog *log;
  moon_event_batch batch = {0};
  size_t skipped;
  assert_int_equal(moon_eventlog_open(NULL, "b1", 0, &log).code, MOON_OK);
  add(&batch, "u1", "i1", 1, "a");
  commit(log, &batch);
  assert_int_equal(moon_eventlog_turn(log, "b2", 200, note, NULL, &skipped).code, MOON_OK);
  commit(log, &batch);
  assert_false(batch.events[0].duplicate);
  commit(log, &batch);
  assert_true(batch.events[0].duplicate);
  moon_eventlog_close(log);
  moon_event_batch_free(&batch);
}

static void what_was_committed_outlives_a_kill(void **state) {
  (void)state;
  int pipes[2];
  assert_int_equal(pipe(pipes), 0);
  pid_t child = fork();
  if (!child) { /* commits without end, and tells of each */
    moon_eventlog *log;
    if (moon_eventlog_open(path, "b1", 0, &log).code) _exit(1);
    for (int i = 0;; i++) {
      moon_log_event event = {.user = "u", .item = "i", .kind = "view", .time = i};
      moon_event_batch batch = {.events = &event, .n = 1};
      if (moon_eventlog_commit(log, &batch).code || write(pipes[1], &i, sizeof i) != sizeof i) _exit(1);
    }
  }
  close(pipes[1]);
  int last = -1, i;
  while (last < 30 && read(pipes[0], &i, sizeof i) == sizeof i) last = i;
  kill(child, SIGKILL);
  while (read(pipes[0], &i, sizeof i) == sizeof i) last = i;
  close(pipes[0]);
  waitpid(child, NULL, 0);
  moon_eventlog *log = open_log("b1", 0);
  moon_buf seen = {0};
  size_t skipped, lines = 0;
  assert_int_equal(moon_eventlog_replay(log, note, &seen, &skipped).code, MOON_OK);
  for (char *at = seen.data; (at = strchr(at, '\n')); at++) lines++;
  assert_true(last >= 30 && lines >= (size_t)last + 1 && lines <= (size_t)last + 2); /* one may have been on its way to us */
  moon_buf_free(&seen);
  moon_eventlog_close(log);
}

static void a_full_disk_takes_nothing_and_later_all(void **state) {
  (void)state;
  moon_eventlog *log = open_log("b1", 0);
  moon_event_batch batch = {0};
  struct rlimit room, old;
  char big[8192];
  memset(big, 'x', sizeof big - 1);
  big[sizeof big - 1] = 0;
  for (int i = 0; i < 100; i++) add(&batch, big, "i", i, NULL);
  getrlimit(RLIMIT_FSIZE, &old);
  room = old;
  room.rlim_cur = 100000;
  signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &room);
  moon_status status = moon_eventlog_commit(log, &batch);
  setrlimit(RLIMIT_FSIZE, &old);
  signal(SIGXFSZ, SIG_DFL);
  assert_int_equal(status.code, MOON_EIO);
  assert_replayed(log, "", 0);
  moon_event_batch_reset(&batch);
  add(&batch, "u1", "i1", 1, NULL);
  commit(log, &batch);
  assert_replayed(log, "u1 i1 view 1\n", 0);
  moon_eventlog_close(log);
  moon_event_batch_free(&batch);
}

static void assert_refused(moon_code code, const char *says) {
  moon_eventlog *log = NULL;
  moon_status status = moon_eventlog_open(path, "b1", 0, &log);
  if (status.code != code || !strstr(status.message, says) || !strstr(status.message, path))
    fail_msg("wanted \"%s\", got %d \"%s\"", says, status.code, status.message);
  assert_null(log);
}

static void a_second_server_is_refused(void **state) {
  (void)state;
  moon_eventlog *log = open_log("b1", 0);
  assert_refused(MOON_EIO, "in use");
  moon_eventlog_close(log);
  moon_eventlog_close(open_log("b1", 0));
}

static void other_files_are_refused_and_left_alone(void **state) {
  (void)state;
  const char text[] =
      "This is a letter, and not at all a database, however long one looks at it. It has more than a hundred bytes in it.";
  assert_int_equal(moon_file_write(path, text, sizeof text).code, MOON_OK);
  assert_refused(MOON_EFORMAT, "broken");
  moon_buf now = {0};
  assert_int_equal(moon_file_read(path, 0, &now).code, MOON_OK);
  assert_memory_equal(now.data, text, sizeof text);
  moon_buf_free(&now);
  assert_int_equal(unlink(path), 0);
  sqlite3 *db;
  assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
  assert_int_equal(sqlite3_exec(db, "CREATE TABLE letters (text)", NULL, NULL, NULL), SQLITE_OK);
  sqlite3_close(db);
  assert_refused(MOON_EFORMAT, "not an event log");
}

static void a_folder_that_is_not_there_is_named(void **state) {
  (void)state;
  moon_eventlog *log;
  moon_status status = moon_eventlog_open("/no/such/folder/events.db", "b1", 0, &log);
  assert_int_equal(status.code, MOON_EIO);
  assert_non_null(strstr(status.message, "/no/such/folder/events.db"));
}

/* Any damage either shows as an error or leaves a log that can be read and written. */
static void damaged_files_never_crash(void **state) {
  (void)state;
  moon_eventlog *log = open_log("b1", 0);
  moon_event_batch batch = {0};
  char users[400][16], ids[400][16];
  for (int i = 0; i < 400; i++) {
    snprintf(users[i], sizeof users[i], "user-%d", i);
    snprintf(ids[i], sizeof ids[i], "id-%d", i);
    add(&batch, users[i], "item", i, ids[i]);
  }
  commit(log, &batch);
  moon_eventlog_close(log);
  moon_buf whole = {0}, seen = {0};
  assert_int_equal(moon_file_read(path, 0, &whole).code, MOON_OK);
  moon_rng rng;
  moon_rng_seed(&rng, 9, 1);
  int errors = 0;
  for (int round = 0; round < 150; round++) {
    char *bytes = malloc(whole.n);
    memcpy(bytes, whole.data, whole.n);
    size_t n = round % 3 == 0 ? moon_rng_below(&rng, (uint32_t)whole.n) : whole.n;
    for (int i = 0; i < 30 && n; i++) bytes[moon_rng_below(&rng, (uint32_t)n)] = (char)moon_rng_u32(&rng);
    assert_int_equal(moon_file_write(path, bytes, n).code, MOON_OK);
    free(bytes);
    log = NULL;
    size_t skipped;
    moon_status status = moon_eventlog_open(path, "b1", 0, &log);
    if (!status.code) status = moon_eventlog_replay(log, note, &seen, &skipped);
    if (!status.code) status = moon_eventlog_commit(log, &batch);
    errors += status.code != MOON_OK;
    if (status.code) assert_true(strlen(status.message) > 0);
    moon_eventlog_close(log);
    moon_buf_reset(&seen);
    unlink(path);
  }
  assert_true(errors > 50);
  moon_buf_free(&seen);
  moon_buf_free(&whole);
  moon_event_batch_free(&batch);
}

static void no_memory_opens_nothing(void **state) {
  (void)state;
  for (size_t n = 1; n <= 2; n++) {
    moon_eventlog *log = NULL;
    moon_alloc_fail_at(n);
    moon_status status = moon_eventlog_open(path, "b1", 0, &log);
    moon_alloc_fail_at(0);
    assert_int_equal(status.code, MOON_ENOMEM);
    assert_null(log);
  }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(events_come_back_in_the_order_of_acceptance),
      TEST(an_id_counts_once_for_ever),
      TEST(in_memory_only_ids_are_kept),
      TEST(a_later_bundle_has_seen_the_older_events),
      TEST(replay_stops_where_it_is_told),
      TEST(a_log_turns_to_another_bundle_or_stays),
      TEST(a_log_in_memory_forgets_ids_with_its_bundle),
      TEST(what_was_committed_outlives_a_kill),
      TEST(a_full_disk_takes_nothing_and_later_all),
      TEST(a_second_server_is_refused),
      TEST(other_files_are_refused_and_left_alone),
      TEST(a_folder_that_is_not_there_is_named),
      TEST(damaged_files_never_crash),
      TEST(no_memory_opens_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

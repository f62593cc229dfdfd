/* eventlog.c - the event log as an SQLite database in WAL mode, every commit synced.
 *
 * The file is held exclusively: a second server on the same log would not see the first one's events, so it does not start. */
#include "runtime/eventlog.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

enum { APPLICATION = 0x4d4f4f4e /* "MOON" */, VERSION = 1 };

struct moon_eventlog {
  sqlite3 *db;
  sqlite3_stmt *insert;
  char *name; /* for messages */
  bool memory;
  int64_t covered_seq, covered_time; /* events up to both are in the bundle */
};

void moon_event_batch_reset(moon_event_batch *batch) {
  batch->n = 0;
  moon_arena_reset(&batch->texts);
}

void moon_event_batch_free(moon_event_batch *batch) {
  moon_free(batch->events);
  moon_arena_free(&batch->texts);
  *batch = (moon_event_batch){0};
}

static moon_status failure(const moon_eventlog *log, int code) {
  switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return moon_fail(MOON_EIO, "the event log %s is in use by another process (choose another with --event-log)", log->name);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return moon_fail(MOON_EFORMAT, "the event log %s is broken (%s); move it away to start without its events", log->name,
                       sqlite3_errmsg(log->db));
    case SQLITE_NOMEM:
      return moon_fail(MOON_ENOMEM, "no memory for the event log %s", log->name);
    default:
      return moon_fail(MOON_EIO, "the event log %s: %s", log->name, log->db ? sqlite3_errmsg(log->db) : sqlite3_errstr(code));
  }
}

static moon_status run(moon_eventlog *log, const char *sql) {
  int code = sqlite3_exec(log->db, sql, NULL, NULL, NULL);
  return code ? failure(log, code) : moon_ok();
}

static moon_status prepare(moon_eventlog *log, const char *sql, sqlite3_stmt **out) {
  int code = sqlite3_prepare_v2(log->db, sql, -1, out, NULL);
  return code ? failure(log, code) : moon_ok();
}

/* The first column of the first row, as an integer or as a text of at most n - 1 bytes; `text` may be NULL. */
static moon_status ask(moon_eventlog *log, const char *sql, int64_t *number, char *text, size_t n) {
  sqlite3_stmt *statement;
  MOON_TRY(prepare(log, sql, &statement));
  int code = sqlite3_step(statement);
  if (code == SQLITE_ROW) {
    if (number) *number = sqlite3_column_int64(statement, 0);
    const unsigned char *cell = text ? sqlite3_column_text(statement, 0) : NULL;
    if (text) snprintf(text, n, "%s", cell ? (const char *)cell : "");
  }
  moon_status status = code == SQLITE_ROW || code == SQLITE_DONE ? moon_ok() : failure(log, code);
  sqlite3_finalize(statement);
  return status;
}

static moon_status make_tables(moon_eventlog *log) {
  char sql[900];
  snprintf(sql, sizeof sql,
           "PRAGMA application_id = %d; PRAGMA user_version = %d;"
           "CREATE TABLE events (seq INTEGER PRIMARY KEY, time INTEGER NOT NULL, user TEXT NOT NULL, item TEXT NOT NULL, kind "
           "TEXT NOT NULL,"
           " id TEXT);"
           "CREATE UNIQUE INDEX events_id ON events (id) WHERE id IS NOT NULL;"
           "CREATE TABLE bundles (bundle TEXT NOT NULL, covered_seq INTEGER NOT NULL, covered_time INTEGER NOT NULL)",
           APPLICATION, VERSION);
  return run(log, sql);
}

/* Ours, or empty so that it becomes ours; a database of somebody else is left alone. */
static moon_status check_tables(moon_eventlog *log) {
  int64_t application = 0, version = 0, tables = 0;
  char verdict[200] = "ok";
  MOON_TRY(ask(log, "PRAGMA application_id", &application, NULL, 0));
  MOON_TRY(ask(log, "PRAGMA user_version", &version, NULL, 0));
  MOON_TRY(ask(log, "SELECT count(*) FROM sqlite_schema", &tables, NULL, 0));
  if (!tables && !application) return make_tables(log);
  if (application != APPLICATION)
    return moon_fail(MOON_EFORMAT, "%s is a database, but not an event log of Moonshelf", log->name);
  if (version != VERSION)
    return moon_fail(MOON_EFORMAT, "the event log %s has format %lld; this program reads %d", log->name, (long long)version,
                     VERSION);
  MOON_TRY(ask(log, "PRAGMA quick_check(1)", NULL, verdict, sizeof verdict));
  if (strcmp(verdict, "ok"))
    return moon_fail(MOON_EFORMAT, "the event log %s is broken (%s); move it away to start without its events", log->name,
                     verdict);
  return moon_ok();
}

/* What the bundle has seen: of the events that were there when it came, those up to its newest; nothing of what came later. */
static moon_status remember_bundle(moon_eventlog *log, const char *bundle, int64_t newest) {
  char last[128] = "";
  int64_t seq = 0;
  MOON_TRY(ask(log, "SELECT bundle FROM bundles ORDER BY rowid DESC LIMIT 1", NULL, last, sizeof last));
  if (strcmp(last, bundle)) {
    MOON_TRY(ask(log, "SELECT coalesce(max(seq), 0) FROM events", &seq, NULL, 0));
    sqlite3_stmt *add;
    MOON_TRY(prepare(log, "INSERT INTO bundles VALUES (?, ?, ?)", &add));
    sqlite3_bind_text(add, 1, bundle, -1, SQLITE_STATIC);
    sqlite3_bind_int64(add, 2, seq);
    sqlite3_bind_int64(add, 3, newest);
    int code = sqlite3_step(add);
    sqlite3_finalize(add);
    if (code != SQLITE_DONE) return failure(log, code);
  }
  MOON_TRY(ask(log, "SELECT covered_seq FROM bundles ORDER BY rowid DESC LIMIT 1", &log->covered_seq, NULL, 0));
  return ask(log, "SELECT covered_time FROM bundles ORDER BY rowid DESC LIMIT 1", &log->covered_time, NULL, 0);
}

static moon_status open_database(moon_eventlog *log, const char *path, const char *bundle, int64_t newest) {
  int code = sqlite3_open_v2(path, &log->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
  if (code) return failure(log, code);
  sqlite3_extended_result_codes(log->db, 1);
  MOON_TRY(
      run(log,
          "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF;"
          "BEGIN IMMEDIATE"));
  moon_status status = check_tables(log);
  if (!status.code) status = remember_bundle(log, bundle, newest);
  if (!status.code) status = run(log, "COMMIT");
  if (!status.code)
    status = prepare(log, "INSERT INTO events (time, user, item, kind, id) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                     &log->insert);
  return status;
}

moon_status moon_eventlog_open(const char *path, const char *bundle, int64_t newest, moon_eventlog **out) {
  moon_eventlog *log = moon_calloc(1, sizeof *log);
  if (!log) return moon_fail(MOON_ENOMEM, "no memory for the event log");
  log->memory = !path;
  log->name = moon_strdup(path ? path : "(in memory)");
  moon_status status = log->name ? open_database(log, path ? path : ":memory:", bundle, newest)
                                 : moon_fail(MOON_ENOMEM, "no memory for the event log");
  if (status.code)
    moon_eventlog_close(log);
  else
    *out = log;
  return status;
}

void moon_eventlog_close(moon_eventlog *log) {
  if (!log) return;
  sqlite3_finalize(log->insert);
  sqlite3_close(log->db); /* an open transaction is rolled back */
  moon_free(log->name);
  moon_free(log);
}

moon_status moon_eventlog_replay(moon_eventlog *log, moon_status (*apply)(void *self, const moon_log_event *event), void *self,
                                 size_t *skipped) {
  sqlite3_stmt *all;
  *skipped = 0;
  if (log->memory) return moon_ok();
  MOON_TRY(prepare(log, "SELECT seq, time, user, item, kind FROM events ORDER BY seq", &all));
  moon_status status = moon_ok();
  int code = SQLITE_DONE;
  while (!status.code && (code = sqlite3_step(all)) == SQLITE_ROW) {
    moon_log_event event = {.time = sqlite3_column_int64(all, 1)};
    if (sqlite3_column_int64(all, 0) <= log->covered_seq && event.time <= log->covered_time) {
      ++*skipped;
      continue;
    }
    event.user = (const char *)sqlite3_column_text(all, 2);
    event.item = (const char *)sqlite3_column_text(all, 3);
    event.kind = (const char *)sqlite3_column_text(all, 4);
    if (event.user && event.item && event.kind)
      status = apply(self, &event);
    else
      status = moon_fail(MOON_EFORMAT, "the event log %s is broken (event %lld has a hole)", log->name,
                         (long long)sqlite3_column_int64(all, 0));
  }
  if (!status.code && code != SQLITE_DONE) status = failure(log, code);
  sqlite3_finalize(all);
  return status;
}

static moon_status turn(moon_eventlog *log, const char *bundle, int64_t newest,
                        moon_status (*apply)(void *self, const moon_log_event *event), void *self, size_t *skipped) {
  if (log->memory) MOON_TRY(run(log, "DELETE FROM events"));
  MOON_TRY(remember_bundle(log, bundle, newest));
  MOON_TRY(moon_eventlog_replay(log, apply, self, skipped));
  return run(log, "COMMIT");
}

moon_status moon_eventlog_turn(moon_eventlog *log, const char *bundle, int64_t newest,
                               moon_status (*apply)(void *self, const moon_log_event *event), void *self, size_t *skipped) {
  int64_t seq = log->covered_seq, time = log->covered_time;
  MOON_TRY(run(log, "BEGIN IMMEDIATE"));
  moon_status status = turn(log, bundle, newest, apply, self, skipped);
  if (!status.code) return status;
  if (!sqlite3_get_autocommit(log->db)) sqlite3_exec(log->db, "ROLLBACK", NULL, NULL, NULL);
  log->covered_seq = seq;
  log->covered_time = time;
  return status;
}

static int insert(moon_eventlog *log, moon_log_event *event) {
  sqlite3_stmt *s = log->insert;
  sqlite3_bind_int64(s, 1, event->time);
  sqlite3_bind_text(s, 2, event->user, -1, SQLITE_STATIC);
  sqlite3_bind_text(s, 3, event->item, -1, SQLITE_STATIC);
  sqlite3_bind_text(s, 4, event->kind, -1, SQLITE_STATIC);
  sqlite3_bind_text(s, 5, event->id, -1, SQLITE_STATIC); /* NULL binds NULL */
  int code = sqlite3_step(s);
  event->duplicate = code == SQLITE_DONE && !sqlite3_changes(log->db);
  sqlite3_reset(s);
  sqlite3_clear_bindings(s);
  return code == SQLITE_DONE ? SQLITE_OK : code;
}

/* In memory only ids are kept. */
static bool has_nothing_to_keep(const moon_eventlog *log, const moon_event_batch *batch) {
  for (size_t i = 0; i < batch->n; i++)
    if (batch->events[i].id || !log->memory) return false;
  return true;
}

moon_status moon_eventlog_commit(moon_eventlog *log, moon_event_batch *batch) {
  if (has_nothing_to_keep(log, batch)) return moon_ok();
  int code = sqlite3_exec(log->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
  for (size_t i = 0; i < batch->n && !code; i++)
    if (batch->events[i].id || !log->memory) code = insert(log, &batch->events[i]);
  if (!code) code = sqlite3_exec(log->db, "COMMIT", NULL, NULL, NULL);
  if (!code) return moon_ok();
  moon_status status = failure(log, code);
  if (!sqlite3_get_autocommit(log->db)) sqlite3_exec(log->db, "ROLLBACK", NULL, NULL, NULL);
  return status;
}

/* eventlog.h - accepted events on disk: a batch is one transaction, and what was acknowledged is there after any crash.
 *
 * An event may carry an id; a second event with the same id is a duplicate, for ever. The bundle's state already holds its
 * training log, and these events come on top. When a bundle is replaced by one trained later, the log says which of its older
 * events the new bundle must have seen: those up to the time of its newest event, as far as they were accepted before the change.
 * They are not replayed. */
#ifndef MOON_RUNTIME_EVENTLOG_H
#define MOON_RUNTIME_EVENTLOG_H

#include "base/base.h"

typedef struct moon_log_event { /* texts live in the batch's arena */
  const char *user, *item, *kind;
  const char *id;    /* NULL: none */
  int64_t time;
  uint32_t item_row; /* the caller's; not stored */
  bool duplicate;    /* set by moon_eventlog_commit */
} moon_log_event;

typedef struct moon_event_batch { /* zero-initialise to start */
  moon_log_event *events;
  size_t n, cap;
  moon_arena texts;
} moon_event_batch;
void moon_event_batch_reset(moon_event_batch *batch);
void moon_event_batch_free(moon_event_batch *batch);

typedef struct moon_eventlog moon_eventlog;
/* path: a file, made where absent, or NULL: in memory, where only ids are kept. bundle: what tells one bundle from another;
 * newest: the time of its newest event. MOON_EFORMAT: the file is broken or something else; MOON_EIO: in use by another process,
 * or the disk. */
moon_status moon_eventlog_open(const char *path, const char *bundle, int64_t newest, moon_eventlog **out);
void moon_eventlog_close(moon_eventlog *log);
/* Calls `apply` for each event to be replayed, in the order of acceptance; stops at its first failure. *skipped: those that the
 * bundle has seen. */
moon_status moon_eventlog_replay(moon_eventlog *log, moon_status (*apply)(void *self, const moon_log_event *event), void *self,
                                 size_t *skipped);
/* The log goes on beside another bundle, as if it had been closed and opened with that: its events are replayed for it. On any
 * failure it stays with the bundle that it had. One in memory forgets the ids it kept. */
moon_status moon_eventlog_turn(moon_eventlog *log, const char *bundle, int64_t newest,
                               moon_status (*apply)(void *self, const moon_log_event *event), void *self, size_t *skipped);
/* All of the batch is on disk when this returns, or nothing of it. From any thread, one at a time. */
moon_status moon_eventlog_commit(moon_eventlog *log, moon_event_batch *batch);

#endif

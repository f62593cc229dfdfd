/* events.c - what happens while pages are made: into the log first, then into the state.
 *
 * Events of a call are looked at twice, as the server does: once to find whether all of them are right, and only then to store them. */
#include <stdlib.h>
#include <string.h>

#include "runtime/internal.h"

static const moon_bundle *bundle_of(const moon_runtime *r) { return atomic_load(&((moon_runtime *)r)->current)->stock->bundle; }

/* ---- one event into the state */

moon_status moon_fold_event(const moon_bundle *bundle, const moon_log_event *event) {
  moon_state *state = bundle->state;
  uint32_t item = moon_dict_find(bundle->catalogue->ids, event->item, strlen(event->item)), user, kind;
  if (item == MOON_NONE) return moon_fail(MOON_ENOTFOUND, "there is no item '%.100s'", event->item);
  MOON_TRY(moon_state_kind(state, event->kind, strlen(event->kind), true, &kind));
  MOON_TRY(moon_state_user(state, event->user, strlen(event->user), true, &user));
  return moon_state_apply(state, user, item, kind, event->time);
}

moon_status moon_runtime_fold(moon_runtime *r, const moon_log_event *event) {
  pthread_mutex_lock(&r->folding);
  moon_status status = moon_fold_event(bundle_of(r), event);
  pthread_mutex_unlock(&r->folding);
  return status;
}

moon_status moon_runtime_admit(moon_runtime *r, const char *kind) {
  uint32_t code;
  pthread_mutex_lock(&r->folding);
  moon_status status = moon_state_kind(bundle_of(r)->state, kind, strlen(kind), true, &code);
  pthread_mutex_unlock(&r->folding);
  return status;
}

/* ---- the log */

moon_status moon_runtime_store(moon_runtime *r, moon_event_batch *batch) {
  pthread_mutex_lock(&r->logging);
  moon_status status = moon_eventlog_commit(r->log, batch);
  pthread_mutex_unlock(&r->logging);
  moon_runtime_sweep(r);
  return status;
}

typedef struct replay {
  const moon_bundle *bundle;
  uint64_t replayed, unknown;
} replay;

static moon_status replay_event(void *self, const moon_log_event *event) {
  replay *p = self;
  moon_status status = moon_fold_event(p->bundle, event);
  bool unknown = status.code == MOON_ENOTFOUND;
  ++*(unknown ? &p->unknown : &p->replayed);
  return unknown ? moon_ok() : status;
}

/* What tells this bundle from one trained before or after: its manifest, which holds the checksum of every file. */
static moon_status identity_of(const moon_bundle *bundle, char out[65]) {
  char *manifest = json_dumps(bundle->manifest, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
  if (!manifest) return moon_fail(MOON_ENOMEM, "no memory for the manifest");
  moon_sha256(manifest, strlen(manifest), out);
  free(manifest);
  return moon_ok();
}

moon_status moon_runtime_replay(moon_runtime *r, const moon_edition *edition, const char *path) {
  replay p = {.bundle = edition->stock->bundle};
  char identity[65];
  size_t covered = 0;
  int64_t newest = moon_state_clock(p.bundle->state);
  MOON_TRY(identity_of(p.bundle, identity));
  if (r->log) {
    MOON_TRY(moon_eventlog_turn(r->log, identity, newest, replay_event, &p, &covered));
  } else {
    MOON_TRY(moon_eventlog_open(path, identity, newest, &r->log));
    MOON_TRY(moon_eventlog_replay(r->log, replay_event, &p, &covered));
  }
  pthread_mutex_lock(&r->lock);
  r->counts.replayed = p.replayed;
  r->counts.covered = covered;
  r->counts.unknown = p.unknown;
  pthread_mutex_unlock(&r->lock);
  return moon_ok();
}

/* ---- events of a call */

static const moon_event_record *at(const moon_event_record *events, size_t stride, size_t i) {
  return (const moon_event_record *)((const char *)events + i * stride);
}

static moon_status take_event(moon_runtime *r, const moon_event_record *theirs, size_t stride, moon_log_event *out) {
  moon_event_record e;
  if (theirs->size != stride)
    return moon_fail(MOON_EINVAL, "its moon_event_record has the size %zu, that of the first is %zu", theirs->size, stride);
  MOON_TRY(moon_take_struct(theirs, "moon_event_record", sizeof e, sizeof e, &e));
  MOON_TRY(moon_check_event(&e));
  *out = (moon_log_event){.user = e.user, .item = e.item, .kind = e.kind, .id = e.id, .time = e.time};
  out->item_row = moon_dict_find(bundle_of(r)->catalogue->ids, e.item, strlen(e.item));
  if (out->item_row == MOON_NONE) return moon_fail(MOON_ENOTFOUND, "there is no item '%.100s'", e.item);
  return moon_runtime_admit(r, e.kind);
}

/* The batch borrows the caller's texts for the length of the call. */
static moon_status take_events(moon_runtime *r, const moon_event_record *events, size_t n) {
  size_t stride = events->size;
  MOON_TRY(moon_grow(&r->batch.events, &r->batch.cap, n, sizeof *r->batch.events));
  for (size_t i = 0; i < n; i++) {
    moon_status status = take_event(r, at(events, stride, i), stride, &r->batch.events[i]);
    if (status.code) return n > 1 ? moon_wrap(status, "event %zu", i) : status;
  }
  int64_t clock = moon_state_clock(bundle_of(r)->state); /* nobody folds but under r->logging */
  for (size_t i = 0; i < n; i++)
    if (!r->batch.events[i].time) r->batch.events[i].time = clock;
  r->batch.n = n;
  return moon_ok();
}

/* Under r->logging: bundle and state stay those that the events were looked at with. */
static moon_status ingest(moon_runtime *r, const moon_event_record *events, size_t n, size_t *duplicates) {
  moon_status status = moon_ok();
  MOON_TRY(take_events(r, events, n));
  MOON_TRY(moon_eventlog_commit(r->log, &r->batch));
  for (size_t i = 0; i < n; i++) {
    const moon_log_event *event = &r->batch.events[i];
    *duplicates += event->duplicate;
    moon_status one = event->duplicate ? moon_ok() : moon_runtime_fold(r, event);
    if (one.code && !status.code) status = moon_wrap(one, "event %zu could not be folded into the state", i);
  }
  return status;
}

moon_status moon_runtime_events(moon_runtime *r, const moon_event_record *events, size_t n, size_t *duplicates) {
  size_t twice = 0;
  if (duplicates) *duplicates = 0;
  MOON_TRY(moon_check_given(r, "runtime"));
  if (!n) return moon_ok();
  MOON_TRY(moon_check_given(events, "events"));
  pthread_mutex_lock(&r->logging);
  moon_status status = ingest(r, events, n, &twice);
  moon_event_batch_reset(&r->batch);
  pthread_mutex_lock(&r->lock);
  if (status.code) r->counts.events_refused += n;
  else r->counts.events += n, r->counts.events_duplicate += twice;
  pthread_mutex_unlock(&r->lock);
  pthread_mutex_unlock(&r->logging);
  moon_runtime_sweep(r);
  if (duplicates) *duplicates = twice;
  return status;
}

moon_status moon_runtime_event(moon_runtime *r, const moon_event_record *event) { return moon_runtime_events(r, event, 1, NULL); }

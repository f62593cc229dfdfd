/* replay.c - the log once more, from its first event to its last: compute what an example would have seen, then let the event happen.
 *
 * No input can know its own event or anything later, whatever the features are; there is nothing to configure and nothing to get wrong. */
#include <pthread.h>
#include <string.h>

#include "rank/dataset.h"

typedef struct renaming { /* the log's dense codes -> the state's */
  uint32_t *users, *kinds;
} renaming;

static moon_status name_kinds(const moon_log *log, moon_state *state, renaming *names) {
  size_t users = moon_dict_count(log->users), kinds = moon_dict_count(log->kinds);
  names->users = moon_alloc(users * sizeof *names->users);
  names->kinds = moon_alloc(kinds * sizeof *names->kinds);
  if (!names->users || !names->kinds) return moon_fail(MOON_ENOMEM, "no memory for %zu users", users);
  memset(names->users, 0xff, users * sizeof *names->users);
  for (uint32_t i = 0; i < kinds; i++)
    MOON_TRY(moon_state_kind(state, moon_dict_text(log->kinds, i), moon_dict_length(log->kinds, i), true, &names->kinds[i]));
  return moon_ok();
}

static moon_status happen(const moon_log *log, moon_state *state, renaming *names, const moon_event *event) {
  uint32_t *user = &names->users[event->user];
  if (*user == MOON_NONE) MOON_TRY(moon_state_user(state, moon_dict_text(log->users, event->user), moon_dict_length(log->users, event->user), true, user));
  return moon_state_apply(state, *user, event->item, names->kinds[event->kind], event->time);
}

moon_status moon_positions_find(const moon_dataset *d, moon_positions *out) {
  out->n = d->plan->position_count;
  out->columns = moon_calloc(out->n, sizeof *out->columns);
  out->values = moon_calloc(out->n, sizeof *out->values);
  if (!out->columns || !out->values) return moon_fail(MOON_ENOMEM, "no memory for %zu columns", out->n);
  for (size_t i = 0; i < d->plan->feature_count; i++) {
    const moon_feature *feature = &d->plan->features[i];
    moon_column *column;
    if (feature->op != MOON_FEATURE_POSITION) continue;
    MOON_TRY(moon_wrap(moon_table_require(d->log->table, feature->column, &column), "%s", feature->where));
    if (column->type == MOON_STRING)
      return moon_fail(MOON_EINVAL, "%s: column %s of %s holds strings; %s needs numbers", feature->where, feature->column, d->log->table->name,
                       feature->name);
    out->columns[feature->position] = column;
  }
  return moon_ok();
}

void moon_positions_free(moon_positions *positions) {
  moon_free(positions->columns);
  moon_free(positions->values);
  *positions = (moon_positions){0};
}

const float *moon_positions_of(const moon_positions *p, const moon_event *event) {
  for (size_t i = 0; i < p->n; i++) p->values[i] = (float)moon_column_number(p->columns[i], event->row);
  return p->values;
}

/* A sampled negative is at the place of the event that it was drawn for: where it is must not tell what it is. */
static void see(moon_dataset *d, const moon_state *state, const renaming *names, const moon_positions *p, const moon_event *event, size_t example) {
  uint32_t item = d->examples.item ? d->examples.item[example] : event->item;
  size_t row = moon_dataset_row(d, example);
  if (row != MOON_NONE)
    moon_features_compute_at(d->features, state, names->users[event->user], moon_dict_text(d->log->users, event->user), item, event->time,
                             moon_positions_of(p, event), &d->inputs, row);
  d->popularity[example] = (float)moon_state_item_total(state, item);
}

static moon_status walk(moon_dataset *d, moon_state *state, renaming *names, const moon_positions *p, const moon_progress *progress) {
  const moon_log *log = d->log;
  MOON_TRY(name_kinds(log, state, names));
  for (size_t i = 0, next = 0; i < log->n; i++) {
    while (next < d->examples.n && d->examples.event[next] == i) see(d, state, names, p, &log->events[i], next++);
    MOON_TRY(happen(log, state, names, &log->events[i]));
    if (i % 65536 == 0 && !moon_progress_step(progress, "replay", (double)i / (double)log->n, NULL))
      return moon_fail(MOON_ECANCELED, "interrupted while replaying events");
  }
  return moon_progress_step(progress, "replay", 1, NULL) ? moon_ok() : moon_fail(MOON_ECANCELED, "interrupted while replaying events");
}

/* ---- the state when the judged part began: of other events, so it is made beside the walk ----------------------------------------- */

static moon_status remember(moon_dataset *d, renaming *names) {
  MOON_TRY(name_kinds(d->log, d->state_then, names));
  for (size_t i = 0; i < d->known_n; i++) MOON_TRY(happen(d->log, d->state_then, names, &d->known[i]));
  return moon_ok();
}

static void forget(renaming *names) {
  moon_free(names->users);
  moon_free(names->kinds);
  *names = (renaming){0};
}

typedef struct memory {
  moon_dataset *d;
  moon_status status;
} memory;

static void *remember_beside(void *self) {
  memory *m = self;
  renaming names = {0};
  m->status = remember(m->d, &names);
  forget(&names);
  return NULL;
}

static moon_status walk_alone(moon_dataset *d, const moon_progress *progress) {
  moon_positions p = {0};
  renaming names = {0};
  moon_status status = moon_positions_find(d, &p);
  if (!status.code) status = walk(d, d->state, &names, &p, progress);
  moon_positions_free(&p);
  forget(&names);
  return status;
}

moon_status moon_replay(moon_dataset *d, const moon_progress *progress) {
  MOON_TRY(moon_inputs_alloc(d->plan, &d->arena, d->row ? d->part_n[d->judged] : d->examples.n, &d->inputs));
  d->popularity = moon_alloc(d->examples.n * sizeof *d->popularity);
  if (!d->popularity) return moon_fail(MOON_ENOMEM, "no memory for %zu examples", d->examples.n);
  MOON_TRY(moon_state_new(d->plan, &d->state));
  MOON_TRY(moon_state_new(d->plan, &d->state_then));
  memory beside = {d, moon_ok()};
  pthread_t thread;
  bool threaded = !pthread_create(&thread, NULL, remember_beside, &beside);
  moon_status status = walk_alone(d, progress);
  if (threaded) pthread_join(thread, NULL);
  else remember_beside(&beside);
  return status.code ? status : beside.status;
}

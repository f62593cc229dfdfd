/* parity.c - the same features by three executors, bit for bit.
 *
 * The log executor is the replay that made the data set: one state, all steps that are not fitted yet left for later. The stream executor
 * begins with what a bundle holds, read back from its bytes, and folds events in as a server gets them, one by one; twice on the way it is
 * put down and taken up again by a snapshot. The request executor asks that stream's state as a page does: many candidates in one call.
 * All share compute.c, so what is held here is all that stands around it: names and times on their way in, fitted numbers, vocabularies,
 * the catalogue, snapshots, and that a candidate is the same whoever stands beside it. */
#include <string.h>

#include "rank/bundle.h"
#include "rank/dataset.h"

enum { BATCH = 256, SHOWN = 5, CANDIDATES = 50, MANY = 500, MANY_EVERY = 512 };

/* ---- what serves: everything made anew from the bytes that a bundle keeps ------------------------------------------------------ */

typedef struct live {
  json_t *json; /* of the recipe's plan */
  moon_catalogue *catalogue;
  moon_feature_plan *plan;
  moon_vocab **vocabs;
  moon_features *features;
  moon_state *state;
} live;

static moon_status reread_json(const json_t *json, json_t **out) {
  moon_buf bytes = {0};
  moon_status status = moon_bundle_put_json(json, &bytes);
  if (!status.code) status = moon_bundle_parse_json(&bytes, out);
  moon_buf_free(&bytes);
  return status;
}

static moon_status reread_catalogue(const moon_catalogue *catalogue, moon_catalogue **out) {
  moon_buf bytes = {0};
  moon_status status = moon_catalogue_save(catalogue, &bytes);
  if (!status.code) status = moon_catalogue_load(bytes.data, bytes.n, out);
  moon_buf_free(&bytes);
  return status;
}

static moon_status reread_vocabs(const moon_dataset *d, live *l) {
  moon_buf bytes = {0};
  moon_status status = moon_bundle_put_vocabs(d->plan, d->vocabs, &bytes);
  if (!status.code) status = moon_bundle_parse_vocabs(&bytes, l->plan, &l->vocabs);
  moon_buf_free(&bytes);
  return status;
}

static moon_status live_open(const json_t *plan, const moon_dataset *d, live *l) {
  MOON_TRY(reread_json(plan, &l->json));
  MOON_TRY(reread_catalogue(d->catalogue, &l->catalogue));
  MOON_TRY(moon_feature_plan_of(l->json, l->catalogue, &l->plan));
  MOON_TRY(reread_vocabs(d, l));
  MOON_TRY(moon_features_bind(l->plan, l->catalogue, l->vocabs, &l->features));
  return moon_state_new(l->plan, &l->state);
}

static void live_close(live *l) {
  moon_state_free(l->state);
  moon_features_free(l->features);
  if (l->vocabs) moon_bundle_free_vocabs(l->vocabs, l->plan->feature_count);
  moon_feature_plan_free(l->plan);
  moon_catalogue_free(l->catalogue);
  json_decref(l->json);
}

/* The state goes on as what its snapshot says. */
static moon_status restart(live *l) {
  moon_buf bytes = {0};
  moon_state *fresh = NULL;
  moon_status status = moon_state_save(l->state, &bytes);
  if (!status.code) status = moon_state_load(bytes.data, bytes.n, l->plan, &fresh);
  moon_buf_free(&bytes);
  if (status.code) return status;
  moon_state_free(l->state);
  l->state = fresh;
  return moon_ok();
}

/* ---- comparing ------------------------------------------------------------------------------------------------------------------ */

typedef struct tally { /* of one executor */
  const char *executor;
  uint64_t values, bits;
  size_t shown;
} tally;

typedef struct trial {
  const moon_dataset *d;
  live live;
  moon_positions positions;
  moon_inputs one, many;
  uint32_t *candidates; /* [MANY] */
  size_t width;         /* of a usual request */
  size_t asked;         /* requests so far */
  moon_arena arena;
  tally stream, request;
  json_t *mismatches;
} trial;

const uint32_t *moon_input_words(const moon_feature_plan *plan, const moon_feature *f, const moon_inputs *in, size_t row, size_t *n) {
  *n = moon_feature_words(plan, f);
  if (f->kind == MOON_KIND_NUMBER) return (const uint32_t *)(const void *)(in->dense + row * plan->dense_slots + f->slot);
  if (f->kind == MOON_KIND_ID) return in->ids + row * plan->id_slots + f->slot;
  return in->bags + (row * plan->bag_slots + f->slot) * plan->bag_length;
}

static json_t *word_json(const moon_feature *f, uint32_t word) {
  float x;
  memcpy(&x, &word, sizeof x);
  return f->kind == MOON_KIND_NUMBER ? json_real((double)x) : json_integer(word);
}

static void show(trial *t, tally *of, const moon_feature *f, size_t example, uint32_t log, uint32_t got) {
  const moon_event *e = &t->d->log->events[t->d->examples.event[example]];
  char time[32], event[256];
  moon_time_format(e->time, time);
  snprintf(event, sizeof event, "user %.60s, item %.60s, %s", moon_dict_text(t->d->log->users, e->user), moon_catalogue_id(t->d->catalogue, e->item),
           time);
  json_array_append_new(t->mismatches, json_pack("{s:s, s:s, s:s, s:I, s:s, s:o, s:o}", "executor", of->executor, "feature", f->name, "where",
                                                 f->where, "example", (json_int_t)example, "event", event, "log", word_json(f, log), "got",
                                                 word_json(f, got)));
}

/* Row `row` of `in` against what the log executor has for the example. */
static void compare(trial *t, tally *of, const moon_inputs *in, size_t row, size_t example) {
  const moon_feature_plan *plan = t->d->plan;
  for (size_t i = 0; i < plan->feature_count; i++) {
    const moon_feature *f = &plan->features[i];
    size_t n;
    if (of == &t->request && moon_feature_has_position(plan, f)) continue;
    const uint32_t *log = moon_input_words(plan, f, &t->d->inputs, example, &n), *got = moon_input_words(plan, f, in, row, &n);
    of->values += n;
    if (!memcmp(log, got, n * sizeof *log)) continue;
    for (size_t k = 0; k < n; k++) {
      if (log[k] == got[k]) continue;
      of->bits += (uint64_t)__builtin_popcount(log[k] ^ got[k]);
      if (of->shown++ < SHOWN) show(t, of, f, example, log[k], got[k]);
    }
  }
}

/* ---- the walk ------------------------------------------------------------------------------------------------------------------- */

/* Other items around the example's, from all over the catalogue; mostly as many as a slot ranks, now and then as many as a page. */
static size_t choose(trial *t, uint32_t item, size_t *at) {
  size_t rows = moon_catalogue_rows(t->live.catalogue), n = ++t->asked % MANY_EVERY ? t->width : MANY;
  for (size_t i = 0; i < n; i++) t->candidates[i] = (uint32_t)((item + 1 + i * 7919) % rows);
  *at = t->asked % n;
  t->candidates[*at] = item;
  return n;
}

static moon_status see(trial *t, const moon_live_event *event, size_t example) {
  const live *l = &t->live;
  const moon_event *e = &t->d->log->events[t->d->examples.event[example]];
  uint32_t user, item = t->d->examples.item ? t->d->examples.item[example] : e->item;
  const char *id = moon_catalogue_id(t->d->catalogue, item);
  MOON_TRY(moon_state_user(l->state, event->user, strlen(event->user), false, &user));
  MOON_TRY(moon_catalogue_row(l->catalogue, id, strlen(id), false, &item));
  moon_features_compute_at(l->features, l->state, user, event->user, item, event->time, moon_positions_of(&t->positions, e), &t->one, 0);
  compare(t, &t->stream, &t->one, 0, example);
  size_t at, n = choose(t, item, &at);
  moon_features_compute(l->features, l->state, user, event->user, t->candidates, n, event->time, &t->many);
  compare(t, &t->request, &t->many, at, example);
  return moon_ok();
}

static moon_status happen(const live *l, const moon_live_event *event) {
  uint32_t user, item, kind;
  MOON_TRY(moon_state_user(l->state, event->user, strlen(event->user), true, &user));
  MOON_TRY(moon_state_kind(l->state, event->kind, strlen(event->kind), true, &kind));
  MOON_TRY(moon_catalogue_row(l->catalogue, event->item, strlen(event->item), false, &item));
  return moon_state_apply(l->state, user, item, kind, event->time);
}

static void tell(const moon_dataset *d, size_t from, size_t n, moon_live_event *out) {
  for (size_t i = 0; i < n; i++) {
    const moon_event *e = &d->log->events[from + i];
    out[i] = (moon_live_event){moon_dict_text(d->log->users, e->user), moon_catalogue_id(d->catalogue, e->item),
                               moon_dict_text(d->log->kinds, e->kind), e->time};
  }
}

static moon_status walk(trial *t, const moon_parity_options *options) {
  const moon_dataset *d = t->d;
  moon_live_event sent[BATCH], come[BATCH];
  size_t next = 0, third = d->log->n / 3 + 1;
  for (size_t from = 0; from < d->log->n; from += BATCH) {
    size_t n = d->log->n - from < BATCH ? d->log->n - from : BATCH;
    tell(d, from, n, sent);
    if (options->road) MOON_TRY(options->road(options->self, t->live.catalogue, sent, n, come));
    else memcpy(come, sent, n * sizeof *come);
    for (size_t i = 0; i < n; i++) {
      while (next < d->examples.n && d->examples.event[next] == from + i) MOON_TRY(see(t, &come[i], next++));
      MOON_TRY(happen(&t->live, &come[i]));
    }
    if ((from + n) / third != from / third && from + n < d->log->n) MOON_TRY(restart(&t->live));
    if (!moon_progress_step(options->progress, "parity", (double)from / (double)d->log->n, NULL))
      return moon_fail(MOON_ECANCELED, "interrupted while comparing executors");
  }
  return moon_ok();
}

/* ---- the whole ------------------------------------------------------------------------------------------------------------------ */

static moon_status prepare(trial *t, const json_t *plan, const moon_parity_options *options) {
  t->width = options->candidates ? options->candidates : CANDIDATES;
  if (t->width > MANY) return moon_fail(MOON_EINVAL, "a request has at most %d candidates here, not %zu", MANY, t->width);
  t->stream.executor = "stream", t->request.executor = "request";
  t->mismatches = json_array();
  t->candidates = moon_arena_alloc(&t->arena, MANY * sizeof *t->candidates);
  if (!t->mismatches || !t->candidates) return moon_fail(MOON_ENOMEM, "no memory to compare executors");
  MOON_TRY(moon_positions_find(t->d, &t->positions));
  MOON_TRY(moon_inputs_alloc(t->d->plan, &t->arena, 1, &t->one));
  MOON_TRY(moon_inputs_alloc(t->d->plan, &t->arena, MANY, &t->many));
  return live_open(plan, t->d, &t->live);
}

/* Whether both ends of the log know the same. */
static moon_status same_state(const trial *t, bool *same) {
  moon_buf log = {0}, stream = {0};
  moon_status status = moon_state_save(t->d->state, &log);
  if (!status.code) status = moon_state_save(t->live.state, &stream);
  *same = !status.code && log.n == stream.n && !memcmp(log.data, stream.data, log.n);
  moon_buf_free(&log);
  moon_buf_free(&stream);
  return status;
}

static json_t *tally_json(const tally *of) {
  return json_pack("{s:I, s:I}", "values", (json_int_t)of->values, "differing_bits", (json_int_t)of->bits);
}

static moon_status report(trial *t, json_t **out) {
  bool same;
  MOON_TRY(same_state(t, &same));
  json_t *stream = tally_json(&t->stream);
  json_object_set_new(stream, "state", json_boolean(same));
  *out = json_pack("{s:I, s:I, s:I, s:o, s:o, s:O}", "events", (json_int_t)t->d->log->n, "examples", (json_int_t)t->d->examples.n, "features",
                   (json_int_t)t->d->plan->feature_count, "stream", stream, "request", tally_json(&t->request), "mismatches", t->mismatches);
  return *out ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory for a report");
}

moon_status moon_parity(const json_t *plan, const moon_dataset *dataset, const moon_parity_options *options, json_t **out) {
  trial t = {.d = dataset};
  *out = NULL;
  moon_status status = prepare(&t, plan, options);
  if (!status.code) status = walk(&t, options);
  if (!status.code) status = report(&t, out);
  live_close(&t.live);
  moon_positions_free(&t.positions);
  moon_arena_free(&t.arena);
  json_decref(t.mismatches);
  return status;
}

/* ranking.c - for each user of the judged part: the whole catalogue in order, by the model and by each baseline.
 *
 * All that is used is what could be known when the part began: the state then, the neighbours then. Items that the user had touched
 * before are left out of the candidates and of what counts as found: finding again what somebody already knows is no feat. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rank/evaluate.h"

enum { DEFAULT_USERS = 2000, RECENT = 20, CHUNK = 2048 };

/* Items by user, as one list cut at `start` (users in the log's codes). */
typedef struct item_lists {
  size_t *start;   /* [users + 1] */
  uint32_t *items;
} item_lists;

typedef struct job {
  const moon_model *model;
  const moon_dataset *data;
  const uint32_t *number;    /* of the users, see evaluate.h */
  size_t items;              /* candidates are rows [0, items) */
  item_lists touched, wanted;
  uint32_t *users;           /* who is ranked, in the log's order */
  size_t user_n;
  moon_similar *similar;
  float *popular;            /* [items] */
  uint32_t *stamp;           /* [catalogue rows]: 2u where user number u touched it, 2u + 1 where it is wanted */
  uint32_t *candidates;      /* [items] */
  float *scores, *by_item;   /* [items]; by_item: neighbours' sums, zero between users */
  moon_lists *lists;         /* what comes out */
  moon_arena arena;
  moon_rng rng;
} job;

/* ---- who wanted what -------------------------------------------------------------------------------------------------------- */

static moon_status lists_new(size_t users, size_t entries, item_lists *lists) {
  lists->start = moon_calloc(users + 2, sizeof *lists->start);
  lists->items = moon_alloc(entries * sizeof *lists->items);
  return lists->start && lists->items ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory for the items of %zu users", users);
}

/* Counting sort by user: counts were put at start[user + 2] before; afterwards user's items lie in [start[user], start[user + 1]). */
static void lists_cut(item_lists *lists, size_t users) {
  for (size_t u = 2; u <= users + 1; u++) lists->start[u] += lists->start[u - 1];
}
static void lists_put(item_lists *lists, uint32_t user, uint32_t item) { lists->items[lists->start[user + 1]++] = item; }

static bool is_positive(const moon_dataset *d, size_t example) { return d->part[example] == d->judged && d->examples.label[example] > 0; }

static moon_status list_items(job *j) {
  const moon_dataset *d = j->data;
  size_t users = moon_dict_count(d->log->users), positives = 0;
  for (size_t i = 0; i < d->examples.n; i++) positives += is_positive(d, i);
  MOON_TRY(lists_new(users, d->known_n, &j->touched));
  MOON_TRY(lists_new(users, positives, &j->wanted));
  for (size_t i = 0; i < d->known_n; i++) j->touched.start[d->known[i].user + 2]++;
  for (size_t i = 0; i < d->examples.n; i++)
    if (is_positive(d, i)) j->wanted.start[d->log->events[d->examples.event[i]].user + 2]++;
  lists_cut(&j->touched, users);
  lists_cut(&j->wanted, users);
  for (size_t i = 0; i < d->known_n; i++) lists_put(&j->touched, d->known[i].user, d->known[i].item);
  for (size_t i = 0; i < d->examples.n; i++) {
    const moon_event *event = &d->log->events[d->examples.event[i]];
    if (is_positive(d, i)) lists_put(&j->wanted, event->user, event->item);
  }
  return moon_ok();
}

typedef struct drawn {
  uint64_t lot;
  uint32_t user;
} drawn;

static int by_lot(const void *a, const void *b) {
  const drawn *x = a, *y = b;
  return x->lot != y->lot ? (x->lot < y->lot ? -1 : 1) : (x->user > y->user) - (x->user < y->user);
}
static int by_user(const void *a, const void *b) {
  const uint32_t *x = a, *y = b;
  return (*x > *y) - (*x < *y);
}

/* At most `most` of the users who wanted something, drawn by a hash of their ids: the same ones whatever the order of the log. */
static moon_status choose_users(job *j, size_t most, uint64_t seed) {
  const moon_dict *names = j->data->log->users;
  size_t users = moon_dict_count(names), n = 0;
  drawn *lots = moon_alloc(users * sizeof *lots);
  j->users = moon_alloc(users * sizeof *j->users);
  if (!lots || !j->users) {
    moon_free(lots);
    return moon_fail(MOON_ENOMEM, "no memory for %zu users", users);
  }
  for (uint32_t u = 0; u < users; u++)
    if (j->wanted.start[u] < j->wanted.start[u + 1])
      lots[n++] = (drawn){moon_mix64(moon_hash(moon_dict_text(names, u), moon_dict_length(names, u)) ^ seed), u};
  if (n > most) qsort(lots, n, sizeof *lots, by_lot), n = most;
  for (size_t i = 0; i < n; i++) j->users[i] = lots[i].user;
  qsort(j->users, n, sizeof *j->users, by_user);
  j->user_n = n;
  moon_free(lots);
  return moon_ok();
}

/* ---- scoring the candidates of one user ------------------------------------------------------------------------------------- */

static moon_status score_by_model(job *j, uint32_t user, uint32_t state_user, size_t n) {
  const moon_dataset *d = j->data;
  for (size_t done = 0; done < n; done += CHUNK) {
    size_t count = n - done < CHUNK ? n - done : CHUNK;
    moon_inputs inputs;
    moon_arena_reset(&j->arena);
    MOON_TRY(moon_inputs_alloc(d->plan, &j->arena, count, &inputs));
    moon_features_compute(d->features, d->state_then, state_user, moon_dict_text(d->log->users, user), j->candidates + done, count, d->judged_from, &inputs);
    MOON_TRY(moon_model_score(j->model, &inputs, count, &j->arena, j->scores + done));
  }
  return moon_ok();
}

/* by_item holds the sums only in here. */
static void score_by_neighbours(job *j, uint32_t state_user, size_t n) {
  uint32_t recent[RECENT];
  size_t count = state_user == MOON_NONE ? 0 : moon_state_recent(j->data->state_then, state_user, recent, RECENT);
  moon_similar_sum(j->similar, recent, count, j->by_item, j->items);
  for (size_t i = 0; i < n; i++) j->scores[i] = j->by_item[j->candidates[i]];
  memset(j->by_item, 0, j->items * sizeof *j->by_item);
}

static moon_status score(job *j, int ranker, uint32_t user, size_t n) {
  uint32_t state_user;
  const moon_dict *names = j->data->log->users;
  MOON_TRY(moon_state_user(j->data->state_then, moon_dict_text(names, user), moon_dict_length(names, user), false, &state_user));
  if (ranker == MOON_BY_MODEL) return score_by_model(j, user, state_user, n);
  if (ranker == MOON_BY_NEIGHBOURS) score_by_neighbours(j, state_user, n);
  for (size_t i = 0; i < n && ranker == MOON_BY_POPULARITY; i++) j->scores[i] = j->popular[j->candidates[i]];
  for (size_t i = 0; i < n && ranker == MOON_BY_CHANCE; i++) j->scores[i] = (float)moon_rng_uniform(&j->rng);
  return moon_ok();
}

/* ---- users ------------------------------------------------------------------------------------------------------------------ */

/* Marks what the user touched and wants, lists the candidates, and adds what is wanted and can be found to the lists; answers how many
 * that are. */
static size_t mark(job *j, size_t number, size_t *candidates) {
  uint32_t user = j->users[number], touched = (uint32_t)number * 2 + 2, wants = touched + 1;
  uint32_t *wanted = j->lists->wanted + j->lists->wanted_start[j->lists->n];
  size_t relevant = 0, n = 0;
  for (size_t i = j->touched.start[user]; i < j->touched.start[user + 1]; i++) j->stamp[j->touched.items[i]] = touched;
  for (size_t i = j->wanted.start[user]; i < j->wanted.start[user + 1]; i++) {
    uint32_t item = j->wanted.items[i];
    if (item >= j->items || j->stamp[item] == touched || j->stamp[item] == wants) continue;
    j->stamp[item] = wants;
    wanted[relevant++] = item;
  }
  for (uint32_t item = 0; item < j->items; item++)
    if (j->stamp[item] != touched) j->candidates[n++] = item;
  *candidates = n;
  return relevant;
}

static moon_status rank_user(job *j, size_t number) {
  moon_lists *lists = j->lists;
  size_t n, at = lists->n, relevant = mark(j, number, &n);
  if (!relevant) return moon_ok();
  uint32_t wants = (uint32_t)number * 2 + 3;
  for (int ranker = 0; ranker < MOON_RANKERS; ranker++) {
    uint32_t *items = lists->items[ranker] + at * lists->depth;
    MOON_TRY(score(j, ranker, j->users[number], n));
    lists->shown[at] = moon_top_k(j->scores, n, lists->depth, items);
    for (size_t i = 0; i < lists->shown[at]; i++) {
      items[i] = j->candidates[items[i]];
      lists->hit[ranker][at * lists->depth + i] = j->stamp[items[i]] == wants;
    }
  }
  lists->user[at] = j->number[j->users[number]];
  lists->wanted_start[++lists->n] = lists->wanted_start[at] + relevant;
  return moon_ok();
}

/* ---- all of it -------------------------------------------------------------------------------------------------------------- */

static moon_status make_lists(job *j, const moon_evaluation *e, moon_arena *arena) {
  moon_lists *lists = j->lists;
  size_t users = j->user_n, wanted = j->wanted.start[moon_dict_count(j->data->log->users)];
  lists->depth = e->most_k > MOON_CURVE_K ? e->most_k : MOON_CURVE_K;
  lists->user = moon_arena_alloc(arena, users * sizeof *lists->user);
  lists->shown = moon_arena_alloc(arena, users * sizeof *lists->shown);
  lists->wanted_start = moon_arena_calloc(arena, (users + 1) * sizeof *lists->wanted_start);
  lists->wanted = moon_arena_alloc(arena, wanted * sizeof *lists->wanted);
  bool fine = lists->user && lists->shown && lists->wanted_start && lists->wanted;
  for (int ranker = 0; ranker < MOON_RANKERS; ranker++) {
    lists->items[ranker] = moon_arena_alloc(arena, users * lists->depth * sizeof *lists->items[ranker]);
    lists->hit[ranker] = moon_arena_calloc(arena, users * lists->depth);
    fine = fine && lists->items[ranker] && lists->hit[ranker];
  }
  return fine ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory for the lists of %zu users", users);
}

static moon_status prepare(job *j, uint64_t seed, const moon_evaluate_options *options, moon_evaluation *e) {
  const moon_dataset *d = j->data;
  size_t rows = moon_catalogue_rows(d->catalogue);
  j->items = e->items;
  moon_rng_seed(&j->rng, seed, 0x72616e6b); /* "rank" */
  MOON_TRY(list_items(j));
  MOON_TRY(choose_users(j, options && options->max_users ? options->max_users : DEFAULT_USERS, seed));
  MOON_TRY(make_lists(j, e, &e->arena));
  moon_log known = *d->log;
  known.events = d->known;
  known.n = d->known_n;
  MOON_TRY(moon_similar_new(&known, d->known_n, rows, NULL, options ? options->progress : NULL, &j->similar));
  j->popular = moon_alloc(j->items * sizeof *j->popular);
  j->stamp = moon_calloc(rows, sizeof *j->stamp);
  j->candidates = moon_alloc(j->items * sizeof *j->candidates);
  j->scores = moon_alloc(j->items * sizeof *j->scores);
  j->by_item = moon_calloc(j->items, sizeof *j->by_item);
  if (!j->popular || !j->stamp || !j->candidates || !j->scores || !j->by_item)
    return moon_fail(MOON_ENOMEM, "no memory to rank %zu items", j->items);
  for (uint32_t item = 0; item < j->items; item++) j->popular[item] = (float)moon_state_item_total(d->state_then, item);
  return moon_ok();
}

static void job_free(job *j) {
  moon_free(j->touched.start);
  moon_free(j->touched.items);
  moon_free(j->wanted.start);
  moon_free(j->wanted.items);
  moon_free(j->users);
  moon_similar_free(j->similar);
  moon_free(j->popular);
  moon_free(j->stamp);
  moon_free(j->candidates);
  moon_free(j->scores);
  moon_free(j->by_item);
  moon_arena_free(&j->arena);
}

moon_status moon_rank_users(const moon_model *model, const moon_dataset *dataset, uint64_t seed, const moon_evaluate_options *options,
                            const uint32_t *number, moon_evaluation *e) {
  job j = {.model = model, .data = dataset, .number = number, .lists = &e->lists};
  const moon_progress *progress = options ? options->progress : NULL;
  moon_status status = prepare(&j, seed, options, e);
  for (size_t i = 0; i < j.user_n && !status.code; i++) {
    char note[64];
    snprintf(note, sizeof note, "%zu of %zu users", i, j.user_n);
    status = rank_user(&j, i);
    if (!status.code && i % 16 == 0 && !moon_progress_step(progress, "evaluate", (double)i / (double)j.user_n, note))
      status = moon_fail(MOON_ECANCELED, "interrupted while evaluating");
  }
  moon_progress_step(progress, "evaluate", 1, NULL);
  job_free(&j);
  return status;
}

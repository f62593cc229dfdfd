/* evaluate.c - how good is the model, beside what costs nothing: popularity, chance, item-kNN.
 *
 * Two questions. Over the examples of the judged part: is this look going to end well (accuracy, AUC, log loss)? Over the whole
 * catalogue, for each of its users: are the things they went for near the top (ranking.c)? The answers are kept user by user, so that
 * they can be had for any slice and for any sample of users, and beside another model's. */
#include <math.h>
#include <string.h>

#include "rank/dataset.h"
#include "rank/evaluate.h"

const char *const moon_ranker_names[MOON_RANKERS] = {"model", "popular", "random", "item-knn"};

/* ---- over examples ---------------------------------------------------------------------------------------------------------- */

moon_status moon_score_examples(const moon_model *model, const moon_dataset *d, const uint32_t *rows, size_t n, float *scores) {
  enum { CHUNK = 2048 };
  const moon_feature_plan *plan = d->plan;
  size_t bag = plan->bag_slots * plan->bag_length;
  moon_arena arena = {0};
  moon_status status = moon_ok();
  for (size_t done = 0; done < n && !status.code; done += CHUNK) {
    size_t count = n - done < CHUNK ? n - done : CHUNK;
    moon_inputs chunk;
    moon_arena_reset(&arena);
    status = moon_inputs_alloc(plan, &arena, count, &chunk);
    for (size_t r = 0; r < count && !status.code; r++) {
      size_t row = moon_dataset_row(d, rows[done + r]);
      memcpy(chunk.dense + r * plan->dense_slots, d->inputs.dense + row * plan->dense_slots, plan->dense_slots * sizeof(float));
      memcpy(chunk.ids + r * plan->id_slots, d->inputs.ids + row * plan->id_slots, plan->id_slots * sizeof(uint32_t));
      memcpy(chunk.bags + r * bag, d->inputs.bags + row * bag, bag * sizeof(uint32_t));
    }
    if (!status.code) status = moon_model_score(model, &chunk, count, &arena, scores + done);
  }
  moon_arena_free(&arena);
  return status;
}

static uint32_t user_of(const moon_dataset *d, size_t example) { return d->log->events[d->examples.event[example]].user; }
static uint32_t item_of(const moon_dataset *d, size_t example) {
  return d->examples.item ? d->examples.item[example] : d->log->events[d->examples.event[example]].item;
}

/* Users with an example in the judged part, in the log's order; and where each one's examples begin. */
static moon_status number_users(const moon_dataset *d, uint64_t seed, uint32_t *number, moon_evaluation *e) {
  const moon_dict *names = d->log->users;
  size_t users = moon_dict_count(names);
  uint32_t *count = moon_calloc(users, sizeof *count);
  if (!count) return moon_fail(MOON_ENOMEM, "no memory for %zu users", users);
  for (size_t i = 0; i < d->examples.n; i++) count[user_of(d, i)] += d->part[i] == d->judged;
  for (size_t u = 0; u < users; u++) e->users += count[u] > 0;
  e->judged.start = moon_arena_calloc(&e->arena, (e->users + 1) * sizeof *e->judged.start);
  e->user_key = moon_arena_alloc(&e->arena, e->users * sizeof *e->user_key);
  bool fine = e->judged.start && e->user_key;
  for (uint32_t u = 0, n = 0; u < users && fine; u++) {
    number[u] = count[u] ? n : MOON_NONE;
    if (!count[u]) continue;
    e->user_key[n] = moon_mix64(moon_hash(moon_dict_text(names, u), moon_dict_length(names, u)) ^ moon_mix64(seed));
    e->judged.start[n + 1] = e->judged.start[n] + count[u];
    n++;
  }
  moon_free(count);
  return fine ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory for %zu users", users);
}

static moon_status make_judged(size_t n, moon_arena *arena, moon_judged *j) {
  j->n = n;
  j->label = moon_arena_alloc(arena, n * sizeof *j->label);
  j->item = moon_arena_alloc(arena, n * sizeof *j->item);
  bool fine = j->label && j->item;
  for (int scorer = 0; scorer < MOON_SCORERS; scorer++) fine = (j->score[scorer] = moon_arena_alloc(arena, n * sizeof(float))) && fine;
  return fine ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory to score %zu examples", n);
}

/* The same for the same example in any data set that has it. */
static uint64_t example_print(const moon_dataset *d, uint64_t user_key, uint32_t item, int64_t time, float label) {
  const char *id = moon_catalogue_id(d->catalogue, item);
  uint64_t print = moon_mix64(user_key ^ moon_hash(id, strlen(id)));
  return moon_mix64(moon_mix64(print ^ (uint64_t)time) + (label > 0));
}

/* What is judged, in the order of time: rows [n], and the place of each among its user's. */
static void place_examples(const moon_dataset *d, const uint32_t *number, uint32_t *next, uint32_t *rows, uint32_t *place, uint64_t seed, moon_evaluation *e) {
  moon_judged *j = &e->judged;
  size_t n = 0;
  moon_rng rng;
  moon_rng_seed(&rng, seed, 0x6368616e6365); /* "chance" */
  for (size_t i = 0; i < d->examples.n; i++) {
    if (d->part[i] != d->judged) continue;
    uint32_t user = number[user_of(d, i)], at = (uint32_t)j->start[user] + next[user]++;
    rows[n] = (uint32_t)i;
    place[n++] = at;
    j->score[MOON_BY_POPULARITY][at] = d->popularity[i];
    j->score[MOON_BY_CHANCE][at] = (float)moon_rng_uniform(&rng);
    j->label[at] = d->examples.label[i];
    j->item[at] = item_of(d, i);
    e->examples_print += example_print(d, e->user_key[user], j->item[at], d->log->events[d->examples.event[i]].time, j->label[at]);
  }
}

static moon_status judge(const moon_model *model, const moon_dataset *d, const uint32_t *number, uint64_t seed, moon_evaluation *e) {
  size_t n = d->part_n[d->judged];
  MOON_TRY(make_judged(n, &e->arena, &e->judged));
  uint32_t *next = moon_calloc(e->users, sizeof *next), *rows = moon_alloc(2 * n * sizeof *rows);
  float *scores = moon_alloc(n * sizeof *scores);
  moon_status status = next && rows && scores ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory to score %zu examples", n);
  if (!status.code) {
    place_examples(d, number, next, rows, rows + n, seed, e);
    status = moon_score_examples(model, d, rows, n, scores);
  }
  for (size_t i = 0; i < n && !status.code; i++) e->judged.score[MOON_BY_MODEL][rows[n + i]] = scores[i];
  moon_free(next);
  moon_free(rows);
  moon_free(scores);
  return status;
}

/* ---- all of it -------------------------------------------------------------------------------------------------------------- */

static json_t *about(const moon_dataset *d, const moon_judged *j) {
  size_t positives = 0;
  for (size_t i = 0; i < j->n; i++) positives += j->label[i] > 0;
  json_t *out = json_pack("{s:s, s:{s:I, s:I, s:I, s:o}}", "part", moon_part_name(d->judged), "examples", "train",
                          (json_int_t)(d->part_n[MOON_TRAIN] - d->negatives), "validation",
                          (json_int_t)(d->part_n[MOON_VALIDATION] - d->validation_negatives), "test",
                          (json_int_t)d->part_n[MOON_TEST], "positive_rate",
                          j->n ? json_real((double)positives / (double)j->n) : json_null());
  if (d->negatives) json_object_set_new(json_object_get(out, "examples"), "sampled_negatives", json_integer((json_int_t)d->negatives));
  return out;
}

/* The names outlive the plan that they came from. */
static moon_status take_metrics(const json_t *names, moon_evaluation *e) {
  MOON_TRY(moon_metrics_parse(names, e->metrics, &e->metric_n, &e->most_k));
  for (size_t i = 0; i < e->metric_n; i++)
    if (!(e->metrics[i].name = moon_arena_strdup(&e->arena, e->metrics[i].name))) return moon_fail(MOON_ENOMEM, "no memory for the metrics");
  return moon_ok();
}

static void print_lists(const moon_dataset *d, moon_evaluation *e) {
  const moon_lists *lists = &e->lists;
  for (size_t i = 0; i < lists->n; i++)
    for (size_t w = lists->wanted_start[i]; w < lists->wanted_start[i + 1]; w++)
      e->lists_print += example_print(d, e->user_key[lists->user[i]], lists->wanted[w], 0, 1);
  e->lists_print = moon_mix64(e->lists_print ^ e->items);
}

static moon_status fill(const moon_model *model, const moon_dataset *d, uint64_t seed, const moon_evaluate_options *options, uint32_t *number,
                        moon_evaluation *e) {
  e->rows = moon_catalogue_rows(d->catalogue);
  e->items = d->catalogue->listed < e->rows ? d->catalogue->listed : e->rows;
  e->probability = moon_model_gives_probability(model);
  MOON_TRY(number_users(d, seed, number, e));
  MOON_TRY(judge(model, d, number, seed, e));
  MOON_TRY(moon_slices_find(d, options ? options->slice : NULL, number, e));
  MOON_TRY(moon_rank_users(model, d, seed, options, number, e));
  print_lists(d, e);
  e->about = about(d, &e->judged);
  return e->about ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory for the evaluation");
}

moon_status moon_evaluation_new(const moon_model *model, const moon_dataset *d, const json_t *names, uint64_t seed,
                                const moon_evaluate_options *options, moon_evaluation **out) {
  *out = NULL;
  moon_evaluation *e = moon_calloc(1, sizeof *e);
  uint32_t *number = moon_alloc(moon_dict_count(d->log->users) * sizeof *number);
  moon_status status = e && number ? take_metrics(names, e) : moon_fail(MOON_ENOMEM, "no memory for an evaluation");
  if (!status.code) status = fill(model, d, seed, options, number, e);
  moon_free(number);
  if (status.code) moon_evaluation_free(e);
  else *out = e;
  return status;
}

void moon_evaluation_free(moon_evaluation *e) {
  if (!e) return;
  json_decref(e->about);
  moon_arena_free(&e->arena);
  moon_free(e);
}

moon_status moon_evaluate(const moon_model *model, const moon_dataset *dataset, const json_t *names, uint64_t seed, const moon_evaluate_options *options,
                          json_t **out) {
  moon_evaluation *e;
  *out = NULL;
  MOON_TRY(moon_evaluation_new(model, dataset, names, seed, options, &e));
  moon_status status = moon_evaluation_report(e, out);
  moon_evaluation_free(e);
  return status;
}

/* evaluate.c - how good is the model, beside what costs nothing: popularity, chance, item-kNN.
 *
 * Two questions. Over the examples of the judged part: is this look going to end well (accuracy, AUC, log loss)? Over the whole
 * catalogue, for each of its users: are the things they went for near the top (ranking.c)? */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "rank/evaluate.h"

/* ---- the list of metrics ---------------------------------------------------------------------------------------------------- */

static const char *const plain_names[] = {"accuracy", "auc", "logloss", "coverage", "recall@20", "ndcg@20"};

static bool parse_at(const char *name, const char *prefix, size_t *k) {
  size_t n = strlen(prefix);
  if (strncmp(name, prefix, n)) return false;
  char *end;
  unsigned long value = strtoul(name + n, &end, 10);
  if (end == name + n || *end || value < 1 || value > MOON_MOST_K) return false;
  *k = value;
  return true;
}

static moon_status parse_metric(const char *name, moon_metric *out) {
  *out = (moon_metric){.name = name};
  if (parse_at(name, "recall@", &out->k)) out->kind = MOON_METRIC_RECALL;
  else if (parse_at(name, "ndcg@", &out->k)) out->kind = MOON_METRIC_NDCG;
  else if (!strcmp(name, "accuracy")) out->kind = MOON_METRIC_ACCURACY;
  else if (!strcmp(name, "auc")) out->kind = MOON_METRIC_AUC;
  else if (!strcmp(name, "logloss")) out->kind = MOON_METRIC_LOGLOSS;
  else if (!strcmp(name, "coverage")) out->kind = MOON_METRIC_COVERAGE;
  else {
    const char *near = moon_nearest(name, plain_names, sizeof plain_names / sizeof *plain_names);
    return moon_fail(MOON_EINVAL, "evaluate: there is no metric '%s'%s%s%s", name, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
  }
  return moon_ok();
}

static moon_status parse_metrics(const json_t *names, moon_metric *out, size_t *n) {
  *n = json_array_size(names);
  if (!*n || *n > MOON_MOST_METRICS) return moon_fail(MOON_EINVAL, "evaluate: 1 to %d metrics, not %zu", MOON_MOST_METRICS, *n);
  for (size_t i = 0; i < *n; i++) {
    const char *name = json_string_value(json_array_get(names, i));
    if (!name) return moon_fail(MOON_EINVAL, "evaluate: metric %zu is not a name", i + 1);
    MOON_TRY(parse_metric(name, &out[i]));
  }
  return moon_ok();
}

/* ---- over examples ---------------------------------------------------------------------------------------------------------- */

typedef struct judged { /* the examples of the judged part, one entry each */
  float *model, *popular, *chance, *label;
  size_t n, positives;
} judged;

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
      size_t row = rows[done + r];
      memcpy(chunk.dense + r * plan->dense_slots, d->inputs.dense + row * plan->dense_slots, plan->dense_slots * sizeof(float));
      memcpy(chunk.ids + r * plan->id_slots, d->inputs.ids + row * plan->id_slots, plan->id_slots * sizeof(uint32_t));
      memcpy(chunk.bags + r * bag, d->inputs.bags + row * bag, bag * sizeof(uint32_t));
    }
    if (!status.code) status = moon_model_score(model, &chunk, count, &arena, scores + done);
  }
  moon_arena_free(&arena);
  return status;
}

static void judged_free(judged *j) {
  moon_free(j->model);
  *j = (judged){0};
}

static moon_status judge(const moon_model *model, const moon_dataset *d, uint64_t seed, judged *j) {
  size_t n = d->part_n[d->judged];
  float *block = moon_alloc(4 * n * sizeof *block);
  uint32_t *rows = moon_alloc(n * sizeof *rows);
  *j = (judged){.model = block};
  if (!block || !rows) {
    moon_free(rows);
    return moon_fail(MOON_ENOMEM, "no memory to score %zu examples", n);
  }
  j->popular = block + n, j->chance = block + 2 * n, j->label = block + 3 * n;
  moon_rng rng;
  moon_rng_seed(&rng, seed, 0x6368616e6365); /* "chance" */
  for (size_t i = 0; i < d->examples.n; i++) {
    if (d->part[i] != d->judged) continue;
    rows[j->n] = (uint32_t)i;
    j->popular[j->n] = d->popularity[i];
    j->chance[j->n] = (float)moon_rng_uniform(&rng);
    j->label[j->n] = d->examples.label[i];
    j->positives += j->label[j->n++] > 0;
  }
  moon_status status = moon_score_examples(model, d, rows, j->n, j->model);
  moon_free(rows);
  return status;
}

/* ---- the answer ------------------------------------------------------------------------------------------------------------- */

static json_t *number(double x) { return isfinite(x) ? json_real(x) : json_null(); }

/* One column of the table, of a model or (NULL) of a baseline; NaN where a metric says nothing about this way of scoring. */
static double value_of(const moon_metric *metric, size_t index, const float *scores, bool probability, const judged *j, const moon_ranking *ranking) {
  switch (metric->kind) {
    case MOON_METRIC_ACCURACY: return probability ? moon_accuracy(scores, j->label, j->n) : NAN;
    case MOON_METRIC_LOGLOSS: return probability ? moon_logloss(scores, j->label, j->n) : NAN;
    case MOON_METRIC_AUC: return scores ? moon_auc(scores, j->label, j->n) : NAN;
    default: return ranking->value[index];
  }
}

static json_t *column(const moon_metric *metrics, size_t n, const float *scores, const moon_model *model, const judged *j, const moon_ranking *ranking) {
  json_t *out = json_object();
  for (size_t i = 0; i < n; i++) {
    double value = value_of(&metrics[i], i, scores, model && moon_model_gives_probability(model), j, ranking);
    if (model || !isnan(value)) json_object_set_new(out, metrics[i].name, number(value));
  }
  return out;
}

static json_t *counts(const moon_dataset *d, const judged *j) {
  json_t *out = json_pack("{s:I, s:I, s:I, s:o}", "train", (json_int_t)(d->part_n[MOON_TRAIN] - d->negatives), "validation",
                          (json_int_t)(d->part_n[MOON_VALIDATION] - d->validation_negatives), "test", (json_int_t)d->part_n[MOON_TEST], "positive_rate",
                          number(j->n ? (double)j->positives / (double)j->n : NAN));
  if (d->negatives) json_object_set_new(out, "sampled_negatives", json_integer((json_int_t)d->negatives));
  return out;
}

moon_status moon_evaluate(const moon_model *model, const moon_dataset *d, const json_t *names, uint64_t seed, const moon_evaluate_options *options,
                          json_t **out) {
  *out = NULL;
  moon_metric metrics[MOON_MOST_METRICS];
  size_t n;
  judged j = {0};
  moon_ranking ranking[MOON_RANKERS];
  size_t users = 0;
  MOON_TRY(parse_metrics(names, metrics, &n));
  moon_status status = judge(model, d, seed, &j);
  if (!status.code) status = moon_rank_users(model, d, metrics, n, seed, options, ranking, &users);
  if (!status.code) {
    *out = json_pack("{s:s, s:o, s:I, s:o, s:{s:o, s:o, s:o}}", "part", moon_part_name(d->judged), "examples", counts(d, &j), "users", (json_int_t)users,
                     "model", column(metrics, n, j.model, model, &j, &ranking[MOON_BY_MODEL]), "baselines", "popular",
                     column(metrics, n, j.popular, NULL, &j, &ranking[MOON_BY_POPULARITY]), "random",
                     column(metrics, n, j.chance, NULL, &j, &ranking[MOON_BY_CHANCE]), "item-knn",
                     column(metrics, n, NULL, NULL, &j, &ranking[MOON_BY_NEIGHBOURS]));
    if (!*out) status = moon_fail(MOON_ENOMEM, "no memory for the evaluation");
  }
  judged_free(&j);
  return status;
}

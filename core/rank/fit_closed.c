/* fit_closed.c - models that are computed and not trained: EASE, item-kNN, content, popular, trending.
 *
 * All of them are weights between items or of items (nn/layer_closed.c), so all there is to do is to fill in a table. What they are made of
 * are the events of the training part; of a user's history that part of it which the layer will be shown when it scores, and whole. Where
 * similar items of the rest of the house are counted (retrieve/shared.c), these are too; what items are like, their features say
 * (fit_content.c). */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "rank/dataset.h"
#include "rank/fit_closed.h"
#include "retrieve/shared.h"

/* ---- the events ------------------------------------------------------------------------------------------------------------------ */

/* wanted: [kinds of the log] by name; a kind that no event has is none. */
static moon_status list_kinds(const moon_dataset *d, const char *const *names, size_t n, uint8_t **out) {
  size_t kinds = moon_dict_count(d->log->kinds);
  uint8_t *wanted = moon_calloc(kinds, 1);
  if (!wanted) return moon_fail(MOON_ENOMEM, "no memory for %zu kinds of events", kinds);
  for (uint32_t kind = 0; kind < kinds; kind++) {
    wanted[kind] = n == 0;
    for (size_t i = 0; i < n; i++) wanted[kind] |= !strcmp(moon_dict_text(d->log->kinds, kind), names[i]);
  }
  *out = wanted;
  return moon_ok();
}

/* Those of the training part, of the kinds and of known items, with the items' ids for rows. */
static moon_status list_events(closed_job *job, const char *const *names, size_t n) {
  const moon_dataset *d = job->data;
  uint8_t *training = NULL, *wanted = NULL;
  job->events = moon_alloc(d->log->n * sizeof *job->events);
  moon_status status = job->events ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory for %zu events", d->log->n);
  if (!status.code) status = moon_list_training(d, &training);
  if (!status.code) status = list_kinds(d, names, n, &wanted);
  for (size_t i = 0; i < d->log->n && !status.code; i++) {
    moon_event event = d->log->events[i];
    if (!training[i] || !wanted[event.kind]) continue;
    event.item = moon_features_item_id(d->features, event.item);
    if (event.item) job->events[job->n++] = event;
  }
  moon_free(training);
  moon_free(wanted);
  if (!status.code && !job->n) status = closed_fail(job, "the training part has no event to compute it from");
  return status;
}

/* Those of kinds that an option of the layer names: a list, all where it is none. */
static moon_status list_events_of(closed_job *job) {
  const json_t *list = json_object_get(job->closed.options, "of");
  size_t n = json_array_size(list);
  const char **names = moon_alloc((n + 1) * sizeof *names);
  if (!names) return moon_fail(MOON_ENOMEM, "no memory for %zu names", n);
  for (size_t i = 0; i < n; i++) {
    const char *name = json_string_value(json_array_get(list, i));
    names[i] = name ? name : "";
  }
  moon_status status = list_events(job, names, n);
  moon_free(names);
  return status;
}

/* Those that the layer's history is made of; of several people, since one alone says nothing of what goes together. */
static moon_status list_history(closed_job *job) {
  const moon_feature_plan *plan = job->data->plan;
  const moon_feature *history = NULL;
  model_input input = job->model->inputs[job->closed.history];
  for (size_t i = 0; i < plan->feature_count; i++)
    if (plan->features[i].kind == MOON_KIND_BAG && plan->features[i].slot == input.slot) history = &plan->features[i];
  if (!history || history->op != MOON_FEATURE_HISTORY || history->shares == SIZE_MAX ||
      plan->features[history->shares].op != MOON_FEATURE_ID)
    return closed_fail(job, "reads a history of items: m.history \"item\"");
  MOON_TRY(list_events(job, (const char *const *)history->kinds, history->kind_count));
  for (size_t i = 1; i < job->n; i++)
    if (job->events[i].user != job->events[0].user) return moon_ok();
  return closed_fail(job, "the training part has 1 user; which items go together, only several can tell");
}

/* ---- EASE ------------------------------------------------------------------------------------------------------------------------ */

/* X'X + l2 I of the binary matrix of users and items, [n, n] without the unknown. */
static moon_status put_gram(closed_job *job, size_t n, double l2, double *gram) {
  moon_shared shared;
  MOON_TRY(moon_shared_new(job->events, job->n, job->closed.items, SIZE_MAX, &shared));
  moon_status status = moon_ok();
  for (uint32_t item = 1; item <= n && !status.code; item++) {
    double *row = gram + (item - 1) * n;
    size_t met = moon_shared_count(&shared, item);
    for (size_t i = 0; i < met; i++) {
      row[shared.met[i] - 1] = shared.count[shared.met[i]];
      shared.count[shared.met[i]] = 0;
    }
    row[item - 1] += l2;
    status = closed_tell(job, 0.3 * item / (double)n);
  }
  moon_shared_free(&shared);
  return status;
}

/* B = I - P diag(P)^-1 with P the inverse; what item j gets of item i is -P[i, j] / P[j, j], kept in row j. */
static void take_weights(const moon_closed *c, const double *p, size_t n) {
  for (size_t j = 0; j < n; j++) {
    float *row = c->weight + (j + 1) * c->items + 1;
    for (size_t i = 0; i < n; i++) row[i] = (float)(-p[j * n + i] / p[j * n + j]);
    row[j] = 0;
  }
}

/* Steck 2019, "Embarrassingly Shallow Autoencoders for Sparse Data". In f64: with a small l2 the matrix is far from well-conditioned. */
static moon_status fit_ease(closed_job *job) {
  size_t n = job->closed.items - 1;
  MOON_TRY(list_history(job));
  double *p = moon_calloc(n * n, sizeof *p);
  if (!p)
    return moon_fail(MOON_ENOMEM, "%s: ease: no memory for %zu x %zu numbers, %.1f GB", job->closed.where, n, n,
                     (double)n * (double)n * 8e-9);
  moon_status status = put_gram(job, n, json_number_value(json_object_get(job->closed.options, "l2")), p);
  if (!status.code) status = moon_wrap(moon_inverse_spd(p, n), "%s: ease: l2 is too small for these events", job->closed.where);
  if (!status.code) take_weights(&job->closed, p, n);
  moon_free(p);
  return status;
}

/* ---- item-kNN -------------------------------------------------------------------------------------------------------------------- */

static moon_status fit_item_knn(closed_job *job) {
  const moon_closed *c = &job->closed;
  const json_t *given = json_object_get(c->options, "shrink");
  double shrink = given ? json_number_value(given) : 10;
  MOON_TRY(list_history(job));
  moon_log log = *job->data->log;
  log.events = job->events, log.n = job->n;
  const moon_similar_options options = {
      .neighbours = c->k, .window = SIZE_MAX, .shrink = shrink > 0 ? shrink : DBL_MIN}; /* 0 is its default */
  moon_similar *similar;
  MOON_TRY(moon_similar_new(&log, log.n, c->items, &options, job->progress, &similar));
  for (uint32_t item = 1; item < c->items; item++) {
    const uint32_t *near;
    const float *score;
    size_t n = moon_similar_of(similar, item, &near, &score);
    for (size_t i = 0; i < n; i++) c->weight[item * c->k + i] = score[i], c->neighbour[item * c->k + i] = near[i];
  }
  moon_similar_free(similar);
  return moon_ok();
}

/* ---- popular, trending ------------------------------------------------------------------------------------------------------------ */

/* Each event counts 1, or half as much after each half-life; as of the last. */
static moon_status fit_bias(closed_job *job, double half_life) {
  MOON_TRY(list_events_of(job));
  double *sum = moon_calloc(job->closed.items, sizeof *sum);
  if (!sum) return moon_fail(MOON_ENOMEM, "no memory for %zu items", job->closed.items);
  int64_t now = job->events[job->n - 1].time;
  for (size_t i = 0; i < job->n; i++) sum[job->events[i].item] += exp2(-(double)(now - job->events[i].time) / half_life);
  for (size_t item = 0; item < job->closed.items; item++) job->closed.bias[item] = (float)sum[item];
  moon_free(sum);
  return moon_ok();
}

static moon_status fit_popular(closed_job *job) {
  return fit_bias(job, INFINITY);
}

static moon_status fit_trending(closed_job *job) {
  return fit_bias(job, json_number_value(json_object_get(job->closed.options, "half_life_us")));
}

/* ---- all of it --------------------------------------------------------------------------------------------------------------------- */

moon_status closed_fail(const closed_job *job, const char *message) {
  return moon_fail(MOON_EINVAL, "%s: %s: %s", job->closed.where, moon_closed_name(job->closed.fit), message);
}

moon_status closed_tell(const closed_job *job, double fraction) {
  if (moon_progress_step(job->progress, "fit", fraction, moon_closed_name(job->closed.fit))) return moon_ok();
  return moon_fail(MOON_ECANCELED, "interrupted; nothing was written");
}

static moon_status fit_one(closed_job *job) {
  static moon_status (*const fits[MOON_CLOSED_FITS])(closed_job *) = {fit_ease, fit_item_knn, closed_fit_content, fit_popular,
                                                                      fit_trending};
  model_input item = job->model->inputs[job->closed.item];
  if (item.kind != MODEL_ID || item.slot != job->model->item_slot)
    return closed_fail(job, "scores the item by its id: m.id \"item\"");
  job->events = NULL, job->n = 0;
  if (job->closed.items < 2) return closed_fail(job, "there are no items: m.id \"item\" knows none");
  moon_status status = closed_tell(job, 0);
  if (!status.code) status = fits[job->closed.fit](job);
  moon_free(job->events);
  return status;
}

moon_status moon_fit_closed(moon_model *model, const moon_dataset *dataset, const moon_progress *progress,
                            moon_fit_report *report) {
  int64_t started = moon_monotonic();
  closed_job job = {.model = model, .data = dataset, .progress = progress};
  for (size_t i = 0; moon_module_closed(model->module, i, &job.closed); i++) MOON_TRY(fit_one(&job));
  moon_module_closed_written(model->module);
  report->seconds = (double)(moon_monotonic() - started) / MOON_SECOND;
  moon_progress_step(progress, "fit", 1, NULL);
  return moon_model_compile(model);
}

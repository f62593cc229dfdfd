/* dataset.c - from a recipe's plan and a folder of files to examples with inputs.
 *
 *   files -> tables -> rules -> log and catalogue -> examples -> split -> vocabularies -> replay -> fitted numbers
 *
 * The replay (replay.c) is the one place where inputs come from, so training sees what serving will see. This file does the rest. */
#include <string.h>

#include "rank/dataset.h"

const char *moon_part_name(moon_part part) {
  static const char *const names[] = {"train", "validation", "test"};
  return (unsigned)part < MOON_PARTS ? names[part] : "?";
}

/* ---- reading ---------------------------------------------------------------------------------------------------------------- */

static moon_status read_items(moon_dataset *d, const json_t *plan, const moon_dataset_options *options) {
  const json_t *source = json_object_get(json_object_get(plan, "sources"), "items");
  moon_table *table = NULL;
  if (source) MOON_TRY(moon_source_read(source, options->data_dir, options->max_bad_rows, options->progress, &table, &d->items_report));
  if (table && !table->rows) {
    moon_status status = moon_fail(MOON_EFORMAT, "%s holds no items", table->name);
    moon_table_free(table);
    return status;
  }
  return moon_catalogue_new(table, &d->catalogue);
}

static moon_status read_events(moon_dataset *d, const json_t *plan, const moon_dataset_options *options) {
  const json_t *source = json_object_get(json_object_get(plan, "sources"), "events"), *rules = json_object_get(plan, "preprocess");
  moon_table *table = NULL;
  if (!source) return moon_fail(MOON_EINVAL, "the plan has no events");
  MOON_TRY(moon_source_read(source, options->data_dir, options->max_bad_rows, options->progress, &table, &d->events_report));
  d->rules = moon_calloc(json_array_size(rules), sizeof *d->rules);
  d->rule_count = json_array_size(rules);
  moon_status status = d->rules ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory for %zu rules", d->rule_count);
  if (!status.code && !table->rows) status = moon_fail(MOON_EFORMAT, "%s holds no events", table->name);
  if (!status.code) status = moon_preprocess(rules, table, options->functions, d->rules);
  if (!status.code && !table->rows) status = moon_fail(MOON_EFORMAT, "%s: the preprocess rules left no event", table->name);
  if (status.code) {
    moon_table_free(table);
    return status;
  }
  return moon_log_new(table, d->catalogue, &d->log);
}

/* ---- the split -------------------------------------------------------------------------------------------------------------- */

static int64_t time_of(const moon_dataset *d, size_t example) { return d->log->events[d->examples.event[example]].time; }

/* Examples are in time order, so a part is a range; equal times stay together in the later part. */
static void split_by_time(moon_dataset *d, const double *shares) {
  size_t n = d->examples.n, start[MOON_PARTS + 1] = {0, 0, 0, n};
  double sum = 0;
  for (int part = 1; part < MOON_PARTS; part++) {
    sum += shares[part - 1];
    size_t at = (size_t)(sum * (double)n + 0.5);
    if (at > n) at = n;
    while (at > start[part - 1] && at < n && time_of(d, at - 1) == time_of(d, at)) at--;
    start[part] = at > start[part - 1] ? at : start[part - 1];
    if (shares[part] == 0 && part == MOON_TEST) start[part] = n;
  }
  for (int part = 0; part < MOON_PARTS; part++)
    for (size_t i = start[part]; i < start[part + 1]; i++) d->part[i] = (uint8_t)part;
}

static void split_at_random(moon_dataset *d, const double *shares, uint64_t seed) {
  moon_rng rng;
  moon_rng_seed(&rng, seed, 0x73706c6974); /* "split" */
  for (size_t i = 0; i < d->examples.n; i++) {
    double draw = moon_rng_uniform(&rng);
    d->part[i] = draw < shares[0] ? MOON_TRAIN : draw < shares[0] + shares[1] ? MOON_VALIDATION : MOON_TEST;
    if (d->part[i] == MOON_TEST && shares[MOON_TEST] == 0) d->part[i] = MOON_TRAIN; /* shares that sum to a hair under 1 */
  }
}

static moon_status split(moon_dataset *d, const json_t *train) {
  const json_t *spec = json_object_get(train, "split"), *parts = json_object_get(spec, "parts");
  const char *by = json_string_value(json_object_get(spec, "by"));
  double shares[MOON_PARTS];
  for (int part = 0; part < MOON_PARTS; part++) shares[part] = json_number_value(json_array_get(parts, (size_t)part));
  if (!by || !(shares[0] > 0) || !(shares[1] >= 0) || !(shares[2] >= 0)) return moon_fail(MOON_EINVAL, "the plan's split does not parse");
  d->part = moon_calloc(d->examples.n, 1);
  if (!d->part) return moon_fail(MOON_ENOMEM, "no memory to split %zu examples", d->examples.n);
  if (!strcmp(by, "random")) split_at_random(d, shares, (uint64_t)json_integer_value(json_object_get(train, "seed")));
  else split_by_time(d, shares);
  for (size_t i = 0; i < d->examples.n; i++) d->part_n[d->part[i]]++;
  d->judged = d->part_n[MOON_TEST] ? MOON_TEST : d->part_n[MOON_VALIDATION] ? MOON_VALIDATION : MOON_TRAIN;
  if (!d->part_n[MOON_TRAIN]) return moon_fail(MOON_EINVAL, "the split leaves no example to train on (%zu in all)", d->examples.n);
  return moon_ok();
}

static moon_status check_classes(const moon_dataset *d) {
  size_t positives = 0;
  for (size_t i = 0; i < d->examples.n; i++) positives += d->part[i] == MOON_TRAIN && d->examples.label[i] > 0;
  if (positives && positives < d->part_n[MOON_TRAIN]) return moon_ok();
  return moon_fail(MOON_EINVAL, "the label gives %s positive among %zu training examples; a model needs both kinds%s", positives ? "only" : "not one",
                   d->part_n[MOON_TRAIN], positives ? " (the label's negatives = N draws some)" : "");
}

static moon_status sample(moon_dataset *d, const json_t *plan) {
  json_int_t each = json_integer_value(json_object_get(json_object_get(plan, "label"), "negatives"));
  if (each < 0) return moon_fail(MOON_EINVAL, "the label's negatives must be 0 or more, not %lld", (long long)each);
  MOON_TRY(moon_add_negatives(d, (size_t)each, (uint64_t)json_integer_value(json_object_get(json_object_get(plan, "train"), "seed"))));
  return check_classes(d);
}

/* What could be known when the judged part began: `known` marks it event by event. */
static moon_status list_known(moon_dataset *d, const json_t *train) {
  const char *by = json_string_value(json_object_get(json_object_get(train, "split"), "by"));
  bool random = by && !strcmp(by, "random");
  d->known = moon_alloc(d->log->n * sizeof *d->known);
  uint8_t *judged = moon_calloc(d->log->n, 1);
  if (!d->known || !judged) {
    moon_free(judged);
    return moon_fail(MOON_ENOMEM, "no memory to list %zu events", d->log->n);
  }
  d->judged_from = INT64_MAX;
  for (size_t i = 0; i < d->examples.n; i++) {
    if (d->part[i] != d->judged) continue;
    judged[d->examples.event[i]] = 1;
    if (time_of(d, i) < d->judged_from) d->judged_from = time_of(d, i);
  }
  for (size_t i = 0; i < d->log->n; i++)
    if (random ? !judged[i] : d->log->events[i].time < d->judged_from) d->known[d->known_n++] = d->log->events[i];
  if (random && d->log->n) d->judged_from = d->log->events[d->log->n - 1].time;
  moon_free(judged);
  return moon_ok();
}

/* ---- all of it -------------------------------------------------------------------------------------------------------------- */

static moon_status build(moon_dataset *d, const json_t *plan, const moon_dataset_options *options) {
  const json_t *train = json_object_get(plan, "train");
  MOON_TRY(read_items(d, plan, options));
  MOON_TRY(read_events(d, plan, options));
  MOON_TRY(moon_label(json_object_get(plan, "label"), d->log, &d->examples));
  MOON_TRY(split(d, train));
  MOON_TRY(list_known(d, train));
  MOON_TRY(sample(d, plan));
  MOON_TRY(moon_feature_plan_new(json_object_get(plan, "features"), d->catalogue, &d->plan));
  d->vocabs_borrowed = options->vocab_of != NULL;
  if (d->vocabs_borrowed) d->vocabs = options->vocab_of->vocabs;
  else MOON_TRY(moon_learn_texts(d, options->data_dir));
  MOON_TRY(moon_features_bind(d->plan, d->catalogue, d->vocabs, &d->features));
  MOON_TRY(moon_replay(d, options->progress));
  return moon_learn_numbers(d);
}

moon_status moon_dataset_new(const json_t *plan, const moon_dataset_options *options, moon_dataset **out) {
  *out = NULL;
  moon_dataset *d = moon_calloc(1, sizeof *d);
  if (!d) return moon_fail(MOON_ENOMEM, "no memory for a data set");
  moon_status status = build(d, plan, options);
  if (status.code) moon_dataset_free(d);
  else *out = d;
  return status;
}

void moon_dataset_free(moon_dataset *d) {
  if (!d) return;
  moon_state_free(d->state);
  moon_state_free(d->state_then);
  moon_features_free(d->features);
  for (size_t i = 0; d->vocabs && !d->vocabs_borrowed && i < d->plan->feature_count; i++) moon_vocab_free(d->vocabs[i]);
  if (!d->vocabs_borrowed) moon_free(d->vocabs);
  for (size_t i = 0; d->vectors && i < d->plan->feature_count; i++) moon_tensor_free(d->vectors[i]);
  moon_free(d->vectors);
  moon_feature_plan_free(d->plan);
  moon_examples_free(&d->examples);
  moon_log_free(d->log);
  moon_catalogue_free(d->catalogue);
  moon_free(d->part);
  moon_free(d->known);
  moon_free(d->popularity);
  moon_free(d->rules);
  moon_arena_free(&d->arena);
  moon_free(d);
}

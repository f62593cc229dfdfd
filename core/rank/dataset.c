/* dataset.c - from a recipe's plan and a folder of files to examples with inputs.
 *
 *   files -> tables -> rules -> log and catalogue -> examples -> split -> vocabularies -> replay -> fitted numbers
 *
 * The replay (replay.c) is the one place where inputs come from, so training sees what serving will see. split.c parts the examples,
 * negatives.c adds to them; this file does the rest. */
#include <string.h>

#include "rank/dataset.h"

const char *moon_part_name(moon_part part) {
  static const char *const names[] = {"train", "validation", "test"};
  return (unsigned)part < MOON_PARTS ? names[part] : "?";
}

/* ---- reading ---------------------------------------------------------------------------------------------------------------- */

static moon_source_options source_options(const moon_dataset_options *options) {
  return (moon_source_options){options->data_dir, options->max_bad_rows, options->rejects, options->progress};
}

static moon_status read_items(moon_dataset *d, const json_t *plan, const moon_dataset_options *options) {
  const moon_preprocess_options reach = {options->functions, source_options(options)};
  moon_table *table = NULL;
  MOON_TRY(moon_items_read(plan, &reach, &table, &d->items_report));
  if (table && !table->rows) {
    moon_status status = moon_fail(MOON_EFORMAT, "%s holds no items", table->name);
    moon_table_free(table);
    return status;
  }
  return moon_catalogue_new(table, &d->catalogue);
}

/* Drops what happened later. */
static moon_status cut(moon_table *table, int64_t until) {
  moon_column *time;
  MOON_TRY(moon_table_require(table, "time", &time));
  uint8_t *keep = moon_alloc(table->rows);
  if (!keep) return moon_fail(MOON_ENOMEM, "no memory for %zu events", table->rows);
  for (size_t i = 0; i < table->rows; i++) keep[i] = time->type == MOON_TIME && time->i64[i] <= until;
  moon_table_keep(table, keep);
  moon_free(keep);
  return table->rows ? moon_ok() : moon_fail(MOON_EFORMAT, "%s holds no events so early", table->name);
}

static moon_status read_events(moon_dataset *d, const json_t *plan, const moon_dataset_options *options) {
  const json_t *source = json_object_get(json_object_get(plan, "sources"), "events"), *rules = json_object_get(plan, "preprocess");
  const moon_preprocess_options reach = {options->functions, source_options(options)};
  moon_table *table = NULL;
  if (!source) return moon_fail(MOON_EINVAL, "the plan has no events");
  MOON_TRY(moon_source_read(source, &reach.source, &table, &d->events_report));
  d->rules = moon_calloc(json_array_size(rules), sizeof *d->rules);
  d->rule_count = json_array_size(rules);
  moon_status status = d->rules ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory for %zu rules", d->rule_count);
  if (!status.code && !table->rows) status = moon_fail(MOON_EFORMAT, "%s holds no events", table->name);
  if (!status.code && options->until) status = cut(table, *options->until);
  if (!status.code) status = moon_preprocess(rules, table, &reach, d->rules);
  if (!status.code && !table->rows) status = moon_fail(MOON_EFORMAT, "%s: the preprocess rules left no event", table->name);
  if (status.code) {
    moon_table_free(table);
    return status;
  }
  return moon_log_new(table, d->catalogue, &d->log);
}

/* ---- examples --------------------------------------------------------------------------------------------------------------- */

/* A task of which all examples end alike teaches nothing. */
moon_status moon_check_classes(const json_t *plan, size_t task, const char *what, const moon_examples *examples, const uint8_t *part) {
  const json_t *label = moon_label_at(json_object_get(plan, "label"), task);
  const char *where = moon_text_in(label, "where"), *name = moon_text_in(label, "task");
  bool closed = moon_plan_is_closed(json_object_get(plan, "model")); /* of events, whatever became of them */
  size_t n = 0, positives = 0;
  moon_loss loss;
  for (size_t i = 0; i < examples->n; i++) {
    if (part && part[i] != MOON_TRAIN) continue;
    n++, positives += examples->label[task * examples->n + i] > 0;
  }
  MOON_TRY(moon_loss_parse(json_object_get(plan, "train"), &loss));
  if (positives && (positives < n || moon_loss_compares(loss) || closed)) return moon_ok();
  if (closed)
    return moon_fail(MOON_EINVAL, "%s: label%s%s: none of %zu %s is a success, and there is nothing to learn from", *where ? where : "recipe", *name ? " " : "",
                     name, n, what);
  return moon_fail(MOON_EINVAL, "%s: label%s%s: %s of %zu %s is a success, and a model needs both kinds%s", *where ? where : "recipe", *name ? " " : "", name,
                   positives ? "each" : "none", n, what, positives ? " (negatives = N draws the other)" : "");
}

static moon_status name_tasks(moon_dataset *d, const json_t *label) {
  d->tasks = moon_arena_calloc(&d->arena, d->examples.tasks * sizeof *d->tasks);
  if (!d->tasks) return moon_fail(MOON_ENOMEM, "no memory for the names of tasks");
  for (size_t t = 0; t < d->examples.tasks && json_is_array(label); t++) {
    const char *name = json_string_value(json_object_get(moon_label_at(label, t), "task"));
    if (!name) return moon_fail(MOON_EINVAL, "label %zu of several has no name", t + 1);
    if (!(d->tasks[t] = moon_arena_strdup(&d->arena, name))) return moon_fail(MOON_ENOMEM, "no memory for the names of tasks");
  }
  return moon_ok();
}

static moon_status sample(moon_dataset *d, const json_t *plan) {
  MOON_TRY(moon_add_negatives(d, json_object_get(plan, "label"), json_object_get(plan, "train")));
  for (size_t t = 0; t < d->examples.tasks; t++) MOON_TRY(moon_check_classes(plan, t, "training examples", &d->examples, d->part));
  return moon_ok();
}

/* ---- all of it -------------------------------------------------------------------------------------------------------------- */

/* What a label is made of is not known while serving, and would be the whole answer. */
static moon_status check_positions(const json_t *features, const json_t *label) {
  const char *column = json_string_value(json_object_get(label, "column"));
  const json_t *feature;
  size_t i;
  json_array_foreach(features, i, feature) {
    const char *op = json_string_value(json_object_get(feature, "op")), *own = json_string_value(json_object_get(feature, "column")),
               *where = json_string_value(json_object_get(feature, "where"));
    if (column && op && own && !strcmp(op, "position") && !strcmp(own, column))
      return moon_fail(MOON_EINVAL, "%s: the feature reads the column %s, which the label is made of: it knows the answer", where ? where : "recipe",
                       column);
    MOON_TRY(check_positions(json_object_get(feature, "inputs"), label)); /* of a formula */
  }
  return moon_ok();
}

static moon_status bind(moon_dataset *d, const json_t *plan, const moon_dataset_options *options) {
  MOON_TRY(moon_feature_plan_of(plan, d->catalogue, &d->plan));
  d->vocabs_borrowed = options->vocabs != NULL;
  if (d->vocabs_borrowed) d->vocabs = options->vocabs;
  else MOON_TRY(moon_learn_texts(d, options));
  return moon_features_bind(d->plan, d->catalogue, d->vocabs, &d->features);
}

/* Every event, without a label: what came before a cut is not asked what came of it. */
static moon_status take_all(moon_dataset *d) {
  size_t n = d->log->n;
  d->examples = (moon_examples){.event = moon_alloc(n * sizeof(uint32_t)), .label = moon_calloc(n, sizeof(float)), .n = n, .tasks = 1};
  if (!d->examples.event || !d->examples.label) return moon_fail(MOON_ENOMEM, "no memory for %zu events", n);
  for (size_t i = 0; i < n; i++) d->examples.event[i] = (uint32_t)i;
  return moon_ok();
}

static moon_status divide(moon_dataset *d, const json_t *plan, bool spare_test) {
  const json_t *train = json_object_get(plan, "train");
  MOON_TRY(moon_label(json_object_get(plan, "label"), d->log, &d->examples));
  MOON_TRY(name_tasks(d, json_object_get(plan, "label")));
  MOON_TRY(moon_split(d, train, spare_test));
  MOON_TRY(moon_list_known(d, train));
  return sample(d, plan);
}

/* Whether nobody reads the inputs of other parts: a model in closed form is fitted to events, unless features are fitted to inputs. */
static bool only_judged_are_read(const moon_dataset *d, const json_t *plan, const moon_dataset_options *options) {
  bool fits = false;
  for (size_t i = 0; i < d->plan->feature_count; i++) fits |= moon_feature_fitted(&d->plan->features[i]) > 0;
  return options->judged_only && !options->until && !fits && moon_plan_is_closed(json_object_get(plan, "model"));
}

/* With whole histories in each, rows are large. */
static moon_status number_rows(moon_dataset *d) {
  uint32_t n = 0;
  d->row = moon_alloc(d->examples.n * sizeof *d->row);
  if (!d->row) return moon_fail(MOON_ENOMEM, "no memory for %zu examples", d->examples.n);
  for (size_t i = 0; i < d->examples.n; i++) d->row[i] = d->part[i] == d->judged ? n++ : MOON_NONE;
  return moon_ok();
}

static moon_status build(moon_dataset *d, const json_t *plan, const moon_dataset_options *options) {
  for (size_t t = 0; t < moon_label_count(json_object_get(plan, "label")); t++)
    MOON_TRY(check_positions(json_object_get(plan, "features"), moon_label_at(json_object_get(plan, "label"), t)));
  MOON_TRY(read_items(d, plan, options));
  MOON_TRY(read_events(d, plan, options));
  if (options->until) MOON_TRY(take_all(d));
  else MOON_TRY(divide(d, plan, options->spare_test));
  MOON_TRY(bind(d, plan, options));
  if (only_judged_are_read(d, plan, options)) MOON_TRY(number_rows(d));
  MOON_TRY(moon_replay(d, options->progress));
  return options->until || d->row ? moon_ok() : moon_learn_numbers(d);
}

/* ---- what became of the rows ------------------------------------------------------------------------------------------------ */

static json_t *file_json(const moon_read_report *report) {
  json_t *reasons = json_object();
  for (moon_reject why = 0; why < MOON_REJECTS; why++)
    if (report->reasons[why]) json_object_set_new(reasons, moon_reject_name(why), json_integer((json_int_t)report->reasons[why]));
  return json_pack("{s:I, s:I, s:o}", "rows", (json_int_t)report->rows, "malformed", (json_int_t)report->bad_rows, "reasons", reasons);
}

static json_t *log_json(const moon_log_report *r) {
  return json_pack("{s:I, s:I, s:I, s:I}", "out_of_order", (json_int_t)r->out_of_order, "duplicates", (json_int_t)r->duplicates,
                   "before_1970", (json_int_t)r->before_1970, "after_gap", (json_int_t)r->after_gap);
}

static json_t *rule_json(const moon_rule_report *report, bool samples) {
  json_t *rule = json_pack("{s:s, s:s, s:I, s:I}", "rule", report->rule, "why", report->why, "before", (json_int_t)report->before, "after",
                           (json_int_t)report->after);
  json_t *list = samples ? json_array() : NULL;
  for (size_t i = 0; i < MOON_RULE_SAMPLES && list && *report->sample[i]; i++) json_array_append_new(list, json_string(report->sample[i]));
  if (list) json_object_set_new(rule, "dropped", list);
  return rule;
}

json_t *moon_dataset_report(const moon_dataset *d, bool samples) {
  json_t *rules = json_array();
  for (size_t i = 0; i < d->rule_count; i++) json_array_append_new(rules, rule_json(&d->rules[i], samples));
  return json_pack("{s:o, s:o, s:o, s:o}", "items", file_json(&d->items_report), "events", file_json(&d->events_report), "rules", rules,
                   "log", log_json(&d->log->report));
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
  moon_free(d->drawn);
  moon_free(d->row);
  moon_free(d->event_part);
  moon_free(d->known_own);
  moon_free(d->popularity);
  moon_free(d->rules);
  moon_arena_free(&d->arena);
  moon_free(d);
}

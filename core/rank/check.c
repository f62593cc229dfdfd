/* check.c - what the data says of a recipe: all that is wrong and not only the first of it.
 *
 * Each part is tried on its own: a column that a file lacks is left out and the rest read, a feature is laid out without the others.
 * What would only follow from something told of before is left out. */
#include <stdio.h>
#include <string.h>

#include "rank/dataset.h"

typedef struct check {
  const json_t *plan;
  const moon_dataset_options *options;
  moon_source_options source;
  const moon_findings *findings;
  json_t *lacks;    /* {column: true}: of the items, told of */
  moon_status stop; /* nothing further can be said: no memory, interrupted */
} check;

/* Tells of a failure; whether there was one. */
static bool told(check *c, moon_status status) {
  if (!status.code) return false;
  if (status.code == MOON_ENOMEM || status.code == MOON_ECANCELED)
    c->stop = status;
  else
    moon_tell(c->findings, true, status.message);
  return true;
}

/* ---- tables ----------------------------------------------------------------------------------------------------------------- */

/* Tells of the column that the input lacks, on the line that asks for it, and takes it out of the source. */
static void drop_column(check *c, json_t *source, size_t at, const char *message, json_t *lacks) {
  json_t *columns = json_object_get(source, "columns"), *column = json_array_get(columns, at);
  const char *where = moon_text_in(source, "where"), *place = moon_text_in(column, "where");
  size_t n = strlen(where);
  bool placed = n && *place && !strncmp(message, where, n) && message[n] == ':';
  told(c, placed ? moon_fail(MOON_ENOTFOUND, "%s%s", place, message + n) : moon_fail(MOON_ENOTFOUND, "%s", message));
  if (lacks) json_object_set_new(lacks, moon_text_in(column, "name"), json_true());
  json_array_remove(columns, at);
}

/* The table as far as it can be read; *whole: it lacks nothing. NULL where nothing can be read. */
static moon_table *read_table(check *c, const json_t *source, json_t *lacks, bool *whole) {
  json_t *copy = json_deep_copy(source);
  moon_table *table = NULL;
  *whole = false;
  if (!copy) c->stop = moon_fail(MOON_ENOMEM, "no memory to check a table");
  for (bool first = true; copy && !c->stop.code && json_array_size(json_object_get(copy, "columns")); first = false) {
    moon_read_report report = {0};
    moon_status status = moon_source_read(copy, &c->source, &table, &report);
    *whole = first && !status.code;
    if (!status.code) break;
    table = NULL;
    if (!report.missing) {
      told(c, status);
      break;
    }
    drop_column(c, copy, report.missing - 1, status.message, lacks);
  }
  json_decref(copy);
  return table;
}

/* ---- items and features ------------------------------------------------------------------------------------------------------ */

static bool reads_lacking(const check *c, const json_t *feature) {
  const json_t *name;
  size_t i;
  json_array_foreach(json_object_get(feature, "columns"), i,
                     name) if (json_object_get(c->lacks, json_is_string(name) ? json_string_value(name) : "")) return true;
  json_array_foreach(json_object_get(feature, "inputs"), i, name) if (reads_lacking(c, name)) return true;
  return json_object_get(c->lacks, moon_text_in(feature, "column")) || json_object_get(c->lacks, moon_text_in(feature, "by"));
}

static moon_status lay_out(const json_t *features, const moon_catalogue *items) {
  moon_feature_plan *plan = NULL;
  moon_status status = moon_feature_plan_new(features, items, &plan);
  moon_feature_plan_free(plan);
  return status;
}

/* Whether it fits the columns as they are declared. Where it does not, that is told of without the data. */
static bool fits_declared(const check *c, const json_t *features) {
  moon_catalogue *declared = NULL;
  moon_status status = moon_draw_items(c->plan, features, &declared);
  if (!status.code) status = lay_out(features, declared);
  moon_catalogue_free(declared);
  return !status.code;
}

/* Histories lean on other features and read no column. */
static void check_features(check *c, const moon_catalogue *items) {
  const json_t *feature;
  size_t i;
  json_array_foreach(json_object_get(c->plan, "features"), i, feature) {
    if (c->stop.code || !strcmp(moon_text_in(feature, "op"), "history") || reads_lacking(c, feature)) continue;
    json_t *alone = json_pack("[O]", feature);
    moon_status status = alone ? lay_out(alone, items) : moon_fail(MOON_ENOMEM, "no memory to check a feature");
    if (status.code == MOON_ENOMEM || (status.code && fits_declared(c, alone))) told(c, status);
    json_decref(alone);
  }
}

/* Functions are not run on items that lack something: what they would have made is lacking too. */
static void note_unmade(check *c) {
  const json_t *rule;
  size_t i;
  json_array_foreach(json_object_get(c->plan, "item_columns"), i, rule)
      json_object_set_new(c->lacks, moon_text_in(rule, "column"), json_true());
}

/* The catalogue for the events; NULL where it cannot be had. */
static moon_catalogue *check_items(check *c) {
  const json_t *source = json_object_get(json_object_get(c->plan, "sources"), "items");
  moon_catalogue *items = NULL;
  bool whole = true;
  moon_table *table = source ? read_table(c, source, c->lacks, &whole) : NULL;
  if (source && (!table || c->stop.code || json_object_get(c->lacks, "item"))) {
    moon_table_free(table);
    return NULL;
  }
  const moon_preprocess_options reach = {c->options->functions, c->source};
  if (table && whole && told(c, moon_preprocess(json_object_get(c->plan, "item_columns"), table, &reach, NULL))) whole = false;
  if (source && !whole) note_unmade(c);
  if (table && !table->rows) told(c, moon_fail(MOON_EFORMAT, "%s: %s holds no items", moon_text_in(source, "where"), table->name));
  moon_status status = moon_catalogue_new(table, &items);
  if (status.code) {
    told(c, source ? moon_wrap(status, "%s", moon_text_in(source, "where")) : status);
    return NULL;
  }
  check_features(c, items);
  return items;
}

/* ---- events ----------------------------------------------------------------------------------------------------------------- */

typedef struct kinds { /* that the events have */
  const char **names;
  size_t n;
  const char *file;
} kinds;

static moon_status list_kinds(const moon_table *events, kinds *out) {
  const moon_column *column = moon_table_column(events, "event");
  size_t codes = column && column->type == MOON_STRING ? moon_dict_count(column->dict) : 0;
  out->names = moon_calloc(codes + 1, sizeof *out->names);
  uint8_t *seen = moon_calloc(codes + 1, 1);
  if (!out->names || !seen) {
    moon_free(seen);
    return moon_fail(MOON_ENOMEM, "no memory to list %zu kinds of events", codes);
  }
  for (size_t row = 0; codes && row < events->rows; row++)
    if (column->code[row] != MOON_NONE) seen[column->code[row]] = 1;
  for (size_t code = 0; code < codes; code++)
    if (seen[code]) out->names[out->n++] = moon_dict_text(column->dict, (uint32_t)code);
  if (!column) out->names[out->n++] = "event";
  moon_free(seen);
  return moon_ok();
}

/* Whether all of the kinds are among those that there are. */
static bool check_kinds(const check *c, const kinds *known, bool error, const json_t *owner, const char *what, const char *key) {
  const json_t *kind;
  bool fine = true;
  size_t i;
  json_array_foreach(json_object_get(owner, key), i, kind) {
    const char *name = json_string_value(kind), *near;
    size_t at = 0;
    while (name && at < known->n && strcmp(known->names[at], name)) at++;
    if (!name || at < known->n) continue;
    near = moon_nearest(name, known->names, known->n);
    moon_status status = moon_fail(MOON_ENOTFOUND, "%s: %s: there is no event '%.100s' in %s%s%s%s", moon_text_in(owner, "where"),
                                   what, name, known->file, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    moon_tell(c->findings, error, status.message);
    fine = false;
  }
  return fine;
}

/* Of a list of features, and of what goes into them. */
static void check_feature_kinds(const check *c, const kinds *known, const json_t *features) {
  static const char *const keys[] = {"kinds", "numerator", "denominator"};
  const json_t *feature;
  size_t i;
  json_array_foreach(features, i, feature) {
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
      check_kinds(c, known, false, feature, moon_text_in(feature, "name"), keys[k]);
    check_feature_kinds(c, known, json_object_get(feature, "inputs"));
  }
}

static bool check_all_kinds(check *c, const moon_table *events) {
  const json_t *label = json_object_get(c->plan, "label");
  kinds known = {.file = events->name};
  bool fine = !told(c, list_kinds(events, &known));
  if (fine) {
    fine = check_kinds(c, &known, true, label, "m.label", "positive");
    fine &= check_kinds(c, &known, true, label, "m.label", "of");
    check_feature_kinds(c, &known, json_object_get(c->plan, "features"));
  }
  moon_free(known.names);
  return fine;
}

static bool keeps_kinds(const json_t *rules);

/* Whether the script says itself that the column of the events holds strings, and no rule makes something else of it. */
static bool declared_string(const check *c, const char *name) {
  const json_t *columns = json_object_get(json_object_get(json_object_get(c->plan, "sources"), "events"), "columns"), *column;
  size_t i;
  json_array_foreach(columns, i, column) if (!strcmp(moon_text_in(column, "name"), name) && !strcmp(moon_text_in(column, "type"), "string"))
      return keeps_kinds(json_object_get(c->plan, "preprocess"));
  return false;
}

/* A column of the events that must hold numbers; what is missing or declared as strings was told of by the script's own check. */
static void check_number(check *c, const moon_table *events, const char *where, const char *name, const char *what) {
  const moon_column *column = *name ? moon_table_column(events, name) : NULL;
  if (column && column->type == MOON_STRING && !declared_string(c, name))
    told(c, moon_fail(MOON_EINVAL, "%s: column %s of %s holds strings; %s needs numbers", where, name, events->name, what));
}

static void check_numbers(check *c, const moon_table *events) {
  const json_t *train = json_object_get(c->plan, "train"), *feature;
  size_t i;
  json_array_foreach(json_object_get(c->plan, "features"), i, feature) if (!strcmp(moon_text_in(feature, "op"), "position"))
      check_number(c, events, moon_text_in(feature, "where"), moon_text_in(feature, "column"), moon_text_in(feature, "name"));
  check_number(c, events, moon_text_in(c->plan, "where"), moon_text_in(train, "weight"), "weight");
}

/* Over the whole log: whether the training part has both kinds, only training tells. */
static void check_classes(check *c, const json_t *label, const moon_examples *examples) {
  size_t positives = 0;
  for (size_t i = 0; i < examples->n; i++) positives += examples->label[i] > 0;
  bool draws = json_integer_value(json_object_get(label, "negatives")) > 0;
  if (!positives || !draws) told(c, moon_check_classes(c->plan, "examples", positives, examples->n));
}

/* Takes the table. The label is tried where its kinds are there. */
static void check_log(check *c, moon_table *events, moon_catalogue *items) {
  const json_t *label = json_object_get(c->plan, "label");
  moon_log *log = NULL;
  moon_examples examples = {0};
  bool fine = check_all_kinds(c, events);
  check_numbers(c, events);
  moon_status status = moon_log_new(events, items, &log);
  if (!told(c, moon_wrap(status, "%s", moon_text_in(json_object_get(json_object_get(c->plan, "sources"), "events"), "where"))) &&
      fine && label && !told(c, moon_label(label, log, &examples)))
    check_classes(c, label, &examples);
  moon_examples_free(&examples);
  moon_log_free(log);
}

/* The tables that rules join; whether they are there. */
static bool check_joined(check *c) {
  const json_t *rule;
  bool whole, all = true;
  size_t i;
  json_array_foreach(json_object_get(c->plan, "preprocess"), i, rule) {
    const json_t *source = json_object_get(rule, "source");
    if (!source || c->stop.code) continue;
    moon_table_free(read_table(c, source, NULL, &whole));
    all &= whole;
  }
  return all;
}

/* Whether the rules leave the kinds of events as they are in the file. */
static bool keeps_kinds(const json_t *rules) {
  static const char *const ops[] = {"map", "fill", "cast", "rename"};
  const json_t *rule;
  size_t i;
  json_array_foreach(rules, i, rule) for (size_t op = 0; op < sizeof ops / sizeof *ops;
                                          op++) if (!strcmp(moon_text_in(rule, "op"), ops[op])) return false;
  return true;
}

/* Takes the events, as the file has them. */
static void check_rules(check *c, moon_table *events, moon_catalogue *items) {
  const char *where = moon_text_in(json_object_get(json_object_get(c->plan, "sources"), "events"), "where");
  const moon_preprocess_options reach = {c->options->functions, c->source};
  bool done = false;
  if (!events->rows)
    told(c, moon_fail(MOON_EFORMAT, "%s: %s holds no events", where, events->name));
  else
    done = !told(c, moon_preprocess(json_object_get(c->plan, "preprocess"), events, &reach, NULL));
  if (done && !events->rows) told(c, moon_fail(MOON_EFORMAT, "%s: %s: the preprocess rules left no event", where, events->name));
  if (done && events->rows && items)
    check_log(c, events, items);
  else
    moon_table_free(events);
}

/* Rules run over what lacks nothing, with all tables that they join. */
static void check_events(check *c, moon_catalogue *items) {
  const json_t *source = json_object_get(json_object_get(c->plan, "sources"), "events"),
               *rules = json_object_get(c->plan, "preprocess");
  bool whole = false;
  moon_table *events = source ? read_table(c, source, NULL, &whole) : NULL;
  whole &= check_joined(c);
  if (events && whole && !c->stop.code) {
    check_rules(c, events, items);
    return;
  }
  if (events && !c->stop.code && moon_table_column(events, "event") && rules && keeps_kinds(rules)) check_all_kinds(c, events);
  moon_table_free(events);
}

moon_status moon_recipe_check(const json_t *plan, const moon_dataset_options *options, const moon_findings *findings) {
  check c = {plan,     options,       {options->data_dir, options->max_bad_rows, options->rejects, options->progress},
             findings, json_object(), moon_ok()};
  if (!c.lacks) return moon_fail(MOON_ENOMEM, "no memory to check a recipe");
  moon_catalogue *items = check_items(&c);
  if (!c.stop.code) check_events(&c, items);
  moon_catalogue_free(items);
  json_decref(c.lacks);
  return c.stop;
}

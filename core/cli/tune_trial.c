/* tune_trial.c - the file of a trial, as the search writes it and the process that runs it answers in it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/tune.h"

enum { FILE_LIMIT = 64 << 20 };

static moon_status read_json(const char *path, json_t **out) {
  moon_buf text = {0};
  json_error_t error;
  *out = NULL;
  moon_status status = moon_file_read(path, FILE_LIMIT, &text);
  if (!status.code) {
    *out = json_loadb(text.data ? text.data : "", text.n, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(*out)) {
      status = moon_fail(MOON_EFORMAT, "%s is not a JSON object: line %d: %s", path, error.line, *out ? "another value" : error.text);
      json_decref(*out);
      *out = NULL;
    }
  }
  moon_buf_free(&text);
  return status;
}

static bool is_values(const json_t *list) {
  const json_t *entry;
  size_t i;
  json_array_foreach(list, i, entry)
    if (!json_is_string(json_object_get(entry, "name")) || !json_is_string(json_object_get(entry, "where")) ||
        !json_is_number(json_object_get(entry, "pick")))
      return false;
  return json_array_size(list) > 0;
}

moon_status tune_read_trial(const char *path, json_t **out) {
  MOON_TRY(read_json(path, out));
  bool fine = is_values(json_object_get(*out, "tune")) && json_is_string(json_object_get(*out, "metric")) &&
              json_is_integer(json_object_get(*out, "trial")) && json_is_array(json_object_get(*out, "runs"));
  if (fine) return moon_ok();
  json_decref(*out);
  *out = NULL;
  return moon_fail(MOON_EFORMAT, "%s is not a trial", path);
}

moon_status tune_read_values(const char *path, json_t **out) {
  json_t *file;
  *out = NULL;
  MOON_TRY(read_json(path, &file));
  json_t *best = json_object_get(file, "best"), *values = json_object_get(best ? best : file, "tune");
  if (is_values(values)) *out = json_incref(values);
  json_decref(file);
  return *out ? moon_ok() : moon_fail(MOON_EFORMAT, "%s has no values that a search chose: it takes a tune.json with a best trial, or a trial's file", path);
}

moon_status tune_write_json(const char *path, const json_t *json) {
  char *text = json_dumps(json, JSON_INDENT(1) | JSON_SORT_KEYS);
  if (!text) return moon_fail(MOON_ENOMEM, "no memory to write %s", path);
  moon_status status = moon_file_replace(path, text, strlen(text));
  free(text); /* jansson's */
  return status;
}

json_t *tune_trial_run(const json_t *trial, size_t until) {
  json_t *run;
  size_t i;
  json_array_foreach(json_object_get(trial, "runs"), i, run)
    if (json_integer_value(json_object_get(run, "until")) == (json_int_t)until) return run;
  return NULL;
}

moon_status tune_trial_answer(const char *path, json_t *run) {
  json_t *trial = NULL;
  moon_status status = run ? tune_read_trial(path, &trial) : moon_fail(MOON_ENOMEM, "no memory for a result");
  if (!status.code) {
    json_t *runs = json_object_get(trial, "runs");
    for (size_t i = json_array_size(runs); i-- > 0;)
      if (json_equal(json_object_get(json_array_get(runs, i), "until"), json_object_get(run, "until"))) json_array_remove(runs, i);
    json_array_append(runs, run);
    status = tune_write_json(path, trial);
  }
  json_decref(trial);
  json_decref(run);
  return status;
}

/* Gini is of how unevenly items are shown. */
bool tune_lower_is_better(const char *metric) {
  if (strchr(metric, '.')) metric = strchr(metric, '.') + 1; /* of a task: "purchase.logloss" */
  return !strcmp(metric, "logloss") || !strcmp(metric, "calibration") || !strncmp(metric, "gini", 4);
}

const json_t *tune_last_run(const json_t *trial) {
  const json_t *runs = json_object_get(trial, "runs"), *last = json_array_size(runs) ? json_array_get(runs, json_array_size(runs) - 1) : NULL;
  return json_is_number(json_object_get(last, "value")) ? last : NULL; /* what failed in the end has failed */
}

/* tune_report.c - what a search found, as JSON and as a table. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/tune.h"

/* ---- JSON --------------------------------------------------------------------------------------------------------------- */

static json_t *values_of(const json_t *tune) {
  json_t *out = json_object();
  const json_t *entry;
  size_t i;
  json_array_foreach(tune, i, entry) json_object_set(out, json_string_value(json_object_get(entry, "name")), json_object_get(entry, "value"));
  return out;
}

/* {"trial","values","value","epochs","until","seconds","error"?}: of the last run; seconds of all. */
static json_t *trial_result(const json_t *trial) {
  const json_t *runs = json_object_get(trial, "runs"), *run, *last = tune_last_run(trial), *error = NULL;
  double seconds = 0;
  size_t i;
  json_array_foreach(runs, i, run) {
    seconds += json_number_value(json_object_get(run, "seconds"));
    error = json_object_get(run, "error");
  }
  json_t *out = json_pack("{s:O, s:o, s:f}", "trial", json_object_get(trial, "trial"), "values", values_of(json_object_get(trial, "tune")), "seconds", seconds);
  json_object_set_new(out, "runs", json_deep_copy(runs));
  if (error) json_object_set_new(out, "error", json_copy((json_t *)(uintptr_t)error));
  if (!last) return out;
  json_object_set(out, "value", json_object_get(last, "value"));
  json_object_set(out, "epochs", json_object_get(last, "epochs"));
  json_object_set(out, "until", json_object_get(last, "until"));
  return out;
}

json_t *tune_result(const tune_job *job) {
  const json_t *trial;
  size_t i;
  json_t *results = json_array();
  json_array_foreach(job->trials, i, trial) json_array_append_new(results, trial_result(trial));
  json_t *out = json_pack("{s:s, s:i, s:O, s:s, s:s, s:s, s:s, s:I, s:O, s:o}", "format", "moonshelf-tune", "version", 1, "recipe",
                          json_object_get(job->plan, "name"), "recipe_sha256", job->recipe_hash, "search", job->search_name, "metric", job->metric,
                          "better", tune_lower_is_better(job->metric) ? "lower" : "higher", "seed", (json_int_t)job->seed, "parameters",
                          json_object_get(job->plan, "tune"), "trials", results);
  if (!out || !job->has_best) return out;
  json_t *best = json_copy(json_array_get(results, job->best));
  json_object_set(best, "tune", json_object_get(json_array_get(job->trials, job->best), "tune"));
  if (job->metrics) json_object_set_new(best, "bundle", json_string("best"));
  if (job->metrics) json_object_set(best, "test", json_object_get(job->metrics, "model"));
  if (json_object_set_new(out, "best", best)) json_decref(out), out = NULL;
  return out;
}

/* ---- a table ------------------------------------------------------------------------------------------------------------- */

static void cell_text(const json_t *value, char out[32]) {
  if (json_is_string(value)) snprintf(out, 32, "%.20s", json_string_value(value));
  else if (json_is_boolean(value)) snprintf(out, 32, "%s", json_is_true(value) ? "true" : "false");
  else if (json_is_integer(value)) snprintf(out, 32, "%lld", (long long)json_integer_value(value));
  else snprintf(out, 32, "%.4g", json_number_value(value));
}

/* Whether trial a stands above b: as tune_is_better has it, over results. */
static bool above(const json_t *a, const json_t *b, bool lower) {
  const json_t *x = json_object_get(a, "value"), *y = json_object_get(b, "value");
  if (!x || !y) return x && !y;
  json_int_t p = json_integer_value(json_object_get(a, "until")), q = json_integer_value(json_object_get(b, "until"));
  if (p != q) return !p || (q && p > q);
  return lower ? json_number_value(x) < json_number_value(y) : json_number_value(x) > json_number_value(y);
}

static json_t *sorted(const json_t *result) {
  bool lower = !strcmp(json_string_value(json_object_get(result, "better")), "lower");
  json_t *out = json_array(), *trial;
  size_t i;
  json_array_foreach(json_object_get(result, "trials"), i, trial) {
    size_t at = json_array_size(out);
    while (at > 0 && above(trial, json_array_get(out, at - 1), lower)) at--;
    json_array_insert(out, at, trial);
  }
  return out;
}

static void print_row(const json_t *trial, const json_t *parameters) {
  const json_t *parameter, *value = json_object_get(trial, "value"), *error = json_object_get(trial, "error");
  size_t i;
  char text[32];
  printf("%6lld", (long long)json_integer_value(json_object_get(trial, "trial")));
  json_array_foreach(parameters, i, parameter) {
    cell_text(json_object_get(json_object_get(trial, "values"), json_string_value(json_object_get(parameter, "name"))), text);
    printf("  %12s", text);
  }
  if (value) printf("  %10.4f", json_number_value(value));
  else printf("  %10s", error ? "failed" : "-");
  printf("  %6lld  %8.1f\n", (long long)json_integer_value(json_object_get(trial, "epochs")), json_number_value(json_object_get(trial, "seconds")));
}

void tune_print(const json_t *result) {
  const json_t *parameters = json_object_get(result, "parameters"), *item, *best = json_object_get(result, "best"), *test = json_object_get(best, "test");
  const char *metric = json_string_value(json_object_get(result, "metric")), *name;
  json_t *list = sorted(result);
  size_t i;
  printf("%6s", "trial");
  json_array_foreach(parameters, i, item) printf("  %12.12s", json_string_value(json_object_get(item, "name")));
  printf("  %10s  %6s  %8s\n", metric, "epochs", "seconds");
  json_array_foreach(list, i, item) print_row(item, parameters);
  json_decref(list);
  printf("\nBest on the validation part: trial %lld, %s %.4f\n", (long long)json_integer_value(json_object_get(best, "trial")), metric,
         json_number_value(json_object_get(best, "value")));
  if (!test) return;
  printf("Its bundle on the test part:");
  json_object_foreach((json_t *)(uintptr_t)test, name, item) if (json_is_number(item)) printf("  %s %.4f", name, json_number_value(item));
  printf("\n");
}

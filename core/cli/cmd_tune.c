/* cmd_tune.c - `moonshelf tune`: the values that m.tune leaves open, searched; the best of them trained into a bundle.
 *
 * All that a search knows is in its folder, a file for each trial (tune.h). So going on after a kill is the same as beginning: trials are
 * listed from the seed, those that have their answer are not run again. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/tune.h"
#include "nn/crew.h"
#include "script/script.h"

static int run(int argc, char **argv);
const cli_command cli_tune = {
    "tune",
    "moonshelf tune RECIPE.lua --data DIR --out FOLDER [--metric NAME] [--search grid|random|halving] [--trials N]\n"
             "         [--workers N] [--seed N] [--resume] [--max-bad-rows N] [--json]",
    "search the values that a recipe leaves open by m.tune",
    "Trains the recipe once for each trial, with other values in the place of its words m.tune, and judges by a metric over the\n"
    "validation part; the test part is not looked at until the best trial is trained into FOLDER/best. `grid` tries every\n"
    "combination, `random` draws them (the first trial is the recipe as it is), `halving` gives all a third of a third of the\n"
    "epochs, the better third of them a third, and so on. FOLDER/tune.html has plots, tune.json the results, trials/ a file for\n"
    "each trial; `moonshelf train --tuned FOLDER/tune.json` takes the best values. A search that was killed or interrupted goes on\n"
    "by --resume. The same seed gives the same trials and results on any number of workers.",
    1, run, true};

enum { ETA = 3, MOST_TRIALS = 10000, MOST_WORKERS = 64, RUNGS = 8 };

/* ---- what is searched --------------------------------------------------------------------------------------------------- */

static moon_status load_recipe(tune_job *job) {
  moon_host *host = NULL;
  moon_buf source = {0};
  MOON_TRY(moon_host_open(NULL, &host));
  moon_status status = moon_host_load_recipe(host, job->recipe_path, &job->plan);
  moon_host_close(host);
  if (!status.code) status = moon_file_read(job->recipe_path, 16u << 20, &source);
  if (!status.code) moon_sha256(source.data ? source.data : "", source.n, job->recipe_hash);
  moon_buf_free(&source);
  return status.code ? status : tune_space_new(job->plan, &job->space);
}

static moon_status list_values(tune_job *job, json_t **out) {
  size_t size = tune_grid_size(&job->space);
  *out = NULL;
  if (strcmp(job->search_name, "grid")) {
    *out = tune_random_trials(&job->space, job->seed, job->trials_wanted);
  } else {
    if (size > MOST_TRIALS)
      return moon_fail(MOON_ELIMIT, "the grid has more than %d trials; --search random takes some of them", MOST_TRIALS);
    *out = json_array();
    for (size_t i = 0; *out && i < size; i++)
      if (json_array_append_new(*out, tune_grid_trial(&job->space, i))) json_decref(*out), *out = NULL;
  }
  return *out ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory for the trials");
}

/* ---- its folder ----------------------------------------------------------------------------------------------------------- */

static moon_status in_folder(const tune_job *job, const char *name, char **path) {
  *path = moon_path_join(job->out, name);
  return *path ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory for a path");
}

/* What makes two searches one; the number of trials may grow. */
static moon_status check_same(const tune_job *job, const json_t *theirs, const char *path) {
  const char *const keys[] = {"format", "search", "metric", "recipe_sha256"};
  const char *const mine[] = {"moonshelf-tune", job->search_name, job->metric, job->recipe_hash};
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    const char *value = json_string_value(json_object_get(theirs, keys[i]));
    if (value && !strcmp(value, mine[i])) continue;
    if (i == 0) return moon_fail(MOON_EINVAL, "%s is not a search's", path);
    if (i == 3) return moon_fail(MOON_EINVAL, "%s is of a search with another %s: the recipe has changed since", path, "recipe");
    return moon_fail(MOON_EINVAL, "%s is of another search: %s was %s and is %s now", path, keys[i], value ? value : "not there", mine[i]);
  }
  json_int_t seed = json_integer_value(json_object_get(theirs, "seed"));
  if ((uint64_t)seed == job->seed) return moon_ok();
  return moon_fail(MOON_EINVAL, "%s is of another search: seed was %lld and is %lld now", path, (long long)seed, (long long)job->seed);
}

static moon_status check_folder(const tune_job *job, const char *path) {
  moon_buf text = {0};
  struct stat there;
  if (!moon_file_exists(path)) {
    if (!stat(job->out, &there) && rmdir(job->out)) /* an empty folder may be taken */
      return moon_fail(MOON_EINVAL, "%s is there and is not the folder of a search", job->out);
    return moon_ok();
  }
  if (!job->resume) return moon_fail(MOON_EINVAL, "%s holds a search; --resume goes on with it", job->out);
  MOON_TRY(moon_file_read(path, 64 << 20, &text));
  json_t *theirs = json_loadb(text.data ? text.data : "", text.n, 0, NULL);
  moon_status status = check_same(job, theirs, path);
  json_decref(theirs);
  moon_buf_free(&text);
  return status;
}

/* The file of a trial as it is, without what failed: that may have been for want of memory. Otherwise a new one. */
static moon_status open_trial(const tune_job *job, size_t i, json_t *values, json_t **out) {
  char *path = tune_trial_path(job, i);
  if (!path) return moon_fail(MOON_ENOMEM, "no memory for a path");
  moon_status status = moon_file_exists(path) ? tune_read_trial(path, out) : moon_fail(MOON_ENOTFOUND, "none");
  json_t *runs = json_object_get(*out, "runs");
  bool same = !status.code && json_equal(json_object_get(*out, "tune"), values);
  bool whole = same;
  for (size_t k = json_array_size(runs); k-- > 0;)
    if (!json_is_number(json_object_get(json_array_get(runs, k), "value"))) json_array_remove(runs, k), whole = false;
  if (!same) {
    json_decref(*out);
    *out = json_pack("{s:I, s:s, s:O, s:[]}", "trial", (json_int_t)i + 1, "metric", job->metric, "tune", values, "runs");
  }
  status = !*out ? moon_fail(MOON_ENOMEM, "no memory for a trial") : whole ? moon_ok() : tune_write_json(path, *out);
  moon_free(path);
  return status;
}

static moon_status open_trials(tune_job *job) {
  json_t *list = NULL, *values, *trial = NULL;
  size_t i;
  MOON_TRY(list_values(job, &list));
  job->trials = json_array();
  moon_status status = job->trials ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory for the trials");
  json_array_foreach(list, i, values) {
    trial = NULL;
    if (!status.code) status = open_trial(job, i, values, &trial);
    if (status.code) json_decref(trial);
    else if (json_array_append_new(job->trials, trial)) status = moon_fail(MOON_ENOMEM, "no memory for the trials");
  }
  json_decref(list);
  return status;
}

static moon_status save(const tune_job *job) {
  char *json_path = NULL, *page_path = NULL;
  moon_buf page = {0};
  json_t *result = tune_result(job);
  moon_status status = result ? in_folder(job, "tune.json", &json_path) : moon_fail(MOON_ENOMEM, "no memory for the results");
  if (!status.code) status = in_folder(job, "tune.html", &page_path);
  if (!status.code) status = tune_page(result, &page);
  if (!status.code) status = moon_file_replace(page_path, page.data, page.n);
  if (!status.code) status = tune_write_json(json_path, result);
  moon_buf_free(&page);
  moon_free(json_path);
  moon_free(page_path);
  json_decref(result);
  return status;
}

static moon_status open_search(tune_job *job) {
  char *path = NULL, *folder = NULL;
  moon_status status = in_folder(job, "tune.json", &path);
  if (!status.code) status = check_folder(job, path);
  if (!status.code) status = in_folder(job, "trials", &folder);
  if (!status.code) status = moon_dir_make(folder);
  moon_free(path);
  moon_free(folder);
  MOON_TRY(status);
  MOON_TRY(open_trials(job));
  return save(job);
}

/* ---- the search ------------------------------------------------------------------------------------------------------------- */

static void find_best(tune_job *job) {
  job->has_best = false;
  for (size_t i = 0; i < json_array_size(job->trials); i++) {
    if (!tune_last_run(json_array_get(job->trials, i))) continue;
    if (!job->has_best || tune_is_better(job, i, job->best)) job->best = i;
    job->has_best = true;
  }
}

/* Those of `list` that have a value, best first; answers how many. Few, so by insertion. */
static size_t sort(const tune_job *job, size_t *list, size_t n) {
  size_t kept = 0;
  for (size_t i = 0; i < n; i++) {
    size_t trial = list[i], at = kept;
    if (!tune_last_run(json_array_get(job->trials, trial))) continue;
    for (; at > 0 && tune_is_better(job, trial, list[at - 1]); at--) list[at] = list[at - 1];
    list[at] = trial;
    kept++;
  }
  return kept;
}

/* Successive halving (Jamieson & Talwalkar 2016): rungs of E / ETA^k epochs, the last of all of them. until: [RUNGS]. */
static size_t plan_rungs(const tune_job *job, size_t trials, size_t *until) {
  json_int_t given = json_integer_value(json_object_get(json_object_get(job->plan, "train"), "epochs"));
  size_t epochs = given > 0 ? (size_t)given : 1, rungs = 0, width = 1;
  if (strcmp(job->search_name, "halving")) return until[0] = 0, 1;
  while (rungs + 1 < RUNGS && width * ETA <= trials && width * ETA <= epochs) width *= ETA, rungs++;
  for (size_t k = 0, share = width; k < rungs; k++, share /= ETA) until[k] = (epochs + share / 2) / share;
  return until[rungs] = 0, rungs + 1;
}

static moon_status search(tune_job *job) {
  size_t until[RUNGS], n = json_array_size(job->trials), rungs = plan_rungs(job, n, until);
  size_t *list = moon_alloc(n * sizeof *list);
  moon_status status = list ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory for %zu trials", n);
  for (size_t i = 0; i < n && list; i++) list[i] = i;
  for (size_t k = 0, left = n; k < rungs; k++, left = left / ETA ? left / ETA : 1) job->due += left;
  for (size_t k = 0; k < rungs && n && !status.code; k++) {
    status = tune_run_trials(job, list, n, until[k]);
    size_t kept = sort(job, list, n), most = n / ETA ? n / ETA : 1;
    n = kept < most ? kept : most;
  }
  moon_free(list);
  find_best(job);
  return status;
}

static void remove_checkpoints(const tune_job *job) {
  for (size_t i = 0; i < json_array_size(job->trials); i++) {
    char *path = tune_trial_path(job, i);
    moon_buf name = {0};
    moon_buf_printf(&name, "%s.checkpoint", path ? path : "");
    if (path && !name.failed) moon_checkpoint_remove(name.data);
    moon_buf_free(&name);
    moon_free(path);
  }
}

/* ---- the best ----------------------------------------------------------------------------------------------------------------- */

static moon_status read_metrics(tune_job *job, const char *bundle) {
  moon_buf text = {0};
  char *path = moon_path_join(bundle, "metrics.json");
  moon_status status = path ? moon_file_read(path, 16u << 20, &text) : moon_fail(MOON_ENOMEM, "no memory for a path");
  if (!status.code) job->metrics = json_loadb(text.data ? text.data : "", text.n, 0, NULL);
  moon_buf_free(&text);
  moon_free(path);
  return status;
}

static moon_status train_best(tune_job *job) {
  char *bundle = NULL, *log = NULL, *trial = tune_trial_path(job, job->best), bad_rows[32];
  int code = 0;
  snprintf(bad_rows, sizeof bad_rows, "%zu", job->max_bad_rows);
  moon_status status = trial ? in_folder(job, "best", &bundle) : moon_fail(MOON_ENOMEM, "no memory for a path");
  if (!status.code) status = in_folder(job, "best.log", &log);
  const char *argv[] = {"moonshelf", "train", job->recipe_path, "--data", job->data_dir, "--tuned", trial, "--out", bundle, "--max-bad-rows",
                        bad_rows, NULL};
  if (!status.code) status = tune_run_command(job, (char *const *)(uintptr_t)argv, log, &code);
  if (!status.code && code) status = moon_fail(MOON_EIO, "the best trial, %zu, could not be trained into a bundle; %s tells more", job->best + 1, log);
  if (!status.code) status = read_metrics(job, bundle);
  moon_free(bundle);
  moon_free(log);
  moon_free(trial);
  return status;
}

/* All failed: what the first says is likely what is wrong with all. */
static moon_status no_result(const tune_job *job) {
  const json_t *runs = json_object_get(json_array_get(job->trials, 0), "runs");
  const char *error = json_string_value(json_object_get(json_array_get(runs, 0), "error"));
  return moon_fail(MOON_EINVAL, "no trial has a result; the first: %s", error ? error : "it did not run");
}

static moon_status tune(tune_job *job) {
  MOON_TRY(load_recipe(job));
  MOON_TRY(open_search(job));
  moon_status status = search(job);
  if (!status.code && !job->has_best) status = no_result(job);
  if (!status.code) status = train_best(job);
  if (!status.code) remove_checkpoints(job);
  cli_progress_end(&job->bar);
  moon_status saved = save(job);
  return status.code ? status : saved;
}

/* ---- the command -------------------------------------------------------------------------------------------------------------- */

static int check_options(tune_job *job, const char *seed) {
  static const char *const searches[] = {"grid", "random", "halving"};
  size_t at = 0;
  if (!job->out) return cli_usage_error(&cli_tune, "--out is missing");
  while (at < 3 && strcmp(job->search_name, searches[at])) at++;
  if (at == 3) {
    const char *near = moon_nearest(job->search_name, searches, 3);
    return cli_usage_error(&cli_tune, "--search is grid, random or halving, not '%s'%s%s%s", job->search_name, near ? "; did you mean '" : "",
                           near ? near : "", near ? "'?" : "");
  }
  if (at == 0 && job->trials_wanted) return cli_usage_error(&cli_tune, "--trials is for random and halving: a grid tries all");
  if (!job->trials_wanted) job->trials_wanted = at == 1 ? 20 : 27;
  if (job->trials_wanted > MOST_TRIALS) return cli_usage_error(&cli_tune, "--trials is at most %d", MOST_TRIALS);
  if (job->workers > MOST_WORKERS) return cli_usage_error(&cli_tune, "--workers is at most %d", MOST_WORKERS);
  if (!job->workers) job->workers = moon_cores() < MOST_WORKERS ? moon_cores() : MOST_WORKERS;
  job->threads = moon_cores() / job->workers ? moon_cores() / job->workers : 1;
  if (!seed) return -1;
  char *end;
  errno = 0;
  job->seed = strtoull(seed, &end, 10);
  if (end == seed || *end || *seed == '-' || errno || job->seed > INT64_MAX)
    return cli_usage_error(&cli_tune, "--seed wants a whole number, not '%s'", seed);
  return -1;
}

static void job_close(tune_job *job) {
  tune_space_free(&job->space);
  json_decref(job->metrics);
  json_decref(job->trials);
  json_decref(job->plan);
}

static int run(int argc, char **argv) {
  tune_job job = {.data_dir = ".", .metric = "auc", .search_name = "random"};
  const char *seed = NULL;
  bool json = false;
  const cli_option options[] = {
      {"data", CLI_STRING, &job.data_dir, "DIR", "where the recipe's files are (default: here)"},
      {"out", CLI_STRING, &job.out, "FOLDER", "the folder of the search (required)"},
      {"metric", CLI_STRING, &job.metric, "NAME", "what to judge by: auc (default), logloss, accuracy, ndcg@10, recall@20, ..."},
      {"search", CLI_STRING, &job.search_name, "HOW", "grid, random (default) or halving"},
      {"trials", CLI_COUNT, &job.trials_wanted, "N", "how many (default: 20, for halving 27)"},
      {"workers", CLI_COUNT, &job.workers, "N", "processes at once (default: the cores)"},
      {"seed", CLI_STRING, &seed, "N", "of the random choices (default 0); trainings have the recipe's"},
      {"resume", CLI_FLAG, &job.resume, NULL, "go on with the search in FOLDER, where there is one; --trials may be more"},
      {"max-bad-rows", CLI_COUNT, &job.max_bad_rows, "N", "malformed rows to leave out before giving up (default 0)"},
      {"json", CLI_FLAG, &json, NULL, "print the results as JSON"},
  };
  int code = cli_parse(&cli_tune, options, sizeof options / sizeof *options, argc, argv, &job.recipe_path);
  if (code < 0) code = check_options(&job, seed);
  if (code >= 0) return code;
  cli_progress_start(&job.bar);
  moon_status status = tune(&job);
  cli_progress_end(&job.bar);
  code = status.code ? cli_fail(status) : CLI_DONE;
  json_t *result = job.has_best ? tune_result(&job) : NULL;
  if (result && json && cli_print_json(json_incref(result))) code = CLI_FAILED;
  if (result && !json) tune_print(result);
  json_decref(result);
  job_close(&job);
  return code;
}

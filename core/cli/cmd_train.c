/* cmd_train.c - `moonshelf train`: a recipe and its data become a bundle. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/tune.h"
#include "rank/rank.h"
#include "script/script.h"

static int run(int argc, char **argv);
const cli_command cli_train = {
    "train",
    "moonshelf train RECIPE.lua --data DIR --out BUNDLE [--epochs N] [--seed N] [--threads N]\n"
             "         [--precision P] [--checkpoint-every N] [--checkpoint FILE] [--resume] [--max-bad-rows N]\n"
             "         [--rejects FILE] [--memory SIZE] [--tuned FILE] [--json]",
    "train a recipe on data and write a bundle",
    "Reads the recipe's files from --data, replays the log point-in-time into features, fits the model, evaluates it beside\n"
    "baselines and writes the bundle. A train that fails or is interrupted leaves an existing bundle as it was. The same recipe,\n"
    "data and seed give the same bundle, byte for byte, on any number of threads. With checkpoints a train that was killed goes on by\n"
    "--resume, and ends with the bundle that it would have written. With --memory, data that does not fit is kept in a nameless file in\n"
    "TMPDIR (else /var/tmp), which must be on a disk; the bundle is the same.",
    1, run, true};

typedef struct train_job {
  const char *recipe_path, *data_dir, *out;
  const char *checkpoint, *precision, *rejects_path;
  const char *tuned;  /* a file with what words of m.tune stand for */
  const char *trial;  /* the same, of a search: this is one of its runs, and the file gets its result */
  size_t until;       /* a run's last epoch; 0: all */
  json_t *chosen, *asked; /* what those files hold */
  char *default_checkpoint;
  size_t epochs, seed, max_bad_rows, threads, checkpoint_every, memory;
  bool has_seed, resume;
  moon_host *host;
  json_t *plan, *metrics, *warnings;
  moon_buf source;
  moon_dataset *dataset;
  moon_model *model;
  moon_similar *similar;
  moon_fit_report fit;
  cli_progress bar;
} train_job;

static void job_close(train_job *job) {
  moon_similar_free(job->similar);
  moon_model_free(job->model);
  moon_dataset_free(job->dataset);
  moon_buf_free(&job->source);
  json_decref(job->chosen);
  json_decref(job->asked);
  json_decref(job->metrics);
  json_decref(job->warnings);
  json_decref(job->plan);
  moon_free(job->default_checkpoint);
  moon_host_close(job->host);
}

/* What the recipe prints stands between the lines of progress. */
static void print_line(void *self, const char *line, size_t n) {
  train_job *job = self;
  cli_progress_end(&job->bar);
  fprintf(stderr, "%.*s\n", (int)n, line);
}

static moon_status load_recipe(train_job *job) {
  if (job->tuned) MOON_TRY(tune_read_values(job->tuned, &job->chosen));
  const json_t *tuned = job->asked ? json_object_get(job->asked, "tune") : job->chosen;
  const moon_host_options options = {.print = print_line, .print_self = job, .tuned = tuned};
  MOON_TRY(moon_host_open(&options, &job->host));
  MOON_TRY(moon_host_load_recipe(job->host, job->recipe_path, &job->plan));
  MOON_TRY(moon_file_read(job->recipe_path, 16u << 20, &job->source));
  json_t *train = json_object_get(job->plan, "train");
  if (job->epochs && moon_plan_is_closed(json_object_get(job->plan, "model")))
    return moon_fail(MOON_EINVAL, "--epochs: the model of %s is computed in closed form, not trained", job->recipe_path);
  if (job->epochs) json_object_set_new(train, "epochs", json_integer((json_int_t)job->epochs));
  if (job->has_seed) json_object_set_new(train, "seed", json_integer((json_int_t)job->seed));
  if (job->precision) json_object_set_new(train, "precision", json_string(job->precision));
  return moon_ok();
}

static moon_status read_data(train_job *job) {
  moon_row_functions functions = moon_host_row_functions(job->host);
  moon_dataset_options options = {.data_dir = job->data_dir,
                                  .max_bad_rows = job->max_bad_rows,
                                  .functions = &functions,
                                  .spare_test = job->trial != NULL,
                                  .judged_only = true,
                                  .progress = &job->bar.progress};
  MOON_TRY(cli_read_data(job->plan, &options, job->rejects_path, &job->bar, &job->dataset));
  MOON_TRY(moon_suspects(job->dataset, &job->warnings));
  cli_report_findings(stderr, job->warnings);
  return moon_ok();
}

static moon_status fit(train_job *job) {
  const moon_fit_functions functions = moon_host_fit_functions(job->host);
  moon_fit_options options = {.progress = &job->bar.progress, .functions = &functions, .threads = job->threads, .checkpoint = job->checkpoint,
                              .checkpoint_every = job->checkpoint_every, .resume = job->resume, .until = job->until, .plan = job->plan};
  if (job->resume && !moon_file_exists(job->checkpoint)) fprintf(stderr, "There is no %s to go on from: training begins anew\n", job->checkpoint);
  return moon_fit(job->model, job->dataset, json_object_get(job->plan, "train"), &options, &job->fit);
}

static json_t *losses_json(const double *losses, size_t n) {
  json_t *array = json_array();
  for (size_t i = 0; i < n; i++) json_array_append_new(array, isfinite(losses[i]) ? json_real(losses[i]) : json_null());
  return array;
}

/* As it will serve: in the recipe's precision. With the losses, for reports. */
static moon_status evaluate(train_job *job) {
  uint64_t seed = (uint64_t)json_integer_value(json_object_get(json_object_get(job->plan, "train"), "seed"));
  moon_evaluate_options options = {.progress = &job->bar.progress};
  json_t *report;
  MOON_TRY(moon_evaluate(job->model, job->dataset, json_object_get(job->plan, "evaluate"), seed, &options, &job->metrics));
  MOON_TRY(moon_precision_report(job->model, job->dataset, &report));
  if (report) json_object_set_new(job->metrics, "precision", report);
  json_object_set_new(job->metrics, "loss", json_pack("{s:o, s:o}", "train", losses_json(job->fit.train_loss, job->fit.epochs_run),
                                                      "validation", losses_json(job->fit.valid_loss, job->fit.epochs_run)));
  return moon_ok();
}

static moon_status train_model(train_job *job) {
  MOON_TRY(load_recipe(job));
  MOON_TRY(read_data(job));
  MOON_TRY(cli_new_model(job->plan, job->dataset, &job->model));
  return fit(job);
}

static moon_status train(train_job *job) {
  MOON_TRY(cli_memory_limit(job->memory));
  MOON_TRY(moon_bundle_may_write(job->out)); /* before the work, not after it */
  MOON_TRY(train_model(job));
  MOON_TRY(evaluate(job));
  const moon_log *log = job->dataset->log;
  MOON_TRY(moon_similar_new(log, log->n, moon_catalogue_rows(job->dataset->catalogue), NULL, &job->bar.progress, &job->similar));
  moon_recipe_source source = {.text = job->source.data, .n = job->source.n};
  source.required_n = moon_host_required(job->host, &source.required);
  MOON_TRY(moon_bundle_write(job->out, &source, job->plan, job->dataset, job->model, job->similar,
                             job->metrics));
  if (job->fit.checkpoints || job->fit.resumed) moon_checkpoint_remove(job->checkpoint); /* it is done with */
  cli_progress_end(&job->bar);
  return moon_ok();
}

/* ---- a run of a search (tune_run.c): judged on the validation part, the test part is not looked at ---------------------------- */

/* A metric over examples needs no ranking of the catalogue for everybody. */
static moon_status judge(train_job *job, double *value) {
  const char *metric = json_string_value(json_object_get(job->asked, "metric"));
  uint64_t seed = (uint64_t)json_integer_value(json_object_get(json_object_get(job->plan, "train"), "seed"));
  bool examples = !strchr(metric, '@') && strcmp(metric, "coverage");
  const moon_evaluate_options options = {.progress = &job->bar.progress, .max_users = examples ? 1 : 0};
  json_t *names = json_pack("[s]", metric), *all = NULL;
  moon_status status = names ? moon_evaluate(job->model, job->dataset, names, seed, &options, &all) : moon_fail(MOON_ENOMEM, "no memory to judge");
  const json_t *one = json_object_get(json_object_get(all, "model"), metric);
  *value = json_is_number(one) ? json_number_value(one) : NAN;
  double good = json_number_value(json_object_get(json_object_get(all, "examples"), "positive_rate"));
  json_decref(all);
  json_decref(names);
  if (!status.code && isnan(*value))
    status = moon_fail(MOON_EINVAL, "%s has no value on the validation part: of its %zu examples %.4g %% are good", metric,
                       job->dataset->part_n[MOON_VALIDATION], 100 * good);
  return status;
}

static moon_status try_values(train_job *job, double *value) {
  MOON_TRY(train_model(job));
  if (job->dataset->judged != MOON_VALIDATION) return moon_fail(MOON_EINVAL, "the split leaves no validation part to judge by");
  return judge(job, value);
}

/* Its result goes to the file, also where that is a failure: another trial may do better. Not where it was interrupted. */
static moon_status run_trial(train_job *job) {
  int64_t started = moon_monotonic();
  double value = NAN;
  MOON_TRY(tune_read_trial(job->trial, &job->asked));
  moon_status status = try_values(job, &value);
  double seconds = (double)(moon_monotonic() - started) / MOON_SECOND;
  if (status.code == MOON_ECANCELED) return status;
  json_t *run = status.code ? json_pack("{s:I, s:s, s:f}", "until", (json_int_t)job->until, "error", status.message, "seconds", seconds)
                            : json_pack("{s:I, s:f, s:I, s:f}", "until", (json_int_t)job->until, "value", value, "epochs",
                                        (json_int_t)job->fit.epochs_run, "seconds", seconds);
  MOON_TRY(tune_trial_answer(job->trial, run));
  if (!job->until) moon_checkpoint_remove(job->checkpoint); /* nothing goes on from here */
  return status;
}

/* Beside the bundle: BUNDLE.checkpoint. */
static moon_status name_checkpoint(train_job *job) {
  if (job->checkpoint) return moon_ok();
  size_t n = strlen(job->out);
  while (n > 1 && job->out[n - 1] == '/') n--;
  moon_buf name = {0};
  moon_buf_add(&name, job->out, n);
  moon_buf_puts(&name, ".checkpoint");
  job->checkpoint = job->default_checkpoint = name.data;
  return name.failed ? moon_fail(MOON_ENOMEM, "no memory for a path") : moon_ok();
}

static int print_json(const train_job *job) {
  return cli_print_json(json_pack(
      "{s:s, s:O, s:o, s:O, s:I, s:o, s:{s:I, s:I, s:I, s:f, s:f, s:o, s:o}}", "bundle", job->out, "metrics", job->metrics, "data",
      moon_dataset_report(job->dataset, true), "warnings", job->warnings, "parameters", (json_int_t)moon_model_params(job->model), "memory", cli_memory_json(), "fit",
      "epochs",
      (json_int_t)job->fit.epochs_run, "best_epoch", (json_int_t)job->fit.best_epoch, "steps", (json_int_t)job->fit.steps, "seconds",
      job->fit.seconds, "examples_per_second", job->fit.examples_per_second, "train_loss",
      losses_json(job->fit.train_loss, job->fit.epochs_run), "validation_loss",
      losses_json(job->fit.valid_loss, job->fit.epochs_run)));
}

static void print_text(const train_job *job) {
  if (!job->fit.epochs_run)
    printf("Computed %zu parameters in %.1f s\n\n", moon_model_params(job->model), job->fit.seconds);
  else
    printf("Trained %zu parameters: %zu epochs, %zu steps, %.1f s, %.0f examples/s\n\n", moon_model_params(job->model),
         job->fit.epochs_run, job->fit.steps, job->fit.seconds, job->fit.examples_per_second);
  cli_report_metrics(job->metrics);
  cli_report_memory();
  printf("\nBundle written: %s\n", job->out);
}

static int run(int argc, char **argv) {
  train_job job = {.data_dir = "."};
  const char *seed = NULL;
  bool json = false;
  const cli_option options[] = {
      {"data", CLI_STRING, &job.data_dir, "DIR", "where the recipe's files are (default: here)"},
      {"out", CLI_STRING, &job.out, "BUNDLE", "the bundle to write (required)"},
      {"epochs", CLI_COUNT, &job.epochs, "N", "instead of the recipe's"},
      {"seed", CLI_STRING, &seed, "N", "instead of the recipe's"},
      {"threads", CLI_COUNT, &job.threads, "N", "threads to fit with (default: the recipe's, or the cores that large batches can use)"},
      {"precision", CLI_STRING, &job.precision, "P", "f32, bf16 or int8: what the bundle scores in (default: the recipe's)"},
      {"checkpoint-every", CLI_COUNT, &job.checkpoint_every, "N", "steps from one checkpoint to the next (default: the recipe's)"},
      {"checkpoint", CLI_STRING, &job.checkpoint, "FILE", "where checkpoints are (default: BUNDLE.checkpoint)"},
      {"resume", CLI_FLAG, &job.resume, NULL, "go on from the checkpoint, where there is one"},
      {"max-bad-rows", CLI_COUNT, &job.max_bad_rows, "N", "malformed rows to leave out before giving up (default 0)"},
      {"rejects", CLI_STRING, &job.rejects_path, "FILE", "write those rows there, as JSON Lines, each with its reason"},
      {"memory", CLI_BYTES, &job.memory, "SIZE", "what data may take of memory before it spills to disk: 512M, 2G (default: no limit)"},
      {"tuned", CLI_STRING, &job.tuned, "FILE", "take the values that `moonshelf tune` chose: its tune.json, or a trial's file"},
      {"json", CLI_FLAG, &json, NULL, "print the result as JSON"},
      {"trial", CLI_STRING, &job.trial, "FILE", NULL},
      {"until", CLI_COUNT, &job.until, "N", NULL},
  };
  int code = cli_parse(&cli_train, options, sizeof options / sizeof *options, argc, argv, &job.recipe_path);
  if (code >= 0) return code;
  if (job.trial) job.out = job.trial, job.resume = true, job.checkpoint_every = SIZE_MAX; /* the one at its end */
  if (!job.out) return cli_usage_error(&cli_train, "--out is missing");
  if (seed) {
    char *end;
    job.seed = strtoull(seed, &end, 10);
    job.has_seed = true;
    if (end == seed || *end || *seed == '-') return cli_usage_error(&cli_train, "--seed wants a whole number, not '%s'", seed);
  }
  moon_precision precision;
  moon_status known = job.precision ? moon_precision_parse(job.precision, &precision) : moon_ok();
  if (known.code) return cli_usage_error(&cli_train, "--precision: %s", known.message);
  if (job.threads > 64) return cli_usage_error(&cli_train, "--threads is at most 64");
  cli_progress_start(&job.bar);
  moon_status status = name_checkpoint(&job);
  if (!status.code) status = job.trial ? run_trial(&job) : train(&job);
  cli_progress_end(&job.bar);
  if (status.code) code = cli_fail(status);
  else if (job.trial) code = CLI_DONE;
  else if (json) code = print_json(&job);
  else print_text(&job), code = CLI_DONE;
  if (status.code && !job.trial && moon_file_exists(job.out)) fprintf(stderr, "%s is as it was\n", job.out);
  job_close(&job);
  return code;
}

/* cmd_evaluate.c - `moonshelf evaluate`: a bundle's model on data, beside baselines. */
#include <stdio.h>
#include <string.h>

#include "cli/report.h"
#include "rank/rank.h"
#include "script/script.h"

static int run(int argc, char **argv);
const cli_command cli_evaluate = {
    "evaluate", "moonshelf evaluate BUNDLE --data DIR [--max-users N] [--max-bad-rows N] [--rejects FILE] [--memory SIZE] [--json]",
    "measure a bundle's model on data, beside baselines",
    "Replays the data with the bundle's own recipe and vocabularies, splits it as the recipe says and measures the test part:\n"
    "accuracy, AUC, log loss over its examples; recall@k and NDCG@k over the full catalogue for its users. --memory is what it is\n"
    "for `moonshelf train`.",
    1, run, true};

typedef struct evaluate_job {
  const char *path, *data_dir, *rejects_path;
  size_t max_users, max_bad_rows, memory;
  moon_bundle *bundle;
  moon_host *host;
  moon_buf source;
  json_t *plan, *metrics;
  moon_dataset *dataset;
  cli_progress bar;
} evaluate_job;

static moon_status evaluate(evaluate_job *job) {
  MOON_TRY(cli_memory_limit(job->memory));
  MOON_TRY(moon_bundle_open(job->path, &job->bundle));
  char *recipe = moon_path_join(job->path, "recipe.lua");
  if (!recipe) return moon_fail(MOON_ENOMEM, "no memory for a path");
  moon_status status = moon_file_read(recipe, 16u << 20, &job->source);
  moon_free(recipe);
  MOON_TRY(status);
  const moon_host_options chosen = {.tuned = json_object_get(job->bundle->plan, "tune")}; /* what m.tune stood for when it was trained */
  MOON_TRY(moon_host_open(&chosen, &job->host));
  MOON_TRY(moon_host_load_recipe_source(job->host, "recipe.lua", job->source.data, job->source.n, &job->plan));
  moon_row_functions functions = moon_host_row_functions(job->host);
  /* The plan is the bundle's: it holds what the command line changed when it was trained. */
  moon_dataset_options options = {.data_dir = job->data_dir,
                                  .max_bad_rows = job->max_bad_rows,
                                  .functions = &functions,
                                  .progress = &job->bar.progress,
                                  .vocabs = job->bundle->vocabs};
  MOON_TRY(cli_read_data(job->bundle->plan, &options, job->rejects_path, &job->bar, &job->dataset));
  uint64_t seed = (uint64_t)json_integer_value(json_object_get(json_object_get(job->bundle->plan, "train"), "seed"));
  moon_evaluate_options how = {.max_users = job->max_users, .progress = &job->bar.progress};
  json_t *report;
  MOON_TRY(moon_evaluate(job->bundle->model, job->dataset, json_object_get(job->bundle->plan, "evaluate"), seed, &how, &job->metrics));
  MOON_TRY(moon_precision_report(job->bundle->model, job->dataset, &report));
  if (report) json_object_set_new(job->metrics, "precision", report);
  if (job->memory) json_object_set_new(job->metrics, "memory", cli_memory_json());
  return moon_ok();
}

static int run(int argc, char **argv) {
  evaluate_job job = {.data_dir = "."};
  bool json = false;
  const cli_option options[] = {
      {"data", CLI_STRING, &job.data_dir, "DIR", "where the recipe's files are (default: here)"},
      {"max-users", CLI_COUNT, &job.max_users, "N", "users to rank the whole catalogue for (default 2000)"},
      {"max-bad-rows", CLI_COUNT, &job.max_bad_rows, "N", "malformed rows to leave out before giving up (default 0)"},
      {"rejects", CLI_STRING, &job.rejects_path, "FILE", "write those rows there, as JSON Lines, each with its reason"},
      {"memory", CLI_BYTES, &job.memory, "SIZE", "what data may take of memory before it spills to disk: 512M, 2G (default: no limit)"},
      {"json", CLI_FLAG, &json, NULL, "print the result as JSON"},
  };
  int code = cli_parse(&cli_evaluate, options, sizeof options / sizeof *options, argc, argv, &job.path);
  if (code >= 0) return code;
  cli_progress_start(&job.bar);
  moon_status status = evaluate(&job);
  cli_progress_end(&job.bar);
  if (status.code) code = cli_fail(status);
  else if (json) code = cli_print_json(json_incref(job.metrics));
  else cli_report_metrics(job.metrics), cli_report_memory(), code = CLI_DONE;
  json_decref(job.metrics);
  json_decref(job.plan);
  moon_dataset_free(job.dataset);
  moon_host_close(job.host);
  moon_buf_free(&job.source);
  moon_bundle_close(job.bundle);
  return code;
}

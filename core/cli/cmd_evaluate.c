/* cmd_evaluate.c - `moonshelf evaluate`: a bundle's model on data, beside baselines. */
#include <stdio.h>
#include <string.h>

#include "cli/report.h"
#include "rank/rank.h"
#include "script/script.h"

static int run(int argc, char **argv);
const cli_command cli_evaluate = {
    "evaluate",
    "moonshelf evaluate BUNDLE --data DIR [--against BUNDLE] [--slice COLUMN] [--report FILE.html] [--max-users N]\n"
    "         [--max-bad-rows N] [--rejects FILE] [--memory SIZE] [--json]",
    "measure a bundle's model on data, beside baselines",
    "Replays the data with the bundle's own recipe and vocabularies, splits it as the recipe says and measures the test part by the\n"
    "recipe's metrics: over its examples, and over the full catalogue for its users, with 95 % intervals, also for new users, new items\n"
    "and each category. --against measures another bundle on the same examples and says which differences are more than chance.\n"
    "--report writes all of it with plots. --memory is what it is for `moonshelf train`.",
    1, run, true};

typedef struct evaluate_job {
  const char *path, *data_dir, *rejects_path, *against, *slice, *report;
  size_t max_users, max_bad_rows, memory;
  uint64_t seed;  /* of the bundle, which another is measured by too */
  json_t *names;  /* and its metrics */
  char *title;
  json_t *metrics;
  moon_evaluation *evaluation;
  cli_progress bar;
} evaluate_job;

/* A bundle and its data, while it is measured. */
typedef struct measured {
  moon_bundle *bundle;
  moon_host *host;
  moon_buf source;
  json_t *plan;
  moon_dataset *dataset;
} measured;

static void measured_close(measured *m) {
  json_decref(m->plan);
  moon_dataset_free(m->dataset);
  moon_host_close(m->host);
  moon_buf_free(&m->source);
  moon_bundle_close(m->bundle);
}

static moon_status read_script(void *bundle, const char *file, moon_buf *out) { return moon_bundle_script(bundle, file, out); }

static moon_status read_data(evaluate_job *job, const char *path, measured *m) {
  MOON_TRY(moon_bundle_open(path, &m->bundle));
  MOON_TRY(moon_bundle_script(m->bundle, NULL, &m->source));
  const moon_host_options chosen = {.tuned = json_object_get(m->bundle->plan, "tune"), /* what m.tune stood for when it was trained */
                                    .read = read_script,
                                    .read_self = m->bundle};
  MOON_TRY(moon_host_open(&chosen, &m->host));
  MOON_TRY(moon_host_load_recipe_source(m->host, "recipe.lua", m->source.data, m->source.n, &m->plan));
  moon_row_functions functions = moon_host_row_functions(m->host);
  /* The plan is the bundle's: it holds what the command line changed when it was trained. */
  moon_dataset_options options = {.data_dir = job->data_dir,
                                  .max_bad_rows = job->max_bad_rows,
                                  .functions = &functions,
                                  .progress = &job->bar.progress,
                                  .judged_only = true,
                                  .vocabs = m->bundle->vocabs};
  return cli_read_data(m->bundle->plan, &options, path == job->path ? job->rejects_path : NULL, &job->bar, &m->dataset);
}

static moon_status measure(evaluate_job *job, measured *m, moon_evaluation **out) {
  moon_evaluate_options how = {.max_users = job->max_users, .slice = job->slice, .progress = &job->bar.progress};
  return moon_evaluation_new(m->bundle->model, m->dataset, job->names, job->seed, &how, out);
}

static moon_status measure_this(evaluate_job *job, measured *m) {
  json_t *precision;
  MOON_TRY(read_data(job, job->path, m));
  job->names = json_incref(json_object_get(m->bundle->plan, "evaluate"));
  job->seed = (uint64_t)json_integer_value(json_object_get(json_object_get(m->bundle->plan, "train"), "seed"));
  if (!(job->title = moon_strdup(m->bundle->name))) return moon_fail(MOON_ENOMEM, "no memory for a name");
  MOON_TRY(measure(job, m, &job->evaluation));
  MOON_TRY(moon_evaluation_report(job->evaluation, &job->metrics));
  MOON_TRY(moon_precision_report(m->bundle->model, m->dataset, &precision));
  if (precision) json_object_set_new(job->metrics, "precision", precision);
  json_t *loss = json_object_get(m->bundle->metrics, "loss");
  if (loss) json_object_set(job->metrics, "loss", loss);
  return moon_ok();
}

static moon_status measure_other(evaluate_job *job, measured *m) {
  moon_evaluation *other = NULL;
  json_t *differences = NULL;
  MOON_TRY(read_data(job, job->against, m));
  moon_status status = measure(job, m, &other);
  if (!status.code) status = moon_evaluation_compare(job->evaluation, other, &differences);
  if (!status.code) json_object_set_new(job->metrics, "against", json_pack("{s:s, s:o}", "bundle", job->against, "metrics", differences));
  moon_evaluation_free(other);
  return status;
}

/* One after the other: what is kept of the first is its evaluation, not its data. */
static moon_status evaluate(evaluate_job *job) {
  MOON_TRY(cli_memory_limit(job->memory));
  measured one = {0}, other = {0};
  moon_status status = measure_this(job, &one);
  measured_close(&one);
  if (!status.code && job->against) status = moon_wrap(measure_other(job, &other), "--against %s", job->against);
  measured_close(&other);
  MOON_TRY(status);
  if (job->memory) json_object_set_new(job->metrics, "memory", cli_memory_json());
  return job->report ? cli_write_html(job->report, job->title, job->metrics) : moon_ok();
}

static void print_text(const evaluate_job *job) {
  cli_report_metrics(job->metrics);
  cli_report_slices(job->metrics);
  cli_report_against(job->metrics);
  cli_report_memory();
  if (job->report) printf("\nReport written: %s\n", job->report);
}

static int run(int argc, char **argv) {
  evaluate_job job = {.data_dir = "."};
  bool json = false;
  const cli_option options[] = {
      {"data", CLI_STRING, &job.data_dir, "DIR", "where the recipe's files are (default: here)"},
      {"against", CLI_STRING, &job.against, "BUNDLE", "another bundle, measured on the same examples and users"},
      {"slice", CLI_STRING, &job.slice, "COLUMN", "the items' column to slice by (default: that of the first m.category)"},
      {"report", CLI_STRING, &job.report, "FILE", "write everything there, as one HTML file with plots"},
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
  else print_text(&job), code = CLI_DONE;
  json_decref(job.metrics);
  json_decref(job.names);
  moon_free(job.title);
  moon_evaluation_free(job.evaluation);
  return code;
}

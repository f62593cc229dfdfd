/* cmd_check.c - `moonshelf check`: is this recipe or site right? */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "page/page.h"
#include "rank/rank.h"
#include "script/script.h"

static int run(int argc, char **argv);
const cli_command cli_check = {
    "check", "moonshelf check RECIPE.lua [--data DIR] [--max-bad-rows N] [--rejects FILE] | SITE.lua [--bundle BUNDLE]\n"
             "         [--plan] [--json]",
    "check a recipe or a site without running it",
    "Loads the script and checks every word; with --data the recipe's files, columns and features too, with --bundle the site's\n"
    "columns and sources too. --plan prints the plan that the script makes.",
    1, run};

typedef struct check_job {
  const char *path, *data_dir, *bundle_path, *rejects_path;
  const char *kind; /* "recipe" or "site" */
  size_t max_bad_rows;
  moon_host *host;
  json_t *plan;
} check_job;

/* The tables that rules join to the events. */
static moon_status check_joined(const check_job *job, const moon_source_options *options) {
  const json_t *rule;
  size_t i;
  json_array_foreach(json_object_get(job->plan, "preprocess"), i, rule) {
    const json_t *source = json_object_get(rule, "source");
    moon_table *table = NULL;
    moon_read_report report = {0};
    if (source) MOON_TRY(moon_source_read(source, options, &table, &report));
    moon_table_free(table);
  }
  return moon_ok();
}

static moon_status check_recipe_data(const check_job *job, moon_rejects *rejects) {
  const json_t *sources = json_object_get(job->plan, "sources");
  moon_table *table = NULL, *events = NULL;
  moon_catalogue *catalogue = NULL;
  moon_feature_plan *features = NULL;
  moon_read_report report = {0};
  const moon_source_options options = {.data_dir = job->data_dir, .max_bad_rows = job->max_bad_rows, .rejects = rejects};
  const moon_row_functions functions = moon_host_row_functions(job->host);
  const moon_preprocess_options reach = {&functions, options};
  moon_status status = moon_ok();
  MOON_GOTO(status, moon_items_read(job->plan, &reach, &table, &report), done);
  MOON_GOTO(status, moon_catalogue_new(table, &catalogue), done);
  MOON_GOTO(status, moon_feature_plan_new(json_object_get(job->plan, "features"), catalogue, &features), done);
  MOON_GOTO(status, moon_source_read(json_object_get(sources, "events"), &options, &events, &report), done);
  status = check_joined(job, &options);
done:
  moon_feature_plan_free(features);
  moon_catalogue_free(catalogue);
  moon_table_free(events);
  return status;
}

static moon_status check_recipe_files(const check_job *job) {
  moon_rejects *rejects = NULL;
  if (job->rejects_path) MOON_TRY(moon_rejects_open(job->rejects_path, &rejects));
  moon_status status = check_recipe_data(job, rejects), closed = moon_rejects_close(rejects);
  return status.code ? status : closed;
}

static moon_status check_site_bundle(const check_job *job) {
  moon_bundle *bundle = NULL;
  MOON_TRY(moon_bundle_open(job->bundle_path, &bundle));
  moon_site *site = NULL;
  moon_status status = moon_site_new(job->plan, bundle, &site);
  moon_site_free(site);
  moon_bundle_close(bundle);
  return status;
}

static moon_status check(check_job *job) {
  MOON_TRY(moon_host_open(NULL, &job->host));
  MOON_TRY(moon_host_load(job->host, job->path, &job->kind, &job->plan));
  bool recipe = !strcmp(job->kind, "recipe");
  if (recipe && job->data_dir) return check_recipe_files(job);
  if (!recipe && job->bundle_path) return check_site_bundle(job);
  return moon_ok();
}

static json_t *findings_json(moon_status status) {
  json_t *list = json_array();
  if (status.code) json_array_append_new(list, json_pack("{s:s, s:s}", "level", "error", "message", status.message));
  return list;
}

static int run(int argc, char **argv) {
  check_job job = {0};
  bool json = false, plan = false;
  const cli_option options[] = {
      {"data", CLI_STRING, &job.data_dir, "DIR", "also read the recipe's files there and check columns and features"},
      {"bundle", CLI_STRING, &job.bundle_path, "DIR", "also check the site against this bundle"},
      {"max-bad-rows", CLI_COUNT, &job.max_bad_rows, "N", "malformed rows to leave out before giving up (default 0)"},
      {"rejects", CLI_STRING, &job.rejects_path, "FILE", "write those rows there, as JSON Lines, each with its reason"},
      {"plan", CLI_FLAG, &plan, NULL, "print the plan as JSON"},
      {"json", CLI_FLAG, &json, NULL, "print the findings as JSON"},
  };
  int code = cli_parse(&cli_check, options, sizeof options / sizeof *options, argc, argv, &job.path);
  if (code >= 0) return code;
  moon_status status = check(&job);
  if (json) {
    code = cli_print_json(json_pack("{s:s, s:s?, s:b, s:o, s:O?}", "file", job.path, "kind", job.kind, "ok", status.code == 0,
                                    "findings", findings_json(status), "plan", plan ? job.plan : NULL));
    if (status.code) code = CLI_FAILED;
  } else if (status.code) {
    code = cli_fail(status);
  } else {
    code = plan ? cli_print_json(json_incref(job.plan)) : CLI_DONE;
    if (!plan) printf("%s: a %s, nothing wrong found\n", job.path, job.kind);
  }
  json_decref(job.plan);
  moon_host_close(job.host);
  return code;
}

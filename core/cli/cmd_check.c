/* cmd_check.c - `moonshelf check`: is this recipe or site right? */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/report.h"
#include "page/page.h"
#include "rank/rank.h"
#include "script/script.h"

static int run(int argc, char **argv);
const cli_command cli_check = {
    "check",
    "moonshelf check RECIPE.lua [--data DIR] [--max-bad-rows N] [--rejects FILE] | SITE.lua [--bundle BUNDLE]\n"
    "         [--plan] [--json]",
    "check a recipe or a site without running it",
    "Loads the script and checks every word, and how a recipe's features and layers fit; with --data its files, columns, rules "
    "and kinds\n"
    "of events too, with --bundle the site's columns and sources. All that is wrong is told of, a line each with its place. "
    "--plan prints\n"
    "what the script makes: a tree, with the types, memory and time of a recipe's features; with --json the plan itself as well.",
    1,
    run};

typedef struct check_job {
  const char *path, *data_dir, *bundle_path, *rejects_path;
  const char *kind; /* "recipe" or "site" */
  size_t max_bad_rows;
  moon_host *host;
  moon_findings findings;
  json_t *list; /* of {"level","file","line","message"} */
  size_t errors, warnings;
  json_t *plan, *described; /* described: the tree and what it costs */
} check_job;

/* ---- findings --------------------------------------------------------------------------------------------------------------- */

/* The file and line at the start of "recipe.lua:12: text"; 0 where there is none, else where the text begins. */
static size_t place_of(const char *message, size_t *file, long *line) {
  const char *colon = strchr(message, ':');
  char *end;
  if (!colon || colon == message || !isdigit((unsigned char)colon[1])) return 0;
  *line = strtol(colon + 1, &end, 10);
  *file = (size_t)(colon - message);
  return end[0] == ':' && end[1] == ' ' ? (size_t)(end + 2 - message) : 0;
}

static void tell(void *self, bool error, const char *message) {
  check_job *job = self;
  size_t file = 0;
  long line = 0;
  bool placed = place_of(message, &file, &line) > 0;
  ++*(error ? &job->errors : &job->warnings);
  json_array_append_new(job->list, json_pack("{s:s, s:o, s:o, s:s}", "level", error ? "error" : "warning", "file",
                                             placed ? json_stringn(message, file) : json_null(), "line",
                                             placed ? json_integer(line) : json_null(), "message", message));
}

/* A failure is an error like any that was found. */
static bool fine(check_job *job, moon_status status) {
  if (status.code) tell(job, true, status.message);
  return !status.code;
}

/* In a file by its lines, files as they first came up; what has no place stays last. */
static void sort(json_t *list) {
  json_t *sorted = json_array(), *finding;
  size_t i;
  for (; json_array_size(list); json_array_remove(list, 0)) {
    const json_t *first = json_array_get(list, 0), *file = json_object_get(first, "file");
    size_t at = 0, after = json_array_size(sorted);
    json_array_foreach(sorted, i, finding) {
      if (!json_equal(json_object_get(finding, "file"), file)) continue;
      at = i + 1;
      if (json_integer_value(json_object_get(finding, "line")) > json_integer_value(json_object_get(first, "line"))) {
        after = i;
        break;
      }
      after = at;
    }
    json_array_insert(sorted, after, (json_t *)first);
  }
  json_array_extend(list, sorted);
  json_decref(sorted);
}

static void print_findings(const json_t *list) {
  const json_t *finding;
  size_t i;
  json_array_foreach(list, i, finding) {
    const char *message = json_string_value(json_object_get(finding, "message")),
               *level = json_string_value(json_object_get(finding, "level"));
    size_t file;
    long line;
    int n = (int)place_of(message, &file, &line);
    fprintf(stderr, "%.*s%s: %s\n", n, message, level, message + n);
  }
}

/* ---- checking --------------------------------------------------------------------------------------------------------------- */

static void check_data(check_job *job) {
  moon_rejects *rejects = NULL;
  const moon_row_functions functions = moon_host_row_functions(job->host);
  if (job->rejects_path && !fine(job, moon_rejects_open(job->rejects_path, &rejects))) return;
  const moon_dataset_options options = {
      .data_dir = job->data_dir, .max_bad_rows = job->max_bad_rows, .rejects = rejects, .functions = &functions};
  fine(job, moon_recipe_check(job->plan, &options, &job->findings));
  fine(job, moon_rejects_close(rejects));
}

static void check_bundle(check_job *job) {
  moon_bundle *bundle = NULL;
  if (fine(job, moon_bundle_open(job->bundle_path, &bundle))) fine(job, moon_site_check(job->plan, bundle, &job->findings));
  moon_bundle_close(bundle);
}

static void check(check_job *job) {
  const moon_host_options options = {.findings = &job->findings};
  if (!fine(job, moon_host_open(&options, &job->host)) ||
      !fine(job, moon_host_load(job->host, job->path, &job->kind, &job->plan)) || !job->plan)
    return;
  bool recipe = !strcmp(job->kind, "recipe");
  if (recipe && job->data_dir) check_data(job);
  if (!recipe && job->bundle_path) check_bundle(job);
  if (recipe && !job->errors) fine(job, moon_layers_check(job->plan, &job->findings));
  if (!job->errors) fine(job, (recipe ? moon_recipe_describe : moon_site_describe)(job->plan, &job->described));
}

/* ---- results ---------------------------------------------------------------------------------------------------------------- */

static int print_json(const check_job *job, bool plan) {
  json_t *result = json_pack("{s:s, s:s?, s:b, s:O, s:O?}", "file", job->path, "kind", job->kind, "ok", job->errors == 0,
                             "findings", job->list, "plan", plan ? job->plan : NULL);
  if (plan && job->described) json_object_update(result, job->described);
  return cli_print_json(result);
}

static void print_text(const check_job *job, bool plan) {
  print_findings(job->list);
  if (job->errors) fprintf(stderr, "%zu error%s%s", job->errors, job->errors == 1 ? "" : "s", job->warnings ? ", " : "\n");
  if (job->warnings) fprintf(stderr, "%zu warning%s\n", job->warnings, job->warnings == 1 ? "" : "s");
  if (job->errors) return;
  if (plan)
    cli_print_tree(json_object_get(job->described, "tree"));
  else if (!job->warnings)
    printf("%s: a %s, nothing wrong found\n", job->path, job->kind);
}

static int run(int argc, char **argv) {
  check_job job = {0};
  bool json = false, plan = false;
  const cli_option options[] = {
      {"data", CLI_STRING, &job.data_dir, "DIR", "also read the recipe's files there and check columns, rules and features"},
      {"bundle", CLI_STRING, &job.bundle_path, "DIR", "also check the site against this bundle"},
      {"max-bad-rows", CLI_COUNT, &job.max_bad_rows, "N", "malformed rows to leave out before giving up (default 0)"},
      {"rejects", CLI_STRING, &job.rejects_path, "FILE", "write those rows there, as JSON Lines, each with its reason"},
      {"plan", CLI_FLAG, &plan, NULL, "print the plan as a tree, with types, memory and time"},
      {"json", CLI_FLAG, &json, NULL, "print the findings, and with --plan the plan, as JSON"},
  };
  int code = cli_parse(&cli_check, options, sizeof options / sizeof *options, argc, argv, &job.path);
  if (code >= 0) return code;
  job.list = json_array();
  job.findings = (moon_findings){tell, &job};
  check(&job);
  sort(job.list);
  code = CLI_DONE;
  if (json)
    code = print_json(&job, plan);
  else
    print_text(&job, plan);
  if (job.errors) code = CLI_FAILED;
  json_decref(job.list);
  json_decref(job.plan);
  json_decref(job.described);
  moon_host_close(job.host);
  return code;
}

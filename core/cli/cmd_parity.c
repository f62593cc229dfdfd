/* cmd_parity.c - `moonshelf parity`: are features the same in training and in serving, and of the past only? */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/report.h"
#include "rank/rank.h"
#include "script/script.h"
#include "serve/events.h"

static int run(int argc, char **argv);
const cli_command cli_parity = {
    "parity",
    "moonshelf parity RECIPE.lua --data DIR [--candidates N] [--cuts N] [--max-bad-rows N] [--memory SIZE] [--json]",
    "compare a recipe's features in training and in serving, bit by bit",
    "Computes every feature of every example three ways: from the log, as training does; from live counters that the events come into as\n"
    "they are posted to a server, with a snapshot saved and restored on the way; and as a request computes them, for many candidates at\n"
    "once. One differing bit is a failure. Then the log is cut at --cuts moments, and a feature that changes by what came after it is a\n"
    "failure, too; a feature that alone tells the label is a warning.",
    1, run, true};

typedef struct parity_job {
  const char *path, *data_dir;
  size_t candidates, cuts, max_bad_rows, memory;
  moon_host *host;
  json_t *plan, *parity, *leaks;
  moon_dataset *dataset;
  moon_event_batch batch;
  cli_progress bar;
} parity_job;

/* ---- events by the road that they take into a server ------------------------------------------------------------------------ */

static void put_event(moon_buf *body, const moon_live_event *event) {
  moon_buf_puts(body, body->n > 1 ? ",{\"user\":" : "{\"user\":");
  moon_json_string(body, event->user);
  moon_buf_puts(body, ",\"item\":");
  moon_json_string(body, event->item);
  moon_buf_puts(body, ",\"event\":");
  moon_json_string(body, event->kind);
  moon_buf_puts(body, ",\"time\":");
  moon_json_integer(body, event->time);
  moon_buf_puts(body, "}");
}

/* Posts n events and reads them as the server does. */
static moon_status post(void *self, const moon_catalogue *catalogue, const moon_live_event *in, size_t n, moon_live_event *out) {
  parity_job *job = self;
  moon_buf body = {0}, problems = {0};
  moon_buf_puts(&body, "[");
  for (size_t i = 0; i < n; i++) put_event(&body, &in[i]);
  moon_buf_puts(&body, "]");
  moon_event_batch_reset(&job->batch);
  int64_t now = in[n - 1].time; /* the server's clock at the newest of them */
  moon_status status = body.failed ? moon_fail(MOON_ENOMEM, "no memory for events")
                                   : moon_events_parse(body.data, body.n, catalogue, now, &job->batch, &problems);
  if (status.code) status = moon_fail(status.code, "events as a server takes them: %s: %.300s", status.message, problems.data ? problems.data : "");
  for (size_t i = 0; i < n && !status.code; i++) {
    const moon_log_event *e = &job->batch.events[i];
    out[i] = (moon_live_event){e->user, e->item, e->kind, e->time};
  }
  moon_buf_free(&body);
  moon_buf_free(&problems);
  return status;
}

/* ---- the work --------------------------------------------------------------------------------------------------------------- */

/* The recipe loaded anew. */
static moon_status renew(void *self, moon_row_functions *out) {
  parity_job *job = self;
  moon_host_close(job->host);
  job->host = NULL;
  json_decref(job->plan);
  job->plan = NULL;
  MOON_TRY(moon_host_open(NULL, &job->host));
  MOON_TRY(moon_host_load_recipe(job->host, job->path, &job->plan));
  *out = moon_host_row_functions(job->host);
  return moon_ok();
}

static moon_status find_leaks(parity_job *job, const moon_dataset_options *options) {
  json_t *suspects = NULL;
  json_t *plan = json_incref(job->plan);
  const moon_look_options look = {.dataset = options, .cuts = job->cuts, .renew = renew, .self = job};
  moon_status status = moon_look_ahead(plan, job->dataset, &look, &job->leaks);
  json_decref(plan);
  MOON_TRY(status);
  MOON_TRY(moon_suspects(job->dataset, &suspects));
  json_array_extend(job->leaks, suspects);
  json_decref(suspects);
  return moon_ok();
}

static moon_status work(parity_job *job) {
  moon_row_functions functions;
  MOON_TRY(cli_memory_limit(job->memory));
  MOON_TRY(renew(job, &functions));
  moon_dataset_options options = {.data_dir = job->data_dir,
                                  .max_bad_rows = job->max_bad_rows,
                                  .functions = &functions,
                                  .progress = &job->bar.progress};
  MOON_TRY(moon_dataset_new(job->plan, &options, &job->dataset));
  const moon_parity_options how = {.progress = &job->bar.progress, .road = post, .self = job, .candidates = job->candidates};
  MOON_TRY(moon_parity(job->plan, job->dataset, &how, &job->parity));
  return find_leaks(job, &options);
}

/* ---- the answer ------------------------------------------------------------------------------------------------------------- */

static json_int_t number(const json_t *of, const char *key) {
  return json_integer_value(json_object_get(of, key));
}

static bool same_everywhere(const json_t *parity) {
  const json_t *stream = json_object_get(parity, "stream"), *request = json_object_get(parity, "request");
  return !number(stream, "differing_bits") && !number(request, "differing_bits") && json_is_true(json_object_get(stream, "state"));
}

static size_t errors_in(const json_t *findings) {
  const json_t *finding;
  size_t i, errors = 0;
  json_array_foreach(findings, i, finding) errors += !strcmp(json_string_value(json_object_get(finding, "level")), "error");
  return errors;
}

static void print_number(const json_t *value) {
  if (json_is_integer(value)) printf("%lld", (long long)json_integer_value(value));
  else printf("%.9g", json_number_value(value));
}

static void print_mismatches(const json_t *mismatches) {
  const json_t *miss;
  size_t i;
  json_array_foreach(mismatches, i, miss) {
    printf("  %s: %s, example %lld (%s): log ", json_string_value(json_object_get(miss, "where")), json_string_value(json_object_get(miss, "feature")),
           (long long)number(miss, "example"), json_string_value(json_object_get(miss, "event")));
    print_number(json_object_get(miss, "log"));
    printf(", %s ", json_string_value(json_object_get(miss, "executor")));
    print_number(json_object_get(miss, "got"));
    putchar('\n');
  }
}

static void print_text(const parity_job *job) {
  const json_t *p = job->parity, *stream = json_object_get(p, "stream"), *request = json_object_get(p, "request");
  printf("log      %lld events, %lld examples, %lld features\n", (long long)number(p, "events"), (long long)number(p, "examples"),
         (long long)number(p, "features"));
  printf("stream   %lld values, %lld bits differ; counters at the end %s\n", (long long)number(stream, "values"),
         (long long)number(stream, "differing_bits"), json_is_true(json_object_get(stream, "state")) ? "the same" : "DIFFER");
  printf("request  %lld values, %lld bits differ\n", (long long)number(request, "values"), (long long)number(request, "differing_bits"));
  print_mismatches(json_object_get(p, "mismatches"));
  cli_report_findings(stdout, job->leaks);
  printf("The log was cut %zu times: %s\n", job->cuts, errors_in(job->leaks) ? "a feature knows its future" : "no feature knows its future");
}

static void job_close(parity_job *job) {
  moon_event_batch_free(&job->batch);
  moon_dataset_free(job->dataset);
  json_decref(job->parity);
  json_decref(job->leaks);
  json_decref(job->plan);
  moon_host_close(job->host);
}

static int run(int argc, char **argv) {
  parity_job job = {.data_dir = ".", .cuts = 3};
  bool json = false;
  const cli_option options[] = {
      {"data", CLI_STRING, &job.data_dir, "DIR", "where the recipe's files are (default: here)"},
      {"candidates", CLI_COUNT, &job.candidates, "N", "of each request that is compared (default 50)"},
      {"cuts", CLI_COUNT, &job.cuts, "N", "moments at which the log is cut to find leaks (default 3)"},
      {"max-bad-rows", CLI_COUNT, &job.max_bad_rows, "N", "malformed rows to leave out before giving up (default 0)"},
      {"memory", CLI_BYTES, &job.memory, "SIZE", "keep to so much memory, such as 2G; what does not fit lies on disk meanwhile"},
      {"json", CLI_FLAG, &json, NULL, "print the result as JSON"},
  };
  int code = cli_parse(&cli_parity, options, sizeof options / sizeof *options, argc, argv, &job.path);
  if (code >= 0) return code;
  cli_progress_start(&job.bar);
  moon_status status = work(&job);
  cli_progress_end(&job.bar);
  bool fine = !status.code && same_everywhere(job.parity) && !errors_in(job.leaks);
  if (status.code) code = cli_fail(status);
  else if (json) code = cli_print_json(json_pack("{s:b, s:O, s:O, s:I}", "ok", fine, "parity", job.parity, "leaks", job.leaks, "cuts", (json_int_t)job.cuts));
  else print_text(&job), code = CLI_DONE;
  job_close(&job);
  return code == CLI_DONE && !fine ? CLI_FAILED : code;
}

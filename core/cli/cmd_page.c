/* cmd_page.c - `moonshelf page`: one page of a site for one visitor, as text or JSON. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "page/page.h"
#include "script/script.h"

static int run(int argc, char **argv);
const cli_command cli_page = {
    "page", "moonshelf page SITE.lua --bundle BUNDLE [--surface home] [--user ID] [--item ID] [--cart A,B] [--json] [--explain]",
    "print one page of a site for one visitor",
    "Assembles the page that `moonshelf serve` would answer with, from the state in the bundle. Without --user, or with an\n"
    "unknown one, it is the page of a new visitor.",
    1, run};

typedef struct page_job { /* everything a page needs, closed in one place */
  moon_bundle *bundle;
  moon_host *host;
  moon_site *site;
  moon_assembler *assembler;
  json_t *plan;
  moon_arena arena;
  moon_buf out;
} page_job;

static void job_close(page_job *job) {
  moon_buf_free(&job->out);
  moon_arena_free(&job->arena);
  moon_assembler_free(job->assembler);
  moon_site_free(job->site);
  json_decref(job->plan);
  moon_host_close(job->host);
  moon_bundle_close(job->bundle);
}

static moon_status split_cart(moon_arena *arena, const char *text, moon_request *request) {
  if (!text || !*text) return moon_ok();
  size_t n = 1;
  for (const char *c = text; *c; c++) n += *c == ',';
  const char **ids = moon_arena_alloc(arena, n * sizeof *ids);
  char *copy = moon_arena_strdup(arena, text), *rest = NULL;
  if (!ids || !copy) return moon_fail(MOON_ENOMEM, "no memory for the cart");
  n = 0;
  for (char *id = strtok_r(copy, ",", &rest); id; id = strtok_r(NULL, ",", &rest)) ids[n++] = id;
  request->cart = ids;
  request->cart_n = n;
  return moon_ok();
}

static moon_status make_page(page_job *job, const char *site_path, const char *bundle_path, const char *cart, bool json,
                             moon_request *request) {
  MOON_TRY(moon_bundle_open(bundle_path, &job->bundle));
  MOON_TRY(moon_host_open(NULL, &job->host));
  MOON_TRY(moon_host_load_site(job->host, site_path, &job->plan));
  MOON_TRY(moon_site_new(job->plan, job->bundle, &job->site));
  MOON_TRY(moon_assembler_new(job->bundle, &job->assembler));
  MOON_TRY(split_cart(&job->arena, cart, request));
  /* The data's clock, not the wall's: a page from a bundle is the same tomorrow. */
  if (!request->now) request->now = moon_state_clock(job->bundle->state);
  moon_page_functions functions = moon_host_page_functions(job->host);
  moon_page *page = NULL;
  MOON_TRY(moon_page_assemble(job->assembler, job->site, job->bundle->state, request, &functions, &job->arena, &page));
  return json ? moon_page_json(page, request, &job->out) : moon_page_text(page, request, &job->out);
}

static int run(int argc, char **argv) {
  const char *site_path = NULL, *bundle_path = NULL, *at = NULL, *cart = NULL;
  moon_request request = {.surface = "home", .seed = 1};
  bool json = false;
  const cli_option options[] = {
      {"bundle", CLI_STRING, &bundle_path, "DIR", "the bundle that `moonshelf train` wrote (required)"},
      {"surface", CLI_STRING, &request.surface, "NAME", "home (default), product, cart, or any other of the site"},
      {"user", CLI_STRING, &request.user, "ID", "the visitor; left out: a new one"},
      {"item", CLI_STRING, &request.item, "ID", "the item a product page shows"},
      {"cart", CLI_STRING, &cart, "ID,ID", "the items in the cart"},
      {"at", CLI_STRING, &at, "TIME", "the page as of a time (ISO 8601); default: the newest event's"},
      {"json", CLI_FLAG, &json, NULL, "print JSON"},
      {"explain", CLI_FLAG, &request.explain, NULL, "say for every item why it is where it is"},
  };
  int code = cli_parse(&cli_page, options, sizeof options / sizeof *options, argc, argv, &site_path);
  if (code >= 0) return code;
  if (!bundle_path) return cli_usage_error(&cli_page, "--bundle is missing");
  if (at && moon_time_parse(at, strlen(at), &request.now).code) return cli_usage_error(&cli_page, "--at wants a time such as 2026-11-01T09:30:00Z, not '%s'", at);
  page_job job = {0};
  moon_status status = make_page(&job, site_path, bundle_path, cart, json, &request);
  code = status.code ? cli_fail(status) : CLI_DONE;
  if (!status.code) {
    fwrite(job.out.data, 1, job.out.n, stdout);
    if (json) putchar('\n');
    if (fflush(stdout)) code = cli_fail(moon_fail(MOON_EIO, "the page could not be written"));
  }
  job_close(&job);
  return code;
}

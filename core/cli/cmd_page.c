/* cmd_page.c - `moonshelf page`: one page of a site for one visitor, as text or JSON. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "runtime/runtime.h"

static int run(int argc, char **argv);
const cli_command cli_page = {
    "page", "moonshelf page SITE.lua --bundle BUNDLE [--surface home] [--user ID] [--item ID] [--cart A,B] [--params country=NL]\n"
    "         [--json] [--explain]",
    "print one page of a site for one visitor",
    "Assembles the page that `moonshelf serve` would answer with, from the state in the bundle. Without --user, or with an\n"
    "unknown one, it is the page of a new visitor.",
    1, run, true};

/* "A,B" -> its parts, in the arena. */
static moon_status split(moon_arena *arena, const char *text, char ***parts, size_t *n) {
  size_t most = 1;
  *n = 0;
  for (const char *c = text; c && *c; c++) most += *c == ',';
  char *copy = moon_arena_strdup(arena, text ? text : ""), *rest = NULL;
  *parts = moon_arena_alloc(arena, most * sizeof **parts);
  if (!*parts || !copy) return moon_fail(MOON_ENOMEM, "no memory for a query");
  for (char *part = strtok_r(copy, ",", &rest); part; part = strtok_r(NULL, ",", &rest)) (*parts)[(*n)++] = part;
  return moon_ok();
}

static moon_status read_lists(moon_arena *arena, const char *cart, const char *params, moon_query *query) {
  char **ids, **pairs;
  MOON_TRY(split(arena, cart, &ids, &query->cart_n));
  MOON_TRY(split(arena, params, &pairs, &query->param_n));
  moon_pair *list = moon_arena_alloc(arena, query->param_n * sizeof *list);
  if (!list) return moon_fail(MOON_ENOMEM, "no memory for a query");
  for (size_t i = 0; i < query->param_n; i++) {
    char *value = strchr(pairs[i], '=');
    if (!value || value == pairs[i]) return moon_fail(MOON_EINVAL, "--params wants NAME=VALUE,NAME=VALUE, not '%.100s'", pairs[i]);
    *value++ = 0;
    list[i] = (moon_pair){pairs[i], value};
  }
  query->cart = (const char *const *)ids;
  query->params = list;
  return moon_ok();
}

/* The query has no clock of its own: a page from a bundle is the same tomorrow. */
static moon_status print_page(const moon_runtime_options *options, const moon_query *query, bool json) {
  moon_runtime *runtime = NULL;
  moon_worker *worker = NULL;
  const char *text;
  size_t n;
  MOON_TRY(moon_runtime_open(options, &runtime));
  moon_status status = moon_worker_open(runtime, &worker);
  if (!status.code) status = (json ? moon_worker_page : moon_worker_page_text)(worker, query, &text, &n);
  if (!status.code) {
    fwrite(text, 1, n, stdout);
    if (json) putchar('\n');
    if (fflush(stdout)) status = moon_fail(MOON_EIO, "the page could not be written");
  }
  moon_worker_close(worker);
  moon_runtime_close(runtime);
  return status;
}

static int run(int argc, char **argv) {
  const char *at = NULL, *cart = NULL, *params = NULL;
  moon_query query = {.size = sizeof query, .surface = "home", .seed = 1};
  moon_runtime_options runtime = {.size = sizeof runtime};
  bool json = false;
  const cli_option options[] = {
      {"bundle", CLI_STRING, &runtime.bundle, "DIR", "the bundle that `moonshelf train` wrote (required)"},
      {"surface", CLI_STRING, &query.surface, "NAME", "home (default), product, cart, or any other of the site"},
      {"user", CLI_STRING, &query.user, "ID", "the visitor; left out: a new one"},
      {"item", CLI_STRING, &query.item, "ID", "the item a product page shows"},
      {"cart", CLI_STRING, &cart, "ID,ID", "the items in the cart"},
      {"params", CLI_STRING, &params, "NAME=VALUE,..", "what else comes with the request: ctx.params and m.request"},
      {"at", CLI_STRING, &at, "TIME", "the page as of a time (ISO 8601); default: the newest event's"},
      {"deterministic", CLI_FLAG, &runtime.deterministic, NULL, "scripts see keys in order, the request's clock and no addresses"},
      {"json", CLI_FLAG, &json, NULL, "print JSON"},
      {"explain", CLI_FLAG, &query.explain, NULL, "say for every item why it is where it is"},
  };
  int code = cli_parse(&cli_page, options, sizeof options / sizeof *options, argc, argv, &runtime.site);
  if (code >= 0) return code;
  if (!runtime.bundle) return cli_usage_error(&cli_page, "--bundle is missing");
  if (at && moon_time_parse(at, strlen(at), &query.now).code)
    return cli_usage_error(&cli_page, "--at wants a time such as 2026-11-01T09:30:00Z, not '%s'", at);
  moon_arena arena = {0};
  moon_status status = read_lists(&arena, cart, params, &query);
  if (!status.code) status = print_page(&runtime, &query, json);
  moon_arena_free(&arena);
  return status.code ? cli_fail(status) : CLI_DONE;
}

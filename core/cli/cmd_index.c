/* cmd_index.c - `moonshelf index`: a graph of near items for a bundle, and how much of the truth it finds. */
#include <stdio.h>

#include "cli/cli.h"
#include "rank/rank.h"

static int run(int argc, char **argv);
const cli_command cli_index = {
    "index", "moonshelf index BUNDLE [--least N] [--m N] [--ef-construction N] [--json]",
    "build an index of near items into a bundle, and measure it",
    "m.source.nearest looks at the embeddings of all items, which takes a millisecond for 50,000 of 64 numbers. For a large\n"
    "catalogue this builds a graph (HNSW) into the bundle, which finds nearly the same in a fraction of that, and shows how much\n"
    "of the ten nearest it finds. A new training makes a new bundle, without an index.",
    1, run, false};

static double number(const json_t *object, const char *key) { return json_number_value(json_object_get(object, key)); }

static void print_text(const json_t *report, size_t least) {
  const json_t *each;
  size_t i;
  if (!json_is_true(json_object_get(report, "written"))) {
    printf("%.0f items have an embedding, fewer than %zu: looking at all of them is as quick, and there is no index\n",
           number(report, "items"), least);
    return;
  }
  printf("%.0f items of %.0f numbers, built in %.1f s; %.1f MB in memory\n", number(report, "items"), number(report, "dim"),
         number(report, "build_seconds"), number(report, "memory_bytes") * 1e-6);
  printf("looking at all  %9.1f us\n", number(report, "exact_us"));
  json_array_foreach(json_object_get(report, "recall"), i, each)
      printf("ef %3.0f          %9.1f us   recall@10 %.4f\n", number(each, "ef"), number(each, "us"), number(each, "recall@10"));
}

static int run(int argc, char **argv) {
  const char *path;
  bool json = false;
  moon_index_options options = {.least = 20000};
  const cli_option known[] = {
      {"least", CLI_COUNT, &options.least, "N", "with fewer items there is no index (default 20000)"},
      {"m", CLI_COUNT, &options.m, "N", "links of an item (default 16)"},
      {"ef-construction", CLI_COUNT, &options.ef_construction, "N", "candidates weighed for them (default 200)"},
      {"json", CLI_FLAG, &json, NULL, "print the report as JSON"},
  };
  int code = cli_parse(&cli_index, known, sizeof known / sizeof *known, argc, argv, &path);
  if (code >= 0) return code;
  cli_progress bar;
  moon_bundle *bundle = NULL;
  json_t *report = NULL;
  cli_progress_start(&bar);
  options.progress = &bar.progress;
  moon_status status = moon_bundle_open(path, &bundle);
  if (!status.code) status = moon_bundle_index(bundle, &options, &report);
  cli_progress_end(&bar);
  if (status.code) code = cli_fail(status);
  else if (json) code = cli_print_json(json_incref(report));
  else print_text(report, options.least), code = CLI_DONE;
  json_decref(report);
  moon_bundle_close(bundle);
  return code;
}

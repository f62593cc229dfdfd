/* cmd_summary.c - `moonshelf summary`: the model of a bundle, table by table and layer by layer. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "rank/rank.h"

static int run(int argc, char **argv);
const cli_command cli_summary = {
    "summary", "moonshelf summary BUNDLE [--json]", "print the model of a bundle: tables, layers, shapes, parameters, bytes",
    "A line for each embedding table of a feature and for each layer, with what comes out of it (n is the number of rows) and the numbers\n"
    "that it learned; then what scoring takes. `moonshelf check RECIPE.lua --plan` draws a recipe that is not trained yet.",
    1, run, false};

static long long whole(const json_t *object, const char *key) { return (long long)json_integer_value(json_object_get(object, key)); }
static const char *text(const json_t *object, const char *key) {
  const char *value = json_string_value(json_object_get(object, key));
  return value ? value : "";
}

/* 1234567 as "1,234,567". */
static const char *grouped(long long n, char out[40]) {
  char digits[24];
  int count = snprintf(digits, sizeof digits, "%lld", n), at = 0;
  for (int i = 0; i < count; i++) {
    if (i && (count - i) % 3 == 0) out[at++] = ',';
    out[at++] = digits[i];
  }
  out[at] = 0;
  return out;
}

static void print_line(const char *name, const char *kind, const char *shape, const json_t *of) {
  char number[40];
  const char *note = json_is_true(json_object_get(of, "shared")) ? "  shared" : json_is_true(json_object_get(of, "frozen")) ? "  frozen" : "";
  printf("%-32.32s  %-14.14s  %-20.20s  %12s%s\n", name, kind, shape, grouped(whole(of, "parameters"), number), note);
}

/* Of a model with heads: what is ranked by. */
static void print_score(const json_t *score) {
  const json_t *weight;
  const char *head, *before = "\nscore = ";
  json_object_foreach((json_t *)score, head, weight) {
    if (json_number_value(weight) == 0) continue;
    printf("%s%g %s", before, json_number_value(weight), head);
    before = " + ";
  }
  if (score) putchar('\n');
}

static void print_text(const char *name, const json_t *model) {
  const json_t *one, *scoring = json_object_get(model, "scoring"), *layer_bytes = json_object_get(scoring, "layer_bytes");
  size_t i;
  char a[40], b[40], shape[64];
  printf("Model of %s: %lld inputs, %lld of them numbers; %s output\n\n", name, whole(model, "inputs"), whole(model, "numbers"), text(model, "output"));
  printf("%-32s  %-14s  %-20s  %12s\n", "table or layer", "type", "size or output", "parameters");
  json_array_foreach(json_object_get(model, "tables"), i, one) {
    snprintf(shape, sizeof shape, "%lld x %lld", whole(one, "rows"), whole(one, "dim"));
    print_line(text(one, "feature"), "table", shape, one);
  }
  json_array_foreach(json_object_get(model, "layers"), i, one) print_line(text(one, "layer"), text(one, "type"), text(one, "output"), one);
  print_score(json_object_get(model, "score"));
  printf("\n%s parameters", grouped(whole(model, "parameters"), a));
  printf(", %s of them trained; %s in tables\n", grouped(whole(model, "trained"), a), grouped(whole(model, "in_tables"), b));
  printf("%s bytes as f32", grouped(whole(model, "bytes"), a));
  if (json_is_integer(layer_bytes)) printf("; layers compiled for scoring in %s, %s bytes\n", text(scoring, "precision"), grouped(json_integer_value(layer_bytes), b));
  else printf("; scored on a tape, the layers do not compile\n");
}

static moon_status summarise(const char *path, json_t **out) {
  moon_bundle *bundle = NULL;
  MOON_TRY(moon_bundle_open(path, &bundle));
  moon_status status = moon_model_describe(bundle->model, out);
  if (!status.code && json_object_set_new(*out, "name", json_string(bundle->name))) status = moon_fail(MOON_ENOMEM, "no memory for a summary");
  moon_bundle_close(bundle);
  return status;
}

static int run(int argc, char **argv) {
  const char *path = NULL;
  bool json = false;
  const cli_option options[] = {{"json", CLI_FLAG, &json, NULL, "print it as JSON"}};
  int code = cli_parse(&cli_summary, options, sizeof options / sizeof *options, argc, argv, &path);
  if (code >= 0) return code;
  json_t *model = NULL;
  moon_status status = summarise(path, &model);
  if (status.code) code = cli_fail(status);
  else if (json) code = cli_print_json(json_incref(model));
  else print_text(text(model, "name"), model), code = CLI_DONE;
  json_decref(model);
  return code;
}

/* cmd_summary.c - `moonshelf summary`: the model of a bundle, or of a recipe that is not trained yet, table by table and layer by layer. */
#include <stdio.h>
#include <string.h>

#include "cli/report.h"
#include "rank/rank.h"
#include "script/script.h"

static int run(int argc, char **argv);
const cli_command cli_summary = {
    "summary", "moonshelf summary BUNDLE | RECIPE.lua [--data DIR] [--max-bad-rows N] [--json]",
    "print a model: tables, layers, shapes, parameters, bytes",
    "A line for each embedding table of a feature and for each layer, with what comes out of it (n is the number of rows) and the numbers\n"
    "that it learned, or is to learn; then what scoring takes. Of a recipe that is not trained yet, tables have as many rows as the training\n"
    "part has texts: a '?' stands for what depends on that (in JSON null), unless --data says where the files are.",
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

static const char *number_of(const json_t *of, const char *key, char out[40]) {
  return json_is_integer(json_object_get(of, key)) ? grouped(whole(of, key), out) : "?";
}

static void print_line(const char *name, const char *kind, const char *shape, const json_t *of) {
  char number[40];
  const char *note = json_is_true(json_object_get(of, "shared")) ? "  shared" : json_is_true(json_object_get(of, "frozen")) ? "  frozen" : "";
  printf("%-32.32s  %-14.14s  %-20.20s  %12s%s\n", name, kind, shape, number_of(of, "parameters", number), note);
}

/* What the data are to tell is "?". */
static void print_totals(const json_t *model) {
  const json_t *layer_bytes = json_object_get(json_object_get(model, "scoring"), "layer_bytes");
  char a[40], b[40];
  printf("\n%s parameters", number_of(model, "parameters", a));
  printf(", %s of them trained; %s in tables\n", number_of(model, "trained", a), number_of(model, "in_tables", b));
  if (!json_is_integer(json_object_get(model, "parameters"))) printf("?: only the training part tells; --data DIR counts it\n");
  printf("%s bytes as f32", number_of(model, "bytes", a));
  if (json_is_integer(layer_bytes))
    printf("; layers compiled for scoring in %s, %s bytes\n", text(json_object_get(model, "scoring"), "precision"),
           grouped(json_integer_value(layer_bytes), b));
  else
    printf("; scored on a tape, the layers do not compile\n");
}

static void print_text(const char *name, const json_t *model) {
  const json_t *one, *rows;
  size_t i;
  char shape[64];
  printf("Model of %s: %lld inputs, %lld of them numbers; %s output\n\n", name, whole(model, "inputs"), whole(model, "numbers"), text(model, "output"));
  printf("%-32s  %-14s  %-20s  %12s\n", "table or layer", "type", "size or output", "parameters");
  json_array_foreach(json_object_get(model, "tables"), i, one) {
    rows = json_object_get(one, "rows");
    if (json_is_integer(rows)) snprintf(shape, sizeof shape, "%lld x %lld", whole(one, "rows"), whole(one, "dim"));
    else snprintf(shape, sizeof shape, "? x %lld", whole(one, "dim"));
    print_line(text(one, "feature"), "table", shape, one);
  }
  json_array_foreach(json_object_get(model, "layers"), i, one) print_line(text(one, "layer"), text(one, "type"), text(one, "output"), one);
  print_totals(model);
}

static moon_status name_it(json_t *model, const char *name) {
  return json_object_set_new(model, "name", json_string(name)) ? moon_fail(MOON_ENOMEM, "no memory for a summary") : moon_ok();
}

static moon_status of_bundle(const char *path, json_t **out) {
  moon_bundle *bundle = NULL;
  MOON_TRY(moon_bundle_open(path, &bundle));
  moon_status status = moon_model_describe(bundle->model, out);
  if (!status.code) status = name_it(*out, bundle->name);
  moon_bundle_close(bundle);
  return status;
}

/* As training would make it. */
static moon_status of_data(moon_host *host, const json_t *plan, moon_dataset_options *options, json_t **out) {
  const moon_row_functions functions = moon_host_row_functions(host);
  moon_dataset *data = NULL;
  moon_model *model = NULL;
  cli_progress bar;
  cli_progress_start(&bar);
  options->functions = &functions;
  options->progress = &bar.progress;
  moon_status status = cli_read_data(plan, options, NULL, &bar, &data);
  cli_progress_end(&bar);
  if (!status.code) status = cli_new_model(plan, data, &model);
  if (!status.code) status = moon_model_compile(model);
  if (!status.code) status = moon_model_describe(model, out);
  moon_model_free(model);
  moon_dataset_free(data);
  return status;
}

static moon_status of_recipe(const char *path, moon_dataset_options *options, json_t **out) {
  moon_host *host = NULL;
  json_t *plan = NULL;
  moon_status status = moon_host_open(NULL, &host);
  if (!status.code) status = moon_host_load_recipe(host, path, &plan);
  if (!status.code) status = options->data_dir ? of_data(host, plan, options, out) : moon_recipe_summary(plan, out);
  if (!status.code) status = name_it(*out, text(plan, "name"));
  json_decref(plan);
  moon_host_close(host);
  return status;
}

static int run(int argc, char **argv) {
  const char *path = NULL;
  moon_dataset_options data = {0};
  bool json = false;
  const cli_option options[] = {
      {"data", CLI_STRING, &data.data_dir, "DIR", "where a recipe's files are, to count the rows of its tables"},
      {"max-bad-rows", CLI_COUNT, &data.max_bad_rows, "N", "malformed rows to leave out before giving up (default 0)"},
      {"json", CLI_FLAG, &json, NULL, "print it as JSON"},
  };
  int code = cli_parse(&cli_summary, options, sizeof options / sizeof *options, argc, argv, &path);
  if (code >= 0) return code;
  size_t n = strlen(path);
  bool recipe = n > 4 && !strcmp(path + n - 4, ".lua");
  if (data.data_dir && !recipe) return cli_usage_error(&cli_summary, "--data is for a recipe; a bundle knows its tables");
  json_t *model = NULL;
  moon_status status = recipe ? of_recipe(path, &data, &model) : of_bundle(path, &model);
  if (status.code) code = cli_fail(status);
  else if (json) code = cli_print_json(json_incref(model));
  else print_text(text(model, "name"), model), code = CLI_DONE;
  json_decref(model);
  return code;
}

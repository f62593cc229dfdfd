/* cmd_export.c - `moonshelf export`: a bundle's model as an ONNX file. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "onnx/onnx.h"

static int run(int argc, char **argv);
const cli_command cli_export = {"export",
                                "moonshelf export BUNDLE --out model.onnx [--json]",
                                "write a bundle's model as an ONNX file, for other runtimes",
                                "The graph does what the model does when it scores, in f32: it takes the features of each row as "
                                "moonshelf computes them (numbers as\n"
                                "they are, ids of the bundle's vocabularies, histories as lists of ids) and gives the score. "
                                "What each input means stands in the\n"
                                "file's metadata under \"moonshelf\", and --json prints the same.",
                                1,
                                run,
                                false};

static void print_text(const char *path, const json_t *report, size_t bytes) {
  const json_t *input;
  size_t i;
  json_array_foreach(json_object_get(report, "inputs"), i, input) {
    char *shape = json_dumps(json_object_get(input, "shape"), JSON_COMPACT);
    printf("%-24s %-8s %s\n", json_string_value(json_object_get(input, "name")),
           json_string_value(json_object_get(input, "type")), shape ? shape : "");
    free(shape);
  }
  printf("%s: %lld nodes, %.1f MB, opset %d\n", path, (long long)json_integer_value(json_object_get(report, "nodes")),
         (double)bytes * 1e-6, MOON_ONNX_OPSET);
}

static int run(int argc, char **argv) {
  const char *path, *out = NULL;
  bool json = false;
  const cli_option known[] = {
      {"out", CLI_STRING, &out, "FILE", "where to write it"},
      {"json", CLI_FLAG, &json, NULL, "print what the inputs are as JSON"},
  };
  int code = cli_parse(&cli_export, known, sizeof known / sizeof *known, argc, argv, &path);
  if (code >= 0) return code;
  if (!out) return cli_usage_error(&cli_export, "--out is missing");
  moon_bundle *bundle = NULL;
  json_t *report = NULL;
  moon_buf bytes = {0};
  moon_status status = moon_onnx_ready();
  if (!status.code) status = moon_bundle_open(path, &bundle);
  if (!status.code) status = moon_onnx_export(bundle, &bytes, &report);
  if (!status.code) status = moon_file_replace(out, bytes.data, bytes.n);
  if (status.code)
    code = cli_fail(status);
  else if (json)
    code = cli_print_json(json_incref(report));
  else
    print_text(out, report, bytes.n), code = CLI_DONE;
  json_decref(report);
  moon_buf_free(&bytes);
  moon_bundle_close(bundle);
  return code;
}

/* data.c - what the commands share that work on all of a recipe's data: a budget of memory, a file of rejects, and what is said of
 * both. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/report.h"

moon_status cli_memory_limit(size_t bytes) {
  const char *folder = getenv("TMPDIR");
  if (!bytes) return moon_ok();
  return moon_wrap(moon_memory_limit(bytes, folder && *folder ? folder : "/var/tmp"), "--memory");
}

json_t *cli_memory_json(void) {
  moon_memory m = moon_memory_now();
  if (!m.limit) return json_null();
  return json_pack("{s:I, s:I, s:I}", "budget", (json_int_t)m.limit, "peak", (json_int_t)m.peak, "spilled", (json_int_t)m.spilled_peak);
}

void cli_report_memory(void) {
  moon_memory m = moon_memory_now();
  if (!m.limit) return;
  printf("\nMemory: %.0f of %.0f MiB at most, %.0f MiB spilled to disk\n", (double)m.peak / 0x1p20, (double)m.limit / 0x1p20,
         (double)m.spilled_peak / 0x1p20);
}

moon_status cli_read_data(const json_t *plan, moon_dataset_options *options, const char *rejects_path, cli_progress *bar,
                          moon_dataset **out) {
  if (rejects_path) MOON_TRY(moon_rejects_open(rejects_path, &options->rejects));
  moon_status status = moon_dataset_new(plan, options, out), closed = moon_rejects_close(options->rejects);
  options->rejects = NULL;
  MOON_TRY(status.code ? status : closed);
  cli_progress_end(bar);
  cli_report_data(*out);
  return moon_ok();
}

moon_status cli_new_model(const json_t *plan, const moon_dataset *data, moon_model **out) {
  size_t *sizes = moon_calloc(data->plan->feature_count, sizeof *sizes);
  if (!sizes) return moon_fail(MOON_ENOMEM, "no memory for %zu vocabulary sizes", data->plan->feature_count);
  for (size_t i = 0; i < data->plan->feature_count; i++) sizes[i] = moon_feature_rows(&data->plan->features[i], data->vocabs[i]);
  uint64_t seed = (uint64_t)json_integer_value(json_object_get(json_object_get(plan, "train"), "seed"));
  moon_status status = moon_model_new(json_object_get(plan, "model"), data->plan, sizes, seed, out);
  moon_free(sizes);
  if (!status.code) moon_model_take_vectors(*out, data);
  moon_precision precision;
  if (!status.code) status = moon_train_precision(json_object_get(plan, "train"), &precision);
  return status.code ? status : moon_model_set_precision(*out, precision); /* what cannot be is said before the work */
}

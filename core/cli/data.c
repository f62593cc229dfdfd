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

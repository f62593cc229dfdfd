/* report.c - what people see of a data set and of an evaluation. */
#include "cli/report.h"

#include <stdio.h>
#include <string.h>

static void report_file(const char *what, const moon_read_report *report) {
  if (!report->rows && !report->bad_rows) return;
  fprintf(stderr, "%s: %zu rows", what, report->rows);
  if (report->bad_rows) fprintf(stderr, ", %zu malformed rows left out", report->bad_rows);
  const char *before = " (";
  for (moon_reject why = 0; why < MOON_REJECTS; why++) {
    if (!report->reasons[why]) continue;
    fprintf(stderr, "%s%s %zu", before, moon_reject_name(why), report->reasons[why]);
    before = ", ";
  }
  if (report->bad_rows) fputc(')', stderr);
  fputc('\n', stderr);
  for (size_t i = 0; i < 3 && i < report->bad_rows; i++) fprintf(stderr, "  %s\n", report->first_bad[i]);
}

static void report_log(const moon_log_report *r) {
  if (r->out_of_order) fprintf(stderr, "  %zu events out of order; they were sorted by time\n", r->out_of_order);
  if (r->duplicates) fprintf(stderr, "  %zu events are the same as another in every column; m.dedupe would drop them\n", r->duplicates);
  if (r->before_1970) fprintf(stderr, "  warning: %zu events are from before 1970: an unset clock, or a wrong unit of time?\n", r->before_1970);
  if (r->after_gap) fprintf(stderr, "  warning: %zu events follow a gap of over a year: a clock that jumped ahead?\n", r->after_gap);
}

void cli_report_data(const moon_dataset *dataset) {
  report_file("items", &dataset->items_report);
  report_file("events", &dataset->events_report);
  for (size_t i = 0; i < dataset->rule_count; i++)
    fprintf(stderr, "  %s: %zu -> %zu rows\n", dataset->rules[i].rule, dataset->rules[i].before, dataset->rules[i].after);
  report_log(&dataset->log->report);
}

static json_t *file_json(const moon_read_report *report) {
  json_t *reasons = json_object();
  for (moon_reject why = 0; why < MOON_REJECTS; why++)
    if (report->reasons[why]) json_object_set_new(reasons, moon_reject_name(why), json_integer((json_int_t)report->reasons[why]));
  return json_pack("{s:I, s:I, s:o}", "rows", (json_int_t)report->rows, "malformed", (json_int_t)report->bad_rows, "reasons", reasons);
}

static json_t *log_json(const moon_log_report *r) {
  return json_pack("{s:I, s:I, s:I, s:I}", "out_of_order", (json_int_t)r->out_of_order, "duplicates", (json_int_t)r->duplicates,
                   "before_1970", (json_int_t)r->before_1970, "after_gap", (json_int_t)r->after_gap);
}

json_t *cli_data_json(const moon_dataset *dataset) {
  json_t *rules = json_array();
  for (size_t i = 0; i < dataset->rule_count; i++)
    json_array_append_new(rules, json_pack("{s:s, s:I, s:I}", "rule", dataset->rules[i].rule, "before",
                                           (json_int_t)dataset->rules[i].before, "after", (json_int_t)dataset->rules[i].after));
  return json_pack("{s:o, s:o, s:o, s:o}", "log", log_json(&dataset->log->report), "items", file_json(&dataset->items_report), "events", file_json(&dataset->events_report),
                   "rules", rules);
}

static void print_cell(const json_t *value) {
  if (json_is_number(value)) printf("  %9.4f", json_number_value(value));
  else printf("  %9s", "-");
}

void cli_report_metrics(const json_t *metrics) {
  const json_t *model = json_object_get(metrics, "model"), *baselines = json_object_get(metrics, "baselines");
  const json_t *examples = json_object_get(metrics, "examples"), *value;
  const char *name, *part = json_string_value(json_object_get(metrics, "part"));
  printf("Evaluated on the %s part:", part ? part : "test");
  json_object_foreach((json_t *)examples, name, value) {
    if (json_is_integer(value)) printf("  %s %lld", name, (long long)json_integer_value(value));
    else printf("  %s %.4f", name, json_number_value(value));
  }
  printf("  users ranked %lld\n\n  %-14s  %9s", (long long)json_integer_value(json_object_get(metrics, "users")), "", "model");
  const json_t *baseline;
  json_object_foreach((json_t *)baselines, name, baseline) printf("  %9s", name);
  putchar('\n');
  json_object_foreach((json_t *)model, name, value) {
    printf("  %-14s", name);
    print_cell(value);
    const char *other;
    json_object_foreach((json_t *)baselines, other, baseline) print_cell(json_object_get(baseline, name));
    putchar('\n');
  }
}

/* report.c - what people see of a data set and of an evaluation. */
#include "cli/report.h"

#include <math.h>
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

/* A rule that dropped nothing takes one line, another shows the first row that went. */
static void report_rule(const moon_rule_report *report) {
  fprintf(stderr, "  %s: %zu -> %zu rows%s%s\n", report->rule, report->before, report->after, *report->why ? ": " : "", report->why);
  if (*report->sample[0]) fprintf(stderr, "    such as %s\n", report->sample[0]);
}

void cli_report_data(const moon_dataset *dataset) {
  report_file("items", &dataset->items_report);
  report_file("events", &dataset->events_report);
  for (size_t i = 0; i < dataset->rule_count; i++) report_rule(&dataset->rules[i]);
  report_log(&dataset->log->report);
}

void cli_report_findings(FILE *to, const json_t *findings) {
  const json_t *finding;
  size_t i;
  json_array_foreach(findings, i, finding)
    fprintf(to, "%s: %s: %s\n", json_string_value(json_object_get(finding, "place")), json_string_value(json_object_get(finding, "level")),
           json_string_value(json_object_get(finding, "message")));
}

static void print_cell(const json_t *value) {
  if (json_is_number(value)) printf("  %9.4f", json_number_value(value));
  else printf("  %9s", "-");
}

static double number_in(const json_t *of, const char *name) {
  const json_t *value = json_object_get(of, name);
  return json_is_number(value) ? json_number_value(value) : NAN;
}

/* What the precision costs, where it is not f32. */
static void print_precision(const json_t *precision) {
  if (!precision) return;
  const char *name = json_string_value(json_object_get(precision, "name"));
  const json_t *bytes = json_object_get(precision, "bytes"), *apart = json_object_get(precision, "difference");
  const json_t *auc = json_object_get(precision, "auc"), *loss = json_object_get(precision, "logloss");
  printf("\nScores in %s: %.0f bytes of layers instead of %.0f; from f32 at most %.2g, in the mean %.2g apart\n", name,
         number_in(bytes, name), number_in(bytes, "f32"), number_in(apart, "most"), number_in(apart, "mean"));
  printf("  auc %.4f, f32 %.4f (%+.4f)   logloss %.4f, f32 %.4f (%+.4f)\n", number_in(auc, name), number_in(auc, "f32"),
         number_in(auc, name) - number_in(auc, "f32"), number_in(loss, name), number_in(loss, "f32"),
         number_in(loss, name) - number_in(loss, "f32"));
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
  print_precision(json_object_get(metrics, "precision"));
}

/* before: what stands in front of the node's own children. */
static void print_branches(const json_t *node, const char *before) {
  const json_t *children = json_object_get(node, "children"), *child;
  size_t i, n = json_array_size(children);
  json_array_foreach(children, i, child) {
    char deeper[64];
    const char *where = json_string_value(json_object_get(child, "where"));
    printf("%s%s %s%s%s%s\n", before, i + 1 < n ? "├─" : "└─", json_string_value(json_object_get(child, "text")),
           where && *where ? "  (" : "", where ? where : "", where && *where ? ")" : "");
    snprintf(deeper, sizeof deeper, "%s%s", before, i + 1 < n ? "│  " : "   ");
    print_branches(child, deeper);
  }
}

void cli_print_tree(const json_t *tree) {
  printf("%s\n", json_string_value(json_object_get(tree, "text")));
  print_branches(tree, "");
}

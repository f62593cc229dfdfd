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

enum { CELL = 14, LABEL = 14, LONGEST = 32 }; /* "0.7427 ±0.0081" */

/* A value and half of its interval, after what the cell before left free; answers what this one leaves. */
static int print_cell(int before, const json_t *value, const json_t *interval) {
  int width = 1; /* in characters */
  if (json_is_number(value)) width = printf("%*s%.4f", before + 2, "", json_number_value(value)) - before - 2;
  else printf("%*s-", before + 2, "");
  if (json_is_number(value) && json_array_size(interval) == 2) {
    double low = json_number_value(json_array_get(interval, 0)), high = json_number_value(json_array_get(interval, 1));
    width += printf(" ±%.4f", (high - low) / 2) - 1; /* ± is two bytes */
  }
  return width < CELL ? CELL - width : 0;
}

static void print_head(int label, const json_t *baselines) {
  const char *name;
  const json_t *baseline;
  printf("\n  %*s  model", label, "");
  int room = CELL - 5;
  json_object_foreach((json_t *)baselines, name, baseline) room = CELL - (printf("%*s%s", room + 2, "", name) - room - 2);
  putchar('\n');
}

/* The model and the baselines in one metric, of an evaluation or a slice. A longer label is cut. */
static void print_row(int label, const json_t *of, const char *text, const char *metric) {
  const json_t *within = json_object_get(of, "intervals"), *baseline;
  const char *name;
  size_t n = 0;
  int shown = 0;
  for (; text[n] && shown < label; shown++) n += moon_utf8_length(text + n, strlen(text + n));
  printf("  %.*s%*s", (int)n, text, label - shown, "");
  int room = print_cell(0, json_object_get(json_object_get(of, "model"), metric), json_object_get(json_object_get(within, "model"), metric));
  json_object_foreach(json_object_get(of, "baselines"), name, baseline)
    room = print_cell(room, json_object_get(baseline, metric), json_object_get(json_object_get(within, name), metric));
  putchar('\n');
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
  if (isnan(number_in(auc, name))) return; /* of one kind of examples only */
  printf("  auc %.4f, f32 %.4f (%+.4f)   logloss %.4f, f32 %.4f (%+.4f)\n", number_in(auc, name), number_in(auc, "f32"),
         number_in(auc, name) - number_in(auc, "f32"), number_in(loss, name), number_in(loss, "f32"),
         number_in(loss, name) - number_in(loss, "f32"));
}

/* Why metrics have no value, where the part is to blame. */
static void print_without_value(const json_t *metrics) {
  double rate = number_in(json_object_get(metrics, "examples"), "positive_rate");
  const char *part = json_string_value(json_object_get(metrics, "part"));
  if (rate == 0 || rate == 1)
    printf("The %s part has no %s example: what compares the two kinds has no value (-)\n", part ? part : "test", rate == 0 ? "good" : "bad");
  else if (!json_integer_value(json_object_get(metrics, "users")))
    printf("No user went for an item there that was new to them: lists cannot be judged (-)\n");
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
  printf("  users ranked %lld\n", (long long)json_integer_value(json_object_get(metrics, "users")));
  print_without_value(metrics);
  print_head(LABEL, baselines);
  json_object_foreach((json_t *)model, name, value) print_row(LABEL, metrics, name, name);
  print_precision(json_object_get(metrics, "precision"));
}

/* AUC and the first metric at k, where they are asked for. */
static bool is_headline(const char *name, bool *at_k) {
  bool first = strchr(name, '@') && !*at_k;
  *at_k = *at_k || first;
  return first || !strcmp(name, "auc");
}

void cli_report_slices(const json_t *metrics) {
  const json_t *slices = json_object_get(metrics, "slices"), *slice, *value;
  const char *name;
  size_t i, longest = LABEL;
  bool at_k = false;
  json_array_foreach(slices, i, slice)
    if (json_string_length(json_object_get(slice, "name")) > longest) longest = json_string_length(json_object_get(slice, "name"));
  int label = longest < LONGEST ? (int)longest : LONGEST;
  json_object_foreach(json_object_get(metrics, "model"), name, value) {
    if (!is_headline(name, &at_k) || !json_array_size(slices)) continue;
    printf("\nBy slice, %s:", name);
    print_head(label, json_object_get(metrics, "baselines"));
    json_array_foreach(slices, i, slice) print_row(label, slice, json_string_value(json_object_get(slice, "name")), name);
  }
}

void cli_report_against(const json_t *metrics) {
  const json_t *against = json_object_get(metrics, "against"), *one;
  const char *name;
  if (!against) return;
  printf("\nAgainst %s:\n\n  %-14s  %9s  %9s  %10s  %-20s  %s\n", json_string_value(json_object_get(against, "bundle")), "", "this", "other", "difference",
         "95 %", "p");
  json_object_foreach(json_object_get(against, "metrics"), name, one) {
    const json_t *interval = json_object_get(one, "interval");
    printf("  %-14s  %9.4f  %9.4f  %+10.4f", name, number_in(one, "this"), number_in(one, "other"), number_in(one, "difference"));
    if (json_is_array(interval))
      printf("  [%+.4f, %+.4f]    %.3f", json_number_value(json_array_get(interval, 0)), json_number_value(json_array_get(interval, 1)), number_in(one, "p"));
    putchar('\n');
  }
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

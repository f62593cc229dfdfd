/* html.c - an evaluation as one HTML file: no scripts, nothing from outside, and every text escaped. */
#include <math.h>
#include <string.h>

#include "cli/chart.h"
#include "cli/report.h"

enum { POINTS = 512, SLICES = 16 };

static const char head[] =
    "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Evaluation</title><style>\n"
    "body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:1000px;padding:0 1em;color:#222}\n"
    "table{border-collapse:collapse;margin:1em 0}td,th{padding:.25em .8em;border-bottom:1px solid #ddd;text-align:right}\n"
    "td:first-child,th:first-child{text-align:left}small{color:#777}svg{margin:.5em .5em .5em 0;max-width:100%}\n"
    "svg text{font:11px system-ui,sans-serif;fill:#333}\n</style></head><body>\n";

static double number_in(const json_t *value) { return json_is_number(value) ? json_number_value(value) : NAN; }
static double member(const json_t *of, const char *name) { return number_in(json_object_get(of, name)); }

/* The values of who ("model" or a baseline) in an evaluation or a slice. */
static const json_t *column_of(const json_t *of, const char *who) {
  return strcmp(who, "model") ? json_object_get(json_object_get(of, "baselines"), who) : json_object_get(of, who);
}
static const json_t *interval_of(const json_t *of, const char *who, const char *metric) {
  return json_object_get(json_object_get(json_object_get(of, "intervals"), who), metric);
}

static const char *const rankers[] = {"model", "popular", "random", "item-knn"};

/* ---- tables ----------------------------------------------------------------------------------------------------------------- */

static void cell(moon_buf *out, const json_t *value, const json_t *interval) {
  if (!json_is_number(value)) {
    moon_buf_puts(out, "<td>-</td>");
    return;
  }
  moon_buf_printf(out, "<td>%.4f", json_number_value(value));
  if (interval) moon_buf_printf(out, " <small>[%.4f, %.4f]</small>", number_in(json_array_get(interval, 0)), number_in(json_array_get(interval, 1)));
  moon_buf_puts(out, "</td>");
}

static void metrics_table(moon_buf *out, const json_t *of) {
  const char *name;
  json_t *value;
  moon_buf_puts(out, "<table><tr><th></th>");
  for (int r = 0; r < 4; r++) moon_buf_printf(out, "<th>%s</th>", rankers[r]);
  moon_buf_puts(out, "</tr>\n");
  json_object_foreach(json_object_get(of, "model"), name, value) {
    moon_buf_puts(out, "<tr><td>");
    chart_text(out, name);
    moon_buf_puts(out, "</td>");
    for (int r = 0; r < 4; r++) cell(out, json_object_get(column_of(of, rankers[r]), name), interval_of(of, rankers[r], name));
    moon_buf_puts(out, "</tr>\n");
  }
  moon_buf_puts(out, "</table>\n");
}

static void comparison_table(moon_buf *out, const json_t *against) {
  const char *name;
  json_t *one;
  if (!against) return;
  moon_buf_puts(out, "<h2>Against ");
  chart_text(out, json_string_value(json_object_get(against, "bundle")));
  moon_buf_puts(out, "</h2>\n<table><tr><th></th><th>this</th><th>other</th><th>difference</th><th>p</th></tr>\n");
  json_object_foreach(json_object_get(against, "metrics"), name, one) {
    const json_t *interval = json_object_get(one, "interval");
    moon_buf_puts(out, "<tr><td>");
    chart_text(out, name);
    moon_buf_puts(out, "</td>");
    cell(out, json_object_get(one, "this"), NULL);
    cell(out, json_object_get(one, "other"), NULL);
    cell(out, json_object_get(one, "difference"), json_is_array(interval) ? interval : NULL);
    cell(out, json_object_get(one, "p"), NULL);
    moon_buf_puts(out, "</tr>\n");
  }
  moon_buf_puts(out, "</table>\n");
}

/* ---- plots ------------------------------------------------------------------------------------------------------------------ */

static size_t read_numbers(const json_t *array, double *out) {
  size_t n = json_array_size(array) < POINTS ? json_array_size(array) : POINTS;
  for (size_t i = 0; i < n; i++) out[i] = number_in(json_array_get(array, i));
  return n;
}

static void count_from_1(double *x, size_t n) {
  for (size_t i = 0; i < n; i++) x[i] = (double)i + 1;
}

static void loss_plot(moon_buf *out, const json_t *loss) {
  double x[POINTS], train[POINTS], valid[POINTS];
  size_t n = read_numbers(json_object_get(loss, "train"), train), m = read_numbers(json_object_get(loss, "validation"), valid);
  if (!n) return;
  count_from_1(x, POINTS);
  const chart_lines chart = {.title = "Loss", .x = "epoch", .y = "loss", .n = 2,
                             .series = {{.name = "train", .x = x, .y = train, .n = n}, {.name = "validation", .x = x, .y = valid, .n = m}}};
  chart_draw_lines(&chart, out);
}

static void calibration_plot(moon_buf *out, const json_t *bins) {
  double x[POINTS], y[POINTS], same[2] = {0, 1};
  size_t n = json_array_size(bins) < POINTS ? json_array_size(bins) : POINTS;
  for (size_t i = 0; i < n; i++) x[i] = member(json_array_get(bins, i), "score"), y[i] = member(json_array_get(bins, i), "rate");
  const chart_lines chart = {.title = "Calibration", .x = "mean score of a tenth", .y = "share of positives", .n = 2, .unit = true,
                             .series = {{.name = "model", .x = x, .y = y, .n = n},
                                        {.name = "as it should be", .x = same, .y = same, .n = 2, .dashed = true}}};
  chart_draw_lines(&chart, out);
}

static void curve_plot(moon_buf *out, const char *name, const json_t *curves) {
  double x[POINTS], y[4][POINTS];
  char title[64];
  snprintf(title, sizeof title, "%s@k", name);
  count_from_1(x, POINTS);
  chart_lines chart = {.title = title, .x = "k", .y = name, .n = 4};
  for (int r = 0; r < 4; r++)
    chart.series[r] = (chart_series){.name = rankers[r], .x = x, .y = y[r], .n = read_numbers(json_object_get(curves, rankers[r]), y[r])};
  chart_draw_lines(&chart, out);
}

static chart_row row_of(const json_t *of, const char *name, const char *metric) {
  const json_t *interval = interval_of(of, "model", metric);
  chart_row row = {.name = name, .value = member(column_of(of, "model"), metric), .low = number_in(json_array_get(interval, 0)),
                   .high = number_in(json_array_get(interval, 1))};
  for (int r = 1; r < 4; r++) row.beside[r - 1] = member(column_of(of, rankers[r]), metric);
  return row;
}

/* Whole and by slice; nothing where no slice has the metric. */
static void slice_plot(moon_buf *out, const json_t *metrics, const char *metric) {
  chart_row rows[SLICES];
  const json_t *slices = json_object_get(metrics, "slices"), *slice;
  size_t i, n = 0;
  bool any = false;
  rows[n++] = row_of(metrics, "all", metric);
  json_array_foreach(slices, i, slice) {
    if (n == SLICES) break;
    rows[n] = row_of(slice, json_string_value(json_object_get(slice, "name")), metric);
    any = any || isfinite(rows[n].value);
    n++;
  }
  const chart_rows chart = {.title = metric, .names = {"model", "popular", "random", "item-knn"}, .beside = 3, .rows = rows, .n = n};
  if (any) chart_draw_rows(&chart, out);
}

/* ---- the page --------------------------------------------------------------------------------------------------------------- */

static void summary(moon_buf *out, const char *title, const json_t *metrics) {
  const json_t *examples = json_object_get(metrics, "examples"), *value;
  const char *name, *part = json_string_value(json_object_get(metrics, "part"));
  moon_buf_puts(out, "<h1>");
  chart_text(out, title);
  moon_buf_printf(out, "</h1>\n<p>Evaluated on the %s part:", part ? part : "test");
  json_object_foreach((json_t *)examples, name, value) {
    moon_buf_puts(out, " ");
    chart_text(out, name);
    moon_buf_printf(out, " %.*f,", json_is_integer(value) ? 0 : 4, number_in(value));
  }
  moon_buf_printf(out, " users ranked %.0f. In brackets: 95 %% of 1000 bootstrap samples of users.</p>\n", member(metrics, "users"));
}

moon_status cli_write_html(const char *path, const char *title, const json_t *metrics) {
  moon_buf out = {0};
  const char *name;
  json_t *value;
  moon_buf_puts(&out, head);
  summary(&out, title, metrics);
  metrics_table(&out, metrics);
  comparison_table(&out, json_object_get(metrics, "against"));
  moon_buf_puts(&out, "<h2>Training and calibration</h2>\n");
  loss_plot(&out, json_object_get(metrics, "loss"));
  calibration_plot(&out, json_object_get(metrics, "calibration"));
  moon_buf_puts(&out, "<h2>By k</h2>\n");
  json_object_foreach(json_object_get(metrics, "by_k"), name, value) curve_plot(&out, name, value);
  moon_buf_puts(&out, "<h2>By slice</h2>\n");
  json_object_foreach(json_object_get(metrics, "model"), name, value) slice_plot(&out, metrics, name);
  moon_buf_puts(&out, "</body></html>\n");
  moon_status status = out.failed ? moon_fail(MOON_ENOMEM, "no memory for the report") : moon_file_write(path, out.data, out.n);
  moon_buf_free(&out);
  return moon_wrap(status, "--report");
}

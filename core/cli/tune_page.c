/* tune_page.c - a search as one HTML file that needs nothing else: the best so far by trial, the metric by each value, all trials.
 *
 * Plots are SVG in a box of WIDTH x HEIGHT; a point's title says what it is. What failed stands at the bottom, hollow. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/tune.h"

enum { WIDTH = 520, HEIGHT = 260, LEFT = 64, RIGHT = 12, TOP = 12, BOTTOM = 40 };

typedef struct plot {
  moon_buf *out;
  const json_t *result;
  bool lower;
  double low, high; /* of the metric */
} plot;

static const char style[] =
    "<style>:root{color-scheme:light dark;--ink:#1c2330;--faint:#8a93a3;--line:#d8dde6;--dot:#3266d6;--best:#d9480f;--paper:#fff}"
    "@media(prefers-color-scheme:dark){:root{--ink:#e6e9ef;--faint:#8a93a3;--line:#343b48;--dot:#7aa2f7;--best:#ff9e64;--paper:#161a21}}"
    "body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:1120px;margin:2rem auto;padding:0 1rem}"
    ".plots{display:flex;flex-wrap:wrap;gap:1rem}figure{margin:0}figcaption{font-weight:600}svg{display:block}"
    "text{fill:var(--faint);font-size:11px}.axis{stroke:var(--line)}circle{fill:var(--dot);fill-opacity:.7}circle.best{fill:var(--best);fill-opacity:1}"
    "circle.failed{fill:none;stroke:var(--faint)}polyline{fill:none;stroke:var(--best);stroke-width:2}"
    "table{border-collapse:collapse;margin-top:1rem}td,th{padding:.2rem .7rem;text-align:right;border-bottom:1px solid var(--line)}"
    "tr.best td{color:var(--best);font-weight:600}</style>";

static void put_text(moon_buf *out, const char *text) {
  for (const char *p = text ? text : ""; *p; p++) {
    if (*p == '<') moon_buf_puts(out, "&lt;");
    else if (*p == '>') moon_buf_puts(out, "&gt;");
    else if (*p == '&') moon_buf_puts(out, "&amp;");
    else if (*p == '"') moon_buf_puts(out, "&quot;");
    else moon_buf_add(out, p, 1);
  }
}

static void put_value(moon_buf *out, const json_t *value) {
  if (json_is_string(value)) put_text(out, json_string_value(value));
  else if (json_is_boolean(value)) moon_buf_puts(out, json_is_true(value) ? "true" : "false");
  else if (json_is_integer(value)) moon_buf_printf(out, "%lld", (long long)json_integer_value(value));
  else if (value) moon_buf_printf(out, "%.4g", json_number_value(value));
}

static json_int_t trial_of(const json_t *trial) { return json_integer_value(json_object_get(trial, "trial")); }
static bool is_best(const plot *p, const json_t *trial) { return trial_of(json_object_get(p->result, "best")) == trial_of(trial); }

static void find_range(plot *p) {
  const json_t *trial;
  size_t i;
  p->low = INFINITY, p->high = -INFINITY;
  json_array_foreach(json_object_get(p->result, "trials"), i, trial) {
    const json_t *value = json_object_get(trial, "value");
    if (value) p->low = fmin(p->low, json_number_value(value)), p->high = fmax(p->high, json_number_value(value));
  }
  if (p->low > p->high) p->low = 0, p->high = 1;
  if (p->high - p->low < 1e-9) p->low -= 0.5e-3, p->high += 0.5e-3;
}

/* ---- the box ------------------------------------------------------------------------------------------------------------- */

/* where: 0 to 1 from the left. */
static double x_at(double where) { return LEFT + 10 + where * (WIDTH - LEFT - RIGHT - 20); }
static double y_at(const plot *p, double value) {
  return TOP + 8 + (p->high - value) / (p->high - p->low) * (HEIGHT - TOP - BOTTOM - 24);
}

static void begin(const plot *p, const char *caption) {
  moon_buf_puts(p->out, "<figure><figcaption>");
  put_text(p->out, caption);
  moon_buf_printf(p->out, "</figcaption><svg width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" role=\"img\">", WIDTH, HEIGHT, WIDTH, HEIGHT);
  for (int i = 0; i <= 4; i++) {
    double value = p->low + (p->high - p->low) * i / 4, y = y_at(p, value);
    moon_buf_printf(p->out, "<line class=\"axis\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.4f</text>",
                    LEFT, WIDTH - RIGHT, y, y, LEFT - 6, y + 4, value);
  }
}

static void end(const plot *p) { moon_buf_puts(p->out, "</svg></figure>\n"); }

static void put_tick(const plot *p, double where, const json_t *value) {
  moon_buf_printf(p->out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">", x_at(where), HEIGHT - 18);
  put_value(p->out, value);
  moon_buf_puts(p->out, "</text>");
}

static void put_point(const plot *p, double where, const json_t *trial) {
  const json_t *value = json_object_get(trial, "value"), *one;
  const char *name, *kind = !value ? "failed" : is_best(p, trial) ? "best" : "";
  double y = value ? y_at(p, json_number_value(value)) : HEIGHT - BOTTOM - 4;
  moon_buf_printf(p->out, "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"4.5\"><title>trial %lld: ", kind, x_at(where), y, (long long)trial_of(trial));
  if (value) moon_buf_printf(p->out, "%.5f", json_number_value(value));
  else put_text(p->out, moon_text_in(trial, "error"));
  json_object_foreach(json_object_get(trial, "values"), name, one) {
    moon_buf_puts(p->out, ", ");
    put_text(p->out, name);
    moon_buf_puts(p->out, " ");
    put_value(p->out, one);
  }
  moon_buf_puts(p->out, "</title></circle>");
}

static bool has_run(const json_t *trial) { return json_object_get(trial, "value") || json_object_get(trial, "error"); }

/* ---- plots --------------------------------------------------------------------------------------------------------------- */

static void put_progress(const plot *p) {
  const json_t *trials = json_object_get(p->result, "trials"), *trial;
  size_t i, n = json_array_size(trials);
  double best = NAN, width = n > 1 ? (double)(n - 1) : 1;
  begin(p, "Best so far, by trial");
  moon_buf_puts(p->out, "<polyline points=\"");
  json_array_foreach(trials, i, trial) {
    const json_t *value = json_object_get(trial, "value");
    bool whole = value && !json_integer_value(json_object_get(trial, "until"));
    double x = x_at((double)i / width), now = json_number_value(value);
    if (whole && (isnan(best) || (p->lower ? now < best : now > best))) {
      if (!isnan(best)) moon_buf_printf(p->out, "%.1f,%.1f ", x, y_at(p, best));
      best = now;
    }
    if (!isnan(best)) moon_buf_printf(p->out, "%.1f,%.1f ", x, y_at(p, best));
  }
  moon_buf_puts(p->out, "\"/>");
  json_array_foreach(trials, i, trial) if (has_run(trial)) put_point(p, (double)i / width, trial);
  if (n) put_tick(p, 0, json_object_get(json_array_get(trials, 0), "trial"));
  if (n > 1) put_tick(p, 1, json_object_get(json_array_get(trials, n - 1), "trial"));
  end(p);
}

/* Where a value stands on its axis: choices side by side, ranges evenly, logs by their logarithm. */
static double place_of(const json_t *parameter, const json_t *value) {
  const json_t *values = json_object_get(parameter, "values"), *one;
  size_t i, n = json_array_size(values);
  double low = json_number_value(json_object_get(parameter, "low")), high = json_number_value(json_object_get(parameter, "high"));
  double x = json_number_value(value);
  json_array_foreach(values, i, one) if (json_equal(one, value)) return n > 1 ? (double)i / (double)(n - 1) : 0.5;
  if (values) return 0.5;
  return !strcmp(moon_text_in(parameter, "kind"), "log") ? log(x / low) / log(high / low) : (x - low) / (high - low);
}

static void put_parameter(const plot *p, const json_t *parameter) {
  const json_t *values = json_object_get(parameter, "values"), *trial, *value;
  const char *name = moon_text_in(parameter, "name");
  size_t i, n = json_array_size(values), every = n / 8 + 1;
  char caption[200];
  snprintf(caption, sizeof caption, "%.80s by %.60s (%.40s)", moon_text_in(p->result, "metric"), name, moon_text_in(parameter, "where"));
  begin(p, caption);
  json_array_foreach(values, i, value) if (i % every == 0) put_tick(p, place_of(parameter, value), value);
  if (!values) put_tick(p, 0, json_object_get(parameter, "low")), put_tick(p, 1, json_object_get(parameter, "high"));
  json_array_foreach(json_object_get(p->result, "trials"), i, trial)
    if (has_run(trial)) put_point(p, place_of(parameter, json_object_get(json_object_get(trial, "values"), name)), trial);
  end(p);
}

static void put_table(const plot *p) {
  const json_t *parameters = json_object_get(p->result, "parameters"), *parameter, *trial;
  size_t i, k;
  moon_buf_puts(p->out, "<table><tr><th>trial</th>");
  json_array_foreach(parameters, i, parameter) {
    moon_buf_puts(p->out, "<th>");
    put_text(p->out, moon_text_in(parameter, "name"));
    moon_buf_puts(p->out, "</th>");
  }
  moon_buf_puts(p->out, "<th>");
  put_text(p->out, moon_text_in(p->result, "metric"));
  moon_buf_puts(p->out, "</th><th>epochs</th><th>seconds</th></tr>\n");
  json_array_foreach(json_object_get(p->result, "trials"), i, trial) {
    const json_t *value = json_object_get(trial, "value");
    moon_buf_printf(p->out, "<tr%s><td>%lld</td>", is_best(p, trial) ? " class=\"best\"" : "", (long long)trial_of(trial));
    json_array_foreach(parameters, k, parameter) {
      moon_buf_puts(p->out, "<td>");
      put_value(p->out, json_object_get(json_object_get(trial, "values"), moon_text_in(parameter, "name")));
      moon_buf_puts(p->out, "</td>");
    }
    moon_buf_puts(p->out, "<td>");
    if (value) moon_buf_printf(p->out, "%.5f", json_number_value(value));
    else put_text(p->out, json_object_get(trial, "error") ? "failed" : "");
    moon_buf_printf(p->out, "</td><td>%lld</td><td>%.1f</td></tr>\n", (long long)json_integer_value(json_object_get(trial, "epochs")),
                    json_number_value(json_object_get(trial, "seconds")));
  }
  moon_buf_puts(p->out, "</table>\n");
}

moon_status tune_page(const json_t *result, moon_buf *out) {
  plot p = {.out = out, .result = result, .lower = !strcmp(moon_text_in(result, "better"), "lower")};
  const json_t *parameter, *best = json_object_get(result, "best");
  size_t i;
  find_range(&p);
  moon_buf_puts(out, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>moonshelf tune: ");
  put_text(out, moon_text_in(result, "recipe"));
  moon_buf_printf(out, "</title>%s</head><body>\n<h1>", style);
  put_text(out, moon_text_in(result, "recipe"));
  moon_buf_puts(out, "</h1>\n<p>");
  put_text(out, moon_text_in(result, "search"));
  moon_buf_printf(out, " search, %zu trials, judged on the validation part", json_array_size(json_object_get(result, "trials")));
  if (best) moon_buf_printf(out, "; best: trial %lld with %.5f", (long long)trial_of(best), json_number_value(json_object_get(best, "value")));
  moon_buf_puts(out, ".</p>\n<div class=\"plots\">\n");
  put_progress(&p);
  json_array_foreach(json_object_get(result, "parameters"), i, parameter) put_parameter(&p, parameter);
  moon_buf_puts(out, "</div>\n");
  put_table(&p);
  moon_buf_puts(out, "</body></html>\n");
  return out->failed ? moon_fail(MOON_ENOMEM, "no memory for a page") : moon_ok();
}

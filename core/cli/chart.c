/* chart.c - lines over an axis, and rows of values with intervals, as SVG.
 *
 * A scale maps numbers to pixels; its ticks are the multiples of 1, 2 or 5 times a power of ten that give four to nine of them. */
#include "cli/chart.h"

#include <math.h>

enum { WIDTH = 460, HEIGHT = 280, LEFT = 56, RIGHT = 12, TOP = 30, BOTTOM = 64, ROW = 22, NAMES = 180 };

static const char *const colours[CHART_SERIES + 1] = {"#2458a6", "#c2571a", "#8a8a8a", "#2f8f5b", "#8c4ba8", "#b03060", "#444444"};

void chart_text(moon_buf *out, const char *text) {
  for (; *text; text++) {
    switch (*text) {
      case '&': moon_buf_puts(out, "&amp;"); break;
      case '<': moon_buf_puts(out, "&lt;"); break;
      case '>': moon_buf_puts(out, "&gt;"); break;
      case '"': moon_buf_puts(out, "&quot;"); break;
      case '\'': moon_buf_puts(out, "&#39;"); break;
      default: moon_buf_add(out, (unsigned char)*text < 32 ? " " : text, 1);
    }
  }
}

/* ---- scales ----------------------------------------------------------------------------------------------------------------- */

typedef struct scale {
  double low, high, from, to; /* numbers low to high lie at pixels from to to */
} scale;

static void widen(scale *s, double value) {
  if (!isfinite(value)) return;
  if (!(value >= s->low)) s->low = value; /* low and high begin as NaN */
  if (!(value <= s->high)) s->high = value;
}

static void settle(scale *s) {
  if (!isfinite(s->low)) s->low = 0, s->high = 1;
  double room = (s->high - s->low) * 0.05;
  if (room <= 0) room = s->low != 0 ? fabs(s->low) * 0.1 : 0.5;
  s->low -= room, s->high += room;
}

static double pixel(const scale *s, double value) { return s->from + (value - s->low) / (s->high - s->low) * (s->to - s->from); }

static double tick_step(const scale *s) {
  double raw = (s->high - s->low) / 5, power = pow(10, floor(log10(raw))), lead = raw / power;
  return power * (lead < 1.5 ? 1 : lead < 3.5 ? 2 : lead < 7.5 ? 5 : 10);
}

static void put(moon_buf *out, double x, double y, const char *anchor, const char *text) {
  moon_buf_printf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor);
  chart_text(out, text);
  moon_buf_puts(out, "</text>");
}

static void rule(moon_buf *out, double x1, double y1, double x2, double y2, const char *colour, double width) {
  moon_buf_printf(out, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" stroke-width=\"%.1f\"/>", x1, y1, x2, y2, colour, width);
}

static void dot(moon_buf *out, double x, double y, double radius, const char *colour) {
  moon_buf_printf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" fill=\"%s\"/>", x, y, radius, colour);
}

/* Grid lines across from `begin` to `end`, with their numbers. */
static void ticks(moon_buf *out, const scale *s, bool upright, double begin, double end) {
  double step = tick_step(s);
  int count = 0;
  for (double at = ceil(s->low / step) * step; at <= s->high + step * 1e-9 && count < 20; at += step, count++) {
    char text[32];
    double where = pixel(s, at);
    moon_number_text(fabs(at) < step * 1e-9 ? 0 : at, 6, text);
    if (upright) rule(out, begin, where, end, where, "#e4e4e4", 1), put(out, begin - 6, where + 4, "end", text);
    else rule(out, where, begin, where, end, "#e4e4e4", 1), put(out, where, end + 15, "middle", text);
  }
}

static void open_svg(moon_buf *out, int width, int height, const char *title) {
  moon_buf_printf(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" role=\"img\"><title>", width, height,
                  width, height);
  chart_text(out, title);
  moon_buf_puts(out, "</title>");
  moon_buf_printf(out, "<text x=\"%d\" y=\"18\" text-anchor=\"middle\" font-weight=\"bold\">", width / 2);
  chart_text(out, title);
  moon_buf_puts(out, "</text>");
}

static void legend(moon_buf *out, size_t at, size_t n, const char *name, double left, double width, double y) {
  double x = left + (double)at * width / (double)n;
  dot(out, x + 4, y - 4, 4, colours[at]);
  put(out, x + 12, y, "start", name);
}

/* ---- lines ------------------------------------------------------------------------------------------------------------------ */

static void draw_series(moon_buf *out, const chart_series *s, const scale *x, const scale *y, const char *colour) {
  bool down = false;
  moon_buf_puts(out, "<path d=\"");
  for (size_t i = 0; i < s->n; i++) {
    bool known = isfinite(s->x[i]) && isfinite(s->y[i]);
    if (known) moon_buf_printf(out, "%c%.1f %.1f", down ? 'L' : 'M', pixel(x, s->x[i]), pixel(y, s->y[i]));
    down = known;
  }
  moon_buf_printf(out, "\" fill=\"none\" stroke=\"%s\" stroke-width=\"2\"%s/>", colour, s->dashed ? " stroke-dasharray=\"5 4\"" : "");
  for (size_t i = 0; i < s->n && s->n <= 40 && !s->dashed; i++)
    if (isfinite(s->x[i]) && isfinite(s->y[i])) dot(out, pixel(x, s->x[i]), pixel(y, s->y[i]), 2.5, colour);
}

void chart_draw_lines(const chart_lines *chart, moon_buf *out) {
  scale x = {NAN, NAN, LEFT, WIDTH - RIGHT}, y = {NAN, NAN, HEIGHT - BOTTOM, TOP};
  for (size_t s = 0; s < chart->n; s++)
    for (size_t i = 0; i < chart->series[s].n; i++) widen(&x, chart->series[s].x[i]), widen(&y, chart->series[s].y[i]);
  settle(&x), settle(&y);
  if (chart->unit) x.low = y.low = 0, x.high = y.high = 1;
  open_svg(out, WIDTH, HEIGHT, chart->title);
  ticks(out, &y, true, x.from, x.to);
  ticks(out, &x, false, y.to, y.from);
  put(out, (x.from + x.to) / 2, HEIGHT - BOTTOM + 32, "middle", chart->x);
  moon_buf_printf(out, "<text x=\"12\" y=\"%d\" text-anchor=\"middle\" transform=\"rotate(-90 12 %d)\">", (TOP + HEIGHT - BOTTOM) / 2,
                  (TOP + HEIGHT - BOTTOM) / 2);
  chart_text(out, chart->y);
  moon_buf_puts(out, "</text>");
  for (size_t s = 0; s < chart->n; s++) {
    draw_series(out, &chart->series[s], &x, &y, colours[s]);
    legend(out, s, chart->n, chart->series[s].name, LEFT, WIDTH - LEFT - RIGHT, HEIGHT - 10);
  }
  moon_buf_puts(out, "</svg>\n");
}

/* ---- rows ------------------------------------------------------------------------------------------------------------------- */

void chart_draw_rows(const chart_rows *chart, moon_buf *out) {
  enum { WIDE = NAMES + WIDTH };
  double bottom = TOP + (double)chart->n * ROW;
  scale x = {NAN, NAN, NAMES, WIDE - RIGHT};
  for (size_t i = 0; i < chart->n; i++) {
    const chart_row *row = &chart->rows[i];
    widen(&x, row->value), widen(&x, row->low), widen(&x, row->high);
    for (size_t b = 0; b < chart->beside; b++) widen(&x, row->beside[b]);
  }
  settle(&x);
  open_svg(out, WIDE, (int)bottom + 44, chart->title);
  ticks(out, &x, false, TOP, bottom);
  for (size_t i = 0; i < chart->n; i++) {
    const chart_row *row = &chart->rows[i];
    double y = TOP + ((double)i + 0.5) * ROW;
    put(out, NAMES - 8, y + 4, "end", row->name);
    for (size_t b = 0; b < chart->beside; b++)
      if (isfinite(row->beside[b])) dot(out, pixel(&x, row->beside[b]), y, 3, colours[b + 1]);
    if (isfinite(row->low) && isfinite(row->high)) rule(out, pixel(&x, row->low), y, pixel(&x, row->high), y, colours[0], 2);
    if (isfinite(row->value)) dot(out, pixel(&x, row->value), y, 4, colours[0]);
  }
  for (size_t s = 0; s <= chart->beside; s++) legend(out, s, chart->beside + 1, chart->names[s], NAMES, WIDTH - RIGHT, bottom + 36);
  moon_buf_puts(out, "</svg>\n");
}

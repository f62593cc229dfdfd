/* chart.h - plots as SVG, drawn here so that a report needs nothing from outside. Numbers that are none are left out. */
#ifndef MOON_CLI_CHART_H
#define MOON_CLI_CHART_H

#include "base/base.h"

enum { CHART_SERIES = 6 };

typedef struct chart_series {
  const char *name;
  const double *x, *y; /* [n] */
  size_t n;
  bool dashed;
} chart_series;
typedef struct chart_lines {
  const char *title, *x, *y; /* what the axes show */
  chart_series series[CHART_SERIES];
  size_t n;
  bool unit; /* both axes go from 0 to 1 */
} chart_lines;

/* A value with its interval, and others beside it. */
typedef struct chart_row {
  const char *name;
  double value, low, high;
  double beside[CHART_SERIES];
} chart_row;
typedef struct chart_rows {
  const char *title;
  const char *names[CHART_SERIES + 1]; /* of the value, and of what is beside it */
  size_t beside;
  const chart_row *rows;
  size_t n;
} chart_rows;

void chart_draw_lines(const chart_lines *chart, moon_buf *out);
void chart_draw_rows(const chart_rows *chart, moon_buf *out);
/* What HTML and SVG read as just this text. */
void chart_text(moon_buf *out, const char *text);

#endif

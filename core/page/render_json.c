/* render_json.c - a page as JSON, written straight into a buffer.
 *
 * The same page gives the same bytes: nothing here knows of time. What a catalogue holds is not ours, so texts are escaped and
 * bytes that are not UTF-8 become U+FFFD, and a column whose name is one of our own keys is left out. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "page/render.h"

/* ---- values */

/* How many bytes from the start need no escape. */
static size_t plain_run(const char *text, size_t n) {
  size_t i = 0;
  while (i < n && (unsigned char)text[i] >= 0x20 && (unsigned char)text[i] < 0x80 && text[i] != '"' && text[i] != '\\') i++;
  return i;
}

/* One character that is not plain; returns its length. */
static size_t put_special(moon_buf *out, const char *text, size_t n) {
  unsigned char c = (unsigned char)*text;
  size_t length = moon_utf8_length(text, n);
  if (length > 1) moon_buf_add(out, text, length);
  else if (!length) moon_buf_puts(out, "\xef\xbf\xbd");
  else if (c == '"' || c == '\\') moon_buf_add(out, c == '"' ? "\\\"" : "\\\\", 2);
  else if (c == '\n') moon_buf_puts(out, "\\n");
  else if (c == '\t') moon_buf_puts(out, "\\t");
  else moon_buf_printf(out, "\\u%04x", c);
  return length ? length : 1;
}

static void put_text(moon_buf *out, const char *text, size_t n) {
  moon_buf_puts(out, "\"");
  while (n) {
    size_t run = plain_run(text, n);
    if (run) moon_buf_add(out, text, run);
    else run = put_special(out, text, n);
    text += run, n -= run;
  }
  moon_buf_puts(out, "\"");
}

static void put_string(moon_buf *out, const char *text) {
  if (text) put_text(out, text, strlen(text));
  else moon_buf_puts(out, "null");
}

/* Writes `value` without leading blanks so that it ends before `end`; returns its beginning. */
static char *digits_before(char *end, uint64_t value) {
  do *--end = (char)('0' + value % 10);
  while (value /= 10);
  return end;
}

static void put_integer(moon_buf *out, int64_t value) {
  char text[24], *at = digits_before(text + sizeof text, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
  if (value < 0) *--at = '-';
  moon_buf_add(out, at, (size_t)(text + sizeof text - at));
}

enum { SCORE_DIGITS = 6, CELL_DIGITS = 15 }; /* a float's worth; a double's, so that 12999.95 stays what it is */

/* `scaled` / 10^`decimals`, without zeros at its end. */
static void put_decimal(moon_buf *out, bool negative, uint64_t scaled, int decimals) {
  char text[48], *end = text + sizeof text, *at = end;
  for (; decimals && scaled % 10 == 0; decimals--) scaled /= 10;
  for (int i = 0; i < decimals; i++, scaled /= 10) *--at = (char)('0' + scaled % 10);
  if (decimals) *--at = '.';
  at = digits_before(at, scaled);
  if (negative) *--at = '-';
  moon_buf_add(out, at, (size_t)(end - at));
}

/* What printf would take a microsecond for: scores of a usual size, and cells of at most four decimals. False: not one of those. */
static bool put_common(moon_buf *out, double value, int digits) {
  double size = fabs(value);
  if (digits == SCORE_DIGITS) {
    int decimals = SCORE_DIGITS - 1;
    double scale = 1e5;
    if (!(size >= 1e-4 && size < 999999.5)) return false;
    for (; size * scale >= 999999.5; decimals--) scale /= 10;
    for (; size * scale < 99999.5; decimals++) scale *= 10;
    put_decimal(out, value < 0, (uint64_t)rint(size * scale), decimals);
    return true;
  }
  double scaled = round(size * 1e4);
  if (!(size < 1e10) || scaled / 1e4 != size) return false;
  put_decimal(out, value < 0, (uint64_t)scaled, 4);
  return true;
}

static void put_number(moon_buf *out, double value, int digits) {
  char text[32];
  if (!isfinite(value)) {
    moon_buf_puts(out, "null");
  } else if (fabs(value) < 1e15 && value == trunc(value)) {
    put_integer(out, (int64_t)value);
  } else if (!put_common(out, value, digits)) {
    moon_number_text(value, digits, text);
    moon_buf_puts(out, text);
  }
}

/* ,"key": */
static void put_key(moon_buf *out, const char *key) {
  moon_buf_puts(out, ",");
  put_string(out, key);
  moon_buf_puts(out, ":");
}

static void put_score(moon_buf *out, const char *key, float score) {
  put_key(out, key);
  put_number(out, score, SCORE_DIGITS);
}

/* ---- items */

static bool is_our_key(const char *name) {
  static const char *const keys[] = {"id", "item", "score", "source", "why", "explain"}; /* "item" is the id */
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
    if (!strcmp(name, keys[i])) return true;
  return false;
}

static void put_cell(moon_buf *out, const moon_column *column, size_t row) {
  char time[32];
  if (row >= column->n || moon_column_is_null(column, row)) {
    moon_buf_puts(out, "null");
  } else if (column->type == MOON_STRING) {
    put_text(out, moon_column_text(column, row), moon_dict_length(column->dict, column->code[row]));
  } else if (column->type == MOON_NUMBER) {
    put_number(out, column->f64[row], CELL_DIGITS);
  } else if (column->type == MOON_INTEGER) {
    put_integer(out, column->i64[row]);
  } else {
    moon_time_format(column->i64[row], time);
    put_string(out, time);
  }
}

static void put_position(moon_buf *out, const char *key, uint32_t position) {
  if (position == MOON_NONE) return;
  put_key(out, key);
  put_integer(out, (int64_t)position + 1);
}

static void put_effect(moon_buf *out, const moon_reason *effect) {
  moon_buf_puts(out, "{\"policy\":");
  put_string(out, effect->policy);
  if (effect->text) put_key(out, "text"), put_string(out, effect->text);
  if (effect->factor != 0) put_score(out, "factor", effect->factor);
  put_position(out, "from", effect->from);
  put_position(out, "to", effect->to);
  moon_buf_puts(out, "}");
}

static void put_explain(moon_buf *out, const moon_slate *slate, size_t i, const moon_request *request) {
  const moon_reason *effects[MOON_EFFECTS_SHOWN];
  size_t n = moon_explain_effects(slate, i, effects);
  char why[MOON_WHY_SIZE];
  moon_explain_why(slate, i, request, why);
  put_key(out, "why");
  put_string(out, why);
  put_key(out, "explain");
  moon_buf_puts(out, "{\"position\":");
  put_integer(out, (int64_t)i + 1);
  put_key(out, "source");
  put_string(out, moon_source_name((moon_source_kind)slate->source[i]));
  put_score(out, "source_score", slate->source_score[i]);
  put_score(out, "model_score", slate->model_score[i]);
  put_key(out, "effects");
  moon_buf_puts(out, "[");
  for (size_t e = 0; e < n; e++) {
    if (e) moon_buf_puts(out, ",");
    put_effect(out, effects[e]);
  }
  moon_buf_puts(out, "]}");
}

static void put_item(moon_buf *out, const moon_slate *slate, size_t i, const moon_request *request) {
  const moon_catalogue *catalogue = slate->bundle->catalogue;
  const moon_table *table = catalogue->table;
  uint32_t row = slate->item[i];
  moon_buf_puts(out, "{\"id\":");
  put_text(out, moon_catalogue_id(catalogue, row), moon_dict_length(catalogue->ids, row));
  put_score(out, "score", slate->score[i]);
  put_key(out, "source");
  put_string(out, moon_source_name((moon_source_kind)slate->source[i]));
  for (size_t c = 0; c < table->column_count; c++) {
    if (is_our_key(table->columns[c].name)) continue;
    put_key(out, table->columns[c].name);
    put_cell(out, &table->columns[c], row);
  }
  if (request->explain) put_explain(out, slate, i, request);
  moon_buf_puts(out, "}");
}

/* ---- the page */

static void put_slot(moon_buf *out, const moon_page_slot *slot, const moon_request *request) {
  moon_buf_puts(out, "{\"name\":");
  put_string(out, slot->name);
  put_key(out, "title");
  put_string(out, slot->title);
  if (slot->fallback) put_key(out, "fallback"), moon_buf_puts(out, "true");
  put_key(out, "items");
  moon_buf_puts(out, "[");
  for (size_t i = 0; i < slot->slate->n; i++) {
    if (i) moon_buf_puts(out, ",");
    put_item(out, slot->slate, i, request);
  }
  moon_buf_puts(out, "]}");
}

moon_status moon_page_json(const moon_page *page, const moon_request *request, moon_buf *out) {
  size_t start = out->n;
  moon_buf_puts(out, "{\"surface\":");
  put_string(out, page->surface);
  put_key(out, "user");
  put_string(out, request->user);
  put_key(out, "cold");
  moon_buf_puts(out, page->cold ? "true" : "false");
  put_key(out, "slots");
  moon_buf_puts(out, "[");
  for (size_t i = 0; i < page->slot_count; i++) {
    if (i) moon_buf_puts(out, ",");
    put_slot(out, &page->slots[i], request);
  }
  moon_buf_puts(out, "]");
  if (page->degraded) put_key(out, "degraded"), put_string(out, page->degraded);
  moon_buf_puts(out, "}");
  if (!out->failed) return moon_ok();
  out->n = start;
  if (out->data) out->data[start] = 0;
  return moon_fail(MOON_ENOMEM, "no memory for the page's JSON");
}

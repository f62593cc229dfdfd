/* render_text.c - a page for a terminal: titles, numbered items in columns, and where asked for the reasons below each.
 *
 * Texts from the catalogue are counted in characters, cut to their column, and stripped of control characters: a title must not
 * move the reader's cursor. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "page/render.h"

enum { TITLE_WIDTH = 40, PRICE_WIDTH = 9, KIND_WIDTH = 26, SCORE_WIDTH = 9, LINE_WIDTH = 2000 };

/* ---- cells */

static void pad(moon_buf *out, size_t used, size_t width) {
  for (; used < width; used++) moon_buf_puts(out, " ");
}

/* At most `width` characters, blanks after them up to `fill`; a longer text ends in "...". */
static void put_cut(moon_buf *out, const char *text, size_t width, size_t fill) {
  size_t n = strlen(text), total = 0, shown = 0;
  for (size_t at = 0, length; at < n; at += length ? length : 1, total++) length = moon_utf8_length(text + at, n - at);
  size_t limit = total > width ? width - 3 : total;
  for (size_t at = 0; at < n && shown < limit; shown++) {
    size_t length = moon_utf8_length(text + at, n - at);
    unsigned char c = (unsigned char)text[at], second = (unsigned char)text[at + (length > 1)];
    bool control = length == 1 ? c < 0x20 || c == 0x7f : c == 0xc2 && second < 0xa0; /* C0, DEL, C1 */
    if (!length || control) moon_buf_puts(out, "?");
    else moon_buf_add(out, text + at, length);
    at += length ? length : 1;
  }
  if (limit < total) moon_buf_puts(out, "..."), shown += 3;
  pad(out, shown, fill);
}

static void put_line(moon_buf *out, const char *text) { put_cut(out, text, LINE_WIDTH, 0); }

static void put_right(moon_buf *out, const char *text, size_t width) {
  pad(out, strlen(text), width);
  moon_buf_puts(out, text);
}

static const moon_column *find(const moon_slate *slate, const char *name, uint32_t row) {
  const moon_column *column = moon_table_column(slate->bundle->catalogue->table, name);
  return column && row < column->n && !moon_column_is_null(column, row) ? column : NULL;
}

static const char *text_of(const moon_slate *slate, const char *name, uint32_t row) {
  const moon_column *column = find(slate, name, row);
  return column ? moon_column_text(column, row) : NULL;
}

/* ---- items */

static void put_title(moon_buf *out, const moon_slate *slate, uint32_t row) {
  const char *title = text_of(slate, "title", row);
  put_cut(out, title && *title ? title : moon_catalogue_id(slate->bundle->catalogue, row), TITLE_WIDTH, TITLE_WIDTH + 1);
}

static void put_price(moon_buf *out, const moon_slate *slate, uint32_t row) {
  const moon_column *column = find(slate, "price", row);
  double price = column ? moon_column_number(column, row) : NAN;
  char text[64] = "";
  if (isfinite(price) && fabs(price) < 1e15) snprintf(text, sizeof text, "%.2f", price);
  put_right(out, text, PRICE_WIDTH);
  moon_buf_puts(out, "  ");
}

/* "chairs, Acme" */
static void put_kind(moon_buf *out, const moon_slate *slate, uint32_t row) {
  const char *category = text_of(slate, "category", row), *brand = text_of(slate, "brand", row);
  char text[256];
  snprintf(text, sizeof text, "%s%s%s", category ? category : "", category && brand ? ", " : "", brand ? brand : "");
  put_cut(out, text, KIND_WIDTH, KIND_WIDTH + 1);
}

static void put_effect(moon_buf *out, const moon_reason *effect) {
  char factor[32];
  moon_buf_puts(out, "       ");
  put_line(out, effect->policy);
  if (effect->factor != 0) {
    moon_number_text(effect->factor, 4, factor);
    moon_buf_printf(out, " x%s", factor);
  }
  if (effect->from != MOON_NONE && effect->to != MOON_NONE && effect->from != effect->to)
    moon_buf_printf(out, ", %u -> %u", effect->from + 1, effect->to + 1);
  if (effect->text) moon_buf_puts(out, ": "), put_line(out, effect->text);
  moon_buf_puts(out, "\n");
}

static void put_reasons(moon_buf *out, const moon_slate *slate, size_t i, const moon_request *request) {
  const moon_reason *effects[MOON_EFFECTS_SHOWN];
  size_t n = moon_explain_effects(slate, i, effects);
  char why[MOON_WHY_SIZE], score[32];
  moon_explain_why(slate, i, request, why);
  moon_buf_puts(out, "       ");
  put_line(out, why);
  moon_number_text(slate->source_score[i], 4, score);
  moon_buf_printf(out, "\n       %s %s", moon_source_name((moon_source_kind)slate->source[i]), score);
  if (!isnan(slate->model_score[i])) {
    moon_number_text(slate->model_score[i], 4, score);
    moon_buf_printf(out, ", model %s", score);
  }
  moon_buf_puts(out, "\n");
  for (size_t e = 0; e < n; e++) put_effect(out, effects[e]);
}

static void put_item(moon_buf *out, const moon_slate *slate, size_t i, const moon_request *request) {
  const moon_table *table = slate->bundle->catalogue->table;
  char score[32];
  moon_buf_printf(out, "%4zu. ", i + 1);
  put_title(out, slate, slate->item[i]);
  if (moon_table_column(table, "price")) put_price(out, slate, slate->item[i]);
  if (moon_table_column(table, "category") || moon_table_column(table, "brand")) put_kind(out, slate, slate->item[i]);
  moon_number_text(slate->score[i], 4, score);
  put_right(out, score, SCORE_WIDTH);
  moon_buf_printf(out, "  %s\n", moon_source_name((moon_source_kind)slate->source[i]));
  if (request->explain) put_reasons(out, slate, i, request);
}

/* ---- the page */

static void put_head(moon_buf *out, const moon_page *page, const moon_request *request) {
  put_line(out, page->surface);
  if (request->user) moon_buf_puts(out, " for "), put_line(out, request->user);
  if (page->cold) moon_buf_puts(out, request->user ? ", a new visitor" : " for a new visitor");
  if (request->item) moon_buf_puts(out, ", at item "), put_line(out, request->item);
  moon_buf_puts(out, page->slot_count ? "\n" : "\n\n(nothing to show)\n");
}

/* Why a slot is not there. */
static void put_absent(moon_buf *out, const moon_page_absent *slot) {
  moon_buf_puts(out, "\nnot there: ");
  put_line(out, slot->name);
  if (slot->gate) moon_buf_puts(out, ", its gate is closed: "), put_line(out, slot->gate);
  else moon_buf_printf(out, ", it has %zu of at least %zu items", slot->had, slot->min);
  moon_buf_puts(out, "\n");
}

moon_status moon_page_text(const moon_page *page, const moon_request *request, moon_buf *out) {
  size_t start = out->n;
  put_head(out, page, request);
  for (size_t s = 0; s < page->slot_count; s++) {
    const moon_page_slot *slot = &page->slots[s];
    moon_buf_puts(out, "\n");
    put_line(out, slot->title);
    moon_buf_puts(out, slot->fallback ? "  (filled up by fallback)\n" : "\n");
    for (size_t i = 0; i < slot->slate->n; i++) put_item(out, slot->slate, i, request);
  }
  for (size_t i = 0; request->explain && i < page->absent_count; i++) put_absent(out, &page->absent[i]);
  if (page->degraded) moon_buf_puts(out, "\ndegraded: "), put_line(out, page->degraded), moon_buf_puts(out, "\n");
  if (!out->failed) return moon_ok();
  out->n = start;
  if (out->data) out->data[start] = 0;
  return moon_fail(MOON_ENOMEM, "no memory for the page's text");
}

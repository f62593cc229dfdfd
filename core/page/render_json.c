/* render_json.c - a page as JSON, written straight into a buffer.
 *
 * The same page gives the same bytes: nothing here knows of time. What a catalogue holds is not ours, so a column whose name is
 * one of our own keys is left out. */
#include <math.h>
#include <string.h>

#include "page/render.h"

/* ,"key": */
static void put_key(moon_buf *out, const char *key) {
  moon_buf_puts(out, ",");
  moon_json_string(out, key);
  moon_buf_puts(out, ":");
}

static void put_score(moon_buf *out, const char *key, float score) {
  put_key(out, key);
  moon_json_score(out, score);
}

/* ---- items */

static bool is_our_key(const char *name) {
  static const char *const keys[] = {"id", "item", "score", "source", "propensity", "why", "explain"}; /* "item" is the id */
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
    if (!strcmp(name, keys[i])) return true;
  return false;
}

static void put_position(moon_buf *out, const char *key, uint32_t position) {
  if (position == MOON_NONE) return;
  put_key(out, key);
  moon_json_integer(out, (int64_t)position + 1);
}

static void put_effect(moon_buf *out, const moon_reason *effect) {
  moon_buf_puts(out, "{\"policy\":");
  moon_json_string(out, effect->policy);
  if (effect->text) put_key(out, "text"), moon_json_string(out, effect->text);
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
  moon_json_string(out, why);
  put_key(out, "explain");
  moon_buf_puts(out, "{\"position\":");
  moon_json_integer(out, (int64_t)i + 1);
  put_key(out, "source");
  moon_json_string(out, moon_source_name((moon_source_kind)slate->source[i]));
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
  moon_json_text(out, moon_catalogue_id(catalogue, row), moon_dict_length(catalogue->ids, row));
  put_score(out, "score", slate->score[i]);
  put_key(out, "source");
  moon_json_string(out, moon_source_name((moon_source_kind)slate->source[i]));
  if (!isnan(slate->propensity[i])) put_score(out, "propensity", slate->propensity[i]);
  for (size_t c = 0; c < table->column_count; c++) {
    if (is_our_key(table->columns[c].name)) continue;
    put_key(out, table->columns[c].name);
    moon_column_json(&table->columns[c], row, out);
  }
  if (request->explain) put_explain(out, slate, i, request);
  moon_buf_puts(out, "}");
}

/* ---- the page */

static void put_slot(moon_buf *out, const moon_page_slot *slot, const moon_request *request) {
  moon_buf_puts(out, "{\"name\":");
  moon_json_string(out, slot->name);
  put_key(out, "title");
  moon_json_string(out, slot->title);
  if (slot->fallback) put_key(out, "fallback"), moon_buf_puts(out, "true");
  put_key(out, "items");
  moon_buf_puts(out, "[");
  for (size_t i = 0; i < slot->slate->n; i++) {
    if (i) moon_buf_puts(out, ",");
    put_item(out, slot->slate, i, request);
  }
  moon_buf_puts(out, "]}");
}

/* ,"displaced":[{"slot":"hero","position":1,"item":"i3","rule":"dedupe","name":"for_you"}, {..,"item":null,"rule":"cap",..}] */
static void put_cells(moon_buf *out, const moon_page *page) {
  put_key(out, "displaced");
  moon_buf_puts(out, "[");
  for (size_t i = 0; i < page->cell_count; i++) {
    const moon_page_cell *cell = &page->cells[i];
    moon_buf_puts(out, i ? ",{\"slot\":" : "{\"slot\":");
    moon_json_string(out, cell->slot);
    put_position(out, "position", cell->position);
    put_key(out, "item");
    moon_json_string(out, cell->id);
    put_key(out, "rule");
    moon_json_string(out, cell->rule);
    if (cell->name) put_key(out, "name"), moon_json_string(out, cell->name);
    moon_buf_puts(out, "}");
  }
  moon_buf_puts(out, "]");
}

/* ,"absent":[{"slot":"hero","gate":"country(NL)"},{"slot":"more","items":2,"min":4}] */
static void put_absent(moon_buf *out, const moon_page *page) {
  put_key(out, "absent");
  for (size_t i = 0; i < page->absent_count; i++) {
    const moon_page_absent *slot = &page->absent[i];
    moon_buf_puts(out, i ? ",{\"slot\":" : "[{\"slot\":");
    moon_json_string(out, slot->name);
    put_key(out, slot->gate ? "gate" : "items");
    if (slot->gate) moon_json_string(out, slot->gate);
    else moon_json_integer(out, (int64_t)slot->had), put_key(out, "min"), moon_json_integer(out, (int64_t)slot->min);
    moon_buf_puts(out, "}");
  }
  moon_buf_puts(out, "]");
}

moon_status moon_page_json(const moon_page *page, const moon_request *request, moon_buf *out) {
  size_t start = out->n;
  moon_buf_puts(out, "{\"surface\":");
  moon_json_string(out, page->surface);
  put_key(out, "user");
  moon_json_string(out, request->user);
  put_key(out, "cold");
  moon_buf_puts(out, page->cold ? "true" : "false");
  put_key(out, "slots");
  moon_buf_puts(out, "[");
  for (size_t i = 0; i < page->slot_count; i++) {
    if (i) moon_buf_puts(out, ",");
    put_slot(out, &page->slots[i], request);
  }
  moon_buf_puts(out, "]");
  if (request->explain && page->absent_count) put_absent(out, page);
  if (request->explain && page->cells) put_cells(out, page);
  if (page->late) put_key(out, "late"), moon_buf_puts(out, "true");
  if (page->degraded) put_key(out, "degraded"), moon_json_string(out, page->degraded);
  moon_buf_puts(out, "}");
  if (!out->failed) return moon_ok();
  out->n = start;
  if (out->data) out->data[start] = 0;
  return moon_fail(MOON_ENOMEM, "no memory for the page's JSON");
}

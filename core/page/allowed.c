/* allowed.c - which rows a condition of a request lets pass, as the bits that a search asks.
 *
 * What no request changes is laid out once, when the site is loaded. For a column that a request's value is compared with its rows are
 * kept in the order of their values: those that a value is equal to, or below, are then one stretch of that list, and a request costs a
 * bit for each of them; texts that many items have are kept as bits besides. That is some 8 bytes an item for a column of strings and 12
 * for one of numbers, whatever number of values there is. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "page/condition.h"
#include "page/site.h"

/* ---- a column's rows by their values, those without one left out */

typedef struct cell {
  double value;
  uint32_t row;
} cell;

static int by_value(const void *a, const void *b) {
  const cell *x = a, *y = b;
  if (x->value != y->value) return x->value < y->value ? -1 : 1;
  return (x->row > y->row) - (x->row < y->row);
}

static moon_status sort_numbers(moon_arena *memory, const moon_column *column, moon_ordered *out) {
  cell *cells = moon_alloc(column->n * sizeof *cells);
  out->row = moon_arena_alloc(memory, column->n * sizeof *out->row);
  out->value = moon_arena_alloc(memory, column->n * sizeof *out->value);
  if (!cells || !out->row || !out->value) {
    moon_free(cells);
    return moon_fail(MOON_ENOMEM, "no memory for a filter of %zu items", column->n);
  }
  for (uint32_t row = 0; row < column->n; row++)
    if (!moon_column_is_null(column, row)) cells[out->n++] = (cell){moon_column_number(column, row), row};
  qsort(cells, out->n, sizeof *cells, by_value);
  for (size_t i = 0; i < out->n; i++) out->value[i] = cells[i].value, out->row[i] = cells[i].row;
  moon_free(cells);
  return moon_ok();
}

static void set_bits(uint64_t *bits, const moon_ordered *o, size_t from, size_t to) {
  for (size_t i = from; i < to; i++) moon_bits_set(bits, o->row[i]);
}

/* There can be no more than 32 of one in 32. */
static moon_status keep_heavy(moon_arena *memory, size_t codes, size_t rows, moon_ordered *out) {
  for (uint32_t code = 0; code < codes && out->heavy_count < MOON_HEAVY; code++) {
    size_t many = out->start[code + 1] - out->start[code];
    if (!many || many < rows / MOON_HEAVY) continue;
    uint64_t *bits = moon_arena_calloc(memory, moon_bits_words(rows) * sizeof *bits);
    if (!bits) return moon_fail(MOON_ENOMEM, "no memory for a filter of %zu items", rows);
    set_bits(bits, out, out->start[code], out->start[code + 1]);
    out->heavy[out->heavy_count++] = (moon_heavy){code, bits};
  }
  return moon_ok();
}

/* start[c] counts up from where code c begins to where the next one does. */
static moon_status sort_texts(moon_arena *memory, const moon_column *column, moon_ordered *out) {
  size_t codes = moon_dict_count(column->dict);
  out->row = moon_arena_alloc(memory, column->n * sizeof *out->row);
  out->start = moon_arena_calloc(memory, (codes + 2) * sizeof *out->start);
  if (!out->row || !out->start) return moon_fail(MOON_ENOMEM, "no memory for a filter of %zu items", column->n);
  for (size_t row = 0; row < column->n; row++)
    if (!moon_column_is_null(column, row)) out->start[column->code[row] + 2]++, out->n++;
  for (size_t c = 2; c <= codes; c++) out->start[c] += out->start[c - 1];
  for (uint32_t row = 0; row < column->n; row++)
    if (!moon_column_is_null(column, row)) out->row[out->start[column->code[row] + 1]++] = row;
  return keep_heavy(memory, codes, column->n, out);
}

/* The column's, made where the site has none yet. */
static moon_status require_ordered(moon_site *site, size_t column) {
  for (const moon_ordered *o = site->ordered; o; o = o->next)
    if (o->column == column) return moon_ok();
  const moon_column *of = &site->bundle->catalogue->table->columns[column];
  moon_ordered *fresh = moon_arena_calloc(&site->memory, sizeof *fresh);
  if (!fresh) return moon_fail(MOON_ENOMEM, "no memory for a site");
  fresh->column = column;
  MOON_TRY((of->type == MOON_STRING ? sort_texts : sort_numbers)(&site->memory, of, fresh));
  fresh->next = site->ordered;
  site->ordered = fresh;
  return moon_ok();
}

static const moon_ordered *ordered_of(const moon_site *site, size_t column) {
  const moon_ordered *o = site->ordered;
  while (o->column != column) o = o->next;
  return o;
}

/* ---- stretches of it */

/* How many values are below x, or with `equal` not above it. */
static size_t rank_of(const moon_ordered *o, double x, bool equal) {
  size_t low = 0, high = o->n;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (o->value[middle] < x || (equal && o->value[middle] == x)) low = middle + 1;
    else high = middle;
  }
  return low;
}

static void pick_text(const moon_ordered *o, uint32_t code, uint64_t *bits, size_t words) {
  size_t h = 0;
  while (h < o->heavy_count && o->heavy[h].code != code) h++;
  if (h == o->heavy_count) set_bits(bits, o, o->start[code], o->start[code + 1]);
  else for (size_t w = 0; w < words; w++) bits[w] |= o->heavy[h].bits[w];
}

/* Sets the rows that the clause's values pick out: of ne those that are equal. */
static void pick(const moon_clause *term, const moon_ordered *o, uint64_t *bits, size_t words) {
  for (size_t i = 0; i < term->count && term->codes; i++) pick_text(o, term->codes[i], bits, words);
  if (term->codes || !term->count || isnan(term->numbers[0])) return;
  double x = term->numbers[0];
  switch (term->op) {
    case MOON_COMPARE_LT: set_bits(bits, o, 0, rank_of(o, x, false)); break;
    case MOON_COMPARE_LE: set_bits(bits, o, 0, rank_of(o, x, true)); break;
    case MOON_COMPARE_GT: set_bits(bits, o, rank_of(o, x, true), o->n); break;
    case MOON_COMPARE_GE: set_bits(bits, o, rank_of(o, x, false), o->n); break;
    default: set_bits(bits, o, rank_of(o, x, false), rank_of(o, x, true)); break;
  }
}

/* ---- for a source, and for a request */

/* Parts the list: those without a parameter hold for whoever asks. */
static moon_status part(const json_t *when, json_t *fixed, json_t *asked) {
  json_t *one;
  size_t i;
  if (!json_array_size(when)) return moon_fail(MOON_EFORMAT, "conditions must be a list of at least one");
  json_array_foreach(when, i, one)
    if (json_array_append(json_object_get(one, "param") ? asked : fixed, one)) return moon_fail(MOON_ENOMEM, "no memory for a filter");
  return moon_ok();
}

static moon_status lay_out(moon_site *site, const json_t *fixed, const uint64_t *listed, size_t rows, const uint64_t **out) {
  moon_condition *condition;
  MOON_TRY(moon_condition_parse(fixed, site->bundle->catalogue, &condition));
  uint64_t *allowed = moon_arena_calloc(&site->memory, moon_bits_words(rows) * sizeof *allowed);
  for (uint32_t row = 0; allowed && row < rows; row++)
    if (moon_bits_has(listed, row) && moon_condition_holds(condition, site->bundle->catalogue, row)) moon_bits_set(allowed, row);
  moon_condition_free(condition);
  *out = allowed;
  return allowed ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory for a filter of %zu items", rows);
}

/* The source's own as soon as it is there: the site frees it. */
static moon_status read_asked(moon_site *site, const json_t *asked, moon_site_source *out) {
  MOON_TRY(moon_condition_parse(asked, site->bundle->catalogue, &out->when));
  for (size_t i = 0; i < out->when->n; i++) MOON_TRY(require_ordered(site, out->when->terms[i].column));
  return moon_ok();
}

moon_status moon_site_read_allowed(moon_site *site, const json_t *when, const uint64_t *listed, size_t rows, moon_site_source *out) {
  out->allowed = listed;
  if (!when || json_is_null(when)) return moon_ok();
  json_t *fixed = json_array(), *asked = json_array();
  moon_status status = fixed && asked ? part(when, fixed, asked) : moon_fail(MOON_ENOMEM, "no memory for a filter");
  if (!status.code && json_array_size(fixed)) status = lay_out(site, fixed, listed, rows, &out->allowed);
  if (!status.code && json_array_size(asked)) status = read_asked(site, asked, out);
  json_decref(fixed);
  json_decref(asked);
  return status;
}

moon_status moon_site_allowed(const moon_site *site, const moon_site_source *source, const moon_request *request, moon_arena *arena,
                              const uint64_t **out) {
  const moon_condition *when;
  *out = source->allowed;
  if (!source->when) return moon_ok();
  MOON_TRY(moon_condition_ask(source->when, site->bundle->catalogue, request, arena, &when));
  if (!when->n) return moon_ok();
  size_t words = moon_bits_words(site->nearest.rows);
  uint64_t *bits = moon_arena_alloc(arena, 2 * words * sizeof *bits), *picked = bits + words;
  if (!bits) return moon_fail(MOON_ENOMEM, "no memory for a filter of %zu items", site->nearest.rows);
  memcpy(bits, source->allowed, words * sizeof *bits);
  for (size_t i = 0; i < when->n; i++) {
    const moon_clause *term = &when->terms[i];
    uint64_t turn = term->op == MOON_COMPARE_NE ? UINT64_MAX : 0;
    memset(picked, 0, words * sizeof *picked);
    pick(term, ordered_of(site, term->column), picked, words);
    for (size_t w = 0; w < words; w++) bits[w] &= picked[w] ^ turn;
  }
  *out = bits;
  return moon_ok();
}

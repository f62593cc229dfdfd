/* catalogue.c - the items by dense row: row r here is item r everywhere. */
#include <string.h>
#include <strings.h>

#include "data/bytes.h"
#include "data/data.h"

#define MAGIC 0x5441434eu /* "NCAT" */

static bool truthy(const moon_column *column, size_t row) {
  if (moon_column_is_null(column, row)) return false;
  const char *text = moon_column_text(column, row);
  if (!text) return moon_column_number(column, row) != 0;
  return strcasecmp(text, "false") && strcasecmp(text, "no") && strcmp(text, "0") && *text;
}

/* Decides once what a request only reads: hidden by hand, out of stock, or never listed. */
static moon_status mark_hidden(moon_catalogue *c, size_t from) {
  MOON_TRY(moon_grow(&c->hidden, &c->hidden_cap, c->table->rows, 1));
  const moon_column *hidden = moon_table_column(c->table, "hidden"), *stock = moon_table_column(c->table, "stock");
  for (size_t row = from; row < c->table->rows; row++) {
    bool out = stock && moon_column_number(stock, row) <= 0; /* an unknown stock (NaN) is not an empty one */
    c->hidden[row] = row >= c->listed || (hidden && truthy(hidden, row)) || out;
  }
  return moon_ok();
}

static moon_status index_rows(moon_catalogue *c) {
  moon_column *ids;
  MOON_TRY(moon_table_require(c->table, "item", &ids));
  if (ids->type != MOON_STRING) return moon_fail(MOON_EINVAL, "%s: the item column must hold strings", c->table->name);
  for (size_t row = 0; row < c->table->rows; row++) {
    const char *id = moon_column_text(ids, row);
    uint32_t code;
    if (!id) return moon_fail(MOON_EFORMAT, "%s: item %zu has no id", c->table->name, row + 1);
    MOON_TRY(moon_dict_add(c->ids, id, moon_dict_length(ids->dict, ids->code[row]), &code));
    if (code != row)
      return moon_fail(MOON_EFORMAT, "%s: item '%.100s' is there twice (items %u and %zu)", c->table->name, id, code + 1,
                       row + 1);
  }
  c->listed = c->table->rows;
  return mark_hidden(c, 0);
}

moon_status moon_catalogue_new(moon_table *table, moon_catalogue **out) {
  moon_catalogue *c = moon_calloc(1, sizeof *c);
  if (!c) {
    moon_table_free(table);
    return moon_fail(MOON_ENOMEM, "no memory for a catalogue");
  }
  c->table = table;
  bool open = !table; /* no items table: whatever has events is listed */
  moon_column *ids;
  moon_status status = moon_dict_new(&c->ids);
  if (!status.code && open) status = moon_table_new("items", &c->table);
  if (!status.code && open) status = moon_table_add_column(c->table, "item", MOON_STRING, &ids);
  if (!status.code) status = index_rows(c);
  if (!status.code && open) c->listed = SIZE_MAX;
  if (status.code) moon_catalogue_free(c);
  else *out = c;
  return status;
}

void moon_catalogue_free(moon_catalogue *c) {
  if (!c) return;
  moon_table_free(c->table);
  moon_dict_free(c->ids);
  moon_free(c->hidden);
  moon_free(c);
}

moon_status moon_catalogue_row(moon_catalogue *c, const char *id, size_t n, bool add, uint32_t *row) {
  *row = moon_dict_find(c->ids, id, n);
  if (*row != MOON_NONE || !add) return moon_ok();
  if (c->table->rows >= MOON_NONE - 1) return moon_fail(MOON_ELIMIT, "a catalogue holds at most 2^32 - 2 items");
  /* Room first, so that a failure leaves columns, dictionary and marks equally long. */
  MOON_TRY(moon_grow(&c->hidden, &c->hidden_cap, c->table->rows + 1, 1));
  size_t pushed = 0;
  moon_status status = moon_ok();
  for (; pushed < c->table->column_count && !status.code; pushed++) {
    moon_column *column = &c->table->columns[pushed];
    status = !strcmp(column->name, "item") ? moon_column_push_string(column, id, n) : moon_column_push_null(column);
  }
  if (!status.code) status = moon_dict_add(c->ids, id, n, row);
  if (status.code) {
    for (size_t i = 0; i < c->table->column_count; i++) c->table->columns[i].n = c->table->rows;
    return status;
  }
  c->table->rows++;
  return mark_hidden(c, c->table->rows - 1);
}

size_t moon_catalogue_rows(const moon_catalogue *c) { return c->table->rows; }
const char *moon_catalogue_id(const moon_catalogue *c, uint32_t row) { return moon_dict_text(c->ids, row); }

/* ---- bytes: magic, version, listed, rows, columns; per column name, type, texts by first sight, cells --------------------- */

/* The dictionary may hold texts of rows that are gone: those in use are numbered anew by first sight, so equal tables are
 * equal bytes. */
static void save_strings(const moon_column *column, moon_buf *out) {
  size_t known = moon_dict_count(column->dict);
  uint32_t texts = 0, *fresh = moon_alloc(known * sizeof *fresh), *order = moon_alloc(known * sizeof *order);
  if (fresh && order) {
    memset(fresh, 0xff, known * sizeof *fresh);
    for (size_t row = 0; row < column->n; row++) {
      uint32_t code = column->code[row];
      if (code != MOON_NONE && fresh[code] == MOON_NONE) order[texts] = code, fresh[code] = texts++;
    }
    moon_put_u64(out, texts);
    for (uint32_t i = 0; i < texts; i++)
      moon_put_text(out, moon_dict_text(column->dict, order[i]), moon_dict_length(column->dict, order[i]));
    for (size_t row = 0; row < column->n; row++)
      moon_put_u32(out, column->code[row] == MOON_NONE ? MOON_NONE : fresh[column->code[row]]);
  } else {
    out->failed = true;
  }
  moon_free(fresh);
  moon_free(order);
}

static void save_numbers(const moon_column *column, moon_buf *out) {
  for (size_t row = 0; row < column->n; row++) {
    uint64_t bits;
    memcpy(&bits, (char *)column->raw + row * 8, 8);
    moon_put_u64(out, bits);
  }
}

moon_status moon_catalogue_save(const moon_catalogue *c, moon_buf *out) {
  moon_put_u32(out, MAGIC);
  moon_put_u32(out, 1);
  moon_put_u64(out, c->listed == SIZE_MAX ? UINT64_MAX : c->listed);
  moon_put_u64(out, c->table->rows);
  moon_put_u64(out, c->table->column_count);
  for (size_t i = 0; i < c->table->column_count; i++) {
    const moon_column *column = &c->table->columns[i];
    moon_put_text(out, column->name, strlen(column->name));
    moon_put_u32(out, column->type);
    if (column->type == MOON_STRING) save_strings(column, out);
    else save_numbers(column, out);
  }
  return out->failed ? moon_fail(MOON_ENOMEM, "no memory to save the catalogue") : moon_ok();
}

static moon_status load_strings(moon_bytes *in, moon_column *column, size_t rows) {
  uint64_t texts = moon_get_u64(in);
  if (texts > rows) return moon_fail(MOON_EFORMAT, "catalogue: %llu texts in %zu rows", (unsigned long long)texts, rows);
  for (uint64_t i = 0; i < texts && !in->failed; i++) {
    size_t n;
    const char *text = moon_get_text(in, &n);
    uint32_t code;
    if (!text) break;
    if (moon_utf8_prefix(text, n) != n)
      return moon_fail(MOON_EFORMAT, "catalogue: column %s has a text that is not UTF-8", column->name);
    MOON_TRY(moon_dict_add(column->dict, text, n, &code));
    if (code != i) return moon_fail(MOON_EFORMAT, "catalogue: column %s has a text twice", column->name);
  }
  for (size_t row = 0; row < rows && !in->failed; row++) {
    uint32_t code = moon_get_u32(in);
    if (code >= texts && code != MOON_NONE) return moon_fail(MOON_EFORMAT, "catalogue: column %s has a wrong code", column->name);
    MOON_TRY(moon_column_push_null(column));
    column->code[row] = code;
  }
  return moon_ok();
}

static moon_status load_column(moon_bytes *in, moon_table *table, size_t rows) {
  size_t n;
  char name[256];
  const char *text = moon_get_text(in, &n);
  uint32_t type = moon_get_u32(in);
  if (in->failed || n >= sizeof name || moon_utf8_prefix(text, n) != n || type > MOON_TIME)
    return moon_fail(MOON_EFORMAT, "catalogue: a column's head does not parse");
  memcpy(name, text, n);
  name[n] = 0;
  moon_column *column;
  moon_status status = moon_table_add_column(table, name, (moon_type)type, &column);
  if (status.code == MOON_EINVAL) status.code = MOON_EFORMAT;
  MOON_TRY(status);
  if (type == MOON_STRING) return load_strings(in, column, rows);
  for (size_t row = 0; row < rows && !in->failed; row++) {
    uint64_t bits = moon_get_u64(in);
    MOON_TRY(moon_column_push_null(column));
    memcpy((char *)column->raw + row * 8, &bits, 8);
  }
  return moon_ok();
}

static moon_status load_table(moon_bytes *in, moon_table *table, uint64_t *listed) {
  if (moon_get_u32(in) != MAGIC || moon_get_u32(in) != 1) return moon_fail(MOON_EFORMAT, "catalogue: not in this format");
  *listed = moon_get_u64(in);
  uint64_t rows = moon_get_u64(in), columns = moon_get_u64(in);
  /* Every row takes at least four bytes a column, so a count larger than the file is a lie. */
  if (in->failed || rows > moon_bytes_left(in) || columns > moon_bytes_left(in))
    return moon_fail(MOON_EFORMAT, "catalogue: wrong counts");
  for (uint64_t i = 0; i < columns; i++) {
    MOON_TRY(load_column(in, table, rows));
    if (in->failed) return moon_fail(MOON_EFORMAT, "catalogue: truncated");
  }
  if (moon_bytes_left(in)) return moon_fail(MOON_EFORMAT, "catalogue: bytes after its end");
  if (*listed > rows && *listed != UINT64_MAX) return moon_fail(MOON_EFORMAT, "catalogue: more items are listed than there are");
  table->rows = rows;
  return moon_ok();
}

moon_status moon_catalogue_load(const char *bytes, size_t n, moon_catalogue **out) {
  moon_bytes in = {bytes, n, 0, false};
  moon_table *table = NULL;
  moon_catalogue *c = NULL;
  uint64_t listed = 0;
  MOON_TRY(moon_table_new("catalogue", &table));
  moon_status status = load_table(&in, table, &listed);
  if (status.code) {
    moon_table_free(table);
    return status;
  }
  status = moon_catalogue_new(table, &c);
  if (status.code == MOON_ENOTFOUND || status.code == MOON_EINVAL) status.code = MOON_EFORMAT;
  MOON_TRY(status);
  c->listed = listed == UINT64_MAX ? SIZE_MAX : listed;
  status = mark_hidden(c, 0);
  if (status.code) moon_catalogue_free(c);
  else *out = c;
  return status;
}

/* table.c - typed columns of equal length. A null is a sentinel of the column's type, so a column is one plain array. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/data.h"

static size_t width(moon_type type) { return type == MOON_STRING ? sizeof(uint32_t) : sizeof(int64_t); }

moon_status moon_table_new(const char *name, moon_table **out) {
  moon_table *table = moon_calloc(1, sizeof *table);
  if (table) table->name = moon_strdup(name);
  if (!table || !table->name) {
    moon_free(table);
    return moon_fail(MOON_ENOMEM, "no memory for a table");
  }
  *out = table;
  return moon_ok();
}

static void column_free(moon_column *column) {
  moon_free(column->name);
  moon_free(column->raw);
  moon_dict_free(column->dict);
}

void moon_table_free(moon_table *table) {
  if (!table) return;
  for (size_t i = 0; i < table->column_count; i++) column_free(&table->columns[i]);
  moon_free(table->columns);
  moon_free(table->name);
  moon_free(table);
}

moon_status moon_column_push_null(moon_column *column) {
  if (column->n == column->cap) MOON_TRY(moon_grow(&column->raw, &column->cap, column->n + 1, width(column->type)));
  if (column->type == MOON_STRING) column->code[column->n++] = MOON_NONE;
  else if (column->type == MOON_NUMBER) column->f64[column->n++] = NAN;
  else column->i64[column->n++] = MOON_NULL_INT;
  return moon_ok();
}

moon_status moon_table_add_column(moon_table *table, const char *name, moon_type type, moon_column **out) {
  if (moon_table_column(table, name)) return moon_fail(MOON_EINVAL, "%s: there are two columns called %s", table->name, name);
  MOON_TRY(moon_grow(&table->columns, &table->column_cap, table->column_count + 1, sizeof *table->columns));
  moon_column column = {.type = type, .name = moon_strdup(name)};
  moon_status status = column.name ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory for a column");
  if (!status.code && type == MOON_STRING) status = moon_dict_new(&column.dict);
  for (size_t i = 0; i < table->rows && !status.code; i++) status = moon_column_push_null(&column);
  if (status.code) {
    column_free(&column);
    return status;
  }
  table->columns[table->column_count] = column;
  *out = &table->columns[table->column_count++];
  return moon_ok();
}

moon_column *moon_table_column(const moon_table *table, const char *name) {
  for (size_t i = 0; i < table->column_count; i++)
    if (!strcmp(table->columns[i].name, name)) return &table->columns[i];
  return NULL;
}

moon_status moon_table_require(const moon_table *table, const char *name, moon_column **out) {
  *out = moon_table_column(table, name);
  if (*out) return moon_ok();
  const char *names[64] = {0};
  size_t n = 0;
  for (; n < table->column_count && n < 64; n++) names[n] = table->columns[n].name;
  const char *near = moon_nearest(name, names, n);
  if (near) return moon_fail(MOON_ENOTFOUND, "%s has no column '%s'; did you mean '%s'?", table->name, name, near);
  moon_buf list = {0};
  for (size_t i = 0; i < n; i++) moon_buf_printf(&list, "%s%s", i ? ", " : "", names[i]);
  moon_status status =
      moon_fail(MOON_ENOTFOUND, "%s has no column '%s'; it has %s", table->name, name, list.data ? list.data : "none");
  moon_buf_free(&list);
  return status;
}

moon_status moon_column_push_code(moon_column *column, uint32_t code) {
  if (column->type != MOON_STRING) return moon_fail(MOON_EINVAL, "column %s does not hold strings", column->name);
  if (column->n == column->cap) MOON_TRY(moon_grow(&column->code, &column->cap, column->n + 1, sizeof *column->code));
  column->code[column->n++] = code;
  return moon_ok();
}

moon_status moon_column_push_string(moon_column *column, const char *text, size_t n) {
  if (column->type != MOON_STRING) return moon_fail(MOON_EINVAL, "column %s does not hold strings", column->name);
  uint32_t code;
  MOON_TRY(moon_dict_add(column->dict, text, n, &code));
  return moon_column_push_code(column, code);
}

moon_status moon_column_push_integer(moon_column *column, int64_t value) {
  if (column->type == MOON_STRING) return moon_fail(MOON_EINVAL, "column %s holds strings", column->name);
  if (value == MOON_NULL_INT) return moon_column_push_null(column);
  if (column->type == MOON_NUMBER) return moon_column_push_number(column, (double)value);
  if (column->n == column->cap) MOON_TRY(moon_grow(&column->i64, &column->cap, column->n + 1, sizeof *column->i64));
  column->i64[column->n++] = value;
  return moon_ok();
}

moon_status moon_column_push_number(moon_column *column, double value) {
  if (column->type == MOON_STRING) return moon_fail(MOON_EINVAL, "column %s holds strings", column->name);
  if (column->type != MOON_NUMBER) {
    if (isnan(value)) return moon_column_push_null(column);
    if (value <= -0x1p63 || value >= 0x1p63) /* -2^63 is the null */
      return moon_fail(MOON_EINVAL, "column %s cannot hold %g", column->name, value);
    return moon_column_push_integer(column, (int64_t)value);
  }
  if (column->n == column->cap) MOON_TRY(moon_grow(&column->f64, &column->cap, column->n + 1, sizeof *column->f64));
  column->f64[column->n++] = value;
  return moon_ok();
}

bool moon_column_is_null(const moon_column *column, size_t row) {
  if (column->type == MOON_STRING) return column->code[row] == MOON_NONE;
  if (column->type == MOON_NUMBER) return isnan(column->f64[row]);
  return column->i64[row] == MOON_NULL_INT;
}

double moon_column_number(const moon_column *column, size_t row) {
  if (column->type == MOON_STRING) return NAN;
  if (column->type == MOON_NUMBER) return column->f64[row];
  return column->i64[row] == MOON_NULL_INT ? NAN : (double)column->i64[row];
}

const char *moon_column_text(const moon_column *column, size_t row) {
  if (column->type != MOON_STRING || column->code[row] == MOON_NONE) return NULL;
  return moon_dict_text(column->dict, column->code[row]);
}

void moon_column_json(const moon_column *column, size_t row, moon_buf *out) {
  char time[32];
  if (row >= column->n || moon_column_is_null(column, row)) {
    moon_json_string(out, NULL);
  } else if (column->type == MOON_STRING) {
    moon_json_text(out, moon_column_text(column, row), moon_dict_length(column->dict, column->code[row]));
  } else if (column->type == MOON_NUMBER) {
    moon_json_number(out, column->f64[row]);
  } else if (column->type == MOON_INTEGER) {
    moon_json_integer(out, column->i64[row]);
  } else {
    moon_time_format(column->i64[row], time);
    moon_json_string(out, time);
  }
}

/* memcpy with a constant size compiles to one move and respects the element's type, whichever of the union it is. */
static void move_cell(const moon_column *column, const void *from, size_t source, size_t target) {
  if (column->type == MOON_STRING) memcpy(column->code + target, (const uint32_t *)from + source, sizeof(uint32_t));
  else memcpy((char *)column->raw + target * 8, (const char *)from + source * 8, 8);
}

void moon_table_keep(moon_table *table, const uint8_t *keep) {
  size_t rows = 0;
  for (size_t i = 0; i < table->rows; i++) rows += keep[i] != 0;
  if (rows == table->rows) return;
  for (size_t c = 0; c < table->column_count; c++) {
    moon_column *column = &table->columns[c];
    size_t to = 0;
    for (size_t i = 0; i < table->rows; i++)
      if (keep[i]) move_cell(column, column->raw, i, to++);
    column->n = to;
  }
  table->rows = rows;
}

moon_status moon_table_permute(moon_table *table, const uint32_t *order) {
  void *held = moon_alloc(table->rows * sizeof(int64_t));
  if (!held) return moon_fail(MOON_ENOMEM, "no memory to reorder %zu rows", table->rows);
  for (size_t c = 0; c < table->column_count && table->rows; c++) {
    moon_column *column = &table->columns[c];
    memcpy(held, column->raw, table->rows * width(column->type));
    for (size_t i = 0; i < table->rows; i++) move_cell(column, held, order[i], i);
  }
  moon_free(held);
  return moon_ok();
}

typedef struct timed_row {
  int64_t time;
  uint32_t row;
} timed_row;

static int by_time(const void *a, const void *b) {
  const timed_row *x = a, *y = b;
  if (x->time != y->time) return x->time < y->time ? -1 : 1;
  return x->row < y->row ? -1 : 1; /* the source's order breaks ties: qsort becomes stable */
}

moon_status moon_column_order(const moon_column *time, uint32_t **order) {
  size_t n = time->n;
  if (n >= MOON_NONE) return moon_fail(MOON_ELIMIT, "over 2^32 - 2 rows");
  timed_row *rows = moon_alloc(n * sizeof *rows);
  *order = moon_alloc(n * sizeof **order);
  if (!rows || !*order) {
    moon_free(rows);
    moon_free(*order);
    *order = NULL;
    return moon_fail(MOON_ENOMEM, "no memory to sort %zu rows", n);
  }
  bool sorted = true;
  for (size_t i = 0; i < n; i++) {
    rows[i] = (timed_row){time->i64[i], (uint32_t)i};
    sorted &= !i || time->i64[i - 1] <= time->i64[i];
  }
  if (!sorted) qsort(rows, n, sizeof *rows, by_time);
  for (size_t i = 0; i < n; i++) (*order)[i] = rows[i].row;
  moon_free(rows);
  return moon_ok();
}

moon_status moon_table_adopt(moon_table *table, moon_table *fresh) {
  size_t need = table->column_count + fresh->column_count;
  MOON_TRY(moon_grow(&table->columns, &table->column_cap, need, sizeof *table->columns));
  size_t replaced = 0;
  for (size_t i = 0; i < fresh->column_count; i++) {
    moon_column *mine = moon_table_column(table, fresh->columns[i].name), old;
    if (mine) {
      old = *mine, *mine = fresh->columns[i];
      fresh->columns[replaced++] = old;
    } else {
      table->columns[table->column_count++] = fresh->columns[i];
    }
  }
  fresh->column_count = replaced;
  return moon_ok();
}

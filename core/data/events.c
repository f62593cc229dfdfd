/* events.c - preprocessed rows become events: sorted by time, users, items and kinds as dense rows. */
#include <string.h>

#include "data/repeats.h"

#define A_YEAR (INT64_C(366) * 86400 * MOON_SECOND)

/* How many rows stand after a later one. */
static size_t out_of_order(const moon_table *table, const moon_column *time) {
  size_t count = 0;
  int64_t latest = INT64_MIN;
  for (size_t i = 0; i < table->rows; i++) {
    if (time->i64[i] < latest) count++;
    else latest = time->i64[i];
  }
  return count;
}

static moon_status sort_rows(moon_table *table, const moon_column *time) {
  uint32_t *order = NULL;
  MOON_TRY(moon_column_order(time, &order));
  moon_status status = moon_table_permute(table, order);
  moon_free(order);
  return status;
}

/* How many of the few rows [from, to) say what an earlier one of them says. */
static size_t repeats_among(const moon_column *const *columns, size_t n, size_t from, size_t to) {
  size_t count = 0;
  for (size_t i = from + 1; i < to; i++) {
    size_t j = from;
    while (j < i && !moon_rows_same(columns, n, j, i)) j++;
    count += j < i;
  }
  return count;
}

/* Only events at the same moment can be the same. Few share one, and those are compared with each other; where many do, by their hashes. */
static moon_status count_duplicates(const moon_table *table, const int64_t *time, size_t *count) {
  enum { FEW = 16 };
  size_t n = table->rows, width = table->column_count, many = 0;
  const moon_column **columns = moon_alloc(width * sizeof *columns);
  uint8_t *look = moon_calloc(n, 1), *keep = NULL;
  moon_status status = columns && look ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory to compare %zu events", n);
  for (size_t c = 0; c < width && !status.code; c++) columns[c] = &table->columns[c];
  for (size_t from = 0, to; from < n && !status.code; from = to) {
    for (to = from + 1; to < n && time[to] == time[from];) to++;
    if (to - from <= FEW) *count += repeats_among(columns, width, from, to);
    else memset(look + from, 1, to - from), many += to - from;
  }
  if (many && !status.code && !(keep = moon_alloc(n))) status = moon_fail(MOON_ENOMEM, "no memory to compare %zu events", n);
  if (many && !status.code) {
    memset(keep, 1, n);
    status = moon_rows_repeated(table, columns, width, look, keep);
    for (size_t i = 0; i < n && !status.code; i++) *count += !keep[i];
  }
  moon_free(columns);
  moon_free(look);
  moon_free(keep);
  return status;
}

/* time: sorted. */
static void look_at_clocks(const int64_t *time, size_t n, moon_log_report *report) {
  for (size_t i = 0; i < n && time[i] < 0; i++) report->before_1970++;
  size_t from = report->before_1970 + 1; /* the way from there into our days is no gap */
  for (size_t i = from; i < n; i++) {
    if (time[i] - time[i - 1] <= A_YEAR) continue;
    report->after_gap = n - i;
    return;
  }
}

static moon_status require(moon_table *table, const char *name, moon_type type, moon_column **out) {
  MOON_TRY(moon_table_require(table, name, out));
  if ((*out)->type != type)
    return moon_fail(MOON_EINVAL, "%s: column %s must be %s", table->name, name, type == MOON_TIME ? "a time" : "a string");
  for (size_t row = 0; row < table->rows; row++)
    if (moon_column_is_null(*out, row))
      return moon_fail(MOON_EFORMAT,
                       "%s: event %zu has no %s; put m.drop_missing { \"%s\" } into preprocess to leave such rows out",
                       table->name, row + 1, name, name);
  return moon_ok();
}

/* Row codes of a string column in a dictionary of their own: `rows[code]` is filled on first sight, in event order. */
typedef struct renumber {
  const moon_column *column;
  uint32_t *rows;
} renumber;

static moon_status renumber_init(renumber *r, const moon_column *column) {
  size_t n = moon_dict_count(column->dict);
  r->column = column;
  r->rows = moon_alloc(n * sizeof *r->rows);
  if (!r->rows) return moon_fail(MOON_ENOMEM, "no memory for %zu ids", n);
  memset(r->rows, 0xff, n * sizeof *r->rows);
  return moon_ok();
}

static moon_status fill(moon_log *log, moon_catalogue *catalogue, renumber *users, renumber *items, renumber *kinds,
                        const moon_column *time) {
  uint32_t plain = 0;
  if (!kinds->column) MOON_TRY(moon_dict_add(log->kinds, "event", 5, &plain));
  for (size_t i = 0; i < log->n; i++) {
    uint32_t user = users->column->code[i], item = items->column->code[i], kind = kinds->column ? kinds->column->code[i] : 0;
    const moon_dict *ids = users->column->dict;
    if (users->rows[user] == MOON_NONE)
      MOON_TRY(moon_dict_add(log->users, moon_dict_text(ids, user), moon_dict_length(ids, user), &users->rows[user]));
    ids = items->column->dict;
    if (items->rows[item] == MOON_NONE)
      MOON_TRY(moon_catalogue_row(catalogue, moon_dict_text(ids, item), moon_dict_length(ids, item), true, &items->rows[item]));
    if (kinds->column && kinds->rows[kind] == MOON_NONE) {
      ids = kinds->column->dict;
      MOON_TRY(moon_dict_add(log->kinds, moon_dict_text(ids, kind), moon_dict_length(ids, kind), &kinds->rows[kind]));
    }
    log->events[i] =
        (moon_event){users->rows[user], items->rows[item], kinds->column ? kinds->rows[kind] : plain, (uint32_t)i, time->i64[i]};
  }
  return moon_ok();
}

static moon_status build(moon_log *log, moon_catalogue *catalogue) {
  moon_table *table = log->table;
  moon_column *user, *item, *time, *event = moon_table_column(table, "event");
  MOON_TRY(require(table, "user", MOON_STRING, &user));
  MOON_TRY(require(table, "item", MOON_STRING, &item));
  MOON_TRY(require(table, "time", MOON_TIME, &time));
  if (event) MOON_TRY(require(table, "event", MOON_STRING, &event));
  if (table->rows >= MOON_NONE) return moon_fail(MOON_ELIMIT, "%s: over 2^32 - 2 events", table->name);
  log->report.out_of_order = out_of_order(table, time);
  if (log->report.out_of_order) MOON_TRY(sort_rows(table, time));
  MOON_TRY(count_duplicates(table, time->i64, &log->report.duplicates));
  look_at_clocks(time->i64, table->rows, &log->report);
  log->n = table->rows;
  log->events = moon_alloc(log->n * sizeof *log->events);
  if (!log->events) return moon_fail(MOON_ENOMEM, "no memory for %zu events", log->n);
  MOON_TRY(moon_dict_new(&log->users));
  MOON_TRY(moon_dict_new(&log->kinds));
  renumber users = {0}, items = {0}, kinds = {0};
  moon_status status = renumber_init(&users, user);
  if (!status.code) status = renumber_init(&items, item);
  if (!status.code && event) status = renumber_init(&kinds, event);
  if (!status.code) status = fill(log, catalogue, &users, &items, &kinds, time);
  moon_free(users.rows);
  moon_free(items.rows);
  moon_free(kinds.rows);
  return status;
}

moon_status moon_log_new(moon_table *table, moon_catalogue *catalogue, moon_log **out) {
  moon_log *log = moon_calloc(1, sizeof *log);
  if (!log) {
    moon_table_free(table);
    return moon_fail(MOON_ENOMEM, "no memory for an event log");
  }
  log->table = table;
  moon_status status = build(log, catalogue);
  if (status.code) moon_log_free(log);
  else *out = log;
  return status;
}

void moon_log_free(moon_log *log) {
  if (!log) return;
  moon_free(log->events);
  moon_table_free(log->table);
  moon_dict_free(log->users);
  moon_dict_free(log->kinds);
  moon_free(log);
}

/* sqlite.c - a table or a query of an SQLite database into a table.
 *
 * SQLite gives a type to each value, not to a column, so that columns are treated as those of JSON Lines: values become texts, and a
 * column that nobody gave a type is of numbers where all of its first values are. */
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "data/intake.h"

static moon_status failed(const moon_database *query, sqlite3 *db, int code) {
  if ((code & 0xff) == SQLITE_NOMEM) return moon_fail(MOON_ENOMEM, "%s: no memory", query->name);
  return moon_fail((code & 0xff) == SQLITE_NOTADB || (code & 0xff) == SQLITE_CORRUPT ? MOON_EFORMAT : MOON_EIO, "%s: %s",
                   query->name, db ? sqlite3_errmsg(db) : sqlite3_errstr(code));
}

static moon_status open_database(const moon_database *query, sqlite3 **db) {
  if (!moon_file_exists(query->database)) return moon_fail(MOON_ENOTFOUND, "%s: there is no such file", query->database);
  int code = sqlite3_open_v2(query->database, db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
  return code == SQLITE_OK ? moon_ok() : failed(query, *db, code);
}

/* One statement, which only reads. */
static moon_status prepare(const moon_database *query, sqlite3 *db, sqlite3_stmt **statement) {
  const char *tail = NULL;
  char *sql = query->table ? sqlite3_mprintf("select * from \"%w\"", query->table) : sqlite3_mprintf("%s", query->sql);
  if (!sql) return moon_fail(MOON_ENOMEM, "no memory for a query");
  int code = sqlite3_prepare_v2(db, sql, -1, statement, &tail);
  bool more = code == SQLITE_OK && tail && tail[strspn(tail, " \t\r\n;")];
  moon_status status = code == SQLITE_OK ? moon_ok() : moon_fail(MOON_EINVAL, "%s: %s", query->name, sqlite3_errmsg(db));
  sqlite3_free(sql);
  if (status.code) return status;
  if (!*statement || more) return moon_fail(MOON_EINVAL, "%s: the query must be one statement", query->name);
  if (!sqlite3_stmt_readonly(*statement) || !sqlite3_column_count(*statement))
    return moon_fail(MOON_EINVAL, "%s: the query must be one that only reads", query->name);
  return moon_ok();
}

static moon_status find_columns(moon_intake *in, sqlite3_stmt *statement) {
  int width = sqlite3_column_count(statement);
  for (int c = 0; c < width && in->name_count < MOON_MOST_NAMES; c++)
    in->names[in->name_count++] = sqlite3_column_name(statement, c);
  for (size_t i = 0; i < in->n; i++) {
    moon_target *t = &in->targets[i];
    for (int c = 0; c < width; c++) {
      const char *name = sqlite3_column_name(statement, c);
      if (!name) return moon_fail(MOON_ENOMEM, "no memory for a name");
      if (strcmp(name, t->spec->from)) continue;
      if (t->seen) return moon_fail(MOON_EFORMAT, "%s: the query has two columns called %s", in->source, name);
      t->seen = true, t->index = (size_t)c;
    }
    if (!t->seen) return moon_intake_missing(in, t->spec->from, "it has", in->names, in->name_count);
    MOON_TRY(moon_intake_type(in, i, NULL));
  }
  return moon_ok();
}

static moon_status infer_types(moon_intake *in, sqlite3_stmt *statement) {
  typedef struct tally {
    bool numbers, others;
  } tally;
  tally *seen = moon_calloc(in->n, sizeof *seen);
  if (!seen) return moon_fail(MOON_ENOMEM, "no memory to look ahead");
  for (int row = 0; row < MOON_SAMPLE_ROWS && sqlite3_step(statement) == SQLITE_ROW; row++)
    for (size_t i = 0; i < in->n; i++) {
      int type = sqlite3_column_type(statement, (int)in->targets[i].index);
      bool number = type == SQLITE_INTEGER || type == SQLITE_FLOAT;
      seen[i].numbers |= number;
      seen[i].others |= !number && type != SQLITE_NULL;
    }
  sqlite3_reset(statement); /* an error comes again with the rows */
  for (size_t i = 0; i < in->n; i++) {
    moon_target *t = &in->targets[i];
    if (t->typed) continue;
    t->type = seen[i].numbers && !seen[i].others ? MOON_NUMBER : MOON_STRING;
    t->inferred = true;
  }
  moon_free(seen);
  return moon_ok();
}

/* A value as text; NULL: no memory. */
static const char *text_of(moon_intake *in, sqlite3_stmt *statement, int column, size_t *n) {
  if (sqlite3_column_type(statement, column) == SQLITE_FLOAT) { /* SQLite's own text has 15 digits */
    char *text = moon_arena_alloc(&in->arena, 32);
    if (text) *n = moon_value_text(sqlite3_column_double(statement, column), text);
    return text;
  }
  const char *text = (const char *)sqlite3_column_text(statement, column);
  *n = (size_t)sqlite3_column_bytes(statement, column);
  return text;
}

static moon_status take_row(moon_intake *in, sqlite3_stmt *statement) {
  in->line++; /* in->row is empty: a row of a database has no text */
  for (size_t i = 0; i < in->n; i++) {
    int column = (int)in->targets[i].index, type = sqlite3_column_type(statement, column);
    moon_reject why = MOON_REJECT_TYPE;
    size_t n = 0;
    if (type == SQLITE_NULL) {
      moon_intake_null(in, i);
      continue;
    }
    bool number = type == SQLITE_INTEGER || type == SQLITE_FLOAT;
    if (number && moon_intake_number(in, i, sqlite3_column_double(statement, column))) continue;
    if (type == SQLITE_BLOB) return moon_intake_reject_cell(in, why, i, "a blob", 6);
    const char *text = text_of(in, statement, column, &n);
    if (!text) return moon_fail(MOON_ENOMEM, "%s: no memory for a value", in->source);
    in->row = text, in->row_n = n; /* the value at fault stands for the row */
    if (!moon_intake_cell(in, i, text, n, &why)) return moon_intake_reject_cell(in, why, i, text, n);
  }
  moon_intake_push(in);
  return moon_intake_flush(in); /* its texts are the statement's until its next row */
}

static moon_status read_rows(moon_intake *in, const moon_database *query, sqlite3 *db, sqlite3_stmt *statement) {
  for (;;) {
    int code = sqlite3_step(statement);
    if (code == SQLITE_DONE) return moon_ok();
    if (code != SQLITE_ROW) return failed(query, db, code);
    in->row = "", in->row_n = 0;
    MOON_TRY(take_row(in, statement));
    MOON_TRY(moon_intake_step(in));
  }
}

static moon_status read_query(moon_intake *in, const moon_database *query, sqlite3 **db, sqlite3_stmt **statement) {
  MOON_TRY(open_database(query, db));
  MOON_TRY(prepare(query, *db, statement));
  MOON_TRY(find_columns(in, *statement));
  MOON_TRY(infer_types(in, *statement));
  MOON_TRY(moon_intake_columns(in));
  return read_rows(in, query, *db, *statement);
}

moon_status moon_sqlite_read(const moon_database *query, const moon_read_options *options, moon_table **out,
                             moon_read_report *report) {
  moon_read_report unwanted;
  moon_intake in;
  sqlite3 *db = NULL;
  sqlite3_stmt *statement = NULL;
  MOON_TRY(moon_intake_open(&in, query->name, options, report ? report : &unwanted));
  moon_status status = read_query(&in, query, &db, &statement);
  sqlite3_finalize(statement);
  sqlite3_close(db);
  return moon_intake_end(&in, status, out);
}

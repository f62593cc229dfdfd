/* postgres.c - a table or a query of a PostgreSQL server into a table, row by row.
 *
 * The server says the type of each column and sends values as texts, so nothing is guessed. libpq is found by the build, or it is
 * not; without it this file says so. */
#include "data/intake.h"

#ifndef MOON_POSTGRES

moon_status moon_postgres_read(const moon_database *query, const moon_read_options *options, moon_table **out,
                               moon_read_report *report) {
  (void)query, (void)options, (void)out, (void)report;
  return moon_fail(MOON_EINVAL, "this moonshelf was built without PostgreSQL: install libpq-dev and build it again");
}

#else

#include <libpq-fe.h>
#include <string.h>

/* Types by their number in pg_type.dat, where they never change. */
enum {
  PG_BOOL = 16,
  PG_BYTEA = 17,
  PG_INT8 = 20,
  PG_INT2 = 21,
  PG_INT4 = 23,
  PG_FLOAT4 = 700,
  PG_FLOAT8 = 701,
  PG_DATE = 1082,
  PG_TIMESTAMP = 1114,
  PG_TIMESTAMPTZ = 1184,
  PG_NUMERIC = 1700
};

static moon_status failed(const char *name, const char *message) {
  size_t n = strlen(message);
  while (n && (message[n - 1] == '\n' || message[n - 1] == ' ')) n--;
  return moon_fail(MOON_EIO, "%s: %.*s", name, (int)n, message);
}

/* A recipe is stored in the bundle: no place for a password. */
static moon_status refuse_password(const moon_database *query) {
  char *why = NULL;
  PQconninfoOption *options = PQconninfoParse(query->database, &why);
  moon_status status =
      options ? moon_ok() : moon_fail(MOON_EINVAL, "%s: %.300s", query->name, why ? why : "no memory for the connection");
  for (PQconninfoOption *o = options; o && o->keyword && !status.code; o++)
    if (!strcmp(o->keyword, "password") && o->val && *o->val)
      status =
          moon_fail(MOON_EINVAL, "%s: a password in a recipe would be stored in the bundle; put it into ~/.pgpass or PGPASSWORD",
                    query->name);
  PQconninfoFree(options);
  PQfreemem(why);
  return status;
}

static moon_status run(PGconn *db, const char *name, const char *sql) {
  PGresult *result = PQexec(db, sql);
  moon_status status = PQresultStatus(result) == PGRES_COMMAND_OK ? moon_ok() : failed(name, PQerrorMessage(db));
  PQclear(result);
  return status;
}

static moon_status open_database(const moon_database *query, PGconn **db) {
  static const char *const settings[] = {"set timezone = 'UTC'", "set datestyle = 'ISO'", "set extra_float_digits = 1",
                                         "set bytea_output = 'hex'", "begin transaction read only"};
  MOON_TRY(refuse_password(query));
  *db = PQconnectdb(query->database);
  if (!*db) return moon_fail(MOON_ENOMEM, "%s: no memory to connect", query->name);
  if (PQstatus(*db) != CONNECTION_OK) return failed(query->name, PQerrorMessage(*db));
  if (PQsetClientEncoding(*db, "UTF8")) return failed(query->name, PQerrorMessage(*db));
  for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) MOON_TRY(run(*db, query->name, settings[i]));
  return moon_ok();
}

/* With parameters, were there any, the server takes one statement only. */
static moon_status send(PGconn *db, const moon_database *query) {
  moon_buf sql = {0};
  if (query->table) {
    char *quoted = PQescapeIdentifier(db, query->table, strlen(query->table));
    if (!quoted) return failed(query->name, PQerrorMessage(db));
    moon_buf_printf(&sql, "select * from %s", quoted);
    PQfreemem(quoted);
  } else {
    moon_buf_puts(&sql, query->sql);
  }
  moon_status status = sql.failed ? moon_fail(MOON_ENOMEM, "no memory for a query") : moon_ok();
  if (!status.code && !PQsendQueryParams(db, sql.data, 0, NULL, NULL, NULL, NULL, 0))
    status = failed(query->name, PQerrorMessage(db));
  if (!status.code && !PQsetSingleRowMode(db)) status = failed(query->name, "rows cannot be read one by one");
  moon_buf_free(&sql);
  return status;
}

static const moon_type_name *own_type(Oid type) {
  switch (type) {
    case PG_BOOL:
    case PG_INT2:
    case PG_INT4:
    case PG_INT8:
    case PG_FLOAT4:
    case PG_FLOAT8:
    case PG_NUMERIC:
      return moon_type_find("number", 6);
    case PG_DATE:
    case PG_TIMESTAMP:
    case PG_TIMESTAMPTZ:
      return moon_type_find("time", 4);
    default:
      return moon_type_find("string", 6);
  }
}

static moon_status find_columns(moon_intake *in, const PGresult *result) {
  int width = PQnfields(result);
  for (int c = 0; c < width && in->name_count < MOON_MOST_NAMES; c++) {
    char *name = moon_arena_strdup(&in->kept, PQfname(result, c)); /* each row is a result of its own */
    if (!name) return moon_fail(MOON_ENOMEM, "no memory for a name");
    in->names[in->name_count++] = name;
  }
  for (size_t i = 0; i < in->n; i++) {
    moon_target *t = &in->targets[i];
    for (int c = 0; c < width; c++) {
      if (strcmp(PQfname(result, c), t->spec->from)) continue;
      if (t->seen) return moon_fail(MOON_EFORMAT, "%s: the query has two columns called %s", in->source, t->spec->from);
      t->seen = true, t->index = (size_t)c;
    }
    if (!t->seen) return moon_intake_missing(in, t->spec->from, "it has", in->names, in->name_count);
    MOON_TRY(moon_intake_type(in, i, own_type(PQftype(result, (int)t->index))));
  }
  return moon_intake_columns(in);
}

static moon_status take_row(moon_intake *in, const PGresult *result) {
  in->line++;
  for (size_t i = 0; i < in->n; i++) {
    moon_target *t = &in->targets[i];
    int column = (int)t->index;
    moon_reject why = MOON_REJECT_TYPE;
    if (PQgetisnull(result, 0, column)) {
      moon_intake_null(in, i);
      continue;
    }
    const char *text = PQgetvalue(result, 0, column);
    size_t n = (size_t)PQgetlength(result, 0, column);
    in->row = text, in->row_n = n; /* the value at fault stands for the row */
    if (PQftype(result, column) == PG_BYTEA) return moon_intake_reject_cell(in, why, i, "a blob", 6);
    if (PQftype(result, column) == PG_BOOL) { /* t or f */
      bool yes = *text == 't';
      text = t->type == MOON_STRING ? (yes ? "true" : "false") : yes ? "1" : "0";
      n = strlen(text);
    }
    if (!moon_intake_cell(in, i, text, n, &why)) return moon_intake_reject_cell(in, why, i, text, n);
  }
  moon_intake_push(in);
  return moon_intake_flush(in); /* its texts are the result's */
}

static moon_status take_result(moon_intake *in, PGconn *db, const PGresult *result) {
  ExecStatusType kind = PQresultStatus(result);
  if (kind != PGRES_SINGLE_TUPLE && kind != PGRES_TUPLES_OK) {
    if (kind == PGRES_COMMAND_OK) return moon_fail(MOON_EINVAL, "%s: the query must be one that only reads", in->source);
    return failed(in->source, PQerrorMessage(db));
  }
  if (!in->table->column_count) MOON_TRY(find_columns(in, result));
  if (kind == PGRES_TUPLES_OK) return moon_ok(); /* the end: it holds no row */
  MOON_TRY(take_row(in, result));
  return moon_intake_step(in);
}

/* libpq wants every result to be fetched; where one is refused, closing the connection does for the rest. */
static moon_status read_query(moon_intake *in, const moon_database *query, PGconn **db) {
  MOON_TRY(open_database(query, db));
  MOON_TRY(send(*db, query));
  for (PGresult *result; (result = PQgetResult(*db));) {
    moon_status status = take_result(in, *db, result);
    PQclear(result);
    if (status.code) return status;
  }
  return moon_ok();
}

moon_status moon_postgres_read(const moon_database *query, const moon_read_options *options, moon_table **out,
                               moon_read_report *report) {
  moon_read_report unwanted;
  moon_intake in;
  PGconn *db = NULL;
  MOON_TRY(moon_intake_open(&in, query->name, options, report ? report : &unwanted));
  moon_status status = read_query(&in, query, &db);
  PQfinish(db);
  return moon_intake_end(&in, status, out);
}

#endif

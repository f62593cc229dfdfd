/* source.c - from a plan's source ("events.csv" with these columns) to a table. */
#include <string.h>

#include "data/files.h"

typedef struct request { /* a source in C's words; its texts are the plan's */
  moon_read_column *columns;
  const char **missing;
  moon_files files;
  moon_read_options options;
} request;

static const char *text_of(const json_t *object, const char *key, const char *otherwise) {
  const char *text = json_string_value(json_object_get(object, key));
  return text ? text : otherwise;
}

static moon_status take_columns(request *r, const json_t *list) {
  size_t n = json_array_size(list);
  if (!n) return moon_fail(MOON_EINVAL, "a source needs a file and columns");
  r->columns = moon_calloc(n, sizeof *r->columns);
  if (!r->columns) return moon_fail(MOON_ENOMEM, "no memory for %zu columns", n);
  for (size_t i = 0; i < n; i++) {
    const json_t *column = json_array_get(list, i);
    const char *name = text_of(column, "name", NULL);
    if (!name) return moon_fail(MOON_EINVAL, "column %zu of a source has no name", i + 1);
    r->columns[i] = (moon_read_column){name, text_of(column, "from", name), text_of(column, "type", NULL)};
  }
  r->options.columns = r->columns, r->options.column_count = n;
  return moon_ok();
}

static moon_status take_missing(request *r, const json_t *list) {
  size_t n = json_array_size(list);
  r->missing = moon_calloc(n, sizeof *r->missing);
  if (!r->missing) return moon_fail(MOON_ENOMEM, "no memory for %zu texts", n);
  for (size_t i = 0; i < n; i++) {
    r->missing[i] = json_string_value(json_array_get(list, i));
    if (!r->missing[i]) return moon_fail(MOON_EINVAL, "missing text %zu of a source is not a text", i + 1);
  }
  r->options.missing = r->missing, r->options.missing_count = n;
  return moon_ok();
}

/* file: a text or a list of texts. */
static moon_status take_files(request *r, const json_t *file, const char *data_dir) {
  size_t n = json_is_array(file) ? json_array_size(file) : 1;
  for (size_t i = 0; i < n; i++) {
    const char *name = json_string_value(json_is_array(file) ? json_array_get(file, i) : file);
    if (!name) return moon_fail(MOON_EINVAL, "a source needs a file and columns");
    MOON_TRY(moon_files_add(&r->files, data_dir, name));
  }
  return r->files.n ? moon_ok() : moon_fail(MOON_EINVAL, "a source needs a file and columns");
}

static moon_status read_database(request *r, const json_t *source, const char *data_dir, bool postgres, moon_table **out,
                                 moon_read_report *report) {
  const char *file = text_of(source, "file", NULL);
  moon_database query = {
      .database = file, .table = text_of(source, "table", NULL), .sql = text_of(source, "query", NULL), .name = file};
  if (!file || !query.table == !query.sql) return moon_fail(MOON_EINVAL, "a database needs a file, and a table or a query");
  if (postgres) {
    query.name = "postgres"; /* how to connect is nobody's business */
    return moon_postgres_read(&query, &r->options, out, report);
  }
  char *path = moon_path_join(data_dir ? data_dir : "", file);
  if (!path) return moon_fail(MOON_ENOMEM, "no memory for a path");
  query.database = path;
  moon_status status = moon_sqlite_read(&query, &r->options, out, report);
  moon_free(path);
  return status;
}

static moon_status read_source(request *r, const json_t *source, const moon_source_options *given, moon_table **out,
                               moon_read_report *report) {
  const char *format = text_of(source, "format", "csv");
  r->options = (moon_read_options){.delimiter = text_of(source, "delimiter", ",")[0],
                                   .max_bad_rows = given->max_bad_rows,
                                   .rejects = given->rejects,
                                   .progress = given->progress};
  MOON_TRY(take_columns(r, json_object_get(source, "columns")));
  MOON_TRY(take_missing(r, json_object_get(source, "missing")));
  for (int postgres = 0; postgres < 2; postgres++)
    if (!strcmp(format, postgres ? "postgres" : "sqlite"))
      return read_database(r, source, given->data_dir, postgres, out, report);
  MOON_TRY(take_files(r, json_object_get(source, "file"), given->data_dir));
  if (!strcmp(format, "jsonl")) return moon_jsonl_read(r->files.list, r->files.n, &r->options, out, report);
  if (!strcmp(format, "csv")) return moon_csv_read(r->files.list, r->files.n, &r->options, out, report);
  return moon_fail(MOON_EINVAL, "there is no format '%s'", format);
}

moon_status moon_source_read(const json_t *source, const moon_source_options *options, moon_table **out,
                             moon_read_report *report) {
  request r = {0};
  moon_status status = read_source(&r, source, options, out, report);
  moon_files_free(&r.files);
  moon_free(r.columns);
  moon_free(r.missing);
  return moon_wrap(status, "%s", text_of(source, "where", "recipe"));
}

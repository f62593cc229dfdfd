/* source.c - from a plan's source ("events.csv" with these columns) to a table. */
#include <stdio.h>
#include <string.h>

#include "data/data.h"

static const char *text_of(const json_t *object, const char *key, const char *otherwise) {
  const char *text = json_string_value(json_object_get(object, key));
  return text ? text : otherwise;
}

/* The file itself, or the gzipped one beside where it should be. NULL: no memory. */
static char *find_file(const char *data_dir, const char *name) {
  char *path = moon_path_join(data_dir ? data_dir : "", name);
  if (!path || moon_file_exists(path)) return path;
  size_t n = strlen(path);
  char *zipped = moon_alloc(n + 4);
  if (!zipped) {
    moon_free(path);
    return NULL;
  }
  snprintf(zipped, n + 4, "%s.gz", path);
  bool there = moon_file_exists(zipped);
  moon_free(there ? path : zipped);
  return there ? zipped : path;
}

moon_status moon_source_read(const json_t *source, const char *data_dir, size_t max_bad_rows, const moon_progress *progress,
                             moon_table **out, moon_csv_report *report) {
  const char *where = text_of(source, "where", "recipe"), *file = text_of(source, "file", NULL);
  const json_t *list = json_object_get(source, "columns"), *missing = json_object_get(source, "missing");
  size_t n = json_array_size(list), missing_n = json_array_size(missing);
  if (!file || !n) return moon_fail(MOON_EINVAL, "%s: a source needs a file and columns", where);
  moon_csv_column *columns = moon_calloc(n, sizeof *columns);
  const char **absent = moon_calloc(missing_n, sizeof *absent);
  char *path = find_file(data_dir, file);
  moon_status status = columns && absent && path ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory for %zu columns", n);
  for (size_t i = 0; i < n && !status.code; i++) {
    const json_t *column = json_array_get(list, i);
    columns[i] = (moon_csv_column){text_of(column, "name", NULL), text_of(column, "from", NULL), text_of(column, "type", NULL)};
    if (!columns[i].from) columns[i].from = columns[i].name;
    if (!columns[i].name) status = moon_fail(MOON_EINVAL, "column %zu of %s has no name", i + 1, file);
  }
  for (size_t i = 0; i < missing_n && !status.code; i++) {
    absent[i] = json_string_value(json_array_get(missing, i));
    if (!absent[i]) status = moon_fail(MOON_EINVAL, "missing text %zu of %s is not a text", i + 1, file);
  }
  if (!status.code) {
    const moon_csv_options options = {.delimiter = text_of(source, "delimiter", ",")[0],
                                      .columns = columns,
                                      .column_count = n,
                                      .max_bad_rows = max_bad_rows,
                                      .missing = absent,
                                      .missing_count = missing_n,
                                      .progress = progress};
    status = moon_csv_read(path, &options, out, report);
  }
  moon_free(columns);
  moon_free(absent);
  moon_free(path);
  return moon_wrap(status, "%s", where);
}

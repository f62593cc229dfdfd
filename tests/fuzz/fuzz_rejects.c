/* Any bytes as a file of which nothing fits: each row that is left out is told of in a line of JSON, with a reason that was counted. */
#include <jansson.h>

#include "data/data.h"
#include "fuzz/file.h"

enum { COLUMNS = 3, MOST_TEXT = 1 << 20 };

static moon_status read_in(bool jsonl, const uint8_t *data, size_t size, moon_rejects *rejects, moon_read_report *report) {
  static const moon_read_column columns[COLUMNS] = {{"time", "t", NULL}, {"i", "i", "integer"}, {"x", "x", "string"}};
  const moon_read_options options = {
      .delimiter = ',', .columns = columns, .column_count = COLUMNS, .max_bad_rows = SIZE_MAX, .rejects = rejects};
  const moon_input input = {.name = "f", .bytes = (const char *)data, .n = size};
  moon_table *table = NULL;
  moon_status status = (jsonl ? moon_jsonl_read : moon_csv_read)(&input, 1, &options, &table, report);
  moon_table_free(table);
  return status;
}

static moon_reject reason_of(const json_t *line) {
  const char *name = json_string_value(json_object_get(line, "reason"));
  moon_reject why = 0;
  check(name != NULL);
  while (why < MOON_REJECTS && strcmp(name, moon_reject_name(why))) why++;
  check(why < MOON_REJECTS);
  return why;
}

static void check_lines(const moon_buf *file, const moon_read_report *report) {
  size_t reasons[MOON_REJECTS] = {0}, lines = 0;
  for (size_t at = 0; at < file->n; lines++) {
    const char *end = memchr(file->data + at, '\n', file->n - at);
    check(end != NULL);
    json_t *line = json_loadb(file->data + at, (size_t)(end - file->data) - at, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    check(json_is_object(line) && json_object_size(line) == 7);
    reasons[reason_of(line)]++;
    check(json_string_length(json_object_get(line, "row")) <= 3 * 500); /* a broken byte takes three */
    json_decref(line);
    at = (size_t)(end - file->data) + 1;
  }
  check(lines == report->bad_rows && !memcmp(reasons, report->reasons, sizeof reasons));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  for (int jsonl = 0; jsonl < 2; jsonl++) {
    const char *path = moon_fuzz_file("", 0);
    moon_rejects *rejects;
    moon_read_report report;
    moon_buf file = {0};
    check(!moon_rejects_open(path, &rejects).code);
    moon_status status = read_in(jsonl, data, size, rejects, &report);
    check(status.code == MOON_OK || status.code == MOON_EFORMAT || status.code == MOON_ENOTFOUND);
    check(!moon_rejects_close(rejects).code && !moon_file_read(path, 0, &file).code);
    if (file.n < MOST_TEXT) check_lines(&file, &report);
    moon_buf_free(&file);
  }
  return 0;
}

size_t moon_fuzz_seed(size_t which, uint8_t *out, size_t cap) {
  static const char *const seeds[] = {"t,i,x\n1,1,\xff\nsoon,1,a\n1,1.5,a\n1,1\n1,1,\"a\"b\n99999999999999999999,1,\n1,2,\xc3\xa9\"\\\x01\n",
                                      "{\"t\":1,\"i\":1,\"x\":\"\xff\"}\n{\"t\":[1]}\n[]\n{\"i\":1.5}\n{\"x\":{}}\n{\"t\":\"soon\"}\n{\"x\":\"\\u0000\"}\n"};
  return which < sizeof seeds / sizeof *seeds ? moon_fuzz_put(seeds[which], strlen(seeds[which]), out, cap) : 0;
}

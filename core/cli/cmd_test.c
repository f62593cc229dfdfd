/* cmd_test.c - `moonshelf test`: runs the tests that recipe authors wrote with m.test.
 *
 * Each file has a host of its own, so no file sees what another left. What was found is kept as JSON and printed as it comes. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "script/script.h"

static int run(int argc, char **argv);
const cli_command cli_test = {
    "test",
    "moonshelf test DIR [--only TEXT] [--json]",
    "run the tests of recipes",
    "Finds *_test.lua and test_*.lua in DIR and the folders below it (or takes one file), and runs each m.test in them. What a\n"
    "script prints goes to stderr. 1 is also the exit code where there is no test.",
    1,
    run};

enum { MOST_DEPTH = 32, CALL_INSTRUCTIONS = 20000000 };

/* ---- finding files ---------------------------------------------------------------------------------------------------------- */

typedef struct found {
  char **paths;
  size_t n, cap;
} found;

static bool is_test(const char *name) {
  size_t n = strlen(name);
  return n > 9 && !strcmp(name + n - 4, ".lua") && (!strcmp(name + n - 9, "_test.lua") || !strncmp(name, "test_", 5));
}

static int by_name(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Takes the path over. */
static moon_status keep(found *list, char *path) {
  moon_status status = path ? moon_grow(&list->paths, &list->cap, list->n + 1, sizeof *list->paths)
                            : moon_fail(MOON_ENOMEM, "no memory for the name of a file");
  if (status.code)
    moon_free(path);
  else
    list->paths[list->n++] = path;
  return status;
}

static moon_status look_in(const char *folder, int depth, found *list);

/* A folder that is a link is not entered: it might lead back. */
static moon_status look_at(const char *folder, const char *name, int depth, found *list) {
  struct stat info;
  if (*name == '.') return moon_ok();
  char *path = moon_path_join(folder, name);
  if (path && !lstat(path, &info) && S_ISDIR(info.st_mode)) {
    moon_status status = depth < MOST_DEPTH ? look_in(path, depth + 1, list) : moon_ok();
    moon_free(path);
    return status;
  }
  if (path && !is_test(name)) {
    moon_free(path);
    return moon_ok();
  }
  return keep(list, path);
}

static moon_status look_in(const char *folder, int depth, found *list) {
  DIR *dir = opendir(folder);
  if (!dir) return moon_fail(MOON_EIO, "%s: %s", folder, strerror(errno));
  moon_status status = moon_ok();
  for (struct dirent *entry; !status.code && (entry = readdir(dir));) status = look_at(folder, entry->d_name, depth, list);
  closedir(dir);
  return status;
}

static moon_status find_tests(const char *path, found *list) {
  struct stat info;
  if (!stat(path, &info) && S_ISREG(info.st_mode)) return keep(list, moon_strdup(path));
  MOON_TRY(look_in(path, 0, list));
  if (list->n) qsort(list->paths, list->n, sizeof *list->paths, by_name);
  return list->n ? moon_ok() : moon_fail(MOON_ENOTFOUND, "%s: there is no file *_test.lua or test_*.lua", path);
}

/* ---- running them ----------------------------------------------------------------------------------------------------------- */

typedef struct test_run {
  const char *only; /* NULL: all */
  bool json;
  json_t *files; /* [{"file", "tests": [..], "error"?}] */
  size_t passed, failed;
} test_run;

static void print_line(void *self, const char *line, size_t n) {
  (void)self;
  fprintf(stderr, "%.*s\n", (int)n, line);
}

/* Texts of scripts, fit for a terminal and for JSON. */
static json_t *tidy(const char *text) {
  char *copy = moon_strdup(text);
  if (copy) moon_text_tidy(copy);
  json_t *value = json_string(copy ? copy : "");
  moon_free(copy);
  return value;
}

static const char *string_in(const json_t *object, const char *key) {
  const char *text = json_string_value(json_object_get(object, key));
  return text ? text : "";
}

static void note_test(test_run *r, const char *path, json_t *tests, const char *name, const char *where, moon_status status,
                      int64_t micros) {
  *(status.code ? &r->failed : &r->passed) += 1;
  json_t *test = json_pack("{s:o, s:o, s:b, s:f}", "name", tidy(name), "where", tidy(where), "ok", status.code == 0, "seconds",
                           (double)micros / 1e6);
  if (status.code) json_object_set_new(test, "message", tidy(status.message));
  if (!r->json) {
    if (!json_array_size(tests)) printf("%s\n", path);
    printf("  %-6s  %s (%.1f ms)\n", status.code ? "FAILED" : "ok", string_in(test, "name"), (double)micros / 1e3);
    if (status.code) printf("          %s\n", string_in(test, "message"));
    fflush(stdout);
  }
  json_array_append_new(tests, test);
}

static moon_status run_tests(test_run *r, const char *path, moon_host *host, size_t count, json_t *tests) {
  for (size_t i = 0; i < count; i++) {
    const char *name, *where;
    MOON_TRY(moon_host_test(host, i, &name, &where));
    if (r->only && !strstr(name, r->only)) continue;
    int64_t before = moon_monotonic();
    moon_status status = moon_host_run_test(host, i);
    note_test(r, path, tests, name, where, status, moon_monotonic() - before);
  }
  return moon_ok();
}

static moon_status run_host(test_run *r, const char *path, json_t *tests) {
  const moon_host_options options = {.call_instructions = CALL_INSTRUCTIONS, .print = print_line};
  moon_host *host = NULL;
  size_t count = 0;
  MOON_TRY(moon_host_open(&options, &host));
  moon_status status = moon_host_load_tests(host, path, &count);
  if (!status.code && !count) status = moon_fail(MOON_ENOTFOUND, "%s: there is no m.test in it", path);
  if (!status.code) status = run_tests(r, path, host, count, tests);
  moon_host_close(host);
  return status;
}

static void run_file(test_run *r, const char *path) {
  json_t *file = json_pack("{s:o, s:[]}", "file", tidy(path), "tests"), *tests = json_object_get(file, "tests");
  moon_status status = run_host(r, path, tests);
  if (status.code) {
    r->failed++;
    json_object_set_new(file, "error", tidy(status.message));
    if (!r->json) printf("%s\n  FAILED  %s\n", path, string_in(file, "error"));
  }
  json_array_append_new(r->files, file);
}

static int report(test_run *r) {
  int code = r->failed || !r->passed ? CLI_FAILED : CLI_DONE;
  if (r->json) {
    int printed = cli_print_json(
        json_pack("{s:O, s:I, s:I}", "files", r->files, "passed", (json_int_t)r->passed, "failed", (json_int_t)r->failed));
    return printed ? printed : code;
  }
  if (!r->passed && !r->failed)
    printf("no test's name holds '%s'\n", r->only ? r->only : "");
  else
    printf("\n%zu passed, %zu failed\n", r->passed, r->failed);
  return fflush(stdout) ? CLI_FAILED : code;
}

static int run(int argc, char **argv) {
  const char *path = NULL;
  test_run r = {0};
  const cli_option options[] = {
      {"only", CLI_STRING, &r.only, "TEXT", "only tests whose name holds this text"},
      {"json", CLI_FLAG, &r.json, NULL, "print what was found as JSON"},
  };
  int code = cli_parse(&cli_test, options, sizeof options / sizeof *options, argc, argv, &path);
  if (code >= 0) return code;
  found list = {0};
  moon_status status = find_tests(path, &list);
  r.files = json_array();
  for (size_t i = 0; i < list.n && !status.code; i++) run_file(&r, list.paths[i]);
  code = status.code ? cli_fail(status) : report(&r);
  json_decref(r.files);
  for (size_t i = 0; i < list.n; i++) moon_free(list.paths[i]);
  moon_free(list.paths);
  return code;
}

/* files.c - from the names in a recipe to files: relative to the data, packed or not, one or a pattern of them.
 *
 * Patterns are matched by the C library but ordered here, by bytes, so that no locale decides in which order rows come. */
#include "data/files.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const endings[] = {"", ".gz", ".zst"};
enum { ENDINGS = sizeof endings / sizeof *endings };

static char *with_ending(const char *path, const char *ending) {
  size_t n = strlen(path), m = strlen(ending) + 1;
  char *out = moon_alloc(n + m);
  if (out) memcpy(out, path, n), memcpy(out + n, ending, m);
  return out;
}

/* path: skip bytes of it are not the user's words. */
static moon_status add(moon_files *files, const char *path, size_t skip) {
  for (size_t i = 0; i < files->n; i++)
    if (!strcmp(files->list[i].path, path)) return moon_fail(MOON_EINVAL, "%s is named twice", path + skip);
  MOON_TRY(moon_grow(&files->list, &files->cap, files->n + 1, sizeof *files->list));
  char *copy = moon_strdup(path);
  if (!copy) return moon_fail(MOON_ENOMEM, "no memory for a path");
  files->list[files->n++] = (moon_input){.path = copy, .name = copy + skip};
  return moon_ok();
}

/* The file itself, or the packed one beside where it should be; a file that is nowhere is found missing when it is opened. */
static moon_status add_file(moon_files *files, const char *path, size_t skip) {
  for (size_t i = 0; i < ENDINGS; i++) {
    char *packed = with_ending(path, endings[i]);
    if (!packed) return moon_fail(MOON_ENOMEM, "no memory for a path");
    bool there = moon_file_exists(packed);
    moon_status status = there ? add(files, packed, skip) : moon_ok();
    moon_free(packed);
    if (there) return status;
  }
  return add(files, path, skip);
}

static int by_bytes(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Is `path` the packed twin of a file that is in the list as it is? paths: sorted. */
static bool has_plain_twin(char **paths, size_t n, const char *path) {
  for (size_t i = 1; i < ENDINGS; i++) {
    size_t length = strlen(path), ending = strlen(endings[i]);
    if (length <= ending || strcmp(path + length - ending, endings[i])) continue;
    for (size_t p = 0; p < n; p++)
      if (strlen(paths[p]) == length - ending && !memcmp(paths[p], path, length - ending)) return true;
  }
  return false;
}

static moon_status add_matches(moon_files *files, const char *pattern, size_t skip) {
  glob_t found = {0};
  moon_status status = moon_ok();
  for (size_t i = 0; i < ENDINGS && !status.code; i++) {
    char *packed = with_ending(pattern, endings[i]);
    int code = packed ? glob(packed, GLOB_NOSORT | GLOB_ERR | (i ? GLOB_APPEND : 0), NULL, &found) : GLOB_NOSPACE;
    moon_free(packed);
    if (code == GLOB_NOSPACE) status = moon_fail(MOON_ENOMEM, "no memory to look for %s", pattern + skip);
    if (code == GLOB_ABORTED) status = moon_fail(MOON_EIO, "%s: a folder cannot be read", pattern);
  }
  if (!status.code && !found.gl_pathc) status = moon_fail(MOON_ENOTFOUND, "no file matches %s", pattern);
  if (!status.code) qsort(found.gl_pathv, found.gl_pathc, sizeof *found.gl_pathv, by_bytes);
  for (size_t i = 0; i < found.gl_pathc && !status.code; i++) {
    char **paths = found.gl_pathv;
    bool again = i && !strcmp(paths[i], paths[i - 1]); /* "x*" finds x.gz by itself */
    if (!again && !has_plain_twin(paths, found.gl_pathc, paths[i])) status = add(files, paths[i], skip);
  }
  globfree(&found);
  return status;
}

moon_status moon_files_add(moon_files *files, const char *data_dir, const char *name) {
  char *path = moon_path_join(data_dir ? data_dir : "", name);
  if (!path) return moon_fail(MOON_ENOMEM, "no memory for a path");
  size_t skip = strlen(path) - strlen(name);
  bool pattern = strpbrk(name, "*?[") && !moon_file_exists(path);
  moon_status status = pattern ? add_matches(files, path, skip) : add_file(files, path, skip);
  moon_free(path);
  return status;
}

void moon_files_free(moon_files *files) {
  for (size_t i = 0; i < files->n; i++) moon_free((char *)files->list[i].path);
  moon_free(files->list);
  *files = (moon_files){0};
}

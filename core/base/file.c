/* file.c - whole files, folders and checksums. What must survive a crash is fsynced; what replaces something is exchanged in
 * one step. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sha2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"

static moon_status system_error(const char *path) {
  return moon_fail(errno == ENOENT ? MOON_ENOTFOUND : errno == ENOMEM ? MOON_ENOMEM : MOON_EIO, "%s: %s", path, strerror(errno));
}

moon_status moon_file_read(const char *path, size_t limit, moon_buf *out) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return system_error(path);
  moon_status status = moon_ok();
  size_t start = out->n;
  for (;;) {
    if (moon_grow(&out->data, &out->cap, out->n + 65537, 1).code) {
      status = moon_fail(MOON_ENOMEM, "%s: no memory for its first %zu bytes", path, out->n - start + 65536);
      break;
    }
    ssize_t got = read(fd, out->data + out->n, out->cap - out->n - 1);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) status = system_error(path);
    if (got <= 0) break;
    out->n += (size_t)got;
    if (limit && out->n - start > limit) {
      status = moon_fail(MOON_ELIMIT, "%s: larger than %zu bytes", path, limit);
      break;
    }
  }
  close(fd);
  if (status.code) out->n = start;
  if (out->data) out->data[out->n] = 0;
  return status;
}

moon_status moon_file_write(const char *path, const void *bytes, size_t n) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return system_error(path);
  const char *at = bytes;
  moon_status status = moon_ok();
  while (n) {
    ssize_t put = write(fd, at, n);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) break;
    at += put, n -= (size_t)put;
  }
  if (n || fsync(fd)) status = system_error(path);
  if (close(fd) && !status.code) status = system_error(path);
  return status;
}

bool moon_file_exists(const char *path) { return access(path, F_OK) == 0; }

moon_status moon_dir_make(const char *path) {
  char *copy = moon_strdup(path);
  if (!copy) return moon_fail(MOON_ENOMEM, "no memory for a path");
  moon_status status = moon_ok();
  for (char *at = copy;; at++) {
    if (*at && (*at != '/' || at == copy)) continue;
    char held = *at;
    *at = 0;
    struct stat info;
    if (mkdir(copy, 0755) && (errno != EEXIST || stat(copy, &info) || !S_ISDIR(info.st_mode))) {
      status = moon_fail(MOON_EIO, "%s: %s", copy, errno == EEXIST ? "is there and is not a folder" : strerror(errno));
      break;
    }
    *at = held;
    if (!held) break;
  }
  moon_free(copy);
  return status;
}

static moon_status remove_entries(const char *path) {
  DIR *folder = opendir(path);
  if (!folder) return system_error(path);
  moon_status status = moon_ok();
  for (;;) {
    errno = 0;
    struct dirent *entry = readdir(folder);
    if (!entry && errno) status = system_error(path);
    if (!entry || status.code) break;
    if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
    char *inner = moon_path_join(path, entry->d_name);
    struct stat info;
    if (!inner) status = moon_fail(MOON_ENOMEM, "no memory for a path");
    else if (lstat(inner, &info)) status = system_error(inner);
    else if (S_ISDIR(info.st_mode)) status = moon_dir_remove(inner);
    else if (unlink(inner)) status = system_error(inner);
    moon_free(inner);
  }
  closedir(folder);
  return status;
}

moon_status moon_dir_remove(const char *path) {
  struct stat info;
  if (lstat(path, &info)) return system_error(path);
  if (S_ISLNK(info.st_mode)) return unlink(path) ? system_error(path) : moon_ok(); /* what it points to is not ours */
  MOON_TRY(remove_entries(path));
  return rmdir(path) ? system_error(path) : moon_ok();
}

/* Makes the names in a folder durable; a file system that cannot is left alone. */
static void sync_folder(const char *path) {
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  fsync(fd);
  close(fd);
}

moon_status moon_file_replace(const char *path, const void *bytes, size_t n) {
  moon_buf part = {0};
  moon_buf_printf(&part, "%s.part", path);
  char *parent = moon_strdup(path);
  moon_status status =
      part.failed || !parent ? moon_fail(MOON_ENOMEM, "no memory for a path") : moon_file_write(part.data, bytes, n);
  if (!status.code && rename(part.data, path)) status = moon_wrap(system_error(path), "moving %s", part.data);
  if (!status.code) sync_folder(dirname(parent));
  else if (!part.failed && part.data) unlink(part.data);
  moon_free(parent);
  moon_buf_free(&part);
  return status;
}

moon_status moon_dir_swap(const char *fresh, const char *live) {
  struct stat info;
  bool replaces = !lstat(live, &info);
  if (replaces && !S_ISDIR(info.st_mode) && !S_ISLNK(info.st_mode))
    return moon_fail(MOON_EIO, "%s: is there and is not a folder", live);
  char *parent = moon_strdup(live);
  if (!parent) return moon_fail(MOON_ENOMEM, "no memory for a path");
  sync_folder(fresh);
  moon_status status = moon_ok();
  if (renameat2(AT_FDCWD, fresh, AT_FDCWD, live, replaces ? RENAME_EXCHANGE : RENAME_NOREPLACE))
    status = moon_wrap(system_error(live), "moving %s", fresh);
  if (!status.code) sync_folder(dirname(parent));
  moon_free(parent);
  if (!status.code && replaces) status = moon_wrap(moon_dir_remove(fresh), "%s is in place, but the old one stays as", live);
  return status; /* `fresh` had become the old one's name */
}

char *moon_path_join(const char *folder, const char *name) {
  size_t n = strlen(folder), m = strlen(name);
  if (name[0] == '/' || !n) return moon_strdup(name);
  char *path = moon_alloc(n + m + 2);
  if (path) snprintf(path, n + m + 2, "%s%s%s", folder, folder[n - 1] == '/' ? "" : "/", name);
  return path;
}

void moon_sha256(const void *bytes, size_t n, char out[65]) { SHA256Data(bytes, n, out); }

/* file.h - for what can only be read from, or written to, a file: one of this process, gone with it. */
#ifndef TEST_FUZZ_FILE_H
#define TEST_FUZZ_FILE_H
#include <stdio.h>
#include <unistd.h>

#include "fuzz/fuzz.h"

static char moon_fuzz_path[64];

static inline void moon_fuzz_remove(void) { unlink(moon_fuzz_path); }

/* Its path, with these bytes in it. In memory where the system has such a folder. */
static inline const char *moon_fuzz_file(const void *bytes, size_t n) {
  static int file = -1;
  if (file < 0) {
    snprintf(moon_fuzz_path, sizeof moon_fuzz_path, "%s/moonshelf-fuzz-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    file = mkstemp(moon_fuzz_path);
    check(file >= 0 && !atexit(moon_fuzz_remove));
  }
  check(!ftruncate(file, 0) && pwrite(file, bytes, n, 0) == (ssize_t)n);
  return moon_fuzz_path;
}

#endif

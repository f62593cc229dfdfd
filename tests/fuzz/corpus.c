/* corpus.c - libFuzzer begins with the seeds of a target: they are written into the first folder that it is given, before it looks
 * there. In place of driver.c. */
#include <stdio.h>

#include "fuzz/fuzz.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  static uint8_t data[1 << 16];
  const char *folder = NULL;
  for (int i = 1; i < *argc && !folder; i++)
    if ((*argv)[i][0] != '-') folder = (*argv)[i];
  for (size_t which = 0, n; folder && (n = moon_fuzz_seed(which, data, sizeof data)); which++) {
    char path[1000];
    snprintf(path, sizeof path, "%s/seed-%zu", folder, which);
    check(!moon_dir_make(folder).code && !moon_file_write(path, data, n).code);
  }
  return 0;
}

/* fuzz.h - what a fuzz target gives. */
#ifndef TEST_FUZZ_H
#define TEST_FUZZ_H
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

/* libFuzzer's entry. Aborts where a promise is broken. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* Writes seed number `which` and answers its length; 0 where there are no more. */
size_t moon_fuzz_seed(size_t which, uint8_t *out, size_t cap);

static inline void check(bool holds) {
  if (!holds) abort();
}

/* A seed out of some bytes; 0 where they do not fit. */
static inline size_t moon_fuzz_put(const void *bytes, size_t n, uint8_t *out, size_t cap) {
  if (!n || n > cap) return 0;
  memcpy(out, bytes, n);
  return n;
}

#endif

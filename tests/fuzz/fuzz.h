/* fuzz.h - what a fuzz target gives. */
#ifndef TEST_FUZZ_H
#define TEST_FUZZ_H
#include "base/base.h"

/* libFuzzer's entry. Aborts where a promise is broken. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* Writes seed number `which` and answers its length; 0 where there are no more. */
size_t moon_fuzz_seed(size_t which, uint8_t *out, size_t cap);

#endif

/* exhaust.h - runs work with its first, second, third ... allocation failing until it passes. A failure must say "no memory"
 * and, under the address sanitizer, leak nothing. */
#ifndef TEST_EXHAUST_H
#define TEST_EXHAUST_H
#include "unit/numeric.h"

/* Answers how many allocations could fail. */
static inline size_t exhaust(moon_status (*work)(void *self), void *self) {
  for (size_t n = 1;; n++) {
    moon_alloc_fail_at(n);
    moon_status status = work(self);
    moon_alloc_fail_at(0);
    if (!status.code) return n - 1;
    if (status.code != MOON_ENOMEM)
      fail_msg("allocation %zu failed: got %s \"%s\"", n, moon_code_name(status.code), status.message);
    if (n > 100000) fail_msg("still failing after %zu allocations", n);
  }
}

#endif

/* findings.h - a moon_findings that remembers, for tests of what checks tell. */
#ifndef TEST_FINDINGS_H
#define TEST_FINDINGS_H
#include <stdio.h>
#include <string.h>

#include "numeric.h"

typedef struct heard {
  size_t errors, warnings;
  char text[8192]; /* a line each: "error: r:3: ..." */
} heard;

static inline void hear(void *self, bool error, const char *text) {
  heard *h = self;
  ++*(error ? &h->errors : &h->warnings);
  size_t n = strlen(h->text);
  snprintf(h->text + n, sizeof h->text - n, "%s: %s\n", error ? "error" : "warning", text);
}

/* `count` errors and `warnings`, and each of the texts in them. */
#define HEARD(h, error_count, warning_count, ...)                                                                              \
  do {                                                                                                                         \
    const char *says_[] = {__VA_ARGS__};                                                                                       \
    if ((h).errors != (error_count) || (h).warnings != (warning_count))                                                        \
      fail_msg("%zu errors, %zu warnings:\n%s", (h).errors, (h).warnings, (h).text);                                           \
    for (size_t i_ = 0; i_ < sizeof says_ / sizeof *says_; i_++)                                                               \
      if (!strstr((h).text, says_[i_])) fail_msg("nothing says \"%s\":\n%s", says_[i_], (h).text);                             \
  } while (0)

#endif

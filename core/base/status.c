/* status.c - building the answers of fallible calls. */
#include <stdio.h>
#include <string.h>

#include "base/spill.h"

const char *moon_code_name(moon_code code) {
  static const char *const names[] = {"ok", "invalid argument", "no memory", "input/output error", "format error",
                                      "not found", "limit passed", "script error", "canceled"};
  return (unsigned)code < sizeof names / sizeof *names ? names[code] : "unknown";
}

/* What a budget refused is said with what wanted it. */
static void add_reason(char *message, size_t n, size_t size) {
  char reason[400];
  moon_spill_reason(reason, sizeof reason);
  if (reason[0]) snprintf(message + n, size - n, ": %s", reason);
}

/* Long messages keep their beginning: it says where. They quote bytes from outside, and end up in JSON and on terminals. */
moon_status moon_fail(moon_code code, const char *format, ...) {
  moon_status status;
  status.code = code;
  va_list args;
  va_start(args, format);
  int n = vsnprintf(status.message, sizeof status.message, format, args);
  va_end(args);
  if (n < 0) status.message[0] = 0;
  if (code == MOON_ENOMEM && n >= 0 && n < (int)sizeof status.message)
    add_reason(status.message, (size_t)n, sizeof status.message);
  if (n >= (int)sizeof status.message) memcpy(status.message + sizeof status.message - 4, "...", 4);
  moon_text_tidy(status.message);
  return status;
}

moon_status moon_wrap(moon_status inner, const char *format, ...) {
  if (!inner.code) return inner;
  char prefix[sizeof inner.message];
  va_list args;
  va_start(args, format);
  vsnprintf(prefix, sizeof prefix, format, args);
  va_end(args);
  return moon_fail(inner.code, "%s: %s", prefix, inner.message);
}

/* status.c - building the answers of fallible calls. */
#include <stdio.h>
#include <string.h>

#include "base/base.h"

const char *moon_code_name(moon_code code) {
  static const char *const names[] = {"ok", "invalid argument", "no memory", "input/output error", "format error",
                                      "not found", "limit passed", "script error", "canceled"};
  return (unsigned)code < sizeof names / sizeof *names ? names[code] : "unknown";
}

/* Long messages keep their beginning: it says where. */
static void print_message(moon_status *status, const char *prefix, const char *format, va_list args) {
  size_t room = sizeof status->message, used = 0;
  if (prefix) used = (size_t)snprintf(status->message, room, "%s", prefix);
  if (used < room) used += (size_t)vsnprintf(status->message + used, room - used, format, args);
  if (used >= room) memcpy(status->message + room - 4, "...", 4);
}

moon_status moon_fail(moon_code code, const char *format, ...) {
  moon_status status;
  status.code = code;
  va_list args;
  va_start(args, format);
  print_message(&status, NULL, format, args);
  va_end(args);
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

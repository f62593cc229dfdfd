/* text.c - UTF-8 checked by the table of RFC 3629, JSON by the rules of RFC 8259. */
#include "serve/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t moon_text_step(const char *text, size_t n) {
  const unsigned char *s = (const unsigned char *)text;
  if (!n) return 0;
  if (s[0] < 0x80) return 1;
  size_t length = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
  if (s[0] < 0xc2 || s[0] > 0xf4 || n < length) return 0;
  /* The second byte's range keeps out overlong forms, surrogates and what lies past U+10FFFF. */
  unsigned low = s[0] == 0xe0 ? 0xa0 : s[0] == 0xf0 ? 0x90 : 0x80, high = s[0] == 0xed ? 0x9f : s[0] == 0xf4 ? 0x8f : 0xbf;
  if (s[1] < low || s[1] > high) return 0;
  for (size_t i = 2; i < length; i++)
    if (s[i] < 0x80 || s[i] > 0xbf) return 0;
  return length;
}

bool moon_text_valid(const char *text, size_t n) {
  for (size_t at = 0, step; at < n; at += step)
    if (!(step = moon_text_step(text + at, n - at))) return false;
  return true;
}

static void escape(moon_buf *out, unsigned char c) {
  static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt";
  for (size_t i = 0; i + 1 < sizeof shorts; i += 2) {
    if ((unsigned char)shorts[i] != c) continue;
    moon_buf_add(out, (char[]){'\\', shorts[i + 1]}, 2);
    return;
  }
  moon_buf_printf(out, "\\u%04x", c);
}

void moon_json_text(moon_buf *out, const char *text, size_t n) {
  moon_buf_add(out, "\"", 1);
  size_t plain = 0; /* where the run of bytes that go out as they are began */
  for (size_t at = 0; at < n;) {
    unsigned char c = (unsigned char)text[at];
    size_t length = moon_text_step(text + at, n - at);
    if (length && c >= 0x20 && c != '"' && c != '\\') {
      at += length;
      continue;
    }
    moon_buf_add(out, text + plain, at - plain);
    if (length)
      escape(out, c);
    else
      moon_buf_puts(out, "\xef\xbf\xbd");
    plain = ++at;
  }
  moon_buf_add(out, text + plain, n - plain);
  moon_buf_add(out, "\"", 1);
}

void moon_json_string(moon_buf *out, const char *text) {
  moon_json_text(out, text, strlen(text));
}

void moon_json_number(moon_buf *out, double value) {
  char text[40];
  if (!isfinite(value)) {
    moon_buf_puts(out, "null");
    return;
  }
  snprintf(text, sizeof text, "%.15g", value);
  if (strtod(text, NULL) != value) snprintf(text, sizeof text, "%.17g", value);
  moon_buf_puts(out, text);
}

void moon_json_error(moon_buf *out, const char *code, const char *message) {
  moon_buf_puts(out, "{\"error\":{\"code\":");
  moon_json_string(out, code);
  moon_buf_puts(out, ",\"message\":");
  moon_json_string(out, message);
  moon_buf_puts(out, "}}\n");
}

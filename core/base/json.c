/* json.c - JSON (RFC 8259) written straight into a buffer: every answer of the server, every page.
 *
 * What comes from outside is escaped, a byte that is not UTF-8 becomes U+FFFD, and a number that JSON cannot say becomes null, so
 * that whatever comes in, JSON goes out. printf takes a microsecond for a number; what pages are full of is written without it.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

/* ---- texts */

static void put_escape(moon_buf *out, unsigned char c) {
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
    size_t length = c < 0x80 ? 1 : moon_utf8_length(text + at, n - at);
    if (length && c >= 0x20 && c != '"' && c != '\\') {
      at += length;
      continue;
    }
    moon_buf_add(out, text + plain, at - plain);
    if (length) put_escape(out, c);
    else moon_buf_puts(out, "\xef\xbf\xbd");
    plain = ++at;
  }
  moon_buf_add(out, text + plain, n - plain);
  moon_buf_add(out, "\"", 1);
}

void moon_json_string(moon_buf *out, const char *text) {
  if (text) moon_json_text(out, text, strlen(text));
  else moon_buf_puts(out, "null");
}

/* ---- numbers */

/* Writes `value` without leading blanks so that it ends before `end`; returns its beginning. */
static char *digits_before(char *end, uint64_t value) {
  do *--end = (char)('0' + value % 10);
  while (value /= 10);
  return end;
}

void moon_json_integer(moon_buf *out, int64_t value) {
  char text[24], *at = digits_before(text + sizeof text, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
  if (value < 0) *--at = '-';
  moon_buf_add(out, at, (size_t)(text + sizeof text - at));
}

/* `scaled` / 10^`decimals`, without zeros at its end. */
static void put_decimal(moon_buf *out, bool negative, uint64_t scaled, int decimals) {
  char text[48], *end = text + sizeof text, *at = end;
  for (; decimals && scaled % 10 == 0; decimals--) scaled /= 10;
  for (int i = 0; i < decimals; i++, scaled /= 10) *--at = (char)('0' + scaled % 10);
  if (decimals) *--at = '.';
  at = digits_before(at, scaled);
  if (negative) *--at = '-';
  moon_buf_add(out, at, (size_t)(end - at));
}

/* What is not finite, and what is whole; false for the rest. */
static bool put_simple(moon_buf *out, double value) {
  if (!isfinite(value)) moon_buf_puts(out, "null");
  else if (fabs(value) < 1e15 && value == trunc(value)) moon_json_integer(out, (int64_t)value);
  else return false;
  return true;
}

void moon_json_number(moon_buf *out, double value) {
  char text[32];
  double size = fabs(value), scaled = round(size * 1e4);
  if (put_simple(out, value)) return;
  if (size < 1e10 && scaled / 1e4 == size) { /* at most four decimals, as prices have */
    put_decimal(out, value < 0, (uint64_t)scaled, 4);
    return;
  }
  int digits = 15; /* every double has come back by 17 */
  do moon_number_text(value, digits, text);
  while (strtod(text, NULL) != value && ++digits < 18);
  moon_buf_puts(out, text);
}

void moon_json_score(moon_buf *out, float value) {
  enum { DIGITS = 6 };
  char text[32];
  double size = fabs((double)value), scale = 1e5;
  int decimals = DIGITS - 1;
  if (put_simple(out, (double)value)) return;
  if (size >= 1e-4 && size < 999999.5) {
    for (; size * scale >= 999999.5; decimals--) scale /= 10;
    for (; size * scale < 99999.5; decimals++) scale *= 10;
    put_decimal(out, value < 0, (uint64_t)rint(size * scale), decimals);
    return;
  }
  moon_number_text((double)value, DIGITS, text);
  moon_buf_puts(out, text);
}

/* text.c - is it UTF-8? Whatever comes from outside and may end in a message, in JSON or on a terminal passes here. And numbers
 * as text. */
#include <stdio.h>
#include <string.h>

#include "base/base.h"

/* The second byte's range keeps out surrogates, overlong forms and what lies past U+10FFFF (Unicode 15, table 3-7). */
size_t moon_utf8_length(const char *text, size_t n) {
  const unsigned char *at = (const unsigned char *)text;
  if (!n) return 0;
  unsigned c = at[0], low = 0x80, high = 0xbf;
  size_t bytes;
  if (c < 0x80) return c != 0;
  if (c >= 0xc2 && c <= 0xdf) bytes = 2;
  else if (c >= 0xe0 && c <= 0xef) bytes = 3, low = c == 0xe0 ? 0xa0 : 0x80, high = c == 0xed ? 0x9f : 0xbf;
  else if (c >= 0xf0 && c <= 0xf4) bytes = 4, low = c == 0xf0 ? 0x90 : 0x80, high = c == 0xf4 ? 0x8f : 0xbf;
  else return 0;
  if (bytes > n) return 0;
  for (size_t i = 1; i < bytes; i++, low = 0x80, high = 0xbf)
    if (at[i] < low || at[i] > high) return 0;
  return bytes;
}

/* Eight bytes of ASCII without a zero: no top bit is set, neither as they are nor after subtracting one from each. */
static bool plain8(uint64_t word) {
  return !((word | (word - UINT64_C(0x0101010101010101))) & UINT64_C(0x8080808080808080));
}

static uint64_t word8(const char *at) {
  uint64_t word;
  memcpy(&word, at, 8);
  return word;
}

static uint64_t word4(const char *at) {
  uint32_t word;
  memcpy(&word, at, 4);
  return word;
}

/* A text that is all plain is so in words, of which the last overlaps the one before. */
static bool plain(const char *text, size_t n) {
  if (n >= 8) {
    for (size_t at = 0; at < n - 8; at += 8)
      if (!plain8(word8(text + at))) return false;
    return plain8(word8(text + n - 8));
  }
  if (n >= 4) return plain8(word4(text) | word4(text + n - 4) << 32);
  for (size_t i = 0; i < n; i++)
    if (!text[i] || (unsigned char)text[i] > 127) return false;
  return true;
}

size_t moon_utf8_prefix(const char *text, size_t n) {
  if (plain(text, n)) return n;
  size_t at = 0;
  while (at < n) {
    if (n - at >= 8 && plain8(word8(text + at))) {
      at += 8;
      continue;
    }
    size_t bytes = moon_utf8_length(text + at, n - at);
    if (!bytes) break;
    at += bytes;
  }
  return at;
}

void moon_text_tidy(char *text) {
  size_t n = strlen(text);
  for (size_t i = 0; i < n; i++)
    if (((unsigned char)text[i] < 0x20 && text[i] != '\n' && text[i] != '\t') || text[i] == 0x7f) text[i] = '?';
  for (size_t at = 0; (at += moon_utf8_prefix(text + at, n - at)) < n;) text[at] = '?';
}

void moon_number_text(double value, int digits, char out[32]) {
  snprintf(out, 32, "%.*g", digits, value);
  for (char *c = out; *c; c++)
    if (*c == ',') *c = '.'; /* a host may have chosen a locale */
}

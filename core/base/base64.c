/* base64.c - three bytes as four digits, and back. */
#include "base/base64.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void moon_base64_write(const void *bytes, size_t n, moon_buf *out) {
  const uint8_t *from = bytes;
  for (size_t i = 0; i < n; i += 3) {
    uint32_t three = (uint32_t)from[i] << 16 | (i + 1 < n ? (uint32_t)from[i + 1] << 8 : 0) | (i + 2 < n ? from[i + 2] : 0);
    char four[4] = {digits[three >> 18], digits[three >> 12 & 63], digits[three >> 6 & 63], digits[three & 63]};
    if (i + 1 >= n) four[2] = '=';
    if (i + 2 >= n) four[3] = '=';
    moon_buf_add(out, four, 4);
  }
}

static int value_of(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool moon_base64_read(const char *text, size_t length, void *bytes, size_t n) {
  uint8_t *to = bytes;
  if (length % 4 || length != (n + 2) / 3 * 4) return false;
  for (size_t i = 0, at = 0; i < length; i += 4) {
    uint32_t three = 0;
    for (size_t k = 0; k < 4; k++) {
      bool padding = at + k > n; /* of four digits, as many as there are bytes and one more say something */
      int value = padding ? 0 : value_of(text[i + k]);
      if (value < 0 || (padding && text[i + k] != '=')) return false;
      three = three << 6 | (uint32_t)value;
    }
    for (size_t k = 0; k < 3 && at < n; k++) to[at++] = (uint8_t)(three >> (16 - 8 * k));
    if (at == n && n % 3 && three & ((1u << (8 * (3 - n % 3))) - 1)) return false; /* bits that nothing reads */
  }
  return true;
}

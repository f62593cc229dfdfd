/* value.c - strict and fast reading of cells. Common numbers are exact in a few multiplications (Clinger 1990's fast path);
 * the rest go to strtod. */
#include "data/value.h"

#include <endian.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool digit(char c) { return c >= '0' && c <= '9'; }

/* strtod on a copy: the cell is not zero-terminated and may be followed by more digits. In the C locale: the host's may write
 * 1,5. */
static bool slow_number(const char *text, size_t n, double *out) {
  char copy[400], *end;
  if (n >= sizeof copy) return false;
  memcpy(copy, text, n);
  copy[n] = 0;
  locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
  if (!c) return false;
  *out = strtod_l(copy, &end, c);
  freelocale(c);
  return end == copy + n && isfinite(*out);
}

/* ---- digits, eight at a time --------------------------------------------------------------------------------------------- */

static inline uint64_t eight(uint64_t byte) { return UINT64_C(0x0101010101010101) * byte; }

/* The first of these bytes is the word's lowest. */
static inline uint64_t load(const char *text, size_t bytes) {
  uint64_t word = 0;
  memcpy(&word, text, bytes);
  return le64toh(word);
}

/* A text of 1 to 8 bytes, zeros behind it. Two loads may overlap: where they do they agree. */
static inline uint64_t word_of(const char *text, size_t n) {
  if (n == 8) return load(text, 8);
  if (n >= 4) return load(text, 4) | load(text + n - 4, 4) << (n - 4) * 8;
  return (uint64_t)(unsigned char)text[0] | (uint64_t)(unsigned char)text[n / 2] << n / 2 * 8 |
         (uint64_t)(unsigned char)text[n - 1] << (n - 1) * 8;
}

static inline bool all_digits(uint64_t word) { return !(((word + eight(0x46)) | (word - eight('0'))) & eight(0x80)); }

/* Pairs of digits, then pairs of those, then both halves. */
static inline uint64_t value_of(uint64_t word) {
  word -= eight('0');
  word = word * 10 + (word >> 8);
  return ((word & UINT64_C(0x000000ff000000ff)) * (100 + (UINT64_C(1000000) << 32)) +
          (word >> 16 & UINT64_C(0x000000ff000000ff)) * (1 + (UINT64_C(10000) << 32))) >> 32;
}

/* 1 to 8 digits, as a number. */
static inline bool digits_of(uint64_t word, size_t n, uint64_t *out) {
  if (n < 8) word = word << (8 - n) * 8 | eight('0') >> n * 8;
  *out = value_of(word);
  return all_digits(word);
}

/* Digits with at most one point among them, 1 to 8 bytes without a sign: most numbers of a log. */
static bool short_number(const char *text, size_t n, uint64_t *mantissa, size_t *decimals) {
  uint64_t word = word_of(text, n), other = word ^ eight('.'), point = (other - eight(1)) & ~other & eight(0x80);
  *decimals = 0;
  if (point) { /* its lowest bit is right: close what is below and what is above it */
    unsigned at = (unsigned)__builtin_ctzll(point) / 8;
    uint64_t below = (UINT64_C(1) << at * 8) - 1;
    word = (word & below) | (word >> 8 & ~below);
    *decimals = --n - at;
  }
  return n && digits_of(word, n, mantissa);
}

/* 1 to 16 digits. */
static bool short_integer(const char *text, size_t n, uint64_t *out) {
  if (n <= 8) return digits_of(word_of(text, n), n, out);
  static const uint32_t powers[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000};
  uint64_t high, low;
  bool fine = digits_of(load(text, 8), 8, &high) & digits_of(load(text + n - 8, 8) >> (16 - n) * 8, n - 8, &low);
  *out = high * powers[n - 8] + low;
  return fine;
}

/* ---- numbers ------------------------------------------------------------------------------------------------------------- */

static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

static bool any_number(const char *text, size_t n, double *out) {
  const char *at = text, *end = text + n;
  bool negative = false;
  if (at < end && (*at == '-' || *at == '+')) negative = *at++ == '-';
  uint64_t mantissa = 0;
  int digits = 0, exponent = 0;
  for (; at < end && digit(*at); at++, digits++) mantissa = mantissa * 10 + (uint64_t)(*at - '0');
  if (at < end && *at == '.')
    for (at++; at < end && digit(*at); at++, digits++, exponent--) mantissa = mantissa * 10 + (uint64_t)(*at - '0');
  if (!digits) return false;
  if (at < end && (*at == 'e' || *at == 'E')) {
    bool down = false;
    int power = 0;
    if (++at < end && (*at == '-' || *at == '+')) down = *at++ == '-';
    if (at == end || !digit(*at)) return false;
    for (; at < end && digit(*at); at++) power = power < 10000 ? power * 10 + (*at - '0') : power;
    exponent += down ? -power : power;
  }
  if (at != end) return false;
  if (digits > 19 || mantissa > UINT64_C(1) << 53 || exponent < -22 || exponent > 22) return slow_number(text, n, out);
  double value = (double)mantissa;
  value = exponent < 0 ? value / powers[-exponent] : value * powers[exponent];
  *out = negative ? -value : value;
  return true;
}

bool moon_value_number(const char *text, size_t n, double *out) {
  uint64_t mantissa;
  size_t decimals;
  if (n - 1 >= 8 || !short_number(text, n, &mantissa, &decimals)) return any_number(text, n, out);
  *out = (double)mantissa / powers[decimals];
  return true;
}

/* The magnitude is gathered as a negative number, whose range is the larger one. */
static bool any_integer(const char *text, size_t n, int64_t *out) {
  const char *at = text, *end = text + n;
  bool negative = false;
  if (at < end && (*at == '-' || *at == '+')) negative = *at++ == '-';
  if (at == end) return false;
  int64_t value = 0;
  for (; at < end; at++) {
    if (!digit(*at) || __builtin_mul_overflow(value, 10, &value) || __builtin_sub_overflow(value, *at - '0', &value))
      return false;
  }
  if (value == INT64_MIN) return false; /* is the null, and has no negative */
  *out = negative ? value : -value;
  return true;
}

bool moon_value_integer(const char *text, size_t n, int64_t *out) {
  uint64_t value;
  if (n - 1 >= 16 || !short_integer(text, n, &value)) return any_integer(text, n, out);
  *out = (int64_t)value;
  return true;
}

size_t moon_value_text(double value, char out[32]) {
  double back = 0;
  if (fabs(value) < 1e15 && value == trunc(value)) return (size_t)snprintf(out, 32, "%lld", (long long)value);
  for (int digits = 15; digits < 18; digits++) { /* every double has come back by 17 */
    moon_number_text(value, digits, out);
    if (moon_value_number(out, strlen(out), &back) && back == value) break;
  }
  return strlen(out);
}

static size_t digits_at(const char *text, size_t n, size_t at) {
  size_t from = at;
  while (at < n && digit(text[at])) at++;
  return at - from;
}

bool moon_value_is_number(const char *text, size_t n, bool whole) {
  size_t at = n && (*text == '-' || *text == '+'), digits = digits_at(text, n, at);
  at += digits;
  if (!whole && at < n && text[at] == '.') {
    size_t decimals = digits_at(text, n, at + 1);
    digits += decimals, at += 1 + decimals;
  }
  if (!digits) return false;
  if (!whole && at < n && (text[at] == 'e' || text[at] == 'E')) {
    at += 1 + (at + 1 < n && (text[at + 1] == '-' || text[at + 1] == '+'));
    digits = digits_at(text, n, at);
    if (!digits) return false;
    at += digits;
  }
  return at == n;
}

bool moon_value_time(const char *text, size_t n, moon_time_unit *unit, int64_t *out) {
  if (n >= 10 && digit(text[3]) && text[4] == '-') return moon_time_read(text, n, out);
  int64_t whole;
  double number;
  bool is_whole = moon_value_integer(text, n, &whole);
  if (is_whole) number = (double)whole;
  else if (!moon_value_number(text, n, &number)) return false;
  double size = fabs(number);
  if (*unit == MOON_UNIT_AUTO) *unit = size < 1e11 ? MOON_UNIT_S : size < 1e14 ? MOON_UNIT_MS : MOON_UNIT_US;
  int64_t scale = *unit == MOON_UNIT_S ? 1000000 : *unit == MOON_UNIT_MS ? 1000 : 1;
  if (is_whole) return !__builtin_mul_overflow(whole, scale, out) && *out != INT64_MIN;
  if (size * (double)scale >= 9e18) return false;
  *out = llround(number * (double)scale);
  return true;
}

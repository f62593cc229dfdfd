/* clock.c - time as int64 microseconds since 1970 UTC, and the ways people write it. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/base.h"

static int64_t read_clock(clockid_t id) {
  struct timespec t;
  clock_gettime(id, &t);
  return (int64_t)t.tv_sec * MOON_SECOND + t.tv_nsec / 1000;
}
int64_t moon_now(void) { return read_clock(CLOCK_REALTIME); }
int64_t moon_monotonic(void) { return read_clock(CLOCK_MONOTONIC); }

/* Days since 1970-01-01 of a proleptic Gregorian date (Hinnant's days_from_civil). */
static int64_t days_of(int64_t y, int m, int d) {
  y -= m <= 2;
  int64_t era = (y >= 0 ? y : y - 399) / 400, yoe = y - era * 400;
  int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
  return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

typedef struct reader {
  const char *at, *end;
} reader;

/* Exactly two digits. */
static inline bool two(reader *r, int *out) {
  if (r->end - r->at < 2) return false;
  unsigned tens = (unsigned char)r->at[0] - '0', ones = (unsigned char)r->at[1] - '0';
  if (tens > 9 || ones > 9) return false;
  *out = (int)(tens * 10 + ones);
  r->at += 2;
  return true;
}

static inline bool eat(reader *r, char c) {
  if (r->at == r->end || *r->at != c) return false;
  r->at++;
  return true;
}

static bool date(reader *r, int64_t *days) {
  static const int lengths[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  int century, y, m, d;
  if (!two(r, &century) || !two(r, &y) || !eat(r, '-') || !two(r, &m) || !eat(r, '-') || !two(r, &d)) return false;
  y += century * 100;
  if (m < 1 || m > 12 || d < 1 || d > lengths[m - 1]) return false;
  if (m == 2 && d == 29 && (y % 4 || (y % 100 == 0 && y % 400))) return false;
  *days = days_of(y, m, d);
  return true;
}

static bool time_of_day(reader *r, int64_t *out) {
  int h, m, s = 0;
  if (!two(r, &h) || !eat(r, ':') || !two(r, &m)) return false;
  bool seconds = eat(r, ':');
  if (seconds && !two(r, &s)) return false;
  if (h > 23 || m > 59 || s > 60) return false; /* 60: a leap second counts as the next minute's first */
  int64_t micros = 0, unit = MOON_SECOND / 10;
  if (seconds && eat(r, '.')) {
    if (r->at == r->end || *r->at < '0' || *r->at > '9') return false;
    for (; r->at < r->end && *r->at >= '0' && *r->at <= '9'; r->at++, unit /= 10) micros += (*r->at - '0') * unit;
  }
  *out = ((int64_t)h * 3600 + m * 60 + s) * MOON_SECOND + micros;
  return true;
}

static bool zone(reader *r, int64_t *offset) {
  int h, m = 0;
  *offset = 0;
  if (r->at == r->end || eat(r, 'Z')) return true;
  bool east = *r->at == '+';
  if (!eat(r, '+') && !eat(r, '-')) return false;
  if (!two(r, &h)) return false;
  bool colon = eat(r, ':');
  if ((colon || r->at < r->end) && !two(r, &m)) return false;
  if (h > 14 || m > 59) return false;
  *offset = (h * 3600 + m * 60) * MOON_SECOND * (east ? 1 : -1);
  return true;
}

bool moon_time_read(const char *text, size_t n, int64_t *out) {
  reader r = {text, text + n};
  int64_t days, within = 0, offset = 0;
  bool fine = date(&r, &days);
  if (fine && r.at < r.end) fine = (eat(&r, 'T') || eat(&r, ' ')) && time_of_day(&r, &within) && zone(&r, &offset);
  if (!fine || r.at != r.end) return false;
  *out = days * 86400 * MOON_SECOND + within - offset;
  return true;
}

moon_status moon_time_parse(const char *text, size_t n, int64_t *out) {
  if (moon_time_read(text, n, out)) return moon_ok();
  return moon_fail(MOON_EFORMAT, "'%.*s' is not a time such as 2026-11-24T10:11:12Z", (int)(n < 60 ? n : 60), text);
}

moon_status moon_duration_parse(const char *text, int64_t *out) {
  static const struct {
    char unit;
    int64_t seconds;
  } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}};
  size_t digits = strspn(text, "0123456789");
  int64_t amount = 0, total;
  for (size_t i = 0; i < digits && digits <= 9; i++) amount = amount * 10 + (text[i] - '0');
  for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
    if (!digits || digits > 9 || text[digits] != units[i].unit || text[digits + 1]) continue;
    if (__builtin_mul_overflow(amount, units[i].seconds * MOON_SECOND, &total)) break;
    *out = total;
    return moon_ok();
  }
  return moon_fail(MOON_EFORMAT, "'%.40s' is not a duration such as \"90s\", \"30m\", \"24h\", \"7d\" or \"2w\"", text);
}

void moon_time_format(int64_t t, char out[32]) {
  time_t seconds = (time_t)(t / MOON_SECOND - (t % MOON_SECOND < 0));
  struct tm parts;
  if (!gmtime_r(&seconds, &parts)) {
    snprintf(out, 32, "%lld us", (long long)t);
    return;
  }
  size_t year = (size_t)snprintf(out, 32, "%04d", parts.tm_year + 1900); /* %Y does not pad */
  strftime(out + year, 32 - year, "-%m-%dT%H:%M:%SZ", &parts);
}

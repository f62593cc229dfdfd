/* zone.c - time zones: what a clock on the wall there meant in UTC.
 *
 * A zone is a list of moments at which the offset changed, and a rule for all that comes after: the contents of a TZif file
 * (RFC 8536), or a rule alone (a POSIX TZ text such as "CET-1CEST,M3.5.0,M10.5.0/3"), or one offset. The process's own zone is
 * never looked at. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/base.h"

#define ZONE_FOLDER "/usr/share/zoneinfo"
enum { MOST_ZONE_BYTES = 1 << 20, DAY = 86400 };

typedef struct turn { /* of the clocks, each year */
  char kind;          /* 'M' month.week.day, 'J' day 1..365 without February 29, 'N' day 0..365 */
  int month, week, day;
  int64_t seconds; /* after midnight */
} turn;

typedef struct rule {
  int64_t standard, summer; /* seconds east */
  bool has_summer;
  turn start, end;
} rule;

struct moon_zone {
  int64_t *at;     /* [n] seconds since 1970, rising */
  int32_t *offset; /* [n + 1] seconds east: before the first change, and after each */
  size_t n, told;  /* told: how many of them do not follow from the rule */
  bool has_rule; /* for what comes after the last change */
  rule rule;
  char text[128]; /* the rule's; empty: it is standard time alone */
};

/* ---- a POSIX rule ----------------------------------------------------------------------------------------------------- */

static bool eat(const char **at, char c) {
  if (**at != c) return false;
  ++*at;
  return true;
}

static bool whole(const char **at, int most, int *out) {
  if (**at < '0' || **at > '9') return false;
  for (*out = 0; **at >= '0' && **at <= '9'; ++*at)
    if ((*out = *out * 10 + (**at - '0')) > most) return false;
  return true;
}

/* [+-]hh[:mm[:ss]] */
static bool clock_text(const char **at, int most_hours, int64_t *out) {
  int h, m = 0, s = 0, sign = eat(at, '-') ? -1 : 1;
  if (sign > 0) eat(at, '+');
  if (!whole(at, most_hours, &h)) return false;
  if (eat(at, ':') && (!whole(at, 59, &m) || (eat(at, ':') && !whole(at, 59, &s)))) return false;
  *out = sign * (h * INT64_C(3600) + m * 60 + s);
  return true;
}

/* "CET", "<+03>" */
static bool abbreviation(const char **at) {
  const char *from = *at;
  if (eat(at, '<')) {
    *at += strcspn(*at, ">");
    return eat(at, '>');
  }
  while ((**at | 32) >= 'a' && (**at | 32) <= 'z') ++*at;
  return *at - from >= 3;
}

static bool turn_text(const char **at, turn *out) {
  *out = (turn){.kind = eat(at, 'M') ? 'M' : eat(at, 'J') ? 'J' : 'N', .seconds = 2 * 3600};
  bool fine;
  if (out->kind == 'M')
    fine = whole(at, 12, &out->month) && out->month && eat(at, '.') && whole(at, 5, &out->week) && out->week && eat(at, '.') &&
           whole(at, 6, &out->day);
  else
    fine = whole(at, 365, &out->day) && (out->kind == 'N' || out->day);
  return fine && (!eat(at, '/') || clock_text(at, 167, &out->seconds));
}

/* POSIX counts offsets to the west. */
static bool rule_text(const char *text, rule *out) {
  *out = (rule){0};
  if (!abbreviation(&text) || !clock_text(&text, 24, &out->standard)) return false;
  out->standard = -out->standard;
  if (!*text) return true;
  out->has_summer = true;
  out->summer = out->standard + 3600;
  if (!abbreviation(&text)) return false;
  if (*text != ',') {
    if (!clock_text(&text, 24, &out->summer)) return false;
    out->summer = -out->summer;
  }
  return eat(&text, ',') && turn_text(&text, &out->start) && eat(&text, ',') && turn_text(&text, &out->end) && !*text;
}

static int64_t first_of(int year, int month) { /* month 1..13 */
  struct tm date = {.tm_year = year, .tm_mon = month - 1, .tm_mday = 1};
  return timegm(&date);
}

/* By the wall clock, as seconds since 1970 on it. */
static int64_t turn_in(const turn *t, int year) {
  int64_t start = first_of(year, 1);
  if (t->kind == 'N') return start + t->day * (int64_t)DAY + t->seconds;
  if (t->kind == 'J') {
    bool leap = first_of(year, 3) - first_of(year, 2) == 29 * DAY;
    return start + (t->day - 1 + (leap && t->day > 59)) * (int64_t)DAY + t->seconds;
  }
  start = first_of(year, t->month);
  int weekday = (int)(((start / DAY + 4) % 7 + 7) % 7), day = (t->day - weekday + 7) % 7 + (t->week - 1) * 7;
  int length = (int)((first_of(year, t->month + 1) - start) / DAY);
  return start + (day < length ? day : day - 7) * (int64_t)DAY + t->seconds;
}

static int64_t rule_offset(const rule *r, int64_t utc) {
  time_t local = (time_t)(utc + r->standard);
  struct tm date;
  if (!r->has_summer || !gmtime_r(&local, &date)) return r->standard;
  int64_t start = turn_in(&r->start, date.tm_year) - r->standard, end = turn_in(&r->end, date.tm_year) - r->summer;
  bool summer = start < end ? utc >= start && utc < end : utc >= start || utc < end;
  return summer ? r->summer : r->standard;
}

/* ---- a TZif file ------------------------------------------------------------------------------------------------------ */

static int64_t big_endian(const unsigned char *at, int bytes) {
  uint64_t value = at[0] & 0x80 ? UINT64_MAX : 0;
  for (int i = 0; i < bytes; i++) value = value << 8 | at[i];
  return (int64_t)value;
}

typedef struct tzif { /* one of the two blocks of a file */
  size_t times, types, chars, leaps, standards, uts, bytes;
} tzif;

static bool read_block(const unsigned char *bytes, size_t n, int width, tzif *out) {
  if (n < 44 || memcmp(bytes, "TZif", 4)) return false;
  size_t counts[6], w = (size_t)width;
  for (int i = 0; i < 6; i++) {
    counts[i] = (size_t)big_endian(bytes + 20 + 4 * i, 4);
    if (counts[i] > MOST_ZONE_BYTES) return false;
  }
  *out = (tzif){
      .uts = counts[0], .standards = counts[1], .leaps = counts[2], .times = counts[3], .types = counts[4], .chars = counts[5]};
  out->bytes = 44 + out->times * (w + 1) + out->types * 6 + out->chars + out->leaps * (w + 4) + out->standards + out->uts;
  return out->types > 0 && out->bytes <= n;
}

static moon_status fill_zone(moon_zone *zone, const unsigned char *block, const tzif *t) {
  zone->at = moon_alloc(t->times * sizeof *zone->at);
  zone->offset = moon_alloc((t->times + 1) * sizeof *zone->offset);
  if (!zone->at || !zone->offset) return moon_fail(MOON_ENOMEM, "no memory for a time zone");
  zone->n = t->times;
  const unsigned char *times = block + 44, *which = times + 8 * t->times, *types = which + t->times;
  zone->offset[0] = (int32_t)big_endian(types, 4);
  for (size_t i = 0; i < t->times; i++) {
    zone->at[i] = big_endian(times + 8 * i, 8);
    if (which[i] >= t->types || (i && zone->at[i] <= zone->at[i - 1]))
      return moon_fail(MOON_EFORMAT, "the zone's file is broken");
    zone->offset[i + 1] = (int32_t)big_endian(types + 6 * which[i], 4);
  }
  for (size_t i = 0; i <= t->times; i++)
    if (zone->offset[i] < -2 * DAY || zone->offset[i] > 2 * DAY) return moon_fail(MOON_EFORMAT, "the zone's file is broken");
  return moon_ok();
}

/* Of version 2 and later: the block of 32-bit times is passed over. */
static moon_status read_tzif(moon_zone *zone, const char *file, size_t n) {
  const unsigned char *bytes = (const unsigned char *)file;
  tzif old, t;
  if (!read_block(bytes, n, 4, &old) || bytes[4] < '2' || !read_block(bytes + old.bytes, n - old.bytes, 8, &t))
    return moon_fail(MOON_EFORMAT, "the zone's file is broken");
  MOON_TRY(fill_zone(zone, bytes + old.bytes, &t));
  size_t at = old.bytes + t.bytes, length = 0; /* the footer: "\nCET-1CEST,...\n" */
  char text[sizeof zone->text];
  for (at++; at + length < n && file[at + length] != '\n';) length++;
  if (!length) return moon_ok(); /* no rule: the last change holds */
  if (length < sizeof text) memcpy(text, file + at, length), text[length] = 0;
  zone->has_rule = length < sizeof text && rule_text(text, &zone->rule);
  if (zone->has_rule) memcpy(zone->text, text, length + 1);
  return zone->has_rule ? moon_ok() : moon_fail(MOON_EFORMAT, "the zone's file ends in no rule");
}

/* ---- a rule as changes ------------------------------------------------------------------------------------------------ */

static void add_change(moon_zone *zone, int64_t at) {
  if (zone->n && at <= zone->at[zone->n - 1]) return;
  zone->at[zone->n++] = at;
  zone->offset[zone->n] = (int32_t)rule_offset(&zone->rule, at);
}

/* Working a rule out takes the calendar; looking a change up does not. So the rule's changes up to LAST_YEAR join the list, and
 * only times beyond it are worked out. */
static moon_status spell_out(moon_zone *zone) {
  enum { FIRST_YEAR = 1900, LAST_YEAR = 2100, MOST = 2 * (LAST_YEAR - FIRST_YEAR + 1) };
  const rule *r = &zone->rule;
  zone->told = zone->n;
  if (!zone->has_rule || !r->has_summer) return moon_ok();
  int64_t *at = moon_realloc(zone->at, (zone->n + MOST) * sizeof *at);
  if (at) zone->at = at;
  int32_t *offset = at ? moon_realloc(zone->offset, (zone->n + MOST + 1) * sizeof *offset) : NULL;
  if (!offset) return moon_fail(MOON_ENOMEM, "no memory for a time zone");
  zone->offset = offset;
  if (!zone->n) offset[0] = (int32_t)rule_offset(r, first_of(FIRST_YEAR - 1900, 1));
  for (int year = FIRST_YEAR - 1900; year <= LAST_YEAR - 1900; year++) {
    int64_t start = turn_in(&r->start, year) - r->standard, end = turn_in(&r->end, year) - r->summer;
    add_change(zone, start < end ? start : end);
    add_change(zone, start < end ? end : start);
  }
  return moon_ok();
}

/* ---- zones ------------------------------------------------------------------------------------------------------------ */

static bool offset_name(const char *name, rule *out) {
  *out = (rule){0};
  if (!strcmp(name, "UTC") || !strcmp(name, "Z")) return true;
  return (*name == '+' || *name == '-') && clock_text(&name, 24, &out->standard) && !*name;
}

/* A name and no way out of the folder. */
static bool is_name(const char *name) {
  return name[0] && name[0] != '/' && !strstr(name, "..") && strlen(name) < 64 &&
         !name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/")];
}

static bool read_rule(moon_zone *zone, const char *text) {
  size_t n = strlen(text);
  zone->has_rule = n < sizeof zone->text && rule_text(text, &zone->rule);
  if (zone->has_rule) memcpy(zone->text, text, n + 1);
  return zone->has_rule;
}

static moon_status find_zone(const char *name, moon_zone *zone) {
  zone->has_rule = offset_name(name, &zone->rule);
  if (zone->has_rule) return moon_ok();
  char path[128];
  snprintf(path, sizeof path, ZONE_FOLDER "/%.63s", name);
  if (is_name(name) && moon_file_exists(path)) {
    moon_buf file = {0};
    moon_status status = moon_file_read(path, MOST_ZONE_BYTES, &file);
    if (!status.code) status = read_tzif(zone, file.data, file.n);
    moon_buf_free(&file);
    return moon_wrap(status, "%s", path);
  }
  if (read_rule(zone, name)) return moon_ok();
  return moon_fail(MOON_ENOTFOUND, "'%.60s' is no time zone such as \"+02:00\" or \"Europe/Amsterdam\" (of " ZONE_FOLDER ")",
                   name);
}

moon_status moon_zone_new(const char *name, moon_zone **out) {
  moon_zone *zone = moon_calloc(1, sizeof *zone);
  if (!zone) return moon_fail(MOON_ENOMEM, "no memory for a time zone");
  moon_status status = find_zone(name, zone);
  if (!status.code) status = spell_out(zone);
  if (status.code)
    moon_zone_free(zone);
  else
    *out = zone;
  return status;
}

moon_status moon_zone_read(const char *bytes, size_t n, moon_zone **out) {
  moon_zone *zone = moon_calloc(1, sizeof *zone);
  if (!zone) return moon_fail(MOON_ENOMEM, "no memory for a time zone");
  moon_status status = read_tzif(zone, bytes, n);
  if (!status.code) status = spell_out(zone);
  if (status.code)
    moon_zone_free(zone);
  else
    *out = zone;
  return status;
}

void moon_zone_free(moon_zone *zone) {
  if (!zone) return;
  moon_free(zone->at);
  moon_free(zone->offset);
  moon_free(zone);
}

static int64_t offset_at(const moon_zone *zone, int64_t utc) {
  size_t low = 0, high = zone->n; /* changes before or at utc */
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (zone->at[middle] <= utc)
      low = middle + 1;
    else
      high = middle;
  }
  return low == zone->n && zone->has_rule ? rule_offset(&zone->rule, utc) : zone->offset[low];
}

int64_t moon_zone_utc(const moon_zone *zone, int64_t local) {
  int64_t seconds = local / MOON_SECOND - (local % MOON_SECOND < 0);
  int64_t before = offset_at(zone, seconds - DAY), after = offset_at(zone, seconds + DAY);
  bool later = offset_at(zone, seconds - before) != before && offset_at(zone, seconds - after) == after;
  int64_t shift = (later ? after : before) * MOON_SECOND, utc;
  return __builtin_sub_overflow(local, shift, &utc) || utc == INT64_MIN ? local : utc; /* that one is the null */
}

int64_t moon_zone_offset(const moon_zone *zone, int64_t utc) {
  return offset_at(zone, utc / MOON_SECOND - (utc % MOON_SECOND < 0)) * MOON_SECOND;
}

/* ---- zones as text ---------------------------------------------------------------------------------------------------- */

/* Whether the rule alone has change i, and nothing else since the one before. */
static bool follows(const moon_zone *zone, size_t i) {
  int64_t from = i ? zone->at[i - 1] : zone->at[i] - DAY;
  if (!zone->has_rule || rule_offset(&zone->rule, zone->at[i]) != zone->offset[i + 1] || zone->at[i] - from > 366 * DAY) return false;
  for (int64_t at = zone->at[i] - 1; at >= from; at -= DAY)
    if (rule_offset(&zone->rule, at) != zone->offset[i]) return false;
  return true;
}

moon_status moon_zone_text(const moon_zone *zone, moon_buf *out) {
  size_t from = 0, until = zone->told;
  while (until && follows(zone, until - 1)) until--;
  while (from < until && zone->at[from] < 0) from++;
  bool told = from < until || !zone->has_rule;
  if (told) moon_buf_printf(out, "%d", zone->offset[from]);
  for (size_t i = from; i < until; i++) moon_buf_printf(out, ",%lld:%d", (long long)zone->at[i], zone->offset[i + 1]);
  if (told) moon_buf_puts(out, ";");
  int64_t west = -zone->rule.standard, size = west < 0 ? -west : west;
  if (zone->has_rule && zone->text[0])
    moon_buf_puts(out, zone->text);
  else if (zone->has_rule)
    moon_buf_printf(out, "<local>%c%lld:%02lld:%02lld", west < 0 ? '-' : '+', (long long)(size / 3600), (long long)(size / 60 % 60),
                    (long long)(size % 60));
  return out->failed ? moon_fail(MOON_ENOMEM, "no memory for a time zone") : moon_ok();
}

/* A whole number, within limits that no zone reaches. */
static bool number(const char **at, int64_t *out) {
  bool minus = eat(at, '-');
  if (**at < '0' || **at > '9') return false;
  for (*out = 0; **at >= '0' && **at <= '9'; ++*at)
    if ((*out = *out * 10 + (**at - '0')) > INT64_C(1) << 40) return false;
  if (minus) *out = -*out;
  return true;
}

static bool offset_text(const char **at, int32_t *out) {
  int64_t value;
  if (!number(at, &value) || value < -2 * DAY || value > 2 * DAY) return false;
  *out = (int32_t)value;
  return true;
}

/* "3600,228877200:7200,243997200:3600;": the offset before the first change, and the changes. */
static bool read_changes(moon_zone *zone, const char *text) {
  if (!offset_text(&text, &zone->offset[0])) return false;
  while (eat(&text, ',')) {
    int64_t *at = &zone->at[zone->n];
    if (!number(&text, at) || (zone->n && *at <= at[-1]) || !eat(&text, ':') || !offset_text(&text, &zone->offset[zone->n + 1])) return false;
    zone->n++;
  }
  return *text == ';';
}

static moon_status parse(moon_zone *zone, const char *text) {
  const char *end = strchr(text, ';');
  size_t changes = 0;
  for (const char *at = text; end && at < end; at++) changes += *at == ':';
  zone->at = moon_alloc((changes + 1) * sizeof *zone->at);
  zone->offset = moon_calloc(changes + 1, sizeof *zone->offset);
  if (!zone->at || !zone->offset) return moon_fail(MOON_ENOMEM, "no memory for a time zone");
  bool fine = !end || read_changes(zone, text);
  if (fine && (!end || end[1])) fine = read_rule(zone, end ? end + 1 : text);
  return fine ? spell_out(zone) : moon_fail(MOON_EFORMAT, "'%.60s' is not a zone's changes and rule", text);
}

moon_status moon_zone_parse(const char *text, moon_zone **out) {
  moon_zone *zone = moon_calloc(1, sizeof *zone);
  if (!zone) return moon_fail(MOON_ENOMEM, "no memory for a time zone");
  moon_status status = parse(zone, text);
  if (status.code)
    moon_zone_free(zone);
  else
    *out = zone;
  return status;
}

/* Time zones: what a clock on the wall meant. */
#include <stdlib.h>
#include <time.h>

#include "unit/exhaust.h"

#define AMSTERDAM "CET-1CEST,M3.5.0,M10.5.0/3"

static moon_zone *zone_of(const char *name) {
  moon_zone *zone = NULL;
  moon_status status = moon_zone_new(name, &zone);
  if (status.code) fail_msg("%s: %s", name, status.message);
  return zone;
}

static void meant(const char *name, const char *local, const char *utc) {
  moon_zone *zone = zone_of(name);
  int64_t from, to;
  char text[32], want[32];
  OK(moon_time_parse(local, strlen(local), &from));
  OK(moon_time_parse(utc, strlen(utc), &to));
  moon_time_format(moon_zone_utc(zone, from), text);
  moon_time_format(to, want);
  if (strcmp(text, want)) fail_msg("%s in %s is %s, not %s", local, name, text, want);
  moon_zone_free(zone);
}

static void clocks_are_read_as_people_there_do(void **state) {
  (void)state;
  meant("UTC", "2026-11-24T10:00", "2026-11-24T10:00");
  meant("+02:00", "2026-11-24T10:00", "2026-11-24T08:00");
  meant("-03:30", "2026-11-24T23:00", "2026-11-25T02:30");
  meant("+5", "2026-11-24T10:00", "2026-11-24T05:00");
  meant(AMSTERDAM, "2026-01-15T12:00", "2026-01-15T11:00");
  meant(AMSTERDAM, "2026-07-15T12:00", "2026-07-15T10:00");
  meant(AMSTERDAM, "2026-03-29T01:59:59", "2026-03-29T00:59:59");
  meant(AMSTERDAM, "2026-03-29T02:30", "2026-03-29T01:30"); /* skipped: half an hour after the clocks said 02:00 */
  meant(AMSTERDAM, "2026-03-29T03:00", "2026-03-29T01:00");
  meant(AMSTERDAM, "2026-10-25T02:30", "2026-10-25T00:30"); /* twice: the first */
  meant(AMSTERDAM, "2026-10-25T03:00", "2026-10-25T02:00");
  meant("NZST-12NZDT,M9.5.0,M4.1.0/3", "2026-01-01T00:00", "2025-12-31T11:00"); /* summer over the new year */
  meant("NZST-12NZDT,M9.5.0,M4.1.0/3", "2026-06-01T00:00", "2026-05-31T12:00");
  meant("<+0330>-3:30<+0430>,J79/24,J263/24", "2024-03-22T00:00", "2024-03-21T19:30");
  meant(AMSTERDAM, "2101-07-15T12:00", "2101-07-15T10:00"); /* beyond the changes that are written down */
  meant(AMSTERDAM, "2101-01-15T12:00", "2101-01-15T11:00");
  meant(AMSTERDAM, "1850-07-15T12:00", "1850-07-15T11:00"); /* before them: as in the winter */
  meant("AAA3BBB,59,J300", "2024-02-29T12:00", "2024-02-29T14:00");  /* day 59 from 0 is February 29 in a leap year */
  meant("AAA3BBB,J60,J300", "2024-02-29T12:00", "2024-02-29T15:00"); /* J60 is March 1 in every year */
}

static void microseconds_stay(void **state) {
  (void)state;
  moon_zone *zone = zone_of("+01:00");
  assert_true(moon_zone_utc(zone, 3600 * MOON_SECOND + 7) == 7);
  assert_true(moon_zone_utc(zone, -1) == -3600 * MOON_SECOND - 1);
  moon_zone_utc(zone, INT64_MAX);
  moon_zone_utc(zone, INT64_MIN + 1);
  moon_zone_free(zone);
}

static void what_is_no_zone_is_refused(void **state) {
  (void)state;
  static const char *const names[] = {"",
                                      "Europe/Amsterdm",
                                      "+25:00",
                                      "+01:60",
                                      "+01:00x",
                                      "../../../etc/passwd",
                                      "/etc/passwd",
                                      "CET",
                                      "CET-1CEST",
                                      "CET-1CEST,M3.5.0",
                                      "CET-1CEST,M13.1.0,M1.1.0",
                                      "CET-1CEST,M3.6.0,M1.1.0",
                                      "CET-1CEST,M3.1.7,M1.1.0",
                                      "CET-1CEST,J0,J5",
                                      "CET-1CEST,J366,J5",
                                      "Europe",
                                      "C-1",
                                      "<+03",
                                      "AAA99999999999999999999"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    moon_zone *zone = NULL;
    moon_status status = moon_zone_new(names[i], &zone);
    if (!strcmp(names[i], "CET") && !status.code) { /* a file of old systems */
      moon_zone_free(zone);
      continue;
    }
    if (!status.code || zone) fail_msg("'%s' is taken for a zone", names[i]);
  }
  moon_zone *zone = NULL;
  REFUSED(MOON_ENOTFOUND, "'Europe/Amsterdm' is no time zone such as", moon_zone_new("Europe/Amsterdm", &zone));
}

/* The system's own reading, in zones that differ in all that there is. */
static void files_agree_with_the_c_library(void **state) {
  (void)state;
  static const char *const names[] = {"Europe/Amsterdam",  "America/New_York",  "Asia/Kolkata", "Australia/Lord_Howe",
                                      "Africa/Casablanca", "America/Sao_Paulo", "Pacific/Apia", "Asia/Tehran",
                                      AMSTERDAM,           "Europe/Dublin"};
  moon_rng rng;
  moon_rng_seed(&rng, 3, 0);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    char path[100];
    snprintf(path, sizeof path, "/usr/share/zoneinfo/%s", names[i]);
    if (strcmp(names[i], AMSTERDAM) && !moon_file_exists(path)) continue;
    moon_zone *zone = zone_of(names[i]);
    setenv("TZ", names[i], 1);
    tzset();
    for (int n = 0; n < 20000; n++) {
      bool rule = !strcmp(names[i], AMSTERDAM); /* for which glibc has no years before 1970 */
      time_t utc = (time_t)(moon_rng_u64(&rng) % 4000000000u) - (rule || n % 2 ? 0 : 1000000000);
      struct tm there;
      localtime_r(&utc, &there);
      int64_t local = utc + there.tm_gmtoff, got = moon_zone_utc(zone, local * MOON_SECOND) / MOON_SECOND;
      if (got == utc) continue;
      time_t other = (time_t)got; /* else the clock said so twice, and this is the first time */
      localtime_r(&other, &there);
      if (got > utc || other + there.tm_gmtoff != local)
        fail_msg("%s: %lld came back as %lld", names[i], (long long)utc, (long long)got);
    }
    moon_zone_free(zone);
  }
  unsetenv("TZ");
  tzset();
}

/* Version 2: an empty first block, two changes, and a rule. */
static size_t make_file(char *out, const char *footer) {
  size_t n = 0;
  static const unsigned char counts[2][6] = {{0, 0, 0, 0, 1, 1}, {0, 0, 0, 2, 2, 8}};
  for (int block = 0; block < 2; block++) {
    memcpy(out + n, "TZif2", 5);
    memset(out + n + 5, 0, 39);
    for (int i = 0; i < 6; i++) out[n + 23 + 4 * (size_t)i] = (char)counts[block][i];
    n += 44;
    if (!block) memset(out + n, 0, 7), n += 7;
  }
  static const unsigned char body[] = {
      0, 0, 0,    0,    0, 0, 0x10, 0, 0,    0,    0, 0, 0,   0,   0x20, 0, 1,   0, /* at 4096: type 1; at 8192: type 0 */
      0, 0, 0x0e, 0x10, 0, 0, 0,    0, 0x1c, 0x20, 1, 4, 'A', 'A', 'A',  0, 'B', 'B', 'B', 0};
  memcpy(out + n, body, sizeof body);
  n += sizeof body;
  return n + (size_t)sprintf(out + n, "\n%s\n", footer);
}

static void a_file_is_read_as_it_is_written(void **state) {
  (void)state;
  char file[300];
  moon_zone *zone;
  OK(moon_zone_read(file, make_file(file, "AAA-1"), &zone));
  assert_true(moon_zone_utc(zone, 3600 * MOON_SECOND) == 0);
  moon_zone_free(zone);
  OK(moon_zone_read(file, make_file(file, ""), &zone));
  moon_zone_free(zone);
  REFUSED(MOON_EFORMAT, "rule", moon_zone_read(file, make_file(file, "AAA"), &zone));
}

static void broken_files_do_no_harm(void **state) {
  (void)state;
  char file[300];
  size_t n = make_file(file, AMSTERDAM);
  moon_rng rng;
  moon_rng_seed(&rng, 9, 0);
  for (size_t cut = 0; cut < n; cut++) {
    char *copy = malloc(cut + 1); /* of just that size: the sanitizer sees a byte too far */
    memcpy(copy, file, cut);
    moon_zone *zone = NULL;
    if (!moon_zone_read(copy, cut, &zone).code) moon_zone_free(zone);
    free(copy);
  }
  for (int round = 0; round < 20000; round++) {
    char copy[300];
    memcpy(copy, file, n);
    for (uint32_t i = 0, flips = 1 + moon_rng_below(&rng, 4); i < flips; i++)
      copy[moon_rng_below(&rng, (uint32_t)n)] = (char)moon_rng_u32(&rng);
    moon_zone *zone = NULL;
    moon_status status = moon_zone_read(copy, n, &zone);
    if (status.code) continue;
    moon_zone_utc(zone, (int64_t)moon_rng_u64(&rng) / 2);
    moon_zone_free(zone);
  }
}

static moon_status open_one(void *self) {
  char file[300];
  moon_zone *zone = NULL;
  (void)self;
  MOON_TRY(moon_zone_read(file, make_file(file, AMSTERDAM), &zone));
  moon_zone_free(zone);
  MOON_TRY(moon_zone_new("+01:00", &zone));
  moon_zone_free(zone);
  return moon_ok();
}

static void zones_survive_no_memory(void **state) {
  (void)state;
  assert_true(exhaust(open_one, NULL) >= 4);
}

/* ---- as text ---- */

static void agree(const moon_zone *a, const moon_zone *b, const char *name) {
  moon_rng rng;
  moon_rng_seed(&rng, 4, 0);
  for (int n = 0; n < 20000; n++) {
    int64_t utc = (int64_t)(moon_rng_u64(&rng) % 6000000000u) * MOON_SECOND;
    if (n % 2) utc = (utc / (86400 * MOON_SECOND)) * 86400 * MOON_SECOND + (int64_t)moon_rng_below(&rng, 24) * 3600 * MOON_SECOND;
    if (moon_zone_offset(a, utc) != moon_zone_offset(b, utc)) fail_msg("%s differs from its text at %lld", name, (long long)utc);
  }
}

static void text_of_a_zone_is_that_zone_since_1970(void **state) {
  (void)state;
  static const char *const names[] = {"UTC",  "+02:00", "-03:30",  AMSTERDAM, "NZST-12NZDT,M9.5.0,M4.1.0/3", "Europe/Amsterdam", "America/New_York",
                                      "Asia/Kolkata", "Australia/Lord_Howe", "Africa/Casablanca", "America/Sao_Paulo", "Pacific/Apia",
                                      "Asia/Tehran", "Europe/Dublin", "Europe/Moscow", "Europe/Istanbul", "America/Caracas", "Asia/Pyongyang"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    char path[100];
    snprintf(path, sizeof path, "/usr/share/zoneinfo/%s", names[i]);
    if (strchr(names[i], '/') && !strchr(names[i], ',') && !moon_file_exists(path)) continue;
    moon_zone *zone = zone_of(names[i]), *again;
    moon_buf text = {0}, second = {0};
    OK(moon_zone_text(zone, &text));
    OK(moon_zone_parse(text.data, &again));
    agree(zone, again, names[i]);
    OK(moon_zone_text(again, &second));
    assert_string_equal(text.data, second.data);
    if (!strcmp(names[i], AMSTERDAM)) assert_string_equal(text.data, AMSTERDAM);
    if (!strcmp(names[i], "+02:00")) assert_string_equal(text.data, "<local>-2:00:00");
    assert_true(text.n < 4000);
    moon_buf_free(&text);
    moon_buf_free(&second);
    moon_zone_free(zone);
    moon_zone_free(again);
  }
}

static void text_of_a_file_has_what_its_rule_does_not_tell(void **state) {
  (void)state;
  static const char *const footers[][2] = {{"AAA-1", "3600,4096:7200,8192:3600;AAA-1"}, {"", "3600,4096:7200,8192:3600;"}};
  for (size_t i = 0; i < 2; i++) {
    char file[300];
    moon_zone *zone;
    moon_buf text = {0};
    OK(moon_zone_read(file, make_file(file, footers[i][0]), &zone));
    OK(moon_zone_text(zone, &text));
    assert_string_equal(text.data, footers[i][1]);
    moon_zone_free(zone);
    OK(moon_zone_parse(text.data, &zone));
    assert_true(moon_zone_offset(zone, 4095 * MOON_SECOND) == 3600 * MOON_SECOND);
    assert_true(moon_zone_offset(zone, 4096 * MOON_SECOND) == 7200 * MOON_SECOND);
    assert_true(moon_zone_offset(zone, INT64_MAX) == 3600 * MOON_SECOND);
    moon_zone_free(zone);
    moon_buf_free(&text);
  }
}

static void text_that_is_no_zone_is_refused(void **state) {
  (void)state;
  static const char *const texts[] = {"", ";", "x;", "3600", "3600,;", "3600,5;", "3600,5:;", "3600,5:1,5:2;", "3600,9:1,5:2;", "999999;", "3600;AAA",
                                      "3600,5:1;AAA-1x", "Europe/Amsterdam", "+02:00", "3600,5:1x;AAA-1", "9999999999999999999999;", "-;AAA-1",
                                      "3600,5:99999999;"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    moon_zone *zone = NULL;
    moon_status status = moon_zone_parse(texts[i], &zone);
    if (status.code != MOON_EFORMAT || zone) fail_msg("'%s' is taken for a zone", texts[i]);
  }
}

static moon_status text_one(void *self) {
  (void)self;
  moon_zone *zone = NULL;
  moon_buf text = {0};
  MOON_TRY(moon_zone_parse("3600,228877200:7200,243997200:3600;" AMSTERDAM, &zone));
  moon_status status = moon_zone_text(zone, &text);
  moon_zone_free(zone);
  moon_buf_free(&text);
  return status;
}

static void texts_survive_no_memory(void **state) {
  (void)state;
  assert_true(exhaust(text_one, NULL) >= 5);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(clocks_are_read_as_people_there_do),
                                     cmocka_unit_test(microseconds_stay),
                                     cmocka_unit_test(what_is_no_zone_is_refused),
                                     cmocka_unit_test(files_agree_with_the_c_library),
                                     cmocka_unit_test(a_file_is_read_as_it_is_written),
                                     cmocka_unit_test(broken_files_do_no_harm),
                                     cmocka_unit_test(zones_survive_no_memory),
                                     cmocka_unit_test(text_of_a_zone_is_that_zone_since_1970),
                                     cmocka_unit_test(text_of_a_file_has_what_its_rule_does_not_tell),
                                     cmocka_unit_test(text_that_is_no_zone_is_refused),
                                     cmocka_unit_test(texts_survive_no_memory)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}

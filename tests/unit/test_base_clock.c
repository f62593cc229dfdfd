/* Times and durations as people write them. */
#include "unit/numeric.h"

#include <stdlib.h>
#include <time.h>

static void times_that_parse(void **state) {
  (void)state;
  static const struct {
    const char *text;
    int64_t seconds, micros;
  } cases[] = {{"1970-01-01", 0, 0},
               {"1970-01-01T00:00:00Z", 0, 0},
               {"1969-12-31T23:59:59Z", -1, 0},
               {"1969-12-31T23:59:59.999999Z", -1, 999999},
               {"2000-02-29T12:00:00Z", 951825600, 0},
               {"2024-02-29", 1709164800, 0},
               {"2026-11-24T10:11:12Z", 1795515072, 0},
               {"2026-11-24 10:11:12", 1795515072, 0},
               {"2026-11-24T10:11", 1795515060, 0},
               {"2026-11-24T10:11Z", 1795515060, 0},
               {"2026-11-24T10:11:12.5Z", 1795515072, 500000},
               {"2026-11-24T10:11:12.123456789Z", 1795515072, 123456},
               {"2026-11-24T12:11:12+02:00", 1795515072, 0},
               {"2026-11-24T12:11:12+0200", 1795515072, 0},
               {"2026-11-24T12:11:12+02", 1795515072, 0},
               {"2026-11-23T22:41:12-11:30", 1795515072, 0},
               {"2016-12-31T23:59:60Z", 1483228800, 0}, /* a leap second */
               {"0001-01-01", -62135596800, 0},
               {"0000-02-29", -62162121600, 0},
               {"9999-12-31T23:59:59Z", 253402300799, 0}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int64_t time = 1;
    OK(moon_time_parse(cases[i].text, strlen(cases[i].text), &time));
    if (time != cases[i].seconds * MOON_SECOND + cases[i].micros) fail_msg("%s -> %lld", cases[i].text, (long long)time);
  }
}

static void times_that_do_not_parse(void **state) {
  (void)state;
  static const char *const texts[] = {"",
                                      "2026",
                                      "2026-11",
                                      "2026-11-2",
                                      "2026-13-01",
                                      "2026-00-10",
                                      "2026-04-31",
                                      "2026-02-30",
                                      "2025-02-29",
                                      "1900-02-29",
                                      "2026-11-00",
                                      "26-11-24",
                                      "2026/11/24",
                                      "2026-11-24T",
                                      "2026-11-24T10",
                                      "2026-11-24T10:",
                                      "2026-11-24T24:00:00",
                                      "2026-11-24T10:60:00",
                                      "2026-11-24T10:00:61",
                                      "2026-11-24T10:11.5",
                                      "2026-11-24T10:11:12.",
                                      "2026-11-24T10:11:12.Z",
                                      "2026-11-24T10:11:12ZZ",
                                      "2026-11-24T10:11:12+",
                                      "2026-11-24T10:11:12+2",
                                      "2026-11-24T10:11:12+15:00",
                                      "2026-11-24T10:11:12+02:60",
                                      "2026-11-24T10:11:12+02:0",
                                      "2026-11-24T10:11:12 ",
                                      " 2026-11-24",
                                      "2026-11-24x10:11:12",
                                      "+026-11-24",
                                      "2026-1a-24",
                                      "2026-11-24T-1:00:00",
                                      "2026-11-24T10:11:1\xb5"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    int64_t time = 77;
    moon_status status = moon_time_parse(texts[i], strlen(texts[i]), &time);
    if (status.code != MOON_EFORMAT || time != 77) fail_msg("'%s' was taken for a time", texts[i]);
    assert_non_null(strstr(status.message, "is not a time such as"));
  }
  int64_t time;
  assert_false(moon_time_read("2026-11-24\0", 11, &time));
  assert_true(moon_time_read("2026-11-24T10:11:12Z", 10, &time)); /* exactly n bytes are read */
}

static void format_and_parse_are_inverse(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 2, 0);
  const int64_t first = -62167219200, last = 253402300799; /* years 0 to 9999 */
  for (int i = 0; i < 20000; i++) {
    int64_t seconds = first + (int64_t)(moon_rng_u64(&rng) % (uint64_t)(last - first + 1)), back, with_micros;
    if (i < 2) seconds = i ? last : first;
    int64_t micros = i % 3 ? moon_rng_below(&rng, 1000000) : 0;
    char text[32], known[80];
    moon_time_format(seconds * MOON_SECOND + micros, text); /* microseconds are left out, towards the past */
    OK(moon_time_parse(text, strlen(text), &back));
    if (back != seconds * MOON_SECOND) fail_msg("%lld -> %s -> %lld", (long long)seconds, text, (long long)back);
    struct tm tm; /* the C library agrees */
    time_t t = (time_t)seconds;
    gmtime_r(&t, &tm);
    snprintf(known, sizeof known, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
             tm.tm_min, tm.tm_sec);
    assert_string_equal(text, known);
    char longer[64];
    int zone = (int)moon_rng_below(&rng, 28 * 60 + 1) - 14 * 60;
    int n = snprintf(longer, sizeof longer, "%.19s.%06d%c%02d:%02d", text, (int)micros, zone < 0 ? '-' : '+', abs(zone) / 60,
                     abs(zone) % 60);
    OK(moon_time_parse(longer, (size_t)n, &with_micros));
    assert_true(with_micros == seconds * MOON_SECOND + micros - (int64_t)zone * 60 * MOON_SECOND);
  }
}

static void any_time_can_be_formatted(void **state) {
  (void)state;
  char text[32];
  static const int64_t times[] = {INT64_MIN, INT64_MIN + 1, -1, 0, 1, INT64_MAX};
  for (size_t i = 0; i < 6; i++) {
    memset(text, 'x', sizeof text);
    moon_time_format(times[i], text);
    assert_true(strnlen(text, sizeof text) < sizeof text);
  }
  moon_time_format(-1, text);
  assert_string_equal(text, "1969-12-31T23:59:59Z");
}

static void random_bytes_never_break_the_parser(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 9, 0);
  for (int i = 0; i < 200000; i++) { /* exactly sized memory, so that a sanitizer sees a read too far */
    static const char alphabet[] = "0123456789-:.TZ +";
    char model[] = "2026-11-24T10:11:12.25+01:30";
    size_t n = moon_rng_below(&rng, sizeof model);
    model[moon_rng_below(&rng, sizeof model - 1)] = alphabet[moon_rng_below(&rng, sizeof alphabet - 1)];
    char *text = malloc(n ? n : 1);
    memcpy(text, model, n);
    int64_t time;
    moon_time_read(text, n, &time);
    free(text);
  }
}

static void durations(void **state) {
  (void)state;
  static const struct {
    const char *text;
    int64_t seconds;
  } cases[] = {{"90s", 90}, {"30m", 1800}, {"24h", 86400}, {"7d", 604800}, {"2w", 1209600}, {"0s", 0}, {"007d", 604800}};
  int64_t out;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    OK(moon_duration_parse(cases[i].text, &out));
    assert_true(out == cases[i].seconds * MOON_SECOND);
  }
  static const char *const bad[] = {"",   "s",    "7",  "7 d",   "-7d",         "+7d",        "7dd",
                                    "7y", "1.5h", "7D", "1d12h", "9999999999s", "999999999w", "999999999d"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    out = 5;
    REFUSED(MOON_EFORMAT, "is not a duration", moon_duration_parse(bad[i], &out));
    assert_true(out == 5);
  }
  OK(moon_duration_parse("15000000w", &out)); /* 287,000 years still fit */
  assert_true(out == INT64_C(15000000) * 604800 * MOON_SECOND);
}

static void clocks_run(void **state) {
  (void)state;
  int64_t a = moon_monotonic(), b = moon_monotonic();
  assert_true(b >= a);
  assert_true(moon_now() > INT64_C(1700000000) * MOON_SECOND);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(times_that_parse),
                                     cmocka_unit_test(times_that_do_not_parse),
                                     cmocka_unit_test(format_and_parse_are_inverse),
                                     cmocka_unit_test(any_time_can_be_formatted),
                                     cmocka_unit_test(random_bytes_never_break_the_parser),
                                     cmocka_unit_test(durations),
                                     cmocka_unit_test(clocks_run)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}

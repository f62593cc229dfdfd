/* Numbers and times in cells, against the C library. */
#include "unit/tables.h"

#include <errno.h>
#include <locale.h>

#include "data/value.h"

/* Decimal texts of all shapes: the fast path and the slow one, and the border between them. */
static size_t random_decimal(moon_rng *rng, char out[80]) {
  size_t n = 0;
  if (moon_rng_below(rng, 4) == 0) out[n++] = "+-"[moon_rng_below(rng, 2)];
  unsigned whole = moon_rng_below(rng, 22), part = moon_rng_below(rng, 22);
  for (unsigned i = 0; i < whole; i++) out[n++] = (char)('0' + moon_rng_below(rng, 10));
  if (part || moon_rng_below(rng, 5) == 0) out[n++] = '.';
  for (unsigned i = 0; i < part; i++) out[n++] = (char)('0' + moon_rng_below(rng, moon_rng_below(rng, 3) ? 10 : 1));
  if (moon_rng_below(rng, 3) == 0)
    n += (size_t)sprintf(
        out + n, "%c%s%u", "eE" [moon_rng_below(rng, 2)], (const char *[]) { "", "+", "-" }[moon_rng_below(rng, 3)],
        moon_rng_below(rng, 330));
  out[n] = 0;
  return n;
}

static void numbers_are_the_nearest_doubles(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 1, 0);
  for (int i = 0; i < 1000000; i++) {
    char text[80], *end;
    size_t n = random_decimal(&rng, text);
    double expected = strtod(text, &end), got;
    bool fine = n && *end == 0 && isfinite(expected);
    if (moon_value_number(text, n, &got) != fine) fail_msg("'%s' is %sa number", text, fine ? "" : "not ");
    if (fine && memcmp(&got, &expected, sizeof got)) fail_msg("'%s': %.17g, not %.17g", text, got, expected);
  }
}

/* Every text of up to six of these bytes, and of nine around a border of the words that digits are read in. */
static void short_texts_are_read_as_the_library_does(void **state) {
  (void)state;
  static const char alphabet[] = "019./:-e\xb0";
  enum { LETTERS = sizeof alphabet - 1, DIGITS = 6 };
  static const char *const fronts[] = {"", "100"};
  for (size_t front = 0; front < 2; front++)
    for (size_t length = 0, count = 1; length <= DIGITS - front; length++, count *= LETTERS)
      for (size_t which = 0; which < count; which++) {
        char text[20], *end;
        size_t n = (size_t)sprintf(text, "%s", fronts[front]);
        for (size_t i = 0, rest = which; i < length; i++, rest /= LETTERS) text[n++] = alphabet[rest % LETTERS];
        text[n] = 0;
        double expected = strtod(text, &end), got;
        bool fine = n && !*end && isfinite(expected);
        if (moon_value_number(text, n, &got) != fine) fail_msg("'%s' is %sa number", text, fine ? "" : "not ");
        if (fine && memcmp(&got, &expected, sizeof got)) fail_msg("'%s': %.17g, not %.17g", text, got, expected);
        int64_t whole;
        long long integer = strtoll(text, &end, 10);
        fine = n && !*end;
        if (moon_value_integer(text, n, &whole) != fine) fail_msg("'%s' is %san integer", text, fine ? "" : "not ");
        if (fine) assert_true(whole == integer);
      }
}

static void printed_doubles_come_back(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 2, 0);
  for (int i = 0; i < 100000; i++) {
    double value, got;
    char text[80];
    uint64_t bits = moon_rng_u64(&rng);
    memcpy(&value, &bits, 8);
    if (!isfinite(value)) continue;
    OK(moon_value_number(text, (size_t)sprintf(text, "%.17g", value), &got) ? moon_ok() : moon_fail(MOON_EFORMAT, "%s", text));
    assert_memory_equal(&got, &value, 8);
  }
}

static void what_is_no_number(void **state) {
  (void)state;
  static const char *const texts[] = {"",    "+",     "-",     ".",     "-.",    "e5",     "1e",  "1e+",      "--1",
                                      "+-1", "1.2.3", "1,5",   "0x1f",  "nan",   "NaN",    "inf", "infinity", "-inf",
                                      " 1",  "1 ",    "1_000", "1e5.5", "1e999", "-1e999", "1d5", "\xd9\xa1"};
  double number;
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    if (moon_value_number(texts[i], strlen(texts[i]), &number)) fail_msg("'%s' was taken for a number", texts[i]);
  assert_true(moon_value_number(".5", 2, &number) && number == 0.5);
  assert_true(moon_value_number("5.", 2, &number) && number == 5);
  assert_true(moon_value_number("1e-999", 6, &number) && number == 0);
  assert_true(moon_value_number("12345", 3, &number) && number == 123); /* n bytes, not up to a zero */
  char zeros[500];
  memset(zeros, '0', sizeof zeros);
  assert_false(moon_value_number(zeros, 500, &number)); /* nobody writes that */
}

/* A host program may speak a language with a decimal comma; a file does not change with it. */
static void numbers_do_not_depend_on_the_locale(void **state) {
  (void)state;
  static const char *const names[] = {"de_DE.UTF-8", "nl_NL.UTF-8", "fr_FR.UTF-8", "de_DE.utf8", "nl_NL"};
  size_t i = 0;
  while (i < 5 && !setlocale(LC_NUMERIC, names[i])) i++;
  if (i == 5) skip(); /* none is installed here */
  double number;
  assert_true(moon_value_number("0.1234567890123456789", 21, &number) && number == 0.1234567890123456789);
  assert_false(moon_value_number("0,1234567890123456789", 21, &number));
  setlocale(LC_NUMERIC, "C");
}

static void integers_agree_with_the_library(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 3, 0);
  static const char *const edges[] = {"0",
                                      "-0",
                                      "+0",
                                      "9223372036854775807",
                                      "-9223372036854775807",
                                      "9223372036854775808",
                                      "-9223372036854775808",
                                      "-9223372036854775809",
                                      "00000000000000000000000000000001",
                                      "18446744073709551616",
                                      "92233720368547758070",
                                      "",
                                      "+",
                                      "-",
                                      "1.0",
                                      "1e3",
                                      " 1",
                                      "1 ",
                                      "0x1"};
  for (int i = 0; i < 200000; i++) {
    char text[80], *end;
    size_t n = 0, edge = sizeof edges / sizeof *edges;
    if ((size_t)i < edge) {
      n = (size_t)sprintf(text, "%s", edges[i]);
    } else {
      if (moon_rng_below(&rng, 3) == 0) text[n++] = "+-"[moon_rng_below(&rng, 2)];
      for (unsigned digits = moon_rng_below(&rng, 21); digits; digits--) text[n++] = (char)('0' + moon_rng_below(&rng, 10));
      text[n] = 0;
    }
    errno = 0;
    long long expected = strtoll(text, &end, 10);
    bool fine = n && text[0] != ' ' && end != text && !*end && !errno && expected != INT64_MIN;
    int64_t got = 77;
    if (moon_value_integer(text, n, &got) != fine) fail_msg("'%s' is %san integer", text, fine ? "" : "not ");
    assert_true(got == (fine ? expected : 77));
  }
}

static void times_in_every_unit(void **state) {
  (void)state;
  static const struct {
    const char *text;
    moon_time_unit unit, then;
    int64_t expected;
  } cases[] = {{"0", MOON_UNIT_AUTO, MOON_UNIT_S, 0},
               {"99999999999", MOON_UNIT_AUTO, MOON_UNIT_S, INT64_C(99999999999000000)},
               {"100000000000", MOON_UNIT_AUTO, MOON_UNIT_MS, INT64_C(100000000000000)},
               {"99999999999999", MOON_UNIT_AUTO, MOON_UNIT_MS, INT64_C(99999999999999000)},
               {"100000000000000", MOON_UNIT_AUTO, MOON_UNIT_US, INT64_C(100000000000000)},
               {"-1700000000000", MOON_UNIT_AUTO, MOON_UNIT_MS, INT64_C(-1700000000000000)},
               {"1.7e9", MOON_UNIT_AUTO, MOON_UNIT_S, INT64_C(1700000000000000)},
               {"1700000000.1234565", MOON_UNIT_AUTO, MOON_UNIT_S, INT64_C(1700000000123457)},
               {"5.0004", MOON_UNIT_MS, MOON_UNIT_MS, 5000},
               {"-0.5", MOON_UNIT_S, MOON_UNIT_S, -500000},
               {"9223372036854", MOON_UNIT_S, MOON_UNIT_S, INT64_C(9223372036854000000)},
               {"2026-11-24", MOON_UNIT_AUTO, MOON_UNIT_AUTO, INT64_C(1795478400000000)}, /* says nothing about numbers */
               {"1234567890", MOON_UNIT_S, MOON_UNIT_S, INT64_C(1234567890000000)},
               {"123e-00002", MOON_UNIT_S, MOON_UNIT_S, 1230000}}; /* a dash in the fifth place does not make a date */
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    moon_time_unit unit = cases[i].unit;
    int64_t got = 0;
    if (!moon_value_time(cases[i].text, strlen(cases[i].text), &unit, &got) || got != cases[i].expected || unit != cases[i].then)
      fail_msg("%s: %lld, unit %d", cases[i].text, (long long)got, unit);
  }
  static const char *const bad[] = {"",      "-",    "now",        "9223372036855", "-9223372036855",
                                    "1e300", "1e13", "2026-13-01", "2026-11-24T",   "nan"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    moon_time_unit unit = MOON_UNIT_S;
    int64_t got;
    if (moon_value_time(bad[i], strlen(bad[i]), &unit, &got)) fail_msg("'%s' was taken for a time", bad[i]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(numbers_are_the_nearest_doubles),
                                     cmocka_unit_test(short_texts_are_read_as_the_library_does), cmocka_unit_test(printed_doubles_come_back),
                                     cmocka_unit_test(what_is_no_number),
                                     cmocka_unit_test(numbers_do_not_depend_on_the_locale),
                                     cmocka_unit_test(integers_agree_with_the_library),
                                     cmocka_unit_test(times_in_every_unit)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_base_json.c - what goes out is JSON, whatever came in. */
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <jansson.h>

#include "base/base.h"

static void assert_json(const char *text, size_t n, const char *want) {
  moon_buf out = {0};
  moon_json_text(&out, text, n);
  assert_string_equal(out.data, want);
  moon_buf_free(&out);
}

static void texts_are_escaped(void **state) {
  (void)state;
  assert_json("", 0, "\"\"");
  assert_json("plain", 5, "\"plain\"");
  assert_json("a\"b\\c\n\t\r\b\f\x01\x1f\x7f", 13, "\"a\\\"b\\\\c\\n\\t\\r\\b\\f\\u0001\\u001f\x7f\"");
  assert_json("\xe2\x82\xac \xf0\x9f\x8c\x99", 8, "\"\xe2\x82\xac \xf0\x9f\x8c\x99\"");
  assert_json(
      "a\xff"
      "b\xe2\x82",
      5,
      "\"a\xef\xbf\xbd"
      "b\xef\xbf\xbd\xef\xbf\xbd\"");
  assert_json("\xc0\x80\xed\xa0\x80", 5, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
}

static void any_bytes_become_json_and_valid_ones_come_back(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 5, 1);
  for (int round = 0; round < 20000; round++) {
    char bytes[40];
    size_t n = moon_rng_below(&rng, sizeof bytes);
    bool ascii = round % 2;
    for (size_t i = 0; i < n; i++) bytes[i] = (char)(ascii ? 1 + moon_rng_below(&rng, 127) : moon_rng_below(&rng, 256));
    moon_buf out = {0};
    moon_json_text(&out, bytes, n);
    json_t *back = json_loadb(out.data, out.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    assert_non_null(back);
    if (moon_utf8_prefix(bytes, n) == n) {
      assert_int_equal(json_string_length(back), n);
      assert_memory_equal(json_string_value(back), bytes, n);
    } else {
      assert_false(ascii);
    }
    json_decref(back);
    moon_buf_free(&out);
  }
}

static void numbers_come_back_the_same(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 6, 1);
  moon_buf out = {0};
  moon_json_number(&out, 12.34); /* in as few digits as do */
  moon_json_number(&out, NAN);
  moon_json_number(&out, -INFINITY);
  moon_json_number(&out, 1.0 / 3);
  assert_string_equal(out.data, "12.34nullnull0.3333333333333333");
  for (int round = 0; round < 10000; round++) {
    uint64_t bits = moon_rng_u64(&rng);
    double value;
    memcpy(&value, &bits, sizeof value);
    if (round % 2) value = round * 1.37e-3 * (1 + round % 99999); /* what catalogues hold, too */
    if (!isfinite(value)) continue;
    moon_buf_reset(&out);
    moon_json_number(&out, value);
    assert_true(strtod(out.data, NULL) == value);
  }
  moon_buf_free(&out);
}

static void integers_and_null_are_json(void **state) {
  (void)state;
  moon_buf out = {0};
  moon_json_integer(&out, INT64_MIN);
  moon_json_integer(&out, 0);
  moon_json_integer(&out, INT64_MAX);
  moon_json_string(&out, NULL);
  assert_string_equal(out.data, "-922337203685477580809223372036854775807null");
  moon_buf_free(&out);
}

static void scores_are_those_of_printf(void **state) {
  (void)state;
  static const float edges[] = {999999.5f, 999999.44f, 99999.95f, 9.999996f, 0.9999996f, 0.1f, 1e-4f, 9.99999e-5f, -0.5f, 1e10f, 0};
  moon_rng rng;
  moon_rng_seed(&rng, 8, 1);
  moon_buf out = {0};
  for (size_t round = 0; round < 20000; round++) {
    double power = pow(10, (double)moon_rng_below(&rng, 24) - 10);
    float score = round < sizeof edges / sizeof *edges ? edges[round] : (float)((moon_rng_uniform(&rng) - 0.3) * power);
    char want[32];
    snprintf(want, sizeof want, "%.*g", fabsf(score) < 1e15f && score == truncf(score) ? 16 : 6, (double)score);
    moon_buf_reset(&out);
    moon_json_score(&out, score);
    if (strtod(out.data, NULL) != strtod(want, NULL)) fail_msg("%s, not %s", out.data, want);
    if (!strchr(want, 'e')) assert_string_equal(out.data, want);
  }
  moon_buf_free(&out);
}

static void numbers_do_not_follow_the_locale(void **state) {
  (void)state;
  if (!setlocale(LC_NUMERIC, "de_DE.UTF-8") && !setlocale(LC_NUMERIC, "fr_FR.UTF-8")) skip();
  char text[32];
  moon_number_text(0.5, 6, text);
  setlocale(LC_NUMERIC, "C");
  assert_string_equal(text, "0.5");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(texts_are_escaped),          cmocka_unit_test(any_bytes_become_json_and_valid_ones_come_back),
      cmocka_unit_test(numbers_come_back_the_same), cmocka_unit_test(integers_and_null_are_json),
      cmocka_unit_test(scores_are_those_of_printf), cmocka_unit_test(numbers_do_not_follow_the_locale),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

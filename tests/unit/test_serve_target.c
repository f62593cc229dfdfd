/* test_serve_target.c - addresses: what decodes, what is refused, and that any bytes end in one or the other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "serve/target.h"

static moon_status parse(const char *text, moon_arena *arena, moon_target *out) {
  moon_arena_reset(arena);
  return moon_target_parse(text, arena, out);
}

static void assert_path(const char *text, const char *path, size_t params, const char *name, const char *value) {
  moon_arena arena = {0};
  moon_target target;
  moon_status status = parse(text, &arena, &target);
  if (status.code) fail_msg("%s: %s", text, status.message);
  assert_string_equal(target.path, path);
  assert_int_equal(target.param_n, params);
  if (params) assert_string_equal(target.params[params - 1].name, name);
  if (params) assert_string_equal(target.params[params - 1].value, value);
  moon_arena_free(&arena);
}

static void addresses_decode(void **state) {
  (void)state;
  assert_path("/", "/", 0, "", "");
  assert_path("/v1/page/home?user=u1", "/v1/page/home", 1, "user", "u1");
  assert_path("/a%20b/%e2%82%ac?x=1&user=a%2Bb+c%26", "/a b/\xe2\x82\xac", 2, "user", "a+b c&");
  assert_path("/a+b", "/a+b", 0, "", "");
  assert_path("/p?flag", "/p", 1, "flag", "");
  assert_path("/p?=v", "/p", 1, "", "v");
  assert_path("/p?a=b=c", "/p", 1, "a", "b=c");
  assert_path("/p?&&a=1&#frag", "/p", 1, "a", "1");
  assert_path("/p#frag?a=1", "/p", 0, "", "");
  assert_path("http://shop:80/p?a=1", "/p", 1, "a", "1");
  assert_path("http://shop", "/", 0, "", "");
  assert_path("https://shop?a=1", "/", 1, "a", "1");
}

static void what_is_not_text_is_refused(void **state) {
  (void)state;
  static const struct {
    const char *text, *says;
  } bad[] = {{"/%", "percent"},
             {"/%4", "percent"},
             {"/%zz", "percent"},
             {"/p?a=%", "percent"},
             {"/p?%g0=1", "percent"},
             {"/%00", "zero"},
             {"/p?a=x%00y", "zero"},
             {"/%ff", "UTF-8"},
             {"/%c0%af", "UTF-8"},
             {"/p?u=%ed%a0%80", "UTF-8"},
             {"/p?u=%f5%80%80%80", "UTF-8"},
             {"*", "begin with /"},
             {"host:443", "begin with /"}};
  moon_arena arena = {0};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    moon_target target = {.path = "before"};
    moon_status status = parse(bad[i].text, &arena, &target);
    if (status.code != MOON_EFORMAT || !strstr(status.message, bad[i].says))
      fail_msg("%s: %d %s", bad[i].text, status.code, status.message);
    assert_string_equal(target.path, "before");
  }
  moon_arena_free(&arena);
}

static void parameters_are_counted_and_taken_once(void **state) {
  (void)state;
  char text[1024] = "/p?";
  moon_arena arena = {0};
  moon_target target;
  for (int i = 0; i < MOON_TARGET_PARAMS; i++) sprintf(text + strlen(text), "a%d=%d&", i, i);
  assert_int_equal(parse(text, &arena, &target).code, MOON_OK);
  assert_int_equal(target.param_n, MOON_TARGET_PARAMS);
  const char *value = NULL, *none = NULL;
  assert_int_equal(moon_target_take(&target, "a7", &value).code, MOON_OK);
  assert_string_equal(value, "7");
  assert_int_equal(target.param_n, MOON_TARGET_PARAMS - 1);
  assert_int_equal(moon_target_take(&target, "a7", &none).code, MOON_OK);
  assert_null(none);
  strcat(text, "one=too-many");
  assert_int_equal(parse(text, &arena, &target).code, MOON_ELIMIT);
  assert_int_equal(parse("/p?u=1&v=2&u=3", &arena, &target).code, MOON_OK);
  assert_int_equal(moon_target_take(&target, "u", &value).code, MOON_EINVAL);
  moon_arena_free(&arena);
}

static void random_addresses_are_text_or_refused(void **state) {
  (void)state;
  static const char spice[] = "%%%&&==+?#/0123456789abcdefF\xe2\x82\xac\xff:";
  moon_arena arena = {0};
  moon_rng rng;
  moon_rng_seed(&rng, 3, 1);
  size_t fine = 0;
  for (int round = 0; round < 50000; round++) {
    char text[64] = "/";
    size_t n = 1 + moon_rng_below(&rng, 30);
    for (size_t i = 1; i < n; i++) text[i] = spice[moon_rng_below(&rng, sizeof spice - 1)];
    moon_target target;
    if (parse(text, &arena, &target).code) continue;
    fine++;
    assert_int_equal(moon_utf8_prefix(target.path, strlen(target.path)), strlen(target.path));
    for (size_t i = 0; i < target.param_n; i++)
      assert_int_equal(moon_utf8_prefix(target.params[i].value, strlen(target.params[i].value)), strlen(target.params[i].value));
  }
  assert_true(fine > 1000 && fine < 49000);
  moon_arena_free(&arena);
}

static void no_memory_is_said(void **state) {
  (void)state;
  moon_arena arena = {0};
  moon_target target;
  moon_alloc_fail_at(1);
  assert_int_equal(moon_target_parse("/p?a=b", &arena, &target).code, MOON_ENOMEM);
  moon_alloc_fail_at(0);
  moon_arena_free(&arena);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(addresses_decode),
      cmocka_unit_test(what_is_not_text_is_refused),
      cmocka_unit_test(parameters_are_counted_and_taken_once),
      cmocka_unit_test(random_addresses_are_text_or_refused),
      cmocka_unit_test(no_memory_is_said),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

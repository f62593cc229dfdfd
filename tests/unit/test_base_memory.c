/* Status, allocation, arenas, buffers and texts: what every room relies on without looking. */
#include "unit/exhaust.h"

#include <stdlib.h>

/* ---- status ------------------------------------------------------------------------------------------------------------- */

static void status_says_what_failed(void **state) {
  (void)state;
  moon_status s = moon_fail(MOON_ENOTFOUND, "no %s in %d", "fish", 7);
  assert_int_equal(s.code, MOON_ENOTFOUND);
  assert_string_equal(s.message, "no fish in 7");
  s = moon_wrap(s, "pond %d", 3);
  assert_int_equal(s.code, MOON_ENOTFOUND);
  assert_string_equal(s.message, "pond 3: no fish in 7");
  assert_int_equal(moon_wrap(moon_ok(), "pond").code, MOON_OK);
  assert_string_equal(moon_code_name(MOON_EFORMAT), "format error");
  assert_string_equal(moon_code_name((moon_code)99), "unknown");
  assert_string_equal(moon_code_name((moon_code)-1), "unknown");
}

static void long_messages_keep_their_beginning(void **state) {
  (void)state;
  char text[2000];
  memset(text, 'x', sizeof text);
  text[sizeof text - 1] = 0;
  for (int cut = 490; cut < 510; cut++) {
    moon_status s = moon_fail(MOON_EINVAL, "recipe.lua:3: %.*s", cut, text);
    size_t n = strlen(s.message), whole = 14 + (size_t)cut;
    assert_int_equal(n, whole < sizeof s.message ? whole : sizeof s.message - 1);
    assert_memory_equal(s.message, "recipe.lua:3: xxx", 17);
    assert_string_equal(s.message + n - 3, whole < sizeof s.message ? "xxx" : "...");
    s = moon_wrap(moon_fail(MOON_EINVAL, "%s", text), "%s", text);
    assert_int_equal(strlen(s.message), sizeof s.message - 1);
  }
}

static void messages_are_fit_for_json_and_terminals(void **state) {
  (void)state;
  moon_status s = moon_fail(MOON_EFORMAT, "'a\xff\x1b[31m\xc3\xa9\x01' a\tb\nc");
  assert_string_equal(s.message, "'a??[31m\xc3\xa9?' a\tb\nc");
  char text[1200] = ""; /* a two-byte character at every place where the message may be cut */
  for (int shift = 0; shift < 2; shift++) {
    size_t n = 0;
    if (shift) text[n++] = 'x';
    while (n < 1000) n += (size_t)sprintf(text + n, "\xc3\xa9");
    s = moon_fail(MOON_EFORMAT, "%s", text);
    assert_int_equal(moon_utf8_prefix(s.message, strlen(s.message)), strlen(s.message));
  }
}

/* ---- UTF-8 --------------------------------------------------------------------------------------------------------------- */

static void utf8_knows_its_edges(void **state) {
  (void)state;
  static const struct {
    const char *text;
    size_t n, good;
  } cases[] = {{"", 0, 0},
               {"abc", 3, 3},
               {"a\0b", 3, 1},
               {"\xc3\xa9", 2, 2},
               {"\xc3", 1, 0},
               {"\xc0\x80", 2, 0},
               {"\xc1\xbf", 2, 0},
               {"\xc2\x80", 2, 2},
               {"\xe0\x80\x80", 3, 0},
               {"\xe0\x9f\xbf", 3, 0},
               {"\xe0\xa0\x80", 3, 3},
               {"\xed\x9f\xbf", 3, 3},
               {"\xed\xa0\x80", 3, 0} /* a surrogate */,
               {"\xef\xbf\xbf", 3, 3},
               {"\xf0\x8f\xbf\xbf", 4, 0},
               {"\xf0\x90\x80\x80", 4, 4},
               {"\xf4\x8f\xbf\xbf", 4, 4},
               {"\xf4\x90\x80\x80", 4, 0},
               {"\xf5\x80\x80\x80", 4, 0},
               {"\x80", 1, 0},
               {"\xff", 1, 0},
               {"\xe2\x82\xac!", 4, 4},
               {"\xe2\x82", 2, 0},
               {"12345678", 8, 8},
               {"1234567\0", 8, 7},
               {"\0"
                "1234567",
                8, 0},
               {"12345678\x80", 9, 8},
               {"1234567\xc3\xa9", 9, 9},
               {"\x7f\x01\x7f\x01\x7f\x01\x7f\x01", 8, 8}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    if (moon_utf8_prefix(cases[i].text, cases[i].n) != cases[i].good)
      fail_msg("case %zu: %zu", i, moon_utf8_prefix(cases[i].text, cases[i].n));
}

/* Every code point, encoded by the book, is accepted at every offset; surrogates are not. */
static void utf8_accepts_every_character(void **state) {
  (void)state;
  for (uint32_t c = 1; c < 0x110000; c += c < 0x3000 ? 1 : 37) {
    char text[16] = "abcdefghijkl";
    size_t at = c % 9, n = 0;
    if (c < 0x80)
      text[at + n++] = (char)c;
    else if (c < 0x800)
      text[at + n++] = (char)(0xc0 | c >> 6), text[at + n++] = (char)(0x80 | (c & 63));
    else if (c < 0x10000)
      text[at + n++] = (char)(0xe0 | c >> 12), text[at + n++] = (char)(0x80 | (c >> 6 & 63)),
                text[at + n++] = (char)(0x80 | (c & 63));
    else
      text[at + n++] = (char)(0xf0 | c >> 18), text[at + n++] = (char)(0x80 | (c >> 12 & 63)),
                text[at + n++] = (char)(0x80 | (c >> 6 & 63)), text[at + n++] = (char)(0x80 | (c & 63));
    bool surrogate = c >= 0xd800 && c < 0xe000;
    assert_int_equal(moon_utf8_prefix(text, at + n), surrogate ? at : at + n);
    if (n > 1) assert_int_equal(moon_utf8_prefix(text, at + n - 1), at); /* cut short */
  }
}

/* ---- memory ------------------------------------------------------------------------------------------------------------- */

static void the_nth_allocation_fails_and_all_after_it(void **state) {
  (void)state;
  moon_alloc_fail_at(2);
  void *first = moon_alloc(1);
  assert_non_null(first);
  assert_null(moon_alloc(1));
  assert_null(moon_calloc(1, 1));
  assert_null(moon_alloc_aligned(1));
  assert_null(moon_realloc(NULL, 1));
  assert_null(moon_strdup("x"));
  moon_alloc_fail_at(0);
  void *again = moon_alloc(0);
  assert_non_null(again); /* zero bytes are not "no memory" */
  moon_free(first);
  moon_free(again);
  moon_free(NULL);
}

static void aligned_memory_is_aligned_and_zero(void **state) {
  (void)state;
  for (size_t n = 0; n < 300; n += 7) {
    unsigned char *memory = moon_alloc_aligned(n);
    assert_int_equal((uintptr_t)memory % 64, 0);
    for (size_t i = 0; i < n; i++) assert_int_equal(memory[i], 0);
    moon_free(memory);
  }
  assert_null(moon_alloc_aligned(SIZE_MAX));
}

static void grow_keeps_what_is_there(void **state) {
  (void)state;
  uint32_t *items = NULL;
  size_t cap = 0;
  for (uint32_t i = 0; i < 1000; i++) {
    OK(moon_grow(&items, &cap, i + 1, sizeof *items));
    assert_true(cap > i);
    items[i] = i;
  }
  assert_true(cap <= 2000);
  for (uint32_t i = 0; i < 1000; i++) assert_int_equal(items[i], i);
  uint32_t *held = items;
  size_t held_cap = cap;
  REFUSED(MOON_ENOMEM, "no memory", moon_grow(&items, &cap, SIZE_MAX / 3, sizeof *items));
  REFUSED(MOON_ENOMEM, "no memory", moon_grow(&items, &cap, SIZE_MAX, 1));
  moon_alloc_fail_at(1);
  REFUSED(MOON_ENOMEM, "no memory", moon_grow(&items, &cap, 5000, sizeof *items));
  moon_alloc_fail_at(0);
  assert_ptr_equal(items, held);
  assert_int_equal(cap, held_cap);
  moon_free(items);
}

static void strndup_copies_exactly(void **state) {
  (void)state;
  char *copy = moon_strndup("abcdef", 3);
  assert_string_equal(copy, "abc");
  moon_free(copy);
}

/* ---- arena --------------------------------------------------------------------------------------------------------------- */

static void arena_pieces_are_aligned_and_apart(void **state) {
  (void)state;
  moon_arena arena = {0};
  moon_rng rng;
  moon_rng_seed(&rng, 1, 1);
  enum { PIECES = 2000 };
  static struct {
    unsigned char *at;
    size_t n;
  } pieces[PIECES];
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < PIECES; i++) {
      size_t n = moon_rng_below(&rng, i % 100 == 0 ? 100000 : 200);
      bool aligned = moon_rng_below(&rng, 2);
      pieces[i].at = aligned ? moon_arena_alloc_aligned(&arena, n) : moon_arena_alloc(&arena, n);
      pieces[i].n = n;
      assert_non_null(pieces[i].at);
      assert_int_equal((uintptr_t)pieces[i].at % (aligned ? 64 : 16), 0);
      memset(pieces[i].at, i & 0xff, n);
    }
    for (int i = 0; i < PIECES; i++)
      for (size_t k = 0; k < pieces[i].n; k++)
        if (pieces[i].at[k] != (i & 0xff)) fail_msg("piece %d was overwritten", i);
    moon_arena_reset(&arena);
  }
  moon_arena_free(&arena);
  assert_null(arena.head);
  moon_arena_free(&arena);
}

static void arena_stops_allocating_after_a_few_rounds(void **state) {
  (void)state;
  moon_arena arena = {0};
  for (int round = 0; round < 5; round++) {
    if (round == 3) moon_alloc_fail_at(1);
    for (int i = 0; i < 100; i++) assert_non_null(moon_arena_alloc(&arena, 1000));
    moon_arena_reset(&arena);
    assert_int_equal(arena.used_total, 0);
  }
  moon_alloc_fail_at(0);
  moon_arena_free(&arena);
}

static void arena_texts(void **state) {
  (void)state;
  moon_arena arena = {0};
  assert_string_equal(moon_arena_strdup(&arena, "abc"), "abc");
  assert_string_equal(moon_arena_printf(&arena, "%s-%d", "x", 5), "x-5");
  unsigned char *zeros = moon_arena_calloc(&arena, 100);
  for (int i = 0; i < 100; i++) assert_int_equal(zeros[i], 0);
  assert_null(moon_arena_alloc(&arena, SIZE_MAX));
  assert_null(moon_arena_alloc(&arena, SIZE_MAX / 3));
  moon_alloc_fail_at(1);
  assert_null(moon_arena_alloc(&arena, 1 << 20));
  moon_alloc_fail_at(0);
  assert_string_equal(moon_arena_strdup(&arena, "still works"), "still works");
  moon_arena_free(&arena);
}

/* ---- buf ----------------------------------------------------------------------------------------------------------------- */

static void buf_is_always_terminated(void **state) {
  (void)state;
  moon_buf buf = {0};
  moon_buf_puts(&buf, "");
  assert_string_equal(buf.data, "");
  for (int i = 0; i < 1000; i++) {
    moon_buf_printf(&buf, "%d,", i);
    assert_int_equal(strlen(buf.data), buf.n);
  }
  moon_buf_add(&buf, "a\0b", 3);
  assert_memory_equal(buf.data + buf.n - 3, "a\0b", 4);
  moon_buf_reset(&buf);
  assert_int_equal(buf.n, 0);
  assert_string_equal(buf.data, "");
  moon_buf_free(&buf);
  assert_null(buf.data);
}

static void buf_failure_latches(void **state) {
  (void)state;
  moon_buf buf = {0};
  moon_buf_puts(&buf, "kept");
  moon_alloc_fail_at(1);
  for (int i = 0; i < 100; i++) moon_buf_puts(&buf, "more and more");
  moon_alloc_fail_at(0);
  assert_true(buf.failed);
  moon_buf_puts(&buf, "x");
  moon_buf_printf(&buf, "%d", 1);
  assert_true(buf.failed);
  assert_memory_equal(buf.data, "kept", 4);
  moon_buf_reset(&buf);
  moon_buf_puts(&buf, "fine");
  assert_false(buf.failed);
  moon_buf_free(&buf);
  moon_buf_add(&buf, "x", SIZE_MAX / 2);
  assert_true(buf.failed);
  moon_buf_free(&buf);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(status_says_what_failed),
                                     cmocka_unit_test(long_messages_keep_their_beginning),
                                     cmocka_unit_test(messages_are_fit_for_json_and_terminals),
                                     cmocka_unit_test(utf8_knows_its_edges),
                                     cmocka_unit_test(utf8_accepts_every_character),
                                     cmocka_unit_test(the_nth_allocation_fails_and_all_after_it),
                                     cmocka_unit_test(aligned_memory_is_aligned_and_zero),
                                     cmocka_unit_test(grow_keeps_what_is_there),
                                     cmocka_unit_test(strndup_copies_exactly),
                                     cmocka_unit_test(arena_pieces_are_aligned_and_apart),
                                     cmocka_unit_test(arena_stops_allocating_after_a_few_rounds),
                                     cmocka_unit_test(arena_texts),
                                     cmocka_unit_test(buf_is_always_terminated),
                                     cmocka_unit_test(buf_failure_latches)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_text_wordpiece.c - BERT's tokenizer: cases worked out from its description, and promises that hold for any bytes. */
#include "exhaust.h"
#include "text/text.h"

static const char vocab[] =
    "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nun\n##aff\n##able\nthe\n##s\na\n##a\n,\n.\n!\n$\nnaive\nna\n\xc3\xafve\n\xe6\x97\xa5\n\xe6\x9c\xac\n"
    "Un\nred\n##d\nre\ni\xcc\x87\n\xcf\x83\n\xe4\xb8\x8d\n-\nb\n";
enum { PAD, UNKNOWN, CLS, SEP, MASK, UN, AFF, ABLE, THE, S, A, AA, COMMA, DOT, BANG, DOLLAR, NAIVE, NA, IVE, SUN, BOOK, UPPER_UN, RED, D, RE, DOTTED_I, SIGMA,
       NOT, DASH, B, TOKENS };

static moon_wordpiece *make(const char *json) {
  moon_wordpiece_options how;
  moon_wordpiece *w;
  OK(moon_wordpiece_configure(json, strlen(json), &how));
  OK(moon_wordpiece_new(vocab, sizeof vocab - 1, &how, &w));
  assert_int_equal(moon_wordpiece_size(w), TOKENS);
  return w;
}

#define CUT(json, text, ...) cut(json, text, sizeof(text) - 1, (uint32_t[]){CLS, __VA_ARGS__, SEP}, sizeof((uint32_t[]){CLS, __VA_ARGS__, SEP}) / sizeof(uint32_t))
static void cut(const char *json, const char *text, size_t n, const uint32_t *want, size_t count) {
  uint32_t ids[64];
  moon_wordpiece *w = make(json);
  size_t got = moon_wordpiece_encode(w, text, n, ids, 64);
  for (size_t i = 0; i < got && i < count; i++)
    if (ids[i] != want[i]) fail_msg("\"%s\": token %zu is %u, not %u", text, i, ids[i], want[i]);
  if (got != count) fail_msg("\"%s\": %zu tokens, not %zu", text, got, count);
  moon_wordpiece_free(w);
}

static void words_are_cut_into_the_longest_pieces(void **state) {
  (void)state;
  CUT("", "unaffable", UN, AFF, ABLE);
  CUT("", "  The\tREDs\n", THE, RED, S);
  CUT("", "redx", UNKNOWN); /* the whole word, not its known part */
  CUT("", "aaa a", A, AA, AA, A);
  CUT("", "a,the!$.", A, COMMA, THE, BANG, DOLLAR, DOT);
  CUT("", "\xe2\x80\x94 a", UNKNOWN, A); /* a dash that nobody knows is a word */
  cut("", "", 0, (uint32_t[]){CLS, SEP}, 2);
}

static void characters_are_cleaned_as_bert_does(void **state) {
  (void)state;
  CUT("", "na\xc3\xafve nai\xcc\x88ve", NAIVE, NAIVE);                         /* composed and not */
  CUT("", "\xe6\x97\xa5\xe6\x9c\xac" "a", SUN, BOOK, A);                       /* each a word */
  CUT("", "\xef\xa5\xa7", NOT);                                                /* U+F967 is U+4E0D where accents go */
  CUT("", "r\x01" "e\xc2\xad" "d\xe2\x80\x8b th\xef\xbf\xbd" "e", RED, THE);   /* control, soft hyphen, zero width, U+FFFD */
  CUT("", "a\xc2\xa0" "a\xe2\x80\xa8" "a\xe3\x80\x80" "a", A, A, A, A);        /* no-break, line separator, wide */
  CUT("", "re\xff\xc3(d", RE, UNKNOWN, UNKNOWN);                               /* broken bytes are passed over, "(" and "d" are not */
  CUT("", "a\0a", A, AA);
  CUT("", "\xce\xa3", SIGMA);
  CUT("{\"strip_accents\": false}", "\xc4\xb0", DOTTED_I);                     /* U+0130 becomes two */
  CUT("{\"strip_accents\": false}", "NA\xc3\x8fVE na", UNKNOWN, NA);
  CUT("{\"do_lower_case\": false}", "Un THE un \xc3\xafve", UPPER_UN, UNKNOWN, UN, IVE);
  CUT("{\"tokenize_chinese_chars\": false, \"model_max_length\": 1000000000000000019884624838656}", "\xe6\x97\xa5\xe6\x9c\xac", UNKNOWN);
}

static void names_of_tokens_are_tokens(void **state) {
  (void)state;
  CUT("", "[SEP]the[MASK][UNK] [PAD]", SEP, THE, MASK, UNKNOWN, PAD);
  CUT("", "[sep]", UNKNOWN, UNKNOWN, UNKNOWN);
  CUT("", "a[SEP", A, UNKNOWN, UNKNOWN);
}

static void a_word_of_over_100_characters_is_unknown(void **state) {
  (void)state;
  char text[600];
  uint32_t ids[200];
  moon_wordpiece *w = make("");
  for (size_t n = 99; n < 103; n++) {
    for (size_t i = 0; i < n; i++) memcpy(text + 2 * i, "\xc3\xa0", 2); /* two bytes each: characters count */
    size_t got = moon_wordpiece_encode(w, text, 2 * n, ids, 200);
    assert_int_equal(got, n <= 100 ? n + 2 : 3);
    assert_int_equal(ids[1], n <= 100 ? A : UNKNOWN);
  }
  moon_wordpiece_free(w);
}

static void what_is_too_long_is_cut_behind(void **state) {
  (void)state;
  uint32_t all[64], some[64];
  moon_wordpiece *w = make("");
  static const char text[] = "unaffable the, a red[MASK] aaa";
  size_t n = moon_wordpiece_encode(w, text, sizeof text - 1, all, 64);
  for (size_t most = 2; most < n + 3; most++) {
    some[most] = 0xabcd;
    size_t got = moon_wordpiece_encode(w, text, sizeof text - 1, some, most);
    assert_int_equal(got, most < n ? most : n);
    assert_memory_equal(some, all, (got - 1) * sizeof *all);
    assert_int_equal(some[got - 1], SEP);
    assert_int_equal(some[most], 0xabcd);
  }
  moon_wordpiece_free(w);
}

/* Whatever the bytes: framed, in range, the same again, and blanks around change nothing. */
static void any_bytes_are_tokens(void **state) {
  (void)state;
  static const char *const parts[] = {"un", "aff", "[SEP]", "\xe6\x97\xa5", "i\xcc\x88", "\xff", " ", ",", "\xf0\x9f\x98\x80", "\xed\xa0\x80", "\xc4\xb0", "the", "\xed\x95\x9c"};
  moon_rng rng;
  moon_rng_seed(&rng, 5, 0);
  moon_wordpiece *w = make("");
  for (int round = 0; round < 20000; round++) {
    char text[400];
    uint32_t ids[50], again[50];
    size_t n = 1;
    text[0] = ' ';
    for (uint32_t k = moon_rng_below(&rng, 24); k; k--) {
      const char *part = parts[moon_rng_below(&rng, sizeof parts / sizeof *parts)];
      if (moon_rng_below(&rng, 3)) memcpy(text + n, part, strlen(part)), n += strlen(part);
      else text[n++] = (char)moon_rng_below(&rng, 256);
    }
    size_t most = 2 + moon_rng_below(&rng, 48), got = moon_wordpiece_encode(w, text, n, ids, most);
    assert_true(got >= 2 && got <= most && ids[0] == CLS && ids[got - 1] == SEP);
    for (size_t i = 0; i < got; i++) assert_true(ids[i] < TOKENS);
    assert_int_equal(moon_wordpiece_encode(w, text + 1, n - 1, again, most), got);
    assert_memory_equal(ids, again, got * sizeof *ids);
  }
  moon_wordpiece_free(w);
}

static void a_vocabulary_says_what_it_lacks(void **state) {
  (void)state;
  const moon_wordpiece_options how = {.lower_case = true};
  moon_wordpiece_options read;
  moon_wordpiece *w = (moon_wordpiece *)&read;
  REFUSED(MOON_EFORMAT, "there is no token [UNK]", moon_wordpiece_new("", 0, &how, &w));
  assert_null(w);
  REFUSED(MOON_EFORMAT, "there is no token [SEP]", moon_wordpiece_new("[UNK]\n[CLS]\n", 12, &how, &w));
  static const char lines[] = "[UNK]\r\n[CLS]\r\n\n[SEP]\na\na";
  OK(moon_wordpiece_new(lines, sizeof lines - 1, &how, &w)); /* of equal lines the last counts, and blank ones do */
  uint32_t ids[3];
  assert_int_equal(moon_wordpiece_encode(w, "A", 1, ids, 3), 3);
  assert_int_equal(ids[1], 5), assert_int_equal(ids[2], 3);
  moon_wordpiece_free(w);
  REFUSED(MOON_EFORMAT, "tokenizer_config.json", moon_wordpiece_configure("[1]", 3, &read));
  REFUSED(MOON_EFORMAT, "tokenizer_config.json", moon_wordpiece_configure("{", 1, &read));
}

static moon_status make_one(void *self) {
  (void)self;
  const moon_wordpiece_options how = {.lower_case = true};
  moon_wordpiece *w;
  moon_status status = moon_wordpiece_new(vocab, sizeof vocab - 1, &how, &w);
  moon_wordpiece_free(w);
  return status;
}

static void no_memory_is_said(void **state) {
  (void)state;
  assert_true(exhaust(make_one, NULL) > 2);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(words_are_cut_into_the_longest_pieces), cmocka_unit_test(characters_are_cleaned_as_bert_does),
      cmocka_unit_test(names_of_tokens_are_tokens), cmocka_unit_test(a_word_of_over_100_characters_is_unknown),
      cmocka_unit_test(what_is_too_long_is_cut_behind), cmocka_unit_test(any_bytes_are_tokens),
      cmocka_unit_test(a_vocabulary_says_what_it_lacks), cmocka_unit_test(no_memory_is_said),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

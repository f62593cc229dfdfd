/* test_page_render.c - a page as JSON and as text: golden ones of a tiny shop, hostile catalogues, failing memory. */
#include "page/render.h"
#include "page_shop.h"

typedef struct scene { /* a page made by hand */
  moon_bundle bundle;
  moon_arena arena;
  moon_page_slot slots[2];
  moon_page page;
  moon_request request;
} scene;

static void scene_open(scene *s) {
  *s = (scene){.bundle = {.catalogue = shop_catalogue()}, .request = {.surface = "home", .user = "u1"}};
  for (size_t i = 0; i < 2; i++) {
    s->slots[i] = (moon_page_slot){.name = i ? "more" : "for_you", .title = i ? "More" : "You may like"};
    OK(moon_slate_new(&s->bundle, &s->arena, 4, &s->slots[i].slate));
  }
  s->page = (moon_page){.surface = "home", .slot_count = 2, .slots = s->slots, .micros = 1234};
  moon_slate *first = s->slots[0].slate;
  moon_slate_add(first, 3, 0.25f, MOON_SOURCE_SIMILAR);
  moon_slate_add(first, 7, 7, MOON_SOURCE_POPULAR);
  first->model_score[0] = 0.8125f;
  first->score[0] = 0.934375f;
  moon_slate_note(first, 0, "boost(new)", "new this month (merchandising)", 1.15f, 4, 0);
  moon_slate_note(first, 0, "mmr(brand)", NULL, 0, 0, 1);
  moon_slate_note(first, 0, "boost(x)", NULL, 0.5f, MOON_NONE, MOON_NONE);
  moon_slate_add(s->slots[1].slate, 6, 1e10f, MOON_SOURCE_RECENT);
  s->slots[1].fallback = true;
}

static void scene_close(scene *s) {
  moon_arena_free(&s->arena);
  moon_catalogue_free(s->bundle.catalogue);
}

/* ---- golden */

static void page_json_is_this(void **state) {
  (void)state;
  scene s;
  moon_buf out = {0};
  scene_open(&s);
  OK(moon_page_json(&s.page, &s.request, &out));
  assert_string_equal(out.data,
      "{\"surface\":\"home\",\"user\":\"u1\",\"cold\":false,\"slots\":[{\"name\":\"for_you\",\"title\":\"You may like\",\"items\":["
      "{\"id\":\"i3\",\"score\":0.934375,\"source\":\"similar\",\"product\":\"p3\",\"title\":\"Oak table\",\"category\":\"tables\",\"brand\":\"Acme\","
      "\"price\":199.99,\"stock\":4,\"new\":1,\"added\":\"2026-10-20T00:00:00Z\"},"
      "{\"id\":\"i7\",\"score\":7,\"source\":\"popular\",\"product\":null,\"title\":\"Thing\",\"category\":null,\"brand\":null,"
      "\"price\":5,\"stock\":null,\"new\":null,\"added\":null}]},"
      "{\"name\":\"more\",\"title\":\"More\",\"fallback\":true,\"items\":["
      "{\"id\":\"i6\",\"score\":10000000000,\"source\":\"recent\",\"product\":\"p6\",\"title\":\"Candle\",\"category\":\"lights\",\"brand\":\"Cato\","
      "\"price\":3,\"stock\":70,\"new\":1,\"added\":\"2026-10-25T00:00:00Z\"}]}]}");
  moon_buf_free(&out);
  scene_close(&s);
}

static void page_json_explains_on_request(void **state) {
  (void)state;
  scene s;
  moon_buf out = {0};
  scene_open(&s);
  s.request.explain = true;
  s.request.user = NULL;
  s.page.cold = true;
  s.page.degraded = "slot 'x': \"lua\" failed";
  OK(moon_page_json(&s.page, &s.request, &out));
  assert_non_null(strstr(out.data, "{\"surface\":\"home\",\"user\":null,\"cold\":true,"));
  assert_non_null(strstr(out.data,
      "\"added\":\"2026-10-20T00:00:00Z\",\"why\":\"similar to what you looked at; boosted x1.15: new this month (merchandising); lowered x0.5: boost(x)\","
      "\"explain\":{\"position\":1,\"source\":\"similar\",\"source_score\":0.25,\"model_score\":0.8125,\"effects\":["
      "{\"policy\":\"boost(new)\",\"text\":\"new this month (merchandising)\",\"factor\":1.15,\"from\":5,\"to\":1},"
      "{\"policy\":\"mmr(brand)\",\"from\":1,\"to\":2},{\"policy\":\"boost(x)\",\"factor\":0.5}]}},"));
  assert_non_null(strstr(out.data, "\"why\":\"popular with everybody\",\"explain\":{\"position\":2,\"source\":\"popular\",\"source_score\":7,"
                                   "\"model_score\":null,\"effects\":[]}}"));
  assert_non_null(strstr(out.data, "],\"degraded\":\"slot 'x': \\\"lua\\\" failed\"}"));
  moon_buf_free(&out);
  scene_close(&s);
}

static void page_text_is_this(void **state) {
  (void)state;
  scene s;
  moon_buf out = {0};
  scene_open(&s);
  OK(moon_page_text(&s.page, &s.request, &out));
  assert_string_equal(out.data,
      "home for u1\n"
      "\n"
      "You may like\n"
      "   1. Oak table                                   199.99  tables, Acme                  0.9344  similar\n"
      "   2. Thing                                         5.00                                     7  popular\n"
      "\n"
      "More  (filled up by fallback)\n"
      "   1. Candle                                        3.00  lights, Cato                   1e+10  recent\n");
  moon_buf_reset(&out);
  s.request.explain = true;
  s.request.user = NULL;
  s.page.cold = true;
  s.page.slot_count = 1;
  s.page.degraded = "slot 'x': lua failed";
  OK(moon_page_text(&s.page, &s.request, &out));
  assert_string_equal(out.data,
      "home for a new visitor\n"
      "\n"
      "You may like\n"
      "   1. Oak table                                   199.99  tables, Acme                  0.9344  similar\n"
      "       similar to what you looked at; boosted x1.15: new this month (merchandising); lowered x0.5: boost(x)\n"
      "       similar 0.25, model 0.8125\n"
      "       boost(new) x1.15, 5 -> 1: new this month (merchandising)\n"
      "       mmr(brand), 1 -> 2\n"
      "       boost(x) x0.5\n"
      "   2. Thing                                         5.00                                     7  popular\n"
      "       popular with everybody\n"
      "       popular 7\n"
      "\n"
      "degraded: slot 'x': lua failed\n");
  moon_buf_free(&out);
  scene_close(&s);
}

static void text_of_a_page_with_nothing_says_so(void **state) {
  (void)state;
  scene s;
  moon_buf out = {0};
  scene_open(&s);
  s.page.slot_count = 0;
  s.request.item = "i3";
  OK(moon_page_text(&s.page, &s.request, &out));
  assert_string_equal(out.data, "home for u1, at item i3\n\n(nothing to show)\n");
  moon_buf_reset(&out);
  OK(moon_page_json(&s.page, &s.request, &out));
  assert_string_equal(out.data, "{\"surface\":\"home\",\"user\":\"u1\",\"cold\":false,\"slots\":[]}");
  moon_buf_free(&out);
  scene_close(&s);
}

static void similar_says_to_what(void **state) {
  (void)state;
  scene s;
  char why[MOON_WHY_SIZE];
  scene_open(&s);
  moon_slate *slate = s.slots[0].slate;
  slate->reason[0] = NULL;
  s.request.item = "i3";
  moon_explain_why(slate, 0, &s.request, why);
  assert_string_equal(why, "similar to this item");
  s.request.item = NULL;
  s.request.cart_n = 1;
  moon_explain_why(slate, 0, &s.request, why);
  assert_string_equal(why, "goes with your cart");
  scene_close(&s);
}

/* ---- what a catalogue may hold */

/* A page of one slot with row 0 of this catalogue, as parsed JSON. */
static json_t *render_first(moon_catalogue *catalogue, const moon_request *request) {
  moon_bundle bundle = {.catalogue = catalogue};
  moon_arena arena = {0};
  moon_buf out = {0};
  moon_page_slot slot = {.name = "s", .title = "S"};
  OK(moon_slate_new(&bundle, &arena, 1, &slot.slate));
  moon_slate_add(slot.slate, 0, NAN, MOON_SOURCE_POPULAR);
  moon_page page = {.surface = "home", .slot_count = 1, .slots = &slot};
  OK(moon_page_json(&page, request, &out));
  json_error_t error;
  json_t *json = json_loadb(out.data, out.n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
  if (!json) fail_msg("%s: %s", error.text, out.data);
  moon_buf_reset(&out);
  OK(moon_page_text(&page, request, &out));
  for (size_t i = 0; i < out.n; i++)
    if ((unsigned char)out.data[i] < 0x20 && out.data[i] != '\n') fail_msg("control character %d in the text", out.data[i]);
  moon_buf_free(&out);
  moon_arena_free(&arena);
  return json;
}

static json_t *first_item(json_t *page) {
  return json_array_get(json_object_get(json_array_get(json_object_get(page, "slots"), 0), "items"), 0);
}

static moon_catalogue *one_item(const char *id, const char *const *names, const char *const *values, size_t count) {
  moon_table *table = NULL;
  moon_column *column;
  moon_catalogue *catalogue = NULL;
  OK(moon_table_new("items", &table));
  OK(moon_table_add_column(table, "item", MOON_STRING, &column));
  OK(moon_column_push_string(column, id, strlen(id)));
  for (size_t i = 0; i < count; i++) {
    OK(moon_table_add_column(table, names[i], MOON_STRING, &column));
    OK(moon_column_push_string(column, values[i], strlen(values[i])));
  }
  table->rows = 1;
  OK(moon_catalogue_new(table, &catalogue));
  return catalogue;
}

static void columns_with_our_names_do_not_double_a_key(void **state) {
  (void)state;
  static const char *const names[] = {"id", "score", "source", "why", "explain", "a\"b\\", "title"};
  static const char *const values[] = {"1", "2", "3", "4", "5", "6", "T"};
  moon_catalogue *catalogue = one_item("x", names, values, 7);
  moon_request request = {.surface = "home", .explain = true};
  json_t *page = render_first(catalogue, &request), *item = first_item(page);
  assert_string_equal(json_string_value(json_object_get(item, "id")), "x");
  assert_true(json_is_null(json_object_get(item, "score"))); /* NaN */
  assert_true(json_is_object(json_object_get(item, "explain")));
  assert_string_equal(json_string_value(json_object_get(item, "a\"b\\")), "6");
  json_decref(page);
  moon_catalogue_free(catalogue);
}

static void texts_come_through_whole(void **state) {
  (void)state;
  static const char *const names[] = {"title"};
  static const char *const values[] = {"a\"b\\c/\n\t\r\x01\x1f\x7f d\xc3\xa9j\xc3\xa0 \xe2\x82\xac \xf0\x9f\x98\x80"};
  moon_catalogue *catalogue = one_item("\"x\"", names, values, 1);
  moon_request request = {.surface = "home", .user = "\"u\"\n"};
  json_t *page = render_first(catalogue, &request), *item = first_item(page);
  assert_string_equal(json_string_value(json_object_get(item, "title")), values[0]);
  assert_string_equal(json_string_value(json_object_get(item, "id")), "\"x\"");
  assert_string_equal(json_string_value(json_object_get(page, "user")), "\"u\"\n");
  json_decref(page);
  moon_catalogue_free(catalogue);
}

static void bytes_that_are_no_utf8_become_replacements(void **state) {
  (void)state;
  static const struct {
    const char *bytes, *becomes;
  } cases[] = {
      {"a\xff z", "a\xef\xbf\xbd z"},
      {"\xc3", "\xef\xbf\xbd"},                                         /* cut short */
      {"\xc3(", "\xef\xbf\xbd("},
      {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},                         /* longer than needed */
      {"\xe0\x80\xaf", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
      {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},         /* a surrogate */
      {"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* past U+10FFFF */
      {"\xf4\x8f\xbf\xbf\xee\x80\x80", "\xf4\x8f\xbf\xbf\xee\x80\x80"},
      {"\x80\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
  };
  static const char *const names[] = {"title"};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    moon_catalogue *catalogue = one_item("x", names, &cases[i].bytes, 1);
    moon_request request = {.surface = "home"};
    json_t *page = render_first(catalogue, &request);
    assert_string_equal(json_string_value(json_object_get(first_item(page), "title")), cases[i].becomes);
    json_decref(page);
    moon_catalogue_free(catalogue);
  }
}

static void random_bytes_are_always_json(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 41, 0);
  for (size_t round = 0; round < 2000; round++) {
    char text[3][24];
    const char *names[2] = {text[0], "title"}, *values[2] = {text[1], text[2]};
    for (size_t t = 0; t < 3; t++) {
      size_t n = moon_rng_below(&rng, 23);
      for (size_t i = 0; i < n; i++) text[t][i] = (char)(moon_rng_below(&rng, 2) ? 1 + moon_rng_below(&rng, 255) : 0xc0 + moon_rng_below(&rng, 64));
      text[t][n] = 0;
    }
    if (!strcmp(names[0], "title") || !strcmp(names[0], "item")) continue;
    moon_catalogue *catalogue = one_item(text[1], names, values, 2);
    moon_request request = {.surface = "home", .user = text[2], .explain = true};
    json_decref(render_first(catalogue, &request));
    moon_catalogue_free(catalogue);
  }
}

static void numbers_are_short_and_exact(void **state) {
  (void)state;
  static const struct {
    double value;
    const char *text;
  } cases[] = {{0, "0"},           {-0.0, "0"},         {12999.95, "12999.95"}, {0.1, "0.1"},
               {-7, "-7"},         {1e15, "1e+15"},     {123456789012345, "123456789012345"},
               {1e300, "1e+300"},  {5e-324, "4.94065645841247e-324"}, {1.0 / 3, "0.3333333333333333"}};
  scene s;
  scene_open(&s);
  moon_column *price = moon_table_column(s.bundle.catalogue->table, "price");
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    moon_buf out = {0};
    char expected[64];
    price->f64[3] = cases[i].value;
    OK(moon_page_json(&s.page, &s.request, &out));
    snprintf(expected, sizeof expected, "\"price\":%s,\"stock\":4", cases[i].text);
    if (!strstr(out.data, expected)) fail_msg("no %s in %s", expected, out.data);
    moon_buf_free(&out);
  }
  price->f64[3] = INFINITY;
  moon_table_column(s.bundle.catalogue->table, "stock")->i64[3] = INT64_MIN + 1;
  moon_buf out = {0};
  OK(moon_page_json(&s.page, &s.request, &out));
  assert_non_null(strstr(out.data, "\"price\":null,\"stock\":-9223372036854775807,"));
  moon_buf_free(&out);
  scene_close(&s);
}

static void a_long_reason_is_cut_at_a_character(void **state) {
  (void)state;
  scene s;
  char why[MOON_WHY_SIZE], text[1000] = "";
  scene_open(&s);
  for (size_t i = 0; i < 200; i++) strcat(text, "\xe2\x82\xac");
  for (size_t shift = 0; shift < 3; shift++) { /* wherever the cut falls in a character */
    s.slots[0].slate->reason[0] = NULL;
    moon_slate_note(s.slots[0].slate, 0, "p", text + 3, shift == 0 ? 2 : shift == 1 ? 2.5f : 2.25f, 0, 0);
    moon_explain_why(s.slots[0].slate, 0, &s.request, why);
    size_t n = strlen(why);
    assert_true(n < MOON_WHY_SIZE && n > MOON_WHY_SIZE - 10 && !strcmp(why + n - 3, "..."));
    for (size_t at = 0, length; at < n; at += length) {
      length = moon_utf8_length(why + at, n - at);
      assert_true(length > 0);
    }
  }
  for (size_t i = 0; i < 1000; i++) moon_slate_note(s.slots[0].slate, 0, "p", "t", 2, 0, 0);
  const moon_reason *effects[MOON_EFFECTS_SHOWN];
  assert_int_equal(moon_explain_effects(s.slots[0].slate, 0, effects), MOON_EFFECTS_SHOWN);
  moon_explain_why(s.slots[0].slate, 0, &s.request, why);
  scene_close(&s);
}

static void a_title_is_cut_to_its_column(void **state) {
  (void)state;
  static const char *const names[] = {"title"};
  char title[400] = "";
  for (size_t i = 0; i < 60; i++) strcat(title, "\xc3\xa9");
  const char *values[] = {title};
  moon_catalogue *catalogue = one_item("x", names, values, 1);
  moon_bundle bundle = {.catalogue = catalogue};
  moon_arena arena = {0};
  moon_buf out = {0};
  moon_page_slot slot = {.name = "s", .title = "S"};
  moon_request request = {.surface = "home"};
  OK(moon_slate_new(&bundle, &arena, 1, &slot.slate));
  moon_slate_add(slot.slate, 0, 0.5f, MOON_SOURCE_POPULAR);
  moon_page page = {.surface = "home", .slot_count = 1, .slots = &slot};
  OK(moon_page_text(&page, &request, &out));
  char expected[400] = "home\n\nS\n   1. ";
  for (size_t i = 0; i < 37; i++) strcat(expected, "\xc3\xa9");
  strcat(expected, "...       0.5  popular\n");
  assert_string_equal(out.data, expected);
  moon_buf_free(&out);
  moon_arena_free(&arena);
  moon_catalogue_free(catalogue);
}

static void failing_memory_leaves_the_buffer_as_it_was(void **state) {
  (void)state;
  scene s;
  scene_open(&s);
  s.request.explain = true;
  for (int text = 0; text < 2; text++) {
    for (size_t n = 1;; n++) {
      moon_buf out = {0};
      moon_buf_puts(&out, "before");
      moon_alloc_fail_at(n);
      moon_status st = text ? moon_page_text(&s.page, &s.request, &out) : moon_page_json(&s.page, &s.request, &out);
      moon_alloc_fail_at(0);
      if (st.code) assert_true(st.code == MOON_ENOMEM && !strcmp(out.data, "before") && out.n == 6);
      moon_buf_free(&out);
      if (!st.code) {
        assert_true(n > 3);
        break;
      }
    }
  }
  scene_close(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(page_json_is_this),
      cmocka_unit_test(page_json_explains_on_request),
      cmocka_unit_test(page_text_is_this),
      cmocka_unit_test(text_of_a_page_with_nothing_says_so),
      cmocka_unit_test(similar_says_to_what),
      cmocka_unit_test(columns_with_our_names_do_not_double_a_key),
      cmocka_unit_test(texts_come_through_whole),
      cmocka_unit_test(bytes_that_are_no_utf8_become_replacements),
      cmocka_unit_test(random_bytes_are_always_json),
      cmocka_unit_test(numbers_are_short_and_exact),
      cmocka_unit_test(a_long_reason_is_cut_at_a_character),
      cmocka_unit_test(a_title_is_cut_to_its_column),
      cmocka_unit_test(failing_memory_leaves_the_buffer_as_it_was),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

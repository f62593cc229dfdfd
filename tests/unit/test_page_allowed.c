/* test_page_allowed.c - the rows that a request's condition lets a search find, against asking each item, and searches under them
 * against sorting what is left. */
#include "page/assemble.h"
#include "page/condition.h"
#include "page_shop.h"
#include "unit/exhaust.h"

static const char *const ops[] = {"lt", "le", "gt", "ge", "eq", "ne", "has"};
static const char *const texts[] = {"g0", "g1", "g2", "g3", "g9", "", "0", "1", "2.5", "-1", "7", "cheap", "1e999"};

static json_t *random_term(moon_rng *rng) {
  static const char *const columns[] = {"group", "size", "year"};
  const char *column = columns[moon_rng_below(rng, 3)];
  bool strings = column == columns[0];
  json_t *term = json_pack("{s:s, s:s}", "column", column, "op", ops[strings ? 4 + moon_rng_below(rng, 3) : moon_rng_below(rng, 6)]);
  json_t *value = strings ? json_string(texts[moon_rng_below(rng, 5)]) : json_integer((json_int_t)moon_rng_below(rng, 5) - 1);
  if (moon_rng_below(rng, 3) == 0) {
    json_object_set_new(term, "value", value);
    return term;
  }
  json_object_set_new(term, "param", json_string(moon_rng_below(rng, 2) ? "a" : "b"));
  if (moon_rng_below(rng, 3)) json_decref(value);
  else json_object_set_new(term, "default", value);
  if (moon_rng_below(rng, 4) == 0) json_object_set_new(term, "optional", json_true());
  return term;
}

typedef struct world {
  moon_catalogue *catalogue;
  moon_bundle bundle;
  moon_site site;
  uint64_t listed[4];
} world;

static world world_of(moon_catalogue *catalogue, moon_rng *rng) {
  world w = {.catalogue = catalogue, .bundle = {.catalogue = catalogue}};
  w.site.nearest.rows = moon_catalogue_rows(catalogue);
  assert_true(w.site.nearest.rows <= 256);
  for (size_t row = 0; row < w.site.nearest.rows; row++)
    if (moon_rng_below(rng, 10)) moon_bits_set(w.listed, row);
  return w;
}

/* What a request may come with: neither, one or both, the same one twice. */
static size_t random_params(moon_rng *rng, moon_pair *pairs) {
  size_t n = moon_rng_below(rng, 4);
  for (size_t i = 0; i < n; i++) pairs[i] = (moon_pair){moon_rng_below(rng, 2) ? "a" : "b", texts[moon_rng_below(rng, sizeof texts / sizeof *texts)]};
  return n;
}

static void assert_as_asked_one_by_one(world *w, const moon_site_source *source, const json_t *when, const moon_request *request) {
  moon_arena arena = {0};
  const uint64_t *bits = NULL;
  moon_condition *whole = NULL;
  const moon_condition *asked = NULL;
  OK(moon_site_allowed(&w->site, source, request, &arena, &bits));
  OK(moon_condition_parse(when, w->catalogue, &whole));
  OK(moon_condition_ask(whole, w->catalogue, request, &arena, &asked));
  for (uint32_t row = 0; row < w->site.nearest.rows; row++) {
    bool want = moon_bits_has(w->listed, row) && moon_condition_holds(asked, w->catalogue, row);
    if (moon_bits_has(bits, row) == want) continue;
    char *text = json_dumps(when, JSON_SORT_KEYS);
    fail_msg("row %u is %s under %s with %zu parameters, the first %s", row, want ? "missing" : "there", text, request->param_n,
             request->param_n ? request->params[0].value : "none");
  }
  moon_condition_free(whole);
  moon_arena_free(&arena);
}

static void bits_are_the_rows_that_hold(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 4, 0);
  for (size_t round = 0; round < 300; round++) {
    world w = world_of(random_catalogue(&rng, moon_rng_below(&rng, 250), round % 2 ? 6 : 80), &rng);
    w.site.bundle = &w.bundle;
    moon_site_source source = {0};
    json_t *when = json_array();
    for (size_t n = 1 + moon_rng_below(&rng, 3); n > 0; n--) json_array_append_new(when, random_term(&rng));
    OK(moon_site_read_allowed(&w.site, when, w.listed, w.site.nearest.rows, &source));
    for (size_t ask = 0; ask < 10; ask++) {
      moon_pair pairs[4];
      const moon_request request = {.params = pairs, .param_n = random_params(&rng, pairs)};
      assert_as_asked_one_by_one(&w, &source, when, &request);
    }
    moon_condition_free(source.when);
    moon_arena_free(&w.site.memory);
    moon_catalogue_free(w.catalogue);
    json_decref(when);
  }
}

static void parts_of_texts_are_found_by_the_request(void **state) {
  (void)state;
  static const moon_read_column columns[] = {{"item", "item", "string"}, {"regions", "regions", "string"}};
  moon_rng rng;
  moon_rng_seed(&rng, 5, 0);
  world w = world_of(shop_catalogue_of("item,regions\na,NL|BE\nb,BE\nc,\nd, NL | DE \ne,NLX|XNL\nf,||\ng,BE|NL|BE\nh,NL|BE\n", columns, 2), &rng);
  w.site.bundle = &w.bundle;
  w.listed[0] = 0xff;
  moon_site_source source = {0};
  json_t *when = parse("[{'column':'regions','op':'has','param':'country'}]");
  OK(moon_site_read_allowed(&w.site, when, w.listed, 8, &source));
  static const struct {
    const char *country;
    uint64_t bits;
  } cases[] = {{"NL", 0xc9}, {"BE", 0xc3}, {"DE", 8}, {"XNL", 16}, {"NL|BE", 0}, {"", 0}, {"FR", 0}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const moon_pair pair = {"country", cases[i].country};
    const moon_request request = {.params = &pair, .param_n = 1};
    const uint64_t *bits;
    moon_arena arena = {0};
    OK(moon_site_allowed(&w.site, &source, &request, &arena, &bits));
    assert_int_equal(bits[0], cases[i].bits);
    assert_as_asked_one_by_one(&w, &source, when, &request);
    moon_arena_free(&arena);
  }
  moon_condition_free(source.when);
  moon_arena_free(&w.site.memory);
  moon_catalogue_free(w.catalogue);
  json_decref(when);
}

static void what_asks_nothing_costs_nothing(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 6, 0);
  world w = world_of(shop_catalogue(), &rng);
  w.site.bundle = &w.bundle;
  moon_site_source source = {0};
  const uint64_t *bits;
  const moon_request request = {0};
  moon_arena arena = {0};
  json_t *optional = parse("[{'column':'brand','op':'eq','param':'x','optional':true}]");
  OK(moon_site_read_allowed(&w.site, NULL, w.listed, 9, &source));
  OK(moon_site_allowed(&w.site, &source, &request, &arena, &bits));
  assert_ptr_equal(bits, w.listed);
  assert_null(arena.head);
  OK(moon_site_read_allowed(&w.site, optional, w.listed, 9, &source));
  OK(moon_site_allowed(&w.site, &source, &request, &arena, &bits));
  assert_ptr_equal(bits, w.listed);
  moon_condition_free(source.when);
  moon_arena_free(&arena);
  moon_arena_free(&w.site.memory);
  moon_catalogue_free(w.catalogue);
  json_decref(optional);
}

static moon_status read_and_ask(void *self) {
  world *w = self;
  moon_site_source source = {0};
  moon_arena arena = {0};
  const uint64_t *bits;
  const moon_pair pair = {"x", "Acme"};
  const moon_request request = {.params = &pair, .param_n = 1};
  json_t *when = parse("[{'column':'brand','op':'has','param':'x'},{'column':'price','op':'lt','param':'y','default':50},"
                       "{'column':'stock','op':'gt','value':0}]");
  moon_status status = moon_site_read_allowed(&w->site, when, w->listed, 9, &source);
  if (!status.code) status = moon_site_allowed(&w->site, &source, &request, &arena, &bits);
  if (!status.code) assert_int_equal(bits[0] & 0xff, w->listed[0] & 3); /* i0 and i1 */
  moon_condition_free(source.when);
  moon_arena_free(&arena);
  moon_arena_free(&w->site.memory);
  w->site.ordered = NULL;
  json_decref(when);
  return status;
}

static void failing_memory_leaks_nothing(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 7, 0);
  world w = world_of(shop_catalogue(), &rng);
  w.site.bundle = &w.bundle;
  assert_true(exhaust(read_and_ask, &w) > 10);
  moon_catalogue_free(w.catalogue);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(bits_are_the_rows_that_hold), cmocka_unit_test(parts_of_texts_are_found_by_the_request),
      cmocka_unit_test(what_asks_nothing_costs_nothing), cmocka_unit_test(failing_memory_leaks_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_runtime_arguments.c - whatever a program hands over, it gets an answer. */
#include "runtime_shop.h"

static void a_library_says_which_it_is(void **state) {
  (void)state;
  assert_int_equal(moon_abi_version(), MOON_ABI_VERSION);
  int major, minor, patch;
  assert_int_equal(sscanf(moon_version(), "%d.%d.%d", &major, &minor, &patch), 3);
}

static void opening_wants_bundle_and_site(void **state) {
  shop *s = *state;
  moon_runtime *r = (moon_runtime *)s;
  moon_runtime_options o = {.size = sizeof o, .bundle = s->bundle, .site = s->site};
  REFUSED(MOON_EINVAL, "out is NULL", moon_runtime_open(&o, NULL));
  REFUSED(MOON_EINVAL, "moon_runtime_options is NULL", moon_runtime_open(NULL, &r));
  assert_null(r);
  o.bundle = NULL;
  REFUSED(MOON_EINVAL, "moon_runtime_options.bundle is NULL", moon_runtime_open(&o, &r));
  o.bundle = s->bundle, o.site = NULL;
  REFUSED(MOON_EINVAL, "moon_runtime_options.site is NULL", moon_runtime_open(&o, &r));
  o.site = s->folder;
  REFUSED(MOON_EIO, s->folder, moon_runtime_open(&o, &r));
  o.site = s->site, o.bundle = s->folder;
  REFUSED(MOON_ENOTFOUND, "is not a bundle", moon_runtime_open(&o, &r));
  o.bundle = s->bundle, o.event_log = s->site;
  REFUSED(MOON_EFORMAT, "site.lua", moon_runtime_open(&o, &r));
  assert_null(r);
}

/* Programs built against older and newer headers. */
static void structs_of_other_sizes_are_understood_or_refused(void **state) {
  shop *s = *state;
  moon_runtime *r = NULL;
  struct { moon_runtime_options o; char more[64]; } newer = {.o = {.size = sizeof newer, .bundle = s->bundle, .site = s->site}};
  OK(moon_runtime_open(&newer.o, &r)); /* fields that are not known here, and not used */
  moon_runtime_close(r);
  newer.more[40] = 1;
  REFUSED(MOON_EINVAL, "does not know", moon_runtime_open(&newer.o, &r));
  newer.more[40] = 0;
  for (size_t size = 0; size < sizeof newer.o; size++) {
    newer.o.size = size;
    REFUSED(MOON_EINVAL, "sizeof(moon_runtime_options)", moon_runtime_open(&newer.o, &r));
  }
  newer.o.size = SIZE_MAX; /* never set */
  REFUSED(MOON_EINVAL, "18446744073709551615", moon_runtime_open(&newer.o, &r));
  assert_null(r);
}

static void a_query_is_looked_at_before_it_is_used(void **state) {
  shop *s = *state;
  moon_runtime *r = shop_open(s->bundle, s->site, NULL);
  moon_worker *w = shop_worker(r);
  const char *text = "x";
  size_t n = 7;
  const char *const hole[] = {"i1", NULL};
  const moon_pair half[] = {{"country", NULL}};
  moon_query q = {.size = sizeof q};
  REFUSED(MOON_EINVAL, "worker is NULL", moon_worker_page(NULL, &q, &text, &n));
  assert_null(text);
  assert_int_equal(n, 0);
  REFUSED(MOON_EINVAL, "moon_query is NULL", moon_worker_page(w, NULL, &text, &n));
  REFUSED(MOON_EINVAL, "text is NULL", moon_worker_page(w, &q, NULL, &n));
  REFUSED(MOON_EINVAL, "n is NULL", moon_worker_page_text(w, &q, &text, NULL));
  REFUSED(MOON_EINVAL, "out is NULL", moon_worker_view(w, &q, NULL));
  REFUSED(MOON_EINVAL, "sizeof(moon_query)", moon_worker_page(w, &(moon_query){0}, &text, &n));
  q.cart_n = 2;
  REFUSED(MOON_EINVAL, "moon_query.cart is NULL", moon_worker_page(w, &q, &text, &n));
  q.cart = hole;
  REFUSED(MOON_EINVAL, "moon_query.cart[1] is NULL", moon_worker_page(w, &q, &text, &n));
  q.cart_n = SIZE_MAX;
  REFUSED(MOON_EINVAL, "up to 10000", moon_worker_page(w, &q, &text, &n));
  q.cart_n = 0, q.params = half, q.param_n = 1;
  REFUSED(MOON_EINVAL, "moon_query.params[0]", moon_worker_page(w, &q, &text, &n));
  q.param_n = 0, q.surface = "hone";
  REFUSED(MOON_ENOTFOUND, "home", moon_worker_page(w, &q, &text, &n));
  q.surface = NULL, q.item = "i999";
  REFUSED(MOON_ENOTFOUND, "i999", moon_worker_page(w, &q, &text, &n));
  assert_int_equal(shop_counters(r).pages_failed, 2); /* those that never began are not pages */
  q.item = "";
  q.item = NULL, q.user = "\xff\xfe broken";
  OK(moon_worker_page(w, &q, &text, &n));
  assert_int_equal(text[n], 0);
  assert_int_equal(strlen(text), n);
  moon_worker_close(w);
  moon_runtime_close(r);
}

static void a_ranking_is_looked_at_before_it_is_made(void **state) {
  shop *s = *state;
  moon_runtime *r = shop_open(s->bundle, s->site, NULL);
  moon_worker *w = shop_worker(r);
  const char *const ids[] = {"i1", NULL};
  float scores[2];
  moon_rank_query q = {.size = sizeof q, .items = ids, .n = 1};
  REFUSED(MOON_EINVAL, "worker is NULL", moon_worker_rank(NULL, &q, scores, NULL));
  REFUSED(MOON_EINVAL, "moon_rank_query is NULL", moon_worker_rank(w, NULL, scores, NULL));
  REFUSED(MOON_EINVAL, "scores is NULL", moon_worker_rank(w, &q, NULL, NULL));
  q.n = 2;
  REFUSED(MOON_EINVAL, "items[1] is NULL", moon_worker_rank(w, &q, scores, NULL));
  q.n = SIZE_MAX;
  REFUSED(MOON_EINVAL, "up to 1000000", moon_worker_rank(w, &q, scores, NULL));
  q.n = 1, q.items = NULL;
  REFUSED(MOON_EINVAL, "moon_rank_query.items is NULL", moon_worker_rank(w, &q, scores, NULL));
  q.n = 0;
  OK(moon_worker_rank(w, &q, NULL, NULL));
  moon_worker_close(w);
  moon_runtime_close(r);
}

/* All of a call or nothing, and the message says which. */
static void events_are_taken_whole_or_not_at_all(void **state) {
  shop *s = *state;
  moon_runtime *r = shop_open(s->bundle, s->site, NULL);
  const uint64_t before = shop_counters(r).state_events;
  char endless[400];
  memset(endless, 'u', sizeof endless - 1);
  endless[sizeof endless - 1] = 0;
  const moon_event_record good = {.size = sizeof good, .user = "u1", .item = "i1", .kind = "view"};
  const struct { moon_event_record event; moon_code code; const char *text; } bad[] = {
      {{.size = sizeof good, .item = "i1", .kind = "view"}, MOON_EINVAL, "user is NULL"},
      {{.size = sizeof good, .user = "", .item = "i1", .kind = "view"}, MOON_EINVAL, "user has 1 to 256 bytes, not none"},
      {{.size = sizeof good, .user = endless, .item = "i1", .kind = "view"}, MOON_EINVAL, "user has 1 to 256 bytes, not more"},
      {{.size = sizeof good, .user = "\xc3(", .item = "i1", .kind = "view"}, MOON_EINVAL, "user is not UTF-8"},
      {{.size = sizeof good, .user = "u1", .item = "i77", .kind = "view"}, MOON_ENOTFOUND, "there is no item 'i77'"},
      {{.size = sizeof good, .user = "u1", .item = "i1"}, MOON_EINVAL, "kind is NULL"},
      {{.size = sizeof good, .user = "u1", .item = "i1", .kind = "view", .id = ""}, MOON_EINVAL, "id has 1 to"},
      {{.size = sizeof good, .user = "u1", .item = "i1", .kind = "view", .time = 1700000000}, MOON_EINVAL, "microseconds"},
      {{.size = sizeof good, .user = "u1", .item = "i1", .kind = "view", .time = INT64_C(1700000000000000000)}, MOON_EINVAL, "microseconds"},
      {{.size = sizeof good, .user = "u1", .item = "i1", .kind = "view", .time = -1}, MOON_EINVAL, "microseconds"},
      {{.size = 3, .user = "u1", .item = "i1", .kind = "view"}, MOON_EINVAL, "that of the first"},
      {{.size = sizeof good + 8, .user = "u1", .item = "i1", .kind = "view"}, MOON_EINVAL, "that of the first"}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    moon_event_record many[6] = {good, good, bad[i].event, good};
    REFUSED(bad[i].code, "event 2: ", moon_runtime_events(r, many, 4, NULL));
    REFUSED(bad[i].code, bad[i].text, moon_runtime_events(r, many, 4, NULL));
  }
  REFUSED(MOON_ENOTFOUND, "there is no item", moon_runtime_event(r, &bad[4].event));
  REFUSED(MOON_EINVAL, "sizeof(moon_event_record)", moon_runtime_event(r, &bad[10].event));
  REFUSED(MOON_EINVAL, "runtime is NULL", moon_runtime_event(NULL, &good));
  REFUSED(MOON_EINVAL, "events is NULL", moon_runtime_event(r, NULL));
  OK(moon_runtime_events(r, NULL, 0, NULL));
  const moon_counters c = shop_counters(r);
  assert_int_equal(c.state_events, before);
  assert_int_equal(c.events, 0);
  assert_int_equal(c.events_refused, 4 * 2 * sizeof bad / sizeof *bad + 2);
  moon_runtime_close(r);
}

/* A program whose records have a field more: they stand further apart. */
static void records_of_a_newer_program_stand_further_apart(void **state) {
  shop *s = *state;
  moon_runtime *r = shop_open(s->bundle, s->site, NULL);
  struct { moon_event_record e; uint64_t more; } newer[3];
  memset(newer, 0, sizeof newer);
  for (int i = 0; i < 3; i++) newer[i].e = (moon_event_record){.size = sizeof *newer, .user = "u1", .item = "i1", .kind = "view"};
  OK(moon_runtime_events(r, &newer[0].e, 3, NULL));
  assert_int_equal(shop_counters(r).events, 3);
  newer[2].more = 1;
  REFUSED(MOON_EINVAL, "event 2: ", moon_runtime_events(r, &newer[0].e, 3, NULL));
  moon_runtime_close(r);
}

static void the_rest_answers_null_too(void **state) {
  shop *s = *state;
  moon_runtime *r = shop_open(s->bundle, s->site, NULL);
  moon_worker *w;
  struct { moon_counters c; char more[16]; } newer = {.c = {.size = sizeof newer}};
  REFUSED(MOON_EINVAL, "runtime is NULL", moon_worker_open(NULL, &w));
  REFUSED(MOON_EINVAL, "out is NULL", moon_worker_open(r, NULL));
  REFUSED(MOON_EINVAL, "runtime is NULL", moon_runtime_reload(NULL, s->bundle, NULL));
  REFUSED(MOON_EINVAL, "a bundle, a site or both", moon_runtime_reload(r, NULL, NULL));
  REFUSED(MOON_EINVAL, "runtime is NULL", moon_runtime_metrics(NULL, &newer.c));
  REFUSED(MOON_EINVAL, "out is NULL", moon_runtime_metrics(r, NULL));
  REFUSED(MOON_EINVAL, "sizeof(moon_counters)", moon_runtime_metrics(r, &(moon_counters){0}));
  memset(newer.more, 1, sizeof newer.more);
  OK(moon_runtime_metrics(r, &newer.c));
  for (size_t i = 0; i < sizeof newer.more; i++) assert_int_equal(newer.more[i], 0);
  assert_int_equal(newer.c.size, sizeof newer);
  moon_worker_close(NULL);
  moon_runtime_close(NULL);
  moon_runtime_close(r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_library_says_which_it_is),
      cmocka_unit_test(opening_wants_bundle_and_site),
      cmocka_unit_test(structs_of_other_sizes_are_understood_or_refused),
      cmocka_unit_test(a_query_is_looked_at_before_it_is_used),
      cmocka_unit_test(a_ranking_is_looked_at_before_it_is_made),
      cmocka_unit_test(events_are_taken_whole_or_not_at_all),
      cmocka_unit_test(records_of_a_newer_program_stand_further_apart),
      cmocka_unit_test(the_rest_answers_null_too),
  };
  return cmocka_run_group_tests(tests, shop_up, shop_down);
}

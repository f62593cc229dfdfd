/* test_runtime_life.c - runtimes open, answer, hear of events, are reloaded and close, and nothing of one is seen in another. */
#include <malloc.h>

#include "runtime_shop.h"

static size_t shown(const moon_page_view *page, const char *slot) {
  for (size_t i = 0; i < page->slot_count; i++)
    if (!strcmp(page->slots[i]->name, slot)) return page->slots[i]->n;
  return 0;
}

static void see(moon_runtime *r, const char *user, const char *item) {
  OK(moon_runtime_event(r, &(moon_event_record){.size = sizeof(moon_event_record), .user = user, .item = item, .kind = "view"}));
}

/* ---- life */

/* Where nothing is optimised some are enough: there the address sanitizer knows each block. */
#ifdef __OPTIMIZE__
enum { TIMES = 1000 };
#else
enum { TIMES = 150 };
#endif

static void a_thousand_runtimes_leave_nothing_behind(void **state) {
  shop *s = *state;
  size_t warm = 0;
  for (int i = 0; i < TIMES; i++) {
    moon_runtime *r = shop_open(s->bundle, s->site, NULL);
    moon_worker *w = shop_worker(r);
    if (i % 10 == 0) shop_view(w, "u1");
    if (i % 10 == 1) see(r, "u1", "i1");
    if (i % 2) moon_worker_close(w), moon_runtime_close(r);
    else moon_runtime_close(r), moon_worker_close(w);
    if (i == 100) warm = mallinfo2().uordblks;
  }
  size_t now = mallinfo2().uordblks;
  if (now > warm + (64 << 10)) fail_msg("%d runtimes left %zu bytes", TIMES - 101, now - warm);
}

static void two_runtimes_know_nothing_of_each_other(void **state) {
  shop *s = *state;
  moon_runtime *one = shop_open(s->bundle, s->site, NULL), *two = shop_open(s->other, s->other_site, NULL);
  moon_worker *w1 = shop_worker(one), *w2 = shop_worker(two);
  const moon_counters before = shop_counters(two);
  see(one, "somebody", "i4");
  assert_int_equal(shown(shop_view(w1, "somebody"), "recent"), 1);
  assert_int_equal(shown(shop_view(w2, "somebody"), "recent"), 0);
  assert_int_equal(shown(shop_view(w1, "u1"), "first"), 3);
  assert_int_equal(shown(shop_view(w2, "u1"), "first"), 5);
  const moon_counters after = shop_counters(two);
  assert_int_equal(after.state_events, before.state_events);
  assert_int_equal(after.pages, 2);
  assert_int_not_equal(shop_counters(one).state_events, after.state_events);
  moon_runtime_close(one);
  assert_int_equal(shown(shop_view(w1, "u1"), "first"), 3); /* a worker goes on after its runtime is let go */
  moon_worker_close(w1);
  moon_worker_close(w2);
  moon_runtime_close(two);
}

/* ---- answers */

static void structs_say_what_the_json_says(void **state) {
  shop *s = *state;
  moon_runtime *r = shop_open(s->bundle, s->site, NULL);
  moon_worker *w = shop_worker(r), *other = shop_worker(r);
  const moon_query q = {.size = sizeof q, .user = "u2", .seed = 3, .explain = true};
  const char *text;
  size_t n;
  const moon_page_view *page;
  OK(moon_worker_page(w, &q, &text, &n));
  OK(moon_worker_view(other, &q, &page));
  json_t *json = json_loadb(text, n, 0, NULL), *slots = json_object_get(json, "slots");
  assert_string_equal(page->surface, json_string_value(json_object_get(json, "surface")));
  assert_false(page->cold);
  assert_null(page->degraded);
  assert_int_equal(page->slot_count, json_array_size(slots));
  for (size_t i = 0; i < page->slot_count; i++) {
    const moon_slot_view *slot = page->slots[i];
    json_t *items = json_object_get(json_array_get(slots, i), "items");
    assert_string_equal(slot->name, json_string_value(json_object_get(json_array_get(slots, i), "name")));
    assert_int_equal(slot->n, json_array_size(items));
    assert_true(slot->n > 0);
    for (size_t k = 0; k < slot->n; k++) {
      json_t *item = json_array_get(items, k);
      assert_string_equal(slot->items[k], json_string_value(json_object_get(item, "id")));
      assert_string_equal(slot->sources[k], json_string_value(json_object_get(item, "source")));
      assert_string_equal(slot->why[k], json_string_value(json_object_get(item, "why")));
      NEAR(slot->scores[k], json_number_value(json_object_get(item, "score")), 1e-5);
    }
  }
  json_decref(json);
  assert_null(shop_view(w, "u2")->slots[0]->why);
  moon_worker_close(w);
  moon_worker_close(other);
  moon_runtime_close(r);
}

/* The model sees a caller's list as it sees a slot's. */
static void a_ranking_has_the_pages_scores(void **state) {
  shop *s = *state;
  moon_runtime *r = shop_open(s->bundle, s->site, NULL);
  moon_worker *w = shop_worker(r), *other = shop_worker(r);
  const moon_slot_view *slot = shop_view(w, "u2")->slots[0];
  const char *ids[5] = {"nothing", slot->items[2], slot->items[0], slot->items[1], slot->items[2]};
  float scores[5];
  uint32_t order[5];
  const moon_rank_query q = {.size = sizeof q, .user = "u2", .items = ids, .n = 5};
  OK(moon_worker_rank(other, &q, scores, order));
  assert_true(isnan(scores[0]));
  assert_true(scores[1] == slot->model_scores[2] && scores[2] == slot->model_scores[0] && scores[3] == slot->model_scores[1]);
  assert_true(scores[4] == scores[1]);
  assert_int_equal(order[4], 0);
  for (int i = 0; i < 3; i++) assert_true(scores[order[i]] > scores[order[i + 1]] || (scores[order[i]] == scores[order[i + 1]] && order[i] < order[i + 1]));
  moon_worker_close(w);
  moon_worker_close(other);
  moon_runtime_close(r);
}

static void a_long_list_scores_as_a_short_one(void **state) {
  enum { N = 3000 };
  shop *s = *state;
  moon_runtime *r = shop_open(s->bundle, s->site, NULL);
  moon_worker *w = shop_worker(r);
  static const char *const names[] = {"i0", "i1", "i2", "i3", "i4", "no", "i5", "i6", "i7", "i8", "i9"};
  const char **ids = calloc(N, sizeof *ids);
  float *scores = calloc(N, sizeof *scores), one;
  uint32_t *order = calloc(N, sizeof *order);
  for (size_t i = 0; i < N; i++) ids[i] = names[i * 7 % 11];
  OK(moon_worker_rank(w, &(moon_rank_query){.size = sizeof(moon_rank_query), .user = "u3", .items = ids, .n = N}, scores, order));
  uint8_t *met = calloc(N, 1);
  for (size_t i = 0; i < N; i++) {
    assert_int_equal(met[order[i]]++, 0);
    if (i >= 50) continue;
    size_t at = i * 59; /* of all parts */
    OK(moon_worker_rank(w, &(moon_rank_query){.size = sizeof(moon_rank_query), .user = "u3", .items = &ids[at], .n = 1}, &one, NULL));
    assert_true(isnan(one) ? isnan(scores[at]) && !strcmp(ids[at], "no") : fabsf(one - scores[at]) < 1e-6f);
  }
  for (size_t i = 0; i + 1 < N; i++) assert_true(isnan(scores[order[i + 1]]) || scores[order[i]] >= scores[order[i + 1]]);
  const moon_counters c = shop_counters(r);
  assert_int_equal(c.rankings, 51);
  assert_int_equal(c.ranked_items, N + 50);
  free(met), free(order), free(scores), free(ids);
  moon_worker_close(w);
  moon_runtime_close(r);
}

/* ---- events */

static void an_event_changes_the_next_page(void **state) {
  shop *s = *state;
  moon_runtime *r = shop_open(s->bundle, s->site, NULL);
  moon_worker *w = shop_worker(r);
  assert_true(shop_view(w, "new")->cold);
  see(r, "new", "i4");
  const moon_page_view *page = shop_view(w, "new");
  assert_false(page->cold);
  assert_string_equal(page->slots[page->slot_count - 1]->name, "recent");
  assert_string_equal(page->slots[page->slot_count - 1]->items[0], "i4");
  moon_worker_close(w);
  moon_runtime_close(r);
}

static void an_id_counts_once(void **state) {
  shop *s = *state;
  moon_runtime *r = shop_open(s->bundle, s->site, NULL);
  const uint64_t before = shop_counters(r).state_events;
  const moon_event_record twice[3] = {{.size = sizeof *twice, .user = "u1", .item = "i1", .kind = "view", .id = "a"},
                                      {.size = sizeof *twice, .user = "u1", .item = "i2", .kind = "view", .id = "b"},
                                      {.size = sizeof *twice, .user = "u1", .item = "i1", .kind = "view", .id = "a"}};
  size_t n;
  OK(moon_runtime_events(r, twice, 3, &n));
  assert_int_equal(n, 1);
  OK(moon_runtime_events(r, twice, 2, &n));
  assert_int_equal(n, 2);
  const moon_counters c = shop_counters(r);
  assert_int_equal(c.state_events, before + 2);
  assert_int_equal(c.events, 5);
  assert_int_equal(c.events_duplicate, 3);
  moon_runtime_close(r);
}

static void events_of_a_log_are_there_after_a_restart(void **state) {
  shop *s = *state;
  moon_runtime *r = shop_open(s->bundle, s->site, s->log), *second;
  const uint64_t before = shop_counters(r).state_events;
  see(r, "kept", "i5");
  const moon_runtime_options o = {.size = sizeof o, .bundle = s->bundle, .site = s->site, .event_log = s->log};
  REFUSED(MOON_EIO, "in use", moon_runtime_open(&o, &second));
  moon_runtime_close(r);
  r = shop_open(s->bundle, s->site, s->log);
  moon_worker *w = shop_worker(r);
  assert_int_equal(shown(shop_view(w, "kept"), "recent"), 1);
  assert_int_equal(shop_counters(r).state_events, before + 1);
  assert_int_equal(shop_counters(r).replayed, 1);
  moon_worker_close(w);
  moon_runtime_close(r);
  r = shop_open(s->bundle, s->site, NULL); /* the bundle is as it was */
  assert_int_equal(shop_counters(r).state_events, before);
  moon_runtime_close(r);
}

/* ---- reloading */

static void a_reload_changes_the_site_under_workers(void **state) {
  shop *s = *state;
  moon_runtime *r = shop_open(s->bundle, s->site, NULL);
  moon_worker *w = shop_worker(r);
  see(r, "u1", "i4");
  const moon_page_view *before = shop_view(w, "u1");
  const char *name = before->slots[0]->name;
  OK(moon_runtime_reload(r, NULL, s->other_site));
  see(r, "u1", "i3"); /* sweeps; what the worker holds is still there */
  assert_string_equal(name, "first");
  assert_int_equal(before->edition, 1);
  const moon_page_view *after = shop_view(w, "u1");
  assert_int_equal(after->edition, 2);
  assert_int_equal(shown(after, "first"), 5);
  assert_int_equal(shown(after, "recent"), 3); /* the state goes on */
  moon_worker *late = shop_worker(r);
  assert_int_equal(shown(shop_view(late, "u1"), "first"), 5);
  moon_worker_close(late);
  moon_worker_close(w);
  moon_runtime_close(r);
}

static void a_broken_reload_leaves_everything(void **state) {
  shop *s = *state;
  moon_runtime *r = shop_open(s->bundle, s->site, NULL);
  moon_worker *w = shop_worker(r);
  char *broken = moon_path_join(s->folder, "broken.lua"), *wrong = moon_path_join(s->folder, "wrong.lua"), *none = moon_path_join(s->folder, "none");
  shoplet_file(s->folder, "broken.lua", "local m = require \"moonshelf\"\nreturn m.site { home = \n");
  shoplet_file(s->folder, "wrong.lua", "local m = require \"moonshelf\"\nreturn m.site { home = m.page { m.slot \"a\" { take = 1, from = m.source.popular(9), rerank = m.policy.cap { colour = 1 } } } }\n");
  see(r, "u1", "i4");
  const uint64_t events = shop_counters(r).state_events;
  REFUSED(MOON_ESCRIPT, "broken.lua:", moon_runtime_reload(r, NULL, broken));
  REFUSED(MOON_ENOTFOUND, "colour", moon_runtime_reload(r, NULL, wrong));
  REFUSED(MOON_ESCRIPT, "broken.lua:", moon_runtime_reload(r, s->other, broken));
  REFUSED(MOON_ENOTFOUND, "none", moon_runtime_reload(r, none, s->other_site));
  REFUSED(MOON_ENOTFOUND, "none", moon_runtime_reload(r, NULL, none));
  const moon_page_view *page = shop_view(w, "u1");
  assert_int_equal(page->edition, 1);
  assert_int_equal(shown(page, "first"), 3);
  const moon_counters c = shop_counters(r);
  assert_int_equal(c.reloads_failed, 5);
  assert_int_equal(c.reloads, 0);
  assert_int_equal(c.state_events, events);
  moon_free(broken), moon_free(wrong), moon_free(none);
  moon_worker_close(w);
  moon_runtime_close(r);
}

/* A site file that changes without a reload changes nothing, for nobody. */
static void a_site_is_read_once(void **state) {
  shop *s = *state;
  char *site = shop_write_site(s->folder, "moving.lua", 2);
  moon_runtime *r = shop_open(s->bundle, site, NULL);
  moon_worker *w = shop_worker(r);
  moon_free(shop_write_site(s->folder, "moving.lua", 4));
  moon_worker *late = shop_worker(r);
  assert_int_equal(shown(shop_view(late, "u1"), "first"), 2);
  OK(moon_runtime_reload(r, s->other, NULL)); /* nor does another bundle */
  assert_int_equal(shown(shop_view(w, "u1"), "first"), 2);
  OK(moon_runtime_reload(r, NULL, site));
  assert_int_equal(shown(shop_view(w, "u1"), "first"), 4);
  moon_free(site);
  moon_worker_close(late);
  moon_worker_close(w);
  moon_runtime_close(r);
}

/* What the new bundle has seen comes from it; what came later is folded in again where there is a log. */
static void a_new_bundle_hears_of_what_it_has_not_seen(void **state) {
  shop *s = *state;
  for (int logged = 0; logged < 2; logged++) {
    char *log = moon_path_join(s->folder, "reload.db");
    moon_runtime *r = shop_open(s->bundle, s->site, logged ? log : NULL), *fresh = shop_open(s->other, s->site, NULL);
    moon_worker *w = shop_worker(r);
    const uint64_t own = shop_counters(fresh).state_events;
    const int64_t newest = shop_counters(fresh).clock;
    const moon_event_record events[2] = {{.size = sizeof *events, .user = "old", .item = "i1", .kind = "view", .time = newest - MOON_SECOND},
                                         {.size = sizeof *events, .user = "late", .item = "i2", .kind = "view", .time = newest + MOON_SECOND}};
    OK(moon_runtime_events(r, events, 2, NULL));
    OK(moon_runtime_reload(r, s->other, NULL));
    const moon_counters c = shop_counters(r);
    assert_int_equal(c.edition, 2);
    assert_int_equal(c.replayed, logged);
    assert_int_equal(c.covered, logged);
    assert_int_equal(c.state_events, own + (uint64_t)logged);
    assert_int_equal(shown(shop_view(w, "late"), "recent"), logged);
    assert_true(shop_view(w, "old")->cold);
    see(r, "late", "i3");
    assert_int_equal(shown(shop_view(w, "late"), "recent"), 1 + logged);
    moon_worker_close(w);
    moon_runtime_close(r);
    if (logged) { /* and so it is after a restart with the new bundle */
      r = shop_open(s->other, s->site, log);
      assert_int_equal(shop_counters(r).state_events, own + 2);
      moon_runtime_close(r);
    }
    moon_runtime_close(fresh);
    moon_free(log);
  }
}

/* A Lua state whose policy passed its limit of memory is replaced before the next page, by the text that the site had. */
static void a_worn_lua_state_is_made_anew(void **state) {
  shop *s = *state;
  static const char text[] =
      "local m = require \"moonshelf\"\nlocal kept, pages = {}, 0\n"
      "return m.site { home = m.page { m.slot \"a\" { take = 1, from = m.source.popular(9), rerank = m.policy.lua(function(s)\n"
      "  pages = pages + 1\n  if pages == 2 then while true do kept[#kept + 1] = (\"x\"):rep(100000 + #kept) end end end) } } }\n";
  char *site = moon_path_join(s->folder, "greedy.lua");
  shoplet_file(s->folder, "greedy.lua", text);
  const moon_runtime_options o = {
      .size = sizeof o, .bundle = s->bundle, .site = site, .page_millis = 60000, .call_instructions = 1000000000};
  moon_runtime *r = NULL;
  OK(moon_runtime_open(&o, &r));
  moon_worker *w = shop_worker(r);
  shoplet_file(s->folder, "greedy.lua", "return 1\n");
  for (int i = 0; i < 3; i++) { /* pages counts from 0 again after each failure */
    assert_null(shop_view(w, "u1")->degraded);
    const char *why = shop_view(w, "u1")->degraded;
    if (!why || !strstr(why, "memory")) fail_msg("%s", why ? why : "(not degraded)");
    assert_true(moon_worker_is_worn(w));
  }
  moon_worker_be_patient(w);
  shop_view(w, "u1");
  assert_true(moon_worker_is_worn(w)); /* nobody has laid one out */
  OK(moon_runtime_lay(r));
  assert_null(shop_view(w, "u1")->degraded);
  assert_false(moon_worker_is_worn(w));
  moon_free(site);
  moon_worker_close(w);
  moon_runtime_close(r);
}

/* ---- metrics */

static void metrics_count(void **state) {
  shop *s = *state;
  char *site = moon_path_join(s->folder, "failing.lua");
  shoplet_file(s->folder, "failing.lua",
               "local m = require \"moonshelf\"\nreturn m.site { home = m.page { m.slot \"a\" { take = 1, from = m.source.popular(9), rerank = m.policy.lua(function(s) error \"no\" end) } } }\n");
  moon_runtime *r = shop_open(s->bundle, site, NULL);
  moon_worker *w = shop_worker(r), *gone = shop_worker(r);
  for (int i = 0; i < 3; i++) assert_non_null(shop_view(w, "u1")->degraded);
  for (int i = 0; i < 2; i++) shop_view(gone, "u1");
  assert_int_equal(shop_counters(r).workers, 2);
  moon_worker_close(gone);
  const moon_counters c = shop_counters(r);
  assert_int_equal(c.pages, 5);
  assert_int_equal(c.pages_degraded, 5);
  assert_int_equal(c.policy_errors, 5);
  assert_int_equal(c.pages_failed, 0);
  assert_int_equal(c.workers, 1);
  assert_int_equal(c.edition, 1);
  assert_int_equal(c.items, 10);
  assert_true(c.users > 5 && c.state_bytes > 1000 && c.clock > 0);
  assert_true(c.page_micros >= c.page_micros_most);
  moon_free(site);
  moon_worker_close(w);
  moon_runtime_close(r);
}

/* ---- no memory */

static moon_status whole_life(void *self) {
  shop *s = self;
  moon_runtime *r = NULL;
  moon_worker *w = NULL;
  const moon_runtime_options o = {.size = sizeof o, .bundle = s->bundle, .site = s->site, .page_millis = 60000};
  const moon_query q = {.size = sizeof q, .user = "u1", .explain = true};
  const moon_event_record e = {.size = sizeof e, .user = "somebody", .item = "i3", .kind = "view", .id = "x"};
  const moon_page_view *page;
  moon_status st = moon_runtime_open(&o, &r);
  if (!st.code) st = moon_worker_open(r, &w);
  if (!st.code) st = moon_runtime_event(r, &e);
  if (!st.code) st = moon_worker_view(w, &q, &page);
  if (!st.code && page->degraded) st = moon_fail(MOON_ENOMEM, "a policy had no memory");
  if (!st.code) st = moon_runtime_reload(r, s->other, s->other_site);
  if (!st.code) st = moon_worker_view(w, &q, &page);
  moon_worker_close(w);
  moon_runtime_close(r);
  return st;
}

/* Each allocation in turn fails, and all after it; near the beginning each one, later some. */
static void without_memory_nothing_leaks_and_the_message_says_so(void **state) {
  for (size_t n = 1;; n += 1 + n / 50) {
    moon_alloc_fail_at(n);
    moon_status status = whole_life(*state);
    moon_alloc_fail_at(0);
    if (!status.code) break;
    if (status.code != MOON_ENOMEM && !strstr(status.message, "memory")) fail_msg("allocation %zu: %s \"%s\"", n, moon_code_name(status.code), status.message);
    assert_true(n < 1000000);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_thousand_runtimes_leave_nothing_behind),
      cmocka_unit_test(two_runtimes_know_nothing_of_each_other),
      cmocka_unit_test(structs_say_what_the_json_says),
      cmocka_unit_test(a_ranking_has_the_pages_scores),
      cmocka_unit_test(a_long_list_scores_as_a_short_one),
      cmocka_unit_test(an_event_changes_the_next_page),
      cmocka_unit_test(an_id_counts_once),
      cmocka_unit_test(events_of_a_log_are_there_after_a_restart),
      cmocka_unit_test(a_reload_changes_the_site_under_workers),
      cmocka_unit_test(a_broken_reload_leaves_everything),
      cmocka_unit_test(a_site_is_read_once),
      cmocka_unit_test(a_new_bundle_hears_of_what_it_has_not_seen),
      cmocka_unit_test(a_worn_lua_state_is_made_anew),
      cmocka_unit_test(metrics_count),
      cmocka_unit_test(without_memory_nothing_leaks_and_the_message_says_so),
  };
  return cmocka_run_group_tests(tests, shop_up, shop_down);
}

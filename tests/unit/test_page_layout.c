/* test_page_layout.c - which slots a page has, in what order, under which titles, and what fills them when their own sources do not. */
#include "page_layout.h"

/* ---- gates */

static bool is_open(fixture *f, const char *gate, moon_request request) {
  char slot[600];
  snprintf(slot, sizeof slot, "{'name':'s','take':2,'sources':[{'type':'popular'}],'gate':%s}", gate);
  OK(read_site(f, slot, ""));
  ask(f, request);
  assert_int_equal(f->page->slot_count + f->page->absent_count, 1);
  return f->page->slot_count == 1;
}

#define PARAMS(...) .params = (moon_pair[]){__VA_ARGS__}, .param_n = sizeof((moon_pair[]){__VA_ARGS__}) / sizeof(moon_pair)

static void gates_go_by_what_came_with_the_request(void **state) {
  fixture *f = *state;
  const char *gate = "{'op':'param','name':'country','in':['NL','BE']}";
  assert_true(is_open(f, gate, (moon_request){PARAMS({"device", "phone"}, {"country", "BE"})}));
  assert_false(is_open(f, gate, (moon_request){PARAMS({"country", "DE"})}));
  assert_false(is_open(f, gate, (moon_request){PARAMS({"device", "NL"})}));
  assert_false(is_open(f, gate, (moon_request){0}));
  assert_true(is_open(f, "{'op':'known'}", (moon_request){.user = "u1"}));
  assert_false(is_open(f, "{'op':'known'}", (moon_request){.user = "nobody"}));
  assert_false(is_open(f, "{'op':'known'}", (moon_request){0}));
}

static int64_t at(int day, int hour, int minute) { /* day 1 is the Monday of T0 */
  return INT64_C(1789948800000000) + ((day - 1) * INT64_C(86400) + hour * 3600 + minute * 60) * MOON_SECOND;
}

static void gates_go_by_the_time(void **state) {
  fixture *f = *state;
  char span[100];
  snprintf(span, sizeof span, "{'op':'time','starts_us':%lld,'ends_us':%lld}", (long long)T0, (long long)T0 + 5);
  assert_false(is_open(f, span, (moon_request){.now = T0 - 1}));
  assert_true(is_open(f, span, (moon_request){.now = T0}));
  assert_true(is_open(f, span, (moon_request){.now = T0 + 4}));
  assert_false(is_open(f, span, (moon_request){.now = T0 + 5}));
  const char *office = "{'op':'hours','from_us':32400000000,'to_us':61200000000,'days':[1,2,3,4,5]}";
  const char *night = "{'op':'hours','from_us':79200000000,'to_us':21600000000}";
  const char *there = "{'op':'hours','from_us':32400000000,'to_us':61200000000,'zone':'CET-1CEST,M3.5.0,M10.5.0/3'}";
  assert_true(is_open(f, office, (moon_request){.now = at(1, 9, 0)}));
  assert_false(is_open(f, office, (moon_request){.now = at(1, 8, 59)}));
  assert_false(is_open(f, office, (moon_request){.now = at(5, 17, 0)}));
  assert_true(is_open(f, office, (moon_request){.now = at(5, 16, 59)}));
  assert_false(is_open(f, office, (moon_request){.now = at(6, 12, 0)}));
  assert_true(is_open(f, night, (moon_request){.now = at(3, 22, 0)}));
  assert_true(is_open(f, night, (moon_request){.now = at(3, 5, 59)}));
  assert_false(is_open(f, night, (moon_request){.now = at(3, 6, 0)}));
  assert_true(is_open(f, there, (moon_request){.now = at(1, 7, 0)})); /* 9:00 in summer */
  assert_false(is_open(f, there, (moon_request){.now = at(1, 15, 0)}));
  assert_true(is_open(f, "{'op':'hours','days':[7],'zone_us':7200000000}", (moon_request){.now = at(7, 21, 59)}));
  assert_false(is_open(f, "{'op':'hours','days':[7],'zone_us':7200000000}", (moon_request){.now = at(7, 22, 0)}));
}

static void gates_go_by_stock(void **state) {
  fixture *f = *state;
  assert_true(is_open(f, "{'op':'stock','items':['i0','i7']}", (moon_request){0}));
  assert_false(is_open(f, "{'op':'stock','items':['i0','i8']}", (moon_request){0}));
  assert_true(is_open(f, "{'op':'stock'}", (moon_request){.item = "i0"}));
  assert_false(is_open(f, "{'op':'stock'}", (moon_request){.item = "i8"}));
  assert_false(is_open(f, "{'op':'stock'}", (moon_request){0}));
}

static void gates_go_together_and_the_one_that_decided_is_named(void **state) {
  fixture *f = *state;
  const char *all = "{'op':'all','label':'all','of':[{'op':'known','label':'known'},{'op':'any','label':'any','of':["
                    "{'op':'param','name':'a','in':['1'],'label':'a'},{'op':'param','name':'b','in':['1'],'label':'b'}]},"
                    "{'op':'none','label':'none','of':[{'op':'param','name':'c','in':['1'],'label':'c'}]}]}";
  const moon_pair b = {"b", "1"}, c = {"c", "1"};
  assert_true(is_open(f, all, (moon_request){.user = "u1", PARAMS(b)}));
  assert_false(is_open(f, all, (moon_request){PARAMS(b)}));
  assert_string_equal(f->page->absent[0].gate, "known");
  assert_false(is_open(f, all, (moon_request){.user = "u1"}));
  assert_string_equal(f->page->absent[0].gate, "any");
  assert_false(is_open(f, all, (moon_request){.user = "u1", PARAMS(b, c)}));
  assert_string_equal(f->page->absent[0].gate, "c");
}

static void mistakes_in_gates_are_named(void **state) {
  fixture *f = *state;
  static const struct {
    const char *gate, *says;
    moon_code code;
  } wrong[] = {
      {"7", "gate: a gate must be an object", MOON_EFORMAT},
      {"{'op':'kown'}", "there is no gate 'kown'; did you mean 'known'?", MOON_ENOTFOUND},
      {"{'op':'param','name':'a'}", "in must be a list of texts", MOON_EFORMAT},
      {"{'op':'param','name':'a','in':[5]}", "in must be a list of texts", MOON_EFORMAT},
      {"{'op':'param','in':['5']}", "name is missing", MOON_EFORMAT},
      {"{'op':'time','starts_us':'x'}", "starts_us must be a whole number", MOON_EFORMAT},
      {"{'op':'hours','from_us':86400000000}", "must be times of the day", MOON_EINVAL},
      {"{'op':'hours','days':[8]}", "days must be numbers from 1 (Monday) to 7", MOON_EINVAL},
      {"{'op':'hours','days':[]}", "days must be", MOON_EINVAL},
      {"{'op':'hours','zone':'nonsense'}", "zone", MOON_EFORMAT},
      {"{'op':'stock','items':['i9']}", "there is no item 'i9'", MOON_ENOTFOUND},
      {"{'op':'fn'}", "fn must be", MOON_EINVAL},
      {"{'op':'all','of':[]}", "of must be a list of gates", MOON_EFORMAT},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    char slot[300];
    snprintf(slot, sizeof slot, "{'name':'s','where':'site.lua:3','sources':[{'type':'popular'}],'gate':%s}", wrong[i].gate);
    moon_status status = read_site(f, slot, "");
    if (status.code != wrong[i].code || !strstr(status.message, wrong[i].says) || strncmp(status.message, "site.lua:3: ", 12))
      fail_msg("%s: %d %s", wrong[i].gate, status.code, status.message);
  }
  char deep[1000] = "", *end = deep;
  for (int i = 0; i < 20; i++) end += sprintf(end, "{'op':'all','of':[");
  end += sprintf(end, "{'op':'known'}");
  for (int i = 0; i < 20; i++) end += sprintf(end, "]}");
  char slot[1200];
  snprintf(slot, sizeof slot, "{'name':'s','sources':[{'type':'popular'}],'gate':%s}", deep);
  REFUSED(MOON_ELIMIT, "gates within gates go 16 deep at most", read_site(f, slot, ""));
}

/* ---- titles */

static const char *title_of(fixture *f, const char *title, moon_request request) {
  char slot[600];
  snprintf(slot, sizeof slot, "{'name':'s','title':%s,'take':4,'sources':[{'type':'popular'}]}", title);
  OK(read_site(f, slot, ""));
  ask(f, request);
  return f->page->slots[0].title;
}

static void titles_are_filled_in(void **state) {
  fixture *f = *state;
  assert_string_equal(title_of(f, "'More for you'", (moon_request){0}), "More for you");
  assert_string_equal(title_of(f, "'Because you looked at {seed.title}'", (moon_request){.user = "u1"}), "Because you looked at Oak table");
  assert_string_equal(title_of(f, "'Like {item.title} ({item.price}, {item.added})'", (moon_request){.item = "i5"}), "Like Lamp (30, 2026-07-01)");
  assert_string_equal(title_of(f, "'{count} {top.category} by {top.brand}'", (moon_request){0}), "4 chairs by Acme");
  assert_string_equal(title_of(f, "'{{{user} in {param.city}}'", (moon_request){.user = "u1", PARAMS({"city", "Delft"})}), "{u1 in Delft}");
  assert_string_equal(title_of(f, "['Stock: {item.stock}','x']", (moon_request){.item = "i6"}), "Stock: 70");
}

static void a_title_that_cannot_be_filled_in_gives_way(void **state) {
  fixture *f = *state;
  const char *titles = "['Like {item.brand}','In {param.city}','For you']";
  assert_string_equal(title_of(f, titles, (moon_request){.item = "i7", PARAMS({"city", "Delft"})}), "In Delft"); /* i7 has no brand */
  assert_string_equal(title_of(f, titles, (moon_request){PARAMS({"city", ""})}), "For you");
  assert_string_equal(title_of(f, "'{seed.title}'", (moon_request){.user = "nobody"}), "s");
}

static void mistakes_in_titles_are_named(void **state) {
  fixture *f = *state;
  static const char *const wrong[][2] = {
      {"'{seed.titel}'", "did you mean 'title'?"},
      {"'{sed.title}'", "there is no blank in titles 'sed'; did you mean 'seed'?"},
      {"'{seed}'", "{seed} wants a name: {seed.title}"},
      {"'{user.name}'", "{user} stands alone, without '.name'"},
      {"'a {seed.title'", "'{seed.title' has no end; a brace itself is written {{"},
      {"[5]", "title must be a text or a list of texts"},
      {"5", "title must be a text or a list of texts"},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    char slot[300];
    snprintf(slot, sizeof slot, "{'name':'s','where':'site.lua:3','sources':[{'type':'popular'}],'title':%s}", wrong[i][0]);
    moon_status status = read_site(f, slot, "");
    if (!status.code || !strstr(status.message, wrong[i][1]) || strncmp(status.message, "site.lua:3: ", 12))
      fail_msg("%s: %s", wrong[i][0], status.message);
  }
}

/* ---- fallbacks */

static void a_chain_of_fallbacks_stops_when_the_slot_is_full(void **state) {
  fixture *f = *state;
  const char *slot = "{'name':'s','take':4,'sources':[{'type':'recent'}]}";
  OK(read_site(f, slot, "'fallback':[[{'type':'popular','n':1}],[{'type':'popular','n':7}]]"));
  ask(f, (moon_request){.user = "u1"});
  assert_items(f, 0, "3 6 5 0");
  OK(read_site(f, slot, "'fallback':[[{'type':'recent'}],[{'type':'trending'}]]"));
  ask(f, (moon_request){.user = "u1"});
  assert_int_equal(f->page->slots[0].slate->n, 4);
  assert_true(f->page->slots[0].slate->source[3] == MOON_SOURCE_TRENDING);
}

static void a_slot_may_have_a_fallback_of_its_own_or_none(void **state) {
  fixture *f = *state;
  OK(read_site(f, "{'name':'a','take':2,'min':0,'sources':[{'type':'recent'}],'fallback':[]},"
                  "{'name':'b','take':1,'sources':[{'type':'recent'}],'fallback':[[{'type':'trending'}]]},"
                  "{'name':'c','take':1,'sources':[{'type':'recent'}]}",
             "'fallback':[{'type':'popular'}]"));
  ask(f, (moon_request){0});
  assert_slots(f, "a b c");
  assert_items(f, 0, "");
  assert_true(f->page->slots[1].slate->source[0] == MOON_SOURCE_TRENDING && f->page->slots[2].slate->source[0] == MOON_SOURCE_POPULAR);
}

static void a_slot_with_too_little_is_absent_and_says_so(void **state) {
  fixture *f = *state;
  OK(read_site(f, "{'name':'a','take':5,'min':4,'sources':[{'type':'recent'}]},{'name':'b','take':2,'sources':[{'type':'recent'}]}", "'dedupe':'item'"));
  ask(f, (moon_request){.user = "u1", .explain = true});
  assert_slots(f, "b");
  assert_items(f, 0, "3 6"); /* what a let go */
  const moon_page_absent *absent = f->page->absent;
  assert_true(f->page->absent_count == 1 && absent->had == 3 && absent->min == 4 && !absent->gate);
  moon_buf out = {0};
  OK(moon_page_json(f->page, &(moon_request){.surface = "home", .explain = true}, &out));
  assert_non_null(strstr(out.data, "\"absent\":[{\"slot\":\"a\",\"items\":3,\"min\":4}]"));
  moon_buf_reset(&out);
  OK(moon_page_text(f->page, &(moon_request){.surface = "home", .explain = true}, &out));
  assert_non_null(strstr(out.data, "not there: a, it has 3 of at least 4 items"));
  moon_buf_reset(&out);
  OK(moon_page_json(f->page, &(moon_request){.surface = "home"}, &out));
  assert_null(strstr(out.data, "absent"));
  moon_buf_free(&out);
}

/* ---- dedupe and order */

static void any_column_tells_variants(void **state) {
  fixture *f = *state;
  OK(read_site(f, "{'name':'a','take':9,'sources':[{'type':'popular'}]}", "'dedupe':'brand'"));
  ask(f, (moon_request){0});
  assert_items(f, 0, "0 2 5 7"); /* Acme, Bodo, Cato, and i7 that has no brand */
  REFUSED(MOON_ENOTFOUND, "did you mean 'brand'?", read_site(f, "{'name':'a','sources':[{'type':'popular'}]}", "'dedupe':'bran'"));
}

#define OF(name, category, more)                                                                              \
  "{'name':'" name "','take':2,'sources':[{'type':'popular'}],'policies':[{'op':'filter','when':[{'column':'category','op':'eq','value':'" category \
  "'}]}]" more "}"

static void slots_go_by_what_the_user_did(void **state) {
  fixture *f = *state;
  const char *slots = OF("chairs", "chairs", "") "," OF("tables", "tables", "") "," OF("lights", "lights", "");
  OK(read_site(f, slots, "'order':{'by':'affinity','column':'category'}"));
  ask(f, (moon_request){.user = "u1"});
  assert_slots(f, "lights tables chairs");
  ask(f, (moon_request){.user = "p6"}); /* i0 alone: a chair */
  assert_slots(f, "chairs tables lights");
  ask(f, (moon_request){0});
  assert_slots(f, "chairs tables lights"); /* as written */
}

static void slots_go_by_score_and_fixed_ones_stay(void **state) {
  fixture *f = *state;
  const char *slots = OF("lights", "lights", ",'fixed':true") "," OF("tables", "tables", "") "," OF("chairs", "chairs", "");
  OK(read_site(f, slots, "'order':{'by':'score','first':1}"));
  ask(f, (moon_request){0});
  assert_slots(f, "lights chairs tables");
  REFUSED(MOON_ENOTFOUND, "order: there is no order 'scor'; did you mean 'score'?", read_site(f, slots, "'order':{'by':'scor'}"));
  REFUSED(MOON_EFORMAT, "column is missing", read_site(f, slots, "'order':{'by':'affinity'}"));
}

static void failing_memory_leaves_no_half_site(void **state) {
  fixture *f = *state;
  const char *slot = "{'name':'s','title':['Like {item.brand} {param.x}','b'],'take':4,'sources':[{'type':'popular'}],'fallback':[[{'type':'recent'}]],"
                     "'gate':{'op':'any','of':[{'op':'hours','zone':'CET-1CEST,M3.5.0,M10.5.0/3'},{'op':'param','name':'a','in':['b']}]}}";
  size_t n = 1;
  for (bool done = false; !done; n++) {
    moon_alloc_fail_at(n);
    moon_status status = read_site(f, slot, "'dedupe':'brand','order':{'by':'affinity','column':'brand'}");
    moon_alloc_fail_at(0);
    done = !status.code;
    assert_true(done || status.code == MOON_ENOMEM);
  }
  assert_true(n > 5);
}

#define LAYOUT(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      LAYOUT(gates_go_by_what_came_with_the_request),
      LAYOUT(gates_go_by_the_time),
      LAYOUT(gates_go_by_stock),
      LAYOUT(gates_go_together_and_the_one_that_decided_is_named),
      LAYOUT(mistakes_in_gates_are_named),
      LAYOUT(titles_are_filled_in),
      LAYOUT(a_title_that_cannot_be_filled_in_gives_way),
      LAYOUT(mistakes_in_titles_are_named),
      LAYOUT(a_chain_of_fallbacks_stops_when_the_slot_is_full),
      LAYOUT(a_slot_may_have_a_fallback_of_its_own_or_none),
      LAYOUT(a_slot_with_too_little_is_absent_and_says_so),
      LAYOUT(any_column_tells_variants),
      LAYOUT(slots_go_by_what_the_user_did),
      LAYOUT(slots_go_by_score_and_fixed_ones_stay),
      LAYOUT(failing_memory_leaves_no_half_site),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_script_ops.c - operators as methods of a slate: as the words of a plan, with masks; rows one by one; what is wrong is said at its line. */
#include "page/op.h"
#include "slate_script.h"

static void methods_do_what_the_words_of_a_plan_do(void **state) {
  static const char *const cases[][2] = {
      {"slate:pin { items = 'i6', at = 1 }", "{'op':'pin','items':['i6'],'at':1}"},
      {"slate:pin { items = { 'i6', 'i7' }, after = 'i1' }", "{'op':'pin','items':['i6','i7'],'after':'i1'}"},
      {"slate:pin { items = { 'i7' }, top = 0.5 }", "{'op':'pin','items':['i7'],'top':0.5}"},
      {"slate:quota { when = slate.brand:eq 'Cato', at_least = 2, first = 3 }", "{'op':'quota','when':[{'column':'brand','op':'eq','value':'Cato'}],'at_least':2,'first':3}"},
      {"slate:ratio { when = slate.brand:eq 'Acme', at_most = 0.4, first = 5 }", "{'op':'ratio','when':[{'column':'brand','op':'eq','value':'Acme'}],'at_most':0.4,'first':5}"},
      {"slate:pattern { pattern = { slate.brand:eq 'Bodo', 'any', slate.price:lt(6) } }",
       "{'op':'pattern','pattern':[[{'column':'brand','op':'eq','value':'Bodo'}],'any',[{'column':'price','op':'lt','value':6}]]}"},
      {"slate:debunch { by = 'brand', window = 3 }", "{'op':'debunch','by':'brand','window':3}"},
      {"slate:mix { by = 'price', edges = { 10, 50 }, shares = { 1, 1, 1 }, first = 6 }", "{'op':'mix','by':'price','edges':[10,50],'shares':[1,1,1],'first':6}"},
      {"slate:cap { limits = { brand = 1, category = 2 }, first = 4 }", "{'op':'cap','limits':[{'column':'brand','n':1},{'column':'category','n':2}],'first':4}"},
      {"slate:sort { by = 'price', order = 'rising' }", "{'op':'sort','by':'price','order':'rising'}"},
      {"slate:blend { weights = { score = 1, price = -2 }, scale = 'rank' }", "{'op':'blend','weights':[{'column':'price','n':-2},{'column':'score','n':1}],'scale':'rank'}"},
      {"slate:freshness { by = 'added', half_life = '7d' }", "{'op':'freshness','by':'added','half_life_us':604800000000}"},
      {"slate:clearance { stock = 'stock', over = 6 }", "{'op':'clearance','stock':'stock','over':6}"},
      {"slate:margin { of = 'price', at_least = 60, first = 3 }", "{'op':'margin','of':'price','at_least':60,'first':3}"},
      {"slate:exclude { items = { 'i0', 'i5' }, when = slate.price:gt(100) }", "{'op':'exclude','items':['i0','i5'],'when':[{'column':'price','op':'gt','value':100}]}"},
      {"slate:dpp { by = 'brand', lambda = 0.2, k = 5 }", "{'op':'dpp','by':'brand','lambda':0.2,'k':5}"},
      {"slate:sample { temperature = 0.5 }", "{'op':'sample','temperature':0.5}"},
      {"slate:epsilon { epsilon = 0.9 }", "{'op':'epsilon','epsilon':0.9}"},
  };
  fixture *f = *state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char lua[16], quoted[512];
    moon_policy policy;
    fine(f, cases[i][0]);
    strcpy(lua, order(f));
    fill(f, ITEMS);
    f->slate->request = &f->request;
    snprintf(quoted, sizeof quoted, "%s", cases[i][1]);
    for (char *c = quoted; *c; c++) *c = *c == '\'' ? '"' : *c;
    json_t *json = json_loads(quoted, 0, NULL);
    moon_policy_conditions conditions = {0};
    const moon_policy_source source = {.bundle = &f->bundle, .memory = &f->arena, .conditions = &conditions};
    OK(moon_policy_read(json, &source, &policy));
    OK(moon_policy_run(&policy, f->slate));
    if (strcmp(lua, order(f))) fail_msg("%s: %s, and the plan's %s", cases[i][0], lua, order(f));
    moon_policy_conditions_free(&conditions);
    json_decref(json);
  }
}

static void reasons_name_the_function_and_say_why(void **state) {
  fixture *f = *state;
  fine(f, "slate:pin { items = 'i6', at = 1, reason = 'campaign', owner = 'merch' }");
  const moon_reason *reason = f->slate->reason[0];
  assert_true(f->slate->item[0] == 6 && reason && reason->from == 6 && reason->to == 0);
  assert_string_equal(reason->policy, "lua(site.lua:2)");
  assert_string_equal(reason->text, "campaign (merch)");
}

static void masks_follow_their_items_through_operators(void **state) {
  fixture *f = *state;
  fine(f, "local cheap = slate.price:lt(10) slate:sort { by = 'price' } slate:pin { items = 'i7', at = 3 } slate:keep(cheap)");
  assert_string_equal(order(f), "726");
}

static void a_pin_brings_items_in_and_a_failure_takes_them_out(void **state) {
  fixture *f = *state;
  load_site(f, NULL, "p.lua(function(slate) slate:pin { items = { 'i6', 'i7' }, at = 1, bring = true } if slate:id(3) == 'i2' then error 'no' end end)", NULL);
  fill(f, 5);
  OK(call(f, 1));
  assert_string_equal(order(f), "6701234");
  fill(f, 5);
  uint8_t keep[] = {0, 0, 1, 1, 1};
  moon_slate_keep(f->slate, keep);
  assert_int_equal(call(f, 1).code, MOON_ESCRIPT);
  assert_string_equal(order(f), "234");
  moon_slate_add(f->slate, 6, 1, MOON_SOURCE_POPULAR); /* as if it had never been there; the slate has room for five */
  assert_string_equal(order(f), "2346");
}

static void each_sees_every_item_in_its_order(void **state) {
  fixture *f = *state;
  fine(f, "local seen = {} slate:each(function(row) seen[#seen + 1] = ('%s %d %s %s'):format(row.id, row.position, row.brand or '-', row.price) end)\n"
          "assert(#seen == 8 and seen[1] == 'i0 1 Acme 10.0' and seen[8] == 'i7 8 - 5.0', table.concat(seen, ';'))");
  assert_string_equal(order(f), "01234567");
}

static void score_sorts_by_what_the_function_says(void **state) {
  fixture *f = *state;
  fine(f, "slate:score(function(row) if row.brand == 'Cato' then return 2 + row.position end end) assert(slate:get(1, 'score') == 9)");
  assert_string_equal(order(f), "65012347");
  fine(f, "slate:score(function(row) return -row.price end)");
  assert_string_equal(order(f), "67201543");
  fine(f, "assert(slate.score:ge(0.85):count() == 1)"); /* the column is still there */
}

static void mistakes_are_named_at_their_line(void **state) {
  static const char *const cases[][2] = {
      {"slate:pn { items = 'i1', at = 1 }", "did you mean 'pin'?"},
      {"slate:pin { item = 'i1', at = 1 }", "there is no option of slate:pin 'item'; did you mean 'items'?"},
      {"slate:pin { items = 'i1' }", "slate:pin: one of at, after, before, top is wanted"},
      {"slate:pin { items = 'i99', at = 1 }", "slate:pin: items: there is no item 'i99'"},
      {"slate:pin { items = 'i1', at = 1.5 }", "at must be a whole number"},
      {"slate:pin 'i1'", "slate:pin must be given a table of options, got a string"},
      {"slate:quota { when = 'new', at_least = 1, first = 2 }", "a mask is wanted here"},
      {"slate:quota { at_least = 1, first = 2 }", "slate:quota: when is missing"},
      {"slate:quota { when = { mask = 0 }, at_least = 1, first = 2 }", "a mask is wanted here"},
      {"slate:debunch { by = 'brnd' }", "did you mean 'brand'?"},
      {"slate:freshness { by = 'added', half_life = 7 }", "slate:freshness: half_life must be a duration such as \"30m\" or \"7d\", got a number"},
      {"slate:blend { weights = { 1, 2 } }", "weights must be written column = number"},
      {"slate:blend { weights = { brand = 1 } }", "one of numbers is wanted"},
      {"slate:blend { weights = { price = 0 / 0 } }", "a number is not finite"},
      {"slate:frequency { done = 'impression', most = 1, within = '1d' }", "does not count 'impression'"},
      {"slate:pattern { pattern = { 'all' } }", "must be 'any', not 'all'"},
      {"slate:score(function(row) return 'much' end)", "must answer a finite number or nil, got much"},
      {"slate:score(function(row) return 0 / 0 end)", "must answer a finite number or nil"},
      {"slate:score(5)", "function expected"},
      {"slate:each(function(row) return row.prise end)", "did you mean 'price'?"},
      {"slate:each(function(row) row.price = 5 end)", "a row of the slate is for reading"},
      {"slate:each(function(row) slate:sort { by = 'price' } end)", "must not change while it is walked over"},
      {"local kept slate:each(function(row) kept = row end) local x = kept.price", "was kept after its walk"},
      {"slate:price(function() end)", "slate.price is a column and no verb"},
      {"slate:score(function() while true do end end)", "did not come to an end within its budget"},
      {"for i = 1, 1e6 do slate:debunch { by = 'brand' } end", "did not come to an end within its budget"},
  };
  fixture *f = *state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) refused(f, cases[i][0], cases[i][1]);
}

static void a_failed_allocation_leaves_the_slate_whole(void **state) {
  fixture *f = *state;
  const char *policy = "p.lua(function(slate) slate:pin { items = 'i6', at = 1 } slate:pattern { pattern = { slate.price:lt(10), 'any' } } slate:score(function(r) return r.price end) end)";
  bool through = false;
  for (size_t n = 1; n < 600 && !through; n++) {
    load_site(f, NULL, policy, NULL);
    fill(f, ITEMS);
    moon_alloc_fail_at(n);
    moon_status st = call(f, 1);
    moon_alloc_fail_at(0);
    through = !st.code;
    if (st.code) assert_string_equal(order(f), "01234567");
  }
  assert_true(through);
}

int main(void) {
#define SLATE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
  const struct CMUnitTest tests[] = {
      SLATE(methods_do_what_the_words_of_a_plan_do),
      SLATE(reasons_name_the_function_and_say_why),
      SLATE(masks_follow_their_items_through_operators),
      SLATE(a_pin_brings_items_in_and_a_failure_takes_them_out),
      SLATE(each_sees_every_item_in_its_order),
      SLATE(score_sorts_by_what_the_function_says),
      SLATE(mistakes_are_named_at_their_line),
      SLATE(a_failed_allocation_leaves_the_slate_whole),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

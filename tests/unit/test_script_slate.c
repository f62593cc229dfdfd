/* test_script_slate.c - policies and gates written in Lua over a real slate: what they can see and do, and that whatever goes wrong leaves
 * the slate as it was. */
#include "slate_script.h"

/* ---- columns and masks */

static void comparing_a_column_says_which_items(void **state) {
  static const char *const cases[][2] = {
      {"slate.price:lt(10)", "267"},
      {"slate.price:le(10)", "0267"},
      {"slate.price:gt(89)", "3"},
      {"slate.price:ge(89)", "34"},
      {"slate.price:eq(12.5)", "1"},
      {"slate.price:eq(199.99)", "3"},
      {"slate.price:ne(5)", "0123456"},
      {"slate.price:is_in { 3, 5, 1e9 }", "67"},
      {"slate.stock:gt(-1)", "0123456"}, /* nothing is not greater */
      {"slate.stock:lt(1e9)", "0123456"},
      {"slate.stock:ne(5)", "234567"},
      {"slate.sku:eq(20000001)", "0"},
      {"slate.sku:is_in { 20000002 }", "1"},
      {"slate.sku:gt(20000001)", "1"},
      {"slate.added:ge(ctx.now - 45 * 86400 * 1000000)", "36"},
      {"slate.brand:eq 'Acme'", "013"},
      {"slate.brand:ne 'Acme'", "24567"},
      {"slate.brand:is_in { 'Bodo', 'Cato', 'Nobody' }", "2456"},
      {"slate.brand:is_in {}", ""},
      {"slate.brand:eq 'Nobody'", ""},
      {"slate:column 'title':eq 'Stool'", "2"},
      {"slate.score:ge(0.7)", "012"},
      {"slate.score:eq(0.9)", "0"},
      {"slate.position:le(3)", "012"},
      {"slate.position:is_in { 1, 8 }", "07"},
      {"slate.price:lt(0 / 0)", ""},
  };
  fixture *f = *state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char body[256];
    snprintf(body, sizeof body, "slate:keep(%s)", cases[i][0]);
    fine(f, body);
    if (strcmp(order(f), cases[i][1])) fail_msg("%s: kept %s, not %s", cases[i][0], order(f), cases[i][1]);
  }
}

static void masks_combine(void **state) {
  fixture *f = *state;
  fine(f, "slate:keep(slate.price:lt(20) & slate.brand:eq 'Acme')");
  assert_string_equal(order(f), "01");
  fine(f, "slate:keep(slate.price:lt(4) | slate.brand:eq 'Bodo')");
  assert_string_equal(order(f), "246");
  fine(f, "slate:keep(~slate.brand:eq 'Acme' & ~slate.stock:gt(0))");
  assert_string_equal(order(f), "7");
  fine(f, "assert(slate.price:lt(20):count() == 5 and (~slate.price:lt(20)):count() == 3 and tostring(slate.price:lt(1)) == 'mask over 8 items')");
}

static void a_mask_means_its_items_wherever_they_have_gone(void **state) {
  fixture *f = *state;
  fine(f, "local cheap = slate.price:lt(10) slate:boost(slate.price:gt(80), 10) assert(slate:id(1) == 'i3') slate:keep(cheap)");
  assert_string_equal(order(f), "267");
  fine(f, "local cheap, acme = slate.price:lt(10), slate.brand:eq 'Acme' slate:drop(slate.stock:eq(2)) slate:keep(cheap | acme) assert(cheap:count() == 2)");
  assert_string_equal(order(f), "01367");
  fine(f, "local first = slate.position:eq(1) slate:boost(slate.brand:eq 'Cato', 100) slate:keep(first | slate.position:eq(1))");
  assert_string_equal(order(f), "50");
}

/* A random expression as Lua text, and which items it holds for by a plain reading of the catalogue. */
typedef struct expression {
  char text[512];
  bool holds[ITEMS];
} expression;

static expression random_comparison(const fixture *f, moon_rng *rng) {
  static const char *const ops[] = {"lt", "le", "gt", "ge", "eq", "ne"};
  static const double numbers[] = {3, 5, 7, 10, 12.5, 30, 89, 199.99, 1000};
  static const char *const brands[] = {"Acme", "Bodo", "Cato", "Dada"};
  const moon_table *table = f->bundle.catalogue->table;
  expression e;
  if (moon_rng_below(rng, 2)) {
    const moon_column *column = moon_table_column(table, moon_rng_below(rng, 2) ? "price" : "stock");
    uint32_t op = moon_rng_below(rng, 6);
    double y = numbers[moon_rng_below(rng, 9)];
    snprintf(e.text, sizeof e.text, "slate.%s:%s(%g)", column->name, ops[op], y);
    for (size_t i = 0; i < ITEMS; i++) {
      double x = moon_column_number(column, i);
      bool by_op[] = {x < y, x <= y, x > y, x >= y, x == y, !(x == y)};
      e.holds[i] = by_op[op];
    }
  } else {
    const char *brand = brands[moon_rng_below(rng, 4)];
    bool equal = moon_rng_below(rng, 2);
    snprintf(e.text, sizeof e.text, "slate.brand:%s '%s'", equal ? "eq" : "ne", brand);
    for (size_t i = 0; i < ITEMS; i++) {
      const char *text = moon_column_text(moon_table_column(table, "brand"), i);
      e.holds[i] = (text && !strcmp(text, brand)) == equal;
    }
  }
  return e;
}

static expression random_expression(const fixture *f, moon_rng *rng, int depth) {
  if (depth == 0) return random_comparison(f, rng);
  expression a = random_expression(f, rng, depth - 1), b = random_expression(f, rng, depth - 1), e;
  uint32_t how = moon_rng_below(rng, 3);
  if (how == 2) snprintf(e.text, sizeof e.text, "~(%.500s)", a.text);
  else snprintf(e.text, sizeof e.text, "(%.240s %c %.240s)", a.text, how ? '|' : '&', b.text);
  for (size_t i = 0; i < ITEMS; i++) e.holds[i] = how == 2 ? !a.holds[i] : how ? a.holds[i] || b.holds[i] : a.holds[i] && b.holds[i];
  return e;
}

static void random_masks_agree_with_a_plain_reading(void **state) {
  fixture *f = *state;
  moon_rng rng;
  moon_rng_seed(&rng, 11, 0);
  for (int round = 0; round < 150; round++) {
    expression e = random_expression(f, &rng, (int)moon_rng_below(&rng, 3));
    char body[600], want[ITEMS + 1];
    size_t n = 0;
    for (size_t i = 0; i < ITEMS; i++)
      if (e.holds[i]) want[n++] = (char)('0' + i);
    want[n] = 0;
    snprintf(body, sizeof body, "slate:keep(%s)", e.text);
    fine(f, body);
    if (strcmp(order(f), want)) fail_msg("%s: kept %s, not %s", e.text, order(f), want);
  }
}

/* ---- verbs: as the operators of core/page */

static void verbs_do_what_their_operators_do(void **state) {
  fixture *f = *state;
  uint8_t acme[ITEMS] = {1, 1, 0, 1}, not_acme[ITEMS] = {0, 0, 1, 0, 1, 1, 1, 1};
  char lua[64];
  fine(f, "slate:boost(slate.brand:ne 'Acme', 1.5, 'why') slate:sort()");
  strcpy(lua, order(f));
  float first = f->slate->score[0];
  fill(f, ITEMS);
  moon_slate_boost(f->slate, not_acme, 1.5f, "p", "why");
  assert_string_equal(lua, order(f));
  assert_true(first == f->slate->score[0]);

  fine(f, "slate:drop(slate.brand:eq 'Acme')");
  strcpy(lua, order(f));
  fill(f, ITEMS);
  for (size_t i = 0; i < ITEMS; i++) acme[i] = !acme[i];
  moon_slate_keep(f->slate, acme);
  assert_string_equal(lua, order(f));

  fine(f, "slate:cap('category', 1)");
  strcpy(lua, order(f));
  fill(f, ITEMS);
  OK(moon_slate_cap(f->slate, "category", 1, "p"));
  assert_string_equal(lua, order(f));

  fine(f, "slate:mmr { lambda = 0.3, by = 'brand', k = 5 }");
  strcpy(lua, order(f));
  fill(f, ITEMS);
  OK(moon_slate_mmr(f->slate, 0.3f, "brand", 5, "p"));
  assert_string_equal(lua, order(f));
}

static void a_boost_says_why_and_by_which_function(void **state) {
  fixture *f = *state;
  fine(f, "slate:boost(slate.price:eq(3), 50, 'bargain ' .. 'week')");
  const moon_reason *reason = f->slate->reason[0];
  assert_string_equal(order(f), "60123457");
  assert_non_null(reason);
  assert_string_equal(reason->policy, "lua(site.lua:2)");
  assert_string_equal(reason->text, "bargain week");
  assert_true(reason->factor == 50 && reason->from == 6 && reason->to == 0);
}

static void a_slate_can_be_read_item_by_item(void **state) {
  fixture *f = *state;
  fine(f,
       "assert(#slate == 8 and slate:id(1) == 'i0' and slate:id(8) == 'i7' and tostring(slate) == 'slate of 8 items')\n"
       "assert(slate:get(4, 'title') == 'Oak table' and slate:get(4, 'price') == 199.99 and slate:get(1, 'sku') == 20000001)\n"
       "assert(slate:get(8, 'title') == nil and slate:get(8, 'stock') == nil and slate:get(8, 'price') == 5)\n"
       "assert(math.abs(slate:get(2, 'score') - 0.8) < 1e-6 and slate:get(2, 'position') == 2 and math.type(slate:get(1, 'added')) == 'integer')\n"
       "assert(tostring(slate.price) == 'slate.price')");
}

static void an_empty_slate_is_no_problem(void **state) {
  fixture *f = *state;
  load_site(f, NULL,
            "p.lua(function(slate) slate:boost(slate.price:lt(5), 2) slate:keep(~slate.brand:eq 'x') slate:sort() slate:cap('brand', 1) slate:mmr {}\n"
            "assert(#slate == 0 and slate.price:lt(1):count() == 0) end)",
            NULL);
  fill(f, 0);
  OK(call(f, 1));
  assert_int_equal(f->slate->n, 0);
}

/* ---- what is wrong is said at the user's line, and nothing has happened */

static void mistakes_name_the_line_and_what_was_wanted(void **state) {
  static const char *const cases[][2] = {
      {"local x = slate.prise", "there is no column or verb of the slate 'prise'; did you mean 'price'?"},
      {"slate:bost(slate.price:lt(1), 2)", "did you mean 'boost'?"},
      {"slate:keep(slate.price)", "a mask is wanted here (such as slate.price:lt(20)), got a moonshelf.column"},
      {"slate:keep()", "a mask is wanted here"},
      {"slate:keep(true)", "got a boolean"},
      {"slate:boost(slate.price:lt(1))", "number expected"},
      {"slate:boost(slate.price:lt(1), 0)", "slate:boost: the factor must be above 0, got 0.0"},
      {"slate:boost(slate.price:lt(1), -1)", "above 0"},
      {"slate:boost(slate.price:lt(1), 0 / 0)", "finite"},
      {"slate:boost(slate.price:lt(1), 1e300)", "finite"},
      {"slate:boost(slate.price:lt(1), 2, {})", "string expected"},
      {"slate.price:lt('10')", "slate.price is a column of numbers; compare it with a number, not a string"},
      {"slate.price.lt(10)", "write slate.price:lt(20) with a colon"},
      {"slate.price:is_in { 'a' }", "compare it with a number, not a string"},
      {"slate.brand:lt('x')", "slate.brand is a column of strings; it has :eq, :ne and :is_in"},
      {"slate.brand:eq(5)", "slate.brand is a column of strings; compare it with a string, not a number"},
      {"slate.brand:is_in 'x'", "table expected"},
      {"slate:cap('brand', 0)", "slate:cap: the limit must be 1 or more, got 0"},
      {"slate:cap('barnd', 1)", "brand"},
      {"slate:cap()", "string expected"},
      {"slate:mmr { lamda = 1 }", "there is no option of slate:mmr 'lamda'; did you mean 'lambda'?"},
      {"slate:mmr { lambda = 2 }", "slate:mmr: lambda must be a number from 0 to 1, got 2"},
      {"slate:mmr { by = {} }", "slate:mmr: by must be a string, got a table"},
      {"slate:mmr { k = 1.5 }", "slate:mmr: k must be a whole number, 1 or more, got 1.5"},
      {"slate:mmr { by = 'barnd' }", "brand"},
      {"slate:mmr(5)", "table expected"},
      {"slate:id(0)", "position 0 is not in the slate (1 to 8)"},
      {"slate:id(9)", "position 9 is not in the slate"},
      {"slate:get(1, 'prise')", "did you mean 'price'?"},
      {"slate.mine = 1", "a slate has no fields to set ('mine')"},
      {"slate.id()", "moonshelf.slate"},
      {"local x = slate.price:lt(1) & 3", "a mask is wanted here"},
      {"slate:drop(slate.price:gt(0)) slate:id(1)", "position 1 is not in the slate"},
      {"slate:keep(slate.price:lt(10)) slate:boost(slate.price:lt(10), 3) slate:cap('brand', 1) error('never mind')", "never mind"},
      {"slate:keep(slate.price:lt(10)) error({})", "(error value: a table)"},
      {"slate:sort() local x = nil + 1", "attempt to perform arithmetic on a nil value"},
  };
  fixture *f = *state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) refused(f, cases[i][0], cases[i][1]);
}

static void what_a_policy_keeps_is_dead_afterwards(void **state) {
  static const char *const cases[][2] = {
      {"kept = slate", "local x = #kept"},          {"kept = slate", "kept:sort()"},        {"kept = slate", "local x = kept.price"},
      {"kept = slate", "kept:keep(slate.price:lt(9))"}, {"kept = slate.price", "kept:lt(5)"}, {"kept = slate.price:lt(9)", "slate:keep(kept)"},
      {"kept = slate.price:lt(9)", "local x = kept & kept"},  {"kept = slate.price:lt(9)", "kept:count()"},
  };
  fixture *f = *state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char policies[256];
    snprintf(policies, sizeof policies, "p.lua(function(slate) %s end), p.lua(function(slate) %s end)", cases[i][0], cases[i][1]);
    load_site(f, NULL, policies, NULL);
    fill(f, ITEMS);
    OK(call(f, 1));
    fill(f, ITEMS);
    REFUSED(MOON_ESCRIPT, "was kept after its policy returned", call(f, 2));
    assert_string_equal(order(f), "01234567");
  }
  load_site(f, NULL, "p.lua(function(slate) kept = slate end), p.lua(function() assert(tostring(kept) == 'slate (gone)') end)", NULL);
  OK(call(f, 1));
  OK(call(f, 2));
}

static void a_policy_out_of_budget_is_stopped_and_undone(void **state) {
  static const char *const bodies[] = {
      "slate:keep(slate.price:lt(10)) while true do end",
      "slate:boost(slate.price:lt(10), 9) while true do slate:sort() end",
      "while true do local x = slate.price:lt(3) | slate.price:gt(5) end",
      "slate:drop(slate.price:lt(10)) while true do pcall(function() while true do slate:mmr { by = 'brand' } end end) end",
      "while true do slate:get(1, 'price') end",
  };
  fixture *f = *state;
  for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
    refused(f, bodies[i], "did not come to an end within its budget of 1000000 instructions");
    fill(f, ITEMS);
    REFUSED(MOON_ESCRIPT, "budget", call(f, 1)); /* and again: a call begins with a whole budget */
  }
}

static void a_stopped_coroutine_cannot_run_on_in_a_later_call(void **state) {
  static const char *const later[] = {"coroutine.close(co)", "coroutine.resume(co)", "pcall(wrapped)"};
  fixture *f = *state;
  for (size_t i = 0; i < sizeof later / sizeof *later; i++) {
    char policies[1024];
    snprintf(policies, sizeof policies,
             "p.lua(function()\n"
             "  local function body() local x <close> = setmetatable({}, {__close = function() while true do end end}) while true do end end\n"
             "  co, wrapped = coroutine.create(body), coroutine.wrap(body) %s end),\n"
             "p.lua(function() %s end)",
             i == 2 ? "wrapped()" : "coroutine.resume(co)", later[i]);
    load_site(f, NULL, policies, NULL);
    fill(f, ITEMS);
    REFUSED(MOON_ESCRIPT, "budget", call(f, 1));
    int64_t before = moon_monotonic();
    OK(call(f, 2));
    assert_true(moon_monotonic() - before < MOON_SECOND);
  }
}

static void a_long_slate_can_be_read_within_the_budget(void **state) {
  fixture *f = *state;
  moon_catalogue *small = f->bundle.catalogue;
  moon_table *table;
  moon_column *item, *price;
  enum { MANY = 2000 };
  OK(moon_table_new("items", &table));
  OK(moon_table_add_column(table, "item", MOON_STRING, &item));
  OK(moon_table_add_column(table, "price", MOON_NUMBER, &price));
  item = &table->columns[0];
  for (int i = 0; i < MANY; i++) {
    char id[16];
    OK(moon_column_push_string(item, id, (size_t)snprintf(id, sizeof id, "i%d", i)));
    OK(moon_column_push_number(price, i % 100));
  }
  table->rows = MANY;
  OK(moon_catalogue_new(table, &f->bundle.catalogue));
  load_site(f, NULL,
            "p.lua(function(slate) local sum = 0\n"
            "for i = 1, #slate do if slate:id(i) then sum = sum + slate:get(i, 'price') + slate:get(i, 'position') end end\n"
            "assert(sum == 2000 * 49.5 + 2000 * 2001 / 2) for i = 1, 100 do slate:keep(slate.price:ge(0)) slate:boost(slate.price:lt(5), 1.01) end end)",
            NULL);
  fill(f, MANY);
  OK(call(f, 1));
  moon_catalogue_free(f->bundle.catalogue);
  f->bundle.catalogue = small;
}

static void a_failed_allocation_leaves_the_slate_whole(void **state) {
  fixture *f = *state;
  const char *policy = "p.lua(function(slate, ctx) slate:boost(slate.price:lt(10), 2, 'a' .. ctx.surface) slate:cap('brand', 1) slate:mmr { by = 'brand' } end)";
  bool through = false;
  for (size_t n = 1; n < 400 && !through; n++) {
    load_site(f, NULL, policy, NULL);
    fill(f, ITEMS);
    moon_alloc_fail_at(n);
    moon_status st = call(f, 1);
    moon_alloc_fail_at(0);
    through = !st.code;
    if (st.code) {
      assert_true(st.message[0]);
      assert_string_equal(order(f), "01234567");
      assert_null(f->slate->reason[0]);
    }
  }
  assert_true(through);
}

/* ---- ctx */

static void ctx_says_who_asks_for_what_and_when(void **state) {
  fixture *f = *state;
  fine(f,
       "assert(ctx.surface == 'home' and ctx.user.id == 'u1' and ctx.user.known == true and ctx.item == nil)\n"
       "assert(#ctx.cart == 2 and ctx.cart[1] == 'i3' and ctx.cart[2] == 'i5')\n"
       "assert(ctx.params.country == 'NL' and ctx.params.device == 'phone' and ctx.params.nothing == nil)\n"
       "assert(ctx.now == 1795515072 * 1000000 and math.type(ctx.now) == 'integer')\n"
       "local c = ctx.clock assert(c:date() == '2026-11-24' and c:year() == 2026 and c:month() == 11 and c:day() == 24)\n"
       "assert(c:hour() == 10 and c:minute() == 11 and c:weekday() == 2)");
  refused(f, "local x = ctx.usr", "there is no field of ctx 'usr'; did you mean 'user'?");
  refused(f, "local x = ctx.user.segment", "there is no field of ctx.user 'segment'");
  refused(f, "local x = ctx.clock:huor()", "attempt to call a nil value");
  refused(f, "ctx.clock.hour()", "moonshelf.clock");
}

static void a_stranger_is_not_known(void **state) {
  fixture *f = *state;
  load_site(f, NULL, "p.lua(function(_, ctx) assert(ctx.user.id == nil and not ctx.user.known) end), p.lua(function(_, ctx) assert(ctx.user.id == 'x' and not ctx.user.known) end)", NULL);
  fill(f, 1);
  f->request.user = NULL;
  OK(call(f, 1));
  f->request.user = "x";
  f->request.user_row = MOON_NONE;
  OK(call(f, 2));
}

static void the_clock_agrees_with_the_calendar(void **state) {
  fixture *f = *state;
  load_site(f, NULL,
            "p.lua(function(_, ctx) local c = ctx.clock\n"
            "error(('%d-%d-%d %d:%d %d'):format(c:year(), c:month(), c:day(), c:hour(), c:minute(), c:weekday())) end)",
            NULL);
  fill(f, 1);
  moon_rng rng;
  moon_rng_seed(&rng, 3, 0);
  for (int round = 0; round < 200; round++) {
    time_t seconds = (time_t)(moon_rng_u64(&rng) % 8000000000u) - 4000000000;
    struct tm parts;
    gmtime_r(&seconds, &parts);
    char want[80];
    snprintf(want, sizeof want, "%d-%d-%d %d:%d %d", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min,
             parts.tm_wday ? parts.tm_wday : 7);
    f->request.now = (int64_t)seconds * MOON_SECOND + moon_rng_below(&rng, 1000000);
    REFUSED(MOON_ESCRIPT, want, call(f, 1));
  }
}

/* ---- random numbers */

static void random_numbers_follow_the_requests_seed(void **state) {
  fixture *f = *state;
  char message[3][sizeof(((moon_status *)0)->message)];
  const char *draw = "p.lua(function() error(('%d %.17g'):format(math.random(1 << 40), math.random())) end)";
  char twice[256];
  snprintf(twice, sizeof twice, "%s, %s", draw, draw);
  load_site(f, NULL, twice, NULL);
  fill(f, 1);
  strcpy(message[0], call(f, 1).message);
  assert_string_equal(message[0], call(f, 1).message); /* the same request, the same page */
  assert_string_not_equal(message[0], call(f, 2).message); /* two functions do not draw the same */
  f->request.seed++;
  assert_string_not_equal(message[0], call(f, 1).message);
  f->request.seed--;
  load_site(f, NULL, twice, NULL);
  assert_string_equal(message[0], call(f, 1).message); /* another host, too */
}

/* ---- gates */

static void a_gate_is_open_where_its_function_says_so(void **state) {
  static const struct {
    const char *gate;
    bool open;
  } cases[] = {
      {"function(ctx) return ctx.params.country == 'NL' end", true}, {"function(ctx) return ctx.params.country == 'BE' end", false},
      {"function(ctx) return 1 end", true},                          {"function(ctx) end", false},
      {"function(ctx) return ctx.user.known end", true},             {"function(ctx) return ctx.clock:weekday() == 2 end", true},
  };
  fixture *f = *state;
  fill(f, 1);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    bool open = !cases[i].open;
    load_site(f, NULL, "", cases[i].gate);
    OK(f->functions.gate(f->functions.self, 1, &f->request, &open));
    if (open != cases[i].open) fail_msg("%s is %s", cases[i].gate, open ? "open" : "closed");
  }
}

static void a_gate_that_fails_is_closed(void **state) {
  fixture *f = *state;
  fill(f, 1);
  bool open = true;
  load_site(f, NULL, "", "function(ctx) return ctx.contry end");
  REFUSED(MOON_ESCRIPT, "site.lua:2: there is no field of ctx 'contry'", f->functions.gate(f->functions.self, 1, &f->request, &open));
  assert_false(open);
  open = true;
  load_site(f, NULL, "", "function() while true do end end");
  REFUSED(MOON_ESCRIPT, "budget", f->functions.gate(f->functions.self, 1, &f->request, &open));
  assert_false(open);
}

static void a_number_that_is_no_function_is_refused(void **state) {
  fixture *f = *state;
  load_site(f, NULL, "p.lua(function() end)", NULL);
  fill(f, ITEMS);
  REFUSED(MOON_ESCRIPT, "function 7 is not in this script", call(f, 7));
  REFUSED(MOON_ESCRIPT, "function 0 is not in this script", call(f, 0));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(comparing_a_column_says_which_items),
      TEST(masks_combine),
      TEST(a_mask_means_its_items_wherever_they_have_gone),
      TEST(random_masks_agree_with_a_plain_reading),
      TEST(verbs_do_what_their_operators_do),
      TEST(a_boost_says_why_and_by_which_function),
      TEST(a_slate_can_be_read_item_by_item),
      TEST(an_empty_slate_is_no_problem),
      TEST(mistakes_name_the_line_and_what_was_wanted),
      TEST(what_a_policy_keeps_is_dead_afterwards),
      TEST(a_policy_out_of_budget_is_stopped_and_undone),
      TEST(a_stopped_coroutine_cannot_run_on_in_a_later_call),
      TEST(a_long_slate_can_be_read_within_the_budget),
      TEST(a_failed_allocation_leaves_the_slate_whole),
      TEST(ctx_says_who_asks_for_what_and_when),
      TEST(a_stranger_is_not_known),
      TEST(the_clock_agrees_with_the_calendar),
      TEST(random_numbers_follow_the_requests_seed),
      TEST(a_gate_is_open_where_its_function_says_so),
      TEST(a_gate_that_fails_is_closed),
      TEST(a_number_that_is_no_function_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_page_joint.c - pages whose slots are filled all at once: nobody starves, what the page asks for holds, and every gap has its rule. */
#include "page_layout.h"

#define POPULAR(name, more) "{'name':'" name "','sources':[{'type':'popular'}]" more "}"
#define CHAIRS(name, more) \
  "{'name':'" name "','sources':[{'type':'popular'}],'policies':[{'op':'filter','when':[{'column':'category','op':'eq','value':'chairs'}]}]" more "}"

static void assert_cell(const fixture *f, size_t i, const char *slot, uint32_t position, const char *id, const char *rule, const char *name) {
  if (i >= f->page->cell_count) fail_msg("there are %zu cells", f->page->cell_count);
  const moon_page_cell *cell = &f->page->cells[i];
  char got[200], expected[200];
  snprintf(got, sizeof got, "%s %u %s %s %s", cell->slot, cell->position, cell->id ? cell->id : "-", cell->rule, cell->name ? cell->name : "-");
  snprintf(expected, sizeof expected, "%s %u %s %s %s", slot, position, id, rule, name);
  assert_string_equal(got, expected);
}

static void the_first_slot_does_not_starve_the_last(void **state) {
  fixture *f = *state;
  const char *slots = POPULAR("a", ",'take':2") "," CHAIRS("b", ",'take':3,'min':3");
  OK(read_site(f, slots, "'dedupe':'item'"));
  ask(f, (moon_request){0});
  assert_slots(f, "a");
  OK(read_site(f, slots, "'dedupe':'item','solve':{'within_us':10000000}"));
  ask(f, (moon_request){.explain = true});
  assert_slots(f, "a b");
  assert_items(f, 0, "3 4");
  assert_items(f, 1, "0 1 2");
  assert_int_equal(f->page->cell_count, 2);
  assert_cell(f, 0, "a", 0, "i0", "dedupe", "b");
  assert_cell(f, 1, "a", 1, "i1", "dedupe", "b");
}

static void a_slot_that_cannot_have_its_least_gives_way(void **state) {
  fixture *f = *state;
  OK(read_site(f, CHAIRS("a", ",'take':2,'min':2") "," CHAIRS("b", ",'take':2,'min':2"), "'dedupe':'item','solve':{'within_us':10000000}"));
  ask(f, (moon_request){.explain = true});
  assert_slots(f, "a");
  assert_items(f, 0, "0 1");
  assert_true(f->page->absent_count == 1 && f->page->absent[0].had < 2 && f->page->absent[0].min == 2);
}

static void caps_are_of_the_whole_page(void **state) {
  fixture *f = *state;
  const char *slots = POPULAR("a", ",'take':3") "," POPULAR("b", ",'take':3");
  OK(read_site(f, slots, "'dedupe':'item','solve':{'within_us':10000000,'caps':[{'column':'category','n':2}]}"));
  ask(f, (moon_request){.explain = true});
  size_t chairs = 0;
  for (size_t s = 0; s < 2; s++)
    for (size_t i = 0; i < f->page->slots[s].slate->n; i++) chairs += f->page->slots[s].slate->item[i] < 3;
  assert_int_equal(chairs, 2);
  assert_true(f->page->slots[0].slate->n == 3 && f->page->slots[1].slate->n == 3); /* two chairs, two tables, two of light or thing */
  bool told = false;
  for (size_t i = 0; i < f->page->cell_count; i++)
    told |= !strcmp(f->page->cells[i].rule, "cap") && !strcmp(f->page->cells[i].name, "category");
  assert_true(told);
}

static void floors_are_kept_at_the_least_cost(void **state) {
  fixture *f = *state;
  OK(read_site(f, POPULAR("a", ",'take':3"), "'solve':{'within_us':10000000,'floors':[{'when':[{'column':'category','op':'eq','value':'lights'}],'at_least':2,'label':'light'}]}"));
  ask(f, (moon_request){.explain = true});
  assert_items(f, 0, "0 5 6");
  assert_cell(f, 0, "a", 1, "i1", "floor", "light");
  assert_cell(f, 1, "a", 2, "i2", "floor", "light");
  OK(read_site(f, POPULAR("a", ",'take':3"), "'solve':{'within_us':10000000,'floors':[{'when':[{'column':'price','op':'gt','value':800}],'at_least':2,'label':'dear'}]}"));
  ask(f, (moon_request){0});
  assert_items(f, 0, "0 1 2"); /* i8 alone is so dear, and out of stock */
}

static void an_empty_place_names_what_kept_it_empty(void **state) {
  fixture *f = *state;
  OK(read_site(f, CHAIRS("a", ",'take':5"), "'solve':{'within_us':10000000,'caps':[{'column':'brand','n':1}]}"));
  ask(f, (moon_request){.explain = true});
  assert_items(f, 0, "0 2");
  assert_int_equal(f->page->cell_count, 4);
  assert_cell(f, 0, "a", 1, "i1", "cap", "brand");
  assert_cell(f, 1, "a", 2, "-", "cap", "brand");
  OK(read_site(f, CHAIRS("a", ",'take':4"), "'solve':{'within_us':10000000}"));
  ask(f, (moon_request){.explain = true});
  assert_cell(f, 0, "a", 3, "-", "no more candidates", "-");
  moon_buf out = {0};
  OK(moon_page_json(f->page, &(moon_request){.surface = "home", .explain = true}, &out));
  assert_non_null(strstr(out.data, "\"displaced\":[{\"slot\":\"a\",\"position\":4,\"item\":null,\"rule\":\"no more candidates\"}]"));
  moon_buf_free(&out);
}

static void quotas_and_the_slots_own_caps_hold(void **state) {
  fixture *f = *state;
  OK(read_site(f, "{'name':'a','take':4,'sources':[{'type':'recent','at_least':2,'at_most':2},{'type':'popular'}],"
                  "'policies':[{'op':'cap','limits':[{'column':'category','n':1}]}]}",
             "'dedupe':'item','solve':{'within_us':10000000}"));
  ask(f, (moon_request){.user = "u1", .explain = true});
  const moon_slate *slate = f->page->slots[0].slate;
  size_t recent = 0;
  for (size_t i = 0; i < slate->n; i++) recent += slate->source[i] == MOON_SOURCE_RECENT;
  assert_int_equal(recent, 2);
  assert_items(f, 0, "3 6 0 7"); /* i5 is a light, as i6 is; i7 has no category */
}

/* ---- random pages */

static const char *random_slot(moon_rng *rng, int number, char *out, size_t room) {
  static const char *const sources[] = {"popular", "trending", "recent"};
  uint32_t take = 1 + moon_rng_below(rng, 5);
  snprintf(out, room, "{'name':'s%d','take':%u,'min':%u,'sources':[{'type':'%s'},{'type':'%s'}]%s%s}", number, take, moon_rng_below(rng, take + 1),
           sources[moon_rng_below(rng, 3)], sources[moon_rng_below(rng, 3)],
           moon_rng_below(rng, 3) ? "" : ",'policies':[{'op':'cap','limits':[{'column':'brand','n':2}]}]", moon_rng_below(rng, 3) ? "" : ",'fallback':[[{'type':'popular'}]]");
  return out;
}

static void check_page(const fixture *f, bool capped) {
  size_t shown[9] = {0}, of_brand[8] = {0};
  for (size_t s = 0; s < f->page->slot_count; s++) {
    const moon_page_slot *slot = &f->page->slots[s];
    const moon_site_slot *plan = &f->site->pages[0].slots[slot->name[1] - '0'];
    size_t told = 0;
    assert_true(slot->slate->n >= plan->min && slot->slate->n <= plan->take);
    for (size_t i = 0; i < slot->slate->n; i++) {
      uint32_t item = slot->slate->item[i];
      assert_true(item != 8 && !shown[item]++);
      uint32_t brand = moon_table_column(f->bundle.catalogue->table, "brand")->code[item];
      if (brand != MOON_NONE) of_brand[brand]++;
    }
    for (size_t i = 0; i < f->page->cell_count; i++)
      told += !strcmp(f->page->cells[i].slot, slot->name) && !f->page->cells[i].id;
    assert_int_equal(told, plan->take - slot->slate->n);
  }
  assert_true(!shown[0] || !shown[1]); /* variants of one product */
  for (size_t b = 0; capped && b < 8; b++) assert_true(of_brand[b] <= 3);
}

static void whatever_the_site_its_rules_hold(void **state) {
  fixture *f = *state;
  moon_rng rng;
  moon_rng_seed(&rng, 11, 0);
  for (size_t run = 0; run < 1500; run++) {
    char slots[3][300], all[1000], options[300];
    bool capped = moon_rng_below(&rng, 2);
    snprintf(all, sizeof all, "%s,%s,%s", random_slot(&rng, 0, slots[0], 300), random_slot(&rng, 1, slots[1], 300), random_slot(&rng, 2, slots[2], 300));
    snprintf(options, sizeof options, "'dedupe':'product','solve':{'within_us':10000000,%s'floors':[{'when':[{'column':'new','op':'truthy'}],'at_least':%u,'label':'new'}],'steps':%u}",
             capped ? "'caps':[{'column':'brand','n':3}]," : "", 1 + moon_rng_below(&rng, 4), moon_rng_below(&rng, 400));
    OK(read_site(f, all, options));
    ask(f, (moon_request){.user = moon_rng_below(&rng, 2) ? "u1" : "p3", .explain = true});
    check_page(f, capped);
  }
}

static void mistakes_are_named(void **state) {
  fixture *f = *state;
  static const char *const wrong[][2] = {
      {"5", "solve must be an object"},
      {"{'steps':-1}", "steps must be"},
      {"{'caps':[{'column':'brandd','n':1}]}", "did you mean 'brand'?"},
      {"{'caps':[{'column':'brand'}]}", "n"},
      {"{'floors':[{'at_least':2}]}", "floors[1]: when is missing"},
      {"{'floors':[{'when':[{'column':'new','op':'truthy'}]}]}", "at_least must be"},
      {"{'floors':[{'when':[{'column':'nwe','op':'truthy'}],'at_least':1}]}", "did you mean 'new'?"},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    char options[200];
    snprintf(options, sizeof options, "'solve':%s", wrong[i][0]);
    moon_status status = read_site(f, POPULAR("a", ""), options);
    if (!status.code || !strstr(status.message, wrong[i][1])) fail_msg("%s: %s", wrong[i][0], status.message);
  }
}

static void failing_memory_fails_the_page_alone(void **state) {
  fixture *f = *state;
  moon_request request = {.surface = "home", .user = "u1", .now = T0 + 200 * MOON_SECOND, .explain = true};
  OK(read_site(f, POPULAR("a", ",'take':3") "," CHAIRS("b", ",'take':3"), "'dedupe':'product','solve':{'within_us':10000000,'caps':[{'column':'brand','n':2}]}"));
  size_t n = 1;
  for (bool done = false; !done; n++) {
    moon_arena arena = {0};
    moon_page *page = NULL;
    moon_alloc_fail_at(n);
    moon_status status = moon_page_assemble(f->assembler, f->site, f->bundle.state, &request, &(moon_page_functions){0}, &arena, &page);
    moon_alloc_fail_at(0);
    done = !status.code;
    assert_true(done || status.code == MOON_ENOMEM);
    moon_arena_free(&arena);
  }
  assert_true(n > 2);
}

#define JOINT(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      JOINT(the_first_slot_does_not_starve_the_last),
      JOINT(a_slot_that_cannot_have_its_least_gives_way),
      JOINT(caps_are_of_the_whole_page),
      JOINT(floors_are_kept_at_the_least_cost),
      JOINT(an_empty_place_names_what_kept_it_empty),
      JOINT(quotas_and_the_slots_own_caps_hold),
      JOINT(whatever_the_site_its_rules_hold),
      JOINT(mistakes_are_named),
      JOINT(failing_memory_fails_the_page_alone),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

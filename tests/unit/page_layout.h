/* page_layout.h - a shop that people have been to, and sites of one surface over it: for tests of how pages are laid out. */
#ifndef TEST_PAGE_LAYOUT_H
#define TEST_PAGE_LAYOUT_H
#include "page/assemble.h"
#include "page_shop.h"

static const int64_t T0 = 1790000000000000; /* 2026-09-21, a Monday, 14:13:20 UTC */

typedef struct fixture {
  moon_bundle bundle;
  moon_site *site;
  moon_assembler *assembler;
  moon_arena arena;
  moon_page *page;
} fixture;

static inline void happen(fixture *f, const char *user, uint32_t item, int seconds) {
  uint32_t who, what;
  OK(moon_state_user(f->bundle.state, user, strlen(user), true, &who));
  OK(moon_state_kind(f->bundle.state, "view", 4, true, &what));
  OK(moon_state_apply(f->bundle.state, who, item, what, T0 + seconds * MOON_SECOND));
}

/* Seven people look at i0, six at i1, ..., one at i6; u1 looks at two lights and a table, i3 last. */
static inline int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);
  json_t *features = parse("[{'op':'numeric','name':'price','column':'price'}]");
  char user[8];
  f->bundle.catalogue = shop_catalogue();
  OK(moon_feature_plan_new(features, f->bundle.catalogue, &f->bundle.feature_plan));
  OK(moon_state_new(f->bundle.feature_plan, &f->bundle.state));
  json_decref(features);
  for (int u = 0; u < 7; u++) {
    snprintf(user, sizeof user, "p%d", u);
    for (uint32_t item = 0; (int)item < 7 - u; item++) happen(f, user, item, u);
  }
  happen(f, "u1", 5, 100);
  happen(f, "u1", 6, 101);
  happen(f, "u1", 3, 102);
  OK(moon_assembler_new(&f->bundle, &f->assembler));
  *state = f;
  return 0;
}

static inline int teardown(void **state) {
  fixture *f = *state;
  moon_arena_free(&f->arena);
  moon_assembler_free(f->assembler);
  moon_site_free(f->site);
  moon_state_free(f->bundle.state);
  moon_feature_plan_free(f->bundle.feature_plan);
  moon_catalogue_free(f->bundle.catalogue);
  free(f);
  return 0;
}

static inline moon_status read_site(fixture *f, const char *slots, const char *options) {
  size_t room = strlen(slots) + strlen(options) + 100;
  char *text = malloc(room);
  snprintf(text, room, "{'surfaces':{'home':{'slots':[%s]%s%s}}}", slots, *options ? "," : "", options);
  json_t *json = parse(text);
  moon_site_free(f->site);
  f->site = NULL;
  moon_status status = moon_site_new(json, &f->bundle, &f->site);
  json_decref(json);
  free(text);
  return status;
}

static inline void ask(fixture *f, moon_request request) {
  moon_arena_reset(&f->arena);
  moon_request *kept = moon_arena_alloc(&f->arena, sizeof *kept);
  *kept = request;
  kept->surface = "home";
  if (!kept->now) kept->now = T0 + 200 * MOON_SECOND;
  OK(moon_page_assemble(f->assembler, f->site, f->bundle.state, kept, &(moon_page_functions){0}, &f->arena, &f->page));
}

/* "first second": the names of the page's slots. */
static inline void assert_slots(const fixture *f, const char *names) {
  char got[200] = "";
  for (size_t i = 0; i < f->page->slot_count; i++) {
    strcat(got, i ? " " : "");
    strcat(got, f->page->slots[i].name);
  }
  assert_string_equal(got, names);
}

static inline void assert_items(const fixture *f, size_t slot, const char *items) {
  const moon_slate *slate = f->page->slots[slot].slate;
  char got[200] = "";
  for (size_t i = 0; i < slate->n; i++) snprintf(got + strlen(got), sizeof got - strlen(got), "%s%u", i ? " " : "", slate->item[i]);
  assert_string_equal(got, items);
}

#endif

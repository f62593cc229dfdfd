/* test_page_assemble.c - whole pages over a real state, real neighbours and a real model: what is shown, what never is, and what happens
 * where something fails. */
#include "page/assemble.h"
#include "page/slate.h"
#include "page_shop.h"

enum { ITEMS = 9, POPULAR_USERS = 9 };
static const int64_t T0 = 1790000000000000;

static const char features_json[] =
    "[{'op':'id','name':'item','entity':'item','dim':4,'min_count':1,'hash':0,'where':'r:1'},"
    "{'op':'numeric','name':'log(price)','column':'price','steps':[{'op':'log'}],'where':'r:2'},"
    "{'op':'count','name':'count(item,view)','entity':'item','kinds':['view'],'windows_us':[3600000000,0],'where':'r:3'}]";
static const char model_json[] =
    "{'layers':[{'type':'dense','units':4,'activation':'relu'},{'type':'dense','units':1,'activation':'sigmoid'}]}";

typedef struct fixture {
  moon_bundle bundle;
  moon_event events[200];
  size_t event_n;
  moon_site *site;
  moon_assembler *assembler;
  moon_arena arena;
  moon_page *page;
  moon_page_functions functions;
  bool gate_open, fails; /* what the functions of this file do */
  size_t policy_calls;
} fixture;

/* ---- the shop: i0 is viewed by nine people, i1 by eight ... i7 by two, and i8, which is out of stock, by nine too. u1 looked at i5 and
 * bought i6. */

static void happen(fixture *f, const char *user, uint32_t item, const char *kind) {
  uint32_t who, what;
  int64_t time = T0 + (int64_t)f->event_n * MOON_SECOND;
  OK(moon_state_user(f->bundle.state, user, strlen(user), true, &who));
  OK(moon_state_kind(f->bundle.state, kind, strlen(kind), true, &what));
  OK(moon_state_apply(f->bundle.state, who, item, what, time));
  assert_true(f->event_n < 200);
  f->events[f->event_n++] = (moon_event){.user = who, .item = item, .kind = what, .time = time};
}

static void let_people_in(fixture *f) {
  char user[8];
  for (uint32_t u = 0; u < POPULAR_USERS; u++) {
    snprintf(user, sizeof user, "p%u", u);
    for (uint32_t item = 0; item < 8; item++)
      if (u < POPULAR_USERS - item) happen(f, user, item, "view");
    happen(f, user, 8, "view");
  }
  happen(f, "u1", 5, "view");
  happen(f, "u1", 6, "purchase");
}

static void make_model(moon_bundle *b) {
  json_t *features = parse(features_json), *model = parse(model_json);
  size_t sizes[3] = {0};
  OK(moon_feature_plan_new(features, b->catalogue, &b->feature_plan));
  b->vocabs = calloc(3, sizeof *b->vocabs);
  OK(moon_vocab_new(&b->vocabs[0]));
  for (uint32_t row = 0; row < ITEMS; row++) {
    const char *id = moon_catalogue_id(b->catalogue, row);
    OK(moon_vocab_add(b->vocabs[0], id, strlen(id)));
  }
  sizes[0] = moon_vocab_size(b->vocabs[0]);
  OK(moon_features_bind(b->feature_plan, b->catalogue, b->vocabs, &b->features));
  OK(moon_state_new(b->feature_plan, &b->state));
  OK(moon_model_new(model, b->feature_plan, sizes, 7, &b->model));
  OK(moon_model_compile(b->model));
  json_decref(features);
  json_decref(model);
}

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);
  f->bundle.catalogue = shop_catalogue();
  make_model(&f->bundle);
  let_people_in(f);
  moon_log log = {.events = f->events, .n = f->event_n};
  OK(moon_similar_new(&log, log.n, ITEMS, NULL, NULL, &f->bundle.similar));
  OK(moon_assembler_new(&f->bundle, &f->assembler));
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;
  moon_arena_free(&f->arena);
  moon_assembler_free(f->assembler);
  moon_site_free(f->site);
  moon_similar_free(f->bundle.similar);
  moon_state_free(f->bundle.state);
  moon_model_free(f->bundle.model);
  moon_features_free(f->bundle.features);
  moon_vocab_free(f->bundle.vocabs[0]);
  free(f->bundle.vocabs);
  moon_feature_plan_free(f->bundle.feature_plan);
  moon_catalogue_free(f->bundle.catalogue);
  free(f);
  return 0;
}

/* ---- asking for pages */

/* The site has one surface, home, with these slots and options of the page. */
static void open_site(fixture *f, const char *slots, const char *options) {
  size_t room = strlen(slots) + strlen(options) + 100;
  char *text = malloc(room);
  snprintf(text, room, "{'surfaces':{'home':{'slots':[%s]%s%s}}}", slots, *options ? "," : "", options);
  json_t *json = parse(text);
  moon_site_free(f->site);
  f->site = NULL;
  OK(moon_site_new(json, &f->bundle, &f->site));
  json_decref(json);
  free(text);
}

static moon_status ask(fixture *f, moon_request request) {
  moon_arena_reset(&f->arena);
  f->page = NULL;
  if (!request.surface) request.surface = "home";
  if (!request.now) request.now = moon_state_clock(f->bundle.state);
  moon_request *kept = moon_arena_alloc(&f->arena, sizeof *kept);
  *kept = request;
  return moon_page_assemble(f->assembler, f->site, f->bundle.state, kept, &f->functions, &f->arena, &f->page);
}

static void assert_slot(const fixture *f, size_t slot, size_t n, const uint32_t *items) {
  assert_true(slot < f->page->slot_count);
  const moon_slate *slate = f->page->slots[slot].slate;
  char got[200] = "";
  for (size_t i = 0; i < slate->n; i++) snprintf(got + strlen(got), sizeof got - strlen(got), " %u", slate->item[i]);
  bool same = slate->n == n;
  for (size_t i = 0; same && i < n; i++) same = slate->item[i] == items[i];
  if (!same) fail_msg("slot %zu shows%s", slot, got);
}
#define SLOT(slot, ...) assert_slot(f, slot, sizeof((uint32_t[]){__VA_ARGS__}) / 4, (uint32_t[]){__VA_ARGS__})

#define POPULAR(name, take) "{'name':'" name "','take':" take ",'sources':[{'type':'popular','n':100}]}"

/* ---- sources */

static void popular_comes_in_order_and_without_hidden_items(void **state) {
  fixture *f = *state;
  open_site(f, POPULAR("all", "20"), "");
  OK(ask(f, (moon_request){0}));
  SLOT(0, 0, 1, 2, 3, 4, 5, 6, 7);
  assert_true(f->page->cold && !f->page->degraded && !f->page->slots[0].fallback && f->page->micros >= 0);
  assert_string_equal(f->page->surface, "home");
  const moon_slate *slate = f->page->slots[0].slate;
  assert_true(slate->score[0] == 9 && slate->source_score[7] == 2 && isnan(slate->model_score[0]));
}

static void sources_follow_each_other_and_the_first_one_tags(void **state) {
  fixture *f = *state;
  open_site(f, "{'name':'s','take':9,'sources':[{'type':'recent','n':5},{'type':'popular','n':3}]}," POPULAR("b", "9"), "");
  OK(ask(f, (moon_request){.user = "u1"}));
  SLOT(0, 6, 5, 0, 1, 2);
  assert_int_equal(f->page->slots[0].slate->source[0], MOON_SOURCE_RECENT);
  assert_int_equal(f->page->slots[0].slate->source[2], MOON_SOURCE_POPULAR);
  assert_false(f->page->cold);
}

static void similar_is_to_the_item_or_the_cart_or_the_user(void **state) {
  fixture *f = *state;
  static const char *const cart[] = {"i2", "no-such-item"};
  open_site(f, "{'name':'s','take':5,'sources':[{'type':'similar','n':3}]}", "");
  const uint32_t *rows;
  const float *scores;
  OK(ask(f, (moon_request){.user = "u1", .item = "i3"}));
  const moon_slate *slate = f->page->slots[0].slate;
  assert_true(moon_similar_of(f->bundle.similar, 3, &rows, &scores) > 3);
  for (size_t i = 0, at = 0; i < slate->n; i++, at++) {
    if (rows[at] == 8) at++; /* hidden */
    assert_int_equal(slate->item[i], rows[at]);
  }
  OK(ask(f, (moon_request){.user = "u1", .cart = cart, .cart_n = 2}));
  for (size_t i = 0; i < 3; i++) assert_true(f->page->slots[0].slate->item[i] != 2);
  OK(ask(f, (moon_request){.user = "u1"}));
  for (size_t i = 0; i < 3; i++) assert_true(f->page->slots[0].slate->item[i] != 5 && f->page->slots[0].slate->item[i] != 6);
}

/* ---- nearest */

/* Rows by their cosine to the embedding of `seed`, best first, by hand. */
static size_t by_cosine(const fixture *f, uint32_t seed, uint32_t *rows) {
  size_t dim, n = 0;
  float cosine[ITEMS];
  const float *a = moon_model_item_embedding(f->bundle.model, f->bundle.features, seed, &dim);
  for (uint32_t row = 0; row < 8; row++) { /* i8 is hidden */
    const float *b = moon_model_item_embedding(f->bundle.model, f->bundle.features, row, &dim);
    cosine[row] = moon_dot(a, b, dim) * moon_vector_scale(a, dim) * moon_vector_scale(b, dim);
    size_t at = n++;
    if (row == seed) {
      n--;
      continue;
    }
    for (; at && cosine[rows[at - 1]] < cosine[row]; at--) rows[at] = rows[at - 1];
    rows[at] = row;
  }
  return n;
}

static void nearest_is_by_the_cosine_of_embeddings(void **state) {
  fixture *f = *state;
  uint32_t want[ITEMS];
  static const char *const cart[] = {"i2", "no-such-item"};
  open_site(f, "{'name':'s','take':20,'sources':[{'type':'nearest','n':3}]}", "");
  OK(ask(f, (moon_request){.item = "i3"}));
  assert_int_equal(by_cosine(f, 3, want), 7);
  assert_slot(f, 0, 3, want);
  assert_int_equal(f->page->slots[0].slate->source[0], MOON_SOURCE_NEAREST);
  OK(ask(f, (moon_request){.cart = cart, .cart_n = 2}));
  by_cosine(f, 2, want);
  assert_slot(f, 0, 3, want);
  OK(ask(f, (moon_request){.user = "u1"})); /* last of all the two that u1 has */
  for (size_t i = 0; i < 3; i++) assert_true(f->page->slots[0].slate->item[i] < 5 || f->page->slots[0].slate->item[i] == 7);
  OK(ask(f, (moon_request){.user = "nobody-knows"}));
  assert_int_equal(f->page->slot_count, 0);
}

static void the_conditions_of_nearest_act_inside_the_search(void **state) {
  fixture *f = *state;
  uint32_t all[ITEMS], want[ITEMS];
  open_site(f, "{'name':'s','take':20,'sources':[{'type':'nearest','n':3,'when':[{'column':'price','op':'lt','value':13}]}]}", "");
  OK(ask(f, (moon_request){.item = "i3"}));
  size_t n = by_cosine(f, 3, all), kept = 0;
  for (size_t i = 0; i < n; i++)
    if (all[i] < 3 || all[i] > 5) want[kept++] = all[i]; /* i0 i1 i2 i6 i7 */
  assert_true(kept == 5);
  assert_slot(f, 0, 3, want); /* three, though others were nearer */
}

/* Requests with every brand, and with none: what comes out is exact search over the items that hold, by looking at all and by a graph. */
static void check_asked(fixture *f, size_t n) {
  static const char *const brands[] = {"Acme", "Bodo", "Cato", "Nobody"};
  const moon_column *brand = moon_table_column(f->bundle.catalogue->table, "brand");
  for (size_t b = 0; b < 4; b++) {
    const moon_pair pair = {"brand", brands[b]};
    uint32_t all[ITEMS], want[ITEMS];
    size_t kept = 0;
    OK(ask(f, (moon_request){.item = "i3", .params = &pair, .param_n = 1}));
    for (size_t i = 0, found = by_cosine(f, 3, all); i < found && kept < n; i++) {
      const char *text = moon_column_text(brand, all[i]);
      if (text && !strcmp(text, brands[b])) want[kept++] = all[i];
    }
    if (kept) assert_slot(f, 0, kept, want);
    else assert_int_equal(f->page->slot_count, 0);
  }
  OK(ask(f, (moon_request){.item = "i3"}));
  assert_int_equal(f->page->slot_count, 0);
}

static void nearest_takes_a_condition_from_the_request(void **state) {
  fixture *f = *state;
  open_site(f, "{'name':'s','take':20,'sources':[{'type':'nearest','n':2,'when':[{'column':'brand','op':'eq','param':'brand'}]}]}", "");
  check_asked(f, 2);
  size_t dim = moon_model_item_dim(f->bundle.model);
  float unit[4];
  assert_int_equal(dim, 4);
  OK(moon_hnsw_new(dim, NULL, &f->bundle.index));
  for (uint32_t row = 0; row < 8; row++)
    if (moon_model_item_unit(f->bundle.model, f->bundle.features, row, dim, unit)) OK(moon_hnsw_add(f->bundle.index, row, unit));
  open_site(f, "{'name':'s','take':20,'sources':[{'type':'nearest','n':2,'when':[{'column':'brand','op':'eq','param':'brand'}]}]}", "");
  check_asked(f, 2);
  moon_hnsw_free(f->bundle.index);
  f->bundle.index = NULL;
}

/* The site is read and then asked, each with its first, second, ... allocation failing. */
static moon_status open_and_ask(fixture *f, const json_t *plan, size_t fail_at_reading, size_t fail_at_asking) {
  const moon_pair pair = {"brand", "Acme"};
  moon_site_free(f->site);
  moon_arena_free(&f->arena);
  moon_assembler_free(f->assembler);
  f->site = NULL, f->assembler = NULL;
  moon_alloc_fail_at(fail_at_reading);
  moon_status status = moon_site_new(plan, &f->bundle, &f->site);
  moon_alloc_fail_at(0);
  if (status.code) return assert_null(f->site), status;
  OK(moon_assembler_new(&f->bundle, &f->assembler));
  moon_arena_reset(&f->arena);
  moon_request *request = malloc(sizeof *request);
  *request = (moon_request){.surface = "home", .item = "i3", .params = &pair, .param_n = 1, .now = moon_state_clock(f->bundle.state)};
  moon_alloc_fail_at(fail_at_asking);
  status = moon_page_assemble(f->assembler, f->site, f->bundle.state, request, &f->functions, &f->arena, &f->page);
  moon_alloc_fail_at(0);
  free(request);
  return status;
}

static void nearest_without_memory_leaks_nothing(void **state) {
  fixture *f = *state;
  float unit[4];
  json_t *plan = parse("{'surfaces':{'home':{'slots':[{'name':'s','take':20,'sources':[{'type':'nearest','n':3,'when':["
                       "{'column':'brand','op':'has','param':'brand'},{'column':'price','op':'lt','param':'most','default':100},"
                       "{'column':'stock','op':'gt','value':1}]}]}]}}}");
  for (int graph = 0; graph < 2; graph++) {
    size_t n = 1, reading;
    for (; open_and_ask(f, plan, n, 0).code; n++) assert_true(n < 1000);
    reading = n;
    for (n = 1; open_and_ask(f, plan, 0, n).code; n++) assert_true(n < 1000);
    assert_true(reading > 10 && n > 1);
    SLOT(0, 1, 0);
    if (graph) break;
    OK(moon_hnsw_new(4, NULL, &f->bundle.index));
    for (uint32_t row = 0; row < 8; row++)
      if (moon_model_item_unit(f->bundle.model, f->bundle.features, row, 4, unit)) OK(moon_hnsw_add(f->bundle.index, row, unit));
  }
  json_decref(plan);
  moon_hnsw_free(f->bundle.index);
  f->bundle.index = NULL;
}

static void an_index_of_another_model_is_refused(void **state) {
  fixture *f = *state;
  moon_site *site = NULL;
  json_t *plan = parse("{'surfaces':{'home':{'slots':[{'name':'s','sources':[{'type':'nearest','where':'site.lua:9'}]}]}}}");
  OK(moon_hnsw_new(5, NULL, &f->bundle.index));
  REFUSED(MOON_EFORMAT, "site.lua:9: the bundle's index is of 5 numbers an item, its model of 4", moon_site_new(plan, &f->bundle, &site));
  assert_null(site);
  json_decref(plan);
  moon_hnsw_free(f->bundle.index);
  f->bundle.index = NULL;
}

static void policies_take_a_condition_from_the_request(void **state) {
  fixture *f = *state;
  const moon_pair pair = {"brand", "Bodo"};
  open_site(f,
            "{'name':'s','take':20,'sources':[{'type':'popular','n':100}],"
            "'policies':[{'op':'filter','when':[{'column':'brand','op':'eq','param':'brand','optional':true}]}]}",
            "");
  OK(ask(f, (moon_request){.params = &pair, .param_n = 1}));
  SLOT(0, 2, 4);
  OK(ask(f, (moon_request){0}));
  SLOT(0, 0, 1, 2, 3, 4, 5, 6, 7);
}

/* ---- quotas */

static void a_source_keeps_the_places_that_it_is_to_have(void **state) {
  fixture *f = *state;
  /* popular gives i0 i1 i2 i3 with scores 9 to 6, recent i6 i5 with 1 and 0.9: by the list's order recent would come last. */
  open_site(f, "{'name':'s','take':4,'sources':[{'type':'popular','n':4},{'type':'recent','n':5,'at_least':1}]}", "");
  OK(ask(f, (moon_request){.user = "u1", .explain = true}));
  SLOT(0, 0, 1, 2, 6);
  const moon_slate *slate = f->page->slots[0].slate;
  assert_int_equal(slate->source[3], MOON_SOURCE_RECENT);
  assert_true(slate->reason[3] && !strcmp(slate->reason[3]->policy, "at_least") && slate->reason[3]->from == 4 && slate->reason[3]->to == 3);
  assert_null(slate->reason[2]);
  open_site(f, "{'name':'s','take':4,'sources':[{'type':'popular','n':4},{'type':'recent','n':5,'at_least':3}]}", "");
  OK(ask(f, (moon_request){.user = "u1"})); /* it has two */
  SLOT(0, 0, 1, 6, 5);
  OK(ask(f, (moon_request){.user = "nobody-knows"})); /* and here none */
  SLOT(0, 0, 1, 2, 3);
}

static void a_source_has_no_more_places_than_it_may(void **state) {
  fixture *f = *state;
  open_site(f, "{'name':'s','take':4,'sources':[{'type':'popular','n':5,'at_most':1},{'type':'recent','n':5}]}", "");
  OK(ask(f, (moon_request){.user = "u1"}));
  SLOT(0, 0, 6, 5);
  open_site(f, "{'name':'s','take':4,'sources':[{'type':'popular','n':5,'at_most':1},{'type':'recent','n':5}]}",
            "'fallback':[{'type':'trending','n':50}]");
  OK(ask(f, (moon_request){.user = "u1"})); /* the fallback has its own */
  assert_int_equal(f->page->slots[0].slate->n, 4);
}

static void places_kept_in_vain_are_given_away(void **state) {
  fixture *f = *state;
  /* i1, all that nearest may give, is a variant of i0, which popular has shown before. */
  open_site(f,
            "{'name':'s','take':3,'sources':[{'type':'popular','n':1},{'type':'nearest','n':5,'at_least':1,"
            "'when':[{'column':'title','op':'eq','value':'Red chair'}]},{'type':'recent','n':5}]}",
            "'dedupe':'product'");
  OK(ask(f, (moon_request){.user = "u1", .item = "i3"}));
  SLOT(0, 0, 6, 5);
}

static void a_new_visitor_gets_the_fallback(void **state) {
  fixture *f = *state;
  open_site(f, "{'name':'s','take':3,'sources':[{'type':'similar'},{'type':'recent'}]}", "'fallback':[{'type':'popular','n':50}]");
  OK(ask(f, (moon_request){.user = "nobody-knows"}));
  SLOT(0, 0, 1, 2);
  assert_true(f->page->cold && f->page->slots[0].fallback);
  assert_int_equal(f->page->slots[0].slate->source[0], MOON_SOURCE_POPULAR);
}

static void charts_are_a_second_old_at_most(void **state) {
  fixture *f = *state;
  open_site(f, POPULAR("all", "1"), "");
  OK(ask(f, (moon_request){.now = T0 + 1000 * MOON_SECOND}));
  SLOT(0, 0);
  for (size_t i = 0; i < 20; i++) happen(f, "u2", 7, "view");
  OK(ask(f, (moon_request){.now = T0 + 1000 * MOON_SECOND + 1}));
  SLOT(0, 0);
  OK(ask(f, (moon_request){.now = T0 + 1002 * MOON_SECOND}));
  SLOT(0, 7);
  for (size_t i = 0; i < 40; i++) happen(f, "u2", 6, "view");
  OK(ask(f, (moon_request){.now = T0 + 900 * MOON_SECOND})); /* the clock went back */
  SLOT(0, 6);
}

static void charts_are_of_the_state_that_is_asked(void **state) {
  fixture *f = *state;
  open_site(f, POPULAR("all", "1"), "");
  OK(ask(f, (moon_request){0}));
  SLOT(0, 0);
  moon_state *first = f->bundle.state, *other = NULL;
  uint32_t user, view;
  OK(moon_state_new(f->bundle.feature_plan, &other));
  OK(moon_state_user(other, "u1", 2, true, &user));
  OK(moon_state_kind(other, "view", 4, true, &view));
  for (size_t i = 0; i < f->event_n; i++) OK(moon_state_apply(other, user, 4, view, f->events[i].time)); /* as many events, others */
  f->bundle.state = other;
  OK(ask(f, (moon_request){0}));
  SLOT(0, 4);
  f->bundle.state = first;
  moon_state_free(other);
}

static void a_longer_chart_is_made_when_a_site_wants_one(void **state) {
  fixture *f = *state;
  open_site(f, "{'name':'s','take':9,'sources':[{'type':'popular','n':2}]}", "");
  OK(ask(f, (moon_request){0}));
  SLOT(0, 0, 1);
  open_site(f, POPULAR("all", "9"), "");
  OK(ask(f, (moon_request){0}));
  SLOT(0, 0, 1, 2, 3, 4, 5, 6, 7);
}

/* ---- exclusion */

static void slots_share_items_unless_the_page_dedupes(void **state) {
  fixture *f = *state;
  open_site(f, POPULAR("a", "3") "," POPULAR("b", "3"), "");
  OK(ask(f, (moon_request){0}));
  SLOT(0, 0, 1, 2);
  SLOT(1, 0, 1, 2);
  open_site(f, POPULAR("a", "3") "," POPULAR("b", "3"), "'dedupe':'item'");
  OK(ask(f, (moon_request){0}));
  SLOT(0, 0, 1, 2);
  SLOT(1, 3, 4, 5);
}

static void variants_of_a_product_are_shown_once(void **state) {
  fixture *f = *state;
  open_site(f, POPULAR("a", "2") "," POPULAR("b", "9"), "'dedupe':'product'");
  OK(ask(f, (moon_request){0}));
  SLOT(0, 0, 2); /* i1 is i0 in red */
  SLOT(1, 3, 4, 5, 6, 7);
}

static void the_item_shown_and_the_cart_are_left_out(void **state) {
  fixture *f = *state;
  static const char *const cart[] = {"i2", "i4", "i2"};
  open_site(f, POPULAR("a", "9"), "");
  OK(ask(f, (moon_request){.item = "i0"}));
  SLOT(0, 1, 2, 3, 4, 5, 6, 7);
  OK(ask(f, (moon_request){.cart = cart, .cart_n = 3}));
  SLOT(0, 0, 1, 3, 5, 6, 7);
  open_site(f, POPULAR("a", "9"), "'dedupe':'product'");
  OK(ask(f, (moon_request){.item = "i1"}));
  SLOT(0, 2, 3, 4, 5, 6, 7); /* nor i0, its variant */
  REFUSED(MOON_ENOTFOUND, "there is no item 'i99'", ask(f, (moon_request){.item = "i99"}));
  assert_null(f->page);
}

static void what_the_user_did_is_left_out_where_the_page_says_so(void **state) {
  fixture *f = *state;
  open_site(f, POPULAR("a", "9") "," POPULAR("b", "9"), "'exclude_seen':['purchase','never-happened']");
  OK(ask(f, (moon_request){.user = "u1"}));
  SLOT(0, 0, 1, 2, 3, 4, 5, 7);
  SLOT(1, 0, 1, 2, 3, 4, 5, 7);
  OK(ask(f, (moon_request){.user = "p0"}));
  SLOT(0, 0, 1, 2, 3, 4, 5, 6, 7);
  OK(ask(f, (moon_request){0}));
  SLOT(0, 0, 1, 2, 3, 4, 5, 6, 7);
}

static void a_slot_with_too_little_leaves_its_items_to_others(void **state) {
  fixture *f = *state;
  open_site(f, "{'name':'few','take':9,'min':3,'sources':[{'type':'popular','n':2}]}," POPULAR("b", "2"), "'dedupe':'product'");
  OK(ask(f, (moon_request){0}));
  assert_int_equal(f->page->slot_count, 1);
  assert_string_equal(f->page->slots[0].name, "b");
  SLOT(0, 0, 2);
  open_site(f, "{'name':'none','take':9,'min':0,'sources':[{'type':'recent'}]}", "");
  OK(ask(f, (moon_request){0}));
  assert_true(f->page->slot_count == 1 && f->page->slots[0].slate->n == 0);
}

static void stamps_may_run_over(void **state) {
  fixture *f = *state;
  open_site(f, POPULAR("a", "2") "," POPULAR("b", "2"), "'dedupe':'product'");
  OK(ask(f, (moon_request){.item = "i3"})); /* marks with the first stamps, which will come again */
  f->assembler->stamp = UINT32_MAX - 1;
  for (size_t i = 0; i < 5; i++) {
    OK(ask(f, (moon_request){.item = "i5"}));
    SLOT(0, 0, 2);
    SLOT(1, 3, 4);
  }
  assert_true(f->assembler->stamp < 100);
}

/* ---- ranking and policies */

static void ranked_slots_go_by_the_model(void **state) {
  fixture *f = *state;
  open_site(f, "{'name':'s','take':9,'rank':true,'sources':[{'type':'popular'}]}", "");
  OK(ask(f, (moon_request){.user = "u1"}));
  const moon_slate *slate = f->page->slots[0].slate;
  moon_inputs inputs;
  float scores[8];
  assert_int_equal(slate->n, 8);
  OK(moon_inputs_alloc(f->bundle.feature_plan, &f->arena, 8, &inputs));
  uint32_t user;
  OK(moon_state_user(f->bundle.state, "u1", 2, false, &user));
  moon_features_compute(f->bundle.features, f->bundle.state, user, "u1", slate->item, 8, moon_state_clock(f->bundle.state), &inputs);
  OK(moon_model_score(f->bundle.model, &inputs, 8, &f->arena, scores));
  for (size_t i = 0; i < 8; i++) {
    assert_true(slate->score[i] == slate->model_score[i] && (i == 0 || slate->score[i] <= slate->score[i - 1]));
    NEAR(slate->score[i], scores[i], 1e-6);
    assert_true(slate->source_score[i] == (float)moon_state_item_total(f->bundle.state, slate->item[i]));
  }
}

#define WITH(policies) "{'name':'s','take':9,'sources':[{'type':'popular'}],'policies':[" policies "]}"

static void a_boost_works_in_its_time(void **state) {
  fixture *f = *state;
  open_site(f, WITH("{'op':'boost','when':[{'column':'title','op':'eq','value':'Thing'}],'factor':100,'starts_us':1790000001000000,"
                    "'ends_us':1790000002000000,'owner':'merch','reason':'why not','label':'boost(title)'}"), "");
  for (int64_t step = 0; step < 4; step++) {
    bool works = step == 1 || step == 2;
    OK(ask(f, (moon_request){.now = T0 + (step < 2 ? 1 : 2) * MOON_SECOND - (step % 2 == 0), .explain = true}));
    const moon_slate *slate = f->page->slots[0].slate;
    assert_int_equal(slate->item[works ? 0 : 7], 7);
    const moon_reason *reason = slate->reason[works ? 0 : 7];
    assert_true(works == (reason != NULL));
    if (!works) continue;
    assert_string_equal(reason->text, "why not (merch)");
    assert_true(reason->factor == 100 && reason->from == 7 && reason->to == 0 && slate->score[0] == 200);
  }
  OK(ask(f, (moon_request){.now = T0 + MOON_SECOND}));
  assert_null(f->page->slots[0].slate->reason[0]); /* nobody asked why */
}

static void policies_run_in_the_sites_order(void **state) {
  fixture *f = *state;
  open_site(f, WITH("{'op':'filter','when':[{'column':'brand','op':'truthy'}]},{'op':'cap','limits':[{'column':'brand','n':1}]},"
                    "{'op':'boost','when':[{'column':'brand','op':'eq','value':'Cato'}],'factor':9}"), "");
  OK(ask(f, (moon_request){0}));
  SLOT(0, 5, 0, 2);
  open_site(f, WITH("{'op':'boost','when':[{'column':'title','op':'eq','value':'Candle'}],'factor':9},{'op':'cap','limits':[{'column':'brand','n':1}]}"), "");
  OK(ask(f, (moon_request){0}));
  SLOT(0, 6, 0, 2, 7);
  open_site(f, WITH("{'op':'mmr','by':'category','lambda':0.5,'k':3}"), "");
  OK(ask(f, (moon_request){0}));
  assert_int_equal(f->page->slots[0].slate->item[1], 3);
  open_site(f, "{'name':'s','take':9,'rank':true,'sources':[{'type':'popular'}],'policies':[{'op':'mmr','lambda':0.5,'k':8}]}", "");
  OK(ask(f, (moon_request){0}));
  assert_int_equal(f->page->slots[0].slate->n, 8);
}

static void a_slots_rules_hold_for_its_fallback_too(void **state) {
  fixture *f = *state;
  open_site(f, "{'name':'s','take':5,'sources':[{'type':'popular','n':1}],'policies':[{'op':'filter','when':[{'column':'price','op':'le','value':100}]},"
               "{'op':'cap','limits':[{'column':'category','n':2}]}]}", "'fallback':[{'type':'popular','n':50}]");
  OK(ask(f, (moon_request){0}));
  SLOT(0, 0, 1, 4, 5, 6); /* not i2, a third chair; not i3, too dear */
  assert_true(f->page->slots[0].fallback);
}

/* ---- functions of the site */

static moon_status gate(void *self, uint32_t fn, const moon_request *request, bool *open) {
  fixture *f = self;
  assert_true(fn == 3 && request->surface);
  *open = f->gate_open;
  return f->fails ? moon_fail(MOON_ESCRIPT, "site.lua:5: no gate") : moon_ok();
}

/* Brings in what it must not: a hidden item, one twice, one of no catalogue. */
static moon_status policy(void *self, uint32_t fn, moon_slate *slate, const moon_request *request) {
  fixture *f = self;
  (void)request;
  f->policy_calls++;
  if (f->fails) return moon_fail(MOON_ESCRIPT, "site.lua:9: attempt to index nil");
  if (fn == 1) {
    slate->item[0] = 8;
    slate->item[1] = slate->item[2];
    slate->item[3] = 4000;
  } else {
    uint8_t keep[16];
    for (size_t i = 0; i < slate->n; i++) keep[i] = slate->item[i] != 0;
    moon_slate_keep(slate, keep);
  }
  return moon_ok();
}

static void use_functions(fixture *f) { f->functions = (moon_page_functions){f, policy, gate}; }

static void no_policy_brings_an_item_back(void **state) {
  fixture *f = *state;
  use_functions(f);
  open_site(f, WITH("{'op':'lua','fn':1,'label':'lua(site.lua:9)'}"), "");
  OK(ask(f, (moon_request){0}));
  SLOT(0, 2, 4, 5, 6, 7);
}

static void a_failing_policy_is_skipped_and_named(void **state) {
  fixture *f = *state;
  use_functions(f);
  f->fails = true;
  open_site(f, WITH("{'op':'lua','fn':2,'label':'lua(site.lua:9)'},{'op':'filter','when':[{'column':'brand','op':'eq','value':'Acme'}]}"),
            "'fallback':[{'type':'trending'}]");
  OK(ask(f, (moon_request){0}));
  SLOT(0, 0, 1, 3);
  assert_string_equal(f->page->degraded, "slot 's': lua(site.lua:9) failed and was skipped: site.lua:9: attempt to index nil");
  assert_true(f->page->policy_errors == 2 && f->policy_calls == 2); /* its own sources, and the fallback */
  f->fails = false;
  OK(ask(f, (moon_request){0}));
  SLOT(0, 1, 3);
  assert_true(!f->page->degraded && !f->page->policy_errors);
  f->functions = (moon_page_functions){0};
  OK(ask(f, (moon_request){0}));
  assert_non_null(strstr(f->page->degraded, "nobody runs"));
}

static void a_gate_closes_its_slot(void **state) {
  fixture *f = *state;
  use_functions(f);
  open_site(f, "{'name':'s','gate':{'op':'fn','fn':3},'take':2,'sources':[{'type':'popular'}]}," POPULAR("b", "2"), "'dedupe':'item'");
  OK(ask(f, (moon_request){0}));
  assert_int_equal(f->page->slot_count, 1);
  SLOT(0, 0, 1);
  f->gate_open = true;
  OK(ask(f, (moon_request){0}));
  SLOT(1, 2, 3);
  f->fails = true;
  OK(ask(f, (moon_request){0}));
  SLOT(0, 0, 1);
  assert_string_equal(f->page->degraded, "slot 's': its gate failed and was skipped: site.lua:5: no gate");
}

/* ---- the whole */

static void unknown_surfaces_name_the_nearest(void **state) {
  fixture *f = *state;
  open_site(f, POPULAR("a", "3"), "");
  REFUSED(MOON_ENOTFOUND, "there is no surface 'hmoe'; did you mean 'home'?", ask(f, (moon_request){.surface = "hmoe"}));
  REFUSED(MOON_ENOTFOUND, "there is no surface 'checkout'; there is home", ask(f, (moon_request){.surface = "checkout"}));
}

static const char busy_slots[] =
    "{'name':'one','take':3,'rank':true,'gate':{'op':'fn','fn':3},'sources':[{'type':'similar'},{'type':'trending'},{'type':'popular'}],'policies':["
    "{'op':'boost','when':[{'column':'new','op':'truthy'}],'factor':1.2,'label':'boost(new)'},{'op':'lua','fn':2,'label':'lua(x)'},"
    "{'op':'cap','limits':[{'column':'category','n':2},{'column':'price','n':1}]},{'op':'mmr','lambda':0.6}]},"
    "{'name':'two','take':4,'sources':[{'type':'recent'}]}";
static const char busy_options[] = "'dedupe':'product','fallback':[{'type':'popular'}],'exclude_seen':['purchase']";

static void the_same_request_gives_the_same_bytes(void **state) {
  fixture *f = *state;
  use_functions(f);
  f->gate_open = true;
  open_site(f, busy_slots, busy_options);
  moon_request request = {.surface = "home", .user = "u1", .now = moon_state_clock(f->bundle.state), .explain = true, .seed = 3};
  moon_buf first = {0}, again = {0};
  for (size_t i = 0; i < 3; i++) {
    if (i == 2) {
      moon_assembler_free(f->assembler);
      OK(moon_assembler_new(&f->bundle, &f->assembler));
    }
    OK(ask(f, request));
    moon_buf_reset(&again);
    OK(moon_page_json(f->page, &request, i ? &again : &first));
    if (i) assert_string_equal(first.data, again.data);
  }
  json_t *json = json_loadb(first.data, first.n, JSON_REJECT_DUPLICATES, NULL);
  assert_int_equal(json_array_size(json_object_get(json, "slots")), 2);
  json_decref(json);
  moon_buf_free(&first);
  moon_buf_free(&again);
}

static void failing_memory_fails_the_page_and_nothing_else(void **state) {
  fixture *f = *state;
  use_functions(f);
  f->gate_open = true;
  open_site(f, busy_slots, busy_options);
  moon_request request = {.surface = "home", .user = "u1", .now = moon_state_clock(f->bundle.state)};
  moon_buf expected = {0}, got = {0};
  OK(ask(f, request));
  OK(moon_page_json(f->page, &request, &expected));
  size_t failures = 0;
  for (size_t n = 1;; n++) {
    moon_assembler *assembler = NULL;
    moon_arena arena = {0};
    moon_page *page = NULL;
    moon_alloc_fail_at(n);
    moon_status st = moon_assembler_new(&f->bundle, &assembler);
    if (!st.code) st = moon_page_assemble(assembler, f->site, f->bundle.state, &request, &f->functions, &arena, &page);
    moon_alloc_fail_at(0);
    assert_true(st.code ? st.code == MOON_ENOMEM && !page : page != NULL);
    failures += st.code != 0;
    if (assembler) { /* and the assembler is as good as new */
      moon_arena_reset(&arena);
      OK(moon_page_assemble(assembler, f->site, f->bundle.state, &request, &f->functions, &arena, &page));
      moon_buf_reset(&got);
      OK(moon_page_json(page, &request, &got));
      assert_string_equal(expected.data, got.data);
    }
    moon_assembler_free(assembler);
    moon_arena_free(&arena);
    if (!st.code) break;
  }
  assert_true(failures > 6);
  moon_buf_free(&expected);
  moon_buf_free(&got);
}

/* ---- random sites over a random shop: what holds for every page */

static json_t *random_policy(moon_rng *rng) {
  switch (moon_rng_below(rng, 4)) {
    case 0: return json_pack("{s:s, s:[{s:s, s:s, s:i}], s:f}", "op", "boost", "when", "column", "size", "op", "gt", "value", (int)moon_rng_below(rng, 9) - 2,
                             "factor", 0.5 + moon_rng_uniform(rng));
    case 1: return json_pack("{s:s, s:[{s:s, s:s, s:i}]}", "op", "filter", "when", "column", "year", "op", "ge", "value", (int)moon_rng_below(rng, 3));
    case 2: return json_pack("{s:s, s:[{s:s, s:i}]}", "op", "cap", "limits", "column", "group", "n", 1 + (int)moon_rng_below(rng, 3));
    default: return json_pack("{s:s, s:s, s:i}", "op", "mmr", "by", "group", "k", 1 + (int)moon_rng_below(rng, 30));
  }
}

static json_t *random_sources(moon_rng *rng) {
  json_t *list = json_array();
  for (size_t n = 1 + moon_rng_below(rng, 3); n > 0; n--)
    json_array_append_new(list, json_pack("{s:s, s:i}", "type", moon_source_name((moon_source_kind)moon_rng_below(rng, MOON_SOURCE_NEAREST)), "n",
                                          1 + (int)moon_rng_below(rng, 60)));
  return list;
}

static json_t *random_site(moon_rng *rng, bool dedupe) {
  json_t *slots = json_array();
  for (size_t n = 1 + moon_rng_below(rng, 4); n > 0; n--) {
    json_t *policies = json_array();
    for (size_t p = moon_rng_below(rng, 4); p > 0; p--) json_array_append_new(policies, random_policy(rng));
    json_array_append_new(slots, json_pack("{s:s, s:i, s:i, s:o, s:o}", "name", "s", "take", 4 + (int)moon_rng_below(rng, 9), "min", (int)moon_rng_below(rng, 5),
                                           "sources", random_sources(rng), "policies", policies));
  }
  return json_pack("{s:{s:{s:o, s:s*, s:o, s:[s]}}}", "surfaces", "home", "slots", slots, "dedupe", dedupe ? "item" : NULL, "fallback", random_sources(rng),
                   "exclude_seen", "buy");
}

static void assert_caps(const moon_slate *slate, const moon_policy *policy) {
  const moon_cap_args *cap = policy->args;
  for (size_t l = 0; policy->op == &moon_op_cap && l < cap->limits.n; l++)
    for (size_t i = 0; i < slate->n; i++) {
      uint64_t key, other;
      size_t same = 0;
      if (!moon_cell_key(cap->limits.at[l].column, slate->item[i], &key)) continue;
      for (size_t j = 0; j < slate->n; j++) same += moon_cell_key(cap->limits.at[l].column, slate->item[j], &other) && other == key;
      assert_true(same <= (size_t)cap->limits.at[l].n);
    }
}

/* The slots of the plan that are on the page are in its order; sizes, caps, filters and exclusions hold. */
static void assert_page_is_fair(const fixture *f, const moon_request *request, bool dedupe, uint32_t buy) {
  uint8_t page_has[200] = {0};
  size_t at = 0;
  for (size_t s = 0; s < f->page->slot_count; s++) {
    const moon_page_slot *slot = &f->page->slots[s];
    const moon_site_slot *plan = NULL;
    uint8_t slot_has[200] = {0};
    while (at < f->site->pages[0].slot_count && !plan)
      if (f->site->pages[0].slots[at++].name == slot->name) plan = &f->site->pages[0].slots[at - 1];
    assert_non_null(plan);
    assert_true(slot->slate->n >= plan->min && slot->slate->n <= plan->take);
    for (size_t i = 0; i < slot->slate->n; i++) {
      uint32_t item = slot->slate->item[i];
      assert_true(item < moon_catalogue_rows(f->bundle.catalogue) && !f->bundle.catalogue->hidden[item] && !slot_has[item]);
      assert_false(dedupe && page_has[item]);
      assert_true(item != request->item_row);
      if (request->user_row != MOON_NONE) assert_false(moon_state_seen(f->bundle.state, request->user_row, item, buy));
      slot_has[item] = page_has[item] = 1;
      for (size_t p = 0; p < plan->policy_count; p++)
        if (plan->policies[p].op == &moon_op_filter) assert_true(moon_condition_holds(((const moon_filter_args *)plan->policies[p].args)->when.when, f->bundle.catalogue, item));
    }
    for (size_t p = 0; p < plan->policy_count; p++) assert_caps(slot->slate, &plan->policies[p]);
  }
}

static void every_page_of_every_site_is_fair(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 51, 0);
  size_t shown = 0;
  for (size_t round = 0; round < 60; round++) {
    fixture fresh = {0}, *f = &fresh;
    moon_feature_plan no_features = {0};
    moon_event events[600];
    uint32_t user, buy = 0;
    size_t rows = 1 + moon_rng_below(&rng, 150), n = moon_rng_below(&rng, 600);
    f->bundle.catalogue = random_catalogue(&rng, rows, 12);
    for (size_t i = 0; i < rows; i++) f->bundle.catalogue->hidden[i] = !moon_rng_below(&rng, 6);
    OK(moon_state_new(&no_features, &f->bundle.state));
    for (size_t i = 0; i < n; i++) {
      char id[8];
      uint32_t kind, item = moon_rng_below(&rng, (uint32_t)rows);
      bool bought = !moon_rng_below(&rng, 5);
      snprintf(id, sizeof id, "u%u", moon_rng_below(&rng, 12));
      OK(moon_state_user(f->bundle.state, id, strlen(id), true, &user));
      OK(moon_state_kind(f->bundle.state, bought ? "buy" : "view", bought ? 3 : 4, true, &kind));
      OK(moon_state_apply(f->bundle.state, user, item, kind, T0 + (int64_t)i * MOON_SECOND));
      events[i] = (moon_event){.user = user, .item = item, .kind = kind, .time = T0 + (int64_t)i * MOON_SECOND};
    }
    OK(moon_state_kind(f->bundle.state, "buy", 3, true, &buy));
    moon_log log = {.events = events, .n = n};
    OK(moon_similar_new(&log, n, rows, NULL, NULL, &f->bundle.similar));
    OK(moon_assembler_new(&f->bundle, &f->assembler));
    for (size_t site = 0; site < 5; site++) {
      bool dedupe = moon_rng_below(&rng, 2);
      json_t *plan = random_site(&rng, dedupe);
      OK(moon_site_new(plan, &f->bundle, &f->site));
      for (size_t ask_n = 0; ask_n < 5; ask_n++) {
        char id[8], item[8];
        snprintf(id, sizeof id, "u%u", moon_rng_below(&rng, 14));
        snprintf(item, sizeof item, "i%u", moon_rng_below(&rng, (uint32_t)rows));
        moon_request request = {.surface = "home", .user = id, .item = moon_rng_below(&rng, 2) ? item : NULL, .now = T0 + 1000 * MOON_SECOND, .explain = ask_n % 2};
        moon_arena_reset(&f->arena);
        OK(moon_page_assemble(f->assembler, f->site, f->bundle.state, &request, NULL, &f->arena, &f->page));
        assert_page_is_fair(f, &request, dedupe, buy);
        shown += f->page->slot_count;
      }
      moon_site_free(f->site);
      json_decref(plan);
    }
    for (size_t row = 0; row < rows; row++) assert_true(f->assembler->scratch[row] == 0);
    moon_arena_free(&f->arena);
    moon_assembler_free(f->assembler);
    moon_similar_free(f->bundle.similar);
    moon_state_free(f->bundle.state);
    moon_catalogue_free(f->bundle.catalogue);
  }
  assert_true(shown > 500);
}

int main(void) {
#define PAGE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
  const struct CMUnitTest tests[] = {
      PAGE(popular_comes_in_order_and_without_hidden_items),
      PAGE(sources_follow_each_other_and_the_first_one_tags),
      PAGE(similar_is_to_the_item_or_the_cart_or_the_user),
      PAGE(nearest_is_by_the_cosine_of_embeddings),
      PAGE(the_conditions_of_nearest_act_inside_the_search),
      PAGE(nearest_takes_a_condition_from_the_request),
      PAGE(policies_take_a_condition_from_the_request),
      PAGE(nearest_without_memory_leaks_nothing),
      PAGE(an_index_of_another_model_is_refused),
      PAGE(a_source_keeps_the_places_that_it_is_to_have),
      PAGE(a_source_has_no_more_places_than_it_may),
      PAGE(places_kept_in_vain_are_given_away),
      PAGE(a_new_visitor_gets_the_fallback),
      PAGE(charts_are_a_second_old_at_most),
      PAGE(charts_are_of_the_state_that_is_asked),
      PAGE(a_longer_chart_is_made_when_a_site_wants_one),
      PAGE(slots_share_items_unless_the_page_dedupes),
      PAGE(variants_of_a_product_are_shown_once),
      PAGE(the_item_shown_and_the_cart_are_left_out),
      PAGE(what_the_user_did_is_left_out_where_the_page_says_so),
      PAGE(a_slot_with_too_little_leaves_its_items_to_others),
      PAGE(stamps_may_run_over),
      PAGE(ranked_slots_go_by_the_model),
      PAGE(a_boost_works_in_its_time),
      PAGE(policies_run_in_the_sites_order),
      PAGE(a_slots_rules_hold_for_its_fallback_too),
      PAGE(no_policy_brings_an_item_back),
      PAGE(a_failing_policy_is_skipped_and_named),
      PAGE(a_gate_closes_its_slot),
      PAGE(unknown_surfaces_name_the_nearest),
      PAGE(the_same_request_gives_the_same_bytes),
      PAGE(failing_memory_fails_the_page_and_nothing_else),
      cmocka_unit_test(every_page_of_every_site_is_fair),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

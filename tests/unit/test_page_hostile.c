/* test_page_hostile.c - random pages by random policies of every operator, and by functions that mean harm: none shows an item that is hidden,
 * out of stock, bought, in the cart or shown already. MOON_PAGES says how many pages; the slow test makes a million. */
#include "op_run.h"
#include "page/assemble.h"

enum { USERS = 14, EVENTS = 600 };
static const char features_json[] =
    "[{'op':'count','name':'c','entity':'user','kinds':['impression'],'windows_us':[86400000000],'by':'item','where':'r:1'},"
    "{'op':'count','name':'v','entity':'item','kinds':['view'],'windows_us':[0],'where':'r:2'},"
    "{'op':'count','name':'b','entity':'item','kinds':['buy'],'windows_us':[0],'where':'r:3'}]";

typedef struct shop {
  moon_bundle bundle;
  moon_assembler *assembler;
  moon_site *site;
  moon_arena arena;
  moon_rng rng;
  size_t rows, slots, items;
} shop;

static void open_shop(shop *s) {
  json_t *features = parse(features_json);
  moon_event events[EVENTS];
  static const char *const kinds[] = {"view", "buy", "impression"};
  s->rows = 1 + moon_rng_below(&s->rng, 120);
  s->bundle = (moon_bundle){.catalogue = rich_catalogue(&s->rng, s->rows, 12)};
  for (size_t i = 0; i < s->rows; i++) s->bundle.catalogue->hidden[i] = !moon_rng_below(&s->rng, 4);
  OK(moon_feature_plan_new(features, s->bundle.catalogue, &s->bundle.feature_plan));
  OK(moon_state_new(s->bundle.feature_plan, &s->bundle.state));
  for (size_t i = 0; i < EVENTS; i++) {
    char id[8];
    uint32_t user, kind, which = moon_rng_below(&s->rng, 8), item = moon_rng_below(&s->rng, (uint32_t)s->rows);
    const char *name = kinds[which < 5 ? 0 : which < 6 ? 1 : 2];
    snprintf(id, sizeof id, "u%u", moon_rng_below(&s->rng, USERS - 2));
    OK(moon_state_user(s->bundle.state, id, strlen(id), true, &user));
    OK(moon_state_kind(s->bundle.state, name, strlen(name), true, &kind));
    events[i] = (moon_event){.user = user, .item = item, .kind = kind, .time = NOW - (int64_t)(EVENTS - i) * DAY / 50};
    OK(moon_state_apply(s->bundle.state, user, item, kind, events[i].time));
  }
  moon_log log = {.events = events, .n = EVENTS};
  OK(moon_similar_new(&log, EVENTS, s->rows, NULL, NULL, &s->bundle.similar));
  OK(moon_assembler_new(&s->bundle, &s->assembler));
  json_decref(features);
}

static void close_shop(shop *s) {
  moon_assembler_free(s->assembler);
  moon_similar_free(s->bundle.similar);
  moon_state_free(s->bundle.state);
  moon_feature_plan_free(s->bundle.feature_plan);
  moon_catalogue_free(s->bundle.catalogue);
}

/* ---- random policies: by the operators' own tables, with numbers at, within and beyond their bounds */

static json_t *random_when(moon_rng *rng) {
  static const char *const ops[] = {"gt", "lt", "ne", "eq"};
  if (!moon_rng_below(rng, 5)) return json_pack("[{s:s, s:s, s:s}]", "column", "source", "op", "eq", "value", moon_source_name((moon_source_kind)moon_rng_below(rng, MOON_SOURCE_KINDS)));
  return json_pack("[{s:s, s:s, s:i}]", "column", moon_rng_below(rng, 2) ? "size" : "year", "op", ops[moon_rng_below(rng, 4)], "value", (int)moon_rng_below(rng, 9) - 2);
}

static json_t *random_item(shop *s) {
  char id[16];
  snprintf(id, sizeof id, "i%u", moon_rng_below(&s->rng, (uint32_t)s->rows));
  return json_string(id);
}

static json_t *random_list(shop *s, json_t *(*one)(shop *s), size_t most) {
  json_t *list = json_array();
  for (size_t n = 1 + moon_rng_below(&s->rng, (uint32_t)most); n > 0; n--) json_array_append_new(list, one(s));
  return list;
}

static json_t *random_turn(shop *s) { return moon_rng_below(&s->rng, 3) ? random_when(&s->rng) : json_string("any"); }
static json_t *random_kind(shop *s) {
  static const char *const kinds[] = {"view", "buy", "impression", "nothing"};
  return json_string(kinds[moon_rng_below(&s->rng, 4)]);
}
static json_t *random_number(shop *s) { return json_real(moon_rng_uniform(&s->rng) * 10); }

static json_t *random_limit(shop *s) {
  static const char *const columns[] = {"group", "tags", "size", "year", "item"};
  return json_pack("{s:s, s:i}", "column", columns[moon_rng_below(&s->rng, 5)], "n", 1 + (int)moon_rng_below(&s->rng, 4));
}
static json_t *random_weight(shop *s) {
  static const char *const columns[] = {"score", "model_score", "source_score", "size", "added"};
  return json_pack("{s:s, s:f}", "column", columns[moon_rng_below(&s->rng, 5)], "n", moon_rng_uniform(&s->rng) * 4 - 2);
}

static json_t *random_column(shop *s, const moon_field *field) {
  static const char *const columns[] = {"group", "tags", "size", "year", "added", "margin"};
  (void)field;
  return json_string(columns[moon_rng_below(&s->rng, 6)]);
}

static json_t *random_value(shop *s, const moon_field *field) {
  static const char *const texts[] = {"view", "buy", "impression", "|"};
  double low = isfinite(field->low) ? field->low : -5, high = isfinite(field->high) && field->high < 30 ? field->high : 30;
  switch (field->kind) {
    case MOON_FIELD_COUNT: return json_integer((json_int_t)low + (json_int_t)moon_rng_below(&s->rng, (uint32_t)(high - low) + 1));
    case MOON_FIELD_NUMBER: return json_real(low + (high - low) * moon_rng_uniform(&s->rng));
    case MOON_FIELD_SPAN: return json_integer((json_int_t)(1 + moon_rng_below(&s->rng, 2)) * (moon_rng_below(&s->rng, 2) ? DAY : 40 * DAY));
    case MOON_FIELD_FLAG: return json_boolean((int)moon_rng_below(&s->rng, 4));
    case MOON_FIELD_CHOICE: return json_string(field->names[moon_rng_below(&s->rng, 2)]);
    case MOON_FIELD_TEXT: return json_string(texts[moon_rng_below(&s->rng, 4)]);
    case MOON_FIELD_COLUMN: return random_column(s, field);
    case MOON_FIELD_LIKENESS: return json_string(moon_rng_below(&s->rng, 2) ? "group" : "tags");
    case MOON_FIELD_WHEN: return random_when(&s->rng);
    case MOON_FIELD_PATTERN: return random_list(s, random_turn, 4);
    case MOON_FIELD_ITEM: return random_item(s);
    case MOON_FIELD_ITEMS: return random_list(s, random_item, 4);
    case MOON_FIELD_KINDS: return random_list(s, random_kind, 2);
    case MOON_FIELD_NUMBERS: return random_list(s, random_number, 3);
    case MOON_FIELD_LIMITS: return random_list(s, random_limit, 2);
    default: return random_list(s, random_weight, 3);
  }
}

/* One that the site takes; most of what is drawn for some operators is not. */
static json_t *random_policy(shop *s) {
  size_t n;
  const moon_operator *const *all = moon_operators(&n);
  for (;;) {
    const moon_operator *op = all[moon_rng_below(&s->rng, (uint32_t)n)];
    for (int tries = 0; tries < 20; tries++) {
      moon_arena memory = {0};
      moon_policy policy;
      moon_policy_conditions conditions = {0};
      const moon_policy_source source = {.bundle = &s->bundle, .memory = &memory, .conditions = &conditions};
      json_t *json = json_pack("{s:s}", "op", op->name);
      char key[64];
      for (const moon_field *f = op->fields; f->name; f++) {
        if (!f->required && moon_rng_below(&s->rng, 2) && f->kind != MOON_FIELD_LIKENESS) continue;
        snprintf(key, sizeof key, f->kind == MOON_FIELD_SPAN ? "%s_us" : "%s", f->name);
        json_object_set_new(json, key, op->run ? random_value(s, f) : json_integer(1 + moon_rng_below(&s->rng, 4)));
      }
      moon_status status = moon_policy_read(json, &source, &policy);
      moon_policy_conditions_free(&conditions);
      moon_arena_free(&memory);
      if (!status.code) return json;
      json_decref(json);
    }
  }
}

static json_t *random_sources(shop *s) {
  json_t *list = json_array();
  for (size_t n = 1 + moon_rng_below(&s->rng, 3); n > 0; n--)
    json_array_append_new(list, json_pack("{s:s, s:i}", "type", moon_source_name((moon_source_kind)moon_rng_below(&s->rng, MOON_SOURCE_NEAREST)), "n", 1 + (int)moon_rng_below(&s->rng, 60)));
  return list;
}

static void open_random_site(shop *s, bool dedupe) {
  json_t *slots = json_array();
  for (size_t n = 1 + moon_rng_below(&s->rng, 3); n > 0; n--) {
    json_t *policies = json_array();
    for (size_t p = moon_rng_below(&s->rng, 5); p > 0; p--) json_array_append_new(policies, random_policy(s));
    json_array_append_new(slots, json_pack("{s:s, s:i, s:i, s:o, s:o}", "name", "s", "take", 1 + (int)moon_rng_below(&s->rng, 15), "min", 0, "sources", random_sources(s), "policies", policies));
  }
  json_t *plan = json_pack("{s:{s:{s:o, s:s*, s:o, s:[s]}}}", "surfaces", "home", "slots", slots, "dedupe", dedupe ? "item" : NULL, "fallback", random_sources(s), "exclude_seen", "buy");
  OK(moon_site_new(plan, &s->bundle, &s->site));
  json_decref(plan);
}

/* ---- functions that mean harm: they bring in whatever there is, spoil scores, say that hidden items are the best, or fail half-way */

static moon_status harm(void *self, uint32_t fn, moon_slate *slate, const moon_request *request) {
  shop *s = self;
  moon_rng rng;
  moon_rng_seed(&rng, request->seed, fn);
  if (fn == 1) OK(moon_slate_room(slate, slate->n + s->rows));
  for (uint32_t i = 0; fn <= 2 && i < s->rows + 3; i++) moon_slate_add(slate, i, 1e30f, (moon_source_kind)moon_rng_below(&rng, MOON_SOURCE_KINDS));
  for (size_t i = 0; fn != 4 && i < slate->n; i++) slate->score[i] = moon_rng_below(&rng, 3) ? NAN : slate->item[i] < s->rows && s->bundle.catalogue->hidden[slate->item[i]] ? INFINITY : -1;
  if (fn != 3) moon_slate_sort(slate, "harm");
  return fn == 4 || !moon_rng_below(&rng, 10) ? moon_fail(MOON_ESCRIPT, "no") : moon_ok();
}

/* ---- what holds */

static void assert_fair(shop *s, const moon_page *page, const moon_request *request, bool dedupe, uint32_t buy) {
  uint8_t on_page[256] = {0};
  for (size_t p = 0; p < page->slot_count; p++) {
    const moon_slate *slate = page->slots[p].slate;
    uint8_t in_slot[256] = {0};
    for (size_t i = 0; i < slate->n; i++) {
      uint32_t item = slate->item[i];
      assert_true(item < s->rows && !s->bundle.catalogue->hidden[item] && !in_slot[item] && !(dedupe && on_page[item]));
      assert_true(item != request->item_row && (!request->cart_n || item != request->cart_rows[0]));
      assert_false(request->user_row != MOON_NONE && moon_state_seen(s->bundle.state, request->user_row, item, buy));
      assert_true(isnan(slate->propensity[i]) || (slate->propensity[i] > 0 && slate->propensity[i] <= 1.00001f));
      in_slot[item] = on_page[item] = 1;
      s->items++;
    }
    s->slots++;
  }
}

static void ask(shop *s, bool dedupe, uint32_t buy) {
  char user[8], item[8], in_cart[8];
  const char *const cart[] = {in_cart};
  moon_page *page;
  moon_page_functions functions = {s, harm, NULL};
  snprintf(user, sizeof user, "u%u", moon_rng_below(&s->rng, USERS));
  snprintf(item, sizeof item, "i%u", moon_rng_below(&s->rng, (uint32_t)s->rows));
  snprintf(in_cart, sizeof in_cart, "i%u", moon_rng_below(&s->rng, (uint32_t)s->rows));
  moon_request request = {.surface = "home", .user = user, .item = moon_rng_below(&s->rng, 3) ? NULL : item, .cart = cart, .cart_n = moon_rng_below(&s->rng, 2),
                          .now = NOW, .seed = moon_rng_u64(&s->rng), .explain = moon_rng_below(&s->rng, 2)};
  moon_arena_reset(&s->arena);
  OK(moon_page_assemble(s->assembler, s->site, s->bundle.state, &request, &functions, &s->arena, &page));
  assert_fair(s, page, &request, dedupe, buy);
}

static void no_page_shows_what_it_must_not(void **state) {
  (void)state;
  enum { SITES = 10, PAGES = 20 };
  const char *wanted = getenv("MOON_PAGES");
  size_t pages = wanted ? strtoul(wanted, NULL, 10) : 20000, made = 0;
  shop s = {0};
  moon_rng_seed(&s.rng, 77, 0);
  while (made < pages) {
    uint32_t buy;
    open_shop(&s);
    OK(moon_state_kind(s.bundle.state, "buy", 3, true, &buy));
    for (size_t site = 0; site < SITES; site++) {
      bool dedupe = moon_rng_below(&s.rng, 2);
      open_random_site(&s, dedupe);
      for (size_t i = 0; i < PAGES; i++, made++) ask(&s, dedupe, buy);
      moon_site_free(s.site);
    }
    moon_arena_free(&s.arena);
    close_shop(&s);
  }
  printf("%zu pages, %zu slots, %zu items\n", made, s.slots, s.items);
  assert_true(s.slots > pages && s.items > 3 * pages);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(no_page_shows_what_it_must_not)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}

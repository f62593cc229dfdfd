/* runtime_shop.h - bundles and sites on disk, for the tests of core/runtime. */
#ifndef TEST_RUNTIME_SHOP_H
#define TEST_RUNTIME_SHOP_H
#include "runtime/runtime.h"
#include "shoplet.h"

/* %d: how many items a slot takes, so that a page tells which site it is of. */
static const char shop_site[] =
    "local m = require \"moonshelf\"\n"
    "return m.site { home = m.page {\n"
    "  m.slot \"first\" { title = \"First\", take = %d, from = m.source.popular(20), rank = true,\n"
    "    rerank = m.policy.lua(function(slate) slate:boost(slate.price:lt(30), 1.5, \"cheap\") end) },\n"
    "  m.slot \"recent\" { take = 3, from = m.source.recent(5) },\n"
    "} }\n";

typedef struct shop {
  char *folder, *bundle, *other, *site, *other_site, *log;
} shop;

/* A bundle of `events` events of a plan with this name. */
static inline char *shop_bundle(const char *folder, const char *name, const char *under) {
  json_t *plan = shoplet_json(), *metrics = json_object();
  json_object_set_new(plan, "name", json_string(name));
  moon_dataset *d;
  moon_model *model;
  moon_similar *similar;
  moon_fit_report report;
  OK(shoplet_dataset(folder, plan, &d));
  OK(shoplet_model(plan, d, 1, &model));
  OK(moon_fit(model, d, json_object_get(plan, "train"), NULL, &report));
  OK(moon_similar_new(d->log, d->log->n, moon_catalogue_rows(d->catalogue), NULL, NULL, &similar));
  char *path = moon_path_join(under, name);
  const moon_recipe_source source = {.text = "--", .n = 2};
  OK(moon_bundle_write(path, &source, plan, d, model, similar, metrics));
  moon_similar_free(similar);
  moon_model_free(model);
  moon_dataset_free(d);
  json_decref(metrics);
  json_decref(plan);
  return path;
}

static inline char *shop_write_site(const char *folder, const char *name, int take) {
  char text[1000];
  snprintf(text, sizeof text, shop_site, take);
  shoplet_file(folder, name, text);
  return moon_path_join(folder, name);
}

static inline int shop_up(void **state) {
  shop *s = calloc(1, sizeof *s);
  s->folder = shoplet_make(500);
  char *more = shoplet_make(900);
  s->bundle = shop_bundle(s->folder, "one", s->folder);
  s->other = shop_bundle(more, "two", s->folder);
  s->site = shop_write_site(s->folder, "site.lua", 3);
  s->other_site = shop_write_site(s->folder, "other.lua", 5);
  s->log = moon_path_join(s->folder, "events.db");
  shoplet_remove(more);
  *state = s;
  return 0;
}

static inline int shop_down(void **state) {
  shop *s = *state;
  char *const all[] = {s->bundle, s->other, s->site, s->other_site, s->log};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) moon_free(all[i]);
  shoplet_remove(s->folder);
  free(s);
  return 0;
}

static inline moon_runtime *shop_open(const char *bundle, const char *site, const char *log) {
  const moon_runtime_options options = {
      .size = sizeof options, .bundle = bundle, .site = site, .event_log = log, .page_millis = 60000}; /* however busy the machine is */
  moon_runtime *r = NULL;
  OK(moon_runtime_open(&options, &r));
  return r;
}

static inline moon_worker *shop_worker(moon_runtime *r) {
  moon_worker *w = NULL;
  OK(moon_worker_open(r, &w));
  return w;
}

static inline const moon_page_view *shop_view(moon_worker *w, const char *user) {
  const moon_query query = {.size = sizeof query, .user = user};
  const moon_page_view *page = NULL;
  OK(moon_worker_view(w, &query, &page));
  return page;
}

static inline moon_counters shop_counters(moon_runtime *r) {
  moon_counters c = {.size = sizeof c};
  OK(moon_runtime_metrics(r, &c));
  return c;
}

#endif

/* slate_script.h - policies in Lua over a slate of eight items: a fixture, and ways to run a body and look at what is left. */
#ifndef TEST_SLATE_SCRIPT_H
#define TEST_SLATE_SCRIPT_H
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "numeric.h"
#include "script/script.h"

/* i7 has nothing but an id and a price; the skus of i0 and i1 are one float. */
static const char items_csv[] =
    "item,title,category,brand,price:number,stock:integer,sku:integer,added:time\n"
    "i0,Blue chair,chairs,Acme,10,5,20000001,2026-10-01\n"
    "i1,Red chair,chairs,Acme,12.5,5,20000002,2026-10-01\n"
    "i2,Stool,chairs,Bodo,7,2,3,2026-09-01\n"
    "i3,Oak table,tables,Acme,199.99,4,4,2026-10-20\n"
    "i4,Pine table,tables,Bodo,89,9,5,2026-08-01\n"
    "i5,Lamp,lights,Cato,30,7,6,2026-07-01\n"
    "i6,Candle,lights,Cato,3,70,7,2026-10-25\n"
    "i7,,,,5,,,\n";
enum { ITEMS = 8 };

typedef struct fixture {
  char folder[64];
  moon_bundle bundle;
  moon_arena arena;
  moon_host *host;
  moon_page_functions functions;
  moon_slate *slate;
  moon_request request;
} fixture;

static inline int setup(void **state) {
  static const moon_read_column columns[] = {{"item", "item", "string"}, {"title", "title", NULL}, {"category", "category", NULL}, {"brand", "brand", NULL},
                                            {"price", "price", NULL},   {"stock", "stock", NULL}, {"sku", "sku", NULL},           {"added", "added", NULL}};
  moon_read_options options = {.delimiter = ',', .columns = columns, .column_count = sizeof columns / sizeof *columns};
  moon_read_report report;
  moon_table *table;
  fixture *f = calloc(1, sizeof *f);
  strcpy(f->folder, "/tmp/moon-slate-XXXXXX");
  assert_non_null(mkdtemp(f->folder));
  OK(moon_csv_read_memory("items.csv", items_csv, sizeof items_csv - 1, &options, &table, &report));
  OK(moon_catalogue_new(table, &f->bundle.catalogue));
  *state = f;
  return 0;
}

static inline int teardown(void **state) {
  fixture *f = *state;
  moon_host_close(f->host);
  moon_catalogue_free(f->bundle.catalogue);
  moon_arena_free(&f->arena);
  moon_dir_remove(f->folder);
  free(f);
  return 0;
}

/* A fresh host with one slot that has these policies and this gate (or none); function n of the plan is the n-th p.lua, then the gate. */
static inline void load_site(fixture *f, const moon_host_options *options, const char *policies, const char *gate) {
  char *path = moon_path_join(f->folder, "site.lua");
  moon_buf text = {0};
  moon_buf_printf(&text,
                  "local m = require 'moonshelf' local p, kept, co, wrapped = m.policy\n"
                  "return m.site { home = m.page { m.slot 's' { from = m.source.popular(10), rerank = { %s }, gate = %s } } }\n",
                  policies, gate ? gate : "nil");
  moon_host_close(f->host);
  f->host = NULL;
  unlink(path);
  OK(moon_file_write(path, text.data, text.n));
  OK(moon_host_open(options, &f->host));
  json_t *plan;
  OK(moon_host_load_site(f->host, path, &plan));
  json_decref(plan);
  f->functions = moon_host_page_functions(f->host);
  moon_buf_free(&text);
  moon_free(path);
}

/* A fresh slate with the first n items and scores from 0.9 down, and a request to go with it. */
static inline void fill(fixture *f, size_t n) {
  moon_arena_reset(&f->arena);
  OK(moon_slate_new(&f->bundle, &f->arena, n ? n : 1, &f->slate));
  for (uint32_t i = 0; i < n; i++) moon_slate_add(f->slate, i, 0.9f - 0.1f * (float)i, MOON_SOURCE_POPULAR);
  static const moon_pair params[] = {{"country", "NL"}, {"device", "phone"}};
  static const char *const cart[] = {"i3", "i5"};
  f->request = (moon_request){.surface = "home", .user = "u1", .user_row = 4, .item_row = MOON_NONE, .cart = cart, .cart_n = 2,
                              .now = INT64_C(1795515072) * MOON_SECOND, .seed = 7, .params = params, .param_n = 2};
}

static inline moon_status call(fixture *f, uint32_t fn) { return f->functions.policy(f->functions.self, fn, f->slate, &f->request); }

/* Runs the body as a policy over the whole catalogue. */
static inline moon_status run(fixture *f, const char *body) {
  moon_buf policy = {0};
  moon_buf_printf(&policy, "p.lua(function(slate, ctx) %s end)", body);
  load_site(f, NULL, policy.data, NULL);
  moon_buf_free(&policy);
  fill(f, ITEMS);
  return call(f, 1);
}

static inline void fine(fixture *f, const char *body) {
  moon_status st = run(f, body);
  if (st.code) fail_msg("%s\n-> %s", body, st.message);
}

/* The error begins with the line of the policy and holds the text; the slate is untouched. */
static inline void refused(fixture *f, const char *body, const char *text) {
  moon_status st = run(f, body);
  if (st.code != MOON_ESCRIPT || strncmp(st.message, "site.lua:2: ", 12) || !strstr(st.message, text))
    fail_msg("%s\n-> %d \"%s\", wanted \"%s\"", body, st.code, st.message, text);
  assert_int_equal(f->slate->n, ITEMS);
  for (uint32_t i = 0; i < ITEMS; i++) assert_true(f->slate->item[i] == i && f->slate->score[i] == 0.9f - 0.1f * (float)i && !f->slate->reason[i]);
}

/* The slate's items in order, as digits. */
static inline const char *order(const fixture *f) {
  static char text[64];
  size_t n = f->slate->n;
  for (size_t i = 0; i < n; i++) text[i] = (char)('0' + f->slate->item[i]);
  text[n] = 0;
  return text;
}

#endif

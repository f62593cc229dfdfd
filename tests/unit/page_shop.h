/* page_shop.h - a shop small enough to read, for the tests of core/page: a catalogue of nine items and a bundle around it. */
#ifndef TEST_PAGE_SHOP_H
#define TEST_PAGE_SHOP_H
#include <stdlib.h>

#include "page/page.h"
#include "numeric.h"

/* i8 is out of stock; i7 has nothing but an id, a title and a price. i0 and i1 are variants of one product. */
static const char shop_csv[] =
    "item,product,title,category,brand,price:number,stock:integer,new:integer,added:time\n"
    "i0,p0,Blue chair,chairs,Acme,10,5,1,2026-10-01\n"
    "i1,p0,Red chair,chairs,Acme,12.5,5,0,2026-10-01\n"
    "i2,p2,Stool,chairs,Bodo,7,2,0,2026-09-01\n"
    "i3,p3,Oak table,tables,Acme,199.99,4,1,2026-10-20\n"
    "i4,p4,Pine table,tables,Bodo,89,9,0,2026-08-01\n"
    "i5,p5,Lamp,lights,Cato,30,7,0,2026-07-01\n"
    "i6,p6,Candle,lights,Cato,3,70,1,2026-10-25\n"
    "i7,,Thing,,,5,,,\n"
    "i8,p8,Sofa,sofas,Acme,900,0,0,2026-10-01\n";

static inline moon_catalogue *shop_catalogue_of(const char *csv, const moon_read_column *columns, size_t count) {
  moon_read_options options = {.delimiter = ',', .columns = columns, .column_count = count};
  moon_read_report report;
  moon_table *table = NULL;
  moon_catalogue *catalogue = NULL;
  OK(moon_csv_read_memory("items.csv", csv, strlen(csv), &options, &table, &report));
  OK(moon_catalogue_new(table, &catalogue));
  return catalogue;
}

static inline moon_catalogue *shop_catalogue(void) {
  static const moon_read_column columns[] = {{"item", "item", "string"},       {"product", "product", "string"}, {"title", "title", "string"},
                                            {"category", "category", "string"}, {"brand", "brand", "string"},   {"price", "price", NULL},
                                            {"stock", "stock", NULL},         {"new", "new", NULL},             {"added", "added", NULL}};
  return shop_catalogue_of(shop_csv, columns, sizeof columns / sizeof *columns);
}

/* `rows` items with a string column "group" (up to `groups` values, some null), a number column "size" and an integer column "year". */
static inline moon_catalogue *random_catalogue(moon_rng *rng, size_t rows, uint32_t groups) {
  moon_table *table = NULL;
  moon_column *column;
  moon_catalogue *catalogue = NULL;
  char text[32];
  OK(moon_table_new("items", &table));
  OK(moon_table_add_column(table, "item", MOON_STRING, &column));
  OK(moon_table_add_column(table, "group", MOON_STRING, &column));
  OK(moon_table_add_column(table, "size", MOON_NUMBER, &column));
  OK(moon_table_add_column(table, "year", MOON_INTEGER, &column));
  for (size_t i = 0; i < rows; i++) {
    snprintf(text, sizeof text, "i%zu", i);
    OK(moon_column_push_string(&table->columns[0], text, strlen(text)));
    snprintf(text, sizeof text, "g%u", moon_rng_below(rng, groups));
    OK(moon_rng_below(rng, 8) ? moon_column_push_string(&table->columns[1], text, strlen(text)) : moon_column_push_null(&table->columns[1]));
    OK(moon_rng_below(rng, 8) ? moon_column_push_number(&table->columns[2], (double)moon_rng_below(rng, groups) - 2) : moon_column_push_null(&table->columns[2]));
    OK(moon_rng_below(rng, 8) ? moon_column_push_integer(&table->columns[3], (int64_t)moon_rng_below(rng, groups) - 1) : moon_column_push_null(&table->columns[3]));
  }
  table->rows = rows;
  OK(moon_catalogue_new(table, &catalogue));
  return catalogue;
}

/* A slate of rows 0..n-1 with random scores: few values, so that there are ties; now and then NaN, infinite or minus zero. */
static inline moon_slate *random_slate(moon_rng *rng, const moon_bundle *bundle, moon_arena *arena, size_t n) {
  static const float odd[] = {NAN, INFINITY, -INFINITY, -0.0f, 0.0f, 1e-40f, -3e38f};
  moon_slate *slate = NULL;
  uint32_t *rows = moon_arena_alloc(arena, (n + 1) * sizeof *rows);
  for (size_t i = 0; i < n; i++) rows[i] = (uint32_t)i;
  moon_rng_shuffle(rng, rows, n);
  OK(moon_slate_new(bundle, arena, n, &slate));
  for (size_t i = 0; i < n; i++) {
    float score = (float)moon_rng_below(rng, 12) - 4;
    if (!moon_rng_below(rng, 10)) score = odd[moon_rng_below(rng, sizeof odd / sizeof *odd)];
    moon_slate_add(slate, rows[i], score, (moon_source_kind)moon_rng_below(rng, MOON_SOURCE_KINDS));
    slate->model_score[i] = (float)rows[i]; /* so that a test sees whether arrays stayed together */
  }
  return slate;
}

static inline json_t *parse(const char *text) { /* single quotes for double ones */
  char *copy = strdup(text);
  json_error_t error;
  for (char *c = copy; *c; c++)
    if (*c == '\'') *c = '"';
  json_t *json = json_loads(copy, JSON_DECODE_ANY, &error);
  if (!json) fail_msg("%s: %s", copy, error.text);
  free(copy);
  return json;
}

#endif

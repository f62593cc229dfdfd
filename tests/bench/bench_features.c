/* bench_features.c - how long the inputs of a request take: 500 candidates of one user, with the features of a shop and one by one.
 *
 *   build/release/tests/bench_features [EVENTS] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "feature/feature.h"

enum { ITEMS = 20000, USERS = 20000, CANDIDATES = 500, REQUESTS = 800, ROUND = 20 };

static const struct {
  const char *name, *json;
} features[] = {
    /* the first SHOP are those of examples/shop, more or less */
    {"id user", "{\"op\":\"id\",\"name\":\"user\",\"entity\":\"user\",\"hash\":1000}"},
    {"id item", "{\"op\":\"id\",\"name\":\"item\",\"entity\":\"item\",\"hash\":30000}"},
    {"category", "{\"op\":\"category\",\"name\":\"category\",\"column\":\"category\",\"hash\":100}"},
    {"log price", "{\"op\":\"numeric\",\"name\":\"price\",\"column\":\"price\",\"steps\":[{\"op\":\"log\"}]}"},
    {"count item 1h 1d 7d",
     "{\"op\":\"count\",\"name\":\"c\",\"entity\":\"item\",\"kinds\":[\"view\"],\"windows_us\":[3600000000,86400000000,"
     "604800000000]}"},
    {"rate item 7d",
     "{\"op\":\"rate\",\"name\":\"r\",\"entity\":\"item\",\"numerator\":[\"purchase\"],\"denominator\":[\"view\"],\"over_us\":"
     "604800000000}"},
    {"history item", "{\"op\":\"history\",\"name\":\"h\",\"last\":50}"},
    {"cross user*category", "{\"op\":\"cross\",\"name\":\"cross\",\"columns\":[\"user\",\"category\"],\"hash\":10000}"},
    {"words", "{\"op\":\"tags\",\"name\":\"title\",\"column\":\"title\",\"hash\":10000,\"max\":16}"},
    {"bucketize price",
     "{\"op\":\"numeric\",\"name\":\"b\",\"column\":\"price\",\"steps\":[{\"op\":\"bucketize\",\"edges\":[5,10,20,50]}]}"},
    {"decay item", "{\"op\":\"decay\",\"name\":\"d\",\"entity\":\"item\",\"kinds\":[\"view\"],\"half_life_us\":86400000000}"},
    {"recency item", "{\"op\":\"recency\",\"name\":\"l\",\"entity\":\"item\",\"kinds\":[\"purchase\"]}"},
    {"count user by category 7d",
     "{\"op\":\"count\",\"name\":\"uc\",\"entity\":\"user\",\"by\":\"category\",\"kinds\":[\"view\"],\"windows_us\":["
     "604800000000]}"},
    {"interacted_with 7d",
     "{\"op\":\"count\",\"name\":\"ui\",\"entity\":\"user\",\"by\":\"item\",\"kinds\":[\"view\"],\"windows_us\":[604800000000],"
     "\"steps\":[{\"op\":\"clip\",\"bounds\":[0,1]}]}"},
    {"recency user", "{\"op\":\"recency\",\"name\":\"lu\",\"entity\":\"user\",\"kinds\":[]}"},
    {"cooccurrence last 10", "{\"op\":\"cooccurrence\",\"name\":\"k\",\"kinds\":[\"view\"],\"last\":10}"},
    {"hour", "{\"op\":\"clock\",\"name\":\"hour\",\"unit\":\"hour\",\"dim\":4}"},
};
enum { FEATURES = sizeof features / sizeof *features, SHOP = 7, ID_ITEM = 1 };

static void must(moon_status status) {
  if (!status.code) return;
  fprintf(stderr, "%s\n", status.message);
  exit(1);
}

static moon_catalogue *make_catalogue(moon_rng *rng) {
  moon_buf csv = {0};
  moon_buf_puts(&csv, "item,category,title,price\n");
  for (int i = 0; i < ITEMS; i++) {
    moon_buf_printf(&csv, "i%d,cat%u,", i, moon_rng_below(rng, 40));
    for (int w = 0; w < 5; w++) moon_buf_printf(&csv, "word%u ", moon_rng_below(rng, 3000));
    moon_buf_printf(&csv, ",%u\n", 1 + moon_rng_below(rng, 100));
  }
  const moon_read_column columns[] = {
      {"item", "item", "string"}, {"category", "category", "string"}, {"title", "title", "string"}, {"price", "price", "number"}};
  const moon_read_options options = {.delimiter = ',', .columns = columns, .column_count = 4};
  moon_read_report report;
  moon_table *table;
  moon_catalogue *catalogue;
  must(moon_csv_read_memory("items.csv", csv.data, csv.n, &options, &table, &report));
  must(moon_catalogue_new(table, &catalogue));
  moon_buf_free(&csv);
  return catalogue;
}

static uint32_t popular(moon_rng *rng, uint32_t n) { /* most events are on few */
  double u = moon_rng_uniform(rng);
  return (uint32_t)(u * u * u * n);
}

static void fill(moon_state *state, moon_rng *rng, size_t events, bool say) {
  uint32_t user, view, purchase;
  char id[16];
  must(moon_state_kind(state, "view", 4, true, &view));
  must(moon_state_kind(state, "purchase", 8, true, &purchase));
  for (int i = 0; i < USERS; i++) must(moon_state_user(state, id, (size_t)snprintf(id, sizeof id, "u%d", i), true, &user));
  int64_t started = moon_monotonic();
  for (size_t i = 0; i < events; i++)
    must(moon_state_apply(state, popular(rng, USERS), popular(rng, ITEMS), moon_rng_below(rng, 20) ? view : purchase,
                          (int64_t)i * 14 * 86400 * MOON_SECOND / (int64_t)events));
  if (say) printf("%-28s %8.2f us an event\n", "apply", (double)(moon_monotonic() - started) / (double)events);
}

/* Microseconds a request takes with the features of this list. */
static double measure(const char *json, const moon_catalogue *catalogue, size_t events, bool all) {
  moon_vocab *none[FEATURES] = {0};
  moon_feature_plan *plan;
  moon_state *state;
  moon_features *bound;
  moon_inputs in;
  moon_arena arena = {0};
  moon_rng rng;
  moon_rng_seed(&rng, 1, 2);
  json_t *list = json_loads(json, 0, NULL);
  must(moon_feature_plan_new(list, catalogue, &plan));
  must(moon_state_new(plan, &state));
  must(moon_features_bind(plan, catalogue, none, &bound));
  must(moon_inputs_alloc(plan, &arena, CANDIDATES, &in));
  fill(state, &rng, events, all);
  static uint32_t items[REQUESTS][CANDIDATES];
  for (size_t r = 0; r < REQUESTS; r++)
    for (size_t i = 0; i < CANDIDATES; i++) items[r][i] = popular(&rng, ITEMS);
  double took = 1e9;
  for (size_t r = 0; r < REQUESTS; r += ROUND) { /* the best round: others have the machine too */
    int64_t started = moon_monotonic();
    for (size_t i = r; i < r + ROUND; i++)
      moon_features_compute(bound, state, popular(&rng, USERS), NULL, items[i], CANDIDATES, moon_state_clock(state), &in);
    double round = (double)(moon_monotonic() - started) / ROUND;
    if (round < took) took = round;
  }
  moon_arena_free(&arena);
  moon_features_free(bound);
  moon_state_free(state);
  moon_feature_plan_free(plan);
  json_decref(list);
  return took;
}

int main(int argc, char **argv) {
  size_t events = argc > 1 ? (size_t)strtoul(argv[1], NULL, 10) : 1000000;
  moon_rng rng;
  moon_rng_seed(&rng, 1, 1);
  moon_catalogue *catalogue = make_catalogue(&rng);
  moon_buf list = {0};
  for (size_t n = SHOP; n; n = n == SHOP ? FEATURES : 0) {
    moon_buf_reset(&list);
    for (size_t f = 0; f < n; f++) moon_buf_printf(&list, "%s%s", f ? "," : "[", features[f].json);
    moon_buf_puts(&list, "]");
    double took = measure(list.data, catalogue, events, true);
    printf("%-28s %8.1f us for %d candidates\n", n == SHOP ? "a shop's" : "all of these", took, CANDIDATES);
  }
  for (size_t f = 0; f < FEATURES; f++) {
    moon_buf_reset(&list);
    moon_buf_printf(&list, f == ID_ITEM ? "[%s]" : "[%s,%s]", features[f].json, features[ID_ITEM].json);
    char name[40];
    snprintf(name, sizeof name, "%s%s", features[f].name, f == ID_ITEM ? "" : " + id");
    printf("%-28s %8.1f us\n", name, measure(list.data, catalogue, events / 4, false));
  }
  moon_buf_free(&list);
  moon_catalogue_free(catalogue);
}

/* bench_policy.c - how long policies take: a chain over 500 candidates (filter, boost by a Lua expression, caps by category and brand, MMR to
 * 50 over embeddings of 64 numbers, debunch, pins), MMR alone, and each of the other operators; and the same chain over plain Lua tables
 * under lua5.4 and luajit, where they are installed.
 *
 *   build/release/tests/bench_policy [ROUNDS] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "page/assemble.h"
#include "script/script.h"

enum { ITEMS = 20000, CANDIDATES = 500 };

static const char features_json[] =
    "[{\"op\":\"id\",\"name\":\"item\",\"entity\":\"item\",\"dim\":64,\"min_count\":1,\"hash\":0,\"where\":\"r:1\"}]";
static const char model_json[] = "{\"layers\":[{\"type\":\"dense\",\"units\":1,\"activation\":\"sigmoid\"}]}";

static void must(moon_status status) {
  if (!status.code) return;
  fprintf(stderr, "bench_policy: %s\n", status.message);
  exit(1);
}

static moon_catalogue *make_catalogue(moon_rng *rng) {
  static const struct { const char *name; moon_type type; } columns[] = {
      {"item", MOON_STRING}, {"category", MOON_STRING}, {"brand", MOON_STRING}, {"price", MOON_NUMBER}, {"margin", MOON_NUMBER}, {"stock", MOON_NUMBER}, {"added", MOON_TIME}};
  moon_table *table;
  moon_column *column;
  moon_catalogue *catalogue;
  char text[32];
  must(moon_table_new("items", &table));
  for (size_t c = 0; c < 7; c++) must(moon_table_add_column(table, columns[c].name, columns[c].type, &column));
  for (size_t i = 0; i < ITEMS; i++) {
    snprintf(text, sizeof text, "i%zu", i);
    must(moon_column_push_string(&table->columns[0], text, strlen(text)));
    snprintf(text, sizeof text, "c%u", moon_rng_below(rng, 40));
    must(moon_column_push_string(&table->columns[1], text, strlen(text)));
    snprintf(text, sizeof text, "b%u", moon_rng_below(rng, 200));
    must(moon_column_push_string(&table->columns[2], text, strlen(text)));
    must(moon_column_push_number(&table->columns[3], 100 * moon_rng_uniform(rng)));
    must(moon_column_push_number(&table->columns[4], moon_rng_uniform(rng)));
    must(moon_column_push_number(&table->columns[5], moon_rng_below(rng, 300) + 1));
    must(moon_column_push_integer(&table->columns[6], (int64_t)moon_rng_below(rng, 1000) * 3600 * MOON_SECOND));
  }
  table->rows = ITEMS;
  must(moon_catalogue_new(table, &catalogue));
  return catalogue;
}

/* A model that nobody trained: its embeddings are as good as any to be compared. */
static void make_model(moon_bundle *b) {
  json_t *features = json_loads(features_json, 0, NULL), *model = json_loads(model_json, 0, NULL);
  b->vocabs = moon_calloc(1, sizeof *b->vocabs);
  must(moon_feature_plan_new(features, b->catalogue, &b->feature_plan));
  must(moon_vocab_new(&b->vocabs[0]));
  for (uint32_t row = 0; row < ITEMS; row++) {
    const char *id = moon_catalogue_id(b->catalogue, row);
    must(moon_vocab_add(b->vocabs[0], id, strlen(id)));
  }
  size_t rows = moon_vocab_size(b->vocabs[0]);
  must(moon_features_bind(b->feature_plan, b->catalogue, b->vocabs, &b->features));
  must(moon_model_new(model, b->feature_plan, &rows, 7, &b->model));
  json_decref(features);
  json_decref(model);
}

static const char chain[] =
    "p.filter { price = { lt = 90 } }, p.lua(function(slate) slate:boost(slate.price:lt(20) & slate.stock:gt(5), 1.3) end),\n"
    "p.cap { category = 15, brand = 6 }, p.mmr { k = 50 }, p.debunch { by = 'category', most = 2, window = 4, first = 50 },\n"
    "p.pin { items = { 'i7' }, at = 1, bring = true }, p.pin { items = { 'i8', 'i9' }, at = 4, bring = true }";

typedef struct bench {
  moon_bundle bundle;
  moon_host *host;
  moon_page_functions functions;
  moon_site *site;
  moon_arena arena;
  moon_request request;
  size_t rounds;
  double *took;
} bench;

/* A site with one slot of these policies. */
static void open_site(bench *b, const char *policies) {
  char source[4096];
  json_t *plan;
  snprintf(source, sizeof source,
           "local m = require 'moonshelf' local p = m.policy\nreturn m.site { home = m.page { m.slot 's' { from = m.source.popular(500), rerank = { %s } } } }", policies);
  const moon_host_options options = {0};
  moon_host_close(b->host);
  moon_site_free(b->site);
  must(moon_host_open(&options, &b->host));
  char folder[] = "/tmp/bench-policy-XXXXXX";
  if (!mkdtemp(folder)) exit(1);
  char *path = moon_path_join(folder, "site.lua");
  must(moon_file_write(path, source, strlen(source)));
  must(moon_host_load_site(b->host, path, &plan));
  must(moon_dir_remove(folder));
  moon_free(path);
  must(moon_site_new(plan, &b->bundle, &b->site));
  json_decref(plan);
  b->functions = moon_host_page_functions(b->host);
}

static moon_slate *fill(bench *b, moon_rng *rng) {
  moon_slate *slate;
  must(moon_slate_new(&b->bundle, &b->arena, CANDIDATES, &slate));
  slate->explain = false;
  slate->request = &b->request;
  while (slate->n < CANDIDATES) moon_slate_add(slate, moon_rng_below(rng, ITEMS), (float)moon_rng_uniform(rng), MOON_SOURCE_POPULAR);
  moon_slate_sort(slate, NULL);
  return slate;
}

static int rising(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double micros(void) {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now); /* processor time: other work on the machine does not count */
  return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* Prints p50 and p99 of a site's policies; answers the first. */
static double measure(bench *b, const char *name, const char *policies) {
  moon_rng rng;
  moon_page page = {0};
  open_site(b, policies);
  moon_rng_seed(&rng, 7, 0);
  for (size_t r = 0; r < b->rounds; r++) {
    moon_arena_reset(&b->arena);
    moon_slate *slate = fill(b, &rng);
    moon_visit visit = {.site = b->site, .request = &b->request, .functions = &b->functions, .arena = &b->arena, .page = &page};
    double start = micros();
    must(moon_visit_rerank(&visit, &b->site->pages[0].slots[0], slate));
    b->took[r] = micros() - start;
    if (page.degraded) fprintf(stderr, "bench_policy: %s\n", page.degraded), exit(1);
  }
  qsort(b->took, b->rounds, sizeof *b->took, rising);
  double p50 = b->took[b->rounds / 2];
  printf("%-34s p50 %8.1f us  p99 %8.1f us\n", name, p50, b->took[b->rounds * 99 / 100]);
  return p50;
}

/* The chain over plain tables, under another interpreter. */
static void compare(const char *interpreter, double ours) {
  char command[512], line[256] = "";
  const char *source = getenv("MOON_SOURCE_DIR");
  snprintf(command, sizeof command, "%s %s/tests/bench/policy_tables.lua 2>/dev/null", interpreter, source ? source : ".");
  FILE *pipe = popen(command, "r");
  if (pipe && fgets(line, sizeof line, pipe)) {
    double p50 = 0, p99 = 0;
    if (sscanf(line, "p50 %lf p99 %lf", &p50, &p99) == 2) {
      printf("%-34s p50 %8.1f us  p99 %8.1f us   %.1f times ours\n", interpreter, p50, p99, p50 / ours);
      pclose(pipe);
      return;
    }
  }
  if (pipe) pclose(pipe);
  printf("%-34s not here (or not started from the source's folder): skipped\n", interpreter);
}

int main(int argc, char **argv) {
  static const char *const others[][2] = {
      {"mmr 50, d 64", "p.mmr { k = 50 }"},
      {"dpp 50, d 64", "p.dpp { k = 50 }"},
      {"filter", "p.filter { price = { lt = 90 } }"},
      {"cap 2 columns", "p.cap { category = 15, brand = 6 }"},
      {"cap among the first 50", "p.cap({ category = 5, brand = 2 }, { first = 50 })"},
      {"boost", "p.boost({ price = { lt = 20 } }, 1.3)"},
      {"boost by a Lua expression", "p.lua(function(slate) slate:boost(slate.price:lt(20) & slate.stock:gt(5), 1.3) end)"},
      {"slate:score, row by row", "p.lua(function(slate) slate:score(function(row) return row.score * 2 - row.price / 100 end) end)"},
      {"freshness", "p.freshness { by = 'added', half_life = '7d' }"},
      {"clearance", "p.clearance { stock = 'stock', over = 100, full = 200 }"},
      {"blend of ranks", "p.blend { weights = { score = 1, price = -0.2, margin = 0.3 }, scale = 'rank' }"},
      {"sort", "p.sort { by = 'price' }"},
      {"pin", "p.pin { items = { 'i7' }, at = 1, bring = true }"},
      {"quota", "p.quota { when = { price = { lt = 20 } }, at_least = 20, first = 50 }"},
      {"pattern", "p.pattern { pattern = { { price = { lt = 20 } }, { stock = { gt = 200 } }, 'any' }, first = 50 }"},
      {"mix", "p.mix { by = 'price', edges = { 20, 60 }, shares = { 3, 4, 3 }, first = 50 }"},
      {"margin", "p.margin { of = 'margin', at_least = 0.7, first = 50 }"},
      {"debunch", "p.debunch { by = 'category', most = 2, window = 5 }"},
      {"epsilon", "p.epsilon()"},
      {"sample", "p.sample()"},
  };
  bench b = {.rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 2000};
  moon_rng rng;
  moon_rng_seed(&rng, 1, 0);
  b.bundle.catalogue = make_catalogue(&rng);
  make_model(&b.bundle);
  b.request = (moon_request){.surface = "home", .now = INT64_C(1000) * 3600 * MOON_SECOND, .user_row = MOON_NONE, .item_row = MOON_NONE, .seed = 3};
  b.took = moon_alloc(b.rounds * sizeof *b.took);
  if (!b.took || !b.rounds) return 1;
  printf("%d candidates, %zu rounds\n", CANDIDATES, b.rounds);
  double ours = measure(&b, "the chain", chain);
  compare("lua5.4", ours);
  compare("luajit", ours);
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) measure(&b, others[i][0], others[i][1]);
  moon_site_free(b.site);
  moon_host_close(b.host);
  moon_arena_free(&b.arena);
  moon_model_free(b.bundle.model);
  moon_features_free(b.bundle.features);
  moon_vocab_free(b.bundle.vocabs[0]);
  moon_free(b.bundle.vocabs);
  moon_feature_plan_free(b.bundle.feature_plan);
  moon_catalogue_free(b.bundle.catalogue);
  moon_free(b.took);
}

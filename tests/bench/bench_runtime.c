/* bench_runtime.c - what the C API adds to a page: the same pages assembled and written by the parts themselves and by moon_worker_page, in turns; then as
 * structs, a ranking of 500, an event, and a reload of the site as a worker feels it.
 *
 *   build/release/tests/bench_runtime BUNDLE SITE.lua [PAGES] */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "runtime/runtime.h"

enum { LIST = 500 };

static void must(moon_status status) {
  if (!status.code) return;
  fprintf(stderr, "bench_runtime: %s\n", status.message);
  exit(1);
}

static int rising(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void print(const char *what, double *took, size_t n) {
  qsort(took, n, sizeof *took, rising);
  printf("%-28s p50 %8.1f us   p99 %8.1f us\n", what, took[n / 2], took[n * 99 / 100]);
}

typedef struct parts { /* what a page takes, without a runtime around it */
  moon_bundle *bundle;
  moon_host *host;
  json_t *plan;
  moon_site *site;
  moon_assembler *assembler;
  moon_arena arena;
  moon_buf out;
} parts;

static void page_by_parts(parts *p, const char *user) {
  moon_page_functions functions = moon_host_page_functions(p->host);
  moon_request request = {.surface = "home", .user = user, .now = moon_state_clock(p->bundle->state)};
  moon_page *page;
  moon_arena_reset(&p->arena);
  moon_buf_reset(&p->out);
  must(moon_page_assemble(p->assembler, p->site, p->bundle->state, &request, &functions, &p->arena, &page));
  must(moon_page_json(page, &request, &p->out));
}

int main(int argc, char **argv) {
  if (argc < 3) return fprintf(stderr, "usage: bench_runtime BUNDLE SITE.lua [PAGES]\n"), 2;
  size_t n = argc > 3 ? strtoul(argv[3], NULL, 10) : 4000;
  const moon_runtime_options options = {.size = sizeof options, .bundle = argv[1], .site = argv[2]};
  parts p = {0};
  moon_runtime *shop;
  moon_worker *worker;
  must(moon_bundle_open(argv[1], &p.bundle));
  must(moon_host_open(NULL, &p.host));
  must(moon_host_load_site(p.host, argv[2], &p.plan));
  must(moon_site_new(p.plan, p.bundle, &p.site));
  must(moon_assembler_new(p.bundle, &p.assembler));
  must(moon_runtime_open(&options, &shop));
  must(moon_worker_open(shop, &worker));
  double *one = calloc(n, sizeof *one), *two = calloc(n, sizeof *two), *three = calloc(n, sizeof *three), *four = calloc(n, sizeof *four);
  double *five = calloc(n, sizeof *five);
  const char *json, *ids[LIST];
  float scores[LIST];
  uint32_t order[LIST];
  size_t bytes, users = moon_state_users(p.bundle->state), items = moon_catalogue_rows(p.bundle->catalogue);
  const moon_page_view *view;
  for (size_t i = 0; i < n; i++) {
    const char *user = moon_state_user_id(p.bundle->state, (uint32_t)(i * 7919 % users));
    const moon_query query = {.size = sizeof query, .user = user};
    const moon_rank_query list = {.size = sizeof list, .user = user, .items = ids, .n = LIST};
    for (size_t k = 0; k < LIST; k++) ids[k] = moon_catalogue_id(p.bundle->catalogue, (uint32_t)((i * LIST + k) % items));
    double from = now(), to;
    page_by_parts(&p, user), to = now(), one[i] = to - from, from = to;
    must(moon_worker_page(worker, &query, &json, &bytes)), to = now(), two[i] = to - from, from = to;
    must(moon_worker_view(worker, &query, &view)), to = now(), three[i] = to - from, from = to;
    must(moon_worker_rank(worker, &list, scores, order)), to = now(), four[i] = to - from;
  }
  for (size_t i = 0; i < n; i++) {
    const moon_event_record event = {.size = sizeof event, .user = moon_state_user_id(p.bundle->state, (uint32_t)(i * 7919 % users)), .item = ids[i % LIST], .kind = "view"};
    double from = now();
    must(moon_runtime_event(shop, &event));
    five[i] = now() - from;
  }
  print("page by parts", one, n), print("moon_worker_page", two, n), print("moon_worker_view", three, n);
  print("moon_worker_rank (500)", four, n), print("moon_runtime_event", five, n);
  double from = now();
  must(moon_runtime_reload(shop, NULL, argv[2]));
  double reload = now() - from;
  from = now();
  must(moon_worker_page(worker, &(moon_query){.size = sizeof(moon_query), .user = "u1"}, &json, &bytes));
  printf("reload of the site %.1f us; the first page after it %.1f us\n", reload, now() - from);
  return 0;
}

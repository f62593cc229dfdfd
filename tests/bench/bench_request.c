/* bench_request.c - how long the features of a request take with a bundle: 500 candidates, drawn as often as they are looked at, for users of
 * the bundle's own state.
 *
 *   build/release/tests/bench_request BUNDLE [CANDIDATES] [REQUESTS] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "rank/rank.h"

enum { RUNS = 5 };

static void must(moon_status status) {
  if (!status.code) return;
  fprintf(stderr, "bench_request: %s\n", status.message);
  exit(1);
}

static int rising(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Items by how many events they have had: upto[i] events until item i. */
static uint64_t *weigh(const moon_bundle *b, size_t items) {
  uint64_t *upto = moon_calloc(items + 1, sizeof *upto);
  for (size_t i = 0; upto && i < items; i++) upto[i + 1] = upto[i] + moon_state_item_total(b->state, (uint32_t)i) + 1;
  return upto;
}

static uint32_t draw(const uint64_t *upto, size_t items, moon_rng *rng) {
  uint64_t at = moon_rng_u64(rng) % upto[items];
  size_t low = 0, high = items;
  while (high - low > 1) {
    size_t middle = low + (high - low) / 2;
    if (upto[middle] <= at) low = middle;
    else high = middle;
  }
  return (uint32_t)low;
}

int main(int argc, char **argv) {
  if (argc < 2) return fprintf(stderr, "usage: bench_request BUNDLE [CANDIDATES] [REQUESTS]\n"), 2;
  size_t n = argc > 2 ? strtoul(argv[2], NULL, 10) : 500, requests = argc > 3 ? strtoul(argv[3], NULL, 10) : 4000;
  moon_bundle *b;
  must(moon_bundle_open(argv[1], &b));
  size_t items = moon_catalogue_rows(b->catalogue), users = moon_state_users(b->state);
  uint64_t *upto = weigh(b, items);
  uint32_t *candidates = moon_alloc(requests * n * sizeof *candidates);
  double *took = moon_alloc(requests * sizeof *took);
  moon_inputs in;
  moon_arena arena = {0};
  moon_rng rng;
  moon_rng_seed(&rng, 1, 0);
  must(moon_inputs_alloc(b->feature_plan, &arena, n, &in));
  for (size_t i = 0; i < requests * n; i++) candidates[i] = draw(upto, items, &rng);
  printf("%zu features, %zu candidates, %zu requests, %zu items, %zu users\n", b->feature_plan->feature_count, n, requests, items, users);
  for (int run = 0; run < RUNS; run++) {
    for (size_t r = 0; r < requests; r++) {
      uint32_t user = moon_rng_below(&rng, (uint32_t)users);
      struct timespec from, to;
      clock_gettime(CLOCK_MONOTONIC, &from);
      moon_features_compute(b->features, b->state, user, NULL, candidates + r * n, n, moon_state_clock(b->state), &in);
      clock_gettime(CLOCK_MONOTONIC, &to);
      took[r] = (double)(to.tv_sec - from.tv_sec) * 1e6 + (double)(to.tv_nsec - from.tv_nsec) / 1e3;
    }
    qsort(took, requests, sizeof *took, rising);
    printf("p50 %.1f us, p99 %.1f us\n", took[requests / 2], took[requests * 99 / 100]);
  }
  moon_free(upto);
  moon_free(candidates);
  moon_free(took);
  moon_arena_free(&arena);
  moon_bundle_close(b);
}

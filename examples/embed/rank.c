/* rank.c - a list of one's own, ranked by the model: for a program that finds its candidates itself.
 *
 *   rank BUNDLE SITE.lua USER ITEM... */
#include <moonshelf.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static int failed(const char *doing, moon_status status) {
  if (status.code) fprintf(stderr, "%s: %s (%s)\n", doing, status.message, moon_code_name(status.code));
  return status.code != MOON_OK;
}

static int rank(moon_worker *worker, const char *user, const char *const *items, size_t n) {
  const moon_rank_query query = {.size = sizeof query, .user = user, .items = items, .n = n};
  float *scores = malloc(n * sizeof *scores); /* the caller's memory: here it outlives the worker's next call */
  uint32_t *order = malloc(n * sizeof *order);
  int code = !scores || !order || failed("rank", moon_worker_rank(worker, &query, scores, order));
  for (size_t i = 0; !code && i < n; i++) {
    uint32_t best = order[i];
    if (isnan(scores[best])) printf("%-8s is not in the bundle\n", items[best]);
    else printf("%-8s %.4f\n", items[best], scores[best]);
  }
  free(scores);
  free(order);
  return code;
}

int main(int argc, char **argv) {
  if (argc < 5) {
    fprintf(stderr, "usage: rank BUNDLE SITE.lua USER ITEM...\n");
    return 2;
  }
  const moon_runtime_options options = {.size = sizeof options, .bundle = argv[1], .site = argv[2]};
  moon_runtime *shop;
  moon_worker *worker = NULL;
  if (failed("open", moon_runtime_open(&options, &shop))) return 1;
  int code = failed("worker", moon_worker_open(shop, &worker)) || rank(worker, argv[3], (const char *const *)argv + 4, (size_t)argc - 4);
  moon_worker_close(worker);
  moon_runtime_close(shop);
  return code;
}

/* bench_retrieve.c - nearest vectors on one core: all of a million looked at, beside the time of reading the same memory; and the
 * graph beside that.
 *
 *   build/release/tests/bench_retrieve [EXACT_ROWS] [GRAPH_ROWS]
 *
 * Vectors are what learned embeddings are like: groups around centres. Each time is the median of five. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "retrieve/hnsw.h"
#include "retrieve/retrieve.h"
#include "tensor/tensor.h"

enum { DIM = 64, TOP = 100, K = 10, QUERIES = 200, RUNS = 5, GROUPS = 1000 };

static void must(moon_status status) {
  if (!status.code) return;
  fprintf(stderr, "bench_retrieve: %s\n", status.message);
  exit(1);
}

/* The thread's own time, which does not count what neighbours took. */
static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double *times) {
  qsort(times, RUNS, sizeof *times, by_size);
  return times[RUNS / 2];
}

static float *random_vectors(size_t n) {
  float *v = moon_alloc_aligned(n * DIM * sizeof *v), *centre = moon_alloc_aligned(GROUPS * DIM * sizeof *centre);
  if (!v || !centre) must(moon_fail(MOON_ENOMEM, "no memory for %zu vectors", n));
  moon_rng rng;
  moon_rng_seed(&rng, 1, 0);
  for (size_t i = 0; i < GROUPS * DIM; i++) centre[i] = (float)moon_rng_normal(&rng);
  for (size_t r = 0; r < n; r++) {
    const float *group = centre + moon_rng_below(&rng, GROUPS) * (size_t)DIM;
    for (size_t i = 0; i < DIM; i++) {
      float spread = 0; /* nearly normal, and quicker */
      for (int part = 0; part < 4; part++) spread += (float)moon_rng_u32(&rng) * 0x1p-32f - 0.5f;
      v[r * DIM + i] = group[i] + spread;
    }
    float scale = moon_vector_scale(v + r * DIM, DIM);
    for (size_t i = 0; i < DIM; i++) v[r * DIM + i] *= scale;
  }
  moon_free(centre);
  return v;
}

/* The sum of all numbers, in as many running sums as keep the memory busy. */
MOON_CLONES static float read_all(const float *x, size_t n) {
  typedef float lanes __attribute__((vector_size(64), aligned(4)));
  lanes sum[4] = {0};
  for (size_t i = 0; i + 64 <= n; i += 64)
    for (size_t s = 0; s < 4; s++) sum[s] += *(const lanes *)(x + i + 16 * s);
  float total = 0;
  for (size_t s = 0; s < 4; s++)
    for (size_t i = 0; i < 16; i++) total += sum[s][i];
  return total;
}

static void exact(size_t n) {
  float *at = random_vectors(n + 32), *queries = at + n * DIM;
  const moon_vectors v = {at, NULL, n, DIM};
  static uint32_t item[32 * TOP];
  static float score[32 * TOP];
  size_t found[32];
  double reading[RUNS], search[RUNS], filtered[RUNS], many[RUNS];
  uint64_t *allowed = calloc(moon_bits_words(n), sizeof *allowed);
  for (size_t r = 0; allowed && r < n; r++)
    if (r % 10) moon_bits_set(allowed, r);
  volatile float kept = read_all(at, n * DIM);
  for (int run = 0; run < RUNS; run++) { /* by turns, so that a neighbour's noise meets all of them */
    double start = now();
    kept = read_all(at, n * DIM);
    reading[run] = (now() - start), start = now();
    moon_exact_search(&v, queries + run * DIM, TOP, NULL, item, score);
    search[run] = (now() - start), start = now();
    moon_exact_search(&v, queries + run * DIM, TOP, allowed, item, score);
    filtered[run] = (now() - start), start = now();
    must(moon_exact_search_many(&v, queries, 32, TOP, NULL, item, score, found));
    many[run] = (now() - start) / 32;
  }
  (void)kept;
  double bytes = (double)(n * DIM * sizeof(float)), least = median(reading), took = median(search);
  printf("exact top-%d of %zu x %d: %.2f ms; reading the same %.0f MB %.2f ms (%.1f GB/s): %.2fx\n", TOP, n, DIM, took * 1e3,
         bytes * 1e-6, least * 1e3, bytes / least * 1e-9, took / least);
  printf("  with nine tenths allowed %.2f ms; of 32 queries at once %.2f ms each\n", median(filtered) * 1e3, median(many) * 1e3);
  free(allowed);
  moon_free(at);
}

static void graph(size_t n) {
  float *at = random_vectors(n + QUERIES), *queries = at + n * DIM, score[K];
  const moon_vectors v = {at, NULL, n, DIM};
  static uint32_t want[QUERIES * K];
  moon_hnsw *index;
  moon_hnsw_scratch *scratch = moon_hnsw_scratch_new();
  const moon_hnsw_options options = {.capacity = n};
  double start = now();
  must(moon_hnsw_new(DIM, &options, &index));
  for (size_t r = 0; r < n; r++) must(moon_hnsw_add(index, (uint32_t)r, at + r * DIM));
  double built = (now() - start);
  printf("graph of %zu x %d: built in %.1f s, %.1f MB\n", n, DIM, built, (double)moon_hnsw_bytes(index) * 1e-6);
  double times[RUNS];
  for (int run = 0; run < RUNS; run++) {
    start = now();
    for (size_t q = 0; q < QUERIES; q++) moon_exact_search(&v, queries + q * DIM, K, NULL, want + q * K, score);
    times[run] = (now() - start) / QUERIES;
  }
  double least = median(times);
  printf("  exact top-%d                %8.1f us\n", K, least * 1e6);
  for (size_t ef = 10; ef <= 320; ef *= 2) {
    size_t hits = 0, found;
    uint32_t got[K];
    for (int run = 0; run < RUNS; run++) {
      hits = 0, start = now();
      for (size_t q = 0; q < QUERIES; q++) {
        must(moon_hnsw_search(index, queries + q * DIM, K, ef, NULL, n, scratch, got, score, &found));
        for (size_t i = 0; i < found; i++)
          for (size_t j = 0; j < K; j++) hits += got[i] == want[q * K + j];
      }
      times[run] = (now() - start) / QUERIES;
    }
    double took = median(times);
    printf("  ef %3zu: recall@%d %.4f, %8.1f us, %.1fx quicker\n", ef, K, (double)hits / (QUERIES * K), took * 1e6, least / took);
  }
  moon_hnsw_scratch_free(scratch);
  moon_hnsw_free(index);
  moon_free(at);
}

int main(int argc, char **argv) {
  moon_blas_init();
  exact(argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000);
  graph(argc > 2 ? strtoul(argv[2], NULL, 10) : 100000);
}

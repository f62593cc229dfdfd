/* test_retrieve_exact.c - nearest vectors by one pass, against scoring and sorting everything. */
#include "numeric.h"
#include <stdlib.h>

#include "exhaust.h"
#include "retrieve/retrieve.h"

typedef struct world {
  moon_rng rng;
  float *at, *scale, *query, *scores;
  uint64_t *allowed;
  moon_vectors v;
} world;

/* Few distinct values make many ties. */
static void make(world *w, size_t n, size_t dim, bool coarse, uint64_t seed) {
  moon_rng_seed(&w->rng, seed, 0);
  w->at = calloc(n * dim + 1, sizeof(float)), w->scale = calloc(n + 1, sizeof(float)), w->query = calloc(4 * dim + 1, sizeof(float));
  w->scores = calloc(n + 1, sizeof(float)), w->allowed = calloc(moon_bits_words(n) + 1, sizeof(uint64_t));
  for (size_t i = 0; i < n * dim; i++) w->at[i] = coarse ? (float)moon_rng_below(&w->rng, 3) - 1 : (float)moon_rng_normal(&w->rng);
  for (size_t i = 0; i < 4 * dim; i++) w->query[i] = coarse ? (float)moon_rng_below(&w->rng, 3) - 1 : (float)moon_rng_normal(&w->rng);
  for (size_t r = 0; r < n; r++) w->scale[r] = moon_vector_scale(w->at + r * dim, dim);
  w->v = (moon_vectors){w->at, NULL, n, dim};
}

static void end(world *w) { free(w->at), free(w->scale), free(w->query), free(w->scores), free(w->allowed); }

static void allow(world *w, uint32_t one_in) {
  memset(w->allowed, 0, moon_bits_words(w->v.n) * sizeof *w->allowed);
  for (size_t r = 0; r < w->v.n; r++)
    if (!moon_rng_below(&w->rng, one_in)) moon_bits_set(w->allowed, r);
}

/* The whole list, by selecting the best again and again. */
static size_t naive(world *w, const float *query, size_t k, const uint64_t *allowed, uint32_t *item) {
  size_t found = 0, n = w->v.n;
  for (size_t r = 0; r < n; r++) {
    w->scores[r] = moon_dot(w->at + r * w->v.dim, query, w->v.dim) * (w->v.scale ? w->v.scale[r] : 1);
    if (allowed && !moon_bits_has(allowed, r)) w->scores[r] = NAN;
  }
  for (; found < k; found++) {
    size_t best = n;
    for (size_t r = 0; r < n; r++)
      if (!isnan(w->scores[r]) && (best == n || w->scores[r] > w->scores[best])) best = r;
    if (best == n) break;
    item[found] = (uint32_t)best, w->scores[best] = NAN;
  }
  return found;
}

static void a_dot_product_is_the_sum_of_products(void **state) {
  (void)state;
  world w;
  make(&w, 200, 130, false, 3);
  for (size_t dim = 0; dim <= 130; dim++) {
    double sum = 0;
    for (size_t i = 0; i < dim; i++) sum += (double)w.at[i] * w.at[300 + i];
    NEAR(moon_dot(w.at, w.at + 300, dim), sum, 1e-4);
  }
  end(&w);
}

static void search_is_the_head_of_a_full_sort(void **state) {
  (void)state;
  static const size_t dims[] = {1, 3, 16, 17, 48, 64};
  for (uint64_t round = 0; round < 120; round++) {
    world w;
    make(&w, 1 + round * 7 % 400, dims[round % 6], round % 2, round);
    uint32_t want[50], got[51];
    float score[50];
    size_t k = round % 51;
    if (round % 3 == 1) w.v.scale = w.scale;
    const uint32_t one_in[] = {1, 2, 9, 60};
    for (int filter = 0; filter < 5; filter++) {
      if (filter) allow(&w, one_in[filter - 1]);
      const uint64_t *allowed = filter ? w.allowed : NULL;
      size_t n = naive(&w, w.query, k, allowed, want);
      got[k] = 0xabcdef;
      assert_int_equal(moon_exact_search(&w.v, w.query, k, allowed, got, score), n);
      if (n) assert_memory_equal(got, want, n * sizeof *got);
      assert_int_equal(got[k], 0xabcdef);
      for (size_t i = 1; i < n; i++) assert_true(score[i - 1] >= score[i]);
    }
    end(&w);
  }
}

/* With whole numbers both sum exactly, and so must agree to the row. */
static void many_queries_answer_as_one_by_one(void **state) {
  (void)state;
  enum { COUNT = 71, K = 20 };
  for (uint64_t round = 0; round < 12; round++) {
    world w;
    make(&w, 1 + round * 211, 8 + round % 3 * 20, true, round);
    float *queries = malloc(COUNT * w.v.dim * sizeof *queries), score[COUNT * K], one_score[K];
    uint32_t item[COUNT * K], one[K];
    size_t found[COUNT];
    for (size_t i = 0; i < COUNT * w.v.dim; i++) queries[i] = (float)moon_rng_below(&w.rng, 5) - 2;
    allow(&w, round % 2 ? 2 : 40);
    const uint64_t *allowed = round % 3 ? w.allowed : NULL;
    OK(moon_exact_search_many(&w.v, queries, COUNT, K, allowed, item, score, found));
    for (size_t q = 0; q < COUNT; q++) {
      size_t n = moon_exact_search(&w.v, queries + q * w.v.dim, K, allowed, one, one_score);
      assert_int_equal(found[q], n);
      if (n) assert_memory_equal(item + q * K, one, n * sizeof *one);
      if (n) assert_memory_equal(score + q * K, one_score, n * sizeof *score);
    }
    free(queries);
    end(&w);
  }
}

static void what_is_not_a_number_is_never_found(void **state) {
  (void)state;
  const float at[] = {NAN, 0, 1, 0, INFINITY, 0, -1, 0}, query[] = {1, 0};
  const moon_vectors v = {at, NULL, 4, 2};
  uint32_t item[4];
  float score[4];
  assert_int_equal(moon_exact_search(&v, query, 4, NULL, item, score), 3);
  assert_int_equal(item[0], 2);
  assert_int_equal(item[1], 1);
  assert_int_equal(item[2], 3);
  assert_true(moon_vector_scale(at, 2) == 0 && moon_vector_scale(at + 4, 2) == 0);
}

static void bits_are_counted_to_the_last_row(void **state) {
  (void)state;
  uint64_t bits[3] = {UINT64_MAX, UINT64_MAX, UINT64_MAX};
  for (size_t rows = 0; rows <= 192; rows++) assert_int_equal(moon_bits_count(bits, rows), rows);
}

static moon_status many(void *self) {
  world *w = self;
  uint32_t item[4 * 3];
  float score[4 * 3];
  size_t found[4];
  return moon_exact_search_many(&w->v, w->query, 4, 3, NULL, item, score, found);
}

static void no_memory_is_an_error(void **state) {
  (void)state;
  world w;
  make(&w, 100, 8, false, 1);
  assert_true(exhaust(many, &w) >= 1);
  end(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_dot_product_is_the_sum_of_products), cmocka_unit_test(search_is_the_head_of_a_full_sort),
      cmocka_unit_test(many_queries_answer_as_one_by_one),    cmocka_unit_test(what_is_not_a_number_is_never_found),
      cmocka_unit_test(bits_are_counted_to_the_last_row),     cmocka_unit_test(no_memory_is_an_error),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_retrieve_topk.c - top-k of an array against sorting it all, and the bounded heap under it. */
#include "numeric.h"
#include <stdlib.h>

#include "retrieve/best.h"
#include "retrieve/retrieve.h"

static const float *compared; /* qsort has no argument for it */

static int best_first(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  float p = compared[x], q = compared[y];
  if (isnan(p) != isnan(q)) return isnan(p) ? 1 : -1;
  if (!isnan(p) && p != q) return p > q ? -1 : 1;
  return x < y ? -1 : 1;
}

static void check_against_sort(const float *scores, size_t n, size_t k) {
  uint32_t *all = malloc((n + 1) * sizeof *all), *got = malloc((k + 1) * sizeof *got);
  for (uint32_t i = 0; i < n; i++) all[i] = i;
  compared = scores;
  qsort(all, n, sizeof *all, best_first);
  got[k] = 0xabcdef;
  size_t found = moon_top_k(scores, n, k, got);
  assert_int_equal(found, k < n ? k : n);
  for (size_t i = 0; i < found; i++)
    if (got[i] != all[i]) fail_msg("n %zu k %zu: place %zu is %u, not %u", n, k, i, got[i], all[i]);
  assert_int_equal(got[k], 0xabcdef);
  free(all);
  free(got);
}

static void top_k_is_the_head_of_a_full_sort(void **state) {
  (void)state;
  static float scores[3000];
  moon_rng rng;
  moon_rng_seed(&rng, 5, 0);
  const float special[] = {NAN, INFINITY, -INFINITY, 0.0f, -0.0f, 1e-45f, -3e38f};
  for (int round = 0; round < 600; round++) {
    size_t n = moon_rng_below(&rng, round % 10 ? 300 : 3000), k = moon_rng_below(&rng, (uint32_t)n + 5);
    uint32_t distinct = round % 3 == 0 ? 3 : round % 3 == 1 ? 50 : 1000000; /* few values make many ties */
    for (size_t i = 0; i < n; i++) {
      scores[i] = (float)moon_rng_below(&rng, distinct) / 7 - 2;
      if (round % 4 == 0 && moon_rng_below(&rng, 5) == 0) scores[i] = special[moon_rng_below(&rng, 7)];
    }
    check_against_sort(scores, n, k);
  }
}

static void top_k_stands_any_arrangement(void **state) {
  (void)state;
  static float scores[2000];
  for (int kind = 0; kind < 5; kind++) {
    for (size_t i = 0; i < 2000; i++) {
      float at = (float)i;
      scores[i] = kind == 0 ? at : kind == 1 ? -at : kind == 2 ? 1 : kind == 3 ? NAN : (i % 2 ? at : -at);
    }
    const size_t ks[] = {1, 2, 3, 100, 127, 128, 129, 1999, 2000, 2001};
    for (size_t j = 0; j < sizeof ks / sizeof *ks; j++) check_against_sort(scores, 2000, ks[j]);
  }
}

static void top_k_of_nothing_is_nothing(void **state) {
  (void)state;
  uint32_t index[1] = {77};
  const float scores[] = {1, 2};
  assert_int_equal(moon_top_k(scores, 0, 1, index), 0);
  assert_int_equal(moon_top_k(scores, 2, 0, NULL), 0);
  assert_int_equal(index[0], 77);
}

static void nan_comes_after_minus_infinity(void **state) {
  (void)state;
  const float scores[] = {NAN, -INFINITY, NAN, 3};
  uint32_t index[4];
  assert_int_equal(moon_top_k(scores, 4, 4, index), 4);
  const uint32_t want[] = {3, 1, 0, 2};
  assert_memory_equal(index, want, sizeof want);
  assert_int_equal(moon_top_k(scores, 4, 3, index), 3);
  assert_memory_equal(index, want, 3 * sizeof *want);
}

static void kept_do_not_depend_on_the_order_of_offers(void **state) {
  (void)state;
  enum { N = 200, CAP = 17 };
  moon_rng rng;
  moon_rng_seed(&rng, 9, 0);
  float scores[N];
  uint32_t order[N], want[CAP], row[CAP];
  float score[CAP];
  for (uint32_t i = 0; i < N; i++) scores[i] = (float)moon_rng_below(&rng, 20), order[i] = i;
  moon_top_k(scores, N, CAP, want);
  for (int round = 0; round < 50; round++) {
    moon_rng_shuffle(&rng, order, N);
    moon_best best = {.row = row, .score = score, .cap = CAP};
    for (size_t i = 0; i < N; i++) moon_best_offer(&best, order[i], scores[order[i]]);
    moon_best_sort(&best);
    assert_int_equal(best.n, CAP);
    assert_memory_equal(row, want, sizeof want);
    for (size_t i = 0; i < CAP; i++) NEAR(score[i], scores[row[i]], 0);
  }
}

static void best_without_room_keeps_nothing(void **state) {
  (void)state;
  moon_best best = {0};
  moon_best_offer(&best, 3, 1);
  moon_best_sort(&best);
  assert_int_equal(best.n, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(top_k_is_the_head_of_a_full_sort),
      cmocka_unit_test(top_k_stands_any_arrangement),
      cmocka_unit_test(top_k_of_nothing_is_nothing),
      cmocka_unit_test(nan_comes_after_minus_infinity),
      cmocka_unit_test(kept_do_not_depend_on_the_order_of_offers),
      cmocka_unit_test(best_without_room_keeps_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

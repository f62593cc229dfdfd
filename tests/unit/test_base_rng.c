/* Random numbers: the published vectors of Philox4x32-10, and that what is made of them has the right shape. */
#include "unit/numeric.h"

#include <stdlib.h>

/* kat_vectors of the Random123 distribution: counter, key, output. */
static void philox_answers_the_published_vectors(void **state) {
  (void)state;
  static const uint32_t vectors[3][10] = {
      {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
      {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
      {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}};
  for (int v = 0; v < 3; v++) {
    const uint32_t *w = vectors[v];
    moon_rng rng;
    moon_rng_seed(&rng, w[4] | (uint64_t)w[5] << 32, w[2] | (uint64_t)w[3] << 32);
    rng.counter[0] = w[0], rng.counter[1] = w[1];
    for (int i = 0; i < 4; i++) assert_int_equal(moon_rng_u32(&rng), w[6 + i]);
    for (int i = 2; i < 4; i++) assert_int_equal(rng.counter[i], w[i]); /* the stream never changes */
  }
}

static void counter_carries(void **state) {
  (void)state;
  moon_rng a, b;
  moon_rng_seed(&a, 1, 2);
  moon_rng_seed(&b, 1, 2);
  a.counter[0] = UINT32_MAX;
  for (int i = 0; i < 4; i++) moon_rng_u32(&a);
  b.counter[1] = 1;
  assert_int_equal(moon_rng_u32(&a), moon_rng_u32(&b));
}

static void seed_and_stream_name_the_numbers(void **state) {
  (void)state;
  moon_rng a, b;
  for (int differ = 0; differ < 3; differ++) {
    moon_rng_seed(&a, 7, 9);
    moon_rng_seed(&b, differ == 1 ? 8 : 7, differ == 2 ? 10 : 9);
    int same = 0;
    for (int i = 0; i < 100; i++) same += moon_rng_u32(&a) == moon_rng_u32(&b);
    assert_int_equal(same, differ ? 0 : 100);
  }
}

/* Chi-square over 64 cells, 63 degrees of freedom: 99.99 % lies below 115. The seed is fixed, so this either holds or does
 * not. */
static void numbers_are_spread_evenly(void **state) {
  (void)state;
  enum { CELLS = 64, DRAWS = 640000 };
  moon_rng rng;
  moon_rng_seed(&rng, 42, 0);
  for (int kind = 0; kind < 3; kind++) {
    static size_t cells[CELLS];
    memset(cells, 0, sizeof cells);
    for (int i = 0; i < DRAWS; i++) {
      double u = moon_rng_uniform(&rng);
      assert_true(u >= 0 && u < 1);
      if (kind == 0)
        cells[(int)(u * CELLS)]++;
      else if (kind == 1)
        cells[moon_rng_u64(&rng) % CELLS]++;
      else
        cells[moon_rng_below(&rng, CELLS * 3) / 3]++;
    }
    double chi = 0, each = (double)DRAWS / CELLS;
    for (int c = 0; c < CELLS; c++) chi += ((double)cells[c] - each) * ((double)cells[c] - each) / each;
    assert_true(chi > 25 && chi < 115);
  }
}

static void below_stays_below_and_is_fair_for_large_bounds(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 4, 4);
  assert_int_equal(moon_rng_below(&rng, 0), 0);
  assert_int_equal(moon_rng_below(&rng, 1), 0);
  size_t low = 0, draws = 300000;
  for (size_t i = 0; i < draws; i++) { /* a plain modulo would give the lower half of this bound twice the share of its upper */
    uint32_t x = moon_rng_below(&rng, 0xC0000000u);
    assert_true(x < 0xC0000000u);
    low += x < 0x60000000u;
  }
  NEAR((double)low / (double)draws, 0.5, 0.005);
}

static void normal_has_its_moments(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 6, 0);
  double sum = 0, square = 0, fourth = 0;
  int n = 200000, beyond = 0;
  for (int i = 0; i < n; i++) {
    double x = moon_rng_normal(&rng);
    assert_true(isfinite(x));
    sum += x, square += x * x, fourth += x * x * x * x;
    beyond += fabs(x) > 1.959964;
  }
  NEAR(sum / n, 0, 0.01);
  NEAR(square / n, 1, 0.015);
  NEAR(fourth / n, 3, 0.12);
  NEAR((double)beyond / n, 0.05, 0.003);
}

static void shuffle_is_a_fair_permutation(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 12, 0);
  size_t seen[24] = {0};
  for (int round = 0; round < 24000; round++) {
    uint32_t items[4] = {0, 1, 2, 3};
    moon_rng_shuffle(&rng, items, 4);
    unsigned present = 0, rank = 0;
    for (int i = 0; i < 4; i++) {
      present |= 1u << items[i];
      unsigned smaller = 0;
      for (int k = i + 1; k < 4; k++) smaller += items[k] < items[i];
      rank = rank * (unsigned)(4 - i) + smaller;
    }
    assert_int_equal(present, 15);
    seen[rank]++;
  }
  for (int i = 0; i < 24; i++) assert_true(seen[i] > 850 && seen[i] < 1150);
  moon_rng_shuffle(&rng, NULL, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(philox_answers_the_published_vectors),
                                     cmocka_unit_test(counter_carries),
                                     cmocka_unit_test(seed_and_stream_name_the_numbers),
                                     cmocka_unit_test(numbers_are_spread_evenly),
                                     cmocka_unit_test(below_stays_below_and_is_fair_for_large_bounds),
                                     cmocka_unit_test(normal_has_its_moments),
                                     cmocka_unit_test(shuffle_is_a_fair_permutation)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}

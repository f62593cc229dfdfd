/* test_page_solve.c - choosing under groups: never more than a most, close to the best that there is, the same each time. */
#include <stdlib.h>

#include "page/solve.h"
#include "numeric.h"

enum { N = 14, GROUPS = 8 };

typedef struct problem {
  moon_choice choice;
  float value[N];
  uint32_t first[N + 1], group[N * GROUPS], most[GROUPS], least[GROUPS], count[GROUPS];
  uint8_t chosen[N];
} problem;

static problem *random_problem(moon_rng *rng, bool floors) {
  problem *p = calloc(1, sizeof *p);
  size_t n = 1 + moon_rng_below(rng, N), groups = 1 + moon_rng_below(rng, GROUPS), at = 0;
  for (size_t i = 0; i < n; i++) {
    p->value[i] = (float)(1 + moon_rng_below(rng, 10)) / 10;
    for (uint32_t g = 0; g < groups; g++)
      if (!moon_rng_below(rng, 3)) p->group[at++] = g;
    p->first[i + 1] = (uint32_t)at;
  }
  for (size_t g = 0; g < groups; g++) {
    p->most[g] = moon_rng_below(rng, 4);
    p->least[g] = floors && !moon_rng_below(rng, 3) ? moon_rng_below(rng, p->most[g] + 1) : 0;
  }
  p->choice = (moon_choice){.n = n, .group_count = groups, .value = p->value, .first = p->first, .group = p->group, .most = p->most,
                            .least = p->least, .chosen = p->chosen, .count = p->count, .steps = 10000, .deadline = INT64_MAX};
  return p;
}

static bool count(problem *p, uint32_t set) {
  moon_choice *c = &p->choice;
  memset(p->count, 0, sizeof p->count);
  for (size_t i = 0; i < c->n; i++) {
    p->chosen[i] = set >> i & 1;
    for (uint32_t k = p->first[i]; p->chosen[i] && k < p->first[i + 1]; k++)
      if (++p->count[p->group[k]] > p->most[p->group[k]]) return false;
  }
  return true;
}

static double best_of(problem *p) {
  double best = -1e9;
  for (uint32_t set = 0; set < 1u << p->choice.n; set++)
    if (count(p, set) && moon_choice_worth(&p->choice) > best) best = moon_choice_worth(&p->choice);
  return best;
}

static void a_choice_keeps_within_every_most_and_is_near_the_best(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 5, 0);
  size_t runs = 600, exact = 0;
  double lost = 0;
  for (size_t run = 0; run < runs; run++) {
    moon_arena arena = {0};
    problem *p = random_problem(&rng, run % 2);
    double best = best_of(p);
    OK(moon_choose(&p->choice, &arena));
    double worth = moon_choice_worth(&p->choice);
    uint32_t set = 0, counted[GROUPS];
    memcpy(counted, p->count, sizeof counted);
    for (size_t i = 0; i < p->choice.n; i++) set |= (uint32_t)p->chosen[i] << i;
    assert_true(count(p, set));
    assert_memory_equal(counted, p->count, p->choice.group_count * sizeof *counted);
    assert_true(worth <= best + 1e-5);
    exact += worth > best - 1e-5;
    lost += best > 0 ? (best - worth) / best : 0;
    free(p);
    moon_arena_free(&arena);
  }
  if (exact < runs * 93 / 100 || lost / (double)runs > 0.02) fail_msg("%zu of %zu are the best; %.2f %% lost in the mean", exact, runs, 100 * lost / (double)runs);
}

static void what_is_chosen_leaves_no_room_for_what_is_not(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 6, 0);
  for (size_t run = 0; run < 300; run++) {
    moon_arena arena = {0};
    problem *p = random_problem(&rng, true);
    p->choice.steps = run % 3;
    OK(moon_choose(&p->choice, &arena));
    for (size_t i = 0; i < p->choice.n; i++) assert_true(p->chosen[i] || moon_choice_blocker(&p->choice, i) != MOON_NONE);
    free(p);
    moon_arena_free(&arena);
  }
}

static void equal_candidates_go_by_their_order(void **state) {
  (void)state;
  uint32_t first[] = {0, 1, 2, 3}, group[] = {0, 0, 0}, most[] = {2}, least[] = {0}, counts[1];
  uint8_t chosen[3];
  float value[] = {0.5f, 0.5f, 0.5f};
  moon_arena arena = {0};
  moon_choice c = {.n = 3, .group_count = 1, .value = value, .first = first, .group = group, .most = most, .least = least, .chosen = chosen,
                   .count = counts, .steps = 100, .deadline = INT64_MAX};
  OK(moon_choose(&c, &arena));
  assert_true(chosen[0] && chosen[1] && !chosen[2] && !c.late);
  c.deadline = 0; /* long gone: greedy, and told */
  OK(moon_choose(&c, &arena));
  assert_true(chosen[0] && chosen[1] && !chosen[2] && c.late);
  moon_arena_free(&arena);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_choice_keeps_within_every_most_and_is_near_the_best),
      cmocka_unit_test(what_is_chosen_leaves_no_room_for_what_is_not),
      cmocka_unit_test(equal_candidates_go_by_their_order),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

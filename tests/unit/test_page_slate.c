/* test_page_slate.c - slates and their operators against plain loops that do the same the slow way. */
#include "page_shop.h"

static moon_slate *chairs_and_tables(const moon_bundle *bundle, moon_arena *arena) { /* rows 0..7, scores 8..1 */
  moon_slate *slate = NULL;
  OK(moon_slate_new(bundle, arena, 8, &slate));
  for (uint32_t i = 0; i < 8; i++) moon_slate_add(slate, i, 8 - (float)i, MOON_SOURCE_POPULAR);
  return slate;
}

static void assert_items(const moon_slate *slate, size_t n, const uint32_t *items) {
  assert_int_equal(slate->n, n);
  for (size_t i = 0; i < n; i++)
    if (slate->item[i] != items[i]) fail_msg("position %zu: item %u, not %u", i, slate->item[i], items[i]);
}
#define ITEMS(slate, ...) assert_items(slate, sizeof((uint32_t[]){__VA_ARGS__}) / 4, (uint32_t[]){__VA_ARGS__})

/* ---- filling */

static void slate_ignores_duplicates_and_what_does_not_fit(void **state) {
  (void)state;
  moon_arena arena = {0};
  moon_slate *slate = NULL;
  OK(moon_slate_new(NULL, &arena, 3, &slate));
  moon_slate_add(slate, 5, 1, MOON_SOURCE_SIMILAR);
  moon_slate_add(slate, 5, 9, MOON_SOURCE_POPULAR);
  moon_slate_add(slate, MOON_NONE, 9, MOON_SOURCE_POPULAR);
  moon_slate_add(slate, 0, 2, MOON_SOURCE_RECENT);
  moon_slate_add(slate, MOON_NONE - 1, 3, MOON_SOURCE_TRENDING);
  moon_slate_add(slate, 7, 4, MOON_SOURCE_POPULAR);
  ITEMS(slate, 5, 0, MOON_NONE - 1);
  assert_int_equal(slate->source[0], MOON_SOURCE_SIMILAR);
  assert_true(slate->score[0] == 1 && slate->source_score[0] == 1 && isnan(slate->model_score[0]) && !slate->reason[0]);
  moon_arena_free(&arena);
}

static void slate_does_not_take_a_dropped_item_back(void **state) {
  (void)state;
  moon_arena arena = {0};
  moon_slate *slate = NULL;
  OK(moon_slate_new(NULL, &arena, 4, &slate));
  moon_slate_add(slate, 1, 1, MOON_SOURCE_POPULAR);
  moon_slate_add(slate, 2, 1, MOON_SOURCE_POPULAR);
  moon_slate_keep(slate, (uint8_t[]){0, 1});
  moon_slate_add(slate, 1, 5, MOON_SOURCE_POPULAR);
  ITEMS(slate, 2);
  moon_arena_free(&arena);
}

static void slate_of_no_items_is_fine(void **state) {
  (void)state;
  moon_arena arena = {0};
  moon_bundle bundle = {.catalogue = shop_catalogue()};
  moon_slate *slate = NULL;
  OK(moon_slate_new(&bundle, &arena, 0, &slate));
  moon_slate_add(slate, 1, 1, MOON_SOURCE_POPULAR);
  moon_slate_sort(slate, "sort");
  moon_slate_keep(slate, NULL);
  moon_slate_boost(slate, NULL, 2, "boost", NULL);
  OK(moon_slate_cap(slate, "brand", 1, "cap"));
  assert_int_equal(slate->n, 0);
  REFUSED(MOON_ENOMEM, "no memory", moon_slate_new(&bundle, &arena, SIZE_MAX, &slate));
  moon_catalogue_free(bundle.catalogue);
  moon_arena_free(&arena);
}

/* ---- sort */

/* Whether a belongs before b by score: NaN after everything. */
static bool before(float a, float b) { return !isnan(a) && (isnan(b) || a > b); }

static void slate_sort_is_stable_and_puts_nan_last(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 1, 0);
  for (size_t round = 0; round < 300; round++) {
    moon_arena arena = {0};
    size_t n = moon_rng_below(&rng, 200);
    moon_slate *slate = random_slate(&rng, NULL, &arena, n);
    uint32_t item[200];
    float score[200];
    for (size_t i = 0; i < n; i++) { /* insertion sort: the reference */
      size_t at = i;
      for (; at > 0 && before(slate->score[i], score[at - 1]); at--) item[at] = item[at - 1], score[at] = score[at - 1];
      item[at] = slate->item[i], score[at] = slate->score[i];
    }
    moon_slate_sort(slate, "sort");
    assert_items(slate, n, item);
    for (size_t i = 0; i < n; i++) assert_true(slate->model_score[i] == (float)item[i] && !memcmp(&slate->score[i], &score[i], 4));
    moon_arena_free(&arena);
  }
}

static void slate_sort_notes_only_what_moved(void **state) {
  (void)state;
  moon_arena arena = {0};
  moon_slate *slate = NULL;
  OK(moon_slate_new(NULL, &arena, 4, &slate));
  for (uint32_t i = 0; i < 4; i++) moon_slate_add(slate, i, i == 3 ? 9 : 5 - (float)i, MOON_SOURCE_POPULAR);
  moon_slate_sort(slate, "mine");
  ITEMS(slate, 3, 0, 1, 2);
  assert_string_equal(slate->reason[0]->policy, "mine");
  assert_true(slate->reason[0]->from == 3 && slate->reason[0]->to == 0 && slate->reason[0]->factor == 0);
  moon_slate_sort(slate, "again");
  assert_null(slate->reason[0]->next);
  moon_arena_free(&arena);
}

/* ---- boost */

static void slate_boost_multiplies_sorts_and_says_so(void **state) {
  (void)state;
  moon_arena arena = {0};
  moon_slate *slate = chairs_and_tables(NULL, &arena);
  moon_slate_boost(slate, (uint8_t[]){0, 0, 0, 1, 0, 0, 0, 1}, 2, "boost(x)", "because");
  ITEMS(slate, 3, 0, 1, 2, 4, 5, 6, 7);
  assert_true(slate->score[0] == 10 && slate->source_score[0] == 5);
  const moon_reason *reason = slate->reason[0];
  assert_true(reason->factor == 2 && reason->from == 3 && reason->to == 0 && !reason->next);
  assert_string_equal(reason->text, "because");
  assert_null(slate->reason[1]); /* pushed down, not boosted */
  assert_true(slate->reason[7]->from == 7 && slate->reason[7]->to == 7);
  moon_arena_free(&arena);
}

static void slate_boost_raises_negative_scores_too(void **state) {
  (void)state;
  moon_arena arena = {0};
  moon_slate *slate = NULL;
  OK(moon_slate_new(NULL, &arena, 3, &slate));
  moon_slate_add(slate, 0, -2, MOON_SOURCE_POPULAR);
  moon_slate_add(slate, 1, -3, MOON_SOURCE_POPULAR);
  moon_slate_boost(slate, (uint8_t[]){0, 1}, 2, "b", NULL);
  ITEMS(slate, 1, 0);
  assert_true(slate->score[0] == -1.5f);
  moon_slate_boost(slate, (uint8_t[]){1, 0}, 0.5f, "bury", NULL);
  ITEMS(slate, 0, 1);
  assert_true(slate->score[1] == -3);
  moon_slate_boost(slate, (uint8_t[]){1, 1}, -1, "nonsense", NULL);
  moon_slate_boost(slate, (uint8_t[]){1, 1}, NAN, "nonsense", NULL);
  assert_true(slate->score[0] == -2 && slate->score[1] == -3);
  moon_arena_free(&arena);
}

static void slate_keeps_no_notes_where_nobody_asks(void **state) {
  (void)state;
  moon_arena arena = {0};
  moon_slate *slate = chairs_and_tables(NULL, &arena);
  slate->explain = false;
  size_t used = arena.used_total;
  moon_slate_boost(slate, (uint8_t[]){0, 0, 0, 1, 0, 0, 0, 1}, 2, "boost(x)", "because");
  moon_slate_note(slate, 0, "mine", NULL, 1, 0, 0);
  for (size_t i = 0; i < slate->n; i++) assert_null(slate->reason[i]);
  assert_int_equal(arena.used_total, used);
  moon_arena_free(&arena);
}

/* ---- cap */

static void slate_cap_keeps_best_first(void **state) {
  (void)state;
  moon_arena arena = {0};
  moon_bundle bundle = {.catalogue = shop_catalogue()};
  moon_slate *slate = chairs_and_tables(&bundle, &arena);
  OK(moon_slate_cap(slate, "category", 1, "cap(category)"));
  ITEMS(slate, 0, 3, 5, 7); /* the thing without a category stays */
  assert_true(slate->reason[1]->from == 3 && slate->reason[1]->to == 1);
  assert_null(slate->reason[0]);
  REFUSED(MOON_ENOTFOUND, "did you mean 'brand'", moon_slate_cap(slate, "brnd", 1, "cap"));
  REFUSED(MOON_EINVAL, "1 or more", moon_slate_cap(slate, "brand", 0, "cap"));
  ITEMS(slate, 0, 3, 5, 7);
  moon_catalogue_free(bundle.catalogue);
  moon_arena_free(&arena);
}

static bool same_cell(const moon_column *column, uint32_t a, uint32_t b) {
  if (moon_column_is_null(column, a) || moon_column_is_null(column, b)) return false;
  return column->type == MOON_STRING ? column->code[a] == column->code[b] : moon_column_number(column, a) == moon_column_number(column, b);
}

static void slate_cap_agrees_with_counting(void **state) {
  (void)state;
  static const char *const names[] = {"group", "size", "year"};
  moon_rng rng;
  moon_rng_seed(&rng, 2, 0);
  for (size_t round = 0; round < 200; round++) {
    moon_arena arena = {0};
    size_t n = 1 + moon_rng_below(&rng, 150), limit = 1 + moon_rng_below(&rng, 4), kept = 0;
    moon_bundle bundle = {.catalogue = random_catalogue(&rng, n, 1 + moon_rng_below(&rng, 20))};
    moon_slate *slate = random_slate(&rng, &bundle, &arena, n);
    const char *name = names[moon_rng_below(&rng, 3)];
    const moon_column *column = moon_table_column(bundle.catalogue->table, name);
    uint32_t expected[150];
    for (size_t i = 0; i < n; i++) {
      size_t same = 0;
      for (size_t j = 0; j < kept; j++) same += same_cell(column, expected[j], slate->item[i]);
      if (same < limit) expected[kept++] = slate->item[i];
    }
    OK(moon_slate_cap(slate, name, limit, "cap"));
    assert_items(slate, kept, expected);
    moon_catalogue_free(bundle.catalogue);
    moon_arena_free(&arena);
  }
}

static void minus_zero_and_zero_are_one_value(void **state) {
  (void)state;
  moon_arena arena = {0};
  moon_bundle bundle = {.catalogue = shop_catalogue()};
  moon_slate *slate = chairs_and_tables(&bundle, &arena);
  moon_column *price = moon_table_column(bundle.catalogue->table, "price");
  price->f64[2] = 0.0;
  price->f64[6] = -0.0;
  OK(moon_slate_cap(slate, "price", 1, "cap(price)"));
  ITEMS(slate, 0, 1, 2, 3, 4, 5, 7);
  moon_catalogue_free(bundle.catalogue);
  moon_arena_free(&arena);
}

static void two_moves_by_one_policy_are_one(void **state) {
  (void)state;
  static const char policy[] = "lua(site.lua:3)";
  moon_arena arena = {0};
  moon_bundle bundle = {.catalogue = shop_catalogue()};
  moon_slate *slate = chairs_and_tables(&bundle, &arena);
  OK(moon_slate_cap(slate, "category", 1, policy)); /* 0 3 5 7 */
  OK(moon_slate_cap(slate, "brand", 1, policy));    /* 0 5 7 */
  ITEMS(slate, 0, 5, 7);
  assert_true(slate->reason[1]->from == 5 && slate->reason[1]->to == 1 && !slate->reason[1]->next);
  moon_slate_boost(slate, (uint8_t[]){0, 1, 0}, 100, policy, NULL);
  slate->score[0] = 0;
  moon_slate_sort(slate, policy); /* a boost stays a line of its own */
  ITEMS(slate, 0, 7, 5);
  assert_true(slate->reason[2]->factor == 0 && slate->reason[2]->from == 0 && slate->reason[2]->to == 2);
  assert_true(slate->reason[2]->next->factor == 100 && slate->reason[2]->next->from == 1 && slate->reason[2]->next->to == 0);
  moon_catalogue_free(bundle.catalogue);
  moon_arena_free(&arena);
}

/* ---- all of them */

static void operators_never_invent_or_double_an_item(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 3, 0);
  for (size_t round = 0; round < 100; round++) {
    moon_arena arena = {0};
    size_t n = 1 + moon_rng_below(&rng, 80), left = n;
    moon_bundle bundle = {.catalogue = random_catalogue(&rng, n, 9)};
    moon_slate *slate = random_slate(&rng, &bundle, &arena, n);
    uint8_t mask[80], there[80];
    for (size_t i = 0; i < n; i++) there[i] = 1;
    for (size_t step = 0; step < 12; step++) {
      for (size_t i = 0; i < n; i++) mask[i] = moon_rng_below(&rng, 8) > 0;
      switch (moon_rng_below(&rng, 4)) {
        case 0: moon_slate_sort(slate, "sort"); break;
        case 1: moon_slate_keep(slate, mask); break;
        case 2: moon_slate_boost(slate, mask, 0.5f + (float)moon_rng_below(&rng, 3), "boost", NULL); break;
        default: OK(moon_slate_cap(slate, "group", 3 + moon_rng_below(&rng, 9), "cap"));
      }
      uint8_t now[80] = {0};
      assert_true(slate->n <= left);
      for (size_t i = 0; i < slate->n; i++) {
        uint32_t item = slate->item[i];
        assert_true(item < n && there[item] && !now[item] && slate->model_score[i] == (float)item);
        now[item] = 1;
      }
      memcpy(there, now, sizeof there);
      left = slate->n;
    }
    moon_catalogue_free(bundle.catalogue);
    moon_arena_free(&arena);
  }
}

/* ---- memory */

static void failing_memory_leaves_the_slate_as_it_was(void **state) {
  (void)state;
  enum { N = 8192 }; /* slate and cap each need a block of the arena's */
  moon_rng rng;
  moon_rng_seed(&rng, 4, 0);
  moon_bundle bundle = {.catalogue = random_catalogue(&rng, N, 5)};
  size_t refusals[2] = {0};
  for (size_t n = 1;; n++) {
    moon_arena arena = {0};
    moon_slate *slate = NULL;
    moon_alloc_fail_at(n);
    moon_status st = moon_slate_new(&bundle, &arena, N, &slate);
    for (uint32_t i = 0; !st.code && i < N; i++) moon_slate_add(slate, i, 1, MOON_SOURCE_POPULAR);
    if (!st.code) st = moon_slate_cap(slate, "group", 1, "cap");
    moon_alloc_fail_at(0);
    assert_true(st.code == MOON_OK || st.code == MOON_ENOMEM);
    refusals[slate != NULL] += st.code != 0;
    for (uint32_t i = 0; st.code && slate && i < N; i++) assert_int_equal(slate->item[i], i);
    moon_arena_free(&arena);
    if (!st.code) break;
    assert_true(n < 100);
  }
  assert_true(refusals[0] && refusals[1]);
  moon_catalogue_free(bundle.catalogue);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(slate_ignores_duplicates_and_what_does_not_fit),
      cmocka_unit_test(slate_does_not_take_a_dropped_item_back),
      cmocka_unit_test(slate_of_no_items_is_fine),
      cmocka_unit_test(slate_sort_is_stable_and_puts_nan_last),
      cmocka_unit_test(slate_sort_notes_only_what_moved),
      cmocka_unit_test(slate_boost_multiplies_sorts_and_says_so),
      cmocka_unit_test(slate_boost_raises_negative_scores_too),
      cmocka_unit_test(slate_keeps_no_notes_where_nobody_asks),
      cmocka_unit_test(slate_cap_keeps_best_first),
      cmocka_unit_test(slate_cap_agrees_with_counting),
      cmocka_unit_test(minus_zero_and_zero_are_one_value),
      cmocka_unit_test(two_moves_by_one_policy_are_one),
      cmocka_unit_test(operators_never_invent_or_double_an_item),
      cmocka_unit_test(failing_memory_leaves_the_slate_as_it_was),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_page_mmr.c - maximal marginal relevance against the definition, computed anew for every pick. The model is played by this file: an
 * item's embedding is a row of `vectors`. */
#include "page_shop.h"

enum { MOST = 120, DIM = 5 };
static float vectors[MOST][DIM];
static bool absent[MOST];

const float *moon_model_item_embedding(const moon_model *model, const moon_features *features, uint32_t item, size_t *dim) {
  (void)model, (void)features;
  *dim = DIM;
  return item < MOST && !absent[item] ? vectors[item] : NULL;
}
static moon_model *const the_model = (moon_model *)vectors; /* any pointer: only this file looks at it */

static double cosine(uint32_t a, uint32_t b) {
  double dot = 0, aa = 0, bb = 0;
  for (size_t d = 0; d < DIM; d++) {
    dot += (double)vectors[a][d] * vectors[b][d];
    aa += (double)vectors[a][d] * vectors[a][d];
    bb += (double)vectors[b][d] * vectors[b][d];
  }
  return absent[a] || absent[b] || aa == 0 || bb == 0 ? 0 : dot / sqrt(aa * bb);
}

static double likeness(const moon_bundle *bundle, const char *by, uint32_t a, uint32_t b) {
  if (!strcmp(by, "embedding")) return cosine(a, b);
  const moon_column *column = moon_table_column(bundle->catalogue->table, by);
  return column->code[a] != MOON_NONE && column->code[a] == column->code[b];
}

/* score' of an item of the slate as it was before. */
static double scaled(const moon_slate *before, size_t i) {
  double low = INFINITY, high = -INFINITY, s = before->score[i];
  for (size_t j = 0; j < before->n; j++)
    if (isfinite(before->score[j])) low = fmin(low, before->score[j]), high = fmax(high, before->score[j]);
  if (isnan(s) || !(high > low)) return 0;
  return fmin(fmax((s - low) / (high - low), 0), 1);
}

/* lambda * score' - (1 - lambda) * max similarity to the first `picks` of `after`. */
static double value_of(const moon_slate *before, size_t i, const moon_slate *after, size_t picks, double lambda, const char *by) {
  double nearest = picks ? -INFINITY : 0;
  for (size_t p = 0; p < picks; p++) nearest = fmax(nearest, likeness(before->bundle, by, before->item[i], after->item[p]));
  return lambda * scaled(before, i) - (1 - lambda) * nearest;
}

static size_t position_of(const moon_slate *slate, uint32_t item) {
  for (size_t i = 0; i < slate->n; i++)
    if (slate->item[i] == item) return i;
  fail_msg("item %u is not in the slate", item);
  return 0;
}

/* Each pick is worth as much as the best that was left; what was not picked follows in its order. */
static void assert_is_mmr(const moon_slate *before, const moon_slate *after, size_t k, double lambda, const char *by) {
  assert_int_equal(before->n, after->n);
  for (size_t pick = 0; pick < k && pick < after->n; pick++) {
    double best = -INFINITY, got = value_of(before, position_of(before, after->item[pick]), after, pick, lambda, by);
    for (size_t i = 0; i < before->n; i++)
      if (position_of(after, before->item[i]) >= pick) best = fmax(best, value_of(before, i, after, pick, lambda, by));
    NEAR(got, best, 1e-5);
  }
  for (size_t i = k + 1; i < after->n; i++) assert_true(position_of(before, after->item[i - 1]) < position_of(before, after->item[i]));
  for (size_t i = 0; i < after->n; i++) assert_true(after->model_score[i] == (float)after->item[i]);
}

static void fill_vectors(moon_rng *rng) {
  for (size_t i = 0; i < MOST; i++) {
    absent[i] = !moon_rng_below(rng, 9);
    bool zero = !moon_rng_below(rng, 9);
    for (size_t d = 0; d < DIM; d++) vectors[i][d] = zero ? 0 : (float)moon_rng_normal(rng);
  }
}

static void mmr_picks_the_best_by_definition(void **state) {
  (void)state;
  static const char *const ways[] = {"embedding", "group"};
  static const float lambdas[] = {0, 0.3f, 0.7f, 1};
  moon_rng rng;
  moon_rng_seed(&rng, 11, 0);
  for (size_t round = 0; round < 120; round++) {
    moon_arena arena = {0};
    size_t n = 1 + moon_rng_below(&rng, MOST), k = 1 + moon_rng_below(&rng, 40);
    moon_bundle bundle = {.catalogue = random_catalogue(&rng, n, 12), .model = the_model};
    const char *by = ways[round % 2];
    float lambda = lambdas[round / 2 % 4];
    fill_vectors(&rng);
    moon_rng same = rng;
    moon_slate *before = random_slate(&rng, &bundle, &arena, n), *after = random_slate(&same, &bundle, &arena, n);
    OK(moon_slate_mmr(after, lambda, by, k, "mmr"));
    assert_is_mmr(before, after, k < n ? k : n, lambda, by);
    moon_catalogue_free(bundle.catalogue);
    moon_arena_free(&arena);
  }
}

static void mmr_puts_unlike_items_first_and_notes_moves(void **state) {
  (void)state;
  moon_arena arena = {0};
  moon_bundle bundle = {.catalogue = shop_catalogue()}; /* no model */
  moon_slate *slate = NULL;
  OK(moon_slate_new(&bundle, &arena, 8, &slate));
  for (uint32_t i = 0; i < 8; i++) moon_slate_add(slate, i, 8 - (float)i, MOON_SOURCE_POPULAR);
  OK(moon_slate_mmr(slate, 0.5f, "category", 4, "mmr(category)"));
  static const uint32_t expected[] = {0, 3, 5, 7, 1, 2, 4, 6}; /* a chair, a table, a lamp, the thing of no category */
  for (size_t i = 0; i < 8; i++) assert_int_equal(slate->item[i], expected[i]);
  assert_null(slate->reason[0]);
  assert_true(slate->reason[1]->from == 3 && slate->reason[1]->to == 1);
  assert_string_equal(slate->reason[1]->policy, "mmr(category)");
  moon_catalogue_free(bundle.catalogue);
  moon_arena_free(&arena);
}

static void mmr_without_embeddings_keeps_the_order(void **state) {
  (void)state;
  moon_arena arena = {0};
  moon_bundle bundle = {.catalogue = shop_catalogue()};
  moon_slate *slate = NULL;
  OK(moon_slate_new(&bundle, &arena, 8, &slate));
  for (uint32_t i = 0; i < 8; i++) moon_slate_add(slate, i, 8 - (float)i, MOON_SOURCE_POPULAR);
  OK(moon_slate_mmr(slate, 0.5f, "embedding", 50, "mmr"));
  for (uint32_t i = 0; i < 8; i++) assert_true(slate->item[i] == i && !slate->reason[i]);
  moon_catalogue_free(bundle.catalogue);
  moon_arena_free(&arena);
}

static void mmr_refuses_what_it_cannot_do(void **state) {
  (void)state;
  moon_arena arena = {0};
  moon_bundle bundle = {.catalogue = shop_catalogue()};
  moon_slate *slate = NULL;
  OK(moon_slate_new(&bundle, &arena, 8, &slate));
  OK(moon_slate_mmr(slate, 0.5f, "brand", 3, "mmr")); /* nothing to do */
  moon_slate_add(slate, 1, 1, MOON_SOURCE_POPULAR);
  REFUSED(MOON_EINVAL, "lambda", moon_slate_mmr(slate, NAN, "brand", 3, "mmr"));
  REFUSED(MOON_EINVAL, "lambda", moon_slate_mmr(slate, 1.5f, "brand", 3, "mmr"));
  REFUSED(MOON_EINVAL, "strings", moon_slate_mmr(slate, 0.5f, "price", 3, "mmr"));
  REFUSED(MOON_ENOTFOUND, "did you mean 'brand'", moon_slate_mmr(slate, 0.5f, "brad", 3, "mmr"));
  assert_true(slate->n == 1 && slate->item[0] == 1);
  moon_catalogue_free(bundle.catalogue);
  moon_arena_free(&arena);
}

static void broken_embeddings_are_like_nothing(void **state) {
  (void)state;
  moon_arena arena = {0};
  moon_bundle bundle = {.catalogue = shop_catalogue(), .model = the_model};
  moon_slate *slate = NULL;
  memset(absent, 0, sizeof absent);
  for (size_t i = 0; i < 8; i++)
    for (size_t d = 0; d < DIM; d++) vectors[i][d] = i % 2 ? NAN : 3e38f;
  OK(moon_slate_new(&bundle, &arena, 8, &slate));
  for (uint32_t i = 0; i < 8; i++) moon_slate_add(slate, i, 8 - (float)i, MOON_SOURCE_POPULAR);
  OK(moon_slate_mmr(slate, 0.5f, "embedding", 8, "mmr"));
  for (uint32_t i = 0; i < 8; i++) assert_int_equal(slate->item[i], i);
  moon_catalogue_free(bundle.catalogue);
  moon_arena_free(&arena);
}

static void failing_memory_leaves_the_slate_as_it_was(void **state) {
  (void)state;
  enum { N = 3000 };
  moon_rng rng;
  moon_rng_seed(&rng, 12, 0);
  moon_bundle bundle = {.catalogue = random_catalogue(&rng, N, 5), .model = the_model};
  fill_vectors(&rng);
  for (size_t n = 1;; n++) {
    moon_arena arena = {0};
    moon_slate *slate = NULL;
    OK(moon_slate_new(&bundle, &arena, N, &slate));
    slate->explain = false;
    for (uint32_t i = 0; i < N; i++) moon_slate_add(slate, i, (float)(i % 7), MOON_SOURCE_POPULAR);
    while (arena.used_total < 255000) moon_arena_alloc(&arena, 1000); /* nearly full: the operator needs blocks of its own */
    moon_alloc_fail_at(n);
    moon_status st = moon_slate_mmr(slate, 0.5f, n % 2 ? "embedding" : "group", 10, "mmr");
    moon_alloc_fail_at(0);
    assert_true(st.code == MOON_OK || st.code == MOON_ENOMEM);
    for (uint32_t i = 0; st.code && i < N; i++) assert_int_equal(slate->item[i], i);
    moon_arena_free(&arena);
    if (!st.code) {
      assert_true(n > 1);
      break;
    }
    assert_true(n < 100);
  }
  moon_catalogue_free(bundle.catalogue);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(mmr_picks_the_best_by_definition),
      cmocka_unit_test(mmr_puts_unlike_items_first_and_notes_moves),
      cmocka_unit_test(mmr_without_embeddings_keeps_the_order),
      cmocka_unit_test(mmr_refuses_what_it_cannot_do),
      cmocka_unit_test(broken_embeddings_are_like_nothing),
      cmocka_unit_test(failing_memory_leaves_the_slate_as_it_was),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

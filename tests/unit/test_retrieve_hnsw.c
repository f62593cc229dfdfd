/* test_retrieve_hnsw.c - the graph of near vectors against looking at all of them, its filters, inserts and removals, and bytes
 * that are not its own. */
#include "numeric.h"
#include <stdlib.h>

#include "exhaust.h"
#include "retrieve/hnsw.h"
#include "retrieve/retrieve.h"

enum { N = 1000, DIM = 16, K = 10 };

static float *vectors; /* [2 * N, DIM] unit vectors in clusters */
static moon_hnsw_scratch *scratch;

static int set_up(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 7, 0);
  vectors = malloc(2 * N * DIM * sizeof *vectors);
  float centre[40][DIM];
  for (size_t i = 0; i < 40 * DIM; i++) centre[i / DIM][i % DIM] = (float)moon_rng_normal(&rng);
  for (size_t r = 0; r < 2 * N; r++) {
    float *v = vectors + r * DIM;
    const float *near = centre[moon_rng_below(&rng, 40)];
    for (size_t i = 0; i < DIM; i++) v[i] = near[i] + 0.7f * (float)moon_rng_normal(&rng);
    float scale = moon_vector_scale(v, DIM);
    for (size_t i = 0; i < DIM; i++) v[i] *= scale;
  }
  scratch = moon_hnsw_scratch_new();
  return !scratch;
}

static int tear_down(void **state) {
  (void)state;
  free(vectors);
  moon_hnsw_scratch_free(scratch);
  return 0;
}

static moon_hnsw *build(size_t from, size_t to, uint64_t seed) {
  const moon_hnsw_options options = {.m = 8, .ef_construction = 80, .capacity = 16, .seed = seed};
  moon_hnsw *index = NULL;
  OK(moon_hnsw_new(DIM, &options, &index));
  for (size_t r = from; r < to; r++) OK(moon_hnsw_add(index, (uint32_t)r, vectors + r * DIM));
  return index;
}

/* The share of the exact answer that is found, over 100 queries; all that comes out must be allowed and in order. */
static double recall(const moon_hnsw *index, size_t n, size_t ef, const uint64_t *allowed) {
  const moon_vectors all = {vectors, NULL, n, DIM};
  uint32_t want[K], got[K];
  float score[K], exact[K];
  size_t hits = 0, wanted = 0;
  for (size_t q = 0; q < 100; q++) {
    const float *query = vectors + (N + 7 * q) * DIM;
    size_t found, has = moon_exact_search(&all, query, K, allowed, want, exact);
    OK(moon_hnsw_search(index, query, K, ef, allowed, n, scratch, got, score, &found));
    assert_true(found <= has);
    for (size_t i = 0; i < found; i++) {
      assert_true(!allowed || moon_bits_has(allowed, got[i]));
      assert_true(!i || score[i - 1] > score[i] || (score[i - 1] == score[i] && got[i - 1] < got[i]));
      NEAR(score[i], moon_dot(query, vectors + got[i] * DIM, DIM), 1e-6);
      for (size_t j = 0; j < has; j++) hits += got[i] == want[j];
    }
    wanted += has;
  }
  return (double)hits / (double)wanted;
}

static void most_of_the_nearest_are_found(void **state) {
  (void)state;
  moon_hnsw *index = build(0, N, 1);
  assert_int_equal(moon_hnsw_count(index), N);
  assert_true(recall(index, N, 100, NULL) > 0.97);
  assert_true(moon_hnsw_bytes(index) > N * DIM * sizeof(float));
  moon_hnsw_free(index);
}

static void a_filter_acts_inside_the_search(void **state) {
  (void)state;
  moon_hnsw *index = build(0, N, 1);
  uint64_t allowed[N / 64 + 1];
  static const size_t every[] = {2, 3, 10, 100, 700, 5000};
  for (size_t e = 0; e < 6; e++) {
    memset(allowed, 0, sizeof allowed);
    for (size_t r = 1; r < N; r += every[e]) moon_bits_set(allowed, r);
    double share = recall(index, N, 20, allowed);
    if (every[e] < 10) assert_true(share > 0.9);
    else NEAR(share, 1, 0); /* few: each is looked at */
  }
  memset(allowed, 0, sizeof allowed);
  uint32_t item[K];
  float score[K];
  size_t found = 7;
  OK(moon_hnsw_search(index, vectors, K, 50, allowed, N, scratch, item, score, &found));
  assert_int_equal(found, 0);
  memset(allowed, 0xff, sizeof allowed); /* rows beyond those that the filter knows are not allowed */
  OK(moon_hnsw_search(index, vectors + 950 * DIM, K, 50, allowed, 900, scratch, item, score, &found));
  assert_int_equal(found, K);
  for (size_t i = 0; i < K; i++) assert_true(item[i] < 900);
  moon_hnsw_free(index);
}

static void what_is_removed_is_never_found_and_still_leads_on(void **state) {
  (void)state;
  moon_hnsw *index = build(0, N, 1);
  uint64_t kept[N / 64 + 1] = {0};
  for (size_t r = 0; r < N; r++)
    if (r % 5) OK(moon_hnsw_remove(index, (uint32_t)r));
    else moon_bits_set(kept, r);
  REFUSED(MOON_ENOTFOUND, "no row 1", moon_hnsw_remove(index, 1));
  assert_int_equal(moon_hnsw_count(index), N / 5);
  assert_int_equal(moon_hnsw_removed(index), N - N / 5);
  uint32_t item[K];
  float score[K];
  size_t found;
  for (size_t q = 0; q < 200; q++) {
    OK(moon_hnsw_search(index, vectors + q * DIM, K, 50, NULL, 0, scratch, item, score, &found));
    assert_int_equal(found, K);
    for (size_t i = 0; i < K; i++) assert_int_equal(item[i] % 5, 0);
  }
  assert_true(recall(index, N, 60, kept) > 0.95);
  for (size_t r = 0; r < N; r++)
    if (r % 5) OK(moon_hnsw_add(index, (uint32_t)r, vectors + r * DIM)); /* and back again */
  assert_true(recall(index, N, 100, NULL) > 0.95);
  for (size_t r = 0; r < N; r++) OK(moon_hnsw_remove(index, (uint32_t)r));
  OK(moon_hnsw_search(index, vectors, K, 50, NULL, 0, scratch, item, score, &found));
  assert_int_equal(found, 0);
  OK(moon_hnsw_add(index, 4, vectors)); /* among removed ones only */
  OK(moon_hnsw_search(index, vectors, K, 50, NULL, 0, scratch, item, score, &found));
  assert_true(found == 1 && item[0] == 4);
  moon_hnsw_free(index);
}

static void a_row_that_is_put_in_again_has_its_new_vector(void **state) {
  (void)state;
  moon_hnsw *index = build(0, 500, 1);
  uint32_t item[1];
  float score[1];
  size_t found;
  OK(moon_hnsw_add(index, 3, vectors + N * DIM));
  assert_int_equal(moon_hnsw_count(index), 500);
  assert_int_equal(moon_hnsw_removed(index), 1);
  OK(moon_hnsw_search(index, vectors + N * DIM, 1, 50, NULL, 0, scratch, item, score, &found));
  assert_int_equal(item[0], 3);
  NEAR(score[0], 1, 1e-5);
  OK(moon_hnsw_search(index, vectors + 3 * DIM, 1, 50, NULL, 0, scratch, item, score, &found));
  assert_int_not_equal(item[0], 3);
  moon_hnsw_free(index);
}

static moon_buf saved(const moon_hnsw *index) {
  moon_buf out = {0};
  OK(moon_hnsw_save(index, &out));
  return out;
}

static void same(const moon_hnsw *a, const moon_hnsw *b) {
  moon_buf x = saved(a), y = saved(b);
  assert_int_equal(x.n, y.n);
  assert_memory_equal(x.data, y.data, x.n);
  moon_buf_free(&x), moon_buf_free(&y);
}

static void the_same_calls_give_the_same_bytes_and_another_seed_others(void **state) {
  (void)state;
  moon_hnsw *a = build(0, 300, 5), *b = build(0, 300, 5), *c = build(0, 300, 6);
  same(a, b);
  moon_buf x = saved(a), y = saved(c);
  assert_true(x.n != y.n || memcmp(x.data, y.data, x.n));
  moon_buf_free(&x), moon_buf_free(&y);
  moon_hnsw_free(a), moon_hnsw_free(b), moon_hnsw_free(c);
}

static void what_was_saved_goes_on_as_if_it_had_not_been(void **state) {
  (void)state;
  moon_hnsw *index = build(0, 400, 5), *again = NULL;
  OK(moon_hnsw_remove(index, 17));
  OK(moon_hnsw_add(index, 20, vectors + 900 * DIM));
  moon_buf bytes = saved(index);
  OK(moon_hnsw_load(bytes.data, bytes.n, &again));
  same(index, again);
  for (uint32_t r = 400; r < 600; r++) {
    OK(moon_hnsw_add(index, r, vectors + r * DIM));
    OK(moon_hnsw_add(again, r, vectors + r * DIM));
  }
  same(index, again);
  moon_hnsw_free(again), moon_hnsw_free(index);
  moon_buf_free(&bytes);
  OK(moon_hnsw_new(3, NULL, &index)); /* and an empty one */
  bytes = saved(index);
  OK(moon_hnsw_load(bytes.data, bytes.n, &again));
  same(index, again);
  moon_hnsw_free(again), moon_hnsw_free(index);
  moon_buf_free(&bytes);
}

static void put_u64(char *at, uint64_t value) {
  for (int i = 0; i < 8; i++) at[i] = (char)(value >> 8 * i);
}

/* Damage with a checksum that fits: either it is refused, or it is an index that can be searched and written. */
static void damaged_bytes_are_an_error_or_harmless(void **state) {
  (void)state;
  enum { HEAD = 24 };
  moon_hnsw *index = build(0, 60, 5), *again;
  moon_buf bytes = saved(index);
  char *copy = malloc(bytes.n);
  moon_rng rng;
  moon_rng_seed(&rng, 3, 0);
  size_t taken = 0;
  for (int round = 0; round < 3000; round++) {
    size_t n = bytes.n;
    memcpy(copy, bytes.data, n);
    if (round % 5 == 0) n = HEAD + moon_rng_below(&rng, (uint32_t)(bytes.n - HEAD));
    size_t reach = round % 2 ? n - HEAD : n - HEAD < 64 ? n - HEAD : 64;
    for (uint32_t hits = 1 + moon_rng_below(&rng, 3); hits && reach; hits--)
      copy[HEAD + moon_rng_below(&rng, (uint32_t)reach)] = (char)(round % 3 ? moon_rng_u32(&rng) : moon_rng_below(&rng, 4));
    put_u64(copy + 8, moon_hash(copy + HEAD, n - HEAD));
    put_u64(copy + 16, n - HEAD);
    moon_status status = moon_hnsw_load(copy, n, &again);
    if (status.code) {
      assert_true(status.code == MOON_EFORMAT || status.code == MOON_ENOMEM);
      continue;
    }
    taken++;
    uint32_t item[K];
    float score[K], query[512] = {1};
    size_t found;
    if (moon_hnsw_dim(again) <= 512) OK(moon_hnsw_search(again, query, K, 30, NULL, 0, scratch, item, score, &found));
    if (moon_hnsw_dim(again) == DIM) OK(moon_hnsw_add(again, 1000, vectors));
    moon_hnsw_free(again);
  }
  assert_true(taken > 0 && taken < 2500);
  memcpy(copy, bytes.data, bytes.n);
  copy[bytes.n - 1] ^= 1;
  REFUSED(MOON_EFORMAT, "checksum", moon_hnsw_load(copy, bytes.n, &again));
  REFUSED(MOON_EFORMAT, "bytes, not", moon_hnsw_load(bytes.data, bytes.n - 1, &again));
  REFUSED(MOON_EFORMAT, "not in this format", moon_hnsw_load(bytes.data, 10, &again));
  copy[4] = 9;
  REFUSED(MOON_EFORMAT, "version 9", moon_hnsw_load(copy, bytes.n, &again));
  free(copy);
  moon_buf_free(&bytes);
  moon_hnsw_free(index);
}

static void wrong_arguments_are_refused(void **state) {
  (void)state;
  moon_hnsw *index = NULL;
  REFUSED(MOON_EINVAL, "dim must be from 1", moon_hnsw_new(0, NULL, &index));
  REFUSED(MOON_EINVAL, "m must be from 2", moon_hnsw_new(4, &(moon_hnsw_options){.m = 1}, &index));
  REFUSED(MOON_EINVAL, "ef_construction", moon_hnsw_new(4, &(moon_hnsw_options){.ef_construction = 100000}, &index));
  OK(moon_hnsw_new(2, NULL, &index));
  const float bad[] = {1, NAN};
  uint32_t item[1];
  float score[1];
  size_t found;
  REFUSED(MOON_EINVAL, "not finite", moon_hnsw_add(index, 0, bad));
  REFUSED(MOON_EINVAL, "not finite", moon_hnsw_search(index, bad, 1, 1, NULL, 0, scratch, item, score, &found));
  REFUSED(MOON_EINVAL, "stands for none", moon_hnsw_add(index, MOON_NONE, vectors));
  moon_hnsw_free(index);
}

static moon_status search_afresh(void *self) {
  uint32_t item[K];
  float score[K];
  size_t found;
  moon_hnsw_scratch *own = moon_hnsw_scratch_new();
  if (!own) return moon_fail(MOON_ENOMEM, "no memory");
  moon_status status = moon_hnsw_search(self, vectors, K, 20, NULL, 0, own, item, score, &found);
  if (status.code) { /* and the scratch is still good */
    moon_alloc_fail_at(0);
    OK(moon_hnsw_search(self, vectors, K, 20, NULL, 0, own, item, score, &found));
  }
  moon_hnsw_scratch_free(own);
  return status;
}

static void no_memory_for_a_search_is_an_error(void **state) {
  (void)state;
  moon_hnsw *index = build(0, 100, 1);
  assert_true(exhaust(search_afresh, index) >= 4);
  moon_hnsw_free(index);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(most_of_the_nearest_are_found),
      cmocka_unit_test(a_filter_acts_inside_the_search),
      cmocka_unit_test(what_is_removed_is_never_found_and_still_leads_on),
      cmocka_unit_test(a_row_that_is_put_in_again_has_its_new_vector),
      cmocka_unit_test(the_same_calls_give_the_same_bytes_and_another_seed_others),
      cmocka_unit_test(what_was_saved_goes_on_as_if_it_had_not_been),
      cmocka_unit_test(damaged_bytes_are_an_error_or_harmless),
      cmocka_unit_test(wrong_arguments_are_refused),
      cmocka_unit_test(no_memory_for_a_search_is_an_error),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}

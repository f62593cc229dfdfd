/* Dictionaries, maps and "did you mean", against naive ones. */
#include "unit/exhaust.h"

#include <stdlib.h>

/* ---- dictionary ---------------------------------------------------------------------------------------------------------- */

enum { TEXTS = 3000 };
typedef struct naive {
  char text[TEXTS][40];
  size_t length[TEXTS], n;
} naive;

static uint32_t naive_find(const naive *d, const char *text, size_t n) {
  for (size_t i = 0; i < d->n; i++)
    if (d->length[i] == n && !memcmp(d->text[i], text, n)) return (uint32_t)i;
  return MOON_NONE;
}

/* Short texts over two letters and zero bytes: many repeats, many prefixes of each other, every length around the word sizes. */
static size_t random_text(moon_rng *rng, char out[40]) {
  size_t n = moon_rng_below(rng, moon_rng_below(rng, 4) ? 9 : 38);
  for (size_t i = 0; i < n; i++) out[i] = "ab\0"[moon_rng_below(rng, 3)];
  return n;
}

static void dict_agrees_with_a_list(void **state) {
  (void)state;
  static naive list;
  moon_dict *dict;
  moon_rng rng;
  moon_rng_seed(&rng, 3, 0);
  list.n = 0;
  OK(moon_dict_new(&dict));
  for (int step = 0; step < 20000; step++) {
    char text[40];
    size_t n = random_text(&rng, text);
    uint32_t expected = naive_find(&list, text, n), code;
    assert_int_equal(moon_dict_find(dict, text, n), expected);
    if (expected == MOON_NONE && list.n < TEXTS) {
      OK(moon_dict_add(dict, text, n, &code));
      assert_int_equal(code, list.n);
      memcpy(list.text[list.n], text, n);
      list.length[list.n++] = n;
    } else if (expected != MOON_NONE) {
      OK(moon_dict_add(dict, text, n, &code));
      assert_int_equal(code, expected);
    }
    assert_int_equal(moon_dict_count(dict), list.n);
  }
  assert_true(list.n > 1000);
  for (uint32_t i = 0; i < list.n; i++) {
    assert_int_equal(moon_dict_length(dict, i), list.length[i]);
    assert_memory_equal(moon_dict_text(dict, i), list.text[i], list.length[i]);
    assert_int_equal(moon_dict_text(dict, i)[list.length[i]], 0);
  }
  moon_dict_free(dict);
  moon_dict_free(NULL);
}

static void dict_tells_near_twins_apart(void **state) {
  (void)state;
  moon_dict *dict;
  OK(moon_dict_new(&dict));
  uint32_t code;
  for (size_t n = 1; n <= 30; n++) { /* equal but for one place */
    char text[31];
    memset(text, 'x', n);
    OK(moon_dict_add(dict, text, n, &code));
    for (size_t i = 0; i < n; i++) {
      text[i] = 'y';
      size_t before = moon_dict_count(dict);
      OK(moon_dict_add(dict, text, n, &code));
      assert_int_equal(code, before);
      text[i] = 'x';
    }
  }
  moon_dict_free(dict);
}

static void dict_texts_stay_where_they_are(void **state) {
  (void)state;
  moon_dict *dict;
  OK(moon_dict_new(&dict));
  uint32_t code;
  OK(moon_dict_add(dict, "first", 5, &code));
  const char *first = moon_dict_text(dict, 0);
  for (int i = 0; i < 50000; i++) {
    char text[20];
    OK(moon_dict_add(dict, text, (size_t)sprintf(text, "t%d", i), &code));
  }
  assert_ptr_equal(moon_dict_text(dict, 0), first);
  assert_int_equal(moon_dict_find(dict, "t49999", 6), 50000);
  moon_dict_free(dict);
}

static moon_status fill_dict(void *self) {
  (void)self;
  moon_dict *dict;
  MOON_TRY(moon_dict_new(&dict));
  moon_status status = moon_ok();
  for (uint32_t i = 0; i < 2000 && !status.code; i++) {
    char text[600];
    size_t n = (size_t)sprintf(text, "%u%*s", i, (int)(i % 500), "");
    uint32_t code = 0;
    status = moon_dict_add(dict, text, n, &code);
    if (status.code) { /* as before: the same text can be added once there is memory */
      size_t count = moon_dict_count(dict);
      assert_int_equal(count, i);
      assert_int_equal(moon_dict_find(dict, text, n), MOON_NONE);
      moon_alloc_fail_at(0);
      OK(moon_dict_add(dict, text, n, &code));
      assert_int_equal(code, i);
      assert_int_equal(moon_dict_find(dict, "0", 1), 0);
    }
  }
  moon_dict_free(dict);
  return status;
}

static void dict_survives_no_memory(void **state) {
  (void)state;
  assert_true(exhaust(fill_dict, NULL) > 10);
}

static void hash_is_the_published_one(void **state) {
  (void)state; /* XXH3-64 with seed 0, from the reference implementation's own vectors */
  assert_true(moon_hash("", 0) == UINT64_C(0x2d06800538d394c2));
}

/* ---- map ----------------------------------------------------------------------------------------------------------------- */

static void map_agrees_with_an_array(void **state) {
  (void)state;
  enum { KEYS = 5000 };
  static uint64_t values[KEYS];
  static bool there[KEYS];
  moon_map map = {0};
  moon_rng rng;
  moon_rng_seed(&rng, 5, 0);
  size_t n = 0;
  uint64_t value;
  assert_false(moon_map_get(&map, 1, &value));
  for (int step = 0; step < 50000; step++) {
    uint32_t k = moon_rng_below(&rng, KEYS);
    uint64_t key = k % 2 ? k : (uint64_t)k << 52 | k; /* dense ones and ones that differ in high bits */
    if (moon_rng_below(&rng, 2)) {
      n += !there[k];
      there[k] = true;
      values[k] = moon_rng_u64(&rng);
      OK(moon_map_put(&map, key, values[k]));
    } else if (moon_rng_below(&rng, 4) == 0) {
      n -= there[k];
      there[k] = false;
      moon_map_remove(&map, key);
    } else {
      assert_int_equal(moon_map_get(&map, key, &value), there[k]);
      if (there[k]) assert_true(value == values[k]);
    }
    assert_int_equal(map.n, n);
  }
  moon_map_free(&map);
  moon_map_remove(&map, 1); /* of nothing */
}

static void map_refuses_the_reserved_key(void **state) {
  (void)state;
  moon_map map = {0};
  uint64_t value;
  REFUSED(MOON_EINVAL, "reserved", moon_map_put(&map, UINT64_MAX, 1));
  OK(moon_map_put(&map, 0, UINT64_MAX));
  assert_true(moon_map_get(&map, 0, &value) && value == UINT64_MAX);
  assert_false(moon_map_get(&map, UINT64_MAX, &value));
  moon_map_free(&map);
}

static moon_status fill_map(void *self) {
  (void)self;
  moon_map map = {0};
  moon_status status = moon_ok();
  for (uint64_t i = 0; i < 500 && !status.code; i++) {
    status = moon_map_put(&map, i, i * i);
    uint64_t value;
    for (uint64_t k = 0; k < i; k++) assert_true(moon_map_get(&map, k, &value) && value == k * k);
  }
  moon_map_free(&map);
  return status;
}

static void map_survives_no_memory(void **state) {
  (void)state;
  assert_true(exhaust(fill_map, NULL) >= 6);
}

/* ---- did you mean -------------------------------------------------------------------------------------------------------- */

static void nearest_finds_the_slip(void **state) {
  (void)state;
  static const char *const names[] = {"user_id", "item_id", "price", NULL, "timestamp", "category", "id"};
  static const struct {
    const char *name, *near;
  } cases[] = {{"itemid", "item_id"},
               {"item_di", "item_id"},
               {"Price", "price"},
               {"PRCIE", "price"},
               {"tiemstamp", "timestamp"},
               {"categroy", "category"},
               {"user", NULL},
               {"x", NULL},
               {"", NULL},
               {"zebra", NULL},
               {"dI", "id"},
               {"i", "id"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const char *near = moon_nearest(cases[i].name, names, 7);
    if (!near != !cases[i].near || (near && strcmp(near, cases[i].near)))
      fail_msg("'%s' -> %s", cases[i].name, near ? near : "nothing");
  }
  char longer[200];
  memset(longer, 'a', sizeof longer - 1);
  longer[sizeof longer - 1] = 0;
  assert_null(moon_nearest(longer, names, 7));
  const char *one[] = {longer};
  assert_null(moon_nearest("a", one, 1));
  assert_null(moon_nearest("a", NULL, 0));
}

/* The recursive definition, written down: distances of at most n / 3 + 1, the first of equals. */
static size_t slow_distance(const char *a, size_t n, const char *b, size_t m) {
  if (!n || !m) return n + m;
  size_t best = slow_distance(a, n - 1, b, m - 1) + (a[n - 1] != b[m - 1]);
  size_t other = slow_distance(a, n - 1, b, m) + 1;
  if (other < best) best = other;
  other = slow_distance(a, n, b, m - 1) + 1;
  if (other < best) best = other;
  if (n > 1 && m > 1 && a[n - 1] == b[m - 2] && a[n - 2] == b[m - 1]) {
    other = slow_distance(a, n - 2, b, m - 2) + 1;
    if (other < best) best = other;
  }
  return best;
}

static void nearest_agrees_with_the_definition(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 8, 0);
  for (int round = 0; round < 1000; round++) {
    char texts[4][8];
    const char *names[3] = {texts[0], texts[1], texts[2]}, *expected = NULL;
    for (int t = 0; t < 4; t++) {
      size_t n = 1 + moon_rng_below(&rng, 6);
      for (size_t i = 0; i < n; i++) texts[t][i] = (char)('a' + moon_rng_below(&rng, 3));
      texts[t][n] = 0;
    }
    size_t n = strlen(texts[3]), best = SIZE_MAX;
    for (int t = 0; t < 3; t++) {
      size_t m = strlen(texts[t]), d = slow_distance(texts[3], n, texts[t], m);
      if (d <= n / 3 + 1 && d < (n > m ? n : m) && d < best) best = d, expected = texts[t];
    }
    assert_ptr_equal(moon_nearest(texts[3], names, 3), expected);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(dict_agrees_with_a_list),        cmocka_unit_test(dict_tells_near_twins_apart),
      cmocka_unit_test(dict_texts_stay_where_they_are), cmocka_unit_test(dict_survives_no_memory),
      cmocka_unit_test(hash_is_the_published_one),      cmocka_unit_test(map_agrees_with_an_array),
      cmocka_unit_test(map_refuses_the_reserved_key),   cmocka_unit_test(map_survives_no_memory),
      cmocka_unit_test(nearest_finds_the_slip),         cmocka_unit_test(nearest_agrees_with_the_definition)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}

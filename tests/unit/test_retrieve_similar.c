/* test_retrieve_similar.c - item-kNN against counting users by the definition; its bytes, good and broken. */
#include "numeric.h"
#include <stdlib.h>

#include "retrieve/retrieve.h"

enum { MAX_USERS = 30, MAX_ITEMS = 25, MAX_EVENTS = 400 };

typedef struct shop { /* a log by hand: moon_similar_new reads nothing but events */
  moon_event events[MAX_EVENTS];
  moon_log log;
  size_t items;
} shop;

static void random_shop(moon_rng *rng, shop *s) {
  s->items = 1 + moon_rng_below(rng, MAX_ITEMS);
  s->log = (moon_log){.events = s->events, .n = moon_rng_below(rng, MAX_EVENTS)};
  uint32_t users = 1 + moon_rng_below(rng, MAX_USERS);
  for (size_t i = 0; i < s->log.n; i++) {
    double skewed = moon_rng_uniform(rng) * moon_rng_uniform(rng);
    uint32_t item = (uint32_t)(skewed * (double)s->items);
    s->events[i] = (moon_event){.user = moon_rng_below(rng, users), .item = item, .time = (int64_t)i};
  }
}

/* events as {user, item} pairs in time order */
static moon_similar *build(const uint32_t pairs[][2], size_t n, size_t items, moon_similar_options options) {
  moon_event events[64];
  moon_log log = {.events = events, .n = n};
  for (size_t i = 0; i < n; i++) events[i] = (moon_event){.user = pairs[i][0], .item = pairs[i][1], .time = (int64_t)i};
  moon_similar *similar = NULL;
  OK(moon_similar_new(&log, n, items, &options, NULL, &similar));
  return similar;
}

static void expect_neighbours(const moon_similar *similar, uint32_t item, size_t n, const uint32_t *want) {
  const uint32_t *rows;
  const float *scores;
  assert_int_equal(moon_similar_of(similar, item, &rows, &scores), n);
  for (size_t i = 0; i < n; i++) assert_int_equal(rows[i], want[i]);
}

/* ---- counting -------------------------------------------------------------------------------------------------------------- */

/* in[user][item]: whether the item is among the user's last `window` distinct ones of events[0, n) */
static void naive_baskets(const shop *s, size_t n, size_t window, bool in[MAX_USERS][MAX_ITEMS]) {
  memset(in, 0, MAX_USERS * sizeof *in);
  for (uint32_t user = 0; user < MAX_USERS; user++) {
    size_t distinct = 0;
    for (size_t i = n; i-- && distinct < window;)
      if (s->events[i].user == user && !in[user][s->events[i].item]) in[user][s->events[i].item] = true, distinct++;
  }
}

static size_t shared(bool in[MAX_USERS][MAX_ITEMS], uint32_t a, uint32_t b) {
  size_t n = 0;
  for (size_t user = 0; user < MAX_USERS; user++) n += in[user][a] && in[user][b];
  return n;
}

static void check_item(const moon_similar *similar, bool in[MAX_USERS][MAX_ITEMS], size_t items, uint32_t item, size_t limit,
                       double shrink) {
  float all[MAX_ITEMS];
  size_t met = 0;
  for (uint32_t other = 0; other < items; other++) {
    size_t both = other == item ? 0 : shared(in, item, other);
    met += both > 0;
    all[other] = both ? (float)((double)both / (sqrt((double)(shared(in, item, item) * shared(in, other, other))) + shrink)) : 0;
  }
  const uint32_t *rows;
  const float *scores;
  size_t n = moon_similar_of(similar, item, &rows, &scores);
  assert_int_equal(n, met < limit ? met : limit);
  for (size_t i = 0; i < n; i++) { /* selection sort: the best left, the lowest row first */
    uint32_t best = 0;
    for (uint32_t other = 1; other < items; other++)
      if (all[other] > all[best]) best = other;
    assert_int_equal(rows[i], best);
    NEAR(scores[i], all[best], 0);
    all[best] = 0;
  }
}

static void neighbours_match_counting_users_by_the_definition(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 1, 0);
  static shop s;
  static bool in[MAX_USERS][MAX_ITEMS];
  for (int round = 0; round < 300; round++) {
    random_shop(&rng, &s);
    size_t n = round % 2 ? s.log.n : moon_rng_below(&rng, (uint32_t)s.log.n + 1);
    moon_similar_options o = {.neighbours = moon_rng_below(&rng, 12), .window = moon_rng_below(&rng, 10)};
    if (round % 3) o.shrink = 0.5 * round;
    moon_similar *similar;
    OK(moon_similar_new(&s.log, n, s.items, &o, NULL, &similar));
    naive_baskets(&s, n, o.window ? o.window : 100, in);
    for (uint32_t item = 0; item < s.items; item++)
      check_item(similar, in, s.items, item, o.neighbours ? o.neighbours : 100, o.shrink != 0 ? o.shrink : 10);
    moon_similar_free(similar);
  }
}

static void similarity_is_a_shrunk_cosine(void **state) {
  (void)state;
  /* users of 0: {0, 1, 2}; of 1: {0, 1}; of 2: {2}. 0 and 1 share two. */
  const uint32_t pairs[][2] = {{0, 0}, {1, 0}, {2, 0}, {0, 1}, {1, 1}, {2, 2}};
  moon_similar *similar = build(pairs, 6, 3, (moon_similar_options){.shrink = 2});
  const uint32_t *rows;
  const float *scores;
  assert_int_equal(moon_similar_of(similar, 0, &rows, &scores), 2);
  assert_int_equal(rows[0], 1);
  NEAR(scores[0], 2 / (sqrt(3.0 * 2) + 2), 1e-7);
  assert_int_equal(rows[1], 2);
  NEAR(scores[1], 1 / (sqrt(3.0 * 1) + 2), 1e-7);
  expect_neighbours(similar, 1, 1, (const uint32_t[]){0}); /* 1 and 2 share nobody */
  moon_similar_free(similar);
}

static void a_user_counts_an_item_once(void **state) {
  (void)state;
  const uint32_t once[][2] = {{0, 0}, {0, 1}}, often[][2] = {{0, 0}, {0, 0}, {0, 1}, {0, 1}, {0, 1}, {0, 0}};
  moon_similar *a = build(once, 2, 2, (moon_similar_options){0}), *b = build(often, 6, 2, (moon_similar_options){0});
  const uint32_t *rows;
  const float *few, *many;
  assert_int_equal(moon_similar_of(a, 0, &rows, &few), 1);
  assert_int_equal(moon_similar_of(b, 0, &rows, &many), 1);
  NEAR(few[0], many[0], 0);
  moon_similar_free(a);
  moon_similar_free(b);
}

static void window_holds_the_last_distinct_items(void **state) {
  (void)state;
  const uint32_t pairs[][2] = {{0, 0}, {0, 1}, {0, 2}, {0, 2}, {0, 1}, {0, 1}};
  moon_similar *similar = build(pairs, 6, 3, (moon_similar_options){.window = 2});
  expect_neighbours(similar, 0, 0, NULL); /* 0 is third from the end */
  expect_neighbours(similar, 1, 1, (const uint32_t[]){2});
  expect_neighbours(similar, 2, 1, (const uint32_t[]){1});
  moon_similar_free(similar);
}

static void equal_scores_go_by_lower_row(void **state) {
  (void)state;
  const uint32_t pairs[][2] = {{0, 4}, {0, 2}, {0, 0}, {0, 3}, {0, 1}};
  moon_similar *similar = build(pairs, 5, 5, (moon_similar_options){.neighbours = 3});
  expect_neighbours(similar, 2, 3, (const uint32_t[]){0, 1, 3});
  expect_neighbours(similar, 0, 3, (const uint32_t[]){1, 2, 3});
  moon_similar_free(similar);
}

static void nothing_and_strangers_have_no_neighbours(void **state) {
  (void)state;
  const uint32_t *rows;
  const float *scores;
  moon_log empty = {0};
  moon_similar *similar;
  OK(moon_similar_new(&empty, 0, 0, NULL, NULL, &similar));
  expect_neighbours(similar, 0, 0, NULL);
  moon_similar_free(similar);
  const uint32_t pairs[][2] = {{0, 0}, {0, 1}};
  similar = build(pairs, 2, 4, (moon_similar_options){0});
  expect_neighbours(similar, 3, 0, NULL);
  expect_neighbours(similar, 4, 0, NULL);
  expect_neighbours(similar, MOON_NONE, 0, NULL);
  assert_int_equal(moon_similar_of(NULL, 0, &rows, &scores), 0);
  moon_similar_free(similar);
  moon_similar_free(NULL);
}

static void enormous_shrink_leaves_nothing_and_still_saves(void **state) {
  (void)state;
  const uint32_t pairs[][2] = {{0, 0}, {0, 1}};
  moon_similar *similar = build(pairs, 2, 2, (moon_similar_options){.shrink = 1e300}), *again;
  expect_neighbours(similar, 0, 0, NULL);
  moon_buf bytes = {0};
  OK(moon_similar_save(similar, &bytes));
  OK(moon_similar_load(bytes.data, bytes.n, &again));
  moon_similar_free(again);
  moon_similar_free(similar);
  moon_buf_free(&bytes);
}

static void wrong_arguments_are_named(void **state) {
  (void)state;
  moon_event events[] = {{.user = 0, .item = 0}, {.user = 0, .item = 7}};
  moon_log log = {.events = events, .n = 2};
  moon_similar *out = NULL;
  REFUSED(MOON_EINVAL, "event 1 is of item row 7, and there are 7 items", moon_similar_new(&log, 2, 7, NULL, NULL, &out));
  REFUSED(MOON_EINVAL, "3 events of a log of 2", moon_similar_new(&log, 3, 8, NULL, NULL, &out));
  const double wrong[] = {-1, NAN, INFINITY};
  for (int i = 0; i < 3; i++)
    REFUSED(MOON_EINVAL, "shrink", moon_similar_new(&log, 2, 8, &(moon_similar_options){.shrink = wrong[i]}, NULL, &out));
  events[0].user = MOON_NONE;
  REFUSED(MOON_EINVAL, "event 0 is of no user", moon_similar_new(&log, 2, 8, NULL, NULL, &out));
  assert_null(out);
}

/* ---- progress and memory --------------------------------------------------------------------------------------------------- */

typedef struct watcher {
  double last;
  int calls, stop_at;
} watcher;

static bool watch(void *self, const char *stage, double fraction, const char *note) {
  watcher *w = self;
  assert_string_equal(stage, "similar");
  assert_non_null(note);
  assert_true(fraction >= w->last && fraction <= 1);
  w->last = fraction;
  return ++w->calls != w->stop_at;
}

static void progress_rises_to_one_and_can_stop_the_work(void **state) {
  (void)state;
  moon_event events[] = {{.user = 0, .item = 0}, {.user = 0, .item = 900}};
  moon_log log = {.events = events, .n = 2};
  moon_similar *out = NULL;
  watcher w = {0};
  moon_progress progress = {watch, &w};
  OK(moon_similar_new(&log, 2, 1000, NULL, &progress, &out));
  assert_true(w.calls > 50 && w.last == 1);
  moon_similar_free(out);
  out = NULL;
  for (int stop = 1; stop < 20; stop += 9) {
    w = (watcher){.stop_at = stop};
    REFUSED(MOON_ECANCELED, "of 1000", moon_similar_new(&log, 2, 1000, NULL, &progress, &out));
    assert_int_equal(w.calls, stop);
    assert_null(out);
  }
}

static void every_failing_allocation_is_reported(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 2, 0);
  static shop s;
  do random_shop(&rng, &s);
  while (s.log.n < 200 || s.items < 20);
  moon_similar *similar = NULL;
  size_t n = 1;
  for (;; n++) {
    moon_alloc_fail_at(n);
    moon_status status = moon_similar_new(&s.log, s.log.n, s.items, NULL, NULL, &similar);
    moon_alloc_fail_at(0);
    if (!status.code) break;
    assert_int_equal(status.code, MOON_ENOMEM);
    assert_null(similar);
  }
  assert_true(n > 9);
  moon_buf bytes = {0};
  OK(moon_similar_save(similar, &bytes));
  for (n = 1;; n++) {
    moon_buf copy = {0};
    moon_alloc_fail_at(n);
    moon_status status = moon_similar_save(similar, &copy);
    moon_alloc_fail_at(0);
    bool same = copy.n == bytes.n && !memcmp(copy.data, bytes.data, bytes.n);
    moon_buf_free(&copy);
    if (!status.code) {
      assert_true(same);
      break;
    }
    assert_int_equal(status.code, MOON_ENOMEM);
  }
  moon_similar_free(similar);
  for (n = 1, similar = NULL;; n++) {
    moon_alloc_fail_at(n);
    moon_status status = moon_similar_load(bytes.data, bytes.n, &similar);
    moon_alloc_fail_at(0);
    if (!status.code) break;
    assert_int_equal(status.code, MOON_ENOMEM);
    assert_null(similar);
  }
  assert_int_equal(n, 5);
  moon_similar_free(similar);
  moon_buf_free(&bytes);
}

/* ---- bytes ----------------------------------------------------------------------------------------------------------------- */

static void what_loads_saves_to_the_same_bytes(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 3, 0);
  static shop s;
  for (int round = 0; round < 60; round++) {
    random_shop(&rng, &s);
    moon_similar *first, *twin, *loaded;
    moon_buf a = {0}, b = {0}, c = {0};
    OK(moon_similar_new(&s.log, s.log.n, s.items, NULL, NULL, &first));
    OK(moon_similar_new(&s.log, s.log.n, s.items, NULL, NULL, &twin));
    OK(moon_similar_save(first, &a));
    OK(moon_similar_save(twin, &b));
    OK(moon_similar_load(a.data, a.n, &loaded));
    OK(moon_similar_save(loaded, &c));
    assert_int_equal(a.n, b.n);
    assert_memory_equal(a.data, b.data, a.n);
    assert_int_equal(a.n, c.n);
    assert_memory_equal(a.data, c.data, a.n);
    for (uint32_t item = 0; item <= s.items; item++) {
      const uint32_t *rows, *loaded_rows;
      const float *scores, *loaded_scores;
      size_t n = moon_similar_of(first, item, &rows, &scores);
      assert_int_equal(moon_similar_of(loaded, item, &loaded_rows, &loaded_scores), n);
      for (size_t i = 0; i < n; i++) assert_true(rows[i] == loaded_rows[i] && scores[i] == loaded_scores[i]);
    }
    moon_similar_free(first);
    moon_similar_free(twin);
    moon_similar_free(loaded);
    moon_buf_free(&a);
    moon_buf_free(&b);
    moon_buf_free(&c);
  }
}

/* Items 0 and 1 of 3 are each other's only neighbours: 24 bytes of head; 0: count, row, score; 1: the same; 2: count. */
static moon_buf small_file(void) {
  const uint32_t pairs[][2] = {{0, 0}, {0, 1}};
  moon_similar *similar = build(pairs, 2, 3, (moon_similar_options){0});
  moon_buf bytes = {0};
  OK(moon_similar_save(similar, &bytes));
  moon_similar_free(similar);
  assert_int_equal(bytes.n, 24 + 12 + 12 + 4);
  return bytes;
}

static void truncated_bytes_are_refused_at_every_length(void **state) {
  (void)state;
  moon_buf bytes = small_file();
  moon_similar *out = NULL;
  for (size_t n = 0; n < bytes.n; n++) {
    char *exact = malloc(n + !n); /* so that a read past the end is seen */
    memcpy(exact, bytes.data, n);
    REFUSED(MOON_EFORMAT, "similar", moon_similar_load(exact, n, &out));
    free(exact);
  }
  moon_buf_add(&bytes, "\0\0\0\0", 4);
  REFUSED(MOON_EFORMAT, "bytes", moon_similar_load(bytes.data, bytes.n, &out));
  assert_null(out);
  moon_buf_free(&bytes);
}

static void put_u32(moon_buf *bytes, size_t at, uint32_t value) {
  for (int i = 0; i < 4; i++) bytes->data[at + (size_t)i] = (char)(value >> 8 * i);
}

static void each_broken_field_is_named(void **state) {
  (void)state;
  float two = 2, minus = -1;
  uint32_t two_bits, minus_bits;
  memcpy(&two_bits, &two, 4);
  memcpy(&minus_bits, &minus, 4);
  const struct {
    size_t at;
    uint32_t value;
    const char *message;
  } breaks[] = {
      {0, 0x4d49534f, "not in this format"}, {4, 2, "version 2"},       {8, 4, "in 28 bytes"},      {8, 2, "in 28 bytes"},
      {12, 1, "in 28 bytes"},                {12, 1u << 30, "in 28"},   {16, 3, "in 28 bytes"},     {20, 1, "in 28 bytes"},
      {24, 3, "3 neighbours of 2 left"},     {24, 0xffffffff, "of 2"},  {28, 3, "row 3 of 3"},      {28, 0, "row 0 of 3"},
      {28, MOON_NONE, "for a neighbour"},    {32, 0, "score 0"},        {32, minus_bits, "score -1"}, {32, 0x7fc00000, "nan"},
      {32, 0x7f800000, "score inf"},         {48, 1, "of 0 left"},
  };
  moon_similar *out = NULL;
  for (size_t i = 0; i < sizeof breaks / sizeof *breaks; i++) {
    moon_buf bytes = small_file();
    put_u32(&bytes, breaks[i].at, breaks[i].value);
    REFUSED(MOON_EFORMAT, breaks[i].message, moon_similar_load(bytes.data, bytes.n, &out));
    moon_buf_free(&bytes);
  }
  assert_null(out);
}

static void fewer_neighbours_than_promised_are_refused(void **state) {
  (void)state;
  moon_buf bytes = small_file();
  for (size_t at = 24; at < 36; at += 4) put_u32(&bytes, at, 0); /* three items with none, and 16 bytes nobody asked for */
  moon_similar *out = NULL;
  REFUSED(MOON_EFORMAT, "0 neighbours, not 2", moon_similar_load(bytes.data, bytes.n, &out));
  assert_null(out);
  moon_buf_free(&bytes);
}

static void neighbours_out_of_order_are_refused(void **state) {
  (void)state;
  const uint32_t pairs[][2] = {{0, 0}, {0, 1}, {0, 2}};
  moon_similar *similar = build(pairs, 3, 3, (moon_similar_options){0}), *out = NULL;
  moon_buf bytes = {0};
  OK(moon_similar_save(similar, &bytes));
  moon_similar_free(similar);
  put_u32(&bytes, 28, 2); /* item 0's neighbours are 1 and 2 with one score: now 2 and 1 */
  put_u32(&bytes, 36, 1);
  REFUSED(MOON_EFORMAT, "out of order", moon_similar_load(bytes.data, bytes.n, &out));
  put_u32(&bytes, 28, 1); /* twice the same */
  REFUSED(MOON_EFORMAT, "out of order", moon_similar_load(bytes.data, bytes.n, &out));
  put_u32(&bytes, 36, 2);
  put_u32(&bytes, 40, 0x3f800000); /* the second scores more than the first */
  REFUSED(MOON_EFORMAT, "out of order", moon_similar_load(bytes.data, bytes.n, &out));
  moon_buf_free(&bytes);
}

static void flipped_bits_are_refused_or_are_another_file(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 4, 0);
  static shop s;
  do random_shop(&rng, &s);
  while (s.log.n < 100 || s.items < 10);
  moon_similar *similar;
  moon_buf bytes = {0};
  OK(moon_similar_new(&s.log, s.log.n, s.items, &(moon_similar_options){.neighbours = 4}, NULL, &similar));
  OK(moon_similar_save(similar, &bytes));
  moon_similar_free(similar);
  size_t refused = 0;
  for (size_t bit = 0; bit < bytes.n * 8; bit++) {
    bytes.data[bit / 8] = (char)(bytes.data[bit / 8] ^ 1 << bit % 8);
    moon_similar *out = NULL;
    moon_status status = moon_similar_load(bytes.data, bytes.n, &out);
    if (status.code) {
      assert_int_equal(status.code, MOON_EFORMAT);
      refused++;
    } else { /* a flip in a row or a score may be another valid file: then it is that file, whole */
      assert_true(bit >= 24 * 8);
      moon_buf again = {0};
      OK(moon_similar_save(out, &again));
      assert_int_equal(again.n, bytes.n);
      assert_memory_equal(again.data, bytes.data, bytes.n);
      moon_buf_free(&again);
      moon_similar_free(out);
    }
    bytes.data[bit / 8] = (char)(bytes.data[bit / 8] ^ 1 << bit % 8);
  }
  assert_true(refused > bytes.n * 8 / 2);
  moon_buf_free(&bytes);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(neighbours_match_counting_users_by_the_definition),
      cmocka_unit_test(similarity_is_a_shrunk_cosine),
      cmocka_unit_test(a_user_counts_an_item_once),
      cmocka_unit_test(window_holds_the_last_distinct_items),
      cmocka_unit_test(equal_scores_go_by_lower_row),
      cmocka_unit_test(nothing_and_strangers_have_no_neighbours),
      cmocka_unit_test(enormous_shrink_leaves_nothing_and_still_saves),
      cmocka_unit_test(wrong_arguments_are_named),
      cmocka_unit_test(progress_rises_to_one_and_can_stop_the_work),
      cmocka_unit_test(every_failing_allocation_is_reported),
      cmocka_unit_test(what_loads_saves_to_the_same_bytes),
      cmocka_unit_test(truncated_bytes_are_refused_at_every_length),
      cmocka_unit_test(each_broken_field_is_named),
      cmocka_unit_test(fewer_neighbours_than_promised_are_refused),
      cmocka_unit_test(neighbours_out_of_order_are_refused),
      cmocka_unit_test(flipped_bits_are_refused_or_are_another_file),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

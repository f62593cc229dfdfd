/* test_retrieve_sources.c - the four sources of candidates over a small shop, against their definitions written out. */
#include "numeric.h"

#include "retrieve/retrieve.h"

enum { ITEMS = 40, CAP = 64 };
#define HOUR (3600 * MOON_SECOND)

/* `listed` items of a table, hidden where `hidden` (ended by MOON_NONE) says so, and after them `unlisted` ones from events. */
static moon_catalogue *shop_of(size_t listed, const uint32_t *hidden, size_t unlisted) {
  moon_table *table;
  moon_column *column;
  char id[16];
  OK(moon_table_new("items.csv", &table));
  OK(moon_table_add_column(table, "item", MOON_STRING, &column));
  OK(moon_table_add_column(table, "hidden", MOON_NUMBER, &column));
  for (size_t i = 0; i < listed; i++) {
    int n = snprintf(id, sizeof id, "i%zu", i);
    OK(moon_column_push_string(&table->columns[0], id, (size_t)n));
    OK(moon_column_push_number(&table->columns[1], 0));
    table->rows++;
  }
  for (; hidden && *hidden != MOON_NONE; hidden++) table->columns[1].f64[*hidden] = 1;
  moon_catalogue *catalogue;
  OK(moon_catalogue_new(table, &catalogue));
  for (size_t i = 0; i < unlisted; i++) {
    uint32_t row;
    int n = snprintf(id, sizeof id, "gone%zu", i);
    OK(moon_catalogue_row(catalogue, id, (size_t)n, true, &row));
  }
  return catalogue;
}

static moon_state *empty_state(void) {
  static const moon_feature_plan plan = {0};
  moon_state *state;
  OK(moon_state_new(&plan, &state));
  return state;
}

static uint32_t user_of(moon_state *state, const char *id) {
  uint32_t user;
  OK(moon_state_user(state, id, strlen(id), true, &user));
  return user;
}

static void see(moon_state *state, const char *user, uint32_t item, int64_t time) {
  uint32_t kind;
  OK(moon_state_kind(state, "view", 4, true, &kind));
  OK(moon_state_apply(state, user_of(state, user), item, kind, time));
}

/* A list of candidates; one place more than cap, to see that it stays untouched. */
typedef struct list {
  uint32_t item[CAP + 1];
  float score[CAP + 1];
  moon_candidates of;
} list;

static moon_candidates *room(list *l, size_t cap) {
  l->of = (moon_candidates){.item = l->item, .score = l->score, .n = 99, .cap = cap};
  l->item[cap] = 12345;
  return &l->of;
}

static void expect_items(const list *l, size_t n, const uint32_t *want) {
  assert_int_equal(l->of.n, n);
  for (size_t i = 0; i < n; i++) assert_int_equal(l->item[i], want[i]);
  for (size_t i = 1; i < n; i++) assert_true(l->score[i - 1] >= l->score[i]);
  assert_int_equal(l->item[l->of.cap], 12345);
}

/* ---- similar --------------------------------------------------------------------------------------------------------------- */

static moon_similar *random_similar(moon_rng *rng, size_t items, size_t n) {
  moon_event events[400];
  moon_log log = {.events = events, .n = n};
  for (size_t i = 0; i < n; i++)
    events[i] = (moon_event){.user = moon_rng_below(rng, 25), .item = moon_rng_below(rng, (uint32_t)items)};
  moon_similar *similar;
  OK(moon_similar_new(&log, n, items, &(moon_similar_options){.neighbours = 8, .shrink = 1}, NULL, &similar));
  return similar;
}

/* all[item]: what similar should score; 0 for what must not come */
static void naive_similar(const moon_similar *similar, const moon_catalogue *catalogue, const uint32_t *recent, size_t n,
                          float *all) {
  const uint32_t *rows;
  const float *scores;
  float weight = 1;
  memset(all, 0, ITEMS * sizeof *all);
  for (size_t r = 0; r < n; r++, weight *= 0.9f) {
    size_t count = moon_similar_of(similar, recent[r], &rows, &scores);
    for (size_t i = 0; i < count; i++)
      if (rows[i] < moon_catalogue_rows(catalogue)) all[rows[i]] += weight * scores[i];
  }
  for (uint32_t item = 0; item < ITEMS; item++) {
    bool own = false;
    for (size_t r = 0; r < n; r++) own |= recent[r] == item;
    if (own || (item < moon_catalogue_rows(catalogue) && catalogue->hidden[item])) all[item] = 0;
  }
}

static void similar_adds_up_neighbours_of_the_last_items(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 1, 0);
  moon_catalogue *catalogue = shop_of(30, (const uint32_t[]){3, 4, 17, MOON_NONE}, 4); /* 34 rows: the neighbours know 40 */
  float scratch[34] = {0}, all[ITEMS];
  static list got;
  size_t found = 0;
  for (int round = 0; round < 300; round++) {
    moon_similar *similar = random_similar(&rng, ITEMS, moon_rng_below(&rng, 400));
    uint32_t recent[8];
    size_t n = moon_rng_below(&rng, 9), cap = moon_rng_below(&rng, 20);
    for (size_t i = 0; i < n; i++) recent[i] = moon_rng_below(&rng, ITEMS + 3); /* repeats, and rows that nobody knows */
    OK(moon_source_similar(similar, catalogue, recent, n, scratch, room(&got, cap)));
    naive_similar(similar, catalogue, recent, n, all);
    size_t expected = 0;
    for (size_t i = 0; i < ITEMS; i++) expected += all[i] > 0;
    if (expected > cap) expected = cap;
    uint32_t order[ITEMS];
    moon_top_k(all, ITEMS, ITEMS, order);
    expect_items(&got, expected, order);
    for (size_t i = 0; i < expected; i++) NEAR(got.score[i], all[order[i]], 0);
    for (size_t i = 0; i < 34; i++) assert_true(scratch[i] == 0);
    found += expected;
    moon_similar_free(similar);
  }
  assert_true(found > 1000);
  moon_catalogue_free(catalogue);
}

static void similar_lets_the_newest_weigh_most(void **state) {
  (void)state;
  /* 0 goes with 2, and 1 with 3, equally; 4 goes with both. */
  moon_event events[] = {{.user = 0, .item = 0}, {.user = 0, .item = 2}, {.user = 1, .item = 1}, {.user = 1, .item = 3},
                         {.user = 2, .item = 0}, {.user = 2, .item = 4}, {.user = 3, .item = 1}, {.user = 3, .item = 4}};
  moon_log log = {.events = events, .n = 8};
  moon_similar *similar;
  OK(moon_similar_new(&log, 8, 5, NULL, NULL, &similar));
  moon_catalogue *catalogue = shop_of(5, NULL, 0);
  float scratch[5] = {0};
  list got;
  OK(moon_source_similar(similar, catalogue, (const uint32_t[]){0, 1}, 2, scratch, room(&got, 10)));
  expect_items(&got, 3, (const uint32_t[]){4, 2, 3});
  NEAR(got.score[2] / got.score[1], 0.9, 1e-6);
  OK(moon_source_similar(similar, catalogue, (const uint32_t[]){1, 0}, 2, scratch, room(&got, 10)));
  expect_items(&got, 3, (const uint32_t[]){4, 3, 2});
  moon_similar_free(similar);
  moon_catalogue_free(catalogue);
}

static void similar_without_anything_to_go_by_is_empty(void **state) {
  (void)state;
  moon_catalogue *catalogue = shop_of(5, NULL, 0);
  float scratch[5] = {0};
  list got;
  OK(moon_source_similar(NULL, catalogue, (const uint32_t[]){0, 1}, 2, scratch, room(&got, 10)));
  expect_items(&got, 0, NULL);
  moon_rng rng;
  moon_rng_seed(&rng, 2, 0);
  moon_similar *similar = random_similar(&rng, 5, 100);
  OK(moon_source_similar(similar, catalogue, NULL, 0, scratch, room(&got, 10)));
  expect_items(&got, 0, NULL);
  OK(moon_source_similar(similar, catalogue, (const uint32_t[]){0, 1, 2, 3, 4}, 5, scratch, room(&got, 10)));
  expect_items(&got, 0, NULL); /* every neighbour is an own item, and the scratch is clean again */
  for (size_t i = 0; i < 5; i++) assert_true(scratch[i] == 0);
  moon_similar_free(similar);
  moon_catalogue_free(catalogue);
}

/* ---- recent ---------------------------------------------------------------------------------------------------------------- */

static void recent_is_newest_first_each_once_without_hidden(void **state) {
  (void)state;
  moon_catalogue *catalogue = shop_of(6, (const uint32_t[]){2, MOON_NONE}, 1); /* row 6 is not listed */
  moon_state *s = empty_state();
  const uint32_t seen[] = {0, 1, 2, 1, 3, 6, 0, 3};
  for (size_t i = 0; i < 8; i++) see(s, "ann", seen[i], (int64_t)(i + 1) * HOUR);
  see(s, "bob", 5, 20 * HOUR);
  list got;
  moon_source_recent(s, catalogue, user_of(s, "ann"), room(&got, 10));
  expect_items(&got, 3, (const uint32_t[]){3, 0, 1});
  NEAR(got.score[0], 1, 0);
  NEAR(got.score[2], 0.81, 1e-6);
  moon_source_recent(s, catalogue, user_of(s, "ann"), room(&got, 2));
  expect_items(&got, 2, (const uint32_t[]){3, 0});
  moon_source_recent(s, catalogue, user_of(s, "ann"), room(&got, 0));
  expect_items(&got, 0, NULL);
  moon_state_free(s);
  moon_catalogue_free(catalogue);
}

static void strangers_have_nothing_recent(void **state) {
  (void)state;
  moon_catalogue *catalogue = shop_of(3, NULL, 0);
  moon_state *s = empty_state();
  see(s, "ann", 1, HOUR);
  list got;
  moon_source_recent(s, catalogue, MOON_NONE, room(&got, 10));
  expect_items(&got, 0, NULL);
  moon_source_recent(s, catalogue, user_of(s, "ann") + 1, room(&got, 10));
  expect_items(&got, 0, NULL);
  moon_source_recent(s, catalogue, user_of(s, "new"), room(&got, 10));
  expect_items(&got, 0, NULL);
  moon_state_free(s);
  moon_catalogue_free(catalogue);
}

static void recent_ignores_rows_beyond_the_catalogue(void **state) {
  (void)state;
  moon_catalogue *catalogue = shop_of(3, NULL, 0);
  moon_state *s = empty_state();
  see(s, "ann", 1, HOUR);
  see(s, "ann", 5000, 2 * HOUR);
  list got;
  moon_source_recent(s, catalogue, user_of(s, "ann"), room(&got, 10));
  expect_items(&got, 1, (const uint32_t[]){1});
  moon_state_free(s);
  moon_catalogue_free(catalogue);
}

/* ---- charts ---------------------------------------------------------------------------------------------------------------- */

static moon_charts *charts_of(size_t keep) {
  moon_charts *charts;
  OK(moon_charts_new(keep, &charts));
  return charts;
}

static void popular_counts_all_events_and_trending_the_late_ones(void **state) {
  (void)state;
  moon_catalogue *catalogue = shop_of(6, (const uint32_t[]){4, MOON_NONE}, 1);
  moon_state *s = empty_state();
  moon_charts *charts = charts_of(10);
  list got;
  int64_t time = HOUR;
  for (int i = 0; i < 5; i++) see(s, "ann", 1, time++); /* five of item 1, long ago */
  time += 30 * 24 * HOUR;
  for (int i = 0; i < 2; i++) see(s, "ann", 3, time++);
  for (int i = 0; i < 9; i++) see(s, "bob", 4, time++); /* hidden */
  for (int i = 0; i < 9; i++) see(s, "bob", 6, time++); /* not listed */
  see(s, "bob", 0, time++);
  OK(moon_charts_refresh(charts, s, catalogue, time, 0));
  moon_source_popular(charts, room(&got, 10));
  expect_items(&got, 5, (const uint32_t[]){1, 3, 0, 2, 5}); /* 2 and 5 have no events: last, in catalogue order */
  NEAR(got.score[0], 5, 0);
  NEAR(got.score[1], 2, 0);
  NEAR(got.score[4], 0, 0);
  moon_source_popular(charts, room(&got, 2));
  expect_items(&got, 2, (const uint32_t[]){1, 3});
  moon_source_trending(charts, room(&got, 10));
  expect_items(&got, 3, (const uint32_t[]){3, 0, 1}); /* ten half-lives: five of item 1 count 5/1024 */
  NEAR(got.score[0], 2, 1e-3);
  NEAR(got.score[2], 5.0 / 1024, 1e-4);
  moon_source_trending(charts, room(&got, 0));
  expect_items(&got, 0, NULL);
  moon_charts_free(charts);
  moon_state_free(s);
  moon_catalogue_free(catalogue);
}

static void trending_survives_a_clock_far_ahead_of_the_log(void **state) {
  (void)state;
  moon_catalogue *catalogue = shop_of(3, NULL, 0);
  moon_state *s = empty_state();
  moon_charts *charts = charts_of(10);
  list got;
  see(s, "ann", 2, HOUR);
  see(s, "ann", 1, 100 * HOUR);
  OK(moon_charts_refresh(charts, s, catalogue, 30 * 365 * 24 * HOUR, 0));
  moon_source_trending(charts, room(&got, 10));
  expect_items(&got, 2, (const uint32_t[]){1, 2});
  NEAR(got.score[0], 1, 1e-6);
  moon_charts_free(charts);
  moon_state_free(s);
  moon_catalogue_free(catalogue);
}

static void charts_keep_the_best_and_break_ties_by_row(void **state) {
  (void)state;
  moon_catalogue *catalogue = shop_of(ITEMS, NULL, 0);
  moon_rng rng;
  moon_rng_seed(&rng, 3, 0);
  list got;
  for (int round = 0; round < 20; round++) {
    moon_state *s = empty_state();
    size_t keep = 1 + moon_rng_below(&rng, CAP - 1), n = moon_rng_below(&rng, 200);
    moon_charts *charts = charts_of(keep);
    float total[ITEMS] = {0};
    for (size_t i = 0; i < n; i++) {
      uint32_t item = moon_rng_below(&rng, ITEMS);
      total[item]++;
      see(s, "ann", item, HOUR); /* at one moment: trending has popular's order */
    }
    OK(moon_charts_refresh(charts, s, catalogue, HOUR, 0));
    uint32_t order[ITEMS];
    moon_top_k(total, ITEMS, ITEMS, order);
    size_t seen = 0;
    for (size_t i = 0; i < ITEMS; i++) seen += total[i] > 0;
    moon_source_popular(charts, room(&got, CAP));
    expect_items(&got, keep < ITEMS ? keep : ITEMS, order);
    moon_source_trending(charts, room(&got, CAP));
    expect_items(&got, keep < seen ? keep : seen, order);
    moon_charts_free(charts);
    moon_state_free(s);
  }
  moon_catalogue_free(catalogue);
}

static size_t popular_score_of_first(const moon_charts *charts) {
  list got;
  moon_source_popular(charts, room(&got, 1));
  return (size_t)got.score[0];
}

static void charts_wait_for_news_and_for_age(void **state) {
  (void)state;
  moon_catalogue *catalogue = shop_of(3, NULL, 0);
  moon_state *s = empty_state();
  moon_charts *charts = charts_of(10);
  list got;
  moon_source_popular(charts, room(&got, 10));
  expect_items(&got, 0, NULL); /* before the first refresh */
  see(s, "ann", 1, HOUR);
  OK(moon_charts_refresh(charts, s, catalogue, HOUR, 10)); /* nothing built yet: at once */
  assert_int_equal(popular_score_of_first(charts), 1);
  see(s, "ann", 1, HOUR);
  OK(moon_charts_refresh(charts, s, catalogue, HOUR + 10, 10)); /* news, but too young */
  assert_int_equal(popular_score_of_first(charts), 1);
  OK(moon_charts_refresh(charts, s, catalogue, HOUR + 11, 10));
  assert_int_equal(popular_score_of_first(charts), 2);
  see(s, "ann", 1, HOUR);
  OK(moon_charts_refresh(charts, s, catalogue, HOUR + 12, 0)); /* max_age 0: always */
  assert_int_equal(popular_score_of_first(charts), 3);
  see(s, "ann", 1, HOUR);
  OK(moon_charts_refresh(charts, s, catalogue, HOUR - 5, 10)); /* the clock was set back */
  assert_int_equal(popular_score_of_first(charts), 4);
  see(s, "ann", 1, HOUR);
  OK(moon_charts_refresh(charts, s, catalogue, INT64_MAX, INT64_MAX)); /* no overflow, and not older than that */
  assert_int_equal(popular_score_of_first(charts), 4);
  OK(moon_charts_refresh(charts, s, catalogue, INT64_MIN, 10));
  assert_int_equal(popular_score_of_first(charts), 5);
  catalogue->hidden[1] = 1; /* no new events: the list stands until it is asked for anew */
  OK(moon_charts_refresh(charts, s, catalogue, INT64_MAX, 10));
  assert_int_equal(popular_score_of_first(charts), 5);
  OK(moon_charts_refresh(charts, s, catalogue, INT64_MAX, 0));
  assert_int_equal(popular_score_of_first(charts), 0);
  moon_charts_free(charts);
  moon_state_free(s);
  moon_catalogue_free(catalogue);
}

static void charts_without_length_or_memory_are_refused(void **state) {
  (void)state;
  moon_charts *charts = NULL;
  REFUSED(MOON_EINVAL, "at least 1", moon_charts_new(0, &charts));
  REFUSED(MOON_ENOMEM, "charts", moon_charts_new(SIZE_MAX, &charts));
  size_t n = 1;
  for (;; n++) {
    moon_alloc_fail_at(n);
    moon_status status = moon_charts_new(100, &charts);
    moon_alloc_fail_at(0);
    if (!status.code) break;
    assert_int_equal(status.code, MOON_ENOMEM);
    assert_null(charts);
  }
  assert_int_equal(n, 6);
  moon_charts_free(charts);
  moon_charts_free(NULL);
}

static void requests_allocate_nothing(void **state) {
  (void)state;
  moon_catalogue *catalogue = shop_of(5, NULL, 0);
  moon_state *s = empty_state();
  moon_charts *charts = charts_of(10);
  see(s, "ann", 1, HOUR);
  moon_rng rng;
  moon_rng_seed(&rng, 2, 0);
  moon_similar *similar = random_similar(&rng, 5, 100);
  uint32_t ann = user_of(s, "ann");
  float scratch[5] = {0};
  static list popular, trending, recent, near;
  moon_alloc_fail_at(1);
  moon_status refreshed = moon_charts_refresh(charts, s, catalogue, HOUR, 0);
  moon_source_popular(charts, room(&popular, 5));
  moon_source_trending(charts, room(&trending, 5));
  moon_source_recent(s, catalogue, ann, room(&recent, 5));
  moon_status found = moon_source_similar(similar, catalogue, recent.item, recent.of.n, scratch, room(&near, 5));
  moon_alloc_fail_at(0);
  OK(refreshed);
  OK(found);
  assert_int_equal(popular.of.n, 5);
  assert_int_equal(trending.of.n, 1);
  assert_int_equal(recent.of.n, 1);
  assert_int_equal(near.of.n, 4);
  moon_similar_free(similar);
  moon_charts_free(charts);
  moon_state_free(s);
  moon_catalogue_free(catalogue);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(similar_adds_up_neighbours_of_the_last_items),
      cmocka_unit_test(similar_lets_the_newest_weigh_most),
      cmocka_unit_test(similar_without_anything_to_go_by_is_empty),
      cmocka_unit_test(recent_is_newest_first_each_once_without_hidden),
      cmocka_unit_test(strangers_have_nothing_recent),
      cmocka_unit_test(recent_ignores_rows_beyond_the_catalogue),
      cmocka_unit_test(popular_counts_all_events_and_trending_the_late_ones),
      cmocka_unit_test(trending_survives_a_clock_far_ahead_of_the_log),
      cmocka_unit_test(charts_keep_the_best_and_break_ties_by_row),
      cmocka_unit_test(charts_wait_for_news_and_for_age),
      cmocka_unit_test(charts_without_length_or_memory_are_refused),
      cmocka_unit_test(requests_allocate_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_feature_together.c - which items go together: as the list of all events has it at any moment, and the same after a snapshot. */
#include "feature/state.h"
#include "feature_store.h"

#define VIEWS "{'op':'cooccurrence','name':'views','kinds':['view'],'last':3}"
#define ANY "{'op':'cooccurrence','name':'any','last':5}"
static const char together_plan[] = "[" VIEWS "," ANY ",{'op':'cooccurrence','name':'again','last':3,'kinds':['view'],'steps':[{'op':'log'}]},"
    "{'op':'formula','name':'sum','inputs':[" VIEWS "," ANY "],'code':[{'op':'input','of':[1]},{'op':'input','of':[2]},{'op':'add','of':[1,2]}]}]";
enum { SLOTS = 4, PAIRS = WORLD_ITEMS * WORLD_ITEMS };

/* ---- the naive store: a matrix --------------------------------------------------------------------------------------------- */

typedef struct matrix {
  unsigned kinds;
  size_t last, most, pairs;
  uint32_t together[WORLD_ITEMS][WORLD_ITEMS], seen[WORLD_ITEMS];
} matrix;

/* Those seen once go, or up to 2, 4, 8 times, until an eighth of them does. */
static void thin_out(matrix *m) {
  for (uint32_t limit = 1;; limit *= 2) {
    size_t n = 0;
    for (size_t i = 0; i < WORLD_ITEMS; i++)
      for (size_t k = 0; k < i; k++) n += m->together[i][k] && m->together[i][k] <= limit;
    if (8 * n < m->pairs) continue;
    for (size_t i = 0; i < WORLD_ITEMS; i++)
      for (size_t k = 0; k < WORLD_ITEMS; k++)
        if (m->together[i][k] <= limit) m->together[i][k] = 0;
    m->pairs -= n;
    return;
  }
}

/* Before the event is in the list. */
static void matrix_fold(matrix *m, const naive *all, const moon_event *e) {
  uint32_t items[16];
  if (!(m->kinds >> e->kind & 1)) return;
  size_t n = naive_items(all, e->user, m->kinds, items, m->last);
  for (size_t i = 0; i < n; i++)
    if (items[i] == e->item) return;
  m->seen[e->item]++;
  for (size_t i = 0; i < n; i++) {
    if (!m->together[e->item][items[i]] && m->pairs == m->most) thin_out(m);
    m->pairs += !m->together[e->item][items[i]];
    m->together[items[i]][e->item] = ++m->together[e->item][items[i]];
  }
}

static double matrix_score(const matrix *m, const naive *all, uint32_t user, uint32_t item) {
  uint32_t items[16];
  double sum = 0;
  size_t n = naive_items(all, user, m->kinds, items, m->last);
  for (size_t i = 0; i < n; i++)
    if (items[i] != item && m->together[item][items[i]])
      sum += m->together[item][items[i]] / sqrt((double)m->seen[item] * m->seen[items[i]]);
  return sum;
}

/* ---- the world ------------------------------------------------------------------------------------------------------------- */

static matrix by_views, by_any; /* of the world that is counted */

static world *counted_world(const char *plan) {
  by_views = (matrix){.kinds = 1, .last = 3, .most = PAIRS};
  by_any = (matrix){.kinds = 7, .last = 5, .most = PAIRS};
  return world_new(plan);
}

static void fold(world *w, moon_event e) {
  matrix_fold(&by_views, &w->all, &e);
  matrix_fold(&by_any, &w->all, &e);
  world_fold(w->state, &w->all, e);
}

static void check_table(const moon_together *t, const matrix *m) {
  size_t n = 0;
  for (uint32_t a = 0; a < WORLD_ITEMS; a++) {
    assert_int_equal(moon_together_seen(t, a), m->seen[a]);
    for (uint32_t b = 0; b < WORLD_ITEMS; b++) {
      assert_int_equal(moon_together_count(t, a, b), a == b ? 0 : m->together[a][b]);
      n += a < b && m->together[a][b];
    }
  }
  assert_int_equal(t->n, n);
}

static void score_is_that_of_the_list_of_all_events(void **nothing) {
  (void)nothing;
  world *w = counted_world(together_plan);
  assert_int_equal(w->plan->together_count, 2); /* who asks the same shares */
  moon_rng rng;
  moon_rng_seed(&rng, 17, 1);
  int64_t time = 100;
  size_t positive = 0;
  for (uint32_t user = 0; user < WORLD_USERS; user++) state_user(w->state, user);
  for (int i = 0; i < 1500; i++) {
    moon_event e = world_event(&rng, &time);
    uint32_t items[WORLD_ITEMS + 1], n = WORLD_ITEMS + 1;
    float dense[WORLD_ITEMS + 1][SLOTS], one[1][SLOTS];
    moon_inputs in = {.dense = dense[0]}, single = {.dense = one[0]};
    for (uint32_t item = 0; item < n; item++) items[item] = item < WORLD_ITEMS ? item : MOON_NONE;
    moon_features_compute(w->features, w->state, state_user(w->state, e.user), NULL, items, n, time, &in);
    for (uint32_t item = 0; item < WORLD_ITEMS; item++) {
      double views = matrix_score(&by_views, &w->all, e.user, item), any = matrix_score(&by_any, &w->all, e.user, item);
      NEAR(dense[item][0], views, 1e-5);
      NEAR(dense[item][1], any, 1e-5);
      NEAR(dense[item][2], log1p(views), 1e-5);
      NEAR(dense[item][3], views + any, 1e-5);
      positive += views > 0;
    }
    for (uint32_t item = 0; item < n; item++) { /* alone as among others, to the bit */
      moon_features_compute_at(w->features, w->state, state_user(w->state, e.user), NULL, items[item], time, NULL, &single, 0);
      assert_memory_equal(one, dense[item], sizeof one);
    }
    assert_true(dense[WORLD_ITEMS][0] == 0 && dense[WORLD_ITEMS][3] == 0);
    fold(w, e);
  }
  assert_true(positive > 3000);
  check_table(&w->state->together[0], &by_views);
  check_table(&w->state->together[1], &by_any);
  world_free(w);
}

static void stranger_goes_with_nothing(void **nothing) {
  (void)nothing;
  world *w = counted_world(together_plan);
  float dense[SLOTS];
  const uint32_t item = 1;
  for (int i = 0; i < 40; i++) fold(w, (moon_event){.user = 0, .item = (uint32_t)i % 8, .kind = 0, .time = i});
  moon_features_compute(w->features, w->state, MOON_NONE, NULL, &item, 1, 60, &(moon_inputs){.dense = dense});
  for (size_t i = 0; i < SLOTS; i++) assert_true(dense[i] == 0);
  world_free(w);
}

static void the_rarest_pairs_go_where_there_are_too_many(void **nothing) {
  (void)nothing;
  for (size_t most = 6; most < 40; most += 5) {
    world *w = counted_world(together_plan);
    for (size_t t = 0; t < 2; t++) w->state->together[t].most = most;
    by_views.most = by_any.most = most;
    moon_rng rng;
    moon_rng_seed(&rng, most, 1);
    int64_t time = 100;
    for (int i = 0; i < 1000; i++) {
      fold(w, world_event(&rng, &time));
      assert_true(w->state->together[1].n <= most);
      if (i % 50 == 0) check_table(&w->state->together[1], &by_any);
    }
    check_table(&w->state->together[0], &by_views);
    check_table(&w->state->together[1], &by_any);
    world_free(w);
  }
}

/* The flat table against a plain one, with many more pairs than the worlds above have, and rows far apart. */
static void pairs_are_found_again_in_a_table_that_grows_and_thins_out(void **nothing) {
  (void)nothing;
  enum { ITEMS = 300, MOST = 5000 };
  static uint32_t plain[ITEMS][ITEMS];
  memset(plain, 0, sizeof plain);
  moon_side side = {.stride = 8};
  moon_together t = {.last = 10, .most = MOST, .side = &side};
  OK(moon_side_rows(&side, ITEMS));
  moon_rng rng;
  moon_rng_seed(&rng, 5, 5);
  size_t pairs = 0, thinned = 0;
  for (int i = 0; i < 60000; i++) {
    double u = moon_rng_uniform(&rng), v = moon_rng_uniform(&rng);
    uint32_t a = (uint32_t)(u * u * ITEMS), b = (uint32_t)(v * ITEMS);
    if (a == b) continue;
    const moon_touch touch = {0, b, 0}, *other = &touch;
    OK(moon_together_room(&t, 1));
    moon_together_add(&t, a, &other, 1);
    if (!plain[a][b] && pairs == MOST) {
      size_t gone = 0;
      for (uint32_t limit = 1; 8 * gone < pairs; limit *= 2) {
        for (uint32_t x = 0; x < ITEMS; x++)
          for (uint32_t y = 0; y < x; y++)
            if (plain[x][y] && plain[x][y] <= limit) plain[x][y] = plain[y][x] = 0, gone++;
      }
      pairs -= gone, thinned++;
    }
    pairs += !plain[a][b];
    plain[b][a] = ++plain[a][b];
  }
  assert_true(thinned > 3);
  assert_int_equal(t.n, pairs);
  for (uint32_t a = 0; a < ITEMS; a++)
    for (uint32_t b = 0; b < ITEMS; b++) assert_int_equal(moon_together_count(&t, a, b), plain[a][b]);
  moon_free(t.pairs);
  moon_free(side.rows);
}

static void who_is_forgotten_goes_with_nothing_and_begins_anew(void **nothing) {
  (void)nothing;
  world *w = world_new("[" VIEWS "]");
  w->state->ttl = 1000;
  const uint32_t item = 1;
  float score;
  moon_inputs in = {.dense = &score};
  uint32_t user = state_user(w->state, 0), view = state_kind(w->state, 0);
  for (uint32_t i = 0; i < 3; i++) OK(moon_state_apply(w->state, user, i, view, i));
  moon_features_compute(w->features, w->state, user, NULL, &item, 1, 1002, &in);
  NEAR(score, 2, 1e-6); /* 0 and 2 came with it once, each seen once */
  moon_features_compute(w->features, w->state, user, NULL, &item, 1, 1003, &in);
  assert_true(score == 0);
  OK(moon_state_apply(w->state, user, 3, view, 2000));
  assert_int_equal(moon_together_seen(&w->state->together[0], 3), 1);
  assert_int_equal(w->state->together[0].n, 3); /* of a past life it is counted with nothing */
  world_free(w);
}

static void pairs_count_in_the_memory_of_the_state(void **nothing) {
  (void)nothing;
  world *w = world_new("[" ANY "]");
  uint32_t user = state_user(w->state, 0), view = state_kind(w->state, 0);
  size_t before = moon_state_memory_now(w->state).bytes;
  for (uint32_t i = 0; i < 300; i++) OK(moon_state_apply(w->state, user, i, view, i));
  assert_true(moon_state_memory_now(w->state).bytes >= before + w->state->together[0].slots * sizeof(moon_pair));
  assert_true(w->state->together[0].n == 300 * 5 - 15 && moon_together_growth(&w->state->together[0]) == 0);
  w->state->together[0].n = w->state->together[0].slots * 3 / 4;
  assert_true(moon_together_growth(&w->state->together[0]) == w->state->together[0].slots * sizeof(moon_pair));
  world_free(w);
}

/* ---- snapshots ------------------------------------------------------------------------------------------------------------- */

static void snapshot_returns_with_pairs(void **nothing) {
  (void)nothing;
  check_snapshots(together_plan);
}

static void forged_snapshot_never_breaks_the_store(void **nothing) {
  (void)nothing;
  check_forgeries(together_plan);
}

/* One number of a small snapshot replaced, counted in bytes from the end:
 * ... n 8 | (0, 1) once 12 | (0, 2) once 12 | (1, 2) once 12 | item 0 4, item 1 4, item 2 4 | checksum 8 */
static void check_forgery(size_t from_end, size_t width, uint64_t value, const char *text) {
  world *w = world_new("[" VIEWS "]");
  moon_state *again = NULL;
  moon_buf bytes = {0};
  for (uint32_t item = 0; item < 3; item++) OK(moon_state_apply(w->state, state_user(w->state, 0), item, state_kind(w->state, 0), 1000 + item));
  OK(moon_state_save(w->state, &bytes));
  for (size_t b = 0; b < width; b++) bytes.data[bytes.n - from_end + b] = (char)(value >> 8 * b);
  seal(&bytes);
  REFUSED(text[0] ? MOON_EFORMAT : MOON_OK, text, moon_state_load(bytes.data, bytes.n, w->plan, &again));
  moon_state_free(again);
  moon_buf_free(&bytes);
  world_free(w);
}

static void snapshot_that_contradicts_itself_is_refused(void **nothing) {
  (void)nothing;
  check_forgery(24, 4, 2, "");                            /* (1, 2) twice may be */
  check_forgery(24, 4, 3, "more often than both");
  check_forgery(24, 4, 0, "a pair of items is wrong");
  check_forgery(28, 4, 3, "a pair of items is wrong");    /* there is no item 3 */
  check_forgery(28, 4, 1, "a pair of items is wrong");    /* (1, 1) */
  check_forgery(32, 4, 0, "a pair of items is wrong");    /* (0, 2) a second time */
  check_forgery(12, 4, 2, "more often than it was there");
  check_forgery(12, 4, 0, "");                            /* a pair seen once, of an item counted once */
  check_forgery(64, 8, 2000000, "its pairs of items are cut off");
  check_forgery(64, 8, 2, "more often than it was there");
}

static void snapshot_of_another_plan_is_refused(void **nothing) {
  (void)nothing;
  static const char *const plans[] = {"[" VIEWS "]", "[" ANY "]", "[{'op':'cooccurrence','name':'views','kinds':['view'],'last':4}]",
                                      "[{'op':'cooccurrence','name':'views','kinds':['cart'],'last':3}]",
                                      "[{'op':'cooccurrence','name':'views','kinds':['view'],'last':3,'pairs':5000}]", "[" VIEWS "," ANY "]"};
  for (size_t i = 0; i < MANY(plans); i++) {
    world *w = world_new(plans[i]);
    moon_buf bytes = {0};
    OK(moon_state_save(w->state, &bytes));
    for (size_t k = 0; k < MANY(plans); k++) {
      world *other = world_new(plans[k]);
      moon_state *again = NULL;
      moon_status status = moon_state_load(bytes.data, bytes.n, other->plan, &again);
      assert_int_equal(status.code, i == k ? MOON_OK : MOON_EFORMAT);
      moon_state_free(again);
      world_free(other);
    }
    moon_buf_free(&bytes);
    world_free(w);
  }
}

/* ---- failures -------------------------------------------------------------------------------------------------------------- */

static void failed_event_leaves_no_pair_behind(void **nothing) {
  (void)nothing;
  world *w = world_new(together_plan);
  moon_rng rng;
  moon_rng_seed(&rng, 31, 3);
  int64_t time = 100;
  size_t failures = 0;
  for (int i = 0; i < 300; i++) {
    moon_event e = world_event(&rng, &time);
    uint32_t user = state_user(w->state, e.user + (uint32_t)i / 20), kind = state_kind(w->state, e.kind), item = e.item + 7 * (uint32_t)i / 10;
    for (size_t n = 1;; n++) {
      moon_buf before = {0}, after = {0};
      OK(moon_state_save(w->state, &before));
      moon_alloc_fail_at(n);
      moon_status status = moon_state_apply(w->state, user, item, kind, e.time);
      moon_alloc_fail_at(0);
      OK(moon_state_save(w->state, &after));
      bool same = before.n == after.n && !memcmp(before.data, after.data, before.n);
      moon_buf_free(&before);
      moon_buf_free(&after);
      assert_true(same == (status.code != MOON_OK));
      if (!status.code) break;
      failures++;
    }
  }
  assert_true(failures > 8);
  assert_true(w->state->together[1].slots > 64);
  moon_buf bytes = {0};
  OK(moon_state_save(w->state, &bytes));
  size_t n = 1;
  for (;; n++) {
    moon_buf out = {0};
    moon_alloc_fail_at(n);
    moon_status status = moon_state_save(w->state, &out);
    moon_alloc_fail_at(0);
    moon_buf_free(&out);
    if (!status.code) break;
    assert_int_equal(status.code, MOON_ENOMEM);
  }
  for (n = 1;; n++) {
    moon_state *again = NULL;
    moon_alloc_fail_at(n);
    moon_status status = moon_state_load(bytes.data, bytes.n, w->plan, &again);
    moon_alloc_fail_at(0);
    moon_state_free(again);
    if (!status.code) break;
    assert_int_equal(status.code, MOON_ENOMEM);
  }
  moon_buf_free(&bytes);
  world_free(w);
}

static void wrong_features_are_refused(void **nothing) {
  (void)nothing;
  static const char *const wrong[][2] = {{"last must be from 1 to 100, got 0", "[{'op':'cooccurrence','name':'x','last':0}]"},
                                         {"last must be from 1 to 100, got 101", "[{'op':'cooccurrence','name':'x','last':101}]"},
                                         {"pairs must be from 1000", "[{'op':'cooccurrence','name':'x','pairs':10}]"},
                                         {"kinds must be a list", "[{'op':'cooccurrence','name':'x','kinds':'view'}]"}};
  moon_catalogue *catalogue = world_catalogue();
  for (size_t i = 0; i < MANY(wrong); i++) {
    json_t *json = json_of(wrong[i][1]);
    moon_feature_plan *plan = NULL;
    REFUSED(MOON_EINVAL, wrong[i][0], moon_feature_plan_new(json, catalogue, &plan));
    json_decref(json);
  }
  json_t *json = json_of(together_plan);
  moon_feature_plan *plan = NULL;
  moon_state *state = NULL;
  for (size_t n = 1; !plan; n++) {
    moon_alloc_fail_at(n);
    moon_status status = moon_feature_plan_new(json, catalogue, &plan);
    moon_alloc_fail_at(0);
    if (status.code) assert_int_equal(status.code, MOON_ENOMEM);
  }
  for (size_t n = 1; !state; n++) {
    moon_alloc_fail_at(n);
    moon_status status = moon_state_new(plan, &state);
    moon_alloc_fail_at(0);
    if (status.code) assert_int_equal(status.code, MOON_ENOMEM);
  }
  moon_state_free(state);
  moon_feature_plan_free(plan);
  json_decref(json);
  moon_catalogue_free(catalogue);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(score_is_that_of_the_list_of_all_events),
      cmocka_unit_test(stranger_goes_with_nothing),
      cmocka_unit_test(the_rarest_pairs_go_where_there_are_too_many),
      cmocka_unit_test(pairs_are_found_again_in_a_table_that_grows_and_thins_out),
      cmocka_unit_test(who_is_forgotten_goes_with_nothing_and_begins_anew),
      cmocka_unit_test(pairs_count_in_the_memory_of_the_state),
      cmocka_unit_test(snapshot_returns_with_pairs),
      cmocka_unit_test(forged_snapshot_never_breaks_the_store),
      cmocka_unit_test(snapshot_that_contradicts_itself_is_refused),
      cmocka_unit_test(snapshot_of_another_plan_is_refused),
      cmocka_unit_test(failed_event_leaves_no_pair_behind),
      cmocka_unit_test(wrong_features_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

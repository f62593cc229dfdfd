/* test_feature_snapshot.c - the state as bytes: the same both ways, and refused where anything is not right. */
#include "data/bytes.h"
#include "feature_world.h"

typedef struct world {
  moon_catalogue *catalogue;
  moon_feature_plan *plan;
  moon_state *state;
  naive all;
} world;

static world *world_new(uint64_t seed, int events) {
  world *w = calloc(1, sizeof *w);
  w->catalogue = world_catalogue();
  w->plan = plan_of(world_plan, w->catalogue);
  OK(moon_state_new(w->plan, &w->state));
  moon_rng rng;
  moon_rng_seed(&rng, seed, 7);
  int64_t time = 1000;
  for (int i = 0; i < events; i++) world_fold(w->state, &w->all, world_event(&rng, &time));
  return w;
}

static void world_free(world *w) {
  moon_state_free(w->state);
  moon_feature_plan_free(w->plan);
  moon_catalogue_free(w->catalogue);
  free(w);
}

static moon_buf saved(const moon_state *state) {
  moon_buf bytes = {0};
  OK(moon_state_save(state, &bytes));
  return bytes;
}

/* The checksum made right again, so that the checks behind it are reached. */
static void seal(moon_buf *bytes) {
  uint64_t hash = moon_hash(bytes->data, bytes->n - 8);
  bytes->n -= 8;
  moon_put_u64(bytes, hash);
}

/* Loads from a copy of exactly n bytes, so that a read past the end is seen. */
static moon_status load_copy(const char *bytes, size_t n, const moon_feature_plan *plan, moon_state **out) {
  char *copy = malloc(n ? n : 1);
  memcpy(copy, bytes, n);
  *out = NULL;
  moon_status status = moon_state_load(copy, n, plan, out);
  assert_true((*out == NULL) == (status.code != MOON_OK));
  free(copy);
  return status;
}

static void snapshot_returns_as_the_same_bytes(void **nothing) {
  (void)nothing;
  for (int events = 0; events < 1200; events = events * 3 + 1) {
    world *w = world_new((uint64_t)events, events);
    uint32_t kind;
    if (events > 100) OK(moon_state_kind(w->state, "wish", 4, true, &kind)); /* unplanned, and without an event */
    if (events > 100) state_user(w->state, 99);
    moon_state *again;
    moon_buf first = saved(w->state);
    OK(load_copy(first.data, first.n, w->plan, &again));
    moon_buf second = saved(again);
    assert_int_equal(first.n, second.n);
    assert_memory_equal(first.data, second.data, first.n);
    assert_int_equal(moon_state_users(again), moon_state_users(w->state));
    assert_int_equal(moon_state_events(again), events);
    assert_int_equal(moon_state_clock(again), moon_state_clock(w->state));
    moon_buf_free(&first);
    moon_buf_free(&second);
    moon_state_free(again);
    world_free(w);
  }
}

/* Both go on with the same events, late ones too, and stay the same. */
static void loaded_state_goes_on_like_the_one_that_was_saved(void **nothing) {
  (void)nothing;
  world *w = world_new(3, 700);
  moon_state *again;
  moon_buf bytes = saved(w->state);
  OK(load_copy(bytes.data, bytes.n, w->plan, &again));
  moon_buf_free(&bytes);
  moon_rng rng;
  moon_rng_seed(&rng, 4, 8);
  int64_t time = moon_state_clock(w->state);
  for (int i = 0; i < 500; i++) {
    moon_event e = world_event(&rng, &time);
    world_fold(w->state, &w->all, e);
    OK(moon_state_apply(again, state_user(again, e.user), e.item, state_kind(again, e.kind), e.time));
  }
  moon_buf one = saved(w->state), two = saved(again);
  assert_int_equal(one.n, two.n);
  assert_memory_equal(one.data, two.data, one.n);
  moon_buf_free(&one);
  moon_buf_free(&two);
  moon_state_free(again);
  world_free(w);
}

/* Every input that the plan makes of every user and item, at several times, the early ones too. */
static void features_are_the_same_before_saving_and_after_loading(void **nothing) {
  (void)nothing;
  world *w = world_new(11, 900);
  moon_state *again;
  moon_buf bytes = saved(w->state);
  OK(load_copy(bytes.data, bytes.n, w->plan, &again));
  moon_buf_free(&bytes);
  moon_vocab *vocab, *vocabs[16];
  OK(moon_vocab_new(&vocab));
  static const char *const texts[] = {"u0", "u3", "i0", "i1", "i2", "i5", "i7", "red", "blue"};
  for (size_t i = 0; i < MANY(texts); i++) OK(moon_vocab_add(vocab, texts[i], strlen(texts[i])));
  for (size_t i = 0; i < 16; i++) vocabs[i] = vocab;
  moon_features *features;
  OK(moon_features_bind(w->plan, w->catalogue, vocabs, &features));
  moon_arena arena = {0};
  moon_inputs a, b;
  enum { N = WORLD_ITEMS + 2 };
  OK(moon_inputs_alloc(w->plan, &arena, N, &a));
  OK(moon_inputs_alloc(w->plan, &arena, N, &b));
  uint32_t items[N];
  for (uint32_t i = 0; i < N; i++) items[i] = i;
  for (int64_t now = moon_state_clock(w->state) - 2000; now < moon_state_clock(w->state) + 2000; now += 37) {
    for (uint32_t user = 0; user < WORLD_USERS; user++) {
      moon_features_compute(features, w->state, user, NULL, items, N, now, &a);
      moon_features_compute(features, again, user, NULL, items, N, now, &b);
      assert_memory_equal(a.dense, b.dense, N * w->plan->dense_slots * sizeof *a.dense);
      assert_memory_equal(a.ids, b.ids, N * w->plan->id_slots * sizeof *a.ids);
      assert_memory_equal(a.bags, b.bags, N * w->plan->bag_slots * w->plan->bag_length * sizeof *a.bags);
    }
  }
  moon_arena_free(&arena);
  moon_features_free(features);
  moon_vocab_free(vocab);
  moon_state_free(again);
  world_free(w);
}

static void snapshot_that_is_cut_off_or_longer_is_refused(void **nothing) {
  (void)nothing;
  world *w = world_new(5, 30);
  moon_buf bytes = saved(w->state);
  moon_state *again;
  for (size_t n = 0; n < bytes.n; n++) {
    moon_buf cut = {0};
    REFUSED(MOON_EFORMAT, "state: ", load_copy(bytes.data, n, w->plan, &again));
    if (n < 8) continue;
    moon_buf_add(&cut, bytes.data, n);
    seal(&cut);
    REFUSED(MOON_EFORMAT, "state: ", load_copy(cut.data, cut.n, w->plan, &again));
    moon_buf_free(&cut);
  }
  moon_buf_puts(&bytes, "more");
  REFUSED(MOON_EFORMAT, "checksum", load_copy(bytes.data, bytes.n, w->plan, &again));
  seal(&bytes);
  REFUSED(MOON_EFORMAT, "state: ", load_copy(bytes.data, bytes.n, w->plan, &again));
  moon_buf_free(&bytes);
  world_free(w);
}

static void flipped_bit_is_refused_wherever_it_is(void **nothing) {
  (void)nothing;
  world *w = world_new(6, 40);
  moon_buf bytes = saved(w->state);
  moon_state *again;
  for (size_t i = 0; i < bytes.n * 8; i++) {
    bytes.data[i / 8] ^= (char)(1 << i % 8);
    REFUSED(MOON_EFORMAT, "state: ", load_copy(bytes.data, bytes.n, w->plan, &again));
    bytes.data[i / 8] ^= (char)(1 << i % 8);
  }
  moon_buf_free(&bytes);
  world_free(w);
}

/* With a right checksum over wrong bytes: refused, or a state in which everything can be read and to which events can be
 * added. */
static void forged_snapshot_never_breaks_the_store(void **nothing) {
  (void)nothing;
  world *w = world_new(8, 60);
  moon_buf bytes = saved(w->state);
  moon_rng rng;
  moon_rng_seed(&rng, 1, 9);
  size_t loaded = 0, refused = 0;
  for (int round = 0; round < 20000; round++) {
    static const uint32_t nasty[] = {0, 1, 0x7fffffff, 0x80000000, UINT32_MAX, UINT32_MAX - 1, 1 << 20};
    moon_buf forged = {0};
    moon_buf_add(&forged, bytes.data, bytes.n);
    for (uint32_t k = moon_rng_below(&rng, 3) + 1; k--;) {
      uint32_t at = moon_rng_below(&rng, (uint32_t)forged.n - 12);
      if (round % 2) forged.data[at] = (char)moon_rng_u32(&rng);
      else memcpy(forged.data + at, &nasty[moon_rng_below(&rng, MANY(nasty))], 4);
    }
    seal(&forged);
    moon_state *again;
    moon_status status = load_copy(forged.data, forged.n, w->plan, &again);
    moon_buf_free(&forged);
    if (status.code) {
      assert_int_equal(status.code, MOON_EFORMAT);
      refused++;
      continue;
    }
    uint32_t items[300];
    for (uint32_t user = 0; user < moon_state_users(again); user++)
      assert_true(moon_state_recent(again, user, items, 300) <= 300);
    for (uint32_t item = 0; item < WORLD_ITEMS; item++) assert_true(moon_state_item_trend(again, item, 5000) >= 0);
    int64_t time = 5000;
    for (int i = 0; i < 20; i++) {
      moon_event e = world_event(&rng, &time);
      OK(moon_state_apply(again, state_user(again, e.user), e.item, state_kind(again, e.kind), e.time));
    }
    moon_buf more = saved(again);
    moon_buf_free(&more);
    moon_state_free(again);
    loaded++;
  }
  assert_true(refused > 1000 && loaded > 100);
  moon_buf_free(&bytes);
  world_free(w);
}

/* One number of a small snapshot replaced, counted in bytes from the end. */
typedef struct forgery {
  size_t from_end, width;
  uint64_t value;
  const char *text;
} forgery;

static void check_forgeries(const char *plan_text, const forgery *forgeries, size_t n) {
  moon_catalogue *catalogue = world_catalogue();
  moon_feature_plan *plan = plan_of(plan_text, catalogue);
  moon_state *state, *again;
  OK(moon_state_new(plan, &state));
  uint32_t user = state_user(state, 0), view = state_kind(state, 0);
  OK(moon_state_apply(state, user, 0, view, 1000));
  OK(moon_state_apply(state, user, 0, view, 1050));
  moon_buf bytes = saved(state);
  for (size_t i = 0; i < n; i++) {
    moon_buf forged = {0};
    moon_buf_add(&forged, bytes.data, bytes.n);
    for (size_t b = 0; b < forgeries[i].width; b++)
      forged.data[forged.n - forgeries[i].from_end + b] = (char)(forgeries[i].value >> 8 * b);
    seal(&forged);
    moon_code want = forgeries[i].text[0] ? MOON_EFORMAT : MOON_OK;
    REFUSED(want, forgeries[i].text, load_copy(forged.data, forged.n, plan, &again));
    moon_state_free(again);
    moon_buf_free(&forged);
  }
  moon_buf_free(&bytes);
  moon_state_free(state);
  moon_feature_plan_free(plan);
  moon_catalogue_free(catalogue);
}

static void snapshot_that_contradicts_itself_is_refused(void **nothing) {
  (void)nothing;
  /* ... trend 8, its time 8, total 8 | touches 4: time 8, item 4, kind 4 | checksum 8 */
  static const forgery of_items[] = {
      {12, 4, 0, ""},
      {12, 4, 1, "a user's history is wrong"},
      {16, 4, 1, "a user's history is wrong"},
      {24, 8, 1051, "a user's history is wrong"},
      {28, 4, 2, "a user's history is too long"},
      {28, 4, 0, "its length is wrong"},
      {36, 8, 3, "its items' events do not add up"},
      {44, 8, 1051, "an item's trend is wrong"},
      {52, 8, UINT64_C(0xbff0000000000000), "an item's trend is wrong"}, /* -1 */
      {52, 8, UINT64_C(0x7ff8000000000000), "an item's trend is wrong"}, /* NaN */
  };
  check_forgeries("[{'op':'numeric','name':'weight','column':'weight'}]", of_items, MANY(of_items));
  /* ... total 4, times 4: 1000, 1050 | checksum 8 */
  static const forgery of_counters[] = {
      {24, 8, 1050, ""},
      {24, 8, 951, ""},
      {24, 8, 950, "a counter has times outside its window"},
      {24, 8, 1051, "a counter's times are not in order"},
      {24, 8, UINT64_C(1) << 63, "a counter's times are not in order"},
      {16, 8, 999, "a counter's times are not in order"},
      {16, 8, 1051, "a counter's times are not in order"},
      {28, 4, 3, "a counter has more times than events"},
      {28, 4, 1, "its length is wrong"},
      {32, 4, 1, "a counter has more times than events"},
      {32, 4, 7, ""},
  };
  check_forgeries("[{'op':'count','name':'n','entity':'item','kinds':['view'],'windows_us':[10,100]}]", of_counters,
                  MANY(of_counters));
}

/* A list of touches longer than the store keeps, with all the bytes for it. */
static void history_longer_than_the_store_keeps_is_refused(void **nothing) {
  (void)nothing;
  moon_catalogue *catalogue = world_catalogue();
  moon_feature_plan *plan = plan_of("[{'op':'numeric','name':'weight','column':'weight'}]", catalogue);
  moon_state *state, *again;
  OK(moon_state_new(plan, &state));
  uint32_t user = state_user(state, 0), view = state_kind(state, 0);
  for (uint32_t i = 0; i < 256; i++) OK(moon_state_apply(state, user, i, view, 5));
  moon_buf bytes = saved(state);
  OK(load_copy(bytes.data, bytes.n, plan, &again));
  moon_state_free(again);
  bytes.n -= 8;
  bytes.data[bytes.n - 256 * 16 - 4]++; /* 256 -> 257 */
  moon_put_u64(&bytes, 5);
  moon_put_u64(&bytes, 0);
  moon_put_u64(&bytes, 0);
  seal(&bytes);
  REFUSED(MOON_EFORMAT, "too long", load_copy(bytes.data, bytes.n, plan, &again));
  moon_buf_free(&bytes);
  moon_state_free(state);
  moon_feature_plan_free(plan);
  moon_catalogue_free(catalogue);
}

static void snapshot_of_another_plan_is_refused(void **nothing) {
  (void)nothing;
  world *w = world_new(9, 50);
  moon_buf bytes = saved(w->state);
  static const char *const others[] = {
      "[{'op':'numeric','name':'weight','column':'weight'}]",
      "[{'op':'count','name':'n','entity':'item','kinds':['view'],'windows_us':[1000]}]",
      "[{'op':'count','name':'n','entity':'user','kinds':['view'],'windows_us':[1000]}]",
      "[{'op':'count','name':'n','entity':'item','kinds':['view'],'windows_us':[1001]}]",
      "[{'op':'count','name':'n','entity':'item','kinds':['vieW'],'windows_us':[1000]}]",
      "[{'op':'count','name':'n','entity':'item','kinds':[],'windows_us':[1000]}]",
      "[{'op':'id','name':'i','entity':'item'},{'op':'history','name':'h','last':5,'kinds':['view']}]",
      "[{'op':'id','name':'i','entity':'item'},{'op':'history','name':'h','last':500,'kinds':['view']}]",
  };
  for (size_t i = 0; i < MANY(others); i++) {
    moon_feature_plan *plan = plan_of(others[i], w->catalogue);
    moon_state *mine, *again;
    OK(moon_state_new(plan, &mine));
    moon_buf own = saved(mine);
    REFUSED(MOON_EFORMAT, "not those of this plan", load_copy(bytes.data, bytes.n, plan, &again));
    REFUSED(MOON_EFORMAT, "not those of this plan", load_copy(own.data, own.n, w->plan, &again));
    for (size_t j = 0; j < MANY(others); j++) { /* and the others among each other */
      moon_feature_plan *other = plan_of(others[j], w->catalogue);
      moon_status status = load_copy(own.data, own.n, other, &again);
      assert_int_equal(status.code, i == j ? MOON_OK : MOON_EFORMAT);
      moon_state_free(again);
      moon_feature_plan_free(other);
    }
    moon_buf_free(&own);
    moon_state_free(mine);
    moon_feature_plan_free(plan);
  }
  REFUSED(MOON_EFORMAT, "not a state snapshot", moon_state_load("something quite else", 20, w->plan, &w->state));
  moon_buf_free(&bytes);
  world_free(w);
}

static void snapshot_is_added_to_what_the_buffer_holds(void **nothing) {
  (void)nothing;
  world *w = world_new(10, 20);
  moon_buf bytes = {0};
  moon_state *again;
  moon_buf_puts(&bytes, "head");
  OK(moon_state_save(w->state, &bytes));
  OK(load_copy(bytes.data + 4, bytes.n - 4, w->plan, &again));
  moon_state_free(again);
  moon_buf_free(&bytes);
  world_free(w);
}

static void saving_and_loading_survive_every_failing_allocation(void **nothing) {
  (void)nothing;
  world *w = world_new(12, 200);
  moon_buf bytes = {0};
  moon_state *again = NULL;
  size_t saves = 1, loads = 1;
  for (;; saves++) {
    moon_alloc_fail_at(saves);
    moon_status status = moon_state_save(w->state, &bytes);
    moon_alloc_fail_at(0);
    if (!status.code) break;
    assert_int_equal(status.code, MOON_ENOMEM);
    moon_buf_free(&bytes);
  }
  for (;; loads++) {
    moon_alloc_fail_at(loads);
    moon_status status = moon_state_load(bytes.data, bytes.n, w->plan, &again);
    moon_alloc_fail_at(0);
    if (!status.code) break;
    assert_int_equal(status.code, MOON_ENOMEM);
    assert_null(again);
  }
  assert_true(saves > 5 && loads > 20);
  moon_state_free(again);
  moon_buf_free(&bytes);
  world_free(w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(snapshot_returns_as_the_same_bytes),
      cmocka_unit_test(loaded_state_goes_on_like_the_one_that_was_saved),
      cmocka_unit_test(features_are_the_same_before_saving_and_after_loading),
      cmocka_unit_test(snapshot_that_is_cut_off_or_longer_is_refused),
      cmocka_unit_test(flipped_bit_is_refused_wherever_it_is),
      cmocka_unit_test(forged_snapshot_never_breaks_the_store),
      cmocka_unit_test(snapshot_that_contradicts_itself_is_refused),
      cmocka_unit_test(history_longer_than_the_store_keeps_is_refused),
      cmocka_unit_test(snapshot_of_another_plan_is_refused),
      cmocka_unit_test(snapshot_is_added_to_what_the_buffer_holds),
      cmocka_unit_test(saving_and_loading_survive_every_failing_allocation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

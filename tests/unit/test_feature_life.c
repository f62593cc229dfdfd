/* test_feature_life.c - users come, are forgotten, are let go, and come back as somebody new; and pages are read meanwhile.
 *
 * The reference knows nothing of all that: in it, a user who begins a new life is another user. */
#include <pthread.h>
#include <stdatomic.h>

#include "feature_world.h"

/* What is known of users, of users and values, of users and items, and of items. */
static const char life_plan[] =
    "[{'op':'id','name':'item','entity':'item','dim':4,'min_count':1,'hash':97},"
    "{'op':'count','name':'a','entity':'user','kinds':['view'],'windows_us':[100,1000,0]},"
    "{'op':'count','name':'b','entity':'user','kinds':['view'],'by':'colour','windows_us':[500,0]},"
    "{'op':'count','name':'c','entity':'user','kinds':[],'by':'item','windows_us':[0]},"
    "{'op':'rate','name':'d','entity':'user','by':'colour','numerator':['purchase'],'denominator':['view'],'over_us':1000},"
    "{'op':'decay','name':'e','entity':'user','kinds':[],'half_life_us':200},"
    "{'op':'decay','name':'f','entity':'user','by':'colour','kinds':[],'half_life_us':300},"
    "{'op':'recency','name':'g','entity':'user','kinds':['purchase'],'never_us':4000000},"
    "{'op':'recency','name':'h','entity':'user','by':'item','kinds':['view'],'never_us':4000000},"
    "{'op':'count','name':'i','entity':'item','kinds':['view'],'windows_us':[1000,0]},"
    "{'op':'history','name':'j','last':5,'kinds':[]},"
    "{'op':'mean','name':'k','entity':'user','kinds':['view'],'column':'price','half_life_us':300}]";

enum { MOST_USERS = 6000, SLOTS = 14, BAG = 5 };

typedef struct world {
  moon_catalogue *catalogue;
  moon_feature_plan *plan, *plain; /* plain: without a ttl */
  moon_features *features;
  moon_state *state, *reference;
  uint32_t life[MOST_USERS]; /* in the reference */
  int64_t newest[MOST_USERS];
  bool seen[MOST_USERS];
} world;

static world *world_new(int64_t ttl) {
  static moon_vocab *none[16];
  world *w = calloc(1, sizeof *w);
  w->catalogue = world_catalogue();
  w->plan = plan_of(life_plan, w->catalogue);
  w->plain = plan_of(life_plan, w->catalogue);
  w->plan->ttl = ttl;
  assert_int_equal(w->plan->dense_slots, SLOTS);
  OK(moon_features_bind(w->plan, w->catalogue, none, &w->features));
  OK(moon_state_new(w->plan, &w->state));
  OK(moon_state_new(w->plain, &w->reference));
  return w;
}

static void world_free(world *w) {
  moon_features_free(w->features);
  moon_state_free(w->state);
  moon_state_free(w->reference);
  moon_feature_plan_free(w->plan);
  moon_feature_plan_free(w->plain);
  moon_catalogue_free(w->catalogue);
  free(w);
}

static uint32_t row_of(moon_state *state, uint32_t user, uint32_t life, bool add) {
  char id[64]; /* some ids are longer than a small block of the pool */
  uint32_t row;
  snprintf(id, sizeof id, user % 7 ? "u%u#%u" : "a user with a long name and the number %u#%u", user, life);
  OK(moon_state_user(state, id, strlen(id), add, &row));
  return row;
}

static void fold(world *w, moon_event e) {
  uint32_t row = row_of(w->state, e.user, 0, true), other = row_of(w->reference, e.user, w->life[e.user], true);
  OK(moon_state_apply(w->state, row, e.item, state_kind(w->state, e.kind), e.time));
  OK(moon_state_apply(w->reference, other, e.item, state_kind(w->reference, e.kind), e.time));
  if (!w->seen[e.user] || e.time > w->newest[e.user]) w->newest[e.user] = e.time;
  w->seen[e.user] = true;
}

/* Users as they are for both; gone: the user has no past. */
static void compare(const world *w, uint32_t user, bool gone, int64_t now) {
  static const uint32_t items[WORLD_ITEMS] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  float dense[2][WORLD_ITEMS * SLOTS];
  uint32_t ids[WORLD_ITEMS], bags[2][WORLD_ITEMS * BAG];
  uint32_t row = row_of(w->state, user, 0, false), other = gone ? MOON_NONE : row_of(w->reference, user, w->life[user], false);
  moon_features_compute(w->features, w->state, row, NULL, items, WORLD_ITEMS, now, &(moon_inputs){dense[0], ids, bags[0]});
  moon_features_compute(w->features, w->reference, other, NULL, items, WORLD_ITEMS, now, &(moon_inputs){dense[1], ids, bags[1]});
  for (size_t i = 0; i < WORLD_ITEMS * SLOTS; i++)
    if (dense[0][i] != dense[1][i])
      fail_msg("user %u, item %zu, slot %s: %g, not %g", user, i / SLOTS, w->plan->dense_names[i % SLOTS], dense[0][i], dense[1][i]);
  assert_memory_equal(bags[0], bags[1], sizeof bags[0]);
}

static void restart(world *w) {
  moon_buf bytes = {0}, again = {0};
  moon_state *fresh;
  OK(moon_state_save(w->state, &bytes));
  OK(moon_state_load(bytes.data, bytes.n, w->plan, &fresh));
  OK(moon_state_save(fresh, &again));
  assert_int_equal(bytes.n, again.n);
  assert_memory_equal(bytes.data, again.data, bytes.n);
  moon_state_free(w->state);
  w->state = fresh;
  moon_buf_free(&bytes);
  moon_buf_free(&again);
}

/* ---- forgetting ---- */

enum { TTL = 700 };
static bool forgotten(const world *w, uint32_t user, int64_t now) { return w->seen[user] && w->newest[user] < now - TTL; }

static void forgotten_users_are_new_users(void **state) {
  (void)state;
  moon_rng rng;
  size_t lives = 0;
  moon_rng_seed(&rng, 11, 0);
  for (int rounds = 0; rounds < 6; rounds++) {
    world *w = world_new(TTL);
    if (rounds % 2) moon_state_limit(w->state, SIZE_MAX); /* their memory is taken back as well */
    int64_t time = 5000;
    uint64_t dropped = 0;
    for (int i = 0; i < 3000; i++) {
      moon_event e = world_event(&rng, &time);
      if (forgotten(w, e.user, e.time)) w->life[e.user]++, w->seen[e.user] = false, lives++;
      fold(w, e);
      int64_t now = moon_state_clock(w->state) + (int64_t)moon_rng_below(&rng, 1200);
      uint32_t user = moon_rng_below(&rng, WORLD_USERS);
      if (i % 3 == 0) compare(w, user, !w->seen[user] || forgotten(w, user, now), now);
      if (i % 500 == 499) {
        dropped += moon_state_memory_now(w->state).users_dropped;
        restart(w);
        if (rounds % 2) moon_state_limit(w->state, SIZE_MAX);
      }
    }
    assert_int_equal(dropped > 0, rounds % 2);
    world_free(w);
  }
  assert_true(lives > 100);
}

static void what_one_has_seen_is_forgotten_too(void **state) {
  (void)state;
  world *w = world_new(TTL);
  uint32_t items[4], ann = row_of(w->state, 1, 0, true), bob = row_of(w->state, 2, 0, true), view = state_kind(w->state, 0);
  OK(moon_state_apply(w->state, ann, 3, view, 1000));
  assert_int_equal(moon_state_recent(w->state, ann, items, 4), 1);
  assert_true(moon_state_seen(w->state, ann, 3, view));
  OK(moon_state_apply(w->state, bob, 3, view, 1000 + TTL));
  assert_int_equal(moon_state_recent(w->state, ann, items, 4), 1);
  OK(moon_state_apply(w->state, bob, 3, view, 1001 + TTL));
  assert_int_equal(moon_state_recent(w->state, ann, items, 4), 0);
  assert_false(moon_state_seen(w->state, ann, 3, view));
  assert_true(moon_state_seen(w->state, bob, 3, view));
  assert_true(moon_state_item_total(w->state, 3) == 3); /* the item is none of their business */
  world_free(w);
}

/* ---- a limit ---- */

enum { LIMIT = 2 << 20 };

static void a_limit_holds_and_the_latest_stay(void **state) {
  (void)state;
  moon_rng rng;
  world *w = world_new(0);
  moon_state_limit(w->state, LIMIT);
  moon_rng_seed(&rng, 3, 0);
  size_t back = 0, most = 0, least = LIMIT; /* what was loaded may be a bit more */
  int64_t time = 0;
  uint32_t recent[64] = {0};
  for (int i = 0; i < 60000; i++) {
    uint32_t user = moon_rng_below(&rng, 4) ? moon_rng_below(&rng, MOST_USERS) : recent[moon_rng_below(&rng, 64)];
    recent[i % 64] = user;
    if (w->seen[user] && row_of(w->state, user, 0, false) == MOON_NONE) w->life[user]++, back++;
    time += moon_rng_below(&rng, 3);
    fold(w, (moon_event){.user = user, .item = moon_rng_below(&rng, WORLD_ITEMS), .kind = moon_rng_below(&rng, 3), .time = time});
    moon_state_memory m = moon_state_memory_now(w->state);
    if (m.bytes > most) most = m.bytes;
    if (m.bytes > least) fail_msg("%zu bytes after %d events", m.bytes, i);
    uint32_t other = moon_rng_below(&rng, MOST_USERS);
    if (i % 16 == 0) compare(w, user, false, time);
    if (i % 16 == 8) compare(w, other, row_of(w->state, other, 0, false) == MOON_NONE, time);
    if (i % 20000 == 19999) {
      restart(w);
      moon_state_limit(w->state, LIMIT);
      if (moon_state_memory_now(w->state).bytes > least) least = moon_state_memory_now(w->state).bytes;
      assert_true(least < LIMIT + LIMIT / 8);
    }
  }
  moon_state_memory m = moon_state_memory_now(w->state);
  assert_true(back > 1000);
  assert_true(most > LIMIT / 2 && m.users > 300 && m.pairs > m.users);
  size_t here = 0;
  for (size_t i = 0; i < 64; i++) here += row_of(w->state, recent[i], 0, false) != MOON_NONE;
  assert_true(here >= 60); /* nearly the least recently seen go */
  assert_true(moon_state_memory_now(w->reference).bytes > 3 * LIMIT);
  world_free(w);
}

static void the_accounts_are_true(void **state) {
  (void)state;
  OK(moon_memory_limit((size_t)1 << 30, "/var/tmp"));
  size_t before = moon_memory_now().used;
  moon_rng rng;
  moon_rng_seed(&rng, 4, 0);
  world *w = world_new(0);
  size_t others = moon_memory_now().used - before - moon_state_memory_now(w->state).bytes;
  for (int i = 0; i < 40000; i++) {
    uint32_t row = row_of(w->state, moon_rng_below(&rng, MOST_USERS), 0, true);
    OK(moon_state_apply(w->state, row, moon_rng_below(&rng, WORLD_ITEMS), state_kind(w->state, 0), i));
  }
  double told = (double)moon_state_memory_now(w->state).bytes, held = (double)(moon_memory_now().used - before - others);
  if (told < 0.97 * held || told > 1.03 * held) fail_msg("%g bytes are told of, and %g are held", told, held);
  world_free(w);
  OK(moon_memory_limit(0, NULL));
}

/* Where only items are left, it is passed. */
static void what_is_known_of_items_stays(void **state) {
  (void)state;
  world *w = world_new(0);
  moon_state_limit(w->state, 1000);
  for (uint32_t i = 0; i < 500; i++) {
    uint32_t row = row_of(w->state, i, 0, true);
    OK(moon_state_apply(w->state, row, i % WORLD_ITEMS, state_kind(w->state, 0), i));
  }
  for (uint32_t item = 0; item < WORLD_ITEMS; item++) assert_int_equal(moon_state_item_total(w->state, item), 50);
  assert_true(moon_state_memory_now(w->state).users <= 16);
  world_free(w);
}

static void failing_memory_costs_nothing(void **state) {
  (void)state;
  world *w = world_new(0);
  moon_state_limit(w->state, LIMIT);
  moon_rng rng;
  moon_rng_seed(&rng, 5, 0);
  for (int i = 0; i < 4000; i++) {
    moon_event e = {.user = moon_rng_below(&rng, MOST_USERS), .item = moon_rng_below(&rng, WORLD_ITEMS), .kind = 0, .time = i};
    char id[64];
    uint32_t row;
    snprintf(id, sizeof id, "u%u", e.user);
    uint64_t before = moon_state_events(w->state);
    moon_alloc_fail_at(1 + moon_rng_below(&rng, 3));
    moon_status status = moon_state_user(w->state, id, strlen(id), true, &row);
    if (!status.code) status = moon_state_apply(w->state, row, e.item, 0, e.time);
    moon_alloc_fail_at(0);
    assert_true(!status.code || status.code == MOON_ENOMEM);
    assert_int_equal(moon_state_events(w->state), before + !status.code);
  }
  restart(w);
  world_free(w);
}

/* ---- readers beside the writer ---- */

typedef struct readers {
  world *w;
  atomic_bool done;
  atomic_size_t pages, torn;
} readers;

/* Every event is a view, so views of all time and events of all items together are the same number, whenever one looks. */
static void *read_pages(void *self) {
  static const uint32_t items[WORLD_ITEMS] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  readers *r = self;
  float dense[WORLD_ITEMS * SLOTS];
  uint32_t ids[WORLD_ITEMS], bags[WORLD_ITEMS * BAG];
  moon_rng rng;
  moon_rng_seed(&rng, (uint64_t)(uintptr_t)&rng, 0);
  while (!atomic_load(&r->done)) {
    moon_state_read_begin(r->w->state);
    uint32_t row = row_of(r->w->state, moon_rng_below(&rng, 500), 0, false);
    moon_features_compute(r->w->features, r->w->state, row, NULL, items, WORLD_ITEMS, moon_state_clock(r->w->state), &(moon_inputs){dense, ids, bags});
    double views = expm1((double)dense[2]), of_items = 0;
    for (size_t i = 0; i < WORLD_ITEMS; i++) of_items += expm1((double)dense[i * SLOTS + 5]);
    bool shown = bags[0] != 0;
    moon_state_read_end(r->w->state);
    if (fabs(views - of_items) > 0.01 * (1 + views) || shown != (views > 0.5)) atomic_fetch_add(&r->torn, 1);
    atomic_fetch_add(&r->pages, 1);
  }
  return NULL;
}

static void pages_see_one_moment(void **state) {
  (void)state;
  readers r = {.w = world_new(TTL)};
  pthread_t threads[2];
  moon_rng rng;
  moon_rng_seed(&rng, 6, 0);
  moon_state_limit(r.w->state, LIMIT / 4);
  for (int i = 0; i < 2; i++) assert_int_equal(pthread_create(&threads[i], NULL, read_pages, &r), 0);
  for (int i = 0; i < 30000 || atomic_load(&r.pages) < 100; i++) {
    uint32_t row = row_of(r.w->state, moon_rng_below(&rng, 500), 0, true);
    OK(moon_state_apply(r.w->state, row, moon_rng_below(&rng, 8), state_kind(r.w->state, 0), i));
  }
  atomic_store(&r.done, true);
  for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
  assert_int_equal(atomic_load(&r.torn), 0);
  world_free(r.w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(forgotten_users_are_new_users), cmocka_unit_test(what_one_has_seen_is_forgotten_too),
      cmocka_unit_test(a_limit_holds_and_the_latest_stay), cmocka_unit_test(the_accounts_are_true),
      cmocka_unit_test(what_is_known_of_items_stays), cmocka_unit_test(failing_memory_costs_nothing),
      cmocka_unit_test(pages_see_one_moment),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

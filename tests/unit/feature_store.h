/* feature_store.h - a store beside the list of its events, and what every snapshot has to hold: it returns the store as it was, and broken
 * ones are refused. */
#ifndef TEST_FEATURE_STORE_H
#define TEST_FEATURE_STORE_H
#include "data/bytes.h"
#include "feature_world.h"

typedef struct world {
  moon_catalogue *catalogue;
  moon_feature_plan *plan;
  moon_state *state;
  moon_features *features;
  naive all;
} world;

static inline world *world_new(const char *plan) {
  static moon_vocab *none[16];
  world *w = calloc(1, sizeof *w);
  w->catalogue = world_catalogue();
  w->plan = plan_of(plan, w->catalogue);
  OK(moon_state_new(w->plan, &w->state));
  OK(moon_features_bind(w->plan, w->catalogue, none, &w->features));
  return w;
}

static inline void world_free(world *w) {
  moon_features_free(w->features);
  moon_state_free(w->state);
  moon_feature_plan_free(w->plan);
  moon_catalogue_free(w->catalogue);
  free(w);
}

static inline void fill(world *w, uint64_t seed, int events) {
  moon_rng rng;
  moon_rng_seed(&rng, seed, 7);
  int64_t time = 1000;
  for (int i = 0; i < events; i++) world_fold(w->state, &w->all, world_event(&rng, &time));
}

/* Of stores of more and more events: saved and loaded, both go on alike. */
static inline void check_snapshots(const char *plan) {
  for (int events = 0; events < 1200; events = events * 3 + 1) {
    world *w = world_new(plan);
    moon_state *again;
    moon_buf first = {0}, second = {0};
    fill(w, (uint64_t)events, events);
    OK(moon_state_save(w->state, &first));
    OK(moon_state_load(first.data, first.n, w->plan, &again));
    moon_rng rng;
    moon_rng_seed(&rng, 5, 5);
    int64_t time = moon_state_clock(w->state);
    for (int i = 0; i < 100; i++) { /* both go on */
      moon_event e = world_event(&rng, &time);
      world_fold(w->state, &w->all, e);
      OK(moon_state_apply(again, state_user(again, e.user), e.item, state_kind(again, e.kind), e.time));
    }
    moon_buf_reset(&first);
    OK(moon_state_save(w->state, &first));
    OK(moon_state_save(again, &second));
    assert_int_equal(first.n, second.n);
    assert_memory_equal(first.data, second.data, first.n);
    moon_buf_free(&first);
    moon_buf_free(&second);
    moon_state_free(again);
    world_free(w);
  }
}

static inline void seal(moon_buf *bytes) {
  uint64_t hash = moon_hash(bytes->data, bytes->n - 8);
  bytes->n -= 8;
  moon_put_u64(bytes, hash);
}

/* Bits flipped and cut off, the checksum made right: refused, or a store that goes on. */
static inline void check_forgeries(const char *plan) {
  world *w = world_new(plan);
  moon_buf bytes = {0};
  moon_rng rng;
  moon_rng_seed(&rng, 9, 9);
  size_t refused = 0, loaded = 0;
  fill(w, 2, 150);
  OK(moon_state_save(w->state, &bytes));
  for (int i = 0; i < 4000; i++) {
    moon_buf forged = {0};
    moon_state *again = NULL;
    moon_buf_add(&forged, bytes.data, i % 5 ? bytes.n : 20 + moon_rng_below(&rng, (uint32_t)bytes.n - 20));
    size_t at = moon_rng_below(&rng, (uint32_t)forged.n - 8);
    if (i % 5) forged.data[at] = (char)(forged.data[at] ^ 1 << moon_rng_below(&rng, 8));
    seal(&forged);
    moon_status status = moon_state_load(forged.data, forged.n, w->plan, &again);
    assert_true((again == NULL) == (status.code != MOON_OK));
    if (status.code) assert_int_equal(status.code, MOON_EFORMAT);
    status.code ? refused++ : loaded++;
    int64_t time = 50000;
    for (int e = 0; again && e < 10; e++) {
      moon_event event = world_event(&rng, &time);
      OK(moon_state_apply(again, state_user(again, event.user), event.item, state_kind(again, event.kind), event.time));
    }
    moon_state_free(again);
    moon_buf_free(&forged);
  }
  assert_true(refused > 1000 && loaded > 50);
  moon_buf_free(&bytes);
  world_free(w);
}

#endif

/* Any bytes as a saved state, with the checksum made right so that what is behind it is reached: refused, or a state that takes more
 * events, answers, and saves to what loads the same. */
#include <stdio.h>

#include "data/bytes.h"
#include "fuzz/shop.h"

typedef struct world {
  moon_catalogue *catalogue;
  moon_feature_plan *plan;
} world;

static world world_new(void) {
  static uint8_t text[1 << 12];
  size_t n = moon_fuzz_plan_text(0, text, sizeof text);
  json_t *features = json_loadb((const char *)text, n, 0, NULL);
  world w = {.catalogue = moon_fuzz_catalogue()};
  check(!moon_feature_plan_new(features, w.catalogue, &w.plan).code);
  json_decref(features);
  return w;
}

static void world_free(world *w) {
  moon_feature_plan_free(w->plan);
  moon_catalogue_free(w->catalogue);
}

static void check_saved(const moon_state *state, const moon_feature_plan *plan) {
  moon_state *again;
  moon_buf first = {0}, second = {0};
  check(!moon_state_save(state, &first).code);
  check(!moon_state_load(first.data, first.n, plan, &again).code);
  check(!moon_state_save(again, &second).code);
  check(first.n == second.n && !memcmp(first.data, second.data, first.n));
  moon_buf_free(&first);
  moon_buf_free(&second);
  moon_state_free(again);
}

static void use(moon_state *state) {
  uint32_t items[8], user, kind;
  for (uint32_t u = 0; u < moon_state_users(state); u++) {
    check(moon_state_user_id(state, u) != NULL);
    check(moon_state_recent(state, u, items, 8) <= 8);
    moon_state_seen(state, u, 1, MOON_NONE);
  }
  for (uint32_t item = 0; item < 4; item++) moon_state_item_trend(state, item, moon_state_clock(state));
  check(!moon_state_user(state, "u1", 2, true, &user).code && !moon_state_kind(state, "view", 4, true, &kind).code);
  moon_state_apply(state, user, 1, kind, 5000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  world w = world_new();
  moon_state *state = NULL;
  moon_buf bytes = {0};
  moon_buf_add(&bytes, data, size > 8 ? size - 8 : 0);
  moon_put_u64(&bytes, moon_hash(bytes.data, bytes.n));
  moon_status status = moon_state_load(bytes.data, bytes.n, w.plan, &state);
  check(status.code == MOON_OK || status.code == MOON_EFORMAT || status.code == MOON_ELIMIT);
  if (!status.code) {
    check_saved(state, w.plan);
    use(state);
    check_saved(state, w.plan);
  }
  moon_state_free(state);
  moon_buf_free(&bytes);
  world_free(&w);
  return 0;
}

size_t moon_fuzz_seed(size_t which, uint8_t *out, size_t cap) {
  static const char *const kinds[] = {"view", "purchase", "wish"};
  if (which > 3) return 0;
  world w = world_new();
  moon_state *state;
  moon_rng rng;
  moon_buf bytes = {0};
  moon_rng_seed(&rng, which, 0);
  check(!moon_state_new(w.plan, &state).code);
  for (size_t i = 0; i < which * which * 4; i++) {
    char id[16];
    uint32_t user, kind;
    const char *what = kinds[moon_rng_below(&rng, 3)];
    size_t n = (size_t)snprintf(id, sizeof id, "u%u", moon_rng_below(&rng, 3));
    check(!moon_state_user(state, id, n, true, &user).code && !moon_state_kind(state, what, strlen(what), true, &kind).code);
    check(!moon_state_apply(state, user, moon_rng_below(&rng, 4), kind, (int64_t)(1000 + i * 30)).code);
  }
  check(!moon_state_save(state, &bytes).code);
  size_t n = moon_fuzz_put(bytes.data, bytes.n, out, cap);
  moon_buf_free(&bytes);
  moon_state_free(state);
  world_free(&w);
  return n;
}

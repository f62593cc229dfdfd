/* evict.c - what is let go of, so that the store stays in its memory.
 *
 * Which user goes: of 16 that are drawn, the one whose newest event is the oldest. That is nearly the least recently seen of all, costs the
 * same however many there are, and needs no list in the order of last use (Redis evicts in the same way). Draws come of a count, so the same
 * events let go of the same users. A user that is forgotten anyway (ttl) goes when a hand that moves along the rows comes by; both do a
 * little work with each event and never much. */
#include <string.h>

#include "feature/state.h"

enum { DRAWS = 16, LOOKS = 2, SWEEPS = 64, TRIES = 32, SPARE = 16 };

/* ---- forgetting and letting go -------------------------------------------------------------------------------------------------- */

static uint32_t *life_of(moon_state *state, uint32_t user) { return moon_side_at(&state->user_side, user, MOON_LIFE); }

void moon_state_forget(moon_state *state, uint32_t user) {
  moon_state_history(state, user)->n = 0;
  for (size_t i = 0; i < state->counter_count; i++)
    if (state->counters[i].of_user && state->counters[i].group == SIZE_MAX) moon_counter_clear(&state->counters[i], user);
  ++*life_of(state, user);
}

static void drop(moon_state *state, uint32_t user) {
  moon_history *h = moon_state_history(state, user);
  moon_pool_give(&state->pool, h->at, h->cap * sizeof *h->at);
  *h = (moon_history){0};
  for (size_t i = 0; i < state->counter_count; i++)
    if (state->counters[i].of_user && state->counters[i].group == SIZE_MAX) moon_counter_drop(&state->counters[i], &state->pool, user);
  ++*life_of(state, user);
  moon_users_drop(&state->users, &state->pool, user);
  state->dropped++;
}

/* Takes back the rows of pairs whose users are gone. */
static void sweep(moon_state *state, size_t looks) {
  for (size_t g = 0; g < state->group_count; g++) {
    moon_group *group = &state->groups[g];
    for (size_t k = 0; k < looks && group->of_user; k++) {
      uint32_t row = moon_group_sweep(group);
      for (size_t i = 0; i < state->counter_count && row != MOON_NONE; i++)
        if (state->counters[i].group == g) moon_counter_drop(&state->counters[i], &state->pool, row);
    }
  }
}

/* ---- how much there is ---------------------------------------------------------------------------------------------------------- */

static size_t group_bytes(const moon_group *group) {
  return group->side.cap * group->side.stride + group->cap * sizeof *group->keys + group->life_cap * sizeof *group->life +
         group->rows.cap * (sizeof *group->rows.keys + sizeof *group->rows.values) + group->items * sizeof *group->value;
}

/* All but the pool. */
static size_t array_bytes(const moon_state *state) {
  const moon_users *users = &state->users;
  size_t bytes = sizeof *state + users->cap * sizeof *users->ids + (users->slots ? (users->mask + 1) * 8 : 0);
  bytes += state->user_side.cap * state->user_side.stride + state->item_side.cap * state->item_side.stride;
  for (size_t g = 0; g < state->group_count; g++) bytes += group_bytes(&state->groups[g]);
  for (size_t i = 0; i < state->together_count; i++) bytes += state->together[i].slots * sizeof(moon_pair);
  for (size_t i = 0; i < state->counter_count; i++) bytes += state->counters[i].items * sizeof(double);
  return bytes;
}

/* What an array that is full, with no row waiting, takes for its next. It grows to twice itself. */
static size_t next_growth(size_t n, size_t cap, bool waiting, size_t each) {
  return n < cap || waiting ? 0 : (cap ? cap : 16) * each;
}

/* By how much arrays grow at most for the next event, all of them at once. */
static size_t reserve_of(const moon_state *state) {
  const moon_users *users = &state->users;
  bool waiting = users->free != MOON_NONE && users->n;
  size_t bytes = next_growth(users->n, users->cap, waiting, sizeof *users->ids) +
                 next_growth(users->n, state->user_side.cap, waiting, state->user_side.stride);
  if (users->slots && (users->live + 1) * (size_t)3 > (users->mask + 1) * 2) bytes += (users->mask + 1) * 16;
  for (size_t g = 0; g < state->group_count; g++) {
    const moon_group *group = &state->groups[g];
    bool room = group->free != MOON_NONE;
    bytes += next_growth(group->n, group->cap, room, sizeof *group->keys) + next_growth(group->n, group->life_cap, room, sizeof *group->life) +
             next_growth(group->n, group->side.cap, room, group->side.stride);
    if ((group->rows.n + 1) * 3 > group->rows.cap * 2) bytes += group->rows.cap * 32;
  }
  for (size_t i = 0; i < state->together_count; i++) bytes += moon_together_growth(&state->together[i]);
  return bytes;
}

/* ---- who goes ------------------------------------------------------------------------------------------------------------------- */

static int64_t last_seen(const moon_state *state, uint32_t user) {
  const moon_history *h = moon_state_history(state, user);
  return h->n ? h->at[h->n - 1].time : INT64_MIN;
}

static uint32_t draw_oldest(moon_state *state, uint32_t keep) {
  const moon_users *users = &state->users;
  uint32_t best = MOON_NONE;
  for (size_t drawn = 0, tries = 0; drawn < DRAWS && tries < 64 * DRAWS && users->n; tries++) {
    uint32_t user = (uint32_t)(moon_mix64(++state->draws) % users->n);
    if (!users->ids[user].text || user == keep) continue;
    if (best == MOON_NONE || last_seen(state, user) < last_seen(state, best)) best = user;
    drawn++;
  }
  return best;
}

/* One that has been forgotten, where the hand meets one. */
static void drop_forgotten(moon_state *state, uint32_t keep) {
  for (size_t i = 0; i < LOOKS && state->users.n; i++) {
    uint32_t user = state->hand = state->hand + 1 < state->users.n ? state->hand + 1 : 0;
    if (state->users.ids[user].text && user != keep && moon_state_present(state, user, state->clock) == MOON_NONE) drop(state, user);
  }
}

/* Lets go of one, and takes back what pairs the broom finds. */
static bool drop_one(moon_state *state, uint32_t keep) {
  uint32_t user = draw_oldest(state, keep);
  if (user == MOON_NONE) return false;
  drop(state, user);
  sweep(state, SWEEPS);
  return true;
}

/* The pool may have what the arrays leave, but for a sixteenth of the whole: an item's times double now and then, and the small blocks of
 * users that go do not make a large one. */
static void share_limit(moon_state *state, size_t arrays) {
  size_t limit = state->limit - state->limit / SPARE;
  state->pool.most = state->limit == SIZE_MAX ? 0 : limit > arrays ? limit - arrays : 1;
  state->pool.thrifty = state->limit != SIZE_MAX;
}

void moon_state_tidy(moon_state *state, uint32_t keep) {
  if (!state->limit) return; /* rows stay whose they are */
  if (state->ttl) drop_forgotten(state, keep);
  if (state->dropped) sweep(state, LOOKS);
  size_t reserve = reserve_of(state);
  while (reserve && array_bytes(state) + reserve + state->pool.total > state->limit && drop_one(state, keep)) reserve = reserve_of(state);
  share_limit(state, array_bytes(state) + reserve);
}

bool moon_state_make_way(moon_state *state, uint32_t keep, size_t tries) {
  if (!state->limit) return false;
  if (tries < TRIES && drop_one(state, keep)) return true;
  bool bounded = state->pool.most > 0;
  state->pool.most = 0; /* until the next event */
  return bounded;
}

void moon_state_limit(moon_state *state, size_t bytes) {
  pthread_rwlock_wrlock(&state->lock);
  state->limit = bytes;
  if (!bytes) state->pool.most = 0, state->pool.thrifty = false;
  pthread_rwlock_unlock(&state->lock);
}

moon_state_memory moon_state_memory_now(const moon_state *state) {
  moon_state_memory m = {.bytes = array_bytes(state) + state->pool.total, .limit = state->limit, .users = state->users.live, .users_dropped = state->dropped};
  for (size_t g = 0; g < state->group_count; g++) m.pairs += state->groups[g].n - state->groups[g].waiting;
  return m;
}

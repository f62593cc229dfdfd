/* history.c - what a user touched, newest last.
 *
 * A list of the last events would forget last month's purchase after a day of browsing. So an item that is touched again in
 * the same way moves to the end instead of taking a second place; and where the list is full, the oldest touch of the user's
 * most frequent kind goes: views make room for views, and purchases stay until they are the majority themselves. */
#include <string.h>

#include "feature/state.h"

moon_status moon_history_room(moon_state *state, uint32_t user) {
  moon_history *h = moon_state_history(state, user);
  return h->n == state->history_length ? moon_ok() : moon_pool_room(&state->pool, &h->at, h->n, &h->cap, sizeof *h->at);
}

static void take_out(moon_history *h, uint32_t at) {
  h->n--;
  memmove(h->at + at, h->at + at + 1, (h->n - at) * sizeof *h->at);
}

/* After all touches that are not newer: of equal times, the one that came last is the newest. */
static void put_in(moon_history *h, moon_touch touch) {
  uint32_t at = h->n;
  while (at && h->at[at - 1].time > touch.time) at--;
  memmove(h->at + at + 1, h->at + at, (h->n - at) * sizeof *h->at);
  h->at[at] = touch;
  h->n++;
}

/* The kind with the most touches, `more` included; ties: the kind known first. */
static uint32_t most_frequent(moon_state *state, const moon_history *h, uint32_t more) {
  uint32_t best = more, *tally = state->tally;
  tally[more]++;
  for (uint32_t i = 0; i < h->n; i++) {
    uint32_t kind = h->at[i].kind;
    tally[kind]++;
    if (tally[kind] > tally[best] || (tally[kind] == tally[best] && kind < best)) best = kind;
  }
  for (uint32_t i = 0; i < h->n; i++) tally[h->at[i].kind] = 0;
  tally[more] = 0;
  return best;
}

void moon_history_add(moon_state *state, uint32_t user, moon_touch touch) {
  moon_history *h = moon_state_history(state, user);
  uint32_t at = h->n;
  while (at && (h->at[at - 1].item != touch.item || h->at[at - 1].kind != touch.kind)) at--;
  if (at) {
    if (h->at[at - 1].time > touch.time) return;
    take_out(h, at - 1);
  } else if (h->n == state->history_length) {
    uint32_t kind = most_frequent(state, h, touch.kind);
    for (at = 0; at < h->n && h->at[at].kind != kind;) at++;
    if (kind == touch.kind && (at == h->n || touch.time < h->at[at].time)) return; /* late, and itself the oldest */
    take_out(h, at);
  }
  put_in(h, touch);
}

static bool among(const uint32_t *items, size_t n, uint32_t item) {
  for (size_t i = 0; i < n; i++)
    if (items[i] == item) return true;
  return false;
}

size_t moon_history_items(const moon_state *state, uint32_t user, size_t set, uint32_t *items, size_t limit) {
  if (user >= moon_dict_count(state->users)) return 0;
  const moon_history *h = moon_state_history(state, user);
  uint64_t maybe[64] = {0}; /* a Bloom filter of one hash: most items need no search for a newer touch of their own */
  size_t n = 0;
  for (uint32_t i = h->n; i-- && n < limit;) {
    const moon_touch *t = &h->at[i];
    if (set != MOON_NONE && !state->in_set[t->kind * state->set_count + set]) continue;
    uint64_t hash = moon_mix64(t->item), *word = &maybe[hash >> 6 & 63], bit = UINT64_C(1) << (hash & 63);
    if (!(*word & bit) || !among(items, n, t->item)) items[n++] = t->item;
    *word |= bit;
  }
  return n;
}

size_t moon_state_recent(const moon_state *state, uint32_t user, uint32_t *items, size_t limit) {
  return moon_history_items(state, user, MOON_NONE, items, limit);
}

bool moon_state_seen(const moon_state *state, uint32_t user, uint32_t item, uint32_t kind) {
  if (user >= moon_dict_count(state->users)) return false;
  const moon_history *h = moon_state_history(state, user);
  for (uint32_t i = 0; i < h->n; i++)
    if (h->at[i].item == item && (kind == MOON_NONE || h->at[i].kind == kind)) return true;
  return false;
}

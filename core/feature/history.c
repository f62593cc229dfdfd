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

/* Item and kind lie side by side, and are compared as one: this is where an event spends most of its time. */
static inline uint64_t what_of(const moon_touch *touch) {
  uint64_t what;
  memcpy(&what, &touch->item, sizeof what);
  return what;
}

void moon_history_add(moon_state *state, uint32_t user, moon_touch touch) {
  moon_history *h = moon_state_history(state, user);
  uint32_t at = h->n;
  const uint64_t what = what_of(&touch);
  while (at && what_of(&h->at[at - 1]) != what) at--;
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

/* Walks the user's touches of the set from the newest, an item's first only; *next is where to go on, n at the start. */
typedef struct walk {
  const moon_state *state;
  const moon_history *history;
  size_t set;
  uint32_t next;
  uint64_t maybe[64]; /* a Bloom filter of one hash: most items need no search for a newer touch of their own */
} walk;

/* Whether one of at[next, n), of the set, is of the item. */
static bool newer_touch(const walk *w, uint32_t at, uint32_t item) {
  const moon_history *h = w->history;
  for (uint32_t i = at + 1; i < h->n; i++)
    if (h->at[i].item == item && (w->set == MOON_NONE || w->state->in_set[h->at[i].kind * w->state->set_count + w->set])) return true;
  return false;
}

static const moon_touch *walk_on(walk *w) {
  while (w->next) {
    const moon_touch *t = &w->history->at[--w->next];
    if (w->set != MOON_NONE && !w->state->in_set[t->kind * w->state->set_count + w->set]) continue;
    uint64_t hash = moon_mix64(t->item), *word = &w->maybe[hash >> 6 & 63], bit = UINT64_C(1) << (hash & 63);
    bool new = !(*word & bit) || !newer_touch(w, w->next, t->item);
    *word |= bit;
    if (new) return t;
  }
  return NULL;
}

static walk walk_from_newest(const moon_state *state, uint32_t user, size_t set) {
  static const moon_history none = {0};
  const moon_history *h = (user = moon_state_present(state, user, state->clock)) != MOON_NONE ? moon_state_history(state, user) : &none;
  return (walk){.state = state, .history = h, .set = set, .next = h->n};
}

size_t moon_history_touches(const moon_state *state, uint32_t user, size_t set, const moon_touch **touches, size_t limit) {
  walk w = walk_from_newest(state, user, set);
  size_t n = 0;
  for (const moon_touch *t; n < limit && (t = walk_on(&w));) touches[n++] = t;
  return n;
}

size_t moon_state_recent(const moon_state *state, uint32_t user, uint32_t *items, size_t limit) {
  walk w = walk_from_newest(state, user, MOON_NONE);
  size_t n = 0;
  for (const moon_touch *t; n < limit && (t = walk_on(&w));) items[n++] = t->item;
  return n;
}

bool moon_state_seen(const moon_state *state, uint32_t user, uint32_t item, uint32_t kind) {
  user = moon_state_present(state, user, state->clock);
  if (user == MOON_NONE) return false;
  const moon_history *h = moon_state_history(state, user);
  for (uint32_t i = 0; i < h->n; i++)
    if (h->at[i].item == item && (kind == MOON_NONE || h->at[i].kind == kind)) return true;
  return false;
}

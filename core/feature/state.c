/* state.c - the state store: users, kinds and items as rows, and an event folded into all that remembers it.
 *
 * An event is folded in two steps: first room is made everywhere, which may fail and changes nothing that can be read; then
 * the event is put where it belongs, which cannot fail. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "feature/state.h"

enum { LEAST_HISTORY = 256, HISTORY_FACTOR = 4 };
#define HALF_LIFE (3 * 86400.0 * (double)MOON_SECOND)

/* ---- building from a plan ------------------------------------------------------------------------------------------------- */

/* The kinds of one set become known, so that they have a code before their first event. */
static moon_status add_kinds(moon_state *state, char *const *kinds, size_t n) {
  uint32_t code;
  for (size_t i = 0; i < n; i++) MOON_TRY(moon_state_kind(state, kinds[i], strlen(kinds[i]), true, &code));
  return moon_ok();
}

/* Once all of the plan's kinds have codes: who counts what. */
static void fill_set(moon_state *state, size_t set, char *const *kinds, size_t n) {
  state->set_any[set] = n == 0;
  for (uint32_t code = 0; code < state->plan_kinds; code++) state->in_set[code * state->set_count + set] = n == 0;
  for (size_t i = 0; i < n; i++)
    state->in_set[moon_dict_find(state->kinds, kinds[i], strlen(kinds[i])) * state->set_count + set] = 1;
}

static moon_status fill_sets(moon_state *state, const moon_feature_plan *plan) {
  for (size_t i = 0; i < plan->counter_count; i++)
    MOON_TRY(add_kinds(state, plan->counters[i].kinds, plan->counters[i].kind_count));
  for (size_t i = 0; i < plan->feature_count; i++)
    MOON_TRY(add_kinds(state, plan->features[i].kinds, plan->features[i].kind_count));
  for (size_t i = 0; i < plan->together_count; i++)
    MOON_TRY(add_kinds(state, plan->together[i].kinds, plan->together[i].kind_count));
  state->plan_kinds = moon_dict_count(state->kinds);
  for (size_t i = 0; i < plan->counter_count; i++) fill_set(state, i, plan->counters[i].kinds, plan->counters[i].kind_count);
  for (size_t i = 0; i < plan->feature_count; i++) {
    const moon_feature *f = &plan->features[i];
    if (f->op == MOON_FEATURE_HISTORY) fill_set(state, plan->counter_count + f->slot, f->kinds, f->kind_count);
  }
  for (size_t i = 0; i < plan->together_count; i++)
    fill_set(state, state->together[i].set, plan->together[i].kinds, plan->together[i].kind_count);
  return moon_ok();
}

static int widest_first(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x < y) - (x > y);
}

/* The windows that features ask of counter number c, each once. */
static moon_status fill_windows(moon_counter *counter, const moon_feature_plan *plan, size_t c) {
  size_t cap = 0;
  for (size_t i = 0; i < plan->feature_count; i++) {
    const moon_feature *f = &plan->features[i];
    bool counts = f->op == MOON_FEATURE_COUNT || f->op == MOON_FEATURE_RATE;
    if (!counts || (f->counter != c && (f->op != MOON_FEATURE_RATE || f->counter2 != c))) continue;
    for (size_t w = 0; w < f->window_count; w++) {
      if (!f->windows[w] || moon_counter_window(counter, f->windows[w]) < counter->window_count) continue;
      MOON_TRY(moon_grow(&counter->windows, &cap, counter->window_count + 1, sizeof *counter->windows));
      counter->windows[counter->window_count++] = f->windows[w];
    }
  }
  if (counter->window_count) qsort(counter->windows, counter->window_count, sizeof *counter->windows, widest_first);
  return moon_ok();
}

/* The longest that anybody asks of a user's past. */
static size_t longest_history(const moon_feature_plan *plan) {
  size_t longest = plan->bag_length;
  for (size_t i = 0; i < plan->together_count; i++)
    if (plan->together[i].last > longest) longest = plan->together[i].last;
  return longest;
}

/* What goes together is counted for each item in its row. */
static moon_status build_together(moon_state *state, const moon_feature_plan *plan) {
  state->together = moon_calloc(plan->together_count, sizeof *state->together);
  if (!state->together) return moon_fail(MOON_ENOMEM, "no memory for a state store");
  state->together_count = plan->together_count;
  for (size_t i = 0; i < plan->together_count; i++) {
    const moon_together_spec *spec = &plan->together[i];
    state->together[i] = (moon_together){.set = plan->counter_count + plan->bag_slots + i,
                                         .last = spec->last,
                                         .most = spec->most,
                                         .side = &state->item_side,
                                         .seen = state->item_side.stride};
    state->item_side.stride += 2 * sizeof(uint32_t); /* what follows may hold pointers */
  }
  return moon_ok();
}

static moon_status copy_values(moon_counter *counter, const moon_counter_spec *spec) {
  if (!spec->value) return moon_ok();
  counter->value = moon_alloc((spec->items ? spec->items : 1) * sizeof *counter->value);
  if (!counter->value) return moon_fail(MOON_ENOMEM, "no memory for the values of %zu items", spec->items);
  memcpy(counter->value, spec->value, spec->items * sizeof *counter->value);
  counter->items = spec->items;
  return moon_ok();
}

static moon_status build(moon_state *state, const moon_feature_plan *plan) {
  size_t longest = longest_history(plan) * HISTORY_FACTOR;
  state->set_count = plan->counter_count + plan->bag_slots + plan->together_count;
  state->history_length = longest > LEAST_HISTORY ? (uint32_t)longest : LEAST_HISTORY;
  state->set_any = moon_calloc(state->set_count, 1);
  state->counters = moon_calloc(plan->counter_count, sizeof *state->counters);
  if (!state->set_any || !state->counters) return moon_fail(MOON_ENOMEM, "no memory for a state store");
  state->counter_count = plan->counter_count;
  state->user_side.stride = sizeof(moon_user_state);
  state->item_side.stride = sizeof(moon_item_state);
  state->groups = moon_calloc(plan->group_count, sizeof *state->groups);
  if (!state->groups) return moon_fail(MOON_ENOMEM, "no memory for a state store");
  for (; state->group_count < plan->group_count; state->group_count++)
    MOON_TRY(moon_group_init(&state->groups[state->group_count], &plan->groups[state->group_count], &state->user_side));
  for (size_t i = 0; i < plan->counter_count; i++) {
    const moon_counter_spec *spec = &plan->counters[i];
    moon_counter *counter = &state->counters[i];
    counter->of_user = spec->of_user, counter->group = spec->group;
    counter->measure = spec->measure, counter->half_life = spec->half_life;
    MOON_TRY(fill_windows(counter, plan, i));
    MOON_TRY(copy_values(counter, spec));
    moon_counter_place(counter, spec->group != SIZE_MAX ? &state->groups[spec->group].side
                                : spec->of_user         ? &state->user_side
                                                        : &state->item_side);
  }
  MOON_TRY(build_together(state, plan));
  MOON_TRY(moon_dict_new(&state->kinds));
  return fill_sets(state, plan);
}

/* A writer that waits goes before readers that come: pages never end, and events must not wait for ever. */
static moon_status open_lock(pthread_rwlock_t *lock) {
  pthread_rwlockattr_t how;
  bool fine = !pthread_rwlockattr_init(&how);
#ifdef __GLIBC__
  fine = fine && !pthread_rwlockattr_setkind_np(&how, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
#endif
  fine = fine && !pthread_rwlock_init(lock, &how);
  return fine ? moon_ok() : moon_fail(MOON_ENOMEM, "no lock for a state store");
}

void moon_state_read_begin(const moon_state *state) { pthread_rwlock_rdlock((pthread_rwlock_t *)&state->lock); }
void moon_state_read_end(const moon_state *state) { pthread_rwlock_unlock((pthread_rwlock_t *)&state->lock); }

moon_status moon_state_new(const moon_feature_plan *plan, moon_state **out) {
  moon_state *state = moon_calloc(1, sizeof *state);
  if (!state) return moon_fail(MOON_ENOMEM, "no memory for a state store");
  state->users.free = MOON_NONE;
  state->ttl = plan->ttl;
  moon_status status = open_lock(&state->lock);
  if (status.code) {
    moon_free(state);
    return status;
  }
  status = build(state, plan);
  if (status.code) moon_state_free(state);
  else *out = state;
  return status;
}

void moon_state_free(moon_state *state) {
  if (!state) return;
  for (size_t i = 0; i < state->counter_count; i++) {
    moon_free(state->counters[i].windows);
    moon_free(state->counters[i].value);
  }
  moon_free(state->counters);
  for (size_t i = 0; i < state->group_count; i++) moon_group_free(&state->groups[i]);
  moon_free(state->groups);
  for (size_t i = 0; i < state->together_count; i++) moon_free(state->together[i].pairs);
  moon_free(state->together);
  moon_free(state->set_any);
  moon_free(state->in_set);
  moon_free(state->tally);
  moon_free(state->user_side.rows);
  moon_free(state->item_side.rows);
  moon_users_free(&state->users);
  pthread_rwlock_destroy(&state->lock);
  moon_dict_free(state->kinds);
  moon_pool_free(&state->pool);
  moon_free(state);
}

/* ---- rows ----------------------------------------------------------------------------------------------------------------- */

static moon_status add_user(moon_state *state, const char *id, size_t n, uint32_t *row) {
  bool fresh = state->users.free == MOON_NONE || !state->users.n;
  if (fresh) MOON_TRY(moon_side_rows(&state->user_side, (size_t)state->users.n + 1)); /* first: a name has a row */
  return moon_users_add(&state->users, &state->pool, id, n, row);
}

moon_status moon_state_user(moon_state *state, const char *id, size_t n, bool add, uint32_t *row) {
  *row = moon_users_find(&state->users, id, n);
  if (*row != MOON_NONE || !add) return moon_ok();
  pthread_rwlock_wrlock(&state->lock);
  moon_state_tidy(state, MOON_NONE);
  moon_status status = add_user(state, id, n, row);
  for (size_t tries = 0; status.code == MOON_ENOMEM && moon_state_make_way(state, MOON_NONE, tries); tries++)
    status = add_user(state, id, n, row);
  pthread_rwlock_unlock(&state->lock);
  if (status.code) *row = MOON_NONE;
  return status;
}

static moon_status add_kind(moon_state *state, const char *kind, size_t n, uint32_t *code) {
  size_t known = moon_dict_count(state->kinds);
  MOON_TRY(moon_grow(&state->in_set, &state->in_set_cap, (known + 1) * state->set_count, 1));
  MOON_TRY(moon_grow(&state->tally, &state->tally_cap, known + 1, sizeof *state->tally));
  if (state->set_count) memcpy(state->in_set + known * state->set_count, state->set_any, state->set_count);
  state->tally[known] = 0;
  return moon_dict_add(state->kinds, kind, n, code);
}

moon_status moon_state_kind(moon_state *state, const char *kind, size_t n, bool add, uint32_t *code) {
  *code = moon_dict_find(state->kinds, kind, n);
  if (*code != MOON_NONE || !add) return moon_ok();
  pthread_rwlock_wrlock(&state->lock);
  moon_status status = add_kind(state, kind, n, code);
  pthread_rwlock_unlock(&state->lock);
  return status;
}

const char *moon_state_user_id(const moon_state *state, uint32_t user) { return state->users.ids[user].text; }
size_t moon_state_users(const moon_state *state) { return state->users.n; }
int64_t moon_state_clock(const moon_state *state) { return state->clock; }
uint64_t moon_state_events(const moon_state *state) { return state->events; }

uint32_t moon_state_present(const moon_state *state, uint32_t user, int64_t now) {
  if (user >= state->users.n || !state->users.ids[user].text) return MOON_NONE;
  const moon_history *h = moon_state_history(state, user);
  if (!state->ttl || !h->n || now < INT64_MIN + state->ttl) return user;
  return h->at[h->n - 1].time < now - state->ttl ? MOON_NONE : user;
}

uint64_t moon_state_item_total(const moon_state *state, uint32_t item) {
  return item < state->item_count ? moon_state_item(state, item)->total : 0;
}

/* ---- folding -------------------------------------------------------------------------------------------------------------- */

double moon_state_item_trend(const moon_state *state, uint32_t item, int64_t now) {
  return item < state->item_count ? moon_trend_read(&moon_state_item(state, item)->trend, now, HALF_LIFE) : 0;
}

static void fold_item(moon_item_state *item, int64_t time) {
  moon_trend_add(&item->trend, !item->total, time, HALF_LIFE);
  item->total++;
}

/* The counter's row for the event; MOON_NONE where the event is nothing to it. */
static uint32_t row_for(const moon_state *state, const moon_counter *counter, uint32_t user, uint32_t item) {
  if (!moon_counter_wants(counter, item)) return MOON_NONE;
  if (counter->group != SIZE_MAX) return state->groups[counter->group].at;
  return counter->of_user ? user : item;
}

/* Rows of the groups that count the event, then places in the counters. */
static moon_status make_room(moon_state *state, const uint8_t *in_set, uint32_t user, uint32_t item) {
  for (size_t i = 0; i < state->group_count; i++) state->groups[i].at = MOON_NONE;
  for (size_t i = 0; i < state->counter_count; i++) {
    const moon_counter *counter = &state->counters[i];
    if (!in_set[i]) continue;
    if (counter->group != SIZE_MAX && moon_counter_wants(counter, item))
      MOON_TRY(moon_group_room(&state->groups[counter->group], user, item));
    uint32_t row = row_for(state, counter, user, item);
    if (row != MOON_NONE) MOON_TRY(moon_counter_room(counter, &state->pool, row));
  }
  for (size_t i = 0; i < state->together_count; i++)
    if (in_set[state->together[i].set]) MOON_TRY(moon_together_room(&state->together[i], state->together[i].last));
  return moon_ok();
}

/* Before the event joins the user's history. */
static void fold_together(moon_state *state, const uint8_t *in_set, uint32_t user, uint32_t item) {
  const moon_touch *others[MOON_MOST_TOGETHER];
  for (size_t i = 0; i < state->together_count; i++) {
    moon_together *t = &state->together[i];
    if (in_set[t->set]) moon_together_add(t, item, others, moon_history_touches(state, user, t->set, others, t->last));
  }
}

/* Everything is there; nothing below fails. */
static void fold(moon_state *state, const uint8_t *in_set, uint32_t user, moon_touch touch) {
  uint32_t item = touch.item;
  if (moon_state_present(state, user, touch.time) == MOON_NONE) moon_state_forget(state, user);
  if (item >= state->item_count) state->item_count = (size_t)item + 1;
  for (size_t g = 0; g < state->group_count; g++) {
    if (!moon_group_keep(&state->groups[g])) continue;
    for (size_t i = 0; i < state->counter_count; i++)
      if (state->counters[i].group == g) moon_counter_clear(&state->counters[i], state->groups[g].at);
  }
  for (size_t i = 0; i < state->counter_count; i++) {
    uint32_t row = in_set[i] ? row_for(state, &state->counters[i], user, item) : MOON_NONE;
    if (row == MOON_NONE) continue;
    moon_counter_add(&state->counters[i], row, touch.time, state->counters[i].value ? state->counters[i].value[item] : 0);
  }
  fold_together(state, in_set, user, item);
  moon_history_add(state, user, touch);
  fold_item(moon_state_item(state, item), touch.time);
  if (!state->events++ || touch.time > state->clock) state->clock = touch.time;
}

static moon_status apply(moon_state *state, uint32_t user, moon_touch touch) {
  const uint8_t *in_set = state->in_set + touch.kind * state->set_count;
  MOON_TRY(moon_side_rows(&state->item_side, (size_t)touch.item + 1));
  MOON_TRY(moon_history_room(state, user));
  MOON_TRY(make_room(state, in_set, user, touch.item));
  fold(state, in_set, user, touch);
  return moon_ok();
}

moon_status moon_state_apply(moon_state *state, uint32_t user, uint32_t item, uint32_t kind, int64_t time) {
  bool known = user < state->users.n && state->users.ids[user].text;
  if (!known || kind >= moon_dict_count(state->kinds) || item == MOON_NONE || time == MOON_NULL_INT)
    return moon_fail(MOON_EINVAL,
                     "an event needs a known user and kind, an item and a time; got user %u, kind %u, item %u, time %lld", user,
                     kind, item, (long long)time);
  pthread_rwlock_wrlock(&state->lock);
  moon_state_tidy(state, user);
  moon_status status = apply(state, user, (moon_touch){time, item, kind});
  for (size_t tries = 0; status.code == MOON_ENOMEM && moon_state_make_way(state, user, tries); tries++)
    status = apply(state, user, (moon_touch){time, item, kind});
  pthread_rwlock_unlock(&state->lock);
  return status;
}

/* state.h - inside the state store; private to core/feature.
 *
 * Two shapes hold all that grows with traffic: a queue of event times per entity and counter (counters.c), and a list of
 * touched items per user (history.c). Both are short arrays that double, cut from one pool (pool.c), so that a million users
 * cost no million mallocs. */
#ifndef MOON_FEATURE_STATE_H
#define MOON_FEATURE_STATE_H

#include <math.h>
#include <pthread.h>
#include <stddef.h>

#include "feature/feature.h"

/* ---- pool.c: arrays of 16 << k bytes cut from big chunks; a freed one waits for the next of its size ---------------------- */

enum { MOON_POOL_SIZES = 32, MOON_POOL_CHUNK = 1 << 18 };
typedef struct moon_pool_chunk moon_pool_chunk;
typedef struct moon_pool { /* zero-initialise to start */
  moon_pool_chunk *chunks;
  char *next;  /* what is left of the newest chunk */
  size_t left, total;
  bool thrifty; /* small chunks */
  size_t most;  /* bytes of chunks; 0: as many as there are, and of a thrifty pool no more than a block needs */
  void *free[MOON_POOL_SIZES];
} moon_pool;
/* A block of so many bytes (at least 1), and its way back; NULL where there is no memory. */
void *moon_pool_take(moon_pool *pool, size_t bytes);
void moon_pool_give(moon_pool *pool, void *block, size_t bytes);
/* Makes *items (n of them, room for *cap, `each` = 8 or 16 bytes, NULL at first) hold one more. */
moon_status moon_pool_room(moon_pool *pool, void *items_ptr, uint32_t n, uint32_t *cap, size_t each);
void moon_pool_free(moon_pool *pool);

/* ---- users.c -------------------------------------------------------------------------------------------------------------- */

typedef struct moon_user_id {
  const char *text; /* NULL: the row waits for a user, and n is the next that does */
  uint32_t n;
} moon_user_id;
typedef struct moon_users { /* free: MOON_NONE at the start, the rest zero */
  moon_user_id *ids; /* [n] */
  size_t cap, mask;
  struct moon_user_slot *slots;
  uint32_t n, live, free;
} moon_users;
uint32_t moon_users_find(const moon_users *users, const char *id, size_t n); /* MOON_NONE where absent */
moon_status moon_users_add(moon_users *users, moon_pool *pool, const char *id, size_t n, uint32_t *row); /* one that is absent */
void moon_users_drop(moon_users *users, moon_pool *pool, uint32_t row); /* one that is there */
void moon_users_free(moon_users *users);

/* ---- counters.c ----------------------------------------------------------------------------------------------------------- */

/* All users or all items: one row of bytes each, in which every counter and whatever else is kept of them has its place. So
 * what a request reads of an item lies together. */
typedef struct moon_side {
  char *rows; /* [made, stride]; rows that do not exist yet are zeros */
  size_t made, cap, stride;
} moon_side;
moon_status moon_side_rows(moon_side *side, size_t rows); /* makes at least so many */
static inline void *moon_side_at(const moon_side *side, size_t row, size_t offset) {
  return side->rows + row * side->stride + offset;
}

typedef struct moon_times { /* sorted; those that left the widest window are dropped when room is needed */
  int64_t *at;
  uint32_t n, cap;
} moon_times;

typedef struct moon_trend { /* a count in which each event is worth half after a half-life */
  double weight; /* as of `time` */
  int64_t time;
} moon_trend;
/* Adds an event; `first`: there was none before. Late ones count what is left of them. */
void moon_trend_add(moon_trend *trend, bool first, int64_t time, double half_life);
double moon_trend_read(const moon_trend *trend, int64_t now, double half_life);

typedef struct moon_mean { /* of values, each weighing half after a half-life */
  moon_trend weight;
  double sum; /* weighed, as of the weight's time */
} moon_mean;

/* 4 bytes an entity; with windows 20, 4 for each window, and 8 for each event in the widest (up to twice that with slack). */
typedef struct moon_counter {
  moon_side *side;
  moon_measure measure;
  bool of_user;
  size_t group; /* SIZE_MAX: none */
  int64_t half_life;
  double *value; /* [items] of a mean: what is measured, NaN: nothing */
  size_t items;
  int64_t *windows; /* [window_count] widest first; none: totals only */
  size_t window_count;
  size_t times; /* where in a row: a moon_times, or an int64_t (the last), or a moon_trend or a moon_mean, by the measure */
  size_t total; /* a uint32_t, every event ever; stays at 2^32 - 1 */
  size_t since; /* uint32_t [window_count], how many of the times had left the window at the newest event */
} moon_counter;
/* Gives the counter, whose windows are known, its place in the rows of a side that has none yet. */
void moon_counter_place(moon_counter *counter, moon_side *side);
/* Room for one more event of the row; then adding it cannot fail. */
moon_status moon_counter_room(const moon_counter *counter, moon_pool *pool, uint32_t row);
void moon_counter_add(const moon_counter *counter, uint32_t row, int64_t time, double value); /* value: of a mean */
void moon_counter_clear(const moon_counter *counter, uint32_t row); /* as if there had been no event; room stays */
void moon_counter_drop(const moon_counter *counter, moon_pool *pool, uint32_t row); /* room goes, too */
/* Whether an event on the item is anything to the counter. */
static inline bool moon_counter_wants(const moon_counter *counter, uint32_t item) {
  return counter->measure != MOON_MEASURE_MEAN || (item < counter->items && !isnan(counter->value[item]));
}
/* The number of a window; window_count for 0, all time. */
size_t moon_counter_window(const moon_counter *counter, int64_t window);
/* Events with now - window < time <= now. Where `now` is before the row's newest event, those that the widest window ending at
 * that newest event does not reach are not counted. Any row; 0 for rows never seen. */
uint32_t moon_counter_read(const moon_counter *counter, uint32_t row, int64_t now, size_t window);
/* Whether there was an event, and when the newest was. Of a counter of last times, as is what follows of one that decays. */
bool moon_counter_last(const moon_counter *counter, uint32_t row, int64_t *time);
double moon_counter_trend(const moon_counter *counter, uint32_t row, int64_t now);
double moon_counter_mean(const moon_counter *counter, uint32_t row); /* at any time; NaN where there was nothing */
/* Asks for the memory that reading will need: depth 0, the row; later depth 1, its times. */
void moon_counter_fetch(const moon_counter *counter, uint32_t row, int depth);
/* The row's times that are in the widest window at its newest event. */
uint32_t moon_counter_live(const moon_counter *counter, uint32_t row, const int64_t **times);

/* ---- group.c -------------------------------------------------------------------------------------------------------------- */

/* Rows for pairs (user or nobody, value of an item), made when they first happen. */
typedef struct moon_group {
  bool of_user;
  uint32_t *value; /* [items], or NULL: the item's row is its value */
  size_t items, values;
  const moon_side *users; /* whose rows have their lives at MOON_LIFE */
  moon_map rows;  /* key -> row; meant only where keys[row] is the key and row < n */
  uint64_t *keys; /* [n] user << 32 | value, by row */
  uint32_t *life; /* [n] the user's when the pair began; of a row that waits, the next that does */
  size_t cap, life_cap;
  uint32_t n, free, waiting, broom; /* waiting: how many rows do */
  moon_side side;
  uint32_t at;    /* of the event that is being folded in */
} moon_group;
moon_status moon_group_init(moon_group *group, const moon_group_spec *spec, const moon_side *users);
void moon_group_free(moon_group *group);
/* The row of the pair; MOON_NONE where nothing happened in the user's present life, or the item has no value. In three steps, between which
 * memory is on its way: ask; where the map has it, if anywhere; whether it is so. */
void moon_group_fetch(const moon_group *group, uint32_t user, uint32_t item);
uint32_t moon_group_guess(const moon_group *group, uint32_t user, uint32_t item);
uint32_t moon_group_check(const moon_group *group, uint32_t row, uint32_t user, uint32_t item);
bool moon_group_is_live(const moon_group *group, uint32_t row);
/* Finds it, or makes room for it: group->at is its row, MOON_NONE for an item without a value. A new row is there after
 * moon_group_keep, which answers whether the row is of an earlier life and has to be cleared. */
moon_status moon_group_room(moon_group *group, uint32_t user, uint32_t item);
moon_status moon_group_room_of(moon_group *group, uint64_t key);
bool moon_group_keep(moon_group *group);
/* Looks at the next row. Where it is of an earlier life, it now waits for a new pair and is the answer: its counters are the caller's to
 * drop. Else MOON_NONE. */
uint32_t moon_group_sweep(moon_group *group);

/* ---- history.c ------------------------------------------------------------------------------------------------------------ */

typedef struct moon_history { /* 16 bytes a user and 16 for each touch (up to twice that); oldest first, each (item, kind) once */
  moon_touch *at;
  uint32_t n, cap;
} moon_history;
typedef struct moon_user_state { /* 24 bytes a user */
  moon_history history;
  uint32_t life; /* how often the user has been let go, as whoever had the row before */
} moon_user_state;
#define MOON_LIFE offsetof(moon_user_state, life)
moon_status moon_history_room(moon_state *state, uint32_t user);
void moon_history_add(moon_state *state, uint32_t user, moon_touch touch);
enum { MOON_MOST_HISTORY = 1000 };
/* The newest touch of each of the user's last `limit` items by events of the set of kinds (MOON_NONE: of any), newest first; they stay
 * until the next event. */
size_t moon_history_touches(const moon_state *state, uint32_t user, size_t set, const moon_touch **touches, size_t limit);

/* ---- together.c ----------------------------------------------------------------------------------------------------------- */

typedef struct moon_pair { /* of items, low < high; a count of 0 is a free slot */
  uint32_t low, high, count;
} moon_pair;
typedef struct moon_together {
  size_t set;       /* of the kinds that count */
  size_t last;      /* of a user's items an event is counted with */
  size_t most;      /* pairs */
  moon_pair *pairs; /* [slots], a power of two */
  size_t slots, n;
  moon_side *side;  /* of the items */
  size_t seen;      /* where in a row: a uint32_t, how often the item was counted */
} moon_together;
/* Room for so many new pairs; then adding them cannot fail. */
moon_status moon_together_room(moon_together *together, size_t more);
/* By how much the next event may make it larger, in bytes. */
size_t moon_together_growth(const moon_together *together);
/* An event on the item; others: the user's last items of the set as they were before, up to `last`. */
void moon_together_add(moon_together *together, uint32_t item, const moon_touch *const *others, size_t n);
/* Of any rows. */
uint32_t moon_together_seen(const moon_together *together, uint32_t item);
uint32_t moon_together_count(const moon_together *together, uint32_t a, uint32_t b);
void moon_together_fetch(const moon_together *together, uint32_t item, const uint32_t *others, size_t n);
/* The pairs in the order of their items; the caller frees them. */
moon_status moon_together_list(const moon_together *together, moon_pair **out);
moon_status moon_together_put(moon_together *together, const moon_pair *pair); /* one that is not there, of a snapshot */

/* ---- state.c -------------------------------------------------------------------------------------------------------------- */

typedef struct moon_item_state { /* 24 bytes an item */
  moon_trend trend;
  uint64_t total;
} moon_item_state;

/* The plan's sets of kinds, by number: set i < counter_count is counter i's; set counter_count + s is the history's with bag
 * slot s; behind those are the sets of what goes together. */
struct moon_state {
  pthread_rwlock_t lock; /* the writer's verbs take it; readers by moon_state_read_begin */
  moon_users users;
  moon_dict *kinds;
  size_t plan_kinds; /* kinds [0, plan_kinds) are those the plan names */
  size_t set_count;
  uint8_t *set_any; /* [set_count] 1: every kind */
  uint8_t *in_set;  /* [kinds, set_count] */
  uint32_t *tally;  /* [kinds] zeros between calls; for history.c */
  size_t in_set_cap, tally_cap;
  moon_counter *counters;
  size_t counter_count;
  moon_group *groups;
  size_t group_count;
  moon_together *together;
  size_t together_count;
  moon_side user_side; /* rows begin with a moon_user_state */
  moon_side item_side; /* rows begin with a moon_item_state */
  size_t item_count;
  uint32_t history_length; /* touches kept per user */
  moon_pool pool;
  int64_t clock;
  uint64_t events;
  int64_t ttl;     /* 0: users are never forgotten */
  size_t limit;    /* bytes, 0: none */
  uint32_t hand;   /* the next user that is looked at for being forgotten */
  uint64_t draws;  /* for evict.c */
  uint64_t dropped;
};
/* The user's row as of `now`: MOON_NONE where there is none, or all is forgotten. */
uint32_t moon_state_present(const moon_state *state, uint32_t user, int64_t now);

/* ---- evict.c -------------------------------------------------------------------------------------------------------------- */

/* Begins the user's next life: nothing is known, and room stays as it was. */
void moon_state_forget(moon_state *state, uint32_t user);
/* Before something is added: lets go of users whose rows it will need, and of forgotten ones; never of `keep`. Under the lock. */
void moon_state_tidy(moon_state *state, uint32_t keep);
/* After it failed for want of memory: lets go of a user, and after some tries lets the limit be passed. false: there is no more to try. */
bool moon_state_make_way(moon_state *state, uint32_t keep, size_t tries);
static inline moon_history *moon_state_history(const moon_state *state, size_t user) {
  return moon_side_at(&state->user_side, user, 0);
}
static inline moon_item_state *moon_state_item(const moon_state *state, size_t item) {
  return moon_side_at(&state->item_side, item, 0);
}

#endif

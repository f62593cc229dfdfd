/* users.c - the users' ids and their rows, of which some are let go.
 *
 * A moon_dict never forgets. Here a row that was let go waits for the next new user, and the text of its id goes back to the pool it was cut
 * from. The table of slots is the dict's: half of the hash beside the row, so that a probe reads no text but the right one. */
#include <string.h>

#include "feature/state.h"

/* ---- finding -------------------------------------------------------------------------------------------------------------------- */

typedef struct moon_user_slot {
  uint32_t tag, row; /* the hash's upper half; MOON_NONE: empty */
} slot;

static slot *slots_new(size_t count) {
  slot *slots = moon_alloc(count * sizeof *slots);
  if (slots) memset(slots, 0xff, count * sizeof *slots);
  return slots;
}

static bool is_at(const moon_users *users, const slot *s, uint32_t tag, const char *id, size_t n) {
  const moon_user_id *known = &users->ids[s->row];
  return s->tag == tag && known->n == n && !memcmp(known->text, id, n);
}

/* The slot of the id, or the empty one where it belongs. */
static slot *probe(const moon_users *users, const char *id, size_t n, uint64_t hash) {
  size_t at = hash & users->mask;
  while (users->slots[at].row != MOON_NONE && !is_at(users, &users->slots[at], (uint32_t)(hash >> 32), id, n)) at = (at + 1) & users->mask;
  return &users->slots[at];
}

static uint64_t hash_of(const moon_users *users, uint32_t row) { return moon_hash(users->ids[row].text, users->ids[row].n); }

uint32_t moon_users_find(const moon_users *users, const char *id, size_t n) {
  return users->slots ? probe(users, id, n, moon_hash(id, n))->row : MOON_NONE;
}

/* ---- adding --------------------------------------------------------------------------------------------------------------------- */

static moon_status more_slots(moon_users *users) {
  size_t count = users->slots ? (users->mask + 1) * 2 : 64;
  slot *slots = slots_new(count);
  if (!slots) return moon_fail(MOON_ENOMEM, "no memory for %u users", users->n);
  moon_free(users->slots);
  users->slots = slots, users->mask = count - 1;
  for (uint32_t row = 0; row < users->n; row++) {
    if (!users->ids[row].text) continue;
    uint64_t hash = hash_of(users, row);
    *probe(users, users->ids[row].text, users->ids[row].n, hash) = (slot){(uint32_t)(hash >> 32), row};
  }
  return moon_ok();
}

moon_status moon_users_add(moon_users *users, moon_pool *pool, const char *id, size_t n, uint32_t *row) {
  if (n >= UINT32_MAX) return moon_fail(MOON_ELIMIT, "a user's id has at most 2^32 - 2 bytes");
  if (!users->slots || (users->live + 1) * 3 > (users->mask + 1) * 2) MOON_TRY(more_slots(users));
  bool fresh = users->free == MOON_NONE || !users->n;
  if (fresh) {
    if (users->n >= MOON_NONE) return moon_fail(MOON_ELIMIT, "a state knows at most 2^32 - 1 users");
    MOON_TRY(moon_grow(&users->ids, &users->cap, (size_t)users->n + 1, sizeof *users->ids));
  }
  char *text = moon_pool_take(pool, n + 1);
  if (!text) return moon_fail(MOON_ENOMEM, "no memory for the id of a user");
  if (n) memcpy(text, id, n);
  text[n] = 0;
  uint64_t hash = moon_hash(id, n);
  slot *at = probe(users, id, n, hash);
  *row = fresh ? users->n++ : users->free;
  if (!fresh) users->free = users->ids[*row].n;
  users->ids[*row] = (moon_user_id){text, (uint32_t)n};
  *at = (slot){(uint32_t)(hash >> 32), *row};
  users->live++;
  return moon_ok();
}

/* ---- letting go ----------------------------------------------------------------------------------------------------------------- */

/* Closes the gap: whoever came past it while looking for a place moves up. */
static void empty_slot(moon_users *users, size_t gap) {
  for (size_t at = (gap + 1) & users->mask; users->slots[at].row != MOON_NONE; at = (at + 1) & users->mask) {
    size_t home = hash_of(users, users->slots[at].row) & users->mask;
    if (((at - home) & users->mask) < ((at - gap) & users->mask)) continue; /* its home lies behind the gap */
    users->slots[gap] = users->slots[at];
    gap = at;
  }
  users->slots[gap].row = MOON_NONE;
}

void moon_users_drop(moon_users *users, moon_pool *pool, uint32_t row) {
  moon_user_id *id = &users->ids[row];
  empty_slot(users, (size_t)(probe(users, id->text, id->n, hash_of(users, row)) - users->slots));
  moon_pool_give(pool, (char *)id->text, (size_t)id->n + 1);
  *id = (moon_user_id){NULL, users->free};
  users->free = row;
  users->live--;
}

void moon_users_free(moon_users *users) {
  moon_free(users->ids);
  moon_free(users->slots);
  *users = (moon_users){.free = MOON_NONE};
}

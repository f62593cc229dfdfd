/* group.c - rows for pairs of a user and what an item is: its category, its brand, itself.
 *
 * A pair gets a row of its own when it first happens. The row is made ready before an event is folded in and counts only once the
 * event is: a key in the map whose row has another key, or is not there yet, was left behind by an event that failed.
 *
 * When a user is let go, the user's pairs are not looked for. Each pair knows of which of the user's lives it is; one of an earlier life is
 * as good as not there, and its row is taken back when the broom (moon_group_sweep) comes by, or begins anew with the user's next event. */
#include <string.h>

#include "feature/state.h"

#define NOBODY UINT64_MAX /* the key of a row that waits for a pair */

moon_status moon_group_init(moon_group *group, const moon_group_spec *spec, const moon_side *users) {
  *group = (moon_group){.of_user = spec->of_user, .items = spec->items, .values = spec->values, .users = users, .free = MOON_NONE};
  if (!spec->value) return moon_ok();
  group->value = moon_alloc((spec->items ? spec->items : 1) * sizeof *group->value);
  if (!group->value) return moon_fail(MOON_ENOMEM, "no memory for the values of %zu items", spec->items);
  memcpy(group->value, spec->value, spec->items * sizeof *group->value);
  return moon_ok();
}

void moon_group_free(moon_group *group) {
  moon_free(group->value);
  moon_free(group->keys);
  moon_free(group->life);
  moon_free(group->side.rows);
  moon_map_free(&group->rows);
}

static bool key_of(const moon_group *group, uint32_t user, uint32_t item, uint64_t *key) {
  uint32_t value = item;
  if (group->value) value = item < group->items ? group->value[item] : MOON_NONE;
  if (value == MOON_NONE || (group->of_user && user == MOON_NONE)) return false;
  *key = (uint64_t)(group->of_user ? user : 0) << 32 | value;
  return true;
}

static uint32_t life_of(const moon_group *group, uint64_t key) {
  return group->of_user ? *(const uint32_t *)moon_side_at(group->users, key >> 32, MOON_LIFE) : 0;
}

bool moon_group_is_live(const moon_group *group, uint32_t row) {
  return group->keys[row] != NOBODY && group->life[row] == life_of(group, group->keys[row]);
}

static uint32_t find(const moon_group *group, uint64_t key) {
  uint64_t row;
  return moon_map_get(&group->rows, key, &row) && row < group->n && group->keys[row] == key ? (uint32_t)row : MOON_NONE;
}

/* A row for a new pair: one that was let go, or the next. */
static moon_status take_row(moon_group *group, uint64_t key, uint32_t *row) {
  bool fresh = group->free == MOON_NONE;
  *row = fresh ? group->n : group->free;
  if (fresh) {
    if (group->n >= MOON_NONE) return moon_fail(MOON_ELIMIT, "more than %u pairs of users and items are counted", MOON_NONE);
    MOON_TRY(moon_side_rows(&group->side, (size_t)group->n + 1));
    MOON_TRY(moon_grow(&group->keys, &group->cap, (size_t)group->n + 1, sizeof key));
    MOON_TRY(moon_grow(&group->life, &group->life_cap, (size_t)group->n + 1, sizeof *group->life));
  }
  MOON_TRY(moon_map_put(&group->rows, key, *row));
  if (!fresh) group->free = group->life[*row], group->waiting--;
  group->keys[*row] = key;
  group->life[*row] = life_of(group, key);
  return moon_ok();
}

void moon_group_fetch(const moon_group *group, uint32_t user, uint32_t item) {
  uint64_t key;
  if (key_of(group, user, item, &key)) moon_map_fetch(&group->rows, key);
}

uint32_t moon_group_guess(const moon_group *group, uint32_t user, uint32_t item) {
  uint64_t key, row;
  if (!key_of(group, user, item, &key) || !moon_map_get(&group->rows, key, &row) || row >= group->n) return MOON_NONE;
  __builtin_prefetch(group->keys + row);
  __builtin_prefetch(group->life + row);
  return (uint32_t)row;
}

uint32_t moon_group_check(const moon_group *group, uint32_t row, uint32_t user, uint32_t item) {
  uint64_t key;
  bool same = row != MOON_NONE && key_of(group, user, item, &key) && group->keys[row] == key;
  return same && moon_group_is_live(group, row) ? row : MOON_NONE;
}

moon_status moon_group_room_of(moon_group *group, uint64_t key) {
  group->at = find(group, key);
  return group->at == MOON_NONE ? take_row(group, key, &group->at) : moon_ok();
}

moon_status moon_group_room(moon_group *group, uint32_t user, uint32_t item) {
  uint64_t key;
  group->at = MOON_NONE;
  return key_of(group, user, item, &key) ? moon_group_room_of(group, key) : moon_ok();
}

bool moon_group_keep(moon_group *group) {
  uint32_t row = group->at;
  if (row == group->n) group->n++;
  bool anew = row != MOON_NONE && group->life[row] != life_of(group, group->keys[row]);
  if (anew) group->life[row] = life_of(group, group->keys[row]);
  return anew;
}

uint32_t moon_group_sweep(moon_group *group) {
  if (!group->n) return MOON_NONE;
  if (group->broom >= group->n) group->broom = 0;
  uint32_t row = group->broom++;
  if (group->keys[row] == NOBODY || moon_group_is_live(group, row)) return MOON_NONE;
  moon_map_remove(&group->rows, group->keys[row]);
  group->keys[row] = NOBODY;
  group->life[row] = group->free;
  group->free = row;
  group->waiting++;
  return row;
}

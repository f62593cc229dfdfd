/* group.c - rows for pairs of a user and what an item is: its category, its brand, itself.
 *
 * A pair gets a row of its own when it first happens. The row is made ready before an event is folded in and counts only once the
 * event is: a key in the map whose row has another key, or is not there yet, was left behind by an event that failed. */
#include <string.h>

#include "feature/state.h"

moon_status moon_group_init(moon_group *group, const moon_group_spec *spec) {
  *group = (moon_group){.of_user = spec->of_user, .items = spec->items, .values = spec->values};
  if (!spec->value) return moon_ok();
  group->value = moon_alloc((spec->items ? spec->items : 1) * sizeof *group->value);
  if (!group->value) return moon_fail(MOON_ENOMEM, "no memory for the values of %zu items", spec->items);
  memcpy(group->value, spec->value, spec->items * sizeof *group->value);
  return moon_ok();
}

void moon_group_free(moon_group *group) {
  moon_free(group->value);
  moon_free(group->keys);
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

static uint32_t find(const moon_group *group, uint64_t key) {
  uint64_t row;
  return moon_map_get(&group->rows, key, &row) && row < group->n && group->keys[row] == key ? (uint32_t)row : MOON_NONE;
}

uint32_t moon_group_find(const moon_group *group, uint32_t user, uint32_t item) {
  uint64_t key;
  return key_of(group, user, item, &key) ? find(group, key) : MOON_NONE;
}

void moon_group_fetch(const moon_group *group, uint32_t user, uint32_t item) {
  uint64_t key;
  if (key_of(group, user, item, &key)) moon_map_fetch(&group->rows, key);
}

uint32_t moon_group_guess(const moon_group *group, uint32_t user, uint32_t item) {
  uint64_t key, row;
  if (!key_of(group, user, item, &key) || !moon_map_get(&group->rows, key, &row) || row >= group->n) return MOON_NONE;
  __builtin_prefetch(group->keys + row);
  return (uint32_t)row;
}

uint32_t moon_group_check(const moon_group *group, uint32_t row, uint32_t user, uint32_t item) {
  uint64_t key;
  return row != MOON_NONE && key_of(group, user, item, &key) && group->keys[row] == key ? row : MOON_NONE;
}

moon_status moon_group_room_of(moon_group *group, uint64_t key) {
  uint32_t row = find(group, key);
  if (row == MOON_NONE) {
    if (group->n >= MOON_NONE) return moon_fail(MOON_ELIMIT, "more than %u pairs of users and items are counted", MOON_NONE);
    MOON_TRY(moon_side_rows(&group->side, group->n + 1));
    MOON_TRY(moon_grow(&group->keys, &group->cap, group->n + 1, sizeof key));
    MOON_TRY(moon_map_put(&group->rows, key, group->n));
    group->keys[group->n] = key;
    row = (uint32_t)group->n;
  }
  group->at = row;
  return moon_ok();
}

moon_status moon_group_room(moon_group *group, uint32_t user, uint32_t item) {
  uint64_t key;
  group->at = MOON_NONE;
  return key_of(group, user, item, &key) ? moon_group_room_of(group, key) : moon_ok();
}

void moon_group_keep(moon_group *group) {
  if (group->at == group->n) group->n++;
}

/* map.c - uint64 to uint64, open addressing with linear probing, at most two thirds full. */
#include <string.h>

#include "base/base.h"

#define EMPTY UINT64_MAX

static size_t probe(const uint64_t *keys, size_t cap, uint64_t key) {
  size_t at = moon_mix64(key) & (cap - 1);
  while (keys[at] != EMPTY && keys[at] != key) at = (at + 1) & (cap - 1);
  return at;
}

static moon_status rehash(moon_map *map) {
  size_t cap = map->cap ? map->cap * 2 : 64;
  uint64_t *keys = moon_alloc(cap * sizeof *keys), *values = moon_alloc(cap * sizeof *values);
  if (!keys || !values) {
    moon_free(keys);
    moon_free(values);
    return moon_fail(MOON_ENOMEM, "no memory for a map of %zu", cap);
  }
  memset(keys, 0xff, cap * sizeof *keys);
  for (size_t i = 0; i < map->cap; i++) {
    if (map->keys[i] == EMPTY) continue;
    size_t at = probe(keys, cap, map->keys[i]);
    keys[at] = map->keys[i];
    values[at] = map->values[i];
  }
  moon_free(map->keys);
  moon_free(map->values);
  map->keys = keys;
  map->values = values;
  map->cap = cap;
  return moon_ok();
}

moon_status moon_map_put(moon_map *map, uint64_t key, uint64_t value) {
  if (key == EMPTY) return moon_fail(MOON_EINVAL, "the key 2^64 - 1 is reserved");
  size_t at = map->cap ? probe(map->keys, map->cap, key) : 0;
  if (!map->cap || (map->keys[at] == EMPTY && (map->n + 1) * 3 > map->cap * 2)) {
    MOON_TRY(rehash(map));
    at = probe(map->keys, map->cap, key);
  }
  if (map->keys[at] == EMPTY) map->keys[at] = key, map->n++;
  map->values[at] = value;
  return moon_ok();
}

bool moon_map_get(const moon_map *map, uint64_t key, uint64_t *value) {
  if (!map->cap || key == EMPTY) return false;
  size_t at = probe(map->keys, map->cap, key);
  if (map->keys[at] == EMPTY) return false;
  *value = map->values[at];
  return true;
}

void moon_map_fetch(const moon_map *map, uint64_t key) {
  if (!map->cap) return;
  size_t at = moon_mix64(key) & (map->cap - 1);
  __builtin_prefetch(map->keys + at);
  __builtin_prefetch(map->values + at);
}

/* Closes the gap: whoever came past it while looking for a place moves up. */
void moon_map_remove(moon_map *map, uint64_t key) {
  size_t mask = map->cap - 1, gap;
  if (!map->cap || key == EMPTY || map->keys[gap = probe(map->keys, map->cap, key)] == EMPTY) return;
  for (size_t at = (gap + 1) & mask; map->keys[at] != EMPTY; at = (at + 1) & mask) {
    size_t home = moon_mix64(map->keys[at]) & mask;
    if (((at - home) & mask) < ((at - gap) & mask)) continue; /* its home lies behind the gap */
    map->keys[gap] = map->keys[at];
    map->values[gap] = map->values[at];
    gap = at;
  }
  map->keys[gap] = EMPTY;
  map->n--;
}

void moon_map_free(moon_map *map) {
  moon_free(map->keys);
  moon_free(map->values);
  *map = (moon_map){0};
}

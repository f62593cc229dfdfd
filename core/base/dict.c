/* dict.c - interned strings with dense codes.
 *
 * The texts live in an arena; an open-addressing table of codes finds them. Half of each slot is kept of the hash, so that a probe
 * rarely touches a text that is not the one. */
#define XXH_INLINE_ALL
#include <string.h>
#include <xxhash.h>

#include "base/base.h"

typedef struct entry {
  const char *text;
  uint32_t length, tag;
} entry;

struct moon_dict {
  entry *entries;
  size_t n, cap;
  uint32_t *slots; /* code or MOON_NONE */
  size_t mask;
  moon_arena texts;
};

uint64_t moon_hash(const void *bytes, size_t n) { return XXH3_64bits(bytes, n); }

static uint32_t *slots_new(size_t count) {
  uint32_t *slots = moon_alloc(count * sizeof *slots);
  if (slots) memset(slots, 0xff, count * sizeof *slots);
  return slots;
}

moon_status moon_dict_new(moon_dict **out) {
  moon_dict *dict = moon_calloc(1, sizeof *dict);
  if (dict) dict->slots = slots_new(64), dict->mask = 63;
  if (!dict || !dict->slots) {
    moon_free(dict);
    return moon_fail(MOON_ENOMEM, "no memory for a dictionary");
  }
  *out = dict;
  return moon_ok();
}

void moon_dict_free(moon_dict *dict) {
  if (!dict) return;
  moon_arena_free(&dict->texts);
  moon_free(dict->slots);
  moon_free(dict->entries);
  moon_free(dict);
}

/* The slot of the text, or the empty one where it belongs. */
static size_t probe(const moon_dict *dict, const char *text, size_t length, uint64_t hash) {
  size_t at = hash & dict->mask;
  for (;; at = (at + 1) & dict->mask) {
    uint32_t code = dict->slots[at];
    if (code == MOON_NONE) return at;
    const entry *e = &dict->entries[code];
    if (e->tag == (uint32_t)(hash >> 32) && e->length == length && !memcmp(e->text, text, length)) return at;
  }
}

static moon_status rehash(moon_dict *dict) {
  size_t count = (dict->mask + 1) * 2;
  uint32_t *slots = slots_new(count);
  if (!slots) return moon_fail(MOON_ENOMEM, "no memory for a dictionary of %zu", dict->n);
  for (size_t code = 0; code < dict->n; code++) {
    size_t at = moon_hash(dict->entries[code].text, dict->entries[code].length) & (count - 1);
    while (slots[at] != MOON_NONE) at = (at + 1) & (count - 1);
    slots[at] = (uint32_t)code;
  }
  moon_free(dict->slots);
  dict->slots = slots;
  dict->mask = count - 1;
  return moon_ok();
}

moon_status moon_dict_add(moon_dict *dict, const char *text, size_t length, uint32_t *code) {
  uint64_t hash = moon_hash(text, length);
  size_t at = probe(dict, text, length, hash);
  if (dict->slots[at] != MOON_NONE) {
    *code = dict->slots[at];
    return moon_ok();
  }
  if (dict->n >= MOON_NONE - 1 || length > UINT32_MAX - 1) return moon_fail(MOON_ELIMIT, "a dictionary holds at most 2^32 - 2 texts");
  if ((dict->n + 1) * 3 > (dict->mask + 1) * 2) {
    MOON_TRY(rehash(dict));
    at = probe(dict, text, length, hash);
  }
  MOON_TRY(moon_grow(&dict->entries, &dict->cap, dict->n + 1, sizeof *dict->entries));
  char *copy = moon_arena_alloc(&dict->texts, length + 1);
  if (!copy) return moon_fail(MOON_ENOMEM, "no memory for a text of %zu bytes", length);
  if (length) memcpy(copy, text, length);
  copy[length] = 0;
  *code = (uint32_t)dict->n;
  dict->entries[dict->n++] = (entry){copy, (uint32_t)length, (uint32_t)(hash >> 32)};
  dict->slots[at] = *code;
  return moon_ok();
}

uint32_t moon_dict_find(const moon_dict *dict, const char *text, size_t length) {
  return dict->slots[probe(dict, text, length, moon_hash(text, length))];
}

const char *moon_dict_text(const moon_dict *dict, uint32_t code) { return dict->entries[code].text; }
size_t moon_dict_length(const moon_dict *dict, uint32_t code) { return dict->entries[code].length; }
size_t moon_dict_count(const moon_dict *dict) { return dict->n; }

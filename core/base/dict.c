/* dict.c - interned strings with dense codes.
 *
 * The texts live in an arena; an open-addressing table of slots finds them. A slot keeps half of the hash beside the code, so
 * that a probe stays within the table until it has, nearly always, the right text. */
#define XXH_INLINE_ALL
#include <string.h>
#include <xxhash.h>

#include "base/base.h"

typedef struct entry {
  const char *text;
  uint32_t length;
} entry;

typedef struct slot {
  uint32_t tag, code; /* the hash's upper half; MOON_NONE: empty */
} slot;

struct moon_dict {
  entry *entries;
  size_t n, cap;
  slot *slots;
  size_t mask;
  moon_arena texts;
};

uint64_t moon_hash(const void *bytes, size_t n) { return XXH3_64bits(bytes, n); }

static slot *slots_new(size_t count) {
  slot *slots = moon_alloc(count * sizeof *slots);
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

static inline uint32_t word4(const char *at) {
  uint32_t word;
  memcpy(&word, at, 4);
  return word;
}

static inline uint64_t word8(const char *at) {
  uint64_t word;
  memcpy(&word, at, 8);
  return word;
}

/* memcmp without the call: ids are short, and equal here nearly always. Two words that overlap cover what is between. */
static inline bool same(const char *a, const char *b, size_t n) {
  if (n < 4 || n > 16) return !memcmp(a, b, n);
  if (n < 8) return word4(a) == word4(b) && word4(a + n - 4) == word4(b + n - 4);
  return word8(a) == word8(b) && word8(a + n - 8) == word8(b + n - 8);
}

/* The slot of the text, or the empty one where it belongs. */
static slot *probe(const moon_dict *dict, const char *text, size_t length, uint64_t hash) {
  for (size_t at = hash & dict->mask;; at = (at + 1) & dict->mask) {
    slot *s = &dict->slots[at];
    if (s->code == MOON_NONE) return s;
    if (s->tag != (uint32_t)(hash >> 32)) continue;
    const entry *e = &dict->entries[s->code];
    if (e->length == length && same(e->text, text, length)) return s;
  }
}

static moon_status rehash(moon_dict *dict) {
  size_t count = (dict->mask + 1) * 2;
  slot *slots = slots_new(count);
  if (!slots) return moon_fail(MOON_ENOMEM, "no memory for a dictionary of %zu", dict->n);
  for (size_t code = 0; code < dict->n; code++) {
    uint64_t hash = moon_hash(dict->entries[code].text, dict->entries[code].length);
    size_t at = hash & (count - 1);
    while (slots[at].code != MOON_NONE) at = (at + 1) & (count - 1);
    slots[at] = (slot){(uint32_t)(hash >> 32), (uint32_t)code};
  }
  moon_free(dict->slots);
  dict->slots = slots;
  dict->mask = count - 1;
  return moon_ok();
}

moon_status moon_dict_add(moon_dict *dict, const char *text, size_t length, uint32_t *code) {
  uint64_t hash = moon_hash(text, length);
  slot *at = probe(dict, text, length, hash);
  if (at->code != MOON_NONE) {
    *code = at->code;
    return moon_ok();
  }
  if (dict->n >= MOON_NONE - 1 || length > UINT32_MAX - 1)
    return moon_fail(MOON_ELIMIT, "a dictionary holds at most 2^32 - 2 texts");
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
  dict->entries[dict->n++] = (entry){copy, (uint32_t)length};
  *at = (slot){(uint32_t)(hash >> 32), *code};
  return moon_ok();
}

uint32_t moon_dict_find(const moon_dict *dict, const char *text, size_t length) {
  return probe(dict, text, length, moon_hash(text, length))->code;
}

const char *moon_dict_text(const moon_dict *dict, uint32_t code) { return dict->entries[code].text; }
size_t moon_dict_length(const moon_dict *dict, uint32_t code) { return dict->entries[code].length; }
size_t moon_dict_count(const moon_dict *dict) { return dict->n; }

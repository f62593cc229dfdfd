/* dict.c - interned strings with dense codes.
 *
 * An open-addressing table of slots finds a text's entry by its code. A slot keeps half of the hash beside the code: its upper bits
 * are the slot's place, so the table grows in one pass over itself, and the rest tell, nearly always, the right text. A short text
 * lies in its entry, a longer one in an arena; entries come in blocks that never move. What a probe touches is thus a slot and an
 * entry, both likely far away in memory: many texts at once are quicker than one by one, as their ways there overlap. */
#define XXH_INLINE_ALL
#include <string.h>
#include <xxhash.h>

#include "base/base.h"

enum { SHORT = 12, FIRST_BITS = 4, BLOCKS = 28, FEWEST_SLOTS_LOG = 6, TOGETHER = 64 };
#define MOST_TEXTS (UINT32_C(1) << 31)

typedef struct entry {
  uint32_t length;
  char text[SHORT]; /* and its zero, where it has room; else the last eight bytes are the address of both */
} entry;

typedef struct slot {
  uint32_t tag, code; /* the hash's upper half; MOON_NONE: empty */
} slot;

struct moon_dict {
  entry *blocks[BLOCKS]; /* of 16, 32, 64 .. entries */
  size_t n;
  slot *slots; /* [1 << slots_log] */
  unsigned slots_log;
  moon_arena texts;
};

uint64_t moon_hash(const void *bytes, size_t n) { return XXH3_64bits(bytes, n); }

static inline entry *entry_of(const moon_dict *dict, uint32_t code) {
  uint32_t at = code + (1u << FIRST_BITS), log = 31 - (uint32_t)__builtin_clz(at);
  return &dict->blocks[log - FIRST_BITS][at ^ 1u << log];
}

static inline const char *text_of(const entry *e) {
  if (e->length < SHORT) return e->text;
  const char *text;
  memcpy(&text, e->text + SHORT - sizeof text, sizeof text);
  return text;
}

static inline uint32_t tag_of(const char *text, size_t length) { return (uint32_t)(moon_hash(text, length) >> 32); }

static slot *slots_new(unsigned slots_log) {
  size_t bytes = sizeof(slot) << slots_log;
  slot *slots = moon_alloc(bytes);
  if (slots) memset(slots, 0xff, bytes);
  return slots;
}

moon_status moon_dict_new(moon_dict **out) {
  moon_dict *dict = moon_calloc(1, sizeof *dict);
  if (dict) dict->slots = slots_new(FEWEST_SLOTS_LOG), dict->slots_log = FEWEST_SLOTS_LOG;
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
  for (int i = 0; i < BLOCKS; i++) moon_free(dict->blocks[i]);
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
  if (n > 16) return !memcmp(a, b, n);
  if (n >= 8) return word8(a) == word8(b) && word8(a + n - 8) == word8(b + n - 8);
  if (n >= 4) return word4(a) == word4(b) && word4(a + n - 4) == word4(b + n - 4);
  return !n || (a[0] == b[0] && a[n / 2] == b[n / 2] && a[n - 1] == b[n - 1]);
}

static inline size_t home_of(uint32_t tag, unsigned slots_log) { return (uint64_t)tag << slots_log >> 32; }

/* From slot `at` on, the first of this tag, or the empty one before it. */
static inline size_t next_of_tag(const moon_dict *dict, uint32_t tag, size_t at) {
  size_t mask = ((size_t)1 << dict->slots_log) - 1;
  while (dict->slots[at].code != MOON_NONE && dict->slots[at].tag != tag) at = (at + 1) & mask;
  return at;
}

static inline bool is_entry(const entry *e, const char *text, size_t length) {
  return e->length == length && same(text_of(e), text, length);
}

/* The slot of the text, or the empty one where it belongs. */
static slot *probe(const moon_dict *dict, const char *text, size_t length, uint32_t tag) {
  for (size_t at = home_of(tag, dict->slots_log);; at = (at + 1) & (((size_t)1 << dict->slots_log) - 1)) {
    at = next_of_tag(dict, tag, at);
    slot *s = &dict->slots[at];
    if (s->code == MOON_NONE) return s;
    if (is_entry(entry_of(dict, s->code), text, length)) return s;
  }
}

static moon_status grow_slots(moon_dict *dict) {
  unsigned slots_log = dict->slots_log + 1;
  size_t mask = ((size_t)1 << slots_log) - 1;
  slot *slots = slots_new(slots_log);
  if (!slots) return moon_fail(MOON_ENOMEM, "no memory for a dictionary of %zu", dict->n);
  for (size_t i = 0; i < (size_t)1 << dict->slots_log; i++) {
    if (dict->slots[i].code == MOON_NONE) continue;
    size_t at = home_of(dict->slots[i].tag, slots_log);
    while (slots[at].code != MOON_NONE) at = (at + 1) & mask;
    slots[at] = dict->slots[i];
  }
  moon_free(dict->slots);
  dict->slots = slots;
  dict->slots_log = slots_log;
  return moon_ok();
}

/* The next code's entry, which is no one's yet. */
static moon_status fresh_entry(moon_dict *dict, entry **out) {
  uint32_t at = (uint32_t)dict->n + (1u << FIRST_BITS), log = 31 - (uint32_t)__builtin_clz(at);
  entry **block = &dict->blocks[log - FIRST_BITS];
  if (!*block) *block = moon_alloc(sizeof(entry) << log);
  if (!*block) return moon_fail(MOON_ENOMEM, "no memory for a dictionary of %zu", dict->n);
  *out = &(*block)[at ^ 1u << log];
  return moon_ok();
}

static moon_status entry_fill(moon_dict *dict, entry *e, const char *text, size_t length) {
  char *copy = e->text;
  if (length >= SHORT) {
    copy = moon_arena_alloc(&dict->texts, length + 1);
    if (!copy) return moon_fail(MOON_ENOMEM, "no memory for a text of %zu bytes", length);
    memcpy(e->text + SHORT - sizeof copy, &copy, sizeof copy);
  }
  if (length) memcpy(copy, text, length);
  copy[length] = 0;
  e->length = (uint32_t)length;
  return moon_ok();
}

static moon_status add_tagged(moon_dict *dict, const char *text, size_t length, uint32_t tag, uint32_t *code) {
  slot *at = probe(dict, text, length, tag);
  if (at->code != MOON_NONE) {
    *code = at->code;
    return moon_ok();
  }
  if (dict->n >= MOST_TEXTS || length > UINT32_MAX - 1)
    return moon_fail(MOON_ELIMIT, "a dictionary holds at most 2^31 texts of at most 2^32 - 2 bytes");
  if ((dict->n + 1) * 3 > (size_t)2 << dict->slots_log) {
    MOON_TRY(grow_slots(dict));
    at = probe(dict, text, length, tag);
  }
  entry *e = NULL;
  MOON_TRY(fresh_entry(dict, &e));
  MOON_TRY(entry_fill(dict, e, text, length));
  *code = (uint32_t)dict->n++;
  *at = (slot){tag, *code};
  return moon_ok();
}

moon_status moon_dict_add(moon_dict *dict, const char *text, size_t length, uint32_t *code) {
  return add_tagged(dict, text, length, tag_of(text, length), code);
}

/* The codes that some tags lead to first, or MOON_NONE; and what lies there is asked for. */
static void fetch(const moon_dict *dict, const uint32_t *tags, size_t n, uint32_t *codes) {
  for (size_t i = 0; i < n; i++) __builtin_prefetch(&dict->slots[home_of(tags[i], dict->slots_log)]);
  for (size_t i = 0; i < n; i++) {
    codes[i] = dict->slots[next_of_tag(dict, tags[i], home_of(tags[i], dict->slots_log))].code;
    if (codes[i] != MOON_NONE) __builtin_prefetch(entry_of(dict, codes[i]));
  }
  for (size_t i = 0; i < n && dict->texts.head; i++) /* not all are short */
    if (codes[i] != MOON_NONE) __builtin_prefetch(text_of(entry_of(dict, codes[i])));
}

static bool repeats(const moon_text *t) { return t[-1].at && t[-1].n == t->n && same(t[-1].at, t->at, t->n); }

static moon_status add_together(moon_dict *dict, const moon_text *texts, size_t n, uint32_t *codes) {
  uint32_t tags[TOGETHER], likely[TOGETHER];
  uint8_t which[TOGETHER]; /* those that are there and do not repeat the one before */
  size_t count = 0;
  for (size_t i = 0; i < n; i++) {
    if (!texts[i].at || (i && repeats(&texts[i]))) continue;
    which[count] = (uint8_t)i;
    tags[count++] = tag_of(texts[i].at, texts[i].n);
  }
  fetch(dict, tags, count, likely);
  for (size_t i = 0, k = 0; i < n; i++) {
    const moon_text *t = &texts[i];
    if (k == count || which[k] != i)
      codes[i] = t->at ? codes[i - 1] : MOON_NONE;
    else if (likely[k] != MOON_NONE && is_entry(entry_of(dict, likely[k]), t->at, t->n))
      codes[i] = likely[k++];
    else
      MOON_TRY(add_tagged(dict, t->at, t->n, tags[k++], &codes[i]));
  }
  return moon_ok();
}

moon_status moon_dict_add_many(moon_dict *dict, const moon_text *texts, size_t n, uint32_t *codes) {
  for (size_t i = 0; i < n; i += TOGETHER)
    MOON_TRY(add_together(dict, texts + i, n - i < TOGETHER ? n - i : TOGETHER, codes + i));
  return moon_ok();
}

uint32_t moon_dict_find(const moon_dict *dict, const char *text, size_t length) {
  return probe(dict, text, length, tag_of(text, length))->code;
}

const char *moon_dict_text(const moon_dict *dict, uint32_t code) { return text_of(entry_of(dict, code)); }
size_t moon_dict_length(const moon_dict *dict, uint32_t code) { return entry_of(dict, code)->length; }
size_t moon_dict_count(const moon_dict *dict) { return dict->n; }

/* base.h - the door of floor 0: what every room above may use.
 *
 * One idea: everything that can fail returns a moon_status, everything that allocates says who owns it, and nothing here knows
 * of tensors, tables or Lua. */
#ifndef MOON_BASE_H
#define MOON_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "moonshelf/status.h"

#define MOON_NONE UINT32_MAX /* "no row", "no code": the null of every uint32_t id */

/* ---- status ------------------------------------------------------------------------------------------------------------- */

static inline moon_status moon_ok(void) {
  moon_status s;
  s.code = MOON_OK;
  s.message[0] = 0;
  return s;
}
__attribute__((format(printf, 2, 3))) moon_status moon_fail(moon_code code, const char *format, ...);
/* The same failure with "prefix: " before its message; success passes through. */
__attribute__((format(printf, 2, 3))) moon_status moon_wrap(moon_status inner, const char *format, ...);

/* What a check of something finds, one after the other: all of it, where a moon_status is the first only. The text begins with the
 * place, "recipe.lua:12: ", where it has one. Without a function nobody is told. */
typedef struct moon_findings {
  void (*tell)(void *self, bool error, const char *text); /* else a warning */
  void *self;
} moon_findings;
static inline void moon_tell(const moon_findings *findings, bool error, const char *text) {
  if (findings && findings->tell) findings->tell(findings->self, error, text);
}

#define MOON_TRY(call)                 \
  do {                                 \
    moon_status try_ = (call);         \
    if (try_.code) return try_;        \
  } while (0)
/* For functions with something to clean up: `moon_status st = moon_ok(); MOON_GOTO(st, f(), done); ... done: free; return st;` */
#define MOON_GOTO(status, call, label) \
  do {                                 \
    (status) = (call);                 \
    if ((status).code) goto label;     \
  } while (0)

/* ---- memory (alloc.c) --------------------------------------------------------------------------------------------------- */

/* malloc family with a fault-injection point for tests. Return NULL where there is no memory. moon_free(NULL) is fine. */
void *moon_alloc(size_t bytes);
void *moon_calloc(size_t count, size_t bytes);
void *moon_realloc(void *memory, size_t bytes);
void *moon_alloc_aligned(size_t bytes); /* 64-byte aligned, zeroed; free with moon_free */
void moon_free(void *memory);
char *moon_strdup(const char *text);
char *moon_strndup(const char *text, size_t length);
/* Tests: the n-th allocation from now fails (0 = never), and all after it until called again with 0. */
void moon_alloc_fail_at(size_t n);
/* Grow *items (element size `each`, capacity *cap) to hold at least `need`; amortised doubling. */
moon_status moon_grow(void *items_ptr, size_t *cap, size_t need, size_t each);

/* A budget for all that the process allocates by these calls, with what it holds when the budget is set (spill.c); 0 ends it.
 * Blocks of 1 MiB and more that would pass three quarters of it become pages of an unlinked file in `folder`, which must be on a
 * disk; smaller ones that would pass the whole are refused, and MOON_ENOMEM's message then names the budget. For commands that
 * own their process: set it before there are threads and lots of data. MOON_ELIMIT where it is too small to begin with, MOON_EIO
 * or MOON_EINVAL where nothing can spill to the folder. */
moon_status moon_memory_limit(size_t bytes, const char *folder);
typedef struct moon_memory {
  size_t limit;                 /* 0: there is no budget */
  size_t used, peak;            /* bytes in memory */
  size_t spilled, spilled_peak; /* bytes in the file */
} moon_memory;
moon_memory moon_memory_now(void);

/* Arena: a chain of blocks freed at once. Zero-initialise to start (`moon_arena a = {0}`). reset() keeps the largest block, so a
 * request loop stops allocating after the first few requests. */
typedef struct moon_arena_block moon_arena_block;
typedef struct moon_arena {
  moon_arena_block *head;
  size_t used_total;
} moon_arena;
void *moon_arena_alloc(moon_arena *arena, size_t bytes); /* 16-byte aligned, not zeroed; NULL where no memory */
void *moon_arena_calloc(moon_arena *arena, size_t bytes);
void *moon_arena_alloc_aligned(moon_arena *arena, size_t bytes); /* 64-byte aligned */
char *moon_arena_strdup(moon_arena *arena, const char *text);
__attribute__((format(printf, 2, 3))) char *moon_arena_printf(moon_arena *arena, const char *format, ...);
void moon_arena_reset(moon_arena *arena);
void moon_arena_free(moon_arena *arena);

/* ---- strings (buf.c) ---------------------------------------------------------------------------------------------------- */

/* Growable byte buffer; always zero-terminated. `failed` latches on no memory so that a chain of appends is checked once. */
typedef struct moon_buf {
  char *data;
  size_t n, cap;
  bool failed;
} moon_buf;
void moon_buf_add(moon_buf *buf, const void *bytes, size_t n);
void moon_buf_puts(moon_buf *buf, const char *text);
__attribute__((format(printf, 2, 3))) void moon_buf_printf(moon_buf *buf, const char *format, ...);
void moon_buf_reset(moon_buf *buf);
void moon_buf_free(moon_buf *buf);

/* Bytes of the UTF-8 character that `text` begins with (RFC 3629: no surrogates, nothing overlong); 0 where it is none, a zero
 * byte, or n is 0. (text.c) */
size_t moon_utf8_length(const char *text, size_t n);
/* How many bytes from the start are such characters: n where all are. */
size_t moon_utf8_prefix(const char *text, size_t n);
/* Fit for JSON and a terminal: bytes that are not UTF-8, and control characters but line ends and tabs, become '?'. */
void moon_text_tidy(char *text);
/* "%.<digits>g" with a decimal point whatever the locale. */
void moon_number_text(double value, int digits, char out[32]);

/* The nearest of `names` to `name` by edit distance (Damerau-Levenshtein, case aside; at most a third of its length + 1), or
 * NULL. */
const char *moon_nearest(const char *name, const char *const *names, size_t count);

/* JSON into a buffer (json.c): whatever comes in, JSON goes out. */
void moon_json_text(moon_buf *out, const char *text, size_t n); /* quoted and escaped; a broken byte becomes U+FFFD */
void moon_json_string(moon_buf *out, const char *text);         /* null for NULL */
void moon_json_integer(moon_buf *out, int64_t value);
void moon_json_number(moon_buf *out, double value); /* reads back the same; null for what JSON cannot say */
void moon_json_score(moon_buf *out, float value);   /* six digits of it */

/* ---- hashing and interning (dict.c, map.c) ------------------------------------------------------------------------------ */

uint64_t moon_hash(const void *bytes, size_t n); /* XXH3-64; stable across machines and versions */
static inline uint64_t moon_mix64(uint64_t x) {   /* splitmix64's finaliser (Steele, Lea, Flood 2014) */
  x ^= x >> 30, x *= 0xbf58476d1ce4e5b9u, x ^= x >> 27, x *= 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

/* Interned strings with dense codes 0..n-1 in order of first sight. */
typedef struct moon_dict moon_dict;
moon_status moon_dict_new(moon_dict **out);
void moon_dict_free(moon_dict *dict);
moon_status moon_dict_add(moon_dict *dict, const char *text, size_t length, uint32_t *code); /* finds or adds */
typedef struct moon_text {
  const char *at; /* [n], not zero-terminated */
  size_t n;
} moon_text;
/* The same for many, in their order, and quicker: codes [n]; a NULL text has MOON_NONE. Of a failure's texts the first are added. */
moon_status moon_dict_add_many(moon_dict *dict, const moon_text *texts, size_t n, uint32_t *codes);
uint32_t moon_dict_find(const moon_dict *dict, const char *text, size_t length); /* MOON_NONE where absent */
const char *moon_dict_text(const moon_dict *dict, uint32_t code); /* zero-terminated; valid until the dict is freed */
size_t moon_dict_length(const moon_dict *dict, uint32_t code);
size_t moon_dict_count(const moon_dict *dict);

/* uint64 -> uint64, open addressing. Zero-initialise to start. Key UINT64_MAX is reserved. */
typedef struct moon_map {
  uint64_t *keys, *values;
  size_t n, cap;
} moon_map;
moon_status moon_map_put(moon_map *map, uint64_t key, uint64_t value);
bool moon_map_get(const moon_map *map, uint64_t key, uint64_t *value);
/* Asks for the memory that finding the key will need. */
void moon_map_fetch(const moon_map *map, uint64_t key);
void moon_map_remove(moon_map *map, uint64_t key); /* where it is there */
void moon_map_free(moon_map *map);

/* ---- random numbers (rng.c): Philox4x32-10 (Salmon et al. 2011), so a (seed, stream) pair is reproducible anywhere ------- */

typedef struct moon_rng {
  uint32_t key[2], counter[4], out[4];
  unsigned left;
} moon_rng;
void moon_rng_seed(moon_rng *rng, uint64_t seed, uint64_t stream);
uint32_t moon_rng_u32(moon_rng *rng);
uint64_t moon_rng_u64(moon_rng *rng);
double moon_rng_uniform(moon_rng *rng);                  /* [0, 1), 53 bits */
uint32_t moon_rng_below(moon_rng *rng, uint32_t bound);  /* unbiased, [0, bound) */
double moon_rng_normal(moon_rng *rng);                   /* Box-Muller */
void moon_rng_shuffle(moon_rng *rng, uint32_t *items, size_t n); /* Fisher-Yates */

/* ---- time (clock.c): int64 microseconds since 1970 UTC -------------------------------------------------------------------- */

#define MOON_SECOND INT64_C(1000000)
int64_t moon_now(void);       /* wall clock */
int64_t moon_monotonic(void); /* for durations */
/* "2026-11-24", "2026-11-24T10:11[:12[.ffffff]][Z|+hh:mm]" or with a blank for T; UTC where there is no zone; digits of a
 * fraction beyond the sixth are dropped. false otherwise: the common case of a log, so it makes no message. */
bool moon_time_read(const char *text, size_t n, int64_t *out);
moon_status moon_time_parse(const char *text, size_t n, int64_t *out); /* the same; MOON_EFORMAT with a message */
/* "90s", "30m", "24h", "7d", "2w"; MOON_EFORMAT otherwise. */
moon_status moon_duration_parse(const char *text, int64_t *out);
void moon_time_format(int64_t time, char out[32]); /* 2026-11-24T10:11:12Z */

/* Time zones (zone.c). A name is an offset ("+02:00", "UTC"), one of the system's tz database ("Europe/Amsterdam"), or a POSIX rule
 * ("CET-1CEST,M3.5.0,M10.5.0/3"); MOON_ENOTFOUND otherwise. */
typedef struct moon_zone moon_zone;
moon_status moon_zone_new(const char *name, moon_zone **out);
moon_status moon_zone_read(const char *bytes, size_t n, moon_zone **out); /* of a TZif file (RFC 8536), version 2 or later */
void moon_zone_free(moon_zone *zone);
/* UTC of what the clock on the wall said, as microseconds since 1970 on that clock. A time that came twice is the earlier one; one that
 * was skipped counts on from before. */
int64_t moon_zone_utc(const moon_zone *zone, int64_t local);
/* How far clocks there are ahead of UTC at that time: microseconds, both. */
int64_t moon_zone_offset(const moon_zone *zone, int64_t utc);
/* A zone as text and back, whatever files the machine has: "3600,228877200:7200,243997200:3600;CET-1CEST,M3.5.0,M10.5.0/3" is the offset
 * before the first change, the changes since 1970 that the rule does not tell, and the rule; often the rule alone. */
moon_status moon_zone_text(const moon_zone *zone, moon_buf *out);
moon_status moon_zone_parse(const char *text, moon_zone **out);

/* ---- files and checksums (file.c) ---------------------------------------------------------------------------------------- */

/* Appends the whole file. MOON_ELIMIT past `limit` bytes (0 = no limit). */
moon_status moon_file_read(const char *path, size_t limit, moon_buf *out);
moon_status moon_file_write(const char *path, const void *bytes, size_t n); /* new file, fsynced */
/* The same, written as PATH.part and moved over `path`: whenever the power goes, there is the old file or the new one. */
moon_status moon_file_replace(const char *path, const void *bytes, size_t n);
bool moon_file_exists(const char *path);
moon_status moon_dir_make(const char *path);       /* with parents; existing is fine */
moon_status moon_dir_remove(const char *path);     /* with all that is in it; a link is removed, not followed */
/* The folder `fresh` becomes `live` atomically and durably; what `live` was, a folder or a link to one, is removed. */
moon_status moon_dir_swap(const char *fresh, const char *live);
char *moon_path_join(const char *folder, const char *name); /* owned; an absolute name stands alone */
/* SHA-256 as 64 lower-case hex digits + zero. */
void moon_sha256(const void *bytes, size_t n, char out[65]);

/* ---- progress ------------------------------------------------------------------------------------------------------------ */

/* Called from long work on the caller's thread; `fraction` in [0, 1] or < 0 where unknown; `note` is a short text such as
 * "epoch 3/10  loss 0.512  81,000 examples/s". Return false to cancel (the work answers MOON_ECANCELED). */
typedef struct moon_progress {
  bool (*step)(void *self, const char *stage, double fraction, const char *note);
  void *self;
} moon_progress;
bool moon_progress_step(const moon_progress *progress, const char *stage, double fraction, const char *note); /* NULL: true */

#endif

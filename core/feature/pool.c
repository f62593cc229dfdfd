/* pool.c - many small arrays that grow by doubling, without a malloc header or a pointer chase for each. */
#include <string.h>
#include <sys/mman.h>

#include "feature/state.h"

struct moon_pool_chunk {
  moon_pool_chunk *next;
  uint64_t pad; /* blocks stay 16-byte aligned */
};
enum { SMALLEST = 16, FIRST_CHUNK = MOON_POOL_CHUNK, LARGEST_CHUNK = 1 << 25, HUGE_FROM = 1 << 22, PAGE = 1 << 12 };

/* Reads jump about in here, and with small pages half of their time would go into finding the page. Only a wish: it may be
 * refused. */
static void prefer_huge_pages(void *memory, size_t bytes) {
#ifdef MADV_HUGEPAGE
  size_t skip = -(uintptr_t)memory & (PAGE - 1);
  madvise((char *)memory + skip, (bytes - skip) & ~(size_t)(PAGE - 1), MADV_HUGEPAGE);
#else
  (void)memory, (void)bytes;
#endif
}

static void *chunk_new(moon_pool *pool, size_t bytes) {
  if (pool->most && (bytes > pool->most || pool->total > pool->most - bytes)) return NULL;
  moon_pool_chunk *chunk = moon_alloc(sizeof *chunk + bytes);
  if (!chunk) return NULL;
  if (bytes >= HUGE_FROM) prefer_huge_pages(chunk, bytes);
  chunk->next = pool->chunks;
  pool->chunks = chunk;
  pool->total += bytes;
  return chunk + 1;
}

static void put_back(moon_pool *pool, void *block, unsigned size) {
  memcpy(block, &pool->free[size], sizeof(void *));
  pool->free[size] = block;
}

static void *take_free(moon_pool *pool, unsigned size) {
  void *block = pool->free[size];
  if (block) memcpy(&pool->free[size], block, sizeof(void *));
  return block;
}

/* A block cut out of a larger one that waits; the other halves wait. */
static void *split(moon_pool *pool, unsigned size) {
  unsigned from = size + 1;
  while (from < MOON_POOL_SIZES && !pool->free[from]) from++;
  char *block = from < MOON_POOL_SIZES ? take_free(pool, from) : NULL;
  while (block && from-- > size) put_back(pool, block + ((size_t)SMALLEST << from), from);
  return block;
}

/* What is left of the newest chunk waits in pieces. */
static void break_up(moon_pool *pool) {
  for (unsigned size = MOON_POOL_SIZES; size-- > 0;) {
    size_t bytes = (size_t)SMALLEST << size;
    if (bytes > pool->left) continue;
    put_back(pool, pool->next, size);
    pool->next += bytes, pool->left -= bytes, size++;
  }
}

/* Twice as much each time; with a limit, a little at a time and as far as it goes. */
static size_t next_chunk(const moon_pool *pool) {
  if (!pool->thrifty) return pool->total < FIRST_CHUNK ? FIRST_CHUNK : pool->total > LARGEST_CHUNK ? LARGEST_CHUNK : pool->total;
  size_t room = pool->most > pool->total ? pool->most - pool->total : 0;
  return room < FIRST_CHUNK ? room : FIRST_CHUNK;
}

/* A block of SMALLEST << size bytes. Large ones are chunks of their own, so that little of a chunk is left unused; and so is one beyond a
 * limit, where that is allowed. */
static void *take(moon_pool *pool, unsigned size) {
  void *block = take_free(pool, size);
  size_t bytes = (size_t)SMALLEST << size;
  if (block) return block;
  if (pool->left < bytes || bytes > FIRST_CHUNK / 8) block = split(pool, size);
  if (block) return block;
  if (bytes > FIRST_CHUNK / 8 || (pool->thrifty && !pool->most && pool->left < bytes)) return chunk_new(pool, bytes);
  if (pool->left < bytes) {
    size_t chunk = next_chunk(pool);
    char *fresh = chunk < bytes ? NULL : chunk_new(pool, chunk);
    if (!fresh) return NULL;
    break_up(pool);
    pool->next = fresh;
    pool->left = chunk;
  }
  block = pool->next;
  pool->next += bytes;
  pool->left -= bytes;
  return block;
}

static unsigned size_for(size_t bytes) {
  unsigned size = 0;
  while ((size_t)SMALLEST << size < bytes) size++;
  return size;
}

void *moon_pool_take(moon_pool *pool, size_t bytes) {
  return bytes <= (size_t)SMALLEST << (MOON_POOL_SIZES - 1) ? take(pool, size_for(bytes)) : NULL;
}

void moon_pool_give(moon_pool *pool, void *block, size_t bytes) {
  if (block) put_back(pool, block, size_for(bytes));
}

moon_status moon_pool_room(moon_pool *pool, void *items_ptr, uint32_t n, uint32_t *cap, size_t each) {
  if (n < *cap) return moon_ok();
  if (*cap > UINT32_MAX / 4) return moon_fail(MOON_ELIMIT, "over 2^30 events of one user or item in one window");
  unsigned size = 0;
  while ((size_t)SMALLEST << size <= *cap * each) size++;
  void *old, *fresh = take(pool, size);
  if (!fresh) return moon_fail(MOON_ENOMEM, "no memory for %u events", n + 1);
  memcpy(&old, items_ptr, sizeof old); /* items_ptr points at a pointer of the caller's type: copy it, do not pun it */
  if (n) memcpy(fresh, old, n * each);
  if (old) put_back(pool, old, size - 1);
  memcpy(items_ptr, &fresh, sizeof fresh);
  *cap = (uint32_t)(((size_t)SMALLEST << size) / each);
  return moon_ok();
}

void moon_pool_free(moon_pool *pool) {
  for (moon_pool_chunk *chunk = pool->chunks, *next; chunk; chunk = next) {
    next = chunk->next;
    moon_free(chunk);
  }
  *pool = (moon_pool){0};
}

/* pool.c - many small arrays that grow by doubling, without a malloc header or a pointer chase for each. */
#include <string.h>

#include "feature/state.h"

struct moon_pool_chunk {
  moon_pool_chunk *next;
  uint64_t pad; /* blocks stay 16-byte aligned */
};
enum { CHUNK = 1 << 18, SMALLEST = 16 };

static void *chunk_new(moon_pool *pool, size_t bytes) {
  moon_pool_chunk *chunk = moon_alloc(sizeof *chunk + bytes);
  if (!chunk) return NULL;
  chunk->next = pool->chunks;
  pool->chunks = chunk;
  return chunk + 1;
}

/* A block of SMALLEST << size bytes. Large ones are chunks of their own, so that little of a chunk is left unused. */
static void *take(moon_pool *pool, unsigned size) {
  void *block = pool->free[size];
  size_t bytes = (size_t)SMALLEST << size;
  if (block) {
    memcpy(&pool->free[size], block, sizeof(void *));
    return block;
  }
  if (bytes > CHUNK / 8) return chunk_new(pool, bytes);
  if (pool->left < bytes) {
    char *fresh = chunk_new(pool, CHUNK);
    if (!fresh) return NULL;
    pool->next = fresh;
    pool->left = CHUNK;
  }
  block = pool->next;
  pool->next += bytes;
  pool->left -= bytes;
  return block;
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
  if (old) {
    memcpy(old, &pool->free[size - 1], sizeof(void *));
    pool->free[size - 1] = old;
  }
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

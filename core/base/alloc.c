/* alloc.c - malloc with a fault-injection point, so that tests can make the n-th allocation fail and see that nothing breaks; and
 * with a budget, where one is set (spill.c). */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/spill.h"

static atomic_size_t fail_at, seen; /* fail_at 0: never; test-only state, atomic so that threads may allocate */

void moon_alloc_fail_at(size_t n) {
  atomic_store(&seen, 0);
  atomic_store(&fail_at, n);
}

static bool refuse(void) {
  size_t at = atomic_load_explicit(&fail_at, memory_order_relaxed);
  return at && atomic_fetch_add(&seen, 1) + 1 >= at;
}

void *moon_alloc(size_t bytes) {
  if (refuse()) return NULL;
  if (!bytes) bytes = 1;
  return moon_spill_active() ? moon_spill_alloc(bytes, MOON_BLOCK_PLAIN) : malloc(bytes);
}

void *moon_calloc(size_t count, size_t each) {
  size_t bytes;
  if (refuse() || __builtin_mul_overflow(count, each, &bytes)) return NULL;
  if (!bytes) bytes = 1;
  return moon_spill_active() ? moon_spill_alloc(bytes, MOON_BLOCK_ZEROED) : calloc(1, bytes);
}

void *moon_realloc(void *memory, size_t bytes) {
  if (refuse()) return NULL;
  if (!bytes) bytes = 1;
  return moon_spill_active() ? moon_spill_realloc(memory, bytes) : realloc(memory, bytes);
}

void moon_free(void *memory) {
  if (moon_spill_active()) moon_spill_free(memory);
  else free(memory);
}

void *moon_alloc_aligned(size_t bytes) {
  if (refuse() || bytes > SIZE_MAX - 128) return NULL;
  size_t whole = (bytes + 63) & ~(size_t)63;
  if (!whole) whole = 64;
  if (moon_spill_active()) return moon_spill_alloc(whole, MOON_BLOCK_ALIGNED);
  void *memory = aligned_alloc(64, whole);
  return memory ? memset(memory, 0, whole) : NULL;
}

char *moon_strndup(const char *text, size_t length) {
  char *copy = moon_alloc(length + 1);
  if (!copy) return NULL;
  memcpy(copy, text, length);
  copy[length] = 0;
  return copy;
}

char *moon_strdup(const char *text) { return moon_strndup(text, strlen(text)); }

moon_status moon_grow(void *items_ptr, size_t *cap, size_t need, size_t each) {
  if (need <= *cap) return moon_ok();
  size_t fresh = *cap ? *cap : 16;
  while (fresh < need) {
    if (fresh > SIZE_MAX / 2) return moon_fail(MOON_ENOMEM, "no memory for %zu items", need);
    fresh *= 2;
  }
  if (fresh > SIZE_MAX / each) return moon_fail(MOON_ENOMEM, "no memory for %zu items of %zu bytes", need, each);
  void *items; /* items_ptr points at a pointer of the caller's type: copy it, do not pun it */
  memcpy(&items, items_ptr, sizeof items);
  items = moon_realloc(items, fresh * each);
  if (!items) return moon_fail(MOON_ENOMEM, "no memory for %zu items of %zu bytes", fresh, each);
  memcpy(items_ptr, &items, sizeof items);
  *cap = fresh;
  return moon_ok();
}

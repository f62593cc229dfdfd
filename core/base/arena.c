/* arena.c - a chain of blocks freed at once.
 *
 * Blocks double in size, so after a reset the largest one alone usually holds all that the next round needs. */
#include <stdio.h>
#include <string.h>

#include "base/base.h"

struct moon_arena_block {
  moon_arena_block *next;
  char *data; /* behind this header, 64-byte aligned */
  size_t size, used;
};
enum { FIRST_BLOCK = 16384, HEADER = sizeof(moon_arena_block) + 63 };

static void *take(moon_arena_block *block, size_t bytes, size_t align) {
  if (!block) return NULL;
  size_t start = (block->used + align - 1) & ~(align - 1);
  if (start > block->size || block->size - start < bytes) return NULL;
  block->used = start + bytes;
  return block->data + start;
}

static void *arena_alloc(moon_arena *arena, size_t bytes, size_t align) {
  if (bytes > SIZE_MAX / 4) return NULL;
  if (!bytes) bytes = 1;
  void *memory = take(arena->head, bytes, align);
  if (!memory) {
    size_t size = arena->head ? arena->head->size * 2 : FIRST_BLOCK;
    while (size < bytes + align) size *= 2;
    moon_arena_block *block = moon_alloc(HEADER + size); /* not zeroed: pages are touched as they are used */
    if (!block) return NULL;
    char *data = (char *)block + HEADER;
    *block = (moon_arena_block){.next = arena->head, .data = data - (uintptr_t)data % 64, .size = size};
    arena->head = block;
    memory = take(block, bytes, align);
  }
  arena->used_total += bytes;
  return memory;
}

void *moon_arena_alloc(moon_arena *arena, size_t bytes) { return arena_alloc(arena, bytes, 16); }
void *moon_arena_alloc_aligned(moon_arena *arena, size_t bytes) { return arena_alloc(arena, bytes, 64); }

void *moon_arena_calloc(moon_arena *arena, size_t bytes) {
  void *memory = arena_alloc(arena, bytes, 16);
  return memory ? memset(memory, 0, bytes) : NULL;
}

char *moon_arena_strdup(moon_arena *arena, const char *text) {
  size_t n = strlen(text) + 1;
  char *copy = moon_arena_alloc(arena, n);
  return copy ? memcpy(copy, text, n) : NULL;
}

char *moon_arena_printf(moon_arena *arena, const char *format, ...) {
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  int n = vsnprintf(NULL, 0, format, args);
  va_end(args);
  char *text = n < 0 ? NULL : moon_arena_alloc(arena, (size_t)n + 1);
  if (text) vsnprintf(text, (size_t)n + 1, format, again);
  va_end(again);
  return text;
}

void moon_arena_reset(moon_arena *arena) {
  if (!arena->head) return;
  moon_arena rest = {.head = arena->head->next}; /* the head is the largest */
  moon_arena_free(&rest);
  arena->head->next = NULL;
  arena->head->used = 0;
  arena->used_total = 0;
}

void moon_arena_free(moon_arena *arena) {
  for (moon_arena_block *block = arena->head, *next; block; block = next) {
    next = block->next;
    moon_free(block);
  }
  *arena = (moon_arena){0};
}

/* memory.c - the allocator of a host's Lua state: counts every byte against the host's limit.
 *
 * Allocating is also work: a script that builds and drops long strings spends few instructions and much time. So bytes are
 * charged to the budget as well, and once that is spent no long block is given any more. Lua turns a refused block into an error;
 * the budget's own functions then see to it that the script cannot go on. */
#include "script/internal.h"

enum { BYTES_PER_STEP = 32, LONG_BLOCK = 64 * 1024 };

void *moon_host_allocate(void *self, void *block, size_t old_size, size_t new_size) {
  moon_host *host = self;
  if (!block) old_size = 0; /* Lua passes a type tag here */
  if (!new_size) {
    moon_free(block);
    host->memory -= old_size;
    return NULL;
  }
  if (new_size > old_size) {
    size_t more = new_size - old_size;
    if (more > host->options.memory_limit || host->memory > host->options.memory_limit - more) {
      host->memory_struck = true;
      return NULL;
    }
    host->left -= (int64_t)(more / BYTES_PER_STEP);
    if (host->left < 0 && new_size > LONG_BLOCK) return NULL;
  }
  void *fresh = moon_realloc(block, new_size);
  if (!fresh) return new_size <= old_size ? block : NULL; /* Lua counts on shrinking */
  host->memory += new_size;
  host->memory -= old_size;
  return fresh;
}

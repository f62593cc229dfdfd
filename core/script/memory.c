/* memory.c - the allocator of a host's Lua state: counts every byte against the limits of the host and of the call.
 *
 * Lua answers a refused block with a full collection, asks again, and raises an error that a script could catch. A collection takes
 * as long as the heap is large, so it is paid for like other work. Where it cannot be paid, or did not help, the call is over: a small
 * block is lent, so that nobody has to wait for another collection, and the hook stops the script at its next instruction.
 *
 * Allocating is also work: a script that builds and drops long strings spends few instructions and much time. So bytes are charged to
 * the budget as well, and once that is spent no long block is given any more. */
#include "script/internal.h"

enum { BYTES_PER_STEP = 32, COLLECTED_PER_STEP = 16, LONG_BLOCK = 64 * 1024, WALKED_BLOCK = 16 * 1024 };
enum { LENT_MOST = 4 * 1024 * 1024, TABLE_SHARE = 8 }; /* a table or a stack is walked through that much faster than a string */

/* A call that is bounded at all is not to have strings that single instructions take milliseconds for. */
static bool is_too_long(const moon_host *host, size_t size) {
  enum { SHARE = 32 };
  return host->options.call_memory && host->in_call && size > host->options.call_memory / SHARE;
}

static bool grant(moon_host *host, size_t more, size_t size, bool is_string) {
  if (is_string && is_too_long(host, size)) {
    moon_budget_spend(host, MOON_STRIKE_MEMORY);
    if (host->running) moon_budget_tune(host);
  }
  if (more <= host->ceiling && host->memory <= host->ceiling - more) return true;
  uint64_t cost = host->memory / COLLECTED_PER_STEP;
  if (host->refused != size && moon_budget_allows(host, cost)) {
    host->left -= (int64_t)cost;
    host->refused = size;
    return false;
  }
  moon_budget_spend(host, MOON_STRIKE_MEMORY);
  if (host->running) moon_budget_tune(host);
  return size <= LENT_MOST && host->memory < host->ceiling + LENT_MOST;
}

/* One instruction may have to go through all of it. */
static void note_length(moon_host *host, size_t size, bool is_string) {
  size_t length = is_string ? size : size / TABLE_SHARE;
  if (length <= host->longest) return;
  host->longest = length;
  if (host->running) moon_budget_tune(host);
}

static bool charge(moon_host *host, size_t more, size_t size) {
  if (host->struck == MOON_STRIKE_MEMORY) return true; /* it is lent */
  host->left -= (int64_t)(more / BYTES_PER_STEP);
  if (size <= LONG_BLOCK) return true;
  if (host->left >= 0 && moon_monotonic() > host->deadline) moon_budget_spend(host, MOON_STRIKE_TIME);
  if (host->left >= 0) return true;
  moon_budget_spend(host, MOON_STRIKE_STEPS);
  return false;
}

void *moon_host_allocate(void *self, void *block, size_t old_size, size_t new_size) {
  moon_host *host = self;
  bool is_string = !block && old_size == LUA_TSTRING, walked = is_string || block || old_size != LUA_TUSERDATA;
  if (!block) old_size = 0; /* Lua passes a type tag here */
  if (!new_size) {
    moon_free(block);
    host->memory -= old_size;
    host->long_live -= old_size > WALKED_BLOCK;
    return NULL;
  }
  if (new_size > old_size &&
      (!grant(host, new_size - old_size, new_size, is_string) || !charge(host, new_size - old_size, new_size)))
    return NULL;
  void *fresh = moon_realloc(block, new_size);
  if (!fresh) return new_size <= old_size ? block : NULL; /* Lua counts on shrinking */
  host->refused = 0;
  host->memory += new_size;
  host->memory -= old_size;
  host->long_live += new_size > WALKED_BLOCK;
  host->long_live -= old_size > WALKED_BLOCK;
  if (new_size > WALKED_BLOCK && walked) note_length(host, new_size, is_string);
  return fresh;
}

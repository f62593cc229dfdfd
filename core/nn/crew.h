/* crew.h - training on many threads with the same bytes on any number of them.
 *
 * A batch is cut into shards by its size alone. Each shard goes through a tape of its own, whichever thread takes it; gradients and losses
 * are added shard by shard. */
#ifndef MOON_NN_CREW_H
#define MOON_NN_CREW_H
#include "base/base.h"

enum { MOON_MOST_SHARDS = 8, MOON_MOST_THREADS = 64 };

/* How many shards: each has rows enough to be worth a tape of its own, and a small batch is one. whole: the model looks at a batch as a
 * whole (moon_module_splits), which is then not cut. */
size_t moon_shard_count(size_t batch, bool whole);
static inline size_t moon_shard_start(size_t batch, size_t shards, size_t shard) {
  return batch * shard / shards;
}

/* Threads that wait for work. run calls work(self, i) for i in [0, n), each once, on the caller's thread and on theirs, and returns when all
 * are done. A crew of one has no threads. */
typedef struct moon_crew moon_crew;
typedef void (*moon_crew_fn)(void *self, size_t i);
moon_status moon_crew_new(size_t threads, moon_crew **out);
void moon_crew_free(moon_crew *crew);
void moon_crew_run(moon_crew *crew, size_t n, moon_crew_fn work, void *self);
size_t moon_cores(void); /* that this process may use */

#endif

/* crew.c - threads that wait for the shards of a batch.
 *
 * A call is a number that goes up; each thread takes the next index until there are none. Steps follow one another within tens of
 * microseconds, so those who wait look for a while before they sleep: waking a sleeper costs more than a small step. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "nn/crew.h"

enum { LOOKS = 2000, SHARD_ROWS = 128 };

size_t moon_shard_count(size_t batch, bool whole) {
  size_t shards = batch / SHARD_ROWS;
  return whole || shards < 2 ? 1 : shards > MOON_MOST_SHARDS ? MOON_MOST_SHARDS : shards;
}

struct moon_crew {
  size_t threads; /* beside the caller's */
  pthread_t thread[MOON_MOST_THREADS];
  /* The call in progress; written before `call` goes up. */
  moon_crew_fn work;
  void *self;
  size_t n;
  atomic_size_t next, left; /* the next index; threads that are not through yet */
  atomic_size_t call;
  atomic_bool over;
  pthread_mutex_t lock;
  pthread_cond_t called, done;
};

size_t moon_cores(void) {
  cpu_set_t set;
  int n = sched_getaffinity(0, sizeof set, &set) ? 1 : CPU_COUNT(&set);
  return n < 1 ? 1 : n > MOON_MOST_THREADS ? MOON_MOST_THREADS : (size_t)n;
}

static inline void breathe(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

static void take_all(moon_crew *crew) {
  for (;;) {
    size_t i = atomic_fetch_add_explicit(&crew->next, 1, memory_order_relaxed);
    if (i >= crew->n) return;
    crew->work(crew->self, i);
  }
}

static void await_call(moon_crew *crew, size_t seen) {
  for (int look = 0; look < LOOKS; look++) {
    if (atomic_load_explicit(&crew->call, memory_order_acquire) != seen) return;
    breathe();
  }
  pthread_mutex_lock(&crew->lock);
  while (atomic_load(&crew->call) == seen) pthread_cond_wait(&crew->called, &crew->lock);
  pthread_mutex_unlock(&crew->lock);
}

static void *member(void *self) {
  moon_crew *crew = self;
  for (size_t seen = 0;; seen++) {
    await_call(crew, seen);
    if (atomic_load(&crew->over)) return NULL;
    take_all(crew);
    if (atomic_fetch_sub_explicit(&crew->left, 1, memory_order_acq_rel) != 1) continue;
    pthread_mutex_lock(&crew->lock); /* the caller is between its look and its sleep, or not: it must not miss this */
    pthread_cond_signal(&crew->done);
    pthread_mutex_unlock(&crew->lock);
  }
}

static void call(moon_crew *crew) {
  pthread_mutex_lock(&crew->lock);
  atomic_fetch_add(&crew->call, 1);
  pthread_cond_broadcast(&crew->called);
  pthread_mutex_unlock(&crew->lock);
}

void moon_crew_run(moon_crew *crew, size_t n, moon_crew_fn work, void *self) {
  if (!crew->threads || n < 2) {
    for (size_t i = 0; i < n; i++) work(self, i);
    return;
  }
  crew->work = work, crew->self = self, crew->n = n;
  atomic_store_explicit(&crew->next, 0, memory_order_relaxed);
  atomic_store_explicit(&crew->left, crew->threads, memory_order_relaxed);
  call(crew);
  take_all(crew);
  for (int look = 0; look < LOOKS; look++) {
    if (!atomic_load_explicit(&crew->left, memory_order_acquire)) return;
    breathe();
  }
  pthread_mutex_lock(&crew->lock);
  while (atomic_load(&crew->left)) pthread_cond_wait(&crew->done, &crew->lock);
  pthread_mutex_unlock(&crew->lock);
}

moon_status moon_crew_new(size_t threads, moon_crew **out) {
  moon_crew *crew = *out = moon_calloc(1, sizeof *crew);
  if (!crew) return moon_fail(MOON_ENOMEM, "no memory for threads");
  pthread_mutex_init(&crew->lock, NULL);
  pthread_cond_init(&crew->called, NULL);
  pthread_cond_init(&crew->done, NULL);
  if (threads > MOON_MOST_THREADS) threads = MOON_MOST_THREADS;
  while (crew->threads + 1 < threads && !pthread_create(&crew->thread[crew->threads], NULL, member, crew))
    crew->threads++; /* fewer will do */
  return moon_ok();
}

void moon_crew_free(moon_crew *crew) {
  if (!crew) return;
  atomic_store(&crew->over, true);
  call(crew);
  for (size_t i = 0; i < crew->threads; i++) pthread_join(crew->thread[i], NULL);
  pthread_mutex_destroy(&crew->lock);
  pthread_cond_destroy(&crew->called);
  pthread_cond_destroy(&crew->done);
  moon_free(crew);
}

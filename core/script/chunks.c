/* chunks.c - the files that a script is made of, kept as they were read.
 *
 * A Lua state that is worn out is made anew while the server runs, and must not pick up half of an edit that nobody has asked to load.
 * Hosts on two threads may share the list; nothing is ever taken off it. */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "script/internal.h"

struct moon_chunks {
  atomic_size_t holders;
  pthread_mutex_t lock; /* of the list */
  moon_chunk *first, **end;
};

moon_status moon_chunks_new(moon_chunks **out) {
  moon_chunks *chunks = *out = moon_calloc(1, sizeof *chunks);
  if (!chunks) return moon_fail(MOON_ENOMEM, "no memory for a script's files");
  atomic_init(&chunks->holders, 1);
  pthread_mutex_init(&chunks->lock, NULL);
  chunks->end = &chunks->first;
  return moon_ok();
}

moon_chunks *moon_chunks_hold(moon_chunks *chunks) {
  atomic_fetch_add(&chunks->holders, 1);
  return chunks;
}

void moon_chunks_release(moon_chunks *chunks) {
  if (!chunks || atomic_fetch_sub(&chunks->holders, 1) > 1) return;
  for (moon_chunk *text = chunks->first, *next; text; text = next) {
    next = text->next;
    moon_free(text->path);
    moon_buf_free(&text->bytes);
    moon_free(text);
  }
  pthread_mutex_destroy(&chunks->lock);
  moon_free(chunks);
}

const char *moon_chunks_first(const moon_chunks *chunks) {
  return chunks->first ? chunks->first->path : NULL;
}

static moon_status read_text(const moon_host_options *o, const char *path, const char *beside, size_t limit, moon_chunk *out) {
  out->path = moon_strdup(path);
  if (!out->path) return moon_fail(MOON_ENOMEM, "no memory to load %s", path);
  return beside && o->read ? o->read(o->read_self, beside, &out->bytes) : moon_file_read(path, limit, &out->bytes);
}

/* Under the lock. */
static moon_status find_or_read(const moon_host_options *o, moon_chunks *chunks, const char *path, const char *beside, size_t limit, const moon_chunk **out) {
  for (const moon_chunk *known = chunks->first; known; known = known->next) {
    *out = known;
    if (!strcmp(known->path, path)) return moon_ok();
  }
  moon_chunk *chunk = moon_calloc(1, sizeof *chunk);
  moon_status status = chunk ? read_text(o, path, beside, limit, chunk) : moon_fail(MOON_ENOMEM, "no memory to load %s", path);
  if (status.code) {
    if (chunk) moon_buf_free(&chunk->bytes), moon_free(chunk->path);
    moon_free(chunk);
    return status;
  }
  *chunks->end = chunk;
  chunks->end = &chunk->next;
  *out = chunk;
  return status;
}

moon_status moon_chunks_read(moon_host *host, const char *path, const char *beside, size_t limit, const moon_chunk **out) {
  if (!host->chunks) MOON_TRY(moon_chunks_new(&host->chunks));
  moon_chunks *chunks = host->chunks;
  pthread_mutex_lock(&chunks->lock);
  moon_status status = find_or_read(&host->options, chunks, path, beside, limit, out);
  pthread_mutex_unlock(&chunks->lock);
  return status;
}

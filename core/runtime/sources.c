/* sources.c - the text of a site, read once.
 *
 * Workers come and go while somebody edits site.lua. A page must not depend on when its worker was opened, so the first who reads a file
 * reads it for all. */
#include <string.h>

#include "runtime/internal.h"

typedef struct source {
  char *path;
  moon_buf text;
} source;

struct moon_sources {
  atomic_size_t holders;
  pthread_mutex_t lock;
  char *site;
  source *files;
  size_t n, cap;
};

moon_status moon_sources_new(const char *site, moon_sources **out) {
  moon_sources *s = moon_calloc(1, sizeof *s);
  *out = NULL;
  if (s) s->site = moon_strdup(site);
  if (!s || !s->site || pthread_mutex_init(&s->lock, NULL)) {
    if (s) moon_free(s->site);
    moon_free(s);
    return moon_fail(MOON_ENOMEM, "no memory to load %s", site);
  }
  atomic_init(&s->holders, 1);
  *out = s;
  return moon_ok();
}

moon_sources *moon_sources_share(moon_sources *s) {
  atomic_fetch_add(&s->holders, 1);
  return s;
}

void moon_sources_free(moon_sources *s) {
  if (!s || atomic_fetch_sub(&s->holders, 1) > 1) return;
  for (size_t i = 0; i < s->n; i++) {
    moon_free(s->files[i].path);
    moon_buf_free(&s->files[i].text);
  }
  pthread_mutex_destroy(&s->lock);
  moon_free(s->files);
  moon_free(s->site);
  moon_free(s);
}

const char *moon_sources_site(const moon_sources *s) { return s->site; }

/* A file that cannot be read is not remembered. */
static moon_status find(moon_sources *s, const char *path, size_t limit, const moon_buf **out) {
  for (size_t i = 0; i < s->n; i++) {
    *out = &s->files[i].text;
    if (!strcmp(s->files[i].path, path)) return moon_ok();
  }
  MOON_TRY(moon_grow(&s->files, &s->cap, s->n + 1, sizeof *s->files));
  source file = {.path = moon_strdup(path)};
  moon_status status = file.path ? moon_file_read(path, limit, &file.text) : moon_fail(MOON_ENOMEM, "no memory to load %s", path);
  if (status.code) {
    moon_free(file.path);
    moon_buf_free(&file.text);
    return status;
  }
  s->files[s->n] = file;
  *out = &s->files[s->n++].text;
  return moon_ok();
}

moon_status moon_sources_read(void *sources, const char *path, size_t limit, moon_buf *out) {
  moon_sources *s = sources;
  const moon_buf *text = NULL;
  pthread_mutex_lock(&s->lock);
  moon_status status = find(s, path, limit, &text);
  if (!status.code) moon_buf_add(out, text->data ? text->data : "", text->n);
  pthread_mutex_unlock(&s->lock);
  return !status.code && out->failed ? moon_fail(MOON_ENOMEM, "no memory to load %s", path) : status;
}

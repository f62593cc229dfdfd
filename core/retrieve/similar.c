/* similar.c - item-kNN: who touched this also touched that, counted by shared.c. */
#include <math.h>
#include <stdio.h>

#include "retrieve/best.h"
#include "retrieve/shared.h"
#include "retrieve/similar.h"

static moon_status add_neighbours(moon_similar *s, moon_shared *c, uint32_t item, size_t limit, double shrink) {
  size_t met = moon_shared_count(c, item), from = s->start[item], most = met < limit ? met : limit;
  s->start[item + 1] = from;
  if (!met) return moon_ok();
  MOON_TRY(moon_grow(&s->item, &s->item_cap, from + most, sizeof *s->item));
  MOON_TRY(moon_grow(&s->score, &s->score_cap, from + most, sizeof *s->score));
  double mine = (double)moon_shared_owners(c, item);
  moon_best best = {.row = s->item + from, .score = s->score + from, .cap = most};
  for (size_t i = 0; i < met; i++) {
    uint32_t other = c->met[i], shared = c->count[other];
    c->count[other] = 0;
    if (other == item) continue;
    double theirs = (double)moon_shared_owners(c, other);
    float score = (float)(shared / (sqrt(mine * theirs) + shrink));
    if (score > 0) moon_best_offer(&best, other, score); /* an enormous shrink leaves nothing */
  }
  moon_best_sort(&best);
  s->start[item + 1] += best.n;
  return moon_ok();
}

static moon_status fill(moon_similar *s, moon_shared *c, size_t limit, double shrink, const moon_progress *progress) {
  size_t stride = s->items / 200 + 1;
  for (size_t item = 0; item < s->items; item++) {
    if (item % stride == 0) {
      char note[64];
      snprintf(note, sizeof note, "%zu of %zu items", item, s->items);
      if (!moon_progress_step(progress, "similar", (double)item / (double)s->items, note))
        return moon_fail(MOON_ECANCELED, "interrupted at similar items, %zu of %zu", item, s->items);
    }
    MOON_TRY(add_neighbours(s, c, (uint32_t)item, limit, shrink));
  }
  moon_progress_step(progress, "similar", 1, "done"); /* too late to stop */
  return moon_ok();
}

static moon_status build(moon_similar *s, const moon_event *events, size_t n, const moon_similar_options *options,
                         const moon_progress *progress) {
  moon_shared shared;
  s->start = moon_calloc(s->items + 1, sizeof *s->start);
  if (!s->start) return moon_fail(MOON_ENOMEM, "similar: no memory for %zu items", s->items);
  MOON_TRY(moon_shared_new(events, n, s->items, options->window, &shared));
  moon_status status =
      fill(s, &shared, options->neighbours ? options->neighbours : 100, options->shrink != 0 ? options->shrink : 10, progress);
  moon_shared_free(&shared);
  return status;
}

moon_status moon_similar_new(const moon_log *log, size_t n, size_t items, const moon_similar_options *options,
                             const moon_progress *progress, moon_similar **out) {
  static const moon_similar_options defaults = {0};
  if (!options) options = &defaults;
  if (n > log->n) return moon_fail(MOON_EINVAL, "similar: %zu events of a log of %zu", n, log->n);
  if (items >= MOON_NONE) return moon_fail(MOON_EINVAL, "similar: %zu items are more than rows can number", items);
  if (!(options->shrink >= 0 && options->shrink < INFINITY))
    return moon_fail(MOON_EINVAL, "similar: shrink must be a number >= 0, not %g", options->shrink);
  moon_similar *s = moon_calloc(1, sizeof *s);
  if (!s) return moon_fail(MOON_ENOMEM, "similar: no memory");
  s->items = items;
  moon_status status = build(s, log->events, n, options, progress);
  if (status.code) moon_similar_free(s);
  else *out = s;
  return status;
}

void moon_similar_free(moon_similar *s) {
  if (!s) return;
  moon_free(s->start);
  moon_free(s->item);
  moon_free(s->score);
  moon_free(s);
}

size_t moon_similar_of(const moon_similar *s, uint32_t item, const uint32_t **items, const float **scores) {
  *items = NULL, *scores = NULL;
  size_t n = s && item < s->items ? s->start[item + 1] - s->start[item] : 0;
  if (n) *items = s->item + s->start[item], *scores = s->score + s->start[item];
  return n;
}

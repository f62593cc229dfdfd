/* similar.c - item-kNN: who touched this also touched that.
 *
 * Pairs are counted item by item. Each user's last distinct items are a basket; the baskets that hold item i are walked, and
 * every item met is counted in one array as long as the catalogue. So memory is a few numbers an event and a few an item,
 * where a table of pairs would be items x items; the work is the sum of squares of the baskets' lengths, and nothing is
 * hashed. */
#include <math.h>
#include <stdio.h>

#include "retrieve/best.h"
#include "retrieve/similar.h"

/* Lists of rows, end to end: list k is row[start[k], start[k + 1]). */
typedef struct lists {
  size_t *start; /* one longer than it need be: see lists_open */
  uint32_t *row;
  size_t n;
} lists;

static moon_status lists_new(size_t n, size_t rows, lists *out) {
  out->n = n;
  out->start = moon_calloc(n + 2, sizeof *out->start);
  out->row = moon_alloc(rows * sizeof *out->row);
  return out->start && out->row ? moon_ok() : moon_fail(MOON_ENOMEM, "similar: no memory for %zu lists of %zu rows", n, rows);
}

static void lists_free(lists *l) {
  moon_free(l->start);
  moon_free(l->row);
}

/* Counting sort in two steps: with the length of list k counted in start[k + 2], open; then push in any order. After the last
 * push start[k] is where list k begins. */
static void lists_open(lists *l) {
  for (size_t k = 2; k < l->n + 2; k++) l->start[k] += l->start[k - 1];
}
static inline void lists_push(lists *l, uint32_t k, uint32_t row) { l->row[l->start[k + 1]++] = row; }

/* baskets: each user's last `window` distinct items, newest first. On failure too the caller frees them. */
static moon_status baskets_new(const moon_event *events, size_t n, size_t users, size_t items, size_t window, lists *baskets) {
  MOON_TRY(lists_new(users, n, baskets));
  uint32_t *last_user = moon_calloc(items, sizeof *last_user); /* + 1, that last put the item into a basket */
  if (!last_user) return moon_fail(MOON_ENOMEM, "similar: no memory for %zu items", items);
  for (size_t i = 0; i < n; i++) baskets->start[events[i].user + (size_t)2]++;
  lists_open(baskets);
  for (size_t i = n; i--;) lists_push(baskets, events[i].user, events[i].item);
  size_t kept = 0; /* lists shrink in place */
  for (uint32_t user = 0; user < users; user++) {
    size_t from = baskets->start[user], to = baskets->start[user + 1];
    baskets->start[user] = kept;
    for (size_t i = from; i < to && kept - baskets->start[user] < window; i++) {
      uint32_t item = baskets->row[i];
      if (last_user[item] == user + 1) continue;
      last_user[item] = user + 1;
      baskets->row[kept++] = item;
    }
  }
  baskets->start[users] = kept;
  moon_free(last_user);
  return moon_ok();
}

/* owners: for each item the users whose basket holds it. */
static moon_status owners_new(const lists *baskets, size_t items, lists *owners) {
  size_t pairs = baskets->start[baskets->n];
  MOON_TRY(lists_new(items, pairs, owners));
  for (size_t i = 0; i < pairs; i++) owners->start[baskets->row[i] + (size_t)2]++;
  lists_open(owners);
  for (uint32_t user = 0; user < baskets->n; user++)
    for (size_t i = baskets->start[user]; i < baskets->start[user + 1]; i++) lists_push(owners, baskets->row[i], user);
  return moon_ok();
}

typedef struct counting {
  lists baskets, owners;
  uint32_t *count; /* [items] baskets shared with the item at hand; zero between items */
  uint32_t *met;   /* [items + 1] items with a count */
} counting;

static size_t count_shared(counting *c, uint32_t item) {
  size_t met = 0;
  for (size_t o = c->owners.start[item]; o < c->owners.start[item + 1]; o++) {
    uint32_t user = c->owners.row[o];
    for (size_t i = c->baskets.start[user]; i < c->baskets.start[user + 1]; i++) {
      uint32_t other = c->baskets.row[i];
      c->met[met] = other;
      met += c->count[other]++ == 0; /* written always, kept on first sight: no branch to mispredict */
    }
  }
  return met;
}

static moon_status add_neighbours(moon_similar *s, counting *c, uint32_t item, size_t limit, double shrink) {
  size_t met = count_shared(c, item), from = s->start[item], most = met < limit ? met : limit;
  s->start[item + 1] = from;
  if (!met) return moon_ok();
  MOON_TRY(moon_grow(&s->item, &s->item_cap, from + most, sizeof *s->item));
  MOON_TRY(moon_grow(&s->score, &s->score_cap, from + most, sizeof *s->score));
  const size_t *start = c->owners.start;
  double mine = (double)(start[item + 1] - start[item]);
  moon_best best = {.row = s->item + from, .score = s->score + from, .cap = most};
  for (size_t i = 0; i < met; i++) {
    uint32_t other = c->met[i], shared = c->count[other];
    c->count[other] = 0;
    if (other == item) continue;
    double theirs = (double)(start[other + 1] - start[other]);
    float score = (float)(shared / (sqrt(mine * theirs) + shrink));
    if (score > 0) moon_best_offer(&best, other, score); /* an enormous shrink leaves nothing */
  }
  moon_best_sort(&best);
  s->start[item + 1] += best.n;
  return moon_ok();
}

static moon_status fill(moon_similar *s, counting *c, size_t limit, double shrink, const moon_progress *progress) {
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
  size_t users = 0, window = options->window ? options->window : 100, limit = options->neighbours ? options->neighbours : 100;
  for (size_t i = 0; i < n; i++) {
    if (events[i].item >= s->items)
      return moon_fail(MOON_EINVAL, "similar: event %zu is of item row %u, and there are %zu items", i, events[i].item, s->items);
    if (events[i].user == MOON_NONE) return moon_fail(MOON_EINVAL, "similar: event %zu is of no user", i);
    if (events[i].user >= users) users = events[i].user + (size_t)1;
  }
  counting c = {.count = moon_calloc(s->items, sizeof *c.count), .met = moon_alloc((s->items + 1) * sizeof *c.met)};
  s->start = moon_calloc(s->items + 1, sizeof *s->start);
  moon_status status = moon_ok();
  if (!c.count || !c.met || !s->start) status = moon_fail(MOON_ENOMEM, "similar: no memory for %zu items", s->items);
  if (!status.code) status = baskets_new(events, n, users, s->items, window, &c.baskets);
  if (!status.code) status = owners_new(&c.baskets, s->items, &c.owners);
  if (!status.code) status = fill(s, &c, limit, options->shrink != 0 ? options->shrink : 10, progress);
  lists_free(&c.baskets);
  lists_free(&c.owners);
  moon_free(c.count);
  moon_free(c.met);
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

/* shared.c - pairs of items that are in the same baskets.
 *
 * They are counted item by item. Each user's last distinct items are a basket; the baskets that hold item i are walked, and every item
 * met is counted in one array as long as the catalogue. So memory is a few numbers an event and a few an item, where a table of pairs
 * would be items x items; the work is the sum of squares of the baskets' lengths, and nothing is hashed. */
#include "retrieve/shared.h"

static moon_status lists_new(size_t n, size_t rows, moon_row_lists *out) {
  out->n = n;
  out->start = moon_calloc(n + 2, sizeof *out->start);
  out->row = moon_alloc(rows * sizeof *out->row);
  return out->start && out->row ? moon_ok() : moon_fail(MOON_ENOMEM, "similar: no memory for %zu lists of %zu rows", n, rows);
}

/* Counting sort in two steps: with the length of list k counted in start[k + 2], open; then push in any order. After the last
 * push start[k] is where list k begins. */
static void lists_open(moon_row_lists *l) {
  for (size_t k = 2; k < l->n + 2; k++) l->start[k] += l->start[k - 1];
}
static inline void lists_push(moon_row_lists *l, uint32_t k, uint32_t row) {
  l->row[l->start[k + 1]++] = row;
}

static moon_status make_baskets(const moon_event *events, size_t n, size_t users, size_t items, size_t window,
                                moon_row_lists *baskets) {
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

static moon_status make_owners(const moon_row_lists *baskets, size_t items, moon_row_lists *owners) {
  size_t pairs = baskets->start[baskets->n];
  MOON_TRY(lists_new(items, pairs, owners));
  for (size_t i = 0; i < pairs; i++) owners->start[baskets->row[i] + (size_t)2]++;
  lists_open(owners);
  for (uint32_t user = 0; user < baskets->n; user++)
    for (size_t i = baskets->start[user]; i < baskets->start[user + 1]; i++) lists_push(owners, baskets->row[i], user);
  return moon_ok();
}

static moon_status build(moon_shared *s, const moon_event *events, size_t n, size_t window) {
  size_t users = 0;
  for (size_t i = 0; i < n; i++) {
    if (events[i].item >= s->items)
      return moon_fail(MOON_EINVAL, "similar: event %zu is of item row %u, and there are %zu items", i, events[i].item, s->items);
    if (events[i].user == MOON_NONE) return moon_fail(MOON_EINVAL, "similar: event %zu is of no user", i);
    if (events[i].user >= users) users = events[i].user + (size_t)1;
  }
  s->count = moon_calloc(s->items, sizeof *s->count);
  s->met = moon_alloc((s->items + 1) * sizeof *s->met);
  if (!s->count || !s->met) return moon_fail(MOON_ENOMEM, "similar: no memory for %zu items", s->items);
  MOON_TRY(make_baskets(events, n, users, s->items, window ? window : 100, &s->baskets));
  return make_owners(&s->baskets, s->items, &s->owners);
}

moon_status moon_shared_new(const moon_event *events, size_t n, size_t items, size_t window, moon_shared *out) {
  *out = (moon_shared){.items = items};
  moon_status status = build(out, events, n, window);
  if (status.code) moon_shared_free(out);
  return status;
}

void moon_shared_free(moon_shared *s) {
  moon_free(s->baskets.start);
  moon_free(s->baskets.row);
  moon_free(s->owners.start);
  moon_free(s->owners.row);
  moon_free(s->count);
  moon_free(s->met);
  *s = (moon_shared){0};
}

size_t moon_shared_count(moon_shared *s, uint32_t item) {
  size_t met = 0;
  for (size_t o = s->owners.start[item]; o < s->owners.start[item + 1]; o++) {
    uint32_t user = s->owners.row[o];
    for (size_t i = s->baskets.start[user]; i < s->baskets.start[user + 1]; i++) {
      uint32_t other = s->baskets.row[i];
      s->met[met] = other;
      met += s->count[other]++ == 0; /* written always, kept on first sight: no branch to mispredict */
    }
  }
  return met;
}

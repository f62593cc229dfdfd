/* counters.c - how many events of some kinds an entity had in the last hour, day, week: exactly, for any `now`.
 *
 * The times of the events in the widest window are kept sorted, so a count is the distance between two binary searches. Times that left
 * the window are dropped only when room is needed and they are at least half: each event then costs O(1) moves. */
#include <string.h>

#include "feature/state.h"

static int64_t before(int64_t time, int64_t span) { return time < INT64_MIN + span ? INT64_MIN : time - span; }

/* How many of at[0, n) are <= time. Without branches on the data: searches of several items overlap in the processor. */
static uint32_t count_until(const int64_t *at, uint32_t n, int64_t time) {
  const int64_t *base = at;
  if (!n) return 0;
  while (n > 1) {
    uint32_t half = n / 2;
    base += base[half - 1] <= time ? half : 0;
    n -= half;
  }
  return (uint32_t)(base - at) + (*base <= time);
}

static int64_t horizon(const moon_counter *counter, const moon_times *t) { return before(t->at[t->n - 1], counter->window); }

moon_status moon_counter_rows(moon_counter *counter, size_t rows) {
  if (rows <= counter->rows) return moon_ok();
  size_t fresh = rows - counter->rows;
  MOON_TRY(moon_grow(&counter->totals, &counter->totals_cap, rows, sizeof *counter->totals));
  if (counter->window) MOON_TRY(moon_grow(&counter->times, &counter->times_cap, rows, sizeof *counter->times));
  memset(counter->totals + counter->rows, 0, fresh * sizeof *counter->totals);
  if (counter->window) memset(counter->times + counter->rows, 0, fresh * sizeof *counter->times);
  counter->rows = rows;
  return moon_ok();
}

moon_status moon_counter_room(moon_counter *counter, moon_pool *pool, uint32_t row) {
  if (!counter->window) return moon_ok();
  moon_times *t = &counter->times[row];
  uint32_t stale = t->n && t->n == t->cap ? count_until(t->at, t->n, horizon(counter, t)) : 0;
  if (!stale || stale < t->n - stale) return moon_pool_room(pool, &t->at, t->n, &t->cap, sizeof *t->at);
  t->n -= stale;
  memmove(t->at, t->at + stale, t->n * sizeof *t->at);
  return moon_ok();
}

void moon_counter_add(moon_counter *counter, uint32_t row, int64_t time) {
  if (counter->totals[row] < UINT32_MAX) counter->totals[row]++;
  if (!counter->window) return;
  moon_times *t = &counter->times[row];
  uint32_t at = t->n;
  if (t->n && time < t->at[t->n - 1]) {
    if (time <= horizon(counter, t)) return; /* so late that no window will see it */
    at = count_until(t->at, t->n, time);
    memmove(t->at + at + 1, t->at + at, (t->n - at) * sizeof *t->at);
  }
  t->at[at] = time;
  t->n++;
}

uint32_t moon_counter_read(const moon_counter *counter, uint32_t row, int64_t now, int64_t window) {
  if (row >= counter->rows) return 0;
  if (!window) return counter->totals[row];
  const moon_times *t = &counter->times[row];
  if (!t->n) return 0;
  int64_t newest = t->at[t->n - 1], from = before(now, window);
  if (newest <= from) return 0;
  if (now >= newest) return t->n - count_until(t->at, t->n, from);
  int64_t last = horizon(counter, t);
  uint32_t until = count_until(t->at, t->n, now), since = count_until(t->at, t->n, from > last ? from : last);
  return until > since ? until - since : 0;
}

uint32_t moon_counter_live(const moon_counter *counter, uint32_t row, const int64_t **times) {
  *times = NULL;
  if (!counter->window || !counter->times[row].n) return 0;
  const moon_times *t = &counter->times[row];
  uint32_t stale = count_until(t->at, t->n, horizon(counter, t));
  *times = t->at + stale;
  return t->n - stale;
}

void moon_counter_free(moon_counter *counter) {
  moon_free(counter->totals);
  moon_free(counter->times);
}

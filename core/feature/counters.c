/* counters.c - how many events of some kinds an entity had in the last hour, day, week: exactly, for any `now`.
 *
 * The times of the events in the widest window are kept sorted. For each window the store remembers where it began at the
 * newest event; as time only goes on, it begins there or a few places further now. So a count needs a look or two into the
 * array and no search, which would miss the cache at every step. Times that left the widest window are dropped only when room
 * is needed and they are at least half: each event costs O(1) moves. */
#include <math.h>
#include <string.h>

#include "feature/state.h"

static int64_t before(int64_t time, int64_t span) { return time < INT64_MIN + span ? INT64_MIN : time - span; }

/* How many of at[0, n) are <= time. */
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

/* The same where at[0, from) are known to be <= time and the answer is near: steps of 1, 2, 4, ... and a search in the last. */
static uint32_t count_from(const int64_t *at, uint32_t from, uint32_t n, int64_t time) {
  if (from < n && at[from] > time) return from;
  uint32_t step = 1;
  while (n - from > step && at[from + step - 1] <= time) from += step, step *= 2;
  return from + count_until(at + from, n - from < step ? n - from : step, time);
}

moon_status moon_side_rows(moon_side *side, size_t rows) {
  if (rows <= side->made) return moon_ok();
  MOON_TRY(moon_grow(&side->rows, &side->cap, rows, side->stride));
  memset(side->rows + side->made * side->stride, 0, (rows - side->made) * side->stride);
  side->made = rows;
  return moon_ok();
}

static moon_times *times_of(const moon_counter *c, uint32_t row) { return moon_side_at(c->side, row, c->times); }
static uint32_t *total_of(const moon_counter *c, uint32_t row) { return moon_side_at(c->side, row, c->total); }
static uint32_t *since_of(const moon_counter *c, uint32_t row) { return moon_side_at(c->side, row, c->since); }

void moon_counter_place(moon_counter *counter, moon_side *side) {
  static const size_t of_measure[] = {0, sizeof(int64_t), sizeof(moon_trend), sizeof(moon_mean)};
  counter->side = side;
  counter->times = side->stride;
  counter->total = counter->times + (counter->window_count ? sizeof(moon_times) : of_measure[counter->measure]);
  counter->since = counter->total + sizeof(uint32_t);
  size_t end = counter->since + counter->window_count * sizeof(uint32_t);
  side->stride = (end + 7) & ~(size_t)7; /* times hold pointers */
}

moon_status moon_counter_room(const moon_counter *counter, moon_pool *pool, uint32_t row) {
  if (!counter->window_count) return moon_ok();
  moon_times *t = times_of(counter, row);
  uint32_t *since = since_of(counter, row), stale = since[0];
  if (t->n < t->cap || !stale || stale < t->n - stale) return moon_pool_room(pool, &t->at, t->n, &t->cap, sizeof *t->at);
  t->n -= stale;
  memmove(t->at, t->at + stale, t->n * sizeof *t->at);
  for (size_t w = 0; w < counter->window_count; w++) since[w] -= stale;
  return moon_ok();
}

/* ---- a last time, a decayed count ----------------------------------------------------------------------------------------- */

static int64_t *last_of(const moon_counter *c, uint32_t row) { return moon_side_at(c->side, row, c->times); }
static moon_trend *trend_of(const moon_counter *c, uint32_t row) { return moon_side_at(c->side, row, c->times); }

/* What a weight of 1 at `from` is worth at `to`; never more than 1. */
static double decay(int64_t from, int64_t to, double half_life) {
  return to <= from ? 1 : exp2(((double)from - (double)to) / half_life);
}

void moon_trend_add(moon_trend *trend, bool first, int64_t time, double half_life) {
  int64_t as_of = !first && trend->time > time ? trend->time : time;
  trend->weight = (first ? 0 : trend->weight * decay(trend->time, as_of, half_life)) + decay(time, as_of, half_life);
  trend->time = as_of;
}

double moon_trend_read(const moon_trend *trend, int64_t now, double half_life) {
  return trend->weight * decay(trend->time, now, half_life);
}

/* Both sides of the fraction lose weight alike, so the mean stays as it is until something happens. */
static void mean_add(moon_mean *mean, bool first, int64_t time, double value, double half_life) {
  int64_t before = mean->weight.time;
  moon_trend_add(&mean->weight, first, time, half_life);
  int64_t now = mean->weight.time;
  mean->sum = (first ? 0 : mean->sum * decay(before, now, half_life)) + value * decay(time, now, half_life);
}

static moon_mean *mean_of(const moon_counter *c, uint32_t row) { return moon_side_at(c->side, row, c->times); }

/* Nothing loses weight with a half-life without end. */
static double half_life_of(const moon_counter *c) { return c->half_life ? (double)c->half_life : INFINITY; }

double moon_counter_mean(const moon_counter *counter, uint32_t row) {
  if (row >= counter->side->made || !*total_of(counter, row)) return NAN;
  const moon_mean *mean = mean_of(counter, row);
  return mean->sum / mean->weight.weight;
}

bool moon_counter_last(const moon_counter *counter, uint32_t row, int64_t *time) {
  if (row >= counter->side->made || !*total_of(counter, row)) return false;
  *time = *last_of(counter, row);
  return true;
}

double moon_counter_trend(const moon_counter *counter, uint32_t row, int64_t now) {
  if (row >= counter->side->made || !*total_of(counter, row)) return 0;
  return moon_trend_read(trend_of(counter, row), now, (double)counter->half_life);
}

static void note_event(const moon_counter *counter, uint32_t row, bool first, int64_t time, double value) {
  if (counter->measure == MOON_MEASURE_MEAN) {
    mean_add(mean_of(counter, row), first, time, value, half_life_of(counter));
    return;
  }
  if (counter->measure == MOON_MEASURE_DECAY) moon_trend_add(trend_of(counter, row), first, time, (double)counter->half_life);
  else if (first || time > *last_of(counter, row)) *last_of(counter, row) = time;
}

/* ---- windows -------------------------------------------------------------------------------------------------------------- */

void moon_counter_add(const moon_counter *counter, uint32_t row, int64_t time, double value) {
  uint32_t *total = total_of(counter, row), *since = since_of(counter, row);
  if (counter->measure != MOON_MEASURE_EVENTS) note_event(counter, row, !*total, time, value);
  if (*total < UINT32_MAX) ++*total;
  if (!counter->window_count) return;
  moon_times *t = times_of(counter, row);
  uint32_t at = t->n;
  int64_t newest = t->n && t->at[t->n - 1] > time ? t->at[t->n - 1] : time;
  if (time < newest) {
    if (time <= before(newest, counter->windows[0])) return; /* so late that no window will see it */
    at = count_until(t->at, t->n, time);
    memmove(t->at + at + 1, t->at + at, (t->n - at) * sizeof *t->at);
  }
  t->at[at] = time;
  t->n++;
  for (size_t w = 0; w < counter->window_count; w++)
    while (t->at[since[w]] <= before(newest, counter->windows[w])) since[w]++;
}

void moon_counter_clear(const moon_counter *counter, uint32_t row) {
  *total_of(counter, row) = 0;
  if (!counter->window_count) {
    memset(moon_side_at(counter->side, row, counter->times), 0, counter->total - counter->times);
    return;
  }
  times_of(counter, row)->n = 0;
  memset(since_of(counter, row), 0, counter->window_count * sizeof(uint32_t));
}

void moon_counter_drop(const moon_counter *counter, moon_pool *pool, uint32_t row) {
  moon_counter_clear(counter, row);
  if (!counter->window_count) return;
  moon_times *t = times_of(counter, row);
  moon_pool_give(pool, t->at, t->cap * sizeof *t->at);
  *t = (moon_times){0};
}

size_t moon_counter_window(const moon_counter *counter, int64_t window) {
  size_t w = 0;
  while (w < counter->window_count && counter->windows[w] != window) w++;
  return w;
}

void moon_counter_fetch(const moon_counter *counter, uint32_t row, int depth) {
  if (row >= counter->side->made) return;
  if (depth == 0) __builtin_prefetch(total_of(counter, row));
  if (depth == 0 || !counter->window_count) return;
  const moon_times *t = times_of(counter, row);
  const uint32_t *since = since_of(counter, row);
  if (!t->n) return;
  __builtin_prefetch(t->at + t->n - 1);
  for (size_t w = 0; w < counter->window_count; w++) __builtin_prefetch(t->at + since[w]);
}

uint32_t moon_counter_read(const moon_counter *counter, uint32_t row, int64_t now, size_t window) {
  if (row >= counter->side->made) return 0;
  if (window == counter->window_count) return *total_of(counter, row);
  const moon_times *t = times_of(counter, row);
  if (!t->n) return 0;
  const uint32_t *since = since_of(counter, row);
  int64_t newest = t->at[t->n - 1], from = before(now, counter->windows[window]);
  if (newest <= from) return 0;
  if (now >= newest) return t->n - count_from(t->at, since[window], t->n, from);
  uint32_t begin = count_until(t->at, t->n, from), end = count_until(t->at, t->n, now);
  if (begin < since[0]) begin = since[0];
  return end > begin ? end - begin : 0;
}

uint32_t moon_counter_live(const moon_counter *counter, uint32_t row, const int64_t **times) {
  *times = NULL;
  if (!counter->window_count || !times_of(counter, row)->n) return 0;
  uint32_t stale = since_of(counter, row)[0];
  *times = times_of(counter, row)->at + stale;
  return times_of(counter, row)->n - stale;
}

/* solve.c - choosing candidates under groups with a most and a least.
 *
 * This is a knapsack of many constraints, so no quick way is always best. Greedy comes close; a local search mends it: a candidate is forced in, the
 * least valuable that stand in its way leave, and what fits then is added. A try that gains stays, another is taken back. Sizes are those of a page,
 * some hundred candidates, so a try costs a microsecond or two. */
#include <string.h>

#include "page/solve.h"

enum { SHORT_COSTS = 100 };

typedef struct search {
  moon_choice *c;
  uint32_t *by_value; /* [n] candidates, the most valuable first */
  uint8_t *chosen;    /* [n] as they were before a try */
  uint32_t *count;    /* [group_count] */
  double worth;
} search;

/* ---- groups */

static bool has_room(const moon_choice *c, size_t i) { return moon_choice_blocker(c, i) == MOON_NONE; }

uint32_t moon_choice_blocker(const moon_choice *c, size_t i) {
  for (uint32_t k = c->first[i]; k < c->first[i + 1]; k++)
    if (c->count[c->group[k]] >= c->most[c->group[k]]) return c->group[k];
  return MOON_NONE;
}

/* The worth changes by what is returned. */
static double change(moon_choice *c, size_t i, bool in) {
  double worth = in ? (double)c->value[i] : -(double)c->value[i];
  for (uint32_t k = c->first[i]; k < c->first[i + 1]; k++) {
    uint32_t g = c->group[k];
    if (in) worth += c->count[g] < c->least[g] ? SHORT_COSTS : 0;
    else worth -= c->count[g] <= c->least[g] ? SHORT_COSTS : 0;
    c->count[g] += in ? 1 : UINT32_MAX;
  }
  c->chosen[i] = in;
  return worth;
}

double moon_choice_worth(const moon_choice *c) {
  double worth = 0;
  for (size_t i = 0; i < c->n; i++) worth += c->chosen[i] ? (double)c->value[i] : 0;
  for (size_t g = 0; g < c->group_count; g++) worth -= c->count[g] < c->least[g] ? SHORT_COSTS * (double)(c->least[g] - c->count[g]) : 0;
  return worth;
}

/* ---- greedy */

/* Stable, so that of equal candidates the first stays first. */
static void merge_sort(const float *value, uint32_t *order, uint32_t *spare, size_t n) {
  for (size_t width = 1; width < n; width *= 2) {
    for (size_t at = 0; at < n; at += 2 * width) {
      size_t middle = at + width < n ? at + width : n, end = at + 2 * width < n ? at + 2 * width : n, a = at, b = middle;
      for (size_t k = at; k < end; k++) spare[k] = b >= end || (a < middle && value[order[a]] >= value[order[b]]) ? order[a++] : order[b++];
    }
    memcpy(order, spare, n * sizeof *order);
  }
}

static double fill(search *s) {
  double gain = 0;
  for (size_t k = 0; k < s->c->n; k++) {
    uint32_t i = s->by_value[k];
    if (!s->c->chosen[i] && has_room(s->c, i)) gain += change(s->c, i, true);
  }
  return gain;
}

/* ---- search */

static bool in_group(const moon_choice *c, size_t i, uint32_t g) {
  for (uint32_t k = c->first[i]; k < c->first[i + 1]; k++)
    if (c->group[k] == g) return true;
  return false;
}

/* The chosen candidate of the group that is missed least; MOON_NONE where there is none. */
static uint32_t weakest(const moon_choice *c, uint32_t g) {
  uint32_t worst = MOON_NONE;
  double least = 0;
  for (size_t i = 0; i < c->n; i++) {
    if (!c->chosen[i] || !in_group(c, i, g)) continue;
    double missed = (double)c->value[i];
    for (uint32_t k = c->first[i]; k < c->first[i + 1]; k++) missed += c->count[c->group[k]] <= c->least[c->group[k]] && c->group[k] != g ? SHORT_COSTS : 0;
    if (worst == MOON_NONE || missed <= least) worst = (uint32_t)i, least = missed;
  }
  return worst;
}

static double force(search *s, size_t i) {
  double gain = 0;
  for (uint32_t g; (g = moon_choice_blocker(s->c, i)) != MOON_NONE;) {
    uint32_t out = weakest(s->c, g);
    if (out == MOON_NONE) return -1; /* a group that takes none */
    gain += change(s->c, out, false);
  }
  gain += change(s->c, i, true);
  return gain + fill(s);
}

static bool attempt(search *s, size_t i) {
  moon_choice *c = s->c;
  memcpy(s->chosen, c->chosen, c->n);
  memcpy(s->count, c->count, c->group_count * sizeof *s->count);
  double gain = force(s, i);
  if (gain > 1e-6) {
    s->worth += gain;
    return true;
  }
  memcpy(c->chosen, s->chosen, c->n);
  memcpy(c->count, s->count, c->group_count * sizeof *s->count);
  return false;
}

moon_status moon_choose(moon_choice *c, moon_arena *arena) {
  search s = {.c = c};
  s.by_value = moon_arena_alloc(arena, c->n * sizeof *s.by_value);
  s.chosen = moon_arena_alloc(arena, c->n);
  s.count = moon_arena_alloc(arena, c->group_count * sizeof *s.count);
  uint32_t *spare = moon_arena_alloc(arena, c->n * sizeof *spare);
  if (!s.by_value || !s.chosen || !s.count || !spare) return moon_fail(MOON_ENOMEM, "no memory to choose from %zu candidates", c->n);
  for (size_t i = 0; i < c->n; i++) s.by_value[i] = (uint32_t)i;
  merge_sort(c->value, s.by_value, spare, c->n);
  memset(c->chosen, 0, c->n);
  memset(c->count, 0, c->group_count * sizeof *c->count);
  s.worth = fill(&s);
  c->late = false;
  size_t steps = 0;
  for (bool better = true; better;) {
    better = false;
    for (size_t k = 0; k < c->n; k++) {
      if (c->chosen[s.by_value[k]]) continue;
      c->late = !(steps % 32) && moon_monotonic() > c->deadline;
      if (c->late || steps++ >= c->steps) return moon_ok();
      better |= attempt(&s, s.by_value[k]);
    }
  }
  return moon_ok();
}

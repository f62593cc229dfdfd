/* ask.c - questions that others than features have to the state: what a user touched, and how often something happened.
 *
 * The state keeps the counts that the recipe's features want and no others, so who wants one finds it in the plan, once, and then reads
 * it by its number. */
#include <string.h>

#include "feature/state.h"

size_t moon_state_touches(const moon_state *state, uint32_t user, const moon_touch **touches) {
  *touches = NULL;
  user = moon_state_present(state, user, state->clock);
  if (user == MOON_NONE) return 0;
  const moon_history *history = moon_state_history(state, user);
  *touches = history->at;
  return history->n;
}

/* Whether a feature makes the counter keep the window. */
static bool keeps_window(const moon_feature_plan *plan, size_t counter, int64_t window) {
  for (size_t i = 0; i < plan->feature_count; i++) {
    const moon_feature *f = &plan->features[i];
    bool counts = f->op == MOON_FEATURE_COUNT || f->op == MOON_FEATURE_RATE;
    if (!counts || (f->counter != counter && (f->op != MOON_FEATURE_RATE || f->counter2 != counter))) continue;
    for (size_t w = 0; w < f->window_count; w++)
      if (f->windows[w] == window) return true;
  }
  return window == 0; /* totals are always there */
}

size_t moon_plan_counts(const moon_feature_plan *plan, moon_counts of, const char *kind, int64_t window) {
  for (size_t i = 0; i < plan->counter_count; i++) {
    const moon_counter_spec *c = &plan->counters[i];
    if (c->measure != MOON_MEASURE_EVENTS || c->kind_count != 1 || strcmp(c->kinds[0], kind)) continue;
    bool pairs = c->group != SIZE_MAX && plan->groups[c->group].of_user && !plan->groups[c->group].column;
    bool items = c->group == SIZE_MAX && !c->of_user;
    if ((of == MOON_COUNTS_PAIRS ? pairs : items) && keeps_window(plan, i, window)) return i;
  }
  return SIZE_MAX;
}

uint32_t moon_state_count(const moon_state *state, size_t counter, uint32_t user, uint32_t item, int64_t now, int64_t window) {
  if (counter >= state->counter_count) return 0;
  const moon_counter *c = &state->counters[counter];
  uint32_t row = item;
  if (c->group != SIZE_MAX) {
    const moon_group *group = &state->groups[c->group];
    if (moon_state_present(state, user, now) == MOON_NONE) return 0;
    row = moon_group_check(group, moon_group_guess(group, user, item), user, item);
  }
  return row == MOON_NONE ? 0 : moon_counter_read(c, row, now, moon_counter_window(c, window));
}

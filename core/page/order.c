/* order.c - which slot comes first, once all are filled: what duplicates cost was settled in the order in which the site wrote them, and what a
 * visitor sees first may be another. Slots that are fixed keep their places; the others change among themselves, equal ones as written. */
#include <math.h>
#include <string.h>

#include "page/assemble.h"
#include "page/slate.h"

/* The mean score of the first items: probabilities, where slots are ranked by the model. */
static float by_score(const moon_slate *slate, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += slate->score[i];
  return (float)(sum / (double)n);
}

/* The mean share, among what the user did last, of the first items' values of a column. */
static float by_affinity(const moon_visit *visit, const moon_slate *slate, size_t n) {
  const moon_column *column = &visit->assembler->bundle->catalogue->table->columns[visit->plan->order_column];
  uint32_t last[MOON_SEEDS];
  size_t known = 0, met = 0;
  if (visit->request->user_row != MOON_NONE) known = moon_state_recent(visit->state, visit->request->user_row, last, MOON_SEEDS);
  for (size_t i = 0; i < n; i++) {
    uint64_t mine, other;
    if (!moon_cell_key(column, slate->item[i], &mine)) continue;
    for (size_t k = 0; k < known; k++) met += moon_cell_key(column, last[k], &other) && mine == other;
  }
  return known ? (float)met / (float)(known * n) : 0;
}

static float weight_of(const moon_visit *visit, const moon_slate *slate) {
  size_t n = slate->n < visit->plan->order_first ? slate->n : visit->plan->order_first;
  float weight = !n ? -INFINITY : visit->plan->order == MOON_ORDER_SCORE ? by_score(slate, n) : by_affinity(visit, slate, n);
  return isnan(weight) ? -INFINITY : weight;
}

moon_status moon_visit_order_slots(moon_visit *visit) {
  moon_page *page = visit->page;
  size_t n = 0, *place = moon_arena_alloc(visit->arena, page->slot_count * sizeof *place);
  moon_page_slot *moved = moon_arena_alloc(visit->arena, page->slot_count * sizeof *moved);
  float *weight = moon_arena_alloc(visit->arena, page->slot_count * sizeof *weight);
  if (!place || !moved || !weight) return moon_fail(MOON_ENOMEM, "no memory for a page");
  for (size_t i = 0; i < page->slot_count; i++) {
    if (page->slots[i].fixed) continue;
    float mine = weight_of(visit, page->slots[i].slate);
    size_t at = n;
    for (; at > 0 && weight[at - 1] < mine; at--) weight[at] = weight[at - 1], moved[at] = moved[at - 1];
    weight[at] = mine, moved[at] = page->slots[i];
    place[n++] = i;
  }
  for (size_t i = 0; i < n; i++) page->slots[place[i]] = moved[i];
  return moon_ok();
}

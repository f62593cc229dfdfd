/* sources.c - candidates for one user: what is similar to the last items, and the last items themselves.
 *
 * Both weigh an item by how lately it was touched: the newest counts 1, each older one 0.9 of the one after it. */
#include "retrieve/best.h"
#include "retrieve/retrieve.h"

static const float FADE = 0.9f;

void moon_similar_sum(const moon_similar *similar, const uint32_t *recent, size_t recent_n, float *sums, size_t rows) {
  const uint32_t *item;
  const float *score;
  float weight = 1;
  for (size_t r = 0; r < recent_n; r++, weight *= FADE) {
    size_t n = moon_similar_of(similar, recent[r], &item, &score);
    for (size_t i = 0; i < n; i++)
      if (item[i] < rows) sums[item[i]] += weight * score[i];
  }
}

moon_status moon_source_similar(const moon_similar *similar, const moon_catalogue *catalogue, const uint32_t *recent,
                                size_t recent_n, float *scratch, moon_candidates *out) {
  size_t rows = moon_catalogue_rows(catalogue);
  const uint32_t *item;
  const float *score;
  moon_similar_sum(similar, recent, recent_n, scratch, rows);
  for (size_t r = 0; r < recent_n; r++)
    if (recent[r] < rows) scratch[recent[r]] = 0;
  /* The same walk again offers each sum once and clears it on the way: no list of what was touched. */
  moon_best best = {.row = out->item, .score = out->score, .cap = out->cap};
  for (size_t r = 0; r < recent_n; r++) {
    size_t n = moon_similar_of(similar, recent[r], &item, &score);
    for (size_t i = 0; i < n; i++) {
      if (item[i] >= rows || !(scratch[item[i]] > 0)) continue;
      if (!catalogue->hidden[item[i]]) moon_best_offer(&best, item[i], scratch[item[i]]);
      scratch[item[i]] = 0;
    }
  }
  moon_best_sort(&best);
  out->n = best.n;
  return moon_ok();
}

static bool holds(const moon_candidates *list, uint32_t item) {
  for (size_t i = 0; i < list->n; i++)
    if (list->item[i] == item) return true;
  return false;
}

void moon_source_recent(const moon_state *state, const moon_catalogue *catalogue, uint32_t user, moon_candidates *out) {
  uint32_t last[MOON_RECENT_REACH]; /* more than cap, as repeats and hidden ones go */
  size_t n = moon_state_recent(state, user, last, MOON_RECENT_REACH);
  size_t rows = moon_catalogue_rows(catalogue);
  float weight = 1;
  out->n = 0;
  for (size_t i = 0; i < n && out->n < out->cap; i++) {
    if (last[i] >= rows || catalogue->hidden[last[i]] || holds(out, last[i])) continue;
    out->item[out->n] = last[i], out->score[out->n++] = weight;
    weight *= FADE;
  }
}

/* compute.c - the inputs of (user, item) pairs, feature by feature.
 *
 * Whatever is the same for an item at all times was looked up when the features were bound (bind.c); whatever is the user's or the
 * moment's is computed once per call and spread over the rows. What is left for each pair is copying, and the counters of the item. */
#include <math.h>
#include <string.h>

#include "feature/compute.h"

enum { MOST_WINDOWS = sizeof(((moon_feature *)0)->windows) / sizeof(int64_t) };

/* ---- computing ------------------------------------------------------------------------------------------------------------ */

moon_status moon_inputs_alloc(const moon_feature_plan *plan, moon_arena *arena, size_t n, moon_inputs *out) {
  size_t bag = plan->bag_slots * plan->bag_length, width = plan->dense_slots + plan->id_slots + bag;
  if (width && n > SIZE_MAX / 16 / width) return moon_fail(MOON_ENOMEM, "no memory for the inputs of %zu rows", n);
  moon_inputs inputs = {.dense = moon_arena_alloc_aligned(arena, n * plan->dense_slots * sizeof(float)),
                        .ids = moon_arena_alloc_aligned(arena, n * plan->id_slots * sizeof(uint32_t)),
                        .bags = moon_arena_alloc_aligned(arena, n * bag * sizeof(uint32_t))};
  if (!inputs.dense || !inputs.ids || !inputs.bags) return moon_fail(MOON_ENOMEM, "no memory for the inputs of %zu rows", n);
  *out = inputs;
  return moon_ok();
}

/* One call's arguments. */
typedef struct job {
  const moon_features *features;
  const moon_state *state;
  uint32_t user;
  const uint32_t *items;
  size_t n;
  int64_t now;
  moon_inputs *out;
} job;

static const moon_cell *cell_of(const job *j, size_t f, size_t i) {
  const moon_features *features = j->features;
  size_t row = j->items[i] < features->rows ? j->items[i] : features->rows;
  return &features->cells[row * features->columns + features->column[f]];
}

/* Where a feature's slots of the first row lie, and from row to row. */
static moon_cells cells_of(const job *j, const moon_feature *f) {
  const moon_feature_plan *plan = j->features->plan;
  if (f->kind == MOON_KIND_NUMBER) return (moon_cells){(char *)(j->out->dense + f->slot), plan->dense_slots * sizeof(float)};
  return (moon_cells){(char *)(j->out->ids + f->slot), plan->id_slots * sizeof(uint32_t)};
}

static void copy_cells(const job *j, size_t f) {
  moon_cells out = cells_of(j, &j->features->plan->features[f]);
  for (size_t i = 0; i < j->n; i++) memcpy(out.at + i * out.stride, cell_of(j, f, i), sizeof(moon_cell));
}

/* The first row's slots into all others. */
static void spread(const job *j, const moon_feature *f) {
  moon_cells out = cells_of(j, f);
  for (size_t i = 1; i < j->n; i++) memcpy(out.at + i * out.stride, out.at, f->width * sizeof(moon_cell));
}

static void user_id(const job *j, size_t f, const char *text) {
  const moon_feature *feature = &j->features->plan->features[f];
  j->out->ids[feature->slot] = text ? moon_embedding_id(j->features, f, text, strlen(text)) : 0;
  spread(j, feature);
}

/* The numbers of the first n rows, as far as their steps are fitted. */
static void take_steps(const job *j, size_t f, size_t n) {
  size_t known = 0;
  const moon_vocab *vocab = j->features->vocabs[f];
  const double *fitted = vocab ? moon_vocab_numbers(vocab, &known) : NULL;
  const moon_feature *feature = &j->features->plan->features[f];
  moon_steps_run(feature, (moon_stage){0}, fitted, known, cells_of(j, feature), n);
}

/* A count or a rate made ready: its windows by their numbers in its counters. */
typedef struct ratio {
  const moon_counter *above, *below; /* below: NULL for a count */
  const moon_feature *feature;
  size_t above_window[MOST_WINDOWS], below_window[MOST_WINDOWS];
} ratio;

static ratio ratio_of(const job *j, const moon_feature *f) {
  ratio r = {.above = &j->state->counters[f->counter], .feature = f};
  if (f->op == MOON_FEATURE_RATE) r.below = &j->state->counters[f->counter2];
  for (size_t w = 0; w < f->window_count; w++) {
    r.above_window[w] = moon_counter_window(r.above, f->windows[w]);
    if (r.below) r.below_window[w] = moon_counter_window(r.below, f->windows[w]);
  }
  return r;
}

static void read_windows(const ratio *r, uint32_t row, int64_t now, char *cells) {
  float out[MOST_WINDOWS];
  for (size_t w = 0; w < r->feature->window_count; w++) {
    uint32_t above = moon_counter_read(r->above, row, now, r->above_window[w]);
    if (r->below) {
      uint32_t below = moon_counter_read(r->below, row, now, r->below_window[w]);
      out[w] = (float)((above + r->feature->prior[0]) / (below + r->feature->prior[1]));
    } else {
      out[w] = (float)above;
    }
  }
  memcpy(cells, out, r->feature->window_count * sizeof *out);
}

static void fetch(const ratio *r, uint32_t row, int depth) {
  moon_counter_fetch(r->above, row, depth);
  if (r->below) moon_counter_fetch(r->below, row, depth);
}

/* The items' counters lie far apart in memory: while one is read, the times of the eighth next are on their way, and where to
 * find those of the sixteenth. */
static void items_windows(const job *j, const ratio *r, moon_cells out) {
  enum { AHEAD = 8 };
  for (size_t i = 0; i < j->n + 2 * AHEAD; i++) { /* below zero the indices wrap around, and are not < n */
    if (i < j->n) fetch(r, j->items[i], 0);
    if (i - AHEAD < j->n) fetch(r, j->items[i - AHEAD], 1);
    if (i - 2 * AHEAD < j->n) read_windows(r, j->items[i - 2 * AHEAD], j->now, out.at + (i - 2 * AHEAD) * out.stride);
  }
}

/* Counts and rates. */
static void windows(const job *j, size_t f) {
  const moon_feature *feature = &j->features->plan->features[f];
  const ratio r = ratio_of(j, feature);
  if (!feature->of_user) {
    items_windows(j, &r, cells_of(j, feature));
    take_steps(j, f, j->n);
    return;
  }
  read_windows(&r, j->user, j->now, cells_of(j, feature).at);
  take_steps(j, f, 1);
  spread(j, feature);
}

/* The first row's bag is made in place, from items to ids; the others are copies. */
static void history(const job *j, const moon_feature *f, uint32_t *out) {
  const moon_feature_plan *plan = j->features->plan;
  size_t n = moon_history_items(j->state, j->user, plan->counter_count + f->slot, out, f->last), kept = 0;
  for (size_t i = 0; i < n; i++) {
    uint32_t id = moon_features_item_id(j->features, out[i]);
    if (id) out[kept++] = id;
  }
  memset(out + kept, 0, (plan->bag_length - kept) * sizeof *out);
  for (size_t i = 1; i < j->n; i++) memcpy(out + i * plan->bag_slots * plan->bag_length, out, plan->bag_length * sizeof *out);
}

void moon_features_compute(const moon_features *features, const moon_state *state, uint32_t user, const char *user_text,
                           const uint32_t *items, size_t n, int64_t now, moon_inputs *out) {
  const moon_feature_plan *plan = features->plan;
  const job j = {features, state, user, items, n, now, out};
  if (!n) return;
  if (!user_text && user < moon_state_users(state)) user_text = moon_state_user_id(state, user);
  for (size_t f = 0; f < plan->feature_count; f++) {
    const moon_feature *feature = &plan->features[f];
    switch (feature->op) {
      case MOON_FEATURE_ID:
        if (feature->of_user) {
          user_id(&j, f, user_text);
          break;
        } /* fall through */
      case MOON_FEATURE_CATEGORY:
      case MOON_FEATURE_NUMERIC: copy_cells(&j, f); break;
      case MOON_FEATURE_COUNT:
      case MOON_FEATURE_RATE: windows(&j, f); break;
      case MOON_FEATURE_HISTORY: history(&j, feature, out->bags + feature->slot * plan->bag_length); break;
    }
  }
}

void moon_features_compute_at(const moon_features *features, const moon_state *state, uint32_t user, const char *user_text,
                              uint32_t item, int64_t now, moon_inputs *out, size_t row) {
  const moon_feature_plan *plan = features->plan;
  moon_inputs one = {.dense = out->dense + row * plan->dense_slots,
                     .ids = out->ids + row * plan->id_slots,
                     .bags = out->bags + row * plan->bag_slots * plan->bag_length};
  moon_features_compute(features, state, user, user_text, &item, 1, now, &one);
}

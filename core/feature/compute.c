/* compute.c - the inputs of (user, item) pairs, column by column.
 *
 * Whatever is the same for an item at all times (embedding ids, numbers of the catalogue) is looked up once, when a bundle is
 * bound, into one short row per catalogue row; whatever is the user's is computed once per call and spread over the rows. What
 * is left for each pair is copying, and the counters of the item. Row `rows` of the tables is the unknown item, all zeros. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "feature/state.h"

enum { MOST_WINDOWS = sizeof(((moon_feature *)0)->windows) / sizeof(int64_t) };

typedef union cell {
  uint32_t id;
  float number;
} cell;

struct moon_features {
  const moon_feature_plan *plan;
  const moon_vocab **vocabs; /* [feature_count] */
  size_t *column;            /* [feature_count] of an item's id, category or number */
  size_t rows, columns;
  size_t item_id; /* column of the item's id, SIZE_MAX: there is none */
  cell *cells;    /* [rows + 1, columns] */
};

/* ---- binding -------------------------------------------------------------------------------------------------------------- */

static uint32_t embedding_id(const moon_features *features, size_t f, const char *text, size_t n) {
  uint32_t buckets = features->plan->features[f].hash;
  if (buckets) return 1 + (uint32_t)(moon_hash(text, n) % (buckets - 1));
  return moon_vocab_find(features->vocabs[f], text, n);
}

static void fill_ids(moon_features *features, size_t f, const moon_catalogue *catalogue) {
  const moon_feature *feature = &features->plan->features[f];
  const moon_column *column = feature->column ? moon_table_column(catalogue->table, feature->column) : NULL;
  cell *out = features->cells + features->column[f];
  for (size_t row = 0; row < features->rows; row++, out += features->columns) {
    const char *text = column ? moon_column_text(column, row) : moon_catalogue_id(catalogue, (uint32_t)row);
    out->id = text ? embedding_id(features, f, text, strlen(text)) : 0;
  }
}

static void fill_numbers(moon_features *features, size_t f, const moon_catalogue *catalogue) {
  const moon_feature *feature = &features->plan->features[f];
  const moon_column *column = moon_table_column(catalogue->table, feature->column);
  cell *out = features->cells + features->column[f];
  for (size_t row = 0; row < features->rows; row++, out += features->columns) {
    double value = moon_column_number(column, row);
    if (isnan(value)) value = 0;
    if (feature->op == MOON_FEATURE_LOG) value = log1p(fmax(value, 0));
    out->number = (float)fmin(fmax(value, -FLT_MAX), FLT_MAX);
  }
}

static moon_status check_embedding(const moon_features *features, size_t f) {
  const moon_feature *feature = &features->plan->features[f];
  if (feature->hash || features->vocabs[f]) return moon_ok();
  return moon_fail(MOON_EINVAL, "%s: the embedding of %s has neither a vocabulary nor hash buckets", feature->where,
                   feature->name);
}

/* Which features have a column, and whether all that they need is there. */
static moon_status lay_out(moon_features *features, const moon_catalogue *catalogue) {
  features->item_id = SIZE_MAX;
  for (size_t f = 0; f < features->plan->feature_count; f++) {
    const moon_feature *feature = &features->plan->features[f];
    moon_column *column;
    if (feature->column)
      MOON_TRY(moon_wrap(moon_table_require(catalogue->table, feature->column, &column), "%s", feature->where));
    if (feature->op == MOON_FEATURE_ID || feature->op == MOON_FEATURE_CATEGORY) {
      MOON_TRY(check_embedding(features, f));
      if (feature->of_user) continue;
      if (feature->op == MOON_FEATURE_ID && features->item_id == SIZE_MAX) features->item_id = features->columns;
      features->column[f] = features->columns++;
    } else if (feature->op == MOON_FEATURE_NUMERIC || feature->op == MOON_FEATURE_LOG) {
      features->column[f] = features->columns++;
    }
  }
  return moon_ok();
}

static moon_status bind(moon_features *features, const moon_catalogue *catalogue, moon_vocab *const *vocabs) {
  size_t count = features->plan->feature_count;
  moon_status no_memory = moon_fail(MOON_ENOMEM, "no memory to bind features to %zu items", features->rows);
  features->vocabs = moon_calloc(count, sizeof *features->vocabs);
  features->column = moon_calloc(count, sizeof *features->column);
  if (!features->vocabs || !features->column) return no_memory;
  for (size_t f = 0; f < count; f++) features->vocabs[f] = vocabs[f];
  MOON_TRY(lay_out(features, catalogue));
  features->cells = moon_calloc(features->rows + 1, features->columns * sizeof *features->cells);
  if (!features->cells) return no_memory;
  for (size_t f = 0; f < count; f++) {
    const moon_feature *feature = &features->plan->features[f];
    if (feature->op == MOON_FEATURE_NUMERIC || feature->op == MOON_FEATURE_LOG) fill_numbers(features, f, catalogue);
    if (feature->op == MOON_FEATURE_CATEGORY || (feature->op == MOON_FEATURE_ID && !feature->of_user))
      fill_ids(features, f, catalogue);
  }
  return moon_ok();
}

moon_status moon_features_bind(const moon_feature_plan *plan, const moon_catalogue *catalogue, moon_vocab *const *vocabs,
                               moon_features **out) {
  moon_features *features = moon_calloc(1, sizeof *features);
  if (!features) return moon_fail(MOON_ENOMEM, "no memory to bind features");
  features->plan = plan;
  features->rows = moon_catalogue_rows(catalogue);
  moon_status status = bind(features, catalogue, vocabs);
  if (status.code) moon_features_free(features);
  else *out = features;
  return status;
}

void moon_features_free(moon_features *features) {
  if (!features) return;
  moon_free(features->vocabs);
  moon_free(features->column);
  moon_free(features->cells);
  moon_free(features);
}

uint32_t moon_features_item_id(const moon_features *features, uint32_t item) {
  if (features->item_id == SIZE_MAX || item >= features->rows) return 0;
  return features->cells[item * features->columns + features->item_id].id;
}

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
} job;

static const cell *cell_of(const job *j, size_t f, size_t i) {
  const moon_features *features = j->features;
  size_t row = j->items[i] < features->rows ? j->items[i] : features->rows;
  return &features->cells[row * features->columns + features->column[f]];
}

static void copy_ids(const job *j, size_t f, uint32_t *out) {
  for (size_t i = 0; i < j->n; i++) out[i * j->features->plan->id_slots] = cell_of(j, f, i)->id;
}

static void copy_numbers(const job *j, size_t f, float *out) {
  for (size_t i = 0; i < j->n; i++) out[i * j->features->plan->dense_slots] = cell_of(j, f, i)->number;
}

static void user_id(const job *j, size_t f, const char *text, uint32_t *out) {
  uint32_t id = text ? embedding_id(j->features, f, text, strlen(text)) : 0;
  for (size_t i = 0; i < j->n; i++) out[i * j->features->plan->id_slots] = id;
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

static void read_windows(const ratio *r, uint32_t row, int64_t now, float *out) {
  for (size_t w = 0; w < r->feature->window_count; w++) {
    uint32_t above = moon_counter_read(r->above, row, now, r->above_window[w]);
    if (r->below) {
      uint32_t below = moon_counter_read(r->below, row, now, r->below_window[w]);
      out[w] = (float)((above + r->feature->prior[0]) / (below + r->feature->prior[1]));
    } else {
      out[w] = logf(1 + (float)above);
    }
  }
}

static void fetch(const ratio *r, uint32_t row, int depth) {
  moon_counter_fetch(r->above, row, depth);
  if (r->below) moon_counter_fetch(r->below, row, depth);
}

/* The items' counters lie far apart in memory: while one is read, the times of the eighth next are on their way, and where to
 * find those of the sixteenth. */
static void items_windows(const job *j, const ratio *r, float *out) {
  enum { AHEAD = 8 };
  size_t stride = j->features->plan->dense_slots;
  for (size_t i = 0; i < j->n + 2 * AHEAD; i++) { /* below zero the indices wrap around, and are not < n */
    if (i < j->n) fetch(r, j->items[i], 0);
    if (i - AHEAD < j->n) fetch(r, j->items[i - AHEAD], 1);
    if (i - 2 * AHEAD < j->n) read_windows(r, j->items[i - 2 * AHEAD], j->now, out + (i - 2 * AHEAD) * stride);
  }
}

/* Counts and rates. */
static void windows(const job *j, const moon_feature *f, float *out) {
  const ratio r = ratio_of(j, f);
  size_t stride = j->features->plan->dense_slots;
  if (!f->of_user) {
    items_windows(j, &r, out);
    return;
  }
  read_windows(&r, j->user, j->now, out);
  for (size_t i = 1; i < j->n; i++) memcpy(out + i * stride, out, f->window_count * sizeof *out);
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
  const job j = {features, state, user, items, n, now};
  if (!n) return;
  if (!user_text && user < moon_state_users(state)) user_text = moon_state_user_id(state, user);
  for (size_t f = 0; f < plan->feature_count; f++) {
    const moon_feature *feature = &plan->features[f];
    switch (feature->op) {
      case MOON_FEATURE_ID:
        if (feature->of_user) {
          user_id(&j, f, user_text, out->ids + feature->slot);
          break;
        } /* fall through */
      case MOON_FEATURE_CATEGORY: copy_ids(&j, f, out->ids + feature->slot); break;
      case MOON_FEATURE_NUMERIC:
      case MOON_FEATURE_LOG: copy_numbers(&j, f, out->dense + feature->slot); break;
      case MOON_FEATURE_COUNT:
      case MOON_FEATURE_RATE: windows(&j, feature, out->dense + feature->slot); break;
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

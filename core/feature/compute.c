/* compute.c - the inputs of (user, item) pairs, feature by feature.
 *
 * Whatever is the same for an item at all times was looked up when the features were bound (bind.c); whatever is the user's or the
 * moment's is computed once per call and spread over the rows. What is left for each pair is copying, and the counters of the item. */
#include <math.h>
#include <string.h>

#include "feature/compute.h"
#include "feature/formula.h"
#include "feature/plan.h"

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
  const float *positions; /* NULL: in serving */
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

static void copy_cells(const job *j, size_t f, moon_cells out) {
  size_t bytes = j->features->plan->features[f].width * sizeof(moon_cell);
  for (size_t i = 0; i < j->n; i++) memcpy(out.at + i * out.stride, cell_of(j, f, i), bytes);
}

/* The first row's slots into all others. */
static void spread(const job *j, const moon_feature *f, moon_cells out) {
  for (size_t i = 1; i < j->n; i++) memcpy(out.at + i * out.stride, out.at, f->width * sizeof(moon_cell));
}

static void user_id(const job *j, size_t f, const char *text) {
  const moon_feature *feature = &j->features->plan->features[f];
  j->out->ids[feature->slot] = text ? moon_embedding_id(j->features, f, text, strlen(text)) : 0;
  spread(j, feature, cells_of(j, feature));
}

static void cross(const job *j, size_t f, const char *user_text) {
  const moon_feature *feature = &j->features->plan->features[f];
  uint64_t user = user_text ? moon_hash(user_text, strlen(user_text)) : 0;
  uint32_t *out = j->out->ids + feature->slot;
  for (size_t i = 0; i < j->n; i++, out += j->features->plan->id_slots) {
    uint32_t part = cell_of(j, f, i)->id;
    *out = !feature->of_user ? part : user_text ? moon_cross_id(feature, part, user) : 0;
  }
}

static uint32_t *bag_of(const job *j, const moon_feature *f, size_t i) {
  const moon_feature_plan *plan = j->features->plan;
  return j->out->bags + (i * plan->bag_slots + f->slot) * plan->bag_length;
}

static void tags(const job *j, size_t f) {
  const moon_feature *feature = &j->features->plan->features[f];
  size_t rest = j->features->plan->bag_length - feature->last;
  for (size_t i = 0; i < j->n; i++) {
    uint32_t *out = bag_of(j, feature, i);
    memcpy(out, cell_of(j, f, i), feature->last * sizeof *out);
    memset(out + feature->last, 0, rest * sizeof *out);
  }
}

/* ---- numbers: each source puts them into the cells as they are, and says how many: one where it is the same for all ----------- */

/* The numbers of the first n rows, as far as their steps are fitted. */
static void take_steps(const job *j, size_t f, moon_cells cells, size_t n) {
  size_t known = 0;
  const moon_vocab *vocab = j->features->vocabs[f];
  const double *fitted = vocab ? moon_vocab_numbers(vocab, &known) : NULL;
  const moon_feature *feature = &j->features->plan->features[f];
  moon_steps_run(feature, (moon_stage){0}, fitted, known, cells, n);
}

/* What the state knows, made ready to be read: the counters, and of a count or a rate the windows by their numbers in them. */
typedef struct reader {
  const job *j;
  const moon_feature *feature;
  const moon_counter *above, *below; /* below: NULL but for a rate */
  size_t above_window[MOON_MOST_WINDOWS], below_window[MOON_MOST_WINDOWS];
} reader;

/* Field by field: this runs for every feature of every example, and most windows are not there. */
static void reader_init(reader *r, const job *j, const moon_feature *f) {
  r->j = j;
  r->feature = f;
  r->above = &j->state->counters[f->counter];
  r->below = f->op == MOON_FEATURE_RATE ? &j->state->counters[f->counter2] : NULL;
  for (size_t w = 0; w < f->window_count; w++) {
    r->above_window[w] = moon_counter_window(r->above, f->windows[w]);
    if (r->below) r->below_window[w] = moon_counter_window(r->below, f->windows[w]);
  }
}

static double seconds_since(int64_t time, int64_t now) {
  return ((double)now - (double)time) / (double)MOON_SECOND;
}

/* Seconds since the last event; never is as long ago as the recipe says, and so is what was before. */
static double recency(const reader *r, uint32_t row) {
  int64_t last;
  double never = (double)r->feature->span / (double)MOON_SECOND;
  if (!moon_counter_last(r->above, row, &last)) return never;
  return fmin(fmax(seconds_since(last, r->j->now), 0), never);
}

static double window_of(const reader *r, uint32_t row, size_t w) {
  uint32_t above = moon_counter_read(r->above, row, r->j->now, r->above_window[w]);
  if (!r->below) return above;
  uint32_t below = moon_counter_read(r->below, row, r->j->now, r->below_window[w]);
  return (above + r->feature->prior[0]) / (below + r->feature->prior[1]);
}

static void read_state(const reader *r, uint32_t row, char *cells) {
  for (size_t w = 0; w < r->feature->width; w++) {
    float x = (float)(r->feature->op == MOON_FEATURE_DECAY     ? moon_counter_trend(r->above, row, r->j->now)
                      : r->feature->op == MOON_FEATURE_MEAN    ? moon_counter_mean(r->above, row)
                      : r->feature->op == MOON_FEATURE_RECENCY ? recency(r, row)
                                                               : window_of(r, row, w));
    memcpy(cells + w * sizeof x, &x, sizeof x);
  }
}

static void fetch(const reader *r, uint32_t row, int depth) {
  moon_counter_fetch(r->above, row, depth);
  if (r->below) moon_counter_fetch(r->below, row, depth);
}

/* One stage of reading a candidate: where its pair is looked up, which row it is, where its times are, what they say. A row's number
 * waits in the slot that its answer will take. */
static void read_item(const reader *r, const moon_group *group, int stage, uint32_t item, char *cell) {
  const job *j = r->j;
  uint32_t row;
  if (stage == 0) {
    if (group) moon_group_fetch(group, j->user, item);
    return;
  }
  if (stage == 1) {
    row = group ? moon_group_guess(group, j->user, item) : item;
    memcpy(cell, &row, sizeof row);
    fetch(r, row, 0);
    return;
  }
  memcpy(&row, cell, sizeof row);
  if (stage == 3) {
    read_state(r, row, cell);
    return;
  }
  if (group) row = moon_group_check(group, row, j->user, item);
  memcpy(cell, &row, sizeof row);
  fetch(r, row, 1);
}

/* Nothing to look ahead to. */
static void read_one(const reader *r, const moon_group *group, char *cell) {
  const job *j = r->j;
  uint32_t item = j->items[0];
  read_state(r, group ? moon_group_check(group, moon_group_guess(group, j->user, item), j->user, item) : item, cell);
}

/* The rows lie far apart in memory: while one candidate is read, what the eighth next needs last is on its way, and so on. */
static void read_items(const reader *r, moon_cells out) {
  enum { AHEAD = 8, STAGES = 4 };
  const job *j = r->j;
  const moon_group *group = r->above->group != SIZE_MAX ? &j->state->groups[r->above->group] : NULL;
  int first = group ? 0 : 1;
  if (j->n == 1) {
    read_one(r, group, out.at);
    return;
  }
  for (size_t i = 0; i < j->n + (size_t)(STAGES - 1 - first) * AHEAD; i++) {
    for (int stage = first; stage < STAGES; stage++) {
      size_t at = i - (size_t)(stage - first) * AHEAD; /* below zero it wraps around, and is not < n */
      if (at < j->n) read_item(r, group, stage, j->items[at], out.at + at * out.stride);
    }
  }
}

/* Counts, rates, decayed counts, means, last times. */
static size_t from_state(const job *j, const moon_feature *feature, moon_cells out) {
  reader r;
  reader_init(&r, j, feature);
  if (!feature->of_user || r.above->group != SIZE_MAX) {
    read_items(&r, out);
    return j->n;
  }
  read_state(&r, j->user, out.at);
  return 1;
}

/* The user's last items, each with what its share of a score is divided by; then for each candidate the sum over them. The pairs lie far
 * apart: those of the fourth next candidate are on their way. */
static size_t together(const job *j, const moon_feature *feature, moon_cells out) {
  enum { AHEAD = 4 };
  const moon_together *t = &j->state->together[feature->together];
  const moon_touch *touches[MOON_MOST_TOGETHER];
  uint32_t others[MOON_MOST_TOGETHER];
  double share[MOON_MOST_TOGETHER];
  size_t n = moon_history_touches(j->state, j->user, t->set, touches, t->last);
  for (size_t k = 0; k < n; k++) {
    others[k] = touches[k]->item;
    share[k] = 1 / sqrt(fmax(moon_together_seen(t, others[k]), 1));
  }
  for (size_t i = 0; i < j->n + AHEAD; i++) {
    size_t at = i - AHEAD; /* below zero it wraps around, and is not < n */
    if (i < j->n) moon_together_fetch(t, j->items[i], others, n);
    if (at >= j->n) continue;
    double sum = 0;
    for (size_t k = 0; k < n; k++) sum += moon_together_count(t, j->items[at], others[k]) * share[k];
    float x = (float)(sum / sqrt(fmax(moon_together_seen(t, j->items[at]), 1)));
    memcpy(out.at + at * out.stride, &x, sizeof x);
  }
  return j->n;
}

static size_t age(const job *j, size_t f, moon_cells out) {
  const moon_column *times = j->features->times[f];
  for (size_t i = 0; i < j->n; i++) {
    bool known = j->items[i] < j->features->rows && times->i64[j->items[i]] != MOON_NULL_INT;
    float x = known ? (float)seconds_since(times->i64[j->items[i]], j->now) : NAN;
    memcpy(out.at + i * out.stride, &x, sizeof x);
  }
  return j->n;
}

static int64_t floored(int64_t x, int64_t by) {
  return x / by - (x % by < 0);
}

/* 1970 began on a Thursday. */
static size_t hand_of_clock(const job *j, const moon_feature *feature, moon_cells out) {
  int64_t there;
  int64_t ahead = feature->zone ? moon_zone_offset(feature->zone, j->now) : feature->span;
  if (__builtin_add_overflow(j->now, ahead, &there)) there = j->now; /* the end of time is in UTC */
  int64_t hours = floored(there, 3600 * MOON_SECOND), days = floored(hours, 24);
  float x = (float)(feature->weekday ? days + 3 - 7 * floored(days + 3, 7) + 1 : hours - 24 * days);
  memcpy(out.at, &x, sizeof x);
  return 1;
}

static size_t position(const job *j, const moon_feature *feature, moon_cells out) {
  bool told = j->positions && !isnan(j->positions[feature->position]);
  float x = told ? j->positions[feature->position] : moon_finite(feature->serving);
  memcpy(out.at, &x, sizeof x);
  return 1;
}

static void numbers(const job *j, size_t f, moon_cells out);

/* What goes into a formula is computed beside the inputs, a chunk of candidates at a time. */
static size_t formula(const job *j, const moon_feature *feature, moon_cells out) {
  float inputs[MOON_FORMULA_INPUTS][MOON_FORMULA_CHUNK];
  double answers[MOON_FORMULA_CHUNK];
  job part = *j;
  for (size_t start = 0; start < j->n; start += part.n) {
    part.items = j->items + start;
    part.n = j->n - start < MOON_FORMULA_CHUNK ? j->n - start : MOON_FORMULA_CHUNK;
    for (size_t k = 0; k < feature->input_count; k++)
      numbers(&part, feature->inputs[k], (moon_cells){(char *)inputs[k], sizeof **inputs});
    moon_formula_run(feature->formula, (const float(*)[MOON_FORMULA_CHUNK])inputs, part.n, answers);
    for (size_t i = 0; i < part.n; i++) {
      float x = moon_finite(answers[i]);
      memcpy(out.at + (start + i) * out.stride, &x, sizeof x);
    }
  }
  return j->n;
}

static size_t source(const job *j, size_t f, moon_cells out) {
  const moon_feature *feature = &j->features->plan->features[f];
  switch (feature->op) {
    case MOON_FEATURE_TOGETHER:
      return together(j, feature, out);
    case MOON_FEATURE_AGE:
      return age(j, f, out);
    case MOON_FEATURE_CLOCK:
      return hand_of_clock(j, feature, out);
    case MOON_FEATURE_POSITION:
      return position(j, feature, out);
    case MOON_FEATURE_FORMULA:
      return formula(j, feature, out);
    default:
      return from_state(j, feature, out);
  }
}

/* A number of every row, through its steps; those of a column went through them when they were bound. */
static void numbers(const job *j, size_t f, moon_cells out) {
  const moon_feature *feature = &j->features->plan->features[f];
  if (feature->op == MOON_FEATURE_NUMERIC || feature->op == MOON_FEATURE_RELATIVE) {
    copy_cells(j, f, out);
    return;
  }
  size_t n = source(j, f, out);
  take_steps(j, f, out, n);
  if (n < j->n) spread(j, feature, out);
}

/* ---- bags ----------------------------------------------------------------------------------------------------------------- */

/* How long ago: 1 under a minute, 2 under 3, 3 under 7, ... */
static uint32_t gap_of(int64_t time, int64_t now) {
  double minutes = fmax(seconds_since(time, now), 0) / 60;
  uint32_t gap = 1;
  while (gap < MOON_GAPS && minutes + 1 >= (double)(UINT32_C(1) << gap)) gap++;
  return gap;
}

/* The first row's bag is made, the others are copies. Items that the shared table does not know are left out; so are, among the
 * gaps, those that the item's does not, so that a history and its gaps go side by side. */
static void history(const job *j, size_t f) {
  const moon_features *features = j->features;
  const moon_feature_plan *plan = features->plan;
  const moon_feature *feature = &plan->features[f];
  bool gaps = feature->shares == SIZE_MAX;
  size_t column = gaps ? features->item_id : features->column[feature->shares], kept = 0;
  const moon_touch *touches[MOON_MOST_HISTORY];
  size_t n = moon_history_touches(j->state, j->user, plan->counter_count + feature->slot, touches, feature->last);
  uint32_t *out = bag_of(j, feature, 0);
  for (size_t i = 0; i < n; i++) {
    size_t row = touches[i]->item < features->rows ? touches[i]->item : features->rows;
    uint32_t id = column == SIZE_MAX ? 1 : features->cells[row * features->columns + column].id;
    if (id) out[kept++] = gaps ? gap_of(touches[i]->time, j->now) : id;
  }
  memset(out + kept, 0, (plan->bag_length - kept) * sizeof *out);
  for (size_t i = 1; i < j->n; i++) memcpy(bag_of(j, feature, i), out, plan->bag_length * sizeof *out);
}

static void compute(job j, const char *user_text) {
  const moon_feature_plan *plan = j.features->plan;
  if (!user_text && j.user < moon_state_users(j.state)) user_text = moon_state_user_id(j.state, j.user);
  j.user = moon_state_present(j.state, j.user, j.now);
  for (size_t f = 0; f < plan->feature_count; f++) {
    const moon_feature *feature = &plan->features[f];
    if (feature->kind == MOON_KIND_INSIDE) continue;
    switch (feature->op) {
      case MOON_FEATURE_FILE:
      case MOON_FEATURE_ID:
        if (feature->of_user)
          user_id(&j, f, user_text);
        else
          copy_cells(&j, f, cells_of(&j, feature));
        break;
      case MOON_FEATURE_CROSS:
        cross(&j, f, user_text);
        break;
      case MOON_FEATURE_TAGS:
        tags(&j, f);
        break;
      case MOON_FEATURE_CATEGORY:
      case MOON_FEATURE_TFIDF:
        copy_cells(&j, f, cells_of(&j, feature));
        break;
      case MOON_FEATURE_HISTORY:
        history(&j, f);
        break;
      default:
        numbers(&j, f, cells_of(&j, feature));
        break;
    }
  }
}

void moon_features_compute(const moon_features *features, const moon_state *state, uint32_t user, const char *user_text,
                           const uint32_t *items, size_t n, int64_t now, moon_inputs *out) {
  if (n) compute((job){features, state, user, items, n, now, NULL, out}, user_text);
}

void moon_features_compute_at(const moon_features *features, const moon_state *state, uint32_t user, const char *user_text,
                              uint32_t item, int64_t now, const float *positions, moon_inputs *out, size_t row) {
  const moon_feature_plan *plan = features->plan;
  moon_inputs one = {.dense = out->dense + row * plan->dense_slots,
                     .ids = out->ids + row * plan->id_slots,
                     .bags = out->bags + row * plan->bag_slots * plan->bag_length};
  compute((job){features, state, user, &item, 1, now, positions, &one}, user_text);
}

/* snapshot.c - the state store as bytes and back.
 *
 * The bytes begin with the shape of the store: what it counts, for which kinds, over which windows. Loading makes an empty
 * store from the plan and asks it for its shape; only where that is the same, byte for byte, does the rest mean anything. The
 * rest is what can be read from the store and nothing of how it came about, so equal stores give equal bytes. A checksum ends
 * it.
 *
 *   shape | other kinds | users | clock, events | items: trend, its time, total | users' touches
 *   | of each group the pairs | of each counter the rows: total, times or last time or trend
 *   | of what goes together the pairs and how often, and each item's count | checksum */
#include <math.h>
#include <string.h>

#include "data/bytes.h"
#include "feature/state.h"

#define MAGIC 0x4154534du /* "MSTA" */
enum { VERSION = 3 };

/* ---- saving --------------------------------------------------------------------------------------------------------------- */

static void put_texts(moon_buf *out, const moon_dict *dict, size_t from, size_t to) {
  moon_put_u32(out, (uint32_t)(to - from));
  for (size_t code = from; code < to; code++)
    moon_put_text(out, moon_dict_text(dict, (uint32_t)code), moon_dict_length(dict, (uint32_t)code));
}

static void put_together_shape(const moon_state *state, moon_buf *out) {
  moon_put_u32(out, (uint32_t)state->together_count);
  for (size_t i = 0; i < state->together_count; i++) {
    moon_put_u64(out, state->together[i].last);
    moon_put_u64(out, state->together[i].most);
  }
}

static void put_shape(const moon_state *state, moon_buf *out) {
  moon_put_u32(out, MAGIC);
  moon_put_u32(out, VERSION);
  moon_put_u32(out, state->history_length);
  put_texts(out, state->kinds, 0, state->plan_kinds);
  moon_put_u32(out, (uint32_t)state->set_count);
  moon_buf_add(out, state->set_any, state->set_count);
  moon_buf_add(out, state->in_set, state->plan_kinds * state->set_count);
  moon_put_u32(out, (uint32_t)state->counter_count);
  for (size_t i = 0; i < state->counter_count; i++) {
    const moon_counter *counter = &state->counters[i];
    moon_put_u32(out, counter->measure);
    moon_put_u32(out, counter->of_user);
    moon_put_u64(out, counter->group);
    moon_put_u64(out, (uint64_t)counter->half_life);
    moon_put_u64(out, counter->window_count ? (uint64_t)counter->windows[0] : 0);
    moon_put_u64(out, counter->value ? moon_hash(counter->value, counter->items * sizeof *counter->value) : 0);
  }
  moon_put_u32(out, (uint32_t)state->group_count);
  for (size_t i = 0; i < state->group_count; i++) {
    const moon_group *group = &state->groups[i];
    moon_put_u32(out, group->of_user);
    moon_put_u64(out, group->values);
    moon_put_u64(out, group->value ? moon_hash(group->value, group->items * sizeof *group->value) : 0);
  }
  put_together_shape(state, out);
}

static void put_double(moon_buf *out, double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  moon_put_u64(out, bits);
}

/* Users that are there, in the order of their rows; rows of those that were let go are not told of. */
static void put_users(moon_buf *out, const moon_users *users) {
  moon_put_u32(out, users->live);
  for (uint32_t row = 0; row < users->n; row++)
    if (users->ids[row].text) moon_put_text(out, users->ids[row].text, users->ids[row].n);
}

static void put_trend(moon_buf *out, const moon_trend *trend) {
  put_double(out, trend->weight);
  moon_put_u64(out, (uint64_t)trend->time);
}

static void put_item(moon_buf *out, const moon_item_state *item) {
  put_trend(out, &item->trend);
  moon_put_u64(out, item->total);
}

/* place: of each user's row among those that are there. */
static void put_group(moon_buf *out, const moon_group *group, const uint32_t *place) {
  uint32_t live = 0;
  for (uint32_t i = 0; i < group->n; i++) live += moon_group_is_live(group, i);
  moon_put_u32(out, live);
  for (uint32_t i = 0; i < group->n; i++) {
    uint64_t key = group->keys[i];
    if (!moon_group_is_live(group, i)) continue;
    moon_put_u64(out, group->of_user ? (uint64_t)place[key >> 32] << 32 | (uint32_t)key : key);
  }
}

static void put_history(moon_buf *out, const moon_history *h) {
  moon_put_u32(out, h->n);
  for (uint32_t i = 0; i < h->n; i++) {
    moon_put_u64(out, (uint64_t)h->at[i].time);
    moon_put_u32(out, h->at[i].item);
    moon_put_u32(out, h->at[i].kind);
  }
}

static uint32_t *total_of(const moon_counter *counter, uint32_t row) { return moon_side_at(counter->side, row, counter->total); }

static int64_t *last_of(const moon_counter *counter, uint32_t row) { return moon_side_at(counter->side, row, counter->times); }
static moon_trend *trend_of(const moon_counter *counter, uint32_t row) { return moon_side_at(counter->side, row, counter->times); }
static moon_mean *mean_of(const moon_counter *counter, uint32_t row) { return moon_side_at(counter->side, row, counter->times); }

static bool is_live(const moon_state *state, const moon_counter *counter, uint32_t row) {
  if (counter->group != SIZE_MAX) return moon_group_is_live(&state->groups[counter->group], row);
  return !counter->of_user || state->users.ids[row].text;
}

static void put_counter(moon_buf *out, const moon_state *state, const moon_counter *counter, size_t rows) {
  for (uint32_t row = 0; row < rows; row++) {
    const int64_t *times;
    if (!is_live(state, counter, row)) continue;
    uint32_t n = moon_counter_live(counter, row, &times);
    moon_put_u32(out, *total_of(counter, row));
    if (counter->measure == MOON_MEASURE_LAST) moon_put_u64(out, (uint64_t)*last_of(counter, row));
    if (counter->measure == MOON_MEASURE_DECAY) put_trend(out, trend_of(counter, row));
    if (counter->measure == MOON_MEASURE_MEAN) {
      put_trend(out, &mean_of(counter, row)->weight);
      put_double(out, mean_of(counter, row)->sum);
    }
    if (counter->window_count) moon_put_u32(out, n);
    for (uint32_t i = 0; i < n; i++) moon_put_u64(out, (uint64_t)times[i]);
  }
}

static moon_status put_together(moon_buf *out, const moon_together *t, size_t items) {
  moon_pair *pairs;
  MOON_TRY(moon_together_list(t, &pairs));
  moon_put_u64(out, t->n);
  for (size_t i = 0; i < t->n; i++) {
    moon_put_u32(out, pairs[i].low);
    moon_put_u32(out, pairs[i].high);
    moon_put_u32(out, pairs[i].count);
  }
  for (uint32_t item = 0; item < items; item++) moon_put_u32(out, moon_together_seen(t, item));
  moon_free(pairs);
  return moon_ok();
}

static size_t rows_of(const moon_state *state, const moon_counter *counter) {
  if (counter->group != SIZE_MAX) return state->groups[counter->group].n;
  return counter->of_user ? state->users.n : state->item_count;
}

static void put_all(const moon_state *state, const uint32_t *place, moon_buf *out) {
  put_shape(state, out);
  put_texts(out, state->kinds, state->plan_kinds, moon_dict_count(state->kinds));
  put_users(out, &state->users);
  moon_put_u64(out, (uint64_t)state->clock);
  moon_put_u64(out, state->events);
  moon_put_u32(out, (uint32_t)state->item_count);
  for (size_t i = 0; i < state->item_count; i++) put_item(out, moon_state_item(state, i));
  for (uint32_t i = 0; i < state->users.n; i++)
    if (state->users.ids[i].text) put_history(out, moon_state_history(state, i));
  for (size_t i = 0; i < state->group_count; i++) put_group(out, &state->groups[i], place);
  for (size_t i = 0; i < state->counter_count; i++) put_counter(out, state, &state->counters[i], rows_of(state, &state->counters[i]));
}

moon_status moon_state_save(const moon_state *state, moon_buf *out) {
  size_t start = out->n;
  uint32_t *place = moon_alloc(state->users.n * sizeof *place), next = 0;
  if (!place) return moon_fail(MOON_ENOMEM, "no memory to save the state");
  for (uint32_t i = 0; i < state->users.n; i++) place[i] = state->users.ids[i].text ? next++ : MOON_NONE;
  put_all(state, place, out);
  moon_free(place);
  for (size_t i = 0; i < state->together_count; i++) MOON_TRY(put_together(out, &state->together[i], state->item_count));
  if (!out->failed) moon_put_u64(out, moon_hash(out->data + start, out->n - start));
  return out->failed ? moon_fail(MOON_ENOMEM, "no memory to save the state") : moon_ok();
}

/* ---- loading: every count is held against the bytes that are left before anything is allocated for it --------------------- */

static moon_status bad(const char *what) { return moon_fail(MOON_EFORMAT, "state: %s", what); }

static moon_status check_frame(moon_bytes *in) {
  if (in->n < 12 || moon_get_u32(in) != MAGIC) return bad("not a state snapshot");
  if (moon_get_u32(in) != VERSION) return bad("written by another version");
  moon_bytes end = {in->data, in->n, in->n - 8, false};
  in->n -= 8;
  in->at = 0;
  return moon_hash(in->data, in->n) == moon_get_u64(&end) ? moon_ok() : bad("damaged or cut off (its checksum does not fit)");
}

static moon_status check_shape(moon_bytes *in, const moon_state *empty) {
  moon_buf shape = {0};
  put_shape(empty, &shape);
  const char *found = shape.failed ? NULL : moon_get_bytes(in, shape.n);
  moon_status status = shape.failed ? moon_fail(MOON_ENOMEM, "no memory to load the state") : moon_ok();
  if (!status.code && (!found || memcmp(found, shape.data, shape.n)))
    status = bad("its counters and histories are not those of this plan");
  moon_buf_free(&shape);
  return status;
}

static moon_status get_kinds(moon_bytes *in, moon_state *state) {
  for (uint32_t left = moon_get_u32(in); left && !in->failed; left--) {
    size_t n, known = moon_dict_count(state->kinds);
    const char *text = moon_get_text(in, &n);
    uint32_t code;
    if (!text) break;
    MOON_TRY(moon_state_kind(state, text, n, true, &code));
    if (code != known) return bad("an event kind is there twice");
  }
  return in->failed ? bad("its event kinds are cut off") : moon_ok();
}

static moon_status get_users(moon_bytes *in, moon_state *state) {
  for (uint32_t left = moon_get_u32(in); left && !in->failed; left--) {
    size_t n, known = state->users.n;
    const char *text = moon_get_text(in, &n);
    uint32_t row;
    if (!text) break;
    MOON_TRY(moon_state_user(state, text, n, true, &row));
    if (row != known) return bad("a user is there twice");
  }
  return in->failed ? bad("its users are cut off") : moon_ok();
}

static double get_double(moon_bytes *in) {
  uint64_t bits = moon_get_u64(in);
  double x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

static bool get_trend(moon_bytes *in, moon_trend *trend) {
  trend->weight = get_double(in);
  trend->time = (int64_t)moon_get_u64(in);
  return isfinite(trend->weight) && trend->weight >= 0;
}

static moon_status get_items(moon_bytes *in, moon_state *state) {
  uint32_t rows = moon_get_u32(in);
  uint64_t events = 0;
  if (rows > moon_bytes_left(in) / 24) return bad("its items are cut off");
  MOON_TRY(moon_side_rows(&state->item_side, rows));
  state->item_count = rows;
  for (uint32_t i = 0; i < rows; i++) {
    moon_item_state *item = moon_state_item(state, i);
    bool fine = get_trend(in, &item->trend);
    item->total = moon_get_u64(in);
    events += item->total;
    if (!fine || (item->total && item->trend.time > state->clock))
      return bad("an item's trend is wrong");
  }
  return events == state->events ? moon_ok() : bad("its items' events do not add up");
}

static moon_status get_history(moon_bytes *in, moon_state *state, uint32_t user) {
  moon_history *h = moon_state_history(state, user);
  uint32_t n = moon_get_u32(in), kinds = (uint32_t)moon_dict_count(state->kinds);
  if (n > state->history_length || n > moon_bytes_left(in) / 16) return bad("a user's history is too long");
  for (; h->n < n; h->n++) {
    moon_touch t = {.time = (int64_t)moon_get_u64(in)};
    t.item = moon_get_u32(in);
    t.kind = moon_get_u32(in);
    bool fits = t.item < state->item_count && t.kind < kinds && t.time <= state->clock;
    if (!fits || (h->n && t.time < h->at[h->n - 1].time)) return bad("a user's history is wrong");
    MOON_TRY(moon_history_room(state, user));
    h->at[h->n] = t;
  }
  return moon_ok();
}

/* Times are added like events, so that all that follows from them is there; a time outside the window would not be kept. */
static moon_status get_times(moon_bytes *in, moon_state *state, moon_counter *counter, uint32_t row) {
  uint32_t n = moon_get_u32(in), total = *total_of(counter, row);
  if (n > total || n > moon_bytes_left(in) / 8) return bad("a counter has more times than events");
  int64_t last = INT64_MIN;
  for (uint32_t i = 0; i < n; i++) {
    int64_t time = (int64_t)moon_get_u64(in);
    if (time == MOON_NULL_INT || time < last || time > state->clock) return bad("a counter's times are not in order");
    MOON_TRY(moon_counter_room(counter, &state->pool, row));
    moon_counter_add(counter, row, last = time, 0);
  }
  *total_of(counter, row) = total;
  const int64_t *live;
  return moon_counter_live(counter, row, &live) == n ? moon_ok() : bad("a counter has times outside its window");
}

static moon_status get_group(moon_bytes *in, const moon_state *state, moon_group *group) {
  uint32_t n = moon_get_u32(in);
  if (n > moon_bytes_left(in) / 8) return bad("its pairs are cut off");
  for (uint32_t i = 0; i < n; i++) {
    uint64_t key = moon_get_u64(in);
    uint32_t user = (uint32_t)(key >> 32), value = (uint32_t)key;
    bool fits = user < (group->of_user ? state->users.n : 1) && value < (group->value ? group->values : state->item_count);
    if (!fits) return bad("a pair is of nobody or nothing");
    MOON_TRY(moon_group_room_of(group, key));
    if (group->at != i) return bad("a pair is there twice");
    moon_group_keep(group);
  }
  return moon_ok();
}

/* What there is of an entity that had events: not of the future, and nothing where there were none. */
static moon_status get_latest(moon_bytes *in, const moon_state *state, const moon_counter *counter, uint32_t row) {
  bool any = *total_of(counter, row), fine = true;
  int64_t time;
  if (counter->measure == MOON_MEASURE_DECAY) {
    moon_trend *trend = trend_of(counter, row);
    fine = get_trend(in, trend) && (any || trend->weight == 0);
    time = trend->time;
  } else if (counter->measure == MOON_MEASURE_MEAN) {
    moon_mean *mean = mean_of(counter, row);
    fine = get_trend(in, &mean->weight) && (any ? mean->weight.weight > 0 : mean->weight.weight == 0);
    mean->sum = get_double(in);
    fine = fine && isfinite(mean->sum) && (any || mean->sum == 0);
    time = mean->weight.time;
  } else {
    time = *last_of(counter, row) = (int64_t)moon_get_u64(in);
  }
  return fine && (any ? time <= state->clock && time != MOON_NULL_INT : !time) ? moon_ok() : bad("a last time is wrong");
}

static moon_status get_counter(moon_bytes *in, moon_state *state, moon_counter *counter) {
  size_t rows = rows_of(state, counter);
  for (uint32_t row = 0; row < rows; row++) {
    *total_of(counter, row) = moon_get_u32(in);
    if (counter->measure != MOON_MEASURE_EVENTS) MOON_TRY(get_latest(in, state, counter, row));
    if (counter->window_count) MOON_TRY(get_times(in, state, counter, row));
  }
  return in->failed ? bad("its counters are cut off") : moon_ok();
}

static moon_status get_pairs(moon_bytes *in, const moon_state *state, moon_together *t) {
  uint64_t n = moon_get_u64(in);
  moon_pair last = {0};
  if (n > t->most || n > moon_bytes_left(in) / 12) return bad("its pairs of items are cut off");
  for (uint64_t i = 0; i < n; i++) {
    moon_pair pair = {.low = moon_get_u32(in)};
    pair.high = moon_get_u32(in);
    pair.count = moon_get_u32(in);
    bool rises = !i || pair.low > last.low || (pair.low == last.low && pair.high > last.high);
    if (pair.low >= pair.high || pair.high >= state->item_count || !pair.count || !rises) return bad("a pair of items is wrong");
    MOON_TRY(moon_together_put(t, &pair));
    last = pair;
  }
  return moon_ok();
}

/* No item was counted more often than it was there, and no pair more often than its items were counted. */
static moon_status get_together(moon_bytes *in, const moon_state *state, moon_together *t) {
  MOON_TRY(get_pairs(in, state, t));
  for (uint32_t item = 0; item < state->item_count; item++) {
    uint32_t *seen = moon_side_at(t->side, item, t->seen);
    *seen = moon_get_u32(in);
    if (*seen > moon_state_item(state, item)->total) return bad("an item goes with others more often than it was there");
  }
  for (size_t i = 0; i < t->slots; i++) {
    const moon_pair *pair = &t->pairs[i];
    if (pair->count > (uint64_t)moon_together_seen(t, pair->low) + moon_together_seen(t, pair->high))
      return bad("a pair of items is there more often than both");
  }
  return moon_ok();
}

static moon_status load(moon_bytes *in, moon_state *state) {
  MOON_TRY(check_shape(in, state));
  MOON_TRY(get_kinds(in, state));
  MOON_TRY(get_users(in, state));
  state->clock = (int64_t)moon_get_u64(in);
  state->events = moon_get_u64(in);
  MOON_TRY(get_items(in, state));
  for (uint32_t user = 0; user < state->users.n; user++) MOON_TRY(get_history(in, state, user));
  for (size_t i = 0; i < state->group_count; i++) MOON_TRY(get_group(in, state, &state->groups[i]));
  for (size_t i = 0; i < state->counter_count; i++) MOON_TRY(get_counter(in, state, &state->counters[i]));
  for (size_t i = 0; i < state->together_count; i++) MOON_TRY(get_together(in, state, &state->together[i]));
  return in->failed || moon_bytes_left(in) ? bad("its length is wrong") : moon_ok();
}

moon_status moon_state_load(const char *bytes, size_t n, const moon_feature_plan *plan, moon_state **out) {
  moon_bytes in = {bytes, n, 0, false};
  moon_state *state = NULL;
  MOON_TRY(check_frame(&in));
  MOON_TRY(moon_state_new(plan, &state));
  moon_status status = load(&in, state);
  if (status.code) moon_state_free(state);
  else *out = state;
  return status;
}

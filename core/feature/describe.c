/* describe.c - what a feature plan takes: the type of each feature, the counters that they share, memory, and time.
 *
 * Bytes are those that an empty store lays out for the plan, and what finds a row. Times are of a small table, measured by tests/bench/bench_features.c on one core of an AMD
 * EPYC (AVX2) with 20,000 items and a million events: they are there to compare features with each other and to see a request of
 * milliseconds coming, and are off by a factor of two on other machines and other traffic. */
#include <stdio.h>
#include <string.h>

#include "feature/state.h"

/* Nanoseconds a candidate. What is kept of a user, or of the moment, is looked up once a request and copied. */
#define NS_SLOT 4.0 /* a number or an id that is the item's, the user's or the hour's */
#define NS_CROSS 15.0
#define NS_TAGS 12.0
#define NS_BAG 5.0 /* a history, and for each item that it may have: */
#define NS_BAG_ITEM 0.15
#define NS_TEXT_NUMBER 0.25 /* a number of m.tfidf */
#define NS_ROW 30.0         /* the counters of an item lie together: to get there, once for all of them */
#define NS_PAIR 50.0        /* to find a pair, once for each of its features */
#define NS_WINDOW 28.0      /* to read one window, */
#define NS_TOTAL 2.0        /* a total of all time, */
#define NS_TOGETHER 38.0    /* m.cooccurrence, for each of the user's last items */
#define NS_MOMENT 8.0       /* a last time, a decayed count or a mean */

/* ---- texts ------------------------------------------------------------------------------------------------------------------ */

static void put_span(moon_buf *out, int64_t micros) {
  static const struct {
    int64_t seconds;
    char letter;
  } units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
  size_t i = 0;
  while (i < 3 && micros % (units[i].seconds * MOON_SECOND)) i++;
  if (!micros)
    moon_buf_puts(out, "all time");
  else
    moon_buf_printf(out, "%lld%c", (long long)(micros / (units[i].seconds * MOON_SECOND)), units[i].letter);
}

static void put_kinds(moon_buf *out, char *const *kinds, size_t n) {
  if (!n) moon_buf_puts(out, "any event");
  for (size_t i = 0; i < n; i++) moon_buf_printf(out, "%s%s", i ? " or " : "", kinds[i]);
}

static const char *measure_name(moon_measure measure) {
  static const char *const names[] = {[MOON_MEASURE_EVENTS] = "count",
                                      [MOON_MEASURE_LAST] = "last time",
                                      [MOON_MEASURE_DECAY] = "decayed count",
                                      [MOON_MEASURE_MEAN] = "mean"};
  return names[measure];
}

/* "item", "user", "user and category", "category" */
static void put_entity(moon_buf *out, const moon_feature_plan *plan, const moon_counter_spec *counter) {
  const moon_group_spec *group = counter->group == SIZE_MAX ? NULL : &plan->groups[counter->group];
  if (!group)
    moon_buf_puts(out, counter->of_user ? "user" : "item");
  else
    moon_buf_printf(out, "%s%s", group->of_user ? "user and " : "", group->column ? group->column : "item");
}

static void put_steps(moon_buf *out, const moon_feature *f) {
  static const char *const names[] = {
      [MOON_STEP_LOG] = "log",       [MOON_STEP_CLIP] = "clip",         [MOON_STEP_STANDARD] = "standard",
      [MOON_STEP_MINMAX] = "minmax", [MOON_STEP_QUANTILE] = "quantile", [MOON_STEP_BUCKETIZE] = "bucketize"};
  for (size_t i = 0; i < f->step_count; i++)
    moon_buf_printf(out, "%s%s%s", i ? ", " : "; ", names[f->steps[i].op], f->steps[i].fitted ? " (fitted)" : "");
}

/* "1000 x 8", or "N x 8" where only the training part knows how many rows there are. */
static void put_table(moon_buf *out, const moon_feature *f) {
  if (f->rows)
    moon_buf_printf(out, "%zu x %zu", f->rows, f->dim);
  else
    moon_buf_printf(out, "N x %zu", f->dim);
}

static bool is_counted(const moon_feature *f) {
  return f->op == MOON_FEATURE_COUNT || f->op == MOON_FEATURE_RATE || f->op == MOON_FEATURE_DECAY ||
         f->op == MOON_FEATURE_RECENCY || f->op == MOON_FEATURE_MEAN;
}

static void put_type(moon_buf *out, const moon_feature_plan *plan, const moon_feature *f) {
  const moon_feature *table = f->op == MOON_FEATURE_HISTORY && f->shares != SIZE_MAX ? &plan->features[f->shares] : f;
  if (f->kind == MOON_KIND_INSIDE) moon_buf_puts(out, "number inside a formula");
  if (f->kind == MOON_KIND_NUMBER && f->width == 1) moon_buf_puts(out, "number");
  if (f->kind == MOON_KIND_NUMBER && f->width > 1) moon_buf_printf(out, "%zu numbers", f->width);
  if (f->kind == MOON_KIND_ID) moon_buf_puts(out, "id of ");
  if (f->kind == MOON_KIND_BAG) moon_buf_printf(out, "bag of %zu of ", f->last);
  if (f->kind == MOON_KIND_ID || f->kind == MOON_KIND_BAG) put_table(out, table);
  if (table != f) moon_buf_printf(out, ", the table of %s", table->name);
  if (f->min_count > 1) moon_buf_printf(out, ", of what comes %u times", f->min_count);
  if (f->op == MOON_FEATURE_FILE) moon_buf_printf(out, ", %s from %s", f->freeze ? "frozen" : "starting", f->file);
  if (f->text) moon_buf_printf(out, " over %s", f->text);
}

/* ---- what a feature takes ---------------------------------------------------------------------------------------------------- */

static size_t counters_of(const moon_feature *f, size_t out[2]) {
  out[0] = f->counter, out[1] = f->counter2;
  return !is_counted(f) ? 0 : f->op == MOON_FEATURE_RATE ? 2 : 1;
}

static double counted_ns(const moon_feature_plan *plan, const moon_feature *f) {
  size_t counters[2], n = counters_of(f, counters);
  const moon_counter_spec *spec = &plan->counters[f->counter];
  double ns = 0;
  if (f->of_user && spec->group == SIZE_MAX) return NS_SLOT * (double)f->width;
  for (size_t i = 0; i < f->window_count; i++) ns += f->windows[i] ? NS_WINDOW : NS_TOTAL;
  if (!f->window_count) ns += NS_MOMENT;
  return ns * (double)n + (spec->group == SIZE_MAX ? 0 : NS_PAIR);
}

static double feature_ns(const moon_feature_plan *plan, const moon_feature *f) {
  if (is_counted(f)) return counted_ns(plan, f);
  if (f->op == MOON_FEATURE_CROSS) return NS_CROSS;
  if (f->op == MOON_FEATURE_TOGETHER) return NS_TOGETHER * (double)plan->together[f->together].last;
  if (f->op == MOON_FEATURE_TAGS) return NS_TAGS;
  if (f->op == MOON_FEATURE_HISTORY) return NS_BAG + NS_BAG_ITEM * (double)f->last;
  if (f->op == MOON_FEATURE_TFIDF) return NS_SLOT + NS_TEXT_NUMBER * (double)f->width;
  return NS_SLOT;
}

static bool reads(const moon_feature *f, size_t counter) {
  size_t of[2], n = counters_of(f, of);
  return n && (of[0] == counter || (n == 2 && of[1] == counter));
}

/* The windows that features ask of a counter, each once. */
static size_t windows_of(const moon_feature_plan *plan, size_t counter) {
  size_t n = 0;
  int64_t seen[256];
  for (size_t i = 0; i < plan->feature_count; i++) {
    const moon_feature *f = &plan->features[i];
    if (!reads(f, counter)) continue;
    for (size_t w = 0; w < f->window_count; w++) {
      size_t at = 0;
      while (at < n && seen[at] != f->windows[w]) at++;
      if (f->windows[w] && at == n && n < 256) seen[n++] = f->windows[w];
    }
  }
  return n;
}

static size_t counter_bytes(const moon_feature_plan *plan, size_t counter) {
  const moon_counter_spec *spec = &plan->counters[counter];
  if (spec->measure == MOON_MEASURE_LAST) return 12;
  if (spec->measure == MOON_MEASURE_DECAY) return 20;
  if (spec->measure == MOON_MEASURE_MEAN) return 28;
  return spec->max_window ? 20 + 4 * windows_of(plan, counter) : 4;
}

/* ---- as JSON ------------------------------------------------------------------------------------------------------------------ */

static json_t *take_text(moon_buf *text) {
  json_t *json = text->failed ? NULL : json_string(text->data ? text->data : "");
  moon_buf_free(text);
  return json;
}

static json_t *type_name(const moon_feature *f) {
  static const char *const names[] = {
      [MOON_KIND_NUMBER] = "number", [MOON_KIND_ID] = "id", [MOON_KIND_BAG] = "bag", [MOON_KIND_INSIDE] = "inside"};
  return json_string(names[f->kind]);
}

static json_t *feature_json(const moon_feature_plan *plan, const moon_feature *f) {
  moon_buf text = {0};
  size_t of[2], n = counters_of(f, of);
  json_t *counters = json_array();
  put_type(&text, plan, f);
  for (size_t i = 0; i < f->window_count; i++) {
    moon_buf_puts(&text, i ? ", " : " over ");
    put_span(&text, f->windows[i]);
  }
  put_steps(&text, f);
  for (size_t i = 0; i < n && !(i && of[1] == of[0]); i++) {
    moon_buf_printf(&text, "%s%zu", i ? ", " : "; counter ", of[i] + 1);
    json_array_append_new(counters, json_integer((json_int_t)of[i] + 1));
  }
  return json_pack("{s:s, s:o, s:o, s:s, s:I, s:I, s:o, s:f}", "name", f->name, "text", take_text(&text), "type", type_name(f),
                   "where", f->where, "slots", (json_int_t)(f->kind == MOON_KIND_INSIDE ? 0 : f->width), "dim",
                   (json_int_t)f->dim, "counters", counters, "ns", feature_ns(plan, f));
}

/* The names of the features that read a counter, each once: a name does not tell a window. */
static json_t *readers_json(const moon_feature_plan *plan, size_t counter) {
  json_t *names = json_array();
  for (size_t i = 0; i < plan->feature_count; i++) {
    const char *name = plan->features[i].name;
    bool known = !reads(&plan->features[i], counter);
    for (size_t k = 0; k < i && !known; k++) known = reads(&plan->features[k], counter) && !strcmp(plan->features[k].name, name);
    if (!known) json_array_append_new(names, json_string(name));
  }
  return names;
}

static json_t *counter_json(const moon_feature_plan *plan, size_t counter) {
  const moon_counter_spec *spec = &plan->counters[counter];
  json_t *readers = readers_json(plan, counter);
  moon_buf text = {0};
  moon_buf_printf(&text, "%s of ", measure_name(spec->measure));
  if (spec->column) moon_buf_printf(&text, "%s over ", spec->column);
  put_kinds(&text, spec->kinds, spec->kind_count);
  moon_buf_puts(&text, " by ");
  put_entity(&text, plan, spec);
  if (spec->max_window) {
    moon_buf_puts(&text, ", ");
    put_span(&text, spec->max_window);
    moon_buf_puts(&text, " at most");
  }
  moon_buf_puts(&text, "; for ");
  for (size_t i = 0; i < json_array_size(readers); i++)
    moon_buf_printf(&text, "%s%s", i ? ", " : "", json_string_value(json_array_get(readers, i)));
  return json_pack("{s:o, s:o, s:I, s:I}", "text", take_text(&text), "features", readers, "bytes",
                   (json_int_t)counter_bytes(plan, counter), "event_bytes", (json_int_t)(spec->max_window ? 8 : 0));
}

/* What finds a user: an id's place, and a slot that is between a third and two thirds full; a pair likewise, with its key and life. */
enum { USER_FOUND = sizeof(moon_user_id) + 16, PAIR_FOUND = 8 + 4 + 32 };

typedef struct row_bytes {
  size_t user, item, pairs;
} row_bytes;

static moon_status measure_rows(const moon_feature_plan *plan, row_bytes *out) {
  moon_state *state;
  MOON_TRY(moon_state_new(plan, &state));
  *out = (row_bytes){.user = state->user_side.stride + USER_FOUND, .item = state->item_side.stride};
  for (size_t g = 0; g < state->group_count; g++) out->pairs += state->groups[g].side.stride + PAIR_FOUND;
  moon_state_free(state);
  return moon_ok();
}

static json_t *cost_json(const moon_feature_plan *plan, const row_bytes *rows) {
  size_t event = 0, together = 0, row = 4 * (plan->dense_slots + plan->id_slots + plan->bag_slots * plan->bag_length);
  double ns = 0;
  bool of_items = false;
  for (size_t i = 0; i < plan->counter_count; i++) {
    of_items |= plan->counters[i].group == SIZE_MAX && !plan->counters[i].of_user;
    if (plan->counters[i].max_window) event += 8;
  }
  for (size_t i = 0; i < plan->feature_count; i++) ns += feature_ns(plan, &plan->features[i]);
  for (size_t i = 0; i < plan->together_count; i++) together += 32 * plan->together[i].most;
  if (of_items) ns += NS_ROW;
  return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:I, s:I, s:I}", "together_bytes", (json_int_t)together, "row_bytes",
                   (json_int_t)row, "user_bytes", (json_int_t)rows->user, "item_bytes", (json_int_t)rows->item, "pair_bytes",
                   (json_int_t)rows->pairs, "event_bytes", (json_int_t)event, "candidate_ns", ns, "numbers",
                   (json_int_t)plan->dense_slots, "ids", (json_int_t)plan->id_slots, "bags", (json_int_t)plan->bag_slots);
}

moon_status moon_feature_plan_describe(const moon_feature_plan *plan, json_t **out) {
  row_bytes rows;
  *out = NULL;
  MOON_TRY(measure_rows(plan, &rows));
  json_t *features = json_array(), *counters = json_array();
  bool failed = !features || !counters;
  for (size_t i = 0; i < plan->feature_count; i++)
    failed |= json_array_append_new(features, feature_json(plan, &plan->features[i])) != 0;
  for (size_t i = 0; i < plan->counter_count; i++) failed |= json_array_append_new(counters, counter_json(plan, i)) != 0;
  *out = json_pack("{s:o, s:o, s:o}", "features", features, "counters", counters, "cost", cost_json(plan, &rows));
  if (*out && !failed) return moon_ok();
  json_decref(*out);
  *out = NULL;
  return moon_fail(MOON_ENOMEM, "no memory to describe a feature plan");
}

/* test_feature_past.c - what is known of an item's values, of last times, of decayed counts and of the time itself: as the list of
 * all events has it, at any moment; and the same after a snapshot. */
#include "feature_store.h"

/* Counts by colour and by item, of users and of everybody; times. Items 8 and 9 are beyond the catalogue, item 3 has no colour. */
static const char past_plan[] =
    "[{'op':'count','name':'c(u)','entity':'user','kinds':['view'],'by':'colour','windows_us':[100,1000,0],"
    "'steps':[{'op':'clip','bounds':[0,1e9]}]},"
    "{'op':'count','name':'i(u)','entity':'user','kinds':['purchase','cart'],'by':'item','windows_us':[300],"
    "'steps':[{'op':'clip','bounds':[0,1]}]},"
    "{'op':'count','name':'c(i)','entity':'item','kinds':[],'by':'colour','windows_us':[100],'steps':[{'op':'clip','bounds':[0,1e9]}]},"
    "{'op':'rate','name':'r','entity':'user','by':'colour','numerator':['purchase'],'denominator':['view'],'over_us':1000,'prior':[1,4]},"
    "{'op':'decay','name':'d(i)','entity':'item','kinds':['view'],'half_life_us':200,'steps':[{'op':'clip','bounds':[0,1e9]}]},"
    "{'op':'decay','name':'d(uc)','entity':'user','by':'colour','kinds':[],'half_life_us':50,'steps':[{'op':'clip','bounds':[0,1e9]}]},"
    "{'op':'recency','name':'l(u)','entity':'user','kinds':['purchase'],'never_us':4000000,'steps':[{'op':'clip','bounds':[0,1e9]}]},"
    "{'op':'recency','name':'l(i)','entity':'item','kinds':[],'never_us':4000000,'steps':[{'op':'clip','bounds':[0,1e9]}]},"
    "{'op':'recency','name':'l(ui)','entity':'user','by':'item','kinds':['view'],'never_us':4000000,'steps':[{'op':'clip','bounds':[0,1e9]}]},"
    "{'op':'recency','name':'log','entity':'user','by':'item','kinds':['view'],'never_us':4000000},"
    "{'op':'mean','name':'m(u)','entity':'user','kinds':['view'],'column':'price'},"
    "{'op':'mean','name':'m(uc)','entity':'user','kinds':[],'by':'colour','column':'price','half_life_us':300},"
    "{'op':'mean','name':'m(ic)','entity':'item','kinds':['purchase'],'by':'colour','column':'weight','steps':[{'op':'log'}]},"
    "{'op':'relative','name':'rel','column':'weight','by':'colour'}]";
enum { SLOTS = 16 };

static const int colours[WORLD_ITEMS] = {0, 1, 0, -1, 2, 1, 0, 0, -1, -1};
static bool same_colour(uint32_t a, uint32_t b) { return colours[a] >= 0 && colours[a] == colours[b]; }

/* Which events count: those of the user (or NULL: of all) on such items, of these kinds. */
typedef struct ask {
  const uint32_t *user;
  bool by_colour, by_item;
  unsigned kinds;
} ask;

static bool counts(const ask *q, const moon_event *e, uint32_t item) {
  if (q->user && e->user != *q->user) return false;
  if ((q->by_colour && !same_colour(e->item, item)) || (q->by_item && e->item != item)) return false;
  return q->kinds >> e->kind & 1;
}

static double count_of(const naive *all, ask q, uint32_t item, int64_t now, int64_t window) {
  double n = 0;
  for (size_t i = 0; i < all->n; i++) {
    const moon_event *e = &all->events[i];
    n += counts(&q, e, item) && (!window || (e->time <= now && e->time > now - window));
  }
  return n;
}

static double decay_of(const naive *all, ask q, uint32_t item, int64_t now, double half_life) {
  double sum = 0;
  for (size_t i = 0; i < all->n; i++)
    if (counts(&q, &all->events[i], item)) sum += exp2((double)(all->events[i].time - now) / half_life);
  return sum;
}

static double recency_of(const naive *all, ask q, uint32_t item, int64_t now) {
  double seconds = 4;
  for (size_t i = 0; i < all->n; i++)
    if (counts(&q, &all->events[i], item)) seconds = fmin(seconds, (double)(now - all->events[i].time) / (double)MOON_SECOND);
  return seconds;
}

static const double prices[WORLD_ITEMS] = {9, 0, 99, NAN, -5, 1, 2, 3, NAN, NAN}, weights[WORLD_ITEMS] = {1.5, -2, 0, NAN, 7, 1, 2, 3, NAN, NAN};

/* 0 where there is none: what the model sees. */
static double mean_of(const naive *all, ask q, uint32_t item, const double *values, double half_life) {
  double sum = 0, weight = 0;
  for (size_t i = 0; i < all->n; i++) {
    const moon_event *e = &all->events[i];
    if (!counts(&q, e, item) || isnan(values[e->item])) continue;
    double w = exp2((double)(e->time - all->events[all->n - 1].time) / half_life);
    sum += w * values[e->item], weight += w;
  }
  return weight > 0 ? sum / weight : 0;
}

static double relative_of(uint32_t item) {
  double sum = 0, n = 0;
  for (uint32_t other = 0; other < WORLD_ITEMS; other++)
    if (same_colour(item, other) && !isnan(weights[other])) sum += weights[other], n++;
  return n > 0 && !isnan(weights[item]) ? weights[item] / (sum / n) : 0;
}

static void check_row(const world *w, uint32_t user, uint32_t item, int64_t now, const float *dense) {
  const naive *all = &w->all;
  const ask colour_views = {&user, true, false, 1}, item_buys = {&user, false, true, 6}, colour_buys = {&user, true, false, 2},
            colour_all = {NULL, true, false, 7}, item_views = {NULL, false, true, 1}, user_colour = {&user, true, false, 7},
            user_buys = {&user, false, false, 2}, item_any = {NULL, false, true, 7}, user_item = {&user, false, true, 1},
            user_views = {&user, false, false, 1}, colour_bought = {NULL, true, false, 2};
  const double want[SLOTS] = {
      count_of(all, colour_views, item, now, 100),
      count_of(all, colour_views, item, now, 1000),
      count_of(all, colour_views, item, now, 0),
      fmin(count_of(all, item_buys, item, now, 300), 1),
      count_of(all, colour_all, item, now, 100),
      (count_of(all, colour_buys, item, now, 1000) + 1) / (count_of(all, colour_views, item, now, 1000) + 4),
      decay_of(all, item_views, item, now, 200),
      decay_of(all, user_colour, item, now, 50),
      recency_of(all, user_buys, item, now),
      recency_of(all, item_any, item, now),
      recency_of(all, user_item, item, now),
      log1p(recency_of(all, user_item, item, now)),
      mean_of(all, user_views, item, prices, INFINITY),
      mean_of(all, user_colour, item, prices, 300),
      log1p(fmax(mean_of(all, colour_bought, item, weights, INFINITY), 0)),
      relative_of(item),
  };
  for (size_t i = 0; i < SLOTS; i++)
    if (fabs(dense[i] - want[i]) > 1e-4 * (1 + fabs(want[i])))
      fail_msg("slot %zu (%s), user %u, item %u at %lld: %g, not %g", i, w->plan->dense_names[i], user, item, (long long)now, dense[i],
               want[i]);
}

static void past_is_that_of_the_list_of_all_events(void **nothing) {
  (void)nothing;
  world *w = world_new(past_plan);
  assert_int_equal(w->plan->dense_slots, SLOTS);
  moon_rng rng;
  moon_rng_seed(&rng, 21, 1);
  int64_t time = 100;
  for (uint32_t user = 0; user < WORLD_USERS; user++) state_user(w->state, user);
  for (int i = 0; i < 1500; i++) {
    moon_event e = world_event(&rng, &time);
    int64_t clock = moon_state_clock(w->state), now = (e.time > clock ? e.time : clock) + moon_rng_below(&rng, 3) * 40;
    float dense[WORLD_ITEMS][SLOTS];
    uint32_t items[WORLD_ITEMS];
    moon_inputs in = {.dense = dense[0]};
    for (uint32_t item = 0; item < WORLD_ITEMS; item++) items[item] = item;
    moon_features_compute(w->features, w->state, state_user(w->state, e.user), NULL, items, WORLD_ITEMS, now, &in);
    for (uint32_t item = 0; item < WORLD_ITEMS; item++) check_row(w, e.user, item, now, dense[item]);
    world_fold(w->state, &w->all, e);
  }
  world_free(w);
}

static void stranger_and_unknown_item_have_no_past(void **nothing) {
  (void)nothing;
  world *w = world_new(past_plan);
  for (int i = 0; i < 40; i++) world_fold(w->state, &w->all, (moon_event){.user = 0, .item = (uint32_t)i % 8, .kind = 0, .time = i});
  float dense[SLOTS];
  moon_inputs in = {.dense = dense};
  const uint32_t nobodies[] = {MOON_NONE, 5, 1u << 31}, items[] = {1, MOON_NONE, 77};
  for (size_t k = 0; k < 3; k++) {
    moon_features_compute(w->features, w->state, nobodies[k], NULL, &items[k], 1, 60, &in);
    static const double want[] = {0, 0, 0, 0, -1, 0.25, -1, 0, 4, -1, 4};
    for (size_t i = 0; i < MANY(want); i++)
      if (want[i] >= 0) NEAR(dense[i], want[i], 1e-7);
  }
  world_free(w);
}

static void clock_tells_hour_and_weekday_in_its_zone(void **nothing) {
  (void)nothing;
  world *w = world_new(
      "[{'op':'clock','name':'h','unit':'hour','dim':2},{'op':'clock','name':'w','unit':'weekday','dim':2},"
      "{'op':'clock','name':'z','unit':'hour','zone_us':-12600000000,'steps':[{'op':'clip','bounds':[0,99]}]},"
      "{'op':'clock','name':'y','unit':'weekday','zone_us':-12600000000,'steps':[{'op':'clip','bounds':[0,99]}]}]");
  assert_int_equal(moon_feature_rows(&w->plan->features[0], NULL), 25);
  assert_int_equal(moon_feature_rows(&w->plan->features[1], NULL), 8);
  static const struct { const char *time; uint32_t hour, weekday; float there, day_there;
  } cases[] = {{"2026-11-25T00:00:00Z", 0, 3, 20, 2},     {"2026-11-25T03:29:59Z", 3, 3, 23, 2}, {"2026-11-25T03:30:00Z", 3, 3, 0, 3},
               {"2026-11-29T23:59:59Z", 23, 7, 20, 7},    {"2026-11-30T00:00:00Z", 0, 1, 20, 7}, {"1970-01-01T00:00:00Z", 0, 4, 20, 3},
               {"1969-12-31T23:59:59Z", 23, 3, 20, 3}};
  for (size_t i = 0; i < MANY(cases); i++) {
    int64_t now;
    uint32_t ids[2];
    float dense[2];
    const uint32_t item = 0;
    moon_inputs in = {.ids = ids, .dense = dense};
    OK(moon_time_parse(cases[i].time, strlen(cases[i].time), &now));
    moon_features_compute(w->features, w->state, MOON_NONE, NULL, &item, 1, now, &in);
    assert_int_equal(ids[0], cases[i].hour + 1);
    assert_int_equal(ids[1], cases[i].weekday);
    assert_true(dense[0] == cases[i].there && dense[1] == cases[i].day_there);
  }
  static const int64_t ends[] = {INT64_MIN + 1, INT64_MAX};
  for (size_t i = 0; i < 2; i++) {
    uint32_t ids[2], item = 0;
    float dense[2];
    moon_features_compute(w->features, w->state, MOON_NONE, NULL, &item, 1, ends[i], &(moon_inputs){.ids = ids, .dense = dense});
    assert_true(ids[0] >= 1 && ids[0] <= 24 && ids[1] >= 1 && ids[1] <= 7);
  }
  world_free(w);
}

static void clock_follows_summer_time(void **nothing) {
  (void)nothing;
  world *w = world_new("[{'op':'clock','name':'h','unit':'hour','zone':'3600,228877200:7200;CET-1CEST,M3.5.0,M10.5.0/3',"
                       "'steps':[{'op':'clip','bounds':[0,99]}]},"
                       "{'op':'clock','name':'w','unit':'weekday','zone':'CET-1CEST,M3.5.0,M10.5.0/3','steps':[{'op':'clip','bounds':[0,99]}]}]");
  static const struct { const char *time; float hour, weekday;
  } cases[] = {{"2026-03-29T00:59:59Z", 1, 7}, {"2026-03-29T01:00:00Z", 3, 7}, {"2026-10-25T00:59:59Z", 2, 7}, {"2026-10-25T01:00:00Z", 2, 7},
               {"2026-07-05T22:00:00Z", 0, 1}, {"2026-01-05T22:00:00Z", 23, 1}, {"1977-03-20T00:00:00Z", 1, 7}};
  for (size_t i = 0; i < MANY(cases); i++) {
    int64_t now;
    float dense[2];
    const uint32_t item = 0;
    OK(moon_time_parse(cases[i].time, strlen(cases[i].time), &now));
    moon_features_compute(w->features, w->state, MOON_NONE, NULL, &item, 1, now, &(moon_inputs){.dense = dense});
    if (dense[0] != cases[i].hour || dense[1] != cases[i].weekday) fail_msg("%s: %g on day %g", cases[i].time, dense[0], dense[1]);
  }
  world_free(w);
}

static void age_is_counted_from_the_items_column(void **nothing) {
  (void)nothing;
  static const char csv[] = "item,made\na,1970-01-01T00:00:10Z\nb,\nc,1970-01-01T00:01:00Z\n";
  const moon_read_column columns[] = {{"item", "item", "string"}, {"made", "made", "time"}};
  const moon_read_options options = {.delimiter = ',', .columns = columns, .column_count = 2};
  moon_read_report report;
  moon_table *table;
  moon_catalogue *catalogue;
  OK(moon_csv_read_memory("items.csv", csv, sizeof csv - 1, &options, &table, &report));
  OK(moon_catalogue_new(table, &catalogue));
  moon_feature_plan *plan = plan_of("[{'op':'age','name':'a','column':'made','steps':[{'op':'clip','bounds':[-99,99]}]},"
                                    "{'op':'age','name':'b','column':'made'},{'op':'age','name':'c','column':'made','dim':2,"
                                    "'steps':[{'op':'bucketize','edges':[0,15]}]}]", catalogue);
  moon_vocab *none[3] = {0};
  moon_features *features;
  moon_state *state;
  float dense[4][2];
  uint32_t ids[4];
  const uint32_t items[] = {0, 1, 2, MOON_NONE};
  moon_inputs in = {.dense = dense[0], .ids = ids};
  OK(moon_state_new(plan, &state));
  OK(moon_features_bind(plan, catalogue, none, &features));
  moon_features_compute(features, state, MOON_NONE, NULL, items, 4, 30 * MOON_SECOND, &in);
  const double want[] = {20, 0, -30, 0};
  for (size_t i = 0; i < 4; i++) {
    assert_true(dense[i][0] == want[i]);
    NEAR(dense[i][1], log1p(fmax(want[i], 0)), 1e-6);
  }
  assert_true(ids[0] == 3 && ids[1] == 0 && ids[2] == 1 && ids[3] == 0);
  moon_features_free(features);
  moon_state_free(state);
  moon_feature_plan_free(plan);
  moon_catalogue_free(catalogue);
}

static void position_is_the_events_in_training_and_a_constant_in_serving(void **nothing) {
  (void)nothing;
  world *w = world_new("[{'op':'numeric','name':'w','column':'weight'},{'op':'position','name':'p','column':'place','serving':1},"
                       "{'op':'position','name':'q','column':'depth','serving':3,'steps':[{'op':'log'}]}]");
  float dense[2][3];
  const uint32_t items[] = {0, 1};
  moon_inputs in = {.dense = dense[0]};
  assert_int_equal(w->plan->position_count, 2);
  moon_features_compute(w->features, w->state, MOON_NONE, NULL, items, 2, 0, &in);
  for (size_t i = 0; i < 2; i++) assert_true(dense[i][1] == 1 && fabsf(dense[i][2] - logf(4)) < 1e-6f);
  moon_features_compute_at(w->features, w->state, MOON_NONE, NULL, 0, 0, (float[]){7, 0}, &in, 1);
  assert_true(dense[1][1] == 7 && dense[1][2] == 0);
  moon_features_compute_at(w->features, w->state, MOON_NONE, NULL, 0, 0, (float[]){NAN, 1}, &in, 1);
  assert_true(dense[1][1] == 1 && fabsf(dense[1][2] - logf(2)) < 1e-6f);
  world_free(w);
}

/* ---- snapshots ------------------------------------------------------------------------------------------------------------ */

static void snapshot_returns_with_pairs_times_and_trends(void **nothing) {
  (void)nothing;
  check_snapshots(past_plan);
}

static void forged_snapshot_never_breaks_the_store(void **nothing) {
  (void)nothing;
  check_forgeries(past_plan);
}

/* One number of a small snapshot replaced, counted in bytes from the end. */
static void check_forgery(const char *plan_text, size_t from_end, size_t width, uint64_t value, const char *text) {
  world *w = world_new(plan_text);
  moon_state *again = NULL;
  moon_buf bytes = {0};
  uint32_t user = state_user(w->state, 0), view = state_kind(w->state, 0);
  OK(moon_state_apply(w->state, user, 0, view, 1000));
  OK(moon_state_apply(w->state, user, 1, view, 1050));
  OK(moon_state_save(w->state, &bytes));
  for (size_t b = 0; b < width; b++) bytes.data[bytes.n - from_end + b] = (char)(value >> 8 * b);
  seal(&bytes);
  REFUSED(text[0] ? MOON_EFORMAT : MOON_OK, text, moon_state_load(bytes.data, bytes.n, w->plan, &again));
  moon_state_free(again);
  moon_buf_free(&bytes);
  world_free(w);
}

static void snapshot_that_contradicts_itself_is_refused(void **nothing) {
  (void)nothing;
  /* ... pairs 4: (0, 0) 8, (0, 1) 8 | total 4, last 8, twice | checksum 8 */
  static const char last[] = "[{'op':'recency','name':'r','entity':'user','by':'colour','kinds':['view']}]";
  check_forgery(last, 16, 8, 1049, "");
  check_forgery(last, 16, 8, 1051, "a last time is wrong");
  check_forgery(last, 16, 8, UINT64_C(1) << 63, "a last time is wrong");
  check_forgery(last, 20, 4, 0, "a last time is wrong");
  check_forgery(last, 40, 8, 2, "");
  check_forgery(last, 40, 8, 3, "a pair is of nobody or nothing");
  check_forgery(last, 40, 8, 0, "a pair is there twice");
  check_forgery(last, 36, 4, 1, "a pair is of nobody or nothing");
  check_forgery(last, 52, 4, 99, "its pairs are cut off");
  static const char everybody[] = "[{'op':'recency','name':'r','entity':'item','by':'colour','kinds':['view']}]";
  check_forgery(everybody, 36, 4, 1, "a pair is of nobody or nothing");
  /* ... total 4, weight 8, its time 8 | checksum 8 */
  static const char decay[] = "[{'op':'decay','name':'d','entity':'user','kinds':['view'],'half_life_us':9}]";
  check_forgery(decay, 24, 8, 0, "");
  check_forgery(decay, 24, 8, UINT64_C(0xbff0000000000000), "a last time is wrong"); /* -1 */
  check_forgery(decay, 24, 8, UINT64_C(0x7ff8000000000000), "a last time is wrong"); /* NaN */
  check_forgery(decay, 16, 8, 1051, "a last time is wrong");
  /* ... total 4, weight 8, its time 8, sum 8 | checksum 8 */
  static const char mean[] = "[{'op':'mean','name':'m','entity':'user','kinds':['view'],'column':'price'}]";
  check_forgery(mean, 16, 8, 0, "");
  check_forgery(mean, 16, 8, UINT64_C(0x7ff0000000000000), "a last time is wrong"); /* infinite */
  check_forgery(mean, 32, 8, 0, "a last time is wrong");
  check_forgery(mean, 24, 8, 1051, "a last time is wrong");
  check_forgery(mean, 36, 4, 0, "a last time is wrong");
}

static void snapshot_of_another_plan_is_refused(void **nothing) {
  (void)nothing;
  static const char *const plans[] = {
      "[{'op':'recency','name':'r','entity':'user','by':'colour','kinds':['view']}]",
      "[{'op':'recency','name':'r','entity':'user','by':'item','kinds':['view']}]",
      "[{'op':'recency','name':'r','entity':'item','by':'colour','kinds':['view']}]",
      "[{'op':'recency','name':'r','entity':'user','kinds':['view']}]",
      "[{'op':'decay','name':'r','entity':'user','kinds':['view'],'half_life_us':9}]",
      "[{'op':'decay','name':'r','entity':'user','kinds':['view'],'half_life_us':8}]",
      "[{'op':'mean','name':'r','entity':'user','kinds':['view'],'half_life_us':8,'column':'price'}]",
      "[{'op':'mean','name':'r','entity':'user','kinds':['view'],'half_life_us':8,'column':'weight'}]",
      "[{'op':'mean','name':'r','entity':'user','kinds':['view'],'column':'weight'}]",
      "[{'op':'count','name':'r','entity':'user','by':'colour','kinds':['view'],'windows_us':[0]}]"};
  for (size_t i = 0; i < MANY(plans); i++) {
    world *w = world_new(plans[i]);
    moon_buf bytes = {0};
    OK(moon_state_save(w->state, &bytes));
    for (size_t k = 0; k < MANY(plans); k++) {
      world *other = world_new(plans[k]);
      moon_state *again = NULL;
      moon_status status = moon_state_load(bytes.data, bytes.n, other->plan, &again);
      assert_int_equal(status.code, i == k ? MOON_OK : MOON_EFORMAT);
      moon_state_free(again);
      world_free(other);
    }
    moon_buf_free(&bytes);
    world_free(w);
  }
}

/* ---- failures ------------------------------------------------------------------------------------------------------------- */

static void failed_event_leaves_no_pair_behind(void **nothing) {
  (void)nothing;
  world *w = world_new(past_plan);
  moon_rng rng;
  moon_rng_seed(&rng, 31, 3);
  int64_t time = 100;
  size_t failures = 0;
  for (int i = 0; i < 400; i++) {
    moon_event e = world_event(&rng, &time);
    uint32_t user = state_user(w->state, e.user + (uint32_t)i / 20), kind = state_kind(w->state, e.kind);
    for (size_t n = 1;; n++) {
      moon_buf before = {0}, after = {0};
      OK(moon_state_save(w->state, &before));
      moon_alloc_fail_at(n);
      moon_status status = moon_state_apply(w->state, user, e.item, kind, e.time);
      moon_alloc_fail_at(0);
      OK(moon_state_save(w->state, &after));
      bool same = before.n == after.n && !memcmp(before.data, after.data, before.n);
      moon_buf_free(&before);
      moon_buf_free(&after);
      assert_true(same == (status.code != MOON_OK));
      if (!status.code) break;
      failures++;
      /* another pair may take the row that was made ready */
      if (n % 2) OK(moon_state_apply(w->state, user, (e.item + 1) % WORLD_ITEMS, kind, e.time));
    }
  }
  assert_true(failures > 8);
  world_free(w);
}

static void wrong_features_of_the_past_are_refused(void **nothing) {
  (void)nothing;
  static const struct { moon_code code; const char *text, *plan;
  } wrong[] = {
      {MOON_EINVAL, "by must be", "[{'op':'recency','name':'x','entity':'user','by':3}]"},
      {MOON_EINVAL, "by \"item\" is for the user", "[{'op':'recency','name':'x','entity':'item','by':'item'}]"},
      {MOON_ENOTFOUND, "r:7: items.csv has no column 'color'; did you mean 'colour'?",
       "[{'op':'decay','name':'x','entity':'user','by':'color','half_life_us':5,'where':'r:7'}]"},
      {MOON_EINVAL, "column weight of items.csv holds numbers; to count by it needs strings",
       "[{'op':'count','name':'x','entity':'user','by':'weight','windows_us':[1]}]"},
      {MOON_EINVAL, "the price of an item is the same in all its events; by says of which items the mean is",
       "[{'op':'mean','name':'x','entity':'item','column':'price'}]"},
      {MOON_EINVAL, "column colour of items.csv holds strings; x needs numbers", "[{'op':'mean','name':'x','entity':'user','column':'colour'}]"},
      {MOON_EINVAL, "half_life_us must be from 0", "[{'op':'mean','name':'x','entity':'user','column':'price','half_life_us':-1}]"},
      {MOON_EINVAL, "column weight of items.csv holds numbers; x needs strings", "[{'op':'relative','name':'x','column':'price','by':'weight'}]"},
      {MOON_EINVAL, "column must be a text", "[{'op':'relative','name':'x','column':'price'}]"},
      {MOON_EINVAL, "half_life_us must be from 1", "[{'op':'decay','name':'x','entity':'user'}]"},
      {MOON_EINVAL, "never_us must be from 1", "[{'op':'recency','name':'x','entity':'user','never_us':0}]"},
      {MOON_EINVAL, "column weight of items.csv holds no times", "[{'op':'age','name':'x','column':'weight'}]"},
      {MOON_EINVAL, "there is no clock 'hours'; did you mean 'hour'?", "[{'op':'clock','name':'x','unit':'hours'}]"},
      {MOON_EFORMAT, "'Europe/Amsterdam' is not a zone's changes and rule",
       "[{'op':'clock','name':'x','unit':'hour','zone':'Europe/Amsterdam'}]"},
      {MOON_EINVAL, "zone must be a text", "[{'op':'clock','name':'x','unit':'hour','zone':1}]"},
      {MOON_EINVAL, "zone_us must be from", "[{'op':'clock','name':'x','unit':'hour','zone_us':86400000001}]"},
  };
  moon_catalogue *catalogue = world_catalogue();
  for (size_t i = 0; i < MANY(wrong); i++) {
    json_t *json = json_of(wrong[i].plan);
    moon_feature_plan *plan = NULL;
    REFUSED(wrong[i].code, wrong[i].text, moon_feature_plan_new(json, catalogue, &plan));
    json_decref(json);
  }
  json_t *json = json_of(past_plan);
  moon_feature_plan *plan = NULL;
  moon_state *state = NULL;
  for (size_t n = 1;; n++) {
    moon_alloc_fail_at(n);
    moon_status status = moon_feature_plan_new(json, catalogue, &plan);
    moon_alloc_fail_at(0);
    if (!status.code) break;
    assert_int_equal(status.code, MOON_ENOMEM);
  }
  for (size_t n = 1;; n++) {
    moon_alloc_fail_at(n);
    moon_status status = moon_state_new(plan, &state);
    moon_alloc_fail_at(0);
    if (!status.code) break;
    assert_int_equal(status.code, MOON_ENOMEM);
  }
  moon_state_free(state);
  moon_feature_plan_free(plan);
  json_decref(json);
  moon_catalogue_free(catalogue);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(past_is_that_of_the_list_of_all_events),
      cmocka_unit_test(stranger_and_unknown_item_have_no_past),
      cmocka_unit_test(clock_tells_hour_and_weekday_in_its_zone),
      cmocka_unit_test(clock_follows_summer_time),
      cmocka_unit_test(age_is_counted_from_the_items_column),
      cmocka_unit_test(position_is_the_events_in_training_and_a_constant_in_serving),
      cmocka_unit_test(snapshot_returns_with_pairs_times_and_trends),
      cmocka_unit_test(forged_snapshot_never_breaks_the_store),
      cmocka_unit_test(snapshot_that_contradicts_itself_is_refused),
      cmocka_unit_test(snapshot_of_another_plan_is_refused),
      cmocka_unit_test(failed_event_leaves_no_pair_behind),
      cmocka_unit_test(wrong_features_of_the_past_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

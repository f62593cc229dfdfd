/* test_feature_state.c - the state store against the list of all events, and what it does with odd or failing input. */
#include "feature/state.h"
#include "feature_world.h"

typedef struct world {
  moon_catalogue *catalogue;
  moon_feature_plan *plan;
  moon_state *state;
  naive all;
} world;

static world *world_new(const char *plan) {
  world *w = calloc(1, sizeof *w);
  w->catalogue = world_catalogue();
  w->plan = plan_of(plan, w->catalogue);
  OK(moon_state_new(w->plan, &w->state));
  return w;
}

static void world_free(world *w) {
  moon_state_free(w->state);
  moon_feature_plan_free(w->plan);
  moon_catalogue_free(w->catalogue);
  free(w);
}

static unsigned kind_bits(const moon_counter_spec *spec) {
  unsigned bits = 0;
  for (size_t i = 0; i < spec->kind_count; i++)
    for (unsigned kind = 0; kind < WORLD_KINDS; kind++) bits |= (unsigned)!strcmp(spec->kinds[i], world_kinds[kind]) << kind;
  return spec->kind_count ? bits : (1u << WORLD_KINDS) - 1;
}

static uint32_t read_counter(const moon_counter *counter, uint32_t row, int64_t now, int64_t window) {
  size_t number = moon_counter_window(counter, window);
  assert_true(!window == (number == counter->window_count));
  return moon_counter_read(counter, row, now, number);
}

/* Every counter, entity and window against the naive count. */
static void check_counters(const world *w, int64_t now) {
  for (size_t c = 0; c < w->plan->counter_count; c++) {
    const moon_counter_spec *spec = &w->plan->counters[c];
    for (uint32_t row = 0; row < (spec->of_user ? WORLD_USERS : WORLD_ITEMS); row++) {
      char id[16];
      snprintf(id, sizeof id, "u%u", row);
      uint32_t at = row;
      if (spec->of_user) OK(moon_state_user(w->state, id, strlen(id), false, &at));
      const moon_counter *counter = &w->state->counters[c];
      for (size_t s = 0; s <= counter->window_count; s++) {
        int64_t window = s < counter->window_count ? counter->windows[s] : 0;
        size_t want = naive_count(&w->all, spec->of_user, row, kind_bits(spec), now, window),
               got = moon_counter_read(counter, at, now, s);
        if (got != want)
          fail_msg("counter %zu, row %u, window %lld at %lld: %zu, not %zu", c, row, (long long)window, (long long)now, got,
                   want);
      }
    }
  }
}

static void counts_are_those_of_the_list_of_all_events(void **nothing) {
  (void)nothing;
  for (uint64_t seed = 0; seed < 4; seed++) {
    world *w = world_new(world_plan);
    moon_rng rng;
    moon_rng_seed(&rng, seed, 1);
    int64_t time = seed % 2 ? 0 : 1700000000 * MOON_SECOND;
    for (int i = 0; i < 1500; i++) {
      world_fold(w->state, &w->all, world_event(&rng, &time));
      if (i % 10) continue;
      int64_t clock = moon_state_clock(w->state);
      check_counters(w, clock);
      check_counters(w, clock + moon_rng_below(&rng, 150));
      check_counters(w, clock + moon_rng_below(&rng, 3000));
    }
    assert_int_equal(moon_state_events(w->state), 1500);
    world_free(w);
  }
}

static void window_holds_its_end_and_not_its_beginning(void **nothing) {
  (void)nothing;
  world *w = world_new(world_plan);
  world_fold(w->state, &w->all, (moon_event){.user = 0, .item = 1, .kind = 0, .time = 5000});
  const moon_counter *views = &w->state->counters[w->plan->features[5].counter];
  assert_int_equal(read_counter(views, 1, 5000, 100), 1);
  assert_int_equal(read_counter(views, 1, 5099, 100), 1);
  assert_int_equal(read_counter(views, 1, 5100, 100), 0);
  assert_int_equal(read_counter(views, 1, 4999, 100), 0);
  assert_int_equal(read_counter(views, 1, 4999, 0), 1); /* totals know no time */
  /* What just left the widest window is gone for an early now too; what just did not is there. */
  world_fold(w->state, &w->all, (moon_event){.user = 0, .item = 1, .kind = 0, .time = 6000});
  assert_int_equal(read_counter(views, 1, 5050, 100), 0);
  world_fold(w->state, &w->all, (moon_event){.user = 0, .item = 1, .kind = 0, .time = 5001});
  assert_int_equal(read_counter(views, 1, 5050, 100), 1);
  world_free(w);
}

/* The definition in state.h for a `now` before the newest event, also at the ends of time. */
static void counts_for_an_early_now_depend_only_on_the_events(void **nothing) {
  (void)nothing;
  for (uint64_t seed = 0; seed < 4; seed++) {
    world *w = world_new(world_plan);
    moon_rng rng;
    moon_rng_seed(&rng, seed, 2);
    int64_t time = 10000;
    for (int i = 0; i < 600; i++) {
      world_fold(w->state, &w->all, world_event(&rng, &time));
      const moon_counter *views = &w->state->counters[w->plan->features[5].counter];
      uint32_t item = moon_rng_below(&rng, WORLD_ITEMS);
      int64_t now = time - moon_rng_below(&rng, 3000), newest = INT64_MIN;
      for (size_t j = 0; j < w->all.n; j++)
        if (w->all.events[j].item == item && w->all.events[j].kind == 0 && w->all.events[j].time > newest)
          newest = w->all.events[j].time;
      if (newest == INT64_MIN) continue;
      size_t want = 0;
      for (size_t j = 0; j < w->all.n; j++) {
        const moon_event *e = &w->all.events[j];
        want += e->item == item && e->kind == 0 && e->time <= now && e->time > now - 100 && e->time > newest - 1000;
      }
      assert_int_equal(read_counter(views, item, now, 100), want);
      assert_int_equal(read_counter(views, item, INT64_MIN, 100), 0);
      assert_int_equal(read_counter(views, item, INT64_MAX, 1000), 0);
    }
    world_free(w);
  }
}

static void times_at_the_ends_of_the_clock_are_counted(void **nothing) {
  (void)nothing;
  world *w = world_new(world_plan);
  static const int64_t times[] = {INT64_MIN + 1, INT64_MIN + 1, 0, INT64_MAX - 1, INT64_MAX};
  for (size_t i = 0; i < MANY(times); i++) {
    world_fold(w->state, &w->all, (moon_event){.user = 0, .item = 1, .kind = 0, .time = times[i]});
    assert_int_equal(read_counter(&w->state->counters[0], 1, times[i], 1000), i == 1 || i == 4 ? 2 : 1);
    assert_true(isfinite(moon_state_item_trend(w->state, 1, INT64_MAX)));
    assert_true(isfinite(moon_state_item_trend(w->state, 1, INT64_MIN)));
  }
  world_free(w);
}

static void counter_forgets_what_left_its_window_and_stays_small(void **nothing) {
  (void)nothing;
  world *w = world_new(world_plan);
  uint32_t user = state_user(w->state, 0), view = state_kind(w->state, 0);
  for (int64_t i = 0; i < 50000; i++) OK(moon_state_apply(w->state, user, 0, view, i * 10)); /* 100 in the widest window */
  const moon_counter *views = &w->state->counters[w->plan->features[5].counter];
  assert_int_equal(read_counter(views, 0, 499990, 1000), 100);
  assert_int_equal(read_counter(views, 0, 499990, 0), 50000);
  assert_true(((moon_times *)moon_side_at(views->side, 0, views->times))->cap <= 512);
  world_free(w);
}

/* ---- histories ------------------------------------------------------------------------------------------------------------ */

static void check_items(const world *w, uint32_t user, size_t set, unsigned kinds, size_t limit) {
  uint32_t got[64], want[64], row;
  char id[16];
  snprintf(id, sizeof id, "u%u", user);
  OK(moon_state_user(w->state, id, strlen(id), false, &row));
  const moon_touch *touches[64];
  size_t n = moon_history_touches(w->state, row, set, touches, limit), expected = naive_items(&w->all, user, kinds, want, limit);
  assert_int_equal(n, expected);
  for (size_t i = 0; i < n; i++) got[i] = touches[i]->item;
  if (n) assert_memory_equal(got, want, n * sizeof *got);
}

static void histories_are_those_of_the_list_of_all_events(void **nothing) {
  (void)nothing;
  for (uint64_t seed = 0; seed < 4; seed++) {
    world *w = world_new(world_plan);
    moon_rng rng;
    moon_rng_seed(&rng, seed, 3);
    int64_t time = 0;
    for (int i = 0; i < 600; i++) {
      world_fold(w->state, &w->all, world_event(&rng, &time));
      uint32_t user = moon_rng_below(&rng, WORLD_USERS);
      check_items(w, user, w->plan->counter_count, 3, 5);
      check_items(w, user, w->plan->counter_count + 1, 7, 3);
      check_items(w, user, MOON_NONE, 7, 64);
    }
    world_free(w);
  }
}

/* Hundreds of items, so that the list of touches is full most of the time. */
static void full_history_is_exact_for_the_plans_lengths(void **nothing) {
  (void)nothing;
  world *w = world_new(
      "[{'op':'id','name':'item','entity':'item'},{'op':'history','name':'a','last':64,'kinds':['purchase']},"
      "{'op':'history','name':'b','last':64,'kinds':['view','cart']},{'op':'history','name':'c','last':60,'kinds':[]}]");
  moon_rng rng;
  moon_rng_seed(&rng, 9, 4);
  int64_t time = 0;
  for (int i = 0; i < 3000; i++) {
    moon_event e = world_event(&rng, &time);
    e.user = 0;
    e.item = moon_rng_below(&rng, 400);
    world_fold(w->state, &w->all, e);
    assert_true(moon_state_history(w->state, 0)->n <= 256);
    if (i % 20) continue;
    check_items(w, 0, 0, 2, 64);
    check_items(w, 0, 1, 5, 64);
    check_items(w, 0, 2, 7, 60);
  }
  assert_int_equal(moon_state_history(w->state, 0)->n, 256);
  world_free(w);
}

/* So many items that some share a bit in the filter of moon_history_items: none is lost or doubled. */
static void long_history_has_each_item_once(void **nothing) {
  (void)nothing;
  world *w = world_new("[{'op':'id','name':'item','entity':'item'},{'op':'history','name':'a','last':300,'kinds':[]}]");
  uint32_t user = state_user(w->state, 0), view = state_kind(w->state, 0), cart = state_kind(w->state, 2), items[600];
  for (uint32_t i = 0; i < 600; i++) OK(moon_state_apply(w->state, user, i, view, i));
  for (uint32_t i = 0; i < 600; i++) OK(moon_state_apply(w->state, user, i, cart, 600 + i));
  assert_int_equal(moon_state_recent(w->state, user, items, 600), 600);
  for (uint32_t i = 0; i < 600; i++) assert_int_equal(items[i], 599 - i);
  world_free(w);
}

static void purchase_is_remembered_however_much_is_viewed_after_it(void **nothing) {
  (void)nothing;
  world *w = world_new(world_plan);
  uint32_t user = state_user(w->state, 0), view = state_kind(w->state, 0), purchase = state_kind(w->state, 1);
  for (uint32_t i = 0; i < 20; i++) OK(moon_state_apply(w->state, user, i, purchase, i));
  for (uint32_t i = 100; i < 5000; i++) OK(moon_state_apply(w->state, user, i, view, i));
  for (uint32_t i = 0; i < 20; i++) assert_true(moon_state_seen(w->state, user, i, purchase));
  assert_true(moon_state_seen(w->state, user, 4999, view));
  assert_true(moon_state_seen(w->state, user, 4999, MOON_NONE));
  assert_false(moon_state_seen(w->state, user, 4999, purchase));
  assert_false(moon_state_seen(w->state, user, 100, MOON_NONE)); /* views made room for views */
  assert_false(moon_state_seen(w->state, user, 7777, MOON_NONE));
  OK(moon_state_apply(w->state, user, 6000, view, 50)); /* late and older than every view that is kept */
  assert_false(moon_state_seen(w->state, user, 6000, view));
  OK(moon_state_apply(w->state, user, 6000, purchase, 50)); /* as late, but of the rarer kind */
  assert_true(moon_state_seen(w->state, user, 6000, purchase));
  uint32_t recent[3];
  OK(moon_state_apply(w->state, user, 1, state_kind(w->state, 2), 0)); /* a kind that the full history has not */
  for (uint32_t kind = 0; kind < WORLD_KINDS; kind++) assert_int_equal(w->state->tally[kind], 0);
  assert_int_equal(moon_state_recent(w->state, user, recent, 3), 3);
  assert_int_equal(recent[0], 4999);
  assert_int_equal(recent[2], 4997);
  world_free(w);
}

/* ---- items ---------------------------------------------------------------------------------------------------------------- */

static void trend_halves_every_three_days_and_takes_late_events_at_their_worth(void **nothing) {
  (void)nothing;
  world *w = world_new(world_plan);
  uint32_t user = state_user(w->state, 0), view = state_kind(w->state, 0);
  assert_int_equal(moon_state_item_trend(w->state, 3, 0), 0);
  OK(moon_state_apply(w->state, user, 3, view, 10 * DAY));
  NEAR(moon_state_item_trend(w->state, 3, 10 * DAY), 1, 1e-12);
  NEAR(moon_state_item_trend(w->state, 3, 13 * DAY), 0.5, 1e-12);
  OK(moon_state_apply(w->state, user, 3, view, 16 * DAY));
  NEAR(moon_state_item_trend(w->state, 3, 16 * DAY), 1.25, 1e-12);
  OK(moon_state_apply(w->state, user, 3, view, 13 * DAY)); /* late */
  NEAR(moon_state_item_trend(w->state, 3, 16 * DAY), 1.75, 1e-12);
  NEAR(moon_state_item_trend(w->state, 3, 19 * DAY), 0.875, 1e-12);
  NEAR(moon_state_item_trend(w->state, 3, 0), 1.75, 1e-12); /* an early now does not make events worth more */
  assert_int_equal(moon_state_item_total(w->state, 3), 3);
  world_free(w);
}

static void trend_is_the_sum_over_the_list_of_all_events(void **nothing) {
  (void)nothing;
  world *w = world_new(world_plan);
  moon_rng rng;
  moon_rng_seed(&rng, 5, 5);
  for (int i = 0; i < 500; i++) {
    moon_event e = {.item = moon_rng_below(&rng, WORLD_ITEMS), .time = (int64_t)moon_rng_below(&rng, 30 * 24) * HOUR};
    world_fold(w->state, &w->all, e);
  }
  for (uint32_t item = 0; item < WORLD_ITEMS; item++) {
    double want = 0;
    for (size_t i = 0; i < w->all.n; i++)
      if (w->all.events[i].item == item) want += pow(0.5, (double)(40 * DAY - w->all.events[i].time) / (3.0 * (double)DAY));
    NEAR(moon_state_item_trend(w->state, item, 40 * DAY), want, 1e-9);
    assert_int_equal(moon_state_item_total(w->state, item), naive_count(&w->all, false, item, 7, 0, 0));
  }
  world_free(w);
}

/* ---- strangers ------------------------------------------------------------------------------------------------------------ */

static void users_kinds_and_items_may_be_new(void **nothing) {
  (void)nothing;
  world *w = world_new(world_plan);
  uint32_t row, code;
  OK(moon_state_kind(w->state, "purchase", 8, false, &code));
  assert_int_not_equal(code, MOON_NONE); /* the plan names it */
  OK(moon_state_kind(w->state, "wish", 4, false, &code));
  assert_int_equal(code, MOON_NONE);
  OK(moon_state_user(w->state, "ann", 3, false, &row));
  assert_int_equal(row, MOON_NONE);
  assert_int_equal(moon_state_users(w->state), 0);
  assert_int_equal(moon_state_clock(w->state), 0);
  OK(moon_state_user(w->state, "ann", 3, true, &row));
  OK(moon_state_kind(w->state, "wish", 4, true, &code));
  assert_string_equal(moon_state_user_id(w->state, row), "ann");
  OK(moon_state_apply(w->state, row, 100000, code, -5));
  assert_int_equal(moon_state_clock(w->state), -5);
  assert_int_equal(moon_state_item_total(w->state, 100000), 1);
  assert_int_equal(moon_state_item_total(w->state, 99999), 0);
  assert_int_equal(moon_state_item_total(w->state, 100001), 0);
  assert_int_equal(moon_state_item_total(w->state, MOON_NONE), 0);
  assert_true(moon_state_seen(w->state, row, 100000, code));
  /* An unplanned kind counts as "any", and only there. */
  assert_int_equal(read_counter(&w->state->counters[w->plan->features[6].counter], row, 0, 0), 1);
  assert_int_equal(read_counter(&w->state->counters[w->plan->features[5].counter], 100000, 0, 0), 0);
  uint32_t items[4];
  const moon_touch *touches[4];
  assert_int_equal(moon_history_touches(w->state, row, w->plan->counter_count, touches, 4), 0);
  assert_int_equal(moon_history_touches(w->state, row, w->plan->counter_count + 1, touches, 4), 1);
  assert_int_equal(moon_state_recent(w->state, MOON_NONE, items, 4), 0);
  assert_int_equal(moon_state_recent(w->state, row + 1, items, 4), 0);
  assert_int_equal(moon_state_recent(w->state, row, items, 0), 0);
  assert_false(moon_state_seen(w->state, MOON_NONE, 1, MOON_NONE));
  world_free(w);
}

static void event_of_nobody_or_nothing_is_refused(void **nothing) {
  (void)nothing;
  world *w = world_new(world_plan);
  uint32_t user = state_user(w->state, 0), view = state_kind(w->state, 0);
  REFUSED(MOON_EINVAL, "user 1", moon_state_apply(w->state, user + 1, 0, view, 0));
  REFUSED(MOON_EINVAL, "user", moon_state_apply(w->state, MOON_NONE, 0, view, 0));
  REFUSED(MOON_EINVAL, "kind", moon_state_apply(w->state, user, 0, 99, 0));
  REFUSED(MOON_EINVAL, "kind", moon_state_apply(w->state, user, 0, MOON_NONE, 0));
  REFUSED(MOON_EINVAL, "item", moon_state_apply(w->state, user, MOON_NONE, view, 0));
  REFUSED(MOON_EINVAL, "time", moon_state_apply(w->state, user, 0, view, MOON_NULL_INT));
  assert_int_equal(moon_state_events(w->state), 0);
  world_free(w);
}

static void state_without_counters_and_histories_still_remembers(void **nothing) {
  (void)nothing;
  world *w = world_new("[{'op':'numeric','name':'weight','column':'weight'}]");
  uint32_t items[2];
  world_fold(w->state, &w->all, (moon_event){.user = 1, .item = 4, .kind = 2, .time = 7});
  assert_int_equal(moon_state_recent(w->state, 0, items, 2), 1);
  assert_int_equal(items[0], 4);
  assert_int_equal(moon_state_item_total(w->state, 4), 1);
  world_free(w);
}

/* ---- failing allocations -------------------------------------------------------------------------------------------------- */

static void state_new_survives_every_failing_allocation(void **nothing) {
  (void)nothing;
  world *w = world_new(world_plan);
  moon_state *state = NULL;
  size_t n = 1;
  for (;; n++) {
    moon_alloc_fail_at(n);
    moon_status status = moon_state_new(w->plan, &state);
    moon_alloc_fail_at(0);
    if (!status.code) break;
    assert_int_equal(status.code, MOON_ENOMEM);
    assert_null(state);
  }
  assert_true(n > 5);
  moon_state_free(state);
  world_free(w);
}

static void assert_same_bytes(const moon_state *a, const moon_buf *want) {
  moon_buf got = {0};
  OK(moon_state_save(a, &got));
  assert_int_equal(got.n, want->n);
  assert_memory_equal(got.data, want->data, want->n);
  moon_buf_free(&got);
}

/* A user, a kind and an event that fail leave the bytes of the state as they were. The events grow every array in turn. */
static void failed_event_leaves_the_state_as_it_was(void **nothing) {
  (void)nothing;
  world *w = world_new(world_plan);
  size_t failures = 0;
  for (uint32_t i = 0; i < 150; i++) {
    char id[16];
    uint32_t user = MOON_NONE, kind = MOON_NONE, item = i % 3 ? i / 8 : i * 5;
    snprintf(id, sizeof id, "%s%u", i % 2 ? "user" : "u", i % 2 ? 0 : i);
    const char *name = i % 40 ? "view" : id;
    for (int step = 0; step < 3; step++) {
      moon_buf before = {0};
      OK(moon_state_save(w->state, &before));
      for (size_t n = 1;; n++) {
        moon_alloc_fail_at(n);
        moon_status status = step == 0   ? moon_state_user(w->state, id, strlen(id), true, &user)
                             : step == 1 ? moon_state_kind(w->state, name, strlen(name), true, &kind)
                                         : moon_state_apply(w->state, user, item, kind, i * 3);
        moon_alloc_fail_at(0);
        if (!status.code) break;
        assert_int_equal(status.code, MOON_ENOMEM);
        assert_same_bytes(w->state, &before);
        failures++;
      }
      moon_buf_free(&before);
    }
    w->all.events[w->all.n++] = (moon_event){.user = user, .item = item, .kind = kind, .time = i * 3};
  }
  assert_true(failures > 8);
  /* Nothing was folded twice on the way. */
  for (uint32_t item = 0; item < 800; item++)
    assert_int_equal(moon_state_item_total(w->state, item), naive_count(&w->all, false, item, ~0u, 0, 0));
  const moon_counter *any = &w->state->counters[w->plan->features[6].counter];
  for (uint32_t user = 0; user < moon_state_users(w->state); user++)
    for (int64_t now = 450; now < 600; now += 10)
      assert_int_equal(read_counter(any, user, now, 100), naive_count(&w->all, true, user, ~0u, now, 100));
  world_free(w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(counts_are_those_of_the_list_of_all_events),
      cmocka_unit_test(window_holds_its_end_and_not_its_beginning),
      cmocka_unit_test(counts_for_an_early_now_depend_only_on_the_events),
      cmocka_unit_test(times_at_the_ends_of_the_clock_are_counted),
      cmocka_unit_test(counter_forgets_what_left_its_window_and_stays_small),
      cmocka_unit_test(histories_are_those_of_the_list_of_all_events),
      cmocka_unit_test(full_history_is_exact_for_the_plans_lengths),
      cmocka_unit_test(long_history_has_each_item_once),
      cmocka_unit_test(purchase_is_remembered_however_much_is_viewed_after_it),
      cmocka_unit_test(trend_halves_every_three_days_and_takes_late_events_at_their_worth),
      cmocka_unit_test(trend_is_the_sum_over_the_list_of_all_events),
      cmocka_unit_test(users_kinds_and_items_may_be_new),
      cmocka_unit_test(event_of_nobody_or_nothing_is_refused),
      cmocka_unit_test(state_without_counters_and_histories_still_remembers),
      cmocka_unit_test(state_new_survives_every_failing_allocation),
      cmocka_unit_test(failed_event_leaves_the_state_as_it_was),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

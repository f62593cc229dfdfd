/* test_feature_compute.c - the inputs of a model: right by the list of all events, the same one by one and at once, blind to
 * the future. */
#include <float.h>

#include "feature_world.h"

typedef struct world {
  moon_catalogue *catalogue;
  moon_feature_plan *plan;
  moon_state *state;
  moon_vocab *users, *items, *colours, *vocabs[11];
  moon_features *features;
  moon_arena arena;
  naive all;
} world;

static void vocab_fill(moon_vocab **vocab, const char *const *texts, size_t n) {
  OK(moon_vocab_new(vocab));
  for (size_t i = 0; i < n; i++) OK(moon_vocab_add(*vocab, texts[i], strlen(texts[i])));
}

static world *world_new(void) {
  static const char *const users[] = {"u3", "u1", "u0"}, *const items[] = {"i7", "i0", "i1", "i4", "i3"},
                           *const colours[] = {"blue", "red"};
  world *w = calloc(1, sizeof *w);
  w->catalogue = world_catalogue();
  w->plan = plan_of(world_plan, w->catalogue);
  OK(moon_state_new(w->plan, &w->state));
  vocab_fill(&w->users, users, MANY(users));
  vocab_fill(&w->items, items, MANY(items));
  vocab_fill(&w->colours, colours, MANY(colours));
  w->vocabs[0] = w->users, w->vocabs[1] = w->items, w->vocabs[2] = w->colours;
  OK(moon_features_bind(w->plan, w->catalogue, w->vocabs, &w->features));
  return w;
}

static void world_free(world *w) {
  moon_arena_free(&w->arena);
  moon_features_free(w->features);
  moon_vocab_free(w->users);
  moon_vocab_free(w->items);
  moon_vocab_free(w->colours);
  moon_state_free(w->state);
  moon_feature_plan_free(w->plan);
  moon_catalogue_free(w->catalogue);
  free(w);
}

/* Memory that computing must overwrite: every cell starts as nonsense. */
static moon_inputs inputs_of(world *w, size_t n) {
  moon_inputs in;
  OK(moon_inputs_alloc(w->plan, &w->arena, n, &in));
  memset(in.dense, 0xa5, n * w->plan->dense_slots * sizeof *in.dense);
  memset(in.ids, 0xa5, n * w->plan->id_slots * sizeof *in.ids);
  memset(in.bags, 0xa5, n * w->plan->bag_slots * w->plan->bag_length * sizeof *in.bags);
  return in;
}

static void assert_same_row(const world *w, const moon_inputs *a, size_t i, const moon_inputs *b, size_t j) {
  size_t dense = w->plan->dense_slots, ids = w->plan->id_slots, bags = w->plan->bag_slots * w->plan->bag_length;
  assert_memory_equal(a->dense + i * dense, b->dense + j * dense, dense * sizeof *a->dense);
  assert_memory_equal(a->ids + i * ids, b->ids + j * ids, ids * sizeof *a->ids);
  assert_memory_equal(a->bags + i * bags, b->bags + j * bags, bags * sizeof *a->bags);
}

/* ids and numbers of the catalogue above and the vocabularies, by hand; two rows more than the catalogue has */
static const uint32_t item_ids[WORLD_ITEMS] = {2, 3, 0, 5, 4, 0, 0, 1}, colour_ids[WORLD_ITEMS] = {2, 1, 2, 0, 0, 1, 2, 2};
static const double weights[WORLD_ITEMS] = {1.5, -2, 0, 0, 7, 1, 2, 3}, prices[WORLD_ITEMS] = {9, 0, 99, 0, 0, 1, 2, 3};

/* A whole row by the list of all events. */
static void check_row(const world *w, uint32_t user, uint32_t item, int64_t now, const moon_inputs *in, size_t row) {
  const naive *all = &w->all;
  const float *dense = in->dense + row * w->plan->dense_slots;
  const uint32_t *ids = in->ids + row * w->plan->id_slots, *bags = in->bags + row * w->plan->bag_slots * w->plan->bag_length;
  static const uint32_t user_ids[WORLD_USERS] = {3, 2, 0, 1};
  double want[] = {
      weights[item],
      log(1 + prices[item]),
      log(1 + (double)naive_count(all, false, item, 1, now, 100)),
      log(1 + (double)naive_count(all, false, item, 1, now, 1000)),
      log(1 + (double)naive_count(all, false, item, 1, now, 0)),
      log(1 + (double)naive_count(all, true, user, 7, now, 100)),
      log(1 + (double)naive_count(all, true, user, 7, now, 0)),
      ((double)naive_count(all, false, item, 2, now, 1000) + 1) / ((double)naive_count(all, false, item, 1, now, 1000) + 20),
      ((double)naive_count(all, true, user, 2, now, 0) + 0.5) / ((double)naive_count(all, true, user, 7, now, 0) + 2),
  };
  assert_int_equal(MANY(want), w->plan->dense_slots);
  for (size_t i = 0; i < MANY(want); i++) NEAR(dense[i], want[i], 1e-5);
  assert_int_equal(ids[0], user_ids[user]);
  assert_int_equal(ids[1], item_ids[item]);
  assert_int_equal(ids[2], colour_ids[item]);
  uint32_t items[5], bag[10] = {0};
  size_t n = naive_items(all, user, 3, items, 5), kept = 0;
  for (size_t i = 0; i < n; i++)
    if (item_ids[items[i]]) bag[kept++] = item_ids[items[i]];
  n = naive_items(all, user, 7, items, 3), kept = 5;
  for (size_t i = 0; i < n; i++)
    if (item_ids[items[i]]) bag[kept++] = item_ids[items[i]];
  assert_memory_equal(bags, bag, sizeof bag);
}

static void inputs_are_those_of_the_list_of_all_events(void **nothing) {
  (void)nothing;
  world *w = world_new();
  moon_inputs in = inputs_of(w, 1);
  moon_rng rng;
  moon_rng_seed(&rng, 1, 1);
  int64_t time = 100;
  for (uint32_t user = 0; user < WORLD_USERS; user++) state_user(w->state, user);
  for (int i = 0; i < 1500; i++) {
    moon_event e = world_event(&rng, &time);
    int64_t clock = moon_state_clock(w->state), now = e.time > clock ? e.time : clock; /* compute, then apply */
    char id[16];
    snprintf(id, sizeof id, "u%u", e.user);
    moon_features_compute_at(w->features, w->state, state_user(w->state, e.user), id, e.item, now, NULL, &in, 0);
    check_row(w, e.user, e.item, now, &in, 0);
    world_fold(w->state, &w->all, e);
  }
  world_free(w);
}

static void batch_gives_the_rows_that_one_by_one_gives(void **nothing) {
  (void)nothing;
  world *w = world_new();
  moon_rng rng;
  moon_rng_seed(&rng, 2, 2);
  int64_t time = 100;
  for (int i = 0; i < 800; i++) world_fold(w->state, &w->all, world_event(&rng, &time));
  enum { N = 33 };
  uint32_t items[N];
  moon_inputs batch = inputs_of(w, N), each = inputs_of(w, N);
  for (int round = 0; round < 50; round++) {
    uint32_t user = moon_rng_below(&rng, WORLD_USERS + 1);
    if (user == WORLD_USERS) user = MOON_NONE;
    int64_t now = moon_state_clock(w->state) + moon_rng_below(&rng, 1200);
    for (int i = 0; i < N; i++) items[i] = i == 7 ? MOON_NONE : moon_rng_below(&rng, WORLD_ITEMS + 5);
    moon_features_compute(w->features, w->state, user, NULL, items, N, now, &batch);
    for (size_t i = N; i--;) moon_features_compute_at(w->features, w->state, user, NULL, items[i], now, NULL, &each, i);
    for (size_t i = 0; i < N; i++) assert_same_row(w, &batch, i, &each, i);
  }
  world_free(w);
}

/* What was computed for an event is what a store gives that never saw anything after it. */
static void inputs_know_only_the_past(void **nothing) {
  (void)nothing;
  world *w = world_new();
  moon_rng rng;
  moon_rng_seed(&rng, 3, 3);
  enum { N = 400 };
  moon_event events[N];
  moon_inputs then = inputs_of(w, N), alone = inputs_of(w, 1);
  int64_t time = 100;
  for (int i = 0; i < N; i++) {
    events[i] = world_event(&rng, &time);
    events[i].time = time; /* a log is in order */
    moon_features_compute_at(w->features, w->state, state_user(w->state, events[i].user), NULL, events[i].item, time, NULL, &then,
                             (size_t)i);
    world_fold(w->state, &w->all, events[i]);
  }
  for (int i = 0; i < N; i += 13) {
    moon_state *past;
    static naive ignored;
    ignored.n = 0;
    OK(moon_state_new(w->plan, &past));
    for (int j = 0; j < i; j++) world_fold(past, &ignored, events[j]);
    moon_features_compute_at(w->features, past, state_user(past, events[i].user), NULL, events[i].item, events[i].time, NULL, &alone,
                             0);
    assert_same_row(w, &then, (size_t)i, &alone, 0);
    moon_state_free(past);
  }
  world_free(w);
}

static void stranger_has_no_past_and_priors_for_rates(void **nothing) {
  (void)nothing;
  world *w = world_new();
  for (int i = 0; i < 50; i++) world_fold(w->state, &w->all, (moon_event){.user = 0, .item = 1, .kind = 0, .time = i});
  moon_inputs in = inputs_of(w, 2);
  const uint32_t items[] = {1, 2};
  const uint32_t nobodies[] = {MOON_NONE, 5, 1u << 31};
  for (size_t k = 0; k < MANY(nobodies); k++) {
    moon_features_compute(w->features, w->state, nobodies[k], NULL, items, 2, 60, &in);
    for (size_t row = 0; row < 2; row++) {
      const float *dense = in.dense + row * w->plan->dense_slots;
      assert_true(dense[5] == 0 && dense[6] == 0);
      NEAR(dense[8], 0.25, 1e-7);
      assert_int_equal(in.ids[row * 3], 0);
      for (size_t i = 0; i < 10; i++) assert_int_equal(in.bags[row * 10 + i], 0);
    }
    NEAR(in.dense[4], log(51), 1e-5); /* the item has its own past */
  }
  /* A name that the vocabulary knows keeps its embedding, with or without a past. */
  moon_features_compute(w->features, w->state, MOON_NONE, "u3", items, 2, 60, &in);
  assert_int_equal(in.ids[0], 1);
  assert_int_equal(in.ids[3], 1);
  moon_features_compute(w->features, w->state, 0, NULL, items, 1, 60, &in);
  assert_int_equal(in.ids[0], 3); /* u0, as the state knows it */
  world_free(w);
}

static void item_beyond_the_catalogue_is_unknown_but_counted(void **nothing) {
  (void)nothing;
  world *w = world_new();
  world_fold(w->state, &w->all, (moon_event){.user = 0, .item = 9, .kind = 0, .time = 5});
  moon_inputs in = inputs_of(w, 3);
  const uint32_t items[] = {9, 4000000000u, MOON_NONE};
  moon_features_compute(w->features, w->state, 0, NULL, items, 3, 6, &in);
  for (size_t row = 0; row < 3; row++) {
    const float *dense = in.dense + row * w->plan->dense_slots;
    assert_true(dense[0] == 0 && dense[1] == 0);
    NEAR(dense[2], row ? 0 : log(2), 1e-6);
    NEAR(dense[7], row ? 1.0 / 20 : 1.0 / 21, 1e-6);
    assert_int_equal(in.ids[row * 3 + 1], 0);
    assert_int_equal(in.ids[row * 3 + 2], 0);
    assert_int_equal(in.bags[row * 10], 0); /* the user's only item has no id */
  }
  assert_int_equal(moon_features_item_id(w->features, 9), 0);
  assert_int_equal(moon_features_item_id(w->features, MOON_NONE), 0);
  assert_int_equal(moon_features_item_id(w->features, 7), 1);
  moon_features_compute(w->features, w->state, 0, NULL, items, 0, 6, &in); /* nothing to do is fine */
  world_free(w);
}

static void hashed_ids_need_no_vocabulary_and_stay_in_their_buckets(void **nothing) {
  (void)nothing;
  moon_catalogue *catalogue = world_catalogue();
  moon_feature_plan *plan = plan_of(
      "[{'op':'id','name':'user','entity':'user','hash':2},{'op':'id','name':'item','entity':'item','hash':5},"
      "{'op':'history','name':'h','last':4}]",
      catalogue);
  moon_vocab *vocabs[3] = {0};
  moon_features *features;
  moon_state *state;
  moon_arena arena = {0};
  moon_inputs in;
  OK(moon_state_new(plan, &state));
  OK(moon_features_bind(plan, catalogue, vocabs, &features));
  OK(moon_inputs_alloc(plan, &arena, 8, &in));
  const uint32_t items[8] = {0, 1, 2, 3, 4, 5, 6, 8};
  moon_features_compute(features, state, MOON_NONE, "whoever", items, 8, 0, &in);
  for (size_t i = 0; i < 8; i++) {
    char id[16];
    uint64_t hash = moon_hash(id, (size_t)snprintf(id, sizeof id, "i%u", items[i]));
    assert_int_equal(in.ids[i * 2], 1); /* one bucket beside the unknown */
    assert_int_equal(in.ids[i * 2 + 1], i < 7 ? 1 + hash % 4 : 0); /* row 8 has no text to hash */
  }
  moon_features_compute(features, state, MOON_NONE, NULL, items, 1, 0, &in);
  assert_int_equal(in.ids[0], 0);
  moon_arena_free(&arena);
  moon_state_free(state);
  moon_features_free(features);
  moon_feature_plan_free(plan);
  moon_catalogue_free(catalogue);
}

static void numbers_too_large_for_the_model_are_cut_to_what_it_holds(void **nothing) {
  (void)nothing;
  static const char csv[] = "item,big,whole,when\na,1e300,5,2026-11-24\nb,-1e300,,\n";
  const moon_read_column columns[] = {
      {"item", "item", "string"}, {"big", "big", "number"}, {"whole", "whole", "integer"}, {"when", "when", "time"}};
  const moon_read_options options = {.delimiter = ',', .columns = columns, .column_count = MANY(columns)};
  moon_read_report report;
  moon_table *table;
  moon_catalogue *catalogue;
  OK(moon_csv_read_memory("items.csv", csv, sizeof csv - 1, &options, &table, &report));
  OK(moon_catalogue_new(table, &catalogue));
  moon_feature_plan *plan = plan_of(
      "[{'op':'numeric','name':'big','column':'big'},{'op':'numeric','name':'log(big)','column':'big','steps':[{'op':'log'}]},"
      "{'op':'numeric','name':'whole','column':'whole'},{'op':'numeric','name':'when','column':'when'}]",
      catalogue);
  moon_vocab *vocabs[4] = {0};
  moon_features *features;
  moon_state *state;
  float dense[8];
  moon_inputs in = {.dense = dense};
  const uint32_t items[] = {0, 1};
  OK(moon_state_new(plan, &state));
  OK(moon_features_bind(plan, catalogue, vocabs, &features));
  moon_features_compute(features, state, MOON_NONE, NULL, items, 2, 0, &in);
  for (size_t i = 0; i < 8; i++) assert_true(isfinite(dense[i]));
  NEAR(dense[1], log(FLT_MAX), 1e-3);
  assert_true(dense[5] == 0);
  assert_true(dense[2] == 5 && dense[6] == 0);
  assert_true(dense[3] > 1e15 && dense[7] == 0);
  moon_state_free(state);
  moon_features_free(features);
  moon_feature_plan_free(plan);
  moon_catalogue_free(catalogue);
}

static void binding_refuses_an_embedding_without_ids_and_a_column_that_is_gone(void **nothing) {
  (void)nothing;
  world *w = world_new();
  moon_features *features = NULL;
  for (size_t i = 0; i < 3; i++) {
    moon_vocab *kept = w->vocabs[i];
    w->vocabs[i] = NULL;
    REFUSED(MOON_EINVAL, "neither a vocabulary nor hash buckets",
            moon_features_bind(w->plan, w->catalogue, w->vocabs, &features));
    w->vocabs[i] = kept;
  }
  moon_catalogue *bare;
  OK(moon_catalogue_new(NULL, &bare));
  REFUSED(MOON_ENOTFOUND, "r.lua:3: items has no column 'colour'", moon_features_bind(w->plan, bare, w->vocabs, &features));
  assert_null(features);
  moon_catalogue_free(bare);
  world_free(w);
}

static void binding_and_inputs_survive_every_failing_allocation(void **nothing) {
  (void)nothing;
  world *w = world_new();
  moon_features *features = NULL;
  moon_inputs in = {0};
  size_t n = 1;
  for (;; n++) {
    moon_alloc_fail_at(n);
    moon_status status = moon_features_bind(w->plan, w->catalogue, w->vocabs, &features);
    moon_alloc_fail_at(0);
    if (!status.code) break;
    assert_int_equal(status.code, MOON_ENOMEM);
    assert_null(features);
  }
  assert_int_equal(n, 6);
  moon_alloc_fail_at(1);
  moon_status status = moon_inputs_alloc(w->plan, &w->arena, 10, &in);
  moon_alloc_fail_at(0);
  assert_int_equal(status.code, MOON_ENOMEM);
  assert_null(in.dense);
  REFUSED(MOON_ENOMEM, "no memory", moon_inputs_alloc(w->plan, &w->arena, SIZE_MAX / 8, &in));
  moon_features_free(features);
  world_free(w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(inputs_are_those_of_the_list_of_all_events),
      cmocka_unit_test(batch_gives_the_rows_that_one_by_one_gives),
      cmocka_unit_test(inputs_know_only_the_past),
      cmocka_unit_test(stranger_has_no_past_and_priors_for_rates),
      cmocka_unit_test(item_beyond_the_catalogue_is_unknown_but_counted),
      cmocka_unit_test(hashed_ids_need_no_vocabulary_and_stay_in_their_buckets),
      cmocka_unit_test(numbers_too_large_for_the_model_are_cut_to_what_it_holds),
      cmocka_unit_test(binding_refuses_an_embedding_without_ids_and_a_column_that_is_gone),
      cmocka_unit_test(binding_and_inputs_survive_every_failing_allocation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

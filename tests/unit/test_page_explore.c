/* test_page_explore.c - chance: how often each order comes against its closed form (chi-square), and that the propensities are that form;
 * LinUCB and the determinantal process against their definitions. The model is played by this file. */
#include "op_run.h"

enum { DIM = 3, ITEMS = 40 };
static float vectors[ITEMS][DIM];

const float *moon_model_item_embedding(const moon_model *model, const moon_features *features, uint32_t item, size_t *dim) {
  (void)model, (void)features;
  *dim = DIM;
  return item < ITEMS && item % 7 != 6 ? vectors[item] : NULL;
}
static moon_model *const the_model = (moon_model *)vectors; /* any pointer: only this file looks at it */

/* A slate of n rows with falling scores, for a request with that seed. */
static moon_slate *slate_of(trial *t, size_t n, uint64_t seed) {
  moon_slate *slate;
  t->request.seed = seed;
  OK(moon_slate_new(&t->bundle, &t->arena, n, &slate));
  slate->request = &t->request;
  slate->state = t->after->state;
  slate->explain = false;
  for (uint32_t i = 0; i < n; i++) moon_slate_add(slate, i, 1 - 0.2f * (float)i, MOON_SOURCE_POPULAR);
  return slate;
}

/* ---- orders of 2 of 4, against their closed form */

typedef double (*chance)(const bool *gone, uint32_t item);

static double by_epsilon(const bool *gone, uint32_t item) {
  uint32_t left = 0, best = 4;
  for (uint32_t i = 4; i > 0; i--)
    if (!gone[i - 1]) left++, best = i - 1;
  return 0.3 / left + (item == best ? 0.7 : 0);
}

static double by_softmax(const bool *gone, uint32_t item) { /* scores 1, 0.8, 0.6, 0.4 scaled to 1, 2/3, 1/3, 0 */
  double sum = 0;
  for (uint32_t i = 0; i < 4; i++) sum += gone[i] ? 0 : exp((1 - (double)i / 3) / 0.5);
  return exp((1 - (double)item / 3) / 0.5) / sum;
}

/* Both places are drawn `rounds` times; the 12 orders come as often as they should (chi-square, 11 degrees of freedom: 31.3 at 0.1%). */
static void assert_chances(trial *t, const char *text, chance of, size_t rounds) {
  size_t count[4][4] = {{0}};
  double chi = 0;
  moon_policy policy;
  OK(read_policy(t, text, &policy));
  moon_arena kept = t->arena;
  t->arena = (moon_arena){0};
  for (size_t r = 0; r < rounds; r++) {
    moon_slate *slate = slate_of(t, 4, r);
    OK(moon_policy_run(&policy, slate));
    bool gone[4] = {false};
    for (size_t place = 0; place < 2; place++) {
      NEAR(slate->propensity[place], of(gone, slate->item[place]), 1e-6);
      gone[slate->item[place]] = true;
    }
    assert_true(isnan(slate->propensity[2]) && isnan(slate->propensity[3]) && slate->item[2] < slate->item[3]);
    count[slate->item[0]][slate->item[1]]++;
    moon_arena_reset(&t->arena);
  }
  moon_arena_free(&t->arena);
  t->arena = kept;
  for (uint32_t a = 0; a < 4; a++)
    for (uint32_t b = 0; b < 4; b++) {
      bool none[4] = {false}, gone[4] = {false};
      gone[a] = true;
      double expected = a == b ? 0 : of(none, a) * of(gone, b) * (double)rounds;
      if (a == b) assert_int_equal(count[a][b], 0);
      else chi += ((double)count[a][b] - expected) * ((double)count[a][b] - expected) / expected;
    }
  if (!(chi < 31.3)) fail_msg("%s: chi-square is %g", text, chi);
}

static void epsilon_and_sample_draw_as_they_say(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 1, 0);
  trial t;
  trial_begin(&t, &rng, 6, 3);
  assert_chances(&t, "{'op':'epsilon','epsilon':0.3,'first':2}", by_epsilon, 40000);
  assert_chances(&t, "{'op':'sample','temperature':0.5,'first':2}", by_softmax, 40000);
  trial_end(&t);
}

static void the_same_seed_draws_the_same(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 2, 0);
  static const char *const policies[] = {"{'op':'epsilon','epsilon':1}", "{'op':'sample','temperature':1}"};
  for (size_t p = 0; p < 2; p++) {
    trial t;
    size_t differing = 0;
    trial_begin(&t, &rng, 30, 3);
    for (uint64_t seed = 0; seed < 20; seed++) {
      moon_policy policy;
      moon_slate *a = slate_of(&t, 30, seed), *b = slate_of(&t, 30, seed), *other = slate_of(&t, 30, seed + 1000);
      OK(read_policy(&t, policies[p], &policy));
      OK(moon_policy_run(&policy, other));
      t.request.seed = seed;
      OK(moon_policy_run(&policy, a));
      OK(moon_policy_run(&policy, b));
      assert_memory_equal(a->item, b->item, 30 * sizeof *a->item);
      assert_memory_equal(a->propensity, b->propensity, 30 * sizeof *a->propensity);
      t.request.seed = seed + 1000;
      differing += memcmp(a->item, other->item, 30 * sizeof *a->item) != 0;
    }
    assert_true(differing > 10);
    trial_end(&t);
  }
}

/* ---- thompson */

static const char plan_json[] =
    "[{'op':'count','name':'v','entity':'item','kinds':['view'],'windows_us':[0],'where':'r:1'},"
    "{'op':'count','name':'p','entity':'item','kinds':['purchase'],'windows_us':[0],'where':'r:2'}]";

static void happen(moon_state *state, const char *user, uint32_t item, const char *kind, int64_t time) {
  uint32_t who, what;
  OK(moon_state_user(state, user, strlen(user), true, &who));
  OK(moon_state_kind(state, kind, strlen(kind), true, &what));
  OK(moon_state_apply(state, who, item, what, time));
}

/* P(a draw of item's Beta is above those of all others), by a fine sum over [0, 1]. */
static double chance_of(const double *a, const double *b, size_t n, size_t item) {
  enum { STEPS = 20000 };
  double total = 0, below[8] = {0};
  for (size_t s = 0; s < STEPS; s++) {
    double x = (s + 0.5) / STEPS, product = 1, density[8];
    for (size_t i = 0; i < n; i++) density[i] = exp(lgamma(a[i] + b[i]) - lgamma(a[i]) - lgamma(b[i]) + (a[i] - 1) * log(x) + (b[i] - 1) * log1p(-x)) / STEPS;
    for (size_t i = 0; i < n; i++) product *= i == item ? density[i] : below[i] + density[i] / 2;
    for (size_t i = 0; i < n; i++) below[i] += density[i];
    total += product;
  }
  return total;
}

static void thompson_draws_as_it_says(void **state) {
  (void)state;
  static const size_t views[] = {30, 12, 5, 0}, purchases[] = {6, 3, 2, 0};
  moon_rng rng;
  moon_rng_seed(&rng, 3, 0);
  trial t;
  moon_feature_plan *plan;
  moon_state *past;
  moon_policy policy;
  double a[4], b[4], chi = 0;
  size_t first[4] = {0}, rounds = 20000;
  trial_begin(&t, &rng, 6, 3);
  json_t *features = parse(plan_json);
  OK(moon_feature_plan_new(features, t.bundle.catalogue, &plan));
  OK(moon_state_new(plan, &past));
  for (uint32_t i = 0; i < 4; i++) {
    for (size_t e = 0; e < views[i]; e++) happen(past, "u", i, "view", NOW - DAY);
    for (size_t e = 0; e < purchases[i]; e++) happen(past, "u", i, "purchase", NOW - DAY);
    a[i] = 1 + (double)purchases[i], b[i] = 4 + (double)(views[i] - purchases[i]);
  }
  t.bundle.feature_plan = plan;
  t.after->state = past;
  OK(read_policy(&t, "{'op':'thompson','success':'purchase','trial':'view','prior':[1,4],'first':1}", &policy));
  moon_arena kept = t.arena;
  t.arena = (moon_arena){0};
  for (size_t r = 0; r < rounds; r++) {
    moon_slate *slate = slate_of(&t, 4, r);
    OK(moon_policy_run(&policy, slate));
    if (!first[slate->item[0]]++) NEAR(slate->propensity[0], chance_of(a, b, 4, slate->item[0]), 2e-3);
    moon_arena_reset(&t.arena);
  }
  for (size_t i = 0; i < 4; i++) {
    double expected = chance_of(a, b, 4, i) * (double)rounds;
    chi += ((double)first[i] - expected) * ((double)first[i] - expected) / expected;
  }
  if (!(chi < 16.3)) fail_msg("chi-square is %g", chi); /* 3 degrees of freedom, 0.1% */
  moon_arena_free(&t.arena);
  t.arena = kept;
  json_decref(features);
  moon_state_free(past);
  moon_feature_plan_free(plan);
  trial_end(&t);
}

/* ---- linucb, by A and its inverse */

static void invert(double m[DIM][DIM], double out[DIM][DIM]) { /* Gauss & Jordan; m is positive definite */
  for (int i = 0; i < DIM; i++)
    for (int j = 0; j < DIM; j++) out[i][j] = i == j;
  for (int p = 0; p < DIM; p++) {
    double d = m[p][p];
    for (int j = 0; j < DIM; j++) m[p][j] /= d, out[p][j] /= d;
    for (int i = 0; i < DIM; i++) {
      double f = i == p ? 0 : m[i][p];
      for (int j = 0; j < DIM; j++) m[i][j] -= f * m[p][j], out[i][j] -= f * out[p][j];
    }
  }
}

static bool unit(uint32_t item, double x[DIM]) {
  size_t dim;
  const float *v = moon_model_item_embedding(NULL, NULL, item, &dim);
  double sum = 0;
  for (int d = 0; v && d < DIM; d++) sum += (double)v[d] * v[d];
  for (int d = 0; v && d < DIM; d++) x[d] = v[d] / sqrt(sum);
  return v != NULL;
}

static void fill_vectors(moon_rng *rng) {
  for (size_t i = 0; i < ITEMS; i++)
    for (size_t d = 0; d < DIM; d++) vectors[i][d] = (float)moon_rng_normal(rng);
}

static void linucb_is_its_formula(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 4, 0);
  for (int round = 0; round < 50; round++) {
    trial t;
    moon_feature_plan none = {0};
    moon_state *past;
    moon_policy policy;
    uint8_t touched[ITEMS] = {0};
    double A[DIM][DIM] = {{0}}, inverse[DIM][DIM], reward[DIM] = {0}, worth[ITEMS], x[DIM];
    fill_vectors(&rng);
    trial_begin(&t, &rng, 30, 3);
    OK(moon_state_new(&none, &past));
    for (size_t e = moon_rng_below(&rng, 25); e > 0; e--) {
      uint32_t item = moon_rng_below(&rng, 30);
      bool good = moon_rng_below(&rng, 2);
      happen(past, "u", item, good ? "purchase" : "view", NOW - (int64_t)e * DAY);
      touched[item] |= good ? 2 : 1;
    }
    for (int d = 0; d < DIM; d++) A[d][d] = 0.5;
    for (uint32_t i = 0; i < 30; i++) {
      if (!touched[i] || !unit(i, x)) continue;
      for (int d = 0; d < DIM; d++) reward[d] += touched[i] & 2 ? x[d] : 0;
      for (int d = 0; d < DIM; d++)
        for (int e = 0; e < DIM; e++) A[d][e] += x[d] * x[e];
    }
    invert(A, inverse);
    for (uint32_t i = 0; i < 30; i++) {
      double mean = 0, spread = 0;
      bool has = unit(i, x);
      for (int d = 0; d < DIM; d++)
        for (int e = 0; e < DIM; e++) mean += has ? x[d] * inverse[d][e] * reward[e] : 0, spread += has ? x[d] * inverse[d][e] * x[e] : 0;
      worth[i] = has ? mean + 0.7 * sqrt(spread) : -INFINITY;
    }
    t.bundle.model = the_model;
    t.after->state = past;
    t.request.user_row = 0;
    moon_slate *slate = slate_of(&t, 30, 1);
    OK(read_policy(&t, "{'op':'linucb','success':['purchase'],'alpha':0.7,'ridge':0.5,'first':30}", &policy));
    OK(moon_policy_run(&policy, slate));
    if (moon_state_users(past))
      for (size_t i = 1; i < 30; i++) assert_true(worth[slate->item[i - 1]] >= worth[slate->item[i]] - 1e-5);
    for (size_t i = 0; i < 30; i++) assert_true(slate->propensity[i] == 1);
    moon_state_free(past);
    trial_end(&t);
  }
}

/* ---- dpp: each pick is worth the most by the determinant, worked out anew */

static double likeness(uint32_t a, uint32_t b) {
  double x[DIM], y[DIM], dot = 0;
  if (a == b) return 1;
  if (!unit(a, x) || !unit(b, y)) return 0;
  for (int d = 0; d < DIM; d++) dot += x[d] * y[d];
  return 0.99 * dot;
}

static double log_det(const uint32_t *items, size_t n) {
  double m[12][12], sum = 0;
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++) m[i][j] = likeness(items[i], items[j]);
  for (size_t p = 0; p < n; p++) {
    sum += log(m[p][p]);
    for (size_t i = p + 1; i < n; i++)
      for (size_t j = n; j > p; j--) m[i][j - 1] -= m[i][p] / m[p][p] * m[p][j - 1];
  }
  return sum;
}

static void dpp_picks_by_the_determinant(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 5, 0);
  for (int round = 0; round < 60; round++) {
    trial t;
    char text[64];
    float scaled[ITEMS];
    uint32_t items[12];
    size_t n = 12 + moon_rng_below(&rng, 20);
    double lambda = (double)(round % 4) / 4;
    fill_vectors(&rng);
    trial_begin(&t, &rng, n, 3);
    t.bundle.model = the_model;
    moon_slate_scaled(t.before, scaled);
    static moon_feature id = {.op = MOON_FEATURE_ID};
    static moon_feature_plan plan = {.features = &id, .feature_count = 1};
    t.bundle.feature_plan = &plan;
    snprintf(text, sizeof text, "{'op':'dpp','lambda':%g,'k':10}", lambda);
    act(&t, text);
    assert_permutation(&t);
    assert_stable(&t, 10, NULL);
    for (size_t pick = 1; pick <= 10; pick++) {
      memcpy(items, t.after->item, pick * sizeof *items);
      double base = log_det(items, pick - 1), best = -INFINITY, got = 0;
      for (size_t i = pick - 1; i < n; i++) {
        items[pick - 1] = t.after->item[i];
        double worth = lambda * scaled[place_in(t.before, items[pick - 1])] + (1 - lambda) * (log_det(items, pick) - base);
        if (i == pick - 1) got = worth;
        best = fmax(best, worth);
      }
      NEAR(got, best, 2e-3); /* floats, and determinants down to 1e-2 a pick */
    }
    trial_end(&t);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(epsilon_and_sample_draw_as_they_say), cmocka_unit_test(the_same_seed_draws_the_same), cmocka_unit_test(thompson_draws_as_it_says),
      cmocka_unit_test(linucb_is_its_formula),               cmocka_unit_test(dpp_picks_by_the_determinant),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

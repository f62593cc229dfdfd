/* test_page_op_score.c - operators on what an item is worth, and those that ask what the user did, against plain arithmetic. */
#include "op_run.h"

enum { ROUNDS = 200, MOST = 60 };

static const char plan_json[] =
    "[{'op':'count','name':'c','entity':'user','kinds':['impression'],'windows_us':[86400000000],'by':'item','where':'r:1'},"
    "{'op':'count','name':'d','entity':'item','kinds':['view'],'windows_us':[86400000000,0],'where':'r:2'}]";

typedef struct past { /* what a user did, by a list of its own */
  moon_feature_plan *plan;
  moon_state *state;
  moon_touch events[200];
  size_t n;
} past;
static const char *const kinds[] = {"view", "purchase", "impression"};

/* The trial's user has a past of random events on its items. */
static void remember(past *p, trial *t, moon_rng *rng, size_t n) {
  json_t *features = parse(plan_json);
  uint32_t user, code;
  *p = (past){.n = moon_rng_below(rng, 200)};
  OK(moon_feature_plan_new(features, t->bundle.catalogue, &p->plan));
  OK(moon_state_new(p->plan, &p->state));
  OK(moon_state_user(p->state, "u", 1, true, &user));
  for (size_t i = 0; i < p->n; i++)
    p->events[i] = (moon_touch){NOW - (int64_t)(p->n - i) * DAY / 8, moon_rng_below(rng, (uint32_t)n), moon_rng_below(rng, 3)};
  for (size_t i = 0; i < p->n; i++) {
    OK(moon_state_kind(p->state, kinds[p->events[i].kind], strlen(kinds[p->events[i].kind]), true, &code));
    OK(moon_state_apply(p->state, user, p->events[i].item, code, p->events[i].time));
  }
  json_decref(features);
  t->bundle.feature_plan = p->plan;
  t->request.user_row = user;
  t->before->state = t->after->state = p->state;
}

static void forget(past *p) {
  moon_state_free(p->state);
  moon_feature_plan_free(p->plan);
}

/* The newest time that the user did one of these (bits by kind) on the item; INT64_MIN: never. */
static int64_t last_of(const past *p, uint32_t item, unsigned which) {
  int64_t last = INT64_MIN;
  for (size_t i = 0; i < p->n; i++)
    if (p->events[i].item == item && which >> p->events[i].kind & 1 && p->events[i].time > last) last = p->events[i].time;
  return last;
}

/* Whether a score belongs before another: NaN after everything. */
static bool above(float a, float b) { return !isnan(a) && (isnan(b) || a > b); }

/* The slate is ordered by its scores, ties as they stood before; each score is what `worth` makes of the old one. */
static void assert_scored(const trial *t, double (*factor)(const trial *t, uint32_t item)) {
  assert_permutation(t);
  for (size_t i = 0; i < t->after->n; i++) {
    size_t was = place_in(t->before, t->after->item[i]);
    float old = t->before->score[was], by = (float)factor(t, t->after->item[i]), want = old < 0 ? old / by : old * by;
    if (isnan(want)) assert_true(isnan(t->after->score[i]));
    else if (isinf(want)) assert_true(t->after->score[i] == want);
    else NEAR(t->after->score[i], want, 1e-5 * (1 + fabs((double)want)));
    if (!i) continue;
    float before = t->after->score[i - 1];
    assert_false(above(t->after->score[i], before));
    if (!above(before, t->after->score[i])) assert_true(place_in(t->before, t->after->item[i - 1]) < was);
  }
}

static double fresh(const trial *t, uint32_t item) {
  double added = cell_of(t, "added", item), age = (double)NOW - added;
  return isnan(added) ? 1 : 1 + 2 * exp2(-fmax(age, 0) / (7 * (double)DAY));
}

static double cleared(const trial *t, uint32_t item) {
  double much = cell_of(t, "size", item), age = (double)NOW - cell_of(t, "added", item);
  double a = much > 1 ? fmin((much - 1) / 2, 1) : 0, b = age > 30.0 * (double)DAY ? fmin((age - 30.0 * (double)DAY) / (60.0 * (double)DAY), 1) : 0;
  return pow(3, a * b);
}

static void what_is_new_and_what_lies_long_is_lifted(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 1, 0);
  for (int round = 0; round < ROUNDS; round++) {
    trial t;
    trial_begin(&t, &rng, 1 + moon_rng_below(&rng, MOST), 6);
    if (round % 2) act(&t, "{'op':'freshness','by':'added','factor':3,'half_life_us':604800000000}");
    else act(&t, "{'op':'clearance','stock':'size','over':1,'full':3,'since':'added','after_us':2592000000000,'full_after_us':7776000000000,'factor':3}");
    assert_scored(&t, round % 2 ? fresh : cleared);
    trial_end(&t);
  }
}

static const past *the_past;
static double weighed_down(const trial *t, uint32_t item) {
  int64_t last = last_of(the_past, item, 3);
  (void)t;
  return last == INT64_MIN ? 1 : 1 - 0.8 * exp2(-(double)(NOW - last) / (2.0 * (double)DAY));
}

static void what_was_done_weighs_less_and_less(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 2, 0);
  for (int round = 0; round < ROUNDS; round++) {
    trial t;
    past p;
    size_t n = 1 + moon_rng_below(&rng, MOST);
    trial_begin(&t, &rng, n, 6);
    remember(&p, &t, &rng, n);
    the_past = &p;
    act(&t, "{'op':'suppress','done':['view','purchase','nothing'],'factor':0.2,'half_life_us':172800000000}");
    assert_scored(&t, weighed_down);
    forget(&p);
    trial_end(&t);
  }
}

static void exclude_and_frequency_go_by_the_past(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 3, 0);
  for (int round = 0; round < ROUNDS; round++) {
    trial t;
    past p;
    size_t n = 1 + moon_rng_below(&rng, MOST), kept = 0;
    trial_begin(&t, &rng, n, 6);
    remember(&p, &t, &rng, n);
    bool often = round % 2;
    if (often) act(&t, "{'op':'frequency','done':'impression','most':2,'within_us':86400000000}");
    else act(&t, "{'op':'exclude','done':['purchase'],'within_us':432000000000,'when':[{'column':'size','op':'gt','value':2}],'items':['i0']}");
    for (size_t i = 0; i < n; i++) {
      uint32_t item = t.before->item[i];
      size_t shown = 0;
      int64_t bought = last_of(&p, item, 2);
      for (size_t e = 0; e < p.n; e++) shown += p.events[e].item == item && p.events[e].kind == 2 && p.events[e].time > NOW - DAY;
      bool out = often ? shown >= 2 : (bought != INT64_MIN && NOW - bought < 5 * DAY) || cell_of(&t, "size", item) > 2 || item == 0;
      if (!out) assert_int_equal(t.after->item[kept++], item);
    }
    assert_int_equal(t.after->n, kept);
    assert_subset(&t);
    forget(&p);
    trial_end(&t);
  }
}

static void a_stranger_has_no_past(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 4, 0);
  trial t;
  past p;
  trial_begin(&t, &rng, 20, 6);
  remember(&p, &t, &rng, 20);
  t.request.user_row = MOON_NONE;
  act(&t, "{'op':'exclude','done':['view']}");
  act(&t, "{'op':'frequency','done':'impression','most':1,'within_us':86400000000}");
  act(&t, "{'op':'calibrate','by':'group'}");
  assert_permutation(&t);
  assert_stable(&t, 0, NULL);
  forget(&p);
  trial_end(&t);
}

/* ---- blend and sort */

static double column_of(const trial *t, size_t at, const char *name) {
  if (!strcmp(name, "score")) return t->before->score[at];
  return cell_of(t, name, t->before->item[at]);
}

static double normal(const trial *t, size_t at, const char *name, bool rank) {
  double low = INFINITY, high = -INFINITY, x = column_of(t, at, name);
  size_t smaller = 0, n = t->before->n;
  for (size_t i = 0; i < n; i++) {
    double y = column_of(t, i, name);
    if (isfinite(y)) low = fmin(low, y), high = fmax(high, y);
    smaller += !isnan(x) && (isnan(y) || y < x);
  }
  if (rank) return n > 1 ? (double)smaller / (double)(n - 1) : 0;
  return isnan(x) || !(high > low) ? 0 : fmin(fmax((x - low) / (high - low), 0), 1);
}

static void a_blend_is_a_sum_of_parts_from_0_to_1(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 5, 0);
  for (int round = 0; round < ROUNDS; round++) {
    trial t;
    trial_begin(&t, &rng, 1 + moon_rng_below(&rng, MOST), 6);
    act(&t, round % 2 ? "{'op':'blend','weights':[{'column':'score','n':1},{'column':'size','n':-0.3},{'column':'added','n':0.4}],'scale':'rank'}"
                      : "{'op':'blend','weights':[{'column':'score','n':1},{'column':'size','n':-0.3},{'column':'added','n':0.4}]}");
    assert_permutation(&t);
    for (size_t i = 0; i < t.after->n; i++) {
      size_t was = place_in(t.before, t.after->item[i]);
      NEAR(t.after->score[i], normal(&t, was, "score", round % 2) - 0.3 * normal(&t, was, "size", round % 2) + 0.4 * normal(&t, was, "added", round % 2), 1e-5);
      assert_true(!i || t.after->score[i] <= t.after->score[i - 1]);
    }
    trial_end(&t);
  }
}

static void sorting_by_a_column_is_stable_and_puts_nothing_last(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 6, 0);
  for (int round = 0; round < ROUNDS; round++) {
    trial t;
    bool rising = round % 2;
    trial_begin(&t, &rng, 1 + moon_rng_below(&rng, MOST), 6);
    act(&t, rising ? "{'op':'sort','by':'size','order':'rising'}" : "{'op':'sort','by':'size'}");
    assert_permutation(&t);
    for (size_t i = 1; i < t.after->n; i++) {
      double a = cell_of(&t, "size", t.after->item[i - 1]), b = cell_of(&t, "size", t.after->item[i]);
      assert_true(isnan(b) || (!isnan(a) && (rising ? a <= b : a >= b)));
      if (a == b || (isnan(a) && isnan(b))) assert_true(place_in(t.before, t.after->item[i - 1]) < place_in(t.before, t.after->item[i]));
    }
    trial_end(&t);
  }
}

/* ---- calibrate */

/* (1 - lambda) * sum of scores - lambda * KL(p || q') of the first m of the slate, by the definition. */
static double calibrated(const trial *t, const double *p, int values, const float *scaled, const uint32_t *items, size_t m, double lambda) {
  double q[16] = {0}, sum = 0, kl = 0;
  for (size_t i = 0; i < m; i++) {
    const char *group = text_of(t, "group", items[i]);
    sum += scaled[place_in(t->before, items[i])];
    if (group) q[atoi(group + 1)] += 1.0 / (double)m;
  }
  for (int v = 0; v < values; v++)
    if (p[v] > 0) kl += p[v] * log(p[v] / (0.99 * q[v] + 0.01 * p[v]));
  return (1 - lambda) * sum - lambda * kl;
}

static void calibration_takes_the_best_by_definition(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 7, 0);
  for (int round = 0; round < 60; round++) {
    trial t;
    past past;
    size_t n = 2 + moon_rng_below(&rng, 30), k = n < 8 ? n : 8;
    double p[16] = {0}, total = 0, lambda = (double)(round % 5) / 4;
    float scaled[MOST];
    uint32_t items[MOST];
    trial_begin(&t, &rng, n, 8);
    remember(&past, &t, &rng, n);
    for (uint32_t i = 0; i < n; i++) { /* each item that was touched counts once: all fit into `last` */
      const char *group = text_of(&t, "group", i);
      if (group && last_of(&past, i, 7) != INT64_MIN) p[atoi(group + 1)]++, total++;
    }
    for (int v = 0; v < 16 && total > 0; v++) p[v] /= total;
    moon_slate_scaled(t.before, scaled);
    char text[128];
    snprintf(text, sizeof text, "{'op':'calibrate','by':'group','lambda':%g,'first':8}", lambda);
    act(&t, text);
    assert_permutation(&t);
    for (size_t m = 1; m <= k && total > 0; m++) {
      double best = -INFINITY;
      memcpy(items, t.after->item, m * sizeof *items);
      double got = calibrated(&t, p, 16, scaled, items, m, lambda);
      for (size_t i = m - 1; i < n; i++) {
        items[m - 1] = t.after->item[i];
        best = fmax(best, calibrated(&t, p, 16, scaled, items, m, lambda));
      }
      NEAR(got, best, 1e-5);
    }
    assert_stable(&t, total > 0 ? k : 0, NULL);
    forget(&past);
    trial_end(&t);
  }
}

/* ---- dates, and what is wrong */

static void a_policy_works_between_its_dates_alone(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 8, 0);
  trial t;
  char text[200];
  trial_begin(&t, &rng, 20, 6);
  snprintf(text, sizeof text, "{'op':'pin','items':['i3'],'at':1,'starts_us':%lld,'bring':true}", (long long)NOW + 1);
  act(&t, text);
  snprintf(text, sizeof text, "{'op':'sort','by':'size','ends_us':%lld}", (long long)NOW);
  act(&t, text);
  assert_stable(&t, 0, NULL);
  snprintf(text, sizeof text, "{'op':'pin','items':['i3'],'at':1,'starts_us':%lld,'ends_us':%lld}", (long long)NOW, (long long)NOW + 1);
  act(&t, text);
  assert_int_equal(t.after->item[0], 3);
  trial_end(&t);
}

static void every_mistake_is_named(void **state) {
  (void)state;
  static const struct { const char *text, *says; moon_code code; } wrong[] = {
      {"{'op':'pn','items':['i1'],'at':1}", "did you mean 'pin'", MOON_ENOTFOUND},
      {"{'op':'pin','items':['i1'],'a':1}", "there is no field 'a'", MOON_ENOTFOUND},
      {"{'op':'pin','items':['i1'],'befor':'i2'}", "did you mean 'before'", MOON_ENOTFOUND},
      {"{'op':'pin','at':1}", "items is missing", MOON_EFORMAT},
      {"{'op':'pin','items':[],'at':1}", "at least one", MOON_EFORMAT},
      {"{'op':'pin','items':['i1']}", "one of at, after, before, top", MOON_EINVAL},
      {"{'op':'pin','items':['i1'],'at':1,'top':0.5}", "one of at, after, before, top", MOON_EINVAL},
      {"{'op':'pin','items':['i1'],'after':'i1'}", "beside itself", MOON_EINVAL},
      {"{'op':'pin','items':['i1','i1'],'at':1}", "names 'i1' twice", MOON_EINVAL},
      {"{'op':'pin','items':['i100'],'at':1}", "items: there is no item 'i100'; did you mean 'i10'?", MOON_ENOTFOUND},
      {"{'op':'pin','items':['i1'],'at':100001}", "at must be a whole number from 0 to 100000, not 100001", MOON_EINVAL},
      {"{'op':'pin','items':['i1'],'top':1.5}", "top must be a number from 0 to 1, not 1.5", MOON_EINVAL},
      {"{'op':'pin','items':['i1'],'at':1,'bring':'yes'}", "bring must be true or false", MOON_EFORMAT},
      {"{'op':'exclude'}", "one of when, items, done", MOON_EINVAL},
      {"{'op':'exclude','items':['i1'],'within_us':5}", "within goes with done", MOON_EINVAL},
      {"{'op':'exclude','done':[5]}", "done must be a list of texts", MOON_EFORMAT},
      {"{'op':'exclude','done':['a'],'within_us':0}", "within_us must be above 0", MOON_EINVAL},
      {"{'op':'frequency','done':'impression','most':2,'within_us':5}", "does not count 'impression'", MOON_EINVAL},
      {"{'op':'thompson','success':'purchase','trial':'view'}", "does not count 'purchase'", MOON_EINVAL},
      {"{'op':'quota','when':[{'column':'size','op':'gt','value':1}],'first':5}", "at_least or at_most is wanted", MOON_EINVAL},
      {"{'op':'quota','when':[{'column':'size','op':'gt','value':1}],'first':5,'at_least':6}", "at_least (6) must not be above first (5)", MOON_EINVAL},
      {"{'op':'quota','when':[{'column':'size','op':'gt','value':1}],'first':5,'at_least':3,'at_most':2}", "at_least (3) must not be above at_most (2)", MOON_EINVAL},
      {"{'op':'quota','when':[{'column':'sise','op':'gt','value':1}],'first':5,'at_least':1}", "did you mean 'size'", MOON_ENOTFOUND},
      {"{'op':'quota','when':{'mask':0},'first':5,'at_least':1}", "conditions must be a list", MOON_EFORMAT},
      {"{'op':'filter','when':[{'column':'source','op':'eq','value':'trendy'}]}", "did you mean 'trending'", MOON_ENOTFOUND},
      {"{'op':'filter','when':[{'column':'source','op':'gt','value':3}]}", "names of sources", MOON_EINVAL},
      {"{'op':'pattern','pattern':['all']}", "must be 'any', not 'all'", MOON_EINVAL},
      {"{'op':'pattern','pattern':[]}", "must be a list of 1 to 100", MOON_EFORMAT},
      {"{'op':'mix','by':'group','edges':[1],'shares':[1,1],'first':5}", "'group' is a column of strings; one of numbers is wanted", MOON_EINVAL},
      {"{'op':'mix','by':'size','edges':[1],'shares':[1],'first':5}", "1 edges make 2 bands", MOON_EINVAL},
      {"{'op':'mix','by':'size','edges':[2,1],'shares':[1,1,1],'first':5}", "edges must rise", MOON_EINVAL},
      {"{'op':'mix','by':'size','edges':[1],'shares':[0,0],'first':5}", "must not all be 0", MOON_EINVAL},
      {"{'op':'freshness','by':'size','half_life_us':5}", "one of times is wanted", MOON_EINVAL},
      {"{'op':'freshness','by':'added'}", "half_life_us is missing", MOON_EFORMAT},
      {"{'op':'clearance'}", "stock, since", MOON_EINVAL},
      {"{'op':'clearance','stock':'size','over':5,'full':4}", "full must be at least over", MOON_EINVAL},
      {"{'op':'debunch','by':'group','window':3,'most':3}", "most (3) must be below window (3)", MOON_EINVAL},
      {"{'op':'blend','weights':[{'column':'group','n':1}]}", "one of numbers is wanted", MOON_EINVAL},
      {"{'op':'blend','weights':[{'column':'size','n':1}],'scale':'rnk'}", "did you mean 'rank'", MOON_ENOTFOUND},
      {"{'op':'dpp','lambda':1}", "lambda must be a number from 0 to 0.99, not 1", MOON_EINVAL},
      {"{'op':'sample','temperature':0}", "temperature must be a number from 0.001 to 1000, not 0", MOON_EINVAL},
      {"{'op':'cap','limits':[{'column':'group','n':1.5}]}", "n must be a whole number", MOON_EINVAL},
  };
  moon_rng rng;
  moon_rng_seed(&rng, 9, 0);
  trial t;
  trial_begin(&t, &rng, 20, 6);
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    moon_policy policy;
    moon_status status = read_policy(&t, wrong[i].text, &policy);
    if (status.code != wrong[i].code || !strstr(status.message, wrong[i].says)) fail_msg("%s\n-> %d %s", wrong[i].text, status.code, status.message);
  }
  trial_end(&t);
}

/* Whatever stands in a field: it is refused, or it runs and the slate stays in one piece. */
static void no_value_does_harm(void **state) {
  (void)state;
  static const char *const values[] = {
      "null", "true", "-1", "0", "1", "2", "1e308", "-0.5", "9223372036854775807", "''", "'embedding'", "'group'", "'tags'", "'added'", "'size'", "'i3'", "'view'", "'any'", "[]", "{}",
      "['i1']", "[1,2]", "[null]", "['any']", "[[]]", "[{'column':'size','n':3}]", "[{'column':'group','n':1}]", "[{'column':'score','n':-1}]",
      "[{'column':'size','op':'gt','value':1}]", "[{'column':'source','op':'in','value':['popular','pinned']}]", "[{'column':'source','op':'ne','value':'recent'}]", "{'mask':0}"};
  moon_rng rng;
  moon_rng_seed(&rng, 11, 0);
  size_t n, ran = 0;
  const moon_operator *const *all = moon_operators(&n);
  for (int round = 0; round < 20000; round++) {
    trial t;
    const moon_operator *op = all[moon_rng_below(&rng, (uint32_t)n)];
    moon_policy policy;
    char text[1024], key[80];
    if (!op->run) continue;
    snprintf(text, sizeof text, "{'op':'%s'", op->name);
    for (const moon_field *f = op->fields; f->name; f++) {
      if (!f->required && moon_rng_below(&rng, 2)) continue;
      snprintf(key, sizeof key, f->kind == MOON_FIELD_SPAN ? "%s_us" : "%s", f->name);
      snprintf(text + strlen(text), sizeof text - strlen(text), ",'%s':%s", key, values[moon_rng_below(&rng, sizeof values / sizeof *values)]);
    }
    strcat(text, "}");
    trial_begin(&t, &rng, moon_rng_below(&rng, 12), 4);
    moon_status status = read_policy(&t, text, &policy);
    assert_true(status.code ? status.message[0] != 0 : policy.args != NULL);
    if (!status.code) {
      OK(moon_policy_run(&policy, t.after));
      ran++;
      for (size_t i = 0; i < t.after->n; i++) assert_int_equal(place_in(t.after, t.after->item[i]), i);
    }
    trial_end(&t);
  }
  assert_true(ran > 500);
}

static void failing_memory_leaves_the_slate_in_one_piece(void **state) {
  (void)state;
  static const char *const policies[] = {
      "{'op':'pin','items':['i3','i21'],'at':2,'bring':true}", "{'op':'cap','limits':[{'column':'tags','n':1}],'split':'|','first':5}",
      "{'op':'quota','when':[{'column':'size','op':'gt','value':1}],'first':5,'at_least':3}", "{'op':'pattern','pattern':['any',[{'column':'size','op':'gt','value':1}]]}",
      "{'op':'mix','by':'size','edges':[1],'shares':[1,1],'first':5}", "{'op':'debunch','by':'group'}", "{'op':'margin','of':'margin','at_least':0.9,'first':5}",
      "{'op':'blend','weights':[{'column':'size','n':1}],'scale':'rank'}", "{'op':'sort','by':'size'}", "{'op':'dpp','by':'group'}", "{'op':'sample'}", "{'op':'epsilon'}",
      "{'op':'freshness','by':'added','half_life_us':5}", "{'op':'exclude','items':['i3']}"};
  moon_rng rng;
  moon_rng_seed(&rng, 10, 0);
  for (size_t p = 0; p < sizeof policies / sizeof *policies; p++)
    for (size_t n = 1;; n++) {
      trial t;
      moon_policy policy;
      trial_begin(&t, &rng, 20, 6);
      OK(read_policy(&t, policies[p], &policy));
      while (t.arena.used_total < 65000) moon_arena_alloc(&t.arena, 100); /* nearly full, so that an operator needs blocks of its own */
      moon_alloc_fail_at(n);
      moon_status status = moon_policy_run(&policy, t.after);
      moon_alloc_fail_at(0);
      assert_true(status.code == MOON_OK || status.code == MOON_ENOMEM);
      if (status.code) assert_subset(&t);
      trial_end(&t);
      if (!status.code) break;
      assert_true(n < 50);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_new_and_what_lies_long_is_lifted),
      cmocka_unit_test(what_was_done_weighs_less_and_less),
      cmocka_unit_test(exclude_and_frequency_go_by_the_past),
      cmocka_unit_test(a_stranger_has_no_past),
      cmocka_unit_test(a_blend_is_a_sum_of_parts_from_0_to_1),
      cmocka_unit_test(sorting_by_a_column_is_stable_and_puts_nothing_last),
      cmocka_unit_test(calibration_takes_the_best_by_definition),
      cmocka_unit_test(a_policy_works_between_its_dates_alone),
      cmocka_unit_test(every_mistake_is_named),
      cmocka_unit_test(no_value_does_harm),
      cmocka_unit_test(failing_memory_leaves_the_slate_in_one_piece),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

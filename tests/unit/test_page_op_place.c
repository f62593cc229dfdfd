/* test_page_op_place.c - operators that give places, against plain loops: what they promise holds, or is told of, and nothing else moves. */
#include "op_run.h"

enum { ROUNDS = 300, MOST = 60 };

static uint32_t up_to(moon_rng *rng, uint32_t n) { return 1 + moon_rng_below(rng, n); }
static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* ---- cap */

static void cap_keeps_the_best_of_each_value(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 1, 0);
  for (int round = 0; round < ROUNDS; round++) {
    trial t;
    char text[128], tag[16];
    size_t n = up_to(&rng, MOST), limit = up_to(&rng, 3), first = moon_rng_below(&rng, 2) ? up_to(&rng, 20) : 0;
    trial_begin(&t, &rng, n, 6);
    snprintf(text, sizeof text, "{'op':'cap','limits':[{'column':'tags','n':%zu},{'column':'group','n':4}],'split':'|','first':%zu}", limit, first);
    act(&t, text);
    size_t k = first ? least(first, n) : t.after->n, kept = first ? k - t.after->relaxed : k;
    if (first) assert_permutation(&t);
    else assert_subset(&t);
    for (int v = 0; v < 6; v++) {
      snprintf(tag, sizeof tag, "t%d", v);
      assert_true(with_tag(&t, tag, t.after->item, kept) <= limit);
    }
    for (size_t i = 0, at = 0; i < n && at < kept; i++) { /* greedily: whoever fits is there */
      bool fits = true;
      size_t same = 0;
      for (int v = 0; v < 6; v++) {
        snprintf(tag, sizeof tag, "t%d", v);
        if (with_tag(&t, tag, &t.before->item[i], 1)) fits = fits && with_tag(&t, tag, t.after->item, at) < limit;
      }
      for (size_t j = 0; j < at; j++) same += share(&t, "group", false, t.before->item[i], t.after->item[j]);
      if (fits && same < 4) assert_int_equal(t.after->item[at++], t.before->item[i]);
    }
    if (first) assert_stable(&t, k, NULL);
    trial_end(&t);
  }
}

/* ---- pin */

static void pins_stand_where_they_are_put(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 2, 0);
  for (int round = 0; round < ROUNDS; round++) {
    trial t;
    char text[256];
    size_t n = 2 + up_to(&rng, MOST), at = up_to(&rng, MOST + 5);
    trial_begin(&t, &rng, n, 6);
    uint32_t a = moon_rng_below(&rng, (uint32_t)n), b = (a + 1) % (uint32_t)n, anchor = (a + 2) % (uint32_t)n;
    uint8_t others[MOST + 16];
    memset(others, 1, sizeof others);
    others[a] = others[b] = 0;
    const char *how[] = {"'at':%zu", "'after':'i%u'", "'before':'i%u'", "'top':0.5"};
    int which = round % 4;
    if (which && which < 3 && anchor == a) anchor = b;
    if (anchor == a || anchor == b) which = 0; /* two items only */
    char where[64];
    if (which == 0) snprintf(where, sizeof where, how[0], at);
    else if (which == 3) snprintf(where, sizeof where, "%s", how[3]);
    else snprintf(where, sizeof where, which == 1 ? "'after':'i%u'" : "'before':'i%u'", anchor);
    snprintf(text, sizeof text, "{'op':'pin','items':['i%u','i%u'],%s}", a, b, where);
    act(&t, text);
    assert_permutation(&t);
    assert_stable(&t, 0, others);
    size_t pa = place_in(t.after, a), pb = place_in(t.after, b);
    if (which == 0) assert_true(pb == pa + 1 && pa == least(at - 1, n - 2));
    if (which == 1) assert_true(pa == place_in(t.after, anchor) + 1 && pb == pa + 1);
    if (which == 2) assert_true(pb + 1 == place_in(t.after, anchor) && pb == pa + 1);
    if (which == 3) assert_true(pa < (n + 1) / 2 + (n < 4) && pb < (n + 1) / 2 + (n < 4));
    trial_end(&t);
  }
}

static void a_pin_brings_in_what_may_be_seen(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 3, 0);
  trial t;
  trial_begin(&t, &rng, 10, 6); /* rows 10..14 are no candidates */
  t.bundle.catalogue->hidden[12] = 1;
  act(&t, "{'op':'pin','items':['i11','i12'],'at':1}");
  assert_int_equal(t.after->n, 10);
  act(&t, "{'op':'exclude','items':['i13']}");
  act(&t, "{'op':'exclude','items':['i3']}");
  act(&t, "{'op':'pin','items':['i11','i12','i13','i3'],'at':2,'bring':true,'reason':'campaign','owner':'merch'}");
  assert_true(t.after->n == 10 && t.after->item[1] == 11 && t.after->source[1] == MOON_SOURCE_PINNED);
  assert_true(place_in(t.after, 12) == 10 && place_in(t.after, 13) == 10 && place_in(t.after, 3) == 10);
  assert_string_equal(t.after->reason[1]->text, "campaign (merch)");
  assert_true(t.after->reason[1]->to == 1 && t.after->reason[1]->from == 9);
  trial_end(&t);
}

static void a_pin_fills_an_empty_slate(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 4, 0);
  trial t;
  trial_begin(&t, &rng, 0, 6);
  act(&t, "{'op':'pin','items':['i1','i0'],'at':7,'bring':true}");
  assert_true(t.after->n == 2 && t.after->item[0] == 1 && t.after->item[1] == 0);
  trial_end(&t);
}

/* ---- quota and ratio */

static void quotas_hold_or_are_told_of(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 5, 0);
  for (int round = 0; round < ROUNDS; round++) {
    trial t;
    char text[256];
    size_t n = up_to(&rng, MOST), first = up_to(&rng, 20), at_least = moon_rng_below(&rng, (uint32_t)first + 1);
    size_t at_most = at_least + moon_rng_below(&rng, 5), matching = 0, inside = 0, k = least(first, n);
    bool share_of = round % 2;
    trial_begin(&t, &rng, n, 6);
    uint8_t match[MOST + 8] = {0}, other[MOST + 8] = {0};
    if (!at_least && at_most >= first) at_most = first - 1;
    if (share_of) snprintf(text, sizeof text, "{'op':'ratio','when':[{'column':'size','op':'gt','value':0}],'at_least':%.17g,'at_most':%.17g,'first':%zu}",
                           (double)at_least / (double)first, fmin((double)at_most / (double)first, 1), first);
    else snprintf(text, sizeof text, "{'op':'quota','when':[{'column':'size','op':'gt','value':0}],'at_least':%zu,'at_most':%zu,'first':%zu}", at_least, at_most, first);
    moon_policy policy;
    moon_status status = read_policy(&t, text, &policy);
    if (share_of && status.code) { /* 0 to 1 of them is no promise */
      assert_true(!at_least && at_most >= first);
      trial_end(&t);
      continue;
    }
    OK(status);
    OK(moon_policy_run(&policy, t.after));
    for (uint32_t i = 0; i < n; i++) match[i] = cell_of(&t, "size", i) > 0, other[i] = !match[i], matching += match[i];
    for (size_t i = 0; i < k; i++) inside += match[t.after->item[i]];
    if (share_of && n < first) at_least = (size_t)ceil((double)at_least / (double)first * (double)k - 1e-9), at_most = (size_t)floor(fmin((double)at_most / (double)first, 1) * (double)k + 1e-9);
    if (at_most < at_least) at_most = at_least;
    assert_permutation(&t);
    size_t possible_least = least(least(at_least, k), matching), possible_most = at_most < k && k > n - matching ? (at_most > k - (n - matching) ? at_most : k - (n - matching)) : at_most;
    assert_true(inside >= possible_least && inside <= possible_most);
    assert_int_equal(t.after->relaxed > 0, inside < at_least || inside > at_most);
    assert_stable(&t, 0, match); /* each side keeps its order in the first places and behind them: one is moved past the other alone */
    assert_stable(&t, 0, other);
    trial_end(&t);
  }
}

/* ---- pattern */

static void a_pattern_is_kept_while_there_is_what_it_wants(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 6, 0);
  for (int round = 0; round < ROUNDS; round++) {
    trial t;
    size_t n = up_to(&rng, MOST), relaxed = 0;
    trial_begin(&t, &rng, n, 6);
    act(&t, "{'op':'pattern','pattern':[[{'column':'source','op':'eq','value':'trending'}],'any',[{'column':'size','op':'gt','value':1}]],'first':25}");
    assert_permutation(&t);
    bool used[MOST] = {false};
    for (size_t at = 0; at < least(n, 25); at++) {
      size_t want = n, any = n;
      for (size_t i = n; i > 0; i--) {
        if (used[i - 1]) continue;
        any = i - 1;
        if (at % 3 == 1 || (at % 3 == 0 ? t.before->source[i - 1] == MOON_SOURCE_TRENDING : cell_of(&t, "size", t.before->item[i - 1]) > 1)) want = i - 1;
      }
      relaxed += want == n;
      if (want == n) want = any;
      used[want] = true;
      assert_int_equal(t.after->item[at], t.before->item[want]);
    }
    assert_int_equal(t.after->relaxed, relaxed);
    assert_stable(&t, 25, NULL);
    trial_end(&t);
  }
}

/* ---- mix */

static void bands_get_their_shares(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 7, 0);
  for (int round = 0; round < ROUNDS; round++) {
    trial t;
    size_t n = up_to(&rng, MOST), k = least(n, 20), has[4] = {0}, got[4] = {0};
    static const double shares[] = {0.5, 0.3, 0.2};
    trial_begin(&t, &rng, n, 9);
    act(&t, "{'op':'mix','by':'size','edges':[0,3],'shares':[5,3,2],'first':20}");
    assert_permutation(&t);
    for (size_t i = 0; i < n; i++) {
      double x = cell_of(&t, "size", t.after->item[i]);
      int band = isnan(x) ? 3 : x < 0 ? 0 : x < 3 ? 1 : 2;
      has[band]++;
      if (i < k) got[band]++;
    }
    bool rich = true;
    for (int b = 0; b < 3; b++) rich = rich && (double)has[b] >= shares[b] * (double)k + 1;
    for (int b = 0; b < 3 && rich; b++) assert_true(fabs((double)got[b] - shares[b] * (double)k) <= 1);
    for (int b = 0; b < 4; b++) { /* the best of each band, in their order */
      uint8_t of_band[MOST + 8] = {0};
      for (uint32_t i = 0; i < n; i++) {
        double x = cell_of(&t, "size", i);
        of_band[i] = (isnan(x) ? 3 : x < 0 ? 0 : x < 3 ? 1 : 2) == b;
      }
      assert_stable(&t, 0, of_band);
    }
    if (rich) assert_int_equal(t.after->relaxed, 0);
    trial_end(&t);
  }
}

/* ---- debunch */

static void windows_are_not_crowded_unless_nothing_else_is_left(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 8, 0);
  for (int round = 0; round < ROUNDS; round++) {
    trial t;
    char text[128];
    size_t n = up_to(&rng, MOST), window = 2 + moon_rng_below(&rng, 5), most = 1 + moon_rng_below(&rng, (uint32_t)window - 1), relaxed = 0;
    bool used[MOST] = {false};
    trial_begin(&t, &rng, n, 5);
    snprintf(text, sizeof text, "{'op':'debunch','by':'group','window':%zu,'most':%zu,'first':30}", window, most);
    act(&t, text);
    assert_permutation(&t);
    for (size_t at = 0; at < least(n, 30); at++) { /* the first that may come, looked for anew */
      size_t want = n, any = n;
      for (size_t i = n; i > 0; i--) {
        size_t same = 0;
        if (used[i - 1]) continue;
        any = i - 1;
        for (size_t j = at >= window - 1 ? at - (window - 1) : 0; j < at; j++) same += share(&t, "group", false, t.after->item[j], t.before->item[i - 1]);
        if (same < most) want = i - 1;
      }
      relaxed += want == n;
      if (want == n) want = any;
      used[want] = true;
      assert_int_equal(t.after->item[at], t.before->item[want]);
    }
    assert_int_equal(t.after->relaxed, relaxed);
    assert_stable(&t, 30, NULL);
    trial_end(&t);
  }
}

/* ---- margin */

static double margin_sum(const trial *t, const moon_slate *slate, size_t k, double floor_of) {
  double sum = 0;
  for (size_t i = 0; i < k; i++) {
    double x = cell_of(t, "margin", slate->item[i]);
    sum += isnan(x) ? 0 : x - floor_of;
  }
  return sum;
}

static void the_margin_is_reached_where_it_can_be(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 9, 0);
  for (int round = 0; round < ROUNDS; round++) {
    trial t;
    char text[128];
    size_t n = up_to(&rng, MOST), k = least(n, 10);
    double wanted = (double)moon_rng_below(&rng, 100) / 100, best = 0, parts[MOST];
    trial_begin(&t, &rng, n, 5);
    snprintf(text, sizeof text, "{'op':'margin','of':'margin','at_least':%g,'first':10}", wanted);
    act(&t, text);
    assert_permutation(&t);
    for (size_t i = 0; i < n; i++) parts[i] = margin_sum(&t, &(moon_slate){.item = &t.before->item[i]}, 1, wanted);
    for (size_t i = 0; i < k; i++) { /* the most that any k items have */
      size_t top = i;
      for (size_t j = i; j < n; j++) top = parts[j] > parts[top] ? j : top;
      double swap = parts[i];
      parts[i] = parts[top], parts[top] = swap;
      best += parts[i];
    }
    double sum = margin_sum(&t, t.after, k, wanted), was = margin_sum(&t, t.before, k, wanted);
    assert_int_equal(t.after->relaxed > 0, sum < -1e-9);
    assert_int_equal(sum < -1e-9, best < -1e-9);
    assert_true(sum >= was - 1e-9);
    if (was >= 0) assert_stable(&t, 0, NULL);
    assert_stable(&t, k, NULL);
    trial_end(&t);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(cap_keeps_the_best_of_each_value),
      cmocka_unit_test(pins_stand_where_they_are_put),
      cmocka_unit_test(a_pin_brings_in_what_may_be_seen),
      cmocka_unit_test(a_pin_fills_an_empty_slate),
      cmocka_unit_test(quotas_hold_or_are_told_of),
      cmocka_unit_test(a_pattern_is_kept_while_there_is_what_it_wants),
      cmocka_unit_test(bands_get_their_shares),
      cmocka_unit_test(windows_are_not_crowded_unless_nothing_else_is_left),
      cmocka_unit_test(the_margin_is_reached_where_it_can_be),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

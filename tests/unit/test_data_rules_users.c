/* Rules about who did what, and when, against answers that look at every pair. */
#include "unit/rules_run.h"

#define EVENTS "user,item,time:time_s"

/* ---- sessions */

static void a_session_ends_with_the_gap(void **state) {
  (void)state;
  becomes("user,item,time\nb,1,100\na,1,0\na,2,60\na,3,121\nb,2,1000\n", EVENTS, "{'op':'sessionize','gap_us':60000000}",
          "b|1|100000000|2;a|1|0|1;a|2|60000000|1;a|3|121000000|3;b|2|1000000000|4", "4 sessions");
  becomes("user,item,time\n,1,100\na,1,\na,1,5\n", EVENTS, "{'op':'sessionize','gap_us':1}",
          "-|1|100000000|-;a|1|-|-;a|1|5000000|1", "1 session");
  becomes("user,item,time\n", EVENTS, "{'op':'sessionize','gap_us':1}", "", "0 sessions");
}

/* A row's session begins with the last row of its user, looking back, that has none of theirs within the gap before it. */
static void sessions_agree_with_looking_back(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 11, 0);
  for (int round = 0; round < 60; round++) {
    plain p;
    moon_table *table = random_events(&rng, &p, 6, 5, 2000);
    int gap = 1 + (int)moon_rng_below(&rng, 100), session[MOST_PLAIN] = {0}, sessions = 0;
    for (int now = 0; now < 2000; now++)
      for (size_t i = 0; i < p.n; i++) {
        if (p.time[i] != now || !p.user[i]) continue;
        for (size_t k = 0; k < p.n; k++) {
          bool before = p.time[k] >= 0 && (p.time[k] < now || (p.time[k] == now && k < i));
          if (before && p.user[k] == p.user[i] && now - p.time[k] <= gap) session[i] = session[k];
        }
        if (!session[i]) session[i] = ++sessions;
      }
    char rule[100];
    snprintf(rule, sizeof rule, "{'op':'sessionize','gap_us':%d000000}", gap);
    OK(run_rule(rule, NULL, table, NULL));
    const moon_column *out = moon_table_column(table, "session");
    for (size_t i = 0; i < p.n; i++) assert_true(out->i64[i] == (session[i] ? session[i] : MOON_NULL_INT));
    moon_table_free(table);
  }
}

/* ---- the core */

static void a_core_is_what_is_left_when_nobody_has_too_few(void **state) {
  (void)state;
  /* c goes at once; without c, item 3 has one event; without that, b has one, and so it goes on */
  becomes("user,item,time\na,1,1\na,2,2\nb,2,3\nb,3,4\nc,3,5\na,1,6\n", EVENTS, "{'op':'k_core','user':2,'item':2}",
          "a|1|1000000;a|1|6000000", "2 users and 2 items had too few");
  becomes("user,item,time\na,1,1\na,2,2\nb,2,3\n", EVENTS, "{'op':'k_core','user':2}", "a|1|1000000;a|2|2000000",
          "1 user and 0 items had too few");
  becomes("user,item,time\na,1,1\nb,2,2\n", EVENTS, "{'op':'k_core','item':2}", "", "0 users and 2 items had too few");
  becomes("user,item,time\na,,1\na,1,2\n,1,3\n", EVENTS, "{'op':'k_core','user':1}", "a|1|2000000",
          "0 users and 0 items had too few, 2 rows had no user or item");
}

static void cores_agree_with_dropping_until_nothing_changes(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 12, 0);
  size_t left = 0, gone = 0;
  for (int round = 0; round < 200; round++) {
    plain p;
    moon_buf want = {0};
    uint8_t keep[MOST_PLAIN] = {0};
    moon_table *table = random_events(&rng, &p, 40, 40, 1000);
    int user = (int)moon_rng_below(&rng, 6), item = (int)moon_rng_below(&rng, 6) + !user;
    for (size_t i = 0; i < p.n; i++) keep[i] = p.user[i] && p.item[i];
    for (bool again = true; again;) {
      again = false;
      for (size_t i = 0; i < p.n; i++) {
        int same_user = 0, same_item = 0;
        for (size_t k = 0; k < p.n; k++)
          same_user += keep[k] && p.user[k] == p.user[i], same_item += keep[k] && p.item[k] == p.item[i];
        if (keep[i] && (same_user < user || same_item < item)) keep[i] = 0, again = true;
      }
    }
    for (size_t i = 0; i < p.n; i++) left += keep[i], gone += !keep[i];
    char rule[100] = "{'op':'k_core'";
    if (user) sprintf(rule + strlen(rule), ",'user':%d", user);
    if (item) sprintf(rule + strlen(rule), ",'item':%d", item);
    strcat(rule, "}");
    OK(run_rule(rule, NULL, table, NULL));
    dump_plain(&p, keep, &want);
    HOLDS(table, want.data);
    moon_buf_free(&want);
    moon_table_free(table);
  }
  assert_true(left > 1000 && gone > 1000); /* both happen */
}

/* Each step of the chain frees the next: rounds over all rows would take the square of its length. */
static void a_long_chain_falls_in_one_go(void **state) {
  (void)state;
  moon_buf text = {0};
  moon_buf_puts(&text, "user,item\n");
  for (int i = 0; i < 100000; i++) moon_buf_printf(&text, "u%d,i%d\nu%d,i%d\n", i, i, i, i + 1);
  moon_table *table = table_of(text.data, "user,item");
  moon_rule_report report;
  OK(run_rule("{'op':'k_core','user':2,'item':2}", NULL, table, &report));
  assert_int_equal(table->rows, 0);
  assert_string_equal(report.why, "100000 users and 100001 items had too few");
  moon_buf_free(&text);
  moon_table_free(table);
}

/* ---- bots */

static void who_is_too_fast_once_goes_with_all_they_did(void **state) {
  (void)state;
  const char *text = "user,item,time\na,1,0\na,1,30\na,1,59\na,9,5000\nb,1,0\nb,1,30\nb,1,60\n,1,1\na,1,\n";
  becomes(text, EVENTS, "{'op':'bots','over_us':60000000,'most':2}", "b|1|0;b|1|30000000;b|1|60000000;-|1|1000000",
          "1 user did more");
  becomes(text, EVENTS, "{'op':'bots','over_us':60000001,'most':2}", "-|1|1000000", "2 users did more");
  becomes(text, EVENTS, "{'op':'bots','over_us':60000000,'most':1000000000000000000}",
          "a|1|0;a|1|30000000;a|1|59000000;a|9|5000000000;b|1|0;b|1|30000000;b|1|60000000;-|1|1000000;a|1|-", "0 users did more");
}

static void bots_agree_with_counting_every_window(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 13, 0);
  size_t kept = 0, dropped = 0;
  for (int round = 0; round < 200; round++) {
    plain p;
    moon_buf want = {0};
    uint8_t keep[MOST_PLAIN];
    bool bot[8] = {false};
    moon_table *table = random_events(&rng, &p, 7, 5, 1000);
    int over = 1 + (int)moon_rng_below(&rng, 100), most = 1 + (int)moon_rng_below(&rng, 8);
    for (size_t i = 0; i < p.n; i++) { /* the window (time - over, time] */
      int within = 0;
      for (size_t k = 0; k < p.n; k++)
        within += p.user[k] == p.user[i] && p.time[k] >= 0 && p.time[k] <= p.time[i] && p.time[k] > p.time[i] - over;
      bot[p.user[i]] |= p.user[i] && p.time[i] >= 0 && within > most;
    }
    for (size_t i = 0; i < p.n; i++) keep[i] = !bot[p.user[i]], kept += keep[i], dropped += !keep[i];
    char rule[100];
    snprintf(rule, sizeof rule, "{'op':'bots','over_us':%d000000,'most':%d}", over, most);
    OK(run_rule(rule, NULL, table, NULL));
    dump_plain(&p, keep, &want);
    HOLDS(table, want.data);
    moon_buf_free(&want);
    moon_table_free(table);
  }
  assert_true(kept > 1000 && dropped > 1000);
}

/* ---- all of them */

static void what_they_cannot_work_on_is_refused(void **state) {
  (void)state;
  static const struct {
    const char *words, *rule, *message;
  } cases[] = {{"user,item", "{'op':'sessionize','gap_us':5}", "t.csv has no column 'time'"},
               {"user:number,time:time_s", "{'op':'sessionize','gap_us':5}", "column user must be a string"},
               {"user,time:number", "{'op':'sessionize','gap_us':5}", "column time must be a time"},
               {"user,time:time_s,session=item", "{'op':'sessionize','gap_us':5}", "has a column 'session' already"},
               {EVENTS, "{'op':'sessionize','gap_us':0}", "gap_us must be a whole number, 1 or more"},
               {EVENTS, "{'op':'sessionize'}", "gap_us must be"},
               {EVENTS, "{'op':'k_core','user':-1}", "user must be"},
               {EVENTS, "{'op':'k_core','item':2.5}", "item must be"},
               {"user,time:time_s", "{'op':'k_core','user':2}", "no column 'item'"},
               {"user,item:number", "{'op':'k_core','user':2}", "column item must be a string"},
               {EVENTS, "{'op':'bots','over_us':5}", "most must be"},
               {EVENTS, "{'op':'bots','most':5}", "over_us must be"},
               {"user,time:number", "{'op':'bots','over_us':5,'most':5}", "column time must be a time"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    moon_table *table = table_of("user,item,time\n1,1,1\n", cases[i].words);
    moon_status status = run_rule(cases[i].rule, NULL, table, NULL);
    if (!status.code || !strstr(status.message, cases[i].message)) fail_msg("case %zu: %s", i, status.message);
    assert_int_equal(table->rows, 1);
    moon_table_free(table);
  }
}

static void the_first_rows_that_go_are_shown(void **state) {
  (void)state;
  moon_table *table = table_of("user,item,time,price\na,1,1,2.5\nb,2,2,\nb,3,3,7\nc,,0,1\nd,1,4,1\n", EVENTS ",price:number");
  moon_rule_report report;
  OK(run_rule("{'op':'k_core','user':1,'item':2,'where':'recipe.lua:4'}", NULL, table, &report));
  assert_string_equal(report.rule, "k_core (recipe.lua:4)");
  assert_string_equal(report.sample[0], "user=b, item=2, time=1970-01-01T00:00:02Z, price=-");
  assert_string_equal(report.sample[1], "user=b, item=3, time=1970-01-01T00:00:03Z, price=7");
  assert_string_equal(report.sample[2], "user=c, item=-, time=1970-01-01T00:00:00Z, price=1");
  moon_table_free(table);
  moon_buf text = {0};
  moon_buf_puts(&text, "user,item\n\"a\tb\x1b");
  for (int i = 0; i < 300; i++) moon_buf_puts(&text, "\xc3\xa9"); /* cut between characters */
  moon_buf_puts(&text, "\",1\n");
  table = table_of(text.data, "user,item");
  OK(run_rule("{'op':'k_core','item':2}", NULL, table, &report));
  assert_memory_equal(report.sample[0], "user=a\tb?\xc3\xa9", 11);
  size_t n = strlen(report.sample[0]);
  assert_true(n > 190 && n < sizeof report.sample[0] && !strcmp(report.sample[0] + n - 3, "...") &&
              moon_utf8_prefix(report.sample[0], n) == n);
  assert_string_equal(report.sample[1], "");
  moon_buf_free(&text);
  moon_table_free(table);
}

static moon_status run_all(void *self) {
  static const char *const rules[] = {"{'op':'sessionize','gap_us':5}", "{'op':'k_core','user':2,'item':1}",
                                      "{'op':'bots','over_us':5000000,'most':1}"};
  moon_status status = moon_ok();
  for (size_t i = 0; i < 3 && !status.code; i++) {
    moon_alloc_fail_at(0);
    moon_table *table = table_of("user,item,time\na,1,9\na,2,2\nb,1,3\n", EVENTS);
    json_t *rule = json_of(rules[i]), *list = json_pack("[o]", rule);
    moon_rule_report report;
    moon_alloc_fail_at(*(size_t *)self);
    status = moon_preprocess(list, table, NULL, &report);
    moon_alloc_fail_at(0);
    if (status.code) HOLDS(table, "a|1|9000000;a|2|2000000;b|1|3000000");
    json_decref(list);
    moon_table_free(table);
  }
  ++*(size_t *)self;
  return status;
}

static void rules_survive_no_memory(void **state) {
  (void)state;
  size_t n = 1;
  assert_true(exhaust(run_all, &n) >= 8);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_session_ends_with_the_gap),
      cmocka_unit_test(sessions_agree_with_looking_back),
      cmocka_unit_test(a_core_is_what_is_left_when_nobody_has_too_few),
      cmocka_unit_test(cores_agree_with_dropping_until_nothing_changes),
      cmocka_unit_test(a_long_chain_falls_in_one_go),
      cmocka_unit_test(who_is_too_fast_once_goes_with_all_they_did),
      cmocka_unit_test(bots_agree_with_counting_every_window),
      cmocka_unit_test(what_they_cannot_work_on_is_refused),
      cmocka_unit_test(the_first_rows_that_go_are_shown),
      cmocka_unit_test(rules_survive_no_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The event log: time order with ties as they came, dense rows by first sight, and what it refuses. */
#include "unit/tables.h"

static void check_event(const moon_log *log, const moon_catalogue *c, size_t i, const char *user, const char *item,
                        const char *kind, int64_t seconds) {
  const moon_event *e = &log->events[i];
  assert_string_equal(moon_dict_text(log->users, e->user), user);
  assert_string_equal(moon_catalogue_id(c, e->item), item);
  assert_string_equal(moon_dict_text(log->kinds, e->kind), kind);
  assert_true(e->time == seconds * MOON_SECOND);
  assert_int_equal(e->row, i);
  assert_string_equal(moon_column_text(moon_table_column(log->table, "user"), i), user); /* the table moved along */
}

static void events_are_sorted_and_ties_stay_as_they_came(void **state) {
  (void)state;
  moon_catalogue *c;
  moon_log *log;
  OK(moon_catalogue_new(table_of("item\ni1\ni2\n", "item"), &c));
  OK(moon_log_new(
      table_of("user,item,event,time,n\nb,i3,view,30,1\na,i1,view,20,2\nb,i2,buy,20,3\na,i1,view,-10,4\nc,i1,buy,20,5\n",
               "user,item,event,time:time_s,n"),
      c, &log));
  assert_int_equal(log->n, 5);
  check_event(log, c, 0, "a", "i1", "view", -10);
  check_event(log, c, 1, "a", "i1", "view", 20);
  check_event(log, c, 2, "b", "i2", "buy", 20);
  check_event(log, c, 3, "c", "i1", "buy", 20);
  check_event(log, c, 4, "b", "i3", "view", 30);
  const double n[] = {4, 2, 3, 5, 1};
  assert_memory_equal(moon_table_column(log->table, "n")->f64, n, sizeof n);
  const uint32_t users[] = {0, 0, 1, 2, 1},
                 items[] = {0, 0, 1, 0, 2}; /* users by first sight in time; items by the catalogue, then by sight */
  for (int i = 0; i < 5; i++) {
    assert_int_equal(log->events[i].user, users[i]);
    assert_int_equal(log->events[i].item, items[i]);
  }
  assert_int_equal(moon_catalogue_rows(c), 3);
  assert_int_equal(c->hidden[2], 1);
  moon_log_free(log);
  moon_log_free(NULL);
  moon_catalogue_free(c);
}

static moon_log_report report_of(const char *text) {
  moon_catalogue *c;
  moon_log *log;
  OK(moon_catalogue_new(table_of("item\ni1\n", "item"), &c));
  OK(moon_log_new(table_of(text, "user,item,time:time_s,n"), c, &log));
  moon_log_report report = log->report;
  moon_log_free(log);
  moon_catalogue_free(c);
  return report;
}

static void a_log_says_what_is_odd_about_it(void **state) {
  (void)state;
  moon_log_report r = report_of("user,item,time,n\na,i1,10,1\nb,i1,10,1\na,i1,11,\n");
  assert_int_equal(r.out_of_order + r.duplicates + r.before_1970 + r.after_gap, 0);
  r = report_of("user,item,time,n\na,i1,10,1\na,i1,30,1\na,i1,20,1\na,i1,25,1\na,i1,30,2\n");
  assert_int_equal(r.out_of_order, 2); /* 20 and 25 after 30 */
  assert_int_equal(r.duplicates, 0);
  r = report_of("user,item,time,n\na,i1,10,\nb,i1,10,2\na,i1,10,\na,i1,10,\na,i1,11,\nb,i1,10,2\n");
  assert_int_equal(r.duplicates, 3); /* a null is the same as a null; the one at 11 is not */
  assert_int_equal(r.out_of_order, 1);
  for (int crowd = 2; crowd < 60; crowd += 7) { /* few at one moment, and many: of each number three, but of the last */
    moon_buf text = {0};
    moon_buf_puts(&text, "user,item,time,n\nz,i1,9,0\n");
    for (int i = 0; i < crowd; i++) moon_buf_printf(&text, "a,i1,10,%d\n", i / 3);
    r = report_of(text.data);
    assert_int_equal(r.duplicates, crowd - (crowd + 2) / 3);
    moon_buf_free(&text);
  }
  r = report_of("user,item,time,n\na,i1,-5,\na,i1,-1,\na,i1,1700000000,\na,i1,1700000001,\na,i1,4102444800,\na,i1,4102444801,\n");
  assert_int_equal(r.before_1970, 2);
  assert_int_equal(r.after_gap, 2); /* the way from -1 into our days is none */
}

static void sorting_agrees_with_insertion(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 51, 0);
  for (int round = 0; round < 50; round++) {
    enum { MOST = 200 };
    size_t n = moon_rng_below(&rng, MOST), sorted[MOST];
    int64_t times[MOST];
    moon_buf text = {0};
    moon_buf_puts(&text, "user,item,time\n");
    for (size_t i = 0; i < n; i++) {
      times[i] = (int64_t)moon_rng_below(&rng, 30) - 15;
      moon_buf_printf(&text, "u%zu,x,%lld\n", i, (long long)times[i]);
      size_t at = i;
      for (; at && times[sorted[at - 1]] > times[i]; at--) sorted[at] = sorted[at - 1];
      sorted[at] = i;
    }
    moon_catalogue *c;
    moon_log *log;
    OK(moon_catalogue_new(NULL, &c));
    OK(moon_log_new(table_of(text.data, "user,item,time:time_us"), c, &log));
    assert_int_equal(log->n, n);
    for (size_t i = 0; i < n; i++) {
      assert_true(log->events[i].time == times[sorted[i]]);
      assert_int_equal(atoi(moon_dict_text(log->users, log->events[i].user) + 1), sorted[i]);
      assert_int_equal(log->events[i].user, i); /* each user once: numbered in the order of time */
      assert_string_equal(moon_dict_text(log->kinds, log->events[i].kind), "event"); /* without a column there is one kind */
    }
    moon_log_free(log);
    moon_catalogue_free(c);
    moon_buf_free(&text);
  }
}

static void rows_that_were_left_out_leave_no_users(void **state) {
  (void)state;
  moon_catalogue *c;
  moon_log *log;
  moon_table *table = table_of("user,item,time\nbot,x,1\na,y,2\nbot,z,3\n", "user,item,time");
  const uint8_t keep[] = {0, 1, 0};
  moon_table_keep(table, keep);
  OK(moon_catalogue_new(NULL, &c));
  OK(moon_log_new(table, c, &log));
  assert_int_equal(moon_dict_count(log->users), 1);
  assert_int_equal(moon_catalogue_rows(c), 1);
  check_event(log, c, 0, "a", "y", "event", 2);
  moon_log_free(log);
  moon_catalogue_free(c);
}

static void bad_tables_are_refused(void **state) {
  (void)state;
  static const struct {
    const char *text, *words;
    moon_code code;
    const char *message;
  } cases[] = {{"user,item,time\na,x,1\n,y,2\n", "user,item,time", MOON_EFORMAT,
                "t.csv: event 2 has no user; put m.drop_missing { \"user\" } into preprocess"},
               {"user,item,time\na,,1\n", "user,item,time", MOON_EFORMAT, "event 1 has no item"},
               {"user,item,time\na,x,\n", "user,item,time", MOON_EFORMAT, "event 1 has no time"},
               {"user,item,time,event\na,x,1,view\na,x,1,\n", "user,item,time,event", MOON_EFORMAT, "event 2 has no event"},
               {"user,item\na,x\n", "user,item", MOON_ENOTFOUND, "has no column 'time'"},
               {"user,item,time\na,x,1\n", "user,item,time:number", MOON_EINVAL, "column time must be a time"},
               {"user,item,time\n1,x,1\n", "user:number,item,time", MOON_EINVAL, "column user must be a string"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    moon_catalogue *c;
    moon_log *log;
    OK(moon_catalogue_new(NULL, &c));
    REFUSED(cases[i].code, cases[i].message, moon_log_new(table_of(cases[i].text, cases[i].words), c, &log));
    moon_catalogue_free(c);
  }
}

static void a_log_may_be_empty(void **state) {
  (void)state;
  moon_catalogue *c;
  moon_log *log;
  OK(moon_catalogue_new(NULL, &c));
  OK(moon_log_new(table_of("user,item,time\n", "user,item,time"), c, &log));
  assert_int_equal(log->n, 0);
  assert_int_equal(moon_dict_count(log->users), 0);
  moon_log_free(log);
  moon_catalogue_free(c);
}

static moon_status make_log(void *self) {
  size_t at = (*(size_t *)self)++;
  moon_alloc_fail_at(0);
  moon_table *table = table_of("user,item,event,time\nb,i3,view,30\na,i1,view,20\nb,i2,buy,20\n", "user,item,event,time");
  moon_catalogue *c;
  moon_log *log;
  OK(moon_catalogue_new(NULL, &c));
  moon_alloc_fail_at(at);
  moon_status status = moon_log_new(table, c, &log); /* owns the table, whatever happens */
  moon_alloc_fail_at(0);
  if (!status.code) {
    assert_int_equal(log->n, 3);
    moon_log_free(log);
  }
  moon_catalogue_free(c);
  return status;
}

static void logs_survive_no_memory(void **state) {
  (void)state;
  size_t n = 1;
  assert_true(exhaust(make_log, &n) > 12);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(events_are_sorted_and_ties_stay_as_they_came),
                                     cmocka_unit_test(a_log_says_what_is_odd_about_it),
                                     cmocka_unit_test(sorting_agrees_with_insertion),
                                     cmocka_unit_test(rows_that_were_left_out_leave_no_users),
                                     cmocka_unit_test(bad_tables_are_refused),
                                     cmocka_unit_test(a_log_may_be_empty),
                                     cmocka_unit_test(logs_survive_no_memory)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_rank_dataset.c - what a data set promises: no look into the future, parts that do not overlap, vocabularies of the past. */
#include "shoplet.h"

static void inputs_do_not_know_the_future(void **state) {
  (void)state;
  json_t *plan = shoplet_json();
  char *folder = shoplet_make(400);
  moon_dataset *whole, *cut;
  OK(shoplet_dataset(folder, plan, &whole));
  char *path = moon_path_join(folder, "events.csv");
  moon_buf text = {0};
  OK(moon_file_read(path, 0, &text));
  char *middle = text.data + text.n * 2 / 3;
  while (*middle != '\n') middle++;
  middle[1] = 0; /* the last third never happened */
  shoplet_file(folder, "events.csv", text.data);
  OK(shoplet_dataset(folder, plan, &cut));
  assert_true(cut->examples.n > 100 && cut->examples.n < whole->examples.n);
  size_t slots = whole->plan->dense_slots, length = whole->plan->bag_length;
  for (size_t i = 0; i < cut->examples.n; i++) {
    assert_memory_equal(whole->inputs.dense + i * slots, cut->inputs.dense + i * slots, slots * sizeof(float));
    for (size_t k = 0; k < length; k++) /* ids are numbered by first sight, so they agree too */
      assert_int_equal(whole->inputs.bags[i * length + k], cut->inputs.bags[i * length + k]);
    assert_true(whole->popularity[i] == cut->popularity[i]);
  }
  moon_buf_free(&text);
  moon_free(path);
  moon_dataset_free(whole);
  moon_dataset_free(cut);
  json_decref(plan);
  shoplet_remove(folder);
}

static void first_example_sees_an_empty_world(void **state) {
  (void)state;
  json_t *plan = shoplet_json();
  char *folder = shoplet_make(200);
  moon_dataset *d;
  OK(shoplet_dataset(folder, plan, &d));
  /* price, count 1h, count all, rate: nothing was viewed or bought before the first event */
  assert_true(d->inputs.dense[1] == 0 && d->inputs.dense[2] == 0);
  NEAR(d->inputs.dense[3], 1.0 / 20, 1e-6);
  assert_int_equal(d->inputs.bags[0], 0);
  assert_true(d->popularity[0] == 0);
  moon_dataset_free(d);
  json_decref(plan);
  shoplet_remove(folder);
}

static void parts_by_time_follow_each_other(void **state) {
  (void)state;
  json_t *plan = shoplet_json();
  char *folder = shoplet_make(500);
  moon_dataset *d;
  OK(shoplet_dataset(folder, plan, &d));
  assert_int_equal(d->part_n[0] + d->part_n[1] + d->part_n[2], d->examples.n);
  NEAR((double)d->part_n[0] / (double)d->examples.n, 0.8, 0.02);
  NEAR((double)d->part_n[2] / (double)d->examples.n, 0.1, 0.02);
  for (size_t i = 1; i < d->examples.n; i++) assert_true(d->part[i - 1] <= d->part[i]);
  assert_int_equal(d->judged, MOON_TEST);
  for (size_t i = 0; i < d->known_n; i++) assert_true(d->known[i].time < d->judged_from);
  assert_int_equal(moon_state_events(d->state_then), d->known_n);
  assert_int_equal(moon_state_events(d->state), d->log->n);
  moon_dataset_free(d);
  json_decref(plan);
  shoplet_remove(folder);
}

static void equal_times_stay_in_one_part(void **state) {
  (void)state;
  json_t *plan = shoplet_json();
  char *folder = shoplet_make(60);
  moon_buf text = {0};
  moon_buf_puts(&text, "user,item,event,time\n");
  for (int i = 0; i < 200; i++) {
    moon_buf_printf(&text, "u%d,i%d,view,%d\n", i % 7, i % 9, 1700000000 + i / 23 * 1000);
    if (i % 5 == 0) moon_buf_printf(&text, "u%d,i%d,purchase,%d\n", i % 7, i % 9, 1700000000 + i / 23 * 1000 + 1);
  }
  shoplet_file(folder, "events.csv", text.data);
  moon_dataset *d;
  OK(shoplet_dataset(folder, plan, &d));
  for (size_t i = 1; i < d->examples.n; i++)
    if (d->log->events[d->examples.event[i]].time == d->log->events[d->examples.event[i - 1]].time) assert_int_equal(d->part[i], d->part[i - 1]);
  moon_buf_free(&text);
  moon_dataset_free(d);
  json_decref(plan);
  shoplet_remove(folder);
}

static void parts_at_random_follow_the_seed(void **state) {
  (void)state;
  json_t *plan = shoplet_json();
  char *folder = shoplet_make(600);
  json_t *train = json_object_get(plan, "train");
  json_object_set_new(json_object_get(train, "split"), "by", json_string("random"));
  moon_dataset *a, *b, *c;
  OK(shoplet_dataset(folder, plan, &a));
  OK(shoplet_dataset(folder, plan, &b));
  json_object_set_new(train, "seed", json_integer(2));
  OK(shoplet_dataset(folder, plan, &c));
  assert_memory_equal(a->part, b->part, a->examples.n);
  assert_memory_not_equal(a->part, c->part, a->examples.n);
  NEAR((double)a->part_n[0] / (double)a->examples.n, 0.8, 0.06);
  assert_int_equal(a->known_n, a->log->n - a->part_n[MOON_TEST]); /* all but the examples to judge */
  moon_dataset_free(a);
  moon_dataset_free(b);
  moon_dataset_free(c);
  json_decref(plan);
  shoplet_remove(folder);
}

static void vocabularies_hold_the_training_part_only(void **state) {
  (void)state;
  json_t *plan = shoplet_json();
  char *folder = shoplet_make(300);
  char *path = moon_path_join(folder, "events.csv");
  moon_buf text = {0};
  OK(moon_file_read(path, 0, &text));
  moon_buf_puts(&text, "newcomer,i1,view,1800000000\nnewcomer,i2,view,1800000100\n");
  shoplet_file(folder, "events.csv", text.data);
  moon_dataset *d;
  OK(shoplet_dataset(folder, plan, &d));
  assert_int_not_equal(moon_vocab_find(d->vocabs[0], "u1", 2), 0);
  assert_int_equal(moon_vocab_find(d->vocabs[0], "newcomer", 8), 0);
  assert_int_equal(moon_vocab_size(d->vocabs[0]), 13);
  moon_buf_free(&text);
  moon_free(path);
  moon_dataset_free(d);
  json_decref(plan);
  shoplet_remove(folder);
}

static void rare_ids_are_unknown(void **state) {
  (void)state;
  json_t *plan = shoplet_json();
  char *folder = shoplet_make(300);
  json_object_set_new(json_array_get(json_object_get(plan, "features"), 1), "min_count", json_integer(40));
  moon_dataset *d;
  OK(shoplet_dataset(folder, plan, &d));
  size_t often = 0;
  for (uint32_t item = 0; item < 10; item++) {
    size_t count = 0;
    for (size_t i = 0; i < d->log->n; i++) count += d->log->events[i].item == item;
    char id[8];
    snprintf(id, sizeof id, "i%u", item);
    if (count < 40) assert_int_equal(moon_vocab_find(d->vocabs[1], id, strlen(id)), 0);
    often += moon_vocab_find(d->vocabs[1], id, strlen(id)) != 0;
  }
  assert_true(often > 0 && often < 10);
  moon_dataset_free(d);
  json_decref(plan);
  shoplet_remove(folder);
}

static void sampled_negatives_are_for_training_only(void **state) {
  (void)state;
  json_t *plan = shoplet_json();
  char *folder = shoplet_make(400);
  moon_dataset *plain, *d, *again;
  OK(shoplet_dataset(folder, plan, &plain));
  json_object_set_new(json_object_get(plan, "label"), "negatives", json_integer(3));
  OK(shoplet_dataset(folder, plan, &d));
  OK(shoplet_dataset(folder, plan, &again));
  size_t positives = 0, at = 0;
  for (size_t i = 0; i < plain->part_n[MOON_TRAIN]; i++) positives += plain->examples.label[i] > 0;
  assert_int_equal(d->examples.n, plain->examples.n + 3 * positives);
  assert_int_equal(d->negatives, 3 * positives);
  assert_int_equal(d->part_n[MOON_TRAIN], plain->part_n[MOON_TRAIN] + 3 * positives);
  assert_int_equal(d->part_n[MOON_TEST], plain->part_n[MOON_TEST]);
  bool seen[10] = {false};
  for (size_t i = 0; i < d->examples.n; i++) {
    uint32_t own = d->log->events[d->examples.event[i]].item;
    assert_int_equal(d->examples.item[i], again->examples.item[i]);
    if (at < plain->examples.n && d->examples.event[i] == plain->examples.event[at] && d->examples.item[i] == own) {
      assert_true(d->examples.label[i] == plain->examples.label[at]);
      assert_memory_equal(d->inputs.dense + i * d->plan->dense_slots, plain->inputs.dense + at * d->plan->dense_slots, d->plan->dense_slots * sizeof(float));
      at++;
      continue;
    }
    assert_true(d->examples.label[i] == 0 && d->part[i] == MOON_TRAIN && d->examples.item[i] != own && d->examples.item[i] < 10);
    seen[d->examples.item[i]] = true;
  }
  assert_int_equal(at, plain->examples.n);
  for (int item = 0; item < 10; item++) assert_true(seen[item]);
  moon_dataset_free(plain);
  moon_dataset_free(d);
  moon_dataset_free(again);
  json_decref(plan);
  shoplet_remove(folder);
}

static void what_cannot_be_learned_is_refused(void **state) {
  (void)state;
  json_t *plan = shoplet_json();
  char *folder = shoplet_make(100);
  moon_dataset *d;
  json_t *label = json_object_get(plan, "label");
  json_object_set_new(label, "positive", json_pack("[s]", "view"));
  REFUSED(MOON_EINVAL, "r:4: label: each of 80 training examples is a success", shoplet_dataset(folder, plan, &d));
  REFUSED(MOON_EINVAL, "negatives", shoplet_dataset(folder, plan, &d));
  json_object_set_new(label, "negatives", json_integer(1));
  OK(shoplet_dataset(folder, plan, &d)); /* looks alone, against what nobody looked at */
  moon_dataset_free(d);
  json_object_set_new(label, "negatives", json_integer(-1));
  REFUSED(MOON_EINVAL, "negatives", shoplet_dataset(folder, plan, &d));
  json_object_del(label, "negatives");
  json_object_set_new(label, "positive", json_pack("[s]", "purchas"));
  REFUSED(MOON_ENOTFOUND, "'purchase'", shoplet_dataset(folder, plan, &d));
  json_object_set_new(label, "positive", json_pack("[s]", "purchase"));
  shoplet_file(folder, "events.csv", "user,item,event,time\n");
  REFUSED(MOON_EFORMAT, "no events", shoplet_dataset(folder, plan, &d));
  assert_null(d);
  json_decref(plan);
  shoplet_remove(folder);
}

static void failing_allocations_leave_nothing_behind(void **state) {
  (void)state;
  json_t *plan = shoplet_json();
  char *folder = shoplet_make(60);
  moon_dataset *d = NULL;
  bool failed = false;
  for (size_t n = 1; !d && n < 100000; n += n < 200 ? 1 : 37) {
    moon_alloc_fail_at(n);
    moon_status status = shoplet_dataset(folder, plan, &d);
    moon_alloc_fail_at(0);
    if (!d) assert_int_equal(status.code, MOON_ENOMEM), failed = true;
  }
  assert_true(d && failed);
  moon_dataset_free(d);
  json_decref(plan);
  shoplet_remove(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(inputs_do_not_know_the_future),  cmocka_unit_test(first_example_sees_an_empty_world),
      cmocka_unit_test(parts_by_time_follow_each_other), cmocka_unit_test(equal_times_stay_in_one_part),
      cmocka_unit_test(parts_at_random_follow_the_seed), cmocka_unit_test(vocabularies_hold_the_training_part_only),
      cmocka_unit_test(rare_ids_are_unknown),            cmocka_unit_test(what_cannot_be_learned_is_refused),
      cmocka_unit_test(sampled_negatives_are_for_training_only), cmocka_unit_test(failing_allocations_leave_nothing_behind),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

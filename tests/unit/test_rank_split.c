/* test_rank_split.c - who trains, who validates, who tests, and what may be known then; and items drawn by popularity. */
#include <math.h>

#include "shoplet.h"

static moon_dataset *parted(const char *folder, const char *split, int64_t seed) {
  json_t *plan = shoplet_json(), *train = json_object_get(plan, "train"), *json = json_loads(split, 0, NULL);
  assert_non_null(json);
  json_object_set_new(train, "split", json);
  json_object_set_new(train, "seed", json_integer(seed));
  moon_dataset *d;
  OK(shoplet_dataset(folder, plan, &d));
  json_decref(plan);
  return d;
}

static const moon_event *event_of(const moon_dataset *d, size_t example) {
  return &d->log->events[d->examples.event[example]];
}

/* Every event is either known or of the judged part, in the log's order. */
static void known_are_all_others(const moon_dataset *d) {
  size_t k = 0;
  for (size_t i = 0; i < d->log->n; i++) {
    if (d->event_part[i] == d->judged) continue;
    assert_true(k < d->known_n);
    assert_int_equal(d->known[k++].row, d->log->events[i].row);
  }
  assert_int_equal(k, d->known_n);
}

/* ---- leave one out */

static void a_users_last_example_tests_and_the_one_before_validates(void **state) {
  (void)state;
  char *folder = shoplet_make(300);
  moon_dataset *d = parted(folder, "{\"by\":\"leave_one_out\"}", 1);
  size_t users = moon_dict_count(d->log->users), tests = 0;
  for (size_t u = 0; u < users; u++) {
    size_t n = 0, after = 0;
    for (size_t i = 0; i < d->examples.n; i++) n += event_of(d, i)->user == u;
    for (size_t i = d->examples.n; i--;) {
      if (event_of(d, i)->user != u) continue;
      assert_int_equal(d->part[i], n < 3 || after > 1 ? MOON_TRAIN : after ? MOON_VALIDATION : MOON_TEST);
      after++;
    }
    tests += n >= 3;
  }
  assert_true(tests > 5);
  assert_int_equal(d->part_n[MOON_TEST], tests);
  assert_int_equal(d->part_n[MOON_VALIDATION], tests);
  for (size_t i = 0; i < d->log->n; i++) /* nothing that a user did from the held-out example on is known */
    for (size_t k = 0; k < d->examples.n; k++)
      if (d->log->events[i].user == event_of(d, k)->user && d->examples.event[k] <= i)
        assert_true(d->event_part[i] >= d->part[k]);
  known_are_all_others(d);
  assert_int_equal(moon_state_events(d->state_then), d->known_n);
  moon_dataset_free(d);
  shoplet_remove(folder);
}

/* A search judges on the validation part, and knows nothing of the test part. */
static void a_spared_test_part_is_neither_judged_nor_known(void **state) {
  (void)state;
  static const char *const splits[] = {"{\"by\":\"time\",\"parts\":[0.7,0.2,0.1]}", "{\"by\":\"random\",\"parts\":[0.7,0.2,0.1]}",
                                       "{\"by\":\"user\",\"parts\":[0.4,0.3,0.3]}", "{\"by\":\"leave_one_out\"}"};
  char *folder = shoplet_make(300);
  for (size_t k = 0; k < 4; k++) {
    json_t *plan = shoplet_json();
    moon_dataset *d, *open = parted(folder, splits[k], 1);
    json_object_set_new(json_object_get(plan, "train"), "split", json_loads(splits[k], 0, NULL));
    json_object_set_new(json_object_get(plan, "train"), "seed", json_integer(1));
    const moon_dataset_options options = {.data_dir = folder, .spare_test = true};
    OK(moon_dataset_new(plan, &options, &d));
    assert_int_equal(open->judged, MOON_TEST);
    assert_int_equal(d->judged, MOON_VALIDATION);
    assert_true(d->part_n[MOON_VALIDATION] > 0 && d->part_n[MOON_TEST] > 0);
    assert_memory_equal(d->part, open->part, d->examples.n);
    assert_true(d->known_n > 0 && d->known_n < open->known_n);
    for (size_t i = 0; i < d->known_n; i++)
      for (size_t e = 0; e < d->log->n; e++)
        if (d->log->events[e].row == d->known[i].row) assert_int_equal(d->event_part[e], MOON_TRAIN);
    assert_int_equal(moon_state_events(d->state_then), d->known_n);
    moon_dataset_free(d);
    moon_dataset_free(open);
    json_decref(plan);
  }
  shoplet_remove(folder);
}

static void users_with_two_examples_train_only(void **state) {
  (void)state;
  char *folder = shoplet_make(100);
  moon_buf text = {0};
  moon_buf_puts(&text, "user,item,event,time\n");
  for (int i = 0; i < 20; i++)
    moon_buf_printf(&text, "u1,i%d,view,%d\nu1,i%d,purchase,%d\n", i % 9, 1700000000 + 100 * i, i % 9 + i % 2,
                    1700000001 + 100 * i);
  moon_buf_puts(&text, "u2,i1,view,1700000005\nu2,i2,view,1700000006\nu3,i1,view,1700000007\nu3,i1,purchase,1700009999\n");
  shoplet_file(folder, "events.csv", text.data);
  moon_dataset *d = parted(folder, "{\"by\":\"leave_one_out\"}", 1);
  assert_int_equal(d->part_n[MOON_TEST], 1);
  assert_int_equal(d->part_n[MOON_VALIDATION], 1);
  for (size_t i = 0; i < d->examples.n; i++)
    if (strcmp(moon_dict_text(d->log->users, event_of(d, i)->user), "u1")) assert_int_equal(d->part[i], MOON_TRAIN);
  moon_dataset_free(d);
  moon_buf_free(&text);
  shoplet_remove(folder);
}

/* ---- ratio */

/* RecBole's counts: the shares rounded down, but one where that is none, the last part first, while two are left to train. */
static void each_users_examples_are_cut_by_the_ratio(void **state) {
  (void)state;
  char *folder = shoplet_make(400);
  static const char split[] = "{\"by\":\"ratio\",\"parts\":[0.8,0.1,0.1]}";
  moon_dataset *a = parted(folder, split, 1), *again = parted(folder, split, 1), *other = parted(folder, split, 2);
  assert_memory_equal(a->part, again->part, a->examples.n);
  assert_memory_not_equal(a->part, other->part, a->examples.n);
  for (size_t u = 0; u < moon_dict_count(a->log->users); u++) {
    size_t n = 0, of[MOON_PARTS] = {0};
    for (size_t i = 0; i < a->examples.n; i++)
      if (event_of(a, i)->user == u) n++, of[a->part[i]]++;
    size_t held = n / 10, test = held ? held : n > 1, valid = held ? held : n - test > 1;
    assert_int_equal(of[MOON_TEST], test);
    assert_int_equal(of[MOON_VALIDATION], valid);
  }
  known_are_all_others(a);
  moon_dataset_free(a);
  moon_dataset_free(again);
  moon_dataset_free(other);
  shoplet_remove(folder);
}

/* ---- by user */

static void a_user_is_on_one_side_whatever_else_changes(void **state) {
  (void)state;
  char *folder = shoplet_make(400), *other = shoplet_make(150);
  static const char split[] = "{\"by\":\"user\",\"parts\":[0.5,0.2,0.3]}";
  moon_dataset *a = parted(folder, split, 1), *b = parted(folder, split, 2), *c = parted(other, split, 3);
  assert_memory_equal(a->part, b->part, a->examples.n);
  uint8_t part[12];
  for (size_t i = 0; i < a->log->n; i++) part[atoi(moon_dict_text(a->log->users, a->log->events[i].user) + 1)] = a->event_part[i];
  for (size_t i = 0; i < a->log->n; i++) /* of a user, all */
    assert_int_equal(a->event_part[i], part[atoi(moon_dict_text(a->log->users, a->log->events[i].user) + 1)]);
  for (size_t i = 0; i < c->log->n; i++) /* in another log too */
    assert_int_equal(c->event_part[i], part[atoi(moon_dict_text(c->log->users, c->log->events[i].user) + 1)]);
  for (size_t i = 0; i < a->examples.n; i++) assert_int_equal(a->part[i], a->event_part[a->examples.event[i]]);
  static const uint8_t stable[12] = {2, 0, 0, 0, 1, 0, 2, 0, 0, 0, 0, 0}; /* and on any machine */
  assert_memory_equal(part, stable, 12);
  known_are_all_others(a);
  for (uint32_t u = 0; u < 12; u++) { /* who does not train is in no vocabulary */
    char id[8];
    snprintf(id, sizeof id, "u%u", u);
    assert_int_equal(moon_vocab_find(a->vocabs[0], id, strlen(id)) != 0, part[u] == MOON_TRAIN);
  }
  moon_dataset_free(a);
  moon_dataset_free(b);
  moon_dataset_free(c);
  shoplet_remove(folder);
  shoplet_remove(other);
}

static void shares_of_users_are_as_asked(void **state) {
  (void)state;
  char *folder = shoplet_make(50);
  moon_buf text = {0};
  moon_buf_puts(&text, "user,item,event,time\n");
  for (int i = 0; i < 6000; i++)
    moon_buf_printf(&text, "user-%d,i%d,view,%d\nuser-%d,i%d,purchase,%d\n", i, i % 9, 1700000000 + i, i, i % 9 + i % 2,
                    1700000000 + i);
  shoplet_file(folder, "events.csv", text.data);
  moon_dataset *d = parted(folder, "{\"by\":\"user\",\"parts\":[0.6,0.3,0.1]}", 1);
  for (int part = 0; part < MOON_PARTS; part++)
    NEAR((double)d->part_n[part] / 6000, part == 0 ? 0.6 : part == 1 ? 0.3 : 0.1, 0.02);
  moon_dataset_free(d);
  moon_buf_free(&text);
  shoplet_remove(folder);
}

static void unknown_splits_name_the_nearest(void **state) {
  (void)state;
  char *folder = shoplet_make(50);
  static const char *const cases[][2] = {
      {"{\"by\":\"usr\",\"parts\":[0.8,0.1,0.1]}", "there is no split by 'usr'; did you mean 'user'?"},
      {"{\"by\":\"zebra\",\"parts\":[0.8,0.1,0.1]}", "there is no split by 'zebra'"},
      {"{\"by\":\"user\"}", "does not parse"},
      {"{\"parts\":[0.8,0.1,0.1]}", "does not parse"},
      {"{\"by\":\"user\",\"parts\":[1e-9,0.5,0.5]}", "no example to train on"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    json_t *plan = shoplet_json();
    json_object_set_new(json_object_get(plan, "train"), "split", json_loads(cases[i][0], 0, NULL));
    moon_dataset *d;
    REFUSED(MOON_EINVAL, cases[i][1], shoplet_dataset(folder, plan, &d));
    json_decref(plan);
  }
  shoplet_remove(folder);
}

/* ---- negatives by popularity */

static moon_status sampled(const char *folder, const char *sampling, int each, moon_dataset **out) {
  json_t *plan = shoplet_json(), *label = json_object_get(plan, "label");
  json_object_set_new(label, "negatives", json_integer(each));
  if (sampling) json_object_set_new(label, "sampling", json_loads(sampling, 0, NULL));
  moon_status status = shoplet_dataset(folder, plan, out);
  json_decref(plan);
  return status;
}

/* For a positive with item p, item i is drawn with weight(i) / (sum of weights but p's). */
static void popular_items_are_drawn_as_often_as_their_power_says(void **state) {
  (void)state;
  char *folder = shoplet_make(400);
  for (int round = 0; round < 3; round++) {
    static const char *const samplings[] = {"{\"by\":\"popularity\",\"power\":0.75}", "{\"by\":\"popularity\",\"power\":2}",
                                            "{\"by\":\"uniform\"}"};
    static const double powers[] = {0.75, 2, 0};
    double count[10] = {0}, weight[10], all = 0, want[10] = {0}, got[10] = {0};
    moon_dataset *plain, *d;
    OK(sampled(folder, NULL, 0, &plain));
    OK(sampled(folder, samplings[round], 200, &d));
    for (size_t i = 0; i < plain->examples.n; i++) count[event_of(plain, i)->item] += plain->part[i] == MOON_TRAIN;
    for (int i = 0; i < 10; i++) all += weight[i] = round == 2 ? 1 : count[i] > 0 ? pow(count[i], powers[round]) : 0;
    for (size_t i = 0; i < plain->examples.n; i++) {
      uint32_t own = event_of(plain, i)->item;
      for (uint32_t k = 0; k < 10; k++)
        if (k != own && plain->part[i] == MOON_TRAIN && plain->examples.label[i] > 0)
          want[k] += 200 * weight[k] / (all - weight[own]);
    }
    for (size_t i = 0; i < d->examples.n; i++) {
      bool drawn = d->examples.item[i] != event_of(d, i)->item;
      got[d->examples.item[i]] += drawn;
      assert_true(!drawn || (d->examples.label[i] == 0 && d->part[i] == MOON_TRAIN));
    }
    for (int i = 0; i < 10; i++) assert_true(fabs(got[i] - want[i]) <= 5 * sqrt(want[i]) + (want[i] == 0 ? 0 : 1));
    assert_int_equal(d->examples.n, plain->examples.n + d->negatives);
    moon_dataset_free(plain);
    moon_dataset_free(d);
  }
  shoplet_remove(folder);
}

/* Each other success of the batch is as likely, and nothing else comes up. */
static void negatives_by_batch_are_the_others_successes(void **state) {
  (void)state;
  enum { BATCH = 7, EACH = 300 };
  char *folder = shoplet_make(400);
  json_t *plan = shoplet_json();
  moon_dataset *plain, *d;
  json_object_set_new(json_object_get(plan, "train"), "batch", json_integer(BATCH));
  OK(shoplet_dataset(folder, plan, &plain));
  json_object_set_new(json_object_get(plan, "label"), "negatives", json_integer(EACH));
  json_object_set_new(json_object_get(plan, "label"), "sampling", json_loads("{\"by\":\"batch\"}", 0, NULL));
  OK(shoplet_dataset(folder, plan, &d));
  uint32_t items[400];
  size_t n = 0, at = 0, nth = 0;
  for (size_t i = 0; i < plain->examples.n; i++)
    if (plain->part[i] == MOON_TRAIN && plain->examples.label[i] > 0) items[n++] = event_of(plain, i)->item;
  assert_true(n > 3 * BATCH && d->negatives == n * EACH);
  for (size_t i = 0; i < plain->examples.n; i++) {
    double got[10] = {0}, want[10] = {0}, all = 0;
    assert_int_equal(d->examples.item[at], event_of(plain, i)->item);
    assert_true(d->examples.label[at] == plain->examples.label[i] && d->part[at] == plain->part[i]);
    at++;
    if (plain->part[i] != MOON_TRAIN || plain->examples.label[i] == 0) continue;
    size_t from = nth / BATCH * BATCH, until = from + BATCH < n ? from + BATCH : n;
    for (size_t k = from; k < until; k++) all += items[k] != items[nth];
    for (size_t k = from; k < until; k++) want[items[k]] += items[k] != items[nth] ? EACH / all : 0;
    for (size_t k = 0; k < EACH; k++, at++) {
      got[d->examples.item[at]]++;
      assert_true(d->examples.label[at] == 0 && d->part[at] == MOON_TRAIN && d->examples.event[at] == plain->examples.event[i]);
    }
    for (uint32_t item = 0; item < 10; item++) {
      if (all > 0) assert_true(fabs(got[item] - want[item]) <= 5 * sqrt(want[item]));
      else assert_true(item != items[nth] || got[item] == 0);
    }
    nth++;
  }
  assert_int_equal(at, d->examples.n);
  moon_dataset_free(plain);
  moon_dataset_free(d);
  json_object_set_new(json_object_get(plan, "train"), "batch", json_integer(1));
  REFUSED(MOON_EINVAL, "a training batch of 2 or more, not 1", shoplet_dataset(folder, plan, &d));
  json_decref(plan);
  shoplet_remove(folder);
}

static void an_item_alone_in_training_is_set_against_any(void **state) {
  (void)state;
  char *folder = shoplet_make(20);
  shoplet_file(
      folder, "events.csv",
      "user,item,event,time\nu1,i3,view,1700000000\nu1,i3,purchase,1700000001\nu2,i3,view,1700000002\nu2,i3,purchase,1700000003\n"
      "u3,i3,view,1700000004\nu4,i3,view,1700000005\nu5,i3,view,1700000006\n");
  moon_dataset *d;
  static const char *const samplings[] = {"{\"by\":\"popularity\",\"power\":0.75}", "{\"by\":\"batch\"}"};
  for (size_t way = 0; way < 2; way++) {
    OK(sampled(folder, samplings[way], 50, &d));
    size_t drawn = 0;
    for (size_t i = 0; i < d->examples.n; i++) drawn += d->examples.item[i] != 3;
    assert_int_equal(drawn, d->negatives);
    moon_dataset_free(d);
  }
  shoplet_remove(folder);
}

static void unknown_samplings_are_refused(void **state) {
  (void)state;
  char *folder = shoplet_make(50);
  static const char *const cases[][2] = {{"{\"by\":\"fame\"}", "not by 'fame'"},
                                         {"{}", "not by '?'"},
                                         {"{\"by\":\"popularity\"}", "power of popularity"},
                                         {"{\"by\":\"popularity\",\"power\":-1}", "power of popularity"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    moon_dataset *d;
    REFUSED(MOON_EINVAL, cases[i][1], sampled(folder, cases[i][0], 2, &d));
  }
  shoplet_remove(folder);
}

/* ---- both without memory */

static void failing_allocations_leave_nothing_behind(void **state) {
  (void)state;
  json_t *plan = shoplet_json();
  char *folder = shoplet_make(40);
  json_object_set_new(json_object_get(plan, "train"), "split", json_loads("{\"by\":\"leave_one_out\"}", 0, NULL));
  json_object_set_new(json_object_get(plan, "label"), "negatives", json_integer(2));
  json_object_set_new(json_object_get(plan, "label"), "sampling", json_loads("{\"by\":\"batch\"}", 0, NULL));
  moon_dataset *d = NULL;
  bool failed = false;
  for (size_t n = 1; !d && n < 100000; n += n < 60 ? 7 : 1) {
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

/* ---- the report */

static void the_report_counts_what_was_read_and_dropped(void **state) {
  (void)state;
  char *folder = shoplet_make(20);
  shoplet_file(
      folder, "events.csv",
      "user,item,event,time\nu1,i3,view,1700000000\n,i3,view,1700000001\nu1,i3,purchase,1700000002\nu2,i4,view,1700000003\n");
  moon_dataset *d = parted(folder, "{\"by\":\"time\",\"parts\":[1,0,0]}", 1);
  json_t *whole = moon_dataset_report(d, true), *counts = moon_dataset_report(d, false);
  char *text = json_dumps(whole, JSON_SORT_KEYS | JSON_COMPACT), *bare = json_dumps(counts, JSON_SORT_KEYS | JSON_COMPACT);
  assert_string_equal(
      text,
      "{\"events\":{\"malformed\":0,\"reasons\":{},\"rows\":4},\"items\":{\"malformed\":0,\"reasons\":{},\"rows\":10},"
      "\"log\":{\"after_gap\":0,\"before_1970\":0,\"duplicates\":0,\"out_of_order\":0},\"rules\":[{\"after\":3,\"before\":4,"
      "\"dropped\":[\"user=-, item=i3, event=view, time=2023-11-14T22:13:21Z\"],\"rule\":\"drop_missing (r:3)\",\"why\":\"1 "
      "without user\"}]}");
  assert_string_equal(
      bare,
      "{\"events\":{\"malformed\":0,\"reasons\":{},\"rows\":4},\"items\":{\"malformed\":0,\"reasons\":{},\"rows\":10},"
      "\"log\":{\"after_gap\":0,\"before_1970\":0,\"duplicates\":0,\"out_of_order\":0},\"rules\":[{\"after\":3,\"before\":4,"
      "\"rule\":\"drop_missing (r:3)\",\"why\":\"1 without user\"}]}");
  free(text), free(bare);
  json_decref(whole), json_decref(counts);
  moon_dataset_free(d);
  shoplet_remove(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_users_last_example_tests_and_the_one_before_validates),
      cmocka_unit_test(a_spared_test_part_is_neither_judged_nor_known),
      cmocka_unit_test(users_with_two_examples_train_only),
      cmocka_unit_test(each_users_examples_are_cut_by_the_ratio),
      cmocka_unit_test(a_user_is_on_one_side_whatever_else_changes),
      cmocka_unit_test(shares_of_users_are_as_asked),
      cmocka_unit_test(unknown_splits_name_the_nearest),
      cmocka_unit_test(popular_items_are_drawn_as_often_as_their_power_says),
      cmocka_unit_test(an_item_alone_in_training_is_set_against_any),
      cmocka_unit_test(negatives_by_batch_are_the_others_successes),
      cmocka_unit_test(unknown_samplings_are_refused),
      cmocka_unit_test(failing_allocations_leave_nothing_behind),
      cmocka_unit_test(the_report_counts_what_was_read_and_dropped),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Labels: which events are examples and whether a success follows, against looking at every pair of events. */
#include "unit/tables.h"

typedef struct shop {
  moon_catalogue *catalogue;
  moon_log *log;
} shop;

static shop shop_of(const char *text, const char *words) {
  shop s;
  OK(moon_catalogue_new(NULL, &s.catalogue));
  OK(moon_log_new(table_of(text, words), s.catalogue, &s.log));
  return s;
}
static void shop_free(shop s) {
  moon_log_free(s.log);
  moon_catalogue_free(s.catalogue);
}
static moon_status label(const char *text, const moon_log *log, moon_examples *out) {
  json_t *json = json_of(text);
  moon_status status = moon_label(json, log, out);
  json_decref(json);
  return status;
}

/* expected: "0+ 2- 3+": the examples' events and labels. */
static void check_labels(const char *how, const moon_log *log, const char *expected) {
  moon_examples examples;
  moon_buf got = {0};
  OK(label(how, log, &examples));
  for (size_t i = 0; i < examples.n; i++)
    moon_buf_printf(&got, "%s%u%c", i ? " " : "", examples.event[i],
                    examples.label[i] == 1   ? '+'
                    : examples.label[i] == 0 ? '-'
                                             : '?');
  assert_string_equal(got.data, expected);
  moon_buf_free(&got);
  moon_examples_free(&examples);
}

static const char by_purchase[] = "{'positive':['purchase'],'of':['view'],'within_us':10000000}"; /* ten seconds */

static void a_success_is_the_same_users_on_the_same_item(void **state) {
  (void)state;
  shop s =
      shop_of("user,item,event,time\na,x,view,1\na,y,view,1\nb,x,view,1\na,x,cart,2\na,x,purchase,5\n", "user,item,event,time");
  check_labels(by_purchase, s.log, "0+ 1- 2-");
  shop_free(s);
}

static void within_includes_its_last_moment(void **state) {
  (void)state;
  shop s = shop_of("user,item,event,time\na,x,view,0\na,x,view,1\na,y,view,0.999999\na,x,purchase,11\na,y,purchase,11\n",
                   "user,item,event,time:time_s");
  check_labels(by_purchase, s.log, "0- 1- 2+"); /* sorted: x at 0, y at 0.999999, x at 1 */
  check_labels("{'positive':['purchase'],'of':['view'],'within_us':10000001}", s.log, "0- 1+ 2+");
  check_labels("{'positive':['purchase'],'of':['view'],'within_us':11000000}", s.log, "0+ 1+ 2+");
  check_labels("{'positive':['purchase'],'of':['view'],'within_us':0}", s.log, "0- 1- 2-");
  shop_free(s);
}

/* At the same time the log's order decides: what stands after the view follows it. */
static void ties_go_by_the_order_of_the_log(void **state) {
  (void)state;
  shop s = shop_of("user,item,event,time\na,x,view,5\na,x,purchase,5\na,x,view,5\n", "user,item,event,time");
  check_labels(by_purchase, s.log, "0+ 2-");
  check_labels("{'positive':['purchase'],'of':['view'],'within_us':0}", s.log, "0+ 2-");
  shop_free(s);
}

static void the_next_success_counts_not_a_later_one(void **state) {
  (void)state;
  shop s = shop_of("user,item,event,time\na,x,purchase,1\na,x,view,2\na,x,purchase,5\na,x,purchase,100\na,x,view,101\n",
                   "user,item,event,time");
  check_labels(by_purchase, s.log, "1+ 4-");
  shop_free(s);
}

static void an_example_may_be_its_own_success(void **state) {
  (void)state;
  shop s = shop_of("user,item,event,time\na,x,view,1\na,y,purchase,2\na,z,cart,3\n", "user,item,event,time");
  check_labels("{'positive':['purchase','cart'],'of':['view','purchase'],'within_us':1}", s.log, "0- 1+");
  shop_free(s);
}

static void times_at_the_ends_of_their_range(void **state) {
  (void)state;
  shop s = shop_of("user,item,event,time\na,x,view,-9223372036854775807\na,x,purchase,9223372036854775807\n",
                   "user,item,event,time:time_us");
  check_labels(by_purchase, s.log, "0-");
  check_labels("{'positive':['purchase'],'of':['view'],'within_us':9223372036854775807}", s.log, "0-");
  shop_free(s);
}

static void columns_give_labels(void **state) {
  (void)state;
  shop s = shop_of("user,item,time,rating\na,x,1,4\na,y,2,3.9\na,z,3,\nb,x,4,5\n", "user,item,time,rating");
  check_labels("{'column':'rating','at_least':4}", s.log, "0+ 1- 3+");
  check_labels("{'column':'rating','at_least':3.95}", s.log, "0+ 1- 3+");
  check_labels("{'column':'rating','at_least':6}", s.log, "0- 1- 3-");
  shop_free(s);
}

static void refusals_say_where(void **state) {
  (void)state;
  static const struct {
    const char *how;
    moon_code code;
    const char *message;
  } cases[] = {{"{'positive':['pruchase'],'of':['view'],'within_us':1,'where':'recipe.lua:7'}", MOON_ENOTFOUND,
                "recipe.lua:7: label: positive: no event is of the kind 'pruchase'; did you mean 'purchase'?"},
               {"{'positive':['purchase'],'of':['zebra'],'within_us':1}", MOON_ENOTFOUND,
                "recipe: label: of: no event is of the kind 'zebra'"},
               {"{'positive':[],'of':['view'],'within_us':1}", MOON_EINVAL, "positive names no kind of event"},
               {"{'positive':['purchase'],'within_us':1}", MOON_EINVAL, "of names no kind of event"},
               {"{'positive':[3],'of':['view'],'within_us':1}", MOON_ENOTFOUND, "positive: no event is of the kind '?'"},
               {"{'positive':['purchase'],'of':['view']}", MOON_EINVAL, "within must be a duration"},
               {"{'positive':['purchase'],'of':['view'],'within_us':-1}", MOON_EINVAL, "within must be a duration"},
               {"{'positive':['purchase'],'of':['view'],'within_us':'24h'}", MOON_EINVAL, "within must be a duration"},
               {"{'column':'ratng','at_least':1}", MOON_ENOTFOUND, "t.csv has no column 'ratng'; did you mean 'rating'?"},
               {"{'column':'user','at_least':1}", MOON_EINVAL, "column user holds strings"},
               {"{'column':'rating'}", MOON_EINVAL, "at_least must be a number"},
               {"{'column':'rating','at_least':'4'}", MOON_EINVAL, "at_least must be a number"},
               {"{'column':'rating','at_least':1}", MOON_EINVAL, "not one event is an example"},
               {"{}", MOON_EINVAL, "within must be"}};
  shop s = shop_of("user,item,event,time,rating\na,x,view,1,\na,x,purchase,2,\n", "user,item,event,time,rating:number");
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    moon_examples examples;
    REFUSED(cases[i].code, cases[i].message, label(cases[i].how, s.log, &examples));
    assert_null(examples.event);
    assert_int_equal(examples.n, 0);
  }
  shop_free(s);
  s = shop_of("user,item,event,time\n", "user,item,event,time");
  moon_examples examples;
  REFUSED(MOON_EINVAL, "there are no events: t.csv has none", label(by_purchase, s.log, &examples));
  REFUSED(MOON_EINVAL, "there are no events: t.csv has none", label("{'column':'rating','at_least':1}", s.log, &examples));
  shop_free(s);
}

static void labels_agree_with_looking_at_every_pair(void **state) {
  (void)state;
  static const char *const kinds[] = {"view", "click", "cart", "purchase"};
  moon_rng rng;
  moon_rng_seed(&rng, 61, 0);
  for (int round = 0; round < 300; round++) {
    moon_buf text = {0};
    moon_buf_puts(&text, "user,item,event,time\n");
    size_t n = 4 + moon_rng_below(&rng, 120);
    for (size_t i = 0; i < n; i++) /* every kind at least once; crowded, so that ties are common */
      moon_buf_printf(&text, "u%u,i%u,%s,%u\n", moon_rng_below(&rng, 3), moon_rng_below(&rng, 3),
                      kinds[i < 4 ? i : moon_rng_below(&rng, 4)], moon_rng_below(&rng, 40));
    shop s = shop_of(text.data, "user,item,event,time:time_us");
    unsigned of = 1 + moon_rng_below(&rng, 15), positive = 1 + moon_rng_below(&rng, 15), within = moon_rng_below(&rng, 20);
    moon_buf how = {0};
    for (int list = 0; list < 2; list++) {
      moon_buf_puts(&how, list ? "],'of':[" : "{'positive':[");
      for (unsigned k = 0, any = 0; k < 4; k++)
        if ((list ? of : positive) >> k & 1) moon_buf_printf(&how, "%s'%s'", any++ ? "," : "", kinds[k]);
    }
    moon_buf_printf(&how, "],'within_us':%u}", within);
    moon_buf expected = {0};
    for (size_t i = 0; i < n; i++) {
      const moon_event *a = &s.log->events[i];
      bool good = false, counts = false;
      for (unsigned k = 0; k < 4; k++) counts |= of >> k & 1 && !strcmp(moon_dict_text(s.log->kinds, a->kind), kinds[k]);
      for (size_t j = i; j < n; j++) {
        const moon_event *b = &s.log->events[j];
        for (unsigned k = 0; k < 4; k++)
          good |= a->user == b->user && a->item == b->item && b->time - a->time <= within && positive >> k & 1 &&
                  !strcmp(moon_dict_text(s.log->kinds, b->kind), kinds[k]);
      }
      if (counts) moon_buf_printf(&expected, "%s%zu%c", expected.n ? " " : "", i, good ? '+' : '-');
    }
    check_labels(how.data, s.log, expected.data);
    shop_free(s);
    moon_buf_free(&text), moon_buf_free(&how), moon_buf_free(&expected);
  }
}

static moon_status label_all(void *self) {
  moon_examples examples;
  json_t *json = json_of(by_purchase);
  moon_status status = moon_label(json, self, &examples);
  json_decref(json);
  if (!status.code) moon_examples_free(&examples);
  return status;
}

static void labels_survive_no_memory(void **state) {
  (void)state;
  shop s = shop_of("user,item,event,time\na,x,view,1\na,x,purchase,2\n", "user,item,event,time");
  assert_true(exhaust(label_all, s.log) >= 6);
  shop_free(s);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(a_success_is_the_same_users_on_the_same_item),
                                     cmocka_unit_test(within_includes_its_last_moment),
                                     cmocka_unit_test(ties_go_by_the_order_of_the_log),
                                     cmocka_unit_test(the_next_success_counts_not_a_later_one),
                                     cmocka_unit_test(an_example_may_be_its_own_success),
                                     cmocka_unit_test(times_at_the_ends_of_their_range),
                                     cmocka_unit_test(columns_give_labels),
                                     cmocka_unit_test(refusals_say_where),
                                     cmocka_unit_test(labels_agree_with_looking_at_every_pair),
                                     cmocka_unit_test(labels_survive_no_memory)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_serve_events.c - posted events: what is taken, that everything wrong is named, and that a request counts whole or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <jansson.h>

#include "serve/events.h"

#define NOW (INT64_C(1760000000) * MOON_SECOND)

static moon_catalogue *catalogue;

static int setup(void **state) {
  (void)state;
  moon_table *table;
  moon_column *ids;
  if (moon_table_new("items", &table).code || moon_table_add_column(table, "item", MOON_STRING, &ids).code) return 1;
  for (int i = 0; i < 5; i++) {
    char id[8];
    int n = snprintf(id, sizeof id, "i%d", i);
    if (moon_column_push_string(ids, id, (size_t)n).code) return 1;
    table->rows++;
  }
  return moon_catalogue_new(table, &catalogue).code != MOON_OK;
}

static int teardown(void **state) {
  (void)state;
  moon_catalogue_free(catalogue);
  return 0;
}

static void assert_taken(const char *body, size_t count, moon_event_batch *batch) {
  moon_buf problems = {0};
  size_t before = batch->n;
  moon_status status = moon_events_parse(body, strlen(body), catalogue, NOW, batch, &problems);
  if (status.code) fail_msg("%s: %s %s", body, status.message, problems.data);
  assert_int_equal(batch->n - before, count);
  moon_buf_free(&problems);
}

/* The problems as JSON; the batch must be as it was. */
static json_t *refused(const char *body, moon_code code) {
  moon_event_batch batch = {0};
  moon_buf problems = {0};
  assert_taken("{\"user\":\"u\",\"item\":\"i1\",\"event\":\"view\"}", 1, &batch);
  moon_status status = moon_events_parse(body, strlen(body), catalogue, NOW, &batch, &problems);
  if (status.code != code) fail_msg("%.200s: %d %s", body, status.code, status.message);
  assert_int_equal(batch.n, 1);
  json_t *list = code == MOON_EINVAL ? json_loadb(problems.data, problems.n, 0, NULL) : json_array();
  assert_true(json_is_array(list));
  if (code == MOON_EINVAL) assert_true(json_array_size(list) == strtoul(status.message, NULL, 10) && json_array_size(list));
  moon_event_batch_free(&batch);
  moon_buf_free(&problems);
  return list;
}

static void the_three_shapes_are_taken(void **state) {
  (void)state;
  moon_event_batch batch = {0};
  assert_taken("{\"user\":\"u1\",\"item\":\"i2\",\"event\":\"view\"}", 1, &batch);
  assert_taken(
      "[{\"user\":\"u1\",\"item\":\"i3\",\"event\":\"cart\",\"time\":1760000000000001,\"id\":\"x\"},"
      "{\"user\":\"u2\",\"item\":\"i4\",\"event\":\"view\",\"time\":\"2025-10-09T08:53:21Z\"}]",
      2, &batch);
  assert_taken("{\"events\":[{\"user\":\"u\\u20ac\",\"item\":\"i0\",\"event\":\"view\"}]}", 1, &batch);
  assert_taken("[]", 0, &batch);
  assert_taken(" {\"events\":[]} ", 0, &batch);
  const moon_log_event *e = batch.events;
  assert_int_equal(e[0].item_row, 2);
  assert_true(e[0].time == NOW && !e[0].id && !strcmp(e[0].user, "u1") && !strcmp(e[0].kind, "view"));
  assert_true(e[1].time == NOW + 1 && !strcmp(e[1].id, "x") && e[1].item_row == 3);
  assert_true(e[2].time == NOW + MOON_SECOND);
  assert_string_equal(e[3].user, "u\xe2\x82\xac");
  moon_event_batch_free(&batch);
}

static void what_is_no_list_of_events_is_refused(void **state) {
  (void)state;
  static const char *const bad[] = {"",
                                    "{",
                                    "nonsense",
                                    "3",
                                    "\"x\"",
                                    "null",
                                    "{\"events\":3}",
                                    "{\"events\":[],\"more\":1}",
                                    "[] []",
                                    "{\"user\":\"a\",\"user\":\"b\",\"item\":\"i1\",\"event\":\"v\"}",
                                    "{\"user\":\"\\u0000\"}",
                                    "[\"\xff\"]"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) json_decref(refused(bad[i], MOON_EFORMAT));
}

static void assert_problem(const char *body, size_t at, int index, const char *field, const char *says) {
  json_t *list = refused(body, MOON_EINVAL), *problem = json_array_get(list, at);
  const char *name = json_string_value(json_object_get(problem, "field")),
             *message = json_string_value(json_object_get(problem, "message"));
  if (!message || json_integer_value(json_object_get(problem, "index")) != index ||
      (field ? !name || strcmp(name, field) : name != NULL) || !strstr(message, says)) {
    char *text = json_dumps(list, 0);
    fail_msg("%s\n-> %s", body, text);
  }
  json_decref(list);
}
#define EVENT(more) "{\"user\":\"u\",\"item\":\"i1\",\"event\":\"view\"" more "}"

static void each_problem_is_named(void **state) {
  (void)state;
  assert_problem("[" EVENT("") ",7]", 0, 1, NULL, "object");
  assert_problem("{}", 0, 0, "user", "missing");
  assert_problem("{}", 1, 0, "item", "missing");
  assert_problem("{}", 2, 0, "event", "missing");
  assert_problem("{\"user\":196,\"item\":\"i1\",\"event\":\"view\"}", 0, 0, "user", "string, not a whole number");
  assert_problem("{\"user\":\"\",\"item\":\"i1\",\"event\":\"view\"}", 0, 0, "user", "1 to 256");
  assert_problem("[" EVENT("") ",{\"user\":\"u\",\"item\":\"i9\",\"event\":\"view\"}]", 0, 1, "item", "no such item");
  assert_problem(EVENT(",\"tme\":1"), 0, 0, "tme", "did you mean time?");
  assert_problem(EVENT(",\"colour_of_the_page\":1"), 0, 0, "colour_of_the_page", "no such field");
  assert_problem(EVENT(",\"time\":1760000000"), 0, 0, "time", "microseconds");
  assert_problem(EVENT(",\"time\":1760000000000"), 0, 0, "time", "microseconds");
  assert_problem(EVENT(",\"time\":1760086400000001"), 0, 0, "time", "future");
  assert_problem(EVENT(",\"time\":1.5"), 0, 0, "time", "fraction");
  assert_problem(EVENT(",\"time\":\"yesterday\""), 0, 0, "time", "yesterday");
  assert_problem(EVENT(",\"id\":5"), 0, 0, "id", "string");
}

static void edges_of_time_and_length_are_taken(void **state) {
  (void)state;
  moon_event_batch batch = {0};
  char body[2000];
  assert_taken(EVENT(",\"time\":1760086400000000"), 1, &batch);
  assert_taken(EVENT(",\"time\":631152000000000"), 1, &batch);
  snprintf(body, sizeof body, "{\"user\":\"%0256d\",\"item\":\"i1\",\"event\":\"%064d\",\"id\":\"%0256d\"}", 0, 0, 0);
  assert_taken(body, 1, &batch);
  snprintf(body, sizeof body, "{\"user\":\"%0257d\",\"item\":\"i1\",\"event\":\"%065d\",\"id\":\"%0257d\"}", 0, 0, 0);
  json_t *list = refused(body, MOON_EINVAL);
  assert_int_equal(json_array_size(list), 3);
  assert_true(json_string_length(json_object_get(json_array_get(list, 0), "value")) < 120); /* long values are cut */
  json_decref(list);
  moon_event_batch_free(&batch);
}

static void a_thousand_are_taken_and_one_more_is_not(void **state) {
  (void)state;
  moon_event_batch batch = {0};
  moon_buf body = {0};
  moon_buf_puts(&body, "[" EVENT(""));
  for (int i = 1; i < MOON_EVENTS_MAX; i++) moon_buf_puts(&body, "," EVENT(""));
  size_t n = body.n;
  moon_buf_puts(&body, "]");
  assert_taken(body.data, MOON_EVENTS_MAX, &batch);
  body.n = n;
  moon_buf_puts(&body, "," EVENT("") "]");
  json_decref(refused(body.data, MOON_ELIMIT));
  moon_buf_free(&body);
  moon_event_batch_free(&batch);
}

static void broken_json_never_counts_in_part(void **state) {
  (void)state;
  const char fine[] = "[" EVENT(",\"time\":\"2025-10-09T08:53:21Z\"") "," EVENT(",\"id\":\"a\"") "]";
  moon_rng rng;
  moon_rng_seed(&rng, 11, 1);
  moon_event_batch batch = {0};
  for (int round = 0; round < 20000; round++) {
    char body[sizeof fine];
    memcpy(body, fine, sizeof fine);
    size_t n = sizeof fine - 1;
    for (uint32_t i = 0, changes = 1 + moon_rng_below(&rng, 3); i < changes; i++)
      body[moon_rng_below(&rng, (uint32_t)n)] = (char)moon_rng_u32(&rng);
    if (moon_rng_below(&rng, 5) == 0) n = moon_rng_below(&rng, (uint32_t)n);
    moon_buf problems = {0};
    moon_status status = moon_events_parse(body, n, catalogue, NOW, &batch, &problems);
    assert_true(status.code ? batch.n == 0 : batch.n <= 2);
    if (status.code == MOON_EINVAL) {
      json_t *list = json_loadb(problems.data, problems.n, 0, NULL);
      assert_true(json_is_array(list) && json_array_size(list) > 0);
      json_decref(list);
    }
    moon_buf_free(&problems);
    moon_event_batch_reset(&batch);
  }
  moon_event_batch_free(&batch);
}

static void no_memory_takes_nothing(void **state) {
  (void)state;
  const char body[] = "[" EVENT("") "," EVENT(",\"id\":\"a\"") "]";
  bool done = false;
  for (size_t n = 1; n < 50 && !done; n++) {
    moon_event_batch batch = {0};
    moon_buf problems = {0};
    moon_alloc_fail_at(n);
    moon_status status = moon_events_parse(body, sizeof body - 1, catalogue, NOW, &batch, &problems);
    moon_alloc_fail_at(0);
    if (status.code) assert_int_equal(status.code, MOON_ENOMEM);
    assert_int_equal(batch.n, status.code ? 0 : 2);
    done = !status.code;
    moon_event_batch_free(&batch);
    moon_buf_free(&problems);
  }
  assert_true(done);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_three_shapes_are_taken),
      cmocka_unit_test(what_is_no_list_of_events_is_refused),
      cmocka_unit_test(each_problem_is_named),
      cmocka_unit_test(edges_of_time_and_length_are_taken),
      cmocka_unit_test(a_thousand_are_taken_and_one_more_is_not),
      cmocka_unit_test(broken_json_never_counts_in_part),
      cmocka_unit_test(no_memory_takes_nothing),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}

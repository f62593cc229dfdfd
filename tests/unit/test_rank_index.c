/* test_rank_index.c - the index of a bundle: what is written opens and finds what looking at all finds, and whatever fails, be it memory or
 * a budget, leaves a folder that opens. */
#include <math.h>

#include "rank/bundle.h"
#include "shoplet.h"
#include "unit/exhaust.h"

typedef struct setup {
  json_t *plan;
  char *folder, *path;
} setup;

static void write_bundle(setup *s) {
  moon_dataset *d;
  moon_model *model;
  moon_similar *similar;
  static const moon_recipe_source source = {"-- recipe\n", 10, NULL, 0};
  json_t *metrics = json_object();
  OK(shoplet_dataset(s->folder, s->plan, &d));
  OK(shoplet_model(s->plan, d, 1, &model));
  OK(moon_model_compile(model));
  OK(moon_similar_new(d->log, d->log->n, moon_catalogue_rows(d->catalogue), NULL, NULL, &similar));
  OK(moon_bundle_write(s->path, &source, s->plan, d, model, similar, metrics));
  json_decref(metrics);
  moon_similar_free(similar);
  moon_model_free(model);
  moon_dataset_free(d);
}

static int up(void **state) {
  setup *s = calloc(1, sizeof *s);
  s->plan = shoplet_json();
  s->folder = shoplet_make(300);
  s->path = moon_path_join(s->folder, "bundle");
  write_bundle(s);
  *state = s;
  return 0;
}

static int down(void **state) {
  setup *s = *state;
  json_decref(s->plan);
  moon_free(s->path);
  shoplet_remove(s->folder);
  free(s);
  return 0;
}

static moon_status index_it(const setup *s, const moon_index_options *options, json_t **report) {
  moon_bundle *b;
  MOON_TRY(moon_bundle_open(s->path, &b));
  moon_status status = moon_bundle_index(b, options, report);
  moon_bundle_close(b);
  return status;
}

/* How many rows the folder's index has; -1 where it has none. It has to open. */
static int indexed(const setup *s) {
  moon_bundle *b;
  OK(moon_bundle_open(s->path, &b));
  int rows = b->index ? (int)moon_hnsw_count(b->index) : -1;
  moon_bundle_close(b);
  return rows;
}

static void an_index_has_the_listed_items_and_says_what_it_finds(void **state) {
  setup *s = *state;
  json_t *report = NULL, *line;
  size_t i;
  OK(index_it(s, &(moon_index_options){.queries = 4}, &report));
  assert_int_equal(json_integer_value(json_object_get(report, "items")), 9); /* i9 is out of stock */
  assert_int_equal(json_integer_value(json_object_get(report, "dim")), 4);
  assert_true(json_is_true(json_object_get(report, "written")) && json_integer_value(json_object_get(report, "memory_bytes")) > 0);
  assert_int_equal(json_array_size(json_object_get(report, "recall")), 5);
  json_array_foreach(json_object_get(report, "recall"), i, line) NEAR(json_number_value(json_object_get(line, "recall@10")), 1, 0);
  assert_int_equal(indexed(s), 9);
  json_decref(report);
}

static void fewer_items_than_asked_for_lose_the_index(void **state) {
  setup *s = *state;
  json_t *report = NULL;
  OK(index_it(s, &(moon_index_options){0}, &report));
  json_decref(report);
  assert_int_equal(indexed(s), 9);
  OK(index_it(s, &(moon_index_options){.least = 10}, &report));
  assert_true(json_is_false(json_object_get(report, "written")) && !json_object_get(report, "recall"));
  json_decref(report);
  assert_int_equal(indexed(s), -1);
}

static void what_cannot_be_indexed_is_refused_and_keeps_the_bundle(void **state) {
  setup *s = *state;
  json_t *report = NULL;
  REFUSED(MOON_EINVAL, "m must be from 2", index_it(s, &(moon_index_options){.m = 1}, &report));
  REFUSED(MOON_EINVAL, "ef_construction must be", index_it(s, &(moon_index_options){.ef_construction = 1000000}, &report));
  assert_null(report);
  assert_int_equal(indexed(s), -1);
  json_array_remove(json_object_get(s->plan, "features"), 1); /* m.id "item", and the history that leans on it */
  json_array_remove(json_object_get(s->plan, "features"), json_array_size(json_object_get(s->plan, "features")) - 1);
  write_bundle(s);
  REFUSED(MOON_EINVAL, "has no embeddings of items to index", index_it(s, &(moon_index_options){0}, &report));
}

static bool never(void *self, const char *stage, double fraction, const char *note) {
  (void)self, (void)stage, (void)fraction, (void)note;
  return false;
}

static void an_interruption_keeps_what_was_there(void **state) {
  setup *s = *state;
  const moon_progress progress = {.step = never};
  json_t *report = NULL;
  OK(index_it(s, &(moon_index_options){0}, &report));
  json_decref(report);
  report = NULL;
  REFUSED(MOON_ECANCELED, "stopped while building the index", index_it(s, &(moon_index_options){.progress = &progress}, &report));
  assert_null(report);
  assert_int_equal(indexed(s), 9);
}

typedef struct work {
  const setup *s;
  moon_bundle *bundle;
} work;

static moon_status index_open(void *self) {
  work *w = self;
  json_t *report = NULL;
  moon_status status = moon_bundle_index(w->bundle, &(moon_index_options){.queries = 3}, &report);
  assert_true(status.code ? !report : report != NULL);
  json_decref(report);
  return status;
}

static void failing_memory_leaks_nothing_and_leaves_a_folder_that_opens(void **state) {
  setup *s = *state;
  work w = {.s = s};
  OK(moon_bundle_open(s->path, &w.bundle));
  for (size_t n = 1;; n++) {
    moon_alloc_fail_at(n);
    moon_status status = index_open(&w);
    moon_alloc_fail_at(0);
    int rows = indexed(s); /* at every step */
    assert_true(rows == -1 || rows == 9);
    if (!status.code) {
      assert_true(n > 8 && rows == 9);
      break;
    }
    if (status.code != MOON_ENOMEM) fail_msg("allocation %zu: %s", n, status.message);
  }
  moon_bundle_close(w.bundle);
}

/* A budget with room for the bundle and no more: what is left of it is taken, in blocks that do not spill. The folder is where tests run: on a
 * disk, where /tmp may be memory. */
static void a_budget_that_is_spent_is_an_error_that_names_it(void **state) {
  setup *s = *state;
  moon_bundle *b;
  json_t *report = NULL;
  void *taken[400];
  size_t n = 0;
  OK(moon_bundle_open(s->path, &b));
  OK(moon_memory_limit((size_t)1 << 40, "."));
  size_t held = moon_memory_now().used;
  OK(moon_memory_limit(0, NULL));
  OK(moon_memory_limit((held + (1 << 20)) / 3 * 4, "."));
  for (size_t size = 1 << 19; size >= 16; size /= 2)
    while (n < 400 && (taken[n] = moon_alloc(size))) n++;
  assert_true(n < 400);
  moon_status status = moon_bundle_index(b, &(moon_index_options){0}, &report);
  while (n) moon_free(taken[--n]);
  OK(moon_memory_limit(0, NULL));
  if (status.code != MOON_ENOMEM || !strstr(status.message, "budget")) fail_msg("%s \"%s\"", moon_code_name(status.code), status.message);
  assert_null(report);
  moon_bundle_close(b);
  assert_int_equal(indexed(s), -1);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, up, down)
  const struct CMUnitTest tests[] = {
      CASE(an_index_has_the_listed_items_and_says_what_it_finds), CASE(fewer_items_than_asked_for_lose_the_index),
      CASE(what_cannot_be_indexed_is_refused_and_keeps_the_bundle), CASE(an_interruption_keeps_what_was_there),
      CASE(failing_memory_leaks_nothing_and_leaves_a_folder_that_opens), CASE(a_budget_that_is_spent_is_an_error_that_names_it),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

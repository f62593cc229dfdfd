/* test_rank_bundle.c - a bundle comes back as it was, the same training gives the same bytes, and no damage goes unseen; evaluation tells
 * the same numbers as plain counting. */
#include <dirent.h>

#include "shoplet.h"

typedef struct setup {
  json_t *plan, *metrics;
  char *folder, *path;
  moon_dataset *d;
  moon_model *model;
  moon_similar *similar;
} setup;

static const char recipe[] = "-- the source is kept as it is\n";

static moon_status write_to(const setup *s, const char *path) {
  static const moon_script required[] = {{"rules.lua", "return 1\n", 9}, {"deep/er/one.lua", "return 2\n", 9}};
  const moon_recipe_source source = {recipe, sizeof recipe - 1, required, 2};
  return moon_bundle_write(path, &source, s->plan, s->d, s->model, s->similar, s->metrics);
}

static int up(void **state) {
  setup *s = calloc(1, sizeof *s);
  moon_fit_report report;
  s->plan = shoplet_json();
  s->folder = shoplet_make(500);
  s->path = moon_path_join(s->folder, "bundle");
  OK(shoplet_dataset(s->folder, s->plan, &s->d));
  OK(shoplet_model(s->plan, s->d, 1, &s->model));
  OK(moon_fit(s->model, s->d, json_object_get(s->plan, "train"), NULL, &report));
  OK(moon_evaluate(s->model, s->d, json_object_get(s->plan, "evaluate"), 1, NULL, &s->metrics));
  OK(moon_similar_new(s->d->log, s->d->log->n, moon_catalogue_rows(s->d->catalogue), NULL, NULL, &s->similar));
  OK(write_to(s, s->path));
  *state = s;
  return 0;
}

static int down(void **state) {
  setup *s = *state;
  json_decref(s->metrics);
  json_decref(s->plan);
  moon_similar_free(s->similar);
  moon_model_free(s->model);
  moon_dataset_free(s->d);
  moon_free(s->path);
  shoplet_remove(s->folder);
  free(s);
  return 0;
}

static void what_was_written_scores_the_same(void **state) {
  setup *s = *state;
  moon_bundle *b;
  OK(moon_bundle_open(s->path, &b));
  assert_string_equal(b->name, "shoplet");
  uint32_t items[10], user, user_then;
  for (uint32_t i = 0; i < 10; i++) items[i] = i;
  OK(moon_state_user(b->state, "u3", 2, false, &user));
  OK(moon_state_user(s->d->state, "u3", 2, false, &user_then));
  moon_arena arena = {0};
  moon_inputs x, y;
  float a[10], c[10];
  int64_t now = moon_state_clock(b->state) + 5;
  OK(moon_inputs_alloc(b->feature_plan, &arena, 10, &x));
  OK(moon_inputs_alloc(s->d->plan, &arena, 10, &y));
  moon_features_compute(b->features, b->state, user, "u3", items, 10, now, &x);
  moon_features_compute(s->d->features, s->d->state, user_then, "u3", items, 10, now, &y);
  OK(moon_model_score(b->model, &x, 10, &arena, a));
  OK(moon_model_score(s->model, &y, 10, &arena, c));
  assert_memory_equal(a, c, sizeof a);
  size_t dim = 0;
  assert_non_null(moon_model_item_embedding(b->model, b->features, 1, &dim));
  assert_int_equal(dim, 4);
  moon_arena_free(&arena);
  moon_bundle_close(b);
}

static void a_bundle_scores_in_the_precision_of_its_plan(void **state) {
  setup *s = *state;
  json_t *train = json_object_get(s->plan, "train");
  moon_arena arena = {0};
  float want[64], got[64], full[64];
  OK(moon_model_score(s->model, &s->d->inputs, 64, &arena, full));
  for (moon_precision p = MOON_BF16; p <= MOON_INT8; p++) {
    moon_bundle *b;
    json_object_set_new(train, "precision", json_string(moon_precision_name(p)));
    OK(moon_model_set_precision(s->model, p));
    OK(moon_model_score(s->model, &s->d->inputs, 64, &arena, want));
    OK(write_to(s, s->path));
    OK(moon_bundle_open(s->path, &b));
    assert_int_equal(b->precision, p);
    OK(moon_model_score(b->model, &s->d->inputs, 64, &arena, got));
    assert_memory_equal(got, want, sizeof want);
    assert_memory_not_equal(got, full, sizeof full);
    moon_bundle_close(b);
  }
  moon_bundle *b;
  json_object_set_new(train, "precision", json_string("int4"));
  OK(write_to(s, s->path));
  REFUSED(MOON_EINVAL, "plan.json: there is no precision \"int4\"", moon_bundle_open(s->path, &b));
  moon_arena_free(&arena);
}

static void read_whole(const char *folder, const char *name, moon_buf *out) {
  char *path = moon_path_join(folder, name);
  moon_buf_reset(out);
  OK(moon_file_read(path, 0, out));
  moon_free(path);
}

/* All files, also those in folders, by their paths. */
static size_t list_below(const char *folder, const char *below, char names[16][64], size_t n) {
  char *inner = moon_path_join(folder, below);
  DIR *dir = opendir(*below ? inner : folder);
  assert_non_null(dir);
  for (struct dirent *e; (e = readdir(dir));) {
    char name[64];
    if (e->d_name[0] == '.') continue;
    assert_true(snprintf(name, sizeof name, "%s%s%s", below, *below ? "/" : "", e->d_name) < (int)sizeof name && n < 16);
    if (e->d_type == DT_DIR) n = list_below(folder, name, names, n);
    else strcpy(names[n++], name);
  }
  closedir(dir);
  moon_free(inner);
  return n;
}

static size_t list(const char *folder, char names[16][64]) { return list_below(folder, "", names, 0); }

static void writing_again_gives_the_same_bytes(void **state) {
  setup *s = *state;
  char *other = moon_path_join(s->folder, "other"), names[16][64];
  OK(write_to(s, other));
  size_t n = list(s->path, names);
  assert_int_equal(n, 11);
  moon_buf a = {0}, b = {0};
  for (size_t i = 0; i < n; i++) {
    read_whole(s->path, names[i], &a);
    read_whole(other, names[i], &b);
    assert_int_equal(a.n, b.n);
    assert_memory_equal(a.data, b.data, a.n);
  }
  moon_buf_free(&a);
  moon_buf_free(&b);
  moon_free(other);
}

static void what_the_recipe_required_is_kept(void **state) {
  setup *s = *state;
  moon_bundle *b;
  moon_buf text = {0};
  OK(moon_bundle_open(s->path, &b));
  OK(moon_bundle_script(b, NULL, &text));
  assert_string_equal(text.data, recipe);
  moon_buf_reset(&text);
  OK(moon_bundle_script(b, "deep/er/one.lua", &text));
  assert_string_equal(text.data, "return 2\n");
  static const char *const none[] = {"other.lua", "../recipe.lua", "deep/../rules.lua", "/etc/passwd", "", ".lua", "deep//er/one.lua", "rules.lua/", "deep/er/one"};
  for (size_t i = 0; i < sizeof none / sizeof *none; i++) REFUSED(MOON_ENOTFOUND, "keeps no", moon_bundle_script(b, none[i], &text));
  char name[64] = "lua/../recipe.lua"; /* also where the manifest says that there is one */
  json_object_set(json_object_get(b->manifest, "files"), name, json_object_get(json_object_get(b->manifest, "files"), "recipe.lua"));
  REFUSED(MOON_ENOTFOUND, "keeps no", moon_bundle_script(b, "../recipe.lua", &text));
  moon_buf_free(&text);
  moon_bundle_close(b);
}

/* One byte changed, one byte missing, one too many, no file: each names the file, and nothing crashes. */
static void damage_is_seen_in_every_file(void **state) {
  setup *s = *state;
  char names[16][64];
  size_t n = list(s->path, names);
  moon_buf whole = {0};
  for (size_t i = 0; i < n; i++) {
    read_whole(s->path, names[i], &whole);
    char *path = moon_path_join(s->path, names[i]);
    for (int how = 0; how < 3; how++) {
      moon_bundle *b;
      char *copy = malloc(whole.n + 1);
      memcpy(copy, whole.data, whole.n + 1);
      if (!how) copy[whole.n / 2] ^= 1;
      OK(moon_file_write(path, copy, how == 1 ? whole.n - 1 : how == 2 ? whole.n + 1 : whole.n));
      moon_status status = moon_bundle_open(s->path, &b);
      if (!status.code && strcmp(names[i], "manifest.json")) fail_msg("%s: damage %d was not seen", names[i], how);
      if (status.code && !strstr(status.message, names[i]) && strcmp(names[i], "manifest.json")) fail_msg("%s is not named: %s", names[i], status.message);
      moon_bundle_close(b);
      free(copy);
    }
    assert_int_equal(unlink(path), 0);
    moon_bundle *b;
    REFUSED(MOON_ENOTFOUND, names[i], moon_bundle_open(s->path, &b));
    OK(moon_file_write(path, whole.data, whole.n));
    moon_free(path);
  }
  moon_bundle *b;
  OK(moon_bundle_open(s->path, &b));
  moon_bundle_close(b);
  moon_buf_free(&whole);
}

/* A manifest that agrees with damaged bytes: now the parsers themselves have to hold. */
static void parsers_hold_where_the_checksum_agrees(void **state) {
  setup *s = *state;
  static const char *const names[] = {"state.bin", "similar.bin", "catalogue.bin", "vocab.json", "plan.json", "model.safetensors"};
  moon_rng rng;
  moon_rng_seed(&rng, 11, 0);
  moon_buf whole = {0}, manifest = {0};
  read_whole(s->path, "manifest.json", &manifest);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    read_whole(s->path, names[i], &whole);
    for (int round = 0; round < 60; round++) {
      char *copy = malloc(whole.n), digest[65];
      memcpy(copy, whole.data, whole.n);
      for (int k = 0; k <= round % 3; k++) copy[moon_rng_below(&rng, (uint32_t)whole.n)] = (char)moon_rng_u32(&rng);
      size_t n = round % 4 ? whole.n : moon_rng_below(&rng, (uint32_t)whole.n);
      json_t *json = json_loadb(manifest.data, manifest.n, 0, NULL), *entry = json_object_get(json_object_get(json, "files"), names[i]);
      moon_sha256(copy, n, digest);
      json_object_set_new(entry, "sha256", json_string(digest));
      json_object_set_new(entry, "bytes", json_integer((json_int_t)n));
      char *text = json_dumps(json, 0), *path = moon_path_join(s->path, names[i]);
      shoplet_file(s->path, "manifest.json", text);
      OK(moon_file_write(path, copy, n));
      moon_bundle *b;
      moon_status status = moon_bundle_open(s->path, &b); /* whatever it says, it says it */
      assert_true(status.code ? b == NULL : b != NULL);
      moon_bundle_close(b);
      OK(moon_file_write(path, whole.data, whole.n));
      moon_free(path);
      free(text);
      free(copy);
      json_decref(json);
    }
  }
  moon_buf_free(&whole);
  moon_buf_free(&manifest);
}

static void a_folder_that_is_no_bundle_is_never_replaced(void **state) {
  setup *s = *state;
  char *precious = moon_path_join(s->folder, "photos");
  OK(moon_dir_make(precious));
  shoplet_file(precious, "cat.jpg", "meow");
  REFUSED(MOON_EINVAL, "photos", write_to(s, precious));
  moon_buf kept = {0};
  read_whole(precious, "cat.jpg", &kept);
  assert_string_equal(kept.data, "meow");
  moon_buf_free(&kept);
  moon_free(precious);
}

static void a_trailing_slash_names_the_same_bundle(void **state) {
  setup *s = *state;
  moon_buf path = {0};
  char names[16][64];
  moon_buf_printf(&path, "%s/", s->path);
  OK(write_to(s, path.data));
  assert_int_equal(list(s->path, names), 11);
  moon_buf_free(&path);
}

static void failing_allocations_keep_the_old_bundle(void **state) {
  setup *s = *state;
  char names[16][64];
  bool done = false;
  for (size_t n = 1; !done; n += n < 100 ? 1 : 23) {
    moon_alloc_fail_at(n);
    moon_status status = write_to(s, s->path);
    moon_alloc_fail_at(0);
    done = !status.code;
    moon_bundle *b;
    OK(moon_bundle_open(s->path, &b));
    moon_bundle_close(b);
  }
  assert_int_equal(list(s->folder, names), 13); /* events.csv, items.csv, the bundle's: nothing half-written beside it */
  moon_bundle *b = NULL;
  for (size_t n = 1; !b; n += n < 100 ? 1 : 23) {
    moon_alloc_fail_at(n);
    moon_status status = moon_bundle_open(s->path, &b);
    moon_alloc_fail_at(0);
    if (!b) assert_int_not_equal(status.code, MOON_OK);
  }
  moon_bundle_close(b);
}

static double metric(const json_t *metrics, const char *who, const char *name) {
  const json_t *column = !strcmp(who, "model") ? json_object_get(metrics, who) : json_object_get(json_object_get(metrics, "baselines"), who);
  const json_t *value = json_object_get(column, name);
  if (!json_is_number(value)) fail_msg("%s has no %s", who, name);
  return json_number_value(value);
}

static bool touched_before(const moon_dataset *d, uint32_t user, uint32_t item) {
  for (size_t i = 0; i < d->known_n; i++)
    if (d->known[i].user == user && d->known[i].item == item) return true;
  return false;
}

/* Popularity's recall@5, counted the long way round. */
static void popularity_is_ranked_as_plain_counting_does(void **state) {
  setup *s = *state;
  const moon_dataset *d = s->d;
  double sum = 0;
  size_t users = 0;
  for (uint32_t user = 0; user < moon_dict_count(d->log->users); user++) {
    bool wanted[10] = {false};
    size_t relevant = 0, found = 0, taken = 0;
    for (size_t i = 0; i < d->examples.n; i++) {
      const moon_event *e = &d->log->events[d->examples.event[i]];
      if (d->part[i] != MOON_TEST || d->examples.label[i] == 0 || e->user != user || wanted[e->item] || touched_before(d, user, e->item)) continue;
      wanted[e->item] = true;
      relevant++;
    }
    if (!relevant) continue;
    users++;
    bool used[10] = {false};
    while (taken < 5) {
      int best = -1;
      for (int item = 0; item < 10; item++)
        if (!used[item] && !touched_before(d, user, (uint32_t)item) &&
            (best < 0 || moon_state_item_total(d->state_then, (uint32_t)item) > moon_state_item_total(d->state_then, (uint32_t)best)))
          best = item;
      if (best < 0) break;
      used[best] = true;
      found += wanted[best];
      taken++;
    }
    sum += (double)found / (double)relevant;
  }
  assert_true(users > 0);
  assert_int_equal(json_integer_value(json_object_get(s->metrics, "users")), users);
  NEAR(metric(s->metrics, "popular", "recall@5"), sum / (double)users, 1e-9);
}

static void evaluation_is_within_its_bounds_and_repeats(void **state) {
  setup *s = *state;
  static const char *const shares[] = {"accuracy", "auc", "recall@5", "ndcg@5", "coverage"};
  for (size_t i = 0; i < 5; i++) assert_true(metric(s->metrics, "model", shares[i]) >= 0 && metric(s->metrics, "model", shares[i]) <= 1);
  assert_true(metric(s->metrics, "model", "logloss") > 0);
  json_t *again;
  OK(moon_evaluate(s->model, s->d, json_object_get(s->plan, "evaluate"), 1, NULL, &again));
  assert_true(json_equal(s->metrics, again));
  json_decref(again);
  json_t *wrong = json_pack("[s]", "recal@5");
  REFUSED(MOON_EINVAL, "recal@5", moon_evaluate(s->model, s->d, wrong, 1, NULL, &again));
  json_decref(wrong);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, up, down)
  const struct CMUnitTest tests[] = {
      CASE(what_was_written_scores_the_same), CASE(a_bundle_scores_in_the_precision_of_its_plan), CASE(writing_again_gives_the_same_bytes), CASE(what_the_recipe_required_is_kept), CASE(damage_is_seen_in_every_file),
      CASE(parsers_hold_where_the_checksum_agrees), CASE(a_folder_that_is_no_bundle_is_never_replaced), CASE(a_trailing_slash_names_the_same_bundle),
      CASE(failing_allocations_keep_the_old_bundle), CASE(popularity_is_ranked_as_plain_counting_does), CASE(evaluation_is_within_its_bounds_and_repeats),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

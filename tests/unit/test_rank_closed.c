/* test_rank_closed.c - models that are computed and not trained, against plain loops: EASE by Gauss-Jordan, cosines by counting, sums of what
 * fades; what they refuse, with the line; a bundle of them; and that no row of inputs is laid out that nobody reads. */
#include "exhaust.h"
#include "rank/model.h"
#include "shoplet.h"

enum { MOST = 16, ITEMS = 10 };

typedef struct shop {
  char *folder;
  json_t *plan;
  moon_dataset *d;
  moon_model *model;
} shop;

static const char item_id[] =
    "{\"op\":\"id\",\"name\":\"item\",\"entity\":\"item\",\"dim\":4,\"min_count\":1,\"hash\":0,\"where\":\"r:6\"}",
                  history[] = "{\"op\":\"history\",\"name\":\"history(item)\",\"last\":40,\"kinds\":[%s],\"where\":\"r:11\"}";

/* The shoplet's plan with such a layer for a model; `features`: further ones, each behind a comma. */
static json_t *plan_of(const char *layer, const char *kinds, const char *features) {
  char text[2000], one[300];
  snprintf(one, sizeof one, history, kinds);
  snprintf(text, sizeof text, "[%s,%s%s]", item_id, one, features);
  json_t *plan = shoplet_json(), *list = json_loads(text, 0, NULL);
  assert_non_null(list);
  json_object_set_new(plan, "features", list);
  snprintf(text, sizeof text, "{\"layers\":[{\"input\":\"item.id\",\"where\":\"r:12\",%s}],\"where\":\"r:12\"}", layer);
  json_t *model = json_loads(text, 0, NULL);
  if (!model) fail_msg("%s", text);
  json_object_set_new(plan, "model", model);
  json_object_set_new(plan, "train",
                      json_pack("{s:i, s:{s:s, s:[f,f,f]}}", "seed", 1, "split", "by", "time", "parts", 0.8, 0.1, 0.1));
  json_object_set_new(plan, "evaluate", json_pack("[s,s]", "recall@5", "ndcg@5"));
  return plan;
}

static moon_status try_dataset(shop *s) {
  const moon_dataset_options options = {.data_dir = s->folder, .judged_only = true};
  return moon_dataset_new(s->plan, &options, &s->d);
}

static moon_status try_fit(shop *s) {
  moon_fit_report report;
  MOON_TRY(shoplet_model(s->plan, s->d, 1, &s->model));
  return moon_fit(s->model, s->d, json_object_get(s->plan, "train"), NULL, &report);
}

static void shop_open(shop *s, const char *layer, const char *kinds, const char *features) {
  *s = (shop){.folder = shoplet_make(300), .plan = plan_of(layer, kinds, features)};
  OK(try_dataset(s));
  OK(try_fit(s));
}

static void shop_close(shop *s) {
  moon_model_free(s->model);
  moon_dataset_free(s->d);
  json_decref(s->plan);
  shoplet_remove(s->folder);
}

static moon_closed closed_of(const shop *s) {
  moon_closed c;
  assert_true(moon_module_closed(s->model->module, 0, &c));
  return c;
}

/* ---- the naive way ------------------------------------------------------------------------------------------------------------------ */

/* Whether an event trains: before the first that does not. */
static bool trains(const shop *s, size_t event) {
  int64_t last = 0;
  for (size_t i = 0; i < s->d->examples.n; i++)
    if (s->d->part[i] == MOON_TRAIN) last = s->d->log->events[s->d->examples.event[i]].time;
  return s->d->log->events[event].time <= last;
}

static bool is_kind(const shop *s, size_t event, const char *kind) {
  return !*kind || !strcmp(moon_dict_text(s->d->log->kinds, s->d->log->events[event].kind), kind);
}

/* x [users, items]: who did something of the kind ("": any) with what; answers how many users. */
static size_t matrix(const shop *s, const char *kind, double x[64][MOST]) {
  memset(x, 0, 64 * sizeof *x);
  for (size_t i = 0; i < s->d->log->n; i++) {
    const moon_event *e = &s->d->log->events[i];
    uint32_t id = moon_features_item_id(s->d->features, e->item);
    if (trains(s, i) && is_kind(s, i, kind) && id) x[e->user][id] = 1;
  }
  return moon_dict_count(s->d->log->users);
}

static void gram(double x[64][MOST], size_t users, double g[MOST][MOST]) {
  for (size_t i = 0; i < MOST; i++)
    for (size_t j = 0; j < MOST; j++) {
      g[i][j] = 0;
      for (size_t u = 0; u < users; u++) g[i][j] += x[u][i] * x[u][j];
    }
}

/* Gauss-Jordan of rows and columns 1..n. */
static void invert(double a[MOST][MOST], size_t n, double out[MOST][MOST]) {
  for (size_t i = 1; i <= n; i++)
    for (size_t j = 1; j <= n; j++) out[i][j] = i == j;
  for (size_t p = 1; p <= n; p++) {
    double pivot = a[p][p];
    for (size_t j = 1; j <= n; j++) a[p][j] /= pivot, out[p][j] /= pivot;
    for (size_t i = 1; i <= n; i++) {
      double by = i == p ? 0 : a[i][p];
      for (size_t j = 1; j <= n; j++) a[i][j] -= by * a[p][j], out[i][j] -= by * out[p][j];
    }
  }
}

static void ease_is_the_closed_form_by_a_naive_inverse(void **state) {
  (void)state;
  static const struct {
    const char *layer, *kinds, *kind;
    double l2;
  } cases[] = {
      {"\"type\":\"ease\",\"l2\":5.0,\"history\":\"history.ids\"", "", "", 5},
      {"\"type\":\"ease\",\"l2\":0.5,\"history\":\"history.ids\"", "\"purchase\"", "purchase", 0.5},
      {"\"type\":\"ease\",\"l2\":500,\"history\":\"history.ids\"", "\"view\"", "view", 500},
  };
  for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
    shop s;
    shop_open(&s, cases[k].layer, cases[k].kinds, "");
    moon_closed c = closed_of(&s);
    double x[64][MOST], g[MOST][MOST], p[MOST][MOST];
    size_t n = c.items - 1;
    assert_true(n <= ITEMS && n > 5);
    gram(x, matrix(&s, cases[k].kind, x), g);
    for (size_t i = 1; i <= n; i++) g[i][i] += cases[k].l2;
    invert(g, n, p);
    for (size_t i = 0; i <= n; i++)
      for (size_t j = 0; j <= n; j++) NEAR(c.weight[j * c.items + i], i == j || !i || !j ? 0 : -p[i][j] / p[j][j], 1e-6);
    shop_close(&s);
  }
}

static void item_knn_is_the_cosine_of_the_nearest(void **state) {
  (void)state;
  shop s;
  shop_open(&s, "\"type\":\"item_knn\",\"neighbours\":3,\"shrink\":0,\"history\":\"history.ids\"", "\"purchase\"", "");
  moon_closed c = closed_of(&s);
  double x[64][MOST], g[MOST][MOST];
  gram(x, matrix(&s, "purchase", x), g);
  assert_int_equal(c.k, 3);
  for (size_t item = 1; item < c.items; item++) {
    double before = INFINITY;
    size_t better = 0;
    for (size_t i = 0; i < c.k; i++) {
      size_t near = (size_t)c.neighbour[item * c.k + i];
      double got = c.weight[item * c.k + i];
      assert_true(near != item && got <= before);
      NEAR(got, near ? g[item][near] / sqrt(g[item][item] * g[near][near]) : 0, 1e-6);
      before = got;
    }
    for (size_t other = 1; other < c.items; other++)
      better += other != item && g[item][other] / sqrt(g[item][item] * g[other][other]) > before + 1e-6;
    assert_true(better <= c.k);
  }
  shop_close(&s);
}

static void popular_counts_and_trending_fades(void **state) {
  (void)state;
  for (int fades = 0; fades < 2; fades++) {
    shop s;
    shop_open(
        &s,
        fades ? "\"type\":\"trending\",\"half_life_us\":3600000000,\"of\":[\"view\"]" : "\"type\":\"popular\",\"of\":[\"view\"]",
        "", "");
    moon_closed c = closed_of(&s);
    double sum[MOST] = {0};
    int64_t now = 0;
    for (size_t i = 0; i < s.d->log->n; i++)
      if (trains(&s, i) && is_kind(&s, i, "view")) now = s.d->log->events[i].time;
    for (size_t i = 0; i < s.d->log->n; i++) {
      const moon_event *e = &s.d->log->events[i];
      if (trains(&s, i) && is_kind(&s, i, "view"))
        sum[moon_features_item_id(s.d->features, e->item)] += fades ? pow(0.5, (double)(now - e->time) / 3.6e9) : 1;
    }
    for (size_t item = 1; item < c.items; item++) NEAR(c.bias[item], sum[item], 1e-5 * (1 + sum[item]));
    assert_true(c.bias[0] == 0);
    shop_close(&s);
  }
}

/* Price class and category: items i and j agree in their category where i = j mod 3, and each product is one item but 7's. */
static void content_is_the_mean_of_the_features_cosines(void **state) {
  (void)state;
  shop s;
  shop_open(&s, "\"type\":\"content\",\"neighbours\":9,\"history\":\"history.ids\"", "",
            ",{\"op\":\"category\",\"name\":\"category\",\"column\":\"category\",\"dim\":2,\"min_count\":1,\"where\":\"r:7\"},"
            "{\"op\":\"category\",\"name\":\"product\",\"column\":\"product\",\"dim\":2,\"min_count\":1,\"where\":\"r:8\"}");
  moon_closed c = closed_of(&s);
  uint32_t id[ITEMS];
  for (uint32_t i = 0; i < ITEMS; i++) id[i] = moon_features_item_id(s.d->features, i);
  for (uint32_t i = 0; i < ITEMS; i++)
    for (uint32_t j = 0; j < ITEMS; j++) {
      double want = i == j ? 0 : ((i % 3 == j % 3) + ((i == 7 && j == 8) || (i == 8 && j == 7))) / 2.0, got = 0;
      for (size_t k = 0; k < c.k && id[i] && id[j]; k++)
        if (c.neighbour[id[i] * c.k + k] == id[j]) got = c.weight[id[i] * c.k + k];
      if (id[i] && id[j]) NEAR(got, want, 1e-6);
    }
  shop_close(&s);
}

/* i9 is in nobody's training part. */
static void min_count_0_knows_what_nobody_has_seen(void **state) {
  (void)state;
  shop s = {
      .folder = shoplet_make(300),
      .plan = plan_of(
          "\"type\":\"content\",\"neighbours\":9,\"history\":\"history.ids\"", "",
          ",{\"op\":\"category\",\"name\":\"category\",\"column\":\"category\",\"dim\":2,\"min_count\":1,\"where\":\"r:7\"}")};
  OK(try_dataset(&s));
  assert_int_equal(moon_features_item_id(s.d->features, 9), 0);
  moon_dataset_free(s.d);
  json_object_set_new(json_array_get(json_object_get(s.plan, "features"), 0), "min_count", json_integer(0));
  OK(try_dataset(&s));
  OK(try_fit(&s));
  moon_closed c = closed_of(&s);
  uint32_t id = moon_features_item_id(s.d->features, 9);
  assert_int_equal(c.items, ITEMS + 1);
  assert_int_equal(id, ITEMS); /* behind those that the training part has */
  assert_int_equal(c.neighbour[id * c.k] != 0, 1);
  assert_true(c.weight[id * c.k] == 1);
  shop_close(&s);
}

/* ---- scoring ------------------------------------------------------------------------------------------------------------------------ */

/* What the model says of all items for a user, and what the weights and the history amount to. */
static void a_score_is_the_sum_over_the_history(void **state) {
  (void)state;
  static const char *const layers[] = {"\"type\":\"ease\",\"l2\":5.0,\"history\":\"history.ids\"",
                                       "\"type\":\"item_knn\",\"neighbours\":2,\"history\":\"history.ids\""};
  for (size_t l = 0; l < 2; l++) {
    shop s;
    shop_open(&s, layers[l], "", "");
    moon_closed c = closed_of(&s);
    moon_arena arena = {0};
    uint32_t items[ITEMS + 1], seen[64];
    float scores[ITEMS + 1], one;
    for (uint32_t i = 0; i <= ITEMS; i++) items[i] = i;
    for (uint32_t user = 0; user <= moon_state_users(s.d->state); user++) {
      moon_inputs in;
      uint32_t who = user < moon_state_users(s.d->state) ? user : MOON_NONE;
      size_t n = who == MOON_NONE ? 0 : moon_state_recent(s.d->state, who, seen, 40);
      OK(moon_inputs_alloc(s.d->plan, &arena, ITEMS + 1, &in));
      moon_features_compute(s.d->features, s.d->state, who, NULL, items, ITEMS + 1, moon_state_clock(s.d->state), &in);
      OK(moon_model_score(s.model, &in, ITEMS + 1, &arena, scores));
      for (uint32_t i = 0; i <= ITEMS; i++) {
        uint32_t id = i < ITEMS ? moon_features_item_id(s.d->features, i) : 0;
        double want = 0;
        for (size_t h = 0; h < n; h++) {
          uint32_t past = moon_features_item_id(s.d->features, seen[h]);
          if (!c.neighbour) want += c.weight[id * c.items + past];
          for (size_t k = 0; c.neighbour && past && k < c.k; k++)
            if (c.neighbour[id * c.k + k] == past) want += c.weight[id * c.k + k];
        }
        NEAR(scores[i], want, 1e-5);
        OK(moon_inputs_alloc(s.d->plan, &arena, 1, &in)); /* alone, the same bits */
        moon_features_compute(s.d->features, s.d->state, who, NULL, &items[i], 1, moon_state_clock(s.d->state), &in);
        OK(moon_model_score(s.model, &in, 1, &arena, &one));
        assert_memory_equal(&one, &scores[i], sizeof one);
      }
      moon_arena_reset(&arena);
    }
    moon_arena_free(&arena);
    shop_close(&s);
  }
}

static void only_judged_rows_are_laid_out(void **state) {
  (void)state;
  shop s;
  shop_open(&s, "\"type\":\"ease\",\"l2\":5.0,\"history\":\"history.ids\"", "", "");
  moon_dataset *whole;
  const moon_dataset_options options = {.data_dir = s.folder};
  OK(moon_dataset_new(s.plan, &options, &whole));
  size_t rows = 0, width = whole->plan->bag_slots * whole->plan->bag_length;
  for (size_t i = 0; i < s.d->examples.n; i++) {
    assert_int_equal(s.d->row[i] != MOON_NONE, s.d->part[i] == s.d->judged);
    if (s.d->row[i] == MOON_NONE) continue;
    assert_int_equal(s.d->row[i], rows++);
    assert_memory_equal(s.d->inputs.bags + s.d->row[i] * width, whole->inputs.bags + i * width, width * sizeof(uint32_t));
  }
  json_t *few, *all;
  OK(moon_evaluate(s.model, s.d, json_object_get(s.plan, "evaluate"), 1, NULL, &few));
  OK(moon_evaluate(s.model, whole, json_object_get(s.plan, "evaluate"), 1, NULL, &all));
  assert_true(json_equal(few, all));
  json_decref(few);
  json_decref(all);
  moon_dataset_free(whole);
  shop_close(&s);
}

/* ---- what is kept -------------------------------------------------------------------------------------------------------------------- */

static void a_bundle_has_the_weights_and_no_tables(void **state) {
  (void)state;
  static const char *const layers[] = {"\"type\":\"ease\",\"l2\":5.0,\"history\":\"history.ids\"", "\"type\":\"popular\"",
                                       "\"type\":\"item_knn\",\"neighbours\":2,\"history\":\"history.ids\""};
  for (size_t l = 0; l < 3; l++) {
    shop s;
    moon_bundle *b;
    moon_similar *similar;
    moon_closed c, back;
    json_t *metrics;
    shop_open(&s, layers[l], "", "");
    char *path = moon_path_join(s.folder, "bundle");
    OK(moon_evaluate(s.model, s.d, json_object_get(s.plan, "evaluate"), 1, NULL, &metrics));
    OK(moon_similar_new(s.d->log, s.d->log->n, moon_catalogue_rows(s.d->catalogue), NULL, NULL, &similar));
    OK(moon_bundle_write(path, &(moon_recipe_source){.text = ""}, s.plan, s.d, s.model, similar, metrics));
    OK(moon_bundle_open(path, &b));
    c = closed_of(&s);
    assert_true(moon_module_closed(b->model->module, 0, &back));
    size_t n = c.bias ? c.items : c.items * (c.k ? c.k : c.items);
    assert_int_equal(back.items, c.items);
    assert_memory_equal(c.bias ? c.bias : c.weight, back.bias ? back.bias : back.weight, n * sizeof(float));
    if (c.neighbour) assert_memory_equal(c.neighbour, back.neighbour, n * sizeof *c.neighbour);
    assert_int_equal(moon_model_params(b->model), c.neighbour ? 2 * n : n);
    assert_int_equal(b->model->param_count, 0);
    assert_int_equal(moon_model_item_dim(b->model), 0);
    moon_buf text = {0};
    OK(moon_model_summary(b->model, &text));
    assert_non_null(strstr(text.data, c.bias ? "popular" : c.neighbour ? "item_knn" : "ease"));
    assert_null(strstr(text.data, "embedding"));
    moon_buf_free(&text);
    moon_bundle_close(b);
    json_decref(metrics);
    moon_similar_free(similar);
    moon_free(path);
    shop_close(&s);
  }
}

/* ---- what is refused --------------------------------------------------------------------------------------------------------------------- */

static void wrong_layers_are_refused_with_their_line(void **state) {
  (void)state;
  static const struct {
    const char *layer, *kinds, *features, *message;
  } wrong[] = {
      {"\"type\":\"ease\",\"l2\":5,\"max_items\":3,\"history\":\"history.ids\"", "", "",
       "r:12: ease: 9 items want 0.0 GB of weights"},
      {"\"type\":\"ease\",\"history\":\"history.ids\"", "", "", "r:12: ease: \"l2\" is missing"},
      {"\"type\":\"ease\",\"l2\":0,\"history\":\"history.ids\"", "", "", "\"l2\" must be a number"},
      {"\"type\":\"ease\",\"l2\":5,\"history\":\"category.ids\"", "", "", "no input"},
      {"\"type\":\"ease\",\"l2\":5", "", "", "r:12: ease: \"history\" is missing"},
      {"\"type\":\"eas\"", "", "", "did you mean \"ease\""},
      {"\"l2\":5", "", "", "r:12: a layer needs a \"type\""},
      {"\"type\":\"ease\",\"l2\":5,\"history\":\"item.id\"", "", "", "reads the ids of a history of items, not \"item.id\""},
      {"\"type\":\"trending\"", "", "", "\"half_life_us\" is missing"},
      {"\"type\":\"ease\",\"l2\":5,\"history\":\"history.ids\"", "\"gift\"", "", "r:12: ease: the training part has no event"},
      {"\"type\":\"popular\",\"of\":[\"gift\"]", "", "", "r:12: popular: the training part has no event"},
      {"\"type\":\"content\",\"history\":\"history.ids\"", "", "", "r:12: content: no feature says what an item is"},
      {"\"type\":\"content\",\"of\":[\"categry\"],\"history\":\"history.ids\"", "",
       ",{\"op\":\"category\",\"name\":\"category\",\"column\":\"category\",\"dim\":2,\"where\":\"r:7\"}",
       "did you mean 'category'"},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    shop s = {.folder = shoplet_make(300), .plan = plan_of(wrong[i].layer, wrong[i].kinds, wrong[i].features)};
    OK(try_dataset(&s));
    REFUSED(MOON_EINVAL, wrong[i].message, try_fit(&s));
    shop_close(&s);
  }
}

static void one_user_and_no_success_are_refused(void **state) {
  (void)state;
  shop s = {.folder = shoplet_make(0), .plan = plan_of("\"type\":\"item_knn\",\"history\":\"history.ids\"", "", "")};
  shoplet_file(
      s.folder, "events.csv",
      "user,item,event,time\nu1,i1,view,1700000000\nu1,i2,view,1700000001\nu1,i2,purchase,1700000002\nu1,i3,view,1700000003\n"
      "u1,i4,view,1700000004\nu1,i5,view,1700000005\nu1,i1,view,1700000006\nu1,i2,view,1700000007\n");
  OK(try_dataset(&s));
  REFUSED(MOON_EINVAL, "r:12: item_knn: the training part has 1 user", try_fit(&s));
  moon_model_free(s.model);
  moon_dataset_free(s.d);
  s.model = NULL, s.d = NULL;
  shoplet_file(s.folder, "events.csv",
               "user,item,event,time\nu1,i1,view,1700000000\nu2,i2,purchase,1700000001\nu2,i1,view,1700000002\n");
  REFUSED(MOON_EINVAL, "r:4: label: none of", try_dataset(&s));
  shop_close(&s);
}

static void what_is_trained_does_not_stand_beside(void **state) {
  (void)state;
  shop s = {.folder = shoplet_make(300), .plan = plan_of("\"type\":\"popular\"", "", "")};
  json_t *layers = json_object_get(json_object_get(s.plan, "model"), "layers");
  json_array_append_new(layers, json_pack("{s:s, s:i, s:s}", "type", "dense", "units", 1, "where", "r:13"));
  OK(try_dataset(&s));
  REFUSED(MOON_EINVAL, "r:12: popular is computed in closed form and stands alone; \"1.weight\" would have to be trained",
          shoplet_model(s.plan, s.d, 1, &s.model));
  shop_close(&s);
}

/* A file may hold anything. */
static void neighbours_out_of_range_are_none(void **state) {
  (void)state;
  shop s;
  moon_arena arena = {0};
  float scores[8];
  shop_open(&s, "\"type\":\"item_knn\",\"neighbours\":3,\"history\":\"history.ids\"", "", "");
  moon_closed c = closed_of(&s);
  for (size_t i = 0; i < c.items * c.k; i++) c.neighbour[i] = i % 2 ? INT64_MIN : (int64_t)c.items + 1000000000;
  OK(moon_model_score(s.model, &s.d->inputs, 8, &arena, scores));
  for (size_t i = 0; i < 8; i++) assert_true(scores[i] == 0);
  moon_arena_free(&arena);
  shop_close(&s);
}

static moon_status fit_afresh(void *self) {
  shop *s = self;
  moon_status status = try_fit(s);
  moon_model_free(s->model);
  s->model = NULL;
  return status;
}

static void no_memory_is_said_and_nothing_leaks(void **state) {
  (void)state;
  static const char *const layers[] = {
      "\"type\":\"ease\",\"l2\":5,\"history\":\"history.ids\"", "\"type\":\"item_knn\",\"history\":\"history.ids\"",
      "\"type\":\"content\",\"history\":\"history.ids\"", "\"type\":\"popular\",\"of\":[\"view\"]"};
  for (size_t l = 0; l < 4; l++) {
    shop s = {.folder = shoplet_make(100),
              .plan = plan_of(layers[l], "",
                              ",{\"op\":\"tags\",\"name\":\"category\",\"column\":\"category\",\"last\":3,\"dim\":2,\"min_"
                              "count\":1,\"where\":\"r:7\"}")};
    OK(try_dataset(&s));
    assert_true(exhaust(fit_afresh, &s) > 10);
    shop_close(&s);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(ease_is_the_closed_form_by_a_naive_inverse),
      cmocka_unit_test(item_knn_is_the_cosine_of_the_nearest),
      cmocka_unit_test(popular_counts_and_trending_fades),
      cmocka_unit_test(content_is_the_mean_of_the_features_cosines),
      cmocka_unit_test(min_count_0_knows_what_nobody_has_seen),
      cmocka_unit_test(a_score_is_the_sum_over_the_history),
      cmocka_unit_test(only_judged_rows_are_laid_out),
      cmocka_unit_test(a_bundle_has_the_weights_and_no_tables),
      cmocka_unit_test(wrong_layers_are_refused_with_their_line),
      cmocka_unit_test(one_user_and_no_success_are_refused),
      cmocka_unit_test(what_is_trained_does_not_stand_beside),
      cmocka_unit_test(neighbours_out_of_range_are_none),
      cmocka_unit_test(no_memory_is_said_and_nothing_leaks),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

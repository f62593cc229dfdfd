/* test_rank_sequences.c - training on whole sequences: its loss is what a plain loop over steps says; each success is predicted, and what validates
 * or tests never; threads, resuming and want of memory do not show. */
#include "rank/fit.h"
#include "shoplet.h"
#include "unit/exhaust.h"

typedef struct setup {
  json_t *plan;
  char *folder;
  moon_dataset *d;
} setup;

static json_t *train_of(const setup *s) {
  return json_object_get(s->plan, "train");
}

#define MODEL(layers)                                                                                                    \
  "[{\"type\":\"dot\",\"where\":\"r:12\",\"layers\":[{\"type\":\"sequential\",\"input\":\"history\",\"where\":\"r:13\"," \
  "\"layers\":[" layers                                                                                                  \
  "]},"                                                                                                                  \
  "{\"type\":\"input\",\"input\":\"item\"}]}]"
#define LAST ",{\"type\":\"pool\",\"mode\":\"last\"}"
static const char recurrent[] = MODEL("{\"type\":\"gru\",\"units\":6}" LAST ",{\"type\":\"dense\",\"units\":4}");
static const char causal[] = MODEL(
    "{\"type\":\"position\"},{\"type\":\"dropout\",\"rate\":0.1},{\"type\":\"transformer\",\"heads\":2,\"causal\":true,\"feed\":"
    "8}" LAST);
static const char cloze[] =
    MODEL("{\"type\":\"mask\"},{\"type\":\"position\"},{\"type\":\"transformer\",\"heads\":2,\"feed\":8}" LAST);

/* options: of "sequences", or NULL: none. */
static setup make_of(size_t events, const char *options, const char *model) {
  setup s = {.plan = shoplet_json(), .folder = shoplet_make(events)};
  json_object_set_new(json_object_get(s.plan, "model"), "layers", json_loads(model, 0, NULL));
  json_object_set_new(train_of(&s), "loss", json_string("softmax"));
  if (options) json_object_set_new(train_of(&s), "sequences", json_loads(options, 0, NULL));
  OK(shoplet_dataset(s.folder, s.plan, &s.d));
  return s;
}
static setup make(const char *options, const char *model) {
  return make_of(900, options, model);
}

static void drop(setup *s) {
  moon_dataset_free(s->d);
  json_decref(s->plan);
  shoplet_remove(s->folder);
}

static void set(const setup *s, const char *key, json_t *value) {
  json_object_set_new(train_of(s), key, value);
}

static void stand_still(const setup *s) {
  set(s, "optimizer", json_pack("{s:s, s:f}", "type", "sgd", "lr", 0.0));
  set(s, "epochs", json_integer(1));
}

static void fit(const setup *s, const moon_fit_options *options, moon_model **model, moon_fit_report *report) {
  OK(shoplet_model(s->plan, s->d, 1, model));
  OK(moon_fit(*model, s->d, train_of(s), options, report));
}

static void assert_same_weights(const moon_model *a, const moon_model *b) {
  moon_buf x = {0}, y = {0};
  OK(moon_model_save(a, &x));
  OK(moon_model_save(b, &y));
  assert_true(x.n == y.n && !memcmp(x.data, y.data, x.n));
  moon_buf_free(&x);
  moon_buf_free(&y);
}

/* ---- windows ------------------------------------------------------------------------------------------------------------------------------ */

typedef struct windows {
  moon_model *model;
  moon_windows *w;
  uint32_t *list, *next;
  size_t n, wide;
} windows;

static windows windows_of(const setup *s) {
  windows out;
  OK(shoplet_model(s->plan, s->d, 1, &out.model));
  OK(moon_windows_new(s->d, out.model, train_of(s), &out.w));
  out.list = calloc(s->d->examples.n, sizeof *out.list);
  out.n = moon_windows_list(out.w, s->d->examples.n, out.list), out.wide = moon_windows_steps(out.w);
  out.next = calloc(out.wide, sizeof *out.next);
  return out;
}

static void windows_free(windows *w) {
  moon_windows_free(w->w);
  moon_model_free(w->model);
  free(w->list);
  free(w->next);
}

static const uint32_t *history_of(const setup *s, size_t example, size_t *length) {
  const uint32_t *bag = s->d->inputs.bags + example * s->d->plan->bag_length;
  for (*length = 0; *length < s->d->plan->bag_length && bag[*length];) ++*length;
  return bag;
}

static uint32_t user_of(const setup *s, size_t example) {
  return s->d->log->events[s->d->examples.event[example]].user;
}

/* Whether the user of an example had a success with the item in the training part before it. */
static bool chose(const setup *s, size_t example, uint32_t id, size_t slot) {
  const moon_dataset *d = s->d;
  for (size_t i = 0; i < example; i++)
    if (d->part[i] == MOON_TRAIN && d->examples.label[i] > 0 && user_of(s, i) == user_of(s, example) &&
        d->inputs.ids[i * d->plan->id_slots + slot] == id)
      return true;
  return false;
}

static void steps_are_those_of_the_history_and_successes_of_the_training_part(void **state) {
  (void)state;
  setup s = make("{}", recurrent);
  windows w = windows_of(&s);
  size_t slot = w.model->item_slot, predicted = 0, left_out = 0;
  assert_true(w.n > 20 && w.wide == 6);
  for (size_t i = 0; i < w.n; i++) {
    size_t length, example = w.list[i];
    const uint32_t *bag = history_of(&s, example, &length);
    moon_windows_fill(w.w, s.d, NULL, 1, (uint32_t)example, w.next, NULL);
    assert_true(s.d->part[example] == MOON_TRAIN && s.d->examples.label[example] > 0 && length);
    assert_int_equal(w.next[0], 0);
    assert_int_equal(w.next[length], s.d->inputs.ids[example * s.d->plan->id_slots + slot]);
    for (size_t t = 1; t < length; t++) {
      uint32_t id = bag[length - 1 - t];
      assert_int_equal(w.next[t], chose(&s, example, id, slot) ? id : 0);
      predicted += w.next[t] != 0, left_out += w.next[t] == 0;
    }
    for (size_t t = length + 1; t < w.wide; t++) assert_int_equal(w.next[t], 0);
  }
  assert_true(predicted > 20 && left_out > 20);
  windows_free(&w);
  drop(&s);
}

/* With every stride a success stands in a window: as its end, or among its steps. */
static void every_success_that_follows_on_something_is_in_a_window(void **state) {
  (void)state;
  static const char *const options[] = {"{}", "{\"stride\":1}", "{\"stride\":3}", "{\"stride\":100}"};
  size_t before = 0;
  for (size_t o = 0; o < 4; o++) {
    setup s = make(options[o], recurrent);
    windows w = windows_of(&s);
    for (size_t i = 0; i < s.d->examples.n; i++) {
      size_t length;
      bool found = false;
      uint32_t id = s.d->inputs.ids[i * s.d->plan->id_slots + w.model->item_slot];
      history_of(&s, i, &length);
      if (s.d->part[i] != MOON_TRAIN || !(s.d->examples.label[i] > 0) || !length) continue;
      for (size_t k = 0; k < w.n && !found; k++) {
        if (w.list[k] < i || user_of(&s, w.list[k]) != user_of(&s, i)) continue;
        size_t n;
        const uint32_t *bag = history_of(&s, w.list[k], &n);
        found = w.list[k] == i;
        for (size_t t = 0; t < n && !found; t++) found = bag[t] == id;
      }
      assert_true(found);
    }
    assert_true(o != 1 || w.n > before); /* a smaller stride, more windows */
    before = w.n;
    windows_free(&w);
    drop(&s);
  }
}

/* ---- against a plain loop ------------------------------------------------------------------------------------------------------------------- */

/* -log of the share of `right` among all items, after some steps of a row's history (oldest first). */
static double plain_loss(const setup *s, const moon_model *model, size_t row, size_t steps, uint32_t right) {
  const moon_feature_plan *plan = s->d->plan;
  size_t n = moon_model_items(model), length;
  const uint32_t *bag = history_of(s, row, &length);
  moon_arena arena = {0};
  moon_inputs inputs;
  float got[64];
  OK(moon_inputs_alloc(plan, &arena, n, &inputs));
  memset(inputs.dense, 0, n * plan->dense_slots * sizeof *inputs.dense);
  memset(inputs.bags, 0, n * plan->bag_length * sizeof *inputs.bags);
  for (size_t k = 0; k < n; k++) {
    memcpy(inputs.ids + k * plan->id_slots, s->d->inputs.ids + row * plan->id_slots, plan->id_slots * sizeof(uint32_t));
    memcpy(inputs.bags + k * plan->bag_length, bag + length - steps, steps * sizeof *bag);
    inputs.ids[k * plan->id_slots + model->item_slot] = (uint32_t)k + 1;
  }
  OK(moon_model_score(model, &inputs, n, &arena, got));
  double sum = 0;
  for (size_t k = 0; k < n; k++) sum += exp((double)got[k] - (double)got[right - 1]);
  moon_arena_free(&arena);
  return log(sum);
}

/* A step that goes nowhere leaves the loss of the first weights: of each step by itself, its history what came before it. */
static void the_loss_is_that_of_each_step_by_itself(void **state) {
  (void)state;
  const char *still = MODEL("{\"type\":\"position\"},{\"type\":\"transformer\",\"heads\":2,\"causal\":true,\"feed\":8}" LAST);
  for (int which = 0; which < 2; which++) {
    setup s = make("{\"stride\":2}", which ? still : recurrent);
    windows w = windows_of(&s);
    moon_fit_report report;
    moon_model *model;
    double sum = 0;
    size_t count = 0;
    stand_still(&s);
    set(&s, "batch", json_integer(1000)); /* one batch: windows have unequal numbers of steps */
    fit(&s, NULL, &model, &report);
    for (size_t i = 0; i < w.n; i++) {
      moon_windows_fill(w.w, s.d, NULL, 1, w.list[i], w.next, NULL);
      for (size_t t = 1; t < w.wide; t++)
        if (w.next[t]) sum += plain_loss(&s, model, w.list[i], t, w.next[t]), count++;
    }
    assert_true(count > w.n);
    NEAR(report.train_loss[0], sum / (double)count, 2e-5);
    moon_model_free(model);
    windows_free(&w);
    drop(&s);
  }
}

/* How likely an item is to be drawn, by hand: successes of the training part and one, to the power. */
static void likely(const setup *s, size_t slot, double power, size_t items, double *q) {
  double sum = 0;
  for (size_t i = 0; i < items; i++) q[i] = 1;
  for (size_t i = 0; i < s->d->examples.n; i++) {
    uint32_t id = s->d->inputs.ids[i * s->d->plan->id_slots + slot];
    if (id && s->d->part[i] == MOON_TRAIN && s->d->examples.label[i] > 0) q[id - 1]++;
  }
  for (size_t i = 0; i < items; i++) sum += q[i] = pow(q[i], power);
  for (size_t i = 0; i < items; i++) q[i] /= sum;
}

/* Each of k counts for 1 / (k q); what is a step's own does not. And items come as often as q says. */
static void what_is_drawn_counts_for_how_unlikely_it_was(void **state) {
  (void)state;
  static const char *const options[] = {"{\"negatives\":3000}", "{\"negatives\":3000,\"power\":1.5}"};
  for (int o = 0; o < 2; o++) {
    setup s = make(options[o], recurrent);
    windows w = windows_of(&s);
    moon_tape *tape;
    moon_reads reads;
    uint32_t next[8];
    double q[64], came[64] = {0};
    size_t items = moon_model_items(w.model), k = 3000;
    likely(&s, w.model->item_slot, o ? 1.5 : 0, items, q);
    moon_windows_fill(w.w, s.d, NULL, 1, w.list[w.n / 2], next, NULL);
    const moon_piece piece = {.inputs = {.n = 1, .seed = 3, .step = 5}, .next = next};
    OK(moon_tape_new(&tape));
    OK(moon_windows_put(w.w, tape, &piece, &reads));
    assert_true(reads.n && reads.item_count == reads.n + k);
    for (size_t j = 0; j < k; j++) came[reads.items[reads.n + j] - 1]++;
    for (size_t i = 0; i < items; i++) NEAR(came[i] / (double)k, q[i], 0.04);
    for (size_t r = 0; r < reads.n; r++) {
      assert_int_equal(reads.item[r], 0);
      NEAR(reads.shift[r * (k + 1)], 0, 0);
      for (size_t j = 0; j < k; j++) {
        uint32_t id = reads.items[reads.n + j];
        float shift = reads.shift[r * (k + 1) + 1 + j];
        if (id == reads.items[r])
          assert_true(shift < -1e29f);
        else
          NEAR(shift, -log((double)k * q[id - 1]), 1e-5);
      }
    }
    moon_tape_free(tape);
    windows_free(&w);
    drop(&s);
  }
}

/* So with many drawn the loss is that over all items, however they are drawn. */
static void a_large_sample_is_as_good_as_all_items(void **state) {
  (void)state;
  static const char *const options[] = {"{}", "{\"negatives\":20000}", "{\"negatives\":20000,\"power\":1.5}"};
  double losses[3];
  for (int o = 0; o < 3; o++) {
    setup s = make_of(300, options[o], recurrent);
    moon_model *model;
    moon_fit_report report;
    stand_still(&s);
    fit(&s, NULL, &model, &report);
    losses[o] = report.train_loss[0];
    moon_model_free(model);
    drop(&s);
  }
  NEAR(losses[1], losses[0], 0.01);
  NEAR(losses[2], losses[0], 0.01);
}

/* What is validated is validated as without: by the whole history and the one item. */
static void validation_is_as_without_sequences(void **state) {
  (void)state;
  double losses[2];
  for (int on = 0; on < 2; on++) {
    setup s = make(on ? "{}" : NULL, recurrent);
    moon_model *model;
    moon_fit_report report;
    stand_still(&s);
    fit(&s, NULL, &model, &report);
    losses[on] = report.valid_loss[0];
    moon_model_free(model);
    drop(&s);
  }
  NEAR(losses[0], losses[1], 1e-5);
}

static void a_cloze_hides_about_what_it_should_and_always_the_end(void **state) {
  (void)state;
  setup s = make("{\"mask\":0.4,\"stride\":1}", cloze);
  windows w = windows_of(&s);
  size_t hidden = 0, steps = 0, changed = 0;
  uint32_t again[8];
  for (size_t epoch = 1; epoch <= 20; epoch++) {
    for (size_t i = 0; i < w.n; i++) {
      size_t length;
      const uint32_t *bag = history_of(&s, w.list[i], &length);
      moon_windows_fill(w.w, s.d, NULL, epoch, w.list[i], w.next, NULL);
      assert_true(w.next[length] != 0);
      for (size_t t = 0; t < length; t++) {
        assert_true(!w.next[t] || w.next[t] == bag[length - 1 - t]);
        if (!chose(&s, w.list[i], bag[length - 1 - t], w.model->item_slot)) continue;
        steps++, hidden += w.next[t] != 0;
      }
      moon_windows_fill(w.w, s.d, NULL, epoch, w.list[i], again, NULL);
      assert_memory_equal(again, w.next, w.wide * sizeof *again);
      moon_windows_fill(w.w, s.d, NULL, epoch + 1, w.list[i], again, NULL);
      changed += memcmp(again, w.next, w.wide * sizeof *again) != 0;
    }
  }
  NEAR((double)hidden / (double)steps, 0.3, 0.02); /* in three quarters of the windows */
  assert_true(changed > w.n);
  windows_free(&w);
  drop(&s);
}

/* ---- what learns, and what does not show ------------------------------------------------------------------------------------------------------ */

static const struct {
  const char *options, *model;
} cases[] = {
    {"{}", recurrent}, {"{\"stride\":2}", causal}, {"{\"mask\":0.3}", cloze}, {"{\"negatives\":8,\"power\":0.75}", recurrent}};
enum { CASES = sizeof cases / sizeof *cases };

static void what_comes_next_is_learned(void **state) {
  (void)state;
  for (size_t c = 0; c < CASES; c++) {
    setup s = make(cases[c].options, cases[c].model);
    moon_model *model;
    moon_fit_report report;
    set(&s, "epochs", json_integer(30));
    fit(&s, NULL, &model, &report);
    assert_true(report.train_loss[29] < report.train_loss[0] - 0.05);
    double best = report.valid_loss[0]; /* so few events are soon known by heart */
    for (size_t e = 1; e < 30; e++) best = fmin(best, report.valid_loss[e]);
    assert_true(best < log((double)moon_model_items(model)) - 0.3); /* chance knows nothing */
    moon_model_free(model);
    drop(&s);
  }
}

static void weights_are_those_of_the_steps(void **state) {
  (void)state;
  for (size_t c = 0; c < CASES; c++) {
    setup s = make(cases[c].options, cases[c].model);
    moon_column *time;
    moon_model *model;
    moon_fit_report plain, weighed;
    stand_still(&s);
    fit(&s, NULL, &model, &plain);
    moon_model_free(model);
    OK(moon_table_require(s.d->log->table, "time", &time));
    for (size_t i = 0; i < s.d->log->table->rows; i++) time->i64[i] = 2;
    set(&s, "weight", json_string("time"));
    fit(&s, NULL, &model, &weighed);
    NEAR(weighed.train_loss[0], 2 * plain.train_loss[0], 1e-4);
    moon_model_free(model);
    drop(&s);
  }
}

static void threads_and_laying_ahead_do_not_show(void **state) {
  (void)state;
  for (size_t c = 0; c < CASES; c++) {
    setup s = make(cases[c].options, cases[c].model);
    moon_model *plain, *other;
    moon_fit_report report;
    set(&s, "batch", json_integer(100)); /* of more than one shard */
    set(&s, "ahead", json_integer(0));
    fit(&s, &(moon_fit_options){.threads = 1}, &plain, &report);
    for (size_t threads = 2; threads <= 4; threads++) {
      set(&s, "ahead", json_integer((json_int_t)threads));
      fit(&s, &(moon_fit_options){.threads = threads}, &other, &report);
      assert_same_weights(plain, other);
      moon_model_free(other);
    }
    moon_model_free(plain);
    drop(&s);
  }
}

static moon_status break_off(void *self, uint32_t fn, const moon_fit_info *info, bool *stop) {
  (void)fn, (void)stop;
  return info->step == *(size_t *)self ? moon_fail(MOON_ESCRIPT, "broken off") : moon_ok();
}

static void a_resumed_fit_ends_as_if_never_broken_off(void **state) {
  (void)state;
  for (size_t c = 0; c < CASES; c++) {
    setup s = make(cases[c].options, cases[c].model);
    char *path = moon_path_join(s.folder, "fit.checkpoint");
    size_t at = SIZE_MAX;
    moon_model *whole, *model;
    moon_fit_report report, again;
    set(&s, "batch", json_integer(10));
    set(&s, "on_step", json_pack("{s:i, s:i}", "fn", 2, "every", 1));
    moon_fit_options options = {.functions = &(moon_fit_functions){&at, break_off},
                                .checkpoint = path,
                                .checkpoint_every = 2,
                                .resume = true,
                                .plan = s.plan};
    fit(&s, &options, &whole, &report);
    moon_checkpoint_remove(path);
    assert_true(report.steps > 6);
    for (size_t stop = 3; stop < report.steps; stop += 3) {
      at = stop;
      OK(shoplet_model(s.plan, s.d, 1, &model));
      REFUSED(MOON_ESCRIPT, "broken off", moon_fit(model, s.d, train_of(&s), &options, &again));
      moon_model_free(model);
      at = SIZE_MAX;
      fit(&s, &options, &model, &again);
      assert_true(again.resumed);
      assert_same_weights(whole, model);
      assert_memory_equal(again.train_loss, report.train_loss, sizeof again.train_loss);
      moon_model_free(model);
      moon_checkpoint_remove(path);
    }
    moon_model_free(whole);
    moon_free(path);
    drop(&s);
  }
}

typedef struct fresh {
  const setup *s;
  moon_model *model;
} fresh;

static moon_status fit_again(void *self) {
  const fresh *f = self;
  moon_fit_report report;
  return moon_fit(f->model, f->s->d, train_of(f->s), &(moon_fit_options){.threads = 1}, &report);
}

static void no_memory_is_said_and_leaks_nothing(void **state) {
  (void)state;
  for (size_t c = 0; c < CASES; c++) {
    setup s = make_of(300, cases[c].options, cases[c].model);
    fresh f = {&s, NULL};
    stand_still(&s); /* so that a model that a failure leaves half trained is as before */
    set(&s, "ahead", json_integer(0));
    set(&s, "batch", json_integer(1000));
    OK(shoplet_model(s.plan, s.d, 1, &f.model));
    assert_true(exhaust(fit_again, &f) > 10);
    moon_model_free(f.model);
    drop(&s);
  }
}

/* ---- what is refused ---------------------------------------------------------------------------------------------------------------------------- */

static void refused(const setup *s, const char *says) {
  moon_model *model;
  moon_fit_report report;
  OK(shoplet_model(s->plan, s->d, 1, &model));
  REFUSED(MOON_EINVAL, says, moon_fit(model, s->d, train_of(s), NULL, &report));
  moon_model_free(model);
}

static void what_does_not_fit_is_refused_with_what_to_change(void **state) {
  (void)state;
  static const struct {
    const char *options, *model, *says;
  } all[] = {
      {"{\"stride\":0}", recurrent, "stride must be a whole number from 1 on"},
      {"{\"mask\":1.5}", cloze, "mask must be above 0 and below 1, not 1.5"},
      {"{\"negatives\":0}", recurrent, "negatives must be a whole number from 1 to 65536"},
      {"{\"negatives\":5,\"power\":-1}", recurrent, "power must be from 0 to 10, not -1"},
      {"[]", recurrent, "must be an object"},
      {"{\"mask\":0.2}", causal, "r:13: sequential: hides nothing"},
      {"{}", MODEL("{\"type\":\"transformer\",\"where\":\"r:14\"}" LAST), "r:14: transformer: lets a step look at later ones"},
      {"{}", MODEL("{\"type\":\"pool\",\"mode\":\"mean\",\"where\":\"r:15\"}"), "r:15: pool: takes more than the last step"},
  };
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    setup s = make(all[i].options, all[i].model);
    json_t *tree;
    refused(&s, all[i].says);
    REFUSED(MOON_EINVAL, all[i].says, moon_recipe_describe(s.plan, &tree)); /* without data, too */
    drop(&s);
  }
  setup s = make("{}", recurrent);
  set(&s, "loss", json_string("bce"));
  refused(&s, "training on sequences needs loss = \"softmax\", not \"bce\"");
  drop(&s);
}

static void a_history_of_one_is_no_sequence(void **state) {
  (void)state;
  setup s = {.plan = shoplet_json(), .folder = shoplet_make(900)};
  json_object_set_new(json_object_get(s.plan, "model"), "layers", json_loads(recurrent, 0, NULL));
  json_object_set_new(json_array_get(json_object_get(s.plan, "features"), 6), "last", json_integer(1));
  set(&s, "loss", json_string("softmax"));
  set(&s, "sequences", json_object());
  OK(shoplet_dataset(s.folder, s.plan, &s.d));
  refused(&s, "needs a history of 2 steps or more");
  drop(&s);
}

/* Everybody's first success is all there is, or all that trains. */
static void where_nobody_has_two_there_is_nothing_to_train_on(void **state) {
  (void)state;
  setup s = make("{}", recurrent);
  for (size_t i = 0; i < s.d->examples.n; i++)
    if (s.d->part[i] == MOON_TRAIN) s.d->part[i] = MOON_VALIDATION;
  refused(&s, "nobody has two successes in the training part");
  memset(s.d->inputs.bags, 0, s.d->examples.n * s.d->plan->bag_length * sizeof *s.d->inputs.bags);
  memset(s.d->part, MOON_TRAIN, s.d->examples.n);
  refused(&s, "nobody has two successes in the training part");
  drop(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(steps_are_those_of_the_history_and_successes_of_the_training_part),
      cmocka_unit_test(every_success_that_follows_on_something_is_in_a_window),
      cmocka_unit_test(the_loss_is_that_of_each_step_by_itself),
      cmocka_unit_test(what_is_drawn_counts_for_how_unlikely_it_was),
      cmocka_unit_test(a_large_sample_is_as_good_as_all_items),
      cmocka_unit_test(validation_is_as_without_sequences),
      cmocka_unit_test(a_cloze_hides_about_what_it_should_and_always_the_end),
      cmocka_unit_test(what_comes_next_is_learned),
      cmocka_unit_test(weights_are_those_of_the_steps),
      cmocka_unit_test(threads_and_laying_ahead_do_not_show),
      cmocka_unit_test(a_resumed_fit_ends_as_if_never_broken_off),
      cmocka_unit_test(no_memory_is_said_and_leaks_nothing),
      cmocka_unit_test(what_does_not_fit_is_refused_with_what_to_change),
      cmocka_unit_test(a_history_of_one_is_no_sequence),
      cmocka_unit_test(where_nobody_has_two_there_is_nothing_to_train_on),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

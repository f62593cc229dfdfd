/* test_rank_fit.c - fitting learns, repeats itself to the bit, keeps the best weights, and stops at nonsense; scoring agrees with it. */
#include "rank/fit.h"
#include "shoplet.h"

typedef struct setup {
  json_t *plan;
  char *folder;
  moon_dataset *d;
} setup;

static int up(void **state) {
  setup *s = calloc(1, sizeof *s);
  s->plan = shoplet_json();
  s->folder = shoplet_make(800);
  OK(shoplet_dataset(s->folder, s->plan, &s->d));
  *state = s;
  return 0;
}
static int down(void **state) {
  setup *s = *state;
  moon_dataset_free(s->d);
  json_decref(s->plan);
  shoplet_remove(s->folder);
  free(s);
  return 0;
}

static json_t *train_of(const setup *s) {
  return json_object_get(s->plan, "train");
}

static moon_model *fitted(const setup *s, uint64_t seed, moon_fit_report *report) {
  moon_model *model;
  json_object_set_new(train_of(s), "seed", json_integer((json_int_t)seed));
  OK(shoplet_model(s->plan, s->d, seed, &model));
  OK(moon_fit(model, s->d, train_of(s), NULL, report));
  return model;
}

static void assert_same_weights(const moon_model *a, const moon_model *b, bool same) {
  moon_buf x = {0}, y = {0};
  OK(moon_model_save(a, &x));
  OK(moon_model_save(b, &y));
  assert_int_equal(x.n, y.n);
  assert_int_equal(memcmp(x.data, y.data, x.n) == 0, same);
  moon_buf_free(&x);
  moon_buf_free(&y);
}

static void loss_goes_down_and_beats_the_base_rate(void **state) {
  setup *s = *state;
  moon_fit_report report;
  json_object_set_new(train_of(s), "epochs", json_integer(30));
  moon_model *model = fitted(s, 1, &report);
  assert_true(report.train_loss[29] < report.train_loss[0]);
  double positives = 0;
  for (size_t i = 0; i < s->d->part_n[0]; i++) positives += s->d->examples.label[i];
  double rate = positives / (double)s->d->part_n[0];
  assert_true(report.train_loss[29] < -rate * log(rate) - (1 - rate) * log(1 - rate) - 0.05);
  assert_int_equal(report.steps, 30 * ((s->d->part_n[0] + 15) / 16));
  moon_model_free(model);
}

static void same_seed_same_weights_other_seed_others(void **state) {
  setup *s = *state;
  moon_fit_report report;
  moon_model *a = fitted(s, 7, &report), *b = fitted(s, 7, &report), *c = fitted(s, 8, &report);
  assert_same_weights(a, b, true);
  assert_same_weights(a, c, false);
  moon_model_free(a);
  moon_model_free(b);
  moon_model_free(c);
}

static void patience_keeps_the_best_epoch(void **state) {
  setup *s = *state;
  moon_fit_report report, shorter;
  json_object_set_new(train_of(s), "epochs", json_integer(60));
  json_object_set_new(train_of(s), "patience", json_integer(2));
  json_object_set_new(json_object_get(train_of(s), "optimizer"), "lr", json_real(0.05)); /* overfits soon */
  moon_model *best = fitted(s, 3, &report);
  assert_true(report.epochs_run < 60);
  assert_int_equal(report.epochs_run, report.best_epoch + 2);
  for (size_t i = 0; i < report.epochs_run; i++) assert_true(report.valid_loss[report.best_epoch - 1] <= report.valid_loss[i]);
  json_object_set_new(train_of(s), "epochs", json_integer((json_int_t)report.best_epoch));
  json_object_set_new(train_of(s), "patience", json_integer(0));
  moon_model *plain = fitted(s, 3, &shorter);
  assert_same_weights(best, plain, true);
  moon_model_free(best);
  moon_model_free(plain);
}

static void what_is_not_finite_is_named(void **state) {
  setup *s = *state;
  moon_model *model;
  moon_fit_report report;
  size_t slots = s->d->plan->dense_slots;
  json_object_set_new(json_object_get(train_of(s), "optimizer"), "lr", json_real(1e30));
  OK(shoplet_model(s->plan, s->d, 1, &model));
  moon_status status = moon_fit(model, s->d, train_of(s), NULL, &report);
  assert_int_equal(status.code, MOON_EINVAL);
  assert_non_null(strstr(status.message, "epoch 1, step "));
  if (!strstr(status.message, "weights \"") && !strstr(status.message, "dense")) fail_msg("%s", status.message);
  moon_model_free(model);
  s->d->inputs.dense[5 * slots + 2] = NAN; /* its mean is NaN too, and so are all third numbers */
  OK(shoplet_model(s->plan, s->d, 1, &model));
  REFUSED(MOON_EINVAL, "epoch 1, step 1: number 3 of the inputs", moon_fit(model, s->d, train_of(s), NULL, &report));
  moon_model_free(model);
}

static bool cancel(void *self, const char *stage, double fraction, const char *note) {
  (void)stage, (void)fraction, (void)note;
  return --*(int *)self > 0;
}

/* A hook that is called after each step and does to the fit what a test wants. */
typedef struct hook {
  size_t stop_at, fail_from, fail_to, calls; /* by step; 0: never */
  double lr, loss;
  moon_code code; /* answered at stop_at instead of stopping */
} hook;

static moon_status hooked(void *self, uint32_t fn, const moon_fit_info *info, bool *stop) {
  hook *h = self;
  h->calls++;
  h->lr = info->lr, h->loss = info->loss;
  assert_true(fn == 1 || fn == 2);
  assert_int_equal(isnan(info->validation_loss), fn == 2);
  if (info->step == h->fail_from) moon_alloc_fail_at(1);
  if (info->step == h->fail_to) moon_alloc_fail_at(0);
  if (info->step != h->stop_at) return moon_ok();
  *stop = true;
  return h->code ? moon_fail(h->code, "the hook says so") : moon_ok();
}

static void hook_steps(const setup *s) {
  json_object_set_new(train_of(s), "on_step", json_pack("{s:i, s:i}", "fn", 2, "every", 1));
}

/* epochs: as many as make the batches go round some times. */
static moon_model *fitted_with(const setup *s, const moon_fit_options *options, moon_fit_report *report) {
  moon_model *model;
  OK(shoplet_model(s->plan, s->d, 1, &model));
  OK(moon_fit(model, s->d, train_of(s), options, report));
  return model;
}

static void threads_and_laying_ahead_do_not_show(void **state) {
  setup *s = *state;
  static const int batches[] = {16, 300, 512};
  assert_true(s->d->part_n[0] > 512);
  for (size_t b = 0; b < 3; b++) {
    moon_fit_report report;
    json_object_set_new(train_of(s), "batch", json_integer(batches[b]));
    json_object_set_new(train_of(s), "epochs", json_integer(4));
    json_object_set_new(train_of(s), "ahead", json_integer(0));
    moon_model *plain = fitted_with(s, &(moon_fit_options){.threads = 1}, &report);
    for (size_t threads = 1; threads <= 5; threads++) {
      json_object_set_new(train_of(s), "ahead", json_integer((json_int_t)threads - 1));
      moon_model *other = fitted_with(s, &(moon_fit_options){.threads = threads}, &report);
      assert_same_weights(plain, other, true);
      moon_model_free(other);
    }
    moon_model_free(plain);
  }
}

/* Shards and their held gradients against one tape over the whole batch: the same up to rounding. */
static void shards_sum_to_the_whole_batch(void **state) {
  setup *s = *state;
  moon_fit_report report;
  size_t n = s->d->part_n[0] < 512 ? s->d->part_n[0] : 512;
  json_object_set_new(train_of(s), "batch", json_integer((json_int_t)n));
  json_object_set_new(train_of(s), "epochs", json_integer(1));
  json_object_set_new(train_of(s), "optimizer", json_pack("{s:s, s:f}", "type", "sgd", "lr", 0.5));
  assert_true(moon_shard_count(n, false) > 1);
  hook h = {.stop_at = 1};
  hook_steps(s);
  moon_model *sharded = fitted_with(s, &(moon_fit_options){.functions = &(moon_fit_functions){&h, hooked}}, &report), *whole;
  assert_int_equal(report.steps, 1);
  OK(shoplet_model(s->plan, s->d, 1, &whole));
  for (size_t i = 0; i < s->d->plan->dense_slots; i++) {
    ((float *)moon_tensor_data(whole->mean))[i] = ((float *)moon_tensor_data(sharded->mean))[i];
    ((float *)moon_tensor_data(whole->scale))[i] = ((float *)moon_tensor_data(sharded->scale))[i];
  }
  uint32_t *order = calloc(s->d->examples.n, sizeof *order);
  size_t count = 0;
  for (size_t i = 0; i < s->d->examples.n; i++)
    if (s->d->part[i] == MOON_TRAIN) order[count++] = (uint32_t)i;
  moon_rng rng;
  moon_rng_seed(&rng, 1, 1);
  moon_rng_shuffle(&rng, order, count);
  moon_rows rows = {s->d, moon_tensor_data(whole->mean), moon_tensor_data(whole->scale), .width = 1};
  moon_block block;
  moon_tape *tape;
  moon_var out, target, loss;
  OK(moon_block_alloc(&block, &rows, n));
  moon_piece piece = moon_block_piece(&block, &rows, 0, n);
  moon_piece_fill(&piece, &rows, 1, order);
  OK(moon_tape_new(&tape));
  OK(moon_model_forward(whole, tape, &piece.inputs, &out));
  OK(moon_tape_constant(tape, MOON_F32, 1, &n, piece.target, &target));
  OK(moon_op_bce_logits(tape, out, target, &loss));
  NEAR(*(const float *)moon_var_data(tape, loss), h.loss, 1e-5);
  OK(moon_tape_backward(tape, loss));
  size_t touched = 0;
  for (size_t p = 0; p < whole->param_count; p++) {
    const moon_param *a = sharded->params[p], *b = whole->params[p];
    const float *w = moon_tensor_data(a->value), *start = moon_tensor_data(b->value), *g = moon_tensor_data(b->grad);
    for (size_t i = 0; i < moon_tensor_count(a->value); i++) NEAR(w[i], start[i] - 0.5 * g[i], 2e-6);
    touched += b->touched_n;
    assert_int_equal(a->touched_n, 0);
  }
  assert_true(touched > 0);
  moon_tape_free(tape);
  moon_block_free(&block);
  free(order);
  moon_model_free(sharded);
  moon_model_free(whole);
}

static void a_steady_step_allocates_nothing(void **state) {
  setup *s = *state;
  static const int batches[] = {16, 300};
  for (int b = 0; b < 2; b++) {
    moon_fit_report report;
    size_t in_epoch = (s->d->part_n[0] + (size_t)batches[b] - 1) / (size_t)batches[b];
    hook h = {.fail_from = 4 * in_epoch + 1, .fail_to = 5 * in_epoch - 1};
    if (h.fail_from == h.fail_to) h.fail_to++;
    json_object_set_new(train_of(s), "batch", json_integer(batches[b]));
    json_object_set_new(train_of(s), "epochs", json_integer(6));
    hook_steps(s);
    moon_model *model =
        fitted_with(s, &(moon_fit_options){.threads = 2, .functions = &(moon_fit_functions){&h, hooked}}, &report);
    assert_int_equal(h.calls, 6 * in_epoch);
    moon_model_free(model);
  }
}

/* ---- functions that watch ------------------------------------------------------------------------------------------------------------- */

static void functions_see_each_epoch_and_can_stop(void **state) {
  setup *s = *state;
  moon_fit_report report;
  size_t in_epoch = (s->d->part_n[0] + 15) / 16;
  hook h = {.stop_at = 2 * in_epoch};
  const moon_fit_functions functions = {&h, hooked};
  json_object_set_new(train_of(s), "on_epoch", json_integer(1));
  json_object_set_new(train_of(s), "epochs", json_integer(9));
  moon_model *stopped = fitted_with(s, &(moon_fit_options){.functions = &functions}, &report);
  assert_int_equal(h.calls, 2);
  assert_int_equal(report.epochs_run, 2);
  NEAR(h.loss, report.train_loss[1], 0);
  NEAR(h.lr, 0.01, 0);
  json_object_set_new(train_of(s), "epochs", json_integer(2));
  moon_model *plain = fitted_with(s, NULL, &report); /* without functions the plan's numbers are nothing */
  assert_same_weights(stopped, plain, true);
  h = (hook){.stop_at = in_epoch, .code = MOON_ESCRIPT};
  REFUSED(MOON_ESCRIPT, "hook says so",
          moon_fit(plain, s->d, train_of(s), &(moon_fit_options){.functions = &functions}, &report));
  moon_model_free(stopped);
  moon_model_free(plain);
}

static void a_stop_within_an_epoch_is_at_once(void **state) {
  setup *s = *state;
  moon_fit_report report;
  hook h = {.stop_at = 3};
  hook_steps(s);
  moon_model *model = fitted_with(s, &(moon_fit_options){.functions = &(moon_fit_functions){&h, hooked}}, &report);
  assert_int_equal(report.steps, 3);
  assert_int_equal(h.calls, 3);
  assert_int_equal(report.epochs_run, 1);
  moon_model_free(model);
}

/* ---- checkpoints ------------------------------------------------------------------------------------------------------------------------ */

static char *checkpoint_of(const setup *s) {
  return moon_path_join(s->folder, "fit.checkpoint");
}

/* A schedule, clipping, early stopping: everything that has a state. */
static void rich_training(const setup *s) {
  json_object_set_new(train_of(s), "epochs", json_integer(7));
  json_object_set_new(train_of(s), "batch", json_integer(150));
  json_object_set_new(train_of(s), "patience", json_integer(2));
  json_object_set_new(train_of(s), "optimizer",
                      json_pack("{s:s, s:f, s:f, s:{s:s, s:i}}", "type", "adamw", "lr", 0.05, "clip_norm", 0.7, "schedule",
                                "type", "cosine", "warmup", 5));
  hook_steps(s);
}

static void a_resumed_fit_ends_as_if_never_broken_off(void **state) {
  setup *s = *state;
  char *path = checkpoint_of(s);
  moon_fit_report report, whole_report;
  hook h = {0};
  const moon_fit_functions functions = {&h, hooked};
  rich_training(s);
  moon_model *whole = fitted_with(s, &(moon_fit_options){.functions = &functions}, &whole_report);
  size_t in_epoch = (s->d->part_n[0] + 149) / 150, last = whole_report.steps;
  assert_true(last > 3 * in_epoch);
  for (size_t at = 1; at <= last; at++) { /* broken off after every step there is */
    moon_model *model;
    h = (hook){.stop_at = at, .code = MOON_ESCRIPT};
    moon_fit_options options = {
        .functions = &functions, .checkpoint = path, .checkpoint_every = at % 3 + 1, .resume = true, .plan = s->plan};
    OK(shoplet_model(s->plan, s->d, 1, &model));
    REFUSED(MOON_ESCRIPT, "hook", moon_fit(model, s->d, train_of(s), &options, &report));
    moon_model_free(model);
    h = (hook){0};
    OK(shoplet_model(s->plan, s->d, 1, &model));
    OK(moon_fit(model, s->d, train_of(s), &options, &report));
    assert_int_equal(report.resumed, at > at % 3 + 1);
    assert_same_weights(whole, model, true);
    assert_int_equal(report.steps, whole_report.steps);
    assert_int_equal(report.best_epoch, whole_report.best_epoch);
    assert_int_equal(report.epochs_run, whole_report.epochs_run);
    assert_memory_equal(report.train_loss, whole_report.train_loss, sizeof report.train_loss);
    assert_memory_equal(report.valid_loss, whole_report.valid_loss, sizeof report.valid_loss);
    moon_model_free(model);
    moon_checkpoint_remove(path);
    assert_false(moon_file_exists(path));
  }
  moon_model_free(whole);
  moon_free(path);
}

/* As successive halving does it: so many epochs, a look at the model, and more of them. */
static void a_fit_in_parts_ends_as_one_piece(void **state) {
  setup *s = *state;
  char *path = checkpoint_of(s);
  moon_fit_report report, whole_report;
  rich_training(s);
  hook h = {0};
  const moon_fit_functions functions = {&h, hooked};
  moon_model *whole = fitted_with(s, &(moon_fit_options){.functions = &functions}, &whole_report), *model = NULL;
  assert_true(whole_report.epochs_run > 3);
  for (size_t until = 1; until <= whole_report.epochs_run; until++) {
    moon_model_free(model);
    OK(shoplet_model(s->plan, s->d, 1, &model));
    moon_fit_options options = {.functions = &functions, .checkpoint = path, .checkpoint_every = SIZE_MAX, .resume = true, .until = until};
    OK(moon_fit(model, s->d, train_of(s), &options, &report));
    assert_int_equal(report.resumed, until > 1);
    assert_int_equal(report.epochs_run, until);
    assert_memory_equal(report.valid_loss, whole_report.valid_loss, until * sizeof *report.valid_loss);
    if (until == 2) { /* to the same place once more: nothing happens twice */
      moon_model *again;
      OK(shoplet_model(s->plan, s->d, 1, &again));
      OK(moon_fit(again, s->d, train_of(s), &options, &report));
      assert_same_weights(model, again, true);
      moon_model_free(again);
    }
  }
  assert_same_weights(whole, model, true);
  assert_int_equal(report.best_epoch, whole_report.best_epoch);
  moon_checkpoint_remove(path);
  moon_model_free(model);
  moon_model_free(whole);
  moon_free(path);
}

static void an_interruption_leaves_a_checkpoint(void **state) {
  setup *s = *state;
  char *path = checkpoint_of(s);
  moon_fit_report report;
  moon_model *model, *whole;
  int left = 2;
  const moon_progress progress = {cancel, &left};
  json_object_set_new(train_of(s), "epochs", json_integer(5));
  whole = fitted_with(s, NULL, &report);
  OK(shoplet_model(s->plan, s->d, 1, &model));
  moon_fit_options options = {.progress = &progress, .checkpoint = path, .checkpoint_every = 1000000, .resume = true};
  REFUSED(MOON_ECANCELED, "fit.checkpoint holds what was done", moon_fit(model, s->d, train_of(s), &options, &report));
  options.progress = NULL;
  OK(moon_fit(model, s->d, train_of(s), &options, &report));
  assert_true(report.resumed);
  assert_same_weights(whole, model, true);
  moon_model_free(model);
  moon_model_free(whole);
  moon_free(path);
}

static void a_checkpoint_of_another_fit_is_refused(void **state) {
  setup *s = *state;
  char *path = checkpoint_of(s);
  moon_fit_report report;
  moon_model *model;
  moon_fit_options options = {.checkpoint = path, .checkpoint_every = 3, .plan = s->plan};
  moon_model_free(fitted_with(s, &options, &report));
  assert_true(report.checkpoints > 0);
  options.resume = true;
  OK(shoplet_model(s->plan, s->d, 1, &model));
  json_t *train = json_deep_copy(train_of(s)), *optimizer = json_object_get(train, "optimizer");
  json_object_set_new(train, "seed", json_integer(77));
  REFUSED(MOON_EINVAL, "seed was 1 and is 77 now", moon_fit(model, s->d, train, &options, &report));
  json_object_set_new(train, "seed", json_integer(1));
  json_object_set_new(train, "patience", json_integer(4));
  REFUSED(MOON_EINVAL, "patience was 0 and is 4 now", moon_fit(model, s->d, train, &options, &report));
  json_object_set_new(train, "patience", json_integer(0));
  json_object_set_new(optimizer, "lr", json_real(0.02));
  REFUSED(MOON_EINVAL, "optimizer was", moon_fit(model, s->d, train, &options, &report));
  json_object_set_new(optimizer, "lr", json_real(0.01));
  json_object_set_new(train, "threads", json_integer(2)); /* a manner, not a matter */
  OK(moon_fit(model, s->d, train, &options, &report));
  assert_true(report.resumed);
  s->d->inputs.dense[3] += 1;
  REFUSED(MOON_EINVAL, "data: inputs and labels", moon_fit(model, s->d, train, &options, &report));
  s->d->inputs.dense[3] -= 1;
  json_t *plan = json_deep_copy(s->plan);
  json_object_set_new(json_object_get(plan, "label"), "within_us", json_integer(1));
  options.plan = plan;
  REFUSED(MOON_EINVAL, "another recipe: label", moon_fit(model, s->d, train, &options, &report));
  options.plan = s->plan;
  moon_model_free(model);
  json_object_set_new(json_array_get(json_object_get(json_object_get(plan, "model"), "layers"), 0), "units", json_integer(9));
  OK(shoplet_model(plan, s->d, 1, &model));
  REFUSED(MOON_EINVAL, "0.weight", moon_fit(model, s->d, train, &options, &report));
  moon_model_free(model);
  json_decref(plan);
  json_decref(train);
  moon_free(path);
}

static void a_broken_checkpoint_is_refused_whole(void **state) {
  setup *s = *state;
  char *path = checkpoint_of(s);
  moon_fit_report report;
  moon_model *model;
  moon_fit_options options = {.checkpoint = path, .checkpoint_every = 3};
  moon_model_free(fitted_with(s, &options, &report));
  moon_buf bytes = {0}, before = {0}, after = {0};
  OK(moon_file_read(path, 0, &bytes));
  OK(shoplet_model(s->plan, s->d, 1, &model));
  OK(moon_fit(model, s->d, train_of(s), NULL, &report));
  OK(moon_model_save(model, &before));
  options.resume = true;
  for (size_t cut = 23; cut < bytes.n; cut += bytes.n / 40 + 1) {
    OK(moon_file_write(path, bytes.data, cut));
    REFUSED(MOON_EFORMAT, "not a whole checkpoint", moon_fit(model, s->d, train_of(s), &options, &report));
    OK(moon_file_write(path, bytes.data, bytes.n));
    char flipped = bytes.data[cut] ^ 4;
    memcpy(bytes.data + cut, &flipped, 1);
    OK(moon_file_write(path, bytes.data, bytes.n));
    REFUSED(MOON_EFORMAT, "SHA-256", moon_fit(model, s->d, train_of(s), &options, &report));
    bytes.data[cut] ^= 4;
  }
  OK(moon_model_save(model, &after));
  assert_memory_equal(before.data, after.data, before.n);
  OK(moon_file_write(path, "my diary\n", 9));
  REFUSED(MOON_EINVAL, "is not a checkpoint", moon_fit(model, s->d, train_of(s), &options, &report));
  options.resume = false;
  REFUSED(MOON_EINVAL, "is not a checkpoint", moon_fit(model, s->d, train_of(s), &options, &report));
  moon_buf_free(&bytes);
  moon_buf_free(&before);
  moon_buf_free(&after);
  moon_model_free(model);
  moon_free(path);
}

/* Each allocation of a fit that writes checkpoints, keeps best weights and resumes, failing in turn. */
static void no_memory_is_said_and_leaks_nothing(void **state) {
  setup *s = *state;
  char *path = checkpoint_of(s);
  json_object_set_new(train_of(s), "epochs", json_integer(2));
  json_object_set_new(train_of(s), "batch", json_integer(300));
  json_object_set_new(train_of(s), "patience", json_integer(1));
  moon_fit_options options = {.checkpoint = path, .checkpoint_every = 2, .resume = true, .threads = 2};
  for (int resumed = 0; resumed < 2; resumed++) {
    for (size_t n = 1;; n++) {
      moon_model *model;
      moon_fit_report report;
      if (!resumed) moon_checkpoint_remove(path);
      OK(shoplet_model(s->plan, s->d, 1, &model));
      moon_alloc_fail_at(n);
      moon_status status = moon_fit(model, s->d, train_of(s), &options, &report);
      moon_alloc_fail_at(0);
      moon_model_free(model);
      if (!status.code) {
        assert_int_equal(report.resumed, resumed);
        assert_true(n > 20);
        break;
      }
      if (status.code != MOON_ENOMEM) fail_msg("allocation %zu: %s", n, status.message);
    }
  }
  moon_free(path);
}

/* ---- what a loss is made of ---------------------------------------------------------------------------------------------------------------- */

/* The mean prediction over the training part. */
static double mean_score(const setup *s, const moon_model *model) {
  moon_arena arena = {0};
  float *scores = calloc(s->d->examples.n, sizeof *scores);
  double sum = 0;
  OK(moon_model_score(model, &s->d->inputs, s->d->examples.n, &arena, scores));
  for (size_t i = 0; i < s->d->part_n[0]; i++) sum += scores[i];
  free(scores);
  moon_arena_free(&arena);
  return sum / (double)s->d->part_n[0];
}

static void weights_pull_the_predictions(void **state) {
  setup *s = *state;
  moon_fit_report report;
  json_object_set_new(train_of(s), "epochs", json_integer(15));
  moon_model *plain = fitted_with(s, NULL, &report);
  json_object_set_new(train_of(s), "positive_weight", json_real(20));
  moon_model *heavy = fitted_with(s, NULL, &report);
  assert_true(mean_score(s, heavy) > mean_score(s, plain) + 0.1);
  json_object_set_new(train_of(s), "positive_weight", json_real(1)); /* the same by weights of examples */
  moon_column *column;
  OK(moon_table_add_column(s->d->log->table, "w", MOON_NUMBER, &column));
  double *by_row = calloc(s->d->log->table->rows, sizeof *by_row);
  for (size_t i = 0; i < s->d->log->table->rows; i++) by_row[i] = 1;
  for (size_t i = 0; i < s->d->examples.n; i++)
    if (s->d->examples.label[i] > 0) by_row[s->d->log->events[s->d->examples.event[i]].row] = 20;
  for (size_t i = 0; i < s->d->log->table->rows; i++) column->f64[i] = by_row[i];
  json_object_set_new(train_of(s), "weight", json_string("w"));
  moon_model *weighted = fitted_with(s, NULL, &report);
  NEAR(mean_score(s, weighted), mean_score(s, heavy), 0.02);
  column->f64[s->d->log->events[s->d->examples.event[3]].row] = -1;
  REFUSED(MOON_EINVAL, "'w' of events.csv holds -1", moon_fit(plain, s->d, train_of(s), NULL, &report));
  json_object_set_new(train_of(s), "weight", json_string("ww"));
  REFUSED(MOON_ENOTFOUND, "'ww'", moon_fit(plain, s->d, train_of(s), NULL, &report));
  free(by_row);
  moon_model_free(plain);
  moon_model_free(heavy);
  moon_model_free(weighted);
}

static void mse_fits_with_and_without_weights(void **state) {
  setup *s = *state;
  moon_fit_report a, b;
  moon_column *column;
  OK(moon_table_add_column(s->d->log->table, "one", MOON_NUMBER, &column));
  for (size_t i = 0; i < s->d->log->table->rows; i++) column->f64[i] = 1;
  json_t *layers = json_object_get(json_object_get(s->plan, "model"), "layers");
  json_object_set_new(json_array_get(layers, 1), "activation", json_string("linear"));
  json_object_set_new(train_of(s), "loss", json_string("mse"));
  json_object_set_new(train_of(s), "epochs", json_integer(5));
  moon_model *plain = fitted_with(s, NULL, &a);
  json_object_set_new(train_of(s), "weight", json_string("one"));
  moon_model *weighted = fitted_with(s, NULL, &b);
  assert_true(a.train_loss[4] < a.train_loss[0]);
  for (int i = 0; i < 5; i++) NEAR(a.train_loss[i], b.train_loss[i], 1e-5);
  moon_model_free(plain);
  moon_model_free(weighted);
}

static void wrong_training_options_are_refused(void **state) {
  setup *s = *state;
  moon_model *model;
  moon_fit_report report;
  OK(shoplet_model(s->plan, s->d, 1, &model));
  json_object_set_new(train_of(s), "epochs", json_integer(0));
  REFUSED(MOON_EINVAL, "epochs", moon_fit(model, s->d, train_of(s), NULL, &report));
  json_object_set_new(train_of(s), "epochs", json_integer(1));
  json_object_set_new(train_of(s), "loss", json_string("hinge"));
  REFUSED(MOON_EINVAL, "hinge", moon_fit(model, s->d, train_of(s), NULL, &report));
  moon_model_free(model);
}

static void progress_can_cancel(void **state) {
  setup *s = *state;
  moon_model *model;
  moon_fit_report report;
  int left = 2;
  const moon_progress progress = {cancel, &left};
  OK(shoplet_model(s->plan, s->d, 1, &model));
  REFUSED(MOON_ECANCELED, "interrupted", moon_fit(model, s->d, train_of(s), &(moon_fit_options){.progress = &progress}, &report));
  moon_model_free(model);
}

/* The compiled scorer against the tape that trained: one row at a time, so that tiles and shared bags are covered too. */
static void scores_agree_with_the_tape(void **state) {
  setup *s = *state;
  moon_fit_report report;
  moon_model *model = fitted(s, 1, &report);
  const moon_feature_plan *plan = s->d->plan;
  size_t n = s->d->examples.n;
  float *scores = calloc(n, sizeof *scores), dense[16];
  moon_arena arena = {0};
  moon_tape *tape;
  OK(moon_tape_new(&tape));
  OK(moon_model_score(model, &s->d->inputs, n, &arena, scores));
  for (size_t i = 0; i < n; i++) {
    moon_var out;
    for (size_t k = 0; k < plan->dense_slots; k++)
      dense[k] = (s->d->inputs.dense[i * plan->dense_slots + k] - ((float *)moon_tensor_data(model->mean))[k]) *
                 ((float *)moon_tensor_data(model->scale))[k];
    moon_batch row = {1, dense, s->d->inputs.ids + i * plan->id_slots, s->d->inputs.bags + i * plan->bag_length};
    moon_tape_reset(tape);
    OK(moon_model_forward(model, tape, &row, &out));
    NEAR(scores[i], 1 / (1 + exp(-*(const float *)moon_var_data(tape, out))), 1e-5);
  }
  moon_tape_free(tape);
  moon_arena_free(&arena);
  free(scores);
  moon_model_free(model);
}

static void weights_of_another_model_are_refused_whole(void **state) {
  setup *s = *state;
  moon_model *a, *b;
  moon_buf bytes = {0}, before = {0}, after = {0};
  OK(shoplet_model(s->plan, s->d, 1, &a));
  json_t *layer = json_array_get(json_object_get(json_object_get(s->plan, "model"), "layers"), 0);
  json_object_set_new(layer, "units", json_integer(9));
  OK(shoplet_model(s->plan, s->d, 2, &b));
  OK(moon_model_save(b, &bytes));
  OK(moon_model_save(a, &before));
  moon_status status = moon_model_load(a, bytes.data, bytes.n);
  assert_int_not_equal(status.code, MOON_OK);
  assert_non_null(strstr(status.message, "0.weight"));
  OK(moon_model_save(a, &after));
  assert_memory_equal(before.data, after.data, before.n);
  moon_buf_free(&bytes);
  moon_buf_free(&before);
  moon_buf_free(&after);
  moon_model_free(a);
  moon_model_free(b);
}

static void broken_models_name_their_line(void **state) {
  setup *s = *state;
  moon_model *model;
  json_t *layer = json_array_get(json_object_get(json_object_get(s->plan, "model"), "layers"), 0);
  json_object_set_new(layer, "activation", json_string("rellu"));
  REFUSED(MOON_EINVAL, "r:12", shoplet_model(s->plan, s->d, 1, &model));
  json_object_set_new(layer, "activation", json_string("relu"));
  json_object_set_new(layer, "type", json_string("conv"));
  REFUSED(MOON_EINVAL, "conv", shoplet_model(s->plan, s->d, 1, &model));
  assert_null(model);
}

/* A model that looks at its batch as a whole is not cut, and the batches laid out ahead are not either. */
static void batch_statistics_are_of_the_whole_batch(void **state) {
  setup *s = *state;
  moon_fit_report report;
  json_array_insert_new(json_object_get(json_object_get(s->plan, "model"), "layers"), 1, json_pack("{s:s, s:s}", "type", "batch_norm", "where", "r:12"));
  json_object_set_new(train_of(s), "batch", json_integer(300));
  moon_model *ahead = fitted_with(s, &(moon_fit_options){.threads = 3}, &report);
  assert_false(moon_model_splits(ahead));
  json_object_set_new(train_of(s), "ahead", json_integer(0));
  moon_model *plain = fitted_with(s, &(moon_fit_options){.threads = 1}, &report);
  assert_same_weights(ahead, plain, true);
  moon_model_free(ahead);
  moon_model_free(plain);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, up, down)
  const struct CMUnitTest tests[] = {
      CASE(loss_goes_down_and_beats_the_base_rate),
      CASE(same_seed_same_weights_other_seed_others),
      CASE(patience_keeps_the_best_epoch),
      CASE(what_is_not_finite_is_named),
      CASE(threads_and_laying_ahead_do_not_show),
      CASE(batch_statistics_are_of_the_whole_batch),
      CASE(shards_sum_to_the_whole_batch),
      CASE(a_steady_step_allocates_nothing),
      CASE(functions_see_each_epoch_and_can_stop),
      CASE(a_stop_within_an_epoch_is_at_once),
      CASE(a_resumed_fit_ends_as_if_never_broken_off),
      CASE(a_fit_in_parts_ends_as_one_piece),
      CASE(an_interruption_leaves_a_checkpoint),
      CASE(a_checkpoint_of_another_fit_is_refused),
      CASE(a_broken_checkpoint_is_refused_whole),
      CASE(no_memory_is_said_and_leaks_nothing),
      CASE(weights_pull_the_predictions),
      CASE(mse_fits_with_and_without_weights),
      CASE(wrong_training_options_are_refused),
      CASE(progress_can_cancel),
      CASE(scores_agree_with_the_tape),
      CASE(weights_of_another_model_are_refused_whole),
      CASE(broken_models_name_their_line),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

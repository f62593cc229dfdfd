/* fit_tensor.c - the loop that trains a module over tensors: rows are gathered into one batch's memory, which the tapes borrow. A batch is
 * cut into shards as crew.h has it, so the weights do not depend on how many threads there are. */
#include "nn/fit_tensor.h"

#include <math.h>
#include <string.h>

#include "nn/crew.h"
#include "nn/layer.h"

enum { PREDICT_ROWS = 256 };

static const char *const loss_names[] = {"bce", "bce_logits", "mse", "cross_entropy"};
enum { LOSSES = sizeof loss_names / sizeof *loss_names };

moon_status moon_fit_loss_parse(const char *name, moon_fit_loss *out) {
  for (int i = 0; i < LOSSES; i++) {
    *out = (moon_fit_loss)i;
    if (!strcmp(name, loss_names[i])) return moon_ok();
  }
  const char *near = moon_nearest(name, loss_names, LOSSES);
  return moon_fail(MOON_EINVAL, "there is no loss '%s'%s%s%s", name,
                   near ? "; did you mean '" : "; there are bce, bce_logits, mse and cross_entropy", near ? near : "",
                   near ? "'?" : "");
}

/* ---- rows ------------------------------------------------------------------------------------------------------------------ */

/* The rows from `at` on. */
static moon_rows rows_from(const moon_rows *all, size_t at, moon_dtype dtype) {
  moon_rows some = *all;
  if (some.numbers) some.numbers = (const char *)some.numbers + at * all->each * moon_dtype_size(dtype);
  if (some.ids) some.ids += at * all->each;
  if (some.lengths) some.lengths += at;
  return some;
}

static void copy_rows(const void *from, const void *into, const uint32_t *order, size_t n, size_t bytes) {
  char *to = (char *)(uintptr_t)into; /* the batch's own memory */
  for (size_t i = 0; from && bytes && i < n; i++) memcpy(to + i * bytes, (const char *)from + order[i] * bytes, bytes);
}

static void gather_rows(const moon_rows *all, const moon_rows *one, moon_dtype dtype, const uint32_t *order, size_t n) {
  copy_rows(all->numbers, one->numbers, order, n, all->each * moon_dtype_size(dtype));
  copy_rows(all->ids, one->ids, order, n, all->each * sizeof *all->ids);
  copy_rows(all->lengths, one->lengths, order, n, sizeof *all->lengths);
}

/* ---- a lane: a tape, and what goes over it ------------------------------------------------------------------------------------ */

typedef struct lane {
  const moon_module *module;
  moon_tape *tape;
  moon_rows *inputs;  /* [module->input_count] of the rows at hand */
  moon_value *values; /* [module->input_count] */
  moon_rows target;
} lane;

static moon_status lane_new(const moon_module *module, moon_arena *arena, lane *l) {
  *l = (lane){.module = module};
  MOON_TRY(moon_tape_new(&l->tape));
  moon_tape_keep_grads(l->tape, false);
  moon_tape_set_account(l->tape, moon_account_here());
  l->inputs = moon_arena_calloc(arena, module->input_count * sizeof *l->inputs);
  l->values = moon_arena_calloc(arena, module->input_count * sizeof *l->values);
  return l->inputs && l->values ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory for the inputs of a model");
}

/* [n, shape...] */
static int with_rows(const moon_form *form, size_t n, size_t shape[MOON_MAX_DIMS]) {
  shape[0] = n;
  for (int d = 0; d < form->dims; d++) shape[d + 1] = form->shape[d];
  return form->dims + 1;
}

/* The module's output for the lane's rows. */
static moon_status forward(lane *l, moon_pass pass, moon_var *y) {
  const moon_module *module = l->module;
  for (size_t i = 0; i < module->input_count; i++) {
    const moon_rows *rows = &l->inputs[i];
    moon_value *value = &l->values[i];
    *value = (moon_value){.ids = rows->ids, .lengths = rows->lengths};
    size_t shape[MOON_MAX_DIMS];
    int dims = with_rows(&module->inputs[i], pass.rows, shape);
    if (rows->numbers) MOON_TRY(moon_tape_constant(l->tape, module->dtype, dims, shape, rows->numbers, &value->x));
  }
  pass.tape = l->tape;
  pass.inputs = l->values;
  return moon_module_forward(module, &pass, y);
}

static bool all_finite(moon_dtype dtype, const void *numbers, size_t n, size_t *at) {
  for (*at = 0; *at < n; ++*at)
    if (!isfinite(dtype == MOON_F32 ? (double)((const float *)numbers)[*at] : ((const double *)numbers)[*at])) return false;
  return true;
}

/* What is not finite in the data would soon be in all weights, and nobody would know from where. */
static moon_status check_numbers(const moon_tensor_fit *fit) {
  const moon_module *module = fit->module;
  for (size_t i = 0; i <= module->input_count; i++) {
    bool is_input = i < module->input_count;
    const moon_rows *rows = is_input ? &fit->inputs[i] : &fit->target;
    size_t at;
    if (rows->numbers && !all_finite(module->dtype, rows->numbers, fit->rows * rows->each, &at))
      return moon_fail(MOON_EINVAL, "number %zu of row %zu of %s is not finite", at % rows->each + 1, at / rows->each + 1,
                       is_input ? module->inputs[i].name : "y");
  }
  return moon_ok();
}

/* ---- the loss -------------------------------------------------------------------------------------------------------------- */

static moon_status put_loss(const lane *l, moon_fit_loss loss, moon_var y, moon_var *out) {
  moon_tape *tape = l->tape;
  moon_var target;
  if (loss == MOON_FIT_CROSS_ENTROPY) return moon_op_cross_entropy(tape, y, l->target.ids, MOON_NONE, NULL, out);
  MOON_TRY(
      moon_tape_constant(tape, l->module->dtype, moon_var_dims(tape, y), moon_var_shape(tape, y), l->target.numbers, &target));
  if (loss == MOON_FIT_MSE) return moon_op_mse(tape, y, target, out);
  return loss == MOON_FIT_BCE ? moon_op_bce(tape, y, target, out) : moon_op_bce_logits(tape, y, target, out);
}

static double number_of(const moon_tape *tape, moon_var v) {
  const void *x = moon_var_data(tape, v);
  return moon_var_dtype(tape, v) == MOON_F32 ? (double)*(const float *)x : *(const double *)x;
}

static moon_status check_target(const moon_tensor_fit *fit) {
  const moon_form *out = moon_module_out(fit->module);
  size_t count = 1;
  for (int d = 0; d < out->dims; d++) count *= out->shape[d];
  if (out->ids) return moon_fail(MOON_EINVAL, "the model answers ids, which have no loss");
  if (fit->loss != MOON_FIT_CROSS_ENTROPY) {
    if (fit->target.numbers && fit->target.each == count) return moon_ok();
    return moon_fail(MOON_EINVAL, "loss %s: the model answers %s, the target has %zu numbers a row", loss_names[fit->loss],
                     moon_form_write(out).text, fit->target.each);
  }
  if (out->dims != 1)
    return moon_fail(MOON_EINVAL, "loss cross_entropy: the model answers %s, not [n, classes]", moon_form_write(out).text);
  if (!fit->target.ids || fit->target.each != 1)
    return moon_fail(MOON_EINVAL, "loss cross_entropy: the target is one class a row");
  for (size_t i = 0; i < fit->rows; i++)
    if (fit->target.ids[i] >= count)
      return moon_fail(MOON_EINVAL, "loss cross_entropy: class %u of row %zu, but there are %zu", fit->target.ids[i] + 1, i + 1,
                       count);
  return moon_ok();
}

/* ---- a batch --------------------------------------------------------------------------------------------------------------- */

typedef struct loop {
  const moon_tensor_fit *fit;
  moon_arena arena;
  moon_rows *inputs, target; /* a batch's: [module->input_count] */
  lane lanes[MOON_MOST_SHARDS];
  bool whole; /* batches are not cut */
  moon_crew *crew;
  moon_optimizer *optimizer;
  uint32_t *order; /* [fit->rows] the trained first, then those to validate on */
  size_t trained, epoch;
  uint64_t step;
  moon_named_tensor *state; /* [state_n] parameters and running statistics, and */
  moon_tensor **best;       /* what they were after the best epoch; NULL without patience */
  size_t state_n, best_epoch;
  double best_loss;
} loop;

typedef struct batch_job {
  loop *l;
  const uint32_t *order;
  size_t n, shards;
  bool training;
  double loss[MOON_MOST_SHARDS]; /* means over the shards */
  moon_status status[MOON_MOST_SHARDS];
} batch_job;

static moon_status run_shard(batch_job *job, size_t shard) {
  loop *l = job->l;
  const moon_tensor_fit *fit = l->fit;
  lane *on = &l->lanes[shard];
  moon_dtype dtype = fit->module->dtype;
  size_t start = moon_shard_start(job->n, job->shards, shard), n = moon_shard_start(job->n, job->shards, shard + 1) - start;
  moon_var y, loss, penalty;
  bool any = false;
  for (size_t i = 0; i < fit->module->input_count; i++) {
    on->inputs[i] = rows_from(&l->inputs[i], start, dtype);
    gather_rows(&fit->inputs[i], &on->inputs[i], dtype, job->order + start, n);
  }
  on->target = rows_from(&l->target, start, dtype);
  gather_rows(&fit->target, &on->target, dtype, job->order + start, n);
  moon_tape_reset(on->tape);
  moon_tape_set_grad(on->tape, job->training);
  moon_tape_hold(on->tape, job->shards > 1);
  moon_pass pass = {.rows = n, .training = job->training, .seed = fit->seed, .step = l->step * MOON_MOST_SHARDS + shard};
  MOON_TRY(forward(on, pass, &y));
  MOON_TRY(put_loss(on, fit->loss, y, &loss));
  job->loss[shard] = number_of(on->tape, loss);
  if (!job->training || !isfinite(job->loss[shard])) return moon_ok();
  MOON_TRY(moon_module_penalty(fit->module, on->tape, &any, &penalty));
  if (any) MOON_TRY(moon_op_add(on->tape, loss, penalty, &loss));
  if (job->shards > 1) MOON_TRY(moon_op_scale(on->tape, loss, (double)n / (double)job->n, &loss)); /* its share of the mean */
  return moon_tape_backward(on->tape, loss);
}

static void work_shard(void *self, size_t shard) {
  batch_job *job = self;
  job->status[shard] = run_shard(job, shard);
}

/* Data are finite (check_numbers): it is the weights, or what the model makes of them. */
static moon_status broken_loss(const loop *l) {
  const moon_module *module = l->fit->module;
  const char *name = NULL;
  size_t at;
  for (size_t i = 0; i < module->param_count && !name; i++) {
    const moon_tensor *value = module->params[i]->value;
    if (!all_finite(module->dtype, moon_tensor_data(value), moon_tensor_count(value), &at)) name = module->params[i]->name;
  }
  return moon_fail(MOON_EINVAL, "the loss is not finite in epoch %zu%s%s%s: is the learning rate too high?", l->epoch,
                   name ? ", nor are the weights \"" : "", name ? name : "", name ? "\"" : "");
}

/* The rows at `order` up to their loss, which is added to *sum for each row; trains where `training`. */
static moon_status run_batch(loop *l, const uint32_t *order, size_t n, bool training, double *sum) {
  batch_job job = {.l = l, .order = order, .n = n, .shards = moon_shard_count(n, l->whole), .training = training};
  double loss = 0;
  moon_crew_run(l->crew, job.shards, work_shard, &job);
  for (size_t s = 0; s < job.shards; s++) {
    MOON_TRY(job.status[s]);
    loss += job.loss[s] * (double)(moon_shard_start(n, job.shards, s + 1) - moon_shard_start(n, job.shards, s));
  }
  *sum += loss;
  if (!training) return moon_ok();
  if (!isfinite(loss)) return broken_loss(l);
  for (size_t s = 0; s < job.shards; s++) moon_tape_deliver(l->lanes[s].tape);
  l->step++;
  return moon_optimizer_step(l->optimizer);
}

/* ---- epochs ---------------------------------------------------------------------------------------------------------------- */

/* The mean loss over rows. A single row left over joins the batch before it: batch_norm wants two. */
static moon_status run_rows(loop *l, const uint32_t *order, size_t rows, bool training, double *mean) {
  double sum = 0;
  for (size_t at = 0, n; at < rows; at += n) {
    n = rows - at > l->fit->batch ? l->fit->batch : rows - at;
    if (rows - at - n == 1) n++;
    MOON_TRY(run_batch(l, order + at, n, training, &sum));
  }
  *mean = rows ? sum / (double)rows : NAN;
  return moon_ok();
}

/* Whether the epoch is the best so far, which patience keeps; *stop after too many that were not. */
static void judge(loop *l, double loss, bool *stop) {
  if (l->best && l->best_epoch && !(loss < l->best_loss)) {
    *stop = l->epoch - l->best_epoch >= l->fit->patience;
    return;
  }
  l->best_epoch = l->epoch, l->best_loss = loss;
  for (size_t i = 0; l->best && i < l->state_n; i++)
    moon_tensor_copy(l->state[i].tensor, l->best[i]); /* of one shape: cannot fail */
}

static void restore_best(loop *l) {
  if (!l->best || l->best_epoch == l->epoch) return;
  for (size_t i = 0; i < l->state_n; i++) {
    moon_tensor *into = (moon_tensor *)(uintptr_t)l->state[i].tensor; /* the module's own */
    moon_tensor_copy(l->best[i], into);
    moon_tensor_touch(into);
  }
}

static moon_status run_epochs(loop *l) {
  const moon_tensor_fit *fit = l->fit;
  bool over = false, stop = false;
  moon_rng rng;
  moon_rng_seed(&rng, fit->seed, 0);
  while (l->epoch < fit->epochs && !stop && !over) {
    moon_epoch epoch = {.epoch = ++l->epoch, .epochs = fit->epochs};
    moon_rng_shuffle(&rng, l->order, l->trained);
    MOON_TRY(run_rows(l, l->order, l->trained, true, &epoch.train_loss));
    MOON_TRY(run_rows(l, l->order + l->trained, fit->rows - l->trained, false, &epoch.validation_loss));
    judge(l, epoch.validation_loss, &over);
    if (fit->on_epoch) MOON_TRY(fit->on_epoch(fit->self, &epoch, &stop));
  }
  restore_best(l);
  return moon_ok();
}

/* ---- getting ready ---------------------------------------------------------------------------------------------------------- */

static moon_status check_fit(const moon_tensor_fit *fit) {
  if (!(fit->validation >= 0 && fit->validation < 1))
    return moon_fail(MOON_EINVAL, "validation is a share of the rows from 0 to below 1, not %g", fit->validation);
  if (!fit->rows || fit->rows >= MOON_NONE) return moon_fail(MOON_EINVAL, "%zu rows cannot be trained on", fit->rows);
  if (!fit->batch || !fit->epochs) return moon_fail(MOON_EINVAL, "epochs and batch are at least 1");
  if (fit->threads > MOON_MOST_THREADS)
    return moon_fail(MOON_EINVAL, "threads are at most %d, not %zu", MOON_MOST_THREADS, fit->threads);
  if (fit->patience && !(size_t)((double)fit->rows * fit->validation))
    return moon_fail(MOON_EINVAL, "patience looks at the validation loss, and there are no rows to validate on");
  MOON_TRY(check_target(fit));
  return check_numbers(fit);
}

/* Memory for `rows` rows like those of `all`. */
static bool make_rows(loop *l, const moon_rows *all, size_t rows, moon_rows *one) {
  size_t size = moon_dtype_size(l->fit->module->dtype), numbers = 0;
  *one = (moon_rows){.each = all->each};
  if (__builtin_mul_overflow(rows, all->each, &numbers) || __builtin_mul_overflow(numbers, size, &numbers)) return false;
  if (all->numbers && !(one->numbers = moon_arena_alloc_aligned(&l->arena, numbers))) return false;
  if (all->ids && !(one->ids = moon_arena_alloc_aligned(&l->arena, numbers))) return false; /* an id is no larger than a number */
  if (all->lengths && !(one->lengths = moon_arena_alloc_aligned(&l->arena, rows * sizeof *one->lengths))) return false;
  return true;
}

static moon_status make_batch(loop *l) {
  const moon_tensor_fit *fit = l->fit;
  size_t inputs = fit->module->input_count, rows = fit->batch < fit->rows ? fit->batch + 1 : fit->rows;
  l->inputs = moon_arena_calloc(&l->arena, inputs * sizeof *l->inputs);
  bool fine = l->inputs && make_rows(l, &fit->target, rows, &l->target);
  for (size_t i = 0; i < inputs && fine; i++) fine = make_rows(l, &fit->inputs[i], rows, &l->inputs[i]);
  if (!fine) return moon_fail(MOON_ENOMEM, "no memory for a batch of %zu rows", rows);
  l->whole = !moon_module_splits(fit->module);
  size_t shards = moon_shard_count(rows, l->whole), threads = fit->threads ? fit->threads : 1;
  for (size_t s = 0; s < shards; s++) MOON_TRY(lane_new(fit->module, &l->arena, &l->lanes[s]));
  return moon_crew_new(threads < shards ? threads : shards, &l->crew);
}

static moon_status make_best(loop *l) {
  const moon_module *module = l->fit->module;
  size_t n = module->param_count + module->buffer_count;
  l->state = moon_arena_alloc(&l->arena, n * sizeof *l->state);
  l->best = moon_arena_calloc(&l->arena, n * sizeof *l->best);
  if (!l->state || !l->best) return moon_fail(MOON_ENOMEM, "no memory to keep the best weights");
  for (size_t i = 0; i < module->param_count; i++)
    l->state[i] = (moon_named_tensor){module->params[i]->name, module->params[i]->value};
  for (size_t i = module->param_count; i < n; i++) l->state[i] = module->buffers[i - module->param_count];
  for (; l->state_n < n; l->state_n++) {
    const moon_tensor *like = l->state[l->state_n].tensor;
    MOON_TRY(moon_tensor_new(moon_tensor_dtype(like), moon_tensor_dims(like), moon_tensor_shape(like), &l->best[l->state_n]));
  }
  return moon_ok();
}

static moon_status prepare(loop *l) {
  const moon_tensor_fit *fit = l->fit;
  size_t n;
  moon_param *const *params = moon_module_params(fit->module, &n);
  l->trained = fit->rows - (size_t)((double)fit->rows * fit->validation);
  uint64_t steps = (uint64_t)fit->epochs * ((l->trained + fit->batch - 1) / fit->batch);
  MOON_TRY(make_batch(l));
  MOON_TRY(moon_optimizer_new(fit->optimizer, params, n, steps, &l->optimizer));
  if (fit->patience) MOON_TRY(make_best(l));
  if (!(l->order = moon_alloc(fit->rows * sizeof *l->order)))
    return moon_fail(MOON_ENOMEM, "no memory for the order of %zu rows", fit->rows);
  for (size_t i = 0; i < fit->rows; i++) l->order[i] = (uint32_t)i;
  return moon_ok();
}

moon_status moon_tensor_fit_run(const moon_tensor_fit *fit) {
  MOON_TRY(check_fit(fit));
  loop l = {.fit = fit};
  moon_status st = prepare(&l);
  if (!st.code) st = run_epochs(&l);
  if (fit->best_epoch) *fit->best_epoch = l.best_epoch;
  moon_crew_free(l.crew);
  for (size_t s = 0; s < MOON_MOST_SHARDS; s++) moon_tape_free(l.lanes[s].tape);
  for (size_t i = 0; i < l.state_n; i++) moon_tensor_free(l.best[i]);
  moon_optimizer_free(l.optimizer);
  moon_free(l.order);
  moon_arena_free(&l.arena);
  return st;
}

/* ---- running --------------------------------------------------------------------------------------------------------------- */

static moon_status predict(lane *l, const moon_rows *inputs, size_t rows, char *y) {
  moon_tape_set_grad(l->tape, false);
  for (size_t at = 0; at < rows; at += PREDICT_ROWS) {
    size_t n = rows - at < PREDICT_ROWS ? rows - at : PREDICT_ROWS;
    moon_var out;
    for (size_t i = 0; i < l->module->input_count; i++) l->inputs[i] = rows_from(&inputs[i], at, l->module->dtype);
    moon_tape_reset(l->tape);
    MOON_TRY(forward(l, (moon_pass){.rows = n}, &out));
    size_t bytes = moon_var_count(l->tape, out) * moon_dtype_size(l->module->dtype);
    if (bytes) memcpy(y, moon_var_data(l->tape, out), bytes);
    y += bytes;
  }
  return moon_ok();
}

moon_status moon_tensor_predict(const moon_module *module, const moon_rows *inputs, size_t rows, void *y) {
  lane l;
  moon_arena arena = {0};
  moon_status st = lane_new(module, &arena, &l);
  if (!st.code) st = predict(&l, inputs, rows, y);
  moon_tape_free(l.tape);
  moon_arena_free(&arena);
  return st;
}

/* fit_tensor.c - the loop that trains a module over tensors: rows are gathered into one batch's memory, which the tape borrows. */
#include "nn/fit_tensor.h"

#include <math.h>
#include <string.h>

#include "nn/layer.h"

enum { PREDICT_ROWS = 256 };

const moon_form *moon_module_inputs(const moon_module *module, size_t *n) {
  *n = module->input_count;
  return module->inputs;
}

moon_dtype moon_module_dtype(const moon_module *module) {
  return module->dtype;
}

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

/* ---- one batch ------------------------------------------------------------------------------------------------------------- */

typedef struct batch {
  const moon_module *module;
  size_t rows;       /* of memory */
  moon_rows *inputs; /* [module->input_count] this batch's */
  moon_rows target;
  moon_value *values; /* [module->input_count] */
  moon_tape *tape;
  moon_arena arena;
} batch;

static void batch_free(batch *b) {
  moon_tape_free(b->tape);
  moon_arena_free(&b->arena);
}

/* Memory for b->rows rows like those of `all`. */
static bool make_rows(batch *b, const moon_rows *all, moon_rows *one) {
  size_t size = moon_dtype_size(b->module->dtype), numbers = 0;
  *one = (moon_rows){.each = all->each};
  if (__builtin_mul_overflow(b->rows, all->each, &numbers) || __builtin_mul_overflow(numbers, size, &numbers)) return false;
  if (all->numbers && !(one->numbers = moon_arena_alloc_aligned(&b->arena, numbers))) return false;
  if (all->ids && !(one->ids = moon_arena_alloc_aligned(&b->arena, numbers))) return false; /* an id is no larger than a number */
  if (all->lengths && !(one->lengths = moon_arena_alloc_aligned(&b->arena, b->rows * sizeof *one->lengths))) return false;
  return true;
}

static moon_status batch_new(const moon_module *module, const moon_rows *inputs, const moon_rows *target, size_t rows, batch *b) {
  *b = (batch){.module = module, .rows = rows};
  MOON_TRY(moon_tape_new(&b->tape));
  moon_tape_keep_grads(b->tape, false);
  moon_tape_set_account(b->tape, moon_account_here());
  b->inputs = moon_arena_calloc(&b->arena, module->input_count * sizeof *b->inputs);
  b->values = moon_arena_calloc(&b->arena, module->input_count * sizeof *b->values);
  bool fine = b->inputs && b->values && (!target || make_rows(b, target, &b->target));
  for (size_t i = 0; i < module->input_count && fine; i++) fine = make_rows(b, &inputs[i], &b->inputs[i]);
  return fine ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory for a batch of %zu rows", rows);
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

/* [n, shape...] */
static int with_rows(const moon_form *form, size_t n, size_t shape[MOON_MAX_DIMS]) {
  shape[0] = n;
  for (int d = 0; d < form->dims; d++) shape[d + 1] = form->shape[d];
  return form->dims + 1;
}

/* The module's output for the rows in `inputs`. */
static moon_status forward(batch *b, const moon_rows *inputs, moon_pass pass, moon_var *y) {
  const moon_module *module = b->module;
  for (size_t i = 0; i < module->input_count; i++) {
    moon_value *value = &b->values[i];
    *value = (moon_value){.ids = inputs[i].ids, .lengths = inputs[i].lengths};
    size_t shape[MOON_MAX_DIMS];
    int dims = with_rows(&module->inputs[i], pass.rows, shape);
    if (inputs[i].numbers) MOON_TRY(moon_tape_constant(b->tape, module->dtype, dims, shape, inputs[i].numbers, &value->x));
  }
  pass.tape = b->tape;
  pass.inputs = b->values;
  return moon_module_forward(module, &pass, y);
}

/* ---- the loss -------------------------------------------------------------------------------------------------------------- */

static moon_status put_loss(batch *b, moon_fit_loss loss, moon_var y, moon_var *out) {
  moon_tape *tape = b->tape;
  moon_var target;
  if (loss == MOON_FIT_CROSS_ENTROPY) return moon_op_cross_entropy(tape, y, b->target.ids, MOON_NONE, NULL, out);
  MOON_TRY(
      moon_tape_constant(tape, b->module->dtype, moon_var_dims(tape, y), moon_var_shape(tape, y), b->target.numbers, &target));
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

/* ---- training -------------------------------------------------------------------------------------------------------------- */

typedef struct loop {
  const moon_tensor_fit *fit;
  batch b;
  moon_optimizer *optimizer;
  uint32_t *order; /* [fit->rows] the trained first, then those to validate on */
  size_t trained;
  uint64_t step;
} loop;

/* One batch on the tape up to its loss, which is added to *sum for each row; trains where `training`. */
static moon_status run_batch(loop *l, const uint32_t *order, size_t n, bool training, double *sum) {
  const moon_tensor_fit *fit = l->fit;
  batch *b = &l->b;
  moon_var y, loss, penalty;
  bool any = false;
  for (size_t i = 0; i < fit->module->input_count; i++) gather_rows(&fit->inputs[i], &b->inputs[i], fit->module->dtype, order, n);
  gather_rows(&fit->target, &b->target, fit->module->dtype, order, n);
  moon_tape_reset(b->tape);
  moon_tape_set_grad(b->tape, training);
  MOON_TRY(forward(b, b->inputs, (moon_pass){.rows = n, .training = training, .seed = fit->seed, .step = l->step}, &y));
  MOON_TRY(put_loss(b, fit->loss, y, &loss));
  *sum += number_of(b->tape, loss) * (double)n;
  if (!training) return moon_ok();
  MOON_TRY(moon_module_penalty(fit->module, b->tape, &any, &penalty));
  if (any) MOON_TRY(moon_op_add(b->tape, loss, penalty, &loss));
  MOON_TRY(moon_tape_backward(b->tape, loss));
  l->step++;
  return moon_optimizer_step(l->optimizer);
}

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

static moon_status run_epochs(loop *l) {
  const moon_tensor_fit *fit = l->fit;
  bool stop = false;
  moon_rng rng;
  moon_rng_seed(&rng, fit->seed, 0);
  for (size_t e = 1; e <= fit->epochs && !stop; e++) {
    moon_epoch epoch = {.epoch = e, .epochs = fit->epochs};
    moon_rng_shuffle(&rng, l->order, l->trained);
    MOON_TRY(run_rows(l, l->order, l->trained, true, &epoch.train_loss));
    if (!isfinite(epoch.train_loss))
      return moon_fail(MOON_EINVAL,
                       "the loss is not finite in epoch %zu: is the learning rate too high, or a number of the data not finite?",
                       e);
    MOON_TRY(run_rows(l, l->order + l->trained, fit->rows - l->trained, false, &epoch.validation_loss));
    if (fit->on_epoch) MOON_TRY(fit->on_epoch(fit->self, &epoch, &stop));
  }
  return moon_ok();
}

static moon_status check_fit(const moon_tensor_fit *fit) {
  if (!(fit->validation >= 0 && fit->validation < 1))
    return moon_fail(MOON_EINVAL, "validation is a share of the rows from 0 to below 1, not %g", fit->validation);
  if (!fit->rows || fit->rows >= MOON_NONE) return moon_fail(MOON_EINVAL, "%zu rows cannot be trained on", fit->rows);
  if (!fit->batch || !fit->epochs) return moon_fail(MOON_EINVAL, "epochs and batch are at least 1");
  return check_target(fit);
}

moon_status moon_tensor_fit_run(const moon_tensor_fit *fit) {
  MOON_TRY(check_fit(fit));
  loop l = {.fit = fit};
  l.trained = fit->rows - (size_t)((double)fit->rows * fit->validation);
  size_t most = fit->batch < fit->rows ? fit->batch + 1 : fit->rows, n;
  moon_param *const *params = moon_module_params(fit->module, &n);
  uint64_t steps = (uint64_t)fit->epochs * ((l.trained + fit->batch - 1) / fit->batch);
  moon_status st = batch_new(fit->module, fit->inputs, &fit->target, most, &l.b);
  if (!st.code) st = moon_optimizer_new(fit->optimizer, params, n, steps, &l.optimizer);
  if (!st.code && !(l.order = moon_alloc(fit->rows * sizeof *l.order)))
    st = moon_fail(MOON_ENOMEM, "no memory for the order of %zu rows", fit->rows);
  if (!st.code) {
    for (size_t i = 0; i < fit->rows; i++) l.order[i] = (uint32_t)i;
    st = run_epochs(&l);
  }
  moon_free(l.order);
  moon_optimizer_free(l.optimizer);
  batch_free(&l.b);
  return st;
}

/* ---- running --------------------------------------------------------------------------------------------------------------- */

/* The rows from `at` on. */
static moon_rows rows_from(const moon_rows *all, size_t at, moon_dtype dtype) {
  moon_rows some = *all;
  if (some.numbers) some.numbers = (const char *)some.numbers + at * all->each * moon_dtype_size(dtype);
  if (some.ids) some.ids += at * all->each;
  if (some.lengths) some.lengths += at;
  return some;
}

static moon_status predict(batch *b, const moon_rows *inputs, size_t rows, char *y) {
  for (size_t at = 0; at < rows; at += PREDICT_ROWS) {
    size_t n = rows - at < PREDICT_ROWS ? rows - at : PREDICT_ROWS;
    moon_var out;
    for (size_t i = 0; i < b->module->input_count; i++) b->inputs[i] = rows_from(&inputs[i], at, b->module->dtype);
    moon_tape_reset(b->tape);
    MOON_TRY(forward(b, b->inputs, (moon_pass){.rows = n}, &out));
    size_t bytes = moon_var_count(b->tape, out) * moon_dtype_size(b->module->dtype);
    if (bytes) memcpy(y, moon_var_data(b->tape, out), bytes);
    y += bytes;
  }
  return moon_ok();
}

moon_status moon_tensor_predict(const moon_module *module, const moon_rows *inputs, size_t rows, void *y) {
  batch b;
  moon_status st = batch_new(module, inputs, NULL, 0, &b);
  if (!st.code) {
    moon_tape_set_grad(b.tape, false);
    st = predict(&b, inputs, rows, y);
  }
  batch_free(&b);
  return st;
}

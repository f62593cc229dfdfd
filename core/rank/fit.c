/* fit.c - the training loop: shuffled batches over a tape, Adam, validation after each epoch, the best weights kept.
 *
 * Everything random comes from the recipe's seed, and everything is summed in one fixed order, so the same recipe and data give the
 * same weights to the bit. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "rank/model.h"

enum { MOST_EPOCHS = 512 };

typedef struct fit {
  moon_model *model;
  const moon_dataset *data;
  const moon_progress *progress;
  moon_fit_report *report;
  moon_adam adam;
  size_t epochs, batch, patience;
  uint64_t seed;
  bool bce;
  moon_tape *tape;
  moon_batch rows;        /* buffers of `batch` rows */
  float *target;          /* [batch] */
  uint32_t *order[2];     /* examples to train on, and to validate on */
  size_t count[2];
  char *best;             /* the best weights so far, as moon_model_save writes them */
  size_t best_n;
} fit;

/* ---- getting ready ---------------------------------------------------------------------------------------------------------- */

static moon_status parse(fit *f, const json_t *train) {
  const json_t *optimizer = json_object_get(train, "optimizer");
  const char *loss = json_string_value(json_object_get(train, "loss"));
  json_int_t epochs = json_integer_value(json_object_get(train, "epochs")), batch = json_integer_value(json_object_get(train, "batch"));
  if (epochs < 1 || epochs > MOST_EPOCHS) return moon_fail(MOON_EINVAL, "epochs must be from 1 to %d, not %lld", MOST_EPOCHS, (long long)epochs);
  if (batch < 1 || batch > 1 << 20) return moon_fail(MOON_EINVAL, "batch must be from 1 to %d, not %lld", 1 << 20, (long long)batch);
  f->bce = !loss || !strcmp(loss, "bce");
  if (!f->bce && strcmp(loss, "mse")) return moon_fail(MOON_EINVAL, "there is no loss '%s'; there are bce and mse", loss);
  f->adam = (moon_adam){.lr = json_number_value(json_object_get(optimizer, "lr")), .beta1 = json_number_value(json_object_get(optimizer, "beta1")),
                        .beta2 = json_number_value(json_object_get(optimizer, "beta2")), .epsilon = json_number_value(json_object_get(optimizer, "epsilon"))};
  if (!(f->adam.lr > 0)) return moon_fail(MOON_EINVAL, "the optimizer's lr must be above 0, not %g", f->adam.lr);
  f->epochs = (size_t)epochs;
  f->batch = (size_t)batch;
  f->patience = (size_t)json_integer_value(json_object_get(train, "patience"));
  f->seed = (uint64_t)json_integer_value(json_object_get(train, "seed"));
  return moon_ok();
}

static moon_status prepare(fit *f) {
  const moon_dataset *d = f->data;
  const moon_feature_plan *plan = d->plan;
  if (f->batch > d->part_n[MOON_TRAIN]) f->batch = d->part_n[MOON_TRAIN];
  f->rows.dense = moon_alloc_aligned(f->batch * plan->dense_slots * sizeof(float));
  f->rows.ids = moon_alloc_aligned(f->batch * plan->id_slots * sizeof(uint32_t));
  f->rows.bags = moon_alloc_aligned(f->batch * plan->bag_slots * plan->bag_length * sizeof(uint32_t));
  f->target = moon_alloc_aligned(f->batch * sizeof(float));
  for (int part = 0; part < 2; part++) f->order[part] = moon_alloc((d->part_n[part] + 1) * sizeof(uint32_t));
  if (!f->rows.dense || !f->rows.ids || !f->rows.bags || !f->target || !f->order[0] || !f->order[1])
    return moon_fail(MOON_ENOMEM, "no memory for batches of %zu", f->batch);
  for (size_t i = 0; i < d->examples.n; i++)
    if (d->part[i] < MOON_TEST) f->order[d->part[i]][f->count[d->part[i]]++] = (uint32_t)i;
  return moon_tape_new(&f->tape);
}

static void finish(fit *f) {
  moon_free(f->rows.dense);
  moon_free(f->rows.ids);
  moon_free(f->rows.bags);
  moon_free(f->target);
  moon_free(f->order[0]);
  moon_free(f->order[1]);
  moon_free(f->best);
  moon_tape_free(f->tape);
}

/* Mean and deviation of the numbers over the training part; two passes, since counts and prices may be far from zero. */
static moon_status standardise(fit *f) {
  size_t slots = f->data->plan->dense_slots, n = f->count[MOON_TRAIN];
  if (!slots) return moon_ok();
  double *sum = moon_calloc(2 * slots, sizeof *sum);
  float *mean = moon_calloc(2 * slots, sizeof *mean);
  if (!sum || !mean) {
    moon_free(sum);
    moon_free(mean);
    return moon_fail(MOON_ENOMEM, "no memory for %zu means", slots);
  }
  double *square = sum + slots;
  float *deviation = mean + slots;
  for (int pass = 0; pass < 2; pass++) {
    for (size_t i = 0; i < n; i++) {
      const float *row = f->data->inputs.dense + f->order[MOON_TRAIN][i] * slots;
      for (size_t s = 0; s < slots; s++) {
        if (!pass) sum[s] += row[s];
        else square[s] += (row[s] - sum[s]) * (row[s] - sum[s]);
      }
    }
    for (size_t s = 0; s < slots && !pass; s++) sum[s] /= (double)n;
  }
  for (size_t s = 0; s < slots; s++) mean[s] = (float)sum[s], deviation[s] = (float)sqrt(square[s] / (double)n);
  moon_model_normalise(f->model, mean, deviation);
  moon_free(sum);
  moon_free(mean);
  return moon_ok();
}

/* ---- batches ---------------------------------------------------------------------------------------------------------------- */

static void fill(fit *f, const uint32_t *rows, size_t n) {
  const moon_dataset *d = f->data;
  const moon_feature_plan *plan = d->plan;
  size_t slots = plan->dense_slots, ids = plan->id_slots, bags = plan->bag_slots, length = plan->bag_length;
  const float *mean = slots ? moon_tensor_data(f->model->mean) : NULL, *scale = slots ? moon_tensor_data(f->model->scale) : NULL;
  f->rows.n = n;
  for (size_t r = 0; r < n; r++) {
    size_t row = rows[r];
    const float *dense = d->inputs.dense + row * slots;
    for (size_t s = 0; s < slots; s++) f->rows.dense[r * slots + s] = (dense[s] - mean[s]) * scale[s];
    for (size_t s = 0; s < ids; s++) f->rows.ids[s * n + r] = d->inputs.ids[row * ids + s];
    for (size_t s = 0; s < bags; s++)
      memcpy(f->rows.bags + (s * n + r) * length, d->inputs.bags + (row * bags + s) * length, length * sizeof(uint32_t));
    f->target[r] = d->examples.label[row];
  }
}

/* The mean loss of the batch at `rows`; with `learn` also one step of the optimiser. */
static moon_status run_batch(fit *f, const uint32_t *rows, size_t n, bool learn, double *loss) {
  moon_var out, target, value;
  moon_tape_reset(f->tape);
  fill(f, rows, n);
  MOON_TRY(moon_model_forward(f->model, f->tape, &f->rows, &out));
  MOON_TRY(moon_tape_constant(f->tape, MOON_F32, 1, &n, f->target, &target));
  MOON_TRY((f->bce ? moon_op_bce_logits : moon_op_mse)(f->tape, out, target, &value));
  *loss = *(const float *)moon_var_data(f->tape, value);
  if (!learn || !isfinite(*loss)) return moon_ok();
  MOON_TRY(moon_tape_backward(f->tape, value));
  return moon_adam_step(&f->adam, f->model->params, f->model->param_count);
}

/* ---- epochs ----------------------------------------------------------------------------------------------------------------- */

static moon_status train_epoch(fit *f, size_t epoch, int64_t started, double *mean) {
  size_t n = f->count[MOON_TRAIN], done = 0;
  double sum = 0;
  moon_rng rng;
  moon_rng_seed(&rng, f->seed, epoch);
  moon_rng_shuffle(&rng, f->order[MOON_TRAIN], n);
  for (size_t step = 0; done < n; step++) {
    size_t rows = n - done < f->batch ? n - done : f->batch;
    double loss;
    MOON_TRY(run_batch(f, f->order[MOON_TRAIN] + done, rows, true, &loss));
    if (!isfinite(loss))
      return moon_fail(MOON_EINVAL, "the loss is %f in epoch %zu, step %zu: a number in the data is not finite, or lr is too large", loss, epoch, step + 1);
    sum += loss * (double)rows;
    done += rows;
    f->report->steps++;
    if (step % 64 && done < n) continue;
    char note[120];
    double seconds = (double)(moon_monotonic() - started) / MOON_SECOND;
    snprintf(note, sizeof note, "epoch %zu/%zu  loss %.4f  %.0f examples/s", epoch, f->epochs, sum / (double)done,
             seconds > 0 ? (double)((epoch - 1) * n + done) / seconds : 0);
    double fraction = ((double)(epoch - 1) + (double)done / (double)n) / (double)f->epochs;
    if (!moon_progress_step(f->progress, "fit", fraction, note)) return moon_fail(MOON_ECANCELED, "interrupted in epoch %zu; nothing was written", epoch);
  }
  *mean = sum / (double)n;
  return moon_ok();
}

static moon_status validate(fit *f, double *mean) {
  size_t n = f->count[MOON_VALIDATION];
  double sum = 0, loss;
  for (size_t done = 0; done < n; done += f->batch) {
    size_t rows = n - done < f->batch ? n - done : f->batch;
    MOON_TRY(run_batch(f, f->order[MOON_VALIDATION] + done, rows, false, &loss));
    sum += loss * (double)rows;
  }
  *mean = n ? sum / (double)n : NAN;
  return moon_ok();
}

static moon_status keep_best(fit *f) {
  moon_buf buf = {0};
  moon_status status = moon_model_save(f->model, &buf);
  if (status.code) {
    moon_buf_free(&buf);
    return status;
  }
  moon_free(f->best);
  f->best = buf.data;
  f->best_n = buf.n;
  return status;
}

static moon_status run(fit *f) {
  int64_t started = moon_monotonic();
  moon_fit_report *report = f->report;
  bool stops_early = f->patience && f->count[MOON_VALIDATION];
  for (size_t epoch = 1; epoch <= f->epochs; epoch++) {
    double *loss = &report->train_loss[epoch - 1], *valid = &report->valid_loss[epoch - 1];
    MOON_TRY(train_epoch(f, epoch, started, loss));
    MOON_TRY(validate(f, valid));
    report->epochs_run = epoch;
    if (!stops_early || report->best_epoch == 0 || *valid < report->valid_loss[report->best_epoch - 1]) {
      report->best_epoch = epoch;
      if (stops_early) MOON_TRY(keep_best(f));
    } else if (epoch - report->best_epoch >= f->patience) {
      break;
    }
  }
  report->seconds = (double)(moon_monotonic() - started) / MOON_SECOND;
  report->examples_per_second = report->seconds > 0 ? (double)(report->epochs_run * f->count[MOON_TRAIN]) / report->seconds : 0;
  moon_progress_step(f->progress, "fit", 1, NULL);
  if (f->best && report->best_epoch != report->epochs_run) return moon_model_load(f->model, f->best, f->best_n);
  return moon_model_compile(f->model);
}

moon_status moon_fit(moon_model *model, const moon_dataset *dataset, const json_t *train, const moon_progress *progress, moon_fit_report *report) {
  *report = (moon_fit_report){0};
  fit f = {.model = model, .data = dataset, .progress = progress, .report = report};
  moon_status status = parse(&f, train);
  if (!status.code) status = prepare(&f);
  if (!status.code) status = standardise(&f);
  if (!status.code) status = run(&f);
  finish(&f);
  return status;
}

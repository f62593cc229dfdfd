/* fit.c - the training loop: batches through tapes, an optimiser, validation after each epoch, the best weights kept.
 *
 * Everything random comes from the recipe's seed, and everything is summed in one fixed order: a large batch is cut into shards by its size,
 * each shard goes through a tape of its own, whichever thread takes it, and their gradients are added shard by shard. So the same recipe and
 * data give the same weights to the bit, on one thread or many. A steady step allocates nothing. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "rank/fit.h"

enum { NOTE_ROWS = 2048 }; /* progress is told about every so many rows */

/* ---- getting ready ---------------------------------------------------------------------------------------------------------- */

static moon_status count_option(const json_t *train, const char *key, json_int_t low, json_int_t high, json_int_t otherwise,
                                size_t *out) {
  const json_t *value = json_object_get(train, key);
  json_int_t given = json_is_integer(value) ? json_integer_value(value) : otherwise;
  if ((value && !json_is_integer(value) && !json_is_null(value)) || given < low || given > high)
    return moon_fail(MOON_EINVAL, "%s must be a whole number from %lld to %lld, not %lld", key, (long long)low, (long long)high,
                     (long long)given);
  *out = (size_t)given;
  return moon_ok();
}

static const char *const losses[MOON_LOSSES] = {"bce", "mse", "bpr", "softmax"};

moon_status moon_loss_parse(const json_t *train, moon_loss *out) {
  const char *name = json_string_value(json_object_get(train, "loss"));
  for (int i = 0; i < MOON_LOSSES; i++)
    if (!strcmp(name ? name : losses[0], losses[i])) return *out = (moon_loss)i, moon_ok();
  return moon_fail(MOON_EINVAL, "there is no loss '%s'; there are bce, mse, bpr and softmax", name);
}

/* On sequences every step is held against every item. */
static moon_status parse_sequences(moon_fit_state *f) {
  if (!json_object_get(f->train, "sequences")) return moon_ok();
  if (f->loss != MOON_LOSS_SOFTMAX)
    return moon_fail(MOON_EINVAL, "training on sequences needs loss = \"softmax\", not \"%s\"", losses[f->loss]);
  return moon_windows_new(f->data, f->model, f->train, &f->windows);
}

/* How many rows an example has, and that the model and the data are such as the loss wants them. */
static moon_status parse_comparison(moon_fit_state *f) {
  const char *name = losses[f->loss];
  f->width = 1;
  if (!moon_loss_compares(f->loss)) return moon_ok();
  if (moon_model_gives_probability(f->model))
    return moon_fail(MOON_EINVAL, "the loss %s compares scores; the model's last layer must be linear, not a sigmoid", name);
  f->width = 1 + f->data->each;
  if (f->data->each && !json_object_get(f->train, "sequences")) return moon_ok();
  if (f->data->each) return moon_fail(MOON_EINVAL, "training on sequences draws no negatives of the label's: leave those out");
  if (f->loss == MOON_LOSS_BPR)
    return moon_fail(MOON_EINVAL, "the loss bpr needs what was not chosen: the label's negatives = N draws it");
  f->all = true;
  if (moon_module_ranks_all(f->model->module) && moon_model_items(f->model)) return moon_ok();
  return moon_fail(MOON_EINVAL, "the loss softmax without negatives goes over every item, and needs a model that ends with m.nn.dot of what is "
                                "of the user alone by what is of \"item\" alone; or the label's negatives = N draws some");
}

/* Each task and its head, and "weights": {"cart":1,"purchase":2}. */
static moon_status parse_tasks(moon_fit_state *f) {
  size_t tasks = f->data->examples.tasks, heads = moon_model_heads(f->model);
  const json_t *weights = json_object_get(f->train, "weights");
  double sum = 0;
  for (size_t t = 0; t < tasks; t++) {
    const char *name = f->data->tasks[t];
    const json_t *weight = name ? json_object_get(weights, name) : NULL;
    MOON_TRY(moon_model_head(f->model, name, &f->head[t]));
    f->task_weight[t] = weight ? json_number_value(weight) : 1;
    if ((weight && !json_is_number(weight)) || !(f->task_weight[t] >= 0) || isinf(f->task_weight[t]))
      return moon_fail(MOON_EINVAL, "weights: that of %s must be a number, 0 or more", name);
    sum += f->task_weight[t];
  }
  if (heads != tasks) return moon_fail(MOON_EINVAL, "the model has %zu heads, and the recipe labels for %zu tasks", heads, tasks);
  if (!(sum > 0)) return moon_fail(MOON_EINVAL, "weights: no task counts for anything");
  if (tasks == 1 || !moon_loss_compares(f->loss)) return moon_ok();
  return moon_fail(MOON_EINVAL, "a loss that compares is of one task; with %zu tasks it is bce or mse", tasks);
}

static moon_status parse_loss(moon_fit_state *f) {
  const json_t *weight = json_object_get(f->train, "positive_weight");
  f->positive_weight = json_is_number(weight) ? json_number_value(weight) : 1;
  MOON_TRY(moon_loss_parse(f->train, &f->loss));
  if (!(f->positive_weight > 0) || isinf(f->positive_weight))
    return moon_fail(MOON_EINVAL, "positive_weight must be above 0, not %g", f->positive_weight);
  if (f->loss != MOON_LOSS_BCE && f->positive_weight != 1)
    return moon_fail(MOON_EINVAL, "positive_weight is for the loss bce, not %s", json_string_value(json_object_get(f->train, "loss")));
  MOON_TRY(parse_tasks(f));
  MOON_TRY(parse_comparison(f));
  return parse_sequences(f);
}

static moon_status parse(moon_fit_state *f) {
  const json_t *train = f->train, *on_step = json_object_get(train, "on_step");
  MOON_TRY(count_option(train, "epochs", 1, MOON_MOST_EPOCHS, 0, &f->epochs));
  MOON_TRY(count_option(train, "batch", 1, 1 << 20, 0, &f->batch));
  MOON_TRY(count_option(train, "patience", 0, INT32_MAX, 0, &f->patience));
  MOON_TRY(count_option(train, "threads", 0, MOON_MOST_THREADS, 0, &f->threads));
  MOON_TRY(count_option(train, "ahead", 0, MOON_MOST_AHEAD, 2, &f->ahead));
  MOON_TRY(count_option(train, "checkpoint", 0, INT32_MAX, 0, &f->checkpoint_every));
  MOON_TRY(parse_loss(f));
  if (f->options.threads) f->threads = f->options.threads;
  if (f->options.checkpoint_every) f->checkpoint_every = f->options.checkpoint_every;
  f->seed = (uint64_t)json_integer_value(json_object_get(train, "seed"));
  if (!f->options.functions) return moon_ok();
  f->on_epoch = (uint32_t)json_integer_value(json_object_get(train, "on_epoch"));
  f->on_step = (uint32_t)json_integer_value(json_object_get(on_step, "fn"));
  return on_step ? count_option(on_step, "every", 1, INT32_MAX, 1, &f->step_every) : moon_ok();
}

/* Whether it is an example of its own: where the loss compares, a success with the negatives that were drawn for it. */
static bool is_example(const moon_fit_state *f, size_t i) {
  const moon_dataset *d = f->data;
  if (d->part[i] >= MOON_TEST) return false;
  if (!moon_loss_compares(f->loss)) return true;
  return d->examples.label[i] > 0 && (f->all || d->part[i] == MOON_TRAIN || d->validation_negatives);
}

static moon_status list_examples(moon_fit_state *f) {
  const moon_dataset *d = f->data;
  for (int part = 0; part < 2; part++) {
    f->order[part] = moon_alloc((d->part_n[part] + 1) * sizeof(uint32_t));
    if (!f->order[part]) return moon_fail(MOON_ENOMEM, "no memory to list %zu examples", d->part_n[part]);
  }
  for (size_t i = 0; i < d->examples.n; i++)
    if (is_example(f, i)) f->order[d->part[i]][f->count[d->part[i]]++] = (uint32_t)i;
  if (f->windows) f->count[MOON_TRAIN] = moon_windows_list(f->windows, d->examples.n, f->order[MOON_TRAIN]);
  return moon_ok();
}

/* What each example counts for, from a column of the events. */
static moon_status read_weights(moon_fit_state *f) {
  const char *name = json_string_value(json_object_get(f->train, "weight"));
  const moon_dataset *d = f->data;
  moon_column *column;
  if (!name) return moon_ok();
  MOON_TRY(moon_table_require(d->log->table, name, &column));
  f->weight = moon_alloc(d->examples.n * sizeof *f->weight);
  if (!f->weight) return moon_fail(MOON_ENOMEM, "no memory for %zu weights", d->examples.n);
  for (size_t i = 0; i < d->examples.n; i++) {
    double weight = moon_column_number(column, d->log->events[d->examples.event[i]].row);
    f->weight[i] = (float)weight;
    if (!(weight >= 0) || isinf(f->weight[i]))
      return moon_fail(MOON_EINVAL, "weight: the column '%s' of %s holds %g; examples need numbers of 0 or more", name,
                       d->log->table->name, weight);
  }
  return moon_ok();
}

/* Mean and deviation of the numbers over the training part; two passes, since counts and prices may be far from zero. */
static moon_status standardise(moon_fit_state *f) {
  const moon_dataset *d = f->data;
  size_t slots = d->plan->dense_slots, n = d->part_n[MOON_TRAIN];
  if (!slots || json_is_false(json_object_get(f->train, "standardise"))) return moon_ok();
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
    for (size_t i = 0; i < d->examples.n; i++) {
      const float *row = d->inputs.dense + i * slots;
      if (d->part[i] != MOON_TRAIN) continue;
      for (size_t s = 0; s < slots; s++) {
        if (!pass)
          sum[s] += row[s];
        else
          square[s] += (row[s] - sum[s]) * (row[s] - sum[s]);
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

static moon_rows rows_of(const moon_fit_state *f) {
  bool dense = f->data->plan->dense_slots > 0;
  return (moon_rows){.data = f->data,
                     .mean = dense ? moon_tensor_data(f->model->mean) : NULL,
                     .scale = dense ? moon_tensor_data(f->model->scale) : NULL,
                     .weight = f->weight,
                     .width = f->width,
                     .windows = f->windows,
                     .whole = !moon_model_splits(f->model)};
}

static moon_status prepare(moon_fit_state *f) {
  MOON_TRY(list_examples(f));
  if (f->batch > f->count[MOON_TRAIN]) f->batch = f->count[MOON_TRAIN];
  MOON_TRY(read_weights(f));
  MOON_TRY(standardise(f));
  moon_rows rows = rows_of(f);
  size_t shards = moon_rows_shards(&rows, f->batch), steps = f->epochs * ((f->count[MOON_TRAIN] + f->batch - 1) / f->batch);
  if (!f->threads) f->threads = moon_cores();
  if (f->threads > shards) f->threads = shards;
  MOON_TRY(
      moon_optimizer_new(json_object_get(f->train, "optimizer"), f->model->params, f->model->param_count, steps, &f->optimizer));
  MOON_TRY(moon_crew_new(f->threads, &f->crew));
  for (size_t s = 0; s < shards; s++) {
    MOON_TRY(moon_tape_new(&f->tapes[s]));
    moon_tape_keep_grads(f->tapes[s], false);
  }
  return moon_block_alloc(&f->valid, &rows, f->batch);
}

static void finish(moon_fit_state *f) {
  moon_feed_free(f->feed); /* first: its thread reads from the rest */
  moon_crew_free(f->crew);
  for (size_t s = 0; s < MOON_MOST_SHARDS; s++) moon_tape_free(f->tapes[s]);
  moon_optimizer_free(f->optimizer);
  moon_block_free(&f->valid);
  moon_windows_free(f->windows);
  moon_buf_free(&f->best);
  moon_free(f->weight);
  moon_free(f->order[0]);
  moon_free(f->order[1]);
}

/* ---- a batch ------------------------------------------------------------------------------------------------------------------- */

typedef struct batch_job {
  moon_fit_state *f;
  const moon_block *block;
  const uint32_t *order; /* [n] examples to lay out first; NULL: the block holds them */
  size_t at, n, shards;
  bool learn;
  moon_rows rows;
  double share[MOON_MOST_SHARDS]; /* of a shard's mean in the batch's */
  double loss[MOON_MOST_SHARDS]; /* means over the shards */
  moon_status status[MOON_MOST_SHARDS];
} batch_job;

/* [g, 1 + k] scores, a success and what was drawn beside it: each pair's loss, for which its success weighs. */
static moon_status put_bpr(moon_tape *tape, size_t g, size_t k, const float *weight, moon_var scores, moon_var *loss) {
  const size_t shape[2] = {g, k}, n = g * k;
  float *weights = weight ? moon_tape_take(tape, n * sizeof *weights) : NULL;
  moon_var won, lost, w;
  if (weight && !weights) return moon_fail(MOON_ENOMEM, "no memory for %zu weights", n);
  for (size_t i = 0; i < n && weight; i++) weights[i] = weight[i / k * (1 + k)];
  if (weight) MOON_TRY(moon_tape_constant(tape, MOON_F32, 1, &n, weights, &w));
  MOON_TRY(moon_op_slice(tape, scores, 1, 0, 1, &won));
  MOON_TRY(moon_op_broadcast_to(tape, won, 2, shape, &won));
  MOON_TRY(moon_op_slice(tape, scores, 1, 1, 1 + k, &lost));
  return moon_op_bpr(tape, won, lost, weight ? &w : NULL, loss);
}

/* [g, c] scores, of which one is the success's: the first, or where they are of every item its own. */
static moon_status put_softmax(const moon_fit_state *f, moon_tape *tape, const moon_piece *piece, size_t g, moon_var scores, moon_var *loss) {
  uint32_t *classes = moon_tape_take(tape, g * sizeof *classes), none = (uint32_t)moon_model_items(f->model); /* of an item without an id */
  float *weights = moon_tape_take(tape, g * sizeof *weights);
  moon_var w;
  if (!classes || !weights) return moon_fail(MOON_ENOMEM, "no memory for %zu classes", g);
  for (size_t i = 0; i < g; i++) {
    uint32_t id = f->all ? piece->inputs.ids[f->model->item_slot * g + i] : 1;
    classes[i] = id ? id - 1 : none;
    weights[i] = piece->weight ? piece->weight[i * f->width] : 1;
  }
  if (piece->weight) MOON_TRY(moon_tape_constant(tape, MOON_F32, 1, &g, weights, &w));
  return moon_op_cross_entropy(tape, scores, classes, f->all ? none : MOON_NONE, piece->weight ? &w : NULL, loss);
}

/* The others stand for all items but the success's own, by how likely they were to be drawn: log(1 / (k q)) for each of k, where without it what
 * is drawn often would be pushed down for that alone (Bengio & Senecal 2008). scores [g, 1 + k]. */
static moon_status correct(const moon_fit_state *f, moon_tape *tape, const moon_piece *piece, size_t g, moon_var *scores) {
  size_t k = f->width - 1;
  const double *drawn = f->data->drawn;
  float *shift = moon_tape_take(tape, g * f->width * sizeof *shift);
  moon_var by;
  if (!shift) return moon_fail(MOON_ENOMEM, "no memory for %zu corrections", g * f->width);
  for (size_t i = 0; i < g; i++) {
    const uint32_t *item = piece->item + i * f->width;
    double others = 1 - drawn[item[0]];
    shift[i * f->width] = 0;
    for (size_t j = 1; j <= k; j++) shift[i * f->width + j] = (float)-log((double)k * drawn[item[j]] / (others > 0 ? others : 1));
  }
  MOON_TRY(moon_tape_constant(tape, MOON_F32, 2, (size_t[]){g, f->width}, shift, &by));
  return moon_op_add(tape, *scores, by, scores);
}

static moon_status put_comparison(const moon_fit_state *f, moon_tape *tape, const moon_piece *piece, moon_var out, moon_var *loss) {
  size_t g = piece->inputs.n / f->width;
  if (!f->all) MOON_TRY(moon_op_reshape(tape, out, 2, (size_t[]){g, f->width}, &out));
  if (piece->item && f->loss == MOON_LOSS_SOFTMAX) MOON_TRY(correct(f, tape, piece, g, &out));
  if (f->loss == MOON_LOSS_BPR) return put_bpr(tape, g, f->width - 1, piece->weight, out, loss);
  return put_softmax(f, tape, piece, g, out, loss);
}

/* [reads, items] scores: each step that is to be predicted, by every item or its own and those that were drawn. */
static moon_status put_steps(moon_tape *tape, const moon_reads *reads, moon_var scores, moon_var *loss) {
  moon_var w, shift;
  if (reads->weight) MOON_TRY(moon_tape_constant(tape, MOON_F32, 1, &reads->n, reads->weight, &w));
  if (reads->shift) {
    MOON_TRY(moon_tape_constant(tape, MOON_F32, 2, moon_var_shape(tape, scores), reads->shift, &shift));
    MOON_TRY(moon_op_add(tape, scores, shift, &scores));
  }
  return moon_op_cross_entropy(tape, scores, reads->item, MOON_NONE, reads->weight ? &w : NULL, loss);
}

/* out: [n, 1], what the task's head says. */
static moon_status put_task(const moon_fit_state *f, moon_tape *tape, const moon_piece *piece, size_t task, moon_var out, moon_var *loss) {
  size_t n = piece->inputs.n;
  moon_var target, weight;
  MOON_TRY(moon_tape_constant(tape, MOON_F32, 1, &n, piece->target + task * n, &target));
  if (piece->weight) MOON_TRY(moon_tape_constant(tape, MOON_F32, 1, &n, piece->weight, &weight));
  const moon_var *weights = piece->weight ? &weight : NULL;
  bool bce = f->loss == MOON_LOSS_BCE;
  if (bce && !weights && f->positive_weight == 1) return moon_op_bce_logits(tape, out, target, loss);
  if (bce) return moon_op_bce_logits_weighted(tape, out, target, weights, f->positive_weight, loss);
  if (!weights) return moon_op_mse(tape, out, target, loss);
  moon_var miss;
  MOON_TRY(moon_op_reshape(tape, out, 1, &n, &out));
  MOON_TRY(moon_op_sub(tape, out, target, &miss));
  MOON_TRY(moon_op_mul(tape, miss, miss, &miss));
  MOON_TRY(moon_op_mul(tape, miss, weight, &miss));
  return moon_op_mean(tape, miss, loss);
}

/* The tasks' losses, each times its weight, added. */
static moon_status put_each(const moon_fit_state *f, moon_tape *tape, const moon_piece *piece, moon_var out, moon_var *loss) {
  size_t tasks = f->data->examples.tasks;
  for (size_t t = 0; t < tasks; t++) {
    moon_var own = out, one;
    if (tasks > 1) MOON_TRY(moon_op_slice(tape, out, 1, f->head[t], f->head[t] + 1, &own));
    MOON_TRY(put_task(f, tape, piece, t, own, &one));
    if (f->task_weight[t] != 1) MOON_TRY(moon_op_scale(tape, one, f->task_weight[t], &one));
    if (t) MOON_TRY(moon_op_add(tape, *loss, one, &one));
    *loss = one;
  }
  return moon_ok();
}

static moon_status run_shard(batch_job *job, size_t shard) {
  moon_fit_state *f = job->f;
  moon_tape *tape = f->tapes[shard];
  size_t start = moon_shard_start(job->n, job->shards, shard), n = moon_shard_start(job->n, job->shards, shard + 1) - start;
  moon_piece piece = moon_block_piece(job->block, &job->rows, job->at + start, n);
  moon_var out, loss;
  moon_reads reads = {0};
  if (job->order) moon_piece_fill(&piece, &job->rows, f->epoch, job->order + start);
  moon_tape_reset(tape);
  moon_tape_set_grad(tape, job->learn);
  moon_tape_hold(tape, job->shards > 1);
  piece.inputs.training = job->learn, piece.inputs.seed = f->seed;
  piece.inputs.all = f->all;
  piece.inputs.step = f->report->steps * MOON_MOST_SHARDS + shard;
  if (piece.next) MOON_TRY(moon_windows_put(f->windows, tape, &piece, &reads));
  job->loss[shard] = 0;
  if (piece.next && !reads.n) return moon_ok(); /* nothing of it is to be predicted */
  piece.inputs.reads = reads.at, piece.inputs.read_count = reads.n, piece.inputs.masked = reads.masked;
  piece.inputs.items = reads.items, piece.inputs.item_count = reads.item_count;
  MOON_TRY(moon_model_forward(f->model, tape, &piece.inputs, &out));
  if (piece.next) MOON_TRY(put_steps(tape, &reads, out, &loss));
  else MOON_TRY((moon_loss_compares(f->loss) ? put_comparison : put_each)(f, tape, &piece, out, &loss));
  job->loss[shard] = *(const float *)moon_var_data(tape, loss);
  if (!job->learn || !isfinite(job->loss[shard])) return moon_ok();
  bool any;
  moon_var penalty;
  MOON_TRY(moon_model_penalty(f->model, tape, &any, &penalty));
  if (any) MOON_TRY(moon_op_add(tape, loss, penalty, &loss));
  if (job->shards > 1) MOON_TRY(moon_op_scale(tape, loss, job->share[shard], &loss));
  return moon_tape_backward(tape, loss);
}

static void work_shard(void *self, size_t shard) {
  batch_job *job = self;
  job->status[shard] = run_shard(job, shard);
}

/* How much each shard counts for: by its examples, or by the steps of its windows. */
static void share_out(batch_job *job) {
  double all = 0;
  for (size_t s = 0; s < job->shards; s++) {
    size_t start = moon_shard_start(job->n, job->shards, s), n = moon_shard_start(job->n, job->shards, s + 1) - start;
    moon_piece piece = moon_block_piece(job->block, &job->rows, job->at + start, n);
    job->share[s] = (double)(piece.next ? moon_windows_reads(job->f->windows, piece.next, n) : n);
    all += job->share[s];
  }
  for (size_t s = 0; s < job->shards; s++) job->share[s] /= all > 0 ? all : 1;
}

/* The mean loss of a batch; with `learn` its gradients are in the parameters afterwards, where the loss is finite. */
static moon_status run_batch(batch_job *job, double *loss) {
  moon_fit_state *f = job->f;
  job->rows = rows_of(f);
  if (!job->learn) job->rows.windows = NULL; /* what validates is judged by its last step, as in serving */
  job->shards = moon_rows_shards(&job->rows, job->n);
  share_out(job);
  moon_crew_run(f->crew, job->shards, work_shard, job);
  *loss = 0;
  for (size_t s = 0; s < job->shards; s++) {
    MOON_TRY(job->status[s]);
    *loss += job->loss[s] * job->share[s];
  }
  for (size_t s = 0; s < job->shards && job->learn && isfinite(*loss); s++) moon_tape_deliver(f->tapes[s]);
  return moon_ok();
}

/* ---- what went wrong -------------------------------------------------------------------------------------------------------------- */

static bool all_finite(const moon_tensor *t, size_t *at) {
  const float *x = moon_tensor_data(t);
  size_t n = moon_tensor_dtype(t) == MOON_F32 ? moon_tensor_count(t) : 0;
  for (*at = 0; *at < n; ++*at)
    if (!isfinite(x[*at])) return false;
  return true;
}

/* Looks for the first thing that is not finite: an input, a weight, or what an op makes of them in a second run of the batch. */
static moon_status find_cause(batch_job *job) {
  moon_fit_state *f = job->f;
  size_t slots = f->data->plan->dense_slots, at;
  for (size_t i = 0; i < job->n * f->width * slots; i++) {
    float x = job->block->dense[job->at * f->width * slots + i];
    if (!isfinite(x))
      return moon_fail(MOON_EINVAL, "number %zu of the inputs of row %zu of the batch is %g", i % slots + 1, i / slots + 1,
                       (double)x);
  }
  for (size_t i = 0; i < f->model->param_count; i++)
    if (!all_finite(f->model->params[i]->value, &at))
      return moon_fail(MOON_EINVAL, "the weights \"%s\" are not finite after the step before (at %zu): lr is too large",
                       f->model->params[i]->name, at);
  moon_status status = moon_ok();
  for (size_t s = 0; s < job->shards && !status.code; s++) {
    moon_tape_set_checks(f->tapes[s], true);
    status = run_shard(job, s);
    moon_tape_set_checks(f->tapes[s], false);
  }
  return status.code ? status : moon_fail(MOON_EINVAL, "the sum of the losses");
}

static moon_status broken_loss(batch_job *job, double loss) {
  moon_status cause = find_cause(job);
  return moon_fail(MOON_EINVAL, "the loss is %f in epoch %zu, step %zu: %s", loss, job->f->epoch, job->f->report->steps + 1,
                   cause.message);
}

/* ---- telling ------------------------------------------------------------------------------------------------------------------- */

static double seconds_since(int64_t start) {
  return (double)(moon_monotonic() - start) / MOON_SECOND;
}

static double speed(const moon_fit_state *f) {
  double seconds = seconds_since(f->started);
  return seconds > 0 ? (double)f->rows_fitted / seconds : 0;
}

static bool tell(const moon_fit_state *f) {
  size_t n = f->count[MOON_TRAIN];
  double rate = speed(f), left = (double)((f->epochs - f->epoch) * n + n - f->done),
         fraction = 1 - left / ((double)f->epochs * (double)n);
  double wait = rate > 0 ? left / rate : 0;
  char note[160];
  snprintf(note, sizeof note, "epoch %zu/%zu  loss %.4f  lr %.2g  %.0f examples/s  %d:%02d left", f->epoch, f->epochs,
           f->sum / (double)f->done, moon_optimizer_lr(f->optimizer), rate, (int)(wait / 60), (int)fmod(wait, 60));
  return moon_progress_step(f->options.progress, "fit", fraction, note);
}

static moon_status call(const moon_fit_state *f, uint32_t fn, double loss, double valid, bool *stop) {
  moon_fit_info info = {.epoch = f->epoch,
                        .epochs = f->epochs,
                        .step = f->report->steps,
                        .loss = loss,
                        .validation_loss = valid,
                        .lr = moon_optimizer_lr(f->optimizer),
                        .examples_per_second = speed(f)};
  return f->options.functions->call(f->options.functions->self, fn, &info, stop);
}

static moon_status save_checkpoint(moon_fit_state *f) {
  MOON_TRY(moon_checkpoint_write(f, f->options.checkpoint));
  f->report->checkpoints++;
  return moon_ok();
}

static moon_status interrupted(moon_fit_state *f) {
  if (!f->options.checkpoint || !f->checkpoint_every)
    return moon_fail(MOON_ECANCELED, "interrupted in epoch %zu; nothing was written", f->epoch);
  MOON_TRY(save_checkpoint(f));
  return moon_fail(MOON_ECANCELED, "interrupted in epoch %zu; %s holds what was done", f->epoch, f->options.checkpoint);
}

/* ---- epochs ----------------------------------------------------------------------------------------------------------------- */

/* One step of the optimiser, and what is due after it. */
static moon_status step(moon_fit_state *f, const moon_block *block, size_t at, size_t n, bool *stop) {
  batch_job job = {.f = f, .block = block, .at = at, .n = n, .learn = true};
  double loss;
  MOON_TRY(run_batch(&job, &loss));
  if (!isfinite(loss)) return broken_loss(&job, loss);
  moon_status status = moon_optimizer_step(f->optimizer);
  if (status.code) return moon_wrap(status, "epoch %zu, step %zu", f->epoch, f->report->steps + 1);
  f->sum += loss * (double)n;
  f->done += n, f->rows_fitted += n;
  f->report->steps++;
  if (f->on_step && f->report->steps % f->step_every == 0) MOON_TRY(call(f, f->on_step, f->sum / (double)f->done, NAN, stop));
  if (f->options.checkpoint && f->checkpoint_every && f->report->steps % f->checkpoint_every == 0) MOON_TRY(save_checkpoint(f));
  bool due = f->done / NOTE_ROWS != (f->done - n) / NOTE_ROWS || f->done == f->count[MOON_TRAIN];
  return !due || tell(f) ? moon_ok() : interrupted(f);
}

static moon_status train_epoch(moon_fit_state *f, double *mean, bool *stop) {
  while (f->done < f->count[MOON_TRAIN] && !*stop) {
    const moon_block *block;
    moon_feed_next(f->feed, &block);
    for (size_t at = 0; at < block->n && !*stop; at += f->batch)
      MOON_TRY(step(f, block, at, block->n - at < f->batch ? block->n - at : f->batch, stop));
  }
  *mean = f->sum / (double)f->done;
  return moon_ok();
}

static moon_status validate(moon_fit_state *f, double *mean) {
  size_t n = f->count[MOON_VALIDATION];
  double sum = 0, loss;
  for (size_t done = 0; done < n; done += f->batch) {
    size_t rows = n - done < f->batch ? n - done : f->batch;
    batch_job job = {.f = f, .block = &f->valid, .order = f->order[MOON_VALIDATION] + done, .n = rows};
    MOON_TRY(run_batch(&job, &loss));
    sum += loss * (double)rows;
  }
  *mean = n ? sum / (double)n : NAN;
  return moon_ok();
}

/* Whether the epoch is the best so far; with patience its weights are kept. */
static moon_status judge(moon_fit_state *f, bool *over) {
  moon_fit_report *report = f->report;
  bool patient = f->patience && moon_fit_validates(f);
  if (patient && report->best_epoch && !(report->valid_loss[f->epoch - 1] < report->valid_loss[report->best_epoch - 1])) {
    *over = f->epoch - report->best_epoch >= f->patience;
    return moon_ok();
  }
  report->best_epoch = f->epoch;
  if (!patient) return moon_ok();
  moon_buf fresh = {0};
  moon_status status = moon_model_save(f->model, &fresh);
  moon_buf *old = status.code ? &fresh : &f->best;
  moon_buf_free(old);
  if (!status.code) f->best = fresh;
  return status;
}

static moon_status run(moon_fit_state *f) {
  moon_fit_report *report = f->report;
  bool over = false, stop = false;
  f->started = moon_monotonic();
  moon_feed_options feed = {.rows = rows_of(f),
                            .examples = f->order[MOON_TRAIN],
                            .n = f->count[MOON_TRAIN],
                            .batch = f->batch,
                            .epochs = f->epochs,
                            .ahead = f->ahead,
                            .seed = f->seed,
                            .epoch = f->epoch,
                            .done = f->done};
  MOON_TRY(moon_feed_new(&feed, &f->feed));
  for (; f->epoch <= f->epochs; f->epoch++, f->done = 0, f->sum = 0) {
    double *loss = &report->train_loss[f->epoch - 1], *valid = &report->valid_loss[f->epoch - 1];
    MOON_TRY(train_epoch(f, loss, &stop));
    bool enough = f->options.until && f->epoch >= f->options.until && f->epoch < f->epochs;
    if (enough && f->options.checkpoint) MOON_TRY(save_checkpoint(f)); /* as at an interruption: before its validation */
    MOON_TRY(validate(f, valid));
    report->epochs_run = f->epoch;
    MOON_TRY(judge(f, &over));
    if (f->on_epoch && !stop) MOON_TRY(call(f, f->on_epoch, *loss, *valid, &stop));
    if (over || stop || enough) break;
  }
  moon_feed_free(f->feed); /* it reads what the model knows of the data, which loading the best weights writes */
  f->feed = NULL;
  report->seconds = seconds_since(f->started);
  report->examples_per_second = speed(f);
  moon_progress_step(f->options.progress, "fit", 1, NULL);
  if (f->best.data && report->best_epoch != report->epochs_run) return moon_model_load(f->model, f->best.data, f->best.n);
  return moon_model_compile(f->model);
}

static moon_status begin(moon_fit_state *f) {
  f->epoch = 1;
  if (f->options.checkpoint && (f->checkpoint_every || f->options.resume))
    MOON_TRY(moon_checkpoint_may_write(f->options.checkpoint));
  if (!f->options.resume || !f->options.checkpoint) return moon_ok();
  moon_status status = moon_checkpoint_read(f, f->options.checkpoint);
  f->report->resumed = !status.code;
  return status.code == MOON_ENOTFOUND ? moon_ok() : status;
}

moon_status moon_fit(moon_model *model, const moon_dataset *dataset, const json_t *train, const moon_fit_options *options,
                     moon_fit_report *report) {
  *report = (moon_fit_report){0};
  if (model->closed) return moon_fit_closed(model, dataset, options ? options->progress : NULL, report);
  moon_fit_state f = {.model = model, .data = dataset, .train = train, .report = report};
  if (options) f.options = *options;
  moon_status status = parse(&f);
  if (!status.code) status = prepare(&f);
  if (!status.code) status = begin(&f);
  if (!status.code) status = run(&f);
  finish(&f);
  return status;
}

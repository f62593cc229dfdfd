/* score.c - scoring rows of inputs with a compiled model: what every ranked slot of a page waits for.
 *
 * A plain stack of layers runs compiled. Rows go through in tiles: their inputs are laid side by side where the first layer
 * reads them at once, while they are in the cache. The candidates of a page share their user, so a bag equal to the one of the
 * row before is not averaged again. Any other tree of layers runs on a tape that keeps nothing for a way back; a thread takes
 * one from the model's pool for a call, so after the first calls none is made. */
#include <pthread.h>
#include <string.h>

#include "rank/model.h"

enum { TILE = 128 };

struct model_scorers {
  pthread_mutex_t lock;
  moon_tape **idle;
  size_t n, cap;
};

/* ---- compiling, and the tapes of what does not compile ------------------------------------------------------------------- */

static moon_status make_scorers(model_scorers **out) {
  *out = moon_calloc(1, sizeof **out);
  if (!*out) return moon_fail(MOON_ENOMEM, "no memory to compile a model");
  pthread_mutex_init(&(*out)->lock, NULL);
  return moon_ok();
}

void moon_model_free_scorers(model_scorers *scorers) {
  if (!scorers) return;
  for (size_t i = 0; i < scorers->n; i++) moon_tape_free(scorers->idle[i]);
  moon_free(scorers->idle);
  pthread_mutex_destroy(&scorers->lock);
  moon_free(scorers);
}

/* What the model scores with in `precision`; NULL: the tape, which is f32. */
static moon_status make_plan(const moon_model *model, moon_precision precision, moon_infer **out) {
  moon_infer *full;
  moon_status why;
  MOON_TRY(moon_module_compile(model->module, model->sigmoid ? MOON_SIGMOID : MOON_LINEAR, &full, &why));
  *out = full;
  if (precision == MOON_FULL) return moon_ok();
  if (!full) return moon_fail(MOON_EINVAL, "%s (precision \"%s\" is for what does)", why.message, moon_precision_name(precision));
  moon_status status = moon_infer_quantise(full, precision, NULL, 0, out, NULL);
  moon_infer_free(full);
  return status;
}

moon_status moon_model_compile(moon_model *model) {
  moon_infer *fresh = NULL;
  MOON_TRY(make_plan(model, model->precision, &fresh));
  if (!fresh && !model->scorers) MOON_TRY(make_scorers(&model->scorers));
  moon_infer_free(model->infer);
  model->infer = fresh;
  model->compiled = true;
  return moon_ok();
}

moon_status moon_model_set_precision(moon_model *model, moon_precision precision) {
  moon_infer *fresh;
  MOON_TRY(make_plan(model, precision, &fresh)); /* also of a model that is not compiled: to know that it can be */
  model->precision = precision;
  if (!model->compiled) {
    moon_infer_free(fresh);
    return moon_ok();
  }
  moon_infer_free(model->infer);
  model->infer = fresh;
  return moon_ok();
}

moon_status moon_train_precision(const json_t *train, moon_precision *out) {
  const json_t *name = json_object_get(train, "precision");
  *out = MOON_FULL;
  if (!name || json_is_null(name)) return moon_ok();
  if (!json_is_string(name)) return moon_fail(MOON_EINVAL, "precision must be \"f32\", \"bf16\" or \"int8\"");
  return moon_precision_parse(json_string_value(name), out);
}

static moon_status take_tape(model_scorers *scorers, moon_tape **tape) {
  pthread_mutex_lock(&scorers->lock);
  *tape = scorers->n ? scorers->idle[--scorers->n] : NULL;
  pthread_mutex_unlock(&scorers->lock);
  if (*tape) return moon_ok();
  MOON_TRY(moon_tape_new(tape));
  moon_tape_set_grad(*tape, false);
  return moon_ok();
}

static void give_tape(model_scorers *scorers, moon_tape *tape) {
  pthread_mutex_lock(&scorers->lock);
  bool kept = !moon_grow(&scorers->idle, &scorers->cap, scorers->n + 1, sizeof *scorers->idle).code;
  if (kept) scorers->idle[scorers->n++] = tape;
  pthread_mutex_unlock(&scorers->lock);
  if (!kept) moon_tape_free(tape);
}

/* ---- the compiled stack -------------------------------------------------------------------------------------------------- */

static const float *row_of(const moon_embedding *table, uint32_t id, size_t *dim) {
  const size_t *shape = moon_tensor_shape(table->weight->value);
  *dim = shape[1];
  return (const float *)moon_tensor_data(table->weight->value) + (id < shape[0] ? id : 0) * shape[1];
}

static void put_mean(const moon_embedding *table, const uint32_t *ids, size_t length, float *out) {
  size_t dim = moon_tensor_shape(table->weight->value)[1], n = 0;
  memset(out, 0, dim * sizeof *out);
  for (size_t k = 0; k < length; k++) {
    if (!ids[k]) continue;
    const float *row = row_of(table, ids[k], &dim);
    for (size_t d = 0; d < dim; d++) out[d] += row[d];
    n++;
  }
  for (size_t d = 0; d < dim && n; d++) out[d] /= (float)n;
}

/* The inputs of row r into x [in]; `before` is the row before it in x, or NULL. */
static void put_row(const moon_model *model, const moon_inputs *inputs, size_t r, const float *before, float *x) {
  const moon_feature_plan *plan = model->plan;
  size_t at = plan->dense_slots, dim;
  const float *dense = inputs->dense + r * at;
  for (size_t i = 0; i < at; i++)
    x[i] = (dense[i] - ((const float *)moon_tensor_data(model->mean))[i]) * ((const float *)moon_tensor_data(model->scale))[i];
  for (size_t i = 0; i < plan->id_slots; i++, at += dim) {
    const float *row = row_of(model->of_id[i], inputs->ids[r * plan->id_slots + i], &dim);
    memcpy(x + at, row, dim * sizeof *x);
  }
  size_t length = plan->bag_length, width = plan->bag_slots * length;
  for (size_t i = 0; i < plan->bag_slots; i++, at += dim) {
    const uint32_t *ids = inputs->bags + r * width + i * length;
    dim = moon_tensor_shape(model->of_bag[i]->weight->value)[1];
    if (before && !memcmp(ids, ids - width, length * sizeof *ids)) memcpy(x + at, before + at, dim * sizeof *x);
    else put_mean(model->of_bag[i], ids, length, x + at);
  }
}

static moon_status score_stack(const moon_model *model, const moon_inputs *inputs, size_t n, moon_arena *arena, float *scores) {
  size_t tile = n < TILE ? n : TILE;
  float *x = moon_arena_alloc_aligned(arena, tile * model->in * sizeof *x);
  float *scratch = moon_arena_alloc_aligned(arena, moon_infer_scratch(model->infer, tile) * sizeof *scratch);
  if (!x || !scratch) return moon_fail(MOON_ENOMEM, "no memory to score %zu items", n);
  for (size_t start = 0; start < n; start += tile) {
    size_t rows = n - start < tile ? n - start : tile;
    for (size_t r = 0; r < rows; r++) put_row(model, inputs, start + r, r ? x + (r - 1) * model->in : NULL, x + r * model->in);
    moon_infer_run(model->infer, x, rows, scratch, scores + start);
  }
  return moon_ok();
}

/* ---- the tape ------------------------------------------------------------------------------------------------------------ */

static moon_status make_batch(const moon_feature_plan *plan, size_t n, moon_arena *arena, moon_batch *batch) {
  batch->dense = moon_arena_alloc_aligned(arena, n * plan->dense_slots * sizeof(float));
  batch->ids = moon_arena_alloc_aligned(arena, n * plan->id_slots * sizeof(uint32_t));
  batch->bags = moon_arena_alloc_aligned(arena, n * plan->bag_slots * plan->bag_length * sizeof(uint32_t));
  return batch->dense && batch->ids && batch->bags ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory to score %zu items", n);
}

/* Whether a layer reads bags row by row, and not once for rows that are alike. */
static bool reads_bags(const moon_model *model) {
  bool any = false;
  for (size_t i = 0; i < model->input_count; i++) {
    model_input_kind kind = model->inputs[i].kind;
    bool by_id = kind == MODEL_NUMBERS || kind == MODEL_VECTOR || kind == MODEL_ID;
    any |= !by_id && moon_module_uses(model->module, i);
  }
  return any;
}

/* Rows start.. of the inputs, by slot; bags of the first `bag_rows`. */
static void fill_batch(const moon_model *model, const moon_inputs *inputs, size_t start, size_t bag_rows, moon_batch *batch) {
  const moon_feature_plan *plan = model->plan;
  size_t dense = plan->dense_slots, ids = plan->id_slots, bags = plan->bag_slots, length = plan->bag_length, n = batch->n;
  const float *mean = dense ? moon_tensor_data(model->mean) : NULL, *scale = dense ? moon_tensor_data(model->scale) : NULL;
  for (size_t r = 0; r < n; r++) {
    size_t row = start + r;
    for (size_t s = 0; s < dense; s++) batch->dense[r * dense + s] = (inputs->dense[row * dense + s] - mean[s]) * scale[s];
    for (size_t s = 0; s < ids; s++) batch->ids[s * n + r] = inputs->ids[row * ids + s];
    for (size_t s = 0; s < bags && r < bag_rows; s++)
      memcpy(batch->bags + (s * n + r) * length, inputs->bags + (row * bags + s) * length, length * sizeof(uint32_t));
  }
}

/* Whether the rows from `start` on are alike in all that is of the user alone: then that goes through once. */
static bool alike(const moon_model *model, const moon_inputs *inputs, size_t start, size_t n) {
  size_t ids = model->plan->id_slots, length = model->plan->bag_length, bags = model->plan->bag_slots * length;
  for (size_t i = 0; i < model->input_count; i++) {
    if (!moon_module_uses_once(model->module, i)) continue;
    model_input input = model->inputs[i];
    bool is_id = input.kind == MODEL_VECTOR || input.kind == MODEL_ID;
    size_t width = is_id ? ids : bags, count = is_id ? 1 : length;
    const uint32_t *row = (is_id ? inputs->ids : inputs->bags) + start * width + input.slot * count;
    for (size_t r = 1; r < n; r++)
      if (memcmp(row, row + r * width, count * sizeof *row)) return false;
  }
  return true;
}

static moon_status score_on(moon_tape *tape, const moon_model *model, const moon_inputs *inputs, size_t n, moon_arena *arena,
                            float *scores) {
  moon_batch batch = {.n = n < TILE ? n : TILE};
  bool by_row = reads_bags(model);
  MOON_TRY(make_batch(model->plan, batch.n, arena, &batch));
  for (size_t start = 0; start < n; start += batch.n) {
    moon_var y;
    if (n - start < batch.n) batch.n = n - start;
    batch.each = alike(model, inputs, start, batch.n) ? batch.n : 1;
    fill_batch(model, inputs, start, batch.each > 1 && !by_row ? 1 : batch.n, &batch);
    moon_tape_reset(tape);
    moon_pass pass = {.tape = tape};
    MOON_TRY(moon_model_put_inputs(model, tape, &batch, &pass));
    MOON_TRY(moon_module_forward(model->module, &pass, &y));
    if (model->sigmoid) MOON_TRY(moon_op_sigmoid(tape, y, &y));
    memcpy(scores + start, moon_var_data(tape, y), batch.n * sizeof *scores);
  }
  return moon_ok();
}

moon_status moon_model_score(const moon_model *model, const moon_inputs *inputs, size_t n, moon_arena *arena, float *scores) {
  if (!model->compiled) return moon_fail(MOON_EINVAL, "the model has to be compiled before it scores");
  if (model->infer) return score_stack(model, inputs, n, arena, scores);
  moon_tape *tape;
  MOON_TRY(take_tape(model->scorers, &tape));
  moon_status status = score_on(tape, model, inputs, n, arena, scores);
  give_tape(model->scorers, tape);
  return status;
}

const float *moon_model_item_embedding(const moon_model *model, const moon_features *features, uint32_t item, size_t *dim) {
  uint32_t id = moon_features_item_id(features, item);
  return id && model->of_item ? row_of(model->of_item, id, dim) : NULL;
}

size_t moon_model_item_dim(const moon_model *model) { return model->of_item ? moon_tensor_shape(model->of_item->weight->value)[1] : 0; }

bool moon_model_item_unit(const moon_model *model, const moon_features *features, uint32_t item, size_t dim, float *out) {
  size_t has = 0;
  const float *v = moon_model_item_embedding(model, features, item, &has);
  float scale = v && has == dim ? moon_vector_scale(v, dim) : 0;
  for (size_t d = 0; scale > 0 && d < dim; d++) out[d] = v[d] * scale;
  return scale > 0;
}

/* score.c - scoring rows of inputs with a compiled model: what every ranked slot of a page waits for.
 *
 * Rows go through in tiles: their inputs are laid side by side where the first layer reads them at once, while they are in the cache. The
 * candidates of a page share their user, so a bag equal to the one of the row before is not averaged again. */
#include <string.h>

#include "rank/model.h"

enum { TILE = 128 };

moon_status moon_model_compile(moon_model *model) {
  moon_infer *fresh = NULL;
  MOON_TRY(moon_infer_new(model->layers, model->layer_count, &fresh));
  moon_infer_free(model->infer);
  model->infer = fresh;
  return moon_ok();
}

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

moon_status moon_model_score(const moon_model *model, const moon_inputs *inputs, size_t n, moon_arena *arena, float *scores) {
  if (!model->infer) return moon_fail(MOON_EINVAL, "the model has to be compiled before it scores");
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

const float *moon_model_item_embedding(const moon_model *model, const moon_features *features, uint32_t item, size_t *dim) {
  uint32_t id = moon_features_item_id(features, item);
  return id && model->of_item ? row_of(model->of_item, id, dim) : NULL;
}

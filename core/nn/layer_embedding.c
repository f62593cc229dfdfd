/* layer_embedding.c - from ids to vectors. Row 0 is "unknown" in a plain look-up and padding, which counts for nothing, in a
 * bag. */
#include <string.h>

#include "nn/layer.h"

/* A table [rows, dim], N(0, 0.05), row 0 zeros. "rows" is needed only where more are wanted than the input has ids. */
static moon_status make_table(moon_layer *layer, moon_build *build, size_t *dim) {
  size_t rows = layer->in.ids;
  MOON_TRY(moon_spec_size(layer, "dim", true, 1, 65536, dim));
  MOON_TRY(moon_spec_size(layer, "rows", false, 1, MOON_NONE, &rows));
  if (rows < layer->in.ids) return moon_layer_fail(layer, "has %zu rows for ids up to %zu", rows, layer->in.ids - 1);
  bool is_new = !layer->twin;
  MOON_TRY(moon_layer_param(layer, build, "weight", 2, (size_t[]){rows, *dim}, MOON_INIT_NORMAL, true));
  moon_tensor *value = layer->params[0]->value;
  if (is_new) memset(moon_tensor_data(value), 0, *dim * moon_dtype_size(moon_tensor_dtype(value)));
  return moon_ok();
}

/* ---- embedding: ids [n, ...] -> [n, ..., dim] ---------------------------------------------------------------------------- */

static moon_status embedding_build(moon_layer *layer, moon_build *build) {
  if (!layer->in.ids || layer->in.dims + 1 >= MOON_MAX_DIMS) return moon_layer_refuse(layer, "ids [n, ...]");
  size_t dim = 0;
  MOON_TRY(make_table(layer, build, &dim));
  layer->out.ids = 0;
  layer->out.shape[layer->out.dims++] = dim;
  return moon_ok();
}

static moon_status embedding_forward(const moon_layer *layer, const moon_pass *pass, const moon_value *in, moon_value *out) {
  moon_param *table = layer->params[0];
  size_t n = pass->rows, shape[MOON_MAX_DIMS] = {pass->rows};
  for (int d = 0; d < layer->in.dims; d++) n *= layer->in.shape[d];
  for (int d = 0; d < layer->out.dims; d++) shape[d + 1] = layer->out.shape[d];
  MOON_TRY(moon_op_gather(pass->tape, table->value, moon_param_sink(table), in->ids, n, moon_param_touch, table, &out->x));
  out->ids = NULL;
  return layer->in.dims ? moon_op_reshape(pass->tape, out->x, 1 + layer->out.dims, shape, &out->x) : moon_ok();
}

const moon_layer_kind moon_layer_embedding = {"embedding", embedding_build, embedding_forward, false};

/* ---- embedding_bag: ids [n, length] -> [n, dim] -------------------------------------------------------------------------- */
/* choice: a moon_bag_mode */

static const char *const modes[] = {"sum", "mean", "max"}; /* moon_bag_mode's order */

static moon_status bag_build(moon_layer *layer, moon_build *build) {
  if (!layer->in.ids || layer->in.dims != 1) return moon_layer_refuse(layer, "ids [n, length]");
  size_t dim = 0;
  layer->choice = MOON_BAG_MEAN;
  MOON_TRY(moon_spec_choice(layer, "mode", modes, sizeof modes / sizeof *modes, &layer->choice));
  MOON_TRY(make_table(layer, build, &dim));
  layer->out.ids = 0;
  layer->out.shape[0] = dim;
  return moon_ok();
}

static moon_status bag_forward(const moon_layer *layer, const moon_pass *pass, const moon_value *in, moon_value *out) {
  moon_param *table = layer->params[0];
  size_t n = pass->rows, length = layer->in.shape[0], *offsets = moon_tape_take(pass->tape, (n + 1) * sizeof *offsets);
  if (!offsets) return moon_fail(MOON_ENOMEM, "no memory for %zu bags", n);
  for (size_t i = 0; i <= n; i++) offsets[i] = i * length;
  const moon_bag bag = {in->ids, offsets, n, NULL, (moon_bag_mode)layer->choice};
  out->ids = out->lengths = NULL;
  return moon_op_embedding_bag(pass->tape, table->value, moon_param_sink(table), &bag, moon_param_touch, table, &out->x);
}

const moon_layer_kind moon_layer_embedding_bag = {"embedding_bag", bag_build, bag_forward, false, modes};

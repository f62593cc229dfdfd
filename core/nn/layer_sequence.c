/* layer_sequence.c - layers that read a sequence step by step, hide steps of it or boil it down: gru, mask, pool, din.
 *
 * What is padding is told by lengths alone. A sum, a mean, the last step are one thing: steps times weights [n, steps], where
 * padding weighs nothing; so pooling is a product, and its way back is the product's. */
#include <string.h>

#include "nn/layer.h"

static moon_status sequence(const moon_layer *layer) {
  return layer->in.ids || layer->in.dims != 2 ? moon_layer_refuse(layer, "[n, steps, d]") : moon_ok();
}

/* Of step s in a sequence of `length`. */
static double weight_of(moon_pooling how, size_t s, size_t length) {
  if (how == MOON_POOL_MAX) return s < length ? 0 : -1e30; /* added and not multiplied */
  if (s >= length) return 0;
  return how == MOON_POOL_MEAN ? 1 / (double)length : how == MOON_POOL_LAST ? s + 1 == length : 1;
}

static moon_status check_lengths(const moon_value *in, size_t n, size_t steps) {
  for (size_t i = 0; in->lengths && i < n; i++)
    if (in->lengths[i] > steps)
      return moon_fail(MOON_EINVAL, "length %u of row %zu is more than %zu steps", in->lengths[i], i, steps);
  return moon_ok();
}

/* weight_of everything, as a constant [n, steps] of x's dtype, reshaped. */
static moon_status weights(const moon_pass *pass, const moon_value *in, moon_pooling how, size_t steps, int dims, const size_t *shape,
                           moon_var *out) {
  moon_dtype dtype = moon_var_dtype(pass->tape, in->x);
  void *memory = moon_tape_take(pass->tape, pass->rows * steps * moon_dtype_size(dtype));
  if (!memory) return moon_fail(MOON_ENOMEM, "no memory for weights of %zu steps", steps);
  MOON_TRY(check_lengths(in, pass->rows, steps));
  for (size_t i = 0; i < pass->rows; i++) {
    for (size_t s = 0; s < steps; s++) {
      double weight = weight_of(how, s, in->lengths ? in->lengths[i] : steps);
      if (dtype == MOON_F32) ((float *)memory)[i * steps + s] = (float)weight;
      else ((double *)memory)[i * steps + s] = weight;
    }
  }
  return moon_tape_constant(pass->tape, dtype, dims, shape, memory, out);
}

/* w [n, 1, steps] times x [n, steps, d] -> [n, d]. */
static moon_status weigh(const moon_pass *pass, moon_var w, moon_var x, moon_var *y) {
  size_t d = moon_var_shape(pass->tape, x)[2];
  MOON_TRY(moon_op_bmm(pass->tape, w, x, false, false, y));
  return moon_op_reshape(pass->tape, *y, 2, (size_t[]){pass->rows, d}, y);
}

/* ---- pool: [n, steps, d] -> [n, d]; an empty sequence gives zeros -------------------------------------------------------- */
/* choice: a moon_pooling */

static const char *const ways[] = {"mean", "max", "last", "sum"};

static moon_status pool_build(moon_layer *layer, moon_build *build) {
  (void)build;
  MOON_TRY(sequence(layer));
  if (!layer->in.shape[0]) return moon_layer_refuse(layer, "at least one step");
  MOON_TRY(moon_spec_choice(layer, "mode", ways, sizeof ways / sizeof *ways, &layer->choice));
  layer->out.dims = 1, layer->out.shape[0] = layer->in.shape[1];
  return moon_ok();
}

static moon_status max_forward(const moon_pass *pass, const moon_value *in, size_t steps, moon_var *y) {
  moon_var far_below, any;
  size_t n = pass->rows;
  MOON_TRY(weights(pass, in, MOON_POOL_MAX, steps, 3, (size_t[]){n, steps, 1}, &far_below));
  MOON_TRY(weights(pass, in, MOON_POOL_SUM, steps, 2, (size_t[]){n, steps}, &any));
  MOON_TRY(moon_op_slice(pass->tape, any, 1, 0, 1, &any)); /* the first step's weight: 0 of an empty sequence */
  MOON_TRY(moon_op_add(pass->tape, in->x, far_below, y));
  MOON_TRY(moon_op_max_along(pass->tape, *y, 1, false, y));
  return moon_op_mul(pass->tape, *y, any, y);
}

/* The steps that a pass asks for: x [n, steps, d] -> [read_count, d]. */
static moon_status read_steps(const moon_pass *pass, size_t steps, moon_var x, moon_var *y) {
  MOON_TRY(moon_op_reshape(pass->tape, x, 2, (size_t[]){pass->rows * steps, moon_var_shape(pass->tape, x)[2]}, y));
  return moon_op_select_rows(pass->tape, *y, pass->reads, pass->read_count, y);
}

static moon_status pool_forward(const moon_layer *layer, const moon_pass *pass, const moon_value *in, moon_value *out) {
  size_t steps = layer->in.shape[0];
  moon_var w;
  out->lengths = NULL;
  if (pass->reads) return read_steps(pass, steps, in->x, &out->x);
  if (layer->choice == MOON_POOL_MAX) return max_forward(pass, in, steps, &out->x);
  MOON_TRY(weights(pass, in, (moon_pooling)layer->choice, steps, 3, (size_t[]){pass->rows, 1, steps}, &w));
  return weigh(pass, w, in->x, &out->x);
}

const moon_layer_kind moon_layer_pool = {"pool", pool_build, pool_forward, false, ways};

/* ---- mask: [n, steps, d] -> [n, steps + 1, d]: a step behind the last that asks what it is (Sun et al. 2019) ---------------------- */
/* A learned vector stands there, and in training in the place of steps that are to be guessed as well. */

static moon_status mask_build(moon_layer *layer, moon_build *build) {
  MOON_TRY(sequence(layer));
  layer->out.shape[0]++;
  return moon_layer_param(layer, build, "weight", 1, &layer->in.shape[1], MOON_INIT_NORMAL, false);
}

static moon_status mask_forward(const moon_layer *layer, const moon_pass *pass, const moon_value *in, moon_value *out) {
  size_t n = pass->rows, steps = layer->in.shape[0], d = layer->in.shape[1], wide = steps + 1;
  moon_dtype dtype = moon_var_dtype(pass->tape, in->x);
  uint8_t *hidden = moon_tape_take(pass->tape, n * wide);
  uint32_t *lengths = moon_tape_take(pass->tape, n * sizeof *lengths);
  void *room = moon_tape_take(pass->tape, n * d * moon_dtype_size(dtype));
  moon_var parts[2], vector;
  if (!hidden || !lengths || !room) return moon_fail(MOON_ENOMEM, "no memory for masks of %zu steps", wide);
  MOON_TRY(check_lengths(in, n, steps));
  memset(hidden, 0, n * wide);
  memset(room, 0, n * d * moon_dtype_size(dtype));
  for (size_t i = 0; i < n; i++) {
    size_t length = in->lengths ? in->lengths[i] : steps;
    if (pass->masked) memcpy(hidden + i * wide, pass->masked + i * steps, length);
    hidden[i * wide + length] = 1;
    lengths[i] = (uint32_t)length + 1;
  }
  MOON_TRY(moon_op_reshape(pass->tape, in->x, 2, (size_t[]){n, steps * d}, &parts[0]));
  MOON_TRY(moon_tape_constant(pass->tape, dtype, 2, (size_t[]){n, d}, room, &parts[1]));
  MOON_TRY(moon_op_concat(pass->tape, parts, 2, &out->x));
  MOON_TRY(moon_op_reshape(pass->tape, out->x, 3, (size_t[]){n, wide, d}, &out->x));
  MOON_TRY(moon_layer_leaf(layer, pass, 0, &vector));
  out->lengths = lengths;
  return moon_op_where(pass->tape, hidden, 3, (size_t[]){n, wide, 1}, vector, out->x, &out->x);
}

const moon_layer_kind moon_layer_mask = {"mask", mask_build, mask_forward, false};

/* ---- gru: [n, steps, in] -> [n, steps, units] (Cho et al. 2014) ---------------------------------------------------------- */

static moon_status gru_build(moon_layer *layer, moon_build *build) {
  size_t units = 0;
  MOON_TRY(sequence(layer));
  MOON_TRY(moon_spec_size(layer, "units", true, 1, 16384, &units));
  size_t gates = 3 * units;
  MOON_TRY(moon_layer_param(layer, build, "weight", 2, (size_t[]){layer->in.shape[1], gates}, MOON_INIT_GLOROT, false));
  MOON_TRY(moon_layer_param(layer, build, "recurrent", 2, (size_t[]){units, gates}, MOON_INIT_GLOROT, false));
  MOON_TRY(moon_layer_param(layer, build, "bias", 1, &gates, MOON_INIT_ZEROS, false));
  MOON_TRY(moon_layer_param(layer, build, "recurrent_bias", 1, &gates, MOON_INIT_ZEROS, false));
  layer->out.shape[1] = units;
  return moon_ok();
}

static moon_status gru_forward(const moon_layer *layer, const moon_pass *pass, const moon_value *in, moon_value *out) {
  moon_var p[4];
  for (size_t i = 0; i < 4; i++) MOON_TRY(moon_layer_leaf(layer, pass, i, &p[i]));
  return moon_op_gru(pass->tape, in->x, p[0], p[1], p[2], p[3], in->lengths, &out->x);
}

const moon_layer_kind moon_layer_gru = {"gru", gru_build, gru_forward, false};

/* ---- din: the history [n, steps, d], each step weighed by how it goes with the target [n, d] (Zhou et al. 2018) ---------- */
/* The target flows in (or is the "input"), "history" names the other. A step's weight is a small net of
 * (step, target, step - target, step * target); as in the paper, weights are not brought to a sum of 1. other: the history */

static moon_status din_build(moon_layer *layer, moon_build *build) {
  size_t units = 36;
  MOON_TRY(moon_spec_input(layer, build, "history", &layer->other));
  MOON_TRY(moon_spec_size(layer, "units", false, 1, 65536, &units));
  const moon_form *history = moon_build_input(build, layer->other);
  if (layer->in.ids || layer->in.dims != 1 || history->ids || history->dims != 2 || history->shape[1] != layer->in.shape[0])
    return moon_layer_fail(layer, "takes a target [n, d] and a history [n, steps, d], not %s and %s",
                           moon_form_write(&layer->in).text, moon_form_write(history).text);
  moon_form rows = {.dims = 2, .shape = {history->shape[0], 4 * history->shape[1]}};
  moon_layer *hidden, *score;
  json_t *spec = json_pack("{s:s, s:I, s:s}", "type", "dense", "units", (json_int_t)units, "activation", "sigmoid");
  MOON_TRY(moon_layer_part(layer, build, spec, "hidden", &rows, &hidden));
  return moon_layer_part(layer, build, json_pack("{s:s, s:i}", "type", "dense", "units", 1), "score", &hidden->out, &score);
}

static moon_status din_forward(const moon_layer *layer, const moon_pass *pass, const moon_value *in, moon_value *out) {
  const moon_value *history = &pass->inputs[layer->other];
  size_t n = pass->rows, steps = moon_var_shape(pass->tape, history->x)[1], d = layer->in.shape[0];
  moon_var parts[4] = {history->x}, mask, w;
  MOON_TRY(moon_op_reshape(pass->tape, in->x, 3, (size_t[]){n, 1, d}, &parts[1]));
  MOON_TRY(moon_op_broadcast_to(pass->tape, parts[1], 3, (size_t[]){n, steps, d}, &parts[1]));
  MOON_TRY(moon_op_sub(pass->tape, parts[0], parts[1], &parts[2]));
  MOON_TRY(moon_op_mul(pass->tape, parts[0], parts[1], &parts[3]));
  moon_value net = {.lengths = NULL};
  MOON_TRY(moon_op_concat(pass->tape, parts, 4, &net.x));
  for (size_t i = 0; i < 2; i++) MOON_TRY(moon_layer_forward(layer->children[i], pass, &net, &net));
  MOON_TRY(moon_op_reshape(pass->tape, net.x, 3, (size_t[]){n, 1, steps}, &w));
  MOON_TRY(weights(pass, history, MOON_POOL_SUM, steps, 3, (size_t[]){n, 1, steps}, &mask));
  MOON_TRY(moon_op_mul(pass->tape, w, mask, &w));
  out->lengths = NULL;
  return weigh(pass, w, history->x, &out->x);
}

const moon_layer_kind moon_layer_din = {"din", din_build, din_forward, false};

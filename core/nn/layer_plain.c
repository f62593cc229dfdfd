/* layer_plain.c - layers on the last dimension, whatever stands before it: dense, activations, dropout; and those that only
 * move shapes. */
#include "nn/layer.h"

/* ---- what families share ------------------------------------------------------------------------------------------------- */

const char *const moon_layer_activations[] = {"linear", "relu", "sigmoid", "tanh", "gelu", "leaky_relu", "softplus"};
enum { GELU = MOON_TANH + 1, LEAKY_RELU, SOFTPLUS };
static const double LEAK = 0.01;

moon_status moon_layer_activate(moon_tape *tape, int activation, moon_var x, moon_var *y) {
  switch (activation) {
    case MOON_RELU: return moon_op_relu(tape, x, y);
    case MOON_SIGMOID: return moon_op_sigmoid(tape, x, y);
    case MOON_TANH: return moon_op_tanh(tape, x, y);
    case GELU: return moon_op_gelu(tape, x, y);
    case LEAKY_RELU: return moon_op_leaky_relu(tape, x, LEAK, y);
    case SOFTPLUS: return moon_op_softplus(tape, x, y);
    default: *y = x; return moon_ok();
  }
}

/* ---- dense: act(x W + b), x [n, ..., in] -> [n, ..., units] -------------------------------------------------------------- */
/* choice: the activation; flag: with a bias */

static moon_status dense_build(moon_layer *layer, moon_build *build) {
  static const char *const inits[] = {"glorot", "he", "normal", "zeros"}; /* moon_init's order */
  size_t units = 0;
  int init = MOON_INIT_GLOROT;
  layer->flag = true;
  if (layer->in.ids || layer->in.dims < 1) return moon_layer_refuse(layer, "[n, ..., in]");
  MOON_TRY(moon_spec_size(layer, "units", true, 1, 65536, &units));
  MOON_TRY(moon_spec_choice(layer, "activation", moon_layer_activations, MOON_LAYER_ACTIVATIONS, &layer->choice));
  MOON_TRY(moon_spec_choice(layer, "init", inits, sizeof inits / sizeof *inits, &init));
  MOON_TRY(moon_spec_flag(layer, "bias", &layer->flag));
  MOON_TRY(moon_spec_number(layer, "l2", false, 0, 1e6, &layer->l2));
  size_t *last = &layer->out.shape[layer->out.dims - 1];
  MOON_TRY(moon_layer_param(layer, build, "weight", 2, (size_t[]){*last, units}, (moon_init)init, false));
  *last = units;
  return layer->flag ? moon_layer_param(layer, build, "bias", 1, &units, MOON_INIT_ZEROS, false) : moon_ok();
}

static moon_status dense_forward(const moon_layer *layer, const moon_pass *pass, const moon_value *in, moon_value *out) {
  moon_var w, b, y;
  bool is_fused = layer->flag && layer->choice <= MOON_TANH; /* bias and activation in the product's node */
  MOON_TRY(moon_layer_leaf(layer, pass, 0, &w));
  if (layer->flag) {
    MOON_TRY(moon_layer_leaf(layer, pass, 1, &b));
    MOON_TRY(moon_op_dense(pass->tape, in->x, w, b, is_fused ? layer->choice : MOON_LINEAR, &y));
  } else {
    MOON_TRY(moon_op_bmm(pass->tape, in->x, w, false, false, &y));
  }
  return is_fused ? (out->x = y, moon_ok()) : moon_layer_activate(pass->tape, layer->choice, y, &out->x);
}

const moon_layer_kind moon_layer_dense = {"dense", dense_build, dense_forward, false, moon_layer_activations};

/* ---- activation ---------------------------------------------------------------------------------------------------------- */

static moon_status numbers(const moon_layer *layer) { return layer->in.ids ? moon_layer_refuse(layer, "numbers") : moon_ok(); }

static moon_status activation_build(moon_layer *layer, moon_build *build) {
  (void)build;
  MOON_TRY(numbers(layer));
  return moon_spec_choice(layer, "activation", moon_layer_activations, MOON_LAYER_ACTIVATIONS, &layer->choice);
}

static moon_status activation_forward(const moon_layer *layer, const moon_pass *pass, const moon_value *in, moon_value *out) {
  return moon_layer_activate(pass->tape, layer->choice, in->x, &out->x);
}

const moon_layer_kind moon_layer_activation = {"activation", activation_build, activation_forward, false, moon_layer_activations};

/* ---- dropout ------------------------------------------------------------------------------------------------------------- */

static moon_status dropout_build(moon_layer *layer, moon_build *build) {
  (void)build;
  MOON_TRY(numbers(layer));
  return moon_spec_number(layer, "rate", true, 0, 0.99, &layer->rate);
}

static moon_status dropout_forward(const moon_layer *layer, const moon_pass *pass, const moon_value *in, moon_value *out) {
  enum { LAYERS = 4096 }; /* a stream for each step and layer */
  moon_rng key;
  moon_rng_seed(&key, pass->seed, pass->step * LAYERS + layer->number);
  return moon_op_dropout(pass->tape, in->x, layer->rate, &key, pass->training, &out->x);
}

const moon_layer_kind moon_layer_dropout = {"dropout", dropout_build, dropout_forward, false};

/* ---- input: the start of a branch that reads what its option "input" names; without one, whatever flows ------------------ */

static moon_status input_build(moon_layer *layer, moon_build *build) { return (void)layer, (void)build, moon_ok(); }

static moon_status input_forward(const moon_layer *layer, const moon_pass *pass, const moon_value *in, moon_value *out) {
  (void)layer, (void)pass;
  *out = *in;
  return moon_ok();
}

const moon_layer_kind moon_layer_input = {"input", input_build, input_forward, false};

/* ---- flatten, reshape: [n, ...] -> [n, all of it], [n, shape] ------------------------------------------------------------ */

static size_t size_of(const moon_form *form) {
  size_t n = 1;
  for (int d = 0; d < form->dims; d++) n *= form->shape[d];
  return n;
}

static moon_status flatten_build(moon_layer *layer, moon_build *build) {
  (void)build;
  MOON_TRY(numbers(layer));
  layer->out.shape[0] = size_of(&layer->in), layer->out.dims = 1;
  return moon_ok();
}

static moon_status reshape_build(moon_layer *layer, moon_build *build) {
  (void)build;
  MOON_TRY(numbers(layer));
  const json_t *shape = json_object_get(layer->spec, "shape");
  size_t dims = json_array_size(shape);
  if (dims < 1 || dims >= MOON_MAX_DIMS)
    return moon_layer_fail(layer, "\"shape\" must be a list of 1 to %d sizes", MOON_MAX_DIMS - 1);
  layer->out.dims = (int)dims;
  for (size_t d = 0; d < dims; d++) {
    json_int_t size = json_integer_value(json_array_get(shape, d));
    if (size < 1 || size > 1 << 24)
      return moon_layer_fail(layer, "\"shape\" has %lld; a size is 1 to %d", (long long)size, 1 << 24);
    layer->out.shape[d] = (size_t)size;
  }
  if (size_of(&layer->out) == size_of(&layer->in)) return moon_ok();
  return moon_layer_fail(layer, "cannot make %s of %s: as many numbers are needed", moon_form_write(&layer->out).text,
                         moon_form_write(&layer->in).text);
}

static moon_status reshape_forward(const moon_layer *layer, const moon_pass *pass, const moon_value *in, moon_value *out) {
  size_t shape[MOON_MAX_DIMS] = {pass->rows};
  for (int d = 0; d < layer->out.dims; d++) shape[d + 1] = layer->out.shape[d];
  out->lengths = NULL;
  return moon_op_reshape(pass->tape, in->x, 1 + layer->out.dims, shape, &out->x);
}

const moon_layer_kind moon_layer_flatten = {"flatten", flatten_build, reshape_forward, false};
const moon_layer_kind moon_layer_reshape = {"reshape", reshape_build, reshape_forward, false};

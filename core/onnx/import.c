/* import.c - an ONNX file of a dense net as layers for a plan.
 *
 * Nodes are taken in the order in which they stand: each has to read what the one before made, and besides it constants only. So what is
 * not a chain is found at the first node that leaves it, and named. Weights go into the layers as text, and with them into the plan: a
 * recipe's plan is then as complete as any other, and neither training nor serving reads the file. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "onnx/onnx.h"
#include "onnx/wire.h"

enum { MOST_NUMBERS = 4 << 20, MOST_WIDTH = 65536, OLDEST_OPSET = 7 };

typedef Onnx__NodeProto node;
typedef Onnx__TensorProto tensor;

typedef struct importer {
  const Onnx__GraphProto *graph;
  moon_arena arena;
  const char *flows; /* the name of what the chain has made so far */
  size_t width;      /* of it; 0: the file does not say yet */
  size_t first;      /* of what goes in, where it is known */
  size_t numbers;    /* read so far */
  json_t *layers;
  json_t *dense; /* the last layer, where it is a linear dense one */
} importer;

static moon_status no_memory(void) {
  return moon_fail(MOON_ENOMEM, "no memory to import an ONNX file");
}

/* ---- names for messages ------------------------------------------------------------------------------------------------------------ */

typedef struct shown {
  char text[80];
} shown;

/* Whatever a file calls something, short and printable. */
static shown show(const char *name) {
  shown out;
  size_t n = 0;
  for (; name && name[n] && n + 1 < sizeof out.text; n++) out.text[n] = name[n] >= ' ' && name[n] < 127 ? name[n] : '?';
  out.text[n] = 0;
  return out;
}

__attribute__((format(printf, 2, 3))) static moon_status refuse(const node *of, const char *format, ...) {
  moon_status status = {.code = MOON_EINVAL};
  va_list args;
  va_start(args, format);
  vsnprintf(status.message, sizeof status.message, format, args);
  va_end(args);
  const char *name = of->name && *of->name ? of->name : of->n_output ? of->output[0] : "";
  return moon_wrap(status, "the node \"%s\" (%s)", show(name).text, show(of->op_type).text);
}

/* ---- constants --------------------------------------------------------------------------------------------------------------------- */

static bool is_op(const node *of, const char *op) {
  return of->op_type && !strcmp(of->op_type, op) && (!of->domain || !*of->domain);
}

static const Onnx__AttributeProto *attribute(const node *of, const char *name) {
  for (size_t i = 0; i < of->n_attribute; i++)
    if (of->attribute[i]->name && !strcmp(of->attribute[i]->name, name)) return of->attribute[i];
  return NULL;
}

static int64_t int_of(const node *of, const char *name, int64_t otherwise) {
  const Onnx__AttributeProto *found = attribute(of, name);
  return found && found->has_i ? found->i : otherwise;
}

static float float_of(const node *of, const char *name, float otherwise) {
  const Onnx__AttributeProto *found = attribute(of, name);
  return found && found->has_f ? found->f : otherwise;
}

static const tensor *constant(const importer *m, const char *name) {
  for (size_t i = 0; i < m->graph->n_initializer; i++)
    if (m->graph->initializer[i]->name && !strcmp(m->graph->initializer[i]->name, name)) return m->graph->initializer[i];
  for (size_t i = 0; i < m->graph->n_node; i++) {
    const node *made = m->graph->node[i];
    if (!is_op(made, "Constant") || made->n_output != 1 || strcmp(made->output[0], name) != 0) continue;
    const Onnx__AttributeProto *value = attribute(made, "value");
    return value ? value->t : NULL;
  }
  return NULL;
}

/* The i-th number of a tensor of f32 or f64. */
static float number_at(const tensor *t, size_t i) {
  float single;
  double twice;
  if (t->data_type == ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT) {
    if (!t->has_raw_data) return t->float_data[i];
    memcpy(&single, t->raw_data.data + i * sizeof single, sizeof single);
    return single;
  }
  if (!t->has_raw_data) return (float)t->double_data[i];
  memcpy(&twice, t->raw_data.data + i * sizeof twice, sizeof twice);
  return (float)twice;
}

/* How many numbers it says to have, and has; 0: it does not, with a reason. */
static moon_status count_of(importer *m, const node *of, const tensor *t, size_t *count) {
  bool is_float = t->data_type == ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT,
       is_double = t->data_type == ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE;
  const shown name = show(t->name);
  if (t->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL || t->n_external_data)
    return refuse(of, "\"%s\" has its numbers in a file beside (external data); save the model as one file", name.text);
  if (!is_float && !is_double) return refuse(of, "\"%s\" is not of f32 or f64 numbers (data type %d)", name.text, t->data_type);
  if (t->segment || t->n_dims > 2) return refuse(of, "\"%s\" has %zu dimensions; weights have up to 2", name.text, t->n_dims);
  *count = 1;
  for (size_t d = 0; d < t->n_dims; d++) {
    if (t->dims[d] < 1 || t->dims[d] > MOST_NUMBERS)
      return refuse(of, "\"%s\" has a dimension of %lld", name.text, (long long)t->dims[d]);
    *count *= (size_t)t->dims[d];
    if (*count > MOST_NUMBERS - m->numbers) return moon_fail(MOON_ELIMIT, "it has more than %d weights", MOST_NUMBERS);
  }
  m->numbers += *count;
  size_t has = t->has_raw_data ? t->raw_data.len / (is_float ? sizeof(float) : sizeof(double))
               : is_float      ? t->n_float_data
                               : t->n_double_data;
  return has == *count ? moon_ok() : refuse(of, "\"%s\" says to have %zu numbers, and has %zu", name.text, *count, has);
}

/* A matrix [in, out] for what flows, turned where it is stored the other way round. */
static moon_status matrix(importer *m, const node *of, const char *name, bool turned, float factor, float **weights,
                          size_t *out) {
  const tensor *t = constant(m, name);
  size_t count;
  if (!t) return refuse(of, "its matrix \"%s\" is not a constant", show(name).text);
  MOON_TRY(count_of(m, of, t, &count));
  if (t->n_dims != 2) return refuse(of, "its matrix \"%s\" has %zu dimensions", show(name).text, t->n_dims);
  size_t rows = (size_t)t->dims[turned], columns = (size_t)t->dims[!turned];
  if (m->width && rows != m->width) return refuse(of, "takes %zu numbers a row, and %zu come", rows, m->width);
  if (rows > MOST_WIDTH || columns > MOST_WIDTH)
    return refuse(of, "has %zu inputs and %zu units; at most %d", rows, columns, MOST_WIDTH);
  if (!(*weights = moon_arena_alloc(&m->arena, count * sizeof **weights))) return no_memory();
  for (size_t r = 0; r < rows; r++)
    for (size_t c = 0; c < columns; c++)
      (*weights)[r * columns + c] = factor * number_at(t, turned ? c * rows + r : r * columns + c);
  if (!m->first) m->first = rows;
  *out = columns;
  return moon_ok();
}

/* A number for each of `width` columns: one for all, or as many. */
static moon_status row(importer *m, const node *of, const char *name, size_t width, float factor, float **values) {
  const tensor *t = constant(m, name);
  size_t count;
  if (!t) return refuse(of, "\"%s\" is not a constant, and it reads something besides the layer before", show(name).text);
  MOON_TRY(count_of(m, of, t, &count));
  if (!width || (count != 1 && (count != width || (size_t)t->dims[t->n_dims - 1] != width)))
    return refuse(of, "\"%s\" is of %zu numbers, and %zu come", show(name).text, count, width);
  if (!(*values = moon_arena_alloc(&m->arena, width * sizeof **values))) return no_memory();
  for (size_t i = 0; i < width; i++) (*values)[i] = factor * number_at(t, count == 1 ? 0 : i);
  return moon_ok();
}

/* ---- layers -------------------------------------------------------------------------------------------------------------------------- */

/* Steals the layer. */
static moon_status add(importer *m, json_t *layer, bool is_dense) {
  if (!layer || json_array_append_new(m->layers, layer)) return no_memory();
  m->dense = is_dense ? layer : NULL;
  return moon_ok();
}

static moon_status put_weights(json_t *layer, const char *name, const float *values, size_t n) {
  json_t *weights = json_object_get(layer, "weights");
  moon_buf text = {0};
  moon_base64_write(values, n * sizeof *values, &text);
  if (!weights && (weights = json_object()) && json_object_set_new(layer, "weights", weights)) weights = NULL;
  bool failed = text.failed || !weights || json_object_set_new(weights, name, json_stringn(text.data, text.n));
  moon_buf_free(&text);
  return failed ? no_memory() : moon_ok();
}

static moon_status add_dense(importer *m, const float *weights, size_t in, size_t units) {
  MOON_TRY(add(m,
               json_pack("{s:s, s:I, s:s, s:b}", "type", "dense", "units", (json_int_t)units, "activation", "linear", "bias", 0),
               true));
  m->width = units;
  return put_weights(m->dense, "weight", weights, in * units);
}

static moon_status set_bias(importer *m, const float *bias) {
  if (json_object_set_new(m->dense, "bias", json_true())) return no_memory();
  return put_weights(m->dense, "bias", bias, m->width);
}

/* x^ gamma + beta by given statistics. */
static moon_status add_norm(importer *m, double epsilon, bool freeze, const float *const parts[4]) {
  static const char *const names[] = {"gamma", "beta", "mean", "variance"};
  json_t *layer = json_pack("{s:s, s:f}", "type", "batch_norm", "epsilon", epsilon);
  if (layer && freeze && json_object_set_new(layer, "freeze", json_true())) json_decref(layer), layer = NULL;
  MOON_TRY(add(m, layer, false));
  for (int i = 0; i < 4; i++) MOON_TRY(put_weights(layer, names[i], parts[i], m->width));
  return moon_ok();
}

/* x scale + shift, which stays as it is. Either may be NULL. */
static moon_status add_affine(importer *m, const float *scale, const float *shift) {
  float *ones = moon_arena_alloc(&m->arena, m->width * sizeof *ones),
        *zeros = moon_arena_calloc(&m->arena, m->width * sizeof *zeros);
  if (!ones || !zeros) return no_memory();
  for (size_t i = 0; i < m->width; i++) ones[i] = 1;
  return add_norm(m, 1e-12, true,
                  (const float *const[]){scale ? scale : ones, shift ? shift : zeros, zeros, ones}); /* 1 + 1e-12 is 1 in f32 */
}

/* ---- nodes --------------------------------------------------------------------------------------------------------------------------- */

static moon_status gemm(importer *m, const node *of) {
  float *weights, *bias;
  size_t in = m->width, units;
  if (int_of(of, "transA", 0)) return refuse(of, "transA has no layer");
  MOON_TRY(matrix(m, of, of->input[1], int_of(of, "transB", 0) != 0, float_of(of, "alpha", 1), &weights, &units));
  in = in ? in : m->first;
  MOON_TRY(add_dense(m, weights, in, units));
  if (of->n_input < 3 || !*of->input[2]) return moon_ok();
  MOON_TRY(row(m, of, of->input[2], units, float_of(of, "beta", 1), &bias));
  return set_bias(m, bias);
}

static moon_status matmul(importer *m, const node *of) {
  float *weights;
  size_t in = m->width, units;
  MOON_TRY(matrix(m, of, of->input[1], false, 1, &weights, &units));
  return add_dense(m, weights, in ? in : m->first, units);
}

/* Add, Sub, Mul and Div by constants; `constant_first`: c - x and the like. */
static moon_status arithmetic(importer *m, const node *of, bool constant_first) {
  float *by, *turn;
  MOON_TRY(row(m, of, of->input[!constant_first], m->width, 1, &by));
  if (is_op(of, "Add")) {
    bool as_bias = m->dense && !json_is_true(json_object_get(m->dense, "bias"));
    return as_bias ? set_bias(m, by) : add_affine(m, NULL, by);
  }
  if (is_op(of, "Mul")) return add_affine(m, by, NULL);
  bool divides = is_op(of, "Div");
  if (divides && constant_first) return refuse(of, "a constant over what flows has no layer");
  if (!(turn = moon_arena_alloc(&m->arena, m->width * sizeof *turn))) return no_memory();
  for (size_t i = 0; i < m->width; i++) turn[i] = divides ? 1 / by[i] : constant_first ? -1 : -by[i];
  if (divides) return add_affine(m, turn, NULL);
  return constant_first ? add_affine(m, turn, by) : add_affine(m, NULL, turn);
}

static moon_status batch_norm(importer *m, const node *of) {
  float *parts[4];
  double epsilon = float_of(of, "epsilon", 1e-5f);
  if (of->n_input < 5) return refuse(of, "has %zu inputs of 5", of->n_input);
  if (int_of(of, "training_mode", 0)) return refuse(of, "is in training mode; export the model for inference");
  if (!(epsilon >= 1e-12 && epsilon <= 1)) return refuse(of, "epsilon is %g", epsilon);
  for (size_t i = 0; i < 4; i++) MOON_TRY(row(m, of, of->input[i + 1], m->width, 1, &parts[i]));
  return add_norm(m, epsilon, false, (const float *const *)parts);
}

static moon_status activation(importer *m, const node *of, const char *name) {
  if (!strcmp(name, "leaky_relu") && float_of(of, "alpha", 0.01f) != 0.01f)
    return refuse(of, "alpha is %g; m.nn's leaky_relu has 0.01", (double)float_of(of, "alpha", 0.01f));
  if (!m->dense) return add(m, json_pack("{s:s, s:s}", "type", "activation", "activation", name), false);
  bool failed = json_object_set_new(m->dense, "activation", json_string(name));
  m->dense = NULL;
  return failed ? no_memory() : moon_ok();
}

static bool passes(const node *of) {
  if (is_op(of, "Flatten")) return int_of(of, "axis", 1) == 1;
  if (is_op(of, "Cast")) return int_of(of, "to", 0) == ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
  return is_op(of, "Identity") || is_op(of, "Dropout");
}

static moon_status take(importer *m, const node *of) {
  static const char *const activations[][2] = {
      {"Relu", "relu"}, {"Sigmoid", "sigmoid"}, {"Tanh", "tanh"}, {"LeakyRelu", "leaky_relu"}, {"Softplus", "softplus"}};
  bool is_arithmetic = is_op(of, "Add") || is_op(of, "Sub") || is_op(of, "Mul") || is_op(of, "Div");
  bool first = of->n_input && !strcmp(of->input[0], m->flows),
       second = is_arithmetic && of->n_input == 2 && !strcmp(of->input[1], m->flows);
  if (!of->n_output) return refuse(of, "has no output");
  for (size_t i = 0; i < sizeof activations / sizeof *activations; i++)
    if (first && is_op(of, activations[i][0])) return activation(m, of, activations[i][1]);
  if (first && passes(of)) return moon_ok();
  if (first && is_op(of, "Gemm") && of->n_input >= 2) return gemm(m, of);
  if (first && is_op(of, "MatMul") && of->n_input == 2) return matmul(m, of);
  if (first && is_op(of, "BatchNormalization")) return batch_norm(m, of);
  if (is_arithmetic && of->n_input == 2 && first != second) return arithmetic(m, of, second);
  if (!first && !second)
    return refuse(of, "does not read \"%s\", which the node before it made: only a chain becomes layers", show(m->flows).text);
  return refuse(
      of,
      "has no layer here; Gemm, MatMul, Add, Sub, Mul, Div, BatchNormalization, Relu, LeakyRelu (0.01), Sigmoid, Tanh, Softplus, "
      "Flatten, Identity and Dropout have");
}

/* ---- the graph ------------------------------------------------------------------------------------------------------------------------ */

static moon_status check_opset(const Onnx__ModelProto *model) {
  for (size_t i = 0; i < model->n_opset_import; i++) {
    const Onnx__OperatorSetIdProto *opset = model->opset_import[i];
    if (opset->domain && *opset->domain && strcmp(opset->domain, "ai.onnx") != 0) continue;
    if (opset->version >= OLDEST_OPSET) return moon_ok();
    return moon_fail(MOON_EINVAL, "its opset is %lld; from %d on they are read", (long long)opset->version, OLDEST_OPSET);
  }
  return moon_fail(MOON_EFORMAT, "it does not say its opset");
}

/* The one input that is no constant: [n, width] of f32. */
static moon_status find_input(importer *m) {
  const Onnx__ValueInfoProto *found = NULL;
  for (size_t i = 0; i < m->graph->n_input; i++) {
    const Onnx__ValueInfoProto *input = m->graph->input[i];
    if (!input->name || constant(m, input->name)) continue;
    if (found)
      return moon_fail(MOON_EINVAL, "it takes \"%s\" and \"%s\": a chain has one input", show(found->name).text,
                       show(input->name).text);
    found = input;
  }
  if (!found) return moon_fail(MOON_EINVAL, "it takes no input");
  const Onnx__TypeProto *type = found->type;
  const Onnx__TypeProto__Tensor *of = type && type->value_case == ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE ? type->tensor_type : NULL;
  if (!of || of->elem_type != ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT)
    return moon_fail(MOON_EINVAL, "its input \"%s\" is not of f32 numbers", show(found->name).text);
  if (of->shape && of->shape->n_dim != 2)
    return moon_fail(MOON_EINVAL, "its input \"%s\" has %zu dimensions; rows of numbers have 2", show(found->name).text,
                     of->shape->n_dim);
  int64_t width = of->shape && of->shape->dim[1]->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE
                      ? of->shape->dim[1]->dim_value
                      : 0;
  if (width < 0 || width > MOST_WIDTH)
    return moon_fail(MOON_EINVAL, "its input is %lld wide; at most %d", (long long)width, MOST_WIDTH);
  m->flows = found->name, m->width = m->first = (size_t)width;
  return moon_ok();
}

static moon_status run_chain(importer *m) {
  for (size_t i = 0; i < m->graph->n_node; i++) {
    const node *of = m->graph->node[i];
    if (is_op(of, "Constant")) continue;
    MOON_TRY(take(m, of));
    m->flows = of->output[0];
  }
  const char *end = m->graph->n_output == 1 ? m->graph->output[0]->name : NULL;
  if (!end) return moon_fail(MOON_EINVAL, "it gives %zu outputs: a chain has one", m->graph->n_output);
  if (strcmp(end, m->flows) != 0)
    return moon_fail(MOON_EINVAL, "its output \"%s\" is not what the last node makes", show(end).text);
  return json_array_size(m->layers) && m->first ? moon_ok() : moon_fail(MOON_EINVAL, "there is no layer in it");
}

moon_status moon_onnx_import(const char *name, const char *bytes, size_t n, json_t **layers) {
  Onnx__ModelProto *model = NULL;
  importer m = {.layers = json_array()};
  *layers = NULL;
  moon_status status = m.layers ? onnx_read(bytes, n, &model) : no_memory();
  if (!status.code && !model->graph) status = moon_fail(MOON_EFORMAT, "there is no graph in it");
  if (!status.code) m.graph = model->graph, status = check_opset(model);
  if (!status.code) status = find_input(&m);
  if (!status.code) status = run_chain(&m);
  if (!status.code && !(*layers = json_pack("{s:s, s:s, s:I, s:O}", "type", "sequential", "file", name, "width",
                                            (json_int_t)m.first, "layers", m.layers)))
    status = no_memory();
  json_decref(m.layers);
  onnx_read_free(model);
  moon_arena_free(&m.arena);
  return moon_wrap(status, "%s", name);
}

/* graph.c - nodes, tensors and names of an ONNX graph, and how they become bytes.
 *
 * The messages of the graph lie in its arena, and numbers of parameters where they are: packing is the only copy. */
#include "onnx/graph.h"

#include <stdio.h>
#include <string.h>

#include "onnx/onnx.h"

#ifndef MOON_VERSION
#define MOON_VERSION "0.0.0"
#endif

void onnx_graph_free(onnx_graph *g) {
  moon_free(g->nodes);
  moon_free(g->tensors);
  moon_free(g->inputs);
  moon_free(g->outputs);
  moon_arena_free(&g->arena);
}

void onnx_fail(onnx_graph *g, moon_code code, const char *format, ...) {
  va_list args;
  if (g->status.code) return;
  va_start(args, format);
  vsnprintf(g->status.message, sizeof g->status.message, format, args);
  va_end(args);
  g->status.code = code;
}

static void no_memory(onnx_graph *g) {
  onnx_fail(g, MOON_ENOMEM, "no memory for an ONNX graph");
}

static void *take(onnx_graph *g, size_t bytes) {
  void *memory = g->status.code ? NULL : moon_arena_calloc(&g->arena, bytes ? bytes : 1);
  if (!memory) no_memory(g);
  return memory;
}

static char *text(onnx_graph *g, const char *from) {
  char *copy = g->status.code ? NULL : moon_arena_strdup(&g->arena, from);
  if (!copy) no_memory(g);
  return copy;
}

static bool put(onnx_graph *g, void *list, size_t *cap, size_t *n, void *item) {
  if (!item) return false;
  moon_status status = moon_grow(list, cap, *n + 1, sizeof(void *));
  if (status.code) return no_memory(g), false;
  (*(void ***)list)[(*n)++] = item;
  return true;
}

/* ---- nodes ----------------------------------------------------------------------------------------------------------------- */

static Onnx__AttributeProto *make_attribute(onnx_graph *g, const onnx_attribute *from) {
  Onnx__AttributeProto *a = take(g, sizeof *a);
  if (!a) return NULL;
  onnx__attribute_proto__init(a);
  a->name = text(g, from->name), a->has_type = true;
  a->type = from->kind == ONNX_INT    ? ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT
            : from->kind == ONNX_INTS ? ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS
                                      : ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT;
  if (from->kind == ONNX_INT) a->has_i = true, a->i = from->i;
  if (from->kind == ONNX_FLOAT) a->has_f = true, a->f = from->f;
  if (from->kind == ONNX_INTS && (a->ints = take(g, from->n * sizeof *a->ints)))
    memcpy(a->ints, from->ints, from->n * sizeof *a->ints), a->n_ints = from->n;
  return a;
}

/* A node whose outputs are still to be named. */
static Onnx__NodeProto *add_node(onnx_graph *g, const char *op, const char *const *in, size_t n, const onnx_attribute *with,
                                 size_t n_with, size_t outputs) {
  Onnx__NodeProto *node = take(g, sizeof *node);
  char **names = take(g, (n + outputs) * sizeof *names);
  Onnx__AttributeProto **attributes = take(g, n_with * sizeof *attributes);
  if (!node || !names || !attributes) return NULL;
  onnx__node_proto__init(node);
  memcpy(names, in, n * sizeof *names); /* names are in the arena or static */
  node->input = names, node->n_input = n;
  node->output = names + n, node->n_output = outputs;
  node->op_type = text(g, op);
  node->attribute = attributes, node->n_attribute = n_with;
  for (size_t i = 0; i < n_with; i++) attributes[i] = make_attribute(g, &with[i]);
  if (g->status.code) return NULL;
  node->name =
      moon_arena_printf(&g->arena, "%s%s/%s.%zu", g->path && *g->path ? "/" : "", g->path ? g->path : "", op, g->node_count);
  if (!node->name) no_memory(g);
  return g->status.code || !put(g, &g->nodes, &g->node_cap, &g->node_count, node) ? NULL : node;
}

const char *onnx_node(onnx_graph *g, const char *op, const char *const *in, size_t n, const onnx_attribute *with, size_t n_with) {
  Onnx__NodeProto *node = add_node(g, op, in, n, with, n_with, 1);
  return node ? node->output[0] = node->name : "";
}

const char *onnx_one(onnx_graph *g, const char *op, const char *a) {
  return onnx_node(g, op, &a, 1, NULL, 0);
}

const char *onnx_two(onnx_graph *g, const char *op, const char *a, const char *b) {
  return onnx_node(g, op, (const char *[]){a, b}, 2, NULL, 0);
}

const char *onnx_cast(onnx_graph *g, const char *a, Onnx__TensorProto__DataType type) {
  const onnx_attribute to = onnx_int("to", type);
  return onnx_node(g, "Cast", &a, 1, &to, 1);
}

const char *onnx_concat(onnx_graph *g, const char *const *in, size_t n) {
  const onnx_attribute last = onnx_int("axis", -1);
  return n == 1 ? in[0] : onnx_node(g, "Concat", in, n, &last, 1);
}

const char *onnx_reshape(onnx_graph *g, const char *x, int dims, const size_t *shape) {
  int64_t sizes[MOON_MAX_DIMS + 1] = {-1};
  for (int d = 0; d < dims; d++) sizes[d + 1] = (int64_t)shape[d];
  return onnx_two(g, "Reshape", x, onnx_ints(g, sizes, (size_t)dims + 1));
}

const char *onnx_transpose(onnx_graph *g, const char *x, const int64_t *order, size_t dims) {
  const onnx_attribute perm = {"perm", ONNX_INTS, .ints = order, .n = dims};
  return onnx_node(g, "Transpose", &x, 1, &perm, 1);
}

const char *onnx_add_axis(onnx_graph *g, const char *x, int64_t axis) {
  return onnx_two(g, "Unsqueeze", x, onnx_ints(g, &axis, 1));
}

const char *onnx_sum_axis(onnx_graph *g, const char *x, int64_t axis, bool keep) {
  const onnx_attribute keeps = onnx_int("keepdims", keep);
  return onnx_node(g, "ReduceSum", (const char *[]){x, onnx_ints(g, &axis, 1)}, 2, &keeps, 1);
}

const char *onnx_order(onnx_graph *g, const char *keys, size_t k) {
  const onnx_attribute with[] = {onnx_int("axis", -1), onnx_int("largest", 0), onnx_int("sorted", 1)};
  const int64_t count = (int64_t)k;
  Onnx__NodeProto *node = add_node(g, "TopK", (const char *[]){keys, onnx_ints(g, &count, 1)}, 2, with, 3, 2);
  if (!node) return "";
  node->output[0] = moon_arena_printf(&g->arena, "%s.values", node->name);
  if (!node->output[0]) no_memory(g);
  return node->output[1] = node->name;
}

/* ---- constants ------------------------------------------------------------------------------------------------------------- */

/* The name of a constant that is there already, or NULL. */
static const char *find(const onnx_graph *g, const char *name) {
  for (size_t i = g->tensor_count; i-- > 0;)
    if (!strcmp(g->tensors[i]->name, name)) return g->tensors[i]->name;
  return NULL;
}

/* raw: borrowed. */
static const char *add_tensor(onnx_graph *g, const char *name, Onnx__TensorProto__DataType type, int dims, const size_t *shape,
                              void *raw) {
  size_t count = 1;
  Onnx__TensorProto *tensor = take(g, sizeof *tensor);
  int64_t *sizes = take(g, (size_t)dims * sizeof *sizes);
  if (!tensor || !sizes || !raw) return "";
  onnx__tensor_proto__init(tensor);
  for (int d = 0; d < dims; d++) sizes[d] = (int64_t)shape[d], count *= shape[d];
  tensor->dims = sizes, tensor->n_dims = (size_t)dims;
  tensor->has_data_type = tensor->has_raw_data = true;
  tensor->data_type = type;
  tensor->raw_data.data = raw;
  tensor->raw_data.len = count * (type == ONNX__TENSOR_PROTO__DATA_TYPE__INT64 ? sizeof(int64_t) : sizeof(float));
  tensor->name = text(g, name);
  return tensor->name && put(g, &g->tensors, &g->tensor_cap, &g->tensor_count, tensor) ? tensor->name : "";
}

static const char *called(onnx_graph *g, const char *name) {
  const char *made = g->status.code ? NULL : moon_arena_printf(&g->arena, "/%s", name);
  if (!made) no_memory(g);
  return made;
}

const char *onnx_tensor(onnx_graph *g, const char *name, const moon_tensor *tensor) {
  const char *whole = called(g, name), *known = whole ? find(g, whole) : "";
  if (!whole || known) return known;
  if (moon_tensor_dtype(tensor) == MOON_F64) return onnx_fail(g, MOON_EINVAL, "%s is not of f32 numbers", name), "";
  bool whole_numbers = moon_tensor_dtype(tensor) == MOON_I64;
  return add_tensor(g, whole, whole_numbers ? ONNX__TENSOR_PROTO__DATA_TYPE__INT64 : ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT,
                    moon_tensor_dims(tensor), moon_tensor_shape(tensor), moon_tensor_data(tensor));
}

static const char *copied(onnx_graph *g, const char *whole, Onnx__TensorProto__DataType type, int dims, const size_t *shape,
                          const void *values, size_t bytes) {
  const char *known = whole ? find(g, whole) : "";
  if (!whole || known) return known;
  void *copy = take(g, bytes);
  if (copy) memcpy(copy, values, bytes);
  return add_tensor(g, whole, type, dims, shape, copy);
}

const char *onnx_floats(onnx_graph *g, const char *name, int dims, const size_t *shape, const float *values) {
  size_t n = 1;
  for (int d = 0; d < dims; d++) n *= shape[d];
  return copied(g, called(g, name), ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, dims, shape, values, n * sizeof *values);
}

const char *onnx_number(onnx_graph *g, double value) {
  char name[40];
  float number = (float)value;
  snprintf(name, sizeof name, "%.9g", value);
  return onnx_floats(g, name, 0, NULL, &number);
}

const char *onnx_ints(onnx_graph *g, const int64_t *values, size_t n) {
  char name[24 * (MOON_MAX_DIMS + 1)] = "i";
  for (size_t i = 0, at = 1; i < n && at < sizeof name; i++)
    at += (size_t)snprintf(name + at, sizeof name - at, ".%lld", (long long)values[i]);
  return copied(g, called(g, name), ONNX__TENSOR_PROTO__DATA_TYPE__INT64, 1, &n, values, n * sizeof *values);
}

const char *onnx_steps(onnx_graph *g, size_t n) {
  char name[40];
  int64_t *values = take(g, n * sizeof *values);
  if (!values) return "";
  snprintf(name, sizeof name, "steps.%zu", n);
  for (size_t i = 0; i < n; i++) values[i] = (int64_t)i;
  return copied(g, called(g, name), ONNX__TENSOR_PROTO__DATA_TYPE__INT64, 1, &n, values, n * sizeof *values);
}

/* ---- what goes in and comes out ------------------------------------------------------------------------------------------------ */

static Onnx__TensorShapeProto *make_shape(onnx_graph *g, int dims, const size_t *shape) {
  Onnx__TensorShapeProto *out = take(g, sizeof *out);
  Onnx__TensorShapeProto__Dimension **list = take(g, (size_t)(dims + 1) * sizeof *list),
                                    *each = take(g, (size_t)(dims + 1) * sizeof *each);
  if (!out || !list || !each) return NULL;
  onnx__tensor_shape_proto__init(out);
  out->dim = list, out->n_dim = (size_t)dims + 1;
  for (int d = 0; d <= dims; d++) {
    list[d] = &each[d];
    onnx__tensor_shape_proto__dimension__init(list[d]);
    list[d]->value_case =
        d ? ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE : ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
    if (d)
      list[d]->dim_value = (int64_t)shape[d - 1];
    else
      list[d]->dim_param = text(g, "n");
  }
  return out;
}

static Onnx__ValueInfoProto *make_value(onnx_graph *g, const char *name, Onnx__TensorProto__DataType type, int dims,
                                        const size_t *shape) {
  Onnx__ValueInfoProto *value = take(g, sizeof *value);
  Onnx__TypeProto *of = take(g, sizeof *of);
  Onnx__TypeProto__Tensor *tensor = take(g, sizeof *tensor);
  if (!value || !of || !tensor) return NULL;
  onnx__value_info_proto__init(value);
  onnx__type_proto__init(of);
  onnx__type_proto__tensor__init(tensor);
  value->name = text(g, name), value->type = of;
  of->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE, of->tensor_type = tensor;
  tensor->has_elem_type = true, tensor->elem_type = type;
  tensor->shape = make_shape(g, dims, shape);
  return g->status.code ? NULL : value;
}

const char *onnx_input(onnx_graph *g, const char *name, Onnx__TensorProto__DataType type, int dims, const size_t *shape) {
  for (bool again = true; again && !g->status.code;) {
    again = *name == '/' || !*name || !strcmp(name, "score") || !strcmp(name, "output");
    for (size_t i = 0; i < g->input_count; i++) again |= !strcmp(g->inputs[i]->name, name);
    if (again && !(name = moon_arena_printf(&g->arena, "input.%s", name))) no_memory(g);
  }
  Onnx__ValueInfoProto *value = g->status.code ? NULL : make_value(g, name, type, dims, shape);
  return put(g, &g->inputs, &g->input_cap, &g->input_count, value) ? value->name : "";
}

void onnx_output(onnx_graph *g, const char *x, const char *name, int dims, const size_t *shape) {
  const char *given = name;
  g->path = NULL;
  Onnx__NodeProto *node = add_node(g, "Identity", &x, 1, NULL, 0, 1);
  if (node) node->output[0] = text(g, given);
  put(g, &g->outputs, &g->output_cap, &g->output_count, make_value(g, name, ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, dims, shape));
}

/* ---- bytes ------------------------------------------------------------------------------------------------------------------- */

typedef struct sink {
  ProtobufCBuffer base;
  moon_buf *out;
} sink;

static void append(ProtobufCBuffer *buffer, size_t n, const uint8_t *bytes) {
  moon_buf_add(((sink *)buffer)->out, bytes, n);
}

static void add_metadata(onnx_graph *g, Onnx__ModelProto *model, const json_t *metadata) {
  const char *key;
  json_t *value; /* jansson iterates over what is not const */
  size_t n = json_object_size(metadata);
  Onnx__StringStringEntryProto **list = take(g, n * sizeof *list), *each = take(g, n * sizeof *each);
  if (!list || !each) return;
  model->metadata_props = list;
  json_object_foreach((json_t *)(uintptr_t)metadata, key, value) {
    Onnx__StringStringEntryProto *entry = list[model->n_metadata_props] = &each[model->n_metadata_props];
    onnx__string_string_entry_proto__init(entry);
    entry->key = text(g, key), entry->value = text(g, json_string_value(value));
    model->n_metadata_props++;
  }
}

moon_status onnx_pack(onnx_graph *g, const char *name, const json_t *metadata, moon_buf *out) {
  Onnx__ModelProto model = ONNX__MODEL_PROTO__INIT;
  Onnx__GraphProto graph = ONNX__GRAPH_PROTO__INIT;
  Onnx__OperatorSetIdProto opset = ONNX__OPERATOR_SET_ID_PROTO__INIT, *opsets[] = {&opset};
  char producer[] = "moonshelf", version[] = MOON_VERSION;
  add_metadata(g, &model, metadata);
  graph.name = text(g, name);
  if (g->status.code) return g->status;
  graph.node = g->nodes, graph.n_node = g->node_count;
  graph.initializer = g->tensors, graph.n_initializer = g->tensor_count;
  graph.input = g->inputs, graph.n_input = g->input_count;
  graph.output = g->outputs, graph.n_output = g->output_count;
  opset.has_version = true, opset.version = MOON_ONNX_OPSET;
  model.has_ir_version = true, model.ir_version = MOON_ONNX_IR;
  model.opset_import = opsets, model.n_opset_import = 1;
  model.producer_name = producer, model.producer_version = version;
  model.graph = &graph;
  size_t size = onnx__model_proto__get_packed_size(&model);
  if (size > INT32_MAX) return moon_fail(MOON_ELIMIT, "the model is %zu bytes, and a file of ONNX holds at most 2 GiB", size);
  sink to = {{append}, out};
  onnx__model_proto__pack_to_buffer(&model, &to.base);
  return out->failed ? moon_fail(MOON_ENOMEM, "no memory for an ONNX file of %zu bytes", size) : moon_ok();
}

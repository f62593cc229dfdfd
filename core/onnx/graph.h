/* graph.h - an ONNX graph in the making: nodes, constants and inputs are added in the order in which they run, and each answers the name
 * of the tensor that it makes.
 *
 * A failure is kept and everything after it does nothing, so that who writes a graph need not look after every node. All names that are
 * made here begin with '/', which keeps them apart from those of inputs and outputs. */
#ifndef MOON_ONNX_GRAPH_H
#define MOON_ONNX_GRAPH_H
#include <jansson.h>
#include <onnx.pb-c.h>

#include "nn/module.h"

typedef struct onnx_graph {
  moon_arena arena;
  moon_status status; /* the first failure */
  const char *path;   /* of the layer that is being written: the names of its nodes begin with it */
  Onnx__NodeProto **nodes;
  Onnx__TensorProto **tensors;
  Onnx__ValueInfoProto **inputs, **outputs;
  size_t node_count, node_cap, tensor_count, tensor_cap, input_count, input_cap, output_count, output_cap;
} onnx_graph;
void onnx_graph_free(onnx_graph *graph);

typedef struct onnx_attribute {
  const char *name;
  enum { ONNX_INT, ONNX_INTS, ONNX_FLOAT } kind;
  int64_t i;
  const int64_t *ints; /* [n] copied */
  size_t n;
  float f;
} onnx_attribute;
static inline onnx_attribute onnx_int(const char *name, int64_t i) {
  return (onnx_attribute){name, ONNX_INT, .i = i};
}
static inline onnx_attribute onnx_float(const char *name, double f) {
  return (onnx_attribute){name, ONNX_FLOAT, .f = (float)f};
}
static inline onnx_attribute onnx_axis(const int64_t *axis) {
  return (onnx_attribute){"axes", ONNX_INTS, .ints = axis, .n = 1};
}

/* A node with its first output's name as the answer. with: [n_with], may be NULL. */
const char *onnx_node(onnx_graph *g, const char *op, const char *const *in, size_t n, const onnx_attribute *with, size_t n_with);
const char *onnx_one(onnx_graph *g, const char *op, const char *a);
const char *onnx_two(onnx_graph *g, const char *op, const char *a, const char *b);
const char *onnx_cast(onnx_graph *g, const char *a, Onnx__TensorProto__DataType type);
const char *onnx_concat(onnx_graph *g, const char *const *in, size_t n);               /* along the last dimension */
const char *onnx_reshape(onnx_graph *g, const char *x, int dims, const size_t *shape); /* [n, shape] */
const char *onnx_transpose(onnx_graph *g, const char *x, const int64_t *order, size_t dims);
const char *onnx_add_axis(onnx_graph *g, const char *x, int64_t axis);
const char *onnx_sum_axis(onnx_graph *g, const char *x, int64_t axis, bool keep);
/* The second output of TopK, which is all that is wanted of it: where the k smallest are. */
const char *onnx_order(onnx_graph *g, const char *keys, size_t k);
/* Names the tensor x as the graph's output. */
void onnx_output(onnx_graph *g, const char *x, const char *name, int dims, const size_t *shape);

/* Constants, each written once however often it is asked for. Of a tensor, by its parameter's name; its numbers are borrowed until the
 * graph is packed. Of others by what they are; they are copied. */
const char *onnx_tensor(onnx_graph *g, const char *name, const moon_tensor *tensor);
const char *onnx_floats(onnx_graph *g, const char *name, int dims, const size_t *shape, const float *values);
const char *onnx_number(onnx_graph *g, double value);
const char *onnx_ints(onnx_graph *g, const int64_t *values, size_t n);
const char *onnx_steps(onnx_graph *g, size_t n); /* 0 .. n - 1 */

/* An input [n, shape]; a name that is taken or begins with '/' gets "input." before it. */
const char *onnx_input(onnx_graph *g, const char *name, Onnx__TensorProto__DataType type, int dims, const size_t *shape);

__attribute__((format(printf, 3, 4))) void onnx_fail(onnx_graph *g, moon_code code, const char *format, ...);
/* Everything as a file; metadata: an object of strings. Appends. */
moon_status onnx_pack(onnx_graph *g, const char *name, const json_t *metadata, moon_buf *out);

#endif

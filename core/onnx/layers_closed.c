/* layers_closed.c - kinds of layers that are computed in closed form, as ONNX: weights between the item at hand and the user's history. */
#include "onnx/layers.h"

#include <stdio.h>

/* A table of the layer's rows, looked up for each item. */
static const char *row(const onnx_writer *w, const moon_layer_view *layer, size_t buffer, const char *item) {
  char name[320];
  static const char *const names[] = {"table", "neighbour"};
  snprintf(name, sizeof name, "%s.%s", layer->path, names[buffer]);
  return onnx_two(w->graph, "Gather", onnx_tensor(w->graph, name, layer->buffers[buffer]), item);
}

static const char *as_float(onnx_graph *g, const char *x) {
  return onnx_cast(g, x, ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT);
}

/* ease: of all weights of the item those of the history, of which the unknown has 0. */
onnx_value onnx_weights(const onnx_writer *w, const moon_layer_view *layer, onnx_value in) {
  onnx_graph *g = w->graph;
  const onnx_attribute axis = onnx_int("axis", 1);
  const char *both[] = {row(w, layer, 0, in.x), w->inputs[layer->other].x};
  return (onnx_value){.x = onnx_sum_axis(g, onnx_node(g, "GatherElements", both, 2, &axis, 1), 1, true)};
}

/* item_knn, content: the weights of those neighbours [n, k] that are somewhere in the history [n, steps]. */
onnx_value onnx_neighbours(const onnx_writer *w, const moon_layer_view *layer, onnx_value in) {
  onnx_graph *g = w->graph;
  const int64_t none = 0, last = -1;
  const onnx_attribute with[] = {onnx_axis(&last), onnx_int("keepdims", 0)};
  const char *neighbour = row(w, layer, 1, in.x), *past = w->inputs[layer->other].x;
  const char *met = as_float(g, onnx_two(g, "Equal", onnx_add_axis(g, neighbour, 2), onnx_add_axis(g, past, 1)));
  const char *known = as_float(g, onnx_two(g, "Greater", neighbour, onnx_ints(g, &none, 1)));
  const char *marked = onnx_two(g, "Mul", onnx_node(g, "ReduceMax", &met, 1, with, 2), known);
  return (onnx_value){.x = onnx_sum_axis(g, onnx_two(g, "Mul", row(w, layer, 0, in.x), marked), 1, true)};
}

/* popular, trending: a number of the item. */
onnx_value onnx_bias(const onnx_writer *w, const moon_layer_view *layer, onnx_value in) {
  return (onnx_value){.x = onnx_add_axis(w->graph, row(w, layer, 0, in.x), 1)};
}

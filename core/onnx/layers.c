/* layers.c - kinds of layers as ONNX: those on rows of numbers, tables, and what is made of layers. */
#include "onnx/layers.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *onnx_param(const onnx_writer *w, const moon_layer_view *layer, size_t i) {
  return onnx_tensor(w->graph, layer->params[i]->name, layer->params[i]->value);
}

/* ---- on the last dimension --------------------------------------------------------------------------------------------------- */

/* x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2 */
static const char *gelu(onnx_graph *g, const char *x) {
  const char *cubed = onnx_two(g, "Mul", x, onnx_two(g, "Mul", x, x));
  const char *inner = onnx_two(g, "Add", x, onnx_two(g, "Mul", cubed, onnx_number(g, 0.044715)));
  const char *tanh = onnx_one(g, "Tanh", onnx_two(g, "Mul", inner, onnx_number(g, sqrt(2 / M_PI))));
  return onnx_two(g, "Mul", onnx_two(g, "Mul", x, onnx_number(g, 0.5)), onnx_two(g, "Add", tanh, onnx_number(g, 1)));
}

const char *onnx_activate(const onnx_writer *w, const char *activation, const char *x) {
  static const char *const same[][2] = {{"relu", "Relu"}, {"sigmoid", "Sigmoid"}, {"tanh", "Tanh"}, {"softplus", "Softplus"}};
  const onnx_attribute leak = onnx_float("alpha", 0.01);
  for (size_t i = 0; i < sizeof same / sizeof *same; i++)
    if (!strcmp(activation, same[i][0])) return onnx_one(w->graph, same[i][1], x);
  if (!strcmp(activation, "leaky_relu")) return onnx_node(w->graph, "LeakyRelu", &x, 1, &leak, 1);
  if (!strcmp(activation, "gelu")) return gelu(w->graph, x);
  if (strcmp(activation, "linear") != 0) onnx_fail(w->graph, MOON_EINVAL, "the activation \"%s\" has no ONNX yet", activation);
  return x;
}

static onnx_value dense(const onnx_writer *w, const moon_layer_view *layer, onnx_value in) {
  onnx_graph *g = w->graph;
  const char *weight = onnx_param(w, layer, 0), *bias = layer->flag ? onnx_param(w, layer, 1) : NULL;
  if (bias && layer->in->dims == 1) {
    in.x = onnx_node(g, "Gemm", (const char *[]){in.x, weight, bias}, 3, NULL, 0);
  } else {
    in.x = onnx_two(g, "MatMul", in.x, weight);
    if (bias) in.x = onnx_two(g, "Add", in.x, bias);
  }
  in.x = onnx_activate(w, layer->choice, in.x);
  return in;
}

static onnx_value activation(const onnx_writer *w, const moon_layer_view *layer, onnx_value in) {
  in.x = onnx_activate(w, layer->choice, in.x);
  return in;
}

/* dropout, when nothing is trained, and input */
static onnx_value as_it_is(const onnx_writer *w, const moon_layer_view *layer, onnx_value in) {
  return (void)w, (void)layer, in;
}

static onnx_value reshape(const onnx_writer *w, const moon_layer_view *layer, onnx_value in) {
  return (onnx_value){.x = onnx_reshape(w->graph, in.x, layer->out->dims, layer->out->shape)};
}

static onnx_value layer_norm(const onnx_writer *w, const moon_layer_view *layer, onnx_value in) {
  onnx_graph *g = w->graph;
  const int64_t last = -1;
  const onnx_attribute axes = onnx_axis(&last);
  const char *mean = onnx_node(g, "ReduceMean", &in.x, 1, &axes, 1), *apart = onnx_two(g, "Sub", in.x, mean);
  const char *squares = onnx_two(g, "Mul", apart, apart), *variance = onnx_node(g, "ReduceMean", &squares, 1, &axes, 1);
  const char *deviation = onnx_one(g, "Sqrt", onnx_two(g, "Add", variance, onnx_number(g, layer->epsilon)));
  const char *scaled = onnx_two(g, "Mul", onnx_two(g, "Div", apart, deviation), onnx_param(w, layer, 0));
  in.x = onnx_two(g, "Add", scaled, onnx_param(w, layer, 1));
  return in;
}

/* In use it goes by its running statistics. ONNX has the columns in the second dimension, so a sequence is laid out as rows for it. */
static onnx_value batch_norm(const onnx_writer *w, const moon_layer_view *layer, onnx_value in) {
  onnx_graph *g = w->graph;
  char names[2][320];
  const onnx_attribute epsilon = onnx_float("epsilon", layer->epsilon);
  size_t d = layer->in->shape[layer->in->dims - 1];
  static const char *const buffers[] = {"mean", "variance"};
  const char *all[5] = {layer->in->dims > 1 ? onnx_reshape(g, in.x, 1, &d) : in.x, onnx_param(w, layer, 0),
                        onnx_param(w, layer, 1)};
  for (int i = 0; i < 2; i++) {
    /* beside the parameters, which also those have that share them */
    const char *gamma = layer->params[0]->name;
    snprintf(names[i], sizeof names[i], "%.*s%s", (int)(strlen(gamma) - strlen("gamma")), gamma, buffers[i]);
    all[3 + i] = onnx_tensor(g, names[i], layer->buffers[i]);
  }
  in.x = onnx_node(g, "BatchNormalization", all, 5, &epsilon, 1);
  if (layer->in->dims > 1) in.x = onnx_reshape(g, in.x, layer->in->dims, layer->in->shape);
  return in;
}

/* ---- tables and products ----------------------------------------------------------------------------------------------------- */

static onnx_value embedding(const onnx_writer *w, const moon_layer_view *layer, onnx_value in) {
  in.x = onnx_two(w->graph, "Gather", onnx_param(w, layer, 0), in.x);
  return in;
}

/* ((sum over fields)^2 - sum of squares) / 2 */
static onnx_value fm(const onnx_writer *w, const moon_layer_view *layer, onnx_value in) {
  (void)layer;
  onnx_graph *g = w->graph;
  const char *sum = onnx_sum_axis(g, in.x, 1, false), *squares = onnx_sum_axis(g, onnx_two(g, "Mul", in.x, in.x), 1, false);
  const char *pairs = onnx_two(g, "Sub", onnx_two(g, "Mul", sum, sum), squares);
  return (onnx_value){.x = onnx_two(g, "Mul", pairs, onnx_number(g, 0.5))};
}

/* x <- x0 (x W + b) + x */
static onnx_value cross(const onnx_writer *w, const moon_layer_view *layer, onnx_value in) {
  onnx_graph *g = w->graph;
  const char *first = in.x;
  for (size_t i = 0; i < layer->size; i++) {
    const char *all[] = {in.x, onnx_param(w, layer, 2 * i), onnx_param(w, layer, 2 * i + 1)};
    in.x = onnx_two(g, "Add", onnx_two(g, "Mul", first, onnx_node(g, "Gemm", all, 3, NULL, 0)), in.x);
  }
  return in;
}

static onnx_value dot(const onnx_writer *w, const moon_layer_view *layer, onnx_value in) {
  const char *a = onnx_write(w, layer->children[0], in).x, *b = onnx_write(w, layer->children[1], in).x;
  return (onnx_value){.x = onnx_sum_axis(w->graph, onnx_two(w->graph, "Mul", a, b), 1, true)};
}

/* ---- made of layers ------------------------------------------------------------------------------------------------------------ */

static onnx_value sequential(const onnx_writer *w, const moon_layer_view *layer, onnx_value in) {
  for (size_t i = 0; i < layer->child_count; i++) in = onnx_write(w, layer->children[i], in);
  return in;
}

static onnx_value residual(const onnx_writer *w, const moon_layer_view *layer, onnx_value in) {
  in.x = onnx_two(w->graph, "Add", in.x, sequential(w, layer, in).x);
  return in;
}

enum { MOST_BRANCHES = 64 }; /* more are not built */

/* What each child makes of `in`; answers how many there are. The first's mask goes along. */
static size_t branches(const onnx_writer *w, const moon_layer_view *layer, onnx_value in, const char **parts, onnx_value *first) {
  size_t n = layer->child_count < MOST_BRANCHES ? layer->child_count : MOST_BRANCHES;
  for (size_t i = 0; i < n; i++) {
    onnx_value branch = onnx_write(w, layer->children[i], in);
    parts[i] = branch.x;
    if (!i) *first = branch;
  }
  return n;
}

/* The experts behind the gate, by its softmax: a weighted sum of steps. */
static const char *gate(const onnx_writer *w, const moon_layer_view *layer, const char *const *parts, size_t n) {
  const onnx_attribute last = onnx_int("axis", -1);
  const size_t shape[] = {n - 1, layer->out->shape[0]};
  const char *all = onnx_reshape(w->graph, onnx_concat(w->graph, parts + 1, n - 1), 2, shape);
  return onnx_weigh(w->graph, onnx_node(w->graph, "Softmax", &parts[0], 1, &last, 1), all, shape[0], shape[1]);
}

static onnx_value parallel(const onnx_writer *w, const moon_layer_view *layer, onnx_value in) {
  const char *parts[MOST_BRANCHES];
  onnx_value out = in;
  size_t n = branches(w, layer, in, parts, &out);
  if (!strcmp(layer->choice, "concat"))
    out.x = onnx_concat(w->graph, parts, n);
  else if (!strcmp(layer->choice, "gate"))
    out.x = gate(w, layer, parts, n);
  else
    for (size_t i = 1; i < n; i++) out.x = onnx_two(w->graph, "Add", out.x, parts[i]);
  return out;
}

/* The logit of a product of probabilities is a - s(s(a) - b), as in nn/layer_container.c. */
static onnx_value heads(const onnx_writer *w, const moon_layer_view *layer, onnx_value in) {
  onnx_graph *g = w->graph;
  const char *parts[MOST_BRANCHES];
  onnx_value out = in;
  size_t n = branches(w, layer, in, parts, &out);
  for (size_t i = 0; i < n; i++) {
    const char *a = parts[layer->times[i]];
    if (layer->times[i] == i) continue;
    parts[i] = onnx_two(g, "Sub", a, onnx_one(g, "Softplus", onnx_two(g, "Sub", onnx_one(g, "Softplus", a), parts[i])));
  }
  return (onnx_value){.x = n > 1 ? onnx_concat(g, parts, n) : parts[0]};
}

/* ---- all of them --------------------------------------------------------------------------------------------------------------- */

static const struct {
  const char *name;
  onnx_kind *write;
} kinds[] = {
    {"dense", dense},
    {"activation", activation},
    {"dropout", as_it_is},
    {"input", as_it_is},
    {"flatten", reshape},
    {"reshape", reshape},
    {"embedding", embedding},
    {"batch_norm", batch_norm},
    {"layer_norm", layer_norm},
    {"fm", fm},
    {"cross", cross},
    {"dot", dot},
    {"position", onnx_position},
    {"attention", onnx_attention},
    {"transformer", onnx_transformer},
    {"gru", onnx_gru},
    {"mask", onnx_mask_layer},
    {"pool", onnx_pool},
    {"din", onnx_din},
    {"sequential", sequential},
    {"residual", residual},
    {"parallel", parallel},
    {"heads", heads},
    {"ease", onnx_weights},
    {"item_knn", onnx_neighbours},
    {"content", onnx_neighbours},
    {"popular", onnx_bias},
    {"trending", onnx_bias},
    {"embedding_bag", onnx_embedding_bag},
};

onnx_value onnx_write(const onnx_writer *w, const moon_layer *layer, onnx_value in) {
  onnx_graph *g = w->graph;
  const moon_layer_view view = moon_layer_look(layer);
  const char *above = g->path;
  if (view.input) in = w->inputs[*view.input];
  if (g->status.code) return in;
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    if (strcmp(kinds[i].name, view.kind) != 0) continue;
    g->path = view.path;
    in = kinds[i].write(w, &view, in);
    g->path = above;
    return in;
  }
  return onnx_fail(g, MOON_EINVAL, "%s: the layer %s has no ONNX yet", view.where, view.kind), in;
}

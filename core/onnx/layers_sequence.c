/* layers_sequence.c - kinds of layers that read a sequence, as ONNX.
 *
 * What is padding is told by a mask of ones and zeros beside the sequence. A mean, a sum, the last step are weights made of it, and so one
 * product; what must not be seen gets a score far below all others. */
#include "onnx/layers.h"

#include <math.h>
#include <string.h>

/* ---- masks --------------------------------------------------------------------------------------------------------------------- */

const char *onnx_mask(onnx_graph *g, const char *lengths, size_t steps) {
  return onnx_cast(g, onnx_two(g, "Less", onnx_steps(g, steps), onnx_add_axis(g, lengths, 1)),
                   ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT);
}

const char *onnx_weigh(onnx_graph *g, const char *weights, const char *x, size_t steps, size_t d) {
  const char *row = onnx_reshape(g, weights, 2, (size_t[]){1, steps});
  return onnx_reshape(g, onnx_two(g, "MatMul", row, x), 1, &d);
}

/* mask / max(its sum, 1) */
static const char *shares(onnx_graph *g, const char *mask) {
  return onnx_two(g, "Div", mask, onnx_two(g, "Max", onnx_sum_axis(g, mask, 1, true), onnx_number(g, 1)));
}

const char *onnx_mean(onnx_graph *g, const char *mask, const char *x, size_t steps, size_t d) {
  return onnx_weigh(g, shares(g, mask), x, steps, d);
}

/* Of a value without one: ones, as many as there are rows. */
static const char *mask_of(onnx_graph *g, onnx_value value) {
  if (value.mask) return value.mask;
  const char *zeros = onnx_two(g, "Mul", onnx_sum_axis(g, value.x, -1, false), onnx_number(g, 0)); /* [n, steps] */
  return onnx_two(g, "Add", zeros, onnx_number(g, 1));
}

/* How many steps the mask has, [n, 1] (int64). */
static const char *length_of(onnx_graph *g, const char *mask) {
  return onnx_cast(g, onnx_sum_axis(g, mask, 1, true), ONNX__TENSOR_PROTO__DATA_TYPE__INT64);
}

/* 0 where the mask is 1, and far below where it is 0. */
static const char *far_below(onnx_graph *g, const char *mask) {
  return onnx_two(g, "Mul", onnx_two(g, "Sub", mask, onnx_number(g, 1)), onnx_number(g, 1e30));
}

/* The maximum over steps, zeros where there is none. */
static const char *maximum(onnx_graph *g, const char *mask, const char *x) {
  const int64_t steps = 1;
  const onnx_attribute with[] = {onnx_axis(&steps), onnx_int("keepdims", 0)};
  const char *seen = onnx_two(g, "Add", x, onnx_add_axis(g, far_below(g, mask), 2)),
             *most = onnx_node(g, "ReduceMax", &seen, 1, with, 2);
  const onnx_attribute any_with[] = {onnx_axis(&steps), onnx_int("keepdims", 1)};
  return onnx_two(g, "Mul", most, onnx_node(g, "ReduceMax", &mask, 1, any_with, 2));
}

/* ---- position, attention, transformer -------------------------------------------------------------------------------------------- */

onnx_value onnx_position(const onnx_writer *w, const moon_layer_view *layer, onnx_value in) {
  in.x = onnx_two(w->graph, "Add", in.x, onnx_param(w, layer, 0));
  return in;
}

/* 1 where step i may look at step j: j <= i. */
static const char *causal(onnx_graph *g, size_t steps) {
  const char *all = onnx_steps(g, steps);
  return onnx_cast(g, onnx_two(g, "LessOrEqual", all, onnx_add_axis(g, all, 1)), ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT);
}

/* [n, steps, d] -> [n, heads, steps, d / heads], or with the last two the other way round. */
static const char *heads(onnx_graph *g, const moon_layer_view *layer, const char *x, bool turned) {
  const int64_t straight[] = {0, 2, 1, 3}, turn[] = {0, 2, 3, 1};
  size_t steps = layer->in->shape[0], d = layer->in->shape[1];
  x = onnx_reshape(g, x, 3, (size_t[]){steps, layer->size, d / layer->size});
  return onnx_transpose(g, x, turned ? turn : straight, 4);
}

onnx_value onnx_attention(const onnx_writer *w, const moon_layer_view *layer, onnx_value in) {
  enum { QUERY, KEY, VALUE, OUT };
  onnx_graph *g = w->graph;
  const int64_t back[] = {0, 2, 1, 3};
  const onnx_attribute last = onnx_int("axis", -1);
  size_t steps = layer->in->shape[0], width = layer->in->shape[1] / layer->size;
  const char *q = heads(g, layer, onnx_write(w, layer->children[QUERY], in).x, false);
  const char *k = heads(g, layer, onnx_write(w, layer->children[KEY], in).x, true);
  const char *v = heads(g, layer, onnx_write(w, layer->children[VALUE], in).x, false);
  const char *scores = onnx_two(g, "Mul", onnx_two(g, "MatMul", q, k), onnx_number(g, 1 / sqrt((double)width)));
  const char *seen = in.mask ? onnx_reshape(g, in.mask, 3, (size_t[]){1, 1, steps}) : NULL,
             *past = layer->flag ? causal(g, steps) : NULL;
  if (seen && past)
    seen = onnx_two(g, "Mul", seen, past);
  else if (past)
    seen = past;
  if (seen) scores = onnx_two(g, "Add", scores, far_below(g, seen));
  const char *p = onnx_node(g, "Softmax", &scores, 1, &last, 1);
  if (seen) p = onnx_two(g, "Mul", p, seen); /* a step that sees none gets zeros */
  const char *mixed = onnx_transpose(g, onnx_two(g, "MatMul", p, v), back, 4);
  const onnx_value out = {onnx_reshape(g, mixed, 2, layer->in->shape), in.mask};
  return onnx_write(w, layer->children[OUT], out);
}

/* x + what the children first..last make of it. */
static onnx_value add_branch(const onnx_writer *w, const moon_layer_view *layer, size_t first, size_t last, onnx_value in) {
  onnx_value branch = in;
  for (size_t i = first; i <= last; i++) branch = onnx_write(w, layer->children[i], branch);
  in.x = onnx_two(w->graph, "Add", in.x, branch.x);
  return in;
}

onnx_value onnx_transformer(const onnx_writer *w, const moon_layer_view *layer, onnx_value in) {
  enum { ATTENTION_NORM, ATTENTION, ATTENTION_DROPOUT, FEED_NORM, FEED_UP, FEED_DOWN, FEED_DROPOUT };
  in = add_branch(w, layer, ATTENTION_NORM, ATTENTION_DROPOUT, in);
  return add_branch(w, layer, FEED_NORM, FEED_DROPOUT, in);
}

/* ---- mask: a step more, the learned vector, right behind the last that there is --------------------------------------------------- */

/* The ones of a mask come first, so one before them makes it a step longer. */
onnx_value onnx_mask_layer(const onnx_writer *w, const moon_layer_view *layer, onnx_value in) {
  onnx_graph *g = w->graph;
  const int64_t step_behind[] = {0, 0, 0, 0, 1, 0}, one_before[] = {0, 1, 0, 0}; /* before each dimension, then behind each */
  const char *mask = mask_of(g, in), *x = onnx_two(g, "Pad", in.x, onnx_ints(g, step_behind, 6));
  const char *here = onnx_two(g, "Equal", onnx_steps(g, layer->out->shape[0]), length_of(g, mask));
  const char *choice[] = {onnx_add_axis(g, here, 2), onnx_param(w, layer, 0), x};
  const char *longer[] = {mask, onnx_ints(g, one_before, 4), onnx_number(g, 1)};
  return (onnx_value){onnx_node(g, "Where", choice, 3, NULL, 0), onnx_node(g, "Pad", longer, 3, NULL, 0)};
}

/* ---- gru ----------------------------------------------------------------------------------------------------------------------------- */

/* A parameter [rows, 3 units] of gates r | z | n as ONNX has it, [1, 3 units, rows] of z | r | h; or a bias of theirs, rows 1. */
static void turn_gates(const moon_tensor *from, size_t rows, size_t units, float *to) {
  static const size_t order[] = {1, 0, 2};
  const float *x = moon_tensor_data(from);
  for (size_t gate = 0; gate < 3; gate++)
    for (size_t u = 0; u < units; u++)
      for (size_t r = 0; r < rows; r++) *to++ = x[r * 3 * units + order[gate] * units + u];
}

static const char *gates(const onnx_writer *w, const moon_layer_view *layer, size_t param, size_t rows) {
  onnx_graph *g = w->graph;
  size_t units = layer->out->shape[1];
  float *to = moon_arena_alloc(&g->arena, 3 * units * rows * sizeof *to);
  if (!to) return onnx_fail(g, MOON_ENOMEM, "no memory for a gru"), "";
  turn_gates(layer->params[param]->value, rows, units, to);
  return onnx_floats(g, layer->params[param]->name, 3, (size_t[]){1, 3 * units, rows}, to);
}

/* Both biases, one behind the other. */
static const char *biases(const onnx_writer *w, const moon_layer_view *layer) {
  onnx_graph *g = w->graph;
  size_t units = layer->out->shape[1];
  float *to = moon_arena_alloc(&g->arena, 6 * units * sizeof *to);
  if (!to) return onnx_fail(g, MOON_ENOMEM, "no memory for a gru"), "";
  turn_gates(layer->params[2]->value, 1, units, to);
  turn_gates(layer->params[3]->value, 1, units, to + 3 * units);
  return onnx_floats(g, layer->params[2]->name, 2, (size_t[]){1, 6 * units}, to);
}

/* Padding comes last, so it changes nothing of what stands before it: its steps are taken, and made zeros. */
onnx_value onnx_gru(const onnx_writer *w, const moon_layer_view *layer, onnx_value in) {
  onnx_graph *g = w->graph;
  const int64_t steps_first[] = {1, 0, 2}, rows_first[] = {2, 0, 1, 3};
  size_t units = layer->out->shape[1];
  const onnx_attribute with[] = {onnx_int("hidden_size", (int64_t)units), onnx_int("linear_before_reset", 1)};
  const char *all[] = {onnx_transpose(g, in.x, steps_first, 3), gates(w, layer, 0, layer->in->shape[1]),
                       gates(w, layer, 1, units), biases(w, layer)};
  const char *y = onnx_node(g, "GRU", all, 4, with, 2); /* [steps, 1, n, units] */
  in.x = onnx_reshape(g, onnx_transpose(g, y, rows_first, 4), 2, layer->out->shape);
  if (in.mask) in.x = onnx_two(g, "Mul", in.x, onnx_add_axis(g, in.mask, 2));
  return in;
}

/* ---- what boils a sequence down --------------------------------------------------------------------------------------------------- */

/* 1 for the last step that there is. */
static const char *last_of(onnx_graph *g, const char *mask, size_t steps) {
  const int64_t one = 1;
  const char *at = onnx_two(g, "Sub", length_of(g, mask), onnx_ints(g, &one, 1));
  return onnx_cast(g, onnx_two(g, "Equal", onnx_steps(g, steps), at), ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT);
}

onnx_value onnx_pool(const onnx_writer *w, const moon_layer_view *layer, onnx_value in) {
  onnx_graph *g = w->graph;
  size_t steps = layer->in->shape[0], d = layer->in->shape[1];
  const char *mask = mask_of(g, in), *mode = layer->choice;
  if (!strcmp(mode, "max")) return (onnx_value){.x = maximum(g, mask, in.x)};
  if (!strcmp(mode, "mean")) mask = shares(g, mask);
  if (!strcmp(mode, "last")) mask = last_of(g, mask, steps);
  return (onnx_value){.x = onnx_weigh(g, mask, in.x, steps, d)};
}

onnx_value onnx_embedding_bag(const onnx_writer *w, const moon_layer_view *layer, onnx_value in) {
  onnx_graph *g = w->graph;
  const int64_t none = 0;
  const char *there = onnx_cast(g, onnx_two(g, "Greater", in.x, onnx_ints(g, &none, 1)), ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT);
  const char *rows = onnx_two(g, "Gather", onnx_param(w, layer, 0), in.x), *mode = layer->choice;
  size_t steps = layer->in->shape[0], d = layer->out->shape[0];
  if (!strcmp(mode, "max")) return (onnx_value){.x = maximum(g, there, rows)};
  if (!strcmp(mode, "mean")) return (onnx_value){.x = onnx_mean(g, there, rows, steps, d)};
  return (onnx_value){.x = onnx_weigh(g, there, rows, steps, d)};
}

/* Each step weighed by a net of (step, target, step - target, step * target). */
onnx_value onnx_din(const onnx_writer *w, const moon_layer_view *layer, onnx_value in) {
  onnx_graph *g = w->graph;
  const onnx_value history = w->inputs[layer->other];
  moon_layer_view hidden = moon_layer_look(layer->children[0]);
  size_t steps = hidden.in->shape[0], d = layer->in->shape[0];
  const char *target = onnx_reshape(g, in.x, 2, (size_t[]){1, d});
  const char *apart = onnx_two(g, "Sub", history.x, target), *times = onnx_two(g, "Mul", history.x, target);
  const char *zeros = onnx_two(g, "Mul", history.x, onnx_number(g, 0));
  const char *parts[] = {history.x, onnx_two(g, "Add", zeros, target), apart, times};
  onnx_value net = {.x = onnx_concat(g, parts, 4)};
  for (size_t i = 0; i < 2; i++) net = onnx_write(w, layer->children[i], net);
  const char *weights = onnx_reshape(g, net.x, 1, &steps);
  if (history.mask) weights = onnx_two(g, "Mul", weights, history.mask);
  return (onnx_value){.x = onnx_weigh(g, weights, history.x, steps, d)};
}

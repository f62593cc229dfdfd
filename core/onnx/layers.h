/* layers.h - how a kind of layer is written as ONNX.
 *
 * A kind is one function and a line in the table of layers.c. It does in nodes what the kind's `forward` does on a tape: from the value that
 * flows in to the one that flows out, which comes as a copy of it, so a mask goes along unless dropped. */
#ifndef MOON_ONNX_LAYERS_H
#define MOON_ONNX_LAYERS_H
#include "onnx/graph.h"

typedef struct onnx_value {
  const char *x;    /* [n, shape...] numbers, or ids as int64 */
  const char *mask; /* of a sequence: [n, steps], 1 where there is a step and 0 where padding is; NULL: none is */
} onnx_value;

typedef struct onnx_writer {
  onnx_graph *graph;
  const onnx_value *inputs; /* of the module; those that it does not use have no x */
} onnx_writer;

/* All layers from `layer` down, each under its own path. */
onnx_value onnx_write(const onnx_writer *w, const moon_layer *layer, onnx_value in);
const char *onnx_param(const onnx_writer *w, const moon_layer_view *layer, size_t i);
const char *onnx_activate(const onnx_writer *w, const char *activation, const char *x);

/* The mask of lengths [n] (int64) over `steps`, [n, steps]. */
const char *onnx_mask(onnx_graph *g, const char *lengths, size_t steps);
/* x [n, steps, d] weighed by w [n, steps] and summed: [n, d]. */
const char *onnx_weigh(onnx_graph *g, const char *weights, const char *x, size_t steps, size_t d);
/* The mean of those steps of x [n, steps, d] that the mask has, zeros where it has none: [n, d]. */
const char *onnx_mean(onnx_graph *g, const char *mask, const char *x, size_t steps, size_t d);

typedef onnx_value onnx_kind(const onnx_writer *w, const moon_layer_view *layer, onnx_value in);
onnx_kind onnx_position, onnx_attention, onnx_transformer, onnx_gru, onnx_mask_layer, onnx_pool, onnx_din,
    onnx_embedding_bag;                             /* layers_sequence.c */
onnx_kind onnx_weights, onnx_neighbours, onnx_bias; /* layers_closed.c */

#endif

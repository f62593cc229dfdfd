/* infer.h - a compiled plan from inside: infer.c compiles and runs it, infer_quantise.c makes smaller ones of it. */
#ifndef MOON_NN_INFER_H
#define MOON_NN_INFER_H
#include "nn/nn.h"

typedef struct packed_layer {
  size_t in, out, width; /* width: out rounded up to whole panels; 1 where out is 1 */
  moon_activation activation;
  void *weight;   /* in panels of f32, bf16 or int8; where out is 1: [in] f32, or int8 in int8 plans */
  float *bias;    /* [width] */
  float *scale;   /* int8: [width], else NULL */
  int32_t *sums;  /* int8: [width], else NULL */
} packed_layer;

struct moon_infer {
  moon_precision precision;
  const moon_int8_kernel *kernel; /* int8 */
  packed_layer *layers;
  size_t n, widest, longest; /* widest output and, in int8 plans, the bytes of the longest quantised row */
};

/* A plan of n layers without weights, whose sizes are still to be set. */
moon_status moon_infer_empty(moon_precision precision, size_t n, moon_infer **out);
size_t moon_infer_panel(const moon_infer *infer); /* columns */
/* Sets a layer's sizes and takes memory for it, zeroed. */
moon_status moon_infer_room(moon_infer *infer, size_t layer, size_t in, size_t out, moon_activation activation);

#endif

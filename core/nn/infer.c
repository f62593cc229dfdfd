/* infer.c - a stack of dense layers compiled for scoring.
 *
 * Weights are packed once into panels of 16 columns, so that one row of a panel is one cache line. The kernel keeps a block of 6 rows
 * x 16 columns in registers over the whole inner dimension and then adds bias and activation: no call, no allocation and no second
 * pass; that is as fast as OpenBLAS' products alone at every size, and faster for a few rows. Rows go through all layers in tiles
 * whose activations stay in the first cache. A row's sums are added in the same order in any block, so a score does not depend on how
 * many others are asked for with it. */
#include <math.h>
#include <string.h>

#include "nn/nn.h"

enum { PANEL = 16, LANES = 8, BLOCK = 6, TILE = 48 };
typedef float lanes __attribute__((vector_size(LANES * sizeof(float)), aligned(4), may_alias)); /* an AVX register, or two of SSE */

typedef struct packed_layer {
  size_t in, out, width; /* width: out rounded up to whole panels */
  moon_activation activation;
  float *weight;         /* out > 1: [width / 16][in][16]; out = 1: [in] */
  float *bias;           /* [width] */
} packed_layer;

struct moon_infer {
  packed_layer *layers;
  size_t n, widest;
};

/* ---- compiling -------------------------------------------------------------------------------------------------------------- */

static moon_status check(const moon_dense *layer, const moon_dense *before) {
  const size_t *shape = moon_tensor_shape(layer->weight->value);
  if (moon_tensor_dtype(layer->weight->value) != MOON_F32)
    return moon_fail(MOON_EINVAL, "infer: \"%s\" is %s; only f32 layers compile", layer->weight->name,
                     moon_dtype_name(moon_tensor_dtype(layer->weight->value)));
  if (before && moon_tensor_shape(before->weight->value)[1] != shape[0])
    return moon_fail(MOON_EINVAL, "infer: \"%s\" %s does not feed \"%s\" %s", before->weight->name,
                     moon_shape_write(2, moon_tensor_shape(before->weight->value)).text, layer->weight->name,
                     moon_shape_write(2, shape).text);
  return moon_ok();
}

static moon_status pack(packed_layer *to, const moon_dense *from) {
  const size_t *shape = moon_tensor_shape(from->weight->value);
  const float *weight = moon_tensor_data(from->weight->value);
  to->in = shape[0], to->out = shape[1], to->activation = from->activation;
  to->width = to->out == 1 ? 1 : (to->out + PANEL - 1) / PANEL * PANEL;
  to->weight = moon_alloc_aligned(to->width * to->in * sizeof(float));
  to->bias = moon_alloc_aligned(to->width * sizeof(float));
  if (!to->weight || !to->bias) return moon_fail(MOON_ENOMEM, "infer: no memory for \"%s\"", from->weight->name);
  memcpy(to->bias, moon_tensor_data(from->bias->value), to->out * sizeof(float));
  for (size_t k = 0; k < to->in; k++)
    for (size_t j = 0; j < to->out; j++) {
      size_t at = to->out == 1 ? k : (j / PANEL * to->in + k) * PANEL + j % PANEL;
      to->weight[at] = weight[k * to->out + j];
    }
  return moon_ok();
}

moon_status moon_infer_new(moon_dense *const *layers, size_t n, moon_infer **out) {
  *out = NULL;
  if (!n) return moon_fail(MOON_EINVAL, "infer: no layers");
  for (size_t i = 0; i < n; i++) MOON_TRY(check(layers[i], i ? layers[i - 1] : NULL));
  moon_infer *infer = moon_calloc(1, sizeof *infer);
  if (!infer) return moon_fail(MOON_ENOMEM, "infer: no memory");
  infer->n = n;
  infer->layers = moon_calloc(n, sizeof *infer->layers);
  moon_status st = infer->layers ? moon_ok() : moon_fail(MOON_ENOMEM, "infer: no memory for %zu layers", n);
  for (size_t i = 0; i < n && !st.code; i++) {
    st = pack(&infer->layers[i], layers[i]);
    if (infer->layers[i].width > infer->widest) infer->widest = infer->layers[i].width;
  }
  infer->widest = (infer->widest + PANEL - 1) / PANEL * PANEL; /* each tile's buffer starts on a cache line */
  if (st.code) {
    moon_infer_free(infer);
    return st;
  }
  *out = infer;
  return moon_ok();
}

void moon_infer_free(moon_infer *infer) {
  if (!infer) return;
  for (size_t i = 0; infer->layers && i < infer->n; i++) {
    moon_free(infer->layers[i].weight);
    moon_free(infer->layers[i].bias);
  }
  moon_free(infer->layers);
  moon_free(infer);
}

size_t moon_infer_in(const moon_infer *infer) { return infer->layers[0].in; }
size_t moon_infer_out(const moon_infer *infer) { return infer->layers[infer->n - 1].out; }
size_t moon_infer_scratch(const moon_infer *infer, size_t rows) { return 2 * (rows < TILE ? rows : TILE) * infer->widest; }

/* ---- running ---------------------------------------------------------------------------------------------------------------- */

static inline __attribute__((always_inline)) void activate(moon_activation activation, size_t n, float *y) {
  switch (activation) {
    case MOON_RELU: for (size_t j = 0; j < n; j++) y[j] = y[j] < 0 ? 0 : y[j]; break;
    case MOON_SIGMOID: for (size_t j = 0; j < n; j++) y[j] = moon_sigmoidf(y[j]); break;
    case MOON_TANH: for (size_t j = 0; j < n; j++) y[j] = tanhf(y[j]); break;
    case MOON_LINEAR: break;
  }
}

/* `rows` rows of x by `panels` panels from w (both constant in each inlined copy), into the columns of y below y_stride - column. */
static inline __attribute__((always_inline)) void block(const packed_layer *layer, int rows, int panels, const float *x, size_t x_stride,
                                                        size_t panel, float *y, size_t y_stride) {
  lanes low[BLOCK], high[BLOCK]; /* by panel, then row; unrolled below, so these are registers */
  size_t in = layer->in;
  const float *w = layer->weight + panel * PANEL * in, *bias = layer->bias + panel * PANEL;
#pragma GCC unroll 6
  for (int s = 0; s < rows * panels; s++) {
    const float *from = bias + s / rows * PANEL;
    low[s] = *(const lanes *)from, high[s] = *(const lanes *)(from + LANES);
  }
  for (size_t k = 0; k < in; k++, w += PANEL) {
#pragma GCC unroll 6
    for (int s = 0; s < rows * panels; s++) {
      const float *part = w + (size_t)(s / rows) * PANEL * in;
      float value = x[(size_t)(s % rows) * x_stride + k];
      low[s] += value * *(const lanes *)part, high[s] += value * *(const lanes *)(part + LANES);
    }
  }
#pragma GCC unroll 6
  for (int s = 0; s < rows * panels; s++) {
    size_t column = (panel + (size_t)(s / rows)) * PANEL, keep = y_stride - column < PANEL ? y_stride - column : PANEL;
    float whole[PANEL], *place = y + (size_t)(s % rows) * y_stride + column, *to = keep == PANEL ? place : whole;
    *(lanes *)to = low[s], *(lanes *)(to + LANES) = high[s];
    activate(layer->activation, PANEL, to);
    if (to == whole) memcpy(place, whole, keep * sizeof *whole);
  }
}

/* All panels of a layer over a tile: blocks of six rows, of two, and a last row by itself over several panels at once, since a single
 * row gives the adders too little to do. y's rows are y_stride apart; where that is less than the padded width, the last panel is cut. */
MOON_CLONES static void run_layer(const packed_layer *layer, size_t rows, const float *x, size_t x_stride, float *y, size_t y_stride) {
  size_t panels = layer->width / PANEL, paired = rows & ~(size_t)1, p = 0;
  for (p = 0; p < panels; p++) {
    size_t r = 0;
    for (; r + BLOCK <= paired; r += BLOCK) block(layer, BLOCK, 1, x + r * x_stride, x_stride, p, y + r * y_stride, y_stride);
    for (; r < paired; r += 2) block(layer, 2, 1, x + r * x_stride, x_stride, p, y + r * y_stride, y_stride);
  }
  if (paired == rows) return;
  x += paired * x_stride, y += paired * y_stride;
  for (p = 0; p + 4 <= panels; p += 4) block(layer, 1, 4, x, x_stride, p, y, y_stride);
  for (; p < panels; p++) block(layer, 1, 1, x, x_stride, p, y, y_stride);
}

/* One unit: a dot product a row. */
MOON_CLONES static void run_unit(const packed_layer *layer, size_t rows, const float *x, size_t x_stride, float *y, size_t y_stride) {
  for (size_t r = 0; r < rows; r++, x += x_stride) {
    lanes even = {0}, odd = {0};
    float sum[LANES], rest = layer->bias[0];
    size_t k = 0;
    for (; k + 2 * LANES <= layer->in; k += 2 * LANES) {
      even += *(const lanes *)(x + k) * *(const lanes *)(layer->weight + k);
      odd += *(const lanes *)(x + k + LANES) * *(const lanes *)(layer->weight + k + LANES);
    }
    for (; k < layer->in; k++) rest += x[k] * layer->weight[k];
    even += odd;
    memcpy(sum, &even, sizeof sum);
    for (int half = LANES / 2; half; half /= 2)
      for (int j = 0; j < half; j++) sum[j] += sum[j + half];
    y[r * y_stride] = sum[0] + rest;
  }
  if (y_stride == 1) activate(layer->activation, rows, y);
  else for (size_t r = 0; r < rows; r++) activate(layer->activation, 1, y + r * y_stride);
}

void moon_infer_run(const moon_infer *infer, const float *x, size_t rows, float *scratch, float *y) {
  float *buffers[2] = {scratch, scratch + (rows < TILE ? rows : TILE) * infer->widest};
  size_t in = moon_infer_in(infer), out = moon_infer_out(infer);
  for (size_t start = 0; start < rows; start += TILE) {
    size_t tile = rows - start < TILE ? rows - start : TILE, from_stride = in;
    const float *from = x + start * in;
    for (size_t i = 0; i < infer->n; i++) {
      const packed_layer *layer = &infer->layers[i];
      bool last = i + 1 == infer->n;
      float *to = last ? y + start * out : buffers[i & 1];
      size_t to_stride = last ? out : layer->width;
      if (layer->out == 1) run_unit(layer, tile, from, from_stride, to, to_stride);
      else run_layer(layer, tile, from, from_stride, to, to_stride);
      from = to, from_stride = to_stride;
    }
  }
}

/* infer.c - a stack of dense layers compiled for scoring.
 *
 * Weights are packed once into the panels of core/tensor's products, biases padded to match; rows go through all layers in tiles whose
 * activations stay in the first cache. There is no allocation and no second pass over a relu layer. A row's score does not depend on how
 * many others are asked for with it. */
#include <string.h>

#include "nn/infer.h"

enum { TILE = 48, LINE = 16 }; /* rows; floats of a cache line */

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

moon_status moon_infer_empty(moon_precision precision, size_t n, moon_infer **out) {
  *out = moon_calloc(1, sizeof **out);
  if (!*out) return moon_fail(MOON_ENOMEM, "infer: no memory");
  **out = (moon_infer){.precision = precision, .kernel = moon_int8_best(), .n = n, .widest = LINE}; /* so that buffers start on lines */
  (*out)->layers = moon_calloc(n, sizeof *(*out)->layers);
  if ((*out)->layers) return moon_ok();
  moon_free(*out);
  *out = NULL;
  return moon_fail(MOON_ENOMEM, "infer: no memory for %zu layers", n);
}

size_t moon_infer_panel(const moon_infer *infer) {
  return infer->precision == MOON_INT8 ? infer->kernel->panel : moon_panel(MOON_F32);
}

static size_t weight_bytes(const moon_infer *infer, const packed_layer *layer) {
  if (infer->precision == MOON_INT8) return layer->width * moon_int8_row(layer->in);
  return layer->width * layer->in * (infer->precision == MOON_BF16 && layer->out > 1 ? sizeof(uint16_t) : sizeof(float));
}

moon_status moon_infer_room(moon_infer *infer, size_t i, size_t in, size_t out, moon_activation activation) {
  packed_layer *layer = &infer->layers[i];
  size_t panel = moon_infer_panel(infer), quantised = infer->precision == MOON_INT8 ? moon_int8_row(in) : 0;
  layer->in = in, layer->out = out, layer->activation = activation;
  layer->width = out == 1 ? 1 : (out + panel - 1) / panel * panel;
  layer->weight = moon_alloc_aligned(weight_bytes(infer, layer));
  layer->bias = moon_alloc_aligned(layer->width * sizeof *layer->bias);
  if (quantised) {
    layer->scale = moon_alloc_aligned(layer->width * sizeof *layer->scale);
    layer->sums = moon_alloc_aligned(layer->width * sizeof *layer->sums);
  }
  if (!layer->weight || !layer->bias || (quantised && (!layer->scale || !layer->sums)))
    return moon_fail(MOON_ENOMEM, "infer: no memory for layer %zu, %zu x %zu", i, in, out);
  if (layer->width > infer->widest) infer->widest = layer->width;
  if (quantised > infer->longest) infer->longest = quantised;
  return moon_ok();
}

static moon_status pack(moon_infer *infer, size_t i, const moon_dense *from) {
  const size_t *shape = moon_tensor_shape(from->weight->value);
  const float *weight = moon_tensor_data(from->weight->value);
  MOON_TRY(moon_infer_room(infer, i, shape[0], shape[1], from->activation));
  packed_layer *to = &infer->layers[i];
  memcpy(to->bias, moon_tensor_data(from->bias->value), to->out * sizeof(float));
  if (to->out == 1) memcpy(to->weight, weight, to->in * sizeof(float));
  else moon_pack(MOON_F32, false, to->in, to->out, weight, to->weight);
  return moon_ok();
}

moon_status moon_infer_new(moon_dense *const *layers, size_t n, moon_infer **out) {
  *out = NULL;
  if (!n) return moon_fail(MOON_EINVAL, "infer: no layers");
  for (size_t i = 0; i < n; i++) MOON_TRY(check(layers[i], i ? layers[i - 1] : NULL));
  moon_infer *infer;
  MOON_TRY(moon_infer_empty(MOON_FULL, n, &infer));
  moon_status st = moon_ok();
  for (size_t i = 0; i < n && !st.code; i++) st = pack(infer, i, layers[i]);
  if (st.code) moon_infer_free(infer);
  else *out = infer;
  return st;
}

void moon_infer_free(moon_infer *infer) {
  if (!infer) return;
  for (size_t i = 0; i < infer->n; i++) {
    moon_free(infer->layers[i].weight);
    moon_free(infer->layers[i].bias);
    moon_free(infer->layers[i].scale);
    moon_free(infer->layers[i].sums);
  }
  moon_free(infer->layers);
  moon_free(infer);
}

size_t moon_infer_in(const moon_infer *infer) { return infer->layers[0].in; }
size_t moon_infer_out(const moon_infer *infer) { return infer->layers[infer->n - 1].out; }
moon_precision moon_infer_precision(const moon_infer *infer) { return infer->precision; }

size_t moon_infer_bytes(const moon_infer *infer) {
  size_t bytes = 0;
  for (size_t i = 0; i < infer->n; i++) {
    const packed_layer *layer = &infer->layers[i];
    bytes += weight_bytes(infer, layer) + layer->width * (layer->scale ? 3 : 1) * sizeof(float);
  }
  return bytes;
}

/* Two buffers of activations; in int8 plans also the ranges of the rows, and the quantised rows. */
static size_t range_floats(size_t tile) { return (tile * sizeof(moon_int8_range) / sizeof(float) + LINE - 1) / LINE * LINE; }

size_t moon_infer_scratch(const moon_infer *infer, size_t rows) {
  size_t tile = rows < TILE ? rows : TILE, floats = 2 * tile * infer->widest;
  return infer->precision == MOON_INT8 ? floats + range_floats(tile) + tile * infer->longest / sizeof(float) : floats;
}

/* ---- running ---------------------------------------------------------------------------------------------------------------- */

static void run_layer(moon_precision precision, const packed_layer *layer, size_t rows, const float *x, size_t x_row, float *y,
                      size_t columns) {
  size_t panel = moon_panel(MOON_F32) / (precision == MOON_BF16 ? 2 : 1); /* in words of two bf16 */
  moon_product product = {.rows = rows, .inner = layer->in, .columns = columns, .a = x, .a_row = x_row, .b = layer->weight,
                          .b_step = panel, .b_panel = layer->in * panel, .bias = layer->bias, .relu = layer->activation == MOON_RELU,
                          .c = y, .c_row = columns};
  if (layer->out == 1) moon_product_unit(MOON_F32, rows, layer->in, x, x_row, layer->weight, layer->bias, y);
  else if (precision == MOON_BF16) moon_product_run_bf16(&product);
  else moon_product_run(MOON_F32, &product);
  if (layer->activation != MOON_RELU || layer->out == 1) moon_activate(MOON_F32, layer->activation, rows * columns, y);
}

static void run_int8(const moon_int8_kernel *kernel, const packed_layer *layer, size_t rows, const float *x, size_t x_row,
                     moon_int8_range *how, uint8_t *q, float *y, size_t columns) {
  moon_int8_product product = {.rows = rows, .inner = layer->in, .columns = columns, .a = q, .a_row = moon_int8_row(layer->in),
                               .how = how, .b = layer->weight, .scale = layer->scale, .bias = layer->bias, .sums = layer->sums,
                               .relu = layer->activation == MOON_RELU, .c = y, .c_row = columns};
  moon_int8_rows(rows, layer->in, x, x_row, q, how);
  if (layer->out == 1) moon_int8_unit(&product);
  else kernel->product(&product);
  moon_int8_activate(layer->activation, rows * columns, y);
}

void moon_infer_run(const moon_infer *infer, const float *x, size_t rows, float *scratch, float *y) {
  size_t most = rows < TILE ? rows : TILE, in = moon_infer_in(infer), out = moon_infer_out(infer);
  float *buffers[2] = {scratch, scratch + most * infer->widest}, *after = scratch + 2 * most * infer->widest;
  for (size_t start = 0; start < rows; start += TILE) {
    size_t tile = rows - start < TILE ? rows - start : TILE, row = in;
    const float *from = x + start * in;
    for (size_t i = 0; i < infer->n; i++) {
      const packed_layer *layer = &infer->layers[i];
      bool last = i + 1 == infer->n;
      float *to = last ? y + start * out : buffers[i & 1];
      size_t columns = last ? layer->out : layer->width; /* padding is computed where there is room for it */
      if (infer->precision == MOON_INT8)
        run_int8(infer->kernel, layer, tile, from, row, (moon_int8_range *)after, (uint8_t *)(after + range_floats(most)), to, columns);
      else run_layer(infer->precision, layer, tile, from, row, to, columns);
      from = to, row = layer->width;
    }
  }
}

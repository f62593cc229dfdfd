/* infer.c - a stack of dense layers compiled for scoring.
 *
 * Weights are packed once into the panels of core/tensor's product, biases padded to match; rows go through all layers in tiles whose
 * activations stay in the first cache. There is no allocation and no second pass over a relu layer. A row's score does not depend on how
 * many others are asked for with it. */
#include <string.h>

#include "nn/nn.h"

enum { TILE = 48, LINE = 16 }; /* rows; floats of a cache line */

typedef struct packed_layer {
  size_t in, out, width; /* width: out rounded up to whole panels; 1 where out is 1 */
  moon_activation activation;
  float *weight;         /* in panels; [in] where out is 1 */
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
  to->width = to->out == 1 ? 1 : moon_panel_round(MOON_F32, to->out);
  to->weight = moon_alloc_aligned(to->width * to->in * sizeof(float));
  to->bias = moon_alloc_aligned(to->width * sizeof(float));
  if (!to->weight || !to->bias) return moon_fail(MOON_ENOMEM, "infer: no memory for \"%s\"", from->weight->name);
  memcpy(to->bias, moon_tensor_data(from->bias->value), to->out * sizeof(float));
  if (to->out == 1) memcpy(to->weight, weight, to->in * sizeof(float));
  else moon_pack(MOON_F32, false, to->in, to->out, weight, to->weight);
  return moon_ok();
}

moon_status moon_infer_new(moon_dense *const *layers, size_t n, moon_infer **out) {
  *out = NULL;
  if (!n) return moon_fail(MOON_EINVAL, "infer: no layers");
  for (size_t i = 0; i < n; i++) MOON_TRY(check(layers[i], i ? layers[i - 1] : NULL));
  moon_infer *infer = moon_calloc(1, sizeof *infer);
  if (!infer) return moon_fail(MOON_ENOMEM, "infer: no memory");
  infer->n = n;
  infer->widest = LINE; /* so that each buffer starts on a cache line */
  infer->layers = moon_calloc(n, sizeof *infer->layers);
  moon_status st = infer->layers ? moon_ok() : moon_fail(MOON_ENOMEM, "infer: no memory for %zu layers", n);
  for (size_t i = 0; i < n && !st.code; i++) {
    st = pack(&infer->layers[i], layers[i]);
    if (infer->layers[i].width > infer->widest) infer->widest = infer->layers[i].width;
  }
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

static void run_layer(const packed_layer *layer, size_t rows, const float *x, size_t x_row, float *y, bool last) {
  size_t panel = moon_panel(MOON_F32), columns = last ? layer->out : layer->width; /* padding is computed where there is room for it */
  moon_product product = {.rows = rows, .inner = layer->in, .columns = columns, .a = x, .a_row = x_row, .b = layer->weight,
                          .b_step = panel, .b_panel = layer->in * panel, .bias = layer->bias, .relu = layer->activation == MOON_RELU,
                          .c = y, .c_row = columns};
  if (layer->out == 1) moon_product_unit(MOON_F32, rows, layer->in, x, x_row, layer->weight, layer->bias, y);
  else moon_product_run(MOON_F32, &product);
  if (layer->activation != MOON_RELU || layer->out == 1) moon_activate(MOON_F32, layer->activation, rows * columns, y);
}

void moon_infer_run(const moon_infer *infer, const float *x, size_t rows, float *scratch, float *y) {
  float *buffers[2] = {scratch, scratch + (rows < TILE ? rows : TILE) * infer->widest};
  size_t in = moon_infer_in(infer), out = moon_infer_out(infer);
  for (size_t start = 0; start < rows; start += TILE) {
    size_t tile = rows - start < TILE ? rows - start : TILE, row = in;
    const float *from = x + start * in;
    for (size_t i = 0; i < infer->n; i++) {
      float *to = i + 1 == infer->n ? y + start * out : buffers[i & 1];
      run_layer(&infer->layers[i], tile, from, row, to, i + 1 == infer->n);
      from = to, row = infer->layers[i].width;
    }
  }
}

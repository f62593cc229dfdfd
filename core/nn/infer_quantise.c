/* infer_quantise.c - smaller copies of a compiled plan, and what the copy changes in its answers.
 *
 * Only the copy is made from weights; rows are quantised as they come, each by its own range, so nothing has to be calibrated and no
 * row can fall outside of what a calibration saw. What it costs in accuracy is measured on rows that the caller takes for typical. */
#include <math.h>
#include <string.h>

#include "nn/infer.h"

moon_status moon_precision_parse(const char *name, moon_precision *out) {
  static const char *const names[] = {"f32", "bf16", "int8"};
  for (int i = 0; i < 3; i++)
    if (!strcmp(name, names[i])) return *out = (moon_precision)i, moon_ok();
  const char *near = moon_nearest(name, names, 3);
  return moon_fail(MOON_EINVAL, "there is no precision \"%s\"%s%s%s; there are f32, bf16, int8", name, near ? "; did you mean \"" : "",
                   near ? near : "", near ? "\"?" : "");
}

const char *moon_precision_name(moon_precision precision) {
  return precision == MOON_INT8 ? "int8" : precision == MOON_BF16 ? "bf16" : "f32";
}

/* ---- the copy ------------------------------------------------------------------------------------------------------------------- */

static moon_status check(const moon_infer *infer, moon_precision precision) {
  if (infer->precision != MOON_FULL)
    return moon_fail(MOON_EINVAL, "quantise: the plan is %s already; make it from the f32 plan", moon_precision_name(infer->precision));
  for (size_t i = 0; i < infer->n; i++) {
    const packed_layer *layer = &infer->layers[i];
    const float *weight = layer->weight;
    if (precision == MOON_INT8 && layer->in > MOON_INT8_INNER)
      return moon_fail(MOON_EINVAL, "quantise: layer %zu has %zu inputs; int8 sums hold at most %d", i, layer->in, MOON_INT8_INNER);
    for (size_t k = 0; k < layer->in * layer->width; k++)
      if (!isfinite(weight[k])) return moon_fail(MOON_EINVAL, "quantise: layer %zu has a weight that is not finite", i);
  }
  return moon_ok();
}

/* A single column has no panels, and stays in floats. */
static void pack_bf16(const packed_layer *from, packed_layer *to) {
  const float *weight = from->weight;
  float *rounded = to->weight;
  if (from->out > 1) moon_pack_bf16(from->in, from->out, weight, to->weight);
  for (size_t k = 0; from->out == 1 && k < from->in; k++) rounded[k] = moon_bf16_float(moon_bf16(weight[k]));
}

/* Column by panel: a panel of f32 is a row-major matrix. */
static void pack_int8(size_t panel, const packed_layer *from, packed_layer *to) {
  size_t wide = from->out == 1 ? 1 : moon_panel(MOON_F32), room = from->out == 1 ? 1 : panel;
  for (size_t j = 0; j < from->out; j++) {
    const float *weight = (const float *)from->weight + j / wide * wide * from->in + j % wide;
    int8_t *b = (int8_t *)to->weight + j / room * room * moon_int8_row(from->in) + j % room * 4;
    moon_int8_pack(room, from->in, 1, weight, wide, b, to->scale + j, to->sums + j);
  }
}

static moon_status copy(const moon_infer *infer, moon_precision precision, moon_infer **out) {
  MOON_TRY(check(infer, precision));
  MOON_TRY(moon_infer_empty(precision, infer->n, out));
  moon_status st = moon_ok();
  for (size_t i = 0; i < infer->n && !st.code; i++) {
    const packed_layer *from = &infer->layers[i];
    packed_layer *to = &(*out)->layers[i];
    st = moon_infer_room(*out, i, from->in, from->out, from->activation);
    if (st.code) break;
    memcpy(to->bias, from->bias, from->out * sizeof *to->bias);
    if (precision == MOON_INT8) pack_int8(moon_infer_panel(*out), from, to);
    else if (precision == MOON_BF16) pack_bf16(from, to);
    else memcpy(to->weight, from->weight, from->in * from->width * sizeof(float));
  }
  if (!st.code) return st;
  moon_infer_free(*out);
  *out = NULL;
  return st;
}

/* ---- the report ----------------------------------------------------------------------------------------------------------------- */

moon_status moon_infer_compare(const moon_infer *a, const moon_infer *b, const float *x, size_t rows, moon_infer_difference *out) {
  size_t in = moon_infer_in(a), each = moon_infer_out(a), block = rows < 256 ? rows : 256;
  *out = (moon_infer_difference){0};
  if (in != moon_infer_in(b) || each != moon_infer_out(b))
    return moon_fail(MOON_EINVAL, "compare: plans %zu -> %zu and %zu -> %zu", in, each, moon_infer_in(b), moon_infer_out(b));
  size_t room = moon_infer_scratch(a, block) > moon_infer_scratch(b, block) ? moon_infer_scratch(a, block) : moon_infer_scratch(b, block);
  float *scratch = moon_alloc_aligned((room + 2 * block * each) * sizeof *scratch);
  if (!scratch) return moon_fail(MOON_ENOMEM, "compare: no memory for %zu rows", block);
  float *ya = scratch + room, *yb = ya + block * each;
  double sum = 0;
  for (size_t start = 0; start < rows; start += block) {
    size_t n = rows - start < block ? rows - start : block;
    moon_infer_run(a, x + start * in, n, scratch, ya);
    moon_infer_run(b, x + start * in, n, scratch, yb);
    for (size_t i = 0; i < n * each; i++) {
      double difference = fabs((double)ya[i] - (double)yb[i]);
      if (difference > out->most || isnan(difference)) out->most = difference; /* NaN, once there, stays */
      sum += difference;
    }
  }
  out->mean = rows ? sum / (double)(rows * each) : 0;
  moon_free(scratch);
  return moon_ok();
}

moon_status moon_infer_quantise(const moon_infer *infer, moon_precision precision, const float *x, size_t rows, moon_infer **out,
                                moon_infer_difference *difference) {
  *out = NULL;
  moon_infer *fresh;
  MOON_TRY(copy(infer, precision, &fresh));
  moon_status st = difference ? moon_infer_compare(infer, fresh, x, rows, difference) : moon_ok();
  if (st.code) moon_infer_free(fresh);
  else *out = fresh;
  return st;
}

/* transformer.c - the layers of a BERT: attention among the tokens of a text, then a net for each token, both added to what came in and
 * normalised after it (Vaswani et al. 2017, Devlin et al. 2019).
 *
 * Tokens of many texts lie one after the other as rows of one matrix, without padding. What works row by row, which is nearly all of the
 * time, sees the rows of all texts; attention alone goes text by text. A product adds to the residual where it lies, so there is no copy
 * of it; the bias joins on the way through the norm. The net for each token goes in tiles, whose wide middle stays in the cache. */
#include <math.h>
#include <string.h>

#include "tensor/tensor.h"
#include "text/encoder.h"

#define MOON_INLINE static inline __attribute__((always_inline))
#define REAL float
#define K(name) name##_f32
#include "autograd/real_math.h"
#include "autograd/real_sums.h"

enum { TILE = 48 /* rows of a product that share the first cache */, DEPTH = 512 /* rows of a panel that do */, LANE = 16 };

/* ---- kernels ----------------------------------------------------------------------------------------------------------------- */

/* x = norm(x + bias) scale + shift, a row at a time. Two passes: the mean first, then squares of small differences. */
MOON_CLONES static void normalise(size_t rows, size_t d, const float *restrict bias, const text_norm *norm, float epsilon, float *restrict x) {
  const float *restrict scale = norm->scale, *restrict shift = norm->shift;
  for (size_t i = 0; i < rows; i++, x += d) {
    for (size_t j = 0; bias && j < d; j++) x[j] += bias[j];
    float mean = row_sum_f32(d, x) / (float)d;
    for (size_t j = 0; j < d; j++) x[j] -= mean;
    float s = 1 / sqrtf(row_dot_f32(d, x, x) / (float)d + epsilon);
    for (size_t j = 0; j < d; j++) x[j] = x[j] * s * scale[j] + shift[j];
  }
}

/* erfc(z) for z >= 0 within 3e-7 of its size: e^-z^2 times a polynomial in t = 1 / (1 + 0.325 z), fitted to e^z^2 erfc(z) on [0, 7]. */
MOON_INLINE float erfc_of(float z) {
  float t = 1 / (1 + 0.325f * z), p = -0.1544958853573296f;
  p = p * t + 0.5689838013791956f;
  p = p * t - 0.5266580236724437f;
  p = p * t + 0.5628964904758713f;
  p = p * t - 0.03354170636675036f;
  p = p * t + 0.22282231384623688f;
  p = p * t + 0.17618171705489355f;
  p = p * t + 0.1838112562783911f;
  return p * t * moon_expf(-z * z);
}

/* x (1 + erf(x / sqrt 2)) / 2 is x less its part that the tail cuts off, so that it keeps its digits where it is small. */
MOON_CLONES static void gelu(size_t n, float *x) {
  for (size_t i = 0; i < n; i++) {
    float tail = 0.5f * x[i] * erfc_of(fabsf(x[i]) * 0.70710678f);
    x[i] = x[i] > 0 ? x[i] - tail : tail;
  }
}

/* x (1 + tanh u) / 2 = x sigmoid(2u) */
MOON_CLONES static void gelu_tanh(size_t n, float *x) {
  for (size_t i = 0; i < n; i++) x[i] *= moon_sigmoidf(1.5957691216057308f * (x[i] + 0.044715f * x[i] * x[i] * x[i]));
}

/* Rows of scores to probabilities: of `row` cells the first n count, the rest become 0. */
MOON_CLONES static void softmax(size_t rows, size_t n, size_t row, float scale, float *restrict p) {
  for (size_t i = 0; i < rows; i++, p += row) {
    for (size_t j = n; j < row; j++) p[j] = -__builtin_inff();
    float top = row_max_f32(row, p, NULL);
    for (size_t j = 0; j < row; j++) p[j] = moon_expf((p[j] - top) * scale);
    float inverse = 1 / row_sum_f32(row, p);
    for (size_t j = 0; j < row; j++) p[j] *= inverse;
  }
}

MOON_CLONES static void add_rows(size_t d, const float *a, const float *b, float *out) {
  for (size_t j = 0; j < d; j++) out[j] = a[j] + b[j];
}

MOON_CLONES static void scale_row(size_t d, float by, float *x) {
  for (size_t j = 0; j < d; j++) x[j] *= by;
}

MOON_CLONES static float length_of(size_t d, const float *x) { return sqrtf(row_dot_f32(d, x, x)); }

/* ---- products ---------------------------------------------------------------------------------------------------------------- */

/* y [rows, out] = or += x linear. The inner dimension goes in parts, the same additions in the same order. */
static void multiply(const text_linear *linear, size_t rows, const float *x, size_t x_row, bool add, bool relu, float *y, size_t y_row) {
  size_t panel = moon_panel(MOON_F32);
  for (size_t from = 0; from < linear->in; from += DEPTH) {
    size_t depth = linear->in - from < DEPTH ? linear->in - from : DEPTH;
    moon_product p = {.rows = rows, .inner = depth, .columns = linear->out, .a = x + from, .a_row = x_row,
                      .b = linear->weight + from * panel, .b_step = panel, .b_panel = linear->in * panel, .bias = linear->bias,
                      .add = add || from, .relu = relu && from + depth == linear->in, .c = y, .c_row = y_row};
    moon_product_run(MOON_F32, &p);
  }
}

/* ---- attention --------------------------------------------------------------------------------------------------------------- */

typedef struct room {
  float *x, *qkv, *mixed, *middle, *scores, *keys, *values;
} room;

static size_t whole(size_t n) { return (n + LANE - 1) / LANE * LANE; }

/* One head of one text of `t` tokens: q, k and v are its parts of rows of 3 hidden, y of rows of hidden. */
static void attend(const moon_encoder *e, size_t t, const float *q, const room *r, float *y) {
  size_t d = e->hidden / e->heads, step = 3 * e->hidden, panel = moon_panel(MOON_F32), row = whole(t);
  const float *k = q + e->hidden, *v = k + e->hidden;
  moon_pack_part(MOON_F32, true, d, t, k, step, r->keys);
  moon_product scores = {.rows = t, .inner = d, .columns = t, .a = q, .a_row = step, .b = r->keys, .b_step = panel, .b_panel = d * panel,
                         .c = r->scores, .c_row = row};
  moon_product_run(MOON_F32, &scores);
  softmax(t, t, row, 1 / sqrtf((float)d), r->scores);
  bool direct = d % panel == 0; /* rows as they lie are whole panels */
  if (!direct) moon_pack_part(MOON_F32, false, t, d, v, step, r->values);
  moon_product mix = {.rows = t, .inner = t, .columns = d, .a = r->scores, .a_row = row, .b = direct ? v : r->values,
                      .b_step = direct ? step : panel, .b_panel = direct ? panel : t * panel, .c = y, .c_row = e->hidden};
  moon_product_run(MOON_F32, &mix);
}

static void attention(const moon_encoder *e, const text_layer *layer, const text_tokens *tokens, const room *r) {
  size_t h = e->hidden, d = h / e->heads, rows = tokens->starts[tokens->n];
  multiply(&layer->qkv, rows, r->x, h, false, false, r->qkv, 3 * h);
  for (size_t i = 0; i < tokens->n; i++) {
    size_t start = tokens->starts[i], t = tokens->starts[i + 1] - start;
    for (size_t head = 0; head < e->heads; head++)
      attend(e, t, r->qkv + start * 3 * h + head * d, r, r->mixed + start * h + head * d);
  }
  multiply(&layer->out, rows, r->mixed, h, true, false, r->x, h);
  normalise(rows, h, layer->out.bias, &layer->after_attention, e->epsilon, r->x);
}

static void feed(const moon_encoder *e, const text_layer *layer, size_t rows, const room *r) {
  for (size_t i = 0; i < rows; i += TILE) {
    size_t n = rows - i < TILE ? rows - i : TILE;
    float *x = r->x + i * e->hidden;
    multiply(&layer->up, n, x, e->hidden, false, e->activation == TEXT_RELU, r->middle, e->feed);
    if (e->activation == TEXT_GELU) gelu(n * e->feed, r->middle);
    if (e->activation == TEXT_GELU_TANH) gelu_tanh(n * e->feed, r->middle);
    multiply(&layer->down, n, r->middle, e->feed, true, false, x, e->hidden);
    normalise(n, e->hidden, layer->down.bias, &layer->after_feed, e->epsilon, x);
  }
}

/* ---- a text's way ------------------------------------------------------------------------------------------------------------ */

static void embed(const moon_encoder *e, const text_tokens *tokens, float *x) {
  size_t h = e->hidden;
  for (size_t i = 0; i < tokens->n; i++)
    for (size_t at = tokens->starts[i], place = 0; at < tokens->starts[i + 1]; at++, place++)
      add_rows(h, e->words + tokens->ids[at] * h, e->places + place * h, x + at * h);
  normalise(tokens->starts[tokens->n], h, NULL, &e->norm, e->epsilon, x);
}

static void pool(const moon_encoder *e, size_t t, const float *x, float *out) {
  size_t h = e->hidden;
  memcpy(out, x, h * sizeof *out);
  if (e->how.pooling == MOON_POOL_MEAN) {
    for (size_t i = 1; i < t; i++) add_rows(h, out, x + i * h, out);
    scale_row(h, 1 / (float)t, out);
  }
  float length = e->how.normalize ? length_of(h, out) : 1;
  if (length > 0) scale_row(h, 1 / length, out);
}

/* Where each part of the scratch begins; answers the floats of all. */
static size_t lay_out(const moon_encoder *e, size_t tokens, size_t longest, float *base, room *r) {
  size_t d = e->hidden / e->heads, at = 0, sizes[] = {tokens * e->hidden,  tokens * 3 * e->hidden, tokens * e->hidden,
                                                     TILE * e->feed,       longest * whole(longest), d * moon_panel_round(MOON_F32, longest),
                                                     longest * moon_panel_round(MOON_F32, d)};
  float **parts[] = {&r->x, &r->qkv, &r->mixed, &r->middle, &r->scores, &r->keys, &r->values};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    if (base) *parts[i] = base + at;
    at += whole(sizes[i]);
  }
  return at;
}

size_t text_scratch(const moon_encoder *e, size_t tokens, size_t longest) {
  room unused;
  return lay_out(e, tokens, longest, NULL, &unused);
}

void text_forward(const moon_encoder *e, const text_tokens *tokens, float *scratch, float *out) {
  room r;
  size_t longest = 0;
  for (size_t i = 0; i < tokens->n; i++) {
    size_t t = tokens->starts[i + 1] - tokens->starts[i];
    if (t > longest) longest = t;
  }
  lay_out(e, tokens->starts[tokens->n], longest, scratch, &r);
  embed(e, tokens, r.x);
  for (size_t l = 0; l < e->layer_count; l++) {
    attention(e, &e->layers[l], tokens, &r);
    feed(e, &e->layers[l], tokens->starts[tokens->n], &r);
  }
  for (size_t i = 0; i < tokens->n; i++) pool(e, tokens->starts[i + 1] - tokens->starts[i], r.x + tokens->starts[i] * e->hidden, out + i * e->hidden);
}

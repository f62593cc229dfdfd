/* product.c - dense products whose right side lies in panels, with bias, relu or addition folded in.
 *
 * A block of 6 rows by one panel of the right side is summed in registers over the whole inner dimension, and only then meets
 * memory: no second pass for bias and activation, no temporary, no call inside. A panel is two vectors wide, so that each number
 * of the left side, once loaded, feeds two multiply-adds. Rows go in tiles that stay in the first cache while the panels pass by.
 * At the sizes of rankers this is well ahead of a general BLAS, which packs both sides at every call.
 *
 * Each element is summed over k in order, whatever block it falls into: a row's result does not depend on its neighbours, nor on
 * the width of vectors. The kernels are in product_kernel.h and panel_kernel.h, once. */
#include <string.h>

#include "tensor/tensor.h"

enum { BLOCK = 6, TILE = 48 };
#define INLINE static inline __attribute__((always_inline))

#define REAL float
#define BITS int32_t
#define LANES 8
#define K(name) name##_f32
#define COMPILED MOON_CLONES
#include "tensor/product_kernel.h"
#include "tensor/panel_kernel.h"

#define REAL double
#define BITS int64_t
#define LANES 4
#define K(name) name##_f64
#define COMPILED MOON_CLONES
#include "tensor/product_kernel.h"
#include "tensor/panel_kernel.h"

/* Vectors of 64 bytes where the processor has them; and under sanitizers, in plain instructions, so that tests reach this width.
 */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12
#define REAL float
#define BITS int32_t
#define LANES 16
#define K(name) name##_f32_wide
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COMPILED
static bool has_wide(void) { return true; }
#else
#define COMPILED __attribute__((target("arch=x86-64-v4")))
static bool has_wide(void) { return __builtin_cpu_supports("x86-64-v4"); }
#endif
#include "tensor/product_kernel.h"
#include "tensor/panel_kernel.h"
#else
static bool has_wide(void) { return false; }
static void product_f32_wide(const moon_product *p) { product_f32(p); }
static void activate_back_f32_wide(moon_activation activation, size_t rows, size_t columns, const float *dy, const float *y,
                                   float *dz, size_t dz_row, float *sums) {
  activate_back_f32(activation, rows, columns, dy, y, dz, dz_row, sums);
}
static void pack_f32_wide(bool turned, size_t inner, size_t columns, const float *b, size_t b_row, float *packed) {
  pack_f32(turned, inner, columns, b, b_row, packed);
}
#endif

size_t moon_panel(moon_dtype dtype) { return dtype == MOON_F64 ? 8 : has_wide() ? 32 : 16; }

size_t moon_panel_round(moon_dtype dtype, size_t columns) {
  size_t width = moon_panel(dtype);
  return (columns + width - 1) / width * width;
}

void moon_product_run(moon_dtype dtype, const moon_product *p) {
  if (dtype == MOON_F64) product_f64(p);
  else if (has_wide()) product_f32_wide(p);
  else product_f32(p);
}

/* ---- one column ------------------------------------------------------------------------------------------------------------ */

/* A panel for one column would be wasted: a dot product a row, in sixteen running sums, or the additions would wait for one
 * another. */
MOON_CLONES static void unit_f32(size_t rows, size_t inner, const float *restrict a, size_t a_row, const float *restrict b,
                                 float bias, float *restrict c) {
  for (size_t r = 0; r < rows; r++, a += a_row) {
    lanes_f32 low = {0}, high = {0};
    float sum[8], rest = bias;
    size_t k = 0;
    for (; k + 16 <= inner; k += 16) {
      low += *(const lanes_f32 *)(a + k) * *(const lanes_f32 *)(b + k);
      high += *(const lanes_f32 *)(a + k + 8) * *(const lanes_f32 *)(b + k + 8);
    }
    for (; k < inner; k++) rest += a[k] * b[k];
    low += high;
    memcpy(sum, &low, sizeof sum);
    c[r] = ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7])) + rest;
  }
}

static void unit_f64(size_t rows, size_t inner, const double *a, size_t a_row, const double *b, double bias, double *c) {
  for (size_t r = 0; r < rows; r++, a += a_row) {
    c[r] = bias;
    for (size_t k = 0; k < inner; k++) c[r] += a[k] * b[k];
  }
}

void moon_product_unit(moon_dtype dtype, size_t rows, size_t inner, const void *a, size_t a_row, const void *b, const void *bias,
                       void *c) {
  if (dtype == MOON_F32) unit_f32(rows, inner, a, a_row, b, *(const float *)bias, c);
  else unit_f64(rows, inner, a, a_row, b, *(const double *)bias, c);
}

/* ---- packing --------------------------------------------------------------------------------------------------------------- */

void moon_pack_part(moon_dtype dtype, bool turned, size_t inner, size_t columns, const void *b, size_t b_row, void *packed) {
  if (dtype == MOON_F64) pack_f64(turned, inner, columns, b, b_row, packed);
  else if (has_wide()) pack_f32_wide(turned, inner, columns, b, b_row, packed);
  else pack_f32(turned, inner, columns, b, b_row, packed);
}

void moon_pack(moon_dtype dtype, bool turned, size_t inner, size_t columns, const void *b, void *packed) {
  moon_pack_part(dtype, turned, inner, columns, b, turned ? inner : columns, packed);
}

/* ---- activations ----------------------------------------------------------------------------------------------------------- */

MOON_CLONES static void activate_f32(moon_activation activation, size_t n, float *y) {
  switch (activation) {
    case MOON_RELU: for (size_t i = 0; i < n; i++) y[i] = y[i] < 0 ? 0 : y[i]; break; /* NaN stays visible */
    case MOON_SIGMOID: for (size_t i = 0; i < n; i++) y[i] = moon_sigmoidf(y[i]); break;
    case MOON_TANH: for (size_t i = 0; i < n; i++) y[i] = moon_tanhf(y[i]); break;
    case MOON_LINEAR: break;
  }
}

static void activate_f64(moon_activation activation, size_t n, double *y) {
  switch (activation) {
    case MOON_RELU: for (size_t i = 0; i < n; i++) y[i] = y[i] < 0 ? 0 : y[i]; break;
    case MOON_SIGMOID: for (size_t i = 0; i < n; i++) y[i] = 1 / (1 + exp(-y[i])); break;
    case MOON_TANH: for (size_t i = 0; i < n; i++) y[i] = tanh(y[i]); break;
    case MOON_LINEAR: break;
  }
}

void moon_activate(moon_dtype dtype, moon_activation activation, size_t n, void *y) {
  if (dtype == MOON_F32) activate_f32(activation, n, y);
  else activate_f64(activation, n, y);
}

void moon_activate_back(moon_dtype dtype, moon_activation activation, size_t rows, size_t columns, const void *dy, const void *y,
                        void *dz, size_t dz_row, void *sums) {
  if (dtype == MOON_F64) activate_back_f64(activation, rows, columns, dy, y, dz, dz_row, sums);
  else if (has_wide()) activate_back_f32_wide(activation, rows, columns, dy, y, dz, dz_row, sums);
  else activate_back_f32(activation, rows, columns, dy, y, dz, dz_row, sums);
}

/* kernels_int8.c - products in whole numbers: rows of 0..127 times weights of -127..127, summed in 32 bits.
 *
 * Why seven bits for rows: two such products fit in 16 bits (2 * 127 * 127 < 2^15), so that AVX2's maddubs never saturates and gives
 * what AVX512-VNNI's dpbusd and plain C give. What is not a whole number is done by single IEEE operations (this file is compiled
 * without contracting them to fused ones), so all processors answer the same bits.
 *
 * A row is quantised by its own range, x ~ scale (q - zero); weights by one scale a column, w ~ scale w8. So
 *   y = sum_k x w + bias ~ scale_row scale_column (sum_k q w8 - zero sum_k w8) + bias,  and the sums of w8 are known beforehand. */
#include <float.h>
#include <string.h>
#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#endif

#include "tensor/tensor.h"

enum { BLOCK = 4, TILE = 48, MOST = 127 };
#define INLINE static inline __attribute__((always_inline))

/* ---- products: to each 32-bit lane of a sum come the four products of its four bytes of b with the four of a -------------------- */

INLINE void dot_lanes(int lanes, int32_t *sum, const int8_t *b, const uint8_t *a) {
  for (int j = 0; j < lanes; j++, b += 4) sum[j] += b[0] * a[0] + b[1] * a[1] + b[2] * a[2] + b[3] * a[3];
}

INLINE void dot_plain(void *sum, const int8_t *b, const uint8_t *a) { dot_lanes(8, sum, b, a); }
#define LANES 8
#define K(name) name##_plain
#define COMPILED
#include "tensor/int8_kernel.h"

/* VNNI's width in plain C: no processor prefers it; tests reach by it all of that kernel but its one instruction. */
INLINE void dot_plain_wide(void *sum, const int8_t *b, const uint8_t *a) { dot_lanes(16, sum, b, a); }
#define LANES 16
#define K(name) name##_plain_wide
#define COMPILED
#include "tensor/int8_kernel.h"

static bool always(void) { return true; }

#if defined(__x86_64__) && defined(__GNUC__)
INLINE int32_t four(const uint8_t *a) {
  int32_t bytes;
  memcpy(&bytes, a, sizeof bytes);
  return bytes;
}

#define COMPILED __attribute__((target("avx2")))
COMPILED INLINE void dot_avx2(void *sum, const int8_t *b, const uint8_t *a) {
  __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi32(four(a)), _mm256_loadu_si256((const __m256i *)b));
  *(__m256i *)sum = _mm256_add_epi32(*(__m256i *)sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
#define LANES 8
#define K(name) name##_avx2
#include "tensor/int8_kernel.h"
static bool has_avx2(void) { return __builtin_cpu_supports("avx2"); }

#define COMPILED __attribute__((target("avx512f,avx512bw,avx512vnni")))
COMPILED INLINE void dot_vnni(void *sum, const int8_t *b, const uint8_t *a) {
  *(__m512i *)sum = _mm512_dpbusd_epi32(*(__m512i *)sum, _mm512_set1_epi32(four(a)), _mm512_loadu_si512(b));
}
#define LANES 16
#define K(name) name##_vnni
#include "tensor/int8_kernel.h"
static bool has_vnni(void) {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vnni");
}
#endif

/* Best first. */
static const moon_int8_kernel kernels[] = {
#if defined(__x86_64__) && defined(__GNUC__)
    {"avx512-vnni", 32, has_vnni, product_vnni},
    {"avx2", 16, has_avx2, product_avx2},
#endif
    {"plain", 16, always, product_plain},
    {"plain, 32 columns", 32, always, product_plain_wide},
};

const moon_int8_kernel *moon_int8_kernels(size_t *n) {
  *n = sizeof kernels / sizeof *kernels;
  return kernels;
}

const moon_int8_kernel *moon_int8_best(void) {
  const moon_int8_kernel *kernel = kernels;
  while (!kernel->usable()) kernel++;
  return kernel;
}

MOON_CLONES static int32_t dot_column(size_t inner, const uint8_t *restrict a, const int8_t *restrict b) {
  int32_t sum = 0;
  for (size_t k = 0; k < inner; k++) sum += a[k] * b[k];
  return sum;
}

void moon_int8_unit(const moon_int8_product *p) {
  for (size_t r = 0; r < p->rows; r++) {
    int32_t whole = dot_column(p->inner, p->a + r * p->a_row, p->b) - p->how[r].zero * *p->sums;
    float y = (float)whole * (p->how[r].scale * *p->scale) + *p->bias;
    p->c[r * p->c_row] = p->relu && y < 0 ? 0 : y;
  }
}

/* ---- weights -------------------------------------------------------------------------------------------------------------------- */

size_t moon_int8_row(size_t inner) { return (inner + 3) / 4 * 4; }

/* x to the nearest whole number, plus a whole one: beside 1.5 * 2^23 a float has no room for fractions, and its last bits count. The sum
 * is below 2^22 in size. */
INLINE int32_t rounded(float x, int32_t plus) {
  int32_t bits;
  float shifted = x + (12582912.f + (float)plus);
  memcpy(&bits, &shifted, sizeof bits);
  return bits - 0x4b400000;
}

/* One column: its scale, its numbers at b + place(k), their sum. */
static int32_t pack_column(size_t inner, const float *w, size_t w_step, size_t panel, float *scale, int8_t *b) {
  float most = 0;
  int32_t sum = 0;
  for (size_t k = 0; k < inner; k++) most = fabsf(w[k * w_step]) > most ? fabsf(w[k * w_step]) : most;
  *scale = most / MOST >= FLT_MIN ? most / MOST : 0;
  for (size_t k = 0; k < inner && *scale > 0; k++) {
    int32_t q = rounded(w[k * w_step] / *scale, 0);
    b[k / 4 * 4 * panel + k % 4] = (int8_t)q;
    sum += q;
  }
  return sum;
}

void moon_int8_pack(size_t panel, size_t inner, size_t columns, const float *w, size_t w_row, int8_t *b, float *scale, int32_t *sums) {
  size_t groups = moon_int8_row(inner) / 4;
  for (size_t j = 0; j < columns; j++)
    sums[j] = pack_column(inner, w + j, w_row, panel, &scale[j], b + j / panel * groups * 4 * panel + j % panel * 4);
}

/* ---- rows ----------------------------------------------------------------------------------------------------------------------- */

typedef struct range { int32_t low, high; } range; /* of floats as whole numbers in the same order */

/* A float's bits, the lower 31 turned where it is negative: comparing them compares the floats, and whole numbers vectorise. With zero
 * included. NaN lies beyond the infinities. */
INLINE range range_of(size_t n, const float *x) {
  range r = {0, 0};
  for (size_t k = 0; k < n; k++) {
    int32_t bits;
    memcpy(&bits, x + k, sizeof bits);
    bits ^= bits >> 31 & INT32_MAX;
    r.low = bits < r.low ? bits : r.low;
    r.high = bits > r.high ? bits : r.high;
  }
  return r;
}

INLINE float as_float(int32_t bits) {
  float value;
  bits ^= bits >> 31 & INT32_MAX;
  memcpy(&value, &bits, sizeof value);
  return value;
}

MOON_CLONES static moon_int8_range quantise(size_t n, const float *restrict x, uint8_t *restrict q) {
  const int32_t infinite = 0x7f800000;
  range r = range_of(n, x);
  memset(q + n, 0, moon_int8_row(n) - n);
  if (r.high >= infinite || r.low <= -infinite - 1) return memset(q, 0, n), (moon_int8_range){NAN, 0};
  float low = as_float(r.low), scale = as_float(r.high) / MOST - low / MOST;
  if (scale < FLT_MIN) return memset(q, 0, n), (moon_int8_range){0, 0};
  float inverse = 1 / scale;
  int32_t zero = rounded(-low * inverse, 0);
  for (size_t k = 0; k < n; k++) {
    int32_t whole = rounded(x[k] * inverse, zero);
    whole = whole < 0 ? 0 : whole;
    q[k] = (uint8_t)(whole > MOST ? MOST : whole);
  }
  return (moon_int8_range){scale, zero};
}

void moon_int8_rows(size_t rows, size_t inner, const float *x, size_t x_row, uint8_t *q, moon_int8_range *how) {
  for (size_t r = 0; r < rows; r++) how[r] = quantise(inner, x + r * x_row, q + r * moon_int8_row(inner));
}

/* As moon_activate, whose clones contract and so differ from processor to processor. */
MOON_CLONES static void sigmoids(size_t n, float *y) {
  for (size_t i = 0; i < n; i++) y[i] = moon_sigmoidf(y[i]);
}
MOON_CLONES static void tanhs(size_t n, float *y) {
  for (size_t i = 0; i < n; i++) y[i] = moon_tanhf(y[i]);
}
void moon_int8_activate(moon_activation activation, size_t n, float *y) {
  if (activation == MOON_SIGMOID) sigmoids(n, y);
  if (activation == MOON_TANH) tanhs(n, y);
}

/* kernels_bf16.c - products whose right side is kept in bf16, the upper half of an f32: half the memory to read, and the sums in f32.
 *
 * A word holds a weight of a panel's lower half and, above it, one of its upper half. So two vectors of f32 come from one load, a shift
 * and a mask, once for all rows of a block, and the product equals, bit for bit, the f32 one over rounded weights: it is the same kernel
 * with another way to read its right side. */
#include <string.h>

#include "tensor/tensor.h"

enum { BLOCK = 6, TILE = 48 };
#define INLINE static inline __attribute__((always_inline))
#define REAL float
#define BITS int32_t
#define RIGHT uint32_t

typedef uint32_t words __attribute__((vector_size(32), aligned(4), may_alias));
INLINE void right_bf16(void *low, void *high, const uint32_t *from) {
  *(words *)low = *(const words *)from << 16, *(words *)high = *(const words *)from & 0xffff0000u;
}
#define LANES 8
#define K(name) name##_bf16
#define COMPILED MOON_CLONES
#include "tensor/product_kernel.h"

#undef LANES
#undef K
#undef COMPILED
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12
typedef uint32_t words_wide __attribute__((vector_size(64), aligned(4), may_alias));
INLINE void right_bf16_wide(void *low, void *high, const uint32_t *from) {
  *(words_wide *)low = *(const words_wide *)from << 16, *(words_wide *)high = *(const words_wide *)from & 0xffff0000u;
}
#define LANES 16
#define K(name) name##_bf16_wide
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COMPILED
#else
#define COMPILED __attribute__((target("arch=x86-64-v4")))
#endif
#include "tensor/product_kernel.h"
#else
static void product_bf16_wide(const moon_product *p) { product_bf16(p); }
#endif

void moon_product_run_bf16(const moon_product *p) {
  if (moon_panel(MOON_F32) == 32) product_bf16_wide(p);
  else product_bf16(p);
}

/* To nearest, ties to even; NaN stays NaN, though its lower bits go. */
uint16_t moon_bf16(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  if (value != value) return (uint16_t)(bits >> 16 | 0x40);
  return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

float moon_bf16_float(uint16_t half) {
  uint32_t bits = (uint32_t)half << 16;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

void moon_pack_bf16(size_t inner, size_t columns, const float *panels, uint32_t *packed) {
  size_t half = moon_panel(MOON_F32) / 2, rows = inner * moon_panel_round(MOON_F32, columns) / (2 * half);
  for (size_t r = 0; r < rows; r++, panels += 2 * half, packed += half)
    for (size_t j = 0; j < half; j++) packed[j] = moon_bf16(panels[j]) | (uint32_t)moon_bf16(panels[half + j]) << 16;
}

/* kernels.c - which kernels multiply: our own panels or OpenBLAS, by processor and sizes and by nothing else.
 *
 * A measurement at start could choose better on a strange machine, but then two runs of one training might differ in their last bits. So
 * the choice is a rule, drawn from measurements; `moonshelf bench` measures both sides again and says where the rule is wrong. */
#include "tensor/tensor.h"

enum { PANELS = 4, DEPTH = 128, WIDEST = 32 }; /* panels and rows of the right side that are packed at a time; a panel's most columns */

/* ---- our own: panels are packed on the stack, block by block ------------------------------------------------------------------ */

void moon_gemm_panels(bool ta, bool tb, size_t m, size_t n, size_t k, const float *a, const float *b, bool add, float *c) {
  _Alignas(64) float packed[PANELS * WIDEST * DEPTH];
  size_t panel = moon_panel(MOON_F32);
  for (size_t column = 0; column < n; column += PANELS * panel) {
    size_t width = n - column < PANELS * panel ? n - column : PANELS * panel;
    for (size_t from = 0; from < k; from += DEPTH) {
      size_t depth = k - from < DEPTH ? k - from : DEPTH;
      moon_pack_part(MOON_F32, tb, depth, width, tb ? b + column * k + from : b + from * n + column, tb ? k : n, packed);
      moon_product p = {.rows = m, .inner = depth, .columns = width, .a = a + (ta ? from * m : from), .a_row = ta ? m : k,
                        .a_turned = ta, .b = packed, .b_step = panel, .b_panel = depth * panel, .add = add || from,
                        .c = c + column, .c_row = n};
      moon_product_run(MOON_F32, &p);
    }
  }
}

/* ---- the rule ----------------------------------------------------------------------------------------------------------------- */

bool moon_has_fma(void) {
#if defined(__x86_64__) && defined(__GNUC__)
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
  return true; /* of other processors we know nothing; 64-bit ARM always has it */
#endif
}

/* From one core with AVX2 (Zen 1, OpenBLAS 0.3.21, 2026-11-25), GFLOP/s of ours : OpenBLAS, B as it is and transposed:
 *   8 x 64 x 64          21 : 14  10 : 13    packing a transposed B is not repaid by so few rows
 *   32 x 64 x 64         31 : 18  22 : 17
 *   32 x 20 x 64         18 : 22  15 : 21    a third of the panels is padding
 *   256 x 256 x 256      36 : 10  34 : 12
 *   512 x 512 x 512      33 : 34  33 : 32
 *   640 x 256 x 448      33 : 10
 *   1024 x 1024 x 1024   28 : 36  30 : 38    the left side does not stay in the cache, for many columns */
bool moon_gemm_own(moon_dtype dtype, bool tb, size_t m, size_t n, size_t k) {
  enum { KEPT = 1 << 18 /* floats */, MANY = 384 /* columns */ };
  return dtype == MOON_F32 && moon_has_fma() && m >= (tb ? 32u : 16u) && moon_panel_round(MOON_F32, n) - n <= n / 8 &&
         (n < MANY || k <= (size_t)KEPT / m);
}

const char *moon_cpu_features(void) {
#if defined(__x86_64__) && defined(__GNUC__)
  if (moon_panel(MOON_F32) == 32) return __builtin_cpu_supports("avx512vnni") ? "avx512 vnni fma" : "avx512 fma";
  return moon_has_fma() ? "avx2 fma" : "sse2";
#else
  return "portable";
#endif
}

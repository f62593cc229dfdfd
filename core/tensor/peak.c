/* peak.c - the speed that no product can pass: multiply-adds of numbers that never leave the registers. */
#include "tensor/tensor.h"

enum { TURNS = 4096, SUMS = 12 /* as many chains as hide the latency, and fit the registers */ };
static volatile float start = 0.999f, result; /* or the compiler would know the answer */

#define PEAK(NAME, COMPILED, LANES)                                                                \
  COMPILED static size_t NAME(void) {                                                              \
    typedef float lanes __attribute__((vector_size((LANES)*4)));                                   \
    lanes sums[SUMS], factor = {0};                                                                \
    factor += start;                                                                               \
    for (int i = 0; i < SUMS; i++) sums[i] = factor * (float)i; /* or one sum would do for all */  \
    for (int turn = 0; turn < TURNS; turn++) {                                                     \
      _Pragma("GCC unroll 12") for (int i = 0; i < SUMS; i++) sums[i] = sums[i] * factor + factor; \
    }                                                                                              \
    for (int i = 1; i < SUMS; i++) sums[0] += sums[i];                                             \
    result = sums[0][0];                                                                           \
    return (size_t)2 * (LANES)*SUMS * TURNS;                                                       \
  }

PEAK(peak, MOON_CLONES, 8)
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12
PEAK(peak_wide, __attribute__((target("arch=x86-64-v4"))), 16)
size_t moon_peak_run(void) {
  return __builtin_cpu_supports("x86-64-v4") ? peak_wide() : peak();
}
#else
size_t moon_peak_run(void) {
  return peak();
}
#endif

/* real_math.h - the exponential family by type: f32 takes the vectorising moon_expf, f64 takes libm for gradient checks. */
#ifndef MOON_AUTOGRAD_REAL_MATH_H
#define MOON_AUTOGRAD_REAL_MATH_H
#include <math.h>

#include "tensor/tensor.h"

static inline float moon_exp_f32(float x) { return moon_expf(x); }
static inline double moon_exp_f64(double x) { return exp(x); }
static inline float moon_log1p_f32(float x) { return moon_log1pf(x); } /* of x in [0, 1] */
static inline double moon_log1p_f64(double x) { return log1p(x); }
static inline float moon_tanh_f32(float x) { return moon_tanhf(x); }
static inline double moon_tanh_f64(double x) { return tanh(x); }
static inline float moon_sigmoid_f32(float x) { return moon_sigmoidf(x); }
static inline double moon_sigmoid_f64(double x) { return 1 / (1 + exp(-x)); }

/* log(1 + u) for u in [0, 1], as in log(1 + e^-|x|): 2 artanh(u / (2 + u)) by its series in s^2 <= 1/9, within 2 ulp, and it vectorises.
 * NaN for NaN. */
static inline float moon_log1p_unit_f32(float u) {
  float s = u / (2.f + u), q = s * s, p = 1.f / 13;
  p = p * q + 1.f / 11;
  p = p * q + 1.f / 9;
  p = p * q + 1.f / 7;
  p = p * q + 1.f / 5;
  p = p * q + 1.f / 3;
  return 2 * s + 2 * s * q * p;
}
static inline double moon_log1p_unit_f64(double u) { return log1p(u); }

#endif

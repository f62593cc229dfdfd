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

#endif

/* optim_update.c - the arithmetic of the optimisers: one pass over values, gradients and state, which also zeroes the gradients.
 *
 * A dense parameter is one stretch of numbers, a sparse one a list of touched rows; both go through the same loops. Rows are independent
 * of one another, so the order in which they were touched does not show. State that decays towards zero without ever reaching it would
 * end in denormals, whose arithmetic is a hundred times slower on some processors; beside any epsilon it is zero long before, and is made so. */
#ifndef REAL
#include <math.h>

#include "nn/optim.h"

#define INLINE static inline __attribute__((always_inline))
enum { LANES = 8 };

#define MOON_EACH_REAL "nn/optim_update.c"
#include "autograd/each_real.h"

typedef struct stretch {
  size_t rows, dim;
  const uint32_t *list;
} stretch; /* list NULL: one row, the first */

static stretch stretch_of(const moon_param *param) {
  if (!param->sparse) return (stretch){1, moon_tensor_count(param->value), NULL};
  return (stretch){param->touched_n, moon_tensor_shape(param->value)[1], param->touched};
}

static void *state_of(const moon_slot *slot, int i) {
  return slot->state[i] ? moon_tensor_data(slot->state[i]) : NULL;
}

void moon_update_run(const moon_update *update, const moon_slot *slot) {
  moon_param *param = slot->param;
  stretch over = stretch_of(param);
  void *value = moon_tensor_data(param->value), *grad = moon_tensor_data(param->grad), *a = state_of(slot, 0),
       *b = state_of(slot, 1);
  if (moon_tensor_dtype(param->value) == MOON_F32)
    update_f32(update, over.rows, over.dim, over.list, value, grad, a, b);
  else
    update_f64(update, over.rows, over.dim, over.list, value, grad, a, b);
  if (!param->sparse) return;
  for (size_t i = 0; i < param->touched_n; i++) param->is_touched[param->touched[i]] = 0;
  param->touched_n = 0;
}

double moon_gradient_squares(const moon_param *param) {
  stretch over = stretch_of(param);
  const void *grad = moon_tensor_data(param->grad);
  bool single = moon_tensor_dtype(param->grad) == MOON_F32;
  return single ? squares_f32(over.rows, over.dim, over.list, grad) : squares_f64(over.rows, over.dim, over.list, grad);
}

#else /* ---- kernels, for each REAL ---------------------------------------------------------------------------------------------- */

INLINE REAL K(quiet)(REAL x) {
  return M(fabs)(x) < (REAL)1e-30 ? 0 : x;
}

/* The gradient as it is used: kept within the global norm, then within clip_value. NaN stays NaN. */
INLINE REAL K(clipped)(REAL g, REAL scale, REAL limit) {
  g *= scale;
  g = g > limit ? limit : g;
  return g < -limit ? -limit : g;
}

INLINE void K(sgd)(const moon_update *u, size_t n, REAL *restrict w, REAL *restrict g) {
  const REAL rate = (REAL)u->rate, decay = (REAL)u->decay, scale = (REAL)u->scale, limit = (REAL)u->spec->clip_value;
  for (size_t i = 0; i < n; i++) {
    w[i] -= rate * (K(clipped)(g[i], scale, limit) + decay * w[i]);
    g[i] = 0;
  }
}

INLINE void K(momentum)(const moon_update *u, size_t n, REAL *restrict w, REAL *restrict g, REAL *restrict v) {
  const REAL rate = (REAL)u->rate, decay = (REAL)u->decay, scale = (REAL)u->scale, limit = (REAL)u->spec->clip_value;
  const REAL mu = (REAL)u->spec->momentum, ahead = u->spec->nesterov ? mu : 1, now = u->spec->nesterov ? 1 : 0;
  for (size_t i = 0; i < n; i++) {
    REAL gradient = K(clipped)(g[i], scale, limit) + decay * w[i], velocity = K(quiet)(mu * v[i] + gradient);
    v[i] = velocity, g[i] = 0;
    w[i] -= rate * (ahead * velocity + now * gradient);
  }
}

/* `pull` is decay that goes into the gradient (Adam), `shrink` what is taken off the weight beside it (AdamW). */
INLINE void K(adam)(const moon_update *u, REAL pull, REAL shrink, size_t n, REAL *restrict w, REAL *restrict g, REAL *restrict m,
                    REAL *restrict v) {
  const REAL rate = (REAL)u->rate, scale = (REAL)u->scale, limit = (REAL)u->spec->clip_value, epsilon = (REAL)u->spec->epsilon;
  const REAL b1 = (REAL)u->spec->beta1, b2 = (REAL)u->spec->beta2, c1 = (REAL)(1 - u->spec->beta1),
             c2 = (REAL)(1 - u->spec->beta2);
  for (size_t i = 0; i < n; i++) {
    REAL gradient = K(clipped)(g[i], scale, limit) + pull * w[i];
    REAL first = K(quiet)(b1 * m[i] + c1 * gradient), second = K(quiet)(b2 * v[i] + c2 * gradient * gradient);
    m[i] = first, v[i] = second, g[i] = 0;
    w[i] -= shrink * w[i] + rate * first / (M(sqrt)(second) + epsilon);
  }
}

INLINE void K(adagrad)(const moon_update *u, size_t n, REAL *restrict w, REAL *restrict g, REAL *restrict sum) {
  const REAL rate = (REAL)u->rate, decay = (REAL)u->decay, scale = (REAL)u->scale, limit = (REAL)u->spec->clip_value;
  const REAL epsilon = (REAL)u->spec->epsilon;
  for (size_t i = 0; i < n; i++) {
    REAL gradient = K(clipped)(g[i], scale, limit) + decay * w[i], total = sum[i] + gradient * gradient;
    sum[i] = total, g[i] = 0;
    w[i] -= rate * gradient / (M(sqrt)(total) + epsilon);
  }
}

INLINE void K(ftrl)(const moon_update *u, size_t n, REAL *restrict w, REAL *restrict g, REAL *restrict z, REAL *restrict sum) {
  const REAL per_rate = (REAL)(1 / u->rate), scale = (REAL)u->scale, limit = (REAL)u->spec->clip_value;
  const REAL beta = (REAL)u->spec->beta, l1 = (REAL)u->spec->l1, l2 = (REAL)u->spec->l2;
  for (size_t i = 0; i < n; i++) {
    REAL gradient = K(clipped)(g[i], scale, limit), total = sum[i] + gradient * gradient, root = M(sqrt)(total);
    REAL linear = z[i] + gradient - (root - M(sqrt)(sum[i])) * per_rate * w[i];
    REAL beyond = linear > l1 ? linear - l1 : linear < -l1 ? linear + l1 : linear - linear; /* 0, and NaN where it is NaN */
    z[i] = linear, sum[i] = total, g[i] = 0;
    w[i] = -beyond / ((beta + root) * per_rate + l2);
  }
}

MOON_CLONES static void K(update)(const moon_update *u, size_t rows, size_t dim, const uint32_t *list, REAL *w, REAL *g, REAL *a,
                                  REAL *b) {
  const REAL decay = (REAL)u->decay, shrink = (REAL)(u->lr * u->decay);
  for (size_t r = 0; r < rows; r++) {
    size_t at = list ? list[r] * dim : 0;
    switch (u->spec->kind) {
      case MOON_ADAM:
        K(adam)(u, decay, 0, dim, w + at, g + at, a + at, b + at);
        break;
      case MOON_ADAMW:
        K(adam)(u, 0, shrink, dim, w + at, g + at, a + at, b + at);
        break;
      case MOON_ADAGRAD:
        K(adagrad)(u, dim, w + at, g + at, a + at);
        break;
      case MOON_FTRL:
        K(ftrl)(u, dim, w + at, g + at, a + at, b + at);
        break;
      default:
        if (a)
          K(momentum)(u, dim, w + at, g + at, a + at);
        else
          K(sgd)(u, dim, w + at, g + at);
    }
  }
}

/* Eight running sums, or the additions would wait for one another. */
MOON_CLONES static double K(squares)(size_t rows, size_t dim, const uint32_t *list, const REAL *grad) {
  double sum[LANES] = {0};
  for (size_t r = 0; r < rows; r++) {
    const REAL *g = grad + (list ? list[r] * dim : 0);
    size_t i = 0;
    for (; i + LANES <= dim; i += LANES)
      for (size_t lane = 0; lane < LANES; lane++) sum[lane] += (double)g[i + lane] * g[i + lane];
    for (; i < dim; i++) sum[0] += (double)g[i] * g[i];
  }
  return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
}
#endif

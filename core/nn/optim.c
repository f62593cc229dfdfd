/* optim.c - optimisers: one pass over values, gradients and moments, which also zeroes the gradients for the next step.
 *
 * Sparse parameters are walked by touched row, each row by the same kernel as a whole dense parameter. Rows are independent, so the
 * order in which they were touched does not show. */
#include <math.h>

#include "nn/nn.h"

/* Adam's constants of one step: rate is lr sqrt(1 - beta2^t) / (1 - beta1^t), so that epsilon is Keras' (and the paper's section 2
 * "epsilon hat"); PyTorch's differs by a factor that fades with t. */
typedef struct adam_rates { double rate, beta1, beta2, epsilon; } adam_rates;

/* The moments of a unit that died decay into denormals, whose arithmetic is a hundred times slower on some processors; beside any
 * epsilon they are zero long before. */
static const float TINY = 1e-30f;

MOON_CLONES static void adam_f32(const adam_rates *r, size_t n, float *restrict w, float *restrict g, float *restrict m, float *restrict v) {
  const float b1 = (float)r->beta1, b2 = (float)r->beta2, c1 = (float)(1 - r->beta1), c2 = (float)(1 - r->beta2);
  const float rate = (float)r->rate, epsilon = (float)r->epsilon;
  for (size_t i = 0; i < n; i++) {
    float gradient = g[i];
    float first = b1 * m[i] + c1 * gradient, second = b2 * v[i] + c2 * gradient * gradient;
    first = fabsf(first) < TINY ? 0 : first, second = second < TINY ? 0 : second;
    m[i] = first, v[i] = second, g[i] = 0;
    w[i] -= rate * first / (sqrtf(second) + epsilon);
  }
}

/* f64 parameters keep f32 moments: f64 is for checking gradients. */
static void adam_f64(const adam_rates *r, size_t n, double *restrict w, double *restrict g, float *restrict m, float *restrict v) {
  for (size_t i = 0; i < n; i++) {
    double first = r->beta1 * m[i] + (1 - r->beta1) * g[i], second = r->beta2 * v[i] + (1 - r->beta2) * g[i] * g[i];
    m[i] = (float)first, v[i] = (float)second, g[i] = 0;
    w[i] -= r->rate * first / (sqrt(second) + r->epsilon);
  }
}

MOON_CLONES static void sgd_f32(double lr, size_t n, float *restrict w, float *restrict g) {
  const float rate = (float)lr;
  for (size_t i = 0; i < n; i++) w[i] -= rate * g[i], g[i] = 0;
}

static void sgd_f64(double lr, size_t n, double *restrict w, double *restrict g) {
  for (size_t i = 0; i < n; i++) w[i] -= lr * g[i], g[i] = 0;
}

/* One optimiser's kernel over elements at..at+n of a parameter. */
typedef struct update { const adam_rates *adam; double lr; } update;

static void apply(const update *u, moon_param *p, size_t at, size_t n) {
  bool single = moon_tensor_dtype(p->value) == MOON_F32;
  float *w32 = moon_tensor_data(p->value), *g32 = moon_tensor_data(p->grad);
  double *w64 = moon_tensor_data(p->value), *g64 = moon_tensor_data(p->grad);
  if (u->adam && single) adam_f32(u->adam, n, w32 + at, g32 + at, p->m + at, p->v + at);
  else if (u->adam) adam_f64(u->adam, n, w64 + at, g64 + at, p->m + at, p->v + at);
  else if (single) sgd_f32(u->lr, n, w32 + at, g32 + at);
  else sgd_f64(u->lr, n, w64 + at, g64 + at);
}

static void update_param(const update *u, moon_param *p) {
  if (p->frozen) {
    moon_param_zero_grad(p);
  } else if (!p->sparse) {
    apply(u, p, 0, moon_tensor_count(p->value));
  } else {
    size_t dim = moon_tensor_shape(p->value)[1];
    for (size_t i = 0; i < p->touched_n; i++) {
      apply(u, p, (size_t)p->touched[i] * dim, dim);
      p->is_touched[p->touched[i]] = 0;
    }
    p->touched_n = 0;
  }
}

/* Moments, zero, at a parameter's first step. */
static moon_status make_moments(moon_param *p) {
  size_t bytes = moon_tensor_count(p->value) * sizeof(float);
  if (!p->frozen && !p->m) p->m = moon_alloc_aligned(bytes);
  if (!p->frozen && !p->v) p->v = moon_alloc_aligned(bytes);
  if (!p->frozen && (!p->m || !p->v)) return moon_fail(MOON_ENOMEM, "adam: no memory for the moments of \"%s\"", p->name);
  return moon_ok();
}

static moon_status check_adam(const moon_adam *adam) {
  if (!(adam->lr >= 0) || isinf(adam->lr)) return moon_fail(MOON_EINVAL, "adam: the learning rate is %g; it must be 0 or more", adam->lr);
  if (!(adam->beta1 >= 0 && adam->beta1 < 1 && adam->beta2 >= 0 && adam->beta2 < 1))
    return moon_fail(MOON_EINVAL, "adam: the betas are %g and %g; both must be in [0, 1)", adam->beta1, adam->beta2);
  if (!((float)adam->epsilon > 0)) return moon_fail(MOON_EINVAL, "adam: epsilon is %g; it must be above 0", adam->epsilon);
  return moon_ok();
}

moon_status moon_adam_step(moon_adam *adam, moon_param *const *params, size_t n) {
  MOON_TRY(check_adam(adam));
  for (size_t i = 0; i < n; i++) MOON_TRY(make_moments(params[i])); /* before anything moves: a failure leaves no half step */
  double t = (double)++adam->step;
  adam_rates rates = {adam->lr * sqrt(1 - pow(adam->beta2, t)) / (1 - pow(adam->beta1, t)), adam->beta1, adam->beta2, adam->epsilon};
  for (size_t i = 0; i < n; i++) update_param(&(update){.adam = &rates}, params[i]);
  return moon_ok();
}

moon_status moon_sgd_step(moon_sgd *sgd, moon_param *const *params, size_t n) {
  if (!(sgd->lr >= 0) || isinf(sgd->lr)) return moon_fail(MOON_EINVAL, "sgd: the learning rate is %g; it must be 0 or more", sgd->lr);
  for (size_t i = 0; i < n; i++) update_param(&(update){.lr = sgd->lr}, params[i]);
  return moon_ok();
}

/* gradcheck.c - the tape's gradients against central differences, in f64.
 *
 * The graph is rebuilt for every nudged element, so this is for tests: slow, and independent of every backward rule. */
#include <math.h>
#include <string.h>

#include "autograd/autograd.h"

typedef struct checked {
  moon_graph_fn build;
  void *self;
  moon_tensor *const *leaves;
  moon_tensor **grads; /* NULL: not wanted */
  moon_var *vars;
  size_t n;
  moon_tape *tape;
} checked;

/* Builds the graph on a fresh tape and reads the loss; with gradients where `back`. */
static moon_status evaluate(checked *c, bool back, double *value) {
  moon_tape_reset(c->tape);
  for (size_t i = 0; i < c->n; i++) MOON_TRY(moon_tape_leaf(c->tape, c->leaves[i], back ? c->grads[i] : NULL, &c->vars[i]));
  moon_var loss;
  MOON_TRY(c->build(c->tape, c->vars, c->n, c->self, &loss));
  if (moon_var_dtype(c->tape, loss) != MOON_F64 || moon_var_count(c->tape, loss) != 1)
    return moon_fail(MOON_EINVAL, "gradcheck: the loss is not one f64");
  memcpy(value, moon_var_data(c->tape, loss), sizeof *value);
  return back ? moon_tape_backward(c->tape, loss) : moon_ok();
}

static moon_status check_leaf(checked *c, size_t leaf, double epsilon, double *worst) {
  double *x = moon_tensor_data(c->leaves[leaf]);
  const double *grad = moon_tensor_data(c->grads[leaf]);
  for (size_t i = 0; i < moon_tensor_count(c->leaves[leaf]); i++) {
    double kept = x[i], above = 0, below = 0;
    x[i] = kept + epsilon;
    moon_status st = evaluate(c, false, &above);
    x[i] = kept - epsilon;
    if (!st.code) st = evaluate(c, false, &below);
    x[i] = kept;
    if (st.code) return st;
    double numeric = (above - below) / (2 * epsilon);
    double error = fabs(numeric - grad[i]) / fmax(1, fmax(fabs(numeric), fabs(grad[i])));
    if (error > *worst || isnan(error)) *worst = error; /* NaN, once seen, stays: nothing is greater */
  }
  return moon_ok();
}

moon_status moon_gradcheck(moon_graph_fn build, void *self, moon_tensor *const *leaves, size_t n, double epsilon, double *worst) {
  checked c = {.build = build, .self = self, .leaves = leaves, .n = n};
  moon_status st = moon_ok();
  double value;
  *worst = 0;
  for (size_t i = 0; i < n; i++)
    if (moon_tensor_dtype(leaves[i]) != MOON_F64) return moon_fail(MOON_EINVAL, "gradcheck: leaf %zu is not f64", i);
  c.grads = moon_calloc(n, sizeof *c.grads);
  c.vars = moon_calloc(n, sizeof *c.vars);
  if (!c.grads || !c.vars) st = moon_fail(MOON_ENOMEM, "gradcheck: no memory for %zu leaves", n);
  if (!st.code) st = moon_tape_new(&c.tape);
  for (size_t i = 0; i < n && !st.code; i++)
    st = moon_tensor_new(MOON_F64, moon_tensor_dims(leaves[i]), moon_tensor_shape(leaves[i]), &c.grads[i]);
  if (!st.code) st = evaluate(&c, true, &value);
  for (size_t i = 0; i < n && !st.code; i++) st = check_leaf(&c, i, epsilon, worst);
  for (size_t i = 0; c.grads && i < n; i++) moon_tensor_free(c.grads[i]);
  moon_tape_free(c.tape);
  moon_free(c.vars);
  moon_free(c.grads);
  return st;
}

/* op_check.h - one row of a table of ops, checked by arithmetic that shares no code with them: f64 gradients against central
 * differences, value and gradients in f32 against f64. The loss is the sum of the op's output times fixed random weights, so that what
 * flows back differs from element to element. */
#ifndef TEST_OP_CHECK_H
#define TEST_OP_CHECK_H
#include "autograd/autograd.h"
#include "numeric.h"

enum { LEAVES = 5 };
typedef moon_status (*op_fn)(moon_tape *tape, const moon_var *in, double number, moon_var *out);
typedef struct shape {
  int dims;
  size_t size[MOON_MAX_DIMS];
} shape;
typedef struct op_case {
  const char *name;
  op_fn op;
  double number; /* what the op likes to make of it */
  int n;
  shape in[LEAVES];
  double low, high; /* of the inputs; low == -2 keeps them off 0 by a gap, for ops with a kink there */
} op_case;

/* clang-format off */
#define S(...) {(int)(sizeof((size_t[]){__VA_ARGS__}) / sizeof(size_t)), {__VA_ARGS__}}
#define SCALAR {0, {0}}
/* clang-format on */
#define OP(name, call)                                                                      \
  static moon_status name(moon_tape *t, const moon_var *in, double number, moon_var *out) { \
    (void)number;                                                                           \
    return call;                                                                            \
  }

typedef struct graph {
  const op_case *what;
  moon_tensor *weights; /* [most elements of an output] */
  moon_var y;
} graph;

static inline moon_status build_graph(moon_tape *tape, const moon_var *in, size_t n, void *self, moon_var *loss) {
  graph *g = self;
  (void)n;
  MOON_TRY(g->what->op(tape, in, g->what->number, &g->y));
  assert_in_range(moon_var_count(tape, g->y), 0, moon_tensor_count(g->weights));
  moon_var w;
  MOON_TRY(moon_tape_constant(tape, moon_var_dtype(tape, g->y), moon_var_dims(tape, g->y), moon_var_shape(tape, g->y),
                              moon_tensor_data(g->weights), &w));
  MOON_TRY(moon_op_mul(tape, g->y, w, loss));
  return moon_op_sum(tape, *loss, loss);
}

/* The same numbers in the other type; f64 holds exactly what f32 does. */
static inline moon_tensor *converted(const moon_tensor *from, moon_dtype dtype) {
  moon_tensor *to;
  OK(moon_tensor_new(dtype, moon_tensor_dims(from), moon_tensor_shape(from), &to));
  for (size_t i = 0; i < moon_tensor_count(from); i++) {
    double value =
        moon_tensor_dtype(from) == MOON_F32 ? ((float *)moon_tensor_data(from))[i] : ((double *)moon_tensor_data(from))[i];
    if (dtype == MOON_F32) ((float *)moon_tensor_data(to))[i] = (float)value;
    else ((double *)moon_tensor_data(to))[i] = value;
  }
  return to;
}

static inline void same_numbers(const char *name, const char *what, size_t n, const float *single, const double *wide,
                                double tolerance) {
  double top = 1; /* sums cancel: what counts is the size of the terms */
  for (size_t i = 0; i < n; i++) top = fmax(top, fabs(wide[i]));
  for (size_t i = 0; i < n; i++)
    if (!(fabs(single[i] - wide[i]) <= tolerance * top))
      fail_msg("%s: %s %zu of f32 is %.9g, of f64 %.9g", name, what, i, single[i], wide[i]);
}

/* Value and gradients in both types, from the same f32 inputs. */
static inline void check_single(const op_case *c, moon_tensor *const *wide, const moon_tensor *weights, double tolerance) {
  moon_tensor *leaf[2][LEAVES] = {{0}}, *grad[2][LEAVES] = {{0}}, *w[2] = {converted(weights, MOON_F32)};
  moon_tape *tape[2];
  graph g[2];
  w[1] = converted(w[0], MOON_F64);
  for (int i = 0; i < c->n; i++) leaf[0][i] = converted(wide[i], MOON_F32), leaf[1][i] = converted(leaf[0][i], MOON_F64);
  for (int d = 0; d < 2; d++) {
    moon_var in[LEAVES], loss;
    g[d] = (graph){c, w[d], {0}};
    OK(moon_tape_new(&tape[d]));
    for (int i = 0; i < c->n; i++) {
      OK(moon_tensor_new(d ? MOON_F64 : MOON_F32, c->in[i].dims, c->in[i].size, &grad[d][i]));
      OK(moon_tape_leaf(tape[d], leaf[d][i], grad[d][i], &in[i]));
    }
    OK(build_graph(tape[d], in, (size_t)c->n, &g[d], &loss));
    OK(moon_tape_backward(tape[d], loss));
  }
  same_numbers(c->name, "value", moon_var_count(tape[0], g[0].y), moon_var_data(tape[0], g[0].y), moon_var_data(tape[1], g[1].y),
               tolerance);
  for (int i = 0; i < c->n; i++)
    same_numbers(c->name, "gradient", moon_tensor_count(grad[0][i]), moon_tensor_data(grad[0][i]), moon_tensor_data(grad[1][i]),
                 5 * tolerance);
  for (int d = 0; d < 2; d++) {
    for (int i = 0; i < c->n; i++) moon_tensor_free(leaf[d][i]), moon_tensor_free(grad[d][i]);
    moon_tensor_free(w[d]);
    moon_tape_free(tape[d]);
  }
}

static inline void check_op(const op_case *c, bool numeric, double tolerance) {
  moon_rng rng;
  moon_rng_seed(&rng, 1, 8);
  moon_tensor *leaves[LEAVES], *weights = random_tensor(&rng, MOON_F64, SHAPE(20000), -1, 1);
  for (int i = 0; i < c->n; i++) {
    leaves[i] = random_tensor(&rng, MOON_F64, c->in[i].dims, c->in[i].size, c->low, c->high);
    double *x = moon_tensor_data(leaves[i]);
    for (size_t k = 0; c->low == -2 && k < moon_tensor_count(leaves[i]); k++) x[k] += x[k] < 0 ? -0.05 : 0.05;
  }
  graph g = {c, weights, {0}};
  double worst = 0;
  if (numeric) OK(moon_gradcheck(build_graph, &g, leaves, (size_t)c->n, 1e-5, &worst));
  if (!(worst < 1e-6))
    fail_msg("%s(%g) %s: gradients differ from numeric ones by %g", c->name, c->number,
             moon_shape_write(c->in[0].dims, c->in[0].size).text, worst);
  check_single(c, leaves, weights, tolerance);
  for (int i = 0; i < c->n; i++) moon_tensor_free(leaves[i]);
  moon_tensor_free(weights);
}

#endif

/* test_autograd_gradcheck.c - every op against arithmetic that shares no code with it.
 *
 * A table names an op and the shapes of its inputs. Each row is checked three ways: f64 gradients against central differences, the f32
 * value and gradients against f64. The loss is the sum of the op's output times fixed random weights, so that what flows back differs
 * from element to element. */
#include "autograd/autograd.h"
#include "numeric.h"

enum { LEAVES = 3 };
typedef moon_status (*op_fn)(moon_tape *tape, const moon_var *in, double number, moon_var *out);
typedef struct shape {
  int dims;
  size_t size[MOON_MAX_DIMS];
} shape;
typedef struct op_case {
  const char *name;
  op_fn op;
  double number; /* a factor, an activation, ... */
  int n;
  shape in[LEAVES];
  double low, high; /* inputs; relu's kink at 0 is avoided by a gap */
} op_case;

/* clang-format off */
#define S(...) {(int)(sizeof((size_t[]){__VA_ARGS__}) / sizeof(size_t)), {__VA_ARGS__}}
#define SCALAR {0, {0}}
/* clang-format on */

/* ---- ops under one signature -------------------------------------------------------------------------------------------------- */

#define ONE(name, call)                                                                     \
  static moon_status name(moon_tape *t, const moon_var *in, double number, moon_var *out) { \
    (void)number;                                                                           \
    return call;                                                                            \
  }
ONE(add, moon_op_add(t, in[0], in[1], out))
ONE(sub, moon_op_sub(t, in[0], in[1], out))
ONE(mul, moon_op_mul(t, in[0], in[1], out))
ONE(divide, moon_op_div(t, in[0], in[1], out))
ONE(scale, moon_op_scale(t, in[0], number, out))
ONE(relu, moon_op_relu(t, in[0], out))
ONE(sigmoid, moon_op_sigmoid(t, in[0], out))
ONE(tanh_, moon_op_tanh(t, in[0], out))
ONE(exp_, moon_op_exp(t, in[0], out))
ONE(log_, moon_op_log(t, in[0], out))
ONE(matmul, moon_op_matmul(t, in[0], in[1], out))
ONE(dense, moon_op_dense(t, in[0], in[1], in[2], (moon_activation)number, out))
ONE(transpose, moon_op_transpose(t, in[0], out))
ONE(reshape, moon_op_reshape(t, in[0], SHAPE((size_t)number, moon_var_count(t, in[0]) / (size_t)number), out))
ONE(concat1, moon_op_concat(t, in, 1, out))
ONE(concat2, moon_op_concat(t, in, 2, out))
ONE(concat3, moon_op_concat(t, in, 3, out))
ONE(slice, moon_op_slice(t, in[0], (int)number, 1, moon_var_shape(t, in[0])[(int)number], out)) /* all but the first */
ONE(slice_one, moon_op_slice(t, in[0], (int)number, 0, 1, out))
ONE(sum, moon_op_sum(t, in[0], out))
ONE(mean, moon_op_mean(t, in[0], out))
ONE(softmax, moon_op_softmax(t, in[0], out))
ONE(bce_logits, moon_op_bce_logits(t, in[0], in[1], out))
ONE(bce, moon_op_bce(t, in[0], in[1], out))
ONE(mse, moon_op_mse(t, in[0], in[1], out))

/* One input used twice or more, and chains. */
ONE(add_self, moon_op_add(t, in[0], in[0], out))
ONE(mul_self, moon_op_mul(t, in[0], in[0], out))
ONE(div_self, moon_op_div(t, in[0], in[0], out))
ONE(matmul_self, moon_op_matmul(t, in[0], in[0], out))
ONE(dense_self, moon_op_dense(t, in[0], in[0], in[1], (moon_activation)number, out))
ONE(concat_self, moon_op_concat(t, (moon_var[]){in[0], in[0], in[0], in[0]}, 4, out))

static moon_status mse_self(moon_tape *t, const moon_var *in, double number, moon_var *out) {
  MOON_TRY(moon_op_scale(t, in[0], number, out));
  return moon_op_mse(t, in[0], *out, out);
}
static moon_status gram(moon_tape *t, const moon_var *in, double number, moon_var *out) {
  (void)number;
  MOON_TRY(moon_op_transpose(t, in[0], out));
  return moon_op_matmul(t, in[0], *out, out);
}
/* e^x / (e^x + tanh x) */
static moon_status diamond(moon_tape *t, const moon_var *in, double number, moon_var *out) {
  (void)number;
  moon_var e, h;
  MOON_TRY(moon_op_exp(t, in[0], &e));
  MOON_TRY(moon_op_tanh(t, in[0], &h));
  MOON_TRY(moon_op_add(t, e, h, &h));
  return moon_op_div(t, e, h, out);
}
/* softmax(x y^T / 2) x, then a slice of it beside itself */
static moon_status attention(moon_tape *t, const moon_var *in, double number, moon_var *out) {
  (void)number;
  moon_var k, part;
  MOON_TRY(moon_op_transpose(t, in[1], &k));
  MOON_TRY(moon_op_matmul(t, in[0], k, &k));
  MOON_TRY(moon_op_scale(t, k, 0.5, &k));
  MOON_TRY(moon_op_softmax(t, k, &k));
  MOON_TRY(moon_op_matmul(t, k, in[1], &k));
  MOON_TRY(moon_op_slice(t, k, 1, 0, 1, &part));
  return moon_op_concat(t, (moon_var[]){k, part}, 2, out);
}
/* one weight matrix in two layers, and the same bias */
static moon_status two_layers(moon_tape *t, const moon_var *in, double number, moon_var *out) {
  MOON_TRY(moon_op_dense(t, in[0], in[1], in[2], MOON_TANH, out));
  MOON_TRY(moon_op_dense(t, *out, in[1], in[2], (moon_activation)number, out));
  return moon_op_mean(t, *out, out);
}

/* one input of two layers and of a sum: its gradient is written once and added to twice */
static moon_status shared_input(moon_tape *t, const moon_var *in, double number, moon_var *out) {
  moon_var other, sum;
  MOON_TRY(moon_op_sum(t, in[0], &sum));
  MOON_TRY(moon_op_dense(t, in[0], in[1], in[2], (moon_activation)number, out));
  MOON_TRY(moon_op_dense(t, in[0], in[1], in[2], MOON_TANH, &other));
  MOON_TRY(moon_op_mul(t, *out, other, out));
  return moon_op_mul(t, *out, sum, out);
}

/* ---- the table ---------------------------------------------------------------------------------------------------------------- */

/* clang-format off */
static const op_case cases[] = {
    {"relu", relu, 0, 1, {S(5)}, -2, 2}, {"relu", relu, 0, 1, {S(3, 37)}, -2, 2}, {"relu", relu, 0, 1, {SCALAR}, -2, 2},
    {"scale", scale, -1.7, 1, {S(2, 1, 3)}, -2, 2}, {"scale", scale, 0, 1, {S(1)}, -2, 2}, {"scale", scale, 3, 1, {SCALAR}, -2, 2},
    {"sigmoid", sigmoid, 0, 1, {S(7)}, -6, 6}, {"sigmoid", sigmoid, 0, 1, {S(1, 41)}, -3, 3}, {"sigmoid", sigmoid, 0, 1, {SCALAR}, -3, 3},
    {"tanh", tanh_, 0, 1, {S(7)}, -4, 4}, {"tanh", tanh_, 0, 1, {S(5, 9)}, -0.01, 0.01}, {"tanh", tanh_, 0, 1, {S(1)}, -4, 4},
    {"exp", exp_, 0, 1, {S(2, 5)}, -3, 2}, {"exp", exp_, 0, 1, {S(33)}, -3, 2}, {"log", log_, 0, 1, {S(2, 5)}, 0.3, 3},
    {"log", log_, 0, 1, {S(1, 1)}, 0.3, 3},
    {"matmul", matmul, 0, 2, {S(1, 1), S(1, 1)}, -2, 2}, {"matmul", matmul, 0, 2, {S(1, 4), S(4, 1)}, -2, 2},
    {"matmul", matmul, 0, 2, {S(3, 4), S(4, 1)}, -2, 2}, {"matmul", matmul, 0, 2, {S(1, 4), S(4, 5)}, -2, 2},
    {"matmul", matmul, 0, 2, {S(3, 4), S(4, 5)}, -2, 2}, {"matmul", matmul, 0, 2, {S(7, 1), S(1, 3)}, -2, 2},
    {"matmul", matmul, 0, 2, {S(2, 17), S(17, 9)}, -2, 2}, {"matmul", matmul, 0, 2, {S(3, 0), S(0, 2)}, -2, 2},
    {"transpose", transpose, 0, 1, {S(1, 5)}, -2, 2}, {"transpose", transpose, 0, 1, {S(17, 3)}, -2, 2},
    {"transpose", transpose, 0, 1, {S(20, 35)}, -2, 2}, {"transpose", transpose, 0, 1, {S(1, 1)}, -2, 2},
    {"reshape", reshape, 3, 1, {S(2, 6)}, -2, 2}, {"reshape", reshape, 1, 1, {SCALAR}, -2, 2}, {"reshape", reshape, 8, 1, {S(2, 2, 2)}, -2, 2},
    {"concat", concat1, 0, 1, {S(2, 3)}, -2, 2}, {"concat", concat2, 0, 2, {S(4), S(3)}, -2, 2},
    {"concat", concat2, 0, 2, {S(3, 1), S(3, 4)}, -2, 2}, {"concat", concat2, 0, 2, {S(1, 2), S(1, 1)}, -2, 2},
    {"concat", concat3, 0, 3, {S(2, 3, 1), S(2, 3, 2), S(2, 3, 5)}, -2, 2}, {"concat", concat3, 0, 3, {S(2, 3), S(2, 0), S(2, 1)}, -2, 2},
    {"slice", slice, 0, 1, {S(4)}, -2, 2}, {"slice", slice, 0, 1, {S(3, 2)}, -2, 2}, {"slice", slice, 1, 1, {S(3, 5)}, -2, 2},
    {"slice", slice, 1, 1, {S(2, 3, 4)}, -2, 2}, {"slice", slice, 2, 1, {S(2, 3, 4)}, -2, 2}, {"slice", slice_one, 1, 1, {S(2, 3, 4)}, -2, 2},
    {"slice of nothing", slice, 0, 1, {S(1, 3)}, -2, 2},
    {"sum", sum, 0, 1, {S(6)}, -2, 2}, {"sum", sum, 0, 1, {SCALAR}, -2, 2}, {"sum", sum, 0, 1, {S(0)}, -2, 2},
    {"sum", sum, 0, 1, {S(2, 3, 5)}, -2, 2}, {"mean", mean, 0, 1, {S(6)}, -2, 2}, {"mean", mean, 0, 1, {S(1)}, -2, 2},
    {"mean", mean, 0, 1, {S(4, 25)}, -2, 2},
    {"softmax", softmax, 0, 1, {S(5)}, -3, 3}, {"softmax", softmax, 0, 1, {S(3, 1)}, -3, 3}, {"softmax", softmax, 0, 1, {S(1, 4)}, -3, 3},
    {"softmax", softmax, 0, 1, {S(3, 19)}, -3, 3}, {"softmax", softmax, 0, 1, {S(2, 3, 4)}, -3, 3}, {"softmax", softmax, 0, 1, {SCALAR}, -3, 3},
    {"bce_logits", bce_logits, 0, 2, {S(6), S(6)}, 0.05, 0.95}, {"bce_logits", bce_logits, 0, 2, {S(6, 1), S(6)}, 0.05, 0.95},
    {"bce_logits", bce_logits, 0, 2, {S(3, 11), S(3, 11)}, -4, 4}, {"bce_logits", bce_logits, 0, 2, {SCALAR, S(1)}, -4, 4},
    {"bce", bce, 0, 2, {S(6), S(6)}, 0.05, 0.95}, {"bce", bce, 0, 2, {S(6, 1), S(6)}, 0.05, 0.95}, {"bce", bce, 0, 2, {S(1), S(1)}, 0.2, 0.8},
    {"mse", mse, 0, 2, {S(6), S(6)}, -2, 2}, {"mse", mse, 0, 2, {S(6, 1), S(6)}, -2, 2}, {"mse", mse, 0, 2, {S(3, 11), S(3, 11)}, -2, 2},
    {"x + x", add_self, 0, 1, {S(2, 3)}, -2, 2}, {"x * x", mul_self, 0, 1, {S(3, 3)}, -2, 2}, {"x / x", div_self, 0, 1, {S(5)}, 0.5, 2},
    {"x x", matmul_self, 0, 1, {S(4, 4)}, -2, 2}, {"act(x x + b)", dense_self, 1, 2, {S(4, 4), S(4)}, -2, 2},
    {"act(x x + b)", dense_self, 2, 2, {S(1, 1), S(1)}, -2, 2}, {"mse of x and 2x", mse_self, 2, 1, {S(5)}, -2, 2},
    {"x | x | x | x", concat_self, 0, 1, {S(3, 2)}, -2, 2}, {"x x^T", gram, 0, 1, {S(3, 5)}, -2, 2}, {"diamond", diamond, 0, 1, {S(2, 5)}, 0.2, 2},
    {"attention", attention, 0, 2, {S(3, 4), S(5, 4)}, -1, 1}, {"two layers", two_layers, 1, 3, {S(6, 5), S(5, 5), S(5)}, -1, 1},
    {"two layers", two_layers, 2, 3, {S(1, 1), S(1, 1), S(1)}, -1, 1}, {"shared input", shared_input, 0, 3, {S(5, 4), S(4, 3), S(3)}, -1, 1},
    {"shared input", shared_input, 2, 3, {S(40, 3), S(3, 1), S(1)}, -1, 1}, {"shared input", shared_input, 1, 3, {S(35, 3), S(3, 18), S(18)}, -1, 1},
};

static const shape pairs[][2] = {
    {S(3), S(3)}, {S(1), S(1)}, {SCALAR, SCALAR}, {S(2, 3), S(3)}, {S(3), S(2, 3)}, {S(2, 3), S(2, 1)}, {S(2, 1), S(2, 3)}, {S(2, 1), S(1, 3)},
    {S(1, 3), S(2, 1)}, {SCALAR, S(2, 3)}, {S(2, 3), SCALAR}, {S(2, 1, 4), S(3, 1)}, {S(3, 1), S(2, 1, 4)}, {S(1, 1), S(5)},
    {S(4, 3, 2), S(3, 1)}, {S(4, 1, 2), S(1, 3, 1)}, {S(2, 1, 2, 1, 3, 1), S(1, 3, 1, 2, 1, 2)}, {S(5, 33), S(33)}, {S(5, 33), S(5, 33)},
    {S(1, 7), S(4, 7)}, {S(0, 3), S(3)}, {S(2, 0), S(2, 1)},
};
static const shape layers[][3] = {
    {S(1, 1), S(1, 1), S(1)}, {S(1, 5), S(5, 3), S(3)}, {S(4, 3), S(3, 1), S(1)}, {S(5, 1), S(1, 4), S(4)}, {S(6, 7), S(7, 9), S(9)},
    {S(2, 13), S(13, 1), S(1)}, {S(1, 3), S(3, 1), S(1)}, {S(7, 20), S(20, 17), S(17)}, {S(0, 3), S(3, 2), S(2)},
};
/* Sizes at which kernels take other paths (tiles, panels, BLAS); f32 against f64 only. */
static const shape large_layers[][3] = {
    {S(1, 64), S(64, 64), S(64)}, {S(33, 70), S(70, 19), S(19)}, {S(130, 65), S(65, 33), S(33)}, {S(64, 64), S(64, 32), S(32)},
    {S(50, 32), S(32, 1), S(1)}, {S(47, 16), S(16, 16), S(16)}, {S(97, 200), S(200, 130), S(130)}, {S(40, 700), S(700, 48), S(48)},
    {S(35, 48), S(48, 700), S(700)}, {S(3, 1100), S(1100, 1), S(1)},
};

/* clang-format on */

/* ---- checking ------------------------------------------------------------------------------------------------------------------- */

typedef struct graph {
  const op_case *what;
  moon_tensor *weights; /* [most elements of an output] */
  moon_var y;
} graph;

static moon_status build(moon_tape *tape, const moon_var *in, size_t n, void *self, moon_var *loss) {
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
static moon_tensor *converted(const moon_tensor *from, moon_dtype dtype) {
  moon_tensor *to;
  OK(moon_tensor_new(dtype, moon_tensor_dims(from), moon_tensor_shape(from), &to));
  for (size_t i = 0; i < moon_tensor_count(from); i++) {
    double value =
        moon_tensor_dtype(from) == MOON_F32 ? ((float *)moon_tensor_data(from))[i] : ((double *)moon_tensor_data(from))[i];
    if (dtype == MOON_F32)
      ((float *)moon_tensor_data(to))[i] = (float)value;
    else
      ((double *)moon_tensor_data(to))[i] = value;
  }
  return to;
}

static void same(const op_case *c, const char *what, size_t n, const float *single, const double *wide, double tolerance) {
  double top = 1; /* sums cancel: what counts is the size of the terms */
  for (size_t i = 0; i < n; i++) top = fmax(top, fabs(wide[i]));
  for (size_t i = 0; i < n; i++)
    if (!(fabs(single[i] - wide[i]) <= tolerance * top))
      fail_msg("%s: %s %zu of f32 is %.9g, of f64 %.9g", c->name, what, i, single[i], wide[i]);
}

/* Value and gradients in both types, from the same f32 inputs. */
static void check_single(const op_case *c, moon_tensor *const *wide, const moon_tensor *weights, double tolerance) {
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
    OK(build(tape[d], in, (size_t)c->n, &g[d], &loss));
    OK(moon_tape_backward(tape[d], loss));
  }
  same(c, "value", moon_var_count(tape[0], g[0].y), moon_var_data(tape[0], g[0].y), moon_var_data(tape[1], g[1].y), tolerance);
  for (int i = 0; i < c->n; i++)
    same(c, "gradient", moon_tensor_count(grad[0][i]), moon_tensor_data(grad[0][i]), moon_tensor_data(grad[1][i]), 5 * tolerance);
  for (int d = 0; d < 2; d++) {
    for (int i = 0; i < c->n; i++) moon_tensor_free(leaf[d][i]), moon_tensor_free(grad[d][i]);
    moon_tensor_free(w[d]);
    moon_tape_free(tape[d]);
  }
}

static void check(const op_case *c, bool numeric) {
  moon_rng rng;
  moon_rng_seed(&rng, 1, (uint64_t)(c->number + 8));
  moon_tensor *leaves[LEAVES], *weights = random_tensor(&rng, MOON_F64, SHAPE(40000), -1, 1);
  for (int i = 0; i < c->n; i++) {
    leaves[i] = random_tensor(&rng, MOON_F64, c->in[i].dims, c->in[i].size, c->low, c->high);
    double *x = moon_tensor_data(leaves[i]);
    for (size_t k = 0; c->low == -2 && k < moon_tensor_count(leaves[i]); k++) x[k] += x[k] < 0 ? -0.05 : 0.05;
  }
  graph g = {c, weights, {0}};
  double worst = 0;
  if (numeric) OK(moon_gradcheck(build, &g, leaves, (size_t)c->n, 1e-5, &worst));
  if (!(worst < 1e-6))
    fail_msg("%s %s: gradients differ from numeric ones by %g", c->name, moon_shape_write(c->in[0].dims, c->in[0].size).text,
             worst);
  check_single(c, leaves, weights, numeric ? 2e-6 : 4e-5); /* the large ones add up to 1100 terms */
  for (int i = 0; i < c->n; i++) moon_tensor_free(leaves[i]);
  moon_tensor_free(weights);
}

static void every_op_has_the_numeric_gradient(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check(&cases[i], true);
}

static void arithmetic_broadcasts_either_side(void **state) {
  (void)state;
  static const op_case ops[] = {{"add", add}, {"sub", sub}, {"mul", mul}, {"div", divide}};
  for (size_t o = 0; o < 4; o++)
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
      op_case c = ops[o];
      c.n = 2, c.low = 0.4, c.high = 2;
      memcpy(c.in, pairs[i], sizeof pairs[i]);
      check(&c, true);
    }
}

static void dense_agrees_for_every_activation(void **state) {
  (void)state;
  for (int activation = 0; activation < 4; activation++) {
    op_case c = {"dense", dense, activation, 3, {S(0)}, -1, 1};
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
      memcpy(c.in, layers[i], sizeof layers[i]);
      check(&c, true);
    }
    for (size_t i = 0; i < sizeof large_layers / sizeof *large_layers; i++) {
      memcpy(c.in, large_layers[i], sizeof large_layers[i]);
      check(&c, false);
    }
  }
}

/* ---- gather: the table is no node, so its gradient is checked by hand ------------------------------------------------------------ */

typedef struct looked_up {
  size_t length; /* 0: plain gather */
  uint32_t ids[8];
  moon_tensor *table, *grad, *weights;
} looked_up;

static double gather_loss(looked_up *l, moon_tape *tape, bool back) {
  moon_var a, b, w, loss;
  moon_tape_reset(tape);
  moon_dtype dtype = moon_tensor_dtype(l->table);
  moon_tensor *grad = back ? l->grad : NULL;
  if (l->length)
    OK(moon_op_gather_mean(tape, l->table, grad, l->ids, 8 / l->length, l->length, NULL, NULL, &a));
  else
    OK(moon_op_gather(tape, l->table, grad, l->ids, 8, NULL, NULL, &a));
  OK(moon_op_gather(tape, l->table, grad, l->ids + 1, 1, NULL, NULL, &b)); /* the same table once more */
  OK(moon_op_mul(tape, a, b, &a));
  OK(moon_tape_constant(tape, dtype, 2, moon_var_shape(tape, a), moon_tensor_data(l->weights), &w));
  OK(moon_op_mul(tape, a, w, &loss));
  OK(moon_op_sum(tape, loss, &loss));
  if (back) OK(moon_tape_backward(tape, loss));
  return dtype == MOON_F64 ? *(const double *)moon_var_data(tape, loss) : *(const float *)moon_var_data(tape, loss);
}

static void rows_picked_twice_get_both_gradients(void **state) {
  (void)state;
  for (size_t length = 0; length <= 8; length = length ? length * 2 : 1) {
    moon_rng rng;
    moon_rng_seed(&rng, 5, length);
    looked_up l = {length, {3, 1, 3, 0, 0, 2, 0, 1}, NULL, NULL, NULL}, single = l;
    l.table = random_tensor(&rng, MOON_F64, SHAPE(5, 3), -2, 2);
    l.weights = random_tensor(&rng, MOON_F64, SHAPE(8, 3), -1, 1);
    OK(moon_tensor_new(MOON_F64, SHAPE(5, 3), &l.grad));
    OK(moon_tensor_new(MOON_F32, SHAPE(5, 3), &single.grad));
    single.table = converted(l.table, MOON_F32), single.weights = converted(l.weights, MOON_F32);
    moon_tape *tape;
    OK(moon_tape_new(&tape));
    NEAR(gather_loss(&single, tape, true), gather_loss(&l, tape, true), 1e-5);
    double *x = moon_tensor_data(l.table), *grad = moon_tensor_data(l.grad);
    for (size_t i = 0; i < 15; i++) {
      double kept = x[i], above, below;
      x[i] = kept + 1e-5, above = gather_loss(&l, tape, false);
      x[i] = kept - 1e-5, below = gather_loss(&l, tape, false);
      x[i] = kept;
      NEAR(grad[i], (above - below) / 2e-5, 1e-6);
      NEAR(((float *)moon_tensor_data(single.grad))[i], grad[i], 1e-5);
    }
    for (size_t i = 12; i < 15; i++) NEAR(grad[i], 0, 0); /* row 4 was not picked */
    moon_tape_free(tape);
    moon_tensor_free(l.table), moon_tensor_free(l.grad), moon_tensor_free(l.weights);
    moon_tensor_free(single.table), moon_tensor_free(single.grad), moon_tensor_free(single.weights);
  }
}

/* ---- the checker itself ----------------------------------------------------------------------------------------------------------- */

/* A wrong rule, made by hiding a factor from the tape: the loss is x . c, but c itself depends on x. */
static moon_status wrong(moon_tape *tape, const moon_var *in, size_t n, void *self, moon_var *loss) {
  (void)n;
  double *hidden = self;
  for (size_t i = 0; i < 3; i++) hidden[i] = ((const double *)moon_var_data(tape, in[0]))[i];
  moon_var c;
  MOON_TRY(moon_tape_constant(tape, MOON_F64, SHAPE(3), hidden, &c));
  MOON_TRY(moon_op_mul(tape, in[0], c, loss));
  return moon_op_sum(tape, *loss, loss);
}

/* For x near 0 one nudge of the first element leaves log's domain; the others are fine. */
static moon_status partly_nan(moon_tape *tape, const moon_var *in, size_t n, void *self, moon_var *loss) {
  (void)n, (void)self;
  MOON_TRY(moon_op_log(tape, in[0], loss));
  return moon_op_sum(tape, *loss, loss);
}

static void the_check_sees_wrong_gradients(void **state) {
  (void)state;
  moon_tensor *x;
  double hidden[3], worst = 0;
  OK(moon_tensor_from(MOON_F64, SHAPE(3), (double[]){1, 2, 3}, &x));
  OK(moon_gradcheck(wrong, hidden, &x, 1, 1e-5, &worst));
  assert_true(worst > 0.4);
  NEAR(((double *)moon_tensor_data(x))[1], 2, 0); /* leaves are put back */
  ((double *)moon_tensor_data(x))[0] = 5e-6;
  OK(moon_gradcheck(partly_nan, NULL, &x, 1, 1e-5, &worst));
  assert_true(isnan(worst));
  moon_tensor *single;
  OK(moon_tensor_new(MOON_F32, SHAPE(3), &single));
  REFUSED(MOON_EINVAL, "leaf 0 is not f64", moon_gradcheck(wrong, hidden, &single, 1, 1e-5, &worst));
  moon_tensor_free(single);
  for (size_t n = 1;; n++) {
    assert_true(n < 100);
    moon_alloc_fail_at(n);
    moon_status st = moon_gradcheck(wrong, hidden, &x, 1, 1e-5, &worst);
    moon_alloc_fail_at(0);
    if (!st.code) break;
    assert_int_equal(st.code, MOON_ENOMEM);
  }
  moon_tensor_free(x);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_op_has_the_numeric_gradient), cmocka_unit_test(arithmetic_broadcasts_either_side),
      cmocka_unit_test(dense_agrees_for_every_activation), cmocka_unit_test(rows_picked_twice_get_both_gradients),
      cmocka_unit_test(the_check_sees_wrong_gradients),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_autograd_tape.c - the tape as a machine: what it keeps, what it refuses, what flows where. */
#include "autograd/autograd.h"
#include "numeric.h"

static moon_tape *fresh(void) {
  moon_tape *tape;
  OK(moon_tape_new(&tape));
  return tape;
}

static moon_var constant(moon_tape *tape, const float *data, int dims, const size_t *shape) {
  moon_var v;
  OK(moon_tape_constant(tape, MOON_F32, dims, shape, data, &v));
  return v;
}

/* A step as in training: gather, concat, two dense layers, a few small ops, a loss. */
typedef struct model {
  moon_tensor *table, *w1, *b1, *w2, *b2, *grads[5];
  float x[64 * 5], target[64];
  uint32_t ids[64];
} model;

static void model_open(model *m) {
  moon_rng rng;
  moon_rng_seed(&rng, 3, 0);
  m->table = random_tensor(&rng, MOON_F32, SHAPE(10, 4), -1, 1);
  m->w1 = random_tensor(&rng, MOON_F32, SHAPE(9, 16), -1, 1), m->b1 = random_tensor(&rng, MOON_F32, SHAPE(16), -1, 1);
  m->w2 = random_tensor(&rng, MOON_F32, SHAPE(16, 1), -1, 1), m->b2 = random_tensor(&rng, MOON_F32, SHAPE(1), -1, 1);
  moon_tensor *all[5] = {m->table, m->w1, m->b1, m->w2, m->b2};
  for (int i = 0; i < 5; i++) OK(moon_tensor_new(MOON_F32, moon_tensor_dims(all[i]), moon_tensor_shape(all[i]), &m->grads[i]));
  for (size_t i = 0; i < 64 * 5; i++) m->x[i] = (float)moon_rng_normal(&rng);
  for (size_t i = 0; i < 64; i++) m->ids[i] = moon_rng_below(&rng, 10), m->target[i] = (float)moon_rng_below(&rng, 2);
}

static void model_close(model *m) {
  moon_tensor *all[5] = {m->table, m->w1, m->b1, m->w2, m->b2};
  for (int i = 0; i < 5; i++) moon_tensor_free(all[i]), moon_tensor_free(m->grads[i]);
}

static moon_status step(moon_tape *tape, model *m, size_t n, double *loss) {
  moon_var x, e, w, b, t;
  moon_tape_reset(tape);
  MOON_TRY(moon_tape_constant(tape, MOON_F32, SHAPE(n, 5), m->x, &x));
  MOON_TRY(moon_tape_constant(tape, MOON_F32, SHAPE(n), m->target, &t));
  MOON_TRY(moon_op_gather(tape, m->table, m->grads[0], m->ids, n, NULL, NULL, &e));
  MOON_TRY(moon_op_concat(tape, (moon_var[]){x, e}, 2, &x));
  MOON_TRY(moon_tape_leaf(tape, m->w1, m->grads[1], &w));
  MOON_TRY(moon_tape_leaf(tape, m->b1, m->grads[2], &b));
  MOON_TRY(moon_op_dense(tape, x, w, b, 1, &x));
  MOON_TRY(moon_op_softmax(tape, x, &e));
  MOON_TRY(moon_op_mul(tape, x, e, &x));
  MOON_TRY(moon_op_slice(tape, x, 0, 0, n, &x));
  MOON_TRY(moon_tape_leaf(tape, m->w2, m->grads[3], &w));
  MOON_TRY(moon_tape_leaf(tape, m->b2, m->grads[4], &b));
  MOON_TRY(moon_op_dense(tape, x, w, b, 0, &x));
  MOON_TRY(moon_op_bce_logits(tape, x, t, &x));
  *loss = *(const float *)moon_var_data(tape, x);
  return moon_tape_backward(tape, x);
}

static void a_steady_step_allocates_nothing(void **state) {
  (void)state;
  model m;
  model_open(&m);
  moon_tape *tape = fresh();
  double first = 0, again = 0;
  for (int i = 0; i < 4; i++) OK(step(tape, &m, 64, &first));
  size_t held = moon_tape_bytes(tape);
  assert_true(held > 64 * 16 * sizeof(float));
  for (int i = 0; i < 20; i++) {
    moon_alloc_fail_at(1);
    moon_status st = step(tape, &m, i % 3 ? 64 : 17, &again); /* a smaller last batch is fine too */
    moon_alloc_fail_at(0);
    OK(st);
    assert_int_equal(moon_tape_bytes(tape), held);
  }
  NEAR(first, again, 0); /* to the last bit */
  moon_tape_free(tape);
  model_close(&m);
}

static void any_failed_allocation_is_an_answer(void **state) {
  (void)state;
  model m;
  model_open(&m);
  double loss, want = 0;
  for (size_t n = 1;; n++) {
    assert_true(n < 100);
    moon_tape *tape = NULL;
    moon_alloc_fail_at(n);
    moon_status st = moon_tape_new(&tape);
    if (!st.code) st = step(tape, &m, 64, &loss);
    moon_alloc_fail_at(0);
    for (int i = 0; st.code && i < 5; i++) /* and nothing has flowed */
      for (size_t k = 0; k < moon_tensor_count(m.grads[i]); k++) NEAR(((float *)moon_tensor_data(m.grads[i]))[k], 0, 0);
    if (tape) OK(step(tape, &m, 64, &want)); /* the same tape works once there is memory */
    for (int i = 0; i < 5; i++) moon_tensor_fill(m.grads[i], 0);
    moon_tape_free(tape);
    if (!st.code) break;
    assert_int_equal(st.code, MOON_ENOMEM);
  }
  NEAR(loss, want, 0);
  model_close(&m);
}

static void errors_name_the_op_and_both_shapes(void **state) {
  (void)state;
  static const float data[24] = {0};
  moon_tape *tape = fresh();
  moon_var a = constant(tape, data, SHAPE(2, 3)), b = constant(tape, data, SHAPE(4)), c = constant(tape, data, SHAPE(4, 5)),
           out = {77};
  REFUSED(MOON_EINVAL, "add: [2, 3] against [4]", moon_op_add(tape, a, b, &out));
  REFUSED(MOON_EINVAL, "sub: [2, 3] against [4, 5]", moon_op_sub(tape, a, c, &out));
  REFUSED(MOON_EINVAL, "mul: [4] against [2, 3]", moon_op_mul(tape, b, a, &out));
  REFUSED(MOON_EINVAL, "div: [2, 3] against [4]", moon_op_div(tape, a, b, &out));
  REFUSED(MOON_EINVAL, "matmul: [2, 3] against [4, 5]", moon_op_matmul(tape, a, c, &out));
  REFUSED(MOON_EINVAL, "matmul: [2, 3] against [4]", moon_op_matmul(tape, a, b, &out));
  REFUSED(MOON_EINVAL, "dense: [2, 3] against [4, 5]", moon_op_dense(tape, a, c, b, 0, &out));
  REFUSED(MOON_EINVAL, "dense: [4, 5] against [4]", moon_op_dense(tape, constant(tape, data, SHAPE(2, 4)), c, b, 0, &out));
  REFUSED(MOON_EINVAL, "dense: activation 4 does not exist", moon_op_dense(tape, a, a, b, 4, &out));
  REFUSED(MOON_EINVAL, "dense: activation -1 does not exist", moon_op_dense(tape, a, a, b, -1, &out));
  REFUSED(MOON_EINVAL, "transpose: [4]", moon_op_transpose(tape, b, &out));
  REFUSED(MOON_EINVAL, "reshape: [2, 3] to [4]: 6 elements against 4", moon_op_reshape(tape, a, SHAPE(4), &out));
  REFUSED(MOON_EINVAL, "reshape: ", moon_op_reshape(tape, a, 7, (size_t[7]){1, 1, 1, 1, 1, 1, 6}, &out));
  REFUSED(MOON_EINVAL, "concat: [2, 3] against [4, 5]", moon_op_concat(tape, (moon_var[]){a, c}, 2, &out));
  REFUSED(MOON_EINVAL, "concat: [2, 3] against [4]", moon_op_concat(tape, (moon_var[]){a, b}, 2, &out));
  REFUSED(MOON_EINVAL, "concat: no parts", moon_op_concat(tape, NULL, 0, &out));
  REFUSED(MOON_EINVAL, "concat: a scalar", moon_op_concat(tape, (moon_var[]){constant(tape, data, 0, NULL)}, 1, &out));
  REFUSED(MOON_EINVAL, "slice: [2, 3] has no dimension 2", moon_op_slice(tape, a, 2, 0, 1, &out));
  REFUSED(MOON_EINVAL, "slice: [2, 3] has no dimension -1", moon_op_slice(tape, a, -1, 0, 1, &out));
  REFUSED(MOON_EINVAL, "slice: 1..4 is outside dimension 1 of [2, 3]", moon_op_slice(tape, a, 1, 1, 4, &out));
  REFUSED(MOON_EINVAL, "slice: 2..1 is outside dimension 1 of [2, 3]", moon_op_slice(tape, a, 1, 2, 1, &out));
  REFUSED(MOON_EINVAL, "mean: [0] has no elements", moon_op_mean(tape, constant(tape, data, SHAPE(0)), &out));
  REFUSED(MOON_EINVAL, "bce_logits: [2, 3] against [4]", moon_op_bce_logits(tape, a, b, &out));
  REFUSED(MOON_EINVAL, "bce: [2, 3] against [4, 5]", moon_op_bce(tape, a, c, &out));
  REFUSED(MOON_EINVAL, "mse: [4] against [4, 5]", moon_op_mse(tape, b, c, &out));
  REFUSED(MOON_EINVAL, "mse: [0] has no elements",
          moon_op_mse(tape, constant(tape, data, SHAPE(0)), constant(tape, data, SHAPE(0)), &out));
  REFUSED(MOON_EINVAL, "backward: the loss has shape [2, 3]", moon_tape_backward(tape, a));
  assert_int_equal(out.id, 77); /* a failed op answers no variable */
  moon_tape_free(tape);
}

static void wrong_leaves_are_refused(void **state) {
  (void)state;
  moon_tape *tape = fresh();
  moon_var out;
  float data[6] = {0};
  moon_tensor *value, *turned, *other, *wide, *whole;
  OK(moon_tensor_new(MOON_F32, SHAPE(2, 3), &value));
  OK(moon_tensor_new(MOON_F32, SHAPE(3, 2), &other));
  OK(moon_tensor_new(MOON_F64, SHAPE(2, 3), &wide));
  OK(moon_tensor_new(MOON_I64, SHAPE(2, 3), &whole));
  OK(moon_tensor_transpose(other, 0, 1, &turned));
  REFUSED(MOON_EINVAL, "leaf: a value of [2, 3] is not contiguous", moon_tape_leaf(tape, turned, NULL, &out));
  REFUSED(MOON_EINVAL, "leaf: the gradient of a value of [2, 3] is not contiguous", moon_tape_leaf(tape, value, turned, &out));
  REFUSED(MOON_EINVAL, "f32 [2, 3] against a gradient of f32 [3, 2]", moon_tape_leaf(tape, value, other, &out));
  REFUSED(MOON_EINVAL, "f32 [2, 3] against a gradient of f64 [2, 3]", moon_tape_leaf(tape, value, wide, &out));
  REFUSED(MOON_EINVAL, "leaf: the tape works on f32 and f64, not i64", moon_tape_leaf(tape, whole, NULL, &out));
  REFUSED(MOON_EINVAL, "constant: the tape works on f32 and f64, not u8",
          moon_tape_constant(tape, MOON_U8, SHAPE(3), data, &out));
  REFUSED(MOON_EINVAL, "constant: [3] without data", moon_tape_constant(tape, MOON_F32, SHAPE(3), NULL, &out));
  REFUSED(MOON_EINVAL, "constant: ", moon_tape_constant(tape, MOON_F32, SHAPE(SIZE_MAX / 2, 3), data, &out));
  OK(moon_tape_constant(tape, MOON_F32, SHAPE(0, 3), NULL, &out));
  moon_tape_free(tape);
  moon_tensor_free(value), moon_tensor_free(turned), moon_tensor_free(other), moon_tensor_free(wide), moon_tensor_free(whole);
}

static void the_two_types_do_not_mix(void **state) {
  (void)state;
  static const double data[4] = {1, 1, 1, 1};
  moon_tape *tape = fresh();
  moon_var single = constant(tape, (const float *)data, SHAPE(2, 2)), wide, out;
  OK(moon_tape_constant(tape, MOON_F64, SHAPE(2, 2), data, &wide));
  REFUSED(MOON_EINVAL, "add: f32 [2, 2] against f64 [2, 2]", moon_op_add(tape, single, wide, &out));
  REFUSED(MOON_EINVAL, "matmul: f64 [2, 2] against f32 [2, 2]", moon_op_matmul(tape, wide, single, &out));
  REFUSED(MOON_EINVAL, "dense: f32 [2, 2] against f64 [2, 2]", moon_op_dense(tape, single, single, wide, 0, &out));
  REFUSED(MOON_EINVAL, "mse: f32", moon_op_mse(tape, single, wide, &out));
  REFUSED(MOON_EINVAL, "concat: f32", moon_op_concat(tape, (moon_var[]){single, single, wide}, 3, &out));
  moon_tape_free(tape);
}

static void variables_die_with_a_reset(void **state) {
  (void)state;
  static const float data[2] = {1, 2};
  moon_tape *tape = fresh();
  constant(tape, data, SHAPE(2));
  moon_var v = constant(tape, data, SHAPE(2)), out;
  moon_tape_reset(tape);
  REFUSED(MOON_EINVAL, "exp: input 1 is not on this tape", moon_op_exp(tape, v, &out));
  REFUSED(MOON_EINVAL, "backward: the loss is not on this tape", moon_tape_backward(tape, v));
  moon_var a = constant(tape, data, SHAPE(2));
  REFUSED(MOON_EINVAL, "add: input 2 is not on this tape", moon_op_add(tape, a, v, &out));
  moon_tape_free(tape);
}

static void no_gradient_flows_to_constants(void **state) {
  (void)state;
  static const float data[4] = {1, 2, 3, 4};
  moon_tape *tape = fresh();
  moon_tensor *x, *grad;
  OK(moon_tensor_from(MOON_F32, SHAPE(2, 2), data, &x));
  OK(moon_tensor_new(MOON_F32, SHAPE(2, 2), &grad));
  moon_var leaf, frozen, c = constant(tape, data, SHAPE(2, 2)), apart, out, loss;
  OK(moon_tape_leaf(tape, x, grad, &leaf));
  OK(moon_tape_leaf(tape, x, NULL, &frozen));
  OK(moon_op_exp(tape, c, &apart)); /* of constants only */
  OK(moon_op_matmul(tape, leaf, c, &out));
  OK(moon_op_mul(tape, out, frozen, &out));
  OK(moon_op_add(tape, out, apart, &out));
  OK(moon_op_sum(tape, out, &loss));
  OK(moon_tape_backward(tape, loss));
  assert_null(moon_var_grad(tape, c));
  assert_null(moon_var_grad(tape, frozen));
  assert_null(moon_var_grad(tape, apart));
  assert_ptr_equal(moon_var_grad(tape, leaf), moon_tensor_data(grad));
  assert_non_null(moon_var_grad(tape, out));
  /* d = frozen c^T: [1 2; 3 4] [1 3; 2 4] */
  static const float want[4] = {5, 11, 11, 25};
  for (int i = 0; i < 4; i++) NEAR(((float *)moon_tensor_data(grad))[i], want[i], 0);
  OK(moon_op_sum(tape, apart, &loss)); /* a loss that nothing can be learnt from */
  OK(moon_tape_backward(tape, loss));
  assert_null(moon_var_grad(tape, loss));
  for (int i = 0; i < 4; i++) NEAR(((float *)moon_tensor_data(grad))[i], want[i], 0);
  moon_tape_free(tape);
  moon_tensor_free(x), moon_tensor_free(grad);
}

static void gradients_add_up_over_backwards_and_batches(void **state) {
  (void)state;
  moon_tape *tape = fresh();
  moon_tensor *x, *grad;
  OK(moon_tensor_from(MOON_F32, SHAPE(2), (float[]){3, 5}, &x));
  OK(moon_tensor_new(MOON_F32, SHAPE(2), &grad));
  float *g = moon_tensor_data(grad);
  moon_var a, b, square, loss;
  OK(moon_tape_leaf(tape, x, grad, &a));
  OK(moon_op_mul(tape, a, a, &square));
  OK(moon_op_sum(tape, square, &loss));
  OK(moon_tape_backward(tape, loss));
  NEAR(g[0], 6, 0);
  NEAR(g[1], 10, 0);
  OK(moon_tape_backward(tape, loss)); /* again: added, not compounded */
  NEAR(g[0], 12, 0);
  NEAR(g[1], 20, 0);
  NEAR(((const float *)moon_var_grad(tape, square))[1], 1, 0);
  moon_tape_reset(tape);
  OK(moon_tape_leaf(tape, x, grad, &a)); /* one tensor as two leaves */
  OK(moon_tape_leaf(tape, x, grad, &b));
  OK(moon_op_mul(tape, a, b, &loss));
  OK(moon_op_sum(tape, loss, &loss));
  OK(moon_tape_backward(tape, loss));
  NEAR(g[0], 18, 0);
  NEAR(g[1], 30, 0);
  moon_tape_reset(tape);
  moon_tensor *one, *one_grad;
  OK(moon_tensor_from(MOON_F32, SHAPE(1, 1), (float[]){3}, &one));
  OK(moon_tensor_new(MOON_F32, SHAPE(1, 1), &one_grad));
  OK(moon_tape_leaf(tape, one, one_grad, &a)); /* a leaf that is the loss itself */
  OK(moon_tape_backward(tape, a));
  NEAR(*(float *)moon_tensor_data(one_grad), 1, 0);
  moon_tape_free(tape);
  moon_tensor_free(x), moon_tensor_free(grad), moon_tensor_free(one), moon_tensor_free(one_grad);
}

/* Each op's input holds one NaN; it must be seen in the loss and in the gradient, or training goes on with broken data. */
static void nan_stays_visible(void **state) {
  (void)state;
  static moon_status (*const ops[])(moon_tape *, moon_var, moon_var *) = {moon_op_relu, moon_op_sigmoid, moon_op_tanh,
                                                                          moon_op_exp,  moon_op_log,     moon_op_softmax};
  static moon_status (*const losses[])(moon_tape *, moon_var, moon_var, moon_var *) = {moon_op_bce_logits, moon_op_bce,
                                                                                       moon_op_mse};
  float data[3] = {0.5f, NAN, 0.25f}, target[3] = {1, 0, 1};
  moon_tensor *x, *grad;
  OK(moon_tensor_from(MOON_F32, SHAPE(3), data, &x));
  OK(moon_tensor_new(MOON_F32, SHAPE(3), &grad));
  moon_tape *tape = fresh();
  moon_var a, y;
  for (size_t i = 0; i < 9; i++) {
    moon_tape_reset(tape);
    moon_tensor_fill(grad, 0);
    OK(moon_tape_leaf(tape, x, grad, &a));
    if (i < 6)
      OK(ops[i](tape, a, &y));
    else
      OK(losses[i - 6](tape, a, constant(tape, target, SHAPE(3)), &y));
    if (i < 6) {
      moon_var w = constant(tape, data, SHAPE(3));
      OK(moon_op_mul(tape, y, w, &y));
      OK(moon_op_sum(tape, y, &y));
    }
    assert_true(isnan(*(const float *)moon_var_data(tape, y)));
    OK(moon_tape_backward(tape, y));
    if (!isnan(((float *)moon_tensor_data(grad))[1])) fail_msg("op %zu loses a NaN on its way back", i);
  }
  for (int activation = 0; activation < 4; activation++) {
    moon_tape_reset(tape);
    moon_tensor *w, *b;
    OK(moon_tensor_from(MOON_F32, SHAPE(3, 2), (float[]){1, 1, 1, 1, 1, 1}, &w));
    OK(moon_tensor_new(MOON_F32, SHAPE(2), &b));
    moon_var vw, vb;
    OK(moon_tape_leaf(tape, w, NULL, &vw));
    OK(moon_tape_leaf(tape, b, NULL, &vb));
    OK(moon_op_dense(tape, constant(tape, data, SHAPE(1, 3)), vw, vb, activation, &y));
    for (int j = 0; j < 2; j++) assert_true(isnan(((const float *)moon_var_data(tape, y))[j]));
    moon_tensor_free(w), moon_tensor_free(b);
  }
  moon_tape_free(tape);
  moon_tensor_free(x), moon_tensor_free(grad);
}

static void extremes_do_not_overflow(void **state) {
  (void)state;
  static const float data[6] = {-1e4f, -100, -0.f, 0, 100, 1e4f}, ones[6] = {1, 1, 1, 1, 1, 1}, zeros[6] = {0};
  moon_tape *tape = fresh();
  moon_var x = constant(tape, data, SHAPE(6)), y;
  OK(moon_op_sigmoid(tape, x, &y));
  const float *s = moon_var_data(tape, y);
  for (int i = 0; i < 6; i++) assert_true(s[i] >= 0 && s[i] <= 1);
  NEAR(s[0], 0, 0);
  NEAR(s[3], 0.5, 0);
  NEAR(s[5], 1, 0);
  OK(moon_op_softmax(tape, x, &y));
  NEAR(((const float *)moon_var_data(tape, y))[5], 1, 0);
  OK(moon_op_bce_logits(tape, x, constant(tape, ones, SHAPE(6)), &y));
  NEAR(*(const float *)moon_var_data(tape, y), (1e4 + 100 + 2 * log(2)) / 6, 1e-3);
  OK(moon_op_bce_logits(tape, x, constant(tape, zeros, SHAPE(6)), &y));
  NEAR(*(const float *)moon_var_data(tape, y), (1e4 + 100 + 2 * log(2)) / 6, 1e-3);
  OK(moon_op_bce(tape, constant(tape, ones, SHAPE(6)), constant(tape, zeros, SHAPE(6)), &y)); /* clipped as in Keras */
  NEAR(*(const float *)moon_var_data(tape, y), -log(1e-7), 0.2);
  moon_tape_free(tape);
}

/* Keras' clip: a probability outside [1e-7, 1 - 1e-7] is taken as the bound, and moving it changes nothing. */
static void a_clipped_probability_has_no_gradient(void **state) {
  (void)state;
  static const float target[4] = {1, 0, 1, 0};
  moon_tensor *p, *grad;
  OK(moon_tensor_from(MOON_F32, SHAPE(4), (float[]){0, 1, 0.5f, 0.5f}, &p));
  OK(moon_tensor_new(MOON_F32, SHAPE(4), &grad));
  moon_tape *tape = fresh();
  moon_var v, loss;
  OK(moon_tape_leaf(tape, p, grad, &v));
  OK(moon_op_bce(tape, v, constant(tape, target, SHAPE(4)), &loss));
  OK(moon_tape_backward(tape, loss));
  static const double want[4] = {0, 0, -0.5, 0.5};
  for (int i = 0; i < 4; i++) NEAR(((float *)moon_tensor_data(grad))[i], want[i], 1e-6);
  moon_tape_free(tape);
  moon_tensor_free(p), moon_tensor_free(grad);
}

static void ids_are_checked_and_touched_rows_told(void **state) {
  (void)state;
  moon_tape *tape = fresh();
  moon_tensor *table, *grad, *flat;
  OK(moon_tensor_new(MOON_F32, SHAPE(4, 2), &table));
  OK(moon_tensor_new(MOON_F32, SHAPE(2, 4), &grad));
  OK(moon_tensor_new(MOON_F32, SHAPE(4), &flat));
  moon_var y;
  uint32_t ids[4] = {0, 3, 4, UINT32_MAX};
  REFUSED(MOON_EINVAL, "gather: id 4 at position 2 is out of range: the table is [4, 2]",
          moon_op_gather(tape, table, NULL, ids, 3, NULL, NULL, &y));
  REFUSED(MOON_EINVAL, "id 4294967295 at position 0", moon_op_gather(tape, table, NULL, ids + 3, 1, NULL, NULL, &y));
  REFUSED(MOON_EINVAL, "gather_mean: id 4 at position 2", moon_op_gather_mean(tape, table, NULL, ids, 2, 2, NULL, NULL, &y));
  REFUSED(MOON_EINVAL, "gather: a table of [4, 2] against a gradient of [2, 4]",
          moon_op_gather(tape, table, grad, ids, 2, NULL, NULL, &y));
  REFUSED(MOON_EINVAL, "gather: the table [4]", moon_op_gather(tape, flat, NULL, ids, 2, NULL, NULL, &y));
  REFUSED(MOON_EINVAL, "do not fit in memory", moon_op_gather_mean(tape, table, NULL, ids, SIZE_MAX / 2, 3, NULL, NULL, &y));
  OK(moon_op_gather(tape, table, NULL, NULL, 0, NULL, NULL, &y));
  assert_int_equal(moon_var_count(tape, y), 0);
  OK(moon_op_gather_mean(tape, table, NULL, NULL, 3, 0, NULL, NULL, &y));
  for (int i = 0; i < 6; i++) NEAR(((const float *)moon_var_data(tape, y))[i], 0, 0);
  moon_tape_free(tape);
  moon_tensor_free(table), moon_tensor_free(grad), moon_tensor_free(flat);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_steady_step_allocates_nothing),
      cmocka_unit_test(any_failed_allocation_is_an_answer),
      cmocka_unit_test(errors_name_the_op_and_both_shapes),
      cmocka_unit_test(wrong_leaves_are_refused),
      cmocka_unit_test(the_two_types_do_not_mix),
      cmocka_unit_test(variables_die_with_a_reset),
      cmocka_unit_test(no_gradient_flows_to_constants),
      cmocka_unit_test(gradients_add_up_over_backwards_and_batches),
      cmocka_unit_test(nan_stays_visible),
      cmocka_unit_test(extremes_do_not_overflow),
      cmocka_unit_test(a_clipped_probability_has_no_gradient),
      cmocka_unit_test(ids_are_checked_and_touched_rows_told),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_autograd_ops_tape.c - what the tape does around its ops: gradients off, accumulation, checkpoints, custom ops, the search for
 * numbers that are not finite, scopes; and that a step with all ops allocates nothing once it is steady. */
#include "autograd/autograd.h"
#include "numeric.h"

static moon_tape *fresh(void) {
  moon_tape *tape;
  OK(moon_tape_new(&tape));
  return tape;
}

/* A parameter with its gradient. */
typedef struct param { moon_tensor *value, *grad; } param;
static param param_of(moon_rng *rng, moon_dtype dtype, int dims, const size_t *shape) {
  param p = {random_tensor(rng, dtype, dims, shape, -1, 1), NULL};
  OK(moon_tensor_new(dtype, dims, shape, &p.grad));
  return p;
}
static void param_free(param *p) { moon_tensor_free(p->value), moon_tensor_free(p->grad); }
static float grad_at(const param *p, size_t i) { return ((float *)moon_tensor_data(p->grad))[i]; }

/* ---- no_grad ------------------------------------------------------------------------------------------------------------------ */

static void nothing_flows_through_ops_made_without_gradients(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 1, 1);
  param p = param_of(&rng, MOON_F32, SHAPE(4, 3)), table = param_of(&rng, MOON_F32, SHAPE(4, 3));
  moon_tape *tape = fresh();
  moon_var a, frozen, live, picked, y;
  OK(moon_tape_leaf(tape, p.value, p.grad, &a));
  moon_tape_set_grad(tape, false);
  OK(moon_op_exp(tape, a, &frozen));
  OK(moon_op_reshape(tape, frozen, SHAPE(4, 3), &frozen));
  OK(moon_op_gather(tape, table.value, table.grad, (uint32_t[]){0, 1, 2, 3}, 4, NULL, NULL, &picked));
  OK(moon_op_mul(tape, frozen, picked, &frozen));
  moon_tape_set_grad(tape, true);
  OK(moon_op_tanh(tape, a, &live));
  OK(moon_op_mul(tape, live, frozen, &y));
  OK(moon_op_sum(tape, y, &y));
  OK(moon_tape_backward(tape, y));
  assert_null(moon_var_grad(tape, frozen));
  assert_null(moon_var_grad(tape, picked));
  const float *x = moon_tensor_data(p.value), *held = moon_var_data(tape, frozen);
  for (size_t i = 0; i < 12; i++) {
    NEAR(grad_at(&p, i), held[i] * (1 - tanh(x[i]) * tanh(x[i])), 1e-6); /* as if the frozen part were a constant */
    NEAR(grad_at(&table, i), 0, 0);
  }
  moon_tape_free(tape);
  param_free(&p), param_free(&table);
}

static void attention_without_gradients_keeps_one_matrix(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 1, 2);
  param q = param_of(&rng, MOON_F32, SHAPE(8, 4, 32, 2));
  size_t held[2];
  for (int grad = 0; grad < 2; grad++) {
    moon_tape *tape = fresh();
    moon_var a, y;
    moon_tape_set_grad(tape, grad);
    OK(moon_tape_leaf(tape, q.value, q.grad, &a));
    OK(moon_op_attention(tape, a, a, a, &(moon_attention){.causal = true}, &y));
    held[grad] = moon_tape_bytes(tape);
    moon_tape_free(tape);
  }
  assert_true(held[1] - held[0] >= 31 * 32 * 32 * sizeof(float));
  param_free(&q);
}

/* ---- accumulation ------------------------------------------------------------------------------------------------------------- */

static double part_loss(moon_tape *tape, param *w, const float *x, size_t n, double share) {
  moon_var a, v, loss;
  moon_tape_reset(tape);
  OK(moon_tape_constant(tape, MOON_F32, SHAPE(n, 3), x, &a));
  OK(moon_tape_leaf(tape, w->value, w->grad, &v));
  OK(moon_op_bmm(tape, a, v, false, false, &a));
  OK(moon_op_mse(tape, a, a, &loss));
  OK(moon_op_pow(tape, a, 2, &a));
  OK(moon_op_mean(tape, a, &a));
  OK(moon_op_add(tape, loss, a, &loss));
  OK(moon_op_scale(tape, loss, share, &loss));
  OK(moon_tape_backward(tape, loss));
  return *(const float *)moon_var_data(tape, loss);
}

static void parts_of_a_batch_add_up_to_the_batch(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 1, 3);
  param whole = param_of(&rng, MOON_F32, SHAPE(3, 2)), parts = {whole.value, NULL};
  OK(moon_tensor_new(MOON_F32, SHAPE(3, 2), &parts.grad));
  float x[30];
  for (int i = 0; i < 30; i++) x[i] = (float)moon_rng_normal(&rng);
  moon_tape *tape = fresh();
  double all = part_loss(tape, &whole, x, 10, 1);
  double sum =
      part_loss(tape, &parts, x, 4, 0.4) + part_loss(tape, &parts, x + 12, 4, 0.4) + part_loss(tape, &parts, x + 24, 2, 0.2);
  NEAR(sum, all, 1e-6);
  for (size_t i = 0; i < 6; i++) NEAR(grad_at(&parts, i), grad_at(&whole, i), 1e-6);
  moon_tape_free(tape);
  param_free(&whole), moon_tensor_free(parts.grad);
}

/* ---- checkpoints ---------------------------------------------------------------------------------------------------------------- */

typedef struct block {
  param w, gamma, beta;
  moon_tensor *mean, *var;
  moon_rng key;
  int runs, fail_at; /* 0: never */
  bool inner;        /* a checkpoint inside */
} block;

static moon_status deep_end(moon_tape *tape, const moon_var *in, size_t n, void *self, moon_var *out) {
  (void)n, (void)self;
  moon_var x = in[0]; /* in may be out */
  MOON_TRY(moon_op_gelu(tape, x, out));
  return moon_op_mul(tape, *out, x, out);
}

/* Dropout, a product with an own parameter, batch_norm: everything that a second run could spoil. */
static moon_status block_build(moon_tape *tape, const moon_var *in, size_t n, void *self, moon_var *out) {
  block *b = self;
  (void)n;
  moon_var w, gamma, beta;
  if (++b->runs == b->fail_at) return moon_fail(MOON_ECANCELED, "run %d refuses", b->runs);
  MOON_TRY(moon_tape_leaf(tape, b->w.value, b->w.grad, &w));
  MOON_TRY(moon_tape_leaf(tape, b->gamma.value, b->gamma.grad, &gamma));
  MOON_TRY(moon_tape_leaf(tape, b->beta.value, b->beta.grad, &beta));
  MOON_TRY(moon_op_dropout(tape, in[0], 0.3, &b->key, true, out));
  MOON_TRY(moon_op_matmul(tape, *out, w, out));
  MOON_TRY(moon_op_batch_norm(tape, *out, gamma, beta, b->mean, b->var, 0.1, 1e-5, true, out));
  MOON_TRY(b->inner ? moon_op_checkpoint(tape, deep_end, NULL, out, 1, out) : deep_end(tape, out, 1, NULL, out));
  return moon_op_add(tape, *out, in[1], out);
}

static void block_open(block *b) {
  moon_rng rng;
  moon_rng_seed(&rng, 5, 5);
  *b = (block){.w = param_of(&rng, MOON_F32, SHAPE(6, 6)),
               .gamma = param_of(&rng, MOON_F32, SHAPE(6)),
               .beta = param_of(&rng, MOON_F32, SHAPE(6))};
  OK(moon_tensor_new(MOON_F32, SHAPE(6), &b->mean));
  OK(moon_tensor_new(MOON_F32, SHAPE(6), &b->var));
  moon_rng_seed(&b->key, 8, 8);
}
static void block_close(block *b) {
  param_free(&b->w), param_free(&b->gamma), param_free(&b->beta);
  moon_tensor_free(b->mean), moon_tensor_free(b->var);
}

/* loss = mean of block(block(x) , x), the blocks checkpointed or not. */
static moon_status block_step(moon_tape *tape, block *b, param *x, bool checkpointed, double *loss) {
  moon_var a, y;
  moon_tape_reset(tape);
  MOON_TRY(moon_tape_leaf(tape, x->value, x->grad, &a));
  y = a;
  for (int i = 0; i < 2; i++) {
    moon_var in[2] = {y, a};
    MOON_TRY(checkpointed ? moon_op_checkpoint(tape, block_build, b, in, 2, &y) : block_build(tape, in, 2, b, &y));
  }
  MOON_TRY(moon_op_mean(tape, y, &y));
  *loss = *(const float *)moon_var_data(tape, y);
  return moon_tape_backward(tape, y);
}

static void a_checkpoint_is_as_if_it_were_not_there(void **state) {
  (void)state;
  block plain, again;
  moon_rng rng;
  moon_rng_seed(&rng, 6, 6);
  param x = param_of(&rng, MOON_F32, SHAPE(9, 6)), x2 = {x.value, NULL};
  OK(moon_tensor_new(MOON_F32, SHAPE(9, 6), &x2.grad));
  moon_tape *tape = fresh();
  for (int inner = 0; inner < 2; inner++) {
    block_open(&plain), block_open(&again);
    moon_tensor_fill(x.grad, 0), moon_tensor_fill(x2.grad, 0);
    again.inner = inner;
    double want, got;
    OK(block_step(tape, &plain, &x, false, &want));
    OK(block_step(tape, &again, &x2, true, &got));
    assert_int_equal(plain.runs, 2);
    assert_int_equal(again.runs, 4);
    NEAR(got, want, 0);
    assert_memory_equal(moon_tensor_data(x.grad), moon_tensor_data(x2.grad), 54 * sizeof(float));
    assert_memory_equal(moon_tensor_data(plain.w.grad), moon_tensor_data(again.w.grad), 36 * sizeof(float));
    assert_memory_equal(moon_tensor_data(plain.gamma.grad), moon_tensor_data(again.gamma.grad), 6 * sizeof(float));
    assert_memory_equal(moon_tensor_data(plain.mean), moon_tensor_data(again.mean), 6 * sizeof(float)); /* counted once */
    assert_memory_equal(moon_tensor_data(plain.var), moon_tensor_data(again.var), 6 * sizeof(float));
    assert_true(grad_at(&again.w, 0) != 0);
    block_close(&plain), block_close(&again);
  }
  moon_tape_free(tape);
  param_free(&x), moon_tensor_free(x2.grad);
}

static moon_status long_chain(moon_tape *tape, const moon_var *in, size_t n, void *self, moon_var *out) {
  (void)n, (void)self;
  *out = in[0];
  for (int i = 0; i < 10; i++) MOON_TRY(moon_op_tanh(tape, *out, out));
  return moon_ok();
}

static void a_checkpoint_keeps_no_intermediates(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 6, 7);
  param x = param_of(&rng, MOON_F32, SHAPE(1000));
  size_t held[2];
  for (int checkpointed = 0; checkpointed < 2; checkpointed++) {
    moon_tape *tape = fresh();
    moon_var y;
    OK(moon_tape_leaf(tape, x.value, x.grad, &y));
    for (int i = 0; i < 10; i++)
      OK(checkpointed ? moon_op_checkpoint(tape, long_chain, NULL, &y, 1, &y) : long_chain(tape, &y, 1, NULL, &y));
    OK(moon_op_sum(tape, y, &y));
    OK(moon_tape_backward(tape, y));
    held[checkpointed] = moon_tape_bytes(tape);
    moon_tape_free(tape);
  }
  assert_true(held[1] < held[0] / 3);
  param_free(&x);
}

static void a_checkpoint_says_why_it_failed(void **state) {
  (void)state;
  block b;
  moon_rng rng;
  moon_rng_seed(&rng, 6, 8);
  param x = param_of(&rng, MOON_F32, SHAPE(4, 6));
  moon_tape *tape = fresh();
  double loss;
  block_open(&b);
  b.fail_at = 2;
  REFUSED(MOON_ECANCELED, "checkpoint: run 2 refuses", block_step(tape, &b, &x, true, &loss));
  b.runs = 0, b.fail_at = 3; /* the first of backward */
  REFUSED(MOON_ECANCELED, "checkpoint: run 3 refuses", block_step(tape, &b, &x, true, &loss));
  b.runs = 0, b.fail_at = 0;
  OK(block_step(tape, &b, &x, true, &loss));
  moon_tape_free(tape);
  block_close(&b);
  param_free(&x);
}

static void a_checkpoint_of_constants_needs_no_second_run(void **state) {
  (void)state;
  static const float data[4] = {1, 2, 3, 4};
  moon_tape *tape = fresh();
  moon_var c, y;
  OK(moon_tape_constant(tape, MOON_F32, SHAPE(4), data, &c));
  OK(moon_op_checkpoint(tape, deep_end, NULL, &c, 1, &y));
  OK(moon_op_sum(tape, y, &y));
  OK(moon_tape_backward(tape, y));
  assert_null(moon_var_grad(tape, y));
  moon_tape_free(tape);
}

/* ---- custom ops ------------------------------------------------------------------------------------------------------------------ */

typedef struct cubes { int forwards, backwards; moon_code fail_forward, fail_backward; } cubes;

/* y = a^3 + b, f32. */
static moon_status cube_forward(void *self, const moon_operand *in, size_t n, const moon_operand *out, void *value) {
  cubes *c = self;
  assert_int_equal(n, 2);
  assert_null(in[0].grad);
  if (c->fail_forward) return moon_fail(c->fail_forward, "no cubes today");
  const float *a = in[0].value, *b = in[1].value;
  for (size_t i = 0; i < out->count; i++) ((float *)value)[i] = a[i] * a[i] * a[i] + b[i];
  c->forwards++;
  return moon_ok();
}
static moon_status cube_backward(void *self, const moon_operand *in, size_t n, const moon_operand *out) {
  cubes *c = self;
  assert_int_equal(n, 2);
  if (c->fail_backward) return moon_fail(c->fail_backward, "no slopes today");
  const float *a = in[0].value, *g = out->grad;
  for (size_t i = 0; in[0].grad && i < out->count; i++) ((float *)in[0].grad)[i] += 3 * a[i] * a[i] * g[i];
  for (size_t i = 0; in[1].grad && i < out->count; i++) ((float *)in[1].grad)[i] += g[i];
  c->backwards++;
  return moon_ok();
}

static void a_custom_op_is_an_op(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 2, 1);
  param p = param_of(&rng, MOON_F32, SHAPE(5));
  static const float ones[5] = {1, 1, 1, 1, 1};
  moon_tape *tape = fresh();
  cubes c = {0};
  char name[8] = "cube"; /* the caller's text may go */
  moon_custom op = {name, cube_forward, cube_backward, &c};
  moon_var a, one, y;
  OK(moon_tape_leaf(tape, p.value, p.grad, &a));
  OK(moon_tape_constant(tape, MOON_F32, SHAPE(5), ones, &one));
  OK(moon_op_custom(tape, &op, (moon_var[]){a, one}, 2, SHAPE(5), &y));
  OK(moon_op_custom(tape, &op, (moon_var[]){a, y}, 2, SHAPE(5), &y)); /* 2 a^3 + 1 */
  OK(moon_op_sum(tape, y, &y));
  memcpy(name, "gone", 5);
  OK(moon_tape_backward(tape, y));
  const float *x = moon_tensor_data(p.value);
  for (size_t i = 0; i < 5; i++) NEAR(grad_at(&p, i), 6 * x[i] * x[i], 1e-6);
  assert_int_equal(c.forwards, 2);
  assert_int_equal(c.backwards, 2);
  op.backward = NULL;
  OK(moon_op_custom(tape, &op, (moon_var[]){a, one}, 2, SHAPE(5), &y));
  OK(moon_op_sum(tape, y, &y));
  OK(moon_tape_backward(tape, y));
  assert_null(moon_var_grad(tape, y));
  moon_tape_free(tape);
  param_free(&p);
}

static void a_custom_op_may_fail_either_way(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 2, 2);
  param p = param_of(&rng, MOON_F32, SHAPE(5));
  moon_tape *tape = fresh();
  cubes c = {.fail_forward = MOON_ESCRIPT};
  moon_custom op = {"cube", cube_forward, cube_backward, &c};
  moon_var a, y, in[9];
  OK(moon_tape_leaf(tape, p.value, p.grad, &a));
  for (int i = 0; i < 9; i++) in[i] = a;
  REFUSED(MOON_ESCRIPT, "cube: no cubes today", moon_op_custom(tape, &op, in, 2, SHAPE(5), &y));
  c.fail_forward = 0;
  OK(moon_op_custom(tape, &op, in, 2, SHAPE(5), &y));
  assert_int_equal(y.id, a.id + 1); /* the failed one left no node */
  OK(moon_op_sum(tape, y, &y));
  c.fail_backward = MOON_ESCRIPT;
  REFUSED(MOON_ESCRIPT, "cube: no slopes today", moon_tape_backward(tape, y));
  c.fail_backward = 0;
  OK(moon_tape_backward(tape, y));
  REFUSED(MOON_EINVAL, "cube: 9 inputs: a custom op has 1 to 8", moon_op_custom(tape, &op, in, 9, SHAPE(5), &y));
  REFUSED(MOON_EINVAL, "cube: 0 inputs", moon_op_custom(tape, &op, in, 0, SHAPE(5), &y));
  in[1].id = 99;
  REFUSED(MOON_EINVAL, "cube: input 2 is not on this tape", moon_op_custom(tape, &op, in, 2, SHAPE(5), &y));
  REFUSED(MOON_EINVAL, "needs a name", moon_op_custom(tape, &(moon_custom){.forward = cube_forward}, in, 1, SHAPE(5), &y));
  moon_tape_free(tape);
  param_free(&p);
}

/* ---- checks and scopes ------------------------------------------------------------------------------------------------------------- */

static void the_first_value_that_is_not_finite_is_named(void **state) {
  (void)state;
  static const float data[6] = {1, 2, 0, 4, -5, 6};
  moon_tape *tape = fresh();
  moon_var a, y;
  OK(moon_tape_constant(tape, MOON_F32, SHAPE(2, 3), data, &a));
  OK(moon_op_log(tape, a, &y)); /* off: nobody looks */
  moon_tape_set_checks(tape, true);
  OK(moon_tape_scope_push(tape, "tower"));
  OK(moon_op_exp(tape, a, &y));
  OK(moon_tape_scope_push(tape, "layer 3 dense"));
  REFUSED(MOON_EINVAL, "log: the value is -inf at element 2 of [2, 3] (node 3, in tower / layer 3 dense)",
          moon_op_log(tape, a, &y));
  moon_tape_scope_pop(tape);
  REFUSED(MOON_EINVAL, "sqrt: the value is nan at element 4 of [2, 3] (node 3, in tower)", moon_op_sqrt(tape, a, &y));
  moon_tape_scope_pop(tape);
  moon_tape_scope_pop(tape); /* once too often is fine */
  OK(moon_op_exp(tape, a, &y));
  assert_int_equal(y.id, 3); /* failed ops left no node */
  OK(moon_tape_scope_push(tape, "tower"));
  REFUSED(MOON_EINVAL, "matmul: [2, 3] against [2, 3]: [n, k] by [k, m] is needed, in tower", moon_op_matmul(tape, a, a, &a));
  moon_tape_scope_pop(tape);
  REFUSED(MOON_EINVAL, "div: the value is inf at element 2 of [2, 3] (node 4)", moon_op_div(tape, y, a, &y));
  moon_tape_free(tape);
}

static void the_first_gradient_that_is_not_finite_is_named(void **state) {
  (void)state;
  moon_tensor *x, *grad;
  OK(moon_tensor_from(MOON_F64, SHAPE(3), (double[]){1, 0, 2}, &x));
  OK(moon_tensor_new(MOON_F64, SHAPE(3), &grad));
  moon_tape *tape = fresh();
  moon_var a, y, root;
  moon_tape_set_checks(tape, true);
  OK(moon_tape_leaf(tape, x, grad, &a));
  OK(moon_tape_scope_push(tape, "user"));
  OK(moon_op_scale(tape, a, 2, &y));
  moon_tape_scope_pop(tape);
  OK(moon_op_sqrt(tape, y, &root)); /* finite, but its slope at 0 is not */
  OK(moon_op_sum(tape, root, &root));
  REFUSED(MOON_EINVAL, "scale: the gradient is inf at element 1 of [3] (node 1, in user)", moon_tape_backward(tape, root));
  moon_tape_set_checks(tape, false);
  OK(moon_tape_backward(tape, root));
  moon_tape_free(tape);
  moon_tensor_free(x), moon_tensor_free(grad);
}

static moon_status logarithm(moon_tape *tape, const moon_var *in, size_t n, void *self, moon_var *out) {
  (void)n, (void)self;
  MOON_TRY(moon_tape_scope_push(tape, "inside"));
  MOON_TRY(moon_op_log(tape, in[0], out));
  moon_tape_scope_pop(tape);
  return moon_ok();
}

static void checks_and_scopes_reach_into_checkpoints(void **state) {
  (void)state;
  static const float data[2] = {1, 0};
  moon_tape *tape = fresh();
  moon_var a, y;
  moon_tape_set_checks(tape, true);
  OK(moon_tape_constant(tape, MOON_F32, SHAPE(2), data, &a));
  OK(moon_tape_scope_push(tape, "outside"));
  REFUSED(MOON_EINVAL, "checkpoint: log: the value is -inf at element 1 of [2] (node 1, in outside / inside)",
          moon_op_checkpoint(tape, logarithm, NULL, &a, 1, &y));
  moon_tape_free(tape);
}

static void long_scopes_are_cut_not_overrun(void **state) {
  (void)state;
  static const float zero[1] = {0};
  moon_tape *tape = fresh();
  moon_var a, y;
  char name[120];
  memset(name, 'x', sizeof name), name[sizeof name - 1] = 0;
  moon_tape_set_checks(tape, true);
  for (int i = 0; i < 30; i++) OK(moon_tape_scope_push(tape, name));
  OK(moon_tape_constant(tape, MOON_F32, SHAPE(1), zero, &a));
  REFUSED(MOON_EINVAL, "log: the value is -inf at element 0 of [1] (node 1, in xxx", moon_op_log(tape, a, &y));
  moon_tape_reset(tape); /* empties the stack */
  OK(moon_tape_constant(tape, MOON_F32, SHAPE(1), zero, &a));
  REFUSED(MOON_EINVAL, "(node 1)", moon_op_log(tape, a, &y));
  moon_tape_free(tape);
}

/* ---- a step with everything --------------------------------------------------------------------------------------------------------- */

enum { N = 6, T = 3, D = 4 };
typedef struct everything {
  param x, w, u, bias, c, square, gamma, table;
  moon_tensor *mean, *var;
  block part;
  cubes custom;
  uint32_t ids[8];
  size_t offsets[N + 1];
} everything;

static void everything_open(everything *e) {
  moon_rng rng;
  moon_rng_seed(&rng, 3, 3);
  *e = (everything){.x = param_of(&rng, MOON_F32, SHAPE(N, T, D)), .w = param_of(&rng, MOON_F32, SHAPE(D, 3 * D)),
                    .u = param_of(&rng, MOON_F32, SHAPE(D, 3 * D)), .bias = param_of(&rng, MOON_F32, SHAPE(3 * D)),
                    .c = param_of(&rng, MOON_F32, SHAPE(3 * D)), .square = param_of(&rng, MOON_F32, SHAPE(D, D)),
                    .gamma = param_of(&rng, MOON_F32, SHAPE(D)), .table = param_of(&rng, MOON_F32, SHAPE(5, D)),
                    .ids = {1, 4, 0, 2, 1, 1, 3, 2}, .offsets = {0, 2, 2, 3, 5, 8, 8}};
  OK(moon_tensor_new(MOON_F32, SHAPE(D), &e->mean));
  OK(moon_tensor_new(MOON_F32, SHAPE(D), &e->var));
  block_open(&e->part);
}
static void everything_close(everything *e) {
  param *all[8] = {&e->x, &e->w, &e->u, &e->bias, &e->c, &e->square, &e->gamma, &e->table};
  for (int i = 0; i < 8; i++) param_free(all[i]);
  moon_tensor_free(e->mean), moon_tensor_free(e->var);
  block_close(&e->part);
}
static moon_status leaf(moon_tape *tape, param *p, moon_var *out) { return moon_tape_leaf(tape, p->value, p->grad, out); }

/* x [N, T, D] through sequence ops -> [N, D] */
static moon_status sequence(moon_tape *tape, everything *e, moon_var *out) {
  static const uint32_t lengths[N] = {3, 1, 0, 2, 3, 3}, last[N] = {2, 3, 6, 10, 14, 17};
  static const uint8_t mask[N * T] = {0, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 0, 1};
  moon_var w, u, b, c, h, turned;
  MOON_TRY(leaf(tape, &e->x, &h));
  MOON_TRY(leaf(tape, &e->w, &w));
  MOON_TRY(leaf(tape, &e->u, &u));
  MOON_TRY(leaf(tape, &e->bias, &b));
  MOON_TRY(leaf(tape, &e->c, &c));
  MOON_TRY(moon_op_gru(tape, h, w, u, b, c, lengths, &h));
  MOON_TRY(moon_op_reshape(tape, h, SHAPE(N, T, 2, 2), &turned));
  MOON_TRY(moon_op_permute(tape, turned, (int[]){0, 2, 1, 3}, &turned));
  MOON_TRY(moon_op_attention(tape, turned, turned, turned, &(moon_attention){0, 0, true, lengths, mask}, &turned));
  MOON_TRY(moon_op_permute(tape, turned, (int[]){0, 2, 1, 3}, &turned));
  MOON_TRY(moon_op_reshape(tape, turned, SHAPE(N * T, D), &turned));
  MOON_TRY(moon_op_select_rows(tape, turned, last, N, out));
  MOON_TRY(moon_op_bmm(tape, h, h, false, true, &h)); /* [N, T, T] */
  MOON_TRY(moon_op_max_along(tape, h, 1, false, &h));
  MOON_TRY(moon_op_pad(tape, h, (size_t[]){0, 0}, (size_t[]){0, D - T}, &h));
  return moon_op_maximum(tape, *out, h, out);
}

/* [N, D] x through layers -> [N, D] */
static moon_status layers(moon_tape *tape, everything *e, moon_var x, moon_var *out) {
  static const uint8_t mask[D] = {1, 0, 1, 1};
  moon_var w, gamma, y, z;
  moon_rng key;
  moon_rng_seed(&key, 1, 1);
  MOON_TRY(leaf(tape, &e->square, &w));
  MOON_TRY(leaf(tape, &e->gamma, &gamma));
  MOON_TRY(moon_op_cross(tape, x, x, w, gamma, &y));
  MOON_TRY(moon_op_layer_norm(tape, y, gamma, gamma, 1e-5, &y));
  MOON_TRY(moon_op_dropout(tape, y, 0.2, &key, true, &y));
  MOON_TRY(moon_op_batch_norm(tape, y, gamma, gamma, e->mean, e->var, 0, 1e-3, true, &y));
  MOON_TRY(moon_op_gelu(tape, y, &z));
  MOON_TRY(moon_op_where(tape, mask, SHAPE(D), y, z, &y));
  MOON_TRY(moon_op_masked_fill(tape, y, mask + 1, SHAPE(1), 3, &z));
  MOON_TRY(moon_op_stack(tape, (moon_var[]){x, y, z}, 3, 1, &z));
  MOON_TRY(moon_op_fm(tape, z, &z));
  MOON_TRY(moon_op_clip(tape, z, -3, 3, &z));
  MOON_TRY(moon_op_custom(tape, &(moon_custom){"cube", cube_forward, cube_backward, &e->custom}, (moon_var[]){z, y}, 2,
                          SHAPE(N, D), &y));
  return moon_op_l2_normalise(tape, y, out);
}

static moon_status bag_of(moon_tape *tape, everything *e, moon_bag_mode mode, moon_var *out) {
  return moon_op_embedding_bag(tape, e->table.value, e->table.grad, &(moon_bag){e->ids, e->offsets, N, NULL, mode}, NULL, NULL,
                               out);
}

static moon_status everything_step(moon_tape *tape, everything *e, double *loss) {
  static const uint32_t classes[N] = {1, 0, 3, 2, 1, 3};
  moon_var y, bag, other, parts[6];
  moon_tape_reset(tape);
  MOON_TRY(moon_tape_scope_push(tape, "everything"));
  MOON_TRY(sequence(tape, e, &y));
  MOON_TRY(bag_of(tape, e, MOON_BAG_MAX, &bag));
  MOON_TRY(bag_of(tape, e, MOON_BAG_MEAN, &other));
  MOON_TRY(moon_op_add(tape, bag, other, &bag));
  MOON_TRY(moon_op_add(tape, y, bag, &y));
  MOON_TRY(layers(tape, e, y, &y));
  MOON_TRY(moon_op_checkpoint(tape, deep_end, NULL, &bag, 1, &bag));
  MOON_TRY(moon_op_info_nce(tape, y, bag, &(moon_info_nce){.temperature = 0.3, .ids = classes}, &parts[0]));
  MOON_TRY(moon_op_cross_entropy(tape, y, classes, 3, NULL, &parts[1]));
  MOON_TRY(moon_op_mean_along(tape, y, 1, false, &other));
  MOON_TRY(moon_op_sampled_softmax(tape, other, bag, (moon_log_q){NULL, NULL}, NULL, &parts[2]));
  MOON_TRY(moon_op_bpr(tape, y, bag, NULL, &parts[3]));
  MOON_TRY(moon_op_hinge(tape, y, bag, 1, NULL, &parts[4]));
  MOON_TRY(moon_op_bce_logits_weighted(tape, y, bag, NULL, 2, &parts[5]));
  MOON_TRY(moon_op_stack(tape, parts, 6, 0, &y));
  MOON_TRY(moon_op_broadcast_to(tape, y, SHAPE(2, 6), &y));
  MOON_TRY(moon_op_sum(tape, y, &y));
  moon_tape_scope_pop(tape);
  *loss = *(const float *)moon_var_data(tape, y);
  return moon_tape_backward(tape, y);
}

static void a_steady_step_of_all_ops_allocates_nothing(void **state) {
  (void)state;
  everything e;
  everything_open(&e);
  moon_tape *tape = fresh();
  moon_tape_set_checks(tape, true);
  double first = 0, again = 0;
  for (int i = 0; i < 4; i++) OK(everything_step(tape, &e, &first)); /* the arena settles on one block */
  assert_true(first != 0 && isfinite(first));
  size_t held = moon_tape_bytes(tape);
  for (int i = 0; i < 5; i++) {
    moon_alloc_fail_at(1);
    moon_status st = everything_step(tape, &e, &again);
    moon_alloc_fail_at(0);
    OK(st);
    assert_int_equal(moon_tape_bytes(tape), held);
    NEAR(first, again, 0); /* to the last bit */
  }
  moon_tape_free(tape);
  everything_close(&e);
}

static void gradients_that_make_room_come_out_the_same(void **state) {
  (void)state;
  everything e[2];
  for (int w = 0; w < 2; w++) {
    double loss;
    moon_tape *tape = fresh();
    everything_open(&e[w]);
    moon_tape_keep_grads(tape, w == 0);
    for (int i = 0; i < 3; i++) OK(everything_step(tape, &e[w], &loss));
    moon_tape_free(tape);
  }
  param *a[8] = {&e[0].x, &e[0].w, &e[0].u, &e[0].bias, &e[0].c, &e[0].square, &e[0].gamma, &e[0].table},
        *b[8] = {&e[1].x, &e[1].w, &e[1].u, &e[1].bias, &e[1].c, &e[1].square, &e[1].gamma, &e[1].table};
  for (int i = 0; i < 8; i++)
    assert_memory_equal(moon_tensor_data(a[i]->grad), moon_tensor_data(b[i]->grad),
                        moon_tensor_count(a[i]->grad) * sizeof(float));
  everything_close(&e[0]), everything_close(&e[1]);
}

/* f = sum (x + x x x): x^2's gradient has flowed on when that of the other branch comes. */
static void what_has_flowed_on_is_forgotten_and_a_second_walk_is_like_the_first(void **state) {
  (void)state;
  enum { MANY = 500 };
  moon_rng rng;
  moon_rng_seed(&rng, 4, 3);
  param x = param_of(&rng, MOON_F32, SHAPE(MANY));
  const float *value = moon_tensor_data(x.value), *grad = moon_tensor_data(x.grad);
  for (int keeps = 0; keeps < 2; keeps++) {
    moon_tape *tape = fresh();
    moon_var in, square, cube, y;
    moon_tape_keep_grads(tape, keeps);
    moon_tensor_fill(x.grad, 0);
    OK(leaf(tape, &x, &in));
    OK(moon_op_mul(tape, in, in, &square));
    OK(moon_op_mul(tape, square, in, &cube));
    OK(moon_op_scale(tape, in, 1, &y));
    OK(moon_op_add(tape, y, cube, &y));
    OK(moon_op_sum(tape, y, &y));
    for (int times = 1; times < 4; times++) {
      OK(moon_tape_backward(tape, y));
      for (size_t i = 0; i < MANY; i++) NEAR(grad[i], times * (1 + 3 * value[i] * value[i]), 1e-4);
    }
    assert_int_equal(moon_var_grad(tape, square) != NULL, keeps);
    assert_ptr_equal(moon_var_grad(tape, in), grad);
    moon_tape_free(tape);
  }
  param_free(&x);
}

static void any_failed_allocation_is_an_answer(void **state) {
  (void)state;
  everything e;
  everything_open(&e);
  double loss = 0, want = 0;
  for (size_t n = 1;; n++) {
    assert_true(n < 100);
    moon_tape *tape = NULL;
    moon_alloc_fail_at(n);
    moon_status st = moon_tape_new(&tape);
    if (!st.code) st = everything_step(tape, &e, &loss);
    moon_alloc_fail_at(0);
    if (tape) OK(everything_step(tape, &e, &want)); /* the same tape works once there is memory */
    moon_tape_free(tape);
    if (!st.code) break;
    assert_int_equal(st.code, MOON_ENOMEM);
  }
  NEAR(loss, want, 0);
  everything_close(&e);
}

/* Every op alone on a tape whose arena is full: the next take must ask for memory, and is refused. */
static void an_op_without_memory_leaves_the_tape_as_it_was(void **state) {
  (void)state;
  enum { BIG = 70000 };
  static float data[BIG];
  static const uint32_t ids[4] = {0, 1, 2, 3};
  moon_tape *tape = fresh();
  moon_tensor *table;
  OK(moon_tensor_new(MOON_F32, SHAPE(4, BIG / 4), &table));
  moon_var a, cube, out = {77};
  moon_attention how = {0};
  OK(moon_tape_constant(tape, MOON_F32, SHAPE(4, BIG / 4), data, &a));
  OK(moon_tape_constant(tape, MOON_F32, SHAPE(1, 1, BIG / 4, 4), data, &cube));
#define STARVED(call)                                     \
  do {                                                    \
    moon_alloc_fail_at(1);                                \
    moon_status st = (call);                              \
    moon_alloc_fail_at(0);                                \
    assert_int_equal(st.code, MOON_ENOMEM);               \
    assert_int_equal(out.id, 77);                         \
  } while (0)
  STARVED(moon_op_neg(tape, a, &out));
  STARVED(moon_op_maximum(tape, a, a, &out));
  STARVED(moon_op_permute(tape, a, (int[]){1, 0}, &out));
  STARVED(moon_op_stack(tape, &a, 1, 0, &out));
  STARVED(moon_op_select_rows(tape, a, ids, 4, &out));
  STARVED(moon_op_log_softmax(tape, a, &out));
  STARVED(moon_op_l2_normalise(tape, a, &out));
  STARVED(moon_op_attention(tape, cube, cube, cube, &how, &out));
  STARVED(moon_op_embedding_bag(tape, table, NULL, &(moon_bag){ids, (size_t[]){0, 1, 2, 3, 4}, 4, NULL, MOON_BAG_SUM}, NULL, NULL,
                                &out));
#undef STARVED
  moon_tape_free(tape);
  moon_tensor_free(table);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nothing_flows_through_ops_made_without_gradients),
      cmocka_unit_test(attention_without_gradients_keeps_one_matrix),
      cmocka_unit_test(parts_of_a_batch_add_up_to_the_batch),
      cmocka_unit_test(a_checkpoint_is_as_if_it_were_not_there),
      cmocka_unit_test(a_checkpoint_keeps_no_intermediates),
      cmocka_unit_test(a_checkpoint_says_why_it_failed),
      cmocka_unit_test(a_checkpoint_of_constants_needs_no_second_run),
      cmocka_unit_test(a_custom_op_is_an_op),
      cmocka_unit_test(a_custom_op_may_fail_either_way),
      cmocka_unit_test(the_first_value_that_is_not_finite_is_named),
      cmocka_unit_test(the_first_gradient_that_is_not_finite_is_named),
      cmocka_unit_test(checks_and_scopes_reach_into_checkpoints),
      cmocka_unit_test(long_scopes_are_cut_not_overrun),
      cmocka_unit_test(a_steady_step_of_all_ops_allocates_nothing),
      cmocka_unit_test(gradients_that_make_room_come_out_the_same),
      cmocka_unit_test(what_has_flowed_on_is_forgotten_and_a_second_walk_is_like_the_first),
      cmocka_unit_test(any_failed_allocation_is_an_answer),
      cmocka_unit_test(an_op_without_memory_leaves_the_tape_as_it_was),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

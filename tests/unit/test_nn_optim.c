/* test_nn_optim.c - Adam and SGD against references in double that know nothing of touched rows. */
#include "nn/nn.h"
#include "numeric.h"

enum { ROWS = 9, DIM = 5, N = ROWS * DIM };

static moon_param *new_param(moon_rng *rng, moon_dtype dtype, bool sparse) {
  moon_param *p;
  OK(moon_param_new("p", dtype, SHAPE(ROWS, DIM), sparse, &p));
  moon_init_normal(p, rng, 1);
  return p;
}

static double get(const moon_tensor *t, size_t i) {
  return moon_tensor_dtype(t) == MOON_F32 ? ((float *)moon_tensor_data(t))[i] : ((double *)moon_tensor_data(t))[i];
}

static void put(moon_tensor *t, size_t i, double value) {
  if (moon_tensor_dtype(t) == MOON_F32)
    ((float *)moon_tensor_data(t))[i] = (float)value;
  else
    ((double *)moon_tensor_data(t))[i] = value;
}

/* Gradients of a step: for a sparse parameter through a tape, so that rows are touched as in training; the rows that `mask` names. */
static void give_gradients(moon_param *p, moon_rng *rng, unsigned mask) {
  for (uint32_t r = 0; r < ROWS; r++) {
    if (!(mask >> r & 1)) continue;
    for (size_t j = 0; j < DIM; j++)
      put(p->grad, r * DIM + j, moon_rng_normal(rng) * (r == 2 ? 1e-4 : 1)); /* one row of small ones */
  }
  if (!p->sparse) return;
  moon_embedding table = {p};
  uint32_t ids[2 * ROWS];
  size_t n = 0;
  for (uint32_t r = ROWS; r-- > 0;)
    if (mask >> r & 1) ids[n++] = r, ids[n++] = r;
  moon_tape *tape;
  moon_var y;
  OK(moon_tape_new(&tape));
  OK(moon_embedding_forward(tape, &table, ids, n, &y));
  OK(moon_op_scale(tape, y, 0, &y)); /* adds zeros, and touches */
  OK(moon_op_sum(tape, y, &y));
  OK(moon_tape_backward(tape, y));
  moon_tape_free(tape);
}

typedef struct reference {
  double w[N], m[N], v[N];
} reference;

static void reference_step(reference *ref, const moon_adam *adam, uint64_t t, const moon_param *p, unsigned mask) {
  for (size_t i = 0; i < N; i++) {
    if (!(mask >> i / DIM & 1)) continue; /* lazy: neither the value nor its moments move */
    double g = get(p->grad, i);
    ref->m[i] = adam->beta1 * ref->m[i] + (1 - adam->beta1) * g;
    ref->v[i] = adam->beta2 * ref->v[i] + (1 - adam->beta2) * g * g;
    double rate = adam->lr * sqrt(1 - pow(adam->beta2, (double)t)) / (1 - pow(adam->beta1, (double)t));
    ref->w[i] -= rate * ref->m[i] / (sqrt(ref->v[i]) + adam->epsilon);
  }
}

static void check_adam(moon_dtype dtype, bool sparse) {
  moon_rng rng;
  moon_rng_seed(&rng, 11, sparse);
  moon_param *p = new_param(&rng, dtype, sparse);
  moon_adam adam = {0.01, 0.9, 0.999, 1e-7, 0};
  reference ref = {{0}, {0}, {0}};
  for (size_t i = 0; i < N; i++) ref.w[i] = get(p->value, i);
  for (uint64_t t = 1; t <= 40; t++) {
    unsigned mask = moon_rng_below(&rng, 1u << ROWS) & ~(1u << 7); /* row 7 is never touched */
    give_gradients(p, &rng, mask);
    double untouched = get(p->value, 7 * DIM);
    reference_step(&ref, &adam, t, p, sparse ? mask : ~0u);
    OK(moon_adam_step(&adam, &p, 1));
    assert_int_equal(adam.step, t);
    for (size_t i = 0; i < N; i++) {
      NEAR(get(p->value, i), ref.w[i], 2e-5);
      NEAR(get(p->grad, i), 0, 0);
    }
    NEAR(get(p->value, 7 * DIM), untouched, 0);
    assert_int_equal(p->touched_n, 0);
  }
  moon_param_free(p);
}

static void adam_equals_its_formula(void **state) {
  (void)state;
  check_adam(MOON_F32, false);
  check_adam(MOON_F64, false);
}

static void sparse_adam_moves_touched_rows_only(void **state) {
  (void)state;
  check_adam(MOON_F32, true);
  check_adam(MOON_F64, true);
}

static void odd_sizes_are_updated_to_the_last_element(void **state) {
  (void)state;
  for (size_t n = 1; n <= 70; n++) {
    moon_param *p;
    OK(moon_param_new("p", MOON_F32, SHAPE(n), false, &p));
    moon_tensor_fill(p->grad, 2);
    moon_adam adam = {0.5, 0.9, 0.999, 1e-7, 0};
    OK(moon_adam_step(&adam, &p, 1));
    for (size_t i = 0; i < n; i++) NEAR(get(p->value, i), -0.5, 1e-5); /* the first step is the learning rate long */
    moon_tensor_fill(p->grad, 2);
    OK(moon_sgd_step(&(moon_sgd){0.25}, &p, 1));
    for (size_t i = 0; i < n; i++) NEAR(get(p->value, i), -1, 1e-5);
    moon_param_free(p);
  }
}

static void sgd_follows_the_gradient(void **state) {
  (void)state;
  for (int kind = 0; kind < 4; kind++) {
    moon_rng rng;
    moon_rng_seed(&rng, 12, 0);
    moon_param *p = new_param(&rng, kind & 1 ? MOON_F64 : MOON_F32, kind & 2);
    double want[N];
    give_gradients(p, &rng, 0x35);
    for (size_t i = 0; i < N; i++) want[i] = get(p->value, i) - 0.1 * get(p->grad, i);
    OK(moon_sgd_step(&(moon_sgd){0.1}, &p, 1));
    for (size_t i = 0; i < N; i++) {
      NEAR(get(p->value, i), want[i], 1e-6);
      NEAR(get(p->grad, i), 0, 0);
    }
    assert_null(p->m); /* and keeps no moments */
    moon_param_free(p);
  }
}

static void frozen_parameters_stay(void **state) {
  (void)state;
  for (int sparse = 0; sparse < 2; sparse++) {
    moon_rng rng;
    moon_rng_seed(&rng, 13, 0);
    moon_param *p = new_param(&rng, MOON_F32, sparse);
    double want[N];
    for (size_t i = 0; i < N; i++) want[i] = get(p->value, i);
    give_gradients(p, &rng, 0x1ff); /* before it was frozen */
    p->frozen = true;
    moon_adam adam = {0.01, 0.9, 0.999, 1e-7, 0};
    OK(moon_adam_step(&adam, &p, 1));
    assert_null(p->m);
    for (size_t i = 0; i < N; i++) {
      NEAR(get(p->value, i), want[i], 0);
      NEAR(get(p->grad, i), 0, 0);
    }
    moon_param_free(p);
  }
}

/* A unit without gradient: its moments must become zero and not linger as denormals, which would slow every later step. */
static void dead_moments_become_zero(void **state) {
  (void)state;
  moon_param *p;
  OK(moon_param_new("p", MOON_F32, SHAPE(3), false, &p));
  moon_tensor_fill(p->grad, 1e-12);
  moon_adam adam = {0.01, 0.5, 0.5, 1e-7, 0};
  for (int i = 0; i < 400; i++) {
    OK(moon_adam_step(&adam, &p, 1));
    for (int j = 0; j < 3; j++) assert_true(fpclassify(p->m[j]) != FP_SUBNORMAL && fpclassify(p->v[j]) != FP_SUBNORMAL);
  }
  NEAR(p->m[1], 0, 0);
  NEAR(p->v[1], 0, 0);
  moon_tensor_fill(p->grad, -INFINITY); /* and a broken gradient is not hidden */
  OK(moon_adam_step(&adam, &p, 1));
  assert_true(isnan(get(p->value, 0)));
  moon_param_free(p);
}

static void rates_out_of_range_change_nothing(void **state) {
  (void)state;
  moon_param *p;
  OK(moon_param_new("p", MOON_F32, SHAPE(2), false, &p));
  moon_tensor_fill(p->grad, 1);
  moon_adam bad[] = {{-1, 0.9, 0.999, 1e-7, 0}, {NAN, 0.9, 0.999, 1e-7, 0}, {INFINITY, 0.9, 0.999, 1e-7, 0},
                     {0.1, 1, 0.999, 1e-7, 0},  {0.1, 0.9, NAN, 1e-7, 0},   {0.1, -0.1, 0.999, 1e-7, 0},
                     {0.1, 0.9, 0.999, 0, 0},   {0.1, 0.9, 0.999, 1e-60, 0}};
  static const char *const names[] = {"learning rate is -1",   "learning rate is nan",  "learning rate is inf",
                                      "betas are 1 and 0.999", "betas are 0.9 and nan", "betas are -0.1",
                                      "epsilon is 0",          "epsilon is 1e-60"};
  for (size_t i = 0; i < 8; i++) {
    REFUSED(MOON_EINVAL, names[i], moon_adam_step(&bad[i], &p, 1));
    assert_int_equal(bad[i].step, 0);
  }
  REFUSED(MOON_EINVAL, "learning rate is -1", moon_sgd_step(&(moon_sgd){-1}, &p, 1));
  NEAR(get(p->value, 0), 0, 0);
  NEAR(get(p->grad, 0), 1, 0);
  moon_param_free(p);
}

static void a_failed_first_step_moves_nothing(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 14, 0);
  moon_param *params[2] = {new_param(&rng, MOON_F32, false), new_param(&rng, MOON_F32, true)};
  moon_adam adam = {0.01, 0.9, 0.999, 1e-7, 0};
  double kept = get(params[0]->value, 3);
  give_gradients(params[0], &rng, 0x1ff);
  for (size_t n = 1; adam.step == 0; n++) {
    assert_true(n < 10);
    NEAR(get(params[0]->value, 3), kept, 0);
    moon_alloc_fail_at(n);
    moon_status st = moon_adam_step(&adam, params, 2);
    moon_alloc_fail_at(0);
    assert_int_equal(st.code, adam.step ? MOON_OK : MOON_ENOMEM);
  }
  assert_true(get(params[0]->value, 3) != kept);
  give_gradients(params[1], &rng, 0x1ff);
  moon_alloc_fail_at(1);
  moon_status st = moon_adam_step(&adam, params, 2);
  moon_alloc_fail_at(0);
  OK(st); /* later steps need no memory */
  moon_param_free(params[0]), moon_param_free(params[1]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(adam_equals_its_formula),
      cmocka_unit_test(sparse_adam_moves_touched_rows_only),
      cmocka_unit_test(odd_sizes_are_updated_to_the_last_element),
      cmocka_unit_test(sgd_follows_the_gradient),
      cmocka_unit_test(frozen_parameters_stay),
      cmocka_unit_test(dead_moments_become_zero),
      cmocka_unit_test(rates_out_of_range_change_nothing),
      cmocka_unit_test(a_failed_first_step_moves_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_nn_optim.c - every optimiser against references in double that know nothing of touched rows, and its clipping, groups, schedules and
 * state. */
#include "exhaust.h"
#include "nn/nn.h"

enum { ROWS = 9, DIM = 5, N = ROWS * DIM, STEPS = 40 };

static moon_param *new_param(const char *name, moon_rng *rng, moon_dtype dtype, bool sparse) {
  moon_param *p;
  OK(moon_param_new(name, dtype, SHAPE(ROWS, DIM), sparse, &p));
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

static moon_optimizer *made(const char *json, moon_param *const *params, size_t n, uint64_t steps) {
  json_error_t error;
  json_t *spec = json_loads(json, 0, &error);
  if (!spec) fail_msg("%s: %s", json, error.text);
  moon_optimizer *o;
  OK(moon_optimizer_new(spec, params, n, steps, &o));
  json_decref(spec);
  return o;
}

static moon_status make(const char *json, moon_param *const *params, size_t n) {
  json_t *spec = json_loads(json, 0, NULL);
  moon_optimizer *o;
  assert_non_null(spec);
  moon_status status = moon_optimizer_new(spec, params, n, 10, &o);
  json_decref(spec);
  moon_optimizer_free(o);
  return status;
}

/* ---- references: one number in one step ----------------------------------------------------------------------------------------- */

typedef struct number {
  double w, a, b;
} number;
typedef struct reference {
  const char *json;
  void (*begin)(number *x);                    /* NULL: a and b begin at 0 */
  void (*step)(number *x, double g, double t); /* lr and the rest as in the JSON */
} reference;

static void sgd(number *x, double g, double t) {
  (void)t, x->w -= 0.1 * g;
}
static void momentum(number *x, double g, double t) {
  (void)t, x->a = 0.8 * x->a + g, x->w -= 0.1 * x->a;
}
static void nesterov(number *x, double g, double t) {
  (void)t, x->a = 0.8 * x->a + g, x->w -= 0.1 * (g + 0.8 * x->a);
}
static void adam(number *x, double g, double t) {
  x->a = 0.9 * x->a + 0.1 * g, x->b = 0.999 * x->b + 0.001 * g * g;
  x->w -= 0.01 * sqrt(1 - pow(0.999, t)) / (1 - pow(0.9, t)) * x->a / (sqrt(x->b) + 1e-7);
}
static void adam_l2(number *x, double g, double t) {
  adam(x, g + 0.1 * x->w, t);
}
static void adamw(number *x, double g, double t) {
  double before = x->w;
  adam(x, g, t);
  x->w -= 0.01 * 0.1 * before;
}
static void sgd_l2(number *x, double g, double t) {
  sgd(x, g + 0.1 * x->w, t);
}
static void adagrad_begin(number *x) {
  x->a = 0.1;
}
static void adagrad(number *x, double g, double t) {
  (void)t, x->a += g * g, x->w -= 0.05 * g / (sqrt(x->a) + 1e-7);
}
static void adagrad_zero(number *x, double g, double t) {
  (void)t, x->a += g * g, x->w -= 0.05 * g / (sqrt(x->a) + 1e-3);
}
static double ftrl_weight(const number *x) {
  double sign = x->a < 0 ? -1 : 1, l1 = 0.02, l2 = 0.5, beta = 1, alpha = 0.2;
  return fabs(x->a) <= l1 ? 0 : -(x->a - sign * l1) / ((beta + sqrt(x->b)) / alpha + l2);
}
static void ftrl_begin(number *x) {
  x->b = 0.1;
  x->a = -x->w * ((1 + sqrt(x->b)) / 0.2 + 0.5) - (x->w > 0 ? 0.02 : -0.02);
}
static void ftrl(number *x, double g, double t) {
  (void)t;
  double sigma = (sqrt(x->b + g * g) - sqrt(x->b)) / 0.2;
  x->a += g - sigma * x->w, x->b += g * g;
  x->w = ftrl_weight(x);
}

static const reference references[] = {
    {"{\"type\":\"sgd\",\"lr\":0.1}", NULL, sgd},
    {"{\"type\":\"sgd\",\"lr\":0.1,\"momentum\":0.8}", NULL, momentum},
    {"{\"type\":\"sgd\",\"lr\":0.1,\"momentum\":0.8,\"nesterov\":true}", NULL, nesterov},
    {"{\"type\":\"sgd\",\"lr\":0.1,\"groups\":[{\"params\":\"*\",\"weight_decay\":0.1}]}", NULL, sgd_l2},
    {"{\"type\":\"adam\",\"lr\":0.01}", NULL, adam},
    {"{\"type\":\"adam\",\"lr\":0.01,\"groups\":[{\"params\":\"*\",\"weight_decay\":0.1}]}", NULL, adam_l2},
    {"{\"type\":\"adamw\",\"lr\":0.01,\"groups\":[{\"params\":\"*\",\"weight_decay\":0.1}]}", NULL, adamw},
    {"{\"type\":\"adagrad\",\"lr\":0.05}", adagrad_begin, adagrad},
    {"{\"type\":\"adagrad\",\"lr\":0.05,\"initial\":0,\"epsilon\":1e-3}", NULL, adagrad_zero},
    {"{\"type\":\"ftrl\",\"lr\":0.2,\"beta\":1,\"l1\":0.02,\"l2\":0.5}", ftrl_begin, ftrl},
};
enum { REFERENCES = sizeof references / sizeof *references };

static void check(const reference *ref, moon_dtype dtype, bool sparse) {
  moon_rng rng;
  moon_rng_seed(&rng, 11, sparse);
  moon_param *p = new_param("p", &rng, dtype, sparse);
  moon_optimizer *o = made(ref->json, &p, 1, STEPS);
  number x[N] = {{0}};
  for (size_t i = 0; i < N; i++) {
    x[i].w = get(p->value, i);
    if (ref->begin) ref->begin(&x[i]);
  }
  for (uint64_t t = 1; t <= STEPS; t++) {
    unsigned mask = moon_rng_below(&rng, 1u << ROWS) & ~(1u << 7); /* row 7 is never touched */
    double untouched = get(p->value, 7 * DIM);
    give_gradients(p, &rng, mask);
    for (size_t i = 0; i < N; i++) /* lazy: neither the value nor its state moves */
      if (!sparse || mask >> i / DIM & 1) ref->step(&x[i], get(p->grad, i), (double)t);
    OK(moon_optimizer_step(o));
    assert_int_equal(moon_optimizer_steps(o), t);
    for (size_t i = 0; i < N; i++) {
      NEAR(get(p->value, i), x[i].w, dtype == MOON_F32 ? 3e-5 : 1e-12);
      NEAR(get(p->grad, i), 0, 0);
    }
    if (sparse) NEAR(get(p->value, 7 * DIM), untouched, 0);
    assert_int_equal(p->touched_n, 0);
  }
  moon_optimizer_free(o);
  moon_param_free(p);
}

static void every_optimiser_equals_its_formula(void **state) {
  (void)state;
  for (size_t i = 0; i < REFERENCES; i++) check(&references[i], MOON_F32, false), check(&references[i], MOON_F64, false);
}

static void sparse_updates_move_touched_rows_only(void **state) {
  (void)state;
  for (size_t i = 0; i < REFERENCES; i++) check(&references[i], MOON_F32, true), check(&references[i], MOON_F64, true);
}

/* The promise "exact": a sparse table under these ends where a dense one does whose untouched rows have gradients of zero. */
static void lazy_is_exact_where_it_is_said_to_be(void **state) {
  (void)state;
  static const char *const exact[] = {"{\"type\":\"sgd\",\"lr\":0.1}", "{\"type\":\"adagrad\"}",
                                      "{\"type\":\"ftrl\",\"l1\":0.1,\"l2\":0.3}"};
  for (size_t k = 0; k < 3; k++) {
    moon_rng rngs[2];
    moon_param *p[2];
    moon_optimizer *o[2];
    for (int sparse = 0; sparse < 2; sparse++) {
      moon_rng_seed(&rngs[sparse], 21, 0);
      p[sparse] = new_param("p", &rngs[sparse], MOON_F32, sparse);
      o[sparse] = made(exact[k], &p[sparse], 1, STEPS);
      for (int t = 0; t < STEPS; t++) {
        unsigned mask = moon_rng_below(&rngs[sparse], 1u << ROWS);
        give_gradients(p[sparse], &rngs[sparse], mask);
        OK(moon_optimizer_step(o[sparse]));
      }
    }
    for (size_t i = 0; i < N; i++) NEAR(get(p[0]->value, i), get(p[1]->value, i), 1e-6);
    for (int i = 0; i < 2; i++) moon_optimizer_free(o[i]), moon_param_free(p[i]);
  }
}

static void ftrl_makes_zeros_and_starts_where_the_weights_are(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 3, 0);
  moon_param *p = new_param("p", &rng, MOON_F32, false);
  double before[N];
  for (size_t i = 0; i < N; i++) before[i] = get(p->value, i);
  moon_optimizer *o = made("{\"type\":\"ftrl\",\"lr\":0.1,\"l1\":1}", &p, 1, 1);
  OK(moon_optimizer_step(o)); /* gradients of zero */
  for (size_t i = 0; i < N; i++) NEAR(get(p->value, i), before[i], 1e-5);
  for (int t = 0; t < 500; t++) { /* the best is a hair beyond 0, which l1 does not let them have */
    for (size_t i = 0; i < N; i++) put(p->grad, i, 3 * (get(p->value, i) + (before[i] > 0 ? 1e-3 : -1e-3)));
    OK(moon_optimizer_step(o));
  }
  size_t zeros = 0;
  for (size_t i = 0; i < N; i++) zeros += get(p->value, i) == 0;
  assert_true(zeros > N / 2);
  moon_optimizer_free(o);
  moon_param_free(p);
}

static void odd_sizes_are_updated_to_the_last_element(void **state) {
  (void)state;
  for (size_t n = 1; n <= 70; n++) {
    moon_param *p;
    OK(moon_param_new("p", MOON_F32, SHAPE(n), false, &p));
    moon_optimizer *o = made("{\"type\":\"adam\",\"lr\":0.5}", &p, 1, 1),
                   *s = made("{\"type\":\"sgd\",\"lr\":0.25,\"clip_norm\":1}", &p, 1, 1);
    moon_tensor_fill(p->grad, 2);
    OK(moon_optimizer_step(o));
    for (size_t i = 0; i < n; i++) NEAR(get(p->value, i), -0.5, 1e-5); /* the first step is the learning rate long */
    moon_tensor_fill(p->grad, 2);
    OK(moon_optimizer_step(s)); /* a norm of 1 is 1 / sqrt(n) each */
    for (size_t i = 0; i < n; i++) NEAR(get(p->value, i), -0.5 - 0.25 / sqrt((double)n), 1e-5);
    moon_optimizer_free(o);
    moon_optimizer_free(s);
    moon_param_free(p);
  }
}

/* ---- clipping, decay, groups -------------------------------------------------------------------------------------------------------- */

static void the_global_norm_goes_over_all_parameters(void **state) {
  (void)state;
  for (int frozen = 0; frozen < 2; frozen++) {
    moon_rng rng;
    moon_rng_seed(&rng, 5, 0);
    moon_param *p[3] = {new_param("a", &rng, MOON_F32, false), new_param("b", &rng, MOON_F32, true),
                        new_param("c", &rng, MOON_F64, false)};
    double squares = 0, want[2][N];
    moon_optimizer *o = made("{\"type\":\"sgd\",\"lr\":1,\"clip_norm\":0.5}", p, 3, 1);
    p[2]->frozen = frozen;
    for (int k = 0; k < 3; k++) {
      give_gradients(p[k], &rng, k == 1 ? 0x33 : 0x1ff);
      for (size_t i = 0; i < N; i++) squares += k < 2 || !frozen ? get(p[k]->grad, i) * get(p[k]->grad, i) : 0;
    }
    for (int k = 0; k < 2; k++)
      for (size_t i = 0; i < N; i++) want[k][i] = get(p[k]->value, i) - get(p[k]->grad, i) * 0.5 / sqrt(squares);
    OK(moon_optimizer_step(o));
    for (int k = 0; k < 2; k++)
      for (size_t i = 0; i < N; i++) NEAR(get(p[k]->value, i), want[k][i], 1e-6);
    put(p[0]->grad, 3, 1e-3), want[0][3] = get(p[0]->value, 3) - 1e-3; /* below the norm: as it is */
    OK(moon_optimizer_step(o));
    NEAR(get(p[0]->value, 3), want[0][3], 1e-6);
    put(p[0]->grad, 3, NAN);
    REFUSED(MOON_EINVAL, "norm", moon_optimizer_step(o));
    NEAR(get(p[0]->value, 3), want[0][3], 1e-6);
    moon_optimizer_free(o);
    for (int k = 0; k < 3; k++) moon_param_free(p[k]);
  }
}

static void clip_value_bounds_each_number(void **state) {
  (void)state;
  moon_param *p;
  OK(moon_param_new("p", MOON_F32, SHAPE(4), false, &p));
  moon_optimizer *o = made("{\"type\":\"sgd\",\"lr\":1,\"clip_value\":0.5}", &p, 1, 1);
  const double g[4] = {3, -3, 0.25, -INFINITY}, want[4] = {-0.5, 0.5, -0.25, 0.5};
  for (size_t i = 0; i < 4; i++) put(p->grad, i, g[i]);
  OK(moon_optimizer_step(o));
  for (size_t i = 0; i < 4; i++) NEAR(get(p->value, i), want[i], 1e-7);
  put(p->grad, 0, NAN); /* a broken gradient is not hidden */
  OK(moon_optimizer_step(o));
  assert_true(isnan(get(p->value, 0)));
  moon_optimizer_free(o);
  moon_param_free(p);
}

static void decay_spares_vectors_and_tables_unless_told(void **state) {
  (void)state;
  static const char *const jsons[] = {"{\"type\":\"adamw\",\"lr\":0.1,\"weight_decay\":0.5}",
                                      "{\"type\":\"adamw\",\"lr\":0.1,\"weight_decay\":0.5,\"groups\":[{\"params\":\"*.bias\","
                                      "\"weight_decay\":0.2},{\"params\":\"table*\",\"lr\":0.3,"
                                      "\"weight_decay\":0.1},{\"params\":\"*.weight\",\"weight_decay\":0}]}"};
  const double want[2][3] = {{1 - 0.1 * 0.5, 1, 1}, {1, 1 - 0.1 * 0.2, 1 - 0.3 * 0.1}};
  for (int k = 0; k < 2; k++) {
    moon_rng rng;
    moon_rng_seed(&rng, 6, 0);
    moon_param *p[3] = {new_param("dense.weight", &rng, MOON_F32, false), NULL, new_param("table.weight", &rng, MOON_F32, true)};
    OK(moon_param_new("dense.bias", MOON_F32, SHAPE(DIM), false, &p[1]));
    for (int i = 0; i < 3; i++) moon_tensor_fill(p[i]->value, 1);
    moon_optimizer *o = made(jsons[k], p, 3, 1);
    give_gradients(p[2], &rng, 0x1ff);
    moon_tensor_fill(p[2]->grad, 0); /* touched, and nothing else than decay */
    OK(moon_optimizer_step(o));
    for (int i = 0; i < 3; i++) NEAR(get(p[i]->value, 2), want[k][i], 1e-6);
    moon_optimizer_free(o);
    for (int i = 0; i < 3; i++) moon_param_free(p[i]);
  }
}

static void frozen_parameters_stay(void **state) {
  (void)state;
  for (int sparse = 0; sparse < 2; sparse++) {
    moon_rng rng;
    moon_rng_seed(&rng, 13, 0);
    moon_param *p = new_param("p", &rng, MOON_F32, sparse);
    double want[N];
    for (size_t i = 0; i < N; i++) want[i] = get(p->value, i);
    moon_optimizer *o = made("{\"type\":\"adamw\",\"groups\":[{\"params\":\"p\",\"weight_decay\":1}]}", &p, 1, 1);
    give_gradients(p, &rng, 0x1ff);
    p->frozen = true;
    OK(moon_optimizer_step(o));
    for (size_t i = 0; i < N; i++) {
      NEAR(get(p->value, i), want[i], 0);
      NEAR(get(p->grad, i), 0, 0);
    }
    moon_optimizer_free(o);
    moon_param_free(p);
  }
}

/* ---- schedules ------------------------------------------------------------------------------------------------------------------------ */

static double reference_factor(int kind, double t) { /* warm-up 4, 24 steps, floor 0.1, factor 0.5 every 5 */
  if (t <= 4) return t / 4;
  double since = t - 5, p = since / 20 > 1 ? 1 : since / 20;
  switch (kind) {
    case 0:
      return 1;
    case 1:
      return 0.1 * p + 1 - p;
    case 2:
      return 0.1 + 0.9 * 0.5 * (1 + cos(acos(-1) * p));
    case 3:
      return since < 5 ? 1 : since < 10 ? 0.5 : since < 15 ? 0.25 : since < 20 ? 0.125 : since < 25 ? 0.0625 : 0.03125;
    default:
      return exp(log(0.5) * since / 5);
  }
}

static void schedules_follow_their_formulas(void **state) {
  (void)state;
  static const char *const kinds[] = {"constant", "linear", "cosine", "step", "exponential"};
  for (int kind = 0; kind < 5; kind++) {
    moon_param *p;
    char json[300];
    OK(moon_param_new("p", MOON_F64, SHAPE(1), false, &p));
    snprintf(json, sizeof json,
             "{\"type\":\"sgd\",\"lr\":2,\"groups\":[{\"params\":\"p\",\"lr\":3}],\"schedule\":{\"type\":\"%s\",\"warmup\":4,"
             "\"floor\":0.1,\"factor\":0.5,\"every\":5}}",
             kinds[kind]);
    moon_optimizer *o = made(json, &p, 1, 24);
    NEAR(moon_optimizer_lr(o), 2 * 0.25, 1e-12);
    for (int t = 1; t <= 30; t++) { /* also beyond its end */
      double before = get(p->value, 0);
      put(p->grad, 0, 1);
      OK(moon_optimizer_step(o));
      NEAR(moon_optimizer_lr(o), 2 * reference_factor(kind, t), 1e-12);
      NEAR(before - get(p->value, 0), 3 * reference_factor(kind, t), 1e-12); /* a group's rate goes the same way */
    }
    moon_optimizer_free(o);
    moon_param_free(p);
  }
}

/* ---- the rest --------------------------------------------------------------------------------------------------------------------------- */

/* A unit without gradient: its moments must become zero and not linger as denormals, which would slow every later step. */
static void dead_moments_become_zero(void **state) {
  (void)state;
  static const char *const jsons[] = {"{\"type\":\"adam\",\"beta1\":0.5,\"beta2\":0.5}", "{\"type\":\"sgd\",\"momentum\":0.5}"};
  for (int k = 0; k < 2; k++) {
    moon_param *p;
    OK(moon_param_new("p", MOON_F32, SHAPE(3), false, &p));
    moon_tensor_fill(p->grad, 1e-12);
    moon_optimizer *o = made(jsons[k], &p, 1, 1);
    moon_buf bytes = {0};
    for (int i = 0; i < 400; i++) OK(moon_optimizer_step(o));
    OK(moon_optimizer_save(o, &bytes));
    moon_safetensors *file;
    moon_tensor *m;
    OK(moon_safetensors_open(bytes.data, bytes.n, &file));
    OK(moon_tensor_new(MOON_F32, SHAPE(3), &m));
    OK(moon_safetensors_read(file, k ? "p/velocity" : "p/m", m));
    for (size_t j = 0; j < 3; j++) NEAR(get(m, j), 0, 0);
    moon_tensor_free(m);
    moon_safetensors_close(file);
    moon_buf_free(&bytes);
    moon_optimizer_free(o);
    moon_param_free(p);
  }
}

static void state_goes_on_where_it_was_saved(void **state) {
  (void)state;
  for (size_t k = 0; k < REFERENCES; k++) {
    moon_rng rng, twin_rng;
    moon_rng_seed(&rng, 31, k);
    moon_param *p[2] = {new_param("a", &rng, MOON_F32, false), new_param("b", &rng, MOON_F32, true)}, *twin[2];
    moon_optimizer *o = made(references[k].json, p, 2, STEPS), *again;
    for (int t = 0; t < 7; t++) give_gradients(p[0], &rng, 0x1ff), give_gradients(p[1], &rng, 0x1d), moon_optimizer_step(o);
    moon_buf bytes = {0};
    OK(moon_optimizer_save(o, &bytes));
    twin_rng = rng;
    for (int i = 0; i < 2; i++) {
      moon_rng other = rng;
      twin[i] = new_param(i ? "b" : "a", &other, MOON_F32, i);
    }
    again = made(references[k].json, twin, 2, STEPS);
    for (int i = 0; i < 2; i++) memcpy(moon_tensor_data(twin[i]->value), moon_tensor_data(p[i]->value), N * sizeof(float));
    OK(moon_optimizer_load(again, bytes.data, bytes.n));
    assert_int_equal(moon_optimizer_steps(again), 7);
    for (int t = 0; t < 5; t++) {
      for (int i = 0; i < 2; i++) give_gradients(p[i], &rng, 0x1f), give_gradients(twin[i], &twin_rng, 0x1f);
      OK(moon_optimizer_step(o));
      OK(moon_optimizer_step(again));
    }
    for (int i = 0; i < 2; i++)
      assert_memory_equal(moon_tensor_data(p[i]->value), moon_tensor_data(twin[i]->value), N * sizeof(float));
    bytes.n -= 4; /* broken: refused, and the state stays */
    assert_int_not_equal(moon_optimizer_load(again, bytes.data, bytes.n).code, MOON_OK);
    assert_int_equal(moon_optimizer_steps(again), 12);
    moon_buf_free(&bytes);
    moon_optimizer_free(o);
    moon_optimizer_free(again);
    for (int i = 0; i < 2; i++) moon_param_free(p[i]), moon_param_free(twin[i]);
  }
}

static void state_of_another_optimiser_is_refused(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 32, 0);
  moon_param *p = new_param("a", &rng, MOON_F32, false);
  moon_optimizer *o = made("{\"type\":\"adagrad\"}", &p, 1, 1), *other = made("{\"type\":\"adam\"}", &p, 1, 1);
  moon_buf bytes = {0};
  OK(moon_optimizer_step(o));
  OK(moon_optimizer_save(o, &bytes));
  REFUSED(MOON_ENOTFOUND, "a/m", moon_optimizer_load(other, bytes.data, bytes.n));
  assert_int_equal(moon_optimizer_steps(other), 0);
  moon_buf_free(&bytes);
  moon_optimizer_free(o);
  moon_optimizer_free(other);
  moon_param_free(p);
}

static void what_is_out_of_range_is_named(void **state) {
  (void)state;
  static const char *const bad[][2] = {
      {"{\"type\":\"adma\"}", "did you mean 'adam'"},
      {"{\"type\":\"lion\"}", "there are sgd"},
      {"{}", "no type"},
      {"{\"type\":\"adam\",\"lr\":-1}", "lr is -1"},
      {"{\"type\":\"adam\",\"lr\":\"x\"}", "lr is not a number"},
      {"{\"type\":\"adam\",\"beta1\":1}", "beta1 is 1"},
      {"{\"type\":\"adam\",\"beta2\":-0.1}", "beta2 is -0.1"},
      {"{\"type\":\"adam\",\"epsilon\":0}", "epsilon is 0"},
      {"{\"type\":\"adam\",\"epsilon\":1e-60}", "epsilon is 1e-60"},
      {"{\"type\":\"adam\",\"clip_norm\":0}", "clip_norm is 0"},
      {"{\"type\":\"sgd\",\"momentum\":1}", "momentum is 1"},
      {"{\"type\":\"sgd\",\"nesterov\":true}", "nesterov"},
      {"{\"type\":\"ftrl\",\"lr\":0}", "lr is 0"},
      {"{\"type\":\"ftrl\",\"weight_decay\":1}", "l2"},
      {"{\"type\":\"ftrl\",\"schedule\":{\"type\":\"cosine\"}}", "schedule"},
      {"{\"type\":\"ftrl\",\"beta\":0,\"initial\":0}", "must not all be 0"},
      {"{\"type\":\"ftrl\",\"groups\":[{\"params\":\"*\",\"lr\":0}]}", "ftrl wants"},
      {"{\"type\":\"adam\",\"schedule\":{\"type\":\"cosin\"}}", "did you mean 'cosine'"},
      {"{\"type\":\"adam\",\"schedule\":{\"type\":\"linear\",\"floor\":2}}", "floor is 2"},
      {"{\"type\":\"adam\",\"groups\":[{\"lr\":1}]}", "no pattern"},
      {"{\"type\":\"adam\",\"groups\":[{\"params\":\"dense*\",\"lr\":1}]}", "'dense*' fits none"},
      {"{\"type\":\"adam\",\"groups\":[{\"params\":\"*\",\"lr\":-1}]}", "lr is -1"},
  };
  moon_rng rng;
  moon_rng_seed(&rng, 33, 0);
  moon_param *p = new_param("a", &rng, MOON_F32, false);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) REFUSED(MOON_EINVAL, bad[i][1], make(bad[i][0], &p, 1));
  moon_param_free(p);
}

static moon_status make_and_save(void *self) {
  moon_param **params = self;
  json_t *spec = json_loads("{\"type\":\"adam\",\"groups\":[{\"params\":\"a\",\"lr\":1}]}", 0, NULL);
  moon_optimizer *o;
  moon_buf bytes = {0};
  moon_status status = moon_optimizer_new(spec, params, 2, 1, &o);
  json_decref(spec);
  if (!status.code) status = moon_optimizer_save(o, &bytes);
  if (!status.code) status = moon_optimizer_load(o, bytes.data, bytes.n);
  moon_buf_free(&bytes);
  moon_optimizer_free(o);
  return status;
}

static void memory_is_taken_when_it_is_made(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 14, 0);
  moon_param *p[2] = {new_param("a", &rng, MOON_F32, false), new_param("b", &rng, MOON_F32, true)};
  assert_true(exhaust(make_and_save, p) > 10);
  moon_optimizer *o = made("{\"type\":\"adam\",\"clip_norm\":1}", p, 2, 1);
  give_gradients(p[0], &rng, 0x1ff), give_gradients(p[1], &rng, 0x1ff);
  moon_alloc_fail_at(1);
  moon_status st = moon_optimizer_step(o); /* the first step too needs none */
  moon_alloc_fail_at(0);
  OK(st);
  moon_optimizer_free(o);
  moon_param_free(p[0]), moon_param_free(p[1]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_optimiser_equals_its_formula),
      cmocka_unit_test(sparse_updates_move_touched_rows_only),
      cmocka_unit_test(lazy_is_exact_where_it_is_said_to_be),
      cmocka_unit_test(ftrl_makes_zeros_and_starts_where_the_weights_are),
      cmocka_unit_test(odd_sizes_are_updated_to_the_last_element),
      cmocka_unit_test(the_global_norm_goes_over_all_parameters),
      cmocka_unit_test(clip_value_bounds_each_number),
      cmocka_unit_test(decay_spares_vectors_and_tables_unless_told),
      cmocka_unit_test(frozen_parameters_stay),
      cmocka_unit_test(schedules_follow_their_formulas),
      cmocka_unit_test(dead_moments_become_zero),
      cmocka_unit_test(state_goes_on_where_it_was_saved),
      cmocka_unit_test(state_of_another_optimiser_is_refused),
      cmocka_unit_test(what_is_out_of_range_is_named),
      cmocka_unit_test(memory_is_taken_when_it_is_made),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

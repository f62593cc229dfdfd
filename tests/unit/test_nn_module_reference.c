/* test_nn_module_reference.c - layers against plain loops over the same parameters, with padding and empty sequences. */
#include "module_world.h"

#define LAYER(type, options) "{\"type\":\"" type "\"" options "}"
enum { N = WORLD_ROWS, T = WORLD_STEPS, D = WORLD_WIDTH };

static const double *param(const world *w, const char *name) {
  size_t n;
  moon_param *const *params = moon_module_params(w->module, &n);
  for (size_t i = 0; i < n; i++)
    if (!strcmp(params[i]->name, name)) return moon_tensor_data(params[i]->value);
  fail_msg("there is no parameter %s", name);
  return NULL;
}

static const double *input(const world *w, size_t i) { return moon_tensor_data(w->value[i]); }
static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

/* y = x W + b of one row. */
static void affine(const double *x, const double *weight, const double *bias, size_t in, size_t out, double *y) {
  for (size_t j = 0; j < out; j++) {
    y[j] = bias[j];
    for (size_t k = 0; k < in; k++) y[j] += x[k] * weight[k * out + j];
  }
}

static void compare(world *w, const double *want, size_t count) {
  double got[1000];
  assert_int_equal(world_output(w, got), count);
  for (size_t i = 0; i < count; i++) NEAR(got[i], want[i], 1e-10);
}

/* ---- attention ----------------------------------------------------------------------------------------------------------- */

/* One head of one query over the keys 0..seen; heads are slices of the width. */
static void attend(const double *q, double k[][D], double v[][D], size_t seen, size_t from, size_t each, double *out) {
  double score[T], total = 0;
  for (size_t s = 0; s < seen; s++) {
    score[s] = 0;
    for (size_t j = from; j < from + each; j++) score[s] += q[j] * k[s][j];
    total += score[s] = exp(score[s] / sqrt((double)each));
  }
  for (size_t j = from; j < from + each; j++) {
    out[j] = 0;
    for (size_t s = 0; s < seen; s++) out[j] += score[s] / total * v[s][j];
  }
}

static void attention_is_softmax_over_the_keys_seen(void **state) {
  (void)state;
  for (int causal = 0; causal < 2; causal++) {
    world w;
    char spec[120];
    double want[N * T * D], q[T][D], k[T][D], v[T][D], mixed[D];
    snprintf(spec, sizeof spec, LAYER("attention", ",\"heads\":3,\"causal\":%s,\"input\":\"seq\""), causal ? "true" : "false");
    world_new(&w, spec, MOON_F64);
    memcpy(w.lengths, (uint32_t[]){3, 0, 4}, sizeof w.lengths);
    for (size_t i = 0; i < N; i++) {
      for (size_t s = 0; s < T; s++) {
        const double *x = input(&w, 1) + (i * T + s) * D;
        affine(x, param(&w, "query.weight"), param(&w, "query.bias"), D, D, q[s]);
        affine(x, param(&w, "key.weight"), param(&w, "key.bias"), D, D, k[s]);
        affine(x, param(&w, "value.weight"), param(&w, "value.bias"), D, D, v[s]);
      }
      for (size_t s = 0; s < T; s++) {
        size_t seen = causal && s + 1 < w.lengths[i] ? s + 1 : w.lengths[i];
        for (size_t head = 0; head < 3; head++) attend(q[s], k, v, seen, 2 * head, 2, mixed);
        affine(mixed, param(&w, "out.weight"), param(&w, "out.bias"), D, D, want + (i * T + s) * D);
      }
    }
    compare(&w, want, N * T * D);
    world_free(&w);
  }
}

/* What is padding has no say in what is not. */
static void padding_is_seen_by_no_one(void **state) {
  (void)state;
  world w;
  double before[N * D], after[N * D];
  world_new(&w,
            LAYER("sequential",
                  ",\"input\":\"seq\",\"layers\":[" LAYER("position", "") "," LAYER("transformer", ",\"heads\":2") "," LAYER(
                      "gru", ",\"units\":6") "," LAYER("pool", ",\"mode\":\"last\"") "]"),
            MOON_F64);
  assert_int_equal(world_output(&w, before), N * D);
  double *x = moon_tensor_data(w.value[1]);
  for (size_t i = 0; i < N; i++)
    for (size_t k = w.lengths[i] * D; k < T * D; k++) x[i * T * D + k] = 77;
  world_output(&w, after);
  assert_memory_equal(before, after, sizeof before);
  world_free(&w);
}

/* ---- gru ----------------------------------------------------------------------------------------------------------------- */

enum { H = 2 };

static void gru_step(const world *w, const double *x, double h[H]) {
  double a[3 * H], u[3 * H];
  affine(x, param(w, "weight"), param(w, "bias"), D, 3 * H, a);
  affine(h, param(w, "recurrent"), param(w, "recurrent_bias"), H, 3 * H, u);
  for (int j = 0; j < H; j++) {
    double r = sigmoid(a[j] + u[j]), z = sigmoid(a[H + j] + u[H + j]), n = tanh(a[2 * H + j] + r * u[2 * H + j]);
    h[j] = (1 - z) * n + z * h[j];
  }
}

static void gru_goes_step_by_step(void **state) {
  (void)state;
  world w;
  double want[N * T * H] = {0};
  world_new(&w, LAYER("gru", ",\"units\":2,\"input\":\"seq\""), MOON_F64);
  memcpy(w.lengths, (uint32_t[]){3, 0, 4}, sizeof w.lengths);
  for (size_t i = 0; i < N; i++) {
    double h[H] = {0};
    for (size_t s = 0; s < w.lengths[i]; s++) {
      gru_step(&w, input(&w, 1) + (i * T + s) * D, h);
      memcpy(want + (i * T + s) * H, h, sizeof h);
    }
  }
  compare(&w, want, N * T * H);
  world_free(&w);
}

/* ---- din ----------------------------------------------------------------------------------------------------------------- */

static double din_weight(const world *w, const double *step, const double *target) {
  double in[4 * D], hidden[3], score;
  for (int j = 0; j < D; j++)
    in[j] = step[j], in[D + j] = target[j], in[2 * D + j] = step[j] - target[j], in[3 * D + j] = step[j] * target[j];
  affine(in, param(w, "hidden.weight"), param(w, "hidden.bias"), 4 * D, 3, hidden);
  for (int j = 0; j < 3; j++) hidden[j] = sigmoid(hidden[j]);
  affine(hidden, param(w, "score.weight"), param(w, "score.bias"), 3, 1, &score);
  return score;
}

static void din_weighs_the_history_by_the_target(void **state) {
  (void)state;
  world w;
  double want[N * D] = {0};
  world_new(&w, LAYER("din", ",\"units\":3,\"history\":\"seq\""), MOON_F64);
  memcpy(w.lengths, (uint32_t[]){3, 0, 4}, sizeof w.lengths);
  for (size_t i = 0; i < N; i++)
    for (size_t s = 0; s < w.lengths[i]; s++) {
      const double *step = input(&w, 1) + (i * T + s) * D;
      double weight = din_weight(&w, step, input(&w, 0) + i * D);
      for (int j = 0; j < D; j++) want[i * D + j] += weight * step[j];
    }
  compare(&w, want, N * D);
  world_free(&w);
}

/* ---- pool, embedding_bag ------------------------------------------------------------------------------------------------- */

static void pool_looks_at_what_is_no_padding(void **state) {
  (void)state;
  static const char *const modes[] = {"mean", "max", "last", "sum"};
  for (int mode = 0; mode < 4; mode++) {
    world w;
    char spec[80];
    double want[N * D] = {0};
    snprintf(spec, sizeof spec, LAYER("pool", ",\"mode\":\"%s\",\"input\":\"seq\""), modes[mode]);
    world_new(&w, spec, MOON_F64);
    memcpy(w.lengths, (uint32_t[]){3, 0, 4}, sizeof w.lengths);
    for (size_t i = 0; i < N; i++)
      for (size_t j = 0; j < D; j++)
        for (size_t s = 0; s < w.lengths[i]; s++) {
          double x = input(&w, 1)[(i * T + s) * D + j], *y = &want[i * D + j];
          if (mode == 0) *y += x / w.lengths[i];
          if (mode == 1) *y = s && *y > x ? *y : x;
          if (mode == 2) *y = x;
          if (mode == 3) *y += x;
        }
    compare(&w, want, N * D);
    world_free(&w);
  }
}

static void a_bag_leaves_out_id_0(void **state) {
  (void)state;
  static const char *const modes[] = {"mean", "max", "sum"};
  for (int mode = 0; mode < 3; mode++) {
    world w;
    char spec[80];
    double want[N * 2] = {0};
    snprintf(spec, sizeof spec, LAYER("embedding_bag", ",\"dim\":2,\"mode\":\"%s\",\"input\":\"ids\""), modes[mode]);
    world_new(&w, spec, MOON_F64);
    memset(w.ids + T, 0, T * sizeof *w.ids); /* the second bag is empty */
    const double *table = param(&w, "weight");
    for (size_t i = 0; i < N; i++)
      for (size_t j = 0; j < 2; j++) {
        size_t count = 0;
        double *y = &want[i * 2 + j];
        for (size_t s = 0; s < T; s++) {
          if (!w.ids[i * T + s]) continue;
          double x = table[w.ids[i * T + s] * 2 + j];
          *y = mode == 1 ? (count && *y > x ? *y : x) : *y + x;
          count++;
        }
        if (mode == 0 && count) *y /= (double)count;
      }
    compare(&w, want, N * 2);
    world_free(&w);
  }
}

/* ---- crossings ----------------------------------------------------------------------------------------------------------- */

static void cross_and_fm_multiply_features(void **state) {
  (void)state;
  world w;
  double want[N * D], fm[N * 2] = {0}, xw[D];
  world_new(&w, LAYER("cross", ",\"layers\":2"), MOON_F64);
  for (size_t i = 0; i < N; i++) {
    const double *x0 = input(&w, 0) + i * D;
    double *x = want + i * D;
    memcpy(x, x0, D * sizeof *x);
    for (int layer = 0; layer < 2; layer++) {
      affine(x, param(&w, layer ? "1.weight" : "0.weight"), param(&w, layer ? "1.bias" : "0.bias"), D, D, xw);
      for (int j = 0; j < D; j++) x[j] += x0[j] * xw[j];
    }
  }
  compare(&w, want, N * D);
  world_free(&w);
  world_new(&w, LAYER("fm", ",\"input\":\"fields\""), MOON_F64);
  for (size_t i = 0; i < N; i++)
    for (size_t a = 0; a < 3; a++)
      for (size_t b = a + 1; b < 3; b++)
        for (size_t j = 0; j < 2; j++) fm[i * 2 + j] += input(&w, 2)[(i * 3 + a) * 2 + j] * input(&w, 2)[(i * 3 + b) * 2 + j];
  compare(&w, fm, N * 2);
  world_free(&w);
}

/* ---- compiled ------------------------------------------------------------------------------------------------------------ */

/* Random running statistics, as after training. */
static void move_buffers(world *w) {
  size_t n;
  moon_rng rng;
  moon_rng_seed(&rng, 8, 0);
  const moon_named_tensor *buffers = moon_module_buffers(w->module, &n);
  for (size_t i = 0; i < n; i++)
    for (size_t k = 0; k < moon_tensor_count(buffers[i].tensor); k++)
      ((float *)moon_tensor_data(buffers[i].tensor))[k] = (float)(0.2 + moon_rng_uniform(&rng));
}

static void check_compiled(const char *spec, moon_activation last, bool compiles) {
  world w;
  moon_infer *infer;
  double y[100];
  float got[100], *scratch = moon_alloc_aligned(100000);
  world_new(&w, spec, MOON_F32);
  move_buffers(&w);
  moon_status why;
  OK(moon_module_compile(w.module, last, &infer, &why));
  assert_int_equal(!why.code, compiles);
  if ((infer != NULL) != compiles) fail_msg("%s %s", spec, infer ? "compiled" : "did not compile");
  if (infer) {
    size_t n = world_output(&w, y);
    assert_true(moon_infer_scratch(infer, N) * sizeof(float) <= 100000);
    moon_infer_run(infer, moon_tensor_data(w.value[0]), N, scratch, got);
    for (size_t i = 0; i < n; i++) NEAR(got[i], last == MOON_SIGMOID ? sigmoid(y[i]) : y[i], 1e-5);
  }
  moon_infer_free(infer);
  moon_free(scratch);
  world_free(&w);
}

static void stacks_compile_to_what_the_tape_says(void **state) {
  (void)state;
#define DENSE(units, activation) LAYER("dense", ",\"units\":" #units ",\"activation\":\"" activation "\"")
#define NORM LAYER("batch_norm", "")
#define STACK(layers) LAYER("sequential", ",\"layers\":[" layers "]")
  static const char *const stacks[] = {
      DENSE(3, "linear"),
      STACK(DENSE(5, "relu") "," DENSE(2, "linear")),
      STACK(NORM "," DENSE(5, "relu") "," NORM "," DENSE(2, "linear")),
      STACK(DENSE(5, "linear") "," NORM "," LAYER("activation", ",\"activation\":\"relu\"") "," DENSE(2, "linear")),
      STACK(DENSE(5, "relu") "," NORM "," NORM "," LAYER("dropout", ",\"rate\":0.3") "," DENSE(2, "linear") "," NORM),
      STACK(LAYER("input", "") "," STACK(
          LAYER("dense", ",\"units\":20,\"bias\":false,\"activation\":\"tanh\"") "," NORM) "," DENSE(1, "linear")),
  };
  for (size_t i = 0; i < sizeof stacks / sizeof *stacks; i++) {
    check_compiled(stacks[i], MOON_LINEAR, true);
    check_compiled(stacks[i], MOON_SIGMOID, true);
  }
  check_compiled(DENSE(3, "relu"), MOON_LINEAR, true);
  check_compiled(DENSE(3, "relu"), MOON_SIGMOID, false); /* two activations */
  check_compiled(STACK(DENSE(3, "relu") "," NORM), MOON_LINEAR, false);
  check_compiled(STACK(NORM "," LAYER("activation", ",\"activation\":\"relu\"") "," DENSE(1, "linear")), MOON_LINEAR, false);
  check_compiled(STACK(DENSE(3, "gelu") "," DENSE(1, "linear")), MOON_LINEAR, false);
  check_compiled(STACK(LAYER("cross", "") "," DENSE(1, "linear")), MOON_LINEAR, false);
  check_compiled(STACK(LAYER("residual", ",\"layers\":[" DENSE(6, "relu") "]") "," DENSE(1, "linear")), MOON_LINEAR, false);
  check_compiled(STACK(LAYER("dense", ",\"units\":3,\"input\":\"x\"") "," DENSE(1, "linear")), MOON_LINEAR, false);
  check_compiled(LAYER("input", ""), MOON_LINEAR, false);
}

/* ---- a mixture of experts ------------------------------------------------------------------------------------------------- */

static void a_gate_weighs_experts_by_its_softmax(void **state) {
  (void)state;
  world w;
  size_t n;
  double want[N * 2], gate[3], expert[2];
  world_new(&w, LAYER("parallel", ",\"merge\":\"gate\",\"layers\":[" LAYER("dense", ",\"units\":3") "," LAYER("dense", ",\"units\":2") "," LAYER(
                                      "dense", ",\"units\":2") "," LAYER("dense", ",\"units\":2") "]"), MOON_F64);
  moon_param *const *params = moon_module_params(w.module, &n);
  assert_int_equal(n, 8);
  for (size_t i = 0; i < N; i++) {
    const double *x = input(&w, 0) + i * D;
    double total = 0;
    affine(x, moon_tensor_data(params[0]->value), moon_tensor_data(params[1]->value), D, 3, gate);
    for (int k = 0; k < 3; k++) total += exp(gate[k]);
    want[i * 2] = want[i * 2 + 1] = 0;
    for (int k = 0; k < 3; k++) {
      affine(x, moon_tensor_data(params[2 + 2 * k]->value), moon_tensor_data(params[3 + 2 * k]->value), D, 2, expert);
      for (int j = 0; j < 2; j++) want[i * 2 + (size_t)j] += exp(gate[k]) / total * expert[j];
    }
  }
  compare(&w, want, N * 2);
  world_free(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_gate_weighs_experts_by_its_softmax), cmocka_unit_test(attention_is_softmax_over_the_keys_seen),
      cmocka_unit_test(padding_is_seen_by_no_one),
      cmocka_unit_test(gru_goes_step_by_step),
      cmocka_unit_test(din_weighs_the_history_by_the_target),
      cmocka_unit_test(pool_looks_at_what_is_no_padding),
      cmocka_unit_test(a_bag_leaves_out_id_0),
      cmocka_unit_test(cross_and_fm_multiply_features),
      cmocka_unit_test(stacks_compile_to_what_the_tape_says),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

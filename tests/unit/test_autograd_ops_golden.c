/* test_autograd_ops_golden.c - f32 values and gradients against PyTorch's, from golden/make_golden.py. */
#include "autograd/autograd.h"
#include "numeric.h"

#include "unit/golden/attention.h"
#include "unit/golden/batch_norm.h"
#include "unit/golden/bce.h"
#include "unit/golden/bpr.h"
#include "unit/golden/cross_entropy.h"
#include "unit/golden/gelu.h"
#include "unit/golden/gru.h"
#include "unit/golden/info_nce.h"
#include "unit/golden/layer_norm.h"
#include "unit/golden/mlp.h"
#include "unit/golden/normalise.h"
#include "unit/golden/sampled.h"

enum { MOST = 8 };
/* A tape and the leaves put on it, in order. */
typedef struct golden {
  moon_tape *tape;
  moon_tensor *value[MOST], *grad[MOST];
  int n;
} golden;

/* Ids and lengths must live until backward. */
static const uint32_t attention_lengths[2] = {4, 2}, gru_lengths[3] = {4, 2, 3}, classes[5] = {1, 3, 0, 2, 1};

static golden golden_open(void) {
  golden g = {0};
  OK(moon_tape_new(&g.tape));
  return g;
}
static void golden_close(golden *g) {
  moon_tape_free(g->tape);
  for (int i = 0; i < g->n; i++) moon_tensor_free(g->value[i]), moon_tensor_free(g->grad[i]);
}
static moon_var leaf(golden *g, const float *data, int dims, const size_t *shape) {
  moon_var v;
  assert_true(g->n < MOST);
  OK(moon_tensor_from(MOON_F32, dims, shape, data, &g->value[g->n]));
  OK(moon_tensor_new(MOON_F32, dims, shape, &g->grad[g->n]));
  OK(moon_tape_leaf(g->tape, g->value[g->n], g->grad[g->n], &v));
  g->n++;
  return v;
}
static moon_var constant(golden *g, const float *data, int dims, const size_t *shape) {
  moon_var v;
  OK(moon_tape_constant(g->tape, MOON_F32, dims, shape, data, &v));
  return v;
}

/* To 1e-5 of each number; one much smaller than its array's largest is the rest of a sum that cancelled, and is held to 1e-6 of that. */
static void same(const char *what, const float *got, const float *want, size_t n, size_t step) {
  float top = 0;
  for (size_t i = 0; i < n; i++) top = fmaxf(top, fabsf(want[i]));
  for (size_t i = 0; i < n; i++)
    if (!(fabsf(got[i * step] - want[i]) <= 1e-5f * fmaxf(fabsf(want[i]), 0.1f * top)))
      fail_msg("%s: element %zu is %.9g, PyTorch's %.9g", what, i, got[i * step], want[i]);
}
#define VALUE(g, y, want) same("value", moon_var_data((g).tape, y), want, sizeof(want) / sizeof *(want), 1)
#define GRADIENT(g, i, want) same("gradient " #i, moon_tensor_data((g).grad[i]), want, sizeof(want) / sizeof *(want), 1)

/* Backward of sum(y dy). */
static void back(golden *g, moon_var y, const float *dy) {
  moon_var w = constant(g, dy, moon_var_dims(g->tape, y), moon_var_shape(g->tape, y)), loss;
  OK(moon_op_mul(g->tape, y, w, &loss));
  OK(moon_op_sum(g->tape, loss, &loss));
  OK(moon_tape_backward(g->tape, loss));
}

static void layers_agree_with_pytorch(void **state) {
  (void)state;
  golden g = golden_open();
  moon_var x = leaf(&g, layer_norm_x, SHAPE(3, 2, 7)), gamma = leaf(&g, layer_norm_gamma, SHAPE(7)),
           beta = leaf(&g, layer_norm_beta, SHAPE(7)), y;
  OK(moon_op_layer_norm(g.tape, x, gamma, beta, 1e-5, &y));
  VALUE(g, y, layer_norm_y);
  back(&g, y, layer_norm_dy);
  GRADIENT(g, 0, layer_norm_d_x);
  GRADIENT(g, 1, layer_norm_d_gamma);
  GRADIENT(g, 2, layer_norm_d_beta);
  golden_close(&g);

  g = golden_open();
  x = leaf(&g, gelu_x, SHAPE(9));
  OK(moon_op_gelu(g.tape, x, &y));
  VALUE(g, y, gelu_y);
  back(&g, y, gelu_dy);
  GRADIENT(g, 0, gelu_d_x);
  golden_close(&g);

  g = golden_open();
  x = leaf(&g, normalise_x, SHAPE(4, 3));
  OK(moon_op_l2_normalise(g.tape, x, &y));
  VALUE(g, y, normalise_y);
  back(&g, y, normalise_dy);
  GRADIENT(g, 0, normalise_d_x);
  golden_close(&g);
}

static void batch_norm_agrees_with_pytorch(void **state) {
  (void)state;
  golden g = golden_open();
  moon_tensor *mean, *var;
  OK(moon_tensor_new(MOON_F32, SHAPE(3), &mean));
  OK(moon_tensor_new(MOON_F32, SHAPE(3), &var));
  moon_tensor_fill(mean, 0.5), moon_tensor_fill(var, 2);
  moon_var x = leaf(&g, batch_norm_x, SHAPE(6, 3)), gamma = leaf(&g, batch_norm_gamma, SHAPE(3)),
           beta = leaf(&g, batch_norm_beta, SHAPE(3)), y;
  OK(moon_op_batch_norm(g.tape, x, gamma, beta, mean, var, 0.1, 1e-5, true, &y));
  VALUE(g, y, batch_norm_y);
  back(&g, y, batch_norm_dy);
  GRADIENT(g, 0, batch_norm_d_x);
  GRADIENT(g, 1, batch_norm_d_gamma);
  GRADIENT(g, 2, batch_norm_d_beta);
  same("running mean", moon_tensor_data(mean), batch_norm_mean, 3, 1);
  same("running variance", moon_tensor_data(var), batch_norm_var, 3, 1);
  golden_close(&g);
  moon_tensor_free(mean), moon_tensor_free(var);
}

static void attention_agrees_with_pytorch(void **state) {
  (void)state;
  golden g = golden_open();
  moon_var q = leaf(&g, attention_q, SHAPE(2, 2, 4, 3)), k = leaf(&g, attention_k, SHAPE(2, 2, 4, 3)),
           v = leaf(&g, attention_v, SHAPE(2, 2, 4, 3)), y;
  OK(moon_op_attention(g.tape, q, k, v, &(moon_attention){.causal = true, .lengths = attention_lengths}, &y));
  VALUE(g, y, attention_y);
  back(&g, y, attention_dy);
  GRADIENT(g, 0, attention_d_q);
  GRADIENT(g, 1, attention_d_k);
  GRADIENT(g, 2, attention_d_v);
  golden_close(&g);
}

static void gru_agrees_with_pytorch(void **state) {
  (void)state;
  golden g = golden_open();
  moon_var x = leaf(&g, gru_x, SHAPE(3, 4, 2)), w = leaf(&g, gru_w, SHAPE(2, 9)), u = leaf(&g, gru_u, SHAPE(3, 9)),
           b = leaf(&g, gru_b, SHAPE(9)), c = leaf(&g, gru_c, SHAPE(9)), y;
  OK(moon_op_gru(g.tape, x, w, u, b, c, gru_lengths, &y));
  VALUE(g, y, gru_y);
  back(&g, y, gru_dy);
  GRADIENT(g, 0, gru_d_x);
  GRADIENT(g, 1, gru_d_w);
  GRADIENT(g, 2, gru_d_u);
  GRADIENT(g, 3, gru_d_b);
  GRADIENT(g, 4, gru_d_c);
  golden_close(&g);
}

static void losses_agree_with_pytorch(void **state) {
  (void)state;
  golden g = golden_open();
  moon_var y, w = constant(&g, bce_w, SHAPE(7));
  OK(moon_op_bce_logits_weighted(g.tape, leaf(&g, bce_z, SHAPE(7)), constant(&g, bce_t, SHAPE(7)), &w, 2.5, &y));
  VALUE(g, y, bce_y);
  OK(moon_tape_backward(g.tape, y));
  GRADIENT(g, 0, bce_d_z);
  golden_close(&g);

  g = golden_open();
  OK(moon_op_cross_entropy(g.tape, leaf(&g, cross_entropy_z, SHAPE(5, 4)), classes, 2, NULL, &y));
  VALUE(g, y, cross_entropy_y);
  OK(moon_tape_backward(g.tape, y));
  GRADIENT(g, 0, cross_entropy_d_z);
  golden_close(&g);

  g = golden_open();
  moon_var q = leaf(&g, info_nce_q, SHAPE(5, 3)), k = leaf(&g, info_nce_k, SHAPE(5, 3)),
           log_q = constant(&g, info_nce_log_q, SHAPE(5));
  OK(moon_op_info_nce(g.tape, q, k, &(moon_info_nce){.temperature = 0.2, .log_q = &log_q}, &y));
  VALUE(g, y, info_nce_y);
  OK(moon_tape_backward(g.tape, y));
  GRADIENT(g, 0, info_nce_d_q);
  GRADIENT(g, 1, info_nce_d_k);
  golden_close(&g);

  g = golden_open();
  moon_var pos = leaf(&g, sampled_pos, SHAPE(4)), neg = leaf(&g, sampled_neg, SHAPE(4, 3)),
           q_pos = constant(&g, sampled_q_pos, SHAPE(4)), q_neg = constant(&g, sampled_q_neg, SHAPE(3));
  OK(moon_op_sampled_softmax(g.tape, pos, neg, (moon_log_q){&q_pos, &q_neg}, NULL, &y));
  VALUE(g, y, sampled_y);
  OK(moon_tape_backward(g.tape, y));
  GRADIENT(g, 0, sampled_d_pos);
  GRADIENT(g, 1, sampled_d_neg);
  golden_close(&g);

  g = golden_open();
  pos = leaf(&g, bpr_pos, SHAPE(6)), neg = leaf(&g, bpr_neg, SHAPE(6));
  OK(moon_op_bpr(g.tape, pos, neg, NULL, &y));
  VALUE(g, y, bpr_y);
  OK(moon_tape_backward(g.tape, y));
  GRADIENT(g, 0, bpr_d_pos);
  GRADIENT(g, 1, bpr_d_neg);
  golden_close(&g);
}

/* make_golden.py's numbers(). */
static const float *numbers(size_t n, uint64_t seed, double scale) {
  static float out[64 * 32];
  uint64_t at = seed * 7919 + 12345;
  for (size_t i = 0; i < n; i++) {
    at = at * 48271 % 2147483647;
    out[i] = (float)(nearbyint(((double)at / 2147483647 * 2 - 1) * scale * 1000) / 1000);
  }
  return out;
}

static void an_mlp_agrees_with_pytorch(void **state) {
  (void)state;
  static const size_t width[4] = {6, 64, 32, 1};
  golden g = golden_open();
  float x[16 * 6];
  memcpy(x, numbers(16 * 6, 60, 2), sizeof x);
  moon_var y = constant(&g, x, SHAPE(16, 6));
  for (size_t i = 0; i < 3; i++) {
    moon_var w = leaf(&g, numbers(width[i] * width[i + 1], 40 + i, 0.3), SHAPE(width[i], width[i + 1]));
    moon_var b = leaf(&g, numbers(width[i + 1], 50 + i, 0.3), SHAPE(width[i + 1]));
    OK(moon_op_dense(g.tape, y, w, b, i < 2, &y));
  }
  OK(moon_op_bce_logits(g.tape, y, constant(&g, mlp_t, SHAPE(16)), &y));
  VALUE(g, y, mlp_y);
  OK(moon_tape_backward(g.tape, y));
  GRADIENT(g, 0, mlp_d_w0);
  GRADIENT(g, 1, mlp_d_b0);
  same("gradient 2", moon_tensor_data(g.grad[2]), mlp_d_w1_each_17th, sizeof mlp_d_w1_each_17th / sizeof(float), 17);
  GRADIENT(g, 3, mlp_d_b1);
  GRADIENT(g, 4, mlp_d_w2);
  GRADIENT(g, 5, mlp_d_b2);
  golden_close(&g);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(layers_agree_with_pytorch), cmocka_unit_test(batch_norm_agrees_with_pytorch),
      cmocka_unit_test(attention_agrees_with_pytorch), cmocka_unit_test(gru_agrees_with_pytorch),
      cmocka_unit_test(losses_agree_with_pytorch), cmocka_unit_test(an_mlp_agrees_with_pytorch),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

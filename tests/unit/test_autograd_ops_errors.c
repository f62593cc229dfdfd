/* test_autograd_ops_errors.c - what the ops refuse, and in which words: the op's name and both shapes. */
#include "autograd/autograd.h"
#include "numeric.h"

static const float zeros[64];
static const uint8_t mask[8];

static moon_var constant(moon_tape *tape, int dims, const size_t *shape) {
  moon_var v;
  OK(moon_tape_constant(tape, MOON_F32, dims, shape, zeros, &v));
  return v;
}

/* Each test has these. */
typedef struct vars { moon_tape *tape; moon_var scalar, v3, v4, m23, m34, m44, t234; } vars;
static vars open_vars(void) {
  vars v;
  OK(moon_tape_new(&v.tape));
  v.scalar = constant(v.tape, 0, NULL), v.v3 = constant(v.tape, SHAPE(3)), v.v4 = constant(v.tape, SHAPE(4));
  v.m23 = constant(v.tape, SHAPE(2, 3)), v.m34 = constant(v.tape, SHAPE(3, 4)), v.m44 = constant(v.tape, SHAPE(4, 4));
  v.t234 = constant(v.tape, SHAPE(2, 3, 4));
  return v;
}
#define NO(text, call) REFUSED(MOON_EINVAL, text, call)

static void shapes_are_named_by_ops_on_elements(void **state) {
  (void)state;
  vars v = open_vars();
  moon_tape *t = v.tape;
  moon_var out = {77};
  NO("maximum: [2, 3] against [4]", moon_op_maximum(t, v.m23, v.v4, &out));
  NO("minimum: [4] against [2, 3]", moon_op_minimum(t, v.v4, v.m23, &out));
  NO("where: [2, 3] against [4]", moon_op_where(t, mask, SHAPE(3), v.m23, v.v4, &out));
  NO("where: [2, 3] against a mask of [4]", moon_op_where(t, mask, SHAPE(4), v.m23, v.m23, &out));
  NO("where: a mask of [3] without data", moon_op_where(t, NULL, SHAPE(3), v.m23, v.m23, &out));
  NO("masked_fill: [3] against a mask of [2, 3]", moon_op_masked_fill(t, v.v3, mask, SHAPE(2, 3), 0, &out));
  NO("clip: 2..1 is empty", moon_op_clip(t, v.v3, 2, 1, &out));
  NO("clip: nan..1 is empty", moon_op_clip(t, v.v3, NAN, 1, &out));
  NO("permute: [2, 3]: 1 at position 1", moon_op_permute(t, v.m23, (int[]){1, 1}, &out));
  NO("permute: [2, 3]: 2 at position 0", moon_op_permute(t, v.m23, (int[]){2, 1}, &out));
  NO("permute: [2, 3]: -1 at position 0", moon_op_permute(t, v.m23, (int[]){-1, 1}, &out));
  NO("broadcast_to: [2, 3] against [3]", moon_op_broadcast_to(t, v.m23, SHAPE(3), &out));
  NO("broadcast_to: [3] against [2, 4]", moon_op_broadcast_to(t, v.v3, SHAPE(2, 4), &out));
  NO("broadcast_to: [3] against [1]", moon_op_broadcast_to(t, v.v3, SHAPE(1), &out));
  NO("stack: [2, 3] against [3]", moon_op_stack(t, (moon_var[]){v.m23, v.v3}, 2, 0, &out));
  NO("stack: [2, 3] cannot get a dimension 3", moon_op_stack(t, &v.m23, 1, 3, &out));
  NO("stack: no parts", moon_op_stack(t, NULL, 0, 0, &out));
  NO("pad: [3] by 18446744073709551615 and 0 in dimension 0", moon_op_pad(t, v.v3, (size_t[]){SIZE_MAX}, (size_t[]){0}, &out));
  NO("select_rows: id 2 at position 1 is out of range: the rows are [2, 3]",
     moon_op_select_rows(t, v.m23, (uint32_t[]){0, 2}, 2, &out));
  NO("select_rows: a scalar", moon_op_select_rows(t, v.scalar, NULL, 0, &out));
  NO("sum_along: [2, 3] has no dimension 2", moon_op_sum_along(t, v.m23, 2, false, &out));
  NO("mean_along: [2, 0] has no elements in dimension 1", moon_op_mean_along(t, constant(t, SHAPE(2, 0)), 1, false, &out));
  NO("max_along: [2, 0] has no elements in dimension 1", moon_op_max_along(t, constant(t, SHAPE(2, 0)), 1, false, &out));
  NO("max_along: [2, 3] has no dimension -1", moon_op_max_along(t, v.m23, -1, false, &out));
  assert_int_equal(out.id, 77); /* a failed op answers no variable */
  OK(moon_op_neg(t, v.m23, &out));
  assert_int_equal(out.id, 9); /* and leaves no node: seven and the two above */
  moon_tape_free(t);
}

static void shapes_are_named_by_layers(void **state) {
  (void)state;
  vars v = open_vars();
  moon_tape *t = v.tape;
  moon_var out = {77}, head = constant(t, SHAPE(1, 2, 3, 4)), other = constant(t, SHAPE(1, 2, 5, 4)),
           w = constant(t, SHAPE(3, 6)), u = constant(t, SHAPE(2, 6)), c = constant(t, SHAPE(6)), s = constant(t, SHAPE(2, 4, 3));
  NO("bmm: [2, 3] against [4, 4]: [.., n, k] by [.., k, m] is needed", moon_op_bmm(t, v.m23, v.m44, false, false, &out));
  NO("bmm: [2, 3] against [3, 4]: [.., k, n] turned", moon_op_bmm(t, v.m23, v.m34, true, false, &out));
  NO("bmm: [3] against [3, 4]", moon_op_bmm(t, v.v3, v.m34, false, false, &out));
  NO("bmm: [2, 3, 4] against [3, 4, 1]: the batch dimensions",
     moon_op_bmm(t, v.t234, constant(t, SHAPE(3, 4, 1)), false, false, &out));
  NO("layer_norm: [2, 3] against [4]", moon_op_layer_norm(t, v.m23, v.v3, v.v4, 0, &out));
  NO("layer_norm: a scalar", moon_op_layer_norm(t, v.scalar, v.v3, v.v4, 0, &out));
  NO("attention: [1, 2, 3, 4] against [2, 3]", moon_op_attention(t, head, v.m23, head, &(moon_attention){0}, &out));
  NO("attention: [1, 2, 3, 4] against [1, 2, 5, 4]", moon_op_attention(t, other, head, other, &(moon_attention){0}, &out));
  NO("causal attention needs", moon_op_attention(t, other, head, head, &(moon_attention){.causal = true}, &out));
  NO("attention: length 4 at position 0 is more than the keys of [1, 2, 3, 4]",
     moon_op_attention(t, head, head, head, &(moon_attention){.lengths = (uint32_t[]){4}}, &out));
  NO("attention: [2, 4, 3] against [1, 2, 3, 4]: queries [b, tq, h d]", moon_op_attention(t, s, head, s, &(moon_attention){.heads = 3}, &out));
  NO("attention: 2 heads cannot share out [2, 4, 3]", moon_op_attention(t, s, s, s, &(moon_attention){.heads = 2}, &out));
  NO("dropout: a rate of 1", moon_op_dropout(t, v.v3, 1, NULL, true, &out));
  NO("dropout: a rate of -0.1", moon_op_dropout(t, v.v3, -0.1, NULL, false, &out));
  NO("fm: [2, 3] is not [n, f, d]", moon_op_fm(t, v.m23, &out));
  NO("cross: [2, 3] against [3, 4]", moon_op_cross(t, v.m23, v.m34, v.m44, v.v4, &out));
  NO("cross: [3, 4] against [2, 3]", moon_op_cross(t, v.m34, v.m34, v.m23, v.v4, &out));
  NO("cross: [4, 4] against [3]", moon_op_cross(t, v.m34, v.m34, v.m44, v.v3, &out));
  NO("gru: [2, 3, 4] against [3, 6]", moon_op_gru(t, v.t234, w, u, c, c, NULL, &out));
  NO("gru: [3, 6] against [3, 4]", moon_op_gru(t, s, w, v.m34, c, c, NULL, &out));
  NO("gru: [2, 6] against [4]", moon_op_gru(t, s, w, u, c, v.v4, NULL, &out));
  NO("gru: length 5 at position 1 is more than the steps of [2, 4, 3]", moon_op_gru(t, s, w, u, c, c, (uint32_t[]){4, 5}, &out));
  assert_int_equal(out.id, 77);
  moon_tape_free(t);
}

static void batch_norm_refuses_what_it_cannot_count(void **state) {
  (void)state;
  vars v = open_vars();
  moon_tensor *three, *four, *wide;
  OK(moon_tensor_new(MOON_F32, SHAPE(3), &three));
  OK(moon_tensor_new(MOON_F32, SHAPE(4), &four));
  OK(moon_tensor_new(MOON_F64, SHAPE(3), &wide));
  moon_var out = {77};
  NO("batch_norm: the running mean is f32 [4], not a contiguous f32 [3]",
     moon_op_batch_norm(v.tape, v.m23, v.v3, v.v3, four, three, 0.1, 0, true, &out));
  NO("batch_norm: the running variance is f64 [3]",
     moon_op_batch_norm(v.tape, v.m23, v.v3, v.v3, three, wide, 0.1, 0, true, &out));
  NO("batch_norm: [2, 3] against [4]", moon_op_batch_norm(v.tape, v.m23, v.v3, v.v4, three, three, 0.1, 0, true, &out));
  NO("batch_norm: [3] has 1 rows: statistics of a batch need 2",
     moon_op_batch_norm(v.tape, v.v3, v.v3, v.v3, three, three, 0.1, 0, true, &out));
  assert_int_equal(out.id, 77);
  moon_tape_free(v.tape);
  moon_tensor_free(three), moon_tensor_free(four), moon_tensor_free(wide);
}

static void shapes_are_named_by_losses(void **state) {
  (void)state;
  vars v = open_vars();
  moon_tape *t = v.tape;
  moon_var out = {77}, none = constant(t, SHAPE(0)), wide;
  static const double doubles[3];
  OK(moon_tape_constant(t, MOON_F64, SHAPE(3), doubles, &wide));
  NO("bpr: [3] against [4]", moon_op_bpr(t, v.v3, v.v4, NULL, &out));
  NO("bpr: [3] against [4]: one weight", moon_op_bpr(t, v.v3, v.v3, &v.v4, &out));
  NO("bpr: f32 [3] against f64 [3]", moon_op_bpr(t, v.v3, v.v3, &wide, &out));
  NO("hinge: [2, 3] against [3]", moon_op_hinge(t, v.m23, v.v3, 1, NULL, &out));
  NO("bce_logits_weighted: [0] has no elements", moon_op_bce_logits_weighted(t, none, none, NULL, 1, &out));
  NO("cross_entropy: [3] is not [n, c]", moon_op_cross_entropy(t, v.v3, NULL, MOON_NONE, NULL, &out));
  NO("cross_entropy: class 3 at position 1 is out of range: the logits are [2, 3]",
     moon_op_cross_entropy(t, v.m23, (uint32_t[]){0, 3}, 2, NULL, &out));
  NO("cross_entropy: [2, 3] against weights of [3]: 2 are needed",
     moon_op_cross_entropy(t, v.m23, (uint32_t[]){0, 1}, 2, &v.v3, &out));
  NO("cross_entropy: f32 [2, 3] against f64 [3]", moon_op_cross_entropy(t, v.m23, (uint32_t[]){0, 1}, 2, &wide, &out));
  NO("sampled_softmax: [4] against [3, 4]", moon_op_sampled_softmax(t, v.v4, v.m34, (moon_log_q){NULL, NULL}, NULL, &out));
  NO("sampled_softmax: [3, 4] against [4, 4]: log q",
     moon_op_sampled_softmax(t, v.v3, v.m34, (moon_log_q){NULL, &v.m44}, NULL, &out));
  NO("sampled_softmax: [3] against log q of [4]", moon_op_sampled_softmax(t, v.v3, v.m34, (moon_log_q){&v.v4, NULL}, NULL, &out));
  NO("info_nce: [2, 3] against [3, 4]", moon_op_info_nce(t, v.m23, v.m34, &(moon_info_nce){.temperature = 1}, &out));
  NO("info_nce: a temperature of 0", moon_op_info_nce(t, v.m23, v.m23, &(moon_info_nce){.temperature = 0}, &out));
  NO("info_nce: [2, 3] against log q of [3]",
     moon_op_info_nce(t, v.m23, v.m23, &(moon_info_nce){.temperature = 1, .log_q = &v.v3}, &out));
  assert_int_equal(out.id, 77);
  moon_tape_free(t);
}

/* An input's NaN must be seen in the value and come back in the gradient, or training goes on with broken data. */
static void nan_stays_visible(void **state) {
  (void)state;
  static moon_status (*const ops[])(moon_tape *, moon_var, moon_var *) = {
      moon_op_neg, moon_op_abs, moon_op_sqrt, moon_op_softplus, moon_op_gelu, moon_op_log_softmax, moon_op_l2_normalise};
  static const uint32_t class[1] = {0};
  float data[3] = {0.5f, NAN, 0.25f}, weight[3] = {1, NAN, 2};
  moon_tensor *x, *grad;
  OK(moon_tensor_from(MOON_F32, SHAPE(1, 3), data, &x));
  OK(moon_tensor_new(MOON_F32, SHAPE(1, 3), &grad));
  moon_tape *t;
  moon_var a, y, w;
  OK(moon_tape_new(&t));
  for (size_t i = 0; i < 15; i++) {
    moon_tape_reset(t);
    moon_tensor_fill(grad, 0);
    OK(moon_tape_leaf(t, x, grad, &a));
    OK(moon_tape_constant(t, MOON_F32, SHAPE(1, 3), weight, &w));
    if (i < 7) OK(ops[i](t, a, &y));
    if (i == 7) OK(moon_op_clip(t, a, -1, 1, &y));
    if (i == 8) OK(moon_op_leaky_relu(t, a, 0.1, &y));
    if (i == 9) OK(moon_op_maximum(t, a, constant(t, SHAPE(3)), &y));
    if (i == 14) OK(moon_op_minimum(t, constant(t, SHAPE(3)), a, &y)); /* NaN on the other side */
    if (i == 10) OK(moon_op_max_along(t, a, 1, true, &y));
    if (i == 11) OK(moon_op_cross_entropy(t, a, class, MOON_NONE, NULL, &y));
    if (i == 12) OK(moon_op_bpr(t, a, constant(t, SHAPE(1, 3)), NULL, &y));
    if (i == 13) OK(moon_op_hinge(t, a, constant(t, SHAPE(1, 3)), 1, NULL, &y));
    if (i < 11 || i == 14) OK(moon_op_mul(t, y, w, &y));
    OK(moon_op_sum(t, y, &y));
    if (!isnan(*(const float *)moon_var_data(t, y))) fail_msg("op %zu loses a NaN", i);
    OK(moon_tape_backward(t, y));
    if (i != 13 && !isnan(((float *)moon_tensor_data(grad))[1]))
      fail_msg("op %zu loses a NaN on its way back", i); /* hinge's slope is a step */
  }
  moon_tape_free(t);
  moon_tensor_free(x), moon_tensor_free(grad);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(shapes_are_named_by_ops_on_elements), cmocka_unit_test(shapes_are_named_by_layers),
      cmocka_unit_test(batch_norm_refuses_what_it_cannot_count), cmocka_unit_test(shapes_are_named_by_losses),
      cmocka_unit_test(nan_stays_visible),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

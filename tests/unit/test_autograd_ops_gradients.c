/* test_autograd_ops_gradients.c - every op beyond the first ones, over shapes with 1s, odd sizes, broadcasting and inputs used twice. */
#include "op_check.h"

/* Bytes for masks, ids for rows, classes and lengths: each op takes as many as it needs. */
static const uint8_t mask_bytes[64] = {1, 0, 0, 1, 1, 0, 1, 0, 0, 0, 1, 1, 1, 0, 1, 0, 0, 1, 0, 1, 1, 1,
                                       0, 0, 1, 0, 1, 1, 0, 0, 1, 0, 0, 1, 1, 0, 1, 0, 0, 1, 0, 1, 1, 1,
                                       0, 1, 0, 0, 1, 1, 0, 1, 0, 0, 0, 1, 1, 0, 1, 1, 0, 1, 0, 0};
static const uint32_t ids_small[12] = {1, 0, 2, 1, 1, 0, 2, 2, 0, 1, 0, 2};

/* ---- ops under one signature -------------------------------------------------------------------------------------------------- */

OP(neg, moon_op_neg(t, in[0], out))
OP(abs_, moon_op_abs(t, in[0], out))
OP(sqrt_, moon_op_sqrt(t, in[0], out))
OP(pow_, moon_op_pow(t, in[0], number, out))
OP(clip, moon_op_clip(t, in[0], -number, number, out))
OP(softplus, moon_op_softplus(t, in[0], out))
OP(leaky, moon_op_leaky_relu(t, in[0], number, out))
OP(gelu, moon_op_gelu(t, in[0], out))
OP(maximum, moon_op_maximum(t, in[0], in[1], out))
OP(minimum, moon_op_minimum(t, in[0], in[1], out))
OP(maximum_self, moon_op_maximum(t, in[0], in[0], out))
OP(where_flat, moon_op_where(t, mask_bytes, SHAPE((size_t)number), in[0], in[1], out))
OP(where_column, moon_op_where(t, mask_bytes, SHAPE((size_t)number, 1), in[0], in[1], out))
OP(where_scalar, moon_op_where(t, mask_bytes + (size_t)number, 0, NULL, in[0], in[1], out))
OP(where_self, moon_op_where(t, mask_bytes, SHAPE((size_t)number), in[0], in[0], out))
OP(masked_fill, moon_op_masked_fill(t, in[0], mask_bytes, SHAPE((size_t)number), -7.5, out))
OP(masked_fill_rows, moon_op_masked_fill(t, in[0], mask_bytes, SHAPE((size_t)number, 1), -7.5, out))
OP(permute3, moon_op_permute(t, in[0], (int[]){(int)number / 100, (int)number / 10 % 10, (int)number % 10}, out))
OP(permute4, moon_op_permute(t, in[0], (int[]){0, 2, 1, 3}, out))
OP(permute6, moon_op_permute(t, in[0], (int[]){5, 3, 1, 0, 2, 4}, out))
OP(permute0, moon_op_permute(t, in[0], NULL, out))
OP(broadcast3, moon_op_broadcast_to(t, in[0], SHAPE(4, 3, 2), out))
OP(broadcast_none, moon_op_broadcast_to(t, in[0], SHAPE(0, 3), out))
OP(stack, moon_op_stack(t, in, 3, (int)number, out))
OP(stack_self, moon_op_stack(t, (moon_var[]){in[0], in[0]}, 2, (int)number, out))
OP(stack_one, moon_op_stack(t, in, 1, (int)number, out))
OP(pad1, moon_op_pad(t, in[0], (size_t[]){2}, (size_t[]){(size_t)number}, out))
OP(pad3, moon_op_pad(t, in[0], (size_t[]){0, 2, 1}, (size_t[]){1, 0, (size_t)number}, out))
OP(select_rows, moon_op_select_rows(t, in[0], ids_small, (size_t)number, out))
OP(sum_along, moon_op_sum_along(t, in[0], (int)number % 10, number >= 10, out))
OP(mean_along, moon_op_mean_along(t, in[0], (int)number % 10, number >= 10, out))
OP(max_along, moon_op_max_along(t, in[0], (int)number % 10, number >= 10, out))
OP(log_softmax, moon_op_log_softmax(t, in[0], out))
OP(l2_normalise, moon_op_l2_normalise(t, in[0], out))
OP(bmm, moon_op_bmm(t, in[0], in[1], (int)number & 1, (int)number & 2, out))
OP(bmm_self, moon_op_bmm(t, in[0], in[0], (int)number & 1, (int)number & 2, out))
OP(layer_norm, moon_op_layer_norm(t, in[0], in[1], in[2], number, out))
OP(layer_norm_self, moon_op_layer_norm(t, in[0], in[0], in[0], 1e-3, out))
OP(fm, moon_op_fm(t, in[0], out))
OP(cross, moon_op_cross(t, in[0], in[1], in[2], in[3], out))
OP(cross_first, moon_op_cross(t, in[0], in[0], in[1], in[2], out))
OP(gru, moon_op_gru(t, in[0], in[1], in[2], in[3], in[4], number ? ids_small : NULL, out))
OP(bpr_self, moon_op_bpr(t, in[0], in[0], NULL, out))

static moon_status dropout(moon_tape *t, const moon_var *in, double number, moon_var *out) {
  moon_rng key;
  moon_rng_seed(&key, 4, 2);
  return moon_op_dropout(t, in[0], number, &key, true, out);
}

/* Fixed numbers in (-4, 0), or (0, 1) where they are targets, as a constant of the leaf's type. */
static moon_var fixed(moon_tape *t, moon_var like, int dims, const size_t *shape, bool target) {
  static const float single[24] = {-1, -2,    -0.5f, -3, -1.5f, -0.25f, -2, -1,    -2.5f, -1, -4,   -0.75f,
                                   -1, -2.5f, -0.5f, -3, -1.5f, -0.25f, -2, -3.5f, -3,    -2, -0.5f, -1};
  static float single_target[24];
  static double wide[24], wide_target[24];
  moon_var out;
  for (int i = 0; i < 24; i++) wide[i] = single[i], wide_target[i] = single_target[i] = single[i] / -4;
  const void *data = moon_var_dtype(t, like) == MOON_F32 ? (target ? (const void *)single_target : single)
                     : target                            ? wide_target
                                                         : wide;
  OK(moon_tape_constant(t, moon_var_dtype(t, like), dims, shape, data, &out));
  return out;
}
/* number: the positive weight; negative: weights too */
static moon_status bce(moon_tape *t, const moon_var *in, double number, moon_var *out) {
  moon_var target = fixed(t, in[0], moon_var_dims(t, in[0]), moon_var_shape(t, in[0]), true),
           w = fixed(t, in[0], SHAPE(moon_var_count(t, in[0])), false);
  return moon_op_bce_logits_weighted(t, in[0], target, number < 0 ? &w : NULL, fabs(number), out);
}
static moon_status bpr(moon_tape *t, const moon_var *in, double number, moon_var *out) {
  moon_var w = fixed(t, in[0], SHAPE(moon_var_count(t, in[0])), false);
  return moon_op_bpr(t, in[0], in[1], number != 0 ? &w : NULL, out);
}
static moon_status hinge(moon_tape *t, const moon_var *in, double number, moon_var *out) {
  moon_var w = fixed(t, in[0], SHAPE(moon_var_count(t, in[0])), false);
  return moon_op_hinge(t, in[0], in[1], 0.45, number != 0 ? &w : NULL, out);
}
/* number: the class that is ignored, negative: none; and weights */
static moon_status cross_entropy(moon_tape *t, const moon_var *in, double number, moon_var *out) {
  moon_var w = fixed(t, in[0], SHAPE(moon_var_shape(t, in[0])[0]), false);
  return moon_op_cross_entropy(t, in[0], ids_small, number < 0 ? MOON_NONE : (uint32_t)number, number == 0 ? &w : NULL, out);
}

/* Batch statistics drift with every call, so each call gets its own running ones. */
static moon_status batch_norm(moon_tape *t, const moon_var *in, double number, moon_var *out) {
  moon_tensor *mean, *var;
  size_t d = moon_var_count(t, in[1]);
  OK(moon_tensor_new(moon_var_dtype(t, in[0]), SHAPE(d), &mean));
  OK(moon_tensor_new(moon_var_dtype(t, in[0]), SHAPE(d), &var));
  moon_tensor_fill(mean, 0.3), moon_tensor_fill(var, 1.7);
  moon_status st = moon_op_batch_norm(t, in[0], in[1], in[2], mean, var, 0.1, 1e-3, number != 0, out);
  moon_tensor_free(mean), moon_tensor_free(var);
  return st;
}

/* number: 1 causal, 2 lengths, 4 mask, 8 another scale, 16 two heads in rows */
static moon_status attention(moon_tape *t, const moon_var *in, double number, moon_var *out) {
  int n = (int)number;
  moon_attention how = {n & 16 ? 2 : 0, n & 8 ? -0.7 : 0, n & 1, n & 2 ? ids_small : NULL, n & 4 ? mask_bytes : NULL};
  return moon_op_attention(t, in[0], in[1], in[2], &how, out);
}
OP(attention_self, moon_op_attention(t, in[0], in[0], in[0], &(moon_attention){.causal = number != 0}, out))

/* number: 1 log q of positives, 2 log q of negatives, 4 weights, 8 log q of negatives for all rows alike */
static moon_status sampled(moon_tape *t, const moon_var *in, double number, moon_var *out) {
  int n = (int)number, dims = moon_var_dims(t, in[1]);
  size_t rows = moon_var_count(t, in[0]), shape[2];
  memcpy(shape, moon_var_shape(t, in[1]), (size_t)dims * sizeof *shape);
  moon_var q_pos = fixed(t, in[0], SHAPE(rows), false), w = q_pos;
  moon_var q_neg = n & 8 ? fixed(t, in[0], SHAPE(shape[dims - 1]), false) : fixed(t, in[0], dims, shape, false);
  return moon_op_sampled_softmax(t, in[0], in[1], (moon_log_q){n & 1 ? &q_pos : NULL, n & 2 ? &q_neg : NULL}, n & 4 ? &w : NULL,
                                 out);
}

/* number: 1 log q, 2 ids, 4 weights */
static moon_status info_nce(moon_tape *t, const moon_var *in, double number, moon_var *out) {
  int n = (int)number;
  moon_var c = fixed(t, in[0], SHAPE(moon_var_shape(t, in[0])[0]), false);
  return moon_op_info_nce(t, in[0], in[1], &(moon_info_nce){0.4, n & 1 ? &c : NULL, n & 2 ? ids_small : NULL, n & 4 ? &c : NULL},
                          out);
}
OP(info_nce_self, moon_op_info_nce(t, in[0], in[0], &(moon_info_nce){.temperature = number}, out))

/* ---- the table ---------------------------------------------------------------------------------------------------------------- */

/* clang-format off */
static const op_case cases[] = {
    {"neg", neg, 0, 1, {S(2, 1, 3)}, -2, 2}, {"neg", neg, 0, 1, {SCALAR}, -2, 2}, {"abs", abs_, 0, 1, {S(7)}, -2, 2}, {"abs", abs_, 0, 1, {S(3, 17)}, -2, 2},
    {"sqrt", sqrt_, 0, 1, {S(5)}, 0.3, 3}, {"sqrt", sqrt_, 0, 1, {S(1, 33)}, 0.3, 3},
    {"pow", pow_, 2, 1, {S(5)}, -2, 2}, {"pow", pow_, 3, 1, {S(3, 7)}, -2, 2}, {"pow", pow_, 0.5, 1, {S(5)}, 0.3, 3}, {"pow", pow_, -1.5, 1, {S(5)}, 0.3, 3},
    {"pow", pow_, 0, 1, {S(5)}, -2, 2}, {"pow", pow_, 1, 1, {S(5)}, -2, 2}, {"pow", pow_, -1, 1, {S(1)}, 0.5, 3},
    {"clip", clip, 1, 1, {S(37)}, -2, 2}, {"clip", clip, 5, 1, {S(2, 2)}, -2, 2}, {"softplus", softplus, 0, 1, {S(41)}, -6, 6}, {"softplus", softplus, 0, 1, {SCALAR}, -6, 6},
    {"leaky_relu", leaky, 0.2, 1, {S(3, 11)}, -2, 2}, {"leaky_relu", leaky, -0.5, 1, {S(3)}, -2, 2}, {"gelu", gelu, 0, 1, {S(41)}, -4, 4}, {"gelu", gelu, 0, 1, {S(2, 1)}, -4, 4},
    {"maximum(x, x)", maximum_self, 0, 1, {S(5)}, -2, 2},
    {"where", where_flat, 3, 2, {S(2, 3), S(2, 3)}, -2, 2}, {"where", where_flat, 5, 2, {S(4, 1), S(5)}, -2, 2}, {"where", where_flat, 7, 2, {SCALAR, S(1)}, -2, 2},
    {"where", where_column, 4, 2, {S(4, 3), S(3)}, -2, 2}, {"where", where_column, 6, 2, {S(1), S(5)}, -2, 2}, {"where", where_scalar, 0, 2, {S(4), S(2, 1)}, -2, 2},
    {"where", where_scalar, 1, 2, {S(4), S(2, 1)}, -2, 2}, {"where", where_flat, 1, 2, {S(2, 0), S(2, 1)}, -2, 2}, {"where(x, x)", where_self, 5, 1, {S(2, 5)}, -2, 2},
    {"masked_fill", masked_fill, 5, 1, {S(3, 5)}, -2, 2}, {"masked_fill", masked_fill, 1, 1, {S(5)}, -2, 2}, {"masked_fill", masked_fill_rows, 4, 1, {S(2, 4, 3)}, -2, 2},
    {"permute", permute3, 12, 1, {S(2, 3, 5)}, -2, 2}, {"permute", permute3, 210, 1, {S(2, 3, 5)}, -2, 2}, {"permute", permute3, 102, 1, {S(4, 3, 7)}, -2, 2},
    {"permute", permute3, 120, 1, {S(2, 1, 5)}, -2, 2}, {"permute", permute3, 201, 1, {S(1, 1, 1)}, -2, 2}, {"permute", permute3, 210, 1, {S(2, 0, 5)}, -2, 2},
    {"permute", permute3, 21, 1, {S(2, 19, 35)}, -2, 2}, {"permute", permute3, 210, 1, {S(17, 2, 18)}, -2, 2}, {"permute", permute4, 0, 1, {S(2, 3, 4, 5)}, -2, 2}, {"permute", permute6, 0, 1, {S(2, 1, 3, 2, 1, 2)}, -2, 2}, {"permute", permute0, 0, 1, {SCALAR}, -2, 2},
    {"broadcast_to", broadcast3, 0, 1, {S(4, 3, 2)}, -2, 2}, {"broadcast_to", broadcast3, 0, 1, {S(2)}, -2, 2}, {"broadcast_to", broadcast3, 0, 1, {S(3, 1)}, -2, 2},
    {"broadcast_to", broadcast3, 0, 1, {S(4, 1, 2)}, -2, 2}, {"broadcast_to", broadcast3, 0, 1, {S(1, 1, 1)}, -2, 2}, {"broadcast_to", broadcast3, 0, 1, {SCALAR}, -2, 2},
    {"broadcast_to", broadcast_none, 0, 1, {S(1, 3)}, -2, 2},
    {"stack", stack, 0, 3, {S(2, 3), S(2, 3), S(2, 3)}, -2, 2}, {"stack", stack, 1, 3, {S(2, 3), S(2, 3), S(2, 3)}, -2, 2}, {"stack", stack, 2, 3, {S(2, 3), S(2, 3), S(2, 3)}, -2, 2},
    {"stack", stack, 0, 3, {SCALAR, SCALAR, SCALAR}, -2, 2}, {"stack", stack, 1, 3, {S(1), S(1), S(1)}, -2, 2}, {"stack", stack_one, 1, 1, {S(3, 2)}, -2, 2},
    {"stack(x, x)", stack_self, 1, 1, {S(3, 2)}, -2, 2}, {"stack", stack, 1, 3, {S(2, 0), S(2, 0), S(2, 0)}, -2, 2},
    {"pad", pad1, 0, 1, {S(3)}, -2, 2}, {"pad", pad1, 3, 1, {S(1)}, -2, 2}, {"pad", pad1, 1, 1, {S(0)}, -2, 2}, {"pad", pad3, 0, 1, {S(2, 3, 4)}, -2, 2}, {"pad", pad3, 2, 1, {S(1, 1, 1)}, -2, 2},
    {"select_rows", select_rows, 12, 1, {S(3, 5)}, -2, 2}, {"select_rows", select_rows, 1, 1, {S(3)}, -2, 2}, {"select_rows", select_rows, 0, 1, {S(3, 2)}, -2, 2},
    {"select_rows", select_rows, 7, 1, {S(4, 2, 3)}, -2, 2},
    {"log_softmax", log_softmax, 0, 1, {S(5)}, -3, 3}, {"log_softmax", log_softmax, 0, 1, {S(3, 1)}, -3, 3}, {"log_softmax", log_softmax, 0, 1, {S(2, 3, 19)}, -3, 3}, {"log_softmax", log_softmax, 0, 1, {SCALAR}, -3, 3},
    {"l2_normalise", l2_normalise, 0, 1, {S(5)}, -2, 2}, {"l2_normalise", l2_normalise, 0, 1, {S(3, 1)}, -2, 2}, {"l2_normalise", l2_normalise, 0, 1, {S(2, 3, 19)}, -2, 2}, {"l2_normalise", l2_normalise, 0, 1, {S(4, 33)}, -2, 2},
    {"layer_norm", layer_norm, 1e-5, 3, {S(3, 7), S(7), S(7)}, -2, 2}, {"layer_norm", layer_norm, 1e-3, 3, {S(2, 3, 17), S(17), S(17)}, -2, 2}, {"layer_norm", layer_norm, 0.5, 3, {S(4, 1), S(1), S(1)}, -2, 2},
    {"layer_norm", layer_norm, 1e-5, 3, {S(33), S(33), S(33)}, -2, 2}, {"layer_norm", layer_norm, 1e-5, 3, {S(0, 3), S(3), S(3)}, -2, 2}, {"layer_norm(x, x, x)", layer_norm_self, 0, 1, {S(5)}, -2, 2},
    {"batch_norm", batch_norm, 1, 3, {S(5, 3), S(3), S(3)}, -2, 2}, {"batch_norm", batch_norm, 1, 3, {S(2, 3, 17), S(17), S(17)}, -2, 2}, {"batch_norm", batch_norm, 1, 3, {S(9, 1), S(1), S(1)}, -2, 2},
    {"batch_norm", batch_norm, 1, 3, {S(3, 70), S(70), S(70)}, -2, 2}, {"batch_norm", batch_norm, 0, 3, {S(5, 3), S(3), S(3)}, -2, 2}, {"batch_norm", batch_norm, 0, 3, {S(1, 70), S(70), S(70)}, -2, 2}, {"batch_norm", batch_norm, 0, 3, {S(4), S(4), S(4)}, -2, 2},
    {"dropout", dropout, 0.4, 1, {S(37)}, -2, 2}, {"dropout", dropout, 0, 1, {S(2, 3)}, -2, 2}, {"dropout", dropout, 0.9, 1, {S(4, 5)}, -2, 2},
    {"fm", fm, 0, 1, {S(3, 4, 5)}, -2, 2}, {"fm", fm, 0, 1, {S(1, 1, 3)}, -2, 2}, {"fm", fm, 0, 1, {S(2, 5, 1)}, -2, 2}, {"fm", fm, 0, 1, {S(2, 0, 3)}, -2, 2},
    {"cross", cross, 0, 4, {S(3, 5), S(3, 5), S(5, 5), S(5)}, -1, 1}, {"cross", cross, 0, 4, {S(1, 1), S(1, 1), S(1, 1), S(1)}, -1, 1}, {"cross(x, x)", cross_first, 0, 3, {S(4, 3), S(3, 3), S(3)}, -1, 1},
    {"gru", gru, 0, 5, {S(2, 4, 3), S(3, 15), S(5, 15), S(15), S(15)}, -1, 1}, {"gru", gru, 0, 5, {S(1, 1, 1), S(1, 3), S(1, 3), S(3), S(3)}, -1, 1}, {"gru", gru, 1, 5, {S(4, 3, 2), S(2, 9), S(3, 9), S(9), S(9)}, -1, 1},
    {"gru", gru, 1, 5, {S(3, 2, 5), S(5, 51), S(17, 51), S(51), S(51)}, -1, 1}, {"gru", gru, 0, 5, {S(3, 7, 1), S(1, 6), S(2, 6), S(6), S(6)}, -1, 1}, {"gru", gru, 0, 5, {S(2, 0, 3), S(3, 6), S(2, 6), S(6), S(6)}, -1, 1},
    {"bce_logits_weighted", bce, 1, 1, {S(6)}, -3, 3}, {"bce_logits_weighted", bce, -3.5, 1, {S(6, 1)}, -3, 3}, {"bce_logits_weighted", bce, -0.2, 1, {S(2, 11)}, -3, 3}, {"bce_logits_weighted", bce, 2, 1, {S(1)}, -3, 3},
    {"bpr", bpr, 0, 2, {S(7), S(7)}, -3, 3}, {"bpr", bpr, 1, 2, {S(7, 1), S(7)}, -3, 3}, {"bpr", bpr, 0, 2, {S(2, 3), S(2, 3)}, -3, 3}, {"bpr", bpr, 0, 2, {S(1), S(1)}, -3, 3}, {"bpr(x, x)", bpr_self, 0, 1, {S(3)}, -3, 3},
    {"hinge", hinge, 0, 2, {S(9), S(9)}, -3, 3}, {"hinge", hinge, 1, 2, {S(2, 5), S(2, 5)}, -3, 3}, {"hinge", hinge, 0, 2, {S(1), S(1)}, -3, 3},
    {"cross_entropy", cross_entropy, -1, 1, {S(5, 3)}, -3, 3}, {"cross_entropy", cross_entropy, 0, 1, {S(12, 3)}, -3, 3}, {"cross_entropy", cross_entropy, 1, 1, {S(1, 3)}, -3, 3}, {"cross_entropy", cross_entropy, 2, 1, {S(7, 21)}, -3, 3},
    {"sampled_softmax", sampled, 0, 2, {S(4), S(4, 3)}, -3, 3}, {"sampled_softmax", sampled, 7, 2, {S(4), S(4, 5)}, -3, 3}, {"sampled_softmax", sampled, 3, 2, {S(4), S(3)}, -3, 3}, {"sampled_softmax", sampled, 10, 2, {S(4, 1), S(4, 3)}, -3, 3},
    {"sampled_softmax", sampled, 1, 2, {S(1), S(1, 1)}, -3, 3}, {"sampled_softmax", sampled, 0, 2, {S(3), S(3, 0)}, -3, 3},
    {"info_nce", info_nce, 0, 2, {S(5, 3), S(5, 3)}, -1, 1}, {"info_nce", info_nce, 1, 2, {S(4, 1), S(4, 1)}, -1, 1}, {"info_nce", info_nce, 2, 2, {S(6, 3), S(6, 3)}, -1, 1}, {"info_nce", info_nce, 7, 2, {S(7, 17), S(7, 17)}, -1, 1},
    {"info_nce", info_nce, 0, 2, {S(1, 3), S(1, 3)}, -1, 1}, {"info_nce(x, x)", info_nce_self, 0.5, 1, {S(4, 3)}, -1, 1},
};

static const shape pairs[][2] = {
    {S(3), S(3)}, {S(1), S(1)}, {SCALAR, SCALAR}, {S(2, 3), S(3)}, {S(3), S(2, 3)}, {S(2, 3), S(2, 1)}, {S(2, 1), S(1, 3)}, {SCALAR, S(2, 3)}, {S(2, 3), SCALAR},
    {S(2, 1, 4), S(3, 1)}, {S(4, 1, 2), S(1, 3, 1)}, {S(2, 1, 2, 1, 3, 1), S(1, 3, 1, 2, 1, 2)}, {S(5, 33), S(33)}, {S(5, 33), S(5, 33)}, {S(0, 3), S(3)}, {S(2, 0), S(2, 1)},
};
static const shape along[] = {S(5), S(1), S(3, 4), S(4, 1), S(1, 7), S(2, 3, 5), S(3, 1, 2), S(2, 70), S(2, 3, 65), S(70, 2)};
/* a and b as multiplied, [.., n, k] by [.., k, m]; turned on the way where a flag says so. */
static const shape products[][2] = {
    {S(2, 3), S(3, 4)}, {S(1, 1), S(1, 1)}, {S(5, 2, 3), S(5, 3, 4)}, {S(5, 2, 3), S(3, 4)}, {S(2, 3), S(5, 3, 4)}, {S(5, 2, 3), S(1, 3, 4)}, {S(1, 2, 3), S(5, 3, 4)},
    {S(2, 3, 4, 5), S(2, 3, 5, 1)}, {S(2, 1, 4, 5), S(3, 5, 2)}, {S(2, 1, 1, 4), S(1, 3, 4, 1)}, {S(3, 1, 1, 2, 2), S(2, 1, 2, 3)}, {S(7, 1, 1), S(7, 1, 1)}, {S(2, 3, 0), S(2, 0, 4)}, {S(0, 2, 3), S(0, 3, 4)}, {S(0, 2, 3), S(3, 4)},
    {S(4, 1, 9), S(4, 9, 1)}, {S(2, 17, 3), S(2, 3, 19)},
};
/* q, k, v; the first have as many queries as keys */
static const shape heads[][3] = {
    {S(3, 2, 4, 5), S(3, 2, 4, 5), S(3, 2, 4, 5)}, {S(1, 1, 1, 1), S(1, 1, 1, 1), S(1, 1, 1, 1)}, {S(2, 1, 3, 4), S(2, 1, 3, 4), S(2, 1, 3, 2)}, {S(1, 3, 19, 2), S(1, 3, 19, 2), S(1, 3, 19, 1)},
    {S(3, 2, 1, 5), S(3, 2, 4, 5), S(3, 2, 4, 5)}, {S(2, 1, 5, 3), S(2, 1, 2, 3), S(2, 1, 2, 4)},
};
/* clang-format on */

/* ---- checking ------------------------------------------------------------------------------------------------------------------- */

static void every_op_has_the_numeric_gradient(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check_op(&cases[i], true, 4e-6);
}

static void choices_broadcast_either_side(void **state) {
  (void)state;
  static const op_case ops[] = {{"maximum", maximum}, {"minimum", minimum}};
  for (size_t o = 0; o < 2; o++)
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
      op_case c = ops[o];
      c.n = 2, c.low = -2, c.high = 2;
      memcpy(c.in, pairs[i], sizeof pairs[i]);
      check_op(&c, true, 2e-6);
    }
}

static void reductions_work_along_every_dimension(void **state) {
  (void)state;
  static const op_case ops[] = {{"sum_along", sum_along}, {"mean_along", mean_along}, {"max_along", max_along}};
  for (size_t o = 0; o < 3; o++)
    for (size_t i = 0; i < sizeof along / sizeof *along; i++)
      for (int dim = 0; dim < along[i].dims; dim++)
        for (int keep = 0; keep < 2; keep++) {
          op_case c = ops[o];
          c.n = 1, c.low = -2, c.high = 2, c.number = dim + 10 * keep, c.in[0] = along[i];
          check_op(&c, true, 2e-6);
        }
}

static shape turned(shape s) {
  size_t last = s.size[s.dims - 1];
  s.size[s.dims - 1] = s.size[s.dims - 2], s.size[s.dims - 2] = last;
  return s;
}

static void batched_products_turn_and_broadcast(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof products / sizeof *products; i++)
    for (int flags = 0; flags < 4; flags++) {
      op_case c = {"bmm", bmm, flags, 2, {products[i][0], products[i][1]}, -2, 2};
      if (flags & 1) c.in[0] = turned(c.in[0]);
      if (flags & 2) c.in[1] = turned(c.in[1]);
      check_op(&c, true, 2e-6);
    }
  for (int flags = 0; flags < 4; flags++) check_op(&(op_case){"bmm(x, x)", bmm_self, flags, 1, {S(3, 4, 4)}, -2, 2}, true, 4e-6);
}

static void attention_has_the_numeric_gradient_under_every_mask(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
    for (int flags = 0; flags < 16; flags++) {
      op_case c = {"attention", attention, flags, 3, {heads[i][0], heads[i][1], heads[i][2]}, -1, 1};
      if (flags & 1 && c.in[0].size[2] != c.in[1].size[2]) continue;
      if (i == 1 && flags & 2) c.in[0].size[0] = c.in[1].size[0] = c.in[2].size[0] = 2; /* lengths 1 and 0 */
      check_op(&c, true, 2e-6);
    }
  check_op(&(op_case){"attention(x, x, x)", attention_self, 1, 1, {S(2, 2, 5, 3)}, -1, 1}, true, 2e-6);
  for (int flags = 16; flags < 18; flags++) /* in rows; more than one tile of queries and of keys */
    check_op(&(op_case){"attention", attention, flags, 3, {S(1, 18, 4), S(1, 18, 4), S(1, 18, 6)}, -1, 1}, true, 2e-6);
  check_op(&(op_case){"attention", attention, 0, 3, {S(1, 1, 17, 2), S(1, 1, 35, 2), S(1, 1, 35, 3)}, -1, 1}, true, 2e-6);
}

/* ---- values by the plain loop ----------------------------------------------------------------------------------------------------- */

static void a_batched_product_is_the_product_of_each(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 9, 1);
  moon_tensor *a = random_tensor(&rng, MOON_F64, SHAPE(2, 1, 3, 4), -1, 1),
              *b = random_tensor(&rng, MOON_F64, SHAPE(5, 2, 4), -1, 1);
  const double *x = moon_tensor_data(a), *w = moon_tensor_data(b);
  moon_tape *tape;
  moon_var va, vb, y;
  OK(moon_tape_new(&tape));
  OK(moon_tape_leaf(tape, a, NULL, &va));
  OK(moon_tape_leaf(tape, b, NULL, &vb));
  OK(moon_op_bmm(tape, va, vb, false, true, &y));
  assert_true(moon_shape_equal(SHAPE(2, 5, 3, 2), moon_var_dims(tape, y), moon_var_shape(tape, y)));
  const double *got = moon_var_data(tape, y);
  for (size_t i = 0; i < 2; i++)
    for (size_t j = 0; j < 5; j++)
      for (size_t n = 0; n < 3; n++)
        for (size_t m = 0; m < 2; m++) {
          double want = 0;
          for (size_t k = 0; k < 4; k++) want += x[(i * 3 + n) * 4 + k] * w[(j * 2 + m) * 4 + k];
          NEAR(got[((i * 5 + j) * 3 + n) * 2 + m], want, 1e-12);
        }
  moon_tape_free(tape);
  moon_tensor_free(a), moon_tensor_free(b);
}

static void moves_put_elements_where_they_belong(void **state) {
  (void)state;
  double x[24];
  for (int i = 0; i < 24; i++) x[i] = i;
  moon_tape *tape;
  moon_var a, y;
  OK(moon_tape_new(&tape));
  OK(moon_tape_constant(tape, MOON_F64, SHAPE(2, 3, 4), x, &a));
  OK(moon_op_permute(tape, a, (int[]){2, 0, 1}, &y));
  assert_true(moon_shape_equal(SHAPE(4, 2, 3), moon_var_dims(tape, y), moon_var_shape(tape, y)));
  const double *got = moon_var_data(tape, y);
  for (size_t i = 0; i < 4; i++)
    for (size_t j = 0; j < 2; j++)
      for (size_t k = 0; k < 3; k++) NEAR(got[(i * 2 + j) * 3 + k], x[(j * 3 + k) * 4 + i], 0);
  OK(moon_op_pad(tape, a, (size_t[]){0, 1, 2}, (size_t[]){1, 0, 1}, &y));
  assert_true(moon_shape_equal(SHAPE(3, 4, 7), moon_var_dims(tape, y), moon_var_shape(tape, y)));
  got = moon_var_data(tape, y);
  for (size_t i = 0; i < 3; i++)
    for (size_t j = 0; j < 4; j++)
      for (size_t k = 0; k < 7; k++)
        NEAR(got[(i * 4 + j) * 7 + k], i < 2 && j >= 1 && k >= 2 && k < 6 ? x[(i * 3 + j - 1) * 4 + k - 2] : 0, 0);
  OK(moon_op_stack(tape, (moon_var[]){a, a}, 2, 1, &y));
  assert_true(moon_shape_equal(SHAPE(2, 2, 3, 4), moon_var_dims(tape, y), moon_var_shape(tape, y)));
  for (size_t i = 0; i < 48; i++) NEAR(((const double *)moon_var_data(tape, y))[i], x[i / 24 * 12 + i % 12], 0);
  OK(moon_op_select_rows(tape, a, (uint32_t[]){1, 1, 0}, 3, &y));
  for (size_t i = 0; i < 36; i++) NEAR(((const double *)moon_var_data(tape, y))[i], x[i < 24 ? 12 + i % 12 : i % 12], 0);
  moon_tape_free(tape);
}

static void max_and_maximum_route_to_the_first(void **state) {
  (void)state;
  moon_tensor *x, *grad;
  OK(moon_tensor_from(MOON_F32, SHAPE(2, 4), (float[]){1, 3, 3, 2, 5, 5, 5, 5}, &x));
  OK(moon_tensor_new(MOON_F32, SHAPE(2, 4), &grad));
  moon_tape *tape;
  moon_var a, b, y, loss;
  OK(moon_tape_new(&tape));
  OK(moon_tape_leaf(tape, x, grad, &a));
  OK(moon_op_max_along(tape, a, 1, false, &y));
  OK(moon_op_sum(tape, y, &loss));
  OK(moon_tape_backward(tape, loss));
  static const float want[8] = {0, 1, 0, 0, 1, 0, 0, 0};
  for (int i = 0; i < 8; i++) NEAR(((float *)moon_tensor_data(grad))[i], want[i], 0);
  OK(moon_op_slice(tape, a, 0, 0, 1, &b));
  OK(moon_op_maximum(tape, b, a, &y)); /* row 0 ties with itself: the first operand has it */
  OK(moon_op_sum(tape, y, &loss));
  moon_tensor_fill(grad, 0);
  OK(moon_tape_backward(tape, loss));
  NEAR(((const float *)moon_var_grad(tape, b))[1], 1, 0);
  NEAR(((float *)moon_tensor_data(grad))[6], 1, 0);
  moon_tape_free(tape);
  moon_tensor_free(x), moon_tensor_free(grad);
}

/* Against softmax of the sum written out. */
static void attention_is_the_weighted_mean_of_what_is_seen(void **state) {
  (void)state;
  enum { B = 3, T = 4, D = 2 };
  moon_rng rng;
  moon_rng_seed(&rng, 2, 2);
  moon_tensor *q = random_tensor(&rng, MOON_F32, SHAPE(B, 1, T, D), -2, 2),
              *v = random_tensor(&rng, MOON_F32, SHAPE(B, 1, T, D), -2, 2), *grads[2];
  static const uint32_t lengths[B] = {4, 2, 0};
  static const uint8_t mask[B * T] = {0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  moon_tape *tape;
  moon_var vq, vv, y, loss;
  OK(moon_tape_new(&tape));
  for (int i = 0; i < 2; i++) OK(moon_tensor_new(MOON_F32, SHAPE(B, 1, T, D), &grads[i]));
  OK(moon_tape_leaf(tape, q, grads[0], &vq));
  OK(moon_tape_leaf(tape, v, grads[1], &vv));
  OK(moon_op_attention(tape, vq, vq, vv, &(moon_attention){0, 0.5, true, lengths, mask}, &y));
  const float *got = moon_var_data(tape, y), *x = moon_tensor_data(q), *values = moon_tensor_data(v);
  for (size_t b = 0; b < B; b++)
    for (size_t i = 0; i < T; i++)
      for (size_t d = 0; d < D; d++) {
        double over = 0, sum = 0;
        for (size_t j = 0; j <= i && j < lengths[b]; j++) {
          double s = 0;
          for (size_t e = 0; e < D; e++) s += x[(b * T + i) * D + e] * x[(b * T + j) * D + e];
          double p = mask[b * T + j] ? exp(0.5 * s) : 0;
          over += p, sum += p * values[(b * T + j) * D + d];
        }
        NEAR(got[(b * T + i) * D + d], over > 0 ? sum / over : 0, 2e-6);
      }
  OK(moon_op_sum(tape, y, &loss));
  OK(moon_tape_backward(tape, loss));
  const float *gq = moon_tensor_data(grads[0]), *gv = moon_tensor_data(grads[1]);
  for (size_t i = 0; i < B * T * D; i++) {
    if (i >= D && i < 2 * T * D) continue; /* the first key is masked and its query sees it alone; batch 2 has no keys */
    NEAR(gq[i], 0, 0);
    NEAR(gv[i], 0, 0);
  }
  moon_tape_free(tape);
  moon_tensor_free(q), moon_tensor_free(v), moon_tensor_free(grads[0]), moon_tensor_free(grads[1]);
}

/* Two heads beside each other in rows, and the same apart: more queries than a tile holds, widths that are whole panels and that are not. */
static void heads_in_rows_are_heads_apart(void **state) {
  (void)state;
  enum { B = 2, H = 2 };
  static const uint32_t lengths[B] = {37, 18};
  static const int turn[4] = {0, 2, 1, 3};
  static const size_t widths[][2] = {{32, 32}, {5, 16}, {16, 7}};
  moon_rng rng;
  moon_rng_seed(&rng, 3, 2);
  for (int n = 0; n < 12; n++) {
    size_t d[3] = {widths[n / 4][0], widths[n / 4][0], widths[n / 4][1]}, t = 37;
    moon_attention how = {H, 0, n & 1, n & 2 ? lengths : NULL, NULL}, apart = how;
    apart.heads = 0;
    moon_tensor *x[3], *grads[2][3];
    moon_var y[2], loss;
    moon_tape *tape;
    OK(moon_tape_new(&tape));
    for (int i = 0; i < 3; i++) {
      x[i] = random_tensor(&rng, MOON_F64, SHAPE(B, t, H * d[i]), -1, 1);
      for (int w = 0; w < 2; w++) OK(moon_tensor_new(MOON_F64, SHAPE(B, t, H * d[i]), &grads[w][i]));
    }
    for (int w = 0; w < 2; w++) {
      moon_var in[3];
      for (int i = 0; i < 3; i++) {
        OK(moon_tape_leaf(tape, x[i], grads[w][i], &in[i]));
        if (w) OK(moon_op_reshape(tape, in[i], SHAPE(B, t, H, d[i]), &in[i]));
        if (w) OK(moon_op_permute(tape, in[i], turn, &in[i]));
      }
      OK(moon_op_attention(tape, in[0], in[1], in[2], w ? &apart : &how, &y[w]));
      if (w) OK(moon_op_permute(tape, y[w], turn, &y[w]));
      if (w) OK(moon_op_reshape(tape, y[w], SHAPE(B, t, H * d[2]), &y[w]));
      moon_var square;
      OK(moon_op_mul(tape, y[w], y[w], &square));
      OK(moon_op_sum(tape, square, &loss));
      OK(moon_tape_backward(tape, loss));
    }
    const double *a = moon_var_data(tape, y[0]), *b = moon_var_data(tape, y[1]);
    for (size_t i = 0; i < moon_var_count(tape, y[0]); i++) NEAR(a[i], b[i], 0);
    for (int i = 0; i < 3; i++) {
      const double *ga = moon_tensor_data(grads[0][i]), *gb = moon_tensor_data(grads[1][i]);
      for (size_t j = 0; j < B * t * H * d[i]; j++) NEAR(ga[j], gb[j], 0);
      moon_tensor_free(x[i]), moon_tensor_free(grads[0][i]), moon_tensor_free(grads[1][i]);
    }
    moon_tape_free(tape);
  }
}

static void running_statistics_follow_the_batches(void **state) {
  (void)state;
  moon_tensor *x, *mean, *var, *one, *zero;
  OK(moon_tensor_from(MOON_F32, SHAPE(4, 2), (float[]){1, 10, 2, 20, 3, 30, 6, 40}, &x));
  OK(moon_tensor_from(MOON_F32, SHAPE(2), (float[]){1, 1}, &one));
  OK(moon_tensor_new(MOON_F32, SHAPE(2), &zero));
  OK(moon_tensor_new(MOON_F32, SHAPE(2), &mean));
  OK(moon_tensor_from(MOON_F32, SHAPE(2), (float[]){1, 1}, &var));
  moon_tape *tape;
  moon_var a, gamma, beta, y;
  OK(moon_tape_new(&tape));
  OK(moon_tape_leaf(tape, x, NULL, &a));
  OK(moon_tape_leaf(tape, one, NULL, &gamma));
  OK(moon_tape_leaf(tape, zero, NULL, &beta));
  OK(moon_op_batch_norm(tape, a, gamma, beta, mean, var, 0.1, 0, true, &y));
  NEAR(((float *)moon_tensor_data(mean))[0], 0.3, 1e-6); /* 0.9 * 0 + 0.1 * 3 */
  NEAR(((float *)moon_tensor_data(mean))[1], 2.5, 1e-6);
  NEAR(((float *)moon_tensor_data(var))[0], 0.9 + 0.1 * 14 / 3, 1e-6); /* squares (4 + 1 + 0 + 9) / (4 - 1) */
  NEAR(((const float *)moon_var_data(tape, y))[0], -2 / sqrt(3.5), 1e-6);
  OK(moon_op_batch_norm(tape, a, gamma, beta, mean, var, 0.1, 0, false, &y));
  NEAR(((const float *)moon_var_data(tape, y))[0], 0.7 / sqrt(0.9 + 1.4 / 3), 1e-6);
  NEAR(((float *)moon_tensor_data(mean))[0], 0.3, 1e-6); /* looking on leaves them */
  moon_tape_free(tape);
  moon_tensor_free(x), moon_tensor_free(mean), moon_tensor_free(var), moon_tensor_free(one), moon_tensor_free(zero);
}

static void dropout_keeps_the_mean_and_the_key(void **state) {
  (void)state;
  enum { N = 20000 };
  static float ones[N];
  for (int i = 0; i < N; i++) ones[i] = 1;
  moon_rng key, other;
  moon_rng_seed(&key, 7, 3), moon_rng_seed(&other, 7, 4);
  moon_tape *tape;
  moon_var a, y, again, third;
  OK(moon_tape_new(&tape));
  OK(moon_tape_constant(tape, MOON_F32, SHAPE(N), ones, &a));
  OK(moon_op_dropout(tape, a, 0.3, &key, true, &y));
  OK(moon_op_dropout(tape, a, 0.3, &key, true, &again));
  OK(moon_op_dropout(tape, a, 0.3, &other, true, &third));
  const float *x = moon_var_data(tape, y);
  double sum = 0;
  for (int i = 0; i < N; i++) {
    if (x[i] != 0) NEAR(x[i], 1 / 0.7, 1e-6);
    sum += x[i];
  }
  NEAR(sum / N, 1, 0.02);
  assert_memory_equal(x, moon_var_data(tape, again), N * sizeof *x);
  assert_memory_not_equal(x, moon_var_data(tape, third), N * sizeof *x);
  OK(moon_op_dropout(tape, a, 0.3, NULL, false, &y));
  assert_int_equal(y.id, a.id);
  moon_tape_free(tape);
}

static void ignored_rows_and_weights_count_as_said(void **state) {
  (void)state;
  static const float logits[9] = {1, 2, 3, 4, 5, 6, 1, 1, 1}, w[3] = {2, 5, 0};
  static const uint32_t classes[3] = {2, 9, 0}, all[3] = {9, 9, 9};
  double row = log(exp(1) + exp(2) + exp(3)) - 3;
  moon_tensor *x, *grad;
  OK(moon_tensor_from(MOON_F32, SHAPE(3, 3), logits, &x));
  OK(moon_tensor_new(MOON_F32, SHAPE(3, 3), &grad));
  moon_tape *tape;
  moon_var z, weights, y;
  OK(moon_tape_new(&tape));
  OK(moon_tape_leaf(tape, x, grad, &z));
  OK(moon_tape_constant(tape, MOON_F32, SHAPE(3), w, &weights));
  OK(moon_op_cross_entropy(tape, z, classes, 9, NULL, &y));
  NEAR(*(const float *)moon_var_data(tape, y), (row + log(3)) / 2, 1e-6);
  OK(moon_op_cross_entropy(tape, z, classes, 9, &weights, &y));
  NEAR(*(const float *)moon_var_data(tape, y), 2 * row / 2, 1e-6);
  OK(moon_tape_backward(tape, y));
  NEAR(((float *)moon_tensor_data(grad))[0], exp(1 - 3 - row), 1e-6);
  for (int i = 3; i < 9; i++) NEAR(((float *)moon_tensor_data(grad))[i], 0, 0);
  OK(moon_op_cross_entropy(tape, z, all, 9, NULL, &y));
  NEAR(*(const float *)moon_var_data(tape, y), 0, 0);
  OK(moon_tape_backward(tape, y));
  NEAR(((float *)moon_tensor_data(grad))[0], exp(1 - 3 - row), 1e-6);
  moon_tape_free(tape);
  moon_tensor_free(x), moon_tensor_free(grad);
}

/* Large logits: the sum of exponentials would be infinite. */
static void extremes_do_not_overflow(void **state) {
  (void)state;
  static const float x[4] = {-1e4f, 100, 1e4f, 0}, y[4] = {1e4f, -100, -1e4f, 0};
  static const uint32_t classes[2] = {0, 1};
  moon_tape *tape;
  moon_var a, b, flat, out;
  OK(moon_tape_new(&tape));
  OK(moon_tape_constant(tape, MOON_F32, SHAPE(2, 2), x, &a));
  OK(moon_tape_constant(tape, MOON_F32, SHAPE(4), x, &flat));
  OK(moon_tape_constant(tape, MOON_F32, SHAPE(4), y, &b));
  OK(moon_op_cross_entropy(tape, a, classes, MOON_NONE, NULL, &out));
  NEAR(*(const float *)moon_var_data(tape, out), (10100 + 10000) / 2, 0.01);
  OK(moon_op_bpr(tape, flat, b, NULL, &out));
  NEAR(*(const float *)moon_var_data(tape, out), (20000 + log(2)) / 4, 0.01);
  OK(moon_op_log_softmax(tape, flat, &out));
  NEAR(((const float *)moon_var_data(tape, out))[2], 0, 0);
  NEAR(((const float *)moon_var_data(tape, out))[0], -20000, 0.01);
  OK(moon_op_softplus(tape, flat, &out));
  NEAR(((const float *)moon_var_data(tape, out))[2], 1e4, 0);
  OK(moon_op_gelu(tape, flat, &out));
  NEAR(((const float *)moon_var_data(tape, out))[2], 1e4, 0);
  NEAR(((const float *)moon_var_data(tape, out))[0], 0, 0);
  OK(moon_op_sampled_softmax(tape, flat, b, (moon_log_q){NULL, NULL}, NULL, &out));
  assert_true(isfinite(*(const float *)moon_var_data(tape, out)));
  OK(moon_op_l2_normalise(tape, a, &out));
  NEAR(((const float *)moon_var_data(tape, out))[0], -1, 1e-4);
  moon_tape_free(tape);
}

static void a_zero_row_has_no_direction_and_no_gradient(void **state) {
  (void)state;
  moon_tensor *x, *grad;
  OK(moon_tensor_from(MOON_F32, SHAPE(2, 2), (float[]){0, 0, 3, 4}, &x));
  OK(moon_tensor_new(MOON_F32, SHAPE(2, 2), &grad));
  moon_tape *tape;
  moon_var a, y, loss;
  OK(moon_tape_new(&tape));
  OK(moon_tape_leaf(tape, x, grad, &a));
  OK(moon_op_l2_normalise(tape, a, &y));
  OK(moon_op_sum(tape, y, &loss));
  OK(moon_tape_backward(tape, loss));
  static const float want[4] = {0, 0, 0.6f, 0.8f}, slope[4] = {0, 0, 0.2f * (1 - 0.6f * 1.4f), 0.2f * (1 - 0.8f * 1.4f)};
  for (int i = 0; i < 4; i++) {
    NEAR(((const float *)moon_var_data(tape, y))[i], want[i], 1e-7);
    NEAR(((float *)moon_tensor_data(grad))[i], slope[i], 1e-7);
  }
  moon_tape_free(tape);
  moon_tensor_free(x), moon_tensor_free(grad);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_op_has_the_numeric_gradient),
      cmocka_unit_test(choices_broadcast_either_side),
      cmocka_unit_test(reductions_work_along_every_dimension),
      cmocka_unit_test(batched_products_turn_and_broadcast),
      cmocka_unit_test(attention_has_the_numeric_gradient_under_every_mask),
      cmocka_unit_test(a_batched_product_is_the_product_of_each),
      cmocka_unit_test(moves_put_elements_where_they_belong),
      cmocka_unit_test(max_and_maximum_route_to_the_first),
      cmocka_unit_test(attention_is_the_weighted_mean_of_what_is_seen),
      cmocka_unit_test(heads_in_rows_are_heads_apart),
      cmocka_unit_test(running_statistics_follow_the_batches),
      cmocka_unit_test(dropout_keeps_the_mean_and_the_key),
      cmocka_unit_test(ignored_rows_and_weights_count_as_said),
      cmocka_unit_test(extremes_do_not_overflow),
      cmocka_unit_test(a_zero_row_has_no_direction_and_no_gradient),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

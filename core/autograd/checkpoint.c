/* checkpoint.c - a part of the graph that is forgotten after its forward run and built again on the way back.
 *
 * The part is built on a tape of its own, nested in this one and used again by every checkpoint. Its leaves borrow the outer values and,
 * in the second run, the outer gradients: what flows back on the nested tape arrives in the outer one without a copy. */
#include <string.h>

#include "autograd/tape.h"

typedef struct checkpoint {
  moon_graph_fn fn;
  void *self;
  size_t n;
  moon_var in[]; /* [n] here, then [n] on the nested tape */
} checkpoint;

static const moon_op checkpoint_op, input_op = {"input", NULL};

/* Builds the part on the nested tape; with gradients in the second run. */
static moon_status run(moon_tape *tape, checkpoint *c, bool again, moon_var *result) {
  moon_tape *nested = tape->nested;
  moon_var *leaves = c->in + c->n;
  moon_tape_reset(nested);
  nested->no_grad = !again;
  nested->checks = tape->checks;
  nested->repeats = again || tape->repeats;
  nested->scope = tape->scope;
  for (size_t i = 0; i < c->n; i++) {
    const moon_node *input = moon_node_at(tape, c->in[i]);
    moon_node *leaf;
    MOON_TRY(moon_node_push_leaf(nested, &input_op, input->dtype, input->dims, input->shape, input->value, &leaf, &leaves[i]));
    leaf->leaf_grad = again ? moon_node_grad(tape, c->in[i]) : NULL;
    leaf->needs_grad = leaf->leaf_grad || (!again && input->needs_grad);
    nested->learns |= leaf->needs_grad;
  }
  MOON_TRY(c->fn(nested, leaves, c->n, c->self, result));
  return moon_node_check(nested, &checkpoint_op, 1, result);
}

/* The second run, seeded with the gradient of its result. */
static moon_status run_back(moon_tape *tape, const moon_node *node) {
  moon_tape *nested = tape->nested;
  moon_var result;
  MOON_TRY(run(tape, node->aux, true, &result));
  if (!moon_shape_equal(moon_var_dims(nested, result), moon_var_shape(nested, result), node->dims, node->shape) ||
      moon_var_dtype(nested, result) != node->dtype)
    return moon_fail(MOON_EINVAL, "the second run answers %s, the first %s", moon_node_shape(nested, result).text,
                     moon_shape_write(node->dims, node->shape).text);
  MOON_TRY(moon_tape_reserve(nested, result));
  void *seed = moon_node_grad(nested, result);
  if (!seed) return moon_ok();
  for (size_t i = 0; i < node->count; i++) {
    if (node->dtype == MOON_F32) ((float *)seed)[i] += ((const float *)node->grad)[i];
    else ((double *)seed)[i] += ((const double *)node->grad)[i];
  }
  return moon_tape_walk(nested, result);
}

static void checkpoint_back(moon_tape *tape, moon_node *node) {
  const moon_scope *scope = tape->scope;
  tape->scope = node->scope;
  moon_status st = run_back(tape, node);
  tape->scope = scope;
  if (st.code) moon_tape_latch(tape, moon_wrap(st, "checkpoint"));
}

static const moon_op checkpoint_op = {"checkpoint", checkpoint_back};

moon_status moon_op_checkpoint(moon_tape *tape, moon_graph_fn fn, void *self, const moon_var *inputs, size_t n, moon_var *out) {
  MOON_TRY(moon_node_check(tape, &checkpoint_op, n, inputs));
  if (tape->held) return moon_fail(MOON_EINVAL, "checkpoint: its leaves would get their gradients at once, but the tape holds gradients back");
  if (!tape->nested) {
    MOON_TRY(moon_tape_new(&tape->nested));
    moon_tape_set_account(tape->nested, tape->account);
  }
  moon_tape_keep_grads(tape->nested, !tape->forgets);
  checkpoint *c = moon_tape_take(tape, sizeof *c + 2 * n * sizeof *c->in);
  if (!c) return moon_fail(MOON_ENOMEM, "checkpoint: no memory for %zu inputs", n);
  *c = (checkpoint){.fn = fn, .self = self, .n = n};
  if (n) memcpy(c->in, inputs, n * sizeof *inputs);
  moon_var result;
  moon_status st = run(tape, c, false, &result);
  if (st.code) return moon_wrap(st, "checkpoint");
  const moon_node *from = moon_node_at(tape->nested, result);
  moon_node *node;
  MOON_TRY(moon_node_push_leaf(tape, &checkpoint_op, from->dtype, from->dims, from->shape, NULL, &node, out));
  node->needs_grad = moon_tape_wants(tape, tape->nested->learns);
  node->aux = c;
  if (node->count) memcpy(node->value, from->value, node->count * moon_dtype_size(node->dtype));
  return moon_node_done(tape, *out);
}

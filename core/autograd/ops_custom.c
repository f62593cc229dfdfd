/* ops_custom.c - an op whose two functions are the caller's. They see shapes, values and gradients, never the tape. */
#include <string.h>

#include "autograd/tape.h"

typedef struct custom_aux {
  moon_op op; /* the node's own: its name is the caller's */
  moon_custom how;
  size_t n;
  moon_var in[MOON_CUSTOM_INPUTS];
  char name[];
} custom_aux;

static moon_operand operand_of(const moon_node *node) {
  return (moon_operand){
      .dtype = node->dtype, .dims = node->dims, .shape = node->shape, .count = node->count, .value = node->value};
}

static void custom_back(moon_tape *tape, moon_node *node) {
  const custom_aux *aux = node->aux;
  moon_operand in[MOON_CUSTOM_INPUTS], out = operand_of(node);
  out.grad = node->grad;
  for (size_t i = 0; i < aux->n; i++) {
    in[i] = operand_of(moon_node_at(tape, aux->in[i]));
    in[i].grad = moon_node_grad(tape, aux->in[i]);
  }
  moon_status st = aux->how.backward(aux->how.self, in, aux->n, &out);
  if (st.code) moon_tape_latch(tape, moon_wrap(st, "%s", aux->name));
}

static moon_status check_custom(const moon_tape *tape, const moon_custom *op, const moon_var *in, size_t n) {
  if (!op->name || !op->forward) return moon_fail(MOON_EINVAL, "custom: an op needs a name and a forward function");
  if (n < 1 || n > MOON_CUSTOM_INPUTS)
    return moon_fail(MOON_EINVAL, "%s: %zu inputs: a custom op has 1 to %d", op->name, n, MOON_CUSTOM_INPUTS);
  return moon_node_check(tape, &(moon_op){op->name, NULL}, n, in);
}

moon_status moon_op_custom(moon_tape *tape, const moon_custom *op, const moon_var *in, size_t n, int dims, const size_t *shape,
                           moon_var *out) {
  MOON_TRY(check_custom(tape, op, in, n));
  size_t bytes = strlen(op->name) + 1;
  custom_aux *aux = moon_tape_take(tape, sizeof *aux + bytes);
  if (!aux) return moon_fail(MOON_ENOMEM, "%s: no memory", op->name);
  *aux = (custom_aux){.op = {aux->name, op->backward ? custom_back : NULL}, .how = *op, .n = n};
  memcpy(aux->name, op->name, bytes);
  memcpy(aux->in, in, n * sizeof *in);
  moon_node *node;
  MOON_TRY(moon_node_push(tape, &aux->op, n, aux->in, dims, shape, &node, out));
  node->aux = aux;
  if (!op->backward) node->needs_grad = false;
  moon_operand inputs[MOON_CUSTOM_INPUTS], result = operand_of(node);
  for (size_t i = 0; i < n; i++) inputs[i] = operand_of(moon_node_at(tape, aux->in[i]));
  moon_status st = op->forward(op->self, inputs, n, &result, node->value);
  if (st.code) return moon_node_drop(tape, moon_wrap(st, "%s", aux->name));
  return moon_node_done(tape, *out);
}

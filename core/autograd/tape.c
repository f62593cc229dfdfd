/* tape.c - the tape: a list of nodes in order of creation, which is already a topological order, and the walk back over it.
 *
 * Values, gradients and side data come from one arena. reset keeps the memory, so the second step of a steady loop finds everything
 * in place and allocates nothing. */
#include <string.h>

#include "autograd/tape.h"

static const moon_op constant_op = {"constant", NULL}, leaf_op = {"leaf", NULL};

/* ---- life ------------------------------------------------------------------------------------------------------------------- */

moon_status moon_tape_new(moon_tape **out) {
  moon_blas_init();
  *out = moon_calloc(1, sizeof **out);
  return *out ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory for a tape");
}

void moon_tape_free(moon_tape *tape) {
  if (!tape) return;
  moon_tape_free(tape->nested);
  if (tape->counted) moon_account_release(tape->account, tape->counted);
  moon_arena_free(&tape->arena);
  moon_free(tape->nodes);
  moon_free(tape);
}

void moon_tape_reset(moon_tape *tape) {
  if (tape->arena.used_total > tape->peak) tape->peak = tape->arena.used_total;
  moon_arena_reset(&tape->arena);
  tape->n = 0;
  tape->learns = false;
  tape->scope = NULL;
}

size_t moon_tape_bytes(const moon_tape *tape) {
  size_t used = tape->arena.used_total > tape->peak ? tape->arena.used_total : tape->peak;
  return used + tape->cap * sizeof *tape->nodes + (tape->nested ? moon_tape_bytes(tape->nested) : 0);
}

void moon_tape_set_account(moon_tape *tape, moon_account *account) {
  tape->account = account;
  if (tape->nested) moon_tape_set_account(tape->nested, account);
}

/* Room in the account for what is in use and `more`. A charge holds the account, and one hold is enough. */
static bool charge(moon_tape *tape, size_t more) {
  size_t need = tape->arena.used_total + tape->n * sizeof *tape->nodes;
  if (!tape->account) return true;
  if (__builtin_add_overflow(need, more, &need)) return false;
  if (need <= tape->counted) return true;
  if (moon_account_charge(tape->account, need - tape->counted).code) return false;
  if (tape->counted) moon_account_release(tape->account, 0);
  tape->counted = need;
  return true;
}

void *moon_tape_take(moon_tape *tape, size_t bytes) {
  return charge(tape, bytes) ? moon_arena_alloc_aligned(&tape->arena, bytes) : NULL;
}

/* ---- nodes ------------------------------------------------------------------------------------------------------------------ */

moon_status moon_node_check(const moon_tape *tape, const moon_op *op, size_t n, const moon_var *in) {
  for (size_t i = 0; i < n; i++) {
    if (in[i].id >= tape->n) return moon_fail(MOON_EINVAL, "%s: input %zu is not on this tape (was it reset?)", op->name, i + 1);
    const moon_node *a = moon_node_at(tape, in[0]), *b = moon_node_at(tape, in[i]);
    if (a->dtype != b->dtype)
      return moon_fail(MOON_EINVAL, "%s: %s %s against %s %s", op->name, moon_dtype_name(a->dtype),
                       moon_node_shape(tape, in[0]).text, moon_dtype_name(b->dtype), moon_node_shape(tape, in[i]).text);
  }
  return moon_ok();
}

bool moon_node_wanted(const moon_tape *tape, size_t n, const moon_var *in) {
  bool needs = false;
  for (size_t i = 0; i < n; i++) needs |= moon_node_at(tape, in[i])->needs_grad;
  return needs && !tape->no_grad;
}

moon_status moon_node_mismatch(const moon_tape *tape, const moon_op *op, moon_var a, moon_var b, const char *why) {
  return moon_fail(MOON_EINVAL, "%s: %s against %s: %s%s", op->name, moon_node_shape(tape, a).text, moon_node_shape(tape, b).text,
                   why, moon_scope_write(tape->scope).text);
}

moon_status moon_node_push_leaf(moon_tape *tape, const moon_op *op, moon_dtype dtype, int dims, const size_t *shape, void *value,
                                moon_node **node, moon_var *out) {
  *node = NULL;
  size_t count = 0;
  if (dtype != MOON_F32 && dtype != MOON_F64)
    return moon_fail(MOON_EINVAL, "%s: the tape works on f32 and f64, not %s", op->name, moon_dtype_name(dtype));
  moon_status st = moon_shape_count(dtype, dims, shape, &count);
  if (st.code) return moon_wrap(st, "%s", op->name);
  if (tape->n >= MOON_NONE) return moon_fail(MOON_ELIMIT, "%s: the tape is full", op->name);
  if (!charge(tape, sizeof *tape->nodes)) return moon_fail(MOON_ENOMEM, "%s: no memory for a node", op->name);
  MOON_TRY(moon_grow(&tape->nodes, &tape->cap, tape->n + 1, sizeof *tape->nodes));
  if (!value && !(value = moon_tape_take(tape, count * moon_dtype_size(dtype))))
    return moon_fail(MOON_ENOMEM, "%s: no memory for %s", op->name, moon_shape_write(dims, shape).text);
  moon_node *fresh = &tape->nodes[tape->n];
  *fresh = (moon_node){.op = op, .dtype = dtype, .dims = dims, .count = count, .value = value, .scope = tape->scope};
  if (dims) memcpy(fresh->shape, shape, (size_t)dims * sizeof *shape);
  *out = (moon_var){(uint32_t)tape->n++};
  *node = fresh;
  return moon_ok();
}

moon_status moon_node_push(moon_tape *tape, const moon_op *op, size_t n, const moon_var *in, int dims, const size_t *shape,
                           moon_node **node, moon_var *out) {
  moon_var noted[3] = {{0}};
  bool needs_grad = false;
  for (size_t i = 0; i < n; i++) {
    if (i < 3) noted[i] = in[i]; /* before the push: `out` may be one of the inputs */
    needs_grad |= moon_node_at(tape, in[i])->needs_grad;
  }
  MOON_TRY(moon_node_push_leaf(tape, op, moon_node_at(tape, in[0])->dtype, dims, shape, NULL, node, out));
  memcpy((*node)->in, noted, sizeof noted);
  (*node)->needs_grad = moon_tape_wants(tape, needs_grad);
  return moon_ok();
}

/* ---- leaves ----------------------------------------------------------------------------------------------------------------- */

moon_status moon_tape_constant(moon_tape *tape, moon_dtype dtype, int dims, const size_t *shape, const void *data,
                               moon_var *out) {
  moon_node *node;
  size_t count = 0;
  moon_status st = moon_shape_count(dtype, dims, shape, &count);
  if (st.code) return moon_wrap(st, "constant");
  if (!data && count) return moon_fail(MOON_EINVAL, "constant: %s without data", moon_shape_write(dims, shape).text);
  return moon_node_push_leaf(tape, &constant_op, dtype, dims, shape, (void *)(uintptr_t)data, &node, out); /* never written to */
}

moon_status moon_tape_leaf(moon_tape *tape, const moon_tensor *value, moon_tensor *grad, moon_var *out) {
  int dims = moon_tensor_dims(value);
  const size_t *shape = moon_tensor_shape(value);
  if (!moon_tensor_is_contiguous(value))
    return moon_fail(MOON_EINVAL, "leaf: a value of %s is not contiguous", moon_shape_write(dims, shape).text);
  if (grad && !moon_tensor_is_contiguous(grad))
    return moon_fail(MOON_EINVAL, "leaf: the gradient of a value of %s is not contiguous", moon_shape_write(dims, shape).text);
  if (grad && (moon_tensor_dtype(grad) != moon_tensor_dtype(value) ||
               !moon_shape_equal(dims, shape, moon_tensor_dims(grad), moon_tensor_shape(grad))))
    return moon_fail(MOON_EINVAL, "leaf: a value of %s %s against a gradient of %s %s", moon_dtype_name(moon_tensor_dtype(value)),
                     moon_shape_write(dims, shape).text, moon_dtype_name(moon_tensor_dtype(grad)),
                     moon_shape_write(moon_tensor_dims(grad), moon_tensor_shape(grad)).text);
  moon_node *node;
  MOON_TRY(moon_node_push_leaf(tape, &leaf_op, moon_tensor_dtype(value), dims, shape, moon_tensor_data(value), &node, out));
  node->leaf_grad = grad ? moon_tensor_data(grad) : NULL;
  node->needs_grad = grad != NULL;
  tape->learns |= node->needs_grad;
  return moon_ok();
}

/* ---- reading ---------------------------------------------------------------------------------------------------------------- */

const void *moon_var_data(const moon_tape *tape, moon_var v) { return moon_node_at(tape, v)->value; }
const void *moon_var_grad(const moon_tape *tape, moon_var v) { return moon_node_at(tape, v)->grad; }
moon_dtype moon_var_dtype(const moon_tape *tape, moon_var v) { return moon_node_at(tape, v)->dtype; }
int moon_var_dims(const moon_tape *tape, moon_var v) { return moon_node_at(tape, v)->dims; }
const size_t *moon_var_shape(const moon_tape *tape, moon_var v) { return moon_node_at(tape, v)->shape; }
size_t moon_var_count(const moon_tape *tape, moon_var v) { return moon_node_at(tape, v)->count; }

/* ---- the way back ----------------------------------------------------------------------------------------------------------- */

void moon_tape_keep_grads(moon_tape *tape, bool on) { tape->forgets = !on; }

/* Memory of the size of the node's gradient that was freed last: it is most likely in the cache. NULL: none. */
static void *take_free(moon_free_grads *list, size_t bytes) {
  for (size_t i = 0; i < list->n; i++) {
    void *first = list->first[i];
    if (list->bytes[i] != bytes || !first) continue;
    memcpy(&list->first[i], first, sizeof first);
    return first;
  }
  return NULL;
}

static void give_free(moon_free_grads *list, size_t bytes, void *memory) {
  size_t i = 0;
  while (i < list->n && list->bytes[i] != bytes) i++;
  if (i == MOON_FREE_SIZES || bytes < MOON_FREE_LEAST) return;
  if (i == list->n) list->bytes[i] = bytes, list->first[i] = NULL, list->n++;
  memcpy(memory, &list->first[i], sizeof memory);
  list->first[i] = memory;
}

void *moon_node_grad_raw(moon_tape *tape, moon_var v, bool *fresh) {
  moon_node *node = moon_node_at(tape, v);
  *fresh = false;
  if (!node->needs_grad || node->grad) return node->grad;
  *fresh = node->room != node->leaf_grad; /* a leaf's holds what earlier batches left */
  if (tape->forgets && node->op->backward) node->grad = take_free(&tape->free, node->count * moon_dtype_size(node->dtype));
  return node->grad = node->grad ? node->grad : node->room;
}

void *moon_node_grad(moon_tape *tape, moon_var v) {
  bool fresh;
  void *grad = moon_node_grad_raw(tape, v, &fresh);
  if (grad && fresh) memset(grad, 0, moon_node_at(tape, v)->count * moon_dtype_size(moon_node_at(tape, v)->dtype));
  return grad;
}

moon_status moon_tape_reserve(moon_tape *tape, moon_var from) {
  tape->free.n = 0;
  for (size_t i = 0; i <= from.id; i++) {
    moon_node *node = &tape->nodes[i];
    if (!node->needs_grad || node->room) continue;
    node->room = node->leaf_grad && !tape->held ? node->leaf_grad : moon_tape_take(tape, node->count * moon_dtype_size(node->dtype));
    if (node->room) continue;
    return moon_fail(MOON_ENOMEM, "backward: no memory for the gradient of %s", moon_shape_write(node->dims, node->shape).text);
  }
  return moon_ok();
}

moon_status moon_tape_walk(moon_tape *tape, moon_var from) {
  tape->failure = moon_ok();
  for (size_t i = (size_t)from.id + 1; i-- > 0 && !tape->failure.code;) {
    moon_node *node = &tape->nodes[i];
    if (tape->checks && node->grad) MOON_TRY(moon_node_finite(tape, i, "gradient", node->grad));
    if (!node->grad || !node->count || !node->op->backward || (tape->held && node->op->outside)) continue;
    node->op->backward(tape, node);
    if (!tape->forgets) continue;
    node = &tape->nodes[i]; /* the caller's code may have run */
    give_free(&tape->free, node->count * moon_dtype_size(node->dtype), node->grad);
    node->grad = NULL;
  }
  return tape->failure;
}

moon_status moon_tape_backward(moon_tape *tape, moon_var loss) {
  if (loss.id >= tape->n) return moon_fail(MOON_EINVAL, "backward: the loss is not on this tape (was it reset?)");
  if (moon_node_at(tape, loss)->count != 1)
    return moon_fail(MOON_EINVAL, "backward: the loss has shape %s, not one element", moon_node_shape(tape, loss).text);
  MOON_TRY(moon_tape_reserve(tape, loss));
  for (size_t i = 0; i < tape->n; i++) tape->nodes[i].grad = NULL; /* an earlier backward's gradients must not flow twice */
  void *seed = moon_node_grad(tape, loss);
  if (seed && moon_node_at(tape, loss)->dtype == MOON_F32) *(float *)seed += 1;
  else if (seed) *(double *)seed += 1;
  return moon_tape_walk(tape, loss);
}

/* ---- gradients that wait ------------------------------------------------------------------------------------------------------ */

void moon_tape_hold(moon_tape *tape, bool on) { tape->held = on; }

static void add_into(moon_dtype dtype, size_t n, const void *from, void *into) {
  const float *from32 = from;
  const double *from64 = from;
  float *into32 = into;
  double *into64 = into;
  if (dtype == MOON_F32) for (size_t i = 0; i < n; i++) into32[i] += from32[i];
  else for (size_t i = 0; i < n; i++) into64[i] += from64[i];
}

void moon_tape_deliver(moon_tape *tape) {
  for (size_t i = tape->n; tape->held && i-- > 0;) { /* in backward's order, so that sums come out as without the wait */
    moon_node *node = &tape->nodes[i];
    if (!node->grad || !node->count) continue;
    if (node->leaf_grad) add_into(node->dtype, node->count, node->grad, node->leaf_grad);
    else if (node->op->outside) node->op->backward(tape, node);
    node->grad = NULL; /* once */
  }
}

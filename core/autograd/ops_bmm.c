/* ops_bmm.c - products of batches of matrices, with broadcasting of the batch.
 *
 *   y = a b            da = dy b^T              db = a^T dy              of the matrices as multiplied, whether stored so or turned
 *
 * One matrix on the right for the whole batch is the frequent case (a layer over a sequence): then the batch folds into rows and all
 * is one gemm. Otherwise one gemm a matrix; where an operand is broadcast its gradients add up in the order of the batch. */
#include "autograd/strides.h"
#include "autograd/tape.h"

/* y [batch.., n, m] = a [n, k] b [k, m]; ta, tb: stored turned. */
typedef struct product {
  bool ta, tb, folds;
  size_t n, k, m;
  int batch_dims;
  size_t batch[MOON_MAX_DIMS];
  moon_walk walk; /* over the batch: operand 0 steps a's matrices, 1 b's, 2 y's */
} product;

/* Where the walk stands in its row, in bytes. */
static size_t offset(const moon_walk *walk, const size_t *at, int operand, size_t i, size_t matrix, size_t each) {
  return (at[operand] + i * walk->inner_step[operand]) * matrix * each;
}

static void forward(const product *p, const moon_node *node, const char *a, const char *b) {
  size_t index[MOON_MAX_DIMS] = {0}, at[MOON_OPERANDS] = {0}, each = moon_dtype_size(node->dtype);
  do {
    for (size_t i = 0; i < p->walk.inner; i++)
      moon_gemm(node->dtype, p->ta, p->tb, p->n, p->m, p->k, a + offset(&p->walk, at, 0, i, p->n * p->k, each),
                b + offset(&p->walk, at, 1, i, p->k * p->m, each), false,
                (char *)node->value + offset(&p->walk, at, 2, i, p->n * p->m, each));
  } while (moon_walk_next(&p->walk, index, at));
}

static void into_left(const product *p, moon_dtype dtype, const char *dy, const char *b, char *into) {
  if (p->ta) moon_gemm(dtype, p->tb, true, p->k, p->n, p->m, b, dy, true, into);
  else moon_gemm(dtype, false, !p->tb, p->n, p->k, p->m, dy, b, true, into);
}
static void into_right(const product *p, moon_dtype dtype, const char *dy, const char *a, char *into) {
  if (p->tb) moon_gemm(dtype, true, p->ta, p->m, p->k, p->n, dy, a, true, into);
  else moon_gemm(dtype, !p->ta, false, p->k, p->m, p->n, a, dy, true, into);
}

static void bmm_back(moon_tape *tape, moon_node *node) {
  const product *p = node->aux;
  char *into_a = moon_node_grad(tape, node->in[0]), *into_b = moon_node_grad(tape, node->in[1]);
  const char *a = moon_node_at(tape, node->in[0])->value, *b = moon_node_at(tape, node->in[1])->value, *dy = node->grad;
  size_t index[MOON_MAX_DIMS] = {0}, at[MOON_OPERANDS] = {0}, each = moon_dtype_size(node->dtype);
  do {
    for (size_t i = 0; i < p->walk.inner; i++) {
      size_t at_a = offset(&p->walk, at, 0, i, p->n * p->k, each), at_b = offset(&p->walk, at, 1, i, p->k * p->m, each),
             at_y = offset(&p->walk, at, 2, i, p->n * p->m, each);
      if (into_a) into_left(p, node->dtype, dy + at_y, b + at_b, into_a + at_a);
      if (into_b) into_right(p, node->dtype, dy + at_y, a + at_a, into_b + at_b);
    }
  } while (moon_walk_next(&p->walk, index, at));
}

static const moon_op bmm_op = {"bmm", bmm_back};

static moon_status plan_product(const moon_tape *tape, moon_var va, moon_var vb, bool ta, bool tb, product *p) {
  const moon_node *a = moon_node_at(tape, va), *b = moon_node_at(tape, vb);
  if (a->dims < 2 || b->dims < 2) return moon_node_mismatch(tape, &bmm_op, va, vb, "[.., n, k] by [.., k, m] is needed");
  const size_t *sa = a->shape + a->dims - 2, *sb = b->shape + b->dims - 2;
  *p = (product){.ta = ta, .tb = tb, .n = sa[ta ? 1 : 0], .k = sa[ta ? 0 : 1], .m = sb[tb ? 0 : 1]};
  if (sb[tb ? 1 : 0] != p->k)
    return moon_node_mismatch(
        tape, &bmm_op, va, vb,
        ta   ? tb ? "[.., k, n] turned by [.., m, k] turned is needed" : "[.., k, n] turned by [.., k, m] is needed"
        : tb ? "[.., n, k] by [.., m, k] turned is needed"
             : "[.., n, k] by [.., k, m] is needed");
  if (!moon_shape_broadcast(a->dims - 2, a->shape, b->dims - 2, b->shape, &p->batch_dims, p->batch))
    return moon_node_mismatch(tape, &bmm_op, va, vb, "the batch dimensions do not broadcast");
  size_t matrices = 1, right = 1;
  for (int d = 0; d < p->batch_dims; d++) matrices *= p->batch[d];
  for (int d = 0; d < b->dims - 2; d++) right *= b->shape[d];
  p->folds = right == 1 && !ta && matrices;
  if (!moon_gemm_fits(p->folds ? matrices * p->n : p->n, p->m, p->k))
    return moon_node_mismatch(tape, &bmm_op, va, vb, "too large for BLAS");
  if (p->folds) p->walk = (moon_walk){.inner = 1};
  else if (matrices)
    p->walk = moon_walk_plan(p->batch_dims, p->batch, 3,
                             (moon_steps[]){moon_steps_broadcast(p->batch_dims, p->batch, a->dims - 2, a->shape),
                                            moon_steps_broadcast(p->batch_dims, p->batch, b->dims - 2, b->shape),
                                            moon_steps_dense(p->batch_dims, p->batch)});
  return moon_ok();
}

moon_status moon_op_bmm(moon_tape *tape, moon_var a, moon_var b, bool ta, bool tb, moon_var *out) {
  moon_var in[2] = {a, b};
  product p;
  MOON_TRY(moon_node_check(tape, &bmm_op, 2, in));
  MOON_TRY(plan_product(tape, a, b, ta, tb, &p));
  product *kept = moon_tape_take(tape, sizeof *kept);
  if (!kept) return moon_fail(MOON_ENOMEM, "bmm: no memory");
  size_t shape[MOON_MAX_DIMS];
  for (int d = 0; d < p.batch_dims; d++) shape[d] = p.batch[d];
  shape[p.batch_dims] = p.n, shape[p.batch_dims + 1] = p.m;
  moon_node *node;
  MOON_TRY(moon_node_push(tape, &bmm_op, 2, in, p.batch_dims + 2, shape, &node, out));
  if (p.folds) p.n = p.m ? node->count / p.m : 0;
  *kept = p;
  node->aux = kept;
  if (node->count) forward(kept, node, moon_node_at(tape, a)->value, moon_node_at(tape, b)->value);
  return moon_node_done(tape, *out);
}

/* ops_gather.c - rows of an embedding table: picked by id, or averaged over a list of ids.
 *
 * The table never becomes a node: its gradient is scattered straight into its rows, and each touched row is told to the caller, so
 * the cost of a step is that of the rows used. Rows are added in the order of the ids: the same ids give the same bits. */
#ifndef REAL
#include <string.h>

#include "autograd/tape.h"

#define MOON_EACH_REAL "ops_gather.c"
#include "autograd/each_real.h"

typedef struct gather_aux {
  const uint32_t *ids;
  size_t n, length, count; /* count ids: n, or n x length in a mean */
  void *grad;
  moon_touch_fn touch;
  void *self;
} gather_aux;

/* The table is [rows, dim] and its gradient like it. */
static moon_status check_table(const moon_op *op, const moon_tensor *table, const moon_tensor *grad) {
  moon_shape_text shape = moon_shape_write(moon_tensor_dims(table), moon_tensor_shape(table));
  if (moon_tensor_dims(table) != 2 || !moon_tensor_is_contiguous(table))
    return moon_fail(MOON_EINVAL, "%s: the table %s is not a contiguous [rows, dim]", op->name, shape.text);
  if (grad && (moon_tensor_dtype(grad) != moon_tensor_dtype(table) || !moon_tensor_is_contiguous(grad) ||
               !moon_shape_equal(2, moon_tensor_shape(table), moon_tensor_dims(grad), moon_tensor_shape(grad))))
    return moon_fail(MOON_EINVAL, "%s: a table of %s against a gradient of %s", op->name, shape.text,
                     moon_shape_write(moon_tensor_dims(grad), moon_tensor_shape(grad)).text);
  return moon_ok();
}

static moon_status check_ids(const moon_op *op, const moon_tensor *table, const uint32_t *ids, size_t count) {
  size_t rows = moon_tensor_shape(table)[0];
  for (size_t i = 0; i < count; i++)
    if (ids[i] >= rows)
      return moon_fail(MOON_EINVAL, "%s: id %u at position %zu is out of range: the table is %s", op->name, ids[i], i,
                       moon_shape_write(2, moon_tensor_shape(table)).text);
  return moon_ok();
}

static moon_status push_rows(moon_tape *tape, const moon_op *op, const moon_tensor *table, moon_tensor *grad, gather_aux aux,
                             moon_node **node, moon_var *out) {
  MOON_TRY(check_table(op, table, grad));
  if (aux.length && aux.n > SIZE_MAX / sizeof *aux.ids / aux.length)
    return moon_fail(MOON_EINVAL, "%s: %zu x %zu ids do not fit in memory", op->name, aux.n, aux.length);
  aux.count = aux.n * aux.length;
  MOON_TRY(check_ids(op, table, aux.ids, aux.count));
  aux.grad = grad ? moon_tensor_data(grad) : NULL;
  gather_aux *kept = moon_tape_take(tape, sizeof *kept);
  if (!kept) return moon_fail(MOON_ENOMEM, "%s: no memory", op->name);
  *kept = aux;
  size_t shape[2] = {aux.n, moon_tensor_shape(table)[1]};
  MOON_TRY(moon_node_push_leaf(tape, op, moon_tensor_dtype(table), 2, shape, NULL, node, out));
  (*node)->needs_grad = moon_tape_wants(tape, grad != NULL);
  (*node)->aux = kept;
  return moon_ok();
}

/* ---- gather ----------------------------------------------------------------------------------------------------------------- */

static void gather_back(moon_tape *tape, moon_node *node) {
  (void)tape;
  const gather_aux *aux = node->aux;
  size_t dim = node->shape[1];
  MOON_BY_DTYPE(node->dtype, scatter, aux->n, dim, aux->ids, node->grad, aux->grad);
  for (size_t i = 0; aux->touch && i < aux->count; i++) aux->touch(aux->self, aux->ids[i]);
}

static const moon_op gather_op = {"gather", gather_back, .outside = true};

moon_status moon_op_gather(moon_tape *tape, const moon_tensor *table, moon_tensor *grad, const uint32_t *ids, size_t n,
                           moon_touch_fn touch, void *self, moon_var *out) {
  moon_node *node;
  MOON_TRY(push_rows(tape, &gather_op, table, grad, (gather_aux){.ids = ids, .n = n, .length = 1, .touch = touch, .self = self}, &node, out));
  size_t bytes = node->shape[1] * moon_dtype_size(node->dtype);
  const char *from = moon_tensor_data(table);
  for (size_t i = 0; bytes && i < n; i++) memcpy((char *)node->value + i * bytes, from + ids[i] * bytes, bytes);
  return moon_node_done(tape, *out);
}

/* ---- mean of a list ----------------------------------------------------------------------------------------------------------- */

static void gather_mean_back(moon_tape *tape, moon_node *node) {
  (void)tape;
  const gather_aux *aux = node->aux;
  size_t dim = node->shape[1];
  MOON_BY_DTYPE(node->dtype, mean_backward, aux->n, aux->length, dim, aux->ids, node->grad, aux->grad);
  for (size_t i = 0; aux->touch && i < aux->count; i++)
    if (aux->ids[i]) aux->touch(aux->self, aux->ids[i]);
}

static const moon_op gather_mean_op = {"gather_mean", gather_mean_back, .outside = true};

moon_status moon_op_gather_mean(moon_tape *tape, const moon_tensor *table, moon_tensor *grad, const uint32_t *ids, size_t n,
                                size_t length, moon_touch_fn touch, void *self, moon_var *out) {
  moon_node *node;
  gather_aux aux = {.ids = ids, .n = n, .length = length, .touch = touch, .self = self};
  MOON_TRY(push_rows(tape, &gather_mean_op, table, grad, aux, &node, out));
  MOON_BY_DTYPE(node->dtype, mean_forward, n, length, node->shape[1], ids, moon_tensor_data(table), node->value);
  return moon_node_done(tape, *out);
}

#else /* ---- kernels, for each REAL ---------------------------------------------------------------------------------------------- */

static void K(scatter)(size_t n, size_t dim, const uint32_t *restrict ids, const REAL *restrict g, REAL *restrict into) {
  for (size_t i = 0; i < n; i++) {
    REAL *row = into + (size_t)ids[i] * dim;
    for (size_t j = 0; j < dim; j++) row[j] += g[i * dim + j];
  }
}

static size_t K(filled)(size_t length, const uint32_t *ids) {
  size_t filled = 0;
  for (size_t k = 0; k < length; k++) filled += ids[k] != 0;
  return filled;
}

/* y [n, dim] = mean of the table's rows ids [n, length], 0 skipped; zeros where all are. */
static void K(mean_forward)(size_t n, size_t length, size_t dim, const uint32_t *restrict ids, const REAL *restrict table, REAL *restrict y) {
  for (size_t i = 0; i < n; i++, ids += length, y += dim) {
    for (size_t j = 0; j < dim; j++) y[j] = 0;
    for (size_t k = 0; k < length; k++) {
      const REAL *row = table + (size_t)ids[k] * dim;
      if (!ids[k]) continue;
      for (size_t j = 0; j < dim; j++) y[j] += row[j];
    }
    size_t filled = K(filled)(length, ids);
    REAL share = filled ? 1 / (REAL)filled : 0;
    for (size_t j = 0; j < dim; j++) y[j] *= share;
  }
}

static void K(mean_backward)(size_t n, size_t length, size_t dim, const uint32_t *restrict ids, const REAL *restrict g, REAL *restrict into) {
  for (size_t i = 0; i < n; i++, ids += length, g += dim) {
    size_t filled = K(filled)(length, ids);
    REAL share = filled ? 1 / (REAL)filled : 0;
    for (size_t k = 0; k < length; k++) {
      if (!ids[k]) continue;
      REAL *row = into + (size_t)ids[k] * dim;
      for (size_t j = 0; j < dim; j++) row[j] += g[j] * share;
    }
  }
}
#endif

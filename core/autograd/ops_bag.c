/* ops_bag.c - bags of embeddings: the rows of a table named by lists of any length, summed, averaged or their largest.
 *
 * As in ops_gather.c the table is no node: gradients are scattered into its rows in the order of the ids, and each touched row is told.
 * max keeps for each element the row that it came from. Id 0 is the unknown one and counts for nothing. */
#ifndef REAL
#include "autograd/tape.h"

typedef struct bags {
  moon_bag bag;
  void *grad;
  moon_touch_fn touch;
  void *self;
  uint32_t *from; /* max: [n, dim] rows, MOON_NONE where the bag is empty */
} bags;

#define MOON_EACH_REAL "ops_bag.c"
#include "autograd/each_real.h"

static void bag_back(moon_tape *tape, moon_node *node) {
  (void)tape;
  const bags *b = node->aux;
  size_t dim = node->shape[1];
  if (b->from) MOON_BY_DTYPE(node->dtype, bag_max_backward, b->bag.n, dim, b->from, node->grad, b->grad);
  else MOON_BY_DTYPE(node->dtype, bag_backward, &b->bag, dim, node->grad, b->grad);
  for (size_t i = b->bag.offsets[0]; b->touch && i < b->bag.offsets[b->bag.n]; i++)
    if (b->bag.ids[i]) b->touch(b->self, b->bag.ids[i]);
}

static const moon_op bag_op = {"embedding_bag", bag_back, .outside = true};

static moon_status check_table(const moon_tensor *table, const moon_tensor *grad) {
  moon_shape_text shape = moon_shape_write(moon_tensor_dims(table), moon_tensor_shape(table));
  if (moon_tensor_dims(table) != 2 || !moon_tensor_is_contiguous(table))
    return moon_fail(MOON_EINVAL, "embedding_bag: the table %s is not a contiguous [rows, dim]", shape.text);
  if (grad && (moon_tensor_dtype(grad) != moon_tensor_dtype(table) || !moon_tensor_is_contiguous(grad) ||
               !moon_shape_equal(2, moon_tensor_shape(table), moon_tensor_dims(grad), moon_tensor_shape(grad))))
    return moon_fail(MOON_EINVAL, "embedding_bag: a table of %s against a gradient of %s", shape.text,
                     moon_shape_write(moon_tensor_dims(grad), moon_tensor_shape(grad)).text);
  return moon_ok();
}

static moon_status check_bag(const moon_tensor *table, const moon_bag *bag) {
  size_t rows = moon_tensor_shape(table)[0];
  if (bag->mode == MOON_BAG_MAX && bag->weights) return moon_fail(MOON_EINVAL, "embedding_bag: max takes no weights");
  if ((unsigned)bag->mode > MOON_BAG_MAX) return moon_fail(MOON_EINVAL, "embedding_bag: mode %d does not exist", (int)bag->mode);
  for (size_t i = 0; i < bag->n; i++)
    if (bag->offsets[i] > bag->offsets[i + 1])
      return moon_fail(MOON_EINVAL, "embedding_bag: offset %zu at position %zu is after the next, %zu", bag->offsets[i], i,
                       bag->offsets[i + 1]);
  for (size_t i = bag->offsets[0]; i < bag->offsets[bag->n]; i++)
    if (bag->ids[i] >= rows)
      return moon_fail(MOON_EINVAL, "embedding_bag: id %u at position %zu is out of range: the table is %s", bag->ids[i], i,
                       moon_shape_write(2, moon_tensor_shape(table)).text);
  return moon_ok();
}

moon_status moon_op_embedding_bag(moon_tape *tape, const moon_tensor *table, moon_tensor *grad, const moon_bag *bag,
                                  moon_touch_fn touch, void *self, moon_var *out) {
  MOON_TRY(check_table(table, grad));
  MOON_TRY(check_bag(table, bag));
  size_t shape[2] = {bag->n, moon_tensor_shape(table)[1]}, count;
  moon_status st = moon_shape_count(moon_tensor_dtype(table), 2, shape, &count);
  if (st.code) return moon_wrap(st, "embedding_bag");
  bags *kept = moon_tape_take(tape, sizeof *kept);
  uint32_t *from = bag->mode == MOON_BAG_MAX ? moon_tape_take(tape, count * sizeof *from) : NULL;
  if (!kept || (bag->mode == MOON_BAG_MAX && !from))
    return moon_fail(MOON_ENOMEM, "embedding_bag: no memory for %zu bags", bag->n);
  *kept = (bags){*bag, grad ? moon_tensor_data(grad) : NULL, touch, self, from};
  moon_node *node;
  MOON_TRY(moon_node_push_leaf(tape, &bag_op, moon_tensor_dtype(table), 2, shape, NULL, &node, out));
  node->needs_grad = moon_tape_wants(tape, grad != NULL);
  node->aux = kept;
  if (from) MOON_BY_DTYPE(node->dtype, bag_max_forward, bag, shape[1], moon_tensor_data(table), node->value, from);
  else MOON_BY_DTYPE(node->dtype, bag_forward, bag, shape[1], moon_tensor_data(table), node->value);
  return moon_node_done(tape, *out);
}

#else /* ---- kernels, for each REAL ---------------------------------------------------------------------------------------------- */

/* The factor of id k in its bag, before the mean's share. */
static inline REAL K(bag_weight)(const moon_bag *bag, size_t k) {
  return !bag->ids[k] ? 0 : bag->weights ? ((const REAL *)bag->weights)[k] : 1;
}

/* 1, or for a mean 1 / sum of the weights (0 where that is 0). */
static REAL K(bag_share)(const moon_bag *bag, size_t i) {
  if (bag->mode != MOON_BAG_MEAN) return 1;
  REAL sum = 0;
  for (size_t k = bag->offsets[i]; k < bag->offsets[i + 1]; k++) sum += K(bag_weight)(bag, k);
  return sum == 0 ? 0 : 1 / sum;
}

MOON_CLONES static void K(bag_forward)(const moon_bag *bag, size_t dim, const REAL *restrict table, REAL *restrict y) {
  for (size_t i = 0; i < bag->n; i++, y += dim) {
    REAL share = K(bag_share)(bag, i);
    for (size_t j = 0; j < dim; j++) y[j] = 0;
    for (size_t k = bag->offsets[i]; k < bag->offsets[i + 1]; k++) {
      const REAL *row = table + (size_t)bag->ids[k] * dim;
      REAL weight = K(bag_weight)(bag, k) * share;
      if (!bag->ids[k]) continue;
      for (size_t j = 0; j < dim; j++) y[j] += weight * row[j];
    }
  }
}

MOON_CLONES static void K(bag_backward)(const moon_bag *bag, size_t dim, const REAL *restrict g, REAL *restrict into) {
  for (size_t i = 0; i < bag->n; i++, g += dim) {
    REAL share = K(bag_share)(bag, i);
    for (size_t k = bag->offsets[i]; k < bag->offsets[i + 1]; k++) {
      REAL *row = into + (size_t)bag->ids[k] * dim, weight = K(bag_weight)(bag, k) * share;
      if (!bag->ids[k]) continue;
      for (size_t j = 0; j < dim; j++) row[j] += weight * g[j];
    }
  }
}

/* The first of the largest; NaN is larger than all, so that it stays visible. */
static void K(bag_max_forward)(const moon_bag *bag, size_t dim, const REAL *restrict table, REAL *restrict y,
                               uint32_t *restrict from) {
  for (size_t i = 0; i < bag->n; i++, y += dim, from += dim) {
    for (size_t j = 0; j < dim; j++) y[j] = 0, from[j] = MOON_NONE;
    for (size_t k = bag->offsets[i]; k < bag->offsets[i + 1]; k++) {
      const REAL *row = table + (size_t)bag->ids[k] * dim;
      if (!bag->ids[k]) continue;
      for (size_t j = 0; j < dim; j++)
        if (from[j] == MOON_NONE || row[j] > y[j] || (row[j] != row[j] && y[j] == y[j])) y[j] = row[j], from[j] = bag->ids[k];
    }
  }
}

static void K(bag_max_backward)(size_t n, size_t dim, const uint32_t *restrict from, const REAL *restrict g,
                                REAL *restrict into) {
  for (size_t i = 0; i < n; i++, g += dim, from += dim)
    for (size_t j = 0; j < dim; j++)
      if (from[j] != MOON_NONE) into[(size_t)from[j] * dim + j] += g[j];
}
#endif

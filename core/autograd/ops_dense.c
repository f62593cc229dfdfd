/* ops_dense.c - the dense layer as one node.
 *
 *   y = act(x w + b)        dz = dy act'(y)        db = column sums of dz, dw = x^T dz, dx = dz w^T
 *
 * x may have any dimensions before the last: they are its rows.
 * Forward, bias and activation are folded into the product. The way back goes over tiles of rows: dz of a tile is made in memory that
 * stays in the first cache, padded to whole panels, and is at once the right side of dw and the left side of dx. A layer of one
 * unit, as at the end of every ranker, is a dot product a row. */
#ifndef REAL
#include <string.h>

#include "autograd/real_math.h"
#include "autograd/tape.h"

enum { TILE = 32 }; /* rows */

#define MOON_EACH_REAL "ops_dense.c"
#include "autograd/each_real.h"

/* What the way back needs, taken on the way forward so that there is nothing left to fail. */
typedef struct dense_scratch {
  void *turned; /* w^T, packed; NULL where x wants no gradient */
  void *tile;   /* dz [TILE, row] */
  size_t row;
} dense_scratch;

static size_t width_of(const moon_node *x) { return x->shape[x->dims - 1]; }
static size_t rows_of(const moon_node *x) {
  size_t rows = 1;
  for (int d = 0; d < x->dims - 1; d++) rows *= x->shape[d];
  return rows;
}

/* ---- the way back ------------------------------------------------------------------------------------------------------------- */

/* One unit: dz is a number a row, so the products are sums of rows. */
static void unit_back(const moon_node *node, const moon_node *x, const moon_node *w, void *dz, void *into_x, bool fresh, void *into_w,
                      void *into_b) {
  size_t n = rows_of(x), k = width_of(x);
  moon_activate_back(node->dtype, (moon_activation)node->number, 1, n, node->grad, node->value, dz, n, NULL);
  if (into_b) MOON_BY_DTYPE(node->dtype, unit_back_b, n, dz, into_b);
  if (into_w) MOON_BY_DTYPE(node->dtype, unit_back_w, n, k, x->value, dz, into_w);
  if (into_x) MOON_BY_DTYPE(node->dtype, unit_back_x, n, k, w->value, dz, fresh, into_x);
}

static void dense_back(moon_tape *tape, moon_node *node) {
  bool fresh;
  void *into_w = moon_node_grad(tape, node->in[1]), *into_b = moon_node_grad(tape, node->in[2]);
  void *into_x = moon_node_grad_raw(tape, node->in[0], &fresh); /* last: x may be w, and is then no longer fresh */
  const moon_node *x = moon_node_at(tape, node->in[0]), *w = moon_node_at(tape, node->in[1]);
  const dense_scratch *scratch = node->aux;
  size_t n = rows_of(x), k = width_of(x), m = w->shape[1], each = moon_dtype_size(node->dtype), width = moon_panel(node->dtype);
  if (m == 1) {
    unit_back(node, x, w, scratch->tile, into_x, fresh, into_w, into_b);
    return;
  }
  if (into_x) moon_pack(node->dtype, true, m, k, w->value, scratch->turned);
  for (size_t start = 0; start < n; start += TILE) {
    size_t rows = n - start < TILE ? n - start : TILE;
    const char *from_x = (const char *)x->value + start * k * each;
    moon_activate_back(node->dtype, (moon_activation)node->number, rows, m, (char *)node->grad + start * m * each,
                       (char *)node->value + start * m * each, scratch->tile, scratch->row, into_b);
    moon_product dw = {.rows = k, .inner = rows, .columns = m, .a = from_x, .a_row = k, .a_turned = true, .b = scratch->tile,
                       .b_step = scratch->row, .b_panel = width, .add = true, .c = into_w, .c_row = m};
    moon_product dx = {.rows = rows, .inner = m, .columns = k, .a = scratch->tile, .a_row = scratch->row, .b = scratch->turned,
                       .b_step = width, .b_panel = m * width, .add = !fresh, .c = (char *)into_x + start * k * each, .c_row = k};
    if (into_w) moon_product_run(node->dtype, &dw);
    if (into_x) moon_product_run(node->dtype, &dx);
  }
}

static const moon_op dense_op = {"dense", dense_back};

/* ---- the way forward ------------------------------------------------------------------------------------------------------------ */

static moon_status check(moon_tape *tape, const moon_var *in) {
  MOON_TRY(moon_node_check(tape, &dense_op, 3, in));
  const moon_node *x = moon_node_at(tape, in[0]), *w = moon_node_at(tape, in[1]), *b = moon_node_at(tape, in[2]);
  if (x->dims < 2 || w->dims != 2 || width_of(x) != w->shape[0])
    return moon_node_mismatch(tape, &dense_op, in[0], in[1], "input [n, .., in] by weight [in, out] is needed");
  if (b->dims != 1 || b->shape[0] != w->shape[1])
    return moon_node_mismatch(tape, &dense_op, in[1], in[2], "weight [in, out] and bias [out] are needed");
  return moon_ok();
}

static moon_status take_scratch(moon_tape *tape, moon_dtype dtype, size_t n, size_t k, size_t m, bool x_wants,
                                dense_scratch **out) {
  dense_scratch *s = moon_tape_take(tape, sizeof *s);
  size_t each = moon_dtype_size(dtype), width = moon_panel(dtype);
  size_t row = (moon_panel_round(dtype, m) / width | 1) * width; /* odd: rows of a power of two would share cache sets */
  void *tile = moon_tape_take(tape, m == 1 ? n * each : TILE * row * each);
  void *turned = x_wants && m > 1 ? moon_tape_take(tape, m * moon_panel_round(dtype, k) * each) : NULL;
  if (!s || !tile || (x_wants && m > 1 && !turned))
    return moon_fail(MOON_ENOMEM, "dense: no memory for the gradient of [%zu, %zu]", k, m);
  *s = (dense_scratch){turned, tile, row};
  *out = s;
  return moon_ok();
}

static void forward(moon_dtype dtype, moon_activation activation, const moon_node *x, const moon_node *w, const moon_node *b,
                    char *packed, void *y) {
  size_t n = rows_of(x), k = width_of(x), m = w->shape[1], each = moon_dtype_size(dtype), padded = moon_panel_round(dtype, m);
  if (m == 1) {
    moon_product_unit(dtype, n, k, x->value, k, w->value, b->value, y);
  } else {
    memcpy(packed, b->value, m * each);
    memset(packed + m * each, 0, (padded - m) * each);
    moon_pack(dtype, false, k, m, w->value, packed + padded * each);
    size_t width = moon_panel(dtype);
    moon_product product = {.rows = n, .inner = k, .columns = m, .a = x->value, .a_row = k, .b = packed + padded * each, .b_step = width,
                            .b_panel = k * width, .bias = packed, .relu = activation == MOON_RELU, .c = y, .c_row = m};
    moon_product_run(dtype, &product);
    if (activation == MOON_RELU) return;
  }
  moon_activate(dtype, activation, n * m, y);
}

moon_status moon_op_dense(moon_tape *tape, moon_var x, moon_var w, moon_var b, moon_activation activation, moon_var *out) {
  moon_var in[3] = {x, w, b};
  if ((unsigned)activation > MOON_TANH) return moon_fail(MOON_EINVAL, "dense: activation %d does not exist", (int)activation);
  MOON_TRY(check(tape, in));
  const moon_node *nx = moon_node_at(tape, x), *nw = moon_node_at(tape, w);
  size_t n = rows_of(nx), k = width_of(nx), m = nw->shape[1], shape[MOON_MAX_DIMS];
  int dims = nx->dims;
  memcpy(shape, nx->shape, sizeof shape);
  shape[dims - 1] = m;
  moon_dtype dtype = nx->dtype;
  dense_scratch *scratch = NULL;
  void *packed = NULL;
  moon_node *node;
  if (m > 1 && !(packed = moon_tape_take(tape, (k + 1) * moon_panel_round(dtype, m) * moon_dtype_size(dtype))))
    return moon_fail(MOON_ENOMEM, "dense: no memory for [%zu, %zu]", k, m);
  if (moon_node_wanted(tape, 3, in)) MOON_TRY(take_scratch(tape, dtype, n, k, m, nx->needs_grad, &scratch));
  MOON_TRY(moon_node_push(tape, &dense_op, 3, in, dims, shape, &node, out));
  node->number = activation, node->aux = scratch;
  if (node->count) forward(dtype, activation, moon_node_at(tape, x), moon_node_at(tape, w), moon_node_at(tape, b), packed, node->value);
  return moon_node_done(tape, *out);
}

#else /* ---- kernels, for each REAL ---------------------------------------------------------------------------------------------- */

/* The way back of one unit: into [1] += sum of dz. */
static void K(unit_back_b)(size_t n, const REAL *restrict dz, REAL *restrict into) {
  for (size_t i = 0; i < n; i++) *into += dz[i];
}
/* into [k] += sum over rows of dz x. */
MOON_CLONES static void K(unit_back_w)(size_t n, size_t k, const REAL *restrict x, const REAL *restrict dz, REAL *restrict into) {
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < k; j++) into[j] += dz[i] * x[i * k + j];
}

/* into [n, k] = or += dz w. */
MOON_CLONES static void K(unit_back_x)(size_t n, size_t k, const REAL *restrict w, const REAL *restrict dz, bool fresh, REAL *restrict into) {
  for (size_t i = 0; i < n; i++, into += k) {
    if (fresh) for (size_t j = 0; j < k; j++) into[j] = dz[i] * w[j];
    else for (size_t j = 0; j < k; j++) into[j] += dz[i] * w[j];
  }
}
#endif

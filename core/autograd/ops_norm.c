/* ops_norm.c - layer_norm and batch_norm: y = u gamma + beta with u = (x - mean) / sqrt(var + epsilon).
 *
 * They differ in what mean and var run over: a row, or a column of the batch. Either way, with v = dy gamma and averages over the same n
 * elements,  dx = (v - avg(v) - u avg(v u)) / sqrt(var + epsilon),  dgamma = sum dy u,  dbeta = sum dy.  Kept are mean and 1 / sqrt only;
 * u is computed again. */
#ifndef REAL
#include <string.h>

#include "autograd/real_math.h"
#include "autograd/tape.h"

/* What both keep: one mean and one 1 / sqrt(var + epsilon) per row, or per column. */
typedef struct norm {
  void *mean, *inverse;
  bool batch;         /* batch_norm in training: the statistics depend on x */
  void *sum, *sum_u;  /* batch_norm on its way back: column sums of dy and of dy u, [d] */
} norm;

#define MOON_EACH_REAL "ops_norm.c"
#include "autograd/each_real.h"

/* x [.., d], gamma [d], beta [d] -> rows and d. */
static moon_status check_norm(const moon_tape *tape, const moon_op *op, const moon_var in[3], size_t *rows, size_t *d) {
  MOON_TRY(moon_node_check(tape, op, 3, in));
  const moon_node *x = moon_node_at(tape, in[0]);
  if (!x->dims) return moon_fail(MOON_EINVAL, "%s: a scalar has no last dimension", op->name);
  *d = x->shape[x->dims - 1];
  *rows = x->count ? x->count / *d : 0;
  for (int i = 1; i < 3; i++) {
    const moon_node *p = moon_node_at(tape, in[i]);
    if (p->dims != 1 || p->shape[0] != *d)
      return moon_node_mismatch(tape, op, in[0], in[i], "x [.., d] with gamma and beta [d] is needed");
  }
  return moon_ok();
}

static moon_status push_norm(moon_tape *tape, const moon_op *op, const moon_var in[3], size_t statistics, moon_node **node,
                             moon_var *out) {
  moon_node x = *moon_node_at(tape, in[0]);
  size_t bytes = statistics * moon_dtype_size(x.dtype);
  norm *kept = moon_tape_take(tape, sizeof *kept);
  void *mean = moon_tape_take(tape, bytes), *inverse = moon_tape_take(tape, bytes);
  if (!kept || !mean || !inverse) return moon_fail(MOON_ENOMEM, "%s: no memory", op->name);
  *kept = (norm){.mean = mean, .inverse = inverse};
  MOON_TRY(moon_node_push(tape, op, 3, in, x.dims, x.shape, node, out));
  (*node)->aux = kept;
  return moon_ok();
}

/* ---- layer_norm ------------------------------------------------------------------------------------------------------------- */

static void layer_back(moon_tape *tape, moon_node *node) {
  const norm *kept = node->aux;
  const moon_node *x = moon_node_at(tape, node->in[0]), *gamma = moon_node_at(tape, node->in[1]);
  bool fresh;
  void *into_gamma = moon_node_grad(tape, node->in[1]), *into_beta = moon_node_grad(tape, node->in[2]);
  void *into_x = moon_node_grad_raw(tape, node->in[0], &fresh);
  size_t d = gamma->count, rows = node->count / d;
  if (into_x)
    MOON_BY_DTYPE(node->dtype, layer_backward, rows, d, node->grad, x->value, gamma->value, kept->mean, kept->inverse, fresh,
                  into_x);
  if (into_gamma) MOON_BY_DTYPE(node->dtype, layer_gamma, rows, d, node->grad, x->value, kept->mean, kept->inverse, into_gamma);
  if (into_beta) MOON_BY_DTYPE(node->dtype, column_sums, rows, d, node->grad, into_beta);
}

static const moon_op layer_op = {"layer_norm", layer_back};

moon_status moon_op_layer_norm(moon_tape *tape, moon_var x, moon_var gamma, moon_var beta, double epsilon, moon_var *out) {
  moon_var in[3] = {x, gamma, beta};
  size_t rows = 0, d = 0;
  moon_node *node;
  MOON_TRY(check_norm(tape, &layer_op, in, &rows, &d));
  MOON_TRY(push_norm(tape, &layer_op, in, rows, &node, out));
  const norm *kept = node->aux;
  MOON_BY_DTYPE(node->dtype, layer_forward, rows, d, epsilon, moon_node_at(tape, x)->value, moon_node_at(tape, gamma)->value,
                moon_node_at(tape, beta)->value, kept->mean, kept->inverse, node->value);
  return moon_node_done(tape, *out);
}

/* ---- batch_norm ------------------------------------------------------------------------------------------------------------- */

static void batch_back(moon_tape *tape, moon_node *node) {
  const norm *kept = node->aux;
  const moon_node *x = moon_node_at(tape, node->in[0]), *gamma = moon_node_at(tape, node->in[1]);
  size_t d = gamma->count, rows = node->count / d, bytes = d * moon_dtype_size(node->dtype);
  void *sum = kept->sum, *sum_u = kept->sum_u;
  memset(sum, 0, bytes), memset(sum_u, 0, bytes);
  MOON_BY_DTYPE(node->dtype, column_sums, rows, d, node->grad, sum);
  MOON_BY_DTYPE(node->dtype, batch_gamma, rows, d, node->grad, x->value, kept->mean, kept->inverse, sum_u);
  void *into_x = moon_node_grad(tape, node->in[0]), *into_gamma = moon_node_grad(tape, node->in[1]),
       *into_beta = moon_node_grad(tape, node->in[2]);
  if (into_gamma) MOON_BY_DTYPE(node->dtype, column_sums, 1, d, sum_u, into_gamma);
  if (into_beta) MOON_BY_DTYPE(node->dtype, column_sums, 1, d, sum, into_beta);
  if (into_x)
    MOON_BY_DTYPE(node->dtype, batch_backward, rows, d, kept->batch, node->grad, x->value, gamma->value, kept->mean,
                  kept->inverse, sum, sum_u, into_x);
}

static const moon_op batch_op = {"batch_norm", batch_back};

static moon_status check_running(const moon_tensor *running, const char *which, moon_dtype dtype, size_t d) {
  int dims = moon_tensor_dims(running);
  if (dims == 1 && moon_tensor_shape(running)[0] == d && moon_tensor_dtype(running) == dtype &&
      moon_tensor_is_contiguous(running))
    return moon_ok();
  return moon_fail(MOON_EINVAL, "batch_norm: the running %s is %s %s, not a contiguous %s [%zu]", which,
                   moon_dtype_name(moon_tensor_dtype(running)), moon_shape_write(dims, moon_tensor_shape(running)).text,
                   moon_dtype_name(dtype), d);
}

moon_status moon_op_batch_norm(moon_tape *tape, moon_var x, moon_var gamma, moon_var beta, moon_tensor *running_mean,
                               moon_tensor *running_var, double momentum, double epsilon, bool training, moon_var *out) {
  moon_var in[3] = {x, gamma, beta};
  size_t rows = 0, d = 0;
  moon_node *node;
  MOON_TRY(check_norm(tape, &batch_op, in, &rows, &d));
  moon_dtype dtype = moon_node_at(tape, x)->dtype;
  MOON_TRY(check_running(running_mean, "mean", dtype, d));
  MOON_TRY(check_running(running_var, "variance", dtype, d));
  if (training && d && rows < 2)
    return moon_fail(MOON_EINVAL, "batch_norm: %s has %zu rows: statistics of a batch need 2", moon_node_shape(tape, x).text,
                     rows);
  void *sum = moon_tape_take(tape, d * moon_dtype_size(dtype)), *sum_u = moon_tape_take(tape, d * moon_dtype_size(dtype));
  if (!sum || !sum_u) return moon_fail(MOON_ENOMEM, "batch_norm: no memory");
  MOON_TRY(push_norm(tape, &batch_op, in, d, &node, out));
  norm *kept = node->aux;
  kept->batch = training, kept->sum = sum, kept->sum_u = sum_u;
  const void *value = moon_node_at(tape, x)->value;
  double keep = training && !tape->repeats ? momentum : 0; /* a checkpoint's second run must not count the batch twice */
  if (training)
    MOON_BY_DTYPE(dtype, batch_statistics, rows, d, epsilon, keep, value, kept->mean, kept->inverse,
                  moon_tensor_data(running_mean), moon_tensor_data(running_var));
  else
    MOON_BY_DTYPE(dtype, running_statistics, d, epsilon, moon_tensor_data(running_mean), moon_tensor_data(running_var),
                  kept->mean, kept->inverse);
  if (keep > 0) moon_tensor_touch(running_mean), moon_tensor_touch(running_var);
  MOON_BY_DTYPE(dtype, batch_forward, rows, d, value, moon_node_at(tape, gamma)->value, moon_node_at(tape, beta)->value,
                kept->mean, kept->inverse, node->value);
  return moon_node_done(tape, *out);
}

#else /* ---- kernels, for each REAL ---------------------------------------------------------------------------------------------- */
#include "autograd/real_sums.h"

MOON_CLONES static void K(column_sums)(size_t rows, size_t d, const REAL *restrict g, REAL *restrict into) {
  for (size_t i = 0; i < rows; i++)
    for (size_t j = 0; j < d; j++) into[j] += g[i * d + j];
}

/* y [rows, d]; mean, inverse [rows]. Two passes: the mean first, then squares of small differences. */
MOON_CLONES static void K(layer_forward)(size_t rows, size_t d, double epsilon, const REAL *restrict x,
                                         const REAL *restrict gamma, const REAL *restrict beta, REAL *restrict mean,
                                         REAL *restrict inverse, REAL *restrict y) {
  for (size_t i = 0; i < rows; i++, x += d, y += d) {
    REAL m = K(row_sum)(d, x) / (REAL)d;
    for (size_t j = 0; j < d; j++) y[j] = x[j] - m;
    REAL s = 1 / M(sqrt)(K(row_dot)(d, y, y) / (REAL)d + (REAL)epsilon);
    for (size_t j = 0; j < d; j++) y[j] = y[j] * s * gamma[j] + beta[j];
    mean[i] = m, inverse[i] = s;
  }
}

MOON_INLINE void K(layer_backward_loop)(size_t rows, size_t d, const REAL *restrict g, const REAL *restrict x,
                                        const REAL *restrict gamma, const REAL *restrict mean, const REAL *restrict inverse,
                                        REAL *restrict into, bool fresh) {
  for (size_t i = 0; i < rows; i++, g += d, x += d, into += d) {
    REAL m = mean[i], s = inverse[i];
    REAL v_mean = K(row_dot)(d, g, gamma) / (REAL)d, u_mean = K(row_dot_off)(d, g, gamma, x, m) * s / (REAL)d;
    for (size_t j = 0; j < d; j++) MOON_GAIN(fresh, into[j], s * (g[j] * gamma[j] - v_mean - (x[j] - m) * s * u_mean));
  }
}
MOON_CLONES static void K(layer_backward)(size_t rows, size_t d, const REAL *restrict g, const REAL *restrict x,
                                          const REAL *restrict gamma, const REAL *restrict mean, const REAL *restrict inverse,
                                          bool fresh, REAL *restrict into) {
  MOON_BOTH(fresh, K(layer_backward_loop), rows, d, g, x, gamma, mean, inverse, into);
}

MOON_CLONES static void K(layer_gamma)(size_t rows, size_t d, const REAL *restrict g, const REAL *restrict x,
                                       const REAL *restrict mean, const REAL *restrict inverse, REAL *restrict into) {
  for (size_t i = 0; i < rows; i++, g += d, x += d)
    for (size_t j = 0; j < d; j++) into[j] += g[j] * (x[j] - mean[i]) * inverse[i];
}

/* mean, inverse, running [d]; `keep` 0 leaves the running ones. Columns in double: a batch may have 10^5 rows. */
MOON_CLONES static void K(batch_statistics)(size_t rows, size_t d, double epsilon, double keep, const REAL *restrict x,
                                            REAL *restrict mean, REAL *restrict inverse, REAL *restrict running_mean,
                                            REAL *restrict running_var) {
  enum { WIDE = 64 };
  for (size_t j0 = 0; j0 < d; j0 += WIDE) {
    size_t width = d - j0 < WIDE ? d - j0 : WIDE;
    double sum[WIDE] = {0}, square[WIDE] = {0};
    for (size_t i = 0; i < rows; i++)
      for (size_t j = 0; j < width; j++) sum[j] += x[i * d + j0 + j];
    for (size_t j = 0; j < width; j++) sum[j] /= (double)rows;
    for (size_t i = 0; i < rows; i++)
      for (size_t j = 0; j < width; j++) {
        double off = x[i * d + j0 + j] - sum[j];
        square[j] += off * off;
      }
    for (size_t j = 0; j < width; j++) {
      mean[j0 + j] = (REAL)sum[j];
      inverse[j0 + j] = (REAL)(1 / M(sqrt)(square[j] / (double)rows + epsilon));
      if (keep == 0) continue;
      running_mean[j0 + j] = (REAL)((1 - keep) * running_mean[j0 + j] + keep * sum[j]);
      running_var[j0 + j] = (REAL)((1 - keep) * running_var[j0 + j] + keep * square[j] / (double)(rows - 1));
    }
  }
}

static void K(running_statistics)(size_t d, double epsilon, const REAL *restrict running_mean, const REAL *restrict running_var,
                                  REAL *restrict mean, REAL *restrict inverse) {
  for (size_t j = 0; j < d; j++) mean[j] = running_mean[j], inverse[j] = 1 / M(sqrt)(running_var[j] + (REAL)epsilon);
}

MOON_CLONES static void K(batch_forward)(size_t rows, size_t d, const REAL *restrict x, const REAL *restrict gamma,
                                         const REAL *restrict beta, const REAL *restrict mean, const REAL *restrict inverse,
                                         REAL *restrict y) {
  for (size_t i = 0; i < rows; i++, x += d, y += d)
    for (size_t j = 0; j < d; j++) y[j] = (x[j] - mean[j]) * inverse[j] * gamma[j] + beta[j];
}

MOON_CLONES static void K(batch_gamma)(size_t rows, size_t d, const REAL *restrict g, const REAL *restrict x,
                                       const REAL *restrict mean, const REAL *restrict inverse, REAL *restrict into) {
  for (size_t i = 0; i < rows; i++, g += d, x += d)
    for (size_t j = 0; j < d; j++) into[j] += g[j] * (x[j] - mean[j]) * inverse[j];
}

/* gamma is one number a column, so it leaves the averages. Without batch statistics they fall away. */
MOON_CLONES static void K(batch_backward)(size_t rows, size_t d, bool batch, const REAL *restrict g, const REAL *restrict x,
                                          const REAL *restrict gamma, const REAL *restrict mean, const REAL *restrict inverse,
                                          const REAL *restrict sum, const REAL *restrict sum_u, REAL *restrict into) {
  REAL share = batch ? 1 / (REAL)rows : 0;
  for (size_t i = 0; i < rows; i++, g += d, x += d, into += d)
    for (size_t j = 0; j < d; j++) {
      REAL u = (x[j] - mean[j]) * inverse[j];
      into[j] += gamma[j] * inverse[j] * (g[j] - share * (sum[j] + u * sum_u[j]));
    }
}
#endif

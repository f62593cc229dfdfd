/* matmul.c - matrix products, one or a batch.
 *
 * BLAS wants dense matrices, and takes one that is dense the other way round as its transpose; only what is neither is copied.
 * Where the right side is one matrix for the whole batch, the rows of all left sides are one tall matrix and one product. */
#include <stdio.h>

#include "tensor/kernel.h"

/* A side of the product: dense [batch..., rows, columns], or with the last two stored the other way. */
typedef struct side {
  moon_tensor *t; /* of at least two dimensions */
  bool turned;
} side;

static bool is_dense_turned(const moon_tensor *t) {
  moon_tensor turned = *t; /* only looked at */
  int r = t->dims - 2, c = t->dims - 1;
  turned.shape[r] = t->shape[c], turned.strides[r] = t->strides[c];
  turned.shape[c] = t->shape[r], turned.strides[c] = t->strides[r];
  return moon_tensor_is_contiguous(&turned);
}

/* A vector becomes a row (or, as_column, a column) first. */
static moon_status open_side(const moon_tensor *t, moon_dtype dtype, bool as_column, side *out) {
  moon_tensor matrix = *t; /* geometry only; the handle made below counts */
  if (t->dims == 1) {
    matrix.dims = 2;
    matrix.shape[as_column ? 0 : 1] = t->shape[0], matrix.strides[as_column ? 0 : 1] = t->strides[0];
    matrix.shape[as_column ? 1 : 0] = 1, matrix.strides[as_column ? 1 : 0] = 0;
  }
  out->turned = t->dtype == dtype && !moon_tensor_is_contiguous(&matrix) && is_dense_turned(&matrix);
  return out->turned ? moon_tensor_alias(&matrix, &out->t) : moon_tensor_dense(&matrix, dtype, &out->t);
}

static void close_side(side *s) { moon_tensor_free(s->t); }

/* ---- running over the batch ------------------------------------------------------------------------------------------------ */

/* Elements between the matrix of one batch index and of the next, per batch dimension of the result; 0 where the side repeats.
 * Row-major sizes do, as the last two dimensions are dense one way or the other. */
static void batch_steps(const moon_tensor *t, int dims, size_t *steps) {
  int lead = dims - (t->dims - 2);
  size_t step = t->shape[t->dims - 2] * t->shape[t->dims - 1];
  for (int d = dims - 1; d >= 0; d--) {
    size_t size = d >= lead ? t->shape[d - lead] : 1;
    steps[d] = size == 1 ? 0 : step;
    step *= size;
  }
}

static void multiply(const side *a, const side *b, int dims, const size_t *batch, moon_tensor *y, size_t n, size_t m, size_t k) {
  size_t each = moon_dtype_size(y->dtype), count = 1, index[MOON_MAX_DIMS] = {0}, step_a[MOON_MAX_DIMS], step_b[MOON_MAX_DIMS];
  for (int d = 0; d < dims; d++) count *= batch[d];
  size_t tall = a->t->count / (k ? k : 1);
  if (b->t->dims == 2 && !a->turned && count > 1 && tall == count * n && moon_gemm_fits(tall, m, k)) {
    moon_gemm(y->dtype, false, b->turned, tall, m, k, a->t->data, b->t->data, false, y->data);
    return;
  }
  batch_steps(a->t, dims, step_a);
  batch_steps(b->t, dims, step_b);
  for (size_t i = 0; i < count; i++) {
    size_t at_a = 0, at_b = 0;
    for (int d = 0; d < dims; d++) at_a += index[d] * step_a[d], at_b += index[d] * step_b[d];
    moon_gemm(y->dtype, a->turned, b->turned, n, m, k, a->t->data + at_a * each, b->t->data + at_b * each, false,
              y->data + i * n * m * each);
    for (int d = dims - 1; d >= 0 && ++index[d] == batch[d]; d--) index[d] = 0;
  }
}

/* ---- shapes ---------------------------------------------------------------------------------------------------------------- */

typedef struct product {
  moon_dtype dtype;
  size_t n, k, m;
  int batch_dims, dims;
  size_t batch[MOON_MAX_DIMS], shape[MOON_MAX_DIMS + 2];
} product;

static moon_status refuse(const moon_tensor *a, const moon_tensor *b, const char *why) {
  return moon_fail(MOON_EINVAL, "matmul: %s against %s: %s", moon_shape_of(a).text, moon_shape_of(b).text, why);
}

static moon_status plan(const moon_tensor *a, const moon_tensor *b, product *p) {
  if (!moon_dtype_is_real(a->dtype) || !moon_dtype_is_real(b->dtype))
    return moon_fail(MOON_EINVAL, "matmul: %s against %s: only f32 and f64 multiply; cast first", moon_dtype_name(a->dtype),
                     moon_dtype_name(b->dtype));
  if (!a->dims || !b->dims) return refuse(a, b, "a scalar is not a matrix");
  p->dtype = moon_dtype_common(a->dtype, b->dtype);
  p->n = a->dims == 1 ? 1 : a->shape[a->dims - 2];
  p->k = a->shape[a->dims - 1];
  p->m = b->dims == 1 ? 1 : b->shape[b->dims - 1];
  size_t other = b->dims == 1 ? b->shape[0] : b->shape[b->dims - 2];
  if (p->k != other) {
    char why[80];
    snprintf(why, sizeof why, "the inner sizes %zu and %zu differ", p->k, other);
    return refuse(a, b, why);
  }
  if (!moon_gemm_fits(p->n, p->m, p->k)) return refuse(a, b, "a size is too large");
  int a_batch = a->dims > 2 ? a->dims - 2 : 0, b_batch = b->dims > 2 ? b->dims - 2 : 0;
  if (!moon_shape_broadcast(a_batch, a->shape, b_batch, b->shape, &p->batch_dims, p->batch))
    return refuse(a, b, "the leading dimensions do not stretch to each other");
  for (p->dims = 0; p->dims < p->batch_dims; p->dims++) p->shape[p->dims] = p->batch[p->dims];
  if (a->dims > 1) p->shape[p->dims++] = p->n;
  if (b->dims > 1) p->shape[p->dims++] = p->m;
  return moon_ok();
}

moon_status moon_tensor_matmul(const moon_tensor *a, const moon_tensor *b, moon_tensor **out) {
  *out = NULL;
  product p;
  MOON_TRY(plan(a, b, &p));
  moon_blas_init();
  side left = {NULL, false}, right = {NULL, false};
  moon_account *account = moon_tensor_account(a) ? moon_tensor_account(a) : moon_tensor_account(b);
  moon_tensor *y = NULL;
  moon_status st = open_side(a, p.dtype, false, &left);
  if (!st.code) st = open_side(b, p.dtype, true, &right);
  if (!st.code) st = moon_tensor_new_in(account, p.dtype, p.dims, p.shape, &y);
  if (!st.code && y->count) multiply(&left, &right, p.batch_dims, p.batch, y, p.n, p.m, p.k);
  close_side(&left);
  close_side(&right);
  if (st.code) return moon_wrap(st, "matmul");
  *out = y;
  return st;
}

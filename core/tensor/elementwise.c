/* elementwise.c - operations that look at one element of each operand at a time.
 *
 * Kernels are plain loops over tiles; apply brings the tiles. What an operation is called, and which kernel computes it for which
 * dtype, stands in one table for two operands and one for one. */
#ifndef T
#include <math.h>
#include <string.h>

#include "tensor/kernel.h"

/* tanh in f32 within 3 ulp, by Cephes (Moshier 1989): a polynomial around 0, elsewhere by e^2x. Without a branch, so it
 * vectorises. */
MOON_INLINE float tanh_single(float x) {
  float z = x * x, size = fabsf(x);
  float p = -5.70498872745e-3f;
  p = p * z + 2.06390887954e-2f;
  p = p * z - 5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z - 3.33332819422e-1f;
  float outer = 1.f - 2.f / (moon_expf(2.f * size) + 1.f);
  return size < 0.625f ? p * z * x + x : x != x ? x : copysignf(outer, x);
}

#define MOON_EACH_DTYPE "tensor/elementwise.c"
#include "tensor/each_dtype.h"

/* ---- walking operands together --------------------------------------------------------------------------------------------- */

enum { OPERANDS = 3 };

/* y[i] = f(x[0][i], x[1][i], ...); y may be one of the inputs. numbers: the application's. */
typedef void kernel_fn(size_t n, const void *const *x, void *y, const double *numbers);
typedef struct application {
  const char *name;
  kernel_fn *kernel;
  int n;                           /* operands */
  const moon_tensor *in[OPERANDS]; /* stretch to each other */
  moon_dtype as[OPERANDS], yields; /* what the kernel takes and gives */
  const double *numbers;
} application;

static void walk(const application *work, moon_tensor *into) {
  moon_cursor reader[OPERANDS], writer;
  _Alignas(64) char tiles[OPERANDS + 1][MOON_TILE_BYTES];
  for (int i = 0; i < work->n; i++) moon_cursor_open(&reader[i], work->in[i], into->dims, into->shape, work->as[i]);
  moon_cursor_open(&writer, into, into->dims, into->shape, work->yields);
  for (size_t left = into->count; left;) {
    size_t n = left < MOON_TILE ? left : MOON_TILE;
    const void *x[OPERANDS];
    for (int i = 0; i < work->n; i++) x[i] = moon_cursor_read(&reader[i], n, tiles[i]);
    void *y = moon_cursor_target(&writer, tiles[OPERANDS]);
    work->kernel(n, x, y, work->numbers);
    moon_cursor_write(&writer, n, y);
    left -= n;
  }
}

static moon_status mismatch(const application *work) {
  moon_shape_text shape[OPERANDS];
  for (int i = 0; i < work->n; i++) shape[i] = moon_shape_of(work->in[i]);
  if (work->n == 3)
    return moon_fail(MOON_EINVAL, "%s: %s, %s and %s do not stretch to one shape", work->name, shape[0].text, shape[1].text,
                     shape[2].text);
  return moon_fail(MOON_EINVAL, "%s: %s against %s: the shapes do not stretch to each other", work->name, shape[0].text,
                   shape[1].text);
}

static moon_status common_shape(const application *work, int *dims, size_t *shape) {
  *dims = work->in[0]->dims;
  memcpy(shape, work->in[0]->shape, sizeof(size_t) * MOON_MAX_DIMS);
  for (int i = 1; i < work->n; i++) {
    size_t so_far[MOON_MAX_DIMS];
    memcpy(so_far, shape, sizeof so_far);
    if (!moon_shape_broadcast(*dims, so_far, work->in[i]->dims, work->in[i]->shape, dims, shape)) return mismatch(work);
  }
  return moon_ok();
}

static moon_status apply(const application *work, moon_tensor **out) {
  int dims;
  size_t shape[MOON_MAX_DIMS];
  moon_account *account = NULL;
  *out = NULL;
  MOON_TRY(common_shape(work, &dims, shape));
  for (int i = work->n - 1; i >= 0; i--)
    if (moon_tensor_account(work->in[i])) account = moon_tensor_account(work->in[i]);
  moon_status st = moon_tensor_new_in(account, work->yields, dims, shape, out);
  if (st.code) return moon_wrap(st, "%s", work->name);
  if ((*out)->count) walk(work, *out);
  return moon_ok();
}

/* An operand that lies exactly where the result goes is read before it is written, tile by tile; any other overlap needs a copy.
 */
static bool needs_copy(const moon_tensor *in, const moon_tensor *into) {
  bool same = in->data == into->data && in->dtype == into->dtype &&
              moon_shape_equal(in->dims, in->shape, into->dims, into->shape) &&
              !memcmp(in->strides, into->strides, sizeof *in->strides * (size_t)in->dims);
  return !same && moon_tensor_overlap(in, into);
}

static moon_status apply_into(const application *work, moon_tensor *into) {
  int dims;
  size_t shape[MOON_MAX_DIMS];
  MOON_TRY(common_shape(work, &dims, shape));
  if (into->dtype != work->yields || !moon_shape_equal(dims, shape, into->dims, into->shape))
    return moon_fail(MOON_EINVAL, "%s: the result is %s %s, but is to go into %s %s", work->name, moon_dtype_name(work->yields),
                     moon_shape_write(dims, shape).text, moon_dtype_name(into->dtype), moon_shape_of(into).text);
  MOON_TRY(moon_check_writable(work->name, into));
  if (!into->count) return moon_ok();
  application safe = *work;
  moon_tensor *copies[OPERANDS] = {NULL};
  moon_status st = moon_ok();
  for (int i = 0; i < work->n && !st.code; i++) {
    if (!needs_copy(work->in[i], into)) continue;
    st = moon_tensor_contiguous(work->in[i], &copies[i]);
    safe.in[i] = copies[i];
  }
  if (!st.code) walk(&safe, into);
  for (int i = 0; i < work->n; i++) moon_tensor_free(copies[i]);
  return st.code ? moon_wrap(st, "%s", work->name) : st;
}

/* ---- the tables ------------------------------------------------------------------------------------------------------------ */

#define ANY(op) {op##_f32, op##_f64, op##_i64, op##_u8}
#define FLOATS(op) {op##_f32, op##_f64, NULL, NULL}
typedef struct op_entry {
  const char *name;
  kernel_fn *kernel[4]; /* by dtype; NULL: through f64 */
  bool masks;             /* yields u8, whatever it takes */
  bool swapped;           /* its operands change places: a > b is b < a */
} op_entry;

static const op_entry binaries[MOON_BINARY_COUNT] = {
    [MOON_OP_ADD] = {"add", ANY(add)},
    [MOON_OP_SUB] = {"sub", ANY(sub)},
    [MOON_OP_MUL] = {"mul", ANY(mul)},
    [MOON_OP_DIV] = {"div", FLOATS(div)},
    [MOON_OP_POW] = {"pow", FLOATS(pow)},
    [MOON_OP_MAXIMUM] = {"maximum", ANY(maximum)},
    [MOON_OP_MINIMUM] = {"minimum", ANY(minimum)},
    [MOON_OP_LT] = {"lt", ANY(lt), .masks = true},
    [MOON_OP_LE] = {"le", ANY(le), .masks = true},
    [MOON_OP_GT] = {"gt", ANY(lt), .masks = true, .swapped = true},
    [MOON_OP_GE] = {"ge", ANY(le), .masks = true, .swapped = true},
    [MOON_OP_EQ] = {"eq", ANY(eq), .masks = true},
    [MOON_OP_NE] = {"ne", ANY(ne), .masks = true},
};
static const op_entry unaries[MOON_UNARY_COUNT] = {
    [MOON_OP_NEG] = {"neg", ANY(neg)},
    [MOON_OP_ABS] = {"abs", ANY(abs)},
    [MOON_OP_RELU] = {"relu", ANY(relu)},
    [MOON_OP_SQRT] = {"sqrt", FLOATS(sqrt)},
    [MOON_OP_EXP] = {"exp", FLOATS(exp)},
    [MOON_OP_LOG] = {"log", FLOATS(log)},
    [MOON_OP_SIGMOID] = {"sigmoid", FLOATS(sigmoid)},
    [MOON_OP_TANH] = {"tanh", FLOATS(tanh)},
};
static const op_entry clip = {"clip", ANY(clip)};

const char *moon_binary_name(moon_binary op) { return (unsigned)op < MOON_BINARY_COUNT ? binaries[op].name : NULL; }
const char *moon_unary_name(moon_unary op) { return (unsigned)op < MOON_UNARY_COUNT ? unaries[op].name : NULL; }

static application apply_entry(const op_entry *op, const moon_tensor *a, const moon_tensor *b) {
  moon_dtype dtype = b ? moon_dtype_common(a->dtype, b->dtype) : a->dtype;
  if (!op->kernel[dtype]) dtype = MOON_F64;
  return (application){.name = op->name,
                            .kernel = op->kernel[dtype],
                            .n = b ? 2 : 1,
                            .in = {op->swapped ? b : a, op->swapped ? a : b},
                            .as = {dtype, dtype},
                            .yields = op->masks ? MOON_U8 : dtype};
}

static moon_status no_op(int op) { return moon_fail(MOON_EINVAL, "there is no operation %d", op); }

moon_status moon_tensor_binary(moon_binary op, const moon_tensor *a, const moon_tensor *b, moon_tensor **out) {
  *out = NULL;
  if (!moon_binary_name(op)) return no_op((int)op);
  application work = apply_entry(&binaries[op], a, b);
  return apply(&work, out);
}

moon_status moon_tensor_binary_into(moon_binary op, const moon_tensor *a, const moon_tensor *b, moon_tensor *into) {
  if (!moon_binary_name(op)) return no_op((int)op);
  application work = apply_entry(&binaries[op], a, b);
  return apply_into(&work, into);
}

moon_status moon_tensor_unary(moon_unary op, const moon_tensor *a, moon_tensor **out) {
  *out = NULL;
  if (!moon_unary_name(op)) return no_op((int)op);
  application work = apply_entry(&unaries[op], a, NULL);
  return apply(&work, out);
}

moon_status moon_tensor_unary_into(moon_unary op, const moon_tensor *a, moon_tensor *into) {
  if (!moon_unary_name(op)) return no_op((int)op);
  application work = apply_entry(&unaries[op], a, NULL);
  return apply_into(&work, into);
}

/* ---- clip ------------------------------------------------------------------------------------------------------------------ */

/* bounds [2], which live as long as the application */
static moon_status clip_work(const moon_tensor *a, const double *bounds, application *work) {
  if (!(bounds[0] <= bounds[1])) return moon_fail(MOON_EINVAL, "clip: %g to %g is not a range", bounds[0], bounds[1]);
  *work = apply_entry(&clip, a, NULL);
  work->numbers = bounds;
  return moon_ok();
}

moon_status moon_tensor_clip(const moon_tensor *a, double low, double high, moon_tensor **out) {
  double bounds[2] = {low, high};
  application work;
  *out = NULL;
  MOON_TRY(clip_work(a, bounds, &work));
  return apply(&work, out);
}

moon_status moon_tensor_clip_into(const moon_tensor *a, double low, double high, moon_tensor *into) {
  double bounds[2] = {low, high};
  application work;
  MOON_TRY(clip_work(a, bounds, &work));
  return apply_into(&work, into);
}

/* ---- where ----------------------------------------------------------------------------------------------------------------- */

static moon_status where_work(const char *name, const moon_tensor *mask, const moon_tensor *a, const moon_tensor *b,
                              moon_dtype dtype, application *work) {
  static kernel_fn *const kernels[4] = ANY(where);
  if (mask->dtype != MOON_U8) return moon_fail(MOON_EINVAL, "%s: a mask is u8, not %s", name, moon_dtype_name(mask->dtype));
  *work = (application){
      .name = name, .kernel = kernels[dtype], .n = 3, .in = {mask, a, b}, .as = {MOON_U8, dtype, dtype}, .yields = dtype};
  return moon_ok();
}

moon_status moon_tensor_where(const moon_tensor *mask, const moon_tensor *a, const moon_tensor *b, moon_tensor **out) {
  application work;
  *out = NULL;
  MOON_TRY(where_work("where", mask, a, b, moon_dtype_common(a->dtype, b->dtype), &work));
  return apply(&work, out);
}

moon_status moon_tensor_where_into(const moon_tensor *mask, const moon_tensor *a, const moon_tensor *b, moon_tensor *into) {
  application work;
  MOON_TRY(where_work("where", mask, a, b, moon_dtype_common(a->dtype, b->dtype), &work));
  return apply_into(&work, into);
}

moon_status moon_tensor_masked_fill(const moon_tensor *a, const moon_tensor *mask, double value, moon_tensor **out) {
  application work;
  moon_tensor *number = NULL;
  *out = NULL;
  int dims;
  size_t shape[MOON_MAX_DIMS];
  if (!moon_shape_broadcast(a->dims, a->shape, mask->dims, mask->shape, &dims, shape) ||
      !moon_shape_equal(dims, shape, a->dims, a->shape))
    return moon_fail(MOON_EINVAL, "masked_fill: the mask of %s does not stretch to %s", moon_shape_of(mask).text,
                     moon_shape_of(a).text);
  MOON_TRY(moon_tensor_borrow(MOON_F64, 0, NULL, &value, &number));
  moon_status st = where_work("masked_fill", mask, number, a, a->dtype, &work);
  if (!st.code) st = apply(&work, out);
  moon_tensor_free(number);
  return st;
}

#else /* ---- kernels, for each T \
         --------------------------------------------------------------------------------------------------- */

/* y may be a or b themselves: an element is read before it is written, and no other is looked at. */
#define BINARY(NAME, RESULT, EXPRESSION)                                                               \
  MOON_CLONES static void K(NAME)(size_t n, const void *const *in, void *out, const double *numbers) { \
    const T *a = in[0], *b = in[1];                                                                    \
    RESULT *z = out;                                                                                   \
    (void)numbers;                                                                                     \
    MOON_IVDEP for (size_t i = 0; i < n; i++) {                                                        \
      T x = a[i], y = b[i];                                                                            \
      z[i] = (RESULT)(EXPRESSION);                                                                     \
    }                                                                                                  \
  }
#define UNARY(NAME, EXPRESSION)                                                                        \
  MOON_CLONES static void K(NAME)(size_t n, const void *const *in, void *out, const double *numbers) { \
    const T *a = in[0];                                                                                \
    T *z = out;                                                                                        \
    (void)numbers;                                                                                     \
    MOON_IVDEP for (size_t i = 0; i < n; i++) {                                                        \
      T x = a[i];                                                                                      \
      z[i] = (T)(EXPRESSION);                                                                          \
    }                                                                                                  \
  }

/* WIDE is unsigned for integers, so they wrap around instead of being undefined. For floats it would cost a conversion. */
#if REAL
#define NUMBER T
#else
#define NUMBER WIDE
#endif
BINARY(add, T, (NUMBER)x + (NUMBER)y)
BINARY(sub, T, (NUMBER)x - (NUMBER)y)
BINARY(mul, T, (NUMBER)x *(NUMBER)y)
BINARY(maximum, T, x > y || x != x ? x : y)
BINARY(minimum, T, x < y || x != x ? x : y)
BINARY(lt, uint8_t, x < y)
BINARY(le, uint8_t, x <= y)
BINARY(eq, uint8_t, x == y)
BINARY(ne, uint8_t, x != y)
UNARY(neg, -(NUMBER)x)
#undef NUMBER

#if REAL
BINARY(div, T, x / y)
BINARY(pow, T, M(pow)(x, y))
UNARY(abs, M(fabs)(x))
UNARY(relu, x < 0 ? 0 : x) /* NaN stays visible */
UNARY(sqrt, M(sqrt)(x))
UNARY(log, M(log)(x))
UNARY(tanh, sizeof(T) == sizeof(float) ? (T)tanh_single((float)x) : (T)tanh((double)x))
UNARY(exp, sizeof(T) == sizeof(float) ? (T)moon_expf((float)x) : (T)exp((double)x))
UNARY(sigmoid, sizeof(T) == sizeof(float) ? (T)moon_sigmoidf((float)x) : (T)(1 / (1 + exp(-(double)x))))
#else
UNARY(abs, x > 0 ? (WIDE)x : -(WIDE)x)
UNARY(relu, x > 0 ? x : 0)
#endif

MOON_CLONES static void K(clip)(size_t n, const void *const *in, void *out, const double *bounds) {
  const T *a = in[0];
  T *z = out;
#if REAL
  T low = (T)bounds[0], high = (T)bounds[1];
#else /* the whole numbers between the bounds; none of them, or only outside of T: the nearest */
  const double least = sizeof(T) == 1 ? 0 : -0x1p63, most = sizeof(T) == 1 ? 255 : 0x1p63;
  double from = ceil(bounds[0]), to = floor(bounds[1]);
  T top = (T)(sizeof(T) == 1 ? UINT8_MAX : INT64_MAX), bottom = (T)(sizeof(T) == 1 ? 0 : INT64_MIN);
  T low = from >= most ? top : from <= least ? bottom : (T)from, high = to >= most ? top : to <= least ? bottom : (T)to;
#endif
  MOON_IVDEP for (size_t i = 0; i < n; i++) {
    T x = a[i];
    x = x < low ? low : x;
    z[i] = x > high ? high : x;
  }
}

MOON_CLONES static void K(where)(size_t n, const void *const *in, void *out, const double *numbers) {
  const uint8_t *mask = in[0];
  const T *a = in[1], *b = in[2];
  T *z = out;
  (void)numbers;
  MOON_IVDEP for (size_t i = 0; i < n; i++) {
    T x = a[i], y = b[i];
    z[i] = mask[i] ? x : y;
  }
}

#undef BINARY
#undef UNARY
#endif

/* tensor.h - room of core/tensor. The public part is include/moonshelf/tensor.h; this adds what only core sees: shapes as text
 * and under broadcasting, random fills, .npy and text in buffers, the BLAS behind one call, and the small arithmetic that the
 * kernels of the floors above share. */
#ifndef MOON_TENSOR_ROOM_H
#define MOON_TENSOR_ROOM_H
#include <math.h>

#include "base/base.h"
#include "moonshelf/tensor.h"

/* ---- shapes (shape.c) ----------------------------------------------------------------------------------------------------- */

typedef struct moon_shape_text { char text[160]; } moon_shape_text; /* six numbers of 20 digits fit */
/* "[2, 3]" by value, for error messages: moon_shape_write(dims, shape).text */
moon_shape_text moon_shape_write(int dims, const size_t *shape);
/* Elements of a shape. MOON_EINVAL where dims is not 0..6 or the bytes do not fit in ptrdiff_t. */
moon_status moon_shape_count(moon_dtype dtype, int dims, const size_t *shape, size_t *count);
bool moon_shape_equal(int a_dims, const size_t *a, int b_dims, const size_t *b);
/* numpy's rule: align to the right, a size-1 or absent dim repeats. False where the shapes do not agree; out has room for 6. */
bool moon_shape_broadcast(int a_dims, const size_t *a, int b_dims, const size_t *b, int *dims, size_t *out);

/* ---- accounts (account.c) -------------------------------------------------------------------------------------------------- */

/* For what belongs to tensors without being in their buffers. MOON_ENOMEM past the limit: "64 bytes asked, 32 of at most 80 in
 * use"; the account is then as it was. NULL accounts take everything. release gives back what charge took, after which the
 * account may be gone. */
moon_status moon_account_charge(moon_account *account, size_t bytes);
void moon_account_release(moon_account *account, size_t bytes);
/* What this thread's moon_tensor_new counts in from now on (NULL: nothing, as at the start); answers what it was, to be put back.
 * For who calls something that makes tensors of its own, such as a model. */
moon_account *moon_account_enter(moon_account *account);
moon_account *moon_account_here(void);

/* ---- versions (tensor.c) ------------------------------------------------------------------------------------------------------- */

/* For who keeps something made of a tensor's numbers: a count that goes up when a writer notes that it wrote. All tensors over one
 * buffer have one; borrowed memory has none, 0. Who trains notes its writes, and Lua all of its own; not so the kernels. */
uint64_t moon_tensor_version(const moon_tensor *tensor);
void moon_tensor_touch(moon_tensor *tensor); /* not while another thread reads the version */

/* ---- random numbers (random.c). Any strides; elements are drawn in row-major order ----------------------------------------- */

/* [low, high), also after rounding to f32. f32 or f64. MOON_EINVAL where the range is empty or not finite. */
moon_status moon_tensor_fill_uniform(moon_tensor *tensor, moon_rng *rng, double low, double high);
moon_status moon_tensor_fill_normal(moon_tensor *tensor, moon_rng *rng, double mean, double deviation);
/* Whole numbers in [low, high). Any dtype. MOON_EINVAL where there are none. */
moon_status moon_tensor_fill_randint(moon_tensor *tensor, moon_rng *rng, int64_t low, int64_t high);
/* 0 .. n - 1 in random order; i64 [n]. */
moon_status moon_tensor_fill_permutation(moon_tensor *tensor, moon_rng *rng);

/* ---- .npy (npy.c) and text (text.c) ---------------------------------------------------------------------------------------- */

/* See moon_tensor_load. The bytes must be one file, no more and no less. */
moon_status moon_npy_read(const void *bytes, size_t n, moon_account *account, moon_tensor **out);
/* Appends the file: format 1.0, C order, header padded to 64 bytes, as numpy writes it. MOON_ENOMEM. */
moon_status moon_npy_write(const moon_tensor *tensor, moon_buf *out);
/* Appends the tensor as numpy would print it, after its dtype and shape; of more than 1000 elements three from each end of a
 * dimension. Failure latches in the buffer. */
void moon_tensor_print(const moon_tensor *tensor, moon_buf *out);

/* ---- matrix products (blas.c, kernels.c) ------------------------------------------------------------------------------------ */

/* One BLAS thread: steps are small and threads belong to the layer above. Idempotent and thread-safe; called by whoever makes
 * something that multiplies. */
void moon_blas_init(void);
/* C [m, n] = op(A) [m, k] op(B) [k, n] + (add ? C : 0), all row-major and dense; ta: A is stored [k, m], tb: B is stored [n, k].
 * f32 or f64. Every size must fit in an int (moon_gemm_fits). */
void moon_gemm(moon_dtype dtype, bool ta, bool tb, size_t m, size_t n, size_t k, const void *a, const void *b, bool add, void *c);
bool moon_gemm_fits(size_t m, size_t n, size_t k);
/* a [n, n], symmetric and positive definite, becomes its inverse (inverse.c), whole. MOON_EINVAL where it is not positive definite, with
 * the row; `a` is then spoilt. */
moon_status moon_inverse_spd(double *a, size_t n);
/* Whether moon_gemm takes our own panels rather than OpenBLAS: a rule over processor and sizes alone, so that no result hangs on a clock. */
bool moon_gemm_own(moon_dtype dtype, bool tb, size_t m, size_t n, size_t k);
/* The two by name, in f32, for benchmarks and tests; arguments as moon_gemm's, no size zero. */
void moon_gemm_panels(bool ta, bool tb, size_t m, size_t n, size_t k, const float *a, const float *b, bool add, float *c);
void moon_gemm_blas(bool ta, bool tb, size_t m, size_t n, size_t k, const float *a, const float *b, bool add, float *c);
bool moon_has_fma(void);             /* vectors of 32 bytes with fused multiply-add */
const char *moon_cpu_features(void); /* those that kernels are chosen by, "avx2 fma"; static */
const char *moon_blas_core(void);    /* the kernels that OpenBLAS chose, "Zen"; static */
size_t moon_peak_run(void);          /* as many f32 operations as fit the time (peak.c): answers how many, some 10^5 to 10^6 */

/* ---- products with a right side in panels (product.c) --------------------------------------------------------------------- */

typedef enum moon_activation { MOON_LINEAR, MOON_RELU, MOON_SIGMOID, MOON_TANH } moon_activation;

/* How many columns a panel has on this processor, and `columns` rounded up to whole panels. */
size_t moon_panel(moon_dtype dtype);
size_t moon_panel_round(moon_dtype dtype, size_t columns);
/* b [inner, columns] (turned: stored [columns, inner]) as panels of moon_panel columns, each [inner, panel], zero-padded; packed
 * has inner x moon_panel_round(columns) elements. f32 or f64. */
void moon_pack(moon_dtype dtype, bool turned, size_t inner, size_t columns, const void *b, void *packed);
/* The same of a part of a larger matrix: a stored row has b_row elements. */
void moon_pack_part(moon_dtype dtype, bool turned, size_t inner, size_t columns, const void *b, size_t b_row, void *packed);

/* C [rows, columns] = A [rows, inner] B [inner, columns] + bias, or C += A B; then relu. Sizes and steps are in elements.
 * B(k, j) is at b[j / panel * b_panel + k * b_step + j % panel], readable in whole panels: packed memory has b_step = panel and
 * b_panel = inner * panel, row-major memory with padded rows has b_step = its row and b_panel = panel. C is written in
 * `columns` only, and is not A or B. */
typedef struct moon_product {
  size_t rows, inner, columns;
  const void *a;   /* A(r, k) = a[r * a_row + k], or a[k * a_row + r] where turned */
  size_t a_row;
  bool a_turned;
  const void *b;
  size_t b_step, b_panel;
  const void *bias; /* [moon_panel_round(columns)], or NULL: zeros */
  bool add, relu;   /* add: the sums start from C instead of the bias */
  void *c;
  size_t c_row;
} moon_product;
void moon_product_run(moon_dtype dtype, const moon_product *product);
/* The same for one column, which needs no panels: c [rows] = A b [inner] + *bias. */
void moon_product_unit(moon_dtype dtype, size_t rows, size_t inner, const void *a, size_t a_row, const void *b, const void *bias,
                       void *c);
void moon_activate(moon_dtype dtype, moon_activation activation, size_t n, void *y); /* in place; f32 or f64 */
/* Its way back from the output y: dz = dy act'(z). dy and y are [rows, columns], dz has rows of dz_row elements, zero beyond
 * `columns`; sums [columns], where it is not NULL, gains the columns' sums of dz. */
void moon_activate_back(moon_dtype dtype, moon_activation activation, size_t rows, size_t columns, const void *dy, const void *y,
                        void *dz, size_t dz_row, void *sums);

/* ---- products in fewer bits (kernels_bf16.c, kernels_int8.c) --------------------------------------------------------------- */

/* moon_product_run in f32 with `b` in bf16, as moon_pack_bf16 lays it; its steps are in words of two weights. */
void moon_product_run_bf16(const moon_product *product);
/* What moon_pack laid in f32 -> half as many words as there were floats. */
void moon_pack_bf16(size_t inner, size_t columns, const float *panels, uint32_t *packed);
uint16_t moon_bf16(float value); /* to nearest, ties to even */
float moon_bf16_float(uint16_t half);

/* A row of f32 as whole numbers: x ~ scale (q - zero). NaN or an infinity in it makes the scale NaN, and so all results. */
typedef struct moon_int8_range {
  float scale;
  int32_t zero;
} moon_int8_range;
/* C [rows, columns] = A B + bias, then relu; the bits are the same by every kernel and on every processor. inner <=
 * MOON_INT8_INNER. */
enum { MOON_INT8_INNER = 1 << 17 }; /* 127 * 127 * that, the largest sum, is below 2^31 */
typedef struct moon_int8_product {
  size_t rows, inner, columns;
  const uint8_t *a; /* [rows, a_row], by moon_int8_rows */
  size_t a_row;
  const moon_int8_range *how; /* [rows] */
  const int8_t *b;            /* by moon_int8_pack */
  const float *scale, *bias;  /* [columns], in whole panels; so is sums */
  const int32_t *sums;
  bool relu;
  float *c;
  size_t c_row;
} moon_int8_product;
typedef struct moon_int8_kernel {
  const char *name;
  size_t panel; /* columns */
  bool (*usable)(void);
  void (*product)(const moon_int8_product *product);
} moon_int8_kernel;
const moon_int8_kernel *moon_int8_best(void);             /* on this processor */
const moon_int8_kernel *moon_int8_kernels(size_t *n);     /* all, for tests and benchmarks */
void moon_int8_unit(const moon_int8_product *product);    /* for one column, packed with panel = 1 */
size_t moon_int8_row(size_t inner);                       /* bytes of a quantised row */
/* w [inner, columns], finite -> b: moon_int8_row(inner) * columns in whole panels, zeroed; scale and sums of each column. */
void moon_int8_pack(size_t panel, size_t inner, size_t columns, const float *w, size_t w_row, int8_t *b, float *scale,
                    int32_t *sums);
void moon_int8_rows(size_t rows, size_t inner, const float *x, size_t x_row, uint8_t *q, moon_int8_range *how);
/* sigmoid and tanh by the same bits everywhere; else nothing */
void moon_int8_activate(moon_activation activation, size_t n, float *y);

/* ---- numbers (inline, so that loops over them vectorise) ------------------------------------------------------------------ */

/* A function compiled for several x86-64 levels; the loader picks one. Elsewhere, and under sanitizers (which dislike resolvers
 * that run before them), the plain one. */
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12 && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define MOON_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define MOON_CLONES
#endif

/* e^x in f32 within 2 ulp where the result is a normal number; 0 below -87.3, infinity above 88.72, NaN for NaN. Cephes'
 * polynomial (Moshier 1989): x = k ln 2 + r, e^r by degree 6, times 2^k by the exponent bits. No branch and no table, so it
 * vectorises and answers the same under any libm. */
static inline float moon_expf(float x) {
  float clipped = x > 88.72283f ? 88.72283f : x;
  clipped = clipped > -87.3f ? clipped : -87.3f;          /* NaN also ends here, so that the conversion below is defined */
  float shifted = clipped * 1.44269504f + 12582912.f;     /* 1.5 * 2^23: adding it rounds to an integer */
  float k = shifted - 12582912.f;
  float r = clipped - k * 0.693359375f + k * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.f;
  int half = (int)k / 2, rest = (int)k - half; /* in two factors: 2^128 alone is not a float */
  union { int32_t bits; float value; } a = {(half + 127) * (1 << 23)}, b = {(rest + 127) * (1 << 23)};
  float y = p * a.value * b.value;
  y = x < -87.3f ? 0.f : y;
  y = x > 88.72283f ? __builtin_inff() : y;
  return x == x ? y : x;
}
static inline float moon_sigmoidf(float x) { return 1.f / (1.f + moon_expf(-x)); }

/* log(1 + x) in f32 for x in [0, 1] within 2 ulp: what a logistic loss needs. Cephes' logf without the loss of forming 1 + x:
 * above sqrt(2) - 1 it is log((1 + x) / 2) + log 2. NaN for NaN. */
static inline float moon_log1pf(float x) {
  bool upper = x > 0.41421356f;
  float r = upper ? 0.5f * x - 0.5f : x, z = r * r;
  float p = 7.0376836292e-2f;
  p = p * r - 1.1514610310e-1f;
  p = p * r + 1.1676998740e-1f;
  p = p * r - 1.2420140846e-1f;
  p = p * r + 1.4249322787e-1f;
  p = p * r - 1.6668057665e-1f;
  p = p * r + 2.0000714765e-1f;
  p = p * r - 2.4999993993e-1f;
  p = p * r + 3.3333331174e-1f;
  float y = r - 0.5f * z + r * z * p;
  return upper ? y + 0.693147181f : y;
}

/* tanh in f32 within 3 ulp, as Cephes does it: a polynomial near 0, 1 - 2 / (e^2|x| + 1) elsewhere. Both are computed and one is
 * taken, so it vectorises too. */
static inline float moon_tanhf(float x) {
  float size = fabsf(x), z = x * x;
  float p = -5.70498872745e-3f;
  p = p * z + 2.06390887954e-2f;
  p = p * z - 5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z - 3.33332819422e-1f;
  float far = copysignf(1.f - 2.f / (moon_expf(2 * size) + 1.f), x);
  return size < 0.625f ? p * z * x + x : far;
}

#endif

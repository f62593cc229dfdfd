/* tensor.h - room of core/tensor. The public part is include/moonshelf/tensor.h; this adds what only core sees: shapes as text and
 * under broadcasting, random fills, .npy and text in buffers, the BLAS behind one call, and the small arithmetic that the kernels of the
 * floors above share. */
#ifndef MOON_TENSOR_ROOM_H
#define MOON_TENSOR_ROOM_H
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

/* For what belongs to tensors without being in their buffers. MOON_ENOMEM past the limit: "64 bytes asked, 32 of at most 80 in use";
 * the account is then as it was. NULL accounts take everything. release gives back what charge took, after which the account may be
 * gone. */
moon_status moon_account_charge(moon_account *account, size_t bytes);
void moon_account_release(moon_account *account, size_t bytes);

/* ---- random numbers (random.c). Any strides; elements are drawn in row-major order ------------------------------------------- */

/* [low, high), also after rounding to f32. f32 or f64. MOON_EINVAL where the range is empty or not finite. */
moon_status moon_tensor_fill_uniform(moon_tensor *tensor, moon_rng *rng, double low, double high);
moon_status moon_tensor_fill_normal(moon_tensor *tensor, moon_rng *rng, double mean, double deviation);
/* Whole numbers in [low, high). Any dtype. MOON_EINVAL where there are none. */
moon_status moon_tensor_fill_randint(moon_tensor *tensor, moon_rng *rng, int64_t low, int64_t high);
/* 0 .. n - 1 in random order; i64 [n]. */
moon_status moon_tensor_fill_permutation(moon_tensor *tensor, moon_rng *rng);

/* ---- .npy (npy.c) and text (text.c) ------------------------------------------------------------------------------------------ */

/* See moon_tensor_load. The bytes must be one file, no more and no less. */
moon_status moon_npy_read(const void *bytes, size_t n, moon_account *account, moon_tensor **out);
/* Appends the file: format 1.0, C order, header padded to 64 bytes, as numpy writes it. MOON_ENOMEM. */
moon_status moon_npy_write(const moon_tensor *tensor, moon_buf *out);
/* Appends the tensor as numpy would print it, after its dtype and shape; of more than 1000 elements three from each end of a dimension.
 * Failure latches in the buffer. */
void moon_tensor_print(const moon_tensor *tensor, moon_buf *out);

/* ---- BLAS (blas.c) -------------------------------------------------------------------------------------------------------- */

/* One BLAS thread: steps are small and threads belong to the layer above. Idempotent and thread-safe; called by whoever makes
 * something that multiplies. */
void moon_blas_init(void);
/* C [m, n] = op(A) [m, k] op(B) [k, n] + (add ? C : 0), all row-major and dense; ta: A is stored [k, m], tb: B is stored [n, k].
 * f32 or f64. Every size must fit in an int (moon_gemm_fits). */
void moon_gemm(moon_dtype dtype, bool ta, bool tb, size_t m, size_t n, size_t k, const void *a, const void *b, bool add, void *c);
bool moon_gemm_fits(size_t m, size_t n, size_t k);

/* ---- numbers (inline, so that loops over them vectorise) ------------------------------------------------------------------ */

/* A function compiled for several x86-64 levels; the loader picks one. Elsewhere, and under sanitizers (which dislike resolvers
 * that run before them), the plain one. */
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12 && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define MOON_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define MOON_CLONES
#endif

/* e^x in f32 within 2 ulp where the result is a normal number; 0 below -87.3, infinity above 88.72, NaN for NaN. Cephes' polynomial
 * (Moshier 1989): x = k ln 2 + r, e^r by degree 6, times 2^k by the exponent bits. No branch and no table, so it vectorises and
 * answers the same under any libm. */
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

#endif

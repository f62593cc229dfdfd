/* blas.c - matrix products behind one row-major call for both float types: by OpenBLAS, or by our own panels where kernels.c says so.
 *
 * Products with a single column or row go to gemv, which has less set-up; empty ones never reach BLAS, whose leading dimensions
 * may not be zero. */
#include <cblas.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>

#include "tensor/tensor.h"

static void set_threads(void) { openblas_set_num_threads(1); }

void moon_blas_init(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, set_threads);
}

bool moon_gemm_fits(size_t m, size_t n, size_t k) { return m <= INT_MAX && n <= INT_MAX && k <= INT_MAX; }

static void gemm_f32(bool ta, bool tb, int m, int n, int k, const float *a, const float *b, float beta, float *c) {
  int lda = ta ? m : k, ldb = tb ? k : n;
  if (beta == 0 && (n == 1 || m == 1))
    memset(c, 0, (size_t)m * (size_t)n * sizeof *c); /* some gemv multiply what is there by 0: NaN stays NaN */
  if (n == 1) {
    cblas_sgemv(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, ta ? k : m, ta ? m : k, 1, a, lda, b, 1, beta, c, 1);
  } else if (m == 1) {
    cblas_sgemv(CblasRowMajor, tb ? CblasNoTrans : CblasTrans, tb ? n : k, tb ? k : n, 1, b, ldb, a, 1, beta, c, 1);
  } else {
    cblas_sgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, m, n, k, 1, a, lda, b, ldb, beta,
                c, n);
  }
}

static void gemm_f64(bool ta, bool tb, int m, int n, int k, const double *a, const double *b, double beta, double *c) {
  int lda = ta ? m : k, ldb = tb ? k : n;
  cblas_dgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, m, n, k, 1, a, lda, b, ldb, beta, c,
              n);
}

void moon_gemm_blas(bool ta, bool tb, size_t m, size_t n, size_t k, const float *a, const float *b, bool add, float *c) {
  gemm_f32(ta, tb, (int)m, (int)n, (int)k, a, b, add ? 1 : 0, c);
}

const char *moon_blas_core(void) { return openblas_get_corename(); }

void moon_gemm(moon_dtype dtype, bool ta, bool tb, size_t m, size_t n, size_t k, const void *a, const void *b, bool add,
               void *c) {
  if (!m || !n) return;
  if (!k) {
    if (!add) memset(c, 0, m * n * moon_dtype_size(dtype));
  } else if (dtype == MOON_F32) {
    (moon_gemm_own(dtype, tb, m, n, k) ? moon_gemm_panels : moon_gemm_blas)(ta, tb, m, n, k, a, b, add, c);
  } else {
    gemm_f64(ta, tb, (int)m, (int)n, (int)k, a, b, add ? 1 : 0, c);
  }
}

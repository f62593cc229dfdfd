/* inverse.c - the inverse of a symmetric positive definite matrix, by LAPACK's Cholesky in place: half the work and half the memory of a
 * general one, and what is not positive definite shows at a pivot. */
#include <f77blas.h>
#include <limits.h>

#include "tensor/tensor.h"

moon_status moon_inverse_spd(double *a, size_t n) {
  if (n > INT_MAX) return moon_fail(MOON_EINVAL, "inverse: %zu rows are more than LAPACK numbers", n);
  blasint size = (blasint)n, info = 0;
  char triangle = 'L'; /* by columns, which is the upper one by rows */
  if (!n) return moon_ok();
  moon_blas_init();
  BLASFUNC(dpotrf)(&triangle, &size, a, &size, &info);
  if (!info) BLASFUNC(dpotri)(&triangle, &size, a, &size, &info);
  if (info) return moon_fail(MOON_EINVAL, "inverse: the matrix [%zu, %zu] is not positive definite: row %d", n, n, (int)info);
  for (size_t i = 0; i < n; i++)
    for (size_t k = 0; k < i; k++) a[i * n + k] = a[k * n + i];
  return moon_ok();
}

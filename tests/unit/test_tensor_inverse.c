/* test_tensor_inverse.c - the inverse of a symmetric positive definite matrix: times the matrix it is one, and it is whole; what is
 * none is told by its row. */
#include <stdlib.h>

#include "numeric.h"

/* A = R'R + I of random R: positive definite. */
static void random_spd(moon_rng *rng, size_t n, double *a) {
  double *r = calloc(n * n, sizeof *r);
  for (size_t i = 0; i < n * n; i++) r[i] = moon_rng_uniform(rng) - 0.5;
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++) {
      a[i * n + j] = i == j;
      for (size_t k = 0; k < n; k++) a[i * n + j] += r[k * n + i] * r[k * n + j];
    }
  free(r);
}

static void times_the_matrix_it_is_one(void **state) {
  (void)state;
  static const size_t sizes[] = {1, 2, 3, 7, 33, 130};
  moon_rng rng;
  moon_rng_seed(&rng, 3, 0);
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
    size_t n = sizes[s];
    double *a = calloc(2 * n * n, sizeof *a), *p = a + n * n;
    random_spd(&rng, n, a);
    memcpy(p, a, n * n * sizeof *a);
    OK(moon_inverse_spd(p, n));
    for (size_t i = 0; i < n; i++)
      for (size_t j = 0; j < n; j++) {
        double sum = 0;
        for (size_t k = 0; k < n; k++) sum += a[i * n + k] * p[k * n + j];
        NEAR(sum, i == j ? 1 : 0, 1e-9);
        assert_true(p[i * n + j] == p[j * n + i]);
      }
    free(a);
  }
  OK(moon_inverse_spd(NULL, 0));
}

static void what_is_not_positive_definite_is_refused(void **state) {
  (void)state;
  double a[] = {1, 2, 0, 2, 1, 0, 0, 0, 1};
  REFUSED(MOON_EINVAL, "[3, 3] is not positive definite: row 2", moon_inverse_spd(a, 3));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(times_the_matrix_it_is_one),
      cmocka_unit_test(what_is_not_positive_definite_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

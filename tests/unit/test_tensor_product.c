/* test_tensor_product.c - panel products against three plain loops, and the small functions beside them against libm. */
#include <stdlib.h>

#include "numeric.h"

static double get(moon_dtype dtype, const void *data, size_t i) {
  return dtype == MOON_F32 ? ((const float *)data)[i] : ((const double *)data)[i];
}

static void put(moon_dtype dtype, void *data, size_t i, double value) {
  if (dtype == MOON_F32)
    ((float *)data)[i] = (float)value;
  else
    ((double *)data)[i] = value;
}

/* Random numbers in memory of exactly this size, so that the address sanitizer sees a step too far. */
static void *numbers(moon_rng *rng, moon_dtype dtype, size_t n) {
  void *data = malloc(n * moon_dtype_size(dtype) + 1);
  for (size_t i = 0; i < n; i++) put(dtype, data, i, 2 * moon_rng_uniform(rng) - 1);
  return data;
}

typedef struct product_case {
  moon_dtype dtype;
  size_t rows, inner, columns;
  bool turned, b_turned, bias, add, relu;
} product_case;

/* One product; c has two columns more than are written, which must stay. */
static void check(const product_case *t) {
  moon_rng rng;
  moon_rng_seed(&rng, t->rows * 10007 + t->inner * 101 + t->columns, t->turned);
  size_t each = moon_dtype_size(t->dtype), padded = moon_panel_round(t->dtype, t->columns), c_row = t->columns + 2,
         panel = moon_panel(t->dtype);
  char *a = numbers(&rng, t->dtype, t->rows * t->inner), *b = numbers(&rng, t->dtype, t->inner * t->columns);
  char *packed = numbers(&rng, t->dtype, t->inner * padded), *bias = numbers(&rng, t->dtype, padded);
  char *c = numbers(&rng, t->dtype, t->rows * c_row), *before = malloc(t->rows * c_row * each + 1);
  memcpy(before, c, t->rows * c_row * each);
  moon_pack(t->dtype, t->b_turned, t->inner, t->columns, b, packed);
  moon_product product = {.rows = t->rows,
                          .inner = t->inner,
                          .columns = t->columns,
                          .a = a,
                          .a_row = t->turned ? t->rows : t->inner,
                          .a_turned = t->turned,
                          .b = packed,
                          .b_step = panel,
                          .b_panel = t->inner * panel,
                          .bias = t->bias ? bias : NULL,
                          .add = t->add,
                          .relu = t->relu,
                          .c = c,
                          .c_row = c_row};
  moon_product_run(t->dtype, &product);
  for (size_t r = 0; r < t->rows; r++)
    for (size_t j = 0; j < c_row; j++) {
      double want = get(t->dtype, before, r * c_row + j);
      if (j < t->columns) {
        want = t->add ? want : t->bias ? get(t->dtype, bias, j) : 0;
        for (size_t k = 0; k < t->inner; k++)
          want += get(t->dtype, a, t->turned ? k * t->rows + r : r * t->inner + k) *
                  get(t->dtype, b, t->b_turned ? j * t->inner + k : k * t->columns + j);
        if (t->relu && want < 0) want = 0;
      }
      double got = get(t->dtype, c, r * c_row + j);
      if (!(fabs(got - want) <= (t->dtype == MOON_F32 ? 2e-5 : 1e-13)))
        fail_msg("%s [%zu, %zu] by [%zu, %zu]: %g at %zu, %zu; want %g", moon_dtype_name(t->dtype), t->rows, t->inner, t->inner,
                 t->columns, got, r, j, want);
    }
  free(a), free(b), free(packed), free(bias), free(c), free(before);
}

static void products_equal_three_loops(void **state) {
  (void)state;
  static const size_t columns[] = {1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 65, 130, 160};
  for (size_t rows = 0; rows <= 20; rows++)
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
      for (unsigned flags = 0; flags < 16; flags++) {
        product_case t = {.rows = rows,
                          .inner = (rows * 7 + i * 3 + flags) % 23,
                          .columns = columns[i],
                          .dtype = flags & 1 ? MOON_F64 : MOON_F32,
                          .turned = flags & 2,
                          .b_turned = (flags ^ rows) & 1,
                          .add = flags & 4,
                          .bias = (rows + i) & 1,
                          .relu = flags & 8};
        check(&t);
      }
  check(&(product_case){MOON_F32, 101, 70, 97, false, true, true, false, true}); /* several tiles of rows */
  check(&(product_case){MOON_F32, 70, 33, 97, true, false, false, true, false});
}

static void a_row_major_right_side_needs_only_padding(void **state) {
  (void)state;
  enum { ROWS = 9, INNER = 21, COLUMNS = 37 };
  moon_rng rng;
  moon_rng_seed(&rng, 2, 0);
  size_t row = moon_panel_round(MOON_F32, COLUMNS) + moon_panel(MOON_F32);
  float *a = numbers(&rng, MOON_F32, ROWS * INNER), *b = numbers(&rng, MOON_F32, INNER * row), c[ROWS * COLUMNS];
  moon_product product = {.rows = ROWS,
                          .inner = INNER,
                          .columns = COLUMNS,
                          .a = a,
                          .a_row = INNER,
                          .b = b,
                          .b_step = row,
                          .b_panel = moon_panel(MOON_F32),
                          .c = c,
                          .c_row = COLUMNS};
  moon_product_run(MOON_F32, &product);
  for (size_t r = 0; r < ROWS; r++)
    for (size_t j = 0; j < COLUMNS; j++) {
      double want = 0;
      for (size_t k = 0; k < INNER; k++) want += (double)a[r * INNER + k] * b[k * row + j];
      NEAR(c[r * COLUMNS + j], want, 1e-5);
    }
  free(a), free(b);
}

static void one_column_is_a_dot_product(void **state) {
  (void)state;
  for (int d = 0; d < 2; d++)
    for (size_t inner = 0; inner <= 70; inner++) {
      moon_dtype dtype = d ? MOON_F64 : MOON_F32;
      moon_rng rng;
      moon_rng_seed(&rng, inner, 3);
      size_t row = inner + 1;
      void *a = numbers(&rng, dtype, 5 * row), *b = numbers(&rng, dtype, inner), *bias = numbers(&rng, dtype, 1),
           *c = numbers(&rng, dtype, 5);
      moon_product_unit(dtype, 5, inner, a, row, b, bias, c);
      for (size_t r = 0; r < 5; r++) {
        double want = get(dtype, bias, 0);
        for (size_t k = 0; k < inner; k++) want += get(dtype, a, r * row + k) * get(dtype, b, k);
        NEAR(get(dtype, c, r), want, dtype == MOON_F32 ? 1e-5 : 1e-13);
      }
      free(a), free(b), free(bias), free(c);
    }
}

static double slope(moon_activation activation, double dy, double y) {
  switch (activation) {
    case MOON_RELU:
      return y <= 0 ? 0 : dy;
    case MOON_SIGMOID:
      return dy * y * (1 - y);
    case MOON_TANH:
      return dy * (1 - y * y);
    case MOON_LINEAR:
      break;
  }
  return dy;
}

static void the_way_back_is_the_slope_and_its_sums(void **state) {
  (void)state;
  for (int a = 0; a < 4; a++)
    for (int d = 0; d < 2; d++)
      for (size_t columns = 1; columns <= 70; columns++) {
        enum { ROWS = 5 };
        moon_dtype dtype = d ? MOON_F64 : MOON_F32;
        moon_rng rng;
        moon_rng_seed(&rng, columns, (uint64_t)a);
        size_t row = columns + columns % 3;
        void *dy = numbers(&rng, dtype, ROWS * columns), *y = numbers(&rng, dtype, ROWS * columns),
             *dz = numbers(&rng, dtype, ROWS * row);
        void *sums = numbers(&rng, dtype, columns), *before = malloc(columns * 8);
        memcpy(before, sums, columns * moon_dtype_size(dtype));
        moon_activate_back(dtype, (moon_activation)a, ROWS, columns, dy, y, dz, row, sums);
        for (size_t j = 0; j < row; j++) {
          double sum = 0;
          for (size_t i = 0; i < ROWS; i++) {
            double want =
                j < columns ? slope((moon_activation)a, get(dtype, dy, i * columns + j), get(dtype, y, i * columns + j)) : 0;
            NEAR(get(dtype, dz, i * row + j), want, 1e-6);
            sum += want;
          }
          if (j < columns) NEAR(get(dtype, sums, j), get(dtype, before, j) + sum, 2e-6);
        }
        memcpy(sums, before, columns * moon_dtype_size(dtype));
        moon_activate_back(dtype, (moon_activation)a, ROWS, columns, dy, y, dz, row, NULL);
        assert_memory_equal(sums, before, columns * moon_dtype_size(dtype));
        free(dy), free(y), free(dz), free(sums), free(before);
      }
}

/* Units in the last place between a float and the true value. */
static double ulps(float got, double want) {
  float near = (float)want;
  double step = fmax((double)nextafterf(fabsf(near), INFINITY) - fabs((double)near), 1e-45);
  return fabs((double)got - want) / step;
}

static void small_functions_stay_close_to_libm(void **state) {
  (void)state;
  double worst_tanh = 0, worst_log = 0, worst_sigmoid = 0;
  for (int i = -200000; i <= 200000; i++) {
    float x = (float)i * 1e-4f;
    worst_tanh = fmax(worst_tanh, ulps(moon_tanhf(x), tanh((double)x)));
    worst_sigmoid = fmax(worst_sigmoid, ulps(moon_sigmoidf(x), 1 / (1 + exp(-(double)x))));
    float unit = (float)(i + 200000) / 400000.f, tiny = unit * unit * unit * unit * 1e-3f;
    worst_log = fmax(worst_log, fmax(ulps(moon_log1pf(unit), log1p((double)unit)), ulps(moon_log1pf(tiny), log1p((double)tiny))));
  }
  if (worst_tanh > 3 || worst_log > 2 || worst_sigmoid > 4)
    fail_msg("off by %.2f (tanh), %.2f (log1p), %.2f (sigmoid) units in the last place", worst_tanh, worst_log, worst_sigmoid);
  assert_true(isnan(moon_tanhf(NAN)) && isnan(moon_log1pf(NAN)));
  NEAR(moon_tanhf(INFINITY), 1, 0);
  NEAR(moon_tanhf(-INFINITY), -1, 0);
  NEAR(moon_log1pf(0), 0, 0);
}

static void activations_equal_libm(void **state) {
  (void)state;
  const double in[5] = {-1.5, -0.0, 0.25, 2, NAN};
  for (int d = 0; d < 2; d++)
    for (int a = 0; a < 4; a++) {
      double wide[5];
      float single[5];
      for (int i = 0; i < 5; i++) wide[i] = in[i], single[i] = (float)in[i];
      moon_activate(d ? MOON_F64 : MOON_F32, (moon_activation)a, 5, d ? (void *)wide : single);
      for (int i = 0; i < 5; i++) {
        double x = in[i], got = d ? wide[i] : single[i];
        double want = a == MOON_RELU ? (x < 0 ? 0 : x) : a == MOON_SIGMOID ? 1 / (1 + exp(-x)) : a == MOON_TANH ? tanh(x) : x;
        if (i == 4)
          assert_true(isnan(got));
        else
          NEAR(got, want, d ? 1e-15 : 1e-6);
      }
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(products_equal_three_loops),         cmocka_unit_test(a_row_major_right_side_needs_only_padding),
      cmocka_unit_test(one_column_is_a_dot_product),        cmocka_unit_test(the_way_back_is_the_slope_and_its_sums),
      cmocka_unit_test(small_functions_stay_close_to_libm), cmocka_unit_test(activations_equal_libm),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_tensor_kernels.c - products in fewer bits against plain loops: int8 by every kernel, bf16 against f32 over rounded weights. */
#include <float.h>
#include <stdlib.h>

#include "numeric.h"

static float *floats(moon_rng *rng, size_t n, double deviation) {
  float *x = malloc(n * sizeof *x + 1);
  for (size_t i = 0; i < n; i++) x[i] = (float)(deviation * moon_rng_normal(rng));
  return x;
}

/* ---- int8 ------------------------------------------------------------------------------------------------------------------------ */

typedef struct packed {
  size_t inner, columns, width, row;
  int8_t *b;
  float *scale, *bias;
  int32_t *sums;
} packed;

static packed pack(size_t panel, size_t inner, size_t columns, const float *w, const float *bias) {
  packed p = {inner, columns, (columns + panel - 1) / panel * panel, moon_int8_row(inner)};
  p.b = moon_alloc_aligned(p.width * p.row + 1), p.scale = moon_alloc_aligned(p.width * sizeof(float));
  p.bias = moon_alloc_aligned(p.width * sizeof(float)), p.sums = moon_alloc_aligned(p.width * sizeof(int32_t));
  moon_int8_pack(panel, inner, columns, w, columns, p.b, p.scale, p.sums);
  for (size_t j = 0; bias && j < columns; j++) p.bias[j] = bias[j];
  return p;
}

static void unpack(packed *p) { moon_free(p->b), moon_free(p->scale), moon_free(p->bias), moon_free(p->sums); }

static moon_int8_product product(const packed *p, size_t rows, const uint8_t *q, const moon_int8_range *how, bool relu, float *c) {
  return (moon_int8_product){.rows = rows, .inner = p->inner, .columns = p->columns, .a = q, .a_row = p->row, .how = how, .b = p->b,
                             .scale = p->scale, .bias = p->bias, .sums = p->sums, .relu = relu, .c = c, .c_row = p->columns};
}

/* Exactly what the kernels promise, written down once more. */
static void plainly(size_t rows, size_t inner, size_t columns, const uint8_t *q, const moon_int8_range *how, const float *w,
                    const float *bias, bool relu, float *c) {
  for (size_t j = 0; j < columns; j++) {
    float most = 0;
    for (size_t k = 0; k < inner; k++) most = fmaxf(most, fabsf(w[k * columns + j]));
    float scale = most / 127;
    for (size_t r = 0; r < rows; r++) {
      int64_t sum = 0;
      for (size_t k = 0; k < inner && scale > 0; k++)
        sum += (int64_t)lrintf(w[k * columns + j] / scale) * (q[r * moon_int8_row(inner) + k] - how[r].zero);
      volatile float both = how[r].scale * scale, product = (float)sum * both, y = product + bias[j]; /* volatile: never fused */
      c[r * columns + j] = relu && y < 0 ? 0 : y;
    }
  }
}

static void every_int8_kernel_gives_the_plain_bits(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 41, 0);
  size_t kernels_n, tried = 0;
  const moon_int8_kernel *kernels = moon_int8_kernels(&kernels_n);
  assert_ptr_equal(kernels, moon_int8_kernels(&kernels_n));
  for (size_t turn = 0; turn < 200; turn++) {
    size_t rows = turn % 13 + (turn % 7 ? 0 : 96), inner = moon_rng_u32(&rng) % 70 + (turn % 5 ? 0 : 400), columns = moon_rng_u32(&rng) % 80 + 1;
    float *x = floats(&rng, rows * inner, 2), *w = floats(&rng, inner * columns, 1), *bias = floats(&rng, columns, 1);
    uint8_t *q = malloc(rows * moon_int8_row(inner) + 1);
    moon_int8_range *how = malloc(rows * sizeof *how + 1);
    float *want = malloc(rows * columns * sizeof *want + 1), *got = malloc(rows * columns * sizeof *got + 1);
    moon_int8_rows(rows, inner, x, inner, q, how);
    plainly(rows, inner, columns, q, how, w, bias, turn & 1, want);
    for (size_t k = 0; k < kernels_n; k++) {
      if (!kernels[k].usable()) continue;
      packed p = pack(kernels[k].panel, inner, columns, w, bias);
      moon_int8_product call = product(&p, rows, q, how, turn & 1, got);
      memset(got, 0xff, rows * columns * sizeof *got);
      kernels[k].product(&call);
      if (memcmp(got, want, rows * columns * sizeof *got)) fail_msg("%s: %zu x %zu x %zu", kernels[k].name, rows, inner, columns);
      unpack(&p);
      tried++;
    }
    packed p = pack(1, inner, columns, w, bias); /* by single columns: panels of one lie one after another */
    for (size_t j = 0; j < columns; j++) {
      packed one = {inner, 1, 1, p.row, p.b + j * p.row, p.scale + j, p.bias + j, p.sums + j};
      moon_int8_product call = product(&one, rows, q, how, turn & 1, got + j);
      call.c_row = columns;
      moon_int8_unit(&call);
    }
    assert_memory_equal(got, want, rows * columns * sizeof *got);
    unpack(&p);
    free(x), free(w), free(bias), free(q), free(how), free(want), free(got);
  }
  assert_true(tried >= 400); /* the plain ones at least */
  assert_true(moon_int8_best()->usable());
}

/* All rows at 127 and all weights at +-127: the largest pairs and sums that there are. */
static void extreme_numbers_do_not_saturate(void **state) {
  (void)state;
  enum { INNER = MOON_INT8_INNER, COLUMNS = 2 };
  float *w = malloc(INNER * COLUMNS * sizeof *w), *x = malloc(INNER * sizeof *x), c[COLUMNS];
  for (size_t k = 0; k < INNER; k++) w[2 * k] = 1, w[2 * k + 1] = -1, x[k] = 1;
  uint8_t *q = malloc(moon_int8_row(INNER));
  moon_int8_range how;
  moon_int8_rows(1, INNER, x, INNER, q, &how);
  assert_int_equal(q[0], 127);
  assert_int_equal(how.zero, 0);
  size_t n;
  const moon_int8_kernel *kernels = moon_int8_kernels(&n);
  for (size_t i = 0; i < n; i++) {
    if (!kernels[i].usable()) continue;
    packed p = pack(kernels[i].panel, INNER, COLUMNS, w, NULL);
    moon_int8_product call = product(&p, 1, q, &how, false, c);
    kernels[i].product(&call);
    NEAR(c[0], INNER, 0.02);
    NEAR(c[1], -INNER, 0.02);
    unpack(&p);
  }
  for (size_t k = 0; k < INNER; k++) x[k] = -1;
  moon_int8_rows(1, INNER, x, INNER, q, &how);
  assert_int_equal(q[0], 0);
  assert_int_equal(how.zero, 127);
  packed p = pack(moon_int8_best()->panel, INNER, COLUMNS, w, NULL);
  moon_int8_product call = product(&p, 1, q, &how, false, c);
  moon_int8_best()->product(&call);
  NEAR(c[0], -INNER, 0.02);
  NEAR(c[1], INNER, 0.02);
  unpack(&p);
  free(w), free(x), free(q);
}

static void a_row_is_within_half_a_step_and_zero_is_exact(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 42, 0);
  for (size_t turn = 0; turn < 2000; turn++) {
    size_t n = turn % 67 + 1;
    double size = exp(30 * (moon_rng_uniform(&rng) - 0.5)), shift = turn % 3 ? 0 : 3 * size;
    float *x = floats(&rng, n, size);
    for (size_t k = 0; k < n; k++) x[k] = turn % 5 ? x[k] + (float)shift : fabsf(x[k]);
    x[moon_rng_u32(&rng) % n] = 0;
    uint8_t *q = malloc(moon_int8_row(n));
    moon_int8_range how;
    moon_int8_rows(1, n, x, n, q, &how);
    assert_true(how.zero >= 0 && how.zero <= 127);
    for (size_t k = 0; k < n; k++) {
      assert_true(q[k] <= 127);
      if (x[k] == 0) assert_int_equal(q[k], how.zero);
      NEAR(how.scale * (q[k] - how.zero), x[k], how.scale * 0.5001);
    }
    for (size_t k = n; k < moon_int8_row(n); k++) assert_int_equal(q[k], 0);
    free(x), free(q);
  }
}

static void rows_that_are_zero_tiny_huge_or_not_finite_are_told_apart(void **state) {
  (void)state;
  const float rows[][4] = {{0, -0.f, 0, 0}, {1e-40f, -1e-39f, 0, FLT_MIN}, {FLT_MAX, -FLT_MAX, 0, 1}, {1, NAN, 2, 3}, {1, -NAN, 2, 3},
                           {INFINITY, 0, 0, 0}, {0, 0, 0, -INFINITY}};
  uint8_t q[4];
  moon_int8_range how;
  for (size_t r = 0; r < 7; r++) {
    moon_int8_rows(1, 4, rows[r], 4, q, &how);
    if (r < 2) assert_true(how.scale == 0 && how.zero == 0 && !(q[0] | q[1] | q[2] | q[3]));
    if (r == 2) {
      assert_true(q[0] >= 126 && q[1] <= 1); /* zero is a whole step, so the ends are half a one off */
      assert_int_equal(q[2], how.zero);
      assert_true(isfinite(how.scale));
    }
    if (r > 2) assert_true(isnan(how.scale) && !(q[0] | q[1] | q[2] | q[3]));
  }
}

static void a_column_of_zeros_gives_its_bias(void **state) {
  (void)state;
  const float w[6] = {0, 1, 0, -2, 0, 3}, bias[2] = {0.25f, 0}, x[3] = {1, 2, 3};
  uint8_t q[4];
  moon_int8_range how;
  float c[2];
  packed p = pack(moon_int8_best()->panel, 3, 2, w, bias);
  moon_int8_rows(1, 3, x, 3, q, &how);
  moon_int8_product call = product(&p, 1, q, &how, false, c);
  moon_int8_best()->product(&call);
  assert_true(c[0] == 0.25f);
  NEAR(c[1], 1 - 4 + 9, 0.1);
  unpack(&p);
}

/* ---- bf16 ------------------------------------------------------------------------------------------------------------------------ */

static void bf16_rounds_to_nearest_even_and_keeps_nan(void **state) {
  (void)state;
  static const struct { float from, to; } cases[] = {{1, 1}, {1 + 1 / 256.f, 1}, {1 + 3 / 256.f, 1 + 4 / 256.f}, {1 + 1.01f / 256, 1 + 2 / 256.f},
                                                     {-3.1415927f, -3.140625f}, {0, 0}, {INFINITY, INFINITY}, {FLT_MAX, INFINITY}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) assert_true(moon_bf16_float(moon_bf16(cases[i].from)) == cases[i].to);
  assert_true(signbit(moon_bf16_float(moon_bf16(-0.f))));
  const uint32_t quiet = 0x7f800001; /* a NaN whose upper half alone would be an infinity */
  float odd;
  memcpy(&odd, &quiet, sizeof odd);
  assert_true(isnan(moon_bf16_float(moon_bf16(odd))) && isnan(moon_bf16_float(moon_bf16(-NAN))));
  moon_rng rng;
  moon_rng_seed(&rng, 43, 0);
  for (int i = 0; i < 100000; i++) {
    float x = (float)(moon_rng_normal(&rng) * exp(40 * (moon_rng_uniform(&rng) - 0.5)));
    NEAR(moon_bf16_float(moon_bf16(x)), x, fabsf(x) / 256);
  }
}

static void a_bf16_product_is_the_f32_one_over_rounded_weights(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 44, 0);
  for (size_t turn = 0; turn < 300; turn++) {
    size_t rows = turn % 13 + (turn % 7 ? 0 : 96), inner = moon_rng_u32(&rng) % 70, columns = moon_rng_u32(&rng) % 150 + 1, panel = moon_panel(MOON_F32);
    size_t width = moon_panel_round(MOON_F32, columns);
    float *x = floats(&rng, rows * inner, 2), *w = floats(&rng, inner * columns, 1), *bias = floats(&rng, width, 1);
    float *panels = moon_alloc_aligned(inner * width * sizeof *panels + 1);
    uint32_t *words = moon_alloc_aligned(inner * width / 2 * sizeof *words + 1);
    float *want = malloc(rows * columns * sizeof *want + 1), *got = malloc(rows * columns * sizeof *got + 1);
    moon_pack(MOON_F32, false, inner, columns, w, panels);
    moon_pack_bf16(inner, columns, panels, words);
    for (size_t i = 0; i < inner * columns; i++) w[i] = moon_bf16_float(moon_bf16(w[i]));
    moon_pack(MOON_F32, false, inner, columns, w, panels);
    moon_product p = {.rows = rows, .inner = inner, .columns = columns, .a = x, .a_row = inner, .b = panels, .b_step = panel,
                      .b_panel = inner * panel, .bias = bias, .relu = turn & 1, .c = want, .c_row = columns};
    moon_product_run(MOON_F32, &p);
    p.b = words, p.b_step = panel / 2, p.b_panel = inner * panel / 2, p.c = got;
    moon_product_run_bf16(&p);
    assert_memory_equal(got, want, rows * columns * sizeof *got);
    free(x), free(w), free(bias), free(want), free(got);
    moon_free(panels), moon_free(words);
  }
}

/* ---- products by either kernel --------------------------------------------------------------------------------------------------- */

static void panels_blas_and_three_loops_agree(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 45, 0);
  static const size_t fixed[][3] = {{1, 1, 1}, {7, 300, 129}, {50, 64, 128}, {17, 64, 256}, {48, 33, 1}};
  for (size_t turn = 0; turn < 160; turn++) {
    bool ta = turn & 1, tb = turn & 2, add = turn & 4;
    size_t m = moon_rng_u32(&rng) % 60 + 1, n = moon_rng_u32(&rng) % 150 + 1, k = moon_rng_u32(&rng) % 300 + 1;
    if (turn >= 120) m = fixed[turn / 8 % 5][0], n = fixed[turn / 8 % 5][1], k = fixed[turn / 8 % 5][2];
    float *a = floats(&rng, m * k, 1), *b = floats(&rng, k * n, 1), *start = floats(&rng, m * n, 1);
    float *own = malloc(m * n * sizeof *own), *blas = malloc(m * n * sizeof *blas);
    for (size_t i = 0; i < m * n; i++) own[i] = blas[i] = add ? start[i] : NAN;
    moon_gemm_panels(ta, tb, m, n, k, a, b, add, own);
    moon_gemm_blas(ta, tb, m, n, k, a, b, add, blas);
    for (size_t i = 0; i < m; i++)
      for (size_t j = 0; j < n; j++) {
        double sum = add ? (double)start[i * n + j] : 0, size = 1;
        for (size_t d = 0; d < k; d++) {
          double product = (double)a[ta ? d * m + i : i * k + d] * (double)b[tb ? j * k + d : d * n + j];
          sum += product, size += fabs(product);
        }
        NEAR(own[i * n + j], sum, 3e-7 * sqrt((double)k) * size);
        NEAR(blas[i * n + j], sum, 3e-7 * sqrt((double)k) * size);
      }
    free(a), free(b), free(start), free(own), free(blas);
  }
}

static void the_choice_follows_sizes_alone(void **state) {
  (void)state;
  assert_false(moon_gemm_own(MOON_F64, false, 64, 64, 64));
  assert_false(moon_gemm_own(MOON_F32, false, 1, 64, 64));
  assert_false(moon_gemm_own(MOON_F32, true, 16, 64, 64));
  assert_false(moon_gemm_own(MOON_F32, false, 64, 5, 64));
  assert_false(moon_gemm_own(MOON_F32, false, 1024, 1024, 1024));
  assert_false(moon_gemm_own(MOON_F32, false, INT32_MAX, 640, INT32_MAX));
  assert_int_equal(moon_gemm_own(MOON_F32, false, 16, 64, 64), moon_has_fma());
  assert_int_equal(moon_gemm_own(MOON_F32, true, 32, 64, 64), moon_has_fma());
  moon_rng rng; /* moon_gemm takes what the rule says, to the bit */
  moon_rng_seed(&rng, 46, 0);
  for (size_t m = 15; m <= 17; m++) {
    float *a = floats(&rng, m * 64, 1), *b = floats(&rng, 64 * 64, 1);
    float *got = malloc(m * 64 * sizeof *got), *want = malloc(m * 64 * sizeof *want);
    moon_gemm(MOON_F32, false, false, m, 64, 64, a, b, false, got);
    (moon_gemm_own(MOON_F32, false, m, 64, 64) ? moon_gemm_panels : moon_gemm_blas)(false, false, m, 64, 64, a, b, false, want);
    assert_memory_equal(got, want, m * 64 * sizeof *got);
    free(a), free(b), free(got), free(want);
  }
}

int main(void) {
  moon_blas_init();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_int8_kernel_gives_the_plain_bits),
      cmocka_unit_test(extreme_numbers_do_not_saturate),
      cmocka_unit_test(a_row_is_within_half_a_step_and_zero_is_exact),
      cmocka_unit_test(rows_that_are_zero_tiny_huge_or_not_finite_are_told_apart),
      cmocka_unit_test(a_column_of_zeros_gives_its_bias),
      cmocka_unit_test(bf16_rounds_to_nearest_even_and_keeps_nan),
      cmocka_unit_test(a_bf16_product_is_the_f32_one_over_rounded_weights),
      cmocka_unit_test(panels_blas_and_three_loops_agree),
      cmocka_unit_test(the_choice_follows_sizes_alone),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

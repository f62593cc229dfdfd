/* real_sums.h - sums over a row that vectorise: included by the kernels' half of an ops file, where REAL and K are defined, and compiled
 * for each (so no include guard). Sixteen running sums, or the additions would wait for one another; they are joined in a fixed order. */
static inline __attribute__((always_inline)) REAL K(join_lanes)(REAL *lane) {
  for (size_t half = 8; half; half /= 2)
    for (size_t i = 0; i < half; i++) lane[i] += lane[i + half];
  return lane[0];
}

static inline __attribute__((always_inline)) REAL K(row_sum)(size_t n, const REAL *x) {
  REAL lane[16] = {0}, rest = 0;
  size_t j = 0;
  for (; j + 16 <= n; j += 16)
    for (size_t i = 0; i < 16; i++) lane[i] += x[j + i];
  for (; j < n; j++) rest += x[j];
  return K(join_lanes)(lane) + rest;
}

static inline __attribute__((always_inline)) REAL K(row_dot)(size_t n, const REAL *x, const REAL *y) {
  REAL lane[16] = {0}, rest = 0;
  size_t j = 0;
  for (; j + 16 <= n; j += 16)
    for (size_t i = 0; i < 16; i++) lane[i] += x[j + i] * y[j + i];
  for (; j < n; j++) rest += x[j] * y[j];
  return K(join_lanes)(lane) + rest;
}

/* The largest; NaN where one is met first. */
static inline __attribute__((always_inline)) REAL K(row_max)(size_t n, const REAL *x) {
  REAL top = x[0];
  for (size_t j = 1; j < n; j++) top = x[j] > top ? x[j] : top;
  return top;
}

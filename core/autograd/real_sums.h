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

/* sum a b (x - m) */
static inline __attribute__((always_inline)) REAL K(row_dot_off)(size_t n, const REAL *a, const REAL *b, const REAL *x, REAL m) {
  REAL lane[16] = {0}, rest = 0;
  size_t j = 0;
  for (; j + 16 <= n; j += 16)
    for (size_t i = 0; i < 16; i++) lane[i] += a[j + i] * b[j + i] * (x[j + i] - m);
  for (; j < n; j++) rest += a[j] * b[j] * (x[j] - m);
  return K(join_lanes)(lane) + rest;
}

/* The largest of x - less (NULL: of x), which passes over NaN. */
static inline __attribute__((always_inline)) REAL K(row_max)(size_t n, const REAL *x, const REAL *less) {
  REAL lane[16], top = -(REAL)__builtin_inf();
  size_t j = 0;
  for (size_t i = 0; i < 16; i++) lane[i] = top;
  for (; j + 16 <= n; j += 16)
    for (size_t i = 0; i < 16; i++) {
      REAL v = less ? x[j + i] - less[j + i] : x[j + i];
      lane[i] = v > lane[i] ? v : lane[i];
    }
  for (size_t i = 0; i < 16; i++) top = lane[i] > top ? lane[i] : top;
  for (; j < n; j++) {
    REAL v = less ? x[j] - less[j] : x[j];
    top = v > top ? v : top;
  }
  return top;
}

/* sum e^(x - less - top); less NULL: 0. */
static inline __attribute__((always_inline)) REAL K(row_exp_sum)(size_t n, const REAL *x, const REAL *less, REAL top) {
  REAL lane[16] = {0}, rest = 0;
  size_t j = 0;
  for (; j + 16 <= n; j += 16)
    for (size_t i = 0; i < 16; i++) lane[i] += K(moon_exp)((less ? x[j + i] - less[j + i] : x[j + i]) - top);
  for (; j < n; j++) rest += K(moon_exp)((less ? x[j] - less[j] : x[j]) - top);
  return K(join_lanes)(lane) + rest;
}

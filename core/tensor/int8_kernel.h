/* int8_kernel.h - the product of kernels_int8.c for one vector width, included once for each (so: no include guard). LANES is how many i32
 * a vector holds, K(name) the kernel's name, COMPILED for what processor. K(dot) (sum, b, a) adds to each lane the four products of its
 * four bytes of b with the four of a. */
enum { K(PANEL) = 2 * LANES };
typedef int32_t K(lanes) __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
typedef float K(reals) __attribute__((vector_size(LANES * 4), aligned(4), may_alias));

/* Half a panel of one row: whole numbers become the result. */
COMPILED INLINE void K(finish)(const moon_int8_product *p, size_t r, size_t column, const K(lanes) *sum, float *c) {
  K(lanes) whole = *sum - p->how[r].zero * *(const K(lanes) *)(p->sums + column);
  K(reals) y = __builtin_convertvector(whole, K(reals)) * (p->how[r].scale * *(const K(reals) *)(p->scale + column));
  y += *(const K(reals) *)(p->bias + column);
  if (p->relu) y = (K(reals))((K(lanes))y & ~(y < 0)); /* NaN is not less than zero and stays */
  *(K(reals) *)c = y;
}

/* `rows` rows by one panel; rows is constant in each inlined copy, so the sums are registers. */
COMPILED INLINE void K(block)(const moon_int8_product *p, int rows, size_t r, size_t panel, float *c, size_t c_row) {
  size_t groups = (p->inner + 3) / 4;
  const uint8_t *a = p->a + r * p->a_row;
  const int8_t *b = p->b + panel * groups * 4 * K(PANEL);
  K(lanes) low[BLOCK], high[BLOCK];
#pragma GCC unroll 4
  for (int s = 0; s < rows; s++) low[s] = high[s] = (K(lanes)){0};
  for (size_t g = 0; g < groups; g++, a += 4, b += 4 * K(PANEL)) {
#pragma GCC unroll 4
    for (int s = 0; s < rows; s++) {
      K(dot)(&low[s], b, a + (size_t)s * p->a_row);
      K(dot)(&high[s], b + 4 * LANES, a + (size_t)s * p->a_row);
    }
  }
#pragma GCC unroll 4
  for (int s = 0; s < rows; s++) {
    K(finish)(p, r + (size_t)s, panel * K(PANEL), &low[s], c + (size_t)s * c_row);
    K(finish)(p, r + (size_t)s, panel * K(PANEL) + LANES, &high[s], c + (size_t)s * c_row + LANES);
  }
}

/* A last panel wider than what is left of c goes through a buffer. */
COMPILED INLINE void K(strip)(const moon_int8_product *p, int rows, size_t r, size_t panel) {
  float *c = p->c + r * p->c_row + panel * K(PANEL), cut[BLOCK * K(PANEL)];
  size_t keep = p->columns - panel * K(PANEL);
  if (keep >= K(PANEL)) {
    K(block)(p, rows, r, panel, c, p->c_row);
    return;
  }
  K(block)(p, rows, r, panel, cut, K(PANEL));
  for (int s = 0; s < rows; s++) memcpy(c + (size_t)s * p->c_row, cut + s * K(PANEL), keep * sizeof *c);
}

COMPILED static void K(product)(const moon_int8_product *p) {
  for (size_t start = 0; start < p->rows; start += TILE) {
    size_t end = start + TILE < p->rows ? start + TILE : p->rows, r;
    for (size_t panel = 0; panel * K(PANEL) < p->columns; panel++) {
      for (r = start; r + 4 <= end; r += 4) K(strip)(p, 4, r, panel);
      for (; r + 2 <= end; r += 2) K(strip)(p, 2, r, panel);
      for (; r < end; r++) K(strip)(p, 1, r, panel);
    }
  }
}
#undef LANES
#undef K
#undef COMPILED

/* product_kernel.h - the product of product.c for one type and vector width, included once for each (so: no include guard). REAL
 * is the type, BITS the integer of its size, LANES how many of it a vector holds, K(name) the kernel's name, COMPILED for what
 * processor; RIGHT is what the right side is stored in and K(right) (low, high, from) reads a panel's row of it, where that is
 * not REAL. BLOCK and TILE are product.c's. */
enum { K(PANEL) = 2 * LANES };
typedef REAL K(lanes) __attribute__((vector_size(LANES * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));
typedef BITS K(masks) __attribute__((vector_size(LANES * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));
#ifndef RIGHT
#define RIGHT REAL
INLINE void K(right)(K(lanes) *low, K(lanes) *high, const REAL *from) {
  *low = *(const K(lanes) *)from, *high = *(const K(lanes) *)(from + LANES);
}
#endif

/* `rows` rows from a by `panels` panels into c; all of rows, panels and turned are constant in each inlined copy, so the sums are
 * registers: by panel, then by row. */
INLINE void K(block)(const moon_product *p, int rows, int panels, bool turned, const REAL *a, size_t panel, REAL *c,
                     size_t c_row) {
  K(lanes) low[BLOCK], high[BLOCK];
  const RIGHT *b = (const RIGHT *)p->b + panel * p->b_panel;
  const REAL *bias = p->bias ? (const REAL *)p->bias + panel * K(PANEL) : NULL;
  size_t row = turned ? 1 : p->a_row, step = turned ? p->a_row : 1;
#pragma GCC unroll 6
  for (int s = 0; s < rows * panels; s++) {
    const REAL *from = p->add ? c + (size_t)(s % rows) * c_row + (size_t)(s / rows) * K(PANEL) : bias + s / rows * K(PANEL);
    low[s] = high[s] = (K(lanes)){0};
    if (p->add || bias) low[s] = *(const K(lanes) *)from, high[s] = *(const K(lanes) *)(from + LANES);
  }
  for (size_t k = 0; k < p->inner; k++, a += step, b += p->b_step) {
#pragma GCC unroll 6
    for (int s = 0; s < rows * panels; s++) {
      const RIGHT *part = b + (size_t)(s / rows) * p->b_panel;
      REAL value = a[(size_t)(s % rows) * row];
      K(lanes) left, right; /* read once for all rows */
      K(right)(&left, &right, part);
      low[s] += value * left, high[s] += value * right;
    }
  }
#pragma GCC unroll 6
  for (int s = 0; s < rows * panels; s++) {
    REAL *to = c + (size_t)(s % rows) * c_row + (size_t)(s / rows) * K(PANEL);
    if (p->relu) { /* all bits of a negative number cleared; NaN is not less than zero and stays */
      low[s] = (K(lanes))((K(masks))low[s] & ~(K(masks))(low[s] < 0));
      high[s] = (K(lanes))((K(masks))high[s] & ~(K(masks))(high[s] < 0));
    }
    *(K(lanes) *)to = low[s], *(K(lanes) *)(to + LANES) = high[s];
  }
}

/* Rows r..r + rows of panels first..end, up to `panels` (1, 2 or 4) at a time. A last panel wider than what is left of c goes
 * through a buffer. */
INLINE void K(strip)(const moon_product *p, int rows, int panels, bool turned, size_t r, size_t first, size_t end) {
  const REAL *a = (const REAL *)p->a + (turned ? r : r * p->a_row);
  REAL *c = (REAL *)p->c + r * p->c_row, cut[BLOCK * K(PANEL)];
  size_t whole = p->columns / K(PANEL), panel = first;
  for (; panels > 2 && panel + 4 <= whole; panel += 4) K(block)(p, rows, 4, turned, a, panel, c + panel * K(PANEL), p->c_row);
  for (; panels > 1 && panel + 2 <= whole; panel += 2) K(block)(p, rows, 2, turned, a, panel, c + panel * K(PANEL), p->c_row);
  for (; panel < end; panel++) {
    REAL *place = c + panel * K(PANEL);
    bool fits = panel < whole;
    size_t keep = p->columns - panel * K(PANEL);
    for (int i = 0; p->add && !fits && i < rows; i++)
      memcpy(cut + i * K(PANEL), place + (size_t)i * p->c_row, keep * sizeof *cut);
    K(block)(p, rows, 1, turned, a, panel, fits ? place : cut, fits ? p->c_row : K(PANEL));
    for (int i = 0; !fits && i < rows; i++) memcpy(place + (size_t)i * p->c_row, cut + i * K(PANEL), keep * sizeof *cut);
  }
}

/* A tile of rows: blocks of six and of four panel by panel, then what is left, several panels at once, since a row or two alone
 * would leave the adders waiting for one another. */
INLINE void K(tile)(const moon_product *p, bool turned, size_t start, size_t end) {
  size_t panels = (p->columns + K(PANEL) - 1) / K(PANEL), r = start;
  for (size_t panel = 0; panel < panels; panel++) {
    for (r = start; r + 6 <= end; r += 6) K(strip)(p, 6, 1, turned, r, panel, panel + 1);
    if (r + 4 <= end) K(strip)(p, 4, 1, turned, r, panel, panel + 1), r += 4;
  }
  if (r + 2 <= end) K(strip)(p, 2, 2, turned, r, 0, panels), r += 2;
  if (r < end) K(strip)(p, 1, 4, turned, r, 0, panels);
}

COMPILED static void K(product)(const moon_product *p) {
  for (size_t r = 0; r < p->rows; r += TILE) {
    size_t end = r + TILE < p->rows ? r + TILE : p->rows;
    if (p->a_turned) K(tile)(p, true, r, end);
    else K(tile)(p, false, r, end);
  }
}

/* product_kernel.h - the kernels of product.c for one type and vector width; it includes this once for each (so: no include
 * guard). REAL is the type, BITS the integer of its size, LANES how many of it a vector holds, K(name) the kernel's name,
 * COMPILED for what processor. */
enum { K(PANEL) = 2 * LANES };
typedef REAL K(lanes) __attribute__((vector_size(LANES * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));
typedef BITS K(masks) __attribute__((vector_size(LANES * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));

/* `rows` rows from a by `panels` panels into c; all of rows, panels and turned are constant in each inlined copy, so the sums are
 * registers: by panel, then by row. */
INLINE void K(block)(const moon_product *p, int rows, int panels, bool turned, const REAL *a, size_t panel, REAL *c,
                     size_t c_row) {
  K(lanes) low[BLOCK], high[BLOCK];
  const REAL *b = (const REAL *)p->b + panel * p->b_panel, *bias = p->bias ? (const REAL *)p->bias + panel * K(PANEL) : NULL;
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
      const REAL *part = b + (size_t)(s / rows) * p->b_panel;
      REAL value = a[(size_t)(s % rows) * row];
      low[s] += value * *(const K(lanes) *)part, high[s] += value * *(const K(lanes) *)(part + LANES);
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

/* Columns from..to of b as one panel [inner, PANEL], filled up with zeros. A full panel is a constant size, which makes the
 * copies plain moves. Turned, b's rows are read in order and written across. */
INLINE void K(pack_panel)(bool turned, size_t inner, size_t columns, size_t from, size_t keep, const REAL *restrict b,
                          REAL *restrict out) {
  if (turned) {
    for (size_t j = 0; j < keep; j++)
      for (size_t k = 0; k < inner; k++) out[k * K(PANEL) + j] = b[(from + j) * inner + k];
  } else {
    for (size_t k = 0; k < inner; k++) memcpy(out + k * K(PANEL), b + k * columns + from, keep * sizeof *b);
  }
  for (size_t k = 0; keep < K(PANEL) && k < inner; k++) memset(out + k * K(PANEL) + keep, 0, (K(PANEL) - keep) * sizeof *b);
}

COMPILED static void K(pack)(bool turned, size_t inner, size_t columns, const REAL *restrict b, REAL *restrict packed) {
  for (size_t from = 0; from < columns; from += K(PANEL), packed += inner * K(PANEL)) {
    if (from + K(PANEL) <= columns) K(pack_panel)(turned, inner, columns, from, K(PANEL), b, packed);
    else K(pack_panel)(turned, inner, columns, from, columns - from, b, packed);
  }
}

/* ---- the way back of an activation ----------------------------------------------------------------------------------------- */

/* One panel of columns, whose sums stay in registers; activation is constant in each inlined copy. */
INLINE void K(panel_back)(moon_activation activation, size_t rows, size_t columns, const REAL *dy, const REAL *y, REAL *dz,
                          size_t dz_row, REAL *sums) {
  K(lanes) sum[2] = {{0}, {0}};
  for (size_t i = 0; i < rows; i++, dy += columns, y += columns, dz += dz_row)
    for (int half = 0; half < 2; half++) {
      K(lanes) d = *(const K(lanes) *)(dy + half * LANES), v = *(const K(lanes) *)(y + half * LANES);
      if (activation == MOON_RELU) d = (K(lanes))((K(masks))d & ~(K(masks))(v <= 0)); /* NaN stays visible */
      if (activation == MOON_SIGMOID) d = d * v * (1 - v);
      if (activation == MOON_TANH) d = d * (1 - v * v);
      *(K(lanes) *)(dz + half * LANES) = d;
      sum[half] += d;
    }
  for (int half = 0; sums && half < 2; half++) *(K(lanes) *)(sums + half * LANES) += sum[half];
}

/* A last column by itself, and the zeros beyond. */
INLINE void K(column_back)(moon_activation activation, size_t rows, size_t columns, const REAL *dy, const REAL *y, REAL *dz,
                           size_t dz_row, REAL *sums) {
  for (size_t i = 0; i < rows; i++) {
    REAL d = dy[i * columns], v = y[i * columns];
    if (activation == MOON_RELU) d = v <= 0 ? 0 : d;
    if (activation == MOON_SIGMOID) d = d * v * (1 - v);
    if (activation == MOON_TANH) d = d * (1 - v * v);
    dz[i * dz_row] = d;
    if (sums) *sums += d;
  }
}

INLINE void K(all_back)(moon_activation activation, size_t rows, size_t columns, const REAL *dy, const REAL *y, REAL *dz,
                        size_t dz_row, REAL *sums) {
  size_t j = 0;
  for (; j + K(PANEL) <= columns; j += K(PANEL))
    K(panel_back)(activation, rows, columns, dy + j, y + j, dz + j, dz_row, sums ? sums + j : NULL);
  for (; j < columns; j++) K(column_back)(activation, rows, columns, dy + j, y + j, dz + j, dz_row, sums ? sums + j : NULL);
  for (size_t i = 0; i < rows && j < dz_row; i++) memset(dz + i * dz_row + j, 0, (dz_row - j) * sizeof *dz);
}

COMPILED static void K(activate_back)(moon_activation activation, size_t rows, size_t columns, const REAL *dy, const REAL *y,
                                      REAL *dz, size_t dz_row, REAL *sums) {
  switch (activation) {
    case MOON_LINEAR: K(all_back)(MOON_LINEAR, rows, columns, dy, y, dz, dz_row, sums); break;
    case MOON_RELU: K(all_back)(MOON_RELU, rows, columns, dy, y, dz, dz_row, sums); break;
    case MOON_SIGMOID: K(all_back)(MOON_SIGMOID, rows, columns, dy, y, dz, dz_row, sums); break;
    case MOON_TANH: K(all_back)(MOON_TANH, rows, columns, dy, y, dz, dz_row, sums); break;
  }
}
#undef REAL
#undef BITS
#undef LANES
#undef K
#undef COMPILED

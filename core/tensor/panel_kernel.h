/* panel_kernel.h - what else product.c does by panels, for one type and vector width: packing, and the way back of an activation. It comes
 * after product_kernel.h, with the same words, and ends their definitions. */
/* Columns from..to of b as one panel [inner, PANEL], filled up with zeros. A full panel is a constant size, which makes the copies plain
 * moves. Turned, b's rows are read in order and written across. */
INLINE void K(pack_panel)(bool turned, size_t inner, size_t from, size_t keep, const REAL *restrict b, size_t b_row,
                          REAL *restrict out) {
  if (turned) {
    for (size_t j = 0; j < keep; j++)
      for (size_t k = 0; k < inner; k++) out[k * K(PANEL) + j] = b[(from + j) * b_row + k];
  } else {
    for (size_t k = 0; k < inner; k++) memcpy(out + k * K(PANEL), b + k * b_row + from, keep * sizeof *b);
  }
  for (size_t k = 0; keep < K(PANEL) && k < inner; k++) memset(out + k * K(PANEL) + keep, 0, (K(PANEL) - keep) * sizeof *b);
}

COMPILED static void K(pack)(bool turned, size_t inner, size_t columns, const REAL *restrict b, size_t b_row,
                             REAL *restrict packed) {
  for (size_t from = 0; from < columns; from += K(PANEL), packed += inner * K(PANEL)) {
    if (from + K(PANEL) <= columns) K(pack_panel)(turned, inner, from, K(PANEL), b, b_row, packed);
    else K(pack_panel)(turned, inner, from, columns - from, b, b_row, packed);
  }
}

/* ---- the way back of an activation ---------------------------------------------------------------------------------------------- */

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

COMPILED static void K(activate_back)(moon_activation activation, size_t rows, size_t columns, const REAL *dy, const REAL *y, REAL *dz,
                                      size_t dz_row, REAL *sums) {
  switch (activation) {
    case MOON_LINEAR: K(all_back)(MOON_LINEAR, rows, columns, dy, y, dz, dz_row, sums); break;
    case MOON_RELU: K(all_back)(MOON_RELU, rows, columns, dy, y, dz, dz_row, sums); break;
    case MOON_SIGMOID: K(all_back)(MOON_SIGMOID, rows, columns, dy, y, dz, dz_row, sums); break;
    case MOON_TANH: K(all_back)(MOON_TANH, rows, columns, dy, y, dz, dz_row, sums); break;
  }
}
#undef REAL
#undef RIGHT
#undef BITS
#undef LANES
#undef K
#undef COMPILED

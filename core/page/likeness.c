/* likeness.c - how much alike the items of a slate are: what mmr and dpp go by.
 *
 * Embeddings are brought to length one and stored in blocks of 32 items, dimension by dimension: one item against all the others is then
 * a walk through memory in which each block's sums stay in registers, and no sum goes across lanes. */
#include <math.h>
#include <string.h>

#include "page/op.h"
#include "tensor/tensor.h"

enum { LANES = 8, PARTS = MOON_LIKE_BLOCK / LANES };
typedef float lanes __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

static moon_status no_memory(size_t n) { return moon_fail(MOON_ENOMEM, "no memory to diversify a slate of %zu items", n); }

static const float *embedding_of(const moon_slate *slate, size_t i, size_t *dim) {
  const moon_bundle *bundle = slate->bundle;
  return bundle->model ? moon_model_item_embedding(bundle->model, bundle->features, slate->item[i], dim) : NULL;
}

MOON_CLONES static float square_sum(const float *row, size_t dim) {
  lanes sums = {0};
  size_t d = 0;
  float sum = 0;
  for (; d + LANES <= dim; d += LANES) {
    lanes x = *(const lanes *)(row + d);
    sums += x * x;
  }
  for (; d < dim; d++) sum += row[d] * row[d];
  for (size_t i = 0; i < LANES; i++) sum += sums[i];
  return sum;
}

/* The slate's rows from `begin` of a block, one after the other in `rows`, become the block's lanes. */
static void put_block(const float *const *rows, const float *scales, size_t dim, float *block) {
  for (size_t d = 0; d < dim; d++)
    for (size_t i = 0; i < MOON_LIKE_BLOCK; i++) block[d * MOON_LIKE_BLOCK + i] = rows[i][d] * scales[i];
}

static moon_status by_embedding(const moon_slate *slate, moon_likeness *out) {
  size_t n = slate->n, dim = 0;
  for (size_t i = 0; i < n && !dim; i++)
    if (!embedding_of(slate, i, &dim)) dim = 0;
  out->dim = dim;
  if (!dim) return moon_ok();
  if (dim > SIZE_MAX / sizeof(float) / out->padded) return no_memory(n);
  out->vectors = moon_arena_alloc_aligned(slate->arena, dim * out->padded * sizeof *out->vectors);
  float *zeros = moon_arena_calloc(slate->arena, dim * sizeof *zeros);
  if (!out->vectors || !zeros) return no_memory(n);
  for (size_t begin = 0; begin < n; begin += MOON_LIKE_BLOCK) {
    const float *rows[MOON_LIKE_BLOCK];
    float scales[MOON_LIKE_BLOCK];
    for (size_t i = 0; i < MOON_LIKE_BLOCK; i++) {
      size_t size = 0;
      rows[i] = begin + i < n ? embedding_of(slate, begin + i, &size) : NULL;
      if (size != dim) rows[i] = NULL;
      float sum = rows[i] ? square_sum(rows[i], dim) : 0;
      bool broken = !(sum > 0) || isinf(sum);
      if (broken) rows[i] = zeros;
      scales[i] = broken ? 0 : 1 / sqrtf(sum);
    }
    put_block(rows, scales, dim, out->vectors + begin * dim);
  }
  return moon_ok();
}

static moon_status by_column(const moon_slate *slate, const char *name, moon_likeness *out) {
  moon_column *column;
  MOON_TRY(moon_table_require(slate->bundle->catalogue->table, name, &column));
  if (column->type != MOON_STRING)
    return moon_fail(MOON_EINVAL, "mmr: column '%.100s' holds numbers; likeness is by 'embedding' or by a column of strings", name);
  out->codes = moon_slate_memory(slate, out->padded * sizeof *out->codes);
  if (!out->codes) return no_memory(slate->n);
  for (size_t i = 0; i < out->padded; i++)
    out->codes[i] = i < slate->n && slate->item[i] < column->n ? column->code[slate->item[i]] : MOON_NONE;
  return moon_ok();
}

moon_status moon_likeness_new(const moon_slate *slate, const char *by, moon_likeness *out) {
  *out = (moon_likeness){.n = slate->n, .padded = (slate->n + MOON_LIKE_BLOCK - 1) / MOON_LIKE_BLOCK * MOON_LIKE_BLOCK};
  return strcmp(by, "embedding") ? by_column(slate, by, out) : by_embedding(slate, out);
}

MOON_CLONES static void dot_blocks(const float *vectors, size_t blocks, size_t dim, const float *query, float *out) {
  for (size_t b = 0; b < blocks; b++, out += MOON_LIKE_BLOCK) {
    lanes sums[PARTS];
#pragma GCC unroll 4
    for (int p = 0; p < PARTS; p++) sums[p] = (lanes){0};
    for (size_t d = 0; d < dim; d++, vectors += MOON_LIKE_BLOCK) {
      float x = query[d];
#pragma GCC unroll 4
      for (int p = 0; p < PARTS; p++) sums[p] += *(const lanes *)(vectors + p * LANES) * x;
    }
#pragma GCC unroll 4
    for (int p = 0; p < PARTS; p++) *(lanes *)(out + p * LANES) = sums[p];
  }
}

void moon_likeness_to(const moon_likeness *like, size_t item, float *scratch, float *out) {
  for (size_t i = 0; like->codes && i < like->padded; i++) out[i] = like->codes[i] == like->codes[item] && like->codes[i] != MOON_NONE;
  if (like->codes) return;
  if (!like->dim) {
    memset(out, 0, like->padded * sizeof *out);
    return;
  }
  const float *own = like->vectors + item / MOON_LIKE_BLOCK * MOON_LIKE_BLOCK * like->dim + item % MOON_LIKE_BLOCK;
  for (size_t d = 0; d < like->dim; d++) scratch[d] = own[d * MOON_LIKE_BLOCK];
  dot_blocks(like->vectors, like->padded / MOON_LIKE_BLOCK, like->dim, scratch, out);
}

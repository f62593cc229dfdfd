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

static moon_status no_memory(size_t n) {
  return moon_fail(MOON_ENOMEM, "no memory to diversify a slate of %zu items", n);
}

static const float *embedding_of(const moon_slate *slate, size_t i, size_t *dim) {
  const moon_bundle *bundle = slate->bundle;
  return bundle->model ? moon_model_item_embedding(bundle->model, bundle->features, slate->item[i], dim) : NULL;
}

/* Rows of a block become its lanes, at length one; NULL and what has no length become zeros. */
MOON_CLONES static void put_block(const float *const *rows, size_t dim, float *block) {
  lanes sums[PARTS] = {{0}}, scales[PARTS];
  for (size_t i = 0; i < MOON_LIKE_BLOCK; i++)
    for (size_t d = 0; d < dim; d++) block[d * MOON_LIKE_BLOCK + i] = rows[i] ? rows[i][d] : 0;
  for (size_t d = 0; d < dim; d++)
    for (int p = 0; p < PARTS; p++) {
      lanes x = *(const lanes *)(block + d * MOON_LIKE_BLOCK + p * LANES);
      sums[p] += x * x;
    }
  bool broken = false;
  for (size_t i = 0; i < MOON_LIKE_BLOCK; i++) {
    float sum = sums[i / LANES][i % LANES];
    bool fine = sum > 0 && !isinf(sum);
    broken |= !fine;
    scales[i / LANES][i % LANES] = fine ? 1 / sqrtf(sum) : 0;
  }
  for (size_t d = 0; d < dim; d++)
    for (int p = 0; p < PARTS; p++) *(lanes *)(block + d * MOON_LIKE_BLOCK + p * LANES) *= scales[p];
  for (size_t i = 0; broken && i < MOON_LIKE_BLOCK; i++) /* nothing times NaN is not nothing */
    for (size_t d = 0; !(scales[i / LANES][i % LANES] > 0) && d < dim; d++) block[d * MOON_LIKE_BLOCK + i] = 0;
}

/* Finds the rows of a block that is to come, and asks for their memory. */
static void find_rows(const moon_slate *slate, size_t begin, size_t dim, const float **rows) {
  for (size_t i = 0; i < MOON_LIKE_BLOCK; i++) {
    size_t size = 0;
    rows[i] = begin + i < slate->n ? embedding_of(slate, begin + i, &size) : NULL;
    if (size != dim) rows[i] = NULL;
    for (size_t d = 0; rows[i] && d < dim; d += 16) __builtin_prefetch(rows[i] + d);
  }
}

static moon_status by_embedding(const moon_slate *slate, moon_likeness *out) {
  size_t n = slate->n, dim = 0;
  for (size_t i = 0; i < n && !dim; i++)
    if (!embedding_of(slate, i, &dim)) dim = 0;
  out->dim = dim;
  if (!dim) return moon_ok();
  if (dim > SIZE_MAX / sizeof(float) / out->padded) return no_memory(n);
  out->vectors = moon_arena_alloc_aligned(slate->arena, dim * out->padded * sizeof *out->vectors);
  if (!out->vectors) return no_memory(n);
  const float *rows[2][MOON_LIKE_BLOCK];
  find_rows(slate, 0, dim, rows[0]);
  for (size_t begin = 0, turn = 0; begin < n; begin += MOON_LIKE_BLOCK, turn = !turn) {
    find_rows(slate, begin + MOON_LIKE_BLOCK, dim, rows[!turn]);
    put_block(rows[turn], dim, out->vectors + begin * dim);
  }
  return moon_ok();
}

static moon_status by_column(const moon_slate *slate, const char *name, moon_likeness *out) {
  moon_column *column;
  MOON_TRY(moon_table_require(slate->bundle->catalogue->table, name, &column));
  if (column->type != MOON_STRING)
    return moon_fail(MOON_EINVAL, "mmr: column '%.100s' holds numbers; likeness is by 'embedding' or by a column of strings",
                     name);
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

MOON_CLONES static void dot_block(const float *vectors, size_t dim, const float *query, float *out) {
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

void moon_likeness_query(const moon_likeness *like, size_t item, float *query) {
  const float *own = like->vectors + item / MOON_LIKE_BLOCK * MOON_LIKE_BLOCK * like->dim + item % MOON_LIKE_BLOCK;
  for (size_t d = 0; d < like->dim; d++) query[d] = own[d * MOON_LIKE_BLOCK];
}

void moon_likeness_block(const moon_likeness *like, size_t block, size_t item, const float *query, float *out) {
  const uint32_t *codes = like->codes ? like->codes + block * MOON_LIKE_BLOCK : NULL;
  if (like->dim) dot_block(like->vectors + block * MOON_LIKE_BLOCK * like->dim, like->dim, query, out);
  for (size_t i = 0; !like->dim && i < MOON_LIKE_BLOCK; i++)
    out[i] = codes && codes[i] == like->codes[item] && codes[i] != MOON_NONE;
}

/* mmr.c - maximal marginal relevance (Carbonell & Goldstein 1998): the best next item is good and unlike those before it.
 *
 * For every item the largest similarity to a picked one is kept up to date, so that a pick costs one look at each item: O(k n),
 * and not O(k^2 n). Embeddings are normalised once and stored by dimension, [dim, n]: the inner loop runs over items and needs
 * no sum across lanes. */
#include <math.h>
#include <string.h>

#include "page/slate.h"

typedef struct kinship { /* what similarity is read from: one of the two */
  float *vectors;        /* [dim, n] unit vectors, zero where an item has none */
  size_t dim;
  uint32_t *codes; /* [n] */
} kinship;

static moon_status no_memory(size_t n) { return moon_fail(MOON_ENOMEM, "no memory to diversify a slate of %zu items", n); }

static const float *embedding_of(const moon_slate *slate, size_t i, size_t *dim) {
  const moon_bundle *bundle = slate->bundle;
  return bundle->model ? moon_model_item_embedding(bundle->model, bundle->features, slate->item[i], dim) : NULL;
}

static moon_status by_embedding(const moon_slate *slate, kinship *out) {
  size_t n = slate->n, dim = 0;
  for (size_t i = 0; i < n && !dim; i++)
    if (!embedding_of(slate, i, &dim)) dim = 0;
  out->dim = dim;
  if (!dim) return moon_ok();
  if (dim > SIZE_MAX / sizeof(float) / n) return no_memory(n);
  out->vectors = moon_arena_calloc(slate->arena, dim * n * sizeof *out->vectors);
  if (!out->vectors) return no_memory(n);
  for (size_t i = 0; i < n; i++) {
    size_t size = 0;
    const float *row = embedding_of(slate, i, &size);
    float sum = 0;
    for (size_t d = 0; row && size == dim && d < dim; d++) sum += row[d] * row[d];
    if (!(sum > 0) || isinf(sum)) continue;
    float scale = 1 / sqrtf(sum);
    for (size_t d = 0; d < dim; d++) out->vectors[d * n + i] = row[d] * scale;
  }
  return moon_ok();
}

static moon_status by_column(const moon_slate *slate, const char *name, kinship *out) {
  moon_column *column;
  MOON_TRY(moon_table_require(slate->bundle->catalogue->table, name, &column));
  if (column->type != MOON_STRING)
    return moon_fail(MOON_EINVAL, "mmr: column '%.100s' holds numbers; likeness is by 'embedding' or by a column of strings",
                     name);
  out->codes = moon_arena_alloc(slate->arena, slate->n * sizeof *out->codes);
  if (!out->codes) return no_memory(slate->n);
  for (size_t i = 0; i < slate->n; i++) out->codes[i] = slate->item[i] < column->n ? column->code[slate->item[i]] : MOON_NONE;
  return moon_ok();
}

/* similarity [n] of every item to the one at `picked`. */
static void compare(const kinship *kin, size_t n, size_t picked, float *restrict similarity) {
  memset(similarity, 0, n * sizeof *similarity);
  for (size_t d = 0; d < kin->dim; d++) {
    const float *row = kin->vectors + d * n;
    float x = row[picked];
    for (size_t i = 0; i < n; i++) similarity[i] += x * row[i];
  }
  for (size_t i = 0; kin->codes && i < n; i++) similarity[i] = kin->codes[i] == kin->codes[picked] && kin->codes[i] != MOON_NONE;
}

/* lambda * (score scaled to [0, 1]); a NaN counts as the worst, infinities as the ends. */
static void weigh(const moon_slate *slate, float lambda, float *out) {
  double low = INFINITY, high = -INFINITY;
  for (size_t i = 0; i < slate->n; i++) {
    if (!isfinite(slate->score[i])) continue;
    low = fmin(low, slate->score[i]);
    high = fmax(high, slate->score[i]);
  }
  for (size_t i = 0; i < slate->n; i++) {
    double x = high > low ? (slate->score[i] - low) / (high - low) : 0;
    out[i] = lambda * (float)(x > 0 ? fmin(x, 1) : 0);
  }
}

/* The first `k` of slate->order. weight, nearest, similarity: [n]; weight [n] is used up. */
static void pick(moon_slate *slate, const kinship *kin, float lambda, size_t k, float *weight, float *nearest,
                 float *similarity) {
  size_t n = slate->n;
  for (size_t i = 0; i < n; i++) nearest[i] = 0;
  for (size_t picks = 0; picks < k; picks++) {
    size_t best = 0;
    float most = -INFINITY;
    for (size_t i = 0; i < n; i++) {
      float value = weight[i] - (1 - lambda) * nearest[i];
      if (value > most) most = value, best = i;
    }
    slate->order[picks] = (uint32_t)best;
    weight[best] = -INFINITY; /* never again */
    compare(kin, n, best, similarity);
    for (size_t i = 0; i < n; i++) nearest[i] = picks && nearest[i] > similarity[i] ? nearest[i] : similarity[i];
  }
}

moon_status moon_slate_mmr(moon_slate *slate, float lambda, const char *by, size_t k, const char *policy) {
  kinship kin = {0};
  size_t n = slate->n;
  if (!(lambda >= 0 && lambda <= 1)) return moon_fail(MOON_EINVAL, "mmr: lambda must be from 0 to 1, not %g", lambda);
  MOON_TRY(strcmp(by, "embedding") ? by_column(slate, by, &kin) : by_embedding(slate, &kin));
  if (k > n) k = n;
  float *weight = moon_arena_alloc(slate->arena, 3 * n * sizeof *weight);
  uint8_t *picked = moon_arena_calloc(slate->arena, n);
  if (!weight || !picked) return no_memory(n);
  weigh(slate, lambda, weight);
  pick(slate, &kin, lambda, k, weight, weight + n, weight + 2 * n);
  for (size_t i = 0; i < k; i++) picked[slate->order[i]] = 1;
  for (size_t i = 0, at = k; i < n; i++)
    if (!picked[i]) slate->order[at++] = (uint32_t)i;
  moon_slate_arrange(slate, n);
  moon_slate_note_moves(slate, policy);
  return moon_ok();
}

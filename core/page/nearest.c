/* nearest.c - candidates by embedding: the items nearest to the mean of those that a visitor is with.
 *
 * Vectors are the model's embeddings of item ids at length one, so that the score is the cosine. The site keeps them by catalogue
 * row and looks at all of them, or asks the bundle's graph where it has one. What may come out is a set of bits (allowed.c): listed,
 * and of a source with conditions those that they hold for; so n come out where n may. */
#include <string.h>

#include "page/assemble.h"
#include "retrieve/hnsw.h"

static const float FADE = 0.9f; /* as m.source.similar weighs */

static moon_status make_vectors(moon_site *site) {
  const moon_bundle *bundle = site->bundle;
  moon_site_nearest *near = &site->nearest;
  near->rows = moon_catalogue_rows(bundle->catalogue);
  near->dim = moon_model_item_dim(bundle->model);
  if (bundle->index && moon_hnsw_dim(bundle->index) != near->dim)
    return moon_fail(MOON_EFORMAT, "the bundle's index is of %zu numbers an item, its model of %zu", moon_hnsw_dim(bundle->index), near->dim);
  size_t kept = bundle->index ? 1 : near->rows; /* the graph has its own */
  float *vectors = moon_arena_alloc_aligned(&site->memory, kept * near->dim * sizeof *vectors);
  near->listed = moon_arena_calloc(&site->memory, moon_bits_words(near->rows) * sizeof *near->listed);
  if (!vectors || !near->listed) return moon_fail(MOON_ENOMEM, "no memory for the embeddings of %zu items", near->rows);
  memset(vectors, 0, kept * near->dim * sizeof *vectors);
  for (uint32_t row = 0; row < near->rows; row++)
    if (!bundle->catalogue->hidden[row] &&
        moon_model_item_unit(bundle->model, bundle->features, row, near->dim, vectors + (bundle->index ? 0 : row * near->dim)))
      moon_bits_set(near->listed, row);
  near->vectors = vectors;
  return moon_ok();
}

moon_status moon_site_read_nearest(moon_site *site, const json_t *json, moon_site_source *out) {
  moon_site_nearest *near = &site->nearest;
  if (!moon_site_has_embedding(site->bundle)) return moon_fail(MOON_EINVAL, "source 'nearest' needs a model with m.id \"item\"");
  if (!near->vectors) MOON_TRY(make_vectors(site));
  return moon_site_read_allowed(site, json_object_get(json, "when"), near->listed, near->rows, out);
}

/* False where the seeds have no embedding. */
static bool mean_of(const moon_visit *visit, float *unit, float *mean) {
  const moon_bundle *bundle = visit->site->bundle;
  size_t dim = visit->site->nearest.dim;
  bool any = false;
  float weight = 1;
  memset(mean, 0, dim * sizeof *mean);
  for (size_t i = 0; i < visit->seed_n; i++, weight *= FADE) {
    if (!moon_model_item_unit(bundle->model, bundle->features, visit->seeds[i], dim, unit)) continue;
    for (size_t d = 0; d < dim; d++) mean[d] += weight * unit[d];
    any = true;
  }
  float scale = any ? moon_vector_scale(mean, dim) : 0;
  for (size_t d = 0; d < dim; d++) mean[d] *= scale;
  return scale > 0;
}

static bool is_seed(const moon_visit *visit, uint32_t item) {
  for (size_t i = 0; i < visit->seed_n; i++)
    if (visit->seeds[i] == item) return true;
  return false;
}

/* ef is twice what is wanted, and a hundred at least: see the report of `moonshelf index`. */
static moon_status search(moon_visit *visit, const uint64_t *allowed, const float *query, size_t k, uint32_t *item, float *score,
                          size_t *found) {
  const moon_site_nearest *near = &visit->site->nearest;
  const moon_hnsw *index = visit->site->bundle->index;
  moon_assembler *a = visit->assembler;
  if (!index) {
    const moon_vectors vectors = {near->vectors, NULL, near->rows, near->dim};
    *found = moon_exact_search(&vectors, query, k, allowed, item, score);
    return moon_ok();
  }
  if (!a->near) a->near = moon_hnsw_scratch_new();
  if (!a->near) return moon_fail(MOON_ENOMEM, "no memory to search");
  return moon_hnsw_search(index, query, k, k > 50 ? 2 * k : 100, allowed, near->rows, a->near, item, score, found);
}

moon_status moon_visit_nearest(moon_visit *visit, const moon_site_source *source, moon_candidates *out) {
  const moon_site_nearest *near = &visit->site->nearest;
  size_t found = 0, wanted = source->n + visit->seed_n < near->rows ? source->n + visit->seed_n : near->rows; /* seeds will be left out */
  float *mean = moon_arena_alloc(visit->arena, (2 * near->dim + wanted) * sizeof *mean);
  uint32_t *item = moon_arena_alloc(visit->arena, wanted * sizeof *item);
  if (!mean || !item) return moon_fail(MOON_ENOMEM, "no memory for %zu candidates", wanted);
  float *score = mean + 2 * near->dim;
  const uint64_t *allowed;
  if (!mean_of(visit, mean + near->dim, mean)) return moon_ok();
  MOON_TRY(moon_site_allowed(visit->site, source, visit->request, visit->arena, &allowed));
  MOON_TRY(search(visit, allowed, mean, wanted, item, score, &found));
  for (size_t i = 0; i < found && out->n < out->cap; i++) {
    if (is_seed(visit, item[i])) continue;
    out->item[out->n] = item[i], out->score[out->n++] = score[i];
  }
  return moon_ok();
}

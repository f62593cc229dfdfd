/* hnsw.h - the nearest of many vectors without looking at all of them: a navigable graph in layers (Malkov & Yashunin 2018),
 * built by hnswlib. The score is the inner product; give it unit vectors and it is the cosine, which the graph is best at.
 *
 * One idea: the library builds the graph, and everything else is ours and stands on its public parts. So a filter acts inside the
 * search, a search allocates nothing and any number may run at once, deleted rows still lead to others, and what comes from a
 * file is checked link by link. Deterministic: the same calls give the same bytes, also where a save and a load lie between.
 * The graph's memory is the library's, outside the budget of moon_memory_limit. */
#ifndef MOON_RETRIEVE_HNSW_H
#define MOON_RETRIEVE_HNSW_H

#ifdef __cplusplus
extern "C" {
#endif
#include "base/base.h"

typedef struct moon_hnsw moon_hnsw;
typedef struct moon_hnsw_options {
  size_t m;               /* links of a row, in the lowest layer twice as many; 2 to 256, 0: 16 */
  size_t ef_construction; /* candidates that are weighed for them; at most 65536, 0: 200 */
  size_t capacity;        /* rows to make room for; it grows beyond */
  uint64_t seed;          /* of the rows' layers */
} moon_hnsw_options;

/* dim: 1 to 65536. MOON_EINVAL, MOON_ENOMEM. options NULL: all defaults. */
moon_status moon_hnsw_new(size_t dim, const moon_hnsw_options *options, moon_hnsw **out);
void moon_hnsw_free(moon_hnsw *index);
/* Puts in a row's vector [dim]; a row that is there gets the new one. MOON_EINVAL where a number is not finite. After MOON_ENOMEM
 * it can be searched and freed and nothing else. */
moon_status moon_hnsw_add(moon_hnsw *index, uint32_t row, const float *vector);
/* The row is found no more. Its vector stays as a way to others until the index is built anew. MOON_ENOTFOUND. */
moon_status moon_hnsw_remove(moon_hnsw *index, uint32_t row);
size_t moon_hnsw_dim(const moon_hnsw *index);
size_t moon_hnsw_count(const moon_hnsw *index);   /* rows that can be found */
size_t moon_hnsw_removed(const moon_hnsw *index); /* vectors that were removed or replaced */
size_t moon_hnsw_bytes(const moon_hnsw *index);   /* of memory, about */

/* What one search at a time needs. Grows with the index; then searches allocate nothing. */
typedef struct moon_hnsw_scratch moon_hnsw_scratch;
moon_hnsw_scratch *moon_hnsw_scratch_new(void); /* NULL: no memory */
void moon_hnsw_scratch_free(moon_hnsw_scratch *scratch);

/* About the k best, best first, ties by lower row: item, score [k]. ef: how many the search keeps in sight, at least k; more is
 * nearer to exact and slower. allowed: bits of the rows below `rows` that may come out, as in retrieve.h, others may not; NULL:
 * all. Where so few are allowed that looking at each is quicker than finding them, it does that, and is exact. */
moon_status moon_hnsw_search(const moon_hnsw *index, const float *query, size_t k, size_t ef, const uint64_t *allowed, size_t rows,
                             moon_hnsw_scratch *scratch, uint32_t *item, float *score, size_t *found);

/* Appends bytes with their own checksum. Load: MOON_EFORMAT for whatever save does not write. */
moon_status moon_hnsw_save(const moon_hnsw *index, moon_buf *out);
moon_status moon_hnsw_load(const char *bytes, size_t n, moon_hnsw **out);

#ifdef __cplusplus
}
#endif
#endif

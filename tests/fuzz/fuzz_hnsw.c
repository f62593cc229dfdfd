/* Any bytes as an index of near vectors, with the head made right so that what is behind it is reached: refused, or an index that saves
 * to these bytes, answers within its filter and best first, and takes and loses rows. */
#include <math.h>

#include "data/bytes.h"
#include "fuzz/fuzz.h"
#include "retrieve/hnsw.h"
#include "retrieve/retrieve.h"

enum { MOST = 8, ROWS = 256 };

static void frame(const uint8_t *payload, size_t n, moon_buf *out) {
  moon_buf_puts(out, "HSNW"); /* least byte first, as all numbers are */
  moon_put_u32(out, 1);
  moon_put_u64(out, moon_hash(payload, n));
  moon_put_u64(out, n);
  moon_buf_add(out, payload, n);
}

static void search(const moon_hnsw *index, const float *query, const uint64_t *allowed) {
  uint32_t item[MOST];
  float score[MOST];
  size_t found;
  moon_hnsw_scratch *scratch = moon_hnsw_scratch_new();
  check(scratch && !moon_hnsw_search(index, query, MOST, 20, allowed, ROWS, scratch, item, score, &found).code);
  check(found <= MOST && found <= moon_hnsw_count(index));
  for (size_t i = 0; i < found; i++) {
    check(item[i] != MOON_NONE && (!allowed || (item[i] < ROWS && moon_bits_has(allowed, item[i]))));
    for (size_t j = 0; j < i; j++) check(item[i] != item[j] && !(score[j] < score[i]));
  }
  moon_hnsw_scratch_free(scratch);
}

static void use(moon_hnsw *index) {
  static const uint64_t some[ROWS / 64] = {0x5555555555555555, 0xf0f0, 0, UINT64_MAX};
  size_t dim = moon_hnsw_dim(index);
  float *query = calloc(dim, sizeof *query);
  check(query != NULL);
  for (size_t i = 0; i < dim; i++) query[i] = (float)(i % 5) - 2;
  for (int round = 0; round < 3; round++) {
    search(index, query, NULL);
    search(index, query, some);
    for (uint32_t row = 0; row < 4; row++) moon_hnsw_remove(index, row);
    if (round == 2) continue;
    query[0] += 1;
    moon_status status = moon_hnsw_add(index, (uint32_t)round, query);
    check(status.code == MOON_OK || status.code == MOON_ENOMEM);
    if (status.code) break; /* it can be freed, and nothing else */
  }
  free(query);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  moon_buf bytes = {0}, saved = {0};
  moon_hnsw *index = NULL;
  frame(data, size, &bytes);
  moon_status status = moon_hnsw_load(bytes.data, bytes.n, &index);
  check(status.code == MOON_OK || status.code == MOON_EFORMAT || status.code == MOON_ENOMEM);
  check(!status.code == (index != NULL));
  if (index) {
    check(!moon_hnsw_save(index, &saved).code && saved.n == bytes.n && !memcmp(saved.data, bytes.data, saved.n));
    use(index);
  }
  moon_hnsw_free(index);
  moon_buf_free(&saved);
  moon_buf_free(&bytes);
  index = NULL;
  check(moon_hnsw_load((const char *)data, size, &index).code && !index); /* without a head of its own */
  return 0;
}

size_t moon_fuzz_seed(size_t which, uint8_t *out, size_t cap) {
  static const size_t rows[] = {0, 1, 3, 40, 12}, dims[] = {1, 2, 3, 2, 16};
  if (which >= sizeof rows / sizeof *rows) return 0;
  const moon_hnsw_options options = {.m = 2 + which, .ef_construction = 10, .seed = which};
  moon_hnsw *index;
  moon_buf bytes = {0};
  moon_rng rng;
  float vector[16];
  moon_rng_seed(&rng, which, 0);
  check(!moon_hnsw_new(dims[which], &options, &index).code);
  for (uint32_t row = 0; row < rows[which]; row++) {
    for (size_t i = 0; i < dims[which]; i++) vector[i] = (float)moon_rng_normal(&rng);
    check(!moon_hnsw_add(index, row * 3 % 128, vector).code);
  }
  if (which == 3) check(!moon_hnsw_remove(index, 6).code);
  check(!moon_hnsw_save(index, &bytes).code);
  size_t n = moon_fuzz_put(bytes.data + 24, bytes.n - 24, out, cap);
  moon_buf_free(&bytes);
  moon_hnsw_free(index);
  return n;
}

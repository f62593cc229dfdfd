/* embedding.c - tables of vectors by id. Row 0 stands for "unknown" in a plain look-up and for padding in a list. */
#include <string.h>

#include "nn/nn.h"
#include "nn/param.h"

moon_status moon_embedding_new(const char *name, size_t rows, size_t dim, moon_rng *rng, moon_embedding **out) {
  *out = NULL;
  if (!rows || !dim || rows > MOON_NONE)
    return moon_fail(MOON_EINVAL, "embedding \"%s\": %zu rows of %zu; both must be at least 1, rows below 2^32", name, rows, dim);
  moon_embedding *embedding = moon_calloc(1, sizeof *embedding);
  moon_buf key = {0};
  moon_buf_printf(&key, "%s.weight", name);
  moon_status st = moon_ok();
  if (!embedding || key.failed) st = moon_fail(MOON_ENOMEM, "embedding \"%s\": no memory", name);
  if (!st.code) st = moon_param_new(key.data, MOON_F32, 2, (size_t[]){rows, dim}, true, &embedding->weight);
  moon_buf_free(&key);
  if (st.code) {
    moon_embedding_free(embedding);
    return st;
  }
  moon_init_normal(embedding->weight, rng, 0.05);
  memset(moon_tensor_data(embedding->weight->value), 0, dim * sizeof(float));
  *out = embedding;
  return moon_ok();
}

void moon_embedding_free(moon_embedding *embedding) {
  if (!embedding) return;
  moon_param_free(embedding->weight);
  moon_free(embedding);
}

moon_status moon_embedding_forward(moon_tape *tape, moon_embedding *embedding, const uint32_t *ids, size_t n, moon_var *y) {
  moon_param *weight = embedding->weight;
  moon_status st = moon_op_gather(tape, weight->value, moon_param_sink(weight), ids, n, weight->sparse ? moon_param_touch : NULL, weight, y);
  return st.code ? moon_wrap(st, "embedding \"%s\"", weight->name) : st;
}

moon_status moon_embedding_mean(moon_tape *tape, moon_embedding *embedding, const uint32_t *ids, size_t n, size_t length, moon_var *y) {
  moon_param *weight = embedding->weight;
  moon_status st =
      moon_op_gather_mean(tape, weight->value, moon_param_sink(weight), ids, n, length, weight->sparse ? moon_param_touch : NULL, weight, y);
  return st.code ? moon_wrap(st, "embedding \"%s\"", weight->name) : st;
}

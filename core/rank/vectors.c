/* vectors.c - embeddings that somebody else made: a matrix in a .npy or .safetensors file, and the ids of its rows, one a line. */
#include <math.h>
#include <string.h>

#include "rank/dataset.h"

static moon_status read_file(const char *data_dir, const char *name, moon_buf *out) {
  char *path = moon_path_join(data_dir ? data_dir : "", name);
  if (!path) return moon_fail(MOON_ENOMEM, "no memory for a path");
  moon_status status = moon_file_read(path, 0, out);
  moon_free(path);
  return status;
}

/* ---- ids -------------------------------------------------------------------------------------------------------------------- */

static moon_status parse_ids(const char *name, const moon_buf *bytes, moon_vocab *vocab) {
  size_t line = 0;
  for (const char *at = bytes->data, *end = at + bytes->n; at < end;) {
    const char *stop = memchr(at, '\n', (size_t)(end - at));
    size_t n = (size_t)((stop ? stop : end) - at), known = moon_vocab_size(vocab);
    if (n && at[n - 1] == '\r') n--;
    line++;
    if (!n || memchr(at, 0, n)) return moon_fail(MOON_EFORMAT, "%s:%zu: an id is missing", name, line);
    MOON_TRY(moon_vocab_add(vocab, at, n));
    if (moon_vocab_size(vocab) == known)
      return moon_fail(MOON_EFORMAT, "%s:%zu: the id '%.*s' is there twice", name, line, n < 60 ? (int)n : 60, at);
    at = stop ? stop + 1 : end;
  }
  return line ? moon_ok() : moon_fail(MOON_EFORMAT, "%s is empty", name);
}

/* ---- vectors ---------------------------------------------------------------------------------------------------------------- */

static bool is_safetensors(const char *name) {
  size_t n = strlen(name);
  return n >= 12 && !strcmp(name + n - 12, ".safetensors");
}

/* The tensor that the recipe names, or the only one. */
static moon_status parse_safetensors(const moon_feature *feature, const moon_safetensors *file, moon_tensor **out) {
  const char *name, *only = NULL;
  moon_dtype dtype;
  int dims;
  const size_t *shape;
  for (size_t i = 0;; i++) {
    moon_status status = moon_safetensors_at(file, i, &name, &dtype, &dims, &shape);
    if (status.code == MOON_ENOTFOUND) break;
    if (status.code && feature->tensor) continue; /* another one, of a type that is not computed with */
    MOON_TRY(status);
    if (feature->tensor ? strcmp(name, feature->tensor) != 0 : i > 0) {
      if (!feature->tensor) return moon_fail(MOON_EINVAL, "there are several tensors ('%s', '%s', ...): name one", only, name);
      continue;
    }
    only = name;
    if (*out) continue;
    MOON_TRY(moon_tensor_new(dtype, dims, shape, out));
    MOON_TRY(moon_safetensors_read(file, name, *out));
  }
  if (*out) return moon_ok();
  return moon_fail(MOON_ENOTFOUND, "there is no tensor '%s' to compute with", feature->tensor ? feature->tensor : "");
}

static moon_status parse_vectors(const moon_feature *feature, const moon_buf *bytes, moon_tensor **out) {
  if (!is_safetensors(feature->file)) return moon_npy_read(bytes->data, bytes->n, NULL, out);
  moon_safetensors *file = NULL;
  MOON_TRY(moon_safetensors_open(bytes->data, bytes->n, &file));
  moon_status status = parse_safetensors(feature, file, out);
  moon_safetensors_close(file);
  return status;
}

static moon_status check_vectors(const moon_feature *feature, const moon_tensor *vectors, size_t ids) {
  int dims = moon_tensor_dims(vectors);
  const size_t *shape = moon_tensor_shape(vectors);
  if (dims != 2 || shape[1] != feature->dim)
    return moon_fail(MOON_EFORMAT, "the shape is %s, but rows of %zu numbers (dim) are wanted",
                     moon_shape_write(dims, shape).text, feature->dim);
  if (shape[0] != ids) return moon_fail(MOON_EFORMAT, "there are %zu rows, but %zu ids in %s", shape[0], ids, feature->ids);
  const float *at = moon_tensor_data(vectors);
  for (size_t i = 0; i < shape[0] * shape[1]; i++)
    if (!isfinite(at[i])) return moon_fail(MOON_EFORMAT, "row %zu has a number that is not finite", i / shape[1] + 1);
  return moon_ok();
}

static moon_status read_vectors(const moon_feature *feature, const char *data_dir, size_t ids, moon_tensor **out) {
  moon_buf bytes = {0};
  moon_tensor *raw = NULL;
  moon_status status = read_file(data_dir, feature->file, &bytes);
  if (!status.code) status = moon_wrap(parse_vectors(feature, &bytes, &raw), "%s", feature->file);
  if (!status.code) status = moon_tensor_cast(raw, MOON_F32, out);
  if (!status.code) status = moon_wrap(check_vectors(feature, *out, ids), "%s", feature->file);
  moon_tensor_free(raw);
  moon_buf_free(&bytes);
  return status;
}

moon_status moon_vectors_read(const moon_feature *feature, const char *data_dir, moon_vocab *vocab, moon_tensor **out) {
  moon_buf bytes = {0};
  moon_status status = read_file(data_dir, feature->ids, &bytes);
  if (!status.code) status = parse_ids(feature->ids, &bytes, vocab);
  moon_buf_free(&bytes);
  if (!status.code) status = read_vectors(feature, data_dir, moon_vocab_size(vocab) - 1, out);
  return moon_wrap(status, "%s", feature->where);
}

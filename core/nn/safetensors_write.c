/* safetensors_write.c - writing Hugging Face's format.
 *
 * The same tensors give the same bytes: header keys are sorted, and data lies widest type first, then by name, as in the reference
 * implementation; so each tensor is aligned to its type without the holes that the format forbids. The header is padded with blanks
 * to a multiple of 8. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "nn/safetensors.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the data of safetensors is little-endian and is copied as it is");

static size_t bytes_of(const moon_tensor *t) { return moon_tensor_count(t) * moon_dtype_size(moon_tensor_dtype(t)); }

static int by_width_then_name(const void *a, const void *b) {
  const moon_named_tensor *x = *(const moon_named_tensor *const *)a, *y = *(const moon_named_tensor *const *)b;
  size_t wide_x = moon_dtype_size(moon_tensor_dtype(x->tensor)), wide_y = moon_dtype_size(moon_tensor_dtype(y->tensor));
  if (wide_x != wide_y) return wide_x > wide_y ? -1 : 1;
  return strcmp(x->name, y->name);
}

/* {"dtype":"F32","shape":[..],"data_offsets":[begin,end]}, or NULL where there is no memory. */
static json_t *describe(const moon_tensor *t, size_t begin) {
  json_t *shape = json_array();
  for (int d = 0; shape && d < moon_tensor_dims(t); d++) {
    if (!json_array_append_new(shape, json_integer((json_int_t)moon_tensor_shape(t)[d]))) continue;
    json_decref(shape);
    shape = NULL;
  }
  if (!shape) return NULL;
  return json_pack("{s:s, s:o, s:[I, I]}", "dtype", moon_file_dtype_name(moon_tensor_dtype(t)), "shape", shape, "data_offsets",
                   (json_int_t)begin, (json_int_t)(begin + bytes_of(t))); /* takes `shape` over, also where it fails */
}

static moon_status check(const moon_named_tensor *t) {
  if (!strcmp(t->name, "__metadata__")) return moon_fail(MOON_EINVAL, "safetensors: \"__metadata__\" is not a tensor's name");
  if (!moon_tensor_is_contiguous(t->tensor)) return moon_fail(MOON_EINVAL, "safetensors: tensor \"%s\" is not contiguous", t->name);
  return moon_ok();
}

/* The header's JSON; freed by the caller. */
static moon_status make_header(const json_t *metadata, const moon_named_tensor *const *sorted, size_t n, char **text) {
  json_t *root = json_object();
  bool fine = root && (!metadata || !json_object_set_new(root, "__metadata__", json_deep_copy(metadata)));
  moon_status st = fine ? moon_ok() : moon_fail(MOON_ENOMEM, "safetensors: no memory");
  size_t at = 0;
  for (size_t i = 0; i < n && !st.code; i++) {
    const char *name = sorted[i]->name;
    json_t *entry = NULL;
    if ((st = check(sorted[i])).code) break;
    if (json_object_get(root, name)) st = moon_fail(MOON_EINVAL, "safetensors: two tensors are called \"%s\"", name);
    else if (!(entry = describe(sorted[i]->tensor, at))) st = moon_fail(MOON_ENOMEM, "safetensors: no memory");
    else if (json_object_set_new(root, name, entry)) st = moon_fail(MOON_EINVAL, "safetensors: the name of tensor %zu is not UTF-8", i);
    at += bytes_of(sorted[i]->tensor);
  }
  *text = st.code ? NULL : json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);
  json_decref(root);
  if (!st.code && !*text) st = moon_fail(MOON_ENOMEM, "safetensors: no memory for the header");
  return st;
}

moon_status moon_safetensors_write(const moon_named_tensor *tensors, size_t n, moon_buf *out) {
  return moon_safetensors_write_with(NULL, tensors, n, out);
}

moon_status moon_safetensors_write_with(const json_t *metadata, const moon_named_tensor *tensors, size_t n, moon_buf *out) {
  const moon_named_tensor **sorted = moon_alloc(n * sizeof *sorted);
  if (!sorted) return moon_fail(MOON_ENOMEM, "safetensors: no memory for %zu tensors", n);
  for (size_t i = 0; i < n; i++) sorted[i] = &tensors[i];
  if (n) qsort(sorted, n, sizeof *sorted, by_width_then_name);
  char *text = NULL;
  moon_status st = make_header(metadata, sorted, n, &text);
  size_t length = text ? strlen(text) : 0, padded = (length + 7) & ~(size_t)7;
  if (!st.code && padded > MOON_SAFETENSORS_HEADER_LIMIT) st = moon_fail(MOON_ELIMIT, "safetensors: a header of %zu bytes", padded);
  if (!st.code) {
    char size[8];
    size_t before = out->n;
    for (int i = 0; i < 8; i++) size[i] = (char)(padded >> 8 * i & 0xff);
    moon_buf_add(out, size, sizeof size);
    moon_buf_add(out, text, length);
    moon_buf_add(out, "       ", padded - length);
    for (size_t i = 0; i < n; i++) moon_buf_add(out, moon_tensor_data(sorted[i]->tensor), bytes_of(sorted[i]->tensor));
    if (out->failed) {
      st = moon_fail(MOON_ENOMEM, "safetensors: no memory for the file");
      out->n = before;
      if (out->data) out->data[before] = 0;
    }
  }
  free(text); /* jansson's own allocation */
  moon_free(sorted);
  return st;
}

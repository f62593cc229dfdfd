/* safetensors.c - reading Hugging Face's format: 8 bytes of header length, a JSON header, then raw little-endian data.
 *
 * The file comes from outside: nothing of it is used before every entry has been checked against the bytes that are there. Entries
 * must tile the data without overlap or hole, as the reference implementation demands, so two names can never share memory. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "nn/safetensors.h"

typedef struct entry {
  char *name;
  const moon_file_dtype *type;
  int dims;
  size_t shape[MOON_MAX_DIMS];
  size_t begin, end; /* in data */
} entry;

struct moon_safetensors {
  entry *entries; /* sorted by name */
  size_t n;
  const char *data;
  json_t *metadata; /* or NULL */
};

static const moon_file_dtype types[] = {
    {"F32", 4, MOON_F32}, {"F64", 8, MOON_F64}, {"I64", 8, MOON_I64}, {"U8", 1, MOON_U8}, {"BOOL", 1, -1},   {"I8", 1, -1},  {"I16", 2, -1},
    {"U16", 2, -1},       {"F16", 2, -1},       {"BF16", 2, -1},      {"I32", 4, -1},     {"U32", 4, -1},    {"U64", 8, -1}, {"F8_E4M3", 1, -1},
    {"F8_E5M2", 1, -1},
};
enum { TYPES = sizeof types / sizeof *types };

static const moon_file_dtype *find_type(const char *name) {
  for (int i = 0; i < TYPES; i++)
    if (!strcmp(types[i].name, name)) return &types[i];
  return NULL;
}

const char *moon_file_dtype_name(moon_dtype dtype) {
  for (int i = 0; i < TYPES; i++)
    if (types[i].dtype == (int)dtype) return types[i].name;
  return "?";
}

/* ---- one entry of the header -------------------------------------------------------------------------------------------------- */

static bool natural(const json_t *value, size_t *out) {
  if (!json_is_integer(value) || json_integer_value(value) < 0) return false;
  *out = (size_t)json_integer_value(value);
  return true;
}

static moon_status bad(const char *name, const char *what) {
  return moon_fail(MOON_EFORMAT, "safetensors: tensor \"%s\": %s", name, what);
}

static moon_status read_shape(const char *name, const json_t *shape, entry *e) {
  if (!json_is_array(shape)) return bad(name, "there is no shape");
  if (json_array_size(shape) > MOON_MAX_DIMS) return bad(name, "more than 6 dimensions");
  e->dims = (int)json_array_size(shape);
  for (int d = 0; d < e->dims; d++)
    if (!natural(json_array_get(shape, (size_t)d), &e->shape[d])) return bad(name, "the shape holds something else than sizes");
  return moon_ok();
}

/* Reads entry `name`; its bytes must lie in `size` bytes of data and be as many as dtype and shape say. */
static moon_status read_entry(const char *name, const json_t *value, size_t size, entry *e) {
  const json_t *type = json_object_get(value, "dtype"), *offsets = json_object_get(value, "data_offsets");
  if (!json_is_string(type)) return bad(name, "there is no dtype");
  e->type = find_type(json_string_value(type));
  if (!e->type) return bad(name, "unknown dtype");
  MOON_TRY(read_shape(name, json_object_get(value, "shape"), e));
  if (!json_is_array(offsets) || json_array_size(offsets) != 2 || !natural(json_array_get(offsets, 0), &e->begin) ||
      !natural(json_array_get(offsets, 1), &e->end))
    return bad(name, "data_offsets is not [begin, end]");
  if (e->begin > e->end || e->end > size)
    return moon_fail(MOON_EFORMAT, "safetensors: tensor \"%s\": bytes %zu..%zu are outside the data of %zu bytes", name, e->begin, e->end, size);
  size_t bytes = e->type->size;
  bool empty = false;
  for (int d = 0; d < e->dims; d++) {
    if (e->shape[d] > (size_t)PTRDIFF_MAX / bytes) return bad(name, "the shape does not fit in memory");
    if (e->shape[d]) bytes *= e->shape[d];
    else empty = true;
  }
  if (e->end - e->begin != (empty ? 0 : bytes))
    return moon_fail(MOON_EFORMAT, "safetensors: tensor \"%s\": %zu bytes of data, but %s %s has %zu", name, e->end - e->begin, e->type->name,
                     moon_shape_write(e->dims, e->shape).text, empty ? 0 : bytes);
  return moon_ok();
}

/* ---- the whole header ------------------------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b) { return strcmp(((const entry *)a)->name, ((const entry *)b)->name); }
static int by_place(const void *a, const void *b) {
  const entry *x = a, *y = b;
  if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
  return x->end < y->end ? -1 : x->end > y->end;
}

/* Sorted by place, entries must follow one another from 0 to the end. */
static moon_status check_tiling(const moon_safetensors *file, size_t size) {
  size_t at = 0;
  for (size_t i = 0; i < file->n; i++) {
    const entry *e = &file->entries[i];
    if (e->begin < at) return bad(e->name, "its bytes overlap another tensor's");
    if (e->begin > at) return bad(e->name, "there are bytes before it that belong to no tensor");
    at = e->end;
  }
  if (at != size) return moon_fail(MOON_EFORMAT, "safetensors: %zu bytes after the last tensor", size - at);
  return moon_ok();
}

static moon_status read_entries(json_t *root, size_t size, moon_safetensors *file) {
  file->entries = moon_calloc(json_object_size(root), sizeof *file->entries);
  if (!file->entries) return moon_fail(MOON_ENOMEM, "safetensors: no memory for %zu tensors", json_object_size(root));
  const char *name;
  json_t *value;
  json_object_foreach(root, name, value) {
    if (!strcmp(name, "__metadata__")) { /* free text of the writer */
      file->metadata = json_incref(value);
      continue;
    }
    entry *e = &file->entries[file->n];
    MOON_TRY(read_entry(name, value, size, e));
    if (!(e->name = moon_strdup(name))) return moon_fail(MOON_ENOMEM, "safetensors: no memory for the name of \"%s\"", name);
    file->n++;
  }
  if (file->n) qsort(file->entries, file->n, sizeof *file->entries, by_place);
  MOON_TRY(check_tiling(file, size));
  if (file->n) qsort(file->entries, file->n, sizeof *file->entries, by_name);
  return moon_ok();
}

/* Also skips the blanks that writers pad the header with. */
static moon_status parse_header(const char *text, size_t n, json_t **root) {
  json_error_t error;
  if (!n || text[0] != '{') return moon_fail(MOON_EFORMAT, "safetensors: the header does not begin with '{'");
  *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &error);
  if (!*root) return moon_fail(MOON_EFORMAT, "safetensors: the header is not JSON: %s (byte %d)", error.text, error.position);
  return moon_ok();
}

moon_status moon_safetensors_open(const char *bytes, size_t n, moon_safetensors **out) {
  *out = NULL;
  if (n < 8) return moon_fail(MOON_EFORMAT, "safetensors: %zu bytes are too few", n);
  uint64_t header = 0;
  for (int i = 7; i >= 0; i--) header = header << 8 | (unsigned char)bytes[i];
  if (header > MOON_SAFETENSORS_HEADER_LIMIT)
    return moon_fail(MOON_EFORMAT, "safetensors: a header of %llu bytes is over the limit of %u", (unsigned long long)header, MOON_SAFETENSORS_HEADER_LIMIT);
  if (header > n - 8)
    return moon_fail(MOON_EFORMAT, "safetensors: a header of %llu bytes in a file of %zu", (unsigned long long)header, n);
  json_t *root = NULL;
  MOON_TRY(parse_header(bytes + 8, (size_t)header, &root));
  moon_safetensors *file = moon_calloc(1, sizeof *file);
  moon_status st = file ? read_entries(root, n - 8 - (size_t)header, file) : moon_fail(MOON_ENOMEM, "safetensors: no memory");
  json_decref(root);
  if (st.code) {
    moon_safetensors_close(file);
    return st;
  }
  file->data = bytes + 8 + header;
  *out = file;
  return moon_ok();
}

void moon_safetensors_close(moon_safetensors *file) {
  if (!file) return;
  for (size_t i = 0; i < file->n; i++) moon_free(file->entries[i].name);
  moon_free(file->entries);
  json_decref(file->metadata);
  moon_free(file);
}

const char *moon_safetensors_metadata(const moon_safetensors *file, const char *key) {
  return json_string_value(json_object_get(file->metadata, key));
}

moon_status moon_safetensors_at(const moon_safetensors *file, size_t i, const char **name, moon_dtype *dtype, int *dims, const size_t **shape) {
  if (i >= file->n) return moon_fail(MOON_ENOTFOUND, "safetensors: there are only %zu tensors", file->n);
  const entry *e = &file->entries[i];
  if (e->type->dtype < 0) return moon_fail(MOON_EFORMAT, "safetensors: tensor \"%s\" is %s, which is not computed with", e->name, e->type->name);
  *name = e->name, *dtype = (moon_dtype)e->type->dtype, *dims = e->dims, *shape = e->shape;
  return moon_ok();
}

/* ---- reading a tensor --------------------------------------------------------------------------------------------------------- */

static const entry *find(const moon_safetensors *file, const char *name) {
  entry key = {.name = (char *)(uintptr_t)name}; /* only compared */
  return file->n ? bsearch(&key, file->entries, file->n, sizeof key, by_name) : NULL;
}

bool moon_safetensors_has(const moon_safetensors *file, const char *name) { return find(file, name) != NULL; }

/* In *out where it is there; `wanted`, a dtype's name, is for the message. */
static moon_status find_shaped(const moon_safetensors *file, const char *name, const char *wanted, bool of_type, int dims, const size_t *shape,
                               const entry **out) {
  const entry *e = *out = find(file, name);
  if (!e) return moon_fail(MOON_ENOTFOUND, "safetensors: there is no tensor \"%s\"", name);
  if (of_type && moon_shape_equal(e->dims, e->shape, dims, shape)) return moon_ok();
  return moon_fail(MOON_EINVAL, "safetensors: tensor \"%s\" is %s %s in the file, but %s %s is needed", name, e->type->name,
                   moon_shape_write(e->dims, e->shape).text, wanted, moon_shape_write(dims, shape).text);
}

moon_status moon_safetensors_read(const moon_safetensors *file, const char *name, moon_tensor *into) {
  const entry *e = find(file, name);
  moon_dtype dtype = moon_tensor_dtype(into);
  MOON_TRY(find_shaped(file, name, moon_file_dtype_name(dtype), e && e->type->dtype == (int)dtype, moon_tensor_dims(into),
                       moon_tensor_shape(into), &e));
  if (!moon_tensor_is_contiguous(into)) return moon_fail(MOON_EINVAL, "safetensors: \"%s\" is read into contiguous memory only", name);
  if (e->end > e->begin) memcpy(moon_tensor_data(into), file->data + e->begin, e->end - e->begin);
  return moon_ok();
}

/* ---- reading numbers of any width --------------------------------------------------------------------------------------------- */

static float half_float(uint16_t half) { /* IEEE 754 binary16 */
  uint32_t sign = (uint32_t)(half & 0x8000u) << 16, exponent = half >> 10 & 0x1fu, fraction = half & 0x3ffu;
  union { uint32_t bits; float value; } out = {sign | (exponent + 112) << 23 | fraction << 13};
  if (exponent == 31) out.bits = sign | 0x7f800000u | fraction << 13;
  if (exponent == 0) out.value = (sign ? -1.f : 1.f) * (float)fraction * 0x1p-24f;
  return out.value;
}

typedef enum width { W_F32, W_F64, W_F16, W_BF16, WIDTHS } width;
static const char *const width_names[WIDTHS] = {"F32", "F64", "F16", "BF16"};

/* The i-th of numbers that may lie at any byte. */
static float float_at(width type, const char *data, size_t i) {
  double wide;
  uint16_t half;
  float value;
  switch (type) {
    case W_F64: return memcpy(&wide, data + i * sizeof wide, sizeof wide), (float)wide;
    case W_F16: return memcpy(&half, data + i * sizeof half, sizeof half), half_float(half);
    case W_BF16: return memcpy(&half, data + i * sizeof half, sizeof half), moon_bf16_float(half);
    default: return memcpy(&value, data + i * sizeof value, sizeof value), value;
  }
}

moon_status moon_safetensors_floats(const moon_safetensors *file, const char *name, int dims, const size_t *shape, float *into) {
  const entry *e = find(file, name);
  width type = W_F32;
  while (e && type < WIDTHS && strcmp(e->type->name, width_names[type])) type++;
  MOON_TRY(find_shaped(file, name, "F32, F64, F16 or BF16", type < WIDTHS, dims, shape, &e));
  size_t n = (e->end - e->begin) / e->type->size;
  for (size_t i = 0; into && i < n; i++) into[i] = float_at(type, file->data + e->begin, i);
  return moon_ok();
}

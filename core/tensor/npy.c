/* npy.c - numpy's .npy: a magic, a version, a header that is a Python dict, then the elements.
 *
 * The file comes from outside. The header is read by a parser that knows just this dict, and the data must be exactly as many
 * bytes as shape and dtype say. What numpy has and we have not is widened to i64, or refused by name. */
#include <string.h>

#include "tensor/kernel.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the files hold little-endian numbers, which are copied as they are");

enum { HEADER_LIMIT = 1 << 16 };

/* ---- dtypes: what they are called, and how n elements of the file become ours. False: a value that does not fit. */

typedef bool widen_fn(size_t n, const char *from, void *to);

#define WIDEN(NAME, FROM)                                   \
  static bool NAME(size_t n, const char *from, void *to) {  \
    for (size_t i = 0; i < n; i++, from += sizeof(FROM)) {  \
      FROM x;                                               \
      memcpy(&x, from, sizeof x);                           \
      ((int64_t *)to)[i] = (int64_t)x;                      \
    }                                                       \
    return true;                                            \
  }
WIDEN(from_i1, int8_t)
WIDEN(from_i2, int16_t)
WIDEN(from_u2, uint16_t)
WIDEN(from_i4, int32_t)
WIDEN(from_u4, uint32_t)

static bool from_u8(size_t n, const char *from, void *to) {
  memcpy(to, from, n * 8);
  for (size_t i = 0; i < n; i++)
    if (((int64_t *)to)[i] < 0) return false;
  return true;
}

static bool from_b1(size_t n, const char *from, void *to) {
  memcpy(to, from, n);
  for (size_t i = 0; i < n; i++)
    if (((uint8_t *)to)[i] > 1) return false;
  return true;
}

static const struct npy_type {
  const char *name;
  size_t size;
  moon_dtype dtype;
  widen_fn *widen; /* NULL: the bytes are the same */
} types[] = {
    {"<f4", 4, MOON_F32, NULL},    {"<f8", 8, MOON_F64, NULL},    {"<i8", 8, MOON_I64, NULL},    {"|u1", 1, MOON_U8, NULL},
    {"|b1", 1, MOON_U8, from_b1},  {"|i1", 1, MOON_I64, from_i1}, {"<i2", 2, MOON_I64, from_i2}, {"<u2", 2, MOON_I64, from_u2},
    {"<i4", 4, MOON_I64, from_i4}, {"<u4", 4, MOON_I64, from_u4}, {"<u8", 8, MOON_I64, from_u8},
};

/* ---- the header ------------------------------------------------------------------------------------------------------------ */

typedef struct header {
  const struct npy_type *type;
  bool fortran;
  int dims;
  size_t shape[MOON_MAX_DIMS];
} header;

typedef struct text { const char *at, *end; } text;

static moon_status bad(const char *what) { return moon_fail(MOON_EFORMAT, "npy: %s", what); }

static void skip_blanks(text *t) {
  while (t->at < t->end && (*t->at == ' ' || *t->at == '\n' || *t->at == '\t')) t->at++;
}

/* Takes `word` after blanks, if it comes next. */
static bool take(text *t, const char *word) {
  size_t n = strlen(word);
  skip_blanks(t);
  if ((size_t)(t->end - t->at) < n || memcmp(t->at, word, n)) return false;
  t->at += n;
  return true;
}

/* 'text' or "text" without escapes, into out [cap]. */
static bool take_string(text *t, char *out, size_t cap) {
  skip_blanks(t);
  if (t->at == t->end || (*t->at != '\'' && *t->at != '"')) return false;
  char quote = *t->at++;
  size_t n = 0;
  while (t->at < t->end && *t->at != quote && *t->at != '\\' && *t->at >= ' ' && *t->at <= '~' && n + 1 < cap)
    out[n++] = *t->at++;
  if (t->at == t->end || *t->at != quote) return false;
  t->at++;
  out[n] = 0;
  return true;
}

static bool take_size(text *t, size_t *out) {
  skip_blanks(t);
  const char *from = t->at;
  for (*out = 0; t->at < t->end && *t->at >= '0' && *t->at <= '9'; t->at++)
    if (__builtin_mul_overflow(*out, (size_t)10, out) || __builtin_add_overflow(*out, (size_t)(*t->at - '0'), out)) return false;
  return t->at > from;
}

static moon_status take_shape(text *t, header *h) {
  if (!take(t, "(")) return bad("the shape is not a tuple");
  for (h->dims = 0; !take(t, ")"); h->dims++) {
    if (h->dims == MOON_MAX_DIMS) return bad("more than 6 dimensions");
    if (!take_size(t, &h->shape[h->dims])) return bad("the shape holds something else than sizes");
    if (!take(t, ",") && (!h->dims || t->at == t->end || *t->at != ')'))
      return bad("the shape is not a tuple"); /* (3) is a number */
  }
  return moon_ok();
}

static moon_status take_type(text *t, header *h) {
  char name[16];
  if (!take_string(t, name, sizeof name)) return bad("'descr' is not a plain dtype; records are not read");
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if (!strcmp(name, types[i].name)) h->type = &types[i];
  if (!h->type)
    return moon_fail(MOON_EFORMAT, "npy: dtype '%s' is not read; f4, f8, i1 to i8, u1 to u8 and b1 are, little-endian", name);
  return moon_ok();
}

/* One "'key': value" of the dict; each key is there once. */
static moon_status take_entry(text *t, header *h, unsigned *seen) {
  static const char *const keys[] = {"descr", "fortran_order", "shape"};
  char key[16];
  unsigned which = 0;
  if (!take_string(t, key, sizeof key) || !take(t, ":")) return bad("the header is not a dict");
  while (which < 3 && strcmp(key, keys[which])) which++;
  if (which == 3) return moon_fail(MOON_EFORMAT, "npy: unknown key '%s' in the header", key);
  if (*seen & 1u << which) return moon_fail(MOON_EFORMAT, "npy: '%s' is in the header twice", key);
  *seen |= 1u << which;
  if (which == 0) return take_type(t, h);
  if (which == 2) return take_shape(t, h);
  h->fortran = take(t, "True");
  return h->fortran || take(t, "False") ? moon_ok() : bad("'fortran_order' is neither True nor False");
}

static moon_status parse_header(const char *at, size_t n, header *h) {
  text t = {at, at + n};
  unsigned seen = 0;
  if (!n || at[n - 1] != '\n') return bad("the header does not end with a newline");
  if (!take(&t, "{")) return bad("the header is not a dict");
  while (!take(&t, "}")) {
    MOON_TRY(take_entry(&t, h, &seen));
    if (!take(&t, ",") && (t.at == t.end || *t.at != '}')) return bad("the header is not a dict");
  }
  skip_blanks(&t);
  if (t.at != t.end) return bad("there is something after the header's dict");
  return seen == 7 ? moon_ok() : bad("the header lacks one of 'descr', 'fortran_order' and 'shape'");
}

/* Magic, version and header; *data is where the elements begin. */
static moon_status read_header(const unsigned char *bytes, size_t n, header *h, size_t *data) {
  if (n < 10 || memcmp(bytes, "\x93NUMPY", 6)) return bad("this is not a .npy file");
  if ((bytes[6] != 1 && bytes[6] != 2) || bytes[7])
    return moon_fail(MOON_EFORMAT, "npy: format %d.%d is not read; 1.0 and 2.0 are", bytes[6], bytes[7]);
  size_t before = bytes[6] == 1 ? 10 : 12, size = bytes[8] | (size_t)bytes[9] << 8;
  if (n < before) return bad("the file ends within the header");
  if (bytes[6] == 2) size |= (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
  if (size > HEADER_LIMIT)
    return moon_fail(MOON_EFORMAT, "npy: a header of %zu bytes is over the limit of %d", size, HEADER_LIMIT);
  if (size > n - before) return bad("the file ends within the header");
  *data = before + size;
  return parse_header((const char *)bytes + before, size, h);
}

/* ---- reading --------------------------------------------------------------------------------------------------------------- */

/* Fortran order is the row-major order of the dimensions backwards: a view with them turned round, made contiguous. */
static moon_status turn_round(moon_tensor **t) {
  moon_tensor view = **t, *turned;
  for (int d = 0; d < view.dims; d++)
    view.shape[d] = (*t)->shape[view.dims - 1 - d], view.strides[d] = (*t)->strides[view.dims - 1 - d];
  MOON_TRY(moon_tensor_contiguous(&view, &turned));
  moon_tensor_free(*t);
  *t = turned;
  return moon_ok();
}

static moon_status read_elements(const header *h, const char *data, moon_tensor *t) {
  bool fits = true;
  if (h->type->widen) fits = h->type->widen(t->count, data, t->data);
  else if (t->count) memcpy(t->data, data, t->count * h->type->size);
  return fits ? moon_ok() : moon_fail(MOON_EFORMAT, "npy: a value of '%s' is out of range", h->type->name);
}

moon_status moon_npy_read(const void *bytes, size_t n, moon_account *account, moon_tensor **out) {
  *out = NULL;
  header h = {0};
  size_t data = 0, count = 0, shape[MOON_MAX_DIMS];
  MOON_TRY(read_header(bytes, n, &h, &data));
  for (int d = 0; d < h.dims; d++) shape[d] = h.shape[h.fortran ? h.dims - 1 - d : d];
  if (moon_shape_count(h.type->dtype, h.dims, shape, &count).code) return bad("the shape does not fit in memory");
  if (n - data != count * h.type->size)
    return moon_fail(MOON_EFORMAT, "npy: %zu bytes of data, but '%s' %s has %zu", n - data, h.type->name,
                     moon_shape_write(h.dims, h.shape).text, count * h.type->size);
  moon_tensor *t;
  moon_status st = moon_tensor_new_in(account, h.type->dtype, h.dims, shape, &t);
  if (st.code) return moon_wrap(st, "npy");
  st = read_elements(&h, (const char *)bytes + data, t);
  if (!st.code && h.fortran && h.dims > 1) st = turn_round(&t);
  if (st.code) moon_tensor_free(t);
  else *out = t;
  return st;
}

moon_status moon_tensor_load(const char *path, size_t limit, moon_account *account, moon_tensor **out) {
  moon_buf file = {0};
  *out = NULL;
  moon_status st = moon_file_read(path, limit, &file);
  if (!st.code) {
    st = moon_npy_read(file.data, file.n, account, out);
    if (st.code) st = moon_wrap(st, "%s", path);
  }
  moon_buf_free(&file);
  return st;
}

/* ---- writing --------------------------------------------------------------------------------------------------------------- */

static void write_header(const moon_tensor *t, moon_buf *out) {
  static const char *const names[] = {"<f4", "<f8", "<i8", "|u1"};
  moon_buf dict = {0};
  moon_buf_printf(&dict, "{'descr': '%s', 'fortran_order': False, 'shape': (", names[t->dtype]);
  for (int d = 0; d < t->dims; d++) moon_buf_printf(&dict, d ? ", %zu" : "%zu", t->shape[d]);
  moon_buf_puts(&dict, t->dims == 1 ? ",), }" : "), }");
  while ((10 + dict.n + 1) % 64 && !dict.failed) moon_buf_add(&dict, " ", 1);
  moon_buf_add(&dict, "\n", 1);
  moon_buf_add(out, "\x93NUMPY\x01\x00", 8);
  moon_buf_add(out, (const unsigned char[]){dict.n & 255, dict.n >> 8 & 255}, 2);
  moon_buf_add(out, dict.data, dict.n);
  out->failed |= dict.failed;
  moon_buf_free(&dict);
}

moon_status moon_npy_write(const moon_tensor *tensor, moon_buf *out) {
  moon_cursor reader;
  _Alignas(64) char tile[MOON_TILE_BYTES];
  size_t each = moon_dtype_size(tensor->dtype), before = out->n;
  write_header(tensor, out);
  moon_cursor_open(&reader, tensor, tensor->dims, tensor->shape, tensor->dtype);
  for (size_t left = tensor->count; left && !out->failed;) {
    size_t n = left < MOON_TILE ? left : MOON_TILE;
    moon_buf_add(out, moon_cursor_read(&reader, n, tile), n * each);
    left -= n;
  }
  if (!out->failed) return moon_ok();
  out->n = before;
  return moon_fail(MOON_ENOMEM, "npy: no memory for a %s tensor of %s", moon_dtype_name(tensor->dtype),
                   moon_shape_of(tensor).text);
}

moon_status moon_tensor_save(const moon_tensor *tensor, const char *path) {
  moon_buf file = {0};
  moon_status st = moon_npy_write(tensor, &file);
  if (!st.code) st = moon_file_replace(path, file.data, file.n);
  moon_buf_free(&file);
  return st;
}

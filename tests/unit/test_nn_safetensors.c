/* test_nn_safetensors.c - the format's bytes, and files that lie. */
#include <stdlib.h>

#include "nn/nn.h"
#include "numeric.h"

/* A file of a header and `size` bytes of data, in memory of exactly its size. */
typedef struct file {
  char *bytes;
  size_t n;
} file;

static file file_of(const char *header, size_t size) {
  file f = {NULL, 8 + strlen(header) + size};
  f.bytes = malloc(f.n);
  for (int i = 0; i < 8; i++) f.bytes[i] = (char)((uint64_t)strlen(header) >> 8 * i & 0xff);
  memcpy(f.bytes + 8, header, strlen(header));
  for (size_t i = 0; i < size; i++) f.bytes[8 + strlen(header) + i] = (char)i;
  return f;
}

static void refused(const char *message, const char *header, size_t size) {
  file f = file_of(header, size);
  moon_safetensors *st = (moon_safetensors *)&f;
  REFUSED(MOON_EFORMAT, message, moon_safetensors_open(f.bytes, f.n, &st));
  assert_null(st);
  free(f.bytes);
}

static void accepted(const char *header, size_t size) {
  file f = file_of(header, size);
  moon_safetensors *st;
  OK(moon_safetensors_open(f.bytes, f.n, &st));
  moon_safetensors_close(st);
  free(f.bytes);
}

/* Five tensors of all dtypes and odd shapes. */
enum { TENSORS = 6 };
static const char *const names[TENSORS] = {"w", "a.b", "scalar", "nothing", "\xc3\xa9t\xc3\xa9 \"q\"", "last"};
static const moon_dtype dtypes[TENSORS] = {MOON_F32, MOON_U8, MOON_F64, MOON_I64, MOON_I64, MOON_F32};
static const struct {
  int dims;
  size_t size[MOON_MAX_DIMS];
} shapes[TENSORS] = {{2, {3, 5}}, {1, {7}}, {0, {0}}, {3, {2, 0, 4}}, {1, {3}}, {6, {1, 2, 1, 3, 1, 2}}};

static void make_tensors(moon_tensor **tensors, moon_named_tensor *named) {
  for (int i = 0; i < TENSORS; i++) {
    OK(moon_tensor_new(dtypes[i], shapes[i].dims, shapes[i].size, &tensors[i]));
    uint8_t *data = moon_tensor_data(tensors[i]);
    for (size_t b = 0; b < moon_tensor_count(tensors[i]) * moon_dtype_size(dtypes[i]); b++)
      data[b] = (uint8_t)(b * 7 + (size_t)i);
    named[i] = (moon_named_tensor){names[i], tensors[i]};
  }
}

static void free_tensors(moon_tensor **tensors) {
  for (int i = 0; i < TENSORS; i++) moon_tensor_free(tensors[i]);
}

static void what_was_written_is_read(void **state) {
  (void)state;
  moon_tensor *tensors[TENSORS], *back;
  moon_named_tensor named[TENSORS];
  make_tensors(tensors, named);
  moon_buf out = {0};
  OK(moon_safetensors_write(named, TENSORS, &out));
  moon_safetensors *st;
  OK(moon_safetensors_open(out.data, out.n, &st));
  for (int i = 0; i < TENSORS; i++) {
    OK(moon_tensor_new(dtypes[i], shapes[i].dims, shapes[i].size, &back));
    OK(moon_safetensors_read(st, names[i], back));
    assert_memory_equal(moon_tensor_data(back), moon_tensor_data(tensors[i]),
                        moon_tensor_count(back) * moon_dtype_size(dtypes[i]));
    moon_tensor_free(back);
  }
  moon_tensor *turned;
  OK(moon_tensor_new(MOON_F32, SHAPE(5, 3), &back));
  REFUSED(MOON_EINVAL, "\"w\" is F32 [3, 5] in the file, but F32 [5, 3] is needed", moon_safetensors_read(st, "w", back));
  OK(moon_tensor_transpose(back, 0, 1, &turned));
  REFUSED(MOON_EINVAL, "\"w\" is read into contiguous memory only", moon_safetensors_read(st, "w", turned));
  REFUSED(MOON_ENOTFOUND, "there is no tensor \"v\"", moon_safetensors_read(st, "v", back));
  REFUSED(MOON_ENOTFOUND, "there is no tensor \"\"", moon_safetensors_read(st, "", back));
  moon_tensor_free(turned), moon_tensor_free(back);
  OK(moon_tensor_new(MOON_F64, SHAPE(3, 5), &back));
  REFUSED(MOON_EINVAL, "but F64 [3, 5] is needed", moon_safetensors_read(st, "w", back));
  moon_tensor_free(back);
  moon_safetensors_close(st);
  moon_safetensors_close(NULL);
  moon_buf_free(&out);
  free_tensors(tensors);
}

static void same_tensors_give_the_same_bytes(void **state) {
  (void)state;
  moon_tensor *tensors[TENSORS];
  moon_named_tensor named[TENSORS];
  make_tensors(tensors, named);
  moon_buf a = {0}, b = {0};
  OK(moon_safetensors_write(named, TENSORS, &a));
  moon_rng rng;
  moon_rng_seed(&rng, 31, 0);
  for (int round = 0; round < 20; round++) {
    uint32_t order[TENSORS] = {0, 1, 2, 3, 4, 5};
    moon_named_tensor mixed[TENSORS];
    moon_rng_shuffle(&rng, order, TENSORS);
    for (int i = 0; i < TENSORS; i++) mixed[i] = named[order[i]];
    moon_buf_reset(&b);
    OK(moon_safetensors_write(mixed, TENSORS, &b));
    assert_int_equal(a.n, b.n);
    assert_memory_equal(a.data, b.data, a.n);
  }
  moon_buf_free(&a), moon_buf_free(&b);
  free_tensors(tensors);
}

/* The bytes themselves, so that a change of the writer cannot pass unseen. */
static void the_bytes_are_hugging_faces(void **state) {
  (void)state;
  moon_tensor *x, *y;
  OK(moon_tensor_from(MOON_F32, SHAPE(1, 2), (float[]){1, -2}, &x));
  OK(moon_tensor_from(MOON_U8, SHAPE(3), (uint8_t[]){7, 8, 9}, &y));
  moon_buf out = {0};
  moon_buf_puts(&out, "kept");
  OK(moon_safetensors_write((moon_named_tensor[]){{"a", y}, {"b", x}}, 2, &out)); /* appends */
  static const char header[] =
      "{\"a\":{\"data_offsets\":[8,11],\"dtype\":\"U8\",\"shape\":[3]},"
      "\"b\":{\"data_offsets\":[0,8],\"dtype\":\"F32\",\"shape\":[1,2]}}";
  size_t padded = (sizeof header - 1 + 7) / 8 * 8;
  assert_int_equal(out.n, 4 + 8 + padded + 11);
  assert_int_equal((unsigned char)out.data[4], padded);
  assert_memory_equal(out.data + 5, "\0\0\0\0\0\0\0", 7);
  assert_memory_equal(out.data + 12, header, sizeof header - 1);
  for (size_t i = 12 + sizeof header - 1; i < 12 + padded; i++) assert_int_equal(out.data[i], ' ');
  assert_memory_equal(out.data + 12 + padded, "\0\0\x80?\0\0\0\xc0\7\10\11", 11);
  moon_buf_reset(&out);
  OK(moon_safetensors_write(NULL, 0, &out)); /* no tensors: an empty object */
  assert_memory_equal(out.data, "\10\0\0\0\0\0\0\0{}      ", 16);
  moon_buf_free(&out);
  moon_tensor_free(x), moon_tensor_free(y);
}

static void unwritable_tensors_leave_the_buffer(void **state) {
  (void)state;
  moon_tensor *x, *turned;
  OK(moon_tensor_new(MOON_F32, SHAPE(2, 3), &x));
  OK(moon_tensor_transpose(x, 0, 1, &turned));
  moon_buf out = {0};
  moon_buf_puts(&out, "kept");
  REFUSED(MOON_EINVAL, "\"t\" is not contiguous",
          moon_safetensors_write((moon_named_tensor[]){{"a", x}, {"t", turned}}, 2, &out));
  REFUSED(MOON_EINVAL, "two tensors are called \"a\"",
          moon_safetensors_write((moon_named_tensor[]){{"a", x}, {"a", x}}, 2, &out));
  REFUSED(MOON_EINVAL, "\"__metadata__\"", moon_safetensors_write((moon_named_tensor[]){{"__metadata__", x}}, 1, &out));
  REFUSED(MOON_EINVAL, "not UTF-8", moon_safetensors_write((moon_named_tensor[]){{"\xff", x}}, 1, &out));
  assert_string_equal(out.data, "kept");
  for (size_t n = 1;; n++) {
    assert_true(n < 50);
    moon_buf_reset(&out);
    moon_buf_puts(&out, "kept");
    moon_alloc_fail_at(n);
    moon_status st = moon_safetensors_write((moon_named_tensor[]){{"a", x}}, 1, &out);
    moon_alloc_fail_at(0);
    if (!st.code) break;
    assert_int_equal(st.code, MOON_ENOMEM);
    assert_string_equal(out.data, "kept");
    assert_int_equal(out.n, 4);
  }
  moon_buf_free(&out);
  moon_tensor_free(x), moon_tensor_free(turned);
}

static void headers_that_lie_are_refused(void **state) {
  (void)state;
  accepted("{}", 0);
  accepted("{}     ", 0);
  accepted("{\"__metadata__\":{\"format\":\"pt\"}}", 0);
  accepted("{\"__metadata__\":[1]}", 0);
  accepted("{\"a\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]}}", 16);
  accepted("{\"h\":{\"dtype\":\"BF16\",\"shape\":[2,2],\"data_offsets\":[0,8]}}", 8);
  accepted(
      "{\"b\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[4,7]},\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,"
      "4]}}",
      7);
  accepted(
      "{\"b\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[4,4]},\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,"
      "4]}}",
      4);
  refused("does not begin with '{'", "", 0);
  refused("does not begin with '{'", "[]", 0);
  refused("does not begin with '{'", " {}", 0);
  refused("not JSON", "{", 0);
  refused("not JSON", "{}x", 0);
  refused("not JSON", "{\"a\":1,\"a\":2}", 0);
  refused("not JSON", "{\"a\\u0000b\":{}}", 0);
  refused("not JSON", "{\"\xff\":{}}", 0);
  refused("tensor \"a\": there is no dtype", "{\"a\":7}", 0);
  refused("tensor \"a\": there is no dtype", "{\"a\":{\"dtype\":4,\"shape\":[],\"data_offsets\":[0,4]}}", 4);
  refused("unknown dtype", "{\"a\":{\"dtype\":\"F31\",\"shape\":[],\"data_offsets\":[0,4]}}", 4);
  refused("there is no shape", "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4);
  refused("more than 6 dimensions", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4);
  refused("something else than sizes", "{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4);
  refused("something else than sizes", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1.0],\"data_offsets\":[0,4]}}", 4);
  refused("something else than sizes", "{\"a\":{\"dtype\":\"F32\",\"shape\":[\"1\"],\"data_offsets\":[0,4]}}", 4);
  refused("data_offsets is not", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4);
  refused("data_offsets is not", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}}", 8);
  refused("data_offsets is not", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-4,0]}}", 4);
  refused("data_offsets is not", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4);
  refused("4 bytes of data, but F32 [2] has 8", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4);
  refused("4 bytes of data, but F32 [0] has 0", "{\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,4]}}", 4);
  refused("bytes 0..8 are outside the data of 7", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 7);
  refused("bytes 8..4 are outside", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,4]}}", 8);
  refused("outside the data",
          "{\"a\":{\"dtype\":\"U8\",\"shape\":[9223372036854775807],\"data_offsets\":[0,9223372036854775807]}}", 8);
  refused("not JSON", "{\"a\":{\"dtype\":\"U8\",\"shape\":[9223372036854775808],\"data_offsets\":[0,8]}}", 8);
  refused("does not fit in memory", "{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 0);
  refused("does not fit in memory", "{\"a\":{\"dtype\":\"F32\",\"shape\":[0,4294967296,4294967296],\"data_offsets\":[0,0]}}", 0);
  refused("4 bytes after the last tensor", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 8);
  refused("3 bytes after the last tensor", "{}", 3);
  refused("belong to no tensor", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8);
  refused("\"b\": its bytes overlap",
          "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
          "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
          8);
}

static void lengths_that_lie_are_refused(void **state) {
  (void)state;
  moon_safetensors *st;
  char bytes[16] = {8, 0, 0, 0, 0, 0, 0, 0, '{', '}', ' ', ' ', ' ', ' ', ' ', ' '};
  OK(moon_safetensors_open(bytes, 16, &st));
  moon_safetensors_close(st);
  REFUSED(MOON_EFORMAT, "a header of 8 bytes in a file of 15", moon_safetensors_open(bytes, 15, &st));
  for (size_t n = 0; n < 8; n++) REFUSED(MOON_EFORMAT, "are too few", moon_safetensors_open(bytes, n, &st));
  bytes[3] = 6; /* 100,663,304 */
  REFUSED(MOON_EFORMAT, "over the limit", moon_safetensors_open(bytes, 16, &st));
  memset(bytes, 0xff, 8); /* 2^64 - 1: adding 8 to it would wrap */
  REFUSED(MOON_EFORMAT, "over the limit", moon_safetensors_open(bytes, 16, &st));
  memset(bytes, 0, 8);
  REFUSED(MOON_EFORMAT, "does not begin", moon_safetensors_open(bytes, 16, &st));
}

/* Reads every tensor that a damaged file still offers; the sanitizers watch. */
static void try_to_read(const char *bytes, size_t n) {
  moon_safetensors *st = NULL;
  moon_status status = moon_safetensors_open(bytes, n, &st);
  if (status.code) {
    assert_int_equal(status.code, MOON_EFORMAT);
    assert_null(st);
    return;
  }
  for (int i = 0; i < TENSORS; i++) {
    moon_tensor *t;
    OK(moon_tensor_new(dtypes[i], shapes[i].dims, shapes[i].size, &t));
    status = moon_safetensors_read(st, names[i], t);
    assert_true(!status.code || status.code == MOON_EINVAL || status.code == MOON_ENOTFOUND);
    moon_tensor_free(t);
  }
  moon_safetensors_close(st);
}

static void damaged_files_are_read_safely(void **state) {
  (void)state;
  moon_tensor *tensors[TENSORS];
  moon_named_tensor named[TENSORS];
  make_tensors(tensors, named);
  moon_buf out = {0};
  OK(moon_safetensors_write(named, TENSORS, &out));
  for (size_t n = 0; n < out.n; n++) { /* cut anywhere: never a file */
    char *cut = malloc(n ? n : 1);
    memcpy(cut, out.data, n);
    moon_safetensors *st;
    assert_int_equal(moon_safetensors_open(cut, n, &st).code, MOON_EFORMAT);
    free(cut);
  }
  char *copy = malloc(out.n);
  for (size_t at = 0; at < out.n; at++) /* every bit flipped */
    for (int bit = 0; bit < 8; bit++) {
      memcpy(copy, out.data, out.n);
      copy[at] ^= (char)(1 << bit);
      try_to_read(copy, out.n);
    }
  moon_rng rng;
  moon_rng_seed(&rng, 33, 0);
  for (int round = 0; round < 3000; round++) { /* digits changed: plausible headers with other numbers */
    memcpy(copy, out.data, out.n);
    for (uint32_t k = 0, flips = 1 + moon_rng_below(&rng, 4); k < flips; k++) {
      size_t at = 8 + moon_rng_below(&rng, (uint32_t)out.n - 8);
      if (copy[at] >= '0' && copy[at] <= '9') copy[at] = (char)('0' + moon_rng_below(&rng, 10));
    }
    try_to_read(copy, out.n);
  }
  free(copy);
  moon_buf_free(&out);
  free_tensors(tensors);
}

static void open_survives_any_failed_allocation(void **state) {
  (void)state;
  moon_tensor *tensors[TENSORS];
  moon_named_tensor named[TENSORS];
  make_tensors(tensors, named);
  moon_buf out = {0};
  OK(moon_safetensors_write(named, TENSORS, &out));
  moon_safetensors *st;
  for (size_t n = 1;; n++) {
    assert_true(n < 50);
    st = (moon_safetensors *)&n;
    moon_alloc_fail_at(n);
    moon_status status = moon_safetensors_open(out.data, out.n, &st);
    moon_alloc_fail_at(0);
    if (!status.code) break;
    assert_int_equal(status.code, MOON_ENOMEM);
    assert_null(st);
  }
  moon_safetensors_close(st);
  moon_buf_free(&out);
  free_tensors(tensors);
}

static void metadata_goes_along(void **state) {
  (void)state;
  moon_tensor *x;
  moon_buf bytes = {0};
  moon_safetensors *file;
  json_t *metadata = json_pack("{s:s, s:i}", "kind", "a \"b\"", "number", 1);
  OK(moon_tensor_new(MOON_F32, 1, (size_t[]){2}, &x));
  OK(moon_safetensors_write_with(metadata, (moon_named_tensor[]){{"x", x}}, 1, &bytes));
  json_decref(metadata);
  OK(moon_safetensors_open(bytes.data, bytes.n, &file));
  assert_string_equal(moon_safetensors_metadata(file, "kind"), "a \"b\"");
  assert_null(moon_safetensors_metadata(file, "number"));
  assert_null(moon_safetensors_metadata(file, "none"));
  OK(moon_safetensors_read(file, "x", x));
  moon_safetensors_close(file);
  moon_buf_reset(&bytes);
  OK(moon_safetensors_write(NULL, 0, &bytes));
  OK(moon_safetensors_open(bytes.data, bytes.n, &file));
  assert_null(moon_safetensors_metadata(file, "kind"));
  moon_safetensors_close(file);
  moon_buf_free(&bytes);
  moon_tensor_free(x);
}

/* Half the width and double: 1, -2, the largest, the smallest, a zero with a sign, infinity, NaN. */
static void numbers_of_any_width_are_read_as_f32(void **state) {
  (void)state;
  static const uint16_t f16[] = {0x3c00, 0xc000, 0x7bff, 0x0001, 0x8000, 0x7c00, 0x7e00, 0x03ff}, bf16[] = {0x3f80, 0xc000, 0x7f7f, 0x0080};
  static const float means[] = {1, -2, 65504, 0x1p-24f, -0.f, INFINITY, NAN, 1023 * 0x1p-24f};
  file f = file_of("{\"d\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[0,8]},\"h\":{\"dtype\":\"F16\",\"shape\":[8],\"data_offsets\":[8,24]},"
                   "\"b\":{\"dtype\":\"BF16\",\"shape\":[2,2],\"data_offsets\":[24,32]},\"i\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[32,40]}}", 40);
  char *data = f.bytes + f.n - 40;
  memcpy(data, &(double){0.1}, 8), memcpy(data + 8, f16, 16), memcpy(data + 24, bf16, 8);
  moon_safetensors *st;
  float got[8] = {0};
  OK(moon_safetensors_open(f.bytes, f.n, &st));
  OK(moon_safetensors_floats(st, "h", SHAPE(8), got));
  for (int i = 0; i < 8; i++) assert_true((isnan(means[i]) && isnan(got[i])) || (got[i] == means[i] && !signbit(got[i]) == !signbit(means[i])));
  OK(moon_safetensors_floats(st, "d", SHAPE(1), got));
  assert_true(got[0] == 0.1f);
  OK(moon_safetensors_floats(st, "b", SHAPE(2, 2), got));
  assert_true(got[0] == 1 && got[1] == -2 && got[2] > 3e38f && got[3] == 0x1p-126f);
  OK(moon_safetensors_floats(st, "b", SHAPE(2, 2), NULL));
  REFUSED(MOON_EINVAL, "\"b\" is BF16 [2, 2] in the file, but F32, F64, F16 or BF16 [4] is needed", moon_safetensors_floats(st, "b", SHAPE(4), got));
  REFUSED(MOON_EINVAL, "\"i\" is I64", moon_safetensors_floats(st, "i", 0, NULL, got));
  REFUSED(MOON_ENOTFOUND, "no tensor \"x\"", moon_safetensors_floats(st, "x", SHAPE(1), got));
  assert_true(moon_safetensors_has(st, "h") && !moon_safetensors_has(st, "hh"));
  moon_safetensors_close(st);
  free(f.bytes);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(numbers_of_any_width_are_read_as_f32),
      cmocka_unit_test(metadata_goes_along),
      cmocka_unit_test(what_was_written_is_read),      cmocka_unit_test(same_tensors_give_the_same_bytes),
      cmocka_unit_test(the_bytes_are_hugging_faces),   cmocka_unit_test(unwritable_tensors_leave_the_buffer),
      cmocka_unit_test(headers_that_lie_are_refused),  cmocka_unit_test(lengths_that_lie_are_refused),
      cmocka_unit_test(damaged_files_are_read_safely), cmocka_unit_test(open_survives_any_failed_allocation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

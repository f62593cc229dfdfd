/* test_tensor_npy.c - .npy as numpy writes and reads it, and nothing that is not quite it. */
#include <stdlib.h>
#include <unistd.h>

#include "tensor_random.h"

/* A file of format `version` with this header text (padded as numpy does) and data. */
static size_t file_of(int version, const char *dict, const void *data, size_t n, unsigned char *out) {
  size_t before = version == 1 ? 10 : 12, size = strlen(dict) + 1;
  while ((before + size) % 64) size++;
  memcpy(out, "\x93NUMPY", 6);
  out[6] = (unsigned char)version, out[7] = 0;
  for (size_t i = 0; i < before - 8; i++) out[8 + i] = (unsigned char)(size >> 8 * i);
  memset(out + before, ' ', size);
  memcpy(out + before, dict, strlen(dict));
  out[before + size - 1] = '\n';
  if (n) memcpy(out + before + size, data, n);
  return before + size + n;
}

/* What numpy 1.24 writes for np.arange(6, dtype='<f4').reshape(2, 3). */
static const unsigned char golden[] =
    "\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"
    "                                                          \n"
    "\0\0\0\0\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40\0\0\x80\x40\0\0\xa0\x40";
enum { GOLDEN = sizeof golden - 1 };

static void bytes_are_numpys(void **state) {
  (void)state;
  moon_tensor *a;
  moon_buf buf = {0};
  assert_int_equal(GOLDEN, 152);
  OK(moon_npy_read(golden, GOLDEN, NULL, &a));
  assert_true(moon_tensor_dtype(a) == MOON_F32 && moon_shape_equal(SHAPE(2, 3), moon_tensor_dims(a), moon_tensor_shape(a)));
  for (size_t i = 0; i < 6; i++) NEAR(nth(a, i), (double)i, 0);
  OK(moon_npy_write(a, &buf));
  assert_int_equal(buf.n, GOLDEN);
  assert_memory_equal(buf.data, golden, GOLDEN);
  moon_buf_free(&buf);
  moon_tensor_free(a);
}

static void any_view_comes_back(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 1, 0);
  for (int round = 0; round < 400; round++) {
    size_t shape[MOON_MAX_DIMS];
    int dims = random_shape(&rng, shape);
    moon_tensor *a = random_view(&rng, (moon_dtype)(round % 4), dims, shape, true, 0, 200), *b;
    moon_buf buf = {0};
    moon_buf_puts(&buf, "before");
    OK(moon_npy_write(a, &buf));
    assert_int_equal((buf.n - 6 - moon_tensor_count(a) * moon_dtype_size(moon_tensor_dtype(a))) % 64, 0);
    OK(moon_npy_read(buf.data + 6, buf.n - 6, NULL, &b));
    assert_true(moon_tensor_dtype(a) == moon_tensor_dtype(b) &&
                moon_shape_equal(dims, shape, moon_tensor_dims(b), moon_tensor_shape(b)));
    for (size_t i = 0; i < moon_tensor_count(a); i++) NEAR(nth(a, i), nth(b, i), 0);
    moon_buf_free(&buf);
    moon_tensor_free(a), moon_tensor_free(b);
  }
}

static void fortran_order_and_format_2_are_read(void **state) {
  (void)state;
  const double data[] = {1, 4, 2, 5, 3, 6};
  unsigned char file[512];
  moon_tensor *a;
  for (int version = 1; version <= 2; version++) {
    size_t n = file_of(version, "{'shape': (2, 3), \"descr\": \"<f8\", 'fortran_order': True}", data, sizeof data, file);
    OK(moon_npy_read(file, n, NULL, &a));
    assert_true(moon_tensor_is_contiguous(a) && moon_shape_equal(SHAPE(2, 3), moon_tensor_dims(a), moon_tensor_shape(a)));
    for (size_t i = 0; i < 6; i++) NEAR(nth(a, i), (double)i + 1, 0);
    moon_tensor_free(a);
  }
}

static void smaller_integers_widen(void **state) {
  (void)state;
  static const unsigned char ones[] = {255, 255, 255, 255, 255, 255, 255, 255};
  static const struct { const char *descr; size_t n; double want; moon_dtype dtype; } cases[] = {
      {"|i1", 1, -1, MOON_I64},      {"<i2", 2, -1, MOON_I64}, {"<u2", 2, 65535, MOON_I64}, {"<i4", 4, -1, MOON_I64},
      {"<u4", 4, 4294967295., MOON_I64}, {"<i8", 8, -1, MOON_I64}, {"|u1", 1, 255, MOON_U8}};
  for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
    char dict[100];
    unsigned char file[256];
    moon_tensor *a;
    snprintf(dict, sizeof dict, "{'descr': '%s', 'fortran_order': False, 'shape': (), }", cases[c].descr);
    OK(moon_npy_read(file, file_of(1, dict, ones, cases[c].n, file), NULL, &a));
    assert_true(moon_tensor_dtype(a) == cases[c].dtype && moon_tensor_dims(a) == 0);
    NEAR(nth(a, 0), cases[c].want, 0);
    moon_tensor_free(a);
  }
}

static void what_is_not_npy_is_named(void **state) {
  (void)state;
  static const unsigned char data[64] = {255, 255, 255, 255, 255, 255, 255, 255, 2};
  static const struct { const char *dict; size_t n; const char *says; } cases[] = {
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", 7, "7 bytes of data, but '<f4' [2] has 8"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", 9, "9 bytes of data"},
      {"{'descr': '>f4', 'fortran_order': False, 'shape': (2,), }", 8, "dtype '>f4' is not read"},
      {"{'descr': '<f2', 'fortran_order': False, 'shape': (2,), }", 4, "dtype '<f2' is not read"},
      {"{'descr': '|O', 'fortran_order': False, 'shape': (2,), }", 8, "dtype '|O' is not read"},
      {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }", 8, "records are not read"},
      {"{'descr': '<u8', 'fortran_order': False, 'shape': (1,), }", 8, "a value of '<u8' is out of range"},
      {"{'descr': '|b1', 'fortran_order': False, 'shape': (9,), }", 9, "a value of '|b1' is out of range"},
      {"{'descr': '<f4', 'fortran_order': 0, 'shape': (2,), }", 8, "'fortran_order' is neither True nor False"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (2), }", 8, "the shape is not a tuple"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': [2], }", 8, "the shape is not a tuple"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,,), }", 8, "something else than sizes"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (-2,), }", 8, "something else than sizes"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (2 3), }", 8, "the shape is not a tuple"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 1, 1, 1, 1, 1), }", 4, "more than 6 dimensions"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }", 8, "something else than sizes"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }", 0, "does not fit in memory"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (0, 9223372036854775807, 4), }", 0, "does not fit in memory"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000,), }", 8, "8 bytes of data, but"},
      {"{'descr': '<f4', 'fortran_order': False, }", 8, "the header lacks one of"},
      {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", 8, "'descr' is in the header twice"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'x': 1}", 8, "unknown key 'x'"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), } x", 8, "something after the header's dict"},
      {"{'descr': '<f4' 'fortran_order': False, 'shape': (2,), }", 8, "the header is not a dict"},
      {"('descr', '<f4')", 8, "the header is not a dict"},
      {"", 8, "the header is not a dict"},
  };
  for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
    unsigned char file[512];
    moon_tensor *a;
    REFUSED(MOON_EFORMAT, cases[c].says, moon_npy_read(file, file_of(1, cases[c].dict, data, cases[c].n, file), NULL, &a));
    assert_null(a);
  }
  unsigned char file[512];
  moon_tensor *a;
  size_t n = file_of(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", data, 8, file);
  file[6] = 3;
  REFUSED(MOON_EFORMAT, "format 3.0 is not read", moon_npy_read(file, n, NULL, &a));
  file[6] = 2;
  REFUSED(MOON_EFORMAT, "npy: a header of", moon_npy_read(file, n, NULL, &a));
}

/* Every shorter file is refused, and every changed byte gives an error or other numbers, never harm. */
static void broken_bytes_do_no_harm(void **state) {
  (void)state;
  moon_tensor *a;
  for (size_t n = 0; n < GOLDEN; n++) {
    unsigned char *cut = malloc(n ? n : 1); /* so that ASan sees a byte too far */
    memcpy(cut, golden, n);
    REFUSED(MOON_EFORMAT, "npy:", moon_npy_read(cut, n, NULL, &a));
    assert_null(a);
    free(cut);
  }
  unsigned char *file = malloc(GOLDEN);
  for (size_t i = 0; i < GOLDEN; i++)
    for (int bit = 0; bit < 8; bit++) {
      memcpy(file, golden, GOLDEN);
      file[i] ^= (unsigned char)(1 << bit);
      moon_status st = moon_npy_read(file, GOLDEN, NULL, &a);
      if (st.code) assert_int_equal(st.code, MOON_EFORMAT);
      else assert_true(i >= 10 && moon_tensor_count(a) * moon_dtype_size(moon_tensor_dtype(a)) == 24);
      moon_tensor_free(a);
    }
  moon_rng rng;
  moon_rng_seed(&rng, 2, 0);
  for (int round = 0; round < 20000; round++) {
    memcpy(file, golden, GOLDEN);
    for (uint32_t k = 0, changes = 1 + moon_rng_below(&rng, 4); k < changes; k++)
      file[8 + moon_rng_below(&rng, 62)] = (unsigned char)"0123456789(){}[],:' <>|TrueFals\n\"\\"[moon_rng_below(&rng, 34)];
    moon_status st = moon_npy_read(file, GOLDEN, NULL, &a);
    assert_true(st.code == MOON_OK || st.code == MOON_EFORMAT);
    moon_tensor_free(a);
  }
  free(file);
}

static void files_are_saved_loaded_and_limited(void **state) {
  (void)state;
  char folder[] = "/tmp/moon-npy-XXXXXX";
  assert_non_null(mkdtemp(folder));
  char *path = moon_path_join(folder, "x.npy");
  moon_tensor *a, *b;
  moon_account *account;
  OK(moon_account_new(100, &account));
  OK(moon_tensor_from(MOON_F32, SHAPE(40), (float[40]){1, 2, 3}, &a));
  OK(moon_tensor_save(a, path));
  OK(moon_tensor_load(path, 0, NULL, &b));
  assert_memory_equal(moon_tensor_data(a), moon_tensor_data(b), 160);
  moon_tensor_free(b);
  REFUSED(MOON_ELIMIT, "larger than 100 bytes", moon_tensor_load(path, 100, NULL, &b));
  REFUSED(MOON_ENOMEM, "x.npy: npy: no memory for a f32 tensor of [40]", moon_tensor_load(path, 0, account, &b));
  OK(moon_file_write(path, "hello", 5));
  REFUSED(MOON_EFORMAT, "x.npy: npy: this is not a .npy file", moon_tensor_load(path, 0, NULL, &b));
  unlink(path);
  REFUSED(MOON_ENOTFOUND, "x.npy", moon_tensor_load(path, 0, NULL, &b));
  moon_free(path);
  moon_tensor_free(a);
  moon_account_free(account);
  moon_dir_remove(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(bytes_are_numpys),
      cmocka_unit_test(any_view_comes_back),
      cmocka_unit_test(fortran_order_and_format_2_are_read),
      cmocka_unit_test(smaller_integers_widen),
      cmocka_unit_test(what_is_not_npy_is_named),
      cmocka_unit_test(broken_bytes_do_no_harm),
      cmocka_unit_test(files_are_saved_loaded_and_limited),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_rank_vectors.c - embeddings from a file: read with their ids, refused where the two do not fit. */
#include <stdio.h>
#include <unistd.h>

#include "numeric.h"
#include "exhaust.h"
#include "rank/dataset.h"
#include "text_checkpoint.h"

static char folder[64];

static int make_folder(void **nothing) {
  (void)nothing;
  snprintf(folder, sizeof folder, "/tmp/moonshelf-vectors-XXXXXX");
  return mkdtemp(folder) ? 0 : -1;
}

static int drop_folder(void **nothing) {
  (void)nothing;
  return (int)moon_dir_remove(folder).code;
}

static void put(const char *name, const void *bytes, size_t n) {
  char *path = moon_path_join(folder, name);
  unlink(path);
  OK(moon_file_write(path, bytes, n));
  moon_free(path);
}

static moon_tensor *matrix(moon_dtype dtype, size_t rows, size_t columns) {
  moon_tensor *t;
  OK(moon_tensor_new(dtype, 2, (size_t[]){rows, columns}, &t));
  for (size_t i = 0; i < rows * columns; i++) {
    if (dtype == MOON_F32)
      ((float *)moon_tensor_data(t))[i] = (float)i / 2;
    else
      ((double *)moon_tensor_data(t))[i] = (double)i / 2;
  }
  return t;
}

static void put_npy(const char *name, moon_tensor *t) {
  moon_buf bytes = {0};
  OK(moon_npy_write(t, &bytes));
  put(name, bytes.data, bytes.n);
  moon_buf_free(&bytes);
  moon_tensor_free(t);
}

static moon_status load(const char *file, const char *tensor, size_t dim, moon_vocab **vocab, moon_tensor **out) {
  const moon_feature feature = {
      .where = "r:4", .file = (char *)(uintptr_t)file, .ids = "ids.txt", .tensor = (char *)(uintptr_t)tensor, .dim = dim};
  *out = NULL;
  OK(moon_vocab_new(vocab));
  return moon_vectors_read(&feature, folder, *vocab, out);
}

static void check(const char *file, const char *tensor) {
  moon_vocab *vocab;
  moon_tensor *got;
  OK(load(file, tensor, 2, &vocab, &got));
  assert_int_equal(moon_vocab_size(vocab), 4);
  assert_int_equal(moon_vocab_find(vocab, "i7", 2), 1);
  assert_int_equal(moon_vocab_find(vocab, "i 9", 3), 3);
  assert_int_equal(moon_tensor_dtype(got), MOON_F32);
  for (size_t i = 0; i < 6; i++) assert_true(((float *)moon_tensor_data(got))[i] == (float)i / 2);
  moon_tensor_free(got);
  moon_vocab_free(vocab);
}

static void vectors_come_with_their_ids_from_either_format(void **nothing) {
  (void)nothing;
  put("ids.txt", "i7\ni8\r\ni 9\n", 11);
  put_npy("v.npy", matrix(MOON_F64, 3, 2));
  check("v.npy", NULL);
  moon_tensor *a = matrix(MOON_F32, 3, 2), *b = matrix(MOON_F32, 2, 2);
  moon_buf bytes = {0};
  OK(moon_safetensors_write((moon_named_tensor[]){{"titles", a}}, 1, &bytes));
  put("one.safetensors", bytes.data, bytes.n);
  check("one.safetensors", NULL);
  check("one.safetensors", "titles");
  moon_buf_reset(&bytes);
  OK(moon_safetensors_write((moon_named_tensor[]){{"other", b}, {"titles", a}}, 2, &bytes));
  put("two.safetensors", bytes.data, bytes.n);
  check("two.safetensors", "titles");
  moon_buf_free(&bytes);
  moon_tensor_free(a);
  moon_tensor_free(b);
  put("ids.txt", "i7\ni8\ni 9", 9); /* no newline at the end */
  check("v.npy", NULL);
}

static void refused(moon_code code, const char *text, const char *file, const char *tensor, size_t dim) {
  moon_vocab *vocab;
  moon_tensor *got;
  REFUSED(code, text, load(file, tensor, dim, &vocab, &got));
  moon_tensor_free(got);
  moon_vocab_free(vocab);
}

static void file_that_does_not_fit_is_refused_by_name(void **nothing) {
  (void)nothing;
  moon_tensor *broken = matrix(MOON_F32, 3, 2);
  ((float *)moon_tensor_data(broken))[3] = INFINITY;
  put("ids.txt", "a\nb\nc\n", 6);
  put_npy("v.npy", matrix(MOON_F32, 3, 2));
  put_npy("broken.npy", broken);
  put("junk.npy", "junk", 4);
  refused(MOON_EFORMAT, "r:4: v.npy: the shape is [3, 2], but rows of 5 numbers (dim) are wanted", "v.npy", NULL, 5);
  refused(MOON_EFORMAT, "r:4: broken.npy: row 2 has a number that is not finite", "broken.npy", NULL, 2);
  refused(MOON_EFORMAT, "r:4: junk.npy: npy", "junk.npy", NULL, 2);
  refused(MOON_EFORMAT, "r:4: junk.npy: npy", "junk.npy", NULL, 2);
  refused(MOON_ENOTFOUND, "none.npy", "none.npy", NULL, 2);
  refused(MOON_ENOTFOUND, "there is no tensor 'three'", "two.safetensors", "three", 2);
  refused(MOON_EINVAL, "there are several tensors ('other', 'titles', ...): name one", "two.safetensors", NULL, 2);
  put("ids.txt", "a\nb\n", 4);
  refused(MOON_EFORMAT, "there are 3 rows, but 2 ids in ids.txt", "v.npy", NULL, 2);
  put("ids.txt", "a\nb\na\n", 6);
  refused(MOON_EFORMAT, "r:4: ids.txt:3: the id 'a' is there twice", "v.npy", NULL, 2);
  put("ids.txt", "a\n\nb\n", 5);
  refused(MOON_EFORMAT, "ids.txt:2: an id is missing", "v.npy", NULL, 2);
  put("ids.txt", "", 0);
  refused(MOON_EFORMAT, "ids.txt is empty", "v.npy", NULL, 2);
}

static void reading_survives_every_failing_allocation(void **nothing) {
  (void)nothing;
  put("ids.txt", "a\nb\nc\n", 6);
  for (size_t n = 1;; n++) {
    moon_vocab *vocab;
    moon_tensor *got = NULL;
    const moon_feature feature = {.where = "r:4", .file = "two.safetensors", .ids = "ids.txt", .tensor = "titles", .dim = 2};
    OK(moon_vocab_new(&vocab));
    moon_alloc_fail_at(n);
    moon_status status = moon_vectors_read(&feature, folder, vocab, &got);
    moon_alloc_fail_at(0);
    moon_tensor_free(got);
    moon_vocab_free(vocab);
    if (!status.code) break;
    assert_int_equal(status.code, MOON_ENOMEM);
  }
}

/* Items a, b, a title each but for b's. */
static moon_status encode(void *self) {
  const moon_catalogue *catalogue = self;
  const moon_feature feature = {.where = "r:4", .file = "model", .text = "title", .dim = 8};
  moon_vocab *vocab = NULL;
  moon_tensor *got = NULL;
  moon_status status = moon_vocab_new(&vocab);
  if (!status.code) status = moon_vectors_encode(&feature, catalogue, folder, NULL, vocab, &got);
  if (!status.code) {
    assert_int_equal(moon_vocab_size(vocab), 3);
    assert_int_equal(moon_tensor_shape(got)[0], 2);
    assert_memory_not_equal(moon_tensor_data(got), (float *)moon_tensor_data(got) + 8, 8 * sizeof(float));
  }
  moon_tensor_free(got);
  moon_vocab_free(vocab);
  return status;
}

static void a_column_is_encoded_whatever_allocation_fails(void **state) {
  (void)state;
  small_checkpoint c = {.hidden = 8, .layers = 1, .heads = 2, .feed = 12, .act = "gelu"};
  moon_table *table;
  moon_column *ids, *titles;
  moon_catalogue *catalogue;
  char *path = moon_path_join(folder, "model");
  ck_make(&c, 3);
  OK(moon_dir_make(path));
  put("model/config.json", c.config.data, c.config.n), put("model/vocab.txt", ck_vocab, sizeof ck_vocab - 1);
  put("model/model.safetensors", c.weights.data, c.weights.n);
  OK(moon_table_new("items.csv", &table));
  OK(moon_table_add_column(table, "item", MOON_STRING, &ids));
  OK(moon_column_push_string(ids, "a", 1));
  OK(moon_column_push_string(ids, "b", 1));
  table->rows = 2;
  OK(moon_table_add_column(table, "title", MOON_STRING, &titles));
  titles->n = 0;
  OK(moon_column_push_string(titles, "a, bd", 5));
  OK(moon_column_push_null(titles));
  OK(moon_catalogue_new(table, &catalogue));
  assert_true(exhaust(encode, catalogue) > 20);
  moon_catalogue_free(catalogue);
  moon_free(path);
  ck_free(&c);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_column_is_encoded_whatever_allocation_fails),
      cmocka_unit_test(vectors_come_with_their_ids_from_either_format),
      cmocka_unit_test(file_that_does_not_fit_is_refused_by_name),
      cmocka_unit_test(reading_survives_every_failing_allocation),
  };
  return cmocka_run_group_tests(tests, make_folder, drop_folder);
}

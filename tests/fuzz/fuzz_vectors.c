/* Any bytes as a .npy and as a safetensors file: refused, or tensors; and those are written as a file that reads back the same. */
#include "fuzz/fuzz.h"
#include "nn/nn.h"

static void check_npy(const uint8_t *data, size_t size) {
  moon_tensor *tensor = NULL, *again = NULL;
  moon_buf first = {0}, second = {0};
  moon_status status = moon_npy_read(data, size, NULL, &tensor);
  check(status.code == MOON_OK || status.code == MOON_EFORMAT || status.code == MOON_EINVAL || status.code == MOON_ELIMIT);
  if (!status.code) {
    check(!moon_npy_write(tensor, &first).code);
    check(!moon_npy_read(first.data, first.n, NULL, &again).code);
    check(!moon_npy_write(again, &second).code);
    check(first.n == second.n && !memcmp(first.data, second.data, first.n));
  }
  moon_buf_free(&first);
  moon_buf_free(&second);
  moon_tensor_free(tensor);
  moon_tensor_free(again);
}

static void check_safetensors(const char *data, size_t size) {
  moon_safetensors *file = NULL;
  moon_status status = moon_safetensors_open(data, size, &file);
  check(status.code == MOON_OK || status.code == MOON_EFORMAT || status.code == MOON_ELIMIT);
  check(moon_utf8_prefix(status.message, strlen(status.message)) == strlen(status.message));
  for (size_t i = 0; !status.code; i++) {
    const char *name;
    moon_dtype dtype;
    int dims;
    const size_t *shape;
    moon_tensor *tensor = NULL;
    status = moon_safetensors_at(file, i, &name, &dtype, &dims, &shape);
    if (status.code == MOON_EFORMAT) { /* another dtype */
      status = moon_ok();
      continue;
    }
    if (!status.code && !moon_tensor_new(dtype, dims, shape, &tensor).code) check(!moon_safetensors_read(file, name, tensor).code);
    moon_tensor_free(tensor);
  }
  moon_safetensors_close(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  check_npy(data, size);
  check_safetensors((const char *)data, size);
  return 0;
}

static moon_tensor *counting(moon_dtype dtype, int dims, const size_t *shape) {
  moon_tensor *tensor;
  moon_rng rng;
  moon_rng_seed(&rng, 1, 0);
  check(!moon_tensor_new(dtype, dims, shape, &tensor).code && !moon_tensor_fill_randint(tensor, &rng, 0, 9).code);
  return tensor;
}

size_t moon_fuzz_seed(size_t which, uint8_t *out, size_t cap) {
  static const char fortran[] = "\x93NUMPY\x01\x00\x46\x00{'descr': '<f4', 'fortran_order': True, 'shape': (2, 1), }            \n\0\0\x80\x3f\0\0\0\x40";
  moon_tensor *f32 = counting(MOON_F32, 2, (const size_t[]){3, 2}), *i64 = counting(MOON_I64, 1, (const size_t[]){5});
  const moon_named_tensor both[] = {{"a", f32}, {"b.c", i64}};
  moon_buf bytes = {0};
  if (which == 0) check(!moon_npy_write(f32, &bytes).code);
  if (which == 1) check(!moon_npy_write(i64, &bytes).code);
  if (which == 2) check(!moon_safetensors_write(both, 2, &bytes).code);
  if (which == 3) moon_buf_add(&bytes, fortran, sizeof fortran - 1);
  size_t n = moon_fuzz_put(bytes.data, bytes.n, out, cap);
  moon_buf_free(&bytes);
  moon_tensor_free(f32);
  moon_tensor_free(i64);
  return n;
}

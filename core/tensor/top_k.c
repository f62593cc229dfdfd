/* top_k.c - the k largest of each row, in order.
 *
 * A heap of k positions with the worst of them on top: most elements lose against it and cost one comparison. At the end the heap
 * is emptied from the worst to the best, which is the order backwards. */
#ifndef T
#include "tensor/kernel.h"

#define MOON_EACH_DTYPE "tensor/top_k.c"
#include "tensor/each_dtype.h"

typedef void top_k_fn(size_t rows, size_t n, size_t k, const void *x, void *values, int64_t *indices);

moon_status moon_tensor_top_k(const moon_tensor *a, size_t k, moon_tensor **values, moon_tensor **indices) {
  static top_k_fn *const kernels[4] = {top_k_f32, top_k_f64, top_k_i64, top_k_u8};
  *values = *indices = NULL;
  if (!a->dims) return moon_fail(MOON_EINVAL, "top_k: a scalar has no dimension to choose from");
  size_t shape[MOON_MAX_DIMS], n = a->shape[a->dims - 1];
  if (k > n) return moon_fail(MOON_EINVAL, "top_k: k = %zu is more than the last dimension of %s", k, moon_shape_of(a).text);
  for (int d = 0; d < a->dims; d++) shape[d] = d == a->dims - 1 ? k : a->shape[d];
  moon_account *account = moon_tensor_account(a);
  moon_tensor *dense = NULL, *best = NULL, *places = NULL;
  moon_status st = moon_tensor_dense(a, a->dtype, &dense);
  if (!st.code) st = moon_tensor_new_in(account, a->dtype, a->dims, shape, &best);
  if (!st.code) st = moon_tensor_new_in(account, MOON_I64, a->dims, shape, &places);
  if (!st.code && best->count) kernels[a->dtype](best->count / k, n, k, dense->data, best->data, (int64_t *)(void *)places->data);
  moon_tensor_free(dense);
  if (st.code) {
    moon_tensor_free(best);
    moon_tensor_free(places);
    return moon_wrap(st, "top_k");
  }
  *values = best, *indices = places;
  return st;
}

#else /* ---- kernels, for each T \
         --------------------------------------------------------------------------------------------------- */

/* Whether position i belongs before j. */
MOON_INLINE bool K(before)(const T *x, int64_t i, int64_t j) {
  T a = x[i], b = x[j];
  if (a > b) return true;
  if (a < b) return false;
#if REAL
  if (a != a || b != b) return a == a || (b != b && i < j);
#endif
  return i < j;
}

/* Puts `place` into the heap [k] from the top down, where the top is free. */
MOON_INLINE void K(sift)(const T *x, int64_t *heap, size_t k, size_t at, int64_t place) {
  for (;;) {
    size_t child = 2 * at + 1;
    if (child >= k) break;
    if (child + 1 < k && K(before)(x, heap[child], heap[child + 1])) child++; /* the worse of the two */
    if (!K(before)(x, place, heap[child])) break;
    heap[at] = heap[child];
    at = child;
  }
  heap[at] = place;
}

static void K(top_k)(size_t rows, size_t n, size_t k, const void *in, void *out, int64_t *heap) {
  const T *x = in;
  T *values = out;
  for (size_t r = 0; r < rows; r++, x += n, values += k, heap += k) {
    for (size_t i = 0; i < k; i++) heap[i] = (int64_t)i;
    for (size_t i = k / 2; i > 0; i--) K(sift)(x, heap, k, i - 1, heap[i - 1]);
    for (size_t i = k; i < n; i++)
      if (K(before)(x, (int64_t)i, heap[0])) K(sift)(x, heap, k, 0, (int64_t)i);
    for (size_t left = k; left > 1; left--) {
      int64_t worst = heap[0];
      K(sift)(x, heap, left - 1, 0, heap[left - 1]);
      heap[left - 1] = worst;
    }
    for (size_t i = 0; i < k; i++) values[i] = x[heap[i]];
  }
}
#endif

/* kernel.h - how operations walk over tensors; only core/tensor sees it.
 *
 * The idea: a kernel is one loop over contiguous elements of one dtype, and knows nothing of strides, stretching or conversion. A
 * cursor reads a tensor as a row of tiles, in row-major order of any shape that the tensor stretches to; where the memory already
 * is what the kernel wants, the tile is the memory itself. */
#ifndef MOON_TENSOR_KERNEL_H
#define MOON_TENSOR_KERNEL_H
#include "tensor/handle.h"

#define MOON_INLINE static inline __attribute__((always_inline))
/* Before a loop whose elements do not meet, though GCC cannot see it: the result may be one of the inputs. Clang looks at run
 * time. */
#ifdef __clang__
#define MOON_IVDEP
#else
#define MOON_IVDEP _Pragma("GCC ivdep")
#endif

enum { MOON_TILE = 512, MOON_TILE_BYTES = MOON_TILE * 8 };

/* ---- cursors (cursor.c) */

typedef struct moon_cursor {
  char *data;
  moon_dtype dtype, as; /* in memory; in tiles */
  int dims;             /* neighbours that step alike are one */
  size_t shape[MOON_MAX_DIMS], index[MOON_MAX_DIMS];
  ptrdiff_t strides[MOON_MAX_DIMS]; /* elements */
  bool direct; /* tiles are the memory */
  bool still;  /* one element, everywhere */
  bool filled; /* ... and the tile holds it */
} moon_cursor;

/* At the first element of `t` stretched to the shape, which it must stretch to. `as`: the dtype of the tiles. */
void moon_cursor_open(moon_cursor *cursor, const moon_tensor *t, int dims, const size_t *shape, moon_dtype as);
/* The next n <= MOON_TILE elements: in the memory or in `tile`, which is the cursor's own until the last read. */
const void *moon_cursor_read(moon_cursor *cursor, size_t n, void *tile);
/* Where a kernel is to write the next n elements; then moon_cursor_write puts them there and steps on. */
void *moon_cursor_target(const moon_cursor *cursor, void *tile);
void moon_cursor_write(moon_cursor *cursor, size_t n, const void *from);

/* ---- small things that operations share (cursor.c) */

moon_dtype moon_dtype_common(moon_dtype a, moon_dtype b);
static inline bool moon_dtype_is_real(moon_dtype dtype) { return dtype == MOON_F32 || dtype == MOON_F64; }
static inline moon_dtype moon_dtype_real(moon_dtype dtype) { return moon_dtype_is_real(dtype) ? dtype : MOON_F64; }
static inline moon_shape_text moon_shape_of(const moon_tensor *t) { return moon_shape_write(t->dims, t->shape); }
/* Whether a byte of one may be a byte of the other. */
bool moon_tensor_overlap(const moon_tensor *a, const moon_tensor *b);
/* MOON_EINVAL where two elements of `into` may be the same memory. */
moon_status moon_check_writable(const char *name, const moon_tensor *into);
/* A row-major handle of the dtype: of the same memory where it already is so, otherwise of a copy. The caller frees. */
moon_status moon_tensor_dense(const moon_tensor *t, moon_dtype dtype, moon_tensor **out);

/* A row-major tensor seen around one of its dimensions: [outer, n, inner]. */
typedef struct moon_axis { size_t outer, n, inner; } moon_axis;
moon_axis moon_axis_of(const moon_tensor *t, int dim);
/* MOON_EINVAL where t has no dimension `dim`. */
moon_status moon_check_dim(const char *name, const moon_tensor *t, int dim);

#endif

/* each_dtype.h - compiles the kernels of a file for every dtype.
 *
 * A file of operations has two halves: with T undefined the operations, which first name the file in MOON_EACH_DTYPE and include
 * this; with T defined the kernels, written once. T is the element, WIDE what sums of it are kept in (unsigned, so that they wrap
 * around), K(name) the kernel's name, M(fn) libm's function of the type, REAL whether T is a float. No include guard: that is the
 * point. */
#define T float
#define WIDE double
#define REAL 1
#define K(name) name##_f32
#define M(fn) fn##f
#include MOON_EACH_DTYPE
#undef T
#undef K
#undef M
#define T double
#define K(name) name##_f64
#define M(fn) fn
#include MOON_EACH_DTYPE
#undef T
#undef WIDE
#undef REAL
#undef K
#undef M
#define WIDE uint64_t
#define REAL 0
#define T int64_t
#define K(name) name##_i64
#include MOON_EACH_DTYPE
#undef T
#undef K
#define T uint8_t
#define K(name) name##_u8
#include MOON_EACH_DTYPE
#undef T
#undef WIDE
#undef REAL
#undef K
#undef MOON_EACH_DTYPE

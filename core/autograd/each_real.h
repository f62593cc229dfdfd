/* each_real.h - compiles the kernels of a file for both float types.
 *
 * An ops file has two halves: with REAL undefined the ops themselves, which first name the file in MOON_EACH_REAL and include this;
 * with REAL defined the kernels, written once. So forward, backward and their loops stand in one file. No include guard: that is
 * the point. REAL is the type, K(name) the kernel's name, M(fn) libm's function of the type. */
#define REAL float
#define K(name) name##_f32
#define M(name) name##f
#include MOON_EACH_REAL
#undef REAL
#undef K
#undef M
#define REAL double
#define K(name) name##_f64
#define M(name) name
#include MOON_EACH_REAL
#undef REAL
#undef K
#undef M
#undef MOON_EACH_REAL

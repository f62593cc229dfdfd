/* numeric.h - what the tests of tensor, autograd and nn share: status checks, seeded tensors, an exhausting allocator. */
#ifndef TEST_NUMERIC_H
#define TEST_NUMERIC_H
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/base.h"
#include "tensor/tensor.h"

#define OK(call)                                                 \
  do {                                                           \
    moon_status ok_ = (call);                                    \
    if (ok_.code) fail_msg("%s: %s", #call, ok_.message);        \
  } while (0)
/* Fails with `code`, and the message holds `text`. */
#define REFUSED(want, text, call)                                                              \
  do {                                                                                         \
    moon_status no_ = (call);                                                                  \
    if (no_.code != (want) || !strstr(no_.message, (text)))                                    \
      fail_msg("%s: got %s \"%s\", wanted %s \"%s\"", #call, moon_code_name(no_.code), no_.message, moon_code_name(want), (text)); \
  } while (0)
#define NEAR(a, b, tolerance)                                                                                    \
  do {                                                                                                           \
    double a_ = (a), b_ = (b);                                                                                   \
    if (!(fabs(a_ - b_) <= (tolerance))) fail_msg("%s = %.9g, not %s = %.9g", #a, a_, #b, b_);                   \
  } while (0)
#define SHAPE(...) (int)(sizeof((size_t[]){__VA_ARGS__}) / sizeof(size_t)), (size_t[]) { __VA_ARGS__ }

static inline moon_tensor *random_tensor(moon_rng *rng, moon_dtype dtype, int dims, const size_t *shape, double low, double high) {
  moon_tensor *t = NULL;
  OK(moon_tensor_new(dtype, dims, shape, &t));
  for (size_t i = 0; i < moon_tensor_count(t); i++) {
    double value = low + (high - low) * moon_rng_uniform(rng);
    if (dtype == MOON_F32) ((float *)moon_tensor_data(t))[i] = (float)value;
    else ((double *)moon_tensor_data(t))[i] = value;
  }
  return t;
}

#endif

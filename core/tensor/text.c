/* text.c - a tensor as people read it.
 *
 *   f32 [2, 3]
 *   [[1, 2.5, 3],
 *    [4,   5, 6]]
 *
 * The elements that are shown are visited twice: for the width of the widest, and to be written. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tensor/kernel.h"

enum { SHOWN_WHOLE = 1000, EDGE = 3 };

typedef struct printer {
  const moon_tensor *t;
  moon_buf *out; /* NULL: only measuring */
  int width;
  bool shortened;
} printer;

static int write_element(const moon_tensor *t, const char *at, char *text, size_t cap) {
  switch (t->dtype) {
    case MOON_F32: return snprintf(text, cap, "%.6g", (double)*(const float *)(const void *)at);
    case MOON_F64: return snprintf(text, cap, "%.6g", *(const double *)(const void *)at);
    case MOON_I64: return snprintf(text, cap, "%" PRId64, *(const int64_t *)(const void *)at);
    case MOON_U8: return snprintf(text, cap, "%u", *(const uint8_t *)(const void *)at);
  }
  return 0;
}

static void element(printer *p, const char *at) {
  char text[40];
  int n = write_element(p->t, at, text, sizeof text);
  if (p->out) moon_buf_printf(p->out, "%*s", p->width, text);
  else if (n > p->width) p->width = n;
}

/* Between two entries of dimension d: a comma, and for each dimension that ends a newline more. */
static void separate(printer *p, int d) {
  if (!p->out) return;
  moon_buf_puts(p->out, ",");
  for (int n = p->t->dims - 1 - d; n > 0; n--) moon_buf_puts(p->out, "\n");
  if (d == p->t->dims - 1) moon_buf_puts(p->out, " ");
  else moon_buf_printf(p->out, "%*s", d + 1, "");
}

static void dimension(printer *p, int d, const char *at) {
  if (d == p->t->dims) {
    element(p, at);
    return;
  }
  size_t n = p->t->shape[d];
  ptrdiff_t step = p->t->strides[d] * (ptrdiff_t)moon_dtype_size(p->t->dtype);
  if (p->out) moon_buf_puts(p->out, "[");
  for (size_t i = 0; i < n; i++) {
    if (i) separate(p, d);
    if (p->shortened && n > 2 * EDGE && i == EDGE) {
      if (p->out) moon_buf_puts(p->out, "...");
      separate(p, d);
      i = n - EDGE;
    }
    dimension(p, d + 1, at + (ptrdiff_t)i * step);
  }
  if (p->out) moon_buf_puts(p->out, "]");
}

void moon_tensor_print(const moon_tensor *tensor, moon_buf *out) {
  printer p = {.t = tensor, .shortened = tensor->count > SHOWN_WHOLE};
  moon_buf_printf(out, "%s %s\n", moon_dtype_name(tensor->dtype), moon_shape_of(tensor).text);
  if (!tensor->count) {
    moon_buf_puts(out, "[]");
    return;
  }
  dimension(&p, 0, tensor->data);
  p.out = out;
  dimension(&p, 0, tensor->data);
}

/* checks.c - the tape's manners that are not arithmetic: gradients off, names of scopes, and the search for the first number that is
 * not finite.
 *
 * A scope is one link in the arena and each node holds the innermost, so a message can say where an op stands long after the scope was
 * closed. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "autograd/tape.h"

void moon_tape_set_grad(moon_tape *tape, bool on) { tape->no_grad = !on; }
void moon_tape_set_checks(moon_tape *tape, bool on) { tape->checks = on; }

/* ---- scopes ----------------------------------------------------------------------------------------------------------------- */

moon_status moon_tape_scope_push(moon_tape *tape, const char *name) {
  size_t bytes = strlen(name) + 1;
  moon_scope *scope = moon_arena_alloc(&tape->arena, sizeof *scope + bytes);
  if (!scope) return moon_fail(MOON_ENOMEM, "no memory for the scope \"%s\"", name);
  scope->outer = tape->scope;
  memcpy(scope->name, name, bytes);
  tape->scope = scope;
  return moon_ok();
}

void moon_tape_scope_pop(moon_tape *tape) {
  if (tape->scope) tape->scope = tape->scope->outer;
}

moon_scope_text moon_scope_write(const moon_scope *scope) {
  enum { DEEPEST = 8 };
  const moon_scope *path[DEEPEST];
  moon_scope_text out = {""};
  int depth = 0;
  for (; scope && depth < DEEPEST; scope = scope->outer) path[depth++] = scope;
  for (size_t used = 0; depth-- > 0 && used < sizeof out.text;) {
    int wrote = snprintf(out.text + used, sizeof out.text - used, "%s%s", used ? " / " : ", in ", path[depth]->name);
    used += wrote < 0 ? sizeof out.text : (size_t)wrote;
  }
  return out;
}

/* ---- numbers that are not finite -------------------------------------------------------------------------------------------- */

static double number_at(moon_dtype dtype, const void *numbers, size_t i) {
  return dtype == MOON_F32 ? (double)((const float *)numbers)[i] : ((const double *)numbers)[i];
}

/* x - x is 0 for the finite ones alone; the sum says whether any is not, and the loop has no branch. */
static bool all_finite(moon_dtype dtype, const void *numbers, size_t n) {
  double rest = 0;
  if (dtype == MOON_F32) {
    const float *x = numbers;
    for (size_t i = 0; i < n; i++) rest += (double)(x[i] - x[i]);
  } else {
    const double *x = numbers;
    for (size_t i = 0; i < n; i++) rest += x[i] - x[i];
  }
  return rest == 0;
}

moon_status moon_node_finite(const moon_tape *tape, size_t at, const char *what, const void *numbers) {
  const moon_node *node = &tape->nodes[at];
  if (all_finite(node->dtype, numbers, node->count)) return moon_ok();
  size_t i = 0;
  while (i + 1 < node->count && isfinite(number_at(node->dtype, numbers, i))) i++;
  double number = number_at(node->dtype, numbers, i);
  if (isnan(number)) number = NAN; /* not "-nan" here and "nan" there */
  return moon_fail(MOON_EINVAL, "%s: the %s is %g at element %zu of %s (node %zu%s)", node->op->name, what, number, i,
                   moon_shape_write(node->dims, node->shape).text, at, moon_scope_write(node->scope).text);
}

moon_status moon_node_look(moon_tape *tape, moon_var v) {
  moon_status st = moon_node_finite(tape, v.id, "value", moon_node_at(tape, v)->value);
  return st.code ? moon_node_drop(tape, st) : st;
}

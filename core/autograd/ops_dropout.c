/* ops_dropout.c - inverted dropout (Srivastava et al. 2014).
 *
 * The mask is a function of the key alone, so a checkpoint's second run and a repeated training draw the same. A byte an element is kept
 * for the way back. An element falls where a random 32-bit number is below rate * 2^32. */
#ifndef REAL
#include "autograd/tape.h"

#define MOON_EACH_REAL "ops_dropout.c"
#include "autograd/each_real.h"

static void dropout_back(moon_tape *tape, moon_node *node) {
  bool fresh;
  void *into = moon_node_grad_raw(tape, node->in[0], &fresh);
  if (into) MOON_BY_DTYPE(node->dtype, drop_backward, node->count, 1 / (1 - node->number), node->aux, node->grad, fresh, into);
}

static const moon_op dropout_op = {"dropout", dropout_back};

static void draw(moon_rng rng, double rate, size_t n, uint8_t *stays) {
  uint32_t below = (uint32_t)(rate * 4294967296.0);
  for (size_t i = 0; i < n; i++) stays[i] = moon_rng_u32(&rng) >= below;
}

moon_status moon_op_dropout(moon_tape *tape, moon_var a, double rate, const moon_rng *key, bool training, moon_var *out) {
  MOON_TRY(moon_node_check(tape, &dropout_op, 1, &a));
  if (!(rate >= 0 && rate < 1)) return moon_fail(MOON_EINVAL, "dropout: a rate of %g: 0 <= rate < 1 is needed", rate);
  if (!training || rate == 0) {
    *out = a;
    return moon_ok();
  }
  moon_node input = *moon_node_at(tape, a), *node;
  uint8_t *stays = moon_tape_take(tape, input.count);
  if (!stays) return moon_fail(MOON_ENOMEM, "dropout: no memory for %s", moon_node_shape(tape, a).text);
  MOON_TRY(moon_node_push(tape, &dropout_op, 1, &a, input.dims, input.shape, &node, out));
  draw(*key, rate, input.count, stays);
  node->aux = stays, node->number = rate;
  MOON_BY_DTYPE(node->dtype, drop_forward, node->count, 1 / (1 - rate), stays, input.value, node->value);
  return moon_node_done(tape, *out);
}

#else /* ---- kernels, for each REAL ---------------------------------------------------------------------------------------------- */

MOON_CLONES static void K(drop_forward)(size_t n, double factor, const uint8_t *restrict stays, const REAL *restrict x,
                                        REAL *restrict y) {
  REAL scale = (REAL)factor;
  for (size_t i = 0; i < n; i++) y[i] = stays[i] ? x[i] * scale : 0;
}
MOON_INLINE void K(drop_backward_loop)(size_t n, double factor, const uint8_t *restrict stays, const REAL *restrict g,
                                       REAL *restrict into, bool fresh) {
  REAL scale = (REAL)factor;
  for (size_t i = 0; i < n; i++) MOON_GAIN(fresh, into[i], stays[i] ? g[i] * scale : 0);
}
MOON_CLONES static void K(drop_backward)(size_t n, double factor, const uint8_t *restrict stays, const REAL *restrict g,
                                         bool fresh, REAL *restrict into) {
  MOON_BOTH(fresh, K(drop_backward_loop), n, factor, stays, g, into);
}
#endif

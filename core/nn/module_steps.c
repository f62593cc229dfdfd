/* module_steps.c - whether a module may be trained on whole sequences: one pass over a window's steps, read at many of them.
 *
 * That is the same as a pass for each step where no step knows of a later one. So the branch of the user is walked from its input to its end:
 * layers that are causal or work step by step, a pool that takes the last, layers that work row by row. With a cloze, steps that are read are
 * hidden from all, and layers may look both ways. */
#include "nn/layer.h"

typedef struct walk {
  bool cloze, masked, pooled;
  const size_t *input;
  size_t steps;
} walk;

static bool is_one_of(const moon_layer *layer, const moon_layer_kind *const *kinds, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (layer->kind == kinds[i]) return true;
  return false;
}

static moon_status no_way(const moon_layer *layer, const walk *w) {
  return w->pooled ? moon_layer_fail(layer,
                                     "stands behind the pool of a branch that is trained on sequences; there may be dense, "
                                     "activation, dropout and layer_norm")
                   : moon_layer_fail(layer,
                                     "is not for a branch that is trained on sequences; there may be gru, attention and "
                                     "transformer with causal = true, position, "
                                     "dense, activation, dropout and layer_norm, then pool \"last\"");
}

static moon_status check_leaf(const moon_layer *layer, walk *w) {
  static const moon_layer_kind *const by_row[] = {&moon_layer_dense, &moon_layer_activation, &moon_layer_dropout,
                                                  &moon_layer_layer_norm, &moon_layer_input},
                                      *const by_step[] = {&moon_layer_position, &moon_layer_gru, &moon_layer_embedding},
                                      *const by_look[] = {&moon_layer_attention, &moon_layer_transformer};
  if (is_one_of(layer, by_row, 5)) return moon_ok();
  if (w->pooled) return no_way(layer, w);
  if (is_one_of(layer, by_look, 2)) {
    if (w->cloze || layer->flag) return moon_ok();
    return moon_layer_fail(layer,
                           "lets a step look at later ones, which it is to predict: say causal = true, or train a cloze by "
                           "sequences = { mask = 0.2 } and m.nn.mask()");
  }
  if (layer->kind == &moon_layer_mask) {
    if (!w->cloze) return moon_layer_fail(layer, "is for a cloze: say sequences = { mask = 0.2 }");
    w->masked = true;
    return moon_ok();
  }
  if (layer->kind != &moon_layer_pool) return is_one_of(layer, by_step, 3) ? moon_ok() : no_way(layer, w);
  if (layer->choice != MOON_POOL_LAST)
    return moon_layer_fail(layer, "takes more than the last step; training on sequences needs pool \"last\"");
  w->pooled = true, w->steps = layer->in.shape[0];
  return moon_ok();
}

static moon_status check_layer(const moon_layer *layer, walk *w) {
  if (layer->input) {
    if (w->input)
      return moon_layer_fail(layer, "reads a second input; a branch that is trained on sequences has one, the history");
    w->input = layer->input;
  }
  if (layer->kind != &moon_layer_sequential && layer->kind != &moon_layer_residual) return check_leaf(layer, w);
  for (size_t i = 0; i < layer->child_count; i++) MOON_TRY(check_layer(layer->children[i], w));
  return moon_ok();
}

moon_status moon_module_steps(const moon_module *module, bool cloze, size_t *input, size_t *steps) {
  const moon_layer *last = module->root;
  if (!moon_module_ranks_all(module))
    return moon_fail(
        MOON_EINVAL,
        "training on sequences needs a model that ends with m.nn.dot of what is of the user alone by what is of \"item\" alone");
  while (last->kind == &moon_layer_sequential) last = last->children[last->child_count - 1];
  const moon_layer *user = last->children[0];
  walk w = {.cloze = cloze};
  MOON_TRY(check_layer(user, &w));
  if (!w.pooled || !w.input)
    return moon_layer_fail(user,
                           "does not boil a history down: training on sequences needs input = \"history\" and pool \"last\"");
  if (cloze && !w.masked)
    return moon_layer_fail(user, "hides nothing: a cloze needs m.nn.mask() before the layers that look around");
  *input = *w.input, *steps = w.steps;
  return moon_ok();
}

/* module_build.c - from the plan's JSON to a tree of layers: the table of kinds, options, paths, shared parameters.
 *
 * A layer's form is known before its first number is. So shapes, names and options are all refused here, with the line of the
 * script that wrote them. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "nn/layer.h"

static const moon_layer_kind *const kinds[] = {
    &moon_layer_dense,    &moon_layer_activation, &moon_layer_dropout,       &moon_layer_input,      &moon_layer_flatten,
    &moon_layer_reshape,  &moon_layer_embedding,  &moon_layer_embedding_bag, &moon_layer_batch_norm, &moon_layer_layer_norm,
    &moon_layer_fm,       &moon_layer_cross,      &moon_layer_position,      &moon_layer_attention,  &moon_layer_transformer,
    &moon_layer_gru,      &moon_layer_mask,     &moon_layer_pool,       &moon_layer_din,           &moon_layer_sequential, &moon_layer_residual,
    &moon_layer_parallel, &moon_layer_dot,      &moon_layer_heads,
    &moon_layer_closed[MOON_FIT_EASE],    &moon_layer_closed[MOON_FIT_ITEM_KNN], &moon_layer_closed[MOON_FIT_CONTENT],
    &moon_layer_closed[MOON_FIT_POPULAR], &moon_layer_closed[MOON_FIT_TRENDING],
};
enum { KINDS = sizeof kinds / sizeof *kinds, MOST_LAYERS = 4096, MOST_DEPTH = 32 };

typedef struct share {
  const char *name;
  const moon_layer *layer;
} share;

struct moon_build {
  moon_module *module;
  moon_rng *rng;
  share *shares;
  size_t share_count, share_cap, depth;
  bool once; /* what is built goes through once for a group */
};

const char *moon_layer_kind_name(size_t i) { return i < KINDS ? kinds[i]->name : NULL; }

static moon_status no_memory(void) { return moon_fail(MOON_ENOMEM, "no memory for a model's layers"); }

/* ---- messages ------------------------------------------------------------------------------------------------------------ */

moon_form_text moon_form_write(const moon_form *form) {
  moon_form_text out;
  int at = snprintf(out.text, sizeof out.text, "%s[n", form->ids ? "ids " : "");
  for (int d = 0; d < form->dims; d++) at += snprintf(out.text + at, sizeof out.text - (size_t)at, ", %zu", form->shape[d]);
  snprintf(out.text + at, sizeof out.text - (size_t)at, "]");
  return out;
}

moon_status moon_layer_fail(const moon_layer *layer, const char *format, ...) {
  moon_status status;
  va_list args;
  va_start(args, format);
  vsnprintf(status.message, sizeof status.message, format, args);
  va_end(args);
  status.code = MOON_EINVAL;
  return moon_wrap(status, "%s: %s", layer->where, layer->kind->name);
}

moon_status moon_layer_refuse(const moon_layer *layer, const char *wanted) {
  return moon_layer_fail(layer, "takes %s, not %s", wanted, moon_form_write(&layer->in).text);
}

/* ---- options ------------------------------------------------------------------------------------------------------------- */

static moon_status option(const moon_layer *layer, const char *name, bool needed, const json_t **value) {
  *value = json_object_get(layer->spec, name);
  if (json_is_null(*value)) *value = NULL;
  return *value || !needed ? moon_ok() : moon_layer_fail(layer, "\"%s\" is missing", name);
}

moon_status moon_spec_size(const moon_layer *layer, const char *name, bool needed, size_t low, size_t high, size_t *value) {
  const json_t *given;
  MOON_TRY(option(layer, name, needed, &given));
  if (!given) return moon_ok();
  json_int_t n = json_integer_value(given);
  if (!json_is_integer(given) || n < 0 || (size_t)n < low || (size_t)n > high)
    return moon_layer_fail(layer, "\"%s\" must be a whole number from %zu to %zu", name, low, high);
  *value = (size_t)n;
  return moon_ok();
}

moon_status moon_spec_number(const moon_layer *layer, const char *name, bool needed, double low, double high, double *value) {
  const json_t *given;
  MOON_TRY(option(layer, name, needed, &given));
  if (!given) return moon_ok();
  double number = json_number_value(given);
  if (!json_is_number(given) || !(number >= low && number <= high))
    return moon_layer_fail(layer, "\"%s\" must be a number from %g to %g", name, low, high);
  *value = number;
  return moon_ok();
}

moon_status moon_spec_flag(const moon_layer *layer, const char *name, bool *value) {
  const json_t *given;
  MOON_TRY(option(layer, name, false, &given));
  if (!given) return moon_ok();
  if (!json_is_boolean(given)) return moon_layer_fail(layer, "\"%s\" must be true or false", name);
  *value = json_is_true(given);
  return moon_ok();
}

/* A name among others, or an error with the nearest, or with all where none is near. */
static moon_status pick(const moon_layer *layer, const char *what, const char *given, const char *const *names, size_t count,
                        size_t *at) {
  for (*at = 0; *at < count; ++*at)
    if (!strcmp(given, names[*at])) return moon_ok();
  const char *near = moon_nearest(given, names, count);
  if (near) return moon_layer_fail(layer, "there is no %s \"%.60s\"; did you mean \"%s\"?", what, given, near);
  char known[200] = "";
  for (size_t i = 0, n = 0; i < count && n < sizeof known; i++)
    n += (size_t)snprintf(known + n, sizeof known - n, "%s%s", i ? ", " : "", names[i]);
  return moon_layer_fail(layer, "there is no %s \"%.60s\" (known: %s)", what, given, known);
}

moon_status moon_spec_choice(const moon_layer *layer, const char *name, const char *const *names, size_t count, int *value) {
  const json_t *given;
  MOON_TRY(option(layer, name, false, &given));
  if (!given) return moon_ok();
  if (!json_is_string(given)) return moon_layer_fail(layer, "\"%s\" must be a name", name);
  size_t at;
  MOON_TRY(pick(layer, name, json_string_value(given), names, count, &at));
  *value = (int)at;
  return moon_ok();
}

moon_status moon_spec_input(const moon_layer *layer, moon_build *build, const char *name, size_t *value) {
  moon_module *module = build->module;
  const json_t *given;
  MOON_TRY(option(layer, name, true, &given));
  if (!json_is_string(given)) return moon_layer_fail(layer, "\"%s\" must be the name of an input", name);
  const char **names = moon_arena_alloc(&module->arena, module->input_count * sizeof *names);
  if (!names) return no_memory();
  for (size_t i = 0; i < module->input_count; i++) names[i] = module->inputs[i].name;
  MOON_TRY(pick(layer, "input", json_string_value(given), names, module->input_count, value));
  (build->once ? module->used_once : module->used)[*value] = true;
  return moon_ok();
}

bool moon_build_once(moon_build *build, bool once) {
  bool before = build->once;
  build->once = once;
  return before;
}

/* Whether a layer reads what flows to it. */
static bool reads_flow(const json_t *spec) {
  const json_t *layers = json_object_get(spec, "layers"), *layer;
  const char *type = json_string_value(json_object_get(spec, "type"));
  size_t i;
  if (json_object_get(spec, "input")) return false;
  if (!json_array_size(layers) || (type && !strcmp(type, "residual"))) return true;
  if (!type || !strcmp(type, "sequential")) return reads_flow(json_array_get(layers, 0));
  json_array_foreach(layers, i, layer) if (reads_flow(layer)) return true;
  return false;
}

static bool names_whose(const moon_build *build, const json_t *name, moon_whose whose) {
  const moon_module *module = build->module;
  if (!name) return true;
  for (size_t i = 0; i < module->input_count && json_is_string(name); i++)
    if (!strcmp(module->inputs[i].name, json_string_value(name))) return module->inputs[i].whose == whose;
  return true; /* an unknown name is refused where it is read */
}

static bool all_of(const moon_build *build, const json_t *spec, moon_whose whose) {
  const json_t *layer;
  size_t i;
  if (!names_whose(build, json_object_get(spec, "input"), whose) || !names_whose(build, json_object_get(spec, "history"), whose)) return false;
  json_array_foreach(json_object_get(spec, "layers"), i, layer) if (!all_of(build, layer, whose)) return false;
  return true;
}

bool moon_spec_is_of(const moon_build *build, const json_t *spec, moon_whose whose) {
  return !reads_flow(spec) && all_of(build, spec, whose);
}

const moon_form *moon_build_input(const moon_build *build, size_t input) { return &build->module->inputs[input]; }
void *moon_build_take(moon_build *build, size_t n) { return moon_arena_alloc(&build->module->arena, n); }

/* ---- parameters and buffers ---------------------------------------------------------------------------------------------- */

static void initialise(moon_param *param, moon_init init, moon_rng *rng) {
  if (init == MOON_INIT_GLOROT) moon_init_glorot(param, rng);
  if (init == MOON_INIT_HE) moon_init_he(param, rng);
  if (init == MOON_INIT_NORMAL) moon_init_normal(param, rng, 0.05);
  if (init == MOON_INIT_ONES) moon_tensor_fill(param->value, 1);
}

/* Room for one more in a short list in the arena: layers have a few parameters, cross one pair a layer. */
static moon_status add(moon_arena *arena, void *list_ptr, size_t n, void *item) {
  void ***list = list_ptr, **longer = *list;
  if ((n & (n - 1)) == 0) { /* full at 0, 1, 2, 4, 8 ... */
    longer = moon_arena_alloc(arena, (n ? 2 * n : 1) * sizeof *longer);
    if (!longer) return no_memory();
    if (n) memcpy(longer, *list, n * sizeof *longer);
  }
  longer[n] = item;
  *list = longer;
  return moon_ok();
}

/* The numbers that the spec brings along for a tensor, {"weights":{"bias":"..."}}: little-endian f32, in base64. */
static moon_status take_weights(const moon_layer *layer, const char *name, moon_tensor *into) {
  const json_t *given = json_object_get(json_object_get(layer->spec, "weights"), name);
  size_t n = moon_tensor_count(into);
  if (!given) return moon_ok();
  float *numbers = moon_alloc(n * sizeof *numbers);
  if (!numbers) return no_memory();
  bool fits = json_is_string(given) && moon_base64_read(json_string_value(given), json_string_length(given), numbers, n * sizeof *numbers);
  bool finite = true;
  for (size_t i = 0; fits && i < n; i++) {
    finite &= isfinite(numbers[i]) != 0;
    if (moon_tensor_dtype(into) == MOON_F32) ((float *)moon_tensor_data(into))[i] = numbers[i];
    else ((double *)moon_tensor_data(into))[i] = numbers[i];
  }
  moon_free(numbers);
  if (!fits) return moon_layer_fail(layer, "brings along a %s that is not of %s numbers", name,
                                    moon_shape_write(moon_tensor_dims(into), moon_tensor_shape(into)).text);
  return finite ? moon_ok() : moon_layer_fail(layer, "brings along a %s with a number that is not finite", name);
}

static moon_status make_param(moon_layer *layer, moon_build *build, const char *name, int dims, const size_t *shape, bool sparse,
                              moon_param **out) {
  moon_module *module = build->module;
  const char *path = moon_arena_printf(&module->arena, "%s%s%s", layer->path, *layer->path ? "." : "", name);
  if (!path) return no_memory();
  MOON_TRY(moon_grow(&module->params, &module->param_cap, module->param_count + 1, sizeof *module->params));
  MOON_TRY(moon_wrap(moon_param_new(path, module->dtype, dims, shape, sparse, out), "%s: %s", layer->where, layer->kind->name));
  (*out)->frozen = layer->frozen;
  module->params[module->param_count++] = *out;
  return moon_ok();
}

moon_status moon_layer_param(moon_layer *layer, moon_build *build, const char *name, int dims, const size_t *shape,
                             moon_init init, bool sparse) {
  moon_param *param;
  if (!layer->twin) {
    MOON_TRY(make_param(layer, build, name, dims, shape, sparse, &param));
    initialise(param, init, build->rng);
    MOON_TRY(take_weights(layer, name, param->value));
  } else {
    param = layer->param_count < layer->twin->param_count ? layer->twin->params[layer->param_count] : NULL;
    if (!param)
      return moon_layer_fail(layer, "has a \"%s\", and the layer at %s with which it shares has none", name, layer->twin->where);
    if (!moon_shape_equal(dims, shape, moon_tensor_dims(param->value), moon_tensor_shape(param->value)))
      return moon_layer_fail(layer, "needs a %s of %s, but shares that of %s, which is %s", name,
                             moon_shape_write(dims, shape).text, layer->twin->where,
                             moon_shape_write(moon_tensor_dims(param->value), moon_tensor_shape(param->value)).text);
    if (layer->frozen) param->frozen = true;
  }
  MOON_TRY(add(&build->module->arena, &layer->params, layer->param_count, param));
  layer->param_count++;
  return moon_ok();
}

moon_status moon_layer_table(moon_layer *layer, moon_build *build, const char *name, moon_dtype dtype, int dims, const size_t *shape) {
  moon_module *module = build->module;
  moon_tensor *tensor = layer->twin ? layer->twin->buffers[layer->buffer_count] : NULL;
  if (!layer->twin) {
    const char *path = moon_arena_printf(&module->arena, "%s%s%s", layer->path, *layer->path ? "." : "", name);
    if (!path) return no_memory();
    MOON_TRY(moon_grow(&module->buffers, &module->buffer_cap, module->buffer_count + 1, sizeof *module->buffers));
    MOON_TRY(moon_wrap(moon_tensor_new(dtype, dims, shape, &tensor), "%s: %s", layer->where, layer->kind->name));
    module->buffers[module->buffer_count++] = (moon_named_tensor){path, tensor};
  }
  MOON_TRY(add(&module->arena, &layer->buffers, layer->buffer_count, tensor));
  layer->buffer_count++;
  return moon_ok();
}

moon_status moon_layer_buffer(moon_layer *layer, moon_build *build, const char *name, size_t n, double value) {
  MOON_TRY(moon_layer_table(layer, build, name, build->module->dtype, 1, &n));
  if (layer->twin) return moon_ok();
  moon_tensor_fill(layer->buffers[layer->buffer_count - 1], value);
  return take_weights(layer, name, layer->buffers[layer->buffer_count - 1]);
}

/* ---- layers -------------------------------------------------------------------------------------------------------------- */

static moon_status find_kind(const json_t *spec, moon_layer *layer) {
  const char *type = json_string_value(json_object_get(spec, "type")), *names[KINDS];
  if (!type) return moon_fail(MOON_EINVAL, "%s: a layer needs a \"type\"", layer->where);
  for (size_t i = 0; i < KINDS; i++) {
    if (!strcmp(kinds[i]->name, type)) return layer->kind = kinds[i], moon_ok();
    names[i] = kinds[i]->name;
  }
  const char *near = moon_nearest(type, names, KINDS);
  return moon_fail(MOON_EINVAL, "%s: there is no layer of type \"%.60s\"%s%s%s", layer->where, type,
                   near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

/* Whose parameters a layer has: those of the first of its "share" name, or of what stands at its place in its parent's twin. */
static moon_status find_twin(moon_layer *layer, const moon_layer *parent, const moon_build *build) {
  const json_t *name = json_object_get(layer->spec, "share");
  if (name && !json_is_string(name)) return moon_layer_fail(layer, "\"share\" must be a name");
  for (size_t i = 0; name && i < build->share_count; i++)
    if (!strcmp(build->shares[i].name, json_string_value(name))) layer->twin = build->shares[i].layer;
  if (!layer->twin && parent && parent->twin)
    layer->twin = parent->child_count < parent->twin->child_count ? parent->twin->children[parent->child_count] : NULL;
  if (layer->twin && layer->twin->kind != layer->kind)
    return moon_layer_fail(layer, "cannot share the parameters of the %s at %s", layer->twin->kind->name, layer->twin->where);
  return moon_ok();
}

static moon_status note_share(const moon_layer *layer, moon_build *build) {
  const char *name = json_string_value(json_object_get(layer->spec, "share"));
  if (!name || layer->twin) return moon_ok();
  MOON_TRY(moon_grow(&build->shares, &build->share_cap, build->share_count + 1, sizeof *build->shares));
  build->shares[build->share_count++] = (share){name, layer};
  return moon_ok();
}

/* Layers that bring their weights along say what those are for. */
static moon_status check_width(const moon_layer *layer) {
  size_t width = 0;
  MOON_TRY(moon_spec_size(layer, "width", false, 1, 1 << 24, &width));
  if (!width || (!layer->in.ids && layer->in.dims == 1 && layer->in.shape[0] == width)) return moon_ok();
  const char *file = json_string_value(json_object_get(layer->spec, "file"));
  return moon_layer_fail(layer, "%.100s takes [n, %zu], and what comes in is %s", file ? file : "it", width, moon_form_write(&layer->in).text);
}

/* The options that every layer has. */
static moon_status common(moon_layer *layer, const moon_layer *parent, moon_build *build) {
  layer->frozen = parent && parent->frozen;
  bool freeze = false;
  MOON_TRY(moon_spec_flag(layer, "freeze", &freeze));
  layer->frozen |= freeze;
  MOON_TRY(find_twin(layer, parent, build));
  if (!json_object_get(layer->spec, "input")) return check_width(layer);
  size_t *input = moon_arena_alloc(&build->module->arena, sizeof *input);
  if (!input) return no_memory();
  MOON_TRY(moon_spec_input(layer, build, "input", input));
  layer->input = input;
  layer->in = *moon_build_input(build, *input);
  return check_width(layer);
}

static moon_status make(moon_layer *parent, moon_build *build, const json_t *spec, const char *key, const moon_form *in,
                        moon_layer **out) {
  moon_module *module = build->module;
  moon_layer *layer = moon_arena_calloc(&module->arena, sizeof *layer);
  if (!layer) return no_memory();
  const char *where = json_string_value(json_object_get(spec, "where")), *above = parent ? parent->path : "";
  layer->spec = spec, layer->in = *in, layer->number = module->layer_count;
  layer->where = where ? moon_arena_strdup(&module->arena, where) : parent ? parent->where : "model";
  layer->path = moon_arena_printf(&module->arena, "%s%s%s", above, *above ? "." : "", key);
  layer->key = moon_arena_strdup(&module->arena, key);
  if (!layer->where || !layer->path || !layer->key) return no_memory();
  MOON_TRY(find_kind(spec, layer));
  if (module->layer_count >= MOST_LAYERS)
    return moon_layer_fail(layer, "is one too many: a model has at most %d layers", MOST_LAYERS);
  if (build->depth >= MOST_DEPTH) return moon_layer_fail(layer, "stands in too many layers: at most %d", MOST_DEPTH);
  MOON_TRY(moon_grow(&module->layers, &module->layer_cap, module->layer_count + 1, sizeof *module->layers));
  module->layers[module->layer_count++] = layer;
  MOON_TRY(common(layer, parent, build));
  layer->out = layer->in;
  build->depth++;
  MOON_TRY(layer->kind->build(layer, build));
  build->depth--;
  MOON_TRY(note_share(layer, build));
  layer->spec = NULL; /* the plan's, or already gone */
  *out = layer;
  return moon_ok();
}

moon_status moon_layer_child(moon_layer *parent, moon_build *build, const json_t *spec, const char *key, const moon_form *in,
                             moon_layer **out) {
  MOON_TRY(make(parent, build, spec, key, in, out));
  MOON_TRY(add(&build->module->arena, &parent->children, parent->child_count, *out));
  parent->child_count++;
  return moon_ok();
}

moon_status moon_layer_part(moon_layer *parent, moon_build *build, json_t *spec, const char *key, const moon_form *in,
                            moon_layer **out) {
  if (!spec) return no_memory();
  moon_status status = moon_layer_child(parent, build, spec, key, in, out);
  json_decref(spec);
  return status;
}

/* ---- the module ---------------------------------------------------------------------------------------------------------- */

static moon_status copy_inputs(moon_module *module, const moon_form *inputs, size_t count) {
  module->inputs = moon_arena_alloc(&module->arena, count * sizeof *inputs);
  module->used = moon_arena_calloc(&module->arena, count);
  module->used_once = moon_arena_calloc(&module->arena, count);
  if (!module->inputs || !module->used || !module->used_once) return no_memory();
  module->input_count = count;
  for (size_t i = 0; i < count; i++) {
    module->inputs[i] = inputs[i];
    module->inputs[i].name = moon_arena_strdup(&module->arena, inputs[i].name ? inputs[i].name : "x");
    if (!module->inputs[i].name) return no_memory();
    if (inputs[i].dims < 0 || inputs[i].dims >= MOON_MAX_DIMS)
      return moon_fail(MOON_EINVAL, "the input \"%s\" has %d dimensions; it may have 0 to %d", module->inputs[i].name,
                       inputs[i].dims, MOON_MAX_DIMS - 1);
  }
  return moon_ok();
}

moon_status moon_module_new(const json_t *spec, moon_dtype dtype, const moon_form *inputs, size_t count, moon_rng *rng,
                            moon_module **out) {
  *out = NULL;
  if (!count) return moon_fail(MOON_EINVAL, "a model without inputs");
  moon_module *module = moon_calloc(1, sizeof *module);
  if (!module) return no_memory();
  module->dtype = dtype;
  moon_build build = {.module = module, .rng = rng};
  moon_status status = copy_inputs(module, inputs, count);
  if (!status.code) module->used[0] = reads_flow(spec);
  if (!status.code) status = make(NULL, &build, spec, "", &module->inputs[0], &module->root);
  moon_free(build.shares);
  if (status.code) moon_module_free(module);
  else *out = module;
  return status;
}

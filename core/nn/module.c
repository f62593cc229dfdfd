/* module.c - what a built tree of layers does: it runs, lists its parameters, draws itself, goes. */
#include <stdio.h>
#include <string.h>

#include "nn/layer.h"

void moon_module_free(moon_module *module) {
  if (!module) return;
  for (size_t i = 0; i < module->param_count; i++) moon_param_free(module->params[i]);
  for (size_t i = 0; i < module->layer_count; i++) json_decref(module->layers[i]->options);
  for (size_t i = 0; i < module->buffer_count; i++) moon_tensor_free((moon_tensor *)(uintptr_t)module->buffers[i].tensor);
  moon_free(module->params);
  moon_free(module->buffers);
  moon_free(module->layers);
  moon_arena_free(&module->arena);
  moon_free(module);
}

const moon_form *moon_module_out(const moon_module *module) { return &module->root->out; }
bool moon_module_uses(const moon_module *module, size_t input) { return input < module->input_count && module->used[input]; }
bool moon_module_uses_once(const moon_module *module, size_t input) { return input < module->input_count && module->used_once[input]; }

bool moon_module_ranks_all(const moon_module *module) {
  const moon_layer *last = module->root;
  while (last->kind == &moon_layer_sequential) last = last->children[last->child_count - 1];
  return last->kind == &moon_layer_dot && last->choice;
}

bool moon_module_splits(const moon_module *module) {
  for (size_t i = 0; i < module->layer_count; i++)
    if (module->layers[i]->kind == &moon_layer_batch_norm && !module->layers[i]->frozen) return false;
  return true;
}

void moon_module_freeze(moon_module *module, bool frozen) {
  for (size_t i = 0; i < module->layer_count; i++) module->layers[i]->frozen = frozen;
  for (size_t i = 0; i < module->param_count; i++) module->params[i]->frozen = frozen;
}

moon_param *const *moon_module_params(const moon_module *module, size_t *n) {
  *n = module->param_count;
  return module->params;
}

const moon_named_tensor *moon_module_buffers(const moon_module *module, size_t *n) {
  *n = module->buffer_count;
  return module->buffers;
}

const moon_layer *moon_module_root(const moon_module *module) { return module->root; }
moon_dtype moon_module_dtype(const moon_module *module) { return module->dtype; }

const moon_form *moon_module_inputs(const moon_module *module, size_t *n) {
  *n = module->input_count;
  return module->inputs;
}

moon_layer_view moon_layer_look(const moon_layer *layer) {
  return (moon_layer_view){
      .kind = layer->kind->name,
      .path = layer->path,
      .where = layer->where,
      .choice = layer->kind->choices ? layer->kind->choices[layer->choice] : NULL,
      .in = &layer->in,
      .out = &layer->out,
      .input = layer->input,
      .children = layer->children,
      .params = layer->params,
      .buffers = layer->buffers,
      .child_count = layer->child_count,
      .param_count = layer->param_count,
      .buffer_count = layer->buffer_count,
      .size = layer->size,
      .other = layer->other,
      .epsilon = layer->epsilon,
      .flag = layer->flag,
  };
}

uint64_t moon_module_version(const moon_module *module) {
  uint64_t sum = 0;
  for (size_t i = 0; i < module->param_count; i++) sum += moon_tensor_version(module->params[i]->value);
  for (size_t i = 0; i < module->buffer_count; i++) sum += moon_tensor_version(module->buffers[i].tensor);
  return sum;
}

/* ---- running ------------------------------------------------------------------------------------------------------------- */

moon_status moon_layer_leaf(const moon_layer *layer, const moon_pass *pass, size_t param, moon_var *out) {
  return moon_tape_leaf(pass->tape, layer->params[param]->value, moon_param_sink(layer->params[param]), out);
}

moon_status moon_layer_forward(const moon_layer *layer, const moon_pass *pass, const moon_value *in, moon_value *out) {
  moon_value from = layer->input ? pass->inputs[*layer->input] : *in, to = from; /* `out` may be `in` */
  char name[64];
  snprintf(name, sizeof name, "%s %s", layer->key, layer->kind->name);
  MOON_TRY(moon_tape_scope_push(pass->tape, *layer->key ? name : layer->kind->name));
  moon_status status = layer->kind->forward(layer, pass, &from, &to);
  moon_tape_scope_pop(pass->tape);
  /* The innermost layer names itself; those around it pass the message on. */
  bool is_placed = layer->kind->is_container || !strncmp(status.message, layer->where, strlen(layer->where));
  if (status.code)
    return is_placed ? status : moon_wrap(status, "%s: layer %s (%s)", layer->where, layer->path, layer->kind->name);
  *out = to;
  return status;
}

moon_status moon_module_forward(const moon_module *module, const moon_pass *pass, moon_var *y) {
  moon_value out = {.lengths = NULL};
  MOON_TRY(moon_layer_forward(module->root, pass, &pass->inputs[0], &out));
  *y = out.x;
  return moon_ok();
}

static moon_status add_penalty(const moon_layer *layer, moon_tape *tape, bool *any, moon_var *penalty) {
  moon_var w, one;
  moon_param *weight = layer->params[0];
  MOON_TRY(moon_tape_leaf(tape, weight->value, moon_param_sink(weight), &w));
  MOON_TRY(moon_op_mul(tape, w, w, &one));
  MOON_TRY(moon_op_sum(tape, one, &one));
  MOON_TRY(moon_op_scale(tape, one, layer->l2, &one));
  if (*any) MOON_TRY(moon_op_add(tape, *penalty, one, &one));
  *penalty = one;
  *any = true;
  return moon_ok();
}

moon_status moon_module_penalty(const moon_module *module, moon_tape *tape, bool *any, moon_var *penalty) {
  *any = false;
  for (size_t i = 0; i < module->layer_count; i++) {
    const moon_layer *layer = module->layers[i];
    if (layer->l2 > 0 && !layer->twin && !layer->params[0]->frozen) MOON_TRY(add_penalty(layer, tape, any, penalty));
  }
  return moon_ok();
}

/* ---- drawing ------------------------------------------------------------------------------------------------------------- */

/* 1234567 as "1,234,567". */
static const char *grouped(size_t n, char out[32]) {
  char digits[24];
  int count = snprintf(digits, sizeof digits, "%zu", n), at = 0;
  for (int i = 0; i < count; i++) {
    if (i && (count - i) % 3 == 0) out[at++] = ',';
    out[at++] = digits[i];
  }
  out[at] = 0;
  return out;
}

static size_t own_count(const moon_layer *layer) {
  size_t n = 0;
  for (size_t i = 0; i < layer->param_count && !layer->twin; i++) n += moon_tensor_count(layer->params[i]->value);
  for (size_t i = 0; i < layer->buffer_count && layer->options; i++) n += moon_tensor_count(layer->buffers[i]);
  return n;
}

static void add_line(const moon_layer *layer, moon_buf *out) {
  char number[32];
  const char *note = layer->twin && layer->param_count ? "  shared" : layer->frozen && layer->param_count ? "  frozen" : "";
  moon_buf_printf(out, "%-32s %-14s %-20s %12s%s\n", *layer->path ? layer->path : "model", layer->kind->name,
                  moon_form_write(&layer->out).text, grouped(own_count(layer), number), note);
}

json_t *moon_module_describe(const moon_module *module) {
  json_t *list = json_array();
  for (size_t i = 0; list && i < module->layer_count; i++) {
    const moon_layer *layer = module->layers[i];
    json_t *one = json_pack("{s:s, s:s, s:s, s:I, s:b, s:b}", "layer", *layer->path ? layer->path : "model", "type", layer->kind->name, "output",
                            moon_form_write(&layer->out).text, "parameters", (json_int_t)own_count(layer), "shared",
                            layer->twin && layer->param_count, "frozen", layer->frozen && layer->param_count);
    if (!json_array_append_new(list, one)) continue;
    json_decref(list);
    return NULL;
  }
  return list;
}

moon_status moon_module_summary(const moon_module *module, moon_buf *out) {
  size_t all = moon_module_closed_count(module, NULL), trained = 0;
  char a[32], b[32];
  moon_buf_printf(out, "%-32s %-14s %-20s %12s\n", "layer", "type", "output", "parameters");
  for (size_t i = 0; i < module->layer_count; i++) add_line(module->layers[i], out);
  for (size_t i = 0; i < module->param_count; i++) {
    size_t n = moon_tensor_count(module->params[i]->value);
    all += n, trained += module->params[i]->frozen ? 0 : n;
  }
  moon_buf_printf(out, "%s parameters, %s of them trained\n", grouped(all, a), grouped(trained, b));
  return out->failed ? moon_fail(MOON_ENOMEM, "no memory for a summary") : moon_ok();
}

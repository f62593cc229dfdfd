/* optim.c - an optimiser over a list of parameters: who is in which group, what is kept for each, and the step.
 *
 * All memory is taken when it is made, so that a step cannot run out of it half way and a steady loop allocates nothing. */
#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nn/optim.h"

static const char *const state_names[MOON_OPTIMIZERS][MOON_SLOTS] = {
    {"velocity", NULL}, {"m", "v"}, {"m", "v"}, {"squares", NULL}, {"z", "squares"}};

static const char *state_name(const moon_optimizer *o, int i) {
  if (o->spec.kind == MOON_SGD && !(o->spec.momentum > 0)) return NULL;
  return state_names[o->spec.kind][i];
}

/* ---- groups ----------------------------------------------------------------------------------------------------------------- */

/* What is not decayed unless a group says so: embedding tables, whose rare rows would be decayed by how often they are seen, and vectors:
 * biases, and the gains of norms. */
static bool decays(const moon_param *param) {
  return !param->sparse && moon_tensor_dims(param->value) >= 2;
}

static moon_status group_number(const json_t *group, const char *key, double *into) {
  const json_t *value = json_object_get(group, key);
  if (!value || json_is_null(value)) return moon_ok();
  double given = json_number_value(value);
  if (!json_is_number(value) || !(given >= 0) || isinf(given))
    return moon_fail(MOON_EINVAL, "a group of parameters: %s is %g; it must be 0 or more", key, given);
  *into = given;
  return moon_ok();
}

static moon_status no_such_params(const moon_optimizer *o, const char *pattern) {
  moon_buf names = {0};
  for (size_t i = 0; i < o->n && i < 6; i++) moon_buf_printf(&names, "%s%s", i ? ", " : "", o->slots[i].param->name);
  moon_status status = moon_fail(MOON_EINVAL, "a group of parameters: '%s' fits none (there are %s%s)", pattern,
                                 names.failed ? "others" : names.data, o->n > 6 ? ", ..." : "");
  moon_buf_free(&names);
  return status;
}

/* Groups from last to first, so that the first that fits a parameter has the last word. */
static moon_status apply_groups(moon_optimizer *o, const json_t *groups) {
  for (size_t g = json_array_size(groups); g-- > 0;) {
    const json_t *group = json_array_get(groups, g);
    const char *pattern = json_string_value(json_object_get(group, "params"));
    size_t fitting = 0;
    if (!pattern) return moon_fail(MOON_EINVAL, "a group of parameters has no pattern");
    for (size_t i = 0; i < o->n; i++) {
      moon_slot *slot = &o->slots[i];
      if (fnmatch(pattern, slot->param->name, 0)) continue;
      fitting++;
      slot->lr = o->spec.lr, slot->decay = decays(slot->param) ? o->spec.weight_decay : 0;
      MOON_TRY(group_number(group, "lr", &slot->lr));
      MOON_TRY(group_number(group, "weight_decay", &slot->decay));
      if (o->spec.kind == MOON_FTRL && (!((float)slot->lr > 0) || slot->decay > 0))
        return moon_fail(MOON_EINVAL, "a group of parameters: ftrl wants an lr above 0 and no weight_decay");
    }
    if (!fitting) return no_such_params(o, pattern);
  }
  return moon_ok();
}

/* ---- life ------------------------------------------------------------------------------------------------------------------- */

static double get(const moon_tensor *t, size_t i) {
  return moon_tensor_dtype(t) == MOON_F32 ? (double)((const float *)moon_tensor_data(t))[i]
                                          : ((const double *)moon_tensor_data(t))[i];
}

static void put(moon_tensor *t, size_t i, double value) {
  if (moon_tensor_dtype(t) == MOON_F32)
    ((float *)moon_tensor_data(t))[i] = (float)value;
  else
    ((double *)moon_tensor_data(t))[i] = value;
}

/* z such that the weights follow from it as they stand: what they were initialised to is where FTRL begins. */
static void begin_ftrl(const moon_optimizer *o, moon_slot *slot) {
  const moon_optimizer_spec *s = &o->spec;
  double stiffness = (s->beta + sqrt(s->initial)) / slot->lr + s->l2;
  for (size_t i = 0; i < moon_tensor_count(slot->param->value); i++) {
    double w = get(slot->param->value, i);
    put(slot->state[0], i, -w * stiffness - (w > 0 ? s->l1 : w < 0 ? -s->l1 : 0));
  }
}

static moon_status make_state(const moon_optimizer *o, moon_slot *slot) {
  const moon_tensor *like = slot->param->value;
  for (int i = 0; i < MOON_SLOTS && state_name(o, i); i++)
    MOON_TRY(moon_tensor_new(moon_tensor_dtype(like), moon_tensor_dims(like), moon_tensor_shape(like), &slot->state[i]));
  if (o->spec.kind == MOON_ADAGRAD) moon_tensor_fill(slot->state[0], o->spec.initial);
  if (o->spec.kind == MOON_FTRL) moon_tensor_fill(slot->state[1], o->spec.initial), begin_ftrl(o, slot);
  return moon_ok();
}

static moon_status build(moon_optimizer *o, const json_t *json, moon_param *const *params, size_t n, uint64_t steps) {
  MOON_TRY(moon_optimizer_spec_read(json, steps, &o->spec));
  o->slots = moon_calloc(n, sizeof *o->slots);
  if (!o->slots) return moon_fail(MOON_ENOMEM, "no memory for an optimizer of %zu parameters", n);
  o->n = n;
  for (size_t i = 0; i < n; i++)
    o->slots[i] = (moon_slot){.param = params[i], .lr = o->spec.lr, .decay = decays(params[i]) ? o->spec.weight_decay : 0};
  MOON_TRY(apply_groups(o, json_object_get(json, "groups")));
  for (size_t i = 0; i < n; i++)
    MOON_TRY(moon_wrap(make_state(o, &o->slots[i]), "%s: \"%s\"", moon_optimizer_name(o->spec.kind), params[i]->name));
  return moon_ok();
}

moon_status moon_optimizer_new(const json_t *json, moon_param *const *params, size_t n, uint64_t steps, moon_optimizer **out) {
  *out = NULL;
  moon_optimizer *o = moon_calloc(1, sizeof *o);
  if (!o) return moon_fail(MOON_ENOMEM, "no memory for an optimizer");
  moon_status status = build(o, json, params, n, steps);
  if (status.code)
    moon_optimizer_free(o);
  else
    *out = o;
  return status;
}

void moon_optimizer_free(moon_optimizer *o) {
  if (!o) return;
  for (size_t i = 0; i < o->n; i++)
    for (int s = 0; s < MOON_SLOTS; s++) moon_tensor_free(o->slots[i].state[s]);
  moon_free(o->slots);
  moon_free(o);
}

/* ---- the step --------------------------------------------------------------------------------------------------------------- */

double moon_optimizer_lr(const moon_optimizer *o) {
  return o->spec.lr * moon_schedule_at(&o->spec.schedule, o->step ? o->step : 1);
}
uint64_t moon_optimizer_steps(const moon_optimizer *o) {
  return o->step;
}

static double global_norm(const moon_optimizer *o) {
  double squares = 0;
  for (size_t i = 0; i < o->n; i++)
    if (!o->slots[i].param->frozen) squares += moon_gradient_squares(o->slots[i].param);
  return sqrt(squares);
}

moon_status moon_optimizer_step(moon_optimizer *o) {
  const moon_optimizer_spec *spec = &o->spec;
  double scale = 1;
  if (isfinite(spec->clip_norm)) {
    double norm = global_norm(o);
    if (!isfinite(norm))
      return moon_fail(MOON_EINVAL, "%s: the norm of the gradient is %f", moon_optimizer_name(spec->kind), norm);
    if (norm > spec->clip_norm) scale = spec->clip_norm / norm;
  }
  double t = (double)++o->step, factor = moon_schedule_at(&spec->schedule, o->step), correction = 1;
  if (spec->kind == MOON_ADAM || spec->kind == MOON_ADAMW) correction = sqrt(1 - pow(spec->beta2, t)) / (1 - pow(spec->beta1, t));
  for (size_t i = 0; i < o->n; i++) {
    const moon_slot *slot = &o->slots[i];
    double lr = slot->lr * factor;
    if (slot->param->frozen) {
      moon_param_zero_grad(slot->param);
      continue;
    }
    moon_update_run(&(moon_update){.spec = spec, .lr = lr, .rate = lr * correction, .decay = slot->decay, .scale = scale}, slot);
    moon_tensor_touch(slot->param->value);
  }
  return moon_ok();
}

/* ---- its state as safetensors ------------------------------------------------------------------------------------------------- */

/* "dense.0.weight/m" of every tensor that is kept, and "step"; the names lie in the arena. */
typedef struct listing {
  moon_arena names;
  moon_named_tensor *named;
  moon_tensor *step;
  size_t n;
} listing;

static void listing_end(listing *list) {
  moon_arena_free(&list->names);
  moon_tensor_free(list->step);
}

static moon_status list_state(const moon_optimizer *o, listing *list) {
  *list = (listing){0};
  MOON_TRY(moon_tensor_new(MOON_I64, 1, (size_t[]){1}, &list->step));
  list->named = moon_arena_alloc(&list->names, (MOON_SLOTS * o->n + 1) * sizeof *list->named);
  if (!list->named) return moon_fail(MOON_ENOMEM, "no memory to list an optimizer's state");
  *(int64_t *)moon_tensor_data(list->step) = (int64_t)o->step;
  list->named[list->n++] = (moon_named_tensor){"step", list->step};
  for (size_t i = 0; i < o->n; i++)
    for (int s = 0; s < MOON_SLOTS && o->slots[i].state[s]; s++) {
      const char *name = moon_arena_printf(&list->names, "%s/%s", o->slots[i].param->name, state_name(o, s));
      if (!name) return moon_fail(MOON_ENOMEM, "no memory to list an optimizer's state");
      list->named[list->n++] = (moon_named_tensor){name, o->slots[i].state[s]};
    }
  return moon_ok();
}

moon_status moon_optimizer_save(const moon_optimizer *o, moon_buf *safetensors) {
  listing list;
  json_t *metadata = json_pack("{s:s}", "optimizer", moon_optimizer_name(o->spec.kind));
  moon_status status = list_state(o, &list);
  if (!status.code) status = moon_safetensors_write_with(metadata, list.named, list.n, safetensors);
  listing_end(&list);
  json_decref(metadata);
  return status;
}

static bool is_listed(const listing *list, const char *name) {
  size_t i = 0;
  while (i < list->n && strcmp(list->named[i].name, name)) i++;
  return i < list->n;
}

/* The file holds nothing of another kind of optimiser or of other parameters. */
static moon_status check_whose(const moon_optimizer *o, const moon_safetensors *file, const listing *list) {
  const char *kind = moon_safetensors_metadata(file, "optimizer"), *ours = moon_optimizer_name(o->spec.kind), *name;
  moon_dtype dtype;
  int dims;
  const size_t *shape;
  moon_status status;
  if (kind && strcmp(kind, ours)) return moon_fail(MOON_EINVAL, "the state is of the optimizer %s, and this is %s", kind, ours);
  for (size_t i = 0; !(status = moon_safetensors_at(file, i, &name, &dtype, &dims, &shape)).code; i++)
    if (!is_listed(list, name)) return moon_fail(MOON_EINVAL, "the state holds \"%s\", of which this optimizer (%s) has nothing", name, ours);
  return status.code == MOON_ENOTFOUND ? moon_ok() : status;
}

/* Everything is read beside what is there, and takes its place when all of it has been. */
static moon_status read_beside(const moon_safetensors *file, const listing *list, moon_tensor **fresh) {
  for (size_t i = 0; i < list->n; i++) {
    const moon_tensor *like = list->named[i].tensor;
    MOON_TRY(moon_tensor_new(moon_tensor_dtype(like), moon_tensor_dims(like), moon_tensor_shape(like), &fresh[i]));
    MOON_TRY(moon_safetensors_read(file, list->named[i].name, fresh[i]));
  }
  int64_t step = *(const int64_t *)moon_tensor_data(fresh[0]);
  return step >= 0 ? moon_ok() : moon_fail(MOON_EFORMAT, "an optimizer's step is %lld", (long long)step);
}

moon_status moon_optimizer_load(moon_optimizer *o, const char *bytes, size_t n) {
  listing list;
  moon_safetensors *file = NULL;
  moon_status status = list_state(o, &list);
  moon_tensor **fresh = status.code ? NULL : moon_calloc(list.n, sizeof *fresh);
  if (!status.code && !fresh) status = moon_fail(MOON_ENOMEM, "no memory to read an optimizer's state");
  if (!status.code) status = moon_safetensors_open(bytes, n, &file);
  if (!status.code) status = read_beside(file, &list, fresh);
  if (!status.code) status = check_whose(o, file, &list);
  if (!status.code) {
    o->step = (uint64_t) * (const int64_t *)moon_tensor_data(fresh[0]);
    size_t at = 1;
    for (size_t i = 0; i < o->n; i++)
      for (int s = 0; s < MOON_SLOTS && o->slots[i].state[s]; s++, at++) {
        moon_tensor *old = o->slots[i].state[s];
        o->slots[i].state[s] = fresh[at], fresh[at] = old;
      }
  }
  for (size_t i = 0; fresh && i < list.n; i++) moon_tensor_free(fresh[i]);
  moon_free(fresh);
  moon_safetensors_close(file);
  listing_end(&list);
  return status;
}

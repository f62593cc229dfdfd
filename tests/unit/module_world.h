/* module_world.h - a module, its inputs full of random numbers, and its gradients by central differences: for tests of layers. */
#ifndef TEST_MODULE_WORLD_H
#define TEST_MODULE_WORLD_H
#include <stdlib.h>

#include "nn/module.h"
#include "numeric.h"

enum { WORLD_ROWS = 3, WORLD_STEPS = 4, WORLD_WIDTH = 6, WORLD_IDS = 7, WORLD_INPUTS = 6 };

/* x [n, 6], seq [n, 4, 6] with lengths, fields [n, 3, 2], id [n], ids [n, 4], free [n, 4, 6] without lengths */
static const moon_form world_forms[WORLD_INPUTS] = {
    {.name = "x", .dims = 1, .shape = {WORLD_WIDTH}},
    {.name = "seq", .dims = 2, .shape = {WORLD_STEPS, WORLD_WIDTH}},
    {.name = "fields", .dims = 2, .shape = {3, 2}},
    {.name = "id", .ids = WORLD_IDS},
    {.name = "ids", .ids = WORLD_IDS, .dims = 1, .shape = {WORLD_STEPS}},
    {.name = "free", .dims = 2, .shape = {WORLD_STEPS, WORLD_WIDTH}},
};

typedef struct world {
  const char *spec;
  moon_module *module;
  moon_dtype dtype;
  moon_tape *tape;
  moon_tensor *value[WORLD_INPUTS], *grad[WORLD_INPUTS], *weights; /* the loss is the sum of the output times weights */
  uint32_t id[WORLD_ROWS], ids[WORLD_ROWS * WORLD_STEPS], lengths[WORLD_ROWS];
  bool training;
  uint64_t step;
} world;

static inline json_t *world_json(const char *text) {
  json_error_t error;
  json_t *json = json_loads(text, 0, &error);
  if (!json) fail_msg("%s: %s", text, error.text);
  return json;
}

static inline moon_status world_module(const char *text, moon_dtype dtype, moon_module **out) {
  json_t *json = world_json(text);
  moon_rng rng;
  moon_rng_seed(&rng, 11, 0);
  moon_status status = moon_module_new(json, dtype, world_forms, WORLD_INPUTS, &rng, out);
  json_decref(json);
  return status;
}

static inline void world_fill(world *w, moon_dtype dtype) {
  moon_rng rng;
  moon_rng_seed(&rng, 3, 1);
  w->dtype = dtype;
  OK(moon_tape_new(&w->tape));
  for (size_t i = 0; i < WORLD_INPUTS; i++) {
    const moon_form *form = &world_forms[i];
    size_t shape[MOON_MAX_DIMS] = {WORLD_ROWS};
    for (int d = 0; d < form->dims; d++) shape[d + 1] = form->shape[d];
    if (form->ids) continue;
    w->value[i] = random_tensor(&rng, dtype, 1 + form->dims, shape, -1, 1);
    OK(moon_tensor_new(dtype, 1 + form->dims, shape, &w->grad[i]));
  }
  w->weights = random_tensor(&rng, dtype, SHAPE(2000), -1, 1);
  memcpy(w->id, (uint32_t[]){2, 0, 6}, sizeof w->id);
  memcpy(w->ids, (uint32_t[]){1, 2, 2, 0, 5, 0, 0, 0, 3, 4, 5, 6}, sizeof w->ids);
  memcpy(w->lengths, (uint32_t[]){3, 1, 4}, sizeof w->lengths);
}

/* A world with the parameters moved off their tidy starts, so that zeros and ones hide nothing. */
static inline void world_new(world *w, const char *text, moon_dtype dtype) {
  *w = (world){.spec = text};
  world_fill(w, dtype);
  OK(world_module(text, dtype, &w->module));
  moon_rng rng;
  moon_rng_seed(&rng, 5, 2);
  size_t n;
  moon_param *const *params = moon_module_params(w->module, &n);
  for (size_t i = 0; i < n; i++)
    for (size_t k = 0; k < moon_tensor_count(params[i]->value); k++) {
      double by = moon_rng_uniform(&rng) - 0.5;
      if (dtype == MOON_F32) ((float *)moon_tensor_data(params[i]->value))[k] += (float)by;
      else ((double *)moon_tensor_data(params[i]->value))[k] += by;
    }
}

static inline void world_free(world *w) {
  moon_module_free(w->module);
  moon_tape_free(w->tape);
  moon_tensor_free(w->weights);
  for (size_t i = 0; i < WORLD_INPUTS; i++) moon_tensor_free(w->value[i]), moon_tensor_free(w->grad[i]);
}

static inline moon_status world_try(world *w, moon_var *y) {
  moon_value values[WORLD_INPUTS] = {{.lengths = NULL}};
  moon_tape_reset(w->tape);
  for (size_t i = 0; i < WORLD_INPUTS; i++)
    if (w->value[i]) MOON_TRY(moon_tape_leaf(w->tape, w->value[i], w->grad[i], &values[i].x));
  values[1].lengths = w->lengths;
  values[3].ids = w->id, values[4].ids = w->ids;
  const moon_pass pass = {w->tape, WORLD_ROWS, values, w->training, 9, w->step};
  return moon_module_forward(w->module, &pass, y);
}
static inline moon_var world_forward(world *w) {
  moon_var y;
  OK(world_try(w, &y));
  return y;
}

static inline double world_number(moon_dtype dtype, const void *data, size_t at) {
  return dtype == MOON_F32 ? ((const float *)data)[at] : ((const double *)data)[at];
}

/* The output into out [count]; answers how many. */
static inline size_t world_output(world *w, double *out) {
  moon_var y = world_forward(w);
  size_t n = moon_var_count(w->tape, y);
  for (size_t i = 0; i < n; i++) out[i] = world_number(w->dtype, moon_var_data(w->tape, y), i);
  return n;
}

static inline moon_var world_loss(world *w) {
  moon_var y = world_forward(w), c, loss, penalty;
  size_t n = moon_var_count(w->tape, y);
  bool any;
  OK(moon_op_reshape(w->tape, y, 1, &n, &y));
  OK(moon_tape_constant(w->tape, w->dtype, 1, &n, moon_tensor_data(w->weights), &c));
  OK(moon_op_mul(w->tape, y, c, &loss));
  OK(moon_op_sum(w->tape, loss, &loss));
  OK(moon_module_penalty(w->module, w->tape, &any, &penalty));
  if (any) OK(moon_op_add(w->tape, loss, penalty, &loss));
  return loss;
}

/* One number's gradient against (loss(x + h) - loss(x - h)) / 2h. f64 */
static inline void world_check(world *w, const char *what, double *x, double got, size_t at) {
  const double h = 1e-5, kept = *x;
  double side[2];
  for (int i = 0; i < 2; i++) {
    *x = i ? kept - h : kept + h;
    side[i] = *(const double *)moon_var_data(w->tape, world_loss(w));
  }
  *x = kept;
  double want = (side[0] - side[1]) / (2 * h), size = fmax(1, fmax(fabs(got), fabs(want)));
  if (!(fabs(got - want) <= 1e-6 * size))
    fail_msg("%s: gradient of %s[%zu] is %.9g, by differences %.9g", w->spec, what, at, got, want);
}

/* Gradients of all parameters (frozen ones: zero) and inputs that are numbers. */
static inline void world_gradients(world *w) {
  size_t n;
  moon_param *const *params = moon_module_params(w->module, &n);
  OK(moon_tape_backward(w->tape, world_loss(w)));
  for (size_t i = 0; i < n; i++) {
    double *x = moon_tensor_data(params[i]->value);
    const double *got = moon_tensor_data(params[i]->grad);
    for (size_t k = 0; k < moon_tensor_count(params[i]->value); k++) {
      if (params[i]->frozen) assert_true(got[k] == 0);
      else world_check(w, params[i]->name, x + k, got[k], k);
    }
  }
  for (size_t i = 0; i < WORLD_INPUTS; i++)
    for (size_t k = 0; w->value[i] && k < moon_tensor_count(w->value[i]); k++)
      world_check(w, world_forms[i].name, (double *)moon_tensor_data(w->value[i]) + k,
                  ((double *)moon_tensor_data(w->grad[i]))[k], k);
}

#endif

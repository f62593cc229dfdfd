/* optimizer.c - adam or sgd behind one handle. */
#include "nn/optimizer.h"

#include <string.h>

struct moon_optimizer {
  moon_adam adam;
  moon_sgd sgd;
  bool is_sgd;
  uint64_t steps;
  size_t n;
  moon_param *params[];
};

static double number(const json_t *spec, const char *name, double otherwise) {
  const json_t *value = json_object_get(spec, name);
  return json_is_number(value) ? json_number_value(value) : otherwise;
}

moon_status moon_optimizer_new(const json_t *spec, moon_param *const *params, size_t n, uint64_t steps, moon_optimizer **out) {
  (void)steps;
  *out = NULL;
  const char *type = json_string_value(json_object_get(spec, "type"));
  if (!type || (strcmp(type, "adam") && strcmp(type, "sgd")))
    return moon_fail(MOON_EINVAL, "there is no optimizer '%s'; there are adam and sgd", type ? type : "");
  moon_optimizer *o = moon_calloc(1, sizeof *o + n * sizeof *params);
  if (!o) return moon_fail(MOON_ENOMEM, "no memory for an optimizer");
  o->is_sgd = !strcmp(type, "sgd");
  double lr = number(spec, "lr", o->is_sgd ? 0.01 : 0.001);
  o->sgd.lr = lr;
  o->adam = (moon_adam){lr, number(spec, "beta1", 0.9), number(spec, "beta2", 0.999), number(spec, "epsilon", 1e-7), 0};
  o->n = n;
  memcpy(o->params, params, n * sizeof *params);
  *out = o;
  return moon_ok();
}

void moon_optimizer_free(moon_optimizer *o) { moon_free(o); }

moon_status moon_optimizer_step(moon_optimizer *o) {
  MOON_TRY(o->is_sgd ? moon_sgd_step(&o->sgd, o->params, o->n) : moon_adam_step(&o->adam, o->params, o->n));
  o->steps++;
  return moon_ok();
}

double moon_optimizer_lr(const moon_optimizer *o) { return o->sgd.lr; }
uint64_t moon_optimizer_steps(const moon_optimizer *o) { return o->steps; }

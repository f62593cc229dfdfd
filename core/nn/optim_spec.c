/* optim_spec.c - an optimiser's numbers from the plan's JSON, each checked, and the learning rate's way through the training. */
#include <math.h>
#include <string.h>

#include "nn/optim.h"

static const char *const optimizers[] = {"sgd", "adam", "adamw", "adagrad", "ftrl"};
static const char *const schedules[] = {"constant", "linear", "cosine", "step", "exponential"};
static const double default_lr[] = {0.01, 0.001, 0.001, 0.01, 0.1};

const char *moon_optimizer_name(moon_optimizer_kind kind) {
  return optimizers[kind];
}

static moon_status find(const char *what, const json_t *json, const char *const *names, int n, int *out) {
  const char *name = json_string_value(json_object_get(json, "type"));
  for (int i = 0; name && i < n; i++)
    if (!strcmp(name, names[i])) {
      *out = i;
      return moon_ok();
    }
  if (!name) return moon_fail(MOON_EINVAL, "the %s has no type", what);
  const char *near = moon_nearest(name, names, (size_t)n);
  if (near) return moon_fail(MOON_EINVAL, "there is no %s '%s'; did you mean '%s'?", what, name, near);
  return moon_fail(MOON_EINVAL, "there is no %s '%s'; there are %s, %s, %s, %s and %s", what, name, names[0], names[1], names[2],
                   names[3], names[4]);
}

typedef enum bounds { ABOVE_ZERO, FROM_ZERO, SHARE, BELOW_ONE } bounds; /* > 0; >= 0; 0 to 1; 0 to below 1 */

static bool within(double value, bounds range) {
  if (!isfinite(value) || value < 0) return false;
  if (range == ABOVE_ZERO) return (float)value > 0; /* the arithmetic is in floats */
  return range == FROM_ZERO || value < 1 || (range == SHARE && value <= 1);
}

static moon_status number(const char *owner, const json_t *json, const char *key, bounds range, double otherwise, double *out) {
  static const char *const texts[] = {"above 0", "0 or more", "from 0 to 1", "from 0 to below 1"};
  const json_t *value = json_object_get(json, key);
  *out = otherwise;
  if (!value || json_is_null(value)) return moon_ok();
  if (!json_is_number(value)) return moon_fail(MOON_EINVAL, "%s: %s is not a number", owner, key);
  if (!within(json_number_value(value), range))
    return moon_fail(MOON_EINVAL, "%s: %s is %g; it must be %s", owner, key, json_number_value(value), texts[range]);
  *out = json_number_value(value);
  return moon_ok();
}

/* ---- schedules -------------------------------------------------------------------------------------------------------------- */

static moon_status read_schedule(const json_t *json, uint64_t steps, moon_schedule *out) {
  int kind = MOON_CONSTANT;
  if (json && !json_is_null(json)) MOON_TRY(find("schedule", json, schedules, MOON_SCHEDULES, &kind));
  const char *name = schedules[kind];
  out->kind = (moon_schedule_kind)kind;
  MOON_TRY(number(name, json, "warmup", FROM_ZERO, 0, &out->warmup));
  MOON_TRY(number(name, json, "floor", SHARE, 0, &out->floor));
  MOON_TRY(number(name, json, "factor", ABOVE_ZERO, 0.5, &out->factor));
  MOON_TRY(number(name, json, "every", ABOVE_ZERO, 1000, &out->every));
  return number(name, json, "steps", ABOVE_ZERO, (double)steps, &out->steps);
}

double moon_schedule_at(const moon_schedule *s, uint64_t t) {
  const double pi = 3.14159265358979323846;
  if ((double)t <= s->warmup) return (double)t / s->warmup;
  double since = (double)t - 1 - s->warmup, length = s->steps - s->warmup;
  double gone =
      length > 0 && since < length ? since / length : 1; /* below 1 in the last step: no step is wasted on a rate of zero */
  switch (s->kind) {
    case MOON_DOWN_LINE:
      return 1 - (1 - s->floor) * gone;
    case MOON_COSINE:
      return s->floor + (1 - s->floor) * (1 + cos(pi * gone)) / 2;
    case MOON_STAIRS:
      return pow(s->factor, floor(since / s->every));
    case MOON_EXPONENTIAL:
      return pow(s->factor, since / s->every);
    default:
      return 1;
  }
}

/* ---- optimisers ------------------------------------------------------------------------------------------------------------- */

static moon_status read_clipping(const char *name, const json_t *json, moon_optimizer_spec *out) {
  MOON_TRY(number(name, json, "clip_norm", ABOVE_ZERO, INFINITY, &out->clip_norm));
  return number(name, json, "clip_value", ABOVE_ZERO, INFINITY, &out->clip_value);
}

/* FTRL's weights are a function of sums that hold the learning rate of their time: changing it would move all of them at once. */
static moon_status check_ftrl(const moon_optimizer_spec *spec) {
  if (spec->schedule.kind != MOON_CONSTANT || spec->schedule.warmup > 0)
    return moon_fail(MOON_EINVAL, "ftrl: its learning rate falls by itself, for each weight; it takes no schedule");
  if (spec->weight_decay > 0) return moon_fail(MOON_EINVAL, "ftrl: weight decay is l2 here");
  return moon_ok();
}

moon_status moon_optimizer_spec_read(const json_t *json, uint64_t steps, moon_optimizer_spec *out) {
  int kind = 0;
  *out = (moon_optimizer_spec){0};
  MOON_TRY(find("optimizer", json, optimizers, MOON_OPTIMIZERS, &kind));
  const char *name = optimizers[kind];
  out->kind = (moon_optimizer_kind)kind;
  out->nesterov = json_is_true(json_object_get(json, "nesterov"));
  MOON_TRY(number(name, json, "lr", kind == MOON_FTRL ? ABOVE_ZERO : FROM_ZERO, default_lr[kind], &out->lr));
  MOON_TRY(number(name, json, "weight_decay", FROM_ZERO, kind == MOON_ADAMW ? 0.01 : 0, &out->weight_decay));
  MOON_TRY(number(name, json, "momentum", BELOW_ONE, 0, &out->momentum));
  MOON_TRY(number(name, json, "beta1", BELOW_ONE, 0.9, &out->beta1));
  MOON_TRY(number(name, json, "beta2", BELOW_ONE, 0.999, &out->beta2));
  MOON_TRY(number(name, json, "epsilon", ABOVE_ZERO, 1e-7, &out->epsilon));
  MOON_TRY(number(name, json, "initial", FROM_ZERO, 0.1, &out->initial));
  MOON_TRY(number(name, json, "beta", FROM_ZERO, 1, &out->beta));
  MOON_TRY(number(name, json, "l1", FROM_ZERO, 0, &out->l1));
  MOON_TRY(number(name, json, "l2", FROM_ZERO, 0, &out->l2));
  if (out->nesterov && !(out->momentum > 0)) return moon_fail(MOON_EINVAL, "sgd: nesterov needs a momentum above 0");
  MOON_TRY(read_clipping(name, json, out));
  MOON_TRY(read_schedule(json_object_get(json, "schedule"), steps, &out->schedule));
  if (kind == MOON_FTRL && out->beta == 0 && out->initial == 0 && out->l2 == 0)
    return moon_fail(MOON_EINVAL, "ftrl: beta, initial and l2 must not all be 0");
  return kind == MOON_FTRL ? check_ftrl(out) : moon_ok();
}

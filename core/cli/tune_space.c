/* tune_space.c - the values that a recipe lets be searched, and the points of that space that are tried.
 *
 * A pick is what m.tune is told: the place of a value in its list, or a number. Trial i at random is drawn from a stream of its own, so it
 * is the same however many trials there are and whoever runs them. */
#include <math.h>
#include <string.h>

#include "cli/tune.h"

enum { DRAWS = 200 }; /* that may fall on what was tried before */

/* ---- reading it --------------------------------------------------------------------------------------------------------- */

static moon_status read_param(const json_t *spec, tune_param *out) {
  const char *kind = json_string_value(json_object_get(spec, "kind"));
  *out = (tune_param){.name = json_string_value(json_object_get(spec, "name")),
                      .where = json_string_value(json_object_get(spec, "where")),
                      .values = json_object_get(spec, "values"),
                      .low = json_number_value(json_object_get(spec, "low")),
                      .high = json_number_value(json_object_get(spec, "high")),
                      .step = json_number_value(json_object_get(spec, "step")),
                      .whole = json_is_true(json_object_get(spec, "whole")),
                      .first = json_object_get(spec, "pick")};
  bool fine = kind && out->name && out->where && json_is_number(out->first);
  if (fine && !strcmp(kind, "choice")) {
    out->kind = TUNE_CHOICE, out->count = json_array_size(out->values);
    fine = out->count > 0 && json_is_integer(out->first);
  } else if (fine && !strcmp(kind, "range")) {
    out->kind = TUNE_RANGE;
    fine = out->low < out->high && out->step > 0 && (out->high - out->low) / out->step < 1e6;
    if (fine) out->count = (size_t)((out->high - out->low) / out->step + 1e-9) + 1;
  } else if (fine) {
    json_int_t points = json_integer_value(json_object_get(spec, "points"));
    out->kind = TUNE_LOG, out->count = (size_t)points;
    fine = !strcmp(kind, "log") && out->low > 0 && out->low < out->high && points > 1;
  }
  return fine ? moon_ok() : moon_fail(MOON_EINVAL, "the plan's values to search do not parse");
}

moon_status tune_space_new(const json_t *plan, tune_space *out) {
  const json_t *list = json_object_get(plan, "tune");
  const char *name = json_string_value(json_object_get(plan, "name"));
  size_t n = json_array_size(list);
  *out = (tune_space){0};
  if (!n) return moon_fail(MOON_EINVAL, "the recipe %s has nothing to search: write m.tune { 1e-4, 1e-3 } in the place of a value", name ? name : "");
  out->params = moon_calloc(n, sizeof *out->params);
  if (!out->params) return moon_fail(MOON_ENOMEM, "no memory for %zu values to search", n);
  for (; out->n < n; out->n++) MOON_TRY(read_param(json_array_get(list, out->n), &out->params[out->n]));
  return moon_ok();
}

void tune_space_free(tune_space *space) {
  moon_free(space->params);
  *space = (tune_space){0};
}

/* ---- its points --------------------------------------------------------------------------------------------------------- */

static json_t *number(const tune_param *p, double x) {
  x = x < p->low ? p->low : x > p->high ? p->high : x;
  return p->whole ? json_integer((json_int_t)(x + 0.5)) : json_real(x); /* low is above 0, or the steps are whole */
}

/* The k-th of the `count` values of a grid. */
static json_t *pick_at(const tune_param *p, size_t k) {
  switch (p->kind) {
    case TUNE_CHOICE: return json_integer((json_int_t)k + 1);
    case TUNE_RANGE: return p->whole ? json_integer((json_int_t)p->low + (json_int_t)k * (json_int_t)p->step) : number(p, p->low + (double)k * p->step);
    case TUNE_LOG: return number(p, p->low * pow(p->high / p->low, (double)k / (double)(p->count - 1)));
  }
  return NULL;
}

static json_t *draw(const tune_param *p, moon_rng *rng) {
  if (p->kind != TUNE_LOG) return pick_at(p, moon_rng_below(rng, (uint32_t)p->count));
  return number(p, exp(log(p->low) + moon_rng_uniform(rng) * (log(p->high) - log(p->low))));
}

/* Takes the pick. */
static bool add(json_t *values, const tune_param *p, json_t *pick) {
  const json_t *value = p->kind == TUNE_CHOICE ? json_array_get(p->values, (size_t)json_integer_value(pick) - 1) : pick;
  json_t *entry = pick ? json_pack("{s:s, s:s, s:o, s:O}", "name", p->name, "where", p->where, "pick", pick, "value", value) : NULL;
  return entry && !json_array_append_new(values, entry);
}

size_t tune_grid_size(const tune_space *space) {
  size_t n = 1;
  for (size_t i = 0; i < space->n; i++) {
    if (n > SIZE_MAX / space->params[i].count) return SIZE_MAX;
    n *= space->params[i].count;
  }
  return n;
}

json_t *tune_grid_trial(const tune_space *space, size_t i) {
  json_t *values = json_array();
  size_t left = tune_grid_size(space);
  for (size_t p = 0; values && p < space->n; p++) {
    left /= space->params[p].count;
    if (add(values, &space->params[p], pick_at(&space->params[p], i / left % space->params[p].count))) continue;
    json_decref(values);
    return NULL;
  }
  return values;
}

static json_t *draw_trial(const tune_space *space, moon_rng *rng) {
  json_t *values = json_array();
  for (size_t p = 0; values && p < space->n; p++) {
    json_t *pick = rng ? draw(&space->params[p], rng) : json_deep_copy(space->params[p].first);
    if (add(values, &space->params[p], pick)) continue;
    json_decref(values);
    return NULL;
  }
  return values;
}

static bool holds(const json_t *trials, const json_t *values) {
  const json_t *other;
  size_t i;
  json_array_foreach(trials, i, other) if (json_equal(other, values)) return true;
  return false;
}

json_t *tune_random_trials(const tune_space *space, uint64_t seed, size_t n) {
  json_t *trials = json_array();
  for (size_t i = 0; trials && i < n; i++) {
    moon_rng rng;
    moon_rng_seed(&rng, seed, 0x74756e6500000000 + i); /* "tune" */
    json_t *values = draw_trial(space, i ? &rng : NULL);
    for (int again = 0; values && holds(trials, values) && again < DRAWS; again++) {
      json_decref(values);
      values = draw_trial(space, &rng);
    }
    if (values && holds(trials, values)) { /* there is nothing new left, or next to nothing */
      json_decref(values);
      return trials;
    }
    if (values && !json_array_append_new(trials, values)) continue;
    json_decref(trials);
    return NULL;
  }
  return trials;
}

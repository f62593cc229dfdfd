/* check_layers.c - what is wrong with a recipe's layers: all of it and not only the first.
 *
 * A model is built until a layer does not fit. That layer gives way to one that always does, and those that its result flowed to
 * are left out, for what they get is not known; then the model is built again. Layers have marks for places meanwhile ("#12"), so that two
 * on one line are told from each other. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rank/dataset.h"
#include "rank/model.h"

enum { MOST = 100 }; /* findings of one model */

/* ---- marks */

static bool is_of(const json_t *layer, const char *type) {
  const char *own = moon_text_in(layer, "type");
  return !strcmp(*own ? own : "sequential", type);
}

/* Puts marks in the place of lines, which go to `places`. */
static moon_status mark(json_t *layer, const char *outer, json_t *places) {
  char text[32];
  json_t *inner;
  size_t i;
  const char *own = moon_text_in(layer, "where");
  snprintf(text, sizeof text, "#%zu", json_array_size(places));
  json_t *place = json_string(*own ? own : outer);
  if (json_array_append_new(places, place) || json_object_set_new(layer, "where", json_string(text)))
    return moon_fail(MOON_ENOMEM, "no memory to check layers");
  json_array_foreach(json_object_get(layer, "layers"), i, inner)
    if (json_is_object(inner)) MOON_TRY(mark(inner, json_string_value(place), places));
  return moon_ok();
}

/* The message with lines in the place of marks. */
static moon_status unmark(const char *message, const json_t *places, moon_status failure) {
  moon_buf text = {0};
  for (const char *p = message; *p;) {
    char *end = NULL;
    unsigned long at = *p == '#' ? strtoul(p + 1, &end, 10) : 0;
    const char *place = end > p + 1 ? json_string_value(json_array_get(places, at)) : NULL;
    if (place) moon_buf_puts(&text, place), p = end;
    else moon_buf_add(&text, p++, 1);
  }
  if (!text.failed) failure = moon_fail(failure.code, "%s", text.data ? text.data : "");
  moon_buf_free(&text);
  return failure;
}

/* ---- taking a layer out */

typedef enum found { ELSEWHERE, MENDED, BROKEN } found; /* broken: what comes out of the layer is not what it was to be */

/* A layer that takes all there is and gives one number. */
static void stand_in(json_t *layer) {
  json_object_clear(layer);
  json_object_set_new(layer, "type", json_string("dense"));
  json_object_set_new(layer, "units", json_integer(1));
  json_object_set_new(layer, "input", json_string("x"));
}

/* Whether a layer reads inputs, and nothing of what flows to it. */
static bool begins_anew(const json_t *layer) {
  const json_t *layers = json_object_get(layer, "layers"), *inner;
  size_t i;
  if (json_object_get(layer, "input")) return true;
  if (!json_array_size(layers) || is_of(layer, "residual")) return false;
  if (is_of(layer, "sequential")) return begins_anew(json_array_get(layers, 0));
  json_array_foreach(layers, i, inner) if (!begins_anew(inner)) return false;
  return true;
}

/* Of a sequence, what comes after a broken layer until one begins anew. */
static found leave_out(json_t *layers, size_t after) {
  while (after < json_array_size(layers)) {
    if (begins_anew(json_array_get(layers, after))) return MENDED;
    json_array_remove(layers, after);
  }
  return BROKEN;
}

static found take_out(json_t *layer, const char *name) {
  json_t *layers = json_object_get(layer, "layers"), *inner;
  size_t i;
  if (!strcmp(moon_text_in(layer, "where"), name)) return stand_in(layer), BROKEN;
  json_array_foreach(layers, i, inner) {
    found how = take_out(inner, name);
    if (how == ELSEWHERE) continue;
    if (how == BROKEN && is_of(layer, "sequential")) return leave_out(layers, i + 1);
    /* Side by side any width will do; what is added or multiplied has to agree. */
    if (how == BROKEN && (!is_of(layer, "parallel") || !strcmp(moon_text_in(layer, "merge"), "sum"))) stand_in(layer);
    return how;
  }
  return ELSEWHERE;
}

/* ---- the check */

typedef struct check {
  moon_catalogue *items;
  moon_feature_plan *features;
  size_t *sizes;
  json_t *model, *places;
} check;

static moon_status prepare(const json_t *plan, check *c) {
  const json_t *features = json_object_get(plan, "features");
  MOON_TRY(moon_draw_items(plan, features, &c->items));
  MOON_TRY(moon_feature_plan_new(features, c->items, &c->features));
  c->sizes = moon_alloc((c->features->feature_count + 1) * sizeof *c->sizes);
  c->model = json_deep_copy(json_object_get(plan, "model"));
  c->places = json_array();
  if (!c->sizes || !c->model || !c->places) return moon_fail(MOON_ENOMEM, "no memory to check layers");
  for (size_t i = 0; i < c->features->feature_count; i++) c->sizes[i] = 2;
  return mark(c->model, "model", c->places);
}

/* Builds the model; what does not fit is told of and taken out. *again: there may be more. */
static moon_status try_once(check *c, const moon_findings *findings, bool *again) {
  moon_model *model = NULL;
  char name[32];
  moon_status status = moon_model_new(c->model, c->features, c->sizes, 0, &model);
  moon_model_free(model);
  *again = false;
  if (!status.code || status.code == MOON_ENOMEM) return status;
  moon_status told = unmark(status.message, c->places, status);
  moon_tell(findings, true, told.message);
  snprintf(name, sizeof name, "%.*s", (int)strcspn(status.message, ":"), status.message);
  found how = *name == '#' ? take_out(c->model, name) : ELSEWHERE;
  *again = how != ELSEWHERE;
  json_t *layers = json_object_get(c->model, "layers"), *end = how == BROKEN && layers ? json_object() : NULL;
  if (end) stand_in(end); /* which the loss can take */
  return end && json_array_append_new(layers, end) ? moon_fail(MOON_ENOMEM, "no memory to check layers") : moon_ok();
}

moon_status moon_layers_check(const json_t *plan, const moon_findings *findings) {
  check c = {0};
  moon_status status = prepare(plan, &c);
  bool again = !status.code;
  for (int i = 0; i < MOST && again && !status.code; i++) status = try_once(&c, findings, &again);
  json_decref(c.places);
  json_decref(c.model);
  moon_free(c.sizes);
  moon_feature_plan_free(c.features);
  moon_catalogue_free(c.items);
  return status;
}

/* plan_steps.c - the steps of a number as the recipe has them, and the slots that it ends in. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "feature/plan.h"

/* ---- names of slots ---------------------------------------------------------------------------------------------------------- */

static void window_text(int64_t window, char out[32]) {
  static const struct {
    int64_t seconds;
    char letter;
  } units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
  snprintf(out, 32, "all");
  if (!window) return;
  for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
    if (window % (units[i].seconds * MOON_SECOND)) continue;
    snprintf(out, 32, "%lld%c", (long long)(window / (units[i].seconds * MOON_SECOND)), units[i].letter);
    return;
  }
  snprintf(out, 32, "%lldus", (long long)window);
}

moon_status moon_recipe_name_dense(moon_plan_builder *b, moon_buf *name) {
  moon_feature_plan *plan = b->plan;
  moon_status status =
      name->failed ? moon_recipe_no_memory() : moon_grow(&plan->dense_names, &b->name_cap, plan->dense_slots + 1, sizeof(char *));
  if (status.code)
    moon_buf_free(name);
  else
    plan->dense_names[plan->dense_slots++] = name->data;
  return status;
}

/* "count(item,view)" and an hour: "count(item,view,1h)". */
static moon_status name_windowed(moon_plan_builder *b, const char *name, int64_t window) {
  char text[32];
  window_text(window, text);
  size_t n = strlen(name);
  bool closed = name[n - 1] == ')';
  moon_buf full = {0};
  moon_buf_add(&full, name, n - closed);
  moon_buf_printf(&full, ",%s%s", text, closed ? ")" : "");
  return moon_recipe_name_dense(b, &full);
}

/* ---- steps ------------------------------------------------------------------------------------------------------------------- */

enum { MOST_STEPS = 16, MOST_NUMBERS = 1000, QUANTILES = 101 };

/* Rising finite numbers under a step's key. */
static moon_status read_numbers(const json_t *step, const char *key, size_t least, size_t most, moon_step *out) {
  const json_t *list = json_object_get(step, key);
  out->n = json_array_size(list);
  if (out->n < least || out->n > most)
    return moon_fail(MOON_EINVAL, "%s must be a list of %zu to %zu numbers, got %zu", key, least, most, out->n);
  out->numbers = moon_alloc(out->n * sizeof *out->numbers);
  if (!out->numbers) return moon_recipe_no_memory();
  for (size_t i = 0; i < out->n; i++) {
    const json_t *value = json_array_get(list, i);
    out->numbers[i] = json_is_number(value) ? json_number_value(value) : NAN;
    if (!isfinite(out->numbers[i]) || (i && out->numbers[i] <= out->numbers[i - 1]))
      return moon_fail(MOON_EINVAL, "%s must be rising numbers", key);
  }
  return moon_ok();
}

static moon_status read_scale(const json_t *step, moon_step *out) {
  static const char *const ways[] = {"standard", "minmax", "quantile"}; /* in moon_step_op's order */
  const char *by = json_string_value(json_object_get(step, "by"));
  size_t way = moon_recipe_place(by, ways, 3);
  if (way == 3) return moon_recipe_unknown("scale", by, ways, 3);
  *out = (moon_step){.op = (moon_step_op)(MOON_STEP_STANDARD + way), .fitted = true, .n = way == 2 ? QUANTILES : 2};
  return moon_ok();
}

static moon_status read_buckets(const json_t *step, moon_step *out) {
  int64_t buckets;
  out->op = MOON_STEP_BUCKETIZE;
  if (json_object_get(step, "edges")) return read_numbers(step, "edges", 1, MOST_NUMBERS, out);
  MOON_TRY(moon_recipe_whole_of(json_object_get(step, "buckets"), "buckets", 2, MOST_NUMBERS, 0, &buckets));
  out->fitted = true, out->n = (size_t)buckets - 1;
  return moon_ok();
}

static moon_status read_step(const json_t *step, moon_step *out) {
  static const char *const ops[] = {"log", "clip", "scale", "bucketize"};
  const char *op = json_string_value(json_object_get(step, "op"));
  switch (moon_recipe_place(op, ops, 4)) {
    case 0:
      out->op = MOON_STEP_LOG;
      return moon_ok();
    case 1:
      out->op = MOON_STEP_CLIP;
      return read_numbers(step, "bounds", 2, 2, out);
    case 2:
      return read_scale(step, out);
    case 3:
      return read_buckets(step, out);
  }
  return moon_recipe_unknown("step", op, ops, 4);
}

/* A number of which the recipe says nothing else: what is counted or passes by its log, a clock's hand by itself. */
static moon_status step_alone(const moon_feature *f, moon_step *out) {
  if (f->op != MOON_FEATURE_CLOCK) return moon_ok(); /* zeros: a log */
  *out = (moon_step){.op = MOON_STEP_BUCKETIZE, .n = f->weekday ? 6 : 23};
  out->numbers = moon_alloc(out->n * sizeof *out->numbers);
  for (size_t i = 0; out->numbers && i < out->n; i++) out->numbers[i] = (double)(i + (f->weekday ? 2 : 1));
  return out->numbers ? moon_ok() : moon_recipe_no_memory();
}

static bool is_plain(moon_feature_op op) {
  switch (op) {
    case MOON_FEATURE_COUNT:
    case MOON_FEATURE_DECAY:
    case MOON_FEATURE_RECENCY:
    case MOON_FEATURE_AGE:
    case MOON_FEATURE_CLOCK:
      return false;
    default:
      return true;
  }
}

static moon_status read_steps(moon_plan_builder *b, moon_feature *f) {
  const json_t *list = json_object_get(b->object, "steps");
  size_t n = list ? json_array_size(list) : !is_plain(f->op) && f->kind != MOON_KIND_INSIDE;
  if ((list && !json_is_array(list)) || n > MOST_STEPS)
    return moon_fail(MOON_EINVAL, "steps must be a list of at most %d", MOST_STEPS);
  f->steps = moon_calloc(n, sizeof *f->steps);
  if (!f->steps) return moon_recipe_no_memory();
  for (; f->step_count < n; f->step_count++) {
    moon_step *step = &f->steps[f->step_count];
    if (f->step_count && step[-1].op == MOON_STEP_BUCKETIZE) return moon_fail(MOON_EINVAL, "bucketize must be the last step");
    moon_status status = list ? read_step(json_array_get(list, f->step_count), step) : step_alone(f, step);
    if (!status.code) continue;
    moon_free(step->numbers);
    return status;
  }
  return moon_ok();
}

/* What goes into a formula is one number, which no training part has to have been seen for. */
static moon_status check_inside(const moon_feature *f) {
  bool ends_in_bucket = f->step_count && f->steps[f->step_count - 1].op == MOON_STEP_BUCKETIZE;
  if (f->width == 1 && !moon_feature_fitted(f) && !ends_in_bucket) return moon_ok();
  return moon_fail(MOON_EINVAL, "%s cannot go into a formula: one number without scale or bucketize can", f->name);
}

moon_status moon_recipe_number(moon_plan_builder *b, moon_feature *f) {
  int64_t dim;
  bool windowed = f->window_count > 0;
  f->width = windowed ? f->window_count : 1;
  MOON_TRY(read_steps(b, f));
  if (f->kind == MOON_KIND_INSIDE) return check_inside(f);
  const moon_step *last = f->step_count ? &f->steps[f->step_count - 1] : NULL;
  if (last && last->op == MOON_STEP_BUCKETIZE) {
    if (f->width > 1) return moon_fail(MOON_EINVAL, "bucketize takes one number, %s gives %zu", f->name, f->width);
    MOON_TRY(moon_recipe_whole(b, "dim", 1, 1024, 16, &dim));
    f->kind = MOON_KIND_ID, f->dim = (size_t)dim, f->rows = last->n + 2;
    f->slot = b->plan->id_slots++;
    return moon_ok();
  }
  f->slot = b->plan->dense_slots;
  for (size_t i = 0; i < f->width; i++) {
    moon_buf name = {0};
    if (windowed)
      MOON_TRY(name_windowed(b, f->name, f->windows[i]));
    else
      moon_buf_puts(&name, f->name);
    if (!windowed) MOON_TRY(moon_recipe_name_dense(b, &name));
  }
  return moon_ok();
}

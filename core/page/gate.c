/* gate.c - whether a slot is there for a request: a tree of tests on the request, the clock and the catalogue, as data, and of functions that
 * the site wrote.
 *
 *   {"op":"all","of":[{"op":"param","name":"country","in":["NL","BE"]},{"op":"hours","days":[6,7],"from_us":..,"to_us":..,"zone":".."}]}
 *
 * Every node has a "label", by which an explanation names it. */
#include <string.h>

#include "page/assemble.h"

static const char *const op_names[MOON_GATE_OPS] = {"param", "known", "time", "hours", "stock", "fn", "all", "any", "none"};

/* ---- reading */

static moon_status read_texts(moon_site *site, const json_t *json, const char *key, const char ***out, size_t *n) {
  const json_t *list;
  MOON_TRY(moon_plan_list(&site->memory, json, key, sizeof **out, &list, out, n));
  if (!*n) return moon_fail(MOON_EFORMAT, "%s must be a list of texts", key);
  for (size_t i = 0; i < *n; i++) {
    const char *text = json_string_value(json_array_get(list, i));
    if (!text) return moon_fail(MOON_EFORMAT, "%s must be a list of texts", key);
    if (!((*out)[i] = moon_arena_strdup(&site->memory, text))) return moon_fail(MOON_ENOMEM, "no memory for a site");
  }
  return moon_ok();
}

static moon_status read_moment(const json_t *json, const char *key, int64_t fallback, int64_t *out) {
  const json_t *value = json_object_get(json, key);
  *out = json_is_integer(value) ? json_integer_value(value) : fallback;
  return !value || json_is_null(value) || json_is_integer(value) ? moon_ok() : moon_fail(MOON_EFORMAT, "%s must be a whole number", key);
}

static moon_status read_zone(const json_t *json, moon_site_gate *out) {
  const json_t *zone = json_object_get(json, "zone");
  MOON_TRY(read_moment(json, "zone_us", 0, &out->zone_us));
  if (!zone || json_is_null(zone)) return moon_ok();
  if (!json_is_string(zone)) return moon_fail(MOON_EFORMAT, "zone must be a text");
  return moon_zone_parse(json_string_value(zone), &out->zone);
}

static moon_status read_days(const json_t *json, moon_site_gate *out) {
  const json_t *list = json_object_get(json, "days"), *day;
  size_t i;
  out->days = list && !json_is_null(list) ? 0 : 0xff;
  json_array_foreach(list, i, day) {
    json_int_t n = json_integer_value(day);
    if (!json_is_integer(day) || n < 1 || n > 7) return moon_fail(MOON_EINVAL, "days must be numbers from 1 (Monday) to 7");
    out->days |= (uint8_t)(1 << n);
  }
  return out->days ? moon_ok() : moon_fail(MOON_EINVAL, "days must be a list of numbers from 1 (Monday) to 7");
}

enum { HOUR_S = 3600 };
static const int64_t day_us = 24 * HOUR_S * MOON_SECOND;

static moon_status read_hours(const json_t *json, moon_site_gate *out) {
  MOON_TRY(read_moment(json, "from_us", 0, &out->starts));
  MOON_TRY(read_moment(json, "to_us", day_us, &out->ends));
  if (out->starts < 0 || out->starts >= day_us || out->ends < 0 || out->ends > day_us)
    return moon_fail(MOON_EINVAL, "from and to must be times of the day");
  MOON_TRY(read_days(json, out));
  return read_zone(json, out);
}

static moon_status read_time(const json_t *json, moon_site_gate *out) {
  MOON_TRY(read_moment(json, "starts_us", INT64_MIN, &out->starts));
  return read_moment(json, "ends_us", INT64_MAX, &out->ends);
}

static moon_status read_items(moon_site *site, const json_t *json, moon_site_gate *out) {
  const char **ids;
  if (!json_object_get(json, "items")) return moon_ok();
  MOON_TRY(read_texts(site, json, "items", &ids, &out->count));
  out->items = moon_arena_alloc(&site->memory, out->count * sizeof *out->items);
  if (!out->items) return moon_fail(MOON_ENOMEM, "no memory for a site");
  for (size_t i = 0; i < out->count; i++) {
    MOON_TRY(moon_catalogue_row(site->bundle->catalogue, ids[i], strlen(ids[i]), false, &out->items[i]));
    if (out->items[i] == MOON_NONE) return moon_fail(MOON_ENOTFOUND, "there is no item '%.100s'", ids[i]);
  }
  return moon_ok();
}

enum { DEEPEST = 16 };

static moon_status read_gate(moon_site *site, const json_t *json, int depth, moon_site_gate *out);

static moon_status read_parts(moon_site *site, const json_t *json, int depth, moon_site_gate *out) {
  const json_t *list;
  MOON_TRY(moon_plan_list(&site->memory, json, "of", sizeof *out->of, &list, &out->of, &out->count));
  if (!out->count) return moon_fail(MOON_EFORMAT, "of must be a list of gates");
  for (size_t i = 0; i < out->count; i++) MOON_TRY(read_gate(site, json_array_get(list, i), depth + 1, &out->of[i]));
  return moon_ok();
}

static moon_status read_op(moon_site *site, const json_t *json, moon_site_gate *out) {
  const char *op;
  MOON_TRY(moon_plan_text(&site->memory, json, "op", NULL, &op));
  for (unsigned i = 0; i < MOON_GATE_OPS; i++) {
    if (strcmp(op, op_names[i])) continue;
    out->op = (moon_gate_op)i;
    return moon_plan_text(&site->memory, json, "label", op, &out->label);
  }
  return moon_plan_unknown("gate", op, op_names, MOON_GATE_OPS);
}

static moon_status read_gate(moon_site *site, const json_t *json, int depth, moon_site_gate *out) {
  size_t fn;
  if (!json_is_object(json)) return moon_fail(MOON_EFORMAT, "a gate must be an object");
  if (depth > DEEPEST) return moon_fail(MOON_ELIMIT, "gates within gates go %d deep at most", DEEPEST);
  MOON_TRY(read_op(site, json, out));
  switch (out->op) {
    case MOON_GATE_PARAM:
      MOON_TRY(moon_plan_text(&site->memory, json, "name", NULL, &out->name));
      return read_texts(site, json, "in", &out->values, &out->count);
    case MOON_GATE_TIME: return read_time(json, out);
    case MOON_GATE_HOURS: return read_hours(json, out);
    case MOON_GATE_STOCK: return read_items(site, json, out);
    case MOON_GATE_FN:
      MOON_TRY(moon_plan_count(json, "fn", 1, UINT32_MAX, 0, &fn));
      out->fn = (uint32_t)fn;
      return moon_ok();
    case MOON_GATE_ALL:
    case MOON_GATE_ANY:
    case MOON_GATE_NONE: return read_parts(site, json, depth, out);
    default: return moon_ok();
  }
}

moon_status moon_site_read_gate(moon_site *site, const json_t *json, moon_site_gate **out) {
  *out = NULL;
  if (!json || json_is_null(json)) return moon_ok();
  *out = moon_arena_calloc(&site->memory, sizeof **out);
  if (!*out) return moon_fail(MOON_ENOMEM, "no memory for a site");
  return moon_wrap(read_gate(site, json, 0, *out), "gate");
}

void moon_site_gate_free(moon_site_gate *gate) {
  if (!gate) return;
  moon_zone_free(gate->zone);
  for (size_t i = 0; gate->of && i < gate->count; i++) moon_site_gate_free(&gate->of[i]);
}

/* ---- asking */

const char *moon_request_param(const moon_request *request, const char *name) {
  for (size_t i = 0; i < request->param_n; i++)
    if (!strcmp(request->params[i].name, name)) return request->params[i].value;
  return NULL;
}

static bool param_in(const moon_site_gate *gate, const moon_request *request) {
  const char *value = moon_request_param(request, gate->name);
  for (size_t i = 0; value && i < gate->count; i++)
    if (!strcmp(value, gate->values[i])) return true;
  return false;
}

/* By the clock on the wall there; a span that ends before it begins goes past midnight. */
static bool within_hours(const moon_site_gate *gate, int64_t now) {
  int64_t local = now + (gate->zone ? moon_zone_offset(gate->zone, now) : gate->zone_us);
  int64_t day = local / day_us - (local % day_us < 0), time = local - day * day_us;
  int weekday = (int)(((day + 3) % 7 + 7) % 7) + 1; /* 1970-01-01 was a Thursday */
  bool wraps = gate->ends <= gate->starts, after = time >= gate->starts, before = time < gate->ends;
  return gate->days >> weekday & 1 && (wraps ? after || before : after && before);
}

static bool all_in_stock(const moon_visit *visit, const moon_site_gate *gate) {
  const moon_assembler *a = visit->assembler;
  const uint32_t *rows = gate->items ? gate->items : &visit->request->item_row;
  size_t n = gate->items ? gate->count : 1;
  for (size_t i = 0; i < n; i++)
    if (rows[i] >= a->rows || a->bundle->catalogue->hidden[rows[i]]) return false;
  return true;
}

static moon_status ask_function(moon_visit *visit, const moon_site_gate *gate, bool *open) {
  const moon_page_functions *functions = visit->functions;
  return functions && functions->gate ? functions->gate(functions->self, gate->fn, visit->request, open)
                                      : moon_fail(MOON_ESCRIPT, "nobody runs the site's functions here");
}

/* all: until one is closed; any, none: until one is open. *which becomes the part that decided, where one did. */
static moon_status ask_parts(moon_visit *visit, const moon_site_gate *gate, bool *open, const moon_site_gate **which) {
  bool all = gate->op == MOON_GATE_ALL, part = all;
  for (size_t i = 0; i < gate->count && part == all; i++) {
    const moon_site_gate *below = NULL;
    MOON_TRY(moon_gate_ask(visit, &gate->of[i], &part, &below));
    if (part != all) *which = all ? below : &gate->of[i];
  }
  *open = gate->op == MOON_GATE_NONE ? !part : part;
  if (gate->op == MOON_GATE_ANY && !*open) *which = gate;
  return moon_ok();
}

moon_status moon_gate_ask(moon_visit *visit, const moon_site_gate *gate, bool *open, const moon_site_gate **which) {
  *which = gate;
  switch (gate->op) {
    case MOON_GATE_PARAM: *open = param_in(gate, visit->request); break;
    case MOON_GATE_KNOWN: *open = visit->request->user_row != MOON_NONE; break;
    case MOON_GATE_TIME: *open = visit->request->now >= gate->starts && visit->request->now < gate->ends; break;
    case MOON_GATE_HOURS: *open = within_hours(gate, visit->request->now); break;
    case MOON_GATE_STOCK: *open = all_in_stock(visit, gate); break;
    case MOON_GATE_FN: return ask_function(visit, gate, open);
    default: return ask_parts(visit, gate, open, which);
  }
  return moon_ok();
}

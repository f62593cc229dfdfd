/* site_solve.c - what a page asks of all its slots together, out of the plan. A cap and a floor are what policies say of a slate, said of the
 * whole page. */
#include "page/site.h"

static moon_status read_policy(moon_site *site, json_t *json, moon_policy *out) {
  moon_policy_source source = {.bundle = site->bundle, .memory = &site->memory, .conditions = &site->conditions};
  moon_status status = json ? moon_policy_read(json, &source, out) : moon_fail(MOON_ENOMEM, "no memory for a site");
  json_decref(json);
  return status;
}

static moon_status read_caps(moon_site *site, const json_t *json, moon_site_page *out) {
  json_t *caps = json_object_get(json, "caps");
  if (!caps || json_is_null(caps)) return moon_ok();
  out->caps = moon_arena_calloc(&site->memory, sizeof *out->caps);
  if (!out->caps) return moon_fail(MOON_ENOMEM, "no memory for a site");
  return read_policy(site, json_pack("{s:s, s:s, s:O}", "op", "cap", "label", "caps", "limits", caps), out->caps);
}

static moon_status read_floor(moon_site *site, const json_t *json, moon_site_floor *out) {
  json_t *when = json_object_get(json, "when");
  const char *label = json_string_value(json_object_get(json, "label"));
  if (!when) return moon_fail(MOON_EFORMAT, "when is missing");
  MOON_TRY(moon_plan_count(json, "at_least", 1, 1000, 0, &out->n));
  return read_policy(site, json_pack("{s:s, s:O, s:s}", "op", "filter", "when", when, "label", label ? label : "floor"), &out->when);
}

static moon_status read_solve(moon_site *site, const json_t *json, moon_site_page *out) {
  const json_t *floors;
  size_t within;
  MOON_TRY(moon_plan_count(json, "steps", 0, 1000000, 2000, &out->solve_steps));
  MOON_TRY(moon_plan_count(json, "within_us", 0, 10000000, 5000, &within));
  out->solve_within = (int64_t)within;
  MOON_TRY(read_caps(site, json, out));
  MOON_TRY(moon_plan_list(&site->memory, json, "floors", sizeof *out->floors, &floors, &out->floors, &out->floor_count));
  for (size_t i = 0; i < out->floor_count; i++)
    MOON_TRY(moon_wrap(read_floor(site, json_array_get(floors, i), &out->floors[i]), "floors[%zu]", i + 1));
  return moon_ok();
}

moon_status moon_site_read_solve(moon_site *site, const json_t *page, moon_site_page *out) {
  const json_t *solve = json_object_get(page, "solve");
  out->joint = json_is_object(solve);
  if (!solve || json_is_null(solve)) return moon_ok();
  return out->joint ? moon_wrap(read_solve(site, solve, out), "solve") : moon_fail(MOON_EFORMAT, "solve must be an object");
}

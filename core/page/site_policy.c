/* site_policy.c - a slot's policies out of the plan. Whatever a policy names (columns, kinds of value) is looked up here, once,
 * so that a site that loads has nothing left to go wrong but its own Lua. */
#include <math.h>
#include <string.h>

#include "page/site.h"

static const char *const op_names[MOON_POLICY_OPS] = {"boost", "filter", "cap", "mmr", "lua"};

static moon_status read_when(moon_site *site, const json_t *json, moon_site_policy *out) {
  return moon_condition_parse(json_object_get(json, "when"), site->bundle->catalogue, &out->when);
}

/* "reason (owner)", or what there is of the two. */
static moon_status read_reason(moon_site *site, const json_t *json, const char **out) {
  const char *owner, *reason;
  MOON_TRY(moon_plan_text(site, json, "owner", "", &owner));
  MOON_TRY(moon_plan_text(site, json, "reason", "", &reason));
  *out = *reason ? reason : *owner ? owner : NULL;
  if (!*reason || !*owner) return moon_ok();
  *out = moon_arena_printf(&site->memory, "%s (%s)", reason, owner);
  return *out ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory for a site");
}

static moon_status read_moment(const json_t *json, const char *key, int64_t fallback, int64_t *out) {
  const json_t *value = json_object_get(json, key);
  if (value && !json_is_null(value) && !json_is_integer(value))
    return moon_fail(MOON_EFORMAT, "%s must be a time in microseconds", key);
  *out = json_is_integer(value) ? json_integer_value(value) : fallback;
  return moon_ok();
}

static moon_status read_boost(moon_site *site, const json_t *json, moon_site_policy *out) {
  double factor;
  MOON_TRY(moon_plan_number(json, "factor", NAN, &factor));
  out->factor = (float)factor;
  if (!(out->factor > 0) || isinf(out->factor)) return moon_fail(MOON_EINVAL, "factor must be a number above 0, not %g", factor);
  MOON_TRY(read_reason(site, json, &out->text));
  MOON_TRY(read_moment(json, "starts_us", INT64_MIN, &out->starts));
  MOON_TRY(read_moment(json, "ends_us", INT64_MAX, &out->ends));
  return read_when(site, json, out);
}

static moon_status read_limit(moon_site *site, const json_t *json, moon_site_limit *out) {
  const moon_table *table = site->bundle->catalogue->table;
  moon_column *column;
  MOON_TRY(moon_plan_text(site, json, "column", NULL, &out->name));
  MOON_TRY(moon_table_require(table, out->name, &column));
  out->column = (size_t)(column - table->columns);
  return moon_plan_count(json, "n", 1, UINT32_MAX, 0, &out->n);
}

static moon_status read_cap(moon_site *site, const json_t *json, moon_site_policy *out) {
  const json_t *limits;
  MOON_TRY(moon_plan_list(site, json, "limits", sizeof *out->limits, &limits, &out->limits, &out->limit_count));
  if (!out->limit_count) return moon_fail(MOON_EFORMAT, "limits must be a list of at least one");
  for (size_t i = 0; i < out->limit_count; i++) MOON_TRY(read_limit(site, json_array_get(limits, i), &out->limits[i]));
  return moon_ok();
}

/* Without embeddings of items mmr by them would silently do nothing. */
bool moon_site_has_embedding(const moon_bundle *bundle) {
  const moon_feature_plan *plan = bundle->feature_plan;
  for (size_t i = 0; plan && bundle->model && i < plan->feature_count; i++)
    if (plan->features[i].op == MOON_FEATURE_ID && !plan->features[i].of_user) return true;
  return false;
}

static moon_status read_mmr(moon_site *site, const json_t *json, moon_site_policy *out) {
  double lambda;
  moon_column *column;
  MOON_TRY(moon_plan_number(json, "lambda", 0.7, &lambda));
  if (!(lambda >= 0 && lambda <= 1)) return moon_fail(MOON_EINVAL, "lambda must be from 0 to 1, not %g", lambda);
  out->lambda = (float)lambda;
  MOON_TRY(moon_plan_count(json, "k", 1, UINT32_MAX, 50, &out->k));
  MOON_TRY(moon_plan_text(site, json, "by", "embedding", &out->by));
  if (!strcmp(out->by, "embedding"))
    return moon_site_has_embedding(site->bundle)
               ? moon_ok()
               : moon_fail(MOON_EINVAL, "by = 'embedding' needs a model with m.id \"item\"; a column of strings works without");
  MOON_TRY(moon_table_require(site->bundle->catalogue->table, out->by, &column));
  return column->type == MOON_STRING
             ? moon_ok()
             : moon_fail(MOON_EINVAL, "by = '%.100s' must be 'embedding' or a column of strings, not of numbers", out->by);
}

static moon_status read_lua(moon_site *site, const json_t *json, moon_site_policy *out) {
  size_t fn;
  (void)site;
  MOON_TRY(moon_plan_count(json, "fn", 1, UINT32_MAX, 0, &fn));
  out->fn = (uint32_t)fn;
  return moon_ok();
}

static moon_status find_op(const char *name, moon_policy_op *op) {
  for (unsigned i = 0; i < MOON_POLICY_OPS; i++) {
    if (strcmp(name, op_names[i])) continue;
    *op = (moon_policy_op)i;
    return moon_ok();
  }
  return moon_plan_unknown("policy", name, op_names, MOON_POLICY_OPS);
}

static moon_status read_policy(moon_site *site, const json_t *json, moon_site_policy *out) {
  static moon_status (*const readers[MOON_POLICY_OPS])(moon_site *, const json_t *, moon_site_policy *) = {
      read_boost, read_when, read_cap, read_mmr, read_lua};
  const char *op;
  MOON_TRY(moon_plan_text(site, json, "op", NULL, &op));
  MOON_TRY(find_op(op, &out->op));
  MOON_TRY(moon_plan_text(site, json, "label", op, &out->label));
  return moon_wrap(readers[out->op](site, json, out), "%.100s", out->label);
}

moon_status moon_site_policies(moon_site *site, const json_t *slot, const char *where, moon_site_slot *out) {
  const json_t *list;
  MOON_TRY(moon_wrap(moon_plan_list(site, slot, "policies", sizeof *out->policies, &list, &out->policies, &out->policy_count),
                     "%.100s", where));
  for (size_t i = 0; i < out->policy_count; i++) {
    const json_t *json = json_array_get(list, i);
    MOON_TRY(moon_wrap(read_policy(site, json, &out->policies[i]), "%.100s", moon_plan_where(json, where)));
  }
  return moon_ok();
}

void moon_site_policies_free(moon_site_slot *slot) {
  for (size_t i = 0; i < slot->policy_count; i++) moon_condition_free(slot->policies[i].when);
}

/* site_policy.c - a slot's policies out of the plan, each with its line before what is wrong with it. */
#include "page/site.h"

moon_status moon_site_policies(moon_site *site, const json_t *slot, const char *where, moon_site_slot *out) {
  const moon_policy_source source = {.bundle = site->bundle, .memory = &site->memory, .conditions = &site->conditions};
  const json_t *list;
  MOON_TRY(moon_wrap(moon_plan_list(&site->memory, slot, "policies", sizeof *out->policies, &list, &out->policies, &out->policy_count),
                     "%.100s", where));
  for (size_t i = 0; i < out->policy_count; i++) {
    const json_t *json = json_array_get(list, i);
    MOON_TRY(moon_wrap(moon_policy_read(json, &source, &out->policies[i]), "%.100s", moon_plan_where(json, where)));
  }
  return moon_ok();
}

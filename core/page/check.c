/* check.c - what a bundle says of a site: all that is wrong and not only the first of it. Each page, slot and policy is tried in a
 * site of its own, so that none hides another. */
#include <string.h>

#include "page/site.h"

typedef struct check {
  const moon_bundle *bundle;
  const moon_findings *findings;
  json_t *told; /* {message: true} */
  moon_status stop;
} check;

static void tell(check *c, moon_status status) {
  if (!status.code) return;
  if (status.code == MOON_ENOMEM)
    c->stop = status;
  else if (!json_object_get(c->told, status.message)) {
    json_object_set_new(c->told, status.message, json_true());
    moon_tell(c->findings, true, status.message);
  }
}

/* Tries a site of one page, `page` with these slots; takes both. */
static void try_page(check *c, const char *name, json_t *page, json_t *slots) {
  json_t *plan = NULL;
  moon_site *site = NULL;
  if (page && slots && !json_object_set_new(page, "slots", slots)) plan = json_pack("{s:{s:o}}", "surfaces", name, page);
  tell(c, plan ? moon_site_new(plan, c->bundle, &site) : moon_fail(MOON_ENOMEM, "no memory to check a site"));
  moon_site_free(site);
  json_decref(plan);
}

/* The slot without its policies, and each of them in a slot that has nothing else to be wrong. */
static void check_slot(check *c, const char *name, const json_t *slot) {
  json_t *policy, *bare = json_copy((json_t *)slot);
  size_t i;
  if (!json_is_object(slot)) {
    json_decref(bare);
    return;
  }
  json_object_del(bare, "policies");
  try_page(c, name, json_object(), json_pack("[o]", bare));
  json_array_foreach(json_object_get(slot, "policies"), i, policy)
      try_page(c, name, json_object(),
               json_pack("[{s:s, s:s, s:[{s:s}], s:[O]}]", "name", "slot", "where", moon_plan_where(slot, "site"), "sources",
                         "type", "popular", "policies", policy));
}

/* Kinds that nobody has done, and the bundle's recipe does not name: a slip, or a shop that is new. kinds: a text, or a list of them. */
static void check_kinds(check *c, const char *where, const char *what, const json_t *kinds) {
  const moon_state *state = c->bundle->state;
  size_t n = json_is_string(kinds) ? 1 : json_array_size(kinds);
  for (size_t i = 0; state && i < n; i++) {
    uint32_t code = 0;
    const char *name = json_string_value(json_is_string(kinds) ? kinds : json_array_get(kinds, i));
    if (!name) continue;
    moon_status status = moon_state_kind((moon_state *)state, name, strlen(name), false, &code);
    if (status.code || code != MOON_NONE) continue;
    status = moon_fail(MOON_ENOTFOUND, "%.100s: %.60s: the bundle knows no event '%.100s'", where, what, name);
    moon_tell(c->findings, false, status.message);
  }
}

static void check_policy_kinds(check *c, const json_t *slot) {
  const json_t *policy;
  size_t i;
  json_array_foreach(json_object_get(slot, "policies"), i, policy) {
    const char *where = moon_plan_where(policy, moon_plan_where(slot, "site")), *label = moon_text_in(policy, "label");
    check_kinds(c, where, label, json_object_get(policy, "done"));
    check_kinds(c, where, label, json_object_get(policy, "success"));
  }
}

moon_status moon_site_check(const json_t *plan, const moon_bundle *bundle, const moon_findings *findings) {
  check c = {bundle, findings, json_object(), moon_ok()};
  const char *name;
  json_t *page, *slot, *surfaces = json_object_get(plan, "surfaces");
  size_t i;
  if (!c.told) return moon_fail(MOON_ENOMEM, "no memory to check a site");
  json_object_foreach(surfaces, name, page) {
    json_t *slots = json_object_get(page, "slots");
    if (c.stop.code || !json_array_size(slots)) continue;
    try_page(&c, name, json_copy(page), json_pack("[{s:s, s:[{s:s}]}]", "name", "slot", "sources", "type", "popular"));
    check_kinds(&c, moon_plan_where(page, "site"), "exclude_seen", json_object_get(page, "exclude_seen"));
    json_array_foreach(slots, i, slot) {
      check_slot(&c, name, slot);
      check_policy_kinds(&c, slot);
    }
  }
  json_decref(c.told);
  return c.stop;
}

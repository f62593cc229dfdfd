/* policies.c - a slot's policies over its slate, in the order in which the site wrote them. */
#include <string.h>

#include "page/assemble.h"

/* Which items a policy's conditions hold for; [slate->n] in the arena. */
static moon_status match(const moon_visit *visit, const moon_site_policy *policy, const moon_slate *slate, uint8_t **mask) {
  const moon_catalogue *catalogue = visit->assembler->bundle->catalogue;
  const moon_condition *when;
  *mask = moon_arena_alloc(visit->arena, slate->n);
  if (!*mask) return moon_fail(MOON_ENOMEM, "no memory for a policy");
  MOON_TRY(moon_condition_ask(policy->when, catalogue, visit->request, visit->arena, &when));
  for (size_t i = 0; i < slate->n; i++) (*mask)[i] = moon_condition_holds(when, catalogue, slate->item[i]);
  return moon_ok();
}

static moon_status boost(const moon_visit *visit, const moon_site_policy *policy, moon_slate *slate) {
  uint8_t *mask;
  int64_t now = visit->request->now;
  if (now < policy->starts || now >= policy->ends) return moon_ok();
  MOON_TRY(match(visit, policy, slate, &mask));
  moon_slate_boost(slate, mask, policy->factor, policy->label, policy->text);
  return moon_ok();
}

static moon_status filter(const moon_visit *visit, const moon_site_policy *policy, moon_slate *slate) {
  uint8_t *keep;
  MOON_TRY(match(visit, policy, slate, &keep));
  moon_slate_keep(slate, keep);
  return moon_ok();
}

static moon_status cap(const moon_site_policy *policy, moon_slate *slate) {
  for (size_t i = 0; i < policy->limit_count; i++)
    MOON_TRY(moon_slate_cap(slate, policy->limits[i].name, policy->limits[i].n, policy->label));
  return moon_ok();
}

/* A script's failure costs the page its effect and a line in `degraded`; the same line is not said twice. */
static moon_status degrade(moon_visit *visit, const moon_site_slot *slot, const char *label, moon_status failure) {
  const char *before = visit->page->degraded;
  const char *line =
      moon_arena_printf(visit->arena, "slot '%s': %s failed and was skipped: %s", slot->name, label, failure.message);
  visit->page->policy_errors++;
  if (line && before) line = strstr(before, line) ? before : moon_arena_printf(visit->arena, "%s; %s", before, line);
  if (!line) return moon_fail(MOON_ENOMEM, "no memory for a page");
  visit->page->degraded = line;
  return moon_ok();
}

static moon_status script(moon_visit *visit, const moon_site_slot *slot, const moon_site_policy *policy, moon_slate *slate) {
  const moon_page_functions *functions = visit->functions;
  moon_status status = functions && functions->policy ? functions->policy(functions->self, policy->fn, slate, visit->request)
                                                      : moon_fail(MOON_ESCRIPT, "nobody runs the site's functions here");
  return status.code ? degrade(visit, slot, policy->label, status) : status;
}

moon_status moon_visit_rerank(moon_visit *visit, const moon_site_slot *slot, moon_slate *slate) {
  for (size_t i = 0; i < slot->policy_count; i++) {
    const moon_site_policy *policy = &slot->policies[i];
    switch (policy->op) {
      case MOON_POLICY_BOOST: MOON_TRY(boost(visit, policy, slate)); break;
      case MOON_POLICY_FILTER: MOON_TRY(filter(visit, policy, slate)); break;
      case MOON_POLICY_CAP: MOON_TRY(cap(policy, slate)); break;
      case MOON_POLICY_MMR: MOON_TRY(moon_slate_mmr(slate, policy->lambda, policy->by, policy->k, policy->label)); break;
      case MOON_POLICY_LUA: MOON_TRY(script(visit, slot, policy, slate)); break;
      default: break;
    }
  }
  return moon_ok();
}

moon_status moon_visit_gate(moon_visit *visit, const moon_site_slot *slot, bool *open) {
  const moon_page_functions *functions = visit->functions;
  *open = true;
  if (!slot->gate) return moon_ok();
  moon_status status = functions && functions->gate ? functions->gate(functions->self, slot->gate, visit->request, open)
                                                    : moon_fail(MOON_ESCRIPT, "nobody runs the site's functions here");
  if (!status.code) return status;
  *open = false;
  return degrade(visit, slot, "its gate", status);
}

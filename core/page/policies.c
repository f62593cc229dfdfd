/* policies.c - a slot's policies over its slate, in the order in which the site wrote them. */
#include <string.h>

#include "page/assemble.h"

const char *moon_script_failure_name(moon_script_failure failure) {
  static const char *const names[MOON_SCRIPT_FAILURES] = {"error", "budget", "memory"};
  return names[failure];
}

/* A script's failure costs the page its effect and a line in `degraded`; the same line is not said twice. */
static moon_status degrade(moon_visit *visit, const moon_site_slot *slot, const char *label, moon_status failure) {
  const char *before = visit->page->degraded;
  const char *line =
      moon_arena_printf(visit->arena, "slot '%s': %s failed and was skipped: %s", slot->name, label, failure.message);
  visit->page->policy_errors++;
  const moon_page_functions *functions = visit->functions;
  moon_script_failure kind = functions && functions->failure ? functions->failure(functions->self) : MOON_SCRIPT_ERROR;
  visit->page->policy_failures[failure.code == MOON_ENOMEM ? MOON_SCRIPT_MEMORY : kind]++;
  if (line && before) line = strstr(before, line) ? before : moon_arena_printf(visit->arena, "%s; %s", before, line);
  if (!line) return moon_fail(MOON_ENOMEM, "no memory for a page");
  visit->page->degraded = line;
  return moon_ok();
}

static moon_status script(moon_visit *visit, const moon_site_slot *slot, const moon_policy *policy, moon_slate *slate) {
  const moon_page_functions *functions = visit->functions;
  const moon_script_args *args = policy->args;
  if (!moon_policy_due(policy, visit->request)) return moon_ok();
  moon_status status = functions && functions->policy ? functions->policy(functions->self, (uint32_t)args->fn, slate, visit->request)
                                                      : moon_fail(MOON_ESCRIPT, "nobody runs the site's functions here");
  return status.code ? degrade(visit, slot, policy->label, status) : status;
}

moon_status moon_visit_rerank(moon_visit *visit, const moon_site_slot *slot, moon_slate *slate) {
  for (size_t i = 0; i < slot->policy_count; i++) {
    const moon_policy *policy = &slot->policies[i];
    if (policy->op->run) MOON_TRY(moon_policy_run(policy, slate));
    else MOON_TRY(script(visit, slot, policy, slate));
  }
  return moon_ok();
}

moon_status moon_visit_gate(moon_visit *visit, const moon_site_slot *slot, bool *open, const char **why) {
  const moon_site_gate *which = slot->gate;
  *open = true;
  if (!slot->gate) return moon_ok();
  moon_status status = moon_gate_ask(visit, slot->gate, open, &which);
  *why = which ? which->label : slot->gate->label;
  if (!status.code) return status;
  *open = false;
  return degrade(visit, slot, "its gate", status);
}

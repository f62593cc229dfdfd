/* Any JSON as a plan's features: refused, or a plan that makes a state, which saves and loads. */
#include "fuzz/shop.h"

static void check_state(const moon_feature_plan *plan) {
  moon_state *state, *again;
  moon_buf bytes = {0};
  check(!moon_state_new(plan, &state).code);
  check(!moon_state_save(state, &bytes).code);
  check(!moon_state_load(bytes.data, bytes.n, plan, &again).code);
  moon_buf_free(&bytes);
  moon_state_free(state);
  moon_state_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  json_t *features = json_loadb((const char *)data, size, JSON_DECODE_ANY, NULL);
  if (!features) return 0;
  moon_catalogue *catalogue = moon_fuzz_catalogue();
  moon_feature_plan *plan = NULL;
  moon_status status = moon_feature_plan_new(features, catalogue, &plan);
  check(status.code == MOON_OK || status.code == MOON_EINVAL || status.code == MOON_ENOTFOUND || status.code == MOON_ELIMIT);
  check(moon_utf8_prefix(status.message, strlen(status.message)) == strlen(status.message));
  if (!status.code) check_state(plan);
  moon_feature_plan_free(plan);
  moon_catalogue_free(catalogue);
  json_decref(features);
  return 0;
}

size_t moon_fuzz_seed(size_t which, uint8_t *out, size_t cap) {
  return which < MOON_FUZZ_PLANS ? moon_fuzz_plan_text(which, out, cap) : 0;
}

/* Any bytes as the weights of a bundle's model: refused, and the model is as it was; or taken, and it scores and saves to what it loads. */
#include "fuzz/shop.h"
#include "rank/rank.h"

typedef struct world {
  moon_catalogue *catalogue;
  moon_feature_plan *plan;
  moon_model *model;
  moon_buf first; /* the weights that it starts from */
} world;

static world whole;

static json_t *json_of(const char *text) {
  json_t *json = json_loads(text, 0, NULL);
  check(json != NULL);
  return json;
}

static void make_whole(void) {
  if (whole.model) return;
  static uint8_t text[1 << 12];
  static const size_t sizes[] = {4, 64, 4, 0, 0, 0, 0, 0};
  json_t *features = json_loadb((const char *)text, moon_fuzz_plan_text(0, text, sizeof text), 0, NULL);
  json_t *model = json_of("{\"layers\":[{\"type\":\"dense\",\"units\":3,\"activation\":\"relu\"},{\"type\":\"batch_norm\"},"
                          "{\"type\":\"dense\",\"units\":1,\"activation\":\"sigmoid\"}]}");
  whole.catalogue = moon_fuzz_catalogue();
  check(!moon_feature_plan_new(features, whole.catalogue, &whole.plan).code);
  check(!moon_model_new(model, whole.plan, sizes, 1, &whole.model).code);
  check(!moon_model_compile(whole.model).code && !moon_model_save(whole.model, &whole.first).code);
  json_decref(features);
  json_decref(model);
}

static void check_saved(const char *bytes, size_t n) {
  moon_buf saved = {0};
  check(!moon_model_save(whole.model, &saved).code && saved.n == n && !memcmp(saved.data, bytes, n));
  moon_buf_free(&saved);
}

static void check_taken(void) {
  moon_buf saved = {0};
  moon_arena arena = {0};
  moon_inputs inputs;
  float scores[2];
  check(!moon_inputs_alloc(whole.plan, &arena, 2, &inputs).code);
  check(!moon_model_score(whole.model, &inputs, 2, &arena, scores).code); /* which may be NaN: any number may be a weight */
  check(!moon_model_save(whole.model, &saved).code && !moon_model_load(whole.model, saved.data, saved.n).code);
  check_saved(saved.data, saved.n);
  moon_buf_free(&saved);
  moon_arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  make_whole();
  moon_status status = moon_model_load(whole.model, (const char *)data, size);
  check(status.code == MOON_OK || status.code == MOON_EFORMAT || status.code == MOON_ELIMIT || status.code == MOON_EINVAL || status.code == MOON_ENOTFOUND);
  check(moon_utf8_prefix(status.message, strlen(status.message)) == strlen(status.message));
  if (status.code) {
    check_saved(whole.first.data, whole.first.n);
    return 0;
  }
  check_taken();
  check(!moon_model_load(whole.model, whole.first.data, whole.first.n).code);
  return 0;
}

size_t moon_fuzz_seed(size_t which, uint8_t *out, size_t cap) {
  make_whole();
  size_t n = which ? 0 : moon_fuzz_put(whole.first.data, whole.first.n, out, cap);
  check(which || n);
  return n;
}

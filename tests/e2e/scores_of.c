/* scores_of.c - rows of random inputs for a bundle's model and what it makes of them, as JSON by the names that `moonshelf export` gives
 * its inputs: for tests that hold another runtime's scores against ours. `scores_of BUNDLE ROWS SEED`. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "rank/view.h"

static moon_inputs in;
static moon_rng rng;

/* How many ids there are in a slot. */
static size_t rows_of(const moon_model_view *model, moon_feature_kind kind, size_t slot) {
  const moon_feature *all = model->plan->features;
  for (size_t i = 0; i < model->plan->feature_count; i++) {
    if (all[i].kind != kind || all[i].slot != slot) continue;
    return model->rows[all[i].op == MOON_FEATURE_HISTORY && all[i].shares != SIZE_MAX ? all[i].shares : i];
  }
  return 1;
}

/* Numbers about where training had them; of a bag every length, the newest first, a hole now and then. */
static void fill(const moon_model_view *model, size_t n) {
  const moon_feature_plan *plan = model->plan;
  for (size_t r = 0; r < n; r++) {
    for (size_t s = 0; s < plan->dense_slots; s++) {
      float scale = ((float *)moon_tensor_data(model->scale))[s];
      in.dense[r * plan->dense_slots + s] =
          ((float *)moon_tensor_data(model->mean))[s] + (float)(4 * moon_rng_uniform(&rng) - 2) / (scale > 0 ? scale : 1);
    }
    for (size_t s = 0; s < plan->id_slots; s++)
      in.ids[r * plan->id_slots + s] = moon_rng_below(&rng, (uint32_t)rows_of(model, MOON_KIND_ID, s));
    for (size_t s = 0; s < plan->bag_slots; s++) {
      uint32_t *bag = in.bags + (r * plan->bag_slots + s) * plan->bag_length,
               length = r ? moon_rng_below(&rng, (uint32_t)plan->bag_length + 1) : 0;
      for (size_t k = 0; k < plan->bag_length; k++)
        bag[k] = k < length && moon_rng_below(&rng, 8) ? moon_rng_below(&rng, (uint32_t)rows_of(model, MOON_KIND_BAG, s)) : 0;
    }
  }
}

static void print_ids(const moon_feature *feature, const uint32_t *from, size_t n, size_t stride, size_t at, size_t length) {
  printf(", \"%s\": {\"type\": \"int64\", \"dims\": [%zu", feature->name, n);
  printf(feature->kind == MOON_KIND_BAG ? ", %zu], \"data\": [" : "], \"data\": [", length);
  for (size_t r = 0; r < n; r++)
    for (size_t k = 0; k < length; k++) printf("%s%u", r || k ? ", " : "", from[r * stride + at * length + k]);
  printf("]}");
}

static int print_scores(const moon_model *model, size_t n) {
  moon_arena arena = {0};
  float *scores = moon_alloc(n * sizeof *scores);
  moon_status status = moon_model_score(model, &in, n, &arena, scores);
  for (size_t r = 0; r < n && !status.code; r++) printf("%s%.9g", r ? ", " : "", scores[r]);
  if (status.code) fprintf(stderr, "scores_of: %s\n", status.message);
  moon_arena_free(&arena);
  moon_free(scores);
  return status.code != MOON_OK;
}

static int print(const moon_model *model, size_t n) {
  const moon_model_view view = moon_model_look(model);
  const moon_feature_plan *plan = view.plan;
  in.dense = moon_alloc((n * plan->dense_slots + 1) * sizeof(float));
  in.ids = moon_alloc((n * plan->id_slots + 1) * sizeof(uint32_t));
  in.bags = moon_alloc((n * plan->bag_slots * plan->bag_length + 1) * sizeof(uint32_t));
  fill(&view, n);
  printf("{\"inputs\": {\"numbers\": {\"type\": \"float32\", \"dims\": [%zu, %zu], \"data\": [", n, plan->dense_slots);
  for (size_t i = 0; i < n * plan->dense_slots; i++) printf("%s%.9g", i ? ", " : "", in.dense[i]);
  printf("]}");
  for (size_t i = 0; i < plan->feature_count; i++) {
    const moon_feature *feature = &plan->features[i];
    if (feature->kind == MOON_KIND_ID) print_ids(feature, in.ids, n, plan->id_slots, feature->slot, 1);
    if (feature->kind == MOON_KIND_BAG)
      print_ids(feature, in.bags, n, plan->bag_slots * plan->bag_length, feature->slot, plan->bag_length);
  }
  printf("}, \"scores\": [");
  int code = print_scores(model, n);
  printf("]}\n");
  moon_free(in.dense);
  moon_free(in.ids);
  moon_free(in.bags);
  return code;
}

int main(int argc, char **argv) {
  moon_bundle *bundle = NULL;
  if (argc != 4) return 2;
  moon_rng_seed(&rng, strtoull(argv[3], NULL, 10), 1);
  moon_status status = moon_bundle_open(argv[1], &bundle);
  if (status.code) return fprintf(stderr, "scores_of: %s\n", status.message), 1;
  int code = print(bundle->model, strtoull(argv[2], NULL, 10));
  moon_bundle_close(bundle);
  return code;
}

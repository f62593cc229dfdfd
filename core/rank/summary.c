/* summary.c - what a model is made of, for people and programs: its tables, its layers, and what they take. */
#include <string.h>

#include "rank/model.h"

static size_t count_of(const moon_param *param) { return moon_tensor_count(param->value); }

static json_t *table_json(const moon_feature *feature, const moon_param *weight) {
  const size_t *shape = moon_tensor_shape(weight->value);
  return json_pack("{s:s, s:s, s:I, s:I, s:I, s:b}", "table", weight->name, "feature", feature->name, "rows", (json_int_t)shape[0], "dim",
                   (json_int_t)shape[1], "parameters", (json_int_t)count_of(weight), "frozen", (int)weight->frozen);
}

/* Tables of features; those that layers have of their own stand with the layers. */
static json_t *tables_json(const moon_model *model) {
  json_t *list = json_array();
  for (size_t i = 0; list && i < model->plan->feature_count; i++) {
    if (!model->tables[i] || !json_array_append_new(list, table_json(&model->plan->features[i], model->tables[i]->weight))) continue;
    json_decref(list);
    return NULL;
  }
  return list;
}

/* What is learned and kept, f32 as in the file; of what the layers take once compiled, in their precision. */
static json_t *scoring_json(const moon_model *model) {
  json_t *bytes = model->infer ? json_integer((json_int_t)moon_infer_bytes(model->infer)) : json_null();
  return json_pack("{s:b, s:s, s:o}", "compiled", model->infer != NULL, "precision", moon_precision_name(model->precision), "layer_bytes", bytes);
}

moon_status moon_model_describe(const moon_model *model, json_t **out) {
  size_t trained = 0, tables = 0, closed_bytes, closed = moon_module_closed_count(model->module, &closed_bytes), all = moon_model_params(model);
  for (size_t i = 0; i < model->param_count; i++) trained += model->params[i]->frozen ? 0 : count_of(model->params[i]);
  for (size_t i = 0; i < model->plan->feature_count; i++) tables += model->tables[i] ? count_of(model->tables[i]->weight) : 0;
  *out = json_pack("{s:o, s:o, s:I, s:I, s:s, s:I, s:I, s:I, s:I, s:o}", "tables", tables_json(model), "layers", moon_module_describe(model->module),
                   "inputs", (json_int_t)model->in, "numbers", (json_int_t)model->plan->dense_slots, "output", model->sigmoid ? "sigmoid" : "linear",
                   "parameters", (json_int_t)all, "trained", (json_int_t)trained, "in_tables", (json_int_t)tables, "bytes",
                   (json_int_t)((all - closed) * sizeof(float) + closed_bytes), "scoring", scoring_json(model));
  return *out ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory for a summary");
}

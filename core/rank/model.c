/* model.c - a model over features: their inputs (inputs.c) through a tree of layers (nn/module.h) to one score a row.
 *
 *   [ standardised numbers | embedding of each id | mean embedding of each bag ]  ->  layers  ->  probability
 *
 * A sigmoid at the end is taken off the tree: the loss takes logits, exact also where a sigmoid would round to 0 or 1. Fitting
 * goes over a tape (moon_model_forward), scoring over a compiled copy where there can be one (score.c). */
#include <stdio.h>
#include <string.h>

#include "rank/model.h"

/* ---- making one ---------------------------------------------------------------------------------------------------------- */

static moon_status make_tables(moon_model *model, const size_t *vocab_sizes, moon_rng *rng) {
  const moon_feature_plan *plan = model->plan;
  size_t item = SIZE_MAX;
  model->rows = moon_calloc(plan->feature_count, sizeof *model->rows);
  model->tables = moon_calloc(plan->feature_count, sizeof *model->tables);
  model->of_id = moon_calloc(plan->id_slots, sizeof *model->of_id);
  model->of_bag = moon_calloc(plan->bag_slots, sizeof *model->of_bag);
  if (!model->rows || !model->tables || !model->of_id || !model->of_bag) return moon_fail(MOON_ENOMEM, "no memory for a model");
  model->in = plan->dense_slots;
  for (size_t i = 0; i < plan->feature_count; i++) {
    const moon_feature *feature = &plan->features[i];
    model->rows[i] = vocab_sizes[i];
    if (feature->op == MOON_FEATURE_ID && !feature->of_user && item == SIZE_MAX) item = i, model->item_slot = feature->slot;
    if (!feature->dim || model->closed) continue;
    char name[96];
    snprintf(name, sizeof name, "embedding.%zu.%.64s", i, feature->name);
    MOON_TRY(moon_wrap(moon_embedding_new(name, vocab_sizes[i], feature->dim, rng, &model->tables[i]), "%s", feature->where));
    (feature->kind == MOON_KIND_BAG ? model->of_bag : model->of_id)[feature->slot] = model->tables[i];
    model->in += feature->dim;
    if (i == item) model->of_item = model->tables[i];
  }
  for (size_t i = 0; i < plan->feature_count; i++) {
    const moon_feature *feature = &plan->features[i];
    if (feature->op != MOON_FEATURE_HISTORY || feature->dim || model->closed) continue;
    model->of_bag[feature->slot] = model->tables[feature->shares];
    model->in += plan->features[feature->shares].dim;
  }
  return moon_ok();
}

/* The plan's layers as one sequential, without the sigmoid of the last. New reference, or NULL. */
static json_t *without_sigmoid(const json_t *spec, bool *sigmoid) {
  json_t *copy = json_deep_copy(spec), *layers = json_object_get(copy, "layers");
  json_t *last = json_array_get(layers, json_array_size(layers) ? json_array_size(layers) - 1 : 0);
  const char *activation = json_string_value(json_object_get(last, "activation"));
  *sigmoid = activation && !strcmp(activation, "sigmoid");
  bool failed = *sigmoid && json_object_set_new(last, "activation", json_string("linear"));
  if (!failed && copy && !json_object_set_new(copy, "type", json_string("sequential"))) return copy;
  json_decref(copy);
  return NULL;
}

/* One number a row, of any size. */
static moon_status check_end(const json_t *spec, const moon_module *module) {
  const json_t *layers = json_object_get(spec, "layers"), *last = json_array_get(layers, json_array_size(layers) - 1);
  const char *where = json_string_value(json_object_get(last, "where")),
             *activation = json_string_value(json_object_get(last, "activation"));
  const moon_form *out = moon_module_out(module);
  if (!out->ids && out->dims == 1 && out->shape[0] == 1 && (!activation || !strcmp(activation, "linear"))) return moon_ok();
  return moon_fail(MOON_EINVAL, "%s: the model's last layer must have 1 unit and be sigmoid or linear, it gives %s and is %s",
                   where ? where : "model", moon_form_write(out).text, activation ? activation : "linear");
}

/* Whether a layer of the plan's is computed in closed form. */
bool moon_plan_is_closed(const json_t *model) {
  const json_t *layer;
  size_t i;
  for (moon_closed_fit fit = 0; fit < MOON_CLOSED_FITS; fit++)
    if (!strcmp(moon_text_in(model, "type"), moon_closed_name(fit))) return true;
  json_array_foreach(json_object_get(model, "layers"), i, layer) if (moon_plan_is_closed(layer)) return true;
  return false;
}

/* What is computed and what is trained do not mix: the examples are part of what the first knows. */
static moon_status check_closed(const moon_module *module) {
  size_t n;
  moon_closed first;
  moon_param *const *trained = moon_module_params(module, &n);
  if (!n) return moon_ok();
  moon_module_closed(module, 0, &first);
  return moon_fail(MOON_EINVAL, "%s: %s is computed in closed form and stands alone; \"%s\" would have to be trained", first.where,
                   moon_closed_name(first.fit), trained[0]->name);
}

static moon_status make_module(moon_model *model, const json_t *spec, moon_rng *rng) {
  if (!model->in && !model->closed) return moon_fail(MOON_EINVAL, "the model has no inputs");
  if (!json_is_object(spec)) return moon_fail(MOON_EINVAL, "the model has no layers");
  moon_arena names = {0};
  moon_form *forms;
  json_t *tree = NULL;
  moon_status status = moon_model_list_inputs(model, &names, &forms);
  if (!status.code && !(tree = without_sigmoid(spec, &model->sigmoid))) status = moon_fail(MOON_ENOMEM, "no memory for a model");
  if (!status.code) status = moon_module_new(tree, MOON_F32, forms, model->input_count, rng, &model->module);
  if (!status.code) status = check_end(tree, model->module);
  if (!status.code && model->closed) status = check_closed(model->module);
  json_decref(tree);
  moon_arena_free(&names);
  return status;
}

static moon_status make_normal(moon_model *model) {
  size_t n = model->plan->dense_slots;
  if (!n) return moon_ok();
  MOON_TRY(moon_tensor_new(MOON_F32, 1, &n, &model->mean));
  MOON_TRY(moon_tensor_new(MOON_F32, 1, &n, &model->scale));
  moon_tensor_fill(model->scale, 1);
  return moon_ok();
}

static moon_status list_params(moon_model *model) {
  size_t n;
  moon_param *const *layers = moon_module_params(model->module, &n);
  model->params = moon_calloc(model->plan->feature_count + n, sizeof *model->params);
  if (!model->params) return moon_fail(MOON_ENOMEM, "no memory for the parameters of a model");
  for (size_t i = 0; i < model->plan->feature_count; i++)
    if (model->tables[i]) model->params[model->param_count++] = model->tables[i]->weight;
  for (size_t i = 0; i < n; i++) model->params[model->param_count++] = layers[i];
  return moon_ok();
}

moon_status moon_model_new(const json_t *spec, const moon_feature_plan *plan, const size_t *vocab_sizes, uint64_t seed,
                           moon_model **out) {
  *out = NULL;
  moon_model *model = moon_calloc(1, sizeof *model);
  if (!model) return moon_fail(MOON_ENOMEM, "no memory for a model");
  model->plan = plan;
  model->closed = moon_plan_is_closed(spec);
  moon_rng rng;
  moon_rng_seed(&rng, seed, 0x6d6f64656c); /* a stream of its own: "model" */
  moon_status status = make_tables(model, vocab_sizes, &rng);
  if (!status.code) status = make_module(model, spec, &rng);
  if (!status.code) status = make_normal(model);
  if (!status.code) status = list_params(model);
  if (status.code) moon_model_free(model);
  else *out = model;
  return status;
}

void moon_model_free(moon_model *model) {
  if (!model) return;
  for (size_t i = 0; model->tables && i < model->plan->feature_count; i++) moon_embedding_free(model->tables[i]);
  moon_module_free(model->module);
  moon_free(model->tables);
  moon_free(model->rows);
  moon_free(model->of_id);
  moon_free(model->of_bag);
  moon_free(model->inputs);
  moon_free(model->params);
  moon_tensor_free(model->mean);
  moon_tensor_free(model->scale);
  moon_infer_free(model->infer);
  moon_model_free_scorers(model->scorers);
  moon_free(model);
}

/* Row 0 is whatever the file does not have. */
void moon_model_take_vectors(moon_model *model, const moon_dataset *dataset) {
  for (size_t i = 0; i < model->plan->feature_count; i++) {
    const moon_tensor *vectors = dataset->vectors && model->tables[i] ? dataset->vectors[i] : NULL;
    moon_param *weight = vectors ? model->tables[i]->weight : NULL;
    if (!vectors) continue;
    float *rows = moon_tensor_data(weight->value);
    memcpy(rows + model->plan->features[i].dim, moon_tensor_data(vectors), moon_tensor_count(vectors) * sizeof *rows);
    weight->frozen = model->plan->features[i].freeze;
  }
}

size_t moon_model_params(const moon_model *model) {
  size_t n = moon_module_closed_count(model->module, NULL);
  for (size_t i = 0; i < model->param_count; i++) n += moon_tensor_count(model->params[i]->value);
  return n;
}

void moon_model_normalise(moon_model *model, const float *mean, const float *deviation) {
  for (size_t i = 0; i < model->plan->dense_slots; i++) {
    ((float *)moon_tensor_data(model->mean))[i] = mean[i];
    /* What never varied in training says nothing, whatever it is in serving. */
    ((float *)moon_tensor_data(model->scale))[i] = deviation[i] > 1e-6f ? 1 / deviation[i] : 0;
  }
}

/* ---- the forward pass of fitting ----------------------------------------------------------------------------------------- */

moon_model_view moon_model_look(const moon_model *model) {
  return (moon_model_view){
      .plan = model->plan,
      .module = model->module,
      .inputs = model->inputs,
      .of_id = model->of_id,
      .of_bag = model->of_bag,
      .rows = model->rows,
      .mean = model->mean,
      .scale = model->scale,
      .sigmoid = model->sigmoid,
  };
}

bool moon_model_gives_probability(const moon_model *model) { return model->sigmoid; }

size_t moon_model_items(const moon_model *model) {
  return model->of_item ? moon_tensor_shape(model->of_item->weight->value)[0] - 1 : 0;
}

bool moon_model_splits(const moon_model *model) { return moon_module_splits(model->module); }

moon_status moon_model_forward(moon_model *model, moon_tape *tape, const moon_batch *batch, moon_var *out) {
  moon_pass pass = {.training = batch->training, .seed = batch->seed, .step = batch->step};
  MOON_TRY(moon_model_put_inputs(model, tape, batch, &pass));
  return moon_module_forward(model->module, &pass, out);
}

moon_status moon_model_penalty(const moon_model *model, moon_tape *tape, bool *any, moon_var *penalty) {
  return moon_module_penalty(model->module, tape, any, penalty);
}

/* ---- drawing ------------------------------------------------------------------------------------------------------------- */

moon_status moon_model_summary(const moon_model *model, moon_buf *out) {
  for (size_t i = 0; i < model->plan->feature_count; i++) {
    if (!model->tables[i]) continue;
    const size_t *shape = moon_tensor_shape(model->tables[i]->weight->value);
    moon_buf_printf(out, "%-32.32s %zu x %zu\n", model->tables[i]->weight->name, shape[0], shape[1]);
  }
  return out->failed ? moon_fail(MOON_ENOMEM, "no memory for a summary") : moon_module_summary(model->module, out);
}

/* ---- weights as safetensors ---------------------------------------------------------------------------------------------- */

static size_t saved_most(const moon_model *model) {
  size_t buffers;
  moon_module_buffers(model->module, &buffers);
  return model->param_count + buffers + 2;
}

/* Everything that is saved: params, running statistics, mean and scale. named: [saved_most]. */
static size_t saved(const moon_model *model, moon_named_tensor *named) {
  size_t n = 0, buffers;
  const moon_named_tensor *running = moon_module_buffers(model->module, &buffers);
  for (; n < model->param_count; n++) named[n] = (moon_named_tensor){model->params[n]->name, model->params[n]->value};
  for (size_t i = 0; i < buffers; i++) named[n++] = running[i];
  if (model->mean) {
    named[n++] = (moon_named_tensor){"normalise.mean", model->mean};
    named[n++] = (moon_named_tensor){"normalise.scale", model->scale};
  }
  return n;
}

moon_status moon_model_save(const moon_model *model, moon_buf *safetensors) {
  moon_named_tensor *named = moon_alloc(saved_most(model) * sizeof *named);
  if (!named) return moon_fail(MOON_ENOMEM, "no memory to save a model");
  moon_status status = moon_safetensors_write(named, saved(model, named), safetensors);
  moon_free(named);
  return status;
}

static moon_status read_all(const moon_safetensors *file, const moon_named_tensor *named, moon_tensor **fresh, size_t n) {
  for (size_t i = 0; i < n; i++) {
    const moon_tensor *like = named[i].tensor;
    MOON_TRY(moon_tensor_new(moon_tensor_dtype(like), moon_tensor_dims(like), moon_tensor_shape(like), &fresh[i]));
    MOON_TRY(moon_safetensors_read(file, named[i].name, fresh[i]));
    const float *numbers = moon_tensor_data(fresh[i]);
    for (size_t k = 0; k < moon_tensor_count(fresh[i]); k++)
      if (!isfinite(numbers[k])) return moon_fail(MOON_EFORMAT, "tensor \"%s\" has a number that is not finite", named[i].name);
  }
  return moon_ok();
}

moon_status moon_model_load(moon_model *model, const char *bytes, size_t n) {
  moon_safetensors *file = NULL;
  size_t most = saved_most(model), count = 0;
  moon_named_tensor *named = moon_alloc(most * sizeof *named);
  moon_tensor **fresh = moon_calloc(most, sizeof *fresh);
  moon_status status = named && fresh ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory to load a model");
  if (!status.code) status = moon_safetensors_open(bytes, n, &file);
  if (!status.code) count = saved(model, named), status = read_all(file, named, fresh, count);
  for (size_t i = 0; i < count && !status.code; i++) {
    const moon_tensor *into = named[i].tensor;
    memcpy(moon_tensor_data(into), moon_tensor_data(fresh[i]),
           moon_tensor_count(into) * moon_dtype_size(moon_tensor_dtype(into)));
  }
  for (size_t i = 0; fresh && i < most; i++) moon_tensor_free(fresh[i]);
  moon_free(fresh);
  moon_free(named);
  moon_safetensors_close(file);
  return status.code ? status : moon_model_compile(model);
}

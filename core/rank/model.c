/* model.c - a model over features: its inputs side by side through a stack of dense layers.
 *
 *   [ standardised numbers | embedding of each id | mean embedding of each bag ]  ->  dense layers  ->  probability
 *
 * A history looks its items up in the table of the item id feature, so what is learned of an item as a candidate is also known of it
 * as a part of somebody's past. Fitting goes over a tape (moon_model_forward), scoring over a compiled copy (score.c). */
#include <stdio.h>
#include <string.h>

#include "rank/model.h"

/* ---- making one ------------------------------------------------------------------------------------------------------------- */

static bool has_table(const moon_feature *feature) { return feature->op == MOON_FEATURE_ID || feature->op == MOON_FEATURE_CATEGORY; }

static moon_status make_tables(moon_model *model, const size_t *vocab_sizes, moon_rng *rng) {
  const moon_feature_plan *plan = model->plan;
  model->tables = moon_calloc(plan->feature_count, sizeof *model->tables);
  model->of_id = moon_calloc(plan->id_slots, sizeof *model->of_id);
  model->of_bag = moon_calloc(plan->bag_slots, sizeof *model->of_bag);
  if (!model->tables || !model->of_id || !model->of_bag) return moon_fail(MOON_ENOMEM, "no memory for a model");
  model->in = plan->dense_slots;
  for (size_t i = 0; i < plan->feature_count; i++) {
    const moon_feature *feature = &plan->features[i];
    if (!has_table(feature)) continue;
    char name[96];
    snprintf(name, sizeof name, "embedding.%zu.%.64s", i, feature->name);
    MOON_TRY(moon_wrap(moon_embedding_new(name, vocab_sizes[i], feature->dim, rng, &model->tables[i]), "%s", feature->where));
    model->of_id[feature->slot] = model->tables[i];
    model->in += feature->dim;
    if (feature->op == MOON_FEATURE_ID && !feature->of_user && !model->of_item) model->of_item = model->tables[i];
  }
  for (size_t i = 0; i < plan->feature_count; i++) {
    const moon_feature *feature = &plan->features[i];
    if (feature->op != MOON_FEATURE_HISTORY) continue;
    if (!model->of_item) return moon_fail(MOON_EINVAL, "%s: a history needs the id of the item among the features", feature->where);
    model->of_bag[feature->slot] = model->of_item;
    model->in += moon_tensor_shape(model->of_item->weight->value)[1];
  }
  return moon_ok();
}

static moon_status make_layer(moon_model *model, const json_t *spec, size_t in, size_t *out, moon_rng *rng) {
  const char *where = json_string_value(json_object_get(spec, "where")), *type = json_string_value(json_object_get(spec, "type"));
  const char *name = json_string_value(json_object_get(spec, "activation"));
  json_int_t units = json_integer_value(json_object_get(spec, "units"));
  if (!where) where = "model";
  if (!type || strcmp(type, "dense")) return moon_fail(MOON_EINVAL, "%s: there is no layer of type '%s'; there is dense", where, type ? type : "?");
  if (units < 1 || units > 65536) return moon_fail(MOON_EINVAL, "%s: a dense layer has 1 to 65536 units, not %lld", where, (long long)units);
  moon_activation activation;
  MOON_TRY(moon_wrap(moon_activation_parse(name ? name : "linear", &activation), "%s", where));
  char key[32];
  snprintf(key, sizeof key, "dense.%zu", model->layer_count);
  MOON_TRY(moon_wrap(moon_dense_new(key, in, (size_t)units, activation, rng, &model->layers[model->layer_count]), "%s", where));
  model->layer_count++;
  *out = (size_t)units;
  return moon_ok();
}

static moon_status make_layers(moon_model *model, const json_t *spec, moon_rng *rng) {
  const json_t *layers = json_object_get(spec, "layers");
  size_t n = json_array_size(layers), width = model->in;
  if (!n) return moon_fail(MOON_EINVAL, "the model has no layers");
  if (!width) return moon_fail(MOON_EINVAL, "the model has no inputs");
  model->layers = moon_calloc(n, sizeof *model->layers);
  if (!model->layers) return moon_fail(MOON_ENOMEM, "no memory for %zu layers", n);
  for (size_t i = 0; i < n; i++) MOON_TRY(make_layer(model, json_array_get(layers, i), width, &width, rng));
  moon_activation last = model->layers[n - 1]->activation;
  if (width != 1 || (last != MOON_SIGMOID && last != MOON_LINEAR))
    return moon_fail(MOON_EINVAL, "the model's last layer must have 1 unit and be sigmoid or linear, it has %zu and is %s", width,
                     moon_activation_name(last));
  return moon_ok();
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
  size_t most = model->plan->feature_count + 2 * model->layer_count;
  model->params = moon_calloc(most, sizeof *model->params);
  if (!model->params) return moon_fail(MOON_ENOMEM, "no memory for %zu parameters", most);
  for (size_t i = 0; i < model->plan->feature_count; i++)
    if (model->tables[i]) model->params[model->param_count++] = model->tables[i]->weight;
  for (size_t i = 0; i < model->layer_count; i++) {
    model->params[model->param_count++] = model->layers[i]->weight;
    model->params[model->param_count++] = model->layers[i]->bias;
  }
  return moon_ok();
}

moon_status moon_model_new(const json_t *spec, const moon_feature_plan *plan, const size_t *vocab_sizes, uint64_t seed, moon_model **out) {
  *out = NULL;
  moon_model *model = moon_calloc(1, sizeof *model);
  if (!model) return moon_fail(MOON_ENOMEM, "no memory for a model");
  model->plan = plan;
  moon_rng rng;
  moon_rng_seed(&rng, seed, 0x6d6f64656c); /* a stream of its own: "model" */
  moon_status status = make_tables(model, vocab_sizes, &rng);
  if (!status.code) status = make_layers(model, spec, &rng);
  if (!status.code) status = make_normal(model);
  if (!status.code) status = list_params(model);
  if (status.code) moon_model_free(model);
  else *out = model;
  return status;
}

void moon_model_free(moon_model *model) {
  if (!model) return;
  for (size_t i = 0; model->tables && i < model->plan->feature_count; i++) moon_embedding_free(model->tables[i]);
  for (size_t i = 0; i < model->layer_count; i++) moon_dense_free(model->layers[i]);
  moon_free(model->tables);
  moon_free(model->of_id);
  moon_free(model->of_bag);
  moon_free(model->layers);
  moon_free(model->params);
  moon_tensor_free(model->mean);
  moon_tensor_free(model->scale);
  moon_infer_free(model->infer);
  moon_free(model);
}

size_t moon_model_params(const moon_model *model) {
  size_t n = 0;
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

/* ---- the forward pass of fitting -------------------------------------------------------------------------------------------- */

bool moon_model_splits(const moon_model *model) {
  (void)model; /* dense layers and embeddings take each row by itself */
  return true;
}

moon_status moon_model_forward(moon_model *model, moon_tape *tape, const moon_batch *batch, moon_var *out) {
  enum { MOST = 256 };
  const moon_feature_plan *plan = model->plan;
  moon_var parts[MOST];
  size_t n = 0;
  if (1 + plan->id_slots + plan->bag_slots > MOST) return moon_fail(MOON_ELIMIT, "a model takes at most %d embeddings", MOST - 1);
  if (plan->dense_slots)
    MOON_TRY(moon_tape_constant(tape, MOON_F32, 2, (size_t[]){batch->n, plan->dense_slots}, batch->dense, &parts[n++]));
  for (size_t i = 0; i < plan->id_slots; i++)
    MOON_TRY(moon_embedding_forward(tape, model->of_id[i], batch->ids + i * batch->n, batch->n, &parts[n++]));
  for (size_t i = 0; i < plan->bag_slots; i++)
    MOON_TRY(moon_embedding_mean(tape, model->of_bag[i], batch->bags + i * batch->n * plan->bag_length, batch->n, plan->bag_length, &parts[n++]));
  moon_var x = parts[0];
  if (n > 1) MOON_TRY(moon_op_concat(tape, parts, n, &x));
  for (size_t i = 0; i + 1 < model->layer_count; i++) MOON_TRY(moon_dense_forward(tape, model->layers[i], x, &x));
  moon_dense head = *model->layers[model->layer_count - 1];
  head.activation = MOON_LINEAR; /* the loss takes logits: exact also where a sigmoid would round to 0 or 1 */
  return moon_dense_forward(tape, &head, x, out);
}

/* ---- weights as safetensors ------------------------------------------------------------------------------------------------- */

/* Everything that is saved: params, then mean and scale. named: [param_count + 2]. */
static size_t saved(const moon_model *model, moon_named_tensor *named) {
  size_t n = 0;
  for (; n < model->param_count; n++) named[n] = (moon_named_tensor){model->params[n]->name, model->params[n]->value};
  if (model->mean) {
    named[n++] = (moon_named_tensor){"normalise.mean", model->mean};
    named[n++] = (moon_named_tensor){"normalise.scale", model->scale};
  }
  return n;
}

moon_status moon_model_save(const moon_model *model, moon_buf *safetensors) {
  moon_named_tensor *named = moon_alloc((model->param_count + 2) * sizeof *named);
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
  }
  return moon_ok();
}

moon_status moon_model_load(moon_model *model, const char *bytes, size_t n) {
  moon_safetensors *file = NULL;
  size_t most = model->param_count + 2, count = 0;
  moon_named_tensor *named = moon_alloc(most * sizeof *named);
  moon_tensor **fresh = moon_calloc(most, sizeof *fresh);
  moon_status status = named && fresh ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory to load a model");
  if (!status.code) status = moon_safetensors_open(bytes, n, &file);
  if (!status.code) count = saved(model, named), status = read_all(file, named, fresh, count);
  for (size_t i = 0; i < count && !status.code; i++) {
    const moon_tensor *into = named[i].tensor;
    memcpy(moon_tensor_data(into), moon_tensor_data(fresh[i]), moon_tensor_count(into) * moon_dtype_size(moon_tensor_dtype(into)));
  }
  for (size_t i = 0; fresh && i < most; i++) moon_tensor_free(fresh[i]);
  moon_free(fresh);
  moon_free(named);
  moon_safetensors_close(file);
  return status.code ? status : moon_model_compile(model);
}

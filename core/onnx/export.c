/* export.c - a bundle's model as an ONNX file: what a row of moon_inputs has becomes the graph's inputs, and from them what layers read.
 *
 * A row has numbers as they are, ids and bags of ids; all that the model does with them is in the graph. Only what some layer uses is an
 * input. What each means stands in the metadata as JSON, since a graph's inputs have names and shapes and nothing else. */
#include <stdlib.h>
#include <string.h>

#include "onnx/layers.h"
#include "onnx/onnx.h"
#include "rank/view.h"

moon_status moon_onnx_ready(void) {
  return moon_ok();
}

typedef struct source { /* the inputs of a row; a name is NULL until something asks for it */
  onnx_graph *graph;
  moon_model_view model;
  const char *numbers, **ids, **bags; /* by slot */
  onnx_value *steps;                  /* [bag_slots] a bag's ids as they happened, oldest first, and which of them are there */
  moon_vocab *const *vocabs;
  json_t *told; /* what the inputs are */
} source;

static void tell(source *s, json_t *input) {
  if (!input || json_array_append_new(s->told, input)) onnx_fail(s->graph, MOON_ENOMEM, "no memory for the metadata of a model");
}

static size_t width_of(const moon_embedding *table) {
  return moon_tensor_shape(table->weight->value)[1];
}

static const char *look_up(source *s, const moon_embedding *table, const char *ids) {
  return onnx_two(s->graph, "Gather", onnx_tensor(s->graph, table->weight->name, table->weight->value), ids);
}

/* ---- what goes in -------------------------------------------------------------------------------------------------------------- */

static const char *numbers(source *s) {
  onnx_graph *g = s->graph;
  const moon_feature_plan *plan = s->model.plan;
  if (s->numbers) return s->numbers;
  const char *raw = onnx_input(g, "numbers", ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, 1, &plan->dense_slots);
  json_t *columns = json_array();
  for (size_t i = 0; i < plan->dense_slots; i++) json_array_append_new(columns, json_string(plan->dense_names[i]));
  tell(s, json_pack("{s:s, s:s, s:[s, I], s:o}", "name", raw, "type", "float32", "shape", "n", (json_int_t)plan->dense_slots,
                    "columns", columns));
  const char *apart = onnx_two(g, "Sub", raw, onnx_tensor(g, "normalise.mean", s->model.mean));
  return s->numbers = onnx_two(g, "Mul", apart, onnx_tensor(g, "normalise.scale", s->model.scale));
}

static const moon_feature *feature_of(const source *s, moon_feature_kind kind, size_t slot) {
  const moon_feature_plan *plan = s->model.plan;
  for (size_t i = 0; i < plan->feature_count; i++)
    if (plan->features[i].kind == kind && plan->features[i].slot == slot) return &plan->features[i];
  return &plan->features[0]; /* a slot is some feature's */
}

/* An input of ids, [n] or, with a length, [n, length]. */
static const char *ids_input(source *s, const moon_feature *feature, size_t length) {
  const moon_feature_plan *plan = s->model.plan;
  size_t of =
      feature->op == MOON_FEATURE_HISTORY && feature->shares != SIZE_MAX ? feature->shares : (size_t)(feature - plan->features);
  const char *name = onnx_input(s->graph, feature->name, ONNX__TENSOR_PROTO__DATA_TYPE__INT64, length > 0, &length);
  json_t *input = json_pack("{s:s, s:s, s:s, s:s, s:I, s:[s]}", "name", name, "type", "int64", "feature", feature->name, "where",
                            feature->where, "ids", (json_int_t)s->model.rows[of], "shape", "n");
  if (input && length) json_array_append_new(json_object_get(input, "shape"), json_integer((json_int_t)length));
  if (input && feature->op == MOON_FEATURE_HISTORY) json_object_set_new(input, "order", json_string("newest first, then 0"));
  if (input && s->vocabs && s->vocabs[of] && plan->features[of].texts) {
    json_object_set_new(input, "vocabulary", json_string("vocab.json"));
    json_object_set_new(input, "at", json_integer((json_int_t)of));
  }
  tell(s, input);
  return name;
}

static const char *ids_of(source *s, size_t slot) {
  if (!s->ids[slot]) s->ids[slot] = ids_input(s, feature_of(s, MOON_KIND_ID, slot), 0);
  return s->ids[slot];
}

static const char *bag_of(source *s, size_t slot) {
  if (!s->bags[slot]) s->bags[slot] = ids_input(s, feature_of(s, MOON_KIND_BAG, slot), s->model.plan->bag_length);
  return s->bags[slot];
}

/* ---- what layers read ---------------------------------------------------------------------------------------------------------- */

static const char *vector(source *s, size_t slot) {
  return look_up(s, s->model.of_id[slot], ids_of(s, slot));
}

static const char *is_there(source *s, const char *ids) {
  const int64_t none = 0;
  return onnx_two(s->graph, "Greater", ids, onnx_ints(s->graph, &none, 1));
}

static const char *mean(source *s, size_t slot) {
  const moon_embedding *table = s->model.of_bag[slot];
  const char *ids = bag_of(s, slot), *there = onnx_cast(s->graph, is_there(s, ids), ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT);
  return onnx_mean(s->graph, there, look_up(s, table, ids), s->model.plan->bag_length, width_of(table));
}

/* A bag has the newest first and may have holes. By the key (length - 1 - place), and that much more where no id is, places lie as it
 * happened, and padding last. */
static onnx_value steps(source *s, size_t slot) {
  onnx_graph *g = s->graph;
  size_t length = s->model.plan->bag_length;
  const int64_t most = (int64_t)length, last = most - 1, end = 1;
  const onnx_attribute axis = onnx_int("axis", 1);
  if (s->steps[slot].x) return s->steps[slot];
  const char *ids = bag_of(s, slot), *there = onnx_cast(g, is_there(s, ids), ONNX__TENSOR_PROTO__DATA_TYPE__INT64);
  const char *turned = onnx_two(g, "Sub", onnx_ints(g, &last, 1), onnx_steps(g, length));
  const char *missing = onnx_two(g, "Mul", onnx_two(g, "Sub", onnx_ints(g, &end, 1), there), onnx_ints(g, &most, 1));
  const char *both[] = {ids, onnx_order(g, onnx_two(g, "Add", missing, turned), length)};
  const char *ordered = onnx_node(g, "GatherElements", both, 2, &axis, 1);
  return s->steps[slot] = (onnx_value){ordered, onnx_mask(g, onnx_sum_axis(g, there, 1, false), length)};
}

/* Embeddings of ids, then means of bags. parts: room for all. */
static size_t embeddings(source *s, const char **parts) {
  const moon_feature_plan *plan = s->model.plan;
  size_t n = 0;
  for (size_t i = 0; i < plan->id_slots; i++) parts[n++] = vector(s, i);
  for (size_t i = 0; i < plan->bag_slots; i++) parts[n++] = mean(s, i);
  return n;
}

static const char *side_by_side(source *s, bool with_numbers, bool below) {
  const moon_feature_plan *plan = s->model.plan;
  size_t n = 0;
  const char **parts = moon_arena_alloc(&s->graph->arena, (1 + plan->id_slots + plan->bag_slots) * sizeof *parts);
  if (!parts) return onnx_fail(s->graph, MOON_ENOMEM, "no memory for the inputs of a model"), "";
  if (with_numbers && plan->dense_slots) parts[n++] = numbers(s);
  n += embeddings(s, parts + n);
  const char *row = onnx_concat(s->graph, parts, n);
  if (!below) return row;
  return onnx_reshape(s->graph, row, 2, (size_t[]){n, width_of(plan->id_slots ? s->model.of_id[0] : s->model.of_bag[0])});
}

static onnx_value input_of(source *s, model_input input) {
  switch (input.kind) {
    case MODEL_X:
      return (onnx_value){.x = side_by_side(s, true, false)};
    case MODEL_NUMBERS:
      return (onnx_value){.x = numbers(s)};
    case MODEL_FIELDS:
      return (onnx_value){.x = side_by_side(s, false, true)};
    case MODEL_VECTOR:
      return (onnx_value){.x = vector(s, input.slot)};
    case MODEL_ID:
      return (onnx_value){.x = ids_of(s, input.slot)};
    case MODEL_MEAN:
      return (onnx_value){.x = mean(s, input.slot)};
    case MODEL_HISTORY: {
      onnx_value ids = steps(s, input.slot);
      return (onnx_value){look_up(s, s->model.of_bag[input.slot], ids.x), ids.mask};
    }
    case MODEL_HISTORY_IDS:
      return steps(s, input.slot);
  }
  return (onnx_value){.x = NULL};
}

/* ---- the whole ------------------------------------------------------------------------------------------------------------------- */

static bool reads(const moon_module *module, size_t i) {
  return moon_module_uses(module, i) || moon_module_uses_once(module, i);
}

static void write_module(onnx_graph *g, const moon_module *module, const onnx_value *inputs, bool sigmoid, const char *name) {
  const onnx_writer w = {g, inputs};
  const moon_form *out = moon_module_out(module);
  const char *y = onnx_write(&w, moon_module_root(module), inputs[0]).x;
  onnx_output(g, sigmoid ? onnx_one(g, "Sigmoid", y) : y, name, out->dims, out->shape);
}

static void write_model(source *s) {
  onnx_graph *g = s->graph;
  const moon_feature_plan *plan = s->model.plan;
  size_t n;
  moon_module_inputs(s->model.module, &n);
  onnx_value *inputs = moon_arena_calloc(&g->arena, n * sizeof *inputs);
  s->ids = moon_arena_calloc(&g->arena, (plan->id_slots + 1) * sizeof *s->ids);
  s->bags = moon_arena_calloc(&g->arena, (plan->bag_slots + 1) * sizeof *s->bags);
  s->steps = moon_arena_calloc(&g->arena, (plan->bag_slots + 1) * sizeof *s->steps);
  if (!inputs || !s->ids || !s->bags || !s->steps) {
    onnx_fail(g, MOON_ENOMEM, "no memory for the inputs of a model");
    return;
  }
  for (size_t i = 0; i < n; i++)
    if (reads(s->model.module, i)) inputs[i] = input_of(s, s->model.inputs[i]);
  write_module(g, s->model.module, inputs, s->model.sigmoid, "score");
}

/* Takes the list of inputs. */
static json_t *describe(const source *s, const moon_bundle *bundle, json_t *inputs) {
  const char *hash = json_string_value(json_object_get(bundle->manifest, "recipe_sha256"));
  const char *version = json_string_value(json_object_get(bundle->manifest, "moonshelf"));
  json_t *output = json_pack("{s:s, s:s, s:[s, i], s:s}", "name", "score", "type", "float32", "shape", "n", 1, "is",
                             s->model.sigmoid ? "probability" : "number");
  return json_pack("{s:s, s:s*, s:s*, s:i, s:i, s:o, s:o, s:I, s:I}", "recipe", bundle->name ? bundle->name : "", "recipe_sha256",
                   hash, "moonshelf", version, "opset", MOON_ONNX_OPSET, "ir_version", MOON_ONNX_IR, "inputs", inputs, "output",
                   output, "parameters", (json_int_t)moon_model_params(bundle->model), "nodes", (json_int_t)s->graph->node_count);
}

moon_status moon_onnx_export(const moon_bundle *bundle, moon_buf *out, json_t **report) {
  onnx_graph g = {.status = moon_ok()};
  source s = {.graph = &g, .model = moon_model_look(bundle->model), .vocabs = bundle->vocabs, .told = json_array()};
  write_model(&s);
  json_t *about = describe(&s, bundle, json_incref(s.told));
  char *text = about ? json_dumps(about, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
  json_t *metadata = text ? json_pack("{s:s}", "moonshelf", text) : NULL;
  if (!metadata) onnx_fail(&g, MOON_ENOMEM, "no memory for the metadata of a model");
  moon_status status = g.status.code ? g.status : onnx_pack(&g, bundle->name ? bundle->name : "model", metadata, out);
  if (!status.code && report) *report = json_incref(about);
  json_decref(metadata);
  json_decref(about);
  json_decref(s.told);
  free(text);
  onnx_graph_free(&g);
  return moon_wrap(status, "bundle %s", bundle->path);
}

moon_status moon_onnx_export_module(const moon_module *module, moon_buf *out) {
  onnx_graph g = {.status = moon_ok()};
  size_t n;
  const moon_form *forms = moon_module_inputs(module, &n);
  onnx_value *inputs = moon_arena_calloc(&g.arena, n * sizeof *inputs);
  if (!inputs) onnx_fail(&g, MOON_ENOMEM, "no memory for the inputs of a model");
  for (size_t i = 0; inputs && i < n; i++) {
    Onnx__TensorProto__DataType type = forms[i].ids ? ONNX__TENSOR_PROTO__DATA_TYPE__INT64 : ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
    if (reads(module, i)) inputs[i].x = onnx_input(&g, forms[i].name, type, forms[i].dims, forms[i].shape);
  }
  if (inputs) write_module(&g, module, inputs, false, "output");
  moon_status status = g.status.code ? g.status : onnx_pack(&g, "model", NULL, out);
  onnx_graph_free(&g);
  return status;
}

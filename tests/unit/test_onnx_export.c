/* Layers as ONNX: each kind has a graph, the graph holds together, and what a dense net's says comes back bit for bit. */
#include "unit/module_world.h"

#include "onnx/onnx.h"
#include "unit/exhaust.h"

#ifdef MOON_HAS_ONNX
#include <onnx.pb-c.h>

static moon_buf write_module(const moon_module *module) {
  moon_buf bytes = {0};
  OK(moon_onnx_export_module(module, &bytes));
  return bytes;
}

static Onnx__ModelProto *unpack(const moon_buf *bytes) {
  Onnx__ModelProto *model = onnx__model_proto__unpack(NULL, bytes->n, (const uint8_t *)bytes->data);
  assert_non_null(model);
  assert_int_equal(model->ir_version, MOON_ONNX_IR);
  assert_int_equal(model->n_opset_import, 1);
  assert_int_equal(model->opset_import[0]->version, MOON_ONNX_OPSET);
  return model;
}

/* Names that are there: inputs, constants, and what nodes before made. */
typedef struct names {
  const char *list[4096];
  size_t n;
} names;

static bool has(const names *known, const char *name) {
  for (size_t i = 0; i < known->n; i++)
    if (!strcmp(known->list[i], name)) return true;
  return false;
}

static void learn(names *known, const char *name) {
  if (has(known, name)) fail_msg("\"%s\" is there twice", name);
  assert_true(known->n < 4096);
  known->list[known->n++] = name;
}

/* What onnx.checker holds a graph to: single assignment, in order, every constant of the size that it says. */
static size_t check_graph(const Onnx__GraphProto *graph) {
  static names known;
  known.n = 0;
  for (size_t i = 0; i < graph->n_input; i++) learn(&known, graph->input[i]->name);
  for (size_t i = 0; i < graph->n_initializer; i++) {
    const Onnx__TensorProto *t = graph->initializer[i];
    size_t bytes = t->data_type == ONNX__TENSOR_PROTO__DATA_TYPE__INT64 ? 8 : 4;
    for (size_t d = 0; d < t->n_dims; d++) bytes *= (size_t)t->dims[d];
    assert_int_equal(t->raw_data.len, bytes);
    learn(&known, t->name);
  }
  for (size_t i = 0; i < graph->n_node; i++) {
    for (size_t k = 0; k < graph->node[i]->n_input; k++)
      if (!has(&known, graph->node[i]->input[k]))
        fail_msg("%s reads \"%s\", which is not there", graph->node[i]->name, graph->node[i]->input[k]);
    for (size_t k = 0; k < graph->node[i]->n_output; k++) learn(&known, graph->node[i]->output[k]);
  }
  assert_int_equal(graph->n_output, 1);
  assert_true(has(&known, graph->output[0]->name));
  return known.n;
}

static size_t count_op(const Onnx__GraphProto *graph, const char *op) {
  size_t n = 0;
  for (size_t i = 0; i < graph->n_node; i++) n += !strcmp(graph->node[i]->op_type, op);
  return n;
}

/* Every kind that there is, with an operator that shows in its graph; [0] the layer, [1] the operator. */
static const char *const every_kind[][2] = {
    {"{'type':'dense','units':2,'activation':'relu'}", "Gemm"},
    {"{'type':'dense','units':2,'bias':false}", "MatMul"},
    {"{'type':'dense','units':2,'input':'seq'}", "MatMul"},
    {"{'type':'activation','activation':'relu'}", "Relu"},
    {"{'type':'activation','activation':'sigmoid'}", "Sigmoid"},
    {"{'type':'activation','activation':'tanh'}", "Tanh"},
    {"{'type':'activation','activation':'gelu'}", "Tanh"},
    {"{'type':'activation','activation':'leaky_relu'}", "LeakyRelu"},
    {"{'type':'activation','activation':'softplus'}", "Softplus"},
    {"{'type':'activation','activation':'linear'}", "Identity"},
    {"{'type':'dropout','rate':0.5}", "Identity"},
    {"{'type':'input','input':'seq'}", "Identity"},
    {"{'type':'flatten','input':'seq'}", "Reshape"},
    {"{'type':'reshape','shape':[2,3]}", "Reshape"},
    {"{'type':'embedding','input':'ids','dim':3}", "Gather"},
    {"{'type':'embedding','input':'id','dim':3}", "Gather"},
    {"{'type':'embedding_bag','input':'ids','dim':3,'mode':'sum'}", "Gather"},
    {"{'type':'embedding_bag','input':'ids','dim':3,'mode':'mean'}", "Max"},
    {"{'type':'embedding_bag','input':'ids','dim':3,'mode':'max'}", "ReduceMax"},
    {"{'type':'batch_norm'}", "BatchNormalization"},
    {"{'type':'batch_norm','input':'seq'}", "BatchNormalization"},
    {"{'type':'layer_norm'}", "Sqrt"},
    {"{'type':'fm','input':'fields'}", "ReduceSum"},
    {"{'type':'cross','layers':3}", "Gemm"},
    {"{'type':'dot','layers':[{'type':'dense','units':2},{'type':'dense','units':2}]}", "ReduceSum"},
    {"{'type':'position','input':'seq'}", "Add"},
    {"{'type':'attention','input':'seq','heads':2}", "Softmax"},
    {"{'type':'attention','input':'seq','heads':2,'causal':true}", "LessOrEqual"},
    {"{'type':'transformer','input':'seq','heads':2,'causal':true}", "Softmax"},
    {"{'type':'gru','input':'seq','units':3}", "GRU"},
    {"{'type':'mask','input':'seq'}", "Where"},
    {"{'type':'sequential','input':'seq','layers':[{'type':'mask'},{'type':'attention','heads':2},{'type':'pool','mode':'last'}]}", "Pad"},
    {"{'type':'pool','input':'seq','mode':'mean'}", "Div"},
    {"{'type':'pool','input':'seq','mode':'sum'}", "MatMul"},
    {"{'type':'pool','input':'seq','mode':'max'}", "ReduceMax"},
    {"{'type':'pool','input':'seq','mode':'last'}", "Equal"},
    {"{'type':'din','history':'seq','units':3}", "Concat"},
    {"{'type':'ease','input':'item','history':'past','l2':1}", "GatherElements"},
    {"{'type':'item_knn','input':'item','history':'past'}", "ReduceMax"},
    {"{'type':'content','input':'item','history':'past'}", "ReduceMax"},
    {"{'type':'popular','input':'item'}", "Gather"},
    {"{'type':'trending','input':'item','half_life_us':1000}", "Gather"},
    {"{'type':'sequential','layers':[{'type':'dense','units':2}]}", "Gemm"},
    {"{'type':'residual','layers':[{'type':'dense','units':6}]}", "Add"},
    {"{'type':'parallel','layers':[{'type':'dense','units':6},{'type':'input'}]}", "Concat"},
    {"{'type':'parallel','merge':'sum','layers':[{'type':'dense','units':6},{'type':'input'}]}", "Add"},
    {"{'type':'parallel','merge':'gate','layers':[{'type':'dense','units':2},{'type':'dense','units':3},{'type':'dense','units':3}]}", "Softmax"},
    {"{'type':'heads','names':['a','b'],'layers':[{'type':'dense','units':1},{'type':'dense','units':1}]}", "Concat"},
    {"{'type':'heads','names':['a','b'],'times':{'b':'a'},'layers':[{'type':'dense','units':1},{'type':'dense','units':1}]}", "Softplus"},
};

static moon_module *module_of(const char *quoted) {
  char text[1024];
  moon_module *module;
  snprintf(text, sizeof text, "%s", quoted);
  for (char *p = text; *p; p++)
    if (*p == '\'') *p = '"';
  moon_form forms[WORLD_INPUTS + 2]; /* and what models in closed form read */
  moon_rng rng;
  moon_rng_seed(&rng, 11, 0);
  memcpy(forms, world_forms, sizeof world_forms);
  forms[WORLD_INPUTS] = (moon_form){.name = "item", .ids = WORLD_IDS, .whose = MOON_OF_ITEM};
  forms[WORLD_INPUTS + 1] =
      (moon_form){.name = "past", .ids = WORLD_IDS, .dims = 1, .shape = {WORLD_STEPS}, .whose = MOON_OF_USER};
  json_t *spec = world_json(text);
  OK(moon_module_new(spec, MOON_F32, forms, WORLD_INPUTS + 2, &rng, &module));
  json_decref(spec);
  return module;
}

static void every_kind_of_layer_has_a_graph_that_holds_together(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof every_kind / sizeof *every_kind; i++) {
    moon_module *module = module_of(every_kind[i][0]);
    moon_buf bytes = write_module(module);
    Onnx__ModelProto *model = unpack(&bytes);
    check_graph(model->graph);
    if (!count_op(model->graph, every_kind[i][1])) fail_msg("%s has no %s", every_kind[i][0], every_kind[i][1]);
    onnx__model_proto__free_unpacked(model, NULL);
    moon_buf_free(&bytes);
    moon_module_free(module);
  }
}

/* The list above is of all kinds: a new one is written to it, and so to core/onnx. */
static void no_kind_is_forgotten(void **state) {
  (void)state;
  const char *kind;
  for (size_t k = 0; (kind = moon_layer_kind_name(k)); k++) {
    char quoted[64];
    bool found = false;
    snprintf(quoted, sizeof quoted, "{'type':'%s'", kind);
    for (size_t i = 0; i < sizeof every_kind / sizeof *every_kind; i++)
      found |= !strncmp(every_kind[i][0], quoted, strlen(quoted));
    if (!found) fail_msg("the layer %s is not tried as ONNX", kind);
  }
}

static void shared_parameters_are_written_once_and_nodes_are_named_by_path(void **state) {
  (void)state;
  moon_module *module =
      module_of("{'type':'sequential','layers':[{'type':'dense','units':6,'share':'a'},{'type':'dense','units':6,'share':'a'}]}");
  moon_buf bytes = write_module(module), again = write_module(module);
  assert_int_equal(bytes.n, again.n);
  assert_memory_equal(bytes.data, again.data, bytes.n);
  Onnx__ModelProto *model = unpack(&bytes);
  assert_int_equal(model->graph->n_initializer, 2);
  assert_string_equal(model->graph->initializer[0]->name, "/0.weight");
  assert_memory_equal(model->graph->node[0]->name, "/0/Gemm", 7);
  assert_memory_equal(model->graph->node[1]->name, "/1/Gemm", 7);
  assert_string_equal(model->graph->input[0]->name, "x");
  onnx__model_proto__free_unpacked(model, NULL);
  moon_buf_free(&bytes);
  moon_buf_free(&again);
  moon_module_free(module);
}

static const char net[] =
    "{\"type\":\"sequential\",\"layers\":[{\"type\":\"batch_norm\"},{\"type\":\"dense\",\"units\":7,\"activation\":\"relu\"},{"
    "\"type\":\"dropout\",\"rate\":0.3},"
    "{\"type\":\"dense\",\"units\":5,\"bias\":false},{\"type\":\"activation\",\"activation\":\"leaky_relu\"},{\"type\":\"dense\","
    "\"units\":3,"
    "\"activation\":\"tanh\"},{\"type\":\"activation\",\"activation\":\"softplus\"},{\"type\":\"dense\",\"units\":1,"
    "\"activation\":\"sigmoid\"}]}";

static void a_dense_net_that_comes_back_scores_the_same_bits(void **state) {
  (void)state;
  world w, back;
  world_new(&w, net, MOON_F32);
  moon_buf bytes = write_module(w.module);
  json_t *layers;
  OK(moon_onnx_import("net.onnx", bytes.data, bytes.n, &layers));
  assert_int_equal(json_integer_value(json_object_get(layers, "width")), WORLD_WIDTH);
  char *text = json_dumps(layers, 0);
  world_new(&back, net, MOON_F32); /* its inputs are the same; its module is another */
  moon_module_free(back.module);
  OK(world_module(text, MOON_F32, &back.module));
  double want[64], got[64];
  size_t n = world_output(&w, want);
  assert_int_equal(world_output(&back, got), n);
  for (size_t i = 0; i < n; i++) assert_true(want[i] == got[i]);
  assert_true(n == WORLD_ROWS && want[0] != want[1]);
  free(text);
  json_decref(layers);
  moon_buf_free(&bytes);
  world_free(&w);
  world_free(&back);
}

static void numbers_of_f64_are_refused(void **state) {
  (void)state;
  moon_module *module;
  moon_buf bytes = {0};
  OK(world_module("{\"type\":\"dense\",\"units\":2}", MOON_F64, &module));
  REFUSED(MOON_EINVAL, "f32", moon_onnx_export_module(module, &bytes));
  moon_buf_free(&bytes);
  moon_module_free(module);
}

static moon_status export_once(void *module) {
  moon_buf bytes = {0};
  moon_status status = moon_onnx_export_module(module, &bytes);
  moon_buf_free(&bytes);
  return status;
}

static void failing_allocations_are_told_and_leak_nothing(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof every_kind / sizeof *every_kind; i++) {
    moon_module *module = module_of(every_kind[i][0]);
    assert_true(exhaust(export_once, module) > 3);
    moon_module_free(module);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_kind_of_layer_has_a_graph_that_holds_together),
      cmocka_unit_test(no_kind_is_forgotten),
      cmocka_unit_test(shared_parameters_are_written_once_and_nodes_are_named_by_path),
      cmocka_unit_test(a_dense_net_that_comes_back_scores_the_same_bits),
      cmocka_unit_test(numbers_of_f64_are_refused),
      cmocka_unit_test(failing_allocations_are_told_and_leak_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

static void it_says_that_it_was_built_without(void **state) {
  (void)state;
  REFUSED(MOON_EINVAL, "libonnx-dev", moon_onnx_ready());
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(it_says_that_it_was_built_without)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif

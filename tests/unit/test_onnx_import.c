/* Files from elsewhere as layers: what becomes of each node, and what is told of those that are no chain, or no file. */
#include "unit/module_world.h"

#include "onnx/onnx.h"

#ifdef MOON_HAS_ONNX
#include "onnx/graph.h"

static const Onnx__TensorProto__DataType FLOAT = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
static const float six[6] = {1, 2, 3, 4, 5, 6}, matrix[12] = {.1f, -.2f, .3f, .4f, .5f, -.6f, .7f, .8f, -.9f, 1, 1.1f, 1.2f},
                   pair[2] = {.5f, -1};

/* x [n, 6] into `graph`. */
static const char *start(onnx_graph *graph) {
  *graph = (onnx_graph){.status = moon_ok()};
  return onnx_input(graph, "x", FLOAT, 1, (size_t[]){6});
}

static const char *floats(onnx_graph *g, const char *name, int dims, size_t a, size_t b, const float *values) {
  return onnx_floats(g, name, dims, (size_t[]){a, b}, values);
}

/* A linear layer of 6 numbers by 2 units. */
static const char *linear(onnx_graph *g, const char *x) {
  return onnx_node(g, "Gemm", (const char *[]){x, floats(g, "w", 2, 6, 2, matrix), floats(g, "b", 1, 2, 0, pair)}, 3, NULL, 0);
}

static moon_status finish(onnx_graph *g, const char *y, json_t **layers) {
  moon_buf bytes = {0};
  onnx_output(g, y, "y", 1, (size_t[]){2});
  OK(onnx_pack(g, "net", NULL, &bytes));
  onnx_graph_free(g);
  moon_status status = moon_onnx_import("net.onnx", bytes.data, bytes.n, layers);
  moon_buf_free(&bytes);
  return status;
}

/* What the layers make of x = (1, 0, 0, 0, 0, 0) and the like: row r has a 1 at r. */
static void run(json_t *layers, size_t rows, double *out) {
  moon_module *module;
  moon_rng rng;
  moon_rng_seed(&rng, 1, 1);
  const moon_form form = {.name = "x", .dims = 1, .shape = {6}};
  OK(moon_module_new(layers, MOON_F32, &form, 1, &rng, &module));
  moon_tape *tape;
  moon_var y;
  OK(moon_tape_new(&tape));
  float *x = moon_calloc(rows * 6, sizeof *x);
  for (size_t r = 0; r < rows; r++) x[r * 6 + r % 6] = 1;
  moon_value in = {.lengths = NULL};
  OK(moon_tape_constant(tape, MOON_F32, 2, (size_t[]){rows, 6}, x, &in.x));
  const moon_pass pass = {.tape = tape, .rows = rows, .inputs = &in};
  OK(moon_module_forward(module, &pass, &y));
  for (size_t i = 0; i < moon_var_count(tape, y); i++) out[i] = ((const float *)moon_var_data(tape, y))[i];
  moon_tape_free(tape);
  moon_free(x);
  moon_module_free(module);
  json_decref(layers);
}

static void gemm_turns_scales_and_adds(void **state) {
  (void)state;
  onnx_graph g;
  json_t *layers;
  double y[12];
  const onnx_attribute with[] = {onnx_int("transB", 1), onnx_float("alpha", 2), onnx_float("beta", 3)};
  const char *x = start(&g), *w = floats(&g, "w", 2, 2, 6, matrix), *b = floats(&g, "b", 2, 1, 2, pair);
  OK(finish(&g, onnx_node(&g, "Gemm", (const char *[]){x, w, b}, 3, with, 3), &layers));
  run(layers, 6, y);
  for (size_t r = 0; r < 6; r++)
    for (size_t c = 0; c < 2; c++) NEAR(y[r * 2 + c], 2 * matrix[c * 6 + r] + 3 * pair[c], 1e-6);
}

static void matmul_and_add_are_one_layer_with_its_activation(void **state) {
  (void)state;
  onnx_graph g;
  json_t *layers;
  double y[12];
  const char *x = start(&g), *product = onnx_two(&g, "MatMul", x, floats(&g, "w", 2, 6, 2, matrix));
  OK(finish(&g, onnx_one(&g, "Relu", onnx_two(&g, "Add", floats(&g, "b", 1, 2, 0, pair), product)), &layers));
  const json_t *list = json_object_get(layers, "layers");
  assert_int_equal(json_array_size(list), 1);
  assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "activation")), "relu");
  run(layers, 6, y);
  for (size_t r = 0; r < 6; r++)
    for (size_t c = 0; c < 2; c++) NEAR(y[r * 2 + c], fmax(0, (double)matrix[r * 2 + c] + pair[c]), 1e-6);
}

static void arithmetic_with_constants_stays_as_it_is(void **state) {
  (void)state;
  static const char *const ops[] = {"Add", "Sub", "Mul", "Div"};
  for (size_t i = 0; i < 4; i++)
    for (int side = 0; side < (i == 3 ? 1 : 2); side++) {
      onnx_graph g;
      json_t *layers;
      double y[36];
      const char *x = start(&g), *c = floats(&g, "c", 1, 6, 0, six);
      OK(finish(&g, onnx_two(&g, ops[i], side ? c : x, side ? x : c), &layers));
      assert_true(json_is_true(json_object_get(json_array_get(json_object_get(layers, "layers"), 0), "freeze")));
      run(layers, 6, y);
      for (size_t r = 0; r < 6; r++)
        for (size_t k = 0; k < 6; k++) {
          double a = side ? six[k] : r == k, b = side ? r == k : six[k];
          NEAR(y[r * 6 + k], i == 0 ? a + b : i == 1 ? a - b : i == 2 ? a * b : a / b, 1e-6);
        }
    }
}

static void batch_norm_takes_its_statistics_along(void **state) {
  (void)state;
  onnx_graph g;
  json_t *layers;
  double y[36];
  const onnx_attribute epsilon = onnx_float("epsilon", 0.5);
  const char *x = start(&g), *c = floats(&g, "c", 1, 6, 0, six), *all[] = {x, c, c, c, c};
  OK(finish(&g, onnx_node(&g, "BatchNormalization", all, 5, &epsilon, 1), &layers));
  run(layers, 6, y);
  for (size_t r = 0; r < 6; r++)
    for (size_t k = 0; k < 6; k++) NEAR(y[r * 6 + k], ((r == k) - six[k]) / sqrt(six[k] + 0.5) * six[k] + six[k], 1e-5);
}

static void what_does_nothing_is_passed_over_and_doubles_are_read(void **state) {
  (void)state;
  onnx_graph g;
  json_t *layers;
  double y[12], wide[12];
  const char *x = start(&g);
  x = onnx_one(&g, "Flatten", onnx_one(&g, "Dropout", onnx_one(&g, "Identity", x)));
  const char *made = linear(&g, x);
  for (size_t i = 0; i < 12; i++) wide[i] = matrix[i];
  Onnx__TensorProto *w = NULL;
  for (size_t i = 0; i < g.tensor_count; i++)
    if (!strcmp(g.tensors[i]->name, "/w")) w = g.tensors[i];
  assert_non_null(w);
  w->data_type = ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE, w->has_raw_data = false;
  w->double_data = wide, w->n_double_data = 12;
  OK(finish(&g, made, &layers));
  assert_int_equal(json_array_size(json_object_get(layers, "layers")), 1);
  run(layers, 6, y);
  for (size_t i = 0; i < 12; i++) NEAR(y[i], (double)matrix[i] + pair[i % 2], 1e-6);
}

static Onnx__TensorProto *tensor_of(onnx_graph *g, const char *name) {
  for (size_t i = 0; i < g->tensor_count; i++)
    if (!strcmp(g->tensors[i]->name, name)) return g->tensors[i];
  fail_msg("there is no %s", name);
  return NULL;
}

static void what_is_no_chain_is_refused_by_the_name_of_its_node(void **state) {
  (void)state;
  onnx_graph g;
  json_t *layers;
  const char *x = start(&g);
  REFUSED(MOON_EINVAL, "(Softmax): has no layer", finish(&g, onnx_one(&g, "Softmax", linear(&g, x)), &layers));
  x = start(&g);
  REFUSED(MOON_EINVAL, "(Add): \"x\" is not a constant", finish(&g, onnx_two(&g, "Add", onnx_one(&g, "Relu", x), x), &layers));
  x = start(&g);
  const char *made = linear(&g, x);
  REFUSED(MOON_EINVAL, "(Relu): does not read", finish(&g, (onnx_one(&g, "Relu", x), made), &layers));
  x = start(&g);
  const onnx_attribute alpha = onnx_float("alpha", 0.3);
  REFUSED(MOON_EINVAL, "alpha is 0.3", finish(&g, onnx_node(&g, "LeakyRelu", &x, 1, &alpha, 1), &layers));
  x = start(&g);
  onnx_input(&g, "second", FLOAT, 1, (size_t[]){6});
  REFUSED(MOON_EINVAL, "\"x\" and \"second\"", finish(&g, linear(&g, x), &layers));
  x = start(&g);
  made = onnx_two(&g, "MatMul", x, floats(&g, "w", 2, 4, 3, matrix));
  REFUSED(MOON_EINVAL, "takes 4 numbers a row, and 6 come", finish(&g, made, &layers));
  start(&g);
  REFUSED(MOON_EINVAL, "no layer in it", finish(&g, "x", &layers));
}

static void weights_that_are_not_there_or_not_numbers_are_refused(void **state) {
  (void)state;
  onnx_graph g;
  json_t *layers;
  const char *y = linear(&g, start(&g));
  tensor_of(&g, "/w")->has_data_location = true;
  tensor_of(&g, "/w")->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
  REFUSED(MOON_EINVAL, "external data", finish(&g, y, &layers));
  y = linear(&g, start(&g));
  tensor_of(&g, "/w")->data_type = ONNX__TENSOR_PROTO__DATA_TYPE__INT8;
  REFUSED(MOON_EINVAL, "data type 3", finish(&g, y, &layers));
  y = linear(&g, start(&g));
  tensor_of(&g, "/b")->raw_data.len = 4;
  REFUSED(MOON_EINVAL, "says to have 2 numbers, and has 1", finish(&g, y, &layers));
  y = linear(&g, start(&g));
  tensor_of(&g, "/w")->dims[0] = INT64_MAX, tensor_of(&g, "/w")->dims[1] = INT64_MAX;
  REFUSED(MOON_EINVAL, "a dimension of", finish(&g, y, &layers));
  y = linear(&g, start(&g));
  tensor_of(&g, "/w")->dims[0] = 1 << 22, tensor_of(&g, "/w")->dims[1] = 1 << 22;
  REFUSED(MOON_ELIMIT, "more than", finish(&g, y, &layers));
}

static void a_wrong_width_names_both_and_the_file(void **state) {
  (void)state;
  onnx_graph g;
  json_t *layers;
  moon_module *module;
  moon_rng rng;
  moon_rng_seed(&rng, 1, 1);
  const moon_form form = {.name = "x", .dims = 1, .shape = {8}};
  OK(finish(&g, linear(&g, start(&g)), &layers));
  REFUSED(MOON_EINVAL, "net.onnx takes [n, 6], and what comes in is [n, 8]",
          moon_module_new(layers, MOON_F32, &form, 1, &rng, &module));
  json_decref(layers);
}

static void weights_in_a_plan_have_to_fit(void **state) {
  (void)state;
  moon_module *module;
  moon_rng rng;
  moon_rng_seed(&rng, 1, 1);
  const moon_form form = {.name = "x", .dims = 1, .shape = {1}};
  static const char *const texts[] = {"AACAPw==", "AAAA", "AACAfw==", "AACA/w=", "AACAPx==", "????????"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    json_t *layer = json_pack("{s:s, s:i, s:{s:s}}", "type", "dense", "units", 1, "weights", "weight", texts[i]);
    moon_status status = moon_module_new(layer, MOON_F32, &form, 1, &rng, &module);
    json_decref(layer);
    if (i) REFUSED(MOON_EINVAL, i == 2 ? "not finite" : "brings along a weight", status);
    if (i) continue;
    OK(status);
    size_t n;
    assert_true(*(float *)moon_tensor_data(moon_module_params(module, &n)[0]->value) == 1.0f);
    moon_module_free(module);
  }
}

static void bytes_that_are_deep_or_broken_are_refused(void **state) {
  (void)state;
  json_t *layers;
  REFUSED(MOON_EFORMAT, "net: these bytes", moon_onnx_import("net", "", 0, &layers));
  REFUSED(MOON_EFORMAT, "these bytes", moon_onnx_import("net", "PK\3\4 and so on", 15, &layers));
  REFUSED(MOON_EFORMAT, "no graph", moon_onnx_import("net", "\x08\x07", 2, &layers));
  /* model.graph (7) . node (1) . attribute (5) . g (6) . node (1) ... and on, each as long as what is left */
  enum { DEPTH = 30000 };
  static uint8_t deep[8 * DEPTH];
  size_t at = sizeof deep;
  for (size_t level = DEPTH; level-- > 0;) {
    static const uint8_t tags[] = {1 << 3 | 2, 5 << 3 | 2, 6 << 3 | 2};
    uint8_t head[8];
    size_t n = 0, size = sizeof deep - at;
    head[n++] = level ? tags[(level - 1) % 3] : 7 << 3 | 2;
    for (; size > 127; size >>= 7) head[n++] = (uint8_t)(size | 128);
    head[n++] = (uint8_t)size;
    at -= n;
    memcpy(deep + at, head, n);
  }
  REFUSED(MOON_ELIMIT, "deeper", moon_onnx_import("net", (const char *)deep + at, sizeof deep - at, &layers));
}

static void failing_allocations_are_told_and_leak_nothing(void **state) {
  (void)state;
  onnx_graph g;
  moon_buf bytes = {0};
  const char *y = linear(&g, start(&g));
  onnx_output(&g, onnx_two(&g, "Mul", y, floats(&g, "c", 1, 2, 0, pair)), "y", 1, (size_t[]){2});
  OK(onnx_pack(&g, "net", NULL, &bytes));
  onnx_graph_free(&g);
  for (size_t n = 1;; n++) {
    json_t *layers;
    moon_alloc_fail_at(n);
    moon_status status = moon_onnx_import("net.onnx", bytes.data, bytes.n, &layers);
    moon_alloc_fail_at(0);
    json_decref(layers);
    if (!status.code) {
      assert_true(n > 20);
      break;
    }
    assert_int_equal(status.code, MOON_ENOMEM);
    assert_null(layers);
  }
  moon_buf_free(&bytes);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(gemm_turns_scales_and_adds),
      cmocka_unit_test(matmul_and_add_are_one_layer_with_its_activation),
      cmocka_unit_test(arithmetic_with_constants_stays_as_it_is),
      cmocka_unit_test(batch_norm_takes_its_statistics_along),
      cmocka_unit_test(what_does_nothing_is_passed_over_and_doubles_are_read),
      cmocka_unit_test(what_is_no_chain_is_refused_by_the_name_of_its_node),
      cmocka_unit_test(weights_that_are_not_there_or_not_numbers_are_refused),
      cmocka_unit_test(a_wrong_width_names_both_and_the_file),
      cmocka_unit_test(weights_in_a_plan_have_to_fit),
      cmocka_unit_test(bytes_that_are_deep_or_broken_are_refused),
      cmocka_unit_test(failing_allocations_are_told_and_leak_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

#else
int main(void) {
  return 0;
}
#endif

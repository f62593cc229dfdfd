/* test_nn_module.c - every kind of layer: gradients of its parameters and inputs, in f64, against central differences; what it
 * refuses, with the line; and what trees of layers promise: paths, shared and frozen parameters, dropout by key, saving. */
#include "exhaust.h"
#include "module_world.h"

/* ---- gradients ----------------------------------------------------------------------------------------------------------- */

#define LAYER(type, options) "{\"type\":\"" type "\"" options "}"
static const char *const specs[] = {
    LAYER("dense", ",\"units\":3"),
    LAYER("dense", ",\"units\":3,\"activation\":\"sigmoid\",\"l2\":0.1"),
    LAYER("dense", ",\"units\":2,\"activation\":\"gelu\",\"bias\":false"),
    LAYER("dense", ",\"units\":2,\"activation\":\"tanh\",\"input\":\"seq\""),
    LAYER("activation", ",\"activation\":\"softplus\""),
    LAYER("activation", ",\"activation\":\"leaky_relu\""),
    LAYER("dropout", ",\"rate\":0.4"),
    LAYER("input", ",\"input\":\"fields\""),
    LAYER("flatten", ",\"input\":\"seq\""),
    LAYER("reshape", ",\"shape\":[2,3]"),
    LAYER("embedding", ",\"dim\":3,\"input\":\"id\""),
    LAYER("embedding", ",\"dim\":3,\"input\":\"ids\""),
    LAYER("embedding_bag", ",\"dim\":3,\"mode\":\"sum\",\"input\":\"ids\""),
    LAYER("embedding_bag", ",\"dim\":3,\"input\":\"ids\""),
    LAYER("embedding_bag", ",\"dim\":3,\"mode\":\"max\",\"input\":\"ids\""),
    LAYER("layer_norm", ""),
    LAYER("batch_norm", ""),
    LAYER("fm", ",\"input\":\"fields\""),
    LAYER("cross", ",\"layers\":3"),
    LAYER("position", ",\"input\":\"seq\""),
    LAYER("attention", ",\"heads\":2,\"input\":\"seq\""),
    LAYER("attention", ",\"heads\":3,\"causal\":true,\"input\":\"seq\""),
    LAYER("transformer", ",\"heads\":2,\"causal\":true,\"feed\":5,\"dropout\":0.2,\"input\":\"seq\""),
    LAYER("gru", ",\"units\":3,\"input\":\"seq\""),
    LAYER("pool", ",\"mode\":\"mean\",\"input\":\"seq\""),
    LAYER("pool", ",\"mode\":\"max\",\"input\":\"seq\""),
    LAYER("pool", ",\"mode\":\"last\",\"input\":\"seq\""),
    LAYER("pool", ",\"mode\":\"sum\",\"input\":\"free\""),
    LAYER("din", ",\"units\":4,\"history\":\"seq\""),
    LAYER("sequential", ",\"layers\":[" LAYER("dense", ",\"units\":4,\"activation\":\"tanh\"") "," LAYER(
                            "batch_norm", "") "," LAYER("dense", ",\"units\":1") "]"),
    LAYER("residual",
          ",\"layers\":[" LAYER("dense", ",\"units\":6,\"activation\":\"tanh\"") "," LAYER("dropout", ",\"rate\":0.3") "]"),
    LAYER("parallel",
          ",\"layers\":[" LAYER("dense", ",\"units\":4") "," LAYER("cross", "") "," LAYER("pool", ",\"input\":\"seq\"") "]"),
    LAYER("dot", ",\"layers\":[" LAYER("dense", ",\"units\":6") "," LAYER("pool", ",\"input\":\"seq\"") "]"),
    LAYER("parallel", ",\"merge\":\"sum\",\"layers\":[" LAYER("dense", ",\"units\":6") "," LAYER("input", "") "]"),
    LAYER("parallel", ",\"merge\":\"gate\",\"layers\":[" LAYER("dense", ",\"units\":3") "," LAYER("dense", ",\"units\":6,\"activation\":\"tanh\"") "," LAYER(
                          "dense", ",\"units\":6") "," LAYER("input", "") "]"),
    LAYER("heads", ",\"names\":[\"a\",\"b\",\"c\"],\"times\":{\"b\":\"a\",\"c\":\"b\"},\"layers\":[" LAYER("dense", ",\"units\":1") "," LAYER(
                       "sequential", ",\"layers\":[" LAYER("dense", ",\"units\":2,\"activation\":\"tanh\"") "," LAYER("dense", ",\"units\":1") "]") "," LAYER("dense", ",\"units\":1") "]"),
};
enum { SPECS = sizeof specs / sizeof *specs };

static void gradients_of_every_kind_are_right(void **state) {
  (void)state;
  for (size_t i = 0; i < SPECS; i++)
    for (int training = 0; training < 2; training++) {
      world w;
      world_new(&w, specs[i], MOON_F64);
      w.training = training;
      world_gradients(&w);
      world_free(&w);
    }
}

/* What was known of the shape before is the shape. */
static void the_form_said_is_the_form_made(void **state) {
  (void)state;
  for (size_t i = 0; i < SPECS; i++) {
    world w;
    world_new(&w, specs[i], MOON_F32);
    moon_var y = world_forward(&w);
    const moon_form *form = moon_module_out(w.module);
    assert_int_equal(moon_var_dims(w.tape, y), form->dims + 1);
    assert_int_equal(moon_var_shape(w.tape, y)[0], WORLD_ROWS);
    for (int d = 0; d < form->dims; d++) assert_int_equal(moon_var_shape(w.tape, y)[d + 1], form->shape[d]);
    assert_int_equal(form->ids, 0);
    world_free(&w);
  }
}

/* ---- what is refused ----------------------------------------------------------------------------------------------------- */

static void what_does_not_fit_is_refused_at_its_line(void **state) {
  (void)state;
#define AT ",\"where\":\"r:7\""
  static const struct { const char *spec, *text;
  } cases[] = {
      {LAYER("dens", AT), "r:7: there is no layer of type \"dens\"; did you mean \"dense\"?"},
      {"{\"units\":3" AT "}", "r:7: a layer needs a \"type\""},
      {"[]", "model: a layer needs a \"type\""},
      {LAYER("dense", AT), "r:7: dense: \"units\" is missing"},
      {LAYER("dense", ",\"units\":0" AT), "r:7: dense: \"units\" must be a whole number from 1 to 65536"},
      {LAYER("dense", ",\"units\":1.5" AT), "must be a whole number"},
      {LAYER("dense", ",\"units\":3,\"activation\":\"rellu\"" AT),
       "r:7: dense: there is no activation \"rellu\"; did you mean \"relu\"?"},
      {LAYER("dense", ",\"units\":3,\"init\":4" AT), "r:7: dense: \"init\" must be a name"},
      {LAYER("dense", ",\"units\":3,\"bias\":1" AT), "r:7: dense: \"bias\" must be true or false"},
      {LAYER("dense", ",\"units\":3,\"l2\":-1" AT), "r:7: dense: \"l2\" must be a number from 0"},
      {LAYER("dense", ",\"units\":3,\"input\":\"sex\"" AT), "r:7: dense: there is no input \"sex\"; did you mean \"seq\"?"},
      {LAYER("dense", ",\"units\":3,\"input\":\"ids\"" AT), "r:7: dense: takes [n, ..., in], not ids [n, 4]"},
      {LAYER("activation", ",\"input\":\"id\"" AT), "r:7: activation: takes numbers, not ids [n]"},
      {LAYER("dropout", ",\"rate\":1" AT), "r:7: dropout: \"rate\" must be a number from 0 to 0.99"},
      {LAYER("embedding", ",\"dim\":3" AT), "r:7: embedding: takes ids [n, ...], not [n, 6]"},
      {LAYER("embedding", ",\"dim\":3,\"rows\":6,\"input\":\"id\"" AT), "r:7: embedding: has 6 rows for ids up to 6"},
      {LAYER("embedding_bag", ",\"dim\":3,\"input\":\"id\"" AT), "r:7: embedding_bag: takes ids [n, length], not ids [n]"},
      {LAYER("reshape", ",\"shape\":[4,2]" AT), "r:7: reshape: cannot make [n, 4, 2] of [n, 6]"},
      {LAYER("reshape", ",\"shape\":[]" AT), "r:7: reshape: \"shape\" must be a list of 1 to 5 sizes"},
      {LAYER("fm", AT), "r:7: fm: takes [n, fields, d], not [n, 6]"},
      {LAYER("cross", ",\"input\":\"fields\"" AT), "r:7: cross: takes [n, d], not [n, 3, 2]"},
      {LAYER("gru", ",\"units\":3" AT), "r:7: gru: takes [n, steps, d], not [n, 6]"},
      {LAYER("pool", AT), "r:7: pool: takes [n, steps, d], not [n, 6]"},
      {LAYER("position", AT), "r:7: position: takes"},
      {LAYER("attention", ",\"heads\":4,\"input\":\"seq\"" AT), "r:7: attention: of 4 heads cannot share out 6 numbers"},
      {LAYER("transformer", AT), "r:7: transformer: takes [n, steps, d], not [n, 6]"},
      {LAYER("din", AT), "r:7: din: \"history\" is missing"},
      {LAYER("din", ",\"history\":\"fields\"" AT),
       "r:7: din: takes a target [n, d] and a history [n, steps, d], not [n, 6] and [n, 3, 2]"},
      {LAYER("sequential", AT), "r:7: sequential: has no layers"},
      {LAYER("residual", ",\"layers\":[" LAYER("dense", ",\"units\":5") "]" AT),
       "r:7: residual: adds what its layers make, [n, 5], to what they took, [n, 6]"},
      {LAYER("parallel", ",\"merge\":\"sum\",\"layers\":[" LAYER("dense", ",\"units\":5") "," LAYER("input", "") "]" AT),
       "r:7: parallel: cannot sum [n, 5] and [n, 6] (branch 1)"},
      {LAYER("parallel", ",\"layers\":[" LAYER("input", "") "," LAYER("input", ",\"input\":\"seq\"") "]" AT),
       "r:7: parallel: cannot concat [n, 6] and [n, 4, 6] (branch 1)"},
      {LAYER("parallel", ",\"merge\":\"gate\",\"layers\":[" LAYER("dense", ",\"units\":3") "," LAYER("input", "") "," LAYER("input", "") "]" AT),
       "r:7: parallel: its first branch must be a gate with a number for each of the 2 others, which give rows; it gives [n, 3]"},
      {LAYER("parallel", ",\"merge\":\"gate\",\"layers\":[" LAYER("dense", ",\"units\":2") "," LAYER("input", "") "," LAYER("dense", ",\"units\":3") "]" AT),
       "r:7: parallel: cannot gate [n, 6] and [n, 3] (branch 2)"},
      {LAYER("parallel", ",\"merge\":\"gate\",\"layers\":[" LAYER("dense", ",\"units\":1") "," LAYER("input", ",\"input\":\"seq\"") "]" AT),
       "r:7: parallel: its first branch must be a gate"},
      {LAYER("parallel", ",\"merge\":\"gate\",\"layers\":[" LAYER("dense", ",\"units\":1") "]" AT), "for each of the 0 others"},
      {LAYER("heads", ",\"names\":[\"a\",\"b\"],\"layers\":[" LAYER("dense", ",\"units\":1") "," LAYER("input", "") "]" AT),
       "r:7: heads: the head 'b' must give one number, it gives [n, 6]"},
      {LAYER("sequential", ",\"layers\":[" LAYER("dense", ",\"units\":5,\"share\":\"a\",\"where\":\"r:1\"") "," LAYER(
                               "dense", ",\"units\":5,\"share\":\"a\"" AT) "]"),
       "r:7: dense: needs a weight of [5, 5], but shares that of r:1, which is [6, 5]"},
      {LAYER("sequential", ",\"layers\":[" LAYER("dense", ",\"units\":6,\"share\":\"a\",\"where\":\"r:1\"") "," LAYER(
                               "cross", ",\"share\":\"a\"" AT) "]"),
       "r:7: cross: cannot share the parameters of the dense at r:1"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    moon_module *module = (moon_module *)&i;
    REFUSED(MOON_EINVAL, cases[i].text, world_module(cases[i].spec, MOON_F32, &module));
    assert_null(module);
  }
}

static void layers_without_end_are_refused(void **state) {
  (void)state;
  moon_buf text = {0};
  moon_module *module;
  for (int i = 0; i < 40; i++) moon_buf_puts(&text, "{\"type\":\"sequential\",\"layers\":[");
  moon_buf_puts(&text, "{\"type\":\"input\"}");
  for (int i = 0; i < 40; i++) moon_buf_puts(&text, "]}");
  REFUSED(MOON_EINVAL, "too many layers: at most 32", world_module(text.data, MOON_F32, &module));
  moon_buf_reset(&text);
  moon_buf_puts(&text, "{\"type\":\"sequential\",\"layers\":[{\"type\":\"input\"}");
  for (int i = 0; i < 4200; i++) moon_buf_puts(&text, ",{\"type\":\"input\"}");
  moon_buf_puts(&text, "]}");
  REFUSED(MOON_EINVAL, "at most 4096 layers", world_module(text.data, MOON_F32, &module));
  moon_buf_free(&text);
}

static void a_failure_on_the_tape_names_the_layer(void **state) {
  (void)state;
  world w;
  moon_var y;
  world_new(&w,
            LAYER("sequential",
                  ",\"layers\":[" LAYER("input", "") "," LAYER("embedding", ",\"dim\":2,\"input\":\"id\",\"where\":\"r:3\"") "]"),
            MOON_F32);
  w.id[1] = WORLD_IDS;
  REFUSED(MOON_EINVAL, "r:3: layer 1 (embedding): gather: id 7 at position 1 is out of range", world_try(&w, &y));
  world_free(&w);
  world_new(&w, LAYER("pool", ",\"input\":\"seq\",\"where\":\"r:4\""), MOON_F32);
  w.lengths[2] = 5;
  REFUSED(MOON_EINVAL, "r:4: layer", world_try(&w, &y));
  world_free(&w);
}

static void checks_name_the_layers_around_a_number_that_is_not_finite(void **state) {
  (void)state;
  world w;
  moon_var y;
  world_new(&w, LAYER("sequential", ",\"layers\":[" LAYER("residual", ",\"layers\":[" LAYER("dense", ",\"units\":6") "]") "]"),
            MOON_F32);
  size_t n;
  ((float *)moon_tensor_data(moon_module_params(w.module, &n)[0]->value))[0] = NAN;
  moon_tape_set_checks(w.tape, true);
  moon_status status = world_try(&w, &y);
  assert_int_equal(status.code, MOON_EINVAL);
  if (!strstr(status.message, "0 residual") || !strstr(status.message, "0 dense")) fail_msg("%s", status.message);
  world_free(&w);
}

/* ---- parameters ---------------------------------------------------------------------------------------------------------- */

static void parameters_are_called_by_their_path(void **state) {
  (void)state;
  world w;
  world_new(&w,
            LAYER("sequential", ",\"layers\":[" LAYER("transformer", ",\"input\":\"seq\"") "," LAYER("pool", "") "," LAYER(
                                    "residual", ",\"layers\":[" LAYER("batch_norm", "") "," LAYER("cross", "") "]") "]"),
            MOON_F32);
  static const char *const want[] = {"0.attention_norm.gamma",
                                     "0.attention_norm.beta",
                                     "0.attention.query.weight",
                                     "0.attention.query.bias",
                                     "0.attention.key.weight",
                                     "0.attention.key.bias",
                                     "0.attention.value.weight",
                                     "0.attention.value.bias",
                                     "0.attention.out.weight",
                                     "0.attention.out.bias",
                                     "0.feed_norm.gamma",
                                     "0.feed_norm.beta",
                                     "0.feed_up.weight",
                                     "0.feed_up.bias",
                                     "0.feed_down.weight",
                                     "0.feed_down.bias",
                                     "2.0.gamma",
                                     "2.0.beta",
                                     "2.1.0.weight",
                                     "2.1.0.bias"};
  size_t n, buffers;
  moon_param *const *params = moon_module_params(w.module, &n);
  assert_int_equal(n, sizeof want / sizeof *want);
  for (size_t i = 0; i < n; i++) assert_string_equal(params[i]->name, want[i]);
  const moon_named_tensor *named = moon_module_buffers(w.module, &buffers);
  assert_int_equal(buffers, 2);
  assert_string_equal(named[0].name, "2.0.mean");
  assert_string_equal(named[1].name, "2.0.variance");
  world_free(&w);
}

static void shared_parameters_are_one_and_get_the_sum_of_gradients(void **state) {
  (void)state;
  world w;
  world_new(&w,
            LAYER("sequential",
                  ",\"layers\":[" LAYER("dense", ",\"units\":6,\"activation\":\"tanh\",\"share\":\"a\",\"l2\":0.2") "," LAYER(
                      "dense", ",\"units\":6,\"share\":\"a\",\"l2\":0.2") "]"),
            MOON_F64);
  size_t n;
  moon_module_params(w.module, &n);
  assert_int_equal(n, 2);
  world_gradients(&w); /* differences move the one parameter in both places */
  world_free(&w);
  /* A shared container shares all that is in it. */
  world_new(&w,
            LAYER("parallel", ",\"layers\":[" LAYER(
                                  "sequential",
                                  ",\"share\":\"t\",\"input\":\"seq\",\"layers\":[" LAYER("transformer", ",\"feed\":3") "," LAYER(
                                      "batch_norm", "") "]") "," LAYER("sequential",
                                                                       ",\"share\":\"t\",\"input\":\"free\",\"layers\":[" LAYER(
                                                                           "transformer", ",\"feed\":3") "," LAYER("batch_norm",
                                                                                                                   "") "]") "]"),
            MOON_F64);
  moon_module_params(w.module, &n);
  assert_int_equal(n, 18);
  moon_module_buffers(w.module, &n);
  assert_int_equal(n, 2);
  world_gradients(&w);
  world_free(&w);
}

static void l2_counts_each_weight_once_and_no_frozen_one(void **state) {
  (void)state;
  world w;
  bool any;
  moon_var penalty;
  world_new(&w,
            LAYER("sequential", ",\"layers\":[" LAYER("dense", ",\"units\":6,\"share\":\"a\",\"l2\":0.5") "," LAYER(
                                    "dense", ",\"units\":6,\"share\":\"a\",\"l2\":0.5") "," LAYER(
                                    "dense", ",\"units\":2,\"freeze\":true,\"l2\":9") "]"),
            MOON_F64);
  size_t n;
  const double *weight = moon_tensor_data(moon_module_params(w.module, &n)[0]->value);
  double want = 0;
  for (size_t i = 0; i < 36; i++) want += 0.5 * weight[i] * weight[i];
  OK(moon_module_penalty(w.module, w.tape, &any, &penalty));
  assert_true(any);
  NEAR(*(const double *)moon_var_data(w.tape, penalty), want, 1e-12);
  world_free(&w);
  world_new(&w, LAYER("dense", ",\"units\":6"), MOON_F64);
  OK(moon_module_penalty(w.module, w.tape, &any, &penalty));
  assert_false(any);
  world_free(&w);
}

static void the_unknown_id_starts_at_zero(void **state) {
  (void)state;
  moon_module *module;
  OK(world_module(LAYER("embedding", ",\"dim\":3,\"rows\":9,\"input\":\"id\""), MOON_F64, &module));
  size_t n;
  const moon_tensor *table = moon_module_params(module, &n)[0]->value;
  assert_int_equal(moon_tensor_shape(table)[0], 9);
  for (size_t i = 0; i < 27; i++) assert_int_equal(((double *)moon_tensor_data(table))[i] == 0, i < 3);
  moon_module_free(module);
}

static void frozen_parameters_stay_while_others_move(void **state) {
  (void)state;
  world w;
  world_new(&w,
            LAYER("sequential",
                  ",\"layers\":[" LAYER("residual", ",\"freeze\":true,\"layers\":[" LAYER("dense", ",\"units\":6") "," LAYER(
                                                        "batch_norm", "") "]") "," LAYER("dense", ",\"units\":2") "]"),
            MOON_F64);
  w.training = true;
  world_gradients(&w); /* frozen ones: zero */
  size_t n, buffers;
  moon_param *const *params = moon_module_params(w.module, &n);
  const moon_named_tensor *running = moon_module_buffers(w.module, &buffers);
  double before[6][40] = {{0}};
  assert_int_equal(n, 6);
  for (size_t i = 0; i < n; i++)
    memcpy(before[i], moon_tensor_data(params[i]->value), moon_tensor_count(params[i]->value) * sizeof(double));
  for (size_t i = 0; i < n; i++) /* a step of any optimiser: along the gradient */
    for (size_t k = 0; k < moon_tensor_count(params[i]->value); k++)
      ((double *)moon_tensor_data(params[i]->value))[k] -= ((double *)moon_tensor_data(params[i]->grad))[k];
  for (size_t i = 0; i < n; i++) {
    bool same = !memcmp(before[i], moon_tensor_data(params[i]->value), moon_tensor_count(params[i]->value) * sizeof(double));
    assert_int_equal(same, i < 4);
  }
  for (size_t k = 0; k < 6; k++) {
    assert_true(((double *)moon_tensor_data(running[0].tensor))[k] == 0);
    assert_true(((double *)moon_tensor_data(running[1].tensor))[k] == 1);
  }
  world_free(&w);
}

static void first_weights_are_as_asked(void **state) {
  (void)state;
  static const struct { const char *init; double low, high; } cases[] = {
      {"glorot", 0.2, 0.7}, {"he", 0.35, 0.9}, {"normal", 0.02, 0.1}, {"zeros", 0, 0}}; /* of the deviation, 6 x 8 */
  for (size_t i = 0; i < 4; i++) {
    moon_module *module;
    char spec[120];
    size_t n;
    snprintf(spec, sizeof spec, LAYER("dense", ",\"units\":8,\"init\":\"%s\""), cases[i].init);
    OK(world_module(spec, MOON_F64, &module));
    const double *w = moon_tensor_data(moon_module_params(module, &n)[0]->value);
    double square = 0;
    for (size_t k = 0; k < 48; k++) square += w[k] * w[k] / 48;
    assert_true(sqrt(square) >= cases[i].low && sqrt(square) <= cases[i].high);
    moon_module_free(module);
  }
}

/* ---- training ------------------------------------------------------------------------------------------------------------ */

static void dropout_drops_in_training_by_key(void **state) {
  (void)state;
  world w;
  double x[18], a[18], b[18], c[18], d[18];
  world_new(&w, LAYER("dropout", ",\"rate\":0.5"), MOON_F64);
  for (size_t i = 0; i < 18; i++) x[i] = ((double *)moon_tensor_data(w.value[0]))[i];
  world_output(&w, a);
  assert_memory_equal(a, x, sizeof x);
  w.training = true, w.step = 4;
  world_output(&w, a), world_output(&w, b);
  assert_memory_equal(a, b, sizeof a); /* the same step, the same draws */
  w.step = 5;
  world_output(&w, c);
  assert_true(memcmp(a, c, sizeof a) != 0);
  for (size_t i = 0; i < 18; i++) assert_true(a[i] == 0 || a[i] == 2 * x[i]);
  world_free(&w);
  world_new(&w,
            LAYER("sequential", ",\"layers\":[" LAYER("parallel", ",\"layers\":[" LAYER("dropout", ",\"rate\":0.5") "," LAYER(
                                                                      "dropout", ",\"rate\":0.5") "]") "]"),
            MOON_F64);
  double pair[36];
  w.training = true;
  assert_int_equal(world_output(&w, pair), 36);
  for (size_t r = 0; r < 3; r++) memcpy(c + 6 * r, pair + 12 * r, 48), memcpy(d + 6 * r, pair + 12 * r + 6, 48);
  assert_true(memcmp(c, d, sizeof c) != 0); /* layers draw apart */
  world_free(&w);
}

static void batch_norm_learns_in_training_and_remembers(void **state) {
  (void)state;
  world w;
  double y[18], mean[6] = {0}, square[6] = {0};
  world_fill((w = (world){0}, &w), MOON_F64);
  OK(world_module(LAYER("batch_norm", ",\"momentum\":1"), MOON_F64, &w.module));
  const double *x = moon_tensor_data(w.value[0]);
  size_t n;
  const moon_named_tensor *running = moon_module_buffers(w.module, &n);
  world_output(&w, y); /* in use: by the running ones, 0 and 1, which stay */
  for (size_t i = 0; i < 18; i++) NEAR(y[i], x[i] / sqrt(1 + 1e-3), 1e-12);
  w.training = true;
  world_output(&w, y);
  for (size_t i = 0; i < 18; i++) mean[i % 6] += x[i] / 3;
  for (size_t i = 0; i < 18; i++) square[i % 6] += (x[i] - mean[i % 6]) * (x[i] - mean[i % 6]);
  for (size_t i = 0; i < 18; i++) NEAR(y[i], (x[i] - mean[i % 6]) / sqrt(square[i % 6] / 3 + 1e-3), 1e-12);
  for (size_t k = 0; k < 6; k++) {
    NEAR(((double *)moon_tensor_data(running[0].tensor))[k], mean[k], 1e-12);
    NEAR(((double *)moon_tensor_data(running[1].tensor))[k], square[k] / 2, 1e-12);
  }
  w.training = false;
  world_output(&w, y);
  for (size_t i = 0; i < 18; i++) NEAR(y[i], (x[i] - mean[i % 6]) / sqrt(square[i % 6] / 2 + 1e-3), 1e-12);
  world_free(&w);
}

/* ---- saving, drawing, memory --------------------------------------------------------------------------------------------- */

static const char everything[] = LAYER("sequential", ",\"layers\":[" LAYER("parallel", ",\"layers\":["
    LAYER("sequential", ",\"input\":\"seq\",\"layers\":[" LAYER("position", "") "," LAYER("transformer", ",\"heads\":2") "," LAYER("gru", ",\"units\":2") "," LAYER("pool", ",\"mode\":\"last\"") "]") ","
    LAYER("din", ",\"units\":2,\"history\":\"seq\"") "," LAYER("fm", ",\"input\":\"fields\"") "," LAYER("embedding", ",\"dim\":2,\"input\":\"id\"") ","
    LAYER("embedding_bag", ",\"dim\":2,\"input\":\"ids\"") "," LAYER("cross", "") "]") ","
    LAYER("batch_norm", "") "," LAYER("dense", ",\"units\":4,\"activation\":\"relu\"") "," LAYER("dropout", ",\"rate\":0.1") "," LAYER("dense", ",\"units\":1") "]");

static size_t named_of(const moon_module *module, moon_named_tensor *named) {
  size_t params, buffers;
  moon_param *const *p = moon_module_params(module, &params);
  const moon_named_tensor *b = moon_module_buffers(module, &buffers);
  for (size_t i = 0; i < params; i++) named[i] = (moon_named_tensor){p[i]->name, p[i]->value};
  memcpy(named + params, b, buffers * sizeof *b);
  return params + buffers;
}

static void a_module_goes_through_safetensors(void **state) {
  (void)state;
  world a, b;
  moon_named_tensor named[80];
  moon_buf bytes = {0};
  moon_safetensors *file;
  double before[3], after[3];
  world_new(&a, everything, MOON_F32);
  a.training = true;
  world_forward(&a); /* moves the running statistics */
  a.training = false;
  OK(moon_safetensors_write(named, named_of(a.module, named), &bytes));
  world_fill((b = (world){0}, &b), MOON_F32);
  OK(world_module(everything, MOON_F32, &b.module));
  OK(moon_safetensors_open(bytes.data, bytes.n, &file));
  size_t n = named_of(b.module, named);
  for (size_t i = 0; i < n; i++) OK(moon_safetensors_read(file, named[i].name, (moon_tensor *)(uintptr_t)named[i].tensor));
  moon_safetensors_close(file);
  assert_int_equal(world_output(&a, before), 3);
  world_output(&b, after);
  assert_memory_equal(before, after, sizeof before);
  moon_buf_free(&bytes);
  world_free(&a), world_free(&b);
}

static void only_what_keeps_to_its_rows_splits(void **state) {
  (void)state;
  static const struct { const char *spec; bool splits; } cases[] = {
      {LAYER("residual", ",\"layers\":[" LAYER("layer_norm", "") "," LAYER("dropout", ",\"rate\":0.1") "]"), true},
      {LAYER("residual", ",\"layers\":[" LAYER("batch_norm", "") "]"), false},
      {LAYER("residual", ",\"freeze\":true,\"layers\":[" LAYER("batch_norm", "") "]"), true}};
  for (size_t i = 0; i < 3; i++) {
    moon_module *module;
    OK(world_module(cases[i].spec, MOON_F32, &module));
    assert_int_equal(moon_module_splits(module), cases[i].splits);
    moon_module_free(module);
  }
}

/* Whether one step of training moves the running mean, and answers as in training. */
static void step_once(moon_module *module, bool *moved, float *first) {
  moon_tape *tape;
  moon_var x, y;
  size_t n, shape[2] = {4, 2};
  const float numbers[8] = {1, 2, 3, 4, 5, 6, 7, 9};
  const moon_tensor *mean = moon_module_buffers(module, &n)[0].tensor;
  float before = *(const float *)moon_tensor_data(mean);
  OK(moon_tape_new(&tape));
  OK(moon_tape_constant(tape, MOON_F32, 2, shape, numbers, &x));
  OK(moon_module_forward(module, &(moon_pass){.tape = tape, .rows = 4, .inputs = &(moon_value){.x = x}, .training = true}, &y));
  *first = *(const float *)moon_var_data(tape, y);
  *moved = *(const float *)moon_tensor_data(mean) != before;
  moon_tape_free(tape);
}

static void a_frozen_batch_norm_is_in_use_and_not_in_training(void **state) {
  (void)state;
  const moon_form form = {.name = "x", .dims = 1, .shape = {2}};
  for (int by_plan = 0; by_plan < 2; by_plan++) {
    moon_rng rng;
    moon_rng_seed(&rng, 1, 0);
    moon_module *module;
    bool moved;
    float y;
    json_t *spec = json_pack("{s:s, s:b}", "type", "batch_norm", "freeze", by_plan);
    OK(moon_module_new(spec, MOON_F32, &form, 1, &rng, &module));
    json_decref(spec);
    if (!by_plan) moon_module_freeze(module, true);
    assert_true(moon_module_splits(module));
    step_once(module, &moved, &y);
    assert_true(!moved && fabsf(y - 1 / sqrtf(1 + 1e-3f)) < 1e-5f); /* by the running statistics, 0 and 1 */
    moon_module_freeze(module, false);
    assert_false(moon_module_splits(module));
    step_once(module, &moved, &y);
    assert_true(moved && y < 0); /* by the batch's */
    moon_module_free(module);
  }
}

static void unused_inputs_are_known(void **state) {
  (void)state;
  moon_module *module;
  OK(world_module(
      LAYER("sequential", ",\"layers\":[" LAYER("din", ",\"history\":\"free\"") "," LAYER("input", ",\"input\":\"id\"") "]"),
      MOON_F32, &module));
  static const bool want[] = {true, false, false, true, false, true, false};
  for (size_t i = 0; i < 7; i++) assert_int_equal(moon_module_uses(module, i), want[i]);
  moon_module_free(module);
}

static void a_summary_has_a_line_a_layer(void **state) {
  (void)state;
  moon_module *module;
  moon_buf text = {0};
  OK(world_module(LAYER("sequential", ",\"layers\":[" LAYER("dense", ",\"units\":200,\"freeze\":true") "," LAYER(
                                          "residual", ",\"layers\":[" LAYER("dense", ",\"units\":200,\"share\":\"a\"") "," LAYER(
                                                          "dense", ",\"units\":200,\"share\":\"a\"") "]") "]"),
                  MOON_F32, &module));
  OK(moon_module_summary(module, &text));
  assert_string_equal(text.data,
                      "layer                            type           output                 parameters\n"
                      "model                            sequential     [n, 200]                        0\n"
                      "0                                dense          [n, 200]                    1,400  frozen\n"
                      "1                                residual       [n, 200]                        0\n"
                      "1.0                              dense          [n, 200]                   40,200\n"
                      "1.1                              dense          [n, 200]                        0  shared\n"
                      "41,600 parameters, 40,200 of them trained\n");
  moon_buf_free(&text);
  moon_module_free(module);
}

static moon_status make_and_run(void *self) {
  world *w = self;
  moon_var y;
  moon_buf text = {0};
  moon_infer *infer = NULL;
  moon_tape_free(w->tape);
  w->tape = NULL;
  moon_status status = moon_tape_new(&w->tape);
  w->module = NULL;
  w->training = true;
  if (!status.code) status = world_module(everything, MOON_F32, &w->module);
  if (!status.code) status = world_try(w, &y);
  if (!status.code) status = moon_module_summary(w->module, &text);
  if (!status.code) status = moon_module_compile(w->module, MOON_SIGMOID, &infer, NULL);
  moon_buf_free(&text);
  moon_infer_free(infer);
  moon_module_free(w->module);
  w->module = NULL;
  return status;
}

static void no_memory_leaves_nothing_behind(void **state) {
  (void)state;
  world w = {0};
  world_fill(&w, MOON_F32);
  assert_true(exhaust(make_and_run, &w) > 100);
  world_free(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(gradients_of_every_kind_are_right),
      cmocka_unit_test(the_form_said_is_the_form_made),
      cmocka_unit_test(what_does_not_fit_is_refused_at_its_line),
      cmocka_unit_test(layers_without_end_are_refused),
      cmocka_unit_test(a_failure_on_the_tape_names_the_layer),
      cmocka_unit_test(checks_name_the_layers_around_a_number_that_is_not_finite),
      cmocka_unit_test(parameters_are_called_by_their_path),
      cmocka_unit_test(shared_parameters_are_one_and_get_the_sum_of_gradients),
      cmocka_unit_test(frozen_parameters_stay_while_others_move), cmocka_unit_test(l2_counts_each_weight_once_and_no_frozen_one),
      cmocka_unit_test(the_unknown_id_starts_at_zero),
      cmocka_unit_test(first_weights_are_as_asked),
      cmocka_unit_test(dropout_drops_in_training_by_key),
      cmocka_unit_test(batch_norm_learns_in_training_and_remembers),
      cmocka_unit_test(a_module_goes_through_safetensors),
      cmocka_unit_test(unused_inputs_are_known),
      cmocka_unit_test(only_what_keeps_to_its_rows_splits),
      cmocka_unit_test(a_frozen_batch_norm_is_in_use_and_not_in_training),
      cmocka_unit_test(a_summary_has_a_line_a_layer),
      cmocka_unit_test(no_memory_leaves_nothing_behind),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_nn_layers.c - dense and embedding layers against plain loops, and the life of parameters. */
#include <stdlib.h>

#include "nn/nn.h"
#include "numeric.h"

static moon_rng seeded(uint64_t seed) {
  moon_rng rng;
  moon_rng_seed(&rng, seed, 0);
  return rng;
}

static float *data_of(const moon_tensor *t) {
  return moon_tensor_data(t);
}

/* sum of all elements of y, then backward: the gradient at y is all ones. */
static void back_from_sum(moon_tape *tape, moon_var y) {
  OK(moon_op_sum(tape, y, &y));
  OK(moon_tape_backward(tape, y));
}

static double activated(moon_activation a, double z) {
  switch (a) {
    case MOON_RELU:
      return z > 0 ? z : 0;
    case MOON_SIGMOID:
      return 1 / (1 + exp(-z));
    case MOON_TANH:
      return tanh(z);
    case MOON_LINEAR:
      break;
  }
  return z;
}

static double slope(moon_activation a, double z) {
  double y = activated(a, z);
  return a == MOON_RELU ? z > 0 : a == MOON_SIGMOID ? y * (1 - y) : a == MOON_TANH ? 1 - y * y : 1;
}

/* Forward and backward of one layer against three nested loops, for the sum of the outputs as the loss. */
static void check_dense(size_t n, size_t in, size_t out, moon_activation activation) {
  moon_rng rng = seeded(n * 1000003 + in * 1009 + out);
  moon_dense *layer;
  OK(moon_dense_new("d", in, out, activation, &rng, &layer));
  moon_init_normal(layer->bias, &rng, 0.5);
  moon_tensor *x = random_tensor(&rng, MOON_F32, SHAPE(n, in), -1, 1), *dx;
  OK(moon_tensor_new(MOON_F32, SHAPE(n, in), &dx));
  moon_tape *tape;
  OK(moon_tape_new(&tape));
  moon_var vx, y;
  OK(moon_tape_leaf(tape, x, dx, &vx));
  OK(moon_dense_forward(tape, layer, vx, &y));
  back_from_sum(tape, y);
  double *dw = calloc(in * out + out + n * in, sizeof *dw), *db = dw + in * out, *want_dx = db + out;
  const float *w = data_of(layer->weight->value), *b = data_of(layer->bias->value), *got = moon_var_data(tape, y);
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < out; j++) {
      double z = b[j];
      for (size_t k = 0; k < in; k++) z += (double)data_of(x)[i * in + k] * w[k * out + j];
      NEAR(got[i * out + j], activated(activation, z), 1e-5 * (1 + fabs(z)));
      double dz = slope(activation, z);
      db[j] += dz;
      for (size_t k = 0; k < in; k++) dw[k * out + j] += dz * data_of(x)[i * in + k], want_dx[i * in + k] += dz * w[k * out + j];
    }
  for (size_t i = 0; i < in * out; i++) NEAR(data_of(layer->weight->grad)[i], dw[i], 1e-5 * (1 + (double)n));
  for (size_t j = 0; j < out; j++) NEAR(data_of(layer->bias->grad)[j], db[j], 1e-5 * (1 + (double)n));
  for (size_t i = 0; i < n * in; i++) NEAR(data_of(dx)[i], want_dx[i], 1e-5 * (1 + (double)out));
  free(dw);
  moon_tape_free(tape);
  moon_tensor_free(x), moon_tensor_free(dx);
  moon_dense_free(layer);
}

static void dense_equals_plain_loops(void **state) {
  (void)state;
  static const size_t rows[] = {1, 2, 5, 6, 7, 31, 33, 64, 100}, widths[] = {1, 2, 7, 8, 15, 16, 17, 32, 33, 64, 65};
  for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
      for (size_t o = 0; o < sizeof widths / sizeof *widths; o++)
        check_dense(rows[r], widths[i], widths[o], (moon_activation)((r + i + o) % 4));
}

static void dense_starts_as_keras_does(void **state) {
  (void)state;
  moon_rng rng = seeded(1);
  moon_dense *layer;
  OK(moon_dense_new("tower.0", 50, 30, MOON_RELU, &rng, &layer));
  assert_string_equal(layer->weight->name, "tower.0.weight");
  assert_string_equal(layer->bias->name, "tower.0.bias");
  double limit = sqrt(6.0 / 80), squares = 0;
  for (size_t i = 0; i < 1500; i++) {
    assert_true(fabs(data_of(layer->weight->value)[i]) <= limit);
    squares += pow(data_of(layer->weight->value)[i], 2) / 1500;
  }
  NEAR(squares, limit * limit / 3, 0.1 * limit * limit);
  for (size_t i = 0; i < 30; i++) NEAR(data_of(layer->bias->value)[i], 0, 0);
  moon_init_he(layer->weight, &rng);
  squares = 0;
  for (size_t i = 0; i < 1500; i++) squares += pow(data_of(layer->weight->value)[i], 2) / 1500;
  NEAR(squares, 2.0 / 50, 0.2 * 2 / 50);
  moon_dense_free(layer);
}

static void wrong_layers_are_refused(void **state) {
  (void)state;
  moon_rng rng = seeded(1);
  moon_dense *dense = NULL;
  moon_embedding *table = NULL;
  moon_param *param = NULL;
  moon_activation a = MOON_TANH;
  REFUSED(MOON_EINVAL, "dense \"d\": 0 inputs", moon_dense_new("d", 0, 3, MOON_RELU, &rng, &dense));
  REFUSED(MOON_EINVAL, "to 0 units", moon_dense_new("d", 3, 0, MOON_RELU, &rng, &dense));
  REFUSED(MOON_EINVAL, "activation 9", moon_dense_new("d", 3, 3, (moon_activation)9, &rng, &dense));
  REFUSED(MOON_EINVAL, "does not fit", moon_dense_new("d", SIZE_MAX / 4, 8, MOON_RELU, &rng, &dense));
  REFUSED(MOON_EINVAL, "embedding \"e\": 0 rows", moon_embedding_new("e", 0, 3, &rng, &table));
  REFUSED(MOON_EINVAL, "rows of 0", moon_embedding_new("e", 3, 0, &rng, &table));
  REFUSED(MOON_EINVAL, "below 2^32", moon_embedding_new("e", (size_t)1 << 32, 1, &rng, &table));
  REFUSED(MOON_EINVAL, "parameter \"p\": trainable tensors are f32 or f64, not u8",
          moon_param_new("p", MOON_U8, SHAPE(3), false, &param));
  REFUSED(MOON_EINVAL, "sparse one is [rows, dim], not [3]", moon_param_new("p", MOON_F32, SHAPE(3), true, &param));
  REFUSED(MOON_EINVAL, "did you mean \"relu\"", moon_activation_parse("rleu", &a));
  REFUSED(MOON_EINVAL, "linear, relu, sigmoid and tanh", moon_activation_parse("softplus_and_more", &a));
  assert_int_equal(a, MOON_TANH);
  OK(moon_activation_parse("sigmoid", &a));
  assert_int_equal(a, MOON_SIGMOID);
  assert_string_equal(moon_activation_name(MOON_LINEAR), "linear");
  assert_null(dense), assert_null(table), assert_null(param);
}

static void shape_errors_name_the_layer(void **state) {
  (void)state;
  moon_rng rng = seeded(1);
  moon_dense *layer;
  moon_embedding *table;
  moon_tape *tape;
  moon_var x, y;
  float data[6] = {0};
  uint32_t ids[2] = {1, 5};
  OK(moon_dense_new("head", 4, 2, MOON_LINEAR, &rng, &layer));
  OK(moon_embedding_new("item", 5, 2, &rng, &table));
  OK(moon_tape_new(&tape));
  OK(moon_tape_constant(tape, MOON_F32, SHAPE(2, 3), data, &x));
  REFUSED(MOON_EINVAL, "layer of \"head.weight\": dense: [2, 3] against [4, 2]", moon_dense_forward(tape, layer, x, &y));
  REFUSED(MOON_EINVAL, "embedding \"item.weight\": gather: id 5", moon_embedding_forward(tape, table, ids, 2, &y));
  REFUSED(MOON_EINVAL, "embedding \"item.weight\": gather_mean: id 5", moon_embedding_mean(tape, table, ids, 1, 2, &y));
  moon_tape_free(tape);
  moon_dense_free(layer);
  moon_embedding_free(table);
}

/* ---- embeddings --------------------------------------------------------------------------------------------------------------- */

static void embedding_picks_and_averages_rows(void **state) {
  (void)state;
  enum { ROWS = 20, N = 30, LENGTH = 6 };
  for (size_t dim = 1; dim <= 33; dim += 8) {
    moon_rng rng = seeded(dim);
    moon_embedding *table;
    OK(moon_embedding_new("e", ROWS, dim, &rng, &table));
    const float *rows = data_of(table->weight->value);
    for (size_t j = 0; j < dim; j++) NEAR(rows[j], 0, 0); /* "unknown" starts at zero */
    moon_init_normal(table->weight, &rng, 1);
    uint32_t ids[N], lists[N * LENGTH];
    for (size_t i = 0; i < N; i++) ids[i] = moon_rng_below(&rng, ROWS);
    for (size_t i = 0; i < N * LENGTH; i++)
      lists[i] = i < LENGTH || moon_rng_below(&rng, 3) == 0 ? 0 : moon_rng_below(&rng, ROWS - 3);
    double want[ROWS * 40] = {0};
    moon_tape *tape;
    moon_var picked, mean, y;
    OK(moon_tape_new(&tape));
    OK(moon_embedding_forward(tape, table, ids, N, &picked));
    OK(moon_embedding_mean(tape, table, lists, N, LENGTH, &mean));
    for (size_t i = 0; i < N; i++) {
      size_t filled = 0;
      for (size_t k = 0; k < LENGTH; k++) filled += lists[i * LENGTH + k] != 0;
      for (size_t j = 0; j < dim; j++) {
        double sum = 0;
        NEAR(((const float *)moon_var_data(tape, picked))[i * dim + j], rows[ids[i] * dim + j], 0);
        for (size_t k = 0; k < LENGTH; k++) {
          uint32_t id = lists[i * LENGTH + k];
          if (id) sum += rows[id * dim + j], want[id * dim + j] += 1.0 / (double)filled;
        }
        NEAR(((const float *)moon_var_data(tape, mean))[i * dim + j], filled ? sum / (double)filled : 0, 1e-5);
        want[ids[i] * dim + j] += 1;
      }
    }
    OK(moon_op_add(tape, picked, mean, &y));
    back_from_sum(tape, y);
    for (size_t i = 0; i < ROWS * dim; i++) NEAR(data_of(table->weight->grad)[i], want[i], 1e-5);
    size_t touched = 0;
    for (size_t r = 0; r < ROWS; r++) touched += want[r * dim] != 0;
    assert_int_equal(table->weight->touched_n, touched); /* each once, and no other */
    for (size_t t = 0; t < touched; t++) assert_true(want[table->weight->touched[t] * dim] != 0);
    moon_param_zero_grad(table->weight);
    assert_int_equal(table->weight->touched_n, 0);
    for (size_t i = 0; i < ROWS * dim; i++) NEAR(data_of(table->weight->grad)[i], 0, 0);
    OK(moon_tape_backward(tape, (moon_var){y.id + 1})); /* rows are noted anew after zero_grad */
    assert_int_equal(table->weight->touched_n, touched);
    moon_tape_free(tape);
    moon_embedding_free(table);
  }
}

static void frozen_layers_let_gradients_through_and_keep_none(void **state) {
  (void)state;
  moon_rng rng = seeded(4);
  moon_dense *layer;
  moon_embedding *table;
  OK(moon_dense_new("d", 3, 2, MOON_LINEAR, &rng, &layer));
  OK(moon_embedding_new("e", 4, 3, &rng, &table));
  layer->weight->frozen = layer->bias->frozen = true;
  moon_tape *tape;
  moon_var x, y;
  uint32_t ids[2] = {1, 3};
  OK(moon_tape_new(&tape));
  OK(moon_embedding_forward(tape, table, ids, 2, &x));
  OK(moon_dense_forward(tape, layer, x, &y));
  back_from_sum(tape, y);
  for (size_t i = 0; i < 6; i++) NEAR(data_of(layer->weight->grad)[i], 0, 0);
  const float *w = data_of(layer->weight->value);
  for (size_t j = 0; j < 3; j++) NEAR(data_of(table->weight->grad)[3 + j], w[2 * j] + w[2 * j + 1], 1e-6);
  moon_param_zero_grad(table->weight);
  table->weight->frozen = true;
  moon_tape_reset(tape);
  OK(moon_embedding_forward(tape, table, ids, 2, &x));
  OK(moon_dense_forward(tape, layer, x, &y));
  back_from_sum(tape, y);
  assert_null(moon_var_grad(tape, x));
  assert_int_equal(table->weight->touched_n, 0);
  for (size_t i = 0; i < 12; i++) NEAR(data_of(table->weight->grad)[i], 0, 0);
  moon_tape_free(tape);
  moon_dense_free(layer);
  moon_embedding_free(table);
}

/* ---- failing allocations -------------------------------------------------------------------------------------------------------- */

static void creators_survive_any_failed_allocation(void **state) {
  (void)state;
  moon_rng rng = seeded(1), before = rng;
  bool done = false;
  for (size_t n = 1; !done; n++) {
    assert_true(n < 50);
    moon_dense *dense = (moon_dense *)&n;
    moon_embedding *table = (moon_embedding *)&n;
    moon_alloc_fail_at(n);
    moon_status a = moon_dense_new("d", 3, 2, MOON_RELU, &rng, &dense);
    moon_alloc_fail_at(n);
    moon_status b = moon_embedding_new("e", 3, 2, &rng, &table);
    moon_alloc_fail_at(0);
    assert_int_equal(a.code, dense ? MOON_OK : MOON_ENOMEM);
    assert_int_equal(b.code, table ? MOON_OK : MOON_ENOMEM);
    if (a.code && b.code) assert_memory_equal(&rng, &before, sizeof rng); /* a retry makes the same layer */
    moon_dense_free(dense);
    moon_embedding_free(table);
    done = !a.code && !b.code;
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(dense_equals_plain_loops),
      cmocka_unit_test(dense_starts_as_keras_does),
      cmocka_unit_test(wrong_layers_are_refused),
      cmocka_unit_test(shape_errors_name_the_layer),
      cmocka_unit_test(embedding_picks_and_averages_rows),
      cmocka_unit_test(frozen_layers_let_gradients_through_and_keep_none),
      cmocka_unit_test(creators_survive_any_failed_allocation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

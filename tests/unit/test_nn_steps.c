/* test_nn_steps.c - one pass over a sequence, read at many steps, is a pass for each: the same losses and gradients, where no layer looks ahead; and
 * the layer mask hides what it should. */
#include <stdlib.h>

#include "nn/module.h"
#include "numeric.h"

enum { WINDOWS = 3, STEPS = 6, WIDTH = 4, IDS = 9, ITEMS = IDS - 1, INPUTS = 4, READS = 6 + 2 + 4 };
static const moon_form forms[INPUTS] = {
    {.name = "x", .dims = 1, .shape = {WIDTH}},
    {.name = "item.id", .ids = IDS, .whose = MOON_OF_ITEM},
    {.name = "history.ids", .ids = IDS, .dims = 1, .shape = {STEPS}, .whose = MOON_OF_USER},
    {.name = "user", .dims = 1, .shape = {WIDTH}, .whose = MOON_OF_USER},
};

#define EMBED "{\"type\":\"embedding\",\"dim\":4,\"input\":\"history.ids\",\"share\":\"items\"}"
#define ITEM "{\"type\":\"embedding\",\"dim\":4,\"input\":\"item.id\",\"share\":\"items\"}"
#define USER(layers) "{\"type\":\"sequential\",\"where\":\"r:3\",\"layers\":[" EMBED "," layers "]}"
#define DOT(a) "{\"type\":\"sequential\",\"layers\":[{\"type\":\"dot\",\"where\":\"r:7\",\"layers\":[" a "," ITEM "]}]}"
#define LAST "{\"type\":\"pool\",\"mode\":\"last\",\"where\":\"r:5\"}"
#define LOOK(flag) "{\"type\":\"transformer\",\"heads\":2,\"feed\":8,\"where\":\"r:4\"" flag "}"
#define CAUSAL ",\"causal\":true"

static moon_status make(const char *text, moon_module **out) {
  json_t *spec = json_loads(text, 0, NULL);
  assert_non_null(spec);
  moon_rng rng;
  moon_rng_seed(&rng, 11, 0);
  moon_status status = moon_module_new(spec, MOON_F64, forms, INPUTS, &rng, out);
  json_decref(spec);
  return status;
}

static const uint32_t lengths[WINDOWS] = {6, 2, 4};

typedef struct data {
  moon_tape *tape;
  uint32_t history[WINDOWS * STEPS], all[ITEMS];
  uint32_t reads[READS], next[READS]; /* each step but padding, and an item to expect there */
} data;

static void data_new(data *d) {
  moon_rng rng;
  moon_rng_seed(&rng, 3, 1);
  OK(moon_tape_new(&d->tape));
  memset(d->history, 0, sizeof d->history);
  size_t k = 0;
  for (size_t w = 0; w < WINDOWS; w++) {
    for (size_t t = 0; t < lengths[w]; t++, k++) {
      d->history[w * STEPS + t] = 1 + moon_rng_below(&rng, ITEMS);
      d->reads[k] = (uint32_t)(w * STEPS + t), d->next[k] = moon_rng_below(&rng, ITEMS);
    }
  }
  assert_int_equal(k, READS);
  for (uint32_t i = 0; i < ITEMS; i++) d->all[i] = i + 1;
}

static size_t grads_of(const moon_module *module, double *out) {
  size_t n, at = 0;
  moon_param *const *params = moon_module_params(module, &n);
  for (size_t i = 0; i < n; i++) {
    memcpy(out + at, moon_tensor_data(params[i]->grad), moon_tensor_count(params[i]->grad) * sizeof *out);
    at += moon_tensor_count(params[i]->grad);
    moon_tensor_fill(params[i]->grad, 0);
  }
  return at;
}

/* The loss of some rows, adding share times its gradients. */
static double run(const moon_module *module, data *d, moon_pass pass, const uint32_t *history, const uint32_t *length,
                  const uint32_t *next, double share) {
  moon_value inputs[INPUTS] = {[2] = {.ids = history, .lengths = length}}, items[INPUTS] = {[1] = {.ids = d->all}};
  moon_var y, loss;
  moon_tape_reset(d->tape);
  pass.tape = d->tape, pass.inputs = inputs, pass.items = items, pass.item_count = ITEMS;
  OK(moon_module_forward(module, &pass, &y));
  OK(moon_op_cross_entropy(d->tape, y, next, MOON_NONE, NULL, &loss));
  double value = *(const double *)moon_var_data(d->tape, loss);
  OK(moon_op_scale(d->tape, loss, share, &loss));
  OK(moon_tape_backward(d->tape, loss));
  return value;
}

static const char *const causal[] = {
    DOT(USER("{\"type\":\"gru\",\"units\":5}," LAST ",{\"type\":\"dense\",\"units\":4,\"activation\":\"tanh\"}")),
    DOT(USER("{\"type\":\"position\"}," LOOK(CAUSAL) "," LOOK(CAUSAL) "," LAST ",{\"type\":\"layer_norm\"}")),
    DOT(USER(
        "{\"type\":\"residual\",\"layers\":[{\"type\":\"attention\",\"causal\":true},{\"type\":\"dense\",\"units\":4}]}," LAST)),
};

static void a_pass_over_a_sequence_is_a_pass_for_each_of_its_steps(void **state) {
  (void)state;
  for (size_t c = 0; c < sizeof causal / sizeof *causal; c++) {
    moon_module *module;
    data d;
    double whole[2000], apart[2000], loss = 0;
    size_t input, steps;
    data_new(&d);
    OK(make(causal[c], &module));
    OK(moon_module_steps(module, false, &input, &steps));
    assert_true(input == 2 && steps == STEPS);
    double once =
        run(module, &d, (moon_pass){.rows = WINDOWS, .reads = d.reads, .read_count = READS}, d.history, lengths, d.next, 1);
    size_t n = grads_of(module, whole);
    for (size_t k = 0; k < READS; k++) {
      uint32_t length = d.reads[k] % STEPS + 1, prefix[STEPS] = {0};
      memcpy(prefix, d.history + d.reads[k] / STEPS * STEPS, length * sizeof *prefix);
      loss += run(module, &d, (moon_pass){.rows = 1}, prefix, &length, d.next + k, 1.0 / READS) / READS;
    }
    assert_int_equal(n, grads_of(module, apart));
    NEAR(once, loss, 1e-12);
    double size = 0;
    for (size_t i = 0; i < n; i++) {
      NEAR(whole[i], apart[i], 1e-11);
      size += fabs(whole[i]);
    }
    assert_true(size > 0.1);
    moon_module_free(module);
    moon_tape_free(d.tape);
  }
}

#define CLOZE DOT(USER("{\"type\":\"mask\"},{\"type\":\"position\"}," LOOK("") "," LAST ",{\"type\":\"layer_norm\"}"))

static void scores(const moon_module *module, data *d, moon_pass pass, const uint32_t *history, double *out) {
  moon_value inputs[INPUTS] = {[2] = {.ids = history, .lengths = lengths}}, items[INPUTS] = {[1] = {.ids = d->all}};
  moon_var y;
  moon_tape_reset(d->tape);
  pass.tape = d->tape, pass.inputs = inputs, pass.items = items, pass.item_count = ITEMS, pass.rows = WINDOWS;
  OK(moon_module_forward(module, &pass, &y));
  memcpy(out, moon_var_data(d->tape, y), moon_var_shape(d->tape, y)[0] * ITEMS * sizeof *out);
}

/* A step that is hidden says nothing of what it was, to itself or to others; one that is not does, also to earlier ones. */
static void what_is_masked_is_known_to_none(void **state) {
  (void)state;
  moon_module *module;
  data d;
  data_new(&d);
  OK(make(CLOZE, &module));
  uint8_t masked[WINDOWS * STEPS] = {[2] = 1};
  uint32_t reads[3] = {0, 2, STEPS}, other[WINDOWS * STEPS]; /* of the first window, whose end is at STEPS */
  double a[3 * ITEMS], b[3 * ITEMS];
  const moon_pass pass = {.reads = reads, .read_count = 3, .masked = masked};
  scores(module, &d, pass, d.history, a);
  memcpy(other, d.history, sizeof other);
  other[2] = other[2] % ITEMS + 1;
  scores(module, &d, pass, other, b);
  assert_memory_equal(a, b, sizeof a);
  other[4] = other[4] % ITEMS + 1;
  scores(module, &d, pass, other, b);
  for (size_t i = 0; i < 3 * ITEMS; i++) assert_true(fabs(a[i] - b[i]) > 1e-9);
  moon_module_free(module);
  moon_tape_free(d.tape);
}

/* Serving reads behind the last step of each, however long it is; that is the step `length` of training. */
static void the_end_is_read_at_the_mask(void **state) {
  (void)state;
  moon_module *module;
  data d;
  data_new(&d);
  OK(make(CLOZE, &module));
  uint32_t ends[WINDOWS];
  double serving[WINDOWS * ITEMS], training[WINDOWS * ITEMS];
  for (uint32_t w = 0; w < WINDOWS; w++) ends[w] = w * (STEPS + 1) + lengths[w];
  scores(module, &d, (moon_pass){.rows = WINDOWS}, d.history, serving);
  scores(module, &d, (moon_pass){.reads = ends, .read_count = WINDOWS}, d.history, training);
  for (size_t i = 0; i < WINDOWS * ITEMS; i++) NEAR(serving[i], training[i], 1e-12);
  size_t input, steps;
  OK(moon_module_steps(module, true, &input, &steps));
  assert_true(input == 2 && steps == STEPS + 1);
  moon_module_free(module);
  moon_tape_free(d.tape);
}

static void what_cannot_be_trained_on_sequences_is_named_by_its_line(void **state) {
  (void)state;
  static const struct {
    const char *model, *says;
    bool cloze;
  } cases[] = {
      {DOT(USER(LOOK("") "," LAST)), "r:4: transformer: lets a step look at later ones", false},
      {DOT(USER("{\"type\":\"attention\",\"where\":\"r:4\"}," LAST)), "r:4: attention: lets a step look at later ones", false},
      {DOT(USER("{\"type\":\"pool\",\"mode\":\"mean\",\"where\":\"r:5\"}")), "r:5: pool: takes more than the last step", false},
      {DOT(USER(LAST ",{\"type\":\"cross\",\"where\":\"r:6\"}")), "r:6: cross: stands behind the pool", false},
      {DOT(USER("{\"type\":\"flatten\",\"where\":\"r:6\"},{\"type\":\"dense\",\"units\":4}")),
       "r:6: flatten: is not for a branch", false},
      {DOT(USER("{\"type\":\"mask\",\"where\":\"r:6\"}," LOOK(CAUSAL) "," LAST)), "r:6: mask: is for a cloze", false},
      {DOT(USER(LOOK("") "," LAST)), "r:3: sequential: hides nothing", true},
      {DOT("{\"type\":\"input\",\"input\":\"user\",\"where\":\"r:2\"}"), "r:2: input: does not boil a history down", false},
      {DOT("{\"type\":\"parallel\",\"merge\":\"sum\",\"where\":\"r:8\",\"layers\":[" USER(
           LAST) ",{\"type\":\"input\",\"input\":\"user\"}]}"),
       "r:8: parallel: is not for a branch", false},
      {"{\"type\":\"sequential\",\"layers\":[{\"type\":\"dense\",\"units\":1}]}", "needs a model that ends with m.nn.dot", false},
  };
  for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
    moon_module *module;
    size_t input, steps;
    OK(make(cases[c].model, &module));
    REFUSED(MOON_EINVAL, cases[c].says, moon_module_steps(module, cases[c].cloze, &input, &steps));
    moon_module_free(module);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_pass_over_a_sequence_is_a_pass_for_each_of_its_steps),
      cmocka_unit_test(what_is_masked_is_known_to_none),
      cmocka_unit_test(the_end_is_read_at_the_mask),
      cmocka_unit_test(what_cannot_be_trained_on_sequences_is_named_by_its_line),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

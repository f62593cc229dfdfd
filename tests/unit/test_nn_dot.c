/* test_nn_dot.c - the product of a branch of the user and one of the item: once for a group is the same as row by row, and so is every row by
 * every item. */
#include <stdlib.h>

#include "nn/module.h"
#include "numeric.h"

enum { GROUPS = 3, EACH = 4, ROWS = GROUPS * EACH, WIDTH = 5, STEPS = 3, IDS = 7, INPUTS = 4 };
static const moon_form forms[INPUTS] = {
    {.name = "x", .dims = 1, .shape = {WIDTH}},
    {.name = "item.id", .ids = IDS, .whose = MOON_OF_ITEM},
    {.name = "history", .dims = 2, .shape = {STEPS, WIDTH}, .whose = MOON_OF_USER},
    {.name = "item", .dims = 1, .shape = {WIDTH}, .whose = MOON_OF_ITEM},
};

#define TOWER "{\"type\":\"sequential\",\"input\":\"history\",\"layers\":[{\"type\":\"gru\",\"units\":4},{\"type\":\"pool\",\"mode\":\"last\"}]}"
#define ITEM "{\"type\":\"embedding\",\"dim\":4,\"input\":\"item.id\"}"
#define DOT(a, b) "{\"type\":\"sequential\",\"layers\":[{\"type\":\"dot\",\"where\":\"r:7\",\"layers\":[" a "," b "]}]}"

static moon_status make(const char *text, moon_module **out) {
  json_t *spec = json_loads(text, 0, NULL);
  assert_non_null(spec);
  moon_rng rng;
  moon_rng_seed(&rng, 11, 0);
  moon_status status = moon_module_new(spec, MOON_F64, forms, INPUTS, &rng, out);
  json_decref(spec);
  return status;
}

/* Histories: one a group, and the same again for each of its rows. */
typedef struct data {
  moon_tape *tape;
  moon_tensor *once, *rows;
  uint32_t ids[ROWS], all[IDS - 1], lengths[GROUPS], row_lengths[ROWS];
} data;

static void data_new(data *d) {
  moon_rng rng;
  moon_rng_seed(&rng, 3, 1);
  size_t one = STEPS * WIDTH;
  OK(moon_tape_new(&d->tape));
  d->once = random_tensor(&rng, MOON_F64, SHAPE(GROUPS, STEPS, WIDTH), -1, 1);
  OK(moon_tensor_new(MOON_F64, SHAPE(ROWS, STEPS, WIDTH), &d->rows));
  for (size_t r = 0; r < ROWS; r++) {
    memcpy((double *)moon_tensor_data(d->rows) + r * one, (const double *)moon_tensor_data(d->once) + r / EACH * one, one * sizeof(double));
    d->ids[r] = moon_rng_below(&rng, IDS);
    d->lengths[r / EACH] = d->row_lengths[r] = 1 + (uint32_t)(r / EACH) % STEPS;
  }
  for (uint32_t i = 0; i + 1 < IDS; i++) d->all[i] = i + 1;
}

static void data_free(data *d) {
  moon_tape_free(d->tape);
  moon_tensor_free(d->once), moon_tensor_free(d->rows);
}

static moon_value history(data *d, bool once) {
  moon_value value = {.lengths = once ? d->lengths : d->row_lengths};
  const moon_tensor *t = once ? d->once : d->rows;
  OK(moon_tape_constant(d->tape, MOON_F64, moon_tensor_dims(t), moon_tensor_shape(t), moon_tensor_data(t), &value.x));
  return value;
}

/* The outputs, and the gradients of the sum of their squares, one after the other. */
static size_t run(const moon_module *module, data *d, moon_pass pass, double *out, double *grads) {
  moon_var y, loss;
  size_t n, count, at = 0;
  moon_param *const *params = moon_module_params(module, &n);
  for (size_t i = 0; i < n; i++) moon_tensor_fill(params[i]->grad, 0);
  pass.tape = d->tape;
  OK(moon_module_forward(module, &pass, &y));
  count = pass.items ? pass.rows * pass.item_count : pass.rows;
  memcpy(out, moon_var_data(d->tape, y), count * sizeof *out);
  OK(moon_op_mul(d->tape, y, y, &loss));
  OK(moon_op_sum(d->tape, loss, &loss));
  OK(moon_tape_backward(d->tape, loss));
  for (size_t i = 0; i < n; i++) {
    memcpy(grads + at, moon_tensor_data(params[i]->grad), moon_tensor_count(params[i]->grad) * sizeof *grads);
    at += moon_tensor_count(params[i]->grad);
  }
  return at;
}

static void once_for_a_group_is_the_same_as_row_by_row(void **state) {
  (void)state;
  moon_module *module;
  data d;
  data_new(&d);
  OK(make(DOT(TOWER, ITEM), &module));
  assert_true(moon_module_uses_once(module, 2) && !moon_module_uses(module, 2) && moon_module_uses(module, 1) && !moon_module_uses(module, 0));
  double rows[ROWS], groups[ROWS], row_grads[1000], group_grads[1000];
  moon_value inputs[INPUTS] = {[1] = {.ids = d.ids}}, once[INPUTS] = {{.ids = NULL}};
  inputs[2] = history(&d, false);
  size_t n = run(module, &d, (moon_pass){.rows = ROWS, .inputs = inputs}, rows, row_grads);
  moon_tape_reset(d.tape);
  inputs[2] = (moon_value){.ids = NULL}; /* is not asked for */
  once[2] = history(&d, true);
  assert_int_equal(n, run(module, &d, (moon_pass){.rows = ROWS, .inputs = inputs, .each = EACH, .once = once}, groups, group_grads));
  for (size_t i = 0; i < ROWS; i++) NEAR(groups[i], rows[i], 1e-12);
  for (size_t i = 0; i < n; i++) NEAR(group_grads[i], row_grads[i], 1e-11);
  assert_true(fabs(rows[0]) > 1e-6);
  moon_module_free(module);
  data_free(&d);
}

static void every_row_by_every_item_is_the_same_as_one_by_one(void **state) {
  (void)state;
  moon_module *module;
  data d;
  data_new(&d);
  OK(make(DOT(TOWER, ITEM), &module));
  assert_true(moon_module_ranks_all(module));
  double all[GROUPS * (IDS - 1)], one[GROUPS], grads[1000];
  moon_value inputs[INPUTS] = {{.ids = NULL}}, items[INPUTS] = {[1] = {.ids = d.all}};
  inputs[2] = history(&d, true);
  run(module, &d, (moon_pass){.rows = GROUPS, .inputs = inputs, .items = items, .item_count = IDS - 1}, all, grads);
  for (uint32_t item = 1; item < IDS; item++) {
    uint32_t ids[GROUPS] = {item, item, item};
    moon_tape_reset(d.tape);
    inputs[1] = (moon_value){.ids = ids}, inputs[2] = history(&d, true);
    run(module, &d, (moon_pass){.rows = GROUPS, .inputs = inputs}, one, grads);
    for (size_t g = 0; g < GROUPS; g++) NEAR(all[g * (IDS - 1) + item - 1], one[g], 1e-12);
  }
  moon_module_free(module);
  data_free(&d);
}

/* What knows the item cannot go through once for all of them. */
static void a_branch_that_sees_the_item_is_not_of_the_user(void **state) {
  (void)state;
  static const char *const mixed[] = {
      DOT("{\"type\":\"sequential\",\"layers\":[{\"type\":\"input\",\"input\":\"item\"}]}", "{\"type\":\"input\",\"input\":\"item\"}"),
      DOT("{\"type\":\"dense\",\"units\":4}", ITEM), /* of whatever flows */
      DOT("{\"type\":\"sequential\",\"layers\":[{\"type\":\"din\",\"input\":\"item\",\"history\":\"history\"}]}", "{\"type\":\"input\",\"input\":\"item\"}"),
  };
  for (size_t i = 0; i < sizeof mixed / sizeof *mixed; i++) {
    moon_module *module;
    OK(make(mixed[i], &module));
    for (size_t input = 0; input < INPUTS; input++) assert_false(moon_module_uses_once(module, input));
    assert_false(moon_module_ranks_all(module));
    moon_module_free(module);
  }
  moon_module *after; /* a number of the user's by one of the item's, and something done to it */
  OK(make("{\"type\":\"sequential\",\"layers\":[{\"type\":\"dot\",\"layers\":[" TOWER "," ITEM "]},{\"type\":\"dense\",\"units\":1}]}", &after));
  assert_false(moon_module_ranks_all(after));
  moon_module_free(after);
}

static void what_does_not_fit_is_refused(void **state) {
  (void)state;
  moon_module *module;
  REFUSED(MOON_EINVAL, "r:7: dot: needs two rows of one width, not [n, 4] and [n, 5]", make(DOT(TOWER, "{\"type\":\"input\",\"input\":\"item\"}"), &module));
  REFUSED(MOON_EINVAL, "r:7: dot: takes the product of two branches, not of 3", make(DOT(TOWER "," ITEM, ITEM), &module));
  REFUSED(MOON_EINVAL, "there is no input \"itm.id\"", make(DOT(TOWER, "{\"type\":\"embedding\",\"dim\":4,\"input\":\"itm.id\"}"), &module));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(once_for_a_group_is_the_same_as_row_by_row),
      cmocka_unit_test(every_row_by_every_item_is_the_same_as_one_by_one),
      cmocka_unit_test(a_branch_that_sees_the_item_is_not_of_the_user),
      cmocka_unit_test(what_does_not_fit_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_autograd_ops_bag.c - bags of embeddings against the plain sum: values, the table's gradient, touched rows, refusals. */
#include "autograd/autograd.h"
#include "op_check.h"

enum { ROWS = 6, DIM = 5, BAGS = 5, IDS = 11 };
static const uint32_t ids[IDS] = {3, 1, 3, 0, 5, 0, 2, 2, 4, 1, 3}; /* row 0 is nothing; 3 is twice in one bag */
static const size_t offsets[BAGS + 1] = {0, 3, 3, 4, 9, 11};        /* an empty bag, and one of nothing but 0 */

typedef struct bagged {
  moon_tensor *table, *grad, *weights, *out;
  moon_bag bag;
} bagged;

static double bag_loss(const bagged *b, moon_tape *tape, bool back) {
  moon_var y, w, loss;
  moon_tape_reset(tape);
  OK(moon_op_embedding_bag(tape, b->table, back ? b->grad : NULL, &b->bag, NULL, NULL, &y));
  OK(moon_tape_constant(tape, moon_tensor_dtype(b->table), SHAPE(BAGS, DIM), moon_tensor_data(b->out), &w));
  OK(moon_op_mul(tape, y, y, &y));
  OK(moon_op_mul(tape, y, w, &y));
  OK(moon_op_sum(tape, y, &loss));
  if (back) OK(moon_tape_backward(tape, loss));
  return moon_tensor_dtype(b->table) == MOON_F64 ? *(const double *)moon_var_data(tape, loss)
                                                 : (double)*(const float *)moon_var_data(tape, loss);
}

/* By definition, from scratch. */
static double plain(const double *table, const double *weights, moon_bag_mode mode, size_t bag, size_t j) {
  double sum = 0, over = 0, top = -INFINITY;
  for (size_t k = offsets[bag]; k < offsets[bag + 1]; k++) {
    if (!ids[k]) continue;
    double w = weights ? weights[k] : 1, x = table[ids[k] * DIM + j];
    sum += w * x, over += w;
    if (x > top) top = x;
  }
  if (mode == MOON_BAG_SUM) return sum;
  if (mode == MOON_BAG_MEAN) return over != 0 ? sum / over : 0;
  return isfinite(top) ? top : 0;
}

static void check_bag(moon_bag_mode mode, bool weighted) {
  moon_rng rng;
  moon_rng_seed(&rng, 5, (uint64_t)mode);
  bagged wide = {random_tensor(&rng, MOON_F64, SHAPE(ROWS, DIM), -2, 2), NULL, random_tensor(&rng, MOON_F64, SHAPE(IDS), 0.2, 2),
                 random_tensor(&rng, MOON_F64, SHAPE(BAGS, DIM), -1, 1), {ids, offsets, BAGS, NULL, mode}};
  bagged single = {converted(wide.table, MOON_F32), NULL, converted(wide.weights, MOON_F32), converted(wide.out, MOON_F32),
                   wide.bag};
  if (weighted) wide.bag.weights = moon_tensor_data(wide.weights), single.bag.weights = moon_tensor_data(single.weights);
  OK(moon_tensor_new(MOON_F64, SHAPE(ROWS, DIM), &wide.grad));
  OK(moon_tensor_new(MOON_F32, SHAPE(ROWS, DIM), &single.grad));
  moon_tape *tape;
  moon_var y;
  OK(moon_tape_new(&tape));
  OK(moon_op_embedding_bag(tape, wide.table, NULL, &wide.bag, NULL, NULL, &y));
  double *x = moon_tensor_data(wide.table), *grad = moon_tensor_data(wide.grad);
  for (size_t i = 0; i < BAGS; i++)
    for (size_t j = 0; j < DIM; j++)
      NEAR(((const double *)moon_var_data(tape, y))[i * DIM + j], plain(x, wide.bag.weights, mode, i, j), 1e-12);
  NEAR(bag_loss(&single, tape, true), bag_loss(&wide, tape, true), 2e-5);
  for (size_t i = 0; i < ROWS * DIM; i++) {
    double kept = x[i], above, below;
    x[i] = kept + 1e-5, above = bag_loss(&wide, tape, false);
    x[i] = kept - 1e-5, below = bag_loss(&wide, tape, false);
    x[i] = kept;
    NEAR(grad[i], (above - below) / 2e-5, 1e-6 * fmax(1, fabs(grad[i])));
    NEAR(((float *)moon_tensor_data(single.grad))[i], grad[i], 1e-5 * fmax(1, fabs(grad[i])));
  }
  for (size_t j = 0; j < DIM; j++) NEAR(grad[j], 0, 0); /* row 0 is nothing */
  moon_tape_free(tape);
  moon_tensor_free(wide.table), moon_tensor_free(wide.grad), moon_tensor_free(wide.weights), moon_tensor_free(wide.out);
  moon_tensor_free(single.table), moon_tensor_free(single.grad), moon_tensor_free(single.weights), moon_tensor_free(single.out);
}

static void bags_sum_average_and_take_the_largest(void **state) {
  (void)state;
  check_bag(MOON_BAG_SUM, false);
  check_bag(MOON_BAG_SUM, true);
  check_bag(MOON_BAG_MEAN, false);
  check_bag(MOON_BAG_MEAN, true);
  check_bag(MOON_BAG_MAX, false);
}

static void a_mean_bag_is_gather_mean(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 6, 1);
  moon_tensor *table = random_tensor(&rng, MOON_F32, SHAPE(ROWS, DIM), -2, 2);
  static const uint32_t padded[6] = {3, 1, 0, 5, 0, 0};
  static const size_t even[3] = {0, 3, 6};
  moon_tape *tape;
  moon_var a, b;
  OK(moon_tape_new(&tape));
  OK(moon_op_gather_mean(tape, table, NULL, padded, 2, 3, NULL, NULL, &a));
  OK(moon_op_embedding_bag(tape, table, NULL, &(moon_bag){padded, even, 2, NULL, MOON_BAG_MEAN}, NULL, NULL, &b));
  for (size_t i = 0; i < 2 * DIM; i++)
    NEAR(((const float *)moon_var_data(tape, a))[i], ((const float *)moon_var_data(tape, b))[i], 1e-6);
  moon_tape_free(tape);
  moon_tensor_free(table);
}

typedef struct told { uint32_t rows[IDS]; size_t n; } told;
static void tell(void *self, uint32_t row) {
  told *t = self;
  assert_true(t->n < IDS);
  t->rows[t->n++] = row;
}

static void touched_rows_are_told_in_order_without_zero(void **state) {
  (void)state;
  static const uint32_t want[9] = {3, 1, 3, 5, 2, 2, 4, 1, 3};
  moon_tensor *table, *grad;
  OK(moon_tensor_new(MOON_F32, SHAPE(ROWS, DIM), &table));
  OK(moon_tensor_new(MOON_F32, SHAPE(ROWS, DIM), &grad));
  for (int mode = 0; mode < 3; mode++) {
    told t = {.n = 0};
    moon_tape *tape;
    moon_var y;
    OK(moon_tape_new(&tape));
    OK(moon_op_embedding_bag(tape, table, grad, &(moon_bag){ids, offsets, BAGS, NULL, mode}, tell, &t, &y));
    assert_int_equal(t.n, 0);
    OK(moon_op_sum(tape, y, &y));
    OK(moon_tape_backward(tape, y));
    assert_int_equal(t.n, 9);
    assert_memory_equal(t.rows, want, sizeof want);
    moon_tape_free(tape);
  }
  moon_tensor_free(table), moon_tensor_free(grad);
}

static void wrong_bags_are_refused(void **state) {
  (void)state;
  moon_tensor *table, *grad;
  OK(moon_tensor_new(MOON_F32, SHAPE(5, DIM), &table)); /* id 5 does not exist */
  OK(moon_tensor_new(MOON_F32, SHAPE(DIM, 5, 1), &grad));
  moon_tape *tape;
  moon_var y = {77};
  moon_bag bag = {ids, offsets, BAGS, NULL, MOON_BAG_SUM};
  OK(moon_tape_new(&tape));
  REFUSED(MOON_EINVAL, "embedding_bag: id 5 at position 4 is out of range: the table is [5, 5]",
          moon_op_embedding_bag(tape, table, NULL, &bag, NULL, NULL, &y));
  REFUSED(MOON_EINVAL, "embedding_bag: a table of [5, 5] against a gradient of [5, 5, 1]",
          moon_op_embedding_bag(tape, table, grad, &bag, NULL, NULL, &y));
  REFUSED(MOON_EINVAL, "embedding_bag: the table [5, 5, 1]", moon_op_embedding_bag(tape, grad, NULL, &bag, NULL, NULL, &y));
  bag.offsets = (size_t[]){0, 3, 2, 4, 4, 4};
  REFUSED(MOON_EINVAL, "offset 3 at position 1 is after the next, 2",
          moon_op_embedding_bag(tape, table, NULL, &bag, NULL, NULL, &y));
  bag.offsets = offsets, bag.mode = MOON_BAG_MAX, bag.weights = ids;
  REFUSED(MOON_EINVAL, "max takes no weights", moon_op_embedding_bag(tape, table, NULL, &bag, NULL, NULL, &y));
  bag.mode = (moon_bag_mode)3;
  REFUSED(MOON_EINVAL, "mode 3 does not exist", moon_op_embedding_bag(tape, table, NULL, &bag, NULL, NULL, &y));
  assert_int_equal(y.id, 77);
  moon_tape_free(tape);
  moon_tensor_free(table), moon_tensor_free(grad);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(bags_sum_average_and_take_the_largest),
      cmocka_unit_test(a_mean_bag_is_gather_mean),
      cmocka_unit_test(touched_rows_are_told_in_order_without_zero),
      cmocka_unit_test(wrong_bags_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

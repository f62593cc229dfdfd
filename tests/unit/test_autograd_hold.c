/* test_autograd_hold.c - a tape that holds its gradients back touches nothing until it delivers, and then the sums are those of a tape that does
 * not. */
#include "nn/nn.h"
#include "numeric.h"

enum { ROWS = 12, DIM = 3, BATCH = 6 };

typedef struct world {
  moon_embedding *table;
  moon_dense *dense;
  uint32_t ids[BATCH], bags[2 * BATCH];
} world;

static world begin(void) {
  world w;
  moon_rng rng;
  moon_rng_seed(&rng, 9, 0);
  OK(moon_embedding_new("t", ROWS, DIM, &rng, &w.table));
  OK(moon_dense_new("d", 3 * DIM, 1, MOON_TANH, &rng, &w.dense));
  for (size_t i = 0; i < BATCH; i++)
    w.ids[i] = moon_rng_below(&rng, ROWS), w.bags[2 * i] = moon_rng_below(&rng, ROWS), w.bags[2 * i + 1] = 5;
  return w;
}

static void end(world *w) {
  moon_embedding_free(w->table);
  moon_dense_free(w->dense);
}

static void back(world *w, moon_tape *tape) {
  moon_var part[3], x, y;
  static const size_t offsets[BATCH + 1] = {0, 2, 3, 3, 6, 7, 2 * BATCH};
  const moon_bag bag = {.ids = w->bags, .offsets = offsets, .n = BATCH, .mode = MOON_BAG_SUM};
  OK(moon_embedding_forward(tape, w->table, w->ids, BATCH, &part[0]));
  OK(moon_embedding_mean(tape, w->table, w->bags, BATCH, 2, &part[1]));
  OK(moon_op_embedding_bag(tape, w->table->weight->value, w->table->weight->grad, &bag, NULL, NULL, &part[2]));
  OK(moon_op_concat(tape, part, 3, &x));
  OK(moon_dense_forward(tape, w->dense, x, &y));
  OK(moon_op_mul(tape, y, y, &y));
  OK(moon_op_sum(tape, y, &y));
  OK(moon_tape_backward(tape, y));
}

static bool untouched(const moon_param *p) {
  for (size_t i = 0; i < moon_tensor_count(p->grad); i++)
    if (((float *)moon_tensor_data(p->grad))[i] != 0) return false;
  return p->touched_n == 0;
}

static void nothing_moves_before_delivery_and_the_same_after(void **state) {
  (void)state;
  world held = begin(), plain = begin();
  moon_param *mine[] = {held.table->weight, held.dense->weight, held.dense->bias};
  moon_param *theirs[] = {plain.table->weight, plain.dense->weight, plain.dense->bias};
  moon_tape *a, *b;
  OK(moon_tape_new(&a));
  OK(moon_tape_new(&b));
  moon_tape_hold(a, true);
  for (int step = 1; step <= 2; step++) { /* gradients add up over steps */
    moon_tape_reset(a);
    moon_tape_reset(b);
    back(&held, a);
    if (step == 1)
      for (int i = 0; i < 3; i++) assert_true(untouched(mine[i]));
    moon_tape_deliver(a);
    moon_tape_deliver(a); /* once is all there is */
    back(&plain, b);
    moon_tape_deliver(b); /* of a tape that does not hold, nothing */
    for (int i = 0; i < 3; i++)
      for (size_t j = 0; j < moon_tensor_count(mine[i]->grad); j++)
        NEAR(((float *)moon_tensor_data(mine[i]->grad))[j], ((float *)moon_tensor_data(theirs[i]->grad))[j], 1e-6);
    assert_true(mine[0]->touched_n > 0);
    assert_int_equal(mine[0]->touched_n, theirs[0]->touched_n);
    assert_memory_equal(mine[0]->touched, theirs[0]->touched, mine[0]->touched_n * sizeof(uint32_t));
  }
  moon_tape_free(a);
  moon_tape_free(b);
  end(&held);
  end(&plain);
}

static void a_reset_drops_what_was_not_delivered(void **state) {
  (void)state;
  world w = begin();
  moon_tape *tape;
  OK(moon_tape_new(&tape));
  moon_tape_hold(tape, true);
  back(&w, tape);
  moon_tape_reset(tape);
  moon_tape_deliver(tape);
  assert_true(untouched(w.table->weight) && untouched(w.dense->weight));
  moon_tape_free(tape);
  end(&w);
}

static moon_status same(moon_tape *tape, const moon_var *leaves, size_t n, void *self, moon_var *out) {
  (void)tape, (void)n, (void)self;
  *out = leaves[0];
  return moon_ok();
}

static void a_checkpoint_is_refused_while_holding(void **state) {
  (void)state;
  moon_tape *tape;
  moon_var x;
  OK(moon_tape_new(&tape));
  moon_tape_hold(tape, true);
  OK(moon_tape_constant(tape, MOON_F32, 1, (size_t[]){1}, &(float){1}, &x));
  REFUSED(MOON_EINVAL, "holds gradients back", moon_op_checkpoint(tape, same, NULL, &x, 1, &x));
  moon_tape_free(tape);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nothing_moves_before_delivery_and_the_same_after),
      cmocka_unit_test(a_reset_drops_what_was_not_delivered),
      cmocka_unit_test(a_checkpoint_is_refused_while_holding),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* bench_train.c - what a training step and a scoring call cost: the MLP 64 -> 64 relu -> 32 relu -> 1 with BCE and Adam, one thread.
 *
 *   bench_train [seconds a measurement = 0.5]
 *
 * A training step is what moon_fit does: a shuffled batch is gathered from a data set of 256 MB, one tape is reset and built again, and Adam
 * walks all parameters. Each figure is the median of five runs of the thread's own time, which does not count what neighbours took. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "nn/nn.h"

enum { ROWS = 1000000, IN = 64, LAYERS = 3, RUNS = 5 };

typedef struct bench {
  float *x, *y; /* [ROWS, IN], [ROWS] */
  uint32_t *order;
  size_t at;
  moon_dense *layers[LAYERS];
  moon_param *params[2 * LAYERS];
  moon_tape *tape;
  moon_optimizer *adam;
  float *batch_x, *batch_y;
} bench;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void need(moon_status st) {
  if (!st.code) return;
  fprintf(stderr, "bench_train: %s\n", st.message);
  exit(1);
}

/* The label is whether the first eight inputs sum above zero, with noise: something to learn. */
static void make_data(bench *b, moon_rng *rng) {
  b->x = moon_alloc_aligned((size_t)ROWS * IN * sizeof *b->x);
  b->y = moon_alloc_aligned(ROWS * sizeof *b->y);
  b->order = moon_alloc(ROWS * sizeof *b->order);
  if (!b->x || !b->y || !b->order) need(moon_fail(MOON_ENOMEM, "no memory for the data"));
  for (size_t i = 0; i < ROWS; i++) {
    float sum = (float)moon_rng_uniform(rng) - 0.5f;
    for (size_t j = 0; j < IN; j++) {
      float value = (float)moon_rng_u32(rng) * 0x1p-31f - 1;
      b->x[i * IN + j] = value;
      if (j < 8) sum += value;
    }
    b->y[i] = sum > 0;
    b->order[i] = (uint32_t)i;
  }
  moon_rng_shuffle(rng, b->order, ROWS);
}

static void make_model(bench *b, moon_rng *rng) {
  static const size_t widths[LAYERS + 1] = {IN, 64, 32, 1};
  static const char *const names[LAYERS] = {"0", "1", "2"};
  for (size_t i = 0; i < LAYERS; i++) {
    need(moon_dense_new(names[i], widths[i], widths[i + 1], i + 1 < LAYERS ? MOON_RELU : MOON_LINEAR, rng, &b->layers[i]));
    b->params[2 * i] = b->layers[i]->weight, b->params[2 * i + 1] = b->layers[i]->bias;
  }
  need(moon_tape_new(&b->tape));
  json_t *spec = json_pack("{s:s, s:f, s:f, s:f, s:f}", "type", "adam", "lr", 1e-3, "beta1", 0.9, "beta2", 0.999, "epsilon", 1e-7);
  need(moon_optimizer_new(spec, b->params, 2 * LAYERS, 0, &b->adam));
  json_decref(spec);
}

static void gather(bench *b, size_t n) {
  if (b->at + 2 * n > ROWS) b->at = 0;
  for (size_t i = 0; i < n; i++) {
    size_t row = b->order[b->at + i];
    memcpy(b->batch_x + i * IN, b->x + row * IN, IN * sizeof *b->x);
    b->batch_y[i] = b->y[row];
    const char *next = (const char *)(b->x + (size_t)b->order[b->at + n + i] * IN); /* of the batch to come */
    for (size_t line = 0; line < IN * sizeof *b->x; line += 64) __builtin_prefetch(next + line);
  }
  b->at += n;
}

/* One step; answers the loss. */
static float step(bench *b, size_t n) {
  moon_var x, y, loss;
  moon_tape_reset(b->tape);
  need(moon_tape_constant(b->tape, MOON_F32, 2, (size_t[]){n, IN}, b->batch_x, &x));
  need(moon_tape_constant(b->tape, MOON_F32, 1, &n, b->batch_y, &y));
  for (size_t i = 0; i < LAYERS; i++) need(moon_dense_forward(b->tape, b->layers[i], x, &x));
  need(moon_op_bce_logits(b->tape, x, y, &loss));
  float value = *(const float *)moon_var_data(b->tape, loss);
  need(moon_tape_backward(b->tape, loss));
  need(moon_optimizer_step(b->adam));
  return value;
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double *values) {
  qsort(values, RUNS, sizeof *values, by_size);
  return values[RUNS / 2];
}

/* Seconds a step, or a gather alone, over about `seconds`; the clock is asked once in 20 steps, for it is slow. */
static double timed(bench *b, size_t n, double seconds, bool whole, double *loss) {
  size_t count = 0;
  double start = now(), end = start, sum = 0;
  while (end - start < seconds) {
    for (int i = 0; i < 20; i++, count++) {
      gather(b, n);
      if (whole) sum += (double)step(b, n);
    }
    end = now();
  }
  *loss = sum / (double)count;
  return (end - start) / (double)count;
}

static void train(bench *b, size_t n, double seconds) {
  double steps[RUNS], gathers[RUNS], loss, none;
  b->batch_x = moon_alloc_aligned(n * IN * sizeof *b->batch_x);
  b->batch_y = moon_alloc_aligned(n * sizeof *b->batch_y);
  timed(b, n, seconds, true, &loss);
  for (int run = 0; run < RUNS; run++) {
    steps[run] = timed(b, n, seconds, true, &loss);
    gathers[run] = timed(b, n, seconds / 10, false, &none);
  }
  double each = median(steps);
  printf("train  batch %5zu  %9.2f us/step  (best %.2f)  %10.0f examples/s  of it gathering %.2f us  loss %.4f\n", n, each * 1e6,
         steps[0] * 1e6, (double)n / each, median(gathers) * 1e6, loss);
  moon_free(b->batch_x);
  moon_free(b->batch_y);
}

static void score(const bench *b, const moon_infer *infer, size_t n, double seconds) {
  float *scratch = moon_alloc_aligned(moon_infer_scratch(infer, n) * sizeof *scratch), *y = moon_alloc_aligned(n * sizeof *y);
  double calls[RUNS];
  for (int run = -1; run < RUNS; run++) {
    size_t count = 0;
    double start = now(), end = start;
    for (; end - start < seconds / 4; end = now())
      for (int i = 0; i < 10; i++, count++) moon_infer_run(infer, b->x, n, scratch, y);
    if (run >= 0) calls[run] = (end - start) / (double)count;
  }
  double each = median(calls);
  printf("score %4s  %5zu rows  %9.2f us/call  (best %.2f)  %10.2f M rows/s\n", moon_precision_name(moon_infer_precision(infer)), n, each * 1e6, calls[0] * 1e6,
         (double)n / each * 1e-6);
  moon_free(scratch);
  moon_free(y);
}

int main(int argc, char **argv) {
  double seconds = argc > 1 ? atof(argv[1]) : 0.5;
  bench b = {0};
  moon_rng rng;
  moon_rng_seed(&rng, 1, 0);
  make_data(&b, &rng);
  make_model(&b, &rng);
  train(&b, 32, seconds);
  train(&b, 1024, seconds);
  moon_infer *infer, *small;
  b.layers[LAYERS - 1]->activation = MOON_SIGMOID;
  need(moon_infer_new(b.layers, LAYERS, &infer));
  static const size_t rows[] = {1, 100, 1000, 5000};
  for (moon_precision p = MOON_FULL; p <= MOON_INT8; p++) {
    moon_infer_difference difference;
    need(moon_infer_quantise(infer, p, b.x, 10000, &small, &difference));
    for (size_t i = 0; i < 4; i++) score(&b, small, rows[i], seconds);
    printf("       %4s  %zu bytes; differs by at most %.2g, on average %.2g\n", moon_precision_name(p), moon_infer_bytes(small),
           difference.most, difference.mean);
    moon_infer_free(small);
  }
  moon_infer_free(infer);
  for (size_t i = 0; i < LAYERS; i++) moon_dense_free(b.layers[i]);
  moon_optimizer_free(b.adam);
  moon_tape_free(b.tape);
  moon_free(b.x), moon_free(b.y), moon_free(b.order);
  return 0;
}

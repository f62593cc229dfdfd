/* cmd_bench.c - `moonshelf bench`: which kernels this processor gets, how fast they are, and whether the rule that chose them is right.
 *
 * Each figure is the median of five runs in the thread's own time, which does not count what neighbours took. The result is built as JSON;
 * the text is printed from it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "nn/nn.h"

static int run(int argc, char **argv);
const cli_command cli_bench = {
    "bench", "moonshelf bench [--seconds S] [--kernels] [--json]", "measure this machine: kernels chosen, products, training, scoring",
    "Kernels are chosen by a rule over processor and sizes, never by a clock, so that a training gives the same bytes each time. This\n"
    "measures both sides of the choice and marks with '!' where the rule takes the slower one by more than a tenth.",
    0, run, true};

enum { RUNS = 5, MEASUREMENTS = 36, IN = 64, LAYERS = 3, EXAMPLES = 8192 };

typedef struct bench {
  double seconds; /* for each measurement */
  moon_rng rng;
  json_t *result;
} bench;

/* ---- time ----------------------------------------------------------------------------------------------------------------------- */

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Seconds a call. The first call warms the caches, the next ones say how many make a run; a run has one call at least. */
static double seconds_of(void (*work)(void *argument), void *argument, double seconds) {
  double runs[RUNS], start;
  size_t calls = 1;
  work(argument);
  for (double took = 0;; calls *= 2) {
    start = now();
    for (size_t i = 0; i < calls; i++) work(argument);
    took = now() - start;
    if (took >= seconds / (2 * RUNS) || took > 1) break;
  }
  for (int r = 0; r < RUNS; r++) {
    start = now();
    for (size_t i = 0; i < calls; i++) work(argument);
    runs[r] = (now() - start) / (double)calls;
  }
  qsort(runs, RUNS, sizeof *runs, by_size);
  return runs[RUNS / 2] > 0 ? runs[RUNS / 2] : 1e-9;
}

static float *random_floats(bench *b, size_t n) {
  float *x = moon_alloc_aligned(n * sizeof *x);
  for (size_t i = 0; x && i < n; i++) x[i] = (float)moon_rng_u32(&b->rng) * 0x1p-31f - 1;
  return x;
}

/* ---- the limit: multiply-adds in registers --------------------------------------------------------------------------------------- */

enum { TURNS = 4096, SUMS = 12 };
static volatile float fma_factor = 0.999f, fma_sink;
#define FMA_LOOP(NAME, COMPILED, LANES)                                                              \
  COMPILED static void NAME(void *flops) {                                                           \
    typedef float lanes __attribute__((vector_size((LANES) * 4)));                                   \
    lanes sums[SUMS], factor = {0};                                                                  \
    factor += fma_factor;                                                                            \
    for (int i = 0; i < SUMS; i++) sums[i] = factor * (float)i; /* or one sum would do for all */    \
    for (int turn = 0; turn < TURNS; turn++) {                                                       \
      _Pragma("GCC unroll 12") for (int i = 0; i < SUMS; i++) sums[i] = sums[i] * factor + factor;   \
    }                                                                                                \
    for (int i = 1; i < SUMS; i++) sums[0] += sums[i];                                               \
    fma_sink = sums[0][0];                                                                           \
    *(double *)flops = 2.0 * (LANES) * SUMS * TURNS;                                                 \
  }
FMA_LOOP(fma_loop, MOON_CLONES, 8)
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12
FMA_LOOP(fma_loop_wide, __attribute__((target("arch=x86-64-v4"))), 16)
#else
#define fma_loop_wide fma_loop
#endif

static void measure_processor(bench *b) {
  bool wide = __builtin_expect(strstr(moon_cpu_features(), "avx512") != NULL, 0);
  double flops = 0, each = seconds_of(wide ? fma_loop_wide : fma_loop, &flops, b->seconds);
  json_object_set_new(b->result, "processor",
                      json_pack("{s:s, s:f}", "features", moon_cpu_features(), "peak_gflops", flops / each * 1e-9));
  json_object_set_new(b->result, "kernels",
                      json_pack("{s:I, s:s, s:s, s:s}", "panel_columns", (json_int_t)moon_panel(MOON_F32), "int8",
                                moon_int8_best()->name, "openblas", moon_blas_core(), "openblas_reason", cli_blas_reason()));
}

/* ---- products -------------------------------------------------------------------------------------------------------------------- */

typedef struct product {
  size_t m, n, k;
  float *a, *b, *packed, *c;
} product;

static void by_packed(void *argument) {
  product *p = argument;
  size_t panel = moon_panel(MOON_F32);
  moon_product call = {.rows = p->m, .inner = p->k, .columns = p->n, .a = p->a, .a_row = p->k, .b = p->packed, .b_step = panel,
                       .b_panel = p->k * panel, .c = p->c, .c_row = p->n};
  moon_product_run(MOON_F32, &call);
}
static void by_panels(void *argument) {
  product *p = argument;
  moon_gemm_panels(false, false, p->m, p->n, p->k, p->a, p->b, false, p->c);
}
static void by_blas(void *argument) {
  product *p = argument;
  moon_gemm_blas(false, false, p->m, p->n, p->k, p->a, p->b, false, p->c);
}

static void time_product(bench *b, product *p, json_t *into) {
  double flops = 2.0 * (double)p->m * (double)p->n * (double)p->k * 1e-9;
  double packed = flops / seconds_of(by_packed, p, b->seconds), own = flops / seconds_of(by_panels, p, b->seconds);
  double blas = flops / seconds_of(by_blas, p, b->seconds);
  bool takes_own = moon_gemm_own(MOON_F32, false, p->m, p->n, p->k);
  bool is_right = takes_own ? own > 0.9 * blas : blas > 0.9 * own;
  json_array_append_new(into, json_pack("{s:I, s:I, s:I, s:f, s:f, s:f, s:s, s:b}", "rows", (json_int_t)p->m, "columns",
                                        (json_int_t)p->n, "inner", (json_int_t)p->k, "packed_gflops", packed, "own_gflops", own,
                                        "openblas_gflops", blas, "takes", takes_own ? "own" : "openblas", "right", is_right));
}

static moon_status measure_products(bench *b) {
  static const size_t sizes[][3] = {{32, 64, 64},   {1024, 64, 64},   {32, 32, 64},       {1024, 32, 64},
                                    {32, 512, 512}, {1024, 512, 512}, {1024, 1024, 1024}};
  json_t *into = json_array();
  json_object_set_new(b->result, "products", into);
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    product p = {.m = sizes[i][0], .n = sizes[i][1], .k = sizes[i][2]};
    p.a = random_floats(b, p.m * p.k), p.b = random_floats(b, p.k * p.n);
    p.packed = moon_alloc_aligned(p.k * moon_panel_round(MOON_F32, p.n) * sizeof(float));
    p.c = moon_alloc_aligned(p.m * p.n * sizeof(float));
    bool has_memory = p.a && p.b && p.packed && p.c;
    if (has_memory) {
      moon_pack(MOON_F32, false, p.k, p.n, p.b, p.packed);
      time_product(b, &p, into);
    }
    moon_free(p.a), moon_free(p.b), moon_free(p.packed), moon_free(p.c);
    if (!has_memory) return moon_fail(MOON_ENOMEM, "no memory for a product of %zu x %zu x %zu", p.m, p.k, p.n);
  }
  return moon_ok();
}

/* ---- a ranker: 64 inputs -> 64 relu -> 32 relu -> 1 ------------------------------------------------------------------------------ */

typedef struct ranker {
  float *x, *y; /* [EXAMPLES, IN], [EXAMPLES] */
  size_t at, batch;
  moon_dense *layers[LAYERS];
  moon_param *params[2 * LAYERS];
  moon_tape *tape;
  moon_optimizer *optimizer;
  moon_status status; /* the first failure */
  const moon_infer *plan;
  float *scratch, *scores;
} ranker;

static moon_status ranker_make(bench *b, ranker *r) {
  static const size_t widths[LAYERS + 1] = {IN, 64, 32, 1};
  static const char *const names[LAYERS] = {"0", "1", "2"};
  r->x = random_floats(b, EXAMPLES * IN), r->y = random_floats(b, EXAMPLES);
  r->scores = random_floats(b, EXAMPLES);
  if (!r->x || !r->y || !r->scores) return moon_fail(MOON_ENOMEM, "no memory for %d examples", EXAMPLES);
  for (size_t i = 0; i < EXAMPLES; i++) r->y[i] = r->x[i * IN] + r->x[i * IN + 1] > 0;
  for (size_t i = 0; i < LAYERS; i++) {
    MOON_TRY(moon_dense_new(names[i], widths[i], widths[i + 1], i + 1 < LAYERS ? MOON_RELU : MOON_LINEAR, &b->rng, &r->layers[i]));
    r->params[2 * i] = r->layers[i]->weight, r->params[2 * i + 1] = r->layers[i]->bias;
  }
  MOON_TRY(moon_tape_new(&r->tape));
  json_t *spec = json_pack("{s:s, s:f}", "type", "adam", "lr", 1e-3);
  moon_status status = moon_optimizer_new(spec, r->params, 2 * LAYERS, 0, &r->optimizer);
  json_decref(spec);
  return status;
}

static void ranker_end(ranker *r) {
  moon_optimizer_free(r->optimizer);
  moon_tape_free(r->tape);
  for (size_t i = 0; i < LAYERS; i++) moon_dense_free(r->layers[i]);
  moon_free(r->x), moon_free(r->y), moon_free(r->scores);
}

static moon_status train_step(ranker *r) {
  moon_var x, y, loss;
  moon_tape_reset(r->tape);
  if (r->at + r->batch > EXAMPLES) r->at = 0;
  MOON_TRY(moon_tape_constant(r->tape, MOON_F32, 2, (size_t[]){r->batch, IN}, r->x + r->at * IN, &x));
  MOON_TRY(moon_tape_constant(r->tape, MOON_F32, 1, &r->batch, r->y + r->at, &y));
  for (size_t i = 0; i < LAYERS; i++) MOON_TRY(moon_dense_forward(r->tape, r->layers[i], x, &x));
  MOON_TRY(moon_op_bce_logits(r->tape, x, y, &loss));
  MOON_TRY(moon_tape_backward(r->tape, loss));
  r->at += r->batch;
  return moon_optimizer_step(r->optimizer);
}

static void train(void *argument) {
  ranker *r = argument;
  moon_status status = train_step(r);
  if (!r->status.code) r->status = status;
}

static void score(void *argument) {
  ranker *r = argument;
  moon_infer_run(r->plan, r->x, r->batch, r->scratch, r->scores);
}

static moon_status measure_training(bench *b, ranker *r) {
  json_t *into = json_array();
  json_object_set_new(b->result, "training", into);
  for (r->batch = 32; r->batch <= 1024; r->batch *= 32) {
    double each = seconds_of(train, r, b->seconds);
    json_array_append_new(into, json_pack("{s:I, s:f}", "batch", (json_int_t)r->batch, "steps_per_second", 1 / each));
  }
  return r->status;
}

static moon_status measure_plan(bench *b, ranker *r, const moon_infer *exact, moon_precision precision, json_t *into) {
  static const size_t rows[] = {1, 100, 1000, 5000};
  moon_infer *plan;
  moon_infer_difference difference;
  MOON_TRY(moon_infer_quantise(exact, precision, r->x, EXAMPLES, &plan, &difference));
  r->plan = plan, r->scratch = moon_alloc_aligned(moon_infer_scratch(plan, EXAMPLES) * sizeof(float));
  json_t *times = json_array();
  for (size_t i = 0; r->scratch && i < sizeof rows / sizeof *rows; i++) {
    r->batch = rows[i];
    json_array_append_new(times, json_pack("{s:I, s:f}", "rows", (json_int_t)rows[i], "microseconds",
                                           seconds_of(score, r, b->seconds) * 1e6));
  }
  json_array_append_new(into, json_pack("{s:s, s:I, s:f, s:f, s:o}", "precision", moon_precision_name(precision), "bytes",
                                        (json_int_t)moon_infer_bytes(plan), "max_difference", difference.most, "mean_difference",
                                        difference.mean, "times", times));
  bool has_memory = r->scratch != NULL;
  moon_free(r->scratch);
  moon_infer_free(plan);
  return has_memory ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory to score");
}

static moon_status measure_scoring(bench *b, ranker *r) {
  json_t *into = json_array();
  moon_infer *exact;
  json_object_set_new(b->result, "scoring", into);
  r->layers[LAYERS - 1]->activation = MOON_SIGMOID;
  MOON_TRY(moon_infer_new(r->layers, LAYERS, &exact));
  moon_status status = moon_ok();
  for (moon_precision p = MOON_FULL; p <= MOON_INT8 && !status.code; p++) status = measure_plan(b, r, exact, p, into);
  moon_infer_free(exact);
  return status;
}

static moon_status measure(bench *b, bool only_kernels) {
  ranker r = {.status = moon_ok()};
  moon_blas_init();
  measure_processor(b);
  if (only_kernels) return moon_ok();
  MOON_TRY(measure_products(b));
  moon_status status = ranker_make(b, &r);
  if (!status.code) status = measure_training(b, &r);
  if (!status.code) status = measure_scoring(b, &r);
  ranker_end(&r);
  return status;
}

/* ---- the result as text ---------------------------------------------------------------------------------------------------------- */

static double number(const json_t *object, const char *key) { return json_number_value(json_object_get(object, key)); }
static const char *text(const json_t *object, const char *key) { return json_string_value(json_object_get(object, key)); }

static void print_speed(const json_t *result, const json_t *line, const char *key) {
  double most = number(json_object_get(result, "processor"), "peak_gflops");
  printf("  %6.1f (%3.0f%%)", number(line, key), 100 * number(line, key) / most);
}

static void print_text(const json_t *result) {
  const json_t *processor = json_object_get(result, "processor"), *kernels = json_object_get(result, "kernels"), *each, *time;
  size_t i, j;
  printf("processor   %s, at most %.1f GFLOP/s on one core\n", text(processor, "features"), number(processor, "peak_gflops"));
  printf("kernels     f32 and bf16 by panels of %.0f columns; int8 by %s; OpenBLAS's %s (%s)\n", number(kernels, "panel_columns"),
         text(kernels, "int8"), text(kernels, "openblas"), text(kernels, "openblas_reason"));
  if (!json_object_get(result, "products")) return;
  printf("\nproducts, GFLOP/s (of the most)   packed before    packing too       OpenBLAS    taken\n");
  json_array_foreach(json_object_get(result, "products"), i, each) {
    printf("%5.0f x %4.0f x %4.0f            ", number(each, "rows"), number(each, "inner"), number(each, "columns"));
    print_speed(result, each, "packed_gflops");
    print_speed(result, each, "own_gflops");
    print_speed(result, each, "openblas_gflops");
    printf("    %s%s\n", text(each, "takes"), json_is_true(json_object_get(each, "right")) ? "" : " !");
  }
  printf("\ntraining, 64 -> 64 -> 32 -> 1, Adam\n");
  json_array_foreach(json_object_get(result, "training"), i, each) {
    printf("batch %5.0f  %10.0f steps/s  %12.0f examples/s\n", number(each, "batch"), number(each, "steps_per_second"),
           number(each, "steps_per_second") * number(each, "batch"));
  }
  printf("\nscoring with it, microseconds for 1 / 100 / 1000 / 5000 rows\n");
  json_array_foreach(json_object_get(result, "scoring"), i, each) {
    printf("%-4s ", text(each, "precision"));
    json_array_foreach(json_object_get(each, "times"), j, time) printf(" %9.2f", number(time, "microseconds"));
    printf("   %6.0f bytes; off by %.2g at most, %.2g on average\n", number(each, "bytes"), number(each, "max_difference"),
           number(each, "mean_difference"));
  }
}

static int run(int argc, char **argv) {
  size_t seconds = 10;
  bool json = false, only_kernels = false;
  const cli_option options[] = {
      {"seconds", CLI_COUNT, &seconds, "S", "about how long to measure (default 10; 0: each figure from a few calls)"},
      {"kernels", CLI_FLAG, &only_kernels, NULL, "only the processor and what was chosen for it"},
      {"json", CLI_FLAG, &json, NULL, "print the result as JSON"},
  };
  int code = cli_parse(&cli_bench, options, sizeof options / sizeof *options, argc, argv, NULL);
  if (code >= 0) return code;
  bench b = {.seconds = (double)seconds / MEASUREMENTS, .result = json_object()};
  moon_rng_seed(&b.rng, 1, 0);
  moon_status status = measure(&b, only_kernels);
  if (status.code) code = cli_fail(status);
  else if (json) code = cli_print_json(json_incref(b.result));
  else print_text(b.result), code = CLI_DONE;
  json_decref(b.result);
  return code;
}

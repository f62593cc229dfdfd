/* op_explore.c - places given by chance, so that one learns what else people like: epsilon and sample.
 *
 * Places are filled from the top. Each item gets its place with a probability that is known, given the items above it, and that is
 * written beside it (slate->propensity); their product is the probability of the whole order. Whoever weighs what was seen by one over
 * it learns without bias what another policy would have done. Later policies do not change what is written: let chance come last. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "page/op_explore.h"
#include "page/slate.h"

moon_status moon_draw_new(const moon_policy *policy, moon_slate *slate, size_t first, size_t among, moon_draw *out) {
  *out = (moon_draw){.pool = moon_least(among, slate->n)};
  out->k = moon_least(first, out->pool);
  out->rng = moon_slate_rng(slate);
  out->picked = moon_arena_calloc(slate->arena, slate->n + 1);
  out->chosen = moon_slate_memory(slate, (out->k + 1) * sizeof *out->chosen);
  return out->picked && out->chosen ? moon_ok() : moon_policy_no_memory(policy);
}

void moon_draw_take(moon_draw *draw, const moon_slate *slate, size_t item, double propensity) {
  slate->propensity[item] = (float)propensity;
  draw->picked[item] = 1;
  draw->chosen[draw->n++] = (uint32_t)item;
}

void moon_draw_end(const moon_draw *draw, const moon_policy *policy, moon_slate *slate) {
  for (size_t i = 0; i < slate->n; i++)
    if (!draw->picked[i]) slate->propensity[i] = NAN;
  for (size_t i = 0; i < draw->n; i++) slate->order[i] = draw->chosen[i];
  moon_policy_pick(policy, slate, draw->n, draw->picked);
}

/* ---- epsilon: the best of what is left, but once in 1 / epsilon times anything of it */

typedef struct epsilon_args {
  double epsilon;
  size_t first, among;
} epsilon_args;

/* The `nth` that is left. */
static size_t nth_left(const moon_draw *draw, size_t nth) {
  size_t i = 0;
  for (;; i++)
    if (!draw->picked[i] && nth-- == 0) return i;
}

static moon_status epsilon(const moon_policy *policy, moon_slate *slate) {
  const epsilon_args *args = policy->args;
  moon_draw draw;
  MOON_TRY(moon_draw_new(policy, slate, args->first, args->among, &draw));
  for (size_t at = 0; at < draw.k; at++) {
    size_t left = draw.pool - at, best = nth_left(&draw, 0);
    bool any = moon_rng_uniform(&draw.rng) < args->epsilon;
    size_t item = any ? nth_left(&draw, moon_rng_below(&draw.rng, (uint32_t)left)) : best;
    moon_draw_take(&draw, slate, item, args->epsilon / (double)left + (item == best ? 1 - args->epsilon : 0));
  }
  moon_draw_end(&draw, policy, slate);
  return moon_ok();
}

static const moon_field epsilon_fields[] = {
    {"epsilon", MOON_FIELD_NUMBER, offsetof(epsilon_args, epsilon), .high = 1, .fallback = 0.1},
    {"first", MOON_FIELD_COUNT, offsetof(epsilon_args, first), .low = 1, .high = 1000, .fallback = 10},
    {"among", MOON_FIELD_COUNT, offsetof(epsilon_args, among), .low = 1, .high = 10000, .fallback = 100},
    {NULL}};
const moon_operator moon_op_epsilon = {"epsilon", epsilon_fields, sizeof(epsilon_args), offsetof(epsilon_args, first),
                                       NULL,      epsilon};

/* ---- sample: Plackett & Luce's order, each place by softmax of the scores over what is left. All at once by noise of Gumbel's on the
 * scores, whose largest are the places (Yellott 1977). */

typedef struct sample_args {
  double temperature;
  size_t first, among;
} sample_args;
typedef struct ticket {
  double key, log_weight;
  size_t item;
} ticket;

static int by_key(const void *a, const void *b) {
  const ticket *p = a, *q = b;
  if (p->key != q->key) return p->key > q->key ? -1 : 1;
  return (p->item > q->item) - (p->item < q->item);
}

static double log_add(double a, double b) {
  double high = a > b ? a : b, low = a > b ? b : a;
  return isinf(low) ? high : high + log1p(exp(low - high));
}

static moon_status sample(const moon_policy *policy, moon_slate *slate) {
  const sample_args *args = policy->args;
  moon_draw draw;
  MOON_TRY(moon_draw_new(policy, slate, args->first, args->among, &draw));
  ticket *tickets = moon_slate_memory(slate, draw.pool * sizeof *tickets);
  double *left = moon_slate_memory(slate, draw.pool * sizeof *left), sum = -INFINITY;
  float *score = moon_slate_memory(slate, slate->n * sizeof *score);
  if (!tickets || !left || !score) return moon_policy_no_memory(policy);
  moon_slate_scaled(slate, score);
  for (size_t i = 0; i < draw.pool; i++) {
    double u = 1 - moon_rng_uniform(&draw.rng), weight = score[i] / args->temperature;
    tickets[i] = (ticket){weight - log(-log(u < 1 ? u : 1 - 0x1p-53)), weight, i};
  }
  qsort(tickets, draw.pool, sizeof *tickets, by_key);
  for (size_t i = draw.pool; i > 0; i--) left[i - 1] = sum = log_add(sum, tickets[i - 1].log_weight); /* of all from here on */
  for (size_t at = 0; at < draw.k; at++) moon_draw_take(&draw, slate, tickets[at].item, exp(tickets[at].log_weight - left[at]));
  moon_draw_end(&draw, policy, slate);
  return moon_ok();
}

static const moon_field sample_fields[] = {
    {"temperature", MOON_FIELD_NUMBER, offsetof(sample_args, temperature), .low = 0.001, .high = 1000, .fallback = 0.1},
    {"first", MOON_FIELD_COUNT, offsetof(sample_args, first), .low = 1, .high = 1000, .fallback = 10},
    {"among", MOON_FIELD_COUNT, offsetof(sample_args, among), .low = 1, .high = 10000, .fallback = 100},
    {NULL}};
const moon_operator moon_op_sample = {"sample", sample_fields, sizeof(sample_args), 0, NULL, sample};

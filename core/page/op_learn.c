/* op_learn.c - exploring by what is known and how well: thompson and linucb. */
#include <math.h>
#include <string.h>

#include "page/op_explore.h"
#include "page/slate.h"

/* ---- thompson: an item's rate of success is drawn from Beta(a + successes, b + failures), the largest draw wins the place, and for the next
 * place all is drawn anew. So the probability of each place has a closed form, the integral of f_i prod F_j over the items that are left;
 * it is worked out on a grid of log odds, on which a Beta density is smooth. (Thompson 1933; Chapelle & Li 2011) */

typedef struct thompson_args {
  const char *success, *trial;
  int64_t within;
  moon_numbers prior;
  double memory;
  size_t first, among;
  size_t counters[2]; /* of the plan */
} thompson_args;
enum { GRID = 256 };

typedef struct arms {
  double *a, *b;             /* [pool] */
  double *density, *log_cdf; /* [pool, GRID] */
} arms;

static moon_status check_thompson(void *memory, const moon_bundle *bundle) {
  thompson_args *args = memory;
  const char *kinds[] = {args->success, args->trial};
  if (args->prior.n && args->prior.n != 2)
    return moon_fail(MOON_EINVAL, "prior must be two numbers, successes and failures, and is %zu", args->prior.n);
  for (int i = 0; i < 2; i++) {
    args->counters[i] =
        bundle->feature_plan ? moon_plan_counts(bundle->feature_plan, MOON_COUNTS_ITEMS, kinds[i], args->within) : SIZE_MAX;
    if (args->counters[i] == SIZE_MAX)
      return moon_fail(
          MOON_EINVAL,
          "the bundle's recipe does not count '%.60s' by item in that time: add m.count(\"item\", \"%.60s\", WITHIN)", kinds[i],
          kinds[i]);
  }
  return moon_ok();
}

/* What is known of an item; of more than `memory` only as sure as after so much, for the world changes. */
static void learn(const thompson_args *args, const moon_slate *slate, size_t pool, arms *out) {
  double a0 = args->prior.n ? args->prior.at[0] : 1, b0 = args->prior.n ? args->prior.at[1] : 20;
  for (size_t i = 0; i < pool; i++) {
    double n[2] = {0, 0};
    for (int c = 0; c < 2 && slate->state; c++)
      n[c] = moon_state_count(slate->state, args->counters[c], MOON_NONE, slate->item[i],
                              slate->request ? slate->request->now : 0, args->within);
    double fails = n[1] > n[0] ? n[1] - n[0] : 0, scale = n[0] + fails > args->memory ? args->memory / (n[0] + fails) : 1;
    out->a[i] = a0 + scale * n[0];
    out->b[i] = b0 + scale * fails;
  }
}

/* log(1 / (1 + exp(-t))) */
static double log_sigmoid(double t) {
  return t > 0 ? -log1p(exp(-t)) : t - log1p(exp(t));
}

static void fill_grid(size_t pool, const arms *of) {
  double low = INFINITY, high = -INFINITY, up[GRID], down[GRID];
  for (size_t i = 0; i < pool; i++) {
    double middle = log(of->a[i] / of->b[i]), width = 8 * sqrt(1 / of->a[i] + 1 / of->b[i]);
    low = fmin(low, middle - width);
    high = fmax(high, middle + width);
  }
  for (size_t g = 0; g < GRID; g++) {
    double t = low + (high - low) * (double)g / (GRID - 1);
    up[g] = log_sigmoid(t), down[g] = log_sigmoid(-t);
  }
  for (size_t i = 0; i < pool; i++) {
    double *density = of->density + i * GRID, *log_cdf = of->log_cdf + i * GRID, most = -INFINITY, sum = 0, below = 0;
    for (size_t g = 0; g < GRID; g++) density[g] = of->a[i] * up[g] + of->b[i] * down[g], most = fmax(most, density[g]);
    for (size_t g = 0; g < GRID; g++) density[g] = exp(density[g] - most), sum += density[g];
    for (size_t g = 0; g < GRID; g++) {
      density[g] /= sum;
      log_cdf[g] = log(below + density[g] / 2 + 1e-300);
      below += density[g];
    }
  }
}

/* total: [GRID] sum of log_cdf of all that are left, the item among them. */
static double chance_of(const arms *of, size_t item, const double *total) {
  const double *density = of->density + item * GRID, *log_cdf = of->log_cdf + item * GRID;
  double p = 0;
  for (size_t g = 0; g < GRID; g++) p += density[g] * exp(total[g] - log_cdf[g]);
  return fmin(p, 1);
}

/* Marsaglia & Tsang 2000. */
static double gamma_draw(moon_rng *rng, double shape) {
  if (shape < 1) return gamma_draw(rng, shape + 1) * pow(1 - moon_rng_uniform(rng), 1 / shape);
  double d = shape - 1.0 / 3, c = 1 / sqrt(9 * d);
  for (;;) {
    double x = moon_rng_normal(rng), v = 1 + c * x;
    if (v <= 0) continue;
    v = v * v * v;
    if (log(1 - moon_rng_uniform(rng)) < 0.5 * x * x + d - d * v + d * log(v)) return d * v;
  }
}

static double beta_draw(moon_rng *rng, double a, double b) {
  double x = gamma_draw(rng, a), y = gamma_draw(rng, b);
  return x + y > 0 ? x / (x + y) : 0;
}

static size_t winner(moon_draw *draw, const arms *of) {
  size_t best = SIZE_MAX;
  double most = -1;
  for (size_t i = 0; i < draw->pool; i++) {
    double x = draw->picked[i] ? -1 : beta_draw(&draw->rng, of->a[i], of->b[i]);
    if (x > most) most = x, best = i;
  }
  return best;
}

static moon_status thompson(const moon_policy *policy, moon_slate *slate) {
  const thompson_args *args = policy->args;
  moon_draw draw;
  double total[GRID] = {0};
  MOON_TRY(moon_draw_new(policy, slate, args->first, args->among, &draw));
  double *room = moon_slate_memory(slate, draw.pool * (2 + 2 * GRID) * sizeof *room);
  if (!room) return moon_policy_no_memory(policy);
  arms of = {room, room + draw.pool, room + 2 * draw.pool, room + (2 + GRID) * draw.pool};
  learn(args, slate, draw.pool, &of);
  fill_grid(draw.pool, &of);
  for (size_t i = 0; i < draw.pool; i++)
    for (size_t g = 0; g < GRID; g++) total[g] += of.log_cdf[i * GRID + g];
  for (size_t at = 0; at < draw.k; at++) {
    size_t item = winner(&draw, &of);
    moon_draw_take(&draw, slate, item, chance_of(&of, item, total));
    for (size_t g = 0; g < GRID; g++) total[g] -= of.log_cdf[item * GRID + g];
  }
  moon_draw_end(&draw, policy, slate);
  return moon_ok();
}

static const moon_field thompson_fields[] = {
    {"success", MOON_FIELD_TEXT, offsetof(thompson_args, success), .required = true},
    {"trial", MOON_FIELD_TEXT, offsetof(thompson_args, trial), .required = true},
    {"within", MOON_FIELD_SPAN, offsetof(thompson_args, within)},
    {"prior", MOON_FIELD_NUMBERS, offsetof(thompson_args, prior), .low = 0.5, .high = 1e4},
    {"memory", MOON_FIELD_NUMBER, offsetof(thompson_args, memory), .low = 1, .high = 1e4, .fallback = 1000},
    {"first", MOON_FIELD_COUNT, offsetof(thompson_args, first), .low = 1, .high = 200, .fallback = 10},
    {"among", MOON_FIELD_COUNT, offsetof(thompson_args, among), .low = 1, .high = 200, .fallback = 50},
    {NULL}};
const moon_operator moon_op_thompson = {"thompson",     thompson_fields, sizeof(thompson_args), offsetof(thompson_args, first),
                                        check_thompson, thompson};

/* ---- linucb (Li, Chu, Langford & Schapire 2010): a linear model of the user's taste over the items' embeddings, learned from the last items
 * that they touched; an item is worth theta x + alpha sqrt(x A^-1 x), A = ridge I + sum x x^T. With few examples and many dimensions that is
 * worked out by the examples' products: k = X x, K = X X^T + ridge I: theta x = k K^-1 r, x A^-1 x = (x x - k K^-1 k) / ridge. */

typedef struct linucb_args {
  moon_texts success;
  double alpha, ridge;
  size_t last, first, among;
} linucb_args;

typedef struct examples {
  size_t n, dim;
  float *x;       /* [n, dim] unit vectors */
  double *factor; /* [n, n] Cholesky's, lower */
  double *reward; /* [n], and then factor^-1 reward */
} examples;

static bool unit_of(const moon_slate *slate, uint32_t item, size_t dim, float *out) {
  size_t size = 0;
  const float *row = moon_model_item_embedding(slate->bundle->model, slate->bundle->features, item, &size);
  float scale = row && size == dim ? moon_vector_scale(row, dim) : 0;
  for (size_t d = 0; d < dim; d++) out[d] = scale > 0 ? row[d] * scale : 0;
  return scale > 0;
}

/* The last items with an embedding, newest first; 1 for those with a success. */
static moon_status gather(const moon_slate *slate, const linucb_args *args, examples *out) {
  const moon_touch *touches;
  size_t n = slate->state ? moon_state_touches(slate->state, slate->request->user_row, &touches) : 0;
  uint32_t *codes = moon_slate_memory(slate, (args->success.n + args->last + 1) * sizeof *codes),
           *items = codes ? codes + args->success.n : NULL;
  if (!codes) return moon_fail(MOON_ENOMEM, "no memory for a policy");
  for (size_t k = 0; k < args->success.n; k++)
    MOON_TRY(moon_state_kind((moon_state *)slate->state, args->success.at[k], strlen(args->success.at[k]), false, &codes[k]));
  for (size_t i = n; i > 0; i--) {
    size_t at = 0;
    bool success = false;
    while (at < out->n && items[at] != touches[i - 1].item) at++;
    if (at == out->n && (at == args->last || !unit_of(slate, touches[i - 1].item, out->dim, out->x + at * out->dim))) continue;
    for (size_t k = 0; k < args->success.n; k++) success = success || codes[k] == touches[i - 1].kind;
    if (at == out->n) items[out->n++] = touches[i - 1].item, out->reward[at] = 0;
    if (success) out->reward[at] = 1;
  }
  return moon_ok();
}

/* z = factor^-1 z */
static void solve(const examples *of, double *z) {
  for (size_t i = 0; i < of->n; i++) {
    for (size_t j = 0; j < i; j++) z[i] -= of->factor[i * of->n + j] * z[j];
    z[i] /= of->factor[i * of->n + i];
  }
}

static void factorise(const examples *of, double ridge) {
  for (size_t i = 0; i < of->n; i++)
    for (size_t j = 0; j <= i; j++) {
      double sum = moon_dot(of->x + i * of->dim, of->x + j * of->dim, of->dim) + (i == j ? ridge : 0);
      for (size_t s = 0; s < j; s++) sum -= of->factor[i * of->n + s] * of->factor[j * of->n + s];
      of->factor[i * of->n + j] = i == j ? sqrt(sum > 1e-9 ? sum : 1e-9) : sum / of->factor[j * of->n + j];
    }
  solve(of, of->reward);
}

static double worth_of(const examples *of, const linucb_args *args, const float *x, double *z) {
  double mean = 0, left = moon_dot(x, x, of->dim);
  for (size_t i = 0; i < of->n; i++) z[i] = moon_dot(of->x + i * of->dim, x, of->dim);
  solve(of, z);
  for (size_t i = 0; i < of->n; i++) mean += z[i] * of->reward[i], left -= z[i] * z[i];
  return mean + args->alpha * sqrt((left > 0 ? left : 0) / args->ridge);
}

/* Nothing is left to chance here: each item has its place with probability 1. */
static moon_status linucb(const moon_policy *policy, moon_slate *slate) {
  const linucb_args *args = policy->args;
  const moon_bundle *bundle = slate->bundle;
  examples of = {0};
  moon_draw draw;
  if (!bundle->model || !slate->request || slate->request->user_row == MOON_NONE) return moon_ok();
  for (size_t i = 0; i < slate->n && !of.dim; i++)
    if (!moon_model_item_embedding(bundle->model, bundle->features, slate->item[i], &of.dim)) of.dim = 0;
  if (!of.dim) return moon_ok();
  MOON_TRY(moon_draw_new(policy, slate, args->first, args->among, &draw));
  of.x = moon_slate_memory(slate, (args->last + 1) * of.dim * sizeof *of.x);
  double *room = moon_slate_memory(slate, (args->last * (args->last + 2) + draw.pool) * sizeof *room);
  if (!of.x || !room) return moon_policy_no_memory(policy);
  of.reward = room, of.factor = room + 2 * args->last;
  double *z = room + args->last, *worth = of.factor + args->last * args->last;
  MOON_TRY(gather(slate, args, &of));
  factorise(&of, args->ridge);
  float *x = of.x + args->last * of.dim;
  for (size_t i = 0; i < draw.pool; i++)
    worth[i] = unit_of(slate, slate->item[i], of.dim, x) ? worth_of(&of, args, x, z) : -INFINITY;
  for (size_t at = 0; at < draw.k; at++) {
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < draw.pool; i++)
      if (!draw.picked[i] && (best == SIZE_MAX || worth[i] > worth[best])) best = i;
    moon_draw_take(&draw, slate, best, 1);
  }
  moon_draw_end(&draw, policy, slate);
  return moon_ok();
}

static const moon_field linucb_fields[] = {
    {"success", MOON_FIELD_KINDS, offsetof(linucb_args, success), .required = true},
    {"alpha", MOON_FIELD_NUMBER, offsetof(linucb_args, alpha), .high = 100, .fallback = 0.5},
    {"ridge", MOON_FIELD_NUMBER, offsetof(linucb_args, ridge), .low = 0.001, .high = 1000, .fallback = 1},
    {"last", MOON_FIELD_COUNT, offsetof(linucb_args, last), .low = 1, .high = 200, .fallback = 50},
    {"first", MOON_FIELD_COUNT, offsetof(linucb_args, first), .low = 1, .high = 1000, .fallback = 10},
    {"among", MOON_FIELD_COUNT, offsetof(linucb_args, among), .low = 1, .high = 1000, .fallback = 100},
    {NULL}};
const moon_operator moon_op_linucb = {"linucb", linucb_fields, sizeof(linucb_args), offsetof(linucb_args, among), NULL, linucb};

/* mmr.c - two ways to a varied beginning: maximal marginal relevance and a determinantal point process.
 *
 * MMR (Carbonell & Goldstein 1998): the best next item is good and unlike those before it. For every item the largest similarity to a
 * picked one is kept, so that a pick costs one look at each item at most: O(k n). Most picks look at few: see best_of.
 *
 * DPP: of all sets of k the one whose kernel L = diag(q) S diag(q) has the largest determinant, greedily, by the Cholesky factor that grows
 * by a row a pick (Chen, Zhang & Zhou 2018): O(k^2 n). As det L = prod q^2 det S, the factor is that of S alone, and quality enters the
 * choice as a weight; so no quality, however large, costs precision. */
#include <math.h>
#include <string.h>

#include "page/op.h"
#include "page/slate.h"
#include "tensor/tensor.h"

static moon_status no_memory(size_t n) {
  return moon_fail(MOON_ENOMEM, "no memory to diversify a slate of %zu items", n);
}

/* The first `k` of slate->order are picked. */
static moon_status finish(const moon_policy *policy, moon_slate *slate, size_t k) {
  uint8_t *picked = moon_arena_calloc(slate->arena, slate->n + 1);
  if (!picked) return no_memory(slate->n);
  for (size_t i = 0; i < k; i++) picked[slate->order[i]] = 1;
  moon_policy_pick(policy, slate, k, picked);
  return moon_ok();
}

/* ---- mmr */

enum { BLOCK = MOON_LIKE_BLOCK };

typedef struct choice {
  const moon_likeness *like;
  float penalty;
  float *weight;   /* [padded] -infinity: picked, or none */
  float *nearest;  /* [padded] the largest similarity to the first `seen` picks */
  float *worth;    /* [padded] by that */
  float *queries;  /* [k, dim] of the picks */
  uint32_t *picks; /* [k] */
  float *bound;    /* [blocks] the largest worth of a block */
  size_t *seen;    /* [blocks] */
} choice;

static void weigh(const choice *c, size_t block) {
  const float *weight = c->weight + block * BLOCK, *nearest = c->nearest + block * BLOCK;
  float *worth = c->worth + block * BLOCK, most = -INFINITY;
  for (size_t i = 0; i < BLOCK; i++) worth[i] = weight[i] - c->penalty * nearest[i];
  for (size_t i = 0; i < BLOCK; i++) most = worth[i] > most ? worth[i] : most;
  c->bound[block] = most;
}

/* Brings a block up to all n picks. */
static void catch_up(const choice *c, size_t block, size_t n) {
  float similarity[BLOCK], *nearest = c->nearest + block * BLOCK;
  for (; c->seen[block] < n; c->seen[block]++) {
    size_t pick = c->seen[block];
    moon_likeness_block(c->like, block, c->picks[pick], c->queries + pick * c->like->dim, similarity);
    for (size_t i = 0; i < BLOCK; i++) nearest[i] = !pick || similarity[i] > nearest[i] ? similarity[i] : nearest[i];
  }
  weigh(c, block);
}

/* With each pick an item's worth can only fall (but after the first, which all blocks catch up with): a block whose best was not good enough
 * before is not looked at, until there is nothing better left. */
static uint32_t best_of(const choice *c, size_t n) {
  size_t best = SIZE_MAX;
  float most = -INFINITY;
  for (size_t b = 0; b < c->like->padded / BLOCK; b++) {
    if (best != SIZE_MAX && n != 1 && !(c->bound[b] > most)) continue;
    if (c->seen[b] < n) catch_up(c, b, n);
    if (best != SIZE_MAX && !(c->bound[b] > most)) continue;
    most = c->bound[b], best = b * BLOCK;
    while (best % BLOCK < BLOCK - 1 && !(c->worth[best] == most)) best++;
  }
  return (uint32_t)best;
}

static void pick(const choice *c, size_t k) {
  for (size_t b = 0; b < c->like->padded / BLOCK; b++) weigh(c, b);
  for (size_t n = 0; n < k; n++) {
    uint32_t best = c->picks[n] = best_of(c, n);
    moon_likeness_query(c->like, best, c->queries + n * c->like->dim);
    c->weight[best] = -INFINITY; /* never again */
    weigh(c, best / BLOCK);
  }
}

static moon_status mmr(const moon_policy *policy, moon_slate *slate) {
  const moon_mmr_args *args = policy->args;
  float lambda = (float)args->lambda;
  size_t k = moon_least(args->k, slate->n);
  moon_likeness like;
  MOON_TRY(moon_likeness_new(slate, args->by, &like));
  if (!k) return moon_ok();
  size_t padded = like.padded, blocks = padded / BLOCK;
  float *room = moon_arena_alloc_aligned(slate->arena, (3 * padded + blocks + k * like.dim) * sizeof *room);
  choice c = {.like = &like,
              .penalty = 1 - lambda,
              .weight = room,
              .picks = slate->order,
              .seen = moon_arena_calloc(slate->arena, blocks * sizeof *c.seen)};
  if (!room || !c.seen) return no_memory(slate->n);
  c.nearest = room + padded, c.worth = room + 2 * padded, c.bound = room + 3 * padded, c.queries = c.bound + blocks;
  moon_slate_scaled(slate, c.weight);
  for (size_t i = 0; i < padded; i++) c.weight[i] = i < slate->n ? lambda * c.weight[i] : -INFINITY, c.nearest[i] = 0;
  pick(&c, k);
  return finish(policy, slate, k);
}

moon_status moon_slate_mmr(moon_slate *slate, float lambda, const char *by, size_t k, const char *label) {
  if (!(lambda >= 0 && lambda <= 1)) return moon_fail(MOON_EINVAL, "mmr: lambda must be from 0 to 1, not %g", lambda);
  const moon_mmr_args args = {lambda, by, k};
  const moon_policy policy = {.op = &moon_op_mmr, .label = label, .args = &args};
  return mmr(&policy, slate);
}

static const moon_field mmr_fields[] = {
    {"lambda", MOON_FIELD_NUMBER, offsetof(moon_mmr_args, lambda), .high = 1, .fallback = 0.7},
    {"by", MOON_FIELD_LIKENESS, offsetof(moon_mmr_args, by), .text = "embedding"},
    {"k", MOON_FIELD_COUNT, offsetof(moon_mmr_args, k), .low = 1, .high = 100000, .fallback = 50},
    {NULL}};
const moon_operator moon_op_mmr = {"mmr", mmr_fields, sizeof(moon_mmr_args), offsetof(moon_mmr_args, k), NULL, mmr};

/* ---- dpp */

/* The part of an item's likeness to itself that no other item shares: S = 0.99 cosine + 0.01 I is never singular. */
static const float OWN = 0.01f;

typedef struct process { /* the greedy choice so far */
  size_t n;
  float *rows;    /* [k, n] of the Cholesky factor, a column an item */
  float *left;    /* [n] what an item adds to the determinant; below 0: picked */
  double *weight; /* [n] q^2 */
} process;

/* The row of the item picked as number t. similarity [n], to it. */
MOON_CLONES static void add_row(const process *p, size_t t, size_t picked, float *similarity) {
  size_t n = p->n;
  float *row = p->rows + t * n, scale = 1 / sqrtf(p->left[picked]);
  for (size_t i = 0; i < n; i++) row[i] = (1 - OWN) * similarity[i];
  row[picked] = 1; /* whatever it is like: an item without a vector too is like itself */
  for (size_t s = 0; s < t; s++) {
    const float *earlier = p->rows + s * n;
    float x = earlier[picked];
    for (size_t i = 0; i < n; i++) row[i] -= x * earlier[i];
  }
  for (size_t i = 0; i < n; i++) row[i] *= scale;
  for (size_t i = 0; i < n; i++) p->left[i] -= row[i] * row[i];
}

static size_t most_of(const process *p) {
  size_t best = 0;
  double most = -INFINITY;
  for (size_t i = 0; i < p->n; i++) {
    double worth = p->weight[i] * (p->left[i] > 1e-6f ? p->left[i] : 1e-6f);
    if (p->weight[i] > 0 && worth > most) most = worth, best = i;
  }
  return best;
}

static moon_status dpp(const moon_policy *policy, moon_slate *slate) {
  const moon_mmr_args *args = policy->args;
  moon_likeness like;
  MOON_TRY(moon_likeness_new(slate, args->by, &like));
  size_t n = slate->n, k = moon_least(args->k, n);
  process p = {
      .n = n, .rows = moon_slate_memory(slate, k * n * sizeof *p.rows), .weight = moon_slate_memory(slate, n * sizeof *p.weight)};
  float *similarity = moon_arena_alloc_aligned(slate->arena, (like.padded + n + like.dim + 1) * sizeof *similarity);
  if (!p.rows || !p.weight || !similarity) return no_memory(n);
  p.left = similarity + like.padded;
  moon_slate_scaled(slate, p.left);
  for (size_t i = 0; i < n; i++) p.weight[i] = exp(args->lambda / (1 - args->lambda) * p.left[i]), p.left[i] = 1;
  for (size_t t = 0; t < k; t++) {
    size_t best = most_of(&p);
    slate->order[t] = (uint32_t)best;
    moon_likeness_query(&like, best, p.left + n);
    for (size_t b = 0; b < like.padded / BLOCK; b++) moon_likeness_block(&like, b, best, p.left + n, similarity + b * BLOCK);
    add_row(&p, t, best, similarity);
    p.weight[best] = 0; /* never again */
  }
  return finish(policy, slate, k);
}

static const moon_field dpp_fields[] = {
    {"lambda", MOON_FIELD_NUMBER, offsetof(moon_mmr_args, lambda), .high = 0.99, .fallback = 0.7},
    {"by", MOON_FIELD_LIKENESS, offsetof(moon_mmr_args, by), .text = "embedding"},
    {"k", MOON_FIELD_COUNT, offsetof(moon_mmr_args, k), .low = 1, .high = 500, .fallback = 50},
    {NULL}};
const moon_operator moon_op_dpp = {"dpp", dpp_fields, sizeof(moon_mmr_args), offsetof(moon_mmr_args, k), NULL, dpp};

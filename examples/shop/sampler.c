/* sampler.c - Walker's alias method (Walker 1977, built as Vose 1991): any discrete distribution becomes n equal cells, each
 * shared by at most two outcomes, so that a draw costs two random numbers however many outcomes there are. */
#include "shop.h"

/* Cells with less than an equal share are filled up from cells with more, until every cell is full. */
static void fill(shop_sampler *sampler, double *share, uint32_t *small, uint32_t *large) {
  uint32_t smalls = 0, larges = 0;
  for (uint32_t i = 0; i < sampler->n; i++) {
    if (share[i] < 1)
      small[smalls++] = i;
    else
      large[larges++] = i;
  }
  while (smalls && larges) {
    uint32_t poor = small[--smalls], rich = large[larges - 1];
    sampler->keep[poor] = (float)share[poor];
    sampler->alias[poor] = rich;
    share[rich] -= 1 - share[poor];
    if (share[rich] < 1) larges--, small[smalls++] = rich;
  }
  while (larges) sampler->keep[large[--larges]] = 1;
  while (smalls) sampler->keep[small[--smalls]] = 1; /* rounding left them a hair below 1 */
}

moon_status shop_sampler_new(shop_sampler *sampler, const double *weight, uint32_t n) {
  *sampler =
      (shop_sampler){.n = n, .alias = moon_calloc(n, sizeof *sampler->alias), .keep = moon_calloc(n, sizeof *sampler->keep)};
  double *share = moon_calloc(n, sizeof *share);
  uint32_t *small = moon_calloc(n, sizeof *small), *large = moon_calloc(n, sizeof *large);
  bool ok = sampler->alias && sampler->keep && share && small && large;
  if (ok) {
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) sum += weight[i];
    for (uint32_t i = 0; i < n; i++) share[i] = weight[i] * n / sum;
    fill(sampler, share, small, large);
  }
  moon_free(share);
  moon_free(small);
  moon_free(large);
  return ok ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory for a table of %u weights", n);
}

void shop_sampler_free(shop_sampler *sampler) {
  moon_free(sampler->alias);
  moon_free(sampler->keep);
  *sampler = (shop_sampler){0};
}

uint32_t shop_sampler_draw(const shop_sampler *sampler, moon_rng *rng) {
  uint32_t cell = moon_rng_below(rng, sampler->n);
  return moon_rng_uniform(rng) < sampler->keep[cell] ? cell : sampler->alias[cell];
}

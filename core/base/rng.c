/* rng.c - Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011): a counter run through ten rounds of multiply and xor. A (seed,
 * stream) pair names the same numbers on every machine. */
#include <math.h>

#include "base/base.h"

void moon_rng_seed(moon_rng *rng, uint64_t seed, uint64_t stream) {
  *rng = (moon_rng){.key = {(uint32_t)seed, (uint32_t)(seed >> 32)},
                    .counter = {0, 0, (uint32_t)stream, (uint32_t)(stream >> 32)}};
}

static void refill(moon_rng *rng) {
  uint32_t c0 = rng->counter[0], c1 = rng->counter[1], c2 = rng->counter[2], c3 = rng->counter[3];
  uint32_t k0 = rng->key[0], k1 = rng->key[1];
  for (int round = 0; round < 10; round++) {
    uint64_t a = (uint64_t)0xD2511F53u * c0, b = (uint64_t)0xCD9E8D57u * c2;
    c0 = (uint32_t)(b >> 32) ^ c1 ^ k0, c2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
    c1 = (uint32_t)b, c3 = (uint32_t)a;
    k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
  }
  rng->out[0] = c0, rng->out[1] = c1, rng->out[2] = c2, rng->out[3] = c3;
  rng->left = 4;
  if (++rng->counter[0] == 0) rng->counter[1]++;
}

uint32_t moon_rng_u32(moon_rng *rng) {
  if (!rng->left) refill(rng);
  return rng->out[4 - rng->left--];
}

uint64_t moon_rng_u64(moon_rng *rng) {
  uint64_t high = moon_rng_u32(rng);
  return high << 32 | moon_rng_u32(rng);
}

double moon_rng_uniform(moon_rng *rng) { return (double)(moon_rng_u64(rng) >> 11) * 0x1p-53; }

/* Lemire 2019: multiply-shift with rejection of the biased low part. */
uint32_t moon_rng_below(moon_rng *rng, uint32_t bound) {
  if (bound < 2) return 0;
  uint64_t product = (uint64_t)moon_rng_u32(rng) * bound;
  if ((uint32_t)product < bound) {
    uint32_t threshold = -bound % bound;
    while ((uint32_t)product < threshold) product = (uint64_t)moon_rng_u32(rng) * bound;
  }
  return (uint32_t)(product >> 32);
}

double moon_rng_normal(moon_rng *rng) {
  double u = 1.0 - moon_rng_uniform(rng), v = moon_rng_uniform(rng); /* u in (0, 1]: its logarithm is finite */
  return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}

void moon_rng_shuffle(moon_rng *rng, uint32_t *items, size_t n) {
  for (size_t i = n; i > 1; i--) {
    size_t j = moon_rng_below(rng, (uint32_t)i);
    uint32_t held = items[i - 1];
    items[i - 1] = items[j];
    items[j] = held;
  }
}

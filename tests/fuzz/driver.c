/* driver.c - runs a fuzz target without a fuzzer: seeds and what a fixed random sequence makes of them, for a few seconds at
 * most.
 *
 * A target is one file with LLVMFuzzerTestOneInput and moon_fuzz_seed. Under clang -fsanitize=fuzzer it needs no driver; here
 * ctest runs it so that every build, and above all the one with sanitizers, sees some thousands of broken inputs. The runs are
 * the same each time; only how many of them there is time for differs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"

enum { RUNS = 200000, SECONDS = 3, LONGEST = 1 << 16 };

static size_t flip(moon_rng *rng, uint8_t *data, size_t n) {
  if (n) data[moon_rng_below(rng, (uint32_t)n)] ^= (uint8_t)(1u << moon_rng_below(rng, 8));
  return n;
}

static size_t overwrite(moon_rng *rng, uint8_t *data, size_t n) {
  static const char special[] = "\0\xff\x7f\x80\"\n\r,\t:.-+eE0919";
  if (n) data[moon_rng_below(rng, (uint32_t)n)] = (uint8_t)special[moon_rng_below(rng, sizeof special - 1)];
  return n;
}

static size_t cut_out(moon_rng *rng, uint8_t *data, size_t n) {
  if (!n) return 0;
  size_t at = moon_rng_below(rng, (uint32_t)n), most = n - at, much = 1 + moon_rng_below(rng, (uint32_t)(most < 16 ? most : 16));
  if (moon_rng_below(rng, 8) == 0) return at; /* all the rest */
  memmove(data + at, data + at + much, most - much);
  return n - much;
}

static size_t repeat(moon_rng *rng, uint8_t *data, size_t n) {
  if (!n) return 0;
  size_t from = moon_rng_below(rng, (uint32_t)n), most = n - from,
         much = 1 + moon_rng_below(rng, (uint32_t)(most < 64 ? most : 64));
  if (n + much > LONGEST) return n;
  size_t at = moon_rng_below(rng, (uint32_t)n + 1);
  uint8_t piece[64];
  memcpy(piece, data + from, much);
  memmove(data + at + much, data + at, n - at);
  memcpy(data + at, piece, much);
  return n + much;
}

static size_t mutate(moon_rng *rng, uint8_t *data, size_t n) {
  static size_t (*const ways[])(moon_rng *, uint8_t *, size_t) = {flip, overwrite, cut_out, repeat};
  for (unsigned changes = 1 + moon_rng_below(rng, 6); changes; changes--) n = ways[moon_rng_below(rng, 4)](rng, data, n);
  return n;
}

/* In memory of just its size, so that a sanitizer sees a read too far. */
static void run(const uint8_t *data, size_t n) {
  uint8_t *exact = malloc(n ? n : 1);
  if (!exact) abort();
  memcpy(exact, data, n);
  LLVMFuzzerTestOneInput(exact, n);
  free(exact);
}

int main(void) {
  static uint8_t data[LONGEST];
  moon_rng rng;
  moon_rng_seed(&rng, 2026, 0);
  int64_t start = moon_monotonic();
  size_t runs = 0, seeds = 0, n = 0;
  while (moon_fuzz_seed(seeds, data, sizeof data)) seeds++;
  for (; runs < RUNS && moon_monotonic() - start < SECONDS * MOON_SECOND; runs++) {
    if (runs < seeds || moon_rng_below(&rng, 8) == 0)
      n = moon_fuzz_seed(runs < seeds ? runs : moon_rng_below(&rng, (uint32_t)seeds), data, sizeof data);
    if (runs >= seeds) n = mutate(&rng, data, n); /* most runs change what the last one had */
    run(data, n);
  }
  printf("%zu inputs from %zu seeds\n", runs, seeds);
  return seeds == 0;
}

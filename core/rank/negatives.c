/* negatives.c - training examples of what was not even looked at.
 *
 * A log of looks tells a model which looks ended well; it never shows the thousands of things that nobody would have opened. A model that
 * is to find items in the whole catalogue has to have seen some: for each positive training example, a few items drawn evenly from the
 * catalogue, at the same moment and for the same user, count as failures. The parts that validate and test stay as they were observed. */
#include "rank/dataset.h"

/* Room for the examples and `more` rows beside; filled in order of the log, so that the replay meets them as it goes. */
static moon_status examples_room(size_t n, moon_examples *out) {
  *out = (moon_examples){.event = moon_alloc(n * sizeof *out->event), .label = moon_alloc(n * sizeof *out->label), .item = moon_alloc(n * sizeof *out->item)};
  if (out->event && out->label && out->item) return moon_ok();
  moon_examples_free(out);
  return moon_fail(MOON_ENOMEM, "no memory for %zu examples", n);
}

static void put(moon_examples *out, uint8_t *part, uint32_t event, uint32_t item, float label, uint8_t of) {
  out->event[out->n] = event;
  out->item[out->n] = item;
  out->label[out->n] = label;
  part[out->n++] = of;
}

moon_status moon_add_negatives(moon_dataset *d, size_t each, uint64_t seed) {
  size_t rows = moon_catalogue_rows(d->catalogue), items = d->catalogue->listed < rows ? d->catalogue->listed : rows, positives = 0;
  for (size_t i = 0; i < d->examples.n; i++) positives += d->part[i] == MOON_TRAIN && d->examples.label[i] > 0;
  if (!each || items < 2) return moon_ok();
  if (positives > (UINT32_MAX - d->examples.n) / each) return moon_fail(MOON_ELIMIT, "%zu negatives for each of %zu positives are too many", each, positives);
  size_t n = d->examples.n + positives * each;
  moon_examples more;
  MOON_TRY(examples_room(n, &more));
  uint8_t *part = moon_alloc(n);
  if (!part) {
    moon_examples_free(&more);
    return moon_fail(MOON_ENOMEM, "no memory for %zu examples", n);
  }
  moon_rng rng;
  moon_rng_seed(&rng, seed, 0x6e65676174697665); /* "negative" */
  for (size_t i = 0; i < d->examples.n; i++) {
    uint32_t event = d->examples.event[i], item = d->log->events[event].item;
    put(&more, part, event, item, d->examples.label[i], d->part[i]);
    if (d->part[i] != MOON_TRAIN || d->examples.label[i] == 0) continue;
    for (size_t k = 0; k < each; k++) {
      uint32_t other = moon_rng_below(&rng, (uint32_t)items - (item < items)); /* any but the one that was chosen */
      put(&more, part, event, other + (item < items && other >= item), 0, MOON_TRAIN);
    }
  }
  moon_examples_free(&d->examples);
  moon_free(d->part);
  d->examples = more;
  d->part = part;
  d->part_n[MOON_TRAIN] += positives * each;
  d->negatives = positives * each;
  return moon_ok();
}

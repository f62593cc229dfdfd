/* negatives.c - training examples of what was not even looked at.
 *
 * A log of looks tells a model which looks ended well; it never shows the thousands of things that nobody would have opened. A model
 * that is to find items in the whole catalogue has to have seen some: for each positive training example, a few items drawn from the
 * catalogue, evenly or by popularity, or from the other successes around it, at the same moment and for the same user, count as
 * failures. The parts that validate and test stay as they were observed; only a loss that compares successes with failures needs some
 * beside those that validate, too. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "rank/dataset.h"

/* Room for the examples and `more` rows beside; filled in order of the log, so that the replay meets them as it goes. */
static moon_status examples_room(size_t n, size_t tasks, moon_examples *out) {
  *out = (moon_examples){.event = moon_alloc(n * sizeof *out->event),
                         .label = moon_alloc(tasks * n * sizeof *out->label),
                         .item = moon_alloc(n * sizeof *out->item),
                         .tasks = tasks};
  if (out->event && out->label && out->item) return moon_ok();
  moon_examples_free(out);
  return moon_fail(MOON_ENOMEM, "no memory for %zu examples", n);
}

/* The example `from` of those in `like`, or the same moment with an item that was drawn, which fails at every task. room: of `out`. */
static void put(moon_examples *out, size_t room, uint8_t *part, uint32_t item, const moon_examples *like, size_t from, bool drawn, uint8_t of) {
  out->event[out->n] = like->event[from];
  out->item[out->n] = item;
  for (size_t t = 0; t < out->tasks; t++) out->label[t * room + out->n] = drawn ? 0 : like->label[t * like->n + from];
  part[out->n++] = of;
}

/* ---- which items ------------------------------------------------------------------------------------------------------ */

/* Draws any listed item but the one that was chosen. */
typedef struct lottery {
  moon_rng rng;
  size_t items;
  double *upto; /* [items + 1] weights summed; NULL: all weigh the same */
  uint32_t *batch; /* [batch_n] items of the successes around, sorted; room for `most`; NULL: any item may be drawn */
  size_t batch_n, most;
  uint64_t *seen; /* [seen_n] user and item of the successes to train on, sorted, none of which is drawn for its user; NULL: any is */
  size_t seen_n;
} lottery;

static uint32_t draw_evenly(lottery *l, uint32_t own) {
  uint32_t items = (uint32_t)l->items, other = moon_rng_below(&l->rng, items - (own < items));
  return other + (own < items && other >= own);
}

static size_t count_below(const uint32_t *sorted, size_t n, uint32_t item) {
  size_t low = 0;
  while (low < n) {
    size_t middle = low + (n - low) / 2;
    if (sorted[middle] < item)
      low = middle + 1;
    else
      n = middle;
  }
  return low;
}

/* One of the other successes; where all are of the own item, any item. */
static uint32_t draw_from_batch(lottery *l, uint32_t own) {
  size_t from = count_below(l->batch, l->batch_n, own), until = count_below(l->batch, l->batch_n, own + 1), n = l->batch_n - (until - from);
  if (!n) return draw_evenly(l, own);
  size_t at = moon_rng_below(&l->rng, (uint32_t)n);
  return l->batch[at < from ? at : at + until - from];
}

/* The weight of the own item is cut out of the range, and the draw moves past the gap. */
static uint32_t draw_any(lottery *l, uint32_t own) {
  if (l->batch) return draw_from_batch(l, own);
  if (!l->upto) return draw_evenly(l, own);
  double before = own < l->items ? l->upto[own] : 0, gap = own < l->items ? l->upto[own + 1] - before : 0,
         all = l->upto[l->items] - gap;
  if (!(all > 0)) return draw_evenly(l, own);
  double at = moon_rng_uniform(&l->rng) * all;
  if (gap > 0 && at >= before) at += gap;
  size_t low = 0, high = l->items; /* the last item that begins at or before `at` and weighs something */
  while (high - low > 1) {
    size_t middle = low + (high - low) / 2;
    if (l->upto[middle] <= at)
      low = middle;
    else
      high = middle;
  }
  bool fine = l->upto[low + 1] > l->upto[low] && low != own; /* not where rounding put `at` on an edge */
  return fine ? (uint32_t)low : draw_evenly(l, own);
}

static int by_key(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

static uint64_t key_of(uint32_t user, uint32_t item) { return (uint64_t)user << 32 | item; }

/* Again and again while it is what the user chose elsewhere; somebody may have chosen everything. */
static uint32_t draw(lottery *l, uint32_t user, uint32_t own) {
  enum { TRIES = 100 };
  uint32_t item = draw_any(l, own);
  for (int i = 0; i < TRIES && l->seen; i++, item = draw_any(l, own)) {
    uint64_t key = key_of(user, item);
    if (!bsearch(&key, l->seen, l->seen_n, sizeof key, by_key)) break;
  }
  return item;
}

static moon_status list_seen(const moon_dataset *d, size_t positives, lottery *l) {
  l->seen = moon_alloc(positives * sizeof *l->seen);
  if (!l->seen) return moon_fail(MOON_ENOMEM, "no memory to list %zu successes", positives);
  for (size_t i = 0; i < d->examples.n; i++) {
    const moon_event *event = &d->log->events[d->examples.event[i]];
    if (d->part[i] == MOON_TRAIN && d->examples.label[i] != 0) l->seen[l->seen_n++] = key_of(event->user, event->item);
  }
  qsort(l->seen, l->seen_n, sizeof *l->seen, by_key);
  return moon_ok();
}

/* Mikolov et al. 2013: by count ^ power, the counts being those of the training part. */
static moon_status weigh(const moon_dataset *d, const json_t *power, lottery *l) {
  if (!json_is_number(power) || !(json_number_value(power) >= 0))
    return moon_fail(MOON_EINVAL, "the power of popularity must be a number, 0 or more");
  l->upto = moon_calloc(l->items + 1, sizeof *l->upto);
  if (!l->upto) return moon_fail(MOON_ENOMEM, "no memory to weigh %zu items", l->items);
  for (size_t i = 0; i < d->examples.n; i++) {
    uint32_t item = d->log->events[d->examples.event[i]].item;
    if (d->part[i] == MOON_TRAIN && item < l->items) l->upto[item + 1]++;
  }
  for (size_t i = 1; i <= l->items; i++)
    l->upto[i] = l->upto[i - 1] + (l->upto[i] > 0 ? pow(l->upto[i], json_number_value(power)) : 0);
  return moon_ok();
}

/* Yi et al. 2019: what others chose at about the time is drawn as often as it is chosen, so that a model learns whom an item is for
 * rather than which items sell, and it costs no table of counts. A batch is as many successes as a batch of training has examples. */
static moon_status make_batch(const json_t *train, lottery *l) {
  json_int_t size = json_integer_value(json_object_get(train, "batch"));
  if (size < 2 || size > INT32_MAX)
    return moon_fail(MOON_EINVAL, "negatives by batch need a training batch of 2 or more, not %lld", (long long)size);
  l->most = (size_t)size;
  l->batch = moon_alloc(l->most * sizeof *l->batch);
  return l->batch ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory for a batch of %zu items", l->most);
}

static moon_status prepare(const moon_dataset *d, const json_t *sampling, const json_t *train, lottery *l) {
  const char *by = json_string_value(json_object_get(sampling, "by"));
  if (!sampling || (by && !strcmp(by, "uniform"))) return moon_ok();
  if (by && !strcmp(by, "popularity")) return weigh(d, json_object_get(sampling, "power"), l);
  if (by && !strcmp(by, "batch")) return make_batch(train, l);
  return moon_fail(MOON_EINVAL, "negatives are drawn by uniform, popularity or batch, not by '%s'", by ? by : "?");
}

/* Of the training part, and with a loss that compares of what is validated on; but not of what is judged, which stays as observed. */
static bool wants_negatives(const moon_dataset *d, moon_loss loss, size_t i) {
  bool part = d->part[i] == MOON_TRAIN || (moon_loss_compares(loss) && d->part[i] == MOON_VALIDATION && d->judged == MOON_TEST);
  return part && d->examples.label[i] != 0;
}

/* How likely each item is to be drawn, for a loss that makes up for it. Of a batch: as often as it is chosen; one that never was is as one that
 * was once. What "unseen" leaves out for one user is left out of this. */
static moon_status note_drawn(moon_dataset *d, const lottery *l) {
  double sum = 0;
  d->drawn = moon_calloc(moon_catalogue_rows(d->catalogue), sizeof *d->drawn);
  if (!d->drawn) return moon_fail(MOON_ENOMEM, "no memory to weigh %zu items", l->items);
  for (size_t i = 0; i < d->examples.n && l->batch; i++) {
    uint32_t item = d->log->events[d->examples.event[i]].item;
    if (item < l->items && wants_negatives(d, MOON_LOSS_BCE, i)) d->drawn[item]++;
  }
  for (size_t i = 0; i < l->items; i++) {
    double weight = l->batch ? d->drawn[i] : l->upto ? l->upto[i + 1] - l->upto[i] : 1;
    sum += d->drawn[i] = weight > 0 ? weight : 1;
  }
  for (size_t i = 0; i < l->items; i++) d->drawn[i] /= sum;
  return moon_ok();
}

/* ---- the examples ----------------------------------------------------------------------------------------------------- */

static int by_item(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

/* The items of the successes from example `from` on. */
static void fill_batch(const moon_dataset *d, size_t from, lottery *l) {
  l->batch_n = 0;
  for (size_t i = from; i < d->examples.n && l->batch_n < l->most; i++)
    if (wants_negatives(d, MOON_LOSS_BCE, i)) l->batch[l->batch_n++] = d->log->events[d->examples.event[i]].item;
  qsort(l->batch, l->batch_n, sizeof *l->batch, by_item);
}

static moon_status add(moon_dataset *d, moon_loss loss, size_t each, size_t n, lottery *l) {
  moon_examples more;
  MOON_TRY(examples_room(n, d->examples.tasks, &more));
  uint8_t *part = moon_alloc(n);
  if (!part) {
    moon_examples_free(&more);
    return moon_fail(MOON_ENOMEM, "no memory for %zu examples", n);
  }
  for (size_t i = 0, seen = 0; i < d->examples.n; i++) {
    uint32_t event = d->examples.event[i], item = d->log->events[event].item;
    put(&more, n, part, item, &d->examples, i, false, d->part[i]);
    if (!wants_negatives(d, loss, i)) continue;
    if (l->batch && d->part[i] == MOON_TRAIN && seen++ % l->most == 0) fill_batch(d, i, l);
    for (size_t k = 0; k < each; k++) put(&more, n, part, draw(l, d->log->events[event].user, item), &d->examples, i, true, d->part[i]);
    *(d->part[i] == MOON_TRAIN ? &d->negatives : &d->validation_negatives) += each;
  }
  d->each = each;
  d->part_n[MOON_TRAIN] += d->negatives;
  d->part_n[MOON_VALIDATION] += d->validation_negatives;
  moon_examples_free(&d->examples);
  moon_free(d->part);
  d->examples = more;
  d->part = part;
  return moon_ok();
}

moon_status moon_add_negatives(moon_dataset *d, const json_t *labels, const json_t *train) {
  const json_t *label = moon_label_at(labels, 0);
  json_int_t given = json_integer_value(json_object_get(label, "negatives"));
  if (given < 0) return moon_fail(MOON_EINVAL, "the label's negatives must be 0 or more, not %lld", (long long)given);
  size_t each = (size_t)given, rows = moon_catalogue_rows(d->catalogue), positives = 0;
  lottery l = {.items = d->catalogue->listed < rows ? d->catalogue->listed : rows};
  moon_loss loss;
  MOON_TRY(moon_loss_parse(train, &loss));
  for (size_t i = 0; i < d->examples.n; i++) positives += wants_negatives(d, loss, i);
  if (!each || l.items < 2) return moon_ok();
  if (positives > (UINT32_MAX - d->examples.n) / each)
    return moon_fail(MOON_ELIMIT, "%zu negatives for each of %zu positives are too many", each, positives);
  moon_rng_seed(&l.rng, (uint64_t)json_integer_value(json_object_get(train, "seed")), 0x6e65676174697665); /* "negative" */
  const json_t *sampling = json_object_get(label, "sampling");
  moon_status status = prepare(d, sampling, train, &l);
  if (!status.code && json_is_true(json_object_get(sampling, "unseen"))) status = list_seen(d, positives, &l);
  if (!status.code && json_is_true(json_object_get(train, "log_q"))) status = note_drawn(d, &l);
  if (!status.code) status = add(d, loss, each, d->examples.n + positives * each, &l);
  moon_free(l.upto);
  moon_free(l.batch);
  moon_free(l.seen);
  return status;
}

/* fit_batches.c - batches laid out ahead of their use.
 *
 * The data set is never moved: an epoch is an order of indices. A thread walks that order and copies the rows of some batches into a block while
 * the fit works on the block before; two or three blocks go round. A block has a thousand rows or more, so that small batches do not pay for
 * waking threads. Nothing that is laid out depends on when it is, so the batches are the same without the thread. */
#include <pthread.h>
#include <string.h>

#include "rank/fit.h"

enum { BLOCK_ROWS = 1024, AHEAD_ROWS = 8 };

/* ---- rows to pieces ----------------------------------------------------------------------------------------------------------- */

size_t moon_rows_shards(const moon_rows *rows, size_t n) {
  size_t shards = moon_shard_count(n * (rows->windows ? moon_windows_steps(rows->windows) : rows->width), rows->whole);
  return shards < n ? shards : n;
}

moon_status moon_block_alloc(moon_block *block, const moon_rows *rows, size_t room) {
  const moon_feature_plan *plan = rows->data->plan;
  room *= rows->width;
  *block = (moon_block){0};
  block->dense = moon_alloc_aligned(room * plan->dense_slots * sizeof(float));
  block->ids = moon_alloc_aligned(room * plan->id_slots * sizeof(uint32_t));
  block->bags = moon_alloc_aligned(room * plan->bag_slots * plan->bag_length * sizeof(uint32_t));
  block->target = moon_alloc_aligned(room * rows->data->examples.tasks * sizeof(float));
  if (rows->weight) block->weight = moon_alloc_aligned(room * sizeof(float));
  bool drawn = rows->data->drawn && rows->width > 1;
  if (drawn) block->item = moon_alloc_aligned(room * sizeof *block->item);
  size_t steps = rows->windows ? room * moon_windows_steps(rows->windows) : 0;
  if (steps) block->next = moon_alloc_aligned(steps * sizeof(uint32_t));
  if (steps && rows->weight) block->next_weight = moon_alloc_aligned(steps * sizeof(float));
  bool stepped = !steps || (block->next && (block->next_weight || !rows->weight));
  if (block->dense && block->ids && block->bags && block->target && (block->weight || !rows->weight) && (block->item || !drawn) && stepped) return moon_ok();
  moon_block_free(block);
  return moon_fail(MOON_ENOMEM, "no memory for batches of %zu", room);
}

void moon_block_free(moon_block *block) {
  moon_free(block->dense);
  moon_free(block->ids);
  moon_free(block->bags);
  moon_free(block->target);
  moon_free(block->weight);
  moon_free(block->item);
  moon_free(block->next);
  moon_free(block->next_weight);
  *block = (moon_block){0};
}

moon_piece moon_block_piece(const moon_block *block, const moon_rows *rows, size_t at, size_t n) {
  const moon_feature_plan *plan = rows->data->plan;
  size_t steps = rows->windows ? moon_windows_steps(rows->windows) : 0;
  at *= rows->width;
  return (moon_piece){.inputs = {.n = n * rows->width,
                                 .each = rows->width,
                                 .dense = block->dense + at * plan->dense_slots,
                                 .ids = block->ids + at * plan->id_slots,
                                 .bags = block->bags + at * plan->bag_slots * plan->bag_length},
                      .target = block->target + at * rows->data->examples.tasks,
                      .weight = block->weight ? block->weight + at : NULL,
                      .item = block->item ? block->item + at : NULL,
                      .next = steps ? block->next + at * steps : NULL,
                      .next_weight = steps && block->next_weight ? block->next_weight + at * steps : NULL};
}

/* Row r of the examples at `order`. */
static inline size_t row_at(const uint32_t *order, size_t width, size_t r) {
  return width == 1 ? order[r] : order[r / width] + r % width;
}

/* The numbers of the examples at `order`, standardised. Rows lie all over the data set: those that come soon are asked for ahead. */
MOON_CLONES static void fill_dense(const moon_rows *rows, size_t n, const uint32_t *order, float *restrict out) {
  size_t slots = rows->data->plan->dense_slots;
  const float *all = rows->data->inputs.dense, *restrict mean = rows->mean, *restrict scale = rows->scale;
  for (size_t r = 0; r < n; r++, out += slots) {
    const float *dense = all + row_at(order, rows->width, r) * slots;
    const char *soon = (const char *)(all + row_at(order, rows->width, r + AHEAD_ROWS < n ? r + AHEAD_ROWS : r) * slots);
    for (size_t line = 0; line < slots * sizeof *all; line += 64) __builtin_prefetch(soon + line);
    for (size_t s = 0; s < slots; s++) out[s] = (dense[s] - mean[s]) * scale[s];
  }
}

void moon_piece_fill(moon_piece *piece, const moon_rows *rows, size_t epoch, const uint32_t *order) {
  const moon_dataset *d = rows->data;
  const moon_feature_plan *plan = d->plan;
  size_t n = piece->inputs.n, ids = plan->id_slots, bags = plan->bag_slots, length = plan->bag_length;
  if (plan->dense_slots) fill_dense(rows, n, order, piece->inputs.dense);
  for (size_t r = 0; r < n; r++) {
    size_t row = row_at(order, rows->width, r);
    for (size_t s = 0; s < ids; s++) piece->inputs.ids[s * n + r] = d->inputs.ids[row * ids + s];
    for (size_t s = 0; s < bags; s++)
      memcpy(piece->inputs.bags + (s * n + r) * length, d->inputs.bags + (row * bags + s) * length, length * sizeof(uint32_t));
    for (size_t t = 0; t < d->examples.tasks; t++) piece->target[t * n + r] = d->examples.label[t * d->examples.n + row];
    if (piece->weight) piece->weight[r] = rows->weight[row];
    if (piece->item) piece->item[r] = d->examples.item[row];
  }
  size_t steps = rows->windows ? moon_windows_steps(rows->windows) : 0;
  for (size_t r = 0; r < n && steps; r++)
    moon_windows_fill(rows->windows, d, rows->weight, epoch, order[r], piece->next + r * steps,
                      piece->next_weight ? piece->next_weight + r * steps : NULL);
}

/* ---- the feed ------------------------------------------------------------------------------------------------------------------- */

struct moon_feed {
  moon_feed_options from;
  uint32_t *order; /* [n] of the epoch that is being laid out; the thread's own */
  size_t epoch, done;
  bool shuffled; /* order is that of `epoch` */
  size_t block_examples, ring;
  moon_block blocks[MOON_MOST_AHEAD + 1];
  /* Blocks filled and taken since the start; block i lies in blocks[i % ring]. Guarded by the lock where there is a thread. */
  size_t filled, taken;
  bool ended, stopped, threaded;
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t changed;
};

static void shuffle(moon_feed *feed) {
  moon_rng rng;
  memcpy(feed->order, feed->from.examples, feed->from.n * sizeof *feed->order);
  moon_rng_seed(&rng, feed->from.seed, feed->epoch);
  moon_rng_shuffle(&rng, feed->order, feed->from.n);
  feed->shuffled = true;
}

static void fill_batch(const moon_feed *feed, moon_block *block, size_t at, size_t n) {
  size_t shards = moon_rows_shards(&feed->from.rows, n);
  for (size_t s = 0; s < shards; s++) {
    size_t start = moon_shard_start(n, shards, s), stop = moon_shard_start(n, shards, s + 1);
    moon_piece piece = moon_block_piece(block, &feed->from.rows, at + start, stop - start);
    moon_piece_fill(&piece, &feed->from.rows, feed->epoch, feed->order + block->start + at + start);
  }
}

/* The next block; false after the last epoch. */
static bool fill_next(moon_feed *feed, moon_block *block) {
  if (feed->done >= feed->from.n) feed->epoch++, feed->done = 0, feed->shuffled = false;
  if (feed->epoch > feed->from.epochs) return false;
  if (!feed->shuffled) shuffle(feed);
  size_t left = feed->from.n - feed->done;
  block->epoch = feed->epoch, block->start = feed->done, block->n = left < feed->block_examples ? left : feed->block_examples;
  for (size_t at = 0; at < block->n; at += feed->from.batch)
    fill_batch(feed, block, at, block->n - at < feed->from.batch ? block->n - at : feed->from.batch);
  feed->done += block->n;
  return true;
}

static void *fill_ahead(void *self) {
  moon_feed *feed = self;
  pthread_mutex_lock(&feed->lock);
  while (!feed->stopped && !feed->ended) {
    if (feed->filled - feed->taken == feed->ring - 1) { /* one block is in the fit's hands */
      pthread_cond_wait(&feed->changed, &feed->lock);
      continue;
    }
    moon_block *block = &feed->blocks[feed->filled % feed->ring];
    pthread_mutex_unlock(&feed->lock);
    bool filled = fill_next(feed, block);
    pthread_mutex_lock(&feed->lock);
    feed->filled += filled;
    feed->ended = !filled;
    pthread_cond_signal(&feed->changed);
  }
  pthread_mutex_unlock(&feed->lock);
  return NULL;
}

void moon_feed_next(moon_feed *feed, const moon_block **out) {
  *out = NULL;
  if (!feed->threaded) {
    if (fill_next(feed, &feed->blocks[0])) *out = &feed->blocks[0];
    return;
  }
  pthread_mutex_lock(&feed->lock);
  while (feed->filled == feed->taken && !feed->ended) pthread_cond_wait(&feed->changed, &feed->lock);
  if (feed->filled > feed->taken) *out = &feed->blocks[feed->taken++ % feed->ring];
  pthread_cond_signal(&feed->changed);
  pthread_mutex_unlock(&feed->lock);
}

static moon_status build(moon_feed *feed) {
  const moon_feed_options *from = &feed->from;
  feed->epoch = from->epoch, feed->done = from->done;
  size_t rows = from->batch * from->rows.width;
  feed->block_examples = rows < BLOCK_ROWS ? BLOCK_ROWS / rows * from->batch : from->batch;
  feed->ring = from->ahead + 1;
  feed->order = moon_alloc(from->n * sizeof *feed->order);
  if (!feed->order) return moon_fail(MOON_ENOMEM, "no memory to shuffle %zu examples", from->n);
  for (size_t i = 0; i < feed->ring; i++) MOON_TRY(moon_block_alloc(&feed->blocks[i], &from->rows, feed->block_examples));
  if (!from->ahead) return moon_ok();
  pthread_mutex_init(&feed->lock, NULL);
  pthread_cond_init(&feed->changed, NULL);
  feed->threaded =
      pthread_create(&feed->thread, NULL, fill_ahead, feed) == 0; /* without one, batches are laid out as they are needed */
  return moon_ok();
}

moon_status moon_feed_new(const moon_feed_options *options, moon_feed **out) {
  *out = NULL;
  moon_feed *feed = moon_calloc(1, sizeof *feed);
  if (!feed) return moon_fail(MOON_ENOMEM, "no memory for batches");
  feed->from = *options;
  moon_status status = build(feed);
  if (status.code)
    moon_feed_free(feed);
  else
    *out = feed;
  return status;
}

void moon_feed_free(moon_feed *feed) {
  if (!feed) return;
  if (feed->threaded) {
    pthread_mutex_lock(&feed->lock);
    feed->stopped = true;
    pthread_cond_signal(&feed->changed);
    pthread_mutex_unlock(&feed->lock);
    pthread_join(feed->thread, NULL);
    pthread_mutex_destroy(&feed->lock);
    pthread_cond_destroy(&feed->changed);
  }
  for (size_t i = 0; i < feed->ring; i++) moon_block_free(&feed->blocks[i]);
  moon_free(feed->order);
  moon_free(feed);
}

/* fit.h - what the files of fitting share: batches that are laid out ahead (fit_batches.c), windows of sequences (fit_sequences.c), checkpoints
 * (fit_checkpoint.c), and the loop over all of it (fit.c). Threads and shards are nn/crew.h's. */
#ifndef MOON_RANK_FIT_H
#define MOON_RANK_FIT_H
#include "nn/crew.h"
#include "rank/model.h"

enum { MOON_MOST_EPOCHS = 512, MOON_MOST_AHEAD = 8 };

typedef struct moon_windows moon_windows; /* examples whose every step is one (fit_sequences.c) */

/* ---- batches (fit_batches.c) -------------------------------------------------------------------------------------------------- */

/* Where rows come from. */
typedef struct moon_rows {
  const moon_dataset *data;
  const float *mean, *scale; /* [dense_slots] */
  const float *weight;       /* [examples.n] or NULL: all 1 */
  bool whole;                /* the model looks at a batch as a whole (moon_model_splits): it is not cut */
  size_t width;              /* rows to an example: 1, or a success and its negatives behind it */
  const moon_windows *windows; /* examples are windows; NULL: they are rows */
} moon_rows;

/* How many shards a batch of n examples is cut into, none within an example. */
size_t moon_rows_shards(const moon_rows *rows, size_t n);

/* A shard as the tape wants it. */
typedef struct moon_piece {
  moon_batch inputs;
  float *target, *weight; /* [tasks, inputs.n] and [inputs.n]; weight NULL: all 1 */
  uint32_t *item;         /* [inputs.n] catalogue rows, where the loss makes up for how likely they were drawn; NULL: it does not */
  uint32_t *next;         /* of windows: [inputs.n, steps + 1], the item's id where a step is to be predicted, else 0; NULL: no windows */
  float *next_weight;     /* and what that counts for; NULL: all 1 */
} moon_piece;

/* Room for some examples, and those of one or more whole batches in it, each batch shard by shard. */
typedef struct moon_block {
  size_t epoch, start, n; /* examples start..start+n of the epoch's order */
  float *dense, *target, *weight;
  uint32_t *ids, *bags, *item, *next;
  float *next_weight;
} moon_block;
moon_status moon_block_alloc(moon_block *block, const moon_rows *rows, size_t room);
void moon_block_free(moon_block *block);
/* The n examples from `at` on in the block as a piece: where their rows lie. */
moon_piece moon_block_piece(const moon_block *block, const moon_rows *rows, size_t at, size_t n);
/* Lays the examples at `order` out as that piece, as they come in that epoch. */
void moon_piece_fill(moon_piece *piece, const moon_rows *rows, size_t epoch, const uint32_t *order);

/* The batches of a fit in their order, from a position on, `ahead` blocks laid out by a thread of its own while the current one is trained
 * on (0: no thread). What comes does not depend on it. An epoch's order is a function of the seed and its number. */
typedef struct moon_feed moon_feed;
typedef struct moon_feed_options {
  moon_rows rows;
  const uint32_t *examples; /* [n] those to train on, borrowed */
  size_t n, batch, epochs, ahead;
  uint64_t seed;
  size_t epoch, done; /* where to begin: epoch 1.., rows done of it, in whole batches */
} moon_feed_options;
moon_status moon_feed_new(const moon_feed_options *options, moon_feed **out);
void moon_feed_free(moon_feed *feed); /* also in the middle */
/* The next block, good until the next call; *out is NULL after the last epoch. */
void moon_feed_next(moon_feed *feed, const moon_block **out);

/* ---- sequences (fit_sequences.c) ------------------------------------------------------------------------------------------------ */

/* As train's "sequences" says: {"stride": successes from a window to the next, "mask": the probability to be hidden in a cloze,
 * "negatives": how many items are drawn for a softmax over a sample, "power": of their popularity}. */
moon_status moon_windows_new(const moon_dataset *data, const moon_model *model, const json_t *train, moon_windows **out);
/* Whether the model could be trained so, where the plan says it is; without data. */
moon_status moon_windows_check(const moon_model *model, const json_t *train);
void moon_windows_free(moon_windows *windows);
size_t moon_windows_steps(const moon_windows *windows); /* of a window, the last included */
/* The examples that are windows, in their order; answers how many. out: room for all. */
size_t moon_windows_list(const moon_windows *windows, size_t examples, uint32_t *out);
/* What is to be predicted of the window that ends with `example`, as moon_piece has it; weights may be NULL. */
void moon_windows_fill(const moon_windows *windows, const moon_dataset *data, const float *weight, size_t epoch, uint32_t example, uint32_t *next,
                       float *weights);
/* How many steps of n windows are to be predicted. */
size_t moon_windows_reads(const moon_windows *windows, const uint32_t *next, size_t n);

/* The steps of a piece that are to be predicted, in the tape's memory. */
typedef struct moon_reads {
  size_t n;
  uint32_t *at;    /* [n] for moon_batch's reads */
  uint32_t *item;  /* [n] the item there, from 0 on */
  float *weight;   /* [n]; NULL: all 1 */
  uint8_t *masked; /* for moon_batch's masked; NULL: no cloze */
  /* Of a sampled softmax: ids for moon_batch's items, the own of each step and then what was drawn for all, and what to add to scores [n, 1 +
   * negatives]; NULL: every item. */
  uint32_t *items;
  size_t item_count;
  float *shift;
} moon_reads;
moon_status moon_windows_put(const moon_windows *windows, moon_tape *tape, const moon_piece *piece, moon_reads *out);

/* ---- models that are computed (fit_closed.c) ----------------------------------------------------------------------------------- */

/* All of a model in closed form, from the events of the training part; then compiles it. */
moon_status moon_fit_closed(moon_model *model, const moon_dataset *dataset, const moon_progress *progress, moon_fit_report *report);

/* ---- the fit ------------------------------------------------------------------------------------------------------------------- */

typedef struct moon_fit_state {
  moon_model *model;
  const moon_dataset *data;
  const json_t *train;
  moon_fit_options options;
  moon_fit_report *report;
  /* from the plan */
  size_t epochs, batch, patience, threads, ahead, checkpoint_every, step_every;
  uint64_t seed;
  moon_loss loss;
  bool all;          /* softmax over every item */
  size_t width;      /* rows to an example */
  double positive_weight;
  size_t head[MOON_MOST_TASKS];            /* of the model, for each task */
  double task_weight[MOON_MOST_TASKS]; /* what each task's loss counts for */
  uint32_t on_epoch, on_step; /* functions, 0: none */
  /* made for it */
  moon_optimizer *optimizer;
  moon_windows *windows; /* NULL: each example by itself */
  moon_crew *crew;
  moon_tape *tapes[MOON_MOST_SHARDS];
  moon_feed *feed;
  moon_block valid; /* one batch to validate on */
  float *weight;    /* [examples.n]; NULL: all 1 */
  uint32_t *order[2];
  size_t count[2]; /* examples to train on, and to validate on: successes alone where the loss compares */
  /* where it stands; what a checkpoint holds */
  size_t epoch, done; /* rows done of the epoch */
  double sum;         /* of the losses of those rows */
  moon_buf best;      /* the best weights so far, as moon_model_save writes them */
  /* for progress */
  int64_t started;
  size_t rows_fitted; /* in this process */
} moon_fit_state;

static inline bool moon_fit_validates(const moon_fit_state *f) {
  return f->count[MOON_VALIDATION] > 0;
}

/* ---- checkpoints (fit_checkpoint.c) --------------------------------------------------------------------------------------------- */

/* All of the fit's state, written beside the file and moved over it in one step. */
moon_status moon_checkpoint_write(const moon_fit_state *f, const char *path);
/* MOON_EINVAL where something is there that is no checkpoint: no file of the user's is ever replaced by one. */
moon_status moon_checkpoint_may_write(const char *path);
/* Goes on from there. MOON_ENOTFOUND where there is none; MOON_EINVAL where it is of another fit, naming what differs; MOON_EFORMAT where it is
 * broken. The fit is then as it was. */
moon_status moon_checkpoint_read(moon_fit_state *f, const char *path);

#endif

/* model.h - the inside of a model that fitting needs: its parameters, and its forward pass on a tape. */
#ifndef MOON_RANK_MODEL_H
#define MOON_RANK_MODEL_H
#include "rank/view.h"

typedef struct model_scorers model_scorers; /* tapes for scoring what does not compile, one a thread (score.c) */

struct moon_model {
  const moon_feature_plan *plan;
  size_t in;                   /* width of x */
  moon_embedding **tables;     /* [feature_count] owned; NULL where a feature has none of its own */
  moon_embedding **of_id, **of_bag; /* by id slot, by bag slot: which table is looked up; borrowed from tables */
  moon_embedding *of_item;          /* the table of the item's id, borrowed; NULL: there is none */
  size_t item_slot;                 /* and its id slot */
  bool closed;                      /* computed, not trained (fit_closed.c): ids are not embedded, and there are no tables */
  size_t *rows;                     /* [feature_count] of the tables that there are or would be */
  model_input *inputs;         /* [input_count] of the module, x first */
  size_t input_count;
  moon_module *module;         /* [n, heads]: what the heads say of a row, or where `sigmoid`, the logits */
  bool sigmoid;
  size_t heads;                /* 1: the model ends with no heads, or with one */
  float *blend;                /* [heads] the score is their weighted sum; NULL: there is one, and it is the score */
  moon_tensor *mean, *scale;   /* [dense_slots] of the standardisation: (x - mean) * scale; NULL without dense slots */
  moon_param **params;         /* [param_count] all of the above that is trained; borrowed */
  size_t param_count;
  bool compiled;
  moon_precision precision;    /* to score in */
  moon_infer *infer;           /* after compiling; NULL: the module is no plain stack and runs on a tape */
  model_scorers *scorers;
};

typedef struct moon_batch { /* inputs by slot, as the tape's ops want them */
  size_t n;
  float *dense;   /* [n, dense_slots], standardised */
  uint32_t *ids;  /* [id_slots, n] */
  uint32_t *bags; /* [bag_slots, n, bag_length] */
  bool training;  /* dropout and batch_norm learn; false: as in scoring */
  uint64_t seed, step; /* training: of dropout's draws */
  size_t each;    /* rows that lie together and are of one user at one moment, n a multiple; 0 or 1: nothing is known of that */
  bool all;       /* every row by all items, [n, moon_model_items], where moon_module_ranks_all */
  const uint32_t *items; /* [item_count] where `all`: by these ids of items only, own first as in moon_pass; NULL: by all */
  size_t item_count;
  const uint32_t *reads; /* [read_count] steps to read in place of each row's last, and what is hidden: as in moon_pass */
  size_t read_count;
  const uint8_t *masked;
} moon_batch;
/* Whether the rows of a batch may go through in parts, on many threads: no layer looks at the batch as a whole or changes in a
 * forward pass. Each part needs a `step` of its own, so that its dropout is its own. */
bool moon_model_splits(const moon_model *model);
/* How many items a batch of `all` goes by: those with an embedding of their own, in the order of their ids from 1 on. */
size_t moon_model_items(const moon_model *model);
/* [n, heads]: the logits, or what is scored itself where the last layers are linear. The batch must live until the backward
 * pass. */
moon_status moon_model_forward(moon_model *model, moon_tape *tape, const moon_batch *batch, moon_var *out);
/* What the layers' "l2" adds to the loss; *any is false where no layer has one. */
moon_status moon_model_penalty(const moon_model *model, moon_tape *tape, bool *any, moon_var *penalty);

/* The inputs that the module uses, put on a tape (inputs.c). */
moon_status moon_model_list_inputs(moon_model *model, moon_arena *names, moon_form **forms);
moon_status moon_model_put_inputs(const moon_model *model, moon_tape *tape, const moon_batch *batch, moon_pass *pass);

void moon_model_free_scorers(model_scorers *scorers);

#endif

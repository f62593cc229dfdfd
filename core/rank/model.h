/* model.h - the inside of a model that fitting needs: its parameters, and its forward pass on a tape. */
#ifndef MOON_RANK_MODEL_H
#define MOON_RANK_MODEL_H
#include "rank/rank.h"

struct moon_model {
  const moon_feature_plan *plan;
  size_t in;                   /* width of the first layer's input: [dense | embeddings of ids | means of bags] */
  moon_embedding **tables;     /* [feature_count] owned; NULL where a feature has none of its own */
  moon_embedding **of_id, **of_bag; /* by id slot, by bag slot: which table is looked up; borrowed from tables */
  moon_embedding *of_item;          /* the table of the item's id, borrowed; NULL: there is none */
  moon_dense **layers;         /* [layer_count] */
  size_t layer_count;
  moon_tensor *mean, *scale;   /* [dense_slots] of the standardisation: (x - mean) * scale; NULL without dense slots */
  moon_param **params;         /* [param_count] all of the above that is trained; borrowed */
  size_t param_count;
  moon_infer *infer;           /* after compiling */
};

typedef struct moon_batch { /* inputs by slot, as the tape's ops want them */
  size_t n;
  float *dense;   /* [n, dense_slots], standardised */
  uint32_t *ids;  /* [id_slots, n] */
  uint32_t *bags; /* [bag_slots, n, bag_length] */
} moon_batch;
/* Whether the rows of a batch may go through in parts, on many threads: no layer looks at the batch as a whole or changes in a forward pass. */
bool moon_model_splits(const moon_model *model);
/* [n, 1]: the last layer before its sigmoid, or its output where it is linear. The batch must live until the backward pass. */
moon_status moon_model_forward(moon_model *model, moon_tape *tape, const moon_batch *batch, moon_var *out);

#endif

/* view.h - a model as who writes it in another form (core/onnx) sees it: what its layers read, and the numbers before them. */
#ifndef MOON_RANK_VIEW_H
#define MOON_RANK_VIEW_H
#include "nn/module.h"
#include "rank/rank.h"

/* What a layer may name as its "input"; x, the first, is what flows into the model. */
typedef enum model_input_kind {
  MODEL_X,           /* "x": numbers, embeddings of ids and means of bags side by side */
  MODEL_NUMBERS,     /* "numbers": standardised */
  MODEL_FIELDS,      /* "fields": embeddings of ids and means of bags, one below the other, where all have one width */
  MODEL_VECTOR,      /* an id's embedding, by the feature's name */
  MODEL_ID,          /* the id itself, "NAME.id" */
  MODEL_MEAN,        /* the mean embedding of a bag of tags, by the feature's name */
  MODEL_HISTORY,     /* "history", "history.2" ...: embeddings step by step, oldest first */
  MODEL_HISTORY_IDS, /* "history.ids" ..., "NAME.ids" of tags */
} model_input_kind;
typedef struct model_input {
  model_input_kind kind;
  size_t slot; /* of the id or the bag */
} model_input;

/* Borrowed, as long as the model. */
typedef struct moon_model_view {
  const moon_feature_plan *plan;
  const moon_module *module;
  const model_input *inputs;                    /* of the module */
  moon_embedding *const *of_id, *const *of_bag; /* by id slot, by bag slot: which table is looked up */
  const size_t *rows;              /* [feature_count] of its table, which a model in closed form does without */
  const moon_tensor *mean, *scale;              /* [dense_slots]: (x - mean) * scale; NULL without dense slots */
  bool sigmoid;                                 /* the module gives the logit of the score, and not the score */
} moon_model_view;
moon_model_view moon_model_look(const moon_model *model);

#endif

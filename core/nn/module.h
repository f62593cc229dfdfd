/* module.h - a tree of layers: named parameters with one forward verb.
 *
 * A module is made from the plan's JSON for a list of named inputs, the first of which is called "x" and flows into the root.
 * What flows is numbers or ids, and may be a sequence with lengths; its shape is known when the module is made, so whatever
 * does not fit is found then, at the user's line. Any layer may say {"input":"history"}: it then reads that input and not what
 * flowed to it. A layer of two inputs (din) names both. That is the whole wiring; parallel brings branches together again.
 *
 *   {"type":"sequential","layers":[{"type":"dense","units":64,"activation":"relu","where":"recipe.lua:12"}, ...]}
 *
 * Every layer takes besides: "weights" ({"bias": base64 of little-endian f32}: what its parameters and running statistics start as), "width"
 * (how many numbers a row have to flow to it, for the "file" that the weights are from), "input" (name), "freeze" (true: it and all below it are not trained, batch_norm keeps its
 * statistics) and "share" (layers of one name and one type have one set of parameters). Parameters are called by their path:
 * "1.attention.query.weight". The kinds of layers stand in layer_*.c, a family each; layer.h says how one is written. */
#ifndef MOON_NN_MODULE_H
#define MOON_NN_MODULE_H
#include <jansson.h>

#include "nn/nn.h"

typedef struct moon_module moon_module;
typedef struct moon_layer moon_layer;

/* Whom an input tells of: rows that lie together in a group (a choice and what was not chosen, the candidates of a request) are of one
 * user at one moment and differ in their items. MOON_OF_ITEM is an item's id and nothing that changes with time. */
typedef enum moon_whose { MOON_OF_BOTH, MOON_OF_USER, MOON_OF_ITEM } moon_whose;

/* What a module knows of an input, or of what flows between layers, when it is made. */
typedef struct moon_form {
  const char *name; /* of an input; copied */
  size_t ids;       /* 0: numbers; else ids below this, to look up in a table of so many rows */
  int dims;
  size_t shape[MOON_MAX_DIMS]; /* [dims] without the batch; a sequence's first is its steps */
  moon_whose whose; /* of an input: what it tells of */
} moon_form;
typedef struct moon_form_text { char text[200]; } moon_form_text;
moon_form_text moon_form_write(const moon_form *form); /* "[n, 5, 16]", "ids [n, 5]": the batch is n */

/* And in a forward pass. */
typedef struct moon_value {
  moon_var x;              /* [n, shape...] numbers, */
  const uint32_t *ids;     /* or ids [n, shape...] */
  const uint32_t *lengths; /* [n], of a sequence: steps from there on are padding; NULL: none is */
} moon_value;

typedef struct moon_pass {
  moon_tape *tape;
  size_t rows;              /* n */
  const moon_value *inputs; /* as many as the module was made for and in that order; ids and lengths stay until backward */
  bool training;            /* dropout drops, batch_norm takes the batch's statistics and moves its own */
  uint64_t seed, step;      /* training: dropout's draws are a function of both and of the layer */
  /* For the layer dot, whose first branch may be of the user alone: that goes through once for a group. */
  size_t each;              /* rows to a group, of which there are rows / each; 0 or 1: a row is one */
  const moon_value *once;   /* where each > 1: the inputs of MOON_OF_USER, a row to a group */
  const moon_value *items;  /* the inputs of MOON_OF_ITEM of all item_count items: the value of the root is [n, item_count], every row by every
                             * item; only where moon_module_ranks_all. NULL: as ever */
  size_t item_count;
  bool own_first;           /* the first of those items are the rows' own, one each: the value is [n, 1 + the others], own first */
  /* For training on whole sequences (moon_module_steps). */
  const uint32_t *reads;    /* [read_count] row * steps + step: pool "last" gives these steps, [read_count, d], and not each row's last */
  size_t read_count;
  const uint8_t *masked;    /* [rows, steps] of what comes to the layer mask: steps that it hides beside the one it adds; NULL: none */
} moon_pass;

/* count >= 1 inputs; dtype is that of the parameters and of all numbers that flow. Errors begin with the "where" of the layer. */
moon_status moon_module_new(const json_t *spec, moon_dtype dtype, const moon_form *inputs, size_t count, moon_rng *rng,
                            moon_module **out);
void moon_module_free(moon_module *module);
const moon_form *moon_module_out(const moon_module *module); /* borrowed */
/* Whether a layer reads the input, row by row. One that is not need not be there in a pass. */
bool moon_module_uses(const moon_module *module, size_t input);
/* Whether a branch that is of the user alone reads it: it then has to be in `once`, or without groups in `inputs`. */
bool moon_module_uses_once(const moon_module *module, size_t input);
/* Whether the root ends with a dot of the user alone by the item alone, so that it can be had for all items at once. */
bool moon_module_ranks_all(const moon_module *module);

/* The heads that the root ends with, each a column of its value; 0: it ends with something else. */
size_t moon_module_heads(const moon_module *module);
const char *moon_module_head(const moon_module *module, size_t head); /* its name, borrowed */

/* Whether one pass over a sequence may be asked for many of its steps: the module ranks all, and its branch of the user is one sequence, whose
 * layers look at no later step, cut to its last by a pool; behind that, each row is for itself. With `cloze` layers may look at all steps, and
 * the layer mask must be there. *input is the sequence, *steps its length where the pool reads it. MOON_EINVAL at the line of the layer. */
moon_status moon_module_steps(const moon_module *module, bool cloze, size_t *input, size_t *steps);

/* Whether the rows of a batch may be trained in parts, at once on several tapes: no layer looks at the batch as a whole or
 * changes in a forward pass (a batch_norm that is not frozen does both). Each part then needs a step of its own for its
 * dropout. */
bool moon_module_splits(const moon_module *module);

/* Freezes all layers, or lets them all go again, also those that their plan froze. As in Keras a frozen batch_norm is in use, not in
 * training: it takes its running statistics and leaves them alone. */
void moon_module_freeze(moon_module *module, bool frozen);

/* The value of the root. Threads may run one module at once, each on its own tape, while none trains it. */
moon_status moon_module_forward(const moon_module *module, const moon_pass *pass, moon_var *y);
/* Sum over layers with "l2" of l2 times the sum of squares of their weights, to be added to the loss; *any is false where there
 * are none, and *penalty is then not written. */
moon_status moon_module_penalty(const moon_module *module, moon_tape *tape, bool *any, moon_var *penalty);

/* Borrowed, each once however often it is shared, in the order of the tree. */
moon_param *const *moon_module_params(const moon_module *module, size_t *n);
/* What is saved beside the parameters: running statistics, by path ("2.mean"). */
const moon_named_tensor *moon_module_buffers(const moon_module *module, size_t *n);

/* Layers whose weights are computed from the events and not trained (layer_closed.c): the score of an item is
 *
 *   bias[item] + sum over the items h of the user's history of weight[item, h]
 *
 * Each has one of them: all weights, those of the k nearest, or a bias. They are buffers; who fits them writes them. */
typedef enum moon_closed_fit {
  MOON_FIT_EASE,     /* weight [items, items] (Steck 2019) */
  MOON_FIT_ITEM_KNN, /* weight, neighbour [items, k] (Sarwar et al. 2001) */
  MOON_FIT_CONTENT,  /* the same, by what the items are */
  MOON_FIT_POPULAR,  /* bias [items]: events */
  MOON_FIT_TRENDING, /* bias [items]: events that fade */
  MOON_CLOSED_FITS
} moon_closed_fit;
const char *moon_closed_name(moon_closed_fit fit); /* the layer's type: "ease" "item_knn" ... */
typedef struct moon_closed {       /* borrowed from the module */
  moon_closed_fit fit;
  const char *where;
  const json_t *options;           /* as the plan has them, checked */
  size_t item, history;            /* inputs; no history: SIZE_MAX */
  size_t items;                    /* ids of items are below this; 0 is unknown, and its row zeros */
  float *weight, *bias;
  int64_t *neighbour;              /* 0: there is no further one */
  size_t k;                        /* neighbours to an item */
} moon_closed;
/* The i-th such layer; false where there are no more. */
bool moon_module_closed(const moon_module *module, size_t i, moon_closed *out);
/* Of those that moon_module_closed gave: the weights were written. */
void moon_module_closed_written(moon_module *module);
/* Numbers in such layers, and the bytes that they take. */
size_t moon_module_closed_count(const moon_module *module, size_t *bytes);

/* A line for each layer: path, type, output and parameters of its own; then their sum. Appends. */
moon_status moon_module_summary(const moon_module *module, moon_buf *out);

/* The same for programs, [{"layer","type","output","parameters","shared","frozen"}, ...]. New reference; NULL for want of memory. */
json_t *moon_module_describe(const moon_module *module);

/* A layer as who writes a module in another form (core/onnx) sees it; all is borrowed, as long as the module. What the notes mean stands with
 * the kind in layer_*.c. */
typedef struct moon_layer_view {
  const char *kind, *path, *where; /* "dense", "1.attention.query", "recipe.lua:12" */
  const char *choice;              /* an activation, a mode or a merge, by its name; NULL: the kind has none */
  const moon_form *in, *out;
  const size_t *input;             /* of the module, read in place of what flows; NULL: none */
  moon_layer *const *children;
  moon_param *const *params;
  moon_tensor *const *buffers;
  size_t child_count, param_count, buffer_count;
  size_t size, other;
  double epsilon;
  bool flag;
  const size_t *times; /* of heads */
} moon_layer_view;
const char *moon_layer_kind_name(size_t i); /* of all that there are; NULL after the last */
const moon_layer *moon_module_root(const moon_module *module);
moon_layer_view moon_layer_look(const moon_layer *layer);
const moon_form *moon_module_inputs(const moon_module *module, size_t *n); /* borrowed */
moon_dtype moon_module_dtype(const moon_module *module);

/* A stack of dense layers with activations, batch_norm and dropout between them, folded into dense layers and compiled; `last` is
 * the activation after the root. *out is NULL where the module is anything else, and no error; *why, which may be NULL, then says what
 * does not fold, beginning with the layer's line. */
moon_status moon_module_compile(const moon_module *module, moon_activation last, moon_infer **out, moon_status *why);
/* Goes up with every step of an optimiser, batch of a batch_norm or other write to parameters and running statistics that is noted
 * (moon_tensor_touch): two plans compiled at one version are the same. */
uint64_t moon_module_version(const moon_module *module);

#endif

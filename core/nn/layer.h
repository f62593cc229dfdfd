/* layer.h - the inside of a module, and how a kind of layer is written; only core/nn sees it.
 *
 * A kind is two functions and a line in the table of module_build.c:
 *
 *   build    reads its options from layer->spec (moon_spec_*), checks layer->in, makes parameters and children, says layer->out
 *   forward  puts the way from `in` to `*out` on the tape; `*out` comes as a copy of `in`, so lengths go along unless dropped
 *
 * build refuses what does not fit, so forward fails only for want of memory or for ids that are out of range. Layers, paths
 * and lists lie in the module's arena; parameters and buffers are the module's and freed with it, whole or half made. */
#ifndef MOON_NN_LAYER_H
#define MOON_NN_LAYER_H
#include "nn/module.h"
#include "nn/param.h"

typedef struct moon_build moon_build; /* a module in the making */

typedef struct moon_layer_kind {
  const char *name;
  moon_status (*build)(moon_layer *layer, moon_build *build);
  moon_status (*forward)(const moon_layer *layer, const moon_pass *pass, const moon_value *in, moon_value *out);
  bool is_container; /* does nothing itself: failures are its children's */
  const char *const *choices; /* the names of what the layer's `choice` says; NULL: it says something else, or nothing */
} moon_layer_kind;

struct moon_layer {
  const moon_layer_kind *kind;
  const json_t *spec; /* while it is built */
  const char *path, *key, *where;
  size_t number;      /* in the order of the tree: the stream of its random numbers */
  const moon_layer *twin; /* the layer whose parameters these are; NULL: its own */
  bool frozen;
  const size_t *input; /* read in place of what flows; NULL: none */
  moon_form in, out;
  moon_layer **children;
  size_t child_count, child_cap;
  moon_param **params;
  moon_tensor **buffers;
  size_t param_count, buffer_count;
  /* What the kinds note down; each says which it uses. */
  int choice;                        /* an activation, a way to pool or merge */
  size_t size;                       /* heads, layers */
  double rate, epsilon, l2;
  bool flag;                         /* causal, bias */
  size_t other;                      /* a second named input */
  const size_t *times;               /* of heads [child_count]: the one before it that multiplies its probability; itself: none */
  json_t *options;                   /* kept for whoever computes its tables; owned */
};

struct moon_module {
  moon_arena arena;
  moon_dtype dtype;
  moon_form *inputs;
  bool *used, *used_once; /* by layers that go through row by row, and by those that do once for a group */
  size_t input_count;
  moon_layer *root;
  moon_layer **layers; /* all, in the order of the tree */
  size_t layer_count, layer_cap;
  moon_param **params;
  size_t param_count, param_cap;
  moon_named_tensor *buffers;
  size_t buffer_count, buffer_cap;
};

/* ---- building (module_build.c) ------------------------------------------------------------------------------------------- */

/* MOON_EINVAL with the layer's line and type before the message. */
__attribute__((format(printf, 2, 3))) moon_status moon_layer_fail(const moon_layer *layer, const char *format, ...);
/* "gru takes [n, steps, d], not [n, 24]" */
moon_status moon_layer_refuse(const moon_layer *layer, const char *wanted);

/* An option of the spec into *value, which holds the default. Absent: untouched, or an error where it is needed. */
moon_status moon_spec_size(const moon_layer *layer, const char *name, bool needed, size_t low, size_t high, size_t *value);
moon_status moon_spec_number(const moon_layer *layer, const char *name, bool needed, double low, double high, double *value);
moon_status moon_spec_flag(const moon_layer *layer, const char *name, bool *value);
moon_status moon_spec_choice(const moon_layer *layer, const char *name, const char *const *names, size_t count, int *value);
/* Whether all inputs below `spec` are of that side, and nothing that flows to it is read. */
bool moon_spec_is_of(const moon_build *build, const json_t *spec, moon_whose whose);
/* Says that what is built from now on goes through once for a group, or row by row. Answers how it was before. */
bool moon_build_once(moon_build *build, bool once);
/* The input that an option names. */
moon_status moon_spec_input(const moon_layer *layer, moon_build *build, const char *name, size_t *value);
const moon_form *moon_build_input(const moon_build *build, size_t input);
void *moon_build_take(moon_build *build, size_t n); /* room for as long as the module lives; NULL: there is none */

/* A layer from `spec` below `parent`, called `key` in its path, which takes `in`. */
moon_status moon_layer_child(moon_layer *parent, moon_build *build, const json_t *spec, const char *key, const moon_form *in,
                             moon_layer **out);
/* The same for a layer that the parent thinks up itself; steals `spec`, which may be NULL for want of memory. */
moon_status moon_layer_part(moon_layer *parent, moon_build *build, json_t *spec, const char *key, const moon_form *in,
                            moon_layer **out);

typedef enum moon_init { MOON_INIT_GLOROT, MOON_INIT_HE, MOON_INIT_NORMAL, MOON_INIT_ZEROS, MOON_INIT_ONES } moon_init;
/* The layer's next parameter, PATH.name; a shared layer gets its twin's. */
moon_status moon_layer_param(moon_layer *layer, moon_build *build, const char *name, int dims, const size_t *shape,
                             moon_init init, bool sparse);
moon_status moon_layer_buffer(moon_layer *layer, moon_build *build, const char *name, size_t n, double value);
/* The layer's next buffer of any form, zeros. */
moon_status moon_layer_table(moon_layer *layer, moon_build *build, const char *name, moon_dtype dtype, int dims, const size_t *shape);

/* ---- running (module.c) -------------------------------------------------------------------------------------------------- */

moon_status moon_layer_forward(const moon_layer *layer, const moon_pass *pass, const moon_value *in, moon_value *out);
moon_status moon_layer_leaf(const moon_layer *layer, const moon_pass *pass, size_t param, moon_var *out);

/* ---- what families share ------------------------------------------------------------------------------------------------- */

extern const char *const moon_layer_activations[]; /* the first four are moon_activation's (layer_plain.c) */
enum { MOON_LAYER_ACTIVATIONS = 7 };
typedef enum moon_pooling { MOON_POOL_MEAN, MOON_POOL_MAX, MOON_POOL_LAST, MOON_POOL_SUM } moon_pooling; /* a pool's choice */
moon_status moon_layer_activate(moon_tape *tape, int activation, moon_var x, moon_var *y);

/* ---- the kinds (layer_*.c) ----------------------------------------------------------------------------------------------- */

extern const moon_layer_kind moon_layer_dense, moon_layer_activation, moon_layer_dropout, moon_layer_input, moon_layer_flatten,
    moon_layer_reshape, moon_layer_embedding, moon_layer_embedding_bag, moon_layer_batch_norm, moon_layer_layer_norm,
    moon_layer_fm, moon_layer_cross, moon_layer_dot, moon_layer_position, moon_layer_attention, moon_layer_transformer, moon_layer_gru,
    moon_layer_mask, moon_layer_pool, moon_layer_din, moon_layer_sequential, moon_layer_residual, moon_layer_parallel, moon_layer_heads;
extern const moon_layer_kind moon_layer_closed[]; /* by moon_closed_fit */

#endif

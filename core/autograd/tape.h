/* tape.h - the inside of a tape; only core/autograd sees it.
 *
 * A node holds an op, its inputs, a pointer to its value and, during the backward pass, to its gradient. Values, gradients and side
 * data lie in the tape's arena. How an op is written (see ops_shape.c for the shortest):
 *
 *   static void neg_back(moon_tape *tape, moon_node *node) {            // adds into the inputs' gradients
 *     double *into = moon_node_grad(tape, node->in[0]);                 // zeroed at first touch; NULL: not wanted
 *     if (into) ... += -node->grad
 *   }
 *   static const moon_op neg = {"neg", neg_back};
 *   moon_status moon_op_neg(moon_tape *tape, moon_var a, moon_var *out) {
 *     MOON_TRY(moon_node_check(tape, &neg, 1, &a));
 *     moon_node *node;
 *     MOON_TRY(moon_node_push(tape, &neg, 1, &a, dims, shape, &node, out)); // value allocated, not yet written
 *     ... node->value = forward of moon_node_at(tape, a)->value
 *   }
 *
 * A pointer to a node is good until the next push. */
#ifndef MOON_AUTOGRAD_TAPE_H
#define MOON_AUTOGRAD_TAPE_H
#include "autograd/autograd.h"

typedef struct moon_node moon_node;
typedef struct moon_op {
  const char *name;
  void (*backward)(moon_tape *tape, moon_node *node); /* NULL: a leaf */
  bool outside;                                       /* backward writes to memory that is not the tape's, and takes none of it */
} moon_op;

struct moon_node {
  const moon_op *op;
  moon_var in[3];
  bool needs_grad;
  moon_dtype dtype;
  int dims;
  size_t shape[MOON_MAX_DIMS];
  size_t count;
  void *value;     /* [count], contiguous; read-only where borrowed */
  void *grad;      /* NULL until something flows in, then `room`, or another's room that is free again */
  void *room;      /* where it lies: a leaf's in its tensor, another's in memory that backward reserves before anything flows */
  void *leaf_grad; /* leaves: the tensor's memory */
  void *aux;       /* what the op keeps for its way back, in the arena */
  double number;   /* a factor, or an activation */
  const struct moon_scope *scope; /* the names around it */
};

typedef struct moon_scope {
  const struct moon_scope *outer;
  char name[];
} moon_scope;

/* Gradients whose memory is free again, by size; the list goes through the memory itself. */
enum { MOON_FREE_SIZES = 16, MOON_FREE_LEAST = 256 /* bytes */ };
typedef struct moon_free_grads {
  size_t n, bytes[MOON_FREE_SIZES];
  void *first[MOON_FREE_SIZES];
} moon_free_grads;

struct moon_tape {
  moon_node *nodes;
  size_t n, cap;
  moon_arena arena;
  size_t peak;    /* most bytes that one step took from the arena */
  bool forgets;   /* gradients that have flowed on make room for others */
  moon_free_grads free; /* during a walk */
  bool held;      /* gradients stay in the tape until moon_tape_deliver */
  moon_status failure;     /* latched by moon_tape_latch inside a backward pass */
  bool no_grad, checks;    /* as set by the caller */
  bool learns;             /* something since the reset would need a gradient, were it not for no_grad */
  bool repeats;            /* a checkpoint's second run: what had a lasting effect must not have it again */
  const moon_scope *scope; /* innermost */
  moon_tape *nested;       /* where checkpoints build; made at the first */
  moon_account *account;   /* NULL: none */
  size_t counted;          /* bytes there: the most so far */
};

static inline moon_node *moon_node_at(const moon_tape *tape, moon_var v) { return &tape->nodes[v.id]; }
static inline moon_shape_text moon_node_shape(const moon_tape *tape, moon_var v) {
  return moon_shape_write(tape->nodes[v.id].dims, tape->nodes[v.id].shape);
}

/* All inputs are nodes of this tape and of one dtype; MOON_EINVAL names the op. */
moon_status moon_node_check(const moon_tape *tape, const moon_op *op, size_t n, const moon_var *in);
/* A node of inputs' dtype with an uninitialised value; n <= 3 inputs are noted, it needs a gradient where one of them does. */
moon_status moon_node_push(moon_tape *tape, const moon_op *op, size_t n, const moon_var *in, int dims, const size_t *shape,
                           moon_node **node, moon_var *out);
/* The same without inputs; value NULL: allocate. */
moon_status moon_node_push_leaf(moon_tape *tape, const moon_op *op, moon_dtype dtype, int dims, const size_t *shape, void *value,
                                moon_node **node, moon_var *out);
/* Where the gradient of v is summed, zeroed at first touch; NULL where none is wanted. */
void *moon_node_grad(moon_tape *tape, moon_var v);
/* The same for an op that can write a gradient as well as add to it: `fresh` says that nothing has flowed there yet, and the memory, which
 * is then not zeroed, must be written in full. */
void *moon_node_grad_raw(moon_tape *tape, moon_var v, bool *fresh);
/* True where an op on these inputs keeps what its way back needs; asked before the push. */
bool moon_node_wanted(const moon_tape *tape, size_t n, const moon_var *in);
/* `needs`, but not under no_grad. */
static inline bool moon_tape_wants(moon_tape *tape, bool needs) {
  tape->learns |= needs;
  return needs && !tape->no_grad;
}
/* Every op ends with this, its value written: the look of moon_tape_set_checks. A failed one takes the node off again. */
moon_status moon_node_look(moon_tape *tape, moon_var v);
static inline moon_status moon_node_done(moon_tape *tape, moon_var v) { return tape->checks ? moon_node_look(tape, v) : moon_ok(); }
/* Takes the newest node off again: its op failed. */
static inline moon_status moon_node_drop(moon_tape *tape, moon_status why) {
  tape->n--;
  return why;
}
/* Checks on: MOON_EINVAL where `numbers` (the node's value or gradient) are not all finite. */
moon_status moon_node_finite(const moon_tape *tape, size_t at, const char *what, const void *numbers);
/* A failure inside a backward rule that runs the caller's code (a custom op, a checkpoint): backward stops there and answers it. */
static inline void moon_tape_latch(moon_tape *tape, moon_status failure) {
  if (!tape->failure.code) tape->failure = failure;
}
/* Room for every gradient up to `from`, before any flows: a failure leaves the leaves as they were. */
moon_status moon_tape_reserve(moon_tape *tape, moon_var from);
/* The walk from node `from`, whose gradient is there, to the first. */
moon_status moon_tape_walk(moon_tape *tape, moon_var from);
typedef struct moon_scope_text { char text[200]; } moon_scope_text;
/* ", in tower / layer 3" by value, or nothing; of a deep stack the innermost names. */
moon_scope_text moon_scope_write(const moon_scope *scope);
/* The failure of an op on two shapes: "op: [2, 3] against [4]: why". */
moon_status moon_node_mismatch(const moon_tape *tape, const moon_op *op, moon_var a, moon_var b, const char *why);

/* What a kernel adds to where a gradient is summed, `fresh` as moon_node_grad_raw answers it. The zero stays in the sum, so that the bits are
 * those of memory that was zeroed first. A loop over it is written once, inlined with `fresh` constant by MOON_BOTH: then it vectorises. */
#define MOON_BOTH(fresh, loop, ...)          \
  do {                                       \
    if (fresh) loop(__VA_ARGS__, true);      \
    else loop(__VA_ARGS__, false);           \
  } while (0)
#define MOON_INLINE static inline __attribute__((always_inline))
#define MOON_GAIN(fresh, place, gain) ((place) = ((fresh) ? 0 : (place)) + (gain))

/* Kernels exist once, in REAL, and are compiled for f32 and f64 (each_real.h); this picks one. */
#define MOON_BY_DTYPE(dtype, kernel, ...)                  \
  do {                                                     \
    if ((dtype) == MOON_F32) kernel##_f32(__VA_ARGS__);    \
    else kernel##_f64(__VA_ARGS__);                        \
  } while (0)

#endif

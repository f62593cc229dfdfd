/* lua_tape.h - what the files of m.grad share: lua_tape.c tapes, vars and arguments, lua_tape_ops.c and
 * lua_tape_losses.c the ops, lua_tape_calls.c what calls back into Lua (checkpoints, ops of one's own), lua_param.c parameters and
 * optimisers; and the files of nets (lua_net.h), which put whole models on a tape.
 *
 * A var in Lua is a small userdata: a tape, a node, and the tape's generation when it was made. A reset moves the generation on, so
 * a stale var is an error and never a wrong number. What a node borrows (tensors, parameters) the tape keeps in a table until reset.
 *
 * Every function on a tape is one use of it: moon_use_begin, arguments, a charge, MOON_USE_CALL, moon_use_push. A finaliser of the
 * user may run wherever Lua allocates, and reset the tape: the call looks at the generation last, with no Lua in between. While
 * core works on a tape, Lua that it calls cannot use that tape. */
#ifndef MOON_SCRIPT_LUA_TAPE_H
#define MOON_SCRIPT_LUA_TAPE_H
#include "autograd/autograd.h"
#include "nn/nn.h"
#include "script/lua_tensor.h"

#define MOON_TAPE_TYPE "moonshelf.tape"
#define MOON_VAR_TYPE "moonshelf.var"
#define MOON_PARAM_TYPE "moonshelf.param"
#define MOON_COST_CHEAP (1. / 16)    /* VM instructions per element: an addition */
#define MOON_COST_DEAR (1. / 4)      /* an exponential */
#define MOON_COST_MULTIPLY (1. / 64) /* a multiplication within a matrix product */

typedef struct moon_lua_tape moon_lua_tape;
/* User values: 1 what the nodes borrow, a list; 2 the tape for checkpoints; 3, of such a tape: the tape around it. */
struct moon_lua_tape {
  moon_tape *tape; /* NULL: gone, or a checkpoint's at rest */
  moon_tensor_home *home;
  uint64_t generation;
  moon_lua_tape *nested; /* user value 2 */
  bool is_nested, busy, no_grad, training, keeps;
  lua_Integer kept;     /* entries of user value 1 */
  double work;          /* charged since the reset: the way back costs twice as much */
  uint64_t seed, draws; /* of dropout: each draw has a stream of its own */
  lua_State *L;         /* while busy: who called, */
  int at, base;         /* where this userdata lies on its stack, and where the arguments end */
};

typedef struct moon_use {
  lua_State *L;
  moon_lua_tape *g;
  const char *op;
  int from, at; /* stack indices of a var of the tape, or of the tape (or 0) */
  uint64_t generation;
} moon_use;

/* The argument at `index` is a tape or a var that can be used, or the error says what it is. */
moon_use moon_use_begin(lua_State *L, int index, const char *op);
void moon_use_charge(moon_use *use, double work);
/* Pushes a var. */
int moon_use_push(moon_use *use, moon_var v);
/* Keeps the value at the top of the stack until reset, and pops it. Answers its place in user value 1. */
lua_Integer moon_use_keep(moon_use *use);

/* ---- arguments */

/* A var of this tape; or a tensor, a parameter or a number, put on it. like: what a tensor or number shall go with, or NULL */
moon_var moon_use_var(moon_use *use, int index, const moon_var *like);
bool moon_use_is_var(lua_State *L, int index);
/* Positions from 1 as ids from 0 until reset, and their shape. */
const uint32_t *moon_use_ids(moon_use *use, int index, int *dims, size_t shape[MOON_MAX_DIMS], size_t *count);
/* Raises where one of these ids is no row of a table of this shape: the message counts from 1, as the script does. */
void moon_use_within(const moon_use *use, const uint32_t *ids, size_t count, int dims, const size_t *shape);
/* Numbers of steps, at least 0: [count]. */
const uint32_t *moon_use_lengths(moon_use *use, int index, size_t *count);
/* A u8 tensor. */
const uint8_t *moon_use_mask(moon_use *use, int index, int *dims, size_t shape[MOON_MAX_DIMS]);
double moon_use_number(moon_use *use, int index, double otherwise);
/* The table of options at `index` has no names but these (NULL at the end); false where there is none. */
bool moon_use_options(moon_use *use, int index, const char *const *names);
/* Pushes an option of that table: its index, or 0 where it is not given. */
int moon_use_option(moon_use *use, int index, const char *name);
moon_param *moon_param_check(lua_State *L, int index, const char *what);
bool moon_param_is(lua_State *L, int index);

/* ---- the call */

void moon_use_enter(moon_use *use);
/* Whether to call again: what was let go made room. */
bool moon_use_again(moon_use *use, moon_status st, int *tries);
#define MOON_USE_CALL(use, call)                  \
  do {                                            \
    int tries_ = 0;                               \
    do moon_use_enter(use);                       \
    while (moon_use_again(use, (call), &tries_)); \
  } while (0)

/* ---- what ops know of a var */

static inline double moon_use_count(const moon_use *use, moon_var v) {
  return (double)moon_var_count(use->g->tape, v);
}
static inline int moon_use_dims(const moon_use *use, moon_var v) {
  return moon_var_dims(use->g->tape, v);
}
static inline size_t moon_use_size(const moon_use *use, moon_var v, int d) {
  return moon_var_shape(use->g->tape, v)[d];
}

/* ---- values */

/* Pushes a copy of numbers as a tensor; NULL: zeros. */
moon_tensor *moon_numbers_push(lua_State *L, moon_tensor_home *home, moon_dtype dtype, int dims, const size_t *shape,
                               const void *numbers);
/* Pushes a tensor that shares the memory of t. */
moon_tensor *moon_view_push(lua_State *L, moon_tensor_home *home, const moon_tensor *t);
/* Pushes a parameter; owner: stack index of the userdata that frees it, or 0: this one does. */
moon_param **moon_param_push(lua_State *L, int owner);

/* ---- tables of functions, as in lua_tensor.h */

#define MOON_ROWS_OF(table) (sizeof(table) / sizeof *(table))
/* A function over the home and a row of a table of ops, set in the table at `into`. */
static inline void moon_tape_set_row(lua_State *L, int home, int into, const char *name, lua_CFunction fn, size_t row) {
  lua_pushvalue(L, home);
  lua_pushinteger(L, (lua_Integer)row);
  lua_pushcclosure(L, fn, 2);
  lua_setfield(L, into, name);
}
static inline size_t moon_use_row(lua_State *L) {
  return (size_t)lua_tointeger(L, lua_upvalueindex(2));
}
void moon_tape_add_losses(lua_State *L, int home, int tape_methods);
/* Into the methods of vars and of tapes, at these indices, and the metatable of vars. */
void moon_tape_add_ops(lua_State *L, int home, int var_meta, int var_methods, int tape_methods);
void moon_tape_add_calls(lua_State *L, int home, int tape_methods);
/* The tapes for checkpoints below this one are out of reach again. */
void moon_tape_shut(moon_lua_tape *g);
/* Pushes a new userdata for a tape that is still missing. */
moon_lua_tape *moon_tape_push(lua_State *L, moon_tensor_home *home);
/* Pushes m.grad; sets nn's primitives (param, build, optimizer) in the table at the top. */
void moon_lua_tape_push(lua_State *L);
void moon_lua_nn_set(lua_State *L);
void moon_lua_onnx_set(lua_State *L, int home); /* into the table at the top (lua_onnx.c) */
void moon_lua_net_set(lua_State *L, int home);
void moon_lua_param_register(lua_State *L, int home);
/* A type of userdata with these metamethods and methods; index: its __index, with the methods as upvalue 1. more, or NULL, adds to the
 * methods at the top. */
typedef void (*moon_more_fn)(lua_State *L, int home, const char *type);
void moon_object_register(lua_State *L, int home, const char *type, const luaL_Reg *meta, const luaL_Reg *methods,
                          moon_more_fn more, lua_CFunction index);

#endif

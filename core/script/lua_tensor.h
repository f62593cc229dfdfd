/* lua_tensor.h - what the files of m.tensor share: lua_tensor.c the type and its views, lua_tensor_ops.c what is computed,
 * lua_tensor_make.c where tensors come from, lua_tensor_file.c files.
 *
 * A tensor in Lua is a small userdata over a moon_tensor, so that the collector sees it. Two things make that safe for a script
 * that makes many large ones: every state has an account with a limit, and the collector, which sees only the small userdata, is
 * run when the account has grown much since the last time, or is full. Whatever a function allocates hangs on a userdata before
 * anything can raise. */
#ifndef MOON_SCRIPT_LUA_TENSOR_H
#define MOON_SCRIPT_LUA_TENSOR_H
#include "script/internal.h"
#include "tensor/tensor.h"

/* Of a Lua state; upvalue 1 of every function here. */
typedef struct moon_tensor_home {
  moon_host *host; /* NULL in a stock lua5.4 */
  moon_account *account;
  moon_rng own, *rng; /* the host's, or our own */
  size_t collect_at;  /* bytes in the account */
} moon_tensor_home;

static inline moon_tensor_home *moon_tensor_home_of(lua_State *L) { return lua_touserdata(L, lua_upvalueindex(1)); }
/* Charges work in C, in VM instructions, to the budget where there is one. */
void moon_tensor_charge(lua_State *L, moon_tensor_home *home, double cost);

/* Pushes a tensor that is still empty; what is stored there is the collector's. */
moon_tensor **moon_tensor_push(lua_State *L, moon_tensor_home *home);
/* After a call that may lack memory. True: the collector has run, call again. False: it went well. Otherwise raises "file:line:
 * ", the prefix and the message. */
bool moon_tensor_again(lua_State *L, moon_tensor_home *home, const char *prefix, moon_status st, int *tries);
#define MOON_TENSOR_CALL(L, home, prefix, call)                              \
  do {                                                                       \
    int tries_ = 0;                                                          \
    while (moon_tensor_again(L, home, prefix, (call), &tries_)) continue;    \
  } while (0)
/* Raises "file:line: " and the text. */
__attribute__((format(printf, 2, 3))) int moon_tensor_raise(lua_State *L, const char *format, ...);

/* ---- arguments; `what` names the function in errors, such as "tensor:sum" */

bool moon_tensor_is(lua_State *L, int index);
moon_tensor *moon_tensor_check(lua_State *L, int index, const char *what);
/* A tensor, or a number or boolean as a scalar that does not change the dtype of `like` more than it must. */
const moon_tensor *moon_tensor_operand(lua_State *L, moon_tensor_home *home, int index, const moon_tensor *like,
                                       const char *what);
/* 1 .. dims from the front or -1 .. -dims from the back -> 0 .. dims - 1. */
int moon_tensor_dim(lua_State *L, int index, int dims, const char *what);
size_t moon_tensor_size(lua_State *L, int index, const char *what);
moon_dtype moon_tensor_dtype_arg(lua_State *L, int index, const char *what);
/* A shape: a table of sizes, or sizes as arguments from `index` on. */
int moon_tensor_shape_arg(lua_State *L, int index, const char *what, size_t shape[MOON_MAX_DIMS]);
/* The positions at `index` (a table or an i64 tensor, from 1) as a tensor from 0, pushed. */
const moon_tensor *moon_tensor_positions(lua_State *L, moon_tensor_home *home, int index, const char *what);
/* Raises where one of these positions, from 0, is not within n: the message counts from 1, as the script does. */
void moon_tensor_within(lua_State *L, const moon_tensor *positions, size_t n, const char *what);
/* Adds `by` to every element, in place. */
void moon_tensor_shift(lua_State *L, moon_tensor_home *home, moon_tensor *t, int64_t by);

/* ---- files (lua_tensor_file.c); `index` is the argument with the path */

/* All of a file, which in the sandbox must lie beside the script; pushed, and gone with what was pushed. */
const moon_buf *moon_bytes_read(lua_State *L, moon_tensor_home *home, int index, const char *what);
/* A buffer whose userdata is pushed, so that it is freed whatever Lua raises. */
moon_buf *moon_bytes_push(lua_State *L);
/* Raises in the sandbox, and where there is no path. */
void moon_bytes_may_write(lua_State *L, const moon_tensor_home *home, int index, const char *what);
/* Writes the file, whole or not at all, and frees the buffer. */
void moon_bytes_write(lua_State *L, moon_buf *bytes, int index, const char *what);

/* ---- tables of functions: each gets the home at stack index `home` as upvalue 1 */

/* Into the table at the top. */
void moon_tensor_set_functions(lua_State *L, int home, const luaL_Reg *functions);
/* Adds methods and metamethods: the metatable at index `meta`, the methods at `methods`. */
void moon_tensor_add_operations(lua_State *L, int home, int meta, int methods);
/* Adds tensor:save to the methods at the top. */
void moon_tensor_add_files(lua_State *L, int home);
/* The state's home of tensors, made at the first; pushed. */
moon_tensor_home *moon_lua_home_push(lua_State *L);
/* m.tensor.load, m.tensor.save: lua_CFunctions over the home. */
int moon_tensor_load_file(lua_State *L);
int moon_tensor_save_file(lua_State *L);
/* Pushes what m.tensor is. */
void moon_tensor_push_makers(lua_State *L, int home);
/* The body of an __index (self, name): pushes what the table at `table`, an upvalue, has under the name, or raises and says what
 * is near. what: "tensor method" */
int moon_tensor_lookup(lua_State *L, int table, const char *what);

#endif

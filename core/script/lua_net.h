/* lua_net.h - what the files of nets share: lua_net.c building, inputs and running, lua_net_fit.c training, lua_net_state.c parameters
 * and files. */
#ifndef MOON_SCRIPT_LUA_NET_H
#define MOON_SCRIPT_LUA_NET_H
#include "nn/fit_tensor.h"
#include "script/lua_tape.h"

moon_module *moon_net_check(lua_State *L, const char *what); /* of the net at 1 */
/* Instructions for a row, roughly: each weight is multiplied once a step. */
double moon_net_row_work(const moon_module *module);

/* ---- inputs */

/* All rows of the inputs at `index`, in a userdata; what they borrow lies above it on the stack. The first input sets *rows where it is
 * SIZE_MAX. */
const moon_rows *moon_net_inputs(lua_State *L, moon_tensor_home *home, int index, const moon_module *module, size_t *rows,
                                 const char *what);
/* The tensor at `index`, contiguous and of the dtype. */
const moon_tensor *moon_net_numbers(lua_State *L, moon_tensor_home *home, int index, moon_dtype dtype, const char *what);
/* Whole numbers from 0 as 32 bits, in a userdata at the top. */
const uint32_t *moon_net_narrow(lua_State *L, const moon_tensor *t, const char *what);

/* ---- into the methods at the top */

void moon_net_add_fit(lua_State *L, int home);
void moon_net_add_state(lua_State *L, int home, const char *type); /* and the metatable of nets */

#endif

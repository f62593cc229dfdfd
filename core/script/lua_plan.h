/* lua_plan.h - what nets ask of compiled plans. */
#ifndef MOON_SCRIPT_LUA_PLAN_H
#define MOON_SCRIPT_LUA_PLAN_H
#include "nn/module.h"
#include "script/lua_tape.h"

typedef struct moon_lua_plan moon_lua_plan;
/* Pushes the f32 plan of a module as it stands. Where it does not compile NULL, and *why (or NULL) says what does not; what is pushed is
 * then good for nothing. */
moon_lua_plan *moon_plan_push(lua_State *L, moon_tensor_home *home, const moon_module *module, const char *what,
                              moon_status *why);
/* Pushes a copy of the plan at the index `plan` in another precision, measured on x [rows, in] where that is not NULL. */
void moon_plan_quantise(lua_State *L, moon_tensor_home *home, int plan, moon_precision precision, const float *x, size_t rows);
/* f32 [n, in], contiguous: its data can be run as it is. */
bool moon_plan_takes(const moon_lua_plan *plan, const moon_tensor *x);
void moon_plan_run(lua_State *L, moon_tensor_home *home, const moon_lua_plan *plan, const float *x, size_t rows, float *y);
void moon_plan_register(lua_State *L, int home);

#endif

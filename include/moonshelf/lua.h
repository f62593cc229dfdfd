/* lua.h - Moonshelf's words in a Lua of one's own.
 *
 * The module moonshelf.so gives a stock lua5.4 `require "moonshelf"` (plans, tensors, training) and `require
 * "moonshelf.runtime"` (pages, rankings and events; see examples/embed/page.lua). A program that embeds both Lua and this
 * library needs no file:
 *
 *   luaL_requiref(L, "moonshelf", moon_lua_open, 0);
 *
 * Its Lua and the library's must be the same shared liblua5.4. The sandboxes of sites are states of their own, so nothing of L is seen there. */
#ifndef MOONSHELF_LUA_H
#define MOONSHELF_LUA_H

#include "moonshelf/status.h"

#ifdef __cplusplus
extern "C" {
#endif

struct lua_State;
/* A lua_CFunction: pushes what `require "moonshelf"` gives and answers 1. Raises Lua's errors. The thread that L is used by. */
MOON_API int moon_lua_open(struct lua_State *L);

#ifdef __cplusplus
}
#endif
#endif

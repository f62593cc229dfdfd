/* lua_module.c - moonshelf.so: what `require "moonshelf"` of a stock lua5.4 loads. All of it is in libmoonshelf. */
#include <lua.h>

int moon_lua_open(lua_State *L); /* script/script.h; declared here so that the module builds against an installed library */

LUAMOD_API int luaopen_moonshelf(lua_State *L);

__attribute__((visibility("default"))) int luaopen_moonshelf(lua_State *L) { return moon_lua_open(L); }

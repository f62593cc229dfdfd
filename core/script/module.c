/* module.c - the Lua module `moonshelf`: the embedded Lua files over a few C primitives.
 *
 * The files of lua/moonshelf/ see an environment of their own with a private `require` and with `debug`, which the sandbox keeps
 * from users: the words need it to say where they stand. Their chunk names begin with "=moonshelf/", so that words.here can skip
 * them. Nothing here asks for a host: the same code runs in a stock lua5.4. */
#include <string.h>

#include "base/embedded.h"
#include "script/internal.h"
#include "script/lua_tape.h"

#ifndef MOON_VERSION
#define MOON_VERSION "0.0.0"
#endif

static const char module_key = 0; /* registry: what moon_lua_open returned before */

/* ---- primitives */

enum { NAMES_MAX = 512 };

/* (name, list of strings) -> the nearest, or nil */
static int native_nearest(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  const char *names[NAMES_MAX];
  size_t n = 0;
  for (lua_Integer i = 1, len = (lua_Integer)lua_rawlen(L, 2); i <= len && n < NAMES_MAX; i++) {
    /* the list keeps the string alive when it leaves the stack */
    if (lua_rawgeti(L, 2, i) == LUA_TSTRING) names[n++] = lua_tostring(L, -1);
    lua_pop(L, 1);
  }
  const char *near = n ? moon_nearest(name, names, n) : NULL;
  if (near)
    lua_pushstring(L, near);
  else
    lua_pushnil(L);
  return 1;
}

/* "24h" -> microseconds, or nil */
static int native_duration(lua_State *L) {
  int64_t micros = 0;
  if (moon_duration_parse(luaL_checkstring(L, 1), &micros).code)
    lua_pushnil(L);
  else
    lua_pushinteger(L, micros);
  return 1;
}

/* "2026-11-24" -> microseconds UTC, or nil */
static int native_time(lua_State *L) {
  size_t n;
  const char *text = luaL_checklstring(L, 1, &n);
  int64_t time = 0;
  if (moon_time_parse(text, n, &time).code)
    lua_pushnil(L);
  else
    lua_pushinteger(L, time);
  return 1;
}

/* "Europe/Amsterdam" -> the zone as text that any machine reads the same, or nil and why not */
static int native_zone(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  moon_zone *zone = NULL;
  moon_buf text = {0};
  moon_status status = moon_zone_new(name, &zone);
  if (!status.code) status = moon_zone_text(zone, &text);
  moon_zone_free(zone);
  char *copy = status.code ? NULL : lua_newuserdatauv(L, text.n + 1, 0); /* pushing a string may raise: nothing of ours is held then */
  if (copy) memcpy(copy, text.data, text.n + 1);
  moon_buf_free(&text);
  if (!copy) return lua_pushnil(L), lua_pushstring(L, status.message), 2;
  lua_pushstring(L, copy);
  return 1;
}

/* ---- the private require: upvalue 1 the environment, 2 what is loaded */

static int private_require(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  if (lua_getfield(L, lua_upvalueindex(2), name) != LUA_TNIL) return 1;
  const char *dot = strrchr(name, '.');
  const char *part = dot ? dot + 1 : "init";
  lua_pushfstring(L, "lua/moonshelf/%s.lua", part);
  const moon_embedded *file = moon_embedded_find(lua_tostring(L, -1));
  if (!file) return luaL_error(L, "%s is not part of this build", lua_tostring(L, -1));
  lua_pushfstring(L, "=moonshelf/%s.lua", part);
  if (luaL_loadbufferx(L, file->data, file->size, lua_tostring(L, -1), "t") != LUA_OK) return lua_error(L);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_setupvalue(L, -2, 1);
  lua_call(L, 0, 1);
  lua_pushvalue(L, -1);
  lua_setfield(L, lua_upvalueindex(2), name);
  return 1;
}

/* Pushes the environment: what the files use of Lua, taken from the libraries themselves and not from what a user made of them.
 */
static void push_environment(lua_State *L) {
  static const char *const base[] = {"error",        "getmetatable", "ipairs",   "next",     "pairs", "pcall",
                                     "select",       "setmetatable", "tonumber", "tostring", "type"};
  static const char *const libraries[] = {"string", "table", "math", "debug"};
  lua_newtable(L);
  int env = lua_gettop(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, -1, LUA_GNAME);
  for (size_t i = 0; i < sizeof base / sizeof *base; i++) {
    lua_getfield(L, -1, base[i]);
    lua_setfield(L, env, base[i]);
  }
  lua_pop(L, 1);
  for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++) {
    if (lua_getfield(L, -1, libraries[i]) != LUA_TTABLE) luaL_error(L, "moonshelf needs Lua's library '%s'", libraries[i]);
    lua_setfield(L, env, libraries[i]);
  }
  lua_settop(L, env);
}

int moon_lua_open(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &module_key) != LUA_TNIL) return 1;
  lua_pop(L, 1);
  push_environment(L);
  int env = lua_gettop(L);
  lua_newtable(L); /* loaded */
  static const luaL_Reg native[] = {{"nearest", native_nearest},
                                    {"duration", native_duration},
                                    {"time", native_time},
                                    {"zone", native_zone},
                                    {"option_line", moon_option_line},
                                    {"source_line", moon_source_line},
                                    {NULL, NULL}};
  luaL_newlib(L, native);
  moon_plan_install(L);
  moon_lua_lab_set(L);
  moon_lua_operators_set(L);
  lua_pushliteral(L, MOON_VERSION);
  lua_setfield(L, -2, "version");
  lua_getfield(L, LUA_REGISTRYINDEX, MOON_NOTE_KEY);
  lua_setfield(L, -2, "note");
  lua_getfield(L, LUA_REGISTRYINDEX, MOON_PCALL_KEY);
  lua_setfield(L, -2, "pcall");
  lua_getfield(L, LUA_REGISTRYINDEX, MOON_PICKS_KEY);
  lua_setfield(L, -2, "picks");
  moon_lua_tensor_push(L);
  lua_setfield(L, -2, "tensor");
  moon_lua_tape_push(L);
  lua_setfield(L, -2, "grad");
  moon_lua_nn_set(L);
  lua_setfield(L, -2, "moonshelf.native");
  lua_pushvalue(L, env);
  lua_insert(L, -2);
  lua_pushcclosure(L, private_require, 2);
  lua_pushvalue(L, -1);
  lua_setfield(L, env, "require");
  lua_pushliteral(L, "moonshelf");
  lua_call(L, 1, 1);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &module_key);
  lua_remove(L, env);
  return 1;
}

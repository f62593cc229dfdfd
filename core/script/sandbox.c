/* sandbox.c - what a user's script sees: an environment made by allow-list.
 *
 * Lua's libraries are opened into the registry, where a script cannot reach them, and what is harmless is copied into the
 * environment. Library tables are shown through read-only faces. A name that is not there is an error that names the nearest: a
 * typo in a global would otherwise be a silent nil. */
#include <string.h>

#include "script/internal.h"

static const char env_key = 0; /* registry: the environment */

static const char *const withheld[] = {"io",   "debug",   "package",        "load", "loadfile", "loadstring",
                                       "dofile", "collectgarbage", "warn", "module",   NULL};

void moon_sandbox_push(lua_State *L) { lua_rawgetp(L, LUA_REGISTRYINDEX, &env_key); }

/* ---- read-only faces */

static int refuse_write(lua_State *L) {
  return luaL_error(L, "'%s' is read-only ('%s.%s' cannot be set)", lua_tostring(L, lua_upvalueindex(1)),
                    lua_tostring(L, lua_upvalueindex(1)), luaL_tolstring(L, 2, NULL));
}

void moon_sandbox_protect(lua_State *L, const char *name) {
  lua_newtable(L); /* face */
  lua_createtable(L, 0, 4);
  lua_pushvalue(L, -3);
  lua_setfield(L, -2, "__index");
  lua_pushstring(L, name);
  lua_pushcclosure(L, refuse_write, 1);
  lua_setfield(L, -2, "__newindex");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_setmetatable(L, -2);
  lua_remove(L, -2);
}

/* ---- base functions that need a guard */

enum { PRINT_STEPS = 500 }; /* somebody writes the line somewhere */

static int safe_print(lua_State *L) {
  moon_host *host = moon_host_of(L);
  int n = lua_gettop(L);
  moon_budget_charge(L, host, PRINT_STEPS);
  luaL_Buffer line;
  luaL_buffinit(L, &line);
  for (int i = 1; i <= n; i++) {
    if (i > 1) luaL_addchar(&line, '\t');
    luaL_tolstring(L, i, NULL);
    luaL_addvalue(&line);
  }
  luaL_pushresult(&line);
  size_t bytes;
  const char *text = lua_tolstring(L, -1, &bytes);
  if (host->options.print) host->options.print(host->options.print_self, text, bytes);
  return 0;
}

/* ---- globals that are not there */

enum { NAMES_MAX = 512 };

static int unknown_global(lua_State *L) {
  if (lua_type(L, 2) != LUA_TSTRING) return luaL_error(L, "there is no global of this name (a %s)", luaL_typename(L, 2));
  const char *name = lua_tostring(L, 2);
  for (size_t i = 0; withheld[i]; i++)
    if (!strcmp(name, withheld[i])) return luaL_error(L, "'%s' is not available in the sandbox", name);
  const char *names[NAMES_MAX];
  size_t n = 0;
  lua_pushnil(L);
  while (n < NAMES_MAX && lua_next(L, 1)) {
    if (lua_type(L, -2) == LUA_TSTRING) names[n++] = lua_tostring(L, -2);
    lua_pop(L, 1);
  }
  return moon_lua_unknown(L, "global", name, names, n);
}

int moon_lua_unknown(lua_State *L, const char *what, const char *name, const char *const *names, size_t count) {
  const char *near = count ? moon_nearest(name, names, count) : NULL;
  if (near) return luaL_error(L, "there is no %s '%s'; did you mean '%s'?", what, name, near);
  return luaL_error(L, "there is no %s '%s'", what, name);
}

/* ---- the environment */

/* Copies the named fields (or all, where names is NULL) of the table at `from` into the table at the top. */
static void copy_fields(lua_State *L, int from, const char *const *names) {
  int to = lua_gettop(L);
  for (size_t i = 0; names && names[i]; i++) {
    lua_getfield(L, from, names[i]);
    lua_setfield(L, to, names[i]);
  }
  if (names) return;
  lua_pushnil(L);
  while (lua_next(L, from)) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, to);
  }
}

static void open_libraries(lua_State *L) {
  static const luaL_Reg libraries[] = {{LUA_STRLIBNAME, luaopen_string},  {LUA_TABLIBNAME, luaopen_table},
                                       {LUA_MATHLIBNAME, luaopen_math},   {LUA_UTF8LIBNAME, luaopen_utf8},
                                       {LUA_OSLIBNAME, luaopen_os},       {LUA_DBLIBNAME, luaopen_debug},
                                       {LUA_COLIBNAME, luaopen_coroutine}};
  luaL_requiref(L, LUA_GNAME, luaopen_base, 1);
  lua_pop(L, 1);
  for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++) {
    luaL_requiref(L, libraries[i].name, libraries[i].func, 0);
    lua_pop(L, 1);
  }
}

/* A copy of a library for the sandbox, set as a field of the environment at `env`; `guard` replaces what is dangerous. */
static void add_library(lua_State *L, int env, const char *name, const char *const *names, void (*guard)(lua_State *L),
                        bool face) {
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, -1, name);
  lua_newtable(L);
  copy_fields(L, lua_gettop(L) - 1, names);
  if (guard) guard(L);
  if (face) moon_sandbox_protect(L, name);
  lua_setfield(L, env, name);
  lua_pop(L, 2);
}

/* Strings' methods are the sandbox's functions too, and their metatable is out of reach. */
static void guard_string(lua_State *L) {
  moon_guard_string(L);
  moon_patterns_install(L);
  lua_pushliteral(L, "");
  lua_getmetatable(L, -1);
  lua_pushvalue(L, -3);
  lua_setfield(L, -2, "__index");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 2);
}

static void add_base(lua_State *L, int env) {
  static const char *const names[] = {"assert", "error",  "ipairs",   "next",     "pairs", "rawequal", "rawget",
                                      "rawlen", "select", "tonumber", "tostring", "type",  "_VERSION", NULL};
  lua_pushglobaltable(L);
  lua_pushvalue(L, env);
  copy_fields(L, lua_gettop(L) - 1, names);
  moon_metatables_install(L);
  if (moon_host_of(L)->options.deterministic) moon_deterministic_base(L);
  lua_pop(L, 2);
  lua_pushcfunction(L, safe_print);
  lua_setfield(L, env, "print");
  lua_pushcfunction(L, moon_sandbox_require);
  lua_setfield(L, env, "require");
  lua_pushvalue(L, env);
  lua_setfield(L, env, LUA_GNAME);
}

static void add_meta(lua_State *L, int env) {
  lua_createtable(L, 0, 2);
  lua_pushcfunction(L, unknown_global);
  lua_setfield(L, -2, "__index");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_setmetatable(L, env);
}

static int refuse_global(lua_State *L) {
  return luaL_error(L, "globals are read-only in policies and gates ('%s' cannot be set); use a local", luaL_tolstring(L, 2, NULL));
}

/* All that is there moves into a table behind the environment, which stays empty, so that every assignment is to something new. */
void moon_sandbox_freeze(lua_State *L) {
  moon_sandbox_push(L);
  int env = lua_gettop(L);
  lua_newtable(L);
  copy_fields(L, env, NULL);
  for (lua_pushnil(L); lua_next(L, env); lua_pop(L, 1)) {
    lua_pushvalue(L, -2);
    lua_pushnil(L);
    lua_rawset(L, env); /* to an existing field: allowed while it is walked */
  }
  lua_getmetatable(L, env);
  lua_setmetatable(L, -2); /* names that are not there are refused one table further */
  lua_createtable(L, 0, 3);
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, refuse_global);
  lua_setfield(L, -2, "__newindex");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_setmetatable(L, env);
  lua_settop(L, env - 1);
}

void moon_sandbox_open(lua_State *L) {
  static const char *const clock_only[] = {"time", "date", "clock", NULL};
  open_libraries(L);
  lua_newtable(L);
  int env = lua_gettop(L);
  add_base(L, env);
  add_library(L, env, LUA_STRLIBNAME, NULL, guard_string, true);
  add_library(L, env, LUA_TABLIBNAME, NULL, moon_guard_table, true);
  add_library(L, env, LUA_MATHLIBNAME, NULL, moon_guard_math, true);
  add_library(L, env, LUA_UTF8LIBNAME, NULL, moon_guard_utf8, true);
  add_library(L, env, LUA_OSLIBNAME, clock_only, moon_guard_os, true);
  add_library(L, env, LUA_COLIBNAME, NULL, NULL, false);
  lua_pushvalue(L, env);
  moon_budget_install(L);
  lua_getfield(L, env, LUA_COLIBNAME);
  moon_sandbox_protect(L, LUA_COLIBNAME);
  lua_setfield(L, env, LUA_COLIBNAME);
  lua_pop(L, 1);
  add_meta(L, env);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &env_key);
}

/* metatables.c - metatables without finalisers and without weak tables.
 *
 * A finaliser (__gc) runs where no hook looks. Weak tables (__mode) let a script see when the collector runs, and with weak keys they
 * make it slow: a chain of n keys takes n^2 steps in one go, which for 16,000 is more than a second. The collector reads __mode
 * whenever it comes by, so it is not enough to look when setmetatable is called: a table that has become a metatable is sealed. Its
 * own metatable gets a __newindex that refuses these two names. One that it has already is not the script's to change any more, so the
 * table gets a copy of it, which only getmetatable could tell from the original, and does not. */
#include <string.h>

#include "script/internal.h"

#define ORIGINAL "moonshelf.original" /* of a copy: the metatable that it was made from; of the plain seal: false */

static const char *const refused[] = {"__gc", "__mode"};

static void check_key(lua_State *L, int index, const char *who) {
  for (size_t i = 0; lua_type(L, index) == LUA_TSTRING && i < sizeof refused / sizeof *refused; i++)
    if (!strcmp(lua_tostring(L, index), refused[i])) luaL_error(L, "%s: %s is not available to scripts", who, refused[i]);
}

/* __newindex of a sealed table. Upvalue 1: what it would have been without the seal. */
static int sealed_newindex(lua_State *L) {
  check_key(L, 2, "a metatable");
  switch (lua_type(L, lua_upvalueindex(1))) {
    case LUA_TNIL:
      lua_rawset(L, 1);
      return 0;
    case LUA_TFUNCTION:
      lua_pushvalue(L, lua_upvalueindex(1));
      lua_insert(L, 1);
      lua_call(L, 3, 0);
      return 0;
    default: /* a table, or what says with its own metatable what to do */
      lua_pushvalue(L, lua_upvalueindex(1));
      lua_replace(L, 1);
      lua_settable(L, 1);
      return 0;
  }
}

/* Whether the table at `index` is sealed; then its seal is pushed. */
static bool push_seal(lua_State *L, int index) {
  if (!lua_getmetatable(L, index)) return false;
  lua_pushliteral(L, ORIGINAL);
  if (lua_rawget(L, -2) != LUA_TNIL) {
    lua_pop(L, 1);
    return true;
  }
  lua_pop(L, 2);
  return false;
}

static void copy_fields(lua_State *L, int from) {
  int to = lua_gettop(L);
  for (lua_pushnil(L); lua_next(L, from);) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, to);
  }
}

/* Seals the table at `index`, whose metatable is to look like the one at `original` (nil: none). */
static void seal(lua_State *L, int index, int original) {
  lua_newtable(L);
  bool has = lua_type(L, original) == LUA_TTABLE;
  if (has) {
    moon_budget_charge(L, moon_host_of(L), lua_rawlen(L, original) / 4 + 20);
    copy_fields(L, original);
  }
  lua_pushliteral(L, ORIGINAL);
  if (has)
    lua_pushvalue(L, original);
  else
    lua_pushboolean(L, 0);
  lua_rawset(L, -3);
  lua_pushliteral(L, "__newindex");
  lua_rawget(L, -2);
  lua_pushcclosure(L, sealed_newindex, 1);
  lua_setfield(L, -2, "__newindex");
  lua_setmetatable(L, index);
}

/* The table at 2 is about to be a metatable. */
static void become_metatable(lua_State *L) {
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    lua_pushstring(L, refused[i]);
    if (lua_rawget(L, 2) != LUA_TNIL) luaL_error(L, "setmetatable: %s is not available to scripts", refused[i]);
    lua_pop(L, 1);
  }
  if (push_seal(L, 2)) {
    lua_pop(L, 1);
    return;
  }
  if (!lua_getmetatable(L, 2)) lua_pushnil(L);
  seal(L, 2, lua_gettop(L));
  lua_pop(L, 1);
}

static int safe_setmetatable(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  int type = lua_type(L, 2);
  luaL_argexpected(L, type == LUA_TNIL || type == LUA_TTABLE, 2, "nil or table");
  if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL) return luaL_error(L, "cannot change a protected metatable");
  lua_settop(L, 2);
  if (type == LUA_TTABLE) become_metatable(L);
  if (push_seal(L, 1)) {
    lua_pop(L, 1);
    seal(L, 1, 2);
    lua_settop(L, 1);
    return 1;
  }
  lua_settop(L, 2);
  lua_setmetatable(L, 1);
  return 1;
}

static int safe_getmetatable(lua_State *L) {
  luaL_checkany(L, 1);
  lua_settop(L, 1);
  if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL) return 1;
  if (push_seal(L, 1)) {
    lua_pushliteral(L, ORIGINAL);
    lua_rawget(L, -2);
    if (!lua_toboolean(L, -1)) lua_pushnil(L);
    return 1;
  }
  return lua_getmetatable(L, 1) ? 1 : (lua_pushnil(L), 1);
}

static int safe_rawset(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checkany(L, 2);
  luaL_checkany(L, 3);
  if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL) return luaL_error(L, "rawset: the table is protected");
  check_key(L, 2, "rawset");
  lua_settop(L, 3);
  lua_rawset(L, 1);
  return 1;
}

void moon_metatables_install(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"setmetatable", safe_setmetatable}, {"getmetatable", safe_getmetatable}, {"rawset", safe_rawset}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}

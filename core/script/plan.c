/* plan.c - a plan made of Lua tables becomes JSON, exactly.
 *
 * lua-cjson (2.1, as distributions have it) writes 14 digits and {} for every empty table; a plan holds times in microseconds and
 * empty lists. So the tables are walked into jansson's values: integers stay integers, reals keep all digits, and a table marked
 * by native.array is an array even where it is empty. The walk never raises: a Lua error would jump over json_t references. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "script/internal.h"

enum { DEPTH_LIMIT = 40 };
#define ARRAY_TYPE "moonshelf.array"
#define JSON_TYPE "moonshelf.json"

static bool convert(lua_State *L, int index, int depth, json_t **out, char why[160]);

static bool is_array(lua_State *L, int index) {
  if (lua_getmetatable(L, index)) {
    luaL_getmetatable(L, ARRAY_TYPE);
    bool marked = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    if (marked) return true;
  }
  return lua_rawlen(L, index) > 0;
}

static bool convert_array(lua_State *L, int index, int depth, json_t *array, char why[160]) {
  for (lua_Unsigned i = 1, n = lua_rawlen(L, index); i <= n; i++) {
    lua_rawgeti(L, index, (lua_Integer)i);
    json_t *item = NULL;
    bool fine = convert(L, -1, depth + 1, &item, why);
    if (json_array_append_new(array, item ? item : json_null())) fine = false;
    lua_pop(L, 1);
    if (!fine) return false;
  }
  return true;
}

static bool convert_object(lua_State *L, int index, int depth, json_t *object, char why[160]) {
  lua_pushnil(L);
  while (lua_next(L, index)) {
    if (lua_type(L, -2) != LUA_TSTRING) {
      snprintf(why, 160, "a table has a key that is not a string");
      return false;
    }
    json_t *item = NULL;
    bool fine = convert(L, -1, depth + 1, &item, why);
    const char *key = lua_tostring(L, -2);
    if (fine && (!item || json_object_set_new(object, key, item))) {
      snprintf(why, 160, "the key '%.100s' is not UTF-8", key);
      return false;
    }
    if (!fine) {
      json_decref(item);
      return false;
    }
    lua_pop(L, 1);
  }
  return true;
}

static bool convert_table(lua_State *L, int index, int depth, json_t **out, char why[160]) {
  if (depth > DEPTH_LIMIT || !lua_checkstack(L, 8)) {
    snprintf(why, 160, "tables are nested too deep");
    return false;
  }
  index = lua_absindex(L, index);
  bool array = is_array(L, index);
  *out = array ? json_array() : json_object();
  if (!*out) {
    snprintf(why, 160, "no memory");
    return false;
  }
  int top = lua_gettop(L);
  bool fine = array ? convert_array(L, index, depth, *out, why) : convert_object(L, index, depth, *out, why);
  lua_settop(L, top);
  return fine;
}

static bool convert(lua_State *L, int index, int depth, json_t **out, char why[160]) {
  *out = NULL;
  switch (lua_type(L, index)) {
    case LUA_TBOOLEAN: *out = json_boolean(lua_toboolean(L, index)); break;
    case LUA_TNUMBER:
      *out = lua_isinteger(L, index) ? json_integer(lua_tointeger(L, index)) : json_real(lua_tonumber(L, index));
      if (!*out) snprintf(why, 160, "a number is not finite");
      break;
    case LUA_TSTRING: {
      size_t n;
      const char *text = lua_tolstring(L, index, &n);
      *out = json_stringn(text, n);
      if (!*out) snprintf(why, 160, "a string is not UTF-8: \"%.60s\"", text);
      break;
    }
    case LUA_TTABLE: return convert_table(L, index, depth, out, why);
    default: snprintf(why, 160, "a %s cannot be part of it", lua_typename(L, lua_type(L, index)));
  }
  return *out != NULL;
}

bool moon_plan_json(lua_State *L, int index, json_t **out, char why[160]) {
  snprintf(why, 160, "no memory");
  return convert(L, index, 0, out, why);
}

/* ---- for the Lua side: native.array, native.result, native.plan */

static int native_array(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  luaL_setmetatable(L, ARRAY_TYPE);
  return 1;
}

/* (kind, name, plan, functions) -> the opaque object that a script returns */
static int native_result(lua_State *L) {
  luaL_checkstring(L, 1);
  luaL_checkstring(L, 2);
  luaL_checktype(L, 3, LUA_TTABLE);
  luaL_checktype(L, 4, LUA_TTABLE);
  lua_settop(L, 4);
  lua_newuserdatauv(L, 0, 4);
  lua_pushvalue(L, 3);
  lua_setiuservalue(L, 5, 1);
  lua_pushvalue(L, 4);
  lua_setiuservalue(L, 5, 2);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, 5, 3);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, 5, 4);
  luaL_setmetatable(L, MOON_RESULT_TYPE);
  return 1;
}

static int result_tostring(lua_State *L) {
  luaL_checkudata(L, 1, MOON_RESULT_TYPE);
  lua_getiuservalue(L, 1, 3);
  lua_getiuservalue(L, 1, 4);
  lua_pushfstring(L, "moonshelf %s '%s'", lua_tostring(L, -2), lua_tostring(L, -1));
  return 1;
}

static int json_collect(lua_State *L) {
  json_t **json = luaL_checkudata(L, 1, JSON_TYPE);
  json_decref(*json);
  *json = NULL;
  return 0;
}

json_t **moon_json_room(lua_State *L) {
  json_t **json = lua_newuserdatauv(L, sizeof *json, 0);
  *json = NULL;
  luaL_setmetatable(L, JSON_TYPE);
  return json;
}

json_t *moon_json_push(lua_State *L, int index, const char *what) {
  index = lua_absindex(L, index);
  json_t **json = moon_json_room(L); /* collected whatever happens below */
  char why[160];
  if (!moon_plan_json(L, index, json, why)) {
    moon_push_place(L);
    lua_pushfstring(L, "%s cannot be written as JSON: %s", what, why);
    lua_concat(L, 2);
    lua_error(L);
  }
  return *json;
}

/* (result) -> the plan as JSON text with sorted keys */
static int native_plan(lua_State *L) {
  luaL_checkudata(L, 1, MOON_RESULT_TYPE);
  lua_getiuservalue(L, 1, 1);
  json_t *json = moon_json_push(L, -1, "the plan");
  size_t flags = JSON_COMPACT | JSON_SORT_KEYS, n = json_dumpb(json, NULL, 0, flags);
  char *text = lua_newuserdatauv(L, n ? n : 1, 0);
  json_dumpb(json, text, n, flags);
  lua_pushlstring(L, text, n);
  return 1;
}

void moon_plan_install(lua_State *L) {
  luaL_newmetatable(L, ARRAY_TYPE);
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
  luaL_newmetatable(L, JSON_TYPE);
  lua_pushcfunction(L, json_collect);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
  luaL_newmetatable(L, MOON_RESULT_TYPE);
  lua_pushcfunction(L, result_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
  static const luaL_Reg functions[] = {{"array", native_array}, {"result", native_result}, {"plan", native_plan}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}

/* deterministic.c - what a host that is asked for the same bytes each time has in the place of some of Lua's functions.
 *
 * Three things in Lua differ from run to run: the order of pairs and next, which follows addresses and a seed; the clock; and
 * addresses in texts. Here keys come in an order of their own (numbers from the least, then strings by their bytes, then false and
 * true), the time is that of the request, in UTC, and an address is not told. Keys that have no order of their own are an error. */
#include <string.h>
#include <time.h>

#include "script/internal.h"

/* ---- the order of keys */

static int rank_of(lua_State *L, int index) {
  switch (lua_type(L, index)) {
    case LUA_TNUMBER:
      return 0;
    case LUA_TSTRING:
      return 1;
    case LUA_TBOOLEAN:
      return 2;
    default:
      return luaL_error(
          L, "pairs and next: keys that are a %s have no order; deterministic scripts use numbers, strings and booleans",
          luaL_typename(L, index));
  }
}

static bool key_before(lua_State *L, int a, int b) {
  int rank = rank_of(L, a), other = rank_of(L, b);
  if (rank != other) return rank < other;
  if (rank == 2) return lua_toboolean(L, a) < lua_toboolean(L, b);
  if (rank == 0) return lua_compare(L, a, b, LUA_OPLT);
  size_t n, m;
  const char *x = lua_tolstring(L, a, &n), *y = lua_tolstring(L, b, &m);
  int order = memcmp(x, y, n < m ? n : m);
  return order ? order < 0 : n < m;
}

static int key_less(lua_State *L) {
  lua_pushboolean(L, key_before(L, 1, 2));
  return 1;
}

/* ---- pairs and next */

/* Upvalues: the keys in order, and how many are gone through. A key that is gone from the table is passed over. */
static int next_of_list(lua_State *L) {
  for (lua_Integer i = lua_tointeger(L, lua_upvalueindex(2)) + 1;; i++) {
    if (lua_rawgeti(L, lua_upvalueindex(1), i) == LUA_TNIL) return 1;
    lua_pushinteger(L, i);
    lua_replace(L, lua_upvalueindex(2));
    lua_pushvalue(L, -1);
    if (lua_rawget(L, 1) != LUA_TNIL) return 2;
    lua_pop(L, 2);
  }
}

static int ordered_pairs(lua_State *L) {
  luaL_checkany(L, 1);
  lua_settop(L, 1);
  if (luaL_getmetafield(L, 1, "__pairs") != LUA_TNIL) {
    lua_insert(L, 1);
    lua_call(L, 1, 3);
    return 3;
  }
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_pushcfunction(L, moon_table_sort);
  lua_newtable(L);
  lua_Integer n = 0;
  for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) {
    rank_of(L, -2);
    lua_pushvalue(L, -2);
    lua_rawseti(L, 3, ++n);
  }
  moon_budget_charge(L, moon_host_of(L), 4 * (uint64_t)n);
  lua_pushvalue(L, 3);
  lua_insert(L, 2);
  lua_pushcfunction(L, key_less);
  lua_call(L, 2, 0);
  lua_pushinteger(L, 0);
  lua_pushcclosure(L, next_of_list, 2);
  lua_pushvalue(L, 1);
  lua_pushnil(L);
  return 3;
}

/* The least key that comes after the one at 2, or the least of all: a walk through the whole table, and paid as one. */
static int ordered_next(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 2);
  if (!lua_isnil(L, 2)) rank_of(L, 2); /* a key that was taken away meanwhile still has its place */
  lua_pushnil(L);                      /* 3: the best so far */
  for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) {
    moon_budget_charge(L, moon_host_of(L), 4);
    rank_of(L, -2);
    if (!lua_isnil(L, 2) && !key_before(L, 2, lua_gettop(L) - 1)) continue;
    if (!lua_isnil(L, 3) && !key_before(L, lua_gettop(L) - 1, 3)) continue;
    lua_pushvalue(L, -2);
    lua_replace(L, 3);
  }
  if (lua_isnil(L, 3)) return 1;
  lua_pushvalue(L, 3);
  lua_rawget(L, 1);
  return 2;
}

/* ---- the clock */

static time_t seconds_now(lua_State *L) {
  int64_t now = moon_host_of(L)->now;
  return (time_t)(now / MOON_SECOND - (now % MOON_SECOND < 0));
}

static int field(lua_State *L, const char *name, int otherwise) {
  int fine;
  lua_getfield(L, 1, name);
  lua_Integer value = lua_tointegerx(L, -1, &fine);
  if (lua_isnil(L, -1)) fine = 1, value = otherwise;
  if (!fine) return luaL_error(L, "field '%s' is not an integer", name);
  if (value < -1000000 || value > 1000000) return luaL_error(L, "field '%s' is out of bounds", name);
  lua_pop(L, 1);
  return (int)value;
}

static int virtual_time(lua_State *L) {
  if (lua_isnoneornil(L, 1)) {
    lua_pushinteger(L, (lua_Integer)seconds_now(L));
    return 1;
  }
  luaL_checktype(L, 1, LUA_TTABLE);
  static const char *const needed[] = {"year", "month", "day"};
  for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
    if (lua_getfield(L, 1, needed[i]) == LUA_TNIL) return luaL_error(L, "field '%s' missing in date table", needed[i]);
  struct tm parts = {.tm_year = field(L, "year", 0) - 1900,
                     .tm_mon = field(L, "month", 1) - 1,
                     .tm_mday = field(L, "day", 1),
                     .tm_hour = field(L, "hour", 12),
                     .tm_min = field(L, "min", 0),
                     .tm_sec = field(L, "sec", 0)};
  lua_pushinteger(L, (lua_Integer)timegm(&parts));
  return 1;
}

static int virtual_clock(lua_State *L) {
  lua_pushnumber(L, (lua_Number)moon_host_of(L)->now / 1e6);
  return 1;
}

/* Upvalue: what os.date is without this. */
static int virtual_date(lua_State *L) {
  const char *format = luaL_optstring(L, 1, "%c");
  lua_settop(L, 2);
  if (*format == '!')
    lua_pushstring(L, format);
  else
    lua_pushfstring(L, "!%s", format);
  lua_replace(L, 1);
  if (lua_isnil(L, 2)) {
    lua_pushinteger(L, (lua_Integer)seconds_now(L));
    lua_replace(L, 2);
  }
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, 2, 1);
  return 1;
}

/* ---- texts */

/* Whether the text of the value at `index` would be its address. */
static bool shows_address(lua_State *L, int index) {
  int type = lua_type(L, index);
  if (type != LUA_TTABLE && type != LUA_TFUNCTION && type != LUA_TTHREAD && type != LUA_TUSERDATA && type != LUA_TLIGHTUSERDATA)
    return false;
  if (luaL_getmetafield(L, index, "__tostring") == LUA_TNIL) return true;
  lua_pop(L, 1);
  return false;
}

static int text_without_address(lua_State *L) {
  luaL_checkany(L, 1);
  if (shows_address(L, 1))
    lua_pushstring(L, luaL_typename(L, 1));
  else
    luaL_tolstring(L, 1, NULL);
  return 1;
}

/* Upvalue: what string.format is without this. */
static int format_without_address(lua_State *L) {
  const char *format = luaL_checkstring(L, 1);
  for (const char *p = strchr(format, '%'); p; p = strchr(p, '%')) {
    p += 1 + strspn(p + 1, "-+ #0123456789.");
    if (*p == 'p') return luaL_error(L, "string.format: %%p is not available to deterministic scripts");
    p += *p != 0;
  }
  for (int i = 2, top = lua_gettop(L); i <= top; i++) {
    if (!shows_address(L, i)) continue;
    lua_pushstring(L, luaL_typename(L, i));
    lua_replace(L, i);
  }
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, 1);
  return 1;
}

/* ---- registration */

static void over(lua_State *L, const char *name, lua_CFunction with) {
  lua_getfield(L, -1, name);
  lua_pushcclosure(L, with, 1);
  lua_setfield(L, -2, name);
}

void moon_deterministic_base(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"pairs", ordered_pairs}, {"next", ordered_next}, {"tostring", text_without_address}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}

void moon_deterministic_os(lua_State *L) {
  static const luaL_Reg functions[] = {{"time", virtual_time}, {"clock", virtual_clock}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
  over(L, "date", virtual_date);
}

void moon_deterministic_string(lua_State *L) {
  over(L, "format", format_without_address);
}

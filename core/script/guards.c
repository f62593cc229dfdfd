/* guards.c - library functions that could do much work within one instruction, made to pay for it first.
 *
 * The hook counts instructions of the Lua machine and cannot look inside a C function: table.move over 2^60 places, string.rep of
 * nothing, or a table whose __len lies would never come back. Each guard works out what the call is about to cost, charges that
 * to the budget, and then calls Lua's own function (its upvalue). math.random draws from the host's seeded generator, so that a
 * page can be made again. */
#include <string.h>

#include "script/internal.h"

#include <lua-cjson.h> /* wants lua.h before it */

static int original(lua_State *L) {
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

static void charge(lua_State *L, uint64_t cost) { moon_budget_charge(L, moon_host_of(L), cost); }

/* The length of the table at 1. A __len could answer anything, and something else when Lua's function asks again. */
static lua_Integer length(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  if (luaL_getmetafield(L, 1, "__len") != LUA_TNIL) luaL_error(L, "the table library does not take tables with a __len here");
  return (lua_Integer)lua_rawlen(L, 1);
}

static void charge_range(lua_State *L, lua_Integer first, lua_Integer last) {
  if (last >= first) charge(L, (uint64_t)last - (uint64_t)first);
}

/* ---- table */

static int table_insert(lua_State *L) {
  lua_Integer n = length(L);
  if (lua_gettop(L) == 3) charge_range(L, luaL_checkinteger(L, 2), n);
  return original(L);
}

static int table_remove(lua_State *L) {
  lua_Integer n = length(L);
  if (lua_gettop(L) >= 2) charge_range(L, luaL_checkinteger(L, 2), n);
  return original(L);
}

static int table_move(lua_State *L) {
  charge_range(L, luaL_checkinteger(L, 2), luaL_checkinteger(L, 3));
  return original(L);
}

static int table_concat(lua_State *L) {
  lua_Integer n = length(L);
  charge_range(L, luaL_optinteger(L, 3, 1), luaL_optinteger(L, 4, n));
  return original(L);
}

static int table_unpack(lua_State *L) {
  lua_Integer n = lua_isnoneornil(L, 3) ? length(L) : 0;
  charge_range(L, luaL_optinteger(L, 2, 1), luaL_optinteger(L, 3, n));
  return original(L);
}

/* ---- strings */

static int string_rep(lua_State *L) {
  size_t n, separator = 0;
  luaL_checklstring(L, 1, &n);
  lua_Integer times = luaL_checkinteger(L, 2);
  luaL_optlstring(L, 3, "", &separator);
  if (times > 1 && n + separator == 0) { /* nothing, often: Lua would loop */
    lua_pushinteger(L, 1);
    lua_replace(L, 2);
  } else if (times > 1) {
    size_t most = moon_host_of(L)->ceiling;
    if ((uint64_t)times > most / (n + separator))
      return luaL_error(L, "string.rep: not enough memory: the script's limit is %d MiB", (int)(most >> 20));
    charge(L, (uint64_t)times / 2 + (uint64_t)times * (n + separator) / 32);
  }
  return original(L);
}

/* For functions that walk along their strings and give back little. */
static int per_byte(lua_State *L) {
  uint64_t bytes = 0;
  for (int i = 1, n = lua_gettop(L); i <= n; i++)
    if (lua_type(L, i) == LUA_TSTRING) bytes += lua_rawlen(L, i);
  charge(L, bytes / 16);
  return original(L);
}

/* The same for those that work on every byte: what they give back is as long. */
static int twice_per_byte(lua_State *L) {
  size_t n = 0;
  luaL_checklstring(L, 1, &n);
  charge(L, n / 8);
  return original(L);
}

/* A number with many digits takes long, and so does a text in quotes. */
static int string_format(lua_State *L) {
  enum { PER_VALUE = 500, PER_BYTE_QUOTED = 8 };
  size_t n, bytes = 0, values = 0;
  const char *format = luaL_checklstring(L, 1, &n);
  for (size_t i = 0; i < n; i++) values += format[i] == '%';
  for (int i = 2, top = lua_gettop(L); i <= top; i++)
    if (lua_type(L, i) == LUA_TSTRING) bytes += lua_rawlen(L, i);
  charge(L, values * PER_VALUE + (n + bytes) / 4 + (memmem(format, n, "%q", 2) ? PER_BYTE_QUOTED * bytes : 0));
  return original(L);
}

/* ---- os.date: each letter of a format may become a whole date */

static int os_date(lua_State *L) {
  enum { FORMAT_MAX = 200 };
  size_t n = 0;
  luaL_optlstring(L, 1, "%c", &n);
  luaL_argcheck(L, n <= FORMAT_MAX, 1, "a format of more than 200 characters");
  charge(L, 50 * n + 50);
  return original(L);
}

/* ---- math.random from the host's generator */

static int math_random(lua_State *L) {
  moon_rng *rng = &moon_host_of(L)->rng;
  lua_Integer low = 1, high;
  switch (lua_gettop(L)) {
    case 0: lua_pushnumber(L, moon_rng_uniform(rng)); return 1;
    case 1:
      high = luaL_checkinteger(L, 1);
      if (high == 0) {
        lua_pushinteger(L, (lua_Integer)moon_rng_u64(rng));
        return 1;
      }
      break;
    case 2:
      low = luaL_checkinteger(L, 1);
      high = luaL_checkinteger(L, 2);
      break;
    default: return luaL_error(L, "wrong number of arguments");
  }
  luaL_argcheck(L, low <= high, lua_gettop(L), "interval is empty");
  uint64_t range = (uint64_t)high - (uint64_t)low, drawn;
  if (range < UINT32_MAX) {
    drawn = moon_rng_below(rng, (uint32_t)range + 1);
  } else {
    uint64_t mask = UINT64_MAX; /* the smallest 2^k - 1 that covers the range, then draw until one fits */
    while (mask >> 1 >= range) mask >>= 1;
    do drawn = moon_rng_u64(rng) & mask;
    while (drawn > range);
  }
  lua_pushinteger(L, (lua_Integer)(drawn + (uint64_t)low));
  return 1;
}

static int math_randomseed(lua_State *L) {
  return luaL_error(L, "math.randomseed: the runtime seeds random numbers, so that a page can be made again");
}

/* ---- cjson: encode looks at the size first, since lua-cjson's buffer is outside the host's memory limit */

enum { JSON_BYTES_MAX = 16 * 1024 * 1024, JSON_DEPTH_MAX = 100 };

static void measure(lua_State *L, int index, int depth, uint64_t *bytes) {
  if (lua_type(L, index) == LUA_TSTRING) *bytes += 6 * lua_rawlen(L, index); /* "\u0000" */
  *bytes += 32;
  if (*bytes > JSON_BYTES_MAX) luaL_error(L, "cjson.encode: more than 16 MiB of JSON");
  if (lua_type(L, index) != LUA_TTABLE) return;
  if (depth > JSON_DEPTH_MAX || !lua_checkstack(L, 4)) luaL_error(L, "cjson.encode: tables are nested too deep");
  charge(L, 1);
  lua_pushnil(L);
  while (lua_next(L, index)) {
    measure(L, lua_gettop(L) - 1, depth + 1, bytes);
    measure(L, lua_gettop(L), depth + 1, bytes);
    lua_pop(L, 1);
  }
}

static int json_encode(lua_State *L) {
  uint64_t bytes = 0;
  luaL_checkany(L, 1);
  lua_settop(L, 1);
  measure(L, 1, 0, &bytes);
  charge(L, bytes / 16);
  return original(L);
}

static int json_decode(lua_State *L) {
  size_t n;
  luaL_checklstring(L, 1, &n);
  luaL_argcheck(L, n <= JSON_BYTES_MAX, 1, "more than 16 MiB of JSON");
  lua_settop(L, 1);
  charge(L, n / 4);
  return original(L);
}

/* ---- registration */

typedef struct guard {
  const char *name;
  lua_CFunction with;
} guard;

/* Each named function of the table at the top becomes a guard over itself. */
static void install(lua_State *L, const guard *guards) {
  for (; guards->name; guards++) {
    lua_getfield(L, -1, guards->name);
    lua_pushcclosure(L, guards->with, 1);
    lua_setfield(L, -2, guards->name);
  }
}

void moon_guard_table(lua_State *L) {
  static const guard guards[] = {
      {"insert", table_insert}, {"remove", table_remove}, {"move", table_move}, {"concat", table_concat},
      {"unpack", table_unpack}, {NULL, NULL}};
  install(L, guards);
  lua_pushcfunction(L, moon_table_sort);
  lua_setfield(L, -2, "sort");
}

void moon_guard_string(lua_State *L) {
  static const guard guards[] = {{"rep", string_rep},       {"unpack", per_byte},      {"byte", per_byte},          {"packsize", per_byte},
                                 {"pack", per_byte},        {"lower", twice_per_byte}, {"upper", twice_per_byte},   {"reverse", twice_per_byte},
                                 {"format", string_format}, {NULL, NULL}};
  install(L, guards);
  lua_pushnil(L);
  lua_setfield(L, -2, "dump");
  if (moon_host_of(L)->options.deterministic) moon_deterministic_string(L);
}

void moon_guard_utf8(lua_State *L) {
  static const guard guards[] = {{"len", per_byte}, {"offset", per_byte}, {"codepoint", per_byte}, {NULL, NULL}};
  install(L, guards);
}

void moon_guard_math(lua_State *L) {
  static const guard guards[] = {{"random", math_random}, {"randomseed", math_randomseed}, {NULL, NULL}};
  install(L, guards);
}

void moon_guard_os(lua_State *L) {
  static const guard guards[] = {{"date", os_date}, {NULL, NULL}};
  install(L, guards);
  if (moon_host_of(L)->options.deterministic) moon_deterministic_os(L);
}

void moon_guard_json(lua_State *L) {
  static const guard guards[] = {{"encode", json_encode}, {"decode", json_decode}, {NULL, NULL}};
  luaL_requiref(L, "cjson", luaopen_cjson, 0);
  lua_createtable(L, 0, 3);
  static const char *const names[] = {"encode", "decode", "null"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    lua_getfield(L, -2, names[i]);
    lua_setfield(L, -2, names[i]);
  }
  install(L, guards);
  moon_sandbox_protect(L, "cjson");
  lua_remove(L, -2);
}

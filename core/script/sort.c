/* sort.c - the sandbox's table.sort: merges, so equal elements keep their order and a page is the same each time.
 *
 * Lua's own sort picks pivots by the clock where they turn out badly, and may compare without end on a comparison that lies. A merge
 * of n elements makes n log n comparisons whatever those say. Each is charged, by the length of its strings too; the table is written
 * last, so that an error in a comparison leaves it as it was. */
#include "script/internal.h"

enum { FUNCTION = 2, FROM = 3, TO = 4 }; /* stack: 1 the table, the comparison or nil, and two lists that are merged to and fro */

/* Whether the element at `b` goes before the one at `a`, both in FROM. */
static bool goes_before(lua_State *L, moon_host *host, lua_Integer b, lua_Integer a) {
  bool less;
  if (lua_isnil(L, FUNCTION)) {
    lua_rawgeti(L, FROM, b);
    lua_rawgeti(L, FROM, a);
    size_t bytes = lua_type(L, -1) == LUA_TSTRING ? lua_rawlen(L, -1) : 0;
    moon_budget_charge(L, host, 8 + bytes / 16);
    less = lua_compare(L, -2, -1, LUA_OPLT);
    lua_pop(L, 2);
  } else {
    moon_budget_charge(L, host, 8);
    lua_pushvalue(L, FUNCTION);
    lua_rawgeti(L, FROM, b);
    lua_rawgeti(L, FROM, a);
    lua_call(L, 2, 1);
    less = lua_toboolean(L, -1);
    lua_pop(L, 1);
  }
  return less;
}

/* The runs [low, middle) and [middle, high) of FROM become one run of TO. */
static void merge(lua_State *L, moon_host *host, lua_Integer low, lua_Integer middle, lua_Integer high) {
  lua_Integer a = low, b = middle;
  for (lua_Integer i = low; i < high; i++) {
    bool second = a >= middle || (b < high && goes_before(L, host, b, a));
    lua_rawgeti(L, FROM, second ? b++ : a++);
    lua_rawseti(L, TO, i);
  }
}

int moon_table_sort(lua_State *L) {
  moon_host *host = moon_host_of(L);
  luaL_checktype(L, 1, LUA_TTABLE);
  if (luaL_getmetafield(L, 1, "__len") != LUA_TNIL) return luaL_error(L, "table.sort: the table must not have a __len");
  if (!lua_isnoneornil(L, FUNCTION)) luaL_checktype(L, FUNCTION, LUA_TFUNCTION);
  lua_settop(L, FUNCTION);
  lua_Integer n = (lua_Integer)lua_rawlen(L, 1);
  if (n < 2) return 0;
  moon_budget_charge(L, host, 8 * (uint64_t)n);
  luaL_checkstack(L, 8, NULL);
  lua_createtable(L, n < INT32_MAX ? (int)n : 0, 0);
  lua_createtable(L, n < INT32_MAX ? (int)n : 0, 0);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_geti(L, 1, i);
    lua_rawseti(L, FROM, i);
  }
  for (lua_Integer width = 1; width < n; width *= 2) {
    moon_budget_charge(L, host, 4 * (uint64_t)n);
    for (lua_Integer low = 1; low <= n; low += 2 * width) {
      lua_Integer middle = low + width <= n ? low + width : n + 1, high = low + 2 * width <= n ? low + 2 * width : n + 1;
      merge(L, host, low, middle, high);
    }
    lua_insert(L, FROM); /* what was merged is merged next */
  }
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, FROM, i);
    lua_seti(L, 1, i);
  }
  return 0;
}

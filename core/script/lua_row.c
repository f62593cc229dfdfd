/* lua_row.c - slate:each(fn) and slate:score(fn): a slate item by item, where whole columns do not say it.
 *
 * The function gets one row, whose fields are the item's cells, its id, score and position. It is the same row each time, so nothing is
 * made for an item; who keeps it sees it end with the walk. Each item costs the budget a look at it, beside what the function takes. */
#include <math.h>
#include <string.h>

#include "script/internal.h"

#define ROW_TYPE "moonshelf.slate_row"
enum { COST = 10 };

typedef struct row {
  uint64_t call, order;
  size_t at;
  bool walking;
} row;

static int row_index(lua_State *L) {
  row *self = luaL_checkudata(L, 1, ROW_TYPE);
  moon_host *host = moon_host_of(L);
  const char *name = luaL_checkstring(L, 2);
  if (self->call != host->call || !host->slate || !self->walking)
    return luaL_error(L, "this row was kept after its walk over the slate");
  if (self->order != host->order) return luaL_error(L, "the slate must not change while it is walked over");
  if (!strcmp(name, "id"))
    lua_pushstring(L, moon_catalogue_id(host->slate->bundle->catalogue, host->slate->item[self->at]));
  else
    moon_lua_slate_cell(L, host, self->at, name);
  return 1;
}

static int row_newindex(lua_State *L) {
  return luaL_error(L, "a row of the slate is for reading ('%s')", luaL_tolstring(L, 2, NULL));
}

/* Calls the function at 2 with the row at 3 for each item; `use` takes its answer from the top. */
static void walk(lua_State *L, moon_host *host, void (*use)(lua_State *L, moon_slate *slate, size_t at, float *out), float *out) {
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, out ? 3 : 2);
  row *self = lua_newuserdatauv(L, sizeof *self, 0);
  luaL_setmetatable(L, ROW_TYPE);
  int at_row = lua_gettop(L);
  *self = (row){.call = host->call, .order = host->order, .walking = true};
  for (; self->at < host->slate->n; self->at++) {
    moon_budget_charge(L, host, COST);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, at_row);
    lua_call(L, 1, 1);
    if (self->order != host->order) luaL_error(L, "the slate must not change while it is walked over");
    if (use) use(L, host->slate, self->at, out);
    lua_pop(L, 1);
  }
  self->walking = false;
}

int moon_lua_slate_each(lua_State *L) {
  moon_lua_slate_check(L);
  walk(L, moon_host_of(L), NULL, NULL);
  return 0;
}

/* nil leaves the score as it is */
static void take_score(lua_State *L, moon_slate *slate, size_t at, float *out) {
  out[at] = slate->score[at];
  if (lua_isnil(L, -1)) return;
  lua_Number x = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : NAN;
  if (!isfinite(x) || fabs(x) > 1e30)
    luaL_error(L, "slate:score: the function must answer a finite number or nil, got %s", luaL_tolstring(L, -1, NULL));
  out[at] = (float)x;
}

int moon_lua_slate_score(lua_State *L) {
  moon_slate *slate = moon_lua_slate_check(L);
  moon_host *host = moon_host_of(L);
  lua_settop(L, 2);
  float *scores = lua_newuserdatauv(L, (slate->n + 1) * sizeof *scores, 0);
  walk(L, host, take_score, scores);
  if (slate->n) memcpy(slate->score, scores, slate->n * sizeof *scores);
  moon_budget_charge(L, host, 5 * (slate->n / 4 + 1));
  moon_slate_sort(slate, host->label);
  host->order++;
  return 0;
}

void moon_lua_row_register(lua_State *L) {
  static const luaL_Reg meta[] = {{"__index", row_index}, {"__newindex", row_newindex}, {NULL, NULL}};
  luaL_newmetatable(L, ROW_TYPE);
  luaL_setfuncs(L, meta, 0);
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
}

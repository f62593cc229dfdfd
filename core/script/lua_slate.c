/* lua_slate.c - the `slate` of p.lua: a face of the moon_slate of the call in progress.
 *
 * The userdata holds no pointer, only the number of its call: a script that keeps a slate finds an error in it later, never freed
 * memory. slate.<column> is a view (lua_column.c), comparing a view gives a mask (lua_mask.c), and the verbs here hand masks to
 * the operators of core/page, which write down why items moved. */
#include <math.h>
#include <string.h>

#include "script/internal.h"

#define SLATE_TYPE "moonshelf.slate"
enum { SORT_ROUNDS = 5 };

typedef struct slate_face {
  uint64_t call;
} slate_face;

moon_slate *moon_lua_slate_check(lua_State *L) {
  slate_face *self = luaL_checkudata(L, 1, SLATE_TYPE);
  moon_host *host = moon_host_of(L);
  if (self->call != host->call || !host->slate) luaL_error(L, "this slate was kept after its policy returned");
  return host->slate;
}

/* The same for verbs that walk the slate; `rounds` times. */
static moon_slate *check_walk(lua_State *L, uint64_t rounds) {
  moon_slate *slate = moon_lua_slate_check(L);
  moon_budget_charge(L, moon_host_of(L), rounds * (slate->n / 4 + 1));
  return slate;
}

static void check_status(lua_State *L, moon_status st) {
  if (!st.code) return;
  lua_pushstring(L, st.message);
  luaL_error(L, "%s", lua_tostring(L, -1));
}

/* A finite number that also fits a float. */
static float check_float(lua_State *L, int index, const char *what) {
  lua_Number x = luaL_checknumber(L, index);
  if (!isfinite(x) || fabs(x) > 1e30) luaL_error(L, "%s must be a finite number, got %f", what, x);
  return (float)x;
}

/* Text that explain will show: it has to outlive the call. */
static const char *keep_text(lua_State *L, moon_slate *slate, int index) {
  if (lua_isnoneornil(L, index)) return NULL;
  size_t n;
  const char *text = luaL_checklstring(L, index, &n);
  moon_budget_charge(L, moon_host_of(L), n);
  char *copy = moon_arena_strdup(slate->arena, text);
  if (!copy) luaL_error(L, "no memory");
  return copy;
}

/* ---- verbs */

/* slate:cap { limits = { category = 3 }, first = 10 }: as the other operators, whose method is upvalue 1. */
static int by_options(lua_State *L) {
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, 0);
  return 0;
}

/* The method of that name in the table at the top, under a verb that also takes other arguments. */
static void overload(lua_State *L, const char *name, lua_CFunction verb) {
  lua_getfield(L, -1, name);
  lua_pushcclosure(L, verb, 1);
  lua_setfield(L, -2, name);
}

static int slate_boost(lua_State *L) {
  moon_slate *slate = check_walk(L, SORT_ROUNDS);
  moon_host *host = moon_host_of(L);
  float factor = check_float(L, 3, "slate:boost: the factor");
  if (!(factor > 0)) return luaL_error(L, "slate:boost: the factor must be above 0, got %f", (lua_Number)factor);
  const char *text = keep_text(L, slate, 4);
  const uint8_t *mask = moon_lua_mask_bits(L, host, 2);
  moon_slate_boost(slate, mask, factor, host->label, text);
  host->order++;
  return 0;
}

static int slate_keep(lua_State *L) {
  moon_slate *slate = check_walk(L, 1);
  moon_host *host = moon_host_of(L);
  moon_slate_keep(slate, moon_lua_mask_bits(L, host, 2));
  host->order++;
  return 0;
}

static int slate_drop(lua_State *L) {
  moon_slate *slate = check_walk(L, 1);
  moon_host *host = moon_host_of(L);
  const uint8_t *drop = moon_lua_mask_bits(L, host, 2);
  uint8_t *keep = lua_newuserdatauv(L, slate->n + 1, 0);
  for (size_t i = 0; i < slate->n; i++) keep[i] = !drop[i];
  moon_slate_keep(slate, keep);
  host->order++;
  return 0;
}

static int slate_sort(lua_State *L) {
  if (lua_istable(L, 2)) return by_options(L);
  moon_slate *slate = check_walk(L, SORT_ROUNDS);
  moon_host *host = moon_host_of(L);
  moon_slate_sort(slate, host->label);
  host->order++;
  return 0;
}

static int slate_cap(lua_State *L) {
  if (lua_istable(L, 2)) return by_options(L);
  moon_slate *slate = check_walk(L, 1);
  moon_host *host = moon_host_of(L);
  const char *column = luaL_checkstring(L, 2);
  lua_Integer limit = luaL_checkinteger(L, 3);
  if (limit < 1) return luaL_error(L, "slate:cap: the limit must be 1 or more, got %I", (LUAI_UACINT)limit);
  check_status(L, moon_slate_cap(slate, column, (size_t)limit, host->label));
  host->order++;
  return 0;
}

static void check_keys(lua_State *L, int index, const char *what, const char *const *names, size_t count) {
  lua_pushnil(L);
  while (lua_next(L, index)) {
    const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "(not a name)";
    bool known = false;
    for (size_t i = 0; i < count; i++) known = known || !strcmp(names[i], key);
    if (!known) moon_lua_unknown(L, what, key, names, count);
    lua_pop(L, 1);
  }
}

static int slate_mmr(lua_State *L) {
  static const char *const names[] = {"lambda", "by", "k"};
  moon_slate *slate = moon_lua_slate_check(L);
  moon_host *host = moon_host_of(L);
  lua_settop(L, 2);
  if (lua_isnil(L, 2)) lua_newtable(L), lua_replace(L, 2);
  luaL_checktype(L, 2, LUA_TTABLE);
  check_keys(L, 2, "option of slate:mmr", names, 3);
  if (lua_getfield(L, 2, "lambda") == LUA_TNIL) lua_pushnumber(L, 0.7), lua_replace(L, 3);
  if (lua_getfield(L, 2, "by") == LUA_TNIL) lua_pushliteral(L, "embedding"), lua_replace(L, 4);
  if (lua_getfield(L, 2, "k") == LUA_TNIL) lua_pushinteger(L, 50), lua_replace(L, 5);
  lua_Number lambda = lua_type(L, 3) == LUA_TNUMBER ? lua_tonumber(L, 3) : -1;
  if (!(lambda >= 0 && lambda <= 1))
    return luaL_error(L, "slate:mmr: lambda must be a number from 0 to 1, got %s", luaL_tolstring(L, 3, NULL));
  if (lua_type(L, 4) != LUA_TSTRING) return luaL_error(L, "slate:mmr: by must be a string, got a %s", luaL_typename(L, 4));
  const char *by = lua_tostring(L, 4);
  lua_Integer k = lua_tointeger(L, 5);
  if (k < 1) return luaL_error(L, "slate:mmr: k must be a whole number, 1 or more, got %s", luaL_tolstring(L, 5, NULL));
  size_t picks = (size_t)k < slate->n ? (size_t)k : slate->n;
  moon_budget_charge(L, host, (uint64_t)picks * slate->n);
  check_status(L, moon_slate_mmr(slate, (float)lambda, by, (size_t)k, host->label));
  host->order++;
  return 0;
}

/* ---- reading */

static size_t check_position(lua_State *L, const moon_slate *slate) {
  lua_Integer i = luaL_checkinteger(L, 2);
  if (i < 1 || (lua_Unsigned)i > slate->n)
    luaL_error(L, "position %I is not in the slate (1 to %I)", (LUAI_UACINT)i, (LUAI_UACINT)slate->n);
  return (size_t)i - 1;
}

static int slate_id(lua_State *L) {
  moon_slate *slate = moon_lua_slate_check(L);
  lua_pushstring(L, moon_catalogue_id(slate->bundle->catalogue, slate->item[check_position(L, slate)]));
  return 1;
}

static int slate_get(lua_State *L) {
  moon_slate *slate = moon_lua_slate_check(L);
  size_t i = check_position(L, slate);
  moon_lua_slate_cell(L, moon_host_of(L), i, luaL_checkstring(L, 3));
  return 1;
}

void moon_lua_slate_cell(lua_State *L, moon_host *host, size_t i, const char *name) {
  const moon_slate *slate = host->slate;
  if (!strcmp(name, "score")) {
    lua_pushnumber(L, slate->score[i]);
    return;
  }
  if (!strcmp(name, "position")) {
    lua_pushinteger(L, (lua_Integer)i + 1);
    return;
  }
  const moon_column *column = moon_table_column(slate->bundle->catalogue->table, name);
  uint32_t row = slate->item[i];
  if (!column) moon_lua_column_push(L, host, name); /* raises, with the nearest name */
  if (!column || row >= column->n || moon_column_is_null(column, row))
    lua_pushnil(L);
  else if (column->type == MOON_STRING)
    lua_pushstring(L, moon_column_text(column, row));
  else if (column->type == MOON_NUMBER)
    lua_pushnumber(L, column->f64[row]);
  else
    lua_pushinteger(L, column->i64[row]);
}

/* slate:column("keep"): for columns whose names are verbs here */
static int slate_column(lua_State *L) {
  moon_lua_slate_check(L);
  moon_lua_column_push(L, moon_host_of(L), luaL_checkstring(L, 2));
  return 1;
}

static int slate_length(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)moon_lua_slate_check(L)->n);
  return 1;
}

/* upvalue 1: the verbs */
static int slate_index(lua_State *L) {
  moon_lua_slate_check(L);
  const char *name = luaL_checkstring(L, 2);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL) return 1;
  moon_lua_column_push(L, moon_host_of(L), name);
  return 1;
}

static int slate_newindex(lua_State *L) {
  return luaL_error(L, "a slate has no fields to set ('%s'); use slate:boost, slate:keep, slate:drop",
                    luaL_tolstring(L, 2, NULL));
}

static int slate_tostring(lua_State *L) {
  slate_face *self = luaL_checkudata(L, 1, SLATE_TYPE);
  moon_host *host = moon_host_of(L);
  if (self->call != host->call || !host->slate)
    lua_pushliteral(L, "slate (gone)");
  else
    lua_pushfstring(L, "slate of %I items", (LUAI_UACINT)host->slate->n);
  return 1;
}

void moon_lua_slate_push(lua_State *L, moon_host *host) {
  slate_face *self = lua_newuserdatauv(L, sizeof *self, 0);
  self->call = host->call;
  luaL_setmetatable(L, SLATE_TYPE);
}

void moon_lua_slate_register(lua_State *L) {
  moon_lua_row_register(L);
  static const luaL_Reg verbs[] = {{"boost", slate_boost},   {"keep", slate_keep}, {"drop", slate_drop},
                                   {"mmr", slate_mmr},       {"id", slate_id},     {"get", slate_get},   {"column", slate_column}, {"each", moon_lua_slate_each},
                                   {NULL, NULL}};
  static const luaL_Reg meta[] = {
      {"__newindex", slate_newindex}, {"__len", slate_length}, {"__tostring", slate_tostring}, {NULL, NULL}};
  luaL_newmetatable(L, SLATE_TYPE);
  luaL_setfuncs(L, meta, 0);
  luaL_newlib(L, verbs);
  moon_lua_operator_methods(L);
  overload(L, "cap", slate_cap);
  overload(L, "sort", slate_sort);
  lua_pushcclosure(L, slate_index, 1);
  lua_setfield(L, -2, "__index");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
}

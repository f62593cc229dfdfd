/* lua_ctx.c - the `ctx` of policies and gates: who asks, for what, when.
 *
 * Plain tables made fresh for each call, so a script may keep or change them without harm. Misspelt fields are errors with the
 * nearest name; a field that is known and empty is nil. ctx.params is what came with the request: any name may be asked for. */
#include <string.h>
#include <time.h>

#include "script/internal.h"

#define CTX_TYPE "moonshelf.ctx"
#define USER_TYPE "moonshelf.ctx.user"
#define CLOCK_TYPE "moonshelf.clock"

static const char *const ctx_fields[] = {"user", "surface", "item", "cart", "now", "clock", "params", NULL};
static const char *const user_fields[] = {"id", "known", NULL};

/* ---- fields that are not there: upvalue 1 the known names (light userdata), 2 what they belong to */

static int missing_field(lua_State *L) {
  const char *const *names = lua_touserdata(L, lua_upvalueindex(1));
  const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "(not a name)";
  size_t n = 0;
  for (; names[n]; n++) {
    if (strcmp(names[n], name)) continue;
    lua_pushnil(L);
    return 1;
  }
  return moon_lua_unknown(L, lua_tostring(L, lua_upvalueindex(2)), name, names, n);
}

static void strict_type(lua_State *L, const char *type, const char *const *names, const char *what) {
  luaL_newmetatable(L, type);
  lua_pushlightuserdata(L, (void *)names);
  lua_pushstring(L, what);
  lua_pushcclosure(L, missing_field, 2);
  lua_setfield(L, -2, "__index");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
}

/* ---- the clock: the request's time in UTC */

static struct tm clock_parts(lua_State *L) {
  const int64_t *now = luaL_checkudata(L, 1, CLOCK_TYPE);
  time_t seconds = (time_t)(*now / MOON_SECOND - (*now % MOON_SECOND < 0));
  struct tm parts;
  memset(&parts, 0, sizeof parts);
  gmtime_r(&seconds, &parts);
  return parts;
}

static int clock_push(lua_State *L, int value) {
  lua_pushinteger(L, value);
  return 1;
}
static int clock_hour(lua_State *L) { return clock_push(L, clock_parts(L).tm_hour); }
static int clock_minute(lua_State *L) { return clock_push(L, clock_parts(L).tm_min); }
static int clock_day(lua_State *L) { return clock_push(L, clock_parts(L).tm_mday); }
static int clock_month(lua_State *L) { return clock_push(L, clock_parts(L).tm_mon + 1); }
static int clock_year(lua_State *L) { return clock_push(L, clock_parts(L).tm_year + 1900); }
static int clock_weekday(lua_State *L) {
  return clock_push(L, (clock_parts(L).tm_wday + 6) % 7 + 1);
} /* ISO: Monday 1, Sunday 7 */
static int clock_date(lua_State *L) {
  char text[32];
  moon_time_format(*(const int64_t *)luaL_checkudata(L, 1, CLOCK_TYPE), text);
  lua_pushlstring(L, text, strcspn(text, "T"));
  return 1;
}

static void clock_register(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"hour", clock_hour}, {"minute", clock_minute},   {"day", clock_day},   {"month", clock_month},
      {"year", clock_year}, {"weekday", clock_weekday}, {"date", clock_date}, {NULL, NULL}};
  luaL_newmetatable(L, CLOCK_TYPE);
  luaL_newlib(L, methods);
  moon_sandbox_protect(L, "clock");
  lua_setfield(L, -2, "__index");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
}

/* ---- making one */

static void set_text(lua_State *L, const char *name, const char *text) {
  if (!text) return;
  lua_pushstring(L, text);
  lua_setfield(L, -2, name);
}

static void push_user(lua_State *L, const moon_request *request) {
  lua_createtable(L, 0, 2);
  set_text(L, "id", request->user);
  lua_pushboolean(L, request->user && request->user_row != MOON_NONE);
  lua_setfield(L, -2, "known");
  luaL_setmetatable(L, USER_TYPE);
}

static void push_cart(lua_State *L, const moon_request *request) {
  lua_createtable(L, (int)request->cart_n, 0);
  for (size_t i = 0; i < request->cart_n; i++) {
    lua_pushstring(L, request->cart[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}

static void push_params(lua_State *L, const moon_request *request) {
  lua_createtable(L, 0, (int)request->param_n);
  for (size_t i = 0; i < request->param_n; i++) set_text(L, request->params[i].name, request->params[i].value);
}

void moon_lua_ctx_push(lua_State *L, const moon_request *request) {
  lua_createtable(L, 0, 8);
  set_text(L, "surface", request->surface);
  set_text(L, "item", request->item);
  lua_pushinteger(L, request->now);
  lua_setfield(L, -2, "now");
  push_user(L, request);
  lua_setfield(L, -2, "user");
  push_cart(L, request);
  lua_setfield(L, -2, "cart");
  push_params(L, request);
  lua_setfield(L, -2, "params");
  int64_t *clock = lua_newuserdatauv(L, sizeof *clock, 0);
  *clock = request->now;
  luaL_setmetatable(L, CLOCK_TYPE);
  lua_setfield(L, -2, "clock");
  luaL_setmetatable(L, CTX_TYPE);
}

void moon_lua_ctx_register(lua_State *L) {
  strict_type(L, CTX_TYPE, ctx_fields, "field of ctx");
  strict_type(L, USER_TYPE, user_fields, "field of ctx.user");
  clock_register(L);
}

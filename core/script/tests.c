/* tests.c - a file of tests: m.test leaves what it was given in a list, and the host runs the entries one by one.
 *
 * The list is taken when the file has run, so that a test cannot add to it, nor take away. */
#include "script/internal.h"

static const char list_key = 0;  /* registry: the tests that the running file has so far, { name, where, function } each */
static const char tests_key = 0; /* registry: the list of a file that has run */

static bool has_run(lua_State *L) {
  bool has = lua_rawgetp(L, LUA_REGISTRYINDEX, &tests_key) != LUA_TNIL;
  lua_pop(L, 1);
  return has;
}

int moon_tests_add(lua_State *L) {
  luaL_checkstring(L, 1);
  luaL_checkstring(L, 2);
  luaL_checktype(L, 3, LUA_TFUNCTION);
  lua_settop(L, 3);
  if (has_run(L)) {
    lua_pushfstring(L, "%s: m.test stands in a test file by itself, not within a test", lua_tostring(L, 2));
    return lua_error(L);
  }
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &list_key) == LUA_TNIL) {
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &list_key);
    lua_replace(L, 4);
  }
  lua_createtable(L, 3, 0);
  for (int i = 1; i <= 3; i++) {
    lua_pushvalue(L, i);
    lua_rawseti(L, -2, i);
  }
  lua_rawseti(L, 4, (lua_Integer)lua_rawlen(L, 4) + 1);
  return 0;
}

size_t moon_tests_take(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &list_key) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_newtable(L);
  }
  size_t n = lua_rawlen(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &tests_key);
  return n;
}

typedef struct test_args {
  size_t i;
  const char *name, *where;
} test_args;

/* Pushes a part of the test: 1 its name, 2 its place, 3 its function. */
static void push_part(lua_State *L, size_t i, int part) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &tests_key);
  lua_rawgeti(L, -1, (lua_Integer)i + 1);
  lua_rawgeti(L, -1, part);
}

static int describe_body(lua_State *L) {
  test_args *args = lua_touserdata(L, 1);
  push_part(L, args->i, 1);
  args->name = lua_tostring(L, -1); /* the list keeps it */
  push_part(L, args->i, 2);
  args->where = lua_tostring(L, -1);
  return 0;
}

moon_status moon_host_test(moon_host *host, size_t i, const char **name, const char **where) {
  test_args args = {.i = i};
  MOON_TRY(moon_host_protect(host, describe_body, &args));
  *name = args.name, *where = args.where;
  return moon_ok();
}

static int run_body(lua_State *L) {
  const test_args *args = lua_touserdata(L, 1);
  push_part(L, args->i, 3);
  lua_call(L, 0, 0);
  return 0;
}

moon_status moon_host_run_test(moon_host *host, size_t i) {
  test_args args = {.i = i};
  moon_host_begin(host);
  moon_rng_seed(&host->rng, 1, i);
  moon_status status = moon_host_protect(host, run_body, &args);
  moon_host_end(host);
  return status;
}

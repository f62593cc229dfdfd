/* lua_lab.c - what m.test stands on: labs (lab.c) in Lua, a pcall for t:error, and the list of a file's tests. */
#include <string.h>

#include "script/lab.h"
#include "script/lua_tensor.h"

#define LAB_TYPE "moonshelf.lab"
enum { BYTES_PER_STEP = 4, CELLS_PER_STEP = 4, QUESTION_STEPS = 500 };

typedef struct lua_lab {
  moon_lab *lab;
  moon_account *account; /* where its rows count; NULL: nowhere yet */
  size_t bytes;
} lua_lab;

static void lab_end(lua_lab *self) {
  moon_lab_free(self->lab);
  if (self->account) moon_account_release(self->account, self->bytes);
  memset(self, 0, sizeof *self);
}

static int lab_close(lua_State *L) {
  lab_end(luaL_checkudata(L, 1, LAB_TYPE));
  return 0;
}

/* Asks for no memory, so it cannot fail. */
static int lab_collect(lua_State *L) {
  lab_end(lua_touserdata(L, 1));
  return 0;
}

/* The lab at 1, and the state's home. */
static lua_lab *check_lab(lua_State *L, moon_tensor_home **home) {
  lua_lab *self = luaL_checkudata(L, 1, LAB_TYPE);
  *home = moon_lua_home_push(L);
  lua_pop(L, 1);
  if (!self->lab) moon_tensor_raise(L, "this test is over");
  return self;
}

static void check(lua_State *L, const char *what, moon_status status) {
  if (status.code) moon_tensor_raise(L, "%s: %s", what, status.message);
}

/* Rows as JSON, pushed. Their text counts as the lab's memory, and reading it as work. */
static json_t *take_rows(lua_State *L, moon_tensor_home *home, lua_lab *self, int index, const char *what) {
  json_t *rows = moon_json_push(L, index, what);
  size_t bytes = json_dumpb(rows, NULL, 0, JSON_COMPACT);
  moon_tensor_charge(L, home, (double)bytes / BYTES_PER_STEP);
  MOON_TENSOR_CALL(L, home, "m.test: ", moon_account_charge(home->account, bytes));
  if (self->account) moon_account_release(self->account, 0); /* all that a lab has is one charge */
  self->account = home->account, self->bytes += bytes;
  return rows;
}

/* ---- functions of a recipe --------------------------------------------------------------------------------------------------- */

/* What rules may reach, and the budget of the test, since each call of a recipe's function has one of its own. */
typedef struct loan {
  moon_host *host; /* NULL: nobody runs functions here */
  moon_row_functions functions;
  moon_preprocess_options reach;
  int64_t left, deadline;
  uint64_t granted;
} loan;

/* The functions are those of the recipe at `result`. They run in the host's own thread, so a coroutine cannot have them. */
static void lend(lua_State *L, moon_host *host, int result, loan *out) {
  *out = (loan){0};
  if (!host || host->L != L) return;
  *out = (loan){.host = host,
                .functions = moon_host_row_functions(host),
                .left = host->left,
                .deadline = host->deadline,
                .granted = host->granted};
  out->reach = (moon_preprocess_options){&out->functions, {.data_dir = host->folder}};
  lua_pushvalue(L, result);
  moon_host_take_functions(L);
}

static void give_back(const loan *given) {
  moon_host *host = given->host;
  if (!host) return;
  host->left = given->left, host->deadline = given->deadline, host->granted = given->granted;
  host->verdict[0] = 0;
}

/* ---- labs ------------------------------------------------------------------------------------------------------------------- */

/* native.lab(where, recipe, items?) */
static int lab_new(lua_State *L) {
  const char *where = luaL_checkstring(L, 1);
  luaL_checkudata(L, 2, MOON_RESULT_TYPE);
  lua_settop(L, 3);
  lua_lab *self = lua_newuserdatauv(L, sizeof *self, 2);
  memset(self, 0, sizeof *self);
  luaL_setmetatable(L, LAB_TYPE);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, 4, 1);
  moon_tensor_home *home = moon_lua_home_push(L);
  lua_getiuservalue(L, 2, 1);
  json_t *plan = moon_json_push(L, -1, "the plan");
  lua_setiuservalue(L, 4, 2); /* the lab borrows it */
  json_t *items = lua_isnil(L, 3) ? NULL : take_rows(L, home, self, 3, "items");
  loan given;
  lend(L, home->host, 2, &given);
  moon_status status = moon_lab_new(plan, items, &given.reach, &self->lab);
  give_back(&given);
  if (status.code) {
    lua_pushfstring(L, "%s: m.test: %s", where, status.message);
    return lua_error(L);
  }
  lua_pushvalue(L, 4);
  return 1;
}

/* lab:events(rows) */
static int lab_events(lua_State *L) {
  moon_tensor_home *home;
  lua_lab *self = check_lab(L, &home);
  check(L, "t:event", moon_lab_events(self->lab, take_rows(L, home, self, 2, "an event")));
  return 0;
}

/* lab:log(rows) -> how many of them the rules left */
static int lab_log(lua_State *L) {
  moon_tensor_home *home;
  lua_lab *self = check_lab(L, &home);
  if (home->host && home->host->L != L) return moon_tensor_raise(L, "t:log: the recipe's rules cannot be run in a coroutine");
  json_t *rows = take_rows(L, home, self, 2, "a row");
  loan given;
  size_t kept;
  lua_getiuservalue(L, 1, 1);
  lend(L, home->host, lua_gettop(L), &given);
  moon_status status = moon_lab_log(self->lab, rows, &given.reach, &kept);
  give_back(&given);
  check(L, "t:log", status);
  lua_pushinteger(L, (lua_Integer)kept);
  return 1;
}

/* ---- answers ---------------------------------------------------------------------------------------------------------------- */

static void push_value(lua_State *L, const json_t *value) {
  if (json_is_string(value))
    lua_pushlstring(L, json_string_value(value), json_string_length(value));
  else if (json_is_integer(value))
    lua_pushinteger(L, (lua_Integer)json_integer_value(value));
  else if (json_is_real(value))
    lua_pushnumber(L, json_real_value(value));
  else
    lua_pushnil(L);
}

static void push_list(lua_State *L, const json_t *list) {
  lua_createtable(L, (int)json_array_size(list), 0);
  for (size_t i = 0; i < json_array_size(list); i++) {
    push_value(L, json_array_get(list, i));
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}

/* lab:features(query) -> values by name, and the names */
static int lab_features(lua_State *L) {
  moon_tensor_home *home;
  lua_lab *self = check_lab(L, &home);
  moon_tensor_charge(L, home, QUESTION_STEPS + (double)moon_lab_work(self->lab) / CELLS_PER_STEP);
  const json_t *query = moon_json_push(L, 2, "the question");
  json_t **values = moon_json_room(L), *value; /* collected whatever is raised below */
  const char *name;
  check(L, "t:features", moon_lab_features(self->lab, query, values));
  lua_createtable(L, 0, (int)json_object_size(*values));
  lua_createtable(L, (int)json_object_size(*values), 0);
  json_object_foreach(*values, name, value) {
    lua_pushstring(L, name);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    if (json_is_array(value))
      push_list(L, value);
    else
      push_value(L, value);
    lua_setfield(L, -3, name);
  }
  return 2;
}

/* ---- for lua/moonshelf/test.lua ---------------------------------------------------------------------------------------------- */

/* native.catch(fn) -> whether it failed, and the error. A spent budget is not caught. */
static int native_catch(lua_State *L) {
  lua_settop(L, 1);
  bool failed = lua_pcall(L, 0, 0, 0) != LUA_OK;
  moon_host *host = moon_lua_home_push(L)->host;
  lua_pop(L, 1);
  if (failed && host) moon_budget_charge(L, host, 0);
  lua_pushboolean(L, failed);
  if (failed) lua_insert(L, 1);
  return failed ? 2 : 1;
}

/* native.kind(value) -> "recipe" or "site" for what m.recipe and m.site give */
static int native_kind(lua_State *L) {
  if (!luaL_testudata(L, 1, MOON_RESULT_TYPE)) return 0;
  lua_getiuservalue(L, 1, 3);
  return 1;
}

void moon_lua_lab_set(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"lab", lab_new}, {"catch", native_catch}, {"kind", native_kind}, {"test", moon_tests_add}, {NULL, NULL}};
  static const luaL_Reg methods[] = {
      {"events", lab_events}, {"log", lab_log}, {"features", lab_features}, {"close", lab_close}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
  luaL_newmetatable(L, LAB_TYPE);
  lua_pushcfunction(L, lab_collect);
  lua_setfield(L, -2, "__gc");
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
}

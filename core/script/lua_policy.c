/* lua_policy.c - the operators of core/page for Lua: their table, from which m.policy makes its words, and each as a method of a slate.
 *
 * A method takes the options of its word, with masks where the word has conditions. They become the plan of a policy, as the word's do, and
 * core reads that: so both check alike and nothing is known here of any one operator. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "page/op.h"
#include "script/internal.h"

enum { MOST_MASKS = 100, ROWS_OF_JSON = 50 };

/* ---- the table, for lua/moonshelf/policy.lua */

static void set_text(lua_State *L, const char *key, const char *text) {
  if (!text) return;
  lua_pushstring(L, text);
  lua_setfield(L, -2, key);
}

static void set_number(lua_State *L, const char *key, double x) {
  if (x == floor(x) && fabs(x) < 1e15)
    lua_pushinteger(L, (lua_Integer)x); /* messages say 0 and not 0.0 */
  else
    lua_pushnumber(L, x);
  lua_setfield(L, -2, key);
}

static void push_field(lua_State *L, const moon_field *field) {
  lua_createtable(L, 0, 7);
  set_text(L, "name", field->name);
  set_text(L, "kind", moon_field_kind_name(field->kind));
  set_text(L, "text", field->text);
  set_number(L, "low", field->low);
  set_number(L, "high", field->high);
  set_number(L, "fallback", field->fallback);
  lua_pushboolean(L, field->required);
  lua_setfield(L, -2, "required");
  if (!field->names) return;
  lua_newtable(L);
  for (int i = 0; field->names[i]; i++) {
    lua_pushstring(L, field->names[i]);
    lua_rawseti(L, -2, i + 1);
  }
  lua_setfield(L, -2, "names");
}

void moon_lua_operators_set(lua_State *L) {
  size_t n;
  const moon_operator *const *all = moon_operators(&n);
  lua_createtable(L, 0, (int)n);
  for (size_t i = 0; i < n; i++) {
    lua_newtable(L);
    for (int f = 0; all[i]->fields[f].name; f++) {
      push_field(L, &all[i]->fields[f]);
      lua_rawseti(L, -2, f + 1);
    }
    lua_setfield(L, -2, all[i]->name);
  }
  lua_setfield(L, -2, "operators");
}

/* ---- methods: upvalue 1 the operator. Stack: 1 slate, 2 options, 3 the plan that is made of them */

enum { SLATE = 1, OPTIONS, PLAN };

typedef struct call {
  const moon_operator *op;
  moon_host *host;
  const uint8_t *masks[MOST_MASKS];
  size_t mask_count;
} call;

static int wrong(lua_State *L, const call *c, const moon_field *field, const char *wanted) {
  return luaL_error(L, "slate:%s: %s must be %s, got a %s", c->op->name, field->name, wanted, luaL_typename(L, -1));
}

/* The mask at the top becomes {mask = its number}; its bits stay alive on the stack below. */
static void push_mask(lua_State *L, call *c, const moon_field *field) {
  if (c->mask_count == MOST_MASKS) luaL_error(L, "slate:%s: %s has more than %d masks", c->op->name, field->name, MOST_MASKS);
  c->masks[c->mask_count] = moon_lua_mask_bits(L, c->host, lua_gettop(L));
  lua_createtable(L, 0, 1);
  lua_pushinteger(L, (lua_Integer)c->mask_count++);
  lua_setfield(L, -2, "mask");
}

static void push_span(lua_State *L, const call *c, const moon_field *field) {
  int64_t micros;
  const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
  if (!text || moon_duration_parse(text, &micros).code) wrong(L, c, field, "a duration such as \"30m\" or \"7d\"");
  lua_pushinteger(L, micros);
}

static void push_pattern(lua_State *L, call *c, const moon_field *field) {
  if (!lua_istable(L, -1)) wrong(L, c, field, "a list of \"any\" and masks");
  int list = lua_gettop(L), n = (int)lua_rawlen(L, list);
  luaL_checkstack(L, 3 * n + 4, NULL);
  lua_newtable(L);
  int out = lua_gettop(L);
  for (int i = 1; i <= n; i++) {
    if (lua_rawgeti(L, list, i) != LUA_TSTRING) push_mask(L, c, field);
    lua_rawseti(L, out, i);
  }
  lua_pushvalue(L, out);
}

static int by_text(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* { category = 3 } -> {{column = "category", n = 3}}, by name: what is added up comes in one order. */
static void push_weights(lua_State *L, const call *c, const moon_field *field) {
  const char *names[MOST_MASKS];
  size_t n = 0;
  if (!lua_istable(L, -1)) wrong(L, c, field, "a table such as { category = 3 }");
  int table = lua_gettop(L);
  for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING || n == MOST_MASKS) wrong(L, c, field, "written column = number");
    names[n++] = lua_tostring(L, -2);
  }
  qsort(names, n, sizeof *names, by_text);
  lua_createtable(L, (int)n, 0);
  for (size_t i = 0; i < n; i++) {
    lua_createtable(L, 0, 2);
    set_text(L, "column", names[i]);
    lua_getfield(L, table, names[i]);
    lua_setfield(L, -2, "n");
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}

/* The option at the top as the plan has it, at the top. */
static void push_value(lua_State *L, call *c, const moon_field *field) {
  if (lua_istable(L, -1)) moon_budget_charge(L, c->host, ROWS_OF_JSON * (uint64_t)lua_rawlen(L, -1));
  switch (field->kind) {
    case MOON_FIELD_WHEN:
      push_mask(L, c, field);
      break;
    case MOON_FIELD_PATTERN:
      push_pattern(L, c, field);
      break;
    case MOON_FIELD_SPAN:
      push_span(L, c, field);
      break;
    case MOON_FIELD_LIMITS:
    case MOON_FIELD_WEIGHTS:
      push_weights(L, c, field);
      break;
    case MOON_FIELD_ITEMS:
    case MOON_FIELD_KINDS:
      if (lua_type(L, -1) != LUA_TSTRING) break;
      lua_createtable(L, 1, 0);
      lua_insert(L, -2);
      lua_rawseti(L, -2, 1);
      break;
    default:
      break;
  }
}

static void check_keys(lua_State *L, const moon_operator *op) {
  const char *names[40] = {"owner", "reason"};
  size_t n = 2;
  for (const moon_field *f = op->fields; f->name && n < 40; f++) names[n++] = f->name;
  for (lua_pushnil(L); lua_next(L, OPTIONS); lua_pop(L, 1)) {
    const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "(not a name)";
    size_t i = 0;
    while (i < n && strcmp(names[i], key)) i++;
    if (i < n) continue;
    lua_pushfstring(L, "option of slate:%s", op->name);
    moon_lua_unknown(L, lua_tostring(L, -1), key, names, n);
  }
}

static void copy_option(lua_State *L, const char *key) {
  lua_getfield(L, OPTIONS, key);
  lua_setfield(L, PLAN, key);
}

static void push_plan(lua_State *L, call *c) {
  lua_settop(L, OPTIONS);
  if (lua_isnil(L, OPTIONS)) lua_newtable(L), lua_replace(L, OPTIONS);
  if (!lua_istable(L, OPTIONS))
    luaL_error(L, "slate:%s must be given a table of options, got a %s", c->op->name, luaL_typename(L, OPTIONS));
  check_keys(L, c->op);
  lua_newtable(L);
  set_text(L, "op", c->op->name);
  lua_pushfstring(L, "slate:%s", c->op->name);
  lua_setfield(L, PLAN, "label");
  copy_option(L, "owner");
  copy_option(L, "reason");
  for (const moon_field *field = c->op->fields; field->name; field++) {
    luaL_checkstack(L, 8, NULL);
    if (lua_getfield(L, OPTIONS, field->name) == LUA_TNIL) continue;
    push_value(L, c, field);
    lua_pushfstring(L, field->kind == MOON_FIELD_SPAN ? "%s_us" : "%s", field->name);
    lua_insert(L, -2);
    lua_rawset(L, PLAN);
  }
}

static void check(lua_State *L, moon_status status) {
  if (!status.code) return;
  lua_pushstring(L, status.message);
  luaL_error(L, "%s", lua_tostring(L, -1));
}

static int run_operator(lua_State *L) {
  moon_slate *slate = moon_lua_slate_check(L);
  call c = {.op = lua_touserdata(L, lua_upvalueindex(1)), .host = moon_host_of(L)};
  moon_policy policy;
  moon_budget_charge(L, c.host, ROWS_OF_JSON);
  push_plan(L, &c);
  lua_pushfstring(L, "slate:%s", c.op->name);
  const json_t *json = moon_json_push(L, PLAN, lua_tostring(L, -1));
  const moon_policy_source source = {
      .bundle = slate->bundle, .memory = slate->arena, .masks = c.masks, .mask_count = c.mask_count};
  check(L, moon_policy_read(json, &source, &policy));
  policy.label = c.host->label;
  moon_budget_charge(L, c.host, moon_policy_cost(&policy, slate) / 4);
  check(L, moon_policy_run(&policy, slate));
  c.host->order++;
  return 0;
}

bool moon_lua_is_method(const moon_operator *op) { /* the others have a verb of their own in lua_slate.c, or are none */
  return op->run && op != &moon_op_boost && op != &moon_op_filter && op != &moon_op_mmr;
}

void moon_lua_operator_methods(lua_State *L) {
  size_t n;
  const moon_operator *const *all = moon_operators(&n);
  for (size_t i = 0; i < n; i++) {
    if (!moon_lua_is_method(all[i])) continue;
    lua_pushlightuserdata(L, (void *)all[i]);
    lua_pushcclosure(L, run_operator, 1);
    lua_setfield(L, -2, all[i]->name);
  }
}

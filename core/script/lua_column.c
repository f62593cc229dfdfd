/* lua_column.c - slate.price, slate.category: a column of the catalogue seen through a slate. Comparing it gives a mask.
 *
 * A view reads the slate as it is when it is compared. Nothing (null) is equal to nothing and compares as false; ne is not eq. */
#include <math.h>
#include <string.h>

#include "page/op.h"
#include "script/internal.h"

#define COLUMN_TYPE "moonshelf.column"

typedef struct column_view {
  uint64_t call;
  const char *name;          /* one of the two below or the catalogue's */
  const moon_column *column; /* NULL: "score" or "position" */
} column_view;

static const char score_name[] = "score", position_name[] = "position";

static column_view *check_view(lua_State *L, moon_host *host) {
  column_view *self = luaL_testudata(L, 1, COLUMN_TYPE);
  if (!self) luaL_error(L, "a column of the slate is wanted; write slate.price:lt(20) with a colon");
  if (self->call != host->call || !host->slate) luaL_error(L, "this column was kept after its policy returned");
  return self;
}

static bool is_string(const column_view *self) { return self->column && self->column->type == MOON_STRING; }

/* ---- numbers */

typedef enum compare { LT, LE, GT, GE, EQ, NE } compare;

static bool compare_numbers(double x, compare op, double y) {
  switch (op) {
    case LT: return x < y;
    case LE: return x <= y;
    case GT: return x > y;
    case GE: return x >= y;
    case EQ: return x == y;
    case NE: return !(x == y);
  }
  return false;
}

/* The number at a position of the slate, NaN for nothing. */
static double number_at(const column_view *self, const moon_slate *slate, size_t i) {
  if (!self->column) return self->name == score_name ? slate->score[i] : (double)i + 1;
  uint32_t row = slate->item[i];
  return row < self->column->n ? moon_column_number(self->column, row) : NAN;
}

/* The number to compare with; scores are floats, and 0.3 should be the float next to it. */
static double check_number(lua_State *L, const column_view *self, int index) {
  if (lua_type(L, index) != LUA_TNUMBER)
    luaL_error(L, "slate.%s is a column of numbers; compare it with a number, not a %s", self->name, luaL_typename(L, index));
  lua_Number y = lua_tonumber(L, index);
  return self->name == score_name ? (float)y : y;
}

static int number_mask(lua_State *L, moon_host *host, column_view *self, compare op) {
  double y = check_number(L, self, 2);
  uint8_t *out = moon_lua_mask_new(L, host);
  for (size_t i = 0; i < host->slate->n; i++) out[i] = compare_numbers(number_at(self, host->slate, i), op, y);
  return 1;
}

/* ---- strings */

/* out[i] |= the item's text is this one */
static void mark_equal(lua_State *L, const moon_host *host, const column_view *self, int index, uint8_t *out) {
  size_t n;
  if (lua_type(L, index) != LUA_TSTRING)
    luaL_error(L, "slate.%s is a column of strings; compare it with a string, not a %s", self->name, luaL_typename(L, index));
  const char *text = lua_tolstring(L, index, &n);
  uint32_t code = moon_dict_find(self->column->dict, text, n);
  if (code == MOON_NONE) return;
  for (size_t i = 0; i < host->slate->n; i++) {
    uint32_t row = host->slate->item[i];
    out[i] |= row < self->column->n && self->column->code[row] == code;
  }
}

static int compare_view(lua_State *L, compare op) {
  moon_host *host = moon_host_of(L);
  column_view *self = check_view(L, host);
  moon_budget_charge(L, host, host->slate->n / 4 + 1);
  if (!is_string(self)) return number_mask(L, host, self, op);
  if (op != EQ && op != NE) return luaL_error(L, "slate.%s is a column of strings; it has :eq, :ne and :is_in", self->name);
  uint8_t *out = moon_lua_mask_new(L, host);
  mark_equal(L, host, self, 2, out);
  for (size_t i = 0; op == NE && i < host->slate->n; i++) out[i] = !out[i];
  return 1;
}

static int view_lt(lua_State *L) { return compare_view(L, LT); }
static int view_le(lua_State *L) { return compare_view(L, LE); }
static int view_gt(lua_State *L) { return compare_view(L, GT); }
static int view_ge(lua_State *L) { return compare_view(L, GE); }
static int view_eq(lua_State *L) { return compare_view(L, EQ); }
static int view_ne(lua_State *L) { return compare_view(L, NE); }

static int view_is_in(lua_State *L) {
  moon_host *host = moon_host_of(L);
  column_view *self = check_view(L, host);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  lua_Unsigned n = lua_rawlen(L, 2);
  uint8_t *out = moon_lua_mask_new(L, host);
  for (lua_Unsigned k = 1; k <= n; k++) {
    moon_budget_charge(L, host, host->slate->n / 4 + 1);
    lua_rawgeti(L, 2, (lua_Integer)k);
    if (is_string(self)) {
      mark_equal(L, host, self, -1, out);
    } else {
      double y = check_number(L, self, -1);
      for (size_t i = 0; i < host->slate->n; i++) out[i] |= number_at(self, host->slate, i) == y;
    }
    lua_pop(L, 1);
  }
  return 1;
}

/* slate:score(fn): the column's name is the verb's, too */
static int view_call(lua_State *L) {
  column_view *self = check_view(L, moon_host_of(L));
  if (self->name != score_name) return luaL_error(L, "slate.%s is a column and no verb of the slate", self->name);
  lua_remove(L, 1);
  return moon_lua_slate_score(L);
}

static int view_tostring(lua_State *L) {
  column_view *self = luaL_checkudata(L, 1, COLUMN_TYPE);
  if (self->call != moon_host_of(L)->call)
    lua_pushliteral(L, "slate column (gone)");
  else
    lua_pushfstring(L, "slate.%s", self->name);
  return 1;
}

/* ---- finding */

static int unknown_column(lua_State *L, const moon_table *table, const char *name) {
  static const char *const verbs[] = {"score", "position", "boost", "keep", "drop", "mmr", "id", "get", "column", "each"};
  size_t own = sizeof verbs / sizeof *verbs, count;
  const moon_operator *const *operators = moon_operators(&count);
  const char **names = lua_newuserdatauv(L, (own + count + table->column_count) * sizeof *names, 0);
  memcpy(names, verbs, sizeof verbs);
  for (size_t i = 0; i < count; i++)
    if (moon_lua_is_method(operators[i])) names[own++] = operators[i]->name;
  for (size_t i = 0; i < table->column_count; i++) names[own + i] = table->columns[i].name;
  return moon_lua_unknown(L, "column or verb of the slate", name, names, own + table->column_count);
}

void moon_lua_column_push(lua_State *L, moon_host *host, const char *name) {
  const moon_table *table = host->slate->bundle->catalogue->table;
  const char *own = !strcmp(name, score_name) ? score_name : !strcmp(name, position_name) ? position_name : NULL;
  const moon_column *column = own ? NULL : moon_table_column(table, name);
  if (!own && !column) unknown_column(L, table, name);
  column_view *self = lua_newuserdatauv(L, sizeof *self, 0);
  self->call = host->call;
  self->name = own ? own : column->name;
  self->column = column;
  luaL_setmetatable(L, COLUMN_TYPE);
}

void moon_lua_column_register(lua_State *L) {
  static const luaL_Reg methods[] = {{"lt", view_lt}, {"le", view_le}, {"gt", view_gt},       {"ge", view_ge},
                                     {"eq", view_eq}, {"ne", view_ne}, {"is_in", view_is_in}, {NULL, NULL}};
  luaL_newmetatable(L, COLUMN_TYPE);
  luaL_newlib(L, methods);
  moon_sandbox_protect(L, "column");
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, view_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_pushcfunction(L, view_call);
  lua_setfield(L, -2, "__call");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
}

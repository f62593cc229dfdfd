/* lua_cursor.c - the `row` of m.filter and m.map: a cursor over the rows of a table.
 *
 * One userdata serves all rows of a call: C moves the host's row number and the script reads row.price. Column names are looked
 * up once per call and kept in the cursor's own table, so that a read is one table access and one array access. */
#include <string.h>

#include "script/internal.h"

#define CURSOR_TYPE "moonshelf.row"

typedef struct cursor {
  uint64_t call;
} cursor;

/* Finds the column, or raises with the nearest name. */
static lua_Integer find_column(lua_State *L, const moon_table *table, const char *name) {
  for (size_t i = 0; i < table->column_count; i++)
    if (!strcmp(table->columns[i].name, name)) return (lua_Integer)i;
  const char **names = lua_newuserdatauv(L, (table->column_count + 1) * sizeof *names, 0);
  for (size_t i = 0; i < table->column_count; i++) names[i] = table->columns[i].name;
  const char *near = table->column_count ? moon_nearest(name, names, table->column_count) : NULL;
  if (near) return luaL_error(L, "%s has no column '%s'; did you mean '%s'?", table->name, name, near);
  return luaL_error(L, "%s has no column '%s'", table->name, name);
}

static int push_value(lua_State *L, const moon_column *column, size_t row) {
  if (moon_column_is_null(column, row)) {
    lua_pushnil(L);
    return 1;
  }
  switch (column->type) {
    case MOON_STRING: {
      uint32_t code = column->code[row];
      lua_pushlstring(L, moon_dict_text(column->dict, code), moon_dict_length(column->dict, code));
      break;
    }
    case MOON_NUMBER: lua_pushnumber(L, column->f64[row]); break;
    case MOON_INTEGER:
    case MOON_TIME: lua_pushinteger(L, column->i64[row]); break;
  }
  return 1;
}

static int cursor_index(lua_State *L) {
  cursor *self = luaL_checkudata(L, 1, CURSOR_TYPE);
  moon_host *host = moon_host_of(L);
  if (self->call != host->call || !host->table)
    return luaL_error(L, "this row was kept after its function returned; copy its values instead");
  lua_getiuservalue(L, 1, 1);
  lua_pushvalue(L, 2);
  lua_Integer index;
  if (lua_rawget(L, -2) == LUA_TNUMBER) {
    index = lua_tointeger(L, -1);
  } else {
    index = find_column(L, host->table, luaL_checkstring(L, 2));
    lua_pushvalue(L, 2);
    lua_pushinteger(L, index);
    lua_rawset(L, 3);
  }
  return push_value(L, &host->table->columns[index], host->row);
}

static int cursor_newindex(lua_State *L) {
  return luaL_error(L, "a row is read-only ('%s' cannot be set); m.map makes columns", luaL_tolstring(L, 2, NULL));
}

static int cursor_tostring(lua_State *L) {
  cursor *self = luaL_checkudata(L, 1, CURSOR_TYPE);
  moon_host *host = moon_host_of(L);
  if (self->call != host->call || !host->table)
    lua_pushliteral(L, "row (gone)");
  else
    lua_pushfstring(L, "row %I of %s", (LUAI_UACINT)host->row + 1, host->table->name);
  return 1;
}

void moon_lua_cursor_push(lua_State *L, moon_host *host) {
  cursor *self = lua_newuserdatauv(L, sizeof *self, 1);
  self->call = host->call;
  lua_newtable(L);
  lua_setiuservalue(L, -2, 1);
  luaL_setmetatable(L, CURSOR_TYPE);
}

void moon_lua_cursor_register(lua_State *L) {
  static const luaL_Reg meta[] = {
      {"__index", cursor_index}, {"__newindex", cursor_newindex}, {"__tostring", cursor_tostring}, {NULL, NULL}};
  luaL_newmetatable(L, CURSOR_TYPE);
  luaL_setfuncs(L, meta, 0);
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
}

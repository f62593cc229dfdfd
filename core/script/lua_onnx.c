/* lua_onnx.c - native.onnx: a file's net as layers, for m.nn.onnx. */
#include "onnx/onnx.h"
#include "script/internal.h"
#include "script/lua_tape.h"

enum { DEEP = 8, NUMBERS_PER_STEP = 64 };

/* A plan's piece as plain Lua; it is a few tables deep by how it is made. */
static void push_json(lua_State *L, const json_t *value, int depth) {
  const char *key;
  json_t *item;
  size_t i;
  luaL_checkstack(L, 4, "onnx");
  switch (depth < DEEP ? json_typeof(value) : JSON_NULL) {
    case JSON_OBJECT:
      lua_createtable(L, 0, (int)json_object_size(value));
      json_object_foreach((json_t *)(uintptr_t)value, key, item) push_json(L, item, depth + 1), lua_setfield(L, -2, key);
      break;
    case JSON_ARRAY:
      lua_createtable(L, (int)json_array_size(value), 0);
      json_array_foreach(value, i, item) push_json(L, item, depth + 1), lua_rawseti(L, -2, (lua_Integer)i + 1);
      break;
    case JSON_STRING:
      lua_pushlstring(L, json_string_value(value), json_string_length(value));
      break;
    case JSON_INTEGER:
      lua_pushinteger(L, (lua_Integer)json_integer_value(value));
      break;
    case JSON_REAL:
      lua_pushnumber(L, json_real_value(value));
      break;
    case JSON_TRUE:
    case JSON_FALSE:
      lua_pushboolean(L, json_is_true(value));
      break;
    case JSON_NULL:
      lua_pushnil(L);
      break;
  }
}

/* native.onnx(file) -> {file, width, layers}, or nil and why not */
static int native_onnx(lua_State *L) {
  moon_tensor_home *home = moon_tensor_home_of(L);
  const moon_buf *bytes = moon_bytes_read(L, home, 1, "m.nn.onnx");
  json_t **layers = moon_json_room(L);
  moon_tensor_charge(L, home, (double)bytes->n / NUMBERS_PER_STEP);
  moon_status status = moon_onnx_import(lua_tostring(L, 1), bytes->data ? bytes->data : "", bytes->n, layers);
  if (status.code) return lua_pushnil(L), lua_pushstring(L, status.message), 2;
  push_json(L, *layers, 0);
  return 1;
}

void moon_lua_onnx_set(lua_State *L, int home) {
  static const luaL_Reg functions[] = {{"onnx", native_onnx}, {NULL, NULL}};
  moon_tensor_set_functions(L, home, functions);
}

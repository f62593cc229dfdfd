/* lua_net_state.c - what a net holds: parameters, state, files, and how it draws itself. */
#include <string.h>

#include "script/lua_net.h"

static int net_params(lua_State *L) {
  const moon_module *module = moon_net_check(L, "net:params");
  size_t n;
  moon_param *const *params = moon_module_params(module, &n);
  lua_createtable(L, (int)n, 0);
  for (size_t i = 0; i < n; i++) {
    *moon_param_push(L, 1) = params[i];
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* What is saved: parameters, then buffers, by number; false after the last. */
static bool saved_at(const moon_module *module, size_t i, moon_named_tensor *out) {
  size_t n, m;
  moon_param *const *params = moon_module_params(module, &n);
  const moon_named_tensor *buffers = moon_module_buffers(module, &m);
  if (i < n)
    *out = (moon_named_tensor){params[i]->name, params[i]->value};
  else if (i < n + m)
    *out = buffers[i - n];
  return i < n + m;
}

/* net:state() -> copies by name */
static int net_state(lua_State *L) {
  moon_tensor_home *home = moon_tensor_home_of(L);
  const moon_module *module = moon_net_check(L, "net:state");
  moon_named_tensor one;
  lua_newtable(L);
  for (size_t i = 0; saved_at(module, i, &one); i++) {
    const moon_tensor *t = one.tensor;
    moon_tensor_charge(L, home, (double)moon_tensor_count(t) * MOON_COST_CHEAP);
    moon_numbers_push(L, home, moon_tensor_dtype(t), moon_tensor_dims(t), moon_tensor_shape(t), moon_tensor_data(t));
    lua_setfield(L, -2, one.name);
  }
  return 1;
}

static bool is_saved(const moon_module *module, const char *name) {
  moon_named_tensor one;
  for (size_t i = 0; saved_at(module, i, &one); i++)
    if (!strcmp(one.name, name)) return true;
  return false;
}

/* The table at 2 has no names but the net's; of several the first in the alphabet is told. */
static void check_extra(lua_State *L, const moon_module *module) {
  const char *extra = NULL;
  for (lua_pushnil(L); lua_next(L, 2); lua_pop(L, 1)) {
    const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
    if (!is_saved(module, name) && (!extra || strcmp(name, extra) < 0)) extra = name;
  }
  if (extra) moon_tensor_raise(L, "net:load: the net has no '%s'", extra);
}

/* The tensors of the table at 2 fit the net's, one for one. */
static void check_state(lua_State *L, const moon_module *module) {
  moon_named_tensor one;
  for (size_t i = 0; saved_at(module, i, &one); i++, lua_pop(L, 1)) {
    lua_getfield(L, 2, one.name);
    if (!moon_tensor_is(L, -1)) moon_tensor_raise(L, "net:load: '%s' is missing", one.name);
    const moon_tensor *t = moon_tensor_check(L, -1, "net:load");
    if (!moon_shape_equal(moon_tensor_dims(t), moon_tensor_shape(t), moon_tensor_dims(one.tensor), moon_tensor_shape(one.tensor)))
      moon_tensor_raise(L, "net:load: '%s' is %s, the net's %s", one.name,
                        moon_shape_write(moon_tensor_dims(t), moon_tensor_shape(t)).text,
                        moon_shape_write(moon_tensor_dims(one.tensor), moon_tensor_shape(one.tensor)).text);
  }
  check_extra(L, module);
}

/* net:load(state or path of a .safetensors file): all of it or nothing */
static int net_load(lua_State *L) {
  moon_tensor_home *home = moon_tensor_home_of(L);
  const moon_module *module = moon_net_check(L, "net:load");
  lua_settop(L, 2);
  if (lua_type(L, 2) == LUA_TSTRING) {
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushcclosure(L, moon_tensor_load_file, 1);
    lua_insert(L, 2);
    lua_call(L, 1, 1);
  }
  if (lua_type(L, 2) != LUA_TTABLE)
    return moon_tensor_raise(L, "net:load: tensors by name, or the path of a .safetensors file, are wanted");
  check_state(L, module);
  moon_named_tensor one;
  for (size_t i = 0; saved_at(module, i, &one); i++, lua_pop(L, 1)) {
    lua_getfield(L, 2, one.name);
    moon_tensor *into = (moon_tensor *)(uintptr_t)one.tensor; /* the net's own */
    MOON_TENSOR_CALL(L, home, "net:load: ", moon_tensor_copy(moon_tensor_check(L, -1, "net:load"), into));
    moon_tensor_touch(into);
  }
  lua_settop(L, 1);
  return 1;
}

/* net:save(path), as safetensors */
static int net_save(lua_State *L) {
  moon_tensor_home *home = moon_tensor_home_of(L);
  const moon_module *module = moon_net_check(L, "net:save");
  moon_bytes_may_write(L, home, 2, "net:save");
  size_t n = 0;
  moon_named_tensor one;
  while (saved_at(module, n, &one)) n++;
  moon_named_tensor *all = lua_newuserdatauv(L, (n + 1) * sizeof *all, 0);
  for (size_t i = 0; i < n; i++) saved_at(module, i, &all[i]);
  moon_buf *bytes = moon_bytes_push(L);
  MOON_TENSOR_CALL(L, home, "net:save: ", moon_safetensors_write(all, n, bytes));
  moon_bytes_write(L, bytes, 2, "net:save");
  return 0;
}

/* net:summary(): a line for each layer */
static int net_summary(lua_State *L) {
  const moon_module *module = moon_net_check(L, "net:summary");
  moon_buf *text = moon_bytes_push(L);
  moon_status st = moon_module_summary(module, text);
  if (st.code) return moon_tensor_raise(L, "net:summary: %s", st.message);
  lua_pushlstring(L, text->data, text->n);
  moon_buf_free(text);
  return 1;
}

/* net:freeze([on]): all parameters and running statistics */
static int net_freeze(lua_State *L) {
  moon_module_freeze(moon_net_check(L, "net:freeze"), lua_isnone(L, 2) || lua_toboolean(L, 2));
  lua_settop(L, 1);
  return 1;
}

/* Into the methods at the top, and the metatable of nets. */
void moon_net_add_state(lua_State *L, int home, const char *type) {
  static const luaL_Reg methods[] = {{"params", net_params}, {"state", net_state},     {"load", net_load}, {"save", net_save},
                                     {"freeze", net_freeze}, {"summary", net_summary}, {NULL, NULL}};
  moon_tensor_set_functions(L, home, methods);
  luaL_getmetatable(L, type);
  lua_pushvalue(L, home);
  lua_pushcclosure(L, net_summary, 1);
  lua_setfield(L, -2, "__tostring");
  lua_pop(L, 1);
}

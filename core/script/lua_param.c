/* lua_param.c - parameters and optimisers in Lua: m.nn.param and what m.nn.make_optimizer gives. */
#include <string.h>

#include "nn/param.h"
#include "script/lua_tape.h"

#define OPTIMIZER_TYPE "moonshelf.optimizer"

typedef struct param_box {
  moon_param *param;
  bool owned;
} param_box; /* user value 1: who owns it, where it is not this */

/* ---- parameters ------------------------------------------------------------------------------------------------------------ */

bool moon_param_is(lua_State *L, int index) {
  param_box *self = luaL_testudata(L, index, MOON_PARAM_TYPE);
  return self && self->param;
}

moon_param *moon_param_check(lua_State *L, int index, const char *what) {
  param_box *self = luaL_testudata(L, index, MOON_PARAM_TYPE);
  if (!self || !self->param)
    moon_tensor_raise(L, "%s: a parameter (m.nn.param) is wanted, got %s", what, luaL_typename(L, index));
  return self->param;
}

moon_param **moon_param_push(lua_State *L, int owner) {
  param_box *self = lua_newuserdatauv(L, sizeof *self, 1);
  *self = (param_box){NULL, !owner};
  luaL_setmetatable(L, MOON_PARAM_TYPE);
  if (owner) {
    lua_pushvalue(L, owner);
    lua_setiuservalue(L, -2, 1);
  }
  return &self->param;
}

static int param_collect(lua_State *L) {
  param_box *self = luaL_checkudata(L, 1, MOON_PARAM_TYPE);
  if (self->owned) moon_param_free(self->param);
  self->param = NULL;
  return 0;
}

static moon_status new_param(moon_account *account, const char *name, moon_dtype dtype, int dims, const size_t *shape,
                             bool sparse, moon_param **out) {
  moon_account *before = moon_account_enter(account);
  moon_status st = moon_param_new(name, dtype, dims, shape, sparse, out);
  moon_account_enter(before);
  return st;
}

static void init_param(lua_State *L, moon_param *p, const char *init, moon_rng *rng, double deviation) {
  static const char *const names[] = {"glorot", "he", "normal", "zeros", "ones"};
  int i = 0;
  while (i < 5 && strcmp(init, names[i])) i++;
  const char *near = moon_nearest(init, names, 5);
  switch (i) {
    case 0:
      moon_init_glorot(p, rng);
      break;
    case 1:
      moon_init_he(p, rng);
      break;
    case 2:
      moon_init_normal(p, rng, deviation);
      break;
    case 3:
      break;
    case 4:
      moon_tensor_fill(p->value, 1);
      break;
    default:
      moon_tensor_raise(L, "m.nn.param: there is no init '%s'%s%s%s", init,
                        near ? "; did you mean '" : "; there are glorot, he, normal, zeros and ones", near ? near : "",
                        near ? "'?" : "");
  }
}

static const char *text_option(moon_use *use, const char *name, const char *otherwise) {
  int index = moon_use_option(use, 2, name);
  if (!index) return otherwise;
  if (lua_type(use->L, index) != LUA_TSTRING) moon_tensor_raise(use->L, "m.nn.param: '%s' must be a string", name);
  return lua_tostring(use->L, index);
}

/* m.nn.param(tensor | shape [, { name =, init =, deviation =, dtype =, sparse =, freeze =, seed = }]): of a tensor, a copy */
static int make_param(lua_State *L) {
  static const char *const names[] = {"name", "init", "deviation", "dtype", "sparse", "freeze", "seed", NULL};
  moon_tensor_home *home = moon_tensor_home_of(L);
  lua_settop(L, 2);
  moon_use use = {.L = L, .op = "m.nn.param"};
  moon_use_options(&use, 2, names);
  bool copies = moon_tensor_is(L, 1);
  if (!copies && lua_type(L, 1) != LUA_TTABLE)
    return moon_tensor_raise(L, "m.nn.param: a tensor or a shape, such as {64, 32}, is wanted, got %s", luaL_typename(L, 1));
  size_t shape[MOON_MAX_DIMS];
  int dims = copies ? moon_tensor_dims(moon_tensor_check(L, 1, "m.nn.param")) : moon_tensor_shape_arg(L, 1, "m.nn.param", shape);
  if (copies && dims) memcpy(shape, moon_tensor_shape(moon_tensor_check(L, 1, "m.nn.param")), (size_t)dims * sizeof *shape);
  const char *name = text_option(&use, "name", "parameter"), *init = text_option(&use, "init", dims > 1 ? "glorot" : "zeros");
  int dtype = moon_use_option(&use, 2, "dtype"), sparse = moon_use_option(&use, 2, "sparse"),
      freeze = moon_use_option(&use, 2, "freeze"), deviation = moon_use_option(&use, 2, "deviation"),
      seed = moon_use_option(&use, 2, "seed");
  moon_dtype given = copies && moon_tensor_dtype(moon_tensor_check(L, 1, "m.nn.param")) == MOON_F64 ? MOON_F64 : MOON_F32;
  if (dtype) given = moon_tensor_dtype_arg(L, dtype, "m.nn.param");
  moon_rng own;
  if (seed) moon_rng_seed(&own, moon_tensor_size(L, seed, "m.nn.param: seed"), 0);
  moon_param **p = moon_param_push(L, 0);
  MOON_TENSOR_CALL(L, home, "", new_param(home->account, name, given, dims, shape, sparse && lua_toboolean(L, sparse), p));
  moon_tensor_charge(L, home, (double)moon_tensor_count((*p)->value));
  (*p)->frozen = freeze && lua_toboolean(L, freeze);
  if (copies)
    MOON_TENSOR_CALL(L, home, "m.nn.param: ", moon_tensor_copy(moon_tensor_check(L, 1, "m.nn.param"), (*p)->value));
  else
    init_param(L, *p, init, seed ? &own : home->rng, deviation ? moon_use_number(&use, deviation, 0) : 0.05);
  return 1;
}

moon_tensor *moon_view_push(lua_State *L, moon_tensor_home *home, const moon_tensor *t) {
  moon_tensor **out = moon_tensor_push(L, home);
  MOON_TENSOR_CALL(L, home, "m.tensor: ", moon_tensor_reshape(t, moon_tensor_dims(t), moon_tensor_shape(t), out));
  return *out;
}

/* p:value() and p:grad() share the parameter's memory: what is written there is the parameter's. */
static int param_value(lua_State *L) {
  moon_view_push(L, moon_tensor_home_of(L), moon_param_check(L, 1, "param:value")->value);
  return 1;
}
static int param_grad(lua_State *L) {
  moon_view_push(L, moon_tensor_home_of(L), moon_param_check(L, 1, "param:grad")->grad);
  return 1;
}

static int param_name(lua_State *L) {
  lua_pushstring(L, moon_param_check(L, 1, "param:name")->name);
  return 1;
}

static int param_shape(lua_State *L) {
  const moon_param *p = moon_param_check(L, 1, "param:shape");
  int dims = moon_tensor_dims(p->value);
  lua_createtable(L, dims, 0);
  for (int d = 0; d < dims; d++) {
    lua_pushinteger(L, (lua_Integer)moon_tensor_shape(p->value)[d]);
    lua_rawseti(L, -2, d + 1);
  }
  return 1;
}

/* p:set(tensor or number): in place */
static int param_set(lua_State *L) {
  moon_tensor_home *home = moon_tensor_home_of(L);
  moon_param *p = moon_param_check(L, 1, "param:set");
  const moon_tensor *value = moon_tensor_operand(L, home, 2, p->value, "param:set");
  moon_tensor_charge(L, home, (double)moon_tensor_count(p->value) * MOON_COST_CHEAP);
  MOON_TENSOR_CALL(L, home, "param:set: ", moon_tensor_copy(value, p->value));
  moon_tensor_touch(p->value);
  lua_settop(L, 1);
  return 1;
}

static int param_zero(lua_State *L) {
  moon_param *p = moon_param_check(L, 1, "param:zero");
  moon_tensor_charge(L, moon_tensor_home_of(L), (double)moon_tensor_count(p->value) * MOON_COST_CHEAP);
  moon_param_zero_grad(p);
  lua_settop(L, 1);
  return 1;
}

static int param_freeze(lua_State *L) {
  moon_param_check(L, 1, "param:freeze")->frozen = lua_isnone(L, 2) || lua_toboolean(L, 2);
  lua_settop(L, 1);
  return 1;
}

static int param_is_frozen(lua_State *L) {
  lua_pushboolean(L, moon_param_check(L, 1, "param:is_frozen")->frozen);
  return 1;
}

static int param_tostring(lua_State *L) {
  const moon_param *p = moon_param_check(L, 1, "tostring");
  lua_pushfstring(L, "parameter \"%s\" %s %s%s", p->name, moon_dtype_name(moon_tensor_dtype(p->value)),
                  moon_shape_write(moon_tensor_dims(p->value), moon_tensor_shape(p->value)).text, p->frozen ? ", frozen" : "");
  return 1;
}

/* ---- optimisers ------------------------------------------------------------------------------------------------------------ */

typedef struct optimizer_box { /* user value 1: the list of parameters */
  moon_optimizer *optimizer;
  moon_param **params; /* [n] */
  size_t n, bytes;     /* counted in the account */
  double work;         /* of a step */
  moon_account *account;
} optimizer_box;

static int optimizer_collect(lua_State *L) {
  optimizer_box *self = luaL_checkudata(L, 1, OPTIMIZER_TYPE);
  moon_optimizer_free(self->optimizer);
  moon_free(self->params);
  if (self->bytes) moon_account_release(self->account, self->bytes);
  *self = (optimizer_box){NULL};
  return 0;
}

static optimizer_box *check_optimizer(lua_State *L, const char *what) {
  optimizer_box *self = luaL_testudata(L, 1, OPTIMIZER_TYPE);
  if (!self || !self->optimizer)
    moon_tensor_raise(L, "%s: an optimizer is wanted first (is it a colon that is missing?), got %s", what, luaL_typename(L, 1));
  return self;
}

/* m.nn.make_optimizer(m.nn.adam { ... }, params [, steps]) */
static int make_optimizer(lua_State *L) {
  moon_tensor_home *home = moon_tensor_home_of(L);
  const char *what = "m.nn.make_optimizer";
  lua_settop(L, 3);
  if (lua_type(L, 2) != LUA_TTABLE || !lua_rawlen(L, 2))
    return moon_tensor_raise(L, "%s: a list of parameters is wanted second", what);
  size_t n = lua_rawlen(L, 2), steps = lua_isnil(L, 3) ? 1 : moon_tensor_size(L, 3, what);
  json_t *spec = moon_json_push(L, 1, what);
  lua_newtable(L); /* a list of our own: the user's may change */
  int list = lua_gettop(L);
  optimizer_box *self = lua_newuserdatauv(L, sizeof *self, 1);
  memset(self, 0, sizeof *self);
  luaL_setmetatable(L, OPTIMIZER_TYPE);
  if (!(self->params = moon_alloc(n * sizeof *self->params))) return moon_tensor_raise(L, "%s: no memory", what);
  double count = 0;
  for (size_t i = 0; i < n; i++) {
    lua_rawgeti(L, 2, (lua_Integer)i + 1);
    self->params[i] = moon_param_check(L, -1, what);
    for (size_t k = 0; k < i; k++)
      if (self->params[k] == self->params[i])
        return moon_tensor_raise(L, "%s: \"%s\" is there twice", what, self->params[i]->name);
    count += (double)moon_tensor_count(self->params[i]->value);
    lua_rawseti(L, list, (lua_Integer)i + 1);
  }
  self->n = n;
  self->work = count * MOON_COST_DEAR;
  moon_tensor_charge(L, home, self->work);
  size_t bytes = (size_t)count * 2 * sizeof(float); /* two moments a number at most */
  MOON_TENSOR_CALL(L, home, "m.nn.make_optimizer: ", moon_account_charge(home->account, bytes));
  self->account = home->account;
  self->bytes = bytes;
  MOON_TENSOR_CALL(L, home, "m.nn.make_optimizer: ", moon_optimizer_new(spec, self->params, n, steps, &self->optimizer));
  lua_pushvalue(L, list);
  lua_setiuservalue(L, -2, 1);
  return 1;
}

/* opt:step(): moves every parameter, and zeroes its gradient */
static int optimizer_step(lua_State *L) {
  optimizer_box *self = check_optimizer(L, "optimizer:step");
  moon_tensor_charge(L, moon_tensor_home_of(L), self->work);
  moon_status st = moon_optimizer_step(self->optimizer);
  if (st.code) return moon_tensor_raise(L, "%s", st.message);
  lua_settop(L, 1);
  return 1;
}

static int optimizer_zero(lua_State *L) {
  optimizer_box *self = check_optimizer(L, "optimizer:zero");
  moon_tensor_charge(L, moon_tensor_home_of(L), self->work / 4);
  for (size_t i = 0; i < self->n; i++) moon_param_zero_grad(self->params[i]);
  lua_settop(L, 1);
  return 1;
}

static int optimizer_lr(lua_State *L) {
  lua_pushnumber(L, moon_optimizer_lr(check_optimizer(L, "optimizer:lr")->optimizer));
  return 1;
}

static int optimizer_steps(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)moon_optimizer_steps(check_optimizer(L, "optimizer:steps")->optimizer));
  return 1;
}

/* opt:save(path), opt:load(path): all that it keeps but its settings, as safetensors */
static int optimizer_save(lua_State *L) {
  moon_tensor_home *home = moon_tensor_home_of(L);
  const optimizer_box *self = check_optimizer(L, "optimizer:save");
  moon_bytes_may_write(L, home, 2, "optimizer:save");
  moon_buf *bytes = moon_bytes_push(L);
  MOON_TENSOR_CALL(L, home, "optimizer:save: ", moon_optimizer_save(self->optimizer, bytes));
  moon_bytes_write(L, bytes, 2, "optimizer:save");
  lua_settop(L, 1);
  return 1;
}

static int optimizer_load(lua_State *L) {
  moon_tensor_home *home = moon_tensor_home_of(L);
  const optimizer_box *self = check_optimizer(L, "optimizer:load");
  const moon_buf *bytes = moon_bytes_read(L, home, 2, "optimizer:load");
  MOON_TENSOR_CALL(L, home, "optimizer:load: ", moon_optimizer_load(self->optimizer, bytes->data, bytes->n));
  lua_settop(L, 1);
  return 1;
}

/* ---- registration ---------------------------------------------------------------------------------------------------------- */

static int param_index(lua_State *L) {
  return moon_tensor_lookup(L, lua_upvalueindex(1), "method of a parameter");
}
static int optimizer_index(lua_State *L) {
  return moon_tensor_lookup(L, lua_upvalueindex(1), "method of an optimizer");
}

void moon_object_register(lua_State *L, int home, const char *type, const luaL_Reg *meta, const luaL_Reg *methods,
                          moon_more_fn more, lua_CFunction index) {
  luaL_newmetatable(L, type);
  moon_tensor_set_functions(L, home, meta);
  lua_newtable(L);
  moon_tensor_set_functions(L, home, methods);
  if (more) more(L, home, type);
  lua_pushcclosure(L, index, 1);
  lua_setfield(L, -2, "__index");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
}

void moon_lua_param_register(lua_State *L, int home) {
  static const luaL_Reg meta[] = {{"__gc", param_collect}, {"__tostring", param_tostring}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"value", param_value},
                                     {"grad", param_grad},
                                     {"name", param_name},
                                     {"shape", param_shape},
                                     {"set", param_set},
                                     {"zero", param_zero},
                                     {"freeze", param_freeze},
                                     {"is_frozen", param_is_frozen},
                                     {NULL, NULL}};
  static const luaL_Reg optimizer_meta[] = {{"__gc", optimizer_collect}, {NULL, NULL}};
  static const luaL_Reg optimizer_methods[] = {
      {"step", optimizer_step},   {"zero", optimizer_zero}, {"lr", optimizer_lr},
      {"steps", optimizer_steps}, {"save", optimizer_save}, {"load", optimizer_load},
      {NULL, NULL}};
  moon_object_register(L, home, MOON_PARAM_TYPE, meta, methods, NULL, param_index);
  moon_object_register(L, home, OPTIMIZER_TYPE, optimizer_meta, optimizer_methods, NULL, optimizer_index);
}

void moon_lua_nn_set(lua_State *L) {
  static const luaL_Reg makers[] = {{"param", make_param}, {"make_optimizer", make_optimizer}, {NULL, NULL}};
  moon_lua_home_push(L);
  int home = lua_gettop(L);
  lua_pushvalue(L, home - 1);
  moon_tensor_set_functions(L, home, makers);
  moon_lua_net_set(L, home);
  moon_lua_onnx_set(L, home);
  lua_pop(L, 2);
}

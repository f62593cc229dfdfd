/* lua_net_fit.c - net:fit: a net trained over tensors, with a function in Lua that watches. */
#include <math.h>

#include "script/lua_net.h"

enum { FIT_PASSES = 3, STEP_COST = 500 };

static moon_status in_account(moon_account *account, const moon_tensor_fit *fit) {
  moon_account *before = moon_account_enter(account);
  moon_status st = moon_tensor_fit_run(fit);
  moon_account_enter(before);
  return st;
}

typedef struct watch {
  lua_State *L;
  int result, on_epoch; /* stack indices; 0: no function */
  const moon_epoch *epoch;
  bool stop;
} watch;

static void add_number(lua_State *L, int table, const char *name, double x) {
  if (lua_getfield(L, table, name) != LUA_TTABLE) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setfield(L, table, name);
  }
  lua_pushnumber(L, x);
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  lua_pop(L, 1);
}

/* Stack: the watch, the result, the function or nil. */
static int watch_body(lua_State *L) {
  watch *w = lua_touserdata(L, 1);
  const moon_epoch *e = w->epoch;
  bool validated = e->validation_loss == e->validation_loss;
  add_number(L, 2, "train_loss", e->train_loss);
  if (validated) add_number(L, 2, "validation_loss", e->validation_loss);
  if (lua_isnil(L, 3)) return 0;
  lua_pushvalue(L, 3);
  lua_createtable(L, 0, 4);
  lua_pushinteger(L, (lua_Integer)e->epoch);
  lua_setfield(L, -2, "epoch");
  lua_pushinteger(L, (lua_Integer)e->epochs);
  lua_setfield(L, -2, "epochs");
  lua_pushnumber(L, e->train_loss);
  lua_setfield(L, -2, "train_loss");
  if (validated) {
    lua_pushnumber(L, e->validation_loss);
    lua_setfield(L, -2, "validation_loss");
  }
  lua_call(L, 1, 1);
  w->stop = lua_isboolean(L, -1) && !lua_toboolean(L, -1);
  return 0;
}

static moon_status on_epoch(void *self, const moon_epoch *epoch, bool *stop) {
  watch *w = self;
  lua_State *L = w->L;
  w->epoch = epoch;
  if (!lua_checkstack(L, 8)) return moon_fail(MOON_ENOMEM, "no memory for Lua's stack");
  lua_pushcfunction(L, watch_body);
  lua_pushlightuserdata(L, w);
  lua_pushvalue(L, w->result);
  if (w->on_epoch)
    lua_pushvalue(L, w->on_epoch);
  else
    lua_pushnil(L);
  if (lua_pcall(L, 3, 0, 0)) return moon_fail(MOON_ESCRIPT, "an error in Lua");
  *stop = w->stop;
  return moon_ok();
}

static size_t size_option(moon_use *use, const char *name, size_t otherwise) {
  int index = moon_use_option(use, 2, name);
  return index ? moon_tensor_size(use->L, index, name) : otherwise;
}

/* The loss, the optimiser and what else says how to train, from the table at 2. */
static moon_tensor_fit how_to_fit(moon_use *use) {
  lua_State *L = use->L;
  moon_tensor_fit fit = {.epochs = size_option(use, "epochs", 10),
                         .batch = size_option(use, "batch", 32),
                         .seed = size_option(use, "seed", 1),
                         .threads = size_option(use, "threads", 1),
                         .patience = size_option(use, "patience", 0)};
  int loss = moon_use_option(use, 2, "loss"), validation = moon_use_option(use, 2, "validation");
  if (!loss || lua_type(L, loss) != LUA_TSTRING)
    moon_tensor_raise(L, "net:fit: 'loss' must be bce, bce_logits, mse or cross_entropy");
  moon_status st = moon_fit_loss_parse(lua_tostring(L, loss), &fit.loss);
  if (st.code) moon_tensor_raise(L, "net:fit: %s", st.message);
  fit.validation = validation ? moon_use_number(use, validation, 0) : 0;
  if (!moon_use_option(use, 2, "optimizer")) {
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "adam");
    lua_setfield(L, -2, "type");
  }
  fit.optimizer = moon_json_push(L, -1, "net:fit: the optimizer");
  return fit;
}

static moon_rows target_at(lua_State *L, moon_tensor_home *home, int index, const moon_tensor_fit *fit) {
  moon_rows target = {NULL};
  const moon_tensor *t = fit->loss == MOON_FIT_CROSS_ENTROPY
                             ? moon_tensor_positions(L, home, index, "net:fit: y")
                             : moon_net_numbers(L, home, index, moon_module_dtype(fit->module), "net:fit: y");
  if (!moon_tensor_dims(t) || moon_tensor_shape(t)[0] != fit->rows)
    moon_tensor_raise(L, "net:fit: y is %s, but x has %zu rows", moon_shape_write(moon_tensor_dims(t), moon_tensor_shape(t)).text,
                      fit->rows);
  target.each = fit->rows ? moon_tensor_count(t) / fit->rows : 0;
  if (fit->loss == MOON_FIT_CROSS_ENTROPY)
    target.ids = moon_net_narrow(L, t, "net:fit: y");
  else
    target.numbers = moon_tensor_data(t);
  return target;
}

/* net:fit { x =, y =, loss =, ... } -> { train_loss = { ... }, validation_loss = { ... }, best_epoch = } */
static int net_fit(lua_State *L) {
  static const char *const names[] = {"x",          "y",    "loss",    "optimizer", "epochs",   "batch",
                                      "validation", "seed", "threads", "patience",  "on_epoch", NULL};
  moon_tensor_home *home = moon_tensor_home_of(L);
  const moon_module *module = moon_net_check(L, "net:fit");
  lua_settop(L, 2);
  moon_use use = {.L = L, .op = "net:fit"};
  if (!moon_use_options(&use, 2, names))
    return moon_tensor_raise(L, "net:fit: a table is wanted: net:fit { x = ..., y = ..., loss = ... }");
  int x = moon_use_option(&use, 2, "x"), y = moon_use_option(&use, 2, "y"), function = moon_use_option(&use, 2, "on_epoch");
  if (!x || !y) return moon_tensor_raise(L, "net:fit: '%s' is missing", x ? "y" : "x");
  if (function && lua_type(L, function) != LUA_TFUNCTION)
    return moon_tensor_raise(L, "net:fit: 'on_epoch' must be a function, got %s", luaL_typename(L, function));
  moon_tensor_fit fit = how_to_fit(&use);
  fit.module = module;
  fit.rows = SIZE_MAX;
  fit.inputs = moon_net_inputs(L, home, x, module, &fit.rows, "net:fit");
  fit.target = target_at(L, home, y, &fit);
  double steps = fit.batch ? ceil((double)fit.rows / (double)fit.batch) : 1;
  moon_tensor_charge(L, home, (moon_net_row_work(module) * (double)fit.rows * FIT_PASSES + steps * STEP_COST) * (double)fit.epochs);
  lua_newtable(L);
  watch w = {.L = L, .result = lua_gettop(L), .on_epoch = function};
  fit.on_epoch = on_epoch;
  fit.self = &w;
  size_t best;
  fit.best_epoch = &best;
  moon_status st = in_account(home->account, &fit);
  if (st.code == MOON_ESCRIPT) return lua_error(L);
  if (st.code) return moon_tensor_raise(L, "net:fit: %s", st.message);
  lua_settop(L, w.result);
  lua_pushinteger(L, (lua_Integer)best);
  lua_setfield(L, -2, "best_epoch");
  return 1;
}

void moon_net_add_fit(lua_State *L, int home) {
  static const luaL_Reg methods[] = {{"fit", net_fit}, {NULL, NULL}};
  moon_tensor_set_functions(L, home, methods);
}

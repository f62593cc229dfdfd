/* lua_tape.c - m.grad: tapes and vars in Lua, their life and their arguments. See lua_tape.h for the idea. */
#include "script/lua_tape.h"

#include <stdio.h>
#include <string.h>

#include "nn/param.h"

typedef struct lua_var {
  moon_lua_tape *g; /* user value 1 */
  moon_var v;
  uint64_t generation;
} lua_var;

/* ---- a use of a tape ------------------------------------------------------------------------------------------------------- */

static void check_usable(lua_State *L, const moon_lua_tape *g, const char *op) {
  if (!g->tape && g->is_nested) moon_tensor_raise(L, "%s: this tape belonged to a checkpoint, which is over", op);
  if (!g->tape) moon_tensor_raise(L, "%s: the tape is gone", op);
  if (g->busy)
    moon_tensor_raise(L, "%s: the tape is at work; a function that it calls has tensors, or vars of its own, to compute with",
                      op);
}

static lua_var *check_var(lua_State *L, int index, const char *op) {
  lua_var *var = luaL_checkudata(L, index, MOON_VAR_TYPE);
  check_usable(L, var->g, op);
  if (var->generation != var->g->generation) moon_tensor_raise(L, "%s: the var is stale: its tape was reset since", op);
  return var;
}

bool moon_use_is_var(lua_State *L, int index) {
  return luaL_testudata(L, index, MOON_VAR_TYPE);
}

moon_use moon_use_begin(lua_State *L, int index, const char *op) {
  moon_lua_tape *g = luaL_testudata(L, index, MOON_TAPE_TYPE);
  moon_use use = {.L = L, .op = op, .at = g ? index : 0, .from = index};
  if (!g && !moon_use_is_var(L, index))
    moon_tensor_raise(L, "%s: a tape or a var is wanted first (is it a colon that is missing?), got %s", op,
                      luaL_typename(L, index));
  if (g) check_usable(L, g, op);
  use.g = g ? g : check_var(L, index, op)->g;
  use.generation = use.g->generation;
  return use;
}

void moon_use_charge(moon_use *use, double work) {
  use->g->work += work;
  moon_tensor_charge(use->L, use->g->home, work);
}

static void push_tape(moon_use *use) {
  if (use->at)
    lua_pushvalue(use->L, use->at);
  else
    lua_getiuservalue(use->L, use->from, 1);
}

int moon_use_push(moon_use *use, moon_var v) {
  lua_var *out = lua_newuserdatauv(use->L, sizeof *out, 1);
  *out = (lua_var){use->g, v, use->generation};
  push_tape(use);
  lua_setiuservalue(use->L, -2, 1);
  luaL_setmetatable(use->L, MOON_VAR_TYPE);
  return 1;
}

lua_Integer moon_use_keep(moon_use *use) {
  lua_State *L = use->L;
  push_tape(use);
  lua_getiuservalue(L, -1, 1);
  lua_pushvalue(L, -3);
  lua_rawseti(L, -2, use->g->kept + 1);
  lua_pop(L, 3);
  return ++use->g->kept;
}

static void check_whole(const moon_use *use) {
  if (use->g->generation != use->generation || !use->g->tape)
    moon_tensor_raise(use->L, "%s: the tape was reset in the middle of this call", use->op);
}

void moon_use_enter(moon_use *use) {
  moon_lua_tape *g = use->g;
  check_whole(use);
  g->busy = true;
  g->L = use->L;
  g->at = use->at;
  g->base = lua_gettop(use->L);
}

bool moon_use_again(moon_use *use, moon_status st, int *tries) {
  use->g->busy = false;
  if (st.code == MOON_ESCRIPT && lua_gettop(use->L) > use->g->base)
    lua_error(use->L); /* of a function that was called: as it was */
  lua_settop(use->L, use->g->base);
  bool again = moon_tensor_again(use->L, use->g->home, "", st, tries);
  check_whole(use); /* the collector may have run */
  return again;
}

/* ---- arguments ------------------------------------------------------------------------------------------------------------- */

/* A tensor as a constant: of the dtype of what it goes with, else of its own where that is a real one. */
static moon_var use_tensor(moon_use *use, int index, const moon_var *like) {
  const moon_tensor *t = moon_tensor_check(use->L, index, use->op);
  moon_dtype given = moon_tensor_dtype(t), dtype = like ? moon_var_dtype(use->g->tape, *like) : given;
  if (dtype != MOON_F32 && dtype != MOON_F64) dtype = MOON_F32;
  lua_pushvalue(use->L, index);
  if (dtype != given || !moon_tensor_is_contiguous(t)) {
    moon_use_charge(use, (double)moon_tensor_count(t) * MOON_COST_CHEAP);
    moon_tensor **cast = moon_tensor_push(use->L, use->g->home);
    MOON_TENSOR_CALL(use->L, use->g->home, "tensor: ", moon_tensor_cast(t, dtype, cast));
    t = *cast;
    lua_remove(use->L, -2);
  }
  moon_use_keep(use);
  moon_var v;
  MOON_USE_CALL(use, moon_tape_constant(use->g->tape, dtype, moon_tensor_dims(t), moon_tensor_shape(t), moon_tensor_data(t), &v));
  return v;
}

static moon_status put_number(moon_tape *tape, moon_dtype dtype, double x, moon_var *out) {
  void *room = moon_tape_take(tape, sizeof x);
  if (!room) return moon_fail(MOON_ENOMEM, "no memory for a number");
  if (dtype == MOON_F32)
    *(float *)room = (float)x;
  else
    *(double *)room = x;
  return moon_tape_constant(tape, dtype, 0, NULL, room, out);
}

static moon_var use_param(moon_use *use, int index) {
  moon_param *param = moon_param_check(use->L, index, use->op);
  if (param->sparse) moon_tensor_raise(use->L, "%s: \"%s\" is sparse: its rows are read by g:gather", use->op, param->name);
  lua_pushvalue(use->L, index);
  moon_use_keep(use);
  moon_var v;
  MOON_USE_CALL(use, moon_tape_leaf(use->g->tape, param->value, moon_param_sink(param), &v));
  return v;
}

moon_var moon_use_var(moon_use *use, int index, const moon_var *like) {
  lua_State *L = use->L;
  if (moon_use_is_var(L, index)) {
    const lua_var *var = check_var(L, index, use->op);
    if (var->g != use->g)
      moon_tensor_raise(L, "%s: the vars are of two tapes%s", use->op,
                        use->g->is_nested || var->g->is_nested ? "; pass what a checkpoint needs as its inputs" : "");
    return var->v;
  }
  if (moon_tensor_is(L, index)) return use_tensor(use, index, like);
  if (moon_param_is(L, index)) return use_param(use, index);
  if (lua_type(L, index) != LUA_TNUMBER)
    moon_tensor_raise(L, "%s: a var, a tensor, a parameter or a number is wanted, got %s", use->op, luaL_typename(L, index));
  moon_var v;
  moon_dtype dtype = like ? moon_var_dtype(use->g->tape, *like) : MOON_F32;
  MOON_USE_CALL(use, put_number(use->g->tape, dtype, lua_tonumber(L, index), &v));
  return v;
}

/* Memory of the tape. */
static void *use_room(moon_use *use, size_t count, size_t each) {
  void *room = NULL;
  if (count > SIZE_MAX / each) moon_tensor_raise(use->L, "%s: no memory for %zu numbers", use->op, count);
  MOON_USE_CALL(use, (room = moon_tape_take(use->g->tape, count * each))
                         ? moon_ok()
                         : moon_fail(MOON_ENOMEM, "%s: no memory for %zu numbers", use->op, count));
  return room;
}

/* The whole numbers of an i64 tensor, which are at least 0, as 32 bits. */
static const uint32_t *narrow(moon_use *use, const moon_tensor *t, const char *what) {
  size_t n = moon_tensor_count(t);
  uint32_t *room = use_room(use, n, sizeof *room);
  const int64_t *from = moon_tensor_data(t);
  for (size_t i = 0; i < n; i++) {
    if (from[i] >= MOON_NONE) moon_tensor_raise(use->L, "%s: %s %lld is out of range", use->op, what, (long long)from[i]);
    room[i] = (uint32_t)from[i];
  }
  return room;
}

/* Positions that lie as they are wanted need no copy but the narrow one. */
static const uint32_t *narrow_positions(moon_use *use, const moon_tensor *t) {
  size_t n = moon_tensor_count(t);
  uint32_t *room = use_room(use, n, sizeof *room);
  const int64_t *from = moon_tensor_data(t);
  moon_use_charge(use, (double)n * MOON_COST_CHEAP);
  for (size_t i = 0; i < n; i++) {
    if (from[i] < 1) moon_tensor_raise(use->L, "%s: positions count from 1, got %lld", use->op, (long long)from[i]);
    if (from[i] > MOON_NONE) moon_tensor_raise(use->L, "%s: position %lld is out of range", use->op, (long long)from[i]);
    room[i] = (uint32_t)(from[i] - 1);
  }
  return room;
}

const uint32_t *moon_use_ids(moon_use *use, int index, int *dims, size_t shape[MOON_MAX_DIMS], size_t *count) {
  const moon_tensor *t = moon_tensor_is(use->L, index) ? moon_tensor_check(use->L, index, use->op) : NULL;
  bool as_it_is = t && moon_tensor_dtype(t) == MOON_I64 && moon_tensor_is_contiguous(t);
  if (!as_it_is) t = moon_tensor_positions(use->L, use->g->home, index, use->op);
  *dims = moon_tensor_dims(t);
  *count = moon_tensor_count(t);
  if (*dims) memcpy(shape, moon_tensor_shape(t), (size_t)*dims * sizeof *shape);
  return as_it_is ? narrow_positions(use, t) : narrow(use, t, "position");
}

void moon_use_within(const moon_use *use, const uint32_t *ids, size_t count, int dims, const size_t *shape) {
  for (size_t i = 0; i < count && dims; i++)
    if (ids[i] >= shape[0])
      moon_tensor_raise(use->L, "%s: position %u is out of range: the rows are those of %s", use->op, ids[i] + 1,
                        moon_shape_write(dims, shape).text);
}

/* Lengths are positions that may be 0: of the last step. */
const uint32_t *moon_use_lengths(moon_use *use, int index, size_t *count) {
  lua_State *L = use->L;
  moon_tensor **t = moon_tensor_push(L, use->g->home);
  if (lua_type(L, index) == LUA_TTABLE) {
    size_t n = lua_rawlen(L, index);
    MOON_TENSOR_CALL(L, use->g->home, "lengths: ", moon_tensor_new_in(use->g->home->account, MOON_I64, 1, &n, t));
    for (size_t i = 0; i < n; i++, lua_pop(L, 1)) {
      lua_rawgeti(L, index, (lua_Integer)i + 1);
      ((int64_t *)moon_tensor_data(*t))[i] = (int64_t)moon_tensor_size(L, -1, use->op);
    }
  } else {
    const moon_tensor *given = moon_tensor_check(L, index, use->op);
    if (moon_tensor_dtype(given) != MOON_I64)
      moon_tensor_raise(L, "%s: lengths are a table or an i64 tensor, not %s", use->op,
                        moon_dtype_name(moon_tensor_dtype(given)));
    MOON_TENSOR_CALL(L, use->g->home, "lengths: ", moon_tensor_contiguous(given, t));
  }
  *count = moon_tensor_count(*t);
  const int64_t *from = moon_tensor_data(*t);
  for (size_t i = 0; i < *count; i++)
    if (from[i] < 0) moon_tensor_raise(L, "%s: a length is at least 0, got %lld", use->op, (long long)from[i]);
  return narrow(use, *t, "length");
}

const uint8_t *moon_use_mask(moon_use *use, int index, int *dims, size_t shape[MOON_MAX_DIMS]) {
  const moon_tensor *t = moon_tensor_check(use->L, index, use->op);
  if (moon_tensor_dtype(t) != MOON_U8)
    moon_tensor_raise(use->L, "%s: a mask is a u8 tensor, not %s; see tensor:lt", use->op, moon_dtype_name(moon_tensor_dtype(t)));
  moon_tensor **plain = moon_tensor_push(use->L, use->g->home);
  MOON_TENSOR_CALL(use->L, use->g->home, "mask: ", moon_tensor_contiguous(t, plain));
  uint8_t *room = use_room(use, moon_tensor_count(t), 1);
  if (moon_tensor_count(t)) memcpy(room, moon_tensor_data(*plain), moon_tensor_count(t));
  *dims = moon_tensor_dims(t);
  if (*dims) memcpy(shape, moon_tensor_shape(t), (size_t)*dims * sizeof *shape);
  return room;
}

double moon_use_number(moon_use *use, int index, double otherwise) {
  if (lua_isnoneornil(use->L, index)) return otherwise;
  if (lua_type(use->L, index) != LUA_TNUMBER)
    moon_tensor_raise(use->L, "%s: a number is wanted, got %s", use->op, luaL_typename(use->L, index));
  return lua_tonumber(use->L, index);
}

bool moon_use_options(moon_use *use, int index, const char *const *names) {
  lua_State *L = use->L;
  if (lua_isnoneornil(L, index)) return false;
  if (lua_type(L, index) != LUA_TTABLE)
    moon_tensor_raise(L, "%s: a table of options is wanted, got %s", use->op, luaL_typename(L, index));
  size_t n = 0;
  while (names[n]) n++;
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
    const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
    size_t i = 0;
    while (i < n && strcmp(names[i], name)) i++;
    const char *near = moon_nearest(name, names, n);
    if (i == n)
      moon_tensor_raise(L, "%s: unknown option '%s'%s%s%s", use->op, name, near ? "; did you mean '" : "", near ? near : "",
                        near ? "'?" : "");
  }
  return true;
}

int moon_use_option(moon_use *use, int index, const char *name) {
  if (lua_type(use->L, index) != LUA_TTABLE) return 0;
  luaL_checkstack(use->L, 8, NULL);
  if (lua_getfield(use->L, index, name) != LUA_TNIL) return lua_gettop(use->L);
  lua_pop(use->L, 1);
  return 0;
}

/* ---- values ---------------------------------------------------------------------------------------------------------------- */

moon_tensor *moon_numbers_push(lua_State *L, moon_tensor_home *home, moon_dtype dtype, int dims, const size_t *shape,
                               const void *numbers) {
  moon_tensor **out = moon_tensor_push(L, home);
  MOON_TENSOR_CALL(L, home, "m.tensor: ", moon_tensor_new_in(home->account, dtype, dims, shape, out));
  size_t bytes = moon_tensor_count(*out) * moon_dtype_size(dtype);
  if (bytes && numbers) memcpy(moon_tensor_data(*out), numbers, bytes);
  return *out;
}

/* The var's value or gradient as a tensor. */
static int push_numbers(moon_use *use, moon_var v, const void *(*numbers)(const moon_tape *, moon_var)) {
  const moon_tape *tape = use->g->tape;
  moon_dtype dtype = moon_var_dtype(tape, v);
  size_t shape[MOON_MAX_DIMS], bytes = moon_var_count(tape, v) * moon_dtype_size(dtype);
  int dims = moon_var_dims(tape, v);
  if (dims) memcpy(shape, moon_var_shape(tape, v), (size_t)dims * sizeof *shape);
  moon_tensor_charge(use->L, use->g->home, (double)moon_var_count(tape, v) * MOON_COST_CHEAP);
  moon_tensor *t = moon_numbers_push(use->L, use->g->home, dtype, dims, shape, NULL);
  check_whole(use);
  if (bytes) memcpy(moon_tensor_data(t), numbers(tape, v), bytes);
  return 1;
}

static int var_value(lua_State *L) {
  moon_use use = moon_use_begin(L, 1, "value");
  return push_numbers(&use, check_var(L, 1, "value")->v, moon_var_data);
}

/* After backward: what flowed into this var; nil where nothing did. */
static int var_grad(lua_State *L) {
  moon_use use = moon_use_begin(L, 1, "grad");
  moon_var v = check_var(L, 1, "grad")->v;
  if (moon_var_grad(use.g->tape, v)) return push_numbers(&use, v, moon_var_grad);
  if (!use.g->keeps) return moon_tensor_raise(L, "grad: what flows through vars is not kept, unless by m.grad { keep_grads = true }");
  lua_pushnil(L);
  return 1;
}

static int var_item(lua_State *L) {
  const lua_var *var = check_var(L, 1, "item");
  const moon_tape *tape = var->g->tape;
  if (moon_var_count(tape, var->v) != 1)
    return moon_tensor_raise(L, "item: %s has %zu elements, not one",
                             moon_shape_write(moon_var_dims(tape, var->v), moon_var_shape(tape, var->v)).text,
                             moon_var_count(tape, var->v));
  const void *x = moon_var_data(tape, var->v);
  lua_pushnumber(L, moon_var_dtype(tape, var->v) == MOON_F32 ? (double)*(const float *)x : *(const double *)x);
  return 1;
}

static int var_shape(lua_State *L) {
  const lua_var *var = check_var(L, 1, "shape");
  int dims = moon_var_dims(var->g->tape, var->v);
  lua_createtable(L, dims, 0);
  for (int d = 0; d < dims; d++) {
    lua_pushinteger(L, (lua_Integer)moon_var_shape(var->g->tape, var->v)[d]);
    lua_rawseti(L, -2, d + 1);
  }
  return 1;
}

static int var_dims(lua_State *L) {
  const lua_var *var = check_var(L, 1, "dims");
  lua_pushinteger(L, moon_var_dims(var->g->tape, var->v));
  return 1;
}

static int var_count(lua_State *L) {
  const lua_var *var = check_var(L, 1, "count");
  lua_pushinteger(L, (lua_Integer)moon_var_count(var->g->tape, var->v));
  return 1;
}

static int var_dtype(lua_State *L) {
  const lua_var *var = check_var(L, 1, "dtype");
  lua_pushstring(L, moon_dtype_name(moon_var_dtype(var->g->tape, var->v)));
  return 1;
}

static int var_tape(lua_State *L) {
  check_var(L, 1, "tape");
  lua_getiuservalue(L, 1, 1);
  return 1;
}

static int var_tostring(lua_State *L) {
  const lua_var *var = luaL_checkudata(L, 1, MOON_VAR_TYPE);
  const moon_tape *tape = var->g->tape;
  if (!tape || var->generation != var->g->generation)
    lua_pushliteral(L, "stale var");
  else
    lua_pushfstring(L, "var %s %s", moon_dtype_name(moon_var_dtype(tape, var->v)),
                    moon_shape_write(moon_var_dims(tape, var->v), moon_var_shape(tape, var->v)).text);
  return 1;
}

/* ---- tapes ----------------------------------------------------------------------------------------------------------------- */

moon_lua_tape *moon_tape_push(lua_State *L, moon_tensor_home *home) {
  moon_lua_tape *g = lua_newuserdatauv(L, sizeof *g, 3);
  memset(g, 0, sizeof *g);
  g->home = home;
  g->training = true;
  luaL_setmetatable(L, MOON_TAPE_TYPE);
  lua_newtable(L);
  lua_setiuservalue(L, -2, 1);
  return g;
}

static void forget(lua_State *L, int index, moon_lua_tape *g) {
  lua_newtable(L);
  lua_setiuservalue(L, index, 1);
  g->kept = 0;
  g->generation++;
  g->work = 0;
}

static int tape_collect(lua_State *L) {
  moon_lua_tape *g = luaL_checkudata(L, 1, MOON_TAPE_TYPE);
  if (!g->is_nested) moon_tape_free(g->tape);
  for (; g; g = g->nested) g->tape = NULL; /* nested ones went with it */
  return 0;
}

/* m.grad([options]); upvalue 1: the home */
static int make_tape(lua_State *L) {
  static const char *const names[] = {"seed", "training", "checks", "keep_grads", NULL};
  moon_tensor_home *home = moon_tensor_home_of(L);
  lua_settop(L, 1);
  moon_use use = {.L = L, .op = "m.grad"};
  moon_use_options(&use, 1, names);
  moon_lua_tape *g = moon_tape_push(L, home);
  MOON_TENSOR_CALL(L, home, "m.grad: ", moon_tape_new(&g->tape));
  moon_tape_set_account(g->tape, home->account);
  int seed = moon_use_option(&use, 1, "seed"), training = moon_use_option(&use, 1, "training"),
      checks = moon_use_option(&use, 1, "checks"), keep = moon_use_option(&use, 1, "keep_grads");
  g->keeps = keep && lua_toboolean(L, keep);
  moon_tape_keep_grads(g->tape, g->keeps);
  if (seed) g->seed = moon_tensor_size(L, seed, "m.grad: seed");
  if (training) g->training = lua_toboolean(L, training);
  if (checks) moon_tape_set_checks(g->tape, lua_toboolean(L, checks));
  lua_settop(L, 2);
  return 1;
}

static int tape_reset(lua_State *L) {
  moon_use use = moon_use_begin(L, 1, "reset");
  if (!use.at || use.g->is_nested) return moon_tensor_raise(L, "reset: a checkpoint's tape is reset by the tape around it");
  moon_tape_reset(use.g->tape);
  forget(L, 1, use.g);
  return 0;
}

/* g:constant(tensor or number), g:leaf(parameter) */
static int put_var(lua_State *L) {
  moon_use use = moon_use_begin(L, 1, "constant");
  if (moon_param_is(L, 2)) return moon_tensor_raise(L, "constant: parameters are leaves: g:leaf(p)");
  return moon_use_push(&use, moon_use_var(&use, 2, NULL));
}

static int put_leaf(lua_State *L) {
  moon_use use = moon_use_begin(L, 1, "leaf");
  moon_param_check(L, 2, "leaf");
  return moon_use_push(&use, moon_use_var(&use, 2, NULL));
}

/* Adds to the parameters' gradients, so a second try must not follow one that came half way: memory that may be missing is
 * looked for before. */
static int tape_backward(lua_State *L) {
  moon_use use = moon_use_begin(L, 1, "backward");
  if (!use.at || !moon_use_is_var(L, 2)) return moon_tensor_raise(L, "backward: g:backward(loss) wants a tape and a var");
  moon_var loss = moon_use_var(&use, 2, NULL);
  lua_settop(L, 2);
  moon_tensor_charge(L, use.g->home, 2 * use.g->work);
  size_t limit = moon_account_limit(use.g->home->account), used = moon_account_used(use.g->home->account);
  int tries = 0;
  if (limit && used > limit / 2) moon_tensor_again(L, use.g->home, "", moon_fail(MOON_ENOMEM, "collect"), &tries);
  tries = 1;
  moon_use_enter(&use);
  moon_status st = moon_tape_backward(use.g->tape, loss);
  moon_tape_shut(use.g);
  moon_use_again(&use, st, &tries);
  return 0;
}

static int tape_checks(lua_State *L) {
  moon_use use = moon_use_begin(L, 1, "checks");
  moon_tape_set_checks(use.g->tape, lua_isnone(L, 2) || lua_toboolean(L, 2));
  lua_settop(L, 1);
  return 1;
}

static int tape_train(lua_State *L) {
  moon_use use = moon_use_begin(L, 1, "train");
  use.g->training = lua_isnone(L, 2) || lua_toboolean(L, 2);
  lua_settop(L, 1);
  return 1;
}

static int tape_bytes(lua_State *L) {
  moon_use use = moon_use_begin(L, 1, "bytes");
  lua_pushinteger(L, (lua_Integer)moon_tape_bytes(use.g->tape));
  return 1;
}

static int tape_tostring(lua_State *L) {
  luaL_checkudata(L, 1, MOON_TAPE_TYPE);
  lua_pushliteral(L, "m.grad tape");
  return 1;
}

/* ---- registration ---------------------------------------------------------------------------------------------------------- */

/* Upvalue 1: the methods; 2: what they are methods of */
static int lookup(lua_State *L) {
  return moon_tensor_lookup(L, lua_upvalueindex(1), lua_tostring(L, lua_upvalueindex(2)));
}

/* Sets what the metatable at `meta` looks names up in: the methods at the top, popped. */
static void set_methods(lua_State *L, int meta, const char *what) {
  lua_pushstring(L, what);
  lua_pushcclosure(L, lookup, 2);
  lua_setfield(L, meta, "__index");
  lua_pushboolean(L, 0);
  lua_setfield(L, meta, "__metatable");
}

static void register_types(lua_State *L, int home) {
  static const luaL_Reg vars[] = {{"value", var_value}, {"grad", var_grad}, {"item", var_item},
                                  {"shape", var_shape}, {"dims", var_dims}, {"count", var_count},
                                  {"dtype", var_dtype}, {"tape", var_tape}, {NULL, NULL}};
  static const luaL_Reg tapes[] = {
      {"reset", tape_reset},   {"constant", put_var}, {"leaf", put_leaf},    {"backward", tape_backward},
      {"checks", tape_checks}, {"train", tape_train}, {"bytes", tape_bytes}, {NULL, NULL}};
  luaL_newmetatable(L, MOON_TAPE_TYPE);
  int tape_meta = lua_gettop(L);
  lua_pushcfunction(L, tape_collect);
  lua_setfield(L, tape_meta, "__gc");
  lua_pushcfunction(L, tape_tostring);
  lua_setfield(L, tape_meta, "__tostring");
  luaL_newmetatable(L, MOON_VAR_TYPE);
  int var_meta = lua_gettop(L);
  lua_pushcfunction(L, var_tostring);
  lua_setfield(L, var_meta, "__tostring");
  lua_newtable(L);
  moon_tensor_set_functions(L, home, tapes);
  lua_newtable(L);
  moon_tensor_set_functions(L, home, vars);
  moon_tape_add_ops(L, home, var_meta, lua_gettop(L), lua_gettop(L) - 1);
  moon_tape_add_calls(L, home, lua_gettop(L) - 1);
  set_methods(L, var_meta, "method of a var");
  set_methods(L, tape_meta, "method of a tape");
  lua_pop(L, 2);
}

void moon_lua_tape_push(lua_State *L) {
  moon_lua_home_push(L);
  int home = lua_gettop(L);
  register_types(L, home);
  moon_lua_param_register(L, home);
  lua_pushcclosure(L, make_tape, 1); /* over the home */
}

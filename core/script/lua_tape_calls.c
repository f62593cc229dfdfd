/* lua_tape_calls.c - where a tape calls back into Lua: blocks under a setting, checkpoints, ops of one's own.
 *
 * An error in a function that core calls waits on top of the stack until core has cleaned up, and is raised from there as it was:
 * core sees a status and never a jump. What such a function pushes lies above `base`, the end of the arguments of the call in
 * progress. */
#include "script/lua_tape.h"

#include <string.h>

/* ---- blocks: g:no_grad(fn), g:scope(name, fn) ------------------------------------------------------------------------------ */

static void function_arg(lua_State *L, int index, const char *op) {
  if (lua_type(L, index) != LUA_TFUNCTION) moon_tensor_raise(L, "%s: a function is wanted, got %s", op, luaL_typename(L, index));
}

/* Calls the function at `index` with what follows it; answers how many results there are, or -1 and the error at the top. */
static int call_block(lua_State *L, int index) {
  int failed = lua_pcall(L, lua_gettop(L) - index, LUA_MULTRET, 0);
  return failed ? -1 : lua_gettop(L) - index + 1;
}

/* g:no_grad(fn, ...) -> what fn answers */
static int no_grad(lua_State *L) {
  moon_use use = moon_use_begin(L, 1, "no_grad");
  function_arg(L, 2, "no_grad");
  bool before = use.g->no_grad;
  use.g->no_grad = true;
  moon_tape_set_grad(use.g->tape, false);
  int n = call_block(L, 2);
  use.g->no_grad = before;
  if (use.g->tape) moon_tape_set_grad(use.g->tape, !before);
  return n < 0 ? lua_error(L) : n;
}

/* g:scope(name, fn, ...) -> what fn answers; messages from inside say the name */
static int scope(lua_State *L) {
  moon_use use = moon_use_begin(L, 1, "scope");
  if (lua_type(L, 2) != LUA_TSTRING) return moon_tensor_raise(L, "scope: a name is wanted, got %s", luaL_typename(L, 2));
  function_arg(L, 3, "scope");
  MOON_USE_CALL(&use, moon_tape_scope_push(use.g->tape, lua_tostring(L, 2)));
  int n = call_block(L, 3);
  if (use.g->tape && use.generation == use.g->generation) moon_tape_scope_pop(use.g->tape);
  return n < 0 ? lua_error(L) : n;
}

/* ---- checkpoints ----------------------------------------------------------------------------------------------------------- */

typedef struct part { /* in the memory of the tape around it */
  moon_lua_tape *outer;
  lua_Integer fn; /* kept there */
  uint64_t draws; /* dropout must drop the same both times */
} part;

typedef struct part_run {
  const part *part;
  moon_tape *tape;
  const moon_var *leaves;
  size_t n;
  moon_var *result;
} part_run;

void moon_tape_shut(moon_lua_tape *g) {
  for (moon_lua_tape *nested = g->nested; nested; nested = nested->nested) {
    nested->tape = NULL;
    nested->busy = false;
  }
}

/* Stack: the outer tape, the nested one. Calls fn with vars of the nested tape. */
static int run_body(lua_State *L) {
  const part_run *run = lua_touserdata(L, 3);
  moon_lua_tape *nested = lua_touserdata(L, 2);
  lua_newtable(L);
  lua_setiuservalue(L, 2, 1);
  nested->kept = 0;
  nested->draws = run->part->draws;
  moon_use use = moon_use_begin(L, 2, "checkpoint");
  luaL_checkstack(L, (int)run->n + 4, NULL);
  lua_getiuservalue(L, 1, 1);
  lua_rawgeti(L, -1, run->part->fn);
  for (size_t i = 0; i < run->n; i++) moon_use_push(&use, run->leaves[i]);
  lua_call(L, (int)run->n, 1);
  if (!moon_use_is_var(L, -1))
    return moon_tensor_raise(L, "checkpoint: the function answers a var, not a %s", luaL_typename(L, -1));
  *run->result = moon_use_var(&use, lua_gettop(L), NULL);
  return 0;
}

/* A moon_graph_fn. The nested tape's userdata stays at base + 1 for the walk back over it. */
static moon_status run_part(moon_tape *tape, const moon_var *leaves, size_t n, void *self, moon_var *result) {
  part *p = self;
  moon_lua_tape *outer = p->outer, *nested = outer->nested;
  lua_State *L = outer->L;
  lua_settop(L, outer->base);
  part_run run = {p, tape, leaves, n, result};
  if (!lua_checkstack(L, 8)) return moon_fail(MOON_ENOMEM, "no memory for Lua's stack");
  lua_getiuservalue(L, outer->at, 2);
  nested->tape = tape;
  nested->generation++;
  nested->training = outer->training;
  nested->keeps = outer->keeps;
  nested->seed = outer->seed;
  nested->busy = false;
  lua_pushcfunction(L, run_body);
  lua_pushvalue(L, outer->at);
  lua_pushvalue(L, outer->base + 1);
  lua_pushlightuserdata(L, &run);
  if (lua_pcall(L, 3, 0, 0)) return moon_fail(MOON_ESCRIPT, "an error in Lua");
  if (outer->draws < nested->draws) outer->draws = nested->draws;
  nested->busy = true; /* on the way back core works on it */
  nested->L = L;
  nested->at = nested->base = outer->base + 1;
  return moon_ok();
}

/* Makes the userdata of the tape for checkpoints, once. */
static void make_nested(moon_use *use) {
  if (use->g->nested) return;
  moon_lua_tape *nested = moon_tape_push(use->L, use->g->home);
  nested->is_nested = true;
  lua_pushvalue(use->L, 1);
  lua_setiuservalue(use->L, -2, 3);
  lua_setiuservalue(use->L, 1, 2);
  use->g->nested = nested;
}

/* Vars at `from`.. as a list in a userdata, pushed. */
static moon_var *vars_at(moon_use *use, int from, size_t n) {
  moon_var *list = lua_newuserdatauv(use->L, (n + 1) * sizeof *list, 0);
  for (size_t i = 0; i < n; i++) list[i] = moon_use_var(use, from + (int)i, i ? list : NULL);
  return list;
}

/* g:checkpoint(fn, inputs...): fn(inputs...) answers a var; its inside is forgotten and computed again on the way back */
static int checkpoint(lua_State *L) {
  moon_use use = moon_use_begin(L, 1, "checkpoint");
  if (!use.at) return moon_tensor_raise(L, "checkpoint: g:checkpoint(fn, inputs...) wants a tape first");
  function_arg(L, 2, "checkpoint");
  size_t n = (size_t)lua_gettop(L) - 2;
  make_nested(&use);
  moon_var *in = vars_at(&use, 3, n), out;
  lua_pushvalue(L, 2);
  lua_Integer fn = moon_use_keep(&use);
  part *p;
  MOON_USE_CALL(&use, (p = moon_tape_take(use.g->tape, sizeof *p)) ? moon_ok() : moon_fail(MOON_ENOMEM, "checkpoint: no memory"));
  *p = (part){use.g, fn, use.g->draws};
  int tries = 1; /* fn may do what must not be done twice */
  moon_use_enter(&use);
  moon_status st = moon_op_checkpoint(use.g->tape, run_part, p, in, n, &out);
  moon_tape_shut(use.g);
  moon_use_again(&use, st, &tries);
  use.g->work += use.g->nested->work; /* the second run is charged as it happens, the way back over it here */
  use.g->nested->work = 0;
  return moon_use_push(&use, out);
}

/* ---- ops of one's own ------------------------------------------------------------------------------------------------------ */

typedef struct own_op { /* in the tape's memory */
  moon_lua_tape *g;
  lua_Integer backward; /* kept there */
  const void *forward;  /* what the forward function answered */
} own_op;

static moon_status own_forward(void *self, const moon_operand *in, size_t n, const moon_operand *out, void *value) {
  const own_op *own = self;
  (void)in;
  (void)n;
  if (out->count) memcpy(value, own->forward, out->count * moon_dtype_size(out->dtype));
  return moon_ok();
}

typedef struct own_back {
  const own_op *own;
  const moon_operand *in, *out;
  size_t n;
} own_back;

/* The tensor or number at `index`, added to an input's gradient; nil is no gradient. */
static void add_gradient(lua_State *L, moon_tensor_home *home, int index, const moon_operand *in, size_t i) {
  if (lua_isnil(L, index) || !in->grad) return;
  moon_tensor **into = moon_tensor_push(L, home);
  MOON_TENSOR_CALL(L, home, "", moon_tensor_borrow(in->dtype, in->dims, in->shape, in->grad, into));
  const moon_tensor *given = moon_tensor_operand(L, home, index, *into, "backward");
  if (moon_tensor_is(L, index) && !moon_shape_equal(in->dims, in->shape, moon_tensor_dims(given), moon_tensor_shape(given)))
    moon_tensor_raise(L, "backward: gradient %zu is %s, its input %s", i + 1,
                      moon_shape_write(moon_tensor_dims(given), moon_tensor_shape(given)).text,
                      moon_shape_write(in->dims, in->shape).text);
  MOON_TENSOR_CALL(L, home, "backward: ", moon_tensor_binary_into(MOON_OP_ADD, *into, given, *into));
  moon_tensor_free(*into); /* the borrowed memory is the tape's */
  *into = NULL;
}

/* Stack: the tape. Calls backward(gradient, inputs...) and adds up what it answers. */
static int back_body(lua_State *L) {
  const own_back *back = lua_touserdata(L, 2);
  moon_tensor_home *home = back->own->g->home;
  luaL_checkstack(L, 4 * (int)back->n + 8, NULL);
  lua_getiuservalue(L, 1, 1);
  lua_rawgeti(L, -1, back->own->backward);
  int fn = lua_gettop(L);
  moon_numbers_push(L, home, back->out->dtype, back->out->dims, back->out->shape, back->out->grad);
  for (size_t i = 0; i < back->n; i++)
    moon_numbers_push(L, home, back->in[i].dtype, back->in[i].dims, back->in[i].shape, back->in[i].value);
  lua_call(L, (int)back->n + 1, (int)back->n);
  for (size_t i = 0; i < back->n; i++) add_gradient(L, home, fn + (int)i, &back->in[i], i);
  return 0;
}

static moon_status own_backward(void *self, const moon_operand *in, size_t n, const moon_operand *out) {
  const own_op *own = self;
  own_back back = {own, in, out, n};
  lua_State *L = own->g->L;
  lua_settop(L, own->g->base);
  if (!lua_checkstack(L, 8)) return moon_fail(MOON_ENOMEM, "no memory for Lua's stack");
  lua_pushcfunction(L, back_body);
  lua_pushvalue(L, own->g->at);
  lua_pushlightuserdata(L, &back);
  if (lua_pcall(L, 2, 0, 0)) return moon_fail(MOON_ESCRIPT, "an error in Lua");
  return moon_ok();
}

/* The function under `name` in the table at 2: its index, or 0 where it is not given. */
static int function_option(moon_use *use, const char *name, bool needed) {
  int index = moon_use_option(use, 2, name);
  if (!index && !needed) return 0;
  if (!index || lua_type(use->L, index) != LUA_TFUNCTION)
    moon_tensor_raise(use->L, "custom: '%s' must be a function, got %s", name, index ? luaL_typename(use->L, index) : "nothing");
  return index;
}

/* Calls forward(inputs...) with copies of the inputs' values: the tensor that it answers, at the top, contiguous and of dtype. */
static const moon_tensor *call_forward(moon_use *use, int forward, const moon_var *in, size_t n) {
  lua_State *L = use->L;
  moon_dtype dtype = moon_var_dtype(use->g->tape, in[0]);
  lua_pushvalue(L, forward);
  for (size_t i = 0; i < n; i++) {
    size_t shape[MOON_MAX_DIMS],
        bytes = moon_var_count(use->g->tape, in[i]) * moon_dtype_size(moon_var_dtype(use->g->tape, in[i]));
    int dims = moon_var_dims(use->g->tape, in[i]);
    if (dims) memcpy(shape, moon_var_shape(use->g->tape, in[i]), (size_t)dims * sizeof *shape);
    moon_tensor *t = moon_numbers_push(L, use->g->home, moon_var_dtype(use->g->tape, in[i]), dims, shape, NULL);
    moon_use_enter(use); /* the tape is still whole */
    use->g->busy = false;
    if (bytes) memcpy(moon_tensor_data(t), moon_var_data(use->g->tape, in[i]), bytes);
  }
  lua_call(L, (int)n, 1);
  if (!moon_tensor_is(L, -1)) moon_tensor_raise(L, "custom: forward answers a tensor, not a %s", luaL_typename(L, -1));
  const moon_tensor *given = moon_tensor_check(L, -1, use->op);
  moon_tensor **plain = moon_tensor_push(L, use->g->home);
  MOON_TENSOR_CALL(L, use->g->home, "custom: ", moon_tensor_cast(given, dtype, plain));
  return *plain;
}

/* g:custom { name =, inputs = { ... }, forward = function(x, ...) return tensor end,
 *            backward = function(gradient, x, ...) return ... end } */
static int custom(lua_State *L) {
  static const char *const names[] = {"name", "inputs", "forward", "backward", NULL};
  moon_use use = moon_use_begin(L, 1, "custom");
  lua_settop(L, 2);
  if (!use.at || !moon_use_options(&use, 2, names))
    return moon_tensor_raise(L, "custom: g:custom { ... } wants a tape and a table");
  int name = moon_use_option(&use, 2, "name"), inputs = moon_use_option(&use, 2, "inputs");
  if (!name || lua_type(L, name) != LUA_TSTRING) return moon_tensor_raise(L, "custom: 'name' must be a string");
  if (!inputs || lua_type(L, inputs) != LUA_TTABLE) return moon_tensor_raise(L, "custom: 'inputs' must be a list of vars");
  size_t n = lua_rawlen(L, inputs);
  if (n < 1 || n > MOON_CUSTOM_INPUTS)
    return moon_tensor_raise(L, "custom: there are 1 to %d inputs, not %zu", MOON_CUSTOM_INPUTS, n);
  int forward = function_option(&use, "forward", true), backward = function_option(&use, "backward", false);
  moon_var in[MOON_CUSTOM_INPUTS], out;
  for (size_t i = 0; i < n; i++) {
    lua_rawgeti(L, inputs, (lua_Integer)i + 1);
    in[i] = moon_use_var(&use, lua_gettop(L), i ? in : NULL);
  }
  const moon_tensor *value = call_forward(&use, forward, in, n);
  own_op *own;
  MOON_USE_CALL(&use, (own = moon_tape_take(use.g->tape, sizeof *own)) ? moon_ok() : moon_fail(MOON_ENOMEM, "custom: no memory"));
  *own = (own_op){.g = use.g, .forward = moon_tensor_data(value)};
  if (backward) {
    lua_pushvalue(L, backward);
    own->backward = moon_use_keep(&use);
  }
  moon_custom how = {lua_tostring(L, name), own_forward, backward ? own_backward : NULL, own};
  moon_use_charge(&use, (double)moon_tensor_count(value) * MOON_COST_CHEAP);
  MOON_USE_CALL(&use, moon_op_custom(use.g->tape, &how, in, n, moon_tensor_dims(value), moon_tensor_shape(value), &out));
  return moon_use_push(&use, out);
}

void moon_tape_add_calls(lua_State *L, int home, int tape_methods) {
  static const luaL_Reg calls[] = {
      {"no_grad", no_grad}, {"scope", scope}, {"checkpoint", checkpoint}, {"custom", custom}, {NULL, NULL}};
  lua_pushvalue(L, tape_methods);
  moon_tensor_set_functions(L, home, calls);
  lua_pop(L, 1);
}

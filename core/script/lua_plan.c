/* lua_plan.c - compiled plans in Lua: what net:compile gives, and what net:predict runs where the net compiles.
 *
 * A plan has copies of the weights and never changes. Its scratch is taken with it, so that plan:predict(x, out) allocates nothing. */
#include <string.h>

#include "script/lua_plan.h"

#define PLAN_TYPE "moonshelf.plan"

struct moon_lua_plan {
  moon_infer *infer;
  float *scratch;
  moon_infer_difference difference;
  bool measured;
  double work; /* multiplications of a row */
  size_t bytes;
  moon_account *account; /* where they count; NULL: nowhere yet */
};

static int plan_collect(lua_State *L) {
  moon_lua_plan *self = luaL_checkudata(L, 1, PLAN_TYPE);
  moon_infer_free(self->infer);
  moon_free(self->scratch);
  if (self->account) moon_account_release(self->account, self->bytes);
  memset(self, 0, sizeof *self);
  return 0;
}

/* ---- making one ------------------------------------------------------------------------------------------------------------ */

/* The plan's memory beside its weights, and the account of both. */
static moon_status settle(moon_lua_plan *self, moon_account *account) {
  size_t floats = moon_infer_scratch(self->infer, SIZE_MAX), bytes = moon_infer_bytes(self->infer) + floats * sizeof(float);
  if (!self->scratch && !(self->scratch = moon_alloc_aligned(floats * sizeof(float))))
    return moon_fail(MOON_ENOMEM, "no memory for %zu numbers", floats);
  MOON_TRY(moon_wrap(moon_account_charge(account, bytes), "no memory for a plan"));
  self->account = account, self->bytes = bytes;
  return moon_ok();
}

static moon_lua_plan *push_plan(lua_State *L) {
  moon_lua_plan *self = lua_newuserdatauv(L, sizeof *self, 0);
  memset(self, 0, sizeof *self);
  luaL_setmetatable(L, PLAN_TYPE);
  return self;
}

moon_lua_plan *moon_plan_push(lua_State *L, moon_tensor_home *home, const moon_module *module, const char *what,
                              moon_status *why) {
  const char *prefix = lua_pushfstring(L, "%s: ", what);
  moon_lua_plan *self = push_plan(L);
  size_t n;
  moon_param *const *params = moon_module_params(module, &n);
  for (size_t i = 0; i < n; i++) self->work += (double)moon_tensor_count(params[i]->value);
  moon_tensor_charge(L, home, self->work * MOON_COST_DEAR);
  self->work *= MOON_COST_MULTIPLY;
  MOON_TENSOR_CALL(L, home, prefix, moon_module_compile(module, MOON_LINEAR, &self->infer, why));
  lua_remove(L, -2);
  if (!self->infer) return NULL;
  MOON_TENSOR_CALL(L, home, "m.nn: ", settle(self, home->account));
  return self;
}

void moon_plan_quantise(lua_State *L, moon_tensor_home *home, int plan, moon_precision precision, const float *x, size_t rows) {
  const moon_lua_plan *full = lua_touserdata(L, plan);
  moon_lua_plan *self = push_plan(L);
  self->work = full->work, self->measured = x != NULL;
  moon_tensor_charge(L, home, full->work / MOON_COST_MULTIPLY * MOON_COST_DEAR + 2 * full->work * (double)rows);
  MOON_TENSOR_CALL(
      L, home, "net:compile: ", moon_infer_quantise(full->infer, precision, x, rows, &self->infer, x ? &self->difference : NULL));
  MOON_TENSOR_CALL(L, home, "net:compile: ", settle(self, home->account));
}

/* ---- running it ------------------------------------------------------------------------------------------------------------ */

void moon_plan_run(lua_State *L, moon_tensor_home *home, const moon_lua_plan *plan, const float *x, size_t rows, float *y) {
  moon_tensor_charge(L, home, plan->work * (double)rows);
  moon_infer_run(plan->infer, x, rows, plan->scratch, y);
}

bool moon_plan_takes(const moon_lua_plan *plan, const moon_tensor *x) {
  return moon_tensor_dtype(x) == MOON_F32 && moon_tensor_dims(x) == 2 && moon_tensor_shape(x)[1] == moon_infer_in(plan->infer) &&
         moon_tensor_is_contiguous(x);
}

static moon_lua_plan *check_plan(lua_State *L, const char *what) {
  moon_lua_plan *self = luaL_testudata(L, 1, PLAN_TYPE);
  if (!self || !self->infer)
    moon_tensor_raise(L, "%s: a plan (net:compile) is wanted first (is it a colon that is missing?), got %s", what,
                      luaL_typename(L, 1));
  return self;
}

/* The tensor at 2 as the plan takes it, cast or copied where need be. */
static const moon_tensor *rows_at_2(lua_State *L, moon_tensor_home *home, const moon_lua_plan *plan) {
  const moon_tensor *x = moon_tensor_check(L, 2, "plan:predict");
  if (moon_plan_takes(plan, x)) return x;
  if (moon_tensor_dims(x) != 2 || moon_tensor_shape(x)[1] != moon_infer_in(plan->infer))
    moon_tensor_raise(L, "plan:predict: x is [n, %zu], got %s", moon_infer_in(plan->infer),
                      moon_shape_write(moon_tensor_dims(x), moon_tensor_shape(x)).text);
  moon_tensor_charge(L, home, (double)moon_tensor_count(x) * MOON_COST_CHEAP);
  moon_tensor **cast = moon_tensor_push(L, home);
  MOON_TENSOR_CALL(L, home, "plan:predict: ", moon_tensor_cast(x, MOON_F32, cast));
  return *cast;
}

static moon_tensor *out_at_3(lua_State *L, const moon_tensor *x, const size_t shape[2]) {
  moon_tensor *out = moon_tensor_check(L, 3, "plan:predict: out");
  if (moon_tensor_dtype(out) != MOON_F32 || !moon_tensor_is_contiguous(out) ||
      !moon_shape_equal(2, shape, moon_tensor_dims(out), moon_tensor_shape(out)))
    moon_tensor_raise(L, "plan:predict: out is a contiguous f32 tensor %s, got %s %s", moon_shape_write(2, shape).text,
                      moon_dtype_name(moon_tensor_dtype(out)),
                      moon_shape_write(moon_tensor_dims(out), moon_tensor_shape(out)).text);
  const float *from = moon_tensor_data(x), *to = moon_tensor_data(out);
  if (to < from + moon_tensor_count(x) && from < to + moon_tensor_count(out))
    moon_tensor_raise(L, "plan:predict: out has memory in common with x");
  return out;
}

/* plan:predict(x [, out]) -> [n, ...], which is out where it is given: nothing is allocated then */
static int plan_predict(lua_State *L) {
  moon_tensor_home *home = moon_tensor_home_of(L);
  const moon_lua_plan *self = check_plan(L, "plan:predict");
  lua_settop(L, 3);
  const moon_tensor *x = rows_at_2(L, home, self);
  const size_t shape[2] = {moon_tensor_shape(x)[0], moon_infer_out(self->infer)};
  bool given = !lua_isnil(L, 3);
  moon_tensor *y = given ? out_at_3(L, x, shape) : moon_numbers_push(L, home, MOON_F32, 2, shape, NULL);
  moon_plan_run(L, home, self, moon_tensor_data(x), shape[0], moon_tensor_data(y));
  moon_tensor_touch(y);
  if (given) lua_settop(L, 3);
  return 1;
}

/* ---- what it says of itself ------------------------------------------------------------------------------------------------ */

/* plan:bytes(): of weights, biases and scales */
static int plan_bytes(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)moon_infer_bytes(check_plan(L, "plan:bytes")->infer));
  return 1;
}

static int plan_precision(lua_State *L) {
  lua_pushstring(L, moon_precision_name(moon_infer_precision(check_plan(L, "plan:precision")->infer)));
  return 1;
}

/* plan:difference() -> the most and the mean that it differed from the f32 plan on the rows of `calibrate`; nil without them */
static int plan_difference(lua_State *L) {
  const moon_lua_plan *self = check_plan(L, "plan:difference");
  if (!self->measured) return lua_pushnil(L), 1;
  lua_pushnumber(L, self->difference.most);
  lua_pushnumber(L, self->difference.mean);
  return 2;
}

static int plan_tostring(lua_State *L) {
  const moon_infer *infer = check_plan(L, "tostring")->infer;
  lua_pushfstring(L, "plan %s, %I -> %I, %I bytes", moon_precision_name(moon_infer_precision(infer)),
                  (lua_Integer)moon_infer_in(infer), (lua_Integer)moon_infer_out(infer), (lua_Integer)moon_infer_bytes(infer));
  return 1;
}

/* ---- registration ---------------------------------------------------------------------------------------------------------- */

static int plan_index(lua_State *L) {
  return moon_tensor_lookup(L, lua_upvalueindex(1), "method of a plan");
}

void moon_plan_register(lua_State *L, int home) {
  static const luaL_Reg meta[] = {{"__gc", plan_collect}, {"__tostring", plan_tostring}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"predict", plan_predict},
                                     {"bytes", plan_bytes},
                                     {"precision", plan_precision},
                                     {"difference", plan_difference},
                                     {NULL, NULL}};
  moon_object_register(L, home, PLAN_TYPE, meta, methods, NULL, plan_index);
}

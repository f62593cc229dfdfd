/* lua_tensor_ops.c - what tensors compute in Lua: operators and methods.
 *
 * Each function checks, charges what the work is about to cost, calls and pushes. Positions count from 1 in Lua and from 0 in
 * core, and turn where they pass through here. Families of operations are one function each, with the operation as upvalue 2,
 * under the names that core gives them. */
#include "script/lua_tensor.h"

#include <math.h>
#include <stdio.h>

enum { NAME_MAX_BYTES = 48 };
#define CHEAP (1. / 16) /* VM instructions per element: an addition */
#define DEAR (1. / 4)   /* a logarithm, a comparison that cannot be foreseen */

typedef struct op_name { char text[NAME_MAX_BYTES]; } op_name;

static op_name method_name(const char *op) {
  op_name name;
  snprintf(name.text, sizeof name.text, "tensor:%s", op);
  return name;
}

static double count_of(const moon_tensor *t) { return (double)moon_tensor_count(t); }

/* Elements of two tensors stretched to each other; 0 where they do not stretch, which the operation will say. */
static double count_together(const moon_tensor *a, const moon_tensor *b) {
  int dims;
  size_t shape[MOON_MAX_DIMS];
  if (!moon_shape_broadcast(moon_tensor_dims(a), moon_tensor_shape(a), moon_tensor_dims(b), moon_tensor_shape(b), &dims, shape))
    return 0;
  double count = 1;
  for (int d = 0; d < dims; d++) count *= (double)shape[d];
  return count;
}

/* ---- element by element ---------------------------------------------------------------------------------------------------- */

/* Where b is an object with this operator of its own (a var of a tape), that is what is meant. */
static bool push_others(lua_State *L, moon_binary op) {
  char name[NAME_MAX_BYTES];
  snprintf(name, sizeof name, "__%s", moon_binary_name(op));
  if (luaL_getmetafield(L, 2, name) == LUA_TNIL) return false;
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 2);
  lua_call(L, 2, 1);
  return true;
}

/* (a, b): one of them may be a number. Upvalue 2: the op */
static int binary(lua_State *L) {
  moon_tensor_home *home = moon_tensor_home_of(L);
  moon_binary op = (moon_binary)lua_tointeger(L, lua_upvalueindex(2));
  op_name name = method_name(moon_binary_name(op));
  if (lua_type(L, 2) == LUA_TUSERDATA && !moon_tensor_is(L, 2) && push_others(L, op)) return 1;
  bool second = !moon_tensor_is(L, 1) && moon_tensor_is(L, 2); /* 2 - t */
  const moon_tensor *like = moon_tensor_check(L, second ? 2 : 1, name.text);
  const moon_tensor *a = moon_tensor_operand(L, home, 1, like, name.text), *b = moon_tensor_operand(L, home, 2, like, name.text);
  moon_tensor_charge(L, home, count_together(a, b) * (op == MOON_OP_POW ? DEAR : CHEAP));
  moon_tensor **out = moon_tensor_push(L, home);
  MOON_TENSOR_CALL(L, home, "tensor:", moon_tensor_binary(op, a, b, out));
  return 1;
}

/* t:add_(u) changes t and gives it back. */
static int binary_in_place(lua_State *L) {
  moon_tensor_home *home = moon_tensor_home_of(L);
  moon_binary op = (moon_binary)lua_tointeger(L, lua_upvalueindex(2));
  op_name name = method_name(moon_binary_name(op));
  moon_tensor *t = moon_tensor_check(L, 1, name.text);
  const moon_tensor *b = moon_tensor_operand(L, home, 2, t, name.text);
  moon_tensor_charge(L, home, count_of(t) * (op == MOON_OP_POW ? DEAR : CHEAP));
  MOON_TENSOR_CALL(L, home, "tensor:", moon_tensor_binary_into(op, t, b, t));
  moon_tensor_touch(t);
  lua_settop(L, 1);
  return 1;
}

static double unary_cost(moon_unary op, const moon_tensor *t) {
  bool cheap = op == MOON_OP_NEG || op == MOON_OP_ABS || op == MOON_OP_RELU || op == MOON_OP_SQRT;
  return count_of(t) * (cheap ? CHEAP : moon_tensor_dtype(t) == MOON_F32 ? DEAR : 4 * DEAR);
}

static int unary(lua_State *L) {
  moon_tensor_home *home = moon_tensor_home_of(L);
  moon_unary op = (moon_unary)lua_tointeger(L, lua_upvalueindex(2));
  op_name name = method_name(moon_unary_name(op));
  const moon_tensor *t = moon_tensor_check(L, 1, name.text);
  moon_tensor_charge(L, home, unary_cost(op, t));
  moon_tensor **out = moon_tensor_push(L, home);
  MOON_TENSOR_CALL(L, home, "tensor:", moon_tensor_unary(op, t, out));
  return 1;
}

static int unary_in_place(lua_State *L) {
  moon_tensor_home *home = moon_tensor_home_of(L);
  moon_unary op = (moon_unary)lua_tointeger(L, lua_upvalueindex(2));
  op_name name = method_name(moon_unary_name(op));
  moon_tensor *t = moon_tensor_check(L, 1, name.text);
  moon_tensor_charge(L, home, unary_cost(op, t));
  MOON_TENSOR_CALL(L, home, "tensor:", moon_tensor_unary_into(op, t, t));
  moon_tensor_touch(t);
  lua_settop(L, 1);
  return 1;
}

static double bound(lua_State *L, int index, double open) {
  if (lua_isnoneornil(L, index)) return open;
  if (lua_type(L, index) != LUA_TNUMBER)
    moon_tensor_raise(L, "tensor:clip: a bound is a number or nil, got %s", luaL_typename(L, index));
  return lua_tonumber(L, index);
}

/* t:clip(low, high); nil leaves that side open */
static int clip(lua_State *L) {
  moon_tensor_home *home = moon_tensor_home_of(L);
  const moon_tensor *t = moon_tensor_check(L, 1, "tensor:clip");
  double low = bound(L, 2, -HUGE_VAL), high = bound(L, 3, HUGE_VAL);
  moon_tensor_charge(L, home, count_of(t) * CHEAP);
  moon_tensor **out = moon_tensor_push(L, home);
  MOON_TENSOR_CALL(L, home, "tensor:", moon_tensor_clip(t, low, high, out));
  return 1;
}

/* mask:where(a, b) */
static int where(lua_State *L) {
  moon_tensor_home *home = moon_tensor_home_of(L);
  const moon_tensor *mask = moon_tensor_check(L, 1, "tensor:where");
  bool second = !moon_tensor_is(L, 2) && moon_tensor_is(L, 3);
  const moon_tensor *like = moon_tensor_check(L, second ? 3 : 2, "tensor:where");
  const moon_tensor *a = moon_tensor_operand(L, home, 2, like, "tensor:where"),
                    *b = moon_tensor_operand(L, home, 3, like, "tensor:where");
  moon_tensor_charge(L, home, (count_together(a, b) + count_together(mask, a) + count_together(mask, b)) * CHEAP);
  moon_tensor **out = moon_tensor_push(L, home);
  MOON_TENSOR_CALL(L, home, "tensor:", moon_tensor_where(mask, a, b, out));
  return 1;
}

static double number_arg(lua_State *L, int index, const char *what) {
  if (lua_type(L, index) != LUA_TNUMBER) moon_tensor_raise(L, "%s: a number is wanted, got %s", what, luaL_typename(L, index));
  return lua_tonumber(L, index);
}

static int masked_fill(lua_State *L) {
  moon_tensor_home *home = moon_tensor_home_of(L);
  const moon_tensor *t = moon_tensor_check(L, 1, "tensor:masked_fill"), *mask = moon_tensor_check(L, 2, "tensor:masked_fill");
  double value = number_arg(L, 3, "tensor:masked_fill");
  moon_tensor_charge(L, home, count_of(t) * CHEAP);
  moon_tensor **out = moon_tensor_push(L, home);
  MOON_TENSOR_CALL(L, home, "tensor:", moon_tensor_masked_fill(t, mask, value, out));
  return 1;
}

/* t:copy(u): u, a tensor or a number, over t */
static int copy(lua_State *L) {
  moon_tensor_home *home = moon_tensor_home_of(L);
  moon_tensor *t = moon_tensor_check(L, 1, "tensor:copy");
  const moon_tensor *from = moon_tensor_operand(L, home, 2, t, "tensor:copy");
  moon_tensor_charge(L, home, count_of(t) * CHEAP);
  MOON_TENSOR_CALL(L, home, "tensor:", moon_tensor_copy(from, t));
  moon_tensor_touch(t);
  lua_settop(L, 1);
  return 1;
}

/* ---- reductions ------------------------------------------------------------------------------------------------------------ */

/* t:sum() a number; t:sum(dim [, keep]) a tensor. Upvalue 2: the op */
static int reduce(lua_State *L) {
  moon_tensor_home *home = moon_tensor_home_of(L);
  moon_reduction op = (moon_reduction)lua_tointeger(L, lua_upvalueindex(2));
  op_name name = method_name(moon_reduction_name(op));
  const moon_tensor *t = moon_tensor_check(L, 1, name.text);
  bool all = lua_isnoneornil(L, 2), keep = lua_toboolean(L, 3);
  int dim = all ? MOON_ALL_DIMS : moon_tensor_dim(L, 2, moon_tensor_dims(t), name.text);
  moon_tensor_charge(L, home, count_of(t) * CHEAP);
  moon_tensor **out = moon_tensor_push(L, home);
  MOON_TENSOR_CALL(L, home, "tensor:", moon_tensor_reduce(op, t, dim, keep, out));
  if (op == MOON_REDUCE_ARGMAX || op == MOON_REDUCE_ARGMIN) moon_tensor_shift(L, home, *out, 1);
  if (!all || keep) return 1;
  if (moon_tensor_dtype(*out) == MOON_I64) lua_pushinteger(L, *(const int64_t *)moon_tensor_data(*out));
  else if (moon_tensor_dtype(*out) == MOON_U8) lua_pushinteger(L, *(const uint8_t *)moon_tensor_data(*out));
  else lua_pushnumber(L, moon_tensor_get(*out, NULL));
  return 1;
}

/* t:softmax([dim]), the last where it is left out. Upvalue 2: whether its logarithm */
static int softmax(lua_State *L) {
  moon_tensor_home *home = moon_tensor_home_of(L);
  bool logs = lua_toboolean(L, lua_upvalueindex(2));
  const char *name = logs ? "tensor:log_softmax" : "tensor:softmax";
  const moon_tensor *t = moon_tensor_check(L, 1, name);
  int dims = moon_tensor_dims(t), dim = lua_isnoneornil(L, 2) && dims ? dims - 1 : moon_tensor_dim(L, 2, dims, name);
  moon_tensor_charge(L, home, count_of(t) * DEAR);
  moon_tensor **out = moon_tensor_push(L, home);
  MOON_TENSOR_CALL(L, home, "tensor:", logs ? moon_tensor_log_softmax(t, dim, out) : moon_tensor_softmax(t, dim, out));
  return 1;
}

/* Every element is held against the least of the heap; in a random order k (1 + ln(n / k)) of them go into it. */
static double top_k_cost(const moon_tensor *t, double k) {
  int dims = moon_tensor_dims(t);
  double n = dims ? (double)moon_tensor_shape(t)[dims - 1] : 1, rows = n > 0 ? count_of(t) / n : 0;
  if (k > n) k = n;
  return k < 1 ? 0 : rows * (n * DEAR + k * (1 + log(n / k)) * log2(1 + k));
}

/* t:topk(k) -> values, positions */
static int topk(lua_State *L) {
  moon_tensor_home *home = moon_tensor_home_of(L);
  const moon_tensor *t = moon_tensor_check(L, 1, "tensor:topk");
  size_t k = moon_tensor_size(L, 2, "tensor:topk");
  moon_tensor_charge(L, home, count_of(t) * CHEAP + top_k_cost(t, (double)k));
  moon_tensor **values = moon_tensor_push(L, home), **indices = moon_tensor_push(L, home);
  MOON_TENSOR_CALL(L, home, "tensor:", moon_tensor_top_k(t, k, values, indices));
  moon_tensor_shift(L, home, *indices, 1);
  return 2;
}

/* ---- picking and joining --------------------------------------------------------------------------------------------------- */

/* t:take(positions [, dim]): rows, or slices of another dimension */
static int take(lua_State *L) {
  moon_tensor_home *home = moon_tensor_home_of(L);
  const moon_tensor *t = moon_tensor_check(L, 1, "tensor:take");
  int dim = lua_isnoneornil(L, 3) && moon_tensor_dims(t) ? 0 : moon_tensor_dim(L, 3, moon_tensor_dims(t), "tensor:take");
  const moon_tensor *at = moon_tensor_positions(L, home, 2, "tensor:take");
  size_t n = moon_tensor_shape(t)[dim];
  moon_tensor_within(L, at, n, "tensor:take");
  moon_tensor_charge(L, home, (count_of(t) + count_of(t) / (double)(n ? n : 1) * count_of(at)) * CHEAP + count_of(at) * DEAR);
  moon_tensor **out = moon_tensor_push(L, home);
  MOON_TENSOR_CALL(L, home, "tensor:", moon_tensor_take(t, dim, at, out));
  return 1;
}

/* t:gather(dim, positions) */
static int gather(lua_State *L) {
  moon_tensor_home *home = moon_tensor_home_of(L);
  const moon_tensor *t = moon_tensor_check(L, 1, "tensor:gather");
  int dim = moon_tensor_dim(L, 2, moon_tensor_dims(t), "tensor:gather");
  const moon_tensor *at = moon_tensor_positions(L, home, 3, "tensor:gather");
  moon_tensor_within(L, at, moon_tensor_shape(t)[dim], "tensor:gather");
  moon_tensor_charge(L, home, count_of(t) * CHEAP + count_of(at) * DEAR);
  moon_tensor **out = moon_tensor_push(L, home);
  MOON_TENSOR_CALL(L, home, "tensor:", moon_tensor_gather(t, dim, at, out));
  return 1;
}

/* t:scatter_add(positions, rows) changes t and gives it back. */
static int scatter_add(lua_State *L) {
  moon_tensor_home *home = moon_tensor_home_of(L);
  moon_tensor *t = moon_tensor_check(L, 1, "tensor:scatter_add");
  const moon_tensor *rows = moon_tensor_check(L, 3, "tensor:scatter_add"),
                    *at = moon_tensor_positions(L, home, 2, "tensor:scatter_add");
  if (moon_tensor_dims(t)) moon_tensor_within(L, at, moon_tensor_shape(t)[0], "tensor:scatter_add");
  moon_tensor_charge(L, home, (count_of(rows) + (moon_tensor_is_contiguous(t) ? 0 : count_of(t))) * CHEAP + count_of(at) * 2 * DEAR);
  MOON_TENSOR_CALL(L, home, "tensor:", moon_tensor_scatter_add(t, at, rows));
  moon_tensor_touch(t);
  lua_settop(L, 1);
  return 1;
}

static void paddings(lua_State *L, int index, const moon_tensor *t, size_t sizes[MOON_MAX_DIMS]) {
  int n = lua_type(L, index) == LUA_TTABLE ? moon_tensor_shape_arg(L, index, "tensor:pad", sizes) : -1;
  if (n != moon_tensor_dims(t))
    moon_tensor_raise(L, "tensor:pad: two tables of %d sizes are wanted, before and after each dimension", moon_tensor_dims(t));
}

/* t:pad({ before... }, { after... } [, value]) */
static int pad(lua_State *L) {
  moon_tensor_home *home = moon_tensor_home_of(L);
  const moon_tensor *t = moon_tensor_check(L, 1, "tensor:pad");
  size_t before[MOON_MAX_DIMS], after[MOON_MAX_DIMS];
  paddings(L, 2, t, before);
  paddings(L, 3, t, after);
  double value = lua_isnoneornil(L, 4) ? 0 : number_arg(L, 4, "tensor:pad"), count = 1;
  for (int d = 0; d < moon_tensor_dims(t); d++) count *= (double)before[d] + (double)moon_tensor_shape(t)[d] + (double)after[d];
  moon_tensor_charge(L, home, count * CHEAP);
  moon_tensor **out = moon_tensor_push(L, home);
  MOON_TENSOR_CALL(L, home, "tensor:", moon_tensor_pad(t, before, after, value, out));
  return 1;
}

/* ---- products -------------------------------------------------------------------------------------------------------------- */

/* Multiplications of a product, as far as the shapes say. */
static double work_of(const moon_tensor *a, const moon_tensor *b) {
  int a_dims = moon_tensor_dims(a), b_dims = moon_tensor_dims(b), dims;
  const size_t *x = moon_tensor_shape(a), *y = moon_tensor_shape(b);
  size_t batch[MOON_MAX_DIMS];
  if (!a_dims || !b_dims || !moon_shape_broadcast(a_dims > 2 ? a_dims - 2 : 0, x, b_dims > 2 ? b_dims - 2 : 0, y, &dims, batch))
    return 0;
  double work = (double)x[a_dims - 1] * (a_dims > 1 ? (double)x[a_dims - 2] : 1) * (b_dims > 1 ? (double)y[b_dims - 1] : 1);
  for (int d = 0; d < dims; d++) work *= (double)batch[d];
  return work;
}

static int matmul(lua_State *L) {
  moon_tensor_home *home = moon_tensor_home_of(L);
  const moon_tensor *a = moon_tensor_check(L, 1, "tensor:matmul"), *b = moon_tensor_check(L, 2, "tensor:matmul");
  moon_tensor_charge(L, home, work_of(a, b) / 64 + (count_of(a) + count_of(b)) * CHEAP);
  moon_tensor **out = moon_tensor_push(L, home);
  MOON_TENSOR_CALL(L, home, "tensor:", moon_tensor_matmul(a, b, out));
  return 1;
}

/* ---- registration ---------------------------------------------------------------------------------------------------------- */

/* A closure over the home and an op into the table at index `table`; suffix "_" marks what changes its tensor. */
static void add_op(lua_State *L, int home, int table, const char *name, const char *suffix, lua_CFunction fn, int op) {
  lua_pushfstring(L, "%s%s", name, suffix);
  lua_pushvalue(L, home);
  lua_pushinteger(L, op);
  lua_pushcclosure(L, fn, 2);
  lua_rawset(L, table);
}

static void add_families(lua_State *L, int home, int methods) {
  for (int op = 0; op < MOON_BINARY_COUNT; op++) {
    add_op(L, home, methods, moon_binary_name((moon_binary)op), "", binary, op);
    if (op < MOON_OP_LT) add_op(L, home, methods, moon_binary_name((moon_binary)op), "_", binary_in_place, op);
  }
  for (int op = 0; op < MOON_UNARY_COUNT; op++) {
    add_op(L, home, methods, moon_unary_name((moon_unary)op), "", unary, op);
    add_op(L, home, methods, moon_unary_name((moon_unary)op), "_", unary_in_place, op);
  }
  for (int op = 0; op < MOON_REDUCTION_COUNT; op++)
    add_op(L, home, methods, moon_reduction_name((moon_reduction)op), "", reduce, op);
}

static void add_softmax(lua_State *L, int home, int methods, const char *name, bool logs) {
  lua_pushvalue(L, home);
  lua_pushboolean(L, logs);
  lua_pushcclosure(L, softmax, 2);
  lua_setfield(L, methods, name);
}

void moon_tensor_add_operations(lua_State *L, int home, int meta, int methods) {
  static const struct { const char *name; moon_binary op; } operators[] = {
      {"__add", MOON_OP_ADD}, {"__sub", MOON_OP_SUB}, {"__mul", MOON_OP_MUL}, {"__div", MOON_OP_DIV}, {"__pow", MOON_OP_POW}};
  static const luaL_Reg others[] = {
      {"clip", clip}, {"where", where},   {"masked_fill", masked_fill}, {"copy", copy}, {"topk", topk},
      {"take", take}, {"gather", gather}, {"scatter_add", scatter_add}, {"pad", pad},   {"matmul", matmul},
      {NULL, NULL}};
  for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
    add_op(L, home, meta, operators[i].name, "", binary, (int)operators[i].op);
  add_op(L, home, meta, "__unm", "", unary, MOON_OP_NEG);
  add_families(L, home, methods);
  add_softmax(L, home, methods, "softmax", false);
  add_softmax(L, home, methods, "log_softmax", true);
  lua_pushvalue(L, methods);
  moon_tensor_set_functions(L, home, others);
  lua_pop(L, 1);
}

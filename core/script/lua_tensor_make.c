/* lua_tensor_make.c - m.tensor: where tensors come from. Tables, fills, random numbers, other tensors. */
#include "script/lua_tensor.h"

#include <math.h>
#include <string.h>

#define RNG_TYPE "moonshelf.rng"
enum { ZEROED_PER_STEP = 48 };

/* ---- options after the fixed arguments: a dtype and a generator, in any order ---------------------------------------------- */

typedef struct options {
  moon_dtype dtype;
  moon_rng *rng;
} options;

static options take_options(lua_State *L, moon_tensor_home *home, int from, moon_dtype dtype, const char *what) {
  options given = {dtype, home->rng};
  for (int i = from, top = lua_gettop(L); i <= top; i++) {
    moon_rng *rng = luaL_testudata(L, i, RNG_TYPE);
    if (rng) given.rng = rng;
    else if (!lua_isnil(L, i)) given.dtype = moon_tensor_dtype_arg(L, i, what);
  }
  return given;
}

/* A new tensor of zeros at the top, charged for by `each` instructions an element, and by its bytes, which are memory that nobody has
 * touched yet. What can never fit should say so, and not that the budget is spent: then it is the account that refuses. */
static moon_tensor *new_tensor(lua_State *L, moon_tensor_home *home, const char *prefix, moon_dtype dtype, int dims,
                               const size_t *shape, double each) {
  double count = 1, bytes;
  for (int d = 0; d < dims; d++) count *= (double)shape[d];
  bytes = count * (double)moon_dtype_size(dtype);
  size_t limit = moon_account_limit(home->account);
  if (!limit || bytes <= (double)limit) moon_tensor_charge(L, home, count * each + bytes / ZEROED_PER_STEP);
  moon_tensor **out = moon_tensor_push(L, home);
  MOON_TENSOR_CALL(L, home, prefix, moon_tensor_new_in(home->account, dtype, dims, shape, out));
  return *out;
}

/* The shape at 1: a table, or one size. */
static int shape_at_1(lua_State *L, const char *what, size_t shape[MOON_MAX_DIMS]) {
  if (lua_type(L, 1) == LUA_TTABLE) return moon_tensor_shape_arg(L, 1, what, shape);
  if (lua_type(L, 1) != LUA_TNUMBER)
    moon_tensor_raise(L, "%s: a shape is a table of sizes, such as {2, 3}, got %s", what, luaL_typename(L, 1));
  shape[0] = moon_tensor_size(L, 1, what);
  return 1;
}

static lua_Number number_at(lua_State *L, int index, const char *what) {
  if (lua_type(L, index) != LUA_TNUMBER) moon_tensor_raise(L, "%s: a number is wanted, got %s", what, luaL_typename(L, index));
  return lua_tonumber(L, index);
}

static lua_Integer integer_at(lua_State *L, int index, const char *what) {
  int fine = 0;
  lua_Integer n = lua_tointegerx(L, index, &fine);
  if (!fine || lua_type(L, index) != LUA_TNUMBER)
    moon_tensor_raise(L, "%s: a whole number is wanted, got %s", what, luaL_tolstring(L, index, NULL));
  return n;
}

/* ---- from tables ----------------------------------------------------------------------------------------------------------- */

/* The shape along the first elements of the value at `index`; leaves the first leaf at the top. */
static int nested_shape(lua_State *L, int index, size_t shape[MOON_MAX_DIMS]) {
  int dims = 0;
  for (lua_pushvalue(L, index); lua_type(L, -1) == LUA_TTABLE;) {
    if (dims == MOON_MAX_DIMS) moon_tensor_raise(L, "m.tensor: tables are nested deeper than %d", MOON_MAX_DIMS);
    shape[dims++] = lua_rawlen(L, -1);
    lua_rawgeti(L, -1, 1);
    lua_remove(L, -2);
  }
  return dims;
}

static void store_leaf(lua_State *L, moon_tensor *t, size_t at) {
  moon_dtype dtype = moon_tensor_dtype(t);
  char *data = moon_tensor_data(t);
  if (lua_type(L, -1) != LUA_TNUMBER && lua_type(L, -1) != LUA_TBOOLEAN)
    moon_tensor_raise(L, "m.tensor: a table holds numbers (or booleans) at the same depth, here is a %s", luaL_typename(L, -1));
  bool exact = lua_isboolean(L, -1) || lua_isinteger(L, -1);
  lua_Integer n = lua_isboolean(L, -1) ? lua_toboolean(L, -1) : lua_tointeger(L, -1);
  double x = exact ? (double)n : lua_tonumber(L, -1);
  if ((dtype == MOON_I64 && !exact && !(x == floor(x) && x >= -0x1p63 && x < 0x1p63)) ||
      (dtype == MOON_U8 && (x != floor(x) || x < 0 || x > 255)))
    moon_tensor_raise(L, "m.tensor: %f does not fit in %s", x, moon_dtype_name(dtype));
  if (dtype == MOON_I64 && exact) ((int64_t *)(void *)data)[at] = n;
  else if (dtype == MOON_F32) ((float *)(void *)data)[at] = (float)x;
  else if (dtype == MOON_F64) ((double *)(void *)data)[at] = x;
  else if (dtype == MOON_I64) ((int64_t *)(void *)data)[at] = (int64_t)x;
  else ((uint8_t *)data)[at] = (uint8_t)x;
}

/* Fills t from the value at the top, which must have its shape from dimension d on. */
static void fill_nested(lua_State *L, moon_tensor *t, int d, size_t *at) {
  if (d == moon_tensor_dims(t)) {
    store_leaf(L, t, (*at)++);
    return;
  }
  size_t n = moon_tensor_shape(t)[d];
  if (lua_type(L, -1) != LUA_TTABLE || lua_rawlen(L, -1) != n)
    moon_tensor_raise(
        L, "m.tensor: the rows of dimension %d have different sizes: %zu and %s", d + 1, n,
        lua_type(L, -1) == LUA_TTABLE ? lua_pushfstring(L, "%I", (LUAI_UACINT)lua_rawlen(L, -1)) : luaL_typename(L, -1));
  for (size_t i = 1; i <= n; i++, lua_pop(L, 1)) {
    lua_rawgeti(L, -1, (lua_Integer)i);
    fill_nested(L, t, d + 1, at);
  }
}

/* m.tensor(nested [, dtype]); upvalue 1: the home. Called as __call, so the module is at 1. */
static int make_from_table(lua_State *L) {
  moon_tensor_home *home = moon_tensor_home_of(L);
  lua_remove(L, 1);
  if (moon_tensor_is(L, 1)) return moon_tensor_raise(L, "m.tensor: this is a tensor already; tensor:clone() copies it");
  if (lua_type(L, 1) != LUA_TTABLE && lua_type(L, 1) != LUA_TNUMBER && lua_type(L, 1) != LUA_TBOOLEAN)
    return moon_tensor_raise(L, "m.tensor: a table of numbers is wanted, got %s", luaL_typename(L, 1));
  luaL_checkstack(L, 2 * MOON_MAX_DIMS, NULL);
  lua_settop(L, 2);
  size_t shape[MOON_MAX_DIMS], at = 0;
  int dims = nested_shape(L, 1, shape);
  moon_dtype dtype = !lua_isnil(L, 2) ? moon_tensor_dtype_arg(L, 2, "m.tensor") : lua_isboolean(L, 3) ? MOON_U8 : MOON_F32;
  moon_tensor *t = new_tensor(L, home, "m.tensor: ", dtype, dims, shape, 4);
  lua_pushvalue(L, 1);
  fill_nested(L, t, 0, &at);
  lua_pop(L, 1);
  return 1;
}

/* ---- fills ----------------------------------------------------------------------------------------------------------------- */

static int make_zeros(lua_State *L) {
  moon_tensor_home *home = moon_tensor_home_of(L);
  size_t shape[MOON_MAX_DIMS];
  int dims = shape_at_1(L, "m.tensor.zeros", shape);
  new_tensor(L, home, "m.tensor.zeros: ", take_options(L, home, 2, MOON_F32, "m.tensor.zeros").dtype, dims, shape, 1. / 32);
  return 1;
}

static int make_ones(lua_State *L) {
  moon_tensor_home *home = moon_tensor_home_of(L);
  size_t shape[MOON_MAX_DIMS];
  int dims = shape_at_1(L, "m.tensor.ones", shape);
  moon_dtype dtype = take_options(L, home, 2, MOON_F32, "m.tensor.ones").dtype;
  moon_tensor_fill(new_tensor(L, home, "m.tensor.ones: ", dtype, dims, shape, 1. / 16), 1);
  return 1;
}

static int make_full(lua_State *L) {
  moon_tensor_home *home = moon_tensor_home_of(L);
  size_t shape[MOON_MAX_DIMS];
  int dims = shape_at_1(L, "m.tensor.full", shape);
  double value = number_at(L, 2, "m.tensor.full");
  moon_dtype dtype = take_options(L, home, 3, MOON_F32, "m.tensor.full").dtype;
  moon_tensor_fill(new_tensor(L, home, "m.tensor.full: ", dtype, dims, shape, 1. / 16), value);
  return 1;
}

/* m.tensor.arange(first, last [, step] [, dtype]): as a for loop counts, the last included */
static int make_arange(lua_State *L) {
  moon_tensor_home *home = moon_tensor_home_of(L);
  bool stepped = lua_type(L, 3) == LUA_TNUMBER;
  double first = number_at(L, 1, "m.tensor.arange"), last = number_at(L, 2, "m.tensor.arange"),
         step = stepped ? lua_tonumber(L, 3) : 1;
  moon_dtype dtype = take_options(L, home, stepped ? 4 : 3, MOON_F32, "m.tensor.arange").dtype;
  if (!step || !isfinite(first) || !isfinite(last) || !isfinite(step))
    return moon_tensor_raise(L, "m.tensor.arange: %f to %f by %f does not count", first, last, step);
  double count = floor((last - first) / step) + 1;
  if (count > 1e15) return moon_tensor_raise(L, "m.tensor.arange: %g elements do not fit in memory", count);
  size_t n = count > 0 ? (size_t)count : 0;
  moon_tensor *t = new_tensor(L, home, "m.tensor.arange: ", dtype, 1, &n, 1. / 8);
  for (size_t i = 0; i < n; i++) moon_tensor_set(t, &i, first + (double)i * step);
  return 1;
}

static int make_eye(lua_State *L) {
  moon_tensor_home *home = moon_tensor_home_of(L);
  size_t n = moon_tensor_size(L, 1, "m.tensor.eye");
  moon_tensor *t = new_tensor(L, home, "m.tensor.eye: ", take_options(L, home, 2, MOON_F32, "m.tensor.eye").dtype, 2,
                              (size_t[]){n, n}, 1. / 32);
  for (size_t i = 0; i < n; i++) moon_tensor_set(t, (size_t[]){i, i}, 1);
  return 1;
}

/* ---- random numbers -------------------------------------------------------------------------------------------------------- */

static uint64_t seed_at(lua_State *L, int index, const char *what) {
  return lua_isnoneornil(L, index) ? 0 : (uint64_t)integer_at(L, index, what);
}

/* m.tensor.rng(seed [, stream]) */
static int make_rng(lua_State *L) {
  uint64_t seed = (uint64_t)integer_at(L, 1, "m.tensor.rng"), stream = seed_at(L, 2, "m.tensor.rng");
  moon_rng *rng = lua_newuserdatauv(L, sizeof *rng, 0);
  moon_rng_seed(rng, seed, stream);
  luaL_setmetatable(L, RNG_TYPE);
  return 1;
}

static int seed(lua_State *L) {
  moon_tensor_home *home = moon_tensor_home_of(L);
  if (home->host)
    return moon_tensor_raise(
        L,
        "m.tensor.seed: the runtime seeds random numbers, so that a page can be made again; m.tensor.rng(seed) makes "
        "a generator of your own");
  moon_rng_seed(home->rng, (uint64_t)integer_at(L, 1, "m.tensor.seed"), seed_at(L, 2, "m.tensor.seed"));
  return 0;
}

static int make_rand(lua_State *L) {
  moon_tensor_home *home = moon_tensor_home_of(L);
  size_t shape[MOON_MAX_DIMS];
  int dims = shape_at_1(L, "m.tensor.rand", shape);
  options o = take_options(L, home, 2, MOON_F32, "m.tensor.rand");
  moon_tensor *t = new_tensor(L, home, "m.tensor.rand: ", o.dtype, dims, shape, 2. / 3);
  MOON_TENSOR_CALL(L, home, "m.tensor.rand: ", moon_tensor_fill_uniform(t, o.rng, 0, 1));
  return 1;
}

static int make_randn(lua_State *L) {
  moon_tensor_home *home = moon_tensor_home_of(L);
  size_t shape[MOON_MAX_DIMS];
  int dims = shape_at_1(L, "m.tensor.randn", shape);
  options o = take_options(L, home, 2, MOON_F32, "m.tensor.randn");
  moon_tensor *t = new_tensor(L, home, "m.tensor.randn: ", o.dtype, dims, shape, 3);
  MOON_TENSOR_CALL(L, home, "m.tensor.randn: ", moon_tensor_fill_normal(t, o.rng, 0, 1));
  return 1;
}

/* m.tensor.randint(shape, low, high): both included, as math.random has it */
static int make_randint(lua_State *L) {
  moon_tensor_home *home = moon_tensor_home_of(L);
  size_t shape[MOON_MAX_DIMS];
  int dims = shape_at_1(L, "m.tensor.randint", shape);
  lua_Integer low = integer_at(L, 2, "m.tensor.randint"), high = integer_at(L, 3, "m.tensor.randint");
  options o = take_options(L, home, 4, MOON_I64, "m.tensor.randint");
  if (high < low || high == LUA_MAXINTEGER)
    return moon_tensor_raise(L, "m.tensor.randint: %lld to %lld is not a range", (long long)low, (long long)high);
  moon_tensor *t = new_tensor(L, home, "m.tensor.randint: ", o.dtype, dims, shape, 1. / 2);
  MOON_TENSOR_CALL(L, home, "m.tensor.randint: ", moon_tensor_fill_randint(t, o.rng, low, high + 1));
  return 1;
}

/* m.tensor.randperm(n): 1 .. n in random order */
static int make_randperm(lua_State *L) {
  moon_tensor_home *home = moon_tensor_home_of(L);
  size_t n = moon_tensor_size(L, 1, "m.tensor.randperm");
  options o = take_options(L, home, 2, MOON_I64, "m.tensor.randperm");
  moon_tensor *t = new_tensor(L, home, "m.tensor.randperm: ", MOON_I64, 1, &n, 2. / 3);
  MOON_TENSOR_CALL(L, home, "m.tensor.randperm: ", moon_tensor_fill_permutation(t, o.rng));
  moon_tensor_shift(L, home, t, 1);
  return 1;
}

/* ---- from other tensors ---------------------------------------------------------------------------------------------------- */

/* The tensors in the table at 1, as a userdata at the top; the table keeps them alive. */
static const moon_tensor **parts_at_1(lua_State *L, moon_tensor_home *home, const char *what, size_t *n) {
  if (lua_type(L, 1) != LUA_TTABLE) moon_tensor_raise(L, "%s: a table of tensors is wanted, got %s", what, luaL_typename(L, 1));
  *n = lua_rawlen(L, 1);
  double count = 0;
  const moon_tensor **parts = lua_newuserdatauv(L, (*n + 1) * sizeof *parts, 0);
  for (size_t i = 0; i < *n; i++) {
    lua_rawgeti(L, 1, (lua_Integer)i + 1);
    if (!moon_tensor_is(L, -1))
      moon_tensor_raise(L, "%s: number %zu of the table is a %s, not a tensor", what, i + 1, luaL_typename(L, -1));
    parts[i] = moon_tensor_check(L, -1, what);
    count += (double)moon_tensor_count(parts[i]) / 16 + 1;
    lua_pop(L, 1);
  }
  moon_tensor_charge(L, home, count);
  return parts;
}

/* m.tensor.concat({ t, u, ... } [, dim]) */
static int make_concat(lua_State *L) {
  moon_tensor_home *home = moon_tensor_home_of(L);
  size_t n;
  lua_settop(L, 2);
  const moon_tensor **parts = parts_at_1(L, home, "m.tensor.concat", &n);
  int dim = lua_isnil(L, 2) || !n ? 0 : moon_tensor_dim(L, 2, moon_tensor_dims(parts[0]), "m.tensor.concat");
  moon_tensor **out = moon_tensor_push(L, home);
  MOON_TENSOR_CALL(L, home, "m.tensor.", moon_tensor_concat(parts, n, dim, out));
  return 1;
}

/* m.tensor.stack({ t, u, ... } [, dim]) */
static int make_stack(lua_State *L) {
  moon_tensor_home *home = moon_tensor_home_of(L);
  size_t n;
  lua_settop(L, 2);
  const moon_tensor **parts = parts_at_1(L, home, "m.tensor.stack", &n);
  int dim = lua_isnil(L, 2) || !n ? 0 : moon_tensor_dim(L, 2, moon_tensor_dims(parts[0]) + 1, "m.tensor.stack");
  moon_tensor **out = moon_tensor_push(L, home);
  MOON_TENSOR_CALL(L, home, "m.tensor.", moon_tensor_stack(parts, n, dim, out));
  return 1;
}

/* ---- memory ---------------------------------------------------------------------------------------------------------------- */

/* m.tensor.memory() -> bytes in use, the most so far, the limit (0: none) */
static int memory(lua_State *L) {
  const moon_account *account = moon_tensor_home_of(L)->account;
  lua_pushinteger(L, (lua_Integer)moon_account_used(account));
  lua_pushinteger(L, (lua_Integer)moon_account_peak(account));
  lua_pushinteger(L, (lua_Integer)moon_account_limit(account));
  return 3;
}

static int limit_memory(lua_State *L) {
  moon_tensor_home *home = moon_tensor_home_of(L);
  if (home->host) return moon_tensor_raise(L, "m.tensor.limit: the runtime sets the limit");
  moon_account_set_limit(home->account, moon_tensor_size(L, 1, "m.tensor.limit"));
  return 0;
}

/* ---- the module ------------------------------------------------------------------------------------------------------------ */

static int refuse_write(lua_State *L) {
  return moon_tensor_raise(L, "'m.tensor' is read-only ('m.tensor.%s' cannot be set)", luaL_tolstring(L, 2, NULL));
}

static int rng_tostring(lua_State *L) {
  luaL_checkudata(L, 1, RNG_TYPE);
  lua_pushliteral(L, "m.tensor.rng");
  return 1;
}

/* upvalue 1: the makers */
static int makers_index(lua_State *L) { return moon_tensor_lookup(L, lua_upvalueindex(1), "function of m.tensor"); }

static void register_types(lua_State *L) {
  luaL_newmetatable(L, RNG_TYPE);
  lua_pushcfunction(L, rng_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
}

void moon_tensor_push_makers(lua_State *L, int home) {
  static const luaL_Reg makers[] = {{"zeros", make_zeros},
                                    {"ones", make_ones},
                                    {"full", make_full},
                                    {"arange", make_arange},
                                    {"eye", make_eye},
                                    {"rand", make_rand},
                                    {"randn", make_randn},
                                    {"randint", make_randint},
                                    {"randperm", make_randperm},
                                    {"rng", make_rng},
                                    {"seed", seed},
                                    {"concat", make_concat},
                                    {"stack", make_stack},
                                    {"load", moon_tensor_load_file},
                                    {"save", moon_tensor_save_file},
                                    {"memory", memory},
                                    {"limit", limit_memory},
                                    {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__call", make_from_table}, {"__newindex", refuse_write}, {NULL, NULL}};
  register_types(L);
  lua_newtable(L); /* the face: empty, so that nothing can be set in it */
  lua_newtable(L);
  moon_tensor_set_functions(L, home, meta);
  lua_newtable(L);
  moon_tensor_set_functions(L, home, makers);
  lua_pushcclosure(L, makers_index, 1);
  lua_setfield(L, -2, "__index");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_setmetatable(L, -2);
}

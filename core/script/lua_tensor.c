/* lua_tensor.c - the type behind m.tensor: its life, its arguments, views and text. See lua_tensor.h for the idea. */
#include "script/lua_tensor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TENSOR_TYPE "moonshelf.tensor"
#define HOME_TYPE "moonshelf.tensor.home"
#define TEXT_TYPE "moonshelf.tensor.text"
enum { COLLECTED_PER_STEP = 16 }; /* bytes of Lua's heap */
enum { HANDLE_BYTES = 256, COLLECT_FLOOR = 32 << 20, NAMES_MAX = 128, MESSAGE_MAX = 640 };

static const char home_key = 0; /* registry: the moon_tensor_home */

typedef struct box {
  moon_tensor *tensor;
  moon_account *account; /* where the handle counts; NULL: nowhere yet */
} box;

/* ---- errors and budgets ---------------------------------------------------------------------------------------------------- */

int moon_tensor_raise(lua_State *L, const char *format, ...) {
  char text[MESSAGE_MAX];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  for (char *p = text; *p; p++)
    if (*p == '\n' || *p == '\r') *p = ' '; /* of a string that was given: an error is one line */
  moon_push_place(L);
  lua_pushstring(L, text);
  lua_concat(L, 2);
  return lua_error(L);
}

void moon_tensor_charge(lua_State *L, moon_tensor_home *home, double cost) {
  if (home->host) moon_budget_charge(L, home->host, cost < 1e18 ? (uint64_t)cost + 1 : UINT64_MAX);
}

/* ---- memory ---------------------------------------------------------------------------------------------------------------- */

/* A full collection, paid for by the size of Lua's heap. The next one is due when what is alive has doubled. */
static void collect(lua_State *L, moon_tensor_home *home) {
  moon_tensor_charge(L, home, (double)lua_gc(L, LUA_GCCOUNT) * 1024 / COLLECTED_PER_STEP);
  lua_gc(L, LUA_GCCOLLECT);
  size_t used = moon_account_used(home->account);
  home->collect_at = used < COLLECT_FLOOR ? COLLECT_FLOOR + used : 2 * used;
}

bool moon_tensor_again(lua_State *L, moon_tensor_home *home, const char *prefix, moon_status st, int *tries) {
  bool full = st.code == MOON_ENOMEM && !(*tries)++;
  if (full || (!st.code && moon_account_used(home->account) > home->collect_at)) collect(L, home);
  if (st.code && !full) {
    if (home->host && st.code == MOON_ENOMEM) home->host->tensors_refused = true;
    moon_tensor_raise(L, "%s%s", prefix, st.message);
  }
  return full;
}

static int box_collect(lua_State *L) {
  box *self = luaL_checkudata(L, 1, TENSOR_TYPE);
  moon_tensor_free(self->tensor);
  if (self->account) moon_account_release(self->account, HANDLE_BYTES);
  *self = (box){NULL, NULL};
  return 0;
}

moon_tensor **moon_tensor_push(lua_State *L, moon_tensor_home *home) {
  box *self = lua_newuserdatauv(L, sizeof *self, 0);
  *self = (box){NULL, NULL};
  luaL_setmetatable(L, TENSOR_TYPE);
  MOON_TENSOR_CALL(L, home, "m.tensor: no memory for a handle: ", moon_account_charge(home->account, HANDLE_BYTES));
  self->account = home->account;
  return &self->tensor;
}

/* ---- arguments ------------------------------------------------------------------------------------------------------------- */

bool moon_tensor_is(lua_State *L, int index) {
  box *self = luaL_testudata(L, index, TENSOR_TYPE);
  return self && self->tensor;
}

moon_tensor *moon_tensor_check(lua_State *L, int index, const char *what) {
  box *self = luaL_testudata(L, index, TENSOR_TYPE);
  if (!self || !self->tensor)
    moon_tensor_raise(L, "%s: a tensor is wanted%s, got %s", what, index == 1 ? " first (is it a colon that is missing?)" : "",
                      self ? "one that is gone" : luaL_typename(L, index));
  return self->tensor;
}

/* Of `like` where the number fits there; a whole number next to u8 makes i64, a fraction next to integers makes f64. */
const moon_tensor *moon_tensor_operand(lua_State *L, moon_tensor_home *home, int index, const moon_tensor *like,
                                       const char *what) {
  if (moon_tensor_is(L, index)) return moon_tensor_check(L, index, what);
  bool flag = lua_isboolean(L, index);
  if (!flag && lua_type(L, index) != LUA_TNUMBER)
    moon_tensor_raise(L, "%s: a tensor or a number is wanted, got %s", what, luaL_typename(L, index));
  moon_dtype dtype = moon_tensor_dtype(like);
  bool whole = flag || lua_isinteger(L, index);
  lua_Integer n = flag ? lua_toboolean(L, index) : whole ? lua_tointeger(L, index) : 0;
  if (dtype == MOON_I64 || dtype == MOON_U8)
    dtype = !whole ? MOON_F64 : dtype == MOON_U8 && n >= 0 && n <= 255 ? MOON_U8 : MOON_I64;
  moon_tensor **out = moon_tensor_push(L, home);
  MOON_TENSOR_CALL(L, home, "m.tensor: ", moon_tensor_new_in(home->account, dtype, 0, NULL, out));
  if (dtype == MOON_I64) *(int64_t *)moon_tensor_data(*out) = n;
  else moon_tensor_set(*out, NULL, whole ? (double)n : lua_tonumber(L, index));
  return *out;
}

int moon_tensor_dim(lua_State *L, int index, int dims, const char *what) {
  int fine = 0;
  lua_Integer dim = lua_tointegerx(L, index, &fine);
  if (!dims) moon_tensor_raise(L, "%s: a scalar has no dimensions", what);
  if (!fine || lua_type(L, index) != LUA_TNUMBER)
    moon_tensor_raise(L, "%s: a dimension is wanted (1 to %d), got %s", what, dims, luaL_typename(L, index));
  if (dim < -dims || dim > dims || !dim)
    moon_tensor_raise(L, "%s: there is no dimension %lld; the tensor has %d", what, (long long)dim, dims);
  return (int)(dim < 0 ? dim + dims : dim - 1);
}

size_t moon_tensor_size(lua_State *L, int index, const char *what) {
  int fine = 0;
  lua_Integer n = lua_tointegerx(L, index, &fine);
  if (!fine || lua_type(L, index) != LUA_TNUMBER || n < 0)
    moon_tensor_raise(L, "%s: a size is a whole number of at least 0, got %s", what, luaL_tolstring(L, index, NULL));
  return (size_t)n;
}

moon_dtype moon_tensor_dtype_arg(lua_State *L, int index, const char *what) {
  static const char *const names[] = {"f32", "f64", "i64", "u8"};
  if (lua_type(L, index) != LUA_TSTRING)
    moon_tensor_raise(L, "%s: a dtype is wanted (\"f32\", \"f64\", \"i64\" or \"u8\"), got %s", what, luaL_typename(L, index));
  const char *name = lua_tostring(L, index);
  for (int i = 0; i < 4; i++)
    if (!strcmp(name, names[i])) return (moon_dtype)i;
  const char *near = moon_nearest(name, names, 4);
  moon_tensor_raise(L, "%s: there is no dtype '%s'%s%s%s", what, name,
                    near ? "; did you mean '" : "; there are f32, f64, i64 and u8", near ? near : "", near ? "'?" : "");
  return MOON_F32;
}

int moon_tensor_shape_arg(lua_State *L, int index, const char *what, size_t shape[MOON_MAX_DIMS]) {
  bool list = lua_type(L, index) == LUA_TTABLE;
  lua_Unsigned n = list ? lua_rawlen(L, index) : (lua_Unsigned)(lua_gettop(L) - index + 1);
  if (n > MOON_MAX_DIMS) moon_tensor_raise(L, "%s: a tensor has at most %d dimensions", what, MOON_MAX_DIMS);
  for (int d = 0; d < (int)n; d++) {
    if (list) lua_rawgeti(L, index, d + 1);
    else lua_pushvalue(L, index + d);
    shape[d] = moon_tensor_size(L, -1, what);
    lua_pop(L, 1);
  }
  return (int)n;
}

void moon_tensor_shift(lua_State *L, moon_tensor_home *home, moon_tensor *t, int64_t by) {
  moon_tensor **number = moon_tensor_push(L, home);
  MOON_TENSOR_CALL(L, home, "m.tensor: ", moon_tensor_borrow(MOON_I64, 0, NULL, &by, number));
  MOON_TENSOR_CALL(L, home, "m.tensor: ", moon_tensor_binary_into(MOON_OP_ADD, t, *number, t));
  moon_tensor_free(*number); /* `by` goes too */
  *number = NULL;
  lua_pop(L, 1);
}

const moon_tensor *moon_tensor_positions(lua_State *L, moon_tensor_home *home, int index, const char *what) {
  moon_tensor **out;
  if (lua_type(L, index) == LUA_TTABLE) {
    size_t n = lua_rawlen(L, index);
    out = moon_tensor_push(L, home);
    moon_tensor_charge(L, home, (double)n / 4);
    MOON_TENSOR_CALL(L, home, "m.tensor: ", moon_tensor_new_in(home->account, MOON_I64, 1, &n, out));
    for (size_t i = 0; i < n; i++, lua_pop(L, 1)) {
      if (lua_rawgeti(L, index, (lua_Integer)i + 1) != LUA_TNUMBER || !lua_isinteger(L, -1))
        moon_tensor_raise(L, "%s: positions are whole numbers from 1, got %s", what, luaL_tolstring(L, -1, NULL));
      ((int64_t *)moon_tensor_data(*out))[i] = lua_tointeger(L, -1);
    }
  } else {
    const moon_tensor *given = moon_tensor_check(L, index, what);
    if (moon_tensor_dtype(given) != MOON_I64)
      moon_tensor_raise(L, "%s: positions are a table or an i64 tensor, not %s; see tensor:to", what,
                        moon_dtype_name(moon_tensor_dtype(given)));
    out = moon_tensor_push(L, home);
    moon_tensor_charge(L, home, (double)moon_tensor_count(given) / 8);
    MOON_TENSOR_CALL(L, home, "tensor:", moon_tensor_contiguous(given, out));
  }
  moon_tensor_shift(L, home, *out, -1);
  const int64_t *at = moon_tensor_data(*out);
  for (size_t i = 0; i < moon_tensor_count(*out); i++)
    if (at[i] < 0) moon_tensor_raise(L, "%s: positions count from 1, got %lld", what, (long long)((uint64_t)at[i] + 1));
  return *out;
}

void moon_tensor_within(lua_State *L, const moon_tensor *positions, size_t n, const char *what) {
  const int64_t *at = moon_tensor_data(positions);
  for (size_t i = 0; i < moon_tensor_count(positions); i++)
    if ((uint64_t)at[i] >= n)
      moon_tensor_raise(L, "%s: position %lld is outside of a dimension of %zu", what, (long long)at[i] + 1, n);
}

/* ---- names that are not there ---------------------------------------------------------------------------------------------- */

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

int moon_tensor_lookup(lua_State *L, int table, const char *what) {
  lua_settop(L, 2);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, table) != LUA_TNIL) return 1;
  if (lua_type(L, 2) != LUA_TSTRING) return moon_tensor_raise(L, "there is no %s of this name (a %s)", what, luaL_typename(L, 2));
  const char *names[NAMES_MAX], *name = lua_tostring(L, 2);
  size_t n = 0;
  for (lua_settop(L, 2), lua_pushnil(L); lua_next(L, table); lua_pop(L, 1))
    if (n < NAMES_MAX) names[n++] = lua_tostring(L, -2);
  qsort(names, n, sizeof *names, by_text); /* a table's order is not the same twice */
  return moon_lua_unknown(L, what, name, names, n);
}

/* ---- reading --------------------------------------------------------------------------------------------------------------- */

static int push_shape(lua_State *L, const moon_tensor *t, bool table) {
  int dims = moon_tensor_dims(t);
  if (table) lua_createtable(L, dims, 0);
  for (int d = 0; d < dims; d++) {
    lua_pushinteger(L, (lua_Integer)moon_tensor_shape(t)[d]);
    if (table) lua_rawseti(L, -2, d + 1);
  }
  return table ? 1 : dims;
}

static int tensor_shape(lua_State *L) { return push_shape(L, moon_tensor_check(L, 1, "tensor:shape"), true); }

/* t:size() all sizes, t:size(dim) one */
static int tensor_size(lua_State *L) {
  const moon_tensor *t = moon_tensor_check(L, 1, "tensor:size");
  if (lua_isnoneornil(L, 2)) return push_shape(L, t, false);
  lua_pushinteger(L, (lua_Integer)moon_tensor_shape(t)[moon_tensor_dim(L, 2, moon_tensor_dims(t), "tensor:size")]);
  return 1;
}

static int tensor_dims(lua_State *L) {
  lua_pushinteger(L, moon_tensor_dims(moon_tensor_check(L, 1, "tensor:dims")));
  return 1;
}

static int tensor_count(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)moon_tensor_count(moon_tensor_check(L, 1, "tensor:count")));
  return 1;
}

static int tensor_dtype(lua_State *L) {
  lua_pushstring(L, moon_dtype_name(moon_tensor_dtype(moon_tensor_check(L, 1, "tensor:dtype"))));
  return 1;
}

static int tensor_is_contiguous(lua_State *L) {
  lua_pushboolean(L, moon_tensor_is_contiguous(moon_tensor_check(L, 1, "tensor:is_contiguous")));
  return 1;
}

static int tensor_len(lua_State *L) {
  const moon_tensor *t = moon_tensor_check(L, 1, "#tensor");
  if (!moon_tensor_dims(t)) return moon_tensor_raise(L, "#tensor: a scalar has no length");
  lua_pushinteger(L, (lua_Integer)moon_tensor_shape(t)[0]);
  return 1;
}

static void push_element(lua_State *L, const moon_tensor *t, const char *at) {
  switch (moon_tensor_dtype(t)) {
    case MOON_F32: lua_pushnumber(L, (lua_Number) * (const float *)(const void *)at); break;
    case MOON_F64: lua_pushnumber(L, *(const double *)(const void *)at); break;
    case MOON_I64: lua_pushinteger(L, *(const int64_t *)(const void *)at); break;
    case MOON_U8: lua_pushinteger(L, *(const uint8_t *)(const void *)at); break;
  }
}

static int tensor_item(lua_State *L) {
  const moon_tensor *t = moon_tensor_check(L, 1, "tensor:item");
  if (moon_tensor_count(t) != 1)
    return moon_tensor_raise(L, "tensor:item: %s has %zu elements, not one",
                             moon_shape_write(moon_tensor_dims(t), moon_tensor_shape(t)).text, moon_tensor_count(t));
  push_element(L, t, moon_tensor_data(t));
  return 1;
}

static void push_nested(lua_State *L, const moon_tensor *t, int d, const char *at) {
  if (d == moon_tensor_dims(t)) {
    push_element(L, t, at);
    return;
  }
  size_t n = moon_tensor_shape(t)[d];
  ptrdiff_t step = moon_tensor_strides(t)[d] * (ptrdiff_t)moon_dtype_size(moon_tensor_dtype(t));
  lua_createtable(L, n < INT32_MAX ? (int)n : 0, 0);
  for (size_t i = 0; i < n; i++) {
    push_nested(L, t, d + 1, at + (ptrdiff_t)i * step);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}

static int tensor_to_table(lua_State *L) {
  const moon_tensor *t = moon_tensor_check(L, 1, "tensor:to_table");
  double tables = 1; /* also those of a shape that holds nothing */
  for (int d = 0; d < moon_tensor_dims(t); d++) tables *= moon_tensor_shape(t)[d] ? (double)moon_tensor_shape(t)[d] : 1;
  moon_tensor_charge(L, moon_tensor_home_of(L), tables * 3);
  luaL_checkstack(L, 2 * MOON_MAX_DIMS, NULL);
  push_nested(L, t, 0, moon_tensor_data(t));
  return 1;
}

static int text_collect(lua_State *L) {
  moon_buf_free(luaL_checkudata(L, 1, TEXT_TYPE));
  return 0;
}

static int tensor_tostring(lua_State *L) {
  const moon_tensor *t = moon_tensor_check(L, 1, "tostring(tensor)");
  double shown = 1; /* numbers, or a few more: a long dimension shows six */
  for (int d = 0; d < moon_tensor_dims(t); d++) shown *= moon_tensor_shape(t)[d] < 6 ? (double)moon_tensor_shape(t)[d] : 6;
  moon_tensor_charge(L, moon_tensor_home_of(L), 64 * (shown < 100 ? 100 : shown > 1000 ? 1000 : shown));
  moon_buf *text = lua_newuserdatauv(L, sizeof *text, 0);
  memset(text, 0, sizeof *text);
  luaL_setmetatable(L, TEXT_TYPE);
  moon_tensor_print(t, text);
  if (text->failed) return moon_tensor_raise(L, "tostring(tensor): no memory for the text");
  lua_pushlstring(L, text->data, text->n);
  moon_buf_free(text);
  return 1;
}

/* ---- views ----------------------------------------------------------------------------------------------------------------- */

/* Shape with at most one -1, which stands for what is left. */
static int wanted_shape(lua_State *L, const moon_tensor *t, size_t *shape) {
  int open = -1;
  lua_settop(L, lua_type(L, 2) == LUA_TTABLE ? 2 : lua_gettop(L));
  int list = lua_type(L, 2) == LUA_TTABLE, n = list ? (int)lua_rawlen(L, 2) : lua_gettop(L) - 1;
  if (n > MOON_MAX_DIMS) moon_tensor_raise(L, "tensor:reshape: a tensor has at most %d dimensions", MOON_MAX_DIMS);
  size_t product = 1;
  for (int d = 0; d < n; d++, lua_pop(L, 1)) {
    if (list) lua_rawgeti(L, 2, d + 1);
    else lua_pushvalue(L, 2 + d);
    bool rest = lua_isinteger(L, -1) && lua_tointeger(L, -1) == -1;
    if (rest && open >= 0) moon_tensor_raise(L, "tensor:reshape: only one size may be -1");
    if (rest) open = d;
    shape[d] = rest ? 1 : moon_tensor_size(L, -1, "tensor:reshape");
    if (__builtin_mul_overflow(product, shape[d], &product)) product = 0;
  }
  if (open >= 0 && product) shape[open] = moon_tensor_count(t) / product;
  return n;
}

/* A view where the memory allows it, otherwise of a copy. */
static int tensor_reshape(lua_State *L) {
  moon_tensor_home *home = moon_tensor_home_of(L);
  const moon_tensor *t = moon_tensor_check(L, 1, "tensor:reshape");
  size_t shape[MOON_MAX_DIMS];
  int dims = wanted_shape(L, t, shape);
  if (!moon_tensor_is_contiguous(t)) {
    moon_tensor **copy = moon_tensor_push(L, home);
    moon_tensor_charge(L, home, (double)moon_tensor_count(t) / 16);
    MOON_TENSOR_CALL(L, home, "tensor:reshape: ", moon_tensor_contiguous(t, copy));
    t = *copy;
  }
  moon_tensor **out = moon_tensor_push(L, home);
  MOON_TENSOR_CALL(L, home, "tensor:", moon_tensor_reshape(t, dims, shape, out));
  return 1;
}

static int tensor_transpose(lua_State *L) {
  moon_tensor_home *home = moon_tensor_home_of(L);
  const moon_tensor *t = moon_tensor_check(L, 1, "tensor:transpose");
  int dims = moon_tensor_dims(t);
  if (lua_gettop(L) == 1 && dims < 2) return moon_tensor_raise(L, "tensor:transpose: %d dimensions cannot be turned", dims);
  int a = lua_gettop(L) == 1 ? dims - 2 : moon_tensor_dim(L, 2, dims, "tensor:transpose");
  int b = lua_gettop(L) == 1 ? dims - 1 : moon_tensor_dim(L, 3, dims, "tensor:transpose");
  moon_tensor **out = moon_tensor_push(L, home);
  MOON_TENSOR_CALL(L, home, "tensor:", moon_tensor_transpose(t, a, b, out));
  return 1;
}

/* t:slice(dim, from, to): as string.sub counts, both ends included; `to` is the end where it is left out */
static int tensor_slice(lua_State *L) {
  moon_tensor_home *home = moon_tensor_home_of(L);
  const moon_tensor *t = moon_tensor_check(L, 1, "tensor:slice");
  int dim = moon_tensor_dim(L, 2, moon_tensor_dims(t), "tensor:slice");
  size_t n = moon_tensor_shape(t)[dim], from = moon_tensor_size(L, 3, "tensor:slice");
  size_t to = lua_isnoneornil(L, 4) ? n : moon_tensor_size(L, 4, "tensor:slice");
  if (!from || to > n || from > to + 1)
    return moon_tensor_raise(L, "tensor:slice: %zu to %zu is outside dimension %d of %s", from, to, dim + 1,
                             moon_shape_write(moon_tensor_dims(t), moon_tensor_shape(t)).text);
  moon_tensor **out = moon_tensor_push(L, home);
  MOON_TENSOR_CALL(L, home, "tensor:", moon_tensor_slice(t, dim, from - 1, to, out));
  return 1;
}

static int tensor_expand(lua_State *L) {
  moon_tensor_home *home = moon_tensor_home_of(L);
  const moon_tensor *t = moon_tensor_check(L, 1, "tensor:expand");
  size_t shape[MOON_MAX_DIMS];
  int dims = moon_tensor_shape_arg(L, 2, "tensor:expand", shape);
  moon_tensor **out = moon_tensor_push(L, home);
  MOON_TENSOR_CALL(L, home, "tensor:expand: ", moon_tensor_broadcast(t, dims, shape, out));
  return 1;
}

/* Pushes the i-th (from 1) along the first dimension, of which there must be one, without it. */
static moon_tensor *push_row(lua_State *L, moon_tensor_home *home, const moon_tensor *t, lua_Integer i) {
  int dims = moon_tensor_dims(t);
  const size_t *shape = moon_tensor_shape(t);
  if (!dims) moon_tensor_raise(L, "tensor[%lld]: a scalar has no rows", (long long)i);
  if (i < 1 || (size_t)i > shape[0])
    moon_tensor_raise(L, "tensor[%lld]: rows are 1 to %zu", (long long)i, shape[0]);
  moon_tensor **out = moon_tensor_push(L, home);
  MOON_TENSOR_CALL(L, home, "tensor:", moon_tensor_select(t, 0, (size_t)i - 1, out));
  return *out;
}

static int tensor_index(lua_State *L) {
  if (lua_isinteger(L, 2)) {
    const moon_tensor *t = moon_tensor_check(L, 1, "tensor[i]"),
                      *row = push_row(L, moon_tensor_home_of(L), t, lua_tointeger(L, 2));
    if (!moon_tensor_dims(row)) push_element(L, row, moon_tensor_data(row));
    return 1;
  }
  return moon_tensor_lookup(L, lua_upvalueindex(2), "tensor method");
}

static int tensor_newindex(lua_State *L) {
  moon_tensor_home *home = moon_tensor_home_of(L);
  const moon_tensor *t = moon_tensor_check(L, 1, "tensor[i]");
  if (!lua_isinteger(L, 2)) return moon_tensor_raise(L, "a tensor has no fields to set; tensor[i] = value sets row i");
  moon_tensor *row = push_row(L, home, t, lua_tointeger(L, 2));
  const moon_tensor *value = moon_tensor_operand(L, home, 3, t, "tensor[i] =");
  moon_tensor_charge(L, home, (double)moon_tensor_count(row) / 16);
  MOON_TENSOR_CALL(L, home, "tensor[i] = ", moon_tensor_copy(value, row));
  moon_tensor_touch(row);
  return 0;
}

/* ---- copies ---------------------------------------------------------------------------------------------------------------- */

static int copy_as(lua_State *L, const moon_tensor *t, moon_dtype dtype) {
  moon_tensor_home *home = moon_tensor_home_of(L);
  moon_tensor_charge(L, home, (double)moon_tensor_count(t) / (dtype == moon_tensor_dtype(t) ? 16 : 6));
  moon_tensor **out = moon_tensor_push(L, home);
  MOON_TENSOR_CALL(L, home, "tensor:copy: ", moon_tensor_cast(t, dtype, out));
  return 1;
}

static int tensor_clone(lua_State *L) {
  const moon_tensor *t = moon_tensor_check(L, 1, "tensor:clone");
  return copy_as(L, t, moon_tensor_dtype(t));
}

/* Itself where it is contiguous already. */
static int tensor_contiguous(lua_State *L) {
  const moon_tensor *t = moon_tensor_check(L, 1, "tensor:contiguous");
  lua_settop(L, 1);
  return moon_tensor_is_contiguous(t) ? 1 : copy_as(L, t, moon_tensor_dtype(t));
}

static int tensor_to(lua_State *L) {
  const moon_tensor *t = moon_tensor_check(L, 1, "tensor:to");
  return copy_as(L, t, moon_tensor_dtype_arg(L, 2, "tensor:to"));
}

void moon_tensor_set_functions(lua_State *L, int home, const luaL_Reg *functions) {
  lua_pushvalue(L, home);
  luaL_setfuncs(L, functions, 1);
}

/* ---- registration ---------------------------------------------------------------------------------------------------------- */

static int home_collect(lua_State *L) {
  moon_tensor_home *home = luaL_checkudata(L, 1, HOME_TYPE);
  moon_account_free(home->account);
  home->account = NULL;
  return 0;
}

/* A metatable whose only content is a finaliser, popped. */
static void finalised_type(lua_State *L, const char *name, lua_CFunction collector) {
  luaL_newmetatable(L, name);
  lua_pushcfunction(L, collector);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
}

static void register_type(lua_State *L, int home) {
  static const luaL_Reg meta[] = {
      {"__newindex", tensor_newindex}, {"__len", tensor_len}, {"__tostring", tensor_tostring}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"shape", tensor_shape},         {"size", tensor_size},
                                     {"dims", tensor_dims},           {"count", tensor_count},
                                     {"dtype", tensor_dtype},         {"is_contiguous", tensor_is_contiguous},
                                     {"item", tensor_item},           {"to_table", tensor_to_table},
                                     {"reshape", tensor_reshape},     {"transpose", tensor_transpose},
                                     {"slice", tensor_slice},         {"expand", tensor_expand},
                                     {"clone", tensor_clone},         {"contiguous", tensor_contiguous},
                                     {"to", tensor_to},               {NULL, NULL}};
  finalised_type(L, TENSOR_TYPE, box_collect);
  luaL_getmetatable(L, TENSOR_TYPE);
  int table = lua_gettop(L);
  moon_tensor_set_functions(L, home, meta);
  lua_newtable(L);
  moon_tensor_set_functions(L, home, methods);
  moon_tensor_add_operations(L, home, table, lua_gettop(L));
  moon_tensor_add_files(L, home);
  lua_pushvalue(L, home);
  lua_insert(L, -2);
  lua_pushcclosure(L, tensor_index, 2);
  lua_setfield(L, table, "__index");
  lua_pushboolean(L, 0);
  lua_setfield(L, table, "__metatable");
  lua_pop(L, 1);
}

void moon_lua_tensor_register(lua_State *L, moon_host *host) {
  finalised_type(L, HOME_TYPE, home_collect);
  finalised_type(L, TEXT_TYPE, text_collect);
  moon_tensor_home *home = lua_newuserdatauv(L, sizeof *home, 0);
  memset(home, 0, sizeof *home);
  luaL_setmetatable(L, HOME_TYPE);
  moon_status st = moon_account_new(host ? host->options.tensor_limit : 0, &home->account);
  if (st.code) moon_tensor_raise(L, "%s", st.message);
  home->host = host;
  if (host) host->tensors = home->account;
  moon_rng_seed(&home->own, 0, 0);
  home->rng = host ? &host->rng : &home->own;
  home->collect_at = COLLECT_FLOOR;
  register_type(L, lua_gettop(L));
  lua_rawsetp(L, LUA_REGISTRYINDEX, &home_key);
}

moon_tensor_home *moon_lua_home_push(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &home_key) == LUA_TNIL) {
    moon_lua_tensor_register(L, NULL);
    lua_pop(L, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &home_key);
  }
  return lua_touserdata(L, -1);
}

void moon_lua_tensor_push(lua_State *L) {
  moon_lua_home_push(L);
  moon_tensor_push_makers(L, lua_gettop(L));
  lua_remove(L, -2);
}

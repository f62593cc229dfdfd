/* lua_tape_ops.c - the ops of core/autograd as methods of vars and tapes.
 *
 * Ops of one kind of arguments are one function over a table, with the row as upvalue 2. The rest are a function each, of one
 * shape: begin, arguments, charge, call, push. Dimensions and positions count from 1 in Lua and turn where they pass through here. */
#include "script/lua_tape.h"

#include <math.h>
#include <string.h>

#include "nn/param.h"

/* The memory of a result is known when it is there. */
static int push_result(moon_use *use, moon_var v, double each) {
  moon_use_charge(use, moon_use_count(use, v) * each);
  return moon_use_push(use, v);
}

/* ---- one var --------------------------------------------------------------------------------------------------------------- */

typedef moon_status (*unary_fn)(moon_tape *, moon_var, moon_var *);
static const struct {
  const char *name;
  unary_fn call;
  double cost;
} unaries[] = {
    {"neg", moon_op_neg, MOON_COST_CHEAP},
    {"abs", moon_op_abs, MOON_COST_CHEAP},
    {"relu", moon_op_relu, MOON_COST_CHEAP},
    {"sqrt", moon_op_sqrt, MOON_COST_CHEAP},
    {"exp", moon_op_exp, MOON_COST_DEAR},
    {"log", moon_op_log, MOON_COST_DEAR},
    {"sigmoid", moon_op_sigmoid, MOON_COST_DEAR},
    {"tanh", moon_op_tanh, MOON_COST_DEAR},
    {"softplus", moon_op_softplus, MOON_COST_DEAR},
    {"gelu", moon_op_gelu, MOON_COST_DEAR},
    {"softmax", moon_op_softmax, MOON_COST_DEAR},
    {"log_softmax", moon_op_log_softmax, MOON_COST_DEAR},
    {"fm", moon_op_fm, MOON_COST_CHEAP},
    {"l2_normalise", moon_op_l2_normalise, MOON_COST_CHEAP},
};

static int unary(lua_State *L) {
  size_t row = moon_use_row(L);
  moon_use use = moon_use_begin(L, 1, unaries[row].name);
  moon_var a = moon_use_var(&use, 1, NULL), out;
  moon_use_charge(&use, moon_use_count(&use, a) * unaries[row].cost);
  MOON_USE_CALL(&use, unaries[row].call(use.g->tape, a, &out));
  return moon_use_push(&use, out);
}

/* ---- a var and a number ---------------------------------------------------------------------------------------------------- */

typedef moon_status (*scalar_fn)(moon_tape *, moon_var, double, moon_var *);
static const struct {
  const char *name;
  scalar_fn call;
  double otherwise, cost;
} scalars[] = {
    {"scale", moon_op_scale, NAN, MOON_COST_CHEAP},
    {"pow", moon_op_pow, NAN, MOON_COST_DEAR},
    {"leaky_relu", moon_op_leaky_relu, 0.01, MOON_COST_CHEAP},
};

static int scalar(lua_State *L) {
  size_t row = moon_use_row(L);
  moon_use use = moon_use_begin(L, 1, scalars[row].name);
  moon_var a = moon_use_var(&use, 1, NULL), out;
  double x = moon_use_number(&use, 2, scalars[row].otherwise);
  if (lua_isnoneornil(L, 2) && isnan(x)) return moon_tensor_raise(L, "%s: a number is wanted, got nothing", use.op);
  moon_use_charge(&use, moon_use_count(&use, a) * scalars[row].cost);
  MOON_USE_CALL(&use, scalars[row].call(use.g->tape, a, x, &out));
  return moon_use_push(&use, out);
}

/* v:clip(low, high); nil leaves that side open */
static int clip(lua_State *L) {
  moon_use use = moon_use_begin(L, 1, "clip");
  moon_var a = moon_use_var(&use, 1, NULL), out;
  double low = moon_use_number(&use, 2, -HUGE_VAL), high = moon_use_number(&use, 3, HUGE_VAL);
  moon_use_charge(&use, moon_use_count(&use, a) * MOON_COST_CHEAP);
  MOON_USE_CALL(&use, moon_op_clip(use.g->tape, a, low, high, &out));
  return moon_use_push(&use, out);
}

/* ---- two, with broadcasting ------------------------------------------------------------------------------------------------ */

typedef moon_status (*binary_fn)(moon_tape *, moon_var, moon_var, moon_var *);
static const struct {
  const char *name;
  binary_fn call;
  const char *operator;
} binaries[] = {
    {"add", moon_op_add, "__add"}, {"sub", moon_op_sub, "__sub"},      {"mul", moon_op_mul, "__mul"},
    {"div", moon_op_div, "__div"}, {"maximum", moon_op_maximum, NULL}, {"minimum", moon_op_minimum, NULL},
};

/* The two operands at 1 and 2, of which one at least is a var. */
static moon_use begin_pair(lua_State *L, const char *op, moon_var *a, moon_var *b) {
  moon_use use = moon_use_begin(L, moon_use_is_var(L, 1) || !moon_use_is_var(L, 2) ? 1 : 2, op);
  lua_settop(L, 2);
  if (use.from == 1) {
    *a = moon_use_var(&use, 1, NULL);
    *b = moon_use_var(&use, 2, a);
  } else {
    *b = moon_use_var(&use, 2, NULL);
    *a = moon_use_var(&use, 1, b);
  }
  return use;
}

static int binary(lua_State *L) {
  size_t row = moon_use_row(L);
  moon_var a, b, out;
  moon_use use = begin_pair(L, binaries[row].name, &a, &b);
  moon_use_charge(&use, (moon_use_count(&use, a) + moon_use_count(&use, b)) * MOON_COST_CHEAP);
  MOON_USE_CALL(&use, binaries[row].call(use.g->tape, a, b, &out));
  return push_result(&use, out, MOON_COST_CHEAP);
}

/* g:where(mask, a, b) */
static int where(lua_State *L) {
  moon_use use = moon_use_begin(L, 1, "where");
  lua_settop(L, 4);
  int dims, first = moon_use_is_var(L, 4) && !moon_use_is_var(L, 3) ? 4 : 3;
  size_t shape[MOON_MAX_DIMS];
  moon_var like = moon_use_var(&use, first, NULL), other = moon_use_var(&use, 7 - first, &like), out;
  const uint8_t *mask = moon_use_mask(&use, 2, &dims, shape);
  moon_use_charge(&use, (moon_use_count(&use, like) + moon_use_count(&use, other)) * MOON_COST_CHEAP);
  MOON_USE_CALL(&use, moon_op_where(use.g->tape, mask, dims, shape, first == 3 ? like : other, first == 3 ? other : like, &out));
  return push_result(&use, out, MOON_COST_CHEAP);
}

/* v:masked_fill(mask, value) */
static int masked_fill(lua_State *L) {
  moon_use use = moon_use_begin(L, 1, "masked_fill");
  moon_var a = moon_use_var(&use, 1, NULL), out;
  double value = moon_use_number(&use, 3, 0);
  int dims;
  size_t shape[MOON_MAX_DIMS];
  const uint8_t *mask = moon_use_mask(&use, 2, &dims, shape);
  moon_use_charge(&use, moon_use_count(&use, a) * MOON_COST_CHEAP);
  MOON_USE_CALL(&use, moon_op_masked_fill(use.g->tape, a, mask, dims, shape, value, &out));
  return moon_use_push(&use, out);
}

/* ---- over dimensions ------------------------------------------------------------------------------------------------------- */

static const struct {
  const char *name;
  unary_fn whole; /* NULL: a dimension is wanted */
  moon_status (*along)(moon_tape *, moon_var, int, bool, moon_var *);
} reductions[] = {
    {"sum", moon_op_sum, moon_op_sum_along}, {"mean", moon_op_mean, moon_op_mean_along}, {"max", NULL, moon_op_max_along}};

/* v:sum() of all; v:sum(dim [, keep]) */
static int reduce(lua_State *L) {
  size_t row = moon_use_row(L);
  moon_use use = moon_use_begin(L, 1, reductions[row].name);
  moon_var a = moon_use_var(&use, 1, NULL), out;
  moon_use_charge(&use, moon_use_count(&use, a) * MOON_COST_CHEAP);
  if (lua_isnoneornil(L, 2) && reductions[row].whole) {
    MOON_USE_CALL(&use, reductions[row].whole(use.g->tape, a, &out));
  } else {
    int dim = moon_tensor_dim(L, 2, moon_use_dims(&use, a), use.op);
    bool keep = lua_toboolean(L, 3);
    MOON_USE_CALL(&use, reductions[row].along(use.g->tape, a, dim, keep, &out));
  }
  return moon_use_push(&use, out);
}

/* ---- shapes ---------------------------------------------------------------------------------------------------------------- */

/* v:reshape(sizes...) or a table; one may be -1, which stands for what is left. */
static int reshape(lua_State *L) {
  moon_use use = moon_use_begin(L, 1, "reshape");
  moon_var a = moon_use_var(&use, 1, NULL), out;
  if (lua_type(L, 2) != LUA_TTABLE) {
    lua_createtable(L, lua_gettop(L), 0);
    lua_insert(L, 2);
    for (int i = lua_gettop(L) - 2; i >= 1; i--) lua_rawseti(L, 2, i);
  }
  size_t shape[MOON_MAX_DIMS], product = 1;
  int dims = (int)lua_rawlen(L, 2), open = -1;
  if (dims > MOON_MAX_DIMS) return moon_tensor_raise(L, "reshape: a var has at most %d dimensions", MOON_MAX_DIMS);
  for (int d = 0; d < dims; d++, lua_pop(L, 1)) {
    bool rest = lua_rawgeti(L, 2, d + 1) == LUA_TNUMBER && lua_tonumber(L, -1) == -1;
    if (rest && open >= 0) return moon_tensor_raise(L, "reshape: only one size may be -1");
    if (rest) open = d;
    shape[d] = rest ? 1 : moon_tensor_size(L, -1, "reshape");
    if (__builtin_mul_overflow(product, shape[d], &product)) product = 0;
  }
  if (open >= 0 && product) shape[open] = moon_var_count(use.g->tape, a) / product;
  moon_use_charge(&use, moon_use_count(&use, a) * MOON_COST_CHEAP);
  MOON_USE_CALL(&use, moon_op_reshape(use.g->tape, a, dims, shape, &out));
  return moon_use_push(&use, out);
}

static int push_permuted(moon_use *use, moon_var a, const int *order) {
  moon_var out;
  moon_use_charge(use, moon_use_count(use, a) * MOON_COST_CHEAP);
  MOON_USE_CALL(use, moon_op_permute(use->g->tape, a, order, &out));
  return moon_use_push(use, out);
}

/* v:permute(3, 1, 2): dimension d of the result is the d-th named */
static int permute(lua_State *L) {
  moon_use use = moon_use_begin(L, 1, "permute");
  moon_var a = moon_use_var(&use, 1, NULL);
  int dims = moon_use_dims(&use, a), given = lua_gettop(L) - 1, order[MOON_MAX_DIMS];
  if (given != dims) return moon_tensor_raise(L, "permute: %d dimensions are wanted, got %d", dims, given);
  for (int d = 0; d < dims; d++) order[d] = moon_tensor_dim(L, 2 + d, dims, "permute");
  return push_permuted(&use, a, order);
}

/* v:transpose([a, b]): the last two, or those named */
static int transpose(lua_State *L) {
  moon_use use = moon_use_begin(L, 1, "transpose");
  moon_var a = moon_use_var(&use, 1, NULL);
  int dims = moon_use_dims(&use, a), order[MOON_MAX_DIMS];
  bool named = lua_gettop(L) > 1;
  if (dims < 2) return moon_tensor_raise(L, "transpose: %d dimensions cannot be turned", dims);
  int x = named ? moon_tensor_dim(L, 2, dims, "transpose") : dims - 2,
      y = named ? moon_tensor_dim(L, 3, dims, "transpose") : dims - 1;
  for (int d = 0; d < dims; d++) order[d] = d == x ? y : d == y ? x : d;
  return push_permuted(&use, a, order);
}

/* v:slice(dim, from [, to]): both ends included */
static int slice(lua_State *L) {
  moon_use use = moon_use_begin(L, 1, "slice");
  moon_var a = moon_use_var(&use, 1, NULL), out;
  int dim = moon_tensor_dim(L, 2, moon_use_dims(&use, a), "slice");
  size_t n = moon_use_size(&use, a, dim), from = moon_tensor_size(L, 3, "slice");
  size_t to = lua_isnoneornil(L, 4) ? n : moon_tensor_size(L, 4, "slice");
  if (!from || to > n || from > to + 1)
    return moon_tensor_raise(L, "slice: %zu to %zu is outside dimension %d of %s", from, to, dim + 1,
                             moon_shape_write(moon_use_dims(&use, a), moon_var_shape(use.g->tape, a)).text);
  moon_use_charge(&use, moon_use_count(&use, a) * MOON_COST_CHEAP);
  MOON_USE_CALL(&use, moon_op_slice(use.g->tape, a, dim, from - 1, to, &out));
  return moon_use_push(&use, out);
}

/* v:expand(sizes...) */
static int expand(lua_State *L) {
  moon_use use = moon_use_begin(L, 1, "expand");
  size_t shape[MOON_MAX_DIMS];
  int dims = moon_tensor_shape_arg(L, 2, "expand", shape);
  moon_var a = moon_use_var(&use, 1, NULL), out;
  double count = 1;
  for (int d = 0; d < dims; d++) count *= (double)shape[d];
  moon_use_charge(&use, count * MOON_COST_CHEAP);
  MOON_USE_CALL(&use, moon_op_broadcast_to(use.g->tape, a, dims, shape, &out));
  return moon_use_push(&use, out);
}

/* v:pad({ before... }, { after... }): zeros */
static int pad(lua_State *L) {
  moon_use use = moon_use_begin(L, 1, "pad");
  moon_var a = moon_use_var(&use, 1, NULL), out;
  size_t before[MOON_MAX_DIMS], after[MOON_MAX_DIMS];
  int dims = moon_use_dims(&use, a);
  for (int i = 2; i <= 3; i++)
    if (lua_type(L, i) != LUA_TTABLE || moon_tensor_shape_arg(L, i, "pad", i == 2 ? before : after) != dims)
      return moon_tensor_raise(L, "pad: two tables of %d sizes are wanted, before and after each dimension", dims);
  double count = 1;
  for (int d = 0; d < dims; d++) count *= (double)before[d] + (double)moon_use_size(&use, a, d) + (double)after[d];
  moon_use_charge(&use, count * MOON_COST_CHEAP);
  MOON_USE_CALL(&use, moon_op_pad(use.g->tape, a, before, after, &out));
  return moon_use_push(&use, out);
}

/* The vars in the table at 2, in a userdata at the top. */
static moon_var *list_arg(moon_use *use, size_t *n) {
  lua_State *L = use->L;
  if (lua_type(L, 2) != LUA_TTABLE) moon_tensor_raise(L, "%s: a table of vars is wanted, got %s", use->op, luaL_typename(L, 2));
  *n = lua_rawlen(L, 2);
  moon_var *list = lua_newuserdatauv(L, (*n + 1) * sizeof *list, 0);
  double count = 0;
  for (size_t i = 0; i < *n; i++, lua_pop(L, 1)) {
    lua_rawgeti(L, 2, (lua_Integer)i + 1);
    list[i] = moon_use_var(use, lua_gettop(L), i ? list : NULL);
    count += moon_use_count(use, list[i]) + 1;
  }
  moon_use_charge(use, count * MOON_COST_CHEAP);
  return list;
}

/* g:concat { a, b, ... }: along the last dimension */
static int concat(lua_State *L) {
  moon_use use = moon_use_begin(L, 1, "concat");
  size_t n;
  moon_var *list = list_arg(&use, &n), out;
  MOON_USE_CALL(&use, moon_op_concat(use.g->tape, list, n, &out));
  return moon_use_push(&use, out);
}

/* g:stack({ a, b, ... } [, dim]): a new dimension, the first unless told otherwise */
static int stack(lua_State *L) {
  moon_use use = moon_use_begin(L, 1, "stack");
  size_t n;
  moon_var *list = list_arg(&use, &n), out;
  int dim = lua_isnoneornil(L, 3) || lua_type(L, 3) != LUA_TNUMBER || !n
                ? 0
                : moon_tensor_dim(L, 3, moon_use_dims(&use, list[0]) + 1, "stack");
  MOON_USE_CALL(&use, moon_op_stack(use.g->tape, list, n, dim, &out));
  return moon_use_push(&use, out);
}

/* ---- rows ------------------------------------------------------------------------------------------------------------------ */

/* v:take(positions): rows */
static int take(lua_State *L) {
  moon_use use = moon_use_begin(L, 1, "take");
  moon_var a = moon_use_var(&use, 1, NULL), out;
  int dims;
  size_t shape[MOON_MAX_DIMS], n;
  const uint32_t *ids = moon_use_ids(&use, 2, &dims, shape, &n);
  moon_use_within(&use, ids, n, moon_use_dims(&use, a), moon_var_shape(use.g->tape, a));
  MOON_USE_CALL(&use, moon_op_select_rows(use.g->tape, a, ids, n, &out));
  return push_result(&use, out, MOON_COST_CHEAP);
}

static moon_param *table_arg(moon_use *use) {
  moon_param *p = moon_param_check(use->L, 2, use->op);
  lua_pushvalue(use->L, 2);
  moon_use_keep(use);
  return p;
}
/* The positions at 3, which are rows of p. */
static const uint32_t *row_ids(moon_use *use, const moon_param *p, int *dims, size_t shape[MOON_MAX_DIMS], size_t *count) {
  const uint32_t *ids = moon_use_ids(use, 3, dims, shape, count);
  moon_use_within(use, ids, *count, moon_tensor_dims(p->value), moon_tensor_shape(p->value));
  return ids;
}
static moon_touch_fn touch(const moon_param *p) {
  return p->sparse ? moon_param_touch : NULL;
}

/* g:gather(p, positions): rows of a parameter [rows, dim] -> [positions' shape, dim] */
static int gather(lua_State *L) {
  moon_use use = moon_use_begin(L, 1, "gather");
  moon_param *p = table_arg(&use);
  int dims;
  size_t shape[MOON_MAX_DIMS], n;
  const uint32_t *ids = row_ids(&use, p, &dims, shape, &n);
  moon_var rows, out;
  MOON_USE_CALL(&use, moon_op_gather(use.g->tape, p->value, moon_param_sink(p), ids, n, touch(p), p, &rows));
  if (dims == 1) return push_result(&use, rows, MOON_COST_CHEAP);
  if (dims == MOON_MAX_DIMS) return moon_tensor_raise(L, "gather: positions have at most %d dimensions", MOON_MAX_DIMS - 1);
  shape[dims] = moon_use_size(&use, rows, 1);
  MOON_USE_CALL(&use, moon_op_reshape(use.g->tape, rows, dims + 1, shape, &out));
  return push_result(&use, out, MOON_COST_CHEAP);
}

/* g:gather_mean(p, positions [n, length]): the mean of each row's rows; row 1 of p counts for nothing */
static int gather_mean(lua_State *L) {
  moon_use use = moon_use_begin(L, 1, "gather_mean");
  moon_param *p = table_arg(&use);
  int dims;
  size_t shape[MOON_MAX_DIMS], n;
  const uint32_t *ids = row_ids(&use, p, &dims, shape, &n);
  if (dims != 2)
    return moon_tensor_raise(L, "gather_mean: positions are [n, length], not %s", moon_shape_write(dims, shape).text);
  moon_use_charge(&use, (double)n * MOON_COST_CHEAP);
  moon_var out;
  MOON_USE_CALL(&use, moon_op_gather_mean(use.g->tape, p->value, moon_param_sink(p), ids, shape[0], shape[1], touch(p), p, &out));
  return push_result(&use, out, MOON_COST_CHEAP);
}

/* The bags' beginnings from their sizes, which must make up all ids. */
static const size_t *offsets_of(moon_use *use, const uint32_t *sizes, size_t n, size_t ids) {
  size_t *at = lua_newuserdatauv(use->L, (n + 1) * sizeof *at, 0);
  at[0] = 0;
  for (size_t i = 0; i < n; i++) at[i + 1] = at[i] + sizes[i];
  if (at[n] != ids) moon_tensor_raise(use->L, "%s: the bags hold %zu positions, but there are %zu", use->op, at[n], ids);
  lua_pushvalue(use->L, -1);
  moon_use_keep(use);
  return at;
}

/* g:embedding_bag(p, positions, sizes [, { mode =, weights = }]): the first sizes[1] positions are bag 1, and so on */
static int embedding_bag(lua_State *L) {
  static const char *const names[] = {"mode", "weights", NULL}, *const modes[] = {"sum", "mean", "max", NULL};
  moon_use use = moon_use_begin(L, 1, "embedding_bag");
  lua_settop(L, 5);
  moon_param *p = table_arg(&use);
  int dims;
  size_t shape[MOON_MAX_DIMS], count;
  moon_bag bag = {.mode = MOON_BAG_MEAN};
  bag.ids = row_ids(&use, p, &dims, shape, &count);
  const uint32_t *sizes = moon_use_lengths(&use, 4, &bag.n);
  bag.offsets = offsets_of(&use, sizes, bag.n, count);
  moon_use_options(&use, 5, names);
  int mode = moon_use_option(&use, 5, "mode"), weights = moon_use_option(&use, 5, "weights");
  if (mode) {
    const char *name = lua_type(L, mode) == LUA_TSTRING ? lua_tostring(L, mode) : "?";
    int i = 0;
    while (modes[i] && strcmp(modes[i], name)) i++;
    if (!modes[i]) return moon_tensor_raise(L, "embedding_bag: the mode is sum, mean or max, not '%s'", name);
    bag.mode = (moon_bag_mode)i;
  }
  if (weights) {
    moon_dtype dtype = moon_tensor_dtype(p->value);
    const moon_tensor *given = moon_tensor_check(L, weights, "embedding_bag: weights");
    if (moon_tensor_count(given) != count)
      return moon_tensor_raise(L, "embedding_bag: %zu weights for %zu positions", moon_tensor_count(given), count);
    moon_tensor **kept = moon_tensor_push(L, use.g->home);
    MOON_TENSOR_CALL(L, use.g->home, "weights: ", moon_tensor_cast(given, dtype, kept));
    bag.weights = moon_tensor_data(*kept);
    lua_pushvalue(L, -1);
    moon_use_keep(&use);
  }
  moon_var out;
  moon_use_charge(
      &use, (double)count * MOON_COST_CHEAP * (moon_tensor_dims(p->value) == 2 ? (double)moon_tensor_shape(p->value)[1] : 1));
  MOON_USE_CALL(&use, moon_op_embedding_bag(use.g->tape, p->value, moon_param_sink(p), &bag, touch(p), p, &out));
  return moon_use_push(&use, out);
}

/* ---- products -------------------------------------------------------------------------------------------------------------- */

/* Multiplications of a [.., n, k] b [.., k, m], as far as the shapes say. */
static double product_work(const moon_use *use, moon_var a, moon_var b, bool tb) {
  int x = moon_use_dims(use, a), y = moon_use_dims(use, b);
  double columns = y > 1 ? (double)moon_use_size(use, b, tb ? y - 2 : y - 1) : 1, repeats = 1;
  for (int d = 0; d < y - 2; d++) repeats *= (double)moon_use_size(use, b, d);
  double broadcast = x < y ? repeats : 1;
  return moon_use_count(use, a) * columns * broadcast * MOON_COST_MULTIPLY +
         (moon_use_count(use, a) + moon_use_count(use, b)) * MOON_COST_CHEAP;
}

/* a:bmm(b [, ta, tb]) */
static int bmm(lua_State *L) {
  moon_var a, b, out;
  bool ta = lua_toboolean(L, 3), tb = lua_toboolean(L, 4);
  moon_use use = begin_pair(L, "bmm", &a, &b);
  moon_use_charge(&use, product_work(&use, a, b, tb));
  MOON_USE_CALL(&use, moon_op_bmm(use.g->tape, a, b, ta, tb, &out));
  return push_result(&use, out, MOON_COST_CHEAP);
}

/* a:matmul(b): of matrices, or of stacks of them */
static int matmul(lua_State *L) {
  moon_var a, b, out;
  moon_use use = begin_pair(L, "matmul", &a, &b);
  bool plain = moon_use_dims(&use, a) <= 2 && moon_use_dims(&use, b) <= 2;
  moon_use_charge(&use, product_work(&use, a, b, false));
  if (plain)
    MOON_USE_CALL(&use, moon_op_matmul(use.g->tape, a, b, &out));
  else
    MOON_USE_CALL(&use, moon_op_bmm(use.g->tape, a, b, false, false, &out));
  return push_result(&use, out, MOON_COST_CHEAP);
}

/* x:dense(w, b [, activation]) */
static int dense(lua_State *L) {
  moon_use use = moon_use_begin(L, 1, "dense");
  moon_var x = moon_use_var(&use, 1, NULL), w = moon_use_var(&use, 2, &x), b = moon_use_var(&use, 3, &x), out;
  moon_activation activation = MOON_LINEAR;
  if (!lua_isnoneornil(L, 4)) {
    moon_status st = lua_type(L, 4) == LUA_TSTRING
                         ? moon_activation_parse(lua_tostring(L, 4), &activation)
                         : moon_fail(MOON_EINVAL, "an activation is a name, got %s", luaL_typename(L, 4));
    if (st.code) return moon_tensor_raise(L, "dense: %s", st.message);
  }
  moon_use_charge(&use, product_work(&use, x, w, false));
  MOON_USE_CALL(&use, moon_op_dense(use.g->tape, x, w, b, activation, &out));
  return push_result(&use, out, MOON_COST_DEAR);
}

/* x:cross(x0, w, b): x0 (x W + b) + x */
static int cross(lua_State *L) {
  moon_use use = moon_use_begin(L, 1, "cross");
  moon_var x = moon_use_var(&use, 1, NULL), x0 = moon_use_var(&use, 2, &x), w = moon_use_var(&use, 3, &x),
           b = moon_use_var(&use, 4, &x), out;
  moon_use_charge(&use, product_work(&use, x, w, false));
  MOON_USE_CALL(&use, moon_op_cross(use.g->tape, x0, x, w, b, &out));
  return push_result(&use, out, MOON_COST_CHEAP);
}

/* ---- fused layers ---------------------------------------------------------------------------------------------------------- */

/* x:layer_norm(gamma, beta [, epsilon]) */
static int layer_norm(lua_State *L) {
  moon_use use = moon_use_begin(L, 1, "layer_norm");
  moon_var x = moon_use_var(&use, 1, NULL), gamma = moon_use_var(&use, 2, &x), beta = moon_use_var(&use, 3, &x), out;
  double epsilon = moon_use_number(&use, 4, 1e-5);
  moon_use_charge(&use, moon_use_count(&use, x) * 2 * MOON_COST_CHEAP);
  MOON_USE_CALL(&use, moon_op_layer_norm(use.g->tape, x, gamma, beta, epsilon, &out));
  return moon_use_push(&use, out);
}

/* x:batch_norm(gamma, beta, mean, variance [, { momentum =, epsilon =, training = }]): the two tensors follow the batches */
static int batch_norm(lua_State *L) {
  static const char *const names[] = {"momentum", "epsilon", "training", NULL};
  moon_use use = moon_use_begin(L, 1, "batch_norm");
  lua_settop(L, 6);
  moon_var x = moon_use_var(&use, 1, NULL), gamma = moon_use_var(&use, 2, &x), beta = moon_use_var(&use, 3, &x), out;
  moon_tensor *mean = moon_tensor_check(L, 4, "batch_norm"), *variance = moon_tensor_check(L, 5, "batch_norm");
  moon_use_options(&use, 6, names);
  int momentum = moon_use_option(&use, 6, "momentum"), epsilon = moon_use_option(&use, 6, "epsilon"),
      training = moon_use_option(&use, 6, "training");
  double m = momentum ? moon_use_number(&use, momentum, 0) : 0.1, e = epsilon ? moon_use_number(&use, epsilon, 0) : 1e-5;
  bool learns = training ? lua_toboolean(L, training) : use.g->training;
  for (int i = 4; i <= 5; i++) {
    lua_pushvalue(L, i);
    moon_use_keep(&use);
  }
  moon_use_charge(&use, moon_use_count(&use, x) * 2 * MOON_COST_CHEAP);
  MOON_USE_CALL(&use, moon_op_batch_norm(use.g->tape, x, gamma, beta, mean, variance, m, e, learns, &out));
  return moon_use_push(&use, out);
}

/* x:dropout(rate): while the tape trains; see g:train */
static int dropout(lua_State *L) {
  moon_use use = moon_use_begin(L, 1, "dropout");
  moon_var x = moon_use_var(&use, 1, NULL), out;
  double rate = moon_use_number(&use, 2, 0.5);
  moon_rng key;
  moon_rng_seed(&key, use.g->seed, use.g->draws++);
  moon_use_charge(&use, moon_use_count(&use, x) * MOON_COST_DEAR);
  MOON_USE_CALL(&use, moon_op_dropout(use.g->tape, x, rate, &key, use.g->training, &out));
  return moon_use_push(&use, out);
}

/* Lengths at `index`, one for each of n rows; NULL where there are none. */
static const uint32_t *lengths_of(moon_use *use, int index, size_t n) {
  if (!index || lua_isnoneornil(use->L, index)) return NULL;
  size_t count;
  const uint32_t *lengths = moon_use_lengths(use, index, &count);
  if (count != n) moon_tensor_raise(use->L, "%s: %zu lengths for %zu rows", use->op, count, n);
  return lengths;
}

/* The keys of k [b, h, tk, d], or [b, tk, h d] where `dims` is 3. */
static size_t keys_of(moon_use *use, moon_var k, int dims) {
  return moon_use_dims(use, k) == dims ? moon_use_size(use, k, dims - 2) : 0;
}

static const uint8_t *key_mask(moon_use *use, int index, moon_var k, size_t keys) {
  int dims;
  size_t shape[MOON_MAX_DIMS];
  if (!index) return NULL;
  const uint8_t *mask = moon_use_mask(use, index, &dims, shape);
  if (dims != 2 || !moon_use_dims(use, k) || shape[0] != moon_use_size(use, k, 0) || shape[1] != keys)
    moon_tensor_raise(use->L, "attention: the mask is [b, keys], not %s", moon_shape_write(dims, shape).text);
  return mask;
}

/* q:attention(k, v [, { heads =, scale =, causal =, lengths =, mask = }]): all [b, heads, steps, d], or [b, steps, heads d] */
static int attention(lua_State *L) {
  static const char *const names[] = {"heads", "scale", "causal", "lengths", "mask", NULL};
  moon_use use = moon_use_begin(L, 1, "attention");
  lua_settop(L, 4);
  moon_var q = moon_use_var(&use, 1, NULL), k = moon_use_var(&use, 2, &q), v = moon_use_var(&use, 3, &q), out;
  moon_use_options(&use, 4, names);
  int scale = moon_use_option(&use, 4, "scale"), causal = moon_use_option(&use, 4, "causal"),
      lengths = moon_use_option(&use, 4, "lengths"), mask = moon_use_option(&use, 4, "mask"),
      heads = moon_use_option(&use, 4, "heads");
  moon_attention how = {.scale = scale ? moon_use_number(&use, scale, 0) : 0, .causal = causal && lua_toboolean(L, causal)};
  if (heads && !(how.heads = moon_tensor_size(L, heads, "attention: heads")))
    return moon_tensor_raise(L, "attention: at least one head is needed");
  size_t keys = keys_of(&use, k, heads ? 3 : 4);
  how.lengths = lengths_of(&use, lengths, moon_use_dims(&use, q) ? moon_use_size(&use, q, 0) : 0);
  how.mask = key_mask(&use, mask, k, keys);
  moon_use_charge(&use, moon_use_count(&use, q) * (double)(keys ? keys : 1) * 2 * MOON_COST_MULTIPLY + moon_use_count(&use, k) * MOON_COST_CHEAP);
  MOON_USE_CALL(&use, moon_op_attention(use.g->tape, q, k, v, &how, &out));
  return moon_use_push(&use, out);
}

/* x:gru(w, u, b, c [, lengths]) */
static int gru(lua_State *L) {
  moon_use use = moon_use_begin(L, 1, "gru");
  lua_settop(L, 6);
  moon_var x = moon_use_var(&use, 1, NULL), in[4], out;
  for (int i = 0; i < 4; i++) in[i] = moon_use_var(&use, 2 + i, &x);
  const uint32_t *lengths = lengths_of(&use, 6, moon_use_dims(&use, x) ? moon_use_size(&use, x, 0) : 0);
  double h = moon_use_dims(&use, in[1]) == 2 ? (double)moon_use_size(&use, in[1], 0) : 1,
         width = moon_use_dims(&use, x) == 3 ? (double)moon_use_size(&use, x, 2) : 1;
  moon_use_charge(&use, moon_use_count(&use, x) / (width > 0 ? width : 1) * 3 * h * (h + width) * MOON_COST_MULTIPLY);
  MOON_USE_CALL(&use, moon_op_gru(use.g->tape, x, in[0], in[1], in[2], in[3], lengths, &out));
  return push_result(&use, out, MOON_COST_DEAR);
}

/* ---- registration ---------------------------------------------------------------------------------------------------------- */

static void set_functions(lua_State *L, int home, int into, const luaL_Reg *functions) {
  lua_pushvalue(L, into);
  moon_tensor_set_functions(L, home, functions);
  lua_pop(L, 1);
}

void moon_tape_add_ops(lua_State *L, int home, int var_meta, int var_methods, int tape_methods) {
  static const luaL_Reg of_vars[] = {{"clip", clip},
                                     {"masked_fill", masked_fill},
                                     {"reshape", reshape},
                                     {"permute", permute},
                                     {"transpose", transpose},
                                     {"slice", slice},
                                     {"expand", expand},
                                     {"pad", pad},
                                     {"take", take},
                                     {"bmm", bmm},
                                     {"matmul", matmul},
                                     {"dense", dense},
                                     {"cross", cross},
                                     {"layer_norm", layer_norm},
                                     {"batch_norm", batch_norm},
                                     {"dropout", dropout},
                                     {"attention", attention},
                                     {"gru", gru},
                                     {NULL, NULL}};
  static const luaL_Reg of_tapes[] = {{"where", where},   {"concat", concat},           {"stack", stack},
                                      {"gather", gather}, {"gather_mean", gather_mean}, {"embedding_bag", embedding_bag},
                                      {NULL, NULL}};
  for (size_t i = 0; i < MOON_ROWS_OF(unaries); i++) moon_tape_set_row(L, home, var_methods, unaries[i].name, unary, i);
  for (size_t i = 0; i < MOON_ROWS_OF(scalars); i++) moon_tape_set_row(L, home, var_methods, scalars[i].name, scalar, i);
  for (size_t i = 0; i < MOON_ROWS_OF(reductions); i++) moon_tape_set_row(L, home, var_methods, reductions[i].name, reduce, i);
  for (size_t i = 0; i < MOON_ROWS_OF(binaries); i++) {
    moon_tape_set_row(L, home, var_methods, binaries[i].name, binary, i);
    if (binaries[i].operator) moon_tape_set_row(L, home, var_meta, binaries[i].operator, binary, i);
  }
  moon_tape_set_row(L, home, var_meta, "__unm", unary, 0);
  moon_tape_set_row(L, home, var_meta, "__pow", scalar, 1);
  set_functions(L, home, var_methods, of_vars);
  set_functions(L, home, tape_methods, of_tapes);
  moon_tape_add_losses(L, home, tape_methods);
}

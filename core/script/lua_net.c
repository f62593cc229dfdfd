/* lua_net.c - models in Lua: m.nn.build makes a net, which is called on a tape, trained by net:fit and run by net:predict.
 *
 * A net's inputs have names, of which the first is "x". They are given as one value, for x, or as a table by name; ids are
 * positions from 1, and of a sequence { tensor, lengths = ... } says how many steps of each row count. */
#include <string.h>

#include "script/lua_net.h"
#include "script/lua_plan.h"

#define NET_TYPE "moonshelf.net"
enum { INPUTS_MAX = 64 };

typedef struct net_box { /* user value 1: the plan */
  moon_module *module;
  bool training;
  bool planned;              /* there was a look whether it compiles */
  const moon_lua_plan *plan; /* of the weights at `version`; NULL: it does not compile */
  uint64_t version;
} net_box;

static net_box *check_net(lua_State *L, const char *what) {
  net_box *self = luaL_testudata(L, 1, NET_TYPE);
  if (!self || !self->module)
    moon_tensor_raise(L, "%s: a net (m.nn.build) is wanted first (is it a colon that is missing?), got %s", what,
                      luaL_typename(L, 1));
  return self;
}

moon_module *moon_net_check(lua_State *L, const char *what) {
  return check_net(L, what)->module;
}

static int net_collect(lua_State *L) {
  net_box *self = luaL_checkudata(L, 1, NET_TYPE);
  moon_module_free(self->module);
  self->module = NULL;
  return 0;
}

/* ---- building -------------------------------------------------------------------------------------------------------------- */

/* { 64 }, { ids = 1000 }, { ids = 1000, 20 }: the table at the top as an input's form */
static moon_form form_at_top(lua_State *L, const char *name) {
  moon_form form = {.name = name};
  if (lua_type(L, -1) != LUA_TTABLE)
    moon_tensor_raise(L, "m.nn.build: input '%s' is a shape, such as {64}, not a %s", name, luaL_typename(L, -1));
  if (lua_getfield(L, -1, "ids") != LUA_TNIL) form.ids = moon_tensor_size(L, -1, "m.nn.build: ids");
  lua_pop(L, 1);
  form.dims = moon_tensor_shape_arg(L, lua_gettop(L), "m.nn.build", form.shape);
  return form;
}

static int by_name(const void *a, const void *b) {
  const moon_form *x = a, *y = b;
  bool first = !strcmp(x->name, "x"), second = !strcmp(y->name, "x");
  return first != second ? second - first : strcmp(x->name, y->name);
}

/* { 64 } for x alone, or forms by name, of which x comes first. The names are the table's. */
static size_t forms_at(lua_State *L, int index, moon_form forms[INPUTS_MAX]) {
  size_t n = 0;
  if (lua_type(L, index) != LUA_TTABLE)
    moon_tensor_raise(L, "m.nn.build: 'inputs' must be a shape, such as {64}, or shapes by name, got %s",
                      luaL_typename(L, index));
  if (lua_rawlen(L, index) || lua_getfield(L, index, "ids") != LUA_TNIL) {
    lua_pushvalue(L, index);
    forms[0] = form_at_top(L, "x");
    return 1;
  }
  lua_pop(L, 1);
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING) moon_tensor_raise(L, "m.nn.build: inputs have names");
    if (n == INPUTS_MAX) moon_tensor_raise(L, "m.nn.build: at most %d inputs", INPUTS_MAX);
    forms[n++] = form_at_top(L, lua_tostring(L, -2));
  }
  qsort(forms, n, sizeof *forms, by_name);
  if (!n || strcmp(forms[0].name, "x"))
    moon_tensor_raise(L, "m.nn.build: the first input is called 'x', and there is none of this name");
  return n;
}

static moon_status new_module(moon_account *account, const json_t *spec, moon_dtype dtype, const moon_form *forms, size_t n,
                              uint64_t seed, moon_module **out) {
  moon_rng rng;
  moon_rng_seed(&rng, seed, 0);
  moon_account *before = moon_account_enter(account);
  moon_status st = moon_module_new(spec, dtype, forms, n, &rng, out);
  moon_account_enter(before);
  return st;
}

/* A table of embeddings is looked up, not multiplied. */
double moon_net_row_work(const moon_module *module) {
  size_t n;
  double weights = 0, steps = 1;
  moon_param *const *params = moon_module_params(module, &n);
  for (size_t i = 0; i < n; i++) {
    const size_t *shape = moon_tensor_shape(params[i]->value);
    weights += params[i]->sparse ? (double)shape[1] : (double)moon_tensor_count(params[i]->value);
  }
  const moon_form *inputs = moon_module_inputs(module, &n);
  for (size_t i = 0; i < n; i++) {
    double wide = inputs[i].dims > (inputs[i].ids ? 0 : 1) ? (double)inputs[i].shape[0] : 1;
    steps = wide > steps ? wide : steps;
  }
  return weights * steps * MOON_COST_MULTIPLY + 1;
}

/* native: (spec, { inputs =, seed =, dtype = }) */
static int build(lua_State *L) {
  static const char *const names[] = {"inputs", "seed", "dtype", NULL};
  moon_tensor_home *home = moon_tensor_home_of(L);
  lua_settop(L, 2);
  moon_use use = {.L = L, .op = "m.nn.build"};
  if (!moon_use_options(&use, 2, names))
    return moon_tensor_raise(L, "m.nn.build: a table of options is wanted second: { inputs = {64} }");
  int inputs = moon_use_option(&use, 2, "inputs"), seed = moon_use_option(&use, 2, "seed"),
      dtype = moon_use_option(&use, 2, "dtype");
  if (!inputs) return moon_tensor_raise(L, "m.nn.build: 'inputs' is missing");
  moon_form forms[INPUTS_MAX];
  size_t n = forms_at(L, inputs, forms);
  uint64_t seeded = seed ? moon_tensor_size(L, seed, "m.nn.build: seed") : 0;
  moon_dtype real = dtype ? moon_tensor_dtype_arg(L, dtype, "m.nn.build") : MOON_F32;
  json_t *spec = moon_json_push(L, 1, "m.nn.build: the model");
  net_box *self = lua_newuserdatauv(L, sizeof *self, 1);
  *self = (net_box){.training = true};
  luaL_setmetatable(L, NET_TYPE);
  int tries = 0;
  for (moon_status st = new_module(home->account, spec, real, forms, n, seeded, &self->module); st.code;
       st = new_module(home->account, spec, real, forms, n, seeded, &self->module)) {
    if (st.code == MOON_ENOMEM) {
      moon_tensor_again(L, home, "m.nn.build: ", st, &tries);
      continue;
    }
    lua_pushstring(L, st.message); /* begins with the layer's place */
    return lua_error(L);
  }
  size_t count;
  moon_param *const *params = moon_module_params(self->module, &count);
  double work = 0;
  for (size_t i = 0; i < count; i++) work += (double)moon_tensor_count(params[i]->value);
  moon_tensor_charge(L, home, work);
  return 1;
}

/* ---- inputs ---------------------------------------------------------------------------------------------------------------- */

/* What was given for an input, on the stack. */
typedef struct given {
  int value, lengths; /* indices; 0: none */
} given;

static bool is_value(lua_State *L, int index) {
  return lua_type(L, index) == LUA_TUSERDATA;
}

/* Of the inputs at `index` the one called `name`, the i-th. */
static given find_input(lua_State *L, int index, const char *name, size_t i) {
  given found = {0, 0};
  luaL_checkstack(L, 8, NULL);
  bool named = lua_type(L, index) == LUA_TTABLE && !lua_rawlen(L, index);
  if (named)
    lua_getfield(L, index, name);
  else if (!i)
    lua_pushvalue(L, index);
  else
    return found;
  if (lua_isnil(L, -1)) return found;
  found.value = lua_gettop(L);
  if (lua_type(L, -1) != LUA_TTABLE || lua_rawlen(L, -1) != 1) return found;
  if (lua_getfield(L, found.value, "lengths") != LUA_TNIL) found.lengths = lua_gettop(L);
  lua_rawgeti(L, found.value, 1);
  if (is_value(L, -1) || found.lengths) found.value = lua_gettop(L);
  return found;
}

/* Raises where a table of inputs has a name that the net has not. */
static void check_names(lua_State *L, int index, const moon_form *forms, size_t n, const char *what) {
  const char *names[INPUTS_MAX];
  for (size_t i = 0; i < n && i < INPUTS_MAX; i++) names[i] = forms[i].name;
  if (lua_type(L, index) != LUA_TTABLE || lua_rawlen(L, index)) return;
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
    const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
    size_t i = 0;
    while (i < n && strcmp(forms[i].name, name)) i++;
    const char *near = moon_nearest(name, names, n);
    if (i == n)
      moon_tensor_raise(L, "%s: the net has no input '%s'%s%s%s", what, name, near ? "; did you mean '" : "", near ? near : "",
                        near ? "'?" : "");
  }
}

/* [rows, form's shape...]; the first input sets how many rows there are. */
static void check_shape(lua_State *L, const char *what, const moon_form *form, int dims, const size_t *shape, size_t *rows) {
  bool fits = dims == form->dims + 1 && (*rows == SIZE_MAX || shape[0] == *rows);
  for (int d = 0; d < form->dims && fits; d++) fits = shape[d + 1] == form->shape[d];
  if (!fits && *rows != SIZE_MAX && dims && shape[0] != *rows)
    moon_tensor_raise(L, "%s: input '%s' has %zu rows, another %zu", what, form->name, shape[0], *rows);
  if (!fits)
    moon_tensor_raise(L, "%s: input '%s' is %s, got %s", what, form->name, moon_form_write(form).text,
                      moon_shape_write(dims, shape).text);
  *rows = shape[0];
}

static void check_ids(lua_State *L, const char *what, const moon_form *form, const uint32_t *ids, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (ids[i] >= form->ids)
      moon_tensor_raise(L, "%s: input '%s' has position %u, of at most %zu", what, form->name, ids[i] + 1, form->ids);
}

static void missing_input(lua_State *L, const moon_module *module, const moon_form *form, size_t i, const char *what) {
  if (moon_module_uses(module, i))
    moon_tensor_raise(L, "%s: input '%s' (%s) is missing", what, form->name, moon_form_write(form).text);
}

/* ---- on a tape ------------------------------------------------------------------------------------------------------------- */

/* The inputs at `index` as values on the tape, in a userdata at the top. */
static moon_value *tape_inputs(moon_use *use, int index, const moon_module *module, size_t *rows) {
  lua_State *L = use->L;
  size_t n, shape[MOON_MAX_DIMS], count;
  int dims;
  const moon_form *forms = moon_module_inputs(module, &n);
  check_names(L, index, forms, n, use->op);
  moon_value *values = lua_newuserdatauv(L, n * sizeof *values, 0);
  memset(values, 0, n * sizeof *values);
  for (size_t i = 0; i < n; i++) {
    given in = find_input(L, index, forms[i].name, i);
    if (!in.value) {
      missing_input(L, module, &forms[i], i, use->op);
    } else if (forms[i].ids) {
      const uint32_t *ids = values[i].ids = moon_use_ids(use, in.value, &dims, shape, &count);
      check_shape(L, use->op, &forms[i], dims, shape, rows);
      check_ids(L, use->op, &forms[i], ids, count);
    } else {
      values[i].x = moon_use_var(use, in.value, NULL);
      check_shape(L, use->op, &forms[i], moon_var_dims(use->g->tape, values[i].x), moon_var_shape(use->g->tape, values[i].x),
                  rows);
    }
    if (in.lengths) values[i].lengths = moon_use_lengths(use, in.lengths, &count);
    if (in.lengths && count != *rows) moon_tensor_raise(L, "%s: %zu lengths for %zu rows", use->op, count, *rows);
  }
  lua_pushnil(L); /* what is above may be in use */
  return values;
}

/* net(g, inputs), or net(x) of a var */
static int net_call(lua_State *L) {
  const net_box *self = check_net(L, "net");
  bool alone = moon_use_is_var(L, 2);
  moon_use use = moon_use_begin(L, 2, "net");
  if (!alone && lua_isnoneornil(L, 3)) return moon_tensor_raise(L, "net: net(g, x) wants inputs second");
  lua_pushvalue(L, 1);
  moon_use_keep(&use);
  size_t rows = SIZE_MAX;
  moon_value *values = tape_inputs(&use, alone ? 2 : 3, self->module, &rows);
  moon_use_charge(&use, moon_net_row_work(self->module) * (double)rows);
  moon_pass pass = {.tape = use.g->tape,
                    .rows = rows,
                    .inputs = values,
                    .training = self->training && use.g->training,
                    .seed = use.g->seed,
                    .step = use.g->draws++};
  moon_var y;
  int tries = 1; /* batch_norm moves its statistics once */
  moon_use_enter(&use);
  moon_use_again(&use, moon_module_forward(self->module, &pass, &y), &tries);
  return moon_use_push(&use, y);
}

/* net:penalty(g): the sum of what layers with l2 ask for, or nil */
static int net_penalty(lua_State *L) {
  const net_box *self = check_net(L, "net:penalty");
  moon_use use = moon_use_begin(L, 2, "net:penalty");
  lua_pushvalue(L, 1);
  moon_use_keep(&use);
  bool any = false;
  moon_var sum;
  MOON_USE_CALL(&use, moon_module_penalty(self->module, use.g->tape, &any, &sum));
  if (any) return moon_use_push(&use, sum);
  lua_pushnil(L);
  return 1;
}

/* ---- over tensors ---------------------------------------------------------------------------------------------------------- */

const uint32_t *moon_net_narrow(lua_State *L, const moon_tensor *t, const char *what) {
  size_t n = moon_tensor_count(t);
  uint32_t *out = lua_newuserdatauv(L, (n + 1) * sizeof *out, 0);
  const int64_t *from = moon_tensor_data(t);
  for (size_t i = 0; i < n; i++) {
    if (from[i] < 0 || from[i] >= MOON_NONE) moon_tensor_raise(L, "%s: %lld is out of range", what, (long long)from[i]);
    out[i] = (uint32_t)from[i];
  }
  return out;
}

static const uint32_t *whole_numbers(lua_State *L, int index, size_t rows, const char *what) {
  const moon_tensor *t = moon_tensor_check(L, index, what);
  if (moon_tensor_dtype(t) != MOON_I64 || !moon_tensor_is_contiguous(t) || moon_tensor_count(t) != rows)
    moon_tensor_raise(L, "%s: lengths are a contiguous i64 tensor [%zu]", what, rows);
  return moon_net_narrow(L, t, what);
}

const moon_tensor *moon_net_numbers(lua_State *L, moon_tensor_home *home, int index, moon_dtype dtype, const char *what) {
  const moon_tensor *t = moon_tensor_check(L, index, what);
  if (moon_tensor_dtype(t) == dtype && moon_tensor_is_contiguous(t)) return t;
  moon_tensor_charge(L, home, (double)moon_tensor_count(t) * MOON_COST_CHEAP);
  moon_tensor **cast = moon_tensor_push(L, home);
  MOON_TENSOR_CALL(L, home, "tensor: ", moon_tensor_cast(t, dtype, cast));
  return *cast;
}

const moon_rows *moon_net_inputs(lua_State *L, moon_tensor_home *home, int index, const moon_module *module, size_t *rows,
                                 const char *what) {
  size_t n;
  const moon_form *forms = moon_module_inputs(module, &n);
  check_names(L, index, forms, n, what);
  moon_rows *inputs = lua_newuserdatauv(L, n * sizeof *inputs, 0);
  memset(inputs, 0, n * sizeof *inputs);
  for (size_t i = 0; i < n; i++) {
    given in = find_input(L, index, forms[i].name, i);
    if (!in.value) {
      missing_input(L, module, &forms[i], i, what);
      continue;
    }
    const moon_tensor *t = forms[i].ids ? moon_tensor_positions(L, home, in.value, what)
                                        : moon_net_numbers(L, home, in.value, moon_module_dtype(module), what);
    check_shape(L, what, &forms[i], moon_tensor_dims(t), moon_tensor_shape(t), rows);
    inputs[i].each = *rows ? moon_tensor_count(t) / *rows : 0;
    if (forms[i].ids)
      check_ids(L, what, &forms[i], inputs[i].ids = moon_net_narrow(L, t, what), moon_tensor_count(t));
    else
      inputs[i].numbers = moon_tensor_data(t);
    if (in.lengths) inputs[i].lengths = whole_numbers(L, in.lengths, *rows, what);
  }
  return inputs;
}

/* ---- running --------------------------------------------------------------------------------------------------------------- */

/* Pushes the plan of the net's weights as they are now, compiled where they have changed since; NULL: the net does not compile. */
static const moon_lua_plan *push_plan(lua_State *L, moon_tensor_home *home, net_box *self) {
  uint64_t version = moon_module_version(self->module);
  if (self->planned && (!self->plan || self->version == version)) {
    lua_getiuservalue(L, 1, 1);
    return self->plan;
  }
  self->planned = false;
  const moon_lua_plan *fresh = moon_plan_push(L, home, self->module, "net:predict", NULL);
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, 1, 1);
  self->plan = fresh, self->version = version, self->planned = true;
  return fresh;
}

static moon_status run_predict(moon_account *account, const moon_module *module, const moon_rows *inputs, size_t rows, void *y) {
  moon_account *before = moon_account_enter(account);
  moon_status st = moon_tensor_predict(module, inputs, rows, y);
  moon_account_enter(before);
  return st;
}

/* Pushes room for the answer. */
static moon_tensor *push_answer(lua_State *L, moon_tensor_home *home, const moon_module *module, size_t rows) {
  const moon_form *out = moon_module_out(module);
  size_t shape[MOON_MAX_DIMS] = {rows};
  if (out->ids || out->dims + 1 > MOON_MAX_DIMS)
    moon_tensor_raise(L, "net:predict: the net answers %s", moon_form_write(out).text);
  for (int d = 0; d < out->dims; d++) shape[d + 1] = out->shape[d];
  return moon_numbers_push(L, home, moon_module_dtype(module), out->dims + 1, shape, NULL);
}

/* net:predict(inputs) -> a tensor [n, ...]; nothing drops and no statistics move */
static int net_predict(lua_State *L) {
  moon_tensor_home *home = moon_tensor_home_of(L);
  net_box *self = check_net(L, "net:predict");
  lua_settop(L, 2);
  size_t rows = SIZE_MAX;
  if (lua_isnil(L, 2)) return moon_tensor_raise(L, "net:predict: inputs are wanted: net:predict(x)");
  const moon_lua_plan *plan = push_plan(L, home, self);
  if (plan && moon_tensor_is(L, 2) && moon_plan_takes(plan, moon_tensor_check(L, 2, "net:predict"))) {
    const moon_tensor *x = moon_tensor_check(L, 2, "net:predict");
    moon_tensor *y = push_answer(L, home, self->module, moon_tensor_shape(x)[0]);
    moon_plan_run(L, home, plan, moon_tensor_data(x), moon_tensor_shape(x)[0], moon_tensor_data(y));
    return 1;
  }
  const moon_rows *inputs = moon_net_inputs(L, home, 2, self->module, &rows, "net:predict");
  moon_tensor *y = push_answer(L, home, self->module, rows);
  if (plan) {
    moon_plan_run(L, home, plan, inputs->numbers, rows, moon_tensor_data(y));
    return 1;
  }
  moon_tensor_charge(L, home, moon_net_row_work(self->module) * (double)rows);
  MOON_TENSOR_CALL(L, home, "net:predict: ", run_predict(home->account, self->module, inputs, rows, moon_tensor_data(y)));
  return 1;
}

static moon_precision precision_option(moon_use *use) {
  int index = moon_use_option(use, 2, "precision");
  moon_precision precision = MOON_FULL;
  if (!index) return precision;
  if (lua_type(use->L, index) != LUA_TSTRING)
    moon_tensor_raise(use->L, "net:compile: 'precision' must be f32, bf16 or int8, got %s", luaL_typename(use->L, index));
  moon_status st = moon_precision_parse(lua_tostring(use->L, index), &precision);
  if (st.code) moon_tensor_raise(use->L, "net:compile: %s", st.message);
  return precision;
}

/* net:compile { precision =, calibrate = } -> a plan of the weights as they are */
static int net_compile(lua_State *L) {
  static const char *const names[] = {"precision", "calibrate", NULL};
  moon_tensor_home *home = moon_tensor_home_of(L);
  const net_box *self = check_net(L, "net:compile");
  lua_settop(L, 2);
  moon_use use = {.L = L, .op = "net:compile"};
  if (!moon_use_options(&use, 2, names)) lua_newtable(L), lua_replace(L, 2);
  moon_precision precision = precision_option(&use);
  int calibrate = moon_use_option(&use, 2, "calibrate");
  size_t rows = SIZE_MAX;
  const moon_rows *x = calibrate ? moon_net_inputs(L, home, calibrate, self->module, &rows, "net:compile") : NULL;
  moon_status why;
  if (!moon_plan_push(L, home, self->module, "net:compile", &why)) return moon_tensor_raise(L, "net:compile: %s", why.message);
  if (precision != MOON_FULL || x) moon_plan_quantise(L, home, lua_gettop(L), precision, x ? x->numbers : NULL, x ? rows : 0);
  return 1;
}

/* net:train([on]): whether layers behave as in training when the net is called on a tape that trains */
static int net_train(lua_State *L) {
  check_net(L, "net:train")->training = lua_isnone(L, 2) || lua_toboolean(L, 2);
  lua_settop(L, 1);
  return 1;
}

/* ---- registration ---------------------------------------------------------------------------------------------------------- */

static int net_index(lua_State *L) {
  return moon_tensor_lookup(L, lua_upvalueindex(1), "method of a net");
}

static void add_more(lua_State *L, int home, const char *type) {
  moon_net_add_fit(L, home);
  moon_net_add_state(L, home, type);
}

void moon_lua_net_set(lua_State *L, int home) {
  static const luaL_Reg meta[] = {{"__gc", net_collect}, {"__call", net_call}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"forward", net_call},    {"penalty", net_penalty}, {"predict", net_predict},
                                     {"compile", net_compile}, {"train", net_train},     {NULL, NULL}};
  moon_plan_register(L, home);
  moon_object_register(L, home, NET_TYPE, meta, methods, add_more, net_index);
  lua_pushvalue(L, home);
  lua_pushcclosure(L, build, 1);
  lua_setfield(L, -2, "build");
}

/* test_script_tape.c - tapes, parameters and nets within the sandbox: memory and time stay bounded, no function that is called back can be
 * used to escape, and what is out of memory leaves nothing behind. */
#include <lauxlib.h>
#include <lualib.h>
#include <stdlib.h>

#include "numeric.h"
#include "script/script.h"

static const char prelude[] = "local m = require 'moonshelf' local T, nn = m.tensor, m.nn local g = m.grad()\n";
static const char recipe_tail[] =
    "\nreturn m.recipe 'r' { events = m.csv 'e.csv' { user = 'u', item = 'i', time = 't', event = 'e' },"
    " label = m.label { positive = 'buy', of = 'view', within = '1d' }, features = { m.id 'item' },"
    " model = m.nn.sequential { m.nn.dense(1, 'sigmoid') } }\n";

static moon_status run_with(moon_host_options options, const char *source) {
  moon_host *host;
  MOON_TRY(moon_host_open(&options, &host));
  char text[4096];
  snprintf(text, sizeof text, "%s%s%s", prelude, source, recipe_tail);
  json_t *plan = NULL;
  moon_status st = moon_host_load_recipe_source(host, "recipe.lua", text, strlen(text), &plan);
  json_decref(plan);
  moon_host_close(host);
  return st;
}

static moon_status run(const char *source) {
  return run_with((moon_host_options){.tensor_limit = 16 << 20, .load_instructions = 4000000}, source);
}

static void assert_fine(const char *source) {
  moon_status st = run(source);
  if (st.code) fail_msg("%s\n-> %s", source, st.message);
}

static const char everything[] =
    "local w = nn.param(T.ones { 4, 3 }) local x = T.ones { 2, 4 }\n"
    "local y = g:checkpoint(function(a) return a:matmul(w):tanh() end, g:constant(x))\n"
    "local z = g:custom { name = 'twice', inputs = { y }, forward = function(a) return a * 2 end, backward = function(d) return "
    "d * 2 end }\n"
    "g:backward(z:mean()) nn.make_optimizer(nn.adam {}, { w }):step()\n"
    "local net = nn.build(nn.sequential { nn.dense(3, 'relu'), nn.dense(1) }, { inputs = { 4 } })\n"
    "net:fit { x = x, y = T.ones { 2 }, loss = 'mse', epochs = 2, on_epoch = function() end } net:predict(x) "
    "net:load(net:state()) local out = T.ones { 2, 1 } net:compile { precision = 'int8', calibrate = x }:predict(x, out)"
    " nn.build(nn.dense(2, 'gelu'), { inputs = { 4 } }):predict(x) net:fit { x = x, y = out, loss = 'mse', epochs = 2, validation = 0.5,"
    " patience = 1 }\n";

static void scripts_train_models(void **state) {
  (void)state;
  assert_fine(everything);
  REFUSED(MOON_ESCRIPT, "recipe.lua:3: matmul: [1] against [2]", run("\ng:constant(T { 1 }):matmul(T { 1, 2 })"));
  REFUSED(MOON_ESCRIPT, "recipe.lua:2: net:save: a script in the sandbox writes no files",
          run("nn.build(nn.dense(1), { inputs = { 1 } }):save 'x'"));
  REFUSED(MOON_ESCRIPT, "is not a file beside the script", run("nn.build(nn.dense(1), { inputs = { 1 } }):load '/etc/passwd'"));
  REFUSED(MOON_ESCRIPT, "recipe.lua:2: optimizer:save: a script in the sandbox writes no files",
          run("nn.make_optimizer(nn.adam {}, { nn.param { 1 } }):save 'x'"));
  REFUSED(MOON_ESCRIPT, "recipe.lua:2: optimizer:load: '/etc/passwd' is not a file beside the script",
          run("nn.make_optimizer(nn.adam {}, { nn.param { 1 } }):load '/etc/passwd'"));
  REFUSED(MOON_ESCRIPT, "recipe.lua:2: m.tensor.save: a script in the sandbox writes no files", run("T.save('x', { a = T { 1 } })"));
}

/* ---- memory */

static void tapes_and_parameters_count_as_tensors(void **state) {
  (void)state;
  const moon_host_options options = {.tensor_limit = 16 << 20, .load_instructions = UINT64_C(1) << 40};
  REFUSED(MOON_ESCRIPT, "recipe.lua:2: mul: no memory",
          run_with(options, "local x = g:constant(T.ones { 1 << 18 }) while true do x = x * 2 end"));
  REFUSED(MOON_ESCRIPT, "no memory",
          run_with(options, "local x = g:constant(1) while true do x = -x end")); /* nodes are memory too */
  REFUSED(MOON_ESCRIPT, "no memory", run_with(options, "nn.param { 1 << 14, 1 << 14 }"));
  REFUSED(MOON_ESCRIPT, "no memory", run_with(options, "nn.build(nn.dense(65536), { inputs = { 65536 } })"));
  REFUSED(MOON_ESCRIPT, "no memory",
          run_with(options, "g:checkpoint(function(x) while true do x = x * 2 end end, g:constant(T.ones { 1 << 16 }))"));
  REFUSED(MOON_ESCRIPT, "no memory",
          run_with(options, "local keep = {} while true do keep[#keep + 1] = nn.param { 1 << 10 } end"));
  REFUSED(MOON_ESCRIPT, "no memory",
          run_with(options, "local net, keep = nn.build(nn.dense(256), { inputs = { 256 } }), {}"
                            " while true do keep[#keep + 1] = net:compile() end"));
  OK(run_with(options, "local net = nn.build(nn.dense(256), { inputs = { 256 } }) for i = 1, 200 do net:compile() end"));
  OK(run_with(options, "for i = 1, 200 do local tape = m.grad() tape:constant(T.ones { 1 << 18 }):relu() end"));
  OK(run_with(options, "for i = 1, 200 do nn.build(nn.dense(256), { inputs = { 512 } }) nn.param { 1 << 18 } end"));
}

/* ---- time */

static void work_in_c_is_charged(void **state) {
  (void)state;
  const char *over = "the script did not come to an end within its budget";
  REFUSED(MOON_ESCRIPT, over, run("local x = T.ones { 256, 256 } for i = 1, 100 do g:reset() g:constant(x):matmul(x) end"));
  REFUSED(MOON_ESCRIPT, over, run("for i = 1, 100 do g:reset() g:constant(T.ones { 1 << 17 }):exp() end"));
  REFUSED(MOON_ESCRIPT, over,
          run("local p = nn.param { 1 << 16 } local y = g:leaf(p):exp():sum() while true do g:backward(y) end"));
  REFUSED(MOON_ESCRIPT, over,
          run("local net = nn.build(nn.dense(1), { inputs = { 64 } })"
              " net:fit { x = T.ones { 1000, 64 }, y = T.ones { 1000 }, loss = 'mse', epochs = 10000 }"));
  REFUSED(MOON_ESCRIPT, over,
          run("local net = nn.build(nn.dense(64), { inputs = { 64 } }) local x, y = T.ones { 1000, 64 }, T.ones { 1000, 64 }"
              " local plan = net:compile() for i = 1, 100 do plan:predict(x, y) end"));
  REFUSED(MOON_ESCRIPT, over,
          run("local net = nn.build(nn.dense(64), { inputs = { 64 } }) for i = 1, 10000 do net:compile() end"));
  REFUSED(MOON_ESCRIPT, over,
          run("local net = nn.build(nn.dense(1), { inputs = { 1 } })"
              " net:fit { x = T.ones { 1, 1 }, y = T.ones { 1 }, loss = 'mse', on_epoch = function() while true do end end }"));
}

/* The budget's error passes through core, and no function of the user stops it on its way. */
static void a_spent_budget_leaves_every_callback(void **state) {
  (void)state;
  const char *over = "the script did not come to an end within its budget";
  REFUSED(MOON_ESCRIPT, over,
          run("pcall(function() g:checkpoint(function() while true do end end, g:constant(1)) end) while true do end"));
  REFUSED(MOON_ESCRIPT, over,
          run("local p = nn.param { 1 } pcall(function() g:backward(g:custom { name = 'x', inputs = { g:leaf(p) },"
              " forward = function(x) return x end, backward = function() pcall(function() while true do end end) end }:sum()) "
              "end)"));
  REFUSED(MOON_ESCRIPT, over, run("pcall(g.no_grad, g, function() while true do end end)"));
}

static void callbacks_cannot_pull_the_tape_away(void **state) {
  (void)state;
  assert_fine(
      "local p = nn.param { 1 } local ok, why = pcall(function() g:backward(g:custom { name = 'x', inputs = { g:leaf(p) },"
      " forward = function(x) return x end, backward = function() g:reset() end }:sum()) end)"
      " assert(not ok and why:find 'at work', why) g:reset()");
  assert_fine(
      "local ok, why = pcall(function() return g:custom { name = 'x', inputs = { g:constant(1) },"
      " forward = function(x) g:reset() return x end } end) assert(not ok and why:find 'reset in the middle', why)");
  assert_fine(
      "local x = g:constant(1) local ok = pcall(g.checkpoint, g, function(a) a:tape():reset() return a end, x) assert(not ok)");
  assert_fine(
      "local co = coroutine.wrap(function() return g:checkpoint(function(a) coroutine.yield() return a end, g:constant(1)) end)"
      " assert(not pcall(co))  assert(g:constant(2):item() == 2)");
}

/* ---- want of memory */

static int starve(lua_State *L) {
  moon_alloc_fail_at(lua_toboolean(L, 1) ? 1 : 0);
  return 0;
}

/* In a Lua of its own, whose memory is not ours: what fails is what core asks for. */
static void a_steady_step_of_a_loop_in_lua_asks_core_for_nothing(void **state) {
  (void)state;
  static const char loops[] =
      "local m, starve = ... local T, nn = m.tensor, m.nn\n"
      "local x, y = T.randn({ 32, 4 }, T.rng(1)), T.ones { 32, 1 }\n"
      "local w, b = nn.param { 4, 1 }, nn.param { 1 }\n"
      "local net = nn.build(nn.sequential { nn.parallel { nn.dense(8, 'relu'), nn.embedding(3, { input = 'item' }) },\n"
      "  nn.batch_norm(), nn.dropout(0.2), nn.dense(1, 'linear', { l2 = 0.1 }) }, { inputs = { x = { 4 }, item = { ids = 9 } } })\n"
      "local item = T.randint({ 32 }, 1, 9, T.rng(1))\n"
      "local g, hand, opt = m.grad(), nn.make_optimizer(nn.adam {}, { w, b }), nn.make_optimizer(nn.adamw { clip_norm = 1 }, net:params())\n"
      "local plan = nn.build(nn.dense(1), { inputs = { 4 } }):compile()\n"
      "local function by_hand() g:reset() g:backward(g:mse(g:constant(x):matmul(w) + b, y)) hand:step() end\n"
      "local function by_net()\n"
      "  g:reset() g:backward(g:mse(net(g, { x = x, item = item }), y) + net:penalty(g)) opt:step()\n"
      "end\n"
      "local function score() plan:predict(x, y) end\n"
      "for _, step in ipairs { by_hand, by_net, score } do\n"
      "  for _ = 1, 5 do step() end\n"
      "  starve(true)\n"
      "  local fine, why = pcall(function() for _ = 1, 50 do step() end end)\n"
      "  starve(false)\n"
      "  assert(fine, why)\n"
      "end\n";
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  if (luaL_loadstring(L, loops)) fail_msg("%s", lua_tostring(L, -1));
  luaL_requiref(L, "moonshelf", moon_lua_open, 0);
  lua_pushcfunction(L, starve);
  if (lua_pcall(L, 2, 0, 0)) fail_msg("%s", lua_tostring(L, -1));
  lua_close(L);
}

static void want_of_memory_leaves_nothing_behind(void **state) {
  (void)state;
  moon_status st = moon_fail(MOON_ENOMEM, "not yet");
  for (size_t n = 1; st.code; n += n < 600 ? 1 : 37) {
    moon_alloc_fail_at(n);
    st = run(everything);
    moon_alloc_fail_at(0);
    assert_true(!st.code || st.code == MOON_ENOMEM || st.code == MOON_ESCRIPT);
    assert_true(n < 20000);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(scripts_train_models),
      cmocka_unit_test(a_steady_step_of_a_loop_in_lua_asks_core_for_nothing),
      cmocka_unit_test(tapes_and_parameters_count_as_tensors),
      cmocka_unit_test(work_in_c_is_charged),
      cmocka_unit_test(a_spent_budget_leaves_every_callback),
      cmocka_unit_test(callbacks_cannot_pull_the_tape_away),
      cmocka_unit_test(want_of_memory_leaves_nothing_behind),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

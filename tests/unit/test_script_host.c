/* test_script_host.c - the sandbox and its budgets: what a hostile or careless script cannot do, and how its errors read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "script/script.h"

static const char recipe_tail[] =
    "local m = require 'moonshelf'\n"
    "return m.recipe 'r' { events = m.csv 'e.csv' { user = 'u', item = 'i', time = 't', event = 'e' },"
    " label = m.label { positive = 'buy', of = 'view', within = '1d' }, features = { m.id 'item' },"
    " model = m.nn.sequential { m.nn.dense(1, 'sigmoid') } }\n";

/* Loads `source` (followed by a fine recipe where whole is false) in a fresh host with small limits. */
static moon_status run_limited(const char *source, bool whole, uint64_t instructions, size_t memory) {
  moon_host_options options = {.memory_limit = memory, .load_instructions = instructions};
  moon_host *host;
  moon_status st = moon_host_open(&options, &host);
  assert_int_equal(st.code, MOON_OK);
  char text[8192];
  snprintf(text, sizeof text, "%s%s", source, whole ? "" : recipe_tail);
  json_t *plan = NULL;
  st = moon_host_load_recipe_source(host, "recipe.lua", text, strlen(text), &plan);
  assert_true(st.code ? plan == NULL : plan != NULL);
  json_decref(plan);
  moon_host_close(host);
  return st;
}

static moon_status run(const char *source) { return run_limited(source, false, 2000000, (size_t)32 << 20); }

static void assert_says(moon_status st, const char *text) {
  if (st.code != MOON_ESCRIPT || !strstr(st.message, text)) fail_msg("wanted a script error with \"%s\", got %d \"%s\"", text, st.code, st.message);
}

static void assert_fine(const char *source) {
  moon_status st = run(source);
  if (st.code) fail_msg("%s\n<- %s", st.message, source);
}

static void fine_script_gives_a_plan(void **state) {
  (void)state;
  assert_fine("");
}

/* ---- time */

static void endless_work_is_stopped_wherever_it_hides(void **state) {
  (void)state;
  static const char *const scripts[] = {
      "while true do end\n",
      "for i = 1, math.huge do end\n",
      "repeat until false\n",
      "goto a ::a:: goto a\n",
      "local function f() return f() end f()\n",
      "while true do pcall(function() while true do end end) end\n",
      "pcall(pcall, function() while true do end end) while true do end\n",
      "while true do pcall(error) end\n",
      "xpcall(function() while true do end end, function() while true do end end)\n",
      "while true do xpcall(function() while true do end end, print) end\n",
      "local c = coroutine.create(function() while true do end end) coroutine.resume(c) while true do end\n",
      "while true do coroutine.resume(coroutine.create(function() while true do end end)) end\n",
      "coroutine.wrap(function() while true do end end)()\n",
      "local f = coroutine.wrap(function() while true do coroutine.yield() end end) while true do f() end\n",
      "while true do coroutine.wrap(function() for i = 1, 150 do end end)() end\n",
      "local c = coroutine.create(function() local x <close> = setmetatable({}, {__close = function() while true do end end}) coroutine.yield() end)\n"
      "coroutine.resume(c) coroutine.close(c) while true do end\n",
      "coroutine.wrap(function() local x <close> = setmetatable({}, {__close = function() while true do end end}) while true do end end)()\n",
      "local c = coroutine.create(function() local x <close> = setmetatable({}, {__close = function() while true do end end}) while true do end end)\n"
      "local y <close> = setmetatable({}, {__close = function() coroutine.close(c) while true do end end}) coroutine.resume(c)\n",
      "xpcall(error, function() while true do end end)\n",
      "local x <close> = setmetatable({}, {__close = function() while true do end end})\n",
      "local t = setmetatable({}, {__index = function(t, k) while true do end end}) local y = t.x\n",
      "local t = setmetatable({}, {__tostring = function() while true do end end}) tostring(t)\n",
      "error(setmetatable({}, {__tostring = function() while true do end end}))\n",
      "string.gsub(('x'):rep(10), '.', function() while true do end end)\n",
      "table.sort({1,2,3}, function() while true do end end)\n",
      "for x in function() return 1 end do end\n",
      "load = nil; local s = string.rep('a', 30); s:find(string.rep('a?', 30) .. string.rep('a', 30))\n",
      "local s = ('a'):rep(5000); s:find(('.-'):rep(8) .. 'b')\n",
      "local s = ('a'):rep(5000); s:gsub(('a*'):rep(8) .. 'b', '')\n",
      "local s = ('x'):rep(100000); s:find('[' .. ('a'):rep(1000000) .. ']')\n",
      "local s = ('x'):rep(100000); s:find('%f[' .. ('a'):rep(1000000) .. ']')\n",
      "for w in (('a'):rep(5000)):gmatch(('.*'):rep(8) .. 'b') do end\n",
      "table.move({}, 1, math.maxinteger - 1, 2)\n",
      "table.concat({}, '', 1, math.maxinteger)\n",
      "string.rep('', math.maxinteger) while true do end\n",
      "string.rep('x', -1) while true do end\n",
      "pcall(table.move, {}, 1, math.maxinteger - 1, 2) while true do end\n",
      "while true do string.rep('x', 1000000) end\n",
      "while true do pcall(string.rep, 'x', 20000000) end\n",
      "local s = ('x'):rep(1000000) while true do s:upper() end\n",
      "local t = {} for i = 1, 100 do t[i] = i end while true do table.insert(t, 1, 0) table.remove(t, 1) end\n",
      "local c = require 'cjson' local t = {} for i = 1, 35 do t = {t, t} end pcall(c.encode, t) while true do end\n",
  };
  for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
    int64_t before = moon_monotonic();
    moon_status st = run(scripts[i]);
    if (st.code != MOON_ESCRIPT || !strstr(st.message, "budget")) fail_msg("%s-> %d %s", scripts[i], st.code, st.message);
    if (strncmp(st.message, "recipe.lua:", 11)) fail_msg("no place: %s", st.message);
    if (moon_monotonic() - before > 3 * MOON_SECOND) fail_msg("took too long: %s", scripts[i]);
  }
}

static void hidden_loops_of_the_library_are_errors(void **state) {
  (void)state;
  assert_says(run("table.insert(setmetatable({}, {__len = function() return 1 << 60 end}), 1, 1)\n"), "__len");
  assert_says(run("table.sort(setmetatable({}, {__len = function() return 1 << 30 end}), rawequal)\n"), "__len");
  assert_says(run("setmetatable({}, {__gc = function() while true do end end})\n"), "__gc");
  assert_says(run("local t = {} t[1] = t require('cjson').encode(t)\n"), "nested");
  assert_says(run("(('('):rep(100) .. ('x'):rep(10)):match(('('):rep(40))\n"), "captures");
  assert_says(run("local s = ('x'):rep(1000) s:match(('(x'):rep(30) .. ('x?'):rep(300))\n"), "recipe.lua:1");
  assert_fine("assert(string.rep('', math.maxinteger) == '')\n");
}

/* ---- memory */

static void memory_is_bounded(void **state) {
  (void)state;
  static const char *const scripts[] = {
      "local s = string.rep('x', 1 << 30)\n",
      "local s = 'x' for i = 1, 40 do s = s .. s end\n",
      "local t = {} for i = 1, 1e9 do t[i] = i end\n",
      "local t = {} for i = 1, 1e9 do t[i] = {} end\n",
      "local t = table.pack(string.byte(('x'):rep(900000), 1, -1)) local u = {} for i = 1, 1e9 do u[i] = {table.unpack(t)} end\n",
      "local t = {} while true do t[#t + 1] = coroutine.create(function() end) end\n",
      "local function f(n) return {f(n + 1)} end f(1)\n",
  };
  for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
    moon_status st = run_limited(scripts[i], false, UINT64_C(1) << 40, (size_t)8 << 20);
    if (st.code != MOON_ESCRIPT || (!strstr(st.message, "memory") && !strstr(st.message, "overflow") && !strstr(st.message, "too large") &&
                                    !strstr(st.message, "too long")))
      fail_msg("%s-> %d %s", scripts[i], st.code, st.message);
    if (strncmp(st.message, "recipe.lua", 10)) fail_msg("no name: %s", st.message);
  }
}

static void memory_that_was_given_back_can_be_used_again(void **state) {
  (void)state;
  moon_status st = run_limited("for i = 1, 30 do local s = ('x'):rep(2000000) end\n", false, 50000000, (size_t)8 << 20);
  assert_int_equal(st.code, MOON_OK);
  assert_fine("assert(not pcall(string.rep, 'x', 1 << 28)) assert(#('x'):rep(1000) == 1000)\n");
}

static void deep_recursion_is_an_error(void **state) {
  (void)state;
  moon_status st = run_limited("local function f() return 1 + f() end f()\n", false, 50000000, (size_t)256 << 20);
  assert_says(st, "recipe.lua:1: stack overflow");
  assert_says(run("local t = setmetatable({}, {}) getmetatable(t).__index = function(_, k) return t[k .. 'x'] end local y = t.a\n"), "recipe.lua:1");
  assert_int_equal(run_limited("local function f() return 1 + f() end assert(not pcall(f))\n", false, 50000000, (size_t)256 << 20).code, MOON_OK);
  assert_fine("local s = 'return ' .. ('('):rep(3) assert(#s > 3)\n");
}

static void open_survives_any_failed_allocation(void **state) {
  (void)state;
  for (size_t n = 1; n < 3000; n += 1 + n / 16) {
    moon_alloc_fail_at(n);
    moon_host *host = NULL;
    moon_status st = moon_host_open(NULL, &host);
    if (!st.code) {
      json_t *plan = NULL;
      st = moon_host_load_recipe_source(host, "recipe.lua", recipe_tail, strlen(recipe_tail), &plan);
      json_decref(plan);
    }
    moon_alloc_fail_at(0);
    moon_host_close(host);
    assert_true(st.code == MOON_OK || st.message[0]);
  }
}

/* ---- what is not there */

static void dangerous_libraries_are_absent(void **state) {
  (void)state;
  assert_says(run("io.open('/etc/passwd')\n"), "recipe.lua:1: 'io' is not available in the sandbox");
  assert_says(run("\ndebug.getinfo(1)\n"), "recipe.lua:2: 'debug' is not available");
  assert_says(run("os.execute('true')\n"), "recipe.lua:1:");
  assert_says(run("os.exit(1)\n"), "recipe.lua:1:");
  assert_says(run("os.getenv('HOME')\n"), "recipe.lua:1:");
  assert_says(run("os.remove('x')\n"), "recipe.lua:1:");
  assert_says(run("load('return 1')\n"), "'load' is not available");
  assert_says(run("dofile('x')\n"), "'dofile' is not available");
  assert_says(run("package.loadlib('x', 'y')\n"), "'package' is not available");
  assert_says(run("collectgarbage('stop')\n"), "'collectgarbage' is not available");
  assert_says(run("string.dump(print)\n"), "recipe.lua:1:");
  assert_says(run("require 'os'\n"), "recipe.lua:1:");
  assert_says(run("require '../etc/x'\n"), "not a module's name");
  assert_says(run("require 'a..b'\n"), "not a module's name");
  assert_says(run("math.randomseed(1)\n"), "math.randomseed");
}

static void protected_tables_cannot_be_changed(void **state) {
  (void)state;
  assert_says(run("string.format = nil\n"), "'string' is read-only");
  assert_says(run("table.insert = print\n"), "'table' is read-only");
  assert_says(run("rawset(string, 'x', 1)\n"), "protected");
  assert_says(run("rawset(_G, 'x', 1)\n"), "protected");
  assert_says(run("setmetatable(string, {})\n"), "protected");
  assert_says(run("setmetatable(_G, {})\n"), "protected");
  assert_says(run("getmetatable('').__index.len = 1\n"), "recipe.lua:1");
  assert_fine("assert(getmetatable('') == false and getmetatable(_G) == false)\n");
  assert_says(run("local m = require 'moonshelf' m.csv = nil\n"), "'m' is read-only");
  assert_says(run("local m = require 'moonshelf' rawset(m, 'csv', 1)\n"), "protected");
  assert_says(run("local m = require 'moonshelf' m.policy.boost = nil\n"), "'m.policy' is read-only");
  assert_fine("local m = require 'moonshelf' local _, t = pairs(m) t.csv = nil assert(m.csv)\n");
}

static void bytecode_is_refused(void **state) {
  (void)state;
  moon_host *host;
  assert_int_equal(moon_host_open(NULL, &host).code, MOON_OK);
  json_t *plan;
  moon_status st = moon_host_load_recipe_source(host, "recipe.lua", "\x1bLuaT\0\x19\x93\r\n\x1a\n", 12, &plan);
  assert_says(st, "recipe.lua: this is bytecode");
  assert_null(plan);
  moon_host_close(host);
}

/* ---- errors that help */

static void typos_name_the_place_and_the_nearest(void **state) {
  (void)state;
  static const char *const cases[][2] = {
      {"local m = require 'moonshelf'\n\nm.coutn('item', 'view')\n", "recipe.lua:3: there is no word 'm.coutn'; did you mean 'm.count'?"},
      {"local m = require 'moonshelf'\nlocal x = m.policy.bost\n", "recipe.lua:2: there is no word 'm.policy.bost'; did you mean 'm.policy.boost'?"},
      {"local m = require 'moonshelf'\nlocal x = m.nn.densee(1)\n", "did you mean 'm.nn.dense'?"},
      {"local m = require 'moonshelf'\nlocal x = m.split.bytime {1}\n", "did you mean 'm.split.by_time'?"},
      {"local m = require 'moonshelf'\nm.source.popluar(3)\n", "did you mean 'm.source.popular'?"},
      {"local m = require 'moonshelf'\nm.gate.contry 'NL'\n", "did you mean 'm.gate.country'?"},
      {"local m = require 'moonshelf'\nm.id 'user' { dimm = 3 }\n", "recipe.lua:2: m.id \"user\": unknown option 'dimm'; did you mean 'dim'?"},
      {"prnt(1)\n", "recipe.lua:1: there is no global 'prnt'; did you mean 'print'?"},
      {"local price = 3\nlocal function f() return prise end f()\n", "recipe.lua:2: there is no global 'prise'"},
      {"local x = = 1\n", "recipe.lua:1: unexpected symbol"},
      {"error('my words')\n", "recipe.lua:1: my words"},
      {"error('my words', 0)\n", "recipe.lua:1: my words"},
      {"error({})\n", "recipe.lua:1: (error value: a table)"},
      {"error()\n", "recipe.lua:1: (error value: a nil)"},
      {"error(setmetatable({}, {__tostring = function() return 'told' end}))\n", "recipe.lua:1: told"},
      {"local x = nil + 1\n", "recipe.lua:1: attempt to perform arithmetic"},
      {"table.concat({{}})\n", "recipe.lua:1:"},
      {"\n\ntable.insert(1)\n", "recipe.lua:3: bad argument #1 to 'insert'"},
      {"\nrequire 'moonshelv'\n", "recipe.lua:2:"},
      {"require 'cjson'.decode '{'\n", "recipe.lua:1:"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) assert_says(run(cases[i][0]), cases[i][1]);
}

static void wrong_answers_of_a_script_are_named(void **state) {
  (void)state;
  assert_says(run_limited("", true, 0, 0), "recipe.lua: the script must return m.recipe \"name\" { ... }, it returned nothing");
  assert_says(run_limited("return 5", true, 0, 0), "it returned number");
  assert_says(run_limited("return {}", true, 0, 0), "a table that is not one");
  assert_says(run_limited("local m = require 'moonshelf' return m.recipe 'x'", true, 0, 0), "must return m.recipe");
  assert_says(run_limited("local m = require 'moonshelf'\nreturn m.site { home = m.page { m.slot 'a' { from = m.source.recent(1) } } }", true, 0, 0),
              "returned a site where a recipe is wanted");
  assert_says(run_limited("local m = require 'moonshelf'\nlocal function f() end\nreturn m.recipe 'x' { evnts = 1 }", true, 0, 0),
              "recipe.lua:3: m.recipe \"x\": unknown option 'evnts'; did you mean 'events'?");
}

static void a_host_loads_one_script(void **state) {
  (void)state;
  moon_host *host;
  assert_int_equal(moon_host_open(NULL, &host).code, MOON_OK);
  json_t *plan;
  assert_int_equal(moon_host_load_recipe_source(host, "r.lua", recipe_tail, strlen(recipe_tail), &plan).code, MOON_OK);
  json_decref(plan);
  assert_int_equal(moon_host_load_recipe_source(host, "r.lua", recipe_tail, strlen(recipe_tail), &plan).code, MOON_EINVAL);
  assert_null(plan);
  moon_host_close(host);
}

/* ---- what is there works as in Lua */

static void patterns_answer_as_luas_own(void **state) {
  (void)state;
  assert_fine(
      "local function eq(a, b) if a ~= b then error(tostring(a) .. ' is not ' .. tostring(b), 2) end end\n"
      "eq(('hello world'):find('o w'), 5) eq(select(2, ('hello'):find('l+')), 4) eq(('a.b'):find('.', 1, true), 2)\n"
      "eq(('key = value'):match('^(%w+)%s*=%s*(%w+)$'), 'key') eq(select(2, ('key = value'):match('^(%w+)%s*=%s*(%w+)$')), 'value')\n"
      "eq(('  trim  '):match('^%s*(.-)%s*$'), 'trim') eq(('THE (quick) fox'):find('%((%a+)%)'), 5)\n"
      "eq(('f(a(b)c)d'):match('%b()'), '(a(b)c)') eq(('THE (quick) fox'):gsub('%f[%a]%a+', 'w'), 'w (w) w')\n"
      "eq(('hello'):gsub('l', 'L'), 'heLLo') eq(select(2, ('hello'):gsub('', '-')), 6) eq(('hello'):gsub('', '-'), '-h-e-l-l-o-')\n"
      "eq(('abc'):gsub('%w', '%0%0'), 'aabbcc') eq(('abc'):gsub('(a)(b)', '%2%1'), 'bac') eq(('$x $y'):gsub('%$(%w+)', {x = '1'}), '1 $y')\n"
      "eq(('abc'):gsub('.', function(c) return c == 'b' and 'B' end), 'aBc') eq(('abc'):gsub('.', 'x', 2), 'xxc')\n"
      "local n = 0 for k, v in ('a=1, b=2'):gmatch('(%w)=(%w)') do n = n + tonumber(v) end eq(n, 3)\n"
      "local p = {} for at in ('abc'):gmatch('()') do p[#p + 1] = at end eq(table.concat(p, ','), '1,2,3,4')\n"
      "eq(('x-]y'):match('[%]-]+'), '-]') eq(('a]b'):match('[]]'), ']') eq(('abc'):match('[^a-b]'), 'c') eq((' x'):match('%S'), 'x')\n"
      "eq(('aXa'):match('(a)X%1'), 'a') eq(('abc'):find('b', -1), nil) eq(('abc'):find('', 10), nil) eq(('abc'):find('', 4), 4)\n"
      "eq(('abc'):match('.-$'), 'abc') eq(('ab\\0c'):find('\\0'), 3) eq(('abc'):gsub('$', '!'), 'abc!') eq((''):gsub('^', 'x'), 'x')\n"
      "eq(pcall(string.find, 'a', '['), false) eq(pcall(string.find, 'a', '%'), false) eq(pcall(string.gsub, 'a', '(', '%1'), false)\n"
      "eq(pcall(string.match, 'a', 'a)'), false) eq(pcall(string.find, 'a', '%b'), false) eq(pcall(string.gsub, 'a', 'a', '%2'), false)\n");
}

/* A script that tries random patterns on random texts and ends in an error with a digest of all answers: in the sandbox, and in a Lua with
 * its own string library. */
static const char patterns_script[] =
    "local seed, digest = %d, 0\n"
    "local function pick(list) seed = (seed * 1103515245 + 12345) %% 2147483648 return list[seed // 65536 %% #list + 1] end\n"
    "local items = {'a', 'b', 'c', '.', '%%a', '%%d', '%%S', '%%x', '[ab]', '[^a]', '[%%d-]', '[a-c]', '[]]', '(', '(', ')', ')', '()', '*', '+', '-', '?', '$', '^',\n"
    "  '%%1', '%%2', '%%bab', '%%b', '%%f[a]', '%%f[^%%w]', '%%f', '%%%%', ']', '[', '%%', '\\0', 'é'}\n"
    "local chars, numbers = {'a', 'b', 'c', '1', ' ', '-', 'A', '\\0', 'é', ']'}, {1, 2, 3, -1, -2, 0, 9}\n"
    "local counts = {0, 1, 2, 3, 4, 5, 6}\n"
    "local function text(list) local t = {} for i = 1, pick(counts) do t[i] = pick(list) end return table.concat(t) end\n"
    "local function note(...)\n"
    "  local t = table.pack(...)\n"
    "  if not t[1] then t = {false, n = 1} end\n"
    "  for i = 1, t.n do for _, byte in ipairs {tostring(t[i]):byte(1, -1)} do digest = (digest * 31 + byte + 7) %% 2147483647 end end\n"
    "end\n"
    "for i = 1, 40 do\n"
    "  local s, p, n = text(chars) .. text(chars), text(items), pick(numbers)\n"
    "  note(pcall(string.find, s, p)) note(pcall(string.find, s, p, n)) note(pcall(string.find, s, p, n, true)) note(pcall(string.match, s, p, n))\n"
    "  note(pcall(string.gsub, s, p, pick {'<%%0>', '%%1', '%%%%', '%%2', 'x', '%%', 5})) note(pcall(string.gsub, s, p, {a = 1, b = false, ab = 'q'}, n))\n"
    "  note(pcall(string.gsub, s, p, function(x) return x ~= 'b' and tostring(x) .. '!' end))\n"
    "  note(pcall(function() local t = {} for x, y in s:gmatch(p) do t[#t + 1] = tostring(x) .. ',' .. tostring(y) end return table.concat(t, ';') end))\n"
    "end\n"
    "error('digest ' .. digest .. ' of seed %d', 0)\n";

static void random_patterns_answer_as_luas_own(void **state) {
  (void)state;
  for (int seed = 1; seed <= 150; seed++) {
    char source[sizeof patterns_script + 32];
    snprintf(source, sizeof source, patterns_script, seed, seed);
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    assert_int_equal(luaL_loadbuffer(L, source, strlen(source), "=own"), LUA_OK);
    assert_int_equal(lua_pcall(L, 0, 0, 0), LUA_ERRRUN);
    assert_non_null(strstr(lua_tostring(L, -1), "digest "));
    assert_says(run_limited(source, true, 50000000, (size_t)32 << 20), lua_tostring(L, -1));
    lua_close(L);
  }
}

static void harmless_things_work(void **state) {
  (void)state;
  assert_fine(
      "local t = {3, 1, 2} table.sort(t) assert(table.concat(t, ' ') == '1 2 3') table.insert(t, 1, 0) assert(table.remove(t, 1) == 0)\n"
      "assert(select('#', table.unpack(t)) == 3 and #table.move(t, 1, 3, 2) == 4 and utf8.len('\xc3\xa9') == 1)\n"
      "local co = coroutine.create(function(a) local b = coroutine.yield(a + 1) return b * 2 end)\n"
      "local ok, x = coroutine.resume(co, 1) assert(ok and x == 2) ok, x = coroutine.resume(co, 5) assert(ok and x == 10)\n"
      "assert(select(2, coroutine.resume(co)) == 'cannot resume dead coroutine')\n"
      "local gen = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end) assert(gen() + gen() + gen() == 6)\n"
      "local c2 = coroutine.wrap(function() local ok, v = pcall(function() return coroutine.yield(1) end) coroutine.yield(ok and v) end)\n"
      "assert(c2() == 1 and c2('in') == 'in')\n"
      "local ok, e = pcall(error, {code = 7}) assert(not ok and e.code == 7) assert(select(2, xpcall(error, function(x) return x .. '!' end, 'a')) == 'a!')\n"
      "assert(type(os.time()) == 'number' and type(os.clock()) == 'number' and os.date('!%Y', 0) == '1970')\n"
      "for i = 1, 200 do local r = math.random(3, 5) assert(r >= 3 and r <= 5 and math.random() < 1) end assert(not pcall(math.random, 0, -1))\n"
      "assert(math.random(math.mininteger, math.maxinteger)) local cj = require 'cjson' assert(cj.decode(cj.encode({a = {1, 2}})).a[2] == 2)\n"
      "print('nowhere', 1, nil) mine = 5 assert(mine == 5 and _G.mine == 5 and rawget(_G, 'nope') == nil)\n");
}

static void random_numbers_are_the_same_in_every_host(void **state) {
  (void)state;
  moon_status a = run("error(tostring(math.random(1 << 40)) .. ' ' .. math.random())\n");
  moon_status b = run("error(tostring(math.random(1 << 40)) .. ' ' .. math.random())\n");
  assert_string_equal(a.message, b.message);
}

/* ---- files */

static char *write_file(const char *folder, const char *name, const char *text) {
  char *path = moon_path_join(folder, name);
  unlink(path);
  assert_int_equal(moon_file_write(path, text, strlen(text)).code, MOON_OK);
  return path;
}

static moon_status load_path(const char *path) {
  moon_host *host;
  assert_int_equal(moon_host_open(NULL, &host).code, MOON_OK);
  json_t *plan;
  moon_status st = moon_host_load_recipe(host, path, &plan);
  json_decref(plan);
  moon_host_close(host);
  return st;
}

static void require_finds_files_beside_the_script_only(void **state) {
  (void)state;
  char folder[] = "/tmp/moon-script-XXXXXX";
  assert_non_null(mkdtemp(folder));
  char *sub = moon_path_join(folder, "rules");
  assert_int_equal(moon_dir_make(sub).code, MOON_OK);
  char text[2048];
  snprintf(text, sizeof text, "#!/usr/bin/env lua\nassert(require('rules.winter').n == 7 and require 'rules.winter' == require 'rules.winter')\n%s", recipe_tail);
  char *paths[] = {write_file(folder, "recipe.lua", text), write_file(sub, "winter.lua", "return { n = 7 }\n"),
                   write_file(folder, "wrong.lua", "\n\nrequire 'rules.broken'\n"), write_file(sub, "broken.lua", "\nerror 'cold'\n"),
                   write_file(folder, "circle.lua", "require 'circle'\n"), write_file(folder, "gone.lua", "\nrequire 'nosuch'\n")};
  assert_int_equal(load_path(paths[0]).code, MOON_OK);
  assert_says(load_path(paths[2]), "rules/broken.lua:2: cold");
  assert_says(load_path(paths[4]), "circle");
  assert_says(load_path(paths[5]), "gone.lua:2:");
  assert_int_equal(load_path("/tmp/there/is/no/such.lua").code, MOON_ENOTFOUND);
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) moon_free(paths[i]);
  moon_free(sub);
  moon_dir_remove(folder);
}

static void print_goes_to_whoever_asked(void *self, const char *line, size_t n) { moon_buf_printf(self, "[%.*s]", (int)n, line); }

static void print_reaches_the_embedder(void **state) {
  (void)state;
  moon_buf lines = {0};
  moon_host_options options = {.print = print_goes_to_whoever_asked, .print_self = &lines};
  moon_host *host;
  assert_int_equal(moon_host_open(&options, &host).code, MOON_OK);
  json_t *plan;
  const char *source = "print('a', 1) print() error 'x'";
  moon_host_load_recipe_source(host, "r.lua", source, strlen(source), &plan);
  assert_string_equal(lines.data, "[a\t1][]");
  moon_host_close(host);
  moon_buf_free(&lines);
}

/* Random text, and a fine recipe with random bytes in it, never do more than give an error. */
static void random_scripts_do_no_harm(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 7, 0);
  for (int round = 0; round < 60; round++) {
    char text[sizeof recipe_tail];
    memcpy(text, recipe_tail, sizeof text);
    for (uint32_t i = 0, n = 1 + moon_rng_below(&rng, 4); i < n; i++) text[moon_rng_below(&rng, sizeof text - 1)] = (char)moon_rng_below(&rng, 256);
    moon_host *host;
    assert_int_equal(moon_host_open(NULL, &host).code, MOON_OK);
    json_t *plan;
    moon_status st = moon_host_load_recipe_source(host, "r.lua", text, sizeof text - 1, &plan);
    if (st.code) assert_int_equal(st.code, MOON_ESCRIPT);
    assert_true(st.code ? st.message[0] != 0 : plan != NULL);
    json_decref(plan);
    moon_host_close(host);
  }
}

/* ---- the same bytes each time */

static moon_status run_deterministic(const char *source) {
  moon_host_options options = {.deterministic = true, .load_instructions = 5000000, .memory_limit = (size_t)64 << 20};
  moon_host *host;
  json_t *plan = NULL;
  char text[8192];
  assert_int_equal(moon_host_open(&options, &host).code, MOON_OK);
  snprintf(text, sizeof text, "%s%s", source, recipe_tail);
  moon_status st = moon_host_load_recipe_source(host, "recipe.lua", text, strlen(text), &plan);
  json_decref(plan);
  moon_host_close(host);
  return st;
}

static void deterministic_scripts_see_keys_in_order(void **state) {
  (void)state;
  static const char *const fine[] = {
      "local t = {[true] = 1, b = 1, [2.5] = 1, a = 1, [-1] = 1, [10] = 1, [false] = 1, ['\\0'] = 1, ab = 1, [''] = 1} local s = ''\n"
      "for k in pairs(t) do s = s .. tostring(k) .. ';' end assert(s == '-1;2.5;10;;\\0;a;ab;b;false;true;', s)\n"
      "local u, k = '', nil repeat k = next(t, k) if k ~= nil then u = u .. tostring(k) .. ';' end until k == nil assert(u == s)\n",
      "local t = {} for i = 1, 300 do t['k' .. i] = i end local n, last = 0, '' for k, v in pairs(t) do assert(k > last and t[k] == v) last = k n = n + 1 t[k] = nil end assert(n == 300)\n"
      "assert(next(t) == nil and next({}, nil) == nil)\n",
      "local t = setmetatable({}, {__pairs = function(t) return function(_, k) if not k then return 1, 2 end end, t, nil end}) for k, v in pairs(t) do assert(k == 1 and v == 2) end\n",
      "local t = {a = 1, b = 2, c = 3} local s = '' for k in pairs(t) do t.b = nil s = s .. k end assert(s == 'ac')\n",
      "assert(os.time() == 0 and os.clock() == 0 and os.date() == os.date('!%c', 0) and os.time {year = 1970, month = 1, day = 2, hour = 0} == 86400)\n",
      "assert(tostring({}) == 'table' and ('%s %d'):format(print, 1) == 'function 1' and tostring(1.5) == '1.5' and tostring(nil) == 'nil')\n",
      "assert(tostring(setmetatable({}, {__tostring = function() return 'me' end})) == 'me' and ('%5.1f%%'):format(2) == '  2.0%')\n",
      "local t = {} for i = 1, 200 do t[i] = {i % 3, i} end table.sort(t, function(a, b) return a[1] < b[1] end)\n"
      "for i = 2, 200 do assert(t[i - 1][1] < t[i][1] or (t[i - 1][1] == t[i][1] and t[i - 1][2] < t[i][2])) end\n",
  };
  for (size_t i = 0; i < sizeof fine / sizeof *fine; i++) {
    moon_status st = run_deterministic(fine[i]);
    if (st.code) fail_msg("%s\n<- %s", st.message, fine[i]);
  }
  assert_says(run_deterministic("for k in pairs {[print] = 1} do end\n"), "keys that are a function have no order");
  assert_says(run_deterministic("next({[{}] = 1})\n"), "keys that are a table have no order");
  assert_says(run_deterministic("local x = ('%10p'):format({})\n"), "%p is not available");
  assert_says(run_deterministic("local t = {} for i = 1, 2000 do t['k' .. i] = i end local k repeat k = next(t, k) until not k\n"), "budget");
}

/* Sorted as the slow way sorts, and equal elements in their order. */
static void sort_sorts_as_the_slow_way_does(void **state) {
  (void)state;
  assert_fine("for n = 0, 70 do local t, u = {}, {} for i = 1, n do t[i] = math.random(10) u[i] = t[i] end table.sort(t)\n"
              "for i = 2, n do local x, j = u[i], i - 1 while j > 0 and u[j] > x do u[j + 1] = u[j] j = j - 1 end u[j + 1] = x end\n"
              "for i = 1, n do assert(t[i] == u[i]) end end\n"
              "local t = {'b', 'a', 'C'} table.sort(t) assert(table.concat(t) == 'Cab') table.sort(t, function(a, b) return a > b end) assert(table.concat(t) == 'baC')\n"
              "assert(not pcall(table.sort, 1) and not pcall(table.sort, {1, 2}, 1) and not pcall(table.sort, {1, 'x'}))\n");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(fine_script_gives_a_plan),
      cmocka_unit_test(endless_work_is_stopped_wherever_it_hides),
      cmocka_unit_test(hidden_loops_of_the_library_are_errors),
      cmocka_unit_test(memory_is_bounded),
      cmocka_unit_test(memory_that_was_given_back_can_be_used_again),
      cmocka_unit_test(deep_recursion_is_an_error),
      cmocka_unit_test(open_survives_any_failed_allocation),
      cmocka_unit_test(dangerous_libraries_are_absent),
      cmocka_unit_test(protected_tables_cannot_be_changed),
      cmocka_unit_test(bytecode_is_refused),
      cmocka_unit_test(typos_name_the_place_and_the_nearest),
      cmocka_unit_test(wrong_answers_of_a_script_are_named),
      cmocka_unit_test(a_host_loads_one_script),
      cmocka_unit_test(patterns_answer_as_luas_own),
      cmocka_unit_test(random_patterns_answer_as_luas_own),
      cmocka_unit_test(harmless_things_work),
      cmocka_unit_test(random_numbers_are_the_same_in_every_host),
      cmocka_unit_test(require_finds_files_beside_the_script_only),
      cmocka_unit_test(print_reaches_the_embedder),
      cmocka_unit_test(random_scripts_do_no_harm),
      cmocka_unit_test(deterministic_scripts_see_keys_in_order),
      cmocka_unit_test(sort_sorts_as_the_slow_way_does),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

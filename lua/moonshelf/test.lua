--- test.lua - m.test: feeds a recipe's features with events and asserts what they then say.
---
--- The `t` of a test is a face over a lab of C (core/script/lab.c), made when it is first asked for and gone when the test is over.

local words = require "moonshelf.words"
local native = require "moonshelf.native"

local test = {}

local LONGEST = 160 -- characters of a value in a message

---------------------------------------------------------------------------------------------------- values in messages

local show

local function show_table(value, depth)
  if depth > 4 then return "{ ... }" end
  local parts, listed = {}, #value
  for i = 1, listed do parts[i] = show(value[i], depth + 1) end
  for _, key in ipairs(words.keys(value)) do
    local in_list = math.type(key) == "integer" and key >= 1 and key <= listed
    if not in_list then parts[#parts + 1] = ("[%s] = %s"):format(show(key, depth + 1), show(value[key], depth + 1)) end
  end
  return #parts == 0 and "{}" or "{ " .. table.concat(parts, ", ") .. " }"
end

function show(value, depth)
  local text
  if type(value) == "string" then text = ("%q"):format(value)
  elseif math.type(value) == "float" then text = ("%.15g"):format(value)
  elseif type(value) == "table" then text = show_table(value, depth or 1)
  else text = tostring(value) end
  return #text > LONGEST and text:sub(1, LONGEST - 3) .. "..." or text
end

--- Tables are compared by what is in them.
local function same(a, b, depth)
  if a == b then return true end
  if type(a) ~= "table" or type(b) ~= "table" or depth > 20 then return false end
  for key, value in next, a do
    if not same(value, b[key], depth + 1) then return false end
  end
  for key in next, b do
    if a[key] == nil then return false end
  end
  return true
end

---------------------------------------------------------------------------------------------------- what a test can do

local states = setmetatable({}, { __mode = "k" }) -- t -> what it stands on

local function place() return words.here() or "test" end

--- The test's state; `t.event { ... }` with a dot has no test.
local function state_of(where, what, t)
  local state = states[t]
  if not state then words.fail(where, "%s is called with a colon: t:%s", what, what:sub(3)) end
  return state
end

local function lab_of(where, what, t)
  local state = state_of(where, what, t)
  if state.over then words.fail(where, "%s: this test is over", what) end
  if not state.recipe then words.fail(where, "%s: the test has no recipe = ...", what) end
  if not state.lab then state.lab = native.lab(state.where, state.recipe, state.items) end
  return state.lab
end

--- One row or a list of rows -> a list.
local function rows_of(where, what, value)
  if type(value) ~= "table" or words.kind(value) then words.expect(where, what, "a table of columns, or a list of them", value) end
  if value[1] == nil then value = { value } end
  for i, row in ipairs(words.list(where, what, value, "a list of rows")) do
    if type(row) ~= "table" or words.kind(row) then words.expect(where, ("%s: row %d"):format(what, i), "a table of columns", row) end
  end
  return value
end

--- The rows as they are now, whatever becomes of the tables that they were given in.
local function copies(list)
  local out = {}
  for i, row in ipairs(list) do
    out[i] = {}
    for column, value in pairs(row) do out[i][column] = value end
  end
  return out
end

local EVENT = {
  user = { words.text, required = true },
  item = { words.text, required = true },
  event = { words.text },
  time = { words.date, required = true },
}

local FACE = {}

--- Let an event happen, or several: it is folded into the state as the recipe's rules would have left it.
function FACE.event(t, given)
  local where = place()
  local lab, list = lab_of(where, "t:event", t), words.array {}
  for i, row in ipairs(rows_of(where, "t:event", given)) do
    list[i] = words.options(where, given[1] == nil and "t:event" or ("t:event: event %d"):format(i), row, EVENT)
  end
  lab:events(list)
end

--- Rows as the events' files hold them, by the recipe's names for their columns; they go through its rules first.
function FACE.log(t, given)
  local where = place()
  local lab = lab_of(where, "t:log", t)
  local kept = lab:log(rows_of(where, "t:log", given))
  return kept
end

--- A table that knows which names there are: one that is known and has no value is nil, another is an error.
local function named(values, names)
  local known = {}
  for _, name in ipairs(names) do known[name] = true end
  return setmetatable(values, {
    __index = function(_, name)
      if known[name] then return nil end
      words.fail(place(), "the recipe has no feature '%s'%s", tostring(name), words.hint(name, names))
    end,
  })
end

--- What the model would be told of a user and an item at a moment.
function FACE.features(t, given)
  local where = place()
  local lab = lab_of(where, "t:features", t)
  if type(given) ~= "table" or words.kind(given) then
    words.expect(where, "t:features", 'given { user = "ann", item = "i1", at = "2026-11-24T10:00:00Z" }', given)
  end
  local query = {}
  for key, value in pairs(given) do query[key] = value end
  if query.user ~= nil then words.text(where, "t:features: user", query.user) end
  if query.item ~= nil then words.text(where, "t:features: item", query.item) end
  if query.at ~= nil then query.at = words.date(where, "t:features: at", query.at) end
  local values, names = lab:features(query)
  return named(values, names)
end

local function fail(where, what, format, ...)
  words.fail(where, "%s" .. format, what == nil and "" or tostring(what) .. ": ", ...)
end

--- `got` is `expected`; tables are compared by what is in them.
function FACE.equal(t, got, expected, what)
  local where = place()
  state_of(where, "t:equal", t)
  if not same(got, expected, 1) then fail(where, what, "got %s, expected %s", show(got), show(expected)) end
end

--- Two numbers differ by no more than the tolerance, by default a millionth of the expected one (or of 1).
function FACE.near(t, got, expected, tolerance, what)
  local where = place()
  state_of(where, "t:near", t)
  expected = words.number()(where, "t:near: the expected number", expected)
  if tolerance == nil then tolerance = 1e-6 * math.max(1, math.abs(expected)) end
  words.number { min = 0 }(where, "t:near: the tolerance", tolerance)
  local near = type(got) == "number" and math.abs(got - expected) <= tolerance
  if not near then
    fail(where, what, "got %s, expected %s within %.3g", show(got), show(expected), tolerance)
  end
end

--- `value` is neither nil nor false.
function FACE.ok(t, value, what)
  local where = place()
  state_of(where, "t:ok", t)
  if not value then fail(where, what, "got %s, expected something true", show(value)) end
  return value
end

--- `fn` raises an error, whose message holds the text.
function FACE.error(t, fn, text)
  local where = place()
  state_of(where, "t:error", t)
  words.func(where, "t:error", fn)
  if text ~= nil then words.text(where, "t:error: the text", text) end
  local caught, message = native.catch(fn)
  if not caught then words.fail(where, "expected an error%s, there was none", text and " with " .. show(text) or "") end
  message = tostring(message)
  if text and not message:find(text, 1, true) then words.fail(where, "expected an error with %s, got %s", show(text), show(message)) end
  return message
end

local FACE_META = {
  __index = function(_, name)
    if FACE[name] then return FACE[name] end
    words.fail(place(), "a test has no 't:%s'%s", tostring(name), words.hint(name, words.keys(FACE)))
  end,
  __newindex = function(_, name) words.fail(place(), "'t' is read-only ('t.%s' cannot be set)", tostring(name)) end,
  __metatable = false,
}

---------------------------------------------------------------------------------------------------- the word

local function recipe(where, what, value)
  if native.kind(value) ~= "recipe" then
    words.expect(where, what, 'a recipe, such as require "recipe" gives', native.kind(value) and ("a " .. native.kind(value)) or value)
  end
  return value
end

local function items(where, what, value)
  return copies(rows_of(where, what, value))
end

local TEST = {
  recipe = { recipe },
  items = { items },
  run = { words.func, required = true },
}

local function finish(state)
  if state.lab then state.lab:close() end
  state.over, state.lab = true, nil
end

--- The function that runs a test: a fresh t, which is over when the test is.
local function runner(where, o)
  return function()
    local t = setmetatable({}, FACE_META)
    local state = { where = where, recipe = o.recipe, items = o.items }
    states[t] = state
    local _ <close> = setmetatable({}, { __close = function() finish(state) end })
    o.run(t)
  end
end

--- A test of a recipe: m.test "a look counts for an hour" { recipe = recipe, items = { ... }, run = function(t) ... end }.
--- `moonshelf test` runs them; test.run() runs the one that the word gives.
---@param name string
---@return fun(given: moonshelf.TestOptions): moonshelf.Test
function test.test(name)
  local where = words.where("m.test")
  words.text(where, "m.test", name)
  local what = ("m.test %q"):format(name)
  local run = function() words.fail(where, "%s without its { ... }", what) end
  native.test(name, where, function() run() end)
  return words.pending(what .. " without its { ... }", function(given)
    local o = words.options(where, what, given, TEST)
    if o.items and not o.recipe then words.fail(where, "%s: items without a recipe", what) end
    run = runner(words.option_place(where, o.items and "items" or "recipe"), o)
    return words.new("a test", where, { name = name, run = run })
  end)
end

return test

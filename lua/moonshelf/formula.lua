--- formula.lua - arithmetic on numbers that are not there yet: what a function given to m.lua works with.
---
--- The function runs once, with a symbol for each number. Whatever is done with symbols makes a symbol that knows what it was made of;
--- what the function answers is then written down, operation by operation, for the core to compute. What cannot be seen from in here, such
--- as a test by `if`, is an error where it can be noticed, and says what to write instead.

local words = require "moonshelf.words"

local formula = {}

local MAX_OPERATIONS = 128

-- symbol -> { op, of = symbols, number, is_condition, where, trace, id }
local known = setmetatable({}, { __mode = "k" })
local trace -- the list of symbols of the function that is running
local place -- of the word that is running, which may be a tail call

---------------------------------------------------------------------------------------------------- symbols

local number_meta, condition_meta = {}, {}

local function fail(format, ...)
  local where = place or words.here() or "script"
  place = nil
  words.fail(where, format, ...)
end

---@param value any
---@return boolean
function formula.is(value)
  return known[value] ~= nil
end

local function make(meta, op, of, number)
  local symbol = setmetatable({}, meta)
  if not trace then fail("the numbers of m.lua are worked with inside its function only") end
  trace[#trace + 1] = symbol
  known[symbol] = { op = op, of = of, number = number, is_condition = meta == condition_meta, where = place or words.here(), trace = trace }
  return symbol
end

--- A value as a symbol of a kind.
local function operand(what, value, wants_condition)
  local node = known[value]
  if node and node.trace ~= trace then fail("%s: this number was kept from the function of another m.lua", what) end
  if node and node.is_condition == wants_condition then return value end
  if wants_condition then fail("%s wants a condition such as x:lt(5), got %s", what, node and "a number" or words.describe(value)) end
  if node then fail("%s wants a number, got a condition: m.when(condition, 1, 0) is a number", what) end
  if math.type(value) == nil or value - value ~= 0 then fail("%s wants a number, got %s", what, words.describe(value)) end
  return make(number_meta, "number", {}, value + 0.0)
end

local function number_op(what, op, ...)
  local of = {}
  for i, value in ipairs { ... } do of[i] = operand(what, value, false) end
  return make(number_meta, op, of)
end

local function compare(what, op, a, b)
  local x = operand(what, a, false)
  local y = operand(what, b, false)
  return make(condition_meta, op, { x, y })
end

local function negate(condition)
  return make(condition_meta, "not", { condition })
end

---------------------------------------------------------------------------------------------------- what Lua does with them

local NO_TEST = "numbers of m.lua have no value yet: write %s and m.when(condition, a, b), or m.min(a, b) or m.max(a, b)"

local function refuse(format, ...)
  local message = format:format(...)
  return function() fail("%s", message) end
end

local function arithmetic(sign, op)
  return function(a, b) return number_op(sign, op, a, b) end
end

for event, with in pairs {
  __add = arithmetic("+", "add"), __sub = arithmetic("-", "sub"), __mul = arithmetic("*", "mul"), __div = arithmetic("/", "div"),
  __pow = arithmetic("^", "pow"),
  __unm = function(a) return number_op("-", "neg", a) end,
  __idiv = function(a, b) return number_op("//", "floor", number_op("//", "div", a, b)) end,
  __mod = function(a, b) return a - b * number_op("%", "floor", number_op("%", "div", a, b)) end,
} do
  number_meta[event] = with
  condition_meta[event] = refuse "a condition is no number: write m.when(condition, 1, 0)"
end

for event, instead in pairs { __lt = "x:lt(y) or x:gt(y)", __le = "x:le(y) or x:ge(y)", __eq = "x:eq(y) or x:ne(y)" } do
  number_meta[event] = refuse(NO_TEST, instead)
  condition_meta[event] = refuse "conditions are put together by &, | and ~"
end

for _, meta in ipairs { number_meta, condition_meta } do
  meta.__concat = refuse "numbers of m.lua are no texts; for texts of an item write m.lua(name, function(item) ... end)"
  meta.__len = refuse "numbers of m.lua have no length; for texts of an item write m.lua(name, function(item) ... end)"
  meta.__call = refuse "a number of m.lua is no function"
  meta.__newindex = refuse "a number of m.lua has no fields"
  meta.__pairs = refuse "a number of m.lua is no table"
  meta.__metatable = false
end

-- What functions of Lua's libraries say that are given one: "number expected, got ...".
number_meta.__name = "a number of m.lua: write m.log(x), m.ln(x), m.exp(x), m.sqrt(x), m.abs(x), m.floor(x), m.min(x, y) or m.max(x, y)"
condition_meta.__name = "a condition of m.lua"
number_meta.__tostring = function() return "a number of m.lua" end
condition_meta.__tostring = function() return "a condition of m.lua" end

number_meta.__band = refuse "& wants conditions such as x:lt(5)"
number_meta.__bor = refuse "| wants conditions such as x:lt(5)"
number_meta.__bnot = refuse "~ wants a condition such as x:lt(5)"
condition_meta.__band = function(a, b) return make(condition_meta, "and", { operand("&", a, true), operand("&", b, true) }) end
condition_meta.__bor = function(a, b) return make(condition_meta, "or", { operand("|", a, true), operand("|", b, true) }) end
condition_meta.__bnot = function(a) return negate(operand("~", a, true)) end

local methods = {
  lt = function(a, b) return compare("lt", "lt", a, b) end,
  le = function(a, b) return compare("le", "le", a, b) end,
  gt = function(a, b) return compare("gt", "lt", b, a) end,
  ge = function(a, b) return compare("ge", "le", b, a) end,
  eq = function(a, b) return compare("eq", "eq", a, b) end,
  ne = function(a, b) return negate(compare("ne", "eq", a, b)) end,
  known = function(a) return make(condition_meta, "known", { operand("known", a, false) }) end,
}

number_meta.__index = function(_, name)
  if not methods[name] then
    fail("a number of m.lua has no '%s'%s", tostring(name), words.hint(name, words.keys(methods)))
  end
  return methods[name]
end
condition_meta.__index = function(_, name)
  fail("a condition of m.lua has no '%s': conditions are put together by &, | and ~", tostring(name))
end

---------------------------------------------------------------------------------------------------- words for them

--- Words of one number.
for word, op in pairs { abs = "abs", exp = "exp", ln = "ln", sqrt = "sqrt", floor = "floor", log = "log" } do
  formula[word] = function(x)
    place = words.where("m." .. word)
    local out = number_op("m." .. word, op, x)
    place = nil
    return out
  end
end

--- The least or greatest of two numbers and more.
local function fold(word, op)
  return function(first, ...)
    place = words.where("m." .. word)
    local out = operand("m." .. word, first, false)
    for _, value in ipairs { ... } do out = number_op("m." .. word, op, out, value) end
    place = nil
    return out
  end
end
formula.min, formula.max = fold("min", "min"), fold("max", "max")

--- `a` where the condition holds, else `b`.
---@param condition moonshelf.Condition
---@param a moonshelf.Symbol|number
---@param b moonshelf.Symbol|number
---@return moonshelf.Symbol
function formula.when(condition, a, b)
  place = words.where("m.when")
  local test = operand("m.when", condition, true)
  local x, y = operand("m.when", a, false), operand("m.when", b, false)
  local out = make(number_meta, "when", { test, x, y })
  place = nil
  return out
end

---------------------------------------------------------------------------------------------------- writing it down

--- What an answer is made of.
local function reach(symbol, seen)
  if seen[symbol] then return end
  seen[symbol] = true
  for _, part in ipairs(known[symbol].of) do reach(part, seen) end
end

local function check_use(where, what, names, inputs, seen)
  for _, symbol in ipairs(trace) do
    local node = known[symbol]
    if node.is_condition and not seen[symbol] then
      words.fail(node.where or where, "%s: this condition changes nothing; `if`, `and`, `or` and `not` cannot see into it: write "
        .. "m.when(condition, a, b), &, | and ~", what)
    end
  end
  for i, symbol in ipairs(inputs) do
    if not seen[symbol] then
      words.fail(where, "%s: what the function answers is not made of its argument %d (%s); a test such as x == 0 or `if x` cannot be "
        .. "seen: write m.when(x:eq(0), a, b)", what, i, names[i])
    end
  end
end

local function write(seen)
  local code, number = words.array {}, {}
  for _, symbol in ipairs(trace) do
    local node = known[symbol]
    if seen[symbol] then
      local of = words.array {}
      for i, part in ipairs(node.of) do of[i] = number[part] end
      code[#code + 1] = { op = node.op, of = node.op == "input" and words.array { node.number } or node.op ~= "number" and of or nil,
        value = node.op == "number" and node.number or nil }
      number[symbol] = #code
    end
  end
  return code
end

--- Runs fn with a symbol for each name -> the operations of its answer, for the plan.
---@param what string
---@param names string[]
---@param fn function
---@return table
function formula.trace(what, names, fn)
  local info = debug.getinfo(fn, "S")
  local where, inputs, seen = info.short_src .. ":" .. info.linedefined, {}, {}
  trace, place = {}, nil
  for i in ipairs(names) do inputs[i] = make(number_meta, "input", {}, i) end
  local answer = fn(table.unpack(inputs))
  local node = known[answer]
  if not node or node.is_condition then
    words.fail(where, "%s: the function must answer a number made of its arguments, got %s", what,
      node and "a condition: write m.when(condition, 1, 0)" or words.describe(answer))
  end
  reach(answer, seen)
  check_use(where, what, names, inputs, seen)
  local code = write(seen)
  trace = nil
  if #code > MAX_OPERATIONS then
    words.fail(where, "%s: a formula has at most %d operations, got %d", what, MAX_OPERATIONS, #code)
  end
  return code
end

return formula

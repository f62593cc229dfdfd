--- tune.lua - m.tune: values that `moonshelf tune` searches, in the place of a value.
---
--- One idea: m.tune { 1e-4, 1e-3 } is the value itself, so that it may stand wherever one does, also in arithmetic and in an `if`. Which
--- of them it is was chosen before the script ran (native.picks, by the place of the word); otherwise it is the first. What was asked for
--- is noted for the plan, where a search reads it.

local native = require "moonshelf.native"
local words = require "moonshelf.words"

local tune = {}

local picks = native.picks or {}
local MOST = 64

---------------------------------------------------------------------------------------------------- what was asked for

local list, calls, names = words.array {}, {}, {}

--- What has been asked for since the last time, in order; nil where nothing was.
---@return table[]?
function tune.take()
  local taken = list
  list, calls, names = words.array {}, {}, {}
  return #taken > 0 and taken or nil
end

--- What stands before the nth "tune" of a line: "lr" in lr = m.tune { ... }, "dense" in m.nn.dense(m.tune { ... }).
local function name_before(where, nth)
  local file, line = where:match "^(.+):(%d+)$"
  local text = file and native.source_line(file, math.tointeger(line)) or ""
  local from, start = 1, nil
  for _ = 1, nth do
    local found, last = text:find("%f[%w_]tune%f[^%w_]", from)
    if not found then break end
    start, from = found, last + 1
  end
  if not start then return "value" end
  local before = text:sub(1, start - 1):gsub("[%w_]+%.$", "")
  return before:match "([%a_][%w_]*)%s*[=(]%s*$" or before:match "([%a_][%w_]*)%s*%([^()]*$" or "value"
end

--- Note a parameter and answer its pick: a place in `values`, or a number.
local function ask(where, word, fields, options, fits)
  local nth = (calls[where] or 0) + 1
  calls[where] = nth
  if #list == MOST then words.fail(where, "%s: a recipe has at most %d values to search", word, MOST) end
  local name, again = options.name or name_before(where, nth), 1
  fields.name = name
  while names[fields.name] do
    again = again + 1
    fields.name = ("%s.%d"):format(name, again)
  end
  names[fields.name] = true
  fields.where = nth == 1 and where or ("%s (%d)"):format(where, nth)
  local pick = picks[fields.where]
  if pick ~= nil then
    if not fits(pick) then words.fail(where, "%s: the value chosen for it, %s, is none of its own", word, tostring(pick)) end
    fields.pick = pick
  end
  list[#list + 1] = fields
  return fields.pick
end

---------------------------------------------------------------------------------------------------- the words

--- How a value is told of in tables: itself, or what kind of word it is.
local function shown(where, word, i, value)
  local kind = type(value)
  local plain = kind == "string" or kind == "boolean" or (kind == "number" and value - value == 0)
  if plain then return value end
  local is_word = words.kind(value)
  if not is_word then words.expect(where, ("%s[%d]"):format(word, i), "a number, a string, true, false or a word", value) end
  return words.known(value) and (value.type or value.op) or is_word
end

local function choose(word, where, values, options)
  words.list(where, word, values, "a list of values such as { 1e-4, 1e-3 }")
  local texts = words.array {}
  for i, value in ipairs(values) do texts[i] = shown(where, word, i, value) end
  local pick = ask(where, word, { kind = "choice", values = texts, pick = 1 }, options,
    function(at) return math.type(at) == "integer" and values[at] ~= nil end)
  list[#list].value = texts[pick]
  return values[pick]
end

--- One of some values: lr = m.tune { 1e-4, 1e-3 }.
local function one_of(given)
  local where = words.where("m.tune")
  if type(given) ~= "table" or words.kind(given) then words.expect(where, "m.tune", "a list of values such as { 1e-4, 1e-3 }", given) end
  local values, options = {}, {}
  for key, value in pairs(given) do
    if math.type(key) == "integer" then values[key] = value else options[key] = value end
  end
  return (choose("m.tune", where, values, words.options(where, "m.tune", options, { name = { words.text } })))
end

--- The same, written as arguments: m.tune.choice("relu", "gelu").
---@generic T
---@param ... T
---@return T
function tune.choice(...)
  local where = words.where("m.tune.choice")
  return (choose("m.tune.choice", where, { ... }, {}))
end

local function bounds(word, where, low, high)
  words.number()(where, word .. ": low", low)
  words.number()(where, word .. ": high", high)
  if low >= high then words.fail(where, "%s: low must be below high, got %s and %s", word, tostring(low), tostring(high)) end
end

local function within(low, high)
  return function(value) return type(value) == "number" and value >= low and value <= high end
end

--- The options of a word with bounds, checked.
local function ends(word, where, low, high, whole, options, spec)
  spec.name, spec.default = { words.text }, { whole and words.integer(low, high) or words.number { min = low, max = high } }
  return words.options(where, word, options, spec)
end

local function all_whole(...)
  for i = 1, select("#", ...) do
    if math.type((select(i, ...))) ~= "integer" then return false end
  end
  return true
end

--- Numbers in equal steps from low to high: m.tune.range(16, 128, 16). Whole where all three are.
---@param low number
---@param high number
---@param step number
---@param options? { default: number?, name: string? }
---@return number
function tune.range(low, high, step, options)
  local where, word = words.where("m.tune.range"), "m.tune.range"
  bounds(word, where, low, high)
  words.number { above = 0 }(where, word .. ": step", step)
  local whole = all_whole(low, high, step)
  local o = ends(word, where, low, high, whole, options, {})
  if (high - low) / step > 100000 then words.fail(where, "%s: more than 100000 steps", word) end
  local pick = ask(where, word, { kind = "range", low = low, high = high, step = step, whole = whole, pick = o.default or low }, o,
    within(low, high))
  list[#list].value = pick
  return pick
end

--- Numbers whose logarithm is spread evenly: m.tune.log(1e-5, 1e-2). Whole where both are; a grid takes `points` of them.
---@param low number
---@param high number
---@param options? { points: integer?, default: number?, name: string? }
---@return number
function tune.log(low, high, options)
  local where, word = words.where("m.tune.log"), "m.tune.log"
  bounds(word, where, low, high)
  words.number { above = 0 }(where, word .. ": low", low)
  local whole = all_whole(low, high)
  local o = ends(word, where, low, high, whole, options, { points = { words.integer(2, 1000), default = 5 } })
  local pick = ask(where, word, { kind = "log", low = low, high = high, points = o.points, whole = whole, pick = o.default or low }, o,
    within(low, high))
  list[#list].value = pick
  return pick
end

return { words = words.module("m.tune", { choice = tune.choice, range = tune.range, log = tune.log }, one_of), take = tune.take }
